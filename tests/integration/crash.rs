//! Killed anywhere, then the same command: the lake is what an uninterrupted run makes.
//!
//! A few crash points spread over the whole run are tried each time;
//! `RXPULSE_TEST_CRASH_STRIDE=1` tries every one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::project::{Files, Project, finish, posts, same_files};

const ALL: [&str; 4] = ["materialize", "--all", "--progress", "none"];

/// Two days and two files; steps one after the other, so that the n-th operation is the same
/// one each time.
fn small() -> Project {
    let mut project = Project::files("2026-08-01", "2026-08-02").without(&[
        "issue_trend_daily",
        "general_feedback_ai",
        "post_signals",
    ]);
    project.set("run.concurrency", 1);
    // Who comes after a crash waits so long for the dead.
    project.set("run.lease", "1s");
    project.save();
    project.write("in/a.ndjson", posts("a", 1..=2, 4));
    project.write("in/b.ndjson", format!("{}broken\n{}", posts("b", 1..=2, 3), posts("a", [1], 1)));
    project
}

/// What an uninterrupted run leaves.
struct Whole {
    files: Files,
    rows: std::collections::BTreeMap<String, u64>,
    account: serde_json::Value,
}

fn account(project: &Project) -> serde_json::Value {
    let mut list = project.json(&["quarantine", "list"]);
    for window in list.as_array_mut().unwrap() {
        assert_eq!(window["adds_up"], true, "{window}");
        window.as_object_mut().unwrap().remove("at");
    }
    list
}

fn whole(project: &Project) -> Whole {
    project.ok(&ALL);
    Whole { files: project.current(), rows: project.rows(), account: account(project) }
}

/// The same command until it ends, then everything is as it should be.
#[track_caller]
fn recovered(project: &Project, whole: &Whole, what: &str) {
    let done = project.run(&ALL);
    assert_eq!(done.code(), Some(0), "{what}: {}", done.stderr);
    same_files(&project.current(), &whole.files, what);
    assert_eq!(project.rows(), whole.rows, "{what}");
    project.settled();
}

/// Dies at every `stride`-th crash point from `first` on; tells how many and at what.
fn sweep(first: u64, stride: usize) {
    let whole = whole(&small());
    let (mut killed, mut kinds) = (0, BTreeSet::new());
    let stride = std::env::var("RXPULSE_TEST_CRASH_STRIDE").map_or(stride, |s| s.parse().unwrap());
    for at in (first..).step_by(stride) {
        let project = small();
        let done = project.run_crashing(&ALL, at);
        if done.code() == Some(0) {
            same_files(&project.current(), &whole.files, "the last run");
            break;
        }
        assert!(done.aborted(), "crash point {at}: {} {}", done.status, done.stderr);
        let line = done.stderr.lines().find(|l| l.starts_with("RXPULSE_CRASH_AT reached: "));
        kinds.insert(line.unwrap_or_else(|| panic!("{}", done.stderr)).to_string());
        killed += 1;
        recovered(&project, &whole, &format!("killed at crash point {at}, {}", line.unwrap()));
        if at % 4 == 0 {
            assert_eq!(account(&project), whole.account, "killed at crash point {at}");
        }
    }
    println!("killed at {killed} crash points: {kinds:?}");
    assert!(killed >= 5 && kinds.len() >= 3, "{killed} {kinds:?}");
}

#[test]
fn killed_at_crash_points_early_and_late() {
    sweep(2, 37);
}

#[test]
fn killed_at_other_crash_points() {
    sweep(21, 37);
}

#[test]
fn killed_again_and_again_while_recovering() {
    let whole = whole(&small());
    let project = small();
    // Each run gets a little further than the one before: most of them die recovering.
    let mut kills = 0;
    for n in 0..200 {
        let done = project.run_crashing(&ALL, 8 + 5 * n);
        if done.code() == Some(0) {
            break;
        }
        assert!(done.aborted(), "{} {}", done.status, done.stderr);
        kills += 1;
    }
    println!("killed {kills} times");
    assert!(kills >= 5, "{kills}");
    recovered(&project, &whole, "killed again and again");
    assert_eq!(account(&project), whole.account);
}

#[test]
fn killed_in_a_run_over_what_was_there_before() {
    // An upgrade of every day: new code, a changed file, an old version that stays readable.
    let change = |project: &Project| {
        project.write_at("in/b.ndjson", posts("c", 1..=2, 5), 60);
        project.replace("assets/fact_issue_daily.sql", "count(*) AS mentions", "count(*) + 1 AS mentions");
    };
    let reference = small();
    whole(&reference);
    change(&reference);
    let whole = whole(&reference);
    let mut kills = 0;
    for at in (5..).step_by(61) {
        let project = small();
        project.ok(&ALL);
        let old = project.current();
        change(&project);
        let done = project.run_crashing(&ALL, at);
        if done.code() == Some(0) {
            break;
        }
        assert!(done.aborted(), "{} {}", done.status, done.stderr);
        kills += 1;
        // Whatever is current is whole: old or new, never a part.
        for (name, bytes) in project.current() {
            assert!(
                old.get(&name) == Some(&bytes)
                    || whole.files.get(&name) == Some(&bytes)
                    || name.starts_with("raw_posts/")
                    || name.starts_with("silver_posts/")
                    || name.starts_with("top_issue_posts/")
                    || name.starts_with("fact_issue_daily/"),
                "{name} is neither the old nor the new version"
            );
        }
        recovered(&project, &whole, &format!("killed at crash point {at} of a second run"));
    }
    println!("killed {kills} times");
    assert!(kills >= 2, "{kills}");
}

/// A small generator, so that a failure can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n.max(1)
    }
}

#[test]
fn killed_from_outside_at_random_moments() {
    let seed = std::env::var("RXPULSE_TEST_SEED").map_or_else(
        |_| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1,
        |s| s.parse().unwrap(),
    );
    println!("RXPULSE_TEST_SEED={seed}");
    let mut dice = Dice(seed);
    let reference = small();
    let began = Instant::now();
    let whole = whole(&reference);
    let took = began.elapsed().as_millis() as u64;
    let mut kills = 0;
    for round in 0..4 {
        let project = small();
        for _ in 0..3 {
            let mut child = project.start(&ALL);
            std::thread::sleep(Duration::from_millis(dice.below(took)));
            child.kill().unwrap();
            kills += u32::from(finish(child).code().is_none());
        }
        recovered(&project, &whole, &format!("seed {seed}, round {round}"));
        assert_eq!(account(&project), whole.account, "seed {seed}, round {round}");
    }
    assert!(kills > 0, "every run was faster than its killer");
}
