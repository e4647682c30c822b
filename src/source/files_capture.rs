//! Reading one file: content → units → records → capture.
//!
//! Every record is counted once, whatever it is; only the system failing to read, a wrong
//! column map or a cancel are errors. Blocks on disk and computes for long.

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use memchr::memmem::Finder;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::adapter::{Loose, Redactor, Reject};
use super::adapter_generic::{self, GenericMap};
use super::adapter_reddit::{self, FileFacts};
use super::adapter_things::{Found, things};
use super::capture::{Capture, CaptureContext, CaptureOutput, Place, SourceError};
use super::capture_index::KnownIndex;
use super::capture_spool::SpoolObject;
use super::encode;
use super::files::{FileFormat, FileRecord, FilesDef};
use super::files_observe::mtime_ns;
use super::files_parquet::{Next, Rows};
use super::files_read::{Compression, Content, hash_open};
use super::files_units::{Ending, Shape, Unit, Units, sniff};
use super::net::Gone;
use super::quarantine::Quarantines;
use super::splice::{self, AuthorKey};
use crate::diagnostic::did_you_mean;
use crate::envelope::{Envelope, Text};
use crate::graph::Day;

/// What reading one file produced.
#[derive(Debug)]
pub struct Captured {
    /// What to remember of the file.
    pub record: FileRecord,
    /// New objects by day; empty when bronze holds everything.
    pub objects: std::collections::BTreeMap<Day, SpoolObject>,
    /// Records set aside.
    pub quarantine: Quarantines,
    /// Posts that were found deleted, and were not known to be.
    pub gone: Vec<Gone>,
}

/// An unfinished end of a plain file is waited for this long after its last change.
const GROWS_MS: i64 = 24 * 3_600_000;

/// Reads the file `locator` (relative to `root`, or absolute) once, from start to end.
/// `known` is what bronze holds of this source and locator; `progress` hears how many bytes
/// of the file are read; setting `cancel` ends the reading soon with [`SourceError::Canceled`].
pub fn capture_file(
    def: &FilesDef,
    root: &Path,
    locator: &str,
    context: &CaptureContext,
    known: KnownIndex,
    progress: &mut dyn FnMut(u64),
    cancel: &AtomicBool,
) -> Result<Captured, SourceError> {
    let failed = |error| SourceError::Io { path: locator.to_string(), error };
    let mut file = File::open(root.join(locator)).map_err(failed)?;
    // Before the content: a file that is written meanwhile looks changed next time.
    let meta = file.metadata().map_err(failed)?;
    let modified = mtime_ns(&meta);
    let extension = extension(locator);
    let redactor = Redactor::new(&context.privacy);
    let facts = FileFacts {
        source: &def.name,
        locator,
        modified_ms: modified / 1_000_000,
        now_ms: context.now_ms,
        redactor: &redactor,
    };
    let mut reading = Reading {
        capture: Capture::new(context, locator, known)?,
        facts: &facts,
        context,
        def,
        seq: 0,
        row: Row::default(),
        kind: Finder::new(b"\"kind\""),
        replies: Finder::new(b"\"replies\""),
        crossposts: Finder::new(b"\"crosspost_parent_list\""),
        others: None,
    };
    if extension == "parquet" {
        let (hash, size) = hash_open(&mut file).map_err(failed)?;
        let broken = reading.parquet(file, size, progress, cancel)?;
        return reading.end(modified, hash, size, "parquet".to_string(), broken);
    }
    let content = Content::open(file).map_err(failed)?;
    let compression = content.compression;
    let tabular = matches!(def.format, FileFormat::Generic(_));
    let mut units =
        Units::new(content, def.max_record_bytes, Some(cancel), |head| sniff(head, tabular, &extension));
    let shape = units.shape();
    let waits =
        compression == Compression::Plain && context.now_ms.saturating_sub(facts.modified_ms) <= GROWS_MS;
    let mut told = 0;
    let mut tail_kept = false;
    while let Some(unit) = units.next() {
        if cancel.load(Ordering::Relaxed) {
            return Err(SourceError::Canceled);
        }
        let bytes = units.bytes(&unit);
        if unit.ending == Ending::Content && reading.is_cut(shape, bytes, unit.open || units.broken.is_some())
        {
            tail_kept = true;
            if waits && units.broken.is_none() {
                reading.capture.counts_mut().pending_bytes = unit.length;
            } else {
                let reject = Reject::new("truncated", "the content ends inside the record");
                reading.set_aside(&reject, &unit, bytes)?;
            }
        } else {
            reading.unit(shape, &unit, bytes)?;
        }
        let read = units.source.file_bytes();
        if read >= told + (1 << 20) {
            told = read;
            progress(read);
        }
    }
    if cancel.load(Ordering::Relaxed) {
        return Err(SourceError::Canceled);
    }
    if let Some(error) = units.source.system_error() {
        return Err(failed(error));
    }
    let mut broken = units.broken.as_ref().map(|e| format!("the compressed content is broken: {e}"));
    if broken.is_some() && !tail_kept {
        // Something is missing, even if it broke between two records.
        let reject = Reject::new("truncated", "the compressed content is broken here");
        let at = Place { seq: reading.next_seq(), line: 0, offset: 0, length: 0, bytes: b"" };
        reading.capture.set_aside(&reject, &at, None)?;
    }
    if broken.is_none() && shape == Shape::Values && units.list_is_open() && !tail_kept {
        broken = Some("the list does not end".to_string());
    }
    let (hash, size) = units.source.finish().map_err(failed)?;
    progress(size);
    reading.end(modified, hash.to_string(), size, format_name(shape, compression), broken)
}

