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

/// Whether a word may begin at `at`.
#[inline]
pub(crate) fn starts_word(text: &str, at: usize) -> bool {
    match previous(text, at) {
        None => true,
        Some(c) => !is_word_char(c) && !joins(text, at - 1, c),
    }
}

/// The end of the word that has a character before `at`: past letters, digits and what joins
/// them.
pub(crate) fn word_end(text: &str, mut at: usize) -> usize {
    loop {
        match next(text, at) {
            Some(c) if is_word_char(c) => at += c.len_utf8(),
            Some(c) if joins(text, at, c) => at += 1,
            _ => return at,
        }
    }
}

/// The start of the word that ends at `at`; `at` itself when none does.
pub(crate) fn word_start(text: &str, mut at: usize) -> usize {
    loop {
        match previous(text, at) {
            Some(c) if is_word_char(c) => at -= c.len_utf8(),
            Some(c) if joins(text, at - 1, c) => at -= 1,
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

/// The first position from `at` on that holds a word or a sign, with only separators before
/// it; `None` at the end of a sentence or of the text.
pub(crate) fn skip_right(text: &str, mut at: usize) -> Option<usize> {
    loop {
        let c = next(text, at)?;
        if is_word_char(c) || is_symbol(c) {
            return Some(at);
        }
        if ends_sentence(c) {
            return None;
        }
        at += c.len_utf8();
    }
}

/// The same to the left: the position after the word or sign before `at`.
pub(crate) fn skip_left(text: &str, mut at: usize) -> Option<usize> {
    loop {
        let c = previous(text, at)?;
        if is_word_char(c) || is_symbol(c) {
            return Some(at);
        }
        if ends_sentence(c) {
            return None;
        }
        at -= c.len_utf8();
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
