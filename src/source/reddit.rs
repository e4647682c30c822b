//! Reddit's API: new posts, searches, comments, and what became of posts already held.
//!
//! Each stream is read by itself, newest first, down to where the readings before it joined
//! (`reddit_pages`). Posts that name a brand bring their comments along (`reddit_tree`), and
//! what is held is looked at again while its day settles and, for deletions, for a month
//! (`reddit_info`). Invariants: every item is taken in once a reading, its bytes as they came;
//! a place that does not let us in, an error page and an empty page are three things; what
//! could not be read stays owed and is not called covered. Blocks on the network.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use secrecy::{ExposeSecret, SecretString};

use super::adapter_reddit::{self, FileFacts};
use super::capture::SourceError;
use super::net::{Cursor, Intake, Net, Owed, Reach, Reached, Stream};
use super::reddit_api::{Api, Facts, Halt, Piece, listing, pieces};
use super::reddit_pages::{End, Item, LISTING_SURE, OVERLAP_MS, Paging, Plan, SEARCH_SURE, Step, window};
use super::reddit_token::TokenStore;
use super::{reddit_info, reddit_tree, splice};
use crate::graph::DayRange;

/// Whose comments are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RedditComments {
    /// Nobody's.
    None,
    /// Those of posts that name a brand.
    #[default]
    MatchedPosts,
    /// All of each subreddit.
    Stream,
}

/// A source of type `reddit`.
#[derive(Clone, Debug)]
pub struct RedditDef {
    /// Its name in the configuration.
    pub name: String,
    /// The app's id. Empty: the variable is not set, and every stream says so.
    pub client_id: SecretString,
    /// The app's secret; empty for an installed app.
    pub client_secret: SecretString,
    /// Tells installations of an installed app apart: 20 to 30 characters. With one, the app is
    /// asked for as an installed one.
    pub device_id: Option<String>,
    /// `<platform>:<app id>:<version> (by /u/<user>)`, as Reddit's rules want it.
    pub user_agent: String,
    /// Names without `r/`.
    pub subreddits: Vec<String>,
    /// What is searched for, in Reddit's own syntax.
    pub queries: Vec<String>,
    /// Each query is searched for on the whole site: yes.
    pub search_site: bool,
    /// Each query is searched for in each subreddit: no.
    pub search_in_subreddits: bool,
    /// Whose comments are read: those of posts that name a brand.
    pub comments: RedditComments,
    /// `https://oauth.reddit.com`.
    pub base_url: String,
    /// `https://www.reddit.com/api/v1/access_token`.
    pub token_url: String,
    /// How long after a day's end its scores and edits are still followed, milliseconds: 36 h.
    pub settle_ms: i64,
    /// For how many days it is looked after whether posts are gone: 30. 0 switches it off.
    pub sweep_days: u16,
}

