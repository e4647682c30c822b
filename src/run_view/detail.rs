//! A run in detail: its steps by lane, when they ran, and its log.
//!
//! Times are milliseconds since the run began, by the clock of the process that recorded them.

use std::collections::BTreeMap;

use crate::event::{Event, RunState, StepState, Target};

use super::view::{RunView, lane};

/// How many lines of a log are kept at most.
const LOG_LINES: usize = 5_000;

/// How much a line of a log matters; the greatest matters most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Beside the point.
    Debug,
    /// In order.
    Info,
    /// Worth a look.
    Warn,
    /// Something failed.
    Error,
}

impl LogLevel {
    /// How much an event matters.
    pub fn of(event: &Event) -> Self {
        match event {
            Event::StepStarted { .. } => LogLevel::Debug,
            Event::StepFinished { state: StepState::Failed, .. }
            | Event::RunFinished { state: RunState::Failed, .. } => LogLevel::Error,
            Event::StepFinished { state: StepState::UpstreamFailed, .. } | Event::StepRetry { .. } => {
                LogLevel::Warn
            }
            Event::Log { level, .. } => match level.as_str() {
                "error" => LogLevel::Error,
                "warn" => LogLevel::Warn,
                "debug" => LogLevel::Debug,
                _ => LogLevel::Info,
            },
            Event::StepFinished { .. } | Event::RunStarted { .. } | Event::RunFinished { .. } => {
                LogLevel::Info
            }
        }
    }
}

/// One line of a run's log.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct LogLine {
    /// Milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// How much it matters.
    pub level: LogLevel,
    /// In words, as whoever folds has put it.
    pub text: String,
}

/// One step of a run.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct StepView {
    /// What it works on, without the name of its lane.
    pub part: String,
    /// Where it stands.
    pub state: StepState,
    /// The newest try; 0 before the first.
    pub attempt: u32,
    /// When it began.
    pub from_ms: Option<i64>,
    /// When it ended.
    pub to_ms: Option<i64>,
    /// Rows published.
    pub rows: Option<u64>,
    /// Rows read.
    pub rows_in: Option<u64>,
    /// What went wrong, or why it was skipped.
    pub message: Option<String>,
}

/// The steps of one asset, or of one source's captures into it.
#[derive(Clone, PartialEq, Debug, Default, serde::Serialize)]
pub struct Lane {
    /// The asset's name.
    pub asset: String,
    /// By what they work on, in order.
    pub steps: BTreeMap<String, StepView>,
    /// When the first of them began.
    pub from_ms: Option<i64>,
    /// When the last one ended so far.
    pub to_ms: Option<i64>,
}

/// A run as it stands after the events applied so far, step by step.
#[derive(Clone, PartialEq, Debug, Default, serde::Serialize)]
pub struct RunDetail {
    /// The counts.
    pub view: RunView,
    /// By [`lane`].
    pub lanes: BTreeMap<String, Lane>,
    /// The newest lines.
    pub log: Vec<LogLine>,
    /// How many older lines were let go.
    pub log_dropped: usize,
    /// The sequence number of the last event applied; 0 before the first.
    pub seq: i64,
}

