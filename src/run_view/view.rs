//! How many steps of a run stand where, and what they have done so far.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Event, RunState, StepState, StepStats, Target};
use crate::graph::AssetKey;

/// How many steps of one asset stand where.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Counts {
    /// Planned steps.
    pub planned: u64,
    /// At work now.
    pub running: u64,
    /// Published.
    pub succeeded: u64,
    /// Of these, published with the content of the version before.
    pub unchanged: u64,
    /// Not published.
    pub failed: u64,
    /// Fresh when their turn came.
    pub skipped: u64,
    /// Blocked by a failed upstream.
    pub upstream_failed: u64,
    /// Stopped.
    pub canceled: u64,
}

impl Counts {
    /// Steps in a final state.
    pub fn done(&self) -> u64 {
        self.succeeded + self.failed + self.skipped + self.upstream_failed + self.canceled
    }

    fn add(&mut self, state: StepState) {
        match state {
            StepState::Succeeded => self.succeeded += 1,
            StepState::Failed => self.failed += 1,
            StepState::Skipped => self.skipped += 1,
            StepState::UpstreamFailed => self.upstream_failed += 1,
            StepState::Canceled => self.canceled += 1,
            StepState::Waiting | StepState::Ready | StepState::Running => {}
        }
    }
}

/// One failed step, for summaries.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Failure {
    /// Which.
    pub step: Target,
    /// `failed` or `upstream_failed`.
    pub state: StepState,
    /// Why.
    pub message: String,
}

/// A run as it stands after the events applied so far.
#[derive(Clone, PartialEq, Debug, Default, serde::Serialize)]
pub struct RunView {
    /// The command.
    pub command: String,
    /// Planned steps of all assets.
    pub steps: u64,
    /// How it ended, once it has.
    pub state: Option<RunState>,
    /// From start to end, milliseconds, once it has ended.
    pub elapsed_ms: Option<u64>,
    /// By asset, captures apart (`raw_posts ← inbox`).
    pub assets: BTreeMap<String, Counts>,
    /// The sums of what finished steps say, by asset.
    pub totals: BTreeMap<AssetKey, StepStats>,
    /// Sums over captures, by source.
    pub captured: BTreeMap<String, StepStats>,
    /// Failed steps, the first 1,000.
    pub failures: Vec<Failure>,
    /// Warnings of checks.
    pub warnings: u64,
    /// Steps at work now.
    #[serde(skip)]
    at_work: BTreeSet<Target>,
}

/// What the steps of one asset are counted under; the captures of each source have a lane of
/// their own.
pub fn lane(step: &Target) -> String {
    match step {
        Target::Capture { asset, source, .. } => capture_lane(asset, source),
        Target::Partition { asset, .. } => asset.to_string(),
    }
}

/// The lane of the captures of a source into an asset.
pub fn capture_lane(asset: &AssetKey, source: &str) -> String {
    format!("{asset} ← {source}")
}

fn sum(into: &mut Option<u64>, more: Option<u64>) {
    if let Some(more) = more {
        *into = Some(into.unwrap_or(0) + more);
    }
}

impl RunView {
    /// Says how many steps an asset (or a source) has before any of them has started.
    pub fn expect(&mut self, step: &Target) {
        self.assets.entry(lane(step)).or_default().planned += 1;
    }

