//! How many steps of a run stand where, and what they have done so far.

use std::collections::BTreeMap;

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

    /// Takes one event in.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::RunStarted { command, steps } => {
                self.command.clone_from(command);
                self.steps = *steps;
            }
            Event::StepStarted { step, attempt } => {
                let counts = self.assets.entry(lane(step)).or_default();
                if *attempt == 1 {
                    counts.running += 1;
                }
            }
            Event::StepFinished { step, state, stats, message, checks, .. } => {
                let counts = self.assets.entry(lane(step)).or_default();
                let ran = matches!(state, StepState::Succeeded | StepState::Failed);
                if ran || counts.running > 0 && *state == StepState::Canceled {
                    counts.running = counts.running.saturating_sub(1);
                }
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
            }
            Event::StepRetry { .. } | Event::Log { .. } => {}
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
