//! What is declared pure names no file, clock, thread, database or engine.

use std::path::{Path, PathBuf};

const FORBIDDEN: [&str; 9] = [
    "tokio",
    "rusqlite",
    "reqwest",
    "datafusion",
    "std::fs",
    "std::env",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
];

/// The code without its comments; strings stay.
fn code(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    let (mut in_string, mut depth) = (false, 0u32);
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match (c, next) {
            ('/', Some('*')) if !in_string => {
                chars.next();
                depth += 1;
            }
            ('*', Some('/')) if depth > 0 => {
                chars.next();
                depth -= 1;
            }
            _ if depth > 0 => {}
            ('/', Some('/')) if !in_string => {
                for c in chars.by_ref() {
                    if c == '\n' {
                        out.push('\n');
                        break;
                    }
                }
            }
            ('\\', Some(_)) if in_string => {
                out.push(c);
                out.extend(chars.next());
            }
            ('\'', Some('"')) => {
                // The character '"'.
                out.push(c);
                out.extend(chars.next());
            }
            ('"', _) => {
                in_string = !in_string;
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

fn sources() -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<PathBuf> =
        ["event.rs", "run_view.rs", "exec/schedule.rs"].iter().map(|f| src.join(f)).collect();
    for entry in walkdir::WalkDir::new(src.join("graph")) {
        let path = entry.unwrap().into_path();
        if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn the_pure_rooms_name_nothing_impure() {
    let files = sources();
    assert!(files.len() > 10, "{files:?}");
    let mut found = Vec::new();
    for path in files {
        let text = code(&std::fs::read_to_string(&path).unwrap());
        // Imports in braces are the same names: `use std::{env, fs}`.
        let flat = text.split_whitespace().collect::<String>();
        for word in FORBIDDEN {
            if text.contains(word) {
                found.push(format!("{}: {word}", path.display()));
            }
        }
        for part in flat.split("usestd::{").skip(1) {
            let list = part.split('}').next().unwrap_or_default();
            if list.split(',').any(|w| matches!(w.split("::").next(), Some("fs" | "env"))) {
                found.push(format!("{}: std::{{{list}}}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn comments_are_no_code() {
    assert_eq!(code("a // tokio\nb /* std::fs /* x */ y */ c \"// tokio\""), "a \nb  c \"// tokio\"");
    assert!(code("let a = '\"'; // tokio\nuse tokio;").contains("use tokio"));
    assert!(!code("let a = '\"'; // tokio\n").contains("tokio"));
}