/// What a stream reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part<'a> {
    New(&'a str),
    Comments(&'a str),
    Search { query: &'a str, subreddit: Option<&'a str> },
    Refresh,
    Sweep,
}

impl RedditDef {
    /// A source with everything else as it usually is, and nothing to read yet.
    pub fn new(name: &str, client_id: SecretString, client_secret: SecretString, user_agent: &str) -> Self {
        Self {
            name: name.to_string(),
            client_id,
            client_secret,
            device_id: None,
            user_agent: user_agent.to_string(),
            subreddits: Vec::new(),
            queries: Vec::new(),
            search_site: true,
            search_in_subreddits: false,
            comments: RedditComments::default(),
            base_url: "https://oauth.reddit.com".to_string(),
            token_url: "https://www.reddit.com/api/v1/access_token".to_string(),
            settle_ms: 36 * 3_600_000,
            sweep_days: 30,
        }
    }

    /// The names of its streams, in the order in which they are best read: listings before what
    /// looks again at what they brought.
    pub fn streams(&self) -> Vec<String> {
        self.parts().into_iter().map(|(name, _)| name).collect()
    }

    /// Whether what a stream has covered says something about days. The refresh and the sweep
    /// look again at what is held, and cover nothing.
    pub fn covers_days(stream: &str) -> bool {
        !matches!(stream, "refresh" | "sweep")
    }

    /// How often a stream is read at most, milliseconds, where the source is read every
    /// `every_ms`: the sweep once a day.
    pub fn every_ms(stream: &str, every_ms: i64) -> i64 {
        if stream == "sweep" { every_ms.max(86_400_000) } else { every_ms }
    }

    fn parts(&self) -> Vec<(String, Part<'_>)> {
        let mut parts = Vec::new();
        for name in &self.subreddits {
            parts.push((format!("new r/{name}"), Part::New(name)));
        }
        for query in &self.queries {
            if self.search_site || self.subreddits.is_empty() {
                parts.push((format!("search {query}"), Part::Search { query, subreddit: None }));
            }
            for name in self.subreddits.iter().filter(|_| self.search_in_subreddits) {
                let part = Part::Search { query, subreddit: Some(name) };
                parts.push((format!("search {query} in r/{name}"), part));
            }
        }
        if self.comments == RedditComments::Stream {
            for name in &self.subreddits {
                parts.push((format!("comments r/{name}"), Part::Comments(name)));
            }
        }
        parts.push(("refresh".to_string(), Part::Refresh));
        if self.sweep_days > 0 {
            parts.push(("sweep".to_string(), Part::Sweep));
        }
        parts
    }
}

/// A name as it may stand in a path: letters, digits, `_`, and `+` between several.
pub fn is_subreddit_name(name: &str) -> bool {
    name.split('+').all(|one| {
        (2..=24).contains(&one.len())
            && one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    })
}

/// Reads one stream.
///
/// # Errors
/// When the run is to end, or the disk fails; never because of the network.
pub fn read_reddit(
    def: &RedditDef,
    stream: &str,
    before: &Stream,
    net: &Net<'_>,
    tokens: &TokenStore,
    intake: &mut Intake<'_>,
) -> Result<Reached, SourceError> {
    let api = Api::new(def, net, tokens);
    let part = def.parts().into_iter().find(|(name, _)| name == stream).map(|(_, part)| part);
    let mut reading = Reading::new(&api, before, intake);
    let refused = |reason: &str| Ok(nothing(Reach::Blocked, reason, before));
    if def.client_id.expose_secret().is_empty() {
        return refused("REDDIT_CLIENT_ID is not set");
    }
    match part {
        Some(Part::New(name) | Part::Comments(name) | Part::Search { subreddit: Some(name), .. })
            if !is_subreddit_name(name) =>
        {
            refused("not a name of a subreddit")
        }
        Some(Part::New(name)) => {
            let place = format!("r/{name}");
            reading.listing(&format!("/r/{name}/new"), &place, &[], LISTING_SURE, true)
        }
        Some(Part::Comments(name)) => {
            let place = format!("r/{name}");
            reading.listing(&format!("/r/{name}/comments"), &place, &[], LISTING_SURE, false)
        }
        Some(Part::Search { query, subreddit }) => {
            let place = subreddit.map_or_else(|| "search".to_string(), |name| format!("r/{name}"));
            let path = subreddit.map_or_else(|| "/search".to_string(), |name| format!("/r/{name}/search"));
            let t = window(reading.joined_ms.map(|ms| ms - OVERLAP_MS), reading.intake.now_ms());
            let mut asked = vec![("q", query), ("sort", "new"), ("t", t), ("type", "link")];
            asked.extend(subreddit.map(|_| ("restrict_sr", "1")));
            reading.listing(&path, &place, &asked, SEARCH_SURE, true)
        }
        Some(Part::Refresh) => reddit_info::refresh(&mut reading),
        Some(Part::Sweep) => reddit_info::sweep(&mut reading),
        None => refused("the source has no such stream"),
    }
}

/// What is said when nothing was asked.
fn nothing(reach: Reach, reason: &str, before: &Stream) -> Reached {
    Reached {
        reach,
        reason: Some(reason.to_string()),
        covered: None,
        oldest_ms: None,
        newest_ms: None,
        pages: 0,
        requests: 0,
        retry_at_ms: None,
        cursor: before.cursor.clone(),
    }
}

/// A post whose comments are wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Full name.
    pub id: String,
    pub created_ms: i64,
    pub subreddit: Option<String>,
    pub title: Option<String>,
    /// Failed readings before.
    pub tries: u32,
    /// Answers when it was seen in this reading; unknown for one that was owed.
    pub num_comments: Option<i64>,
}

