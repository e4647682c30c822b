//! The graph with its status, and one asset.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use crate::output::text;

use super::super::app::App;
use super::super::heat;
use super::super::shot::{AssetShot, Cell};
use super::{first_shown, fit, fit_right, framed};

/// All assets, upstream first, with the lineage of the chosen one beside them.
pub fn list(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    if app.world.is_none() {
        frame.render_widget(Paragraph::new("reading …").style(app.theme.dim()), area);
        return;
    }
    let wide = area.width >= 110;
    let [left, right] = match wide {
        true => Layout::horizontal([Constraint::Min(60), Constraint::Length(46)]).areas(area),
        false => [area, Rect::default()],
    };
    app.page = usize::from(left.height.saturating_sub(1));
    let theme = app.theme;
    let running = |a: &AssetShot| app.runs.running.get(&a.key).map_or(0, Vec::len);
    let assets = app.assets();
    let width = usize::from(left.width);
    let name = assets
        .iter()
        .map(|a| a.key.len() + 2 * a.depth.min(6))
        .max()
        .unwrap_or(10)
        .clamp(12, 36)
        .min(width.saturating_sub(14).max(8));
    let columns: Vec<(&str, usize)> = [
        ("layer", 7),
        ("fresh", 13),
        ("stale", 7),
        ("missing", 8),
        ("failed", 7),
        ("rows", 11),
        ("published (UTC)", 20),
    ]
    .into_iter()
    .scan(name + 2, |used, (title, w)| {
        *used += w + 1;
        (*used <= width).then_some((title, w))
    })
    .collect();
    let mut lines = Vec::new();
    let mut head = fit(&format!("  {}", fit("asset", name)), name + 2);
    for (title, w) in &columns {
        head.push(' ');
        head.push_str(&if *title == "layer" || title.starts_with("pub") {
            fit(title, *w)
        } else {
            fit_right(title, *w)
        });
    }
    lines.push(Line::styled(head, theme.head()));
    let height = usize::from(left.height.saturating_sub(1));
    let from = first_shown(app.chosen, assets.len(), height);
    for (i, a) in assets.iter().enumerate().skip(from).take(height) {
        let busy = running(a);
        let cell = if busy > 0 { Cell::Running } else { a.worst() };
        let indent = if app.filter.is_empty() { "  ".repeat(a.depth.min(6)) } else { String::new() };
        let mut spans = vec![
            Span::styled(format!("{} ", theme.glyph(cell)), theme.cell(cell)),
            Span::raw(fit(&format!("{indent}{}", a.key), name)),
        ];
        for (title, w) in &columns {
            let n = |cell: Cell| a.count(cell) as u64;
            let dash = |n: u64| if n == 0 { "·".to_string() } else { text::count(n) };
            let (value, style) = match *title {
                "layer" => (a.layer.clone(), theme.dim()),
                "fresh" => {
                    let shown = format!(
                        "{}/{}",
                        text::count(n(Cell::Fresh) + n(Cell::Awaits)),
                        text::count(a.cells.len() as u64)
                    );
                    (shown, theme.good())
                }
                "stale" => (dash(n(Cell::Stale)), theme.cell(Cell::Stale)),
                "missing" => (dash(n(Cell::Missing)), theme.cell(Cell::Missing)),
                "failed" => (dash(n(Cell::Failed)), theme.cell(Cell::Failed)),
                "rows" => (text::count(a.total_rows()), ratatui::style::Style::new()),
                _ => {
                    let newest = a.published.iter().copied().max().unwrap_or(0);
                    (if newest > 0 { text::moment(newest) } else { "never".into() }, theme.dim())
                }
            };
            let value = if theme.ascii() { value.replace('·', "-") } else { value };
            let shown = if *title == "layer" || title.starts_with("pub") {
                fit(&value, *w)
            } else {
                fit_right(&value, *w)
            };
            spans.push(Span::raw(" "));
            spans.push(Span::styled(shown, style));
        }
        let line = Line::from(spans);
        lines.push(if i == app.chosen { line.patch_style(theme.chosen()) } else { line });
    }
    if assets.is_empty() {
        lines.push(Line::styled(
            if app.filter.is_empty() { "no assets" } else { "nothing matches the filter" },
            theme.dim(),
        ));
    }
    let windows = app.world.as_ref().map_or(0, |w| w.windows_due);
    let room = height.saturating_sub(assets.len());
    if windows > 0 && room > 1 {
        lines.push(Line::default());
        lines.push(Line::styled(
            format!("{} to read: m makes everything", text::plural(windows as u64, "window")),
            theme.warn(),
        ));
    }
    for note in app.world.iter().flat_map(|w| w.notes.iter()).take(room.saturating_sub(3)) {
        lines.push(Line::styled(format!("note: {note}"), theme.warn()));
    }
    let chosen = assets.get(app.chosen).map(|a| (*a).clone());
    frame.render_widget(Paragraph::new(lines), left);
    if let (true, Some(asset)) = (wide, chosen) {
        let block = framed(&theme, format!(" {} ", asset.key), false);
        let inner = block.inner(right);
        frame.render_widget(block, right);
        frame.render_widget(
            Paragraph::new(about(app, &asset, usize::from(inner.width))).wrap(Wrap { trim: false }),
            inner,
        );
    }
}

