//! The record of one HTTP call, for logs and for counting.
//!
//! Invariant: every call that was begun is told exactly once, when it is over or dropped.

use std::sync::Arc;

use super::ErrorKind;

/// Who is told about each call. Called on the thread of the request: must not block.
pub type Observer = Arc<dyn Fn(&Call) + Send + Sync>;

/// One HTTP call: one try of one hop. Holds no query string, no header and no body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it began, in milliseconds since 1970 (UTC).
    pub at_ms: i64,
    /// `GET` or `POST`.
    pub method: String,
    /// Name or address, with the port where it is not the scheme's own.
    pub host: String,
    /// The path without the query; `/…` where the request's path is a secret.
    pub path: String,
    /// The answer's status; `None` when no answer came.
    pub status: Option<u16>,
    /// Why there was no whole answer.
    pub failure: Option<ErrorKind>,
    /// Which try of the request this belongs to, from 1.
    pub attempt: u32,
    /// How many redirects were followed before it in this try.
    pub hop: u32,
    /// Bytes of the answer's body as they came, compressed or not.
    pub wire_bytes: u64,
    /// Bytes of the body after decompression, as far as they were kept.
    pub body_bytes: u64,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// Tells the observers when it goes out of scope, whatever the reason.
pub(super) struct CallGuard<'a> {
    pub call: Call,
    observers: &'a [Observer],
    steady_ms: &'a super::hooks::Clock,
    began: i64,
    over: bool,
}

impl<'a> CallGuard<'a> {
    pub fn begin(call: Call, observers: &'a [Observer], steady_ms: &'a super::hooks::Clock) -> Self {
        Self { call, observers, steady_ms, began: steady_ms(), over: false }
    }

    /// The call is over: with a failure, or with the answer that its fields say.
    pub fn end(mut self, failure: Option<ErrorKind>) {
        self.call.failure = failure;
        self.over = true;
    }
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.call.failure = Some(ErrorKind::Canceled);
        }
        self.call.elapsed_ms = u64::try_from((self.steady_ms)() - self.began).unwrap_or(0);
        let call = &self.call;
        tracing::debug!(
            method = %call.method, host = %call.host, path = %call.path, status = call.status,
            failure = ?call.failure, attempt = call.attempt, bytes = call.wire_bytes,
            milliseconds = call.elapsed_ms, "HTTP call"
        );
        for observer in self.observers {
            observer(call);
        }
    }
}
