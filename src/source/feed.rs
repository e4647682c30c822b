//! The `feed` source: RSS, Atom and JSON Feed, one stream a URL.
//!
//! A feed shows its newest entries only, so a reading joins the last one only if something
//! known is still shown. Reads with the validators of the last answer: an unchanged feed
//! costs one small request. Blocks on the network.

use std::collections::BTreeMap;

use url::Url;

use super::adapter_feed::{self, FeedFacts, Item, Parsed};
use super::capture::SourceError;
use super::fetch::{Early, Fetcher, Net, Progress, Stopped, host};
use super::net::{Cursor, Intake, Reach, Reached, Stream};
use crate::http::Request;

/// The longest feed that is read, in bytes after decompression.
const LONGEST_FEED: u64 = 16 << 20;
/// Ids of the newest entries that are remembered.
const REMEMBERED: usize = 8;
/// Entries dated further ahead than this are not the newest of anything.
const AHEAD_MS: i64 = 86_400_000;

/// One `feed` source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedDef {
    /// Its name in the configuration.
    pub name: String,
    /// The site the entries are from: `reddit` for Reddit's own feeds, any word otherwise.
    pub platform: String,
    /// The channel of all entries; the feed's title, else its host, when absent. Reddit's own
    /// feeds name the subreddit with each entry.
    pub channel: Option<String>,
    /// The feeds.
    pub urls: Vec<String>,
}

impl FeedDef {
    /// A source of these feeds.
    pub fn new(name: &str, platform: &str, urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            name: name.to_string(),
            platform: platform.to_string(),
            channel: None,
            urls: urls.into_iter().map(Into::into).collect(),
        }
    }

    /// The word in the envelopes.
    pub fn adapter_version(&self) -> &'static str {
        adapter_feed::VERSION
    }

    /// What is wrong with it, each in a sentence.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.urls.is_empty() {
            problems.push("it names no feed: `urls` is empty".to_string());
        }
        for url in &self.urls {
            match Url::parse(url) {
                Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                    problems.push(format!("a feed's URL begins with `{}:`, not with `https:`", url.scheme()));
                }
                Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                    problems.push("a feed's URL has a user name in it".to_string());
                }
                Ok(_) => {}
                Err(error) => problems.push(format!("a feed's URL is broken: {error}")),
            }
        }
        problems
    }

    /// The streams with their URLs. A query may hold a secret, so that a short hash stands for
    /// it in the name.
    pub fn streams(&self) -> BTreeMap<String, Url> {
        self.urls
            .iter()
            .filter_map(|text| Url::parse(text).ok())
            .map(|url| (stream_name(&url), url))
            .collect()
    }
}

fn stream_name(url: &Url) -> String {
    let mut plain = url.clone();
    plain.set_fragment(None);
    plain.set_query(None);
    match url.query() {
        None | Some("") => plain.into(),
        Some(query) => {
            let hash = blake3::derive_key("rxpulse feed stream 1", query.as_bytes());
            let hash: String = hash[..4].iter().map(|b| format!("{b:02x}")).collect();
            format!("{plain}?{hash}")
        }
    }
}

