//! Reddit's API, the archive and a dump of it against local servers: the same days, the same
//! numbers; what was not reached is told, and filled in by who steps in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::fake::{Fake, Reply, Seen};
use crate::project::{Done, Project, finish};

const DAY: i64 = 86_400;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().strftime("%Y-%m-%d").to_string()
}

fn query(seen: &Seen, name: &str) -> Option<String> {
    seen.query.split('&').find_map(|p| p.strip_prefix(&format!("{name}="))).map(str::to_string)
}

/// A post as all three clients show it. Number 0 is the newest.
fn post(n: i64, created: i64) -> Value {
    json!({
        "id": format!("p{n}"),
        "name": format!("t3_p{n}"),
        "subreddit": "pharmacy",
        "title": format!("Amazon Pharmacy &amp; me, part {n}"),
        "selftext": if n % 3 == 0 { "my refill is late" } else { "" },
        "author": "somebody",
        "created_utc": created as f64,
        "edited": n % 2 == 0 && n % 4 != 0,
        "score": 5,
        "num_comments": 0,
        "permalink": format!("/r/pharmacy/comments/p{n}/x/"),
        "gallery_data": null,
    })
}

/// Posts every `every` seconds from `newest` back.
fn posts(count: i64, newest: i64, every: i64) -> Vec<Value> {
    (0..count).map(|n| post(n, newest - n * every)).collect()
}

