//! What every adapter shares: privacy, reasons for refusal, and values of any JSON type.
//!
//! Real records change types without notice (`edited` is false, true or a number; ids are
//! strings or numbers). [`Loose`] takes in whatever stands there; the adapter decides what
//! it may mean, field by field. Pure; does not block.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What is done with authors.
#[derive(Clone, PartialEq, Eq)]
pub enum AuthorRule {
    /// Removed everywhere.
    Drop,
    /// Replaced by a keyed hash: the same person is the same word, without a name.
    Hash {
        /// The secret.
        key: Vec<u8>,
    },
    /// Kept as they are.
    Keep,
}

// The key is a secret: never printed.
impl fmt::Debug for AuthorRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuthorRule::Drop => "Drop",
            AuthorRule::Hash { .. } => "Hash",
            AuthorRule::Keep => "Keep",
        })
    }
}

/// What may be kept of people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Privacy {
    /// What is done with authors.
    pub author: AuthorRule,
}

/// The privacy rule, made ready for many records.
#[derive(Clone)]
pub struct Redactor {
    rule: Rule,
}

#[derive(Clone)]
enum Rule {
    Drop,
    Hash([u8; 32]),
    Keep,
}

impl Redactor {
    /// Derives the hashing key once.
    pub fn new(privacy: &Privacy) -> Self {
        Self {
            rule: match &privacy.author {
                AuthorRule::Drop => Rule::Drop,
                AuthorRule::Hash { key } => Rule::Hash(blake3::derive_key("rxpulse author names 1", key)),
                AuthorRule::Keep => Rule::Keep,
            },
        }
    }

    /// Whether nothing is changed.
    pub fn keeps(&self) -> bool {
        matches!(self.rule, Rule::Keep)
    }

    /// What stands for an author's name: nothing, 16 hexadecimal digits, or the name.
    /// `[deleted]` is nobody's name and stays unless authors are dropped.
    pub fn replace<'a>(&self, name: &'a str) -> Option<Cow<'a, str>> {
        match &self.rule {
            Rule::Drop => None,
            Rule::Keep => Some(Cow::Borrowed(name)),
            Rule::Hash(_) if name == "[deleted]" => Some(Cow::Borrowed(name)),
            Rule::Hash(key) => {
                let hash = blake3::keyed_hash(key, name.as_bytes()).to_hex();
                Some(Cow::Owned(hash[..16].to_string()))
            }
        }
    }

    /// A word for the rule: it changes when captures would look different. It tells two keys
    /// apart without giving one away.
    pub fn version(&self) -> String {
        match &self.rule {
            Rule::Drop => "drop".to_string(),
            Rule::Keep => "keep".to_string(),
            Rule::Hash(key) => format!("hash-{}", &blake3::keyed_hash(key, b"rule").to_hex()[..8]),
        }
    }
}

/// Why a record is set aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reject {
    /// One of a small set of words: `invalid_json`, `missing_id`, `mistyped:title`, …
    pub reason: Cow<'static, str>,
    /// What was found, for people; no content of the record.
    pub detail: String,
}

impl Reject {
    pub(super) fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason: Cow::Borrowed(reason), detail: detail.into() }
    }

    pub(super) fn mistyped(field: &str, found: &Loose<'_>) -> Self {
        Self {
            reason: Cow::Owned(format!("mistyped:{field}")),
            detail: format!("{field} is {}", found.describe()),
        }
    }

    /// The reason that a failed parse of a record stands for.
    pub(super) fn from_json(error: &serde_json::Error) -> Self {
        if error.is_data() {
            // What serde says here quotes the record.
            return Self::new("not_an_object", "the record is not an object");
        }
        let text = error.to_string();
        let reason = if text.starts_with("recursion limit") { "too_deep" } else { "invalid_json" };
        Self::new(reason, text)
    }
}

/// A value of whatever type stands in the record.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) enum Loose<'a> {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    /// An object or an array; its content is not kept.
    Nested,
}

/// The greatest score or count that is believed. Sums of these stay inside 64 bits.
const MOST: i64 = 1_000_000_000_000;

