//! Retention: texts of days that are long over leave every layer, and everything else stays.
//!
//! Order: the lake remembers the days → bronze and tables without texts, under new generations →
//! what was set aside long ago → older versions → the lake remembers that nothing is left. From
//! the first step on nothing is made from these days any more (see `graph::is_kept`). Killed
//! anywhere, the same again goes on: what has lost its texts says so in its manifest. Blocks on
//! the lake.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, BuildError, MatchKind};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, new_null_array,
};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::error::ArrowError;
use jiff::tz::TimeZone;

use super::capture::{OBSERVATIONS, Observation, QUARANTINE};
use super::sources::day_in;
use super::texts::Texts;
use super::world::World;
use crate::config::{AssetConfig, Config, PrivacyConfig, Retention, holds_text};
use crate::graph::{AssetKey, AssetKind, Day, Outcome, PartitionKey, PartitionSet};
use crate::lake::{
    Commit, CommitError, Content, Lake, LakeError, Manifest, ManifestDraft, NewObject, ParquetBatches,
    PartitionWriter, Purged, Staged,
};
use crate::source::{Quarantined, Rewritten, without_texts};

/// What one commit takes at most.
const COMMIT_BYTES: u64 = 32 << 20;
const COMMIT_PARTITIONS: usize = 64;

/// What texts are to be removed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DueTexts {
    /// Days whose time is over.
    pub days: BTreeSet<Day>,
    /// Days that should have none any more: a removal was interrupted, or a process that knew
    /// nothing of it has added to them.
    pub again: BTreeSet<Day>,
}

impl DueTexts {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty() && self.again.is_empty()
    }
}

/// What was removed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RemovedTexts {
    /// Of these days.
    pub days: BTreeSet<Day>,
    /// Objects of bronze that were written anew.
    pub objects: u64,
    /// Partitions of tables that were written anew.
    pub partitions: u64,
    /// Set-aside records that lost what they show.
    pub samples: u64,
    /// Older versions.
    pub purged: Purged,
    /// Partitions that somebody else has published meanwhile; the next run takes them up.
    pub left: u64,
}

/// The moment at or before which a day must have ended for its texts to go, milliseconds since
/// 1970 UTC; `None` when they stay for ever.
fn cutoff_ms(privacy: &PrivacyConfig, zone: &TimeZone, now_ms: i64) -> Option<i64> {
    match privacy.retain_text? {
        Retention::Ms(ms) => Some(now_ms.saturating_sub(ms)),
        Retention::Months(months) => {
            let now = jiff::Timestamp::from_millisecond(now_ms).ok()?.to_zoned(zone.clone());
            let back = jiff::Span::new().try_months(i64::from(months)).ok()?;
            Some(now.checked_sub(back).ok()?.timestamp().as_millisecond())
        }
    }
}

impl World {
    /// The days whose texts are to be removed now. A day's time is over when it ended longer ago
    /// than texts are kept and nothing was captured of it for a while, so that tables can be made
    /// of a history that is captured late.
    pub fn due_texts(&self) -> DueTexts {
        let mut out = DueTexts { days: BTreeSet::new(), again: self.texts.open.clone() };
        let config = &self.config;
        let zone = &config.project.timezone;
        // The day of that moment is not over by then; those before it are.
        let today = cutoff_ms(&config.privacy, zone, self.now_ms).and_then(|ms| day_in(zone, ms));
        for (slot, day) in config.graph.days().iter().enumerate() {
            let known = self.texts.days.contains(&day);
            let over = today.is_some_and(|today| day < today);
            if !known && !over {
                continue;
            }
            let mut parts = self.parts.iter().filter_map(|part| self.bronze.at(part.idx, slot));
            if known {
                if parts.any(|e| e.rows > 0 && e.outcome != Outcome::TextRemoved) {
                    out.again.insert(day);
                }
                continue;
            }
            let newest = parts.filter(|e| e.rows > 0).map(|e| e.at_ms).max();
            if newest.is_some_and(|at| at.saturating_add(config.privacy.retain_new_ms) <= self.now_ms) {
                out.days.insert(day);
            }
        }
        out
    }
}

