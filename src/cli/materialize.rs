//! `rxpulse materialize`: plan, run, tell how it went.

use std::sync::Arc;

use crate::event::RunState;
use crate::exec::{self, RunOptions, Signals, Told, World};
use crate::graph::{
    AssetGraph, Outcome, PartitionSet, Plan, Request, closure_down, plan, with_system_inputs,
};
use crate::output::progress::{Progress, words};
use crate::output::terminal::{Format, bold, dim, err, green, red, yellow};
use crate::output::{sanitize, text};
use crate::project::Project;
use crate::run_view::{RunView, capture_lane};

use super::args::{Days, Global, Materialize};
use super::argv;
use super::common::{self, CliError, Exit};
use super::retain::{self, Removal};

/// A selection as partitions, and the plan for them.
pub struct Planned {
    /// What is known.
    pub world: World,
    /// What would be done.
    pub plan: Plan,
}

/// Which partitions a run is asked for.
pub enum Which {
    /// By a selection and days; an empty selection is everything.
    Selection {
        /// The terms.
        terms: Vec<String>,
        /// Which days.
        days: Days,
        /// Of these, only those that stand so.
        only: Only,
    },
    /// These: what a former run left.
    Set(PartitionSet),
}

/// Where the partitions of a backfill must stand; nothing set means anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Only {
    /// Never made.
    pub missing: bool,
    /// The newest attempt failed; with what depends on them.
    pub failed: bool,
    /// Out of date.
    pub stale: bool,
}

impl Only {
    fn any(self) -> bool {
        self.missing || self.failed || self.stale
    }
}

/// What a person asks a run for.
pub struct Asked {
    /// Which partitions.
    pub which: Which,
    /// Fresh ones too.
    pub force: bool,
    /// How it runs, and what is recorded of the request.
    pub options: RunOptions,
}

impl Asked {
    /// By the arguments of `materialize`.
    pub fn materialize(args: &Materialize) -> Self {
        let request = serde_json::json!({
            "selection": args.selection,
            "all": args.all,
            "partitions": args.days.partitions,
            "from": args.days.from,
            "to": args.days.to,
            "latest": args.days.latest,
            "force": args.force,
            "reverse": args.reverse,
            "max_usd": args.max_usd,
        });
        Self {
            which: Which::Selection {
                terms: args.selection.clone(),
                days: args.days.clone(),
                only: Only::default(),
            },
            force: args.force,
            options: RunOptions {
                command: text::command(&argv::materialize(args)),
                request_json: request.to_string(),
                newest_first: args.reverse,
                parallel: None,
                max_usd: args.max_usd.map(crate::enrich::Usd::from_dollars),
            },
        }
    }
}

/// Why a limit in dollars is refused.
pub fn unkept(provider: crate::config::Provider) -> CliError {
    let name = provider.as_str();
    CliError::Usage(format!(
        "--max-usd cannot be kept: what {name} costs is not known; add to [ai.{name}]: price = {{ input = 0.30, \
         output = 2.50, as_of = \"2026-10-07\" }}, in USD per million tokens"
    ))
}

/// Plans what is asked for.
pub fn planned(
    project: &Project,
    asked: &Asked,
    lake: Option<&crate::lake::Lake>,
    state: Option<&crate::state::State>,
    write: bool,
) -> Result<Planned, CliError> {
    let graph = &project.config.graph;
    if asked.options.max_usd.is_some()
        && let Some(provider) = exec::unpriced(&project.config)
    {
        return Err(unkept(provider));
    }
    let selected = match &asked.which {
        Which::Set(set) => Ok(set.clone()),
        Which::Selection { terms, days, only } => {
            // Names first: a slip of the fingers should not wait for a look at the lake.
            let days = common::day_set(days, graph.days())?;
            match only.any() || common::uses_status(terms)? {
                true => Err((terms, days, *only)),
                false => Ok(common::resolve(graph, terms, &days, None)?),
            }
        }
    };
    let world = project.world(lake, state, write, asked.force)?;
    let selected = match selected {
        Ok(set) => set,
        Err((terms, days, only)) => {
            let statuses = common::Statuses::read(graph, &world, state, lake.map(crate::lake::Lake::id))?;
            let set = common::resolve(graph, terms, &days, Some(&statuses))?;
            if only.any() { narrowed(graph, &set, &statuses, only) } else { set }
        }
    };
    let selected = with_system_inputs(graph, &world.ledger, &world.seen, &selected);
    let request = Request { selected, force: asked.force };
    let plan = plan(graph, &world.ledger, &world.seen, &request);
    Ok(Planned { world, plan })
}

