//! The pages under `docs/sources`: every table to copy is run on a small made-up export.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::project::{Project, shipped};

/// The `[sources.*]` tables of a page.
fn tables(page: &str) -> toml::Table {
    let text = shipped(&format!("docs/sources/{page}.md"));
    let mut out = toml::Table::new();
    for block in text.split("```toml\n").skip(1) {
        let block: toml::Table = block.split("```").next().unwrap().parse().unwrap();
        let Some(sources) = block.get("sources") else { continue };
        out.extend(sources.as_table().unwrap().clone());
    }
    assert!(!out.is_empty(), "{page} has no table to copy");
    out
}

fn fixtures(page: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sources").join(page);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A project with the page's sources over the page's export, run as far as silver.
fn run(page: &str) -> Project {
    let mut project = Project::files("2026-08-01", "2026-08-05");
    let tables = tables(page);
    let names: Vec<String> = tables.keys().cloned().collect();
    project.set("sources", tables);
    project.set("assets.raw_posts.sources", names);
    project.save();
    for file in fixtures(page) {
        let name = file.file_name().unwrap().to_str().unwrap();
        project.write(&format!("in/{page}/{name}"), std::fs::read(&file).unwrap());
    }
    project.ok(&["materialize", "raw_posts", "silver_posts"]);
    project
}

/// Rows of bronze by id, with some of their columns.
fn bronze(project: &Project, columns: &str) -> Vec<Value> {
    project.query(&format!("SELECT native_id AS id, {columns} FROM raw_posts ORDER BY native_id"))
}

/// Records, good ones, and reasons of the others, over all windows.
fn account(project: &Project) -> Value {
    let list = project.json(&["quarantine", "list"]);
    let (mut records, mut good, mut duplicate) = (0, 0, 0);
    let mut reasons = serde_json::Map::new();
    for window in list.as_array().unwrap() {
        assert_eq!(window["adds_up"], true);
        records += window["records_in"].as_u64().unwrap();
        good += window["good"].as_u64().unwrap();
        duplicate += window["duplicate"].as_u64().unwrap();
        for (reason, count) in window["reasons"].as_object().unwrap() {
            assert!(reasons.insert(reason.clone(), count.clone()).is_none());
        }
    }
    json!({ "records": records, "good": good, "duplicate": duplicate, "reasons": reasons })
}

/// No name of the made-up people stands in any object of bronze.
fn nobody_is_named(project: &Project, names: &[&str]) {
    let raw = project.query("SELECT raw, author FROM raw_posts");
    let all = serde_json::to_string(&raw).unwrap();
    for name in names {
        assert!(!all.contains(name), "{name} in {all}");
    }
    assert!(raw.iter().all(|row| row["author"].is_null()));
}

#[test]
fn trustpilot() {
    let project = run("trustpilot");
    assert_eq!(
        account(&project),
        json!({ "records": 4, "good": 3, "duplicate": 0, "reasons": { "missing_created_at": 1 } })
    );
    assert_eq!(
        bronze(&project, "title, body, rating, channel, post_type"),
        [
            json!({ "id": "tp-0001", "title": "Refill came late, again", "body": "Two weeks late.\n\"Still processing\" is all they say.", "rating": 1.0, "channel": "pharmacy.example", "post_type": "review" }),
            json!({ "id": "tp-0002", "title": "Great prices", "body": "Half of what I paid before.", "rating": 5.0, "channel": "pharmacy.example", "post_type": "review" }),
            json!({ "id": "tp-0003", "title": null, "body": "Fine", "rating": 4.0, "channel": "pharmacy.example", "post_type": "review" }),
        ]
    );
    nobody_is_named(&project, &["Dana Example", "Kim Example", "Lee Example"]);
    assert_eq!(project.number("SELECT count(*) AS n FROM silver_posts"), 3);
}

#[test]
fn google_play() {
    let project = run("google_play");
    assert_eq!(
        account(&project),
        json!({ "records": 3, "good": 2, "duplicate": 0, "reasons": { "missing_id": 1 } })
    );
    let rows = bronze(&project, "title, body, rating, url, channel, CAST(created_at AS varchar) AS at");
    assert_eq!(rows[0]["id"], "https://play.example/console/reviews?reviewId=aaa");
    assert_eq!(rows[0]["url"], rows[0]["id"]);
    assert_eq!((&rows[0]["rating"], &rows[1]["title"]), (&json!(1.0), &Value::Null));
    assert!(rows[0]["at"].as_str().unwrap().starts_with("2026-08-01"), "{}", rows[0]);
    assert_eq!(project.number("SELECT count(*) AS n FROM silver_posts"), 2);
}

#[test]
fn tickets() {
    let project = run("tickets");
    assert_eq!(account(&project), json!({ "records": 3, "good": 3, "duplicate": 0, "reasons": {} }));
    assert_eq!(
        bronze(&project, "title, channel, post_type, source"),
        [
            json!({ "id": "35436", "title": "Wrong medication in the box", "channel": "email", "post_type": "ticket", "source": "tickets" }),
            json!({ "id": "35437", "title": "Where is my order", "channel": "web", "post_type": "ticket", "source": "tickets" }),
            json!({ "id": "40001", "title": "Coupon rejected", "channel": "chat", "post_type": "ticket", "source": "tickets_csv" }),
        ]
    );
    nobody_is_named(&project, &["Pat Example", "pat@mail.example", "Max Example"]);
    assert_eq!(project.number("SELECT count(*) AS n FROM silver_posts"), 3);
}

#[test]
fn survey() {
    let project = run("survey");
    assert_eq!(
        account(&project),
        json!({ "records": 4, "good": 2, "duplicate": 1, "reasons": { "mistyped:rating": 1 } })
    );
    assert_eq!(
        bronze(&project, "body, rating, channel"),
        [
            json!({ "id": "r-1", "body": "Took \"forever\" to arrive", "rating": 2.0, "channel": "after delivery" }),
            json!({ "id": "r-2", "body": null, "rating": 5.0, "channel": "after delivery" }),
        ]
    );
    // The brand here takes everything, an answer without words too.
    assert_eq!(project.number("SELECT count(*) AS n FROM silver_posts"), 2);
}

#[test]
fn hacker_news() {
    let project = run("hacker_news");
    assert_eq!(account(&project), json!({ "records": 3, "good": 3, "duplicate": 0, "reasons": {} }));
    assert_eq!(
        bronze(&project, "post_type, title, body, link_title, score, num_comments, url"),
        [
            json!({ "id": "90001", "post_type": "post", "title": "Show HN: A pharmacy price list", "body": null, "link_title": null, "score": 41, "num_comments": 7, "url": "https://prices.example/" }),
            json!({ "id": "90002", "post_type": "post", "title": "Ask HN: Mail-order refills?", "body": "Which ones are on time?", "link_title": null, "score": 3, "num_comments": 0, "url": null }),
            json!({ "id": "90010", "post_type": "comment", "title": null, "body": "Mine came late &amp; warm.", "link_title": "Ask HN: Mail-order refills?", "score": null, "num_comments": null, "url": null }),
        ]
    );
    // Silver takes the site's escapes away, once.
    let late = project.query("SELECT body FROM silver_posts WHERE native_id = '90010'");
    assert_eq!(late[0]["body"], "Mine came late & warm.");
}

/// The pages of sources of the network: their tables are understood as they stand, and their lists
/// of keys name what the table of the same type may hold.
#[test]
fn tables_of_the_network_are_understood() {
    for page in ["reddit", "reddit_archive", "feed", "app_store", "crawl"] {
        let mut project = Project::files("2026-08-01", "2026-08-05");
        let tables = tables(page);
        let names: Vec<String> = tables.keys().cloned().collect();
        for table in tables.values() {
            assert_eq!(table["type"].as_str(), Some(page), "{page}");
        }
        project.set("sources", tables.clone());
        project.set("assets.raw_posts.sources", names.clone());
        project.save();
        let valid = project.json(&["validate"]);
        assert_eq!((&valid["valid"], &valid["problems"]), (&json!(true), &json!([])), "{page}: {valid}");
        let listed = project.json(&["source", "list"]);
        assert_eq!(listed.as_array().map(Vec::len), Some(names.len()), "{page}");

        // Every key that the page explains exists: a wrong value of it is refused as such, and not
        // as a key that nobody knows.
        let text = shipped(&format!("docs/sources/{page}.md"));
        let explained = text.split("| key | means | if left out |").nth(1).unwrap();
        let rows = explained.lines().skip(2).take_while(|line| line.starts_with('|'));
        let keys = rows.filter_map(|row| row.split('|').nth(1)).flat_map(|cell| cell.split(','));
        let keys: Vec<&str> = keys.map(|key| key.trim().trim_matches('`')).collect();
        assert!(keys.len() > 3, "{page}: {keys:?}");
        for key in keys {
            let name = &names[0];
            let mut project = Project::files("2026-08-01", "2026-08-05");
            project.set("sources", tables.clone());
            project.set("assets.raw_posts.sources", names.clone());
            project.set(&format!("sources.{name}.{key}"), toml::Value::Float(-1.5));
            project.save();
            let told = project.run(&["validate"]).expect(2).stderr;
            let refused = told.contains(&format!("sources.{name}.{key}"));
            assert!(refused && !told.contains("unknown"), "{page}: {key}: {told}");
        }
    }
}

#[test]
fn every_page_is_listed_and_run() {
    let index = shipped("docs/sources/README.md");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sources");
    let own = include_str!("source_pages.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(page) = name.strip_suffix(".md").filter(|page| *page != "README") else { continue };
        assert!(index.contains(&format!("({name})")), "{name} is not in README.md");
        let has_map = shipped(&format!("docs/sources/{name}")).contains("format   ")
            || shipped(&format!("docs/sources/{name}")).contains("format    ");
        if has_map {
            assert!(own.contains(&format!("run(\"{page}\")")), "{name} is not run");
        }
    }
}
