//! Entries of feeds: RSS, Atom and JSON Feed in one shape, Reddit's own feeds as Reddit's posts.
//!
//! XML goes through `feed-rs`, which expands no entity that a document defines. JSON Feed is
//! read here, because its records have bytes of their own to keep and ids that are numbers as
//! often as texts. Pure.

use std::borrow::Cow;
use std::ops::Range;

use feed_rs::model::{self, Entry};
use serde_json::{Map, Value, json};
use url::Url;

use super::adapter::{Redactor, Reject, in_years};
use super::adapter_things::child;
use super::fetch::web_link;
use super::plain_text::plain;
use super::splice;
use crate::envelope::{Envelope, PostType, Text};

/// In every envelope; another number when the same entries are mapped differently.
pub(super) const VERSION: &str = "feed/1";

/// A feed as it was read.
pub(super) struct Feed {
    pub title: Option<String>,
    pub items: Vec<Item>,
}

/// One entry, or what stands where one should be.
pub(super) enum Item {
    Entry(Box<Parsed>),
    /// The reason, and the record without authors.
    Broken(Reject, String),
}

/// An entry before it is mapped.
pub(super) struct Parsed {
    pub id: String,
    pub published_ms: Option<i64>,
    pub updated_ms: Option<i64>,
    title: Option<Part>,
    body: Option<Part>,
    url: Option<String>,
    author: Option<String>,
    category: Option<String>,
    raw: String,
}

/// A text and how it is written.
struct Part {
    text: String,
    html: bool,
}

/// What is the same for every entry of a feed.
pub(super) struct FeedFacts<'a> {
    pub platform: &'a str,
    pub source: &'a str,
    pub channel: &'a str,
    pub now_ms: i64,
    pub redactor: &'a Redactor,
}

/// Why a body is no feed: words for a table.
pub(super) type NoFeed = &'static str;

const HTML: NoFeed = "answered with HTML, not a feed";
const NOT_A_FEED: NoFeed = "answered with something that is not a feed";
const BROKEN: NoFeed = "the feed is broken: it is not well-formed";
const UNKNOWN: NoFeed = "the feed's entries are of a dialect that is not read";

/// Reads a feed. `decoded` is the body as text by the answer's own charset, if it names one.
pub(super) fn parse(
    body: &[u8],
    decoded: Option<String>,
    url: &Url,
    redactor: &Redactor,
) -> Result<Feed, NoFeed> {
    let start = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii_start();
    match start.first() {
        Some(b'{') => json_feed(start, url, redactor),
        None => Err("answered with an empty body, not a feed"),
        _ if looks_like_html(start) => Err(HTML),
        _ => xml_feed(body, decoded, url, redactor),
    }
}

fn looks_like_html(body: &[u8]) -> bool {
    let head = body[..body.len().min(1024)].to_ascii_lowercase();
    // Behind this, a feed may quote pages.
    let feed =
        [&b"<rss"[..], b"<feed", b"<rdf"].iter().filter_map(|word| memchr::memmem::find(&head, word)).min();
    let head = &head[..feed.unwrap_or(head.len())];
    [&b"<!doctype html"[..], b"<html"].iter().any(|word| memchr::memmem::find(head, word).is_some())
}

fn xml_feed(body: &[u8], decoded: Option<String>, url: &Url, redactor: &Redactor) -> Result<Feed, NoFeed> {
    let wide = body.starts_with(b"\xFE\xFF") || body.starts_with(b"\xFF\xFE");
    let body = match (named_encoding(body).as_deref(), decoded) {
        _ if std::str::from_utf8(body).is_ok() || wide => Cow::Borrowed(body),
        // Some servers name the charset where the document does not.
        (None, Some(text)) => Cow::Owned(text.into_bytes()),
        // Text that should be UTF-8 and is not: a few bytes are broken, not all entries.
        (None | Some("utf-8" | "utf8"), _) => {
            Cow::Owned(String::from_utf8_lossy(body).into_owned().into_bytes())
        }
        (Some(_), _) => Cow::Borrowed(body),
    };
    let body = readable(&body);
    let feed = match parsed(&body, url) {
        Err(why) if why == BROKEN => return salvaged(&body, url, redactor).ok_or(BROKEN),
        other => other?,
    };
    if feed.entries.is_empty() && has_items(&body) {
        return Err(UNKNOWN);
    }
    let items = feed.entries.into_iter().map(|entry| xml_item(entry, url, redactor)).collect();
    Ok(Feed { title: feed.title.and_then(|t| part(t).plain().ok()).filter(|t| !t.is_empty()), items })
}

