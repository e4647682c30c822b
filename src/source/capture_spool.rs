//! Finished bronze objects before they are put: memory first, then one unnamed file.
//!
//! An object is a sequence of zstd frames, each cut at the first line end at or after a
//! fixed number of bytes, so that an object's bytes depend only on its lines (and, when very
//! many days are open at once, on the lines of the reading). Readers see one zstd stream.
//! Blocks on disk once past the memory limit.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::graph::DataVersion;

/// Uncompressed bytes after which a frame is closed.
pub(super) const FRAME: usize = 64 << 10;
/// Level -1: on lines of JSON that hold each text twice, a quarter less time than level 1 for a
/// fifth more space, and faster to read. Above level 1 the time grows faster than the space
/// shrinks.
const LEVEL: i32 = -1;

enum Store {
    Memory(Vec<u8>),
    Disk(File),
}

impl Store {
    fn read_exact_at(&self, out: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Store::Memory(bytes) => {
                let from = at as usize;
                let range = bytes.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
                out.copy_from_slice(range);
                Ok(())
            }
            Store::Disk(file) => file.read_exact_at(out, at),
        }
    }
}

/// Where the frames of all objects of one reading lie.
pub(super) struct Spool {
    store: Store,
    length: u64,
    memory_limit: usize,
    compressor: zstd::bulk::Compressor<'static>,
    frame: Vec<u8>,
}

impl Spool {
    /// An empty spool that moves to an unnamed file past `memory_limit` bytes.
    pub(super) fn new(memory_limit: usize) -> io::Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        Ok(Self { store: Store::Memory(Vec::new()), length: 0, memory_limit, compressor, frame: Vec::new() })
    }

    /// Compresses `lines` into one frame; says where it lies.
    pub(super) fn push(&mut self, lines: &[u8], temp_dir: Option<&Path>) -> io::Result<FrameAt> {
        self.frame.clear();
        self.frame.reserve(zstd::zstd_safe::compress_bound(lines.len()));
        self.compressor.compress_to_buffer(lines, &mut self.frame)?;
        if let Store::Memory(bytes) = &mut self.store {
            if bytes.len() + self.frame.len() <= self.memory_limit {
                bytes.extend_from_slice(&self.frame);
            } else {
                let file = match temp_dir {
                    Some(dir) => {
                        std::fs::create_dir_all(dir)?;
                        tempfile::tempfile_in(dir)?
                    }
                    None => tempfile::tempfile()?,
                };
                file.write_all_at(bytes, 0)?;
                file.write_all_at(&self.frame, self.length)?;
                self.store = Store::Disk(file);
            }
        } else if let Store::Disk(file) = &self.store {
            file.write_all_at(&self.frame, self.length)?;
        }
        let at = FrameAt { offset: self.length, length: self.frame.len() as u64 };
        self.length += at.length;
        Ok(at)
    }

    /// Ends writing. The frames can be read from now on.
    pub(super) fn finish(self) -> FinishedSpool {
        FinishedSpool(Arc::new(self.store))
    }
}

/// Where one frame lies in the spool.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameAt {
    offset: u64,
    length: u64,
}

#[derive(Clone)]
pub(super) struct FinishedSpool(Arc<Store>);

impl FinishedSpool {
    /// Names an object made of `frames`.
    pub(super) fn object(&self, mut frames: Vec<FrameAt>, rows: u64) -> io::Result<SpoolObject> {
        // Neighbours become one range: fewer reads.
        frames.dedup_by(|next, last| {
            let joined = last.offset + last.length == next.offset;
            if joined {
                last.length += next.length;
            }
            joined
        });
        let bytes = frames.iter().map(|f| f.length).sum();
        let mut object =
            SpoolObject { rows, bytes, hash: DataVersion([0; 16]), store: self.0.clone(), frames };
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(object.reader())?;
        object.hash = DataVersion::finish(&hasher);
        Ok(object)
    }
}

/// One finished object: zstd-compressed NDJSON. Cheap to clone; its bytes live as long as
/// any object of the same reading.
#[derive(Clone)]
pub struct SpoolObject {
    /// Lines.
    pub rows: u64,
    /// Compressed bytes.
    pub bytes: u64,
    /// The first 128 bits of the BLAKE3 hash of the bytes: the object's name.
    pub hash: DataVersion,
    store: Arc<Store>,
    frames: Vec<FrameAt>,
}

impl SpoolObject {
    /// The object's bytes, from the start.
    pub fn reader(&self) -> impl Read + '_ {
        ObjectReader { object: self, frame: 0, at: 0 }
    }

    /// The object's bytes at once.
    pub fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(self.bytes as usize);
        self.reader().read_to_end(&mut out)?;
        Ok(out)
    }
}

impl std::fmt::Debug for SpoolObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SpoolObject({} rows, {} bytes, c={})", self.rows, self.bytes, self.hash)
    }
}

struct ObjectReader<'a> {
    object: &'a SpoolObject,
    frame: usize,
    at: u64,
}

impl Read for ObjectReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(frame) = self.object.frames.get(self.frame) else { return Ok(0) };
        let count = (frame.length - self.at).min(out.len() as u64) as usize;
        self.object.store.read_exact_at(&mut out[..count], frame.offset + self.at)?;
        self.at += count as u64;
        if self.at == frame.length {
            self.frame += 1;
            self.at = 0;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(memory_limit: usize) -> Vec<(DataVersion, Vec<u8>)> {
        let mut spool = Spool::new(memory_limit).unwrap();
        let mut frames = vec![Vec::new(), Vec::new()];
        for i in 0..40usize {
            let lines = format!("{{\"n\":{i}}}\n").repeat(1000 + i);
            let at = spool.push(lines.as_bytes(), None).unwrap();
            frames[(i / 2) % 2].push(at);
        }
        let spool = spool.finish();
        frames
            .into_iter()
            .map(|f| spool.object(f, 1).unwrap())
            .map(|o| (o.hash, o.to_vec().unwrap()))
            .collect()
    }

    #[test]
    fn disk_and_memory_hold_the_same_objects() {
        let memory = objects(usize::MAX);
        assert_eq!(memory, objects(0));
        assert_eq!(memory, objects(1000));
        for (hash, bytes) in memory {
            assert_eq!(hash, DataVersion::of(&bytes));
            let text = zstd::decode_all(&bytes[..]).unwrap();
            assert!(text.ends_with(b"}\n") && text.len() > 100_000);
        }
    }
}
