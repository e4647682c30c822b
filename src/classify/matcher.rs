//! Many phrases against one text, in one pass.
//!
//! Of every sequence of words the one that fewest others have is its anchor. The words of a text
//! are looked up among the anchors; at each, the neighbours are compared. Choices, `near` and
//! `not` are settled afterwards, from the places found: sequences that one side of a phrase may be are a
//! group, so a side with a hundred choices costs what one with two does. Invariants: the answer
//! does not depend on what other phrases are in the set, and a phrase with choices matches
//! where one of the phrases does that write them out.

use std::collections::HashMap;
use std::ops::Range;

use super::anchors::Anchors;
use super::evidence::Evidence;
use super::phrase::{Atom, Phrase, Token, near_text};
use super::words::{Place, is_symbol, places, words_between};

/// Memory that is used again from text to text. One for each thread; works with any set.
#[derive(Default, Debug)]
pub struct Scratch {
    /// The round in which a sequence was last seen.
    seen: Vec<u32>,
    round: u32,
    hits: Vec<Hit>,
    by_end: Vec<Hit>,
    places: Vec<Place>,
    chosen: Vec<u32>,
    pub(super) flags: Vec<u64>,
    pub(super) evidence: Vec<Evidence>,
}

impl Scratch {
    /// Empty memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the word number `n` (from 0) of the text begins that was scanned last; past every
    /// text when it has no more than `n`.
    pub(super) fn word_start(&self, n: usize) -> usize {
        self.places.get(n).map_or(usize::MAX, |word| word.start)
    }
}

/// Letters of words that are frequent in any text, and how much more it costs to look for them.
const SHORT: usize = 3;
const SHORT_COSTS: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Hit {
    group: u32,
    start: usize,
    end: usize,
    atom: u32,
}

/// Where a phrase matches.
#[derive(Clone, Debug)]
pub(crate) struct Found<'a> {
    /// The phrase's number.
    pub phrase: u32,
    /// From the first to the last word of it, in bytes.
    pub span: Range<usize>,
    /// What was chosen, for [`PhraseSet::written`].
    pub way: &'a [u32],
}

#[derive(Debug)]
struct CompiledAtom {
    tokens: Vec<Token>,
    anchor: usize,
    /// Phrases that are nothing but this.
    alone: Vec<u32>,
    /// The groups that it is in. Then every place is needed, not only the first.
    groups: Vec<u32>,
}

/// Of phrases with choices, `near` or `not`: groups of sequences by their numbers.
#[derive(Debug)]
struct Compound {
    near: Vec<(u32, u32)>,
    not: Vec<u32>,
    has_choices: bool,
}

/// Phrases, ready to be matched. A phrase is known by its number, in the order they were given.
#[derive(Debug, Default)]
pub(crate) struct PhraseSet {
    anchors: Anchors,
    atoms: Vec<CompiledAtom>,
    /// By group: the phrases whose head it is.
    heads: Vec<Vec<u32>>,
    /// By phrase number; `None` for those that are one sequence or everything.
    compounds: Vec<Option<Compound>>,
    everything: Vec<u32>,
    /// Whether every place of a phrase is told, not only the first.
    every: bool,
}

impl PhraseSet {
    /// Like [`PhraseSet::new`], but [`PhraseSet::scan`] tells of every place where a phrase
    /// matches.
    pub(crate) fn every_place(phrases: &[Phrase]) -> Self {
        Self { every: true, ..Self::new(phrases) }
    }

    /// Compiles phrases.
    pub(crate) fn new(phrases: &[Phrase]) -> Self {
        let mut set = Self::default();
        let mut known = Known::default();
        for (number, phrase) in (0u32..).zip(phrases) {
            let Phrase::Words { head, near, not } = phrase else {
                set.everything.push(number);
                set.compounds.push(None);
                continue;
            };
            let ways = head.ways();
            if let ([only], true, true) = (ways.as_slice(), near.is_empty(), not.is_empty()) {
                let atom = set.atom(only, &mut known);
                set.atoms[atom as usize].alone.push(number);
                set.compounds.push(None);
                continue;
            }
            let has_choices = ways.len() > 1 || near.iter().any(|(_, side)| side.has_choices());
            let head = set.group(&ways, &mut known);
            set.heads[head as usize].push(number);
            let near =
                near.iter().map(|(words, side)| (*words, set.group(&side.ways(), &mut known))).collect();
            let not = not.iter().map(|atom| set.group(std::slice::from_ref(atom), &mut known)).collect();
            set.compounds.push(Some(Compound { near, not, has_choices }));
        }
        set.choose_anchors();
        set.anchors = Anchors::new(set.atoms.iter().map(|atom| (atom.tokens.as_slice(), atom.anchor)));
        set
    }

