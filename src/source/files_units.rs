//! Cutting a stream into units: lines, JSON values, or CSV rows.
//!
//! One pass over one buffer that never holds more than the longest allowed unit; longer ones
//! are skipped and reported with their first bytes. Whether a unit parses is not its concern.
//! Blocks when the stream does.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use memchr::{memchr, memchr_iter, memchr2};

use super::splice::{skip_space, value_end};

/// How the content is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// One unit a line.
    Lines,
    /// JSON values one after the other; the elements of an outermost list are units.
    Values,
    /// CSV rows with this delimiter; line breaks inside quotes belong to the row.
    Rows(u8),
}

/// How a unit ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// As it should.
    Whole,
    /// With the content: it may be cut.
    Content,
    /// A quote or bracket in it stays open; the next unit begins on the next line.
    Open,
    /// Longer than allowed: only its first bytes are there.
    Oversized,
}

/// One unit: where it stands.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    at: Range<usize>,
    pub ending: Ending,
    pub offset: u64,
    pub length: u64,
    pub line: u64,
    /// A quote in it is still open.
    pub open: bool,
}

impl Unit {
    /// A record that stands at no byte of its own, as a row of Parquet.
    pub(super) fn row(length: usize) -> Self {
        Self { at: 0..0, ending: Ending::Whole, offset: 0, length: length as u64, line: 0, open: false }
    }
}

const CHUNK: usize = 256 << 10;
/// First bytes kept of an oversized unit.
const HEAD: usize = 4096;
/// Units left open that are given up line by line; more of them end the file as one unit.
const REOPENS: u32 = 1000;
/// A listing is many records: it may be longer than one.
const MAX_LISTING: usize = 32 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Outside,
    /// In a container this deep.
    Inside(usize),
    Scalar,
    FieldStart,
    Plain,
    Quoted,
    QuoteInQuoted,
}

/// The cutter.
pub(super) struct Units<'c, R> {
    pub source: R,
    shape: Shape,
    limit: usize,
    cancel: Option<&'c AtomicBool>,
    buffer: Vec<u8>,
    /// Where the current unit begins, up to where it is scanned, and where the data ends.
    start: usize,
    scan: usize,
    end: usize,
    /// The stream's byte at `buffer[0]`.
    base: u64,
    line: u64,
    line_at: usize,
    ended: bool,
    /// Why the stream ended before its end.
    pub broken: Option<io::Error>,
    state: State,
    in_string: bool,
    escaped: bool,
    in_list: bool,
    over: Option<(u64, u64)>,
    head: Vec<u8>,
    reopens: u32,
}

