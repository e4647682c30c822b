//! Interrupted by a signal: in order, said so, and finished by a later run.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::project::{Project, finish, posts, same_files};

const ALL: [&str; 4] = ["materialize", "--all", "--progress", "none"];

fn project() -> Project {
    // A day a query: there always is a next step to cancel.
    let mut project = Project::files("2026-08-01", "2026-08-08").without(&[
        "issue_trend_daily",
        "top_issue_posts",
        "general_feedback_ai",
    ]);
    project.set("run.group_bytes", "1B");
    project.set("run.concurrency", 1);
    project.save();
    project.write("in/a.ndjson", posts("a", 1..=8, 5));
    project
}

#[test]
fn signals_cancel_in_order_and_a_later_run_finishes() {
    let reference = project();
    reference.ok(&ALL);
    let whole = reference.current();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let project = project();
        let child = project.start(&ALL);
        let sign = project.lake().join("_manifests/silver_posts");
        let until = Instant::now() + Duration::from_secs(60);
        while !sign.is_dir() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let done = finish(child).expect(code);
        assert!(done.stderr.contains("was canceled"), "{}", done.stderr);
        assert!(done.stderr.contains("rxpulse materialize --all"), "{}", done.stderr);
        let run = project.json(&["runs", "show"]);
        assert_eq!((&run["state"], &run["life"]), (&"canceled".into(), &"canceled".into()), "{run}");
        assert!(run["counts"]["succeeded"].as_u64() > Some(0), "{}", run["counts"]);
        assert!(run["counts"]["canceled"].as_u64() > Some(0), "{}", run["counts"]);
        assert_eq!(run["counts"]["failed"], 0);
        // What was published stays, and is not made again.
        let before = project.steps("succeeded");
        let after = project.made();
        assert!(after.is_disjoint(&before), "{:?}", after.intersection(&before).collect::<Vec<_>>());
        same_files(&project.current(), &whole, "after a signal");
        project.settled();
    }
}
