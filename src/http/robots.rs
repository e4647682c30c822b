//! What a site's robots.txt allows (RFC 9309).
//!
//! Invariant: what could not be read allows nothing; blocked is said in words, never shown as
//! an empty answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use texting_robots::Robot;
use url::Url;

use super::{Client, Request};

/// The name that rules of robots.txt can speak to.
const AGENT: &str = "rxpulse";
/// How long an answer is believed.
const KEEP_MS: i64 = 24 * 3_600_000;
/// How long a failure is believed, so that a crawl of many pages asks once.
const KEEP_FAILURE_MS: i64 = 10 * 60_000;
/// No more of a file is read.
const CAP: u64 = 500 << 10;
/// Each pattern with `*` or `$` becomes a regular expression, which takes about a millisecond: a
/// file of nothing else would take a minute.
const MOST_PATTERNS: usize = 1_000;
/// A longer delay than this is taken as this: one day.
const LONGEST_DELAY_S: f32 = 86_400.0;

/// Whether a URL may be fetched.
#[derive(Clone, Debug, PartialEq)]
pub enum RobotsVerdict {
    /// It may, with this much time between two requests if the site asks for it.
    Allowed {
        /// `Crawl-delay`.
        delay: Option<Duration>,
    },
    /// It may not.
    Disallowed {
        /// Why, in words for a person.
        why: String,
    },
}

/// The rules of one origin.
enum Rules {
    /// No file: everything is allowed.
    Open,
    File(Box<Robot>),
    /// Nothing is allowed.
    Closed(String),
}

/// By origin: until when they are believed, and the rules.
type Known = HashMap<String, (i64, Arc<Rules>)>;

/// Reads robots.txt files and keeps them for a day, in memory. A clone shares them.
#[derive(Clone)]
pub struct Robots {
    client: Client,
    known: Arc<Mutex<Known>>,
}

impl Robots {
    /// Reads through `client`.
    pub fn new(client: Client) -> Self {
        Self { client, known: Arc::default() }
    }

    /// Whether `url` may be fetched. Asks the site unless it was asked within the last day.
    pub async fn check(&self, url: &Url) -> RobotsVerdict {
        self.check_by(&self.client, url).await
    }

    /// The same, asking through `client`, so that who watches that one sees the request.
    pub async fn check_by(&self, client: &Client, url: &Url) -> RobotsVerdict {
        let origin = url.origin().ascii_serialization();
        let now = (self.client.options().hooks.steady_ms)();
        let known =
            self.lock().get(&origin).filter(|(until, _)| now < *until).map(|(_, rules)| rules.clone());
        let rules = match known {
            Some(rules) => rules,
            None => {
                let rules = Arc::new(fetch(client, url).await);
                let keep = if matches!(*rules, Rules::Closed(_)) { KEEP_FAILURE_MS } else { KEEP_MS };
                self.lock().insert(origin, (now + keep, rules.clone()));
                rules
            }
        };
        match &*rules {
            Rules::Open => RobotsVerdict::Allowed { delay: None },
            Rules::Closed(why) => RobotsVerdict::Disallowed { why: why.clone() },
            Rules::File(robot) if robot.allowed(url.as_str()) => RobotsVerdict::Allowed {
                delay: robot
                    .delay
                    .filter(|delay| delay.is_finite() && *delay > 0.0)
                    .map(|delay| Duration::from_secs_f32(delay.min(LONGEST_DELAY_S))),
            },
            Rules::File(_) => RobotsVerdict::Disallowed {
                why: format!(
                    "robots.txt of {} disallows {} for {AGENT}",
                    url.host_str().unwrap_or_default(),
                    url.path()
                ),
            },
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(client: &Client, url: &Url) -> Rules {
    let mut place = url.clone();
    place.set_path("/robots.txt");
    place.set_query(None);
    let request = Request::get(&place).accept("text/plain, */*;q=0.1").body_cap(CAP).cut_at_cap();
    let host = place.host_str().unwrap_or_default();
    match client.send(request).await {
        Ok(response) => match response.status() {
            200..=299 => {
                let body = response.into_body();
                let read = tokio::task::spawn_blocking(move || read(&body)).await;
                match read.unwrap_or_else(|e| Err(e.to_string())) {
                    Ok(robot) => Rules::File(Box::new(robot)),
                    Err(why) => Rules::Closed(format!("robots.txt of {host} cannot be read: {why}")),
                }
            }
            400..=499 => Rules::Open,
            status => Rules::Closed(format!(
                "robots.txt of {host} answered {status}, so nothing may be fetched there"
            )),
        },
        Err(e) => {
            Rules::Closed(format!("robots.txt of {host} cannot be had, so nothing may be fetched there: {e}"))
        }
    }
}

/// Reads a file. Computes for up to a second.
fn read(body: &[u8]) -> Result<Robot, String> {
    let lines = body.split(|byte| matches!(byte, b'\n' | b'\r' | 0));
    let patterns = lines
        .filter(|line| line.iter().any(|byte| matches!(byte, b'*' | b'$')))
        .filter(|line| !line.trim_ascii_start().to_ascii_lowercase().starts_with(b"user-agent"));
    if patterns.count() > MOST_PATTERNS {
        return Err(format!("it has more than {MOST_PATTERNS} patterns"));
    }
    Robot::new(AGENT, body).map_err(|e| e.to_string())
}

impl std::fmt::Debug for Robots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Robots").finish_non_exhaustive()
    }
}
