//! `rxpulse runs`: what was run, and what it did.

use crate::event::StepState;
use crate::exec::now_ms;
use crate::output::event_line::line;
use crate::output::terminal::{self, dim, green, red, yellow};
use crate::output::{sanitize, text};
use crate::project::Project;
use crate::run_view::lane;
use crate::state::{RunId, RunLife, RunRow, State, StepFilter};

use super::args::{Global, Logs, Runs};
use super::common::{self, CliError, Exit};
use super::steer::life;

/// A run's state in colour.
pub fn life_word(life: RunLife) -> String {
    match life {
        RunLife::Queued => dim("queued"),
        RunLife::Running => yellow("running"),
        RunLife::Canceling => yellow("canceling"),
        RunLife::Dead => red("dead (its process is gone)"),
        RunLife::Succeeded => green("succeeded"),
        RunLife::Failed => red("failed"),
        RunLife::Canceled => yellow("canceled"),
    }
}

/// Runs the command.
pub fn run(global: &Global, args: &Runs) -> Exit {
    let project = common::open_quietly(global)?;
    let Some(state) = project.state_if_any()? else {
        if common::is_json(global.format)? {
            match args {
                Runs::List { .. } => common::print_json(global.format, &serde_json::json!([]))?,
                Runs::Logs(_) => {}
                _ => return Err(CliError::Usage("nothing has been run yet".into())),
            }
        } else {
            terminal::out("Nothing has been run yet: rxpulse materialize --all\n");
        }
        return Ok(0);
    };
    match args {
        Runs::List { limit } => list(global, &project, &state, *limit),
        Runs::Show { run, state: states } => show(global, &project, &state, *run, states),
        Runs::Logs(args) => logs(global, &project, &state, args),
        Runs::Cancel { run } => super::steer::cancel(global, &project, &project.state()?, *run),
        Runs::Resume { run } => super::steer::resume(global, &project, &project.state()?, *run),
        Runs::Retry { run, from_failure, .. } => {
            super::steer::retry(global, &project, &project.state()?, *run, *from_failure)
        }
    }
}

fn chosen(state: &State, run: Option<i64>) -> Result<RunRow, CliError> {
    let found = match run {
        Some(id) => state.run(RunId(id))?,
        None => state.latest_run()?,
    };
    found.ok_or_else(|| match run {
        Some(id) => CliError::Usage(format!("there is no run {id}; `rxpulse runs list` shows them")),
        None => CliError::Usage("nothing has been run yet".into()),
    })
}

fn list(global: &Global, project: &Project, state: &State, limit: u32) -> Exit {
    let json = common::is_json(global.format)?;
    let runs = state.runs(limit, None)?;
    if json {
        let list: Vec<_> = runs
            .iter()
            .map(|r| {
                let mut value = serde_json::to_value(r).unwrap_or_default();
                value["life"] = serde_json::json!(life(r, project));
                value
            })
            .collect();
        common::print_json(global.format, &serde_json::Value::Array(list))?;
        return Ok(0);
    }
    let rows = runs
        .iter()
        .map(|r| {
            let end = r.finished_ms.unwrap_or(now_ms());
            vec![
                r.id.to_string(),
                life_word(life(r, project)),
                text::moment(r.started_ms),
                text::duration((end - r.started_ms).max(0) as u64),
                text::count(r.counts.succeeded),
                text::count(r.counts.skipped),
                text::count(r.counts.failed + r.counts.upstream_failed),
                sanitize::short(&r.command, 60),
            ]
        })
        .collect();
    terminal::out(&text::table(
        &["run", "state", "started (UTC)", "took", "done", "fresh", "failed", "command"],
        rows,
        &[0, 3, 4, 5, 6],
        None,
    ));
    Ok(0)
}