impl RunDetail {
    /// Puts a planned step in, before it begins.
    pub fn expect(&mut self, target: &Target) {
        self.view.expect(target);
        let part = part(target);
        let lane = self.lanes.entry(lane(target)).or_default();
        lane.asset = target.asset().to_string();
        lane.steps.entry(part.clone()).or_insert(StepView {
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

    /// Takes the event of a sequence number in. It was recorded at `at_ms`, the run began at
    /// `began_ms` (both milliseconds since 1970 UTC); `line` is what the log says of it. After the
    /// run's end it is only a line, as a warning: the late word of a process that was taken for
    /// dead, and what has ended stays as it is.
    pub fn apply(&mut self, seq: i64, at_ms: i64, began_ms: i64, event: &Event, line: String) {
        self.seq = seq;
        if self.view.state.is_some() {
            self.tell(at_ms, LogLevel::Warn, line);
            return;
        }
        self.view.apply(event);
        let since = at_ms.saturating_sub(began_ms);
        match event {
            Event::StepStarted { step, attempt } => {
                let (lane, part) = self.lane_of(step);
                lane.from_ms = Some(lane.from_ms.map_or(since, |f| f.min(since)));
                if let Some(s) = lane.steps.get_mut(&part) {
                    s.state = StepState::Running;
                    s.attempt = *attempt;
                    s.from_ms.get_or_insert(since);
                }
            }
            Event::StepFinished { step, state, stats, message, elapsed_ms, .. } => {
                let (lane, part) = self.lane_of(step);
                lane.to_ms = Some(lane.to_ms.map_or(since, |t| t.max(since)));
                if let Some(s) = lane.steps.get_mut(&part) {
                    s.state = *state;
                    s.to_ms = Some(since);
                    if *elapsed_ms > 0 {
                        s.from_ms.get_or_insert(since - i64::try_from(*elapsed_ms).unwrap_or(0));
                    }
                    s.rows = stats.rows_out;
                    s.rows_in = stats.rows_in;
                    s.message.clone_from(message);
                }
            }
            Event::StepRetry { step, .. } => {
                let (lane, part) = self.lane_of(step);
                if let Some(s) = lane.steps.get_mut(&part) {
                    s.state = StepState::Ready;
                }
            }
            Event::RunFinished { .. } => {
                // What had not ended never will.
                for step in self.lanes.values_mut().flat_map(|lane| lane.steps.values_mut()) {
                    if !step.state.is_final() {
                        step.state = StepState::Canceled;
                    }
                }
            }
            Event::Log { .. } | Event::RunStarted { .. } => {}
        }
        self.tell(at_ms, LogLevel::of(event), line);
    }

    /// Adds a line to the log; when it is full, its older half goes.
    fn tell(&mut self, at_ms: i64, level: LogLevel, text: String) {
        if self.log.len() >= LOG_LINES {
            let half = LOG_LINES / 2;
            self.log.drain(..half);
            self.log_dropped += half;
        }
        self.log.push(LogLine { at_ms, level, text });
    }

    /// The lane of a target, with its step in it, and the step's name.
    fn lane_of(&mut self, target: &Target) -> (&mut Lane, String) {
        let (lane, part) = (lane(target), part(target));
        if !self.lanes.get(&lane).is_some_and(|l| l.steps.contains_key(&part)) {
            self.expect(target);
        }
        (self.lanes.entry(lane).or_default(), part)
    }
}

/// What a target is called in its lane.
fn part(target: &Target) -> String {
    match target {
        Target::Capture { window, .. } => window.clone(),
        Target::Partition { partition, .. } => partition.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StepStats;
    use crate::graph::PartitionKey;

    const BEGAN: i64 = 1_790_000_000_000;

    fn capture(window: &str) -> Target {
        Target::Capture { asset: "raw_posts".parse().unwrap(), source: "inbox".into(), window: window.into() }
    }

    fn day(text: &str) -> Target {
        Target::Partition {
            asset: "facts".parse().unwrap(),
            partition: PartitionKey::Day(text.parse().unwrap()),
        }
    }

    fn finished(step: &Target, state: StepState, elapsed_ms: u64) -> Event {
        Event::StepFinished {
            step: step.clone(),
            state,
            stats: StepStats { rows_in: Some(9), rows_out: Some(7), ..StepStats::default() },
            message: (state == StepState::Failed).then(|| "no number".into()),
            checks: vec![],
            elapsed_ms,
        }
    }

    fn folded(events: &[(i64, Event)]) -> RunDetail {
        let mut detail = RunDetail::default();
        detail.expect(&day("2026-08-01"));
        detail.expect(&day("2026-08-02"));
        for (i, (after, event)) in events.iter().enumerate() {
            detail.apply(i as i64 + 1, BEGAN + after, BEGAN, event, format!("line {i}"));
        }
        detail
    }

    #[test]
    fn steps_stand_in_lanes_with_their_times() {
        let (a, b) = (day("2026-08-01"), day("2026-08-02"));
        let detail = folded(&[
            (0, Event::RunStarted { command: "materialize".into(), steps: 2 }),
            (5, Event::StepStarted { step: a.clone(), attempt: 1 }),
            (6, Event::StepStarted { step: b.clone(), attempt: 1 }),
            (8, Event::StepRetry { step: b.clone(), attempt: 1, error: "busy".into(), wait_ms: 1 }),
            (9, Event::StepStarted { step: b.clone(), attempt: 2 }),
            (30, finished(&a, StepState::Succeeded, 25)),
            // A step nobody has announced; what it took says when it began.
            (50, finished(&capture("in/a.ndjson"), StepState::Failed, 20)),
        ]);
        assert_eq!(detail.lanes.keys().collect::<Vec<_>>(), ["facts", "raw_posts ← inbox"]);
        let facts = &detail.lanes["facts"];
        assert_eq!((facts.asset.as_str(), facts.from_ms, facts.to_ms), ("facts", Some(5), Some(30)));
        let step = |day: &str| {
            let s = &facts.steps[day];
            (s.state, s.attempt, s.from_ms, s.to_ms, s.rows)
        };
        assert_eq!(step("2026-08-01"), (StepState::Succeeded, 1, Some(5), Some(30), Some(7)));
        assert_eq!(step("2026-08-02"), (StepState::Running, 2, Some(6), None, None), "since the first try");
        let lane = &detail.lanes["raw_posts ← inbox"];
        assert_eq!(lane.asset, "raw_posts");
        let s = &lane.steps["in/a.ndjson"];
        assert_eq!((s.from_ms, s.to_ms, s.message.as_deref()), (Some(30), Some(50), Some("no number")));
        assert_eq!(detail.seq, 7);
        let levels: Vec<LogLevel> = detail.log.iter().map(|l| l.level).collect();
        use LogLevel::*;
        assert_eq!(levels, [Info, Debug, Debug, Warn, Debug, Info, Error]);
        assert_eq!((detail.view.total().planned, detail.view.total().failed), (3, 1));
    }

    #[test]
    fn steps_stand_where_the_database_has_them() {
        let step = |n: u32| day(&format!("2026-08-{n:02}"));
        let events = [
            Event::StepStarted { step: step(1), attempt: 1 },
            Event::StepRetry { step: step(1), attempt: 1, error: "slow".into(), wait_ms: 5 },
            Event::StepStarted { step: step(1), attempt: 2 },
            finished(&step(1), StepState::Succeeded, 1),
            Event::StepStarted { step: step(2), attempt: 1 },
            Event::RunFinished { state: RunState::Canceled, elapsed_ms: 9 },
            finished(&step(2), StepState::Succeeded, 1),
        ];
        let folds: Vec<RunDetail> = (1..=events.len())
            .map(|n| {
                let mut detail = RunDetail::default();
                (1..=3).for_each(|n| detail.expect(&step(n)));
                for (i, event) in events[..n].iter().enumerate() {
                    detail.apply(i as i64 + 1, BEGAN, BEGAN, event, String::new());
                }
                assert_eq!((detail.log.len(), detail.seq), (n, n as i64), "every event is a line");
                detail
            })
            .collect();
        let states: Vec<Vec<StepState>> =
            folds.iter().map(|d| d.lanes["facts"].steps.values().map(|s| s.state).collect()).collect();
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
        // The late word changes nothing but the log, and stands out there.
        let [ended, late] = &folds[5..] else { panic!("two") };
        assert_eq!((&late.view, &late.lanes), (&ended.view, &ended.lanes));
        assert_eq!(late.log.last().unwrap().level, LogLevel::Warn);
        assert_eq!(ended.log.last().unwrap().level, LogLevel::Info);
    }

    #[test]
    fn a_long_log_keeps_its_newest_lines_and_counts_the_others() {
        let line = |i: usize| Event::Log { level: "info".into(), step: None, message: i.to_string() };
        let events: Vec<_> = (0..LOG_LINES + 1).map(|i| (i as i64, line(i))).collect();
        let detail = folded(&events);
        assert_eq!(detail.log.len() + detail.log_dropped, LOG_LINES + 1);
        assert_eq!(detail.log_dropped, LOG_LINES / 2);
        assert_eq!(detail.log.last().unwrap().text, format!("line {LOG_LINES}"));
        assert_eq!(detail.log[0].text, format!("line {}", LOG_LINES / 2));
    }
}
