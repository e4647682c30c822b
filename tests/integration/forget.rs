//! What is forgotten leaves no byte behind, does not come back, and takes nothing else along.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::project::{DAILY, Project, TITLES, at, day, post, posts, text};

const ID: &str = "zqxjk7";
const NATIVE: &str = "t3_zqxjk7";
const TITLE: &str = "Quagmire parcels never ever arrived";
const OLDER: &str = "Quagmire parcels before the edit";
const AUTHOR: &str = "Wolframhildeswitha";

/// Everything by which the post could be recognized.
const TRACES: [&str; 5] = [ID, "Quagmire", "vexillologist", AUTHOR, "t3_zqxjk7"];

/// The post, as Reddit writes it, by an author of its own.
fn record(title: &str, edited: bool) -> Value {
    json!({
        "id": ID, "title": title, "selftext": "the vexillologist waits", "created_utc": at(2, 700),
        "score": 5, "num_comments": 2, "subreddit": "pharmacy", "author": AUTHOR,
        "edited": if edited { json!(at(2, 800)) } else { json!(false) },
        "permalink": format!("/r/pharmacy/comments/{ID}/quagmire/"),
    })
}

/// Three days; a post that two sources have, in an older version as well, with records beside it
/// that were set aside, and whose id stands in the history of runs.
fn project() -> Project {
    let mut project = Project::files("2026-08-01", "2026-08-03");
    project.set("sources.second.type", "files");
    project.set("sources.second.glob", "more/*");
    project.set("sources.second.format", "reddit");
    project.set("assets.raw_posts.sources", vec!["inbox", "second"]);
    project.set("privacy.author", "keep");
    // Who comes after a crash waits so long for the dead.
    project.set("run.lease", "1s");
    let mut check: toml::Table =
        "type = 'accepted_values'\ncolumns = ['title']\nseverity = 'warn'".parse().unwrap();
    let known: Vec<toml::Value> = TITLES.iter().map(|t| (*t).into()).collect();
    check.insert("values".into(), known.into());
    project.set("assets.silver_posts.checks", vec![check]);
    project.save();
    let broken = json!({ "id": ID, "title": TITLE, "created_utc": "never", "author": AUTHOR });
    // Its id stands where no glimpse reaches.
    let hidden = format!(
        r#"{{"title":["{TITLE}"],"filler":"{}","created_utc":{},"id":"{ID}"}}"#,
        "x".repeat(400),
        at(2, 1)
    );
    let others = posts("a", 1..=3, 4);
    project.write("in/a.ndjson", format!("{others}{}\n", record(OLDER, false)));
    project.write(
        "more/b.ndjson",
        format!("{}{}\n{broken}\n{hidden}\n", posts("b", 2..=3, 3), record(TITLE, false)),
    );
    project.all();
    project.write_at("in/a.ndjson", format!("{others}{}\n", record(TITLE, true)), 60);
    project.all();
    project
}

/// Files of the project's state in which a word stands, compressed or not.
fn stored(project: &Project, words: &[&str]) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let root = project.path("state");
    for entry in walkdir::WalkDir::new(&root).into_iter().map(Result::unwrap) {
        if !entry.file_type().is_file() {
            continue;
        }
        let name = entry.path().strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(entry.path()).unwrap();
        let unpacked = match name.ends_with(".zst") {
            true => zstd::decode_all(bytes.as_slice()).unwrap(),
            false => Vec::new(),
        };
        for word in words {
            let holds = |bytes: &[u8]| bytes.windows(word.len()).any(|w| w == word.as_bytes());
            if name.contains(word) || holds(&bytes) || holds(&unpacked) {
                out.insert(format!("{word} in {name}"));
            }
        }
    }
    out
}

/// The same, tables that show a word, and older versions.
fn traces(project: &Project, words: &[&str]) -> BTreeSet<String> {
    let mut out = stored(project, words);
    let current: BTreeSet<String> = project.current().into_keys().collect();
    for table in DAILY {
        let rows = Value::Array(project.query(&format!("SELECT * FROM {table}"))).to_string();
        out.extend(words.iter().filter(|w| rows.contains(**w)).map(|w| format!("{w} in the table {table}")));
    }
    // Compressed Parquet shows no words: of the day there must be nothing but what is current.
    for entry in walkdir::WalkDir::new(project.lake()).into_iter().map(Result::unwrap) {
        let name = entry.path().strip_prefix(project.lake()).unwrap().to_string_lossy().into_owned();
        if name.ends_with(".parquet") && name.contains(&format!("dt={}", day(2))) && !current.contains(&name)
        {
            out.insert(format!("an older version: {name}"));
        }
    }
    out
}

