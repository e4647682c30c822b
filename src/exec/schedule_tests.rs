use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::event::StepState;
use crate::graph::*;

fn day(n: i32) -> Day {
    "2026-11-01".parse::<Day>().unwrap().plus(n - 1)
}

/// Name, kind, dependencies.
type Declared<'a> = (&'a str, AssetKind, &'a [(&'a str, PartitionMapping)]);

fn graph(assets: &[Declared<'_>], days: i32) -> AssetGraph {
    let assets = assets
        .iter()
        .map(|(name, kind, deps)| Asset {
            key: name.parse().unwrap(),
            layer: Layer::Gold,
            kind: *kind,
            partitioning: Partitioning::Daily,
            deps: deps.iter().map(|(d, m)| Dep { asset: d.parse().unwrap(), mapping: *m }).collect(),
            tags: vec![],
            owners: vec![],
            description: String::new(),
            pool: (*name == "ai").then(|| "ai".to_string()),
            code: CodeVersion::of(name.as_bytes()),
        })
        .collect();
    AssetGraph::build(assets, DayRange::new(day(1), day(days)).unwrap()).unwrap()
}

fn plan_all(graph: &AssetGraph, due: bool) -> Plan {
    let mut seen = Observations::default();
    if due {
        let raw = graph.find("raw").unwrap();
        let window =
            Window { source: "s".into(), id: "w".into(), days: None, reason: CaptureReason::New, bytes: 0 };
        seen.due.insert(raw, vec![window]);
    }
    let request = Request { selected: PartitionSet::all(graph), force: false };
    plan(graph, &Ledger::new(graph), &seen, &request)
}

fn limits(concurrency: usize) -> Limits {
    let pools = BTreeMap::from([("ai".into(), 1)]);
    Limits { concurrency, pools, group_bytes: 100, group_days: 4, gather: BTreeSet::new() }
}

const SAME: PartitionMapping = PartitionMapping::Same;

#[test]
fn days_are_grouped_and_dependents_follow() {
    let g = graph(&[("silver", AssetKind::Sql, &[]), ("fact", AssetKind::Sql, &[("silver", SAME)])], 6);
    let mut s = Schedule::new(&g, &plan_all(&g, false), limits(2));
    let mut out = vec![];
    let (silver, fact) = (g.find("silver").unwrap(), g.find("fact").unwrap());
    let (a, work) = s.start(&mut |_, _| Recheck::Run, &|_, _| 30, &mut out).unwrap();
    assert_eq!(work, Work::Group { asset: silver, slots: vec![0, 1, 2] }, "bounded by bytes");
    let (_, work) = s.start(&mut |_, _| Recheck::Run, &|_, _| 1, &mut out).unwrap();
    assert_eq!(work, Work::Group { asset: silver, slots: vec![3, 4, 5] });
    assert!(s.start(&mut |_, _| Recheck::Run, &|_, _| 1, &mut out).is_none(), "concurrency");
    let results = [(0, StepState::Succeeded), (1, StepState::Failed), (2, StepState::Succeeded)];
    s.finish_group(a, &results, &mut out);
    assert_eq!(out.len(), 1, "only the child of the bad day fails: {out:?}");
    assert!(
        matches!(out[0], Transition::Partition { asset, slot: 1, state: StepState::UpstreamFailed, because: Some(b) }
            if asset == fact && b.asset == silver)
    );
    let (_, work) = s.start(&mut |_, _| Recheck::Run, &|_, _| 1, &mut out).unwrap();
    assert_eq!(work, Work::Group { asset: fact, slots: vec![0] }, "contiguous runs only");
}

#[test]
fn fresh_steps_are_skipped_and_release_their_children() {
    let g = graph(&[("silver", AssetKind::Sql, &[]), ("fact", AssetKind::Sql, &[("silver", SAME)])], 2);
    let mut s = Schedule::new(&g, &plan_all(&g, false), limits(2));
    let mut out = vec![];
    assert!(s.start(&mut |_, _| Recheck::Fresh, &|_, _| 1, &mut out).is_none());
    assert_eq!(out.len(), 4);
    assert_eq!(s.open(), 0);
}

#[test]
fn trailing_windows_wait_for_every_day() {
    let g = graph(
        &[
            ("fact", AssetKind::Sql, &[]),
            ("trend", AssetKind::Sql, &[("fact", PartitionMapping::Trailing { days: 2 })]),
        ],
        3,
    );
    let mut s = Schedule::new(&g, &plan_all(&g, false), Limits { group_days: 1, ..limits(1) });
    let mut out = vec![];
    let mut order = vec![];
    while let Some((id, work)) = s.start(&mut |_, _| Recheck::Run, &|_, _| 1, &mut out) {
        let Work::Group { asset, slots } = work else { panic!() };
        order.push(format!("{}{}", g.key(asset), slots[0]));
        s.finish_group(id, &[(slots[0], StepState::Succeeded)], &mut out);
    }
    assert_eq!(order, ["fact0", "fact1", "fact2", "trend0", "trend1", "trend2"]);
    assert!(out.is_empty());
}

#[test]
fn a_capture_settles_its_days_and_a_failed_one_leaves_what_was() {
    let g = graph(&[("raw", AssetKind::Source, &[]), ("silver", AssetKind::Sql, &[("raw", SAME)])], 3);
    let mut s = Schedule::new(&g, &plan_all(&g, true), limits(2));
    let mut out = vec![];
    let (id, work) = s.start(&mut |_, _| Recheck::Run, &|_, _| 1, &mut out).unwrap();
    assert_eq!(work, Work::Capture(0));
    assert!(s.start(&mut |_, _| Recheck::Run, &|_, _| 1, &mut out).is_none(), "silver waits");
    s.finish_capture(id, StepState::Failed, &|_| false, &|slot| slot == 0, &mut out);
    let raw = g.find("raw").unwrap();
    let state_of = |a: AssetIdx, n: usize| {
        out.iter().find_map(|t| match t {
            Transition::Partition { asset, slot, state, .. } if *asset == a && *slot == n => Some(*state),
            _ => None,
        })
    };
    assert_eq!(state_of(raw, 0), Some(StepState::Skipped));
    assert_eq!(state_of(raw, 1), Some(StepState::Failed));
    assert_eq!(state_of(g.find("silver").unwrap(), 1), Some(StepState::UpstreamFailed));
    assert_eq!(state_of(g.find("silver").unwrap(), 0), None, "day 1 can still be made");
}

#[test]
fn pools_bound_what_runs_and_cancel_ends_what_waits() {
    let g = graph(&[("ai", AssetKind::Enrich, &[]), ("b", AssetKind::Sql, &[])], 8);
    let mut s = Schedule::new(&g, &plan_all(&g, false), limits(4));
    let mut out = vec![];
    let mut started = vec![];
    while let Some((id, work)) = s.start(&mut |_, _| Recheck::Run, &|_, _| 1, &mut out) {
        started.push((id, work));
    }
    let ai = g.find("ai").unwrap();
    let of_ai = started.iter().filter(|(_, w)| matches!(w, Work::Group { asset, .. } if *asset == ai));
    assert_eq!(of_ai.count(), 1, "one place in the pool");
    assert_eq!(started.len(), 3);
    s.cancel(&mut out);
    assert_eq!(out.len(), 4, "the four waiting days of ai");
    assert_eq!(s.open(), 12);
}

#[test]
fn later_is_passed_over_and_put_back_returns() {
    let g = graph(&[("a", AssetKind::Sql, &[])], 3);
    let a = g.find("a").unwrap();
    let mut s = Schedule::new(&g, &plan_all(&g, false), limits(2));
    let mut out = vec![];
    let mut first_is_busy = |_, slot| if slot == 0 { Recheck::Later } else { Recheck::Run };
    let (id, work) = s.start(&mut first_is_busy, &|_, _| 1, &mut out).unwrap();
    assert_eq!(work, Work::Group { asset: a, slots: vec![1, 2] });
    s.put_back(id, &[2]);
    s.finish_group(id, &[(1, StepState::Succeeded)], &mut out);
    let (_, work) = s.start(&mut |_, _| Recheck::Run, &|_, _| 1, &mut out).unwrap();
    assert_eq!(work, Work::Group { asset: a, slots: vec![0] });
    assert_eq!(s.open(), 2);
}

#[test]
fn what_is_gathered_starts_together_and_not_before_all_is_there() {
    let g = graph(&[("silver", AssetKind::Sql, &[]), ("ai", AssetKind::Sql, &[("silver", SAME)])], 6);
    let (silver, ai) = (g.find("silver").unwrap(), g.find("ai").unwrap());
    let limits = Limits { gather: BTreeSet::from([ai]), ..limits(4) };
    let mut s = Schedule::new(&g, &plan_all(&g, false), limits);
    let mut out = vec![];
    let mut ids = vec![];
    for _ in 0..2 {
        let (id, work) = s.start(&mut |_, _| Recheck::Run, &|_, _| 1, &mut out).unwrap();
        let Work::Group { asset, slots } = work else { panic!() };
        assert_eq!(asset, silver);
        ids.push((id, slots));
    }
    let done: Vec<_> = ids[0].1.iter().map(|s| (*s, StepState::Succeeded)).collect();
    s.finish_group(ids[0].0, &done, &mut out);
    assert!(s.start(&mut |_, _| Recheck::Run, &|_, _| 1, &mut out).is_none(), "two days are not there yet");
    let ends = [(ids[1].1[0], StepState::Failed), (ids[1].1[1], StepState::Succeeded)];
    s.finish_group(ids[1].0, &ends, &mut out);
    // One day is fresh by now: the others are taken around it, more than a group may have.
    let mut recheck = |_, slot| if slot == 1 { Recheck::Fresh } else { Recheck::Run };
    let (_, work) = s.start(&mut recheck, &|_, _| 1_000, &mut out).unwrap();
    assert_eq!(work, Work::Group { asset: ai, slots: vec![0, 2, 3, 5] });
}
