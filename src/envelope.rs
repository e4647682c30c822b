//! One line of bronze: the fields every post has, beside the record's own bytes.
//!
//! A bronze object is NDJSON of these, zstd-compressed, fields in the order of the struct,
//! `raw` last. Absent values are `null`; times are `YYYY-MM-DDTHH:MM:SS.mmmZ`. The schema is
//! plain, so that any engine reads it. Sources write envelopes, engines read them.

use std::borrow::Cow;
use std::fmt;

use serde::de::Visitor;

/// What a post is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PostType {
    /// The start of a thread.
    Post,
    /// An answer.
    Comment,
    /// A rating with text.
    Review,
    /// A message to support.
    Ticket,
    /// Not a post: the record's creation day moved away from this day. Only the identity,
    /// `fetched_at`, `locator` and `seq` are set; a newer capture of the day beats it.
    Moved,
}

impl PostType {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            PostType::Post => "post",
            PostType::Comment => "comment",
            PostType::Review => "review",
            PostType::Ticket => "ticket",
            PostType::Moved => "moved",
        }
    }
}

/// Text that borrows from the line where no escape forces a copy.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Default, serde::Serialize)]
#[serde(transparent)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text))
    }
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Text<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(v.to_string())))
            }
            fn visit_string<E>(self, v: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(v)))
            }
        }
        d.deserialize_str(V)
    }
}

/// One capture of one post. Times are milliseconds since 1970 UTC.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Envelope<'a> {
    /// The site: `reddit`, `app_store`, `trustpilot`, …
    #[serde(borrow)]
    pub platform: Text<'a>,
    /// The source in the configuration that captured it.
    #[serde(borrow)]
    pub source: Text<'a>,
    /// The site's own id: `t3_abc`, `t1_def`, a review id.
    #[serde(borrow)]
    pub native_id: Text<'a>,
    /// What it is.
    pub post_type: PostType,
    /// Subreddit, app, forum.
    #[serde(borrow, default)]
    pub channel: Option<Text<'a>>,
    /// When it was written; the partition is this moment's day in the project's time zone.
    #[serde(with = "millis_opt", default)]
    pub created_at: Option<i64>,
    /// Headline, as the site stores it (not unescaped).
    #[serde(borrow, default)]
    pub title: Option<Text<'a>>,
    /// Text, as the site stores it (not unescaped).
    #[serde(borrow, default)]
    pub body: Option<Text<'a>>,
    /// Where a person can read it.
    #[serde(borrow, default)]
    pub url: Option<Text<'a>>,
    /// Who wrote it, as `[privacy]` allows.
    #[serde(borrow, default)]
    pub author: Option<Text<'a>>,
    /// Votes.
    #[serde(default)]
    pub score: Option<i64>,
    /// Answers.
    #[serde(default)]
    pub num_comments: Option<i64>,
    /// Stars.
    #[serde(default)]
    pub rating: Option<f64>,
    /// What it answers: a native id.
    #[serde(borrow, default)]
    pub parent_id: Option<Text<'a>>,
    /// The headline of the thread that a comment belongs to.
    #[serde(borrow, default)]
    pub link_title: Option<Text<'a>>,
    /// The post that it repeats: a native id.
    #[serde(borrow, default)]
    pub crosspost_parent: Option<Text<'a>>,
    /// When it was last changed by its author.
    #[serde(with = "millis_opt", default)]
    pub edited_at: Option<i64>,
    /// Deleted or removed at the site.
    #[serde(default)]
    pub deleted: bool,
    /// When this capture saw it.
    #[serde(with = "millis")]
    pub fetched_at: i64,
    /// The file it came from, relative to the project; empty for network sources.
    #[serde(borrow, default)]
    pub locator: Text<'a>,
    /// The record's number in its file or window, from 1.
    pub seq: u64,
    /// Which adapter mapped it, with its version: `reddit/1`.
    #[serde(borrow)]
    pub adapter_version: Text<'a>,
    /// The record's own bytes, authors removed or replaced as `[privacy]` says.
    #[serde(borrow)]
    pub raw: Text<'a>,
}

