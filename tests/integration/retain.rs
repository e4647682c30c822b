//! Texts leave every layer when their time is over; what was made from them stays as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::util::pretty::pretty_format_batches;
use serde_json::{Value, json};

use crate::project::{Project, Steps, at, day, same_files, steps, text};

/// Tables whose rows hold nothing of a post's text.
const FACTS: [&str; 2] = ["fact_issue_daily", "issue_trend_daily"];
/// Tables that lose their texts.
const TEXTS: [&str; 4] = ["silver_posts", "top_issue_posts", "post_signals", "general_feedback_ai"];

/// A word that stands in every text of a day and nowhere else.
fn sign(d: u32) -> String {
    format!("gloomwort{d:02}")
}

/// Posts and a comment of some days.
fn posts(prefix: &str, days: impl IntoIterator<Item = u32>) -> String {
    let mut out = String::new();
    for d in days {
        let said = ["my order is two weeks late", "they sent me the wrong medication", "what a day"];
        for (i, said) in said.iter().enumerate() {
            let id = format!("{prefix}{d:02}x{i}");
            let post = json!({
                "id": id, "title": format!("{said} {}", sign(d)), "selftext": format!("I wait {}", sign(d)),
                "created_utc": at(d, 10 + i as u32), "score": 5 + i, "num_comments": i,
                "subreddit": "pharmacy", "author": format!("by-{}", sign(d)),
                "permalink": format!("/r/pharmacy/comments/{id}/{}/", sign(d)),
            });
            out += &format!("{post}\n");
        }
        let comment = json!({
            "name": format!("t1_{prefix}{d:02}c"), "id": format!("{prefix}{d:02}c"), "parent_id": "t3_x",
            "link_id": "t3_x", "link_title": format!("headline {}", sign(d)),
            "body": format!("same here {}", sign(d)), "created_utc": at(d, 60), "score": 2,
            "subreddit": "pharmacy", "author": format!("by-{}", sign(d)),
        });
        out += &format!("{comment}\n");
    }
    out
}

/// How long texts must be kept so that those of a day are over, and those of the next day are not.
fn over_until(d: u32) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    format!("{}s", now - at(d + 1, 720))
}

/// Six days of posts, all tables made, nothing over yet.
fn project() -> Project {
    let mut project = Project::files("2026-08-01", "2026-08-06");
    project.set("privacy.author", "keep");
    project.set("privacy.retain_text", "1000mo");
    project.set("privacy.retain_new", "0s");
    project.set("run.lease", "1s");
    project.save();
    project.write("in/a.ndjson", posts("a", 1..=6) + "{\"broken\": \"gloomwort\"}\n");
    project.all();
    project
}

/// Lets the texts of the first days be over.
fn end(project: &mut Project, d: u32) {
    let length = over_until(d);
    project.set("privacy.retain_text", length.as_str());
    project.save();
}

/// Files below `state/` in which a word stands, compressed or not.
fn stored(project: &Project, word: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let root = project.path("state");
    for entry in walkdir::WalkDir::new(&root).into_iter().map(Result::unwrap) {
        if !entry.file_type().is_file() {
            continue;
        }
        let name = entry.path().strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(entry.path()).unwrap();
        let unpacked =
            if name.ends_with(".zst") { zstd::decode_all(bytes.as_slice()).unwrap() } else { bytes };
        if unpacked.windows(word.len()).any(|w| w == word.as_bytes()) {
            out.insert(name);
        }
    }
    out
}

/// The same, and current partitions of tables that show the word.
fn places(project: &Project, word: &str) -> BTreeSet<String> {
    let mut out = stored(project, word);
    out.extend(tables(project).into_iter().filter(|(_, rows)| rows.contains(word)).map(|(name, _)| name));
    out
}

/// The rows of every current partition of a table, as text, by table and day.
fn tables(project: &Project) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for name in project.current().into_keys().filter(|name| name.ends_with(".parquet")) {
        let batches = rxpulse::lake::read_parquet(&project.lake().join(&name)).unwrap();
        let rows = pretty_format_batches(&batches).unwrap().to_string();
        out.insert(name.split("/v=").next().unwrap().to_string(), rows);
    }
    out
}

