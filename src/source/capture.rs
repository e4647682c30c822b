//! Capture: which records are new, which repeat, which day they belong to, and the account.
//!
//! Invariant: `records_in == good + duplicate + quarantined`, whatever comes in. Whether a
//! record is good or a duplicate depends on the reading alone; whether a good record is
//! *written* depends on what bronze already holds, so that reading the same bytes again
//! writes nothing. Memory is bounded: about 80 bytes a post, the open frames of each day,
//! and a spool that moves to disk. Blocks on disk when it does.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::adapter::{Privacy, Redactor, Reject};
use super::capture_index::{KnownIndex, PostId, PostMap, Version, post_id, prints};
use super::capture_spool::{FRAME, FrameAt, Spool, SpoolObject};
use super::encode::encode_line;
use super::forgotten::{Forgotten, Remains, strip, strip_texts};
use super::net::Gone;
use super::quarantine::{Quarantined, Quarantines, glimpse, tidy};
use crate::envelope::{Envelope, PostType};
use crate::graph::Day;

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or folder cannot be read or written.
    #[error("cannot read {path}: {error}")]
    Io {
        /// What was read.
        path: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The spool cannot be written.
    #[error("cannot write to the temporary folder: {0}")]
    Spool(#[source] io::Error),
    /// A glob pattern cannot be understood.
    #[error("`{pattern}` is not a pattern for files: {message}")]
    Glob {
        /// As written.
        pattern: String,
        /// What is wrong.
        message: String,
    },
    /// A mapped column is not in a file's header.
    #[error("{locator}: no column `{column}` for {field}; the header has {header}{}",
        .meant.as_ref().map_or(String::new(), |m| format!("; did you mean `{m}`?")))]
    Column {
        /// The file.
        locator: String,
        /// The column the map names.
        column: String,
        /// The field it fills.
        field: &'static str,
        /// The header's columns, shortened.
        header: String,
        /// The column most likely meant.
        meant: Option<String>,
    },
    /// Stopped on request.
    #[error("canceled")]
    Canceled,
}

/// What every capture of a project needs to know.
#[derive(Clone, Debug)]
pub struct CaptureContext {
    /// First day of the project.
    pub start: Day,
    /// Last day, for a finite history.
    pub end: Option<Day>,
    /// Whose days the partitions are.
    pub timezone: TimeZone,
    /// What may be kept of people.
    pub privacy: Privacy,
    /// Milliseconds since 1970, now.
    pub now_ms: i64,
    /// Milliseconds after its end for which a day's scores still move.
    pub settle_ms: i64,
    /// Where a large spool goes; the system's temporary folder when absent.
    pub temp_dir: Option<PathBuf>,
    /// Compressed bytes of one reading in memory before its spool moves to disk.
    pub spool_memory: usize,
    /// What must not come back.
    pub forgotten: Arc<Forgotten>,
    /// Days whose posts keep no text.
    pub textless: Arc<BTreeSet<Day>>,
}

/// The first millisecond of a day in a time zone, and that of the day after it.
pub fn day_bounds(zone: &TimeZone, day: Day) -> (i64, i64) {
    let start = |day: Day| {
        zone.to_ambiguous_timestamp(day.date().at(0, 0, 0, 0))
            .compatible()
            .map_or(i64::from(day.0) * 86_400_000, jiff::Timestamp::as_millisecond)
    };
    (start(day), start(Day(day.0 + 1)))
}

impl CaptureContext {
    /// The project's day of a moment, and how many milliseconds its zone is ahead of UTC.
    pub(super) fn day_of(&self, ms: i64) -> (Day, i64) {
        let ahead = if self.timezone == TimeZone::UTC {
            0
        } else {
            jiff::Timestamp::from_millisecond(ms)
                .map_or(0, |ts| i64::from(self.timezone.to_offset(ts).seconds()) * 1000)
        };
        (Day((ms.saturating_add(ahead)).div_euclid(86_400_000) as i32), ahead)
    }

    /// The project's day of a moment.
    pub fn day_of_ms(&self, ms: i64) -> Day {
        self.day_of(ms).0
    }

    /// The first millisecond of a day of the project, and that of the day after it.
    pub fn day_bounds(&self, day: Day) -> (i64, i64) {
        day_bounds(&self.timezone, day)
    }

    /// Whether a day is before the project's first or after its last.
    pub fn excludes(&self, day: Day) -> bool {
        day < self.start || self.end.is_some_and(|end| day > end)
    }