/// The partitions of a set that stand as asked; what depends on failed ones comes along, since
/// it could not be made without them.
fn narrowed(graph: &AssetGraph, set: &PartitionSet, statuses: &common::Statuses, only: Only) -> PartitionSet {
    let mut out = PartitionSet::empty(graph);
    let mut failed = PartitionSet::empty(graph);
    for asset in graph.indices() {
        for slot in set.slots_of(asset) {
            if only.failed && statuses.failed(asset, slot) {
                failed.insert(asset, slot);
            }
            let word = statuses.word(asset, slot);
            if only.missing && word == "missing" || only.stale && matches!(word, "stale" | "incomplete") {
                out.insert(asset, slot);
            }
        }
    }
    out.union(&closure_down(graph, &failed));
    out
}

/// Runs the command.
pub fn run(global: &Global, args: &Materialize) -> Exit {
    if args.dry_run {
        return super::plan::run(global, args);
    }
    if args.selection.is_empty() && !args.all {
        return Err(CliError::Usage(
            "say what to make: --all, or a selection such as `fact_issue_daily`, `+layer:gold` or `status:stale`".into(),
        ));
    }
    if args.tui {
        return super::tui::materialize(global, args);
    }
    launch(global, &common::open(global)?, &Asked::materialize(args))
}

/// Plans what is asked for and makes it.
pub fn launch(global: &Global, project: &Project, asked: &Asked) -> Exit {
    common::is_json(global.format)?;
    let stage = Stage::new()?;
    let lake = Arc::new(project.lake()?);
    let state = project.state()?;
    let mut plan = planned(project, asked, Some(&lake), Some(&state), true)?;
    let removed = retain::remove_due(global, project, &lake, Some(&state), &mut plan.world)?;
    if removed == Removal::Done {
        plan = planned(project, asked, Some(&lake), Some(&state), true)?;
    }
    let mut planned = plan;
    planned.world.settle_touched(&lake, exec::now_ms())?;
    for note in &planned.world.notes {
        if !global.quiet {
            err(&format!("{} {}\n", yellow("note:"), sanitize::line(note)));
        }
    }
    retain::tell_kept(global, project, &planned.plan, asked.force)?;
    let code = if planned.plan.is_empty() {
        planned.world.remember(&state, lake.id())?;
        nothing_to_do(global, project, &planned)?
    } else {
        execute(global, project, lake, &state, &mut planned, &asked.options, stage)?
    };
    Ok(if removed == Removal::Failed && code == 0 { 3 } else { code })
}

/// Where a run takes place: threads, and an ear for signals from before it is planned until
/// everything is told, so that whoever interrupts is always answered.
pub struct Stage {
    runtime: tokio::runtime::Runtime,
    signals: Signals,
}

impl Stage {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_stack_size(8 << 20)
            .enable_all()
            .build()?;
        let signals = runtime.block_on(async { Signals::listen(stopped) })?;
        Ok(Self { runtime, signals })
    }
}

/// A signal came while no run was at work: nothing is half done.
fn stopped(code: i32) {
    err(&format!("{}\n", yellow("interrupted while no run was at work")));
    std::process::exit(code);
}

/// How a run went.
pub struct Carried {
    /// In short.
    pub report: exec::RunReport,
    /// What was seen of it.
    pub view: RunView,
    /// Checks over several partitions, made after it.
    pub asset_checks: Vec<exec::AssetCheck>,
}

