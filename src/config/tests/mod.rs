//! Scenarios of whole configurations: broken ones as snapshots, good ones, code versions.

mod broken;
mod code;
mod fakes;
mod whole;
