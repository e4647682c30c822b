//! Planning from a ledger of 1,000,000 fresh entries: 100 assets by 10,000 days, each reading
//! the last seven days of the one before it, with one late change in the first.
//!
//!     cargo run --release -p rxpulse-benches --bin bench-ledger
//!
//! Prints one JSON line a round: milliseconds of reading the ledger from SQLite and of
//! planning, the CPU milliseconds of both, steps planned, and at the end peak memory.

use std::num::NonZeroU32;
use std::time::Instant;

use rxpulse::graph::{
    Asset, AssetGraph, AssetIdx, AssetKind, CodeId, CodeVersion, DataVersion, Day, DayRange, Dep, Entry,
    Layer, Ledger, Observations, Outcome, PartitionMapping, PartitionSet, Partitioning, Request, fingerprint,
    plan,
};
use rxpulse::state::{Published, State};

const ASSETS: usize = 100;
const DAYS: i32 = 10_000;
const LAKE: &str = "bench";

fn graph() -> Result<AssetGraph, Box<dyn std::error::Error>> {
    let assets = (0..ASSETS)
        .map(|n| {
            let deps = match n {
                0 => Vec::new(),
                _ => vec![Dep {
                    asset: format!("asset_{:03}", n - 1).parse()?,
                    mapping: PartitionMapping::Trailing { days: 7 },
                }],
            };
            Ok(Asset {
                key: format!("asset_{n:03}").parse()?,
                layer: Layer::Gold,
                kind: if n == 0 { AssetKind::Source } else { AssetKind::Sql },
                partitioning: Partitioning::Daily,
                deps,
                tags: Vec::new(),
                owners: Vec::new(),
                description: String::new(),
                pool: None,
                code: CodeVersion::of(b"a body"),
            })
        })
        .collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
    let first: Day = "2000-01-01".parse()?;
    let days = DayRange::new(first, first.plus(DAYS - 1)).ok_or("no days")?;
    AssetGraph::build(assets, days).map_err(|e| format!("{e:?}").into())
}

/// Every partition as made from what its inputs hold now.
fn publish_all(state: &State, graph: &AssetGraph) -> Result<(), Box<dyn std::error::Error>> {
    let seen = Observations::default();
    let mut ledger = Ledger::new(graph);
    for asset in graph.indices() {
        let code = graph.asset(asset).code;
        let id: CodeId = ledger.intern(code);
        let mut rows = Vec::with_capacity(graph.slots(asset));
        for slot in 0..graph.slots(asset) {
            let entry = Entry {
                code: id,
                inputs: fingerprint(graph, &ledger, &seen, asset, slot),
                data: DataVersion::of(format!("{asset:?} {slot}").as_bytes()),
                rows: 7,
                at_ms: 1,
                generation: NonZeroU32::MIN,
                outcome: Outcome::Complete,
            };
            ledger.set(asset, slot, Some(entry));
            rows.push(published(graph, asset, slot, &entry));
        }
        state.ledger_adopt(LAKE, &rows)?;
    }
    Ok(())
}

fn published(graph: &AssetGraph, asset: AssetIdx, slot: usize, entry: &Entry) -> Published {
    Published {
        asset: graph.key(asset).clone(),
        partition: graph.partition(asset, slot),
        code: graph.asset(asset).code,
        inputs: entry.inputs,
        data: entry.data,
        rows: entry.rows,
        at_ms: entry.at_ms,
        generation: entry.generation,
        outcome: entry.outcome,
    }
}

/// User and system milliseconds of this process.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    after.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum::<u64>() * 10
}

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn measure(state: &State, graph: &AssetGraph) -> Result<(), Box<dyn std::error::Error>> {
    for round in 0..3 {
        let (clock, cpu) = (Instant::now(), cpu_ms());
        let read = state.ledger(LAKE, graph)?;
        let reading = clock.elapsed().as_millis();
        let request = Request { selected: PartitionSet::all(graph), force: false };
        let clock = Instant::now();
        let plan = plan(graph, &read.ledger, &Observations::default(), &request);
        let planning = clock.elapsed().as_millis();
        println!(
            "{{\"round\":{round},\"read_ms\":{reading},\"plan_ms\":{planning},\"cpu_ms\":{},\"steps\":{},\"fresh\":{},\"peak_mb\":{}}}",
            cpu_ms() - cpu,
            plan.steps.len(),
            plan.fresh,
            peak_mb()
        );
        // The late day is read by eight days of the next asset, they by fifteen, and so on.
        let wanted: usize = (1..ASSETS).map(|n| (n * 7 + 1).min(DAYS as usize - LATE)).sum();
        if plan.steps.len() != wanted {
            return Err(format!("{} steps planned, {wanted} expected", plan.steps.len()).into());
        }
    }
    Ok(())
}

/// The place of the day that changes.
const LATE: usize = 5_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("rxpulse.db");
    let graph = graph()?;
    // In a process of its own, so that the peak is that of reading and planning.
    if let Some(path) = std::env::args_os().nth(1) {
        return measure(&State::open(std::path::Path::new(&path))?, &graph);
    }
    let state = State::open(&path)?;
    publish_all(&state, &graph)?;
    let source = AssetIdx(0);
    let late = Entry {
        code: CodeId(0),
        inputs: fingerprint(&graph, &Ledger::new(&graph), &Observations::default(), source, LATE),
        data: DataVersion::of(b"a late post"),
        rows: 8,
        at_ms: 2,
        generation: NonZeroU32::MIN.saturating_add(1),
        outcome: Outcome::Complete,
    };
    state.ledger_adopt(LAKE, &[published(&graph, source, LATE, &late)])?;
    drop(state);
    let status = std::process::Command::new(std::env::current_exe()?).arg(&path).status()?;
    if status.success() { Ok(()) } else { Err("the measured process failed".into()) }
}
