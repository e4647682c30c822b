//! How a sentence sounds: tables of weighted words, with negation and emphasis.
//!
//! Two tables, asked in one pass: `lexicon.tsv`, written for customers (kind, word or words,
//! value; a word may end in `*`), and `vader.tsv`, the words of VADER's lexicon. Each has a
//! [`Tone`] of its own, because they are wrong about different words. Negation, emphasis and
//! turns come from the first table and hold for both.
//! Pure: no IO, no clock. May not block.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::FixedState;

use crate::classify::words_of;

/// Words and phrases for customers.
pub(super) const OWN: &str = include_str!("lexicon.tsv");
/// VADER's words.
pub(super) const VADER: &str = include_str!("vader.tsv");

/// Share of a word's weight that a negation before it turns around.
const NEGATED: f64 = -0.7;
/// Words before another in which a negation counts.
const REACH: usize = 3;

/// Longest emoticon, in bytes.
const SIGNS_MOST: usize = 6;

/// Faces made of signs.
const FACES: [(&str, f64); 7] =
    [(":)", 1.5), (":-)", 1.5), (":d", 1.5), (";)", 1.0), (":(", -1.5), (":-(", -1.5), (":'(", -2.0)];

#[derive(Clone, Copy, Debug)]
enum Entry {
    Weight(f64),
    /// Turns what follows around.
    Negation,
    /// Makes what follows stronger (above 0) or weaker.
    Emphasis(f64),
    /// What follows outweighs what came before.
    Turn,
}

/// The table, ready to be asked.
#[derive(Debug, Default)]
pub(super) struct Lexicon {
    words: Map<String, Word>,
    /// Beginnings of words, by their first three bytes; the longest first.
    prefixes: Map<[u8; 3], Vec<(String, Entry)>>,
    /// VADER's emoticons.
    signs: Map<String, f64>,
}

#[derive(Debug, Default)]
struct Word {
    entry: Option<Entry>,
    /// Its valence in VADER's lexicon; 0: not in it.
    vader: f64,
    /// Several words that begin with this one: the others, the longest first.
    runs: Vec<(Vec<String>, f64)>,
}

/// A map of a fixed table: nobody chooses its keys to slow it down, so a quick hash will do.
type Map<K, V> = HashMap<K, V, FixedState>;

/// What words of one table say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tone {
    /// Sum of what is above 0, as changed by what stands before each word.
    pub good: f64,
    /// Sum of what is below 0, as changed by what stands before each word; 0 or less.
    pub bad: f64,
    /// How many words are above 0.
    pub goods: u32,
    /// How many words are below 0.
    pub bads: u32,
    /// The largest single weight; 0 without one above it.
    pub best: f64,
    /// The smallest single weight; 0 without one below it.
    pub worst: f64,
}

impl Tone {
    fn word(&mut self, weight: f64) {
        if weight > 0.0 {
            self.good += weight;
            self.goods += 1;
            self.best = self.best.max(weight);
        } else if weight < 0.0 {
            self.bad += weight;
            self.bads += 1;
            self.worst = self.worst.min(weight);
        }
    }

    /// Counts everything said so far for less.
    fn turn(&mut self) {
        self.good *= 0.5;
        self.bad *= 0.5;
    }

    /// Both sides together.
    pub(super) fn sum(&self) -> f64 {
        self.good + self.bad
    }

    /// A question states nothing, and signs of exclamation make what is said louder.
    fn end(&mut self, loud: f64, question: bool) {
        if self.sum() > 0.0 {
            self.good += 0.25 * loud;
        } else if self.sum() < 0.0 {
            self.bad -= 0.25 * loud;
        }
        if question {
            self.good *= 0.6;
            self.bad *= 0.6;
        }
    }

    /// What this and another sentence of the same text say, the other `weight` times.
    pub(super) fn add(&mut self, other: &Tone, weight: f64) {
        self.good += weight * other.good;
        self.bad += weight * other.bad;
        self.goods += other.goods;
        self.bads += other.bads;
        self.best = self.best.max(other.best);
        self.worst = self.worst.min(other.worst);
    }
}

/// What one sentence says by either table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tones {
    /// By the words for customers.
    pub own: Tone,
    /// By VADER's words.
    pub vader: Tone,
    /// How many words it has.
    pub words: u32,
    /// How many words turn others around.
    pub negations: u32,
}

static SHIPPED: LazyLock<Lexicon> = LazyLock::new(|| {
    let mut problems = Vec::new();
    let mut lexicon = Lexicon::read(OWN, &mut problems);
    lexicon.read_vader(VADER, &mut problems);
    // A test makes sure that there are none.
    lexicon
});

