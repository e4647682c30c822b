//! `rxpulse files`: paths of the current version, for DuckDB, Polars and others.

use crate::graph::{AssetKind, AssetPartition};
use crate::output::terminal;

use super::args::{Files, Global};
use super::common::{self, CliError, Exit};

/// Runs the command.
pub fn run(global: &Global, args: &Files) -> Exit {
    let json = common::is_json(global.format)?;
    let project = common::open(global)?;
    let graph = &project.config.graph;
    let asset = common::asset_named(graph, &args.asset)?;
    let days = common::day_set(&args.days, graph.days())?;
    let lake = project.lake_if_any()?.ok_or_else(|| {
        CliError::Failed("there is no lake yet; `rxpulse materialize --all` makes it".into())
    })?;
    let state = project.state_if_any()?;
    let world = project.world(Some(&lake), state.as_ref(), false, false)?;
    let selected = common::resolve(graph, std::slice::from_ref(&args.asset), &days, None)?;
    let key = graph.key(asset);
    let mut list = Vec::new();
    let mut out = String::new();
    for slot in selected.slots_of(asset) {
        let partition = graph.partition(asset, slot);
        let parts = if graph.asset(asset).kind == AssetKind::Source {
            world.bronze_parts(asset, slot)
        } else {
            let entry = world.ledger.get(graph, AssetPartition { asset, partition });
            entry
                .map(|e| crate::exec::InputRef { source: None, partition, generation: e.generation })
                .into_iter()
                .collect()
        };
        for part in parts {
            let manifest = lake.read_manifest(key, part.source.as_deref(), partition, part.generation)?;
            for file in &manifest.files {
                let path = lake.path(file);
                if json {
                    list.push(serde_json::json!({
                        "partition": partition, "path": path, "bytes": file.bytes, "rows": file.rows, "source": part.source,
                    }));
                } else {
                    out.push_str(&format!("{}\n", path.display()));
                }
            }
        }
    }
    if json {
        common::print_json(global.format, &serde_json::Value::Array(list))?;
    } else {
        terminal::out(&out);
    }
    Ok(0)
}
