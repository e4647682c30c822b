//! Pages in the shape of an old forum's search, read from a server that answers by script.

use super::super::net_bench::{Bench, NOW_MS, Read, ms};
use super::*;
use crate::http::fake::{Fake, Reply, Seen};

fn def(server: &Fake) -> CrawlDef {
    let some = |text: &str| Some(text.to_string());
    let fields = CrawlFields {
        title: some("a.search-title"),
        body: some(".search-result-body .md"),
        url: some("a.search-title"),
        id: some("@data-fullname"),
        created_at: "span.search-time time@datetime".to_string(),
        author: some("a.author"),
        score: some("span.search-score"),
        num_comments: some("a.search-comments"),
        channel: some("a.search-subreddit-link"),
    };
    let item = "div.search-result-link[data-fullname]";
    let mut def = CrawlDef::new("forum", "reddit", [server.url("/search?q=pharmacy&sort=new")], item, fields);
    def.next = some(".nextprev a[rel~=next]");
    def
}

fn item(id: &str, at: &str) -> String {
    format!(
        r#"<div class="search-result search-result-link" data-fullname="t3_{id}"><a class="search-title" href="/r/pharmacy/comments/{id}/x/">Title &amp; {id}</a>
        <span class="search-score">1,0{len} points</span> <a class="search-comments">3 comments</a>
        <span class="search-time"><time datetime="2026-11-{at}:00+00:00">then</time></span> by <a class="author">someone_{id}</a>
        to <a class="search-subreddit-link">r/pharmacy</a><div class="search-result-body"><div class="md"><p>Body</p><p>of {id}</p></div></div></div>"#,
        len = 10 + id.len()
    )
}

