//! Manifests: what one partition holds, what it was made from, and which files are current.
//!
//! Pure data and names. A manifest's number is in its file name, its asset and source are the
//! folder it lies in.

use std::num::NonZeroU32;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};

use super::canonical::parse_type;
use crate::event::{CheckResult, StepStats};
use crate::graph::{AssetKey, CodeVersion, DataVersion, Fingerprint, Outcome, PartitionKey};

/// The manifest format written here, and the newest that is read.
pub(super) const FORMAT: u32 = 1;

/// One version of one partition, as published. Never changed after it was created.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Manifest {
    /// The format of this text.
    pub format: u32,
    /// The asset.
    pub asset: AssetKey,
    /// For bronze: the source that captured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The partition.
    pub partition: PartitionKey,
    /// Its number; the highest of a partition is current.
    pub generation: NonZeroU32,
    /// What the asset's body said.
    pub code: CodeVersion,
    /// What it was made from, as one hash.
    pub fingerprint: Fingerprint,
    /// What it was made from, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputVersion>,
    /// What it holds.
    pub data: DataVersion,
    /// Rows in all files.
    pub rows: u64,
    /// Bytes in all files.
    pub bytes: u64,
    /// The files that hold it, in reading order; none when it has no rows.
    pub files: Vec<FileEntry>,
    /// Columns and their types, as [`super::type_text`] writes them; empty for bronze.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schema: Vec<(String, String)>,
    /// What its checks found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckResult>,
    /// Whether it holds all it was meant to.
    pub outcome: Outcome,
    /// For bronze: how much of the day the source has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<serde_json::Value>,
    /// Numbers of the step that made it.
    pub stats: StepStats,
    /// When it was published, milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// The run that made it, in that run's own database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// Files that earlier manifests named and this one does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superseded: Vec<Superseded>,
}

/// One input of a materialization.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct InputVersion {
    /// The asset read.
    pub asset: AssetKey,
    /// The partition read.
    pub partition: PartitionKey,
    /// What it held; `None` when it had never been made.
    pub data: Option<DataVersion>,
}

/// One data file.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct FileEntry {
    /// Relative to the lake's root, with forward slashes.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// For bronze: what was read, a file's path; any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locator: Option<String>,
    /// For bronze: the reading it came from; any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<String>,
}

/// A file that is no longer current.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Superseded {
    /// Relative to the lake's root.
    pub path: String,
    /// Since when, milliseconds since 1970 UTC.
    pub at_ms: i64,
}

/// What a listing tells of a partition: its highest manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Listed {
    /// The partition.
    pub partition: PartitionKey,
    /// The highest number.
    pub generation: NonZeroU32,
    /// How many manifests of the partition are there.
    pub manifests: u32,
}

impl Manifest {
    /// `asset[day]`, for people.
    pub fn name(&self) -> String {
        partition_name(&self.asset, self.partition)
    }

    /// The columns, for a reader that has no file to take them from (a day without rows).
    /// Fails when a type is not one that this version writes.
    pub fn arrow_schema(&self) -> Result<SchemaRef, String> {
        let field = |(name, text): &(String, String)| match parse_type(text) {
            Some(kind) => Ok(Field::new(name, kind, true)),
            None => Err(format!("column `{name}` has the unknown type `{text}`")),
        };
        Ok(Arc::new(Schema::new(self.schema.iter().map(field).collect::<Result<Vec<_>, _>>()?)))
    }
}

/// `asset[day]`, or the asset alone when it is not cut into days.
pub(super) fn partition_name(asset: &AssetKey, partition: PartitionKey) -> String {
    match partition {
        PartitionKey::Whole => asset.to_string(),
        day => format!("{asset}[{day}]"),
    }
}

/// The version of a set of bronze objects: a hash of their sorted paths, which name their
/// content. Call it with the objects of one source or, for a day as a whole, of all sources.
pub fn bronze_version<'a>(paths: impl IntoIterator<Item = &'a str>) -> DataVersion {
    let mut paths: Vec<&str> = paths.into_iter().collect();
    paths.sort_unstable();
    paths.dedup();
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"rxpulse objects 1\n");
    for path in paths {
        hasher.update(&(path.len() as u64).to_le_bytes());
        hasher.update(path.as_bytes());
    }
    DataVersion::finish(&hasher)
}

/// The folder of an asset's manifests.
pub(super) fn manifest_folder(asset: &AssetKey, source: Option<&AssetKey>) -> String {
    match source {
        None => format!("_manifests/{asset}"),
        Some(source) => format!("_manifests/{asset}/src={source}"),
    }
}

/// A manifest's file name.
pub(super) fn manifest_file(partition: PartitionKey, generation: u32) -> String {
    format!("{partition}.{generation:010}.json")
}

/// Reads a manifest's file name; `None` for anything else that lies there.
pub(super) fn parse_manifest_file(name: &str) -> Option<(PartitionKey, NonZeroU32)> {
    let (partition, generation) = name.strip_suffix(".json")?.rsplit_once('.')?;
    if generation.len() != 10 || !generation.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((partition.parse().ok()?, generation.parse().ok()?))
}

/// Whether a path found in a manifest stays inside the data folder of its asset.
pub(super) fn safe_data_path(asset: &AssetKey, path: &str) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some(asset.as_str())
        && path.len() < 1024
        && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
        && parts.clone().count() > 0
        && parts.all(|part| !part.is_empty() && part != "." && part != "..")
}
