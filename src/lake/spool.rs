//! Bytes on their way into the lake: in memory, in a temporary file of the lake's own file
//! system, or read from elsewhere.
//!
//! Invariant: a temporary file that was not moved into place is removed when it is dropped;
//! those of a killed process are collected when they are old.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::error::LakeError;
use crate::crash;

/// The folder of temporary files; in the same file system as the lake, so that a file can be
/// renamed into place.
#[derive(Clone, Debug)]
pub struct TempFolder {
    path: PathBuf,
}

/// A temporary file; removed on drop unless it was moved into place.
#[derive(Debug)]
pub struct TempFile {
    path: PathBuf,
    bytes: u64,
    placed: bool,
}

impl TempFolder {
    /// The folder at `path`, made when the first file is.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes an empty temporary file.
    pub fn create(&self) -> Result<(TempFile, File), LakeError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!("{:x}-{:x}-{n:x}", std::process::id(), process_token()));
        crash::point("create temporary file");
        let open = || File::options().read(true).write(true).create_new(true).open(&path);
        let file = match open() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(&self.path)
                    .map_err(|e| LakeError::io("create folder", &self.path, 0, e))?;
                open()
            }
            other => other,
        };
        let file = file.map_err(|e| LakeError::io("create", &path, 0, e))?;
        Ok((TempFile { path, bytes: 0, placed: false }, file))
    }
}

/// Tells apart two processes that were given the same id, on this machine or another.
fn process_token() -> u64 {
    static TOKEN: OnceLock<u64> = OnceLock::new();
    *TOKEN.get_or_init(|| RandomState::new().build_hasher().finish())
}

impl TempFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes were written to it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The caller has moved or removed it.
    pub(super) fn placed(&mut self) {
        self.placed = true;
    }

    pub(super) fn set_bytes(&mut self, bytes: u64) {
        self.bytes = bytes;
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.placed {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Finished bytes, kept until they are published or dropped.
#[derive(Debug)]
pub enum Spool {
    /// Small: in memory.
    Memory(Bytes),
    /// Large: in a temporary file of the lake.
    File(TempFile),
}

impl Spool {
    /// How many bytes it holds.
    pub fn bytes(&self) -> u64 {
        match self {
            Spool::Memory(bytes) => bytes.len() as u64,
            Spool::File(file) => file.bytes(),
        }
    }
}

/// The bytes of an object to be put into the lake.
pub enum Body {
    /// A finished spool.
    Spool(Spool),
    /// Read once, when the object has to be written.
    Reader(Box<dyn Read + Send>),
    /// Already written.
    Used,
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Body::Spool(Spool::Memory(bytes.into()))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Body::Spool(spool) => spool.fmt(f),
            Body::Reader(_) => f.write_str("Reader"),
            Body::Used => f.write_str("Used"),
        }
    }
}

/// Collects bytes in memory, past a limit in a temporary file, and hashes them on the way.
pub(super) struct SpoolWriter {
    temps: TempFolder,
    limit: usize,
    memory: Vec<u8>,
    file: Option<(TempFile, BufWriter<File>)>,
    hasher: blake3::Hasher,
    bytes: u64,
    /// The error behind the `io::Error` given to the Parquet writer, with its path.
    failed: Option<LakeError>,
}

impl SpoolWriter {
    pub(super) fn new(temps: TempFolder, limit: usize) -> Self {
        Self {
            temps,
            limit,
            memory: Vec::new(),
            file: None,
            hasher: blake3::Hasher::new(),
            bytes: 0,
            failed: None,
        }
    }

    /// The failure that made a write fail, with its path.
    pub(super) fn take_failure(&mut self) -> Option<LakeError> {
        self.failed.take()
    }

    /// The bytes and the first 128 bits of their hash.
    pub(super) fn finish(self) -> Result<(Spool, [u8; 16]), LakeError> {
        let mut hash = [0; 16];
        hash.copy_from_slice(&self.hasher.finalize().as_bytes()[..16]);
        let spool = match self.file {
            None => Spool::Memory(self.memory.into()),
            Some((mut temp, writer)) => {
                writer
                    .into_inner()
                    .map_err(|e| LakeError::io("write", temp.path(), self.bytes, e.into_error()))?;
                temp.set_bytes(self.bytes);
                Spool::File(temp)
            }
        };
        Ok((spool, hash))
    }

    fn try_write(&mut self, buf: &[u8]) -> Result<(), LakeError> {
        if self.file.is_none() && self.memory.len() + buf.len() > self.limit {
            let (temp, file) = self.temps.create()?;
            let mut writer = BufWriter::with_capacity(256 << 10, file);
            let need = (self.memory.len() + buf.len()) as u64;
            writer.write_all(&self.memory).map_err(|e| LakeError::io("write", temp.path(), need, e))?;
            self.memory = Vec::new();
            self.file = Some((temp, writer));
        }
        match &mut self.file {
            None => self.memory.extend_from_slice(buf),
            Some((temp, writer)) => {
                let need = self.bytes + buf.len() as u64;
                writer.write_all(buf).map_err(|e| LakeError::io("write", temp.path(), need, e))?;
            }
        }
        self.hasher.update(buf);
        self.bytes += buf.len() as u64;
        Ok(())
    }
}

impl Write for SpoolWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.try_write(buf) {
            Ok(()) => Ok(buf.len()),
            Err(error) => {
                let text = error.to_string();
                self.failed.get_or_insert(error);
                Err(io::Error::other(text))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
