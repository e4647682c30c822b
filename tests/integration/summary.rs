//! The day of a brand in one row: every number and every sentence of a small project worked out
//! by hand.

use serde_json::{Value, json};

use crate::project::{Project, Steps, day, steps, text};

const INSURANCE: &str = "acme insurance rejected again";
const LATE: &str = "acme order is two weeks late and still waiting";
const WRONG: &str = "acme sent me the wrong medication";

/// One post as a line of the export.
fn post(d: u32, id: &str, title: &str, score: u32, comments: u32) -> String {
    let at = format!("{}T12:00:00Z", day(d));
    json!({ "id": id, "at": at, "title": title, "score": score, "comments": comments }).to_string() + "\n"
}

/// Nine days of two brands. Four alike; one on which much happens; one without a word; one on
/// which opposites are as frequent; two that the source does not cover.
fn project() -> Project {
    let mut project = Project::files("2026-08-01", "2026-08-09");
    project.unset("brands.everything");
    project.set("brands.us.match_any", vec!["acme"]);
    project.set("brands.them.match_any", vec!["rival"]);
    project.set("brands.them.competitor", true);
    project.set("sources.inbox.format", "generic");
    project.set("sources.inbox.platform", "forum");
    project.set("sources.inbox.covers", "2026-08-01/2026-08-07");
    let map = [
        ("native_id", "id"),
        ("created_at", "at"),
        ("title", "title"),
        ("score", "score"),
        ("num_comments", "comments"),
    ];
    for (field, column) in map {
        project.set(&format!("sources.inbox.map.{field}"), column);
    }
    project.save();
    let mut lines = String::new();
    let mut add = |d: u32, id: &str, title: &str, score: u32, comments: u32| {
        lines.push_str(&post(d, id, title, score, comments));
    };
    for d in 1..=4 {
        (0..12).for_each(|n| add(d, &format!("i{d}x{n:02}"), INSURANCE, 0, 0));
        (0..2).for_each(|n| add(d, &format!("l{d}x{n:02}"), LATE, 0, 0));
    }
    add(3, "them3", "rival is great, thank you", 0, 0);
    (0..12).for_each(|n| add(5, &format!("l5x{n:02}"), LATE, n, 0));
    (0..8).for_each(|n| add(5, &format!("i5x{n:02}"), INSURANCE, 0, 0));
    // (1 + 5) · 1, (1 + 5) · 2, (1 + 1) · 1: none of them is general feedback.
    add(5, "wrong5a", WRONG, 5, 0);
    add(5, "wrong5b", WRONG, 5, 1);
    add(5, "wrong](http://evil)", WRONG, 1, 0);
    add(5, "lawyer5", "acme charged me twice and I am calling my lawyer", 0, 0);
    // No customer speaks here, however many people met it.
    add(5, "news5", "acme announces quarterly earnings after lawsuit over wrong medication", 99, 0);
    add(5, "g5a", "acme makes everything easy and simple", 0, 0);
    add(5, "g5b", "acme, so convenient and easy", 2, 0);
    add(5, "g5c", "what a day at acme", 0, 0);
    add(6, "them6", "rival is great, thank you", 0, 0);
    add(7, "p7a", "acme is great, thank you", 0, 0);
    add(7, "p7b", "acme support was so helpful and friendly", 0, 0);
    add(7, "n7a", "acme insurance rejected again, awful", 0, 0);
    add(7, "n7b", "acme order is late, terrible", 0, 0);
    add(8, "w8", WRONG, 3, 0);
    project.write("in/a.ndjson", lines);
    project.all();
    project
}

fn row(project: &Project, d: u32, brand: &str) -> Value {
    let rows = project.query(&format!(
        "SELECT * FROM executive_summary_daily WHERE dt = '{}' AND brand = '{brand}'",
        day(d)
    ));
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0].clone()
}

/// The columns that are named, of a row.
#[track_caller]
fn holds(row: &Value, expected: Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&row[name], value, "{name} of {row:#}");
    }
}

