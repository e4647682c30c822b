//! What the viewer shows and how keys change it. Pure: no terminal, no database, no clock.

use std::sync::Arc;

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use crate::graph::Day;
use crate::output::text;
use crate::run_view::LogLine;
use crate::state::{RunId, RunLife};

use super::heat::{self, Zoom};
use super::keys::{self, Action};
use super::shot::{AssetShot, Cell, DetailShot, RunShot, RunsShot, WorldShot};
use super::theme::Theme;

/// What fills the screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Screen {
    /// The graph with its status.
    Assets,
    /// One asset: lineage, columns, SQL, checks, history.
    Asset(String),
    /// The heat map of one asset.
    Partitions(String),
    /// All runs.
    Runs,
    /// Runs over sets.
    Backfills,
    /// What failed last.
    Failures,
    /// One run.
    Run(RunId),
}

/// What lies above the screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Popup {
    /// The keys.
    Help,
    /// What a command would do; Enter starts it.
    Plan {
        /// The command.
        argv: Vec<String>,
        /// What `plan` says; `None` while it is asked.
        text: Option<String>,
    },
    /// A question; Enter means yes.
    Confirm {
        /// In words.
        question: String,
        /// What is run then.
        argv: Vec<String>,
    },
    /// Something to read.
    Message {
        /// In words.
        text: String,
    },
}

/// What is being typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Typing {
    /// A filter or search.
    Filter(String),
    /// A command.
    Command(String),
}

/// What the terminal loop has to do for the app.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Nothing.
    None,
    /// End the viewer.
    Quit,
    /// Follow another run.
    Follow(Option<RunId>),
    /// Ask what a command would do.
    Preview(Vec<String>),
    /// Start a command that survives the viewer.
    Launch(Vec<String>),
    /// Read everything again.
    Refresh,
}

/// Panes of the run screen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pane {
    /// Steps by asset over time.
    #[default]
    Lanes,
    /// Steps of the chosen asset.
    Steps,
    /// The log.
    Log,
}

/// Everything the viewer knows and where one is in it.
pub struct App {
    /// Assets.
    pub world: Option<Arc<WorldShot>>,
    /// Runs and failures.
    pub runs: Arc<RunsShot>,
    /// The run that is followed.
    pub detail: Option<Arc<DetailShot>>,
    /// What could not be read.
    pub trouble: Option<String>,
    /// What fills the screen, and what it was opened from.
    pub stack: Vec<Screen>,
    /// Above it.
    pub popup: Option<Popup>,
    /// Below it.
    pub typing: Option<Typing>,
    /// What lists are filtered by, and logs searched for.
    pub filter: String,
    /// The chosen row of each screen.
    pub chosen: usize,
    /// Chosen rows of the screens below.
    below: Vec<usize>,
    /// First line shown in a text or log.
    pub scroll: usize,
    /// Pane of the run screen, or tab of the asset screen.
    pub pane: Pane,
    /// Tab of the asset screen.
    pub tab: usize,
    /// Chosen step of a lane.
    pub step: usize,
    /// Chosen day of the heat map.
    pub day: usize,
    /// Where marking began.
    pub mark: Option<usize>,
    /// How closely the heat map looks; `None` for what fits.
    pub zoom: Option<Zoom>,
    /// Whether the log follows.
    pub follow: bool,
    /// Lines below this level are hidden: 0 all, 1 info, 2 warn, 3 error.
    pub level: usize,
    /// Nothing can be started.
    pub readonly: bool,
    /// Colours.
    pub theme: Theme,
    /// Now, milliseconds since 1970 UTC; set before drawing.
    pub now_ms: i64,
    /// Rows of the last drawn list, for paging.
    pub page: usize,
}

impl App {
    /// A viewer that has read nothing yet.
    pub fn new(theme: Theme, readonly: bool) -> Self {
        Self {
            world: None,
            runs: Arc::default(),
            detail: None,
            trouble: None,
            stack: vec![Screen::Assets],
            popup: None,
            typing: None,
            filter: String::new(),
            chosen: 0,
            below: Vec::new(),
            scroll: 0,
            pane: Pane::default(),
            tab: 0,
            step: 0,
            day: 0,
            mark: None,
            zoom: None,
            follow: true,
            level: 0,
            readonly,
            theme,
            now_ms: 0,
            page: 10,
        }
    }

    /// What fills the screen.
    pub fn screen(&self) -> &Screen {
        self.stack.last().unwrap_or(&Screen::Assets)
    }

