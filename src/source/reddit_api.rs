//! One call of Reddit's API, from the token to the pieces of the answer.
//!
//! Invariant: an answer that is not what was asked for is never taken for an empty one. Says
//! how a reading ends in words that stay the same while the reason does. Blocks on the network.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::value::RawValue;
use url::Url;

use super::adapter::{Loose, Reject};
use super::adapter_things::{Found, things};
use super::capture::SourceError;
use super::net::{Net, Reach, Stream, short};
use super::reddit::RedditDef;
use super::reddit_token::TokenStore;
use super::splice::{elements, entries, key_is, skip_space};
use crate::http::{Client, ErrorKind, HttpError, Request, Response};

/// Why a reading cannot go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// The place asked for does not let us in; others may.
    Closed(String),
    /// The API does not answer, or not us.
    Ended { reach: Reach, reason: String, retry_at_ms: Option<i64> },
    /// Not the network.
    Source(SourceError),
}

impl Halt {
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::Ended { reach: Reach::Failed, reason: reason.into(), retry_at_ms: None }
    }

    pub fn partial(reason: impl Into<String>) -> Self {
        Self::Ended { reach: Reach::Partial, reason: reason.into(), retry_at_ms: None }
    }

    pub fn blocked(reason: impl Into<String>) -> Self {
        Self::Ended { reach: Reach::Blocked, reason: reason.into(), retry_at_ms: None }
    }

    /// How the reading ended, unless it was not the network.
    pub fn ended(self) -> Result<(Reach, String, Option<i64>), SourceError> {
        match self {
            Self::Closed(reason) => Ok((Reach::Blocked, short(&reason).into_owned(), None)),
            Self::Ended { reach, reason, retry_at_ms } => {
                Ok((reach, short(&reason).into_owned(), retry_at_ms))
            }
            Self::Source(error) => Err(error),
        }
    }
}

impl From<SourceError> for Halt {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

/// The API, as one reading uses it.
pub(super) struct Api<'a> {
    def: &'a RedditDef,
    net: &'a Net<'a>,
    tokens: &'a TokenStore,
    client: Client,
    requests: Arc<AtomicU32>,
}

impl<'a> Api<'a> {
    pub fn new(def: &'a RedditDef, net: &'a Net<'a>, tokens: &'a TokenStore) -> Self {
        let requests = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&requests);
        let client = net.client.client().clone().with_observer(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        Self { def, net, tokens, client, requests }
    }

    pub fn def(&self) -> &RedditDef {
        self.def
    }

    pub fn net(&self) -> &Net<'a> {
        self.net
    }

    /// Requests made so far, repeated ones too.
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// A clock that never jumps, in milliseconds.
    pub fn steady_ms(&self) -> i64 {
        (self.client.options().hooks.steady_ms)()
    }

    /// Sends one request.
    pub fn send(&self, request: Request) -> Result<Response, Halt> {
        self.net.go_on()?;
        self.net.client.block_on(self.client.send(request)).map_err(|error| {
            if let ErrorKind::Status { code } = error.kind() {
                let reason = format!("HTTP {code} from {}", error.host());
                let wait = error.response().and_then(Response::retry_after);
                let now = (self.client.options().hooks.unix_ms)();
                let retry_at_ms =
                    wait.map(|w| now.saturating_add(i64::try_from(w.as_millis()).unwrap_or(i64::MAX)));
                return Halt::Ended { reach: Reach::Failed, reason, retry_at_ms };
            }
            match Stream::failure(&error) {
                Ok((reach, reason, retry_at_ms)) => Halt::Ended { reach, reason, retry_at_ms },
                Err(error) => Halt::Source(error),
            }
        })
    }

    /// Asks for JSON at a path. `place` is what the path stands for: `r/pharmacy`.
    pub fn get(&self, path: &str, query: &[(&str, &str)], place: &str) -> Result<Box<RawValue>, Halt> {
        let url = Url::parse(&self.def.base_url).ok().and_then(|mut url| {
            let path = [url.path().trim_end_matches('/'), path].concat();
            url.set_path(&path);
            url.set_query(None);
            (!url.cannot_be_a_base()).then_some(url)
        });
        let Some(url) = url else {
            return Err(Halt::blocked("the base URL of the source is not a URL"));
        };
        for _ in 0..2 {
            let token = self.tokens.token(self)?;
            let mut request = Request::get(&url)
                .bearer(&token.text)
                .header("user-agent", &self.def.user_agent)
                .accept("application/json")
                .no_redirects()
                .query("raw_json", "1");
            for (name, value) in query {
                request = request.query(name, value);
            }
            let response = self.send(request)?;
            if response.status() != 401 {
                return read(&response, place);
            }
            self.tokens.refused(self.def, &token);
        }
        Err(Halt::blocked("credentials refused (HTTP 401)"))
    }
}

