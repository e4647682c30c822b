//! Who labels posts: one trait, and what comes of asking.
//!
//! A provider translates: a pack of posts into its own request, its answer into [`Heard`]. It
//! makes one attempt; trying again, packing, money and caching are [`super::ask_all`]'s.
//! Async; the network's providers wait for an answer.

use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};

use super::prompt::Prompt;
use super::usd::{Rates, Tokens, Usd};
use crate::http::{Client, ErrorKind, Request};

/// A pack of posts to label.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Ids of this pack alone and the texts, redacted.
    pub posts: Vec<(String, String)>,
    /// Stands before and after the data, so that a post cannot pretend to end it.
    pub marker: String,
    /// Tokens that the answer may have.
    pub max_output: u32,
}

/// Tokens of an answer for each post, and around them.
const OUTPUT_EACH: u32 = 200;
const OUTPUT_AROUND: u32 = 256;

impl Ask {
    /// A pack of texts, with ids that say nothing and a marker nobody can guess.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let posts: Vec<(String, String)> =
            (1..).zip(texts).map(|(n, text)| (format!("p{n}"), text.to_string())).collect();
        let max_output = OUTPUT_AROUND + OUTPUT_EACH * u32::try_from(posts.len()).unwrap_or(1_000);
        Self { posts, marker: format!("{:016x}", fastrand::u64(..)), max_output }
    }

    /// What the user says: the posts as JSON between two marker lines.
    pub fn message(&self) -> String {
        let posts: Vec<serde_json::Value> =
            self.posts.iter().map(|(id, text)| serde_json::json!({ "id": id, "text": text })).collect();
        let data = serde_json::Value::Array(posts);
        format!("POSTS {0}\n{data}\nEND {0}", self.marker)
    }

    /// The posts as [`super::read_answer`] takes them.
    pub fn pairs(&self) -> Vec<(String, &str)> {
        self.posts.iter().map(|(id, text)| (id.clone(), text.as_str())).collect()
    }
}

/// What one attempt brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The answer, or why there is none.
    pub heard: Heard,
    /// What was read and written, as the provider counts it; none of it for what is not billed,
    /// `None` when nobody knows.
    pub tokens: Option<Tokens>,
    /// The model that answered, in the provider's words.
    pub model_version: Option<String>,
    /// Why it stopped writing, in the provider's words.
    pub finish_reason: Option<String>,
    /// The answer's HTTP status.
    pub status: Option<u16>,
    /// How long it took, milliseconds.
    pub elapsed_ms: u64,
}

impl Reply {
    /// A reply of which nothing is known but its outcome.
    pub fn of(heard: Heard) -> Self {
        let (tokens, model_version, finish_reason) = (None, None, None);
        Self { heard, tokens, model_version, finish_reason, status: None, elapsed_ms: 0 }
    }
}

/// What a provider said.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// An answer, not checked yet.
    Text(String),
    /// An answer that ended at its most tokens.
    Cut,
    /// It does not want to speak of one of these posts. Why, in its words.
    Refused(String),
    /// Asked too often.
    Busy {
        /// When it may be asked again, if it said so.
        wait: Option<Duration>,
        /// Today's quota is used up.
        exhausted: bool,
        /// What it said.
        detail: String,
    },
    /// Something that passes: overload, a lost connection, a cut body.
    Failed(String),
    /// It cannot read this request: too long, a field it does not know.
    Rejected(String),
    /// Every call will end like this: a wrong key, an unknown model.
    Denied(String),
    /// The run was stopped.
    Canceled,
}

/// Who labels posts.
pub trait Provider: Send + Sync {
    /// Its word in configuration and tables.
    fn name(&self) -> &'static str;
    /// The model that is asked.
    fn model(&self) -> &str;
    /// Whether it is a language model.
    fn is_llm(&self) -> bool;
    /// What its tokens cost; `None` when it costs nothing or nobody said.
    fn rates(&self) -> Option<Rates>;
    /// Whether a call costs nothing, as on a machine of one's own.
    fn is_free(&self) -> bool;
    /// Bytes of the request that can cost tokens, at most.
    fn request_bytes(&self, prompt: &Prompt, ask: &Ask) -> u64;
    /// Asks once.
    fn ask<'a>(&'a self, prompt: &'a Prompt, ask: &'a Ask) -> BoxFuture<'a, Reply>;
    /// Whether it accepts the key and has the model, in words for a person. Labels nothing and
    /// costs nothing.
    fn probe(&self) -> BoxFuture<'_, Result<String, String>>;
}

