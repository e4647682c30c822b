//! Publishes partitions: data, sync, manifests, sync.
//!
//! Many partitions share the syncs: the bytes of all data files and manifests are written to
//! temporary files and synced, then the data gets its final names, synced, and only then the
//! manifests are linked to numbers that nobody has taken. Killed at any point, a partition is
//! either as it was or published whole. Blocks on the disk.

use std::collections::{BTreeMap, HashSet};
use std::io::{ErrorKind, Read};
use std::num::NonZeroU32;

use super::error::{CommitError, LakeError};
use super::manifest::{
    FORMAT, FileEntry, InputVersion, Manifest, Superseded, bronze_version, manifest_file, manifest_folder,
    partition_name,
};
use super::root::{FolderKey, Lake, folder_key};
use super::spool::{Body, TempFile};
use super::store::Unsynced;
use super::writer::Staged;
use crate::event::{CheckResult, StepStats};
use crate::graph::{AssetKey, CodeVersion, DataVersion, Fingerprint, Outcome, PartitionKey};

/// One partition to publish.
#[derive(Debug)]
pub struct Commit {
    /// What it holds.
    pub content: Content,
    /// What its manifest will say.
    pub manifest: ManifestDraft,
}

/// What a partition holds from now on.
#[derive(Debug)]
pub enum Content {
    /// A table's partition, replaced whole.
    Table(Staged),
    /// Bronze of one source and day: what is there stays, objects join.
    Bronze {
        /// Objects to add; one that is there already is not added again.
        add: Vec<NewObject>,
        /// Paths of objects to let go (tombstones, retention, compaction).
        drop: Vec<String>,
    },
}

/// A bronze object to add: zstd-compressed lines.
#[derive(Debug)]
pub struct NewObject {
    /// The first 128 bits of the BLAKE3 hash of its bytes, which name it.
    pub hash: [u8; 16],
    /// Size in bytes.
    pub bytes: u64,
    /// Lines.
    pub rows: u64,
    /// The bytes. Read only when the lake does not hold the object yet.
    pub body: Body,
    /// What was read: a file's path; any text.
    pub locator: Option<String>,
    /// The reading it came from; any text.
    pub capture: Option<String>,
}

/// What a manifest will say, as far as the lake does not find out itself.
#[derive(Clone, Debug)]
pub struct ManifestDraft {
    /// The asset.
    pub asset: AssetKey,
    /// For bronze: the source.
    pub source: Option<String>,
    /// The partition.
    pub partition: PartitionKey,
    /// The ledger's number of the partition (0 for none): the new one is above it, even when
    /// the manifest itself was deleted.
    pub floor: u32,
    /// The number that was current when the work began (0 for none). When a higher one is there
    /// by now, someone else published meanwhile and this commit is lost. `None` publishes on top
    /// of whatever is there.
    pub based_on: Option<u32>,
    /// What the asset's body said.
    pub code: CodeVersion,
    /// What it was made from, as one hash.
    pub fingerprint: Fingerprint,
    /// What it was made from, one by one.
    pub inputs: Vec<InputVersion>,
    /// What its checks found.
    pub checks: Vec<CheckResult>,
    /// Whether it holds all it was meant to.
    pub outcome: Outcome,
    /// For bronze: how much of the day the source has seen.
    pub coverage: Option<serde_json::Value>,
    /// Numbers of the step. Rows, bytes, number, version and whether it changed are filled in.
    pub stats: StepStats,
    /// Now, milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// The run.
    pub run: Option<i64>,
}

impl ManifestDraft {
    /// What a manifest says already, for content that takes the place of its own.
    pub fn again(manifest: Manifest, now_ms: i64) -> Self {
        let generation = manifest.generation.get();
        Self {
            asset: manifest.asset,
            source: manifest.source,
            partition: manifest.partition,
            floor: generation,
            based_on: Some(generation),
            code: manifest.code,
            fingerprint: manifest.fingerprint,
            inputs: manifest.inputs,
            checks: manifest.checks,
            outcome: manifest.outcome,
            coverage: manifest.coverage,
            stats: StepStats { rows_out: None, ..manifest.stats },
            created_ms: now_ms,
            run: manifest.run,
        }
    }
}

/// A published partition.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its number.
    pub generation: NonZeroU32,
    /// Its manifest.
    pub manifest: Manifest,
}

/// One data object of a commit and where it will lie.
struct Object {
    path: String,
    bytes: u64,
    /// Set when the bytes must have it: what is read from elsewhere is not trusted.
    hash: Option<[u8; 16]>,
    body: Body,
    /// It was there already and its bytes are still at hand.
    reused: bool,
}