impl<'c, R: Read> Units<'c, R> {
    /// Reads the first bytes; `shape` decides from them how to cut.
    pub(super) fn new(
        source: R,
        limit: usize,
        cancel: Option<&'c AtomicBool>,
        shape: impl FnOnce(&[u8]) -> Shape,
    ) -> Self {
        let mut units = Self {
            source,
            shape: Shape::Lines,
            limit,
            cancel,
            buffer: Vec::new(),
            start: 0,
            scan: 0,
            end: 0,
            base: 0,
            line: 1,
            line_at: 0,
            ended: false,
            broken: None,
            state: State::Outside,
            in_string: false,
            escaped: false,
            in_list: false,
            over: None,
            head: Vec::new(),
            reopens: 0,
        };
        while units.end < CHUNK && units.fill() {}
        if units.buffer[..units.end].starts_with(b"\xef\xbb\xbf") {
            units.start = 3;
            units.scan = 3;
        }
        units.shape = shape(&units.buffer[units.start..units.end]);
        if let Shape::Rows(_) = units.shape {
            units.state = State::FieldStart;
        }
        units
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// The unit's bytes; of an oversized one the first.
    pub(super) fn bytes(&self, unit: &Unit) -> &[u8] {
        match unit.ending {
            Ending::Oversized => &self.head,
            _ => &self.buffer[unit.at.clone()],
        }
    }

    /// Whether the content ended inside an outermost list.
    pub(super) fn list_is_open(&self) -> bool {
        self.in_list
    }

    /// The next unit that is not blank.
    pub(super) fn next(&mut self) -> Option<Unit> {
        loop {
            let unit = match self.shape {
                Shape::Lines => self.next_line(),
                Shape::Values => self.next_value(),
                Shape::Rows(delimiter) => self.next_row(delimiter),
            }?;
            let blank = unit.ending != Ending::Oversized
                && self.buffer[unit.at.clone()].iter().all(u8::is_ascii_whitespace);
            if !blank {
                return Some(unit);
            }
        }
    }

    fn next_line(&mut self) -> Option<Unit> {
        loop {
            if let Some(found) = memchr(b'\n', &self.buffer[self.scan..self.end]) {
                let stop = self.scan + found;
                let last = if self.buffer[self.start..stop].last() == Some(&b'\r') { stop - 1 } else { stop };
                let unit = self.cut(last, stop + 1, Ending::Whole);
                self.line += 1;
                self.line_at = stop + 1;
                return Some(unit);
            }
            self.scan = self.end;
            if let Some(last) = self.more() {
                return last;
            }
        }
    }

    fn next_value(&mut self) -> Option<Unit> {
        loop {
            while self.scan < self.end {
                let c = self.buffer[self.scan];
                if self.in_string {
                    self.scan_string();
                    continue;
                }
                match self.state {
                    State::Inside(depth) => {
                        self.scan += 1;
                        match c {
                            b'"' => self.in_string = true,
                            b'{' | b'[' => self.state = State::Inside(depth + 1),
                            b'}' | b']' if depth == 1 => {
                                self.state = State::Outside;
                                return Some(self.cut(self.scan, self.scan, Ending::Whole));
                            }
                            b'}' | b']' => self.state = State::Inside(depth - 1),
                            _ => {}
                        }
                    }
                    State::Scalar => match c {
                        b',' | b']' | b'\n' | b'{' | b'[' => {
                            self.state = State::Outside;
                            return Some(self.cut(self.scan, self.scan, Ending::Whole));
                        }
                        _ => {
                            self.in_string = c == b'"';
                            self.scan += 1;
                        }
                    },
                    _ => {
                        self.start = self.scan;
                        self.scan += 1;
                        match c {
                            b' ' | b'\t' | b'\r' | b'\n' | b',' => self.start = self.scan,
                            b'[' if !self.in_list => {
                                self.in_list = true;
                                self.start = self.scan;
                            }
                            b']' if self.in_list => {
                                self.in_list = false;
                                self.start = self.scan;
                            }
                            b'{' | b'[' => self.state = State::Inside(1),
                            _ => {
                                self.in_string = c == b'"';
                                self.state = State::Scalar;
                            }
                        }
                    }
                }
            }
            if let Some(last) = self.more() {
                self.state = State::Outside;
                self.in_string = false;
                self.escaped = false;
                return last;
            }
        }
    }

    fn scan_string(&mut self) {
        if self.escaped {
            self.escaped = false;
            self.scan += 1;
            return;
        }
        match memchr2(b'"', b'\\', &self.buffer[self.scan..self.end]) {
            None => self.scan = self.end,
            Some(found) => {
                self.scan += found + 1;
                if self.buffer[self.scan - 1] == b'"' {
                    self.in_string = false;
                } else {
                    self.escaped = true;
                }
            }
        }
    }

    fn next_row(&mut self, delimiter: u8) -> Option<Unit> {
        loop {
            while self.scan < self.end {
                if self.state == State::Quoted {
                    match memchr(b'"', &self.buffer[self.scan..self.end]) {
                        None => self.scan = self.end,
                        Some(found) => {
                            self.scan += found + 1;
                            self.state = State::QuoteInQuoted;
                        }
                    }
                    continue;
                }
                let c = self.buffer[self.scan];
                self.scan += 1;
                self.state = match (self.state, c) {
                    (State::FieldStart | State::QuoteInQuoted, b'"') => State::Quoted,
                    (_, b'\n' | b'\r') => {
                        self.state = State::FieldStart;
                        return Some(self.cut(self.scan - 1, self.scan, Ending::Whole));
                    }
                    (_, c) if c == delimiter => State::FieldStart,
                    _ => State::Plain,
                };
            }
            if let Some(last) = self.more() {
                self.state = State::FieldStart;
                return last;
            }
        }
    }

    /// More data, or the last unit. Everything in the buffer is scanned and no unit ended.
    fn more(&mut self) -> Option<Option<Unit>> {
        let long = self.over.is_none() && self.is_long(self.end - self.start);
        if long {
            if let Some(unit) = self.reopen() {
                return Some(Some(unit));
            }
            self.count_lines(self.start);
            self.over = Some((self.base + self.start as u64, self.line));
            self.head.clear();
            let head = self.start..self.end.min(self.start + HEAD);
            self.head.extend_from_slice(&self.buffer[head]);
        }
        if self.over.is_some() {
            self.count_lines(self.scan);
            self.start = self.scan;
        }
        if self.fill() {
            return None;
        }
        if self.over.is_none() {
            if self.start >= self.end {
                return Some(None);
            }
            if self.broken.is_none()
                && let Some(unit) = self.reopen()
            {
                return Some(Some(unit));
            }
        }
        Some(Some(self.cut(self.end, self.end, Ending::Content)))
    }

    /// Gives up a unit that a stray quote keeps open: it ends with its first line, and the
    /// next one begins there. Lists of values: only where a line begins with an object.
    fn reopen(&mut self) -> Option<Unit> {
        let rest = &self.buffer[self.start..self.end];
        let stop = match self.shape {
            Shape::Lines => None,
            Shape::Rows(_) if self.state == State::Quoted => memchr(b'\n', rest),
            Shape::Rows(_) => None,
            Shape::Values => memchr::memmem::find(rest, b"\n{"),
        }?;
        if self.reopens >= REOPENS {
            return None;
        }
        self.reopens += 1;
        let stop = self.start + stop;
        Some(self.cut(stop, stop + 1, Ending::Open))
    }

    fn is_long(&self, length: usize) -> bool {
        if length <= self.limit {
            return false;
        }
        let head = &self.buffer[self.start..self.end.min(self.start + 256)];
        let listing = memchr::memmem::find(head, b"\"Listing\"").is_some()
            || memchr::memmem::find(head, b"\"children\"").is_some();
        !listing || length > MAX_LISTING
    }

    /// Ends the current unit at `stop`; the next one begins at `next`.
    fn cut(&mut self, stop: usize, next: usize, ending: Ending) -> Unit {
        let unit = match self.over.take() {
            Some((offset, line)) => Unit {
                at: 0..0,
                ending: Ending::Oversized,
                offset,
                length: self.base + stop as u64 - offset,
                line,
                open: false,
            },
            None => {
                self.count_lines(self.start);
                let at = self.start..stop.max(self.start);
                let long = self.is_long(at.len());
                if long {
                    self.head.clear();
                    self.head.extend_from_slice(&self.buffer[at.start..at.end.min(at.start + HEAD)]);
                }
                Unit {
                    ending: if long { Ending::Oversized } else { ending },
                    offset: self.base + at.start as u64,
                    length: at.len() as u64,
                    line: self.line,
                    open: self.state == State::Quoted,
                    at,
                }
            }
        };
        self.start = next;
        self.scan = next;
        unit
    }

    fn count_lines(&mut self, to: usize) {
        if to > self.line_at {
            self.line += memchr_iter(b'\n', &self.buffer[self.line_at..to]).count() as u64;
            self.line_at = to;
        }
    }

    /// Reads on behind what is there. False at the end.
    fn fill(&mut self) -> bool {
        if self.ended || self.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
            self.ended = true;
            return false;
        }
        if self.start > 0 && self.buffer.len() - self.end < CHUNK {
            self.count_lines(self.start);
            self.buffer.copy_within(self.start..self.end, 0);
            self.base += self.start as u64;
            self.scan -= self.start;
            self.end -= self.start;
            self.line_at -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < CHUNK {
            let grown = (self.end + 2 * CHUNK).max(self.buffer.len() * 3 / 2);
            self.buffer.resize(grown, 0);
        }
        let room = self.end..self.end + CHUNK;
        match self.source.read(&mut self.buffer[room]) {
            Ok(0) => self.ended = true,
            Ok(count) => self.end += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                self.broken = Some(e);
                self.ended = true;
            }
        }
        !self.ended
    }
}

