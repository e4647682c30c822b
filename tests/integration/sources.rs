//! What people see of sources: `source list`, `source test`, coverage, `doctor --online`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::fake::{Fake, Reply, Seen};
use crate::project::{Done, Project, finish};

/// 2026-08-01T00:00:00Z.
const START: i64 = 1_785_542_400;
const DAY: i64 = 86_400;
const SECRET: &str = "a-secret-that-nobody-may-see";

fn number(seen: &Seen, name: &str) -> i64 {
    let pair = seen.query.split('&').find_map(|p| p.strip_prefix(&format!("{name}=")));
    pair.and_then(|v| v.parse().ok()).unwrap_or_else(|| panic!("{name} in {}", seen.query))
}

/// An archive with 250 posts on every day, at most 100 at once; the second day fails while it
/// is told to.
fn archive(broken: &Arc<AtomicBool>) -> Fake {
    let broken = broken.clone();
    Fake::start(move |seen| {
        let (after, before) = (number(seen, "after"), number(seen, "before"));
        let day = (before - 1 - START).div_euclid(DAY);
        if day == 1 && broken.load(Ordering::SeqCst) {
            return Reply::new(403).body("no");
        }
        let posts = (0..250).map(|n| {
            json!({
                "id": format!("d{day}n{n}"), "subreddit": "pharmacy", "author": "somebody",
                "title": format!("Question {n} of day {day}\u{1b}[2J"), "selftext": "late again",
                "created_utc": START + day * DAY + n * 60, "score": n, "num_comments": 0,
                "retrieved_on": START + (day + 2) * DAY,
            })
        });
        let found: Vec<Value> = posts
            .filter(|p| (after + 1..before).contains(&p["created_utc"].as_i64().unwrap()))
            .take(100)
            .collect();
        Reply::json(json!({ "data": found }).to_string())
    })
}

fn with_archive(server: &Fake, end: &str) -> Project {
    let mut project = Project::files("2026-08-01", end);
    project.set("sources.archive.type", "reddit_archive");
    project.set("sources.archive.subreddits", vec!["pharmacy"]);
    project.set("sources.archive.base_url", server.url("").as_str());
    project.set("sources.archive.required", true);
    project.set("assets.raw_posts.sources", vec!["archive"]);
    project.save();
    project
}

fn feed(items: u32) -> Reply {
    let entry = |n: u32| {
        format!(
            "<item><guid>g{n}</guid><title>News {n} \u{202e}of the shop</title><link>https://news.example/{n}</link>\
             <pubDate>Sat, 01 Aug 2026 0{n}:00:00 GMT</pubDate><description>text</description></item>"
        )
    };
    let items: String = (0..items).rev().map(entry).collect();
    Reply::new(200)
        .header("content-type", "application/rss+xml")
        .body(format!("<rss version=\"2.0\"><channel><title>News</title>{items}</channel></rss>"))
}

/// Three sources behind one server: a feed, a forum that robots.txt keeps shut, and a store that
/// is out of order.
fn three() -> (Fake, Project) {
    let server = Fake::start(|seen| match seen.path.as_str() {
        "/robots.txt" => Reply::text("User-agent: *\nDisallow: /forum\n"),
        "/feed" => feed(3),
        path if path.contains("customerreviews") => Reply::new(500),
        _ => Reply::new(404),
    });
    let mut project = Project::files("2026-08-01", "2026-08-03");
    project.set("sources.news.type", "feed");
    project.set("sources.news.urls", vec![server.url("/feed"), server.url("/other")]);
    project.set("sources.forum.type", "crawl");
    project.set("sources.forum.urls", vec![server.url("/forum")]);
    project.set("sources.forum.item", "div");
    project.set("sources.forum.fields.title", "h2");
    project.set("sources.forum.fields.url", "a@href");
    project.set("sources.forum.fields.created_at", "time@datetime");
    for name in ["news", "forum"] {
        project.set(&format!("sources.{name}.allow_hosts"), vec![server.authority()]);
    }
    project.set("sources.store.type", "app_store");
    project.set("sources.store.app_id", "42");
    project.set("sources.store.base_url", server.url("").as_str());
    project.set("sources.store.fallback", vec!["inbox"]);
    project.set("assets.raw_posts.sources", vec!["news", "forum", "store"]);
    project.save();
    (server, project)
}

fn paths(server: &Fake) -> Vec<String> {
    server.requests().into_iter().map(|s| s.path).collect()
}

