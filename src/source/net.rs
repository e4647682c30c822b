//! What every network source shares: the intake of fetched records, and how far a reading came.
//!
//! A network source is a function that reads one *stream* (a listing, a search, a feed, one
//! day of an archive) through the one HTTP client, hands every record to the [`Intake`], and
//! says what it [`Reached`]. It never decides what is new (the capture does), never keeps
//! anything between readings but its [`Stream`], and never calls an unfinished reading
//! complete. Errors of the network are part of what was reached, so that records of earlier
//! pages are kept and the day is marked; only a full disk or a cancel end a reading with an
//! error. Blocks on the network: call it on a thread of its own.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::adapter::{Redactor, Reject};
use super::adapter_reddit::{self, FileFacts};
use super::capture::{Capture, CaptureContext, CaptureOutput, Place, SourceError, Verdict};
use super::capture_index::KnownIndex;
use super::splice;
use crate::envelope::{Envelope, PostType, Text};
use crate::graph::{Day, DayRange};
use crate::http::{BlockingClient, ErrorKind, HttpError, Robots};

/// How completely something was reached.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Everything there is.
    Complete,
    /// Something is missing, or may be: a cap was reached, pages did not join.
    Partial,
    /// The place does not let us in (robots.txt, 403, no such subreddit): asking again soon
    /// changes nothing.
    Blocked,
    /// The network or the place failed: to be tried again.
    Failed,
}

impl Reach {
    /// The word in tables and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Reach::Complete => "complete",
            Reach::Partial => "partial",
            Reach::Blocked => "blocked",
            Reach::Failed => "failed",
        }
    }
}

/// What a reading may use beside its intake.
pub struct Net<'a> {
    /// The one HTTP client, with this source's permitted hosts.
    pub client: &'a BlockingClient,
    /// What robots.txt files say.
    pub robots: &'a Robots,
    /// Set when the run is to end: answer with [`SourceError::Canceled`].
    pub stop: &'a AtomicBool,
    /// Whether a post names one of the project's brands.
    pub matches: &'a dyn Fn(&Envelope<'_>) -> bool,
    /// What bronze holds of this source in these days: the newest capture of every post.
    pub held: &'a dyn Fn(DayRange) -> Result<Vec<Held>, SourceError>,
}

impl Net<'_> {
    /// Ends the reading when the run is to end.
    ///
    /// # Errors
    /// [`SourceError::Canceled`].
    pub fn go_on(&self) -> Result<(), SourceError> {
        if self.stop.load(Ordering::Relaxed) { Err(SourceError::Canceled) } else { Ok(()) }
    }
}

/// A post that bronze holds, without its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// The site's own id.
    pub native_id: String,
    /// What it is.
    pub post_type: PostType,
    /// When it was written, milliseconds since 1970 UTC.
    pub created_at_ms: i64,
    /// Subreddit, app, forum.
    pub channel: Option<String>,
    /// Headline.
    pub title: Option<String>,
    /// Answers at the newest capture.
    pub num_comments: Option<i64>,
    /// Deleted or removed at the site.
    pub deleted: bool,
}

/// A post that is gone from its site: it loses its text in every layer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gone {
    /// The site.
    pub platform: String,
    /// The site's own id.
    pub native_id: String,
    /// When it was written, milliseconds since 1970 UTC.
    pub created_at_ms: i64,
    /// `deleted`, `absent`, …
    pub why: &'static str,
    /// Whether it was captured before it was gone: then its text goes at once.
    pub held: bool,
}

/// How far one reading of one stream came. Times are milliseconds since 1970 UTC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reached {
    /// How it ended.
    pub reach: Reach,
    /// Why it is not complete: words that stay the same while the reason does (no counts, no
    /// times), because they go into a table.
    pub reason: Option<String>,
    /// Half-open: everything that the stream holds from the first moment to the second was
    /// seen. Also set when the reading ended early but an inner part is certain. The end is
    /// the moment before the first request, not later.
    pub covered: Option<(i64, i64)>,
    /// Creation of the oldest item seen.
    pub oldest_ms: Option<i64>,
    /// Creation of the newest item seen.
    pub newest_ms: Option<i64>,
    /// Answers with items.
    pub pages: u32,
    /// Requests made, repeated ones too.
    pub requests: u32,
    /// Not to be tried again before (asked for by the place).
    pub retry_at_ms: Option<i64>,
    /// What the next reading continues from; opaque to everyone but the source.
    pub cursor: Cursor,
}

impl Reached {
    /// A reading that could not begin.
    pub fn blocked(reason: String) -> Self {
        Self {
            reach: Reach::Blocked,
            reason: Some(reason),
            covered: None,
            oldest_ms: None,
            newest_ms: None,
            pages: 0,
            requests: 0,
            retry_at_ms: None,
            cursor: Cursor::default(),
        }
    }
}

