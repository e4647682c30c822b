//! Collection: removes what no reader can need any more.
//!
//! Only these are removed, and only when older than the retention: files that the current
//! manifest lists as superseded and does not name, files that no manifest names, manifests
//! below the last two of a partition, and temporary files of processes that died.
//!
//! A commit writes its data, or touches data that it finds in place, before a manifest names it.
//! So no file that changed in the last [`GRACE_MS`] goes, whatever the retention. A file to be
//! removed is first moved aside, then its last change and the manifests are looked at again: had
//! a commit touched or named it meanwhile, it moves back; a commit that comes later does not
//! find it and writes it anew. Blocks on the disk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::error::LakeError;
use super::manifest::{
    Manifest, Superseded, manifest_file, manifest_folder, parse_manifest_file, safe_data_path,
};
use super::root::{FolderKey, Lake, folder_key};
use crate::crash;
use crate::graph::{AssetKey, PartitionKey};

/// Manifests of a partition that always stay.
const MANIFESTS_KEPT: usize = 2;
/// A temporary file this old belongs to no living step, whatever the retention.
const TEMP_AGE_MS: i64 = 24 * 3600 * 1000;
/// A file that changed this recently may belong to a commit that has not named it yet: longer
/// than any commit takes from its data to its manifest.
const GRACE_MS: i64 = 15 * 60 * 1000;
/// Files moved aside before the manifests are looked at again.
const CHUNK: usize = 256;

/// What to collect.
#[derive(Clone, Debug, Default)]
pub struct GcOptions {
    /// Now, milliseconds since 1970 UTC.
    pub now_ms: i64,
    /// How long what is no longer current stays, milliseconds: longer than the longest query.
    pub retention_ms: i64,
    /// Partitions that a step is working on: nothing of theirs is touched.
    pub live: HashSet<(AssetKey, PartitionKey)>,
}

/// Why a file goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub enum Why {
    /// A newer version of its partition replaced it.
    Superseded,
    /// No manifest names it: a crash or a lost race left it.
    Unnamed,
    /// A manifest below the last two of its partition.
    OldManifest,
    /// A temporary file of a process that died.
    Temporary,
}

/// A file that goes.
#[derive(Clone, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Doomed {
    /// Relative to the lake's root.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Why.
    pub why: Why,
}

/// What a collection would remove.
#[derive(Debug, Default)]
pub struct GcPlan {
    /// Files, sorted by path.
    pub files: Vec<Doomed>,
    /// Partitions passed over because their manifest cannot be read; nothing of theirs goes.
    pub skipped: Vec<LakeError>,
}

/// What a collection removed.
#[derive(Debug, Default)]
pub struct GcReport {
    /// Files removed.
    pub removed: Vec<Doomed>,
    /// Files that were named again while the collection ran, and stay.
    pub kept: u64,
}

impl GcOptions {
    /// Whether a file that changed then may belong to a commit that has not named it yet.
    fn recent(&self, modified_ms: i64) -> bool {
        modified_ms > self.now_ms.saturating_sub(GRACE_MS)
    }
}

impl GcPlan {
    /// Bytes that the files hold.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl GcReport {
    /// Bytes that the removed files held.
    pub fn bytes(&self) -> u64 {
        self.removed.iter().map(|file| file.bytes).sum()
    }
}

/// What the manifests of one asset say about its data files.
#[derive(Default)]
struct Names {
    /// Files of current manifests.
    current: HashSet<String>,
    /// Files that current manifests list as superseded, with since when.
    superseded: HashMap<String, i64>,
    /// Folders (`asset/dt=…/`) of which nothing may go.
    untouchable: Vec<String>,
}

