//! Draws the app. Reads it, changes nothing but the height that paging needs.

mod assets;
mod partitions;
mod run;
mod runs;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use crate::output::{sanitize, text};

use super::app::{App, Popup, Screen, Typing};
use super::keys::{self, Action, BINDINGS};
use super::theme::Theme;

/// Below this there is room for one line only.
const SMALLEST: (u16, u16) = (30, 6);

/// Draws everything.
pub fn draw(app: &mut App, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = one_line(app);
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(area);
    header(app, frame, head);
    match app.screen().clone() {
        Screen::Assets => assets::list(app, frame, body),
        Screen::Asset(key) => assets::detail(app, frame, body, &key),
        Screen::Partitions(key) => partitions::heat_map(app, frame, body, &key),
        Screen::Runs | Screen::Backfills => runs::list(app, frame, body),
        Screen::Failures => runs::failures(app, frame, body),
        Screen::Run(id) => run::detail(app, frame, body, id),
    }
    footer(app, frame, foot);
    if let Some(popup) = app.popup.clone() {
        over(app, frame, body, &popup);
    }
}

fn one_line(app: &App) -> String {
    let failed = app.runs.failures.len();
    let at_work = app.runs.runs.iter().find(|r| !r.row.state.is_final());
    match at_work {
        Some(run) => format!("run {} {}/{}", run.row.id, run.row.counts.finished(), run.row.steps),
        None if failed > 0 => format!("{failed} failed"),
        None => "rxpulse: idle".into(),
    }
}

/// The screens in one line, and what runs.
fn header(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let theme = app.theme;
    let on = |screen: &Screen| match (app.stack.first(), screen) {
        (Some(a), b) if a == b => theme.chosen(),
        _ => Style::new(),
    };
    let failures = app.runs.failures.len();
    let tabs = [
        (Screen::Assets, "1 Assets".to_string()),
        (Screen::Runs, "2 Runs".to_string()),
        (Screen::Backfills, "3 Backfills".to_string()),
        (
            Screen::Failures,
            if failures > 0 { format!("4 Failures {failures}") } else { "4 Failures".to_string() },
        ),
    ];
    let narrow = area.width < 70;
    let mut spans = Vec::new();
    for (screen, title) in &tabs {
        let text =
            if narrow && app.stack.first() != Some(screen) { title[..1].to_string() } else { title.clone() };
        let style = match screen {
            Screen::Failures if failures > 0 => theme.bad().patch(on(screen)),
            _ => on(screen),
        };
        spans.push(Span::styled(format!(" {text} "), style));
    }
    for screen in app.stack.iter().skip(1) {
        let text = match screen {
            Screen::Asset(key) => key.clone(),
            Screen::Partitions(key) if app.stack.iter().any(|s| *s == Screen::Asset(key.clone())) => {
                "days".into()
            }
            Screen::Partitions(key) => format!("{key} days"),
            Screen::Run(id) => format!("run {id}"),
            _ => continue,
        };
        spans.push(Span::styled(if theme.ascii() { " > " } else { " › " }, theme.dim()));
        spans.push(Span::styled(text, theme.head()));
    }
    let mut right = Vec::new();
    if let Some(run) = app.runs.runs.iter().find(|r| !r.row.state.is_final()) {
        let (glyph, word, style) = theme.life(run.life);
        right.push(Span::styled(
            format!("{glyph} run {} {word} {}/{} ", run.row.id, run.row.counts.finished(), run.row.steps),
            style,
        ));
    }
    if let Some(world) = app.world.as_ref().filter(|_| !narrow) {
        right.push(Span::styled(format!("{} ", world.project), theme.dim()));
    }
    let line = Line::from(right);
    let width = u16::try_from(line.width()).unwrap_or(0).min(area.width);
    let [a, b] = Layout::horizontal([Constraint::Min(0), Constraint::Length(width)]).areas(area);
    frame.render_widget(Paragraph::new(Line::from(spans)), a);
    frame.render_widget(Paragraph::new(line), b);
}