/// Removes texts: of bronze of every source, of every table that holds some, declared or not.
///
/// # Errors
/// When the lake refuses. What was removed by then stays removed, and the rest is due again.
pub fn remove_texts(
    lake: &Lake,
    config: &Config,
    texts: &mut Texts,
    due: &DueTexts,
    now_ms: i64,
) -> Result<RemovedTexts, LakeError> {
    let mut days = due.days.clone();
    if !days.is_empty() {
        days.extend(outside(lake, config, texts, now_ms)?);
        texts.begin(lake, &days)?;
    }
    days.extend(&due.again);
    let mut out = RemovedTexts { days: days.clone(), ..RemovedTexts::default() };
    let partitions: Vec<PartitionKey> = days.iter().map(|day| PartitionKey::Day(*day)).collect();
    for asset in lake.list_assets()? {
        let declared = config.graph.find(asset.as_str()).map(|idx| config.asset(idx));
        let mut commits = Commits { lake, open: Vec::new(), bytes: 0, out: &mut out };
        for source in lake.list_sources(&asset)? {
            for manifest in current(lake, &asset, Some(&source), &days)? {
                bronze(&mut commits, manifest?, now_ms)?;
            }
        }
        for manifest in current(lake, &asset, None, &days)? {
            table(&mut commits, declared, manifest?, now_ms)?;
        }
        commits.flush()?;
    }
    if let Some(cutoff) = cutoff_ms(&config.privacy, &config.project.timezone, now_ms) {
        out.samples = empty_samples(lake, cutoff)?;
    }
    super::ai::leave_out_quotes(lake, &days)?;
    out.purged = lake.purge_temporary()?;
    for asset in lake.list_assets()? {
        for source in lake.list_sources(&asset)? {
            out.purged.add(lake.purge(&asset, Some(&source), &partitions)?);
        }
        out.purged.add(lake.purge(&asset, None, &partitions)?);
    }
    if out.left == 0 {
        texts.end(lake, &days)?;
    }
    Ok(out)
}

/// Days before or after the project's whose time is over, of which the lake holds something.
fn outside(lake: &Lake, config: &Config, texts: &Texts, now_ms: i64) -> Result<BTreeSet<Day>, LakeError> {
    let zone = &config.project.timezone;
    let today = cutoff_ms(&config.privacy, zone, now_ms).and_then(|ms| day_in(zone, ms));
    let over = |day: &Day| {
        today.is_some_and(|today| *day < today)
            && !config.graph.days().contains(*day)
            && !texts.days.contains(day)
    };
    let mut out = BTreeSet::new();
    for asset in lake.list_assets()? {
        for source in lake.list_sources(&asset)? {
            let listed = lake.list_manifests(&asset, Some(&source))?;
            out.extend(listed.iter().filter_map(|l| l.partition.day()).filter(over));
        }
        let listed = lake.list_manifests(&asset, None)?;
        out.extend(listed.iter().filter_map(|l| l.partition.day()).filter(over));
    }
    Ok(out)
}

type Manifests = Vec<Result<Manifest, LakeError>>;

/// The current manifests of some days that may still hold texts.
fn current(
    lake: &Lake,
    asset: &AssetKey,
    source: Option<&str>,
    days: &BTreeSet<Day>,
) -> Result<Manifests, LakeError> {
    let wanted: Vec<_> = lake
        .list_manifests(asset, source)?
        .iter()
        .filter(|l| l.partition.day().is_some_and(|day| days.contains(&day)))
        .map(|l| (l.partition, l.generation))
        .collect();
    let done = |m: &Result<Manifest, LakeError>| {
        m.as_ref().is_ok_and(|m| m.rows == 0 || m.outcome == Outcome::TextRemoved)
    };
    let mut manifests = lake.read_manifests(asset, source, &wanted)?;
    manifests.retain(|m| !done(m));
    Ok(manifests)
}

/// Partitions on their way, several of which share the syncs.
struct Commits<'a> {
    lake: &'a Lake,
    open: Vec<Commit>,
    bytes: u64,
    out: &'a mut RemovedTexts,
}

