//! The one sanitizer between untrusted text and a terminal.
//!
//! Posts can hold anything: escape sequences that move the cursor, bidirectional controls
//! that reorder a line, invisible tag characters. All of them are shown, none is obeyed.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal may obey `c`, or a reader be misled by it.
pub fn is_hostile(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'          // C0, DEL, C1
        | '\u{61c}' | '\u{200b}'..='\u{200f}'          // zero width, direction marks
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// `text` as one line that is safe to print: hostile characters appear as `<U+202E>`, line
/// breaks and tabs as a space.
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(' '),
            '\r' => {}
            c if is_hostile(c) => {
                let _ = write!(out, "<U+{:04X}>", c as u32);
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Like [`line`], but keeps line breaks: for text that is shown as a block.
pub fn block(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_hostile(c) && c != '\n') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split('\n').map(line).collect::<Vec<_>>().join("\n"))
}

/// The first `most` characters of a safe line, with `…` where something was cut.
pub fn short(text: &str, most: usize) -> String {
    let safe = line(text);
    if safe.chars().count() <= most {
        return safe.into_owned();
    }
    let mut out: String = safe.chars().take(most.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// A CSV cell's text that no spreadsheet runs: text that begins like a formula gets a `'`.
/// Numbers are not text and never pass here.
pub fn csv_text(text: &str) -> Cow<'_, str> {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n') => Cow::Owned(format!("'{text}")),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let nasty = "a\x1b]0;title\x07b\x1b[2Jc\u{9b}31md\re\u{202e}f\u{e0041}g\tz\n";
        let safe = line(nasty);
        assert_eq!(safe, "a<U+001B>]0;title<U+0007>b<U+001B>[2Jc<U+009B>31mde<U+202E>f<U+E0041>g z ");
        assert!(!safe.chars().any(is_hostile));
        assert_eq!(line("naïve ☕ 中文"), "naïve ☕ 中文");
        assert_eq!(block("a\nb\x1b"), "a\nb<U+001B>");
    }

    #[test]
    fn formulas_are_text() {
        for (cell, safe) in
            [("=HYPERLINK(1)", "'=HYPERLINK(1)"), ("+cmd|x", "'+cmd|x"), ("\t=1", "'\t=1"), ("a=1", "a=1")]
        {
            assert_eq!(csv_text(cell), safe);
        }
    }

    #[test]
    fn cutting_counts_characters() {
        assert_eq!(short("éééé", 3), "éé…");
        assert_eq!(short("abc", 3), "abc");
    }
}
