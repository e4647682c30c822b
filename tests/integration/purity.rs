//! What is declared pure names no file, clock, thread, database or engine; what shows knows
//! neither commands nor their execution.

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

/// The Rust files of these files and folders below `src/`.
fn sources(of: &[&str]) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for place in of {
        let before = files.len();
        for entry in walkdir::WalkDir::new(src.join(place)) {
            let path = entry.unwrap().into_path();
            if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
        assert!(files.len() > before, "there is nothing at src/{place}");
    }
    files
}

/// The words that `use …{a, b::c}` and `…a` name right below a path, for code without white space.
fn named_below(flat: &str, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in flat.split(&format!("{path}::")).skip(1) {
        let word =
            |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_string);
        match part.strip_prefix('{') {
            None => found.extend(word(part)),
            Some(list) => {
                // The words at the list's own level, not those of lists inside it.
                let mut depth = 0;
                let mut begins = true;
                for (at, c) in list.char_indices() {
                    if depth == 0 && begins {
                        found.extend(word(&list[at..]));
                    }
                    begins = c == ',';
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

#[test]
fn the_pure_rooms_name_nothing_impure() {
    let files = sources(&["event.rs", "run_view", "exec/schedule.rs", "graph"]);
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
        for word in named_below(&flat, "std").iter().filter(|w| matches!(w.as_str(), "fs" | "env")) {
            found.push(format!("{}: std::{word}", path.display()));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn what_shows_knows_neither_commands_nor_their_execution() {
    let mut found = Vec::new();
    for path in sources(&["tui", "output"]) {
        let text = code(&std::fs::read_to_string(&path).unwrap());
        let flat = text.split_whitespace().collect::<String>();
        for word in named_below(&flat, "crate").iter().filter(|w| matches!(w.as_str(), "exec" | "cli")) {
            found.push(format!("{}: crate::{word}", path.display()));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn names_are_found_in_braces_and_without() {
    let flat = "usecrate::{graph::{Day,exec},cli::main,event};crate::exec::now_ms();usestd::{env,fs::File};";
    assert_eq!(named_below(flat, "crate"), ["graph", "cli", "event", "exec"]);
    assert_eq!(named_below(flat, "std"), ["env", "fs"]);
}

#[test]
fn comments_are_no_code() {
    assert_eq!(code("a // tokio\nb /* std::fs /* x */ y */ c \"// tokio\""), "a \nb  c \"// tokio\"");
    assert!(code("let a = '\"'; // tokio\nuse tokio;").contains("use tokio"));
    assert!(!code("let a = '\"'; // tokio\n").contains("tokio"));
}
