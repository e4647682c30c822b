//! What tests of this room share, and scenarios of the ledger, caches and pruning.

use std::num::NonZeroU32;

use super::*;
use crate::event::{Event, RunState, StepState, StepStats, Target};
use crate::graph::{
    Asset, AssetGraph, AssetIdx, AssetKey, AssetKind, CodeVersion, DataVersion, Day, DayRange, Fingerprint,
    Layer, Outcome, PartitionKey, Partitioning,
};

pub(super) const LAKE: &str = "lake-1";
pub(super) const TTL: i64 = 30_000;

pub(super) fn key(name: &str) -> AssetKey {
    name.parse().unwrap()
}

pub(super) fn day(text: &str) -> PartitionKey {
    PartitionKey::Day(text.parse().unwrap())
}

pub(super) fn graph_of(names: &[(&str, Partitioning)], start: &str, end: &str) -> AssetGraph {
    let assets = names
        .iter()
        .map(|(name, partitioning)| Asset {
            key: key(name),
            layer: Layer::Gold,
            kind: AssetKind::System,
            partitioning: *partitioning,
            deps: vec![],
            tags: vec![],
            owners: vec![],
            description: String::new(),
            pool: None,
            code: CodeVersion::of(name.as_bytes()),
        })
        .collect();
    AssetGraph::build(assets, DayRange::new(start.parse().unwrap(), end.parse().unwrap()).unwrap()).unwrap()
}

pub(super) fn graph() -> AssetGraph {
    graph_of(&[("facts", Partitioning::Daily), ("types", Partitioning::None)], "2026-08-01", "2026-08-10")
}

pub(super) fn published(asset: &str, partition: PartitionKey, generation: u32) -> Published {
    Published {
        asset: key(asset),
        partition,
        code: CodeVersion::of(b"code"),
        inputs: Fingerprint::of(b"inputs"),
        data: DataVersion::of(format!("{asset}{partition}{generation}").as_bytes()),
        rows: 7,
        at_ms: 1_000 + i64::from(generation),
        generation: NonZeroU32::new(generation).unwrap(),
        outcome: Outcome::Complete,
    }
}

pub(super) fn new_run(pid: u32, now_ms: i64) -> NewRun {
    NewRun {
        lake: LAKE.into(),
        command: "rxpulse materialize --all".into(),
        request_json: "{}".into(),
        pid,
        host: "here".into(),
        steps: 2,
        now_ms,
    }
}

pub(super) fn step(text: &str) -> Target {
    Target::Partition { asset: key("facts"), partition: day(text) }
}

pub(super) fn capture(window: &str) -> Target {
    Target::Capture { asset: key("raw_posts"), source: "inbox".into(), window: window.into() }
}

pub(super) fn started(step: &Target, attempt: u32) -> Event {
    Event::StepStarted { step: step.clone(), attempt }
}

pub(super) fn finished(step: &Target, state: StepState, message: Option<&str>) -> Event {
    Event::StepFinished {
        step: step.clone(),
        state,
        stats: StepStats { rows_out: Some(3), ..StepStats::default() },
        message: message.map(Into::into),
        checks: vec![],
        elapsed_ms: 12,
    }
}

pub(super) fn batch(now_ms: i64, events: Vec<Event>) -> Batch {
    Batch { now_ms, events, ..Batch::default() }
}

#[test]
fn state_can_move_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<State>();
}

#[test]
fn the_pulse_tells_of_every_commit_and_of_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let state = State::open(&path).unwrap();
    let watcher = State::open_read_only(&path).unwrap().unwrap();
    for watcher in [&watcher, &state] {
        let quiet = watcher.pulse().unwrap();
        watcher.runs(10, None).unwrap();
        assert_eq!(watcher.pulse().unwrap(), quiet, "reading is no news");
        let run = state.begin_run(&new_run(1, 10)).unwrap();
        let begun = watcher.pulse().unwrap();
        assert_ne!(begun, quiet);
        // Also when what was written is read in between.
        watcher.run(run).unwrap().unwrap();
        assert_eq!(watcher.pulse().unwrap(), begun);
        state.heartbeat(run, 20).unwrap();
        assert_ne!(watcher.pulse().unwrap(), begun);
    }
    let memory = State::in_memory().unwrap();
    let quiet = memory.pulse().unwrap();
    memory.begin_run(&new_run(1, 10)).unwrap();
    assert_ne!(memory.pulse().unwrap(), quiet);
}

