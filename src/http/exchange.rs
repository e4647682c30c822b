//! One HTTP call: send, headers, body; each within its deadline, and the body within its cap.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::address::{NoAddress, Refused};
use super::body::{BodyProblem, Collector};
use super::call::CallGuard;
use super::error::ErrorKind;

/// How much of an answer is read when the request will be tried again or given up.
pub(super) const SPENT_BODY_CAP: u64 = 64 << 10;

/// The deadlines of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    pub first_byte: Duration,
    pub idle: Duration,
    pub total: Duration,
}

/// How the body of an answer is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// Whole, or it is an error.
    Whole { cap: u64 },
    /// Up to the cap.
    Cut { cap: u64 },
    /// As much as comes; what goes wrong with it does not matter.
    Any,
    /// Not at all.
    Not,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub cut: bool,
}

/// Why nothing came back.
#[derive(Debug)]
pub(super) struct Failure {
    pub kind: ErrorKind,
    pub detail: String,
    /// The server may have seen the request.
    pub sent: bool,
}

impl Failure {
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), sent: true }
    }

    pub fn unsent(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), sent: false }
    }
}

/// Host (with its port where it is not the scheme's own) and path of a URL, to be shown.
pub(super) fn place(url: &Url, secret_path: bool) -> (String, String) {
    let host = match (url.host_str(), url.port()) {
        (None, _) => String::new(),
        (Some(host), None) => host.to_owned(),
        (Some(host), Some(port)) => format!("{host}:{port}"),
    };
    (host, if secret_path { "/…".to_owned() } else { url.path().to_owned() })
}

/// Makes one call. The body is read as `reading` says for the status. `guard` learns status and
/// bytes as they come.
pub(super) async fn exchange(
    client: &reqwest::Client,
    request: reqwest::Request,
    deadlines: Deadlines,
    guard: &mut CallGuard<'_>,
    reading: impl Fn(u16, &HeaderMap) -> Reading,
) -> Result<Answer, Failure> {
    let start = Instant::now();
    let (end, https) = (start + deadlines.total, request.url().scheme() == "https");
    let first = deadlines.first_byte.min(deadlines.total);
    let mut response = match timeout_at(start + first, client.execute(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(classify(&error, https)),
        Err(_) => {
            let kind = if first < deadlines.total { ErrorKind::FirstByte } else { ErrorKind::Deadline };
            return Err(Failure::new(kind, format!("nothing came for {}", seconds(first))));
        }
    };
    let status = response.status().as_u16();
    guard.call.status = Some(status);
    let headers = response.headers().clone();
    let reading = reading(status, &headers);
    let (cap, end) = match reading {
        Reading::Whole { cap } | Reading::Cut { cap } => (cap, end),
        Reading::Any => (SPENT_BODY_CAP, end.min(Instant::now() + deadlines.idle)),
        Reading::Not => return Ok(Answer { status, headers, body: Bytes::new(), cut: false }),
    };
    let encoding = header_list(&headers);
    let mut collector = match (Collector::new(encoding.as_deref(), cap), reading) {
        (Ok(collector), _) => collector,
        (Err(_), Reading::Any) => return Ok(Answer { status, headers, body: Bytes::new(), cut: false }),
        (Err(problem), _) => return Err(broken(problem, cap)),
    };
    if let (Reading::Whole { .. }, None, Some(length)) = (reading, &encoding, response.content_length())
        && length > cap
    {
        return Err(broken(BodyProblem::TooLarge, cap));
    }
    let collected =
        read(&mut response, &mut collector, deadlines.idle, end, deadlines.total, guard, cap).await;
    guard.call.body_bytes = collector.len() as u64;
    let (body, cut) = match (collected, reading) {
        (Ok(()), Reading::Any) => (collector.so_far(), false),
        (Ok(()), _) => (collector.finish().map_err(|problem| broken(problem, cap))?, false),
        (Err(_), Reading::Any) => (collector.so_far(), true),
        (Err(Failure { kind: ErrorKind::BodyTooLarge { .. }, .. }), Reading::Cut { .. }) => {
            (collector.so_far(), true)
        }
        (Err(failure), _) => return Err(failure),
    };
    guard.call.body_bytes = body.len() as u64;
    Ok(Answer { status, headers, body: body.into(), cut })
}

/// Reads the body's pieces until it is over.
async fn read(
    response: &mut reqwest::Response,
    collector: &mut Collector,
    idle: Duration,
    end: Instant,
    total: Duration,
    guard: &mut CallGuard<'_>,
    cap: u64,
) -> Result<(), Failure> {
    loop {
        let next = Instant::now() + idle;
        match timeout_at(next.min(end), response.chunk()).await {
            Ok(Ok(Some(piece))) => {
                guard.call.wire_bytes += piece.len() as u64;
                collector.push(&piece).map_err(|problem| broken(problem, cap))?;
                // A body that always has a piece ready never meets the timer.
                if Instant::now() >= end {
                    return Err(Failure::new(ErrorKind::Deadline, format!("{} were over", seconds(total))));
                }
            }
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(Failure::new(ErrorKind::Cut, root_cause(&error))),
            Err(_) if next < end => {
                return Err(Failure::new(
                    ErrorKind::Idle,
                    format!("nothing more came for {}", seconds(idle)),
                ));
            }
            Err(_) => return Err(Failure::new(ErrorKind::Deadline, format!("{} were over", seconds(total)))),
        }
    }
}

/// All values of `Content-Encoding` as one; `None` for none.
fn header_list(headers: &HeaderMap) -> Option<String> {
    let values: Vec<_> =
        headers.get_all(CONTENT_ENCODING).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(", ")).filter(|v| !v.trim().is_empty() && v.trim() != "identity")
}

