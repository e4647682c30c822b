//! General feedback in batches: half the price, answered by a later run, paid for once, whatever
//! dies in between.

use std::process::Command;

use serde_json::{Value, json};

use crate::fake_llm::{BatchPlan, Behaviour, End, FakeLlm, Kind, Rule, When};
use crate::project::{Done, Project, finish, post};

const ASSET: &str = "general_feedback_ai";

/// Some days with so many posts of general feedback each, no two alike.
fn project(fake: &FakeLlm, days: u32, each: u32) -> Project {
    let mut project = Project::files("2026-08-01", &format!("2026-08-{days:02}"));
    project.set("ai.provider", "gemini");
    project.set("ai.pack_size", 4);
    project.set("ai.fallback", vec!["embedded"]);
    project.set("ai.gemini.model", "gemini-3.5-flash-lite");
    project.set("ai.gemini.mode", "batch");
    project.set("ai.gemini.batch_poll", "1ms");
    project.set("ai.gemini.base_url", fake.base_url());
    project.set("ai.gemini.price.input", 0.3);
    project.set("ai.gemini.price.output", 2.5);
    project.set("ai.gemini.price.cached_input", 0.03);
    project.save();
    project.write("in/a.ndjson", lines("a", 1..=days, each));
    project
}

fn lines(prefix: &str, days: impl IntoIterator<Item = u32>, each: u32) -> String {
    let mut out = String::new();
    for day in days {
        for i in 0..each {
            let id = format!("{prefix}{day:02}x{i:02}");
            out.push_str(&post(&id, day, i * 3 + 1, &format!("what a day, number {prefix}{day} and {i}")));
            out.push('\n');
        }
    }
    out
}

fn command(project: &Project, args: &[&str]) -> Command {
    let mut command = project.command(args);
    command.env("GEMINI_API_KEY", "fake-gemini-key");
    command
}

fn run(project: &Project, args: &[&str]) -> Done {
    finish(command(project, args).spawn().unwrap())
}

/// Makes everything that is out of date.
#[track_caller]
fn all(project: &Project) -> Done {
    run(project, &["materialize", "--all"]).expect(0)
}

/// How many rows have each status.
#[track_caller]
fn statuses(project: &Project) -> Vec<(String, i64)> {
    let sql = format!("SELECT status, count(*) AS n FROM {ASSET} GROUP BY status ORDER BY status");
    let rows = project.query(&sql);
    rows.iter().map(|r| (r["status"].as_str().unwrap().to_string(), r["n"].as_i64().unwrap())).collect()
}

fn is(status: &str, n: i64) -> Vec<(String, i64)> {
    vec![(status.to_string(), n)]
}

/// What the log of calls says was paid, in pico-dollars, and whether every cost is known.
#[track_caller]
fn paid(project: &Project) -> (u128, bool) {
    let rows = project.query("SELECT cost_usd FROM ai_calls");
    let cost = |r: &Value| (r["cost_usd"].as_f64().unwrap_or(0.0) * 1e12).round() as u128;
    (rows.iter().map(cost).sum(), rows.iter().all(|r| !r["cost_usd"].is_null()))
}

/// Everything is labelled and paid for once; another run asks nothing.
#[track_caller]
fn settled(project: &Project, fake: &FakeLlm, rows: i64) {
    assert_eq!(statuses(project), is("ok", rows));
    assert_eq!(fake.violations(), Vec::<String>::new());
    assert_eq!(fake.model_calls().len(), 0, "everything went in batches");
    let seen = fake.calls().len();
    all(project);
    assert_eq!(fake.calls().len(), seen, "nothing is asked twice");
}

#[test]
fn a_batch_is_sent_by_one_run_and_collected_by_another() {
    let fake = FakeLlm::start();
    let project = project(&fake, 2, 5);
    let first = all(&project);
    assert_eq!(statuses(&project), is("pending", 10));
    assert_eq!(project.number(&format!("SELECT count(sentiment) FROM {ASSET}")), 0, "no label is made up");
    let batches = fake.batches();
    assert_eq!(batches.len(), 1, "one batch of all days: {}", first.stderr);
    let sizes: Vec<usize> = batches[0].posts.iter().map(Vec::len).collect();
    assert_eq!(sizes, [4, 4, 2]);
    assert_eq!((paid(&project).1, fake.bill_pico_usd()), (false, 0), "what it costs is not known yet");

    // It says so, and asks for no more than how it stands.
    let status = project.json(&["status"]);
    let told = &status["ai_batches"][0];
    assert_eq!((&told["texts"], &told["asset"]), (&json!(10), &json!(ASSET)));
    assert_eq!(told["batch"], batches[0].name);
    let explained = project.ok(&["explain", ASSET, "--partition", "2026-08-01"]).stdout;
    assert!(explained.contains(&batches[0].name), "{explained}");
    let again = all(&project);
    let line = format!("10 texts of {ASSET} sent at");
    assert!(again.stderr.contains(&line) && again.stderr.contains(&batches[0].name), "{}", again.stderr);
    assert_eq!((statuses(&project), fake.batches().len()), (is("pending", 10), 1));

    for _ in 0..2 {
        all(&project);
    }
    assert_eq!(paid(&project), (fake.bill_pico_usd(), true));
    assert!(fake.bill_pico_usd() > 0);
    let calls = project.query("SELECT batch, outcome, pack, run FROM ai_calls ORDER BY pack DESC");
    assert_eq!(calls.len(), 3, "a row for each pack");
    assert!(calls.iter().all(|c| c["batch"] == true && c["outcome"] == "ok" && c["run"] == 1), "{calls:?}");
    assert_eq!(project.json(&["status"])["ai_batches"], json!([]));
    settled(&project, &fake, 10);
    project.settled();
}

