//! `rxpulse runs cancel|resume|retry`: what becomes of a run that is under way, or ended early.

use std::time::{Duration, Instant};

use crate::event::{StepState, Target};
use crate::exec::{RunOptions, now_ms};
use crate::graph::{AssetGraph, AssetPartition, PartitionSet};
use crate::output::terminal::{self, bold, dim};
use crate::output::{sanitize, text};
use crate::project::Project;
use crate::state::{DIED, RunId, RunLife, RunRow, State, StepFilter, StepRow};

use super::args::Global;
use super::common::{self, CliError, Exit};
use super::materialize::{Asked, Which, launch};

/// How long `cancel` waits for the run to end before it leaves it to itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a run stands.
pub fn life(row: &RunRow, project: &Project) -> RunLife {
    project.life(row)
}

fn at_work(life: RunLife) -> bool {
    matches!(life, RunLife::Queued | RunLife::Running | RunLife::Canceling)
}

/// The run of a number, or the newest one that is so.
fn chosen(
    state: &State,
    project: &Project,
    run: Option<i64>,
    what: &str,
    fits: impl Fn(&RunRow, RunLife) -> bool,
) -> Result<RunRow, CliError> {
    if let Some(id) = run {
        return state
            .run(RunId(id))?
            .ok_or_else(|| CliError::Usage(format!("there is no run {id}; `rxpulse runs list` shows them")));
    }
    let runs = state.runs(200, None)?;
    runs.into_iter()
        .find(|r| fits(r, life(r, project)))
        .ok_or_else(|| CliError::Usage(format!("no run {what}; `rxpulse runs list` shows them all")))
}

/// `runs cancel`.
pub fn cancel(global: &Global, project: &Project, state: &State, run: Option<i64>) -> Exit {
    let json = common::is_json(global.format)?;
    let row = chosen(state, project, run, "is at work", |_, life| at_work(life))?;
    let before = life(&row, project);
    if before == RunLife::Dead {
        state.mark_dead(row.id, now_ms())?;
    } else if !state.request_cancel(row.id)? {
        return Err(CliError::Usage(format!("run {} has ended: it {}", row.id, row.state.as_str())));
    }
    let began = Instant::now();
    let mut now = state.run(row.id)?.unwrap_or(row);
    while !now.state.is_final() && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
        if let Some(row) = state.run(now.id)? {
            now = row;
        }
        if life(&now, project) == RunLife::Dead {
            state.mark_dead(now.id, now_ms())?;
        }
    }
    let after = life(&now, project);
    if json {
        common::print_json(
            global.format,
            &serde_json::json!({ "run": now.id, "life": after, "counts": now.counts }),
        )?;
        return Ok(0);
    }
    let mut out = format!(
        "Run {} is {}: {} published, {} canceled\n",
        now.id,
        super::runs::life_word(after),
        text::plural(now.counts.succeeded, "step"),
        text::count(now.counts.canceled)
    );
    if at_work(after) {
        out.push_str("It finishes what cannot be interrupted, and then stops.\n");
    } else {
        out.push_str(&format!(
            "Go on with what is left: {}\n",
            bold(&format!("rxpulse runs resume {}", now.id))
        ));
    }
    terminal::out(&out);
    Ok(0)
}

/// `runs resume`.
pub fn resume(global: &Global, project: &Project, state: &State, run: Option<i64>) -> Exit {
    let row = chosen(state, project, run, "was canceled or died", |row, life| {
        matches!(life, RunLife::Dead | RunLife::Canceled) || row.message.as_deref() == Some(DIED)
    })?;
    let row = ended(state, project, row)?;
    again(global, project, state, &row, "resume", |step| {
        step.state == StepState::Canceled || step.message.as_deref() == Some(DIED)
    })
}

