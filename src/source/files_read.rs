//! A file's content as a stream: decompressed by what its first bytes are, UTF-16 turned into
//! UTF-8, hashed as read.
//!
//! The hash is that of the file's own bytes, all of them, even those behind the end of the
//! compressed stream. Blocks on disk.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use super::capture::SourceError;
use super::utf16::Transcoder;

/// The file's bytes, hashed and counted on their way.
struct Tap {
    file: File,
    state: Rc<RefCell<TapState>>,
}

#[derive(Default)]
struct TapState {
    hasher: blake3::Hasher,
    bytes: u64,
    /// The system failed to read, as opposed to content that does not decompress.
    failed: Option<io::Error>,
}

impl Read for Tap {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read(out) {
                Ok(count) => {
                    let mut state = self.state.borrow_mut();
                    state.hasher.update(&out[..count]);
                    state.bytes += count as u64;
                    return Ok(count);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let kind = e.kind();
                    self.state.borrow_mut().failed = Some(e);
                    return Err(kind.into());
                }
            }
        }
    }
}

enum Decoder {
    Plain(BufReader<Tap>),
    Gzip(Box<flate2::bufread::MultiGzDecoder<BufReader<Tap>>>),
    Zstd(zstd::Decoder<'static, BufReader<Tap>>),
    /// Between two states; reads as empty.
    Done,
}

/// How a file is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Compression {
    Plain,
    Gzip,
    Zstd,
}

/// The uncompressed content of one file.
pub(super) struct Content {
    decoder: Decoder,
    transcoder: Transcoder,
    state: Rc<RefCell<TapState>>,
    pub compression: Compression,
}

/// The window of archive dumps: 2^31 bytes. The decoder must be told.
const WINDOW_LOG: u32 = 31;

impl Content {
    /// Looks at the first bytes and chooses the decoder. Gzip may have several members, zstd
    /// several frames.
    pub(super) fn open(file: File) -> io::Result<Self> {
        let state = Rc::new(RefCell::new(TapState::default()));
        let mut reader = BufReader::with_capacity(256 << 10, Tap { file, state: state.clone() });
        let head = reader.fill_buf()?;
        let (decoder, compression) = if head.starts_with(&[0x1f, 0x8b]) {
            (Decoder::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(reader))), Compression::Gzip)
        } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
            || (head.len() >= 4 && head[1..4] == [0x2a, 0x4d, 0x18] && head[0] & 0xf0 == 0x50)
        {
            let mut decoder = zstd::Decoder::with_buffer(reader)?;
            decoder.window_log_max(WINDOW_LOG)?;
            (Decoder::Zstd(decoder), Compression::Zstd)
        } else {
            (Decoder::Plain(reader), Compression::Plain)
        };
        Ok(Self { decoder, transcoder: Transcoder::default(), state, compression })
    }

    /// Bytes of the file read so far.
    pub(super) fn file_bytes(&self) -> u64 {
        self.state.borrow().bytes
    }

    /// What the system said when it failed to read; `None` when the content itself is broken.
    pub(super) fn system_error(&self) -> Option<io::Error> {
        self.state.borrow_mut().failed.take()
    }

    /// Reads what is left of the file, for the hash. Returns its first 128 bits and the size.
    pub(super) fn finish(&mut self) -> io::Result<(crate::graph::DataVersion, u64)> {
        let mut rest = match std::mem::replace(&mut self.decoder, Decoder::Done) {
            Decoder::Plain(reader) => Some(reader),
            Decoder::Gzip(decoder) => Some(decoder.into_inner()),
            Decoder::Zstd(decoder) => Some(decoder.finish()),
            Decoder::Done => None,
        };
        if let Some(rest) = &mut rest {
            io::copy(rest, &mut io::sink())?;
        }
        let state = self.state.borrow();
        Ok((crate::graph::DataVersion::finish(&state.hasher), state.bytes))
    }
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let decoder = &mut self.decoder;
        let mut source = |out: &mut [u8]| match decoder {
            Decoder::Plain(reader) => reader.read(out),
            Decoder::Gzip(decoder) => decoder.read(out),
            Decoder::Zstd(decoder) => decoder.read(out),
            Decoder::Done => Ok(0),
        };
        self.transcoder.read(&mut source, out)
    }
}