#[test]
fn shuffled_answers_in_the_metadata_alone_are_read() {
    let fake = FakeLlm::start();
    fake.plan_batches(BatchPlan {
        pending: 0,
        running: 0,
        shuffled: true,
        only_in_metadata: true,
        ..BatchPlan::default()
    });
    let project = project(&fake, 3, 5);
    all(&project);
    all(&project);
    assert_eq!(paid(&project), (fake.bill_pico_usd(), true));
    let evidence = format!(
        "SELECT count(*) FROM {ASSET} g JOIN silver_posts s ON g.post_id = s.post_id
         WHERE strpos(s.title || chr(10) || chr(10) || s.body, g.evidence_quote) > 0"
    );
    let quoted = project.number(&format!("SELECT count(evidence_quote) FROM {ASSET}"));
    assert_eq!(project.number(&evidence), quoted, "each post has its own answer");
    settled(&project, &fake, 15);
}

#[test]
fn what_is_not_right_goes_into_the_next_batch_in_smaller_packs() {
    let fake = FakeLlm::start();
    fake.plan_batches(BatchPlan { pending: 0, running: 0, ..BatchPlan::default() });
    fake.rule(Rule::new(When::nth(Kind::BatchItem, 1), [Behaviour::MaxTokensCut]));
    fake.rule(Rule::new(When::nth(Kind::BatchItem, 2), [Behaviour::Status(503)]));
    fake.rule(Rule::new(When::nth(Kind::BatchItem, 3), [Behaviour::WrongEnum]));
    let project = project(&fake, 1, 16);
    all(&project);
    let second = all(&project);
    let sizes = |n: usize| {
        let mut sizes: Vec<usize> = fake.batches()[n].posts.iter().map(Vec::len).collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!(sizes(0), [4, 4, 4, 4]);
    // The lost pack as it was; four texts of the cut one and one wrong one in packs of two.
    assert_eq!(sizes(1), [1, 2, 2, 4], "{}", second.stderr);
    assert_eq!(statuses(&project), vec![("ok".to_string(), 7), ("pending".to_string(), 9)]);
    all(&project);
    assert_eq!(paid(&project), (fake.bill_pico_usd(), true), "the cut answer was billed, the error was not");
    settled(&project, &fake, 16);
}

#[test]
fn a_text_that_is_never_answered_right_is_invalid_after_three_batches() {
    let fake = FakeLlm::start();
    fake.plan_batches(BatchPlan { pending: 0, running: 0, ..BatchPlan::default() });
    fake.script(When::text("number a1 and 2"), [Behaviour::NotJson]);
    let project = project(&fake, 1, 4);
    for _ in 0..4 {
        all(&project);
    }
    assert_eq!(statuses(&project), vec![("invalid".to_string(), 1), ("ok".to_string(), 3)]);
    assert_eq!(fake.batches().len(), 3);
    assert_eq!(paid(&project), (fake.bill_pico_usd(), true));
    let seen = fake.calls().len();
    all(&project);
    assert_eq!(fake.calls().len(), seen);
}

#[test]
fn a_refusal_concerns_one_post_alone() {
    let fake = FakeLlm::start();
    fake.plan_batches(BatchPlan { pending: 0, running: 0, ..BatchPlan::default() });
    fake.script(When::text("number a1 and 2"), [Behaviour::Finish("SAFETY")]);
    let project = project(&fake, 1, 4);
    for _ in 0..4 {
        all(&project);
    }
    assert_eq!(statuses(&project), vec![("ok".to_string(), 3), ("refused".to_string(), 1)]);
    assert_eq!(paid(&project), (fake.bill_pico_usd(), true));
}

#[test]
fn lost_batches_are_sent_again_twice_and_then_the_embedded_model_steps_in() {
    for end in [End::Failed, End::Expired, End::Cancelled] {
        let fake = FakeLlm::start();
        fake.plan_batches(BatchPlan { pending: 0, running: 0, end, ..BatchPlan::default() });
        let project = project(&fake, 1, 3);
        all(&project);
        for batches in [2, 3] {
            all(&project);
            assert_eq!((fake.batches().len(), statuses(&project)), (batches, is("pending", 3)), "{end:?}");
        }
        let last = all(&project);
        assert_eq!((fake.batches().len(), statuses(&project)), (3, is("fallback", 3)), "{end:?}");
        assert!(last.stderr.contains("3 batches were lost"), "{}", last.stderr);
        assert_eq!(paid(&project), (0, true), "{end:?}: nothing was billed");
        assert_eq!(fake.violations(), Vec::<String>::new());
    }
}

/// Moves what is written down of batches back in time.
fn grow_older(project: &Project, ms: i64) {
    let folder = project.path("state/lake/_records/ai_batches").join(ASSET);
    let mut changed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = zstd::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
        let mut record: Value = serde_json::from_slice(&text).unwrap();
        for field in ["at_ms", "looked_ms"] {
            if let Some(at) = record[field].as_i64() {
                record[field] = json!(at - ms);
                changed += 1;
            }
        }
        std::fs::write(&path, zstd::encode_all(record.to_string().as_bytes(), 3).unwrap()).unwrap();
    }
    assert!(changed > 0);
}

