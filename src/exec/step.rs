//! One group of partitions of one asset: inputs → compute → stage → check → publish.
//!
//! Runs on a blocking thread and knows nothing of the run around it. Every partition of the
//! group ends on its own: one bad day never takes its neighbours along.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::{cast, concat_batches};
use datafusion::arrow::datatypes::{DataType, Int64Type, SchemaRef};

use crate::check::{self, PartitionChecks};
use crate::config::{AssetConfig, Body, CheckKind, EnrichConfig, Provider, SystemTable};
use crate::diagnostic::SourceText;
use crate::engine::{
    CancellationFlag, Engine, EngineError, Grouping, Input, InputFile, Progress, SqlJob, TableData,
};
use crate::enrich::Usd;
use crate::event::{CheckResult, CheckStatus, StepStats};
use crate::graph::{
    AssetIdx, AssetKey, AssetKind, CodeVersion, Day, Fingerprint, Outcome, PartitionKey, Partitioning,
};
use crate::lake::{
    Commit, CommitError, Committed, Content, InputVersion, ManifestDraft, PartitionWriter, Staged,
};

use super::enriching::{Feedback, Take};
use super::resources::{Resources, posts_of};

/// A partition that a step reads: which generation of which table (and source, for bronze).
#[derive(Clone, Debug)]
pub struct InputRef {
    /// The source, for bronze.
    pub source: Option<String>,
    /// The partition.
    pub partition: PartitionKey,
    /// Its generation.
    pub generation: NonZeroU32,
}

/// One dependency of a group.
#[derive(Clone, Debug)]
pub struct DepInput {
    /// Which asset.
    pub asset: AssetIdx,
    /// Its current partitions that any partition of the group reads, by place.
    pub parts: BTreeMap<usize, Vec<InputRef>>,
}

/// One partition to make.
#[derive(Clone, Debug)]
pub struct SlotJob {
    /// Its place.
    pub slot: usize,
    /// What the body says of it.
    pub code: CodeVersion,
    /// The partition.
    pub partition: PartitionKey,
    /// What it is made from.
    pub fingerprint: Fingerprint,
    /// The same, one by one.
    pub inputs: Vec<InputVersion>,
    /// By dependency, which of its places this partition reads.
    pub reads: Vec<std::ops::Range<usize>>,
    /// The generation that was current when the work began; 0 for none.
    pub based_on: u32,
    /// The last generation ever recorded; 0 for none.
    pub floor: u32,
    /// For system assets: the rows, made by the run loop.
    pub rows: Option<RecordBatch>,
}

/// A group of partitions of one asset.
#[derive(Clone, Debug)]
pub struct GroupJob {
    /// Which asset.
    pub asset: AssetIdx,
    /// The partitions, ascending.
    pub slots: Vec<SlotJob>,
    /// What they read, by dependency in declared order.
    pub deps: Vec<DepInput>,
    /// The run, for manifests.
    pub run: i64,
    /// Now, milliseconds since 1970 UTC.
    pub now_ms: i64,
    /// What the run may spend on language models, beside what the configuration says.
    pub max_usd: Option<Usd>,
}

/// What stands around a group while it is made.
pub struct Watch<'a> {
    /// Who is told how far it has come.
    pub progress: &'a (dyn Fn(Progress) + Sync),
    /// Whether it is to stop.
    pub cancel: &'a CancellationFlag,
    /// What people should know, with its level.
    pub notes: Mutex<Vec<(String, String)>>,
}

impl<'a> Watch<'a> {
    /// Of a group that begins.
    pub fn new(progress: &'a (dyn Fn(Progress) + Sync), cancel: &'a CancellationFlag) -> Self {
        Self { progress, cancel, notes: Mutex::default() }
    }

    /// Writes something down for the log of the run.
    pub fn note(&self, level: &str, message: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push((level.to_string(), message));
    }
}

/// Why one partition was not published.
#[derive(Clone, Debug)]
pub enum Failure {
    /// It cannot be made as things stand.
    Failed {
        /// What happened.
        message: String,
        /// What its checks found, if it came so far.
        checks: Vec<CheckResult>,
        /// Whether the same may work later by itself.
        passing: bool,
    },
    /// Somebody else published it meanwhile.
    Lost,
    /// The run is being canceled.
    Canceled,
}

impl Failure {
    /// It cannot be made, and will not by itself.
    pub(super) fn plain(message: impl Into<String>) -> Self {
        Failure::Failed { message: message.into(), checks: Vec::new(), passing: false }
    }
}

