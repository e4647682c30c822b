//! The schedule: a pure state machine that says which steps may start now.
//!
//! It knows nothing of threads, clocks or databases. The run loop asks it for work, tells it
//! how work ended, and records every [`Transition`] it answers with.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::event::StepState;
use crate::graph::{AssetGraph, AssetIdx, AssetKind, AssetPartition, Plan};

/// How much may run at once.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Pieces of work at once.
    pub concurrency: usize,
    /// Places in named pools.
    pub pools: BTreeMap<String, usize>,
    /// Bytes of input that one group of days should not exceed (one day always fits).
    pub group_bytes: u64,
    /// Days that one group does not exceed.
    pub group_days: usize,
    /// Assets whose ready partitions are taken together, however many and wherever they lie, once
    /// none of them waits for an input any more: a model is asked about their posts in full packs,
    /// and the weightiest first.
    pub gather: BTreeSet<AssetIdx>,
}

/// A piece of work that may start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Work {
    /// The capture at this place of the plan.
    Capture(usize),
    /// Contiguous partitions of one asset.
    Group {
        /// Which asset.
        asset: AssetIdx,
        /// Their places, ascending.
        slots: Vec<usize>,
    },
}

/// Identifies a piece of work that was started.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct WorkId(pub u64);

/// A step reached a final state without running.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Transition {
    /// A partition.
    Partition {
        /// Which asset.
        asset: AssetIdx,
        /// Its place.
        slot: usize,
        /// `Skipped`, `UpstreamFailed` or `Canceled`.
        state: StepState,
        /// The input that failed or is missing, for `UpstreamFailed`.
        because: Option<AssetPartition>,
    },
    /// A capture was canceled.
    Capture(usize),
}

/// What the ledger says when a step's turn comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recheck {
    /// Still stale.
    Run,
    /// Fresh by now: skip it.
    Fresh,
    /// Another run is at it: ask again later.
    Later,
}

const UNPLANNED: u8 = 0;
const WAITING: u8 = 1;
const READY: u8 = 2;
const RUNNING: u8 = 3;
const DONE: u8 = 4;

struct AssetSteps {
    state: Vec<u8>,
    /// Planned inputs and captures that are not done.
    pending: Vec<u32>,
    missing_input: HashMap<usize, AssetPartition>,
    ready: BTreeSet<usize>,
    pool: Option<String>,
    /// Partitions of source assets are made by captures, never by themselves.
    by_capture: bool,
}

/// Steps of one run and where they stand.
pub struct Schedule<'g> {
    graph: &'g AssetGraph,
    limits: Limits,
    assets: Vec<AssetSteps>,
    captures: Vec<CaptureState>,
    running: HashMap<WorkId, (Work, Option<String>)>,
    pool_used: HashMap<String, usize>,
    next_id: u64,
    open: usize,
    newest_first: bool,
}

struct CaptureState {
    asset: AssetIdx,
    slots: std::ops::Range<usize>,
    state: u8,
    pool: Option<String>,
    held: bool,
}

