//! RxPulse turns public customer posts into decision-ready tables.
//!
//! The house: [`graph`] is pure and knows what is stale and why; [`event`] is what happened.
//! The other rooms join as they are built; imports run one way.

pub mod diagnostic;
pub mod envelope;
pub mod event;
pub mod exec;
pub mod graph;
pub mod output;
pub mod run_view;
