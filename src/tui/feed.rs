//! Reads for the screens, on a thread of its own: the state database and what the project
//! declares. Never writes, never waits for a writer.
//!
//! Asks the database a cheap question four times a second and reads only what changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::cli::reason;
use crate::config::Body;
use crate::event::{StepState, Target};
use crate::graph::{
    AssetGraph, PartitionKey, PartitionMapping, PartitionSet, Partitioning, Request, Staleness, plan,
};
use crate::output::{event_line, sanitize};
use crate::project::Project;
use crate::state::{RunId, RunLife, State, StepFilter};

use super::shot::{AssetShot, Cell, DetailShot, RunShot, RunsShot, WorldShot};

/// What a screen asks the feed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// Follow this run's events; `None` for no run.
    Run(Option<RunId>),
    /// Read everything again now.
    Refresh,
    /// The viewer ends.
    Stop,
}

/// What the feed has read.
pub enum News {
    /// Assets and where their partitions stand.
    World(Arc<WorldShot>),
    /// Runs, failures, what is being made.
    Runs(Arc<RunsShot>),
    /// The run that is followed.
    Run(Arc<DetailShot>),
    /// Something could not be read.
    Trouble(String),
}

/// How often the database is asked whether there is news.
const PULSE: Duration = Duration::from_millis(250);
/// Partitions are looked at again after so long while a run is at work,
const BUSY: Duration = Duration::from_secs(3);
/// and after so long when nothing happens: files may have arrived.
const IDLE: Duration = Duration::from_secs(60);
/// Runs in the list.
const RUNS: u32 = 500;
/// Events read at once.
const EVENTS: u32 = 5_000;

