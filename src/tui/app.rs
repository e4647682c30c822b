//! What the viewer shows and where one is in it. Pure: no terminal, no database, no clock.
//!
//! What keys do to it stands in `act`, what is typed and answered in `ask`.

use std::sync::Arc;

use crate::graph::Day;
use crate::output::text;
use crate::run_view::LogLine;
use crate::state::RunId;

use super::heat::{self, Zoom};
use super::shot::{AssetShot, Cell, DetailShot, News, RunShot, RunsShot, WorldShot};
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

    pub(super) fn back(&mut self) -> Effect {
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
    pub(super) fn main(&mut self, screen: Screen) -> Effect {
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
    pub(super) fn rows(&self) -> usize {
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

    pub(super) fn chosen_asset(&self) -> Option<String> {
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

    pub(super) fn chosen_run(&self) -> Option<RunShot> {
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

    /// Takes in what the feed has read.
    pub fn learn(&mut self, news: News) {
        match news {
            News::World(world) => {
                self.world = Some(world);
                self.trouble = None;
            }
            News::Runs(runs) => {
                self.runs = runs;
                self.trouble = None;
            }
            News::Run(detail) => {
                let id = detail.run.as_ref().map(|r| r.row.id);
                if id.is_some_and(|id| *self.screen() == Screen::Run(id)) {
                    self.detail = Some(detail);
                }
            }
            News::Trouble(text) => self.trouble = Some(text),
        }
    }

    /// Takes in what a command would do, if that is still asked.
    pub fn previewed(&mut self, argv: &[String], text: String) {
        if let Some(Popup::Plan { argv: asked, text: shown }) = &mut self.popup
            && *asked == argv
        {
            *shown = Some(text);
        }
    }

    /// Says something above the screen.
    pub fn say(&mut self, text: impl Into<String>) {
        self.popup = Some(Popup::Message { text: text.into() });
    }

    /// How closely the heat map looks.
    pub fn fitting(&self) -> Zoom {
        self.zoom
            .unwrap_or_else(|| Zoom::fitting(self.world.as_ref().map_or(0, |w| w.days), self.page.max(4)))
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
}

/// The rows of the heat map of an asset.
pub fn heat_rows(app: &App, asset: &AssetShot) -> Vec<heat::Row> {
    let first = app.world.as_ref().map_or(0, |w| w.first_day);
    heat::rows(first, asset.cells.len(), app.fitting())
}
