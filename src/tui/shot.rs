//! What the screens show: plain data, made by the feed and drawn by anybody. Pure.

use std::collections::BTreeMap;

use crate::event::{Event, RunState, StepState, Target};
use crate::graph::PartitionKey;
use crate::run_view::RunView;
use crate::state::{Failure, RunLife, RunRow};

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

/// One line of a run's log.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// Milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// error, warn, info or debug.
    pub level: &'static str,
    /// In words, without control characters.
    pub text: String,
}

/// One step of a run.
#[derive(Clone, Debug)]
pub struct StepShot {
    /// What it works on, without the asset's name.
    pub part: String,
    /// Where it stands.
    pub state: StepState,
    /// The newest try.
    pub attempt: u32,
    /// Milliseconds since the run began.
    pub from_ms: Option<i64>,
    /// Milliseconds since the run began.
    pub to_ms: Option<i64>,
    /// Rows published.
    pub rows: Option<u64>,
    /// Rows read.
    pub rows_in: Option<u64>,
    /// What went wrong, or why it was skipped.
    pub message: Option<String>,
}

/// The steps of one asset (or of one source's captures) in a run.
#[derive(Clone, Debug, Default)]
pub struct LaneShot {
    /// In order of their start.
    pub steps: BTreeMap<String, StepShot>,
    /// When the first of them began, milliseconds since the run began.
    pub from_ms: Option<i64>,
    /// When the last one ended so far.
    pub to_ms: Option<i64>,
}

/// How many lines of a log are kept.
const LOG_LINES: usize = 5_000;

/// One run, folded from its events.
#[derive(Clone, Debug, Default)]
pub struct DetailShot {
    /// As recorded; `None` while it is being read.
    pub run: Option<RunShot>,
    /// The fold that plain output shows, too.
    pub view: RunView,
    /// By asset, or `asset ← source`.
    pub lanes: BTreeMap<String, LaneShot>,
    /// The newest lines.
    pub log: Vec<LogLine>,
    /// Lines that were let go.
    pub log_dropped: usize,
    /// The last event folded.
    pub seq: i64,
}

impl DetailShot {
    /// Puts a planned step in, before it begins.
    pub fn expect(&mut self, target: &Target) {
        self.view.expect(target);
        let (lane, part) = place(target);
        self.lanes.entry(lane).or_default().steps.entry(part.clone()).or_insert(StepShot {
            part,
            state: StepState::Waiting,
            attempt: 0,
            from_ms: None,
            to_ms: None,
            rows: None,
            rows_in: None,
            message: None,
        });
    }

    /// Takes one event in. `began` is when the run did.
    pub fn apply(&mut self, seq: i64, at_ms: i64, began: i64, event: &Event, line: String) {
        self.seq = seq;
        if self.view.state.is_some() {
            // A late word of a process that was taken for dead: what has ended stays as it is.
            self.tell(at_ms, "warn", line);
            return;
        }
        self.view.apply(event);
        let since = at_ms - began;
        let level = match event {
            Event::StepStarted { step, attempt } => {
                let (lane, s) = self.step(step);
                lane.from_ms = Some(lane.from_ms.map_or(since, |f| f.min(since)));
                if let Some(s) = lane.steps.get_mut(&s) {
                    s.state = StepState::Running;
                    s.attempt = *attempt;
                    s.from_ms.get_or_insert(since);
                }
                "debug"
            }
            Event::StepFinished { step, state, stats, message, elapsed_ms, .. } => {
                let (lane, s) = self.step(step);
                lane.to_ms = Some(lane.to_ms.map_or(since, |t| t.max(since)));
                if let Some(s) = lane.steps.get_mut(&s) {
                    s.state = *state;
                    s.to_ms = Some(since);
                    if *elapsed_ms > 0 {
                        s.from_ms.get_or_insert(since - i64::try_from(*elapsed_ms).unwrap_or(0));
                    }
                    s.rows = stats.rows_out;
                    s.rows_in = stats.rows_in;
                    s.message.clone_from(message);
                }
                match state {
                    StepState::Failed => "error",
                    StepState::UpstreamFailed => "warn",
                    _ => "info",
                }
            }
            Event::StepRetry { step, .. } => {
                let (lane, s) = self.step(step);
                if let Some(s) = lane.steps.get_mut(&s) {
                    s.state = StepState::Ready;
                }
                "warn"
            }
            Event::Log { level, .. } => match level.as_str() {
                "error" => "error",
                "warn" => "warn",
                "debug" => "debug",
                _ => "info",
            },
            Event::RunFinished { state, .. } => {
                // What had not ended by then never will.
                for step in self.lanes.values_mut().flat_map(|lane| lane.steps.values_mut()) {
                    if !step.state.is_final() {
                        step.state = StepState::Canceled;
                    }
                }
                if *state == RunState::Failed { "error" } else { "info" }
            }
            Event::RunStarted { .. } => "info",
        };
        self.tell(at_ms, level, line);
    }

