//! Posts that are gone: remembered in the lake, taken out of bronze, kept from coming back.
//!
//! Order: tombstones → bronze without the texts → the observation that says up to which
//! tombstone this source is done. Killed anywhere, the next plan has the rest as a window of
//! its own. Blocks on the lake.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::SourceConfig;
use crate::event::StepStats;
use crate::graph::AssetGraph;
use crate::graph::{CaptureReason, DayRange, Window};
use crate::lake::{Lake, LakeError, Manifest};
use crate::source::{Counts, Forgotten, Gone, Remains, Rewritten, Tombstone, rewrite};
use crate::state::{Published, State, StateError};

use super::capture::{
    CaptureDone, CaptureJob, DayCommit, OBSERVATIONS, Observation, commit, failed, published,
};
use super::resources::Resources;
use super::step::Failure;
use super::world::{Part, World, WorldError};

/// The kind of the lake's records of what is gone.
pub const TOMBSTONES: &str = "tombstones";
/// The name of their one log.
const POSTS: &str = "posts";
/// The window in which a source loses what is gone.
pub const FORGET: &str = "deleted posts";

/// What was deleted when it was first seen keeps what its site still shows for so long: well
/// within the day in which a deletion must be followed.
const GRACE_MS: i64 = 12 * 3_600_000;

/// Every tombstone of a lake.
#[derive(Clone, Debug, Default)]
pub struct Graves {
    /// By record number.
    pub records: BTreeMap<u64, Vec<Tombstone>>,
    /// The same, ready to be asked.
    pub forgotten: Arc<Forgotten>,
}

impl Graves {
    /// Takes a record in, as it counts at `now_ms`.
    pub fn add(&mut self, number: u64, entries: Vec<Tombstone>, now_ms: i64) {
        let forgotten = Arc::make_mut(&mut self.forgotten);
        for entry in entries.iter().filter(|e| e.counts(now_ms)) {
            forgotten.add(entry);
        }
        self.records.insert(number, entries);
    }
}

/// Reads every tombstone; what the database does not hold yet is put there.
///
/// # Errors
/// When lake or database refuse.
pub fn graves(
    lake: &Lake,
    state: Option<&State>,
    now_ms: i64,
    new: &mut Vec<(u64, Vec<u8>)>,
) -> Result<Graves, WorldError> {
    let mut out = Graves { forgotten: Arc::new(Forgotten::new(lake.id())), ..Graves::default() };
    let cached: BTreeMap<String, Vec<u8>> = match state {
        Some(state) => state.cache_all(lake.id(), TOMBSTONES)?.into_iter().collect(),
        None => BTreeMap::new(),
    };
    for (number, path) in lake.list_records(TOMBSTONES, POSTS)? {
        let bytes = match cached.get(&number.to_string()) {
            Some(bytes) => bytes.clone(),
            None => {
                let bytes = lake.read_record(TOMBSTONES, POSTS, number)?;
                new.push((number, bytes.clone()));
                bytes
            }
        };
        let entries = bytes
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .map(serde_json::from_slice)
            .collect::<Result<Vec<Tombstone>, _>>()
            .map_err(|e| LakeError::Corrupt { path, why: format!("it is not a list of tombstones: {e}") })?;
        out.add(number, entries, now_ms);
    }
    Ok(out)
}

/// Puts tombstones into the database's copy.
///
/// # Errors
/// When the database refuses.
pub fn keep(state: &State, lake: &str, new: Vec<(u64, Vec<u8>)>) -> Result<(), StateError> {
    let entries: Vec<(String, Vec<u8>)> = new.into_iter().map(|(n, bytes)| (n.to_string(), bytes)).collect();
    if entries.is_empty() { Ok(()) } else { state.cache_put_many(lake, TOMBSTONES, &entries) }
}