#[test]
fn nothing_of_a_post_stays_and_nothing_else_goes() {
    let project = project();
    let before = traces(&project, &TRACES);
    for place in
        ["raw_posts/", "quarantine/", "silver_posts", "rxpulse.db", "_manifests/", "an older version"]
    {
        assert!(before.iter().any(|t| t.contains(place)), "{place}: {before:#?}");
    }
    let captures = project.number(&format!("SELECT count(*) FROM raw_posts WHERE native_id = '{NATIVE}'"));
    assert_eq!(captures, 3, "two versions of one source, one of the other");
    let raw = project.number("SELECT count(*) FROM raw_posts");
    let silver = project.number("SELECT count(*) FROM silver_posts");
    let files = project.current();
    // A database that was set aside remembers as well.
    project.ok(&["state", "rebuild"]);
    project.ok(&["materialize", "silver_posts", "--force"]);

    // People said something of it, and quoted it elsewhere.
    project.ok(&["label", NATIVE, "--risk", "high", "--note", "the vexillologist called", "--by", "ann"]);
    let quote = "as zqxjk7 says: Quagmire parcels never ever arrived";
    project.ok(&["label", "t3_a02x001", "--sentiment", "negative", "--note", quote, "--by", "ann"]);
    project.all();
    assert!(traces(&project, &TRACES).iter().any(|t| t.contains("_records/labels/")));

    let would = project.json(&["forget", NATIVE, "--dry-run"]);
    assert_eq!(would["posts"][0]["places"].as_array().unwrap().len(), 2, "{would}");
    assert_eq!(would["run"], Value::Null);
    assert!(!traces(&project, &TRACES).is_empty());

    let told = project.ok(&["forget", "reddit:t3_zqxjk7"]);
    assert!(told.stdout.contains("in/a.ndjson") && told.stdout.contains("Forgotten."), "{}", told.stdout);
    assert_eq!(traces(&project, &TRACES), BTreeSet::new());
    assert_eq!(project.number("SELECT count(*) FROM raw_posts"), raw - captures);
    assert_eq!(project.number("SELECT count(*) FROM silver_posts"), silver - 1);
    for (name, bytes) in project.current() {
        if name.starts_with("raw_posts/") && !name.contains(&format!("dt={}", day(2))) {
            assert_eq!(files.get(&name), Some(&bytes), "{name}");
        }
    }
    for d in [1, 3] {
        let of_day = |files: &crate::project::Files| {
            let dt = format!("dt={}", day(d));
            files
                .iter()
                .filter(|(n, _)| n.contains(&dt))
                .filter(|(n, _)| !n.starts_with("issue_trend"))
                .map(|(n, b)| (n.clone(), b.clone()))
                .collect::<crate::project::Files>()
        };
        crate::project::same_files(&of_day(&files), &of_day(&project.current()), "another day");
    }
    project.settled();
    assert!(project.all()["run"].is_null());
    let labels = project.json(&["label", "list"]);
    assert_eq!(labels.as_array().unwrap().len(), 1, "{labels}");
    assert_eq!((&labels[0]["sentiment"], &labels[0]["note"]), (&json!("negative"), &Value::Null));
    project.run(&["label", "reddit:t3_zqxjk7", "--risk", "low", "--day", &day(2)]).expect(1);

    // The person's own files still have it, and are read again.
    let text = project.read("in/a.ndjson");
    project.write_at("in/a.ndjson", text + &posts("c", [2], 1), 120);
    project.ok(&["materialize", "--all"]);
    project.ok(&["materialize", "--all", "--force"]);
    project.ok(&["quarantine", "replay"]);
    let none = format!("SELECT count(*) FROM raw_posts WHERE native_id = '{NATIVE}'");
    assert_eq!(project.number(&none), 0);
    assert_eq!(project.number("SELECT count(*) FROM silver_posts"), silver);
    let aside = project.json(&["quarantine", "show", "--reason", "forgotten"]);
    assert!(!aside.as_array().unwrap().is_empty());
    assert!(!aside.to_string().contains("Quagmire"), "{aside}");

    // The same again finds nothing and does nothing.
    let again = project.json(&["forget", NATIVE]);
    assert_eq!(again["posts"][0]["places"], json!([]));
    assert_eq!(again["left"], json!([]));
}

