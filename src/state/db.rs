//! Opening the database, and the two ways through which every verb goes: [`State::read`] and
//! [`State::write`].
//!
//! Invariant: a write is one `BEGIN IMMEDIATE` transaction on its own connection, so that it
//! queues behind other writers and never fails half way for being late; a read is one snapshot
//! on a connection that cannot write. In WAL mode readers wait for nobody. The file is opened
//! through SQLite only: closing any other handle of it would drop the locks that this process holds.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::error::{Fault, StateError};
use super::migrate::{APPLICATION_ID, Identity, MIGRATIONS, migrate, probe};

/// How long a call waits for other processes before it gives up, in seconds.
pub const BUSY_LIMIT_SECONDS: u32 = 30;

/// An open state database. It can be sent to another thread, not shared between threads:
/// whoever needs it elsewhere opens it again.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    connections: Connections,
    /// SQLite's count of commits by others, as of this value's last write.
    others: Cell<i64>,
}

#[derive(Debug)]
enum Connections {
    /// A file. The reader is dropped first, so that the writer's close tidies the WAL away.
    File { read: Connection, write: Connection },
    /// One connection for both: each in-memory connection is a database of its own.
    Memory(Connection),
    /// A file that this process only reads.
    ReadOnly(Connection),
}

impl State {
    /// Opens the database; creates its folder, the file and the newest schema as needed.
    ///
    /// Looks at the header, the schema and the root of every table, not at every page
    /// ([`State::check`] does).
    ///
    /// # Errors
    /// [`StateError::Damaged`], [`StateError::NotOurs`], [`StateError::Newer`],
    /// [`StateError::ReadOnly`], [`StateError::Full`], [`StateError::Busy`], or what the
    /// operating system says.
    pub fn open(path: &Path) -> Result<State, StateError> {
        if path.is_dir() {
            return Err(is_a_folder(path));
        }
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty() && !f.is_dir()) {
            crate::crash::point("state folder");
            std::fs::create_dir_all(folder)
                .map_err(|source| StateError::Io { path: path.to_path_buf(), source })?;
        }
        let at = |fault: Fault| opening(fault, path);
        match path.metadata() {
            Ok(file) => not_cut_short(&file, path)?,
            Err(_) => crate::crash::point("state file"),
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut write = Connection::open_with_flags(path, flags).map_err(|e| at(e.into()))?;
        prepare_writer(&mut write).map_err(|e| at(e.into()))?;
        if write.is_readonly("main").map_err(|e| at(e.into()))? {
            return Err(StateError::ReadOnly { path: path.into(), what: "permission denied".into() });
        }
        let identity = Identity::read(&write).map_err(|e| at(e.into()))?;
        admit(identity, path)?;
        if identity.is_blank() {
            crate::crash::point("state file header");
            // Before the first page is written, or it has no effect.
            write.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(|e| at(e.into()))?;
        }
        use_wal(&write).map_err(|e| at(e.into()))?;
        migrate(&write, MIGRATIONS).map_err(at)?;
        // Again: another process may have created it meanwhile.
        admit(Identity::read(&write).map_err(|e| at(e.into()))?, path)?;
        whole_pages(&write, path).and_then(|()| probe(&write)).map_err(at)?;
        let mut read = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(|e| at(e.into()))?;
        prepare_reader(&mut read).map_err(|e| at(e.into()))?;
        Ok(State::with(path, Connections::File { read, write }))
    }

