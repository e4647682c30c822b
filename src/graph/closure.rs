//! What a set of partitions reads, and what reads it, through the mappings.
//!
//! Invariant: both closures hold the set itself, grow with it, and are closed: once more adds
//! nothing. Works on runs of days, so that a million partitions are a few operations. May not
//! block.

use std::ops::Range;

use super::asset::AssetIdx;
use super::asset_graph::AssetGraph;
use super::partition::{PartitionMapping, Partitioning};
use super::set::{PartitionSet, Source};

/// The set and every partition that it reads, directly or not.
pub fn closure_up(graph: &AssetGraph, set: &PartitionSet) -> PartitionSet {
    let mut out = set.clone();
    // Upstream assets come first: from the last one, each asset is complete when its turn is.
    for idx in graph.indices().rev() {
        out.with_asset(idx, |source, out| read_by(graph, source, idx, out));
    }
    out
}

/// The set and every partition that reads it, directly or not.
pub fn closure_down(graph: &AssetGraph, set: &PartitionSet) -> PartitionSet {
    let mut out = set.clone();
    for idx in graph.indices() {
        out.with_asset(idx, |source, out| readers_of(graph, source, idx, out));
    }
    out
}

/// [`closure_up`] of at most so many steps.
pub(super) fn up(graph: &AssetGraph, set: &PartitionSet, steps: usize) -> PartitionSet {
    if steps >= graph.len() { closure_up(graph, set) } else { stepwise(graph, set, steps, read_by) }
}

/// [`closure_down`] of at most so many steps.
pub(super) fn down(graph: &AssetGraph, set: &PartitionSet, steps: usize) -> PartitionSet {
    if steps >= graph.len() { closure_down(graph, set) } else { stepwise(graph, set, steps, readers_of) }
}

fn stepwise(
    graph: &AssetGraph,
    set: &PartitionSet,
    steps: usize,
    step: fn(&AssetGraph, &Source<'_>, AssetIdx, &mut PartitionSet),
) -> PartitionSet {
    let mut out = set.clone();
    let mut front = set.clone();
    for _ in 0..steps {
        let mut next = PartitionSet::empty(graph);
        for idx in graph.indices() {
            step(graph, &front.source(idx), idx, &mut next);
        }
        next.subtract(&out);
        if next.is_empty() {
            break;
        }
        out.union(&next);
        front = next;
    }
    out
}

/// Adds what these places of `idx` read.
fn read_by(graph: &AssetGraph, source: &Source<'_>, idx: AssetIdx, out: &mut PartitionSet) {
    if source.is_empty() {
        return;
    }
    for &(up, mapping) in graph.upstream(idx) {
        add(graph, source, idx, up, mapping, out, |slot| graph.input_slots(idx, slot, up, mapping));
    }
}

/// Adds what reads these places of `idx`.
fn readers_of(graph: &AssetGraph, source: &Source<'_>, idx: AssetIdx, out: &mut PartitionSet) {
    if source.is_empty() {
        return;
    }
    for &(down, mapping) in graph.downstream(idx) {
        add(graph, source, idx, down, mapping, out, |slot| graph.output_slots(idx, slot, down, mapping));
    }
}

fn add(
    graph: &AssetGraph,
    source: &Source<'_>,
    from: AssetIdx,
    to: AssetIdx,
    mapping: PartitionMapping,
    out: &mut PartitionSet,
    mapped: impl Fn(usize) -> Range<usize>,
) {
    let daily = |idx| graph.asset(idx).partitioning == Partitioning::Daily;
    if mapping == PartitionMapping::Same && daily(from) && daily(to) {
        out.add_same(source, to);
        return;
    }
    for run in source.runs() {
        // Mappings never go back: what lies between first and last maps in between, without gaps.
        let (first, last) = (mapped(run.start), mapped(run.end - 1));
        let start = if first.is_empty() { last.start } else { first.start };
        out.insert_range(to, start..last.end.max(first.end));
    }
}