/// Lineage and state of one asset.
fn about<'a>(app: &App, a: &AssetShot, width: usize) -> Vec<Line<'a>> {
    let theme = app.theme;
    let (up, down, here) = if theme.ascii() { ("<- ", "-> ", "* ") } else { ("← ", "→ ", "● ") };
    let mut lines = vec![
        Line::styled(format!("{} · {}", a.layer, a.kind), theme.dim()),
        Line::from(a.description.clone()),
        Line::default(),
    ];
    for name in &a.upstream {
        lines.push(Line::from(vec![Span::styled(up, theme.busy()), Span::raw(name.clone())]));
    }
    lines.push(Line::from(vec![Span::styled(here, theme.good()), Span::styled(a.key.clone(), theme.head())]));
    for name in &a.downstream {
        lines.push(Line::from(vec![Span::styled(down, theme.busy()), Span::raw(name.clone())]));
    }
    lines.push(Line::default());
    if a.cells.len() > 1 {
        lines.push(strip(app, a, width));
        lines.push(Line::default());
    }
    for cell in [Cell::Fresh, Cell::Awaits, Cell::Stale, Cell::Missing, Cell::Failed] {
        let n = a.count(cell);
        if n > 0 {
            lines.push(Line::from(vec![
                Span::styled(format!("{} ", theme.glyph(cell)), theme.cell(cell)),
                Span::raw(format!("{} {}", text::count(n as u64), cell.word())),
            ]));
        }
    }
    if let Some((slot, why)) = a.why.iter().next_back() {
        let place = if a.daily { app.day_at(*slot).to_string() } else { a.key.clone() };
        lines.push(Line::default());
        lines.push(Line::styled(format!("{place}: {why}"), theme.warn()));
    }
    if let Some((slot, message)) = a.failed.iter().next_back() {
        let place = if a.daily { app.day_at(*slot).to_string() } else { a.key.clone() };
        lines.push(Line::styled(format!("{place} failed: {message}"), theme.bad()));
    }
    lines
}

/// The whole history in one line.
fn strip<'a>(app: &App, a: &AssetShot, width: usize) -> Line<'a> {
    let theme = app.theme;
    Line::from(
        heat::strip(&a.cells, width)
            .into_iter()
            .map(|cell| Span::styled(theme.glyph(cell), theme.cell(cell)))
            .collect::<Vec<_>>(),
    )
}

const TABS: [&str; 5] = ["overview", "history", "columns", "sql", "checks"];

