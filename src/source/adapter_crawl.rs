//! Posts on HTML pages, found by CSS selectors.
//!
//! A selector says where a value stands in an item: `a.title` is that element's text,
//! `time@datetime` its attribute, `@data-id` the item's own. Selectors are compiled once and
//! their mistakes told before anything is read. Pure.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use scraper::error::SelectorErrorKind;
use scraper::{ElementRef, Html, Selector};
use serde_json::{Map, Value};
use url::Url;

use super::adapter::{Loose, Redactor, Reject};
use super::adapter_generic::moment;
use super::fetch::web_link;
use super::plain_text::text_of;
use super::splice;
use crate::envelope::{Envelope, PostType, Text};

/// In every envelope; another number when the same pages are mapped differently.
pub(super) const VERSION: &str = "crawl/1";

/// Where a value stands in an item.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The item itself when absent.
    selector: Option<Selector>,
    /// The text when absent.
    attribute: Option<String>,
}

impl Place {
    /// Reads `selector`, `selector@attribute` or `@attribute`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let named = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b':'))
        };
        let (selector, attribute) = match text.rsplit_once('@') {
            Some((selector, name)) if named(name) => (selector.trim(), Some(name.to_ascii_lowercase())),
            _ => (text, None),
        };
        if selector.is_empty() && attribute.is_none() {
            return Err("it is empty".to_string());
        }
        let selector = match selector {
            "" => None,
            selector => Some(selector_of(selector)?),
        };
        Ok(Self { selector, attribute })
    }

    /// The value in an item; `None` where nothing matches or it is blank.
    fn of(&self, item: ElementRef<'_>) -> Option<String> {
        let element = match &self.selector {
            None => item,
            Some(selector) => item.select(selector).next()?,
        };
        let value = match &self.attribute {
            Some(name) => element.value().attr(name)?.trim().to_string(),
            None => text_of(element),
        };
        (!value.is_empty()).then_some(value)
    }
}

/// Compiles a selector, or says what is wrong with it and where.
pub(super) fn selector_of(text: &str) -> Result<Selector, String> {
    Selector::parse(text).map_err(|error| {
        let what = match error {
            SelectorErrorKind::EndOfLine => "it ends too early",
            SelectorErrorKind::ExpectedColonOnPseudoElement
            | SelectorErrorKind::ExpectedIdentityOnPseudoElement => "a name is missing behind `:`",
            _ => "something stands in it that CSS does not know",
        };
        let words = text.split_whitespace().filter(|word| !matches!(*word, ">" | "+" | "~" | ","));
        let wrong = words.map(|word| word.trim_end_matches(',')).find(|word| Selector::parse(word).is_err());
        match wrong {
            Some(word) if word != text => format!("`{text}` is not a CSS selector: {what}, at `{word}`"),
            _ => format!("`{text}` is not a CSS selector: {what}"),
        }
    })
}

/// The compiled selectors of a source.
#[derive(Clone, Debug)]
pub(super) struct Selectors {
    pub item: Selector,
    pub title: Option<Place>,
    pub body: Option<Place>,
    pub url: Option<Place>,
    pub id: Option<Place>,
    pub created_at: Place,
    pub author: Option<Place>,
    pub score: Option<Place>,
    pub num_comments: Option<Place>,
    pub channel: Option<Place>,
    pub next: Option<Place>,
}

/// What is the same for every item of a page.
pub(super) struct PageFacts<'a> {
    pub platform: &'a str,
    pub source: &'a str,
    pub channel: &'a str,
    /// The URL that answered: links are relative to it.
    pub url: &'a Url,
    pub now_ms: i64,
    pub redactor: &'a Redactor,
}

/// An item as it was read.
pub(super) struct Item {
    pub native_id: Option<String>,
    pub created_ms: Option<i64>,
    has_time: bool,
    title: Option<String>,
    body: Option<String>,
    url: Option<String>,
    author: Option<String>,
    score: Option<i64>,
    num_comments: Option<i64>,
    channel: Option<String>,
    /// What was read, without authors, as JSON.
    pub record: String,
}

/// The items of a page, and where the next one is.
pub(super) fn items(html: &str, selectors: &Selectors, facts: &PageFacts<'_>) -> (Vec<Item>, Option<Url>) {
    let document = Html::parse_document(html);
    let items = document.select(&selectors.item).map(|element| item(element, selectors, facts)).collect();
    let next = selectors.next.as_ref().and_then(|place| {
        let place = Place {
            attribute: Some(place.attribute.clone().unwrap_or_else(|| "href".to_string())),
            ..place.clone()
        };
        web_link(&place.of(document.root_element())?, Some(facts.url))
    });
    (items, next)
}

