//! What screens and commands read of runs.
//!
//! Invariant: each verb is one snapshot of what is committed. Waits for no writer.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row, params, params_from_iter};

use super::db::State;
use super::error::{Fault, StateError};
use super::ledger::{hash, name_id, part_back};
use super::run::{RunId, RunRow, StepCounts, known};
use crate::event::{CheckResult, Event, RunState, StepState, StepStats, Target};
use crate::graph::{AssetKey, Fingerprint};

/// One step of a run as recorded.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct StepRow {
    /// What it works on.
    pub target: Target,
    /// Where it stands.
    pub state: StepState,
    /// Its newest try, from 1; 0 while it has not started.
    pub attempt: u32,
    /// Milliseconds since 1970 UTC; `None` for a step that never ran.
    pub started_ms: Option<i64>,
    /// Milliseconds since 1970 UTC; `None` exactly while the state is not final.
    pub finished_ms: Option<i64>,
    /// Its numbers, once it has finished.
    pub stats: StepStats,
    /// What went wrong, or why it was skipped.
    pub message: Option<String>,
    /// What its checks found.
    pub checks: Vec<CheckResult>,
}

/// Which steps of a run. The default is all of them.
#[derive(Clone, Debug, Default)]
pub struct StepFilter {
    /// Only in these states; empty for any.
    pub states: Vec<StepState>,
    /// Only of this asset.
    pub asset: Option<AssetKey>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// A recorded event: its number, when (milliseconds since 1970 UTC), and what happened.
pub type EventRow = (i64, i64, Event);

/// A target whose newest outcome is a failure.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Failure {
    /// What failed.
    pub target: Target,
    /// `Failed` or `UpstreamFailed`.
    pub state: StepState,
    /// What went wrong.
    pub message: String,
    /// In which run.
    pub run: RunId,
    /// What it was to be made from, if the run said so: while this is unchanged, a failure that
    /// does not depend on luck would happen again.
    pub fingerprint: Option<Fingerprint>,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
}

const RUN_COLUMNS: &str = "SELECT r.id, n.name, r.command, r.request, r.pid, r.host, r.state, r.message, \
     r.steps, r.succeeded, r.failed, r.skipped, r.upstream_failed, r.canceled, r.started_ms, \
     r.heartbeat_ms, r.finished_ms, r.cancel, r.pruned FROM runs r JOIN names n ON n.id = r.lake";

impl State {
    /// A number that is another one after somebody else has written anything: the cheapest way
    /// to learn that there is no news.
    ///
    /// # Errors
    /// As any read.
    pub fn version(&self) -> Result<i64, StateError> {
        self.read("ask whether there is news", |conn| {
            Ok(conn.prepare_cached("PRAGMA data_version")?.query_row([], |r| r.get(0))?)
        })
    }

    /// Runs, newest first, at most `limit`, only those before `before` when given.
    ///
    /// # Errors
    /// As any read.
    pub fn runs(&self, limit: u32, before: Option<RunId>) -> Result<Vec<RunRow>, StateError> {
        self.read("read runs", |conn| {
            let before = before.map_or(i64::MAX, |run| run.0);
            let mut stmt =
                conn.prepare_cached(&format!("{RUN_COLUMNS} WHERE r.id < ?1 ORDER BY r.id DESC LIMIT ?2"))?;
            let mut rows = stmt.query(params![before, limit])?;
            let mut runs = Vec::new();
            while let Some(row) = rows.next()? {
                runs.push(run_row(row)?);
            }
            Ok(runs)
        })
    }

    /// One run, if there is such a one.
    ///
    /// # Errors
    /// As any read.
    pub fn run(&self, run: RunId) -> Result<Option<RunRow>, StateError> {
        self.read("read a run", |conn| {
            let mut stmt = conn.prepare_cached(&format!("{RUN_COLUMNS} WHERE r.id = ?1"))?;
            let mut rows = stmt.query([run.0])?;
            rows.next()?.map(run_row).transpose()
        })
    }

    /// The run that began last.
    ///
    /// # Errors
    /// As any read.
    pub fn latest_run(&self) -> Result<Option<RunRow>, StateError> {
        Ok(self.runs(1, None)?.pop())
    }

    /// Steps of a run by asset, source and partition, each in order.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`]; as any read.
    pub fn steps(&self, run: RunId, filter: &StepFilter) -> Result<Vec<StepRow>, StateError> {
        self.read("read steps", |conn| {
            known(conn, run)?;
            let mut sql = String::from(
                "SELECT n.name, s.source, s.part, s.state, s.attempt, s.started_ms, s.finished_ms, s.stats, \
                 s.message, s.checks FROM steps s JOIN names n ON n.id = s.asset WHERE s.run = ?",
            );
            let mut values = vec![Value::Integer(run.0)];
            if let Some(asset) = &filter.asset {
                let Some(id) = name_id(conn, asset.as_str())? else { return Ok(Vec::new()) };
                sql.push_str(" AND s.asset = ?");
                values.push(Value::Integer(id));
            }
            if !filter.states.is_empty() {
                let marks = vec!["?"; filter.states.len()].join(", ");
                sql.push_str(&format!(" AND s.state IN ({marks})"));
                values.extend(filter.states.iter().map(|s| Value::Text(s.as_str().into())));
            }
            sql.push_str(" ORDER BY n.name, s.source, s.part LIMIT ?");
            values.push(Value::Integer(filter.limit.map_or(-1, i64::from)));
            let mut stmt = conn.prepare_cached(&sql)?;
            let mut rows = stmt.query(params_from_iter(values))?;
            let mut steps = Vec::new();
            while let Some(row) = rows.next()? {
                steps.push(step_row(row)?);
            }
            Ok(steps)
        })
    }