    /// Opens a screen above this one.
    pub fn open(&mut self, screen: Screen) -> Effect {
        if *self.screen() == screen {
            return Effect::None;
        }
        let effect = match &screen {
            Screen::Run(id) => {
                self.detail = None;
                self.pane = Pane::Lanes;
                self.follow = true;
                Effect::Follow(Some(*id))
            }
            _ => Effect::None,
        };
        if let Screen::Partitions(key) = &screen {
            self.mark = None;
            // The first day that wants a look, else the newest.
            let cells = self.asset(key).map(|a| a.cells.clone()).unwrap_or_default();
            let worst = cells.iter().copied().max().unwrap_or_default();
            self.day = match worst {
                Cell::Failed | Cell::Stale => cells.iter().position(|c| *c == worst).unwrap_or(0),
                _ => cells.len().saturating_sub(1),
            };
        }
        self.below.push(self.chosen);
        self.stack.push(screen);
        self.chosen = 0;
        self.scroll = 0;
        self.tab = 0;
        self.step = 0;
        self.filter.clear();
        effect
    }

    fn back(&mut self) -> Effect {
        if !self.filter.is_empty() {
            self.filter.clear();
            return Effect::None;
        }
        if self.mark.take().is_some() || self.stack.len() <= 1 {
            return Effect::None;
        }
        let left = self.stack.pop();
        self.chosen = self.below.pop().unwrap_or(0);
        self.scroll = 0;
        match left {
            Some(Screen::Run(_)) => Effect::Follow(None),
            _ => Effect::None,
        }
    }

    /// Goes to one of the main screens.
    fn main(&mut self, screen: Screen) -> Effect {
        let followed = matches!(self.screen(), Screen::Run(_));
        self.stack = vec![screen];
        self.below.clear();
        self.chosen = 0;
        self.scroll = 0;
        self.filter.clear();
        self.mark = None;
        if followed { Effect::Follow(None) } else { Effect::None }
    }

    /// An asset by its name.
    pub fn asset(&self, key: &str) -> Option<&AssetShot> {
        self.world.as_ref()?.assets.iter().find(|a| a.key == key)
    }

    fn matches(&self, text: &str) -> bool {
        self.filter.is_empty() || text.to_lowercase().contains(&self.filter.to_lowercase())
    }

    /// Assets that the filter leaves, upstream first.
    pub fn assets(&self) -> Vec<&AssetShot> {
        let Some(world) = &self.world else { return Vec::new() };
        world
            .assets
            .iter()
            .filter(|a| self.matches(&format!("{} {} {}", a.key, a.layer, a.worst().word())))
            .collect()
    }

    /// Runs of the screen that the filter leaves, newest first.
    pub fn listed_runs(&self) -> Vec<&RunShot> {
        let backfills = *self.screen() == Screen::Backfills;
        self.runs
            .runs
            .iter()
            .filter(|r| !backfills || r.backfill)
            .filter(|r| {
                self.matches(&format!("{} {} {}", r.row.id, r.row.command, self.theme.life(r.life).1))
            })
            .collect()
    }

    /// Failures that the filter leaves.
    pub fn failures(&self) -> Vec<&crate::state::Failure> {
        self.runs.failures.iter().filter(|f| self.matches(&format!("{} {}", f.target, f.message))).collect()
    }

    /// Names of the followed run's lanes.
    pub fn lanes(&self) -> Vec<String> {
        let Some(detail) = &self.detail else { return Vec::new() };
        // As they ran; those that wait come last.
        let mut lanes: Vec<(&String, i64)> =
            detail.detail.lanes.iter().map(|(name, lane)| (name, lane.from_ms.unwrap_or(i64::MAX))).collect();
        lanes.sort_by(|a, b| a.1.cmp(&b.1).then(a.0.cmp(b.0)));
        lanes.into_iter().map(|(name, _)| name.clone()).collect()
    }

    /// Lines of the log that the level leaves.
    pub fn log(&self) -> Vec<&LogLine> {
        let Some(detail) = &self.detail else { return Vec::new() };
        detail.detail.log.iter().filter(|l| l.level as usize >= self.level).collect()
    }

    /// How many rows the screen's list has.
    fn rows(&self) -> usize {
        match self.screen() {
            Screen::Assets => self.assets().len(),
            Screen::Runs | Screen::Backfills => self.listed_runs().len(),
            Screen::Failures => self.failures().len(),
            Screen::Run(_) => self.lanes().len(),
            Screen::Asset(_) | Screen::Partitions(_) => 0,
        }
    }

