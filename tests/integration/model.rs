//! The sentiment model from outside: trained, measured, used by a project, refused when it is none.

use crate::project::{Project, day};

fn labelled() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/labelled.tsv").to_string()
}

/// Trains for the project, shortly.
fn train(project: &Project, more: &[&str]) -> serde_json::Value {
    let data = labelled();
    project.json(&[&["model", "train", "--data", &data, "--epochs", "1"], more].concat())
}

#[test]
fn a_project_with_a_model_of_its_own_labels_anew() {
    let project = Project::sample("2026-08-01", "2026-08-01", 20).without(&["executive_summary_daily"]);
    project.all();
    project.ok(&["materialize", "--all"]);
    let stale = |project: &Project| -> Vec<String> {
        let assets = project.json(&["status"])["assets"].clone();
        let all = assets.as_array().cloned().unwrap_or_default();
        all.iter().filter(|a| a["stale"] != 0).map(|a| a["asset"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(stale(&project), Vec::<String>::new());

    let data = labelled();
    let trained = train(&project, &["--dev", &data]);
    let file = project.path("assets/sentiment.model");
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(trained["bytes"], bytes.len());
    assert_eq!(trained["dev"][0]["texts"], 9);
    let provenance = trained["provenance"].as_str().unwrap();
    assert!(provenance.contains("labelled.tsv, 9 texts, blake3 "), "{provenance}");
    assert!(!provenance.contains(env!("CARGO_MANIFEST_DIR")), "{provenance}");
    let shown = project.ok(&["model", "show"]).stdout;
    assert!(shown.contains("assets/sentiment.model") && shown.contains("seed 1, epochs 1"), "{shown}");
    assert_eq!(stale(&project), ["general_feedback_ai", "post_signals"]);
    let because = project.ok(&["explain", "post_signals", "--partition", &day(1).to_string()]).stdout;
    assert!(because.contains("code"), "{because}");

    // The same again: the same bytes, and another seed makes others.
    train(&project, &["--dev", &data]);
    assert!(std::fs::read(&file).unwrap() == bytes);
    let other = project.path("other.model");
    train(&project, &["--dev", &data, "--seed", "2", "--out", other.to_str().unwrap()]);
    assert!(std::fs::read(&other).unwrap() != bytes);
    let measured = project.json(&["model", "eval", "--data", &data, "--model", other.to_str().unwrap()]);
    assert_eq!(measured["sets"][0]["file"], "labelled.tsv");
    let text = project.ok(&["model", "eval", "--data", &data]).stdout;
    assert!(text.contains("macro recall") && text.contains("labelled.tsv"), "{text}");
}

#[test]
fn a_file_that_is_no_model_stops_the_project_and_says_why() {
    let project = Project::sample("2026-08-01", "2026-08-01", 1);
    let file = project.path("assets/sentiment.model");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let done = project.run(&["status"]).expect(2);
    assert!(done.stderr.contains("sentiment.model") && done.stderr.contains("cut"), "{}", done.stderr);
    std::fs::remove_file(&file).unwrap();
    // Without one, that of the program.
    project.ok(&["status"]);
    let shown = project.ok(&["model", "show"]).stdout;
    assert!(shown.contains("inside the program") && shown.contains("GoEmotions"), "{shown}");
}

#[test]
fn data_that_cannot_be_read_is_named_with_its_line() {
    let project = Project::sample("2026-08-01", "2026-08-01", 1);
    project.write("bad.tsv", "negative\tx\nsad\ty\n");
    let bad = project.path("bad.tsv");
    let done = project.run(&["model", "eval", "--data", bad.to_str().unwrap()]).expect(1);
    assert!(done.stderr.contains("bad.tsv:2") && done.stderr.contains("`sad`"), "{}", done.stderr);
    let done = project.run(&["model", "eval", "--data", "nowhere.tsv"]).expect(1);
    assert!(done.stderr.contains("nowhere.tsv"), "{}", done.stderr);
    let data = labelled();
    project.run(&["model", "eval", "--data", &data, "--neutral", "9"]).expect(2);
}
