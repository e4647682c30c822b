//! The `crawl` source: HTML pages by CSS selectors and a link to the next page, one stream a URL.
//!
//! Reads nothing that robots.txt disallows and says so; keeps two seconds and more between
//! requests. What a page shows is no proof that nothing else is there, so a reading is
//! complete only for the stretch in which its items stand in the order of their times.
//! Blocks on the network.
//!
//! The selectors of a search page in the style of old.reddit (whose robots.txt disallows it,
//! so that a reading ends as `blocked by robots.txt`):
//!
//! | key | selector |
//! |---|---|
//! | `item` | `div.search-result-link[data-fullname]` (`.search-result` would also take forums) |
//! | `id` | `@data-fullname` |
//! | `title`, `url` | `a.search-title` |
//! | `body` | `.search-result-body .md` |
//! | `created_at` | `span.search-time time@datetime` |
//! | `author`, `score`, `num_comments` | `a.author`, `span.search-score`, `a.search-comments` |
//! | `channel` | `a.search-subreddit-link` |
//! | `next` | `.nextprev a[rel~=next]` |

use std::collections::{BTreeMap, HashSet};

use url::Url;

use super::adapter_crawl::{self, PageFacts, Place, Selectors, selector_of};
use super::capture::SourceError;
use super::fetch::{Early, Fetcher, Progress, Stopped, host, web_link};
use super::net::{Cursor, Intake, Net, Reach, Reached, Stream};
use super::plain_text::nests_deep;
use crate::http::{Request, Response};

/// The shortest time between two requests to a host.
pub(super) const LEAST_DELAY_MS: u64 = 2_000;
/// The longest page that is read, in bytes after decompression.
const LONGEST_PAGE: u64 = 8 << 20;
/// Redirects followed for one page: each is checked like a page.
const REDIRECTS: u32 = 5;
/// Ids of the newest items that are remembered.
const REMEMBERED: usize = 8;

/// Where the values of a post stand in an item: `selector`, `selector@attribute`, `@attribute`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CrawlFields {
    /// Headline.
    pub title: Option<String>,
    /// Text.
    pub body: Option<String>,
    /// Link: its `href`, unless another attribute is named.
    pub url: Option<String>,
    /// The site's own id; the link when absent.
    pub id: Option<String>,
    /// When it was written: RFC 3339, RFC 2822, or seconds since 1970. Needed.
    pub created_at: String,
    /// Who wrote it.
    pub author: Option<String>,
    /// Votes: the first number.
    pub score: Option<String>,
    /// Answers: the first number.
    pub num_comments: Option<String>,
    /// Forum, where each item names its own.
    pub channel: Option<String>,
}

/// One `crawl` source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CrawlDef {
    /// Its name in the configuration.
    pub name: String,
    /// The site the posts are from.
    pub platform: String,
    /// The channel of all posts that name none; the host when absent.
    pub channel: Option<String>,
    /// The first pages, the newest items first. Each is a stream.
    pub urls: Vec<String>,
    /// The selector of one post on a page.
    pub item: String,
    /// What stands where in a post.
    pub fields: CrawlFields,
    /// The link to the next page; only the first page is read when absent.
    pub next: Option<String>,
    /// Pages of one reading at most: 10.
    pub max_pages: u32,
    /// Time between two requests, in milliseconds: 2,000, which is also the least. Longer if
    /// robots.txt says so.
    pub delay_ms: u64,
    /// Whether next pages and redirects may lead to another host: no.
    pub other_hosts: bool,
    /// What the crawler calls itself; the client's own name when absent. robots.txt is asked
    /// for `rxpulse` in any case.
    pub user_agent: Option<String>,
}

impl CrawlDef {
    /// A crawl with the usual limits.
    pub fn new(
        name: &str,
        platform: &str,
        urls: impl IntoIterator<Item = impl Into<String>>,
        item: &str,
        fields: CrawlFields,
    ) -> Self {
        Self {
            name: name.to_string(),
            platform: platform.to_string(),
            channel: None,
            urls: urls.into_iter().map(Into::into).collect(),
            item: item.to_string(),
            fields,
            next: None,
            max_pages: 10,
            delay_ms: LEAST_DELAY_MS,
            other_hosts: false,
            user_agent: None,
        }
    }

