//! General feedback read by a language model, from outside: against a fake that was written from
//! the services' description alone. Calls, money, what is kept, what happens when things fail.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::fake_llm::{Behaviour, FakeLlm, Rule, When};
use crate::project::{Done, Project, day, finish, post};

const KEY: &str = "RXPULSE_TEST_GEMINI_KEY";

/// A project whose general feedback goes to the fake: `per_day` posts on each of `days` days.
fn project(fake: &FakeLlm, days: u32, per_day: u32) -> Project {
    let mut project = Project::files(&day(1), &day(days));
    project = project.without(&["fact_issue_daily", "issue_trend_daily", "top_issue_posts", "post_signals"]);
    project.unset("ai.gate");
    project.set("ai.provider", "gemini");
    project.set("ai.fallback", vec!["embedded"]);
    project.set("ai.pack_size", 20);
    for limit in ["max_usd_per_run", "max_usd_per_day", "max_calls"] {
        project.set(&format!("ai.{limit}"), 1_000_000);
    }
    project.set("ai.gemini.model", "gemini-3.5-flash-lite");
    project.set("ai.gemini.api_key_env", KEY);
    project.set("ai.gemini.base_url", fake.base_url());
    project.set("ai.gemini.timeout", "3s");
    for (name, price) in [("input", 0.30), ("output", 2.50), ("cached_input", 0.03)] {
        project.set(&format!("ai.gemini.price.{name}"), price);
    }
    project.save();
    let mut lines = String::new();
    for d in 1..=days {
        for n in 0..per_day {
            lines.push_str(&post(&format!("d{d}n{n}"), d, n, &format!("hello there number {n} of day {d}")));
            lines.push('\n');
        }
    }
    project.write("in/posts.ndjson", lines);
    project
}

fn run(project: &Project, key: &str, args: &[&str]) -> Done {
    finish(
        project
            .command(args)
            .env(KEY, key)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap(),
    )
}

fn ask(fake: &FakeLlm, project: &Project, args: &[&str]) -> Done {
    run(project, &fake.config().key.clone(), args)
}

fn all(fake: &FakeLlm, project: &Project) -> Done {
    ask(fake, project, &["materialize", "--all"])
}

/// How many rows have which status.
fn statuses(project: &Project) -> BTreeMap<String, i64> {
    project
        .query("SELECT status, count(*) AS n FROM general_feedback_ai GROUP BY status")
        .iter()
        .map(|row| (row["status"].as_str().unwrap().to_string(), row["n"].as_i64().unwrap()))
        .collect()
}

fn only(status: &str, n: i64) -> BTreeMap<String, i64> {
    BTreeMap::from([(status.to_string(), n)])
}

/// What the log of calls says was spent, in pico-dollars, summed from its tokens.
fn logged(project: &Project) -> u128 {
    let rows = project.query(
        "SELECT coalesce(sum(prompt_tokens - cached_tokens), 0) AS i, coalesce(sum(cached_tokens), 0) AS c, \
         coalesce(sum(output_tokens + thought_tokens), 0) AS o, coalesce(sum(cost_usd), 0) AS usd FROM ai_calls",
    );
    let n = |name: &str| rows[0][name].as_i64().unwrap() as u128;
    let pico = n("i") * 300_000 + n("c") * 30_000 + n("o") * 2_500_000;
    let told = rows[0]["usd"].as_f64().unwrap();
    assert!((told - pico as f64 / 1e12).abs() < 1e-9, "{told} {pico}");
    pico
}

