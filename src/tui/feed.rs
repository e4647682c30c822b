//! Reads for the screens, on a thread of its own: the state database and what the project
//! declares. Never writes, never waits for a writer.
//!
//! Four times a second it asks the database whether anybody has committed ([`State::pulse`]) and
//! the system whether runs that have not ended are still there; it reads only when one of these
//! says so. A run whose process is killed is shown as dead at the next look; one of another
//! machine when its heartbeat is too old.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::config::Body;
use crate::event::{StepState, Target};
use crate::graph::{
    AssetGraph, PartitionKey, PartitionMapping, PartitionSet, Partitioning, Request, Staleness, plan,
};
use crate::output::{event_line, sanitize, why};
use crate::project::Project;
use crate::state::{RunId, RunLife, RunRow, State, StateError, StepFilter};

use super::shot::{AssetShot, Cell, DetailShot, News, RunShot, RunsShot, WorldShot};

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

/// Reads until the viewer ends. `clock` gives milliseconds since 1970 UTC; `tell` gives false
/// when nobody listens any more.
pub fn read(project: &Project, clock: fn() -> i64, wants: &Receiver<Want>, tell: &dyn Fn(News) -> bool) {
    let mut feed = Feed::new(project, clock);
    loop {
        let told = feed.look(tell).unwrap_or_else(|trouble| tell(News::Trouble(trouble)));
        if !told {
            return;
        }
        match wants.recv_timeout(PULSE) {
            Ok(Want::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(Want::Refresh) => feed.forget(),
            Ok(Want::Run(run)) => feed.follow(run),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// What was read and told, so that only news is read and told.
struct Feed<'p> {
    project: &'p Project,
    clock: fn() -> i64,
    state: Option<State>,
    /// The file that `state` has open: `state rebuild` puts another one in its place.
    file: Option<(u64, u64)>,
    /// The database's pulse before it was read last; `None` when it has to be read.
    pulse: Option<i64>,
    followed: Option<RunId>,
    detail: DetailShot,
    /// Runs that had not ended when the database was read last.
    open: Vec<(RunRow, RunLife)>,
    /// What the newest runs looked like when they were last told.
    fingerprint: Option<u64>,
    world_at: Option<Instant>,
    /// Whether partitions may stand otherwise than told.
    stale: bool,
}

impl<'p> Feed<'p> {
    fn new(project: &'p Project, clock: fn() -> i64) -> Self {
        Self {
            project,
            clock,
            state: None,
            file: None,
            pulse: None,
            followed: None,
            detail: DetailShot::default(),
            open: Vec::new(),
            fingerprint: None,
            world_at: None,
            stale: true,
        }
    }

    fn follow(&mut self, run: Option<RunId>) {
        if self.followed != run {
            self.followed = run;
            self.detail = DetailShot::default();
        }
        self.pulse = None;
    }

    /// Everything is read and told again.
    fn forget(&mut self) {
        self.pulse = None;
        self.fingerprint = None;
        self.stale = true;
        self.world_at = None;
    }

    /// Reads what there is to read, and tells it. False when nobody listens.
    fn look(&mut self, tell: &dyn Fn(News) -> bool) -> Result<bool, String> {
        crate::crash::trap("viewer feed");
        self.open_state()?;
        if let Some(state) = &self.state {
            let now_ms = (self.clock)();
            // Asked before anything is read: what is committed meanwhile shows the next time.
            let pulse = state.pulse().map_err(words)?;
            // Who died does not write that it did; it has to be looked for.
            let died = || self.open.iter().any(|(row, life)| self.project.life_at(row, now_ms) != *life);
            if self.pulse != Some(pulse) || died() {
                if !self.read_runs(now_ms, tell)? || !self.read_followed(now_ms, tell)? {
                    return Ok(false);
                }
                self.pulse = Some(pulse);
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

    fn open_state(&mut self) -> Result<(), String> {
        use std::os::unix::fs::MetadataExt;
        let file = std::fs::metadata(self.project.database()).ok().map(|m| (m.dev(), m.ino()));
        if self.state.is_none() || self.file != file {
            self.state = self.project.state_if_any().map_err(|e| e.to_string())?;
            self.file = file;
            self.pulse = None;
            self.open.clear();
            self.detail = DetailShot::default();
        }
        Ok(())
    }

    /// Reads the lists, and tells them when they differ from those told.
    fn read_runs(&mut self, now_ms: i64, tell: &dyn Fn(News) -> bool) -> Result<bool, String> {
        let Some(state) = &self.state else { return Ok(true) };
        let runs = list(self.project, state, now_ms)?;
        self.open =
            runs.runs.iter().filter(|r| !r.row.state.is_final()).map(|r| (r.row.clone(), r.life)).collect();
        let print = fingerprint(&runs);
        let changed = self.fingerprint.replace(print) != Some(print);
        self.stale |= changed;
        // A heartbeat changes nothing but its age, which is shown of runs at work.
        let news = changed || !self.open.is_empty();
        Ok(!news || tell(News::Runs(Arc::new(runs))))
    }

    /// Reads what is new of the followed run, and tells it when anything is.
    fn read_followed(&mut self, now_ms: i64, tell: &dyn Fn(News) -> bool) -> Result<bool, String> {
        let (Some(id), Some(state)) = (self.followed, &self.state) else { return Ok(true) };
        let Some(row) = state.run(id).map_err(words)? else { return Ok(true) };
        let life = self.project.life_at(&row, now_ms);
        let first = self.detail.run.is_none();
        let mut news = first;
        let began = row.started_ms;
        loop {
            let events = state.events(id, self.detail.detail.seq, EVENTS).map_err(words)?;
            let n = events.len();
            news |= n > 0;
            if n > 0 && self.detail.detail.seq == 0 {
                // Planned steps are recorded together with the first event, not with the run.
                for step in state.steps(id, &StepFilter::default()).map_err(words)? {
                    self.detail.detail.expect(&step.target);
                }
            }
            for (seq, at_ms, event) in &events {
                let line = event_line::plain(event);
                self.detail.detail.apply(*seq, *at_ms, began, event, line);
            }
            if n < EVENTS as usize {
                break;
            }
        }
        let before = self.detail.run.as_ref().map(|r| (r.life, r.row.heartbeat_ms));
        news |= before != Some((life, row.heartbeat_ms));
        if !row.state.is_final() && self.open.iter().all(|(r, _)| r.id != id) {
            self.open.push((row.clone(), life));
        }
        self.detail.run = Some(shot(row, life));
        Ok(!news || tell(News::Run(Arc::new(self.detail.clone()))))
    }
}

fn words(error: StateError) -> String {
    error.to_string()
}

fn shot(row: RunRow, life: RunLife) -> RunShot {
    let request: serde_json::Value = serde_json::from_str(&row.request_json).unwrap_or_default();
    let backfill = request.get("backfill").and_then(serde_json::Value::as_bool).unwrap_or(false);
    RunShot { row, life, backfill }
}

fn list(project: &Project, state: &State, now_ms: i64) -> Result<RunsShot, String> {
    let rows = state.runs(RUNS, None).map_err(words)?;
    let lake = rows.first().map(|r| r.lake.clone());
    let runs: Vec<RunShot> = rows
        .into_iter()
        .map(|row| {
            let life = project.life_at(&row, now_ms);
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
    let depths = depths(graph);
    let mut assets: Vec<AssetShot> =
        graph.iter().map(|(idx, _)| declared(project, graph, idx, depths[idx.i()])).collect();
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
        shot.why.insert(step.slot, why::reason(graph, step, world.is_gone(step.asset, step.slot)));
    }
    for kept in &plan.kept {
        assets[kept.asset.i()].why.insert(kept.slot, why::kept(graph, kept));
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

/// How many steps above each asset the sources are.
fn depths(graph: &AssetGraph) -> Vec<usize> {
    let mut depth = vec![0usize; graph.len()];
    for a in graph.indices() {
        depth[a.i()] = graph.upstream(a).iter().map(|(up, _)| depth[up.i()] + 1).max().unwrap_or(0);
    }
    depth
}

/// What the files say of an asset, before anything is known of its partitions.
fn declared(project: &Project, graph: &AssetGraph, idx: crate::graph::AssetIdx, depth: usize) -> AssetShot {
    let asset = graph.asset(idx);
    let config = project.config.asset(idx);
    let slots = graph.slots(idx);
    let edge = |other: crate::graph::AssetIdx, mapping: PartitionMapping| match mapping {
        PartitionMapping::Same => graph.key(other).to_string(),
        mapping => format!("{} ({mapping})", graph.key(other)),
    };
    AssetShot {
        key: asset.key.to_string(),
        layer: asset.layer.as_str().to_string(),
        kind: asset.kind.as_str().to_string(),
        description: sanitize::line(&asset.description).into_owned(),
        upstream: graph.upstream(idx).iter().map(|(up, m)| edge(*up, *m)).collect(),
        downstream: graph.downstream(idx).iter().map(|(down, m)| edge(*down, *m)).collect(),
        depth,
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
pub fn start(
    project: Arc<Project>,
    clock: fn() -> i64,
    wants: Receiver<Want>,
    news: Sender<News>,
) -> std::io::Result<()> {
    std::thread::Builder::new().name("rxpulse-feed".into()).stack_size(8 << 20).spawn(move || {
        read(&project, clock, &wants, &|n| news.send(n).is_ok());
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::event::{Event, RunState};
    use crate::state::{Batch, NewRun};

    const BEGAN: i64 = 1_790_000_000_000;

    /// A project's files, its database, and a run in it.
    fn begun(pid: u32, host: &str) -> (tempfile::TempDir, Project, State, RunId) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in crate::config::init_files() {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let project = Project::open(dir.path().to_path_buf(), None).unwrap();
        let state = project.state().unwrap();
        let run = NewRun {
            lake: "lake".into(),
            command: "materialize --all".into(),
            request_json: "{}".into(),
            pid,
            host: host.into(),
            steps: 1,
            now_ms: BEGAN,
        };
        let id = state.begin_run(&run).unwrap();
        (dir, project, state, id)
    }

    /// One look: what was told, apart from partitions, which are looked at by the clock.
    fn look(feed: &mut Feed<'_>) -> Vec<String> {
        let told = RefCell::new(Vec::new());
        let tell = |news: News| {
            told.borrow_mut().push(match news {
                News::World(_) => "world".to_string(),
                News::Runs(runs) => format!("runs {:?}", runs.runs[0].life),
                News::Run(run) => {
                    format!("run {:?} {}", run.run.as_ref().unwrap().life, run.detail.log.len())
                }
                News::Trouble(text) => text,
            });
            true
        };
        assert!(feed.look(&tell).unwrap());
        let mut told = told.into_inner();
        told.retain(|t| t != "world");
        told
    }

    #[test]
    fn while_nobody_commits_nothing_is_read_and_what_is_committed_is_told() {
        let (_dir, project, state, id) = begun(std::process::id(), "elsewhere");
        let mut feed = Feed::new(&project, || BEGAN + 1_000);
        feed.follow(Some(id));
        assert_eq!(look(&mut feed), ["runs Running", "run Running 0"]);
        for _ in 0..20 {
            assert!(look(&mut feed).is_empty());
        }
        state.heartbeat(id, BEGAN + 900).unwrap();
        assert_eq!(look(&mut feed), ["runs Running", "run Running 0"]);
        let event = Event::Log { level: "info".into(), step: None, message: "a line".into() };
        state.record(id, &Batch { now_ms: BEGAN + 950, events: vec![event], ..Batch::default() }).unwrap();
        assert_eq!(look(&mut feed), ["runs Running", "run Running 1"]);
        assert!(look(&mut feed).is_empty());
        state.finish_run(id, RunState::Canceled, BEGAN + 990).unwrap();
        // The end is an event, too.
        assert_eq!(look(&mut feed), ["runs Canceled", "run Canceled 2"]);
        assert!(look(&mut feed).is_empty());
        feed.forget();
        assert_eq!(look(&mut feed), ["runs Canceled"]);
    }

    #[test]
    fn a_killed_process_is_dead_at_the_next_look_although_nobody_commits() {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let (_dir, project, _state, id) = begun(child.id(), &host);
        let mut feed = Feed::new(&project, || BEGAN + 1_000);
        feed.follow(Some(id));
        assert_eq!(look(&mut feed), ["runs Running", "run Running 0"]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(look(&mut feed), ["runs Dead", "run Dead 0"]);
        assert!(look(&mut feed).is_empty());
    }

    #[test]
    fn the_heartbeat_of_another_machine_grows_too_old() {
        static NOW: AtomicI64 = AtomicI64::new(BEGAN);
        let (_dir, project, _state, _) = begun(1, "elsewhere");
        let mut feed = Feed::new(&project, || NOW.load(Ordering::Relaxed));
        assert_eq!(look(&mut feed), ["runs Running"]);
        NOW.store(BEGAN + project.config.run.lease_ms, Ordering::Relaxed);
        assert!(look(&mut feed).is_empty());
        NOW.store(BEGAN + project.config.run.lease_ms + 1, Ordering::Relaxed);
        assert_eq!(look(&mut feed), ["runs Dead"]);
    }

    #[test]
    fn a_database_that_was_rebuilt_is_read_instead_of_the_old_one() {
        let (_dir, project, state, id) = begun(std::process::id(), "elsewhere");
        let mut feed = Feed::new(&project, || BEGAN);
        assert_eq!(look(&mut feed), ["runs Running"]);
        drop(state);
        for suffix in ["", "-wal", "-shm"] {
            let file = project.root.join(format!("{}{suffix}", crate::project::DATABASE));
            if file.exists() {
                std::fs::rename(&file, file.with_extension(format!("aside{suffix}"))).unwrap();
            }
        }
        let state = project.state().unwrap();
        let again = NewRun {
            lake: "lake".into(),
            command: "materialize".into(),
            request_json: "{}".into(),
            pid: 1,
            host: "elsewhere".into(),
            steps: 1,
            now_ms: BEGAN,
        };
        let new = state.begin_run(&again).unwrap();
        assert_eq!(new, id, "numbers begin again");
        state.finish_run(new, RunState::Failed, BEGAN).unwrap();
        assert_eq!(look(&mut feed), ["runs Failed"]);
    }
}
