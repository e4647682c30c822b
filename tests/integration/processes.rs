//! Many processes on one project: one publishes, the others find it done.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::project::{Files, Project, finish, posts, same_files};

const ALL: [&str; 4] = ["materialize", "--all", "--progress", "none"];

fn project(lease: &str) -> Project {
    let mut project =
        Project::files("2026-08-01", "2026-08-03").without(&["issue_trend_daily", "post_signals"]);
    project.set("run.lease", lease);
    project.save();
    project.write("in/a.ndjson", posts("a", 1..=3, 20));
    project
}

fn reference() -> Files {
    let project = project("30s");
    project.ok(&ALL);
    project.current()
}

#[test]
fn eight_processes_publish_every_partition_once() {
    let whole = reference();
    let project = project("30s");
    let children: Vec<_> = (0..8).map(|_| project.start(&ALL)).collect();
    for child in children {
        finish(child).expect(0);
    }
    same_files(&project.current(), &whole, "eight processes");
    for (partition, generations) in project.manifests() {
        assert_eq!(generations.keys().collect::<Vec<_>>(), [&1], "{partition} was published more than once");
    }
    project.settled();
}

#[test]
fn eight_forced_runs_leave_what_one_leaves() {
    let project = project("30s");
    project.ok(&ALL);
    let whole = project.current();
    let force = ["materialize", "silver_posts", "--force", "--progress", "none"];
    let children: Vec<_> = (0..8).map(|_| project.start(&force)).collect();
    for child in children {
        finish(child).expect(0);
    }
    same_files(&project.current(), &whole, "eight forced runs");
    project.settled();
}

#[test]
fn a_holder_frozen_past_its_lease_changes_nothing_when_it_goes_on() {
    let whole = reference();
    // Frozen at its first bronze manifest, its first silver one, and its first gold one.
    for asset in ["raw_posts/src=inbox", "silver_posts", "fact_issue_daily"] {
        let project = project("1s");
        let holder = project.start(&ALL);
        let pid = Pid::from_child(&holder);
        let sign = project.lake().join("_manifests").join(asset);
        let until = Instant::now() + Duration::from_secs(240);
        while !sign.is_dir() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        freeze_between_transactions(pid, &project.path("state/rxpulse.db"));
        std::thread::sleep(Duration::from_millis(1_300));
        // Whoever comes then does not wait for it.
        project.ok(&ALL);
        same_files(&project.current(), &whole, asset);
        let manifests = project.manifests();
        kill_process(pid, Signal::CONT).unwrap();
        let late = finish(holder);
        assert!(late.code().is_some(), "{asset}: {} {}", late.status, late.stderr);
        assert!(!late.stderr.contains("panicked"), "{asset}: {}", late.stderr);
        same_files(&project.current(), &whole, asset);
        assert_eq!(project.manifests(), manifests, "{asset}: the frozen holder published");
        project.settled();
    }
}

/// Stops a process at a moment when it does not hold the database's write lock. A process that
/// is frozen inside a transaction keeps every other writer out, as SQLite promises: that is not
/// the case this test is about (others give up after their busy limit and say so).
fn freeze_between_transactions(pid: Pid, database: &std::path::Path) {
    for _ in 0..200 {
        kill_process(pid, Signal::STOP).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let free = rusqlite::Connection::open(database).and_then(|db| {
            db.busy_timeout(Duration::from_millis(100))?;
            db.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
        });
        if free.is_ok() {
            return;
        }
        kill_process(pid, Signal::CONT).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the holder was never found outside a transaction");
}