impl Lake {
    /// What [`Lake::gc`] would remove now. Removes nothing.
    pub fn gc_plan(&self, options: &GcOptions) -> Result<GcPlan, LakeError> {
        let mut plan = GcPlan::default();
        let cutoff = options.now_ms.saturating_sub(options.retention_ms);
        for (asset, keys) in self.manifest_folders()? {
            let mut names = Names::default();
            for key in &keys {
                self.plan_manifests(key, options, cutoff, &mut names, &mut plan)?;
            }
            self.plan_data(&asset, &names, options, &mut plan)?;
        }
        let temps = self.temps();
        let old = options.now_ms.saturating_sub(options.retention_ms.max(TEMP_AGE_MS));
        walk(temps.path(), "_tmp", &mut |path, bytes, modified_ms| {
            // What an earlier collection moved aside is settled when the next one runs.
            if modified_ms <= old && !path.starts_with("_tmp/gc/") {
                plan.files.push(Doomed { path, bytes, why: Why::Temporary });
            }
        })?;
        plan.files.sort();
        Ok(plan)
    }

    /// Removes what is not needed any more. Killed at any point, the next one goes on.
    pub fn gc(&self, options: &GcOptions) -> Result<(GcPlan, GcReport), LakeError> {
        let mut report = GcReport::default();
        self.settle_aside(&mut report)?;
        let plan = self.gc_plan(options)?;
        let mut data: BTreeMap<AssetKey, Vec<&Doomed>> = BTreeMap::new();
        for file in &plan.files {
            match file.why {
                Why::Superseded | Why::Unnamed => {
                    if let Some(asset) = asset_of(&file.path) {
                        data.entry(asset).or_default().push(file);
                    }
                }
                Why::OldManifest | Why::Temporary => {
                    if self.store.delete(&file.path)? {
                        report.removed.push(file.clone());
                    }
                }
            }
        }
        for (asset, files) in data {
            for chunk in files.chunks(CHUNK) {
                self.collect(&asset, chunk, options, &mut report)?;
            }
        }
        Ok((plan, report))
    }

    /// Assets that have manifests or data, each with its folders of manifests.
    fn manifest_folders(&self) -> Result<BTreeMap<AssetKey, Vec<FolderKey>>, LakeError> {
        let mut assets: BTreeMap<AssetKey, Vec<FolderKey>> = BTreeMap::new();
        let mut names = self.store.list_folders("_manifests")?;
        names.extend(self.store.list_folders("")?);
        for asset in names.iter().filter_map(|name| name.parse::<AssetKey>().ok()) {
            if assets.contains_key(&asset) {
                continue;
            }
            assets.insert(asset.clone(), self.keys_of(&asset)?);
        }
        Ok(assets)
    }

    fn keys_of(&self, asset: &AssetKey) -> Result<Vec<FolderKey>, LakeError> {
        let mut keys = vec![(asset.clone(), None)];
        for source in self.list_sources(asset)? {
            keys.push(folder_key(asset, Some(&source))?);
        }
        Ok(keys)
    }

    /// Every generation of every partition in one folder, ascending.
    fn generations(&self, key: &FolderKey) -> Result<BTreeMap<PartitionKey, Vec<NonZeroU32>>, LakeError> {
        let mut all: BTreeMap<PartitionKey, Vec<NonZeroU32>> = BTreeMap::new();
        for name in self.store.list(&manifest_folder(&key.0, key.1.as_ref()))? {
            if let Some((partition, generation)) = parse_manifest_file(&name) {
                all.entry(partition).or_default().push(generation);
            }
        }
        all.values_mut().for_each(|generations| generations.sort_unstable());
        Ok(all)
    }

    fn plan_manifests(
        &self,
        key: &FolderKey,
        options: &GcOptions,
        cutoff: i64,
        names: &mut Names,
        plan: &mut GcPlan,
    ) -> Result<(), LakeError> {
        let generations = self.generations(key)?;
        let current: Vec<(PartitionKey, NonZeroU32)> =
            generations.iter().filter_map(|(p, all)| Some((*p, *all.last()?))).collect();
        let manifests = self.read_manifests_of(key, &current);
        for ((partition, all), manifest) in generations.iter().zip(manifests) {
            let live = options.live.contains(&(key.0.clone(), *partition));
            match manifest {
                Ok(manifest) => note_names(names, manifest),
                Err(error) => {
                    names.untouchable.push(partition_folder(key, *partition));
                    plan.skipped.push(error);
                    continue;
                }
            }
            if live {
                names.untouchable.push(partition_folder(key, *partition));
                continue;
            }
            for old in &all[..all.len().saturating_sub(MANIFESTS_KEPT)] {
                let folder = manifest_folder(&key.0, key.1.as_ref());
                let path = format!("{folder}/{}", manifest_file(*partition, old.get()));
                if let Some((bytes, modified)) = self.store.head(&path)?
                    && millis(modified) <= cutoff
                {
                    plan.files.push(Doomed { path, bytes, why: Why::OldManifest });
                }
            }
        }
        // A step may be making the first version of a partition that has no manifest yet.
        for (asset, partition) in options.live.iter().filter(|(asset, _)| *asset == key.0) {
            names.untouchable.push(partition_folder(&(asset.clone(), key.1.clone()), *partition));
        }
        Ok(())
    }

