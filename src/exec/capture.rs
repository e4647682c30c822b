//! A capture step: a source reads one window, and what it found becomes bronze.
//!
//! Order: objects → manifests of (source, day) → the observation that says the window was read.
//! Killed anywhere, the next run reads the window again, finds the same objects and goes on.
//! Runs on a blocking thread.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::config::{SourceConfig, SourceKind};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::Progress;
use crate::event::StepStats;
use crate::graph::{AssetIdx, CodeVersion, Day, DayRange, Fingerprint, Outcome, PartitionKey, Window};
use crate::lake::{Commit, CommitError, Content, Manifest, ManifestDraft, NewObject};
use crate::source::{
    Capture, CaptureContext, Counts, FileRecord, FilesDef, Forgotten, Gone, KnownIndex, Quarantined,
    SourceError, SpoolObject, Stream, Tombstone,
};
use crate::state::Published;

use super::forgotten::{Applied, FORGET};
use super::resources::Resources;
use super::sources::{self, SourceDays};
use super::step::Failure;

/// The window of a source that has nothing to read but days to confirm.
pub const MISSING_DAYS: &str = "days without files";
/// The kind of the lake's records of what was read.
pub const OBSERVATIONS: &str = "observations";
/// The kind of the lake's records of what was set aside.
pub const QUARANTINE: &str = "quarantine";
/// Compressed bytes and days of one commit.
const COMMIT_BYTES: u64 = 64 << 20;
const COMMIT_DAYS: usize = 256;

/// What was read, as remembered in the lake: the newest record of a window counts.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Observation {
    /// The window: a file's path, or a month.
    pub window: String,
    /// The account.
    pub counts: Counts,
    /// For streams of the network: how far they were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
    /// For files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileRecord>,
    /// The last record of tombstones that the source has lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<u64>,
    /// The record that lists what was set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<u64>,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
}

/// What a capture works from, copied out of what the run knows.
#[derive(Clone, Debug)]
pub struct CaptureJob {
    /// The asset that the posts go to.
    pub asset: AssetIdx,
    /// What is read.
    pub window: Window,
    /// The run.
    pub run: i64,
    /// Now, milliseconds since 1970 UTC.
    pub now_ms: i64,
    /// What bronze holds of the source.
    pub days: SourceDays,
    /// What the last reading of the stream left behind.
    pub stream: Option<Stream>,
    /// What must not come back.
    pub forgotten: Arc<Forgotten>,
    /// Days whose posts keep no text.
    pub textless: Arc<BTreeSet<Day>>,
    /// Of that, what the source may still hold.
    pub pending: Vec<Tombstone>,
    /// The last record of tombstones.
    pub buried: u64,
}

/// A record of tombstones: its number and what stands in it.
pub type Buried = (u64, Vec<Tombstone>);

/// What a capture did.
#[derive(Clone, Debug)]
pub struct CaptureDone {
    /// Manifests published, for the ledger.
    pub published: Vec<Published>,
    /// What was read.
    pub observations: Vec<(u64, Observation)>,
    /// Posts found deleted, with the number of their record.
    pub tombstones: Option<Buried>,
    /// Numbers.
    pub stats: StepStats,
    /// Something worth telling.
    pub message: Option<String>,
    /// Why the reading failed, though what it had by then is kept.
    pub failed: Option<String>,
}

/// Whether captures of a source must not run side by side: files may hold the same days.
pub fn takes_turns(source: &SourceConfig) -> bool {
    !matches!(source.kind, SourceKind::Sample(_))
}

pub(super) fn failed(message: impl std::fmt::Display) -> Failure {
    Failure::Failed { message: message.to_string(), checks: Vec::new(), passing: false }
}

pub(super) fn source_failed(error: SourceError) -> Failure {
    match error {
        SourceError::Canceled => Failure::Canceled,
        other => failed(other),
    }
}