fn read(response: &Response, place: &str) -> Result<Box<RawValue>, Halt> {
    let closed = |words: &str| Err(Halt::Closed(format!("{place}: {words}")));
    match response.status() {
        200..=299 => response.json().map_err(|error| Halt::failed(format!("{place}: {}", shape(&error)))),
        403 => closed("forbidden (403): private, quarantined, or not allowed for this app"),
        404 | 410 => closed("not found (404): no such subreddit, banned, or deleted"),
        451 => closed("not available for legal reasons (451)"),
        301 | 302 | 303 | 307 | 308 => closed("redirected (302): no such subreddit"),
        status @ 400..500 => closed(&format!("refused (HTTP {status})")),
        status => Err(Halt::failed(format!("{place}: HTTP {status}"))),
    }
}

/// What an answer is instead of the JSON that was expected.
pub(super) fn shape(error: &HttpError) -> String {
    match error.kind() {
        // The status in brackets is said elsewhere.
        ErrorKind::NotJson => error.detail().split(" (").next().unwrap_or_default().to_string(),
        _ => "answered with JSON that is broken".to_string(),
    }
}

/// A page of a listing.
pub(super) struct Listing<'a> {
    /// The array of its items.
    pub children: &'a str,
    /// The cursor of the next page.
    pub after: Option<String>,
}

/// A listing, if the JSON is one.
pub(super) fn listing(json: &str) -> Option<Listing<'_>> {
    let b = json.as_bytes();
    let top = object(b, skip_space(b, 0))?;
    let kind = top.get("kind")?;
    if &json[kind.clone()] != "\"Listing\"" {
        return None;
    }
    let data = object(b, top.get("data")?.start)?;
    let children = data.get("children").filter(|at| b[at.start] == b'[')?;
    let after =
        data.get("after").and_then(|at| serde_json::from_str::<Option<String>>(&json[at.clone()]).ok());
    Some(Listing {
        children: &json[children.clone()],
        after: after.flatten().filter(|after| !after.is_empty()),
    })
}

/// Whether the JSON is a post with its comments: two listings.
pub(super) fn is_tree(json: &str) -> bool {
    let b = json.as_bytes();
    let at = skip_space(b, 0);
    b.get(at) == Some(&b'[')
        && elements(b, at).all(|part| part.is_ok_and(|at| listing(&json[at]).is_some()))
        && elements(b, at).count() == 2
}

/// The array of things that `morechildren` answers with, if it does.
pub(super) fn more_things(json: &str) -> Option<&str> {
    let b = json.as_bytes();
    let mut at = skip_space(b, 0)..b.len();
    for key in ["json", "data", "things"] {
        at = object(b, at.start)?.get(key)?.clone();
    }
    (b[at.start] == b'[').then(|| &json[at])
}