    /// The word that fewest sequences have is the best to look for: a word that stands for a list
    /// is in thousands of phrases, and in most sentences of a text. Of equals the longest; a whole
    /// word beats a beginning.
    fn choose_anchors(&mut self) {
        let mut sequences: HashMap<Token, usize> = HashMap::new();
        for token in self.atoms.iter().flat_map(|atom| &atom.tokens) {
            *sequences.entry(token.clone()).or_default() += 1;
        }
        let weight = |token: &Token| {
            let mut many = sequences.get(token).copied().unwrap_or_default();
            // "The" is in every sentence.
            if matches!(token, Token::Word { text, .. } if text.len() <= SHORT) {
                many *= SHORT_COSTS;
            }
            let rare = std::cmp::Reverse(many);
            match token {
                Token::Word { text, prefix } => (2, rare, 2 * text.len() + usize::from(!prefix)),
                Token::Symbol(_) => (1, rare, 0),
                Token::Any => (0, rare, 0),
            }
        };
        for atom in &mut self.atoms {
            let tokens = &atom.tokens;
            atom.anchor = (0..tokens.len()).max_by_key(|&i| weight(&tokens[i])).unwrap_or(0);
        }
    }

    /// The sequences one of which must stand at a place.
    fn group(&mut self, ways: &[Atom], known: &mut Known) -> u32 {
        let mut atoms: Vec<u32> = ways.iter().map(|way| self.atom(way, known)).collect();
        atoms.sort_unstable();
        atoms.dedup();
        if let Some(&number) = known.groups.get(&atoms) {
            return number;
        }
        let number = self.heads.len() as u32;
        self.heads.push(Vec::new());
        atoms.iter().for_each(|&atom| self.atoms[atom as usize].groups.push(number));
        known.groups.insert(atoms, number);
        number
    }

    fn atom(&mut self, atom: &Atom, known: &mut Known) -> u32 {
        if let Some(&number) = known.atoms.get(atom) {
            return number;
        }
        let number = self.atoms.len() as u32;
        known.atoms.insert(atom.clone(), number);
        self.atoms.push(CompiledAtom {
            tokens: atom.0.clone(),
            anchor: 0,
            alone: Vec::new(),
            groups: Vec::new(),
        });
        number
    }

    /// The phrase as it was found, with what was chosen written out: `late near/8 package` for
    /// `(late|lost) near/8 (package|box)`. `None` when there is nothing to choose. Without what
    /// it does not count.
    pub(crate) fn written(&self, phrase: u32, way: &[u32]) -> Option<String> {
        let compound = self.compounds.get(phrase as usize)?.as_ref().filter(|c| c.has_choices)?;
        let atom = |number: &u32| Some(Atom(self.atoms.get(*number as usize)?.tokens.clone()));
        let mut out = atom(way.first()?)?.to_string();
        for ((words, _), number) in compound.near.iter().zip(&way[1..]) {
            out.push_str(&near_text(*words));
            out.push_str(&atom(number)?.to_string());
        }
        Some(out)
    }

