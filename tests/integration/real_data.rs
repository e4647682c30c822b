//! Real posts, where they are present: the first lines of them, counted on their own, and (with
//! `--ignored` and a release build in `RXPULSE_TEST_BIN`) all of them, shuffled over seven files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::project::Project;

const LINES: usize = 3_000;

fn found() -> Option<PathBuf> {
    let shared = std::env::var_os("RXPULSE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let mut files: Vec<PathBuf> = std::fs::read_dir(shared.join("data/reddit_posts"))
        .ok()?
        .filter_map(|e| Some(e.ok()?.path()))
        .collect();
    files.retain(|p| p.to_string_lossy().ends_with(".ndjson.zst"));
    files.sort();
    files.into_iter().next()
}

#[test]
fn real_posts_are_accounted_for_exactly() {
    let Some(path) = found() else {
        eprintln!(
            "skipped: no real posts in ../shared/data/reddit_posts (RXPULSE_SHARED names another place)"
        );
        return;
    };
    let reader = BufReader::new(zstd::Decoder::new(std::fs::File::open(&path).unwrap()).unwrap());
    let mut text = String::new();
    let mut days: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for line in reader.lines().take(LINES) {
        let line = line.unwrap();
        let post: serde_json::Value = serde_json::from_str(&line).unwrap();
        let day = (post["created_utc"].as_f64().unwrap() as i64).div_euclid(86_400);
        days.entry(day).or_default().insert(post["name"].as_str().unwrap().to_string());
        text.push_str(&line);
        text.push('\n');
    }
    // At most so many days as a debug build makes in a moment; the others are out of range.
    let first = *days.keys().next().unwrap();
    let end = first + 39;
    let inside: usize = days.range(..=end).map(|(_, ids)| ids.len()).sum();
    let all: usize = days.values().map(BTreeSet::len).sum();
    let project = Project::files(&date(first), &date(end)).without(&[
        "issue_trend_daily",
        "top_issue_posts",
        "post_signals",
        "general_feedback_ai",
    ]);
    project.write("in/real.ndjson.zst", zstd::encode_all(text.as_bytes(), 1).unwrap());
    project.all();
    let account = &project.json(&["quarantine", "list"])[0];
    assert_eq!(account["adds_up"], true);
    assert_eq!(account["records_in"], LINES);
    assert_eq!(account["good"], inside);
    assert_eq!(account["duplicate"], LINES - all);
    assert_eq!(account["quarantined"], all - inside);
    assert_eq!(project.number("SELECT count(*) AS n FROM silver_posts"), inside as i64);
    assert_eq!(project.number("SELECT sum(mentions) AS n FROM fact_issue_daily"), inside as i64);
    let counted: BTreeMap<String, i64> = project
        .query("SELECT dt, count(*) AS n FROM silver_posts GROUP BY dt")
        .iter()
        .map(|r| (crate::project::text(&r["dt"]), r["n"].as_i64().unwrap()))
        .collect();
    let expected: BTreeMap<String, i64> =
        days.range(..=end).map(|(day, ids)| (date(*day), ids.len() as i64)).collect();
    assert_eq!(counted, expected);
    project.settled();
}

/// The date of a day counted from 1970-01-01.
fn date(day: i64) -> String {
    jiff::Timestamp::from_second(day * 86_400).unwrap().strftime("%Y-%m-%d").to_string()
}

/// A small generator, so that a failure can be repeated from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % below as u64) as usize
    }
}

/// What a day should come to.
#[derive(Default, PartialEq, Eq, Debug)]
struct Sums {
    posts: i64,
    score: i64,
    comments: i64,
}

