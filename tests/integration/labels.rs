//! What people say of a post stands above what is computed, makes its own day alone again, and is
//! never lost.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::project::{Project, Steps, day, posts, same_files, steps, text};

/// Three days of posts; `t3_a02x003` is one of general feedback on the second.
fn project() -> Project {
    let project = Project::files("2026-08-01", "2026-08-03");
    project.write("in/a.ndjson", posts("a", 1..=3, 6));
    project.all();
    project
}

const POST: &str = "reddit:t3_a02x003";
const READERS: [&str; 3] = ["silver_posts", "post_signals", "general_feedback_ai"];

fn row(project: &Project, table: &str) -> Value {
    let rows = project.query(&format!("SELECT * FROM {table} WHERE post_id = '{POST}'"));
    assert!(rows.len() < 2, "{rows:?}");
    rows.into_iter().next().unwrap_or(Value::Null)
}

fn list(value: &Value) -> BTreeSet<String> {
    value.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn a_label_makes_the_day_of_its_post_again_and_nothing_else() {
    let project = project();
    let before = project.current();
    assert_eq!(row(&project, "silver_posts")["issue_type"], "GENERAL_FEEDBACK", "the post is one of them");
    let told =
        project.json(&["label", "t3_a02x003", "--issue-type", "stock", "--risk", "high", "--by", "ann"]);
    assert_eq!((&told["post_id"], &told["day"]), (&json!(POST), &json!(day(2))));
    assert_eq!(told["labels"], json!({ "issue_type": "STOCK", "risk": "high" }));
    assert_eq!(list(&told["stale"]), READERS.iter().map(|a| format!("{a}[{}]", day(2))).collect());

    let human = project.ok(&["explain", "silver_posts", "--partition", &day(2)]).stdout;
    assert!(human.contains("stale: after labels"), "{human}");
    let (planned, captures) =
        project.plan(&["labels", "silver_posts", "post_signals", "general_feedback_ai"]);
    assert_eq!(planned, steps(&["labels"], [2]).union(&steps(&READERS, [2])).cloned().collect::<Steps>());
    assert_eq!(captures, Vec::<String>::new());
    // A gold table alone brings its labels along.
    project.ok(&["materialize", "labels+"]);
    let made = project.steps("succeeded");
    let of_day = |asset: &str| made.contains(&(asset.to_string(), day(2)));
    assert!(READERS.iter().all(|a| of_day(a)) && of_day("labels") && of_day("fact_issue_daily"), "{made:?}");
    // The trend looks back, so that later days may follow, of it and of the summary that reads it;
    // nothing else does.
    let later = ["issue_trend_daily", "executive_summary_daily"];
    assert!(made.iter().all(|(asset, d)| *d == day(2) || later.contains(&asset.as_str())), "{made:?}");
    project.settled();

    let silver = row(&project, "silver_posts");
    assert_eq!((&silver["issue_type"], &silver["issue_rule"]), (&json!("STOCK"), &json!("label")));
    let signals = row(&project, "post_signals");
    assert_eq!((&signals["risk_level"], &signals["labelled_by"]), (&json!("high"), &json!("ann")));
    assert_eq!(row(&project, "general_feedback_ai"), Value::Null, "it is none any more");
    let others = project.number("SELECT count(*) FROM post_signals WHERE labelled_by IS NULL");
    assert_eq!(others, 17);

    // Taken back, everything is as it was, to the byte.
    let told = project.json(&["label", POST, "--clear", "--by", "ann"]);
    assert_eq!(told["labels"], json!({}));
    project.all();
    same_files(&project.current(), &before, "after the label was taken back");
    assert_eq!(project.json(&["label", "list"]), json!([]));
}

#[test]
fn the_newest_word_counts_field_by_field_and_survives_everything() {
    let project = project();
    project.ok(&["label", POST, "--sentiment", "negative", "--risk", "high", "--by", "ann"]);
    let theme = "price_value";
    project.ok(&["label", POST, "--risk", "low", "--theme", theme, "--note", "ann slipped", "--by", "bob"]);
    project.all();
    let check = |what: &str| {
        let feedback = row(&project, "general_feedback_ai");
        assert_eq!(feedback["sentiment"], "negative", "{what}");
        assert_eq!(feedback["sentiment_score"], Value::Null, "{what}");
        assert_eq!(
            (&feedback["risk_level"], &feedback["risk_reasons"]),
            (&json!("low"), &json!([])),
            "{what}"
        );
        assert_eq!(
            (&feedback["theme_id"], &feedback["labelled_by"]),
            (&json!(theme), &json!("ann, bob")),
            "{what}"
        );
        assert_ne!(feedback["theme"], json!(theme), "{what}: people read its title");
        let signals = row(&project, "post_signals");
        assert_eq!(
            (&signals["risk_level"], &signals["labelled_by"]),
            (&json!("low"), &json!("ann, bob")),
            "{what}"
        );
        let listed = project.json(&["label", "list", "t3_a02x003"]);
        assert_eq!(listed[0]["note"], "ann slipped", "{what}");
    };
    check("after two labels");
    let labelled = project.current();
    project.ok(&["materialize", "--all", "--force"]);
    check("after a forced run");
    same_files(&project.current(), &labelled, "a forced run");
    project.ok(&["state", "rebuild"]);
    project.settled();
    check("after a rebuild");
    // Without any database.
    for entry in std::fs::read_dir(project.path("state")).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("rxpulse.db") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    project.settled();
    check("without a database");
    // The same again is no news; a note makes nothing again.
    let told = project.json(&["label", POST, "--risk", "low", "--by", "bob"]);
    assert_eq!((&told["written"], &told["stale"]), (&json!(false), &json!([])));
    let told = project.json(&["label", POST, "--note", "asked again", "--by", "eve"]);
    assert_eq!((&told["written"], &told["stale"]), (&json!(true), &json!([])));
    project.settled();
    // Half of it is taken back.
    project.ok(&["label", POST, "--clear", "sentiment,theme", "--by", "ann"]);
    project.all();
    let feedback = row(&project, "general_feedback_ai");
    assert_eq!((&feedback["risk_level"], &feedback["labelled_by"]), (&json!("low"), &json!("bob")));
    assert!(feedback["sentiment_score"].is_number(), "{feedback}");
}

#[test]
fn a_label_that_names_a_lost_issue_type_is_named_itself() {
    let mut project = project();
    project.ok(&["label", POST, "--issue-type", "STOCK", "--by", "ann"]);
    project.all();
    for file in ["assets/issue_taxonomy.toml", "assets/themes.toml"] {
        project.write(file, project.read(file).replace("\"STOCK\"", "\"SUPPLY\""));
    }
    // The gate's posts know the old name.
    project.unset("ai.gate");
    project.save();
    let told = |done: crate::project::Done| (done.stderr.contains(&format!("gave {POST}")), done);
    let (named, done) = told(project.run(&["materialize", "--all"]).expect(3));
    assert!(
        named && done.stderr.contains("`STOCK`") && done.stderr.contains("--clear issue_type"),
        "{}",
        done.stderr
    );
    assert!(told(project.run(&["status"]).expect(0)).1.stdout.contains("STOCK"));
    project.ok(&["label", POST, "--clear", "issue_type", "--by", "ann"]);
    let (named, done) = told(project.run(&["materialize", "--all"]).expect(0));
    assert!(!named, "{}", done.stderr);
    project.settled();
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_to_say() {
    let project = project();
    let wrong = |args: &[&str]| project.run(&[&["label"], args].concat()).expect(2).stderr;
    for (args, hint) in [
        (&["t3_a02x009", "--risk", "high"][..], "did you mean `reddit:t3_a02x00"),
        (&["t3_zzzzzzzz", "--risk", "high"], "SELECT dt, post_id, title FROM silver_posts"),
        (&[POST, "--issue-type", "STOK"], "did you mean `STOCK`?"),
        (&[POST, "--issue-type", "nothing like it"], "GENERAL_FEEDBACK"),
        (&[POST, "--theme", "price_valu"], "did you mean `price_value`?"),
        (&[POST, "--action", "shrug"], "there is no action `shrug`"),
        (&[POST, "--risk", "huge"], "[possible values: low, medium, high]"),
        (&[POST], "--issue-type"),
        (&[POST, "--note", "  "], "--note is empty"),
        (&[POST, "--risk", "low", "--clear", "risk"], "set and cleared"),
        (&[POST, "--risk", "low", "--day", "2027-01-01"], "not one of the project's days"),
        (&["t3_a02x003", "--risk", "low", "--day", "2026-08-03"], "not of 2026-08-03; leave out --day"),
        (&["reddit:t3_new", "--risk", "low"], "--day"),
    ] {
        let told = wrong(args);
        assert!(told.contains(hint), "{args:?}: {told}");
    }
    assert_eq!(project.json(&["label", "list"]), json!([]), "nothing was written");

    // A post that is in no table yet, by its id and day; it counts once the post is there.
    project.ok(&["label", "reddit:t3_new", "--risk", "high", "--day", &day(3), "--by", "ann"]);
    project.write("in/b.ndjson", crate::project::post("new", 3, 7, "what a day it was"));
    project.all();
    let rows =
        project.query("SELECT risk_level, labelled_by FROM post_signals WHERE post_id = 'reddit:t3_new'");
    assert_eq!(rows, [json!({ "risk_level": "high", "labelled_by": "ann" })]);

    // Where no table reads labels, one would change nothing.
    let mut none =
        Project::files("2026-08-01", "2026-08-01").without(&["post_signals", "general_feedback_ai"]);
    none.set("assets.silver_posts.deps", vec!["raw_posts"]);
    none.save();
    let sql = none.read("assets/silver_posts.sql");
    let sql = sql.replace("coalesce(l.issue_type, c.rule_issue_type)", "c.rule_issue_type");
    let sql =
        sql.replace("CASE WHEN l.issue_type IS NOT NULL THEN 'label' ELSE c.rule_text END", "c.rule_text");
    let (sql, _) = sql.split_once("LEFT JOIN labels").unwrap();
    none.write("assets/silver_posts.sql", sql);
    none.write("in/a.ndjson", posts("a", [1], 2));
    none.all();
    let told = none.run(&["label", "t3_a01x000", "--risk", "high"]).expect(2).stderr;
    assert!(told.contains("no table reads `labels`"), "{told}");
}