#[test]
fn all_of_an_author_goes() {
    let mut project = Project::files("2026-08-01", "2026-08-02");
    project.set("privacy.author", "hash");
    project.set("privacy.hash_key_env", "FORGET_TEST_KEY");
    project.save();
    let by = |id: &str, d: u32, author: &str| {
        post(id, d, 5, &format!("about {id}")).replace("\"somebody\"", &format!("\"{author}\"")) + "\n"
    };
    project.write("in/a.ndjson", by("m1", 1, AUTHOR) + &by("m2", 2, AUTHOR) + &by("n1", 1, "another"));
    let run = |args: &[&str], code: i32| {
        let child = project.command(args).env("FORGET_TEST_KEY", "secret").spawn().unwrap();
        crate::project::finish(child).expect(code)
    };
    let ids = || {
        let done =
            run(&["query", "SELECT DISTINCT native_id FROM raw_posts ORDER BY 1", "--format", "json"], 0);
        done.json().as_array().unwrap().iter().map(|r| text(&r["native_id"])).collect::<Vec<_>>()
    };
    run(&["materialize", "--all"], 0);
    assert_eq!(ids(), ["t3_m1", "t3_m2", "t3_n1"]);
    // Without the key nobody can be told from others.
    assert!(project.run(&["forget", "--author", AUTHOR]).expect(2).stderr.contains("FORGET_TEST_KEY"));
    run(&["forget", "--author", AUTHOR], 0);
    assert_eq!(ids(), ["t3_n1"]);
    // What they write later does not come either.
    project.write("in/b.ndjson", by("m3", 2, AUTHOR) + &by("n2", 2, "another"));
    run(&["materialize", "--all"], 0);
    assert_eq!(ids(), ["t3_n1", "t3_n2"]);
    run(&["forget", "--author", AUTHOR], 0);
    assert_eq!(run(&["plan", "--all", "--format", "json"], 0).json()["steps"], json!([]));

    project.set("privacy.author", "drop");
    project.save();
    let refused = project.run(&["forget", "--author", AUTHOR]).expect(2);
    assert!(refused.stderr.contains("PLATFORM:ID"), "{}", refused.stderr);
}