/// What a stream needs to go on from where it was.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Cursor {
    /// Ids of the newest items seen, newest first, a few: one of them may be deleted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub newest: Vec<String>,
    /// Creation of the newest item seen, milliseconds since 1970 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_ms: Option<i64>,
    /// Validator of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Validator of the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Up to here everything that can be reached was seen, milliseconds since 1970 UTC. Earlier
    /// than the end of what is covered while a reading that failed left a gap to be filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined_ms: Option<i64>,
    /// What a reading could not finish: posts whose comments are still to be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<Owed>,
}

/// A post whose comments could not be read yet.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Owed {
    /// Its id at the site.
    pub id: String,
    /// Its creation, milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// How often it was tried.
    pub tries: u32,
}

/// What is remembered of one stream between readings. JSON in the lake.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Stream {
    /// Moments between which everything was seen: half-open, sorted, apart, milliseconds since
    /// 1970 UTC.
    pub covered: Vec<(i64, i64)>,
    /// Where the next reading goes on.
    pub cursor: Cursor,
    /// How the last reading ended.
    pub reach: Option<Reach>,
    /// Why it was not complete.
    pub reason: Option<String>,
    /// When it was read last, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Readings in a row that failed.
    pub failures: u32,
    /// Not to be read again before.
    pub not_before_ms: i64,
    /// Creation of the oldest item ever seen.
    pub oldest_ms: Option<i64>,
    /// Creation of the newest item ever seen.
    pub newest_ms: Option<i64>,
    /// Answers with items in the last reading.
    pub pages: u32,
    /// Requests of the last reading.
    pub requests: u32,
    /// What mapped the records of the last reading: adapter, privacy and the like. Where it is
    /// another now, what has not changed at the place is to be read all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maps: Option<String>,
}

/// A failed stream is tried again after so long; doubled each time,
const RETRY_FIRST_MS: i64 = 5 * 60_000;
/// but at least so often.
const RETRY_MOST_MS: i64 = 6 * 3_600_000;

impl Stream {
    /// What a failure of the network means for a reading: how it ended, stable words for it, and
    /// when the place may be asked again.
    ///
    /// # Errors
    /// [`SourceError::Canceled`] when the run was to end.
    pub fn failure(error: &HttpError) -> Result<(Reach, String, Option<i64>), SourceError> {
        let host = error.host();
        Ok(match error.kind() {
            ErrorKind::Canceled => return Err(SourceError::Canceled),
            ErrorKind::RetryAfterTooLong { until } => {
                let words = format!("{host} asked to be left alone for a while");
                (Reach::Failed, words, Some(until.as_millisecond()))
            }
            ErrorKind::Status { code } => (Reach::Failed, format!("HTTP {code} from {host}"), None),
            ErrorKind::Address => (Reach::Blocked, format!("{host}: {}", error.detail()), None),
            ErrorKind::NotJson => (Reach::Failed, format!("{host} {}", error.detail()), None),
            kind => (Reach::Failed, format!("{host}: {}", kind.words()), None),
        })
    }

    /// Takes in what a reading at `now_ms` reached. `every_ms` is how often the stream is read.
    pub fn apply(&mut self, reached: &Reached, now_ms: i64, every_ms: i64) {
        if let Some((from, to)) = reached.covered.filter(|(from, to)| from < to) {
            self.cover(from, to);
        }
        self.failures = match reached.reach {
            Reach::Failed => self.failures.saturating_add(1),
            _ => 0,
        };
        let wait = match reached.reach {
            Reach::Failed => {
                RETRY_FIRST_MS.saturating_mul(1 << self.failures.saturating_sub(1).min(12)).min(RETRY_MOST_MS)
            }
            Reach::Blocked => every_ms.max(RETRY_MOST_MS),
            Reach::Complete | Reach::Partial => every_ms,
        };
        self.not_before_ms = now_ms.saturating_add(wait).max(reached.retry_at_ms.unwrap_or(i64::MIN));
        self.reach = Some(reached.reach);
        self.reason.clone_from(&reached.reason);
        self.at_ms = now_ms;
        self.cursor = reached.cursor.clone();
        self.oldest_ms = least(self.oldest_ms, reached.oldest_ms);
        self.newest_ms = self.newest_ms.max(reached.newest_ms);
        self.pages = reached.pages;
        self.requests = reached.requests;
    }

