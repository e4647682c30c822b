//! `rxpulse source`: where posts come from, what was reached, and a first page to look at.

use std::time::Duration;

use crate::config::{Config, SourceConfig};
use crate::envelope::format_millis;
use crate::exec::{DayTally, Gap, Reading, Standing, Trial, TrialError, TrialOf, now_ms, trial};
use crate::http::Call;
use crate::output::terminal::{self, bold, dim, green, red, yellow};
use crate::output::{sanitize, text};
use crate::project::Project;
use crate::source::Reach;

use super::args::{Global, Source};
use super::common::{self, CliError, Exit};

/// How long a person waits for a page.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the command.
pub fn run(global: &Global, args: &Source) -> Exit {
    let json = common::is_json(global.format)?;
    let project = common::open(global)?;
    match args {
        Source::List => list(global, json, &project),
        Source::Test { name, stream } => test(global, json, &project, name, stream.as_deref()),
    }
}

// ------------------------------------------------------------------------------------- list

/// The environment variables that a source names, and whether they are set.
pub fn variables(source: &SourceConfig) -> Vec<(&str, bool)> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    source.kind.variables().into_iter().map(|name| (name, set(name))).collect()
}

fn list(global: &Global, json: bool, project: &Project) -> Exit {
    let (lake, state) = (project.lake_if_any()?, project.state_if_any()?);
    let world = project.world(lake.as_ref(), state.as_ref(), false, false)?;
    let standings = world.standings(&project.config.graph);
    let pairs: Vec<(&SourceConfig, &Standing)> = project.config.sources.iter().zip(&standings).collect();
    if json {
        let values = pairs.iter().map(|(source, standing)| list_json(source, standing)).collect();
        common::print_json(global.format, &serde_json::Value::Array(values))?;
        return Ok(0);
    }
    if pairs.is_empty() {
        terminal::out("No source is declared; the README's \"Sources\" has some to copy.\n");
        return Ok(0);
    }
    let rows = pairs
        .iter()
        .map(|(source, standing)| {
            vec![
                source.name.clone(),
                source.kind.type_name().to_string(),
                standing.platforms.join(", "),
                used_by(source, standing),
                dash(standing.due),
                text::count(standing.days.complete),
                dash(standing.days.partial),
                dash(standing.days.blocked),
                dash(standing.days.failed),
                standing.last.as_ref().map(|r| text::moment(r.at_ms)).unwrap_or_default(),
                next_due(standing),
            ]
        })
        .collect();
    let header = [
        "source",
        "type",
        "platform",
        "used by",
        "due",
        "complete",
        "partial",
        "blocked",
        "failed",
        "last read (UTC)",
        "next (UTC)",
    ];
    let mut out = text::table(&header, rows, &[4, 5, 6, 7, 8], None);
    out.push('\n');
    for (source, standing) in &pairs {
        if let Some(last) = &standing.last {
            out.push_str(&format!("{}: {}\n", bold(&source.name), reading_line(last)));
        }
        for (name, set) in variables(source) {
            let word = if set { green("set") } else { red("not set") };
            out.push_str(&format!("{}: ${name} is {word}\n", bold(&source.name)));
        }
    }
    out.push_str(&dim("`rxpulse source test NAME` reads one page and writes nothing\n"));
    terminal::out(&out);
    Ok(0)
}

fn dash(n: u64) -> String {
    if n == 0 { dim("·") } else { text::count(n) }
}

fn used_by(source: &SourceConfig, standing: &Standing) -> String {
    let mut out = match (standing.assets.is_empty(), standing.steps_in_for.is_empty()) {
        (false, _) => standing.assets.join(", "),
        (true, false) => format!("steps in for {}", standing.steps_in_for.join(", ")),
        (true, true) => dim("nobody"),
    };
    if source.required {
        out.push_str(" (required)");
    }
    out
}

fn next_due(standing: &Standing) -> String {
    match standing.next_ms {
        _ if standing.due > 0 => "now".to_string(),
        Some(at) => text::moment(at),
        None => dim("·"),
    }
}

