//! `rxpulse gc`, `prune` and `state rebuild`.

use std::collections::HashSet;

use crate::event::{StepState, Target};
use crate::exec::{self, now_ms};
use crate::graph::{AssetKey, PartitionKey};
use crate::lake::GcOptions;
use crate::output::terminal::{self, dim, green};
use crate::output::text;
use crate::state::{Keep, State, StepFilter};

use super::args::{Gc, Global, Prune, StateCommand};
use super::common::{self, CliError, Exit};
use super::retain;

/// Deletes versions that nothing names any more.
pub fn gc(global: &Global, args: &Gc) -> Exit {
    let json = common::is_json(global.format)?;
    let project = common::open(global)?;
    let Some(lake) = project.lake_if_any()? else {
        terminal::out("There is no lake yet.\n");
        return Ok(0);
    };
    // What is over goes first: its older versions are among what is collected.
    let state = project.state_if_any()?;
    let mut world = project.world(Some(&lake), state.as_ref(), false, false)?;
    let texts = world.due_texts().days.len() as u64;
    if !args.dry_run {
        retain::remove_due(global, &project, &lake, state.as_ref(), &mut world)?;
    }
    let options = GcOptions {
        now_ms: now_ms(),
        retention_ms: project.config.lake.version_retention_ms,
        live: live(&project)?,
    };
    let doomed = match args.dry_run {
        true => lake.gc_plan(&options)?.files,
        false => lake.gc(&options)?.1.removed,
    };
    let tidied = exec::tidy(&lake, options.now_ms, options.retention_ms, args.dry_run)?;
    let (files, bytes) = (doomed.len() as u64, doomed.iter().map(|d| d.bytes).sum::<u64>());
    if json {
        let list: Vec<_> = doomed
            .iter()
            .map(|d| serde_json::json!({ "path": d.path, "bytes": d.bytes, "why": format!("{:?}", d.why) }))
            .collect();
        common::print_json(
            global.format,
            &serde_json::json!({
                "dry_run": args.dry_run, "files": files, "bytes": bytes, "list": list,
                "records": tidied.observations + tidied.requests, "texts": texts,
            }),
        )?;
        return Ok(0);
    }
    if args.dry_run && texts > 0 {
        terminal::out(&format!("Would remove the texts of {} (retain_text)\n", text::plural(texts, "day")));
    }
    if args.dry_run {
        for doomed in doomed.iter().take(50) {
            terminal::out(&format!(
                "{} {}\n",
                doomed.path,
                dim(&format!("{:?}, {}", doomed.why, text::size(doomed.bytes)))
            ));
        }
    }
    let word = if args.dry_run { "Would delete" } else { "Deleted" };
    terminal::out(&format!("{word} {} ({})\n", text::plural(files, "file"), text::size(bytes)));
    let records = tidied.observations + tidied.requests;
    if records > 0 {
        terminal::out(&format!("{word} {} of old readings\n", text::plural(records, "record")));
    }
    Ok(0)
}

/// Partitions that a live run is working on: nothing of theirs is touched.
fn live(project: &crate::project::Project) -> Result<HashSet<(AssetKey, PartitionKey)>, CliError> {
    let mut out = HashSet::new();
    let Some(state) = project.state_if_any()? else { return Ok(out) };
    for run in state.runs(50, None)?.iter().filter(|r| !r.state.is_final()) {
        let filter = StepFilter { states: vec![StepState::Running], ..StepFilter::default() };
        for step in state.steps(run.id, &filter)? {
            if let Target::Partition { asset, partition } = step.target {
                out.insert((asset, partition));
            }
        }
    }
    Ok(out)
}

/// Deletes the history of old runs.
pub fn prune(global: &Global, args: &Prune) -> Exit {
    let json = common::is_json(global.format)?;
    let project = common::open(global)?;
    if project.state_if_any()?.is_none() {
        terminal::out("Nothing has been run yet.\n");
        return Ok(0);
    }
    let state = project.state()?;
    let report = state.prune(Keep { days: Some(args.keep_days), runs: Some(args.keep_runs) }, now_ms())?;
    if json {
        common::print_json(global.format, &serde_json::to_value(report)?)?;
    } else {
        terminal::out(&format!(
            "Removed the history of {}: {} and {}\n",
            text::plural(report.runs, "run"),
            text::plural(report.steps, "step"),
            text::plural(report.events, "event")
        ));
    }
    Ok(0)
}

/// Makes the database again from the lake.
pub fn state(global: &Global, args: &StateCommand) -> Exit {
    let StateCommand::Rebuild = args;
    let project = common::open(global)?;
    let Some(lake) = project.lake_if_any()? else {
        return Err(CliError::Failed("there is no lake to rebuild the database from".into()));
    };
    let path = project.database();
    // The old database may be damaged; it is set aside, never deleted.
    let mut kept = None;
    if path.exists() {
        if let Ok(old) = State::open(&path)
            && let Some(run) = old.latest_run()?
            && matches!(
                run.effective(now_ms(), project.config.run.lease_ms),
                crate::state::RunLife::Running | crate::state::RunLife::Canceling
            )
        {
            return Err(CliError::Failed(format!(
                "run {} is at work with this database; cancel it first",
                run.id
            )));
        }
        let aside = path.with_extension(format!("db.{}.old", now_ms()));
        std::fs::rename(&path, &aside)?;
        for suffix in ["-wal", "-shm"] {
            let side = std::path::PathBuf::from(format!("{}{suffix}", path.display()));
            if side.exists() {
                std::fs::rename(&side, format!("{}{suffix}", aside.display()))?;
            }
        }
        kept = Some(aside);
    }
    let state = project.state()?;
    let mut world = project.world(Some(&lake), Some(&state), true, false)?;
    world.remember(&state, lake.id())?;
    let mut out = format!(
        "{} {} from the lake's manifests\n",
        green("Rebuilt:"),
        text::plural(world.adopted as u64, "partition")
    );
    if let Some(kept) = kept {
        out.push_str(&format!("The old database is at {}\n", kept.display()));
    }
    out.push_str(&dim("Only the history of runs and their events is lost.\n"));
    terminal::out(&out);
    Ok(0)
}