impl<'g> Schedule<'g> {
    /// A schedule of every step of `plan`.
    pub fn new(graph: &'g AssetGraph, plan: &Plan, limits: Limits) -> Self {
        let mut assets: Vec<AssetSteps> = graph
            .iter()
            .map(|(a, asset)| AssetSteps {
                state: vec![UNPLANNED; graph.slots(a)],
                pending: vec![0; graph.slots(a)],
                missing_input: HashMap::new(),
                ready: BTreeSet::new(),
                pool: asset.pool.clone(),
                by_capture: asset.kind == AssetKind::Source,
            })
            .collect();
        for step in &plan.steps {
            let steps = &mut assets[step.asset.i()];
            steps.state[step.slot] = WAITING;
            if let Some(missing) = step.missing_input {
                steps.missing_input.insert(step.slot, missing);
            }
        }
        let days = graph.days();
        let captures: Vec<CaptureState> = plan
            .captures
            .iter()
            .map(|c| {
                let slots = match c.window.days.and_then(|d| d.intersect(days)) {
                    Some(range) => {
                        let first = days.slot(range.start).unwrap_or(0);
                        first..first + range.len()
                    }
                    None => 0..graph.slots(c.asset),
                };
                let pool = Some(c.window.source.clone());
                CaptureState { asset: c.asset, slots, state: READY, pool, held: false }
            })
            .collect();
        for capture in &captures {
            for slot in capture.slots.clone() {
                assets[capture.asset.i()].pending[slot] += 1;
            }
        }
        for step in &plan.steps {
            let mut pending = 0;
            for &(up, mapping) in graph.upstream(step.asset) {
                let range = graph.input_slots(step.asset, step.slot, up, mapping);
                pending += range.filter(|s| assets[up.i()].state[*s] != UNPLANNED).count() as u32;
            }
            assets[step.asset.i()].pending[step.slot] += pending;
        }
        for steps in &mut assets {
            for slot in 0..steps.state.len() {
                if steps.state[slot] == WAITING && steps.pending[slot] == 0 && !steps.by_capture {
                    steps.state[slot] = READY;
                    steps.ready.insert(slot);
                }
            }
        }
        let open = plan.steps.len() + captures.len();
        Self {
            graph,
            limits,
            assets,
            captures,
            running: HashMap::new(),
            pool_used: HashMap::new(),
            next_id: 0,
            open,
            newest_first: false,
        }
    }

    /// Takes the newest ready days first.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// How many steps are not in a final state.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Pieces of work under way.
    pub fn running(&self) -> impl Iterator<Item = (WorkId, &Work)> {
        self.running.iter().map(|(id, (work, _))| (*id, work))
    }

    /// Starts the next piece of work that the limits allow. Steps that turn out fresh, or that
    /// miss an input, reach their final state here and are told in `out`.
    ///
    /// `recheck` asks the ledger; `bytes` is the input size of one partition.
    pub fn start(
        &mut self,
        recheck: &mut dyn FnMut(AssetIdx, usize) -> Recheck,
        bytes: &dyn Fn(AssetIdx, usize) -> u64,
        out: &mut Vec<Transition>,
    ) -> Option<(WorkId, Work)> {
        if self.running.len() >= self.limits.concurrency {
            return None;
        }
        for at in 0..self.captures.len() {
            let pool = self.captures[at].pool.clone();
            if self.captures[at].state == READY && !self.captures[at].held && self.has_place(&pool) {
                self.captures[at].state = RUNNING;
                return Some(self.begin(Work::Capture(at), pool));
            }
        }
        for asset in self.graph.indices() {
            let pool = self.assets[asset.i()].pool.clone();
            if !self.has_place(&pool) {
                continue;
            }
            if let Some(slots) = self.group(asset, recheck, bytes, out) {
                for &slot in &slots {
                    self.assets[asset.i()].state[slot] = RUNNING;
                }
                return Some(self.begin(Work::Group { asset, slots }, pool));
            }
        }
        None
    }

    fn has_place(&self, pool: &Option<String>) -> bool {
        let Some(pool) = pool else { return true };
        let limit = self.limits.pools.get(pool).copied().unwrap_or(usize::MAX);
        self.pool_used.get(pool).copied().unwrap_or(0) < limit
    }

    fn begin(&mut self, work: Work, pool: Option<String>) -> (WorkId, Work) {
        let id = WorkId(self.next_id);
        self.next_id += 1;
        if let Some(pool) = &pool {
            *self.pool_used.entry(pool.clone()).or_default() += 1;
        }
        self.running.insert(id, (work.clone(), pool));
        (id, work)
    }

