//! Looking again at what is held: scores and edits while a day settles, deletions for a month.
//!
//! `/api/info` answers for up to a hundred ids; what is missing in an answer that holds
//! others is gone. Invariant: nothing counts as gone because of one empty answer: it is asked
//! for a second time, in a call in which something known to be there comes. Blocks on the
//! network.

use std::collections::HashSet;

use super::capture::SourceError;
use super::net::{Cursor, Gone, Held, Reach, Reached};
use super::reddit::Reading;
use super::reddit_api::{Halt, Piece, listing, pieces, plain};
use super::reddit_tree::{self, Trees};
use crate::envelope::PostType;
use crate::graph::Day;

/// Ids of one call. More are answered with nothing at all.
const PART: usize = 100;
/// Ids known to be there that go along with a call about missing ones.
const CONTROLS: usize = 3;
/// After so many empty answers in a row, empty answers are no longer looked into.
const MOST_EMPTY: u32 = 20;
const DAY_MS: i64 = 86_400_000;

/// Takes in again what is held of the days that are settling or have settled since.
pub(super) fn refresh(reading: &mut Reading<'_, '_>) -> Result<Reached, SourceError> {
    let now_ms = reading.intake.now_ms();
    let oldest = now_ms - 31 * DAY_MS;
    let since = reading.joined_ms.unwrap_or(now_ms).clamp(oldest, now_ms);
    let from = reading.intake.day_of(since - reading.api.def().settle_ms);
    let mut account = Account::default();
    let mut walk = Walk::new(from, reading.intake.day_of(now_ms));
    let mut halted = None;
    while let Some(part) = walk.next(reading)? {
        let ids: Vec<&str> = part.iter().map(|held| held.native_id.as_str()).collect();
        let taken = info(reading, &mut account, &ids, |reading, piece| {
            reading.take(piece, link_title(piece, &part)).map(|_| ())
        });
        if let Err(halt) = taken {
            halted = Some(halt.ended()?);
            break;
        }
    }
    let trees = reddit_tree::read_wanted(reading, halted.is_some())?;
    Ok(reached(reading, &account, halted, trees))
}

/// Finds out what is gone of the days that are swept, and what was edited or removed.
pub(super) fn sweep(reading: &mut Reading<'_, '_>) -> Result<Reached, SourceError> {
    let now_ms = reading.intake.now_ms();
    let from = reading.intake.day_of(now_ms - i64::from(reading.api.def().sweep_days) * DAY_MS);
    let mut walk = Walk::new(from, reading.intake.day_of(now_ms));
    let mut sweep = Sweep {
        // Edits since the last sweep, which may have begun a while before it was over.
        edited_from_ms: reading.joined_ms.unwrap_or(now_ms - DAY_MS) - 3_600_000,
        ..Sweep::default()
    };
    let mut outcome = Ok(());
    while let Some(part) = walk.next(reading)? {
        outcome = sweep.look(reading, part);
        if outcome.is_err() {
            break;
        }
    }
    // What is not confirmed is left to the next sweep.
    let outcome = outcome.and_then(|()| sweep.confirm(reading));
    let halted = match outcome {
        Ok(()) => None,
        Err(halt) => Some(halt.ended()?),
    };
    Ok(reached(reading, &sweep.account, halted, Trees::default()))
}

fn reached(
    reading: &Reading<'_, '_>,
    account: &Account,
    halted: Option<(Reach, String, Option<i64>)>,
    trees: Trees,
) -> Reached {
    let whole = halted.is_none();
    let (reach, reason, retry_at_ms) = match halted.or(trees.halted) {
        Some((reach, reason, retry_at_ms)) => (reach, Some(reason), retry_at_ms),
        None => (Reach::Complete, None, None),
    };
    Reached {
        reach,
        reason,
        // Days are covered by listings; this looks again at what they brought.
        covered: None,
        oldest_ms: account.oldest_ms,
        newest_ms: account.newest_ms,
        pages: account.pages,
        requests: reading.api.requests(),
        retry_at_ms,
        cursor: Cursor {
            joined_ms: if whole { Some(reading.intake.now_ms()) } else { reading.joined_ms },
            owed: trees.owed,
            ..Cursor::default()
        },
    }
}

#[derive(Default)]
struct Account {
    pages: u32,
    oldest_ms: Option<i64>,
    newest_ms: Option<i64>,
}

/// Goes through what is held, day by day, a hundred at a time.
struct Walk {
    next: Day,
    last: Day,
    waiting: Vec<Held>,
}

impl Walk {
    fn new(first: Day, last: Day) -> Self {
        Self { next: first, last, waiting: Vec::new() }
    }

    fn next(&mut self, reading: &Reading<'_, '_>) -> Result<Option<Vec<Held>>, SourceError> {
        while self.waiting.len() < PART && self.next <= self.last {
            let day = crate::graph::DayRange { start: self.next, end: self.next };
            let held = (reading.api.net().held)(day)?;
            self.waiting.extend(held.into_iter().filter(|held| {
                let id = held.native_id.as_str();
                !held.deleted && plain(id) && (id.starts_with("t1_") || id.starts_with("t3_"))
            }));
            self.next = self.next.plus(1);
        }
        let count = self.waiting.len().min(PART);
        Ok((count > 0).then(|| self.waiting.drain(..count).collect()))
    }
}

