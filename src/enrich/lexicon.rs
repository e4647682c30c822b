//! How a sentence sounds: a table of weighted words, with negation and emphasis.
//!
//! The table is `lexicon.tsv`: kind, word or words, value. A word may end in `*`.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::classify::words_of;

/// Share of a word's weight that a negation before it turns around.
const NEGATED: f64 = -0.7;
/// Words before another in which a negation counts.
const REACH: usize = 3;

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
}

#[derive(Debug, Default)]
struct Word {
    entry: Option<Entry>,
    /// Several words that begin with this one: the others, the longest first.
    runs: Vec<(Vec<String>, f64)>,
}

/// A map of a fixed table: nobody chooses its keys to slow it down, so a quick hash will do.
type Map<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// FNV-1a over eight bytes at a time.
#[derive(Default)]
struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.0 ^= u64::from(byte);
    }

    fn write_usize(&mut self, _: usize) {
        // The length of an array that always has the same.
    }

    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// What one sentence adds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tone {
    /// Sum of weights, as changed by what stands before each word.
    pub sum: f64,
    /// How many words had a weight.
    pub words: u32,
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

    /// How one normalized sentence sounds.
    pub(super) fn tone(&self, normed: &str) -> Tone {
        let mut tone = Tone::default();
        // The last words: how far back a negation is, and the emphasis of the word before.
        let mut negation_at: Option<usize> = None;
        let mut emphasis: [f64; 2] = [0.0; 2];
        let mut skip = 0;
        let mut words = words_of(normed).enumerate();
        while let Some((i, (_, word))) = words.next() {
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
            let entry = match run {
                Some((rest, weight)) => {
                    skip = rest.len();
                    Some(Entry::Weight(*weight))
                }
                None => known
                    .and_then(|k| k.entry)
                    .or_else(|| self.words.get(word.strip_suffix("'s")?)?.entry)
                    .or_else(|| self.by_beginning(word)),
            };
            let mut next_emphasis = 0.0;
            match entry {
                Some(Entry::Weight(weight)) => {
                    let mut weight = weight;
                    let more = emphasis[0] + 0.9 * emphasis[1];
                    weight += if weight > 0.0 { more.max(-weight) } else { (-more).min(-weight) };
                    // The weight of several words holds their own negation.
                    if run.is_none() && negation_at.is_some_and(|at| i - at <= REACH) {
                        weight *= NEGATED;
                        negation_at = None;
                    }
                    tone.sum += weight;
                    tone.words += 1;
                }
                Some(Entry::Negation) => negation_at = Some(i),
                Some(Entry::Emphasis(value)) => next_emphasis = value,
                Some(Entry::Turn) => {
                    tone.sum *= 0.5;
                    negation_at = None;
                }
                None => {}
            }
            emphasis = [next_emphasis, emphasis[0]];
        }
        let bytes = normed.as_bytes();
        if memchr::memchr2(b':', b';', bytes).is_some() {
            for (face, weight) in FACES {
                let times = normed.matches(face).count() as f64;
                tone.sum += weight * times;
                tone.words += times as u32;
            }
        }
        let loud = bytes.iter().filter(|&&b| b == b'!').count().min(3) as f64;
        if tone.words > 0 {
            tone.sum += tone.sum.signum() * 0.25 * loud;
        }
        // A question states nothing.
        if bytes.last() == Some(&b'?') {
            tone.sum *= 0.6;
        }
        tone
    }
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
        (lexicon.tone(&norm(text)).sum * 1000.0).round() / 1000.0
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