/// Reddit's API over these posts, newest first, of which a listing shows `limit` at most.
fn reddit(posts: Vec<Value>, limit: usize) -> Fake {
    Fake::start(move |seen| {
        let listing = |children: &[Value], after: Option<String>| {
            let children: Vec<Value> = children.iter().map(|p| json!({"kind": "t3", "data": p})).collect();
            let data = json!({"after": after, "before": null, "dist": children.len(), "children": children});
            Reply::json(json!({"kind": "Listing", "data": data}).to_string())
        };
        match seen.path.as_str() {
            "/token" => Reply::json(
                r#"{"access_token":"the-token","token_type":"bearer","expires_in":3600,"scope":"*"}"#,
            ),
            _ if !seen.header("authorization").is_some_and(|a| a.ends_with("the-token")) => Reply::new(401),
            "/r/pharmacy/new" => {
                let shown = &posts[..posts.len().min(limit)];
                let from = match query(seen, "after") {
                    None => 0,
                    Some(name) => shown.iter().position(|p| p["name"] == *name).map_or(0, |at| at + 1),
                };
                let to = (from + 100).min(shown.len());
                let after = (to < shown.len()).then(|| shown[to - 1]["name"].as_str().unwrap().to_string());
                listing(&shown[from..to], after)
            }
            "/api/info" => {
                let ids = query(seen, "id").unwrap().replace("%2C", ",");
                let asked: Vec<Value> =
                    posts.iter().filter(|p| ids.split(',').any(|id| p["name"] == *id)).cloned().collect();
                listing(&asked, None)
            }
            "/r/secret/new" => Reply::new(403)
                .header("content-type", "application/json")
                .body(r#"{"reason":"private","message":"Forbidden","error":403}"#),
            _ => Reply::new(404).header("content-type", "application/json").body("{}"),
        }
    })
}

/// The archive over the same posts.
fn archive(posts: Vec<Value>) -> Fake {
    Fake::start(move |seen| {
        let number = |name: &str| query(seen, name).unwrap().parse::<i64>().unwrap();
        let (after, before) = (number("after"), number("before"));
        let mut found: Vec<Value> = posts
            .iter()
            .filter(|p| (after + 1..before).contains(&(p["created_utc"].as_f64().unwrap() as i64)))
            .cloned()
            .collect();
        found.reverse();
        found.truncate(100);
        Reply::json(json!({ "data": found }).to_string())
    })
}

fn project(start: &str, end: Option<&str>) -> Project {
    let mut project = Project::files(start, end.unwrap_or(start));
    if end.is_none() {
        project.unset("project.end");
    }
    project.set("assets.raw_posts.sources", vec!["api"]);
    project
}

fn with_api(project: &mut Project, server: &Fake, subreddits: Vec<&str>) {
    project.set("sources.api.type", "reddit");
    project.set("sources.api.client_id_env", "TEST_REDDIT_ID");
    project.set("sources.api.client_secret_env", "TEST_REDDIT_SECRET");
    project.set("sources.api.user_agent", "test:rxpulse:1 (by /u/nobody)");
    project.set("sources.api.subreddits", subreddits);
    project.set("sources.api.base_url", server.url("").trim_end_matches('/'));
    project.set("sources.api.token_url", server.url("/token"));
    project.save();
}

fn with_archive(project: &mut Project, server: &Fake) {
    project.set("sources.archive.type", "reddit_archive");
    project.set("sources.archive.subreddits", vec!["pharmacy"]);
    project.set("sources.archive.base_url", server.url("").trim_end_matches('/'));
    project.save();
}

fn run(project: &Project, args: &[&str]) -> Done {
    let mut command = project.command(args);
    command.env("TEST_REDDIT_ID", "an-id").env("TEST_REDDIT_SECRET", "canary-secret-5151");
    finish(command.spawn().unwrap())
}

fn rows(project: &Project, sql: &str) -> Vec<Value> {
    let answer = project.ok(&["query", "--format", "json", sql]).json();
    answer.as_array().cloned().unwrap_or_else(|| answer["rows"].as_array().cloned().unwrap())
}

fn mentions(project: &Project) -> BTreeMap<String, i64> {
    rows(project, "SELECT dt, sum(mentions) AS n FROM fact_issue_daily GROUP BY dt")
        .iter()
        .map(|r| (r["dt"].as_str().unwrap().to_string(), r["n"].as_i64().unwrap()))
        .collect()
}

/// By source: the state and reason of each day.
fn coverage(project: &Project, source: &str) -> BTreeMap<String, (String, Option<String>)> {
    let sql = format!("SELECT dt, status, reason FROM source_coverage WHERE source = '{source}'");
    rows(project, &sql)
        .iter()
        .map(|r| {
            let text = |name: &str| r[name].as_str().map(str::to_string);
            (text("dt").unwrap(), (text("status").unwrap(), text("reason")))
        })
        .collect()
}

fn expected(posts: &[Value]) -> BTreeMap<String, i64> {
    let mut days = BTreeMap::new();
    for post in posts {
        *days.entry(date(post["created_utc"].as_f64().unwrap() as i64)).or_default() += 1;
    }
    days
}

#[test]
fn the_api_the_archive_and_a_dump_give_the_same_mentions() {
    // Four days that are long over.
    let newest = now() / DAY * DAY - 5 * DAY - 60;
    let posts = posts(230, newest, 1_500);
    let (start, end) = (date(newest - 230 * 1_500), date(newest));
    let wanted = expected(&posts);

    let api = reddit(posts.clone(), 1_000);
    let mut by_api = project(&start, Some(&end));
    with_api(&mut by_api, &api, vec!["pharmacy"]);
    run(&by_api, &["materialize", "--all"]).expect(0);
    assert_eq!(mentions(&by_api), wanted);
    assert!(coverage(&by_api, "api").values().all(|(status, _)| status == "complete"));

    let server = archive(posts.clone());
    let mut by_archive = project(&start, Some(&end));
    with_archive(&mut by_archive, &server);
    by_archive.set("assets.raw_posts.sources", vec!["archive"]);
    by_archive.save();
    run(&by_archive, &["materialize", "--all"]).expect(0);
    assert_eq!(mentions(&by_archive), wanted);

    let mut by_dump = project(&start, Some(&end));
    by_dump.set("sources.archive.type", "reddit_archive");
    by_dump.set("sources.archive.dumps", "dumps/RS_*.zst");
    by_dump.set("sources.archive.subreddits", vec!["Pharmacy"]);
    by_dump.set("assets.raw_posts.sources", vec!["archive"]);
    by_dump.save();
    let mut lines = String::new();
    for post in posts.iter().rev() {
        let mut post = post.clone();
        // Dumps of some years hold it as text.
        post["created_utc"] = json!((post["created_utc"].as_f64().unwrap() as i64).to_string());
        lines.push_str(&format!("{post}\n"));
        post["subreddit"] = json!("elsewhere");
        post["name"] = json!(format!("{}x", post["name"].as_str().unwrap()));
        lines.push_str(&format!("{post}\n"));
    }
    let mut packed = zstd::Encoder::new(Vec::new(), 3).unwrap();
    packed.window_log(31).unwrap();
    packed.long_distance_matching(true).unwrap();
    std::io::Write::write_all(&mut packed, lines.as_bytes()).unwrap();
    std::fs::create_dir(by_dump.path("dumps")).unwrap();
    by_dump.write("dumps/RS_2026-11.zst", packed.finish().unwrap());
    run(&by_dump, &["materialize", "--all"]).expect(0);
    assert_eq!(mentions(&by_dump), wanted);

    let issues = "SELECT dt, issue_type, mentions, score_sum FROM fact_issue_daily ORDER BY 1, 2";
    assert_eq!(rows(&by_api, issues), rows(&by_archive, issues));
    assert_eq!(rows(&by_api, issues), rows(&by_dump, issues));
}

#[test]
fn what_a_listing_does_not_reach_is_partial_until_somebody_steps_in() {
    let newest = now() - 600;
    // About 10 hours a hundred: the listing of 300 reaches 30 hours back.
    let posts = posts(1_500, newest, 360);
    let api = reddit(posts.clone(), 1_000);
    let server = archive(posts.clone());
    let start = date(newest - 6 * DAY);
    let mut project = project(&start, None);
    with_api(&mut project, &api, vec!["pharmacy"]);
    run(&project, &["materialize", "--all"]).expect(0);
    let alone = coverage(&project, "api");
    assert_eq!(alone[&start].0, "partial", "{alone:?}");
    assert!(alone[&start].1.is_some());
    assert_eq!(alone[&date(now())].0, "partial", "the day is not over: {alone:?}");
    assert_eq!(alone[&date(newest - 2 * DAY)].0, "complete", "{alone:?}");
    // Nothing new within a quarter of an hour: nothing is asked for.
    let asked = api.requests().len();
    let again = run(&project, &["--format", "json", "materialize", "--all"]).expect(0).json();
    assert_eq!((again["steps"].as_i64(), api.requests().len()), (Some(0), asked), "{again}");

    with_archive(&mut project, &server);
    project.set("sources.api.fallback", vec!["archive"]);
    project.save();
    run(&project, &["materialize", "--all"]).expect(0);
    let days: Vec<String> = server
        .requests()
        .iter()
        .map(|s| date(query(s, "before").unwrap().parse::<i64>().unwrap() - 1))
        .collect();
    assert!(days.contains(&start) && !days.contains(&date(newest - 2 * DAY)), "{days:?}");
    let first = expected(&posts)[&start];
    assert_eq!(mentions(&project)[&start], first);
    let covered = "SELECT bool_and(day_covered) AS yes FROM source_coverage WHERE dt = ";
    assert_eq!(rows(&project, &format!("{covered}'{start}'"))[0]["yes"], true);
}

#[test]
fn a_place_that_lets_nobody_in_is_blocked_and_the_rest_goes_on() {
    let newest = now() / DAY * DAY - 3 * DAY - 60;
    let posts = posts(20, newest, 600);
    let api = reddit(posts.clone(), 1_000);
    let day = date(newest);
    let mut project = project(&day, Some(&day));
    with_api(&mut project, &api, vec!["pharmacy", "secret"]);
    run(&project, &["materialize", "--all"]).expect(0);
    assert_eq!(mentions(&project), expected(&posts));
    let told = coverage(&project, "api");
    assert_eq!(told[&day].0, "blocked", "{told:?}");
    assert!(told[&day].1.as_deref().is_some_and(|why| why.contains("r/secret")), "{told:?}");
    // Without credentials nothing is asked, and that is said.
    let fresh = {
        let mut project = self::project(&day, Some(&day));
        with_api(&mut project, &api, vec!["pharmacy"]);
        project
    };
    let before = api.requests().len();
    fresh.run(&["materialize", "--all"]).expect(0);
    assert_eq!(api.requests().len(), before);
    let told = coverage(&fresh, "api");
    assert_eq!(told[&day].0, "blocked", "{told:?}");
    assert!(told[&day].1.as_deref().is_some_and(|why| why.contains("TEST_REDDIT_ID")), "{told:?}");
}

#[test]
fn what_is_deleted_later_loses_its_text_in_the_same_run() {
    let newest = now() - 3_600;
    let posts = posts(20, newest, 300);
    let gone: Arc<Mutex<bool>> = Arc::default();
    let (switch, all) = (gone.clone(), posts.clone());
    let api = Fake::start(move |seen| {
        let gone = *switch.lock().unwrap();
        let shown = |p: &Value| -> Option<Value> {
            let mut p = p.clone();
            match p["name"].as_str() {
                // Nothing of it is left.
                Some("t3_p4") if gone => return None,
                // Its author took it back; the site still shows a title.
                Some("t3_p3") if gone => {
                    p["author"] = json!("[deleted]");
                    p["selftext"] = json!("[deleted]");
                }
                _ => {}
            }
            Some(json!({"kind": "t3", "data": p}))
        };
        let listing = |posts: Vec<Value>| {
            Reply::json(json!({"kind": "Listing", "data": {"after": null, "children": posts}}).to_string())
        };
        match seen.path.as_str() {
            "/token" => Reply::json(r#"{"access_token":"t","token_type":"bearer","expires_in":3600}"#),
            "/api/info" => {
                let ids = query(seen, "id").unwrap().replace("%2C", ",");
                let asked = |p: &&Value| ids.split(',').any(|id| p["name"] == *id);
                listing(all.iter().filter(asked).filter_map(shown).collect())
            }
            _ => listing(all.iter().filter_map(shown).collect()),
        }
    });
    let mut project = project(&date(newest - DAY), None);
    with_api(&mut project, &api, vec!["pharmacy"]);
    run(&project, &["materialize", "--all"]).expect(0);
    let titles = || {
        let sql =
            "SELECT native_id, title, raw FROM raw_posts WHERE native_id IN ('t3_p3', 't3_p4', 't3_p5')";
        let mut out: BTreeMap<String, Vec<bool>> = BTreeMap::new();
        for row in rows(&project, sql) {
            let text = format!("{}{}", row["title"], row["raw"]);
            let id = row["native_id"].as_str().unwrap().to_string();
            out.entry(id).or_default().push(text.contains("Amazon Pharmacy"));
        }
        out
    };
    assert!(titles().values().flatten().all(|has| *has), "{:?}", titles());
    *gone.lock().unwrap() = true;
    run(&project, &["materialize", "--all", "--force"]).expect(0);
    let left = titles();
    assert!(!left["t3_p3"].iter().any(|has| *has), "{left:?}");
    assert!(!left["t3_p4"].iter().any(|has| *has), "{left:?}");
    assert!(left["t3_p5"].iter().all(|has| *has), "{left:?}");
    let silver = "SELECT count(*) AS n FROM silver_posts WHERE native_id IN ('t3_p3', 't3_p4') \
                  AND (title IS NOT NULL OR body IS NOT NULL OR url IS NOT NULL)";
    assert_eq!(rows(&project, silver)[0]["n"], 0);
    // Neither comes back, and nothing is left to do.
    *gone.lock().unwrap() = false;
    run(&project, &["materialize", "--all", "--force"]).expect(0);
    let left = titles();
    assert!(!left["t3_p3"].iter().any(|has| *has) && !left["t3_p4"].iter().any(|has| *has), "{left:?}");
    let again = run(&project, &["--format", "json", "materialize", "--all"]).expect(0).json();
    assert_eq!(again["steps"], 0, "{again}");
}

#[test]
fn secrets_and_authors_stay_out_of_everything() {
    let newest = now() / DAY * DAY - 3 * DAY - 60;
    let api = reddit(posts(20, newest, 600), 1_000);
    let day = date(newest);
    let mut project = project(&day, Some(&day));
    with_api(&mut project, &api, vec!["pharmacy", "secret"]);
    let done = run(&project, &["-vv", "materialize", "--all"]).expect(0);
    for word in ["canary-secret-5151", "the-token", "somebody"] {
        assert!(!done.stdout.contains(word) && !done.stderr.contains(word), "{word} is printed");
        for entry in walkdir::WalkDir::new(project.path("state")) {
            let entry = entry.unwrap();
            if !entry.file_type().is_file() {
                continue;
            }
            let bytes = std::fs::read(entry.path()).unwrap();
            let plain = zstd::decode_all(&bytes[..]).unwrap_or(bytes);
            let found = memchr::memmem::find(&plain, word.as_bytes());
            assert!(found.is_none(), "{word} stands in {}", entry.path().display());
        }
    }
}