/// The first 128 bits of the BLAKE3 hash of a file's bytes, hexadecimal.
pub(super) fn hash_file(path: &Path) -> io::Result<String> {
    hash_open(&mut File::open(path)?).map(|(hash, _)| hash)
}

/// The same of an open file, from where it stands to its end; and how many bytes these are.
pub(super) fn hash_open(file: &mut File) -> io::Result<(String, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((crate::graph::DataVersion::finish(&hasher).to_string(), bytes)),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                bytes += count as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Reads one stretch of a file's uncompressed content: what the quarantine names by offset
/// and length. Shorter than asked when the content ends before.
pub fn read_at(path: &Path, offset: u64, length: u64) -> Result<Vec<u8>, SourceError> {
    let failed = |error| SourceError::Io { path: path.display().to_string(), error };
    let mut content = Content::open(File::open(path).map_err(failed)?).map_err(failed)?;
    io::copy(&mut (&mut content).take(offset), &mut io::sink()).map_err(failed)?;
    let mut out = Vec::new();
    (&mut content).take(length).read_to_end(&mut out).map_err(failed)?;
    Ok(out)
}

/// The hash of a file's bytes as [`super::FileRecord::content`] holds it. `locator` is relative
/// to `root`, or absolute.
pub fn content_hash(root: &Path, locator: &str) -> Result<String, SourceError> {
    hash_file(&root.join(locator)).map_err(|error| SourceError::Io { path: locator.to_string(), error })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn content_is_known_by_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("misnamed.csv");
        let gz = [gzip(b"one\n"), gzip(b"two\n")].concat();
        let zst = [zstd::encode_all(&b"one\n"[..], 1).unwrap(), zstd::encode_all(&b"two\n"[..], 1).unwrap()]
            .concat();
        for (bytes, compression) in
            [(b"one\ntwo\n".to_vec(), Compression::Plain), (gz, Compression::Gzip), (zst, Compression::Zstd)]
        {
            std::fs::write(&path, &bytes).unwrap();
            let mut content = Content::open(File::open(&path).unwrap()).unwrap();
            assert_eq!(content.compression, compression);
            let mut text = String::new();
            content.read_to_string(&mut text).unwrap();
            assert_eq!(text, "one\ntwo\n");
            let (hash, size) = content.finish().unwrap();
            assert_eq!((hash.to_string(), size), (hash_file(&path).unwrap(), bytes.len() as u64));
            assert_eq!(read_at(&path, 4, 3).unwrap(), b"two");
            assert_eq!(read_at(&path, 6, 30).unwrap(), b"o\n");
        }
    }

    #[test]
    fn utf16_is_read_as_utf8_and_hashed_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        let text = "id,text\n1,später 😀\n";
        let bytes: Vec<u8> =
            std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        for bytes in [bytes.clone(), gzip(&bytes)] {
            std::fs::write(&path, &bytes).unwrap();
            let mut content = Content::open(File::open(&path).unwrap()).unwrap();
            let mut read = String::new();
            content.read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
            assert_eq!(content.finish().unwrap().0.to_string(), hash_file(&path).unwrap());
            // Places are those of the text as it is read.
            assert_eq!(read_at(&path, 8, 9).unwrap(), "1,später".as_bytes());
        }
    }

    #[test]
    fn the_hash_covers_bytes_behind_the_stream() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.gz");
        let mut bytes = gzip(b"one\n");
        bytes.extend_from_slice(&[7; 1000]);
        std::fs::write(&path, &bytes).unwrap();
        let mut content = Content::open(File::open(&path).unwrap()).unwrap();
        let mut text = Vec::new();
        assert!(content.read_to_end(&mut text).is_err());
        assert_eq!(text, b"one\n");
        assert!(content.system_error().is_none());
        assert_eq!(content.finish().unwrap().0.to_string(), hash_file(&path).unwrap());
    }
}
