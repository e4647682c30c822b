//! The archive source against a local server of the archive's shape.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::fake::{Fake, Reply, Seen};
use crate::project::Project;

/// 2026-08-01T00:00:00Z.
const START: i64 = 1_785_542_400;
const DAY: i64 = 86_400;

/// What an archive does: posts by subreddit and time, at most 100 at once.
struct Archive {
    server: Fake,
    asked: Arc<Mutex<BTreeMap<i64, usize>>>,
}

fn query(seen: &Seen) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for pair in seen.query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        out.insert(name.to_string(), value.to_string());
    }
    out
}

fn post(day: i64, n: i64) -> Value {
    // Several share a second, as posts do.
    let created = START + day * DAY + (n / 3) * 20;
    json!({
        "id": format!("d{day}n{n}"),
        "name": format!("t3_d{day}n{n}"),
        "subreddit": "pharmacy",
        "title": format!("Amazon Pharmacy question {n} of day {day}"),
        "selftext": "my refill is late again",
        "author": "somebody",
        "created_utc": created,
        "score": n,
        "num_comments": 0,
        "permalink": format!("/r/pharmacy/comments/d{day}n{n}/x/"),
        "retrieved_on": created + 2 * DAY,
        "unknown_field": {"kept": [1, 2.50]},
    })
}

impl Archive {
    /// `posts` says how many posts a day has; `trouble` may answer instead.
    fn start(
        posts: impl Fn(i64) -> i64 + Send + Sync + 'static,
        trouble: impl Fn(&Seen, i64) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let asked: Arc<Mutex<BTreeMap<i64, usize>>> = Arc::default();
        let count = asked.clone();
        let server = Fake::start(move |seen| {
            let q = query(seen);
            let number = |name: &str| q[name].parse::<i64>().unwrap();
            let (after, before) = (number("after"), number("before"));
            let day = (before - 1 - START).div_euclid(DAY);
            *count.lock().unwrap().entry(day).or_default() += 1;
            if let Some(reply) = trouble(seen, day) {
                return reply;
            }
            assert_eq!((q["subreddit"].as_str(), q["sort"].as_str()), ("pharmacy", "asc"));
            assert_eq!(seen.path, "/api/posts/search");
            let limit = match q["limit"].as_str() {
                "auto" => 1_000,
                n => n.parse::<usize>().unwrap().min(100),
            };
            let first = (after - START).div_euclid(DAY).max(0);
            let found: Vec<Value> = (first..=day)
                .flat_map(|d| (0..posts(d)).map(move |n| post(d, n)))
                .filter(|p| (after + 1..before).contains(&p["created_utc"].as_i64().unwrap()))
                .take(limit)
                .collect();
            Reply::json(json!({ "data": found }).to_string())
        });
        Self { server, asked }
    }

    fn requests(&self) -> BTreeMap<i64, usize> {
        self.asked.lock().unwrap().clone()
    }
}

fn project(server: &Fake, end: &str) -> Project {
    let mut project = Project::files("2026-08-01", end);
    project.set("sources.archive.type", "reddit_archive");
    project.set("sources.archive.subreddits", vec!["r/pharmacy"]);
    project.set("sources.archive.base_url", server.url("/").trim_end_matches('/'));
    project.set("assets.raw_posts.sources", vec!["archive"]);
    project.save();
    project
}

fn mentions(project: &Project) -> BTreeMap<String, i64> {
    let sql = "SELECT dt, sum(mentions) AS n FROM fact_issue_daily GROUP BY dt ORDER BY dt";
    let rows = project.ok(&["query", "--format", "json", sql]).json();
    let rows = rows.as_array().cloned().unwrap_or_else(|| rows["rows"].as_array().cloned().unwrap());
    rows.iter().map(|r| (r["dt"].as_str().unwrap().to_string(), r["n"].as_i64().unwrap())).collect()
}

fn coverage(project: &Project) -> Vec<(String, String, Option<String>)> {
    let sql = "SELECT dt, status, reason FROM source_coverage WHERE source = 'archive' ORDER BY dt";
    let rows = project.ok(&["query", "--format", "json", sql]).json();
    let rows = rows.as_array().cloned().unwrap_or_else(|| rows["rows"].as_array().cloned().unwrap());
    let text = |v: &Value| v.as_str().map(str::to_string);
    rows.iter().map(|r| (text(&r["dt"]).unwrap(), text(&r["status"]).unwrap(), text(&r["reason"]))).collect()
}

