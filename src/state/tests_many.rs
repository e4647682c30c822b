//! Many at once, and many rows.

use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use proptest::prelude::*;

use super::tests::{LAKE, graph_of, key, new_run, published};
use super::*;
use crate::event::{Event, StepState, StepStats, Target};
use crate::graph::{AssetIdx, Day, PartitionKey, Partitioning};

fn on_disk() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rxpulse.db");
    (dir, path)
}

#[test]
fn many_may_open_a_new_database_at_once() {
    for _ in 0..5 {
        let (_dir, path) = on_disk();
        let start = Barrier::new(8);
        std::thread::scope(|s| {
            for n in 0..8 {
                let (path, start) = (&path, &start);
                s.spawn(move || {
                    start.wait();
                    let state = State::open(path).unwrap();
                    state.begin_run(&new_run(n, 0)).unwrap();
                });
            }
        });
        let state = State::open(&path).unwrap();
        assert_eq!(state.runs(100, None).unwrap().len(), 8);
        assert!(state.check().unwrap().is_sound());
    }
}

#[test]
fn eight_writers_and_readers_never_see_a_lock() {
    const ROUNDS: u32 = 25;
    let (_dir, path) = on_disk();
    drop(State::open(&path).unwrap());
    let graph = graph_of(&[("facts", Partitioning::Daily)], "2026-01-01", "2026-12-31");
    let writing = AtomicBool::new(true);
    std::thread::scope(|s| {
        let writers: Vec<_> = (0..8u32)
            .map(|w| {
                let path = &path;
                s.spawn(move || {
                    let state = State::open(path).unwrap();
                    let run = state.begin_run(&new_run(w, 0)).unwrap();
                    let mut held = 0;
                    for n in 0..ROUNDS {
                        let partition = PartitionKey::Day(Day(20_454 + (n % 10) as i32));
                        let step = Target::Partition { asset: key("facts"), partition };
                        let lease = format!("facts[{partition}]");
                        let got = state
                            .lease(LAKE, run, std::slice::from_ref(&lease), n.into(), 1_000_000)
                            .unwrap();
                        held += u32::from(got == [LeaseOutcome::Granted]);
                        let done = Event::StepFinished {
                            step,
                            state: StepState::Succeeded,
                            stats: StepStats::default(),
                            message: None,
                            checks: vec![],
                            elapsed_ms: 1,
                        };
                        let batch = Batch {
                            now_ms: n.into(),
                            events: vec![done],
                            entries: vec![published("facts", partition, 1 + n * 8 + w)],
                            release: vec![lease],
                            ..Batch::default()
                        };
                        state.record(run, &batch).unwrap();
                        state.heartbeat(run, n.into()).unwrap();
                    }
                    held
                })
            })
            .collect();
        for r in 0..4 {
            let (path, graph, writing) = (&path, &graph, &writing);
            s.spawn(move || {
                let mut newest = [0; 10];
                while writing.load(Ordering::Relaxed) {
                    // Some stay open, some come and go like commands.
                    let state = if r % 2 == 0 {
                        State::open_read_only(path).unwrap().unwrap()
                    } else {
                        State::open(path).unwrap()
                    };
                    for _ in 0..5 {
                        let read = state.ledger(LAKE, graph).unwrap();
                        for (slot, seen) in newest.iter_mut().enumerate() {
                            let now = read.ledger.at(AssetIdx(0), slot).map_or(0, |e| e.generation.get());
                            assert!(now >= *seen, "a generation went back");
                            *seen = now;
                        }
                        for run in state.runs(10, None).unwrap() {
                            let events = state.events(run.id, 0, 1_000).unwrap().len() as u64;
                            assert!(events >= run.counts.finished().saturating_sub(10));
                        }
                    }
                }
            });
        }
        let held: u32 = writers.into_iter().map(|w| w.join().unwrap()).sum();
        writing.store(false, Ordering::Relaxed);
        assert!(held > 0);
    });
    let state = State::open(&path).unwrap();
    assert!(state.check().unwrap().is_sound());
    let runs = state.runs(100, None).unwrap();
    assert_eq!(runs.len(), 8);
    for run in runs {
        assert_eq!(state.events(run.id, 0, 1_000).unwrap().len(), ROUNDS as usize);
        assert_eq!(run.counts.succeeded, 10, "one row a target");
    }
    let read = state.ledger(LAKE, &graph).unwrap();
    for slot in 0..10 {
        // The last round of each slot, by the writer with the greatest number.
        let last = (0..ROUNDS).filter(|n| n % 10 == slot).max().unwrap();
        assert_eq!(read.ledger.at(AssetIdx(0), slot as usize).unwrap().generation.get(), 1 + last * 8 + 7);
    }
}

