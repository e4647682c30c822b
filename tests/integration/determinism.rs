//! Identical inputs give byte-identical files, however they were computed.

use crate::project::{Files, Project, posts, same_files};

/// Two files a source, with duplicates and edits between them.
fn write_input(project: &Project) {
    project.write("in/a.ndjson", posts("a", 1..=6, 12));
    project.write_at("in/b.ndjson", format!("{}{}", posts("b", 1..=6, 5), posts("a", 2..=4, 3)), 60);
}

fn made_with(settings: &[(&str, toml::Value)]) -> Files {
    let mut project = Project::files("2026-08-01", "2026-08-06").without(&["issue_trend_daily"]);
    for (name, value) in settings {
        project.set(name, value.clone());
    }
    project.save();
    write_input(&project);
    project.all();
    project.current()
}

#[test]
fn threads_batches_and_groups_do_not_show() {
    let whole = made_with(&[]);
    let variants: [&[(&str, toml::Value)]; 5] = [
        &[("run.threads", 1.into()), ("run.concurrency", 1.into())],
        &[("run.threads", 2.into()), ("run.concurrency", 2.into()), ("run.batch_size", 7.into())],
        &[("run.threads", 8.into()), ("run.concurrency", 8.into()), ("run.batch_size", 100_000.into())],
        &[("run.threads", 8.into()), ("run.group_bytes", "2KB".into()), ("run.batch_size", 1.into())],
        &[("run.memory_limit", "16MB".into()), ("run.group_bytes", "1GB".into())],
    ];
    for settings in variants {
        same_files(&made_with(settings), &whole, &format!("{settings:?}"));
    }
}

#[test]
fn the_order_of_files_and_lines_does_not_show_in_tables() {
    let tables = |files: Files| -> Files {
        files.into_iter().filter(|(name, _)| !name.starts_with("raw_posts/")).collect()
    };
    let whole = tables(made_with(&[]));
    // The same records: lines backwards, cut into three files, two of them compressed.
    let project = Project::files("2026-08-01", "2026-08-06").without(&["issue_trend_daily"]);
    let all = format!("{}{}{}", posts("a", 1..=6, 12), posts("b", 1..=6, 5), posts("a", 2..=4, 3));
    let mut lines: Vec<&str> = all.lines().collect();
    lines.reverse();
    let parts: Vec<String> = lines.chunks(lines.len().div_ceil(3)).map(|c| c.join("\n") + "\n").collect();
    project.write("in/z.ndjson", &parts[0]);
    project.write("in/y.ndjson.zst", zstd::encode_all(parts[1].as_bytes(), 3).unwrap());
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gz, parts[2].as_bytes()).unwrap();
    project.write("in/x.ndjson.gz", gz.finish().unwrap());
    project.all();
    let shuffled = Project::files("2026-08-01", "2026-08-06").without(&["issue_trend_daily"]);
    shuffled.write("in/1.ndjson", &all);
    shuffled.all();
    same_files(&tables(project.current()), &tables(shuffled.current()), "lines backwards in three files");
    // With equal times of capture the two files of the reference say the same as one.
    let names = |files: &Files| -> Vec<String> {
        files.keys().filter(|n| n.starts_with("fact_issue_daily/")).cloned().collect()
    };
    assert_eq!(names(&whole), names(&tables(shuffled.current())));
}

#[test]
fn one_day_at_a_time_is_all_days_at_once() {
    let days = |group: &str| {
        let mut project = Project::sample("2026-08-01", "2026-08-06", 25);
        project.set("run.group_bytes", group);
        project.save();
        project.all();
        project.current()
    };
    let (one, all) = (days("1B"), days("1GB"));
    for asset in crate::project::DAILY.iter().filter(|a| **a != "labels") {
        assert!(all.keys().any(|n| n.starts_with(&format!("{asset}/"))), "{asset} has no file");
    }
    same_files(&one, &all, "one day at a time");
}