    /// Keeps what is chosen inside what there is.
    pub fn settle(&mut self) {
        self.chosen = self.chosen.min(self.rows().saturating_sub(1));
        if let Screen::Partitions(key) = self.screen().clone() {
            let n = self.asset(&key).map_or(0, |a| a.cells.len());
            self.day = self.day.min(n.saturating_sub(1));
        }
    }

    fn chosen_asset(&self) -> Option<String> {
        match self.screen() {
            Screen::Assets => self.assets().get(self.chosen).map(|a| a.key.clone()),
            Screen::Asset(key) | Screen::Partitions(key) => Some(key.clone()),
            Screen::Run(_) => {
                let lane = self.lanes().get(self.chosen)?.clone();
                Some(self.detail.as_ref()?.detail.lanes.get(&lane)?.asset.clone())
            }
            Screen::Failures => self.failures().get(self.chosen).map(|f| f.target.asset().to_string()),
            Screen::Runs | Screen::Backfills => None,
        }
    }

    fn chosen_run(&self) -> Option<RunShot> {
        match self.screen() {
            Screen::Runs | Screen::Backfills => self.listed_runs().get(self.chosen).map(|r| (*r).clone()),
            Screen::Run(id) => self
                .detail
                .as_ref()
                .and_then(|d| d.run.clone())
                .or_else(|| self.runs.runs.iter().find(|r| r.row.id == *id).cloned()),
            Screen::Failures => {
                let id = self.failures().get(self.chosen)?.run;
                self.runs.runs.iter().find(|r| r.row.id == id).cloned()
            }
            _ => None,
        }
    }

    /// The day at a place.
    pub fn day_at(&self, place: usize) -> Day {
        Day(self.world.as_ref().map_or(0, |w| w.first_day) + place as i32)
    }

    /// The days from the mark to the chosen one.
    pub fn marked(&self) -> (usize, usize) {
        let from = self.mark.unwrap_or(self.day);
        (from.min(self.day), from.max(self.day))
    }

    /// Takes a key in.
    pub fn key(&mut self, key: &KeyEvent) -> Effect {
        if self.typing.is_some() {
            return self.typed(key);
        }
        if let Some(popup) = self.popup.clone() {
            return self.answered(&popup, key);
        }
        let Some(binding) = keys::find(key) else { return Effect::None };
        if binding.acts && self.readonly {
            self.say("This viewer only watches (--readonly).");
            return Effect::None;
        }
        let effect = self.act(binding.action);
        self.settle();
        effect
    }

    /// Says something above the screen.
    pub fn say(&mut self, text: impl Into<String>) {
        self.popup = Some(Popup::Message { text: text.into() });
    }

    fn typed(&mut self, key: &KeyEvent) -> Effect {
        let Some(typing) = &mut self.typing else { return Effect::None };
        let text = match typing {
            Typing::Filter(text) | Typing::Command(text) => text,
        };
        match key.code {
            KeyCode::Esc => {
                if matches!(typing, Typing::Filter(_)) {
                    self.filter.clear();
                }
                self.typing = None;
            }
            KeyCode::Backspace => {
                let nothing_left = text.pop().is_none();
                if nothing_left {
                    self.typing = None;
                }
            }
            KeyCode::Char(c) => text.push(c),
            KeyCode::Enter => {
                let done = self.typing.take();
                return match done {
                    Some(Typing::Command(line)) => self.command(&line),
                    _ => {
                        if matches!(self.screen(), Screen::Run(_)) {
                            self.hit(true);
                        }
                        Effect::None
                    }
                };
            }
            _ => {}
        }
        if let Some(Typing::Filter(text)) = &self.typing {
            self.filter = text.clone();
            self.settle();
        }
        Effect::None
    }

    /// Carries out what was typed after `:`.
    fn command(&mut self, line: &str) -> Effect {
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        match words.first().map(String::as_str) {
            None => Effect::None,
            Some("q" | "quit") => Effect::Quit,
            Some("assets") => self.main(Screen::Assets),
            Some("failures") => self.main(Screen::Failures),
            Some("backfills") => self.main(Screen::Backfills),
            Some("runs") if words.len() == 1 => self.main(Screen::Runs),
            Some("run") => match words.get(1).and_then(|w| w.parse().ok()) {
                Some(id) => self.open(Screen::Run(RunId(id))),
                None => {
                    self.say("run wants a number, for example `run 12`");
                    Effect::None
                }
            },
            Some("materialize" | "backfill") if self.readonly => {
                self.say("This viewer only watches (--readonly).");
                Effect::None
            }
            Some("materialize" | "backfill") => self.preview(words),
            Some(other) => {
                let text = format!(
                    "`{other}` is not a command here; there are assets, runs, run N, backfills, failures, materialize …, backfill …, quit"
                );
                self.say(text);
                Effect::None
            }
        }
    }

