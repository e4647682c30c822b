//! What stays as it is: partitions whose texts were removed, and those that read them.
//!
//! Invariant: what was made from texts that are gone is never made again from what remains of
//! them, whatever code or inputs say. Only days are kept: a table without days says what there is
//! now, and follows. May not block.

use super::asset::{AssetIdx, AssetKind};
use super::asset_graph::AssetGraph;
use super::ledger::{Ledger, Outcome};
use super::observation::Observations;
use super::partition::Partitioning;
use super::set::PartitionSet;

/// Whether nothing was removed anywhere.
fn nothing(ledger: &Ledger, seen: &Observations) -> bool {
    !ledger.may_be_emptied() && !seen.textless.contains(&true)
}

/// Whether a partition has lost its texts.
fn is_emptied(
    graph: &AssetGraph,
    ledger: &Ledger,
    seen: &Observations,
    asset: AssetIdx,
    slot: usize,
) -> bool {
    match graph.asset(asset).kind {
        AssetKind::Source => seen.is_textless(slot),
        _ => ledger.at(asset, slot).is_some_and(|e| e.outcome == Outcome::TextRemoved),
    }
}

/// Whether an asset's partitions can be kept at all: posts are captured, and what the product
/// knows itself is made from no text.
fn may_be_kept(graph: &AssetGraph, asset: AssetIdx) -> bool {
    let asset = graph.asset(asset);
    asset.partitioning == Partitioning::Daily && !matches!(asset.kind, AssetKind::Source | AssetKind::System)
}

/// Whether a partition stays as it is, made or not: it has lost its texts, or it reads a
/// partition that has.
pub fn is_kept(
    graph: &AssetGraph,
    ledger: &Ledger,
    seen: &Observations,
    asset: AssetIdx,
    slot: usize,
) -> bool {
    if nothing(ledger, seen) || !may_be_kept(graph, asset) {
        return false;
    }
    is_emptied(graph, ledger, seen, asset, slot)
        || graph.upstream(asset).iter().any(|&(up, mapping)| {
            graph
                .input_slots(asset, slot, up, mapping)
                .any(|input| is_emptied(graph, ledger, seen, up, input))
        })
}

/// Partitions that do not exist and cannot be made any more: what they read, directly or through
/// others that do not exist, has lost its texts.
pub fn lost(graph: &AssetGraph, ledger: &Ledger, seen: &Observations) -> PartitionSet {
    let mut out = PartitionSet::empty(graph);
    if nothing(ledger, seen) {
        return out;
    }
    // Upstream assets come first.
    for asset in graph.indices().filter(|asset| may_be_kept(graph, *asset)) {
        for slot in (0..graph.slots(asset)).filter(|slot| ledger.at(asset, *slot).is_none()) {
            if is_kept(graph, ledger, seen, asset, slot) || reads(graph, &out, asset, slot) {
                out.insert(asset, slot);
            }
        }
    }
    out
}

/// Whether a partition reads one of a set.
pub(super) fn reads(graph: &AssetGraph, set: &PartitionSet, asset: AssetIdx, slot: usize) -> bool {
    graph.upstream(asset).iter().any(|&(up, mapping)| {
        graph.input_slots(asset, slot, up, mapping).any(|input| set.contains(up, input))
    })
}

/// Every partition that stays as it is, those that cannot be made any more included.
pub(super) fn kept(
    graph: &AssetGraph,
    ledger: &Ledger,
    seen: &Observations,
    lost: &PartitionSet,
) -> PartitionSet {
    let mut out = lost.clone();
    if nothing(ledger, seen) {
        return out;
    }
    for asset in graph.indices().filter(|asset| may_be_kept(graph, *asset)) {
        for slot in (0..graph.slots(asset)).filter(|slot| ledger.at(asset, *slot).is_some()) {
            // With an input that is lost, as with one that has no texts, nothing better can be made.
            if is_kept(graph, ledger, seen, asset, slot) || reads(graph, lost, asset, slot) {
                out.insert(asset, slot);
            }
        }
    }
    out
}
