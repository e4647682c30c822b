//! What is known at the moment of planning: the ledger, what bronze holds, what sources offer.
//!
//! Read once from the state database, corrected by one listing a folder of the lake (a newer
//! manifest is adopted, a vanished one is missing), and kept current by the run loop. Without a
//! database the lake says everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;

use crate::config::{Body, Config, SourceKind, SystemTable};
use crate::graph::{
    Asset, AssetGraph, AssetIdx, AssetKey, AssetKind, DataVersion, Day, DayRange, Entry, Fingerprint, Layer,
    Ledger, Observations, Outcome, PartitionKey, Partitioning, Window,
};
use crate::lake::{Lake, LakeError, Listed};
use crate::source::{Covered, FileRecord, Stream};
use crate::state::{Published, State, StateError};

use super::ai;
use super::capture::{CaptureDone, OBSERVATIONS, Observation};
use super::forgotten::{self, Graves};
use super::labels::{self, LABELS, Labels};
use super::resources::Resources;
use super::run::published;
use super::sources::{self, SourceDay, SourceDays};
use super::step::InputRef;
use super::system;
use super::texts::Texts;

/// What is known could not be read.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The state database refused.
    #[error(transparent)]
    State(#[from] StateError),
    /// The lake refused.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A source could not be observed.
    #[error("source `{source_name}`: {message}")]
    Source {
        /// Which.
        source_name: String,
        /// Why.
        message: String,
    },
}

/// One source of one source asset.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub asset: AssetIdx,
    pub source: String,
    /// Its name in the ledger: asset and source in one.
    pub key: AssetKey,
    /// Its place in the bronze graph.
    pub idx: AssetIdx,
}

/// What was remembered of one source's readings.
#[derive(Debug, Default)]
pub struct Memory {
    /// Observations by number in the lake's log.
    pub observations: BTreeMap<u64, Observation>,
    /// By stream: the number of its newest observation.
    newest: HashMap<String, u64>,
}

impl Memory {
    /// Takes an observation in.
    pub fn insert(&mut self, number: u64, observation: Observation) {
        if observation.stream.is_some() {
            let newest = self.newest.entry(observation.window.clone()).or_default();
            *newest = number.max(*newest);
        }
        self.observations.insert(number, observation);
    }

    /// The newest record of every file.
    pub fn files(&self) -> BTreeMap<String, FileRecord> {
        self.observations.values().filter_map(|o| o.file.clone().map(|f| (f.locator.clone(), f))).collect()
    }

    /// The last record of tombstones that the source has lost, and when it was looked through.
    pub fn forgotten(&self) -> Option<(u64, i64)> {
        self.observations.values().filter_map(|o| Some((o.forgotten?, o.at_ms))).max()
    }

    /// What the newest reading of every stream left behind, by stream.
    pub fn streams(&self) -> HashMap<&str, &Stream> {
        self.newest.keys().filter_map(|window| Some((window.as_str(), self.stream(window)?))).collect()
    }

    /// What the newest reading of a stream left behind.
    pub fn stream(&self, window: &str) -> Option<&Stream> {
        self.observations.get(self.newest.get(window)?)?.stream.as_ref()
    }
}

/// Everything that planning and a run know.
pub struct World {
    /// The newest materialization of every partition.
    pub ledger: Ledger,
    /// Last generations of partitions whose manifest vanished.
    pub floors: HashMap<(AssetIdx, usize), u32>,
    /// What sources and the product offer.
    pub seen: Observations,
    /// What was read of each source.
    pub memory: BTreeMap<String, Memory>,
    /// What must not come back.
    pub graves: Graves,
    /// Which days have lost their texts.
    pub texts: Texts,
    new_graves: Vec<(u64, Vec<u8>)>,
    /// What people say of posts.
    pub labels: Labels,
    new_labels: Vec<(String, Vec<u8>)>,
    /// Source partitions that got new content in this run.
    pub changed: BTreeSet<(AssetIdx, usize)>,
    /// Manifests found in the lake that the database did not know.
    pub adopted: usize,
    /// Manifests that the database knew and the lake does not hold any more.
    pub vanished: usize,
    /// Things a person should know (a glob without files, an unreadable path).
    pub notes: Vec<String>,
    pub(super) config: Arc<Config>,
    pub(super) now_ms: i64,
    pub(super) parts: Vec<Part>,
    pub(super) bronze: Ledger,
    bronze_floors: HashMap<(AssetIdx, usize), u32>,
    bronze_graph: AssetGraph,
    new_observations: Vec<(String, u64, Vec<u8>)>,
    pub(super) touched: Vec<(String, FileRecord)>,
    issue_types: DataVersion,
    /// The days that the files of a source speak for.
    pub(super) reached: BTreeMap<String, Covered>,
}

