//! The `sample` source: posts of a pharmacy's customers, made up from a seed.
//!
//! A day is a pure function of the definition, the day and the time zone: no clock, no state,
//! no floating-point function that differs between machines. Any day can be made alone, in any
//! order, and is the same bytes everywhere. Nothing here blocks or does IO; the caller decides
//! how many days it makes on one thread.
//!
//! What is planted, counted in days from `start` (day 0):
//! - **delivery-delay spikes** at the default brand: days 18–20 of every 45 (18–20, 63–65, …),
//!   and, when the history has an end and at least 30 days, the days 6, 5 and 4 before the last;
//! - **an app outage at the competitor**: days 30 and 31 of every 45;
//! - **high-risk posts** at the default brand, one each: wrong medication where day % 7 = 3,
//!   adverse reaction where day % 11 = 5, privacy breach where day % 13 = 6, legal threat where
//!   day % 17 = 8, wrong dose where day % 19 = 9;
//! - malformed records, exact duplicates and late captures (edited, removed, or another score),
//!   in the shares that [`SampleDef`] says.

mod corpus;
mod def;
mod generate;
mod map;
mod prose;
mod record;
mod rng;
#[cfg(test)]
mod tests;
mod topic;

pub use def::{ADAPTER_VERSION, SampleDef, day_version, day_weight, is_spike, version};
pub use generate::{SampleRecord, generate_day};
pub use map::{Malformed, map};
pub use record::platforms;
pub use topic::{Brand, Topic};