    /// The project's day of now.
    pub fn today(&self) -> Day {
        self.day_of(self.now_ms).0
    }
}

/// The account of one reading.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Records read. Always the sum of the next three.
    pub records_in: u64,
    /// Records of in-range days that say something new in this reading.
    pub good: u64,
    /// Records that repeat an earlier one of this reading.
    pub duplicate: u64,
    /// Records set aside, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Envelopes written now; the other good records were already in bronze.
    pub captured: u64,
    /// Envelopes written that only say that a post left its day.
    pub moved: u64,
    /// Bytes of an unfinished last line, not counted as a record yet.
    pub pending_bytes: u64,
    /// Places that stand for answers not in the file (`more`); not records.
    pub placeholders: u64,
    /// Records of channels that the source does not ask for; not in `records_in`.
    pub elsewhere: u64,
    /// Records of days that the project does not have, which a listing of the network shows
    /// though nobody asked for them; not in `records_in`.
    pub outside: u64,
}

impl Counts {
    /// Records set aside, for all reasons.
    pub fn quarantined_total(&self) -> u64 {
        self.quarantined.values().sum()
    }

    /// Whether the account adds up.
    pub fn adds_up(&self) -> bool {
        self.records_in == self.good + self.duplicate + self.quarantined_total()
    }
}

/// Where a record stands in what is read.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The record's number, from 1.
    pub seq: u64,
    /// The line it begins on, from 1; 0 where there are no lines.
    pub line: u64,
    /// The byte it begins at, in the uncompressed content.
    pub offset: u64,
    /// Bytes, also where `bytes` holds only the first of them.
    pub length: u64,
    /// The record's bytes (for the quarantine's glimpse).
    pub bytes: &'a [u8],
}

/// What became of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Good, and written.
    Captured,
    /// Good, and in bronze already (or held back until the end of the reading shows whether
    /// it is the last word on its post).
    Known,
    /// Repeats an earlier record of this reading.
    Duplicate,
    /// Set aside.
    Quarantined,
    /// Of a day that the project does not have: not taken in.
    Outside,
}

/// Scores alone are captured again at most this often.
const METRICS_EVERY_MS: i64 = 3_600_000;
/// Uncompressed bytes of all open days, past which the fuller ones are closed early.
const OPEN_LIMIT: usize = 96 << 20;
/// Lines held back in memory (see [`Capture::accept`]).
const OWED_LIMIT: usize = 16 << 20;

struct Seen {
    /// Newest capture of the post, in bronze or in this reading.
    newest: Version,
    /// The last good record of this reading, where it is not `newest`.
    last: Option<Box<Version>>,
}

/// A line held back: its text is in bronze, but a newer capture there says otherwise.
struct Owed {
    version: Version,
    day: Day,
    line: Vec<u8>,
    marker: Option<(Day, Vec<u8>)>,
}

/// One reading of one window, under way.
pub struct Capture {
    locator: String,
    context: CaptureContext,
    redactor: Redactor,
    today: Day,
    known: KnownIndex,
    seen: PostMap<Seen>,
    owed: PostMap<Owed>,
    owed_bytes: usize,
    days: DayLines,
    aside: OpenDay,
    line: Vec<u8>,
    counts: Counts,
    span: Span,
    gone: Vec<Gone>,
}

/// Which days a reading has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Span {
    /// First and last day of good records.
    pub good: Option<(Day, Day)>,
    /// First and last day of every record with a time, in range or not.
    pub any: Option<(Day, Day)>,
    /// First day that had not come yet.
    pub future_from: Option<Day>,
}

fn widen(range: &mut Option<(Day, Day)>, day: Day) {
    *range = Some(range.map_or((day, day), |(a, b)| (a.min(day), b.max(day))));
}

/// What a reading produced.
#[derive(Debug)]
pub struct CaptureOutput {
    /// The account.
    pub counts: Counts,
    /// New objects, by the project's day of creation.
    pub objects: BTreeMap<Day, SpoolObject>,
    /// Records set aside.
    pub quarantine: Quarantines,
    /// Posts that were found deleted, and were not known to be.
    pub gone: Vec<Gone>,
    pub(super) span: Span,
}

