//! The reader against a server on this machine: pages, trees, tokens, and everything that can
//! be wrong with an answer. Time is fake.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::net::{Cursor, Gone, Held, Intake, Net, Owed, Reach, Reached, Stream};
use super::reddit_pages::LAG_MS;
use super::*;
use crate::envelope::PostType;
use crate::graph::{Day, DayRange};
use crate::http::fake::{Fake, Reply, Seen};
use crate::http::{AddressRule, BlockingClient, Client, ClientOptions, Hooks, Robots};

/// 2026-11-22 12:00:00 UTC.
const NOW: i64 = 1_795_348_800_000;
const TO: i64 = NOW - LAG_MS;
const SECRET: &str = "c4nary-s3cret";

/// A project with one source, and what its bronze holds.
struct Bench {
    runtime: tokio::runtime::Runtime,
    server: Fake,
    client: BlockingClient,
    clock: Arc<AtomicI64>,
    waits: Arc<Mutex<Vec<u128>>>,
    def: RedditDef,
    tokens: TokenStore,
    context: CaptureContext,
    held: Vec<Held>,
    bronze: BTreeMap<Day, Vec<Vec<u8>>>,
    stop: AtomicBool,
}

/// What one reading gave.
struct Outcome {
    reached: Reached,
    lines: Vec<Value>,
    counts: Counts,
    gone: Vec<Gone>,
}

impl Outcome {
    fn ids(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line["native_id"].as_str().unwrap()).collect()
    }

    fn end(&self) -> (Reach, Option<&str>) {
        (self.reached.reach, self.reached.reason.as_deref())
    }
}

impl Bench {
    /// `answer` gets what is asked of the API with a good token.
    fn new(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::raw(move |seen| if seen.path == "/token" { token(seen.number) } else { answer(seen) })
    }