#[test]
fn the_ledger_comes_back_as_written() {
    let state = State::in_memory().unwrap();
    let graph = graph();
    let mut written = published("facts", day("2026-08-03"), 4);
    written.outcome = Outcome::Budget;
    written.rows = 0;
    written.at_ms = -5;
    let whole = published("types", PartitionKey::Whole, 1);
    assert_eq!(state.ledger_adopt(LAKE, &[written.clone(), whole.clone()]).unwrap(), 2);
    let read = state.ledger(LAKE, &graph).unwrap();
    let facts = graph.find("facts").unwrap();
    let entry = read.ledger.at(facts, 2).unwrap();
    assert_eq!(read.ledger.code(entry.code), written.code);
    assert_eq!(
        (entry.inputs, entry.data, entry.rows, entry.at_ms, entry.generation, entry.outcome),
        (written.inputs, written.data, written.rows, written.at_ms, written.generation, written.outcome)
    );
    assert_eq!(read.ledger.of(facts).iter().flatten().count(), 1);
    assert_eq!(read.ledger.at(graph.find("types").unwrap(), 0).unwrap().data, whole.data);
    assert!(read.floors.is_empty());
}

#[test]
fn lakes_do_not_mix() {
    let state = State::in_memory().unwrap();
    state.ledger_adopt("other", &[published("facts", day("2026-08-03"), 1)]).unwrap();
    let read = state.ledger(LAKE, &graph()).unwrap();
    assert_eq!(read.ledger.of(AssetIdx(0)).iter().flatten().count(), 0);
    assert_eq!(state.ledger("other", &graph()).unwrap().ledger.of(AssetIdx(0)).iter().flatten().count(), 1);
}

#[test]
fn rows_outside_the_graph_are_kept_and_not_read() {
    let state = State::in_memory().unwrap();
    let entries = [
        published("facts", day("2026-07-31"), 1),
        published("facts", day("2026-08-11"), 1),
        published("gone", day("2026-08-01"), 1),
        // A daily asset that was unpartitioned once, and the other way round.
        published("facts", PartitionKey::Whole, 1),
        published("types", day("2026-08-01"), 1),
    ];
    state.ledger_adopt(LAKE, &entries).unwrap();
    let read = state.ledger(LAKE, &graph()).unwrap();
    assert_eq!(graph().indices().map(|a| read.ledger.of(a).iter().flatten().count()).sum::<usize>(), 0);
    let wider = graph_of(&[("facts", Partitioning::Daily)], "2026-07-01", "2026-09-01");
    let read = state.ledger(LAKE, &wider).unwrap();
    assert_eq!(read.ledger.of(AssetIdx(0)).iter().flatten().count(), 2);
}

#[test]
fn an_older_generation_changes_nothing() {
    let state = State::in_memory().unwrap();
    let graph = graph();
    let facts = graph.find("facts").unwrap();
    let at = day("2026-08-03");
    let run = state.begin_run(&new_run(1, 0)).unwrap();
    let put = |generation, data: &[u8]| {
        let mut e = published("facts", at, generation);
        e.data = DataVersion::of(data);
        state.record(run, &Batch { entries: vec![e], ..Batch::default() }).unwrap();
        let entry = *state.ledger(LAKE, &graph).unwrap().ledger.at(facts, 2).unwrap();
        (entry.generation.get(), entry.data)
    };
    assert_eq!(put(5, b"five"), (5, DataVersion::of(b"five")));
    assert_eq!(put(4, b"late"), (5, DataVersion::of(b"five")));
    assert_eq!(put(5, b"read again"), (5, DataVersion::of(b"read again")));
    assert_eq!(put(6, b"six"), (6, DataVersion::of(b"six")));
}

