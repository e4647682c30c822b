//! The `reddit_archive` source: Arctic Shift, asked by subreddit and day.
//!
//! Invariant: a day is complete only when every subreddit's pages were followed to a page that
//! was not full, by a server that was seen to heed what it was asked. A day is asked for once,
//! when its scores have settled; what a page repeats of the one before (the last second is asked
//! for twice, because posts may share it) is taken once. Blocks on the network.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::value::RawValue;

use super::adapter::Loose;
use super::capture::SourceError;
use super::net::{Cursor, Intake, Net, Reach, Reached, Stream, short};
use crate::graph::Day;
use crate::http::{Request, Response};

/// One `reddit_archive` source, as far as it asks the API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArchiveDef {
    /// Its name in the configuration.
    pub name: String,
    /// Subreddits, without `r/`.
    pub subreddits: Vec<String>,
    /// Whether comments are captured, too.
    pub comments: bool,
    /// Where the API is, without a slash at the end.
    pub base_url: String,
}

/// The most items that the API gives at once where a number is asked for.
const PAGE: usize = 100;
/// How often an overloaded archive is asked for half as much.
const HALVINGS: usize = 4;
/// Titles of posts that one request may ask for.
const TITLES: usize = 500;
/// So many full pages in a row may show nothing new, or nothing of a later second.
const MOST_STUCK: u32 = 3;
/// No subreddit has more pages on one day.
const MOST_PAGES: u32 = 20_000;
/// Why a day is partial whose pages do not go on.
const REPEAT: &str = "the pages repeat";
/// Why a day is partial whose comments lack headlines.
const UNTITLED: &str = "the archive could not be asked for the headlines of comments' posts";

/// Reads one day of every subreddit into the intake.
///
/// # Errors
/// When the run is to end, or the spool cannot be written.
pub fn read_day(
    def: &ArchiveDef,
    day: Day,
    net: &Net<'_>,
    intake: &mut Intake<'_>,
) -> Result<Reached, SourceError> {
    let (start, end) = intake.day_bounds(day);
    let mut reading = Reading {
        def,
        net,
        start,
        end,
        reach: Reach::Complete,
        reason: None,
        retry_at_ms: None,
        oldest_ms: None,
        newest_ms: None,
        pages: 0,
        requests: 0,
        titles: BTreeMap::new(),
        unknown: BTreeSet::new(),
        untitled: false,
    };
    for subreddit in &def.subreddits {
        reading.subreddit(subreddit, Kind::Posts, intake)?;
        if def.comments {
            reading.subreddit(subreddit, Kind::Comments, intake)?;
        }
    }
    Ok(Reached {
        covered: (reading.reach == Reach::Complete).then_some((start, end)),
        reach: reading.reach,
        reason: reading.reason,
        oldest_ms: reading.oldest_ms,
        newest_ms: reading.newest_ms,
        pages: reading.pages,
        requests: reading.requests,
        retry_at_ms: reading.retry_at_ms,
        cursor: Cursor::default(),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Posts,
    Comments,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Kind::Posts => "posts",
            Kind::Comments => "comments",
        }
    }

    fn thing(self) -> &'static str {
        match self {
            Kind::Posts => "t3",
            Kind::Comments => "t1",
        }
    }
}

struct Reading<'a> {
    def: &'a ArchiveDef,
    net: &'a Net<'a>,
    start: i64,
    end: i64,
    reach: Reach,
    reason: Option<String>,
    retry_at_ms: Option<i64>,
    oldest_ms: Option<i64>,
    newest_ms: Option<i64>,
    pages: u32,
    requests: u32,
    /// By post: its title, for its comments.
    titles: BTreeMap<String, String>,
    /// Posts whose title the archive was asked for and does not have.
    unknown: BTreeSet<String>,
    /// The archive does not answer for titles: it is not asked any more.
    untitled: bool,
}

/// What a page says of itself.
struct Taken {
    /// Items that were not seen before.
    fresh: usize,
    /// Creation of the oldest and the newest item, milliseconds since 1970 UTC.
    span: Option<(i64, i64)>,
    /// No item is older than the one before it.
    ascends: bool,
}

/// An answer: `{"data": […]}`, or `{"data": null, "error": "…"}`.
#[derive(serde::Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    data: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// What paging has to know of an item.
#[derive(serde::Deserialize)]
struct Item<'a> {
    #[serde(borrow, default)]
    id: Loose<'a>,
    #[serde(borrow, default)]
    created_utc: Loose<'a>,
    #[serde(borrow, default)]
    title: Loose<'a>,
    #[serde(borrow, default)]
    link_id: Loose<'a>,
    #[serde(borrow, default)]
    link_title: Loose<'a>,
}