    /// `answer` gets every request.
    fn raw(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let server = Fake::start(answer);
        let clock = Arc::new(AtomicI64::new(0));
        let waits = Arc::new(Mutex::new(Vec::new()));
        let (unix, steady, sleep, kept) = (clock.clone(), clock.clone(), clock.clone(), waits.clone());
        let hooks = Hooks {
            unix_ms: Arc::new(move || NOW + unix.load(Ordering::SeqCst)),
            steady_ms: Arc::new(move || steady.load(Ordering::SeqCst)),
            sleep: Arc::new(move |wait| {
                sleep.fetch_add(wait.as_millis() as i64 + 1, Ordering::SeqCst);
                kept.lock().unwrap().push(wait.as_millis());
                Box::pin(tokio::task::yield_now())
            }),
            random: Arc::new(|| 0.5),
            ..Hooks::default()
        };
        let options = ClientOptions {
            allow: AddressRule::PublicAnd(vec![server.authority()]),
            hooks,
            ..ClientOptions::default()
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = BlockingClient::new(Client::new(options).unwrap(), runtime.handle().clone());
        let secret = |text: &str| SecretString::from(text.to_string());
        let mut def =
            RedditDef::new("reddit", secret("the-id"), secret(SECRET), "test:rxpulse:1 (by /u/nobody)");
        def.base_url = server.url("");
        def.token_url = server.url("/token");
        def.subreddits = vec!["pharmacy".to_string()];
        def.comments = RedditComments::None;
        Self {
            runtime,
            server,
            client,
            clock,
            waits,
            def,
            tokens: TokenStore::new(),
            context: CaptureContext {
                start: "2005-01-01".parse().unwrap(),
                end: None,
                timezone: jiff::tz::TimeZone::UTC,
                privacy: Privacy { author: AuthorRule::Keep },
                now_ms: NOW,
                settle_ms: 36 * 3_600_000,
                temp_dir: None,
                forgotten: std::sync::Arc::default(),
                textless: std::sync::Arc::default(),
                spool_memory: 1 << 20,
            },
            held: Vec::new(),
            bronze: BTreeMap::new(),
            stop: AtomicBool::new(false),
        }
    }

    fn try_read(&mut self, stream: &str, before: &Stream) -> Result<Outcome, SourceError> {
        let _in = self.runtime.enter();
        let robots = Robots::new(self.client.client().clone());
        let (context, held) = (self.context.clone(), &self.held);
        let in_days = |days: DayRange| -> Result<Vec<Held>, SourceError> {
            let here = held.iter().filter(|h| days.contains(context.day_of(h.created_at_ms).0));
            Ok(here.cloned().collect())
        };
        let net = Net {
            client: &self.client,
            robots: &robots,
            stop: &self.stop,
            matches: &|envelope| envelope.title.as_ref().is_some_and(|title| title.as_str().contains("Rx")),
            held: &in_days,
        };
        let bronze = &self.bronze;
        let mut learn = |day: Day, known: &mut KnownIndex| {
            for object in bronze.get(&day).into_iter().flatten() {
                known.add_object(&object[..]).unwrap();
            }
            Ok(())
        };
        let mut intake = Intake::new("reddit", &self.context, &mut learn)?;
        let reached = read_reddit(&self.def, stream, before, &net, &self.tokens, &mut intake)?;
        let output = intake.finish()?;
        let gone = output.gone.iter().filter(|g| g.why == "absent").cloned().collect();
        let mut lines = Vec::new();
        for (day, object) in &output.objects {
            let bytes = object.to_vec().unwrap();
            let text = zstd::decode_all(&bytes[..]).unwrap();
            lines.extend(
                text.split(|b| *b == b'\n')
                    .filter(|line| !line.is_empty())
                    .map(|line| serde_json::from_slice::<Value>(line).unwrap()),
            );
            self.bronze.entry(*day).or_default().push(bytes);
        }
        assert!(output.counts.adds_up());
        Ok(Outcome { reached, lines, counts: output.counts, gone })
    }

    fn read(&mut self, stream: &str) -> Outcome {
        self.try_read(stream, &Stream::default()).unwrap()
    }

    /// Requests but those for tokens.
    fn asked(&self) -> Vec<String> {
        let all = self.server.requests();
        all.iter()
            .filter(|seen| seen.path != "/token")
            .map(|seen| format!("{}?{}", seen.path, seen.query))
            .collect()
    }

    fn token_requests(&self) -> usize {
        self.server.requests().iter().filter(|seen| seen.path == "/token").count()
    }
}

fn token(number: usize) -> Reply {
    Reply::json(
        json!({"access_token": format!("t0ken-{number}"), "token_type": "bearer", "expires_in": 3600})
            .to_string(),
    )
}

fn query(seen: &Seen, name: &str) -> Option<String> {
    url::form_urlencoded::parse(seen.query.as_bytes())
        .find(|(n, _)| n == name)
        .map(|(_, value)| value.into_owned())
}

/// A post so many seconds before now.
fn post(id: &str, age: i64) -> Value {
    json!({"kind": "t3", "data": {
        "id": id, "name": format!("t3_{id}"), "title": format!("About {id}"), "selftext": "text", "score": 1,
        "created_utc": (NOW / 1000 - age) as f64, "subreddit": "pharmacy", "num_comments": 0, "edited": false,
        "stickied": false, "author": "someone", "permalink": format!("/r/pharmacy/comments/{id}/x/"),
    }})
}

fn comment(id: &str, link: &str, age: i64, replies: Value) -> Value {
    json!({"kind": "t1", "data": {
        "id": id, "name": format!("t1_{id}"), "body": format!("words of {id}"), "score": 1, "link_id": link,
        "parent_id": link, "created_utc": (NOW / 1000 - age) as f64, "subreddit": "pharmacy", "replies": replies,
    }})
}

fn more(id: &str, parent: &str, children: &[&str]) -> Value {
    json!({"kind": "more", "data": {"id": id, "parent_id": parent, "count": children.len(), "children": children}})
}

fn listing_of(children: Vec<Value>, after: Option<&str>) -> Value {
    json!({"kind": "Listing", "data": {"after": after, "before": null, "dist": children.len(), "children": children}})
}

fn page(children: Vec<Value>, after: Option<&str>) -> Reply {
    Reply::json(listing_of(children, after).to_string())
}

fn with(mut thing: Value, key: &str, value: Value) -> Value {
    thing["data"][key] = value;
    thing
}

fn held(id: &str, age: i64) -> Held {
    Held {
        native_id: id.to_string(),
        post_type: if id.starts_with("t1_") { PostType::Comment } else { PostType::Post },
        created_at_ms: NOW - age * 1000,
        channel: Some("pharmacy".to_string()),
        title: Some("Its Rx headline".to_string()),
        num_comments: Some(0),
        deleted: false,
    }
}

#[test]
fn streams_have_names_that_say_what_they_read() {
    let secret = || SecretString::from(SECRET.to_string());
    let mut def = RedditDef::new("r", secret(), secret(), "agent");
    def.subreddits = vec!["a1".into(), "b2".into()];
    def.queries = vec!["\"x y\"".into()];
    def.search_in_subreddits = true;
    def.comments = RedditComments::Stream;
    let all = [
        "new r/a1",
        "new r/b2",
        "search \"x y\"",
        "search \"x y\" in r/a1",
        "search \"x y\" in r/b2",
        "comments r/a1",
        "comments r/b2",
        "refresh",
        "sweep",
    ];
    assert_eq!(def.streams(), all);
    def.comments = RedditComments::MatchedPosts;
    def.search_site = false;
    def.sweep_days = 0;
    assert_eq!(def.streams(), [all[0], all[1], all[3], all[4], all[7]]);
    assert!(RedditDef::covers_days("new r/a1") && !RedditDef::covers_days("sweep"));
    assert_eq!(RedditDef::every_ms("sweep", 60_000), 86_400_000);
    assert!(is_subreddit_name("CVS_Health") && is_subreddit_name("a1+b2"));
    for name in ["", "a", "a/b", "../api", "a b", "r?x", "a1+", "ä1"] {
        assert!(!is_subreddit_name(name), "{name}");
    }
    assert!(!format!("{def:?}").contains(SECRET));
}

#[test]
fn odd_pages_give_every_item_once() {
    let mut bench = Bench::new(|seen| match query(seen, "after").as_deref() {
        // More than a hundred, with pinned ones out of order and odd types.
        None => {
            let mut all = vec![
                with(post("pin1", 9_000_000), "stickied", json!(true)),
                with(post("pin2", 8_000_000), "pinned", json!(true)),
            ];
            all.extend((0..100).map(|n| post(&format!("a{n}"), 100 + n)));
            page(all, Some("t3_a99"))
        }
        // Overlaps the page before.
        Some("t3_a99") => page((90..150).map(|n| post(&format!("a{n}"), 100 + n)).collect(), Some("one")),
        Some("one") => page(vec![], Some("two")),
        Some("two") => page(
            vec![
                with(post("odd1", 300), "created_utc", json!((NOW / 1000 - 300).to_string())),
                with(post("odd2", 301), "edited", json!(true)),
                with(post("odd3", 302), "edited", json!((NOW / 1000) as f64)),
                with(with(post("odd4", 303), "gallery_data", Value::Null), "author", Value::Null),
                Value::Null,
                with(post("odd5", 305), "title", json!(12)),
            ],
            Some("three"),
        ),
        // Hostile depth, in a record and in place of one.
        Some("three") => {
            let deep = [&"[".repeat(100_000), "1", &"]".repeat(100_000)].concat();
            let record =
                format!(r#"{{"kind":"t3","data":{{"id":"deep","title":"t","created_utc":1,"x":{deep}}}}}"#);
            Reply::json(format!(
                r#"{{"kind":"Listing","data":{{"children":[{record},{deep}],"after":null}}}}"#
            ))
        }
        other => panic!("{other:?}"),
    });
    let out = bench.read("new r/pharmacy");
    assert_eq!(out.end(), (Reach::Complete, None));
    assert_eq!(out.reached.covered, Some((0, TO)));
    assert_eq!((out.reached.pages, out.reached.requests), (4, 6));
    let ids: BTreeSet<&str> = out.ids().into_iter().collect();
    assert_eq!((ids.len(), out.lines.len()), (156, 156));
    let aside: Vec<_> = out.counts.quarantined.iter().map(|(reason, n)| (reason.as_str(), *n)).collect();
    assert_eq!(aside, [("mistyped:title", 1), ("not_an_object", 1), ("too_deep", 2)]);
    assert_eq!(out.counts.duplicate, 0);
    assert_eq!(
        bench.asked()[..2],
        ["/r/pharmacy/new?raw_json=1&limit=100", "/r/pharmacy/new?raw_json=1&limit=100&after=t3_a99"]
    );
    let requests = bench.server.requests();
    assert_eq!(requests[1].header("authorization"), Some("Bearer t0ken-0"));
    assert!(requests.iter().all(|seen| seen.header("user-agent") == Some("test:rxpulse:1 (by /u/nobody)")));
    assert_eq!(out.reached.cursor.joined_ms, Some(TO));
    assert_eq!(out.reached.cursor.newest[0], "t3_a0");
}

#[test]
fn the_next_reading_stops_where_everything_was_seen() {
    let mut bench = Bench::new(|seen| match query(seen, "after") {
        None => page((0..100).map(|n| post(&format!("a{n}"), n * 60)).collect(), Some("1")),
        Some(n) => {
            let n: i64 = n.parse().unwrap();
            let page_of = (n * 100..n * 100 + 100).map(|n| post(&format!("a{n}"), n * 60)).collect();
            page(page_of, Some(&(n + 1).to_string()))
        }
    });
    let joined = NOW - 150 * 60_000;
    let mut before = Stream::default();
    before.cursor.joined_ms = Some(joined);
    before.covered = vec![(0, joined)];
    let out = bench.try_read("new r/pharmacy", &before).unwrap();
    assert_eq!((out.reached.pages, out.reached.covered), (3, Some((joined, TO))));
    before.apply(&out.reached, NOW, 0);
    assert_eq!(before.covered, [(0, TO)]);
    // A stream whose cursor was lost is read from what is covered.
    before.cursor = Cursor::default();
    let out = bench.try_read("new r/pharmacy", &before).unwrap();
    assert_eq!((out.reached.pages, out.lines.len()), (2, 0));
}

#[test]
fn searches_ask_for_the_shortest_window() {
    let mut bench = Bench::new(|_| page(vec![post("a", 100)], None));
    bench.def.queries = vec!["rx & co".to_string()];
    bench.def.search_in_subreddits = true;
    let out = bench.read("search rx & co");
    assert_eq!(out.reached.covered, Some((0, TO)));
    let mut before = Stream::default();
    before.cursor.joined_ms = Some(NOW - 3_600_000);
    let out = bench.try_read("search rx & co in r/pharmacy", &before).unwrap();
    assert_eq!(out.end(), (Reach::Complete, None));
    assert_eq!(out.reached.covered, Some((NOW - 3_600_000, TO)));
    assert_eq!(
        bench.asked(),
        [
            "/search?raw_json=1&limit=100&q=rx+%26+co&sort=new&t=all&type=link",
            "/r/pharmacy/search?raw_json=1&limit=100&q=rx+%26+co&sort=new&t=day&type=link&restrict_sr=1",
        ]
    );
    // A search shows fewer than a listing: 250 results are no end.
    let mut bench = Bench::new(|seen| match query(seen, "after").as_deref() {
        None => page((0..100).map(|n| post(&format!("a{n}"), n * 10)).collect(), Some("1")),
        Some("1") => page((100..200).map(|n| post(&format!("a{n}"), n * 10)).collect(), Some("2")),
        _ => page((200..250).map(|n| post(&format!("a{n}"), n * 10)).collect(), None),
    });
    bench.def.queries = vec!["rx".to_string()];
    let out = bench.read("search rx");
    let reason = "search: the listing ended at its limit before the start of the day";
    assert_eq!(out.end(), (Reach::Partial, Some(reason)));
    assert_eq!(out.reached.covered, Some((NOW - 2_470_000 + 1, TO)));
}

#[test]
fn each_failure_ends_in_its_state() {
    let html = || Reply::html("<!doctype html><title>whoa there, pardner!</title>");
    let with_status = |status: u16| {
        let reply = Reply::new(status);
        reply.header("content-type", "text/html").body("<html>no</html>")
    };
    let cases: Vec<(Reply, Reach, &str, u32)> = vec![
        (
            with_status(403),
            Reach::Blocked,
            "r/pharmacy: forbidden (403): private, quarantined, or not allowed for this app",
            1,
        ),
        (
            with_status(404),
            Reach::Blocked,
            "r/pharmacy: not found (404): no such subreddit, banned, or deleted",
            1,
        ),
        (with_status(451), Reach::Blocked, "r/pharmacy: not available for legal reasons (451)", 1),
        (
            Reply::redirect(302, "/subreddits/search?q=pharmacy"),
            Reach::Blocked,
            "r/pharmacy: redirected (302): no such subreddit",
            1,
        ),
        (with_status(400), Reach::Blocked, "r/pharmacy: refused (HTTP 400)", 1),
        (with_status(500), Reach::Failed, "HTTP 500 from HOST", 5),
        (with_status(502), Reach::Failed, "HTTP 502 from HOST", 5),
        (with_status(503), Reach::Failed, "HTTP 503 from HOST", 5),
        (with_status(504), Reach::Failed, "HTTP 504 from HOST", 5),
        (with_status(520), Reach::Failed, "HTTP 520 from HOST", 5),
        (with_status(522), Reach::Failed, "HTTP 522 from HOST", 5),
        (with_status(408), Reach::Failed, "HTTP 408 from HOST", 5),
        (with_status(501), Reach::Failed, "r/pharmacy: HTTP 501", 1),
        (with_status(429), Reach::Failed, "HTTP 429 from HOST", 5),
        (with_status(429).header("retry-after", "7"), Reach::Failed, "HTTP 429 from HOST", 5),
        (
            with_status(429).header("retry-after", "86400"),
            Reach::Failed,
            "HOST asked to be left alone for a while",
            1,
        ),
        (html(), Reach::Failed, "r/pharmacy: answered with HTML, not JSON", 1),
        (Reply::json("<html></html>"), Reach::Failed, "r/pharmacy: answered with HTML, not JSON", 1),
        (Reply::json(""), Reach::Failed, "r/pharmacy: answered with an empty body, not JSON", 1),
        (Reply::text("Too Many"), Reach::Failed, "r/pharmacy: answered with text that is not JSON", 1),
        (
            Reply::json("{\"kind\":\"Listing\",\"data\":{\"children\":["),
            Reach::Failed,
            "r/pharmacy: answered with JSON that is broken",
            1,
        ),
        (Reply::json("{}"), Reach::Failed, "r/pharmacy: answered with JSON that is no listing", 1),
        (Reply::json("[]"), Reach::Failed, "r/pharmacy: answered with JSON that is no listing", 1),
        (Reply::json("null"), Reach::Failed, "r/pharmacy: answered with JSON that is no listing", 1),
        (
            Reply::json("{\"message\":\"Forbidden\",\"error\":403}"),
            Reach::Failed,
            "r/pharmacy: answered with JSON that is no listing",
            1,
        ),
        (
            Reply::json("{\"kind\":\"Listing\",\"data\":{\"children\":null,\"after\":null}}"),
            Reach::Failed,
            "r/pharmacy: answered with JSON that is no listing",
            1,
        ),
        (
            page(vec![post("a", 1)], None).cut_after(40),
            Reach::Failed,
            "HOST: the connection ended before the whole answer was there",
            5,
        ),
        (Reply::reset(), Reach::Failed, "HOST: the connection ended before the whole answer was there", 5),
    ];
    for (reply, reach, reason, tries) in cases {
        let shown = format!("{reply:?}");
        let mut bench = Bench::new(move |seen| match query(seen, "after") {
            None => page((0..100).map(|n| post(&format!("a{n}"), 100 + n)).collect(), Some("x")),
            Some(_) => reply.clone(),
        });
        let mut before = Stream::default();
        before.cursor.joined_ms = Some(NOW - 86_400_000);
        let out = bench.try_read("new r/pharmacy", &before).unwrap();
        let host = bench.server.authority();
        let found = out.reached.reason.clone().unwrap_or_default().replace(&host, "HOST");
        assert_eq!((out.reached.reach, found.as_str()), (reach, reason), "{shown}");
        // The first page is kept, what it certainly showed is covered, and the gap stays open.
        assert_eq!(out.lines.len(), 100, "{shown}");
        assert_eq!(out.reached.covered, Some((NOW - 197_000 + 1, TO)), "{shown}");
        assert_eq!(out.reached.cursor.joined_ms, Some(NOW - 86_400_000), "{shown}");
        assert_eq!(out.reached.requests, 2 + tries, "{shown}");
        assert_eq!(bench.server.requests().len() as u32, out.reached.requests, "{shown}");
        let asked: Vec<u128> = bench.waits.lock().unwrap().clone();
        match shown.as_str() {
            s if s.contains("\"86400\"") => assert_eq!(out.reached.retry_at_ms, Some(NOW + 86_400_000)),
            s if s.contains("\"retry-after\"") => {
                assert!(asked.iter().filter(|wait| **wait >= 7_000).count() >= 4)
            }
            _ => assert!(out.reached.retry_at_ms.is_none_or(|at| at >= NOW)),
        }
    }
}

#[test]
fn rate_limit_headers_are_honoured() {
    let mut bench = Bench::new(|seen| {
        let n = query(seen, "after").map_or(0, |n| n.parse::<i64>().unwrap());
        let next = (n + 1).to_string();
        page(vec![post(&format!("a{n}"), 100 + n)], if n < 3 { Some(&next) } else { None })
            .header("x-ratelimit-used", n.to_string())
            .header("x-ratelimit-remaining", format!("{}.0", 3 - n))
            .header("x-ratelimit-reset", "300")
    });
    let out = bench.read("new r/pharmacy");
    assert_eq!((out.end(), out.lines.len()), ((Reach::Complete, None), 4));
    let waited: u128 = bench.waits.lock().unwrap().iter().sum();
    assert!(waited >= 300_000, "{waited}");
}

#[test]
fn one_token_serves_all_streams_and_is_asked_for_again_in_time() {
    let mut bench = Bench::new(|seen| {
        assert!(seen.header("authorization").unwrap().starts_with("Bearer t0ken-"));
        page(vec![post("a", 100)], None)
    });
    bench.def.comments = RedditComments::Stream;
    let _ = (bench.read("new r/pharmacy"), bench.read("comments r/pharmacy"));
    assert_eq!(bench.token_requests(), 1);
    let asked = &bench.server.requests()[0];
    assert_eq!(
        (asked.method.as_str(), asked.body.as_slice()),
        ("POST", &b"grant_type=client_credentials"[..])
    );
    // base64("the-id:c4nary-s3cret")
    assert_eq!(asked.header("authorization"), Some("Basic dGhlLWlkOmM0bmFyeS1zM2NyZXQ="));
    bench.clock.fetch_add(3_539_000, Ordering::SeqCst);
    let _ = bench.read("new r/pharmacy");
    assert_eq!(bench.token_requests(), 1);
    bench.clock.fetch_add(2_000, Ordering::SeqCst);
    let _ = bench.read("new r/pharmacy");
    assert_eq!(bench.token_requests(), 2);
    // An installed app has no secret, and tokens of its own.
    bench.def.client_secret = SecretString::from(String::new());
    let _ = bench.read("new r/pharmacy");
    bench.def.device_id = Some("0123456789abcdefghij".to_string());
    let _ = bench.read("new r/pharmacy");
    let bodies: Vec<String> = bench
        .server
        .requests()
        .iter()
        .filter(|s| s.path == "/token")
        .map(|s| String::from_utf8(s.body.clone()).unwrap())
        .collect();
    let grant = "grant_type=https%3A%2F%2Foauth.reddit.com%2Fgrants%2Finstalled_client";
    assert_eq!(bodies[2], format!("{grant}&device_id=DO_NOT_TRACK_THIS_DEVICE"));
    assert_eq!(bodies[3], format!("{grant}&device_id=0123456789abcdefghij"));
}

#[test]
fn a_token_that_ends_between_pages_is_replaced() {
    let bench = Bench::new(|seen| {
        let good = seen.header("authorization") == Some("Bearer t0ken-3");
        match query(seen, "after") {
            None => page(vec![post("a", 100)], Some("x")),
            Some(_) if good => page(vec![post("b", 200)], None),
            Some(_) => Reply::new(401).body("{\"message\":\"Unauthorized\",\"error\":401}"),
        }
    });
    let mut bench = bench;
    let out = bench.read("new r/pharmacy");
    assert_eq!((out.end(), out.ids()), ((Reach::Complete, None), vec!["t3_a", "t3_b"]));
    // token, page, 401, token, page
    assert_eq!((out.reached.requests, bench.token_requests()), (5, 2));
}

#[test]
fn a_fresh_token_that_is_refused_blocks() {
    let mut bench = Bench::new(|_| Reply::new(401).body("{}"));
    let out = bench.read("new r/pharmacy");
    assert_eq!(out.end(), (Reach::Blocked, Some("credentials refused (HTTP 401)")));
    assert_eq!((out.reached.requests, bench.token_requests(), out.reached.covered), (4, 2, None));
}

#[test]
fn token_errors_come_in_every_form() {
    for (reply, reach, reason) in [
        (Reply::json("{\"error\":\"invalid_grant\"}"), Reach::Blocked, "credentials refused (invalid_grant)"),
        (
            Reply::json("{\"error\":\"unsupported_grant_type\"}"),
            Reach::Blocked,
            "credentials refused (unsupported_grant_type)",
        ),
        (
            Reply::json("{\"error\":\"c4nary-s3cret\"}"),
            Reach::Failed,
            "Reddit answered with an error instead of a token",
        ),
        (
            Reply::json("{\"error\":429,\"message\":\"Too Many\"}"),
            Reach::Failed,
            "Reddit answered without a token",
        ),
        (Reply::json("{}"), Reach::Failed, "Reddit answered without a token"),
        (Reply::json("{\"access_token\":\"\"}"), Reach::Failed, "Reddit answered without a token"),
        (Reply::json("{\"access_token\":7}"), Reach::Failed, "no token: answered with JSON that is broken"),
        (Reply::html("<html>"), Reach::Failed, "no token: answered with HTML, not JSON"),
        (
            Reply::new(400).body("{\"error\":\"invalid_request\"}"),
            Reach::Blocked,
            "credentials refused (HTTP 400)",
        ),
        (
            Reply::new(401).body("{\"message\":\"Unauthorized\"}"),
            Reach::Blocked,
            "credentials refused (HTTP 401)",
        ),
        (Reply::redirect(302, "/login"), Reach::Failed, "HTTP 302 instead of a token"),
        (Reply::new(429), Reach::Failed, "HTTP 429 from HOST"),
        (Reply::new(503), Reach::Failed, "HTTP 503 from HOST"),
    ] {
        let mut bench = Bench::raw(move |_| reply.clone());
        let out = bench.read("new r/pharmacy");
        let found = out.reached.reason.clone().unwrap().replace(&bench.server.authority(), "HOST");
        assert_eq!((out.reached.reach, found.as_str()), (reach, reason));
        assert!(!format!("{:?} {:?} {:?}", bench.def, bench.tokens, out.reached).contains(SECRET));
        assert!(bench.server.requests().iter().all(|seen| seen.path == "/token"));
    }
    let mut bench = Bench::raw(|_| panic!("nothing is asked"));
    bench.def.client_id = SecretString::from(String::new());
    assert_eq!(bench.read("new r/pharmacy").end(), (Reach::Blocked, Some("REDDIT_CLIENT_ID is not set")));
    bench.def.client_id = SecretString::from("x".to_string());
    bench.def.subreddits = vec!["../api".to_string()];
    assert_eq!(bench.read("new r/../api").end(), (Reach::Blocked, Some("not a name of a subreddit")));
    assert_eq!(bench.read("new r/other").end(), (Reach::Blocked, Some("the source has no such stream")));
    bench.stop.store(true, Ordering::SeqCst);
    bench.def.subreddits = vec!["pharmacy".to_string()];
    let canceled = bench.try_read("new r/pharmacy", &Stream::default()).map(|_| ());
    assert!(matches!(canceled, Err(SourceError::Canceled)));
}

/// A post with a large tree: ids come in parts, some never, one thread goes on elsewhere.
fn forest(seen: &Seen) -> Reply {
    let link = "t3_p";
    let wanted = with(with(post("p", 5_000), "title", json!("My Rx story")), "num_comments", json!(300));
    let all: Vec<String> = (0..250).map(|n| format!("m{n}")).collect();
    match seen.path.as_str() {
        "/r/pharmacy/new" => page(vec![wanted, with(post("q", 5_001), "num_comments", json!(9))], None),
        "/r/pharmacy/comments/p" => {
            let ids: Vec<&str> = all.iter().map(String::as_str).collect();
            let deep = comment("c1", link, 4_900, listing_of(vec![more("_", "t1_c1", &[])], None));
            let top =
                comment("c0", link, 4_950, listing_of(vec![deep, more("m0", "t1_c0", &ids[..5])], None));
            let rest = more("m5", link, &ids[5..]);
            Reply::json(
                json!([listing_of(vec![wanted], None), listing_of(vec![top, rest], None)]).to_string(),
            )
        }
        "/comments/p/_/c1" => {
            let again =
                comment("c1", link, 4_900, listing_of(vec![comment("c2", link, 4_800, json!(""))], None));
            Reply::json(json!([listing_of(vec![wanted], None), listing_of(vec![again], None)]).to_string())
        }
        "/api/morechildren" => {
            let asked = query(seen, "children").unwrap();
            let asked: Vec<&str> = asked.split(',').collect();
            assert!(asked.len() <= 100 && query(seen, "link_id").as_deref() == Some(link));
            // Every seventh was removed; at most 19 come at once.
            let there: Vec<&str> =
                asked.iter().filter(|id| id[1..].parse::<u32>().unwrap() % 7 != 0).copied().collect();
            let mut things: Vec<Value> =
                there.iter().take(19).map(|id| comment(id, link, 4_000, json!(""))).collect();
            if there.len() > 19 {
                things.push(more(there[19], link, &there[19..]));
            }
            Reply::json(json!({"json": {"errors": [], "data": {"things": things}}}).to_string())
        }
        other => panic!("{other}"),
    }
}

#[test]
fn comments_come_whole_however_they_are_cut_up() {
    let mut bench = Bench::new(forest);
    bench.def.comments = RedditComments::MatchedPosts;
    let out = bench.read("new r/pharmacy");
    assert_eq!(out.end(), (Reach::Complete, None));
    let there: BTreeSet<String> = (0..250).filter(|n| n % 7 != 0).map(|n| format!("t1_m{n}")).collect();
    let mut wanted: BTreeSet<String> = ["t3_p", "t3_q", "t1_c0", "t1_c1", "t1_c2"].map(String::from).into();
    wanted.extend(there);
    let ids = out.ids();
    assert_eq!((ids.len(), ids.iter().map(|id| id.to_string()).collect()), (wanted.len(), wanted));
    let of_comments = out.lines.iter().filter(|line| line["post_type"] == "comment");
    assert!(of_comments.clone().all(|line| line["link_title"] == "My Rx story"));
    // Comments stand alone: what answers them was cut out of their bytes.
    assert!(of_comments.clone().all(|line| line["raw"].as_str().unwrap().contains("\"replies\":\"\"")));
    assert_eq!(out.reached.cursor.owed, []);
    // The same number of answers as is held: nothing is asked.
    let asked = bench.asked().len();
    bench.held = vec![Held { num_comments: Some(300), ..held("t3_p", 5_000) }];
    let _ = bench.read("new r/pharmacy");
    assert_eq!(bench.asked().len(), asked + 1);
    bench.held[0].num_comments = Some(299);
    let out = bench.read("new r/pharmacy");
    assert_eq!((bench.asked().len(), out.lines.len()), (2 * asked + 1, 0));
}

#[test]
fn trees_that_never_end_are_left() {
    // The same ids for ever, without anything new.
    let mut bench = Bench::new(|seen| match seen.path.as_str() {
        "/api/morechildren" => {
            let things = vec![more("x1", "t3_p", &["x1", "x2"])];
            Reply::json(json!({"json": {"errors": [], "data": {"things": things}}}).to_string())
        }
        "/r/pharmacy/comments/p" | "/comments/p/_/c" => {
            let post = with(post("p", 5_000), "title", json!("Rx"));
            let more = vec![more("x1", "t3_p", &["x1", "x2"]), more("_", "t1_c", &[])];
            Reply::json(json!([listing_of(vec![post], None), listing_of(more, None)]).to_string())
        }
        _ => page(vec![with(with(post("p", 5_000), "title", json!("Rx")), "num_comments", json!(2))], None),
    });
    bench.def.comments = RedditComments::MatchedPosts;
    let out = bench.read("new r/pharmacy");
    assert_eq!((out.end(), bench.asked().len()), ((Reach::Complete, None), 4));
}

#[test]
fn comments_that_could_not_be_read_are_owed() {
    let broken = Arc::new(AtomicBool::new(true));
    let flag = broken.clone();
    let mut bench = Bench::new(move |seen| {
        let wanted =
            |id: &str, age| with(with(post(id, age), "title", json!("Rx")), "num_comments", json!(1));
        match seen.path.as_str() {
            "/r/pharmacy/new" => {
                page(vec![wanted("p", 1_000), wanted("gone", 1_100), wanted("q", 1_200)], None)
            }
            "/r/pharmacy/comments/gone" => Reply::new(404),
            path if flag.load(Ordering::SeqCst) && path.ends_with("/p") => Reply::new(500),
            path => {
                let id = path.rsplit('/').next().unwrap();
                let tree =
                    listing_of(vec![comment(&format!("c{id}"), &format!("t3_{id}"), 900, json!(""))], None);
                Reply::json(json!([listing_of(vec![wanted(id, 1_000)], None), tree]).to_string())
            }
        }
    });
    bench.def.comments = RedditComments::MatchedPosts;
    let mut stream = Stream::default();
    let out = bench.try_read("new r/pharmacy", &stream).unwrap();
    assert_eq!(out.reached.reach, Reach::Failed);
    assert_eq!(out.ids().into_iter().collect::<BTreeSet<_>>(), ["t1_cq", "t3_gone", "t3_p", "t3_q"].into());
    // What is covered ends where comments are missing.
    assert_eq!(out.reached.covered, Some((0, NOW - 1_000_000)));
    let owed = Owed { id: "t3_p".into(), created_ms: NOW - 1_000_000, tries: 1 };
    assert_eq!(out.reached.cursor.owed, [owed]);
    stream.apply(&out.reached, NOW, 0);
    // Bronze holds the post by now, with its number of comments.
    bench.held = vec![Held { num_comments: Some(1), ..held("t3_p", 1_000) }];
    for tries in 2..5 {
        let out = bench.try_read("new r/pharmacy", &stream).unwrap();
        assert_eq!(out.reached.cursor.owed[0].tries, tries);
        stream.apply(&out.reached, NOW, 0);
    }
    let mut given_up = stream.clone();
    broken.store(false, Ordering::SeqCst);
    let out = bench.try_read("new r/pharmacy", &stream).unwrap();
    stream.apply(&out.reached, NOW, 0);
    assert_eq!((out.ids(), out.reached.cursor.owed.len()), (vec!["t1_cp"], 0));
    assert_eq!(stream.covered, [(0, TO)]);
    // A post that never answers does not hold the days up for ever.
    broken.store(true, Ordering::SeqCst);
    let out = bench.try_read("new r/pharmacy", &given_up).unwrap();
    given_up.apply(&out.reached, NOW, 0);
    assert_eq!((out.reached.cursor.owed.len(), out.reached.reach), (0, Reach::Failed));
    assert_eq!(given_up.covered, [(0, TO)]);
}

/// Answers `/api/info` with what is there.
fn info(seen: &Seen, there: &dyn Fn(&str) -> Option<Value>) -> Reply {
    let ids = query(seen, "id").unwrap();
    let ids: Vec<&str> = ids.split(',').collect();
    if ids.len() > 100 {
        return page(vec![], None);
    }
    page(ids.into_iter().filter_map(there).collect(), None)
}

fn thing(id: &str, age: i64) -> Value {
    match id.split_once('_') {
        Some(("t1", id)) => comment(id, "t3_x", age, json!("")),
        Some((_, id)) => post(id, age),
        None => Value::Null,
    }
}

#[test]
fn what_is_settling_is_looked_at_again() {
    let mut bench = Bench::new(|seen| match seen.path.as_str() {
        "/api/info" => info(seen, &|id| {
            let it = with(thing(id, 3_600), "score", json!(77));
            Some(if id == "t3_n5" {
                with(with(it, "num_comments", json!(3)), "title", json!("Rx"))
            } else {
                it
            })
        }),
        path => {
            assert_eq!(path, "/r/pharmacy/comments/n5");
            let tree = listing_of(vec![comment("c5", "t3_n5", 900, json!(""))], None);
            Reply::json(json!([listing_of(vec![post("n5", 3_600)], None), tree]).to_string())
        }
    });
    bench.def.comments = RedditComments::MatchedPosts;
    bench.held = (0..150).map(|n| held(&format!("t3_n{n}"), 3_600)).collect();
    bench.held.push(held("t1_c", 3_600));
    bench.held.push(Held { deleted: true, ..held("t3_deleted", 3_600) });
    bench.held.push(held("t3_settled", 4 * 86_400));
    bench.held.push(held("no id", 3_600));
    let out = bench.read("refresh");
    assert_eq!((out.end(), out.lines.len()), ((Reach::Complete, None), 152));
    assert_eq!((out.reached.covered, out.reached.requests), (None, 4));
    let line = out.lines.iter().find(|line| line["native_id"] == "t1_c").unwrap();
    assert_eq!((&line["link_title"], &line["score"]), (&json!("Its Rx headline"), &json!(77)));
    // A day that settled since the last time is looked at once more.
    let mut before = Stream::default();
    before.cursor.joined_ms = Some(NOW - 3 * 86_400_000);
    let out = bench.try_read("refresh", &before).unwrap();
    assert_eq!((out.counts.records_in, out.ids()), (153, vec!["t3_settled"]));
    assert_eq!(out.reached.cursor.joined_ms, Some(NOW));
}

#[test]
fn what_is_gone_is_found_and_asked_for_twice() {
    let mut bench = Bench::new(|seen| {
        info(seen, &|id| match id {
            id if id.starts_with("t3_gone") => None,
            "t3_n3" => Some(with(thing(id, 900_000), "selftext", json!("[removed]"))),
            "t3_n4" => Some(with(thing(id, 900_000), "edited", json!((NOW / 1000 - 60) as f64))),
            "t3_n6" => Some(with(thing(id, 900_000), "edited", json!((NOW / 1000 - 800_000) as f64))),
            id => Some(thing(id, 900_000)),
        })
    });
    bench.held = (0..250).map(|n| held(&format!("t3_n{n}"), 900_000)).collect();
    bench.held.insert(120, held("t3_gone1", 900_000));
    // A whole call of missing ones.
    bench.held.extend((10..130).map(|n| held(&format!("t3_gone{n}"), 1_000_000)));
    bench.held.push(held("t3_older", 31 * 86_400));
    let out = bench.read("sweep");
    assert_eq!((out.end(), out.reached.covered), ((Reach::Complete, None), None));
    let gone: BTreeSet<&str> = out.gone.iter().map(|gone| gone.native_id.as_str()).collect();
    assert_eq!((gone.len(), out.gone.len()), (121, 121));
    assert!(gone.iter().all(|id| id.starts_with("t3_gone")));
    assert!(out.gone.iter().all(|gone| gone.platform == "reddit" && gone.why == "absent"));
    // Only what says something new is captured; scores of settled days are not.
    assert_eq!(out.ids(), ["t3_n3", "t3_n4"]);
    assert!(out.reached.requests <= 1 + 4 + 20 + 200, "{}", out.reached.requests);
}

#[test]
fn an_answer_with_nothing_is_not_believed() {
    let mut bench = Bench::new(|_| page(vec![], None));
    bench.held = (0..250).map(|n| held(&format!("t3_n{n}"), 900_000)).collect();
    let out = bench.read("sweep");
    assert_eq!(out.gone, []);
    let reason = "info: answered with nothing, which is not believed";
    assert_eq!(out.end(), (Reach::Partial, Some(reason)));
    assert!(out.reached.requests < 40, "{}", out.reached.requests);
    assert_eq!(out.reached.cursor.joined_ms, None);
    // Nothing but the only post is held, and it is gone: nothing says so for certain.
    bench.held.truncate(1);
    assert_eq!(bench.read("sweep").gone, []);
    // It answered with nothing once.
    let first = AtomicBool::new(true);
    let mut bench = Bench::new(move |seen| {
        if first.swap(false, Ordering::SeqCst) {
            return page(vec![], None);
        }
        info(seen, &|id| (id != "t3_n7").then(|| thing(id, 900_000)))
    });
    bench.held = (0..100).map(|n| held(&format!("t3_n{n}"), 900_000)).collect();
    let out = bench.read("sweep");
    assert_eq!((out.end(), out.gone.len()), ((Reach::Complete, None), 1));
    assert_eq!(out.gone[0].native_id, "t3_n7");
    // It breaks off: nothing is said to be gone.
    let mut bench = Bench::new(|seen| {
        let ids = query(seen, "id").unwrap();
        if ids.contains("t3_n150") {
            Reply::new(500)
        } else {
            info(seen, &|id| (id != "t3_n7").then(|| thing(id, 9)))
        }
    });
    bench.held = (0..200).map(|n| held(&format!("t3_n{n}"), 900_000)).collect();
    let out = bench.read("sweep");
    assert_eq!((out.reached.reach, out.gone.len()), (Reach::Failed, 0));
}

fn recorded(folder: &str) -> Vec<(String, String)> {
    let root = std::env::var_os("RXPULSE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let Ok(files) = std::fs::read_dir(root.join("data/reddit_api").join(folder)) else {
        eprintln!(
            "skipped: no recorded answers in ../shared/data/reddit_api (RXPULSE_SHARED names another place)"
        );
        return Vec::new();
    };
    let mut all: Vec<(String, String)> = files
        .map(|file| file.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())
        })
        .collect();
    all.sort();
    // As they are, and laid out for people.
    let pretty: Vec<_> = all
        .iter()
        .map(|(name, text)| {
            let value: Value = serde_json::from_str(text).unwrap();
            (format!("{name} (pretty)"), serde_json::to_string_pretty(&value).unwrap())
        })
        .collect();
    all.extend(pretty);
    all
}

