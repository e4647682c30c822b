//! `rxpulse explain`: why a partition is (or is not) stale, as a tree down to its cause.

use std::collections::BTreeMap;

use crate::exec::{Coverage, Reading, World};
use crate::graph::{
    AssetGraph, AssetIdx, AssetKind, AssetPartition, DataVersion, KeptStep, PartitionKey, Partitioning, Plan,
    Staleness,
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
    let reached = reached(&teller, asset, partition);
    let batches = super::batches::read(&project, lake.as_ref(), Some(graph.key(asset).as_str()))?;
    if json {
        let mut value = teller.json(asset, slot, 0)?;
        value["coverage"] = serde_json::Value::Array(coverage_json(&reached));
        value["ai_batches"] = serde_json::Value::Array(super::batches::list(&batches));
        common::print_json(global.format, &value)?;
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
    out.push_str(&coverage(&reached));
    if partition.day().is_some_and(|day| world.texts.days.contains(&day)) {
        out.push_str("the texts of this day were removed (retain_text)\n");
    }
    out.push_str(&super::batches::lines(&batches));
    terminal::out(&out);
    Ok(0)
}

/// What the sources of an asset have reached of a day, and what says so.
fn reached(teller: &Teller<'_>, asset: AssetIdx, partition: PartitionKey) -> Vec<(Coverage, Vec<Reading>)> {
    let Some(day) = partition.day() else { return Vec::new() };
    let rows = teller.world.coverage_of(teller.graph, asset, day);
    rows.into_iter().map(|row| (teller.world.readings(&row.source, day), row)).map(|(r, c)| (c, r)).collect()
}

fn coverage(rows: &[(Coverage, Vec<Reading>)]) -> String {
    let mut out = String::new();
    for (c, readings) in rows {
        let status = match c.status {
            Reach::Complete => green("complete"),
            Reach::Partial => yellow("partial"),
            other => red(other.as_str()),
        };
        let reason = c.reason.as_ref().map(|r| format!(" ({})", sanitize::line(r))).unwrap_or_default();
        out.push_str(&format!("coverage: {} by {}: {status}{reason}\n", c.platform, c.source));
        for r in readings {
            out.push_str(&format!("  {}\n", dim(&super::source::reading_line(r))));
        }
    }
    if let Some((c, _)) = rows.first() {
        out.push_str(match c.day_covered {
            true => "the day is covered\n",
            false => "the day is not covered: trends take it for unknown, not for zero\n",
        });
    }
    out
}

fn coverage_json(rows: &[(Coverage, Vec<Reading>)]) -> Vec<serde_json::Value> {
    rows.iter()
        .map(|(c, readings)| {
            serde_json::json!({
                "source": c.source,
                "platform": c.platform,
                "required": c.required,
                "status": c.status,
                "reason": c.reason,
                "day_covered": c.day_covered,
                "readings": readings.iter().map(super::source::reading_json).collect::<Vec<_>>(),
            })
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
        if let Some(kept) = self.kept(asset, slot) {
            let word = if kept.why == Staleness::Missing { red("lost") } else { green("kept") };
            return (word, why::kept(self.graph, kept));
        }
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

    /// What is not made though it would have to be.
    fn kept(&self, asset: AssetIdx, slot: usize) -> Option<&KeptStep> {
        self.steps.kept.iter().find(|kept| kept.asset == asset && kept.slot == slot)
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
        let partition = self.graph.partition(asset, slot);
        Ok(serde_json::json!({
            "asset": self.graph.key(asset),
            "partition": partition,
            "staleness": step.map_or(if entry.is_some() { "fresh" } else { "missing" }, |s| s.why.as_str()),
            "reason": step
                .map(|s| why::reason(self.graph, s, self.world.is_gone(asset, slot)))
                .or_else(|| self.kept(asset, slot).map(|kept| why::kept(self.graph, kept))),
            "texts_removed": partition.day().is_some_and(|day| self.world.texts.days.contains(&day)),
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