impl Capture {
    /// Begins a reading of a file (the locator is empty for other windows). `known` is what
    /// bronze holds of the same source and locator.
    pub fn new(context: &CaptureContext, locator: &str, known: KnownIndex) -> Result<Self, SourceError> {
        Ok(Self {
            locator: locator.to_string(),
            redactor: Redactor::new(&context.privacy),
            today: context.today(),
            context: context.clone(),
            known,
            seen: PostMap::default(),
            owed: PostMap::default(),
            owed_bytes: 0,
            days: DayLines {
                spool: Spool::new(context.spool_memory).map_err(SourceError::Spool)?,
                temp_dir: context.temp_dir.clone(),
                days: HashMap::new(),
                open_bytes: 0,
            },
            aside: OpenDay::default(),
            line: Vec::new(),
            counts: Counts::default(),
            span: Span::default(),
            gone: Vec::new(),
        })
    }

    /// Counts a record and writes it where it is new. The envelope is complete but for
    /// `seq`, which is the place's.
    ///
    /// A record whose text bronze holds, but not as its newest capture, is held back: only
    /// when the reading ends without the newest one following is the older text really what
    /// the file says now, and written again.
    pub fn accept(&mut self, e: &mut Envelope<'_>, place: &Place<'_>) -> Result<Verdict, SourceError> {
        e.seq = place.seq;
        let Some(created_at) = e.created_at else {
            return self.set_aside(&Reject::new("missing_created_at", "no time of creation"), place, None);
        };
        let (day, ahead) = self.context.day_of(created_at);
        widen(&mut self.span.any, day);
        if let Some(reject) = self.outside(day) {
            return self.set_aside(&reject, place, None);
        }
        let remains = self.context.forgotten.remains(e);
        if remains != Some(Remains::Nothing) {
            self.context.forgotten.cut_links(e);
        }
        match remains {
            // Not a word of it goes anywhere, not even into the quarantine's glimpse.
            Some(Remains::Nothing) => {
                let reject = Reject::new("forgotten", "forgotten on request");
                return self.set_aside_unseen(&reject, place, String::new());
            }
            Some(Remains::Stub) => strip(e),
            None if e.deleted => {
                // What is seen for the first time is captured as its site shows it, and loses
                // its text a little later; what was held before loses it at once.
                let id = post_id(e);
                let held = self.known.posts.contains_key(&id);
                self.gone.push(Gone {
                    platform: e.platform.as_str().to_string(),
                    native_id: e.native_id.as_str().to_string(),
                    created_at_ms: created_at,
                    why: "deleted",
                    held,
                });
                if held {
                    strip(e);
                }
            }
            None => {}
        }
        if self.context.textless.contains(&day) {
            strip_texts(e);
        }
        self.counts.records_in += 1;
        let id = post_id(e);
        let (content, metrics) = prints(e);
        let version = Version { content, metrics, created_at, fetched_at: e.fetched_at, seq: e.seq };
        let settles = (i64::from(day.0) + 1) * 86_400_000 - ahead + self.context.settle_ms;
        let worth = |last: &Version| {
            e.fetched_at >= last.fetched_at.saturating_add(METRICS_EVERY_MS)
                || (last.fetched_at < settles && e.fetched_at >= settles)
        };

        let known = self.known.posts.get(&id);
        let known_newest = known.map(|k| k.newest);
        let known_text = known.is_some_and(|k| k.newest.content == content || k.older.contains(&content));
        let newest = match self.seen.entry(id) {
            Entry::Occupied(mut place) => {
                let seen = place.get_mut();
                let last = seen.last.as_deref().unwrap_or(&seen.newest);
                if last.content == content && (last.metrics == metrics || !worth(last)) {
                    self.counts.duplicate += 1;
                    return Ok(Verdict::Duplicate);
                }
                seen.last = Some(Box::new(version));
                Some(seen.newest)
            }
            Entry::Vacant(place) => {
                place.insert(Seen {
                    newest: known_newest.unwrap_or(version),
                    last: known_newest.map(|_| Box::new(version)),
                });
                known_newest
            }
        };
        self.counts.good += 1;
        widen(&mut self.span.good, day);

        let Some(newest) = newest else {
            self.counts.captured += 1;
            self.days.write(day, |lines| encode_line(lines, e))?;
            return Ok(Verdict::Captured);
        };
        if newest.content == content {
            self.forget_owed(&id);
            if newest.metrics == metrics || !worth(&newest) {
                return Ok(Verdict::Known);
            }
        }
        let in_bronze = newest.content != content && known_text;
        if in_bronze && version.stamp() <= newest.stamp() {
            return Ok(Verdict::Known);
        }
        self.line.clear();
        encode_line(&mut self.line, e);
        let marker = self.marker(e, day, &version, &newest);
        if in_bronze && self.owed_bytes + self.line.len() <= OWED_LIMIT {
            self.forget_owed(&id);
            self.owed_bytes += self.line.len();
            self.owed.insert(id, Owed { version, day, line: self.line.clone(), marker });
            return Ok(Verdict::Known);
        }
        self.forget_owed(&id);
        self.counts.captured += 1;
        self.days.push(day, &self.line)?;
        if let Some((day, line)) = marker {
            self.counts.moved += 1;
            self.days.push(day, &line)?;
        }
        if let Some(seen) = self.seen.get_mut(&id)
            && version.stamp() >= newest.stamp()
        {
            seen.newest = version;
            seen.last = None;
        }
        Ok(Verdict::Captured)
    }