fn show(global: &Global, project: &Project, state: &State, run: Option<i64>, states: &[String]) -> Exit {
    let json = common::is_json(global.format)?;
    let row = chosen(state, run)?;
    let mut wanted = Vec::new();
    for word in states {
        wanted.push(StepState::parse(word).ok_or_else(|| {
            CliError::Usage(format!(
                "`{word}` is no state of a step; they are waiting, ready, running, succeeded, failed, skipped, upstream_failed, canceled"
            ))
        })?);
    }
    let filter = StepFilter { states: wanted, ..StepFilter::default() };
    let steps = state.steps(row.id, &filter)?;
    let life = life(&row, project);
    if json {
        let mut value = serde_json::to_value(&row)?;
        value["life"] = serde_json::json!(life);
        value["step_list"] = serde_json::to_value(&steps)?;
        common::print_json(global.format, &value)?;
        return Ok(0);
    }
    let mut out = format!(
        "Run {} {} · started {} UTC · {}\n",
        row.id,
        life_word(life),
        text::moment(row.started_ms),
        sanitize::line(&row.command)
    );
    if let Some(message) = &row.message {
        out.push_str(&format!("{}\n", sanitize::line(message)));
    }
    out.push_str(&format!(
        "{} planned: {} done, {} fresh, {} failed, {} blocked, {} canceled\n\n",
        text::plural(row.steps, "step"),
        text::count(row.counts.succeeded),
        text::count(row.counts.skipped),
        text::count(row.counts.failed),
        text::count(row.counts.upstream_failed),
        text::count(row.counts.canceled)
    ));
    // Failures in full, the rest by asset and state.
    let mut groups: std::collections::BTreeMap<(String, &str), (u64, u64, u64)> = Default::default();
    for step in &steps {
        let entry = groups.entry((lane(&step.target), step.state.as_str())).or_default();
        entry.0 += 1;
        entry.1 += step.stats.rows_in.unwrap_or(0);
        entry.2 += step.stats.rows_out.unwrap_or(0);
    }
    let rows = groups
        .into_iter()
        .map(|((lane, word), (n, rows_in, rows_out))| {
            vec![lane, word.to_string(), text::count(n), text::count(rows_in), text::count(rows_out)]
        })
        .collect();
    out.push_str(&text::table(&["asset", "state", "steps", "rows in", "rows out"], rows, &[2, 3, 4], None));
    let failed: Vec<_> =
        steps.iter().filter(|s| matches!(s.state, StepState::Failed | StepState::UpstreamFailed)).collect();
    if !failed.is_empty() {
        out.push('\n');
        for step in failed.iter().take(50) {
            let message = step.message.as_deref().unwrap_or("");
            out.push_str(&format!(
                "{} {}: {}\n",
                red(step.state.as_str()),
                sanitize::line(&step.target.to_string()),
                sanitize::line(message)
            ));
        }
        if failed.len() > 50 {
            out.push_str(&dim(&format!("… and {} more: --format json shows all\n", failed.len() - 50)));
        }
    }
    terminal::out(&out);
    Ok(0)
}

fn logs(global: &Global, project: &Project, state: &State, args: &Logs) -> Exit {
    let json = common::is_json(global.format)?;
    let row = chosen(state, args.run)?;
    let mut after = 0;
    loop {
        let events = state.events(row.id, after, 10_000)?;
        let mut out = String::new();
        for (seq, at_ms, event) in &events {
            after = *seq;
            if json {
                let value = serde_json::json!({ "seq": *seq, "at": crate::envelope::format_millis(*at_ms), "event": event });
                out.push_str(&format!("{value}\n"));
            } else {
                out.push_str(&format!("{} {}\n", dim(&text::moment(*at_ms)), line(event)));
            }
        }
        terminal::out(&out);
        if !events.is_empty() {
            continue;
        }
        let now = state.run(row.id)?;
        let live = now.is_some_and(|r| {
            matches!(life(&r, project), RunLife::Running | RunLife::Canceling | RunLife::Queued)
        });
        if !args.follow || !live {
            return Ok(0);
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