/// Reads a document. It is anyone's and the parser is not ours: where it gives up, the feed failed.
fn parsed(body: &[u8], url: &Url) -> Result<model::Feed, NoFeed> {
    let parsed = std::panic::catch_unwind(|| {
        feed_rs::parser::Builder::new()
            .base_uri(Some(url))
            .id_generator(|_, _, _| String::new())
            .sanitize_content(false)
            .build()
            .parse(body)
    });
    match parsed {
        Ok(Ok(feed)) => Ok(feed),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a feed was not read");
            use feed_rs::parser::{ParseErrorKind, ParseFeedError};
            Err(match error {
                ParseFeedError::ParseError(ParseErrorKind::NoFeedRoot) => NOT_A_FEED,
                _ => BROKEN,
            })
        }
        Err(_) => Err("the feed cannot be read: its parser gave up"),
    }
}

/// Bytes that reading entry by entry may cost.
const SALVAGE_BYTES: usize = 64 << 20;

/// Reads the entries of a whole document one by one, because one of them is not well-formed:
/// the others are kept. `None` when the document's end is missing (then it was cut, and may be
/// whole the next time), or when no entry can be read.
fn salvaged(body: &[u8], url: &Url, redactor: &Redactor) -> Option<Feed> {
    const FORMS: [(&str, &str, &[&str]); 2] =
        [("<item", "</item>", &["</rss>", "</rdf:RDF>"]), ("<entry", "</entry>", &["</feed>"])];
    let (open, close, _) = FORMS
        .into_iter()
        .find(|(_, _, ends)| ends.iter().any(|end| body.trim_ascii_end().ends_with(end.as_bytes())))?;
    let next = |from: usize| -> Option<usize> {
        let mut at = from;
        loop {
            at += memchr::memmem::find(&body[at..], open.as_bytes())?;
            match body.get(at + open.len()) {
                // `<items>` of RSS 1.0 is no entry.
                Some(b'>' | b' ' | b'\t' | b'\r' | b'\n') => return Some(at),
                _ => at += open.len(),
            }
        }
    };
    let first = next(0)?;
    let last = memchr::memmem::rfind(body, close.as_bytes())? + close.len();
    let (head, tail) = (&body[..first], body.get(last..)?);
    let mut found = Vec::new();
    let mut at = Some(first);
    while let Some(start) = at.filter(|start| *start < last) {
        let end = start + memchr::memmem::find(&body[start..last], close.as_bytes())? + close.len();
        found.push(&body[start..end]);
        at = next(end);
    }
    if found.len().saturating_mul(head.len() + tail.len()) > SALVAGE_BYTES {
        return None;
    }
    let (mut title, mut items, mut read) = (None, Vec::new(), false);
    for entry in found {
        match parsed(&[head, entry, tail].concat(), url) {
            Ok(feed) => {
                read = true;
                title = title.or(feed.title);
                items.extend(feed.entries.into_iter().map(|entry| xml_item(entry, url, redactor)));
            }
            Err(_) => {
                // What stands in it cannot be told apart, authors neither: none of it is shown.
                let reject = Reject::new("broken_entry", "the entry is not well-formed");
                items.push(Item::Broken(reject, String::new()));
            }
        }
    }
    let title = title.and_then(|t| part(t).plain().ok()).filter(|t| !t.is_empty());
    read.then_some(Feed { title, items })
}

/// The encoding that the document's first line names, in lower case.
fn named_encoding(body: &[u8]) -> Option<String> {
    let head = &body[..body.len().min(200)];
    let line = String::from_utf8_lossy(&head[..memchr::memmem::find(head, b"?>")?]).to_ascii_lowercase();
    let (_, rest) = line.split_once("encoding")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    rest[1..].split(quote).next().map(str::to_string)
}