    fn tell(&mut self, at_ms: i64, level: &'static str, text: String) {
        if self.log.len() >= LOG_LINES {
            let half = LOG_LINES / 2;
            self.log.drain(..half);
            self.log_dropped += half;
        }
        self.log.push(LogLine { at_ms, level, text });
    }

    fn step(&mut self, target: &Target) -> (&mut LaneShot, String) {
        let (lane, part) = place(target);
        if !self.lanes.get(&lane).is_some_and(|l| l.steps.contains_key(&part)) {
            self.expect(target);
        }
        (self.lanes.entry(lane).or_default(), part)
    }
}

/// The lane of a target, and its own name in it.
pub fn place(target: &Target) -> (String, String) {
    match target {
        Target::Capture { asset, source, window } => (format!("{asset} ← {source}"), window.clone()),
        Target::Partition { asset, partition } => (asset.to_string(), partition.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StepStats;

    #[test]
    fn steps_stand_where_the_database_has_them() {
        let step = |n: u32| Target::Partition {
            asset: "facts".parse().unwrap(),
            partition: PartitionKey::Day(format!("2026-08-{n:02}").parse().unwrap()),
        };
        let ended = |n, state| Event::StepFinished {
            step: step(n),
            state,
            stats: StepStats::default(),
            message: None,
            checks: vec![],
            elapsed_ms: 1,
        };
        let events = [
            Event::StepStarted { step: step(1), attempt: 1 },
            Event::StepRetry { step: step(1), attempt: 1, error: "slow".into(), wait_ms: 5 },
            Event::StepStarted { step: step(1), attempt: 2 },
            ended(1, StepState::Succeeded),
            Event::StepStarted { step: step(2), attempt: 1 },
            Event::RunFinished { state: RunState::Canceled, elapsed_ms: 9 },
            ended(2, StepState::Succeeded),
        ];
        let states: Vec<Vec<StepState>> = (1..=events.len())
            .map(|n| {
                let mut detail = DetailShot::default();
                (1..=3).for_each(|n| detail.expect(&step(n)));
                for (seq, event) in events[..n].iter().enumerate() {
                    detail.apply(seq as i64 + 1, 0, 0, event, String::new());
                }
                assert_eq!(detail.log.len(), n, "every event is a line");
                detail.lanes["facts"].steps.values().map(|s| s.state).collect()
            })
            .collect();
        use StepState::{Canceled, Ready, Running, Succeeded, Waiting};
        let wanted = [
            [Running, Waiting, Waiting],
            [Ready, Waiting, Waiting],
            [Running, Waiting, Waiting],
            [Succeeded, Waiting, Waiting],
            [Succeeded, Running, Waiting],
            [Succeeded, Canceled, Canceled],
            [Succeeded, Canceled, Canceled],
        ];
        assert_eq!(states, wanted);
    }
}
