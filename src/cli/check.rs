//! `rxpulse check`: data checks on what is published, partition by partition and over all days.

use std::sync::Arc;

use crate::event::CheckStatus;
use crate::exec::{self, AssetCheck};
use crate::output::terminal::{self, green, red, yellow};
use crate::output::{sanitize, text};

use super::args::{Check, Global};
use super::common::{self, CliError, Exit};

/// Runs the command.
pub fn run(global: &Global, args: &Check) -> Exit {
    let json = common::is_json(global.format)?;
    let project = common::open(global)?;
    let graph = &project.config.graph;
    let days = common::day_set(&args.days, graph.days())?;
    common::resolve(graph, &args.selection, &days, None)?;
    let lake = project.lake_if_any()?.ok_or_else(|| {
        CliError::Failed("there is nothing to check yet; `rxpulse materialize --all` makes it".into())
    })?;
    let state = project.state_if_any()?;
    let world = project.world(Some(&lake), state.as_ref(), false, false)?;
    let selected = common::resolve(graph, &args.selection, &days, None)?;
    let res = project.resources(Arc::new(lake))?;
    let mut found: Vec<AssetCheck> = exec::partition_checks(&res, &world, &selected)?;
    found.extend(exec::asset_checks(&res, &world, Some(&selected)));
    let failed = found.iter().filter(|c| c.result.status == CheckStatus::Failed).count();
    let warned = found.iter().filter(|c| c.result.status == CheckStatus::Warned).count();
    if json {
        let list: Vec<_> = found
            .iter()
            .map(|c| {
                serde_json::json!({
                    "asset": c.asset, "check": c.result.check, "status": c.result.status,
                    "violations": c.result.violations, "message": c.result.message,
                    "partitions": c.partitions, "bad_partitions": c.bad,
                })
            })
            .collect();
        common::print_json(global.format, &serde_json::Value::Array(list))?;
        return Ok(u8::from(failed > 0));
    }
    let rows = found
        .iter()
        .map(|c| {
            let word = match c.result.status {
                CheckStatus::Passed => green("passed"),
                CheckStatus::Warned => yellow("warned"),
                CheckStatus::Failed => red("failed"),
            };
            let bad: Vec<String> = c.bad.iter().take(3).map(ToString::to_string).collect();
            let place = match c.bad.len() {
                0 => String::new(),
                n if n > 3 => format!("{} and {} more: ", bad.join(", "), n - 3),
                _ => format!("{}: ", bad.join(", ")),
            };
            let message = if c.result.violations > 0 {
                format!(
                    "{place}{} rows, {}",
                    text::count(c.result.violations),
                    sanitize::short(&c.result.message, 80)
                )
            } else {
                String::new()
            };
            vec![c.asset.to_string(), c.result.check.clone(), word, text::count(c.partitions), message]
        })
        .collect();
    let mut out =
        text::table(&["asset", "check", "result", "partitions", "what was found"], rows, &[3], None);
    out.push_str(&format!(
        "\n{}: {} failed, {} warned\n",
        text::plural(found.len() as u64, "check"),
        failed,
        warned
    ));
    terminal::out(&out);
    Ok(u8::from(failed > 0))
}
