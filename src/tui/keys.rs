//! Which key does what: one table, that the help and the line at the bottom are made of.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// One row or day up.
    Up,
    /// One row or day down.
    Down,
    /// One column or day back.
    Left,
    /// One column or day on.
    Right,
    /// A screenful up.
    PageUp,
    /// A screenful down.
    PageDown,
    /// The first.
    First,
    /// The last.
    Last,
    /// Look closer.
    Enter,
    /// Back.
    Back,
    /// The next pane.
    NextPane,
    /// The screen of assets.
    Assets,
    /// The screen of runs.
    Runs,
    /// The screen of backfills.
    Backfills,
    /// The screen of failures.
    Failures,
    /// The heat map of the asset.
    Partitions,
    /// Make what is stale.
    Materialize,
    /// Make the marked days.
    Backfill,
    /// Make what failed again.
    Retry,
    /// Make what failed, and all that depends on it, again.
    RetryDown,
    /// Stop the run.
    Cancel,
    /// Mark a range of days.
    Mark,
    /// Look closer or less close.
    Zoom,
    /// Follow the log.
    Follow,
    /// Only worse lines of the log.
    Level,
    /// Filter or search.
    Filter,
    /// The next hit.
    NextHit,
    /// The hit before.
    LastHit,
    /// A command line.
    Command,
    /// Read again.
    Refresh,
    /// What keys there are.
    Help,
    /// Leave; runs go on.
    Quit,
}

/// One line of the table.
pub struct Binding {
    /// Any of these.
    pub keys: &'static [KeyCode],
    /// As people say them.
    pub shown: &'static str,
    /// What they do.
    pub action: Action,
    /// In a few words.
    pub help: &'static str,
    /// Whether it changes something: refused with `--readonly`.
    pub acts: bool,
}

const fn look(keys: &'static [KeyCode], shown: &'static str, action: Action, help: &'static str) -> Binding {
    Binding { keys, shown, action, help, acts: false }
}

const fn act(keys: &'static [KeyCode], shown: &'static str, action: Action, help: &'static str) -> Binding {
    Binding { keys, shown, action, help, acts: true }
}

use KeyCode::{Char, Down, End, Enter, Esc, F, Home, Left, PageDown, PageUp, Right, Tab, Up};

/// Every key.
pub const BINDINGS: &[Binding] = &[
    look(&[Up, Char('k')], "↑ k", Action::Up, "up"),
    look(&[Down, Char('j')], "↓ j", Action::Down, "down"),
    look(&[Left, Char('h')], "← h", Action::Left, "left, a day back"),
    look(&[Right, Char('l')], "→ l", Action::Right, "right, a day on"),
    look(&[PageUp], "PgUp", Action::PageUp, "a screenful up"),
    look(&[PageDown, Char(' ')], "PgDn", Action::PageDown, "a screenful down"),
    look(&[Home, Char('g')], "Home g", Action::First, "the first"),
    look(&[End, Char('G')], "End G", Action::Last, "the last"),
    look(&[Enter], "Enter", Action::Enter, "open, look closer"),
    look(&[Esc, KeyCode::Backspace], "Esc", Action::Back, "back"),
    look(&[Tab], "Tab", Action::NextPane, "next pane"),
    look(&[Char('1'), Char('a')], "1 a", Action::Assets, "assets"),
    look(&[Char('2')], "2", Action::Runs, "runs"),
    look(&[Char('3')], "3", Action::Backfills, "backfills"),
    look(&[Char('4')], "4", Action::Failures, "failures"),
    look(&[Char('p')], "p", Action::Partitions, "partitions of the asset, as a heat map"),
    look(&[Char('z')], "z", Action::Zoom, "years or months"),
    look(&[Char('v')], "v", Action::Mark, "mark a range of days"),
    act(&[Char('m')], "m", Action::Materialize, "make what is stale (shows the plan first)"),
    act(&[Char('b')], "b", Action::Backfill, "backfill the marked days (shows the plan first)"),
    act(&[Char('r')], "r", Action::Retry, "retry what failed"),
    act(&[Char('R')], "R", Action::RetryDown, "retry what failed and what depends on it"),
    act(&[Char('c')], "c", Action::Cancel, "cancel the run"),
    look(&[Char('f')], "f", Action::Follow, "follow the log"),
    look(&[Char('L')], "L", Action::Level, "only worse lines of the log"),
    look(&[Char('/')], "/", Action::Filter, "filter; search in a log"),
    look(&[Char('n')], "n", Action::NextHit, "next hit"),
    look(&[Char('N')], "N", Action::LastHit, "hit before"),
    look(&[Char(':')], ":", Action::Command, "a command, for example backfill silver_posts --missing"),
    look(&[F(5)], "F5", Action::Refresh, "read everything again"),
    look(&[Char('?'), F(1)], "?", Action::Help, "this help"),
    look(&[Char('q')], "q", Action::Quit, "leave; runs go on"),
];

/// What a key asks for.
pub fn find(key: &KeyEvent) -> Option<&'static Binding> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        let code = match key.code {
            Char('c') => Char('q'),
            Char('u') | Char('b') => PageUp,
            Char('d') | Char('f') => PageDown,
            Char('l') => F(5),
            _ => return None,
        };
        return BINDINGS.iter().find(|b| b.keys.contains(&code));
    }
    BINDINGS.iter().find(|b| b.keys.contains(&key.code))
}

/// The line of the table for an action.
pub fn of(action: Action) -> &'static Binding {
    BINDINGS.iter().find(|b| b.action == action).unwrap_or(&BINDINGS[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        let mut seen = std::collections::HashSet::new();
        for key in BINDINGS.iter().flat_map(|b| b.keys) {
            assert!(seen.insert(format!("{key:?}")), "{key:?} is bound twice");
        }
    }
}