impl Carried {
    /// The exit code.
    pub fn code(&self) -> u8 {
        let checks_failed =
            self.asset_checks.iter().any(|c| c.result.status == crate::event::CheckStatus::Failed);
        match (self.report.state, self.report.signal) {
            (_, Some(code)) => u8::try_from(code).unwrap_or(130),
            (RunState::Succeeded, _) if !checks_failed => 0,
            (RunState::Canceled, _) => 130,
            _ if self.report.published > 0 => 3,
            _ => 1,
        }
    }
}

/// Runs a plan, shows it, and tells how it went. Gives the exit code.
pub fn execute(
    global: &Global,
    project: &Project,
    lake: Arc<crate::lake::Lake>,
    state: &crate::state::State,
    planned: &mut Planned,
    options: &RunOptions,
    mut stage: Stage,
) -> Exit {
    let carried = carry_out(global, project, lake, state, planned, options, &mut stage)?;
    summary(global, project, &carried.view, &carried.report, &options.command, &carried.asset_checks)?;
    // A worker that is still winding down must not hold the exit.
    stage.runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    Ok(carried.code())
}

/// Runs a plan and shows its progress.
pub fn carry_out(
    global: &Global,
    project: &Project,
    lake: Arc<crate::lake::Lake>,
    state: &crate::state::State,
    planned: &mut Planned,
    options: &RunOptions,
    stage: &mut Stage,
) -> Result<Carried, CliError> {
    let Planned { world, plan } = planned;
    let res = Arc::new(project.resources(lake)?);
    let graph = &project.config.graph;
    let mut order: Vec<String> = project
        .config
        .sources
        .iter()
        .flat_map(|s| graph.iter().map(move |(_, a)| capture_lane(&a.key, &s.name)))
        .collect();
    order.extend(graph.iter().map(|(_, a)| a.key.to_string()));
    let mut progress = Progress::new(global.progress, exec::targets(graph, plan).into_iter(), order);
    if global.quiet {
        progress = progress.only_errors();
    }
    if !global.quiet {
        progress.line(&dim(&format!(
            "{} to do, {} fresh",
            text::plural((plan.steps.len() + plan.captures.len()) as u64, "step"),
            text::count(plan.fresh as u64)
        )));
    }
    let signals = &mut stage.signals;
    let report = stage.runtime.block_on(async {
        let mut tell = |told: Told<'_>| match told {
            Told::Event(_, event) => progress.event(event),
            Told::Tick => progress.tick(),
            Told::Canceling => progress.line(&yellow("canceling… (once more to stop at once)")),
            Told::Live(_) => {}
        };
        exec::run(&res, state, world, plan, options, signals, &mut tell).await.map_err(CliError::from)
    })?;
    progress.finish();
    let asset_checks = match (report.state, report.signal) {
        (RunState::Canceled, _) | (_, Some(_)) => Vec::new(),
        _ => exec::asset_checks(&res, world, None),
    };
    Ok(Carried { report, view: progress.view, asset_checks })
}

fn nothing_to_do(global: &Global, project: &Project, planned: &Planned) -> Exit {
    let Planned { world, plan } = planned;
    match global.format {
        Format::Human => {
            if !global.quiet {
                let fresh = text::plural(plan.fresh as u64, "partition");
                err(&format!("{} {fresh} fresh: 0 steps, no data was read\n", green("Nothing to do:")));
                err(&super::batches::told(project)?);
                err(&waiting(project, world));
            }
        }
        _ => common::print_json(
            global.format,
            &serde_json::json!({ "state": "succeeded", "run": null, "steps": 0, "fresh": plan.fresh }),
        )?,
    }
    Ok(0)
}

