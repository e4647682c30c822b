//! The declared asset graph: what depends on what, what is stale and why, and what a run
//! would do about it.
//!
//! Pure: no IO, no async, no clock, no environment. Everything here is a function of values
//! that others read. May not block.

mod asset;
mod asset_graph;
mod closure;
#[cfg(test)]
mod fixture;
mod kept;
mod ledger;
mod observation;
mod partition;
mod plan;
pub mod select;
#[cfg(test)]
mod select_tests;
mod select_text;
mod set;
mod staleness;
mod version;

pub use asset::{Asset, AssetIdx, AssetKey, AssetKeyError, AssetKind, AssetPartition, Dep, Layer};
pub use asset_graph::{AssetGraph, GraphError};
pub use closure::{closure_down, closure_up};
pub use kept::{is_kept, lost};
pub use ledger::{CodeId, Entry, Ledger, Outcome};
pub use observation::{CaptureReason, Observations, Window};
pub use partition::{Day, DayError, DayRange, PartitionKey, PartitionMapping, Partitioning};
pub use plan::{CaptureStep, KeptStep, PartitionStep, Plan, Request, plan, with_system_inputs};
pub use select::{DaySet, STATUS_WORDS, SelectError, Selection, StatusOf};
pub use set::PartitionSet;
pub use staleness::{Cause, Staleness, fingerprint, staleness};
pub use version::{CodeVersion, DataVersion, Fingerprint};

#[cfg(test)]
mod scenario_tests;
