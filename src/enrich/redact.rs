//! Personal data out of a text, before the text leaves the machine.
//!
//! What is found is replaced by a word for its kind: `jane@example.com` by `[EMAIL]`. Drug names,
//! doses, brands, money and ordinary dates stay, because they are what a label is made of.
//! Invariant: a function of the text alone; redacting twice changes nothing more; placeholders that
//! stand in a text already stay; work grows with the text's length, whatever the text.
//! Names in free text are found by what stands around them and by lists; others get through.
//! See `docs/decisions/redaction.md`. Pure: no IO, no clock. May not block.

use std::ops::Range;

use super::redact_checks::{self as checks, Hit};
use super::redact_fold::{Shadow, TAKEN};
use super::redact_patterns::{self as patterns, Rule};

pub use super::redact_fold::visible;

/// The version of the rules, in every row that they touched.
pub const REDACTION_VERSION: &str = "redact-2";

/// What stands in place of a kind of personal data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Placeholder {
    /// An e-mail address, also spelled out.
    Email,
    /// A telephone or fax number with its extension.
    Phone,
    /// A social security number, or its last four digits where they are called that.
    Ssn,
    /// The number of a patient or a medical record.
    Mrn,
    /// A number of an insurance: member, subscriber, policy, group, Medicare.
    MemberId,
    /// The number of a prescription.
    RxNumber,
    /// The number of an order, a parcel, a case, a ticket or an invoice.
    OrderNumber,
    /// A birthday.
    DateOfBirth,
    /// A street address, a post office box, a city with ZIP, a ZIP called that.
    Address,
    /// A web address; of a domain alone only with `http` or `www`.
    Url,
    /// The name of an account: `@jane`, `u/jane`.
    Handle,
    /// A person's name.
    Name,
    /// The number of a payment card.
    Card,
    /// The number of another account, of a licence, of a bank.
    Account,
    /// An IP address.
    Ip,
    /// A whole text that does not come to rest: made to get around the rules.
    Unclear,
}

impl Placeholder {
    /// Every kind, in the order of the counts.
    pub const ALL: [Self; 16] = [
        Self::Email,
        Self::Phone,
        Self::Ssn,
        Self::Mrn,
        Self::MemberId,
        Self::RxNumber,
        Self::OrderNumber,
        Self::DateOfBirth,
        Self::Address,
        Self::Url,
        Self::Handle,
        Self::Name,
        Self::Card,
        Self::Account,
        Self::Ip,
        Self::Unclear,
    ];

    /// The word between the brackets.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Phone => "PHONE",
            Self::Ssn => "SSN",
            Self::Mrn => "MRN",
            Self::MemberId => "MEMBER_ID",
            Self::RxNumber => "RX_NUMBER",
            Self::OrderNumber => "ORDER_NUMBER",
            Self::DateOfBirth => "DATE_OF_BIRTH",
            Self::Address => "ADDRESS",
            Self::Url => "URL",
            Self::Handle => "HANDLE",
            Self::Name => "NAME",
            Self::Card => "CARD",
            Self::Account => "ACCOUNT",
            Self::Ip => "IP",
            Self::Unclear => "UNCLEAR",
        }
    }
}

/// A text without the personal data that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redacted {
    /// The text as a reader sees it, with placeholders.
    pub text: String,
    /// How many of each kind were replaced, in the order of [`Placeholder::ALL`], without zeros.
    /// Placeholders that stood in the text before are not counted.
    pub counts: Vec<(Placeholder, u32)>,
}

impl Redacted {
    /// How many were replaced.
    pub fn count(&self) -> u32 {
        self.counts.iter().map(|(_, count)| count).sum()
    }
}

/// How often the rules go over a text at most. What is taken out can bare something beside it; two
/// or three times is the most that honest texts need.
const ROUNDS: usize = 8;

/// How many matches of one rule may turn out to be nothing before the rule is in less of a hurry to
/// look between them.
const SECOND_LOOKS: usize = 20_000;

/// The text without what a reader cannot see ([`visible`]) and with placeholders in place of
/// personal data.
pub fn redact(text: &str) -> Redacted {
    let seen = visible(text);
    let found = find(&seen);
    if found.is_empty() {
        return Redacted { text: seen.into_owned(), counts: Vec::new() };
    }
    let mut out = String::with_capacity(seen.len());
    let mut rest = 0;
    for (range, kind) in &found {
        out.push_str(&seen[rest..range.start]);
        out.push('[');
        out.push_str(kind.as_str());
        out.push(']');
        rest = range.end;
    }
    out.push_str(&seen[rest..]);
    let mut counts = Vec::new();
    for kind in Placeholder::ALL {
        let count = found.iter().filter(|(_, of)| *of == kind).count();
        if count > 0 {
            counts.push((kind, u32::try_from(count).unwrap_or(u32::MAX)));
        }
    }
    Redacted { text: out, counts }
}

/// Where personal data stands in a text, in order.
pub(super) fn find(seen: &str) -> Vec<(Range<usize>, Placeholder)> {
    let everything = || vec![(0..seen.len(), Placeholder::Unclear)];
    let mut shadow = Shadow::of(seen);
    let Some(patterns) = patterns::compiled() else {
        // Cannot happen to patterns that are tested; if it does, nothing leaves.
        return everything();
    };
    let placeholders: Vec<_> =
        patterns.placeholder.find_iter(&shadow.bytes).map(|found| found.range()).collect();
    for range in placeholders {
        shadow.bytes[range].fill(TAKEN);
    }
    let rules = patterns.in_question(&shadow.bytes);
    let mut all: Vec<(Range<usize>, Placeholder)> = Vec::new();
    for _ in 0..ROUNDS {
        let before = all.len();
        for rule in &rules {
            apply(rule, &mut shadow.bytes, &mut all);
        }
        if all.len() == before {
            let mut found: Vec<_> =
                all.into_iter().map(|(range, kind)| (shadow.in_text(&range), kind)).collect();
            found.sort_by_key(|(range, _)| range.start);
            return found;
        }
    }
    everything()
}

/// Takes out what one rule finds.
pub(super) fn apply(rule: &Rule, shadow: &mut [u8], all: &mut Vec<(Range<usize>, Placeholder)>) {
    let mut at = 0;
    let mut nothing = 0;
    while at < shadow.len() {
        let Some(captures) = rule.regex.captures_at(shadow, at) else { return };
        let Some(whole) = captures.get(0) else { return };
        let value = captures.name("v").unwrap_or(whole).range();
        let whole = whole.range();
        match (rule.check)(&Hit { text: shadow, whole: whole.clone(), value }) {
            Some(value) if !value.is_empty() => {
                shadow[value.clone()].fill(TAKEN);
                at = value.end;
                all.push((value, rule.kind));
            }
            _ => {
                nothing += 1;
                at = if nothing < SECOND_LOOKS { checks::next_word(shadow, &whole) } else { whole.end };
            }
        }
    }
}