/// Parquet files of some days that are not current: compressed, they show no words.
fn older(project: &Project, days: impl IntoIterator<Item = u32>) -> Vec<String> {
    let current: BTreeSet<String> = project.current().into_keys().collect();
    let days: Vec<String> = days.into_iter().map(|d| format!("dt={}", day(d))).collect();
    walkdir::WalkDir::new(project.lake())
        .into_iter()
        .map(|e| e.unwrap().path().strip_prefix(project.lake()).unwrap().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".parquet") || name.ends_with(".zst"))
        .filter(|name| days.iter().any(|d| name.contains(d)) && !current.contains(name))
        .collect()
}

/// What is said but for texts and where they lead, by table and day.
fn facts(project: &Project) -> BTreeMap<String, String> {
    let texts = ["title", "body", "text", "url", "author", "evidence_quote", "link_title", "raw"];
    let mut out = BTreeMap::new();
    let mut lines: Vec<String> = Vec::new();
    for (name, bytes) in project.current() {
        if name.ends_with(".zst") {
            let unpacked = zstd::decode_all(bytes.as_slice()).unwrap();
            for line in unpacked.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                let mut post: Value = serde_json::from_slice(line).unwrap();
                texts.iter().for_each(|t| drop(post.as_object_mut().unwrap().remove(*t)));
                lines.push(post.to_string());
            }
        } else {
            let batches = rxpulse::lake::read_parquet(&project.lake().join(&name)).unwrap();
            let left: Vec<RecordBatch> = batches
                .iter()
                .map(|batch| {
                    let fields = batch.schema().fields().clone();
                    let kept = (0..fields.len()).filter(|i| !texts.contains(&fields[*i].name().as_str()));
                    batch.project(&kept.collect::<Vec<_>>()).unwrap()
                })
                .collect();
            let rows = pretty_format_batches(&left).unwrap().to_string();
            out.insert(name.split("/v=").next().unwrap().to_string(), rows);
        }
    }
    lines.sort();
    out.insert("raw_posts".into(), lines.join("\n"));
    for table in FACTS.iter().chain(&TEXTS) {
        assert!(out.contains_key(&format!("{table}/dt={}", day(2))), "{table}: {:?}", out.keys());
    }
    out
}

#[test]
fn texts_go_facts_stay_and_nothing_is_made_from_what_remains() {
    let mut project = project();
    let before = facts(&project);
    let young = |project: &Project| {
        let mut files = project.current();
        files.retain(|name, _| (4..=6).any(|d| name.contains(&day(d))));
        files
    };
    let later = young(&project);
    for d in 1..=6 {
        assert!(places(&project, &sign(d)).len() > 2, "{d}");
    }
    end(&mut project, 3);
    let done = project.ok(&["materialize", "--all"]);
    assert!(
        done.stderr.contains("texts of 3 days (2026-08-01 … 2026-08-03) were removed"),
        "{}",
        done.stderr
    );
    for d in 1..=3 {
        assert_eq!(places(&project, &sign(d)), BTreeSet::new(), "day {d}");
    }
    assert_eq!(older(&project, 1..=3), Vec::<String>::new());
    same_files(&young(&project), &later, "days whose time is not over");
    assert_eq!(facts(&project), before);
    let left = project.query("SELECT DISTINCT title, body, url FROM silver_posts WHERE dt <= '2026-08-03'");
    assert_eq!(left, [json!({ "title": null, "body": null, "url": null })]);

    // The same again does nothing.
    project.settled();
    let manifests = project.manifests();
    assert!(project.all()["run"].is_null());
    assert_eq!(project.manifests(), manifests);
    // The database is made again from the lake, which knows it all.
    project.ok(&["state", "rebuild"]);
    project.settled();
    let status = project.json(&["status"]);
    assert_eq!(status["texts_removed"], 3, "{status}");
    assert!(
        project.ok(&["status"]).stdout.contains("Texts of 3 days (2026-08-01 … 2026-08-03) were removed")
    );

    // Other words: days that have no texts stay as they are, and facts are made of facts.
    project.set("brands.everything.match_any", vec!["*", "everything"]);
    project.save();
    let (planned, _) = project.plan(&["--all"]);
    let old = |steps: &Steps| {
        steps.iter().filter(|(_, d)| *d <= day(3)).map(|(a, _)| a.clone()).collect::<BTreeSet<String>>()
    };
    assert!(planned.is_superset(&steps(&["silver_posts", "fact_issue_daily"], 4..=6)), "{planned:?}");
    assert_eq!(old(&planned), BTreeSet::new());
    let told = project.ok(&["plan", "--all"]).stdout;
    assert!(told.contains("keep    silver_posts[2026-08-01 … 2026-08-03] 3 days: code changed"), "{told}");
    assert!(told.contains("texts of this day were removed (retain_text): it stays as it is"), "{told}");
    project.all();
    assert_eq!(facts(&project), before);
    let told = project.ok(&["explain", "silver_posts", "--partition", &day(2)]).stdout;
    assert!(told.contains("texts of this day were removed (retain_text)"), "{told}");

    // Nor does force make them.
    let refused = project.run(&["materialize", "silver_posts", "--partition", &day(1), "--force"]).expect(2);
    assert!(refused.stderr.contains("privacy.retain_text"), "{}", refused.stderr);
    let done = project.ok(&["materialize", "--all", "--force"]);
    assert!(done.stderr.contains("stay as they are"), "{}", done.stderr);
    assert_eq!(facts(&project), before);
    for d in 1..=3 {
        assert_eq!(places(&project, &sign(d)), BTreeSet::new(), "day {d}");
    }
    project.settled();
}

