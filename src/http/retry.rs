//! Whether, and after how long, a request is tried again. Pure: time and chance are handed in.
//!
//! Invariant: a wait is never shorter than what the server asked for.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::ErrorKind;

/// The first wait is a random part of this.
const BASE: Duration = Duration::from_secs(1);
/// No wait of our own choosing is longer.
const CAP: Duration = Duration::from_secs(60);
/// What an absurd wish to wait is taken as: a hundred years.
const FOREVER: Duration = Duration::from_secs(100 * 366 * 86_400);
/// A server's clock that differs by more is not believed.
const CLOCK_DIFFERENCE_MS: i64 = 86_400_000;

/// The rules for one request.
#[derive(Clone, Debug)]
pub struct Policy<'a> {
    /// Tries in all.
    pub max_attempts: u32,
    /// Waiting in all.
    pub max_wait: Duration,
    /// May be sent again although the server may have acted on it: GET, and POST that says so.
    pub replay: bool,
    /// Statuses that this request takes as worth another try, besides the usual ones.
    pub retry_on: &'a [u16],
    /// Statuses that the caller wants to see at once.
    pub hand_back: &'a [u16],
}

/// How a try ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// With an answer.
    Answer { status: u16, headers: &'a HeaderMap },
    /// Without one. `sent`: the server may have seen the request.
    Failed { kind: ErrorKind, sent: bool },
}

/// When it ended.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Which try it was, from 1.
    pub attempt: u32,
    /// How long this request has waited so far.
    pub waited: Duration,
    /// Milliseconds since 1970.
    pub unix_ms: i64,
    /// A random number, at least 0 and below 1.
    pub random: f64,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The caller gets what came.
    Done,
    /// Another try after this long.
    Again(Duration),
    /// Worth another try, but there are none left.
    Spent,
    /// The server asked for a wait that is longer than allowed.
    TooLong(Duration),
}

/// Decides.
pub fn decide(policy: &Policy<'_>, outcome: Outcome<'_>, moment: Moment) -> Decision {
    let asked = match outcome {
        Outcome::Answer { status, .. } if policy.hand_back.contains(&status) => return Decision::Done,
        Outcome::Answer { status, headers } => {
            let named = policy.retry_on.contains(&status);
            if !named && !is_retryable(status) {
                return Decision::Done;
            }
            // 429 and 503 say that nothing was done.
            if !(named || policy.replay || matches!(status, 429 | 503)) {
                return Decision::Spent;
            }
            asked_wait(status, headers, moment.unix_ms)
        }
        // Its host's turn would come too late: that was found without asking.
        Outcome::Failed { kind: ErrorKind::RetryAfterTooLong { .. }, .. } => return Decision::Done,
        Outcome::Failed { kind, .. } if !kind.is_transient() => return Decision::Done,
        Outcome::Failed { sent: true, .. } if !policy.replay => return Decision::Spent,
        Outcome::Failed { .. } => None,
    };
    if moment.attempt >= policy.max_attempts {
        return Decision::Spent;
    }
    let own = backoff(moment.attempt, moment.random);
    let wait = asked.filter(|wait| !wait.is_zero()).unwrap_or(own);
    match (moment.waited.saturating_add(wait) <= policy.max_wait, asked) {
        (true, _) => Decision::Again(wait),
        (false, Some(wait)) if !wait.is_zero() => Decision::TooLong(wait),
        (false, _) => Decision::Spent,
    }
}

/// Statuses that may be gone the next time.
pub fn is_retryable(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504 | 520 | 522 | 524)
}

/// A random part of a time that doubles with each try: clients that failed together do not come
/// back together.
fn backoff(attempt: u32, random: f64) -> Duration {
    let doubled = BASE.saturating_mul(1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(CAP).mul_f64(random.clamp(0.0, 1.0))
}

/// How long the server wants to be left alone: its `Retry-After`; for 429 otherwise the end of
/// its rate limit's window. `None` when it does not say, or says nonsense.
pub fn asked_wait(status: u16, headers: &HeaderMap, unix_ms: i64) -> Option<Duration> {
    let date = headers.get(DATE).and_then(|v| v.to_str().ok()).and_then(date_ms);
    // A date is meant on the server's clock.
    let server_ms = date.filter(|d| d.abs_diff(unix_ms) <= CLOCK_DIFFERENCE_MS as u64).unwrap_or(unix_ms);
    let waits = headers.get_all(RETRY_AFTER).iter().filter_map(|value| {
        let text = value.to_str().ok()?.trim();
        seconds(text).or_else(|| {
            let until = date_ms(text)?;
            let wait = until.saturating_sub(server_ms).max(until.saturating_sub(unix_ms));
            Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(FOREVER))
        })
    });
    let limit = || (status == 429).then(|| limits(headers, unix_ms).reset).flatten();
    waits.max().or_else(limit)
}