    /// Events of a run after the sequence number `after` (0 for all), oldest first, at most
    /// `limit`. Following a run is asking again with the last number seen.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`]; as any read.
    pub fn events(&self, run: RunId, after: i64, limit: u32) -> Result<Vec<EventRow>, StateError> {
        self.read("read events", |conn| {
            known(conn, run)?;
            let mut stmt = conn.prepare_cached(
                "SELECT seq, at_ms, event FROM events WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            )?;
            let mut rows = stmt.query(params![run.0, after, limit])?;
            let mut events = Vec::new();
            while let Some(row) = rows.next()? {
                // One line that cannot be read is said to be so, and hides no other.
                let event = serde_json::from_str(row.get_ref(2)?.as_str().map_err(|_| bad("an event"))?)
                    .unwrap_or_else(|e| Event::Log {
                        level: "warn".into(),
                        step: None,
                        message: format!("a recorded event cannot be read ({e})"),
                    });
                events.push((row.get(0)?, row.get(1)?, event));
            }
            Ok(events)
        })
    }

    /// What failed in its newest outcome and has not been made since, by asset, source and
    /// partition. Being canceled is no outcome. It outlives the pruning of runs.
    ///
    /// # Errors
    /// As any read.
    pub fn last_failures(&self, lake: &str) -> Result<Vec<Failure>, StateError> {
        self.read("read failures", |conn| {
            let Some(lake) = name_id(conn, lake)? else { return Ok(Vec::new()) };
            let mut stmt = conn.prepare_cached(
                "SELECT n.name, f.source, f.part, f.state, f.message, f.run, f.fingerprint, f.at_ms \
                 FROM failures f JOIN names n ON n.id = f.asset WHERE f.lake = ?1 \
                 ORDER BY n.name, f.source, f.part",
            )?;
            let mut rows = stmt.query([lake])?;
            let mut failures = Vec::new();
            while let Some(row) = rows.next()? {
                let fingerprint = match row.get_ref(6)? {
                    ValueRef::Null => None,
                    _ => Some(Fingerprint(hash(row, 6)?)),
                };
                failures.push(Failure {
                    target: target(row)?,
                    state: step_state(row, 3)?,
                    message: row.get(4)?,
                    run: RunId(row.get(5)?),
                    fingerprint,
                    at_ms: row.get(7)?,
                });
            }
            Ok(failures)
        })
    }
}

/// The targets of a run's steps in one state.
pub(super) fn targets_in(conn: &Connection, run: RunId, state: StepState) -> Result<Vec<Target>, Fault> {
    let mut stmt = conn.prepare_cached(
        "SELECT n.name, s.source, s.part FROM steps s JOIN names n ON n.id = s.asset \
         WHERE s.run = ?1 AND s.state = ?2 ORDER BY n.name, s.source, s.part",
    )?;
    let mut rows = stmt.query(params![run.0, state.as_str()])?;
    let mut targets = Vec::new();
    while let Some(row) = rows.next()? {
        targets.push(target(row)?);
    }
    Ok(targets)
}

fn bad(what: &str) -> Fault {
    Fault::Damaged(format!("{what} cannot be read"))
}

/// A target from the columns asset name, source, part.
fn target(row: &Row<'_>) -> Result<Target, Fault> {
    let name: String = row.get(0)?;
    let asset: AssetKey = name.parse().map_err(|_| bad("the name of an asset"))?;
    let source: String = row.get(1)?;
    if source.is_empty() {
        Ok(Target::Partition { asset, partition: part_back(row.get_ref(2)?)? })
    } else {
        Ok(Target::Capture { asset, source, window: row.get(2)? })
    }
}

fn step_state(row: &Row<'_>, at: usize) -> Result<StepState, Fault> {
    row.get_ref(at)?.as_str().ok().and_then(StepState::parse).ok_or_else(|| bad("the state of a step"))
}

fn step_row(row: &Row<'_>) -> Result<StepRow, Fault> {
    let stats: Option<String> = row.get(7)?;
    let checks: Option<String> = row.get(9)?;
    Ok(StepRow {
        target: target(row)?,
        state: step_state(row, 3)?,
        attempt: row.get(4)?,
        started_ms: row.get(5)?,
        finished_ms: row.get(6)?,
        stats: match stats {
            Some(text) => serde_json::from_str(&text).map_err(|_| bad("the numbers of a step"))?,
            None => StepStats::default(),
        },
        message: row.get(8)?,
        checks: match checks {
            Some(text) => serde_json::from_str(&text).map_err(|_| bad("the checks of a step"))?,
            None => Vec::new(),
        },
    })
}

fn run_row(row: &Row<'_>) -> Result<RunRow, Fault> {
    let number = |at: usize| -> Result<u64, Fault> {
        u64::try_from(row.get::<_, i64>(at)?).map_err(|_| bad("a count of steps"))
    };
    Ok(RunRow {
        id: RunId(row.get(0)?),
        lake: row.get(1)?,
        command: row.get(2)?,
        request_json: row.get(3)?,
        pid: row.get(4)?,
        host: row.get(5)?,
        state: row
            .get_ref(6)?
            .as_str()
            .ok()
            .and_then(RunState::parse)
            .ok_or_else(|| bad("the state of a run"))?,
        message: row.get(7)?,
        steps: number(8)?,
        counts: StepCounts {
            succeeded: number(9)?,
            failed: number(10)?,
            skipped: number(11)?,
            upstream_failed: number(12)?,
            canceled: number(13)?,
        },
        started_ms: row.get(14)?,
        heartbeat_ms: row.get(15)?,
        finished_ms: row.get(16)?,
        cancel_requested: row.get(17)?,
        pruned: row.get(18)?,
    })
}
