//! Tables, numbers, durations and sizes for people.

use console::measure_text_width;

/// Room between two columns.
const GAP: usize = 2;

/// A table without borders; the columns of `right` are aligned to the right. With a `width`, the
/// last column is cut where a line would be longer. Colours do not count as width.
pub fn table(header: &[&str], rows: Vec<Vec<String>>, right: &[usize], width: Option<usize>) -> String {
    let mut widths: Vec<usize> = header.iter().map(|h| measure_text_width(h)).collect();
    for row in &rows {
        for (at, cell) in row.iter().enumerate().take(widths.len()) {
            widths[at] = widths[at].max(measure_text_width(cell));
        }
    }
    if let (Some(width), Some(last)) = (width, widths.len().checked_sub(1)) {
        let before: usize = widths[..last].iter().map(|w| w + GAP).sum();
        widths[last] = widths[last].min(width.saturating_sub(before).max(20));
    }
    let mut out = String::new();
    let head: Vec<String> = header.iter().map(|h| (*h).to_string()).collect();
    for row in std::iter::once(&head).chain(&rows) {
        let mut line = String::new();
        for (at, &width) in widths.iter().enumerate() {
            let cell = row.get(at).map(String::as_str).unwrap_or("");
            let cut = console::truncate_str(cell, width, "…");
            let pad = " ".repeat(width.saturating_sub(measure_text_width(&cut)));
            let gap = if at == 0 { "" } else { "  " };
            match right.contains(&at) {
                true => line.push_str(&format!("{gap}{pad}{cut}")),
                false => line.push_str(&format!("{gap}{cut}{pad}")),
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// 1234567 → `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Milliseconds → `850 ms`, `12.3 s`, `4 min 05 s`, `3 h 12 min`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        60_000..3_600_000 => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1000),
        _ => format!("{} h {:02} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// Bytes → `512 B`, `1.5 MB` (powers of ten).
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `1 day`, `2 days`.
pub fn plural(n: u64, word: &str) -> String {
    format!("{} {word}{}", count(n), if n == 1 { "" } else { "s" })
}

/// Arguments as one line that a person can read and a shell understands.
pub fn command(argv: &[String]) -> String {
    let word = |word: &String| {
        let plain =
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+:-".contains(&b));
        if plain { word.clone() } else { format!("'{}'", word.replace('\'', "'\\''")) }
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A moment for people: `2026-11-01 12:30:05` in UTC.
pub fn moment(ms: i64) -> String {
    let text = crate::envelope::format_millis(ms);
    text.get(..19).map(|t| t.replace('T', " ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_whatever_the_colour() {
        let red = "\u{1b}[31mbad\u{1b}[0m".to_string();
        let rows =
            vec![vec!["a".into(), red, "1".into()], vec!["long name".into(), "ok".into(), "1,000".into()]];
        let shown = table(&["asset", "state", "rows"], rows, &[2], None);
        let plain = console::strip_ansi_codes(&shown).into_owned();
        assert_eq!(plain, "asset      state   rows\na          bad        1\nlong name  ok     1,000\n");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(210_623), "210,623");
        assert_eq!(duration(850), "850 ms");
        assert_eq!(duration(12_345), "12.3 s");
        assert_eq!(duration(245_000), "4 min 05 s");
        assert_eq!(size(1_500_000), "1.5 MB");
        assert_eq!(plural(1, "day"), "1 day");
    }
}