    /// A contiguous run of ready partitions that are still stale, inside the limits.
    fn group(
        &mut self,
        asset: AssetIdx,
        recheck: &mut dyn FnMut(AssetIdx, usize) -> Recheck,
        bytes: &dyn Fn(AssetIdx, usize) -> u64,
        out: &mut Vec<Transition>,
    ) -> Option<Vec<usize>> {
        if self.limits.gather.contains(&asset) {
            return self.gathered(asset, recheck, out);
        }
        let mut slots: Vec<usize> = Vec::new();
        let mut size = 0u64;
        // Places passed over because another run is at them.
        let mut passed: Option<usize> = None;
        loop {
            let ready = &self.assets[asset.i()].ready;
            let next = match (slots.last(), passed, self.newest_first) {
                (Some(&last), _, false) => Some(last + 1),
                (Some(&last), _, true) => last.checked_sub(1),
                (None, None, false) => ready.first().copied(),
                (None, None, true) => ready.last().copied(),
                (None, Some(at), false) => ready.range(at + 1..).next().copied(),
                (None, Some(at), true) => ready.range(..at).next_back().copied(),
            };
            let Some(slot) = next.filter(|s| ready.contains(s)) else { break };
            if slots.len() >= self.limits.group_days {
                break;
            }
            if let Some(&missing) = self.assets[asset.i()].missing_input.get(&slot) {
                if !slots.is_empty() {
                    break;
                }
                self.assets[asset.i()].ready.remove(&slot);
                self.settle(asset, slot, StepState::UpstreamFailed, Some(missing), out);
                continue;
            }
            match recheck(asset, slot) {
                Recheck::Run => {}
                _ if !slots.is_empty() => break,
                Recheck::Fresh => {
                    self.assets[asset.i()].ready.remove(&slot);
                    self.settle(asset, slot, StepState::Skipped, None, out);
                    continue;
                }
                Recheck::Later => {
                    passed = Some(slot);
                    continue;
                }
            }
            let cost = bytes(asset, slot);
            if !slots.is_empty() && size + cost > self.limits.group_bytes {
                break;
            }
            size += cost;
            self.assets[asset.i()].ready.remove(&slot);
            slots.push(slot);
        }
        slots.sort_unstable();
        (!slots.is_empty()).then_some(slots)
    }

    /// Every ready partition that is still stale, when none waits any more.
    fn gathered(
        &mut self,
        asset: AssetIdx,
        recheck: &mut dyn FnMut(AssetIdx, usize) -> Recheck,
        out: &mut Vec<Transition>,
    ) -> Option<Vec<usize>> {
        if self.assets[asset.i()].state.contains(&WAITING) {
            return None;
        }
        let mut slots = Vec::new();
        for slot in self.assets[asset.i()].ready.clone() {
            if let Some(&missing) = self.assets[asset.i()].missing_input.get(&slot) {
                self.settle(asset, slot, StepState::UpstreamFailed, Some(missing), out);
                continue;
            }
            match recheck(asset, slot) {
                Recheck::Run => slots.push(slot),
                Recheck::Fresh => self.settle(asset, slot, StepState::Skipped, None, out),
                Recheck::Later => {}
            }
        }
        for slot in &slots {
            self.assets[asset.i()].ready.remove(slot);
        }
        (!slots.is_empty()).then_some(slots)
    }

    /// A partition reaches a final state; what waits for it becomes ready or fails with it.
    fn settle(
        &mut self,
        asset: AssetIdx,
        slot: usize,
        state: StepState,
        because: Option<AssetPartition>,
        out: &mut Vec<Transition>,
    ) {
        out.push(Transition::Partition { asset, slot, state, because });
        self.release(asset, slot, matches!(state, StepState::Succeeded | StepState::Skipped), out);
    }

    fn release(&mut self, asset: AssetIdx, slot: usize, good: bool, out: &mut Vec<Transition>) {
        let steps = &mut self.assets[asset.i()];
        if steps.state[slot] == DONE {
            return;
        }
        steps.state[slot] = DONE;
        steps.ready.remove(&slot);
        self.open -= 1;
        let because = AssetPartition { asset, partition: self.graph.partition(asset, slot) };
        for &(down, mapping) in self.graph.downstream(asset) {
            for at in self.graph.output_slots(asset, slot, down, mapping) {
                let steps = &mut self.assets[down.i()];
                if !matches!(steps.state[at], WAITING | READY) {
                    continue;
                }
                steps.pending[at] = steps.pending[at].saturating_sub(1);
                if !good && self.graph.asset(down).kind != AssetKind::System {
                    self.settle(down, at, StepState::UpstreamFailed, Some(because), out);
                } else if self.assets[down.i()].pending[at] == 0 {
                    let steps = &mut self.assets[down.i()];
                    steps.state[at] = READY;
                    steps.ready.insert(at);
                }
            }
        }
    }