    fn preview(&mut self, argv: Vec<String>) -> Effect {
        self.scroll = 0;
        self.popup = Some(Popup::Plan { argv: argv.clone(), text: None });
        Effect::Preview(argv)
    }

    fn answered(&mut self, popup: &Popup, key: &KeyEvent) -> Effect {
        let action = keys::find(key).map(|b| b.action);
        match (popup, key.code) {
            (_, KeyCode::Up | KeyCode::Char('k')) => self.scroll = self.scroll.saturating_sub(1),
            (_, KeyCode::Down | KeyCode::Char('j')) => self.scroll += 1,
            (_, KeyCode::PageUp) => self.scroll = self.scroll.saturating_sub(10),
            (_, KeyCode::PageDown) => self.scroll += 10,
            (Popup::Plan { argv, text: Some(_) }, KeyCode::Enter | KeyCode::Char('y'))
            | (Popup::Confirm { argv, .. }, KeyCode::Enter | KeyCode::Char('y')) => {
                self.popup = None;
                self.scroll = 0;
                return Effect::Launch(argv.clone());
            }
            (Popup::Plan { text: None, .. }, KeyCode::Enter) => {}
            _ if action == Some(Action::Quit) && matches!(popup, Popup::Help | Popup::Message { .. }) => {
                self.popup = None;
            }
            _ => {
                self.popup = None;
                self.scroll = 0;
            }
        }
        Effect::None
    }

    fn act(&mut self, action: Action) -> Effect {
        match action {
            Action::Up => self.step_by(-1),
            Action::Down => self.step_by(1),
            Action::Left => self.sideways(-1),
            Action::Right => self.sideways(1),
            Action::PageUp => self.step_by(-(self.page.max(2) as isize - 1)),
            Action::PageDown => self.step_by(self.page.max(2) as isize - 1),
            Action::First => self.step_by(isize::MIN / 2),
            Action::Last => self.step_by(isize::MAX / 2),
            Action::Enter => return self.enter(),
            Action::Back => return self.back(),
            Action::NextPane => self.next_pane(),
            Action::Assets => return self.main(Screen::Assets),
            Action::Runs => return self.main(Screen::Runs),
            Action::Backfills => return self.main(Screen::Backfills),
            Action::Failures => return self.main(Screen::Failures),
            Action::Partitions => match self.chosen_asset().filter(|k| self.asset(k).is_some()) {
                Some(key) => return self.open(Screen::Partitions(key)),
                None => self.say("Choose an asset first."),
            },
            Action::Zoom => {
                self.zoom = Some(match self.zoom {
                    Some(Zoom::Years) => Zoom::Months,
                    Some(Zoom::Months) => Zoom::Years,
                    None => match self.fitting() {
                        Zoom::Years => Zoom::Months,
                        Zoom::Months => Zoom::Years,
                    },
                });
            }
            Action::Mark => {
                if matches!(self.screen(), Screen::Partitions(_)) {
                    self.mark = if self.mark.is_some() { None } else { Some(self.day) };
                }
            }
            Action::Materialize => {
                let argv = match self.screen() {
                    Screen::Assets if !self.filter.is_empty() || self.chosen > 0 => self.chosen_asset(),
                    Screen::Assets => None,
                    _ => self.chosen_asset(),
                };
                let argv = match argv {
                    Some(key) => vec!["materialize".to_string(), format!("+{key}")],
                    None => vec!["materialize".to_string(), "--all".to_string()],
                };
                return self.preview(argv);
            }
            Action::Backfill => return self.backfill(),
            Action::Retry => return self.retry(),
            Action::RetryDown => {
                return match self.screen() {
                    Screen::Run(_) | Screen::Runs | Screen::Backfills => self.retry(),
                    _ => self.preview(vec!["backfill".into(), "*".into(), "--failed".into()]),
                };
            }
            Action::Cancel => match self.chosen_run() {
                Some(run) if matches!(run.life, RunLife::Running | RunLife::Canceling | RunLife::Dead) => {
                    self.popup = Some(Popup::Confirm {
                        question: format!("Cancel run {}? What it has published stays.", run.row.id),
                        argv: vec!["runs".into(), "cancel".into(), run.row.id.to_string()],
                    });
                }
                Some(run) => self.say(format!("Run {} has ended.", run.row.id)),
                None => self.say("Choose a run first."),
            },
            Action::Follow => self.follow = !self.follow,
            Action::Level => self.level = (self.level + 1) % 4,
            Action::Filter => self.typing = Some(Typing::Filter(self.filter.clone())),
            Action::NextHit => self.hit(true),
            Action::LastHit => self.hit(false),
            Action::Command => self.typing = Some(Typing::Command(String::new())),
            Action::Refresh => return Effect::Refresh,
            Action::Help => {
                self.scroll = 0;
                self.popup = Some(Popup::Help);
            }
            Action::Quit => return Effect::Quit,
        }
        Effect::None
    }