#[test]
fn what_comes_late_has_no_text_and_changes_no_fact() {
    let mut project = project();
    end(&mut project, 3);
    project.ok(&["materialize", "--all"]);
    let before = facts(&project);
    let rows = |d: u32| project.number(&format!("SELECT count(*) FROM raw_posts WHERE dt = '{}'", day(d)));
    let (old, young) = (rows(2), rows(5));
    let silver =
        |d: u32| project.number(&format!("SELECT count(*) FROM silver_posts WHERE dt = '{}'", day(d)));
    let counted = (silver(2), silver(5));
    project.write("in/b.ndjson", posts("b", [2, 5]));
    // What was read already is read again, word for word.
    project.write_at("in/a.ndjson", project.read("in/a.ndjson") + &posts("c", [2]), 60);
    project.ok(&["materialize", "--all"]);
    assert_eq!(places(&project, &sign(2)), BTreeSet::new());
    assert!(!places(&project, &sign(5)).is_empty());
    assert_eq!((rows(2), rows(5)), (old + 8, young + 4), "captured, each once");
    assert_eq!((silver(2), silver(5)), (counted.0, counted.1 + 4));
    let of_tables = |days: std::ops::RangeInclusive<u32>| {
        let mut facts = facts(&project);
        facts.retain(|name, _| days.clone().any(|d| name.ends_with(&day(d))));
        facts
    };
    let mut before = before;
    before.retain(|name, _| (1..=3).any(|d| name.ends_with(&day(d))));
    assert_eq!(of_tables(1..=3), before);
    project.settled();
    // A manifest of bronze that vanishes is made again, without texts.
    let manifests = project.manifests();
    let gone = manifests[&format!("raw_posts/src=inbox/{}", day(2))].values().next_back().unwrap();
    std::fs::remove_file(gone).unwrap();
    project.ok(&["materialize", "--all"]);
    assert_eq!(places(&project, &sign(2)), BTreeSet::new());
    let ids = format!("SELECT count(DISTINCT native_id) FROM raw_posts WHERE dt = '{}'", day(2));
    assert_eq!(project.number(&ids), old + 8);
    assert_eq!(of_tables(1..=3), before);
    project.settled();
}

#[test]
fn a_history_that_is_captured_late_is_made_first() {
    let mut project = Project::files("2026-08-01", "2026-08-06");
    project.set("privacy.author", "keep");
    project.set("privacy.retain_text", over_until(3));
    project.save();
    project.write("in/a.ndjson", posts("a", 1..=6));
    project.all();
    let before = facts(&project);
    // A week to make tables of it.
    project.settled();
    project.ok(&["materialize", "--all"]);
    assert!(!places(&project, &sign(1)).is_empty());
    let would = project.json(&["gc", "--dry-run"]);
    assert_eq!(would["texts"], 0, "{would}");
    project.set("privacy.retain_new", "0s");
    project.save();
    assert_eq!(project.json(&["gc", "--dry-run"])["texts"], 3);
    assert!(project.ok(&["gc", "--dry-run"]).stdout.contains("Would remove the texts of 3 days"));
    assert!(!places(&project, &sign(1)).is_empty());
    project.ok(&["gc"]);
    for d in 1..=3 {
        assert_eq!(places(&project, &sign(d)), BTreeSet::new(), "day {d}");
    }
    assert_eq!(facts(&project), before);
    project.settled();
}

