//! An answer that a caller can act on, with its body read.
//!
//! Invariant: `Debug` shows no header value, no query and no body.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, LAST_MODIFIED, LOCATION};
use serde::de::DeserializeOwned;
use url::Url;

use super::charset;
use super::error::{ErrorKind, HttpError, Parts};

/// The answer to a [`Request`](super::Request), whatever its status.
#[derive(Clone)]
pub struct Response {
    pub(super) method: String,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) cut: bool,
    pub(super) url: Url,
    pub(super) secret_path: bool,
    pub(super) attempts: u32,
    pub(super) calls: u32,
    pub(super) waited: Duration,
    pub(super) wire_bytes: u64,
    pub(super) elapsed: Duration,
    pub(super) unix_ms: i64,
}

impl Response {
    /// The final status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether what the caller has is still current (304).
    pub fn is_not_modified(&self) -> bool {
        self.status == 304
    }

    /// A header's first value, by its name in any case; `None` also when it is not ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Where a redirect that was handed back leads.
    pub fn location(&self) -> Option<&str> {
        self.header(LOCATION.as_str())
    }

    /// The version of the body, for [`Request::if_none_match`](super::Request::if_none_match).
    pub fn etag(&self) -> Option<&str> {
        self.header(ETAG.as_str())
    }

    /// When the body last changed, for
    /// [`Request::if_modified_since`](super::Request::if_modified_since).
    pub fn last_modified(&self) -> Option<&str> {
        self.header(LAST_MODIFIED.as_str())
    }

    /// The media type without parameters, in lower case.
    pub fn media_type(&self) -> Option<String> {
        let value = self.header(CONTENT_TYPE.as_str())?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// How long the server wants to be left alone, by its `Retry-After` or, with 429, by its
    /// rate limit's reset. `None` when it does not say.
    pub fn retry_after(&self) -> Option<Duration> {
        super::retry::asked_wait(self.status, &self.headers, self.unix_ms)
    }

    /// The body, decompressed.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body, decompressed.
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// Whether the body was cut at the cap, as
    /// [`Request::cut_at_cap`](super::Request::cut_at_cap) allows.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// The URL that answered, after all redirects. Its query may hold secrets.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How often the request was tried.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// HTTP calls made for it, redirects and tries together.
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// How long the client waited between tries.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Bytes of all bodies that came for it, as they came.
    pub fn wire_bytes(&self) -> u64 {
        self.wire_bytes
    }

    /// From the beginning to the end, waits included.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The body as text, by its byte order mark, else by the content type's charset, else UTF-8.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] for a charset other than UTF-8, UTF-16 and Windows-1252.
    pub fn text(&self) -> Result<String, HttpError> {
        let charset = self.header(CONTENT_TYPE.as_str()).and_then(charset_of);
        charset::decode(&self.body, charset.as_deref()).map_err(|unknown| {
            self.error(
                ErrorKind::Decode,
                format!("its text is encoded as `{}`, which is not read", unknown.0),
            )
        })
    }

    /// The body as JSON, whatever the content type says. Text that is nested too deeply (128
    /// levels) is an error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotJson`] for a page of HTML, nothing, or other text; [`ErrorKind::Decode`]
    /// for JSON that is broken or not of the expected shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        let body = self.body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&self.body).trim_ascii();
        let html = self.media_type().is_some_and(|media| media.contains("html"));
        let not_json =
            |words: &str| Err(self.error(ErrorKind::NotJson, format!("{words} (status {})", self.status)));
        match body.first() {
            None => not_json("answered with an empty body, not JSON"),
            Some(b'<') => not_json("answered with HTML, not JSON"),
            // A server may put a wrong label on good JSON.
            Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                match serde_json::from_slice(body) {
                    Ok(value) => Ok(value),
                    Err(_) if html => not_json("answered with HTML, not JSON"),
                    // serde_json's own words quote what it read.
                    Err(e) => {
                        let what = match e.classify() {
                            serde_json::error::Category::Eof => "its JSON ends in the middle",
                            serde_json::error::Category::Data => "its JSON has another shape than expected",
                            _ if e.to_string().starts_with("recursion limit") => {
                                "its JSON is nested too deeply"
                            }
                            _ => "its JSON is broken",
                        };
                        let place = format!("{what}, at line {} column {}", e.line(), e.column());
                        Err(self.error(ErrorKind::Decode, place))
                    }
                }
            }
            Some(_) if html => not_json("answered with HTML, not JSON"),
            Some(_) => not_json("answered with text that is not JSON"),
        }
    }

    /// An error about this answer, with its host and path.
    pub fn error(&self, kind: ErrorKind, detail: impl Into<String>) -> HttpError {
        let (host, path) = super::exchange::place(&self.url, self.secret_path);
        let (attempts, waited) = (self.attempts, self.waited);
        let (method, detail) = (self.method.clone(), detail.into());
        Parts { kind, method, host, path, detail, attempts, waited, response: None }.into()
    }
}

/// The charset parameter of a content type.
fn charset_of(content_type: &str) -> Option<String> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    })
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("place", &super::exchange::place(&self.url, self.secret_path))
            .field("body_bytes", &self.body.len())
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
