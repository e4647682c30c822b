//! Real posts, where they are present: the first lines of them, counted on their own.

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