/// What the world is read from.
pub struct Sight<'a> {
    /// What the files say.
    pub config: &'a Arc<Config>,
    /// The project's folder.
    pub root: &'a Path,
    /// The lake, if there is one yet.
    pub lake: Option<&'a Lake>,
    /// The database, if there is one.
    pub state: Option<&'a State>,
    /// Whether the database may be written (adopted manifests are recorded).
    pub write: bool,
    /// Make every window of every source due.
    pub force_captures: bool,
    /// The version of the table `issue_types`.
    pub issue_types: [u8; 16],
    /// Now, milliseconds since 1970 UTC.
    pub now_ms: i64,
}

impl World {
    /// Whether the partition was published once and its manifest is gone.
    pub fn is_gone(&self, asset: AssetIdx, slot: usize) -> bool {
        self.floors.contains_key(&(asset, slot))
    }

    /// Reads what is known, and looks at what the sources offer.
    ///
    /// # Errors
    /// When database, lake or a source cannot be read; never a shorter answer instead.
    pub fn read(sight: &Sight<'_>) -> Result<World, WorldError> {
        let config = sight.config;
        let graph = &config.graph;
        let (parts, bronze_graph) = parts(config)?;
        let lake_id = sight.lake.map(|l| l.id().to_string()).unwrap_or_default();
        let (ledger, floors, bronze, bronze_floors) = match sight.state.filter(|_| sight.lake.is_some()) {
            Some(state) => {
                let tables = state.ledger(&lake_id, graph)?;
                let bronze = state.ledger(&lake_id, &bronze_graph)?;
                (tables.ledger, tables.floors, bronze.ledger, bronze.floors)
            }
            None => (Ledger::new(graph), HashMap::new(), Ledger::new(&bronze_graph), HashMap::new()),
        };
        let mut world = World {
            ledger,
            floors,
            seen: Observations::default(),
            memory: BTreeMap::new(),
            graves: Graves::default(),
            texts: Texts::default(),
            new_graves: Vec::new(),
            labels: Labels::default(),
            new_labels: Vec::new(),
            changed: BTreeSet::new(),
            adopted: 0,
            vanished: 0,
            notes: Vec::new(),
            config: config.clone(),
            now_ms: sight.now_ms,
            parts,
            bronze,
            bronze_floors,
            bronze_graph,
            new_observations: Vec::new(),
            touched: Vec::new(),
            issue_types: DataVersion(sight.issue_types),
            reached: BTreeMap::new(),
        };
        if let Some(lake) = sight.lake {
            let (adopted, gone) = world.compare(lake, graph)?;
            world.adopted = adopted.len();
            world.vanished = gone.len();
            if sight.write
                && let Some(state) = sight.state
            {
                state.ledger_adopt(&lake_id, &adopted)?;
                state.ledger_forget(&lake_id, &gone)?;
            }
        }
        for asset in graph.indices() {
            if graph.asset(asset).kind == AssetKind::Source {
                for slot in 0..graph.slots(asset) {
                    world.fold_bronze(graph, asset, slot);
                }
            }
        }
        if let Some(lake) = sight.lake {
            world.read_memory(lake, &lake_id, sight.state)?;
        }
        world.reached();
        world.observe(sight)?;
        world.offer(graph, None);
        world.seen.held = ai::held(config, &world.ledger, sight.lake, sight.now_ms)?;
        Ok(world)
    }

    /// Looks at lake and sources again in the middle of a run; gives what others published, for
    /// the database.
    ///
    /// # Errors
    /// When lake, database or a source cannot be read.
    pub fn refresh(&mut self, sight: &Sight<'_>) -> Result<Vec<Published>, WorldError> {
        let Some(lake) = sight.lake else { return Ok(Vec::new()) };
        self.now_ms = sight.now_ms;
        let config = sight.config.clone();
        let graph = &config.graph;
        let (adopted, _) = self.compare(lake, graph)?;
        for asset in graph.indices().filter(|a| graph.asset(*a).kind == AssetKind::Source) {
            for slot in 0..graph.slots(asset) {
                self.fold_bronze(graph, asset, slot);
            }
        }
        // Observations of this run that the database does not hold yet are read once more.
        self.memory.clear();
        self.new_observations.clear();
        self.read_memory(lake, lake.id(), sight.state)?;
        self.notes.clear();
        self.reached();
        self.observe(sight)?;
        self.offer(graph, None);
        self.seen.held = ai::held(&config, &self.ledger, sight.lake, sight.now_ms)?;
        Ok(adopted)
    }