/// Reads one window and publishes what it holds.
///
/// # Errors
/// A [`Failure`]; days that were published before it stay.
pub fn run(
    res: &Resources,
    job: &CaptureJob,
    progress: &(dyn Fn(Progress) + Sync),
    cancel: &Arc<AtomicBool>,
) -> Result<CaptureDone, Failure> {
    let source = res
        .config
        .source(&job.window.source)
        .ok_or_else(|| failed(format!("there is no source `{}`", job.window.source)))?;
    let mut context = sources::context(&res.config, job.now_ms, Some(&res.temp_dir)).map_err(failed)?;
    context.forgotten = job.forgotten.clone();
    context.textless = job.textless.clone();
    match &source.kind {
        _ if job.window.id == FORGET => super::forgotten::run(res, job, source, cancel),
        SourceKind::Sample(_) => sample(res, job, source, &context, progress, cancel),
        _ if job.window.id == MISSING_DAYS => missing_days(res, job, source),
        SourceKind::Files(_) => {
            let def = sources::files_def(source).map_err(failed)?;
            file(res, job, source, &def, &context, progress, cancel)
        }
        SourceKind::Archive(_) if job.window.days.is_none() => {
            let def = sources::dumps_def(source).map_err(failed)?;
            file(res, job, source, &def, &context, progress, cancel)
        }
        _ => super::network::read(res, job, source, &context, progress, cancel),
    }
}

/// One (source, day) to commit.
pub(super) struct DayCommit {
    pub slot: usize,
    pub code: CodeVersion,
    pub add: Vec<(SpoolObject, Option<String>, Option<String>)>,
    pub drop: Vec<String>,
}

/// Commits days in batches; gives the manifests.
pub(super) fn commit(
    res: &Resources,
    job: &CaptureJob,
    source: &SourceConfig,
    days: Vec<DayCommit>,
    cancel: &AtomicBool,
) -> Result<Vec<Manifest>, Failure> {
    let graph = &res.config.graph;
    let key = graph.key(job.asset);
    let mut manifests = Vec::new();
    let mut queue = days.into_iter().peekable();
    while queue.peek().is_some() {
        if cancel.load(Ordering::Relaxed) {
            return Err(Failure::Canceled);
        }
        let mut commits = Vec::new();
        let mut bytes = 0;
        while let Some(day) = queue.next_if(|_| commits.len() < COMMIT_DAYS && bytes < COMMIT_BYTES) {
            let mut add = Vec::new();
            for (object, locator, capture) in day.add {
                bytes += object.bytes;
                let body = object.to_vec().map_err(failed)?;
                add.push(NewObject {
                    hash: object.hash.0,
                    bytes: object.bytes,
                    rows: object.rows,
                    body: body.into(),
                    locator,
                    capture,
                });
            }
            let known = job.days.get(day.slot);
            let partition = graph.partition(job.asset, day.slot);
            // What is added has no texts; what was there before may have some yet.
            let textless = partition.day().is_some_and(|day| job.textless.contains(&day))
                && (known.generation == 0 || known.textless);
            commits.push(Commit {
                content: Content::Bronze { add, drop: day.drop },
                manifest: ManifestDraft {
                    asset: key.clone(),
                    source: Some(source.name.clone()),
                    partition,
                    floor: known.floor,
                    based_on: Some(known.floor.max(known.generation)),
                    code: day.code,
                    fingerprint: Fingerprint::of(b""),
                    inputs: Vec::new(),
                    checks: Vec::new(),
                    outcome: if textless { Outcome::TextRemoved } else { Outcome::Complete },
                    coverage: None,
                    stats: StepStats::default(),
                    created_ms: job.now_ms,
                    run: Some(job.run),
                },
            });
        }
        for result in res.lake.commit(commits).map_err(failed)? {
            match result {
                Ok(committed) => {
                    let m = committed.manifest;
                    let files = Arc::new(m.files.clone());
                    res.files.put(key.clone(), m.source.clone(), m.partition, m.generation, files);
                    manifests.push(m);
                }
                // Someone else adds to the same day: their manifest stays, and a new plan
                // reads this window again.
                Err(CommitError::Lost { .. }) => return Err(Failure::Lost),
                Err(error) => return Err(failed(error)),
            }
        }
    }
    Ok(manifests)
}

pub(super) fn published(job: &CaptureJob, manifests: &[Manifest]) -> Vec<Published> {
    manifests.iter().map(|m| Published { asset: job.days.key.clone(), ..super::run::published(m) }).collect()
}

