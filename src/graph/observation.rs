//! Observations: what the sources offer now, seen cheaply before planning.
//!
//! A source's work is a list of [`Window`]s. What the product itself knows (labels, issue
//! types, coverage) is offered as one version a partition.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::asset::AssetIdx;
use super::ledger::Outcome;
use super::partition::DayRange;
use super::version::DataVersion;

/// Why a source has to look at a window again.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum CaptureReason {
    /// Never read before.
    New,
    /// Its content is not what was read.
    Changed,
    /// The adapter, its column map or the privacy rules are not those it was read with.
    AdapterChanged,
    /// The project's days are not those it was read for.
    DaysChanged,
    /// Records that lay in the future when it was read have arrived.
    FutureArrived,
    /// Days without a manifest of this source.
    MissingDays {
        /// How many.
        days: u32,
    },
    /// The time has come to look for news.
    Due,
    /// The last reading did not get everything.
    Retry,
    /// It was read before its scores had settled.
    Settled,
    /// Posts were deleted at their site or forgotten on request, and it may hold their text.
    Deleted {
        /// How many.
        posts: u32,
    },
    /// Asked for on the command line.
    Forced,
}

impl fmt::Display for CaptureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaptureReason::New => f.write_str("new"),
            CaptureReason::Changed => f.write_str("content changed"),
            CaptureReason::AdapterChanged => f.write_str("adapter, map or privacy changed"),
            CaptureReason::DaysChanged => f.write_str("the project's days changed"),
            CaptureReason::FutureArrived => f.write_str("future records arrived"),
            CaptureReason::MissingDays { days: 1 } => f.write_str("1 day has no manifest"),
            CaptureReason::MissingDays { days } => write!(f, "{days} days have no manifest"),
            CaptureReason::Due => f.write_str("due"),
            CaptureReason::Retry => f.write_str("the last reading did not get everything"),
            CaptureReason::Settled => f.write_str("read before its scores had settled"),
            CaptureReason::Deleted { posts: 1 } => f.write_str("1 post was deleted"),
            CaptureReason::Deleted { posts } => write!(f, "{posts} posts were deleted"),
            CaptureReason::Forced => f.write_str("forced"),
        }
    }
}

/// One piece of work of a source: a changed file, or a run of days.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// The source's name in the configuration.
    pub source: String,
    /// What is read: a file's project-relative path, or `2026-11-01..2026-11-30`.
    pub id: String,
    /// The days it can hold; `None` when that shows only on reading.
    pub days: Option<DayRange>,
    /// Why it is due.
    pub reason: CaptureReason,
    /// Bytes to read, for progress; 0 when unknown.
    pub bytes: u64,
}

/// What everything outside the graph offers at the moment of planning.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    /// Work due, by source asset.
    pub due: BTreeMap<AssetIdx, Vec<Window>>,
    /// For system assets: the version on offer, by place.
    pub offered: HashMap<AssetIdx, Vec<DataVersion>>,
    /// Days whose posts have lost their texts, by place of the day; shorter than the project's
    /// days when nothing is known of the rest.
    pub textless: Vec<bool>,
    /// Incomplete partitions, by asset and outcome, that could get no further now: no key is set,
    /// a budget is spent, a batch is not due.
    pub held: BTreeMap<AssetIdx, Vec<Outcome>>,
}

impl Observations {
    /// Whether the posts of the day at that place have lost their texts.
    pub fn is_textless(&self, slot: usize) -> bool {
        self.textless.get(slot).copied().unwrap_or(false)
    }
}