    /// One listing a folder against what the database knew.
    #[expect(clippy::type_complexity, reason = "two short lists, taken apart at once")]
    fn compare(
        &mut self,
        lake: &Lake,
        graph: &AssetGraph,
    ) -> Result<(Vec<Published>, Vec<(AssetKey, PartitionKey)>), LakeError> {
        let mut adopted = Vec::new();
        let mut gone = Vec::new();
        for asset in graph.indices().filter(|a| graph.asset(*a).kind != AssetKind::Source) {
            let key = graph.key(asset);
            let listed = lake.list_manifests(key, None)?;
            let (newer, vanished) = differences(graph, asset, &self.ledger, &self.floors, &listed);
            for published in read_new(lake, key, None, &newer)? {
                let slot = slot_of(graph, asset, published.partition);
                set_entry(&mut self.ledger, asset, slot, &published);
                adopted.push(published);
            }
            for slot in vanished {
                if let Some(entry) = self.ledger.at(asset, slot) {
                    self.floors.insert((asset, slot), entry.generation.get());
                }
                self.ledger.set(asset, slot, None);
                gone.push((key.clone(), graph.partition(asset, slot)));
            }
        }
        for part in &self.parts {
            let key = graph.key(part.asset);
            let listed = lake.list_manifests(key, Some(&part.source))?;
            let (newer, vanished) =
                differences(&self.bronze_graph, part.idx, &self.bronze, &self.bronze_floors, &listed);
            for published in read_new(lake, key, Some(&part.source), &newer)? {
                let published = Published { asset: part.key.clone(), ..published };
                let slot = slot_of(&self.bronze_graph, part.idx, published.partition);
                set_entry(&mut self.bronze, part.idx, slot, &published);
                adopted.push(published);
            }
            for slot in vanished {
                if let Some(entry) = self.bronze.at(part.idx, slot) {
                    self.bronze_floors.insert((part.idx, slot), entry.generation.get());
                }
                self.bronze.set(part.idx, slot, None);
                gone.push((part.key.clone(), self.bronze_graph.partition(part.idx, slot)));
            }
        }
        Ok((adopted, gone))
    }

    /// What all sources of an asset hold of one day, as the ledger's entry of that day. A day
    /// that some source has no manifest of does not exist yet.
    fn fold_bronze(&mut self, graph: &AssetGraph, asset: AssetIdx, slot: usize) {
        let mut versions = Vec::new();
        let mut folded: Option<Entry> = None;
        let code = self.ledger.intern(graph.asset(asset).code);
        for part in self.parts.iter().filter(|p| p.asset == asset) {
            let Some(entry) = self.bronze.at(part.idx, slot) else {
                self.ledger.set(asset, slot, None);
                return;
            };
            // A source without posts of the day says nothing about its content.
            if entry.rows > 0 {
                versions.push(entry.data);
            }
            folded = Some(match folded {
                None => Entry { code, inputs: Fingerprint::of(b""), ..*entry },
                Some(f) => Entry {
                    rows: f.rows + entry.rows,
                    at_ms: f.at_ms.max(entry.at_ms),
                    generation: f.generation.max(entry.generation),
                    ..f
                },
            });
        }
        let data = match versions.as_slice() {
            [one] => *one,
            many => {
                let bytes: Vec<u8> = many.iter().flat_map(|v| v.0).collect();
                DataVersion::of(&bytes)
            }
        };
        self.ledger.set(asset, slot, folded.map(|f| Entry { data, ..f }));
    }