    fn cover(&mut self, from: i64, to: i64) {
        self.covered.push((from, to));
        self.covered.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::with_capacity(self.covered.len());
        for &(from, to) in &self.covered {
            match merged.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        self.covered = merged;
    }

    /// Forgets the validators of the last answer where records are mapped in another way now:
    /// the place would say that nothing is new, and nothing would be mapped again.
    pub fn mapped_by(&mut self, maps: &str) {
        if self.maps.as_deref() != Some(maps) {
            self.cursor.etag = None;
            self.cursor.last_modified = None;
            self.maps = Some(maps.to_string());
        }
    }

    /// Whether everything from one moment to another was seen.
    pub fn covers(&self, from: i64, to: i64) -> bool {
        from >= to || self.covered.iter().any(|&(a, b)| a <= from && to <= b)
    }

    /// The last moment up to which the stream was seen without a gap, if it ever was.
    pub fn seen_until(&self) -> Option<i64> {
        self.covered.last().map(|&(_, to)| to)
    }
}

fn least(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Reads what bronze holds of a day into the index.
pub type Learn<'a> = dyn FnMut(Day, &mut KnownIndex) -> Result<(), SourceError> + 'a;

/// Takes fetched records in: maps them, removes authors, counts, and hands them to the capture.
pub struct Intake<'a> {
    capture: Capture,
    source: String,
    context: CaptureContext,
    redactor: Redactor,
    learn: &'a mut Learn<'a>,
    learned: BTreeSet<Day>,
    gone: Vec<Gone>,
    told: Option<&'a dyn Fn(u64)>,
    seq: u64,
}

impl<'a> Intake<'a> {
    /// An intake of one reading of the source of that name. `learn` is asked for each day once,
    /// before its first record.
    ///
    /// # Errors
    /// When the spool cannot be made.
    pub fn new(
        source: &str,
        context: &CaptureContext,
        learn: &'a mut Learn<'a>,
    ) -> Result<Self, SourceError> {
        Ok(Self {
            capture: Capture::new(context, "", KnownIndex::default())?,
            source: source.to_string(),
            redactor: Redactor::new(&context.privacy),
            context: context.clone(),
            learn,
            learned: BTreeSet::new(),
            gone: Vec::new(),
            told: None,
            seq: 0,
        })
    }

    /// Tells `told` the number of records now and then.
    pub fn told(&mut self, told: &'a dyn Fn(u64)) {
        self.told = Some(told);
    }

    /// The source's name, as it stands in envelopes.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Milliseconds since 1970 UTC at the beginning of the reading: `fetched_at` of its records.
    pub fn now_ms(&self) -> i64 {
        self.context.now_ms
    }

    /// The first moment of the project's days, milliseconds since 1970 UTC.
    pub fn starts_ms(&self) -> i64 {
        self.context.day_bounds(self.context.start).0
    }

    /// What is done with authors.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// The project's day of a moment.
    pub fn day_of(&self, ms: i64) -> Day {
        self.context.day_of(ms).0
    }

    /// The first and the last millisecond (exclusive) of a day of the project.
    pub fn day_bounds(&self, day: Day) -> (i64, i64) {
        self.context.day_bounds(day)
    }

    /// Takes one record of Reddit's: `raw` is the object itself (without `kind` and `data`
    /// around it), `kind` is `t1` or `t3` where a listing says so, `link_title` the title of a
    /// comment's post where the comment does not say.
    ///
    /// # Errors
    /// When the spool cannot be written.
    pub fn reddit(
        &mut self,
        raw: &str,
        kind: Option<&str>,
        link_title: Option<&str>,
    ) -> Result<Verdict, SourceError> {
        let source = self.source.clone();
        let redactor = self.redactor.clone();
        let now_ms = self.context.now_ms;
        let facts =
            FileFacts { source: &source, locator: "", modified_ms: now_ms, now_ms, redactor: &redactor };
        let cut = splice::cut_nested(raw);
        match adapter_reddit::map(&cut, kind, &facts) {
            Ok(mut envelope) => {
                if envelope.link_title.is_none() {
                    envelope.link_title = link_title.map(Text::from);
                }
                adapter_reddit::finish(&mut envelope, &cut, &redactor);
                self.take(envelope, raw)
            }
            Err(reject) => self.reject(&reject, raw),
        }
    }

    /// Takes one mapped record. Its author has gone through [`Intake::redactor`], in `raw` as
    /// well; `seq` is set here. `record` are the record's bytes, for a glimpse in quarantine.
    ///
    /// A listing shows what it holds, whoever asks: a record of a day that the project does not
    /// have is counted as such and nothing more. In a person's file the same is set aside,
    /// because there it was meant to be read.
    ///
    /// # Errors
    /// When the spool cannot be written, or bronze not be read.
    pub fn take(&mut self, mut envelope: Envelope<'_>, record: &str) -> Result<Verdict, SourceError> {
        if let Some(created) = envelope.created_at {
            let day = self.context.day_of(created).0;
            if self.context.excludes(day) {
                self.capture.counts_mut().outside += 1;
                return Ok(Verdict::Outside);
            }
            if self.learned.insert(day) {
                (self.learn)(day, self.capture.known_mut())?;
            }
        }
        self.seq += 1;
        if self.seq.is_multiple_of(50)
            && let Some(told) = self.told
        {
            told(self.seq);
        }
        let place = place(self.seq, record);
        self.capture.accept(&mut envelope, &place)
    }