    /// The word in the envelopes.
    pub fn adapter_version(&self) -> &'static str {
        adapter_crawl::VERSION
    }

    /// What is wrong with it, each in a sentence.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.selectors().err().unwrap_or_default();
        if self.urls.is_empty() {
            problems.push("it names no page: `urls` is empty".to_string());
        }
        for text in &self.urls {
            if web_link(text, None).is_none() {
                problems.push("a page's URL is not one of http or https without a user name".to_string());
            }
        }
        if self.fields.title.is_none() && self.fields.body.is_none() {
            problems.push("`title` or `body` is needed: there would be nothing to read".to_string());
        }
        if self.fields.id.is_none() && self.fields.url.is_none() {
            problems.push("`native_id` or `url` is needed: no post could be told from another".to_string());
        }
        if self.delay_ms < LEAST_DELAY_MS {
            problems.push(format!("`delay` is at least {} seconds", LEAST_DELAY_MS / 1000));
        }
        if self.max_pages == 0 {
            problems.push("`max_pages` is at least 1".to_string());
        }
        if self.user_agent.as_deref().is_some_and(|name| name.to_ascii_lowercase().contains("mozilla")) {
            problems.push("`user_agent` is a browser's: a crawler says what it is".to_string());
        }
        problems
    }

    /// The streams with their first pages.
    pub fn streams(&self) -> BTreeMap<String, Url> {
        self.urls.iter().filter_map(|text| web_link(text, None)).map(|url| (url.to_string(), url)).collect()
    }

    fn selectors(&self) -> Result<Selectors, Vec<String>> {
        let mut problems = Vec::new();
        let mut place = |key: &str, text: &Option<String>| {
            let place = Place::parse(text.as_deref()?);
            place.map_err(|why| problems.push(format!("`{key}`: {why}"))).ok()
        };
        let fields = &self.fields;
        let title = place("title", &fields.title);
        let body = place("body", &fields.body);
        let url = place("url", &fields.url);
        let id = place("id", &fields.id);
        let created_at = place("created_at", &Some(fields.created_at.clone()));
        let author = place("author", &fields.author);
        let score = place("score", &fields.score);
        let num_comments = place("num_comments", &fields.num_comments);
        let channel = place("channel", &fields.channel);
        let next = place("next", &self.next);
        let item = selector_of(&self.item).map_err(|why| problems.push(format!("`item`: {why}"))).ok();
        match (item, created_at) {
            (Some(item), Some(created_at)) if problems.is_empty() => Ok(Selectors {
                item,
                title,
                body,
                url,
                id,
                created_at,
                author,
                score,
                num_comments,
                channel,
                next,
            }),
            _ => Err(problems),
        }
    }
}

/// Reads one listing once.
///
/// # Errors
/// When it is stopped on request, or the spool cannot be written. What the network does is
/// part of what was reached.
pub fn read_crawl(
    def: &CrawlDef,
    stream: &str,
    before: &Stream,
    net: &Net<'_>,
    intake: &mut Intake<'_>,
) -> Result<Reached, SourceError> {
    let fetcher = Fetcher::new(net);
    let mut progress = Progress::new();
    let (first, selectors) = match (def.streams().remove(stream), def.selectors()) {
        (Some(first), Ok(selectors)) => (first, selectors),
        _ => {
            let early =
                Early::new(Reach::Failed, "the configuration names no such page, or its selectors are wrong");
            return Ok(progress.reached(0, None, before.cursor.clone(), Some(early)));
        }
    };
    let source = intake.source().to_string();
    let redactor = intake.redactor().clone();
    let mut visited = HashSet::new();
    let mut seen = HashSet::new();
    let mut order = Order::default();
    let mut next = Some(first);
    let mut ended = None;
    while let Some(url) = next.take() {
        if progress.pages >= def.max_pages {
            ended = Some("the limit of pages was reached");
            break;
        }
        if !visited.insert(url.clone()) {
            ended = Some("the pages repeat");
            break;
        }
        let response = match page(&fetcher, def, url) {
            Ok(response) => response,
            Err(stopped) => return progress.stopped(fetcher.requests(), &before.cursor, stopped),
        };
        visited.insert(response.url().clone());
        let failed = |why: &str| Early::new(Reach::Failed, format!("{}: {why}", host(response.url())));
        let html = match response.text() {
            Ok(html) if !nests_deep(&html) => html,
            Ok(_) => {
                let early = failed("the page nests too deep to be read");
                return progress.stopped(fetcher.requests(), &before.cursor, early.into());
            }
            Err(_) => {
                let early = failed("the page's text is in an encoding that is not read");
                return progress.stopped(fetcher.requests(), &before.cursor, early.into());
            }
        };
        let facts = PageFacts {
            platform: &def.platform,
            source: &source,
            channel: def.channel.as_deref().unwrap_or_else(|| host(response.url())),
            url: response.url(),
            now_ms: intake.now_ms(),
            redactor: &redactor,
        };
        let (items, link) = adapter_crawl::items(&html, &selectors, &facts);
        let mut fresh = items.is_empty();
        for item in &items {
            fresh |= item.native_id.as_ref().is_none_or(|id| seen.insert(id.clone()));
            if let Some(created) = item.created_ms {
                progress.saw(created);
                order.saw(created, item.native_id.as_deref().unwrap_or_default());
            }
            match item.map(&facts) {
                Ok(envelope) => drop(intake.take(envelope, &item.record)?),
                Err(reject) => drop(intake.reject(&reject, &item.record)?),
            }
        }
        if items.is_empty() {
            // A changed layout must not look like a quiet day.
            let why = match progress.pages {
                0 => "nothing on the page matches `item`",
                _ => "a next page has nothing that matches `item`",
            };
            ended = Some(why);
            break;
        }
        progress.pages += 1;
        if !fresh {
            ended = Some("the pages repeat");
            break;
        }
        // Further back is no day that the project has.
        let passed = !order.broken && order.oldest().is_some_and(|oldest| oldest < intake.starts_ms());
        if order.joins(before) || passed {
            break;
        }
        next = link.filter(|link| def.other_hosts || link.host() == response.url().host());
    }
    let joined = order.joins(before);
    let unordered = order.broken || order.items.is_empty();
    let now_ms = intake.now_ms();
    // Everything since the project's beginning was seen, whatever was before.
    let begun = order.oldest().is_some_and(|oldest| oldest < intake.starts_ms());
    let covered = match (before.seen_until(), order.oldest()) {
        (Some(seen), _) if joined => Some((seen, now_ms)),
        (_, Some(oldest)) if !unordered => Some((oldest.saturating_add(1), now_ms)),
        _ => None,
    };
    let why = match ended {
        Some(why @ ("the pages repeat" | "nothing on the page matches `item`")) => Some(why),
        _ if joined => None,
        Some(why) => Some(why),
        None if order.items.is_empty() => Some("no item has a time"),
        None if order.broken => Some("the items are not in the order of their times"),
        None if begun => None,
        None if before.seen_until().is_some() => Some("items may have passed between two readings"),
        None => None,
    };
    let cursor = if order.items.is_empty() { before.cursor.clone() } else { order.cursor() };
    let early = why.map(|why| Early::new(Reach::Partial, why));
    Ok(progress.reached(fetcher.requests(), covered, cursor, early))
}