/// Appends tombstones to the lake's list; gives the record's number.
///
/// # Errors
/// When the lake refuses.
pub fn bury(lake: &Lake, entries: &[Tombstone]) -> Result<u64, LakeError> {
    let mut lines = Vec::new();
    for entry in entries {
        // Text and numbers: it cannot fail to serialize.
        let _ = serde_json::to_writer(&mut lines, entry);
        lines.push(b'\n');
    }
    lake.append_record(TOMBSTONES, POSTS, &lines)
}

/// The tombstones of posts that were found deleted.
pub fn tombstones(res: &Resources, job: &CaptureJob, gone: &[Gone]) -> Vec<Tombstone> {
    let zone = &res.config.project.timezone;
    let mut met = HashSet::new();
    let mut out = Vec::new();
    for post in gone {
        let print = job.forgotten.post(&post.platform, &post.native_id);
        if !met.insert(print.clone()) {
            continue;
        }
        out.push(Tombstone {
            print,
            platform: post.platform.clone(),
            remains: Remains::Stub,
            day: super::sources::day_in(zone, post.created_at_ms),
            why: post.why.to_string(),
            at_ms: job.now_ms,
            from_ms: (!post.held).then(|| job.now_ms.saturating_add(GRACE_MS)),
            thread: post.native_id.starts_with("t3_"),
        });
    }
    out
}

/// What taking texts out of a source has published.
#[derive(Debug, Default)]
pub struct Applied {
    /// Manifests, for the ledger.
    pub published: Vec<Published>,
    /// The observation that says how far the source is done.
    pub observation: Option<(u64, Observation)>,
    /// Objects that were written anew.
    pub objects: u64,
}

/// Takes what is gone out of what a source holds. `upto` is the last record of tombstones that
/// `entries` and `forgotten` hold; `fresh` are manifests published by this step before, whose
/// objects named in `except` are known to be clean.
///
/// # Errors
/// A [`Failure`].
#[expect(clippy::too_many_arguments, reason = "one place, two callers; a struct would only rename them")]
pub fn apply(
    res: &Resources,
    job: &CaptureJob,
    source: &SourceConfig,
    entries: &[Tombstone],
    forgotten: &Forgotten,
    upto: u64,
    fresh: &[Manifest],
    cancel: &AtomicBool,
) -> Result<Applied, Failure> {
    let graph = &res.config.graph;
    let key = graph.key(job.asset);
    let mut job = job.clone();
    for manifest in fresh {
        let at = crate::graph::AssetPartition { asset: job.asset, partition: manifest.partition };
        if let Some(slot) = graph.slot(at) {
            job.days.published(slot, manifest);
        }
    }
    let mut out = Applied::default();
    let mut commits = Vec::new();
    for slot in slots(graph, &job, entries) {
        if cancel.load(Ordering::Relaxed) {
            return Err(Failure::Canceled);
        }
        let known = job.days.get(slot);
        let Some(generation) = NonZeroU32::new(known.generation) else { continue };
        let partition = graph.partition(job.asset, slot);
        let manifest =
            res.lake.read_manifest(key, Some(&source.name), partition, generation).map_err(failed)?;
        let (mut add, mut drop) = (Vec::new(), Vec::new());
        for entry in manifest.files {
            let path = res.lake.path(&entry);
            let wrong = |e: std::io::Error| failed(format!("cannot read {}: {e}", path.display()));
            match rewrite(File::open(&path).map_err(wrong)?, forgotten).map_err(wrong)? {
                Rewritten::Same => {}
                Rewritten::Gone => drop.push(entry.path),
                Rewritten::By(object) => {
                    drop.push(entry.path);
                    add.push((object, entry.locator, entry.capture));
                }
            }
        }
        if !drop.is_empty() {
            out.objects += drop.len() as u64;
            let code = known.code.unwrap_or(graph.asset(job.asset).code);
            commits.push(DayCommit { slot, code, add, drop });
        }
    }
    let manifests = commit(res, &job, source, commits, cancel)?;
    out.published = published(&job, &manifests);
    let observation = Observation {
        window: FORGET.to_string(),
        counts: Counts::default(),
        stream: None,
        file: None,
        quarantine: None,
        forgotten: Some(upto),
        at_ms: job.now_ms,
    };
    let bytes = serde_json::to_vec(&observation).map_err(failed)?;
    let number = res.lake.append_record(OBSERVATIONS, &source.name, &bytes).map_err(failed)?;
    out.observation = Some((number, observation));
    Ok(out)
}

