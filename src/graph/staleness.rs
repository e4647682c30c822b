//! Staleness of one asset partition, computed from the ledger alone.
//!
//! Any doubt means rebuild: an input whose version is unknown never equals a recorded one.

use super::asset::{AssetIdx, AssetKind};
use super::asset_graph::AssetGraph;
use super::kept::is_kept;
use super::ledger::{Ledger, Outcome};
use super::observation::Observations;
use super::version::{CodeVersion, Fingerprint};

/// Why a partition that exists has to be made again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The body says something else.
    CodeChanged {
        /// What it said when the partition was made.
        old: CodeVersion,
        /// What it says now.
        new: CodeVersion,
    },
    /// The content or the set of what it reads is not what it was made from.
    InputsChanged,
    /// Something it reads is going to be made again; equal content will stop there.
    UpstreamRuns {
        /// What.
        asset: AssetIdx,
    },
    /// It was published with rows still to come.
    Incomplete(Outcome),
    /// Asked for on the command line.
    Forced,
}

/// Whether a partition is what its body and inputs would make now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Staleness {
    /// It is.
    Fresh,
    /// It was never made, or its manifest is gone.
    Missing,
    /// It is not, for these reasons.
    Stale(Vec<Cause>),
    /// Fresh as far as known; a capture that has not run yet decides.
    AwaitsCapture,
}

impl Staleness {
    /// The word in JSON and selections.
    pub fn as_str(&self) -> &'static str {
        match self {
            Staleness::Fresh => "fresh",
            Staleness::Missing => "missing",
            Staleness::Stale(_) => "stale",
            Staleness::AwaitsCapture => "awaits_capture",
        }
    }
}

/// What one partition would be made from now: the data versions of its mapped inputs, in
/// declared order. The same value is recorded when it is made, so that both always agree.
pub fn fingerprint(
    graph: &AssetGraph,
    ledger: &Ledger,
    seen: &Observations,
    asset: AssetIdx,
    slot: usize,
) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    if graph.asset(asset).kind == AssetKind::System {
        // What the product knows itself is offered as one version; edges are order only.
        if let Some(version) = seen.offered.get(&asset).and_then(|v| v.get(slot)) {
            hasher.update(&version.0);
        }
        return Fingerprint::finish(&hasher);
    }
    // One update call a partition: hashing 1,000,000 of them is on the way of every plan.
    let mut bytes = Vec::with_capacity(160);
    for &(up, mapping) in graph.upstream(asset) {
        let range = graph.input_slots(asset, slot, up, mapping);
        bytes.extend_from_slice(&(range.len() as u32).to_le_bytes());
        for input in range {
            match ledger.at(up, input) {
                Some(entry) => {
                    bytes.push(1);
                    bytes.extend_from_slice(&entry.data.0);
                }
                None => bytes.push(0),
            }
        }
    }
    hasher.update(&bytes);
    Fingerprint::finish(&hasher)
}

/// Staleness of one partition by its own record, as things stand now: no capture and no
/// upstream step is awaited. An executor asks this when a step becomes ready. What exists and
/// has to stay as it is, is fresh.
pub fn staleness(
    graph: &AssetGraph,
    ledger: &Ledger,
    seen: &Observations,
    asset: AssetIdx,
    slot: usize,
) -> Staleness {
    if ledger.at(asset, slot).is_some() && is_kept(graph, ledger, seen, asset, slot) {
        return Staleness::Fresh;
    }
    by_record(graph, ledger, seen, asset, slot)
}

/// The same, whether or not it has to stay as it is.
pub(super) fn by_record(
    graph: &AssetGraph,
    ledger: &Ledger,
    seen: &Observations,
    asset: AssetIdx,
    slot: usize,
) -> Staleness {
    let Some(entry) = ledger.at(asset, slot) else { return Staleness::Missing };
    if graph.asset(asset).kind == AssetKind::Source {
        return Staleness::Fresh; // Captures alone say otherwise.
    }
    let mut causes = Vec::new();
    let new = graph.code(asset, slot);
    let old = ledger.code(entry.code);
    if old != new {
        causes.push(Cause::CodeChanged { old, new });
    }
    let held = seen.held.get(&asset).is_some_and(|outcomes| outcomes.contains(&entry.outcome));
    if !matches!(entry.outcome, Outcome::Complete | Outcome::TextRemoved) && !held {
        causes.push(Cause::Incomplete(entry.outcome));
    }
    if entry.inputs != fingerprint(graph, ledger, seen, asset, slot) {
        causes.push(Cause::InputsChanged);
    }
    if causes.is_empty() { Staleness::Fresh } else { Staleness::Stale(causes) }
}
