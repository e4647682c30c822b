//! `rxpulse explain`: why a partition is (or is not) stale, as a tree down to its cause.

use std::collections::BTreeMap;

use crate::exec::World;
use crate::graph::{
    AssetGraph, AssetIdx, AssetKind, AssetPartition, DataVersion, PartitionKey, Partitioning, Plan, Staleness,
};
use crate::lake::{Lake, Manifest};
use crate::output::terminal::{self, bold, dim, green, red, yellow};
use crate::output::{sanitize, text, why};
use crate::project::Project;
use crate::source::Reach;

use super::args::{Explain, Global};
use super::common::{self, CliError, Exit};

struct Teller<'a> {
    project: &'a Project,
    graph: &'a AssetGraph,
    world: &'a World,
    lake: Option<&'a Lake>,
    plan: BTreeMap<(AssetIdx, usize), usize>,
    steps: &'a Plan,
}

/// Runs the command.
pub fn run(global: &Global, args: &Explain) -> Exit {
    let json = common::is_json(global.format)?;
    let project = common::open(global)?;
    let graph = &project.config.graph;
    let asset = common::asset_named(graph, &args.asset)?;
    let lake = project.lake_if_any()?;
    let state = project.state_if_any()?;
    let world = project.world(lake.as_ref(), state.as_ref(), false, false)?;
    let survey = common::survey(graph, &world);
    let places = survey.steps.iter().enumerate().map(|(i, s)| ((s.asset, s.slot), i)).collect();
    let teller =
        Teller { project: &project, graph, world: &world, lake: lake.as_ref(), plan: places, steps: &survey };
    let partition = match (graph.asset(asset).partitioning, args.partition) {
        (Partitioning::None, None) => PartitionKey::Whole,
        (Partitioning::None, Some(_)) => {
            return Err(CliError::Usage(format!(
                "`{}` is not partitioned; leave --partition out",
                args.asset
            )));
        }
        (Partitioning::Daily, Some(day)) => PartitionKey::Day(day),
        (Partitioning::Daily, None) => {
            // The newest day that needs work, else the newest day.
            let stale = survey.steps.iter().rev().find(|s| s.asset == asset).map(|s| s.slot);
            graph.partition(asset, stale.unwrap_or(graph.slots(asset) - 1))
        }
    };
    let slot = graph.slot(AssetPartition { asset, partition }).ok_or_else(|| {
        CliError::Usage(format!("{partition} is not one of the project's days, {}", graph.days()))
    })?;
    if json {
        common::print_json(global.format, &teller.json(asset, slot, 0)?)?;
        return Ok(0);
    }
    let mut out = String::new();
    teller.tree(asset, slot, "", "", 0, &mut out)?;
    if let Some(entry) = world.ledger.at(asset, slot)
        && graph.asset(asset).kind != AssetKind::Source
        && let Some(lake) = teller.lake
    {
        let manifest = lake.read_manifest(graph.key(asset), None, partition, entry.generation)?;
        out.push_str(&describe(&manifest));
    }
    for row in coverage(&teller, asset, partition) {
        out.push_str(&row);
    }
    terminal::out(&out);
    Ok(0)
}

fn coverage(teller: &Teller<'_>, asset: AssetIdx, partition: PartitionKey) -> Vec<String> {
    let (Some(day), AssetKind::Source) = (partition.day(), teller.graph.asset(asset).kind) else {
        return Vec::new();
    };
    teller
        .world
        .coverage(teller.graph, day)
        .into_iter()
        .map(|c| {
            let status = match c.status {
                Reach::Complete => green("complete"),
                other => yellow(other.as_str()),
            };
            let reason = c.reason.map(|r| format!(" ({r})")).unwrap_or_default();
            format!("coverage: {} by {}: {status}{reason}\n", c.platform, c.source)
        })
        .collect()
}

fn describe(m: &Manifest) -> String {
    let mut out = format!(
        "\npublished {} as generation {}{}: {}, {}, data {}, code {}\n",
        text::moment(m.created_ms),
        m.generation,
        m.run.map(|r| format!(" by run {r}")).unwrap_or_default(),
        text::plural(m.rows, "row"),
        text::size(m.bytes),
        m.data.short(),
        m.code.short()
    );
    let bad: Vec<_> = m.checks.iter().filter(|c| c.status != crate::event::CheckStatus::Passed).collect();
    out.push_str(&format!("checks: {} passed", m.checks.len() - bad.len()));
    for c in bad {
        out.push_str(&format!(", {} {}", yellow(&c.check), sanitize::line(&c.message)));
    }
    out.push('\n');
    out
}