fn extension(locator: &str) -> String {
    let name = locator.rsplit('/').next().unwrap_or(locator).to_ascii_lowercase();
    let plain = name.strip_suffix(".zst").or_else(|| name.strip_suffix(".gz")).unwrap_or(&name);
    plain.rsplit_once('.').map_or("", |(_, extension)| extension).to_string()
}

fn format_name(shape: Shape, compression: Compression) -> String {
    let shape = match shape {
        Shape::Lines => "ndjson",
        Shape::Values => "json",
        Shape::Rows(_) => "csv",
    };
    match compression {
        Compression::Plain => shape.to_string(),
        Compression::Gzip => format!("{shape}+gzip"),
        Compression::Zstd => format!("{shape}+zstd"),
    }
}

struct Reading<'a> {
    capture: Capture,
    facts: &'a FileFacts<'a>,
    context: &'a CaptureContext,
    def: &'a FilesDef,
    seq: u64,
    row: Row,
    kind: Finder<'static>,
    replies: Finder<'static>,
    crossposts: Finder<'static>,
    /// Creation of the oldest and the newest record of a channel that is not asked for.
    others: Option<(i64, i64)>,
}

/// A CSV file's header and the current row's JSON.
#[derive(Default)]
struct Row {
    header: Vec<String>,
    raw: Vec<u8>,
}