/// The headline of a comment's post, as it is held: a comment asked for by its id does not say
/// it, and would look changed without it.
fn link_title<'h>(piece: &Piece<'_>, part: &'h [Held]) -> Option<&'h str> {
    let Piece::Record { facts, .. } = piece else { return None };
    let title = |id: &str, kind| {
        let held = part.iter().find(|held| held.native_id == id && held.post_type == kind)?;
        held.title.as_deref()
    };
    let own = facts.id.as_deref().and_then(|id| title(id, PostType::Comment));
    own.or_else(|| facts.link_id.as_deref().and_then(|id| title(id, PostType::Post)))
}

/// Asks about ids, hands each piece of the answer over, and says which ids came.
fn info<'r, 'a>(
    reading: &mut Reading<'r, 'a>,
    account: &mut Account,
    ids: &[&str],
    mut each: impl FnMut(&mut Reading<'r, 'a>, &Piece<'_>) -> Result<(), SourceError>,
) -> Result<HashSet<String>, Halt> {
    let joined = ids.join(",");
    let json = reading.api.get("/api/info", &[("id", &joined)], "info")?;
    let Some(page) = listing(json.get()) else {
        return Err(Halt::failed("info: answered with JSON that is no listing"));
    };
    let mut came = HashSet::new();
    for piece in pieces(page.children) {
        if let Piece::Record { facts, .. } = &piece {
            came.extend(facts.id.clone());
            if let Some(created) = facts.created_ms {
                account.oldest_ms = Some(account.oldest_ms.map_or(created, |oldest| oldest.min(created)));
                account.newest_ms = account.newest_ms.max(Some(created));
            }
        }
        each(reading, &piece)?;
    }
    account.pages += u32::from(!came.is_empty());
    Ok(came)
}

/// The search for what is gone.
#[derive(Default)]
struct Sweep {
    account: Account,
    edited_from_ms: i64,
    /// Ids that came, the latest last.
    alive: Vec<String>,
    /// What did not come.
    missing: Vec<Held>,
    /// Empty answers in a row.
    empty: u32,
}

impl Sweep {
    /// Looks for everything of a part. An empty answer is asked for again in halves, until
    /// something comes or single ids are left.
    fn look(&mut self, reading: &mut Reading<'_, '_>, part: Vec<Held>) -> Result<(), Halt> {
        let mut parts = vec![part];
        while let Some(mut part) = parts.pop() {
            let came = self.ask(reading, &part, &[])?;
            let here: Vec<&Held> = part.iter().filter(|held| came.contains(&held.native_id)).collect();
            if !here.is_empty() {
                self.empty = 0;
                self.alive.extend(here.iter().take(CONTROLS).map(|held| held.native_id.clone()));
                let old = self.alive.len().saturating_sub(CONTROLS);
                self.alive.drain(..old);
                part.retain(|held| !came.contains(&held.native_id));
                self.missing.append(&mut part);
                continue;
            }
            self.empty += 1;
            // With something to compare with, the confirmation decides; with nothing after many
            // tries, more of them would tell nothing.
            if part.len() == 1 || !self.alive.is_empty() || self.empty > MOST_EMPTY {
                self.missing.append(&mut part);
            } else {
                let half = part.split_off(part.len() / 2);
                parts.push(half);
                parts.push(part);
            }
        }
        Ok(())
    }

    /// Asks a second time for what is missing, beside ids that are there.
    fn confirm(&mut self, reading: &mut Reading<'_, '_>) -> Result<(), Halt> {
        let missing = std::mem::take(&mut self.missing);
        let mut doubtful = false;
        for part in missing.chunks(PART - CONTROLS) {
            let controls = self.alive.clone();
            if controls.is_empty() {
                doubtful = true;
                break;
            }
            let came = self.ask(reading, part, &controls)?;
            if !controls.iter().any(|id| came.contains(id)) {
                doubtful = true;
                continue;
            }
            for held in part.iter().filter(|held| !came.contains(&held.native_id)) {
                reading.intake.gone(Gone {
                    platform: "reddit".to_string(),
                    native_id: held.native_id.clone(),
                    created_at_ms: held.created_at_ms,
                    why: "absent",
                    held: true,
                });
            }
        }
        if doubtful {
            return Err(Halt::partial("info: answered with nothing, which is not believed"));
        }
        Ok(())
    }

    /// Asks, and takes in what was removed or edited. A score that moved long after its day is
    /// no news.
    fn ask(
        &mut self,
        reading: &mut Reading<'_, '_>,
        part: &[Held],
        controls: &[String],
    ) -> Result<HashSet<String>, Halt> {
        let edited_from_ms = self.edited_from_ms;
        let ids = part.iter().map(|held| &held.native_id).chain(controls);
        let ids: Vec<&str> = ids.map(String::as_str).collect();
        info(reading, &mut self.account, &ids, |reading, piece| {
            let Piece::Record { kind, raw, .. } = piece else { return Ok(()) };
            let news = reading.mapped(raw, *kind, |envelope| {
                envelope.deleted || envelope.edited_at.is_some_and(|at| at >= edited_from_ms)
            });
            if news == Some(true) {
                reading.take(piece, link_title(piece, part))?;
            }
            Ok(())
        })
    }
}