/// A published partition.
#[derive(Clone, Debug)]
pub struct Done {
    /// Its manifest as committed.
    pub committed: Committed,
    /// Numbers.
    pub stats: StepStats,
    /// What its checks found.
    pub checks: Vec<CheckResult>,
}

/// How one partition of a group ended.
#[derive(Clone, Debug)]
pub struct SlotResult {
    /// Its place.
    pub slot: usize,
    /// How.
    pub result: Result<Done, Failure>,
    /// From the start of the group's work on it, milliseconds.
    pub elapsed_ms: u64,
}

/// A partition that is computed and checked, but not visible yet.
struct Ready {
    at: usize,
    staged: Staged,
    checks: Vec<CheckResult>,
    rows_in: Option<u64>,
    dropped: BTreeMap<String, u64>,
    outcome: Outcome,
}

/// Makes the partitions of a group and publishes those whose checks hold.
pub fn run_group(res: &Resources, job: &GroupJob, watch: &Watch<'_>) -> Vec<SlotResult> {
    let started = Instant::now();
    let mut outcomes: Vec<Option<Result<Done, Failure>>> = vec![None; job.slots.len()];
    let mut open: Vec<usize> = Vec::new();
    match already_published(res, job) {
        Ok(taken) => {
            for (at, slot) in job.slots.iter().enumerate() {
                if taken.contains(&slot.partition) {
                    outcomes[at] = Some(Err(Failure::Lost));
                } else {
                    open.push(at);
                }
            }
        }
        Err(message) => {
            return finish(job, vec![Some(Err(Failure::plain(message))); job.slots.len()], started);
        }
    }
    if let Body::Enrich(enrich) = &res.config.asset(job.asset).body
        && enrich.provider == Provider::Embedded
        && let Some(why) = res.embedded_refusal()
    {
        for at in open.drain(..) {
            outcomes[at] = Some(Err(Failure::plain(why)));
        }
    }
    let mut ready = Vec::new();
    compute(res, job, open, watch, &mut ready, &mut outcomes);
    publish(res, job, ready, watch.cancel, &mut outcomes);
    finish(job, outcomes, started)
}

fn finish(job: &GroupJob, outcomes: Vec<Option<Result<Done, Failure>>>, started: Instant) -> Vec<SlotResult> {
    let elapsed_ms = started.elapsed().as_millis() as u64;
    job.slots
        .iter()
        .zip(outcomes)
        .map(|(slot, outcome)| SlotResult {
            slot: slot.slot,
            result: outcome.unwrap_or(Err(Failure::plain("the step ended without a result"))),
            elapsed_ms,
        })
        .collect()
}

/// Partitions that have a newer manifest than the ledger knew: their work is done already.
fn already_published(res: &Resources, job: &GroupJob) -> Result<Vec<PartitionKey>, String> {
    let key = res.config.graph.key(job.asset);
    let known: BTreeMap<PartitionKey, u32> = job.slots.iter().map(|s| (s.partition, s.based_on)).collect();
    let listed = res.lake.list_manifests(key, None).map_err(|e| e.to_string())?;
    Ok(listed
        .iter()
        .filter(|l| known.get(&l.partition).is_some_and(|based_on| l.generation.get() > *based_on))
        .map(|l| l.partition)
        .collect())
}

/// Computes partitions, together where that is proven right, else one by one. A query that
/// fails is cut in halves until the bad day stands alone.
fn compute(
    res: &Resources,
    job: &GroupJob,
    open: Vec<usize>,
    watch: &Watch<'_>,
    ready: &mut Vec<Ready>,
    outcomes: &mut [Option<Result<Done, Failure>>],
) {
    let together = matches!(res.shape(job.asset).grouping, Grouping::Together);
    let mut pieces: Vec<Vec<usize>> =
        if together { vec![open] } else { open.into_iter().map(|at| vec![at]).collect() };
    pieces.reverse();
    while let Some(piece) = pieces.pop() {
        if piece.is_empty() {
            continue;
        }
        if watch.cancel.is_cancelled() {
            for at in piece {
                outcomes[at] = Some(Err(Failure::Canceled));
            }
            continue;
        }
        match compute_piece(res, job, &piece, watch) {
            Ok(made) => {
                for one in made {
                    let bad: Vec<&CheckResult> =
                        one.checks.iter().filter(|c| c.status == CheckStatus::Failed).collect();
                    if bad.is_empty() {
                        ready.push(one);
                    } else {
                        let what: Vec<String> =
                            bad.iter().map(|c| format!("check {}: {}", c.check, c.message)).collect();
                        outcomes[one.at] = Some(Err(Failure::Failed {
                            message: what.join("; "),
                            checks: one.checks.clone(),
                            passing: false,
                        }));
                    }
                }
            }
            Err(Failure::Failed { .. }) if piece.len() > 1 => {
                let (left, right) = piece.split_at(piece.len() / 2);
                pieces.push(right.to_vec());
                pieces.push(left.to_vec());
            }
            Err(failure) => {
                for at in piece {
                    outcomes[at] = Some(Err(failure.clone()));
                }
            }
        }
    }
}