/// `runs retry`.
pub fn retry(global: &Global, project: &Project, state: &State, run: Option<i64>, all: bool) -> Exit {
    let row =
        chosen(state, project, run, "failed", |_, life| matches!(life, RunLife::Failed | RunLife::Dead))?;
    let row = ended(state, project, row)?;
    again(global, project, state, &row, if all { "retry --from-failure" } else { "retry" }, |step| {
        matches!(step.state, StepState::Failed | StepState::UpstreamFailed)
            || all && step.state == StepState::Canceled
    })
}

/// The run as it ended; one whose process is gone is ended here.
fn ended(state: &State, project: &Project, row: RunRow) -> Result<RunRow, CliError> {
    match life(&row, project) {
        RunLife::Dead => {
            state.mark_dead(row.id, now_ms())?;
            Ok(state.run(row.id)?.unwrap_or(row))
        }
        life if at_work(life) => Err(CliError::Usage(format!(
            "run {} is at work; `rxpulse runs cancel {}` stops it first",
            row.id, row.id
        ))),
        _ if row.pruned => Err(CliError::Usage(format!(
            "the steps of run {} were pruned; make what is behind with `rxpulse materialize --all`",
            row.id
        ))),
        _ => Ok(row),
    }
}

/// A new run over some steps of an old one, with what the old one was asked for.
fn again(
    global: &Global,
    project: &Project,
    state: &State,
    row: &RunRow,
    verb: &str,
    wanted: impl Fn(&StepRow) -> bool,
) -> Exit {
    let steps = state.steps(row.id, &StepFilter::default())?;
    let (set, gone) =
        partitions(&project.config.graph, steps.iter().filter(|s| wanted(s)).map(|s| &s.target));
    if set.is_empty() {
        let json = common::is_json(global.format)?;
        if json {
            common::print_json(
                global.format,
                &serde_json::json!({ "state": "succeeded", "run": null, "steps": 0 }),
            )?;
        } else {
            terminal::out(&format!("Nothing is left of run {}.\n", row.id));
        }
        return Ok(0);
    }
    if gone > 0 && !global.quiet {
        terminal::err(&dim(&format!(
            "{} of run {} do not exist any more\n",
            text::plural(gone, "partition"),
            row.id
        )));
    }
    let request: serde_json::Value = serde_json::from_str(&row.request_json).unwrap_or_default();
    let flag = |key: &str| request.get(key).and_then(serde_json::Value::as_bool).unwrap_or(false);
    let parallel = request.get("parallel").and_then(serde_json::Value::as_u64);
    let mut kept = request.clone();
    kept["of_run"] = serde_json::json!(row.id);
    let asked = Asked {
        which: Which::Set(set),
        force: flag("force"),
        options: RunOptions {
            command: format!("runs {verb} {} ({})", row.id, sanitize::short(&row.command, 200)),
            request_json: kept.to_string(),
            newest_first: flag("reverse"),
            parallel: parallel.and_then(|n| usize::try_from(n).ok()),
            max_usd: request
                .get("max_usd")
                .and_then(serde_json::Value::as_f64)
                .map(crate::enrich::Usd::from_dollars),
        },
    };
    launch(global, project, &asked)
}

/// Targets as partitions of today's graph, and how many are not in it. A capture stands for
/// every day of its asset: what its window holds is known when it is read.
pub fn partitions<'t>(graph: &AssetGraph, targets: impl Iterator<Item = &'t Target>) -> (PartitionSet, u64) {
    let mut set = PartitionSet::empty(graph);
    let mut gone = 0;
    for target in targets {
        let Some(asset) = graph.find(target.asset().as_str()) else {
            gone += 1;
            continue;
        };
        match target {
            Target::Capture { .. } => set.insert_range(asset, 0..graph.slots(asset)),
            Target::Partition { partition, .. } => {
                match graph.slot(AssetPartition { asset, partition: *partition }) {
                    Some(slot) => set.insert(asset, slot),
                    None => gone += 1,
                }
            }
        }
    }
    (set, gone)
}
