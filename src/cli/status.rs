//! `rxpulse status`: where every asset stands.

use crate::graph::{AssetKind, PartitionSet};
use crate::output::terminal::{self, dim, green, red, yellow};
use crate::output::{sanitize, text};

use super::args::{Days, Global, Status};
use super::common::{self, Exit, Statuses};

/// Runs the command.
pub fn run(global: &Global, args: &Status) -> Exit {
    let json = common::is_json(global.format)?;
    let project = common::open(global)?;
    let graph = &project.config.graph;
    let lake = project.lake_if_any()?;
    let state = project.state_if_any()?;
    let world = project.world(lake.as_ref(), state.as_ref(), false, false)?;
    let statuses = Statuses::read(graph, &world, state.as_ref(), lake.as_ref().map(crate::lake::Lake::id))?;
    let days = common::day_set(&Days::default(), graph.days())?;
    let selected: PartitionSet = common::resolve(graph, &args.selection, &days, Some(&statuses))?;

    let mut rows = Vec::new();
    let mut list = Vec::new();
    let (mut behind, mut beyond) = (0u64, 0u64);
    for (idx, asset) in graph.iter() {
        if !selected.has_asset(idx) {
            continue;
        }
        let (mut fresh, mut stale, mut missing, mut awaits, mut failed, mut held, mut lost) =
            (0u64, 0u64, 0u64, 0u64, 0u64, 0u64, 0u64);
        let mut newest = None;
        for slot in selected.slots_of(idx) {
            match statuses.word(idx, slot) {
                "fresh" => fresh += 1,
                "missing" => missing += 1,
                "awaits_capture" => awaits += 1,
                "lost" => lost += 1,
                _ => stale += 1,
            }
            failed += u64::from(statuses.failed(idx, slot));
            if let Some(entry) = world.ledger.at(idx, slot) {
                held += entry.rows;
                newest = newest.max(Some(entry.at_ms));
            }
        }
        behind += stale + missing;
        beyond += lost;
        let total = graph.slots(idx) as u64;
        let word = if failed > 0 {
            red("failed")
        } else if missing == total {
            dim("never made")
        } else if stale + missing > 0 {
            yellow("behind")
        } else if awaits > 0 {
            yellow("new input")
        } else {
            green("fresh")
        };
        let dash = |n: u64| if n == 0 { dim("·") } else { text::count(n) };
        rows.push(vec![
            asset.key.to_string(),
            asset.layer.as_str().to_string(),
            word,
            text::count(fresh),
            dash(stale),
            dash(missing),
            dash(awaits),
            dash(failed),
            text::count(held),
            newest.map(text::moment).unwrap_or_default(),
        ]);
        list.push(serde_json::json!({
            "asset": asset.key,
            "layer": asset.layer,
            "kind": asset.kind,
            "partitions": total,
            "fresh": fresh,
            "stale": stale,
            "missing": missing,
            "lost": lost,
            "awaits_capture": awaits,
            "failed": failed,
            "rows": held,
            "published_at": newest.map(crate::envelope::format_millis),
        }));
    }
    let latest = match &state {
        Some(state) => state.latest_run()?,
        None => None,
    };
    let due = common::due(&world.seen);
    let standings = world.standings(graph);
    let batches = super::batches::read(&project, lake.as_ref(), None)?;
    if json {
        let value = serde_json::json!({
            "project": project.config.project.name,
            "days": { "start": graph.days().start, "end": graph.days().end, "timezone": project.config.project.timezone_name },
            "lake": lake.as_ref().map(|l| l.root().display().to_string()),
            "windows_due": due,
            "assets": list,
            "sources": standings.iter().map(super::source::coverage_json).collect::<Vec<_>>(),
            "ai_batches": super::batches::list(&batches),
            "latest_run": latest,
            "texts_removed": world.texts.days.len(),
            "notes": world.notes,
        });
        common::print_json(global.format, &value)?;
        return Ok(0);
    }
    let mut out = format!(
        "{} · {} ({}), {}\n\n",
        terminal::bold(&sanitize::line(&project.config.project.name)),
        graph.days(),
        text::plural(graph.days().len() as u64, "day"),
        project.config.project.timezone_name,
    );
    out.push_str(&text::table(
        &[
            "asset",
            "layer",
            "state",
            "fresh",
            "stale",
            "missing",
            "awaits",
            "failed",
            "rows",
            "published (UTC)",
        ],
        rows,
        &[3, 4, 5, 6, 7, 8],
        None,
    ));
    out.push('\n');
    out.push_str(&super::source::coverage_lines(&project.config, &standings));
    out.push_str(&super::batches::lines(&batches));
    for note in &world.notes {
        out.push_str(&format!("{} {}\n", yellow("note:"), sanitize::line(note)));
    }
    if let (Some(first), Some(last)) = (world.texts.days.first(), world.texts.days.last()) {
        let days = text::plural(world.texts.days.len() as u64, "day");
        let lost = match beyond {
            0 => String::new(),
            n => format!("; {} cannot be made any more", text::plural(n, "partition")),
        };
        out.push_str(&format!("Texts of {days} ({first} … {last}) were removed (retain_text){lost}\n"));
    }
    if let Some(run) = latest {
        let life = super::steer::life(&run, &project);
        out.push_str(&format!(
            "Latest run {}: {} · {}\n",
            run.id,
            super::runs::life_word(life),
            sanitize::line(&run.command)
        ));
    }
    let sources = graph.iter().any(|(_, a)| a.kind == AssetKind::Source);
    if behind > 0 || due > 0 {
        let what = if due > 0 && sources {
            format!("{} to read, ", text::plural(due as u64, "window"))
        } else {
            String::new()
        };
        out.push_str(&format!(
            "{what}{} behind: {}\n",
            text::plural(behind, "partition"),
            terminal::bold("rxpulse materialize --all")
        ));
    }
    terminal::out(&out);
    Ok(0)
}