/// The keys and values of an object, by the names that are needed here.
fn object(b: &[u8], at: usize) -> Option<HashMap<&'static str, Range<usize>>> {
    const KEYS: [&str; 18] = [
        "kind",
        "data",
        "children",
        "after",
        "json",
        "things",
        "id",
        "name",
        "created_utc",
        "stickied",
        "pinned",
        "num_comments",
        "subreddit",
        "title",
        "parent_id",
        "link_id",
        "link_title",
        "edited",
    ];
    if b.get(at) != Some(&b'{') {
        return None;
    }
    let mut found = HashMap::new();
    for (key, value) in entries(b, at) {
        if let Some(name) = KEYS.iter().find(|name| key_is(b, &key, name)) {
            // The last of two equal keys counts.
            found.insert(*name, value);
        }
    }
    Some(found)
}

/// What paging needs to know of a record; the adapter decides what the record is.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Full name: `t3_abc`.
    pub id: Option<String>,
    pub created_ms: Option<i64>,
    pub pinned: bool,
    pub num_comments: i64,
    pub subreddit: Option<String>,
    pub title: Option<String>,
    /// The post of a comment.
    pub link_id: Option<String>,
}

/// Reads the facts of one record.
pub(super) fn facts(record: &str, kind: Option<&str>) -> Facts {
    let b = record.as_bytes();
    let Some(fields) = object(b, skip_space(b, 0)) else { return Facts::default() };
    let loose = |name: &str| -> Loose<'_> {
        fields.get(name).and_then(|at| serde_json::from_str(&record[at.clone()]).ok()).unwrap_or_default()
    };
    let text = |name: &str| loose(name).text(name).ok().flatten().map(String::from).filter(|t| !t.is_empty());
    let id = text("name").filter(|name| name.len() > 3 && name.as_bytes()[2] == b'_');
    let id = id.or_else(|| Some(format!("{}_{}", kind?, text("id")?)));
    Facts {
        id,
        created_ms: loose("created_utc").epoch_seconds(),
        pinned: ["stickied", "pinned"].iter().any(|name| loose(name) == Loose::Bool(true)),
        num_comments: loose("num_comments").integer("num_comments").ok().flatten().unwrap_or(0),
        subreddit: text("subreddit"),
        title: text("title"),
        link_id: text("link_id"),
    }
}

/// A place that stands for comments which are not in the answer.
#[derive(Clone, Debug, Default)]
pub(super) struct More {
    /// Ids of the comments, without `t1_`; none where a thread goes on elsewhere.
    pub children: Vec<String>,
    /// What they answer: a full name.
    pub parent_id: Option<String>,
}

fn more(data: &str) -> More {
    let b = data.as_bytes();
    let Some(fields) = object(b, skip_space(b, 0)) else { return More::default() };
    let children = fields
        .get("children")
        .filter(|at| b[at.start] == b'[')
        .map(|at| {
            elements(b, at.start).flatten().filter_map(|at| serde_json::from_str(&data[at]).ok()).collect()
        })
        .unwrap_or_default();
    let parent_id = fields.get("parent_id").and_then(|at| serde_json::from_str(&data[at.clone()]).ok());
    More { children, parent_id }
}

/// A piece of an answer.
pub(super) enum Piece<'a> {
    Record {
        kind: Option<&'a str>,
        raw: &'a str,
        facts: Facts,
    },
    More(More),
    /// What cannot be followed, with the reason for setting it aside.
    Odd {
        raw: &'a str,
        reject: Reject,
    },
}

/// The records of an answer (or of a part of one) and the places that stand for others.
pub(super) fn pieces(json: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    things(json, &mut |found| {
        out.push(match found {
            Found::Record(kind, at) => {
                let raw = &json[at];
                Piece::Record { kind, raw, facts: facts(raw, kind) }
            }
            Found::Placeholder(at) => Piece::More(more(&json[at])),
            Found::TooDeep(at) => {
                Piece::Odd { raw: &json[at], reject: Reject::new("too_deep", "comments nested too deep") }
            }
            Found::Broken(at) => Piece::Odd {
                raw: &json[at],
                reject: Reject::new("invalid_json", "a listing without children"),
            },
        });
    });
    out
}

/// Whether a text can stand in a path or a list of ids as it is.
pub(super) fn plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}