/// One asset.
pub fn detail(app: &mut App, frame: &mut Frame<'_>, area: Rect, key: &str) {
    let theme = app.theme;
    let Some(a) = app.asset(key).cloned() else {
        frame.render_widget(Paragraph::new("this asset is not declared any more").style(theme.dim()), area);
        return;
    };
    let [tabs, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
    let spans: Vec<Span<'_>> = TABS
        .iter()
        .enumerate()
        .map(|(i, t)| Span::styled(format!(" {t} "), if i == app.tab { theme.chosen() } else { theme.dim() }))
        .collect();
    frame.render_widget(Paragraph::new(Line::from(spans)), tabs);
    app.page = usize::from(body.height);
    let width = usize::from(body.width);
    let lines: Vec<Line<'_>> = match app.tab {
        1 => history(app, &a, width),
        2 if a.columns.is_empty() => {
            vec![Line::styled("no column is described in pipelines.toml", theme.dim())]
        }
        2 => {
            let name = a.columns.iter().map(|c| c.0.len()).max().unwrap_or(0);
            a.columns
                .iter()
                .map(|(n, t)| {
                    Line::from(vec![Span::styled(fit(n, name + 2), theme.head()), Span::raw(t.clone())])
                })
                .collect()
        }
        3 => match &a.sql {
            Some(sql) => sql.lines().map(|l| Line::from(l.to_string())).collect(),
            None => vec![Line::styled(format!("a {} asset has no SQL of its own", a.kind), theme.dim())],
        },
        4 if a.checks.is_empty() => vec![Line::styled("no checks", theme.dim())],
        4 => a.checks.iter().map(|c| Line::from(c.clone())).collect(),
        _ => about(app, &a, width),
    };
    let most = lines.len().saturating_sub(usize::from(body.height));
    app.scroll = app.scroll.min(most);
    let scroll = u16::try_from(app.scroll).unwrap_or(u16::MAX);
    let wrapped = Paragraph::new(lines).scroll((scroll, 0));
    frame.render_widget(if app.tab == 0 { wrapped.wrap(Wrap { trim: false }) } else { wrapped }, body);
}

/// Rows a day, and when each was made.
fn history<'a>(app: &App, a: &AssetShot, width: usize) -> Vec<Line<'a>> {
    let theme = app.theme;
    let rows: Vec<u64> = a.rows.iter().map(|r| r.unwrap_or(0)).collect();
    let bars = if theme.ascii() {
        [" ", ".", ":", "-", "=", "+", "*", "#", "@"]
    } else {
        [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
    };
    let shown = &rows[rows.len().saturating_sub(width)..];
    let most = shown.iter().copied().max().unwrap_or(0).max(1);
    let line: String =
        shown.iter().map(|n| bars[usize::try_from((n * 8).div_ceil(most)).unwrap_or(8).min(8)]).collect();
    let mut lines = vec![
        Line::styled(
            format!(
                "rows a partition, the newest {} (most {})",
                text::count(shown.len() as u64),
                text::count(most)
            ),
            theme.dim(),
        ),
        Line::styled(line, theme.good()),
        Line::default(),
        Line::styled(
            format!(
                "  {}{}{}{}",
                fit("partition", 12),
                fit_right("rows", 12),
                fit_right("generation", 12),
                "  published (UTC)"
            ),
            theme.head(),
        ),
    ];
    for slot in (0..a.cells.len()).rev() {
        let cell = a.cells[slot];
        let place = if a.daily { app.day_at(slot).to_string() } else { "whole".into() };
        let (rows, generation, at) = match a.rows[slot] {
            Some(rows) => {
                (text::count(rows), a.generations[slot].to_string(), text::moment(a.published[slot]))
            }
            None => ("-".into(), "-".into(), "never".into()),
        };
        let why = a.failed.get(&slot).or_else(|| a.why.get(&slot)).cloned().unwrap_or_default();
        lines.push(Line::from(vec![
            Span::styled(format!("{} ", theme.glyph(cell)), theme.cell(cell)),
            Span::raw(format!(
                "{}{}{}  {}  ",
                fit(&place, 12),
                fit_right(&rows, 12),
                fit_right(&generation, 12),
                fit(&at, 20)
            )),
            Span::styled(why, theme.dim()),
        ]));
    }
    lines
}
