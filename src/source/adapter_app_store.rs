//! Apple's customer reviews: JSON made of an XML feed, so that every value is `{"label": …}`.
//!
//! `entry` is a list, one object or absent, and on old feeds its first element is the app
//! itself. Pure.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;
use url::Url;

use super::adapter::{Loose, Redactor, Reject, in_years};
use super::adapter_things::child;
use super::fetch::web_link;
use super::splice;
use crate::envelope::{Envelope, PostType, Text, parse_millis};

/// In every envelope; another number when the same bytes are mapped differently.
pub(super) const VERSION: &str = "app_store/1";

/// The longest review that is read.
const LONGEST_RECORD: usize = 1 << 20;

/// What is the same for every review of a country.
pub(super) struct StoreFacts<'a> {
    pub source: &'a str,
    pub app_id: &'a str,
    pub country: &'a str,
    pub now_ms: i64,
    pub redactor: &'a Redactor,
}

/// One answer.
pub(super) struct Page<'a> {
    /// The entries' own bytes.
    pub entries: Vec<&'a str>,
    /// The number of the last page, where Apple says it.
    pub last: Option<u32>,
}

/// Why a body is no page of reviews: words for a table.
pub(super) type NoPage = &'static str;

/// Finds the entries of a page.
pub(super) fn page(body: &[u8]) -> Result<Page<'_>, NoPage> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii();
    match body.first() {
        None => return Err("answered with an empty body, not JSON"),
        Some(b'<') => return Err("answered with HTML, not JSON"),
        Some(b'{') => {}
        Some(_) => return Err("answered with something other than a feed of reviews"),
    }
    let text = std::str::from_utf8(body).map_err(|_| "answered with JSON that is not UTF-8")?;
    // Its own limit of depth is below what a stack holds.
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| "answered with broken JSON")?;
    if splice::too_deep(body) {
        return Err("answered with JSON that is nested too deeply");
    }
    let Some(feed) = child(body, &(0..body.len()), "feed").filter(|at| body[at.start] == b'{') else {
        return Err("answered with something other than a feed of reviews");
    };
    let entries = match child(body, &feed, "entry") {
        Some(at) if body[at.start] == b'{' => vec![&text[at]],
        Some(at) if body[at.start] == b'[' => splice::elements(body, at.start)
            .map(|at: Result<Range<usize>, Range<usize>>| &text[at.unwrap_or_else(|rest| rest)])
            .collect(),
        Some(at) if &text[at.clone()] != "null" => {
            return Err("answered with something other than a feed of reviews");
        }
        _ => Vec::new(),
    };
    let links = child(body, &feed, "link").and_then(|at| serde_json::from_str::<Value>(&text[at]).ok());
    Ok(Page { entries, last: links.as_ref().and_then(last_page) })
}

/// `…/page=7/…` of the link whose `rel` is `last`.
fn last_page(links: &Value) -> Option<u32> {
    let attributes = links.as_array()?.iter().filter_map(|link| link.get("attributes"));
    let last = attributes.filter(|a| a["rel"] == "last").find_map(|a| a["href"].as_str())?;
    let (_, from) = last.split_once("/page=")?;
    from.split('/').next()?.parse().ok()
}

/// A review as it was read.
pub(super) struct Review {
    value: Value,
    /// Its id; empty when it has none that can be meant.
    pub id: String,
    /// When it was written or last changed: Apple keeps one time.
    pub updated_ms: Option<i64>,
}

/// Reads an entry; `None` for the app itself, which leads the pages of old feeds.
pub(super) fn review(raw: &str, is_first: bool) -> Result<Option<Review>, Reject> {
    if raw.len() > LONGEST_RECORD {
        return Err(Reject::new(
            "oversized",
            format!("{} bytes; at most {LONGEST_RECORD} are read", raw.len()),
        ));
    }
    let value: Value = serde_json::from_str(raw).map_err(|e| Reject::from_json(&e))?;
    if !value.is_object() {
        return Err(Reject::new("not_an_object", "the entry is not an object"));
    }
    let absent = |key: &str| value.get(key).is_none_or(Value::is_null);
    if is_first && absent("im:rating") && absent("author") {
        return Ok(None);
    }
    let id = match label(&value, "id") {
        Loose::Text(id) => id.trim().to_string(),
        Loose::Int(id) => id.to_string(),
        _ => String::new(),
    };
    let updated_ms = match label(&value, "updated") {
        Loose::Text(text) => parse_millis(text.trim()).and_then(in_years),
        _ => None,
    };
    Ok(Some(Review { id, updated_ms, value }))
}