/// The text without what differs from run to run: the port, and how long things took.
fn steady(server: &Fake, text: &str) -> String {
    let text = text.replace(&server.authority(), "HOST");
    let lines = text.lines().map(|line| match line.rsplit_once(", ") {
        Some((before, _)) if line.contains(" → 2") => format!("{before}, TIME"),
        _ => line.to_string(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn untouched(project: &Project) {
    assert!(!project.path("state").exists(), "a trial writes neither lake nor state");
}

fn test_of(project: &Project, args: &[&str], code: i32) -> Value {
    project.run(&[&["source", "test"], args, &["--format", "json"]].concat()).expect(code).json()
}

#[test]
fn a_trial_takes_one_page_and_writes_nothing() {
    let server = archive(&Arc::default());
    let project = with_archive(&server, "2026-08-04");
    let found = test_of(&project, &["archive"], 0);
    assert_eq!(server.requests().len(), 1, "one page");
    assert_eq!(
        (&found["records_in"], &found["good"], &found["more"], &found["window"]),
        (&json!(100), &json!(100), &json!(true), &json!("2026-08-04")),
        "{found}"
    );
    assert_eq!(found["days"], json!({ "2026-08-04": 100 }));
    assert_eq!(found["brands"], json!({ "everything": 100 }));
    assert_eq!(found["requests"][0]["path"], "/api/posts/search");
    assert_eq!((&found["requests"][0]["status"], &found["status"]), (&json!(200), &json!("complete")));
    assert_eq!(found["examples"][0]["native_id"], "t3_d3n99", "the newest one first");

    // Another day, by its name; and what a terminal is shown of it.
    let shown = project.ok(&["source", "test", "archive", "2026-08-02"]).stdout;
    assert_eq!(server.requests().len(), 2);
    assert_eq!(number(&server.requests()[1], "before"), START + 2 * DAY);
    assert!(!shown.contains('\u{1b}'), "{shown}");
    assert_eq!(
        steady(&server, &shown),
        "archive (reddit_archive), 2026-08-02: a trial, nothing is written
  GET HOST/api/posts/search → 200, 20.1 kB, TIME
records: 100 = 100 good + 0 duplicate + 0 set aside
days: 2026-08-02: 100
posts that name a brand: 100 (everything 100)

written (UTC)        channel   title
2026-08-02 01:39:00  pharmacy  Question 99 of day 1<U+001B>[2J
2026-08-02 01:38:00  pharmacy  Question 98 of day 1<U+001B>[2J
2026-08-02 01:37:00  pharmacy  Question 97 of day 1<U+001B>[2J
2026-08-02 01:36:00  pharmacy  Question 96 of day 1<U+001B>[2J
2026-08-02 01:35:00  pharmacy  Question 95 of day 1<U+001B>[2J

good: one page was read, and there are more"
    );
    let wrong = project.run(&["source", "test", "archive", "2026-09-02"]).expect(2);
    assert!(wrong.stderr.contains("2026-08-01 … 2026-08-04"), "{}", wrong.stderr);
    let wrong = project.run(&["source", "test", "archiv"]).expect(2);
    assert!(wrong.stderr.contains("did you mean `archive`?"), "{}", wrong.stderr);
    untouched(&project);
}

#[test]
fn a_trial_tells_what_is_blocked_and_what_failed() {
    let (server, project) = three();
    let good = test_of(&project, &["news"], 0);
    assert_eq!((&good["records_in"], &good["more"]), (&json!(3), &json!(false)), "{good}");
    assert_eq!(good["window"], server.url("/feed"));

    let other = test_of(&project, &["news", &server.url("/other")], 1);
    assert_eq!(other["status"], "blocked", "{other}");
    let wrong = project.run(&["source", "test", "news", "other"]).expect(2);
    assert!(wrong.stderr.contains("/feed") && wrong.stderr.contains("/other"), "{}", wrong.stderr);

    let blocked = test_of(&project, &["forum"], 1);
    assert_eq!(
        (&blocked["status"], &blocked["reason"]),
        (&json!("blocked"), &json!("blocked by robots.txt"))
    );
    assert!(blocked["advice"].as_str().is_some_and(|a| a.contains("ask its owner")), "{blocked}");
    assert!(!paths(&server).contains(&"/forum".to_string()), "what is shut is not asked for");

    let before = server.requests().len();
    let failed = test_of(&project, &["store"], 1);
    assert_eq!((&failed["status"], &failed["requests"][0]["status"]), (&json!("failed"), &json!(500)));
    assert_eq!(server.requests().len(), before + 1, "tried once");
    let shown = project.run(&["source", "test", "store"]).expect(1).stdout;
    assert!(shown.contains("failed: HTTP 500 from"), "{shown}");
    untouched(&project);
}

#[test]
fn a_trial_reads_one_file() {
    let project = Project::files("2026-08-01", "2026-08-03");
    let none = test_of(&project, &["inbox"], 1);
    assert_eq!((&none["files"], &none["reason"]), (&json!(0), &json!("no file matches in/*")));
    project.write("in/large.ndjson", crate::project::posts("l", 1..=3, 9));
    project.write("in/small.ndjson", crate::project::posts("s", 2..=2, 4) + "no JSON\n");
    let small = test_of(&project, &["inbox"], 0);
    assert_eq!((&small["files"], &small["window"]), (&json!(2), &json!("in/small.ndjson")));
    assert_eq!((&small["good"], &small["reasons"]), (&json!(4), &json!({ "invalid_json": 1 })));
    assert_eq!(small["set_aside"][0]["reason"], "invalid_json");
    assert_eq!(test_of(&project, &["inbox", "in/large.ndjson"], 0)["good"], 27);
    untouched(&project);
    // Days of the project that nothing falls into are told.
    project.write("in/small.ndjson", crate::project::posts("s", 9..=9, 4));
    let shown = project.ok(&["source", "test", "inbox"]).stdout;
    assert!(shown.contains("out_of_range 4") && shown.contains("set `start` and `end`"), "{shown}");
}

#[test]
fn a_trial_of_the_sample_makes_one_day() {
    let project = Project::sample("2026-08-01", "2026-08-03", 60);
    let found = test_of(&project, &["sample", "2026-08-02"], 0);
    assert!(found["good"].as_u64().is_some_and(|n| n > 20), "{found}");
    assert_eq!(
        found["days"].as_object().map(|d| d.keys().collect::<Vec<_>>()),
        Some(vec![&"2026-08-02".into()])
    );
    untouched(&project);
}

fn reddit(server: &Fake) -> Project {
    let mut project = Project::files("2026-08-01", "2026-08-03");
    project.set("sources.reddit.type", "reddit");
    project.set("sources.reddit.client_id_env", "TEST_REDDIT_ID");
    project.set("sources.reddit.client_secret_env", "TEST_REDDIT_SECRET");
    project.set("sources.reddit.user_agent", "linux:rxpulse-test:1 (by /u/nobody)");
    project.set("sources.reddit.subreddits", vec!["pharmacy"]);
    project.set("sources.reddit.base_url", server.url("").as_str());
    project.set("sources.reddit.token_url", server.url("/token"));
    project.set("assets.raw_posts.sources", vec!["reddit"]);
    project.save();
    project
}

/// With the app's id and secret in the environment.
fn let_in(project: &Project, args: &[&str]) -> Done {
    let mut command = project.command(args);
    command.env("TEST_REDDIT_ID", SECRET).env("TEST_REDDIT_SECRET", SECRET);
    finish(command.spawn().unwrap())
}

#[test]
fn reddit_is_asked_for_a_token_and_one_page() {
    let server = Fake::start(|seen| match seen.path.as_str() {
        "/token" => Reply::json(r#"{"access_token":"t","token_type":"bearer","expires_in":3600}"#),
        _ => {
            let post = |n: i64| {
                json!({ "kind": "t3", "data": {
                    "id": format!("p{n}"), "name": format!("t3_p{n}"), "title": format!("Post {n}"),
                    "selftext": "", "subreddit": "pharmacy", "created_utc": START + 3 * DAY - n * 60,
                    "author": "somebody", "score": 1, "num_comments": 0,
                } })
            };
            let children: Vec<Value> = (1..=100).map(post).collect();
            Reply::json(
                json!({ "kind": "Listing", "data": { "after": "t3_p100", "children": children } })
                    .to_string(),
            )
        }
    });
    let project = reddit(&server);
    let missing = test_of(&project, &["reddit"], 1);
    assert_eq!(
        (&missing["status"], &missing["reason"]),
        (&json!("blocked"), &json!("$TEST_REDDIT_ID is not set"))
    );
    assert!(missing["advice"].as_str().is_some_and(|a| a.contains("$TEST_REDDIT_SECRET")), "{missing}");
    assert!(server.requests().is_empty(), "nobody is asked");

    let done = let_in(&project, &["source", "test", "reddit", "--format", "json"]).expect(0);
    let found = done.json();
    assert_eq!(paths(&server), ["/token", "/r/pharmacy/new"]);
    assert_eq!((&found["good"], &found["more"]), (&json!(100), &json!(true)), "{found}");
    let list = let_in(&project, &["source", "list", "--format", "json"]).expect(0);
    assert_eq!(
        list.json()[1]["env"],
        json!([{ "name": "TEST_REDDIT_ID", "set": true }, { "name": "TEST_REDDIT_SECRET", "set": true }])
    );
    let human = let_in(&project, &["source", "list"]).expect(0);
    assert!(human.stdout.contains("$TEST_REDDIT_ID is set"), "{}", human.stdout);
    let doctor = let_in(&project, &["doctor", "--online"]).expect(0);
    assert!(doctor.stdout.contains("pass  online"), "{}", doctor.stdout);
    for one in [&done, &list, &human, &doctor] {
        assert!(!one.stdout.contains(SECRET) && !one.stderr.contains(SECRET), "{}", one.stdout);
    }
}

fn levels(done: &Done, check: &str) -> Vec<(String, String, Option<String>)> {
    let text = |v: &Value| v.as_str().map(str::to_string);
    let list = done.json();
    let found = list.as_array().unwrap().iter().filter(|f| f["check"] == check);
    found.map(|f| (text(&f["level"]).unwrap(), text(&f["found"]).unwrap(), text(&f["fix"]))).collect()
}

#[test]
fn the_doctor_asks_only_when_told_to() {
    let (server, project) = three();
    let offline = project.ok(&["doctor", "--format", "json"]);
    assert!(server.requests().is_empty() && levels(&offline, "online").is_empty());

    let online = project.run(&["doctor", "--online", "--format", "json"]).expect(1);
    let found = levels(&online, "online");
    let level = |source: &str| found.iter().find(|f| f.1.starts_with(&format!("`{source}`"))).unwrap();
    assert_eq!(found.len(), 3, "{found:?}");
    let (good, blocked, failed) = (level("news"), level("forum"), level("store"));
    assert!(good.0 == "pass" && good.1.contains("3 records") && good.2.is_none(), "{good:?}");
    assert!(blocked.0 == "fail" && blocked.1.contains("blocked by robots.txt"), "{blocked:?}");
    assert!(blocked.2.as_deref().is_some_and(|fix| fix.contains("ask its owner")), "{blocked:?}");
    // Another source steps in for this one.
    assert!(failed.0 == "warn" && failed.1.contains("HTTP 500") && failed.2.is_some(), "{failed:?}");
    let only: Vec<String> = paths(&server).into_iter().filter(|p| p == "/feed").collect();
    assert_eq!(only.len(), 1);

    let server = Fake::script([]);
    let project = reddit(&server);
    let done = project.run(&["doctor", "--format", "json"]).expect(1);
    let found = levels(&done, "credentials");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().all(|f| f.0 == "fail" && f.2.as_deref().is_some_and(|fix| fix.contains("approved")))
    );
}

#[test]
fn what_was_reached_is_told_wherever_one_looks() {
    let broken = Arc::new(AtomicBool::new(true));
    let server = archive(&broken);
    let project = with_archive(&server, "2026-08-03");
    let before = project.json(&["source", "list"]);
    let (own, unused) = (&before[0], &before[1]);
    assert_eq!((&own["source"], &unused["source"]), (&json!("archive"), &json!("inbox")));
    assert_eq!((&unused["assets"], &unused["windows_due"]), (&json!([]), &json!(0)));
    assert_eq!((&own["windows_due"], &own["last_reading"]), (&json!(3), &Value::Null), "{before}");
    assert_eq!(own["assets"], json!(["raw_posts"]));
    assert!(server.requests().is_empty(), "looking asks nobody");

    project.run(&["materialize", "--all"]).expect(0);
    let asked = server.requests().len();
    let after = &project.json(&["source", "list"])[0];
    assert_eq!(after["days"], json!({ "complete": 2, "partial": 0, "blocked": 1, "failed": 0 }), "{after}");
    assert_eq!((&after["windows_due"], &after["required"]), (&json!(0), &json!(true)));
    assert!(after["next_due"].is_string() && after["last_reading"]["requests"].is_u64(), "{after}");

    let status = project.json(&["status"]);
    let own = status["sources"].as_array().unwrap().iter().find(|s| s["source"] == "archive").unwrap();
    assert_eq!(
        own["newest_gap"],
        json!({ "day": "2026-08-02", "status": "blocked", "reason": "r/pharmacy: HTTP 403" })
    );
    let shown = project.ok(&["status"]).stdout;
    let line = "days of archive (required): 2 complete, 1 blocked · 2026-08-02: r/pharmacy: HTTP 403\n";
    assert!(shown.contains(line), "{shown}");

    for asset in ["raw_posts", "fact_issue_daily"] {
        let told = project.json(&["explain", asset, "--partition", "2026-08-02"]);
        let coverage = &told["coverage"][0];
        assert_eq!(told["coverage"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            (&coverage["status"], &coverage["reason"], &coverage["day_covered"]),
            (&json!("blocked"), &json!("r/pharmacy: HTTP 403"), &json!(false)),
            "{told}"
        );
        assert_eq!(
            (&coverage["readings"][0]["pages"], &coverage["readings"][0]["requests"]),
            (&json!(0), &json!(1))
        );
        let told = project.json(&["explain", asset, "--partition", "2026-08-03"]);
        let reading = &told["coverage"][0]["readings"][0];
        assert_eq!((&reading["window"], &reading["status"]), (&json!("2026-08-03"), &json!("complete")));
        assert_eq!(
            (&reading["oldest"], &reading["newest"], &reading["pages"]),
            (&json!("2026-08-03T00:00:00.000Z"), &json!("2026-08-03T04:09:00.000Z"), &json!(3))
        );
        let shown = project.ok(&["explain", asset, "--partition", "2026-08-02"]).stdout;
        assert!(
            shown.contains("coverage: reddit by archive: blocked (r/pharmacy: HTTP 403)\n  2026-08-02 read "),
            "{shown}"
        );
        assert!(shown.contains("0 pages in 1 request\n"), "{shown}");
        assert!(shown.contains("the day is not covered"), "{shown}");
    }
    let whole = project.json(&["explain", "issue_types"]);
    assert_eq!(whole["coverage"], json!([]));
    assert_eq!(server.requests().len(), asked, "looking asks nobody");
}

/// The tables to copy in the README are read as they stand.
#[test]
fn the_readmes_sources_can_be_copied() {
    let readme = crate::project::shipped("README.md");
    let section = readme.split("\n## Sources\n").nth(1).and_then(|t| t.split("\n## ").next()).unwrap();
    let block = section.split("```toml\n").nth(1).and_then(|t| t.split("```").next()).unwrap();
    let block: toml::Table = block.parse().unwrap();
    let declared = block["sources"].as_table().unwrap().clone();
    let types: Vec<&str> = declared.values().map(|s| s["type"].as_str().unwrap()).collect();
    for one in ["reddit", "reddit_archive", "feed", "app_store", "crawl"] {
        assert!(types.contains(&one), "{one} has a table to copy");
    }
    let mut project = Project::files("2026-08-01", "2026-08-03");
    project.set("assets.raw_posts.sources", vec!["reddit", "dumps", "news", "store", "forum"]);
    project.set("sources", declared.clone());
    project.save();
    let valid = project.json(&["validate"]);
    assert_eq!((&valid["valid"], &valid["problems"]), (&json!(true), &json!([])), "{valid}");
    let listed = project.json(&["source", "list"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(declared.len()));
}

/// A comment may be about a brand that only its post's headline names.
#[test]
fn a_comment_on_an_unknown_post_is_not_called_off_brand() {
    let mut project = Project::files("2026-08-01", "2026-08-01");
    project.set("brands.everything.match_any", vec!["amazon pharmacy"]);
    project.save();
    let comment = |id: &str, body: &str, headline: Option<&str>| {
        let mut record = json!({
            "name": format!("t1_{id}"), "body": body, "link_id": format!("t3_{id}"), "parent_id": format!("t3_{id}"),
            "created_utc": START + 60, "subreddit": "pharmacy", "score": 1,
        });
        if let Some(headline) = headline {
            record["link_title"] = headline.into();
        }
        format!("{record}\n")
    };
    let post = crate::project::post("p", 1, 1, "nothing of the kind") + "\n";
    let lines = [
        post,
        comment("own", "amazon pharmacy was late", None),
        comment("known", "late again", Some("Amazon Pharmacy, anyone?")),
        comment("off", "late again", Some("My bakery")),
        comment("unknown", "late again", None),
        comment("blank", "late again", Some("")),
    ];
    project.write("in/a.ndjson", lines.concat());
    let made = project.all();
    let stats = &made["totals"]["silver_posts"];
    assert_eq!((&stats["rows_in"], &stats["rows_out"]), (&json!(6), &json!(2)), "{stats}");
    assert_eq!(stats["dropped"], json!({ "off_brand": 2, "parent_unknown": 2 }));
    assert_eq!(stats["off_brand"], 2);
    let excluded = project.json(&["brand", "test", "--excluded", "10"]);
    let reason = |id: &str| {
        let found = excluded.as_array().unwrap().iter().find(|p| p["post_id"] == format!("reddit:{id}"));
        found.unwrap_or_else(|| panic!("{id} in {excluded}"))["reason"].clone()
    };
    assert_eq!(excluded.as_array().map(Vec::len), Some(4));
    for (id, why) in [
        ("t3_p", "off_brand"),
        ("t1_off", "off_brand"),
        ("t1_unknown", "parent_unknown"),
        ("t1_blank", "parent_unknown"),
    ] {
        assert_eq!(reason(id), why, "{id}");
    }
    let shown = project.ok(&["materialize", "silver_posts", "--force"]).stderr;
    assert!(shown.contains("left out of silver_posts: 2 off_brand, 2 parent_unknown"), "{shown}");
    assert_eq!(project.ok(&["brand", "test", "--excluded", "1"]).stdout.lines().count(), 2);
}

/// What a feed shows of other days is nobody's mistake, and a feed that has not changed is read
/// again when its entries are mapped in another way.
#[test]
fn a_feed_is_mapped_again_when_privacy_changes() {
    let server = Fake::start(|seen| {
        if seen.header("if-none-match") == Some("\"1\"") {
            return Reply::new(304);
        }
        let entry = |id: &str, day: &str| {
            format!(
                r#"{{"id":"{id}","title":"amazon pharmacy","authors":[{{"name":"ann"}}],"date_published":"{day}T10:00:00Z"}}"#
            )
        };
        let items = [entry("in", "2026-08-02"), entry("before", "2026-07-02"), entry("after", "2026-09-02")];
        let body = format!(
            r#"{{"version":"https://jsonfeed.org/version/1.1","title":"f","items":[{}]}}"#,
            items.join(",")
        );
        Reply::json(body).header("etag", "\"1\"")
    });
    let mut project = Project::files("2026-08-01", "2026-08-03");
    project.set("sources.news.type", "feed");
    project.set("sources.news.urls", vec![server.url("/feed")]);
    project.set("sources.news.allow_hosts", vec!["127.0.0.1"]);
    project.set("sources.news.every", "1ms");
    // The days are long over: a feed is read for as long as something may still change in them.
    project.set("sources.news.settle", "5000d");
    project.set("assets.raw_posts.sources", vec!["news"]);
    project.save();
    let read = |project: &Project| {
        project.all();
        project.query("SELECT native_id, author FROM raw_posts ORDER BY fetched_at")
    };
    assert_eq!(read(&project), [json!({ "native_id": "in", "author": null })]);
    let account = project.json(&["quarantine", "list"]);
    let feed = account.as_array().unwrap().iter().find(|w| w["records_in"] != 0).unwrap();
    assert_eq!(
        (&feed["records_in"], &feed["good"], &feed["quarantined"], &feed["outside"], &feed["adds_up"]),
        (&json!(1), &json!(1), &json!(0), &json!(2), &json!(true)),
        "{account}"
    );
    // Nothing new: the answer is 304, and nothing is captured.
    assert_eq!(read(&project).len(), 1);
    let validators = |server: &Fake| -> Vec<bool> {
        server.requests().iter().map(|r| r.header("if-none-match").is_some()).collect()
    };
    assert_eq!(validators(&server), [false, true]);
    project.set("privacy.author", "keep");
    project.save();
    let rows = read(&project);
    assert_eq!(validators(&server), [false, true, false]);
    assert_eq!(rows.last(), Some(&json!({ "native_id": "in", "author": "ann" })), "{rows:?}");
    read(&project);
    assert_eq!(validators(&server), [false, true, false, true]);
}
