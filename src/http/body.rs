//! A body as it comes in: decompressed while it streams, never more than the cap.
//!
//! Decompression is done here rather than in reqwest, so that the bytes on the wire are counted
//! and a body that ends too early is told apart from one that is broken. Pure.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::DParameter;

/// The largest window that HTTP allows zstd (RFC 9659): 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// What this client says that it can read.
pub const ACCEPT_ENCODING: &str = "gzip, zstd";

/// Why a body cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyProblem {
    /// Longer than the cap.
    TooLarge,
    /// It ends in the middle.
    Cut,
    /// The compression is unknown or broken.
    Broken(String),
}

/// Bytes up to a limit.
#[derive(Debug)]
struct Capped {
    bytes: Vec<u8>,
    cap: usize,
    over: bool,
}

impl Write for Capped {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let (len, room) = (self.bytes.len(), self.cap - self.bytes.len());
        // Grows by doubling like any vector, but not past the cap.
        let wanted = len + data.len().min(room);
        if wanted > self.bytes.capacity() {
            self.bytes.reserve_exact(wanted.max(len.saturating_mul(2)).min(self.cap) - len);
        }
        if data.len() > room {
            self.bytes.extend_from_slice(&data[..room]);
            self.over = true;
            return Err(io::Error::other("over the cap"));
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes a body's pieces in.
pub struct Collector(Form);

enum Form {
    Plain(Capped),
    Gzip { decoder: Box<MultiGzDecoder<Capped>>, any: bool },
    Zstd { decoder: ZstdDecoder<'static>, out: Capped, space: Vec<u8>, between_frames: bool },
}

impl Collector {
    /// A collector for a body with this `Content-Encoding`, of at most `cap` bytes.
    ///
    /// # Errors
    ///
    /// `Broken` for an encoding that nobody asked for.
    pub fn new(encoding: Option<&str>, cap: u64) -> Result<Self, BodyProblem> {
        let cap = usize::try_from(cap).unwrap_or(usize::MAX);
        let out = Capped { bytes: Vec::new(), cap, over: false };
        let encoding = encoding.unwrap_or_default().trim().to_ascii_lowercase();
        Ok(Self(match encoding.as_str() {
            "" | "identity" => Form::Plain(out),
            "gzip" | "x-gzip" => Form::Gzip { decoder: Box::new(MultiGzDecoder::new(out)), any: false },
            "zstd" => {
                let broken = |e: io::Error| BodyProblem::Broken(format!("zstd: {e}"));
                let mut decoder = ZstdDecoder::new().map_err(broken)?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).map_err(broken)?;
                Form::Zstd { decoder, out, space: vec![0; 64 << 10], between_frames: true }
            }
            other => {
                let name: String = other.chars().filter(char::is_ascii_graphic).take(40).collect();
                return Err(BodyProblem::Broken(format!(
                    "it is compressed as `{name}`, which was not asked for (only {ACCEPT_ENCODING})"
                )));
            }
        }))
    }

    /// Takes the next piece.
    ///
    /// # Errors
    ///
    /// `TooLarge` when the cap is passed, `Broken` when it cannot be decompressed.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), BodyProblem> {
        match &mut self.0 {
            Form::Plain(out) => out.write_all(piece).map_err(|_| BodyProblem::TooLarge),
            Form::Gzip { decoder, any } => {
                *any |= !piece.is_empty();
                match decoder.write_all(piece) {
                    Ok(()) => Ok(()),
                    Err(_) if decoder.get_ref().over => Err(BodyProblem::TooLarge),
                    Err(e) => Err(BodyProblem::Broken(format!("gzip: {e}"))),
                }
            }
            Form::Zstd { decoder, out, space, between_frames } => {
                let mut input = InBuffer::around(piece);
                loop {
                    let (before, mut output) = (input.pos(), OutBuffer::around(space.as_mut_slice()));
                    let hint = decoder
                        .run(&mut input, &mut output)
                        .map_err(|e| BodyProblem::Broken(format!("zstd: {e}")))?;
                    let written = output.pos();
                    *between_frames = hint == 0;
                    out.write_all(&space[..written]).map_err(|_| BodyProblem::TooLarge)?;
                    let all_read = input.pos() == piece.len();
                    if all_read && written < space.len() || (input.pos() == before && written == 0) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    ///
    /// `Cut` when the compressed stream is not at its end.
    pub fn finish(self) -> Result<Vec<u8>, BodyProblem> {
        match self.0 {
            Form::Plain(out) => Ok(out.bytes),
            Form::Gzip { any: false, .. } => Ok(Vec::new()),
            Form::Gzip { mut decoder, .. } => match decoder.try_finish() {
                Ok(()) => Ok(std::mem::take(&mut decoder.get_mut().bytes)),
                Err(_) if decoder.get_ref().over => Err(BodyProblem::TooLarge),
                Err(_) => Err(BodyProblem::Cut),
            },
            Form::Zstd { between_frames: false, .. } => Err(BodyProblem::Cut),
            Form::Zstd { out, .. } => Ok(out.bytes),
        }
    }

    /// What is there so far, cut at the cap.
    pub fn so_far(self) -> Vec<u8> {
        match self.0 {
            Form::Plain(out) | Form::Zstd { out, .. } => out.bytes,
            Form::Gzip { mut decoder, .. } => std::mem::take(&mut decoder.get_mut().bytes),
        }
    }

    /// Bytes held so far.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Plain(out) | Form::Zstd { out, .. } => out.bytes.len(),
            Form::Gzip { decoder, .. } => decoder.get_ref().bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn collect(encoding: &str, cap: u64, pieces: &[&[u8]]) -> Result<Vec<u8>, BodyProblem> {
        let mut collector = Collector::new(Some(encoding), cap)?;
        for piece in pieces {
            collector.push(piece)?;
            assert!(collector.len() as u64 <= cap);
        }
        collector.finish()
    }

    #[test]
    fn bodies_come_out_whole_however_they_are_cut_into_pieces() {
        let text: Vec<u8> =
            (0..300_000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
        let zstd = zstd::encode_all(text.as_slice(), 3).unwrap();
        let two_frames = [zstd.as_slice(), &zstd::encode_all(&b"end"[..], 3).unwrap()].concat();
        let two_members = [gzip(&text), gzip(b"end")].concat();
        let both = [text.as_slice(), b"end"].concat();
        for (encoding, wire, whole) in [
            ("identity", text.clone(), &text),
            ("", text.clone(), &text),
            ("GZIP", gzip(&text), &text),
            ("x-gzip", two_members, &both),
            ("zstd", zstd, &text),
            ("zstd", two_frames, &both),
        ] {
            for size in [1000, 65_536, usize::MAX / 2] {
                let pieces: Vec<&[u8]> = wire.chunks(size.min(wire.len())).collect();
                assert!(collect(encoding, 2 << 20, &pieces).unwrap() == *whole, "{encoding} by {size}");
            }
            let exact = whole.len() as u64;
            assert!(collect(encoding, exact, &[&wire]).is_ok(), "{encoding} at the cap");
            assert_eq!(collect(encoding, exact - 1, &[&wire]), Err(BodyProblem::TooLarge), "{encoding}");
        }
    }

    #[test]
    fn every_cut_of_a_compressed_body_is_seen() {
        let text = b"a short text, short text, short text";
        for (encoding, wire) in [("gzip", gzip(text)), ("zstd", zstd::encode_all(&text[..], 3).unwrap())] {
            for end in 1..wire.len() {
                assert_eq!(
                    collect(encoding, 1000, &[&wire[..end]]),
                    Err(BodyProblem::Cut),
                    "{encoding} {end}"
                );
            }
            // An answer without a body, such as 304, may still name an encoding.
            assert_eq!(collect(encoding, 1000, &[]), Ok(Vec::new()));
        }
    }

    #[test]
    fn bombs_stop_at_the_cap_and_nonsense_is_named() {
        let zeros = vec![0u8; 8 << 20];
        for (encoding, wire) in [("gzip", gzip(&zeros)), ("zstd", zstd::encode_all(&zeros[..], 3).unwrap())] {
            assert_eq!(collect(encoding, 1 << 20, &[&wire]), Err(BodyProblem::TooLarge));
            let mut collector = Collector::new(Some(encoding), 1 << 20).unwrap();
            assert!(collector.push(&wire).is_err());
            let held = collector.so_far();
            assert_eq!((held.len(), held.capacity()), (1 << 20, 1 << 20));
            let broken = collect(encoding, 1000, &[b"<html>no compression at all</html>"]);
            assert!(matches!(broken, Err(BodyProblem::Broken(_))), "{broken:?}");
        }
        for encoding in ["br", "deflate", "gzip, zstd", "\u{1b}[2J"] {
            let Err(BodyProblem::Broken(words)) = Collector::new(Some(encoding), 1).map(|_| ()) else {
                panic!("{encoding} was taken")
            };
            assert!(!words.contains('\u{1b}'), "{words}");
        }
        // A frame that wants a window of 128 MiB.
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(&[1; 1000]).unwrap();
        let wide = encoder.finish().unwrap();
        assert!(matches!(collect("zstd", 1 << 30, &[&wide]), Err(BodyProblem::Broken(_))));
    }
}