#[test]
fn a_vanished_manifest_leaves_a_floor() {
    let state = State::in_memory().unwrap();
    let graph = graph();
    let facts = graph.find("facts").unwrap();
    let at = day("2026-08-03");
    state
        .ledger_adopt(LAKE, &[published("facts", at, 5), published("types", PartitionKey::Whole, 2)])
        .unwrap();
    let unknown = [(key("never"), at), (key("facts"), day("2026-08-04")), (key("facts"), at)];
    state.ledger_forget(LAKE, &unknown).unwrap();
    state.ledger_forget(LAKE, &[(key("types"), PartitionKey::Whole)]).unwrap();
    let read = state.ledger(LAKE, &graph).unwrap();
    assert!(read.ledger.at(facts, 2).is_none());
    assert_eq!(read.floors.len(), 2);
    assert_eq!(read.floors[&(facts, 2)], 5);
    assert_eq!(read.floors[&(graph.find("types").unwrap(), 0)], 2);
    // A late writer is fenced off; the next generation is welcome.
    assert_eq!(state.ledger_adopt(LAKE, &[published("facts", at, 4)]).unwrap(), 0);
    assert_eq!(state.ledger_adopt(LAKE, &[published("facts", at, 6)]).unwrap(), 1);
    let read = state.ledger(LAKE, &graph).unwrap();
    assert_eq!(read.ledger.at(facts, 2).unwrap().generation.get(), 6);
    assert!(!read.floors.contains_key(&(facts, 2)));
}

#[test]
fn caches_keep_bytes_by_lake_kind_and_key() {
    let state = State::in_memory().unwrap();
    let value = |n: u8| vec![n, 0, 255];
    state.cache_put_many(LAKE, "file", &[("b".into(), value(2)), ("a".into(), value(1))]).unwrap();
    state.cache_put_many(LAKE, "file", &[("b".into(), value(3))]).unwrap();
    state.cache_put_many(LAKE, "schema", &[("a".into(), vec![])]).unwrap();
    assert_eq!(state.cache_get(LAKE, "file", "b").unwrap(), Some(value(3)));
    assert_eq!(state.cache_get(LAKE, "schema", "a").unwrap(), Some(vec![]));
    assert_eq!(state.cache_get("other", "file", "b").unwrap(), None);
    assert_eq!(state.cache_all(LAKE, "file").unwrap(), [("a".into(), value(1)), ("b".into(), value(3))]);
    state.cache_remove(LAKE, "file", &["a".into(), "never".into()]).unwrap();
    assert_eq!(state.cache_all(LAKE, "file").unwrap().len(), 1);
}