impl Commits<'_> {
    fn push(&mut self, content: Content, manifest: ManifestDraft, bytes: u64) -> Result<(), LakeError> {
        self.open.push(Commit { content, manifest });
        self.bytes += bytes;
        if self.open.len() >= COMMIT_PARTITIONS || self.bytes >= COMMIT_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), LakeError> {
        self.bytes = 0;
        for result in self.lake.commit(std::mem::take(&mut self.open))? {
            match result {
                Ok(_) => {}
                Err(CommitError::Lost { .. }) => self.out.left += 1,
                Err(CommitError::Lake(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

fn bronze(commits: &mut Commits<'_>, manifest: Manifest, now_ms: i64) -> Result<(), LakeError> {
    let (mut add, mut drop, mut bytes) = (Vec::new(), Vec::new(), 0);
    for file in &manifest.files {
        let path = commits.lake.path(file);
        let wrong = |source| LakeError::Io { action: "read", path: path.clone(), source };
        match without_texts(File::open(&path).map_err(wrong)?).map_err(wrong)? {
            Rewritten::Same => {}
            Rewritten::Gone => drop.push(file.path.clone()),
            Rewritten::By(object) => {
                drop.push(file.path.clone());
                bytes += object.bytes;
                add.push(NewObject {
                    hash: object.hash.0,
                    bytes: object.bytes,
                    rows: object.rows,
                    body: object.to_vec().map_err(wrong)?.into(),
                    locator: file.locator.clone(),
                    // No reading makes it again; who reads the file again learns what it holds.
                    capture: None,
                });
            }
        }
    }
    commits.out.objects += drop.len() as u64;
    let draft = ManifestDraft { outcome: Outcome::TextRemoved, ..ManifestDraft::again(manifest, now_ms) };
    commits.push(Content::Bronze { add, drop }, draft, bytes)
}

fn table(
    commits: &mut Commits<'_>,
    declared: Option<&AssetConfig>,
    manifest: Manifest,
    now_ms: i64,
) -> Result<(), LakeError> {
    let texts: BTreeSet<String> = manifest
        .schema
        .iter()
        .filter(|(column, kind)| holds_text(declared, column, kind))
        .map(|(column, _)| column.clone())
        .collect();
    if texts.is_empty() {
        return Ok(());
    }
    let staged = changed_table(commits.lake, &manifest, &|batch| {
        replaced(batch, &|name, column| {
            texts.contains(name).then(|| new_null_array(column.data_type(), column.len()))
        })
    })?;
    commits.out.partitions += 1;
    let bytes = staged.bytes;
    let mut draft = ManifestDraft { outcome: Outcome::TextRemoved, ..ManifestDraft::again(manifest, now_ms) };
    // What a check found may quote a post.
    draft.checks.iter_mut().for_each(|check| check.message.clear());
    commits.push(Content::Table(staged), draft, bytes)
}

/// The rows of a published partition, changed batch by batch.
fn changed_table(
    lake: &Lake,
    manifest: &Manifest,
    change: &dyn Fn(&RecordBatch) -> Result<RecordBatch, ArrowError>,
) -> Result<Staged, LakeError> {
    let path = || manifest.files.first().map_or_else(|| lake.root().to_path_buf(), |file| lake.path(file));
    let corrupt = |why: String| LakeError::Corrupt { path: path(), why };
    let schema = manifest.arrow_schema().map_err(corrupt)?;
    let mut writer = PartitionWriter::new(&schema, lake.writer_options())?;
    for file in &manifest.files {
        for batch in ParquetBatches::open(&lake.path(file))? {
            writer.write(&change(&batch?).map_err(|e| corrupt(e.to_string()))?)?;
        }
    }
    writer.finish()
}

/// A batch with other columns in the place of some.
fn replaced(
    batch: &RecordBatch,
    other: &dyn Fn(&str, &ArrayRef) -> Option<ArrayRef>,
) -> Result<RecordBatch, ArrowError> {
    let columns = batch
        .schema_ref()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| other(field.name(), column).unwrap_or_else(|| column.clone()))
        .collect();
    RecordBatch::try_new(batch.schema(), columns)
}

/// Takes posts out of partitions that nobody can make again: the rows that are theirs go, and
/// other rows forget their ids. Gives how many partitions held something.
///
/// # Errors
/// When the lake refuses, or somebody else publishes at the same time.
pub fn cut_rows(
    lake: &Lake,
    config: &Config,
    kept: &PartitionSet,
    posts: &BTreeSet<String>,
    now_ms: i64,
) -> Result<u64, LakeError> {
    let graph = &config.graph;
    let mut cut = 0;
    if posts.is_empty() {
        return Ok(cut);
    }
    let posts = ForgottenPosts::new(posts)
        .map_err(|e| LakeError::Corrupt { path: lake.root().to_path_buf(), why: e.to_string() })?;
    for asset in graph.indices().filter(|asset| graph.asset(*asset).kind != AssetKind::Source) {
        let days: BTreeSet<Day> =
            kept.slots_of(asset).filter_map(|slot| graph.partition(asset, slot).day()).collect();
        let key = graph.key(asset);
        for listed in lake.list_manifests(key, None)? {
            if !listed.partition.day().is_some_and(|day| days.contains(&day)) {
                continue;
            }
            let manifest = lake.read_manifest(key, None, listed.partition, listed.generation)?;
            let before = (manifest.data, manifest.name());
            let staged = changed_table(lake, &manifest, &|batch| without_posts(batch, &posts))?;
            if staged.data == before.0 {
                continue;
            }
            cut += 1;
            let content = Content::Table(staged);
            for done in
                lake.commit(vec![Commit { content, manifest: ManifestDraft::again(manifest, now_ms) }])?
            {
                done.map_err(|e| LakeError::Corrupt {
                    path: lake.root().join(&before.1),
                    why: e.to_string(),
                })?;
            }
        }
    }
    Ok(cut)
}

fn without_posts(batch: &RecordBatch, posts: &ForgottenPosts) -> Result<RecordBatch, ArrowError> {
    let mut batch = batch.clone();
    if let Some(ids) = batch.column_by_name("post_id").and_then(|c| c.as_string_opt::<i32>()) {
        let stays: BooleanArray =
            ids.iter().map(|v| Some(v.is_none_or(|v| !posts.ids.contains(v)))).collect();
        if stays.false_count() > 0 {
            batch = filter_record_batch(&batch, &stays)?;
        }
    }
    replaced(&batch, &|_, column| {
        let values = column.as_string_opt::<i32>()?;
        let cells: Vec<Option<Cow<'_, str>>> =
            values.iter().map(|v| v.and_then(|v| posts.out_of(v))).collect();
        let same = cells.iter().zip(values).all(|(new, old)| new.as_deref() == old);
        (!same).then(|| Arc::new(cells.into_iter().collect::<StringArray>()) as ArrayRef)
    })
}

/// Posts to be forgotten where nothing can be made again.
struct ForgottenPosts<'a> {
    ids: &'a BTreeSet<String>,
    /// Finds the ids within texts that cite posts, longer ones before those they begin with.
    cited: AhoCorasick,
}

impl<'a> ForgottenPosts<'a> {
    fn new(ids: &'a BTreeSet<String>) -> Result<ForgottenPosts<'a>, BuildError> {
        let cited = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(ids)?;
        Ok(ForgottenPosts { ids, cited })
    }

    /// A cell without the posts: nothing where it is an id, and [`CITED_NO_MORE`] for each id
    /// within a text. The id of another post that only begins like one of them stays.
    fn out_of<'v>(&self, cell: &'v str) -> Option<Cow<'v, str>> {
        if self.ids.contains(cell) {
            return None;
        }
        let mut left = String::new();
        let mut copied = 0;
        for found in self.cited.find_iter(cell) {
            let next = cell[found.end()..].chars().next();
            if next.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            left.push_str(&cell[copied..found.start()]);
            left.push_str(CITED_NO_MORE);
            copied = found.end();
        }
        if copied == 0 {
            return Some(Cow::Borrowed(cell));
        }
        left.push_str(&cell[copied..]);
        Some(Cow::Owned(left))
    }
}

/// What a text says in the place of a post that was forgotten.
const CITED_NO_MORE: &str = "forgotten";

/// Empties what was set aside at or before a moment: nobody knows the day of a record that could
/// not be read, so the time of its reading counts.
fn empty_samples(lake: &Lake, cutoff_ms: i64) -> Result<u64, LakeError> {
    let mut emptied = 0;
    for source in lake.list_record_names(QUARANTINE)? {
        let mut read_at: BTreeMap<u64, i64> = BTreeMap::new();
        for (number, path) in lake.list_records(OBSERVATIONS, &source)? {
            let bytes = lake.read_record(OBSERVATIONS, &source, number)?;
            let observation: Observation = serde_json::from_slice(&bytes)
                .map_err(|e| LakeError::Corrupt { path, why: format!("it is not an observation: {e}") })?;
            if let Some(list) = observation.quarantine {
                let at = read_at.entry(list).or_insert(i64::MAX);
                *at = observation.at_ms.min(*at);
            }
        }
        let newest_old =
            read_at.iter().filter(|(_, at)| **at <= cutoff_ms).map(|(list, _)| *list).max().unwrap_or(0);
        // A list that no observation names is as old as the next one that is named.
        for (number, _) in lake.list_records(QUARANTINE, &source)? {
            if number <= newest_old && read_at.get(&number).is_none_or(|at| *at <= cutoff_ms) {
                emptied += super::erase::change_record(lake, QUARANTINE, &source, number, &mut |line| {
                    let mut one: Quarantined = serde_json::from_slice(line).ok()?;
                    if one.sample.is_empty() && one.detail.is_empty() {
                        return None;
                    }
                    one.sample.clear();
                    one.detail.clear();
                    serde_json::to_vec(&one).ok()
                })?;
            }
        }
    }
    Ok(emptied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AuthorPolicy;

    fn cutoff(retain: Option<Retention>, now: &str) -> Option<String> {
        let privacy = PrivacyConfig { author: AuthorPolicy::Drop, retain_text: retain, retain_new_ms: 0 };
        let zone = TimeZone::get("America/New_York").unwrap();
        let now: jiff::Timestamp = now.parse().unwrap();
        let ms = cutoff_ms(&privacy, &zone, now.as_millisecond())?;
        Some(jiff::Timestamp::from_millisecond(ms).unwrap().to_string())
    }

    #[test]
    fn a_cell_loses_the_ids_of_forgotten_posts_and_of_no_others() {
        let ids = BTreeSet::from(["reddit:t3_a1".to_string(), "reddit:t3_a1b".to_string()]);
        let posts = ForgottenPosts::new(&ids).unwrap();
        let out = |cell| posts.out_of(cell).map(Cow::into_owned);
        assert_eq!(out("reddit:t3_a1"), None);
        for same in ["reddit:t3_a12", "see reddit:t3_a1x and reddit:t3_b", "", "reddit:t3_a1_"] {
            assert_eq!(posts.out_of(same), Some(Cow::Borrowed(same)));
        }
        assert_eq!(
            out("é reddit:t3_a1, reddit:t3_a1b; reddit:t3_a12 reddit:t3_a1").as_deref(),
            Some("é forgotten, forgotten; reddit:t3_a12 forgotten")
        );
    }

    #[test]
    fn months_are_those_of_the_projects_calendar() {
        assert_eq!(cutoff(None, "2026-11-23T06:00:00Z"), None);
        // Summer time lies between: the clock on the wall says the same.
        let months = |n| cutoff(Some(Retention::Months(n)), "2026-11-23T06:00:00Z").unwrap();
        assert_eq!(months(24), "2024-11-23T06:00:00Z");
        assert_eq!(months(5), "2026-06-23T05:00:00Z");
        let ms = cutoff(Some(Retention::Ms(90 * 86_400_000)), "2026-11-23T06:00:00Z").unwrap();
        assert_eq!(ms, "2026-08-25T06:00:00Z");
        // Longer than there is time: they stay.
        assert_eq!(cutoff(Some(Retention::Months(u32::MAX)), "2026-11-23T06:00:00Z"), None);
    }

    #[test]
    fn rows_of_a_post_go_and_others_forget_its_id() {
        let text = |values: &[Option<&str>]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("post_id", text(&[Some("reddit:t3_a"), Some("reddit:t3_b"), Some("reddit:t1_c")]), true),
            ("parent_id", text(&[None, None, Some("reddit:t3_a")]), true),
            ("brand", text(&[Some("x"), Some("y"), None]), true),
        ])
        .unwrap();
        let ids = BTreeSet::from(["reddit:t3_a".to_string()]);
        let posts = ForgottenPosts::new(&ids).unwrap();
        let left = without_posts(&batch, &posts).unwrap();
        let expected = RecordBatch::try_from_iter_with_nullable([
            ("post_id", text(&[Some("reddit:t3_b"), Some("reddit:t1_c")]), true),
            ("parent_id", text(&[None, None]), true),
            ("brand", text(&[Some("y"), None]), true),
        ])
        .unwrap();
        assert_eq!(left, expected);
        assert_eq!(without_posts(&left, &posts).unwrap(), left);
    }
}