#[test]
#[ignore = "all real posts: minutes with a debug build; .ci/run gives it the release build"]
fn all_real_posts_shuffled_over_seven_overlapping_files() {
    let Some(path) = found() else {
        eprintln!(
            "skipped: no real posts in ../shared/data/reddit_posts (RXPULSE_SHARED names another place)"
        );
        return;
    };
    let reader = BufReader::new(zstd::Decoder::new(std::fs::File::open(&path).unwrap()).unwrap());
    let mut lines: Vec<String> = reader.lines().map(Result::unwrap).collect();
    let seed = std::env::var("RXPULSE_TEST_SEED").map_or(20_260_801, |s| s.parse().unwrap());
    println!("RXPULSE_TEST_SEED={seed}");
    let mut random = Random(seed);
    for at in (1..lines.len()).rev() {
        lines.swap(at, random.next(at + 1));
    }
    // Every post is in one file; one in five in a second one too, half of these edited there.
    // The files are a day apart, and the later file has the last word.
    const FILES: usize = 7;
    let mut files = vec![String::new(); FILES];
    let mut newest: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    let (mut same, mut edited) = (0, 0);
    for line in &lines {
        let post: serde_json::Value = serde_json::from_str(line).unwrap();
        let first = random.next(FILES);
        files[first].push_str(line);
        files[first].push('\n');
        let mut last = post.clone();
        let second = random.next(FILES);
        if second != first && random.next(5) == 0 {
            let mut copy = post.clone();
            if random.next(2) == 0 {
                edited += 1;
                copy["title"] = format!("{} (edited)", post["title"].as_str().unwrap()).into();
                copy["score"] = (post["score"].as_i64().unwrap() + 1_000).into();
                copy["num_comments"] = (post["num_comments"].as_i64().unwrap() + 7).into();
                if second > first {
                    last = copy.clone();
                }
            } else {
                same += 1;
            }
            files[second].push_str(&copy.to_string());
            files[second].push('\n');
        }
        newest.insert(post["name"].as_str().unwrap().to_string(), last);
    }
    assert!(same > 1_000 && edited > 1_000, "{same} same, {edited} edited");
    let day_of = |post: &serde_json::Value| (post["created_utc"].as_f64().unwrap() as i64).div_euclid(86_400);
    let sums = |keep: &dyn Fn(&serde_json::Value) -> bool| {
        let mut days: BTreeMap<String, Sums> = BTreeMap::new();
        for post in newest.values().filter(|p| keep(p)) {
            let day = days.entry(date(day_of(post))).or_default();
            day.posts += 1;
            day.score += post["score"].as_i64().unwrap();
            day.comments += post["num_comments"].as_i64().unwrap();
        }
        days
    };
    let first = newest.values().map(day_of).min().unwrap();
    let end = newest.values().map(day_of).max().unwrap();
    let mut project = Project::files(&date(first), &date(end)).without(&[
        "issue_trend_daily",
        "top_issue_posts",
        "post_signals",
        "general_feedback_ai",
    ]);
    for (n, text) in files.iter().enumerate() {
        // Not in the order of their dates.
        let name = format!("in/{}.ndjson.zst", (n * 3 + 2) % FILES);
        project.write_at(&name, zstd::encode_all(text.as_bytes(), 1).unwrap(), n as u64 * 86_400);
    }
    let made = project.all();
    assert_eq!(made["state"], "succeeded", "{made}");
    let account: BTreeMap<String, u64> = project
        .json(&["quarantine", "list"])
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|a| {
            assert_eq!(a["adds_up"], true, "{a}");
            ["records_in", "good", "duplicate", "quarantined"]
                .map(|k| (k.to_string(), a[k].as_u64().unwrap()))
        })
        .fold(BTreeMap::new(), |mut sum, (k, n)| {
            *sum.entry(k).or_default() += n;
            sum
        });
    assert_eq!(account["records_in"], (lines.len() + same + edited) as u64, "{account:?}");
    assert_eq!(account["quarantined"], 0, "{account:?}");
    let found = |project: &Project| -> BTreeMap<String, Sums> {
        project
            .query(
                "SELECT dt, sum(mentions) AS n, sum(score_sum) AS s, sum(num_comments_sum) AS c \
                 FROM fact_issue_daily GROUP BY dt",
            )
            .iter()
            .map(|r| {
                let n = |k: &str| r[k].as_i64().unwrap();
                (crate::project::text(&r["dt"]), Sums { posts: n("n"), score: n("s"), comments: n("c") })
            })
            .collect()
    };
    assert_eq!(found(&project), sums(&|_| true));
    assert_eq!(project.number("SELECT count(DISTINCT post_id) AS n FROM silver_posts"), newest.len() as i64);
    assert_eq!(
        project.number("SELECT count(*) AS n FROM silver_posts WHERE title LIKE '% (edited)'"),
        newest.values().filter(|p| p["title"].as_str().unwrap().ends_with(" (edited)")).count() as i64
    );
    let days = (end - first + 1) as u64;
    let fresh = |asset: &str| {
        let status = project.json(&["status"]);
        let list = status["assets"].as_array().unwrap();
        list.iter().find(|a| a["asset"] == asset).unwrap()["fresh"].as_u64().unwrap()
    };
    for asset in ["raw_posts", "silver_posts", "fact_issue_daily"] {
        assert_eq!(fresh(asset), days, "{asset}");
    }
    project.settled();

    // The same posts, of a brand.
    project.set("brands.everything.match_any", vec!["pharmacy"]);
    project.save();
    assert_eq!(project.all()["state"], "succeeded");
    let names_it = |post: &serde_json::Value| {
        let text = format!("{} {}", post["title"].as_str().unwrap(), post["selftext"].as_str().unwrap());
        let lower = text.to_lowercase();
        let mut words = lower.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|w| w == "pharmacy")
    };
    let wanted = sums(&names_it);
    assert!(wanted.len() > 100, "{} days", wanted.len());
    assert_eq!(found(&project), wanted);
    project.settled();
}