#[test]
fn one_of_many_gets_a_lease() {
    let (_dir, path) = on_disk();
    drop(State::open(&path).unwrap());
    let start = Barrier::new(8);
    let granted: usize = std::thread::scope(|s| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let (path, start) = (&path, &start);
                s.spawn(move || {
                    let state = State::open(path).unwrap();
                    let run = state.begin_run(&new_run(n, 0)).unwrap();
                    start.wait();
                    let got = state.lease(LAKE, run, &["only".into()], 1, 1_000).unwrap();
                    usize::from(got[0] == LeaseOutcome::Granted)
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(granted, 1);
}

/// What the ledger does, in memory: (generation, content) by day.
#[derive(Clone, Debug)]
enum Act {
    Publish { slot: u8, generation: u32, rows: u32 },
    Forget { slot: u8 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..6u8, 1..8u32, any::<u32>()).prop_map(|(slot, generation, rows)| Act::Publish { slot, generation, rows }),
        1 => (0..6u8).prop_map(|slot| Act::Forget { slot }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_ledger_is_the_newest_of_each_partition(acts in prop::collection::vec(act(), 0..40)) {
        let state = State::in_memory().unwrap();
        let graph = graph_of(&[("facts", Partitioning::Daily)], "2026-01-01", "2026-01-06");
        let partition = |slot: u8| PartitionKey::Day(graph.days().day(slot.into()));
        let mut model: Vec<Option<(u32, Option<u64>)>> = vec![None; 6];
        for act in acts {
            match act {
                Act::Publish { slot, generation, rows } => {
                    let mut e = published("facts", partition(slot), generation);
                    e.rows = rows.into();
                    let taken = state.ledger_adopt(LAKE, &[e]).unwrap();
                    let at = &mut model[usize::from(slot)];
                    let newer = at.is_none_or(|(g, _)| generation >= g);
                    prop_assert_eq!(taken, usize::from(newer));
                    if newer {
                        *at = Some((generation, Some(rows.into())));
                    }
                }
                Act::Forget { slot } => {
                    state.ledger_forget(LAKE, &[(key("facts"), partition(slot))]).unwrap();
                    if let Some((_, rows)) = &mut model[usize::from(slot)] {
                        *rows = None;
                    }
                }
            }
            let read = state.ledger(LAKE, &graph).unwrap();
            for (slot, expected) in model.iter().enumerate() {
                let entry = read.ledger.at(AssetIdx(0), slot).map(|e| (e.generation.get(), e.rows));
                let floor = read.floors.get(&(AssetIdx(0), slot)).copied();
                prop_assert_eq!(entry, expected.and_then(|(g, rows)| rows.map(|r| (g, r))));
                prop_assert_eq!(floor, expected.and_then(|(g, rows)| rows.is_none().then_some(g)));
            }
        }
    }
}

/// Milliseconds that this thread was on a processor, which another build beside it does not change.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1_000_000
}

/// Not a test of anything but speed: run it by name, in release, to see the numbers.
#[test]
#[ignore = "a measurement"]
fn measure_a_million_rows() {
    let (_dir, path) = on_disk();
    let state = State::open(&path).unwrap();
    let names: Vec<String> = (0..100).map(|n| format!("asset_{n}")).collect();
    let assets: Vec<_> = names.iter().map(|n| (n.as_str(), Partitioning::Daily)).collect();
    let graph = graph_of(&assets, "2000-01-01", "2027-05-18");
    assert_eq!(graph.days().len(), 10_000);
    let clock = Instant::now();
    for name in &names {
        let entries: Vec<_> = graph.days().iter().map(|d| published(name, PartitionKey::Day(d), 1)).collect();
        state.ledger_adopt(LAKE, &entries).unwrap();
    }
    eprintln!("write 1,000,000 entries, 100 commits: {:?}", clock.elapsed());
    eprintln!("file: {} MB", state.check().unwrap().bytes / 1_000_000);
    for round in 0..3 {
        let (clock, cpu) = (Instant::now(), cpu_ms());
        let read = state.ledger(LAKE, &graph).unwrap();
        eprintln!("read, plain columns, round {round}: {:?}, CPU {} ms", clock.elapsed(), cpu_ms() - cpu);
        assert_eq!(
            graph.indices().map(|a| read.ledger.of(a).iter().flatten().count()).sum::<usize>(),
            1_000_000
        );
    }
    // The other layout that was considered: one packed BLOB a row.
    let conn = state.writer().unwrap();
    conn.execute_batch(
        "CREATE TABLE packed (lake INTEGER, asset INTEGER, day ANY, v BLOB, PRIMARY KEY (lake, asset, day)) \
         STRICT, WITHOUT ROWID; \
         INSERT INTO packed SELECT lake, asset, day, randomblob(64) FROM ledger;",
    )
    .unwrap();
    for round in 0..3 {
        let (clock, cpu) = (Instant::now(), cpu_ms());
        let mut sum = 0u64;
        let mut stmt = conn
            .prepare("SELECT day, v FROM packed WHERE lake = ?1 AND asset = ?2 AND day BETWEEN 0 AND 99999")
            .unwrap();
        for asset in 0..200 {
            let mut rows = stmt.query([1, asset]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let day: i64 = row.get(0).unwrap();
                let v = row.get_ref(1).unwrap().as_blob().unwrap();
                sum = sum.wrapping_add(day as u64 + u64::from(v[0]) + u64::from(v[63]));
            }
        }
        let cpu = cpu_ms() - cpu;
        eprintln!("read, packed, round {round}: {:?}, CPU {cpu} ms ({sum})", clock.elapsed());
    }
    let clock = Instant::now();
    let run = state.begin_run(&new_run(1, 0)).unwrap();
    for n in 0..1_000 {
        let partition = PartitionKey::Day(Day(20_454 + n));
        let step = Target::Partition { asset: key("asset_1"), partition };
        let batch = Batch {
            now_ms: n.into(),
            events: vec![
                Event::StepStarted { step: step.clone(), attempt: 1 },
                Event::StepFinished {
                    step,
                    state: StepState::Succeeded,
                    stats: StepStats::default(),
                    message: None,
                    checks: vec![],
                    elapsed_ms: 1,
                },
            ],
            entries: vec![published("asset_1", partition, 2)],
            ..Batch::default()
        };
        state.record(run, &batch).unwrap();
    }
    eprintln!("record one step a commit: {:?} each", clock.elapsed() / 1_000);
    let clock = Instant::now();
    drop(State::open(&path).unwrap());
    eprintln!("open and close: {:?}", clock.elapsed());
    let clock = Instant::now();
    drop(State::open_read_only(&path).unwrap());
    eprintln!("open to read and close: {:?}", clock.elapsed());
}

#[test]
#[ignore = "a measurement"]
fn measure_eight_writers() {
    let (_dir, path) = on_disk();
    drop(State::open(&path).unwrap());
    let mut micros: Vec<u128> = std::thread::scope(|s| {
        let threads: Vec<_> = (0..8u32)
            .map(|w| {
                let path = &path;
                s.spawn(move || {
                    let state = State::open(path).unwrap();
                    let run = state.begin_run(&new_run(w, 0)).unwrap();
                    (0..500)
                        .map(|n| {
                            let partition = PartitionKey::Day(Day(20_000 + n));
                            let batch = Batch {
                                entries: vec![published(&format!("asset_{w}"), partition, 1)],
                                ..Batch::default()
                            };
                            let clock = Instant::now();
                            state.record(run, &batch).unwrap();
                            clock.elapsed().as_micros()
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    micros.sort_unstable();
    let at = |share: usize| micros[micros.len() * share / 1_000 - 1];
    eprintln!("8 writers, µs a commit: p50 {}, p99 {}, max {}", at(500), at(990), at(1_000));
}