impl Reading<'_> {
    /// Whether a record is of a channel that the source does not ask for.
    fn elsewhere(&self, e: &Envelope<'_>) -> bool {
        let only = &self.def.only_channels;
        let channel = e.channel.as_ref().map(|c| c.as_str().to_ascii_lowercase());
        !only.is_empty() && !channel.is_some_and(|c| only.contains(&c))
    }

    /// What the reading produced.
    fn end(
        self,
        mtime_ns: i64,
        content: String,
        bytes: u64,
        format: String,
        broken: Option<String>,
    ) -> Result<Captured, SourceError> {
        let CaptureOutput { counts, objects, quarantine, gone, span } = self.capture.finish()?;
        let other = self.others.map(|(a, b)| (self.context.day_of_ms(a), self.context.day_of_ms(b)));
        let reaches = match (span.any, other) {
            (Some(own), Some(other)) => Some((own.0.min(other.0), own.1.max(other.1))),
            (own, other) => own.or(other),
        };
        debug_assert!(counts.adds_up());
        let record = FileRecord {
            locator: self.facts.locator.to_string(),
            bytes,
            mtime_ns,
            content,
            adapter: self.def.version(&self.context.privacy),
            start: self.context.start,
            end: self.context.end,
            counts,
            first_day: span.good.map(|(first, _)| first),
            last_day: span.good.map(|(_, last)| last),
            seen_days: span.any,
            reaches,
            future_from: span.future_from,
            days_held: objects.len() as u64,
            at_ms: self.context.now_ms,
            format,
            broken,
        };
        Ok(Captured { record, objects, quarantine, gone })
    }

    /// Reads the rows of a Parquet file; says why it ended early, if it did.
    fn parquet(
        &mut self,
        file: File,
        size: u64,
        progress: &mut dyn FnMut(u64),
        cancel: &AtomicBool,
    ) -> Result<Option<String>, SourceError> {
        let mut rows = match Rows::open(file, self.def.format == FileFormat::Reddit) {
            Ok(rows) => rows,
            Err(why) => return self.parquet_ends(0, None, &why).map(Some),
        };
        if let FileFormat::Generic(map) = &self.def.format {
            check_columns(map, rows.names(), true, self.facts.locator)?;
        }
        let mut row = Vec::new();
        let mut read = 0u64;
        loop {
            if cancel.load(Ordering::Relaxed) {
                return Err(SourceError::Canceled);
            }
            let reject = match rows.next(&mut row) {
                Ok(Next::Row) if row.len() > self.def.max_record_bytes => {
                    let most = self.def.max_record_bytes;
                    Some(Reject::new("oversized", format!("{} bytes; at most {most} are read", row.len())))
                }
                Ok(Next::Row) => None,
                Ok(Next::Refused(reject)) => Some(reject),
                Ok(Next::End) if read < rows.total => {
                    return self.parquet_ends(read, Some(rows.total), "rows are missing").map(Some);
                }
                Ok(Next::End) => break,
                Err(why) => return self.parquet_ends(read, Some(rows.total), &why).map(Some),
            };
            read += 1;
            let unit = Unit::row(row.len());
            match reject {
                Some(reject) => self.set_aside(&reject, &unit, &row[..row.len().min(4096)])?,
                None => self.unit(Shape::Lines, &unit, &row)?,
            }
            if read.is_multiple_of(1024) {
                progress((u128::from(size) * u128::from(read) / u128::from(rows.total.max(1))) as u64);
            }
        }
        progress(size);
        Ok(None)
    }

    /// Sets aside what a damaged Parquet file does not give.
    fn parquet_ends(&mut self, read: u64, total: Option<u64>, why: &str) -> Result<String, SourceError> {
        let place = match total {
            Some(total) => format!("after {read} of {total} rows"),
            None => "before its first row".to_string(),
        };
        let broken = format!("the Parquet content is broken {place}: {why}");
        let reject = Reject::new("truncated", broken.as_str());
        let at = Place { seq: self.next_seq(), line: 0, offset: 0, length: 0, bytes: b"" };
        self.capture.set_aside(&reject, &at, None)?;
        Ok(broken)
    }

    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Whether the last unit is not all there.
    fn is_cut(&self, shape: Shape, bytes: &[u8], surely: bool) -> bool {
        match shape {
            Shape::Rows(delimiter) => {
                surely
                    || (!self.row.header.is_empty()
                        && std::str::from_utf8(bytes)
                            .map_or(true, |row| cells(row, delimiter).len() != self.row.header.len()))
            }
            Shape::Lines | Shape::Values => serde_json::from_slice::<IgnoredAny>(bytes).is_err(),
        }
    }

    fn author_column(&self) -> Option<&str> {
        match &self.def.format {
            FileFormat::Reddit => None,
            FileFormat::Generic(map) => map.author_column(),
        }
    }

    fn set_aside(&mut self, reject: &Reject, unit: &Unit, bytes: &[u8]) -> Result<(), SourceError> {
        let seq = self.next_seq();
        let at = Place { seq, line: unit.line, offset: unit.offset, length: unit.length, bytes };
        let column = self.author_column().map(str::to_string);
        let names_author = |name: &String| splice::is_author(name.as_bytes(), column.as_deref()).is_some();
        let in_rows = !self.facts.redactor.keeps() && self.row.header.iter().any(names_author);
        if in_rows {
            // Which cell of a broken row is the author cannot be told: show none.
            self.capture.set_aside_unseen(reject, &at, String::new())?;
        } else {
            self.capture.set_aside(reject, &at, column.as_deref())?;
        }
        Ok(())
    }

    fn unit(&mut self, shape: Shape, unit: &Unit, bytes: &[u8]) -> Result<(), SourceError> {
        match unit.ending {
            Ending::Oversized => {
                let most = self.def.max_record_bytes;
                let reject =
                    Reject::new("oversized", format!("{} bytes; at most {most} are read", unit.length));
                return self.set_aside(&reject, unit, bytes);
            }
            Ending::Open => {
                let reject = match shape {
                    Shape::Rows(_) => Reject::new("csv_row", "a quote is not closed"),
                    _ => Reject::new("invalid_json", "a quote or bracket is not closed"),
                };
                return self.set_aside(&reject, unit, bytes);
            }
            Ending::Whole | Ending::Content => {}
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => {
                let reject = Reject::new("invalid_utf8", format!("not UTF-8 at byte {}", e.valid_up_to()));
                return self.set_aside(&reject, unit, bytes);
            }
        };
        match (&self.def.format, shape) {
            (FileFormat::Reddit, _) => {
                let plain = bytes.first() == Some(&b'{')
                    && self.kind.find(bytes).is_none()
                    && self.replies.find(bytes).is_none();
                if plain { self.reddit(unit, 0, text, None) } else { self.answer(unit, text) }
            }
            (FileFormat::Generic(map), Shape::Rows(delimiter)) => self.csv_row(map, unit, text, delimiter),
            (FileFormat::Generic(map), _) => self.json_record(map, unit, text),
        }
    }

    /// A listing, a tree, or anything else that may hold several records.
    fn answer(&mut self, unit: &Unit, text: &str) -> Result<(), SourceError> {
        let mut found = Vec::new();
        things(text, &mut |f| found.push(f));
        for f in found {
            let (reject, at) = match f {
                Found::Record(kind, at) => {
                    if at.len() <= self.def.max_record_bytes
                        || self.replies.find(&text.as_bytes()[at.clone()]).is_some()
                    {
                        self.reddit(unit, at.start, &text[at], kind)?;
                        continue;
                    }
                    (Reject::new("oversized", format!("{} bytes", at.len())), at)
                }
                Found::Placeholder(_) => {
                    self.capture.counts_mut().placeholders += 1;
                    continue;
                }
                Found::TooDeep(at) => (Reject::new("too_deep", "answers nested too deep"), at),
                Found::Broken(at) => {
                    // What serde says of it is better than that the walk stopped.
                    let said = serde_json::from_str::<IgnoredAny>(&text[at.clone()]);
                    let reject = said.err().map_or_else(
                        || Reject::new("unknown_kind", "neither a post nor a listing of posts"),
                        |e| Reject::from_json(&e),
                    );
                    (reject, at)
                }
            };
            let seq = self.next_seq();
            let place = place(seq, unit, at.start, &text[at]);
            self.capture.set_aside(&reject, &place, None)?;
        }
        Ok(())
    }

    fn reddit(
        &mut self,
        unit: &Unit,
        from: usize,
        record: &str,
        kind: Option<&str>,
    ) -> Result<(), SourceError> {
        let seq = self.next_seq();
        let place = place(seq, unit, from, record);
        let bytes = record.as_bytes();
        let nested = self.replies.find(bytes).is_some() || self.crossposts.find(bytes).is_some();
        let cut = if nested { splice::cut_nested(record) } else { Cow::Borrowed(record) };
        match adapter_reddit::map(&cut, kind, self.facts) {
            Ok(envelope) if self.elsewhere(&envelope) => {
                self.capture.counts_mut().elsewhere += 1;
                if let Some(ms) = envelope.created_at {
                    self.others = Some(self.others.map_or((ms, ms), |(a, b)| (a.min(ms), b.max(ms))));
                }
            }
            Ok(mut envelope) => {
                adapter_reddit::finish(&mut envelope, &cut, self.facts.redactor);
                self.capture.accept(&mut envelope, &place)?;
            }
            Err(reject) => {
                self.capture.set_aside(&reject, &place, None)?;
            }
        }
        Ok(())
    }

    fn json_record(&mut self, map: &GenericMap, unit: &Unit, text: &str) -> Result<(), SourceError> {
        let record: Value = match serde_json::from_str(text) {
            Ok(record) => record,
            Err(e) => return self.set_aside(&Reject::from_json(&e), unit, text.as_bytes()),
        };
        if !record.is_object() {
            let reject = Reject::new("not_an_object", "the record is not an object");
            return self.set_aside(&reject, unit, text.as_bytes());
        }
        let mut value = |column: &str| lookup(&record, column).map_or(Loose::Null, loose);
        match adapter_generic::map(map, &mut value, &self.context.timezone, self.facts) {
            Ok(mut envelope) => {
                envelope.raw = Text(splice::redact(text, self.facts.redactor, map.author_column()));
                self.accept(&mut envelope, unit, text)
            }
            Err(reject) => self.set_aside(&reject, unit, text.as_bytes()),
        }
    }

    fn accept(&mut self, envelope: &mut Envelope<'_>, unit: &Unit, text: &str) -> Result<(), SourceError> {
        let seq = self.next_seq();
        self.capture.accept(envelope, &place(seq, unit, 0, text))?;
        Ok(())
    }

    fn csv_row(
        &mut self,
        map: &GenericMap,
        unit: &Unit,
        text: &str,
        delimiter: u8,
    ) -> Result<(), SourceError> {
        let cells = cells(text, delimiter);
        if self.row.header.is_empty() {
            self.row.header = cells.iter().map(|c| c.trim().to_string()).collect();
            return self.check_header(map);
        }
        if cells.len() != self.row.header.len() {
            let detail = format!("{} cells; the header has {}", cells.len(), self.row.header.len());
            return self.set_aside(&Reject::new("csv_row", detail), unit, text.as_bytes());
        }
        let header = std::mem::take(&mut self.row.header);
        let mut raw = std::mem::take(&mut self.row.raw);
        raw_of(&mut raw, &header, &cells, map.author_column(), self.facts.redactor);
        let mut value = |column: &str| {
            let cell = header.iter().position(|h| h == column).map(|i| &cells[i]);
            cell.filter(|c| !c.is_empty()).map_or(Loose::Null, |c| Loose::Text(Cow::Borrowed(&**c)))
        };
        let mapped = adapter_generic::map(map, &mut value, &self.context.timezone, self.facts);
        let result = match mapped {
            Ok(mut envelope) => {
                envelope.raw = Text(String::from_utf8_lossy(&raw));
                self.accept(&mut envelope, unit, text)
            }
            Err(reject) => {
                let seq = self.next_seq();
                let shown = Place { bytes: &raw, ..place(seq, unit, 0, text) };
                self.capture.set_aside(&reject, &shown, None).map(|_| ())
            }
        };
        self.row.header = header;
        self.row.raw = raw;
        result
    }

    fn check_header(&self, map: &GenericMap) -> Result<(), SourceError> {
        check_columns(map, &self.row.header, false, self.facts.locator)
    }
}