#[test]
fn a_batch_that_never_ends_is_given_up_and_sent_again() {
    let fake = FakeLlm::start();
    fake.plan_batches(BatchPlan { end: End::Held, ..BatchPlan::default() });
    let project = project(&fake, 1, 3);
    all(&project);
    grow_older(&project, 71 * 3_600_000);
    all(&project);
    assert_eq!((fake.batches().len(), statuses(&project)), (1, is("pending", 3)));
    grow_older(&project, 2 * 3_600_000);
    let last = all(&project);
    assert!(last.stderr.contains("has no answer after 72 h"), "{}", last.stderr);
    assert_eq!((fake.batches().len(), statuses(&project)), (2, is("pending", 3)));
    assert!(!paid(&project).1, "what the first one cost is not known");
    fake.finish_batches(End::Succeeded);
    all(&project);
    assert_eq!(statuses(&project), is("ok", 3));
}

#[test]
fn two_batches_are_open_at_once() {
    let fake = FakeLlm::start();
    fake.plan_batches(BatchPlan { end: End::Held, ..BatchPlan::default() });
    let project = project(&fake, 2, 3);
    all(&project);
    project.write("in/b.ndjson", lines("b", 2..=2, 4));
    all(&project);
    let texts: Vec<usize> = fake.batches().iter().map(|b| b.posts.concat().len()).collect();
    assert_eq!(texts, [6, 4], "only what is new");
    assert_eq!(project.json(&["status"])["ai_batches"].as_array().map(Vec::len), Some(2));
    assert_eq!(statuses(&project), is("pending", 10));
    fake.finish_batches(End::Succeeded);
    // One day of the first batch alone: what it says of the other day is not lost.
    run(&project, &["materialize", ASSET, "--partition", "2026-08-01"]).expect(0);
    assert_eq!(statuses(&project), vec![("ok".to_string(), 3), ("pending".to_string(), 7)]);
    let polls = fake.calls().len();
    all(&project);
    assert_eq!(fake.calls().len(), polls, "both have been read");
    assert_eq!(paid(&project), (fake.bill_pico_usd(), true));
    settled(&project, &fake, 10);
}