fn item(element: ElementRef<'_>, selectors: &Selectors, facts: &PageFacts<'_>) -> Item {
    let of = |place: &Option<Place>| place.as_ref().and_then(|place| place.of(element));
    // A link's place is its `href`, also where the selector does not say so.
    let link = selectors.url.as_ref().and_then(|place| {
        let attribute = place.attribute.clone().or_else(|| Some("href".to_string()));
        Place { attribute, ..place.clone() }.of(element)
    });
    let url = link.as_deref().and_then(|link| web_link(link, Some(facts.url))).map(String::from);
    let time = selectors.created_at.of(element);
    let author = of(&selectors.author);
    let author = author.map(|name| name.trim_start_matches('/').trim_start_matches("u/").to_string());
    let (score, num_comments) = (of(&selectors.score), of(&selectors.num_comments));
    let channel = of(&selectors.channel);
    let own = of(&selectors.id);
    let (title, body) = (of(&selectors.title), of(&selectors.body));
    let mut raw = Map::new();
    for (key, value) in [
        ("id", &own),
        ("title", &title),
        ("body", &body),
        ("url", &link),
        ("created_at", &time),
        ("author", &author),
        ("score", &score),
        ("num_comments", &num_comments),
        ("channel", &channel),
    ] {
        if let Some(value) = value {
            raw.insert(key.to_string(), Value::from(value.as_str()));
        }
    }
    let raw = Value::Object(raw).to_string();
    let created_ms =
        time.as_deref().and_then(|text| moment(&Loose::Text(Cow::Borrowed(text)), &TimeZone::UTC));
    Item {
        native_id: own.or_else(|| url.clone()),
        created_ms,
        has_time: time.is_some(),
        title,
        body,
        url,
        author,
        score: score.as_deref().and_then(count),
        num_comments: num_comments.as_deref().and_then(count),
        channel: channel.map(|c| c.trim_start_matches('/').trim_start_matches("r/").to_string()),
        record: splice::redact(&raw, facts.redactor, None).into_owned(),
    }
}

/// The first number in a text: `1,234 points`, `-3`, `1.2k`.
fn count(text: &str) -> Option<i64> {
    let from = text.find(|c: char| c.is_ascii_digit())?;
    let rest = &text[from..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ',' && c != '.').unwrap_or(rest.len());
    let (digits, behind) = rest.split_at(end);
    let number: f64 = digits.trim_end_matches(['.', ',']).replace(',', "").parse().ok()?;
    let scale = match behind.chars().next() {
        Some('k' | 'K') => 1e3,
        Some('m' | 'M') if !behind[1..].starts_with(char::is_alphabetic) => 1e6,
        _ => 1.0,
    };
    let sign = if text[..from].ends_with(['-', '−']) { -1.0 } else { 1.0 };
    let number = (sign * number * scale).round();
    (number.abs() <= 1e12).then_some(number as i64)
}

impl Item {
    /// Maps the item.
    pub(super) fn map<'a>(&'a self, facts: &PageFacts<'a>) -> Result<Envelope<'a>, Reject> {
        let id = match self.native_id.as_deref() {
            None => return Err(Reject::new("missing_id", "neither an id nor a link")),
            Some(id) if id.len() <= 512 => id,
            Some(_) => return Err(Reject::new("mistyped:native_id", "the id is longer than 512 bytes")),
        };
        let Some(created_at) = self.created_ms else {
            return Err(if self.has_time {
                Reject::new("bad_created_at", "created_at is not a time that is understood")
            } else {
                Reject::new("missing_created_at", "nothing matches created_at")
            });
        };
        let comment = facts.platform == "reddit" && id.starts_with("t1_");
        let post_type = if comment { PostType::Comment } else { PostType::Post };
        let channel = self.channel.as_deref().unwrap_or(facts.channel);
        let text = |text: &'a Option<String>| text.as_deref().map(Text::from);
        Ok(Envelope {
            channel: (!channel.is_empty()).then(|| channel.into()),
            created_at: Some(created_at),
            title: text(&self.title),
            body: text(&self.body),
            url: text(&self.url),
            author: self.author.as_deref().and_then(|name| facts.redactor.replace(name)).map(Text),
            score: self.score,
            num_comments: self.num_comments,
            raw: self.record.as_str().into(),
            ..Envelope::bare(facts.platform, facts.source, id, post_type, facts.now_ms, VERSION)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_mistakes_are_told() {
        for (text, selector, attribute) in [
            ("a.title", true, None),
            ("time@datetime", true, Some("datetime")),
            ("@data-fullname", false, Some("data-fullname")),
            ("a[href*=\"@\"]", true, None),
            ("a[href*=\"@\"]@href", true, Some("href")),
        ] {
            let place = Place::parse(text).unwrap();
            assert_eq!(
                (place.selector.is_some(), place.attribute.as_deref()),
                (selector, attribute),
                "{text}"
            );
        }
        let wrong: Vec<String> = ["", "@", "div..x", "div > a..b > i", "a[", "p::"]
            .iter()
            .map(|t| Place::parse(t).unwrap_err())
            .collect();
        insta::assert_snapshot!(wrong.join("\n"));
    }

    #[test]
    fn numbers_are_found_in_words() {
        for (text, number) in [
            ("12 comments", Some(12)),
            ("1,234 points", Some(1234)),
            ("1.2k", Some(1200)),
            ("-3 points", Some(-3)),
            ("score: −4", Some(-4)),
            ("5 minutes", Some(5)),
            ("7m", Some(7_000_000)),
            ("comment", None),
            ("•", None),
            ("99999999999999999999999", None),
            ("1.2.3", None),
        ] {
            assert_eq!(count(text), number, "{text}");
        }
    }
}
