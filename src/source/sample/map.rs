//! From a sample record to an envelope's fields, or the reason why there are none.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Visitor};

use crate::envelope::{Envelope, PostType, Text, parse_millis};

use super::def::ADAPTER_VERSION;
use super::generate::SampleRecord;
use super::record::Platform;

/// Why a record is set aside.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Malformed {
    /// One of `invalid_json`, `truncated`, `not_an_object`, `missing_id`, `missing_created_at`,
    /// `bad_created_at`, `mistyped`, `unknown_kind`.
    pub reason: &'static str,
    /// In words; holds nothing of the post's text.
    pub detail: String,
}

fn malformed<T>(reason: &'static str, detail: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed { reason, detail: detail.into() })
}

/// Maps a record. `source` is the source's name, `seq` the record's number in the day, from 1.
/// The author is given as it stands in the record and `raw` is the record's own bytes: what
/// `[privacy]` asks for is up to the caller. The locator is empty.
pub fn map<'a>(record: &SampleRecord<'a>, source: &'a str, seq: u64) -> Result<Envelope<'a>, Malformed> {
    let Some(platform) = Platform::of(record.platform) else {
        return malformed("unknown_kind", format!("platform `{}`", record.platform));
    };
    let fields = match platform {
        Platform::Reddit => reddit(parse(record.raw)?),
        Platform::AppStore => app_store(parse(record.raw)?),
        Platform::Trustpilot => trustpilot(parse(record.raw)?),
        Platform::HackerNews => hacker_news(parse(record.raw)?),
    };
    let Some(native_id) = fields.native_id.filter(|id| !id.as_str().is_empty()) else {
        return malformed("missing_id", "the record has no id");
    };
    let created_at = match fields.created {
        Time::Absent => return malformed("missing_created_at", "the record has no time of creation"),
        Time::Bad => return malformed("bad_created_at", "the time of creation is not a time"),
        Time::Millis(ms) => ms,
    };
    Ok(Envelope {
        platform: record.platform.into(),
        source: source.into(),
        native_id,
        post_type: fields.post_type,
        channel: fields.channel,
        created_at: Some(created_at),
        title: fields.title,
        body: fields.body,
        url: fields.url,
        author: fields.author,
        score: fields.score,
        num_comments: fields.num_comments,
        rating: fields.rating,
        parent_id: fields.parent_id,
        link_title: fields.link_title,
        crosspost_parent: fields.crosspost_parent,
        edited_at: fields.edited_at,
        deleted: fields.deleted,
        fetched_at: record.fetched_at_ms,
        locator: "".into(),
        seq,
        adapter_version: ADAPTER_VERSION.into(),
        raw: record.raw.into(),
    })
}

fn parse<'a, T: Deserialize<'a>>(raw: &'a str) -> Result<T, Malformed> {
    use serde_json::error::Category;
    // An array would be read as a struct's fields in order.
    if raw.trim_start().starts_with('[') {
        return malformed("not_an_object", "expected an object, found an array");
    }
    serde_json::from_str(raw).or_else(|error| match error.classify() {
        Category::Eof => malformed("truncated", format!("ends at byte {}", raw.len())),
        Category::Data => malformed("mistyped", format!("wrong type at column {}", error.column())),
        Category::Syntax | Category::Io => {
            malformed("invalid_json", format!("not JSON at column {}", error.column()))
        }
    })
}

/// What an envelope says of the post itself.
struct Fields<'a> {
    native_id: Option<Text<'a>>,
    post_type: PostType,
    created: Time,
    channel: Option<Text<'a>>,
    title: Option<Text<'a>>,
    body: Option<Text<'a>>,
    url: Option<Text<'a>>,
    author: Option<Text<'a>>,
    score: Option<i64>,
    num_comments: Option<i64>,
    rating: Option<f64>,
    parent_id: Option<Text<'a>>,
    link_title: Option<Text<'a>>,
    crosspost_parent: Option<Text<'a>>,
    edited_at: Option<i64>,
    deleted: bool,
}

impl Default for Fields<'_> {
    fn default() -> Self {
        Self {
            native_id: None,
            post_type: PostType::Post,
            created: Time::Absent,
            channel: None,
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
        }
    }
}

/// A moment: seconds as a number, or an RFC 3339 text. `false` and `null` are none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Time {
    #[default]
    Absent,
    Bad,
    Millis(i64),
}

