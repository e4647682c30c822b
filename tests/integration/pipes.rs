//! Readers that go away, and streams that cannot be written to.

use std::process::Stdio;

use crate::project::finish;

const READING: [&[&str]; 24] = [
    &["status"],
    &["plan", "--all"],
    &["backfill", "*", "--dry-run"],
    &["explain", "brittle"],
    &["assets", "list"],
    &["assets", "show", "fact_issue_daily"],
    &["assets", "graph"],
    &["assets", "graph", "--as", "dot"],
    &["runs", "list"],
    &["runs", "show"],
    &["runs", "logs"],
    &["logs", "-f"],
    &["check", "silver_posts"],
    &["files", "raw_posts"],
    &["quarantine", "list"],
    &["quarantine", "show"],
    &["brand", "test", "amazon pharmacy is late"],
    &["taxonomy", "test", "my order is late"],
    &["validate"],
    &["doctor"],
    &["query", "SELECT * FROM silver_posts"],
    &["query", "SELECT * FROM silver_posts", "--format", "parquet"],
    &["completions", "bash"],
    &["--help"],
];

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let project = crate::json::project();
    project.run(&["materialize", "--all", "--progress", "none"]).expect(3);
    for args in READING {
        for format in ["human", "json"] {
            let mut all = args.to_vec();
            if !args.contains(&"--format") && !args.contains(&"--help") {
                all.extend(["--format", format]);
            }
            let mut child = project.start(&all);
            // Before anything is written: every write fails.
            drop(child.stdout.take());
            let done = finish(child).expect(0);
            for word in ["panic", "error", "Broken pipe", "os error"] {
                assert!(!done.stderr.contains(word), "{all:?}: {}", done.stderr);
            }
        }
    }
    // Nobody listens on either stream.
    for args in [&["status"][..], &["-vv", "plan", "--all"], &["validate"]] {
        let mut child = project.start(args);
        drop((child.stdout.take(), child.stderr.take()));
        finish(child).expect(0);
    }
}

#[test]
fn an_answer_for_which_there_is_no_room_is_an_error() {
    let project = crate::json::project();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let Ok(full) = full else {
        eprintln!("SKIPPED an_answer_for_which_there_is_no_room_is_an_error: there is no /dev/full");
        return;
    };
    let child = project.command(&["assets", "list"]).stdout(Stdio::from(full)).spawn().unwrap();
    let done = finish(child).expect(1);
    assert!(done.stderr.contains("could not be written"), "{}", done.stderr);
}