impl Reading<'_> {
    fn trouble(&mut self, reach: Reach, reason: String, retry_at_ms: Option<i64>) {
        // The worst one is told.
        if reach > self.reach {
            self.reach = reach;
            self.reason = Some(short(&reason).into_owned());
        }
        self.retry_at_ms = self.retry_at_ms.max(retry_at_ms);
    }

    fn subreddit(&mut self, subreddit: &str, kind: Kind, intake: &mut Intake<'_>) -> Result<(), SourceError> {
        // Seconds, and one before the day: whether the server's bounds are in or out does not
        // matter, because what lies outside the day is left out here.
        let mut after = self.start.div_euclid(1000) - 1;
        let before = self.end.div_euclid(1000) + i64::from(self.end.rem_euclid(1000) != 0);
        let mut seen: HashSet<String> = HashSet::new();
        let mut limit = Some(PAGE);
        let mut stuck = 0;
        for _ in 0..MOST_PAGES {
            self.net.go_on()?;
            let Some(response) = self.page(subreddit, kind, after, before, &mut limit)? else {
                return Ok(());
            };
            let text = match response.text() {
                Ok(text) => text,
                Err(error) => {
                    let (reach, reason, retry) = Stream::failure(&error)?;
                    self.trouble(reach, reason, retry);
                    return Ok(());
                }
            };
            let items = match serde_json::from_str::<Answer<'_>>(&text) {
                Ok(Answer { data: Some(items), .. }) => items,
                Ok(Answer { error, .. }) => {
                    // What a server says of itself is not for a table.
                    let words = match error {
                        Some(_) => "the archive answered with an error",
                        None => "the archive answered without data",
                    };
                    self.trouble(Reach::Failed, format!("r/{subreddit}: {words}"), None);
                    return Ok(());
                }
                Err(_) => {
                    // The client has words for what came instead.
                    let words = match response.json::<serde::de::IgnoredAny>() {
                        Err(error) => error.detail().to_string(),
                        Ok(_) => "answered with something else than a list".to_string(),
                    };
                    self.trouble(Reach::Failed, format!("{} {words}", host(&response)), None);
                    return Ok(());
                }
            };
            let count = items.len();
            let Taken { fresh, span, ascends } = self.take(kind, &items, &mut seen, intake)?;
            if count > 0 {
                self.pages += 1;
            }
            let (oldest, last) = span.map_or((None, None), |(oldest, last)| (Some(oldest), Some(last)));
            // What lies before the moment that was asked for was not asked for.
            if oldest.is_some_and(|ms| ms.div_euclid(1000) < after) {
                break;
            }
            // A page that is not full is the last one, in whatever order.
            if limit.is_some_and(|limit| count < limit) {
                return Ok(());
            }
            if !ascends {
                let words = "the pages are not in the order of time";
                self.trouble(Reach::Partial, format!("r/{subreddit}: {words}"), None);
                return Ok(());
            }
            // "auto" says nothing by its length; and what follows is of later days.
            if (limit.is_none() && fresh == 0) || last.is_some_and(|ms| ms >= before * 1000) {
                return Ok(());
            }
            let next = last.map_or(after, |ms| ms.div_euclid(1000) - 1);
            stuck = if fresh == 0 || (limit.is_none() && next <= after) { stuck + 1 } else { 0 };
            if stuck > MOST_STUCK {
                break;
            }
            if next <= after {
                // A whole page within one second: only the archive's own limit gets past it.
                limit = None;
            } else {
                after = next;
                if limit.is_none() {
                    limit = Some(PAGE);
                }
            }
        }
        self.trouble(Reach::Partial, format!("r/{subreddit}: {REPEAT}"), None);
        Ok(())
    }

    /// Asks for one page; an overloaded archive for half as much. `None` when the subreddit ends
    /// here; why was said already.
    fn page(
        &mut self,
        subreddit: &str,
        kind: Kind,
        after: i64,
        before: i64,
        limit: &mut Option<usize>,
    ) -> Result<Option<Response>, SourceError> {
        let mut asked = *limit;
        for _ in 0..=HALVINGS {
            let size = asked.map_or("auto".to_string(), |n| n.to_string());
            let request = Request::get(format!("{}/api/{}/search", self.def.base_url, kind.path()))
                .query("subreddit", subreddit)
                .query("after", after.to_string())
                .query("before", before.to_string())
                .query("limit", size)
                .query("sort", "asc")
                .accept("application/json")
                .no_redirects()
                .hand_back(&[422]);
            let response = match self.net.client.send(request) {
                Ok(response) => response,
                Err(error) => {
                    self.requests += error.attempts();
                    let (reach, reason, retry) = Stream::failure(&error)?;
                    self.trouble(reach, reason, retry);
                    return Ok(None);
                }
            };
            self.requests += response.calls();
            match response.status() {
                200 => {
                    *limit = asked;
                    return Ok(Some(response));
                }
                422 => {
                    // Overload. From now on more slowly, and less at once.
                    self.net.client.client().space(response.url(), std::time::Duration::from_secs(1));
                    asked = asked.map(|n| (n / 2).max(1));
                }
                status @ (403 | 404 | 451 | 301 | 302) => {
                    self.trouble(Reach::Blocked, format!("r/{subreddit}: HTTP {status}"), None);
                    return Ok(None);
                }
                status => {
                    self.trouble(
                        Reach::Failed,
                        format!("r/{subreddit}: HTTP {status} from {}", host(&response)),
                        None,
                    );
                    return Ok(None);
                }
            }
        }
        self.trouble(Reach::Failed, format!("{} is overloaded (HTTP 422)", self.host()), None);
        Ok(None)
    }

    fn host(&self) -> &str {
        self.def.base_url.split_once("://").map_or(self.def.base_url.as_str(), |(_, rest)| rest)
    }

    /// Takes the items of a page in that are of the day and new.
    fn take(
        &mut self,
        kind: Kind,
        items: &[&RawValue],
        seen: &mut HashSet<String>,
        intake: &mut Intake<'_>,
    ) -> Result<Taken, SourceError> {
        let mut taken = Taken { fresh: 0, span: None, ascends: true };
        let mut new = Vec::new();
        let mut unnamed = BTreeSet::new();
        for item in items {
            let raw = item.get();
            let facts: Item<'_> = serde_json::from_str(raw).unwrap_or(Item {
                id: Loose::Null,
                created_utc: Loose::Null,
                title: Loose::Null,
                link_id: Loose::Null,
                link_title: Loose::Null,
            });
            let id = match &facts.id {
                Loose::Text(text) => text.to_string(),
                Loose::Int(number) => number.to_string(),
                // Not to be told apart by an id: by its bytes.
                _ => blake3::hash(raw.as_bytes()).to_hex().to_string(),
            };
            let created = facts.created_utc.epoch_seconds();
            if let Some(ms) = created {
                let (oldest, newest) = taken.span.unwrap_or((ms, ms));
                taken.ascends &= ms >= newest;
                taken.span = Some((oldest.min(ms), newest.max(ms)));
            }
            if !seen.insert(id.clone()) {
                continue;
            }
            taken.fresh += 1;
            if created.is_some_and(|ms| ms < self.start || ms >= self.end) {
                continue;
            }
            if let Some(ms) = created {
                self.oldest_ms = Some(self.oldest_ms.map_or(ms, |o| o.min(ms)));
                self.newest_ms = self.newest_ms.max(Some(ms));
            }
            let mut link = None;
            match kind {
                Kind::Posts => {
                    if self.def.comments
                        && let Loose::Text(title) = &facts.title
                    {
                        self.titles.insert(id, title.to_string());
                    }
                }
                Kind::Comments => {
                    if let (Loose::Text(text), Loose::Null) = (&facts.link_id, &facts.link_title) {
                        let post = text.strip_prefix("t3_").unwrap_or(text).to_string();
                        if !self.titles.contains_key(&post) && !self.unknown.contains(&post) {
                            unnamed.insert(post.clone());
                        }
                        link = Some(post);
                    }
                }
            }
            new.push((raw, link));
        }
        if !unnamed.is_empty() {
            self.look_up(&unnamed)?;
        }
        for (raw, link) in new {
            let title = link.and_then(|post| self.titles.get(&post)).map(String::as_str);
            intake.reddit(raw, Some(kind.thing()), title)?;
        }
        Ok(taken)
    }

    /// Asks for the titles of posts whose comments came. One that the archive does not have
    /// leaves its comments without; a failure is no reason to lose the comments themselves, and
    /// the day is not had in full.
    fn look_up(&mut self, posts: &BTreeSet<String>) -> Result<(), SourceError> {
        let mut posts: Vec<String> = posts.iter().cloned().collect();
        let mut size = TITLES;
        let mut halvings = 0;
        while !posts.is_empty() && !self.untitled {
            self.net.go_on()?;
            let some = &posts[..posts.len().min(size)];
            let request = Request::get(format!("{}/api/posts/ids", self.def.base_url))
                .query("ids", some.join(","))
                .accept("application/json")
                .no_redirects()
                .hand_back(&[422]);
            let response = match self.net.client.send(request) {
                Ok(response) => response,
                Err(error) => {
                    self.requests += error.attempts();
                    let (_, _, retry) = Stream::failure(&error)?;
                    self.trouble(Reach::Partial, UNTITLED.to_string(), retry);
                    self.untitled = true;
                    continue;
                }
            };
            self.requests += response.calls();
            if response.status() == 422 && halvings < HALVINGS {
                // Overload, as for pages.
                self.net.client.client().space(response.url(), std::time::Duration::from_secs(1));
                halvings += 1;
                size = (some.len() / 2).max(1);
                continue;
            }
            let text = (response.status() == 200).then(|| response.text().ok()).flatten();
            let items = text.as_ref().and_then(|text| serde_json::from_str::<Answer<'_>>(text).ok()?.data);
            let Some(items) = items else {
                self.trouble(Reach::Partial, UNTITLED.to_string(), None);
                self.untitled = true;
                continue;
            };
            for item in items {
                if let Ok(Item { id: Loose::Text(id), title: Loose::Text(title), .. }) =
                    serde_json::from_str(item.get())
                {
                    let id = id.strip_prefix("t3_").unwrap_or(&id);
                    self.titles.insert(id.to_string(), title.into_owned());
                }
            }
            let asked = some.len();
            for post in posts.drain(..asked) {
                if !self.titles.contains_key(&post) {
                    self.unknown.insert(post);
                }
            }
        }
        Ok(())
    }
}

fn host(response: &Response) -> &str {
    response.url().host_str().unwrap_or_default()
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