    fn plan_data(
        &self,
        asset: &AssetKey,
        names: &Names,
        options: &GcOptions,
        plan: &mut GcPlan,
    ) -> Result<(), LakeError> {
        let cutoff = options.now_ms.saturating_sub(options.retention_ms);
        walk(&self.store.full(asset.as_str()), asset.as_str(), &mut |path, bytes, modified_ms| {
            if options.recent(modified_ms)
                || names.current.contains(&path)
                || names.untouchable.iter().any(|folder| path.starts_with(folder.as_str()))
                || !safe_data_path(asset, &path)
            {
                return;
            }
            match names.superseded.get(&path) {
                Some(at_ms) if *at_ms <= cutoff => {
                    plan.files.push(Doomed { path, bytes, why: Why::Superseded });
                }
                Some(_) => {}
                None if modified_ms <= cutoff => plan.files.push(Doomed { path, bytes, why: Why::Unnamed }),
                None => {}
            }
        })
    }

    /// Moves files aside, looks at the manifests again, and removes what is still not named.
    fn collect(
        &self,
        asset: &AssetKey,
        files: &[&Doomed],
        options: &GcOptions,
        report: &mut GcReport,
    ) -> Result<(), LakeError> {
        let mut aside = Vec::with_capacity(files.len());
        for file in files {
            let Some((_, modified)) = self.store.head(&file.path)? else { continue };
            if options.recent(millis(modified)) {
                report.kept += 1;
                continue;
            }
            let from = self.store.full(&file.path);
            let to = self.store.full(&aside_path(&file.path));
            let parent = to.parent().unwrap_or(self.root());
            fs::create_dir_all(parent).map_err(|e| LakeError::io("create folder", parent, 0, e))?;
            crash::point("move aside");
            match fs::rename(&from, &to) {
                Ok(()) => aside.push(*file),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(LakeError::io("move", &from, 0, e)),
            }
        }
        let named = self.named(asset)?;
        for file in aside {
            // A touch comes before the move and shows now, or after it and fails.
            let touched = match self.store.head(&aside_path(&file.path))? {
                Some((_, modified)) => options.recent(millis(modified)),
                None => continue,
            };
            let back = touched || named.as_ref().is_none_or(|named| named.contains(&file.path));
            self.settle(&file.path, back)?;
            if back {
                report.kept += 1;
            } else {
                report.removed.push(file.clone());
            }
        }
        Ok(())
    }

    /// The files that the asset's current manifests name; `None` when one cannot be read.
    fn named(&self, asset: &AssetKey) -> Result<Option<HashSet<String>>, LakeError> {
        let mut names = HashSet::new();
        for key in self.keys_of(asset)? {
            let current: Vec<(PartitionKey, NonZeroU32)> =
                self.generations(&key)?.iter().filter_map(|(p, all)| Some((*p, *all.last()?))).collect();
            for manifest in self.read_manifests_of(&key, &current) {
                let Ok(manifest) = manifest else { return Ok(None) };
                names.extend(manifest.files.into_iter().map(|file| file.path));
            }
        }
        Ok(Some(names))
    }