/// A mapped column that is missing would leave its field empty in every record.
/// `nested`: `a.b` may look into a column `a`.
fn check_columns(
    map: &GenericMap,
    header: &[String],
    nested: bool,
    locator: &str,
) -> Result<(), SourceError> {
    for (field, column) in map.columns() {
        let outer = column.split_once('.').map(|(outer, _)| outer).filter(|_| nested);
        if !header.iter().any(|h| h == column || Some(h.as_str()) == outer) {
            let names = || header.iter().map(String::as_str);
            return Err(SourceError::Column {
                locator: locator.to_string(),
                column: column.to_string(),
                field: field.as_str(),
                header: names().collect::<Vec<_>>().join(", ").chars().take(300).collect(),
                meant: did_you_mean(column, names()).map(str::to_string),
            });
        }
    }
    Ok(())
}

fn place<'a>(seq: u64, unit: &Unit, from: usize, record: &'a str) -> Place<'a> {
    Place {
        seq,
        line: unit.line,
        offset: unit.offset + from as u64,
        length: record.len() as u64,
        bytes: record.as_bytes(),
    }
}

/// The value of a key; of `a.b` where there is no such key, the value inside `a`.
fn lookup<'v>(record: &'v Value, column: &str) -> Option<&'v Value> {
    match record.get(column) {
        Some(value) => Some(value),
        None => {
            let (outer, inner) = column.split_once('.')?;
            lookup(record.get(outer)?, inner)
        }
    }
}