/// The same document as feed-rs understands it: names of older dialects become those of their
/// successors, and what it reads in ways that may panic is taken away.
fn readable(body: &[u8]) -> Vec<u8> {
    const SAME: [(&str, &str); 11] = [
        ("http://my.netscape.com/rdf/simple/0.9/", "http://purl.org/rss/1.0/"),
        ("http://channel.netscape.com/rdf/simple/0.9/", "http://purl.org/rss/1.0/"),
        ("http://backend.userland.com/rss2", "http://purl.org/rss/1.0/"),
        ("http://backend.userland.com/RSS2", "http://purl.org/rss/1.0/"),
        ("http://blogs.law.harvard.edu/tech/rss", "http://purl.org/rss/1.0/"),
        ("http://cyber.law.harvard.edu/rss/rss.html", "http://purl.org/rss/1.0/"),
        ("https://www.w3.org/2005/Atom", "http://www.w3.org/2005/Atom"),
        // Media, with durations of any length: nothing of it is kept.
        ("http://search.yahoo.com/mrss/", "urn:rxpulse:not-read"),
        ("http://www.itunes.com/dtds/podcast-1.0.dtd", "urn:rxpulse:not-read"),
        ("https://podcastindex.org/namespace/1.0", "urn:rxpulse:not-read"),
        ("http://purl.org/atom/ns#", "http://www.w3.org/2005/Atom"),
    ];
    let head = body.len().min(64 << 10);
    let old_atom = memchr::memmem::find(&body[..head], b"http://purl.org/atom/ns#").is_some();
    let mut out = body.to_vec();
    for (from, to) in SAME {
        out = replaced(&out, from.as_bytes(), to.as_bytes());
    }
    if old_atom {
        for (from, to) in [("issued>", "published>"), ("modified>", "updated>")] {
            for lead in ["<", "</"] {
                out = replaced(&out, format!("{lead}{from}").as_bytes(), format!("{lead}{to}").as_bytes());
            }
        }
    }
    newest_rss(&mut out);
    for name in ["author", "creator", "managingEditor", "webMaster"] {
        blank_odd_addresses(&mut out, name.as_bytes());
    }
    out
}

fn replaced(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut copied = 0;
    for at in memchr::memmem::find_iter(body, from) {
        out.extend_from_slice(&body[copied..at]);
        out.extend_from_slice(to);
        copied = at + from.len();
    }
    out.extend_from_slice(&body[copied..]);
    out
}

/// Every `<rss …>` is read as 2.0, which has all that earlier ones had; feed-rs refuses other
/// numbers.
fn newest_rss(body: &mut Vec<u8>) {
    let head = body.len().min(64 << 10);
    let Some(tag) = memchr::memmem::find(&body[..head], b"<rss") else { return };
    let Some(end) = memchr::memchr(b'>', &body[tag..]).map(|n| tag + n) else { return };
    if body.get(tag + 4).is_none_or(u8::is_ascii_alphanumeric) {
        return;
    }
    let version = memchr::memmem::find(&body[tag..end], b" version").map(|n| tag + n);
    let value = version.and_then(|at| {
        let open = at + memchr::memchr2(b'"', b'\'', &body[at..end])?;
        let close = open + 1 + memchr::memchr(body[open], &body[open + 1..end])?;
        Some(open + 1..close)
    });
    match value {
        Some(value) => drop(body.splice(value, *b"2.0")),
        None => drop(body.splice(tag + 4..tag + 4, *b" version=\"2.0\"")),
    }
}

/// feed-rs takes names and e-mail addresses apart by counting bytes, which only works for
/// ASCII: where an address may stand beside something else, the author's text is blanked.
fn blank_odd_addresses(body: &mut [u8], name: &[u8]) {
    let mut from = 0;
    while let Some(at) = body.get(from..).and_then(|rest| memchr::memmem::find(rest, name)) {
        let at = from + at;
        from = at + name.len();
        let opens = at > 0 && matches!(body[at - 1], b'<' | b':');
        if !opens || !matches!(body.get(from), Some(b'>' | b' ' | b'\t' | b'\n' | b'\r')) {
            continue;
        }
        let Some(start) = memchr::memchr(b'>', &body[from..]).map(|n| from + n + 1) else { return };
        // The text's end: the next tag that is not a CDATA section.
        let close = [b"</".as_slice(), name].concat();
        let found = memchr::memmem::find_iter(&body[start..], b"</").find(|n| {
            let tag = &body[start + n + 2..];
            tag.starts_with(name) || tag.splitn(2, |c| *c == b':').nth(1).is_some_and(|t| t.starts_with(name))
        });
        let Some(end) = found.map(|n| start + n) else { return };
        let text = &body[start..end];
        let odd = !text.is_ascii() || memchr::memmem::find(text, b"&#").is_some();
        let address = memchr::memchr(b'@', text).is_some() || memchr::memmem::find(text, b"&#").is_some();
        // Atom's authors have elements inside and are not taken apart.
        let nested = memchr::memmem::find(text, b"<name").is_some();
        if odd && address && !nested {
            body[start..end].fill(b' ');
        }
        from = end + close.len();
    }
}

