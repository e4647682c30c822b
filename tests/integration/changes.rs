//! Exactly what changed is made again, compared with exact sets of (asset, day).

use crate::project::{DAILY, Project, Steps, at, day, post, posts, steps};

/// What depends on a day of silver alone.
const AFTER_SILVER: [&str; 4] =
    ["fact_issue_daily", "general_feedback_ai", "post_signals", "top_issue_posts"];

/// The trend, which looks back seven days, and what reads it.
const TREND: [&str; 2] = ["issue_trend_daily", "executive_summary_daily"];

/// Ten days in two files.
fn ten_days() -> Project {
    let project = Project::files("2026-08-01", "2026-08-10");
    project.write("in/a.ndjson", posts("a", 1..=10, 6));
    project.write("in/b.ndjson", posts("b", 1..=10, 4));
    project.all();
    project.settled();
    project
}

fn union(sets: &[Steps]) -> Steps {
    sets.iter().flatten().cloned().collect()
}

#[test]
fn nothing_to_do_does_nothing_and_notices_what_there_is_to_do() {
    let project = ten_days();
    let before = project.current();
    let runs = project.json(&["runs", "list"]).as_array().unwrap().len();
    let again = project.all();
    assert_eq!(again["steps"], 0);
    assert_eq!(again["run"], serde_json::Value::Null);
    let said = project.ok(&["materialize", "--all"]).stderr;
    assert!(said.contains("Nothing to do") && said.contains("no data was read"), "{said}");

    // A touched file has another time and the same content.
    project.write_at("in/a.ndjson", posts("a", 1..=10, 6), 5_000);
    assert_eq!(project.all()["steps"], 0);
    assert_eq!(project.json(&["runs", "list"]).as_array().unwrap().len(), runs);
    assert!(project.current() == before);

    // A new file: its day, and what reads it.
    project.write("in/c.ndjson", posts("c", [9], 2));
    let made = project.made();
    assert_eq!(project.captures(), ["in/c.ndjson"]);
    let expected = union(&[
        steps(&["raw_posts", "silver_posts"], [9]),
        steps(&AFTER_SILVER, [9]),
        steps(&TREND, [9, 10]),
    ]);
    assert_eq!(made, expected);

    // A deleted manifest: its partition is made again; the content is the same, so that
    // nothing after it is.
    for path in project.manifests()["fact_issue_daily/2026-08-04"].values() {
        std::fs::remove_file(path).unwrap();
    }
    let (planned, captures) = project.plan(&["--all"]);
    assert_eq!(planned, union(&[steps(&["fact_issue_daily"], [4]), steps(&TREND, 4..=10)]));
    assert!(captures.is_empty(), "{captures:?}");
    assert_eq!(project.made(), steps(&["fact_issue_daily"], [4]));
    assert_eq!(project.steps("skipped"), steps(&TREND, 4..=10));
    // Never below a number that was used.
    assert_eq!(project.manifests()["fact_issue_daily/2026-08-04"].keys().collect::<Vec<_>>(), [&2]);

    project.settled();
}

#[test]
fn a_deleted_manifest_of_bronze_is_made_again_from_the_files() {
    let project = Project::files("2026-08-01", "2026-08-04").without(&["issue_trend_daily"]);
    project.write("in/a.ndjson", posts("a", 1..=4, 6));
    project.write("in/b.ndjson", posts("b", 1..=4, 4));
    project.all();
    let before = project.current();
    // Only the newest, then all of them: the files are read again, the same objects named.
    for (day, newest_only) in [(2, true), (3, false)] {
        let generations = project.manifests()[&format!("raw_posts/src=inbox/2026-08-{day:02}")].clone();
        for path in generations.values().rev().take(if newest_only { 1 } else { usize::MAX }) {
            std::fs::remove_file(path).unwrap();
        }
        let (planned, captures) = project.plan(&["--all"]);
        assert!(planned.contains(&("raw_posts".into(), crate::project::day(day))), "{planned:?}");
        assert!(!captures.is_empty());
        let made = project.made();
        crate::project::same_files(&project.current(), &before, "a day of bronze read again");
        assert_eq!(made, steps(&["raw_posts"], [day]), "newest only: {newest_only}");
        project.settled();
    }
}

