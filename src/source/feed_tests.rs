//! Feeds as they are and as they break, read from a server that answers by script.

use super::super::net_bench::{Bench, NOW_MS, Read, ms};
use super::*;
use crate::http::fake::{Fake, Reply};

fn read(bench: &Bench, def: &FeedDef, before: &Stream) -> Read {
    let stream = def.streams().into_keys().next().unwrap();
    bench.read(|net, intake| read_feed(def, &stream, before, net, intake)).unwrap()
}

/// One reading of one answer, without anything before.
fn first(platform: &str, reply: Reply) -> Read {
    let server = Fake::script([reply]);
    let def = FeedDef::new("f", platform, [server.url("/feed")]);
    read(&Bench::new(&[&server]), &def, &Stream::default())
}

fn after(read: &Read) -> Stream {
    let mut stream = Stream::default();
    stream.apply(&read.reached, NOW_MS, 900_000);
    stream
}

const RSS: &str = r#"<?xml version="1.0"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:media="http://search.yahoo.com/mrss/"><channel>
<title>Pharmacy news</title><link>https://blog.example/</link>
<item><guid isPermaLink="false">n-2</guid><title>Refills &amp;amp; more</title><link>https://blog.example/2</link>
<description>Short.</description><content:encoded><![CDATA[<p>One &amp; <b>two</b></p><p>three</p>]]></content:encoded>
<dc:creator>Ann Writer</dc:creator><pubDate>Mon, 09 Nov 2026 08:00:00 GMT</pubDate>
<media:content url="https://x/y" duration="99999999999999999999999"/></item>
<item><title>No id</title><link>/1</link><description>Body &lt;i&gt;here&lt;/i&gt;</description>
<author>–bob@blog.example</author><pubDate>Sun, 08 Nov 2026 08:00:00 +0100</pubDate></item>
<item><guid>n-0</guid><title>No time</title></item>
</channel></rss>"#;

#[test]
fn a_feed_that_begins_with_a_quoted_page_is_a_feed() {
    let feed = r#"<?xml version="1.0"?><rss version="2.0"><channel><title>n</title><item><guid>a</guid><title>late</title><pubDate>Mon, 09 Nov 2026 08:00:00 GMT</pubDate><description><![CDATA[<!DOCTYPE html><html><body>again</body></html>]]></description></item></channel></rss>"#;
    let read = first("blog", Reply::text(feed));
    assert_eq!(read.ids(), ["a"], "{:?}", read.end());
}

#[test]
fn an_rss_feed_is_read_whole() {
    let read = first("blog", Reply::new(200).header("content-type", "application/rss+xml").body(RSS));
    // The port is another each time.
    let rows = serde_json::to_string_pretty(&read.rows()).unwrap();
    insta::with_settings!({ filters => vec![(r"127\.0\.0\.1:\d+", "server")] }, {
        insta::assert_snapshot!(rows);
    });
    assert_eq!(read.aside(), [("missing_created_at", 1)]);
    assert_eq!(read.end(), ("complete", None));
    assert_eq!(read.reached.covered, Some((ms("2026-11-08T07:00:00.001Z"), NOW_MS)));
    assert_eq!((read.reached.pages, read.reached.requests), (1, 1));
}

#[test]
fn entries_of_days_outside_of_the_project_are_counted_and_not_taken_in() {
    let server = Fake::script([Reply::text(RSS)]);
    let mut bench = Bench::new(&[&server]);
    bench.context.start = "2026-11-09".parse().unwrap();
    let read = read(&bench, &FeedDef::new("f", "blog", [server.url("/feed")]), &Stream::default());
    assert_eq!(read.ids(), ["n-2"]);
    assert_eq!(read.aside(), [("missing_created_at", 1)]);
    let counts = &read.output.counts;
    assert_eq!((counts.records_in, counts.good, counts.outside), (2, 1, 1));
    assert!(counts.adds_up());
    assert_eq!(
        read.reached.covered,
        Some((ms("2026-11-08T07:00:00.001Z"), NOW_MS)),
        "it was seen all the same"
    );
}