/// The keys that matter here, or what is being typed.
fn footer(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let theme = app.theme;
    let cursor = if theme.ascii() { "_" } else { "▏" };
    if let Some(typing) = &app.typing {
        let (sign, text) = match typing {
            Typing::Filter(text) => ("/", text),
            Typing::Command(text) => (":", text),
        };
        let line = format!("{sign}{}{cursor}", sanitize::line(text));
        frame.render_widget(Paragraph::new(line).style(theme.head()), area);
        return;
    }
    if let Some(trouble) = &app.trouble {
        frame.render_widget(Paragraph::new(sanitize::line(trouble).into_owned()).style(theme.bad()), area);
        return;
    }
    use Action as A;
    let actions: &[Action] = match app.screen() {
        Screen::Assets => {
            &[A::Enter, A::Partitions, A::Materialize, A::Backfill, A::Filter, A::Help, A::Quit]
        }
        Screen::Asset(_) => &[A::NextPane, A::Partitions, A::Materialize, A::Back, A::Help, A::Quit],
        Screen::Partitions(_) => &[A::Enter, A::Mark, A::Backfill, A::Zoom, A::Back, A::Help, A::Quit],
        Screen::Runs | Screen::Backfills => &[A::Enter, A::Retry, A::Cancel, A::Filter, A::Help, A::Quit],
        Screen::Failures => &[A::Enter, A::Retry, A::RetryDown, A::Filter, A::Help, A::Quit],
        Screen::Run(_) => {
            &[A::NextPane, A::Follow, A::Level, A::Filter, A::Retry, A::Cancel, A::Back, A::Help, A::Quit]
        }
    };
    let mut spans = Vec::new();
    for action in actions {
        let binding = keys::of(*action);
        if binding.acts && app.readonly {
            continue;
        }
        let word = match action {
            A::Enter => "open",
            A::Partitions => "days",
            A::Materialize => "make",
            A::Backfill => "backfill",
            A::Retry => "retry",
            A::RetryDown => "retry all",
            A::Cancel => "cancel",
            A::Filter => {
                if matches!(app.screen(), Screen::Run(_)) {
                    "search"
                } else {
                    "filter"
                }
            }
            A::NextPane => "pane",
            A::Follow => {
                if app.follow {
                    "pause"
                } else {
                    "follow"
                }
            }
            A::Level => "level",
            A::Mark => "mark",
            A::Zoom => "zoom",
            A::Back => "back",
            A::Help => "help",
            A::Quit => "quit",
            _ => "",
        };
        spans.push(Span::styled(binding.shown.split(' ').next().unwrap_or("").to_string(), theme.key()));
        spans.push(Span::raw(format!(" {word}  ")));
    }
    if !app.filter.is_empty() {
        spans.insert(0, Span::styled(format!("/{}  ", sanitize::line(&app.filter)), theme.warn()));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

/// A box with a title, inside an area.
fn framed<'a>(theme: &Theme, title: impl Into<Line<'a>>, active: bool) -> Block<'a> {
    let set = match theme.ascii() {
        true => ratatui::symbols::border::Set {
            top_left: "+",
            top_right: "+",
            bottom_left: "+",
            bottom_right: "+",
            vertical_left: "|",
            vertical_right: "|",
            horizontal_top: "-",
            horizontal_bottom: "-",
        },
        false => ratatui::symbols::border::ROUNDED,
    };
    let style = if active { theme.busy() } else { theme.dim() };
    Block::bordered().border_set(set).border_style(style).title(title)
}

fn over(app: &App, frame: &mut Frame<'_>, area: Rect, popup: &Popup) {
    let theme = app.theme;
    let (title, lines, hint): (String, Vec<Line<'_>>, &str) = match popup {
        Popup::Help => {
            let mut lines: Vec<Line<'_>> = BINDINGS
                .iter()
                .map(|b| {
                    let key: String = if theme.ascii() { ascii_key(b.shown) } else { b.shown.to_string() };
                    Line::from(vec![Span::styled(format!("{key:>8}  "), theme.key()), Span::raw(b.help)])
                })
                .collect();
            lines.push(Line::default());
            for cell in [
                super::shot::Cell::Fresh,
                super::shot::Cell::Awaits,
                super::shot::Cell::Missing,
                super::shot::Cell::Stale,
                super::shot::Cell::Running,
                super::shot::Cell::Failed,
            ] {
                lines.push(Line::from(vec![
                    Span::styled(format!("{:>8}  ", theme.glyph(cell)), theme.cell(cell)),
                    Span::raw(cell.word()),
                ]));
            }
            (" Keys ".into(), lines, " any key closes ")
        }
        Popup::Plan { argv, text } => {
            let lines = match text {
                None => vec![Line::from("asking what it would do …")],
                Some(text) => text.lines().map(|l| Line::from(sanitize::line(l).into_owned())).collect(),
            };
            (format!(" rxpulse {} ", text::command(argv)), lines, " Enter starts it · Esc leaves it ")
        }
        Popup::Confirm { question, argv } => (
            format!(" rxpulse {} ", text::command(argv)),
            vec![Line::from(question.clone())],
            " Enter: yes · Esc: no ",
        ),
        Popup::Message { text } => (
            " ".into(),
            text.lines().map(|l| Line::from(sanitize::line(l).into_owned())).collect(),
            " any key closes ",
        ),
    };
    let widest = lines.iter().map(Line::width).max().unwrap_or(0).max(title.chars().count()).max(hint.len());
    let width = u16::try_from(widest + 4).unwrap_or(u16::MAX).clamp(20, area.width.max(20)).min(area.width);
    let inside = usize::from(width.saturating_sub(2)).max(1);
    let rows: usize = lines.iter().map(|l| l.width().max(1).div_ceil(inside)).sum();
    let height = u16::try_from(rows + 2).unwrap_or(u16::MAX).min(area.height);
    let place =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    let most = rows.saturating_sub(usize::from(height.saturating_sub(2)));
    let scroll = u16::try_from(app.scroll.min(most)).unwrap_or(0);
    frame.render_widget(Clear, place);
    let hint = if theme.ascii() { hint.replace('·', "-") } else { hint.to_string() };
    let block = framed(&theme, title, true).title_bottom(hint);
    frame.render_widget(
        Paragraph::new(lines).wrap(Wrap { trim: false }).scroll((scroll, 0)).block(block),
        place,
    );
}

fn ascii_key(shown: &str) -> String {
    shown.replace('↑', "Up").replace('↓', "Down").replace('←', "Left").replace('→', "Right")
}

/// The first row to show so that the chosen one is seen.
fn first_shown(chosen: usize, rows: usize, height: usize) -> usize {
    let middle = chosen.saturating_sub(height / 2);
    middle.min(rows.saturating_sub(height))
}

/// Text cut to so many cells, with its rest filled up.
fn fit(text: &str, width: usize) -> String {
    let cut = sanitize::short(text, width);
    let len = console::measure_text_width(&cut);
    if len > width {
        return cut.chars().take(width).collect();
    }
    format!("{cut}{}", " ".repeat(width - len))
}

/// The same, from the right.
fn fit_right(text: &str, width: usize) -> String {
    let len = console::measure_text_width(text);
    if len >= width { fit(text, width) } else { format!("{}{text}", " ".repeat(width - len)) }
}