fn html(items: &[String], next: Option<&str>) -> Reply {
    // A result that is a forum, not a post.
    let forum = r#"<div class="search-result search-result-subreddit"><a class="search-title" href="/r/pharmacy">r/pharmacy</a></div>"#;
    let next = next.map_or(String::new(), |to| {
        format!(r#"<span class="nextprev"><a rel="nofollow next" href="{to}">next</a></span>"#)
    });
    Reply::html(format!("<!doctype html><html><body>{forum}{}{next}</body></html>", items.concat()))
}

/// A server whose robots.txt allows everything.
fn site(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Fake {
    Fake::start(move |seen| match seen.path.as_str() {
        "/robots.txt" => Reply::text("User-agent: *\nDisallow: /private\nCrawl-delay: 5\n"),
        _ => answer(seen),
    })
}

fn read_with(bench: &Bench, def: &CrawlDef, before: &Stream) -> Read {
    let stream = def.streams().into_keys().next().unwrap();
    bench.read(|net, intake| read_crawl(def, &stream, before, net, intake)).unwrap()
}

fn read(server: &Fake) -> Read {
    read_with(&Bench::new(&[server]), &def(server), &Stream::default())
}

fn two_pages() -> Fake {
    site(|seen| match seen.query.contains("after") {
        false => html(&[item("a", "09T10:00"), item("b", "09T09:00")], Some("/search?q=pharmacy&after=b")),
        true => html(&[item("c", "08T10:00")], None),
    })
}

#[test]
fn posts_are_found_on_pages_and_forums_are_not() {
    let server = two_pages();
    let bench = Bench::new(&[&server]);
    let read = read_with(&bench, &def(&server), &Stream::default());
    assert_eq!(read.ids(), ["t3_a", "t3_b", "t3_c"]);
    assert_eq!(read.end(), ("complete", None));
    assert_eq!(read.reached.covered, Some((ms("2026-11-08T10:00:00.001Z"), NOW_MS)));
    // robots.txt is a request like any other.
    assert_eq!((read.reached.pages, read.reached.requests), (2, 3));
    assert_eq!(server.requests().len(), 3);
    let row = &read.rows()[0];
    assert_eq!(row["title"], "Title & a");
    assert_eq!(row["body"], "Body\nof a");
    assert_eq!(row["url"], server.url("/r/pharmacy/comments/a/x/"));
    assert_eq!((row["score"].as_i64(), row["num_comments"].as_i64()), (Some(1011), Some(3)));
    assert_eq!((row["channel"].as_str(), row["post_type"].as_str()), (Some("pharmacy"), Some("post")));
    assert_eq!(row["created_at"], "2026-11-09T10:00:00.000Z");
    assert!(!serde_json::to_string(&read.rows()).unwrap().contains("someone_"));
    // The site asks for five seconds, which is more than the crawl's own two.
    let waited: std::time::Duration = bench.time.waits().iter().sum();
    assert!(waited.as_secs() >= 5, "{:?}", bench.time.waits());
}

#[test]
fn what_robots_txt_disallows_is_not_asked_for() {
    let server = Fake::start(|seen| match seen.path.as_str() {
        "/robots.txt" => Reply::text("User-agent: *\nDisallow: /\n"),
        _ => html(&[item("a", "09T10:00")], None),
    });
    let read = read(&server);
    assert_eq!(read.end(), ("blocked", Some("blocked by robots.txt")));
    assert_eq!(server.requests().iter().map(|seen| seen.path.as_str()).collect::<Vec<_>>(), ["/robots.txt"]);
    assert_eq!(read.output.counts.records_in, 0);
    assert_eq!((read.reached.pages, read.reached.requests), (0, 1), "robots.txt itself");

    // A redirect into what is disallowed is not followed either.
    let server = site(|_| Reply::redirect(302, "/private/search"));
    assert_eq!(self::read(&server).end(), ("blocked", Some("blocked by robots.txt")));
    assert!(!server.requests().iter().any(|seen| seen.path.starts_with("/private")));

    // Rules that cannot be had allow nothing, and are asked for again soon.
    for reply in [Reply::new(500), Reply::reset()] {
        let server = Fake::start(move |_| reply.clone());
        let read = self::read(&server);
        assert_eq!(read.end(), ("failed", Some("robots.txt cannot be read")));
        let mut stream = Stream::default();
        stream.apply(&read.reached, NOW_MS, 86_400_000);
        assert!(stream.not_before_ms < NOW_MS + 3_600_000, "as soon as after any failure");
        assert!(!server.requests().iter().any(|seen| seen.path != "/robots.txt"));
    }
}

#[test]
fn a_later_reading_ends_where_it_joins() {
    let server = two_pages();
    let bench = Bench::new(&[&server]);
    let joined = Stream { covered: vec![(0, ms("2026-11-09T09:30:00.000Z"))], ..Stream::default() };
    let read = read_with(&bench, &def(&server), &joined);
    assert_eq!((read.end(), read.reached.pages), (("complete", None), 1));
    assert_eq!(read.reached.covered.map(|c| c.0), joined.seen_until());
    let apart = Stream { covered: vec![(0, ms("2026-11-01T00:00:00.000Z"))], ..Stream::default() };
    let read = read_with(&bench, &def(&server), &apart);
    assert_eq!(read.end(), ("partial", Some("items may have passed between two readings")));
}

#[test]
fn a_reading_stops_where_the_project_begins() {
    let server = site(|seen| {
        let n = seen.query.split("page=").nth(1).map_or(0, |n| n.parse::<u32>().unwrap());
        let items = [
            item(&format!("a{n}"), &format!("{:02}T10:00", 9 - n)),
            item(&format!("b{n}"), &format!("{:02}T09:00", 9 - n)),
        ];
        html(&items, Some(&format!("/search?page={}", n + 1)))
    });
    let mut bench = Bench::new(&[&server]);
    bench.context.start = "2026-11-08".parse().unwrap();
    let read = read_with(&bench, &def(&server), &Stream::default());
    assert_eq!((read.end(), read.reached.pages), (("complete", None), 3));
    assert_eq!(read.reached.covered, Some((ms("2026-11-07T09:00:00.001Z"), NOW_MS)));
    assert_eq!(read.ids(), ["t3_a0", "t3_b0", "t3_a1", "t3_b1"]);
    let counts = &read.output.counts;
    assert_eq!((counts.records_in, counts.outside, counts.quarantined_total()), (4, 2, 0));
    // Nothing may have passed in between, however long ago the last reading was.
    let apart = Stream { covered: vec![(0, ms("2026-11-01T00:00:00.000Z"))], ..Stream::default() };
    assert_eq!(read_with(&bench, &def(&server), &apart).end(), ("complete", None));
}

#[test]
fn pages_that_lead_nowhere_end_the_reading() {
    for (next, why, requests) in [
        // The same page by the same URL, and by ever new ones.
        ("/search?q=pharmacy&sort=new", "the pages repeat", 2),
        ("/search?page=RANDOM", "the pages repeat", 3),
    ] {
        let server = site(move |seen| {
            html(&[item("a", "09T10:00")], Some(&next.replace("RANDOM", &seen.number.to_string())))
        });
        let read = read(&server);
        assert_eq!(read.end(), ("partial", Some(why)), "{next}");
        assert_eq!(read.reached.requests, requests);
        assert_eq!(read.ids(), ["t3_a"]);
    }
    let server = site(|seen| {
        let n = seen.number;
        html(&[item(&format!("n{n}"), &format!("09T{:02}:00", 23 - n))], Some(&format!("/search?page={n}")))
    });
    let bench = Bench::new(&[&server]);
    let mut def = def(&server);
    def.max_pages = 3;
    let read = read_with(&bench, &def, &Stream::default());
    assert_eq!(read.end(), ("partial", Some("the limit of pages was reached")));
    assert_eq!((read.reached.pages, read.reached.requests), (3, 4));
    // A link to another host is not followed.
    let server = site(|_| html(&[item("a", "09T10:00")], Some("https://elsewhere.example/")));
    assert_eq!(self::read(&server).reached.requests, 2);
}

#[test]
fn what_is_not_as_expected_is_said() {
    let read_of = |reply: Reply| read(&site(move |_| reply.clone()));
    let changed = read_of(Reply::html("<p>A new look!</p>"));
    assert_eq!(changed.end(), ("partial", Some("nothing on the page matches `item`")));
    let mixed = read_of(html(&[item("a", "08T10:00"), item("b", "09T10:00")], None));
    assert_eq!(mixed.end(), ("partial", Some("the items are not in the order of their times")));
    assert_eq!((mixed.ids().len(), mixed.reached.covered), (2, None));
    let timeless = item("a", "08T10:00").replace("datetime=", "title=");
    let odd = item("b", "08T10:00").replace("2026-11-08T10:00:00+00:00", "a while ago");
    let undated = read_of(html(&[timeless, odd], None));
    assert_eq!(undated.aside(), [("bad_created_at", 1), ("missing_created_at", 1)]);
    assert_eq!(undated.end(), ("partial", Some("no item has a time")));
    let deep = read_of(Reply::html("<div>".repeat(100_000)));
    assert_eq!(deep.end().0, "failed");
    assert_eq!(read_of(Reply::new(403)).end().0, "blocked");
    let seconds = item("a", "x").replace("2026-11-x:00+00:00", "1794200000");
    assert_eq!(read_of(html(&[seconds], None)).rows()[0]["created_at"], "2026-11-09T04:53:20.000Z");
}

#[test]
fn a_definition_is_checked() {
    let server = two_pages();
    assert_eq!(def(&server).problems(), Vec::<String>::new());
    let wrong = CrawlDef {
        urls: vec!["ftp://x.example".to_string()],
        item: "div..result".to_string(),
        fields: CrawlFields::default(),
        delay_ms: 10,
        max_pages: 0,
        user_agent: Some("Mozilla/5.0".to_string()),
        ..def(&server)
    };
    insta::assert_snapshot!(wrong.problems().join("\n"));
}