/// The tables inside the program.
pub(super) fn shipped() -> &'static Lexicon {
    &SHIPPED
}

impl Lexicon {
    /// Reads the table; lines that cannot be read are named in `problems`.
    pub(super) fn read(text: &str, problems: &mut Vec<String>) -> Self {
        let mut out = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let mut cells = line.split('\t');
            let (Some(kind), Some(words), value, None) =
                (cells.next(), cells.next(), cells.next().unwrap_or("0"), cells.next())
            else {
                problems.push(format!("line {number}: expected kind, words, value"));
                continue;
            };
            let Ok(value) = value.parse::<f64>() else {
                problems.push(format!("line {number}: `{value}` is not a number"));
                continue;
            };
            let entry = match kind {
                "weight" => Entry::Weight(value),
                "negation" => Entry::Negation,
                "emphasis" => Entry::Emphasis(value),
                "turn" => Entry::Turn,
                _ => {
                    problems.push(format!("line {number}: unknown kind `{kind}`"));
                    continue;
                }
            };
            for word in words.split(", ") {
                if !out.insert(word, entry) {
                    problems.push(format!("line {number}: `{word}` stands twice or cannot be used"));
                }
            }
        }
        out
    }

    fn insert(&mut self, word: &str, entry: Entry) -> bool {
        if let Some((first, rest)) = word.split_once(' ') {
            let Entry::Weight(weight) = entry else { return false };
            let rest = rest.split(' ').map(str::to_string).collect();
            let runs = &mut self.words.entry(first.to_string()).or_default().runs;
            runs.push((rest, weight));
            runs.sort_by_key(|(rest, _)| std::cmp::Reverse(rest.len()));
            return true;
        }
        if let Some(prefix) = word.strip_suffix('*') {
            let Some(Ok(key)) = prefix.as_bytes().get(..3).map(<[u8; 3]>::try_from) else { return false };
            let list = self.prefixes.entry(key).or_default();
            let new = list.iter().all(|(p, _)| p != prefix);
            list.push((prefix.to_string(), entry));
            list.sort_by_key(|(p, _)| std::cmp::Reverse(p.len()));
            return new;
        }
        self.words.entry(word.to_string()).or_default().entry.replace(entry).is_none()
    }

    /// What a word that stands in the table by its beginning only is.
    fn by_beginning(&self, word: &str) -> Option<Entry> {
        let key = <[u8; 3]>::try_from(word.as_bytes().get(..3)?).ok()?;
        self.prefixes.get(&key)?.iter().find(|(p, _)| word.starts_with(p.as_str())).map(|&(_, e)| e)
    }

    /// Adds VADER's words; lines that cannot be read are named in `problems`.
    pub(super) fn read_vader(&mut self, text: &str, problems: &mut Vec<String>) {
        for (number, line) in (1..).zip(text.lines()) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut cells = line.split('\t');
            let (Some(kind), Some(tenths), Some(words)) = (cells.next(), cells.next(), cells.next()) else {
                problems.push(format!("line {number}: expected kind, valence, words"));
                continue;
            };
            let Ok(tenths) = tenths.parse::<i8>() else {
                problems.push(format!("line {number}: `{tenths}` is not a valence in tenths"));
                continue;
            };
            let valence = f64::from(tenths) / 10.0;
            for word in words.split(' ') {
                match kind {
                    "words" => self.words.entry(word.to_string()).or_default().vader = valence,
                    "signs" => {
                        self.signs.insert(word.to_string(), valence);
                    }
                    _ => problems.push(format!("line {number}: unknown kind `{kind}`")),
                }
            }
        }
    }

    /// How one normalized sentence sounds.
    pub(super) fn tones(&self, normed: &str) -> Tones {
        let mut out = Tones::default();
        // The last words: how far back a negation is, and the emphasis of the words before.
        let mut negation_at: Option<usize> = None;
        let mut emphasis: [f64; 2] = [0.0; 2];
        let mut skip = 0;
        let mut words = words_of(normed).enumerate();
        while let Some((i, (_, word))) = words.next() {
            out.words += 1;
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let known = self.words.get(word);
            let run = known.and_then(|known| {
                let fits = |rest: &[String]| {
                    let mut following = words.clone().map(|(_, (_, w))| w);
                    rest.iter().all(|r| following.next() == Some(r.as_str()))
                };
                known.runs.iter().find(|(rest, _)| fits(rest))
            });
            // The weight of several words holds their own negation, and is VADER's as well.
            if let Some((rest, weight)) = run {
                skip = rest.len();
                let weight = changed(*weight, emphasis, false);
                out.own.word(weight);
                out.vader.word(weight);
                emphasis = [0.0, emphasis[0]];
                continue;
            }
            let base = word.strip_suffix("'s");
            let entry = known
                .and_then(|k| k.entry)
                .or_else(|| self.words.get(base?)?.entry)
                .or_else(|| self.by_beginning(word));
            let vader = known.map_or(0.0, |k| k.vader);
            let negated = negation_at.is_some_and(|at| i - at <= REACH);
            let mut next_emphasis = 0.0;
            match entry {
                Some(Entry::Negation) => {
                    negation_at = Some(i);
                    out.negations += 1;
                }
                Some(Entry::Emphasis(value)) => next_emphasis = value,
                Some(Entry::Turn) => {
                    out.own.turn();
                    out.vader.turn();
                    negation_at = None;
                }
                Some(Entry::Weight(_)) | None => {
                    let own = if let Some(Entry::Weight(weight)) = entry { weight } else { 0.0 };
                    if own != 0.0 || vader != 0.0 {
                        out.own.word(changed(own, emphasis, negated));
                        out.vader.word(changed(vader, emphasis, negated));
                        if negated {
                            negation_at = None;
                        }
                    }
                }
            }
            emphasis = [next_emphasis, emphasis[0]];
        }
        self.faces(normed, &mut out);
        let bytes = normed.as_bytes();
        let loud = bytes.iter().filter(|&&b| b == b'!').count().min(3) as f64;
        let question = bytes.last() == Some(&b'?');
        out.own.end(loud, question);
        out.vader.end(loud, question);
        out
    }

    /// Faces made of signs.
    fn faces(&self, normed: &str, out: &mut Tones) {
        let bytes = normed.as_bytes();
        if memchr::memchr3(b':', b';', b'=', bytes).is_none() && memchr::memchr(b'<', bytes).is_none() {
            return;
        }
        for (face, weight) in FACES {
            for _ in normed.matches(face) {
                out.own.word(weight);
            }
        }
        for chunk in normed.split(' ').filter(|c| c.len() <= SIGNS_MOST) {
            if let Some(valence) = self.signs.get(chunk) {
                out.vader.word(*valence);
            }
        }
    }
}