fn has_items(body: &[u8]) -> bool {
    [b"item".as_slice(), b"entry"].iter().any(|name| {
        memchr::memmem::find_iter(body, name).any(|at| {
            at > 0
                && matches!(body[at - 1], b'<' | b':')
                && matches!(body.get(at + name.len()), Some(b'>' | b' ' | b'\n' | b'\r' | b'\t'))
        })
    })
}

fn part(text: model::Text) -> Part {
    let media = text.content_type.to_string();
    Part { html: media.contains("html") || media.contains("xml"), text: text.content }
}

impl Part {
    fn plain(&self) -> Result<String, Reject> {
        if self.html { plain(&self.text) } else { Ok(self.text.trim().to_string()) }
    }

    fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

fn xml_item(entry: Entry, url: &Url, redactor: &Redactor) -> Item {
    let millis = |ms: i64| in_years(ms);
    let published_ms = entry.published.and_then(|t| millis(t.timestamp_millis()));
    let updated_ms = entry.updated.and_then(|t| millis(t.timestamp_millis()));
    let link = entry
        .links
        .iter()
        .filter(|link| link.target.is_none())
        .find(|link| link.rel.as_deref().is_none_or(|rel| rel == "alternate"))
        .and_then(|link| web_link(&link.href, Some(url)));
    let author = entry.authors.first().and_then(|a| a.name.clone().or_else(|| a.email.clone()));
    let author =
        author.map(|name| name.trim().trim_start_matches("/u/").to_string()).filter(|a| !a.is_empty());
    let category = entry.categories.first().map(|c| c.term.clone());
    let mut title = entry.title.map(part);
    let content = entry.content.and_then(|content| {
        let media = content.content_type.to_string();
        let html = media.contains("html") || media.contains("xml");
        content.body.map(|text| Part { text, html })
    });
    let summary = entry.summary.map(part);
    let reddit = is_reddit_id(entry.id.trim());
    let content = if reddit { content.and_then(reddit_body) } else { content };
    if reddit && let Some(title) = &mut title {
        // `/u/name on Title`: the author is no part of the title.
        if let Some((_, on)) = title.text.strip_prefix("/u/").and_then(|rest| rest.split_once(" on ")) {
            title.text = on.to_string();
        }
    }
    let mut raw = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            raw.insert(key.to_string(), value);
        }
    };
    let text_of = |part: &Option<Part>| part.as_ref().map(|p| Value::from(p.text.as_str()));
    put("id", Some(Value::from(entry.id.as_str())).filter(|id| id != ""));
    put("title", text_of(&title));
    put("author", author.as_deref().map(Value::from));
    put("published", published_ms.map(|ms| Value::from(crate::envelope::format_millis(ms))));
    put("updated", updated_ms.map(|ms| Value::from(crate::envelope::format_millis(ms))));
    let links: Vec<Value> =
        entry.links.iter().map(|link| json!({ "href": link.href, "rel": link.rel })).collect();
    put("links", (!links.is_empty()).then_some(Value::Array(links)));
    let categories: Vec<Value> =
        entry.categories.iter().map(|c| json!({ "term": c.term, "label": c.label })).collect();
    put("categories", (!categories.is_empty()).then_some(Value::Array(categories)));
    put("content", text_of(&content));
    put("summary", text_of(&summary));
    put("language", entry.language.as_deref().map(Value::from));
    let raw = Value::Object(raw).to_string();
    let raw = splice::redact(&raw, redactor, None).into_owned();
    if raw.len() > LONGEST_RECORD {
        return Item::Broken(too_long(raw.len()), raw);
    }
    let body = content.filter(|c| !c.is_blank()).or(summary.filter(|s| !reddit && !s.is_blank()));
    Item::Entry(Box::new(Parsed {
        id: entry.id.trim().to_string(),
        published_ms,
        updated_ms,
        title,
        body,
        url: link.map(String::from),
        author,
        category,
        raw,
    }))
}