fn date_ms(text: &str) -> Option<i64> {
    let at = httpdate::parse_http_date(text).ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

/// A number that is digits, perhaps with a fraction.
fn number(text: &str) -> Option<f64> {
    let well_formed = text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().filter(|b| *b == b'.').count() <= 1;
    if well_formed { text.parse().ok() } else { None }
}

/// A number of seconds; absurdly many are [`FOREVER`].
fn seconds(text: &str) -> Option<Duration> {
    Some(Duration::try_from_secs_f64(number(text)?).unwrap_or(FOREVER).min(FOREVER))
}

/// What a server says about its rate limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Requests left in the window.
    pub remaining: Option<f64>,
    /// Time until the window ends.
    pub reset: Option<Duration>,
}

/// `X-Ratelimit-Remaining` and `X-Ratelimit-Reset`. The reset is seconds from now, or, when it
/// is larger than 10⁹, a time: seconds since 1970, or milliseconds from 10¹² on.
pub fn limits(headers: &HeaderMap, unix_ms: i64) -> Limits {
    let told =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).and_then(number);
    let reset = told("x-ratelimit-reset").map(|told| {
        let seconds = match told {
            ..1e9 => told,
            ..1e12 => told - unix_ms as f64 / 1000.0,
            _ => (told - unix_ms as f64) / 1000.0,
        };
        // What lies in the past is zero.
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(FOREVER).min(FOREVER)
    });
    Limits { remaining: told("x-ratelimit-remaining"), reset }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-01 00:00:00 UTC.
    const NOW: i64 = 1_793_491_200_000;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn policy() -> Policy<'static> {
        let max_wait = Duration::from_secs(900);
        Policy { max_attempts: 5, max_wait, replay: true, retry_on: &[], hand_back: &[] }
    }

    fn moment(attempt: u32) -> Moment {
        Moment { attempt, waited: Duration::ZERO, unix_ms: NOW, random: 0.5 }
    }

    #[test]
    fn what_servers_ask_for() {
        let only = |text: &str| headers(&[("retry-after", text)]);
        for (map, wait) in [
            (only("120"), Some(120_000)),
            (only(" 1.5 "), Some(1_500)),
            (only("0"), Some(0)),
            (only("Sun, 01 Nov 2026 00:01:00 GMT"), Some(60_000)),
            (only("Sunday, 01-Nov-26 00:01:00 GMT"), Some(60_000)),
            (only("Sun Nov  1 00:01:00 2026"), Some(60_000)),
            (only("Sat, 31 Oct 2026 00:00:00 GMT"), Some(0)),
            (only("soon"), None),
            (only("-5"), None),
            (only("NaN"), None),
            (only("inf"), None),
            (only("1e3"), None),
            (only("1.2.3"), None),
            (only(""), None),
            (only("."), None),
            (headers(&[]), None),
            // Several: the longest; nonsense beside a number does not hide it.
            (headers(&[("retry-after", "5"), ("retry-after", "later"), ("retry-after", "60")]), Some(60_000)),
            // The server's clock is an hour ahead, or behind, of ours.
            (
                headers(&[
                    ("retry-after", "Sun, 01 Nov 2026 01:01:00 GMT"),
                    ("date", "Sun, 01 Nov 2026 01:00:00 GMT"),
                ]),
                Some(3_660_000),
            ),
            (
                headers(&[
                    ("retry-after", "Sat, 31 Oct 2026 23:01:00 GMT"),
                    ("date", "Sat, 31 Oct 2026 23:00:00 GMT"),
                ]),
                Some(60_000),
            ),
            // Only 429 speaks of the rate limit, and Retry-After says more.
            (headers(&[("x-ratelimit-reset", "30")]), Some(30_000)),
            (headers(&[("x-ratelimit-reset", "1793491230")]), Some(30_000)),
            (headers(&[("x-ratelimit-reset", "1793491230500")]), Some(30_500)),
            (headers(&[("x-ratelimit-reset", "30"), ("retry-after", "7")]), Some(7_000)),
        ] {
            assert_eq!(asked_wait(429, &map, NOW), wait.map(Duration::from_millis), "{map:?}");
        }
        assert_eq!(asked_wait(503, &headers(&[("x-ratelimit-reset", "30")]), NOW), None);
        for absurd in ["99999999999999999999", &"9".repeat(400), "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(asked_wait(429, &only(absurd), NOW), Some(FOREVER), "{absurd}");
        }
    }

    #[test]
    fn limits_are_read_in_each_form() {
        let read = |pairs: &[(&'static str, &str)]| {
            let limits = limits(&headers(pairs), NOW);
            (limits.remaining, limits.reset.map(|d| d.as_millis()))
        };
        fn both<'a>(remaining: &'a str, reset: &'a str) -> [(&'static str, &'a str); 2] {
            [("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", reset)]
        }
        assert_eq!(read(&both("99.0", "512")), (Some(99.0), Some(512_000)));
        assert_eq!(read(&both("0", "0.5")), (Some(0.0), Some(500)));
        assert_eq!(read(&both("1000", "1793491260")), (Some(1000.0), Some(60_000)));
        assert_eq!(read(&both("x", "1793491140")), (None, Some(0)));
        assert_eq!(read(&[]), (None, None));
    }

    #[test]
    fn statuses_and_failures_have_classes() {
        let none = headers(&[]);
        let answer = |status| Outcome::Answer { status, headers: &none };
        let half = Decision::Again(Duration::from_millis(500));
        for status in [408, 425, 429, 500, 502, 503, 504, 520, 522, 524] {
            assert_eq!(decide(&policy(), answer(status), moment(1)), half, "{status}");
            assert_eq!(decide(&policy(), answer(status), moment(5)), Decision::Spent, "{status}");
            let policy =
                Policy { hand_back: &[408, 425, 429, 500, 502, 503, 504, 520, 522, 524], ..policy() };
            assert_eq!(decide(&policy, answer(status), moment(1)), Decision::Done, "{status}");
        }
        for status in
            [200, 204, 206, 302, 304, 400, 401, 402, 403, 404, 409, 410, 412, 422, 451, 501, 505, 599]
        {
            assert_eq!(decide(&policy(), answer(status), moment(1)), Decision::Done, "{status}");
        }
        let policy_422 = Policy { retry_on: &[422], replay: false, ..policy() };
        assert_eq!(decide(&policy_422, answer(422), moment(1)), half);
        let failed = |kind, sent| Outcome::Failed { kind, sent };
        use ErrorKind as K;
        for kind in [K::Dns, K::Connect, K::FirstByte, K::Idle, K::Deadline, K::Cut] {
            assert_eq!(decide(&policy(), failed(kind, true), moment(1)), half, "{kind:?}");
        }
        for kind in
            [K::Address, K::Tls, K::Decode, K::BodyTooLarge { cap: 1 }, K::TooManyRedirects, K::Redirect]
        {
            assert_eq!(decide(&policy(), failed(kind, true), moment(1)), Decision::Done, "{kind:?}");
        }
    }

    #[test]
    fn what_may_not_be_repeated_is_repeated_only_when_nothing_was_done() {
        let policy = Policy { replay: false, ..policy() };
        let none = headers(&[]);
        let half = Decision::Again(Duration::from_millis(500));
        for (status, again) in
            [(429, true), (503, true), (500, false), (502, false), (504, false), (408, false)]
        {
            let decision = decide(&policy, Outcome::Answer { status, headers: &none }, moment(1));
            assert_eq!(decision, if again { half } else { Decision::Spent }, "{status}");
        }
        let failed = |sent| decide(&policy, Outcome::Failed { kind: ErrorKind::Connect, sent }, moment(1));
        assert_eq!(failed(false), half);
        assert_eq!(failed(true), Decision::Spent);
    }

    #[test]
    fn waits_grow_and_keep_to_their_limits() {
        let none = headers(&[]);
        let answer = Outcome::Answer { status: 500, headers: &none };
        let policy = Policy { max_attempts: 99, ..policy() };
        for (attempt, most) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (98, 60)]
        {
            for random in [0.0, 0.25, 0.999] {
                let at = Moment { random, ..moment(attempt) };
                let wait = Duration::from_secs(most).mul_f64(random);
                assert_eq!(decide(&policy, answer, at), Decision::Again(wait), "{attempt} {random}");
            }
        }
        let late = Moment { waited: Duration::from_millis(899_600), ..moment(1) };
        assert_eq!(decide(&policy, answer, late), Decision::Spent);
        // Exactly what was asked for, whatever chance says; zero leaves it to us.
        let ask = |text, at| {
            let map = headers(&[("retry-after", text)]);
            decide(&policy, Outcome::Answer { status: 503, headers: &map }, at)
        };
        for random in [0.0, 0.999] {
            assert_eq!(ask("900", Moment { random, ..moment(1) }), Decision::Again(Duration::from_secs(900)));
        }
        assert_eq!(ask("901", moment(1)), Decision::TooLong(Duration::from_secs(901)));
        assert_eq!(ask("1", late), Decision::TooLong(Duration::from_secs(1)));
        assert_eq!(ask("0", moment(2)), Decision::Again(Duration::from_secs(1)));
    }
}