/// The records of an answer, found in another way than the reader does: name → own bytes.
fn records_of(text: &str, into: &mut BTreeMap<String, String>) {
    #[derive(serde::Deserialize)]
    struct Thing<'a> {
        kind: String,
        #[serde(borrow)]
        data: &'a RawValue,
    }
    #[derive(serde::Deserialize)]
    struct Children<'a> {
        #[serde(borrow)]
        children: Vec<&'a RawValue>,
    }
    if text.trim_start().starts_with('[') {
        for part in serde_json::from_str::<Vec<&RawValue>>(text).unwrap() {
            records_of(part.get(), into);
        }
        return;
    }
    let thing: Thing<'_> = serde_json::from_str(text).unwrap();
    match thing.kind.as_str() {
        "Listing" => {
            let all: Children<'_> = serde_json::from_str(thing.data.get()).unwrap();
            all.children.into_iter().for_each(|child| records_of(child.get(), into));
        }
        "t1" | "t3" => {
            let value: Value = serde_json::from_str(thing.data.get()).unwrap();
            if value["replies"].is_object() {
                let fields: BTreeMap<&str, &RawValue> = serde_json::from_str(thing.data.get()).unwrap();
                records_of(fields["replies"].get(), into);
            }
            into.insert(value["name"].as_str().unwrap().to_string(), thing.data.get().to_string());
        }
        _ => {}
    }
}

