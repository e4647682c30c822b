//! The heat map of one asset.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use super::super::app::{App, heat_rows};
use super::super::heat::{self, Zoom};
use super::super::shot::Cell;
use super::first_shown;

/// Rows of years or months; a bucket shows the worst of its days.
pub fn heat_map(app: &mut App, frame: &mut Frame<'_>, area: Rect, key: &str) {
    let theme = app.theme;
    let Some(asset) = app.asset(key).cloned() else {
        frame.render_widget(Paragraph::new("this asset is not declared any more").style(theme.dim()), area);
        return;
    };
    if !asset.daily {
        let text = app.about_day(key).unwrap_or_default();
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let below = if area.height >= 12 { 4 } else { 1 };
    let [map, about] = Layout::vertical([Constraint::Min(1), Constraint::Length(below)]).areas(area);
    app.page = usize::from(map.height.saturating_sub(1));
    let running: Vec<usize> = app
        .runs
        .running
        .get(key)
        .into_iter()
        .flatten()
        .filter_map(|p| usize::try_from(p.day()?.0 - app.day_at(0).0).ok())
        .collect();
    let mut cells = asset.cells.clone();
    for at in running {
        if let Some(cell) = cells.get_mut(at) {
            *cell = Cell::Running;
        }
    }
    let rows = heat_rows(app, &asset);
    let (from, to) = app.marked();
    let at_row =
        rows.iter().position(|r| r.buckets.iter().any(|b| b.0 <= app.day && app.day <= b.1)).unwrap_or(0);
    let height = usize::from(map.height.saturating_sub(1)).max(1);
    let first = first_shown(at_row, rows.len(), height);
    // Two cells a bucket where there is room.
    let wide = usize::from(map.width) >= 9 + 2 * if app.fitting() == Zoom::Years { 53 } else { 31 };
    let mut lines = vec![ruler(app, wide)];
    for row in rows.iter().skip(first).take(height) {
        let mut spans = vec![Span::styled(format!("{:<8}", row.label), theme.dim())];
        let gap = if wide { "  " } else { " " };
        spans.push(Span::raw(gap.repeat(row.indent)));
        for bucket in &row.buckets {
            let cell = heat::worst(&cells, *bucket);
            let mut style = theme.cell(cell);
            let here = bucket.0 <= app.day && app.day <= bucket.1;
            let inside = app.mark.is_some() && bucket.0 <= to && from <= bucket.1;
            if here || inside {
                style = style.patch(theme.chosen());
            }
            spans.push(Span::styled(theme.glyph(cell), style));
            if wide {
                spans.push(if inside && !here { Span::styled(" ", theme.chosen()) } else { Span::raw(" ") });
            }
        }
        lines.push(Line::from(spans));
    }
    frame.render_widget(Paragraph::new(lines), map);
    let mut text: Vec<Line<'_>> = Vec::new();
    if app.mark.is_some() {
        text.push(Line::styled(
            format!(
                "marked {} … {}: {} days; b backfills them",
                app.day_at(from),
                app.day_at(to),
                to - from + 1
            ),
            theme.busy(),
        ));
    }
    text.extend(app.about_day(key).unwrap_or_default().lines().map(|l| Line::from(l.to_string())));
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), about);
}

/// What the columns are.
fn ruler<'a>(app: &App, wide: bool) -> Line<'a> {
    let step = if wide { 2 } else { 1 };
    let marks: Vec<(usize, String)> = match app.fitting() {
        Zoom::Months => [1usize, 8, 15, 22, 29].iter().map(|d| (d - 1, d.to_string())).collect(),
        Zoom::Years => {
            ["Jan", "Apr", "Jul", "Oct"].iter().enumerate().map(|(i, m)| (i * 13, (*m).to_string())).collect()
        }
    };
    let mut text = " ".repeat(8);
    for (column, word) in marks {
        let at = 8 + column * step;
        text.push_str(&" ".repeat(at.saturating_sub(text.len())));
        text.push_str(&word);
    }
    Line::styled(text, app.theme.dim())
}
