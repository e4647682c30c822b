//! Paging through a listing of Reddit's: when it is over, and what is certain then.
//!
//! A listing shows the newest first and ends at about a thousand items; pinned items stand
//! anywhere. Pages may be short, long or empty in between, and a cursor that Reddit has
//! forgotten silently begins at the top again. Invariant: what [`Paging::conclude`] calls
//! covered was shown by the pages that went in. Pure.

use std::collections::HashSet;

use crate::source::net::Reach;

/// An item shows in listings a little after its creation, and clocks differ: what was created
/// this shortly before a reading is left to the next one.
pub(super) const LAG_MS: i64 = 60_000;
/// So far below what was seen before a reading looks again, for items that showed later still.
pub(super) const OVERLAP_MS: i64 = 10 * 60_000;
/// Items of a page asked for.
pub(super) const PAGE: usize = 100;
/// A listing that ends after fewer items has ended because there are no more.
pub(super) const LISTING_SURE: usize = 900;
/// Likewise for a search, which shows fewer.
pub(super) const SEARCH_SURE: usize = 200;
/// No listing is followed for longer.
const MOST_PAGES: u32 = 100;
/// So many pages in a row may show nothing new.
const MOST_EMPTY: u32 = 10;
/// The end of a page is where its last few items are, whichever of them is out of order.
const LAST_FEW: usize = 3;
/// Ids kept of the newest items.
const KEPT: usize = 10;

/// One item of a page, as far as paging is concerned.
#[derive(Clone, Debug, Default)]
pub(super) struct Item {
    /// Its full name.
    pub id: String,
    /// Creation, milliseconds since 1970 UTC.
    pub created_ms: Option<i64>,
    /// Stands out of order.
    pub pinned: bool,
}

/// What is known before the first page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Up to here everything was seen before.
    pub joined_ms: Option<i64>,
    /// A first reading should reach down to here.
    pub needed_ms: i64,
    /// What the listing is asked for begins here: 0 for everything.
    pub begins_ms: i64,
    /// The project begins here: what is older is not asked for.
    pub starts_ms: i64,
    /// The moment before the first request.
    pub now_ms: i64,
    /// See [`LISTING_SURE`].
    pub sure: usize,
}

/// What to do after a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Ask for the page after this cursor.
    More(String),
    /// Nothing more is to be asked.
    Over(End),
}

/// Why a listing is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// There are no more items.
    Ended,
    /// It ended where such listings end, whatever there is.
    Capped,
    /// A whole page was older than what was seen before, or than the project.
    Passed,
    /// Pages repeat.
    Loop,
    /// Pages without items, one after the other.
    Empty,
    /// The next page could not be had.
    Broken,
}

/// What a reading came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Conclusion {
    /// How it ended; of [`End::Broken`], the caller knows better.
    pub reach: Reach,
    /// Why it is not complete.
    pub reason: Option<&'static str>,
    /// What was seen, half-open.
    pub covered: Option<(i64, i64)>,
    /// Up to here everything that can be reached was seen.
    pub joined_ms: Option<i64>,
}

/// A listing being read.
pub(super) struct Paging {
    plan: Plan,
    seen: HashSet<String>,
    cursors: HashSet<String>,
    /// Items that the pages so far stand for, shown or left out by Reddit.
    slots: usize,
    empty: u32,
    asked: u32,
    /// Everything younger was shown.
    floor_ms: Option<i64>,
    /// Answers with items.
    pub pages: u32,
    /// Creation of the oldest item.
    pub oldest_ms: Option<i64>,
    /// Creation of the newest item.
    pub newest_ms: Option<i64>,
    /// Ids of the newest items.
    pub newest: Vec<String>,
}

