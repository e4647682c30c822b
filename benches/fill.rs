//! A year of history for a project that is made already: one run an hour and some large
//! backfills, recorded through the same calls that a run uses.
//!
//!     cargo run --release -p rxpulse-benches --bin bench-fill -- PROJECT [HOURS]
//!
//! `HOURS` is 8,760 when absent. Prints one JSON line: runs, steps and events recorded, seconds.

use std::path::PathBuf;
use std::time::Instant;

use rxpulse::event::{Event, RunState, StepState, StepStats, Target};
use rxpulse::graph::{AssetKind, PartitionKey};
use rxpulse::project::Project;
use rxpulse::state::{Batch, NewRun, State};

const HOUR_MS: i64 = 3_600_000;
/// Every so many hours a backfill of everything.
const BACKFILL_EVERY: i64 = 2_000;

struct Tally {
    runs: u64,
    steps: u64,
    events: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let root: PathBuf = arguments.next().ok_or("name a project's folder")?.into();
    let hours: i64 = arguments.next().map_or(Ok(8_760), |n| n.parse())?;
    let project = Project::open(root, None).map_err(|e| e.to_string())?;
    let (lake, state) = (project.lake()?, project.state()?);
    let began = Instant::now();
    let mut tally = Tally { runs: 0, steps: 0, events: 0 };
    let first = rxpulse::exec::now_ms() - (hours + 1) * HOUR_MS;
    let graph = &project.config.graph;
    for hour in 0..hours {
        let backfill = hour % BACKFILL_EVERY == BACKFILL_EVERY / 2;
        let mut plan = Vec::new();
        for (asset, declared) in graph.iter() {
            let slots = graph.slots(asset);
            let wanted = if backfill { 0..slots } else { slots.saturating_sub(1)..slots };
            if declared.kind == AssetKind::Source && !backfill {
                let source = project.config.sources.first().map_or("source", |s| s.name.as_str());
                let window = format!("hour {hour}");
                plan.push(Target::Capture { asset: declared.key.clone(), source: source.into(), window });
            }
            for slot in wanted {
                let partition = graph.partition(asset, slot);
                plan.push(Target::Partition { asset: declared.key.clone(), partition });
            }
        }
        record(&state, lake.id(), &plan, first + hour * HOUR_MS, hour, backfill, &mut tally)?;
    }
    println!(
        r#"{{"runs": {}, "steps": {}, "events": {}, "seconds": {:.1}}}"#,
        tally.runs,
        tally.steps,
        tally.events,
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

fn record(
    state: &State,
    lake: &str,
    plan: &[Target],
    at: i64,
    hour: i64,
    backfill: bool,
    tally: &mut Tally,
) -> Result<(), Box<dyn std::error::Error>> {
    let command = if backfill { "backfill '*' --force" } else { "materialize --all" }.to_string();
    let steps = plan.len() as u64;
    let run = state.begin_run(&NewRun {
        lake: lake.into(),
        command: command.clone(),
        request_json: format!(r#"{{"backfill": {backfill}, "selection": ["*"]}}"#),
        pid: 1,
        host: "elsewhere".into(),
        steps,
        now_ms: at,
    })?;
    let mut started = vec![Event::RunStarted { command, steps }];
    started.extend(plan.iter().map(|step| Event::StepStarted { step: step.clone(), attempt: 1 }));
    let batch = Batch { now_ms: at + 300, events: started, plan: plan.to_vec(), ..Batch::default() };
    let mut events = state.record(run, &batch)?.len();
    // One run in fifty has a failure, as life has.
    let unlucky = hour % 50 == 7;
    let mut ended: Vec<Event> = Vec::with_capacity(plan.len() + 1);
    for (n, step) in plan.iter().enumerate() {
        let failed = unlucky && n + 1 == plan.len();
        let whole = matches!(step, Target::Partition { partition: PartitionKey::Whole, .. });
        let stats = StepStats {
            rows_in: Some(500),
            rows_out: Some(if whole { 12 } else { 480 }),
            ..StepStats::default()
        };
        ended.push(Event::StepFinished {
            step: step.clone(),
            state: if failed { StepState::Failed } else { StepState::Succeeded },
            stats: if failed { StepStats::default() } else { stats },
            message: failed.then(|| "the query ran out of memory; give [run] memory_limit more".to_string()),
            checks: Vec::new(),
            elapsed_ms: 900 + n as u64 % 700,
        });
    }
    let state_now = if unlucky { RunState::Failed } else { RunState::Succeeded };
    ended.push(Event::RunFinished { state: state_now, elapsed_ms: 2_400 });
    events += state.record(run, &Batch { now_ms: at + 2_400, events: ended, ..Batch::default() })?.len();
    tally.runs += 1;
    tally.steps += steps;
    tally.events += events as u64;
    Ok(())
}