/// Compares what was captured with the recorded answers: each record once, its bytes as they
/// stood there but for nested copies of other posts. Says how many were compared byte by byte.
fn compare(name: &str, out: &Outcome, expected: &BTreeMap<String, String>) -> usize {
    let ids: BTreeSet<&str> = out.ids().into_iter().collect();
    assert_eq!(ids.len(), out.lines.len(), "{name}: twice");
    assert_eq!(ids, expected.keys().map(String::as_str).collect(), "{name}");
    let mut exact = 0;
    for line in &out.lines {
        let (raw, own) = (line["raw"].as_str().unwrap(), &expected[line["native_id"].as_str().unwrap()]);
        let mut value: Value = serde_json::from_str(own).unwrap();
        let mut nested = false;
        for (key, cut) in [("replies", json!("")), ("crosspost_parent_list", json!([]))] {
            if value
                .get(key)
                .is_some_and(|v| v.is_object() || v.as_array().is_some_and(|list| !list.is_empty()))
            {
                (value[key], nested) = (cut, true);
            }
        }
        if nested {
            assert_eq!(serde_json::from_str::<Value>(raw).unwrap(), value, "{name}");
        } else {
            assert_eq!(raw, own, "{name}");
            exact += 1;
        }
    }
    exact
}

/// The recorded page with another cursor.
fn with_after(text: &str, after: Option<&str>) -> String {
    let at = text.find("\"after\": ").unwrap();
    // The cursor stands behind the items, or before them: never inside, where no key is so called.
    assert_eq!(text.matches("\"after\": ").count(), 1);
    let start = at + "\"after\": ".len();
    let end = start + text[start..].find([',', '}', '\n']).unwrap();
    format!("{}{}{}", &text[..start], json!(after), &text[end..])
}

