//! One reading's way to the network: requests counted, failures put into stable words.
//!
//! Invariant: every request of a reading is counted, repeated ones and redirects too; a reason
//! holds no count, no time, no query and no full URL, because it goes into a table. Blocks on
//! the network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use url::Url;

use super::adapter::seconds_to_millis;
use super::capture::SourceError;
use super::net::{Cursor, Net, Reach, Reached};
use crate::http::{BlockingClient, ErrorKind, HttpError, Request, Response, RobotsVerdict};

/// Why a page could not be had.
pub(super) enum Stopped {
    /// On request: the reading ends with an error.
    Canceled,
    /// The reading ends, and says so.
    Early(Early),
}

/// How a reading ended before its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Early {
    pub reach: Reach,
    pub reason: String,
    pub retry_at_ms: Option<i64>,
}

impl Early {
    pub(super) fn new(reach: Reach, reason: impl Into<String>) -> Self {
        Self { reach, reason: reason.into(), retry_at_ms: None }
    }
}

impl From<Early> for Stopped {
    fn from(early: Early) -> Self {
        Stopped::Early(early)
    }
}

/// Sends the requests of one reading.
pub(super) struct Fetcher<'a> {
    net: &'a Net<'a>,
    client: BlockingClient,
    requests: Arc<AtomicU32>,
}

impl<'a> Fetcher<'a> {
    pub(super) fn new(net: &'a Net<'a>) -> Self {
        let requests = Arc::new(AtomicU32::new(0));
        let count = requests.clone();
        let client = net.client.with_observer(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        Self { net, client, requests }
    }

    /// Requests made so far.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The client's time of day, milliseconds since 1970 UTC.
    fn unix_ms(&self) -> i64 {
        (self.client.client().options().hooks.unix_ms)()
    }

    /// The answer if it is one to read: 200 to 299, or 304.
    pub(super) fn send(&self, request: Request) -> Result<Response, Stopped> {
        judged(self.send_any(request)?)
    }

    /// The answer, whatever its status.
    pub(super) fn send_any(&self, request: Request) -> Result<Response, Stopped> {
        if self.net.stop.load(Ordering::Relaxed) {
            return Err(Stopped::Canceled);
        }
        let response = match self.client.send(request) {
            Ok(response) => response,
            Err(error) if error.is_canceled() => return Err(Stopped::Canceled),
            Err(error) => return Err(failed(&error, self.unix_ms()).into()),
        };
        match self.net.stop.load(Ordering::Relaxed) {
            true => Err(Stopped::Canceled),
            false => Ok(response),
        }
    }

    /// The answer, if it is one to read.
    pub(super) fn judge(&self, response: Response) -> Result<Response, Stopped> {
        judged(response)
    }

    /// Whether robots.txt lets the URL be read. Keeps the host's requests as far apart as
    /// robots.txt and `spacing_ms` ask for, whichever is longer.
    pub(super) fn robots(&self, url: &Url, spacing_ms: u64) -> Result<(), Stopped> {
        if self.net.stop.load(Ordering::Relaxed) {
            return Err(Stopped::Canceled);
        }
        let spacing = std::time::Duration::from_millis(spacing_ms);
        // robots.txt itself is a request to the host.
        self.client.client().space(url, spacing);
        match self.client.block_on(self.net.robots.check_by(self.client.client(), url)) {
            RobotsVerdict::Allowed { delay } => {
                self.client.client().space(url, spacing.max(delay.unwrap_or_default()));
                Ok(())
            }
            RobotsVerdict::Disallowed { why } | RobotsVerdict::Unknown { why }
                if self.net.stop.load(Ordering::Relaxed) =>
            {
                tracing::debug!(why, "stopped while robots.txt was read");
                Err(Stopped::Canceled)
            }
            RobotsVerdict::Disallowed { why } => {
                tracing::info!(why, "not read");
                Err(Early::new(Reach::Blocked, "blocked by robots.txt").into())
            }
            RobotsVerdict::Unknown { why } => {
                tracing::info!(why, "not read");
                Err(Early::new(Reach::Failed, "robots.txt cannot be read").into())
            }
        }
    }
}

fn judged(response: Response) -> Result<Response, Stopped> {
    let status = response.status();
    let host = host(response.url());
    let (reach, words) = match status {
        200..=299 | 304 => return Ok(response),
        401 => (Reach::Blocked, "not let in"),
        403 => (Reach::Blocked, "forbidden"),
        404 | 410 => (Reach::Blocked, "not there"),
        451 => (Reach::Blocked, "withheld for legal reasons"),
        _ => return Err(Early::new(Reach::Failed, format!("HTTP {status} from {host}")).into()),
    };
    Err(Early::new(reach, format!("{host}: {words} ({status})")).into())
}

/// A failure without counts, times and secrets.
fn failed(error: &HttpError, now_ms: i64) -> Early {
    let host = error.host();
    let words = match error.kind() {
        ErrorKind::Status { code } => {
            let asked = error.response().and_then(Response::retry_after);
            let retry_at_ms = asked
                .and_then(|wait| seconds_to_millis(wait.as_secs_f64()))
                .map(|wait| now_ms.saturating_add(wait));
            let reason = format!("HTTP {code} from {host}");
            return Early { retry_at_ms, ..Early::new(Reach::Failed, reason) };
        }
        ErrorKind::RetryAfterTooLong { until } => {
            let retry_at_ms = Some(until.as_millisecond().saturating_add(1));
            let reason = format!("{host} asks to be left alone for longer than a reading waits");
            return Early { retry_at_ms, ..Early::new(Reach::Failed, reason) };
        }
        ErrorKind::Address => {
            return Early::new(Reach::Blocked, format!("{host}: the address is not permitted"));
        }
        ErrorKind::BodyTooLarge { .. } => "the answer is too long",
        ErrorKind::InvalidRequest => "the URL is not one to ask for",
        ErrorKind::Dns => "the host's name was not found",
        ErrorKind::Connect => "no connection",
        ErrorKind::Tls => "no secure connection",
        ErrorKind::FirstByte | ErrorKind::Deadline => "no whole answer within the deadline",
        ErrorKind::Idle => "the answer stopped coming",
        ErrorKind::Cut => "the connection ended before the whole answer was there",
        ErrorKind::Decode => "the answer cannot be decoded",
        ErrorKind::NotJson => "the answer is not JSON",
        ErrorKind::TooManyRedirects | ErrorKind::Redirect => "redirects that are not followed",
        ErrorKind::Canceled => "canceled",
    };
    Early::new(Reach::Failed, if host.is_empty() { words.to_string() } else { format!("{host}: {words}") })
}

/// The host for a reason; nothing else of the URL.
pub(super) fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// A link that a person may follow: absolute, http or https, without a user name in it.
pub(super) fn web_link(text: &str, base: Option<&Url>) -> Option<Url> {
    let text = text.trim();
    let url = match base {
        Some(base) => base.join(text).ok()?,
        None => Url::parse(text).ok()?,
    };
    let plain =
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    (plain && url.host_str().is_some_and(|host| !host.is_empty())).then_some(url)
}

/// How far a reading of several pages has come.
pub(super) struct Progress {
    pub oldest_ms: Option<i64>,
    pub newest_ms: Option<i64>,
    pub pages: u32,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { oldest_ms: None, newest_ms: None, pages: 0 }
    }