    /// How closely the heat map looks.
    pub fn fitting(&self) -> Zoom {
        self.zoom
            .unwrap_or_else(|| Zoom::fitting(self.world.as_ref().map_or(0, |w| w.days), self.page.max(4)))
    }

    fn step_by(&mut self, by: isize) {
        let moved = |at: usize, n: usize| at.saturating_add_signed(by).min(n.saturating_sub(1));
        match self.screen().clone() {
            Screen::Asset(_) => self.scroll = self.scroll.saturating_add_signed(by).min(10_000),
            Screen::Partitions(key) => {
                let n = self.asset(&key).map_or(0, |a| a.cells.len());
                let unit = match self.fitting() {
                    Zoom::Years => 365,
                    Zoom::Months => 30,
                };
                self.day = self.day.saturating_add_signed(by.saturating_mul(unit)).min(n.saturating_sub(1));
            }
            Screen::Run(_) if self.pane == Pane::Log => {
                let n = self.log().len();
                let last = n.saturating_sub(self.page);
                let from = if self.follow { last } else { self.scroll.min(last) };
                self.scroll = from.saturating_add_signed(by).min(last);
                self.follow = self.scroll >= last && by > 0;
            }
            Screen::Run(_) if self.pane == Pane::Steps => {
                let n = self
                    .lanes()
                    .get(self.chosen)
                    .and_then(|l| Some(self.detail.as_ref()?.detail.lanes.get(l)?.steps.len()));
                self.step = moved(self.step, n.unwrap_or(0));
            }
            _ => {
                self.chosen = moved(self.chosen, self.rows());
                self.step = 0;
            }
        }
    }

    fn sideways(&mut self, by: isize) {
        match self.screen().clone() {
            Screen::Partitions(key) => {
                let n = self.asset(&key).map_or(0, |a| a.cells.len());
                let unit = match self.fitting() {
                    Zoom::Years => 7,
                    Zoom::Months => 1,
                };
                self.day = self.day.saturating_add_signed(by * unit).min(n.saturating_sub(1));
            }
            Screen::Asset(_) => self.tab = self.tab.saturating_add_signed(by).min(4),
            _ => {}
        }
    }

    fn next_pane(&mut self) {
        match self.screen() {
            Screen::Asset(_) => {
                self.tab = (self.tab + 1) % 5;
                self.scroll = 0;
            }
            Screen::Run(_) => {
                self.pane = match self.pane {
                    Pane::Lanes => Pane::Steps,
                    Pane::Steps => Pane::Log,
                    Pane::Log => Pane::Lanes,
                };
            }
            _ => {}
        }
    }

    fn enter(&mut self) -> Effect {
        match self.screen().clone() {
            Screen::Assets => match self.chosen_asset() {
                Some(key) => self.open(Screen::Asset(key)),
                None => Effect::None,
            },
            Screen::Asset(key) => self.open(Screen::Partitions(key)),
            Screen::Runs | Screen::Backfills | Screen::Failures => match self.chosen_run() {
                Some(run) => self.open(Screen::Run(run.row.id)),
                None => Effect::None,
            },
            Screen::Partitions(key) => {
                if self.fitting() == Zoom::Years {
                    self.zoom = Some(Zoom::Months);
                } else if let Some(text) = self.about_day(&key) {
                    self.say(text);
                }
                Effect::None
            }
            Screen::Run(_) => {
                self.next_pane();
                Effect::None
            }
        }
    }

