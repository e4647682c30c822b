//! What can go wrong with the state database, said so that a person knows what to do.
//!
//! Invariant: every error names the file. Nothing here blocks.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::run::RunId;

/// The state database could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file is no readable database of ours any more.
    #[error(
        "the state database {} is damaged ({what}); `rxpulse state rebuild` makes it again from the lake, \
         or delete the file and the -wal and -shm files beside it: only the history of runs is lost",
        path.display()
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What shows it.
        what: String,
    },
    /// A database, but not one of ours.
    #[error(
        "{} is not a state database of rxpulse ({what}); name another file, or delete this one if it is not needed",
        path.display()
    )]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What shows it.
        what: String,
    },
    /// Written by a newer program.
    #[error(
        "the state database {} has schema {found}, and this rxpulse knows schemas up to {known}: use the newer \
         rxpulse that wrote it, or delete it (the lake holds the data; only the history of runs is lost)",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// Written by an older program, and opened only to be read.
    #[error(
        "the state database {} has the older schema {found} (this rxpulse reads {known}); any command that \
         writes, for example `rxpulse materialize`, brings it up to date",
        path.display()
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The schema needed.
        known: i64,
    },
    /// The file or its folder cannot be written.
    #[error(
        "the state database {} cannot be written: {what}; rxpulse needs to write the file and its folder",
        path.display()
    )]
    ReadOnly {
        /// The database.
        path: PathBuf,
        /// Why not.
        what: String,
    },
    /// The disk is full.
    #[error("no space left for the state database {} while it was to {doing}; free some space and run again", path.display())]
    Full {
        /// The database.
        path: PathBuf,
        /// What it was about to do.
        doing: &'static str,
    },
    /// Another process has been writing for too long.
    #[error(
        "the state database {} was busy for {} s while it was to {doing}; another rxpulse is writing or is \
         stopped in the middle of it",
        path.display(), super::BUSY_LIMIT_SECONDS
    )]
    Busy {
        /// The database.
        path: PathBuf,
        /// What it was about to do.
        doing: &'static str,
    },
    /// The file or folder could not be made or opened.
    #[error("the state database {} cannot be opened: {source}", path.display())]
    Io {
        /// The database.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No such run (it may be of another database).
    #[error("the state database {} has no run {run}", path.display())]
    UnknownRun {
        /// The database.
        path: PathBuf,
        /// The run asked for.
        run: RunId,
    },
    /// The run has ended, so it gets no lease. A process that was stopped for longer than its
    /// lease lasts learns here that it was taken for dead.
    #[error("run {run} has already ended; another process may have taken over its work")]
    RunOver {
        /// The run that asked.
        run: RunId,
    },
    /// A `StepFinished` or `RunFinished` whose state is not a final one.
    #[error("run {run} said that something finished in the state `{state}`, which is not final")]
    NotFinal {
        /// The run.
        run: RunId,
        /// The state it named.
        state: &'static str,
    },
    /// Anything else SQLite says.
    #[error("the state database {} could not {doing}: {source}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What it was about to do.
        doing: &'static str,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

/// An error before it is known which file and verb it belongs to.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Damaged(String),
    UnknownRun(RunId),
    RunOver(RunId),
    NotFinal(RunId, &'static str),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sql(error)
    }
}

impl Fault {
    /// Adds the file and what was being done, a verb phrase such as "record a batch".
    pub(super) fn at(self, path: &Path, doing: &'static str) -> StateError {
        let path = path.to_path_buf();
        match self {
            Fault::Damaged(what) => StateError::Damaged { path, what },
            Fault::UnknownRun(run) => StateError::UnknownRun { path, run },
            Fault::RunOver(run) => StateError::RunOver { run },
            Fault::NotFinal(run, state) => StateError::NotFinal { run, state },
            Fault::Sql(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    StateError::Damaged { path, what: error.to_string() }
                }
                Some(ErrorCode::DiskFull) => StateError::Full { path, doing },
                // The WAL's index could not grow: the same thing, said by another part of SQLite.
                Some(ErrorCode::SystemIoFailure)
                    if error
                        .sqlite_error()
                        .is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE) =>
                {
                    StateError::Full { path, doing }
                }
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StateError::Busy { path, doing },
                Some(ErrorCode::ReadOnly) => StateError::ReadOnly { path, what: error.to_string() },
                // A column of another type than the schema has: STRICT tables cannot hold that.
                None if matches!(
                    error,
                    rusqlite::Error::InvalidColumnType(..)
                        | rusqlite::Error::FromSqlConversionFailure(..)
                        | rusqlite::Error::IntegralValueOutOfRange(..)
                        | rusqlite::Error::Utf8Error(..)
                ) =>
                {
                    StateError::Damaged { path, what: error.to_string() }
                }
                _ => StateError::Sqlite { path, doing, source: error },
            },
        }
    }
}
