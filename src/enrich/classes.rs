//! Lists of words that stand for one another in the phrases of a table: `{drug}` is any of a
//! thousand medicines.
//!
//! A phrase cannot be written out for every medicine there is, and an automaton over all of them
//! would be slow. So the text is what changes: each word of a list is replaced by a word that
//! stands for the list, and phrases look for that. An entry is a word, up to four words side by
//! side, a beginning (`antidepress*`) or an ending (`*statin`); the longest that fits wins. A
//! list may hold another (`{drug}`): then a phrase is looked for with both. Pure.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;

use super::table_file::At;
use crate::classify::{norm, words_of};
use crate::diagnostic::{TextProblem, did_you_mean};

/// Most words of one entry.
const WORDS_MOST: usize = 4;
/// Characters that a beginning or an ending needs, and that must stand before an ending.
const PART_LEAST: usize = 4;
const STEM_LEAST: usize = 2;
/// Most phrases that one phrase may become.
const SPELLINGS_MOST: usize = 64;

/// A map of a fixed table: nobody chooses its keys to slow it down, so a quick hash will do.
pub(super) type Map<K, V> = HashMap<K, V, FixedState>;

/// The lists, ready to look into.
#[derive(Debug, Default)]
pub(super) struct Classes {
    /// By name: the list's number and those of the lists in it.
    names: BTreeMap<String, Vec<u16>>,
    /// What stands for each list in a text.
    tokens: Vec<String>,
    whole: Map<String, u16>,
    /// By their first two bytes.
    beginnings: Map<[u8; 2], Vec<(String, u16)>>,
    /// By their last two bytes.
    endings: Map<[u8; 2], Vec<(String, u16)>>,
    /// First words of entries with several.
    several: Map<String, usize>,
}

