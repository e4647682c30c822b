//! What happened in a run, as it is recorded and shown. Pure data.
//!
//! Events are recorded in order with a sequence number; a viewer in another process follows
//! by reading the events after the last number it has seen.

use std::fmt;

use crate::graph::{AssetKey, DataVersion, PartitionKey};

/// What a step works on.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Target {
    /// A source reads one window of what it offers.
    Capture {
        /// The source asset that the posts go to.
        asset: AssetKey,
        /// The source's name in the configuration.
        source: String,
        /// A file's path, or a run of days.
        window: String,
    },
    /// One partition of an asset is made.
    Partition {
        /// The asset.
        asset: AssetKey,
        /// The partition.
        partition: PartitionKey,
    },
}

impl Target {
    /// The asset concerned.
    pub fn asset(&self) -> &AssetKey {
        match self {
            Target::Capture { asset, .. } | Target::Partition { asset, .. } => asset,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Capture { asset, source, window } => write!(f, "{asset} ← {source}: {window}"),
            Target::Partition { asset, partition: PartitionKey::Whole } => asset.fmt(f),
            Target::Partition { asset, partition } => write!(f, "{asset}[{partition}]"),
        }
    }
}

/// Where a step stands. The last five are final and never overwritten.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// An upstream step is not done.
    Waiting,
    /// Nothing holds it up but a free place.
    Ready,
    /// Being made.
    Running,
    /// Published.
    Succeeded,
    /// Nothing was published; the last good version stays.
    Failed,
    /// Fresh when its turn came: nothing to do.
    Skipped,
    /// Something it reads could not be made.
    UpstreamFailed,
    /// The run was canceled before it was published.
    Canceled,
}

impl StepState {
    /// The word in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            StepState::Waiting => "waiting",
            StepState::Ready => "ready",
            StepState::Running => "running",
            StepState::Succeeded => "succeeded",
            StepState::Failed => "failed",
            StepState::Skipped => "skipped",
            StepState::UpstreamFailed => "upstream_failed",
            StepState::Canceled => "canceled",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        use StepState::*;
        [Waiting, Ready, Running, Succeeded, Failed, Skipped, UpstreamFailed, Canceled]
            .into_iter()
            .find(|s| s.as_str() == word)
    }

    /// Whether it never changes again.
    pub fn is_final(self) -> bool {
        !matches!(self, StepState::Waiting | StepState::Ready | StepState::Running)
    }
}

/// Where a run stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Recorded, not started.
    Queued,
    /// Its process is at work (or dead without having said so: see its heartbeat).
    Running,
    /// Every step succeeded or was fresh.
    Succeeded,
    /// At least one step failed.
    Failed,
    /// Stopped on request.
    Canceled,
}

impl RunState {
    /// The word in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Queued => "queued",
            RunState::Running => "running",
            RunState::Succeeded => "succeeded",
            RunState::Failed => "failed",
            RunState::Canceled => "canceled",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        use RunState::*;
        [Queued, Running, Succeeded, Failed, Canceled].into_iter().find(|s| s.as_str() == word)
    }

    /// Whether it never changes again.
    pub fn is_final(self) -> bool {
        !matches!(self, RunState::Queued | RunState::Running)
    }
}

/// Numbers of one finished step. Absent means not applicable or unknown, never zero.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct StepStats {
    /// Rows read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_in: Option<u64>,
    /// Rows published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_out: Option<u64>,
    /// Posts read that match no brand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub off_brand: Option<u64>,
    /// Rows that the query counted and left out, by reason (`off_brand` is one of them).
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub dropped: std::collections::BTreeMap<String, u64>,
    /// Records set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<u64>,
    /// Records that repeat an earlier one of the same reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<u64>,
    /// Bytes published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Requests made over the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// The number of the manifest published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// The content published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_version: Option<DataVersion>,
    /// True when the content equals the version before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<bool>,
}

/// The result of one check.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// Holds.
    Passed,
    /// Does not hold, and is only a warning.
    Warned,
    /// Does not hold.
    Failed,
}

/// What one check found.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct CheckResult {
    /// Its name: the type and the columns.
    pub check: String,
    /// How it ended.
    pub status: CheckStatus,
    /// How many rows violate it.
    pub violations: u64,
    /// What was found, with one example (sanitized).
    pub message: String,
}

/// One thing that happened in a run.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run began.
    RunStarted {
        /// The command, as a person would type it.
        command: String,
        /// How many steps are planned.
        steps: u64,
    },
    /// A step began (or began again).
    StepStarted {
        /// Which.
        step: Target,
        /// 1 for the first try.
        attempt: u32,
    },
    /// A step will be tried again.
    StepRetry {
        /// Which.
        step: Target,
        /// The try that failed.
        attempt: u32,
        /// What went wrong.
        error: String,
        /// Milliseconds until the next try.
        wait_ms: u64,
    },
    /// A step ended.
    StepFinished {
        /// Which.
        step: Target,
        /// How; always a final state.
        state: StepState,
        /// Numbers.
        stats: StepStats,
        /// What went wrong, or why it was skipped.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// What its checks found.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        checks: Vec<CheckResult>,
        /// From start to end, milliseconds; 0 for a step that never ran.
        elapsed_ms: u64,
    },
    /// Something worth telling.
    Log {
        /// `error`, `warn`, `info` or `debug`.
        level: String,
        /// Which step, if one.
        #[serde(skip_serializing_if = "Option::is_none")]
        step: Option<Target>,
        /// In words.
        message: String,
    },
    /// The run ended.
    RunFinished {
        /// How; always a final state.
        state: RunState,
        /// From start to end, milliseconds.
        elapsed_ms: u64,
    },
}