    /// Opens the database to look only; `None` when there is none yet. Writes nothing and holds
    /// up no writer.
    ///
    /// # Errors
    /// As [`State::open`]; also [`StateError::Older`], because it cannot migrate.
    pub fn open_read_only(path: &Path) -> Result<Option<State>, StateError> {
        if path.is_dir() {
            return Err(is_a_folder(path));
        }
        match path.metadata() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Io { path: path.into(), source }),
            Ok(file) => not_cut_short(&file, path)?,
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let look = |mut conn: Connection| -> Result<(Connection, Identity), Fault> {
            prepare_reader(&mut conn)?;
            let identity = Identity::read(&conn)?;
            Ok((conn, identity))
        };
        let mut opened = Connection::open_with_flags(path, flags).map_err(Fault::from).and_then(look);
        if let Err(Fault::Sql(error)) = &opened
            && matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
            && wal_is_empty(path)
        {
            // A folder that cannot be written: without a WAL the file alone is the whole database,
            // and nobody can be writing it through this folder.
            opened = Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI)
                .map_err(Fault::from)
                .and_then(look);
        }
        let (conn, identity) = opened.map_err(|fault| opening(fault, path))?;
        admit(identity, path)?;
        if identity.is_blank() {
            return Ok(None);
        }
        let known = MIGRATIONS.len() as i64;
        if identity.schema < known {
            return Err(StateError::Older { path: path.into(), found: identity.schema, known });
        }
        whole_pages(&conn, path).and_then(|()| probe(&conn)).map_err(|fault| opening(fault, path))?;
        Ok(Some(State::with(path, Connections::ReadOnly(conn))))
    }

    /// A database that lives as long as the value; for tests and for looking at a lake without
    /// leaving a trace.
    ///
    /// # Errors
    /// Only when there is no memory.
    pub fn in_memory() -> Result<State, StateError> {
        let path = PathBuf::from(":memory:");
        let made = (|| {
            let mut conn = Connection::open_in_memory()?;
            prepare_writer(&mut conn)?;
            migrate(&conn, MIGRATIONS)?;
            Ok::<_, Fault>(conn)
        })();
        match made {
            Ok(conn) => Ok(State::with(&path, Connections::Memory(conn))),
            Err(fault) => Err(opening(fault, &path)),
        }
    }

    fn with(path: &Path, connections: Connections) -> State {
        State { path: path.into(), connections, others: Cell::new(0) }
    }

    /// The database's file (`:memory:` when there is none).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number that is another one when anybody has committed since it was asked before: a cheap
    /// question for who watches, before anything is read. Numbers mean nothing across openings,
    /// and a commit that comes while one reads shows in the next answer, so ask first and read
    /// then. Waits for nobody.
    ///
    /// # Errors
    /// As any read.
    pub fn pulse(&self) -> Result<i64, StateError> {
        let ask = || match &self.connections {
            // SQLite counts the commits of other connections only, and here there is no other.
            Connections::Memory(conn) => Ok(i64::try_from(conn.total_changes()).unwrap_or(i64::MAX)),
            // Outside of a transaction: inside one it would stay what it was at its beginning.
            Connections::File { read: conn, .. } | Connections::ReadOnly(conn) => {
                conn.prepare_cached("PRAGMA data_version")?.query_row([], |r| r.get(0))
            }
        };
        ask().map_err(|e: rusqlite::Error| Fault::from(e).at(&self.path, "ask for news"))
    }

    pub(super) fn reader(&self) -> &Connection {
        match &self.connections {
            Connections::File { read: conn, .. }
            | Connections::Memory(conn)
            | Connections::ReadOnly(conn) => conn,
        }
    }

    pub(super) fn writer(&self) -> Result<&Connection, StateError> {
        match &self.connections {
            Connections::File { write: conn, .. } | Connections::Memory(conn) => Ok(conn),
            Connections::ReadOnly(_) => {
                Err(StateError::ReadOnly { path: self.path.clone(), what: "it was opened to be read".into() })
            }
        }
    }

    /// One snapshot, however many statements.
    pub(super) fn read<T>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StateError> {
        let run = || {
            let tx = self.reader().unchecked_transaction()?;
            f(&tx)
        };
        run().map_err(|fault: Fault| fault.at(&self.path, doing))
    }

    /// One transaction, on disk when this returns. An error leaves nothing behind.
    pub(super) fn write<T>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, StateError> {
        let conn = self.writer()?;
        let began = Instant::now();
        let run = || {
            self.let_others_in(conn)?;
            let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
            let waited = began.elapsed();
            let value = f(&tx)?;
            crate::crash::point("sqlite commit");
            tx.commit()?;
            Ok((value, waited))
        };
        let (value, waited) = run().map_err(|fault: Fault| fault.at(&self.path, doing))?;
        tracing::debug!(
            target: "rxpulse::state",
            doing,
            waited_us = waited.as_micros() as u64,
            elapsed_us = began.elapsed().as_micros() as u64,
            "wrote"
        );
        Ok(value)
    }

    /// Leaves the lock free for a moment when others have written since our last write: they
    /// probably wait to write more, and without a pause this writer would nearly always win.
    fn let_others_in(&self, conn: &Connection) -> rusqlite::Result<()> {
        let others = conn.prepare_cached("PRAGMA data_version")?.query_row([], |r| r.get(0))?;
        if self.others.replace(others) != others && !matches!(self.connections, Connections::Memory(_)) {
            std::thread::sleep(WAIT_SHORT * 2);
        }
        Ok(())
    }
}