#[test]
fn recorded_listings_are_captured_whole_and_verbatim() {
    let mut exact = 0;
    for folder in ["sub_new", "sub_comments", "search", "listing_other"] {
        let files = recorded(folder);
        for (name, text) in &files {
            let mut expected = BTreeMap::new();
            records_of(text, &mut expected);
            let only = with_after(text, None);
            let mut bench = Bench::new(move |_| Reply::json(only.clone()));
            bench.def.queries = vec!["q".to_string()];
            bench.def.comments = RedditComments::Stream;
            let stream = match folder {
                "search" => "search q",
                "sub_comments" => "comments r/pharmacy",
                _ => "new r/pharmacy",
            };
            let out = bench.read(stream);
            assert_eq!((out.end(), out.counts.quarantined_total()), ((Reach::Complete, None), 0), "{name}");
            exact += compare(name, &out, &expected);
        }
        // All of a folder as pages of one listing; several of them repeat items of others.
        let mut expected: BTreeMap<String, String> = BTreeMap::new();
        let mut pages = Vec::new();
        for (_, text) in files.iter().filter(|(name, _)| !name.ends_with("(pretty)")) {
            let mut own = BTreeMap::new();
            records_of(text, &mut own);
            let seen: BTreeSet<String> = expected.keys().cloned().collect();
            if own.is_empty() || own.keys().any(|id| !seen.contains(id)) {
                expected.extend(own.into_iter().filter(|(id, _)| !seen.contains(id)));
                pages.push(text.clone());
            }
        }
        if pages.is_empty() {
            continue;
        }
        let count = pages.len();
        let mut bench = Bench::new(move |seen| {
            let n = query(seen, "after").map_or(0, |n| n.parse::<usize>().unwrap());
            let next = (n + 1 < count).then(|| (n + 1).to_string());
            Reply::json(with_after(&pages[n], next.as_deref()))
        });
        let out = bench.read("new r/pharmacy");
        assert_eq!(out.reached.requests as usize, count + 1, "{folder}: {:?}", out.reached);
        exact += compare(folder, &out, &expected);
    }
    eprintln!("{exact} records compared byte by byte");
}