fn engine_failure(error: EngineError) -> Failure {
    match error {
        EngineError::Cancelled => Failure::Canceled,
        EngineError::Sql(problems) => {
            let texts: Vec<String> = problems.iter().map(|p| p.message.clone()).collect();
            Failure::plain(texts.join("; "))
        }
        other => Failure::plain(other.to_string()),
    }
}

/// What makes the rows of one piece.
enum Maker<'a> {
    Sql(&'a Arc<SourceText>),
    Signals,
    Feedback,
}

fn compute_piece(
    res: &Resources,
    job: &GroupJob,
    piece: &[usize],
    watch: &Watch<'_>,
) -> Result<Vec<Ready>, Failure> {
    let config = &res.config;
    let declared = config.asset(job.asset);
    let shape = res.shape(job.asset);
    let mut out = Outputs::new(res, job, declared, piece);
    let where_text;
    let (maker, sql) = match &declared.body {
        Body::System(_) => {
            for &at in piece {
                if let Some(rows) = &job.slots[at].rows {
                    out.take(job.slots[at].partition.day(), rows.clone())?;
                }
            }
            return out.finish(&BTreeMap::new(), &BTreeMap::new(), &|_| Outcome::Complete);
        }
        Body::Source { .. } => return Err(Failure::plain("posts are captured, not computed")),
        Body::Sql { file } => (Maker::Sql(file), file.text.as_str()),
        Body::Enrich(enrich) => {
            let posts = posts_of(config, job.asset)
                .ok_or_else(|| Failure::plain("it depends on no table of posts"))?;
            where_text = enrich_query(config.graph.key(posts), enrich);
            let maker = if res.is_feedback(job.asset) { Maker::Feedback } else { Maker::Signals };
            (maker, where_text.as_str())
        }
    };
    let inputs = inputs(res, job, piece)?;
    let rows_in = rows_in(res, job, piece, &inputs);
    let said = match maker {
        Maker::Sql(_) => BTreeMap::new(),
        Maker::Signals | Maker::Feedback => said(res, &inputs)?,
    };
    let daily = config.graph.asset(job.asset).partitioning == Partitioning::Daily;
    let (schema, row_key): (SchemaRef, Vec<String>) = match maker {
        Maker::Sql(_) => (shape.schema.clone(), declared.row_key.iter().map(|k| k.value.clone()).collect()),
        // Rows of the upstream table pass through the model; its own key orders them.
        Maker::Signals | Maker::Feedback => {
            let posts = posts_of(config, job.asset)
                .ok_or_else(|| Failure::plain("it depends on no table of posts"))?;
            (res.shape(posts).schema.clone(), vec!["post_id".to_string()])
        }
    };
    let query = SqlJob {
        sql: match maker {
            Maker::Sql(file) => file.clone(),
            _ => Arc::new(SourceText { name: format!("{} (enrich)", declared.key), text: sql.to_string() }),
        },
        inputs: inputs.into_iter().map(|(_, input)| input).collect(),
        days: daily.then(|| piece.iter().filter_map(|at| job.slots[*at].partition.day()).collect()),
        row_key,
        schema,
        keep_dropped: false,
    };
    let feedback = match (&maker, &declared.body) {
        (Maker::Feedback, Body::Enrich(enrich)) if enrich.provider != Provider::Embedded => {
            let mut posts = |take: Take<'_>| {
                let ran = res.engine.run(&query, take, &|p| (watch.progress)(p), watch.cancel);
                ran.map(|_| ()).map_err(engine_failure)
            };
            Feedback::ask(res, job, enrich, &mut posts, watch)?
        }
        _ => Feedback::embedded(),
    };
    let mut failure = None;
    let ran = res.engine.run(
        &query,
        &mut |day: Option<Day>, batch: RecordBatch| {
            let batch = match maker {
                Maker::Sql(_) => batch,
                Maker::Signals => crate::enrich::signals(&res.embedded, &batch)
                    .map_err(|e| EngineError::Other(e.to_string()))?,
                Maker::Feedback => {
                    feedback.rows(res, day, &batch).map_err(|e| EngineError::Other(e.to_string()))?
                }
            };
            let batch = match day.and_then(|day| said.get(&day)) {
                Some(labels) => crate::enrich::overlay(&res.embedded, &batch, labels)
                    .map_err(|e| EngineError::Other(e.to_string()))?,
                None => batch,
            };
            out.take(day, batch).map_err(|e| {
                failure = Some(e);
                EngineError::Other("the rows could not be staged".into())
            })
        },
        &|p| (watch.progress)(p),
        watch.cancel,
    );
    let stats = match ran {
        Ok(stats) => stats,
        Err(error) => return Err(failure.unwrap_or_else(|| engine_failure(error))),
    };
    out.finish(&rows_in, &stats.dropped, &|day| feedback.outcome(day))
}