impl Time {
    fn millis(self) -> Option<i64> {
        match self {
            Time::Millis(ms) => Some(ms),
            Time::Absent | Time::Bad => None,
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: de::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl Visitor<'_> for V {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time")
            }
            fn visit_unit<E>(self) -> Result<Time, E> {
                Ok(Time::Absent)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Time, E> {
                Ok(Time::Absent)
            }
            fn visit_i64<E>(self, v: i64) -> Result<Time, E> {
                Ok(v.checked_mul(1000).map_or(Time::Bad, Time::Millis))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Time, E> {
                i64::try_from(v).map_or(Ok(Time::Bad), |v| self.visit_i64(v))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Time, E> {
                // The range of jiff's timestamps; `as` would saturate silently.
                Ok(if v.abs() < 2.5e11 { Time::Millis((v * 1000.0).round() as i64) } else { Time::Bad })
            }
            fn visit_str<E>(self, v: &str) -> Result<Time, E> {
                Ok(parse_millis(v).map_or(Time::Bad, Time::Millis))
            }
        }
        d.deserialize_any(V)
    }
}

#[derive(Deserialize)]
struct Reddit<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    author: Option<Text<'a>>,
    #[serde(borrow, default)]
    subreddit: Option<Text<'a>>,
    #[serde(borrow, default)]
    title: Option<Text<'a>>,
    #[serde(borrow, default)]
    selftext: Option<Text<'a>>,
    #[serde(borrow, default)]
    body: Option<Text<'a>>,
    #[serde(default)]
    created_utc: Time,
    #[serde(default)]
    score: Option<i64>,
    #[serde(default)]
    num_comments: Option<i64>,
    #[serde(borrow, default)]
    parent_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    link_title: Option<Text<'a>>,
    #[serde(borrow, default)]
    crosspost_parent: Option<Text<'a>>,
    #[serde(borrow, default)]
    permalink: Option<Text<'a>>,
    #[serde(default)]
    edited: Time,
    #[serde(borrow, default)]
    removed_by_category: Option<Text<'a>>,
}

fn reddit(r: Reddit<'_>) -> Fields<'_> {
    let comment = r.name.as_ref().is_some_and(|n| n.as_str().starts_with("t1_"));
    Fields {
        native_id: r.name,
        post_type: if comment { PostType::Comment } else { PostType::Post },
        created: r.created_utc,
        channel: r.subreddit,
        title: r.title,
        deleted: r.removed_by_category.is_some(),
        body: if comment { r.body } else { r.selftext },
        url: r.permalink.map(|p| Text(Cow::Owned(format!("https://www.reddit.com{}", p.as_str())))),
        author: r.author,
        score: r.score,
        num_comments: r.num_comments,
        parent_id: r.parent_id,
        link_title: r.link_title,
        crosspost_parent: r.crosspost_parent,
        edited_at: r.edited.millis(),
        rating: None,
    }
}

#[derive(Deserialize)]
struct AppStore<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    author: Option<Text<'a>>,
    #[serde(default)]
    updated: Time,
    #[serde(default)]
    rating: Option<f64>,
    #[serde(borrow, default)]
    title: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(default)]
    vote_count: Option<i64>,
    #[serde(borrow, default)]
    app: Option<Text<'a>>,
}

fn app_store(r: AppStore<'_>) -> Fields<'_> {
    Fields {
        native_id: r.id,
        post_type: PostType::Review,
        created: r.updated,
        channel: r.app,
        title: r.title,
        body: r.content,
        author: r.author,
        score: r.vote_count,
        rating: r.rating,
        ..Fields::default()
    }
}

#[derive(Deserialize)]
struct Trustpilot<'a> {
    #[serde(borrow, default)]
    review_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    author: Option<Text<'a>>,
    #[serde(borrow, default)]
    headline: Option<Text<'a>>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(default)]
    stars: Option<f64>,
    #[serde(default)]
    published_at: Time,
    #[serde(default)]
    updated_at: Time,
    #[serde(borrow, default)]
    site: Option<Text<'a>>,
    #[serde(borrow, default)]
    link: Option<Text<'a>>,
}

fn trustpilot(r: Trustpilot<'_>) -> Fields<'_> {
    Fields {
        native_id: r.review_id,
        post_type: PostType::Review,
        created: r.published_at,
        channel: r.site,
        title: r.headline,
        body: r.text,
        url: r.link,
        author: r.author,
        rating: r.stars,
        edited_at: r.updated_at.millis(),
        ..Fields::default()
    }
}

#[derive(Deserialize)]
struct HackerNews<'a> {
    #[serde(borrow, default, rename = "objectID")]
    object_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    author: Option<Text<'a>>,
    #[serde(default)]
    created_at_i: Time,
    #[serde(borrow, default)]
    title: Option<Text<'a>>,
    #[serde(borrow, default)]
    story_text: Option<Text<'a>>,
    #[serde(borrow, default)]
    comment_text: Option<Text<'a>>,
    #[serde(borrow, default)]
    story_title: Option<Text<'a>>,
    #[serde(default)]
    parent_id: Option<u64>,
    #[serde(default)]
    points: Option<i64>,
    #[serde(default)]
    num_comments: Option<i64>,
}

fn hacker_news(r: HackerNews<'_>) -> Fields<'_> {
    let comment = r.comment_text.is_some();
    let url = r.object_id.as_ref().map(|id| format!("https://news.ycombinator.com/item?id={}", id.as_str()));
    Fields {
        url: url.map(Text::from),
        native_id: r.object_id,
        post_type: if comment { PostType::Comment } else { PostType::Post },
        created: r.created_at_i,
        channel: Some("hacker_news".into()),
        title: r.title,
        body: if comment { r.comment_text } else { r.story_text },
        author: r.author,
        score: r.points,
        num_comments: r.num_comments,
        parent_id: r.parent_id.map(|id| Text::from(id.to_string())),
        link_title: r.story_title,
        ..Fields::default()
    }
}