    /// All that is known of the chosen day.
    pub fn about_day(&self, key: &str) -> Option<String> {
        let asset = self.asset(key)?;
        let cell = asset.cells.get(self.day)?;
        let place = if asset.daily { format!("{key}[{}]", self.day_at(self.day)) } else { key.to_string() };
        let mut out = format!("{place}: {}", cell.word());
        if let Some(rows) = asset.rows.get(self.day).copied().flatten() {
            out.push_str(&format!(
                "\n{}, generation {}, published {} UTC",
                text::plural(rows, "row"),
                asset.generations.get(self.day).copied().unwrap_or(0),
                text::moment(asset.published.get(self.day).copied().unwrap_or(0)),
            ));
        }
        if let Some(why) = asset.why.get(&self.day) {
            out.push_str(&format!("\nwhy: {why}"));
        }
        if let Some(message) = asset.failed.get(&self.day) {
            out.push_str(&format!("\nlast attempt: {message}"));
        }
        Some(out)
    }

    fn backfill(&mut self) -> Effect {
        let Some(key) = self.chosen_asset() else {
            self.say("Choose an asset first.");
            return Effect::None;
        };
        let mut argv = vec!["backfill".to_string(), key.clone()];
        if matches!(self.screen(), Screen::Partitions(_)) && self.asset(&key).is_some_and(|a| a.daily) {
            let (from, to) = self.marked();
            argv.extend([
                "--from".into(),
                self.day_at(from).to_string(),
                "--to".into(),
                self.day_at(to).to_string(),
            ]);
            // Marked by hand: also what is fresh.
            let fresh =
                self.asset(&key).is_some_and(|a| a.cells[from..=to].iter().all(|c| *c == Cell::Fresh));
            if fresh {
                argv.push("--force".into());
            }
        }
        self.preview(argv)
    }

    fn retry(&mut self) -> Effect {
        match (self.screen().clone(), self.chosen_run()) {
            (Screen::Failures | Screen::Run(_) | Screen::Runs | Screen::Backfills, Some(run)) => {
                if matches!(run.life, RunLife::Running | RunLife::Canceling) {
                    self.say(format!("Run {} is at work.", run.row.id));
                    return Effect::None;
                }
                let verb = match run.life {
                    RunLife::Canceled => "resume",
                    _ => "retry",
                };
                let mut argv = vec!["runs".to_string(), verb.into(), run.row.id.to_string()];
                if run.life == RunLife::Dead || run.row.message.as_deref() == Some(crate::state::DIED) {
                    argv.push("--from-failure".into());
                }
                let counts = run.row.counts;
                let question = match verb {
                    "retry" if argv.len() == 3 => format!(
                        "Make again what failed in run {}: {} failed, {} blocked?",
                        run.row.id,
                        text::plural(counts.failed, "step"),
                        text::count(counts.upstream_failed)
                    ),
                    _ => format!(
                        "Go on with what run {} left: {}?",
                        run.row.id,
                        text::plural(run.row.steps.saturating_sub(counts.succeeded + counts.skipped), "step")
                    ),
                };
                self.popup = Some(Popup::Confirm { question, argv });
                Effect::None
            }
            (_, _) => match self.chosen_asset() {
                Some(key) => self.preview(vec!["backfill".into(), key, "--failed".into()]),
                None => {
                    self.say("Choose a run or an asset first.");
                    Effect::None
                }
            },
        }
    }

    /// Goes to the next line of the log that holds what is searched for.
    fn hit(&mut self, on: bool) {
        let wanted = self.filter.to_lowercase();
        if wanted.is_empty() {
            return;
        }
        let log = self.log();
        let n = log.len();
        let hits = |i: &usize| log[*i].text.to_lowercase().contains(&wanted);
        let at = if self.follow { n.saturating_sub(1) } else { self.scroll.min(n.saturating_sub(1)) };
        let found = if on {
            (at + 1..n).chain(0..(at + 1).min(n)).find(hits)
        } else {
            (0..at).rev().chain((at..n).rev()).find(hits)
        };
        match found {
            Some(i) => {
                self.scroll = i;
                self.follow = false;
                self.pane = Pane::Log;
            }
            None => self.say(format!("`{}` is not in the log.", self.filter)),
        }
    }
}

/// The rows of the heat map of an asset.
pub fn heat_rows(app: &App, asset: &AssetShot) -> Vec<heat::Row> {
    let first = app.world.as_ref().map_or(0, |w| w.first_day);
    heat::rows(first, asset.cells.len(), app.fitting())
}