    /// Takes in the creation of an item.
    pub(super) fn saw(&mut self, created_ms: i64) {
        self.oldest_ms = Some(self.oldest_ms.map_or(created_ms, |ms| ms.min(created_ms)));
        self.newest_ms = Some(self.newest_ms.map_or(created_ms, |ms| ms.max(created_ms)));
    }

    /// The end of the reading.
    pub(super) fn reached(
        &self,
        requests: u32,
        covered: Option<(i64, i64)>,
        cursor: Cursor,
        early: Option<Early>,
    ) -> Reached {
        let (reach, reason, retry_at_ms) = match early {
            None => (Reach::Complete, None, None),
            Some(early) => (early.reach, Some(early.reason), early.retry_at_ms),
        };
        Reached {
            reach,
            reason: reason.map(|text| super::net::short(&text).into_owned()),
            covered: covered.filter(|(from, to)| from < to),
            oldest_ms: self.oldest_ms,
            newest_ms: self.newest_ms,
            pages: self.pages,
            requests,
            retry_at_ms,
            cursor,
        }
    }

    /// A reading that ended early; what was remembered stays.
    ///
    /// # Errors
    /// When it was stopped on request.
    pub(super) fn stopped(
        &self,
        requests: u32,
        cursor: &Cursor,
        stopped: Stopped,
    ) -> Result<Reached, SourceError> {
        match stopped {
            Stopped::Canceled => Err(SourceError::Canceled),
            Stopped::Early(early) => Ok(self.reached(requests, None, cursor.clone(), Some(early))),
        }
    }
}