/// What people said of the posts of each day that has a label.
fn said(res: &Resources, inputs: &[(AssetIdx, Input)]) -> Result<BTreeMap<Day, RecordBatch>, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::plain(e.to_string());
    let mut out: BTreeMap<Day, RecordBatch> = BTreeMap::new();
    for (asset, input) in inputs {
        if !matches!(res.config.asset(*asset).body, Body::System(SystemTable::Labels)) {
            continue;
        }
        let TableData::Parquet { files, .. } = &input.data else { continue };
        for file in files.iter().filter(|f| f.rows > 0) {
            let Some(day) = file.day else { continue };
            let mut rows = crate::lake::read_parquet(&file.path).map_err(|e| failed(&e))?;
            rows.extend(out.remove(&day));
            let Some(first) = rows.first() else { continue };
            out.insert(day, concat_batches(&first.schema(), &rows).map_err(|e| failed(&e))?);
        }
    }
    Ok(out)
}

/// The query whose rows an enrich asset hands to its model.
pub fn enrich_query(from: &AssetKey, enrich: &EnrichConfig) -> String {
    let mut sql = format!("SELECT * FROM {from}");
    for (i, (column, value)) in enrich.filter.iter().enumerate() {
        let word = if i == 0 { "WHERE" } else { "AND" };
        sql.push_str(&format!(" {word} \"{}\" = {value}", column.value.replace('"', "\"\"")));
    }
    sql
}

/// Every dependency as a table of exactly the partitions that this piece reads.
fn inputs(res: &Resources, job: &GroupJob, piece: &[usize]) -> Result<Vec<(AssetIdx, Input)>, Failure> {
    let graph = &res.config.graph;
    let failed = |e: crate::lake::LakeError| Failure::Failed {
        message: e.to_string(),
        checks: Vec::new(),
        passing: false,
    };
    let mut out = Vec::new();
    for (d, dep) in job.deps.iter().enumerate() {
        let key = graph.key(dep.asset);
        let daily = graph.asset(dep.asset).partitioning == Partitioning::Daily;
        let bronze = graph.asset(dep.asset).kind == AssetKind::Source;
        let mut wanted: Vec<usize> = piece.iter().flat_map(|at| job.slots[*at].reads[d].clone()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut files = Vec::new();
        for slot in wanted {
            for part in dep.parts.get(&slot).into_iter().flatten() {
                let entries = res
                    .files
                    .get(&res.lake, key, part.source.as_deref(), part.partition, part.generation)
                    .map_err(failed)?;
                for file in entries.iter() {
                    files.push(InputFile {
                        path: res.lake.path(file),
                        day: part.partition.day(),
                        bytes: file.bytes,
                        rows: file.rows,
                    });
                }
            }
        }
        let data = if bronze {
            TableData::Bronze { objects: files }
        } else {
            TableData::Parquet { files, schema: res.shape(dep.asset).schema.clone() }
        };
        out.push((dep.asset, Input { name: key.clone(), daily, data }));
    }
    Ok(out)
}

/// Input rows of each partition of the piece, from the manifests.
fn rows_in(
    res: &Resources,
    job: &GroupJob,
    piece: &[usize],
    inputs: &[(AssetIdx, Input)],
) -> BTreeMap<usize, u64> {
    let mut out = BTreeMap::new();
    // The first dependency is what a partition is made of; the others decorate it, and so does
    // what the product itself keeps, wherever it is named.
    let kept = |asset: &AssetIdx| res.config.graph.asset(*asset).kind == AssetKind::System;
    let first = inputs.iter().find(|(asset, _)| !kept(asset)).or(inputs.first());
    let Some((_, first)) = first else { return out };
    let files = match &first.data {
        TableData::Bronze { objects } => objects,
        TableData::Parquet { files, .. } => files,
        TableData::Memory { .. } => return out,
    };
    let mut by_day: BTreeMap<Option<Day>, u64> = BTreeMap::new();
    for file in files {
        *by_day.entry(file.day).or_default() += file.rows;
    }
    for &at in piece {
        let rows = match job.slots[at].partition {
            PartitionKey::Day(day) => by_day.get(&Some(day)).copied().unwrap_or(0),
            PartitionKey::Whole => by_day.values().sum(),
        };
        out.insert(at, rows);
    }
    out
}

/// One writer and one set of checks a partition, filled in order.
struct Outputs<'a> {
    res: &'a Resources,
    declared: &'a AssetConfig,
    schema: SchemaRef,
    days: BTreeMap<Option<Day>, usize>,
    current: Option<(Option<Day>, PartitionWriter, PartitionChecks)>,
    done: BTreeMap<usize, (Staged, Vec<CheckResult>)>,
    asks_sql: bool,
}

