//! The first command of the README: everything is made from the sample source.

use std::collections::BTreeSet;

use crate::project::{DAILY, Project, Steps, day, same_files, steps, text};

#[test]
fn every_layer_is_filled_and_the_numbers_add_up() {
    let project = Project::sample("2026-08-01", "2026-08-05", 60);
    let summary = project.all();
    assert_eq!(summary["state"], "succeeded");
    assert_eq!(summary["steps"]["failed"], 0);
    let mut expected = steps(&DAILY, 1..=5);
    expected.insert(("issue_types".into(), "whole".into()));
    assert_eq!(project.steps("succeeded"), expected);
    assert_eq!(project.steps("skipped"), Steps::new());

    // What a source read is accounted for, record by record, and the summary says the same.
    let account = project.json(&["quarantine", "list"]);
    let mut total = [0; 4];
    for window in account.as_array().unwrap() {
        assert_eq!(window["adds_up"], true, "{window}");
        for (n, field) in total.iter_mut().zip(["records_in", "good", "duplicate", "quarantined"]) {
            *n += window[field].as_i64().unwrap();
        }
    }
    assert!(total[0] >= 300, "{total:?}");
    assert_eq!(total[0], total[1] + total[2] + total[3]);
    assert!(total[2] > 0 && total[3] > 0, "the sample plants duplicates and malformed rows: {total:?}");
    let captured = &summary["captured"]["sample"];
    assert_eq!(captured["rows_in"], total[0]);
    assert_eq!(captured["rows_out"], total[1]);

    // Every layer answers, and each adds up to the one before it.
    let rows = project.rows();
    for asset in DAILY.iter().filter(|a| **a != "labels") {
        assert!(rows[*asset] > 0, "{asset} is empty");
    }
    let numbers = &project.query(
        "SELECT (SELECT count(*) FROM raw_posts) AS raw,
                (SELECT count(*) FROM silver_posts) AS silver,
                (SELECT sum(mentions) FROM fact_issue_daily) AS mentions,
                (SELECT count(*) FROM post_signals) AS signals,
                (SELECT count(*) FROM general_feedback_ai) AS feedback,
                (SELECT count(*) FROM silver_posts WHERE issue_type = 'GENERAL_FEEDBACK') AS general,
                (SELECT sum(mentions) FROM issue_trend_daily) AS trend,
                (SELECT count(DISTINCT dt) FROM issue_trend_daily) AS days",
    )[0];
    assert_eq!(numbers["raw"], total[1]);
    assert_eq!(numbers["silver"], rows["silver_posts"]);
    assert_eq!(numbers["silver"], numbers["mentions"]);
    assert_eq!(numbers["silver"], numbers["signals"]);
    assert_eq!(numbers["general"], numbers["feedback"]);
    assert_eq!(numbers["trend"], numbers["mentions"]);
    assert_eq!(numbers["days"], 5);
    // Rows in = rows out + what was left out, with its reason.
    let run = project.json(&["runs", "show"]);
    for step in run["step_list"].as_array().unwrap() {
        if step["target"]["asset"] == "silver_posts" {
            let stats = &step["stats"];
            let dropped: i64 = stats["dropped"]
                .as_object()
                .map(|d| d.values().map(|n| n.as_i64().unwrap()).sum())
                .unwrap_or_default();
            assert_eq!(
                stats["rows_in"].as_i64().unwrap(),
                stats["rows_out"].as_i64().unwrap() + dropped,
                "{step}"
            );
        }
    }

    // `files` names exactly what the manifests name, and other tools can open it.
    let mut named = BTreeSet::new();
    for asset in DAILY.iter().chain(&["issue_types"]) {
        for file in project.json(&["files", asset]).as_array().unwrap() {
            named.insert(text(&file["path"]));
        }
        let plain = project.ok(&["files", asset]).stdout;
        assert!(plain.lines().all(|l| named.contains(l)), "{plain}");
    }
    let current = project.current();
    let listed = current.keys().map(|f| project.lake().join(f).to_string_lossy().into_owned());
    assert_eq!(named, listed.collect());
    project.settled();

    // The same project elsewhere makes the same lake.
    let other = Project::sample("2026-08-01", "2026-08-05", 60);
    other.all();
    same_files(&current, &other.current(), "the same project twice");
}