impl Classes {
    /// Reads the lists; what is wrong is left out and told of.
    pub(super) fn read(lists: &[(At<String>, Vec<At<String>>)], problems: &mut Vec<TextProblem>) -> Self {
        let mut out = Classes::default();
        let number = |name: &str| lists.iter().position(|(n, _)| n.value == name).map(|n| n as u16);
        let mut inner: Vec<Vec<u16>> = vec![Vec::new(); lists.len()];
        for (at, (name, entries)) in (0u16..).zip(lists) {
            // A word that nobody writes.
            out.tokens.push(format!("rx{}xr", name.value));
            for entry in entries {
                let text = norm(&entry.value);
                if let Some(other) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
                    match number(other) {
                        Some(other) if other != at => inner[usize::from(at)].push(other),
                        _ => {
                            let names = lists.iter().map(|(n, _)| n.value.as_str());
                            problems.push(no_list(other, names, entry.span.clone()));
                        }
                    }
                } else if let Err(why) = out.entry(&text, at) {
                    problems.push(TextProblem::error(why, entry.span.clone()).help(
                        "an entry is a word, up to four words, a beginning such as antidepress* or an ending such as *statin",
                    ));
                }
            }
        }
        for (at, (name, _)) in (0u16..).zip(lists) {
            let mut all = vec![at];
            let mut next = 0;
            while let Some(&list) = all.get(next) {
                next += 1;
                let more: Vec<u16> =
                    inner[usize::from(list)].iter().copied().filter(|n| !all.contains(n)).collect();
                all.extend(more);
            }
            out.names.insert(name.value.clone(), all);
        }
        out
    }

    fn entry(&mut self, text: &str, list: u16) -> Result<(), String> {
        let plain = text.trim_matches('*');
        let words: Vec<&str> = words_of(plain).map(|(_, word)| word).collect();
        let stars = (text.starts_with('*'), text.ends_with('*'));
        if words.is_empty() || words.len() > WORDS_MOST || plain.contains('*') || stars == (true, true) {
            return Err(format!("`{text}` is no entry of a list"));
        }
        if stars.0 || stars.1 {
            let enough = plain.chars().count() >= PART_LEAST && words.len() == 1;
            let (map, key) = match stars.0 {
                true => (&mut self.endings, plain.as_bytes().last_chunk().copied()),
                false => (&mut self.beginnings, plain.as_bytes().first_chunk().copied()),
            };
            let (true, Some(key)) = (enough, key) else {
                return Err(format!("`{text}` has fewer than {PART_LEAST} characters beside the *"));
            };
            map.entry(key).or_default().push((plain.to_string(), list));
            return Ok(());
        }
        if words.len() > 1 {
            let most = self.several.entry(words[0].to_string()).or_default();
            *most = words.len().max(*most);
        }
        match self.whole.insert(words.join(" "), list) {
            Some(other) if other != list => Err(format!("`{text}` stands in two lists")),
            Some(_) => Err(format!("`{text}` stands twice")),
            None => Ok(()),
        }
    }

    /// A text of the table with the names of lists in braces, as one phrase for each way of
    /// filling them.
    pub(super) fn spell(&self, text: &At<String>, problems: &mut Vec<TextProblem>) -> Vec<String> {
        let mut out = vec![String::new()];
        let mut rest = text.value.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                let problem = TextProblem::error("a brace is not closed", text.span.clone());
                problems.push(problem.help("write the name of a list of [words]: {medicine}"));
                return Vec::new();
            };
            let Some(lists) = self.names.get(name.trim()) else {
                problems.push(no_list(name, self.names.keys().map(String::as_str), text.span.clone()));
                return Vec::new();
            };
            let fill =
                |start: &String, list: &u16| format!("{start}{before}{}", self.tokens[usize::from(*list)]);
            out = out.iter().flat_map(|start| lists.iter().map(move |list| fill(start, list))).collect();
            if out.len() > SPELLINGS_MOST {
                let problem =
                    TextProblem::error("the lists of this phrase hold too many lists", text.span.clone());
                problems.push(problem.help("write it as two phrases"));
                return Vec::new();
            }
            rest = after;
        }
        out.iter_mut().for_each(|phrase| phrase.push_str(rest));
        out
    }

    /// A phrase as it is written in a table: with the names of lists in braces.
    pub(super) fn braces(phrase: &str) -> String {
        let word = |word: &str| match word.strip_prefix("rx").and_then(|w| w.strip_suffix("xr")) {
            Some(list) if !list.is_empty() => format!("{{{list}}}"),
            _ => word.to_string(),
        };
        phrase.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }

    /// Whether a word of a phrase stands for a list.
    pub(super) fn is_token(&self, word: &str) -> bool {
        self.tokens.iter().any(|token| token == word)
    }

    /// The normalized text with the words of lists replaced; `None` when it has none.
    pub(super) fn replace(&self, normed: &str) -> Option<String> {
        if self.tokens.is_empty() {
            return None;
        }
        let words: Vec<(usize, &str)> = words_of(normed).collect();
        let (mut out, mut kept, mut at) = (String::new(), 0, 0);
        while let Some(&(start, word)) = words.get(at) {
            match self.find(&words[at..]) {
                None => at += 1,
                Some((list, taken)) => {
                    out.push_str(&normed[kept..start]);
                    out.push_str(&self.tokens[usize::from(list)]);
                    let (last, word) = words.get(at + taken - 1).copied().unwrap_or((start, word));
                    kept = last + word.len();
                    at += taken;
                }
            }
        }
        (kept > 0).then(|| {
            out.push_str(&normed[kept..]);
            out
        })
    }

    /// The list of the entry that the words begin with, and how many words that takes.
    fn find(&self, words: &[(usize, &str)]) -> Option<(u16, usize)> {
        let (_, first) = *words.first()?;
        if let Some(&most) = self.several.get(first) {
            for n in (2..=most.min(words.len())).rev() {
                let joined = words[..n].iter().map(|(_, w)| *w).collect::<Vec<_>>().join(" ");
                if let Some(&list) = self.whole.get(&joined) {
                    return Some((list, n));
                }
            }
        }
        if let Some(&list) = self.whole.get(first) {
            return Some((list, 1));
        }
        // "Lipitor's": the word without it.
        let word = first.strip_suffix("'s").unwrap_or(first);
        if word.len() < first.len()
            && let Some(&list) = self.whole.get(word)
        {
            return Some((list, 1));
        }
        if word.len() < PART_LEAST {
            return None;
        }
        let begins = |(part, _): &&(String, u16)| word.starts_with(part.as_str());
        let ends = |(part, _): &&(String, u16)| {
            word.strip_suffix(part.as_str()).is_some_and(|stem| stem.len() >= STEM_LEAST)
        };
        let beginning =
            word.as_bytes().first_chunk().and_then(|two| self.beginnings.get(two)?.iter().find(begins));
        let found = beginning.or_else(|| {
            word.as_bytes().last_chunk().and_then(|two| self.endings.get(two)?.iter().find(ends))
        });
        found.map(|(_, list)| (*list, 1))
    }

    /// What the lists say, for versions: names with their sorted entries.
    pub(super) fn texts(lists: &[(At<String>, Vec<At<String>>)]) -> Vec<String> {
        let mut out: Vec<String> = lists
            .iter()
            .map(|(name, entries)| {
                let mut entries: Vec<String> = entries.iter().map(|e| norm(&e.value).into_owned()).collect();
                entries.sort_unstable();
                format!("{} = {}", name.value, entries.join(", "))
            })
            .collect();
        out.sort_unstable();
        out
    }
}