#[test]
fn recorded_trees_are_captured_whole_and_verbatim() {
    for (name, text) in recorded("comment_tree") {
        let mut expected = BTreeMap::new();
        records_of(&text, &mut expected);
        let post = expected.keys().find(|id| id.starts_with("t3_")).unwrap().clone();
        let mut bench = Bench::new(move |seen| match seen.path.as_str() {
            "/r/pharmacy/new" => page(vec![], None),
            _ => Reply::json(text.clone()),
        });
        bench.def.comments = RedditComments::MatchedPosts;
        let mut before = Stream::default();
        before.cursor.owed = vec![Owed { id: post, created_ms: 0, tries: 0 }];
        let out = bench.try_read("new r/pharmacy", &before).unwrap();
        assert_eq!((out.end(), out.counts.quarantined_total()), ((Reach::Complete, None), 0), "{name}");
        compare(&name, &out, &expected);
        let comments = out.lines.iter().filter(|line| line["post_type"] == "comment");
        assert!(comments.into_iter().all(|line| line["link_title"].is_string()), "{name}");
    }
}

#[test]
fn recorded_info_is_captured_whole_and_verbatim() {
    for (name, text) in recorded("info") {
        let mut expected = BTreeMap::new();
        records_of(&text, &mut expected);
        let mut bench = Bench::new(move |_| Reply::json(text.clone()));
        bench.def.settle_ms = 86_400_000;
        bench.held = expected.keys().map(|id| held(id, 3_600)).collect();
        // Asked for or not, one answer came.
        bench.held.push(held("t3_zzzzzz", 3_600));
        let out = bench.read("refresh");
        assert_eq!(out.end(), (Reach::Complete, None), "{name}");
        compare(&name, &out, &expected);
        // Subreddits are no posts, and are set aside.
        let others = out.counts.quarantined.get("unknown_kind").copied().unwrap_or(0);
        assert_eq!(out.counts.quarantined_total(), others, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_polls_capture_everything_once(
        gaps in prop::collection::vec(0i64..400, 0..400),
        polls in prop::collection::vec((0i64..40_000, prop::option::weighted(0.2, 0usize..4)), 1..6),
        limit in 7usize..60,
    ) {
        // The posts' ages at the last poll; the listing ends after 200 of them.
        let total: i64 = polls.iter().map(|(wait, _)| wait).sum();
        let mut age = total;
        let ages: Vec<i64> = gaps.iter().map(|gap| { age -= gap; age }).collect();
        let now = Arc::new(AtomicI64::new(0));
        let broken = Arc::new(AtomicI64::new(-1));
        let (server_now, server_broken, served) = (now.clone(), broken.clone(), ages.clone());
        let mut bench = Bench::new(move |seen| {
            let at = server_now.load(Ordering::SeqCst);
            let mut shown: Vec<usize> = (0..served.len()).filter(|n| served[*n] >= at).collect();
            shown.reverse();
            let after = query(seen, "after").map_or(0, |id| {
                shown.iter().position(|n| format!("t3_x{n}") == id).map_or(0, |at| at + 1)
            });
            if server_broken.load(Ordering::SeqCst) == (after / limit) as i64 {
                return Reply::new(501);
            }
            let end = (after + limit).min(shown.len());
            let children = shown[after..end].iter().map(|n| post(&format!("x{n}"), served[*n])).collect();
            let next = (end < shown.len()).then(|| format!("t3_x{}", shown[end - 1]));
            page(children, next.as_deref())
        });
        let mut stream = Stream::default();
        let mut left = total;
        let mut captured = BTreeSet::new();
        for (wait, fault) in &polls {
            left -= wait;
            now.store(left, Ordering::SeqCst);
            broken.store(fault.map_or(-1, |page| page as i64), Ordering::SeqCst);
            bench.context.now_ms = NOW - left * 1000;
            let out = bench.try_read("new r/pharmacy", &stream).unwrap();
            prop_assert_eq!(out.counts.duplicate, 0);
            for id in out.ids() {
                prop_assert!(captured.insert(id.to_string()), "{} twice", id);
            }
            stream.apply(&out.reached, bench.context.now_ms, 0);
            for (n, age) in ages.iter().enumerate() {
                let created = NOW - age * 1000;
                let here = captured.contains(&["t3_x", &n.to_string()].concat());
                prop_assert!(here || !stream.covers(created, created + 1), "{} was not captured", n);
            }
        }
    }
}