fn list_json(source: &SourceConfig, standing: &Standing) -> serde_json::Value {
    let env: Vec<_> =
        variables(source).iter().map(|(name, set)| serde_json::json!({ "name": name, "set": set })).collect();
    serde_json::json!({
        "source": source.name,
        "type": source.kind.type_name(),
        "platforms": standing.platforms,
        "required": source.required,
        "assets": standing.assets,
        "fallback": source.fallback,
        "fallback_of": standing.steps_in_for,
        "windows_due": standing.due,
        "days": standing.days,
        "last_reading": standing.last.as_ref().map(reading_json),
        "next_due": standing.next_ms.map(format_millis),
        "env": env,
    })
}

/// A reading as JSON.
pub fn reading_json(r: &Reading) -> serde_json::Value {
    serde_json::json!({
        "window": r.window,
        "status": r.status,
        "reason": r.reason,
        "at": format_millis(r.at_ms),
        "next": r.next_ms.map(format_millis),
        "oldest": r.oldest_ms.map(format_millis),
        "newest": r.newest_ms.map(format_millis),
        "pages": r.pages,
        "requests": r.requests,
    })
}

/// A reading as a line for people.
pub fn reading_line(r: &Reading) -> String {
    let mut out = format!(
        "{} read {} UTC: {}",
        sanitize::short(&r.window, 50),
        text::moment(r.at_ms),
        r.status.map_or("nothing known", Reach::as_str)
    );
    if let Some(why) = &r.reason {
        out.push_str(&format!(" ({})", sanitize::line(why)));
    }
    if let (Some(oldest), Some(newest)) = (r.oldest_ms, r.newest_ms) {
        out.push_str(&format!(", items from {} to {}", text::moment(oldest), text::moment(newest)));
    }
    if let (Some(pages), Some(requests)) = (r.pages, r.requests) {
        out.push_str(&format!(
            ", {} in {}",
            text::plural(u64::from(pages), "page"),
            text::plural(u64::from(requests), "request")
        ));
    }
    out
}

/// What `status` says of a source, as JSON.
pub fn coverage_json(standing: &Standing) -> serde_json::Value {
    serde_json::json!({
        "source": standing.source,
        "days": standing.days,
        "newest_gap": standing.newest_gap,
    })
}

