//! Runs over sets of partitions, and what becomes of them when they fail, are canceled or die.

use std::time::{Duration, Instant};

use crate::project::{Project, Steps, day, finish, steps};

const DAYS: u32 = 30;
const BAD: [u32; 3] = [3, 10, 11];

/// A table that cannot be made on three days, and one that reads it.
fn planted() -> Project {
    let mut project = Project::sample("2026-08-01", "2026-08-30", 25).without(&[
        "issue_trend_daily",
        "top_issue_posts",
        "post_signals",
        "general_feedback_ai",
    ]);
    for (name, up) in [("brittle", "fact_issue_daily"), ("after", "brittle")] {
        project.set(&format!("assets.{name}.layer"), "gold");
        project.set(&format!("assets.{name}.kind"), "sql");
        project.set(&format!("assets.{name}.deps"), vec![up]);
        project.set(&format!("assets.{name}.key"), vec!["n"]);
    }
    project.save();
    let days: Vec<String> = BAD.iter().map(|d| format!("'{}'", day(*d))).collect();
    project.write(
        "assets/brittle.sql",
        format!(
            "SELECT dt, CAST(CASE WHEN dt IN ({}) THEN 'no number' ELSE '1' END AS BIGINT) AS n\nFROM fact_issue_daily GROUP BY dt\n",
            days.join(", ")
        ),
    );
    project.write("assets/after.sql", "SELECT dt, sum(n) AS n FROM brittle GROUP BY dt\n");
    project
}

fn good() -> impl Iterator<Item = u32> {
    (1..=DAYS).filter(|d| !BAD.contains(d))
}

#[test]
fn one_bad_day_never_stops_the_others_and_failed_takes_exactly_these() {
    let project = planted();
    project.run(&["materialize", "--all"]).expect(3);
    let made = project.steps("succeeded");
    for asset in ["brittle", "after"] {
        let days: Steps = made.iter().filter(|(a, _)| a == asset).cloned().collect();
        assert_eq!(days, steps(&[asset], good()));
    }
    assert_eq!(project.steps("failed"), steps(&["brittle"], BAD));
    assert_eq!(project.steps("upstream_failed"), steps(&["after"], BAD));
    let shown = project.ok(&["runs", "show"]).stdout;
    assert!(shown.contains("brittle[2026-08-10]") && shown.contains("no number"), "{shown}");

    let ask = |args: &[&str]| {
        let mut all = vec!["backfill"];
        all.extend(args);
        all.extend(["--dry-run", "--format", "json"]);
        let plan = project.run(&all).expect(0).json();
        let list = plan["steps"].as_array().unwrap().clone();
        list.iter()
            .map(|s| (crate::project::text(&s["asset"]), crate::project::text(&s["partition"])))
            .collect::<Steps>()
    };
    let wanted = steps(&["brittle", "after"], BAD);
    assert_eq!(ask(&["*", "--failed"]), wanted);
    assert_eq!(ask(&["brittle", "--failed"]), wanted, "with what depends on them");
    assert_eq!(ask(&["brittle", "--missing"]), steps(&["brittle"], BAD));
    assert_eq!(ask(&["brittle", "--missing", "--from", "2026-08-04"]), steps(&["brittle"], [10, 11]));
    assert_eq!(ask(&["brittle", "--stale"]), Steps::new());
    assert_eq!(ask(&["brittle", "--force", "--latest", "2"]), steps(&["brittle"], [29, 30]));

    // The body is mended: everything of it is stale, and yet only what failed is taken.
    let sql = project.read("assets/brittle.sql").replace("'no number'", "'2'");
    project.write("assets/brittle.sql", sql);
    project.ok(&["backfill", "brittle", "--failed", "--parallel", "1"]);
    assert_eq!(project.steps("succeeded"), wanted);
    assert_eq!(project.number("SELECT count(*) AS n FROM after WHERE n = 2"), BAD.len() as i64);
    assert_eq!(ask(&["*", "--failed"]), Steps::new());
}

#[test]
fn a_run_is_retried_with_what_it_blocked() {
    let project = planted();
    project.run(&["materialize", "--all"]).expect(3);
    // Nothing changed: the same fails again, and only that is tried.
    project.run(&["runs", "retry"]).expect(1);
    assert_eq!(project.steps("failed"), steps(&["brittle"], BAD));
    assert_eq!(project.steps("upstream_failed"), steps(&["after"], BAD));
    assert_eq!(project.steps("succeeded"), Steps::new());
    let sql = project.read("assets/brittle.sql").replace("'no number'", "'2'");
    project.write("assets/brittle.sql", sql);
    project.ok(&["runs", "retry", "1"]);
    assert_eq!(project.steps("succeeded"), steps(&["brittle", "after"], BAD));
    // What an ended run says of itself stays.
    assert_eq!(project.json(&["runs", "show", "1"])["state"], "failed");
    assert!(project.run(&["runs", "retry", "99"]).expect(2).stderr.contains("there is no run 99"));
}