    /// Why a day has no partition, if it has none.
    fn outside(&mut self, day: Day) -> Option<Reject> {
        let reject = |reason, detail: &dyn Fn() -> String| Some(Reject::new(reason, detail()));
        if day < self.context.start {
            reject("out_of_range", &|| {
                format!("{day} is before the project's first day {}", self.context.start)
            })
        } else if let Some(end) = self.context.end.filter(|end| day > *end) {
            reject("out_of_range", &|| format!("{day} is after the project's last day {end}"))
        } else if day > self.today {
            let from = self.span.future_from.map_or(day, |d| d.min(day));
            self.span.future_from = Some(from);
            reject("future", &|| format!("{day} has not come yet"))
        } else {
            None
        }
    }

    /// When a post's day changed: a line for the day of the older capture that names the
    /// newer one's stamp, so that the older one is beaten there.
    fn marker(
        &self,
        e: &Envelope<'_>,
        day: Day,
        version: &Version,
        newest: &Version,
    ) -> Option<(Day, Vec<u8>)> {
        let other = self.context.day_of(newest.created_at).0;
        let (left, stamp) = if version.stamp() >= newest.stamp() { (other, version) } else { (day, newest) };
        let exists = left >= self.context.start && self.context.end.is_none_or(|end| left <= end);
        if other == day || !exists {
            return None;
        }
        let mut line = Vec::new();
        let marker = Envelope {
            platform: e.platform.clone(),
            source: e.source.clone(),
            native_id: e.native_id.clone(),
            post_type: PostType::Moved,
            channel: None,
            created_at: None,
            title: None,
            body: None,
            url: None,
            author: None,
            score: None,
            num_comments: None,
            rating: None,
            parent_id: None,
            link_title: None,
            crosspost_parent: None,
            edited_at: None,
            deleted: false,
            fetched_at: stamp.fetched_at,
            locator: e.locator.clone(),
            seq: stamp.seq,
            adapter_version: e.adapter_version.clone(),
            raw: "".into(),
        };
        encode_line(&mut line, &marker);
        Some((left, line))
    }

    fn forget_owed(&mut self, id: &PostId) {
        if !self.owed.is_empty()
            && let Some(owed) = self.owed.remove(id)
        {
            self.owed_bytes -= owed.line.len();
        }
    }

    /// Counts a record and sets it aside. `column` is the key of an author besides the usual
    /// ones, for the glimpse.
    pub fn set_aside(
        &mut self,
        reject: &Reject,
        place: &Place<'_>,
        column: Option<&str>,
    ) -> Result<Verdict, SourceError> {
        let sample = glimpse(place.bytes, &self.redactor, column);
        self.set_aside_unseen(reject, place, sample)
    }

    /// As [`Capture::set_aside`], with a glimpse that the caller made.
    pub(super) fn set_aside_unseen(
        &mut self,
        reject: &Reject,
        place: &Place<'_>,
        sample: String,
    ) -> Result<Verdict, SourceError> {
        self.counts.records_in += 1;
        match self.counts.quarantined.get_mut(&*reject.reason) {
            Some(count) => *count += 1,
            None => {
                self.counts.quarantined.insert(reject.reason.to_string(), 1);
            }
        }
        let entry = Quarantined {
            locator: self.locator.clone(),
            seq: place.seq,
            line: place.line,
            offset: place.offset,
            length: place.length,
            reason: reject.reason.to_string(),
            detail: tidy(&reject.detail),
            sample,
        };
        // Writing to memory does not fail; a number or text cannot fail to serialize.
        let from = self.aside.lines.len();
        if serde_json::to_writer(&mut self.aside.lines, &entry).is_err() {
            self.aside.lines.truncate(from);
        }
        self.aside.lines.push(b'\n');
        self.aside.rows += 1;
        if self.aside.lines.len() >= FRAME {
            self.days.close(&mut self.aside)?;
        }
        Ok(Verdict::Quarantined)
    }