#[test]
fn a_new_table_is_made_of_days_that_have_texts_and_of_facts() {
    let mut project = project();
    end(&mut project, 3);
    project.ok(&["materialize", "--all"]);
    for (name, sql, dep) in [
        (
            "words_daily",
            "SELECT dt, brand, count(*) AS n, max(title) AS title FROM silver_posts GROUP BY dt, brand",
            "silver_posts",
        ),
        (
            "sum_daily",
            "SELECT dt, brand, sum(mentions) AS n FROM fact_issue_daily GROUP BY dt, brand",
            "fact_issue_daily",
        ),
        ("on_words", "SELECT dt, brand, n FROM words_daily", "words_daily"),
    ] {
        project.write(&format!("assets/{name}.sql"), sql);
        project.set(&format!("assets.{name}.layer"), "gold");
        project.set(&format!("assets.{name}.kind"), "sql");
        project.set(&format!("assets.{name}.deps"), vec![dep]);
        project.set(&format!("assets.{name}.key"), vec!["brand"]);
    }
    project.write(
        "assets/all_titles.sql",
        "SELECT platform, max(title) AS title, count(*) AS n FROM silver_posts GROUP BY platform",
    );
    let whole: toml::Table = "layer = 'gold'\nkind = 'sql'\npartitions = 'none'\ndeps = { silver_posts = 'all', words_daily = 'all' }\nkey = ['platform']"
        .parse()
        .unwrap();
    project.set("assets.all_titles", whole);
    project.save();
    let done = project.ok(&["materialize", "--all"]);
    assert!(done.stderr.contains("6 partitions not made"), "{}", done.stderr);
    let days = |table: &str| -> Vec<String> {
        let rows = project.query(&format!("SELECT DISTINCT dt FROM {table} ORDER BY dt"));
        rows.iter().map(|r| text(&r["dt"])).collect()
    };
    let made: Vec<String> = (4..=6).map(day).collect();
    assert_eq!(days("words_daily"), made);
    assert_eq!(days("on_words"), made);
    assert_eq!(days("sum_daily"), (1..=6).map(day).collect::<Vec<_>>(), "counts are facts");
    assert_eq!(project.number("SELECT n FROM all_titles"), 24, "what there is, days without texts too");
    assert!(text(&project.query("SELECT title FROM all_titles")[0]["title"]).contains(&sign(6)));
    let status = project.json(&["status"]);
    let of = |name: &str| {
        status["assets"].as_array().unwrap().iter().find(|a| a["asset"] == name).unwrap().clone()
    };
    assert_eq!(
        (of("words_daily")["lost"].clone(), of("words_daily")["missing"].clone()),
        (json!(3), json!(0))
    );
    assert!(project.ok(&["status"]).stdout.contains("6 partitions cannot be made any more"));
    let told = project.ok(&["explain", "words_daily", "--partition", &day(1)]).stdout;
    assert!(told.contains("cannot be made any more"), "{told}");
    project.settled();

    // The days after them are over: a table without days follows in the same run.
    end(&mut project, 5);
    project.ok(&["materialize", "--all"]);
    let title = text(&project.query("SELECT title FROM all_titles")[0]["title"]);
    assert!(title.contains(&sign(6)), "{title}");
    assert_eq!(
        project.query("SELECT DISTINCT title FROM words_daily WHERE dt <= '2026-08-05'"),
        [json!({ "title": null })]
    );
    end(&mut project, 6);
    project.ok(&["materialize", "--all"]);
    assert_eq!(project.query("SELECT title, n FROM all_titles"), [json!({ "title": null, "n": 24 })]);
    project.settled();
}

