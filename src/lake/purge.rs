//! Purging: every version of a partition but the current one goes at once, whatever the retention.
//!
//! For what must not be there any more, not for tidying: a reader that still holds an older
//! version loses it under its hands, and a commit under way may have to be made again. Each
//! removal is one step of its own, so whoever is killed says the same again. Removed files and
//! their folders are synced. Blocks on the disk.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::ErrorKind;
use std::num::NonZeroU32;
use std::path::PathBuf;

use super::error::LakeError;
use super::gc::{GcReport, partition_folder, walk};
use super::manifest::{manifest_file, manifest_folder, parse_manifest_file};
use super::root::{FolderKey, Lake, folder_key};
use crate::graph::{AssetKey, PartitionKey};

/// What a purge removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Purged {
    /// Files of data, manifests and temporary files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

impl Purged {
    /// Both together.
    pub fn add(&mut self, more: Purged) {
        self.files += more.files;
        self.bytes += more.bytes;
    }
}

impl Lake {
    /// The assets that have manifests or data, declared or not, sorted.
    ///
    /// # Errors
    /// When the lake cannot be listed.
    pub fn list_assets(&self) -> Result<Vec<AssetKey>, LakeError> {
        let mut names = self.store.list_folders("_manifests")?;
        names.extend(self.store.list_folders("")?);
        let assets: BTreeSet<AssetKey> = names.iter().filter_map(|name| name.parse().ok()).collect();
        Ok(assets.into_iter().collect())
    }

    /// Every object of a bronze source that lies in the lake, current or not, by partition: the
    /// absolute paths, sorted.
    ///
    /// # Errors
    /// When the lake cannot be listed.
    pub fn bronze_objects(
        &self,
        asset: &AssetKey,
        source: &str,
    ) -> Result<Vec<(PartitionKey, Vec<PathBuf>)>, LakeError> {
        let key = folder_key(asset, Some(source))?;
        let mut out = Vec::new();
        for name in
            self.store.list_folders(partition_folder(&key, PartitionKey::Whole).trim_end_matches('/'))?
        {
            let Some(Ok(partition)) = name.strip_prefix("dt=").map(str::parse::<PartitionKey>) else {
                continue;
            };
            let mut paths: Vec<PathBuf> = self
                .data_files(&key, partition)?
                .into_iter()
                .map(|(path, _)| self.store.full(&path))
                .collect();
            paths.sort_unstable();
            out.push((partition, paths));
        }
        out.sort_unstable();
        Ok(out)
    }

    /// Removes every file and manifest of some partitions that is not current. Without a manifest
    /// nothing of a partition is current.
    ///
    /// # Errors
    /// When a current manifest cannot be read (nothing of its partition goes), or the disk refuses.
    pub fn purge(
        &self,
        asset: &AssetKey,
        source: Option<&str>,
        partitions: &[PartitionKey],
    ) -> Result<Purged, LakeError> {
        self.remove(&folder_key(asset, source)?, partitions, true)
    }

