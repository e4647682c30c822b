//! The lake says what exists; the database only remembers.

use crate::project::{Project, posts, same_files};

fn made() -> Project {
    let project = Project::files("2026-08-01", "2026-08-04").without(&["issue_trend_daily"]);
    project.write("in/a.ndjson", format!("{}broken\n", posts("a", 1..=4, 8)));
    project.all();
    project
}

fn delete_database(project: &Project) {
    let mut deleted = 0;
    for entry in std::fs::read_dir(project.path("state")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.file_name().unwrap().to_string_lossy().starts_with("rxpulse.db") {
            std::fs::remove_file(path).unwrap();
            deleted += 1;
        }
    }
    assert!(deleted > 0);
}

#[test]
fn without_the_database_nothing_is_made_again() {
    let project = made();
    let before = (project.current(), project.manifests());
    let account = project.json(&["quarantine", "list"]);
    delete_database(&project);
    project.settled();
    assert_eq!(project.all()["steps"], 0);
    assert!((project.current(), project.manifests()) == before);
    assert_eq!(project.json(&["quarantine", "list"]), account);
    assert_eq!(project.number("SELECT count(*) AS n FROM silver_posts"), 32);

    delete_database(&project);
    project.ok(&["state", "rebuild"]);
    assert_eq!(project.all()["steps"], 0);
    assert!((project.current(), project.manifests()) == before);

    // The database of another time is no guide either: a day published since is adopted.
    let database = project.path("state/rxpulse.db");
    project.json(&["status"]);
    let old = std::fs::read(&database).unwrap();
    project.write_at("in/b.ndjson", posts("b", [3], 2), 60);
    project.all();
    let newer = project.current();
    delete_database(&project);
    std::fs::write(&database, old).unwrap();
    assert_eq!(project.all()["steps"], 0);
    assert!(project.current() == newer);
    project.settled();
}

#[test]
fn without_the_lake_everything_is_made_again() {
    let project = made();
    let before = project.current();
    let first = project.steps("succeeded");
    std::fs::remove_dir_all(project.lake()).unwrap();
    assert_eq!(project.made(), first);
    same_files(&project.current(), &before, "a new lake");
    project.settled();
}

#[test]
fn a_lake_moved_to_another_project_is_fresh_there() {
    let project = made();
    let other = Project::files("2026-08-01", "2026-08-04").without(&["issue_trend_daily"]);
    other.write("in/a.ndjson", format!("{}broken\n", posts("a", 1..=4, 8)));
    std::fs::create_dir_all(other.path("state")).unwrap();
    std::fs::rename(project.lake(), other.lake()).unwrap();
    assert_eq!(other.all()["steps"], 0);
    assert_eq!(other.number("SELECT count(*) AS n FROM silver_posts"), 32);
}

#[test]
fn another_time_zone_is_refused_with_advice() {
    let mut project = made();
    let before = (project.current(), project.manifests());
    project.set("project.timezone", "America/New_York");
    project.save();
    for command in [vec!["materialize", "--all"], vec!["plan", "--all"], vec!["status"]] {
        let done = project.run(&command);
        assert!(matches!(done.code(), Some(1 | 2)), "{command:?}: {} {}", done.status, done.stdout);
        let said = &done.stderr;
        assert!(said.contains("UTC") && said.contains("America/New_York"), "{command:?}: {said}");
    }
    assert!((project.current(), project.manifests()) == before);
    project.set("project.timezone", "UTC");
    project.save();
    project.settled();
}

#[test]
fn collection_takes_what_was_replaced_and_nothing_else() {
    let mut project = made();
    let first = project.current();
    project.replace("assets/fact_issue_daily.sql", "count(*) AS mentions", "count(*) + 1 AS mentions");
    project.all();
    let now = project.current();
    let replaced: Vec<&String> = first.keys().filter(|name| !now.contains_key(*name)).collect();
    assert_eq!(replaced.len(), 4, "{replaced:?}");
    // Within the retention nothing goes: somebody may still read the old version.
    project.ok(&["gc"]);
    assert!(replaced.iter().all(|name| project_file(&project, name)));
    project.set("lake.version_retention", "1s");
    project.save();
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    // Files just written are not touched at all; these are made to look old.
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 86_400);
    for name in first.keys().chain(now.keys()) {
        let file = std::fs::File::options().write(true).open(project.lake().join(name)).unwrap();
        file.set_modified(old).unwrap();
    }
    project.ok(&["gc", "--dry-run"]);
    assert!(replaced.iter().all(|name| project_file(&project, name)));
    project.ok(&["gc"]);
    assert!(!replaced.iter().any(|name| project_file(&project, name)), "{replaced:?}");
    assert!(project.current() == now);
    project.settled();
}

fn project_file(project: &Project, name: &str) -> bool {
    project.lake().join(name).is_file()
}

#[test]
fn a_replay_of_what_is_set_aside_changes_nothing_by_itself() {
    let project = made();
    let account = |project: &Project| {
        let mut list = project.json(&["quarantine", "list"]);
        list[0].as_object_mut().unwrap().remove("at");
        list
    };
    let before = (project.current(), account(&project));
    assert_eq!(before.1[0]["quarantined"], 1);
    let said = project.ok(&["quarantine", "replay"]).stdout;
    assert!(said.contains("1 window") && said.contains("1 still"), "{said}");
    assert!((project.current(), account(&project)) == before);
    project.settled();
}