/// How content that begins with `head` is cut. `tabular`: the source may hold CSV; `extension`:
/// the file's, without that of a compression.
pub(super) fn sniff(head: &[u8], tabular: bool, extension: &str) -> Shape {
    let json = matches!(extension, "json" | "ndjson" | "jsonl");
    let start = skip_space(head, 0);
    let content = &head[start..];
    let (line, rest) = match memchr(b'\n', content) {
        Some(end) => (&content[..end], &content[end + 1..]),
        None => (content, &content[content.len()..]),
    };
    match content.first() {
        Some(b'[') => Shape::Values,
        Some(b'{') => {
            let whole = value_end(line, 0).is_some_and(|end| skip_space(line, end) == line.len());
            let pretty =
                line.trim_ascii() == b"{" || matches!(rest.first(), Some(b' ' | b'\t' | b'"' | b'}' | b'\r'));
            if !whole && pretty { Shape::Values } else { Shape::Lines }
        }
        Some(_) if tabular && !json => {
            let objects = memchr::memmem::find(head, b"\n{\"").is_some();
            if objects && !matches!(extension, "csv" | "tsv") {
                Shape::Lines
            } else {
                Shape::Rows(delimiter(line))
            }
        }
        _ => Shape::Lines,
    }
}

/// The delimiter that stands most often in the header, outside quotes.
fn delimiter(header: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut quoted = false;
    for &c in header {
        quoted ^= c == b'"';
        if !quoted && let Some((_, count)) = counts.iter_mut().find(|(d, _)| *d == c) {
            *count += 1;
        }
    }
    // The first of equals: a single column is "comma-separated".
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(d, _)| *d)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives a few bytes at a time, to meet every border.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(self.1).min(out.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn cut(content: &[u8], shape: Shape, limit: usize, drip: usize) -> Vec<String> {
        // The first read waits for a chunk, so the shape is set by hand after it.
        let mut units = Units::new(Drip(content, drip), limit, None, |_| shape);
        let mut out = Vec::new();
        while let Some(unit) = units.next() {
            let bytes = units.bytes(&unit);
            out.push(format!(
                "{}@{}+{} {:?} {}",
                unit.line,
                unit.offset,
                unit.length,
                unit.ending,
                String::from_utf8_lossy(&bytes[..bytes.len().min(30)])
            ));
            if unit.ending != Ending::Oversized {
                let at = unit.offset as usize;
                assert_eq!(bytes, &content[at..at + unit.length as usize]);
            }
        }
        assert!(units.broken.is_none());
        out
    }

    #[test]
    fn lines() {
        insta::assert_snapshot!(cut(b"\xef\xbb\xbf{1}\r\n\n  \n{2}\nhalf", Shape::Lines, 100, 3).join("\n"), @r"
        1@3+3 Whole {1}
        4@12+3 Whole {2}
        5@16+4 Content half
        ");
    }

    #[test]
    fn values() {
        let text = b"[ {\"a\":\"}]\\\"\"},\n {\"b\":[1,{}]} , 7, \"x,y\"]\n{\"c\":1}{\"d\":2}\n[[3]]{\"e\":";
        insta::assert_snapshot!(cut(text, Shape::Values, 100, 3).join("\n"), @r#"
        1@2+12 Whole {"a":"}]\""}
        2@17+12 Whole {"b":[1,{}]}
        2@32+1 Whole 7
        2@35+5 Whole "x,y"
        3@42+7 Whole {"c":1}
        3@49+7 Whole {"d":2}
        4@58+3 Whole [3]
        4@62+5 Content {"e":
        "#);
    }

    #[test]
    fn rows() {
        let text = b"id,text\r\n1,\"two\nlines, \"\"quoted\"\"\"\r\n\r\n2,a\"b\n3,\"open\n4,x\n";
        insta::assert_snapshot!(cut(text, Shape::Rows(b','), 100, 2).join("\n"), @r#"
        1@0+7 Whole id,text
        2@9+25 Whole 1,"two
        lines, ""quoted"""
        5@38+5 Whole 2,a"b
        6@44+7 Open 3,"open
        7@52+3 Whole 4,x
        "#);
    }

    #[test]
    fn long_units_are_skipped_whole() {
        let long = [b"{\"x\":\"".as_slice(), &[b'y'; 3_000_000], b"\"}"].concat();
        let lines = [b"{1}\n".as_slice(), &long, b"\n{2}\n", &long].concat();
        insta::assert_snapshot!(cut(&lines, Shape::Lines, 1000, 70_000).join("\n"), @r#"
        1@0+3 Whole {1}
        2@4+3000008 Oversized {"x":"yyyyyyyyyyyyyyyyyyyyyyyy
        3@3000013+3 Whole {2}
        4@3000017+3000008 Oversized {"x":"yyyyyyyyyyyyyyyyyyyyyyyy
        "#);
        let list = [b"[{},\n".as_slice(), &long, b",{}]"].concat();
        insta::assert_snapshot!(cut(&list, Shape::Values, 1000, 70_000).join("\n"), @r#"
        1@1+2 Whole {}
        2@5+3000008 Oversized {"x":"yyyyyyyyyyyyyyyyyyyyyyyy
        2@3000014+2 Whole {}
        "#);
    }

    #[test]
    fn shapes_are_seen() {
        let of = |head: &str, tabular, extension| sniff(head.as_bytes(), tabular, extension);
        assert_eq!(of("{\"a\":1}\n{\"a\":2}\n", true, ""), Shape::Lines);
        assert_eq!(of("{\"a\":1", true, ""), Shape::Lines);
        assert_eq!(of("{\"broken\n{\"a\":2}\n", false, ""), Shape::Lines);
        assert_eq!(of("{\n  \"a\": 1\n}\n", false, ""), Shape::Values);
        assert_eq!(of("\n[{\"a\":1}]", false, ""), Shape::Values);
        assert_eq!(of("id,text\n1,2\n", true, ""), Shape::Rows(b','));
        assert_eq!(of("id;a,b;text\n1;2\n", true, "csv"), Shape::Rows(b';'));
        assert_eq!(of("id\ttext\n", true, "tsv"), Shape::Rows(b'\t'));
        assert_eq!(of("garbage\n{\"a\":1}\n", true, ""), Shape::Lines);
        assert_eq!(of("garbage\n", true, "ndjson"), Shape::Lines);
        assert_eq!(of("id,text\n", false, "csv"), Shape::Lines);
        assert_eq!(of("", true, "csv"), Shape::Lines);
    }

    proptest! {
        // Every case fills large buffers many times.
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
        #[test]
        fn no_byte_is_lost_and_borders_do_not_matter(
            text in r#"(["{}\[\],\n\r\\ ab]|\{"a":1\}|\n\{){0,60}"#,
            drip in 1usize..9,
        ) {
            for shape in [Shape::Lines, Shape::Values, Shape::Rows(b',')] {
                let whole = cut(text.as_bytes(), shape, 1 << 20, usize::MAX);
                prop_assert_eq!(&whole, &cut(text.as_bytes(), shape, 1 << 20, drip));
                cut(text.as_bytes(), shape, 5, drip);
            }
        }
    }
}
