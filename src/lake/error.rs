//! What can go wrong in the lake, each with the path it concerns and what to do about it.

use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use datafusion::arrow::error::ArrowError;
use datafusion::parquet::errors::ParquetError;

/// A failure of the lake.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The disk or the quota is full. Nothing half-written is visible.
    #[error(
        "no space left: cannot write `{}`, which needs {}{}; free some space or run `rxpulse gc`, then run the same command again",
        .path.display(), human(*.need), free_text(*.free)
    )]
    NoSpace {
        /// What was being written.
        path: PathBuf,
        /// Bytes it needs; 0 when unknown.
        need: u64,
        /// Bytes that are free, when the file system tells.
        free: Option<u64>,
    },
    /// The file system refuses.
    #[error("not allowed to {action} `{}`: {source}; make it readable and writable for this user", .path.display())]
    Denied {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Any other failure of the file system.
    #[error("cannot {action} `{}`: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The lake was made with days of another time zone.
    #[error(
        "the lake at `{}` was made in time zone {lake}, the project says {project}: days would not match; set `timezone = \"{lake}\"` in [project] or use another `root` in [lake]",
        .root.display()
    )]
    TimeZone {
        /// The lake.
        root: PathBuf,
        /// Its time zone.
        lake: String,
        /// The project's.
        project: String,
    },
    /// A newer version wrote it.
    #[error(
        "`{}` has format {found}, this version reads up to {known}: it was written by a newer rxpulse; use that version",
        .path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// A file of the lake is not what it must be.
    #[error("`{}` is damaged: {why}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The text cannot be part of a path.
    #[error(
        "`{0}` cannot name a folder of the lake: a name has only a-z, 0-9 and _ and starts with a letter"
    )]
    BadName(String),
    /// A column has a type that no table can hold.
    #[error("column `{column}` has type {found}, which cannot be stored: {advice}")]
    Type {
        /// The column.
        column: String,
        /// Its type.
        found: String,
        /// What to cast it to.
        advice: String,
    },
    /// Two columns have one name.
    #[error("column `{0}` appears twice: rename one of them with AS")]
    DuplicateColumn(String),
    /// A value does not fit its column.
    #[error("column `{column}`: {source}")]
    Value {
        /// The column.
        column: String,
        /// What does not fit.
        source: ArrowError,
    },
    /// Arrow failed.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// Parquet failed in memory.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
}

/// Why one partition of a batch was not published.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Someone else published in the meantime. This commit changed nothing that is current.
    #[error("{name} was published by another process as generation {generation}: nothing was changed")]
    Lost {
        /// The partition, as `asset[day]`.
        name: String,
        /// The number that someone else published.
        generation: NonZeroU32,
    },
    /// The lake failed for this partition only.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

impl LakeError {
    /// Wraps a failure of the file system; `need` is how many bytes the operation needs.
    pub(super) fn io(action: &'static str, path: &Path, need: u64, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let free = free_bytes(&path);
                LakeError::NoSpace { path, need, free }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                LakeError::Denied { action, path, source }
            }
            _ => LakeError::Io { action, path, source },
        }
    }

    /// Whether trying again later can help without anyone changing the input.
    pub fn is_no_space(&self) -> bool {
        matches!(self, LakeError::NoSpace { .. })
    }
}

/// Free bytes where `path` lies or will lie.
fn free_bytes(path: &Path) -> Option<u64> {
    let place = path.ancestors().find(|p| p.exists())?;
    let stat = rustix::fs::statvfs(place).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn free_text(free: Option<u64>) -> String {
    free.map_or_else(String::new, |free| format!(" ({} free)", human(free)))
}

fn human(bytes: u64) -> String {
    match bytes {
        0 => "more space".to_string(),
        1..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
