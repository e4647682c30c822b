//! The `files` source: what a user declares, and what is remembered of each file.
//!
//! A file is read once, whole, when its content, its adapter or the project's days changed;
//! nothing is remembered of a file that is not in its [`FileRecord`]. Pure values.

use std::collections::{BTreeMap, BTreeSet};

use super::adapter::{Privacy, Redactor};
use super::adapter_generic::{self, GenericMap};
use super::adapter_reddit;
use super::capture::Counts;
use crate::graph::{Day, DayRange, Window};

/// How the records of a source's files are mapped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileFormat {
    /// Reddit's objects: API answers, listings, comment trees, archive dumps.
    Reddit,
    /// Anything else, by a column map: CSV with a header, or JSON objects.
    Generic(GenericMap),
}

/// One `files` source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilesDef {
    /// Its name in the configuration.
    pub name: String,
    /// Patterns for files, relative to the project or absolute; `{a,b}`, `*`, `**`.
    pub glob: Vec<String>,
    /// How records are mapped.
    pub format: FileFormat,
    /// The days the source is complete for; from the first to the last day seen if absent.
    pub covers: Option<DayRange>,
    /// Whether a day without this source is not covered.
    pub required: bool,
    /// Longer records are set aside, bytes.
    pub max_record_bytes: usize,
    /// Records of other channels are passed over; lower case, empty for all.
    pub only_channels: BTreeSet<String>,
    /// Each file speaks for the days from its own first to its own last record, and nobody for
    /// those between two files; else the source does from the first to the last of all.
    pub by_file: bool,
}

/// What a record may be long, unless the source says otherwise.
pub(super) const MAX_RECORD: usize = 4 << 20;

impl FilesDef {
    /// A source with the usual limits.
    pub fn new(name: &str, glob: &str, format: FileFormat) -> Self {
        Self {
            name: name.to_string(),
            glob: vec![glob.to_string()],
            format,
            covers: None,
            required: false,
            max_record_bytes: MAX_RECORD,
            only_channels: BTreeSet::new(),
            by_file: false,
        }
    }

    /// The word in the envelopes: `reddit/1`.
    pub fn adapter_version(&self) -> &'static str {
        match &self.format {
            FileFormat::Reddit => adapter_reddit::VERSION,
            FileFormat::Generic(_) => adapter_generic::VERSION,
        }
    }

    /// Changes whenever the same bytes would be captured differently: adapter, map, privacy,
    /// the limit of a record. Kept in [`FileRecord::adapter`].
    pub fn version(&self, privacy: &Privacy) -> String {
        let map = match &self.format {
            FileFormat::Reddit => String::new(),
            FileFormat::Generic(map) => map.version_text(),
        };
        let mut text = format!("{map} {}", self.max_record_bytes);
        for channel in &self.only_channels {
            text.push_str(&format!(" r/{channel}"));
        }
        let hash = blake3::hash(text.as_bytes()).to_hex();
        format!("{} {} {}", self.adapter_version(), &hash[..16], Redactor::new(privacy).version())
    }
}

/// What is known of one file from its last reading. Stored as JSON.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct FileRecord {
    /// The file's path, relative to the project with forward slashes; absolute outside it.
    pub locator: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last written, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// The first 128 bits of the BLAKE3 hash of its bytes, hexadecimal.
    pub content: String,
    /// What it was read with: see [`FilesDef::version`].
    pub adapter: String,
    /// The project's first day when it was read.
    pub start: Day,
    /// The project's last day when it was read, for a finite history.
    pub end: Option<Day>,
    /// The account.
    pub counts: Counts,
    /// First day of a good record.
    pub first_day: Option<Day>,
    /// Last day of a good record.
    pub last_day: Option<Day>,
    /// First and last day of any record with a time, in the project's days or not.
    pub seen_days: Option<(Day, Day)>,
    /// First and last day of any record with a time, those of other channels included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaches: Option<(Day, Day)>,
    /// The first day of records that had not come yet.
    pub future_from: Option<Day>,
    /// Days for which objects were made in that reading.
    pub days_held: u64,
    /// When it was read, milliseconds since 1970.
    pub at_ms: i64,
    /// What it is: `ndjson`, `json`, `csv`, with the compression: `ndjson+zstd`.
    pub format: String,
    /// Why the reading ended before the file did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// Which days a source of files speaks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Covered {
    /// Every day of these, the quiet ones too.
    ranges: Vec<DayRange>,
    /// Days on which a file ends that was not read to its end.
    cut: BTreeSet<Day>,
}

/// How much of a day files have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileReach {
    /// All of it.
    Whole,
    /// A file that was not read to its end ends on this day.
    Cut,
    /// No file reaches it.
    Beyond,
    /// No file reaches any day.
    Nothing,
}

impl Covered {
    /// How much of a day there is.
    pub fn reach(&self, day: Day) -> FileReach {
        if self.ranges.is_empty() {
            FileReach::Nothing
        } else if self.cut.contains(&day) {
            FileReach::Cut
        } else if self.ranges.iter().any(|range| range.contains(day)) {
            FileReach::Whole
        } else {
            FileReach::Beyond
        }
    }
}

impl FilesDef {
    /// The days the source is complete for: as declared, else from the first to the last day
    /// it has seen, or that each file has. A deleted file's record still counts: what it said was
    /// captured. Of a file that was not read to its end, the last day is not all there, whatever
    /// other files hold of it.
    pub fn covered<'a>(&self, records: impl IntoIterator<Item = &'a FileRecord>) -> Covered {
        if let Some(days) = self.covers {
            return Covered { ranges: vec![days], cut: BTreeSet::new() };
        }
        let mut out = Covered::default();
        for record in records {
            let seen = record.first_day.zip(record.last_day);
            let seen = if self.by_file { record.reaches.or(seen) } else { seen };
            let Some(range) = seen.and_then(|(first, last)| DayRange::new(first, last)) else { continue };
            if record.broken.is_some() {
                out.cut.insert(range.end);
            }
            match out.ranges.first_mut() {
                Some(hull) if !self.by_file => {
                    hull.start = hull.start.min(range.start);
                    hull.end = hull.end.max(range.end);
                }
                _ => out.ranges.push(range),
            }
        }
        out
    }
}

/// What the source offers now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FilesObservation {
    /// Files to read, by locator.
    pub windows: Vec<Window>,
    /// Records to remember instead of the old ones, though nothing has to be read.
    pub touched: Vec<FileRecord>,
    /// Every file there is: its size and time, by locator.
    pub present: BTreeMap<String, PresentFile>,
    /// Files that were known and are gone. Their captures stay.
    pub gone: Vec<String>,
    /// Paths that could not be looked at, and why.
    pub problems: Vec<String>,
}

/// What the file system says about a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PresentFile {
    /// Its size.
    pub bytes: u64,
    /// When it was last written, nanoseconds since 1970.
    pub mtime_ns: i64,
}
