//! The `reddit_archive` source: Arctic Shift, asked by subreddit and day.
//!
//! Invariant: a day is complete only when every subreddit's pages were followed to a page that
//! was not full. A day is asked for once, when its scores have settled; what a page repeats of
//! the one before (the last second is asked for twice, because posts may share it) is taken
//! once. Blocks on the network.

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
        loop {
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
                    let said = error.map_or("no data", |e| e.get());
                    self.trouble(Reach::Failed, format!("r/{subreddit}: the archive said {said}"), None);
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
            let (fresh, last) = self.take(kind, &items, &mut seen, intake)?;
            if count > 0 {
                self.pages += 1;
            }
            match limit {
                // A page that is not full is the last one.
                Some(limit) if count < limit => return Ok(()),
                // "auto" says nothing by its length.
                None if fresh == 0 => return Ok(()),
                _ => {}
            }
            let next = last.map_or(after, |ms| ms.div_euclid(1000) - 1);
            if next <= after && fresh == 0 {
                // A whole page within one second: only the archive's own limit gets past it.
                if limit.is_none() {
                    return Ok(());
                }
                limit = None;
            } else if next <= after {
                limit = None;
            } else {
                after = next;
                if limit.is_none() {
                    limit = Some(PAGE);
                }
            }
        }
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

    /// Takes the items of a page in that are of the day and new. Gives how many were not seen
    /// before, and when the last one was written.
    fn take(
        &mut self,
        kind: Kind,
        items: &[&RawValue],
        seen: &mut HashSet<String>,
        intake: &mut Intake<'_>,
    ) -> Result<(usize, Option<i64>), SourceError> {
        let mut fresh = 0;
        let mut last = None;
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
            last = last.max(created);
            if !seen.insert(id.clone()) {
                continue;
            }
            fresh += 1;
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
                        if !self.titles.contains_key(&post) {
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
        Ok((fresh, last))
    }

    /// Asks for the titles of posts whose comments came. One that stays unknown leaves its
    /// comments without; a failure is no reason to lose the comments themselves.
    fn look_up(&mut self, posts: &BTreeSet<String>) -> Result<(), SourceError> {
        let posts: Vec<&String> = posts.iter().collect();
        for some in posts.chunks(TITLES) {
            self.net.go_on()?;
            let ids: Vec<&str> = some.iter().map(|p| p.as_str()).collect();
            let request = Request::get(format!("{}/api/posts/ids", self.def.base_url))
                .query("ids", ids.join(","))
                .accept("application/json")
                .no_redirects();
            match self.net.client.send(request) {
                Ok(response) => {
                    self.requests += response.calls();
                    let Ok(text) = response.text() else { continue };
                    let answer: Option<Answer<'_>> = serde_json::from_str(&text).ok();
                    for item in answer.and_then(|a| a.data).into_iter().flatten() {
                        if let Ok(Item { id: Loose::Text(id), title: Loose::Text(title), .. }) =
                            serde_json::from_str(item.get())
                        {
                            let id = id.strip_prefix("t3_").unwrap_or(&id);
                            self.titles.insert(id.to_string(), title.into_owned());
                        }
                    }
                }
                Err(error) => {
                    self.requests += error.attempts();
                    Stream::failure(&error)?;
                }
            }
        }
        Ok(())
    }
}

fn host(response: &Response) -> &str {
    response.url().host_str().unwrap_or_default()
}