/// One reading of one stream, under way.
pub(super) struct Reading<'r, 'a> {
    pub api: &'r Api<'r>,
    pub before: &'r Stream,
    pub intake: &'r mut Intake<'a>,
    /// Up to here everything was seen before.
    pub joined_ms: Option<i64>,
    /// Full names of what was taken in: nothing is taken in twice.
    pub taken: HashSet<String>,
    /// Posts that name a brand and have answers.
    pub wanted: Vec<Wanted>,
}

impl<'r, 'a> Reading<'r, 'a> {
    fn new(api: &'r Api<'r>, before: &'r Stream, intake: &'r mut Intake<'a>) -> Self {
        let joined = before.cursor.joined_ms;
        let joined_ms =
            joined.or_else(|| if before.reach == Some(Reach::Complete) { before.seen_until() } else { None });
        Self { api, before, intake, joined_ms, taken: HashSet::new(), wanted: Vec::new() }
    }

    /// Reads a listing down to where the readings before it joined, then the comments of the
    /// posts that want them. `pins`: the listing shows pinned items out of order.
    fn listing(
        &mut self,
        path: &str,
        place: &str,
        asked: &[(&str, &str)],
        sure: usize,
        pins: bool,
    ) -> Result<Reached, SourceError> {
        let now_ms = self.intake.now_ms();
        let needed_ms = self.intake.day_bounds(self.intake.day_of(now_ms)).0;
        // A search within a window cannot say anything about what was before it.
        let whole = asked.iter().all(|(name, value)| *name != "t" || *value == "all");
        let begins_ms = if whole { 0 } else { self.joined_ms.unwrap_or(now_ms) };
        let starts_ms = self.intake.starts_ms();
        let plan = Plan { joined_ms: self.joined_ms, needed_ms, begins_ms, starts_ms, now_ms, sure };
        let mut paging = Paging::new(plan);
        let mut after: Option<String> = None;
        let mut halted = None;
        let end = loop {
            match self.page(path, place, asked, after.as_deref(), pins) {
                Ok((items, next)) => match paging.page(&items, next.as_deref()) {
                    Step::More(cursor) => after = Some(cursor),
                    Step::Over(end) => break end,
                },
                Err(halt) => {
                    halted = Some(halt.ended()?);
                    break End::Broken;
                }
            }
        };
        let mut conclusion = paging.conclude(end);
        let trees = reddit_tree::read_wanted(self, halted.is_some())?;
        // What was seen ends where a post's comments are missing: the next reading begins there.
        let before_joined = self.joined_ms.unwrap_or(i64::MIN);
        if let Some(limit) =
            trees.owed.iter().map(|owed| owed.created_ms).filter(|ms| *ms >= before_joined).min()
        {
            conclusion.covered =
                conclusion.covered.map(|(from, to)| (from, to.min(limit))).filter(|(from, to)| from < to);
            // A first reading has joined nothing until its comments are there as well.
            conclusion.joined_ms = conclusion.joined_ms.map(|joined| joined.min(limit));
        }
        let seen = halted.or(trees.halted).or_else(|| {
            conclusion.reason.map(|reason| (conclusion.reach, format!("{place}: {reason}"), None))
        });
        let (reach, reason, retry_at_ms) = match seen {
            Some((reach, reason, retry_at_ms)) => (reach, Some(reason), retry_at_ms),
            None => (conclusion.reach, None, None),
        };
        let newest = if paging.newest.is_empty() { self.before.cursor.newest.clone() } else { paging.newest };
        Ok(Reached {
            reach,
            reason,
            covered: conclusion.covered,
            oldest_ms: paging.oldest_ms,
            newest_ms: paging.newest_ms,
            pages: paging.pages,
            requests: self.api.requests(),
            retry_at_ms,
            cursor: Cursor {
                newest,
                newest_ms: self.before.cursor.newest_ms.max(paging.newest_ms),
                joined_ms: conclusion.joined_ms,
                owed: trees.owed,
                ..Cursor::default()
            },
        })
    }

    /// One page of a listing: its items and the cursor of the next one.
    fn page(
        &mut self,
        path: &str,
        place: &str,
        asked: &[(&str, &str)],
        after: Option<&str>,
        pins: bool,
    ) -> Result<(Vec<Item>, Option<String>), Halt> {
        let mut query = vec![("limit", "100")];
        query.extend(asked);
        query.extend(after.map(|after| ("after", after)));
        let json = self.api.get(path, &query, place)?;
        let Some(page) = listing(json.get()) else {
            return Err(Halt::failed(format!("{place}: answered with JSON that is no listing")));
        };
        let mut items = Vec::new();
        for piece in pieces(page.children) {
            if let Piece::Record { facts: Facts { id: Some(id), created_ms, pinned, .. }, .. } = &piece {
                items.push(Item { id: id.clone(), created_ms: *created_ms, pinned: pins && *pinned });
            }
            self.take(&piece, None)?;
        }
        Ok((items, page.after))
    }