/// One partition on its way.
struct Pending {
    /// Its place in the caller's list.
    at: usize,
    key: FolderKey,
    path: String,
    manifest: Manifest,
    objects: Vec<Object>,
    temp: Option<TempFile>,
}

type Outcomes = Vec<Option<Result<Committed, CommitError>>>;

impl Lake {
    /// Publishes partitions of any assets, and answers for each in order. When the whole batch
    /// fails (a full disk, no permission), nothing is published, unless it was the very last sync
    /// that failed: then what is visible is whole, and the next listing adopts it. A partition
    /// that someone else published meanwhile is lost: nothing that is current changes for it.
    pub fn commit(&self, commits: Vec<Commit>) -> Result<Vec<Result<Committed, CommitError>>, LakeError> {
        let mut outcomes: Outcomes = Vec::new();
        outcomes.resize_with(commits.len(), || None);
        let mut pending = self.prepare(commits, &mut outcomes)?;

        let mut data = Vec::new();
        let mut unsynced = Unsynced::default();
        for p in &mut pending {
            for object in &mut p.objects {
                if let Some(temp) = self.stage(object, &mut unsynced)? {
                    data.push((temp, object.path.clone()));
                }
            }
            let mut text = serde_json::to_vec(&p.manifest).map_err(|e| LakeError::Corrupt {
                path: self.store.full(&p.path),
                why: format!("it cannot be written: {e}"),
            })?;
            text.push(b'\n');
            p.temp = Some(self.store.write_temp(&mut Body::from(text))?.0);
        }
        let temps: Vec<&TempFile> =
            data.iter().map(|(temp, _)| temp).chain(pending.iter().filter_map(|p| p.temp.as_ref())).collect();
        self.store.sync_temps(temps.into_iter())?;
        for (temp, path) in data {
            self.store.place(temp, &path, &mut unsynced)?;
        }
        self.store.sync_folders(unsynced)?;

        // From here on partitions become visible one by one, so they also fail one by one.
        let mut unsynced = Unsynced::default();
        pending.retain_mut(|p| {
            let Some(temp) = p.temp.take() else { return false };
            // A process that was frozen for longer than a collection waits may have lost its
            // data; nothing may name it then.
            if let Err(error) = self.still_there(p) {
                outcomes[p.at] = Some(Err(error.into()));
                return false;
            }
            match self.store.link(temp, &p.path, &mut unsynced) {
                Ok(true) => true,
                Ok(false) => {
                    outcomes[p.at] = Some(Err(lost(&p.manifest, p.manifest.generation)));
                    false
                }
                Err(error) => {
                    outcomes[p.at] = Some(Err(error.into()));
                    false
                }
            }
        });
        self.store.sync_folders(unsynced)?;
        self.confirm(pending, &mut outcomes)?;

        // Every place was answered above; an unanswered one would be a mistake in this file.
        Ok(outcomes
            .into_iter()
            .map(|o| {
                o.unwrap_or_else(|| {
                    Err(CommitError::Lake(LakeError::Io {
                        action: "publish in",
                        path: self.root().to_path_buf(),
                        source: std::io::Error::other("the partition was passed over"),
                    }))
                })
            })
            .collect())
    }

    /// Finds the number, the files and the manifest of every partition. Writes nothing.
    fn prepare(&self, commits: Vec<Commit>, outcomes: &mut Outcomes) -> Result<Vec<Pending>, LakeError> {
        let mut groups: BTreeMap<FolderKey, Vec<(usize, Commit)>> = BTreeMap::new();
        for (at, commit) in commits.into_iter().enumerate() {
            let key = folder_key(&commit.manifest.asset, commit.manifest.source.as_deref())?;
            groups.entry(key).or_default().push((at, commit));
        }
        let mut pending = Vec::with_capacity(outcomes.len());
        for (key, group) in groups {
            let partitions: Vec<PartitionKey> = group.iter().map(|(_, c)| c.manifest.partition).collect();
            let highest = self.highest(&key, &partitions)?;
            let named = |(p, h): (&PartitionKey, &u32)| NonZeroU32::new(*h).map(|h| (*p, h));
            let wanted: Vec<_> = partitions.iter().zip(&highest).filter_map(named).collect();
            let mut read = self.read_manifests_of(&key, &wanted).into_iter();
            for ((at, commit), highest) in group.into_iter().zip(highest) {
                let previous = if highest > 0 { read.next() } else { None };
                match self.pending(at, &key, commit, highest, previous) {
                    Ok(p) => pending.push(p),
                    Err(error) => outcomes[at] = Some(Err(error)),
                }
            }
        }
        pending.sort_by_key(|p| p.at);
        Ok(pending)
    }