fn loose(value: &Value) -> Loose<'_> {
    match value {
        Value::Null => Loose::Null,
        Value::Bool(b) => Loose::Bool(*b),
        Value::Number(n) => match n.as_i64() {
            Some(n) => Loose::Int(n),
            None => n.as_f64().map_or(Loose::Nested, Loose::Float),
        },
        Value::String(text) => Loose::Text(Cow::Borrowed(text)),
        Value::Array(_) | Value::Object(_) => Loose::Nested,
    }
}

/// The cells of a row: quotes removed, doubled quotes single.
pub(super) fn cells(row: &str, delimiter: u8) -> Vec<Cow<'_, str>> {
    let b = row.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        if b.get(at) != Some(&b'"') {
            let end = memchr::memchr(delimiter, &b[at..]).map_or(b.len(), |n| at + n);
            out.push(Cow::Borrowed(&row[at..end]));
            if end == b.len() {
                return out;
            }
            at = end + 1;
            continue;
        }
        let mut cell = String::new();
        let mut from = at + 1;
        // Behind the closing quote nothing but a delimiter should stand; what does is kept.
        loop {
            match memchr::memchr(b'"', &b[from..]) {
                Some(n) if b.get(from + n + 1) == Some(&b'"') => {
                    cell.push_str(&row[from..from + n + 1]);
                    from += n + 2;
                }
                Some(n) => {
                    cell.push_str(&row[from..from + n]);
                    from += n + 1;
                    break;
                }
                None => {
                    cell.push_str(&row[from..]);
                    from = b.len();
                    break;
                }
            }
        }
        let end = memchr::memchr(delimiter, &b[from..]).map_or(b.len(), |n| from + n);
        cell.push_str(&row[from..end]);
        out.push(Cow::Owned(cell));
        if end == b.len() {
            return out;
        }
        at = end + 1;
    }
}

/// A row as a JSON object, header to value, the author as privacy says.
fn raw_of(
    out: &mut Vec<u8>,
    header: &[String],
    cells: &[Cow<'_, str>],
    author: Option<&str>,
    redactor: &Redactor,
) {
    out.clear();
    out.push(b'{');
    for (i, (name, cell)) in header.iter().zip(cells).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        encode::string(out, name);
        out.push(b':');
        let shown = match splice::is_author(name.as_bytes(), author) {
            Some(AuthorKey::Name) => redactor.replace(cell),
            Some(AuthorKey::About) if !redactor.keeps() => None,
            _ => Some(Cow::Borrowed(&**cell)),
        };
        match shown {
            Some(text) => encode::string(out, &text),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
}