    /// Removes some partitions whole: the current version too, so that they count as never made.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn drop_partitions(
        &self,
        asset: &AssetKey,
        source: Option<&str>,
        partitions: &[PartitionKey],
    ) -> Result<Purged, LakeError> {
        self.remove(&folder_key(asset, source)?, partitions, false)
    }

    /// Removes what processes that are gone left half written, and settles what a collection that
    /// was killed moved aside.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn purge_temporary(&self) -> Result<Purged, LakeError> {
        let mut report = GcReport::default();
        self.settle_aside(&mut report)?;
        let mut out = Purged { files: report.removed.len() as u64, bytes: report.bytes() };
        for name in self.store.list("_tmp")? {
            // Temporary files are named by the process that makes them.
            let pid = name.split('-').next().and_then(|pid| u32::from_str_radix(pid, 16).ok());
            if pid.is_none_or(|pid| !crate::scratch::is_running(pid)) {
                self.take(&format!("_tmp/{name}"), &mut out)?;
            }
        }
        Ok(out)
    }

    fn remove(&self, key: &FolderKey, partitions: &[PartitionKey], keep: bool) -> Result<Purged, LakeError> {
        let wanted: HashSet<PartitionKey> = partitions.iter().copied().collect();
        let manifests = manifest_folder(&key.0, key.1.as_ref());
        let mut listed: Vec<(PartitionKey, NonZeroU32)> = self
            .store
            .list(&manifests)?
            .iter()
            .filter_map(|name| parse_manifest_file(name))
            .filter(|(partition, _)| wanted.contains(partition))
            .collect();
        listed.sort_unstable();
        let mut out = Purged::default();
        let mut folders = BTreeSet::new();
        for &partition in &wanted {
            let all: Vec<NonZeroU32> =
                listed.iter().filter(|(p, _)| *p == partition).map(|(_, generation)| *generation).collect();
            let (old, current) = match all.split_last() {
                Some((last, old)) if keep => (old, Some(self.read_manifest_of(key, partition, *last)?)),
                _ => (all.as_slice(), None),
            };
            let named: HashSet<&str> =
                current.iter().flat_map(|m| m.files.iter().map(|file| file.path.as_str())).collect();
            // Manifests first: what they name may go only when nobody is sent there any more.
            for generation in old {
                let path = format!("{manifests}/{}", manifest_file(partition, generation.get()));
                self.take(&path, &mut out)?;
                folders.insert(manifests.clone());
            }
            for (path, _) in self.data_files(key, partition)? {
                if !named.contains(path.as_str()) {
                    self.take(&path, &mut out)?;
                    let full = self.store.full(&path);
                    self.remove_empty(&full, self.root());
                    folders.extend(path.rsplit_once('/').map(|(folder, _)| folder.to_string()));
                }
            }
        }
        if !keep {
            self.folders.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(key);
        }
        for folder in folders {
            self.sync_nearest(&folder)?;
        }
        Ok(out)
    }

    /// The files of a partition's data folder with their sizes. Other partitions, which may lie
    /// below the folder of one that is not cut into days, are not among them.
    fn data_files(&self, key: &FolderKey, partition: PartitionKey) -> Result<Vec<(String, u64)>, LakeError> {
        let place = partition_folder(key, partition);
        let place = place.trim_end_matches('/');
        let mut out = Vec::new();
        for name in self.store.list(place)? {
            let path = format!("{place}/{name}");
            let bytes = self.store.head(&path)?.map_or(0, |(bytes, _)| bytes);
            out.push((path, bytes));
        }
        for name in self.store.list_folders(place)? {
            if !name.starts_with("dt=") && !name.starts_with("src=") {
                let folder = format!("{place}/{name}");
                walk(&self.store.full(&folder), &folder, &mut |path, bytes, _| out.push((path, bytes)))?;
            }
        }
        Ok(out)
    }

    fn take(&self, path: &str, out: &mut Purged) -> Result<(), LakeError> {
        let bytes = self.store.head(path)?.map_or(0, |(bytes, _)| bytes);
        if self.store.delete(path)? {
            out.add(Purged { files: 1, bytes });
        }
        Ok(())
    }

    /// Makes a removal durable: syncs the folder, or the nearest one above that is still there.
    fn sync_nearest(&self, folder: &str) -> Result<(), LakeError> {
        let mut at = self.store.full(folder);
        loop {
            match File::open(&at).and_then(|folder| folder.sync_all()) {
                Ok(()) => return Ok(()),
                Err(e) if e.kind() == ErrorKind::NotFound && at != self.root() && at.pop() => {}
                Err(e) => return Err(LakeError::io("sync folder", &at, 0, e)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bronze, current, data_files, day, key, lake, publish, table};
    use super::*;
    use crate::lake::NewObject;

    #[test]
    fn only_what_is_current_stays() {
        let (_folder, lake) = lake();
        let (one, two) = (day("2026-08-01"), day("2026-08-02"));
        for values in [[1], [2], [3]] {
            publish(&lake, table(&lake, "silver_posts", one, &values));
            publish(&lake, table(&lake, "silver_posts", two, &values));
            publish(&lake, table(&lake, "issue_types", PartitionKey::Whole, &values));
        }
        // What a crash left, named by nobody.
        let stray = lake.root().join("silver_posts/dt=2026-08-01/v=0/part-0.parquet");
        std::fs::create_dir_all(stray.parent().unwrap()).unwrap();
        std::fs::write(&stray, "half").unwrap();
        let kept = current(&lake);
        let purged = lake.purge(&key("silver_posts"), None, &[one]).unwrap();
        assert_eq!(purged.files, 2 + 2 + 1, "two versions, two manifests, the stray");
        lake.purge(&key("issue_types"), None, &[PartitionKey::Whole]).unwrap();
        assert_eq!(current(&lake), kept);
        let left = data_files(&lake);
        assert_eq!(left.keys().filter(|p| p.contains("2026-08-01")).count(), 1, "{left:?}");
        assert_eq!(left.keys().filter(|p| p.contains("2026-08-02")).count(), 3, "another day is not touched");
        assert_eq!(left.keys().filter(|p| p.contains("issue_types")).count(), 1);
        assert_eq!(lake.purge(&key("silver_posts"), None, &[one]).unwrap(), Purged::default());
        // The next version is above the one that stayed.
        assert_eq!(publish(&lake, table(&lake, "silver_posts", one, &[4])).generation.get(), 4);
    }

    #[test]
    fn bronze_is_found_and_purged_by_source() {
        let (_folder, lake) = lake();
        let one = day("2026-08-01");
        let object = |text: &str| NewObject::of_bytes(text.as_bytes().to_vec(), 1);
        let first = publish(&lake, bronze("inbox", one, vec![object("old")], Vec::new()));
        publish(&lake, bronze("other", one, vec![object("other")], Vec::new()));
        let drop = first.files.iter().map(|f| f.path.clone()).collect();
        publish(&lake, bronze("inbox", one, vec![object("new")], drop));
        let objects = lake.bronze_objects(&key("raw_posts"), "inbox").unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].1.len(), 2, "also the one that is not current");
        assert_eq!(lake.purge(&key("raw_posts"), Some("inbox"), &[one]).unwrap().files, 2);
        let left: Vec<Vec<u8>> = data_files(&lake).into_values().collect();
        assert_eq!(left.len(), 2);
        assert!(!left.contains(&b"old".to_vec()));
        assert_eq!(lake.list_assets().unwrap(), [key("raw_posts")]);
    }

    #[test]
    fn a_damaged_manifest_keeps_everything_and_a_dropped_partition_nothing() {
        let (_folder, lake) = lake();
        let one = day("2026-08-01");
        publish(&lake, table(&lake, "silver_posts", one, &[1]));
        publish(&lake, table(&lake, "silver_posts", one, &[2]));
        std::fs::write(lake.root().join("_manifests/silver_posts/2026-08-01.0000000002.json"), "{").unwrap();
        assert!(matches!(lake.purge(&key("silver_posts"), None, &[one]), Err(LakeError::Corrupt { .. })));
        assert_eq!(data_files(&lake).len(), 2);
        assert_eq!(lake.drop_partitions(&key("silver_posts"), None, &[one]).unwrap().files, 4);
        assert!(data_files(&lake).is_empty());
        assert!(lake.list_manifests(&key("silver_posts"), None).unwrap().is_empty());
    }

    #[test]
    fn temporary_files_of_processes_that_are_gone_go() {
        let (_folder, lake) = lake();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = lake.root().join(format!("_tmp/{:x}-1-1", child.id()));
        child.wait().unwrap();
        let alive = lake.root().join(format!("_tmp/{:x}-1-1", std::process::id()));
        std::fs::create_dir_all(dead.parent().unwrap()).unwrap();
        std::fs::write(&dead, "half").unwrap();
        std::fs::write(&alive, "half").unwrap();
        assert_eq!(lake.purge_temporary().unwrap(), Purged { files: 1, bytes: 4 });
        assert!(!dead.exists() && alive.exists());
    }

    #[test]
    fn a_record_is_replaced_under_its_number() {
        let (_folder, lake) = lake();
        assert_eq!(lake.append_record("quarantine", "inbox", b"one").unwrap(), 1);
        assert_eq!(lake.append_record("quarantine", "inbox", b"two").unwrap(), 2);
        lake.replace_record("quarantine", "inbox", 1, b"").unwrap();
        assert_eq!(lake.read_record("quarantine", "inbox", 1).unwrap(), b"");
        assert_eq!(lake.read_record("quarantine", "inbox", 2).unwrap(), b"two");
        assert_eq!(lake.append_record("quarantine", "inbox", b"three").unwrap(), 3);
    }
}
