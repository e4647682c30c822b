//! What the screens show: plain data, made by the feed and drawn by anybody. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::StepState;
use crate::graph::PartitionKey;
use crate::run_view::{RunDetail, StepView};
use crate::state::{DIED, Failure, RunLife, RunRow};

/// Where one partition stands. The worst is the greatest: a bucket shows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Cell {
    /// Outside the project's days: nothing.
    #[default]
    None,
    /// Up to date.
    Fresh,
    /// A capture that has not run decides.
    Awaits,
    /// Never made.
    Missing,
    /// Out of date.
    Stale,
    /// Being made.
    Running,
    /// Its newest attempt failed.
    Failed,
}

impl Cell {
    /// The word in lists and legends.
    pub fn word(self) -> &'static str {
        match self {
            Cell::None => "",
            Cell::Fresh => "fresh",
            Cell::Awaits => "awaits capture",
            Cell::Missing => "missing",
            Cell::Stale => "stale",
            Cell::Running => "running",
            Cell::Failed => "failed",
        }
    }
}

/// One asset and all its partitions.
#[derive(Clone, Debug, Default)]
pub struct AssetShot {
    /// Its name.
    pub key: String,
    /// bronze, silver or gold.
    pub layer: String,
    /// What makes it.
    pub kind: String,
    /// What it holds.
    pub description: String,
    /// What it reads, with the mapping where it is not the same day.
    pub upstream: Vec<String>,
    /// What reads it.
    pub downstream: Vec<String>,
    /// How many steps above it the sources are.
    pub depth: usize,
    /// By place: where each partition stands.
    pub cells: Vec<Cell>,
    /// By place: rows; `None` where nothing is published.
    pub rows: Vec<Option<u64>>,
    /// By place: when it was published, milliseconds since 1970 UTC; 0 for never.
    pub published: Vec<i64>,
    /// By place: its generation; 0 for none.
    pub generations: Vec<u32>,
    /// By place, for those that are not fresh: why, in words.
    pub why: BTreeMap<usize, String>,
    /// By place: what the newest failed attempt said.
    pub failed: BTreeMap<usize, String>,
    /// Columns and what they mean.
    pub columns: Vec<(String, String)>,
    /// Its SQL.
    pub sql: Option<String>,
    /// Its checks, in words.
    pub checks: Vec<String>,
    /// Whether it has days.
    pub daily: bool,
}

impl AssetShot {
    /// How many partitions stand so.
    pub fn count(&self, cell: Cell) -> usize {
        self.cells.iter().filter(|c| **c == cell).count()
    }

    /// The worst of them.
    pub fn worst(&self) -> Cell {
        self.cells.iter().copied().max().unwrap_or_default()
    }

    /// Rows of all partitions.
    pub fn total_rows(&self) -> u64 {
        self.rows.iter().flatten().sum()
    }
}

/// Every asset.
#[derive(Clone, Debug, Default)]
pub struct WorldShot {
    /// The project's name.
    pub project: String,
    /// The first day of every daily table; days since 1970-01-01.
    pub first_day: i32,
    /// How many days there are.
    pub days: usize,
    /// Upstream first.
    pub assets: Vec<AssetShot>,
    /// Windows that sources offer and nobody has read.
    pub windows_due: usize,
    /// What should be told.
    pub notes: Vec<String>,
}

/// A run in the list.
#[derive(Clone, Debug)]
pub struct RunShot {
    /// As recorded.
    pub row: RunRow,
    /// Seen from now.
    pub life: RunLife,
    /// Whether it is a backfill.
    pub backfill: bool,
}

impl RunShot {
    /// Whether its process died, noticed by the database or not yet.
    pub fn died(&self) -> bool {
        self.life == RunLife::Dead || self.row.message.as_deref() == Some(DIED)
    }

    /// Milliseconds from its beginning to its end, or until now while it is at work; to its last
    /// heartbeat when its process died.
    pub fn took_ms(&self, now_ms: i64) -> u64 {
        let end = match self.row.finished_ms {
            _ if self.died() => self.row.heartbeat_ms,
            Some(end) => end,
            None => now_ms,
        };
        u64::try_from(end - self.row.started_ms).unwrap_or(0)
    }
}

/// The lists that change while runs are at work.
#[derive(Clone, Debug, Default)]
pub struct RunsShot {
    /// Newest first.
    pub runs: Vec<RunShot>,
    /// What failed last and was not made since.
    pub failures: Vec<Failure>,
    /// Partitions being made now, by asset.
    pub running: BTreeMap<String, Vec<PartitionKey>>,
}

/// One run: its row, and the fold of its events.
#[derive(Clone, Debug, Default)]
pub struct DetailShot {
    /// As recorded; `None` while it is being read.
    pub run: Option<RunShot>,
    /// What its events say.
    pub detail: RunDetail,
}

impl DetailShot {
    /// Whether the run's process died, noticed by the database or not yet.
    pub fn died(&self) -> bool {
        self.run.as_ref().is_some_and(RunShot::died)
    }

    /// How a step stands: what was at work when its run's process died is so no longer.
    pub fn stands(&self, step: &StepView) -> Stands {
        match step.state {
            StepState::Running if self.died() => Stands::Died,
            StepState::Failed if self.died() && step.message.as_deref() == Some(DIED) => Stands::Died,
            state => Stands::In(state),
        }
    }

    /// When what is shown ends, milliseconds since the run began: now for a run at work, the last
    /// heartbeat for one whose process died (its end was recorded by whoever noticed, perhaps
    /// hours later), else the last step's end.
    pub fn end_ms(&self, now_ms: i64) -> i64 {
        let last = self.detail.lanes.values().filter_map(|l| l.to_ms).max().unwrap_or(0);
        match &self.run {
            Some(run) if run.died() => run.row.heartbeat_ms - run.row.started_ms,
            Some(run) if !run.row.state.is_final() => last.max(now_ms - run.row.started_ms),
            _ => last,
        }
        .max(1)
    }
}

/// How a step stands, seen from now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stands {
    /// As its events say.
    In(StepState),
    /// At work when its run's process died.
    Died,
}

impl Stands {
    /// The word in lists.
    pub fn word(self) -> &'static str {
        match self {
            Stands::In(state) => state.as_str(),
            Stands::Died => "died",
        }
    }
}

/// What the feed has read.
pub enum News {
    /// Assets and where their partitions stand.
    World(Arc<WorldShot>),
    /// Runs, failures, what is being made.
    Runs(Arc<RunsShot>),
    /// The run that is followed.
    Run(Arc<DetailShot>),
    /// Something could not be read.
    Trouble(String),
}