impl<'a> Envelope<'a> {
    /// A capture that says nothing yet but what it is of: no text, no time, no numbers.
    pub fn bare(
        platform: impl Into<Text<'a>>,
        source: impl Into<Text<'a>>,
        native_id: impl Into<Text<'a>>,
        post_type: PostType,
        fetched_at: i64,
        adapter_version: &'a str,
    ) -> Self {
        Self {
            platform: platform.into(),
            source: source.into(),
            native_id: native_id.into(),
            post_type,
            channel: None,
            created_at: None,
            title: None,
            body: None,
            url: None,
            author: None,
            score: None,
            num_comments: None,
            rating: None,
            parent_id: None,
            link_title: None,
            crosspost_parent: None,
            edited_at: None,
            deleted: false,
            fetched_at,
            locator: Text::default(),
            seq: 0,
            adapter_version: adapter_version.into(),
            raw: Text::default(),
        }
    }
}

/// `YYYY-MM-DDTHH:MM:SS.mmmZ` of milliseconds since 1970 UTC.
pub fn format_millis(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(ts) => format!("{ts:.3}"),
        Err(_) => String::new(),
    }
}

/// Milliseconds since 1970 UTC of an RFC 3339 time. The fixed form of [`format_millis`]
/// takes a fast path.
pub fn parse_millis(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    let digits = |r: std::ops::Range<usize>| -> Option<i64> {
        b[r].iter().try_fold(0i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
    };
    if b.len() == 24
        && b[4] == b'-'
        && b[7] == b'-'
        && b[10] == b'T'
        && b[13] == b':'
        && b[16] == b':'
        && b[19] == b'.'
        && b[23] == b'Z'
    {
        let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
        let (hour, minute, second, ms) = (digits(11..13)?, digits(14..16)?, digits(17..19)?, digits(20..23)?);
        if (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60 {
            // Days from civil (proleptic Gregorian), Howard Hinnant's algorithm.
            let y = year - i64::from(month <= 2);
            let era = y.div_euclid(400);
            let yoe = y - era * 400;
            let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
            let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
            return Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms);
        }
        return None;
    }
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

mod millis {
    use super::Text;
    use serde::Deserialize;

    pub fn serialize<S: serde::Serializer>(ms: &i64, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&super::format_millis(*ms))
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
        let text = Text::deserialize(d)?;
        super::parse_millis(text.as_str())
            .ok_or_else(|| serde::de::Error::custom("expected an RFC 3339 time"))
    }
}

mod millis_opt {
    use super::Text;
    use serde::Deserialize;

    pub fn serialize<S: serde::Serializer>(ms: &Option<i64>, s: S) -> Result<S::Ok, S::Error> {
        match ms {
            Some(ms) => super::millis::serialize(ms, s),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<i64>, D::Error> {
        let Some(text) = Option::<Text<'de>>::deserialize(d)? else { return Ok(None) };
        match super::parse_millis(text.as_str()) {
            Some(ms) => Ok(Some(ms)),
            None => Err(serde::de::Error::custom("expected an RFC 3339 time")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip() {
        for ms in [0, 1, -1, 951_782_400_000, 1_793_577_600_123, -2_208_988_800_000] {
            assert_eq!(parse_millis(&format_millis(ms)), Some(ms), "{}", format_millis(ms));
        }
        assert_eq!(parse_millis("2026-11-01T00:00:00Z"), Some(1_793_491_200_000));
        assert_eq!(parse_millis("2026-13-01T00:00:00.000Z"), None);
        assert_eq!(parse_millis("yesterday"), None);
    }

    #[test]
    fn an_envelope_borrows_plain_text() {
        let line = r#"{"platform":"reddit","source":"s","native_id":"t3_a","post_type":"post","channel":null,"created_at":"2026-11-01T00:00:00.000Z","title":"plain","body":"a\nb","url":null,"author":null,"score":3,"num_comments":null,"rating":null,"parent_id":null,"link_title":null,"crosspost_parent":null,"edited_at":null,"deleted":false,"fetched_at":"2026-11-01T00:00:00.000Z","locator":"in/a","seq":1,"adapter_version":"reddit/1","raw":"{}"}"#;
        let envelope: Envelope<'_> = serde_json::from_str(line).unwrap();
        assert!(matches!(envelope.title, Some(Text(Cow::Borrowed("plain")))));
        assert_eq!(envelope.body.as_ref().map(Text::as_str), Some("a\nb"));
        assert_eq!(serde_json::to_string(&envelope).unwrap(), line);
    }
}