/// The value of `{"key": {"label": …}}`, or of `{"key": …}`.
fn label<'v>(value: &'v Value, key: &str) -> Loose<'v> {
    let inner = match value.get(key) {
        Some(Value::Object(object)) => object.get("label"),
        other => other,
    };
    match inner {
        None | Some(Value::Null) => Loose::Null,
        Some(Value::Bool(b)) => Loose::Bool(*b),
        Some(Value::Number(n)) => match n.as_i64() {
            Some(n) => Loose::Int(n),
            None => n.as_f64().map_or(Loose::Nested, Loose::Float),
        },
        Some(Value::String(text)) => Loose::Text(Cow::Borrowed(text)),
        Some(Value::Array(_) | Value::Object(_)) => Loose::Nested,
    }
}

impl Review {
    /// Maps the review, whose own bytes are `raw`.
    pub(super) fn map<'a>(&'a self, raw: &'a str, facts: &StoreFacts<'a>) -> Result<Envelope<'a>, Reject> {
        let field = |key: &str| label(&self.value, key);
        match field("id") {
            Loose::Null => return Err(Reject::new("missing_id", "id is missing")),
            Loose::Text(id) if id.trim().is_empty() => {
                return Err(Reject::new("missing_id", "id is empty"));
            }
            Loose::Text(id) if id.len() <= 512 => {}
            Loose::Int(_) => {}
            other => return Err(Reject::mistyped("id", &other)),
        }
        let Some(created_at) = self.updated_ms else {
            return Err(match field("updated") {
                Loose::Null => Reject::new("missing_created_at", "updated is missing"),
                Loose::Text(text) if text.trim().is_empty() => {
                    Reject::new("missing_created_at", "updated is empty")
                }
                _ => Reject::new("bad_created_at", "updated is not a time that is understood"),
            });
        };
        let text = |key: &'static str| field(key).text(key).map(|text| text.map(Text));
        let author = self.value.get("author").map(|author| label(author, "name"));
        let author = match author {
            Some(Loose::Text(name)) if !name.trim().is_empty() => {
                facts.redactor.replace(name.trim()).map(Cow::into_owned)
            }
            _ => None,
        };
        let url = self.value.get("link").and_then(link).and_then(|href| web_link(href, None));
        let url = url.map_or_else(
            || format!("https://apps.apple.com/{}/app/id{}", facts.country, facts.app_id),
            Url::into,
        );
        Ok(Envelope {
            channel: Some(format!("{}/{}", facts.app_id, facts.country).into()),
            created_at: Some(created_at),
            title: text("title")?,
            body: text("content")?,
            url: Some(url.into()),
            author: author.map(Text::from),
            score: field("im:voteSum").integer("score")?,
            rating: field("im:rating").number("rating")?,
            raw: Text(splice::redact(raw, facts.redactor, None)),
            ..Envelope::bare(
                "app_store",
                facts.source,
                self.id.as_str(),
                PostType::Review,
                facts.now_ms,
                VERSION,
            )
        })
    }
}

