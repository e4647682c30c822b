//! Code versions: what changes them, and what must not.

use std::collections::BTreeSet;

use super::fakes::{good, source, texts};
use crate::config::*;

const BASE: &str = include_str!("base.toml");

/// The assets whose code differs between two configurations.
fn changed(before: &Config, after: &Config) -> Vec<String> {
    let codes = |c: &Config| -> BTreeSet<(String, String)> {
        c.graph.iter().map(|(_, a)| (a.key.to_string(), a.code.to_string())).collect()
    };
    let mut names: Vec<_> =
        codes(before).symmetric_difference(&codes(after)).map(|(k, _)| k.clone()).collect();
    names.dedup();
    names
}

fn after(edit: impl Fn(&mut Texts)) -> Vec<String> {
    let before = texts(BASE);
    let mut edited = before.clone();
    edit(&mut edited);
    changed(&good(&before, None), &good(&edited, None))
}

fn replace(from: &'static str, to: &'static str) -> Vec<String> {
    assert!(BASE.contains(from), "{from}");
    after(|t| t.pipelines.text = t.pipelines.text.replace(from, to))
}

fn body(name: &'static str, text: &'static str) -> Vec<String> {
    after(|t| {
        t.bodies.insert(name.into(), source(&format!("assets/{name}"), text));
    })
}

#[test]
fn what_only_people_read_changes_nothing() {
    let none: [&str; 0] = [];
    let gold = "layer = \"gold\"\nkind = \"sql\"";
    for (from, to) in [
        (
            gold,
            "layer = \"gold\"\nkind = \"sql\"\ndescription = \"New words\"\ntags = [\"t\"]\nowners = [\"o\"]",
        ),
        (gold, "layer = \"silver\"\nkind = \"sql\"\nretries = 9\ntimeout = \"1h\"\npool = \"ai\""),
        (
            gold,
            "layer = \"gold\"\nkind = \"sql\"\ncolumns = { a = \"x\" }\nchecks = [{ type = \"row_count\", min = 1 }]",
        ),
        ("name = \"base\"", "name = \"renamed\""),
        ("end = \"2026-10-29\"", "end = \"2026-10-30\""),
        ("[run]", "[lake]\nroot = \"elsewhere\"\n[run]\nthreads = 2\nmemory_limit = \"64MB\""),
        ("[\"raw_posts\", \"labels\"]", "[\"labels\", \"raw_posts\"]"),
        ("[\"raw_posts\", \"labels\"]", "{ labels = \"same\", raw_posts = { days_before = 0 } }"),
        (
            "match_any = [\"amazon pharmacy\"]",
            "match_any = [\"amazon pharmacy\"]\nname = \"A\"\ncompetitor = true",
        ),
        ("type = \"sample\"", "type = \"sample\"\nrequired = true"),
    ] {
        assert_eq!(replace(from, to), none, "{to}");
    }
    assert_eq!(body("fact.sql", "-- counts\nselect   dt,\n\tbrand from Silver_Posts"), none);
}

#[test]
fn what_shapes_rows_changes_its_own_asset_only() {
    for (from, to, expected) in [
        ("key = [\"brand\"]", "key = [\"brand\", \"channel\"]", "fact"),
        (
            "deps = [\"silver_posts\"]\nkey = [\"brand\"]",
            "deps = { silver_posts = { days_before = 1 } }\nkey = [\"brand\"]",
            "fact",
        ),
        (
            "where = { issue_type = \"GENERAL_FEEDBACK\" }",
            "where = { issue_type = \"DELIVERY_DELAY\" }",
            "feedback",
        ),
        ("[run]", "[privacy]\nauthor = \"keep\"\n[run]", "raw_posts"),
        ("match_any = [\"amazon pharmacy\"]", "match_any = [\"amazon rx\"]", "silver_posts"),
    ] {
        assert_eq!(replace(from, to), [expected], "{to}");
    }
    assert_eq!(body("fact.sql", "SELECT dt, brand, 1 FROM silver_posts"), ["fact"]);
    let key_order = |keys: &str| good(&texts(&BASE.replace("[\"brand\"]", keys)), None);
    assert_eq!(changed(&key_order("[\"a\", \"b\"]"), &key_order("[\"b\", \"a\"]")), ["fact"]);
}

#[test]
fn a_taxonomy_change_reaches_those_that_use_it() {
    let new =
        "[[issue]]\nid = \"GENERAL_FEEDBACK\"\n[[issue]]\nid = \"DELIVERY_DELAY\"\ninclude = [\"late\"]\n";
    let none: [&str; 0] = [];
    assert_eq!(body("issue_taxonomy.toml", new), none, "nothing in the base calls it");
    let classify = "SELECT dt, rx_issue_type(text) FROM silver_posts";
    let before = {
        let mut t = texts(BASE);
        t.bodies.insert("fact.sql".into(), source("assets/fact.sql", classify));
        t
    };
    let mut edited = before.clone();
    edited.bodies.insert("issue_taxonomy.toml".into(), source("assets/issue_taxonomy.toml", new));
    assert_eq!(changed(&good(&before, None), &good(&edited, None)), ["fact"]);
}

#[test]
fn required_sources_are_part_of_coverage() {
    let text = BASE.replace(
        "deps = [\"silver_posts\"]\nkey = [\"brand\"]",
        "deps = [\"silver_posts\", \"source_coverage\"]\nkey = [\"brand\"]",
    );
    let required = text.replace("type = \"sample\"", "type = \"sample\"\nrequired = true");
    assert_eq!(changed(&good(&texts(&text), None), &good(&texts(&required), None)), ["source_coverage"]);
}

#[test]
fn the_embedded_provider_is_code_whatever_relabel_says() {
    let none: [&str; 0] = [];
    assert_eq!(body("feedback.prompt.md", "Label these."), none, "a prompt means nothing to it");
    let relabel = "key = [\"post_id\"]\nrelabel = \"all\"";
    assert_eq!(replace("key = [\"post_id\"]", relabel), none);
}

#[test]
fn shipped_versions_are_pinned() {
    // A change here rebuilds every user's tables: make it on purpose.
    let config = good(&texts(BASE), None);
    let shown: Vec<_> = config
        .graph
        .indices()
        .map(|i| {
            let parts: Vec<_> = config.asset(i).code.iter().map(|(n, v)| format!("{n}={v}")).collect();
            format!("{} {}: {}", config.graph.key(i), config.graph.asset(i).code.short(), parts.join("; "))
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn differences_have_names() {
    let before = good(&texts(BASE), None);
    let after = good(&texts(&BASE.replace("amazon pharmacy", "amazon rx")), None);
    let silver = |c: &Config| c.asset(c.graph.find("silver_posts").unwrap()).code.clone();
    assert_eq!(silver(&after).differing(&silver(&before)), ["rx_brand"]);
}