/// A weight after what stands before it.
fn changed(weight: f64, emphasis: [f64; 2], negated: bool) -> f64 {
    if weight == 0.0 {
        return 0.0;
    }
    let more = emphasis[0] + 0.9 * emphasis[1];
    let louder = weight + if weight > 0.0 { more.max(-weight) } else { (-more).min(-weight) };
    if negated { louder * NEGATED } else { louder }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::norm;

    fn sum(text: &str) -> f64 {
        let mut problems = Vec::new();
        let table = "# a comment\nweight\tgood, great*\t2\nweight\tbad\t-2\nweight\tnot bad\t1\nnegation\tnot, never\nemphasis\tvery\t0.5\nemphasis\tslightly\t-0.5\nturn\tbut\nweight\t😀\t1.5\n";
        let lexicon = Lexicon::read(table, &mut problems);
        assert_eq!(problems, Vec::<String>::new());
        (lexicon.tones(&norm(text)).own.sum() * 1000.0).round() / 1000.0
    }

    #[test]
    fn tones() {
        for (text, expected) in [
            ("", 0.0),
            ("nothing said", 0.0),
            ("good", 2.0),
            ("greatest", 2.0),
            ("the good's", 2.0),
            ("very good", 2.5),
            ("very, very good", 2.95),
            ("slightly good", 1.5),
            ("slightly bad", -1.5),
            ("not good", -1.4),
            ("not a very good", -1.75),
            ("never in my whole life good", 2.0),
            ("not bad", 1.0),
            ("bad but good", 1.0),
            ("Good!!", 2.5),
            ("bad!", -2.25),
            ("good?", 1.2),
            ("ok 😀", 1.5),
            ("😀😀", 3.0),
            ("ok :) :(  :(", -1.5),
        ] {
            assert_eq!(sum(text), expected, "{text:?}");
        }
    }

    #[test]
    fn bad_lines_are_named() {
        let mut problems = Vec::new();
        Lexicon::read(
            "weight\tgood\tmany\nnoise\tx\t1\nweight\nweight\ta\t1\nweight\ta\t1\nnegation\tnot at all\n",
            &mut problems,
        );
        assert_eq!(problems.len(), 5, "{problems:?}");
    }
}
