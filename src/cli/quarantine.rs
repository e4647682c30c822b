//! `rxpulse quarantine`: records that were set aside, with the exact account.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::exec::{self, Memory, Observation, QUARANTINE, RunOptions};
use crate::graph::{CaptureReason, PartitionSet, Plan, Request, plan};
use crate::lake::Lake;
use crate::output::terminal::{self, dim, yellow};
use crate::output::{sanitize, text};
use crate::source::Quarantined;

use super::args::{Global, Quarantine};
use super::common::{self, CliError, Exit};
use super::materialize::{Planned, Stage, execute};

/// Runs the command.
pub fn run(global: &Global, args: &Quarantine) -> Exit {
    let json = common::is_json(global.format)?;
    let project = common::open(global)?;
    let Some(lake) = project.lake_if_any()? else {
        return Err(CliError::Failed("nothing was captured yet; `rxpulse materialize --all` begins".into()));
    };
    let state = project.state_if_any()?;
    let world = project.world(Some(&lake), state.as_ref(), false, false)?;
    let of_source = |wanted: &Option<String>| -> Result<BTreeMap<String, Vec<Observation>>, CliError> {
        if let Some(name) = wanted
            && project.config.source(name).is_none()
        {
            let names: Vec<&str> = project.config.sources.iter().map(|s| s.name.as_str()).collect();
            return Err(CliError::Usage(format!(
                "there is no source `{name}`; there are {}",
                names.join(", ")
            )));
        }
        let newest = |m: &Memory| exec::newest(&m.observations).into_values().cloned().collect();
        Ok(world
            .memory
            .iter()
            .filter(|(name, _)| wanted.as_ref().is_none_or(|w| w == *name))
            .map(|(name, m)| (name.clone(), newest(m)))
            .collect())
    };
    match args {
        Quarantine::List { source } => list(global, json, &of_source(source)?),
        Quarantine::Show { source, reason, limit } => {
            show(global, json, &lake, &of_source(source)?, reason.as_deref(), *limit)
        }
        Quarantine::Replay { source } => replay(global, &project, &of_source(source)?),
    }
}

fn list(global: &Global, json: bool, all: &BTreeMap<String, Vec<Observation>>) -> Exit {
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for (source, observations) in all {
        for o in observations {
            let c = &o.counts;
            values.push(serde_json::json!({
                "source": source, "window": o.window, "records_in": c.records_in, "good": c.good,
                "duplicate": c.duplicate, "quarantined": c.quarantined_total(), "reasons": c.quarantined,
                "outside": c.outside, "pending_bytes": c.pending_bytes, "at": crate::envelope::format_millis(o.at_ms),
                "adds_up": c.adds_up(),
            }));
            let mut reasons: Vec<String> =
                c.quarantined.iter().map(|(r, n)| format!("{r} {}", text::count(*n))).collect();
            if c.outside > 0 {
                reasons.push(format!("(outside of the project's days: {})", text::count(c.outside)));
            }
            rows.push(vec![
                source.clone(),
                sanitize::short(&o.window, 50),
                text::count(c.records_in),
                text::count(c.good),
                text::count(c.duplicate),
                text::count(c.quarantined_total()),
                sanitize::line(&reasons.join(", ")).into_owned(),
            ]);
        }
    }
    if json {
        common::print_json(global.format, &serde_json::Value::Array(values))?;
        return Ok(0);
    }
    if rows.is_empty() {
        terminal::out("Nothing was read yet.\n");
        return Ok(0);
    }
    let mut out = text::table(
        &["source", "window", "records", "good", "duplicate", "quarantined", "reasons"],
        rows,
        &[2, 3, 4, 5],
        None,
    );
    out.push_str(&dim(
        "records = good + duplicate + quarantined · `rxpulse quarantine show` lists the records\n",
    ));
    terminal::out(&out);
    Ok(0)
}