#[test]
fn columns_are_declared_and_mistakes_are_told() {
    let mut project = project();
    project.write(
        "assets/words_daily.sql",
        "SELECT dt, brand, max(title) AS title, max(title) AS loudest, max(body) AS theme FROM silver_posts GROUP BY dt, brand",
    );
    let table: toml::Table =
        "layer = 'gold'\nkind = 'sql'\ndeps = ['silver_posts']\nkey = ['brand']\ntext_columns = ['title', 'loudest', 'them']"
            .parse()
            .unwrap();
    project.set("assets.words_daily", table);
    project.save();
    let wrong = project.run(&["validate"]).expect(2);
    assert!(
        wrong.stderr.contains("has no column `them`") && wrong.stderr.contains("did you mean `theme`"),
        "{}",
        wrong.stderr
    );
    project.set("assets.words_daily.text_columns", vec!["title", "loudest", "theme"]);
    project.save();
    assert!(!project.ok(&["validate"]).stderr.contains("retain_text"));
    project.all();
    end(&mut project, 3);
    project.ok(&["materialize", "--all"]);
    let of = |days: &str| {
        project.query(&format!("SELECT DISTINCT title, loudest, theme FROM words_daily WHERE dt {days}"))
    };
    assert_eq!(of("<= '2026-08-03'"), [json!({ "title": null, "loudest": null, "theme": null })]);
    assert!(of("= '2026-08-04'")[0].to_string().contains(&sign(4)));

    // What a key would lose, and a window that reaches too far.
    project.set("assets.words_daily.key", vec!["brand", "title"]);
    let deps: toml::Table = "silver_posts = { days_before = 3650 }".parse().unwrap();
    project.set("assets.words_daily.deps", deps);
    project.write(
        "assets/words_daily.sql",
        "SELECT dt, brand, title, body AS loudest, body AS theme FROM silver_posts",
    );
    project.save();
    let warned = project.ok(&["validate"]).stderr;
    let warned = warned.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(warned.contains("`title` tells rows of `words_daily` apart"), "{warned}");
    assert!(warned.contains("reads 3650 days before of `silver_posts`"), "{warned}");
}

#[test]
fn a_post_of_a_day_without_texts_is_forgotten_all_the_same() {
    let mut project = project();
    end(&mut project, 3);
    project.ok(&["materialize", "--all"]);
    let count = |table: &str| project.number(&format!("SELECT count(*) FROM {table}"));
    let before: Vec<i64> = TEXTS.iter().map(|t| count(t)).collect();
    let mentions = project.number("SELECT sum(mentions) FROM fact_issue_daily");
    let raw = count("raw_posts");
    project.ok(&["forget", "reddit:t3_a02x1"]);
    assert_eq!(places(&project, "a02x1"), BTreeSet::new());
    assert_eq!(older(&project, [2]), Vec::<String>::new());
    assert_eq!(count("raw_posts"), raw - 1);
    assert_eq!(count("silver_posts"), before[0] - 1);
    assert!(TEXTS.iter().zip(&before).all(|(t, n)| count(t) >= n - 1), "nothing else goes");
    assert_eq!(project.number("SELECT sum(mentions) FROM fact_issue_daily"), mentions, "it was counted");
    project.settled();
}

#[test]
fn sample_posts_are_not_made_again_with_their_texts() {
    let mut project = Project::sample("2026-08-01", "2026-08-04", 40);
    project.set("privacy.retain_new", "0s");
    project.save();
    project.all();
    let mentions = project.number("SELECT sum(mentions) FROM fact_issue_daily");
    end(&mut project, 2);
    project.ok(&["materialize", "--all"]);
    let left = "SELECT count(*) FROM raw_posts WHERE dt <= '2026-08-02' AND (title IS NOT NULL OR body IS NOT NULL \
                OR url IS NOT NULL OR link_title IS NOT NULL OR author IS NOT NULL)";
    assert_eq!(project.number(left), 0);
    assert!(project.number("SELECT count(*) FROM raw_posts WHERE dt <= '2026-08-02'") > 0);
    project.ok(&["materialize", "--all", "--force"]);
    project.set("sources.sample.seed", 8);
    project.save();
    project.ok(&["materialize", "--all"]);
    assert_eq!(project.number(left), 0);
    assert!(project.number("SELECT count(title) FROM raw_posts WHERE dt > '2026-08-02'") > 0);
    let old = "SELECT sum(mentions) FROM fact_issue_daily WHERE dt <= '2026-08-02'";
    assert!(project.number(old) > 0 && project.number(old) < mentions);
    project.settled();
}

#[test]
fn what_was_set_aside_long_ago_shows_nothing() {
    let mut project = project();
    let shown = project.json(&["quarantine", "show"]);
    assert!(shown.to_string().contains("gloomwort"), "{shown}");
    let account = project.json(&["quarantine", "list"])[0]["quarantined"].clone();
    end(&mut project, 3);
    project.ok(&["materialize", "--all"]);
    // It was read a moment ago: nobody knows of which day it is.
    assert!(project.json(&["quarantine", "show"]).to_string().contains("gloomwort"));
    project.set("privacy.retain_text", "0s");
    project.save();
    project.ok(&["materialize", "--all"]);
    assert_eq!(places(&project, "gloomwort"), BTreeSet::new());
    assert_eq!(project.json(&["quarantine", "list"])[0]["quarantined"], account);
    project.settled();
}

