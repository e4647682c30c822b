//! A buffer of cells as an SVG picture.
//!
//! Text keeps its cells whatever font there is: every run of letters is given its length. Lines,
//! boxes and marks are drawn as shapes, so that they meet. The picture paints its own ground.

use std::fmt::Write as _;

use rxpulse::tui::ratatui::buffer::{Buffer, Cell};
use rxpulse::tui::ratatui::style::{Color, Modifier};

/// One cell, in pixels. Even numbers and halves, so that lines fall between pixels.
const WIDE: f64 = 8.0;
const HIGH: f64 = 18.0;
const FONT: f64 = 13.0;
/// Room around the cells.
const PAD: f64 = 14.0;

const GROUND: &str = "#12161c";
const TEXT: &str = "#e4e9ef";

/// Colours and weight of a cell, with what is reversed turned round.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    fg: &'static str,
    bg: Option<&'static str>,
    bold: bool,
}

fn color(color: Color, otherwise: &'static str) -> &'static str {
    match color {
        Color::Black => "#0d1117",
        Color::Red => "#f4685e",
        Color::LightRed => "#ff7b72",
        Color::Green => "#4cc261",
        Color::LightGreen => "#6fdd8b",
        Color::Yellow => "#e3b341",
        Color::LightYellow => "#f2cc60",
        Color::Blue => "#6cb0ff",
        Color::LightBlue => "#8cc4ff",
        Color::Magenta | Color::LightMagenta => "#d2a8ff",
        Color::Cyan => "#56d4dd",
        Color::LightCyan => "#6fe3ea",
        Color::Gray => "#b6c0cb",
        Color::DarkGray => "#8b96a3",
        Color::White => "#ffffff",
        _ => otherwise,
    }
}

fn look(cell: &Cell) -> Look {
    let fg = color(cell.fg, TEXT);
    let bg = if cell.bg == Color::Reset { None } else { Some(color(cell.bg, GROUND)) };
    let bold = cell.modifier.contains(Modifier::BOLD);
    if cell.modifier.contains(Modifier::REVERSED) {
        return Look { fg: bg.unwrap_or(GROUND), bg: Some(fg), bold };
    }
    Look { fg, bg, bold }
}

/// Whether a character is drawn as a shape.
fn shape(c: char, x: f64, y: f64, fg: &str) -> Option<String> {
    let (mx, my) = (x + WIDE / 2.0, y + HIGH / 2.0);
    let (right, below) = (x + WIDE, y + HIGH);
    let line = |d: String, width: f64| {
        format!(r#"<path d="{d}" fill="none" stroke="{fg}" stroke-width="{width}"/>"#)
    };
    // A mark of the text's height, in the middle of the cell.
    let r = 3.5;
    Some(match c {
        '─' => line(format!("M{x} {my}H{right}"), 1.0),
        '│' => line(format!("M{mx} {y}V{below}"), 1.0),
        '╭' => line(format!("M{mx} {below}V{}Q{mx} {my} {right} {my}", my + 4.0), 1.0),
        '╮' => line(format!("M{x} {my}Q{mx} {my} {mx} {}V{below}", my + 4.0), 1.0),
        '╰' => line(format!("M{mx} {y}V{}Q{mx} {my} {right} {my}", my - 4.0), 1.0),
        '╯' => line(format!("M{x} {my}Q{mx} {my} {mx} {}V{y}", my - 4.0), 1.0),
        '━' => line(format!("M{x} {my}H{right}"), 4.0),
        '▏' => format!(r#"<path d="M{x} {y}h1.5v{HIGH}h-1.5z" fill="{fg}"/>"#),
        '■' => format!(r#"<path d="M{} {}h{s}v{s}h-{s}z" fill="{fg}"/>"#, mx - r, my - r, s = 2.0 * r),
        '□' => line(format!("M{} {}h{s}v{s}h-{s}z", mx - r + 0.5, my - r + 0.5, s = 2.0 * r - 1.0), 1.0),
        '◪' => format!(
            r#"<path d="M{l} {t}h{s}v{s}h-{s}z" fill="none" stroke="{fg}"/><path d="M{l} {b}L{rr} {t}V{b}z" fill="{fg}"/>"#,
            l = mx - r + 0.5,
            t = my - r + 0.5,
            rr = mx + r - 0.5,
            b = my + r - 0.5,
            s = 2.0 * r - 1.0
        ),
        '◇' => line(format!("M{mx} {}L{} {my}L{mx} {}L{} {my}z", my - r, mx + r, my + r, mx - r), 1.2),
        '▶' => format!(
            r#"<path d="M{} {}L{} {my}L{} {}z" fill="{fg}"/>"#,
            mx - r,
            my - r,
            mx + r,
            mx - r,
            my + r
        ),
        '✖' => line(
            format!(
                "M{l} {t}L{rr} {b}M{l} {b}L{rr} {t}",
                l = mx - 3.0,
                t = my - 3.0,
                rr = mx + 3.0,
                b = my + 3.0
            ),
            2.2,
        ),
        '⊘' => format!(
            r#"<circle cx="{mx}" cy="{my}" r="3" fill="none" stroke="{fg}" stroke-width="1.2"/>{}"#,
            line(format!("M{} {}L{} {}", mx - 2.0, my + 2.0, mx + 2.0, my - 2.0), 1.2)
        ),
        '↯' => line(
            format!(
                "M{} {}L{} {}H{}L{} {}",
                mx + 1.0,
                my - 4.0,
                mx - 2.0,
                my + 0.5,
                mx + 2.0,
                mx - 1.0,
                my + 4.5
            ),
            1.4,
        ),
        '·' => format!(r#"<circle cx="{mx}" cy="{my}" r="1.2" fill="{fg}"/>"#),
        _ => return None,
    })
}

/// Text for XML; what it cannot hold is shown as missing.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The picture. `title` says what is seen, for those who do not see it.
pub fn picture(buffer: &Buffer, title: &str) -> String {
    let (columns, rows) = (buffer.area.width, buffer.area.height);
    let (width, height) = (f64::from(columns) * WIDE + 2.0 * PAD, f64::from(rows) * HIGH + 2.0 * PAD);
    let mut out = format!(
        concat!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img""#,
            " font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace\"",
            " font-size=\"{font}\">\n<title>{title}</title>\n",
            "<rect width=\"{w}\" height=\"{h}\" rx=\"10\" fill=\"{ground}\"/>\n"
        ),
        w = width,
        h = height,
        font = FONT,
        title = escape(title),
        ground = GROUND
    );
    let mut over = String::new();
    for row in 0..rows {
        let y = PAD + f64::from(row) * HIGH;
        let mut column = 0;
        while column < columns {
            let first = look(&buffer[(column, row)]);
            let from = column;
            let mut text = String::new();
            while column < columns && look(&buffer[(column, row)]) == first {
                text.push_str(buffer[(column, row)].symbol());
                column += 1;
            }
            let x = PAD + f64::from(from) * WIDE;
            if let Some(bg) = first.bg {
                let span = f64::from(column - from) * WIDE;
                let _ = writeln!(out, r#"<path d="M{x} {y}h{span}v{HIGH}h-{span}z" fill="{bg}"/>"#);
            }
            run(&mut over, &text, x, y, first);
        }
    }
    out.push_str(&over);
    out.push_str("</svg>\n");
    out
}

/// Cells of one look: shapes, and the words between them.
fn run(out: &mut String, text: &str, x: f64, y: f64, look: Look) {
    let cells: Vec<char> = text.chars().collect();
    let place = |at: usize| x + at as f64 * WIDE;
    let mut at = 0;
    while at < cells.len() {
        let c = cells[at];
        // A line of many cells is one line.
        if matches!(c, '─' | '━') {
            let n = cells[at..].iter().take_while(|d| **d == c).count();
            let (stroke, y) = (if c == '━' { 4.0 } else { 1.0 }, y + HIGH / 2.0);
            let _ = writeln!(
                out,
                r#"<path d="M{} {y}h{}" stroke="{}" stroke-width="{stroke}"/>"#,
                place(at),
                n as f64 * WIDE,
                look.fg
            );
            at += n;
        } else if let Some(drawn) = shape(c, place(at), y, look.fg) {
            out.push_str(&drawn);
            out.push('\n');
            at += 1;
        } else if c == ' ' {
            at += 1;
        } else {
            // Up to the next shape or gap of two.
            let mut end = at + 1;
            while end < cells.len()
                && shape(cells[end], 0.0, 0.0, "").is_none()
                && !(cells[end] == ' '
                    && cells.get(end + 1).is_none_or(|n| *n == ' ' || shape(*n, 0.0, 0.0, "").is_some()))
            {
                end += 1;
            }
            let word: String = cells[at..end].iter().collect();
            let weight = if look.bold { r#" font-weight="700""# } else { "" };
            let _ = writeln!(
                out,
                r#"<text x="{}" y="{}" textLength="{}" lengthAdjust="spacingAndGlyphs" fill="{}"{weight} xml:space="preserve">{}</text>"#,
                place(at),
                y + HIGH / 2.0 + 4.5,
                (end - at) as f64 * WIDE,
                look.fg,
                escape(&word)
            );
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use rxpulse::tui::ratatui::layout::Rect;
    use rxpulse::tui::ratatui::style::Style;

    use super::*;

    #[test]
    fn words_are_escaped_and_lines_are_drawn() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 2));
        buffer.set_string(0, 0, "a <b> & \"c\"", Style::new());
        buffer.set_string(0, 1, "───│ ok", Style::new().fg(Color::Red).add_modifier(Modifier::BOLD));
        let svg = picture(&buffer, "x < y");
        assert!(svg.contains("<title>x &lt; y</title>"), "{svg}");
        assert!(svg.contains(">a &lt;b&gt; &amp; &quot;c&quot;</text>"), "{svg}");
        assert!(svg.contains(r##"h24" stroke="#f4685e""##), "three cells are one line: {svg}");
        assert!(svg.contains(r#"font-weight="700" xml:space="preserve">ok</text>"#), "{svg}");
        assert!(!svg.contains('─') && !svg.contains('│'), "{svg}");
        assert_eq!(svg.matches("<text").count(), 2);
    }

    #[test]
    fn what_is_reversed_has_a_ground() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 3, 1));
        buffer.set_string(1, 0, "x", Style::new().add_modifier(Modifier::REVERSED));
        let svg = picture(&buffer, "");
        assert!(
            svg.contains(&format!("fill=\"{TEXT}\"/>")) && svg.contains(&format!("fill=\"{GROUND}\" xml")),
            "{svg}"
        );
    }
}
