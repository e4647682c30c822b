//! What the patterns of personal data cannot say: whether a match is one, and how much of it.
//!
//! A check sees the match and a little of what stands around it, up to what has been taken out.
//! Invariant: it never asks how long a stretch that was taken out is. Pure. May not block.

use std::ops::Range;

use super::redact_fold::TAKEN;
use super::redact_words::{is_first, is_last, may_be_first, never, no_street};

/// What a pattern found.
#[derive(Debug)]
pub(super) struct Hit<'a> {
    pub text: &'a [u8],
    /// With what stands around it.
    pub whole: Range<usize>,
    /// What would be taken out.
    pub value: Range<usize>,
}

impl Hit<'_> {
    fn value(&self) -> &[u8] {
        &self.text[self.value.clone()]
    }

    /// Up to `most` bytes before the value, after what was taken out.
    fn before(&self, most: usize) -> &[u8] {
        let from = self.value.start.saturating_sub(most);
        let bytes = &self.text[from..self.value.start];
        let open = bytes.iter().rposition(|b| *b == TAKEN).map_or(0, |at| at + 1);
        &bytes[open..]
    }

    /// Up to `most` bytes after the value, until what was taken out.
    fn after(&self, most: usize) -> &[u8] {
        let to = (self.value.end + most).min(self.text.len());
        let bytes = &self.text[self.value.end..to];
        &bytes[..bytes.iter().position(|b| *b == TAKEN).unwrap_or(bytes.len())]
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.value().iter().filter(|b| b.is_ascii_digit()).map(|b| b - b'0')
    }
}

/// Where to look again after a match that was nothing: behind its first word.
pub(super) fn next_word(text: &[u8], whole: &Range<usize>) -> usize {
    let matched = &text[whole.clone()];
    let word =
        matched.iter().skip(1).position(|b| !b.is_ascii_alphanumeric()).map_or(matched.len(), |at| at + 1);
    whole.start + word.max(1)
}

/// The whole value: its form says enough.
pub(super) fn all(hit: &Hit<'_>) -> Option<Range<usize>> {
    Some(hit.value.clone())
}

fn is_one_of(word: &[u8], words: &str) -> bool {
    words.split_ascii_whitespace().any(|one| one.as_bytes() == word)
}

fn only(hit: &Hit<'_>, right: bool) -> Option<Range<usize>> {
    right.then(|| hit.value.clone())
}

/// Without what closes a sentence or a bracket around it.
pub(super) fn url(hit: &Hit<'_>) -> Option<Range<usize>> {
    let mut value = hit.value.clone();
    let count = |sign: u8| hit.value().iter().filter(|b| **b == sign).count();
    let (round, square) = (count(b'('), count(b'['));
    let (mut round_closed, mut square_closed) = (count(b')'), count(b']'));
    while let Some(last) = hit.text[value.clone()].last() {
        match last {
            b'.' | b',' | b';' | b':' | b'!' | b'?' | b'\'' | b'*' | b'|' | b'}' => {}
            b')' if round_closed > round => round_closed -= 1,
            b']' if square_closed > square => square_closed -= 1,
            _ => break,
        }
        value.end -= 1;
    }
    Some(value)
}

/// `jane@gmail`, but not `price @ live`.
pub(super) fn known_mail(hit: &Hit<'_>) -> Option<Range<usize>> {
    let value = hit.value();
    let spaced = value.windows(2).any(|pair| pair == b" @" || pair == b"@ ");
    only(hit, !spaced || value.contains(&b'.'))
}

/// `jane at gmail dot com`, but not `look at gmail dot com`.
pub(super) fn spelled_mail(hit: &Hit<'_>) -> Option<Range<usize>> {
    let value = hit.value();
    let at = value.windows(4).position(|four| four.eq_ignore_ascii_case(b" at "))?;
    let word = value[..at].rsplit(|b| *b == b' ').next()?.to_ascii_lowercase();
    const NO_NAMES: &str = "me us you him her them look looked looking is was are account email mail inbox support \
        page order ordered shop prices pharmacy reach contact it available up online out \
        customer here";
    only(hit, !is_one_of(&word, NO_NAMES))
}

