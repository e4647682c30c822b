//! What a run works with and never changes: the configuration, the lake, the engine, the
//! words that brands and issues are matched by.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use datafusion::arrow::datatypes::SchemaRef;

use crate::classify::{Brands, Taxonomy};
use crate::config::Config;
use crate::engine::{Engine, Grouping};
use crate::enrich::Embedded;
use crate::graph::{AssetIdx, AssetKey, AssetKind, PartitionKey};
use crate::lake::{FileEntry, Lake, LakeError};

use super::ai::Ai;
use super::network::Clients;

/// How the rows of one asset look and how its query may be run.
#[derive(Clone, Debug)]
pub struct AssetShape {
    /// The columns, without `dt`.
    pub schema: SchemaRef,
    /// Whether several days may run in one query.
    pub grouping: Grouping,
}

/// Everything a run works with.
pub struct Resources {
    /// The project's folder.
    pub root: PathBuf,
    /// Where this process spills.
    pub temp_dir: PathBuf,
    /// What the files say.
    pub config: Arc<Config>,
    /// Where tables are.
    pub lake: Arc<Lake>,
    /// What runs SQL.
    pub engine: Arc<Engine>,
    /// Brands, ready to match.
    pub brands: Arc<Brands>,
    /// Issue types, ready to match.
    pub taxonomy: Arc<Taxonomy>,
    /// The model inside the binary.
    pub embedded: Arc<Embedded>,
    /// By asset.
    pub shapes: Vec<AssetShape>,
    /// Which files hold a generation.
    pub files: FilesCache,
    /// Who asks the network.
    pub clients: Clients,
    /// What is known of language models.
    pub ai: Ai,
    /// What the gate says of the embedded model, once it was asked.
    pub gate: OnceLock<Option<String>>,
}

/// Asset, source (for bronze), partition.
type FilesKey = (AssetKey, Option<String>, PartitionKey);

/// A generation and its files.
type Generation = (NonZeroU32, Arc<Vec<FileEntry>>);

/// The files of the generations met in a run. Published ones are put in, others are read from
/// their manifest once.
#[derive(Default)]
pub struct FilesCache {
    known: Mutex<HashMap<FilesKey, Generation>>,
}

impl FilesCache {
    /// The files of one generation of a partition (of one source's part, for bronze).
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub fn get(
        &self,
        lake: &Lake,
        asset: &AssetKey,
        source: Option<&str>,
        partition: PartitionKey,
        generation: NonZeroU32,
    ) -> Result<Arc<Vec<FileEntry>>, LakeError> {
        let key = (asset.clone(), source.map(str::to_string), partition);
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((held, files)) = known.get(&key)
                && *held == generation
            {
                return Ok(files.clone());
            }
        }
        let manifest = lake.read_manifest(asset, source, partition, generation)?;
        let files = Arc::new(manifest.files);
        self.put(key.0, key.1, partition, generation, files.clone());
        Ok(files)
    }

    /// Remembers the files of a generation.
    pub fn put(
        &self,
        asset: AssetKey,
        source: Option<String>,
        partition: PartitionKey,
        generation: NonZeroU32,
        files: Arc<Vec<FileEntry>>,
    ) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((asset, source, partition), (generation, files));
    }
}

impl Resources {
    /// The shape of an asset.
    pub fn shape(&self, asset: AssetIdx) -> &AssetShape {
        &self.shapes[asset.i()]
    }
}

impl Resources {
    /// The ids of all issue types.
    pub fn issue_ids(&self) -> Vec<String> {
        self.taxonomy.issues().iter().map(|i| i.id.clone()).collect()
    }

    /// Why `[ai.gate]` does not let the embedded model label; `None` when it does. Evaluates the
    /// golden file when it is asked for the first time.
    pub fn embedded_refusal(&self) -> Option<&str> {
        let judge = |gate| super::evals::embedded_refusal(&self.root, gate, &self.embedded, &self.taxonomy);
        self.gate.get_or_init(|| self.config.ai.gate.as_ref().and_then(judge)).as_deref()
    }

    /// Whether an enrich asset makes the table of general feedback.
    pub fn is_feedback(&self, asset: AssetIdx) -> bool {
        is_feedback(&self.config, asset)
    }
}

/// The table whose posts an enrich asset reads: what it depends on beside the product's own.
pub fn posts_of(config: &Config, asset: AssetIdx) -> Option<AssetIdx> {
    let graph = &config.graph;
    graph.upstream(asset).iter().map(|(up, _)| *up).find(|up| graph.asset(*up).kind != AssetKind::System)
}

/// Whether an enrich asset makes the table of general feedback (labels with provenance, of the
/// rows its `where` leaves); without a `where` it makes signals of every post.
pub fn is_feedback(config: &Config, asset: AssetIdx) -> bool {
    matches!(&config.asset(asset).body, crate::config::Body::Enrich(e) if !e.filter.is_empty())
}