/// The places that may hold something of what is gone.
fn slots(graph: &AssetGraph, job: &CaptureJob, entries: &[Tombstone]) -> BTreeSet<usize> {
    let holds = |slot: &usize| job.days.get(*slot).rows > 0;
    places(graph.days(), entries, graph.slots(job.asset)).into_iter().filter(holds).collect()
}

/// The places of days that may hold something of what is gone: of an author every day, of a post
/// its own, and where it may be the post of a thread those after it, too, because comments hold
/// its headline.
fn places(project: DayRange, entries: &[Tombstone], slots: usize) -> BTreeSet<usize> {
    if entries.iter().any(|e| e.day.is_none()) {
        return (0..slots).collect();
    }
    let mut out: BTreeSet<usize> = entries.iter().filter_map(|e| project.slot(e.day?)).collect();
    // A thread that began before the project's days may have comments in all of them.
    let threads = entries.iter().filter(|e| e.thread).filter_map(|e| e.day);
    if let Some(first) = threads.min().filter(|day| *day <= project.end) {
        out.extend(project.slot(first.max(project.start)).unwrap_or(0)..slots);
    }
    out
}

/// The window in which a source loses what is gone.
///
/// # Errors
/// A [`Failure`].
pub fn run(
    res: &Resources,
    job: &CaptureJob,
    source: &SourceConfig,
    cancel: &AtomicBool,
) -> Result<CaptureDone, Failure> {
    let done = apply(res, job, source, &job.pending, &job.forgotten, job.buried, &[], cancel)?;
    Ok(CaptureDone {
        published: done.published,
        observations: done.observation.into_iter().collect(),
        tombstones: None,
        stats: StepStats::default(),
        message: Some(format!("texts of deleted posts left {} objects", done.objects)),
        failed: None,
    })
}

impl World {
    /// The tombstones that a source has not seen yet.
    pub fn pending(&self, source: &SourceConfig) -> Vec<Tombstone> {
        let (done, at_ms) = self.memory.get(&source.name).and_then(|m| m.forgotten()).unwrap_or_default();
        let platforms = super::observe::platforms(source);
        // New ones, and those that did not count yet when the source was last looked through.
        let open = |number: u64, e: &Tombstone| {
            e.counts(self.now_ms) && (number > done || !e.counts(at_ms)) && platforms.contains(&e.platform)
        };
        self.graves
            .records
            .iter()
            .flat_map(|(number, entries)| entries.iter().map(|e| (*number, e)))
            .filter(|(number, e)| open(*number, e))
            .map(|(_, e)| e.clone())
            .collect()
    }

    /// The window in which a source loses what is gone, if it holds any day of it.
    pub(super) fn forget_window(
        &self,
        graph: &AssetGraph,
        part: &Part,
        source: &SourceConfig,
    ) -> Option<Window> {
        let pending = self.pending(source);
        if pending.is_empty() {
            return None;
        }
        let project = graph.days();
        let holds = |slot: &usize| self.bronze.at(part.idx, *slot).is_some_and(|e| e.rows > 0);
        let slots: Vec<usize> =
            places(project, &pending, graph.slots(part.asset)).into_iter().filter(holds).collect();
        let (first, last) = (*slots.iter().min()?, *slots.iter().max()?);
        Some(Window {
            source: part.source.clone(),
            id: FORGET.to_string(),
            days: DayRange::new(project.day(first), project.day(last)),
            reason: CaptureReason::Deleted { posts: pending.len() as u32 },
            bytes: 0,
        })
    }
}