#[test]
fn older_and_other_dialects_are_read() {
    let item = "<item><title>t</title><link>https://x.example/1</link><description>d</description></item>";
    let rdf = |namespace: &str| {
        let dc = "xmlns:dc=\"http://purl.org/dc/elements/1.1/\"";
        let item = item.replace("</item>", "<dc:date>2026-11-09T08:00:00Z</dc:date></item>");
        format!(
            r#"<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" {dc} xmlns="{namespace}"><channel><title>c</title></channel>{item}</rdf:RDF>"#
        )
    };
    let rss = |head: &str| {
        let item = item.replace("</item>", "<pubDate>Mon, 09 Nov 2026 08:00:00 GMT</pubDate></item>");
        format!("<rss{head}><channel><title>c</title>{item}</channel></rss>")
    };
    for document in [
        rdf("http://purl.org/rss/1.0/"),
        rdf("http://my.netscape.com/rdf/simple/0.9/"),
        rss(" version=\"0.91\""),
        rss(" version='0.94'"),
        rss(""),
        rss(" version=\"2.0\" xmlns=\"http://backend.userland.com/rss2\""),
        r#"<feed version="0.3" xmlns="http://purl.org/atom/ns#"><title>c</title><entry><title>t</title><id>https://x.example/1</id><link rel="alternate" href="https://x.example/1"/><issued>2026-11-09T08:00:00Z</issued><summary>d</summary></entry></feed>"#.to_string(),
        r#"{"version":"https://jsonfeed.org/version/1.1","title":"c","items":[{"id":"https://x.example/1","url":"https://x.example/1","title":"t","content_text":"d","date_published":"2026-11-09T08:00:00Z"}]}"#.to_string(),
    ] {
        let read = first("blog", Reply::text(document.clone()));
        let rows = read.rows();
        assert_eq!(rows.len(), 1, "{document}\n{:?} {:?}", read.end(), read.aside());
        let of = |key: &str| rows[0][key].as_str().unwrap_or_default().to_string();
        assert_eq!(
            [of("native_id"), of("title"), of("body"), of("created_at"), of("channel")],
            ["https://x.example/1", "t", "d", "2026-11-09T08:00:00.000Z", "c"],
            "{document}"
        );
    }
}