/// Days that are fresh only because nobody can get further with them now, and why.
fn waiting(project: &Project, world: &World) -> String {
    let config = &project.config;
    let mut out = String::new();
    for (&asset, held) in &world.seen.held {
        let days = |outcome: Outcome| {
            let entries = world.ledger.of(asset).iter().flatten();
            let n = entries.filter(|e| e.outcome == outcome && held.contains(&outcome)).count();
            (n > 0).then(|| text::plural(n as u64, "day"))
        };
        let key = config.graph.key(asset);
        if let Some(days) = days(Outcome::Budget) {
            let line = format!("{key}: the budget of today is spent; {days} go on tomorrow (UTC)\n");
            out.push_str(&dim(&line));
        }
        let asks = || exec::asks_network(config, asset);
        if let (Some(days), Some(enrich)) = (days(Outcome::Unreached), asks()) {
            let prompt = exec::ai_prompt(enrich, &project.embedded);
            let why = exec::ai_chain(config, enrich, &prompt, None).missing.unwrap_or_default();
            out.push_str(&format!("{} {key}: {days} wait for a language model; {why}\n", yellow("note:")));
        }
    }
    out
}

/// What to look at next: the table that people read most, by name where it is declared, else the
/// last gold table that no other reads.
fn look_at(graph: &crate::graph::AssetGraph) -> String {
    let table = graph.find("fact_issue_daily").or_else(|| {
        let rank = |(idx, asset): &(crate::graph::AssetIdx, &crate::graph::Asset)| {
            (asset.kind == crate::graph::AssetKind::Sql, graph.downstream(*idx).is_empty())
        };
        graph.iter().max_by_key(rank).map(|(idx, _)| idx)
    });
    let Some(table) = table.map(|t| graph.key(t)) else {
        return "Look at it: rxpulse status\n".to_string();
    };
    let order = if table.as_str() == "fact_issue_daily" { " ORDER BY mentions DESC" } else { "" };
    format!(
        "Look at it: rxpulse status · rxpulse query \"SELECT * FROM {table}{order} LIMIT 10\" · rxpulse explain {table}\n"
    )
}