#[test]
fn every_day_is_asked_for_once_and_complete() {
    let count = |d: i64| [0, 1, 99, 100, 101, 250, 7][d as usize % 7];
    let archive = Archive::start(count, |_, _| None);
    let project = project(&archive.server, "2026-08-14");
    project.run(&["materialize", "--all"]).expect(0);
    for (day, asked) in archive.requests() {
        let least = (count(day) as usize).div_ceil(100).max(1);
        assert!((least..=least + 1).contains(&asked), "day {day}: {asked} requests, {least} are needed");
    }
    assert_eq!(archive.requests().len(), 14);
    let expected: BTreeMap<String, i64> =
        (0..14).filter(|d| count(*d) > 0).map(|d| (format!("2026-08-{:02}", d + 1), count(d))).collect();
    assert_eq!(mentions(&project), expected);
    assert!(coverage(&project).iter().all(|(_, status, why)| status == "complete" && why.is_none()));
    // Verbatim, but for the author.
    let raw = project.ok(&[
        "query",
        "--format",
        "json",
        "SELECT raw, author FROM raw_posts WHERE native_id = 't3_d1n0'",
    ]);
    assert!(raw.stdout.contains(r#"\"unknown_field\":{\"kept\":[1,2.5"#), "{}", raw.stdout);
    assert!(!raw.stdout.contains("somebody"), "{}", raw.stdout);
    // Nothing is asked for twice.
    let before = archive.server.requests().len();
    let again = project.ok(&["--format", "json", "materialize", "--all"]).json();
    assert_eq!(again["steps"], 0, "{again}");
    assert_eq!(archive.server.requests().len(), before);
}

#[test]
fn a_day_that_failed_is_told_and_asked_for_again_alone() {
    let broken = Arc::new(Mutex::new(true));
    let switch = broken.clone();
    let archive = Archive::start(
        |_| 5,
        move |_, day| (day == 2 && *switch.lock().unwrap()).then(|| Reply::html("<html>busy</html>")),
    );
    let project = project(&archive.server, "2026-08-05");
    project.run(&["materialize", "--all"]).expect(3);
    let told = coverage(&project);
    assert_eq!(told[2].1, "failed", "{told:?}");
    assert!(told[2].2.as_deref().is_some_and(|why| why.contains("HTML")), "{told:?}");
    assert_eq!(told.iter().filter(|t| t.1 == "complete").count(), 4);
    assert_eq!(mentions(&project).len(), 4);
    let asked = archive.requests();
    *broken.lock().unwrap() = false;
    project.run(&["materialize", "raw_posts+", "--force"]).expect(0);
    assert_eq!(mentions(&project).len(), 5);
    assert_eq!(coverage(&project)[2].1, "complete");
    assert!(archive.requests()[&2] > asked[&2]);
}

#[test]
fn a_killed_backfill_asks_only_for_days_that_were_not_committed() {
    let archive = Archive::start(|_| 20, |_, _| None);
    let project = project(&archive.server, "2026-08-20");
    let killed = project.run_crashing(&["materialize", "raw_posts"], 60);
    assert!(killed.aborted(), "{}", killed.stderr);
    let asked = archive.requests();
    assert!(!asked.is_empty() && asked.len() < 20, "killed in the middle: {asked:?}");
    project.run(&["materialize", "--all"]).expect(0);
    let repeated: Vec<i64> =
        archive.requests().iter().filter(|(_, n)| **n > 1).map(|(day, _)| *day).collect();
    assert!(repeated.len() <= 1, "only the day in flight is asked for again: {repeated:?}");
    assert_eq!(mentions(&project).values().sum::<i64>(), 400);
}

#[test]
fn an_overloaded_archive_is_asked_for_less() {
    let archive = Archive::start(
        |_| 130,
        |seen, _| {
            let limit: usize = query(seen)["limit"].parse().unwrap_or(1_000);
            let words = r#"{"data":null,"error":"Timeout. Maybe slow down a bit"}"#;
            (limit > 60).then(|| Reply::new(422).header("content-type", "application/json").body(words))
        },
    );
    let project = project(&archive.server, "2026-08-01");
    project.run(&["materialize", "--all"]).expect(0);
    assert_eq!(mentions(&project).values().sum::<i64>(), 130);
    assert_eq!(coverage(&project)[0].1, "complete");
}

#[test]
fn more_posts_in_one_second_than_fit_on_a_page_are_all_captured() {
    let server = Fake::start(|seen| {
        let q = query(seen);
        let (after, before) = (q["after"].parse::<i64>().unwrap(), q["before"].parse::<i64>().unwrap());
        let limit = if q["limit"] == "auto" { 1_000 } else { 100 };
        let all = (0..350).map(|n| {
            let mut post = post(0, n);
            post["created_utc"] = json!(START + 3_600 + i64::from(n >= 300));
            post
        });
        let found: Vec<Value> = all
            .filter(|p| (after + 1..before).contains(&p["created_utc"].as_i64().unwrap()))
            .take(limit)
            .collect();
        Reply::json(json!({ "data": found }).to_string())
    });
    let project = project(&server, "2026-08-01");
    project.run(&["materialize", "--all"]).expect(0);
    assert_eq!(mentions(&project).values().sum::<i64>(), 350);
    assert!(server.requests().len() <= 8, "{}", server.requests().len());
}