    /// Moves a file that was moved aside back, or removes it for good.
    fn settle(&self, path: &str, back: bool) -> Result<(), LakeError> {
        let from = self.store.full(&aside_path(path));
        let to = self.store.full(path);
        if back {
            let parent = to.parent().unwrap_or(self.root());
            fs::create_dir_all(parent).map_err(|e| LakeError::io("create folder", parent, 0, e))?;
            crash::point("move back");
            match fs::hard_link(&from, &to) {
                // A commit has written it again meanwhile.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(LakeError::io("move back", &to, 0, e)),
                Ok(()) => {
                    let sync = fs::File::open(parent).and_then(|folder| folder.sync_all());
                    sync.map_err(|e| LakeError::io("sync folder", parent, 0, e))?;
                }
            }
        }
        crash::point("delete");
        fs::remove_file(&from).map_err(|e| LakeError::io("delete", &from, 0, e))?;
        self.remove_empty(&from, &self.store.full("_tmp"));
        if !back {
            self.remove_empty(&to, self.root());
        }
        Ok(())
    }

    /// Files that a collection moved aside before it was killed.
    pub(super) fn settle_aside(&self, report: &mut GcReport) -> Result<(), LakeError> {
        let mut left: BTreeMap<AssetKey, Vec<Doomed>> = BTreeMap::new();
        walk(&self.store.full("_tmp/gc"), "", &mut |path, bytes, _| {
            let path = path.trim_start_matches('/').to_string();
            if let Some(asset) = asset_of(&path)
                && safe_data_path(&asset, &path)
            {
                left.entry(asset).or_default().push(Doomed { path, bytes, why: Why::Unnamed });
            }
        })?;
        for (asset, files) in left {
            let named = self.named(&asset)?;
            for file in files {
                // What cannot be known to be unnamed moves back, to be judged again.
                let back = named.as_ref().is_none_or(|named| named.contains(&file.path));
                self.settle(&file.path, back)?;
                if back {
                    report.kept += 1;
                } else {
                    report.removed.push(file);
                }
            }
        }
        Ok(())
    }

    /// Removes the folders above a file that are empty now, below `top`.
    pub(super) fn remove_empty(&self, file: &Path, top: &Path) {
        let mut at = file.parent();
        while let Some(folder) = at.filter(|folder| *folder != top && folder.starts_with(top)) {
            // Fails when something lies in it: then it stays.
            if fs::remove_dir(folder).is_err() {
                break;
            }
            self.store.forget_folder(folder);
            at = folder.parent();
        }
    }
}

fn note_names(names: &mut Names, manifest: Manifest) {
    names.current.extend(manifest.files.into_iter().map(|file| file.path));
    for Superseded { path, at_ms } in manifest.superseded {
        names.superseded.insert(path, at_ms);
    }
}

fn aside_path(path: &str) -> String {
    format!("_tmp/gc/{path}")
}

fn asset_of(path: &str) -> Option<AssetKey> {
    path.split('/').next()?.parse().ok()
}

/// The folder of a partition's data, with the slash that ends it.
pub(super) fn partition_folder(key: &FolderKey, partition: PartitionKey) -> String {
    let mut folder = format!("{}/", key.0);
    if let Some(source) = &key.1 {
        folder += &format!("src={source}/");
    }
    if let PartitionKey::Day(day) = partition {
        folder += &format!("dt={day}/");
    }
    folder
}

fn millis(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    }
}

/// Calls `each` with the path below `prefix`, size and last change of every file in a folder.
pub(super) fn walk(
    folder: &Path,
    prefix: &str,
    each: &mut dyn FnMut(String, u64, i64),
) -> Result<(), LakeError> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in walkdir::WalkDir::new(folder) {
        let fail = |e: walkdir::Error| {
            let path = e.path().unwrap_or(folder).to_path_buf();
            LakeError::io("list", &path, 0, e.into())
        };
        let entry = match entry {
            Ok(entry) => entry,
            // Others may be removing files while we look.
            Err(e) if e.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => continue,
            Err(e) => return Err(fail(e)),
        };
        if !entry.file_type().is_file() {
            continue;
        }
        let Ok(below) = entry.path().strip_prefix(folder) else { continue };
        let Some(below) = below.to_str() else { continue };
        let Ok(meta) = entry.metadata() else { continue };
        let modified = meta.modified().map_err(|e| LakeError::io("stat", entry.path(), 0, e))?;
        each(format!("{prefix}/{below}"), meta.len(), millis(modified));
    }
    Ok(())
}
