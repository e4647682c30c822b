//! What went wrong with a request, in words for a person and in kinds for a caller.
//!
//! Invariant: neither `Display` nor `Debug` shows a query string, a header's value or a body.

use std::time::Duration;

use jiff::Timestamp;

use super::Response;

/// The class of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request cannot be sent as it is: a broken URL, an impossible header.
    InvalidRequest,
    /// The address guard refused: not public, not permitted, no `http(s)`, a user in the URL.
    Address,
    /// The host's name has no address, or it could not be asked for.
    Dns,
    /// No connection: refused, unreachable, or not within the connect deadline.
    Connect,
    /// The server's certificate or TLS version is not acceptable.
    Tls,
    /// The answer's headers did not arrive within the first-byte deadline.
    FirstByte,
    /// The body paused for longer than the idle deadline.
    Idle,
    /// The call was not over within the total deadline.
    Deadline,
    /// The connection ended before the whole answer was there, or what came was not HTTP.
    Cut,
    /// The body is compressed in an unknown or broken way, or its text or JSON is broken.
    Decode,
    /// JSON was expected and something else came, such as a page of HTML.
    NotJson,
    /// The body is longer than the cap.
    BodyTooLarge {
        /// The cap, in bytes after decompression.
        cap: u64,
    },
    /// More redirects than are followed.
    TooManyRedirects,
    /// A redirect that is not followed: in a circle, from https to http, a body to another host.
    Redirect,
    /// A status that is worth another try, after the last try.
    Status {
        /// The status.
        code: u16,
    },
    /// The server wants to be left alone for longer than the client may wait.
    RetryAfterTooLong {
        /// The time before which the server must not be asked again.
        until: Timestamp,
    },
    /// The caller's stop was seen.
    Canceled,
}

impl ErrorKind {
    /// Whether the same request may succeed a little later.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Dns | Self::Connect | Self::FirstByte | Self::Idle | Self::Deadline | Self::Cut => true,
            Self::Status { .. } | Self::RetryAfterTooLong { .. } => true,
            Self::InvalidRequest | Self::Address | Self::Tls | Self::Decode | Self::NotJson => false,
            Self::BodyTooLarge { .. } | Self::TooManyRedirects | Self::Redirect | Self::Canceled => false,
        }
    }

    /// What happened, in words.
    fn what(self) -> String {
        match self {
            Self::InvalidRequest => "the request cannot be sent".to_owned(),
            Self::Address => "the address is refused".to_owned(),
            Self::Dns => "the host's name was not found".to_owned(),
            Self::Connect => "no connection".to_owned(),
            Self::Tls => "no secure connection".to_owned(),
            Self::FirstByte => "no answer within the deadline".to_owned(),
            Self::Idle => "the answer stopped coming".to_owned(),
            Self::Deadline => "the answer was not complete within the deadline".to_owned(),
            Self::Cut => "the connection ended before the whole answer was there".to_owned(),
            Self::Decode => "the answer's body cannot be read".to_owned(),
            Self::NotJson => "the answer is not JSON".to_owned(),
            Self::BodyTooLarge { cap } => format!("the answer is longer than {cap} bytes"),
            Self::TooManyRedirects => "too many redirects".to_owned(),
            Self::Redirect => "a redirect that is not followed".to_owned(),
            Self::Status { code } => format!("answered {code}{}", status_words(code)),
            Self::RetryAfterTooLong { until } => {
                format!("must not be asked again before {}", whole_seconds(until))
            }
            Self::Canceled => "canceled".to_owned(),
        }
    }

    /// What to do about it.
    fn advice(self) -> &'static str {
        match self {
            Self::InvalidRequest => "Correct the URL in the configuration.",
            Self::Address => {
                "Use an http(s) URL of a public host without a user name in it. A host of your own network \
                 must be permitted by name and port in the configuration."
            }
            Self::Dns => "Check the spelling of the host and this machine's network and name server.",
            Self::Connect => "Check that the host is up and that a firewall lets this machine reach it.",
            Self::Tls => "Check the server's certificate and this machine's clock and root certificates.",
            Self::FirstByte | Self::Idle | Self::Deadline => {
                "The server is slow or overloaded: try later, ask for less at once, or raise the deadline."
            }
            Self::Cut => "The server or something on the way breaks connections: try later.",
            Self::Decode => "Check that the URL names the right document; the server may be broken.",
            Self::NotJson => {
                "Check the URL; a login page, a consent page or a proxy may stand in the way of the API."
            }
            Self::BodyTooLarge { .. } => "Ask for less at once, or raise the cap on bodies.",
            Self::TooManyRedirects | Self::Redirect => "Put the final URL into the configuration.",
            Self::Status { code: 429 } => "Too many requests: try later, or ask less often.",
            Self::Status { .. } => "The server has trouble: try later.",
            Self::RetryAfterTooLong { .. } => "Try again after that time.",
            Self::Canceled => "Run it again when you want it.",
        }
    }
}

