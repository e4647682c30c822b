//! What a run would do, and why: exactly what `plan` prints and `materialize` executes.

use super::asset::{AssetIdx, AssetKind, AssetPartition};
use super::asset_graph::AssetGraph;
use super::kept::{kept, lost};
use super::ledger::Ledger;
use super::observation::{Observations, Window};
use super::set::PartitionSet;
use super::staleness::{Cause, Staleness, by_record, staleness};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The partitions that may be made.
    pub selected: PartitionSet,
    /// Make them even when they are fresh.
    pub force: bool,
}

/// A source reads one window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaptureStep {
    /// The source asset that the posts go to.
    pub asset: AssetIdx,
    /// What is read, and why.
    pub window: Window,
}

/// One partition is made, if it is still stale when its turn comes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionStep {
    /// Which asset.
    pub asset: AssetIdx,
    /// Its place.
    pub slot: usize,
    /// Why.
    pub why: Staleness,
    /// An input that does not exist and is not part of the plan: the step cannot run.
    pub missing_input: Option<AssetPartition>,
    /// An input that is stale and is not part of the plan: the step runs on what it has.
    pub stale_input: Option<AssetIdx>,
}

/// A partition that is not made, because texts that it holds or reads were removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptStep {
    /// Which asset.
    pub asset: AssetIdx,
    /// Its place.
    pub slot: usize,
    /// Why it would be made. `Missing`: it cannot be made any more.
    pub why: Staleness,
}

/// Steps in the order in which they can run: upstream assets first, days in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// What sources have to read.
    pub captures: Vec<CaptureStep>,
    /// What has to be made. Partitions of source assets appear when a capture may change them.
    pub steps: Vec<PartitionStep>,
    /// What would have to be made, and stays as it is.
    pub kept: Vec<KeptStep>,
    /// How many selected partitions are fresh.
    pub fresh: usize,
    /// How many partitions were selected.
    pub selected: usize,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.captures.is_empty() && self.steps.is_empty()
    }
}

/// The selected partitions and those of system assets that they read and that are not fresh.
/// Nobody thinks of naming what the product keeps itself, and making it costs nothing.
pub fn with_system_inputs(
    graph: &AssetGraph,
    ledger: &Ledger,
    seen: &Observations,
    selected: &PartitionSet,
) -> PartitionSet {
    let mut out = selected.clone();
    // From the last asset, so that a system asset that reads another brings it along.
    for asset in graph.indices().rev() {
        for &(up, mapping) in graph.upstream(asset) {
            if graph.asset(up).kind != AssetKind::System {
                continue;
            }
            let slots: Vec<usize> = out.slots_of(asset).collect();
            for slot in slots {
                for input in graph.input_slots(asset, slot, up, mapping) {
                    if !out.contains(up, input)
                        && staleness(graph, ledger, seen, up, input) != Staleness::Fresh
                    {
                        out.insert(up, input);
                    }
                }
            }
        }
    }
    out
}