/// The first `href` of one link or of several.
fn link(value: &Value) -> Option<&str> {
    match value {
        Value::Array(all) => all.iter().find_map(link),
        other => other.get("attributes")?.get("href")?.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{AuthorRule, Privacy};

    fn entries(body: &str) -> Vec<&str> {
        page(body.as_bytes()).unwrap().entries
    }

    #[test]
    fn an_entry_is_a_list_or_an_object_or_absent() {
        assert_eq!(entries(r#"{"feed":{"entry":[{"a":1}, {"b":2}]}}"#), [r#"{"a":1}"#, r#"{"b":2}"#]);
        assert_eq!(entries(r#"{"feed":{"entry":{"a":1}}}"#), [r#"{"a":1}"#]);
        assert_eq!(entries(r#"{"feed":{"entry":null}}"#), Vec::<&str>::new());
        assert_eq!(entries("\u{feff} {\"feed\":{}}"), Vec::<&str>::new());
        for (body, why) in [
            ("", "answered with an empty body, not JSON"),
            ("<html></html>", "answered with HTML, not JSON"),
            ("[1]", "answered with something other than a feed of reviews"),
            (r#"{"feed":[]}"#, "answered with something other than a feed of reviews"),
            (r#"{"feed":{"entry":3}}"#, "answered with something other than a feed of reviews"),
            (r#"{"feed":{"entry":["#, "answered with broken JSON"),
        ] {
            assert_eq!(page(body.as_bytes()).err(), Some(why), "{body}");
        }
        let deep = format!(r#"{{"feed":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(page(deep.as_bytes()).is_err());
    }

    #[test]
    fn the_last_page_is_known_by_its_link() {
        let of = |links: &str| page(format!(r#"{{"feed":{{"link":{links}}}}}"#).as_bytes()).unwrap().last;
        let link = r#"{"attributes":{"rel":"last","href":"https://mzstoreservices.apple.com/rss/customerreviews/page=7/id=1/xml"}}"#;
        assert_eq!(of(&format!(r#"[{{"attributes":{{"rel":"self","href":"/page=1/"}}}},{link}]"#)), Some(7));
        for odd in ["3", "[]", "[{}]", r#"[{"attributes":{"rel":"last","href":"x"}}]"#] {
            assert_eq!(of(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_review_is_mapped_whatever_its_types() {
        let redactor = Redactor::new(&Privacy { author: AuthorRule::Drop });
        let facts = StoreFacts {
            source: "apps",
            app_id: "1234",
            country: "us",
            now_ms: 1_793_491_200_000,
            redactor: &redactor,
        };
        let shown = |raw: &str| match review(raw, false) {
            Err(reject) => reject.reason.into_owned(),
            Ok(None) => "passed over".to_string(),
            Ok(Some(review)) => match review.map(raw, &facts) {
                Ok(envelope) => serde_json::to_string_pretty(&envelope).unwrap(),
                Err(reject) => reject.reason.into_owned(),
            },
        };
        let whole = r#"{"author":{"uri":{"label":"https://itunes.apple.com/us/reviews/id9"},"name":{"label":"Jo"},"label":""},"updated":{"label":"2026-10-31T17:02:03-07:00"},"im:rating":{"label":"2"},"im:version":{"label":"4.1"},"id":{"label":"9001"},"title":{"label":"Late & lost"},"content":{"label":"Refill late.","attributes":{"type":"text"}},"link":{"attributes":{"rel":"related","href":"https://itunes.apple.com/us/review?id=1234&type=Purple%20Software"}},"im:voteSum":{"label":"3"},"im:voteCount":{"label":"4"}}"#;
        insta::assert_snapshot!(shown(whole));
        let odd = r#"{"author":null,"updated":"2026-10-31T00:00:00Z","im:rating":4,"id":{"label":9002},"title":null,"content":{"label":"ok"},"link":{"attributes":{"href":"javascript:alert(1)"}}}"#;
        insta::assert_snapshot!(shown(odd));
        let changed = |from: &str, to: &str| shown(&whole.replace(from, to));
        assert_eq!(changed(r#""updated":{"label":"2026-10-31T17:02:03-07:00"},"#, ""), "missing_created_at");
        assert_eq!(changed("2026-10-31T17:02:03-07:00", "yesterday"), "bad_created_at");
        assert_eq!(changed(r#""id":{"label":"9001"},"#, ""), "missing_id");
        assert_eq!(changed(r#"{"label":"9001"}"#, r#"{"label":[1]}"#), "mistyped:id");
        assert_eq!(changed(r#"{"label":"2"}"#, r#"{"label":"good"}"#), "mistyped:rating");
        assert_eq!(changed(r#"{"label":"Late & lost"}"#, r#"{"label":{}}"#), "mistyped:title");
        assert_eq!(shown("3"), "not_an_object");
    }

    #[test]
    fn the_app_itself_leads_old_feeds() {
        let app =
            r#"{"im:name":{"label":"App"},"id":{"label":"x"},"updated":{"label":"2026-10-31T00:00:00Z"}}"#;
        assert!(review(app, true).unwrap().is_none());
        assert!(review(app, false).unwrap().is_some());
        assert!(review(r#"{"author":{"name":{"label":"a"}}}"#, true).unwrap().is_some());
    }
}
