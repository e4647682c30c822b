//! Where words begin and end in a normalized text.
//!
//! A word is a run of letters and digits; an apostrophe between two of them belongs to the
//! word (`don't`), but a possessive `'s` at its end may be left off (`pharmacy's` is also the
//! word `pharmacy`). A point or comma between two digits belongs to the number (`12.50`). The
//! currency signs and `%` are words of their own.

/// Signs that count as words of their own.
pub(crate) fn is_symbol(c: char) -> bool {
    matches!(c, '$' | '€' | '£' | '¥' | '%')
}

/// What may never stand between two words of one phrase.
pub(crate) fn ends_sentence(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | ';')
}

/// The character that begins at `at`.
#[inline]
fn next(text: &str, at: usize) -> Option<char> {
    match text.as_bytes().get(at) {
        Some(&b) if b < 0x80 => Some(b as char),
        Some(_) => text.get(at..)?.chars().next(),
        None => None,
    }
}

/// The character that ends at `at`.
#[inline]
fn previous(text: &str, at: usize) -> Option<char> {
    match at.checked_sub(1).and_then(|i| text.as_bytes().get(i)) {
        Some(&b) if b < 0x80 => Some(b as char),
        Some(_) => text.get(..at)?.chars().next_back(),
        None => None,
    }
}

#[inline]
fn is_word_char(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() }
}

#[inline]
fn word_char_at(text: &str, at: usize) -> bool {
    next(text, at).is_some_and(is_word_char)
}

/// Whether the one-byte sign `c` at `at` joins what stands on both sides of it.
#[inline]
fn joins(text: &str, at: usize, c: char) -> bool {
    match c {
        '\'' => previous(text, at).is_some_and(is_word_char) && word_char_at(text, at + 1),
        '.' | ',' => {
            previous(text, at).is_some_and(|c| c.is_ascii_digit())
                && next(text, at + 1).is_some_and(|c| c.is_ascii_digit())
        }
        _ => false,
    }
}

/// The end of the word that has a character before `at`: past letters, digits and what joins
/// them.
pub(crate) fn word_end(text: &str, mut at: usize) -> usize {
    let bytes = text.as_bytes();
    loop {
        while bytes.get(at).is_some_and(u8::is_ascii_alphanumeric) {
            at += 1;
        }
        match next(text, at) {
            Some(c) if is_word_char(c) => at += c.len_utf8(),
            Some(c) if joins(text, at, c) => at += 1,
            _ => return at,
        }
    }
}

/// Where the word goes on to its end when it may be taken to end at `at`: `at`, or past a
/// possessive `'s`. `None` when `at` is inside a word.
#[inline]
pub(crate) fn ends_word(text: &str, at: usize) -> Option<usize> {
    match next(text, at) {
        None => Some(at),
        Some('\'') => {
            if !joins(text, at, '\'') {
                Some(at)
            } else if text.as_bytes().get(at + 1) == Some(&b's') && word_end(text, at + 1) == at + 2 {
                Some(at + 2)
            } else {
                None
            }
        }
        Some(c) if is_word_char(c) || joins(text, at, c) => None,
        Some(_) => Some(at),
    }
}

/// Whether at most `most` words stand between two places (each at the edge of a word).
pub(crate) fn words_between(text: &str, from: usize, to: usize, most: u32) -> bool {
    let mut at = ends_word(text, from).unwrap_or(from);
    let mut words = 0;
    while at < to {
        let Some(c) = next(text, at) else { return true };
        if is_word_char(c) {
            words += 1;
            if words > most {
                return false;
            }
            at = word_end(text, at);
        } else {
            at += c.len_utf8();
        }
    }
    true
}

/// A word of a text, or a sign that is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Where it begins.
    pub start: usize,
    /// Where it ends, with a possessive.
    pub end: usize,
    /// Whether a sentence ends between it and the one before.
    pub broken: bool,
}

/// Every word and every sign that is one, in order.
pub(crate) fn places(text: &str) -> impl Iterator<Item = Place> {
    let (mut at, mut broken) = (0, false);
    std::iter::from_fn(move || {
        loop {
            let c = next(text, at)?;
            let start = at;
            if is_word_char(c) {
                at = word_end(text, at);
            } else {
                at += c.len_utf8();
                if !is_symbol(c) {
                    broken |= ends_sentence(c);
                    continue;
                }
            }
            return Some(Place { start, end: at, broken: std::mem::take(&mut broken) });
        }
    })
}

/// The words of a text with the places where they begin; signs outside ASCII (emoji) count as
/// words of one character.
pub(crate) fn words_of(text: &str) -> impl Iterator<Item = (usize, &str)> + Clone {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let c = next(text, at)?;
            let from = at;
            if is_word_char(c) {
                at = word_end(text, at);
                return Some((from, &text[from..at]));
            }
            at += c.len_utf8();
            if !c.is_ascii() {
                return Some((from, &text[from..at]));
            }
        }
    })
}