#[test]
fn reddits_own_feeds_are_reddits_posts() {
    let feed = r#"<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom"><title>newest : pharmacy</title>
<entry><author><name>/u/some_one</name><uri>https://www.reddit.com/user/some_one</uri></author><category term="pharmacy" label="r/pharmacy"/>
<content type="html">&lt;!-- SC_OFF --&gt;&lt;div class=&quot;md&quot;&gt;&lt;p&gt;R&amp;amp;D &amp;lt;3 it&lt;/p&gt; &lt;/div&gt;&lt;!-- SC_ON --&gt; &amp;#32; submitted by &amp;#32; &lt;a href=&quot;https://www.reddit.com/user/some_one&quot;&gt; /u/some_one &lt;/a&gt;</content>
<id>t3_abc</id><link href="https://www.reddit.com/r/pharmacy/comments/abc/late/"/><updated>2026-11-09T08:00:00+00:00</updated><published>2026-11-09T08:00:00+00:00</published><title>Late &amp;amp; lost</title></entry>
<entry><author><name>/u/other_one</name></author><category term="CVS" label="r/CVS"/>
<content type="html">&amp;#32; submitted by &amp;#32; &lt;a href=&quot;https://www.reddit.com/user/other_one&quot;&gt; /u/other_one &lt;/a&gt;</content>
<id>t3_abd</id><link href="https://www.reddit.com/r/CVS/comments/abd/link/"/><published>2026-11-09T07:00:00+00:00</published><title>A link</title></entry>
<entry><author><name>/u/third_one</name></author><category term="CVS" label="r/CVS"/>
<content type="html">&lt;!-- SC_OFF --&gt;&lt;div class=&quot;md&quot;&gt;&lt;p&gt;me too&lt;/p&gt;&lt;/div&gt;&lt;!-- SC_ON --&gt;</content>
<id>t1_xyz</id><link href="https://www.reddit.com/r/CVS/comments/abd/link/xyz/"/><updated>2026-11-09T06:00:00+00:00</updated><title>/u/third_one on A link on paper</title></entry>
<entry><author><name>/u/[deleted]</name></author><category term="CVS" label="r/CVS"/><content type="html">&lt;!-- SC_OFF --&gt;&lt;div class=&quot;md&quot;&gt;&lt;p&gt;[removed]&lt;/p&gt;&lt;/div&gt;&lt;!-- SC_ON --&gt;</content>
<id>t3_abe</id><updated>2026-11-09T05:00:00+00:00</updated><title>gone</title></entry></feed>"#;
    let read = first("reddit", Reply::text(feed));
    let rows = read.rows();
    let shown: Vec<String> = rows
        .iter()
        .map(|r| {
            format!(
                "{} {} {} | {} | {} | {} {}",
                r["native_id"],
                r["post_type"],
                r["channel"],
                r["title"],
                r["body"],
                r["link_title"],
                r["deleted"]
            )
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
    let all = serde_json::to_string(&rows).unwrap();
    for name in ["some_one", "other_one", "third_one"] {
        assert!(!all.contains(name), "{name} in {all}");
    }
    // The same person is the same word as in Reddit's other records.
    let same = crate::source::Redactor::new(&Bench::new(&[]).context.privacy);
    assert_eq!(rows[0]["author"], same.replace("some_one").unwrap().as_ref());
}

#[test]
fn a_json_feeds_items_keep_their_own_bytes() {
    let items = r#"[{"id": 7, "date_published":"2026-11-09T08:00:00Z","content_html":"<p>a &lt; b</p>", "authors":[{"name":"Ann Writer"}],"_x":1e2},
        {"id":"8","title":[1],"date_published":"2026-11-09T07:00:00Z"}, 3,
        {"id":"9","title":"t","date_published":"soon"},
        {"id":"10","title":"t","author":{"name":"Bob"},"date_modified":"2026-11-09T06:00:00Z","url":"javascript:alert(1)"}]"#;
    let feed = format!(r#"{{"version":"https://jsonfeed.org/version/1","title":"c","items":{items}}}"#);
    let read = first("blog", Reply::json(feed));
    let rows = read.rows();
    assert_eq!(read.ids(), ["7", "10"]);
    assert_eq!(rows[0]["body"], "a < b");
    assert_eq!(
        rows[0]["raw"],
        r#"{"id": 7, "date_published":"2026-11-09T08:00:00Z","content_html":"<p>a &lt; b</p>", "authors":null,"_x":1e2}"#
    );
    assert_eq!(
        (&rows[1]["url"], &rows[1]["edited_at"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    assert!(rows.iter().all(|r| r["author"].as_str().is_some_and(|a| a.len() == 16)));
    assert_eq!(read.aside(), [("bad_created_at", 1), ("mistyped:title", 1), ("not_an_object", 1)]);
}

#[test]
fn what_is_no_feed_fails_with_words() {
    let bomb = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE z [<!ENTITY a \"{}\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]><rss version=\"2.0\"><channel><item><guid>1</guid><title>&b;</title><pubDate>Mon, 09 Nov 2026 08:00:00 GMT</pubDate></item></channel></rss>",
        "x".repeat(1000)
    );
    let read = first("blog", Reply::text(bomb));
    assert_eq!(read.rows()[0]["title"], "&b;", "an entity of the document is not expanded");
    let unknown = "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" xmlns=\"urn:else\"><channel/><item/><item >x</item></rdf:RDF>";
    let deep = format!("<rss version=\"2.0\"><channel>{}", "<a>".repeat(100_000));
    for (reply, reach, why) in [
        (
            Reply::html("<!DOCTYPE html><html><body>Sign in</body></html>"),
            "failed",
            "answered with HTML, not a feed",
        ),
        (
            Reply::text("<?xml version=\"1.0\"?>\n<!doctype HTML><p>"),
            "failed",
            "answered with HTML, not a feed",
        ),
        (Reply::text(""), "failed", "answered with an empty body, not a feed"),
        (Reply::text("hello"), "failed", "answered with something that is not a feed"),
        (Reply::text("<a><b/></a>"), "failed", "answered with something that is not a feed"),
        (Reply::json("{\"items\":[]}"), "failed", "answered with JSON that is not a JSON Feed"),
        (Reply::text(RSS.split_at(900).0), "failed", "the feed is broken: it is not well-formed"),
        (Reply::text(unknown), "failed", "the feed's entries are of a dialect that is not read"),
        (Reply::text(deep), "failed", "the feed is broken: it is not well-formed"),
        (Reply::giant(vec![b' '; 1 << 20], 17), "failed", "the answer is too long"),
        (Reply::new(403), "blocked", "forbidden (403)"),
        (Reply::new(404), "blocked", "not there (404)"),
        (Reply::new(418), "failed", "HTTP 418 from 127.0.0.1"),
    ] {
        let read = first("blog", reply);
        let (word, reason) = read.end();
        assert_eq!(word, reach, "{why}");
        assert!(reason.unwrap().ends_with(why), "{reason:?} is not {why}");
        assert_eq!(read.output.counts.records_in, 0);
        assert_eq!(read.reached.covered, None);
    }
}

#[test]
fn one_broken_entry_does_not_take_the_others_with_it() {
    let item = |n: u32, title: &str| {
        format!(
            "<item><guid>{n}</guid><title>{title}</title><author>ann@example.org</author>\
             <pubDate>Mon, 09 Nov 2026 08:0{n}:00 GMT</pubDate></item>"
        )
    };
    let feed = format!(
        "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>T</title>{}{}{}</channel></rss>\n",
        item(1, "one"),
        item(2, "R&D <b>two</i>"),
        item(3, "three")
    );
    let read = first("blog", Reply::text(feed.clone()));
    assert_eq!(read.end(), ("complete", None));
    assert_eq!(read.ids(), ["1", "3"]);
    assert_eq!(read.aside(), [("broken_entry", 1)]);
    let set_aside = read.output.quarantine.read().unwrap();
    assert!(set_aside.iter().all(|q| q.sample.is_empty()), "an author may stand in it");
    // Without its end the document was cut, and is asked for again.
    let cut = feed.replace("</channel></rss>", "");
    assert_eq!(first("blog", Reply::text(cut)).end().0, "failed");
}

#[test]
fn a_server_that_fails_is_told_apart_and_nothing_is_forgotten() {
    let server = Fake::script([Reply::new(503).header("retry-after", "7")]);
    let def = FeedDef::new("f", "blog", [server.url("/feed?token=canary")]);
    let mut before = Stream::default();
    before.cursor.newest = vec!["a".to_string()];
    before.cursor.etag = Some("\"v\"".to_string());
    let bench = Bench::new(&[&server]);
    let read = read(&bench, &def, &before);
    assert_eq!(read.end().0, "failed");
    assert_eq!(read.end().1.map(|r| r.starts_with("HTTP 503 from 127.0.0.1")), Some(true));
    assert!(!format!("{:?}", read.reached).contains("canary"));
    assert!(!def.streams().into_keys().any(|name| name.contains("canary")));
    assert_eq!(read.reached.cursor, before.cursor);
    assert_eq!(read.reached.requests as usize, server.requests().len());
    assert!(read.reached.retry_at_ms.is_some());
}

#[test]
fn a_charset_is_taken_from_where_it_stands() {
    let feed = |head: &str| {
        let mut bytes =
            format!("{head}<rss version=\"2.0\"><channel><item><guid>1</guid><title>caf").into_bytes();
        bytes.extend_from_slice(
            b"\xe9</title><pubDate>Mon, 09 Nov 2026 08:00:00 GMT</pubDate></item></channel></rss>",
        );
        bytes
    };
    let title = |reply: Reply| first("blog", reply).rows()[0]["title"].clone();
    assert_eq!(title(Reply::text(feed("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>"))), "café");
    let named = Reply::new(200).header("content-type", "text/xml; charset=windows-1252").body(feed(""));
    assert_eq!(title(named), "café");
    assert_eq!(title(Reply::text(feed("<?xml version=\"1.0\" encoding='utf-8'?>"))), "caf\u{fffd}");
    let wide: Vec<u8> = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-16\"?><rss version=\"2.0\"><channel><item><guid>1</guid><title>café</title><pubDate>Mon, 09 Nov 2026 08:00:00 GMT</pubDate></item></channel></rss>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(title(Reply::text(wide)), "café");
}

fn rss(entries: &[(&str, &str)]) -> Reply {
    let items: String = entries
        .iter()
        .map(|(id, at)| {
            format!("<entry><id>{id}</id><title>t {id}</title><published>{at}:00Z</published></entry>")
        })
        .collect();
    Reply::text(format!("<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>c</title>{items}</feed>"))
}

/// A second reading, 15 minutes behind the first.
fn second(one: Reply, two: Reply) -> (Read, Read) {
    let server = Fake::script([one.header("etag", "\"1\""), two]);
    let def = FeedDef::new("f", "blog", [server.url("/feed")]);
    let mut bench = Bench::new(&[&server]);
    let before = read(&bench, &def, &Stream::default());
    bench.context.now_ms = NOW_MS + 900_000;
    let stream = after(&before);
    let now = read(&bench, &def, &stream);
    assert_eq!(server.requests()[1].header("if-none-match"), Some("\"1\""));
    (before, now)
}

#[test]
fn readings_join_where_something_known_is_still_shown() {
    let day = |hour: &str| format!("2026-11-10T{hour}");
    let (ten, eleven, noon) = (day("10:00"), day("11:00"), day("12:05"));
    let one = || rss(&[("b", &eleven), ("a", &ten)]);

    let (before, now) = second(one(), rss(&[("c", &noon), ("b", &eleven)]));
    assert_eq!(before.reached.covered, Some((ms("2026-11-10T10:00:00.001Z"), NOW_MS)));
    assert_eq!(now.end(), ("complete", None));
    assert_eq!(now.reached.covered, Some((NOW_MS, NOW_MS + 900_000)));

    // Not even the last one known is shown, and the oldest is younger than the last reading.
    let (_, now) = second(one(), rss(&[("e", "2026-11-10T12:10"), ("d", "2026-11-10T12:08")]));
    assert_eq!(now.end(), ("partial", Some("entries may have passed between two readings")));
    assert_eq!(now.reached.covered, Some((ms("2026-11-10T12:08:00.001Z"), NOW_MS + 900_000)));
    let mut stream = Stream::default();
    stream.apply(&before.reached, NOW_MS, 1);
    stream.apply(&now.reached, NOW_MS + 900_000, 1);
    assert_eq!(stream.covered.len(), 2, "the gap stays");

    // The known ones were deleted, but an older one shows that the feed goes back far enough.
    let (_, now) = second(one(), rss(&[("c", &noon), ("0", "2026-11-09T01:00")]));
    assert_eq!(now.end(), ("complete", None));

    // An old entry pinned above the others shows nothing.
    let (_, now) = second(one(), rss(&[("a", &ten), ("e", "2026-11-10T12:10"), ("d", "2026-11-10T12:08")]));
    assert_eq!(now.end().0, "partial");

    // Oldest first is an order too.
    let (_, now) = second(one(), rss(&[("b", &eleven), ("c", &noon)]));
    assert_eq!(now.end(), ("complete", None));

    let (_, now) = second(one(), rss(&[]));
    assert_eq!(now.end(), ("partial", Some("the feed shows no entries, but did before")));
    assert_eq!(now.reached.cursor.newest, ["b", "a"]);
}

#[test]
fn an_unchanged_feed_is_complete_without_a_record() {
    let (_, now) = second(rss(&[("a", "2026-11-10T10:00")]), Reply::new(304));
    assert_eq!(now.end(), ("complete", None));
    assert_eq!(now.reached.covered, Some((NOW_MS, NOW_MS + 900_000)));
    assert_eq!(now.output.counts.records_in, 0);
    assert_eq!(now.reached.cursor.etag.as_deref(), Some("\"1\""));
}

#[test]
fn a_stop_ends_the_reading() {
    let server = Fake::script([Reply::text(RSS)]);
    let def = FeedDef::new("f", "blog", [server.url("/feed")]);
    let bench = Bench::new(&[&server]);
    bench.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let stream = def.streams().into_keys().next().unwrap();
    let ended = bench.read(|net, intake| read_feed(&def, &stream, &Stream::default(), net, intake));
    assert!(matches!(ended.err(), Some(SourceError::Canceled)));
    assert!(server.requests().is_empty());
}

#[test]
fn a_definition_is_checked() {
    assert!(FeedDef::new("f", "blog", ["https://x.example/feed"]).problems().is_empty());
    let wrong = FeedDef::new("f", "blog", ["ftp://x.example/", "https://a@x.example/", "nothing"]);
    assert_eq!(wrong.problems().len(), 3);
    assert_eq!(FeedDef::new("f", "blog", Vec::<String>::new()).problems().len(), 1);
}