/// One page, with the redirects before it: each URL is one that robots.txt allows.
fn page(fetcher: &Fetcher<'_>, def: &CrawlDef, first: Url) -> Result<Response, Stopped> {
    let mut url = first.clone();
    for _ in 0..=REDIRECTS {
        fetcher.robots(&url, def.delay_ms.max(LEAST_DELAY_MS))?;
        let mut request = Request::get(&url).accept("text/html").body_cap(LONGEST_PAGE).no_redirects();
        if let Some(name) = &def.user_agent {
            request = request.header("user-agent", name);
        }
        let response = fetcher.send_any(request)?;
        let Some(to) = response.location().filter(|_| (300..400).contains(&response.status())) else {
            return fetcher.judge(response);
        };
        let to = web_link(to, Some(&url)).filter(|to| def.other_hosts || to.host() == first.host());
        let Some(to) = to.filter(|to| !(url.scheme() == "https" && to.scheme() == "http")) else {
            return Err(Early::new(
                Reach::Failed,
                format!("{}: a redirect that is not followed", host(&first)),
            )
            .into());
        };
        url = to;
    }
    Err(Early::new(Reach::Failed, format!("{}: too many redirects", host(&first))).into())
}

/// The items' times in the order of the pages.
#[derive(Default)]
struct Order {
    items: Vec<(i64, String)>,
    /// An item is younger than the one before it.
    broken: bool,
}

impl Order {
    fn saw(&mut self, created_ms: i64, id: &str) {
        self.broken |= self.items.last().is_some_and(|(last, _)| created_ms > *last);
        self.items.push((created_ms, id.to_string()));
    }

    fn oldest(&self) -> Option<i64> {
        self.items.last().map(|(ms, _)| *ms)
    }

    /// Whether the items go back to the last reading without a jump.
    fn joins(&self, before: &Stream) -> bool {
        let Some(seen) = before.seen_until() else { return false };
        !self.broken
            && (self.oldest().is_some_and(|oldest| oldest < seen)
                || self.items.iter().any(|(_, id)| before.cursor.newest.contains(id)))
    }

    fn cursor(&self) -> Cursor {
        let mut dated: Vec<&(i64, String)> = self.items.iter().collect();
        dated.sort_by_key(|b| std::cmp::Reverse(b.0));
        Cursor {
            newest_ms: dated.first().map(|(ms, _)| *ms),
            newest: dated.into_iter().take(REMEMBERED).map(|(_, id)| id.clone()).collect(),
            ..Cursor::default()
        }
    }
}

#[cfg(test)]
#[path = "crawl_tests.rs"]
mod tests;