    /// Takes one event in. Nothing counts after the run's end: it is the late word of a process
    /// that was taken for dead.
    pub fn apply(&mut self, event: &Event) {
        if self.state.is_some() {
            return;
        }
        match event {
            Event::RunStarted { command, steps } => {
                self.command.clone_from(command);
                self.steps = *steps;
            }
            Event::StepStarted { step, .. } => {
                if self.at_work.insert(step.clone()) {
                    self.assets.entry(lane(step)).or_default().running += 1;
                }
            }
            Event::StepRetry { step, .. } => self.rests(step),
            Event::StepFinished { step, state, stats, message, checks, .. } => {
                self.rests(step);
                let counts = self.assets.entry(lane(step)).or_default();
                counts.add(*state);
                if stats.unchanged == Some(true) {
                    counts.unchanged += 1;
                }
                self.warnings +=
                    checks.iter().filter(|c| c.status == crate::event::CheckStatus::Warned).count() as u64;
                if *state == StepState::Succeeded {
                    let total = match step {
                        Target::Capture { source, .. } => self.captured.entry(source.clone()).or_default(),
                        Target::Partition { asset, .. } => self.totals.entry(asset.clone()).or_default(),
                    };
                    sum(&mut total.rows_in, stats.rows_in);
                    sum(&mut total.rows_out, stats.rows_out);
                    sum(&mut total.off_brand, stats.off_brand);
                    for (reason, n) in &stats.dropped {
                        *total.dropped.entry(reason.clone()).or_default() += n;
                    }
                    sum(&mut total.quarantined, stats.quarantined);
                    sum(&mut total.duplicate, stats.duplicate);
                    sum(&mut total.bytes, stats.bytes);
                }
                if matches!(state, StepState::Failed | StepState::UpstreamFailed)
                    && self.failures.len() < 1000
                {
                    let message = message.clone().unwrap_or_default();
                    self.failures.push(Failure { step: step.clone(), state: *state, message });
                }
            }
            Event::RunFinished { state, elapsed_ms } => {
                self.state = Some(*state);
                self.elapsed_ms = Some(*elapsed_ms);
                // What had not ended never will.
                self.at_work.clear();
                for counts in self.assets.values_mut() {
                    counts.running = 0;
                    counts.canceled += counts.planned.saturating_sub(counts.done());
                }
            }
            Event::Log { .. } => {}
        }
    }

    /// A step is not at work any more.
    fn rests(&mut self, step: &Target) {
        if self.at_work.remove(step)
            && let Some(counts) = self.assets.get_mut(&lane(step))
        {
            counts.running = counts.running.saturating_sub(1);
        }
    }

    /// The sums over all assets.
    pub fn total(&self) -> Counts {
        let mut out = Counts::default();
        for c in self.assets.values() {
            out.planned += c.planned;
            out.running += c.running;
            out.succeeded += c.succeeded;
            out.unchanged += c.unchanged;
            out.failed += c.failed;
            out.skipped += c.skipped;
            out.upstream_failed += c.upstream_failed;
            out.canceled += c.canceled;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::PartitionKey;

    fn target(n: u32) -> Target {
        let day = format!("2026-08-{n:02}").parse().unwrap();
        Target::Partition { asset: "facts".parse().unwrap(), partition: PartitionKey::Day(day) }
    }

    fn started(n: u32, attempt: u32) -> Event {
        Event::StepStarted { step: target(n), attempt }
    }

    fn ended(n: u32, state: StepState) -> Event {
        Event::StepFinished {
            step: target(n),
            state,
            stats: StepStats::default(),
            message: None,
            checks: vec![],
            elapsed_ms: 1,
        }
    }

    fn view(planned: u32, events: &[Event]) -> Counts {
        let mut view = RunView::default();
        (1..=planned).for_each(|n| view.expect(&target(n)));
        events.iter().for_each(|e| view.apply(e));
        view.total()
    }

    #[test]
    fn what_is_at_work_is_counted_by_step() {
        let retry = Event::StepRetry { step: target(1), attempt: 1, error: "slow".into(), wait_ms: 5 };
        let events = [
            started(1, 1),
            started(2, 1),
            retry,
            started(1, 2),
            // Found done by another run while it was at work; canceled without having been.
            ended(2, StepState::Skipped),
            ended(3, StepState::Canceled),
        ];
        assert_eq!(view(4, &events[..2]).running, 2);
        assert_eq!(view(4, &events[..3]).running, 1, "the first one waits for another try");
        assert_eq!(view(4, &events[..4]).running, 2);
        assert_eq!(view(4, &events).running, 1);
    }

    #[test]
    fn the_end_of_a_run_is_the_end_of_its_steps() {
        let over = Event::RunFinished { state: RunState::Failed, elapsed_ms: 9 };
        let events = [started(1, 1), started(2, 1), ended(1, StepState::Failed), over];
        let counts = view(4, &events);
        assert_eq!((counts.failed, counts.canceled, counts.running), (1, 3, 0));
        // A process that was taken for dead goes on and says so: too late.
        let late = [&events[..], &[ended(2, StepState::Succeeded)]].concat();
        assert_eq!(view(4, &late), counts);
    }
}
