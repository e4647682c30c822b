//! Stand-ins for the rooms behind [`Hooks`], and plain rendering of problems.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use crate::config::*;
use crate::diagnostic::{Problem, Severity, SourceText, TextProblem, did_you_mean};
use crate::graph::CodeVersion;

/// 2026-11-22 12:00 UTC.
pub const NOW_MS: i64 = 1_795_348_800_000;

pub fn source(name: &str, text: &str) -> SourceText {
    SourceText { name: name.into(), text: text.into() }
}

/// Texts with the bodies that `base.toml` needs.
pub fn texts(pipelines: &str) -> Texts {
    let bodies = [
        ("issue_taxonomy.toml", "[[issue]]\nid = \"GENERAL_FEEDBACK\"\n[[issue]]\nid = \"DELIVERY_DELAY\"\n"),
        ("silver_posts.sql", "SELECT dt, rx_brand(title) FROM raw_posts JOIN labels\n"),
        ("fact.sql", "SELECT dt, brand FROM silver_posts\n"),
    ];
    Texts {
        pipelines: source("pipelines.toml", pipelines),
        overlays: Vec::new(),
        bodies: bodies.into_iter().map(|(n, t)| (n.to_string(), source(&format!("assets/{n}"), t))).collect(),
    }
}

pub fn choices(profile: Option<&str>) -> Choices {
    Choices { profile: profile.map(str::to_string), now_ms: NOW_MS, cores: 2 }
}

pub fn run(texts: &Texts, profile: Option<&str>) -> Parsed {
    parse(
        texts,
        &choices(profile),
        &Hooks {
            sql: &sql,
            words: &words,
            adapter: &|s, _| {
                match s.kind {
                    SourceKind::Files(_) => "files/1",
                    SourceKind::Sample(_) => "sample/1",
                    _ => "network/1",
                }
                .to_string()
            },
            source: &|_| Vec::new(),
            tables: &|_, _| TableFacts { embedded: [7; 16], problems: Vec::new() },
            prompt: &|_| PromptFacts { version: [7; 16], problems: Vec::new() },
        },
    )
}

/// The configuration of texts without any problem.
pub fn good(texts: &Texts, profile: Option<&str>) -> Config {
    let parsed = run(texts, profile);
    assert!(parsed.problems.is_empty(), "{}", render(&parsed.problems));
    parsed.config.expect("a configuration without problems")
}

/// Words of a query with their places, comments left out.
fn tokens(text: &str) -> Vec<(String, Range<usize>)> {
    let mut out = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let code = line.split("--").next().unwrap_or("");
        let mut start = None;
        for (i, c) in code.char_indices().chain([(code.len(), ' ')]) {
            let word = c.is_alphanumeric() || c == '_';
            match (start, word) {
                (None, true) => start = Some(i),
                (Some(from), false) => {
                    out.push((code[from..i].to_lowercase(), at + from..at + i));
                    start = None;
                }
                _ => {}
            }
        }
        at += line.len();
    }
    out
}

fn sql(file: &SourceText, deps: &[&str]) -> SqlFacts {
    let tokens = tokens(&file.text);
    let mut problems = Vec::new();
    for pair in tokens.windows(2) {
        let table = pair[1].0.as_str();
        if ["from", "join"].contains(&pair[0].0.as_str()) && !deps.contains(&table) {
            let mut problem =
                TextProblem::error(format!("`{table}` is not a declared dependency"), pair[1].1.clone());
            if let Some(near) = did_you_mean(table, deps.iter().copied()) {
                problem = problem.help(format!("did you mean `{near}`?"));
            }
            problems.push(problem);
        }
    }
    SqlFacts {
        tokens: tokens.iter().map(|t| t.0.as_str()).collect::<Vec<_>>().join(" "),
        rx_names: tokens.iter().map(|t| t.0.clone()).filter(|t| t.starts_with("rx_")).collect(),
        problems,
    }
}

fn words(brands: &[BrandDef], taxonomy: &Arc<SourceText>) -> WordFacts {
    let phrases: Vec<_> = brands
        .iter()
        .map(|b| (&b.key, b.match_any.iter().map(|p| p.value.clone()).collect::<Vec<_>>()))
        .collect();
    let taxonomy_version = CodeVersion::of(taxonomy.text.as_bytes()).0;
    let ids = taxonomy.text.lines().filter_map(|l| l.strip_prefix("id = "));
    WordFacts {
        rx: BTreeMap::from([
            ("rx_brand".to_string(), CodeVersion::of(format!("{phrases:?}").as_bytes()).0),
            ("rx_issue_type".to_string(), taxonomy_version),
        ]),
        issue_types: taxonomy_version,
        issue_ids: ids.map(|id| id.trim_matches('"').to_string()).collect(),
        problems: Vec::new(),
    }
}

/// Problems as plain text: message, place, the line with its span, label, help.
pub fn render(problems: &[Problem]) -> String {
    let mut out = String::new();
    for problem in problems {
        let severity = match problem.text.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let _ = writeln!(out, "{severity}: {}", problem.text.message);
        match (&problem.file, problem.position(), &problem.text.span) {
            (Some(file), Some((line, column)), Some(span)) => {
                let _ = writeln!(out, "  --> {}:{line}:{column}", file.name);
                let shown = file.text.lines().nth(line - 1).unwrap_or("");
                let _ = writeln!(out, "   | {shown}");
                let marked = file.text.get(span.clone()).unwrap_or("").lines().next().unwrap_or("");
                let carets = "^".repeat(marked.chars().count().max(1));
                let label = problem.text.label.as_deref().unwrap_or("");
                let _ = writeln!(out, "   | {}{carets} {label}", " ".repeat(column - 1));
            }
            (Some(file), _, _) => {
                let _ = writeln!(out, "  --> {}", file.name);
            }
            _ => {}
        }
        if let Some(help) = &problem.text.help {
            let _ = writeln!(out, "  help: {help}");
        }
    }
    let lines: Vec<_> = out.lines().map(str::trim_end).collect();
    lines.join("\n")
}
