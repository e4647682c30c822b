//! UTF-16 with a byte order mark, as Excel and the Play Console write it, read as UTF-8.
//!
//! Invariant: what is no UTF-16 becomes bytes that are no UTF-8, so that the record is set aside
//! and not guessed. Blocks when what it reads from does.

use std::io;

/// A byte that stands nowhere in UTF-8.
const NONE: u8 = 0xff;

/// Which byte of a unit comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Little,
    Big,
}

/// Turns UTF-16 into UTF-8 on its way; other content passes unchanged.
#[derive(Debug, Default)]
pub(super) struct Transcoder {
    /// `None` until the first bytes were seen.
    looked: bool,
    order: Option<Order>,
    /// Bytes as they came, not understood yet.
    raw: Vec<u8>,
    /// UTF-8, not handed on yet, and how much of it was.
    out: Vec<u8>,
    given: usize,
    /// The first half of a pair.
    high: Option<u16>,
    ended: bool,
}

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;

impl Transcoder {
    /// Reads the next bytes of `source`, as UTF-8 where it begins with a mark of UTF-16.
    pub(super) fn read(
        &mut self,
        source: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
        out: &mut [u8],
    ) -> io::Result<usize> {
        if !self.looked {
            self.look(source)?;
        }
        loop {
            if self.given < self.out.len() {
                let n = out.len().min(self.out.len() - self.given);
                out[..n].copy_from_slice(&self.out[self.given..self.given + n]);
                self.given += n;
                return Ok(n);
            }
            let Some(order) = self.order else { return source(out) };
            if self.ended || out.is_empty() {
                return Ok(0);
            }
            self.out.clear();
            self.given = 0;
            let begin = self.raw.len();
            self.raw.resize(begin + CHUNK, 0);
            let read = source(&mut self.raw[begin..]);
            self.raw.truncate(begin + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                self.ended = true;
                // Half a unit, or half a pair.
                if !self.raw.is_empty() || self.high.is_some() {
                    self.out.push(NONE);
                }
                continue;
            }
            self.convert(order);
        }
    }

    /// Looks at the first bytes. What is no mark is handed on.
    fn look(&mut self, source: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<()> {
        let mut head = [0; 4];
        let mut len = self.raw.len();
        head[..len].copy_from_slice(&self.raw);
        while len < head.len() {
            let n = match source(&mut head[len..]) {
                Ok(n) => n,
                Err(error) => {
                    // Asked again, it goes on from here.
                    self.raw = head[..len].to_vec();
                    return Err(error);
                }
            };
            if n == 0 {
                break;
            }
            len += n;
        }
        self.looked = true;
        self.raw.clear();
        let head = &head[..len];
        // UTF-32 begins with the same mark; its text would be full of zeros.
        self.order = match head {
            [0xff, 0xfe, 0, 0] => None,
            [0xff, 0xfe, ..] => Some(Order::Little),
            [0xfe, 0xff, ..] => Some(Order::Big),
            _ => None,
        };
        match self.order {
            Some(order) => {
                self.raw.extend_from_slice(&head[2..]);
                self.convert(order);
            }
            None => self.out.extend_from_slice(head),
        }
        Ok(())
    }

    fn convert(&mut self, order: Order) {
        let whole = self.raw.len() / 2 * 2;
        for at in (0..whole).step_by(2) {
            let pair = [self.raw[at], self.raw[at + 1]];
            let unit = match order {
                Order::Little => u16::from_le_bytes(pair),
                Order::Big => u16::from_be_bytes(pair),
            };
            self.take(unit);
        }
        self.raw.drain(..whole);
    }

    fn take(&mut self, unit: u16) {
        let mut put = |c: Option<char>| match c {
            Some(c) => self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => self.out.push(NONE),
        };
        match (self.high.take(), unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                let code = 0x1_0000 + ((u32::from(high) - 0xd800) << 10) + (u32::from(unit) - 0xdc00);
                put(char::from_u32(code));
                return;
            }
            (Some(_), _) => put(None),
            (None, _) => {}
        }
        match unit {
            0xd800..=0xdbff => self.high = Some(unit),
            unit => put(char::from_u32(u32::from(unit))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(text: &str, order: Order) -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units
            .flat_map(|unit| match order {
                Order::Little => unit.to_le_bytes(),
                Order::Big => unit.to_be_bytes(),
            })
            .collect()
    }

    /// Reads it all, in pieces of some sizes.
    fn read(bytes: &[u8], piece: usize, room: usize) -> Vec<u8> {
        let mut rest = bytes;
        let mut source = |out: &mut [u8]| {
            let n = out.len().min(piece).min(rest.len());
            out[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            Ok(n)
        };
        let mut transcoder = Transcoder::default();
        let mut out = Vec::new();
        let mut part = vec![0; room];
        loop {
            match transcoder.read(&mut source, &mut part).unwrap() {
                0 => return out,
                n => out.extend_from_slice(&part[..n]),
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in r"\PC{0,200}", piece in 1usize..9, room in 1usize..9) {
            for order in [Order::Little, Order::Big] {
                // A text that begins with the character 0 would be marked as UTF-32.
                prop_assert_eq!(read(&encoded(&text, order), piece, room), text.as_bytes());
            }
        }

        #[test]
        fn other_bytes_pass(bytes in proptest::collection::vec(any::<u8>(), 0..50), piece in 1usize..9) {
            prop_assume!(!bytes.starts_with(&[0xff, 0xfe]) && !bytes.starts_with(&[0xfe, 0xff]));
            prop_assert_eq!(read(&bytes, piece, 7), bytes);
        }
    }

    #[test]
    fn what_is_no_utf16_is_no_utf8() {
        let lone = |unit: u16| [&[0xff, 0xfe, b'a', 0][..], &unit.to_le_bytes(), &[b'b', 0]].concat();
        assert_eq!(read(&lone(0xd800), 3, 5), b"a\xffb");
        assert_eq!(read(&lone(0xdc00), 3, 5), b"a\xffb");
        assert_eq!(read(&[0xff, 0xfe, b'a', 0, b'b'], 2, 5), b"a\xff", "half a unit");
        assert_eq!(read(&[0xff, 0xfe, b'a', 0, 0x00, 0xd8], 2, 5), b"a\xff", "half a pair");
        assert_eq!(
            read(&[0xff, 0xfe, 0, 0, b'a', 0, 0, 0], 8, 8),
            [0xff, 0xfe, 0, 0, b'a', 0, 0, 0],
            "UTF-32"
        );
        assert_eq!(read(&[0xff, 0xfe], 1, 1), b"");
        assert_eq!(read(&[0xff], 1, 1), [0xff]);
    }
}
