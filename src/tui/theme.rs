//! Colours and glyphs. A state is always told by both.

use ratatui::style::{Color, Modifier, Style};

use crate::event::StepState;
use crate::state::RunLife;

use super::shot::{Cell, Stands};

/// Which colours there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Palette {
    /// The terminal's sixteen, on a dark ground.
    Dark,
    /// The terminal's sixteen, on a light ground.
    Light,
    /// None: bold, dim and reverse only.
    Plain,
}

/// How everything looks.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    palette: Palette,
    ascii: bool,
}

impl Theme {
    /// A theme.
    pub fn new(palette: Palette, ascii: bool) -> Self {
        Self { palette, ascii }
    }

    /// Whether only ASCII may be drawn.
    pub fn ascii(&self) -> bool {
        self.ascii
    }

    fn fg(&self, dark: Color, light: Color) -> Style {
        match self.palette {
            Palette::Dark => Style::new().fg(dark),
            Palette::Light => Style::new().fg(light),
            Palette::Plain => Style::new(),
        }
    }

    /// What is well.
    pub fn good(&self) -> Style {
        self.fg(Color::Green, Color::Green)
    }

    /// What failed.
    pub fn bad(&self) -> Style {
        self.fg(Color::LightRed, Color::Red).add_modifier(Modifier::BOLD)
    }

    /// What wants a look.
    pub fn warn(&self) -> Style {
        self.fg(Color::Yellow, Color::Magenta)
    }

    /// What is at work.
    pub fn busy(&self) -> Style {
        self.fg(Color::LightCyan, Color::Blue)
    }

    /// What matters less.
    pub fn dim(&self) -> Style {
        match self.palette {
            Palette::Plain => Style::new().add_modifier(Modifier::DIM),
            Palette::Dark => Style::new().fg(Color::DarkGray),
            Palette::Light => Style::new().fg(Color::DarkGray),
        }
    }

    /// Headings.
    pub fn head(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The row that keys act on.
    pub fn chosen(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// A key in the line at the bottom.
    pub fn key(&self) -> Style {
        self.fg(Color::LightCyan, Color::Blue).add_modifier(Modifier::BOLD)
    }

    /// A partition's state.
    pub fn cell(&self, cell: Cell) -> Style {
        match cell {
            Cell::None => Style::new(),
            Cell::Fresh => self.good(),
            Cell::Awaits => self.fg(Color::LightBlue, Color::Blue),
            Cell::Missing => self.dim(),
            Cell::Stale => self.warn(),
            Cell::Running => self.busy(),
            Cell::Failed => self.bad(),
        }
    }

    /// A partition's state as one character.
    pub fn glyph(&self, cell: Cell) -> &'static str {
        match (cell, self.ascii) {
            (Cell::None, _) => " ",
            (Cell::Fresh, false) => "■",
            (Cell::Fresh, true) => "#",
            (Cell::Awaits, false) => "◇",
            (Cell::Awaits, true) => "?",
            (Cell::Missing, false) => "·",
            (Cell::Missing, true) => ".",
            (Cell::Stale, false) => "◪",
            (Cell::Stale, true) => "~",
            (Cell::Running, false) => "▶",
            (Cell::Running, true) => ">",
            (Cell::Failed, false) => "✖",
            (Cell::Failed, true) => "X",
        }
    }

    /// A step's state.
    pub fn step(&self, state: StepState) -> (&'static str, Style) {
        let glyph = |nice, plain| if self.ascii { plain } else { nice };
        match state {
            StepState::Waiting => (glyph("·", "."), self.dim()),
            StepState::Ready => (glyph("○", "o"), self.dim()),
            StepState::Running => (glyph("▶", ">"), self.busy()),
            StepState::Succeeded => (glyph("■", "#"), self.good()),
            StepState::Failed => (glyph("✖", "X"), self.bad()),
            StepState::Skipped => (glyph("□", "="), self.good()),
            StepState::UpstreamFailed => (glyph("↯", "!"), self.warn()),
            StepState::Canceled => (glyph("⊘", "-"), self.warn()),
        }
    }

    /// How a step stands; one that died looks like one that failed.
    pub fn stands(&self, stands: Stands) -> (&'static str, Style) {
        match stands {
            Stands::In(state) => self.step(state),
            Stands::Died => self.step(StepState::Failed),
        }
    }

    /// A run's state.
    pub fn life(&self, life: RunLife) -> (&'static str, &'static str, Style) {
        let glyph = |nice, plain| if self.ascii { plain } else { nice };
        match life {
            RunLife::Queued => (glyph("○", "o"), "queued", self.dim()),
            RunLife::Running => (glyph("▶", ">"), "running", self.busy()),
            RunLife::Canceling => (glyph("◌", "-"), "canceling", self.warn()),
            RunLife::Dead => (glyph("☠", "D"), "dead", self.bad()),
            RunLife::Succeeded => (glyph("■", "#"), "succeeded", self.good()),
            RunLife::Failed => (glyph("✖", "X"), "failed", self.bad()),
            RunLife::Canceled => (glyph("⊘", "-"), "canceled", self.warn()),
        }
    }

    /// A bar of so many cells, filled to a share between 0 and 1.
    pub fn bar(&self, width: usize, share: f64) -> String {
        let (full, empty) = if self.ascii { ("=", "-") } else { ("━", "─") };
        let n = ((width as f64) * share.clamp(0.0, 1.0)).round() as usize;
        full.repeat(n) + &empty.repeat(width - n)
    }
}
