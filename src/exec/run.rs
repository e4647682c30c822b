//! The run loop: starts what the schedule allows, records what ends, tells who watches.
//!
//! Invariant: the loop alone writes the run's state, and what it emits is committed. Strictly in
//! this order: record event and materialization in one transaction → ledger → schedule → emit.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::classify::TaxonomySlice;
use crate::engine::{CancellationFlag, Progress};
use crate::enrich::Usd;
use crate::event::{Event, RunState, StepState, StepStats, Target};
use crate::graph::{
    AssetGraph, AssetIdx, AssetKind, AssetPartition, CaptureReason, Cause, PartitionKey, PartitionSet, Plan,
    Staleness, fingerprint, lost, staleness,
};
use crate::lake::InputVersion;
use crate::state::{Batch, LeaseOutcome, NewRun, Published, RunId, State, StateError};

use super::ai;
use super::capture::{self, CaptureDone};
use super::resources::Resources;
use super::schedule::{Limits, Recheck, Schedule, Transition, Work, WorkId};
use super::step::{self, DepInput, Failure, GroupJob, InputRef, SlotJob, SlotResult, Watch};
use super::world::{Sight, World, WorldError, set_entry};

/// A run could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state database refused.
    #[error(transparent)]
    State(#[from] StateError),
    /// The lake refused.
    #[error(transparent)]
    Lake(#[from] crate::lake::LakeError),
    /// What is known could not be read again.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A worker thread ended without a word.
    #[error("a worker ended unexpectedly: {0}")]
    Worker(String),
}

/// What a run is asked for, besides its plan.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The command, as a person would type it.
    pub command: String,
    /// The request in full, for resuming.
    pub request_json: String,
    /// Newest days first.
    pub newest_first: bool,
    /// Steps at a time; the configuration's number when absent.
    pub parallel: Option<usize>,
    /// Most that it may spend on language models, beside what the configuration says.
    pub max_usd: Option<Usd>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// Its number.
    pub run: RunId,
    /// How.
    pub state: RunState,
    /// Whether anything was published.
    pub published: u64,
    /// Steps that failed or were blocked.
    pub failed: u64,
    /// 129, 130 or 143 when a signal ended it.
    pub signal: Option<i32>,
}

/// What a running step tells the loop.
enum Message {
    /// The pause before another try is over.
    Again {
        asset: AssetIdx,
        attempt: u32,
        slots: Vec<usize>,
    },
    Group {
        id: WorkId,
        attempt: u32,
        results: Vec<SlotResult>,
        notes: Vec<(String, String)>,
    },
    Capture {
        id: WorkId,
        result: Box<Result<CaptureDone, Failure>>,
        elapsed_ms: u64,
    },
    Progress {
        id: WorkId,
        progress: Progress,
    },
}

/// How far running queries have come; shown, never recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Live {
    /// Rows read by running queries.
    pub rows: u64,
    /// Bytes read by running queries.
    pub bytes: u64,
}

/// What a run tells whoever watches.
pub enum Told<'a> {
    /// Recorded, with its sequence number.
    Event(i64, &'a Event),
    /// The state of running queries.
    Live(Live),
    /// The first signal arrived: the run is being canceled.
    Canceling,
    /// A moment has passed.
    Tick,
}

/// Asks the operating system for signals: the first cancels the run, the second ends at once.
pub struct Signals {
    receiver: mpsc::UnboundedReceiver<i32>,
    /// Whether a run is at work, which can be canceled.
    at_work: Arc<AtomicBool>,
}

impl Signals {
    /// Listens for SIGINT, SIGTERM and SIGHUP from now on. While no run is at work (it is being
    /// planned, or has ended) `otherwise` is told the exit code instead, on a thread of the
    /// runtime. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn listen(otherwise: impl Fn(i32) + Clone + Send + 'static) -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (sender, receiver) = mpsc::unbounded_channel();
        let at_work = Arc::new(AtomicBool::new(false));
        let kinds =
            [(SignalKind::interrupt(), 130), (SignalKind::terminate(), 143), (SignalKind::hangup(), 129)];
        for (kind, code) in kinds {
            let mut stream = signal(kind)?;
            let (sender, at_work, otherwise) = (sender.clone(), at_work.clone(), otherwise.clone());
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    if !at_work.load(Ordering::SeqCst) || sender.send(code).is_err() {
                        otherwise(code);
                    }
                }
            });
        }
        Ok(Self { receiver, at_work })
    }

    fn begin(&self) {
        self.at_work.store(true, Ordering::SeqCst);
    }

    /// No run is at work any more. The signal that came too late for it, if one did.
    fn end(&mut self) -> Option<i32> {
        self.at_work.store(false, Ordering::SeqCst);
        self.receiver.try_recv().ok()
    }
}

