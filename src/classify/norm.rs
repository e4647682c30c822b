//! The one form of text that phrases are matched on.
//!
//! Invariant: idempotent, so that a text which went through once can go through again.

use std::borrow::Cow;

/// Version of what [`norm`] does; part of every code version that calls it.
pub const NORM_VERSION: u32 = 1;

/// What becomes of each ASCII byte: lower case, and white space as one space.
const FOLD: [u8; 128] = {
    let mut table = [0u8; 128];
    let mut b = 0;
    while b < 128 {
        table[b] = match b as u8 {
            b'\t' | b'\n' | 0x0B | 0x0C | b'\r' => b' ',
            b => b.to_ascii_lowercase(),
        };
        b += 1;
    }
    table
};

/// The form of a text that phrases are matched on: lower case, typographic apostrophes as
/// `'`, every run of white space as one space, trimmed; zero-width characters, soft hyphens
/// and bidirectional controls dropped. Borrows when nothing changes but the ends.
pub fn norm(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let kept = unchanged(bytes);
    if kept == bytes.len() {
        return Cow::Borrowed(text.strip_suffix(' ').unwrap_or(text));
    }
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len() + 8);
    out.extend_from_slice(&bytes[..kept]);
    // True at the start too: leading white space is dropped like a repeated one.
    let mut after_space = out.last().is_none_or(|&b| b == b' ');
    let mut at = kept;
    while at < bytes.len() {
        let run = ascii_run(&bytes[at..]);
        if run > 0 {
            let from = out.len();
            out.resize(from + run, 0);
            let target = &mut out[from..];
            let mut written = 0;
            for &b in &bytes[at..at + run] {
                let folded = FOLD[usize::from(b & 0x7F)];
                let space = folded == b' ';
                // A repeated space is written, then overwritten by what follows.
                target[written] = folded;
                written += usize::from(!(space & after_space));
                after_space = space;
            }
            out.truncate(from + written);
            at += run;
            continue;
        }
        let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else { break };
        at += c.len_utf8();
        match c {
            _ if is_invisible(c) => {}
            _ if c.is_whitespace() => {
                if !after_space {
                    out.push(b' ');
                }
                after_space = true;
            }
            _ => {
                let mut buffer = [0; 4];
                for lower in (if is_apostrophe(c) { '\'' } else { c }).to_lowercase() {
                    out.extend_from_slice(lower.encode_utf8(&mut buffer).as_bytes());
                }
                after_space = false;
            }
        }
    }
    if out.last() == Some(&b' ') {
        out.pop();
    }
    // Only whole characters were written, so the lossy arm is never taken.
    Cow::Owned(String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

/// How many leading bytes are already as they should be.
fn unchanged(bytes: &[u8]) -> usize {
    let mut after_space = true;
    for (i, &b) in bytes.iter().enumerate() {
        let space = b == b' ';
        if b >= 0x80 || FOLD[usize::from(b)] != b || (space && after_space) {
            return i;
        }
        after_space = space;
    }
    bytes.len()
}

/// How many leading bytes are ASCII.
fn ascii_run(bytes: &[u8]) -> usize {
    let mut n = 0;
    for chunk in bytes.chunks_exact(16) {
        if !chunk.is_ascii() {
            break;
        }
        n += 16;
    }
    n + bytes[n..].iter().take_while(|b| b.is_ascii()).count()
}

/// The characters people's keyboards put where an apostrophe belongs.
fn is_apostrophe(c: char) -> bool {
    matches!(c, '\u{2018}' | '\u{2019}' | '\u{201B}' | '\u{2032}' | '\u{02BC}' | '\u{00B4}' | '\u{FF07}')
}

/// Zero-width characters, soft hyphen, bidirectional controls: they could split a word unseen.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}'
            | '\u{034F}'
            | '\u{061C}'
            | '\u{180E}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cases() {
        for (text, expected) in [
            ("", ""),
            ("   ", ""),
            ("plain text", "plain text"),
            ("  Two \t\r\n words ", "two words"),
            ("Don\u{2019}t", "don't"),
            ("\u{2018}quoted\u{2019} d\u{00B4}or", "'quoted' d'or"),
            ("a\u{00A0}\u{2003} b", "a b"),
            ("phar\u{200B}macy\u{202E} \u{FEFF}", "pharmacy"),
            ("a \u{200B} b", "a b"),
            ("ÉCLAIR Ärzte ΣΑΣ", "éclair ärzte σασ"),
            ("\u{0130}", "i\u{0307}"),
            ("\u{212A}elvin", "kelvin"),
            ("so 😀 GOOD", "so 😀 good"),
        ] {
            assert_eq!(norm(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_right_already_is_borrowed() {
        for text in ["", "late again", "don't $5 (ok)", "trailing space "] {
            assert!(matches!(norm(text), Cow::Borrowed(_)), "{text:?}");
        }
        assert_eq!(norm("trailing space "), "trailing space");
    }

    /// The same, one character at a time.
    fn slow(text: &str) -> String {
        let mut out = String::new();
        for c in text.chars().filter(|c| !is_invisible(*c)) {
            if c.is_whitespace() {
                out.push(' ');
            } else if is_apostrophe(c) {
                out.push('\'');
            } else {
                out.extend(c.to_lowercase());
            }
        }
        out.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
    }

    proptest! {
        #[test]
        fn agrees_with_the_slow_way(text in r"(\PC|[ \t\nA-Za-z'\u{2019}\u{200B}\u{A0}])*") {
            prop_assert_eq!(norm(&text), slow(&text));
        }

        #[test]
        fn is_idempotent(text in any::<String>()) {
            let once = norm(&text).into_owned();
            prop_assert_eq!(norm(&once), once.as_str());
        }
    }
}
