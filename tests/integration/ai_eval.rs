//! Labels: the tables of risk, themes and actions, the golden file, and the gate.

use std::collections::BTreeSet;

use crate::project::{Project, post, steps};

const LABELLED: [&str; 2] = ["post_signals", "general_feedback_ai"];

#[test]
fn a_changed_table_makes_the_labels_again_and_a_comment_does_not() {
    let project = Project::files("2026-08-01", "2026-08-03").without(&["executive_summary_daily"]);
    let texts = [(1, "quiet"), (2, "a purple zebra came by"), (3, "quiet again")];
    let lines: Vec<String> =
        texts.iter().map(|(day, text)| post(&format!("p{day}"), *day, 9, text)).collect();
    project.write("in/a.ndjson", lines.join("\n") + "\n");
    project.all();
    let risk = || project.query("SELECT dt, risk_level FROM post_signals WHERE risk_level <> 'low'");
    assert!(risk().is_empty());
    project.replace("assets/risk.toml", "version = 1", "# for the team\nversion   = 1");
    assert_eq!(project.made(), BTreeSet::new());
    project.replace("assets/risk.toml", "\"mislabel*\"", "\"purple zebra\", \"mislabel*\"");
    assert_eq!(project.made(), steps(&LABELLED, 1..=3));
    assert_eq!(risk(), [serde_json::json!({ "dt": "2026-08-02", "risk_level": "high" })]);
    project.settled();
    // Without the file, the table inside the program is taken.
    std::fs::remove_file(project.path("assets/risk.toml")).unwrap();
    assert_eq!(project.made(), steps(&LABELLED, 1..=3));
    assert!(risk().is_empty());
    project.settled();
}

#[test]
fn a_mistake_in_a_table_is_shown_with_its_place() {
    let project = Project::sample("2026-08-01", "2026-08-01", 1);
    project.replace("assets/actions.toml", "reasons = [\"missed_dose\"]", "reasons = [\"mised_dose\"]");
    let guard = |word: &str| format!("category = \"legal\"\nguard = \"{word}\"");
    project.replace("assets/risk.toml", &guard("negation"), &guard("negaton"));
    let done = project.run(&["validate", "--format", "json"]).expect(2);
    let problems = done.json()["problems"].clone();
    let shown: BTreeSet<String> = problems
        .as_array()
        .unwrap()
        .iter()
        .map(|p| format!("{} {}; {}", p["file"], p["message"], p["help"]).replace(['"', '\\'], ""))
        .collect();
    assert!(
        problems.as_array().unwrap().iter().all(|p| p["line"].as_u64().is_some_and(|n| n > 1)),
        "{shown:?}"
    );
    let expected = [
        "assets/actions.toml there is no risk reason `mised_dose`; did you mean `missed_dose`?",
        "assets/risk.toml guard cannot be negaton; did you mean negation?",
    ];
    for line in expected {
        assert!(shown.contains(line), "{line} is not in {shown:#?}");
    }
}

#[test]
fn the_golden_file_is_measured_and_the_gate_holds_labels_back() {
    let mut project = Project::sample("2026-08-01", "2026-08-02", 20).without(&["executive_summary_daily"]);
    let done = project.ok(&["ai", "eval"]);
    assert!(done.stdout.contains("high risk") && done.stdout.contains("Passed:"), "{}", done.stdout);
    let whole = project.json(&["ai", "eval"]);
    let halves: i64 = ["dev", "test"]
        .map(|half| project.json(&["ai", "eval", "--split", half])["posts"].as_i64().unwrap())
        .iter()
        .sum();
    assert_eq!(whole["posts"].as_i64(), Some(halves));
    let only = project.json(&["ai", "eval", "--field", "issue_type"]);
    let fields = only["disagreements"].as_array().unwrap().iter().map(|d| d["field"].as_str().unwrap());
    assert!(fields.clone().all(|f| f == "issue_type"));
    let right = only["fields"][5]["right"].as_i64().unwrap();
    assert_eq!(fields.count() as i64, whole["posts"].as_i64().unwrap() - right);

    // A bar that nobody reaches: labels are held back, everything else is made.
    project.set("ai.gate.min.action_kappa", 1.0);
    project.save();
    let done = project.run(&["ai", "eval"]).expect(1);
    assert!(done.stdout.contains("action_kappa is"), "{}", done.stdout);
    let done = project.run(&["materialize", "--all", "--format", "json"]).expect(3);
    let failures = done.json()["failures"].as_array().unwrap().clone();
    assert_eq!(failures.len(), 4, "{failures:#?}");
    for failure in &failures {
        let message = failure["message"].as_str().unwrap();
        assert!(message.starts_with("[ai.gate] refuses") && message.contains("action_kappa"), "{message}");
    }
    assert!(project.number("SELECT count(*) AS n FROM fact_issue_daily") > 0);
    let manifests = project.manifests();
    assert!(LABELLED.iter().all(|asset| manifests.keys().all(|name| !name.contains(asset))), "{manifests:?}");

    project.unset("ai.gate.min.action_kappa");
    project.save();
    project.ok(&["materialize", "post_signals", "general_feedback_ai"]);
    project.settled();
}

#[test]
fn a_golden_file_of_ones_own() {
    let project = Project::sample("2026-08-01", "2026-08-01", 1);
    let line = |id: &str, title: &str, level: &str, category: &str| {
        format!(
            "{{\"id\":\"{id}\",\"split\":\"dev\",\"platform\":\"reddit\",\"post_type\":\"post\",\"title\":\"{title}\",\"body\":\"\",\"sentiment\":\"negative\",\"risk_level\":\"{level}\",\"risk_category\":{category},\"theme_id\":\"medication_safety\",\"action_id\":\"escalate_pharmacist\",\"issue_type\":\"SAFETY\"}}\n"
        )
    };
    let two = line("a", "They sent me the wrong pills", "high", "\"patient_safety\"")
        + &line("b", "Nothing to see here", "high", "\"privacy\"");
    project.write("own.jsonl", &two);
    let path = project.path("own.jsonl");
    let path = path.to_str().unwrap();
    // One of two is below the bar of the shipped gate.
    let done = project.run(&["ai", "eval", "--golden", path, "--format", "json"]).expect(1).json();
    assert_eq!(done["high_risk"]["recall"], 0.5);
    assert_eq!(done["patient_safety"]["recall"], 1.0);
    assert_eq!(done["gate"]["shortfalls"], serde_json::json!(["high_risk_recall is 0.500, below 0.95"]));
    project.write("own.jsonl", two.replace("SAFETY", "SAFTY"));
    let done = project.run(&["ai", "eval", "--golden", path]).expect(2);
    assert!(done.stderr.contains("did you mean `SAFETY`?"), "{}", done.stderr);
    let done = project.run(&["ai", "eval", "--golden", "/nowhere/golden.jsonl"]).expect(2);
    assert!(done.stderr.contains("cannot read the golden file"), "{}", done.stderr);
    project.run(&["ai", "eval", "--provider", "gemni"]).expect(2);
}