#[test]
fn a_thousand_posts_over_many_days_take_fifty_calls_and_are_paid_once() {
    let fake = FakeLlm::start();
    let project = project(&fake, 20, 50);
    let done = all(&fake, &project).expect(0);
    assert_eq!(fake.violations(), Vec::<String>::new());
    assert_eq!(statuses(&project), only("ok", 1_000), "{}", done.stderr);
    let calls = fake.model_calls().len();
    assert!((50..=55).contains(&calls), "{calls}");
    assert_eq!(logged(&project), fake.bill_pico_usd());
    assert!(fake.max_in_flight() <= 4, "{}", fake.max_in_flight());
    let rows = project.query(
        "SELECT count(*) AS n, count(DISTINCT prompt_hash) AS prompts, count(labelled_at) AS at, \
         sum(CASE WHEN is_llm AND provider = 'gemini' AND model_requested = 'gemini-3.5-flash-lite' \
         AND model_version = 'gemini-3.5-flash-lite-10-2026' THEN 1 ELSE 0 END) AS known FROM general_feedback_ai",
    );
    assert_eq!(rows[0]["known"], 1_000);
    assert_eq!((rows[0]["prompts"].as_i64(), rows[0]["at"].as_i64()), (Some(1), Some(1_000)));
    let quotes = project.number(
        "SELECT count(*) FROM general_feedback_ai a JOIN silver_posts s ON s.post_id = a.post_id \
         WHERE a.evidence_quote IS NOT NULL AND strpos(s.text, a.evidence_quote) = 0",
    );
    assert_eq!(quotes, 0, "evidence is a part of its post");
    // Every post was served by exactly one call.
    let served = project.query("SELECT sum(array_length(posts)) AS n FROM ai_calls");
    assert_eq!(served[0]["n"].as_i64(), Some(1_000));
    let files = project.current();

    // Again by force, and again without the database: nothing is asked, nothing differs.
    ask(&fake, &project, &["materialize", "general_feedback_ai", "--force"]).expect(0);
    std::fs::remove_dir_all(project.path("state/tmp")).ok();
    for entry in std::fs::read_dir(project.path("state")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    all(&fake, &project).expect(0);
    ask(&fake, &project, &["materialize", "general_feedback_ai", "--force"]).expect(0);
    assert_eq!(fake.model_calls().len(), calls);
    crate::project::same_files(&files, &project.current(), "answers come from the lake");
}

#[test]
fn personal_data_and_other_issues_stay_here() {
    let fake = FakeLlm::start();
    let project = project(&fake, 1, 3);
    let more = [
        post("mail", 1, 60, "hello, write to jane.doe@example.com or 555-867-5309 about it"),
        post("late", 1, 61, "my package is three weeks late and still not delivered"),
    ];
    project.write("in/more.ndjson", more.join("\n") + "\n");
    all(&fake, &project).expect(0);
    assert_eq!(fake.violations(), Vec::<String>::new());
    for secret in ["jane.doe", "example.com", "867-5309", "weeks late", "t3_mail"] {
        assert!(!fake.heard(secret), "{secret}");
    }
    assert!(fake.heard("[EMAIL]") && fake.heard("[PHONE]"));
    assert_eq!(statuses(&project), only("ok", 4), "the late parcel has an issue type of its own");
    assert_eq!(
        project.number("SELECT redacted_count FROM general_feedback_ai WHERE post_id = 'reddit:t3_mail'"),
        2
    );
}

#[test]
fn without_a_key_the_embedded_model_steps_in_and_a_key_completes_it() {
    let fake = FakeLlm::start();
    let project = project(&fake, 2, 10);
    let done = run(&project, "", &["materialize", "--all"]).expect(0);
    assert!(done.stderr.contains(KEY) && done.stderr.contains("embedded"), "{}", done.stderr);
    assert_eq!(fake.calls().len(), 0);
    assert_eq!(statuses(&project), only("fallback", 20));
    assert_eq!(
        project.number("SELECT count(*) FROM general_feedback_ai WHERE is_llm OR sentiment IS NULL"),
        0
    );
    // Nothing can be done about it without a key: a second run has nothing to do.
    let again = run(&project, "", &["plan", "--all"]).expect(0);
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
    all(&fake, &project).expect(0);
    assert_eq!((statuses(&project), fake.model_calls().len()), (only("ok", 20), 1));
    let calm = ask(&fake, &project, &["plan", "--all"]).expect(0);
    assert!(calm.stdout.contains("Nothing to do"), "{}", calm.stdout);
}

#[test]
fn money_is_never_exceeded_and_the_next_run_takes_up_what_was_left() {
    let fake = FakeLlm::start();
    let project = project(&fake, 3, 40);
    let mut runs = 0;
    let mut before = 0;
    while statuses(project_after(&fake, &project)) != only("ok", 120) {
        runs += 1;
        let spent = fake.bill_pico_usd();
        assert!(spent - before <= 20_000_000_000, "{} in one run", spent - before);
        assert!(spent > before, "every run gets on: {:?}", statuses(&project));
        assert!(statuses(&project).keys().all(|s| s == "ok" || s == "skipped_budget"));
        before = spent;
        assert!(runs < 30);
    }
    assert!(runs >= 1, "it took more than one run");
    assert_eq!(logged(&project), fake.bill_pico_usd());
}

/// After one more run that may spend two cents.
fn project_after<'a>(fake: &FakeLlm, project: &'a Project) -> &'a Project {
    ask(fake, project, &["materialize", "--all", "--max-usd", "0.02"]).expect(0);
    project
}