impl Heard {
    /// Why there is no answer; `Ok` with an answer.
    pub(super) fn or_why(self) -> Result<String, String> {
        match self {
            Heard::Text(text) => Ok(text),
            Heard::Cut => Ok(String::new()),
            Heard::Canceled => Err("it was stopped".into()),
            Heard::Busy { detail: why, .. }
            | Heard::Refused(why)
            | Heard::Failed(why)
            | Heard::Rejected(why)
            | Heard::Denied(why) => Err(why),
        }
    }
}

/// The statuses whose bodies say more than their number.
const TOLD_BY_BODY: [u16; 11] = [408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529];

/// What a call cost: nothing where nothing costs, unknown where nobody said what tokens cost, or
/// how many they were.
pub(crate) fn cost(free: bool, rates: Option<Rates>, tokens: Option<Tokens>) -> Option<Usd> {
    match (rates, tokens) {
        (None, _) if free => Some(Usd::ZERO),
        // Nothing was read and nothing written, whatever the price.
        (None, Some(tokens)) if tokens == Tokens::default() => Some(Usd::ZERO),
        (None, _) | (Some(_), None) => None,
        (Some(rates), Some(tokens)) => Some(rates.cost(tokens)),
    }
}

/// A field that is `null` says nothing, as one that is absent: some servers write all of them.
pub(super) fn or_null<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + serde::Deserialize<'de>,
{
    Ok(<Option<T> as serde::Deserialize>::deserialize(from)?.unwrap_or_default())
}

/// Sends one request, once, and reads what came with `read` (status, body). What did not come
/// whole is [`Heard::Failed`], and `read` is not asked. Nothing of the reply holds the key.
pub(super) async fn exchange(
    client: &Client,
    request: Request,
    key: Option<&SecretString>,
    read: impl FnOnce(u16, Option<Duration>, &[u8]) -> Reply,
) -> Reply {
    let begun = (client.options().hooks.steady_ms)();
    let request = request.max_attempts(1).hand_back(&TOLD_BY_BODY).no_redirects();
    let mut reply = match client.send(request).await {
        Ok(response) => {
            let status = response.status();
            let mut reply = read(status, response.retry_after(), response.body());
            reply.status = Some(status);
            if !(200..300).contains(&status) {
                // Errors are not billed.
                reply.tokens.get_or_insert_default();
            }
            reply
        }
        Err(error) => {
            let text = error.to_string();
            let mut reply = Reply::of(match error.kind() {
                ErrorKind::Canceled => Heard::Canceled,
                ErrorKind::RetryAfterTooLong { .. } => {
                    Heard::Busy { wait: None, exhausted: true, detail: text }
                }
                // A proxy's page or a broken encoding: the next try may reach the provider.
                ErrorKind::Decode | ErrorKind::NotJson | ErrorKind::BodyTooLarge { .. } => {
                    Heard::Failed(text)
                }
                kind if kind.is_transient() => Heard::Failed(text),
                _ => Heard::Denied(text),
            });
            reply.status = error.response().map(crate::http::Response::status);
            if matches!(
                error.kind(),
                ErrorKind::InvalidRequest
                    | ErrorKind::Address
                    | ErrorKind::Dns
                    | ErrorKind::Connect
                    | ErrorKind::Tls
                    | ErrorKind::RetryAfterTooLong { .. }
            ) {
                // Nobody received it.
                reply.tokens = Some(Tokens::default());
            }
            reply
        }
    };
    let now = (client.options().hooks.steady_ms)();
    reply.elapsed_ms = u64::try_from(now.saturating_sub(begun)).unwrap_or(0);
    if let Some(key) = key {
        reply.hide(key.expose_secret());
    }
    reply
}

impl Reply {
    /// Takes a key out of what a server said: some repeat the one that they do not accept.
    fn hide(&mut self, key: &str) {
        if key.is_empty() {
            return;
        }
        let said = match &mut self.heard {
            // Read, checked and thrown away: nothing of it is kept but labels.
            Heard::Text(_) | Heard::Cut | Heard::Canceled => None,
            Heard::Refused(said) | Heard::Failed(said) | Heard::Rejected(said) | Heard::Denied(said) => {
                Some(said)
            }
            Heard::Busy { detail, .. } => Some(detail),
        };
        let others = [&mut self.model_version, &mut self.finish_reason];
        for text in said.into_iter().chain(others.into_iter().flatten()) {
            if text.contains(key) {
                *text = text.replace(key, "(the key)");
            }
        }
    }
}

/// A provider's words for a message: one line, short, nothing that is not text.
pub(super) fn words(text: &str) -> String {
    let text = super::visible(text);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
    match plain.is_empty() {
        true => "no reason given".into(),
        false => plain,
    }
}

/// A provider's name for something, such as the version of a model.
pub(super) fn name(text: &str) -> String {
    words(text).chars().take(100).collect()
}