/// Executes a plan.
///
/// # Errors
/// When state or lake refuse; steps that fail are part of the report instead.
pub async fn run(
    res: &Arc<Resources>,
    state: &State,
    world: &mut World,
    plan: &Plan,
    options: &RunOptions,
    signals: &mut Signals,
    tell: &mut dyn FnMut(Told<'_>),
) -> Result<RunReport, RunError> {
    // Before the run is recorded: from then on it is ended in order.
    signals.begin();
    let report = carry_out(res, state, world, plan, options, signals, tell).await;
    let late = signals.end();
    let mut report = report?;
    report.signal = report.signal.or(late);
    Ok(report)
}

async fn carry_out(
    res: &Arc<Resources>,
    state: &State,
    world: &mut World,
    plan: &Plan,
    options: &RunOptions,
    signals: &mut Signals,
    tell: &mut dyn FnMut(Told<'_>),
) -> Result<RunReport, RunError> {
    let res_config = res.config.clone();
    let graph = &res_config.graph;
    let started = Instant::now();
    let steps = (plan.captures.len() + plan.steps.len()) as u64;
    let lake = res.lake.id().to_string();
    let id = state.begin_run(&NewRun {
        lake: lake.clone(),
        command: options.command.clone(),
        request_json: options.request_json.clone(),
        pid: std::process::id(),
        host: host(),
        steps,
        now_ms: now_ms(),
    })?;
    let (sender, receiver) = mpsc::unbounded_channel();
    let limits = Limits {
        concurrency: options.parallel.unwrap_or(res_config.run.concurrency).max(1),
        pools: pools(res),
        group_bytes: res_config.run.group_bytes,
        group_days: GROUP_DAYS,
        gather: graph.indices().filter(|a| ai::asks_network(&res_config, *a).is_some()).collect(),
    };
    let mut schedule = Schedule::new(graph, plan, limits);
    if options.newest_first {
        schedule = schedule.newest_first();
    }
    let lost = lost(graph, &world.ledger, &world.seen);
    let mut looper = Loop {
        res: res.clone(),
        state,
        world,
        plan,
        graph,
        schedule,
        run: id,
        lake,
        sender,
        cancel: Arc::default(),
        forced: forced(plan),
        lost,
        later: HashMap::new(),
        later_captures: HashMap::new(),
        contested: BTreeSet::new(),
        batch: Batch::default(),
        live: HashMap::new(),
        published: 0,
        failed: 0,
        canceled: false,
        max_usd: options.max_usd,
        tell,
    };
    looper.batch.plan = targets(graph, plan);
    looper.batch.events.push(Event::RunStarted { command: options.command.clone(), steps });
    for step in &plan.steps {
        if let Some(up) = step.stale_input {
            let message = format!(
                "{} runs on a stale {}; to bring it up to date as well, select +{}",
                graph.key(step.asset),
                graph.key(up),
                graph.key(step.asset)
            );
            let already = looper
                .batch
                .events
                .iter()
                .any(|e| matches!(e, Event::Log { message: m, .. } if *m == message));
            if !already {
                looper.batch.events.push(Event::Log { level: "warn".into(), step: None, message });
            }
        }
    }
    if let Some(message) = embedded_note(res, plan) {
        looper.batch.events.push(Event::Log { level: "info".into(), step: None, message });
    }
    looper.flush()?;
    let signal = looper.drive(receiver, signals).await?;
    looper.finish(started, signal)
}

/// Who labels general feedback where no language model is asked, and how to have one.
fn embedded_note(res: &Resources, plan: &Plan) -> Option<String> {
    let config = &res.config;
    let labelled = |asset: AssetIdx| res.is_feedback(asset) && ai::asks_network(config, asset).is_none();
    let asset = plan.steps.iter().map(|s| s.asset).find(|a| labelled(*a))?;
    Some(format!(
        "{} is labelled by the embedded model, on this machine; for Gemini write provider = \"gemini\" under \
         [ai] and set {}",
        config.graph.key(asset),
        config.ai.gemini.as_ref().and_then(|m| m.api_key_env.as_deref()).unwrap_or("GEMINI_API_KEY"),
    ))
}

/// Days that one group does not exceed: bounds what one query holds and how long a commit waits.
const GROUP_DAYS: usize = 128;

/// The steps of a plan as targets.
pub fn targets(graph: &AssetGraph, plan: &Plan) -> Vec<Target> {
    let captures = plan.captures.iter().map(|c| Target::Capture {
        asset: graph.key(c.asset).clone(),
        source: c.window.source.clone(),
        window: c.window.id.clone(),
    });
    let steps = plan.steps.iter().map(|s| Target::Partition {
        asset: graph.key(s.asset).clone(),
        partition: graph.partition(s.asset, s.slot),
    });
    captures.chain(steps).collect()
}

fn pools(res: &Resources) -> BTreeMap<String, usize> {
    let mut pools = res.config.run.pools.clone();
    for source in &res.config.sources {
        // Captures of one source into the same days take turns: they add to the same manifests.
        if capture::takes_turns(source) {
            pools.entry(source.name.clone()).or_insert(1);
        }
    }
    pools
}

fn forced(plan: &Plan) -> BTreeSet<(AssetIdx, usize)> {
    plan.steps
        .iter()
        .filter(|s| matches!(&s.why, Staleness::Stale(causes) if causes.contains(&Cause::Forced)))
        .map(|s| (s.asset, s.slot))
        .collect()
}

/// Milliseconds since 1970 UTC, by this machine's clock.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// This machine's name.
pub fn host() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().chars().take(64).collect()
}

/// How long a step held by another run waits before it asks again.
const LATER: Duration = Duration::from_millis(200);

struct Loop<'a> {
    res: Arc<Resources>,
    state: &'a State,
    world: &'a mut World,
    plan: &'a Plan,
    graph: &'a AssetGraph,
    schedule: Schedule<'a>,
    run: RunId,
    lake: String,
    sender: mpsc::UnboundedSender<Message>,
    cancel: Arc<AtomicBool>,
    forced: BTreeSet<(AssetIdx, usize)>,
    /// What cannot be made any more, which a table without days does without.
    lost: PartitionSet,
    /// Steps that another run holds, and when to ask again.
    later: HashMap<(AssetIdx, usize), Instant>,
    /// Captures that another run holds up, and when to ask again.
    later_captures: HashMap<usize, Instant>,
    /// Captures that were held up: another run may have done them.
    contested: BTreeSet<usize>,
    batch: Batch,
    live: HashMap<WorkId, Progress>,
    published: u64,
    failed: u64,
    canceled: bool,
    max_usd: Option<Usd>,
    tell: &'a mut dyn FnMut(Told<'_>),
}

