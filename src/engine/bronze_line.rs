//! One line of bronze into columns: the hot loop of the product.
//!
//! Lines that this program wrote have the envelope's fields in order, `raw` last; those are
//! scanned by hand, and whatever follows the last asked column is skipped. Every other shape
//! goes through the envelope's own deserializer. Both ways give the same values, which a
//! property test holds.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions,
    StringViewBuilder, TimestampMillisecondBuilder,
};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use memchr::memchr2;

use crate::envelope::{Envelope, Text, parse_millis};

/// How a field is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    OptText,
    PostType,
    Time,
    OptTime,
    OptInt,
    OptFloat,
    Bool,
    Seq,
}

/// The envelope's fields in the order of the file.
pub(super) const FIELDS: [(&str, Kind); 23] = [
    ("platform", Kind::Text),
    ("source", Kind::Text),
    ("native_id", Kind::Text),
    ("post_type", Kind::PostType),
    ("channel", Kind::OptText),
    ("created_at", Kind::OptTime),
    ("title", Kind::OptText),
    ("body", Kind::OptText),
    ("url", Kind::OptText),
    ("author", Kind::OptText),
    ("score", Kind::OptInt),
    ("num_comments", Kind::OptInt),
    ("rating", Kind::OptFloat),
    ("parent_id", Kind::OptText),
    ("link_title", Kind::OptText),
    ("crosspost_parent", Kind::OptText),
    ("edited_at", Kind::OptTime),
    ("deleted", Kind::Bool),
    ("fetched_at", Kind::Time),
    ("locator", Kind::Text),
    ("seq", Kind::Seq),
    ("adapter_version", Kind::Text),
    ("raw", Kind::Text),
];

const N: usize = FIELDS.len();

