//! One run: how far it is, its steps over time, its log.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::event::StepState;
use crate::output::{sanitize, text};
use crate::run_view::{Lane, LogLevel};
use crate::state::{RunId, RunLife};

use super::super::app::{App, Pane};
use super::super::shot::{DetailShot, Stands};
use super::super::theme::Theme;
use super::{first_shown, fit, fit_right, framed};

/// One run.
pub fn detail(app: &mut App, frame: &mut Frame<'_>, area: Rect, id: RunId) {
    let theme = app.theme;
    let Some((shot, run)) = app.detail.clone().and_then(|d| Some((d.clone(), d.run.clone()?))) else {
        frame.render_widget(Paragraph::new(format!("reading run {id} …")).style(theme.dim()), area);
        return;
    };
    let tall = area.height >= 16;
    let [head, body] =
        Layout::vertical([Constraint::Length(if tall { 3 } else { 1 }), Constraint::Min(1)]).areas(area);
    let row = &run.row;
    let (glyph, word, style) = theme.life(run.life);
    let at_work = matches!(run.life, RunLife::Running | RunLife::Canceling);
    let took = run.took_ms(app.now_ms);
    let done = shot.detail.view.total().done().max(row.counts.finished());
    let share = if row.steps > 0 { done as f64 / row.steps as f64 } else { 1.0 };
    let mut first = vec![
        Span::styled(format!("{glyph} run {} {word}", row.id), style),
        Span::raw(format!(
            "  {}/{} steps  {}",
            text::count(done),
            text::count(row.steps),
            text::duration(took)
        )),
    ];
    if at_work && share > 0.02 {
        let left = (took as f64 / share * (1.0 - share)) as u64;
        first.push(Span::styled(format!("  about {} left", text::duration(left)), theme.dim()));
    }
    let silent = app.now_ms - row.heartbeat_ms;
    if !row.state.is_final() && silent > 10_000 {
        first.push(Span::styled(
            format!("  heartbeat {} old", text::duration(u64::try_from(silent).unwrap_or(0))),
            theme.warn(),
        ));
    }
    let mut lines = vec![Line::from(first)];
    if tall {
        let counts = shot.detail.view.total();
        // Counted as running by its events, and at work no longer.
        let (running, died) =
            if run.life == RunLife::Dead { (0, counts.running) } else { (counts.running, 0) };
        lines.push(Line::from(vec![
            Span::styled(theme.bar(usize::from(head.width).saturating_sub(60).clamp(10, 60), share), style),
            Span::styled(format!("  {} made", text::count(counts.succeeded)), theme.good()),
            Span::raw(format!("  {} fresh  {} running", text::count(counts.skipped), text::count(running))),
            Span::styled(
                format!("  {} failed", text::count(counts.failed + counts.upstream_failed)),
                if counts.failed > 0 { theme.bad() } else { theme.dim() },
            ),
            Span::styled(
                if died > 0 { format!("  {} died", text::count(died)) } else { String::new() },
                theme.bad(),
            ),
            Span::styled(format!("  {} canceled", text::count(counts.canceled)), theme.dim()),
        ]));
        let message = row.message.as_deref().map(|m| format!(" — {}", sanitize::line(m))).unwrap_or_default();
        lines.push(Line::styled(format!("{}{message}", sanitize::short(&row.command, 300)), theme.dim()));
    }
    frame.render_widget(Paragraph::new(lines), head);
    if !tall {
        return pane(app, frame, body, &shot, app.pane);
    }
    let lanes = u16::try_from(shot.detail.lanes.len() + 2).unwrap_or(u16::MAX);
    let upper = lanes.min(body.height / 2).max(4);
    let [top, bottom] = Layout::vertical([Constraint::Length(upper), Constraint::Min(3)]).areas(body);
    pane(app, frame, top, &shot, Pane::Lanes);
    let lower = if app.pane == Pane::Steps { Pane::Steps } else { Pane::Log };
    pane(app, frame, bottom, &shot, lower);
}