    fn read_memory(&mut self, lake: &Lake, lake_id: &str, state: Option<&State>) -> Result<(), WorldError> {
        self.graves = forgotten::graves(lake, state, self.now_ms, &mut self.new_graves)?;
        self.labels = labels::read(lake, state, &mut self.new_labels)?;
        self.texts = Texts::read(lake)?;
        let textless = |day| self.texts.days.contains(&day);
        self.seen.textless = match self.texts.days.is_empty() {
            true => Vec::new(),
            false => self.config.graph.days().iter().map(textless).collect(),
        };
        for part in &self.parts {
            if self.memory.contains_key(&part.source) {
                continue;
            }
            let kind = format!("{OBSERVATIONS} {}", part.source);
            let cached: HashMap<String, Vec<u8>> = match state {
                Some(state) => state.cache_all(lake_id, &kind)?.into_iter().collect(),
                None => HashMap::new(),
            };
            let mut memory = Memory::default();
            for (number, path) in lake.list_records(OBSERVATIONS, &part.source)? {
                let bytes = match cached.get(&number.to_string()) {
                    Some(bytes) => bytes.clone(),
                    None => {
                        let bytes = match lake.read_record(OBSERVATIONS, &part.source, number) {
                            // Tidied away since it was listed: a newer one says the same.
                            Err(LakeError::Io { source, .. })
                                if source.kind() == std::io::ErrorKind::NotFound =>
                            {
                                continue;
                            }
                            other => other?,
                        };
                        self.new_observations.push((part.source.clone(), number, bytes.clone()));
                        bytes
                    }
                };
                let observation: Observation = serde_json::from_slice(&bytes).map_err(|e| {
                    LakeError::Corrupt { path, why: format!("it is not an observation: {e}") }
                })?;
                memory.insert(number, observation);
            }
            self.memory.insert(part.source.clone(), memory);
        }
        Ok(())
    }