pub(super) fn ip(hit: &Hit<'_>) -> Option<Range<usize>> {
    let octets = hit.value().split(|b| *b == b'.').all(|octet| octet.len() < 3 || *octet <= b"255"[..]);
    let before = hit.before(9).to_ascii_lowercase();
    let before = before.trim_ascii_end();
    let version = [&b"version"[..], b"v", b"ver", b"v.", b"release", b"update", b"ios", b"build"]
        .iter()
        .any(|word| before.ends_with(word));
    only(hit, octets && !version)
}

pub(super) fn card(hit: &Hit<'_>) -> Option<Range<usize>> {
    let digits: Vec<u8> = hit.digits().collect();
    let mut sum = 0_u32;
    for (place, digit) in digits.iter().rev().enumerate() {
        let digit = u32::from(*digit);
        sum += if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 };
    }
    only(hit, (2..=6).contains(digits.first()?) && sum.is_multiple_of(10))
}

/// Three, two and four digits; with blanks or dots only what could be given out.
pub(super) fn ssn(hit: &Hit<'_>) -> Option<Range<usize>> {
    let dashed = hit.value().contains(&b'-');
    let digits: Vec<u8> = hit.digits().collect();
    let given = digits.first() != Some(&9)
        && digits.get(..3) != Some(&[0, 0, 0])
        && digits.get(3..5) != Some(&[0, 0]);
    only(hit, dashed || given && !a_dose(hit))
}

/// A value behind a label: with digits enough to be one.
pub(super) fn labelled(hit: &Hit<'_>) -> Option<Range<usize>> {
    only(hit, hit.value().len() >= 4 && hit.digits().count() >= 3 && !is_date(hit.value()) && !a_dose(hit))
}

pub(super) fn rx(hit: &Hit<'_>) -> Option<Range<usize>> {
    only(hit, hit.digits().count() >= 5 && !is_date(hit.value()))
}

pub(super) fn order(hit: &Hit<'_>) -> Option<Range<usize>> {
    only(hit, hit.value().len() >= 4 && hit.digits().count() >= 3 && !is_date(hit.value()) && !a_dose(hit))
}

/// Behind "account" without "number": six digits at least.
pub(super) fn account(hit: &Hit<'_>) -> Option<Range<usize>> {
    let label = &hit.text[hit.whole.start..hit.value.start];
    let said = label.iter().any(|b| matches!(b, b'#' | b':'))
        || find(label, b"num")
        || find(label, b"no")
        || find(label, b"id");
    let least = if said { 4 } else { 6 };
    only(hit, hit.digits().count() >= least && !is_date(hit.value()) && !a_dose(hit))
}

