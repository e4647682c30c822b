//! Progress of a run on standard error: bars on a terminal, lines elsewhere.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::{Event, StepState, Target};
use crate::run_view::RunView;

use super::terminal::{self, ProgressMode, dim, err, green, red, yellow};
use super::{sanitize, text};

/// How often a plain run without news says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Shows a run as its events arrive.
pub struct Progress {
    mode: Mode,
    /// The fold of everything seen.
    pub view: RunView,
    started: Instant,
    last_line: Instant,
    told: u64,
    shown_failures: usize,
}

enum Mode {
    Bars {
        multi: MultiProgress,
        bars: std::collections::BTreeMap<String, ProgressBar>,
        order: Vec<String>,
    },
    Plain,
    /// No bars and no counts; what went wrong is said, and unless `quiet` what may be wrong.
    Silent {
        quiet: bool,
    },
}

/// How much a line matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    Error,
    Warning,
    Note,
}

impl Progress {
    /// Progress of a run of `steps`; `lanes` gives the assets in the order to show.
    pub fn new(mode: ProgressMode, targets: impl Iterator<Item = Target>, order: Vec<String>) -> Self {
        let bars = match mode {
            ProgressMode::Auto => terminal::stderr_is_terminal(),
            ProgressMode::Bar => true,
            ProgressMode::Plain | ProgressMode::None => false,
        };
        let mode = match mode {
            ProgressMode::None => Mode::Silent { quiet: false },
            _ if bars => Mode::Bars {
                multi: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)),
                bars: Default::default(),
                order,
            },
            _ => Mode::Plain,
        };
        let mut view = RunView::default();
        for target in targets {
            view.expect(&target);
        }
        let now = Instant::now();
        Self { mode, view, started: now, last_line: now, told: 0, shown_failures: 0 }
    }

    /// Says nothing but errors.
    pub fn only_errors(mut self) -> Self {
        self.mode = Mode::Silent { quiet: true };
        self
    }

    /// Takes one event in.
    pub fn event(&mut self, event: &Event) {
        self.view.apply(event);
        match event {
            Event::StepFinished { step, state: StepState::Failed, message, .. } => {
                // The first failures at once, in full; the summary counts the rest.
                if self.shown_failures < 10 {
                    let message = message.as_deref().unwrap_or("failed");
                    let line = format!("{} {step}: {}", red("failed"), sanitize::block(message));
                    self.say(&line, Weight::Error);
                }
                self.shown_failures += 1;
            }
            Event::StepRetry { step, attempt, error, wait_ms } => {
                let error = sanitize::line(error);
                let wait = text::duration(*wait_ms);
                let line = format!(
                    "{} {step}: attempt {attempt} failed ({error}); again in {wait}",
                    yellow("retry")
                );
                self.say(&line, Weight::Warning);
            }
            Event::Log { level, message, .. } if level == "warn" => {
                self.say(&format!("{} {}", yellow("warning"), sanitize::block(message)), Weight::Warning);
            }
            Event::Log { level, message, .. } if level == "error" => {
                self.say(&format!("{} {}", red("error"), sanitize::block(message)), Weight::Error);
            }
            Event::Log { level, message, .. } if level == "info" => {
                self.line(&format!("{} {}", dim("note"), sanitize::block(message)));
            }
            _ => {}
        }
        self.refresh();
    }

    /// Says something above the bars, where somebody looks at them.
    pub fn line(&mut self, line: &str) {
        self.say(line, Weight::Note);
    }

    fn say(&mut self, line: &str, weight: Weight) {
        match &self.mode {
            Mode::Bars { multi, .. } => multi.suspend(|| err(&format!("{line}\n"))),
            Mode::Plain => err(&format!("{line}\n")),
            Mode::Silent { quiet } => {
                if weight == Weight::Error || (weight == Weight::Warning && !*quiet) {
                    err(&format!("{line}\n"));
                }
            }
        }
        self.last_line = Instant::now();
    }

    fn refresh(&mut self) {
        let view = &self.view;
        match &mut self.mode {
            Mode::Bars { multi, bars, order } => {
                for lane in order.iter() {
                    let Some(counts) = view.assets.get(lane).filter(|c| c.planned > 0) else { continue };
                    let bar = bars.entry(lane.clone()).or_insert_with(|| {
                        let style =
                            ProgressStyle::with_template("{prefix:24} {bar:30} {pos:>6}/{len:<6} {msg}")
                                .unwrap_or_else(|_| ProgressStyle::default_bar())
                                .progress_chars("━╸─");
                        let bar = multi.add(ProgressBar::new(counts.planned).with_style(style));
                        bar.set_prefix(lane.clone());
                        bar
                    });
                    bar.set_position(counts.done());
                    bar.set_message(words(counts));
                }
            }
            Mode::Plain => {
                // One line a finished asset, and a sign of life in between.
                let finished: u64 =
                    view.assets.values().filter(|c| c.planned > 0 && c.done() >= c.planned).count() as u64;
                if finished > self.told || self.last_line.elapsed() >= HEARTBEAT {
                    let done = view.total().done();
                    let elapsed = text::duration(self.started.elapsed().as_millis() as u64);
                    let line = format!(
                        "{} of {} steps, {} ({elapsed})",
                        text::count(done),
                        text::count(view.total().planned),
                        words(&view.total())
                    );
                    self.told = finished;
                    self.line(&line);
                }
            }
            Mode::Silent { .. } => {}
        }
    }

    /// Called now and then so that a quiet run still shows life.
    pub fn tick(&mut self) {
        self.refresh();
    }

    /// Takes the bars away, leaving their last state on the screen.
    pub fn finish(&mut self) {
        if let Mode::Bars { bars, .. } = &self.mode {
            for bar in bars.values() {
                bar.abandon();
            }
        }
    }
}

/// `12 published, 3 fresh, 1 failed`.
pub fn words(c: &crate::run_view::Counts) -> String {
    let mut parts = Vec::new();
    if c.succeeded > 0 {
        parts.push(green(&format!("{} done", text::count(c.succeeded))));
    }
    if c.skipped > 0 {
        parts.push(dim(&format!("{} fresh", text::count(c.skipped))));
    }
    if c.failed > 0 {
        parts.push(red(&format!("{} failed", text::count(c.failed))));
    }
    if c.upstream_failed > 0 {
        parts.push(yellow(&format!("{} blocked", text::count(c.upstream_failed))));
    }
    if c.canceled > 0 {
        parts.push(yellow(&format!("{} canceled", text::count(c.canceled))));
    }
    if parts.is_empty() {
        parts.push(dim("waiting"));
    }
    parts.join(", ")
}