/// The longest entry that is kept.
const LONGEST_RECORD: usize = 4 << 20;

fn too_long(bytes: usize) -> Reject {
    Reject::new("oversized", format!("{bytes} bytes; at most {LONGEST_RECORD} are read"))
}

/// `t3_abc` or `t1_abc`.
fn is_reddit_id(id: &str) -> bool {
    let b = id.as_bytes();
    (4..=64).contains(&b.len())
        && (b.starts_with(b"t3_") || b.starts_with(b"t1_"))
        && b[3..].iter().all(u8::is_ascii_alphanumeric)
}

/// The post's own text: Reddit writes who sent it behind, with links to the author.
fn reddit_body(content: Part) -> Option<Part> {
    let text = content.text;
    let (from, to) = match text.split_once("<!-- SC_OFF -->") {
        Some((lead, rest)) => {
            let from = text.len() - rest.len();
            debug_assert!(lead.len() < from);
            (from, from + rest.find("<!-- SC_ON -->").unwrap_or(rest.len()))
        }
        None => (0, text.rfind("submitted by").unwrap_or(text.len())),
    };
    let own = text[from..to].replace("&#32;", " ");
    (!own.trim().is_empty()).then_some(Part { text: own, html: content.html })
}

fn json_feed(body: &[u8], url: &Url, redactor: &Redactor) -> Result<Feed, NoFeed> {
    let text = std::str::from_utf8(body).map_err(|_| "the feed is JSON in an encoding other than UTF-8")?;
    // Also what nests too deep for anyone to read is broken.
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| BROKEN)?;
    if splice::too_deep(body) {
        return Err(BROKEN);
    }
    let whole = 0..text.len();
    let of = |name: &str| child(body, &whole, name).map(|at| &text[at]);
    let string = |json: &str| serde_json::from_str::<String>(json).ok();
    if !of("version").and_then(string).is_some_and(|v| v.contains("jsonfeed.org/version/")) {
        return Err("answered with JSON that is not a JSON Feed");
    }
    let items = match child(body, &whole, "items") {
        Some(at) if body[at.start] == b'[' => at,
        _ => return Err("answered with JSON that is not a JSON Feed"),
    };
    let feed_author = person(&of_value(of("authors")), &of_value(of("author")));
    let found = splice::elements(body, items.start);
    let items = found
        .map(|at: Result<Range<usize>, Range<usize>>| {
            let raw = &text[at.unwrap_or_else(|rest| rest)];
            json_item(raw, url, &feed_author, redactor)
        })
        .collect();
    Ok(Feed { title: of("title").and_then(string), items })
}

fn of_value(json: Option<&str>) -> Value {
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

/// The first author's name.
fn person(authors: &Value, author: &Value) -> Option<String> {
    let name =
        |p: &Value| p.get("name").and_then(Value::as_str).or(p.as_str()).map(str::trim).map(str::to_string);
    authors
        .as_array()
        .and_then(|all| all.iter().find_map(name))
        .or_else(|| name(author))
        .filter(|n| !n.is_empty())
}

fn json_item(raw: &str, url: &Url, feed_author: &Option<String>, redactor: &Redactor) -> Item {
    // `authors` is not among the keys that are authors everywhere.
    let redacted = splice::redact(raw, redactor, Some("authors")).into_owned();
    if raw.len() > LONGEST_RECORD {
        return Item::Broken(too_long(raw.len()), redacted);
    }
    match json_entry(raw, url, feed_author) {
        Ok(entry) => Item::Entry(Box::new(Parsed { raw: redacted, ..entry })),
        Err(reject) => Item::Broken(reject, redacted),
    }
}

fn json_entry(raw: &str, url: &Url, feed_author: &Option<String>) -> Result<Parsed, Reject> {
    let item: Value = serde_json::from_str(raw).map_err(|e| Reject::from_json(&e))?;
    if !item.is_object() {
        return Err(Reject::new("not_an_object", "the item is not an object"));
    }
    let text = |key: &'static str| match item.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Reject {
            reason: Cow::Owned(format!("mistyped:{key}")),
            detail: format!("{key} is not a text"),
        }),
    };
    let time = |key: &'static str| match text(key)? {
        None => Ok(None),
        Some(text) if text.trim().is_empty() => Ok(None),
        Some(text) => match crate::envelope::parse_millis(text.trim()).and_then(in_years) {
            Some(ms) => Ok(Some(ms)),
            None => Err(Reject::new("bad_created_at", format!("{key} is not a time that is understood"))),
        },
    };
    // The specification lets ids be numbers.
    let id = match item.get("id") {
        Some(Value::Number(n)) => n.to_string(),
        _ => text("id")?.unwrap_or_default().trim().to_string(),
    };
    let link = text("url")?.or(text("external_url")?);
    let html = text("content_html")?.filter(|t| !t.trim().is_empty()).map(|text| Part { text, html: true });
    let own = text("content_text")?.filter(|t| !t.trim().is_empty()).map(|text| Part { text, html: false });
    let summary = text("summary")?.filter(|t| !t.trim().is_empty()).map(|text| Part { text, html: false });
    let author = person(&item["authors"], &item["author"]).or_else(|| feed_author.clone());
    Ok(Parsed {
        id,
        published_ms: time("date_published")?,
        updated_ms: time("date_modified")?,
        title: text("title")?.map(|text| Part { text, html: false }),
        body: html.or(own).or(summary),
        url: link.and_then(|link| web_link(&link, Some(url))).map(String::from),
        author,
        category: None,
        raw: String::new(),
    })
}