    /// Keeps what was read from the lake's logs in the database, so that the next look is short,
    /// and writes down files that were touched without a change.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn remember(&mut self, state: &State, lake: &str) -> Result<(), StateError> {
        forgotten::keep(state, lake, std::mem::take(&mut self.new_graves))?;
        state.cache_put_many(lake, LABELS, &std::mem::take(&mut self.new_labels))?;
        let mut by_source: BTreeMap<String, Vec<(String, Vec<u8>)>> = BTreeMap::new();
        for (source, number, bytes) in self.new_observations.drain(..) {
            by_source.entry(source).or_default().push((number.to_string(), bytes));
        }
        for (source, entries) in by_source {
            state.cache_put_many(lake, &format!("{OBSERVATIONS} {source}"), &entries)?;
        }
        Ok(())
    }

    /// Writes touched files' records into the lake, so that they are not hashed again.
    ///
    /// # Errors
    /// When the lake refuses.
    pub fn settle_touched(&mut self, lake: &Lake, now_ms: i64) -> Result<(), LakeError> {
        for (source, file) in std::mem::take(&mut self.touched) {
            let memory = self.memory.entry(source.clone()).or_default();
            let before = memory.observations.values().rev().find(|o| o.window == file.locator);
            let observation = Observation {
                window: file.locator.clone(),
                counts: file.counts.clone(),
                quarantine: before.and_then(|o| o.quarantine),
                file: Some(file),
                stream: None,
                forgotten: None,
                at_ms: now_ms,
            };
            let bytes = serde_json::to_vec(&observation).unwrap_or_default();
            let number = lake.append_record(OBSERVATIONS, &source, &bytes)?;
            memory.insert(number, observation);
            self.new_observations.push((source, number, bytes));
        }
        Ok(())
    }

    /// What the product itself offers to its system assets; of coverage, only the days that
    /// changed when these are known.
    fn offer(&mut self, graph: &AssetGraph, changed: Option<DayRange>) {
        let config = self.config.clone();
        self.reached();
        for asset in graph.indices() {
            let Body::System(table) = &config.asset(asset).body else { continue };
            let versions = match table {
                SystemTable::IssueTypes => vec![self.issue_types],
                SystemTable::Labels => {
                    let mut versions = vec![Labels::no_version(); graph.slots(asset)];
                    for day in self.labels.days() {
                        if let Some(slot) = graph.days().slot(day) {
                            versions[slot] = self.labels.version(day);
                        }
                    }
                    versions
                }
                SystemTable::SourceCoverage => {
                    let mut versions = self.seen.offered.remove(&asset).unwrap_or_default();
                    let look = self.look();
                    let version = |day| system::coverage_version(&self.coverage_by(&look, graph, day));
                    versions.resize(graph.slots(asset), DataVersion([0; 16]));
                    let project = graph.days();
                    for day in changed.unwrap_or(project).iter() {
                        if let Some(slot) = project.slot(day) {
                            versions[slot] = version(day);
                        }
                    }
                    versions
                }
            };
            self.seen.offered.insert(asset, versions);
        }
    }

    /// Which days the files of each source speak for.
    fn reached(&mut self) {
        self.reached = self
            .memory
            .iter()
            .filter_map(|(name, memory)| {
                let source = self.config.source(name)?;
                let def = match &source.kind {
                    SourceKind::Archive(_) => sources::dumps_def(source).ok()?,
                    _ => sources::files_def(source).ok()?,
                };
                Some((name.clone(), def.covered(memory.files().values())))
            })
            .collect();
    }

    /// The rows of a system asset's partition; `None` for other assets.
    pub fn system_rows(&self, res: &Resources, asset: AssetIdx, slot: usize) -> Option<RecordBatch> {
        let graph = &res.config.graph;
        let Body::System(table) = &res.config.asset(asset).body else { return None };
        match table {
            SystemTable::IssueTypes => system::issue_types(&res.taxonomy).ok(),
            SystemTable::Labels => self.labels.batch(graph.days().day(slot)).ok(),
            SystemTable::SourceCoverage => {
                system::coverage_batch(&self.coverage(graph, graph.days().day(slot))).ok()
            }
        }
    }

    /// Which generations of which sources make up a day of bronze.
    pub fn bronze_parts(&self, asset: AssetIdx, slot: usize) -> Vec<InputRef> {
        self.parts
            .iter()
            .filter(|p| p.asset == asset)
            .filter_map(|p| {
                let entry = self.bronze.at(p.idx, slot)?;
                Some(InputRef {
                    source: Some(p.source.clone()),
                    partition: self.bronze_graph.partition(p.idx, slot),
                    generation: entry.generation,
                })
            })
            .collect()
    }

    /// What bronze holds of one source.
    pub fn source_days(&self, asset: AssetIdx, source: &str) -> SourceDays {
        let part = self.parts.iter().find(|p| p.asset == asset && p.source == source);
        let Some(part) = part else {
            let key = self.config.graph.key(asset).clone();
            return SourceDays { key, days: Vec::new() };
        };
        let days = (0..self.bronze_graph.slots(part.idx))
            .map(|slot| {
                let floor = self.bronze_floors.get(&(part.idx, slot)).copied().unwrap_or(0);
                match self.bronze.at(part.idx, slot) {
                    None => SourceDay { floor, ..SourceDay::default() },
                    Some(e) => SourceDay {
                        generation: e.generation.get(),
                        floor: floor.max(e.generation.get()),
                        code: Some(self.bronze.code(e.code)),
                        data: Some(e.data),
                        rows: e.rows,
                        at_ms: e.at_ms,
                        textless: e.outcome == Outcome::TextRemoved,
                    },
                }
            })
            .collect();
        SourceDays { key: part.key.clone(), days }
    }

    /// Takes in what a capture did; gives the places whose content changed.
    pub fn apply_capture(
        &mut self,
        res: &Resources,
        asset: AssetIdx,
        window: &Window,
        done: &CaptureDone,
    ) -> BTreeSet<usize> {
        let graph = &res.config.graph;
        let mut touched = BTreeSet::new();
        if let Some(at) = self.parts.iter().position(|p| p.asset == asset && p.source == window.source) {
            let idx = self.parts[at].idx;
            for published in &done.published {
                let slot = slot_of(&self.bronze_graph, idx, published.partition);
                set_entry(&mut self.bronze, idx, slot, published);
                touched.insert(slot);
            }
        }
        if let Some((number, entries)) = &done.tombstones {
            self.graves.add(*number, entries.clone(), self.now_ms);
        }
        for (number, observation) in &done.observations {
            if let Ok(bytes) = serde_json::to_vec(observation) {
                self.new_observations.push((window.source.clone(), *number, bytes));
            }
            let memory = self.memory.entry(window.source.clone()).or_default();
            memory.insert(*number, observation.clone());
        }
        let mut changed = BTreeSet::new();
        for slot in touched {
            let before = self.ledger.at(asset, slot).map(|e| e.data);
            self.fold_bronze(graph, asset, slot);
            if self.ledger.at(asset, slot).map(|e| e.data) != before {
                changed.insert(slot);
            }
        }
        // What was asked of one day says something about that day alone.
        let alone = window.days.filter(|_| window.id.parse::<Day>().is_ok());
        self.offer(graph, alone);
        changed
    }

    /// Takes over what other runs have published of one table; gives it for the database.
    ///
    /// # Errors
    /// When a manifest cannot be read.
    pub fn adopt_asset(
        &mut self,
        lake: &Lake,
        graph: &AssetGraph,
        asset: AssetIdx,
    ) -> Result<Vec<Published>, LakeError> {
        let key = graph.key(asset);
        let listed = lake.list_manifests(key, None)?;
        let (newer, _) = differences(graph, asset, &self.ledger, &self.floors, &listed);
        let adopted = read_new(lake, key, None, &newer)?;
        for published in &adopted {
            let slot = slot_of(graph, asset, published.partition);
            set_entry(&mut self.ledger, asset, slot, published);
        }
        Ok(adopted)
    }
}