    /// Calls `found` once for every phrase that matches the text, with the first place where
    /// it does (or for every place, see [`PhraseSet::every_place`]). In no particular order. The
    /// text must be [normalized](super::norm).
    pub(crate) fn scan(
        &self,
        text: &str,
        scratch: &mut Scratch,
        mut found: impl FnMut(&mut Scratch, Found<'_>),
    ) {
        for &phrase in &self.everything {
            found(scratch, Found { phrase, span: 0..0, way: &[] });
        }
        scratch.places.clear();
        if self.atoms.is_empty() {
            return;
        }
        if scratch.seen.len() < self.atoms.len() {
            scratch.seen.resize(self.atoms.len(), 0);
        }
        scratch.round = scratch.round.wrapping_add(1);
        if scratch.round == 0 {
            scratch.seen.fill(0);
            scratch.round = 1;
        }
        let round = scratch.round;
        let mut hits = std::mem::take(&mut scratch.hits);
        hits.clear();
        let mut words = std::mem::take(&mut scratch.places);
        words.clear();
        words.extend(places(text));
        for (at, word) in words.iter().enumerate() {
            self.anchors.at(text, &words, at, |number, end| {
                let atom = &self.atoms[number as usize];
                let first = scratch.seen[number as usize] != round;
                if !first && atom.groups.is_empty() && !self.every {
                    return;
                }
                let Some(span) = atom.verify(text, &words, at, word.start..end) else { return };
                scratch.seen[number as usize] = round;
                let hit = |&group| Hit { group, start: span.start, end: span.end, atom: number };
                hits.extend(atom.groups.iter().map(hit));
                if first || self.every {
                    for &phrase in &atom.alone {
                        found(scratch, Found { phrase, span: span.clone(), way: &[number] });
                    }
                }
            });
        }
        scratch.places = words;
        if !hits.is_empty() {
            self.settle(text, &mut hits, scratch, &mut found);
        }
        scratch.hits = hits;
    }

    /// Choices, `near` and `not`.
    fn settle(
        &self,
        text: &str,
        hits: &mut [Hit],
        scratch: &mut Scratch,
        found: &mut impl FnMut(&mut Scratch, Found<'_>),
    ) {
        hits.sort_unstable_by_key(|h| (h.group, h.start, h.end, h.atom));
        let hits = &*hits;
        // The same, each group by where its sequences end: those of several lengths end in
        // another order than they begin.
        let mut by_end = std::mem::take(&mut scratch.by_end);
        by_end.clear();
        by_end.extend_from_slice(hits);
        by_end.sort_unstable_by_key(|h| (h.group, h.end, h.start, h.atom));
        let range = |group: u32| {
            let from = hits.partition_point(|h| h.group < group);
            from..from + hits[from..].partition_point(|h| h.group == group)
        };
        let mut way = std::mem::take(&mut scratch.chosen);
        let mut from = 0;
        while let Some(first) = hits.get(from) {
            let group = &hits[range(first.group)];
            from += group.len();
            for &phrase in &self.heads[first.group as usize] {
                let Some(compound) = &self.compounds[phrase as usize] else { continue };
                // Of one sequence, a later start has a later end: only the last one that
                // starts before our end can overlap.
                let free = |h: &Hit| {
                    compound.not.iter().all(|&not| {
                        let others = &hits[range(not)];
                        let before = others.partition_point(|o| o.start < h.end);
                        before == 0 || others[before - 1].end <= h.start
                    })
                };
                for head in group.iter().filter(|h| free(h)) {
                    let mut span = head.start..head.end;
                    way.clear();
                    way.push(head.atom);
                    let all = compound.near.iter().all(|&(words, near)| {
                        let others = range(near);
                        let ended = &by_end[others.clone()];
                        let ended = &ended[..ended.partition_point(|o| o.end <= head.start)];
                        let left = ended.iter().rev().find(|o| free(o));
                        let close =
                            left.filter(|l| words_between(text, l.end, head.start, words)).or_else(|| {
                                let others = &hits[others];
                                let after = others.partition_point(|o| o.start < head.end);
                                let right = others[after..].iter().find(|o| free(o));
                                right.filter(|r| words_between(text, head.end, r.start, words))
                            });
                        let Some(close) = close else { return false };
                        span = span.start.min(close.start)..span.end.max(close.end);
                        way.push(close.atom);
                        true
                    });
                    if all {
                        found(scratch, Found { phrase, span, way: &way });
                        if !self.every {
                            break;
                        }
                    }
                }
            }
        }
        scratch.chosen = way;
        scratch.by_end = by_end;
    }
}

/// What sequences and groups have numbers already.
#[derive(Default)]
struct Known {
    atoms: HashMap<Atom, u32>,
    groups: HashMap<Vec<u32>, u32>,
}

impl CompiledAtom {
    /// Whether the sequence stands around its anchor, which matches the word `at` over `span`,
    /// and where.
    fn verify(&self, text: &str, words: &[Place], at: usize, mut span: Range<usize>) -> Option<Range<usize>> {
        if let Token::Word { prefix: true, .. } = self.tokens[self.anchor] {
            span.end = words[at].end;
        }
        for (token, word) in self.tokens[self.anchor + 1..].iter().zip(1..) {
            let word = words.get(at + word).filter(|word| !word.broken)?;
            span.end = token.end_at(text, word)?;
        }
        for (token, word) in self.tokens[..self.anchor].iter().rev().zip(1..) {
            // Nothing may end between this word and the one after it.
            let before = at.checked_sub(word).filter(|&before| !words[before + 1].broken)?;
            token.end_at(text, &words[before])?;
            span.start = words[before].start;
        }
        Some(span)
    }
}

impl Token {
    /// Where the token ends when it stands at a word: before a possessive that it does not have.
    fn end_at(&self, text: &str, at: &Place) -> Option<usize> {
        let word = &text[at.start..at.end];
        match self {
            Token::Symbol(c) => word.starts_with(*c).then_some(at.end),
            Token::Any => (!word.starts_with(is_symbol)).then_some(at.end),
            Token::Word { text, prefix: true } => word.starts_with(text.as_str()).then_some(at.end),
            Token::Word { text, prefix: false } => match word.strip_prefix(text.as_str())? {
                "" | "'s" => Some(at.start + text.len()),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::norm::norm;
    use super::*;
    use proptest::prelude::*;

    fn matched(phrases: &[&str], text: &str) -> Vec<Option<String>> {
        let parsed: Vec<Phrase> = phrases.iter().map(|p| Phrase::parse(p).unwrap()).collect();
        let set = PhraseSet::new(&parsed);
        let text = norm(text);
        let mut out = vec![None; phrases.len()];
        set.scan(&text, &mut Scratch::new(), |_, Found { phrase, span, .. }| {
            assert!(out[phrase as usize].is_none(), "found twice");
            out[phrase as usize] = Some(text[span].to_string());
        });
        out
    }

    /// (phrase, text, what of it matches)
    const CASES: &[(&str, &str, Option<&str>)] = &[
        ("late", "It is related to chocolate", None),
        ("late", "Late!", Some("late")),
        ("late", "isolate, late", Some("late")),
        ("late not \"the late\"", "the late Benjamin Graham", None),
        ("late not \"the late\"", "the late Mr. Graham was never late", Some("late")),
        ("late not \"the late\" not \"of late\"", "of late, the late one", None),
        ("don't", "I Don\u{2019}t know", Some("don't")),
        ("don", "I don't know", None),
        ("t", "I don't know", None),
        ("pharmacy", "the pharmacy's fault", Some("pharmacy")),
        ("pharmacy's", "the pharmacy's fault", Some("pharmacy's")),
        ("pharmacy fault", "the pharmacy's fault", Some("pharmacy's fault")),
        ("pharmacies", "pharmacies' rules", Some("pharmacies")),
        ("amazon pharmacy", "amazon-pharmacy", Some("amazon-pharmacy")),
        ("amazon pharmacy", "**Amazon** (pharmacy)", Some("amazon** (pharmacy")),
        ("amazon pharmacy", "I like amazon. Pharmacy work is hard", None),
        ("amazon pharmacy", "amazonpharmacy", None),
        ("amazon pharmacy", "amazon pharmacy2", None),
        ("amazon rx", "amazon 'rx'", Some("amazon 'rx")),
        ("e-mail", "e mail or E-Mail", Some("e mail")),
        ("refill*", "my refills' date", Some("refills")),
        ("refill*", "prerefill", None),
        ("prescri* transfer*", "Prescription (transferred)", Some("prescription (transferred")),
        ("* weeks", "after three weeks", Some("three weeks")),
        ("* weeks", "weeks ago", None),
        ("waiting * weeks", "waiting for weeks", Some("waiting for weeks")),
        ("waiting * weeks", "waiting two whole weeks", None),
        ("waiting * weeks", "waiting weeks", None),
        ("$*", "it is $5.", Some("$5")),
        ("$*", "it is $ 22bn.", Some("$ 22bn")),
        ("$*", "it is $.", None),
        ("$5", "costs $5", Some("$5")),
        ("$5", "costs $50", None),
        ("$5*", "costs $50", Some("$50")),
        ("$5", "costs $5.99", None),
        ("$* for", "paid $12.50 for it", Some("$12.50 for")),
        ("$* for", "paid $1,299.99 for it", Some("$1,299.99 for")),
        ("99", "paid $5.99 for", None),
        ("version 2", "version 2. New", Some("version 2")),
        ("*%", "up 20%", Some("20%")),
        ("20 %", "up 120%", None),
        ("$", "US$ rate", Some("$")),
        ("waiting near order", "waiting for the order", Some("waiting for the order")),
        ("waiting near order", "order. Still waiting", Some("order. still waiting")),
        ("waiting near/1 order", "waiting for my order", None),
        ("waiting near/2 order", "waiting for my order", Some("waiting for my order")),
        ("waiting near/0 order", "waiting order", Some("waiting order")),
        ("order near order", "order", None),
        ("order near order", "order my order", Some("order my order")),
        ("a b near b c", "a b c", None),
        ("a near x near y", "x a y", Some("x a y")),
        ("a near x near y", "x a", None),
        ("wait near order not \"wait list\"", "wait list order", None),
        ("wait near order not \"order form\"", "wait order form", None),
        ("wait near order not \"order form\"", "wait order form order", Some("wait order form order")),
        ("supply not \"not about supply\"", "it is not about supply", None),
        ("\"not covered\"", "it was not covered", Some("not covered")),
        ("café*", "the CAFÉS", Some("cafés")),
        ("caf", "the café", None),
        ("é", "l'é", None),
        ("ozempic", "💊ozempic💊", Some("ozempic")),
        ("*", "", Some("")),
        ("(late|lost) near (box|parcel)", "the parcel is lost", Some("parcel is lost")),
        ("(late|lost) near (box|parcel)", "the parcel is here", None),
        ("my (new|old big) box", "my old big box", Some("my old big box")),
        ("my (new|old big) box", "my new big box", None),
        ("(late|too late)", "much too late", Some("too late")),
        ("(late|lost)", "lost, and late", Some("lost")),
        ("(a|b) not \"a c\"", "a c", None),
        ("(a|b) not \"a c\"", "a c b", Some("b")),
        // The long one ends later than the short one that begins after it.
        ("x near/0 (a b c|b)", "a b c x", Some("a b c x")),
        ("x near/1 (a b c|b)", "b c x", Some("b c x")),
        ("(a b|b) near/0 (c|b c)", "a b c", Some("a b c")),
    ];

    #[test]
    fn one_phrase_at_a_time_and_all_together() {
        let phrases: Vec<&str> = CASES.iter().map(|c| c.0).collect();
        for (i, (phrase, text, expected)) in CASES.iter().enumerate() {
            assert_eq!(matched(&[phrase], text)[0].as_deref(), *expected, "{phrase:?} in {text:?}");
            assert_eq!(
                matched(&phrases, text)[i].as_deref(),
                *expected,
                "{phrase:?} in {text:?}, among others"
            );
        }
    }

    #[test]
    fn every_place_is_told_when_asked_for() {
        let phrases = ["a", "b near/0 c", "d not \"e d\""].map(|p| Phrase::parse(p).unwrap());
        let places = |set: PhraseSet| {
            let mut out = Vec::new();
            set.scan("a b c a c b e d d", &mut Scratch::new(), |_, f| out.push((f.phrase, f.span.start)));
            out.sort_unstable();
            out
        };
        assert_eq!(places(PhraseSet::new(&phrases)), [(0, 0), (1, 2), (2, 16)]);
        assert_eq!(places(PhraseSet::every_place(&phrases)), [(0, 0), (0, 6), (1, 2), (1, 8), (2, 16)]);
    }

    #[test]
    fn a_scratch_serves_many_sets_and_many_rounds() {
        let small = PhraseSet::new(&[Phrase::parse("a").unwrap()]);
        let large = PhraseSet::new(&["b", "c", "a near b"].map(|p| Phrase::parse(p).unwrap()));
        let mut scratch = Scratch { round: u32::MAX - 3, ..Scratch::default() };
        for _ in 0..8 {
            let mut found = Vec::new();
            small.scan("a b", &mut scratch, |_, f| found.push(f.phrase));
            large.scan("a b", &mut scratch, |_, f| found.push(10 + f.phrase));
            assert_eq!(found, [0, 10, 12]);
        }
    }

    #[test]
    fn a_long_hostile_text_is_not_quadratic() {
        let text = "order waiting ".repeat(100_000) + "x";
        let phrases =
            ["order near/0 x", "waiting near/3 missing", "order near waiting not \"order waiting\""];
        let out = matched(&phrases, &text);
        assert_eq!(out, [None, None, None]);
    }

    /// The same by splitting the text into words.
    fn slow(head: &[&str], text: &str) -> bool {
        let words: Vec<&str> = text.split(' ').collect();
        words.windows(head.len()).any(|w| {
            w.iter().zip(head).all(|(w, h)| match h.strip_suffix('*') {
                Some("") => true,
                Some(prefix) => w.starts_with(prefix),
                None => w == h,
            })
        })
    }

    proptest! {
        #[test]
        fn sequences_agree_with_the_slow_way(
            phrases in prop::collection::vec(prop::collection::vec(r"[ab]{1,2}\*?|\*", 1..4), 1..6),
            text in prop::collection::vec(r"[ab]{1,3}", 0..12),
        ) {
            let phrases: Vec<Vec<String>> =
                phrases.into_iter().filter(|p| p.iter().any(|t| t != "*")).collect();
            let texts: Vec<String> = phrases.iter().map(|p| p.join(" ")).collect();
            let text = text.join(" ");
            let out = matched(&texts.iter().map(String::as_str).collect::<Vec<_>>(), &text);
            for (phrase, out) in phrases.iter().zip(out) {
                let head: Vec<&str> = phrase.iter().map(String::as_str).collect();
                prop_assert_eq!(out.is_some(), slow(&head, &text), "{:?} in {:?}", head, text);
            }
        }

        /// A phrase with choices matches where one that writes them out does, and says which.
        #[test]
        fn choices_agree_with_what_they_write_out(
            sides in prop::collection::vec(
                (prop::collection::vec(r"[ab]{1,2}( [ab])?", 1..4), 0u32..3, r"[a-c]|"),
                1..4,
            ),
            not in r"(a b|b|aa)?",
            text in prop::collection::vec(r"[ab]{1,2}|c|\.", 0..12),
        ) {
            let text = text.join(" ");
            let mut phrase = String::new();
            let mut written = vec![String::new()];
            for (at, (choices, words, after)) in sides.iter().enumerate() {
                let near = if at > 0 { format!(" near/{words} ") } else { String::new() };
                phrase.push_str(&format!("{near}({}) {after}", choices.join("|")));
                written = written
                    .iter()
                    .flat_map(|start| choices.iter().map(move |c| format!("{start}{c} {after}")).collect::<Vec<_>>())
                    .map(|w| w.trim().to_string())
                    .collect();
                if at + 1 < sides.len() {
                    let near = format!(" near/{} ", sides[at + 1].1);
                    written.iter_mut().for_each(|w| w.push_str(&near));
                }
            }
            let phrase = if not.is_empty() { phrase } else { format!("{phrase} not \"{not}\"") };
            let Ok(choices) = Phrase::parse(&phrase) else { return Ok(()) };
            let written: Vec<Phrase> = written
                .iter()
                .filter_map(|w| {
                    // A `not` that can take nothing away is refused.
                    let whole = Phrase::parse(&format!("{w} not \"{not}\""));
                    if not.is_empty() { Phrase::parse(w).ok() } else { whole.or_else(|_| Phrase::parse(w)).ok() }
                })
                .collect();
            let text = norm(&text);
            let mut one = None;
            let set = PhraseSet::new(&[choices]);
            set.scan(&text, &mut Scratch::new(), |_, found| one = Some(set.written(0, found.way)));
            let mut any = Vec::new();
            PhraseSet::new(&written).scan(&text, &mut Scratch::new(), |_, found| {
                any.push(written[found.phrase as usize].short());
            });
            prop_assert_eq!(one.is_some(), !any.is_empty(), "{} in {:?}: {:?}", phrase, text, any);
            if let Some(Some(way)) = one {
                prop_assert!(any.contains(&way), "{} of {:?} in {:?}", way, any, text);
            }
        }

        #[test]
        fn any_text_is_safe(text in r"(\PC|[$%'. ]|late|order|don't){0,40}") {
            let phrases: Vec<&str> = CASES.iter().map(|c| c.0).collect();
            matched(&phrases, &text);
        }
    }
}