fn show(
    global: &Global,
    json: bool,
    lake: &Lake,
    all: &BTreeMap<String, Vec<Observation>>,
    reason: Option<&str>,
    limit: usize,
) -> Exit {
    let mut found: Vec<(String, Quarantined)> = Vec::new();
    let mut more = 0usize;
    for (source, observations) in all {
        for number in observations.iter().filter_map(|o| o.quarantine) {
            let bytes = lake.read_record(QUARANTINE, source, number)?;
            for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
                let one: Quarantined = serde_json::from_slice(line)?;
                if reason.is_some_and(|r| one.reason != r && !one.reason.starts_with(&format!("{r}:"))) {
                    continue;
                }
                if found.len() < limit {
                    found.push((source.clone(), one));
                } else {
                    more += 1;
                }
            }
        }
    }
    if json {
        let list: Vec<_> = found
            .iter()
            .map(|(source, q)| {
                let mut value = serde_json::to_value(q).unwrap_or_default();
                value["source"] = serde_json::json!(source);
                value
            })
            .collect();
        common::print_json(global.format, &serde_json::Value::Array(list))?;
        return Ok(0);
    }
    let mut out = String::new();
    for (source, q) in &found {
        let place = match (q.locator.is_empty(), q.line) {
            (true, _) => format!("record {}", q.seq),
            (false, 0) => format!("{} record {}", q.locator, q.seq),
            (false, line) => format!("{}:{line} (byte {})", q.locator, q.offset),
        };
        out.push_str(&format!(
            "{} {source} {}: {}\n  {}\n",
            yellow(&sanitize::line(&q.reason)),
            sanitize::line(&place),
            sanitize::line(&q.detail),
            dim(&sanitize::short(&q.sample, 160))
        ));
    }
    if found.is_empty() {
        out.push_str("Nothing is set aside.\n");
    }
    if more > 0 {
        out.push_str(&dim(&format!("… and {more} more (--limit)\n")));
    }
    terminal::out(&out);
    Ok(0)
}

/// Reads every window with set-aside records again, as after a change of the adapter or a
/// repaired file.
fn replay(
    global: &Global,
    project: &crate::project::Project,
    all: &BTreeMap<String, Vec<Observation>>,
) -> Exit {
    let windows: Vec<(&String, &Observation)> = all
        .iter()
        .flat_map(|(s, list)| list.iter().map(move |o| (s, o)))
        .filter(|(_, o)| o.counts.quarantined_total() > 0)
        .collect();
    if windows.is_empty() {
        terminal::out("Nothing is set aside.\n");
        return Ok(0);
    }
    let stage = Stage::new()?;
    let graph = &project.config.graph;
    let lake = Arc::new(project.lake()?);
    let state = project.state()?;
    let mut world = project.world(Some(&lake), Some(&state), true, true)?;
    for due in world.seen.due.values_mut() {
        due.retain(|w| windows.iter().any(|(s, o)| w.source == **s && w.id == o.window));
        for window in due.iter_mut() {
            window.reason = CaptureReason::Forced;
        }
    }
    let mut selected = PartitionSet::empty(graph);
    for asset in graph.indices().filter(|a| graph.asset(*a).kind == crate::graph::AssetKind::Source) {
        selected.insert_range(asset, 0..graph.slots(asset));
    }
    let plan: Plan = plan(graph, &world.ledger, &world.seen, &Request { selected, force: false });
    let before: u64 = windows.iter().map(|(_, o)| o.counts.quarantined_total()).sum();
    let options = RunOptions {
        command: "quarantine replay".into(),
        request_json: "{}".into(),
        newest_first: false,
        parallel: None,
        max_usd: None,
    };
    let mut planned = Planned { world, plan };
    let code = execute(global, project, lake, &state, &mut planned, &options, stage)?;
    let after: u64 = planned
        .world
        .memory
        .values()
        .flat_map(|m| exec::newest(&m.observations).into_values())
        .map(|o| o.counts.quarantined_total())
        .sum();
    terminal::out(&format!(
        "{} read again: {} were set aside, {} still are\n",
        text::plural(windows.len() as u64, "window"),
        text::count(before),
        text::count(after)
    ));
    Ok(code)
}
