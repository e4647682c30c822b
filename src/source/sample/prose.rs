//! Titles and bodies from the corpus: one voice a post, of varied length, case and habit.

use super::corpus::{Corpus, ListId, Part, STICKY};
use super::rng::Rng;
use super::topic::{Brand, Topic, TopicLists};

/// How a person writes, and what the post keeps naming.
pub(super) struct Voice {
    pub brand: Brand,
    /// Whether the person is content.
    content: bool,
    /// Phone keyboards write `’`.
    curly: bool,
    lower: bool,
    shout: bool,
    sticky: [Option<u16>; STICKY],
    /// Whether the brand was named since this was last cleared.
    pub named: bool,
}

impl Voice {
    /// A new voice.
    pub fn draw(brand: Brand, content: bool, rng: &mut Rng) -> Self {
        let habit = rng.below(100);
        Self {
            brand,
            content,
            curly: rng.per_mille(400),
            lower: habit < 14,
            shout: (14..17).contains(&habit),
            sticky: [None; STICKY],
            named: false,
        }
    }
}

/// What to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Length {
    /// Often nothing at all, at most three paragraphs.
    Post,
    /// One to three sentences.
    Comment,
    /// One to five sentences.
    Review,
    /// All parts of the topic: nothing may be left out.
    Full,
}

/// Writes one entry of a list.
pub(super) fn entry(corpus: &Corpus, id: ListId, voice: &mut Voice, rng: &mut Rng, out: &mut String) {
    let list = corpus.get(id);
    if list.entries.is_empty() {
        return;
    }
    let draw = |rng: &mut Rng| rng.below(list.entries.len() as u32) as u16;
    let at = match list.sticky {
        Some(place) => *voice.sticky[usize::from(place)].get_or_insert_with(|| draw(rng)),
        None => draw(rng),
    };
    // The next one that suits the mood; a list that has none for it is taken as it is.
    let from = usize::from(at);
    let suits = |i: &usize| list.entries[*i].content.is_none_or(|content| content == voice.content);
    let at = (from..list.entries.len()).chain(0..from).find(suits).unwrap_or(from);
    for part in &list.entries[at].parts {
        match part {
            Part::Text(plain, curly) => out.push_str(if voice.curly { curly } else { plain }),
            Part::List(inner, capital) => {
                let start = out.len();
                entry(corpus, *inner, voice, rng, out);
                if *capital && let Some(first) = out.get_mut(start..start + 1) {
                    first.make_ascii_uppercase();
                }
            }
            Part::Range(low, high) => push_number(out, i64::from(rng.range(*low, *high))),
            Part::Brand => {
                voice.named = true;
                entry(corpus, corpus.common.brand[voice.brand as usize], voice, rng, out);
            }
            Part::Rival => entry(corpus, corpus.common.rival[voice.brand as usize], voice, rng, out),
        }
    }
}

/// Writes a headline.
pub(super) fn title(corpus: &Corpus, lists: TopicLists, voice: &mut Voice, rng: &mut Rng, out: &mut String) {
    entry(corpus, lists.title, voice, rng, out);
    match rng.below(100) {
        0..=4 => {
            out.push(' ');
            entry(corpus, corpus.common.emoji, voice, rng, out);
        }
        5..=9 => out.push_str("!!"),
        10..=12 => out.push_str("..."),
        // A no-break space, as pasted text has them.
        13 => {
            if let Some(at) = out.find(' ') {
                out.replace_range(at..at + 1, "\u{a0}");
            }
        }
        _ => {}
    }
    if voice.lower {
        out.make_ascii_lowercase();
    } else if voice.shout {
        out.make_ascii_uppercase();
    }
}

/// Writes a text. `open` stands for the topic's own opening sentences.
pub(super) fn body(
    corpus: &Corpus,
    (topic, lists, open): (Topic, TopicLists, ListId),
    length: Length,
    voice: &mut Voice,
    rng: &mut Rng,
    out: &mut String,
) {
    let shape = rng.below(100);
    let mut say = |id: ListId, gap: &str, out: &mut String| {
        if !out.is_empty() {
            out.push_str(gap);
        }
        entry(corpus, id, voice, rng, out);
    };
    // Sentences about the person; talk that should match no brand goes without them.
    let filler = if topic == Topic::OffTopic { lists.detail } else { corpus.common.filler };
    match (length, shape) {
        (Length::Post, 0..=19) => {}
        (Length::Post, 20..=39) => say(open, "", out),
        (Length::Post, 40..=69) => {
            say(open, "", out);
            say(lists.detail, " ", out);
            if shape.is_multiple_of(2) {
                say(filler, " ", out);
            }
        }
        (Length::Post, 70..=87) => {
            say(filler, "", out);
            say(open, " ", out);
            say(lists.detail, " ", out);
            say(lists.close, "\n\n", out);
        }
        (Length::Post, _) => {
            say(filler, "", out);
            say(open, "\n\n", out);
            say(lists.detail, " ", out);
            say(lists.detail, " ", out);
            say(filler, " ", out);
            say(lists.detail, "\n\n", out);
            say(lists.close, " ", out);
        }
        (Length::Comment, 0..=39) => say(lists.detail, "", out),
        (Length::Comment, 40..=69) => {
            say(corpus.common.reply_open, "", out);
            say(lists.detail, " ", out);
        }
        (Length::Comment, 70..=84) => {
            say(open, "", out);
            say(lists.close, " ", out);
        }
        (Length::Comment, _) => {
            say(open, "", out);
            say(lists.detail, " ", out);
            say(filler, "\n\n", out);
        }
        (Length::Review, 0..=24) => say(lists.detail, "", out),
        (Length::Review, 25..=59) => {
            say(open, "", out);
            say(lists.close, " ", out);
        }
        (Length::Review, 60..=84) => {
            say(open, "", out);
            say(lists.detail, " ", out);
            say(lists.close, " ", out);
        }
        (Length::Review, _) => {
            say(filler, "", out);
            say(open, " ", out);
            say(lists.detail, " ", out);
            say(lists.detail, " ", out);
            say(lists.close, " ", out);
        }
        (Length::Full, _) => {
            say(open, "", out);
            say(lists.detail, " ", out);
            say(filler, " ", out);
            say(lists.close, "\n\n", out);
        }
    }
    if !out.is_empty() && shape % 20 == 3 {
        say(corpus.common.emoji, " ", out);
    }
    if voice.lower {
        out.make_ascii_lowercase();
    }
}

/// Appends a sentence that names the brand.
pub(super) fn mention(corpus: &Corpus, voice: &mut Voice, rng: &mut Rng, out: &mut String) {
    if !out.is_empty() {
        out.push(' ');
    }
    entry(corpus, corpus.common.mention, voice, rng, out);
}

/// Writes a whole number.
pub(super) fn push_number(out: &mut String, value: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push('-');
    }
    out.extend(digits[at..].iter().map(|&d| char::from(d)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_usual() {
        for n in [0, 7, -1, 10, 1_785_542_400, i64::MAX, i64::MIN] {
            let mut out = String::new();
            push_number(&mut out, n);
            assert_eq!(out, n.to_string());
        }
    }
}