impl Teller<'_> {
    /// One word and the reasons of a partition.
    fn state(&self, asset: AssetIdx, slot: usize) -> (String, String) {
        match self.plan.get(&(asset, slot)) {
            None if self.world.ledger.at(asset, slot).is_some() => {
                let at = self.world.ledger.at(asset, slot).map(|e| text::moment(e.at_ms)).unwrap_or_default();
                (green("fresh"), dim(&format!("since {at}")))
            }
            None => (red("missing"), "no source has captured it".to_string()),
            Some(&i) => {
                let step = &self.steps.steps[i];
                let why = why::reason(self.graph, step, self.world.is_gone(asset, slot));
                let word = match step.why {
                    Staleness::Missing => red("missing"),
                    Staleness::AwaitsCapture => yellow("awaits capture"),
                    _ => yellow("stale"),
                };
                (word, why)
            }
        }
    }

    /// Inputs whose content is not what the partition was made from.
    fn changed(&self, asset: AssetIdx, slot: usize) -> Result<Vec<String>, CliError> {
        let (Some(lake), Some(entry)) = (self.lake, self.world.ledger.at(asset, slot)) else {
            return Ok(Vec::new());
        };
        // System tables are made from what the product knows, not from inputs.
        if matches!(self.graph.asset(asset).kind, AssetKind::Source | AssetKind::System) {
            return Ok(Vec::new());
        }
        let partition = self.graph.partition(asset, slot);
        let manifest = lake.read_manifest(self.graph.key(asset), None, partition, entry.generation)?;
        let mut before: BTreeMap<(String, PartitionKey), Option<DataVersion>> =
            manifest.inputs.iter().map(|i| ((i.asset.to_string(), i.partition), i.data)).collect();
        let mut out = Vec::new();
        for &(up, mapping) in self.graph.upstream(asset) {
            for input in self.graph.input_slots(asset, slot, up, mapping) {
                let p = self.graph.partition(up, input);
                let name = format!("{}[{p}]", self.graph.key(up));
                let now = self.world.ledger.at(up, input).map(|e| e.data);
                let show = |v: Option<DataVersion>| v.map_or("nothing".to_string(), |v| v.short());
                match before.remove(&(self.graph.key(up).to_string(), p)) {
                    None => out.push(format!("{name} is read now and was not before")),
                    Some(old) if old != now => {
                        out.push(format!("{name} changed: {} → {}", show(old), show(now)))
                    }
                    Some(_) => {}
                }
            }
        }
        for (name, p) in before.into_keys() {
            out.push(format!("{name}[{p}] was read and is not any more"));
        }
        Ok(out)
    }

    fn tree(
        &self,
        asset: AssetIdx,
        slot: usize,
        first: &str,
        rest: &str,
        depth: usize,
        out: &mut String,
    ) -> Result<(), CliError> {
        let (word, why) = self.state(asset, slot);
        let partition = self.graph.partition(asset, slot);
        let name = match partition {
            PartitionKey::Whole => self.graph.key(asset).to_string(),
            day => format!("{}[{day}]", self.graph.key(asset)),
        };
        out.push_str(&format!("{first}{} {word}: {why}\n", bold(&name)));
        for changed in self.changed(asset, slot)? {
            out.push_str(&format!("{rest}  {}\n", dim(&changed)));
        }
        if self.graph.asset(asset).kind == AssetKind::Source {
            for window in self.world.seen.due.get(&asset).into_iter().flatten() {
                if window.days.is_none_or(|d| partition.day().is_some_and(|day| d.contains(day))) {
                    out.push_str(&format!(
                        "{rest}  {} {}: {} ({})\n",
                        yellow("due:"),
                        window.source,
                        sanitize::line(&window.id),
                        window.reason
                    ));
                }
            }
        }
        // Only branches that explain something, and the fresh ones of the first level.
        let mut branches: Vec<(AssetIdx, usize)> = Vec::new();
        let mut quiet = 0;
        for &(up, mapping) in self.graph.upstream(asset) {
            for input in self.graph.input_slots(asset, slot, up, mapping) {
                let stale = self.plan.contains_key(&(up, input)) || self.world.ledger.at(up, input).is_none();
                if stale || (depth == 0 && input == self.graph.input_slots(asset, slot, up, mapping).end - 1)
                {
                    branches.push((up, input));
                } else {
                    quiet += 1;
                }
            }
        }
        for (i, (up, input)) in branches.iter().enumerate() {
            let last = i + 1 == branches.len() && quiet == 0;
            let (a, b) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            if depth > 12 {
                continue;
            }
            self.tree(*up, *input, &format!("{rest}{a}"), &format!("{rest}{b}"), depth + 1, out)?;
        }
        if quiet > 0 && depth == 0 {
            out.push_str(&format!(
                "{rest}└─ {}\n",
                dim(&format!("and {} fresh", text::plural(quiet, "input")))
            ));
        }
        Ok(())
    }

    fn json(&self, asset: AssetIdx, slot: usize, depth: usize) -> Result<serde_json::Value, CliError> {
        let step = self.plan.get(&(asset, slot)).map(|i| &self.steps.steps[*i]);
        let mut inputs = Vec::new();
        if depth < 12 {
            for &(up, mapping) in self.graph.upstream(asset) {
                for input in self.graph.input_slots(asset, slot, up, mapping) {
                    if depth == 0 || self.plan.contains_key(&(up, input)) {
                        inputs.push(self.json(up, input, depth + 1)?);
                    }
                }
            }
        }
        let entry = self.world.ledger.at(asset, slot);
        Ok(serde_json::json!({
            "asset": self.graph.key(asset),
            "partition": self.graph.partition(asset, slot),
            "staleness": step.map_or(if entry.is_some() { "fresh" } else { "missing" }, |s| s.why.as_str()),
            "reason": step.map(|s| why::reason(self.graph, s, self.world.is_gone(asset, slot))),
            "changed_inputs": self.changed(asset, slot)?,
            "data_version": entry.map(|e| e.data),
            "generation": entry.map(|e| e.generation.get()),
            "rows": entry.map(|e| e.rows),
            "code_version": self.graph.asset(asset).code,
            "project": (depth == 0).then(|| self.project.config.project.name.clone()),
            "inputs": inputs,
        }))
    }
}