#[test]
fn late_and_edited_posts_move_their_days_only() {
    let project = ten_days();
    // One late post of the third day, at the end of a known file.
    let mut text = posts("b", 1..=10, 4);
    text.push_str(&post("late1", 3, 700, "my order is a week late"));
    text.push('\n');
    project.write_at("in/b.ndjson", &text, 60);
    let made = project.made();
    assert_eq!(project.captures(), ["in/b.ndjson"]);
    // Feedback of the day is made again from a changed input; the trend of the next seven
    // days has the day in its baseline. The fourth day has three days to be compared with, too
    // few: its trend comes out equal, and its summary is left alone.
    let expected = union(&[
        steps(&["raw_posts", "silver_posts"], [3]),
        steps(&AFTER_SILVER, [3]),
        steps(&["issue_trend_daily"], 3..=10),
        steps(&["executive_summary_daily"], (3..=10).filter(|d| *d != 4)),
    ]);
    assert_eq!(made, expected);
    assert_eq!(project.number("SELECT count(*) AS n FROM silver_posts WHERE post_id = 'reddit:t3_late1'"), 1);
    assert_eq!(project.number("SELECT count(*) AS n FROM silver_posts"), 101);

    // An edited copy in a new file: the newest capture counts, the post once.
    let edited = serde_json::json!({
        "id": "a05x000", "title": "edited title", "selftext": "edited", "created_utc": at(5, 1),
        "score": 3, "num_comments": 1, "subreddit": "pharmacy", "edited": at(6, 0),
    });
    project.write_at("in/d.ndjson", format!("{edited}\n"), 120);
    let made = project.made();
    assert_eq!(project.captures(), ["in/d.ndjson"]);
    let least = steps(&["raw_posts", "silver_posts"], [5]);
    let most = union(&[least.clone(), steps(&AFTER_SILVER, [5]), steps(&TREND, 5..=10)]);
    assert!(made.is_superset(&least) && made.is_subset(&most), "{made:?}");
    assert_eq!(project.number("SELECT count(*) AS n FROM silver_posts"), 101);
    let title = project.query("SELECT title FROM silver_posts WHERE native_id = 't3_a05x000'");
    assert_eq!(title[0]["title"], "edited title");
    project.settled();
}

#[test]
fn sql_that_means_the_same_makes_nothing_and_changed_sql_itself_and_its_children() {
    let project = ten_days();
    let name = "assets/fact_issue_daily.sql";
    let text = project.read(name);
    // Comments, indentation and the case of words are no code.
    let shifted: String = text.lines().map(|l| format!("      {l}   -- why\n")).collect();
    std::fs::write(project.path(name), format!("/* a\n   comment */\n{shifted}\n")).unwrap();
    assert_eq!(project.made(), Steps::new());
    std::fs::write(project.path(name), text.replace("SELECT", "select").replace("GROUP BY", "group  by"))
        .unwrap();
    assert_eq!(project.made(), Steps::new());
    let silver = project.read("assets/silver_posts.sql");
    std::fs::write(project.path("assets/silver_posts.sql"), format!("-- new words\n{silver}")).unwrap();
    assert_eq!(project.made(), Steps::new());
    std::fs::write(project.path(name), &text).unwrap();

    // Another number for the same column: itself, and the trend that reads it.
    project.replace(name, "count(*) AS mentions", "count(*) + 1 AS mentions");
    let expected = union(&[steps(&["fact_issue_daily"], 1..=10), steps(&TREND, 1..=10)]);
    assert_eq!(project.plan(&["--all"]), (expected.clone(), Vec::new()));
    assert_eq!(project.made(), expected);

    // Other code, equal content: the child is looked at and left alone.
    project.replace(name, "count(*) + 1 AS mentions", "1 + count(*) AS mentions");
    assert_eq!(project.made(), steps(&["fact_issue_daily"], 1..=10));
    assert_eq!(project.steps("skipped"), steps(&TREND, 1..=10));
    project.settled();
}

