//! Broken configurations: each file under `broken/` is one, and its problems are a snapshot.
//!
//! A file is laid over `base.toml`, unless its first line is `#: whole`. Its first lines may
//! say more: `#: profile NAME`, `#: with FILE CONTENT` adds a body, `#: without FILE` takes
//! one away.

use std::path::Path;

use super::fakes::{render, run, source, texts};
use crate::diagnostic::Severity;

fn problems_of(name: &str, text: &str) -> String {
    let whole = text.lines().any(|l| l == "#: whole");
    let mut input = texts(if whole { text } else { include_str!("base.toml") });
    if !whole {
        input.overlays.push(source("pipelines.local.toml", text));
    }
    let mut profile = None;
    for line in text.lines().map_while(|l| l.strip_prefix("#: ")) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("profile", name) => profile = Some(name.to_string()),
            ("without", file) => assert!(input.bodies.remove(file).is_some(), "{name}: {file}"),
            ("with", rest) => {
                let (file, content) = rest.split_once(' ').unwrap_or((rest, ""));
                let content = content.replace("\\n", "\n");
                input.bodies.insert(file.to_string(), source(&format!("assets/{file}"), &content));
            }
            ("whole", _) => {}
            (other, _) => panic!("{name}: unknown directive {other}"),
        }
    }
    let parsed = run(&input, profile.as_deref());
    let errors = parsed.problems.iter().any(|p| p.text.severity == Severity::Error);
    assert_eq!(parsed.config.is_none(), errors, "{name}: a configuration exists iff nothing is refused");
    render(&parsed.problems)
}

#[test]
fn every_broken_file_tells_where_and_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/tests/broken");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    assert!(files.len() >= 35, "{} broken files", files.len());
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let shown = problems_of(&name, &text);
        assert!(!shown.is_empty(), "{name} has no problem");
        assert!(!shown.contains("hunter2"), "{name} shows a secret");
        insta::with_settings!({
            snapshot_path => "snapshots",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(name.as_str(), shown);
        });
    }
}
