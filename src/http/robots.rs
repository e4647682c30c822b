//! What a site's robots.txt allows (RFC 9309).
//!
//! Invariant: what could not be read allows nothing; blocked is said in words, never shown as
//! an empty answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use texting_robots::Robot;
use url::Url;

use super::{Client, ErrorKind, Request};

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
    /// Nobody knows, because robots.txt could not be had: not now, and to be asked again.
    Unknown {
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
    /// Nothing is allowed now: the file was not to be had.
    Missed(String),
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
                let keep = if matches!(*rules, Rules::Closed(_) | Rules::Missed(_)) {
                    KEEP_FAILURE_MS
                } else {
                    KEEP_MS
                };
                self.lock().insert(origin, (now + keep, rules.clone()));
                rules
            }
        };
        match &*rules {
            Rules::Open => RobotsVerdict::Allowed { delay: None },
            Rules::Closed(why) => RobotsVerdict::Disallowed { why: why.clone() },
            Rules::Missed(why) => RobotsVerdict::Unknown { why: why.clone() },
            Rules::File(robot)
                if robot.allowed(&plain(&url[url::Position::BeforePath..url::Position::AfterQuery])) =>
            {
                RobotsVerdict::Allowed {
                    delay: robot
                        .delay
                        .filter(|delay| delay.is_finite() && *delay > 0.0)
                        .map(|delay| Duration::from_secs_f32(delay.min(LONGEST_DELAY_S))),
                }
            }
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
            status => Rules::Missed(format!(
                "robots.txt of {host} answered {status}, so nothing may be fetched there"
            )),
        },
        Err(e) => {
            let why = format!("robots.txt of {host} cannot be had, so nothing may be fetched there: {e}");
            // An address that is not permitted stays so.
            if matches!(e.kind(), ErrorKind::Address) { Rules::Closed(why) } else { Rules::Missed(why) }
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
    Robot::new(AGENT, &tidied(body)).map_err(|e| e.to_string())
}

/// The file as the reader of rules takes it rightly: agents without a version (`rxpulse/1.0`),
/// paths in one spelling, and in place of a rule that forbids nothing one that says nothing, since
/// the reader would let it win over `Disallow: /`. The line stays, because it ends a list of agents.
fn tidied(body: &[u8]) -> Vec<u8> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let mut out = Vec::with_capacity(body.len() + 64);
    for line in body.split(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
        let text = String::from_utf8_lossy(line);
        match statement(&text) {
            Some((Statement::Agent, value)) => {
                let word = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '-');
                let end = value.find(|c| !word(c)).unwrap_or(value.len());
                let agent = if value.starts_with('*') { "*" } else { &value[..end] };
                out.extend_from_slice(format!("User-agent: {agent}").as_bytes());
            }
            Some((Statement::Disallow, "")) => out.extend_from_slice(b"Allow: /robots.txt"),
            Some((Statement::Disallow, path)) => {
                out.extend_from_slice(format!("Disallow: {}", plain(path)).as_bytes());
            }
            Some((Statement::Allow, path)) => {
                out.extend_from_slice(format!("Allow: {}", plain(path)).as_bytes());
            }
            None => out.extend_from_slice(line),
        }
        out.push(b'\n');
    }
    out
}

#[derive(Clone, Copy)]
enum Statement {
    Agent,
    Allow,
    Disallow,
}

/// What a line says, in every spelling that the reader knows: `name: value` or `name value`.
fn statement(line: &str) -> Option<(Statement, &str)> {
    const NAMES: [(&str, Statement); 10] = [
        ("user-agent", Statement::Agent),
        ("user agent", Statement::Agent),
        ("useragent", Statement::Agent),
        ("allow", Statement::Allow),
        ("disallow", Statement::Disallow),
        ("dissallow", Statement::Disallow),
        ("dissalow", Statement::Disallow),
        ("disalow", Statement::Disallow),
        ("diasllow", Statement::Disallow),
        ("disallaw", Statement::Disallow),
    ];
    let line = line.trim_start();
    NAMES.iter().find_map(|(name, statement)| {
        let head = line.get(..name.len())?;
        let rest = head.eq_ignore_ascii_case(name).then(|| &line[name.len()..])?;
        let spaced = rest.trim_start_matches([' ', '\t']);
        let value = match spaced.strip_prefix(':') {
            Some(value) => value,
            None if spaced.len() < rest.len() => spaced,
            None => return None,
        };
        let value = value.split_once('#').map_or(value, |(value, _)| value);
        Some((*statement, value.trim()))
    })
}

/// A path in one spelling: `%7E` is `~` and `%2f` is `%2F`, as RFC 3986 has it.
fn plain(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let digits = rest.get(at + 1..at + 3).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
            out.push('%');
            rest = &rest[at + 1..];
            continue;
        };
        match char::from(byte) {
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~') => out.push(c),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    out
}

impl std::fmt::Debug for Robots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Robots").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(file: &str, path: &str) -> bool {
        let robot = read(file.as_bytes()).unwrap_or_else(|why| panic!("{why}"));
        robot.allowed(&plain(path))
    }

    #[test]
    fn a_version_behind_the_name_is_not_part_of_it() {
        for agent in ["rxpulse", "RxPulse/1.0", "rxpulse/0.1 (+https://e.test)", "rxpulse # us"] {
            let file = format!("User-agent: *\nDisallow:\n\nUser-agent: {agent}\nDisallow: /private\n");
            assert!(!allows(&file, "/private/x") && allows(&file, "/open"), "{agent}");
        }
        let other = "User-agent: rxpulses\nDisallow: /\n\nUser-agent: *\nDisallow: /x\n";
        assert!(allows(other, "/open") && !allows(other, "/x"));
        let bom = "\u{feff}User-agent: *\nDisallow: /x\n";
        assert!(!allows(bom, "/x"));
    }

    #[test]
    fn a_rule_that_forbids_nothing_frees_nothing() {
        for empty in ["Disallow:", "Disallow: ", "disallow : # nothing", "Dissallow:"] {
            for file in [
                format!("User-agent: *\n{empty}\nDisallow: /\n"),
                format!("User-agent: *\nDisallow: /\n{empty}\n"),
            ] {
                assert!(!allows(&file, "/x"), "{file}");
            }
            assert!(allows(&format!("User-agent: *\n{empty}\n"), "/x"));
            // The line still ends its group.
            let groups = format!("User-agent: rxpulse\n{empty}\nUser-agent: *\nDisallow: /\n");
            assert!(allows(&groups, "/x"), "{groups}");
        }
    }

    #[test]
    fn paths_are_the_same_however_they_are_spelt() {
        for (rule, path) in [
            ("/%7Ejoe", "/~joe/a"),
            ("/~joe", "/%7ejoe/a"),
            ("/a%2fb", "/a%2Fb"),
            ("/100%", "/100%"),
            ("/%é", "/%%C3%A9"),
        ] {
            assert!(!allows(&format!("User-agent: *\nDisallow: {rule}\n"), path), "{rule} {path}");
        }
        assert!(allows("User-agent: *\nDisallow: /a%2fb\n", "/a/b"), "a slash in a name is no slash");
    }
}