fn summary(
    global: &Global,
    project: &Project,
    view: &RunView,
    report: &exec::RunReport,
    command: &str,
    asset_checks: &[exec::AssetCheck],
) -> Result<(), CliError> {
    let failed_checks: Vec<_> =
        asset_checks.iter().filter(|c| c.result.status != crate::event::CheckStatus::Passed).collect();
    if global.format != Format::Human {
        let value = serde_json::json!({
            "run": report.run.0,
            "state": view.state,
            "elapsed_ms": view.elapsed_ms,
            "steps": view.total(),
            "assets": view.assets,
            "captured": view.captured,
            "totals": view.totals,
            "failures": view.failures,
            "asset_checks": asset_checks.iter().map(|c| serde_json::json!({
                "asset": c.asset, "check": c.result })).collect::<Vec<_>>(),
        });
        return common::print_json(global.format, &value);
    }
    if global.quiet && report.failed == 0 {
        return Ok(());
    }
    let mut out = String::from("\n");
    let mut rows = Vec::new();
    for (source, stats) in &view.captured {
        let n = |v: Option<u64>| v.map(text::count).unwrap_or_default();
        if stats.rows_in.is_some() {
            rows.push(vec![
                source.clone(),
                n(stats.rows_in),
                n(stats.rows_out),
                n(stats.duplicate),
                n(stats.quarantined),
            ]);
        }
    }
    if !rows.is_empty() {
        out.push_str(&text::table(
            &["captured from", "records", "good", "duplicate", "quarantined"],
            rows,
            &[1, 2, 3, 4],
            None,
        ));
        out.push('\n');
    }
    let graph = &project.config.graph;
    let mut rows = Vec::new();
    let mut left_out = String::new();
    for (_, asset) in graph.iter() {
        let Some(counts) = view.assets.get(asset.key.as_str()).filter(|c| c.done() > 0) else { continue };
        let totals = view.totals.get(&asset.key).cloned().unwrap_or_default();
        let n = |v: Option<u64>| v.map(text::count).unwrap_or_default();
        rows.push(vec![
            asset.key.to_string(),
            words(counts),
            n(totals.rows_in),
            n(totals.off_brand),
            n(totals.rows_out),
        ]);
        if !totals.dropped.is_empty() {
            let reasons: Vec<String> = totals
                .dropped
                .iter()
                .map(|(reason, n)| format!("{} {}", text::count(*n), sanitize::line(reason)))
                .collect();
            left_out.push_str(&dim(&format!("left out of {}: {}\n", asset.key, reasons.join(", "))));
        }
    }
    if !rows.is_empty() {
        out.push_str(&text::table(
            &["asset", "partitions", "rows in", "off brand", "rows out"],
            rows,
            &[2, 3, 4],
            None,
        ));
        out.push_str(&left_out);
        out.push('\n');
    }
    for check in &failed_checks {
        let word = match check.result.status {
            crate::event::CheckStatus::Failed => red("check failed"),
            _ => yellow("check warned"),
        };
        out.push_str(&format!(
            "{word} {}: {} ({})\n",
            check.asset,
            check.result.check,
            sanitize::line(&check.result.message)
        ));
    }
    let mut told = std::collections::BTreeSet::new();
    for blocked in view.failures.iter().filter(|f| f.state == crate::event::StepState::UpstreamFailed) {
        // One reason of each kind; the rest is in `runs show`.
        let kind = (blocked.step.asset().to_string(), blocked.message.contains("does not exist"));
        if told.len() < 5 && told.insert(kind) {
            let step = sanitize::line(&blocked.step.to_string()).into_owned();
            out.push_str(&format!("{} {step}: {}\n", yellow("blocked"), sanitize::line(&blocked.message)));
        }
    }
    if view.failures.len() > 10 {
        out.push_str(&format!(
            "… and {} more failures: rxpulse runs show {}\n",
            view.failures.len() - 10,
            report.run.0
        ));
    }
    let elapsed = text::duration(view.elapsed_ms.unwrap_or(0));
    let steps = view.total();
    let line = match report.state {
        RunState::Succeeded => green(&format!("Run {} succeeded", report.run.0)),
        RunState::Canceled => yellow(&format!("Run {} was canceled", report.run.0)),
        _ => red(&format!("Run {} failed", report.run.0)),
    };
    out.push_str(&format!("{line} in {elapsed}: {}\n", words(&steps)));
    match report.state {
        RunState::Succeeded => {
            out.push_str(&super::batches::told(project)?);
            out.push_str(&dim(&look_at(&project.config.graph)));
        }
        RunState::Canceled => {
            out.push_str(&format!("Go on with what is left: {}\n", bold(&format!("rxpulse {command}"))));
        }
        _ => out.push_str(&format!("Run what failed again: {}\n", bold(&rerun(view)))),
    }
    err(&out);
    Ok(())
}

/// The command that runs what failed, and what depends on it, again.
fn rerun(view: &RunView) -> String {
    let mut assets = std::collections::BTreeSet::new();
    let mut days = std::collections::BTreeSet::new();
    let mut captures = false;
    for failure in &view.failures {
        // What misses an input runs only together with what makes it.
        let plus = if failure.message.contains("does not exist") { "+" } else { "" };
        assets.insert(format!("{plus}{}", failure.step.asset()));
        match &failure.step {
            crate::event::Target::Partition { partition, .. } => {
                if let Some(day) = partition.day() {
                    days.insert(day);
                }
            }
            crate::event::Target::Capture { .. } => captures = true,
        }
    }
    let names: Vec<String> = assets.into_iter().collect();
    let mut out = format!("rxpulse materialize {}", names.join(" "));
    if !captures && !days.is_empty() && days.len() <= 5 {
        for day in days {
            out.push_str(&format!(" --partition {day}"));
        }
    } else if let (false, Some(first), Some(last)) = (captures, days.first(), days.last()) {
        out.push_str(&format!(" --from {first} --to {last}"));
    }
    out
}
