//! The list of themes is a file of people: commands change it as they would, and tables follow.

use serde_json::{Value, json};

use crate::project::{Project, post, text};

/// Two days of general feedback: three posts about packaging, one about convenience.
fn project() -> Project {
    let project = Project::files("2026-08-01", "2026-08-02");
    let posts = [
        post("a1", 1, 1, "the bottle has another color now"),
        post("a2", 2, 2, "the bottle is nice"),
        post("a3", 2, 3, "the pouch is nice"),
        post("a4", 2, 4, "so convenient"),
    ];
    project.write("in/a.ndjson", posts.join("\n") + "\n");
    project.all();
    assert_eq!(project.number("SELECT count(*) FROM general_feedback_ai"), 4, "all are general feedback");
    project
}

fn theme<'a>(list: &'a Value, id: &str) -> &'a Value {
    let found = list["themes"].as_array().unwrap().iter().find(|t| t["id"] == id);
    found.unwrap_or(&Value::Null)
}

/// Themes of the table, by post.
fn themes(project: &Project) -> Vec<(String, String, String)> {
    let sql = "SELECT post_id, theme_id, theme FROM general_feedback_ai ORDER BY post_id";
    let rows = project.query(sql);
    rows.iter().map(|r| (text(&r["post_id"]), text(&r["theme_id"]), text(&r["theme"]))).collect()
}

#[test]
fn the_list_shows_where_posts_are() {
    let project = project();
    let list = project.json(&["themes", "list"]);
    assert_eq!((&list["posts"], &list["unlabelled"], &list["behind"]), (&json!(4), &json!(0), &json!(0)));
    let packaging = theme(&list, "packaging");
    assert_eq!(packaging["mentions"], 3);
    assert_eq!((&packaging["first"], &packaging["last"]), (&json!("2026-08-01"), &json!("2026-08-02")));
    assert_eq!(packaging["examples"], json!(["reddit:t3_a2", "reddit:t3_a3", "reddit:t3_a1"]));
    assert_eq!(theme(&list, "trust_and_privacy")["mentions"], 0, "themes without a post are shown");
    assert_eq!(
        list["themes"].as_array().unwrap().last().unwrap()["id"],
        "general_experience",
        "in their order"
    );
    let one = project.json(&["themes", "list", "--partition", "2026-08-01"]);
    assert_eq!((&one["posts"], &theme(&one, "packaging")["mentions"]), (&json!(1), &json!(1)));
    let new = project.json(&["themes", "list", "--new"]);
    assert_eq!((&new["themes"], &new["new"]), (&json!([]), &json!([])));
    let human = project.ok(&["themes", "list"]).stdout;
    assert!(human.contains("Packaging") && human.contains("No new phrase"), "{human}");
}

#[test]
fn a_change_is_shown_before_it_is_written() {
    let project = project();
    let before = project.read("assets/themes.toml");
    let rename = ["themes", "rename", "packaging", "Boxes"];
    let shown = project.ok(&[&rename[..], &["--dry-run"]].concat()).stdout;
    assert!(shown.contains("- title = \"Packaging\"\n+ title = \"Boxes\"\n"), "{shown}");
    // Nobody can be asked here.
    let refused = project.run(&rename).expect(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(project.read("assets/themes.toml"), before);

    let told = project.json(&[&rename[..], &["--yes"]].concat());
    assert_eq!((&told["written"], &told["dry_run"]), (&json!(true), &json!(false)));
    assert_eq!(told["tables"], json!(["general_feedback_ai+", "post_signals+"]));
    assert_eq!(
        project.read("assets/themes.toml"),
        before.replace("title = \"Packaging\"", "title = \"Boxes\"")
    );
    let list = project.json(&["themes", "list"]);
    assert_eq!((&theme(&list, "packaging")["title"], &list["behind"]), (&json!("Boxes"), &json!(3)));
    project.all();
    assert_eq!(themes(&project)[0].2, "Boxes");
    assert_eq!(project.json(&["themes", "list"])["behind"], 0);
    // The same again is no news, and no temporary file stays.
    let again = project.json(&[&rename[..], &["--yes"]].concat());
    assert_eq!((&again["written"], &again["files"]), (&json!(false), &json!([])));
    let names = std::fs::read_dir(project.path("assets")).unwrap();
    assert!(names.map(|e| e.unwrap().file_name()).all(|n| !n.to_string_lossy().starts_with('.')));
}

#[test]
fn merged_themes_and_promoted_phrases_count_where_they_belong() {
    let project = project();
    let wrong = |args: &[&str]| project.run(&[&["themes"], args].concat()).expect(2).stderr;
    for (args, hint) in [
        (&["merge", "packagin", "convenience", "--yes"][..], "did you mean `packaging`?"),
        (&["merge", "packaging", "packaging", "--yes"], "to itself"),
        (&["merge", "general_experience", "packaging", "--yes"], "the last theme"),
        (&["promote", "torn bags", "Torn Bags", "--yes"], "is not a id"),
        (&["promote", "torn bags", "new", "--yes"], "choose another id"),
        (&["promote", "Packaging", "convenience", "--yes"], "stands for the theme `packaging`"),
        (&["promote", "torn bags", "packaging", "--title", "Bags", "--yes"], "is a theme already"),
        (&["rename", "packaging", " ", "--yes"], "the title is empty"),
    ] {
        let told = wrong(args);
        assert!(told.contains(hint), "{args:?}: {told}");
    }

    // A person chose the theme before it was merged.
    project.ok(&["label", "reddit:t3_a4", "--theme", "packaging", "--by", "ann"]);
    project.ok(&["themes", "merge", "packaging", "convenience", "--yes"]);
    let file = project.read("assets/themes.toml");
    assert!(file.contains("aliases = [\"packaging\"]") && !file.contains("id = \"packaging\""), "{file}");
    assert!(file.starts_with("# What posts are about, for product teams."), "comments stay");
    let actions = project.read("assets/actions.toml");
    assert!(
        actions.contains("themes = [\"convenience\"]") && !actions.contains("\"packaging\""),
        "{actions}"
    );
    project.all();
    let all = themes(&project);
    assert_eq!(all.len(), 4);
    for (post, id, title) in &all {
        assert_eq!((id.as_str(), title.as_str()), ("convenience", "Convenience"), "{post}");
    }
    assert!(wrong(&["merge", "packaging", "convenience"]).contains("is part of the theme `convenience`"));

    // A phrase becomes a theme, another one part of it.
    project.ok(&["themes", "promote", "torn bags", "bags", "--yes"]);
    project.ok(&["themes", "promote", "ripped \"bags\"", "bags", "--yes"]);
    let list = project.json(&["themes", "list"]);
    let bags = theme(&list, "bags");
    assert_eq!(bags["title"], "Torn bags");
    assert_eq!(bags["aliases"], json!(["torn bags", "ripped \"bags\""]));
    assert_eq!(list["themes"].as_array().unwrap().last().unwrap()["id"], "general_experience");
    project.ok(&["label", "reddit:t3_a4", "--theme", "bags", "--by", "ann"]);
    project.all();
    assert_eq!(themes(&project)[3].1, "bags");

    // Where there is no file, the built-in list is the one that is changed.
    std::fs::remove_file(project.path("assets/themes.toml")).unwrap();
    project.ok(&["themes", "rename", "packaging", "Boxes", "--yes"]);
    let made = project.read("assets/themes.toml");
    assert_eq!(made, crate::project::shipped("assets/themes.toml").replace("\"Packaging\"", "\"Boxes\""));
}
