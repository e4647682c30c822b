//! The archive's pages, read from a server that answers by script.

use serde_json::json;

use super::super::net_bench::{Bench, Read};
use super::*;
use crate::http::fake::{Fake, Reply, Seen};

/// 2026-11-01T00:00:00Z.
const START: i64 = 1_793_491_200;

fn query(seen: &Seen, name: &str) -> String {
    let pair = seen.query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    pair.unwrap_or_default().replace("%2C", ",")
}

fn number(seen: &Seen, name: &str) -> i64 {
    query(seen, name).parse().unwrap()
}

fn limit(seen: &Seen) -> usize {
    query(seen, "limit").parse().unwrap_or(1_000)
}

fn post(n: usize, second: i64) -> serde_json::Value {
    json!({ "id": format!("p{n}"), "title": format!("title {n}"), "selftext": "x", "created_utc": START + second })
}

fn answer(items: &[serde_json::Value]) -> Reply {
    Reply::json(json!({ "data": items }).to_string())
}

fn read_as(server: &Fake, comments: bool) -> Read {
    let def = ArchiveDef {
        name: "archive".into(),
        subreddits: vec!["pharmacy".into()],
        comments,
        base_url: server.url(""),
    };
    let bench = Bench::new(&[server]);
    bench.read(|net, intake| read_day(&def, "2026-11-01".parse().unwrap(), net, intake)).unwrap()
}

/// A server that heeds what it is asked, `inclusive` or not, and one whose posts are those.
fn honest(seconds: Vec<i64>, inclusive: bool) -> Fake {
    Fake::start(move |seen| {
        let (after, before) = (number(seen, "after") + i64::from(!inclusive), number(seen, "before"));
        let found: Vec<_> = seconds
            .iter()
            .enumerate()
            .filter(|(_, s)| (after..before + i64::from(inclusive)).contains(&(START + **s)))
            .map(|(n, s)| post(n, *s))
            .take(limit(seen))
            .collect();
        answer(&found)
    })
}

#[test]
fn days_of_an_archive_that_heeds_what_it_is_asked_are_complete() {
    for inclusive in [false, true] {
        for seconds in [
            vec![],
            (0..7).map(|n| n * 60).collect(),
            (0..100).collect(),
            (0..250).map(|n| n / 3).collect(),
            // More in one second than fit on a page; and the last page is all in one second.
            (0..350).map(|n| 3_600 + n / 300).collect(),
            (0..200).map(|n| if n < 100 { n } else { 200 }).collect(),
            vec![86_399; 100],
        ] as [Vec<i64>; 7]
        {
            let server = honest(seconds.clone(), inclusive);
            let read = read_as(&server, false);
            let told = format!("{} posts, inclusive: {inclusive}", seconds.len());
            assert_eq!(read.end(), ("complete", None), "{told}");
            assert_eq!(read.ids().len(), seconds.len(), "{told}");
            assert!(read.reached.requests <= 9, "{told}: {}", read.reached.requests);
        }
    }
}

#[test]
fn an_archive_that_does_not_heed_what_it_is_asked_is_not_complete() {
    let all: Vec<_> = (0..500).map(|n| post(n, 60 * n as i64)).collect();
    let (ignores_after, ignores_order) = (all.clone(), all.clone());
    let one_more = all.clone();
    type Answers = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;
    let cases: [(&str, Answers); 4] = [
        ("the pages repeat", Box::new(move |seen| answer(&ignores_after[..limit(seen).min(500)]))),
        // A short page is no end where it is the first one again.
        (
            "the pages repeat",
            Box::new(move |seen| answer(&one_more[..if seen.number == 0 { 100 } else { 99 }])),
        ),
        (
            "the pages are not in the order of time",
            Box::new(move |seen| {
                let after = number(seen, "after");
                let newest =
                    ignores_order.iter().rev().filter(|p| p["created_utc"].as_i64().unwrap() > after);
                answer(&newest.take(limit(seen)).cloned().collect::<Vec<_>>())
            }),
        ),
        // New names for ever, all of one second.
        (
            "the pages repeat",
            Box::new(|seen| answer(&(0..100).map(|n| post(seen.number * 100 + n, 5)).collect::<Vec<_>>())),
        ),
    ];
    for (words, reply) in cases {
        let server = Fake::start(reply);
        let read = read_as(&server, false);
        assert_eq!(read.end(), ("partial", Some(format!("r/pharmacy: {words}").as_str())));
        assert_eq!(read.reached.covered, None);
        assert!(read.reached.requests <= 10, "{}", read.reached.requests);
        assert!(!read.ids().is_empty(), "what was had is kept");
    }
}

