//! One request, as its caller writes it down.
//!
//! Invariant: `Debug` shows neither query, nor header values, nor the body.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    PROXY_AUTHORIZATION,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Names whose values are secrets however they were given.
const SECRET_NAMES: [HeaderName; 5] = [
    AUTHORIZATION,
    COOKIE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// A GET or POST with its headers, body and what differs from the client's options. What is
/// wrong with it is told by [`Client::send`](super::Client::send).
#[derive(Clone)]
pub struct Request {
    pub(super) method: Method,
    pub(super) url: Result<Url, String>,
    /// What else is wrong with it.
    pub(super) problem: Option<String>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) basic: Option<(String, SecretString)>,
    pub(super) body: Option<Bytes>,
    pub(super) idempotent: bool,
    pub(super) follow: bool,
    pub(super) secret_path: bool,
    pub(super) truncate: bool,
    pub(super) body_cap: Option<u64>,
    pub(super) max_attempts: Option<u32>,
    pub(super) max_wait: Option<Duration>,
    pub(super) first_byte_deadline: Option<Duration>,
    pub(super) total_deadline: Option<Duration>,
    pub(super) retry_on: Vec<u16>,
    pub(super) hand_back: Vec<u16>,
}

impl Request {
    fn new(method: Method, url: &str) -> Self {
        let url = Url::parse(url.trim()).map(|mut url| {
            url.set_fragment(None);
            url
        });
        Self {
            method,
            url: url.map_err(|e| format!("its URL is broken: {e}")),
            problem: None,
            headers: Vec::new(),
            basic: None,
            body: None,
            idempotent: false,
            follow: true,
            secret_path: false,
            truncate: false,
            body_cap: None,
            max_attempts: None,
            max_wait: None,
            first_byte_deadline: None,
            total_deadline: None,
            retry_on: Vec::new(),
            hand_back: Vec::new(),
        }
    }

    /// Reads `url`, as often as needed.
    pub fn get(url: impl AsRef<str>) -> Self {
        Self::new(Method::GET, url.as_ref())
    }

    /// Sends to `url`. It is sent again only when the server cannot have acted on it: no
    /// connection came about, or it answered 429 or 503. See [`idempotent`](Self::idempotent).
    pub fn post(url: impl AsRef<str>) -> Self {
        Self::new(Method::POST, url.as_ref())
    }

    /// Adds `name=value` to the query, escaped.
    pub fn query(mut self, name: &str, value: impl AsRef<str>) -> Self {
        if let Ok(url) = &mut self.url {
            url.query_pairs_mut().append_pair(name, value.as_ref());
        }
        self
    }

    /// Adds a header. `authorization`, `cookie` and the usual names of API keys are treated as
    /// secrets; other secrets go through [`secret_header`](Self::secret_header).
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.put(name, value.as_ref(), false);
        self
    }

    /// Adds a header whose value is a secret: it is not sent on to another host by a redirect.
    pub fn secret_header(mut self, name: &str, value: impl std::borrow::Borrow<SecretString>) -> Self {
        self.put(name, value.borrow().expose_secret(), true);
        self
    }

    /// `Authorization: Bearer TOKEN`.
    pub fn bearer(mut self, token: &SecretString) -> Self {
        self.put("authorization", &format!("Bearer {}", token.expose_secret()), true);
        self
    }

    /// `Authorization: Basic …` of a user name and a password, which may be empty.
    pub fn basic_auth(mut self, user: impl Into<String>, password: SecretString) -> Self {
        self.basic = Some((user.into(), password));
        self
    }

    /// `Accept: …`.
    pub fn accept(self, media: &str) -> Self {
        self.header("accept", media)
    }

    /// Asks for the body only if it is not the version with this `ETag`: 304 says so.
    pub fn if_none_match(self, etag: &str) -> Self {
        self.header(IF_NONE_MATCH.as_str(), etag)
    }

    /// Asks for the body only if it changed after this `Last-Modified`: 304 says so.
    pub fn if_modified_since(self, date: &str) -> Self {
        self.header(IF_MODIFIED_SINCE.as_str(), date)
    }

    /// A body with its content type.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.put(CONTENT_TYPE.as_str(), content_type, false);
        self.body = Some(body.into());
        self
    }

    /// A form as the body.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(self, fields: impl IntoIterator<Item = (N, V)>) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body("application/x-www-form-urlencoded", body)
    }

    /// JSON as the body.
    pub fn json(mut self, value: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => {
                if !self.headers.iter().any(|(name, _)| *name == ACCEPT) {
                    self = self.accept("application/json");
                }
                self.body("application/json", body)
            }
            Err(_) => {
                self.problem = Some("its body cannot be written as JSON".to_owned());
                self
            }
        }
    }

    /// Sending it twice does no more than sending it once: a POST is then tried again like a GET.
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Hands a redirect back as the answer that it is, instead of following it.
    pub fn no_redirects(mut self) -> Self {
        self.follow = false;
        self
    }

    /// The path holds a secret (as webhooks do) and is shown as `/…`.
    pub fn secret_path(mut self) -> Self {
        self.secret_path = true;
        self
    }

    /// The longest body that is taken, in bytes after decompression.
    pub fn body_cap(mut self, bytes: u64) -> Self {
        self.body_cap = Some(bytes);
        self
    }

    /// A longer body is cut at the cap instead of being an error.
    pub fn cut_at_cap(mut self) -> Self {
        self.truncate = true;
        self
    }

    /// How often it is tried in all; at least once.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts.max(1));
        self
    }

    /// How long it may wait in all between its tries.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = Some(wait);
        self
    }

    /// How long the answer's headers may take.
    pub fn first_byte_deadline(mut self, deadline: Duration) -> Self {
        self.first_byte_deadline = Some(deadline);
        self
    }

    /// How long one call may take, body and all.
    pub fn total_deadline(mut self, deadline: Duration) -> Self {
        self.total_deadline = Some(deadline);
        self
    }

    /// Takes these statuses as worth another try, besides the usual ones; also for a POST.
    pub fn retry_on(mut self, statuses: &[u16]) -> Self {
        self.retry_on.extend(statuses);
        self
    }

    /// Wants these statuses back at once as a response, although they are worth another try.
    pub fn hand_back(mut self, statuses: &[u16]) -> Self {
        self.hand_back.extend(statuses);
        self
    }

    fn put(&mut self, name: &str, value: &str, secret: bool) {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            self.problem = Some("a header's name has characters that headers cannot have".to_owned());
            return;
        };
        let Ok(mut value) = HeaderValue::from_str(value) else {
            self.problem =
                Some(format!("the value of the header `{name}` has characters that headers cannot have"));
            return;
        };
        value.set_sensitive(secret || SECRET_NAMES.contains(&name));
        self.headers.push((name, value));
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("place", &self.url.as_ref().map(|url| super::exchange::place(url, self.secret_path)))
            .field("headers", &names)
            .field("body_bytes", &self.body.as_ref().map(Bytes::len))
            .finish_non_exhaustive()
    }
}