enum Builder {
    Text(StringViewBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Time(TimestampMillisecondBuilder),
    Bool(BooleanBuilder),
}

/// A field of the current line.
#[derive(Clone, Copy)]
enum Slot<'a> {
    Null,
    /// Text as it stands in the line.
    Text(&'a str),
    /// Text without its escapes: a range of the scratch.
    Unescaped(usize, usize),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// The columns being built.
pub(super) struct Columns {
    /// Builders of the asked fields, by field.
    builders: [Option<Builder>; N],
    /// `dt`, when asked.
    dt: Option<StringViewBuilder>,
    /// The asked positions, in order; `N` is `dt`.
    order: Vec<usize>,
    /// One past the last asked field.
    upto: usize,
    /// What a line must have before each field's value.
    names: [String; N],
    scratch: String,
    rows: usize,
}

impl Columns {
    /// Columns for positions of the table: fields of the envelope, then `dt`.
    pub(super) fn new(positions: &[usize]) -> Self {
        let mut builders: [Option<Builder>; N] = Default::default();
        for &i in positions.iter().filter(|i| **i < N) {
            builders[i] = Some(match FIELDS[i].1 {
                Kind::Text | Kind::OptText | Kind::PostType => Builder::Text(StringViewBuilder::new()),
                Kind::OptInt | Kind::Seq => Builder::Int(Int64Builder::new()),
                Kind::OptFloat => Builder::Float(Float64Builder::new()),
                Kind::Time | Kind::OptTime => Builder::Time(TimestampMillisecondBuilder::new()),
                Kind::Bool => Builder::Bool(BooleanBuilder::new()),
            });
        }
        Self {
            dt: positions.contains(&N).then(StringViewBuilder::new),
            order: positions.to_vec(),
            upto: builders.iter().rposition(Option::is_some).map_or(0, |i| i + 1),
            builders,
            names: std::array::from_fn(|i| format!("{}\"{}\":", if i == 0 { '{' } else { ',' }, FIELDS[i].0)),
            scratch: String::new(),
            rows: 0,
        }
    }

    /// Rows since the last batch.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds one line of an object of `day`.
    ///
    /// # Errors
    /// What is wrong with the line; nothing was added.
    pub(super) fn push(&mut self, line: &[u8], day: &str) -> Result<(), String> {
        if !self.push_fast(line) {
            let envelope: Envelope<'_> = serde_json::from_slice(line).map_err(|e| e.to_string())?;
            self.push_envelope(&envelope)?;
        }
        if let Some(dt) = &mut self.dt {
            dt.append_value(day);
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows so far as a batch; starts the next.
    pub(super) fn finish(&mut self, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let columns = self
            .order
            .iter()
            .map(|&i| -> Result<ArrayRef, ArrowError> {
                let column = if i == N {
                    self.dt.as_mut().map(|b| Arc::new(b.finish()) as ArrayRef)
                } else {
                    self.builders[i].as_mut().map(|b| match b {
                        Builder::Text(b) => Arc::new(b.finish()) as ArrayRef,
                        Builder::Int(b) => Arc::new(b.finish()),
                        Builder::Float(b) => Arc::new(b.finish()),
                        Builder::Time(b) => Arc::new(b.finish()),
                        Builder::Bool(b) => Arc::new(b.finish()),
                    })
                };
                column.ok_or_else(|| ArrowError::SchemaError("no such bronze column".to_string()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        RecordBatch::try_new_with_options(schema.clone(), columns, &options)
    }

    /// The fixed shape. False when the line has another one, or a value that only the full
    /// deserializer may judge; nothing was added then.
    fn push_fast(&mut self, line: &[u8]) -> bool {
        if line.last() != Some(&b'}') {
            return false;
        }
        self.scratch.clear();
        let mut slots = [Slot::Null; N];
        let mut at = 0;
        for i in 0..self.upto {
            let name = self.names[i].as_bytes();
            if !line[at..].starts_with(name) {
                return false;
            }
            at += name.len();
            let wanted = self.builders[i].is_some();
            let Some((slot, next)) = value(line, at, FIELDS[i].1, wanted, &mut self.scratch) else {
                return false;
            };
            slots[i] = slot;
            at = next;
        }
        // The last field ends the line; an earlier one is followed by its neighbour.
        let follows = if self.upto == N { at + 1 == line.len() } else { line.get(at) == Some(&b',') };
        if self.upto > 0 && !follows {
            return false;
        }
        for (builder, slot) in self.builders.iter_mut().zip(slots) {
            let Some(builder) = builder else { continue };
            match (builder, slot) {
                (Builder::Text(b), Slot::Text(text)) => b.append_value(text),
                (Builder::Text(b), Slot::Unescaped(from, to)) => b.append_value(&self.scratch[from..to]),
                (Builder::Text(b), _) => b.append_null(),
                (Builder::Int(b), Slot::Int(n)) => b.append_value(n),
                (Builder::Int(b), _) => b.append_null(),
                (Builder::Float(b), Slot::Float(x)) => b.append_value(x),
                (Builder::Float(b), _) => b.append_null(),
                (Builder::Time(b), Slot::Int(ms)) => b.append_value(ms),
                (Builder::Time(b), _) => b.append_null(),
                (Builder::Bool(b), Slot::Bool(x)) => b.append_value(x),
                (Builder::Bool(b), _) => b.append_null(),
            }
        }
        true
    }

    fn push_envelope(&mut self, e: &Envelope<'_>) -> Result<(), String> {
        let seq = i64::try_from(e.seq).map_err(|_| format!("seq {} is too large", e.seq))?;
        let text = |t: &Option<Text<'_>>| t.as_ref().map(|t| t.as_str().to_string());
        for (i, builder) in self.builders.iter_mut().enumerate() {
            let Some(builder) = builder else { continue };
            match builder {
                Builder::Text(b) => b.append_option(match FIELDS[i].0 {
                    "platform" => Some(e.platform.as_str().to_string()),
                    "source" => Some(e.source.as_str().to_string()),
                    "native_id" => Some(e.native_id.as_str().to_string()),
                    "post_type" => Some(e.post_type.as_str().to_string()),
                    "channel" => text(&e.channel),
                    "title" => text(&e.title),
                    "body" => text(&e.body),
                    "url" => text(&e.url),
                    "author" => text(&e.author),
                    "parent_id" => text(&e.parent_id),
                    "link_title" => text(&e.link_title),
                    "crosspost_parent" => text(&e.crosspost_parent),
                    "locator" => Some(e.locator.as_str().to_string()),
                    "adapter_version" => Some(e.adapter_version.as_str().to_string()),
                    _ => Some(e.raw.as_str().to_string()),
                }),
                Builder::Int(b) => b.append_option(match FIELDS[i].0 {
                    "score" => e.score,
                    "num_comments" => e.num_comments,
                    _ => Some(seq),
                }),
                Builder::Float(b) => b.append_option(e.rating),
                Builder::Time(b) => b.append_option(match FIELDS[i].0 {
                    "created_at" => e.created_at,
                    "edited_at" => e.edited_at,
                    _ => Some(e.fetched_at),
                }),
                Builder::Bool(b) => b.append_value(e.deleted),
            }
        }
        Ok(())
    }
}

/// The value at `at` and the position after it; `None` for anything out of the ordinary.
fn value<'a>(
    line: &'a [u8],
    at: usize,
    kind: Kind,
    wanted: bool,
    scratch: &mut String,
) -> Option<(Slot<'a>, usize)> {
    match kind {
        Kind::OptText | Kind::OptTime | Kind::OptInt | Kind::OptFloat if line[at..].starts_with(b"null") => {
            Some((Slot::Null, at + 4))
        }
        Kind::Text | Kind::OptText | Kind::PostType => {
            let (end, escaped) = string_end(line, at)?;
            if !wanted {
                return Some((Slot::Null, end + 1));
            }
            let slot = string(&line[at + 1..end], escaped, scratch)?;
            if kind == Kind::PostType {
                let Slot::Text("post" | "comment" | "review" | "ticket" | "moved") = slot else {
                    return None;
                };
            }
            Some((slot, end + 1))
        }
        Kind::Time | Kind::OptTime => {
            let (end, escaped) = string_end(line, at)?;
            if !wanted {
                return Some((Slot::Null, end + 1));
            }
            let Slot::Text(text) = string(&line[at + 1..end], escaped, scratch)? else { return None };
            Some((Slot::Int(parse_millis(text)?), end + 1))
        }
        Kind::OptInt | Kind::Seq => {
            let (n, end) = integer(line, at, kind == Kind::OptInt)?;
            Some((Slot::Int(n), end))
        }
        Kind::OptFloat => {
            let (x, end) = float(line, at)?;
            Some((Slot::Float(x), end))
        }
        Kind::Bool => {
            let rest = &line[at..];
            if rest.starts_with(b"false") {
                Some((Slot::Bool(false), at + 5))
            } else if rest.starts_with(b"true") {
                Some((Slot::Bool(true), at + 4))
            } else {
                None
            }
        }
    }
}

/// The position of the quote that ends the string which starts at `at`, and whether the
/// string has escapes.
fn string_end(line: &[u8], at: usize) -> Option<(usize, bool)> {
    if line.get(at) != Some(&b'"') {
        return None;
    }
    let mut i = at + 1;
    let mut escaped = false;
    loop {
        i += memchr2(b'"', b'\\', line.get(i..)?)?;
        if line[i] == b'"' {
            return Some((i, escaped));
        }
        escaped = true;
        i += 2;
    }
}

fn string<'a>(inside: &'a [u8], escaped: bool, scratch: &mut String) -> Option<Slot<'a>> {
    // Without a short cut, so that the compiler can look at many bytes at once.
    if inside.iter().fold(false, |found, b| found | (*b < 0x20)) {
        return None;
    }
    let text = std::str::from_utf8(inside).ok()?;
    if !escaped {
        return Some(Slot::Text(text));
    }
    let from = scratch.len();
    let mut rest = text;
    while let Some(i) = memchr::memchr(b'\\', rest.as_bytes()) {
        scratch.push_str(&rest[..i]);
        let code = *rest.as_bytes().get(i + 1)?;
        let mut used = i + 2;
        scratch.push(match code {
            b'n' => '\n',
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let high = hex4(rest, used)?;
                used += 4;
                if (0xD800..0xDC00).contains(&high) {
                    if rest.get(used..used + 2)? != "\\u" {
                        return None;
                    }
                    let low = hex4(rest, used + 2)?;
                    used += 6;
                    if !(0xDC00..0xE000).contains(&low) {
                        return None;
                    }
                    char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))?
                } else {
                    char::from_u32(high)?
                }
            }
            _ => return None,
        });
        rest = rest.get(used..)?;
    }
    scratch.push_str(rest);
    Some(Slot::Unescaped(from, scratch.len()))
}

fn hex4(text: &str, at: usize) -> Option<u32> {
    text.as_bytes().get(at..at + 4)?.iter().try_fold(0, |n, d| Some(n * 16 + (*d as char).to_digit(16)?))
}

/// A number's digits: at most 18, without a useless zero in front.
fn integer(line: &[u8], at: usize, signed: bool) -> Option<(i64, usize)> {
    let negative = signed && line.get(at) == Some(&b'-');
    let from = at + usize::from(negative);
    let digits = line.get(from..)?.iter().take_while(|b| b.is_ascii_digit()).count();
    let end = from + digits;
    let leading_zero = line.get(from) == Some(&b'0') && (digits > 1 || negative);
    if digits == 0 || digits > 18 || leading_zero || !matches!(line.get(end), Some(b',' | b'}')) {
        return None;
    }
    let n = line[from..end].iter().fold(0i64, |n, d| n * 10 + i64::from(d - b'0'));
    Some((if negative { -n } else { n }, end))
}

/// A plain decimal of at most 15 digits, which every correct reader rounds alike.
fn float(line: &[u8], at: usize) -> Option<(f64, usize)> {
    let negative = line.get(at) == Some(&b'-');
    let from = at + usize::from(negative);
    let whole = line.get(from..)?.iter().take_while(|b| b.is_ascii_digit()).count();
    let mut end = from + whole;
    let mut digits = whole;
    if line.get(end) == Some(&b'.') {
        let fraction = line[end + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        if fraction == 0 {
            return None;
        }
        digits += fraction;
        end += 1 + fraction;
    }
    let leading_zero = line.get(from) == Some(&b'0') && whole > 1;
    if whole == 0 || digits > 15 || leading_zero || !matches!(line.get(end), Some(b',' | b'}')) {
        return None;
    }
    let text = std::str::from_utf8(&line[at..end]).ok()?;
    Some((text.parse().ok()?, end))
}