/// The usual words of the statuses that end a request.
fn status_words(code: u16) -> &'static str {
    match code {
        408 => " (request timeout)",
        422 => " (not processable)",
        425 => " (too early)",
        429 => " (too many requests)",
        500 => " (internal server error)",
        502 => " (bad gateway)",
        503 => " (service unavailable)",
        504 => " (gateway timeout)",
        520 | 522 | 524 => " (the server behind the gateway does not answer well)",
        _ => "",
    }
}

/// A time without fractions, rounded up: "not before" stays true.
fn whole_seconds(at: Timestamp) -> Timestamp {
    let up = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(up).unwrap_or(at)
}

/// Why a request has no answer to act on: host, path, tries, waits, reason and advice.
#[derive(thiserror::Error)]
#[error("{}", self.sentence())]
pub struct HttpError(Box<Parts>);

/// What an [`HttpError`] is made of.
pub(super) struct Parts {
    pub kind: ErrorKind,
    pub method: String,
    pub host: String,
    pub path: String,
    pub detail: String,
    pub attempts: u32,
    pub waited: Duration,
    pub response: Option<Response>,
}

impl From<Parts> for HttpError {
    fn from(parts: Parts) -> Self {
        Self(Box::new(parts))
    }
}

impl HttpError {
    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The host that was asked last, with its port where it is not the scheme's own.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The path that was asked last, without its query.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// How often it was tried; 0 when nothing was sent.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// How long the client waited between the tries.
    pub fn waited(&self) -> Duration {
        self.0.waited
    }

    /// The cause in the words of the network, without secrets; may be empty.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What a person can do.
    pub fn advice(&self) -> &'static str {
        self.0.kind.advice()
    }

    /// The last answer, when a status ended the request. Its body holds at most 64 KiB.
    pub fn response(&self) -> Option<&Response> {
        self.0.response.as_ref()
    }

    /// Whether the caller's stop was seen.
    pub fn is_canceled(&self) -> bool {
        self.0.kind == ErrorKind::Canceled
    }

    fn sentence(&self) -> String {
        let Parts { kind, method, host, path, detail, attempts, waited, .. } = &*self.0;
        let mut text = match host.as_str() {
            "" => format!("{method} request: {}", kind.what()),
            host => format!("{method} {host}{path}: {}", kind.what()),
        };
        if !detail.is_empty() {
            text.push_str(": ");
            text.push_str(detail);
        }
        if *attempts > 0 {
            text.push_str(&format!(" (attempt {attempts}"));
            if !waited.is_zero() {
                text.push_str(&format!(", after waiting {:.1} s", waited.as_secs_f64()));
            }
            text.push(')');
        }
        text.push_str(". ");
        text.push_str(kind.advice());
        text
    }
}

impl std::fmt::Debug for HttpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpError")
            .field("kind", &self.0.kind)
            .field("message", &self.sentence())
            .finish_non_exhaustive()
    }
}