impl Loop<'_> {
    async fn drive(
        &mut self,
        mut receiver: mpsc::UnboundedReceiver<Message>,
        signals: &mut Signals,
    ) -> Result<Option<i32>, RunError> {
        let mut signal = None;
        let beat = Duration::from_millis(self.res.config.run.heartbeat_ms.max(50) as u64);
        let mut heartbeat = tokio::time::interval(beat);
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            self.start_ready()?;
            self.flush()?;
            if self.schedule.open() == 0 {
                return Ok(signal);
            }
            tokio::select! {
                message = receiver.recv() => {
                    let Some(message) = message else { return Err(RunError::Worker("channel closed".into())) };
                    self.take(message)?;
                    // What ended at the same time shares a transaction.
                    while let Ok(more) = receiver.try_recv() {
                        self.take(more)?;
                    }
                    self.flush()?;
                }
                _ = heartbeat.tick() => {
                    let orders = self.state.heartbeat(self.run, now_ms())?;
                    if (orders.cancel || orders.over) && !self.canceled {
                        self.cancel_all()?;
                    }
                }
                _ = tick.tick() => {
                    let live = self.live.values().fold(Live::default(), |a, p| Live {
                        rows: a.rows + p.rows,
                        bytes: a.bytes + p.bytes,
                    });
                    (self.tell)(Told::Live(live));
                    (self.tell)(Told::Tick);
                    // Somebody may ask from another process; a read costs microseconds and waits
                    // for nobody, a heartbeat writes and is rare.
                    if !self.canceled && self.state.orders(self.run)?.cancel {
                        self.cancel_all()?;
                    }
                }
                code = signals.receiver.recv() => {
                    if self.canceled && signal.is_some() {
                        // The second time: at once. The state says so as far as it can.
                        let _ = self.state.finish_run(self.run, RunState::Canceled, now_ms());
                        std::process::exit(code.unwrap_or(130));
                    }
                    signal = Some(code.unwrap_or(130));
                    self.cancel_all()?;
                }
            }
        }
    }

    fn cancel_all(&mut self) -> Result<(), RunError> {
        self.canceled = true;
        (self.tell)(Told::Canceling);
        self.cancel.store(true, Ordering::Relaxed);
        let mut out = Vec::new();
        self.schedule.cancel(&mut out);
        self.record(out);
        self.flush()
    }

    /// Starts everything that the limits allow.
    fn start_ready(&mut self) -> Result<(), RunError> {
        if self.canceled {
            return Ok(());
        }
        loop {
            let mut out = Vec::new();
            let now = Instant::now();
            self.later.retain(|_, until| *until > now);
            let due: Vec<usize> =
                self.later_captures.iter().filter(|(_, until)| **until <= now).map(|(at, _)| *at).collect();
            for at in due {
                self.later_captures.remove(&at);
                self.schedule.let_go(at);
            }
            let (world, graph, forced, later) = (&*self.world, self.graph, &self.forced, &self.later);
            let mut recheck = |asset: AssetIdx, slot: usize| {
                if later.contains_key(&(asset, slot)) {
                    return Recheck::Later;
                }
                let fresh = staleness(graph, &world.ledger, &world.seen, asset, slot) == Staleness::Fresh;
                if fresh && !forced.contains(&(asset, slot)) { Recheck::Fresh } else { Recheck::Run }
            };
            let bytes = |asset: AssetIdx, slot: usize| input_bytes(graph, world, asset, slot);
            let started = self.schedule.start(&mut recheck, &bytes, &mut out);
            self.record(out);
            match started {
                None => return Ok(()),
                Some((id, Work::Capture(at))) => self.start_capture(id, at)?,
                Some((id, Work::Group { asset, slots })) => self.start_group(id, asset, slots)?,
            }
        }
    }

    /// Takes leases; what a process of this machine held that is gone is free at once.
    fn lease(&mut self, keys: &[String]) -> Result<Vec<bool>, RunError> {
        let ttl = self.res.config.run.lease_ms;
        let mut outcomes = self.state.lease(&self.lake, self.run, keys, now_ms(), ttl)?;
        let mut buried = BTreeSet::new();
        for outcome in &outcomes {
            if let LeaseOutcome::HeldBy { run, pid, host: theirs, .. } = outcome
                && *theirs == host()
                && !crate::scratch::is_running(*pid)
                && buried.insert(*run)
            {
                self.state.mark_dead(*run, now_ms())?;
            }
        }
        if !buried.is_empty() {
            outcomes = self.state.lease(&self.lake, self.run, keys, now_ms(), ttl)?;
        }
        Ok(outcomes.iter().map(|o| matches!(o, LeaseOutcome::Granted)).collect())
    }

    /// What a capture holds while it runs: files of one source add to the same manifests.
    fn capture_key(&self, at: usize) -> String {
        let window = &self.plan.captures[at].window;
        match self.res.config.source(&window.source) {
            Some(source) if capture::takes_turns(source) => format!("capture {}", window.source),
            _ => format!("capture {} {}", window.source, window.id),
        }
    }

    /// Another run is at the same source: the capture waits, and looks again before it starts.
    fn postpone_capture(&mut self, id: WorkId, at: usize) {
        self.schedule.put_back_capture(id);
        self.later_captures.insert(at, Instant::now() + LATER);
        self.contested.insert(at);
    }

    /// Looks at lake and source again. Whether the window is still due.
    fn still_due(&mut self, at: usize) -> Result<bool, RunError> {
        let step = &self.plan.captures[at];
        let adopted = self.world.refresh(&Sight {
            config: &self.res.config,
            root: &self.res.root,
            lake: Some(&self.res.lake),
            state: Some(self.state),
            write: true,
            force_captures: false,
            issue_types: self.res.taxonomy.slice_version(TaxonomySlice::Types),
            now_ms: now_ms(),
        })?;
        self.batch.entries.extend(adopted);
        let due = self.world.seen.due.get(&step.asset);
        let named =
            due.is_some_and(|d| d.iter().any(|w| w.source == step.window.source && w.id == step.window.id));
        Ok(named || step.window.reason == CaptureReason::Forced)
    }

    fn start_capture(&mut self, id: WorkId, at: usize) -> Result<(), RunError> {
        let key = self.capture_key(at);
        if !self.lease(&[key])?[0] {
            self.postpone_capture(id, at);
            return Ok(());
        }
        if self.contested.remove(&at) && !self.still_due(at)? {
            return self.end_capture(id, at, StepState::Skipped, Some("another run has read it".into()));
        }
        let step = &self.plan.captures[at];
        let target = self.capture_target(at);
        let job = capture::CaptureJob {
            asset: step.asset,
            window: step.window.clone(),
            run: self.run.0,
            now_ms: now_ms(),
            days: self.world.source_days(step.asset, &step.window.source),
            stream: self
                .world
                .memory
                .get(&step.window.source)
                .and_then(|m| m.stream(&step.window.id))
                .cloned(),
            forgotten: self.world.graves.forgotten.clone(),
            textless: self.world.texts.days.clone(),
            pending: self
                .res
                .config
                .source(&step.window.source)
                .map(|s| self.world.pending(s))
                .unwrap_or_default(),
            buried: self.world.graves.records.last_key_value().map_or(0, |(n, _)| *n),
        };
        self.batch.events.push(Event::StepStarted { step: target, attempt: 1 });
        self.flush()?;
        let (res, sender, cancel) = (self.res.clone(), self.sender.clone(), self.cancel.clone());
        let begun = Instant::now();
        tokio::task::spawn_blocking(move || {
            let progress = |p: Progress| {
                let _ = sender.send(Message::Progress { id, progress: p });
            };
            let result = guarded(|| capture::run(&res, &job, &progress, &cancel))
                .unwrap_or_else(|message| Err(failed(message)));
            let result = Box::new(result);
            let elapsed_ms = begun.elapsed().as_millis() as u64;
            let _ = sender.send(Message::Capture { id, result, elapsed_ms });
        });
        Ok(())
    }

    fn start_group(&mut self, id: WorkId, asset: AssetIdx, slots: Vec<usize>) -> Result<(), RunError> {
        let mut keys: Vec<String> = slots.iter().map(|s| self.lease_key(asset, *s)).collect();
        let asks = ai::asks_network(&self.res.config, asset).is_some();
        if asks {
            keys.push(ai::AI_LEASE.into());
        }
        let mut granted = self.lease(&keys)?;
        if asks && granted.pop() == Some(false) {
            // Another run asks: its answers and its bill are waited for.
            let taken: Vec<String> =
                keys.iter().zip(&granted).filter(|(_, g)| **g).map(|(k, _)| k.clone()).collect();
            self.batch.release.extend(taken);
            granted.fill(false);
        }
        let (mine, held): (Vec<usize>, Vec<usize>) = (0..slots.len()).partition(|i| granted[*i]);
        if !held.is_empty() {
            let back: Vec<usize> = held.iter().map(|i| slots[*i]).collect();
            self.schedule.put_back(id, &back);
            let until = Instant::now() + LATER;
            self.later.extend(back.iter().map(|s| ((asset, *s), until)));
            // What the other run has published by now need not be made again.
            self.adopt(asset)?;
        }
        let mine: Vec<usize> = mine.into_iter().map(|i| slots[i]).collect();
        let mine = self.without_missing_inputs(id, asset, mine);
        if mine.is_empty() {
            let mut out = Vec::new();
            self.schedule.finish_group(id, &[], &mut out);
            self.record(out);
            return Ok(());
        }
        for &slot in &mine {
            let step = self.target(asset, slot);
            self.batch.events.push(Event::StepStarted { step, attempt: 1 });
        }
        let job = self.group_job(asset, &mine);
        self.spawn_group(id, job, 1, Duration::ZERO);
        Ok(())
    }

    /// Nothing is made from an input that does not exist: it would look empty.
    fn without_missing_inputs(&mut self, id: WorkId, asset: AssetIdx, slots: Vec<usize>) -> Vec<usize> {
        if self.graph.asset(asset).kind == AssetKind::System {
            return slots;
        }
        let mut good = Vec::new();
        let mut bad = Vec::new();
        for slot in slots {
            let missing = self.graph.upstream(asset).iter().find_map(|&(up, mapping)| {
                let mut range = self.graph.input_slots(asset, slot, up, mapping);
                range
                    .find(|s| self.world.ledger.at(up, *s).is_none() && !self.lost.contains(up, *s))
                    .map(|s| (up, s))
            });
            match missing {
                None => good.push(slot),
                Some((up, at)) => {
                    let because = AssetPartition { asset: up, partition: self.graph.partition(up, at) };
                    let message = self.upstream_message(asset, because);
                    let event = finished(self.target(asset, slot), StepState::UpstreamFailed, Some(message));
                    self.batch.events.push(event);
                    self.batch.release.push(self.lease_key(asset, slot));
                    self.failed += 1;
                    bad.push((slot, StepState::UpstreamFailed));
                }
            }
        }
        let mut out = Vec::new();
        self.schedule.settle_some(id, &bad, &mut out);
        self.record(out);
        good
    }

    fn spawn_group(&self, id: WorkId, job: GroupJob, attempt: u32, wait: Duration) {
        let (res, sender, cancel) = (self.res.clone(), self.sender.clone(), self.cancel.clone());
        let declared = self.res.config.asset(job.asset);
        let timeout = declared.timeout_ms.or(self.res.config.run.timeout_ms);
        tokio::spawn(async move {
            let slots: Vec<usize> = job.slots.iter().map(|s| s.slot).collect();
            if !wait.is_zero() {
                let until = tokio::time::Instant::now() + wait;
                // Whoever cancels does not wait for the pause.
                while tokio::time::Instant::now() < until && !cancel.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let _ = sender.send(Message::Again { asset: job.asset, attempt, slots: slots.clone() });
            }
            // A flag of its own, so that a time-out stops this group alone.
            let stop = CancellationFlag::new();
            let worker = {
                let (stop, sender) = (stop.clone(), sender.clone());
                tokio::task::spawn_blocking(move || {
                    let progress = |p: Progress| {
                        let _ = sender.send(Message::Progress { id, progress: p });
                    };
                    let watch = Watch::new(&progress, &stop);
                    let results = guarded(|| step::run_group(&res, &job, &watch));
                    (results, watch.notes.into_inner().unwrap_or_else(PoisonError::into_inner))
                })
            };
            tokio::pin!(worker);
            let deadline =
                timeout.map(|ms| tokio::time::Instant::now() + Duration::from_millis(ms.max(0) as u64));
            let mut timed_out = false;
            let ended = loop {
                tokio::select! {
                    ended = &mut worker => break ended,
                    () = tokio::time::sleep(Duration::from_millis(20)) => {
                        if cancel.load(Ordering::Relaxed) {
                            stop.cancel();
                        } else if deadline.is_some_and(|d| tokio::time::Instant::now() >= d) {
                            timed_out = true;
                            stop.cancel();
                        }
                    }
                }
            };
            let all = |message: String| -> Vec<SlotResult> {
                slots
                    .iter()
                    .map(|s| SlotResult { slot: *s, result: Err(failed(message.clone())), elapsed_ms: 0 })
                    .collect()
            };
            let (mut results, notes) = match ended {
                Ok((Ok(results), notes)) => (results, notes),
                Ok((Err(message), notes)) => (all(message), notes),
                Err(error) => (all(format!("the worker ended unexpectedly: {error}")), Vec::new()),
            };
            if timed_out {
                for result in &mut results {
                    if matches!(result.result, Err(Failure::Canceled)) {
                        let after = timeout.unwrap_or(0);
                        result.result = Err(failed(format!("it took longer than its timeout of {after} ms")));
                    }
                }
            }
            let _ = sender.send(Message::Group { id, attempt, results, notes });
        });
    }

    /// Everything a group needs, copied out of what the loop knows.
    fn group_job(&self, asset: AssetIdx, slots: &[usize]) -> GroupJob {
        let graph = self.graph;
        let mut deps: Vec<DepInput> = graph
            .upstream(asset)
            .iter()
            .map(|(up, _)| DepInput { asset: *up, parts: BTreeMap::new() })
            .collect();
        let system = graph.asset(asset).kind == AssetKind::System;
        let jobs = slots
            .iter()
            .map(|&slot| {
                let mut inputs = Vec::new();
                let mut reads = Vec::new();
                for (d, &(up, mapping)) in graph.upstream(asset).iter().enumerate() {
                    let range = graph.input_slots(asset, slot, up, mapping);
                    reads.push(range.clone());
                    if system {
                        continue;
                    }
                    for input in range {
                        let partition = graph.partition(up, input);
                        let entry = self.world.ledger.at(up, input);
                        inputs.push(InputVersion {
                            asset: graph.key(up).clone(),
                            partition,
                            data: entry.map(|e| e.data),
                        });
                        deps[d].parts.entry(input).or_insert_with(|| self.parts(up, input));
                    }
                }
                let entry = self.world.ledger.at(asset, slot);
                let floor = self.world.floors.get(&(asset, slot)).copied().unwrap_or(0);
                let based_on = entry.map_or(0, |e| e.generation.get());
                SlotJob {
                    slot,
                    code: graph.code(asset, slot),
                    partition: graph.partition(asset, slot),
                    fingerprint: fingerprint(graph, &self.world.ledger, &self.world.seen, asset, slot),
                    inputs,
                    reads,
                    // A manifest that remains below the floor is no newer work of somebody else.
                    based_on: floor.max(based_on),
                    floor: floor.max(based_on),
                    rows: self.world.system_rows(&self.res, asset, slot),
                }
            })
            .collect();
        GroupJob { asset, slots: jobs, deps, run: self.run.0, now_ms: now_ms(), max_usd: self.max_usd }
    }

    fn parts(&self, up: AssetIdx, slot: usize) -> Vec<InputRef> {
        let partition = self.graph.partition(up, slot);
        if self.graph.asset(up).kind == AssetKind::Source {
            return self.world.bronze_parts(up, slot);
        }
        self.world
            .ledger
            .at(up, slot)
            .map(|e| InputRef { source: None, partition, generation: e.generation })
            .into_iter()
            .collect()
    }

    fn target(&self, asset: AssetIdx, slot: usize) -> Target {
        Target::Partition {
            asset: self.graph.key(asset).clone(),
            partition: self.graph.partition(asset, slot),
        }
    }

    fn capture_target(&self, at: usize) -> Target {
        let step = &self.plan.captures[at];
        Target::Capture {
            asset: self.graph.key(step.asset).clone(),
            source: step.window.source.clone(),
            window: step.window.id.clone(),
        }
    }

    fn lease_key(&self, asset: AssetIdx, slot: usize) -> String {
        format!("{}[{}]", self.graph.key(asset), self.graph.partition(asset, slot))
    }

    fn take(&mut self, message: Message) -> Result<(), RunError> {
        match message {
            Message::Progress { id, progress } => {
                self.live.insert(id, progress);
                Ok(())
            }
            Message::Again { asset, attempt, slots } => {
                for slot in slots {
                    let step = self.target(asset, slot);
                    self.batch.events.push(Event::StepStarted { step, attempt });
                }
                Ok(())
            }
            Message::Group { id, attempt, results, notes } => {
                self.live.remove(&id);
                for (level, message) in notes {
                    self.batch.events.push(Event::Log { level, step: None, message });
                }
                self.take_group(id, attempt, results)
            }
            Message::Capture { id, result, elapsed_ms } => {
                self.live.remove(&id);
                self.take_capture(id, *result, elapsed_ms)
            }
        }
    }

    fn take_group(&mut self, id: WorkId, attempt: u32, results: Vec<SlotResult>) -> Result<(), RunError> {
        let Some(asset) = self.schedule.running().find(|(w, _)| *w == id).and_then(|(_, w)| match w {
            Work::Group { asset, .. } => Some(*asset),
            Work::Capture(_) => None,
        }) else {
            return Ok(());
        };
        let retries = self.res.config.asset(asset).retries;
        if results.iter().any(|r| matches!(r.result, Err(Failure::Lost))) {
            self.adopt(asset)?;
        }
        let mut states = Vec::new();
        let mut again = Vec::new();
        let mut back = Vec::new();
        for result in results {
            let slot = result.slot;
            let step = self.target(asset, slot);
            let (state, stats, message, checks) = match result.result {
                Ok(done) => {
                    let manifest = &done.committed.manifest;
                    let before = self.world.ledger.at(asset, slot).map(|e| e.data);
                    let published = published(manifest);
                    set_entry(&mut self.world.ledger, asset, slot, &published);
                    self.batch.entries.push(published);
                    self.published += 1;
                    let mut stats = done.stats;
                    stats.unchanged = Some(before == Some(manifest.data));
                    stats.data_version = Some(manifest.data);
                    stats.generation = Some(done.committed.generation.get());
                    (StepState::Succeeded, stats, None, done.checks)
                }
                Err(Failure::Canceled) => (StepState::Canceled, StepStats::default(), None, Vec::new()),
                Err(Failure::Lost) => {
                    let now = staleness(self.graph, &self.world.ledger, &self.world.seen, asset, slot);
                    if now != Staleness::Fresh && self.canceled {
                        states.push((slot, StepState::Canceled));
                        self.batch.release.push(self.lease_key(asset, slot));
                        self.batch.events.push(finished(step, StepState::Canceled, None));
                        continue;
                    }
                    if now != Staleness::Fresh {
                        // What the other run made is already out of date: it is our turn again.
                        back.push(slot);
                        continue;
                    }
                    let message = "another run has published it".to_string();
                    (StepState::Skipped, StepStats::default(), Some(message), Vec::new())
                }
                Err(Failure::Failed { passing: true, message, .. })
                    if attempt <= retries && !self.canceled =>
                {
                    again.push((slot, message));
                    continue;
                }
                Err(Failure::Failed { message, checks, .. }) => {
                    self.failed += 1;
                    let print = fingerprint(self.graph, &self.world.ledger, &self.world.seen, asset, slot);
                    self.batch.fingerprints.push((step.clone(), print));
                    (StepState::Failed, StepStats::default(), Some(message), checks)
                }
            };
            self.batch.release.push(self.lease_key(asset, slot));
            self.batch.events.push(Event::StepFinished {
                step,
                state,
                stats,
                message,
                checks,
                elapsed_ms: result.elapsed_ms,
            });
            states.push((slot, state));
        }
        if !again.is_empty() {
            // Full jitter would need a clock or a random number; steps are few and independent.
            let wait = Duration::from_millis(200 << attempt.min(6));
            for (slot, error) in &again {
                let step = self.target(asset, *slot);
                let wait_ms = wait.as_millis() as u64;
                self.batch.events.push(Event::StepRetry { step, attempt, error: error.clone(), wait_ms });
            }
            let slots: Vec<usize> = again.iter().map(|(s, _)| *s).collect();
            let job = self.group_job(asset, &slots);
            self.spawn_group(id, job, attempt + 1, wait);
            // The piece of work goes on; what ended is told now.
            let mut out = Vec::new();
            self.schedule.settle_some(id, &states, &mut out);
            self.record(out);
            return Ok(());
        }
        self.schedule.put_back(id, &back);
        let mut out = Vec::new();
        self.schedule.finish_group(id, &states, &mut out);
        self.record(out);
        Ok(())
    }

    fn take_capture(
        &mut self,
        id: WorkId,
        result: Result<CaptureDone, Failure>,
        elapsed_ms: u64,
    ) -> Result<(), RunError> {
        let Some(at) = self.schedule.running().find(|(w, _)| *w == id).and_then(|(_, w)| match w {
            Work::Capture(at) => Some(*at),
            Work::Group { .. } => None,
        }) else {
            return Ok(());
        };
        let asset = self.plan.captures[at].asset;
        let step = self.capture_target(at);
        let window = self.plan.captures[at].window.clone();
        self.batch.release.push(self.capture_key(at));
        if matches!(result, Err(Failure::Lost)) && !self.canceled {
            // Somebody added to the same days without a lease of this database.
            self.postpone_capture(id, at);
            return Ok(());
        }
        let mut changed = BTreeSet::new();
        let (state, stats, message) = match result {
            Ok(done) => {
                for published in &done.published {
                    self.batch.entries.push(published.clone());
                }
                self.published += done.published.len() as u64;
                changed = self.world.apply_capture(&self.res, asset, &window, &done);
                match done.failed {
                    None => (StepState::Succeeded, done.stats, done.message),
                    // What it had is published and days go on with it; the reading itself failed.
                    Some(why) => {
                        self.failed += 1;
                        (StepState::Failed, done.stats, Some(why))
                    }
                }
            }
            Err(Failure::Canceled) => (StepState::Canceled, StepStats::default(), None),
            // Lost while the run is being canceled: nobody waits for another try.
            Err(Failure::Lost) => (StepState::Canceled, StepStats::default(), None),
            Err(Failure::Failed { message, .. }) => {
                self.failed += 1;
                (StepState::Failed, StepStats::default(), Some(message))
            }
        };
        self.batch.events.push(Event::StepFinished {
            step,
            state,
            stats,
            message,
            checks: Vec::new(),
            elapsed_ms,
        });
        self.world.changed.extend(changed.iter().map(|s| (asset, *s)));
        self.settle_capture(id, at, state);
        Ok(())
    }

    /// A capture ends without having run.
    fn end_capture(
        &mut self,
        id: WorkId,
        at: usize,
        state: StepState,
        message: Option<String>,
    ) -> Result<(), RunError> {
        self.batch.release.push(self.capture_key(at));
        let event = finished(self.capture_target(at), state, message);
        self.batch.events.push(event);
        self.settle_capture(id, at, state);
        Ok(())
    }

    /// Days of the capture's asset that wait for no other capture reach their final state.
    fn settle_capture(&mut self, id: WorkId, at: usize, state: StepState) {
        let asset = self.plan.captures[at].asset;
        let mut out = Vec::new();
        let ledger = &self.world.ledger;
        let since = &self.world.changed;
        self.schedule.finish_capture(
            id,
            state,
            &|slot| since.contains(&(asset, slot)),
            &|slot| ledger.at(asset, slot).is_some(),
            &mut out,
        );
        self.record(out);
    }

    /// Takes over what other runs have published of one asset.
    fn adopt(&mut self, asset: AssetIdx) -> Result<(), RunError> {
        let adopted = self.world.adopt_asset(&self.res.lake, self.graph, asset)?;
        self.batch.entries.extend(adopted);
        Ok(())
    }

    /// Steps that ended without running become events.
    fn record(&mut self, transitions: Vec<Transition>) {
        for transition in transitions {
            let event = match transition {
                Transition::Capture(at) => finished(self.capture_target(at), StepState::Canceled, None),
                Transition::Partition { asset, slot, state, because } => {
                    let step = self.target(asset, slot);
                    let message = match (state, because) {
                        (StepState::UpstreamFailed, Some(up)) => {
                            self.failed += 1;
                            Some(self.upstream_message(asset, up))
                        }
                        (StepState::Failed, _) => Some("its capture failed".to_string()),
                        _ => None,
                    };
                    let mut event = finished(step, state, message);
                    if let Event::StepFinished { stats, .. } = &mut event
                        && state == StepState::Succeeded
                        && let Some(entry) = self.world.ledger.at(asset, slot)
                    {
                        stats.rows_out = Some(entry.rows);
                        stats.data_version = Some(entry.data);
                        stats.generation = Some(entry.generation.get());
                    }
                    event
                }
            };
            self.batch.events.push(event);
        }
    }

    fn upstream_message(&self, asset: AssetIdx, up: AssetPartition) -> String {
        let name = match up.partition {
            PartitionKey::Whole => self.graph.key(up.asset).to_string(),
            day => format!("{}[{day}]", self.graph.key(up.asset)),
        };
        let planned = self.plan.steps.iter().any(|s| s.asset == up.asset);
        if planned {
            format!("it reads {name}, which could not be made")
        } else {
            format!("it reads {name}, which does not exist; select +{} to make it too", self.graph.key(asset))
        }
    }

    /// Records what has gathered in one transaction, then tells it.
    fn flush(&mut self) -> Result<(), RunError> {
        let mut batch = std::mem::take(&mut self.batch);
        if batch.events.is_empty()
            && batch.entries.is_empty()
            && batch.release.is_empty()
            && batch.plan.is_empty()
        {
            return Ok(());
        }
        batch.now_ms = now_ms();
        let numbers = self.state.record(self.run, &batch)?;
        for (number, event) in numbers.iter().zip(&batch.events) {
            (self.tell)(Told::Event(*number, event));
        }
        Ok(())
    }

    fn finish(mut self, started: Instant, signal: Option<i32>) -> Result<RunReport, RunError> {
        self.world.remember(self.state, &self.lake)?;
        let state = if self.canceled {
            RunState::Canceled
        } else if self.failed > 0 {
            RunState::Failed
        } else {
            RunState::Succeeded
        };
        let elapsed_ms = started.elapsed().as_millis() as u64;
        self.batch.events.push(Event::RunFinished { state, elapsed_ms });
        self.flush()?;
        self.state.finish_run(self.run, state, now_ms())?;
        Ok(RunReport { run: self.run, state, published: self.published, failed: self.failed, signal })
    }
}

