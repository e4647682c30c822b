//! Apple's pages, read from a server that answers by script.

use super::super::net_bench::{Bench, NOW_MS, Read, ms};
use super::*;
use crate::envelope::format_millis;
use crate::http::fake::{Fake, Reply, Seen};

const HOUR: i64 = 3_600_000;
/// Between two reviews of a [`store`].
const GAP: i64 = 10 * HOUR;

fn review(id: u32, at_ms: i64) -> String {
    format!(
        r#"{{"author":{{"name":{{"label":"Jo {id}"}}}},"updated":{{"label":"{}"}},"im:rating":{{"label":"1"}},"id":{{"label":"{id}"}},"title":{{"label":"t"}},"content":{{"label":"body {id}"}}}}"#,
        format_millis(at_ms)
    )
}

fn answer(reviews: &[String], last: Option<u32>) -> Reply {
    let link = last.map_or(String::new(), |last| {
        format!(r#","link":[{{"attributes":{{"rel":"last","href":"https://x/page={last}/id=1"}}}}]"#)
    });
    Reply::json(format!(r#"{{"feed":{{"entry":[{}]{link}}}}}"#, reviews.join(",")))
}

fn number(seen: &Seen) -> u32 {
    seen.path.split("/page=").nth(1).unwrap().split('/').next().unwrap().parse().unwrap()
}

/// `pages` pages of five reviews, ten hours apart, the newest ten hours ago.
fn store(pages: u32, tells_last: bool) -> Fake {
    Fake::start(move |seen| {
        let number = number(seen);
        let from = (number - 1) * 5;
        let reviews: Vec<String> = (from..from + 5)
            .filter(|_| number <= pages)
            .map(|n| review(1000 - n, NOW_MS - GAP * i64::from(n + 1)))
            .collect();
        answer(&reviews, tells_last.then_some(pages))
    })
}

fn read_with(bench: &Bench, server: &Fake, before: &Stream) -> Read {
    let def = AppStoreDef { base_url: server.url(""), ..AppStoreDef::new("apps", "1234", ["us"]) };
    bench.read(|net, intake| read_app_store(&def, "us", before, net, intake)).unwrap()
}

fn read(server: &Fake) -> Read {
    read_with(&Bench::new(&[server]), server, &Stream::default())
}

#[test]
fn pages_are_read_to_their_end() {
    for tells_last in [true, false] {
        let server = store(3, tells_last);
        let read = read(&server);
        assert_eq!(read.end(), ("complete", None));
        assert_eq!(read.reached.covered, Some((0, NOW_MS)));
        assert_eq!(read.ids(), (0..15).map(|n| (1000 - n).to_string()).collect::<Vec<_>>());
        assert_eq!((read.reached.pages, read.reached.requests), (3, if tells_last { 3 } else { 4 }));
        assert_eq!(
            server.requests()[0].path,
            "/us/rss/customerreviews/page=1/id=1234/sortBy=mostRecent/json"
        );
        assert_eq!(read.rows()[0]["channel"], "1234/us");
        assert!(!serde_json::to_string(&read.rows()).unwrap().contains("Jo "));
    }
}

#[test]
fn ten_pages_are_all_that_apple_shows() {
    let server = store(50, true);
    let read = read(&server);
    assert_eq!(read.end(), ("partial", Some("Apple shows the newest 500 reviews only")));
    assert_eq!(read.reached.requests, 10);
    assert_eq!(read.reached.covered, Some((NOW_MS - 50 * GAP + 1, NOW_MS)));
}

#[test]
fn a_later_reading_ends_where_it_passes_the_last_one() {
    let server = store(50, true);
    let bench = Bench::new(&[&server]);
    let before = Stream {
        covered: vec![(0, NOW_MS - 24 * HOUR)],
        newest_ms: Some(NOW_MS - 10 * HOUR),
        ..Stream::default()
    };
    let read = read_with(&bench, &server, &before);
    assert_eq!(read.end(), ("complete", None));
    // The first two pages end 50 and 100 hours ago, and a review may appear 72 hours late.
    assert_eq!(read.reached.requests, 2);
    assert_eq!(read.reached.covered.map(|c| c.0), before.seen_until());
    assert_eq!(read.reached.cursor.newest[0], "1000");
}

#[test]
fn a_reading_stops_where_the_project_begins() {
    let server = store(50, true);
    let mut bench = Bench::new(&[&server]);
    // Eight reviews are younger; the second page ends a hundred hours ago.
    bench.context.start = bench.context.day_of_ms(NOW_MS - 3 * 24 * HOUR);
    let start = bench.context.day_bounds(bench.context.start).0;
    let read = read_with(&bench, &server, &Stream::default());
    assert_eq!((read.end(), read.reached.requests), (("complete", None), 2));
    assert_eq!(read.reached.covered, Some((NOW_MS - 10 * GAP + 1, NOW_MS)));
    let inside = (0..10).filter(|n| NOW_MS - GAP * (n + 1) >= start).count() as u64;
    let counts = &read.output.counts;
    assert_eq!((counts.records_in, counts.outside), (inside, 10 - inside));
    assert!((5..10).contains(&inside) && counts.adds_up() && counts.quarantined.is_empty(), "{counts:?}");
}

#[test]
fn one_entry_none_and_the_app_itself() {
    let app =
        r#"{"im:name":{"label":"App"},"id":{"label":"app"},"updated":{"label":"2026-11-01T00:00:00Z"}}"#;
    let server = Fake::script([
        answer(&[app.to_string(), review(1, NOW_MS - HOUR)], None),
        Reply::json(format!(r#"{{"feed":{{"entry":{}}}}}"#, review(2, NOW_MS - 2 * HOUR))),
        answer(&[app.to_string(), review(3, NOW_MS - 3 * HOUR)], None),
        Reply::json(format!(r#"{{"feed":{{"entry":{app}}}}}"#)),
    ]);
    let read = read(&server);
    assert_eq!(read.ids(), ["1", "2", "3"]);
    assert_eq!((read.output.counts.records_in, read.aside()), (3, vec![]), "the app leads every page");
    assert_eq!((read.end().0, read.reached.requests), ("complete", 4));
}

#[test]
fn a_review_without_a_time_is_set_aside() {
    let without = review(1, 0).replace(r#""updated":{"label":"1970-01-01T00:00:00.000Z"},"#, "");
    let server = Fake::script([answer(&[without, "7".to_string()], Some(1))]);
    let read = read(&server);
    assert_eq!(read.aside(), [("missing_created_at", 1), ("not_an_object", 1)]);
    let samples: Vec<String> = read.output.quarantine.read().unwrap().into_iter().map(|q| q.sample).collect();
    assert!(!samples.concat().contains("Jo 1"), "{samples:?}");
    assert_eq!(read.end(), ("complete", None));
}

#[test]
fn pages_that_repeat_are_found_at_once() {
    for last in [None, Some(7)] {
        let reviews: Vec<String> = (0..5).map(|n| review(n, NOW_MS - HOUR)).collect();
        let server = Fake::script([answer(&reviews, last)]);
        let read = read(&server);
        assert_eq!(read.end(), ("partial", Some("the pages repeat")), "{last:?}");
        assert_eq!((read.reached.requests, read.output.counts.good), (2, 5));
        assert_eq!(read.reached.covered, None);
    }
}

#[test]
fn pages_before_a_failure_are_kept() {
    for (reply, reach, why) in [
        (Reply::html("<html>"), "failed", "answered with HTML, not JSON"),
        (Reply::json(r#"{"feed":{"entry":[{"id""#), "failed", "answered with broken JSON"),
        (Reply::new(403), "blocked", "forbidden (403)"),
        (Reply::new(500), "failed", "HTTP 500 from"),
        (answer(&[], Some(7)), "partial", "a page before the last one was empty"),
    ] {
        let first = answer(&[review(1, NOW_MS - HOUR)], Some(7));
        let server = Fake::start(move |seen| if number(seen) == 1 { first.clone() } else { reply.clone() });
        let read = read(&server);
        assert_eq!(read.end().0, reach, "{why}");
        assert!(read.end().1.unwrap().contains(why), "{:?} is not {why}", read.end());
        assert_eq!(read.ids(), ["1"]);
        assert_eq!(read.reached.covered, None);
        assert_eq!(read.reached.requests as usize, server.requests().len());
    }
}

#[test]
fn reviews_that_were_there_and_are_not_are_no_empty_day() {
    let server = Fake::script([Reply::json(r#"{"feed":{}}"#)]);
    let bench = Bench::new(&[&server]);
    assert_eq!(read_with(&bench, &server, &Stream::default()).end(), ("complete", None));
    let before = Stream { newest_ms: Some(ms("2026-11-01T00:00:00.000Z")), ..Stream::default() };
    let read = read_with(&bench, &server, &before);
    assert_eq!(read.end(), ("partial", Some("Apple shows no reviews, but did before")));
}

#[test]
fn a_definition_is_checked() {
    assert!(AppStoreDef::new("a", "1234", ["us", "de"]).problems().is_empty());
    assert_eq!(AppStoreDef::new("a", "id12", ["USA"]).problems().len(), 2);
    assert_eq!(AppStoreDef::new("a", "1", Vec::<String>::new()).problems().len(), 1);
}
