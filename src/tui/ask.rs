//! What is typed below the screen, and what popups are answered with.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use crate::state::RunId;

use super::app::{App, Effect, Pane, Popup, Screen, Typing};
use super::keys::{self, Action};

impl App {
    pub(super) fn typed(&mut self, key: &KeyEvent) -> Effect {
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

    pub(super) fn preview(&mut self, argv: Vec<String>) -> Effect {
        self.scroll = 0;
        self.popup = Some(Popup::Plan { argv: argv.clone(), text: None });
        Effect::Preview(argv)
    }

    pub(super) fn answered(&mut self, popup: &Popup, key: &KeyEvent) -> Effect {
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

    /// Goes to the next line of the log that holds what is searched for.
    pub(super) fn hit(&mut self, on: bool) {
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