impl Paging {
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            seen: HashSet::new(),
            cursors: HashSet::new(),
            slots: 0,
            empty: 0,
            asked: 0,
            floor_ms: None,
            pages: 0,
            oldest_ms: None,
            newest_ms: None,
            newest: Vec::new(),
        }
    }

    /// Takes in a page and says what is next.
    pub fn page(&mut self, items: &[Item], after: Option<&str>) -> Step {
        let after = after.filter(|after| !after.is_empty());
        self.asked += 1;
        self.pages += u32::from(!items.is_empty());
        let mut ordered = Vec::new();
        let (mut fresh, mut fresh_ordered) = (0, 0);
        for item in items {
            let new = self.seen.insert(item.id.clone());
            fresh += usize::from(new);
            if let Some(created) = item.created_ms {
                self.oldest_ms = Some(self.oldest_ms.map_or(created, |oldest| oldest.min(created)));
                self.newest_ms = self.newest_ms.max(Some(created));
            }
            if !item.pinned {
                fresh_ordered += usize::from(new);
                ordered.extend(item.created_ms);
                if new && self.newest.len() < KEPT {
                    self.newest.push(item.id.clone());
                }
            }
        }
        // A last page may repeat the one before: items move while pages are read.
        let repeats = fresh_ordered == 0 && items.iter().any(|item| !item.pinned);
        if repeats && after.is_some() {
            return Step::Over(End::Loop);
        }
        let last = ordered.len().saturating_sub(LAST_FEW);
        if let Some(end) = ordered[last..].iter().max() {
            self.floor_ms = Some(self.floor_ms.map_or(*end, |floor| floor.min(*end)));
        }
        let joined = self.plan.joined_ms.unwrap_or(i64::MIN);
        // A last page says more than that: what it shows is all there is.
        let needed = if after.is_some() { joined.max(self.plan.starts_ms) } else { joined };
        if ordered.iter().max().is_some_and(|newest| *newest < needed.saturating_sub(OVERLAP_MS)) {
            return Step::Over(End::Passed);
        }
        let Some(after) = after else {
            self.slots += if repeats { fresh } else { items.len() };
            return Step::Over(if self.slots < self.plan.sure { End::Ended } else { End::Capped });
        };
        // A page that is short, but not the last one, lacks items that Reddit left out.
        self.slots += items.len().max(PAGE);
        self.empty = if fresh == 0 { self.empty + 1 } else { 0 };
        if !self.cursors.insert(after.to_string()) {
            Step::Over(End::Loop)
        } else if self.empty >= MOST_EMPTY {
            Step::Over(End::Empty)
        } else if self.asked >= MOST_PAGES {
            Step::Over(End::Capped)
        } else {
            Step::More(after.to_string())
        }
    }

    /// What is certain after the pages so far.
    pub fn conclude(&self, end: End) -> Conclusion {
        let Plan { joined_ms, needed_ms, begins_ms, now_ms, .. } = self.plan;
        // Reddit's times are whole seconds: what was created in the last one may still come.
        let to = (now_ms - LAG_MS).div_euclid(1000) * 1000;
        // Items of the very same moment may be beyond the end.
        let shown = self.floor_ms.map(|floor| floor.saturating_add(1));
        let reaches = |moment: i64| shown.is_some_and(|shown| shown <= moment);
        let joins = joined_ms.is_some_and(reaches);
        let far_enough = joins || (joined_ms.is_none() && reaches(needed_ms));
        let (reach, reason) = match end {
            End::Ended | End::Passed => (Reach::Complete, None),
            End::Capped if far_enough => (Reach::Complete, None),
            End::Capped => {
                (Reach::Partial, Some("the listing ended at its limit before the start of the day"))
            }
            End::Loop => (Reach::Partial, Some("the pages of the listing repeat")),
            End::Empty => (Reach::Partial, Some("the listing has empty pages without an end")),
            End::Broken => (Reach::Failed, None),
        };
        let from = match end {
            End::Ended => Some(begins_ms),
            // Where the project begins after what was seen before, the two do not join.
            _ if joins => joined_ms,
            _ => shown,
        };
        let covered = from.filter(|from| *from < to).map(|from| (from, to));
        let joined_ms = match end {
            // What lies beyond the limit will not be nearer the next time.
            End::Ended | End::Passed | End::Capped => joined_ms.max(Some(to)),
            End::Loop | End::Empty | End::Broken => joined_ms,
        };
        Conclusion { reach, reason, covered, joined_ms }
    }
}

/// The shortest of a search's windows that surely spans from a moment until now, and whether
/// it is a window at all.
pub(super) fn window(from_ms: Option<i64>, now_ms: i64) -> &'static str {
    const HOUR_MS: i64 = 3_600_000;
    let Some(from) = from_ms else { return "all" };
    // Room for a slow answer and for clocks that differ.
    match now_ms.saturating_sub(from).saturating_add(10 * 60_000) {
        gap if gap < HOUR_MS => "hour",
        gap if gap < 24 * HOUR_MS => "day",
        gap if gap < 7 * 24 * HOUR_MS => "week",
        gap if gap < 28 * 24 * HOUR_MS => "month",
        gap if gap < 365 * 24 * HOUR_MS => "year",
        _ => "all",
    }
}