/// Refuses a file by what it says of itself.
fn admit(identity: Identity, path: &Path) -> Result<(), StateError> {
    let path = || path.to_path_buf();
    let known = MIGRATIONS.len() as i64;
    if identity.is_blank() {
        Ok(())
    } else if identity.application != APPLICATION_ID {
        let what = format!("its application id is {:#x}", identity.application);
        Err(StateError::NotOurs { path: path(), what })
    } else if identity.schema > known {
        Err(StateError::Newer { path: path(), found: identity.schema, known })
    } else if identity.schema < 1 || identity.objects == 0 {
        let what = format!("schema {} with {} tables and indexes", identity.schema, identity.objects);
        Err(StateError::Damaged { path: path(), what })
    } else {
        Ok(())
    }
}

/// The error of opening: a schema that cannot be read or used is damage, not a mistake of ours.
fn opening(fault: Fault, path: &Path) -> StateError {
    match fault {
        Fault::Sql(error) => match error.sqlite_error_code() {
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                let source = match std::fs::metadata(path) {
                    // SQLite does not say why; the system does, when asked the same thing.
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => e,
                    _ => std::io::Error::other(error.to_string()),
                };
                StateError::Io { path: path.into(), source }
            }
            Some(ErrorCode::Unknown) => StateError::Damaged { path: path.into(), what: error.to_string() },
            _ => Fault::Sql(error).at(path, "open"),
        },
        other => other.at(path, "open"),
    }
}

/// SQLite takes a file shorter than the smallest page for a new one.
fn not_cut_short(file: &std::fs::Metadata, path: &Path) -> Result<(), StateError> {
    match file.len() {
        0 | 512.. => Ok(()),
        len => Err(StateError::Damaged { path: path.into(), what: format!("it is {len} bytes long") }),
    }
}

/// SQLite reads the missing end of a last page as zeros. With a WAL beside it that page may
/// still be on its way.
fn whole_pages(conn: &Connection, path: &Path) -> Result<(), Fault> {
    let page: u64 = conn.query_row("PRAGMA page_size", [], |r| r.get::<_, u32>(0))?.into();
    match path.metadata() {
        Ok(file) if file.len() % page != 0 && wal_is_empty(path) => {
            Err(Fault::Damaged(format!("it is {} bytes long, and a page has {page}", file.len())))
        }
        _ => Ok(()),
    }
}

fn is_a_folder(path: &Path) -> StateError {
    let source =
        std::io::Error::new(std::io::ErrorKind::IsADirectory, "it is a folder, and a file is needed");
    StateError::Io { path: path.into(), source }
}

/// How often a waiting writer asks again.
const WAIT_SHORT: Duration = Duration::from_micros(500);

/// Waits in small steps. The lock has no queue: whoever asks while it is free gets it, and a
/// writer that commits one transaction after another leaves it free for moments only. SQLite's
/// own steps grow to 100 ms, and somebody starves.
fn wait_for_others(tries: i32) -> bool {
    const LONG: Duration = Duration::from_millis(5);
    const SHORT_TRIES: i32 = 4_000;
    const LONG_TRIES: i32 = (BUSY_LIMIT_SECONDS as i32 - 2) * 200;
    if tries >= SHORT_TRIES + LONG_TRIES {
        return false;
    }
    // After two seconds the holder is not busy but stopped.
    std::thread::sleep(if tries < SHORT_TRIES { WAIT_SHORT } else { LONG });
    true
}

fn prepare_any(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.busy_handler(Some(wait_for_others))?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")
}

fn prepare_writer(conn: &mut Connection) -> rusqlite::Result<()> {
    prepare_any(conn)?;
    // A commit is on disk when it returns, also after a power cut.
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "fullfsync", true)?;
    conn.pragma_update(None, "cache_size", -16_000)
}

fn prepare_reader(conn: &mut Connection) -> rusqlite::Result<()> {
    prepare_any(conn)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "cache_size", -8_000)
}

/// Switches to WAL. Needs the file alone for a moment, which SQLite does not always wait for.
fn use_wal(conn: &Connection) -> rusqlite::Result<()> {
    let mut tries = 0;
    loop {
        match conn.query_row("PRAGMA journal_mode = WAL", [], |r| r.get::<_, String>(0)) {
            Ok(_) => break,
            Err(e)
                if matches!(
                    e.sqlite_error_code(),
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
                ) && wait_for_others(tries) =>
            {
                tries += 1;
            }
            Err(e) => return Err(e),
        }
    }
    // The WAL shrinks back to this after a burst (bytes).
    conn.query_row("PRAGMA journal_size_limit = 16777216", [], |_| Ok(()))
}

fn wal_is_empty(path: &Path) -> bool {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    std::fs::metadata(Path::new(&wal)).map_or(true, |m| m.len() == 0)
}

/// `file:` with every byte that has a meaning in a URI escaped.
fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(byte as char),
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri + "?immutable=1"
}