/// Days of the project that the source has no manifest of: complete, with 0 rows.
fn missing_days(res: &Resources, job: &CaptureJob, source: &SourceConfig) -> Result<CaptureDone, Failure> {
    let code = res.config.graph.asset(job.asset).code;
    let project = res.config.graph.days();
    let asked = job.window.days.unwrap_or(project);
    let slots = asked.iter().filter_map(|d| project.slot(d)).filter(|s| job.days.get(*s).generation == 0);
    let days: Vec<DayCommit> =
        slots.map(|slot| DayCommit { slot, code, add: Vec::new(), drop: Vec::new() }).collect();
    let count = days.len();
    let manifests = commit(res, job, source, days, &AtomicBool::new(false))?;
    Ok(CaptureDone {
        published: published(job, &manifests),
        observations: Vec::new(),
        tombstones: None,
        stats: StepStats { rows_out: Some(0), ..StepStats::default() },
        message: Some(format!("{count} days without posts")),
        failed: None,
    })
}

pub(super) fn stats(counts: &Counts, bytes: u64) -> StepStats {
    StepStats {
        rows_in: Some(counts.records_in),
        rows_out: Some(counts.good),
        duplicate: Some(counts.duplicate),
        quarantined: Some(counts.quarantined_total()),
        bytes: Some(bytes),
        ..StepStats::default()
    }
}

/// Puts down what was read, after everything it says is in bronze.
pub(super) fn observe(
    res: &Resources,
    job: &CaptureJob,
    counts: Counts,
    file: Option<FileRecord>,
    stream: Option<Stream>,
    set_aside: Vec<Quarantined>,
) -> Result<(u64, Observation), Failure> {
    let name = &job.window.source;
    let quarantine = if set_aside.is_empty() {
        None
    } else {
        let mut lines = Vec::new();
        for one in &set_aside {
            serde_json::to_writer(&mut lines, one).map_err(failed)?;
            lines.push(b'\n');
        }
        Some(res.lake.append_record(QUARANTINE, name, &lines).map_err(failed)?)
    };
    let observation = Observation {
        window: job.window.id.clone(),
        counts,
        stream,
        file,
        forgotten: None,
        quarantine,
        at_ms: job.now_ms,
    };
    let bytes = serde_json::to_vec(&observation).map_err(failed)?;
    let number = res.lake.append_record(OBSERVATIONS, name, &bytes).map_err(failed)?;
    Ok((number, observation))
}

fn file(
    res: &Resources,
    job: &CaptureJob,
    source: &SourceConfig,
    def: &FilesDef,
    context: &CaptureContext,
    progress: &(dyn Fn(Progress) + Sync),
    cancel: &AtomicBool,
) -> Result<CaptureDone, Failure> {
    let locator = job.window.id.as_str();
    let graph = &res.config.graph;
    let code = graph.asset(job.asset).code;

    // What bronze holds of this file. Objects of an interrupted reading of the same bytes are
    // left out: this reading makes them again, byte for byte, and finds them in place.
    let held = held_objects(res, job, source, locator)?;
    let mtime = file_time(&res.root, locator);
    let reading = |content: &str| capture_id(content, mtime, &def.version(&context.privacy), context);
    let mut known = KnownIndex::default();
    if !held.is_empty() {
        let content = crate::source::content_hash(&res.root, locator).map_err(source_failed)?;
        let same = reading(&content);
        for (path, capture) in held {
            if capture.as_deref() != Some(same.as_str()) {
                let object = std::fs::File::open(&path)
                    .map_err(|e| failed(format!("cannot read {}: {e}", path.display())))?;
                known
                    .add_object(object)
                    .map_err(|e| failed(format!("cannot read {}: {e}", path.display())))?;
            }
        }
    }
    let mut watch = |bytes: u64| progress(Progress { rows: 0, bytes });
    let captured = crate::source::capture_file(def, &res.root, locator, context, known, &mut watch, cancel)
        .map_err(source_failed)?;
    let capture = reading(&captured.record.content);
    let days = captured
        .objects
        .into_iter()
        .filter_map(|(day, object)| {
            let slot = graph.days().slot(day)?;
            let add = vec![(object, Some(locator.to_string()), Some(capture.clone()))];
            Some(DayCommit { slot, code, add, drop: Vec::new() })
        })
        .collect();
    let manifests = commit(res, job, source, days, cancel)?;
    let set_aside = captured.quarantine.read().map_err(failed)?;
    let record = captured.record;
    let message = record.broken.clone().or_else(|| {
        (record.counts.pending_bytes > 0)
            .then(|| format!("{} bytes of an unfinished last line are pending", record.counts.pending_bytes))
    });
    let stats = stats(&record.counts, job.window.bytes);
    let mut published = published(job, &manifests);
    let (lost, tombstones) = lose(res, job, source, &captured.gone, &manifests, cancel)?;
    published.extend(lost.published);
    let mut observations = Vec::from_iter(lost.observation);
    observations.push(observe(res, job, record.counts.clone(), Some(record), None, set_aside)?);
    Ok(CaptureDone { published, observations, tombstones, stats, message, failed: None })
}