#[test]
fn a_forced_upstream_with_equal_content_leaves_its_children_alone() {
    let project = ten_days();
    let before = project.current();
    project.ok(&["materialize", "silver_posts", "--force"]);
    assert_eq!(project.steps("succeeded"), steps(&["silver_posts"], 1..=10));
    project.settled();
    // Children in the same run, not forced themselves: `--force` of a selection forces all of
    // it, so the upstream is forced by code that means the same.
    project.replace("assets/silver_posts.sql", "SELECT\n    c.dt,", "SELECT\n    (c.dt) AS dt,");
    assert_eq!(project.made(), steps(&["silver_posts"], 1..=10));
    let children = union(&[steps(&AFTER_SILVER, 1..=10), steps(&TREND, 1..=10)]);
    assert_eq!(project.steps("skipped"), children);
    assert!(project.current() == before, "equal content is the same files");
    // One day by name.
    project.ok(&["materialize", "fact_issue_daily", "--force", "--partition", &day(4)]);
    assert_eq!(project.steps("succeeded"), steps(&["fact_issue_daily"], [4]));
    project.settled();
}

#[test]
fn a_changed_phrase_of_the_taxonomy_makes_silver_and_moves_what_it_changes() {
    let project = Project::files("2026-08-01", "2026-08-10");
    // Only day 4 has a post with the new phrase.
    let mut text = posts("a", 1..=10, 6);
    text.push_str(&post("zebra", 4, 900, "a purple zebra came by"));
    text.push('\n');
    project.write("in/a.ndjson", text);
    project.all();
    project.replace("assets/issue_taxonomy.toml", "\"wrong med\", ", "\"wrong med\", \"purple zebra\", ");
    let made = project.made();
    let expected =
        union(&[steps(&["silver_posts"], 1..=10), steps(&AFTER_SILVER, [4]), steps(&TREND, 4..=10)]);
    assert_eq!(made, expected);
    let issue = project.query("SELECT issue_type FROM silver_posts WHERE native_id = 't3_zebra'");
    assert_eq!(issue[0]["issue_type"], "SAFETY");
    // A title is for people: the list of issue types shows it, nothing else changes.
    let taxonomy = project.read("assets/issue_taxonomy.toml");
    let renamed = taxonomy.replacen("title = \"Medication safety\"", "title = \"Safe medication\"", 1);
    assert_ne!(taxonomy, renamed);
    std::fs::write(project.path("assets/issue_taxonomy.toml"), renamed).unwrap();
    let made = project.made();
    let titled = |asset: &str| asset == "issue_types" || TREND.contains(&asset);
    assert!(made.iter().all(|(asset, _)| titled(asset)), "{made:?}");
    project.settled();
}

#[test]
fn a_moved_start_makes_the_new_days_and_forgets_none() {
    let mut project = Project::files("2026-08-04", "2026-08-10");
    project.write("in/a.ndjson", posts("a", 1..=10, 6));
    project.all();
    let reasons = |project: &Project| project.json(&["quarantine", "list"])[0]["reasons"].clone();
    assert_eq!(reasons(&project), serde_json::json!({ "out_of_range": 18 }));
    let seven = project.current();

    // Earlier: the days before, and the trend that now has a baseline.
    project.set("project.start", "2026-08-01");
    project.save();
    let made = project.made();
    assert_eq!(reasons(&project), serde_json::json!({}));
    let expected = union(&[steps(&DAILY, 1..=3), steps(&TREND, 4..=10)]);
    assert_eq!(made, expected);
    let ten = project.current();
    let other = Project::files("2026-08-01", "2026-08-10");
    other.write("in/a.ndjson", posts("a", 1..=10, 6));
    other.all();
    crate::project::same_files(&ten, &other.current(), "a start moved earlier");
    project.settled();

    // Later again: partitions before the start do not exist; nothing else is made than the
    // trend, whose baseline lost days.
    project.set("project.start", "2026-08-04");
    project.save();
    let made = project.made();
    let most = union(&[steps(&["raw_posts"], 4..=10), steps(&TREND, 4..=10)]);
    assert!(made.is_subset(&most), "{made:?}");
    assert!(made.is_superset(&steps(&["issue_trend_daily"], 4..=10)), "{made:?}");
    assert_eq!(project.number("SELECT count(*) AS n FROM silver_posts"), 42);
    let now = project.current();
    for (name, bytes) in &seven {
        assert!(now.get(name).is_some_and(|b| b == bytes), "{name}");
    }
    project.settled();
}
