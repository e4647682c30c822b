//! Execution of a plan.

mod schedule;

pub use schedule::{Limits, Recheck, Schedule, Transition, Work, WorkId};

#[cfg(test)]
mod schedule_tests;