impl<'a> Loose<'a> {
    fn describe(&self) -> &'static str {
        match self {
            Loose::Null => "null",
            Loose::Bool(_) => "true or false",
            Loose::Int(_) | Loose::Float(_) => "a number that cannot be meant",
            Loose::Text(_) => "a text that cannot be meant",
            Loose::Nested => "an object or a list",
        }
    }

    /// A text or nothing.
    pub(super) fn text(self, field: &str) -> Result<Option<Cow<'a, str>>, Reject> {
        match self {
            Loose::Null => Ok(None),
            Loose::Text(text) => Ok(Some(text)),
            other => Err(Reject::mistyped(field, &other)),
        }
    }

    /// Whether it says "no number", as tools do that know no empty cell among numbers.
    pub(super) fn is_nan(&self) -> bool {
        match self {
            Loose::Float(f) => f.is_nan(),
            Loose::Text(text) => text.trim().eq_ignore_ascii_case("nan"),
            _ => false,
        }
    }

    /// A whole number or nothing; numbers written as text or with a fraction of 0 count, and what
    /// is no number (`NaN`) is nothing.
    pub(super) fn integer(&self, field: &str) -> Result<Option<i64>, Reject> {
        let wrong = || Reject::mistyped(field, self);
        if self.is_nan() {
            return Ok(None);
        }
        let number = match self {
            Loose::Null => return Ok(None),
            Loose::Int(n) => *n,
            Loose::Float(_) | Loose::Text(_) => match self.number(field)? {
                None => return Ok(None),
                Some(f) if f.abs() <= MOST as f64 => f.round() as i64,
                Some(_) => return Err(wrong()),
            },
            Loose::Bool(_) | Loose::Nested => return Err(wrong()),
        };
        if number.unsigned_abs() > MOST as u64 { Err(wrong()) } else { Ok(Some(number)) }
    }

    /// A finite number or nothing. An empty text is nothing.
    pub(super) fn number(&self, field: &str) -> Result<Option<f64>, Reject> {
        let number = match self {
            Loose::Null => return Ok(None),
            Loose::Int(n) => Some(*n as f64),
            Loose::Float(f) => Some(*f),
            Loose::Text(text) if text.trim().is_empty() => return Ok(None),
            Loose::Text(text) => text.trim().parse().ok(),
            Loose::Bool(_) | Loose::Nested => None,
        };
        match number.filter(|n: &f64| n.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(Reject::mistyped(field, self)),
        }
    }

    /// Seconds since 1970 as milliseconds: a number, or a number written as text.
    pub(super) fn epoch_seconds(&self) -> Option<i64> {
        match self {
            Loose::Int(n) => in_years(n.checked_mul(1000)?),
            Loose::Float(f) => seconds_to_millis(*f),
            Loose::Text(text) => match text.trim().parse::<i64>() {
                Ok(n) => in_years(n.checked_mul(1000)?),
                Err(_) => seconds_to_millis(text.trim().parse().ok()?),
            },
            _ => None,
        }
    }
}

/// Whole milliseconds of fractional seconds, if they lie in the years 1 to 9999.
pub(super) fn seconds_to_millis(seconds: f64) -> Option<i64> {
    // Beyond this a float is no moment that anyone means, and the product would lose bits.
    (seconds.is_finite() && seconds.abs() < 1e12)
        .then(|| (seconds * 1000.0).round() as i64)
        .and_then(in_years)
}

/// The moment, if it lies in the years 1 to 9999.
pub(super) fn in_years(ms: i64) -> Option<i64> {
    (-62_135_596_800_000..=253_402_300_799_999).contains(&ms).then_some(ms)
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Loose<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Loose<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Loose::Null)
            }
            fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
                Ok(Loose::Bool(v))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
                Ok(Loose::Int(v))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
                Ok(i64::try_from(v).map_or(Loose::Float(v as f64), Loose::Int))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Self::Value, E> {
                Ok(Loose::Float(v))
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Loose::Text(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Loose::Text(Cow::Owned(v.to_string())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose::Nested)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Loose::Nested)
            }
        }
        d.deserialize_any(V)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loose(json: &str) -> Loose<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn times_come_as_numbers_of_any_kind() {
        for json in ["1201956807", "1201956807.0", "\"1201956807\"", "\" 1201956807.0\""] {
            assert_eq!(loose(json).epoch_seconds(), Some(1_201_956_807_000), "{json}");
        }
        for json in
            ["null", "true", "\"soon\"", "1e300", "-1e300", "9223372036854775807", "\"NaN\"", "[1]", "{}"]
        {
            assert_eq!(loose(json).epoch_seconds(), None, "{json}");
        }
    }

    #[test]
    fn counts_are_believed_up_to_a_limit() {
        assert_eq!(loose("12").integer("score"), Ok(Some(12)));
        assert_eq!(loose("-3.0").integer("score"), Ok(Some(-3)));
        assert_eq!(loose("\"7\"").integer("score"), Ok(Some(7)));
        for json in ["null", "\"\"", "\"NaN\"", "\" nan\""] {
            assert_eq!(loose(json).integer("score"), Ok(None), "{json}");
        }
        assert_eq!(Loose::Float(f64::NAN).integer("score"), Ok(None));
        for json in
            ["9223372036854775808", "-9223372036854775808", "1e18", "true", "[]", "\"many\"", "\"inf\""]
        {
            let reject = loose(json).integer("score").unwrap_err();
            assert_eq!(reject.reason, "mistyped:score", "{json}");
        }
    }
}