fn slot_of(graph: &AssetGraph, asset: AssetIdx, partition: PartitionKey) -> usize {
    graph.slot(crate::graph::AssetPartition { asset, partition }).unwrap_or(0)
}

/// Puts what was published into the ledger.
pub(super) fn set_entry(ledger: &mut Ledger, asset: AssetIdx, slot: usize, p: &Published) {
    let code = ledger.intern(p.code);
    let entry = Entry {
        code,
        inputs: p.inputs,
        data: p.data,
        rows: p.rows,
        at_ms: p.at_ms,
        generation: p.generation,
        outcome: p.outcome,
    };
    ledger.set(asset, slot, Some(entry));
}

/// Partitions listed above the ledger, and places whose entry is listed no more (or lower).
fn differences(
    graph: &AssetGraph,
    asset: AssetIdx,
    ledger: &Ledger,
    floors: &HashMap<(AssetIdx, usize), u32>,
    listed: &[Listed],
) -> (Vec<(PartitionKey, NonZeroU32)>, Vec<usize>) {
    let mut there = vec![0u32; graph.slots(asset)];
    let mut newer = Vec::new();
    for l in listed {
        let ap = crate::graph::AssetPartition { asset, partition: l.partition };
        let Some(slot) = graph.slot(ap) else { continue };
        there[slot] = l.generation.get();
        // Below what was known once, a manifest is what remains of a partition that vanished.
        let floor = floors.get(&(asset, slot)).copied().unwrap_or(0);
        let known = ledger.at(asset, slot).map_or(0, |e| e.generation.get()).max(floor);
        if l.generation.get() > known {
            newer.push((l.partition, l.generation));
        }
    }
    let gone = (0..there.len())
        .filter(|slot| ledger.at(asset, *slot).is_some_and(|e| e.generation.get() > there[*slot]))
        .collect();
    (newer, gone)
}

fn read_new(
    lake: &Lake,
    key: &AssetKey,
    source: Option<&str>,
    wanted: &[(PartitionKey, NonZeroU32)],
) -> Result<Vec<Published>, LakeError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    lake.read_manifests(key, source, wanted)?.into_iter().map(|m| Ok(published(&m?))).collect()
}

/// One pseudo asset for every source of every source asset: bronze has a manifest for each
/// (source, day).
fn parts(config: &Config) -> Result<(Vec<Part>, AssetGraph), WorldError> {
    let mut parts = Vec::new();
    let mut assets = Vec::new();
    for asset in config.graph.indices() {
        let Body::Source { sources } = &config.asset(asset).body else { continue };
        for source in &super::observe::with_fallbacks(config, sources) {
            let name = format!("{}__{source}", config.graph.key(asset));
            let key: AssetKey = name.parse().map_err(|_| WorldError::Source {
                source_name: source.clone(),
                message: format!("`{name}` is too long: asset and source names together may have 62 letters"),
            })?;
            assets.push(Asset {
                key: key.clone(),
                layer: Layer::Bronze,
                kind: AssetKind::Source,
                partitioning: Partitioning::Daily,
                deps: Vec::new(),
                tags: Vec::new(),
                owners: Vec::new(),
                description: String::new(),
                pool: None,
                code: config.graph.asset(asset).code,
            });
            parts.push(Part { asset, source: source.clone(), key, idx: AssetIdx(0) });
        }
    }
    let graph = AssetGraph::build(assets, config.graph.days()).map_err(|errors| WorldError::Source {
        source_name: String::new(),
        message: errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    })?;
    for part in &mut parts {
        part.idx = graph.find(part.key.as_str()).unwrap_or(AssetIdx(0));
    }
    Ok((parts, graph))
}
