//! The verbs of an object store on a local disk: put, create if absent, list, get, delete.
//!
//! Paths are relative to the root, with forward slashes. Writing many objects shares its syncs:
//! few files are synced one by one, many with one `syncfs`. Everything blocks.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::error::LakeError;
use super::spool::{Body, Spool, TempFile, TempFolder};
use crate::crash;

/// Up to how many files or folders are synced one by one. A `syncfs` also writes what other
/// programs have left dirty on the same disk, so it must replace several syncs to pay.
const SYNC_SINGLY_UP_TO: usize = 16;
/// How many folders are remembered as durable before the memory is dropped.
const KNOWN_FOLDERS: usize = 50_000;

/// An object store on a local disk.
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
    temps: TempFolder,
    sync_singly_up_to: usize,
    /// Folders whose entry in their parent this process has synced. A folder found there may
    /// have been made by a process that was killed before it synced it.
    durable: Mutex<HashSet<PathBuf>>,
}

/// Folders that must be synced before what was placed in them counts as stored.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    folders: BTreeSet<PathBuf>,
    entries: Vec<PathBuf>,
}

impl LocalStore {
    /// The store at `root`. Touches nothing.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let temps = TempFolder::new(root.join("_tmp"));
        Self { root, temps, sync_singly_up_to: SYNC_SINGLY_UP_TO, durable: Mutex::default() }
    }

    #[cfg(test)]
    pub(super) fn sync_singly_up_to(&mut self, files: usize) {
        self.sync_singly_up_to = files;
    }

    /// The root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where temporary files of this store are made.
    pub fn temps(&self) -> &TempFolder {
        &self.temps
    }

    /// The absolute path of an object.
    pub fn full(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Names of the files in one folder, in no order. A folder that is not there is empty.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, LakeError> {
        self.entries(folder, false)
    }

    /// Names of the folders in one folder, in no order.
    pub fn list_folders(&self, folder: &str) -> Result<Vec<String>, LakeError> {
        self.entries(folder, true)
    }

    fn entries(&self, folder: &str, folders: bool) -> Result<Vec<String>, LakeError> {
        let full = self.full(folder);
        let fail = |e| LakeError::io("list", &full, 0, e);
        let entries = match fs::read_dir(&full) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(fail(e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(fail)?;
            // The type comes with the listing: no stat for each file.
            let kind = entry.file_type().map_err(fail)?;
            if (if folders { kind.is_dir() } else { kind.is_file() })
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The bytes of an object; `None` when it is not there.
    pub fn get(&self, path: &str) -> Result<Option<Vec<u8>>, LakeError> {
        let full = self.full(path);
        match fs::read(&full) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(LakeError::io("read", &full, 0, e)),
        }
    }

    /// Size in bytes and last change of an object; `None` when it is not there.
    pub fn head(&self, path: &str) -> Result<Option<(u64, SystemTime)>, LakeError> {
        let full = self.full(path);
        match fs::symlink_metadata(&full) {
            Ok(meta) => {
                let modified = meta.modified().map_err(|e| LakeError::io("stat", &full, 0, e))?;
                Ok(Some((meta.len(), modified)))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(LakeError::io("stat", &full, 0, e)),
        }
    }

    /// Whether an object is there.
    pub fn exists(&self, path: &str) -> Result<bool, LakeError> {
        Ok(self.head(path)?.is_some())
    }

    /// Puts objects, replacing those of the same path, and returns when they are durable.
    pub fn put(&self, objects: Vec<(String, Body)>) -> Result<(), LakeError> {
        let mut temps = Vec::with_capacity(objects.len());
        for (path, mut body) in objects {
            temps.push((self.write_temp(&mut body)?.0, path));
        }
        self.sync_temps(temps.iter().map(|(temp, _)| temp))?;
        let mut unsynced = Unsynced::default();
        for (temp, path) in temps {
            self.place(temp, &path, &mut unsynced)?;
        }
        self.sync_folders(unsynced)
    }

    /// Creates objects that must not be there yet, and returns when they are durable: `false`
    /// for one that was there already, which is left as it is.
    pub fn create(&self, objects: Vec<(String, Vec<u8>)>) -> Result<Vec<bool>, LakeError> {
        let mut temps = Vec::with_capacity(objects.len());
        for (path, bytes) in objects {
            temps.push((self.write_temp(&mut Body::from(bytes))?.0, path));
        }
        self.sync_temps(temps.iter().map(|(temp, _)| temp))?;
        let mut unsynced = Unsynced::default();
        let mut created = Vec::with_capacity(temps.len());
        for (temp, path) in temps {
            created.push(self.link(temp, &path, &mut unsynced)?);
        }
        self.sync_folders(unsynced)?;
        Ok(created)
    }

    /// Removes an object; `false` when it is not there.
    pub fn delete(&self, path: &str) -> Result<bool, LakeError> {
        let full = self.full(path);
        crash::point("delete");
        match fs::remove_file(&full) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(LakeError::io("delete", &full, 0, e)),
        }
    }

    // The steps that put and create are made of; a commit arranges them itself so that data
    // and manifests share syncs.

    /// Writes a body to a temporary file, not yet synced, and returns it with the first 128
    /// bits of the hash of its bytes (only for a body that is read from elsewhere).
    pub(super) fn write_temp(&self, body: &mut Body) -> Result<(TempFile, Option<[u8; 16]>), LakeError> {
        match std::mem::replace(body, Body::Used) {
            Body::Spool(Spool::File(temp)) if temp.path().parent() == Some(self.temps.path()) => {
                Ok((temp, None))
            }
            Body::Spool(Spool::File(temp)) => {
                let file = File::open(temp.path()).map_err(|e| LakeError::io("read", temp.path(), 0, e))?;
                Ok((self.copy_to_temp(file, temp.path())?.0, None))
            }
            Body::Spool(Spool::Memory(bytes)) => {
                let (mut temp, mut file) = self.temps.create()?;
                crash::point("write");
                file.write_all(&bytes)
                    .map_err(|e| LakeError::io("write", temp.path(), bytes.len() as u64, e))?;
                temp.set_bytes(bytes.len() as u64);
                Ok((temp, None))
            }
            Body::Reader(reader) => {
                let (temp, hash) = self.copy_to_temp(reader, Path::new("the spool"))?;
                Ok((temp, Some(hash)))
            }
            Body::Used => Err(LakeError::Io {
                action: "write",
                path: self.root.clone(),
                source: io::Error::other("the object's bytes were given away already"),
            }),
        }
    }

    fn copy_to_temp(&self, mut from: impl Read, name: &Path) -> Result<(TempFile, [u8; 16]), LakeError> {
        let (mut temp, mut file) = self.temps.create()?;
        crash::point("write");
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 256 << 10];
        let mut total = 0;
        loop {
            let n = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(LakeError::io("read", name, 0, e)),
            };
            total += n as u64;
            hasher.update(&buffer[..n]);
            file.write_all(&buffer[..n]).map_err(|e| LakeError::io("write", temp.path(), total, e))?;
        }
        temp.set_bytes(total);
        let mut hash = [0; 16];
        hash.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Ok((temp, hash))
    }

    /// Makes the bytes of temporary files durable.
    pub(super) fn sync_temps<'a>(
        &self,
        temps: impl ExactSizeIterator<Item = &'a TempFile>,
    ) -> Result<(), LakeError> {
        if temps.len() > self.sync_singly_up_to && self.sync_all()? {
            return Ok(());
        }
        for temp in temps {
            crash::point("sync file");
            File::open(temp.path())
                .and_then(|file| file.sync_all())
                .map_err(|e| LakeError::io("sync", temp.path(), temp.bytes(), e))?;
        }
        Ok(())
    }

    /// Moves a synced temporary file to its final name, replacing what is there.
    pub(super) fn place(
        &self,
        mut temp: TempFile,
        path: &str,
        unsynced: &mut Unsynced,
    ) -> Result<(), LakeError> {
        self.in_folder(path, unsynced, |full| {
            crash::point("rename");
            fs::rename(temp.path(), full)
        })?;
        temp.placed();
        Ok(())
    }

    /// Gives a synced temporary file its final name if that is free; `false` when it is taken.
    pub(super) fn link(
        &self,
        mut temp: TempFile,
        path: &str,
        unsynced: &mut Unsynced,
    ) -> Result<bool, LakeError> {
        let mut created = true;
        self.in_folder(path, unsynced, |full| {
            crash::point("link");
            match fs::hard_link(temp.path(), full) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    created = false;
                    Ok(())
                }
                other => other,
            }
        })?;
        crash::point("unlink");
        fs::remove_file(temp.path()).map_err(|e| LakeError::io("delete", temp.path(), 0, e))?;
        temp.placed();
        Ok(created)
    }

    /// The folder of an object that was found in place and will be relied upon: whoever put it
    /// there may have been killed before syncing the folder.
    pub(super) fn rely_on(&self, path: &str, unsynced: &mut Unsynced) -> Result<(), LakeError> {
        let full = self.full(path);
        self.make_folder(full.parent().unwrap_or(&self.root), unsynced)
    }

    /// Marks an object as just used, so that a collection running now leaves it alone.
    pub(super) fn touch(&self, path: &str) -> Result<(), LakeError> {
        let full = self.full(path);
        crash::point("touch");
        File::options()
            .append(true)
            .open(&full)
            .and_then(|file| file.set_modified(SystemTime::now()))
            .map_err(|e| LakeError::io("touch", &full, 0, e))
    }

    fn in_folder(
        &self,
        path: &str,
        unsynced: &mut Unsynced,
        mut act: impl FnMut(&Path) -> io::Result<()>,
    ) -> Result<(), LakeError> {
        let full = self.full(path);
        let folder = full.parent().unwrap_or(&self.root);
        // A collection may remove the empty folder between our making it and our using it.
        let mut tries = 0;
        loop {
            self.make_folder(folder, unsynced)?;
            match act(&full) {
                Ok(()) => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::NotFound && tries < 3 => tries += 1,
                Err(e) => return Err(LakeError::io("write", &full, 0, e)),
            }
        }
    }

    /// Makes a folder and notes what must be synced for its files to survive a power cut.
    fn make_folder(&self, folder: &Path, unsynced: &mut Unsynced) -> Result<(), LakeError> {
        if !unsynced.folders.insert(folder.to_path_buf()) && folder.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(folder).map_err(|e| LakeError::io("create folder", folder, 0, e))?;
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = folder;
        while at.starts_with(&self.root) && !durable.contains(at) {
            let Some(parent) = at.parent() else { break };
            unsynced.entries.push(at.to_path_buf());
            // An empty path is the current folder.
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            unsynced.folders.insert(parent.to_path_buf());
            if at == self.root {
                break;
            }
            at = parent;
        }
        Ok(())
    }

    /// Makes what was placed durable.
    pub(super) fn sync_folders(&self, unsynced: Unsynced) -> Result<(), LakeError> {
        if !(unsynced.folders.len() > self.sync_singly_up_to && self.sync_all()?) {
            for folder in &unsynced.folders {
                crash::point("sync folder");
                match File::open(folder).and_then(|file| file.sync_all()) {
                    Ok(()) => {}
                    // Only a folder of which a collection removed the last file can be gone.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(LakeError::io("sync folder", folder, 0, e)),
                }
            }
        }
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.len() > KNOWN_FOLDERS {
            durable.clear();
        }
        // Folders of a content (`v=…`) are new nearly every time: not worth remembering.
        let keep = |p: &PathBuf| !p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("v="));
        durable.extend(unsynced.entries.into_iter().filter(keep));
        Ok(())
    }

    /// Forgets that a folder is durable, after it was removed.
    pub(super) fn forget_folder(&self, folder: &Path) {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).remove(folder);
    }

    /// One sync of the whole file system; `false` where there is no such call.
    fn sync_all(&self) -> Result<bool, LakeError> {
        #[cfg(target_os = "linux")]
        {
            crash::point("sync file system");
            let root = File::open(&self.root).map_err(|e| LakeError::io("sync", &self.root, 0, e))?;
            rustix::fs::syncfs(&root).map_err(|e| LakeError::io("sync", &self.root, 0, e.into()))?;
            Ok(true)
        }
        #[cfg(not(target_os = "linux"))]
        Ok(false)
    }
}