fn pane(app: &mut App, frame: &mut Frame<'_>, area: Rect, shot: &DetailShot, which: Pane) {
    match which {
        Pane::Lanes => lanes(app, frame, area, shot),
        Pane::Steps => steps(app, frame, area, shot),
        Pane::Log => log(app, frame, area, shot),
    }
}

/// A line an asset: how many steps stand where, and when they ran.
fn lanes(app: &mut App, frame: &mut Frame<'_>, area: Rect, shot: &DetailShot) {
    let theme = app.theme;
    let block = framed(&theme, " steps over time ", app.pane == Pane::Lanes);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let names = app.lanes();
    let height = usize::from(inner.height);
    if app.pane == Pane::Lanes {
        app.page = height;
    }
    let width = usize::from(inner.width);
    let name = names.iter().map(|n| n.chars().count()).max().unwrap_or(8).clamp(8, 32).min(width / 2);
    let gantt = width.saturating_sub(name + 2 + 14);
    let end = shot.end_ms(app.now_ms);
    let from = first_shown(app.chosen, names.len(), height);
    let mut lines = Vec::new();
    for (i, key) in names.iter().enumerate().skip(from).take(height) {
        let Some(lane) = shot.detail.lanes.get(key) else { continue };
        let (glyph, style) = theme.stands(worst(shot, lane));
        let done = lane.steps.values().filter(|s| s.state.is_final()).count();
        let mut spans = vec![
            Span::styled(format!("{glyph} "), style),
            Span::raw(fit(key, name)),
            Span::raw(fit_right(&format!("{done}/{}", lane.steps.len()), 13)),
            Span::raw(" "),
        ];
        spans.extend(bar(&theme, shot, lane, gantt, end));
        let line = Line::from(spans);
        lines.push(if i == app.chosen && app.pane != Pane::Log {
            line.patch_style(theme.chosen())
        } else {
            line
        });
    }
    if names.is_empty() {
        lines.push(Line::styled("no steps", theme.dim()));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

/// The state that the lane should be looked at for.
fn worst(shot: &DetailShot, lane: &Lane) -> Stands {
    use StepState::*;
    let found: Vec<Stands> = lane.steps.values().map(|s| shot.stands(s)).collect();
    std::iter::once(Stands::Died)
        .chain(
            [Failed, Running, UpstreamFailed, Canceled, Waiting, Ready, Succeeded, Skipped].map(Stands::In),
        )
        .find(|s| found.contains(s))
        .unwrap_or(Stands::In(Waiting))
}

/// When the lane's steps ran: each cell shows the worst of the steps at work in its time.
fn bar<'a>(theme: &Theme, shot: &DetailShot, lane: &Lane, width: usize, end: i64) -> Vec<Span<'a>> {
    if width == 0 {
        return Vec::new();
    }
    let rank = |s: Stands| match s {
        Stands::Died | Stands::In(StepState::Failed) => 4,
        Stands::In(StepState::Running) => 3,
        Stands::In(StepState::Succeeded) => 2,
        Stands::In(StepState::Canceled) => 1,
        Stands::In(_) => 0,
    };
    let mut cells: Vec<Option<Stands>> = vec![None; width];
    let at = |ms: i64| {
        let cell = usize::try_from(ms.max(0)).unwrap_or(0).saturating_mul(width)
            / usize::try_from(end).unwrap_or(1).max(1);
        cell.min(width - 1)
    };
    for step in lane.steps.values() {
        let Some(from) = step.from_ms else { continue };
        let stands = shot.stands(step);
        for cell in cells.iter_mut().take(at(step.to_ms.unwrap_or(end)) + 1).skip(at(from)) {
            if cell.is_none_or(|c| rank(stands) > rank(c)) {
                *cell = Some(stands);
            }
        }
    }
    let (full, none) = if theme.ascii() { ("=", " ") } else { ("━", " ") };
    cells
        .into_iter()
        .map(|c| match c {
            Some(stands) => Span::styled(full, theme.stands(stands).1),
            None => Span::raw(none),
        })
        .collect()
}

/// The steps of the chosen lane.
fn steps(app: &mut App, frame: &mut Frame<'_>, area: Rect, shot: &DetailShot) {
    let theme = app.theme;
    let Some(key) = app.lanes().get(app.chosen).cloned() else { return };
    let Some(lane) = shot.detail.lanes.get(&key) else { return };
    let end = shot.end_ms(app.now_ms);
    let block = framed(&theme, format!(" {key} "), true);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let height = usize::from(inner.height);
    app.page = height;
    app.step = app.step.min(lane.steps.len().saturating_sub(1));
    let from = first_shown(app.step, lane.steps.len(), height);
    let part = lane
        .steps
        .keys()
        .map(|k| k.chars().count())
        .max()
        .unwrap_or(10)
        .clamp(10, usize::from(inner.width) / 3 + 1);
    let mut lines = Vec::new();
    for (i, step) in lane.steps.values().enumerate().skip(from).take(height) {
        let stands = shot.stands(step);
        let (glyph, style) = theme.stands(stands);
        // Nobody knows when it died; the last heartbeat is what is known.
        let to = if stands == Stands::Died { Some(end) } else { step.to_ms };
        let took = match (step.from_ms, to) {
            (Some(a), Some(b)) => text::duration(u64::try_from(b - a).unwrap_or(0)),
            _ => String::new(),
        };
        let rows = step.rows.map(|n| text::plural(n, "row")).unwrap_or_default();
        let tries = if step.attempt > 1 { format!(" attempt {}", step.attempt) } else { String::new() };
        let message = step.message.as_deref().map(|m| sanitize::short(m, 300)).unwrap_or_default();
        let line = Line::from(vec![
            Span::styled(format!("{glyph} "), style),
            Span::raw(fit(&step.part, part)),
            Span::styled(format!(" {}", fit(stands.word(), 15)), style),
            Span::raw(format!("{}{}{tries}  ", fit_right(&took, 8), fit_right(&rows, 14))),
            Span::styled(message, theme.dim()),
        ]);
        lines.push(if i == app.step { line.patch_style(theme.chosen()) } else { line });
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

/// The log.
fn log(app: &mut App, frame: &mut Frame<'_>, area: Rect, shot: &DetailShot) {
    let theme = app.theme;
    let levels = ["all", "info", "warnings", "errors"];
    let mut title = format!(" log: {} ", levels[app.level.min(3)]);
    if !app.follow {
        title.push_str("(paused) ");
    }
    if shot.detail.log_dropped > 0 {
        title.push_str(&format!(
            "({} older lines: rxpulse logs) ",
            text::count(shot.detail.log_dropped as u64)
        ));
    }
    let block = framed(&theme, title, app.pane == Pane::Log);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let height = usize::from(inner.height);
    if app.pane == Pane::Log {
        app.page = height;
    }
    let log = app.log();
    let last = log.len().saturating_sub(height);
    let from = if app.follow { last } else { app.scroll.min(last) };
    let wanted = app.filter.to_lowercase();
    let lines: Vec<Line<'_>> = log
        .iter()
        .skip(from)
        .take(height)
        .map(|l| {
            let style = match l.level {
                LogLevel::Error => theme.bad(),
                LogLevel::Warn => theme.warn(),
                LogLevel::Debug => theme.dim(),
                LogLevel::Info => ratatui::style::Style::new(),
            };
            let hit = !wanted.is_empty() && l.text.to_lowercase().contains(&wanted);
            let time = text::moment(l.at_ms);
            let time = time.split(' ').next_back().unwrap_or(&time).to_string();
            Line::from(vec![
                Span::styled(format!("{time} "), theme.dim()),
                Span::styled(
                    sanitize::short(&l.text, 500),
                    if hit { style.patch(theme.chosen()) } else { style },
                ),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}