    /// The account so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What bronze holds; only posts that this reading has not met yet may be added.
    pub(super) fn known_mut(&mut self) -> &mut KnownIndex {
        &mut self.known
    }

    pub(super) fn counts_mut(&mut self) -> &mut Counts {
        &mut self.counts
    }

    /// Ends the reading.
    pub fn finish(mut self) -> Result<CaptureOutput, SourceError> {
        let mut owed: Vec<Owed> = std::mem::take(&mut self.owed).into_values().collect();
        owed.sort_by_key(|o| o.version.seq);
        for owed in owed {
            self.counts.captured += 1;
            self.days.push(owed.day, &owed.line)?;
            if let Some((day, line)) = owed.marker {
                self.counts.moved += 1;
                self.days.push(day, &line)?;
            }
        }
        let (objects, quarantine) = self.days.finish(self.aside)?;
        Ok(CaptureOutput { counts: self.counts, objects, quarantine, gone: self.gone, span: self.span })
    }
}

#[derive(Default)]
struct OpenDay {
    lines: Vec<u8>,
    frames: Vec<FrameAt>,
    rows: u64,
}

/// The lines of every day, as frames in one spool.
struct DayLines {
    spool: Spool,
    temp_dir: Option<PathBuf>,
    days: HashMap<Day, OpenDay>,
    open_bytes: usize,
}

impl DayLines {
    fn push(&mut self, day: Day, line: &[u8]) -> Result<(), SourceError> {
        self.write(day, |lines| lines.extend_from_slice(line))
    }

    /// Adds the line that `line` appends.
    fn write(&mut self, day: Day, line: impl FnOnce(&mut Vec<u8>)) -> Result<(), SourceError> {
        let open = self.days.entry(day).or_default();
        let before = open.lines.len();
        if open.lines.capacity() - before < before.min(FRAME / 4) {
            // Two steps instead of doubling: fewer copies, and never so large that the
            // allocator gives and takes it back page by page.
            let room = if before < FRAME / 4 { FRAME / 2 } else { FRAME + FRAME / 4 };
            open.lines.reserve_exact(room.saturating_sub(before));
        }
        line(&mut open.lines);
        open.rows += 1;
        self.open_bytes += open.lines.len() - before;
        if open.lines.len() >= FRAME {
            let mut taken = std::mem::take(open);
            self.open_bytes -= self.close(&mut taken)?;
            self.days.insert(day, taken);
        } else if self.open_bytes > OPEN_LIMIT {
            self.close_fuller()?;
        }
        Ok(())
    }

    /// Closes the frames of the days that hold at least the average, in the order of days:
    /// what is closed when depends on the reading alone.
    fn close_fuller(&mut self) -> Result<(), SourceError> {
        let average = self.open_bytes / self.days.len().max(1);
        let mut full: Vec<Day> =
            self.days.iter().filter(|(_, d)| d.lines.len() >= average.max(1)).map(|(day, _)| *day).collect();
        full.sort_unstable();
        for day in full {
            if let Some(mut open) = self.days.remove(&day) {
                self.open_bytes -= self.close(&mut open)?;
                self.days.insert(day, open);
            }
        }
        Ok(())
    }

    /// Compresses the open lines into a frame; says how many bytes they were. The memory is
    /// given back: with thousands of days, kept buffers would be most of it.
    fn close(&mut self, open: &mut OpenDay) -> Result<usize, SourceError> {
        if open.lines.is_empty() {
            return Ok(0);
        }
        let lines = std::mem::take(&mut open.lines);
        let at = self.spool.push(&lines, self.temp_dir.as_deref()).map_err(SourceError::Spool)?;
        open.frames.push(at);
        Ok(lines.len())
    }

    fn finish(
        mut self,
        mut aside: OpenDay,
    ) -> Result<(BTreeMap<Day, SpoolObject>, Quarantines), SourceError> {
        let mut days: Vec<(Day, OpenDay)> = self.days.drain().collect();
        days.sort_unstable_by_key(|(day, _)| *day);
        for (_, open) in &mut days {
            self.close(open)?;
        }
        self.close(&mut aside)?;
        let spool = self.spool.finish();
        let mut objects = BTreeMap::new();
        for (day, open) in days {
            objects.insert(day, spool.object(open.frames, open.rows).map_err(SourceError::Spool)?);
        }
        let count = aside.rows;
        let object = match count {
            0 => None,
            _ => Some(spool.object(aside.frames, count).map_err(SourceError::Spool)?),
        };
        Ok((objects, Quarantines { count, object }))
    }
}