fn finished(step: Target, state: StepState, message: Option<String>) -> Event {
    let stats = StepStats::default();
    Event::StepFinished { step, state, stats, message, checks: Vec::new(), elapsed_ms: 0 }
}

fn failed(message: String) -> Failure {
    Failure::Failed { message, checks: Vec::new(), passing: false }
}

/// A panic in a step fails the step, not the run.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|s| (*s).to_string())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        format!("internal error, please report it: {text}")
    })
}

/// What a ledger says of a published manifest.
pub fn published(manifest: &crate::lake::Manifest) -> Published {
    Published {
        asset: manifest.asset.clone(),
        partition: manifest.partition,
        code: manifest.code,
        inputs: manifest.fingerprint,
        data: manifest.data,
        rows: manifest.rows,
        at_ms: manifest.created_ms,
        generation: manifest.generation,
        outcome: manifest.outcome,
    }
}

/// An estimate of the bytes that one partition reads, from the rows of its inputs.
fn input_bytes(graph: &AssetGraph, world: &World, asset: AssetIdx, slot: usize) -> u64 {
    let mut bytes = 0;
    for &(up, mapping) in graph.upstream(asset) {
        // A bronze line, decompressed, without its raw copy; a Parquet row, decoded.
        let row = if graph.asset(up).kind == AssetKind::Source { 600 } else { 400 };
        // Neighbours of a group share the days of a trailing window: count one day.
        let range = graph.input_slots(asset, slot, up, mapping);
        let rows = world.ledger.at(up, range.end - 1).map_or(0, |e| e.rows);
        bytes += rows * row;
    }
    bytes
}