#[test]
fn what_nobody_declares_any_more_loses_its_texts_too() {
    let mut project = project();
    project.set("assets.raw_posts.sources", vec!["inbox"]);
    project.save();
    project = project.without(&["top_issue_posts"]);
    project.set("project.start", "2026-08-02");
    end(&mut project, 3);
    project.ok(&["materialize", "--all"]);
    for d in 1..=3 {
        // A day that is none of the project's any more was read a moment ago and set aside: what is
        // set aside shows itself for as long from its reading.
        let mut left = places(&project, &sign(d));
        left.retain(|place| d > 1 || !place.contains("/quarantine/"));
        assert_eq!(left, BTreeSet::new(), "day {d}");
    }
    // Trends hold no texts, and these days were made again in the same run: their windows changed.
    let mut older = older(&project, 1..=3);
    older.retain(|name| !name.starts_with("issue_trend_daily/"));
    assert_eq!(older, Vec::<String>::new());
    let titles = |table: &str, d: u32| {
        let folder = project.lake().join(format!("{table}/dt={}", day(d)));
        let file = walkdir::WalkDir::new(folder)
            .into_iter()
            .map(|e| e.unwrap().into_path())
            .find(|path| path.extension().is_some_and(|e| e == "parquet"))
            .unwrap();
        let batches = rxpulse::lake::read_parquet(&file).unwrap();
        batches.iter().map(|b| b.num_rows() - b.column_by_name("title").unwrap().null_count()).sum::<usize>()
    };
    assert_eq!((titles("silver_posts", 1), titles("top_issue_posts", 3)), (0, 0));
    assert!(titles("top_issue_posts", 4) > 0);
    project.settled();
}

#[test]
fn beside_a_run_nothing_is_removed() {
    let mut project = project();
    end(&mut project, 3);
    project.seem_at_work(true);
    let done = project.ok(&["materialize", "--all"]);
    assert!(done.stderr.contains("stay while run 1 is at work"), "{}", done.stderr);
    assert!(!places(&project, &sign(1)).is_empty());
    project.seem_at_work(false);
    project.ok(&["materialize", "--all"]);
    assert_eq!(places(&project, &sign(1)), BTreeSet::new());
}

#[test]
fn killed_anywhere_the_next_run_goes_on() {
    let stride = std::env::var("RXPULSE_TEST_CRASH_STRIDE").map_or(17, |s| s.parse().unwrap());
    let run = ["materialize", "--all", "--progress", "none"];
    let small = || {
        let mut project = Project::files("2026-08-01", "2026-08-03").without(&[
            "issue_trend_daily",
            "general_feedback_ai",
            "post_signals",
        ]);
        project.set("privacy.author", "keep");
        project.set("privacy.retain_text", "1000mo");
        project.set("privacy.retain_new", "0s");
        project.set("run.concurrency", 1);
        project.set("run.lease", "1s");
        project.save();
        project.write("in/a.ndjson", posts("a", 1..=3) + "{\"broken\": 1}\n");
        project.all();
        end(&mut project, 2);
        project
    };
    let whole = {
        let project = small();
        project.ok(&run);
        project.current()
    };
    let (mut kills, mut kinds) = (0, BTreeSet::new());
    for at in (1..).step_by(stride) {
        let project = small();
        let done = project.run_crashing(&run, at);
        if done.code() == Some(0) {
            break;
        }
        assert!(done.aborted(), "crash point {at}: {} {}", done.status, done.stderr);
        let line = done.stderr.lines().find(|l| l.starts_with("RXPULSE_CRASH_AT reached: "));
        kinds.insert(line.unwrap_or_else(|| panic!("{}", done.stderr)).to_string());
        kills += 1;
        project.ok(&run);
        let what = format!("killed at crash point {at}, {}", line.unwrap());
        for d in 1..=2 {
            assert_eq!(stored(&project, &sign(d)), BTreeSet::new(), "{what}");
        }
        assert_eq!(older(&project, 1..=2), Vec::<String>::new(), "{what}");
        same_files(&project.current(), &whole, &what);
        project.settled();
        let manifests = project.manifests();
        assert!(project.all()["run"].is_null(), "{what}");
        assert_eq!(project.manifests(), manifests, "{what}");
    }
    println!("killed at {kills} crash points: {kinds:?}");
    assert!(kills >= 4 && kinds.len() >= 3, "{kills} {kinds:?}");
}