#[test]
fn the_database_may_be_lost_while_a_batch_is_open() {
    let fake = FakeLlm::start();
    let project = project(&fake, 2, 4);
    all(&project);
    for entry in std::fs::read_dir(project.path("state")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    for _ in 0..3 {
        all(&project);
    }
    assert_eq!(fake.batches().len(), 1);
    assert_eq!(paid(&project), (fake.bill_pico_usd(), true));
    settled(&project, &fake, 8);
}

#[test]
fn what_does_not_fit_the_budget_is_left_for_later_and_never_sent() {
    let fake = FakeLlm::start();
    fake.plan_batches(BatchPlan { pending: 0, running: 0, ..BatchPlan::default() });
    let mut project = project(&fake, 1, 12);
    project.set("ai.max_calls", 2);
    project.save();
    let first = all(&project);
    assert!(first.stderr.contains("4 of 12 texts were skipped, as max_calls is reached"), "{}", first.stderr);
    assert_eq!(statuses(&project), vec![("pending".to_string(), 8), ("skipped_budget".to_string(), 4)]);
    all(&project);
    all(&project);
    assert_eq!(paid(&project), (fake.bill_pico_usd(), true));
    settled(&project, &fake, 12);

    // Less than one pack may cost.
    project.unset("ai.max_calls");
    project.set("ai.max_usd_per_day", 0.000_1);
    project.save();
    project.write("in/b.ndjson", lines("b", 1..=1, 4));
    let batches = fake.batches().len();
    all(&project);
    assert_eq!(fake.batches().len(), batches);
    assert_eq!(statuses(&project), vec![("ok".to_string(), 12), ("skipped_budget".to_string(), 4)]);
}

#[test]
fn a_batch_that_is_not_taken_costs_nothing_and_is_said() {
    let fake = FakeLlm::start();
    fake.plan_batches(BatchPlan { pending: 0, running: 0, ..BatchPlan::default() });
    fake.rule(
        Rule::new(When::is(|look| look.kind == Kind::BatchCreate), [Behaviour::QuotaPerDay(None)]).times(1),
    );
    let project = project(&fake, 1, 3);
    let first = all(&project);
    assert_eq!(statuses(&project), is("fallback", 3));
    assert!(first.stderr.contains("the batch was not taken"), "{}", first.stderr);
    assert_eq!(paid(&project), (0, true));
    all(&project);
    all(&project);
    assert_eq!(paid(&project), (fake.bill_pico_usd(), true));
    settled(&project, &fake, 3);
}

/// A project of which all but the model's table is made, and how its state was then.
fn made() -> (FakeLlm, Project) {
    let fake = FakeLlm::start();
    fake.plan_batches(BatchPlan { pending: 0, running: 0, ..BatchPlan::default() });
    let mut project = project(&fake, 1, 6);
    project.set("run.concurrency", 1);
    // Who comes after a crash waits so long for the dead.
    project.set("run.lease", "1s");
    project.save();
    project.ok(&["materialize", "+silver_posts", "labels"]);
    (fake, project)
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let _ = std::fs::remove_dir_all(to);
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

/// Makes the model's table from the same state, killed at every durable operation with one of
/// these names, which come so often; `then` looks at what comes of it.
fn killed(project: &Project, points: &[(&str, u32)], then: &mut dyn FnMut(&str)) {
    let (state, kept) = (project.path("state"), project.path("kept"));
    copy(&state, &kept);
    for (name, times) in points {
        for at in 1..=*times {
            copy(&kept, &state);
            let mut command = command(project, &["materialize", ASSET]);
            let done = finish(command.env("RXPULSE_CRASH_AT", format!("{at} {name}")).spawn().unwrap());
            assert!(done.aborted(), "{at} {name}: {} {}", done.status, done.stderr);
            then(name);
        }
    }
}

#[test]
fn killed_while_it_is_sent_a_batch_is_found_again_or_counted() {
    // Two packs, one batch.
    let points = [
        ("write down an AI call", 2),
        ("make an AI call", 2),
        ("write down an AI batch", 1),
        ("send an AI batch", 1),
        ("write down an AI batch's name", 1),
        ("write down how an AI batch stands", 1),
    ];
    let (fake, project) = made();
    // Batches of runs that were killed elsewhere stand there as well.
    let sent = std::cell::Cell::new(0);
    killed(&project, &points, &mut |name| {
        let bill = fake.bill_pico_usd();
        for _ in 0..3 {
            all(&project);
        }
        let (cost, known) = paid(&project);
        assert_eq!(cost, fake.bill_pico_usd() - bill, "{name}");
        // What was written down and did not arrive counts at its most.
        assert_eq!(known, name != "send an AI batch", "{name}");
        let collected = fake.batches().iter().filter(|b| b.state == "BATCH_STATE_SUCCEEDED").count();
        sent.set(sent.get() + 1);
        assert_eq!(collected, sent.get(), "{name}: nothing is paid twice");
        let open = project.json(&["status"])["ai_batches"].clone();
        assert_eq!(open, json!([]), "{name}");
        settled(&project, &fake, 6);
    });
}

#[test]
fn killed_while_it_is_collected_a_batch_is_collected_again() {
    let (fake, project) = made();
    run(&project, &["materialize", ASSET]).expect(0);
    assert_eq!(fake.batches().len(), 1);
    let points = [("write down an AI answer", 2), ("write down how an AI batch stands", 1)];
    killed(&project, &points, &mut |name| {
        all(&project);
        assert_eq!(fake.batches().len(), 1, "{name}");
        assert_eq!(paid(&project), (fake.bill_pico_usd(), true), "{name}");
        settled(&project, &fake, 6);
    });
}
