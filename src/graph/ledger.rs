//! The ledger: the newest materialization of every asset partition, read once and held in
//! memory, so that planning never asks a database.

use std::collections::HashMap;
use std::num::NonZeroU32;

use super::asset::{AssetIdx, AssetPartition};
use super::asset_graph::AssetGraph;
use super::version::{CodeVersion, DataVersion, Fingerprint};

/// An interned [`CodeVersion`]: thousands of entries share a few.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct CodeId(pub u32);

/// Whether a materialization holds all it was meant to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything.
    Complete,
    /// A budget ran out before every row was enriched.
    Budget,
    /// A batch has not been answered yet.
    Pending,
    /// Everything, but for the texts that it held: their time was over.
    TextRemoved,
    /// A provider could not be asked.
    Unreached,
}

/// The newest materialization of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What the body said.
    pub code: CodeId,
    /// What it was made from.
    pub inputs: Fingerprint,
    /// What it holds.
    pub data: DataVersion,
    /// Rows.
    pub rows: u64,
    /// When it was published, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The number of its manifest.
    pub generation: NonZeroU32,
    /// Whether it holds all it was meant to.
    pub outcome: Outcome,
}

/// Entries by asset and place; partitions outside the project's days are not in it.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Vec<Option<Entry>>>,
    codes: Vec<CodeVersion>,
    code_ids: HashMap<CodeVersion, CodeId>,
    /// Whether any entry ever was one whose texts are removed.
    emptied: bool,
}

impl Ledger {
    /// A ledger without entries, with room for every partition of `graph`.
    pub fn new(graph: &AssetGraph) -> Self {
        let entries = graph.indices().map(|a| vec![None; graph.slots(a)]).collect();
        Self { entries, codes: Vec::new(), code_ids: HashMap::new(), emptied: false }
    }

    /// The identity of a code version in this ledger.
    pub fn intern(&mut self, code: CodeVersion) -> CodeId {
        *self.code_ids.entry(code).or_insert_with(|| {
            self.codes.push(code);
            CodeId(self.codes.len() as u32 - 1)
        })
    }

    /// The identity of a code version, when an entry may have it.
    pub fn code_id(&self, code: CodeVersion) -> Option<CodeId> {
        self.code_ids.get(&code).copied()
    }

    /// The code version behind an identity of this ledger.
    pub fn code(&self, id: CodeId) -> CodeVersion {
        self.codes[id.0 as usize]
    }

    /// The entry at a place.
    pub fn at(&self, asset: AssetIdx, slot: usize) -> Option<&Entry> {
        self.entries[asset.i()][slot].as_ref()
    }

    /// The entry of a partition; `None` also for partitions that do not exist.
    pub fn get(&self, graph: &AssetGraph, ap: AssetPartition) -> Option<&Entry> {
        self.at(ap.asset, graph.slot(ap)?)
    }

    /// Replaces the entry at a place.
    pub fn set(&mut self, asset: AssetIdx, slot: usize, entry: Option<Entry>) {
        self.emptied |= entry.is_some_and(|e| e.outcome == Outcome::TextRemoved);
        self.entries[asset.i()][slot] = entry;
    }

    /// Whether there may be an entry whose texts are removed.
    pub fn may_be_emptied(&self) -> bool {
        self.emptied
    }

    /// All entries of an asset, by place.
    pub fn of(&self, asset: AssetIdx) -> &[Option<Entry>] {
        &self.entries[asset.i()]
    }
}