    fn pending(
        &self,
        at: usize,
        key: &FolderKey,
        commit: Commit,
        highest: u32,
        previous: Option<Result<Manifest, LakeError>>,
    ) -> Result<Pending, CommitError> {
        let Commit { content, manifest: draft } = commit;
        let folder = manifest_folder(&key.0, key.1.as_ref());
        let name = partition_name(&draft.asset, draft.partition);
        if let (Some(based_on), Some(highest)) = (draft.based_on, NonZeroU32::new(highest))
            && highest.get() > based_on
        {
            return Err(CommitError::Lost { name, generation: highest });
        }
        let generation =
            highest.max(draft.floor).checked_add(1).and_then(NonZeroU32::new).ok_or_else(|| {
                let path = self.store.full(&format!("{folder}/{}", manifest_file(draft.partition, highest)));
                LakeError::Corrupt { path, why: "no number is left above it: delete it".into() }
            })?;
        let previous = match previous {
            None => None,
            Some(Ok(manifest)) => Some(manifest),
            // A table's partition is replaced whole, so a damaged predecessor does not matter;
            // the files it named are collected as unnamed. Bronze builds on it.
            Some(Err(LakeError::Corrupt { .. })) if matches!(content, Content::Table(_)) => None,
            Some(Err(LakeError::Io { source, .. }))
                if matches!(content, Content::Table(_)) && source.kind() == ErrorKind::NotFound =>
            {
                None
            }
            Some(Err(error)) => return Err(error.into()),
        };

        let place = data_folder(key, draft.partition);
        let mut objects = Vec::new();
        let mut files = Vec::new();
        let (data, columns) = match content {
            Content::Table(staged) => {
                let columns = staged.columns();
                if let Some((spool, hash)) = staged.file {
                    let path = format!("{place}/v={}/part-0.parquet", DataVersion(hash));
                    files.push(FileEntry {
                        path: path.clone(),
                        bytes: staged.bytes,
                        rows: staged.rows,
                        locator: None,
                        capture: None,
                    });
                    let body = Body::Spool(spool);
                    objects.push(Object { path, bytes: staged.bytes, hash: None, body, reused: false });
                }
                (staged.data, columns)
            }
            Content::Bronze { add, drop } => {
                let drop: HashSet<String> = drop.into_iter().collect();
                files.extend(previous.iter().flat_map(|m| m.files.iter().cloned()));
                files.retain(|file| !drop.contains(&file.path));
                let mut known: HashSet<String> = files.iter().map(|file| file.path.clone()).collect();
                for object in add {
                    let path = format!("{place}/c={}.ndjson.zst", DataVersion(object.hash));
                    if known.insert(path.clone()) {
                        files.push(FileEntry {
                            path: path.clone(),
                            bytes: object.bytes,
                            rows: object.rows,
                            locator: object.locator,
                            capture: object.capture,
                        });
                        objects.push(Object {
                            path,
                            bytes: object.bytes,
                            hash: Some(object.hash),
                            body: object.body,
                            reused: false,
                        });
                    }
                }
                // Readers take objects in the order of their names, whoever added them first.
                files.sort_by(|a, b| a.path.cmp(&b.path));
                (bronze_version(files.iter().map(|file| file.path.as_str())), Vec::new())
            }
        };
        let rows = files.iter().map(|file| file.rows).sum();
        let bytes = files.iter().map(|file| file.bytes).sum();
        let superseded = self.superseded(previous.as_ref(), &files, draft.created_ms)?;
        let mut stats = draft.stats;
        stats.rows_out.get_or_insert(rows);
        stats.bytes = Some(bytes);
        stats.generation = Some(generation.get());
        stats.data_version = Some(data);
        stats.unchanged = previous.as_ref().map(|m| m.data == data);
        let manifest = Manifest {
            format: FORMAT,
            asset: draft.asset,
            source: draft.source,
            partition: draft.partition,
            generation,
            code: draft.code,
            fingerprint: draft.fingerprint,
            inputs: draft.inputs,
            data,
            rows,
            bytes,
            files,
            schema: columns,
            checks: draft.checks,
            outcome: draft.outcome,
            coverage: draft.coverage,
            stats,
            created_ms: draft.created_ms,
            run: draft.run,
            superseded,
        };
        let path = format!("{folder}/{}", manifest_file(draft.partition, generation.get()));
        Ok(Pending { at, key: key.clone(), path, manifest, objects, temp: None })
    }

    /// What the previous manifest superseded and is still there, and what it named and the new
    /// one does not.
    fn superseded(
        &self,
        previous: Option<&Manifest>,
        files: &[FileEntry],
        now_ms: i64,
    ) -> Result<Vec<Superseded>, LakeError> {
        let Some(previous) = previous else { return Ok(Vec::new()) };
        let named: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let mut superseded = Vec::new();
        for old in &previous.superseded {
            if !named.contains(old.path.as_str()) && self.store.exists(&old.path)? {
                superseded.push(old.clone());
            }
        }
        for old in previous.files.iter().filter(|file| !named.contains(file.path.as_str())) {
            superseded.push(Superseded { path: old.path.clone(), at_ms: now_ms });
        }
        Ok(superseded)
    }