/// Buries the posts that a reading found deleted, and takes their texts out of what the source
/// holds of them already.
pub(super) fn lose(
    res: &Resources,
    job: &CaptureJob,
    source: &SourceConfig,
    gone: &[Gone],
    fresh: &[Manifest],
    cancel: &AtomicBool,
) -> Result<(Applied, Option<Buried>), Failure> {
    let tombstones = super::forgotten::tombstones(res, job, gone);
    if tombstones.is_empty() {
        return Ok((Applied::default(), None));
    }
    let number = super::forgotten::bury(&res.lake, &tombstones).map_err(failed)?;
    if !tombstones.iter().any(|t| t.counts(job.now_ms)) {
        return Ok((Applied::default(), Some((number, tombstones))));
    }
    let mut forgotten = (*job.forgotten).clone();
    let mut entries = job.pending.clone();
    for tombstone in tombstones.iter().filter(|t| t.counts(job.now_ms)) {
        forgotten.add(tombstone);
        entries.push(tombstone.clone());
    }
    let done = super::forgotten::apply(res, job, source, &entries, &forgotten, number, fresh, cancel)?;
    Ok((done, Some((number, tombstones))))
}

/// When a file was last written, nanoseconds since 1970: part of its envelopes.
fn file_time(root: &std::path::Path, locator: &str) -> i128 {
    let time = std::fs::metadata(root.join(locator)).and_then(|m| m.modified()).ok();
    let since = time.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or(0, |d| d.as_nanos() as i128)
}

/// Names one reading of a file: the same bytes with the same time, read in the same way for the
/// same days, make the same objects.
fn capture_id(content: &str, mtime: i128, adapter: &str, context: &CaptureContext) -> String {
    let end = context.end.map(|d| d.to_string()).unwrap_or_default();
    let text = format!("{content}\n{mtime}\n{adapter}\n{}\n{end}", context.start);
    CodeVersion::of(text.as_bytes()).to_string()
}

type Held = Vec<(std::path::PathBuf, Option<String>)>;

/// The objects of one file that the source's current manifests name, oldest reading first.
fn held_objects(
    res: &Resources,
    job: &CaptureJob,
    source: &SourceConfig,
    locator: &str,
) -> Result<Held, Failure> {
    let graph = &res.config.graph;
    let wanted: Vec<(PartitionKey, NonZeroU32)> = (0..graph.slots(job.asset))
        .filter_map(|slot| {
            let generation = NonZeroU32::new(job.days.get(slot).generation)?;
            Some((graph.partition(job.asset, slot), generation))
        })
        .collect();
    let key = graph.key(job.asset);
    let manifests = res.lake.read_manifests(key, Some(&source.name), &wanted).map_err(failed)?;
    let mut out = Vec::new();
    for manifest in manifests {
        for entry in manifest.map_err(failed)?.files {
            if entry.locator.as_deref() == Some(locator) {
                out.push((res.lake.path(&entry), entry.capture));
            }
        }
    }
    Ok(out)
}