impl Parsed {
    /// When it was written: published, else updated.
    pub(super) fn created_ms(&self) -> Option<i64> {
        self.published_ms.or(self.updated_ms)
    }

    /// Its own id; its link if it has none; else a hash of what it says.
    pub(super) fn native_id(&self) -> String {
        let own = if self.id.is_empty() { self.url.as_deref().unwrap_or_default() } else { &self.id };
        if !own.is_empty() && own.len() <= 512 {
            return own.to_string();
        }
        let mut hasher = blake3::Hasher::new();
        let title = self.title.as_ref().map_or("", |t| t.text.as_str());
        for part in [own, title, &self.created_ms().map_or(String::new(), |ms| ms.to_string())] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        format!("hash:{}", &hasher.finalize().to_hex()[..32])
    }

    /// Maps the entry.
    pub(super) fn map<'a>(&'a self, facts: &FeedFacts<'a>) -> Result<Envelope<'a>, Reject> {
        let native_id = self.native_id();
        let blank = |part: &Option<Part>| part.as_ref().is_none_or(Part::is_blank);
        if self.id.is_empty() && self.url.is_none() && blank(&self.title) && blank(&self.body) {
            return Err(Reject::new("missing_id", "neither an id nor a link nor a text"));
        }
        let Some(created_at) = self.created_ms() else {
            return Err(Reject::new("missing_created_at", "neither published nor updated"));
        };
        let plain = |part: &Option<Part>| part.as_ref().map(Part::plain).transpose();
        let title = plain(&self.title)?.filter(|t| !t.is_empty());
        let body = plain(&self.body)?.filter(|t| !t.is_empty());
        let reddit = facts.platform == "reddit" && is_reddit_id(&native_id);
        let comment = reddit && native_id.starts_with("t1_");
        let gone = |text: &Option<String>| matches!(text.as_deref(), Some("[deleted]" | "[removed]"));
        let deleted = reddit && (gone(&title) || gone(&body) || self.author.as_deref() == Some("[deleted]"));
        let post_type = if comment { PostType::Comment } else { PostType::Post };
        let (title, link_title) = if comment { (None, title) } else { (title, None) };
        let channel = self.category.as_deref().filter(|_| reddit).unwrap_or(facts.channel);
        let author = self.author.as_deref().filter(|name| !(reddit && *name == "[deleted]"));
        Ok(Envelope {
            channel: Some(channel.into()).filter(|c: &Text<'_>| !c.as_str().is_empty()),
            created_at: Some(created_at),
            title: title.map(Text::from),
            body: body.map(Text::from),
            url: self.url.as_deref().map(Text::from),
            author: author.and_then(|name| facts.redactor.replace(name)).map(Text),
            link_title: link_title.map(Text::from),
            edited_at: self.updated_ms.filter(|ms| *ms > created_at),
            deleted,
            raw: self.raw.as_str().into(),
            ..Envelope::bare(facts.platform, facts.source, native_id, post_type, facts.now_ms, VERSION)
        })
    }

    /// The entry without authors, for a glimpse in quarantine.
    pub(super) fn record(&self) -> &str {
        &self.raw
    }
}