#[test]
fn what_was_not_captured_is_kept_from_coming() {
    let project = Project::files("2026-08-01", "2026-08-01");
    project.write("in/a.ndjson", posts("a", [1], 2));
    project.all();
    let told = project.json(&["forget", "t3_late", "t3_a01x000"]);
    assert_eq!(told["posts"][0]["places"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(told["posts"][1]["places"], json!([]));
    project.settled();
    project
        .write("in/b.ndjson", post("late", 1, 9, "too late") + "\n" + &post("soon", 1, 9, "in time") + "\n");
    project.ok(&["materialize", "--all"]);
    let ids: Vec<String> = project
        .query("SELECT native_id FROM raw_posts ORDER BY 1")
        .iter()
        .map(|r| text(&r["native_id"]))
        .collect();
    assert_eq!(ids, ["t3_a01x001", "t3_soon"]);
    // The list of runs does not remember which.
    assert!(!project.json(&["runs", "list"]).to_string().contains("t3_"));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let mut project = Project::files("2026-08-01", "2026-08-01");
    project.set("sources.reviews.type", "files");
    project.set("sources.reviews.glob", "reviews/*");
    project.set("sources.reviews.format", "generic");
    project.set("sources.reviews.platform", "trustpilot");
    project.set("sources.reviews.post_type", "review");
    let map: toml::Table = "native_id = 'id'\ncreated_at = 'at'\nbody = 'said'".parse().unwrap();
    project.set("sources.reviews.map", map);
    project.set("assets.raw_posts.sources", vec!["inbox", "reviews"]);
    project.save();
    project.write("in/a.ndjson", posts("a", [1], 1));
    project.write(
        "reviews/a.csv",
        format!("id,at,said\nt3_a01x000,{0}T10:00:00Z,good\nr1,{0}T10:00:00Z,bad\n", day(1)),
    );
    project.all();
    let ambiguous = project.run(&["forget", "t3_a01x000"]).expect(2);
    assert!(ambiguous.stderr.contains("reddit:t3_a01x000 or trustpilot:t3_a01x000"), "{}", ambiguous.stderr);
    assert!(project.run(&["forget", "r2"]).expect(2).stderr.contains("PLATFORM:r2"));
    assert!(project.run(&["forget", "redit:t3_x"]).expect(2).stderr.contains("did you mean `reddit`"));
    project.run(&["forget"]).expect(2);
    assert_eq!(project.number("SELECT count(*) FROM raw_posts"), 3);
    project.ok(&["forget", "trustpilot:t3_a01x000"]);
    project.ok(&["forget", "r1"]);
    assert_eq!(project.query("SELECT platform FROM raw_posts"), [json!({ "platform": "reddit" })]);
    project.settled();
}

#[test]
fn sample_posts_are_forgotten_like_any() {
    let project = Project::sample("2026-08-01", "2026-08-02", 30);
    project.all();
    let raw = project.number("SELECT count(*) FROM raw_posts");
    let one = project.query(
        "SELECT platform, native_id, count(*) AS n FROM raw_posts WHERE title IS NOT NULL \
         GROUP BY platform, native_id ORDER BY 1, 2 LIMIT 1",
    );
    let id = text(&one[0]["native_id"]);
    project.ok(&["forget", &format!("{}:{id}", text(&one[0]["platform"]))]);
    assert_eq!(project.number("SELECT count(*) FROM raw_posts"), raw - one[0]["n"].as_i64().unwrap());
    project.settled();
    project.ok(&["materialize", "--all", "--force"]);
    assert_eq!(project.number(&format!("SELECT count(*) FROM raw_posts WHERE native_id = '{id}'")), 0);
}

#[test]
fn a_table_that_cannot_be_made_again_is_told() {
    let mut project = project();
    let check: toml::Table = "type = 'row_count'\nmax = 0".parse().unwrap();
    project.set("assets.top_issue_posts.checks", vec![check]);
    project.save();
    let done = project.run(&["forget", NATIVE]).expect(3);
    assert!(done.stdout.contains("left: top_issue_posts"), "{}", done.stdout);
}

#[test]
fn sources_and_tables_that_nobody_declares_any_more_lose_it_too() {
    let mut project = project();
    // Another source takes its place, a table is gone, and the days begin later.
    project.set("assets.raw_posts.sources", vec!["inbox"]);
    project.unset("sources.second");
    project = project.without(&["top_issue_posts"]);
    project.set("project.start", "2026-08-03");
    project.save();
    project.all();
    let held = |words: &[&str]| {
        let mut places = stored(&project, words);
        places.retain(|place| !place.contains("rxpulse.db"));
        places
    };
    let before = held(&TRACES);
    for place in ["src=second", "src=inbox"] {
        assert!(before.iter().any(|p| p.contains(place)), "{place}: {before:?}");
    }
    let days = |table: &str| {
        let folder = project.lake().join(table);
        let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.collect::<BTreeSet<String>>()
    };
    assert!(days("top_issue_posts").contains("dt=2026-08-02"));
    let told = project.ok(&["forget", NATIVE]);
    assert!(told.stdout.contains("top_issue_posts[2026-08-02] is not declared any more"), "{}", told.stdout);
    assert_eq!(stored(&project, &TRACES), BTreeSet::new());
    assert!(!days("top_issue_posts").contains("dt=2026-08-02"));
    assert!(days("top_issue_posts").contains("dt=2026-08-01"), "another day is not touched");
    let left = project.lake().join("raw_posts/src=second/dt=2026-08-02");
    assert_eq!(std::fs::read_dir(left).unwrap().count(), 1, "what others wrote stays");
    project.settled();
}

#[test]
fn beside_a_run_it_refuses() {
    let project = project();
    project.seem_at_work(true);
    let before = project.manifests();
    let refused = project.run(&["forget", NATIVE]).expect(1);
    assert!(
        refused.stderr.contains("run 1 is at work") && refused.stderr.contains("runs cancel 1"),
        "{}",
        refused.stderr
    );
    assert_eq!(project.manifests(), before);
    project.ok(&["forget", NATIVE, "--dry-run"]);
    project.seem_at_work(false);
    project.ok(&["forget", NATIVE]);
    assert_eq!(traces(&project, &TRACES), BTreeSet::new());
}

#[test]
fn a_database_that_another_process_reads_is_told() {
    let project = project();
    let reader = rusqlite::Connection::open(project.path("state/rxpulse.db")).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let runs: i64 = reader.query_row("SELECT count(*) FROM runs", [], |r| r.get(0)).unwrap();
    assert!(runs > 0);
    let told = project.ok(&["forget", NATIVE]);
    assert!(told.stdout.contains("is open in another process"), "{}", told.stdout);
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    // The next to close it writes what is left of it to its place.
    project.ok(&["forget", NATIVE]);
    assert_eq!(traces(&project, &TRACES), BTreeSet::new());
}

#[test]
fn an_author_is_the_same_in_any_case_where_the_site_says_so() {
    let mut project = Project::files("2026-08-01", "2026-08-01");
    project.set("privacy.author", "keep");
    project.save();
    let by = |id: &str, author: &str| {
        post(id, 1, 5, &format!("about {id}")).replace("\"somebody\"", &format!("\"{author}\"")) + "\n"
    };
    project.write("in/a.ndjson", by("m1", "SomeOne") + &by("m2", "someone") + &by("n1", "someone_else"));
    project.all();
    project.ok(&["forget", "--author", "SOMEONE"]);
    let ids = || {
        let rows = project.query("SELECT DISTINCT native_id FROM raw_posts ORDER BY 1");
        rows.iter().map(|r| text(&r["native_id"])).collect::<Vec<_>>()
    };
    assert_eq!(ids(), ["t3_n1"]);
    project.write("in/b.ndjson", by("m3", "someONE") + &by("n2", "Someone_Else"));
    project.ok(&["materialize", "--all"]);
    assert_eq!(ids(), ["t3_n1", "t3_n2"]);
    project.settled();
}

#[test]
fn comments_of_later_days_lose_the_headline_of_a_deleted_post() {
    let mut project = Project::files("2026-08-01", "2026-08-03");
    project.set("sources.second.type", "files");
    project.set("sources.second.glob", "more/*");
    project.set("sources.second.format", "reddit");
    project.set("assets.raw_posts.sources", vec!["inbox", "second"]);
    project.save();
    let comment = |id: &str, d: u32, parent: &str| {
        json!({
            "name": format!("t1_{id}"), "id": id, "link_id": NATIVE, "parent_id": parent, "link_title": TITLE,
            "permalink": format!("/r/pharmacy/comments/{ID}/quagmire/{id}/"), "body": format!("words of {id}"),
            "created_utc": at(d, 30), "subreddit": "pharmacy", "author": "another",
        })
        .to_string()
            + "\n"
    };
    project.write("in/a.ndjson", format!("{}\n", record(TITLE, false)) + &comment("c1", 3, NATIVE));
    project.write("more/b.ndjson", posts("b", 1..=3, 2) + &comment("c2", 2, "t1_c1"));
    project.all();
    let held = ["Quagmire", "quagmire"];
    assert!(stored(&project, &held).iter().filter(|p| p.contains("raw_posts/")).count() >= 3);
    let mut gone = record("[deleted by user]", true);
    gone["selftext"] = json!("[deleted]");
    gone["author"] = json!("[deleted]");
    project.write_at("in/a.ndjson", format!("{gone}\n") + &comment("c1", 3, NATIVE), 60);
    project.ok(&["materialize", "--all"]);
    project.ok(&["materialize", "--all"]);
    let mut left = stored(&project, &held);
    // Replaced versions wait for their retention.
    let current = project.current();
    left.retain(|p| {
        p.split(" in ").last().is_some_and(|p| current.contains_key(p.trim_start_matches("lake/")))
    });
    assert_eq!(left, BTreeSet::new());
    let rows = project.query(
        "SELECT body, parent_id, link_title, url FROM raw_posts WHERE post_type = 'comment' ORDER BY 1",
    );
    assert_eq!(
        rows,
        [
            json!({ "body": "words of c1", "parent_id": NATIVE, "link_title": null, "url": null }),
            json!({ "body": "words of c2", "parent_id": "t1_c1", "link_title": null, "url": null }),
        ]
    );
    project.settled();
}

/// A comment that others answered, and a post that was crossposted, on other days than their own.
#[test]
fn nothing_names_what_is_forgotten() {
    let project = Project::files("2026-08-01", "2026-08-03");
    project.save();
    let answer = |id: &str, d: u32, parent: &str| {
        json!({
            "name": format!("t1_{id}"), "id": id, "link_id": "t3_a01x000", "parent_id": parent,
            "permalink": format!("/r/pharmacy/comments/a01x000/x/{id}/"), "body": format!("words of {id}"),
            "created_utc": at(d, 30), "subreddit": "pharmacy", "author": "another",
        })
        .to_string()
            + "\n"
    };
    let crosspost = json!({
        "id": "crossed", "title": "Amazon Pharmacy, see there", "selftext": "", "created_utc": at(3, 40),
        "subreddit": "amazon", "author": "another", "permalink": "/r/amazon/comments/crossed/x/",
        "crosspost_parent": NATIVE, "crosspost_parent_list": [record(TITLE, false)],
        "url": format!("/r/pharmacy/comments/{ID}/quagmire/"),
    });
    project.write(
        "in/a.ndjson",
        posts("a", 1..=3, 2)
            + &format!("{}\n{crosspost}\n", record(TITLE, false))
            + &answer("yvqwm3", 1, "t3_a01x000")
            + &answer("answer", 2, "t1_yvqwm3"),
    );
    project.all();
    let count = project.number("SELECT count(*) FROM raw_posts");
    for id in [ID, "yvqwm3"] {
        assert!(traces(&project, &[id]).iter().any(|t| t.contains("raw_posts/")), "{id}");
    }
    // As people write them: a permalink, and an id without its kind.
    project.ok(&["forget", &format!("https://www.reddit.com/r/pharmacy/comments/{ID}/quagmire/"), "YVQWM3"]);
    assert_eq!(traces(&project, &[ID, "yvqwm3", "Quagmire"]), BTreeSet::new());
    assert_eq!(project.number("SELECT count(*) FROM raw_posts"), count - 2);
    let left = "SELECT native_id FROM raw_posts WHERE native_id IN ('t3_crossed', 't1_answer') ORDER BY 1";
    assert_eq!(
        project.query(left),
        [json!({ "native_id": "t1_answer" }), json!({ "native_id": "t3_crossed" })],
        "what others wrote stays"
    );
    // What comes later forgets them as it comes.
    project.write("in/b.ndjson", answer("later", 3, "t1_yvqwm3"));
    project.ok(&["materialize", "--all"]);
    assert_eq!(traces(&project, &["yvqwm3"]), BTreeSet::new());
    project.settled();
    // What never matches is not buried.
    let refused = project.run(&["forget", "nobody1"]).expect(2);
    assert!(refused.stderr.contains("reddit:t3_ID"), "{}", refused.stderr);
}

#[test]
fn names_are_taken_as_people_write_them() {
    let mut project = Project::files("2026-08-01", "2026-08-01");
    project.set("privacy.author", "hash");
    project.set("privacy.hash_key_env", "FORGET_TEST_KEY");
    project.save();
    let by = |id: &str, author: &str| {
        post(id, 1, 5, &format!("about {id}")).replace("\"somebody\"", &format!("\"{author}\"")) + "\n"
    };
    project.write("in/a.ndjson", by("m1", "SomeOne") + &by("m2", "lower_case") + &by("n1", "another"));
    let run = |args: &[&str]| {
        let child = project.command(args).env("FORGET_TEST_KEY", "secret").spawn().unwrap();
        crate::project::finish(child).expect(0)
    };
    let count =
        || run(&["query", "SELECT count(*) AS n FROM raw_posts", "--format", "json"]).json()[0]["n"].clone();
    run(&["materialize", "--all"]);
    let told = run(&["forget", "--author", "someone"]);
    assert!(told.stdout.contains("nobody of that name was captured"), "{}", told.stdout);
    assert_eq!(count(), 3);
    run(&["forget", "--author", "/u/SomeOne"]);
    assert_eq!(count(), 2);
    run(&["forget", "--author", "u/Lower_Case"]);
    assert_eq!(count(), 1);
}

#[test]
fn killed_anywhere_the_same_again_finishes_it() {
    let stride = std::env::var("RXPULSE_TEST_CRASH_STRIDE").map_or(41, |s| s.parse().unwrap());
    let mut kills = 0;
    for at in (3..).step_by(stride) {
        let project = project();
        let done = project.run_crashing(&["forget", NATIVE], at);
        if done.code() == Some(0) {
            break;
        }
        assert!(done.aborted(), "{} {}", done.status, done.stderr);
        kills += 1;
        project.ok(&["forget", NATIVE]);
        assert_eq!(traces(&project, &TRACES), BTreeSet::new(), "killed at crash point {at}: {}", done.stderr);
        project.settled();
    }
    println!("killed {kills} times");
    assert!(kills >= 3, "{kills}");
}
