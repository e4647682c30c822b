//! Forgetting on request: what a lake knows of a post, and taking it out of everything that is
//! no table.
//!
//! Order: tombstones → the records (quarantine, observations, requests) → bronze and tables, by
//! a run → older versions. Each step can be done again, and the tombstones remember the days, so
//! that whoever is killed says the same again. Ids are looked for in every object that lies in
//! the lake, current or not. Blocks on the lake.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use super::capture::{OBSERVATIONS, Observation, QUARANTINE};
use super::forgotten::{Graves, graves};
use super::requests::REQUESTS;
use super::world::WorldError;
use crate::config::Config;
use crate::envelope::Envelope;
use crate::graph::{AssetIdx, AssetKind, AssetPartition, Day, PartitionKey, PartitionSet};
use crate::lake::{Commit, Content, Lake, LakeError, ManifestDraft, NewObject, Purged};
use crate::source::{
    Forgotten, Quarantined, Remains, Rewritten, Tombstone, Traces, names_of, read_object, rewrite,
};

/// A post by its identity: platform and native id.
pub type PostKey = (String, String);

/// What bronze holds of one post.
#[derive(Clone, Debug, Default)]
pub struct Sighting {
    /// Captures by source and day.
    pub places: BTreeMap<(String, Day), u64>,
    /// The files that it was read from.
    pub locators: BTreeSet<String>,
    /// Titles, texts and addresses, for recognizing it elsewhere.
    pub texts: BTreeSet<String>,
    /// Days of comments, answers and crossposts, which name it.
    pub comments: BTreeSet<Day>,
}

/// Looks for posts in everything that lies in bronze, sources that nobody declares any more
/// included.
///
/// # Errors
/// When an object cannot be read.
pub fn look(
    lake: &Lake,
    wanted: &dyn Fn(&Envelope<'_>) -> bool,
) -> Result<BTreeMap<PostKey, Sighting>, LakeError> {
    let mut found: BTreeMap<PostKey, Sighting> = BTreeMap::new();
    for asset in lake.list_assets()? {
        for source in lake.list_sources(&asset)? {
            for (partition, paths) in lake.bronze_objects(&asset, &source)? {
                let Some(day) = partition.day() else { continue };
                for path in paths {
                    let mut each = |e: &Envelope<'_>| {
                        if wanted(e) {
                            let key = (e.platform.as_str().to_string(), e.native_id.as_str().to_string());
                            found.entry(key).or_default().take(e, &source, day);
                        }
                    };
                    File::open(&path)
                        .and_then(|file| read_object(file, &mut each))
                        .map_err(|source| LakeError::Io { action: "read", path: path.clone(), source })?;
                }
            }
        }
    }
    Ok(found)
}

/// Looks for comments on posts, answers to them and crossposts of them, and notes their days.
///
/// # Errors
/// When an object cannot be read.
pub fn look_for_comments(
    lake: &Lake,
    posts: &mut BTreeMap<PostKey, Option<Sighting>>,
) -> Result<(), LakeError> {
    let asked: BTreeSet<PostKey> = posts.keys().cloned().collect();
    let comments = std::cell::RefCell::new(BTreeMap::<PostKey, BTreeSet<Day>>::new());
    let found = look(lake, &|e| {
        let platform = e.platform.as_str();
        let named: Vec<PostKey> = names_of(e)
            .into_iter()
            .map(|id| (platform.to_string(), id))
            .filter(|key| asked.contains(key))
            .collect();
        let any = !named.is_empty();
        for key in named {
            comments.borrow_mut().entry(key).or_default();
        }
        any
    })?;
    // Which days these comments are of; a comment's own key says nothing of what it names.
    let days: BTreeSet<Day> = found.values().flat_map(|s| s.places.keys().map(|(_, day)| *day)).collect();
    for key in comments.into_inner().into_keys() {
        if let Some(sighting) = posts.get_mut(&key) {
            sighting.get_or_insert_default().comments.extend(days.iter().copied());
        }
    }
    Ok(())
}

impl Sighting {
    fn take(&mut self, e: &Envelope<'_>, source: &str, day: Day) {
        *self.places.entry((source.to_string(), day)).or_default() += 1;
        if !e.locator.as_str().is_empty() {
            self.locators.insert(e.locator.as_str().to_string());
        }
        self.texts.extend([&e.title, &e.body, &e.url].into_iter().flatten().map(|t| t.as_str().to_string()));
    }
}