    /// Sets a record aside.
    ///
    /// # Errors
    /// When the spool cannot be written.
    pub fn reject(&mut self, reject: &Reject, record: &str) -> Result<Verdict, SourceError> {
        self.seq += 1;
        let place = place(self.seq, record);
        self.capture.set_aside(reject, &place, None)
    }

    /// Says that a post is gone from its site.
    pub fn gone(&mut self, gone: Gone) {
        self.gone.push(gone);
    }

    /// How many records were taken in so far.
    pub fn records(&self) -> u64 {
        self.capture.counts().records_in
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When the spool cannot be written.
    pub fn finish(self) -> Result<CaptureOutput, SourceError> {
        let mut output = self.capture.finish()?;
        output.gone.extend(self.gone);
        Ok(output)
    }
}

/// The version of what maps the records of a kind of source.
pub fn network_version(type_name: &str) -> &'static str {
    match type_name {
        "reddit" | "reddit_archive" => adapter_reddit::VERSION,
        "app_store" => super::adapter_app_store::VERSION,
        "feed" => super::adapter_feed::VERSION,
        _ => super::adapter_crawl::VERSION,
    }
}

fn place(seq: u64, record: &str) -> Place<'_> {
    Place { seq, line: 0, offset: 0, length: record.len() as u64, bytes: record.as_bytes() }
}

/// A text for tables: one line, at most 200 characters.
pub(super) fn short(text: &str) -> Cow<'_, str> {
    let end = text.char_indices().nth(200).map_or(text.len(), |(at, _)| at);
    let text = &text[..end];
    if text.chars().any(char::is_control) {
        Cow::Owned(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(reach: Reach, covered: Option<(i64, i64)>) -> Reached {
        Reached {
            reach,
            reason: None,
            covered,
            oldest_ms: covered.map(|c| c.0),
            newest_ms: covered.map(|c| c.1),
            pages: 1,
            requests: 1,
            retry_at_ms: None,
            cursor: Cursor::default(),
        }
    }

    #[test]
    fn readings_that_join_are_one_range_and_gaps_stay() {
        let mut stream = Stream::default();
        for (from, to) in [(0, 10), (20, 30), (9, 15), (30, 40)] {
            stream.apply(&reached(Reach::Complete, Some((from, to))), to, 5);
        }
        assert_eq!(stream.covered, [(0, 15), (20, 40)]);
        assert!(stream.covers(21, 40) && !stream.covers(14, 21) && stream.covers(15, 15));
        assert_eq!(stream.seen_until(), Some(40));
        assert_eq!((stream.oldest_ms, stream.newest_ms), (Some(0), Some(40)));
    }

    #[test]
    fn validators_go_when_records_are_mapped_in_another_way() {
        let cursor = Cursor {
            etag: Some("\"1\"".into()),
            last_modified: Some("Sat, 01 Aug 2026 00:00:00 GMT".into()),
            newest: vec!["a".into()],
            ..Cursor::default()
        };
        let mut stream =
            Stream { cursor: cursor.clone(), maps: Some("feed/1 drop".into()), ..Stream::default() };
        stream.mapped_by("feed/1 drop");
        assert_eq!(stream.cursor, cursor);
        stream.mapped_by("feed/1 keep");
        let without = Cursor { etag: None, last_modified: None, ..cursor };
        assert_eq!((&stream.cursor, stream.maps.as_deref()), (&without, Some("feed/1 keep")));
        // What an older version wrote down says nothing of how it mapped.
        let mut old: Stream = serde_json::from_str(r#"{"cursor":{"etag":"x"}}"#).unwrap();
        old.mapped_by("feed/1 drop");
        assert_eq!(old.cursor.etag, None);
    }

    #[test]
    fn failures_wait_longer_each_time_and_never_less_than_asked() {
        let mut stream = Stream::default();
        let mut waits = Vec::new();
        for _ in 0..9 {
            stream.apply(&reached(Reach::Failed, None), 1_000, 900_000);
            waits.push((stream.not_before_ms - 1_000) / 60_000);
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 360, 360]);
        let asked = Reached { retry_at_ms: Some(99_000_000), ..reached(Reach::Failed, None) };
        stream.apply(&asked, 1_000, 900_000);
        assert_eq!(stream.not_before_ms, 99_000_000);
        stream.apply(&reached(Reach::Complete, None), 1_000, 900_000);
        assert_eq!((stream.failures, stream.not_before_ms), (0, 901_000));
    }
}