fn sample(
    res: &Resources,
    job: &CaptureJob,
    source: &SourceConfig,
    context: &CaptureContext,
    progress: &(dyn Fn(Progress) + Sync),
    cancel: &AtomicBool,
) -> Result<CaptureDone, Failure> {
    let def = sources::sample_def(&res.config, source).map_err(failed)?;
    let graph = &res.config.graph;
    let range: DayRange = job.window.days.ok_or_else(|| failed("a sample window has days"))?;
    let mut counts = Counts::default();
    let mut set_aside = Vec::new();
    let mut manifests = Vec::new();
    let mut batch: Vec<DayCommit> = Vec::new();
    let mut bytes = 0;
    let mut total_bytes = 0;
    for day in range.iter() {
        if cancel.load(Ordering::Relaxed) {
            return Err(Failure::Canceled);
        }
        let Some(slot) = graph.days().slot(day) else { continue };
        if job.textless.contains(&day) && job.days.get(slot).generation > 0 {
            continue; // Made anew it would be other posts, or the same with their texts.
        }
        let mut capture = Capture::new(context, "", KnownIndex::default()).map_err(source_failed)?;
        crate::source::sample_day(&def, day, context, &mut capture).map_err(source_failed)?;
        let output = capture.finish().map_err(source_failed)?;
        set_aside.extend(output.quarantine.read().map_err(failed)?);
        add_counts(&mut counts, &output.counts);
        progress(Progress { rows: counts.records_in, bytes: total_bytes });
        let code = sources::sample_code(&def, day, context);
        let add: Vec<_> =
            output.objects.into_iter().filter(|(d, _)| *d == day).map(|(_, o)| (o, None, None)).collect();
        bytes += add.iter().map(|(o, ..)| o.bytes).sum::<u64>();
        total_bytes += add.iter().map(|(o, ..)| o.bytes).sum::<u64>();
        if job.days.get(slot).code == Some(code) {
            continue; // Made before, from the same seed: nothing to publish.
        }
        batch.push(DayCommit { slot, code, add, drop: other_objects(res, job, source, slot)? });
        if bytes >= COMMIT_BYTES || batch.len() >= COMMIT_DAYS {
            bytes = 0;
            manifests.extend(commit(res, job, source, std::mem::take(&mut batch), cancel)?);
        }
    }
    manifests.extend(commit(res, job, source, batch, cancel)?);
    let stats = stats(&counts, total_bytes);
    let observation = observe(res, job, counts, None, None, set_aside)?;
    Ok(CaptureDone {
        published: published(job, &manifests),
        observations: vec![observation],
        tombstones: None,
        stats,
        message: None,
        failed: None,
    })
}

/// Objects of a day that another seed made: they go when the day is made again.
fn other_objects(
    res: &Resources,
    job: &CaptureJob,
    source: &SourceConfig,
    slot: usize,
) -> Result<Vec<String>, Failure> {
    let Some(generation) = NonZeroU32::new(job.days.get(slot).generation) else { return Ok(Vec::new()) };
    let graph = &res.config.graph;
    let manifest = res
        .lake
        .read_manifest(graph.key(job.asset), Some(&source.name), graph.partition(job.asset, slot), generation)
        .map_err(failed)?;
    Ok(manifest.files.into_iter().map(|f| f.path).collect())
}

fn add_counts(into: &mut Counts, more: &Counts) {
    into.records_in += more.records_in;
    into.good += more.good;
    into.duplicate += more.duplicate;
    into.captured += more.captured;
    into.moved += more.moved;
    into.pending_bytes += more.pending_bytes;
    into.placeholders += more.placeholders;
    into.elsewhere += more.elsewhere;
    into.outside += more.outside;
    for (reason, n) in &more.quarantined {
        *into.quarantined.entry(reason.clone()).or_default() += n;
    }
}

/// Counts of several windows together.
pub fn sum_counts<'a>(all: impl IntoIterator<Item = &'a Observation>) -> Counts {
    let mut out = Counts::default();
    for one in all {
        add_counts(&mut out, &one.counts);
    }
    out
}

/// The newest observation of every window, by window.
pub fn newest(observations: &BTreeMap<u64, Observation>) -> BTreeMap<&str, &Observation> {
    observations.values().map(|o| (o.window.as_str(), o)).collect()
}
