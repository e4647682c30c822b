//! Which sequences of a set of phrases a word of a text may belong to.
//!
//! Every sequence is filed under one of its words, its anchor. A text is looked at word by word;
//! what stands beside a word rules most sequences out before they are compared. Pure.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::phrase::Token;
use super::words::Place;

/// A map of a fixed table: nobody chooses its keys to slow it down, so a quick hash will do.
type Map<K, V> = HashMap<K, V, FixedState>;

/// First byte of the word beside an anchor when the sentence ends there; no text holds it.
const NONE: u8 = u8::MAX;

/// Sequences that have an anchor in common, and the words beside it.
#[derive(Debug)]
struct Posting {
    /// First bytes of the words beside the anchor; 0 where any word, or none, will do.
    beside: [u8; 2],
    /// Numbers of the sequences.
    atoms: Vec<u32>,
}

/// Sequences by their anchors.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    /// Whole words, and signs that are words.
    words: Map<String, Vec<Posting>>,
    /// Beginnings of two or three bytes, by the first two.
    beginnings: Map<[u8; 2], Vec<(String, Vec<Posting>)>>,
    /// Longer beginnings, by their first four bytes.
    long: Map<[u8; 4], Vec<(String, Vec<Posting>)>>,
    /// Beginnings of one byte.
    initials: Vec<(u8, Vec<Posting>)>,
}

impl Anchors {
    /// Files sequences: the tokens of each, and the place of its anchor among them.
    pub(super) fn new<'a>(atoms: impl Iterator<Item = (&'a [Token], usize)>) -> Self {
        let mut out = Self::default();
        let mut beginnings: Map<String, Vec<Posting>> = Map::default();
        for (number, (tokens, anchor)) in (0u32..).zip(atoms) {
            let postings = match &tokens[anchor] {
                Token::Word { text, prefix: true } => beginnings.entry(text.clone()).or_default(),
                Token::Word { text, prefix: false } => out.words.entry(text.clone()).or_default(),
                Token::Symbol(c) => out.words.entry(c.to_string()).or_default(),
                // An anchor is never "any word": the grammar wants one real word a sequence.
                Token::Any => continue,
            };
            let left = anchor.checked_sub(1).and_then(|i| tokens.get(i));
            let beside = [first_byte(left), first_byte(tokens.get(anchor + 1))];
            match postings.iter_mut().find(|p| p.beside == beside) {
                Some(posting) => posting.atoms.push(number),
                None => postings.push(Posting { beside, atoms: vec![number] }),
            }
        }
        for (text, postings) in beginnings {
            match *text.as_bytes() {
                [a, b, c, d, ..] => out.long.entry([a, b, c, d]).or_default().push((text, postings)),
                [a, b, ..] => out.beginnings.entry([a, b]).or_default().push((text, postings)),
                [one] => out.initials.push((one, postings)),
                [] => {}
            }
        }
        out
    }

    /// Calls `found` with every sequence that may stand around the word `at` of the text: its
    /// number, and where its anchor ends.
    pub(super) fn at(&self, text: &str, places: &[Place], at: usize, mut found: impl FnMut(u32, usize)) {
        let Place { start, end, .. } = places[at];
        let word = &text[start..end];
        let first = |place: &Place| text.as_bytes()[place.start];
        let left = match at.checked_sub(1) {
            Some(before) if !places[at].broken => first(&places[before]),
            _ => NONE,
        };
        let right = places.get(at + 1).filter(|next| !next.broken).map_or(NONE, first);
        let mut all = |postings: &[Posting], end: usize| {
            for posting in postings {
                let [l, r] = posting.beside;
                if (l == 0 || l == left) && (r == 0 || r == right) {
                    posting.atoms.iter().for_each(|&atom| found(atom, end));
                }
            }
        };
        if let Some(postings) = self.words.get(word) {
            all(postings, end);
        }
        // "The pharmacy's fault": the word without it, too.
        if let Some(base) = word.strip_suffix("'s")
            && let Some(postings) = self.words.get(base)
        {
            all(postings, start + base.len());
        }
        for (_, postings) in self.initials.iter().filter(|(byte, _)| word.as_bytes().first() == Some(byte)) {
            all(postings, start + 1);
        }
        let two = word.as_bytes().first_chunk().and_then(|two| self.beginnings.get(two));
        let four = word.as_bytes().first_chunk().and_then(|four| self.long.get(four));
        for (beginning, postings) in two.into_iter().chain(four).flatten() {
            if word.starts_with(beginning.as_str()) {
                all(postings, start + beginning.len());
            }
        }
    }
}

fn first_byte(token: Option<&Token>) -> u8 {
    match token {
        Some(Token::Word { text, .. }) => text.as_bytes().first().copied().unwrap_or(0),
        Some(Token::Symbol(c)) => c.encode_utf8(&mut [0; 4]).as_bytes().first().copied().unwrap_or(0),
        Some(Token::Any) | None => 0,
    }
}