/// The platforms that the project's sources are of.
pub fn platforms(config: &Config) -> BTreeSet<String> {
    config.sources.iter().flat_map(super::observe::platforms).collect()
}

/// Everything that is forgotten in the lake.
///
/// # Errors
/// When a record cannot be read.
pub fn all_graves(lake: &Lake) -> Result<Graves, WorldError> {
    // What only counts later counts when it is asked for.
    graves(lake, None, i64::MAX, &mut Vec::new())
}

/// The days that earlier requests for the same prints have found: those of every record in which
/// one of the prints stands, since an author's posts were buried together with the name.
pub fn days_of(graves: &Graves, prints: &BTreeSet<String>) -> BTreeSet<Day> {
    let holds = |entries: &&Vec<Tombstone>| entries.iter().any(|e| prints.contains(&e.print));
    let asked = |e: &&Tombstone| e.remains == Remains::Nothing || prints.contains(&e.print);
    graves.records.values().filter(holds).flatten().filter(asked).filter_map(|e| e.day).collect()
}

/// Whether something with this print is gone for good already.
pub fn is_buried(graves: &Graves, print: &str) -> bool {
    graves.records.values().flatten().any(|e| e.print == print && e.remains == Remains::Nothing)
}

/// The tombstones of a request: for each post one a day that holds it (or one for any day), for
/// each form of an author's name one, that holds for any day.
pub fn asked_for<'a>(
    forgotten: &Forgotten,
    posts: impl IntoIterator<Item = (&'a PostKey, Option<&'a Sighting>)>,
    authors: impl IntoIterator<Item = (&'a str, &'a str)>,
    now_ms: i64,
) -> Vec<Tombstone> {
    let entry = |print: String, platform: &str, day: Option<Day>| Tombstone {
        print,
        platform: platform.to_string(),
        remains: Remains::Nothing,
        day,
        why: "asked".into(),
        at_ms: now_ms,
        from_ms: None,
        thread: false,
    };
    let mut out = Vec::new();
    for (platform, name) in authors {
        out.push(entry(forgotten.author(platform, name), platform, None));
    }
    for ((platform, native_id), sighting) in posts {
        let print = forgotten.post(platform, native_id);
        let days: BTreeSet<Day> = sighting
            .iter()
            .flat_map(|s| s.places.keys().map(|(_, day)| *day).chain(s.comments.iter().copied()))
            .collect();
        if days.is_empty() {
            out.push(entry(print.clone(), platform, None));
        }
        out.extend(days.into_iter().map(|day| entry(print.clone(), platform, Some(day))));
    }
    out
}

/// Records that were changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Erased {
    /// Set-aside records that lost what they show.
    pub quarantine: u64,
    /// Ids that left what streams remember.
    pub cursors: u64,
    /// Requests that are not in the log any more.
    pub requests: u64,
}

/// Takes the traces of posts out of the lake's records. Of the files in `locators`, set-aside
/// records are looked up where they stand: a glimpse may not show their id.
///
/// # Errors
/// When the lake refuses. A file that cannot be read is passed over.
pub fn erase_records(
    lake: &Lake,
    root: &Path,
    traces: &Traces,
    locators: &BTreeSet<String>,
) -> Result<Erased, LakeError> {
    let mut out = Erased::default();
    let ours = |q: &Quarantined| {
        traces.found_in(&q.sample)
            || traces.found_in(&q.detail)
            || locators.contains(&q.locator) && stands_in(&root.join(&q.locator), q, traces)
    };
    each_record(lake, QUARANTINE, &mut |line| {
        let mut one: Quarantined = serde_json::from_slice(line).ok()?;
        if (one.sample.is_empty() && one.detail.is_empty()) || !ours(&one) {
            return None;
        }
        one.sample.clear();
        one.detail.clear();
        out.quarantine += 1;
        serde_json::to_vec(&one).ok()
    })?;
    each_record(lake, REQUESTS, &mut |line| {
        let value: serde_json::Value = serde_json::from_slice(line).ok()?;
        let path = value.get("path").and_then(serde_json::Value::as_str)?;
        traces.found_in(path).then(|| {
            out.requests += 1;
            Vec::new()
        })
    })?;
    each_record(lake, OBSERVATIONS, &mut |line| {
        let mut one: Observation = serde_json::from_slice(line).ok()?;
        let cursor = &mut one.stream.as_mut()?.cursor;
        let before = cursor.newest.len() + cursor.owed.len();
        cursor.newest.retain(|id| !traces.is_id(id));
        cursor.owed.retain(|owed| !traces.is_id(&owed.id));
        let gone = before - cursor.newest.len() - cursor.owed.len();
        if gone == 0 {
            return None;
        }
        out.cursors += gone as u64;
        serde_json::to_vec(&one).ok()
    })?;
    Ok(out)
}

