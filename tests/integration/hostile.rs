//! What strangers write never steers a terminal.

use crate::project::{Project, at};

/// Sets a window's title, clears the screen, hides a link, turns the text around.
const EVIL: &str = "late \u{1b}]0;owned\u{7} \u{1b}[2J\u{1b}[31m \u{9b}31m \u{202e}gnol\u{202c} \u{2066}x\u{2069} \u{200f} \u{8}\u{7f} end";

#[track_caller]
fn harmless(what: &str, text: &str) {
    assert!(text.contains("end"), "{what} shows the text: {text}");
    let bad: Vec<char> = text
        .chars()
        .filter(|c| {
            (c.is_control() && *c != '\n')
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        })
        .collect();
    assert!(bad.is_empty(), "{what} lets {bad:?} through: {text:?}");
}

#[test]
fn text_of_posts_is_shown_without_its_controls() {
    let project = Project::files("2026-08-01", "2026-08-01").without(&[
        "issue_trend_daily",
        "fact_issue_daily",
        "post_signals",
        "general_feedback_ai",
    ]);
    let good = serde_json::json!({
        "id": "evil", "title": EVIL, "selftext": EVIL, "created_utc": at(1, 5), "score": 1,
        "num_comments": 1, "subreddit": "x",
    });
    let mut lines = format!("{good}\n").into_bytes();
    // Broken in its last byte, so that its raw bytes are what is shown.
    lines.extend(format!("{{\"id\": \"bad end\", \"title\": \"{EVIL}\"\n").into_bytes());
    lines.extend(format!("{{\"id\": [\"{EVIL}\"], \"title\": 3, \"created_utc\": 1}}\n").into_bytes());
    project.write("in/\u{202e}evil end.ndjson", lines);
    let run = project.ok(&["materialize", "--all"]);
    assert!(!run.stderr.contains('\u{1b}') && !run.stderr.contains('\u{202e}'), "{:?}", run.stderr);
    assert_eq!(project.number("SELECT count(*) AS n FROM silver_posts"), 1);

    let shown = project.ok(&["query", "SELECT title AS t, 'end' AS e FROM silver_posts"]).stdout;
    harmless("query", &shown);
    let shown = project.ok(&["query", "SELECT title AS t FROM top_issue_posts"]).stdout;
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
    let shown = project.ok(&["quarantine", "show"]).stdout;
    harmless("quarantine show", &shown);
    harmless("quarantine list", &project.ok(&["quarantine", "list"]).stdout);
    harmless("brand test", &project.ok(&["brand", "test", EVIL]).stdout);
    harmless("taxonomy test", &project.ok(&["taxonomy", "test", EVIL]).stdout);
    for command in [["runs", "show"], ["runs", "logs"]] {
        let shown = project.ok(&command).stdout;
        assert!(!shown.contains('\u{202e}') && !shown.contains('\u{1b}'), "{shown:?}");
    }
    // Errors repeat what was typed.
    let shown = project.run(&["materialize", &format!("no{EVIL}")]).expect(2);
    assert!(!shown.stderr.contains('\u{1b}') && !shown.stderr.contains('\u{202e}'), "{:?}", shown.stderr);
    // A spreadsheet takes text that begins like a formula for one.
    let csv = project.ok(&["query", "SELECT '=1+1' AS a FROM silver_posts", "--format", "csv"]).stdout;
    assert!(!csv.lines().any(|l| l.starts_with('=')), "{csv}");
}

#[test]
fn errors_about_a_text_show_it_without_its_controls() {
    let project = Project::files("2026-08-01", "2026-08-01");
    let shown = project.run(&["query", &format!("SELECT '{EVIL}' FROM nowhere -- end")]).expect(2);
    harmless("an error of query", &shown.stderr);
}
