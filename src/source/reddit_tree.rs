//! The comments of a post: the tree, what it leaves out, and threads that go on elsewhere.
//!
//! A tree's answer has places (`more`) that stand for comments: with ids, which are asked for
//! in parts until nothing is left or nothing new comes, and without, where a thread goes on
//! under an address of its own. Ids that never come are removed comments. Invariant: a post
//! whose tree could not be read is owed. Blocks on the network.

use std::collections::{HashSet, VecDeque};

use super::capture::SourceError;
use super::net::{Owed, Reach};
use super::reddit::{Reading, Wanted};
use super::reddit_api::{Halt, More, Piece, is_tree, more_things, pieces, plain};

/// Ids of one call.
const PART: usize = 100;
/// Calls for the comments of one post.
const MOST_CALLS: u32 = 2_000;
/// A post whose comments cannot be read is given up after so many readings.
const MOST_TRIES: u32 = 5;
/// After so many failures in a row the others are left to the next reading.
const MOST_FAILURES: u32 = 2;

/// How the reading of comments ended.
#[derive(Debug, Default)]
pub(super) struct Trees {
    /// Posts whose comments are still to be read.
    pub owed: Vec<Owed>,
    /// What went wrong, the last of it.
    pub halted: Option<(Reach, String, Option<i64>)>,
}

/// Reads the comments of all posts that want it; when the reading `halted` before, they are
/// owed instead.
pub(super) fn read_wanted(reading: &mut Reading<'_, '_>, halted: bool) -> Result<Trees, SourceError> {
    let mut trees = Trees::default();
    let mut failures = if halted { MOST_FAILURES } else { 0 };
    for wanted in reading.due()? {
        let owed = |tries| Owed { id: wanted.id.clone(), created_ms: wanted.created_ms, tries };
        if failures >= MOST_FAILURES {
            trees.owed.push(owed(wanted.tries));
            continue;
        }
        match Tree::new(&wanted).and_then(|tree| tree.read(reading)) {
            Ok(()) => failures = 0,
            // The post went away, or its subreddit did.
            Err(Halt::Closed(reason)) => tracing::debug!(post = wanted.id, reason, "no comments"),
            Err(halt) => {
                let ended = halt.ended()?;
                failures += 1;
                if ended.0 != Reach::Partial && wanted.tries + 1 < MOST_TRIES {
                    trees.owed.push(owed(wanted.tries + 1));
                }
                trees.halted = Some(ended);
            }
        }
    }
    Ok(trees)
}

/// One post's tree, being read.
struct Tree<'w> {
    wanted: &'w Wanted,
    /// The post's id without `t3_`.
    id: &'w str,
    title: Option<String>,
    /// Ids of comments to be asked for.
    pending: VecDeque<String>,
    /// Ids that were ever asked for or came up.
    known: HashSet<String>,
    /// Comments below which the thread goes on.
    threads: VecDeque<String>,
    followed: HashSet<String>,
    calls: u32,
    removed: usize,
}

impl<'w> Tree<'w> {
    fn new(wanted: &'w Wanted) -> Result<Self, Halt> {
        match wanted.id.strip_prefix("t3_").filter(|id| plain(id)) {
            Some(id) => Ok(Self {
                wanted,
                id,
                title: wanted.title.clone(),
                pending: VecDeque::new(),
                known: HashSet::new(),
                threads: VecDeque::new(),
                followed: HashSet::new(),
                calls: 0,
                removed: 0,
            }),
            None => Err(Halt::Closed("not an id of a post".to_string())),
        }
    }

    fn read(mut self, reading: &mut Reading<'_, '_>) -> Result<(), Halt> {
        let place = match self.wanted.subreddit.as_deref().filter(|name| plain(name)) {
            Some(name) => format!("/r/{name}/comments/{}", self.id),
            None => format!("/comments/{}", self.id),
        };
        self.tree(reading, &place)?;
        loop {
            if !self.pending.is_empty() {
                self.part(reading)?;
            } else if let Some(parent) = self.threads.pop_front() {
                let path = format!("/comments/{}/_/{parent}", self.id);
                self.tree(reading, &path)?;
            } else {
                break;
            }
        }
        if self.removed > 0 {
            tracing::debug!(post = self.wanted.id, removed = self.removed, "comments that stayed away");
        }
        Ok(())
    }

    fn call(&mut self) -> Result<(), Halt> {
        self.calls += 1;
        if self.calls > MOST_CALLS {
            return Err(Halt::partial("the comments of a post have no end"));
        }
        Ok(())
    }

    /// Reads a tree: the post's, or that of a comment below which the thread goes on.
    fn tree(&mut self, reading: &mut Reading<'_, '_>, path: &str) -> Result<(), Halt> {
        self.call()?;
        let json = reading.api.get(path, &[("limit", "500")], "comments")?;
        if !is_tree(json.get()) {
            return Err(Halt::failed("comments: answered with JSON that is no comment tree"));
        }
        for piece in pieces(json.get()) {
            if let Piece::Record { facts, .. } = &piece
                && facts.id.as_deref() == Some(self.wanted.id.as_str())
                && facts.title.is_some()
            {
                self.title.clone_from(&facts.title);
            }
            if let Piece::More(more) = &piece {
                self.later(more, None, &HashSet::new());
            }
            reading.take(&piece, self.title.as_deref())?;
        }
        Ok(())
    }

    /// Asks for comments by their ids.
    fn part(&mut self, reading: &mut Reading<'_, '_>) -> Result<(), Halt> {
        self.call()?;
        let count = self.pending.len().min(PART);
        let asked: Vec<String> = self.pending.drain(..count).collect();
        let ids = asked.join(",");
        let query = [
            ("api_type", "json"),
            ("link_id", self.wanted.id.as_str()),
            ("limit_children", "false"),
            ("children", ids.as_str()),
        ];
        let json = reading.api.get("/api/morechildren", &query, "comments")?;
        let Some(things) = more_things(json.get()) else {
            return Err(Halt::failed("comments: answered with JSON that holds no comments"));
        };
        let asked: HashSet<String> = asked.into_iter().collect();
        let pieces = pieces(things);
        let mut came = false;
        for piece in &pieces {
            came |= reading.take(piece, self.title.as_deref())?;
        }
        let before = self.pending.len();
        for piece in &pieces {
            if let Piece::More(more) = piece {
                self.later(more, came.then_some(&asked), &reading.taken);
            }
        }
        let again = self.pending.iter().skip(before).filter(|id| asked.contains(*id)).count();
        let here = asked.iter().filter(|id| reading.taken.contains(&format!("t1_{id}"))).count();
        self.removed += asked.len().saturating_sub(again + here);
        Ok(())
    }

    /// Notes what an answer left out. What was asked for already is asked for again only where
    /// it is in `again`: then the answer brought something new.
    fn later(&mut self, more: &More, again: Option<&HashSet<String>>, taken: &HashSet<String>) {
        for id in more.children.iter().filter(|id| plain(id)) {
            let new = self.known.insert(id.clone());
            let again = again.is_some_and(|again| again.contains(id)) && !self.pending.contains(id);
            if (new || again) && !taken.contains(&format!("t1_{id}")) {
                self.pending.push_back(id.clone());
            }
        }
        if more.children.is_empty()
            && let Some(parent) = more.parent_id.as_deref().and_then(|parent| parent.strip_prefix("t1_"))
            && plain(parent)
            && self.followed.insert(parent.to_string())
        {
            self.threads.push_back(parent.to_string());
        }
    }
}