#[test]
fn pruning_removes_the_details_of_old_runs_only() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(&dir.path().join("rxpulse.db")).unwrap();
    const DAY: i64 = 86_400_000;
    let now = 100 * DAY;
    let mut ids = Vec::new();
    for (n, age_days) in [(0u32, 90i64), (1, 40), (2, 20), (3, 1)] {
        let at = now - age_days * DAY;
        let run = state.begin_run(&new_run(n, at)).unwrap();
        let noise = (0..6_000).map(|i| Event::Log {
            level: "info".into(),
            step: None,
            message: format!("line {i} {}", "x".repeat(60)),
        });
        let bad = finished(&step("2026-08-05"), StepState::Failed, None);
        state.record(run, &batch(at, noise.chain([bad]).collect())).unwrap();
        let done = published("facts", day("2026-08-01"), n + 1);
        state.record(run, &Batch { entries: vec![done], ..batch(at, vec![]) }).unwrap();
        state.finish_run(run, RunState::Failed, at).unwrap();
        ids.push(run);
    }
    let dead = state.begin_run(&new_run(9, now - 50 * DAY)).unwrap();
    let alive = state.begin_run(&new_run(10, now - 1)).unwrap();
    let bytes = state.check().unwrap().bytes;
    let spared = state.prune(Keep { days: Some(30), runs: Some(5) }, now).unwrap();
    assert_eq!((spared.runs, spared.dead), (1, 1), "the oldest of six is neither young nor among five");
    let report = state.prune(Keep { days: Some(30), runs: None }, now).unwrap();
    assert_eq!((report.runs, report.events, report.steps, report.dead), (1, 6_002, 1, 0));
    assert!(report.bytes_freed > 500_000, "{report:?}");
    let check = state.check().unwrap();
    assert!(check.is_sound(), "{check:?}");
    assert!(check.bytes < bytes);
    for (n, id) in ids.iter().enumerate() {
        let row = state.run(*id).unwrap().unwrap();
        assert_eq!((row.pruned, row.counts.failed), (n < 2, 1));
        assert_eq!(state.events(*id, 0, 10_000).unwrap().is_empty(), n < 2);
    }
    assert_eq!(state.run(dead).unwrap().unwrap().state, RunState::Failed);
    assert_eq!(state.run(alive).unwrap().unwrap().state, RunState::Running);
    // What is current and what is broken is not a detail of a run.
    assert_eq!(state.ledger(LAKE, &graph()).unwrap().ledger.at(AssetIdx(0), 0).unwrap().generation.get(), 4);
    assert_eq!(state.last_failures(LAKE).unwrap().len(), 1);
    let all = state.prune(Keep { days: None, runs: None }, now).unwrap();
    assert_eq!(all.runs, 3, "two kept ones and the dead one");
    assert_eq!(state.prune(Keep { days: None, runs: None }, now).unwrap().runs, 0);
    assert_eq!(state.begin_run(&new_run(11, now)).unwrap().0, alive.0 + 1);
    // Sequence numbers never start again, or a follower would miss events.
    let next =
        state.record(alive, &batch(now, vec![Event::RunStarted { command: "".into(), steps: 0 }])).unwrap();
    assert!(next[0] > 24_000, "{next:?}");
}

#[test]
fn people_can_read_the_views() {
    let state = State::in_memory().unwrap();
    let mut e = published("facts", day("2026-08-03"), 4);
    e.at_ms = 1_793_491_200_123;
    state.ledger_adopt(LAKE, &[e, published("types", PartitionKey::Whole, 1)]).unwrap();
    state.ledger_forget(LAKE, &[(key("types"), PartitionKey::Whole)]).unwrap();
    let run = state.begin_run(&new_run(1, 0)).unwrap();
    state.record(run, &batch(1_793_491_200_123, vec![started(&step("2026-08-03"), 1)])).unwrap();
    let lines = |sql: &str| -> Vec<String> {
        let conn = state.reader();
        let mut stmt = conn.prepare(sql).unwrap();
        let n = stmt.column_count();
        let mut rows = stmt.query([]).unwrap();
        let mut out = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<String> = (0..n)
                .map(|i| match row.get::<_, rusqlite::types::Value>(i).unwrap() {
                    rusqlite::types::Value::Null => "NULL".into(),
                    rusqlite::types::Value::Integer(i) => i.to_string(),
                    rusqlite::types::Value::Text(t) => t,
                    other => format!("{other:?}"),
                })
                .collect();
            out.push(cells.join(" "));
        }
        out
    };
    let ledger = lines(
        "SELECT asset, partition, generation, outcome, rows, published_at, length(data_version) \
         FROM ledger_readable ORDER BY 1",
    );
    assert_eq!(
        ledger,
        ["facts 2026-08-03 4 complete 7 2026-11-01T00:00:00.123Z 32", "types whole 1 vanished NULL NULL 0"]
    );
    assert_eq!(
        lines("SELECT * FROM steps_readable"),
        ["1 facts  2026-08-03 running 1 2026-11-01T00:00:00.123Z NULL NULL"]
    );
}

#[test]
fn partitions_survive_storing() {
    for partition in
        [PartitionKey::Whole, PartitionKey::Day(Day(i32::MIN)), PartitionKey::Day(Day(0)), day("2026-08-01")]
    {
        let stored = super::ledger::part(partition);
        assert_eq!(super::ledger::part_back((&stored).into()).unwrap(), partition);
    }
}