/// Reads until the viewer ends. `tell` gives false when nobody listens any more.
pub fn read(project: &Project, wants: &Receiver<Want>, tell: &dyn Fn(News) -> bool) {
    let mut feed = Feed {
        project,
        state: None,
        followed: None,
        detail: DetailShot::default(),
        fingerprint: None,
        busy: false,
        version: None,
        world_at: None,
        stale: true,
    };
    loop {
        let told = feed.pulse(tell).unwrap_or_else(|trouble| tell(News::Trouble(trouble)));
        if !told {
            return;
        }
        match wants.recv_timeout(PULSE) {
            Ok(Want::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(Want::Refresh) => {
                feed.fingerprint = None;
                feed.stale = true;
                feed.world_at = None;
            }
            Ok(Want::Run(run)) => feed.follow(run),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

struct Feed<'p> {
    project: &'p Project,
    state: Option<State>,
    followed: Option<RunId>,
    detail: DetailShot,
    /// What the newest runs looked like when they were last told.
    fingerprint: Option<u64>,
    /// Whether a run was at work then,
    busy: bool,
    /// and the database's version.
    version: Option<i64>,
    world_at: Option<Instant>,
    /// Whether partitions may stand otherwise than told.
    stale: bool,
}

impl Feed<'_> {
    fn follow(&mut self, run: Option<RunId>) {
        if self.followed != run {
            self.followed = run;
            self.detail = DetailShot::default();
        }
        self.fingerprint = None;
    }

    fn pulse(&mut self, tell: &dyn Fn(News) -> bool) -> Result<bool, String> {
        crate::crash::trap("viewer feed");
        if self.state.is_none() {
            self.state = self.project.state_if_any().map_err(|e| e.to_string())?;
        }
        let version = match &self.state {
            Some(state) => Some(state.version().map_err(|e| e.to_string())?),
            None => None,
        };
        // Runs at work die without writing; else, what nobody has written to has not changed.
        let news = self.busy || self.fingerprint.is_none() || self.version != version;
        self.version = version;
        if let Some(state) = self.state.as_ref().filter(|_| news) {
            let runs = list(self.project, state)?;
            let print = fingerprint(&runs);
            let busy = runs.runs.iter().any(|r| matches!(r.life, RunLife::Running | RunLife::Canceling));
            self.busy = busy;
            let changed = self.fingerprint != Some(print);
            if changed {
                self.stale = true;
                self.fingerprint = Some(print);
            }
            if (changed || busy) && !tell(News::Runs(Arc::new(runs))) {
                return Ok(false);
            }
            if let Some(run) = self.followed
                && self.read_run(run)?
                && !tell(News::Run(Arc::new(self.detail.clone())))
            {
                return Ok(false);
            }
        }
        let age = self.world_at.map(|at| at.elapsed());
        let due = match age {
            None => true,
            Some(age) => age >= IDLE || self.stale && age >= BUSY,
        };
        if due {
            let world = world(self.project, self.state.as_ref())?;
            self.world_at = Some(Instant::now());
            self.stale = false;
            return Ok(tell(News::World(Arc::new(world))));
        }
        Ok(true)
    }

    /// Reads what is new of the followed run. Whether anything is.
    fn read_run(&mut self, id: RunId) -> Result<bool, String> {
        let Some(state) = &self.state else { return Ok(false) };
        let words = |e: crate::state::StateError| e.to_string();
        let Some(row) = state.run(id).map_err(words)? else { return Ok(false) };
        let life = self.project.life(&row);
        let first = self.detail.run.is_none();
        let mut news = first;
        let began = row.started_ms;
        loop {
            let events = state.events(id, self.detail.seq, EVENTS).map_err(words)?;
            let n = events.len();
            news |= n > 0;
            if n > 0 && self.detail.seq == 0 {
                // Planned steps are recorded together with the first event, not with the run.
                for step in state.steps(id, &StepFilter::default()).map_err(words)? {
                    self.detail.expect(&step.target);
                }
            }
            for (seq, at_ms, event) in &events {
                let line = event_line::plain(event);
                self.detail.apply(*seq, *at_ms, began, event, line);
            }
            if n < EVENTS as usize {
                break;
            }
        }
        let before = self.detail.run.as_ref().map(|r| (r.life, r.row.heartbeat_ms));
        news |= before != Some((life, row.heartbeat_ms));
        self.detail.run = Some(shot(row, life));
        Ok(news || matches!(life, RunLife::Running | RunLife::Canceling))
    }
}

fn shot(row: crate::state::RunRow, life: RunLife) -> RunShot {
    let request: serde_json::Value = serde_json::from_str(&row.request_json).unwrap_or_default();
    let backfill = request.get("backfill").and_then(serde_json::Value::as_bool).unwrap_or(false);
    RunShot { row, life, backfill }
}

fn list(project: &Project, state: &State) -> Result<RunsShot, String> {
    let words = |e: crate::state::StateError| e.to_string();
    let rows = state.runs(RUNS, None).map_err(words)?;
    let lake = rows.first().map(|r| r.lake.clone());
    let runs: Vec<RunShot> = rows
        .into_iter()
        .map(|row| {
            let life = project.life(&row);
            shot(row, life)
        })
        .collect();
    let failures = match &lake {
        Some(lake) => state.last_failures(lake).map_err(words)?,
        None => Vec::new(),
    };
    let mut running: BTreeMap<String, Vec<PartitionKey>> = BTreeMap::new();
    let filter = StepFilter { states: vec![StepState::Running], ..StepFilter::default() };
    for run in runs.iter().filter(|r| matches!(r.life, RunLife::Running | RunLife::Canceling)) {
        for step in state.steps(run.row.id, &filter).map_err(words)? {
            if let Target::Partition { asset, partition } = step.target {
                running.entry(asset.to_string()).or_default().push(partition);
            }
        }
    }
    Ok(RunsShot { runs, failures, running })
}

/// Changes when anything in the lists does, except heartbeats.
fn fingerprint(runs: &RunsShot) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    runs.failures.len().hash(&mut hasher);
    for run in &runs.runs {
        (run.row.id, run.life, run.row.counts.finished(), run.row.steps).hash(&mut hasher);
    }
    for (asset, parts) in &runs.running {
        (asset, parts.len()).hash(&mut hasher);
    }
    hasher.finish()
}

/// Where every partition stands.
pub fn world(project: &Project, state: Option<&State>) -> Result<WorldShot, String> {
    let graph = &project.config.graph;
    let lake = project.lake_if_any().map_err(|e| e.to_string())?;
    let world = project.world(lake.as_ref(), state, false, false).map_err(|e| e.to_string())?;
    let request = Request { selected: PartitionSet::all(graph), force: false };
    let plan = plan(graph, &world.ledger, &world.seen, &request);
    let mut assets: Vec<AssetShot> = graph.iter().map(|(idx, _)| declared(project, graph, idx)).collect();
    for idx in graph.indices() {
        let shot = &mut assets[idx.i()];
        for (slot, entry) in world.ledger.of(idx).iter().enumerate() {
            shot.cells[slot] = if entry.is_some() { Cell::Fresh } else { Cell::Missing };
            if let Some(entry) = entry {
                shot.rows[slot] = Some(entry.rows);
                shot.published[slot] = entry.at_ms;
                shot.generations[slot] = entry.generation.get();
            }
        }
    }
    for step in &plan.steps {
        let shot = &mut assets[step.asset.i()];
        shot.cells[step.slot] = match step.why {
            Staleness::AwaitsCapture if shot.rows[step.slot].is_some() => Cell::Awaits,
            Staleness::Missing | Staleness::AwaitsCapture => Cell::Missing,
            _ => Cell::Stale,
        };
        shot.why.insert(step.slot, reason(graph, &world, step));
    }
    if let (Some(state), Some(lake)) = (state, &lake) {
        for failure in state.last_failures(lake.id()).map_err(|e| e.to_string())? {
            let Target::Partition { asset, partition } = &failure.target else { continue };
            let Some(idx) = graph.find(asset.as_str()) else { continue };
            let at = crate::graph::AssetPartition { asset: idx, partition: *partition };
            if let Some(slot) = graph.slot(at) {
                let shot = &mut assets[idx.i()];
                shot.cells[slot] = Cell::Failed;
                shot.failed.insert(slot, sanitize::line(&failure.message).into_owned());
            }
        }
    }
    let days = graph.days();
    Ok(WorldShot {
        project: sanitize::line(&project.config.project.name).into_owned(),
        first_day: days.start.0,
        days: days.len(),
        assets,
        windows_due: plan.captures.len(),
        notes: world.notes.iter().map(|n| sanitize::line(n).into_owned()).collect(),
    })
}

/// What the files say of an asset, before anything is known of its partitions.
fn declared(project: &Project, graph: &AssetGraph, idx: crate::graph::AssetIdx) -> AssetShot {
    let asset = graph.asset(idx);
    let config = project.config.asset(idx);
    let slots = graph.slots(idx);
    let edge = |other: crate::graph::AssetIdx, mapping: PartitionMapping| match mapping {
        PartitionMapping::Same => graph.key(other).to_string(),
        mapping => format!("{} ({mapping})", graph.key(other)),
    };
    let mut depth = vec![0usize; graph.len()];
    for a in graph.indices() {
        depth[a.i()] = graph.upstream(a).iter().map(|(up, _)| depth[up.i()] + 1).max().unwrap_or(0);
    }
    AssetShot {
        key: asset.key.to_string(),
        layer: asset.layer.as_str().to_string(),
        kind: asset.kind.as_str().to_string(),
        description: sanitize::line(&asset.description).into_owned(),
        upstream: graph.upstream(idx).iter().map(|(up, m)| edge(*up, *m)).collect(),
        downstream: graph.downstream(idx).iter().map(|(down, m)| edge(*down, *m)).collect(),
        depth: depth[idx.i()],
        cells: vec![Cell::Missing; slots],
        rows: vec![None; slots],
        published: vec![0; slots],
        generations: vec![0; slots],
        why: BTreeMap::new(),
        failed: BTreeMap::new(),
        columns: config
            .columns
            .iter()
            .map(|(name, text)| (sanitize::line(name).into_owned(), sanitize::line(text).into_owned()))
            .collect(),
        sql: match &config.body {
            Body::Sql { file } => Some(sanitize::block(&file.text).into_owned()),
            _ => None,
        },
        checks: config
            .checks
            .iter()
            .map(|c| {
                let columns: Vec<&str> = c.kind.columns().iter().map(|l| l.value.as_str()).collect();
                let text = match columns.as_slice() {
                    [] => c.name.clone(),
                    columns => format!("{} {}", c.kind.as_str(), columns.join(", ")),
                };
                sanitize::line(&text).into_owned()
            })
            .collect(),
        daily: asset.partitioning == Partitioning::Daily,
    }
}

/// Starts the thread.
pub fn start(project: Arc<Project>, wants: Receiver<Want>, news: Sender<News>) -> std::io::Result<()> {
    std::thread::Builder::new().name("rxpulse-feed".into()).stack_size(8 << 20).spawn(move || {
        read(&project, &wants, &|n| news.send(n).is_ok());
    })?;
    Ok(())
}