fn find(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

/// `2024-03-15`, `3/4/2024`.
fn is_date(value: &[u8]) -> bool {
    let groups: Vec<&[u8]> = value.split(|b| matches!(b, b'-' | b'/' | b'.' | b' ')).collect();
    let digits = groups.iter().all(|group| !group.is_empty() && group.iter().all(u8::is_ascii_digit));
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    digits && matches!(lengths[..], [4, 1 | 2, 1 | 2] | [1 | 2, 1 | 2, 2 | 4])
}

/// Whether money stands before a number, or a unit behind it.
fn a_dose(hit: &Hit<'_>) -> bool {
    if hit.before(2).trim_ascii_end().ends_with(b"$") {
        return true;
    }
    let after = hit.after(12).to_ascii_lowercase();
    let word = after.trim_ascii_start();
    let word = word.split(|b| !b.is_ascii_alphabetic() && *b != b'%').next().unwrap_or(word);
    is_one_of(
        word,
        "mg mcg ml iu units unit g % pills tablets tabs capsules dollars bucks people patients \
         calories cal kcal steps usd times stores pharmacies orders customers users miles \
         hours days years",
    )
}

/// A number and capitalised words up to "Street", none of which says otherwise.
pub(super) fn street(hit: &Hit<'_>) -> Option<Range<usize>> {
    // "USB 3.0 Flash Drive", "$20 Main Street".
    let part = matches!(hit.before(1), b"$" | b"." | b",");
    let words: Vec<&[u8]> =
        hit.value().split(|b| matches!(b, b' ' | b'\t')).filter(|w| !w.is_empty()).collect();
    let dose = words.get(1).is_some_and(|word| {
        *word != b"E"
            && *word != b"S"
            && *word != b"W"
            && *word != b"N"
            && (no_street(word) || never(word))
            && !word.eq_ignore_ascii_case(b"old")
            && !word.eq_ignore_ascii_case(b"new")
            && !word.eq_ignore_ascii_case(b"park")
    });
    only(hit, !part && !dose)
}

pub(super) fn plain_street(hit: &Hit<'_>) -> Option<Range<usize>> {
    let value = hit.value();
    let words: Vec<&[u8]> = value.split(|b| matches!(b, b' ' | b'\t')).filter(|w| !w.is_empty()).collect();
    let kind = |word: &[u8]| {
        let word: Vec<u8> =
            word.iter().filter(|b| b.is_ascii_alphabetic()).map(u8::to_ascii_lowercase).collect();
        is_one_of(
            &word,
            "street st avenue ave road rd boulevard blvd lane ln drive court circle parkway pkwy \
         terrace",
        )
    };
    let between: Vec<&&[u8]> = words.iter().skip(1).take_while(|word| !kind(word)).collect();
    let wrong = between.iter().any(|word| no_street(word) || never(word));
    only(hit, !between.is_empty() && !wrong && hit.before(1) != b"$")
}

/// A city, its state and five digits. `OR`, `IN`, `ME` are words where no comma says otherwise.
pub(super) fn city(hit: &Hit<'_>) -> Option<Range<usize>> {
    let value = hit.value();
    let unlike = value
        .split(|b| *b == b' ')
        .any(|w| matches!(w, b"IN" | b"OR" | b"ME" | b"OK" | b"HI" | b"PA" | b"MS"));
    only(hit, (!unlike || value.contains(&b',')) && !a_dose(hit))
}

/// The rest of a sentence that gives an address.
pub(super) fn named_address(hit: &Hit<'_>) -> Option<Range<usize>> {
    let mut value = hit.value.clone();
    if let Some(end) = hit.value().windows(2).position(|two| two == b". ") {
        value.end = value.start + end;
    }
    let second = hit.value().split(|b| *b == b' ').nth(1)?;
    (!no_street(second)).then_some(value)
}

pub(super) fn phone(hit: &Hit<'_>) -> Option<Range<usize>> {
    let mut value = hit.value.clone();
    while hit.text[value.clone()].last().is_some_and(|b| matches!(b, b' ' | b'.' | b'-' | b'(')) {
        value.end -= 1;
    }
    let bare = Hit { text: hit.text, whole: hit.whole.clone(), value: value.clone() };
    let digits = bare.digits().count();
    let wrong = digits < 7 || is_date(bare.value()) || a_dose(&bare) || says_code(&bare);
    // Numbers in a row are numbers in a row; with blanks alone the first must be an area.
    let blanks = bare.value().iter().all(|b| b.is_ascii_digit() || *b == b' ');
    let area = bare.digits().next().is_some_and(|first| first >= 2) || digits != 10;
    (!wrong && (!blanks || area)).then_some(value)
}

pub(super) fn solid_phone(hit: &Hit<'_>) -> Option<Range<usize>> {
    only(hit, !a_dose(hit) && !says_code(hit) && !hit.before(1).ends_with(b"."))
}

/// Whether what stands before a number says that it is a product's.
fn says_code(hit: &Hit<'_>) -> bool {
    let before = hit.before(12).to_ascii_lowercase();
    [&b"ndc"[..], b"upc", b"isbn", b"lot", b"sku", b"asin", b"item", b"model"]
        .iter()
        .any(|word| find(&before, word))
}

/// Digits with a blank between: three, three and four, or three and four with a dash.
pub(super) fn spread_phone(hit: &Hit<'_>) -> Option<Range<usize>> {
    let digits: Vec<u8> = hit.digits().collect();
    let counting = digits.windows(2).all(|pair| (pair[0] + 1) % 10 == pair[1] % 10);
    let grouped = hit.value().iter().any(|b| matches!(b, b'-' | b'.'));
    let more = hit.before(2).iter().any(u8::is_ascii_digit) || hit.after(2).iter().any(u8::is_ascii_digit);
    only(hit, !counting && !more && (grouped || digits.len() == 10))
}

/// Three and four digits: not `250-1000 mg`, nor another range of round numbers.
pub(super) fn short_phone(hit: &Hit<'_>) -> Option<Range<usize>> {
    let last: u32 = hit.digits().skip(3).take(4).fold(0, |sum, digit| sum * 10 + u32::from(digit));
    let joined = hit.before(1).iter().any(|b| matches!(b, b'-' | b'/' | b'.'))
        || hit.after(1).iter().any(|b| matches!(b, b'-' | b'/'));
    let before = hit.before(30).to_ascii_lowercase();
    let said = [&b"call"[..], b"phone", b"tel", b"text", b"fax", b"cell", b"reach", b"dial", b"mobile"]
        .iter()
        .any(|word| find(&before, word));
    only(hit, !joined && !a_dose(hit) && !says_code(hit) && (said || !last.is_multiple_of(50)))
}

/// Digits as words, unless they only count.
pub(super) fn counted(hit: &Hit<'_>) -> Option<Range<usize>> {
    const WORDS: [&[u8]; 10] =
        [b"zero", b"one", b"two", b"three", b"four", b"five", b"six", b"seven", b"eight", b"nine"];
    let words = hit.value().to_ascii_lowercase();
    let digits: Vec<usize> = words
        .split(|b| !b.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
        .map(|word| WORDS.iter().position(|digit| *digit == word).unwrap_or(0))
        .collect();
    only(hit, !digits.windows(2).all(|pair| pair[0] + 1 == pair[1] || pair[0] == pair[1] + 1))
}

pub(super) fn handle(hit: &Hit<'_>) -> Option<Range<usize>> {
    let mut value = hit.value.clone();
    while hit.text[value.clone()].last().is_some_and(|b| matches!(b, b'.' | b'-')) {
        value.end -= 1;
    }
    let word = hit.text[value.start + 1..value.end].to_ascii_lowercase();
    const NOBODY: &str = "home work school night least all bedtime noon midnight once the my a an this that times \
        everyone here amazon amazonhelp amazonpharmacy cvs cvspharmacy cvs_extra walgreens \
        riteaid walmart costco kroger pillpack optumrx expressscripts goodrx capsule hims target \
        publix";
    (!is_one_of(&word, NOBODY)).then_some(value)
}

/// `u/jane`, but not `10 u/day`.
pub(super) fn reddit_name(hit: &Hit<'_>) -> Option<Range<usize>> {
    let amount = hit.before(2).trim_ascii_end().last().is_some_and(u8::is_ascii_digit);
    let name = hit.value().rsplit(|b| *b == b'/').next()?.to_ascii_lowercase();
    let per = is_one_of(&name, "day hour meal dose night week min carb mol");
    only(hit, !(amount || per && !hit.value().starts_with(b"/")))
}

/// A word that nobody would say: with a digit or a sign.
pub(super) fn odd_word(hit: &Hit<'_>) -> Option<Range<usize>> {
    only(hit, hit.value().iter().any(|b| b.is_ascii_digit() || matches!(b, b'_' | b'#')))
}

/// The words of a name, up to the first that is none.
fn trimmed(hit: &Hit<'_>) -> Option<(Range<usize>, Vec<Range<usize>>)> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut at = hit.value.start;
    for word in hit.value().split(|b| matches!(b, b' ' | b'\t')) {
        let range = at..at + word.len();
        at = range.end + 1;
        if !word.is_empty() {
            if never(word) {
                break;
            }
            words.push(range);
        }
    }
    let mut end = words.last()?.end;
    // "Smith's" is a name and an ending.
    if hit.text[..end].ends_with(b"'s") {
        end -= 2;
    }
    Some((words.first()?.start..end, words))
}

/// Where only a name can stand.
pub(super) fn name(hit: &Hit<'_>) -> Option<Range<usize>> {
    trimmed(hit).map(|(value, _)| value)
}

/// Where other words can stand as well: the first must be a first name, or both a usual pair.
pub(super) fn listed_name(hit: &Hit<'_>) -> Option<Range<usize>> {
    let (value, words) = trimmed(hit)?;
    let first = &hit.text[words.first()?.clone()];
    let last = words.get(1..).and_then(|rest| rest.last()).map(|last| &hit.text[last.clone()]);
    let right = is_first(first) || may_be_first(first) || last.is_some_and(is_last);
    if !right {
        return None;
    }
    // "Jessica Billing": a second word that is capitalised in passing stays.
    Some(value)
}

/// `I'm Jane Doe`, `this is Jane calling`.
pub(super) fn own_name(hit: &Hit<'_>) -> Option<Range<usize>> {
    let (value, words) = trimmed(hit)?;
    let first = &hit.text[words.first()?.clone()];
    let right = is_first(first) || words.len() > 1 && may_be_first(first);
    right.then_some(value)
}

/// `my name is jane doe`, `MY NAME IS JANE`.
pub(super) fn spoken_name(hit: &Hit<'_>) -> Option<Range<usize>> {
    let (mut value, words) = trimmed(hit)?;
    if let [first, second, ..] = &words[..] {
        let word = &hit.text[second.clone()];
        let ends = matches!(hit.text.get(second.end), None | Some(b'.' | b',' | b'!' | b'\n' | b';' | b')'));
        if !(is_last(word) || ends) {
            value.end = first.end;
        }
    }
    Some(value)
}

/// Behind a title. Behind "my Dr." a sentence may end, and in lower case much else can stand.
pub(super) fn titled(hit: &Hit<'_>) -> Option<Range<usize>> {
    if hit.text[..hit.whole.start].last().is_some_and(|b| matches!(b, b';' | b':' | b',' | b'/')) {
        return None; // "TL;DR"
    }
    let (value, words) = trimmed(hit)?;
    let last = &hit.text[words.last()?.clone()];
    let first = &hit.text[words.first()?.clone()];
    let known = is_last(last) || is_first(first);
    if first.first().is_some_and(u8::is_ascii_lowercase)
        || first.len() > 2 && first.iter().all(u8::is_ascii_uppercase)
    {
        return known.then_some(value);
    }
    let before = hit.text[..hit.whole.start].trim_ascii_end();
    let possessed = [&b"my"[..], b"the", b"a", b"his", b"her", b"your", b"our", b"their", b"new", b"another"]
        .iter()
        .any(|word| {
            before.len() >= word.len() && before[before.len() - word.len()..].eq_ignore_ascii_case(word)
        });
    let stopped = hit.text[hit.whole.start..hit.value.start].contains(&b'.');
    (known || words.len() > 1 || !(possessed && stopped)).then_some(value)
}

/// A frequent first name and, as the second or third word, a frequent surname.
pub(super) fn first_and_last(hit: &Hit<'_>) -> Option<Range<usize>> {
    let (value, words) = trimmed(hit)?;
    if !is_first(&hit.text[words.first()?.clone()]) {
        return None;
    }
    let last = words.iter().skip(1).rfind(|word| is_last(&hit.text[(*word).clone()]))?;
    Some(value.start..last.end.min(value.end))
}