/// The most of a record that is looked at in its file.
const RECORD: u64 = 1 << 20;

fn stands_in(path: &Path, q: &Quarantined, traces: &Traces) -> bool {
    let bytes = crate::source::read_at(path, q.offset, q.length.min(RECORD)).unwrap_or_default();
    traces.found_in(&String::from_utf8_lossy(&bytes))
}

/// Gives every line of every record of a kind to `change`; what comes back takes its place, and
/// nothing in place of a line removes it.
pub(super) fn each_record(
    lake: &Lake,
    kind: &str,
    change: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<(), LakeError> {
    for name in lake.list_record_names(kind)? {
        for (number, _) in lake.list_records(kind, &name)? {
            change_record(lake, kind, &name, number, change)?;
        }
    }
    Ok(())
}

/// The same for one record. Gives how many lines were changed.
pub(super) fn change_record(
    lake: &Lake,
    kind: &str,
    name: &str,
    number: u64,
    change: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<u64, LakeError> {
    let bytes = lake.read_record(kind, name, number)?;
    let mut changed = 0;
    let mut out = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let (text, end) = match line.split_last() {
            Some((b'\n', text)) => (text, true),
            _ => (line, false),
        };
        match change(text) {
            None => out.extend_from_slice(line),
            Some(other) => {
                changed += 1;
                out.extend_from_slice(&other);
                if end && !other.is_empty() {
                    out.push(b'\n');
                }
            }
        }
    }
    if changed > 0 {
        lake.replace_record(kind, name, number, &out)?;
    }
    Ok(changed)
}

/// What no run can make again, because nobody declares it any more or because its day is not one
/// of the project's.
#[derive(Clone, Debug, Default)]
pub struct Strays {
    /// Objects of bronze that were written anew without what is forgotten.
    pub objects: u64,
    /// Partitions of tables that were removed whole: `table[day]`.
    pub dropped: BTreeSet<String>,
    /// What was removed.
    pub purged: Purged,
}

/// Takes what is forgotten out of what no run makes again: bronze of undeclared sources and of
/// days outside of the project loses it, tables of that kind lose these days.
///
/// # Errors
/// When the lake refuses.
pub fn strays(
    lake: &Lake,
    config: &Config,
    forgotten: &Forgotten,
    days: &BTreeSet<Day>,
    now_ms: i64,
) -> Result<Strays, LakeError> {
    let graph = &config.graph;
    let mut out = Strays::default();
    for asset in lake.list_assets()? {
        let declared = graph.find(asset.as_str());
        let outside = |day: &Day| declared.is_none_or(|idx| slot(config, idx, *day).is_none());
        for source in lake.list_sources(&asset)? {
            let known = declared.is_some_and(|idx| sources_of(config, idx).contains(&source));
            for listed in lake.list_manifests(&asset, Some(&source))? {
                let Some(day) = listed.partition.day().filter(|day| days.contains(day)) else { continue };
                if known && !outside(&day) {
                    continue;
                }
                let manifest =
                    lake.read_manifest(&asset, Some(&source), listed.partition, listed.generation)?;
                let (mut add, mut drop) = (Vec::new(), Vec::new());
                for file in &manifest.files {
                    let path: PathBuf = lake.path(file);
                    let wrong = |source| LakeError::Io { action: "read", path: path.clone(), source };
                    match rewrite(File::open(&path).map_err(wrong)?, forgotten).map_err(wrong)? {
                        Rewritten::Same => continue,
                        Rewritten::Gone => {}
                        Rewritten::By(object) => add.push(NewObject {
                            hash: object.hash.0,
                            bytes: object.bytes,
                            rows: object.rows,
                            body: object.to_vec().map_err(wrong)?.into(),
                            locator: file.locator.clone(),
                            capture: file.capture.clone(),
                        }),
                    }
                    drop.push(file.path.clone());
                }
                if drop.is_empty() {
                    continue;
                }
                out.objects += drop.len() as u64;
                let draft = ManifestDraft::again(manifest, now_ms);
                let commit = Commit { content: Content::Bronze { add, drop }, manifest: draft };
                for done in lake.commit(vec![commit])? {
                    done.map_err(|e| LakeError::Corrupt {
                        path: lake.root().to_path_buf(),
                        why: e.to_string(),
                    })?;
                }
            }
        }
        let mut partitions: Vec<PartitionKey> =
            days.iter().filter(|day| outside(day)).map(|day| PartitionKey::Day(*day)).collect();
        if declared.is_none() {
            partitions.push(PartitionKey::Whole);
        }
        if declared.is_some_and(|idx| graph.asset(idx).kind == AssetKind::Source) {
            continue;
        }
        for partition in partitions {
            let gone = lake.drop_partitions(&asset, None, &[partition])?;
            if gone.files > 0 {
                out.purged.add(gone);
                out.dropped.insert(match partition {
                    PartitionKey::Whole => asset.to_string(),
                    day => format!("{asset}[{day}]"),
                });
            }
        }
    }
    Ok(out)
}

fn slot(config: &Config, asset: AssetIdx, day: Day) -> Option<usize> {
    let partition = PartitionKey::Day(day);
    config.graph.slot(AssetPartition { asset, partition })
}

fn sources_of(config: &Config, asset: AssetIdx) -> Vec<String> {
    match &config.asset(asset).body {
        crate::config::Body::Source { sources } => super::observe::with_fallbacks(config, sources),
        _ => Vec::new(),
    }
}

/// The partitions of source assets that hold some days.
pub fn bronze_set(config: &Config, days: &BTreeSet<Day>) -> PartitionSet {
    let graph = &config.graph;
    let mut set = PartitionSet::empty(graph);
    for asset in graph.indices().filter(|a| graph.asset(*a).kind == AssetKind::Source) {
        for slot in days.iter().filter_map(|day| slot(config, asset, *day)) {
            set.insert(asset, slot);
        }
    }
    set
}

/// Removes every older version of a set of partitions, and of these days of all of bronze.
///
/// # Errors
/// When a current manifest cannot be read or the disk refuses.
pub fn purge(
    lake: &Lake,
    config: &Config,
    set: &PartitionSet,
    days: &BTreeSet<Day>,
) -> Result<Purged, LakeError> {
    let graph = &config.graph;
    let mut out = lake.purge_temporary()?;
    let bronze: Vec<PartitionKey> = days.iter().map(|day| PartitionKey::Day(*day)).collect();
    for asset in lake.list_assets()? {
        for source in lake.list_sources(&asset)? {
            out.add(lake.purge(&asset, Some(&source), &bronze)?);
        }
    }
    for asset in graph.indices().filter(|a| graph.asset(*a).kind != AssetKind::Source) {
        let partitions: Vec<PartitionKey> =
            set.slots_of(asset).map(|slot| graph.partition(asset, slot)).collect();
        if !partitions.is_empty() {
            out.add(lake.purge(graph.key(asset), None, &partitions)?);
        }
    }
    Ok(out)
}

/// What authors of these names are called in captures, in the same order; `None` where nobody is
/// named.
///
/// # Errors
/// When names are hashed with a key that is not there.
pub fn author_words(config: &Config, names: &[String]) -> Result<Option<Vec<String>>, String> {
    let context = super::sources::context(config, 0, None)?;
    let redactor = crate::source::Redactor::new(&context.privacy);
    Ok(names.iter().map(|name| redactor.replace(name).map(std::borrow::Cow::into_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Counts, Cursor, Owed, Stream};

    fn lake() -> (tempfile::TempDir, Lake) {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().join("lake"), "UTC").unwrap();
        (folder, lake)
    }

    fn sighting(days: &[&str]) -> Sighting {
        let places = days.iter().map(|d| (("s".to_string(), d.parse().unwrap()), 1)).collect();
        Sighting { places, ..Sighting::default() }
    }

    #[test]
    fn tombstones_remember_the_days_of_a_request() {
        let (_folder, lake) = lake();
        let graves = all_graves(&lake).unwrap();
        let post = ("reddit".to_string(), "t3_a".to_string());
        let other = ("reddit".to_string(), "t3_b".to_string());
        let seen = sighting(&["2026-08-01", "2026-08-03"]);
        let entries = asked_for(&graves.forgotten, [(&post, Some(&seen))], Some(("reddit", "bob")), 1);
        assert_eq!(entries.iter().map(|e| e.day.is_some()).collect::<Vec<_>>(), [false, true, true]);
        super::super::forgotten::bury(&lake, &entries).unwrap();
        let entries = asked_for(&graves.forgotten, [(&other, None)], None, 2);
        assert_eq!(entries[0].day, None);
        super::super::forgotten::bury(&lake, &entries).unwrap();

        let graves = all_graves(&lake).unwrap();
        let of = |print: String| days_of(&graves, &BTreeSet::from([print])).len();
        assert_eq!(of(graves.forgotten.post("reddit", "t3_a")), 2);
        assert_eq!(of(graves.forgotten.author("reddit", "bob")), 2, "the posts were buried with the name");
        assert_eq!(of(graves.forgotten.post("reddit", "t3_b")), 0);
        assert!(is_buried(&graves, &graves.forgotten.post("reddit", "t3_b")));
        assert!(!is_buried(&graves, &graves.forgotten.post("reddit", "t3_c")));
    }

    #[test]
    fn records_lose_what_names_the_post_and_nothing_else() {
        let (folder, lake) = lake();
        let line = |sample: &str, offset: u64| {
            let one = Quarantined {
                locator: "in/a".into(),
                seq: 1,
                line: 1,
                offset,
                length: 20,
                reason: "mistyped:title".into(),
                detail: "title is a list".into(),
                sample: sample.into(),
            };
            serde_json::to_string(&one).unwrap() + "\n"
        };
        std::fs::create_dir(folder.path().join("in")).unwrap();
        std::fs::write(folder.path().join("in/a"), r#"{"x":1,"id":"abc"} {"x":1,"id":"abd"}"#).unwrap();
        let lines = line(r#"{"id":"abc"#, 500)
            + &line(r#"{"id":"abcd""#, 500)
            + &line("cut off", 0)
            + &line("cut off", 19);
        lake.append_record(QUARANTINE, "s", lines.as_bytes()).unwrap();
        let requests = "{\"path\":\"/comments/abc.json\"}\n{\"path\":\"/r/x/new\"}\n";
        lake.append_record(REQUESTS, "s", requests.as_bytes()).unwrap();
        let cursor = Cursor {
            newest: vec!["t3_abd".into(), "t3_abc".into()],
            owed: vec![Owed { id: "abc".into(), ..Owed::default() }],
            ..Cursor::default()
        };
        let observation = Observation {
            window: "new".into(),
            counts: Counts::default(),
            stream: Some(Stream { cursor, ..Stream::default() }),
            file: None,
            forgotten: None,
            quarantine: Some(1),
            at_ms: 1,
        };
        lake.append_record(OBSERVATIONS, "s", &serde_json::to_vec(&observation).unwrap()).unwrap();

        let mut traces = Traces::default();
        traces.post("reddit", "t3_abc");
        let locators = BTreeSet::from(["in/a".to_string()]);
        let erased = erase_records(&lake, folder.path(), &traces, &locators).unwrap();
        assert_eq!(erased, Erased { quarantine: 2, cursors: 2, requests: 1 });
        let read = |kind: &str| String::from_utf8(lake.read_record(kind, "s", 1).unwrap()).unwrap();
        let kept: Vec<Quarantined> =
            read(QUARANTINE).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let samples: Vec<&str> = kept.iter().map(|q| q.sample.as_str()).collect();
        assert_eq!(samples, ["", r#"{"id":"abcd""#, "", "cut off"], "as many lines as before");
        assert_eq!(read(REQUESTS), "{\"path\":\"/r/x/new\"}\n");
        let stream = serde_json::from_str::<Observation>(&read(OBSERVATIONS)).unwrap().stream.unwrap();
        assert_eq!(stream.cursor.newest, ["t3_abd"]);
        assert!(stream.cursor.owed.is_empty());
        let again = erase_records(&lake, folder.path(), &traces, &locators).unwrap();
        assert_eq!(again, Erased::default());
    }
}