/// Runs a day for each case, on which the service does this at the first call, and insists on
/// what its rows say, on the bill, and on a row of the log for every call.
fn every_day_another_trouble(cases: &[(Vec<Behaviour>, &str)]) {
    let quiet = FakeLlm::start();
    let mut project = project(&quiet, cases.len() as u32, 6);
    ask(&quiet, &project, &["materialize", "+silver_posts", "labels"]).expect(0);
    for (n, (behaviour, expected)) in (1..).zip(cases) {
        let fake = FakeLlm::start();
        fake.rule(Rule::new(When::call(1), behaviour.clone()));
        project.set("ai.gemini.base_url", fake.base_url());
        project.save();
        let (before, dt) = (logged(&project), day(n));
        let calls = project.number("SELECT count(*) FROM ai_calls");
        let done =
            ask(&fake, &project, &["materialize", "general_feedback_ai", "--partition", &dt]).expect(0);
        let found = project.query(&format!(
            "SELECT status, count(*) AS n FROM general_feedback_ai WHERE dt = '{dt}' GROUP BY status"
        ));
        let found: Vec<(&str, i64)> =
            found.iter().map(|r| (r["status"].as_str().unwrap(), r["n"].as_i64().unwrap())).collect();
        assert_eq!(found, [(*expected, 6)], "{behaviour:?}: {}", done.stderr);
        assert_eq!(fake.violations(), Vec::<String>::new(), "{behaviour:?}");
        let spent = logged(&project) - before;
        // Whether an answer was taken whole shows at the server's next write.
        for _ in 0..200 {
            if fake.bill_pico_usd() == spent {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(spent, fake.bill_pico_usd(), "{behaviour:?}");
        let rows = project.number("SELECT count(*) FROM ai_calls") - calls;
        assert_eq!(rows as usize, fake.model_calls().len(), "{behaviour:?}: one row a call");
    }
}

#[test]
fn whatever_goes_wrong_on_the_way_every_post_has_an_honest_row() {
    use Behaviour::*;
    every_day_another_trouble(&[
        (vec![RetryInfo("0.5s")], "ok"),
        (vec![QuotaPerMinute(Some("1s"))], "ok"),
        (vec![QuotaPerMinute(None)], "ok"),
        (vec![QuotaPerDay(Some("9s"))], "fallback"),
        (vec![RetryInfo("3600s")], "fallback"),
        (vec![BareRateLimit], "ok"),
        (vec![HtmlRateLimit], "ok"),
        (vec![RetryAfter("1")], "ok"),
        (vec![Status(500)], "ok"),
        (vec![Status(503)], "ok"),
        (vec![Status(504)], "ok"),
        (vec![Forbidden], "fallback"),
        (vec![KeyInvalid], "fallback"),
        // It is said of every call from there.
        (vec![PlaceNotSupported], "fallback"),
        (vec![Latency(Duration::from_millis(5))], "ok"),
        (vec![Trickle(1, Duration::from_millis(50))], "ok"),
        (vec![ResetBeforeHead], "ok"),
        (vec![ResetAfterHead], "ok"),
        (vec![CutBody], "ok"),
        (vec![Gzip], "ok"),
        (vec![TruncatedGzip], "ok"),
        (vec![EmptyBody], "ok"),
        (vec![BodyNotJson], "ok"),
        (vec![DeepBody], "ok"),
        (vec![HtmlOk], "ok"),
    ]);
}

#[test]
fn whatever_the_model_writes_every_post_has_an_honest_row() {
    use Behaviour::*;
    every_day_another_trouble(&[
        (vec![MaxTokensCut], "ok"),
        (vec![MaxTokensEmpty], "ok"),
        (vec![Finish("SAFETY")], "ok"),
        (vec![Finish("RECITATION")], "ok"),
        (vec![Finish("NEW_REASON")], "ok"),
        (vec![FinishWithAnswer("NEW_REASON")], "ok"),
        (vec![PromptBlocked("PROHIBITED_CONTENT")], "ok"),
        (vec![NoCandidates], "ok"),
        (vec![SplitParts(3), Thoughts(50), Cached(200)], "ok"),
        (vec![Prose], "ok"),
        (vec![Fences], "ok"),
        (vec![WrongEnum], "ok"),
        (vec![OutOfRange], "ok"),
        (vec![MissingId], "ok"),
        (vec![DuplicateId], "ok"),
        (vec![AlienId], "ok"),
        (vec![ShuffledIds], "ok"),
        (vec![AllIdsMissing], "ok"),
        (vec![ExtraFields], "ok"),
        (vec![MissingField], "ok"),
        (vec![NullField], "ok"),
        (vec![AllNull], "ok"),
        (vec![NumbersAsStrings], "ok"),
        (vec![ForeignEvidence], "ok"),
        (vec![UrlInText], "ok"),
        (vec![EmptyList], "ok"),
        (vec![WrongShape], "ok"),
        (vec![NotJson], "ok"),
        (vec![DeepJson], "ok"),
    ]);
}

#[test]
fn one_poisonous_post_costs_only_itself() {
    use Behaviour::*;
    for (behaviour, status) in [
        (Finish("SAFETY"), "refused"),
        (PromptBlocked("PROHIBITED_CONTENT"), "refused"),
        (MaxTokensCut, "invalid"),
        (WrongEnum, "invalid"),
        (NotJson, "invalid"),
    ] {
        let fake = FakeLlm::start();
        let project = project(&fake, 1, 12);
        project.write("in/bad.ndjson", post("bad", 1, 90, "hello HIT this one") + "\n");
        fake.rule(Rule::new(When::text("HIT"), [behaviour.clone()]));
        all(&fake, &project).expect(0);
        let expected = BTreeMap::from([("ok".to_string(), 12), (status.to_string(), 1)]);
        assert_eq!(statuses(&project), expected, "{behaviour:?}");
        let rows = project.query(&format!(
            "SELECT provider, is_llm, needs_review, sentiment FROM general_feedback_ai WHERE status = '{status}'"
        ));
        assert_eq!(rows[0]["provider"], "embedded", "the fallback labels it, and the status says so");
        assert_eq!((&rows[0]["is_llm"], &rows[0]["needs_review"]), (&Value::Bool(false), &Value::Bool(true)));
        assert_eq!(logged(&project), fake.bill_pico_usd());
        // What was refused is not asked again and again.
        let calls = fake.model_calls().len();
        ask(&fake, &project, &["materialize", "general_feedback_ai", "--force"]).expect(0);
        assert_eq!(fake.model_calls().len(), calls, "{behaviour:?}");
    }
}

#[test]
fn a_changed_prompt_spends_nothing_on_old_days_unless_asked() {
    let fake = FakeLlm::start();
    let mut project = project(&fake, 3, 5);
    all(&fake, &project).expect(0);
    let calls = fake.model_calls().len();
    let file = "assets/general_feedback_ai.prompt.md";
    project.write(file, project.read(file) + "\nBe brief.\n");
    let plan = ask(&fake, &project, &["plan", "--all"]).expect(0);
    assert!(plan.stdout.contains("Nothing to do"), "{}", plan.stdout);
    // A new post is asked about with the new prompt; the old ones of its day keep their answers.
    project.write("in/new.ndjson", post("new", 2, 99, "hello from a new post") + "\n");
    all(&fake, &project).expect(0);
    assert_eq!(fake.model_calls().len(), calls + 1);
    assert_eq!(fake.model_calls().last().unwrap().posts.len(), 1);
    assert_eq!(project.number("SELECT count(DISTINCT prompt_hash) FROM general_feedback_ai"), 2);
    // Asked for from a day on: that day and the next, and no other.
    project.set("assets.general_feedback_ai.relabel", "since:2026-08-02");
    project.save();
    let plan = ask(&fake, &project, &["plan", "--all"]).expect(0);
    assert!(plan.stdout.contains("1 call") && plan.stdout.contains('$'), "{}", plan.stdout);
    all(&fake, &project).expect(0);
    assert_eq!(fake.model_calls().last().unwrap().posts.len(), 10, "five and five, not the new one");
    let old = project
        .number("SELECT count(DISTINCT prompt_hash) FROM general_feedback_ai WHERE dt >= '2026-08-02'");
    assert_eq!(old, 1);
    assert_eq!(project.number("SELECT count(DISTINCT prompt_hash) FROM general_feedback_ai"), 2);
    assert_eq!(fake.violations(), Vec::<String>::new());
}

#[test]
fn a_killed_run_repeats_at_most_the_calls_in_flight() {
    let fake = FakeLlm::start();
    let mut project = project(&fake, 1, 30);
    project.set("ai.pack_size", 10);
    project.set("run.pools.ai", 1);
    project.save();
    let key = fake.config().key.clone();
    run(&project, &key, &["materialize", "silver_posts", "+silver_posts"]).expect(0);
    let mut crashes = 0;
    // Every operation of the step in turn, until a run gets through.
    for at in 1..60 {
        let before = fake.model_calls().len();
        let child = project
            .command(&["materialize", "labels", "general_feedback_ai"])
            .env(KEY, &key)
            .env("RXPULSE_CRASH_AT", at.to_string())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let done = finish(child);
        if !done.aborted() {
            done.expect(0);
            break;
        }
        crashes += 1;
        assert!(fake.model_calls().len() >= before);
    }
    assert!(crashes > 5, "{crashes} kills");
    assert_eq!(statuses(&project), only("ok", 30));
    // Three packs; a kill right after a call loses that one answer at most.
    let calls = fake.model_calls().len();
    assert!((3..=3 + crashes).contains(&calls), "{calls} calls, {crashes} kills");
    let rows = project.number("SELECT count(*) FROM ai_calls");
    assert!(rows as usize >= calls, "a call that was made is in the log, whatever happened after it");
}

#[test]
fn a_model_is_measured_once_and_the_gate_holds_it_back() {
    let fake = FakeLlm::start();
    let mut project = project(&fake, 1, 3);
    project.set("ai.gate.min.sentiment_accuracy", 0.99);
    project.save();
    // The fake's labels are made of hashes: no better than chance.
    let eval = ["--format", "json", "ai", "eval", "--provider", "gemini"];
    let first = ask(&fake, &project, &eval).expect(1).json();
    assert_eq!(fake.violations(), Vec::<String>::new());
    assert_eq!(
        (first["model"].as_str(), first["answered"].as_i64()),
        (Some("gemini-3.5-flash-lite"), Some(275))
    );
    let usd = first["cost"]["usd"].as_f64().unwrap();
    assert!((usd - fake.bill_pico_usd() as f64 / 1e12).abs() < 1e-9, "{usd}");
    let calls = fake.model_calls().len();
    assert!((14..=16).contains(&calls), "{calls}");
    let again = ask(&fake, &project, &eval).expect(1).json();
    assert_eq!(
        (fake.model_calls().len(), &again["fields"]),
        (calls, &first["fields"]),
        "nothing is paid twice"
    );
    // Below the bar nothing is labelled, and nobody is asked.
    let refused = ask(&fake, &project, &["materialize", "+general_feedback_ai"]).expect(3);
    assert!(refused.stderr.contains("[ai.gate] refuses gemini"), "{}", refused.stderr);
    assert_eq!(fake.model_calls().len(), calls);
    // Another prompt is another thing: not measured, and said so.
    let file = "assets/general_feedback_ai.prompt.md";
    project.write(file, project.read(file) + "\nBe brief.\n");
    let warned = ask(&fake, &project, &["materialize", "general_feedback_ai"]).expect(0);
    assert!(warned.stderr.contains("was not measured"), "{}", warned.stderr);
    assert_eq!(statuses(&project), only("ok", 3));
}

#[test]
fn a_forgotten_post_leaves_the_log_of_calls_too() {
    let fake = FakeLlm::start();
    let project = project(&fake, 1, 3);
    project.write("in/more.ndjson", post("zebra", 1, 90, "hello from the stripedanimal of the zoo") + "\n");
    all(&fake, &project).expect(0);
    let stands = || {
        let mut found = Vec::new();
        for name in ["ai_calls", "ai_batches"] {
            for entry in
                walkdir::WalkDir::new(project.lake().join("_records").join(name)).into_iter().flatten()
            {
                if entry.file_type().is_file() {
                    let bytes = zstd::decode_all(std::fs::File::open(entry.path()).unwrap()).unwrap();
                    found.push(String::from_utf8(bytes).unwrap());
                }
            }
        }
        found.concat()
    };
    assert!(stands().contains("t3_zebra"));
    let spent = logged(&project);
    ask(&fake, &project, &["forget", "reddit:t3_zebra"]).expect(0);
    assert!(!stands().contains("zebra") && !stands().contains("stripedanimal"));
    assert_eq!((logged(&project), statuses(&project)), (spent, only("ok", 3)), "what was spent stays");
    assert_eq!(fake.model_calls().len(), 1, "nobody is asked again");
}

#[test]
fn a_server_of_ones_own_is_asked_the_same_way() {
    let fake = FakeLlm::start();
    let mut project = project(&fake, 2, 15);
    project.set("ai.provider", "openai_compatible");
    project.set("ai.openai_compatible.model", "fake-llama");
    project.set("ai.openai_compatible.base_url", fake.openai_base_url());
    for (name, price) in [("input", 0.10), ("output", 0.40), ("cached_input", 0.05)] {
        project.set(&format!("ai.openai_compatible.price.{name}"), price);
    }
    project.save();
    fake.rule(Rule::new(When::call(1), [Behaviour::MissingId]));
    project.run(&["materialize", "--all"]).expect(0);
    assert_eq!(fake.violations(), Vec::<String>::new());
    assert_eq!(statuses(&project), only("ok", 30));
    let told = project.query("SELECT sum(cost_usd) AS usd FROM ai_calls")[0]["usd"].as_f64().unwrap();
    assert!((told - fake.bill_pico_usd() as f64 / 1e12).abs() < 1e-9);
    assert_eq!(fake.model_calls().len(), 4, "20 in halves, and 10");
    // The answers stand when another provider is named: nobody is asked.
    project.set("ai.provider", "gemini");
    project.save();
    all(&fake, &project).expect(0);
    assert_eq!((fake.model_calls().len(), statuses(&project)), (4, only("ok", 30)));
}

#[test]
fn the_doctor_asks_whether_the_key_and_the_model_are_there() {
    let fake = FakeLlm::start();
    let mut project = project(&fake, 1, 1);
    let found = |project: &Project, key: &str, args: &[&str], check: &str| {
        let done = run(project, key, &[&["doctor", "--format", "json"], args].concat()).expect(0);
        assert!(key.is_empty() || !done.stdout.contains(key), "{}", done.stdout);
        let list = done.json();
        let found = list.as_array().unwrap().iter().filter(|f| f["check"] == check);
        let text = |v: &Value| v.as_str().unwrap_or_default().to_string();
        let all: Vec<_> = found.map(|f| (text(&f["level"]), text(&f["found"]), text(&f["fix"]))).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all.into_iter().next().unwrap()
    };
    let (level, told, fix) = found(&project, "", &[], "credentials");
    assert!(level == "warn" && told.contains(KEY) && fix.contains("embedded"), "{told}; {fix}");
    let key = fake.config().key.clone();
    assert_eq!(found(&project, &key, &[], "credentials").0, "pass");
    assert!(fake.calls().is_empty(), "only when told to");

    let (level, told, _) = found(&project, &key, &["--online"], "online");
    assert!(level == "pass" && told.contains("there is a model gemini-3.5-flash-lite"), "{told}");
    let (level, told, fix) = found(&project, "nobodys-key", &["--online"], "online");
    assert!(level == "warn" && told.contains("API key not valid"), "{told}");
    assert!(fix.contains("pipelines.toml"), "{fix}");
    project.set("ai.gemini.model", "gemini-0.1-nano");
    project.save();
    let (level, told, _) = found(&project, &key, &["--online"], "online");
    assert!(level == "warn" && told.contains("gemini-0.1-nano is not found"), "{told}");

    project.set("ai.provider", "openai_compatible");
    project.set("ai.openai_compatible.model", "fake-llama");
    project.set("ai.openai_compatible.base_url", fake.openai_base_url());
    project.save();
    let (level, told, _) = found(&project, "", &["--online"], "online");
    assert!(level == "pass" && told.contains("there is a model fake-llama"), "{told}");
    project.set("ai.openai_compatible.model", "fake-lama");
    project.save();
    let (level, told, _) = found(&project, "", &["--online"], "online");
    assert!(level == "warn" && told.contains("it has no model fake-lama; it has"), "{told}");
    assert_eq!(fake.bill_pico_usd(), 0);
    assert_eq!(fake.violations().len(), 1, "the wrong key: {:?}", fake.violations());
}