impl<'a> Outputs<'a> {
    fn new(res: &'a Resources, job: &GroupJob, declared: &'a AssetConfig, piece: &[usize]) -> Self {
        let days = piece.iter().map(|at| (job.slots[*at].partition.day(), *at)).collect();
        let asks_sql = declared
            .checks
            .iter()
            .any(|c| matches!(c.kind, CheckKind::Violates { .. } | CheckKind::Sql { .. }));
        let schema = res.shape(job.asset).schema.clone();
        Self { res, declared, schema, days, current: None, done: BTreeMap::new(), asks_sql }
    }

    fn begin(&mut self, day: Option<Day>) -> Result<(), Failure> {
        let writer = PartitionWriter::new(&self.schema, self.res.lake.writer_options())
            .map_err(|e| Failure::plain(e.to_string()))?;
        let checks = PartitionChecks::new(self.declared, writer.schema(), &self.res.issue_ids())
            .map_err(Failure::plain)?;
        self.current = Some((day, writer, checks));
        Ok(())
    }

    fn take(&mut self, day: Option<Day>, batch: RecordBatch) -> Result<(), Failure> {
        if self.current.as_ref().is_none_or(|c| c.0 != day) {
            self.end()?;
            self.begin(day)?;
        }
        if let Some((_, writer, checks)) = &mut self.current {
            let batch = crate::lake::canonicalize(&batch, writer.schema())
                .map_err(|e| Failure::plain(e.to_string()))?;
            checks.take(&batch).map_err(|e| Failure::plain(e.to_string()))?;
            writer.write(&batch).map_err(|e| Failure::plain(e.to_string()))?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Failure> {
        let Some((day, writer, checks)) = self.current.take() else { return Ok(()) };
        let count = writer.rows();
        let staged = writer.finish().map_err(|e| Failure::plain(e.to_string()))?;
        let results = checks.finish(count);
        let Some(&at) = self.days.get(&day) else {
            return Err(Failure::plain("the query gave rows of a day that was not asked for"));
        };
        self.done.insert(at, (staged, results));
        Ok(())
    }

    /// Checks written in SQL, over the staged rows of one partition. Never called while the
    /// engine runs the asset's own query: they are queries of their own.
    fn query_checks(&self, staged: &Staged) -> Vec<CheckResult> {
        let key = &self.declared.key;
        let rows: Result<Vec<RecordBatch>, String> = staged
            .batches()
            .and_then(|batches| batches.collect::<Result<Vec<_>, _>>())
            .map_err(|e| e.to_string());
        let mut out = Vec::new();
        for c in &self.declared.checks {
            let Some((sql, ..)) = c.kind.query(key) else { continue };
            let counted = rows.clone().and_then(|rows| {
                let batches = rows.into_iter().map(|b| (None, b)).collect();
                let data = TableData::Memory { schema: staged.schema.clone(), batches };
                let table = Input { name: key.clone(), daily: false, data };
                count(&self.res.engine, &sql, vec![table]).map_err(|e| e.to_string())
            });
            let (violations, found) = match counted {
                Ok(n) => (n, None),
                Err(error) => (1, Some(format!("it could not be evaluated: {error}"))),
            };
            out.push(check::result(c.name.clone(), c.severity, violations, found));
        }
        out
    }

    /// Every partition of the piece, empty ones too.
    fn finish(
        mut self,
        rows_in: &BTreeMap<usize, u64>,
        dropped: &BTreeMap<(Option<Day>, String), u64>,
        outcome: &dyn Fn(Option<Day>) -> Outcome,
    ) -> Result<Vec<Ready>, Failure> {
        self.end()?;
        let days = self.days.clone();
        for (day, at) in &days {
            if !self.done.contains_key(at) {
                self.begin(*day)?;
                self.end()?;
            }
        }
        if self.asks_sql {
            let mut done = std::mem::take(&mut self.done);
            for (staged, results) in done.values_mut() {
                results.extend(self.query_checks(staged));
            }
            self.done = done;
        }
        let mut reasons: BTreeMap<usize, BTreeMap<String, u64>> = BTreeMap::new();
        for ((day, reason), n) in dropped {
            if let Some(at) = days.get(day) {
                *reasons.entry(*at).or_default().entry(reason.clone()).or_default() += n;
            }
        }
        let by_place: BTreeMap<usize, Option<Day>> = days.iter().map(|(day, at)| (*at, *day)).collect();
        Ok(self
            .done
            .into_iter()
            .map(|(at, (staged, checks))| Ready {
                at,
                staged,
                checks,
                rows_in: rows_in.get(&at).copied(),
                dropped: reasons.remove(&at).unwrap_or_default(),
                outcome: outcome(by_place.get(&at).copied().flatten()),
            })
            .collect())
    }
}

/// The number that a query counts.
///
/// # Errors
/// When the query cannot run.
pub fn count(engine: &Engine, sql: &str, tables: Vec<Input>) -> Result<u64, EngineError> {
    let text = SourceText { name: "check".into(), text: sql.to_string() };
    let mut found = 0;
    engine.query(&text, tables, &CancellationFlag::new(), &mut |batch| {
        if batch.num_rows() > 0 {
            let n = cast(batch.column(0), &DataType::Int64)?;
            found = u64::try_from(n.as_primitive::<Int64Type>().value(0)).unwrap_or(0);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Publishes what is ready, all with the same syncs.
fn publish(
    res: &Resources,
    job: &GroupJob,
    ready: Vec<Ready>,
    cancel: &CancellationFlag,
    outcomes: &mut [Option<Result<Done, Failure>>],
) {
    if cancel.is_cancelled() {
        for one in ready {
            outcomes[one.at] = Some(Err(Failure::Canceled));
        }
        return;
    }
    let key = res.config.graph.key(job.asset).clone();
    let mut order = Vec::new();
    let mut commits = Vec::new();
    for one in ready {
        let slot = &job.slots[one.at];
        let stats = StepStats {
            rows_in: one.rows_in,
            rows_out: Some(one.staged.rows),
            off_brand: one.dropped.get("off_brand").copied(),
            dropped: one.dropped.clone(),
            ..StepStats::default()
        };
        order.push((one.at, one.checks.clone()));
        commits.push(Commit {
            content: Content::Table(one.staged),
            manifest: ManifestDraft {
                asset: key.clone(),
                source: None,
                partition: slot.partition,
                floor: slot.floor,
                based_on: Some(slot.based_on),
                code: slot.code,
                fingerprint: slot.fingerprint,
                inputs: slot.inputs.clone(),
                checks: one.checks,
                outcome: one.outcome,
                coverage: None,
                stats,
                created_ms: job.now_ms,
                run: Some(job.run),
            },
        });
    }
    match res.lake.commit(commits) {
        Ok(results) => {
            for ((at, checks), result) in order.into_iter().zip(results) {
                outcomes[at] = Some(match result {
                    Ok(committed) => {
                        let files = Arc::new(committed.manifest.files.clone());
                        let partition = committed.manifest.partition;
                        res.files.put(key.clone(), None, partition, committed.generation, files);
                        let stats = committed.manifest.stats.clone();
                        Ok(Done { committed, stats, checks })
                    }
                    Err(CommitError::Lost { .. }) => Err(Failure::Lost),
                    Err(error) => Err(Failure::Failed { message: error.to_string(), checks, passing: true }),
                });
            }
        }
        Err(error) => {
            for (at, checks) in order {
                let message = error.to_string();
                outcomes[at] = Some(Err(Failure::Failed { message, checks, passing: true }));
            }
        }
    }
}