/// What `status` says of the sources: nothing where none is of the network or required.
pub fn coverage_lines(config: &Config, standings: &[Standing]) -> String {
    let mut out = String::new();
    for (source, standing) in config.sources.iter().zip(standings) {
        let used = !standing.assets.is_empty() || !standing.steps_in_for.is_empty();
        if !used || !(source.kind.is_network() || source.required) {
            continue;
        }
        let DayTally { complete, partial, blocked, failed } = standing.days;
        let mut line = format!("{} complete", text::count(complete));
        for (n, word) in [(partial, yellow("partial")), (blocked, red("blocked")), (failed, red("failed"))] {
            if n > 0 {
                line.push_str(&format!(", {} {word}", text::count(n)));
            }
        }
        if let Some(Gap { day, reason: Some(reason), .. }) = &standing.newest_gap {
            line.push_str(&dim(&format!(" · {day}: {}", sanitize::line(reason))));
        }
        let required = if source.required { " (required)" } else { "" };
        out.push_str(&format!("days of {}{required}: {line}\n", bold(&source.name)));
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

// ------------------------------------------------------------------------------------- test

fn test(global: &Global, json: bool, project: &Project, name: &str, window: Option<&str>) -> Exit {
    let source = project.config.source(name).ok_or_else(|| {
        let names: Vec<&str> = project.config.sources.iter().map(|s| s.name.as_str()).collect();
        let hint = match crate::diagnostic::did_you_mean(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the sources are {}", names.join(", ")),
        };
        CliError::Usage(format!("there is no source `{name}`; {hint}"))
    })?;
    let found = attempt(project, source, window, PATIENCE)?;
    let advice = advice(source, &found);
    if json {
        common::print_json(global.format, &trial_json(source, &found, advice.as_deref()))?;
    } else {
        terminal::out(&trial_text(project, source, &found, advice.as_deref()));
    }
    Ok(u8::from(!found.is_good()))
}

/// Tries a source, for as long as `limit` at most. Writes nothing.
///
/// # Errors
/// Usage for a stream that there is not; what this machine refuses.
pub fn attempt(
    project: &Project,
    source: &SourceConfig,
    window: Option<&str>,
    limit: Duration,
) -> Result<Trial, CliError> {
    let of = TrialOf {
        config: &project.config,
        root: &project.root,
        brands: &project.brands,
        source,
        window,
        now_ms: now_ms(),
        limit,
    };
    trial(&of).map_err(|error| match error {
        TrialError::NoSuchWindow { .. } => CliError::Usage(error.to_string()),
        TrialError::Failed(_) => CliError::Failed(error.to_string()),
    })
}

/// What a person can do about a trial that had no page; nothing when all is well.
pub fn advice(source: &SourceConfig, found: &Trial) -> Option<String> {
    if found.is_good() {
        return None;
    }
    let reason = found.reason.as_deref().unwrap_or_default();
    let unset: Vec<String> =
        variables(source).into_iter().filter(|(_, set)| !set).map(|(name, _)| format!("${name}")).collect();
    let status = found.calls.iter().rev().find_map(|c| c.status);
    let words = if !unset.is_empty() {
        let names = unset.join(" and ");
        format!(
            "export {names}: Reddit gives them out for an app that it has approved; reddit_archive, feeds and files need none"
        )
    } else if reason.contains("credentials refused") {
        "check the app's id and secret; Reddit gives them out for an app that it has approved".to_string()
    } else if reason.contains("robots.txt") {
        "the site lets no program read this address: ask its owner for another way, or leave the source out"
            .to_string()
    } else if reason.contains("address") {
        "a host of your own network is named in `allow_hosts` of the source".to_string()
    } else if !source.kind.is_network() {
        "check `glob`, and that the files are there and can be read".to_string()
    } else {
        match (found.reach, status) {
            (_, Some(404 | 410)) => "check the names and addresses of the source".to_string(),
            (_, Some(401 | 403)) => {
                "the place lets no program in, or not this one: check what it asks for".to_string()
            }
            (Reach::Blocked, _) => {
                "asking again soon changes nothing: check what the source names".to_string()
            }
            _ => "check the network and the host's name; the next run tries again".to_string(),
        }
    };
    Some(words)
}

/// How a trial ended, in words.
pub fn ending(found: &Trial) -> String {
    match (found.reach, found.more, &found.reason) {
        (_, true, _) => "one page was read, and there are more".to_string(),
        (Reach::Complete, false, _) => "read to its end".to_string(),
        (reach, false, Some(why)) if why.starts_with(reach.as_str()) => why.clone(),
        (reach, false, Some(why)) => format!("{}: {why}", reach.as_str()),
        (reach, false, None) => reach.as_str().to_string(),
    }
}

fn call_json(call: &Call) -> serde_json::Value {
    serde_json::json!({
        "method": call.method,
        "host": call.host,
        "path": call.path,
        "status": call.status,
        "failure": call.failure.map(crate::http::ErrorKind::words),
        "ms": call.elapsed_ms,
        "bytes": call.body_bytes,
    })
}

fn trial_json(source: &SourceConfig, found: &Trial, advice: Option<&str>) -> serde_json::Value {
    let examples: Vec<_> = found
        .examples
        .iter()
        .map(|e| {
            serde_json::json!({
                "native_id": e.native_id,
                "created_at": format_millis(e.created_ms),
                "channel": e.channel,
                "title": e.title,
            })
        })
        .collect();
    let set_aside: Vec<_> = found
        .set_aside
        .iter()
        .map(|q| serde_json::json!({ "reason": q.reason, "detail": q.detail }))
        .collect();
    let days: serde_json::Map<_, _> =
        found.days.iter().map(|(day, n)| (day.to_string(), serde_json::json!(n))).collect();
    serde_json::json!({
        "source": source.name,
        "type": source.kind.type_name(),
        "window": found.window,
        "status": found.reach,
        "reason": found.reason,
        "more": found.more,
        "advice": advice,
        "files": found.files,
        "requests": found.calls.iter().map(call_json).collect::<Vec<_>>(),
        "records_in": found.counts.records_in,
        "good": found.counts.good,
        "duplicate": found.counts.duplicate,
        "quarantined": found.counts.quarantined_total(),
        "reasons": found.counts.quarantined,
        "outside": found.counts.outside,
        "gone": found.gone,
        "days": days,
        "brands": found.brands,
        "examples": examples,
        "set_aside": set_aside,
    })
}

fn trial_text(project: &Project, source: &SourceConfig, found: &Trial, advice: Option<&str>) -> String {
    let mut out = format!("{} ({})", bold(&source.name), source.kind.type_name());
    if !found.window.is_empty() {
        out.push_str(&format!(", {}", sanitize::line(&found.window)));
    }
    out.push_str(&dim(": a trial, nothing is written\n"));
    if let Some(files) = found.files {
        out.push_str(&format!("  {} match\n", text::plural(files, "file")));
    }
    for call in &found.calls {
        let answer = match (call.status, call.failure) {
            (Some(status), None) => status.to_string(),
            (Some(status), Some(why)) => format!("{status}, {}", why.words()),
            (None, Some(why)) => why.words(),
            (None, None) => String::new(),
        };
        out.push_str(&format!(
            "  {} {}{} → {answer}, {}, {}\n",
            call.method,
            sanitize::line(&call.host),
            sanitize::short(&call.path, 100),
            text::size(call.body_bytes),
            text::duration(call.elapsed_ms)
        ));
    }
    let counts = &found.counts;
    if found.is_good() || counts.records_in > 0 {
        let reasons: Vec<String> = counts
            .quarantined
            .iter()
            .map(|(r, n)| format!("{} {}", sanitize::line(r), text::count(*n)))
            .collect();
        out.push_str(&format!(
            "records: {} = {} good + {} duplicate + {} set aside{}\n",
            text::count(counts.records_in),
            text::count(counts.good),
            text::count(counts.duplicate),
            text::count(counts.quarantined_total()),
            if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) }
        ));
    }
    if counts.outside > 0 {
        out.push_str(&format!(
            "of days outside of the project, not taken in: {}\n",
            text::count(counts.outside)
        ));
    }
    if found.gone > 0 {
        out.push_str(&format!("deleted: {}\n", text::plural(found.gone, "post")));
    }
    if let (Some((first, n)), Some((last, _))) = (found.days.first_key_value(), found.days.last_key_value()) {
        let days = match found.days.len() {
            1 => format!("{first}: {}", text::count(*n)),
            many => format!("{many}, from {first} to {last}"),
        };
        out.push_str(&format!("days: {days}\n"));
        let brands: Vec<String> = found
            .brands
            .iter()
            .map(|(key, n)| format!("{} {}", sanitize::line(key), text::count(*n)))
            .collect();
        let named: u64 = found.brands.values().sum();
        let which = if brands.is_empty() { String::new() } else { format!(" ({})", brands.join(", ")) };
        out.push_str(&format!("posts that name a brand: {}{which}\n", text::count(named)));
    }
    for q in &found.set_aside {
        out.push_str(&format!(
            "  set aside: {} ({})\n",
            sanitize::line(&q.reason),
            sanitize::line(&q.detail)
        ));
    }
    if !found.examples.is_empty() {
        let rows = found
            .examples
            .iter()
            .map(|e| {
                vec![
                    text::moment(e.created_ms),
                    sanitize::short(e.channel.as_deref().unwrap_or_default(), 24),
                    sanitize::line(&e.title).into_owned(),
                ]
            })
            .collect();
        out.push('\n');
        out.push_str(&text::table(
            &["written (UTC)", "channel", "title"],
            rows,
            &[],
            Some(terminal::width()),
        ));
        out.push('\n');
    }
    let ended = ending(found);
    let ended = sanitize::line(&ended);
    out.push_str(&match found.is_good() {
        true => format!("{}: {ended}\n", green("good")),
        false => format!("{}\n", red(&ended)),
    });
    if let Some(advice) = advice {
        out.push_str(&format!("  → {}\n", bold(advice)));
    }
    let outside = counts.outside > 0 || counts.quarantined.contains_key("out_of_range");
    if found.is_good() && found.days.is_empty() && outside {
        out.push_str(&format!(
            "  → {}\n",
            bold(&format!("the project's days are {}: set `start` and `end`", project.config.graph.days()))
        ));
    }
    out
}
