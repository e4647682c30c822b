//! `rxpulse plan`: exactly what `materialize` would do, and why.

use std::collections::BTreeMap;

use crate::config::Relabel;
use crate::exec::{self, World};
use crate::graph::{AssetGraph, Cause, KeptStep, Plan, Staleness};
use crate::output::terminal::{self, bold, dim, yellow};
use crate::output::why::{kept as kept_reason, reason};
use crate::output::{sanitize, text};

use super::args::{Global, Materialize};
use super::common::{self, Exit};
use super::materialize::{Asked, Planned, planned};
use super::plan_ai;
use crate::project::Project;

/// Runs the command.
pub fn run(global: &Global, args: &Materialize) -> Exit {
    show(global, &common::open(global)?, &Asked::materialize(args))
}

/// Shows what a run of what is asked for would do.
pub fn show(global: &Global, project: &Project, asked: &Asked) -> Exit {
    let json = common::is_json(global.format)?;
    let lake = project.lake_if_any()?;
    let state = project.state_if_any()?;
    let Planned { world, plan, .. } = planned(project, asked, lake.as_ref(), state.as_ref(), false)?;
    let graph = &project.config.graph;
    let priced = plan_ai::price(project, lake.as_ref(), &world, &plan)?;
    if json {
        let mut value = as_json(graph, &plan, &world);
        value["ai"] = priced.iter().map(plan_ai::Priced::json).collect();
        common::print_json(global.format, &value)?;
        return Ok(0);
    }
    let mut out = String::new();
    for note in &world.notes {
        out.push_str(&format!("{} {}\n", yellow("note:"), sanitize::line(note)));
    }
    if plan.is_empty() {
        out.push_str(&kept(graph, &plan));
        out.push_str(&format!("Nothing to do: {} fresh\n", text::plural(plan.fresh as u64, "partition")));
        terminal::out(&out);
        return Ok(0);
    }
    for capture in plan.captures.iter().take(20) {
        let size = if capture.window.bytes > 0 {
            format!(", {}", text::size(capture.window.bytes))
        } else {
            String::new()
        };
        out.push_str(&format!(
            "{} {} ← {}: {} ({}{size})\n",
            bold("capture"),
            graph.key(capture.asset),
            capture.window.source,
            sanitize::line(&capture.window.id),
            capture.window.reason
        ));
    }
    if plan.captures.len() > 20 {
        out.push_str(&dim(&format!("… and {} more windows\n", plan.captures.len() - 20)));
    }
    // Runs of neighbours with the same reason share a line.
    let mut at = 0;
    while at < plan.steps.len() {
        let first = &plan.steps[at];
        let why = reason(graph, first, world.is_gone(first.asset, first.slot));
        let mut end = at + 1;
        while let Some(next) = plan.steps.get(end)
            && next.asset == first.asset
            && next.slot == plan.steps[end - 1].slot + 1
            && reason(graph, next, world.is_gone(next.asset, next.slot)) == why
        {
            end += 1;
        }
        let last = &plan.steps[end - 1];
        let key = graph.key(first.asset);
        let (a, b) = (graph.partition(first.asset, first.slot), graph.partition(last.asset, last.slot));
        let place = match (a.day(), end - at) {
            (None, _) => String::new(),
            (_, 1) => format!("[{a}]"),
            (_, n) => format!("[{a} … {b}] {}", dim(&format!("{} days", text::count(n as u64)))),
        };
        out.push_str(&format!("{} {key}{place}: {why}\n", bold("make   ")));
        at = end;
    }
    out.push_str(&kept(graph, &plan));
    for one in &priced {
        let enrich = graph.find(one.asset.as_str()).and_then(|a| exec::asks_network(&project.config, a));
        let relabel = enrich.map_or(Relabel::New, |e| e.relabel);
        out.push_str(&format!("{} {}\n", bold("ask    "), sanitize::line(&one.line(relabel))));
    }
    out.push_str(&format!(
        "\n{} to do ({}), {} fresh\n",
        text::plural((plan.steps.len() + plan.captures.len()) as u64, "step"),
        by_asset(graph, &plan),
        text::count(plan.fresh as u64),
    ));
    terminal::out(&out);
    Ok(0)
}

/// What stays as it is: runs of neighbours with the same reason share a line. That an input has
/// lost its texts, too, is no news of any of them.
fn kept(graph: &AssetGraph, plan: &Plan) -> String {
    let quiet = |why: &Staleness| *why == Staleness::Stale(vec![Cause::InputsChanged]);
    let told: Vec<&KeptStep> = plan.kept.iter().filter(|step| !quiet(&step.why)).collect();
    let mut out = String::new();
    let mut at = 0;
    while let Some(first) = told.get(at) {
        let why = kept_reason(graph, first);
        let same = |i: usize, step: &KeptStep| {
            step.asset == first.asset && step.slot == first.slot + i && kept_reason(graph, step) == why
        };
        let n = told[at..].iter().enumerate().take_while(|(i, step)| same(*i, step)).count();
        let last = told[at + n - 1];
        let (a, b) = (graph.partition(first.asset, first.slot), graph.partition(last.asset, last.slot));
        let place = match n {
            1 => format!("[{a}]"),
            n => format!("[{a} … {b}] {}", dim(&format!("{} days", text::count(n as u64)))),
        };
        out.push_str(&format!("{} {}{place}: {why}\n", bold("keep   "), graph.key(first.asset)));
        at += n;
    }
    let rest = plan.kept.len() - told.len();
    if rest > 0 {
        let rest = text::plural(rest as u64, "partition");
        out.push_str(&dim(&format!("{rest} of days without texts (retain_text) stay as they are\n")));
    }
    out
}

fn by_asset(graph: &AssetGraph, plan: &Plan) -> String {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for step in &plan.steps {
        *counts.entry(step.asset.0).or_default() += 1;
    }
    let mut parts = Vec::new();
    if !plan.captures.is_empty() {
        parts.push(text::plural(plan.captures.len() as u64, "capture"));
    }
    for (asset, n) in counts {
        parts.push(format!("{} {}", text::count(n), graph.key(crate::graph::AssetIdx(asset))));
    }
    parts.join(", ")
}

fn as_json(graph: &AssetGraph, plan: &Plan, world: &World) -> serde_json::Value {
    let captures: Vec<_> = plan
        .captures
        .iter()
        .map(|c| {
            serde_json::json!({
                "asset": graph.key(c.asset),
                "source": c.window.source,
                "window": c.window.id,
                "reason": c.window.reason,
                "bytes": c.window.bytes,
            })
        })
        .collect();
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|s| {
            serde_json::json!({
                "asset": graph.key(s.asset),
                "partition": graph.partition(s.asset, s.slot),
                "staleness": s.why.as_str(),
                "reason": reason(graph, s, world.is_gone(s.asset, s.slot)),
                "blocked_by": s.missing_input.map(|m| format!("{}[{}]", graph.key(m.asset), m.partition)),
            })
        })
        .collect();
    serde_json::json!({
        "captures": captures,
        "steps": steps,
        "kept": plan.kept.iter().map(|k| serde_json::json!({
            "asset": graph.key(k.asset),
            "partition": graph.partition(k.asset, k.slot),
            "staleness": k.why.as_str(),
            "reason": kept_reason(graph, k),
        })).collect::<Vec<_>>(),
        "fresh": plan.fresh,
        "selected": plan.selected,
        "notes": world.notes,
    })
}