fn no_list<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    span: std::ops::Range<usize>,
) -> TextProblem {
    let help = match did_you_mean(name, known.clone()) {
        Some(near) => format!("did you mean {{{near}}}?"),
        None => format!("the lists of [words] are: {}", known.collect::<Vec<_>>().join(", ")),
    };
    TextProblem::error(format!("there is no list `{name}`"), span).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(value: &str) -> At<String> {
        At { value: value.to_string(), span: 0..0 }
    }

    fn read(lists: &[(&str, &[&str])]) -> (Classes, Vec<TextProblem>) {
        let lists: Vec<_> = lists
            .iter()
            .map(|(name, entries)| (at(name), entries.iter().map(|e| at(e)).collect::<Vec<_>>()))
            .collect();
        let mut problems = Vec::new();
        (Classes::read(&lists, &mut problems), problems)
    }

    fn two() -> Classes {
        let drugs: &[&str] =
            &["insulin", "birth control", "birth", "*statin", "antidepress*", "blood pressure pill"];
        let (classes, problems) = read(&[("drug", drugs), ("medicine", &["{drug}", "meds"])]);
        assert_eq!(problems, []);
        classes
    }

    #[test]
    fn words_of_lists_are_replaced_where_they_stand() {
        let classes = two();
        for (text, replaced) in [
            ("no insulin, none", Some("no rxdrugxr, none")),
            ("my birth-control and meds", Some("my rxdrugxr and rxmedicinexr")),
            ("birth", Some("rxdrugxr")),
            ("a blood pressure pill", Some("a rxdrugxr")),
            ("a blood pressure cuff", None),
            ("atorvastatin's antidepressants!", Some("rxdrugxr rxdrugxr!")),
            ("insulin's", Some("rxdrugxr")),
            // Two characters must stand before an ending, and a word is a whole word.
            ("a statin, xstatin, insulins", None),
            ("", None),
        ] {
            assert_eq!(classes.replace(text).as_deref(), replaced, "{text}");
        }
    }

    #[test]
    fn a_phrase_is_spelt_with_every_list_in_a_list() {
        let classes = two();
        let mut problems = Vec::new();
        let spelt = |text: &str, problems: &mut Vec<TextProblem>| classes.spell(&at(text), problems);
        assert_eq!(spelt("out of {drug}", &mut problems), ["out of rxdrugxr"]);
        assert_eq!(
            spelt("{medicine} near late", &mut problems),
            ["rxmedicinexr near late", "rxdrugxr near late"]
        );
        assert_eq!(spelt("{medicine} not {medicine}", &mut problems).len(), 4);
        assert_eq!(spelt("plain", &mut problems), ["plain"]);
        assert_eq!(problems, []);
        for bad in ["{drgu}", "{drug", "{}"] {
            assert!(spelt(bad, &mut problems).is_empty(), "{bad}");
        }
        let said: Vec<_> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(said, ["there is no list `drgu`", "a brace is not closed", "there is no list ``"]);
    }

    #[test]
    fn entries_that_cannot_be_are_told_of() {
        let (_, problems) = read(&[
            ("a", &["*", "x y z a b", "in*lin", "*abc", "ab*", "*both*", "{b}", "{a}", "{c}", "one", "one"]),
            ("b", &["one", "{a}"]),
        ]);
        let said: Vec<_> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(
            said,
            [
                "`*` is no entry of a list",
                "`x y z a b` is no entry of a list",
                "`in*lin` is no entry of a list",
                "`*abc` has fewer than 4 characters beside the *",
                "`ab*` has fewer than 4 characters beside the *",
                "`*both*` is no entry of a list",
                "there is no list `a`",
                "there is no list `c`",
                "`one` stands twice",
                "`one` stands in two lists",
            ]
        );
    }
}
