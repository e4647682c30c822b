//! Runs, backfills, failures.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::output::{sanitize, text};

use super::super::app::{App, Screen};
use super::{first_shown, fit, fit_right};

/// Runs, newest first, with how far they are.
pub fn list(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let theme = app.theme;
    app.page = usize::from(area.height.saturating_sub(1));
    let height = app.page;
    let width = usize::from(area.width);
    let runs = app.listed_runs();
    if runs.is_empty() {
        let text = match (app.filter.is_empty(), app.screen()) {
            (false, _) => "nothing matches the filter",
            (_, Screen::Backfills) => {
                "no backfill yet: mark days in an asset's heat map and press b, or rxpulse backfill ASSET"
            }
            _ => "nothing has been run yet: m on the assets makes everything",
        };
        frame.render_widget(Paragraph::new(text).style(theme.dim()), area);
        return;
    }
    let bar = if width >= 100 {
        20
    } else if width >= 60 {
        8
    } else {
        0
    };
    let started = width >= 80;
    let mut head = format!("  {} {}", fit_right("run", 5), fit("state", 10));
    if bar > 0 {
        head.push_str(&format!(" {}", fit("progress", bar + 14)));
    }
    head.push_str(&fit_right(" took", 11));
    if started {
        head.push_str(&format!("  {}", fit("started (UTC)", 20)));
    }
    head.push_str("  command");
    let mut lines = vec![Line::styled(head, theme.head())];
    let from = first_shown(app.chosen, runs.len(), height);
    for (i, run) in runs.iter().enumerate().skip(from).take(height) {
        let row = &run.row;
        let (glyph, word, style) = theme.life(run.life);
        let done = row.counts.finished();
        let share = if row.steps > 0 { done as f64 / row.steps as f64 } else { 1.0 };
        let mut spans = vec![
            Span::styled(format!("{glyph} "), style),
            Span::raw(fit_right(&row.id.to_string(), 5)),
            Span::styled(format!(" {}", fit(word, 10)), style),
        ];
        if bar > 0 {
            spans.push(Span::styled(format!(" {}", theme.bar(bar, share)), style));
            spans.push(Span::raw(fit_right(&format!("{done}/{}", row.steps), 14)));
        }
        spans.push(Span::raw(fit_right(&text::duration(run.took_ms(app.now_ms)), 11)));
        if started {
            spans.push(Span::styled(format!("  {}", fit(&text::moment(row.started_ms), 20)), theme.dim()));
        }
        let bad = row.counts.failed + row.counts.upstream_failed;
        if bad > 0 {
            spans.push(Span::styled(format!("  {bad} failed"), theme.bad()));
        }
        spans.push(Span::raw(format!("  {}", sanitize::short(&row.command, 200))));
        let line = Line::from(spans);
        lines.push(if i == app.chosen { line.patch_style(theme.chosen()) } else { line });
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// What failed last and has not been made since.
pub fn failures(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let theme = app.theme;
    app.page = usize::from(area.height.saturating_sub(1));
    let height = app.page;
    let found = app.failures();
    if found.is_empty() {
        let text = if app.filter.is_empty() { "nothing failed" } else { "nothing matches the filter" };
        frame.render_widget(Paragraph::new(text).style(theme.good()), area);
        return;
    }
    let name = found
        .iter()
        .map(|f| f.target.to_string().chars().count())
        .max()
        .unwrap_or(10)
        .clamp(10, 48)
        .min(usize::from(area.width) / 2);
    let mut lines =
        vec![Line::styled(format!("  {} {} message", fit("what", name), fit_right("run", 5)), theme.head())];
    let from = first_shown(app.chosen, found.len(), height);
    for (i, f) in found.iter().enumerate().skip(from).take(height) {
        let (glyph, style) = theme.step(f.state);
        let line = Line::from(vec![
            Span::styled(format!("{glyph} "), style),
            Span::raw(fit(&f.target.to_string(), name)),
            Span::raw(format!(" {} ", fit_right(&f.run.to_string(), 5))),
            Span::styled(sanitize::short(&f.message, 400), theme.dim()),
        ]);
        lines.push(if i == app.chosen { line.patch_style(theme.chosen()) } else { line });
    }
    frame.render_widget(Paragraph::new(lines), area);
}
