//! What keys do: moving about, opening, and what is asked for with one key.

use ratatui::crossterm::event::KeyEvent;

use crate::output::text;
use crate::state::RunLife;

use super::app::{App, Effect, Pane, Popup, Screen, Typing};
use super::heat::Zoom;
use super::keys::{self, Action};
use super::shot::Cell;

impl App {
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
}