#[test]
fn a_query_answers_in_every_format_and_commands_tell_their_errors() {
    let project = Project::sample("2026-08-01", "2026-08-02", 30).without(&[
        "issue_trend_daily",
        "top_issue_posts",
        "post_signals",
        "general_feedback_ai",
    ]);
    project.ok(&["materialize", "fact_issue_daily", "+silver_posts", "--partition", &day(1)]);
    let sql = "SELECT issue_type, sum(mentions) AS n FROM fact_issue_daily GROUP BY issue_type ORDER BY 1";
    let rows = project.query(sql);
    assert!(!rows.is_empty());
    let csv = project.ok(&["query", sql, "--format", "csv"]).stdout;
    assert_eq!(csv.lines().next(), Some("issue_type,n"));
    assert_eq!(csv.lines().count(), rows.len() + 1);
    let lines = project.ok(&["query", sql, "--format", "ndjson"]).stdout;
    assert_eq!(lines.lines().count(), rows.len());
    let out = project.path("answer.parquet");
    project.ok(&["query", sql, "--format", "parquet", "--out", out.to_str().unwrap()]);
    assert!(std::fs::read(&out).unwrap().starts_with(b"PAR1"));
    // Only the day asked for was made.
    assert_eq!(project.number("SELECT count(DISTINCT dt) AS n FROM silver_posts"), 1);

    let wrong = project.run(&["query", "SELECT mentionz FROM fact_issue_daily"]).expect(2);
    assert!(wrong.stderr.contains("mentionz") && wrong.stderr.contains("query:1:8"), "{}", wrong.stderr);
    let wrong = project.run(&["materialize", "silver_post"]).expect(2);
    assert!(wrong.stderr.contains("silver_posts"), "{}", wrong.stderr);
    project.run(&["materialize", "silver_posts", "--partition", "2026-07-31"]).expect(2);
    project.run(&["materialize"]).expect(2);
    project.run(&["no-such-command"]).expect(2);
    let nowhere = project.path("assets");
    let gone = std::process::Command::new(env!("CARGO_BIN_EXE_rxpulse"))
        .args(["-C", nowhere.to_str().unwrap(), "validate"])
        .output()
        .unwrap();
    assert_eq!(gone.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("rxpulse init"));
}

#[test]
fn every_command_that_reads_answers_people_and_programs() {
    let project = Project::sample("2026-08-01", "2026-08-02", 30);
    // Before anything is made: no command fails for want of a lake, and none makes one.
    for args in [vec!["status"], vec!["plan", "--all"], vec!["runs", "list"], vec!["assets", "list"]] {
        project.ok(&args);
    }
    assert!(!project.path("state/lake").exists());
    project.all();
    let before = project.current();
    let commands: [&[&str]; 12] = [
        &["status"],
        &["plan", "--all"],
        &["explain", "fact_issue_daily", "--partition", "2026-08-02"],
        &["assets", "list"],
        &["assets", "show", "silver_posts"],
        &["runs", "list"],
        &["runs", "show"],
        &["validate"],
        &["check"],
        &["quarantine", "list"],
        &["taxonomy", "test", "my order is two weeks late"],
        &["brand", "test", "my amazon pharmacy order"],
    ];
    for args in commands {
        let said = project.ok(args);
        assert!(!said.stdout.trim().is_empty() || !said.stderr.trim().is_empty(), "{args:?} says nothing");
        assert!(!said.stdout.contains('\u{1b}'), "{args:?} colours what is no terminal");
        project.json(args);
    }
    for style in ["text", "dot", "mermaid"] {
        assert!(project.ok(&["assets", "graph", "--as", style]).stdout.contains("silver_posts"), "{style}");
    }
    assert!(project.ok(&["runs", "logs"]).stdout.lines().count() > 10);
    assert!(
        project.ok(&["taxonomy", "test", "my order is two weeks late"]).stdout.contains("DELIVERY_DELAY")
    );
    project.ok(&["doctor"]);
    project.ok(&["prune"]);
    project.ok(&["gc"]);
    assert!(project.current() == before);
    project.settled();

    // A project written by `init` is the shipped one and valid.
    let fresh = project.path("fresh");
    project.ok(&["init", fresh.to_str().unwrap()]);
    assert_eq!(
        std::fs::read_to_string(fresh.join("pipelines.toml")).unwrap(),
        crate::project::shipped("pipelines.toml")
    );
    let valid = std::process::Command::new(env!("CARGO_BIN_EXE_rxpulse"))
        .args(["-C", fresh.to_str().unwrap(), "validate"])
        .output()
        .unwrap();
    assert!(valid.status.success(), "{}", String::from_utf8_lossy(&valid.stderr));
}

#[test]
fn what_the_product_keeps_itself_need_not_be_named() {
    let project = Project::sample("2026-08-01", "2026-08-03", 20);
    project.ok(&["materialize", "raw_posts"]);
    // Silver reads `labels`, which nobody made yet.
    project.ok(&["materialize", "silver_posts", "--partition", "2026-08-02"]);
    assert_eq!(project.steps("succeeded"), steps(&["labels", "silver_posts"], [2]));
    // Fresh ones are not made again, not even by force.
    project.ok(&["materialize", "silver_posts", "--partition", "2026-08-02", "--force"]);
    assert_eq!(project.steps("succeeded"), steps(&["silver_posts"], [2]));
}
