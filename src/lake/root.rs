//! Opening a lake, and reading what its manifests say. Blocks on the disk.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::LakeError;
use super::manifest::{
    FORMAT, FileEntry, Listed, Manifest, manifest_file, manifest_folder, parse_manifest_file, safe_data_path,
};
use super::spool::TempFolder;
use super::store::LocalStore;
use super::writer::WriterOptions;
use crate::graph::{AssetKey, PartitionKey};

const ROOT_FILE: &str = "_lake.json";
/// How long a listing is trusted to have seen every number but the next ones. Manifests are
/// only removed when they are much older than this.
const LISTING_AGE: Duration = Duration::from_secs(5);
/// Manifests that one thread reads before another is worth its start.
const READS_A_THREAD: usize = 64;

/// A lake on a local disk.
#[derive(Debug)]
pub struct Lake {
    pub(super) store: LocalStore,
    id: String,
    timezone: String,
    pub(super) folders: Mutex<HashMap<FolderKey, Folder>>,
}

/// A folder of manifests: an asset and, for bronze, a source.
pub(super) type FolderKey = (AssetKey, Option<AssetKey>);

/// What was last seen of a folder of manifests.
#[derive(Debug)]
pub(super) struct Folder {
    listed: Instant,
    /// The highest number of each partition, and how many manifests it has.
    pub(super) highest: HashMap<PartitionKey, (u32, u32)>,
    files: usize,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct RootFile {
    id: String,
    timezone: String,
    format: u32,
}

impl Lake {
    /// Opens the lake at `root`, and makes it when it is not there. Fails for a lake with days
    /// of another time zone or of a newer format, saying what to do.
    pub fn open(root: &Path, timezone: &str) -> Result<Lake, LakeError> {
        let store = LocalStore::new(root);
        if let Some(lake) = Self::existing(root, timezone)? {
            return Ok(lake);
        }
        std::fs::create_dir_all(root).map_err(|e| LakeError::io("create folder", root, 0, e))?;
        let file = RootFile { id: new_id(), timezone: timezone.to_string(), format: FORMAT };
        let mut text = serde_json::to_vec_pretty(&file)
            .map_err(|e| LakeError::Corrupt { path: store.full(ROOT_FILE), why: e.to_string() })?;
        text.push(b'\n');
        // Of two processes that find no lake, one makes it and both use that one.
        store.create(vec![(ROOT_FILE.to_string(), text)])?;
        Self::existing(root, timezone)?.ok_or_else(|| LakeError::Io {
            action: "read",
            path: root.join(ROOT_FILE),
            source: std::io::ErrorKind::NotFound.into(),
        })
    }

    /// Opens the lake at `root` for reading; `None` when there is none. Makes nothing.
    pub fn open_existing(root: &Path, timezone: &str) -> Result<Option<Lake>, LakeError> {
        Self::existing(root, timezone)
    }

    fn existing(root: &Path, timezone: &str) -> Result<Option<Lake>, LakeError> {
        let store = LocalStore::new(root);
        let path = store.full(ROOT_FILE);
        let Some(bytes) = store.get(ROOT_FILE)? else { return Ok(None) };
        let corrupt = |why: String| LakeError::Corrupt { path: path.clone(), why };
        // The format is read alone first: a newer one may have other fields.
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| corrupt(e.to_string()))?;
        let format = value.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
        if format > u64::from(FORMAT) {
            let found = u32::try_from(format).unwrap_or(u32::MAX);
            return Err(LakeError::NewerFormat { path, found, known: FORMAT });
        }
        let file: RootFile = serde_json::from_value(value).map_err(|e| corrupt(e.to_string()))?;
        if file.timezone != timezone {
            return Err(LakeError::TimeZone {
                root: root.to_path_buf(),
                lake: file.timezone,
                project: timezone.to_string(),
            });
        }
        Ok(Some(Lake { store, id: file.id, timezone: file.timezone, folders: Mutex::default() }))
    }

    /// The lake's identity, made once at random; what is known elsewhere about a lake is kept
    /// under it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The time zone of its days.
    pub fn timezone(&self) -> &str {
        &self.timezone
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        self.store.root()
    }

    /// The files below it.
    pub fn store(&self) -> &LocalStore {
        &self.store
    }

    /// Where spools that outgrow memory go.
    pub fn temps(&self) -> TempFolder {
        self.store.temps().clone()
    }

    /// How this lake's tables are written.
    pub fn writer_options(&self) -> WriterOptions {
        WriterOptions::new(self.temps())
    }

    /// The absolute path of a data file.
    pub fn path(&self, file: &FileEntry) -> PathBuf {
        self.store.full(&file.path)
    }

    /// The absolute paths of a partition's files, in reading order.
    pub fn paths(&self, manifest: &Manifest) -> Vec<PathBuf> {
        manifest.files.iter().map(|file| self.path(file)).collect()
    }