#[test]
fn what_an_archive_says_of_itself_is_not_in_the_reason() {
    let server = Fake::start(|_| Reply::json(r#"{"data":null,"error":"request 8f3a failed at 12:01"}"#));
    let read = read_as(&server, false);
    assert_eq!(read.end(), ("failed", Some("r/pharmacy: the archive answered with an error")));
    let server = Fake::start(|_| Reply::json(r#"{"data":null}"#));
    assert_eq!(read_as(&server, false).end().1, Some("r/pharmacy: the archive answered without data"));
}

/// A day of comments on 150 posts that are not of the day; `titles` answers for them.
fn comments(titles: impl Fn(&Seen, Vec<String>) -> Reply + Send + Sync + 'static) -> Fake {
    Fake::start(move |seen| match seen.path.as_str() {
        "/api/posts/search" => answer(&[]),
        "/api/comments/search" => {
            let after = number(seen, "after");
            let all = (0..150).map(|n| {
                let post = n % 75;
                json!({ "id": format!("c{n}"), "link_id": format!("t3_q{post}"), "parent_id": format!("t3_q{post}"),
                    "body": "me too", "created_utc": START + 10 * n })
            });
            let found = all.filter(|c| c["created_utc"].as_i64().unwrap() > after);
            answer(&found.take(limit(seen)).collect::<Vec<_>>())
        }
        _ => titles(seen, query(seen, "ids").split(',').map(str::to_string).collect()),
    })
}

fn titled(read: &Read) -> usize {
    read.rows().iter().filter(|row| row["link_title"].is_string()).count()
}

fn lookups(server: &Fake) -> Vec<Vec<String>> {
    let asked = server.requests().into_iter().filter(|seen| seen.path == "/api/posts/ids");
    asked.map(|seen| query(&seen, "ids").split(',').map(str::to_string).collect()).collect()
}

fn known(ids: &[String]) -> Reply {
    // The archive does not have the first two.
    let known = ids.iter().filter(|id| !matches!(id.as_str(), "q0" | "q1"));
    answer(&known.map(|id| json!({ "id": id, "title": format!("about {id}") })).collect::<Vec<_>>())
}

#[test]
fn headlines_are_asked_for_once_and_again_when_the_archive_is_overloaded() {
    let server = comments(|_, ids| known(&ids));
    let read = read_as(&server, true);
    assert_eq!((read.end(), read.ids().len(), titled(&read)), (("complete", None), 150, 146));
    assert_eq!(lookups(&server).len(), 1, "what it does not have is not asked for again");

    let server = comments(|_, ids| if ids.len() > 20 { Reply::new(422) } else { known(&ids) });
    let read = read_as(&server, true);
    assert_eq!((read.end(), titled(&read)), (("complete", None), 146));
    let mut answered: Vec<String> =
        lookups(&server).into_iter().filter(|ids| ids.len() <= 20).flatten().collect();
    answered.sort_unstable();
    answered.dedup();
    assert_eq!(answered.len(), 75);
}

#[test]
fn headlines_that_could_not_be_asked_for_leave_the_day_partial() {
    let replies = [
        Reply::new(422),
        Reply::new(503),
        Reply::new(404),
        Reply::html("<html>"),
        Reply::json(r#"{"data":null}"#),
    ];
    for reply in replies {
        let server = comments(move |_, _| reply.clone());
        let read = read_as(&server, true);
        let words = "the archive could not be asked for the headlines of comments' posts";
        assert_eq!(read.end(), ("partial", Some(words)));
        assert_eq!((read.ids().len(), titled(&read), read.reached.covered), (150, 0, None));
        assert!(lookups(&server).len() <= 5, "it is left alone then: {}", lookups(&server).len());
    }
}