#[test]
fn a_day_is_told_in_numbers_and_in_sentences() {
    let project = project();
    // One row a day and brand, from the first mention on; a week after it still.
    let rows = project.query("SELECT dt, brand FROM executive_summary_daily ORDER BY brand, dt");
    let found: Vec<(String, String)> = rows.iter().map(|r| (text(&r["brand"]), text(&r["dt"]))).collect();
    let them = (3..=9).map(|d| ("them".to_string(), day(d)));
    let us = (1..=9).map(|d| ("us".to_string(), day(d)));
    assert_eq!(found, them.chain(us).collect::<Vec<_>>());

    holds(
        &row(&project, 5, "us"),
        json!({
            "day_covered": true, "mentions": 28, "baseline_mean": 14.0, "baseline_days": 4, "vs_baseline": 14.0,
            "customer_voice": 27, "positive": 2, "neutral": 1, "negative": 24,
            "dominant_sentiment": "negative", "dominant_sentiment_count": 24,
            "dominant_sentiment_share": 24.0 / 27.0,
            "dominant_issue": "DELIVERY_DELAY", "dominant_issue_mentions": 12, "dominant_issue_post": "forum:l5x11",
            "general_feedback": 3, "dominant_theme": "convenience", "theme_mentions": 2,
            "dominant_theme_post": "forum:g5b",
            "high_risk_count": 4, "patient_safety_count": 3,
            "high_risk_posts": "forum:wrong5b, forum:wrong5a, forum:wrong](http://evil)",
            "rising_issue": "DELIVERY_DELAY", "falling_issue": "INSURANCE",
            "what_changed": "Late or lost delivery rose to 12 from a mean of 2.0; Insurance and coverage fell to 8 \
                             from a mean of 12.0",
            "narrative": "28 mentions; the mean of the 4 covered days before is 14.0. Most often negative: 24 of 27 \
                          from customers (89%). Most frequent issue: Late or lost delivery (12 mentions, such as \
                          [forum:l5x11]). Most frequent theme of general feedback: Convenience (2 of 3, such as \
                          [forum:g5b]). 4 at high risk, 3 of patient safety; see [forum:wrong5b] [forum:wrong5a]. \
                          Late or lost delivery rose to 12 from a mean of 2.0, see [forum:l5x11]; Insurance and \
                          coverage fell to 8 from a mean of 12.0.",
        }),
    );
    // Below four days nothing is compared, below twenty there is no share.
    holds(
        &row(&project, 4, "us"),
        json!({
            "mentions": 14, "baseline_mean": null, "baseline_days": 3, "vs_baseline": null,
            "dominant_sentiment_count": 14, "dominant_sentiment_share": null, "dominant_issue": "INSURANCE",
            "high_risk_count": 0, "high_risk_posts": null, "rising_issue": null, "falling_issue": null,
            "what_changed": "too few covered days before to compare with: 3 of the 4 needed",
            "narrative": "14 mentions. Most often negative: 14 of 14 from customers. Most frequent issue: Insurance \
                          and coverage (12 mentions, such as [forum:i4x00]). None at high risk. Too few covered days \
                          before to compare issues with.",
        }),
    );
    // As many of one kind as of another; of issues as frequent the one of higher priority.
    holds(
        &row(&project, 7, "us"),
        json!({
            "positive": 2, "neutral": 0, "negative": 2, "dominant_sentiment": "mixed",
            "dominant_sentiment_count": 2, "dominant_issue": "DELIVERY_DELAY", "dominant_issue_mentions": 1,
            "narrative": "4 mentions; the mean of the 6 covered days before is 14.0. Mixed sentiment: 2 positive, 0 \
                          neutral and 2 negative of 4 from customers. None at high risk. No clear rise; no clear fall.",
        }),
    );
    // Another brand has its own numbers.
    holds(
        &row(&project, 6, "them"),
        json!({
            "mentions": 1, "high_risk_count": 0, "dominant_issue": null, "dominant_theme": "general_experience",
            "narrative": "1 mention; the mean of the 5 covered days before is 0.2. Most often positive: 1 of 1 from \
                          customers. None at high risk. No clear rise; no clear fall.",
        }),
    );
}

#[test]
fn nothing_said_is_zero_and_nothing_known_is_not() {
    let project = project();
    holds(
        &row(&project, 6, "us"),
        json!({
            "day_covered": true, "mentions": 0, "vs_baseline": -16.8, "customer_voice": 0, "negative": 0,
            "dominant_sentiment": null, "dominant_sentiment_count": null, "dominant_issue": null,
            "dominant_theme": null, "general_feedback": 0, "high_risk_count": 0, "patient_safety_count": 0,
            "rising_issue": null, "falling_issue": "INSURANCE",
            "narrative": "No mentions; the mean of the 5 covered days before is 16.8. No clear rise; Insurance and \
                          coverage fell to 0 from a mean of 11.2.",
        }),
    );
    // What was found on a day that is not covered is a lower bound, and nothing else is said.
    holds(
        &row(&project, 8, "us"),
        json!({
            "day_covered": false, "mentions": 1, "vs_baseline": null, "customer_voice": null, "negative": null,
            "dominant_sentiment": null, "dominant_issue": null, "dominant_theme": null, "general_feedback": null,
            "high_risk_count": 1, "patient_safety_count": 1, "high_risk_posts": "forum:w8",
            "rising_issue": null, "falling_issue": null, "what_changed": "not covered",
            "narrative": "Not covered: the sources were not read completely. At least 1 mention. At least 1 at high \
                          risk, of patient safety; see [forum:w8].",
        }),
    );
    for brand in ["us", "them"] {
        holds(
            &row(&project, 9, brand),
            json!({
                "day_covered": false, "mentions": null, "high_risk_count": null, "patient_safety_count": null,
                "what_changed": "not covered",
                "narrative": "Not covered: the sources were not read completely, and nothing was found.",
            }),
        );
    }
}

#[test]
fn sentences_hold_no_text_of_a_post_and_follow_what_people_say() {
    let project = project();
    let rows = project.query("SELECT narrative, what_changed FROM executive_summary_daily");
    let all = Value::Array(rows).to_string();
    for words in ["acme", "rival", "lawyer", "evil", "announces", "weeks"] {
        assert!(!all.contains(words), "{words} in {all}");
    }
    // A person sees no risk where the rules did: the day's sentence says so, no other day moves.
    project.ok(&["label", "forum:wrong5b", "--risk", "low", "--by", "ann"]);
    let made: Steps =
        project.made().into_iter().filter(|(asset, _)| asset == "executive_summary_daily").collect();
    assert_eq!(made, steps(&["executive_summary_daily"], [5]));
    let now = row(&project, 5, "us");
    holds(&now, json!({ "high_risk_count": 3, "patient_safety_count": 2 }));
    let cited = "3 at high risk, 2 of patient safety; see [forum:wrong5a] [forum:lawyer5].";
    assert!(text(&now["narrative"]).contains(cited), "{now}");
    project.settled();
}