    /// The bytes of a data file. Fails with its path when it is missing or has another size
    /// than its manifest says.
    pub fn read_file(&self, file: &FileEntry) -> Result<Vec<u8>, LakeError> {
        let path = self.path(file);
        let bytes = std::fs::read(&path).map_err(|e| LakeError::io("read", &path, 0, e))?;
        if bytes.len() as u64 != file.bytes {
            let why = format!("it has {} bytes, its manifest says {}", bytes.len(), file.bytes);
            return Err(LakeError::Corrupt { path, why });
        }
        Ok(bytes)
    }

    /// The sources that have manifests of a bronze asset, sorted.
    pub fn list_sources(&self, asset: &AssetKey) -> Result<Vec<String>, LakeError> {
        let folders = self.store.list_folders(&manifest_folder(asset, None))?;
        let source = |name: &String| name.strip_prefix("src=")?.parse::<AssetKey>().ok();
        let mut sources: Vec<String> =
            folders.iter().filter_map(source).map(|s| s.as_str().to_string()).collect();
        sources.sort_unstable();
        Ok(sources)
    }

    /// The highest manifest of every partition, sorted: one listing of one folder, no file is
    /// opened. What is not a manifest is passed over. Bronze has one folder a source.
    pub fn list_manifests(&self, asset: &AssetKey, source: Option<&str>) -> Result<Vec<Listed>, LakeError> {
        let key = folder_key(asset, source)?;
        let folder = self.list_folder(&key)?;
        let listed = |(partition, (generation, manifests)): (&PartitionKey, &(u32, u32))| {
            Some(Listed {
                partition: *partition,
                generation: NonZeroU32::new(*generation)?,
                manifests: *manifests,
            })
        };
        let mut all: Vec<Listed> = folder.highest.iter().filter_map(listed).collect();
        all.sort_unstable();
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).insert(key, folder);
        Ok(all)
    }

    pub(super) fn list_folder(&self, key: &FolderKey) -> Result<Folder, LakeError> {
        let started = Instant::now();
        let names = self.store.list(&manifest_folder(&key.0, key.1.as_ref()))?;
        let mut highest: HashMap<PartitionKey, (u32, u32)> = HashMap::with_capacity(names.len());
        for name in &names {
            if let Some((partition, generation)) = parse_manifest_file(name) {
                let seen = highest.entry(partition).or_default();
                seen.0 = seen.0.max(generation.get());
                seen.1 += 1;
            }
        }
        Ok(Folder { listed: started, highest, files: names.len() })
    }

    /// The highest number of each of some partitions of one folder; 0 for none.
    ///
    /// With a young listing and few partitions in a large folder, only the numbers that follow
    /// the known ones are looked for: numbers have no gaps but those that a deleted manifest
    /// leaves, and whoever misses one of those is corrected by the listing before the next plan.
    pub(super) fn highest(
        &self,
        key: &FolderKey,
        partitions: &[PartitionKey],
    ) -> Result<Vec<u32>, LakeError> {
        let known: Option<Vec<u32>> = {
            let folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            folders.get(key).and_then(|folder| {
                let young = folder.listed.elapsed() < LISTING_AGE;
                let cheaper = partitions.len() * 32 < folder.files;
                (young && cheaper)
                    .then(|| partitions.iter().map(|p| folder.highest.get(p).map_or(0, |h| h.0)).collect())
            })
        };
        if let Some(known) = known
            && let Some(highest) = self.probe(key, partitions, known)?
        {
            return Ok(highest);
        }
        let folder = self.list_folder(key)?;
        let highest = partitions.iter().map(|p| folder.highest.get(p).map_or(0, |h| h.0)).collect();
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), folder);
        Ok(highest)
    }

    /// Goes up from the known numbers as long as the next one is there; `None` when a known one
    /// has gone.
    fn probe(
        &self,
        key: &FolderKey,
        partitions: &[PartitionKey],
        mut known: Vec<u32>,
    ) -> Result<Option<Vec<u32>>, LakeError> {
        let place = manifest_folder(&key.0, key.1.as_ref());
        let there = |partition, generation| {
            self.store.exists(&format!("{place}/{}", manifest_file(partition, generation)))
        };
        for (partition, highest) in partitions.iter().zip(&mut known) {
            if *highest > 0 && !there(*partition, *highest)? {
                return Ok(None);
            }
            while *highest < u32::MAX && there(*partition, *highest + 1)? {
                *highest += 1;
            }
        }
        Ok(Some(known))
    }

    /// Remembers numbers that were just created.
    pub(super) fn note_created(&self, key: &FolderKey, created: &[(PartitionKey, u32)]) {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = folders.get_mut(key) {
            for (partition, generation) in created {
                let seen = folder.highest.entry(*partition).or_default();
                seen.0 = seen.0.max(*generation);
                seen.1 += 1;
                folder.files += 1;
            }
        }
    }

    /// Reads one manifest. Fails with its path when it is missing, damaged, of a newer format,
    /// or not the one its name says.
    pub fn read_manifest(
        &self,
        asset: &AssetKey,
        source: Option<&str>,
        partition: PartitionKey,
        generation: NonZeroU32,
    ) -> Result<Manifest, LakeError> {
        let key = folder_key(asset, source)?;
        self.read_manifest_of(&key, partition, generation)
    }

    pub(super) fn read_manifest_of(
        &self,
        key: &FolderKey,
        partition: PartitionKey,
        generation: NonZeroU32,
    ) -> Result<Manifest, LakeError> {
        let folder = manifest_folder(&key.0, key.1.as_ref());
        let name = format!("{folder}/{}", manifest_file(partition, generation.get()));
        let path = self.store.full(&name);
        let bytes = self.store.get(&name)?.ok_or_else(|| LakeError::Io {
            action: "read",
            path: path.clone(),
            source: std::io::ErrorKind::NotFound.into(),
        })?;
        let corrupt = |why: String| LakeError::Corrupt { path: path.clone(), why };
        let manifest: Manifest = match serde_json::from_slice(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => {
                #[derive(serde::Deserialize)]
                struct FormatOnly {
                    format: u32,
                }
                return Err(match serde_json::from_slice::<FormatOnly>(&bytes) {
                    Ok(only) if only.format > FORMAT => {
                        LakeError::NewerFormat { path, found: only.format, known: FORMAT }
                    }
                    _ => corrupt(error.to_string()),
                });
            }
        };
        if manifest.format > FORMAT {
            return Err(LakeError::NewerFormat { path, found: manifest.format, known: FORMAT });
        }
        let source = key.1.as_ref().map(AssetKey::as_str);
        if manifest.asset != key.0
            || manifest.source.as_deref() != source
            || manifest.partition != partition
            || manifest.generation != generation
        {
            let says = format!("{} generation {}", manifest.name(), manifest.generation);
            return Err(corrupt(format!("it says it is {says}")));
        }
        let mut paths =
            manifest.files.iter().map(|f| &f.path).chain(manifest.superseded.iter().map(|s| &s.path));
        if let Some(bad) = paths.find(|p| !safe_data_path(&key.0, p)) {
            return Err(corrupt(format!(
                "it names the file {bad:?}, which is not inside its asset's folder"
            )));
        }
        Ok(manifest)
    }

    /// Reads many manifests of one folder, in order, on several threads. Each fails on its own.
    pub fn read_manifests(
        &self,
        asset: &AssetKey,
        source: Option<&str>,
        wanted: &[(PartitionKey, NonZeroU32)],
    ) -> Result<Vec<Result<Manifest, LakeError>>, LakeError> {
        let key = folder_key(asset, source)?;
        Ok(self.read_manifests_of(&key, wanted))
    }

    pub(super) fn read_manifests_of(
        &self,
        key: &FolderKey,
        wanted: &[(PartitionKey, NonZeroU32)],
    ) -> Vec<Result<Manifest, LakeError>> {
        let read = |part: &[(PartitionKey, NonZeroU32)]| -> Vec<Result<Manifest, LakeError>> {
            part.iter().map(|(p, g)| self.read_manifest_of(key, *p, *g)).collect()
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = (wanted.len() / READS_A_THREAD).clamp(1, cores.min(8));
        if threads == 1 {
            return read(wanted);
        }
        let parts: Vec<_> = wanted.chunks(wanted.len().div_ceil(threads)).collect();
        std::thread::scope(|scope| {
            let started: Vec<_> = parts.iter().map(|part| (part, scope.spawn(|| read(part)))).collect();
            // A thread that died reads again here, where its panic shows.
            started.into_iter().flat_map(|(part, t)| t.join().unwrap_or_else(|_| read(part))).collect()
        })
    }
}

/// The folder of an asset and a source; the source's name is checked before it becomes a path.
pub(super) fn folder_key(asset: &AssetKey, source: Option<&str>) -> Result<FolderKey, LakeError> {
    let source = source.map(|s| s.parse::<AssetKey>().map_err(|_| LakeError::BadName(s.to_string())));
    Ok((asset.clone(), source.transpose()?))
}

/// A random identity in the form of a UUID.
fn new_id() -> String {
    use std::hash::{BuildHasher, Hasher};
    // Each `RandomState` of a thread differs, and the first is seeded by the system.
    let mut hasher = blake3::Hasher::new();
    for _ in 0..4 {
        let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
        hasher.update(&random.to_le_bytes());
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    hasher.update(&now.as_nanos().to_le_bytes());
    hasher.update(&std::process::id().to_le_bytes());
    let hex = hasher.finalize().to_hex();
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}