    /// Writes an object's bytes to a temporary file, unless the lake holds them already.
    fn stage(&self, object: &mut Object, unsynced: &mut Unsynced) -> Result<Option<TempFile>, LakeError> {
        if let Some((bytes, _)) = self.store.head(&object.path)?
            && bytes == object.bytes
            && self.store.touch(&object.path).is_ok()
        {
            self.store.rely_on(&object.path, unsynced)?;
            object.reused = true;
            return Ok(None);
        }
        Ok(Some(self.write_object(object)?))
    }

    /// Fails when data that this commit wrote is gone. What it found in place can be written
    /// again and is looked at later.
    fn still_there(&self, pending: &Pending) -> Result<(), LakeError> {
        for object in pending.objects.iter().filter(|object| !object.reused) {
            if !self.store.exists(&object.path)? {
                let path = self.store.full(&object.path);
                return Err(LakeError::Io { action: "publish", path, source: ErrorKind::NotFound.into() });
            }
        }
        Ok(())
    }

    fn write_object(&self, object: &mut Object) -> Result<TempFile, LakeError> {
        let (temp, hash) = self.store.write_temp(&mut object.body)?;
        if temp.bytes() != object.bytes || (hash.is_some() && hash != object.hash) {
            return Err(LakeError::Corrupt {
                path: self.store.full(&object.path),
                why: "the bytes to be stored are not those its name was made from; the spool was changed"
                    .into(),
            });
        }
        Ok(temp)
    }

    /// Looks again after the manifests are there: each must be the highest of its partition,
    /// and an object that was found in place must still be there.
    fn confirm(&self, pending: Vec<Pending>, outcomes: &mut Outcomes) -> Result<(), LakeError> {
        // A collection may have taken an old object between our finding it and our naming it;
        // once it is named, none does.
        let mut unsynced = Unsynced::default();
        let mut again = Vec::new();
        let mut groups: BTreeMap<FolderKey, Vec<Pending>> = BTreeMap::new();
        for mut p in pending {
            for object in p.objects.iter_mut().filter(|o| o.reused) {
                if !self.store.exists(&object.path)? {
                    again.push((self.write_object(object)?, object.path.clone()));
                }
            }
            groups.entry(p.key.clone()).or_default().push(p);
        }
        self.store.sync_temps(again.iter().map(|(temp, _)| temp))?;
        for (temp, path) in again {
            self.store.place(temp, &path, &mut unsynced)?;
        }
        self.store.sync_folders(unsynced)?;

        for (key, group) in groups {
            let created: Vec<(PartitionKey, u32)> =
                group.iter().map(|p| (p.manifest.partition, p.manifest.generation.get())).collect();
            self.note_created(&key, &created);
            let partitions: Vec<PartitionKey> = created.iter().map(|(p, _)| *p).collect();
            let highest = self.highest(&key, &partitions)?;
            for (p, highest) in group.into_iter().zip(highest) {
                let generation = p.manifest.generation;
                outcomes[p.at] = Some(match NonZeroU32::new(highest) {
                    Some(highest) if highest > generation => Err(lost(&p.manifest, highest)),
                    _ => Ok(Committed { generation, manifest: p.manifest }),
                });
            }
        }
        Ok(())
    }
}

fn lost(manifest: &Manifest, generation: NonZeroU32) -> CommitError {
    CommitError::Lost { name: manifest.name(), generation }
}

/// Where the data of a partition lies.
fn data_folder(key: &FolderKey, partition: PartitionKey) -> String {
    let mut folder = key.0.to_string();
    if let Some(source) = &key.1 {
        folder += &format!("/src={source}");
    }
    if let PartitionKey::Day(day) = partition {
        folder += &format!("/dt={day}");
    }
    folder
}

impl NewObject {
    /// An object in memory, named by its bytes.
    pub fn of_bytes(bytes: Vec<u8>, rows: u64) -> Self {
        let DataVersion(hash) = DataVersion::of(&bytes);
        Self { hash, bytes: bytes.len() as u64, rows, body: bytes.into(), locator: None, capture: None }
    }

    /// An object whose bytes are read when they are needed.
    pub fn of_reader(hash: [u8; 16], bytes: u64, rows: u64, reader: Box<dyn Read + Send>) -> Self {
        Self { hash, bytes, rows, body: Body::Reader(reader), locator: None, capture: None }
    }
}
