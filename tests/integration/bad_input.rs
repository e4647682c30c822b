//! Records and tables that are not as they should be: counted, set aside, withheld.

use serde_json::{Value, json};

use crate::project::{Project, Steps, at, day, post, posts, steps};

/// Everything after silver but the trend.
const LEAN: [&str; 4] = ["issue_trend_daily", "top_issue_posts", "post_signals", "general_feedback_ai"];

fn lean(days: u32) -> Project {
    Project::files("2026-08-01", &day(days)).without(&LEAN)
}

/// The account of one window.
fn account(project: &Project, window: &str) -> Value {
    let list = project.json(&["quarantine", "list"]);
    let mut one = list
        .as_array()
        .unwrap()
        .iter()
        .find(|w| w["window"] == window)
        .unwrap_or_else(|| panic!("{list}"))
        .clone();
    let map = one.as_object_mut().unwrap();
    for field in ["at", "source", "window"] {
        map.remove(field);
    }
    one
}

#[test]
fn every_record_is_accounted_for() {
    let project = lean(3);
    let mut bytes = Vec::new();
    let mut line = |content: &[u8]| {
        bytes.extend_from_slice(content);
        bytes.push(b'\n');
    };
    for i in 0..7 {
        line(post(&format!("good{i}"), 1 + i % 3, i, "fine").as_bytes());
    }
    line(post("good3", 1, 3, "fine").as_bytes()); // the same record once more
    line(b"");
    line(b"   ");
    line(b"{\"id\": \"cut\", \"title\": ");
    line(b"not json at all");
    line(b"[1, 2");
    line(br#"{"title": "no id", "created_utc": 1785542400}"#);
    line(br#"{"id": "notime", "title": "x"}"#);
    line(br#"{"id": "badtime", "title": "x", "created_utc": "soon"}"#);
    line(json!({ "id": "mistyped", "title": ["x"], "created_utc": at(1, 1) }).to_string().as_bytes());
    line(
        json!({ "id": "mistyped2", "title": "x", "score": {}, "created_utc": at(1, 1) })
            .to_string()
            .as_bytes(),
    );
    line(b"{\"id\": \"utf8\", \"title\": \"\xff\xfe\", \"created_utc\": 1785542400}");
    line(json!({ "id": "early", "title": "x", "created_utc": at(1, 1) - 90_000 }).to_string().as_bytes());
    line(json!({ "id": "late", "title": "x", "created_utc": at(5, 1) }).to_string().as_bytes());
    let deep = format!("{{\"id\": \"deep\", \"x\": {}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    line(deep.as_bytes());
    let long = "y".repeat((4 << 20) + 10);
    line(json!({ "id": "long", "title": long, "created_utc": at(1, 1) }).to_string().as_bytes());
    line(br#"42"#);
    line(post("good7", 2, 50, "fine").as_bytes());
    bytes.extend_from_slice(br#"{"id": "unfinished", "title": "still being wr"#);
    // Just written: its last line may still grow.
    project.write_now("in/a.ndjson", &bytes);
    let summary = project.all();
    assert_eq!(summary["state"], "succeeded");
    let found = account(&project, "in/a.ndjson");
    insta::assert_snapshot!(serde_json::to_string_pretty(&found).unwrap(), @r#"
    {
      "adds_up": true,
      "duplicate": 1,
      "good": 8,
      "outside": 0,
      "pending_bytes": 45,
      "quarantined": 14,
      "reasons": {
        "bad_created_at": 1,
        "invalid_json": 3,
        "invalid_utf8": 1,
        "missing_created_at": 1,
        "missing_id": 1,
        "mistyped:score": 1,
        "mistyped:title": 1,
        "not_an_object": 1,
        "out_of_range": 2,
        "oversized": 1,
        "too_deep": 1
      },
      "records_in": 23
    }
    "#);
    // The account, the summary and the tables say the same.
    let captured = &summary["captured"]["inbox"];
    assert_eq!(captured["rows_in"], found["records_in"]);
    assert_eq!(captured["rows_out"], found["good"]);
    assert_eq!(captured["duplicate"], found["duplicate"]);
    assert_eq!(captured["quarantined"], found["quarantined"]);
    assert_eq!(project.number("SELECT count(*) AS n FROM silver_posts"), 8);
    let shown = project.json(&["quarantine", "show", "--limit", "1000"]);
    assert_eq!(shown.as_array().unwrap().len() as u64, found["quarantined"].as_u64().unwrap());

    // The last line is finished later: one more record, the others keep their place.
    let start = bytes.len() - br#"{"id": "unfinished", "title": "still being wr"#.len();
    bytes.truncate(start);
    bytes.extend_from_slice(post("unfinished", 3, 9, "fine").as_bytes());
    bytes.push(b'\n');
    project.write_now("in/a.ndjson", &bytes);
    let made = project.made();
    assert_eq!(made, {
        let mut expected = steps(&["raw_posts", "silver_posts", "fact_issue_daily"], [3]);
        expected.retain(|s| made.contains(s) || s.0 != "fact_issue_daily");
        expected
    });
    let after = account(&project, "in/a.ndjson");
    assert_eq!(after["records_in"].as_u64(), found["records_in"].as_u64().map(|n| n + 1));
    assert_eq!(after["pending_bytes"], 0);
    assert_eq!(after["adds_up"], true);
    assert_eq!(project.number("SELECT count(*) AS n FROM silver_posts"), 9);
}

#[test]
fn broken_files_are_read_as_far_as_they_go() {
    let project = lean(2);
    let good = posts("a", 1..=2, 40);
    let zst = zstd::encode_all(good.as_bytes(), 3).unwrap();
    project.write("in/cut.ndjson.zst", &zst[..zst.len() - 20]);
    project.write("in/empty.ndjson", "");
    project.write("in/nothing.ndjson.gz", "this is no gzip");
    project.write(
        "in/listing.json",
        json!({ "kind": "Listing", "data": { "children": [
        { "kind": "t3", "data": serde_json::from_str::<Value>(&post("listed1", 1, 1, "x")).unwrap() },
        { "kind": "t3", "data": serde_json::from_str::<Value>(&post("listed2", 2, 1, "x")).unwrap() },
        { "kind": "t5", "data": { "id": "sub" } },
    ] } })
        .to_string(),
    );
    project.write(
        "in/bom.ndjson",
        format!("\u{feff}{}\r\n{}\r\n", post("bom1", 1, 2, "x"), post("bom2", 2, 2, "x")),
    );
    let done = project.run(&["materialize", "--all", "--format", "json"]);
    assert!(matches!(done.code(), Some(0 | 3)), "{} {}", done.status, done.stderr);
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    let list = project.json(&["quarantine", "list"]);
    let mut good = 0;
    for window in list.as_array().unwrap() {
        assert_eq!(window["adds_up"], true, "{window}");
        good += window["good"].as_i64().unwrap();
    }
    assert_eq!(account(&project, "in/listing.json")["good"], 2);
    assert_eq!(account(&project, "in/bom.ndjson")["good"], 2);
    assert_eq!(project.number("SELECT count(*) AS n FROM raw_posts"), good);
    assert_eq!(project.number("SELECT count(*) AS n FROM silver_posts"), good);
}

#[test]
fn a_csv_file_is_mapped_by_its_columns() {
    let mut project = lean(2);
    project.set("sources.inbox.format", "generic");
    project.set("sources.inbox.platform", "trustpilot");
    let map: toml::Table = "native_id = \"review\"\ncreated_at = \"date\"\ntitle = \"head\"\nbody = \"text\"\nrating = \"stars\"\nchannel = \"'shop'\"".parse().unwrap();
    project.set("sources.inbox.map", map);
    project.save();
    project.write(
        "in/r.csv",
        "review,date,head,text,stars\n1,2026-08-01T10:00:00Z,good,\"all, \"\"well\"\"\nindeed\",5\n2,2026-08-02,bad,late,1\n,2026-08-02,no id,x,1\n4,someday,x,y,1\n5,2026-08-02,x,y,many\n2,2026-08-02,bad,late,1\n",
    );
    project.all();
    let found = account(&project, "in/r.csv");
    insta::assert_snapshot!(serde_json::to_string_pretty(&found).unwrap(), @r#"
    {
      "adds_up": true,
      "duplicate": 1,
      "good": 2,
      "outside": 0,
      "pending_bytes": 0,
      "quarantined": 3,
      "reasons": {
        "bad_created_at": 1,
        "missing_id": 1,
        "mistyped:rating": 1
      },
      "records_in": 6
    }
    "#);
    let rows = project.query("SELECT post_id, body, rating, channel FROM silver_posts ORDER BY 1");
    assert_eq!(
        rows[0],
        json!({ "post_id": "trustpilot:1", "body": "all, \"well\"\nindeed", "rating": 5.0, "channel": "shop" })
    );
}

#[test]
fn a_failed_check_withholds_its_day_and_keeps_the_last_good_version() {
    let mut project = Project::files("2026-08-01", "2026-08-04").without(&LEAN[1..]);
    project.write("in/a.ndjson", posts("a", 1..=4, 6));
    project.all();
    let before = project.manifests();
    let good = project.current();

    // Many posts on the second day: more than the check allows.
    let check = |limit: u32| -> toml::Value {
        let text = format!("[[c]]\ntype = \"custom\"\nname = \"few\"\nviolates = \"mentions > {limit}\"");
        text.parse::<toml::Table>().unwrap()["c"].clone()
    };
    project.set("assets.fact_issue_daily.checks", check(20));
    project.save();
    // A new check makes nothing stale.
    assert_eq!(project.made(), Steps::new());
    project.write("in/b.ndjson", posts("b", [2], 300));
    project.write("in/c.ndjson", posts("c", [3], 2));
    let done = project.run(&["materialize", "--all", "--format", "json"]).expect(3);
    let summary = done.json();
    assert_eq!(summary["state"], "failed");
    assert_eq!(project.steps("failed"), steps(&["fact_issue_daily"], [2]));
    let made = project.steps("succeeded");
    assert!(made.is_superset(&steps(&["raw_posts", "silver_posts"], [2, 3])), "{made:?}");
    assert!(made.is_superset(&steps(&["fact_issue_daily"], [3])), "{made:?}");
    // The last good version stays, byte for byte and by number.
    let second = "fact_issue_daily/2026-08-02";
    assert_eq!(project.manifests()[second], before[second]);
    let of_day = |files: &crate::project::Files| {
        files
            .iter()
            .filter(|(n, _)| n.starts_with("fact_issue_daily/dt=2026-08-02/"))
            .map(|(n, b)| (n.clone(), b.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(of_day(&project.current()), of_day(&good));
    let said = project.json(&["runs", "show", "--state", "failed"]);
    let message = crate::project::text(&said["step_list"][0]["message"]);
    assert!(message.contains("few"), "{message}");
    // The end of the summary is the command that runs what failed.
    let again = project.run(&["materialize", "fact_issue_daily", "--partition", &day(2)]).expect(1);
    assert!(
        again.stderr.contains("rxpulse materialize fact_issue_daily --partition 2026-08-02"),
        "{}",
        again.stderr
    );
    // With the check gone the day is made, and what waited for it.
    project.set("assets.fact_issue_daily.checks", check(1_000));
    project.save();
    let made = project.made();
    assert!(made.is_superset(&steps(&["fact_issue_daily"], [2])), "{made:?}");
    project.settled();
}

#[test]
fn a_blocked_step_says_on_the_terminal_what_to_select() {
    let project = lean(2);
    project.write("in/a.ndjson", posts("a", 1..=2, 1));
    let done = project.run(&["materialize", "fact_issue_daily", "--partition", &day(2)]).expect(1);
    assert!(done.stderr.contains("silver_posts[2026-08-02]"), "{}", done.stderr);
    assert!(done.stderr.contains("+fact_issue_daily"), "{}", done.stderr);
}

#[test]
fn what_is_blocked_names_what_it_misses() {
    let mut project = Project::files("2026-08-01", "2026-08-04").without(&LEAN[1..]);
    project.write("in/a.ndjson", posts("a", 1..=4, 6));
    // Not selected and missing: the step fails and tells what to select.
    project.run(&["materialize", "fact_issue_daily", "--partition", &day(2)]).expect(1);
    assert_eq!(project.steps("upstream_failed"), steps(&["fact_issue_daily"], [2]));
    let run = project.json(&["runs", "show"]);
    let message = crate::project::text(&run["step_list"][0]["message"]);
    assert!(
        message.contains("silver_posts[2026-08-02]") && message.contains("+fact_issue_daily"),
        "{message}"
    );

    // A first version that fails its check: what reads it is blocked, the rest is made.
    let check: toml::Table =
        "[[c]]\ntype = \"custom\"\nname = \"never_on_the_second\"\nviolates = \"native_id LIKE 't3_a02%'\""
            .parse()
            .unwrap();
    project.set("assets.silver_posts.checks", check["c"].clone());
    project.save();
    project.run(&["materialize", "--all"]).expect(3);
    assert_eq!(project.steps("failed"), steps(&["silver_posts"], [2]));
    let mut blocked = steps(&["fact_issue_daily"], [2]);
    blocked.extend(steps(&["issue_trend_daily"], 2..=4));
    assert_eq!(project.steps("upstream_failed"), blocked);
    let run = project.json(&["runs", "show", "--state", "upstream_failed"]);
    for step in run["step_list"].as_array().unwrap() {
        let message = crate::project::text(&step["message"]);
        let misses =
            if step["target"]["asset"] == "fact_issue_daily" { "silver_posts" } else { "fact_issue_daily" };
        assert!(message.contains(&format!("{misses}[2026-08-02]")), "{message}");
    }
    let made = project.steps("succeeded");
    assert!(made.is_superset(&steps(&["silver_posts", "fact_issue_daily"], [1, 3, 4])), "{made:?}");
    assert!(made.is_superset(&steps(&["issue_trend_daily"], [1])), "{made:?}");
}