/// Reads one feed once.
///
/// # Errors
/// When it is stopped on request, or the spool cannot be written. What the network does is
/// part of what was reached.
pub fn read_feed(
    def: &FeedDef,
    stream: &str,
    before: &Stream,
    net: &Net<'_>,
    intake: &mut Intake<'_>,
) -> Result<Reached, SourceError> {
    let now_ms = intake.now_ms();
    let mut progress = Progress::new();
    let fetcher = Fetcher::new(net);
    let early = |progress: &Progress, early: Early| {
        Ok(progress.reached(fetcher.requests(), None, before.cursor.clone(), Some(early)))
    };
    let Some(url) = def.streams().remove(stream) else {
        return early(&progress, Early::new(Reach::Failed, "no feed of the configuration has this name"));
    };
    let mut request = Request::get(&url)
        .accept("application/atom+xml, application/rss+xml, application/feed+json, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5")
        .body_cap(LONGEST_FEED);
    if let Some(etag) = &before.cursor.etag {
        request = request.if_none_match(etag);
    }
    if let Some(date) = &before.cursor.last_modified {
        request = request.if_modified_since(date);
    }
    let response = match fetcher.send(request) {
        Ok(response) => response,
        Err(stopped) => return progress.stopped(fetcher.requests(), &before.cursor, stopped),
    };
    if response.is_not_modified() {
        let covered = before.seen_until().map(|seen| (seen, now_ms));
        return Ok(progress.reached(fetcher.requests(), covered, before.cursor.clone(), None));
    }
    let decoded = response.header("content-type").is_some_and(|t| t.contains("charset"));
    let decoded = decoded.then(|| response.text().ok()).flatten();
    let redactor = intake.redactor().clone();
    let feed = match adapter_feed::parse(response.body(), decoded, response.url(), &redactor) {
        Ok(feed) => feed,
        Err(why) => {
            let reason = format!("{}: {why}", host(response.url()));
            return early(&progress, Early::new(Reach::Failed, reason));
        }
    };
    let source = intake.source().to_string();
    let own = def.channel.as_deref().or(feed.title.as_deref());
    let facts = FeedFacts {
        platform: &def.platform,
        source: &source,
        channel: own.unwrap_or_else(|| host(&url)),
        now_ms,
        redactor: &redactor,
    };
    let mut shown = Vec::new();
    for item in &feed.items {
        if net.stop.load(std::sync::atomic::Ordering::Relaxed) {
            return progress.stopped(fetcher.requests(), &before.cursor, Stopped::Canceled);
        }
        match item {
            Item::Broken(reject, record) => drop(intake.reject(reject, record)?),
            Item::Entry(entry) => {
                if let Some(created) = entry.created_ms() {
                    progress.saw(created);
                }
                shown.push(entry.as_ref());
                match entry.map(&facts) {
                    Ok(envelope) => drop(intake.take(envelope, entry.record())?),
                    Err(reject) => drop(intake.reject(&reject, entry.record())?),
                }
            }
        }
    }
    progress.pages = u32::from(!feed.items.is_empty());
    let cursor = Cursor {
        etag: response.etag().map(str::to_string),
        last_modified: response.last_modified().map(str::to_string),
        ..newest(&shown, now_ms)
    };
    let joined = joins(&shown, before);
    let covered = match before.seen_until() {
        Some(seen) if joined => Some((seen, now_ms)),
        // An entry of the very same millisecond may have been pushed out already.
        _ => unbroken(&shown).last().map(|(oldest, _)| (oldest.saturating_add(1), now_ms)),
    };
    let early = match before.seen_until() {
        Some(_) if !joined && shown.is_empty() => {
            // What it showed before is still what the next reading must join.
            let cursor =
                Cursor { newest: before.cursor.newest.clone(), newest_ms: before.cursor.newest_ms, ..cursor };
            let early = Early::new(Reach::Partial, "the feed shows no entries, but did before");
            return Ok(progress.reached(fetcher.requests(), None, cursor, Some(early)));
        }
        Some(_) if !joined => {
            Some(Early::new(Reach::Partial, "entries may have passed between two readings"))
        }
        _ => None,
    };
    Ok(progress.reached(fetcher.requests(), covered, cursor, early))
}

/// The newest entries' ids.
fn newest(shown: &[&Parsed], now_ms: i64) -> Cursor {
    let mut dated: Vec<(i64, String)> = shown
        .iter()
        .filter_map(|entry| Some((entry.created_ms()?, entry.native_id())))
        .filter(|(ms, _)| *ms <= now_ms.saturating_add(AHEAD_MS))
        .collect();
    dated.sort_by_key(|item| std::cmp::Reverse(item.0));
    dated.truncate(REMEMBERED);
    Cursor {
        newest_ms: dated.first().map(|(ms, _)| *ms),
        newest: dated.into_iter().map(|(_, id)| id).collect(),
        ..Cursor::default()
    }
}

/// Whether nothing can have passed since the last reading: an entry that was among the newest
/// then is still shown, or the feed goes back further than that.
fn joins(shown: &[&Parsed], before: &Stream) -> bool {
    let Some(seen) = before.seen_until() else { return false };
    if shown.is_empty() && before.cursor.newest.is_empty() {
        // It showed nothing then and nothing now.
        return true;
    }
    let run = unbroken(shown);
    run.iter().any(|(_, entry)| before.cursor.newest.contains(&entry.native_id()))
        || run.last().is_some_and(|(oldest, _)| *oldest < seen)
}

/// The entries from the newest one on down, as far as they stand in order: nothing written
/// between two of them is missing. An entry pinned above or below stands outside the order
/// and says nothing of what lies between.
fn unbroken<'a>(shown: &[&'a Parsed]) -> Vec<(i64, &'a Parsed)> {
    let by = |time: fn(&Parsed) -> Option<i64>| {
        let mut run: Vec<(i64, &Parsed)> = shown.iter().filter_map(|e| Some((time(e)?, *e))).collect();
        if run.windows(2).all(|w| w[0].0 <= w[1].0) {
            run.reverse();
        }
        run
    };
    let falls = |run: &[(i64, &Parsed)]| run.windows(2).all(|w| w[0].0 >= w[1].0);
    let mut run = by(Parsed::created_ms);
    if !falls(&run) {
        // Some feeds are in the order of the last change. Nothing is created after its change.
        let changed = by(|e| e.updated_ms.max(e.created_ms()));
        if falls(&changed) {
            return changed;
        }
    }
    let Some(newest) = run.iter().map(|(ms, _)| *ms).max() else { return run };
    let from = run.iter().position(|(ms, _)| *ms == newest).unwrap_or_default();
    run.drain(..from);
    let end = run.windows(2).take_while(|w| w[0].0 >= w[1].0).count() + 1;
    run.truncate(end);
    run
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