/// Plans what is stale among the selected partitions. A pure function of its arguments.
pub fn plan(graph: &AssetGraph, ledger: &Ledger, seen: &Observations, request: &Request) -> Plan {
    let mut out = Plan { selected: request.selected.len(), ..Plan::default() };
    // What will be made for certain, what a capture decides, and what is stale but unselected.
    let mut runs = PartitionSet::empty(graph);
    let mut awaits = PartitionSet::empty(graph);
    let mut left_stale = PartitionSet::empty(graph);
    let gone = lost(graph, ledger, seen);
    let stays = kept(graph, ledger, seen, &gone);

    for (asset, declared) in graph.iter() {
        let selected = |slot| request.selected.contains(asset, slot);
        if declared.kind == AssetKind::Source {
            plan_captures(graph, seen, request, asset, &mut awaits, &mut out);
        }
        for slot in 0..graph.slots(asset) {
            let mut why = by_record(graph, ledger, seen, asset, slot);
            if stays.contains(asset, slot) {
                if selected(slot) {
                    keep(&mut out, asset, slot, why, request.force);
                }
                continue;
            }
            if awaits.contains(asset, slot) {
                // Only source assets are in `awaits` before their own turn.
                why = Staleness::AwaitsCapture;
            }
            let (mut missing_input, mut stale_input) = (None, None);
            let mut waits_for_capture = false;
            let mut upstream_runs = None;
            for &(up, mapping) in graph.upstream(asset) {
                for input in graph.input_slots(asset, slot, up, mapping) {
                    if runs.contains(up, input) {
                        upstream_runs = upstream_runs.or(Some(up));
                    } else if awaits.contains(up, input) {
                        waits_for_capture = true;
                    } else if ledger.at(up, input).is_none() {
                        // Order-only edges of system assets miss nothing, and a table without
                        // days reads those that there can be.
                        if declared.kind != AssetKind::System
                            && missing_input.is_none()
                            && !gone.contains(up, input)
                        {
                            let partition = graph.partition(up, input);
                            missing_input = Some(AssetPartition { asset: up, partition });
                        }
                    } else if left_stale.contains(up, input) {
                        stale_input = stale_input.or(Some(up));
                    }
                }
            }
            if let Some(up) = upstream_runs {
                match &mut why {
                    Staleness::Fresh => why = Staleness::Stale(vec![Cause::UpstreamRuns { asset: up }]),
                    Staleness::Stale(causes) => causes.push(Cause::UpstreamRuns { asset: up }),
                    Staleness::Missing | Staleness::AwaitsCapture => {}
                }
            } else if waits_for_capture && why == Staleness::Fresh {
                why = Staleness::AwaitsCapture;
            }
            if !selected(slot) {
                if why != Staleness::Fresh {
                    left_stale.insert(asset, slot);
                }
                continue;
            }
            if request.force && declared.kind != AssetKind::Source {
                match &mut why {
                    Staleness::Fresh | Staleness::AwaitsCapture => {
                        why = Staleness::Stale(vec![Cause::Forced]);
                    }
                    Staleness::Stale(causes) => causes.push(Cause::Forced),
                    Staleness::Missing => {}
                }
            }
            match why {
                Staleness::Fresh => {
                    out.fresh += 1;
                    continue;
                }
                // Captures alone make source partitions; without one this is nobody's step,
                // and what reads it says that it is missing.
                Staleness::Missing if declared.kind == AssetKind::Source => continue,
                Staleness::AwaitsCapture => awaits.insert(asset, slot),
                Staleness::Missing | Staleness::Stale(_) => runs.insert(asset, slot),
            }
            out.steps.push(PartitionStep { asset, slot, why, missing_input, stale_input });
        }
    }
    out
}

/// Puts down a partition that stays as it is, with why it would be made.
fn keep(out: &mut Plan, asset: AssetIdx, slot: usize, mut why: Staleness, force: bool) {
    match &mut why {
        Staleness::Fresh if force => why = Staleness::Stale(vec![Cause::Forced]),
        Staleness::Stale(causes) if force => causes.push(Cause::Forced),
        Staleness::Fresh => {
            out.fresh += 1;
            return;
        }
        Staleness::Stale(_) | Staleness::Missing | Staleness::AwaitsCapture => {}
    }
    out.kept.push(KeptStep { asset, slot, why });
}

/// Takes up the windows that can hold a selected day, and marks the days they may change.
fn plan_captures(
    graph: &AssetGraph,
    seen: &Observations,
    request: &Request,
    asset: AssetIdx,
    awaits: &mut PartitionSet,
    out: &mut Plan,
) {
    if !request.selected.has_asset(asset) {
        return;
    }
    let project = graph.days();
    for window in seen.due.get(&asset).into_iter().flatten() {
        let days = match window.days {
            None => Some(project),
            Some(days) => days.intersect(project),
        };
        let Some(days) = days else { continue };
        let slots: Vec<usize> = days.iter().filter_map(|d| project.slot(d)).collect();
        if !slots.iter().any(|s| request.selected.contains(asset, *s)) {
            continue;
        }
        for slot in slots {
            awaits.insert(asset, slot);
        }
        out.captures.push(CaptureStep { asset, window: window.clone() });
    }
}
