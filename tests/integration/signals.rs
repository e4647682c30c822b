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
        let until = Instant::now() + Duration::from_secs(240);
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

#[test]
fn at_any_moment_a_signal_ends_a_backfill_in_order() {
    let seed = crate::project::seed();
    let mut dice = fastrand::Rng::with_seed(seed);
    let reference = project();
    let began = Instant::now();
    reference.ok(&["materialize", "--all"]);
    let took = began.elapsed();
    let whole = reference.current();
    let project = project();
    for round in 0..6 {
        let what = format!("seed {seed}, round {round}");
        let before = project.runs();
        let child = project.start(&["backfill", "*"]);
        std::thread::sleep(took.mul_f64(dice.f64()));
        let (signal, code) = if round % 2 == 0 { (Signal::INT, 130) } else { (Signal::TERM, 143) };
        kill_process(Pid::from_child(&child), signal).unwrap();
        let done = finish(child);
        // Before it listens at all the signal itself ends it; nothing has begun then.
        let early = std::os::unix::process::ExitStatusExt::signal(&done.status).is_some();
        let runs = project.runs();
        println!("{what}: {} {}", done.status, done.stderr.lines().last().unwrap_or(""));
        if early {
            assert_eq!(runs.len(), before.len(), "{what}");
            continue;
        }
        assert!(matches!(done.code(), Some(0)) || done.code() == Some(code), "{what}: {}", done.stderr);
        let new: Vec<_> = runs.iter().filter(|(id, _)| !before.iter().any(|(b, _)| b == id)).collect();
        assert!(new.len() <= 1, "{what}: {new:?}");
        if let Some((_, life)) = new.first() {
            assert!(life == "canceled" || life == "succeeded", "{what}: {life}");
            assert!(done.code() != Some(0) || life == "succeeded", "{what}: {life}");
        }
        if done.code() != Some(0) {
            let answered =
                ["was canceled", "interrupted", "succeeded"].iter().any(|w| done.stderr.contains(w));
            assert!(answered, "{what}: {}", done.stderr);
        }
        // Nothing is half there: what is current is what it is at the end.
        for (name, bytes) in project.current() {
            let asset = name.split('/').next().unwrap().to_string();
            let last = whole.get(&name);
            assert!(last == Some(&bytes) || asset == "source_coverage", "{what}: {name}");
        }
    }
    project.ok(&["backfill", "*"]);
    same_files(&project.current(), &whole, &format!("seed {seed}"));
    project.settled();
}