#[test]
fn another_process_cancels_a_run_and_it_is_resumed() {
    let mut project = Project::sample("2026-08-01", "2026-08-30", 400);
    project.set("run.concurrency", 1);
    project.set("run.group_bytes", "100KB");
    project.save();
    project.ok(&["materialize", "raw_posts"]);
    let child = project.start(&["backfill", "silver_posts+", "--reverse"]);
    let began = Instant::now();
    let made = loop {
        let run = project.json(&["runs", "show"]);
        if run["command"].as_str().unwrap().starts_with("backfill")
            && run["counts"]["succeeded"].as_u64().unwrap() > 0
        {
            break run;
        }
        assert!(began.elapsed() < Duration::from_secs(240), "{run}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(made["state"], "running");
    let id = made["id"].to_string();
    let asked = Instant::now();
    project.ok(&["runs", "cancel"]);
    println!("canceled in {:?}", asked.elapsed());
    let done = finish(child);
    assert_eq!(done.code(), Some(130), "{}", done.stderr);
    let run = project.json(&["runs", "show", &id]);
    assert_eq!(run["state"], "canceled");
    let before = project.steps("succeeded");
    let left = project.steps("canceled");
    assert!(!left.is_empty());
    assert!(project.run(&["runs", "cancel", &id]).expect(2).stderr.contains("has ended"));
    project.ok(&["runs", "resume"]);
    let again: Steps = project.steps("succeeded");
    assert!(again.is_disjoint(&before), "nothing is made twice");
    assert_eq!(again, left);
    project.settled();
}

#[test]
fn a_killed_run_is_seen_to_be_dead_at_once_and_resumed() {
    let mut project = Project::sample("2026-08-01", "2026-08-30", 400);
    project.set("run.concurrency", 1);
    project.set("run.group_bytes", "100KB");
    project.save();
    project.ok(&["materialize", "raw_posts"]);
    let mut child = project.start(&["backfill", "silver_posts+"]);
    let began = Instant::now();
    loop {
        let run = project.json(&["runs", "show"]);
        if run["command"].as_str().unwrap().starts_with("backfill")
            && run["counts"]["succeeded"].as_u64().unwrap() > 0
        {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(240), "{run}");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let run = project.json(&["runs", "show"]);
    assert_eq!(run["life"], "dead", "{run}");
    let before = project.steps("succeeded");
    project.ok(&["runs", "resume"]);
    let again = project.steps("succeeded");
    assert!(again.is_disjoint(&before), "nothing is made twice");
    assert!(!again.is_empty());
    assert_eq!(project.json(&["runs", "show", &run["id"].to_string()])["state"], "failed");
    project.settled();
}

/// Days of the long project that are bad: every twentieth.
fn bad_days() -> Vec<String> {
    (0..20).map(|n| long_day(10 + 20 * n)).collect()
}

/// A day of the long project, by its place.
fn long_day(n: i32) -> String {
    let first: rxpulse::graph::Day = "2025-01-01".parse().unwrap();
    first.plus(n).to_string()
}

fn each(assets: &[&str], days: &[String]) -> Steps {
    assets.iter().flat_map(|a| days.iter().map(|d| (a.to_string(), d.clone()))).collect()
}

/// 400 days: captured, a table that 20 of them break, and one that reads it.
fn long() -> Project {
    let mut project = Project::sample("2025-01-01", "2026-02-04", 1).without(&[
        "issue_trend_daily",
        "top_issue_posts",
        "post_signals",
        "general_feedback_ai",
        "fact_issue_daily",
        "silver_posts",
    ]);
    for (name, up) in [("brittle", "raw_posts"), ("after", "brittle")] {
        project.set(&format!("assets.{name}.layer"), "gold");
        project.set(&format!("assets.{name}.kind"), "sql");
        project.set(&format!("assets.{name}.deps"), vec![up]);
        project.set(&format!("assets.{name}.key"), vec!["n"]);
    }
    project.save();
    let days: Vec<String> = bad_days().iter().map(|d| format!("'{d}'")).collect();
    project.write(
        "assets/brittle.sql",
        format!(
            "SELECT dt, CAST(CASE WHEN dt IN ({}) THEN 'no number' ELSE '1' END AS BIGINT) AS n\nFROM raw_posts GROUP BY dt\n",
            days.join(", ")
        ),
    );
    project.write("assets/after.sql", "SELECT dt, sum(n) AS n FROM brittle GROUP BY dt\n");
    project.ok(&["materialize", "raw_posts"]);
    project
}

#[test]
fn of_400_days_20_fail_and_380_are_made() {
    let project = long();
    let bad = bad_days();
    let good: Vec<String> = (0..400).map(long_day).filter(|d| !bad.contains(d)).collect();
    assert_eq!(good.len(), 380);
    project.run(&["backfill", "brittle+", "--quiet"]).expect(3);
    assert_eq!(project.steps("succeeded"), each(&["brittle", "after"], &good));
    assert_eq!(project.steps("failed"), each(&["brittle"], &bad));
    assert_eq!(project.steps("upstream_failed"), each(&["after"], &bad));
    // Each failure has its reason, and each that is blocked the name of what blocks it.
    for step in project.json(&["runs", "show"])["step_list"].as_array().unwrap() {
        let message = step["message"].as_str().unwrap_or_default();
        match step["state"].as_str().unwrap() {
            "failed" => assert!(message.contains("no number"), "{step}"),
            "upstream_failed" => {
                let up = format!("brittle[{}]", step["target"]["partition"].as_str().unwrap());
                assert!(message.contains(&up), "{step}");
            }
            other => assert_eq!(other, "succeeded", "{step}"),
        }
    }
    // Exactly these and what depends on them, before and after the body is mended.
    let wanted = each(&["brittle", "after"], &bad);
    let plan = project.run(&["backfill", "*", "--failed", "--dry-run", "--format", "json"]).expect(0).json();
    let planned: Steps = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (crate::project::text(&s["asset"]), crate::project::text(&s["partition"])))
        .collect();
    assert_eq!(planned, wanted);
    let sql = project.read("assets/brittle.sql").replace("'no number'", "'2'");
    project.write("assets/brittle.sql", sql);
    project.ok(&["backfill", "*", "--failed", "--quiet"]);
    assert_eq!(project.steps("succeeded"), wanted);
}

#[test]
fn a_killed_backfill_repeats_only_what_was_in_flight() {
    let mut project = long();
    project.set("run.concurrency", 2);
    project.set("run.group_bytes", "12KB");
    project.save();
    let mut child = project.start(&["backfill", "brittle+", "--quiet"]);
    let state = rxpulse::state::State::open_read_only(&project.path("state/rxpulse.db")).unwrap().unwrap();
    let began = Instant::now();
    let run = loop {
        let run = state.latest_run().unwrap().unwrap();
        if run.command.starts_with("backfill") && run.counts.succeeded > 50 {
            break run;
        }
        assert!(began.elapsed() < Duration::from_secs(240), "{run:?}");
        std::thread::sleep(Duration::from_millis(2));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    let id = run.id.to_string();
    assert_eq!(project.json(&["runs", "show", &id])["life"], "dead");
    let in_state = |wanted: &str| -> Steps {
        let steps = state.steps(run.id, &rxpulse::state::StepFilter::default()).unwrap();
        let here = steps.iter().filter(|s| s.state.as_str() == wanted);
        here.map(|s| match &s.target {
            rxpulse::event::Target::Partition { asset, partition } => {
                (asset.to_string(), partition.to_string())
            }
            other => panic!("{other:?}"),
        })
        .collect()
    };
    let (done, in_flight) = (in_state("succeeded"), in_state("running"));
    let left: Steps = in_state("waiting").union(&in_flight).cloned().collect();
    println!("killed with {} made, {} in flight, {} left", done.len(), in_flight.len(), left.len());
    assert!(!left.is_empty(), "it was over");
    project.run(&["runs", "resume", &id, "--quiet"]).expect(3);
    let again: Steps =
        ["succeeded", "skipped", "failed", "upstream_failed"].iter().flat_map(|s| project.steps(s)).collect();
    assert!(again.is_disjoint(&done), "what was made is made again");
    // A step whose data was published, but not recorded, is found and not made again.
    assert!(again.is_subset(&left), "{:?}", again.difference(&left).collect::<Vec<_>>());
    for (partition, generations) in project.manifests() {
        assert_eq!(generations.keys().collect::<Vec<_>>(), [&1], "{partition} was published twice");
    }
    let bad = bad_days();
    let plan = project.plan(&["brittle+"]);
    assert_eq!(plan.0, each(&["brittle", "after"], &bad), "only what cannot be made is left");
}
