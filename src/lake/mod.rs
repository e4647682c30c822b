//! The lake on a local disk: immutable data files in folders named by their content, and
//! numbered manifests that alone say which files are current.
//!
//! Invariants: a data file never changes and is durable under its final name before a manifest
//! names it; a manifest is created, never overwritten, and the highest number of a partition is
//! current; whatever a crash leaves behind is named by no manifest and is collected later.
//! No path is ever built from data: asset keys, source names and days only.
//!
//! Everything here blocks on the disk: call it from a blocking thread.

mod canonical;
mod commit;
mod content;
mod error;
mod gc;
mod manifest;
mod purge;
mod reader;
mod records;
mod root;
mod spool;
mod store;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_crash;
mod writer;

pub use canonical::{canonical_schema, canonicalize, parse_type, type_text};
pub use commit::{Commit, Committed, Content, ManifestDraft, NewObject};
pub use error::{CommitError, LakeError};
pub use gc::{Doomed, GcOptions, GcPlan, GcReport, Why};
pub use manifest::{FileEntry, InputVersion, Listed, Manifest, Superseded, bronze_version};
pub use purge::Purged;
pub use reader::{ParquetBatches, read_parquet};
pub use root::Lake;
pub use spool::{Body, Spool, TempFile, TempFolder};
pub use store::LocalStore;
pub use writer::{BLOCK_ROWS, PartitionWriter, Staged, WriterOptions};