fn broken(problem: BodyProblem, cap: u64) -> Failure {
    match problem {
        BodyProblem::TooLarge => Failure::new(ErrorKind::BodyTooLarge { cap }, ""),
        BodyProblem::Cut => Failure::new(ErrorKind::Cut, "its compressed body ends in the middle"),
        BodyProblem::Broken(words) => Failure::new(ErrorKind::Decode, words),
    }
}

/// The kind of an error that came before the answer's headers.
fn classify(error: &reqwest::Error, https: bool) -> Failure {
    if error.is_builder() {
        return Failure::unsent(ErrorKind::InvalidRequest, root_cause(error));
    }
    if !error.is_connect() {
        return Failure::new(ErrorKind::Cut, root_cause(error));
    }
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(cause) = next {
        if cause.is::<Refused>() {
            return Failure::unsent(ErrorKind::Address, cause.to_string());
        }
        if let Some(NoAddress(words)) = cause.downcast_ref() {
            return Failure::unsent(ErrorKind::Dns, words.clone());
        }
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && https
            && io.kind() == std::io::ErrorKind::InvalidData
        {
            // What a handshake finds wrong is data that is not as it must be.
            return Failure::unsent(ErrorKind::Tls, io.to_string());
        }
        next = inner(cause);
    }
    let words =
        if error.is_timeout() { "not within the connect deadline".to_owned() } else { root_cause(error) };
    Failure::unsent(ErrorKind::Connect, words)
}

/// What is behind an error. `io::Error` leaves out what it was made from.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inside) => Some(inside),
        None => error.source(),
    }
}

/// The innermost cause. The outer ones name the URL with its query.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    let mut words = String::new();
    while let Some(deeper) = cause {
        words = deeper.to_string();
        cause = inner(deeper);
    }
    words.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// Builds what reqwest sends. `secrets`: whether secret headers go along.
pub(super) fn build(
    client: &reqwest::Client,
    request: &super::Request,
    (url, method): (&Url, &Method),
    secrets: bool,
) -> Result<reqwest::Request, Failure> {
    let with_body = *method == request.method;
    let mut builder = client.request(method.clone(), url.clone());
    for (name, value) in &request.headers {
        let about_body = name == reqwest::header::CONTENT_TYPE;
        if (secrets || !value.is_sensitive()) && (with_body || !about_body) {
            builder = builder.header(name, value);
        }
    }
    if let (true, Some((user, password))) = (secrets, &request.basic) {
        builder = builder.basic_auth(user, Some(secrecy::ExposeSecret::expose_secret(password)));
    }
    if let (true, Some(body)) = (with_body, &request.body) {
        builder = builder.body(body.clone());
    }
    builder.build().map_err(|e| Failure::unsent(ErrorKind::InvalidRequest, root_cause(&e)))
}