    /// Takes in a piece of an answer, unless it was before. `link_title`: the headline of a
    /// comment's post where the comment does not say. Says whether it is a record that is new.
    pub fn take(&mut self, piece: &Piece<'_>, link_title: Option<&str>) -> Result<bool, SourceError> {
        let (kind, raw, facts) = match piece {
            Piece::Record { kind, raw, facts } => (*kind, *raw, facts),
            Piece::More(_) => return Ok(false),
            Piece::Odd { raw, reject } => {
                self.intake.reject(reject, raw)?;
                return Ok(false);
            }
        };
        if facts.id.as_ref().is_some_and(|id| !self.taken.insert(id.clone())) {
            return Ok(false);
        }
        self.intake.reddit(raw, kind, link_title)?;
        if let (RedditComments::MatchedPosts, Some(id), Some(created_ms)) =
            (self.api.def().comments, &facts.id, facts.created_ms)
            && id.starts_with("t3_")
            && facts.num_comments > 0
            && self.matches(raw, kind)
        {
            self.wanted.push(Wanted {
                id: id.clone(),
                created_ms,
                subreddit: facts.subreddit.clone(),
                title: facts.title.clone(),
                tries: 0,
                num_comments: Some(facts.num_comments),
            });
        }
        Ok(true)
    }

    fn matches(&self, raw: &str, kind: Option<&str>) -> bool {
        self.mapped(raw, kind, |envelope| (self.api.net().matches)(envelope)).unwrap_or(false)
    }

    /// What a record is mapped to, if it can be.
    pub fn mapped<T>(
        &self,
        raw: &str,
        kind: Option<&str>,
        look: impl FnOnce(&crate::envelope::Envelope<'_>) -> T,
    ) -> Option<T> {
        let now_ms = self.intake.now_ms();
        let facts = FileFacts {
            source: self.intake.source(),
            locator: "",
            modified_ms: now_ms,
            now_ms,
            redactor: self.intake.redactor(),
        };
        let cut = splice::cut_nested(raw);
        adapter_reddit::map(&cut, kind, &facts).ok().map(|envelope| look(&envelope))
    }

    /// The posts whose comments are to be read: those that were owed, and those seen in this
    /// reading with another number of answers than is held.
    pub fn due(&mut self) -> Result<Vec<Wanted>, SourceError> {
        let mut due: Vec<Wanted> = Vec::new();
        let mut days: HashMap<_, HashMap<String, Option<i64>>> = HashMap::new();
        let seen = std::mem::take(&mut self.wanted);
        let owed: HashMap<&str, &Owed> = self.before.cursor.owed.iter().map(|o| (o.id.as_str(), o)).collect();
        for mut wanted in seen {
            if let Some(owed) = owed.get(wanted.id.as_str()) {
                wanted.tries = owed.tries;
                due.push(wanted);
                continue;
            }
            let day = self.intake.day_of(wanted.created_ms);
            let of_day = match days.entry(day) {
                Entry::Occupied(of_day) => of_day.into_mut(),
                Entry::Vacant(place) => {
                    let held = (self.api.net().held)(DayRange { start: day, end: day })?;
                    place.insert(held.into_iter().map(|held| (held.native_id, held.num_comments)).collect())
                }
            };
            let held = of_day.get(&wanted.id);
            if held.is_none_or(|held| *held != wanted.num_comments) {
                due.push(wanted);
            }
        }
        let known: HashSet<String> = due.iter().map(|wanted| wanted.id.clone()).collect();
        due.extend(self.before.cursor.owed.iter().filter(|owed| !known.contains(&owed.id)).map(|owed| {
            Wanted {
                id: owed.id.clone(),
                created_ms: owed.created_ms,
                subreddit: None,
                title: None,
                tries: owed.tries,
                num_comments: None,
            }
        }));
        // What failed before waits for the others.
        due.sort_by(|a, b| (a.tries, &a.id).cmp(&(b.tries, &b.id)));
        Ok(due)
    }
}