    /// Tells how a group ended: one state a partition. The caller records these itself; what
    /// follows from them (failed dependents) is told in `out`.
    pub fn finish_group(&mut self, id: WorkId, results: &[(usize, StepState)], out: &mut Vec<Transition>) {
        let Some(Work::Group { asset, .. }) = self.end(id) else { return };
        for &(slot, state) in results {
            self.release(asset, slot, matches!(state, StepState::Succeeded | StepState::Skipped), out);
        }
    }

    /// Tells how a capture ended. Partitions of its asset that wait for no other capture reach
    /// their final state: `changed` says which got a new version.
    pub fn finish_capture(
        &mut self,
        id: WorkId,
        state: StepState,
        changed: &dyn Fn(usize) -> bool,
        exists: &dyn Fn(usize) -> bool,
        out: &mut Vec<Transition>,
    ) {
        let Some(Work::Capture(at)) = self.end(id) else { return };
        self.captures[at].state = DONE;
        self.open -= 1;
        let (asset, slots) = (self.captures[at].asset, self.captures[at].slots.clone());
        for slot in slots {
            let steps = &mut self.assets[asset.i()];
            steps.pending[slot] = steps.pending[slot].saturating_sub(1);
            if steps.pending[slot] > 0 || !matches!(steps.state[slot], WAITING | READY) {
                continue;
            }
            // What an earlier good capture made stays readable when this one failed.
            let end = match state {
                _ if changed(slot) => StepState::Succeeded,
                StepState::Succeeded => StepState::Skipped,
                _ if exists(slot) => StepState::Skipped,
                other => other,
            };
            self.settle(asset, slot, end, None, out);
        }
    }

    fn end(&mut self, id: WorkId) -> Option<Work> {
        let (work, pool) = self.running.remove(&id)?;
        if let Some(used) = pool.and_then(|p| self.pool_used.get_mut(&p)) {
            *used = used.saturating_sub(1);
        }
        Some(work)
    }

    /// Stops everything that has not started: it is canceled. What runs goes on until it is
    /// told as finished.
    pub fn cancel(&mut self, out: &mut Vec<Transition>) {
        for at in 0..self.captures.len() {
            if self.captures[at].state == READY {
                self.captures[at].state = DONE;
                self.open -= 1;
                out.push(Transition::Capture(at));
            }
        }
        for asset in self.graph.indices() {
            let steps = &mut self.assets[asset.i()];
            steps.ready.clear();
            for slot in 0..steps.state.len() {
                if matches!(steps.state[slot], WAITING | READY) {
                    steps.state[slot] = DONE;
                    self.open -= 1;
                    out.push(Transition::Partition {
                        asset,
                        slot,
                        state: StepState::Canceled,
                        because: None,
                    });
                }
            }
        }
    }

    /// Tells how some partitions of a group ended while the others go on.
    pub fn settle_some(&mut self, id: WorkId, results: &[(usize, StepState)], out: &mut Vec<Transition>) {
        let Some(Work::Group { asset, .. }) = self.running.get(&id).map(|(w, _)| w.clone()) else { return };
        for &(slot, state) in results {
            self.release(asset, slot, matches!(state, StepState::Succeeded | StepState::Skipped), out);
        }
    }

    /// Puts a started capture back: it waits for its turn again, but not before it is let go.
    pub fn put_back_capture(&mut self, id: WorkId) {
        if let Some(Work::Capture(at)) = self.end(id) {
            self.captures[at].state = READY;
            self.captures[at].held = true;
        }
    }

    /// Lets a capture that was put back start again.
    pub fn let_go(&mut self, at: usize) {
        self.captures[at].held = false;
    }

    /// Puts partitions of a started group back: they wait for their turn again.
    pub fn put_back(&mut self, id: WorkId, slots: &[usize]) {
        let Some(Work::Group { asset, .. }) = self.running.get(&id).map(|(w, _)| w.clone()) else { return };
        for &slot in slots {
            let steps = &mut self.assets[asset.i()];
            if steps.state[slot] == RUNNING {
                steps.state[slot] = READY;
                steps.ready.insert(slot);
            }
        }
    }
}
