//! `rxpulse brand test` and `rxpulse taxonomy test`: how the words of a text are understood.

use crate::classify;
use crate::output::terminal::{self, bold, dim, green, yellow};
use crate::output::{sanitize, text};

use super::args::{Brand, Global, Taxonomy};
use super::common::{self, Exit};

/// Runs `rxpulse brand`.
pub fn brand(global: &Global, args: &Brand) -> Exit {
    let Brand::Test { text: given, platform, channel, excluded } = args;
    if let Some(n) = excluded {
        return self::excluded(global, *n);
    }
    let json = common::is_json(global.format)?;
    let project = common::open(global)?;
    let given = given.as_deref().unwrap_or_default();
    let normed = classify::norm(given).into_owned();
    let found = project.brands.explain(&normed, platform, channel);
    if json {
        let list: Vec<_> = found
            .iter()
            .map(|m| serde_json::json!({ "brand": m.brand, "rule": m.rule, "text": m.span.clone().and_then(|s| normed.get(s).map(str::to_string)) }))
            .collect();
        common::print_json(global.format, &serde_json::json!({ "normalized": normed, "matches": list }))?;
        return Ok(u8::from(found.is_empty()));
    }
    let mut out = format!("{} {}\n", dim("normalized:"), sanitize::line(&normed));
    if found.is_empty() {
        out.push_str(&yellow("no brand matches: silver counts it as off_brand and leaves it out\n"));
    }
    for (i, m) in found.iter().enumerate() {
        let word = if i == 0 { green(&m.brand) } else { m.brand.clone() };
        let span = m
            .span
            .clone()
            .and_then(|s| normed.get(s))
            .map(|t| format!(" at “{}”", sanitize::line(t)))
            .unwrap_or_default();
        out.push_str(&format!("{word}: {}{span}\n", sanitize::line(&m.rule)));
    }
    terminal::out(&out);
    Ok(u8::from(found.is_empty()))
}

/// A sample of captured posts that match no brand: spread over the days, the same each time.
fn excluded(global: &Global, n: usize) -> Exit {
    let json = common::is_json(global.format)?;
    let project = common::open(global)?;
    let posts = crate::cli::query::excluded_posts(&project, n)?;
    if json {
        let list: Vec<_> = posts
            .iter()
            .map(|p| {
                serde_json::json!({
                    "dt": p.day, "post_id": p.post_id, "channel": p.channel, "text": p.text, "reason": p.reason,
                })
            })
            .collect();
        common::print_json(global.format, &serde_json::Value::Array(list))?;
        return Ok(0);
    }
    if posts.is_empty() {
        terminal::out("No captured post is off brand (or nothing is captured yet).\n");
        return Ok(0);
    }
    let rows = posts
        .into_iter()
        .map(|p| {
            vec![
                p.day,
                sanitize::short(&p.post_id, 24),
                sanitize::short(&p.channel, 20),
                sanitize::short(&p.reason, 16),
                sanitize::short(&p.text, 90),
            ]
        })
        .collect();
    terminal::out(&text::table(&["day", "post", "channel", "reason", "text"], rows, &[], None));
    Ok(0)
}

/// A rule for people: dozens of exceptions are counted, not listed.
fn spoken(rule: &str) -> String {
    const SHOWN: usize = 3;
    let mut parts = rule.split(" not ");
    let head = parts.next().unwrap_or(rule);
    match parts.count() {
        0..=SHOWN => format!("“{}”", sanitize::line(rule)),
        n => format!("“{}” {}", sanitize::line(head), dim(&format!("(with {n} exceptions)"))),
    }
}

/// Runs `rxpulse taxonomy`.
pub fn taxonomy(global: &Global, args: &Taxonomy) -> Exit {
    let Taxonomy::Test { text: given } = args;
    let json = common::is_json(global.format)?;
    let project = common::open(global)?;
    let found = project.taxonomy.explain(given);
    // The first that no exclude phrase took away wins.
    let winner = found.iter().find(|c| c.excluded_by.is_none()).map(|c| c.issue.clone()).unwrap_or_default();
    if json {
        let list: Vec<_> = found
            .iter()
            .map(|c| serde_json::json!({ "issue_type": c.issue, "rule": c.rule, "text": c.matched.as_ref().map(|m| m.text.as_str()), "phrases": c.phrases, "early": c.early, "excluded_by": c.excluded_by, "wins": c.issue == winner }))
            .collect();
        common::print_json(global.format, &serde_json::Value::Array(list))?;
        return Ok(0);
    }
    let mut out = format!("{} {}\n", dim("normalized:"), sanitize::line(&classify::norm(given)));
    for c in &found {
        let name = match (c.issue == winner && c.excluded_by.is_none(), &c.excluded_by) {
            (true, _) => bold(&green(&c.issue)),
            (false, Some(_)) => dim(&c.issue),
            (false, None) => c.issue.clone(),
        };
        let rule = c
            .rule
            .as_deref()
            .map(|r| format!(" by {}", spoken(r)))
            .unwrap_or_else(|| " because nothing else matches".into());
        let at = c.matched.as_ref().map(|m| format!(" at “{}”", sanitize::line(&m.text))).unwrap_or_default();
        let evidence = match (c.phrases, c.early) {
            (0, _) => String::new(),
            (n, early) => {
                let early = if early { ", near the beginning" } else { "" };
                dim(&format!(" ({}{early})", text::plural(n as u64, "phrase")))
            }
        };
        let not = c
            .excluded_by
            .as_deref()
            .map(|e| yellow(&format!(" — taken away by “{}”", sanitize::line(e))))
            .unwrap_or_default();
        out.push_str(&format!("{name}{rule}{at}{evidence}{not}\n"));
    }
    terminal::out(&out);
    Ok(0)
}
