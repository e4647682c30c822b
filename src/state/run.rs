//! Runs: their beginning, heartbeat, cancel and end.
//!
//! Invariant: a run's final state is set once. A run whose process died without a word is ended
//! by whoever notices ([`State::mark_dead`], a lease taken over, pruning); its running steps have
//! then failed and its waiting ones are canceled. Blocks like any write.

use std::fmt;

use rusqlite::{Connection, OptionalExtension, params};

use super::db::State;
use super::error::{Fault, StateError};
use super::ledger::name_to_id;
use super::record::{add_event, note_failures};
use crate::event::{Event, RunState, StepState, StepStats};

/// A run's number in this database.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct RunId(pub i64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A run that begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewRun {
    /// The lake it works on.
    pub lake: String,
    /// The command, as a person would type it.
    pub command: String,
    /// The request in full, so that it can be run again.
    pub request_json: String,
    /// The process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// How many steps are planned.
    pub steps: u64,
    /// Milliseconds since 1970 UTC.
    pub now_ms: i64,
}

/// How many steps of a run ended how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct StepCounts {
    /// Published.
    pub succeeded: u64,
    /// Not published.
    pub failed: u64,
    /// Fresh when their turn came.
    pub skipped: u64,
    /// Something they read could not be made.
    pub upstream_failed: u64,
    /// Canceled before they were published.
    pub canceled: u64,
}

impl StepCounts {
    pub(super) fn add(&mut self, state: StepState, n: u64) {
        match state {
            StepState::Succeeded => self.succeeded += n,
            StepState::Failed => self.failed += n,
            StepState::Skipped => self.skipped += n,
            StepState::UpstreamFailed => self.upstream_failed += n,
            StepState::Canceled => self.canceled += n,
            StepState::Waiting | StepState::Ready | StepState::Running => {}
        }
    }

    /// How many have ended.
    pub fn finished(&self) -> u64 {
        self.succeeded + self.failed + self.skipped + self.upstream_failed + self.canceled
    }
}

/// A run as recorded.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct RunRow {
    /// Its number.
    pub id: RunId,
    /// The lake it works on.
    pub lake: String,
    /// The command, as a person would type it.
    pub command: String,
    /// The request in full.
    pub request_json: String,
    /// The process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// Where it stands, as far as it could say: see [`RunRow::effective`].
    pub state: RunState,
    /// Why it ended so, when it is not plain from its steps.
    pub message: Option<String>,
    /// How many steps were planned.
    pub steps: u64,
    /// How many of them ended how.
    pub counts: StepCounts,
    /// Milliseconds since 1970 UTC.
    pub started_ms: i64,
    /// When its process was last heard of, milliseconds since 1970 UTC.
    pub heartbeat_ms: i64,
    /// Milliseconds since 1970 UTC; `None` exactly while the state is not final.
    pub finished_ms: Option<i64>,
    /// Somebody asked it to stop.
    pub cancel_requested: bool,
    /// Its steps and events were removed by [`State::prune`].
    pub pruned: bool,
}

/// Where a run stands, seen from now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunLife {
    /// Recorded, not started.
    Queued,
    /// At work.
    Running,
    /// At work, and asked to stop.
    Canceling,
    /// Not heard of for too long: its process died or is stopped.
    Dead,
    /// Every step succeeded or was fresh.
    Succeeded,
    /// At least one step failed.
    Failed,
    /// Stopped on request.
    Canceled,
}

impl RunRow {
    /// Where it stands at `now_ms`, when a heartbeat counts for `ttl_ms`.
    pub fn effective(&self, now_ms: i64, ttl_ms: i64) -> RunLife {
        match self.state {
            RunState::Queued => RunLife::Queued,
            RunState::Running if now_ms.saturating_sub(self.heartbeat_ms) > ttl_ms => RunLife::Dead,
            RunState::Running if self.cancel_requested => RunLife::Canceling,
            RunState::Running => RunLife::Running,
            RunState::Succeeded => RunLife::Succeeded,
            RunState::Failed => RunLife::Failed,
            RunState::Canceled => RunLife::Canceled,
        }
    }
}

/// What a run is told when it says that it is alive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Orders {
    /// Somebody asked it to stop.
    pub cancel: bool,
    /// It was taken for dead and has been ended: its work may be another run's now.
    pub over: bool,
}

impl State {
    /// Records that a run begins.
    ///
    /// # Errors
    /// As any write.
    pub fn begin_run(&self, run: &NewRun) -> Result<RunId, StateError> {
        self.write("begin a run", |tx| {
            let lake = name_to_id(tx, &run.lake)?;
            let id = tx
                .prepare_cached(
                    "INSERT INTO runs \
                     (lake, command, request, pid, host, state, steps, started_ms, heartbeat_ms) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
                )?
                .insert(params![
                    lake,
                    run.command,
                    run.request_json,
                    run.pid,
                    run.host,
                    RunState::Running.as_str(),
                    count(run.steps),
                    run.now_ms
                ])?;
            Ok(RunId(id))
        })
    }

    /// Ends a run and gives back its leases, and records so as an event. Steps that have not ended
    /// are canceled. A run that has ended stays as it is.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`]; [`StateError::NotFinal`]; as any write.
    pub fn finish_run(&self, run: RunId, state: RunState, now_ms: i64) -> Result<(), StateError> {
        self.write("finish a run", |tx| {
            known(tx, run)?;
            if finish(tx, run, state, None, now_ms)? {
                let started_ms: i64 = tx
                    .prepare_cached("SELECT started_ms FROM runs WHERE id = ?1")?
                    .query_row([run.0], |r| r.get(0))?;
                let elapsed_ms = u64::try_from(now_ms.saturating_sub(started_ms)).unwrap_or(0);
                add_event(tx, run, now_ms, &Event::RunFinished { state, elapsed_ms })?;
            }
            Ok(())
        })
    }

    /// Says that a run's process is alive, and asks what it is to do.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`]; as any write.
    pub fn heartbeat(&self, run: RunId, now_ms: i64) -> Result<Orders, StateError> {
        self.write("record a heartbeat", |tx| {
            beat(tx, run, now_ms)?;
            orders_in(tx, run)
        })
    }

    /// What a run is told, without saying that it is alive: a read that waits for no writer.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`]; as any read.
    pub fn orders(&self, run: RunId) -> Result<Orders, StateError> {
        self.read("read what a run is told", |conn| orders_in(conn, run))
    }

    /// Asks a run to stop; it learns so within a moment. False when it has ended already.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`]; as any write.
    pub fn request_cancel(&self, run: RunId) -> Result<bool, StateError> {
        self.write("cancel a run", |tx| {
            known(tx, run)?;
            let asked = tx
                .prepare_cached("UPDATE runs SET cancel = 1 WHERE id = ?1 AND finished_ms IS NULL")?
                .execute([run.0])?;
            Ok(asked > 0)
        })
    }

    /// Ends a run whose process is known to be gone (same machine, no such process), so that
    /// nobody waits for its leases. False when it has ended already.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`]; as any write.
    pub fn mark_dead(&self, run: RunId, now_ms: i64) -> Result<bool, StateError> {
        self.write("end a dead run", |tx| {
            known(tx, run)?;
            bury(tx, run, now_ms)
        })
    }
}

/// A count as SQLite holds it.
pub(super) fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The lake of a run.
pub(super) fn known(conn: &Connection, run: RunId) -> Result<i64, Fault> {
    conn.prepare_cached("SELECT lake FROM runs WHERE id = ?1")?
        .query_row([run.0], |r| r.get(0))
        .optional()?
        .ok_or(Fault::UnknownRun(run))
}

fn orders_in(conn: &Connection, run: RunId) -> Result<Orders, Fault> {
    conn.prepare_cached("SELECT cancel, finished_ms IS NOT NULL FROM runs WHERE id = ?1")?
        .query_row([run.0], |r| Ok(Orders { cancel: r.get(0)?, over: r.get(1)? }))
        .optional()?
        .ok_or(Fault::UnknownRun(run))
}

/// A heartbeat never goes back, whatever the clock does.
pub(super) fn beat(conn: &Connection, run: RunId, now_ms: i64) -> Result<(), Fault> {
    conn.prepare_cached(
        "UPDATE runs SET heartbeat_ms = max(heartbeat_ms, ?2) WHERE id = ?1 AND finished_ms IS NULL",
    )?
    .execute(params![run.0, now_ms])?;
    Ok(())
}

/// Adds to a run's counts.
pub(super) fn add_counts(conn: &Connection, run: RunId, more: StepCounts) -> Result<(), Fault> {
    if more != StepCounts::default() {
        conn.prepare_cached(
            "UPDATE runs SET succeeded = succeeded + ?2, failed = failed + ?3, skipped = skipped + ?4, \
             upstream_failed = upstream_failed + ?5, canceled = canceled + ?6 WHERE id = ?1",
        )?
        .execute(params![
            run.0,
            count(more.succeeded),
            count(more.failed),
            count(more.skipped),
            count(more.upstream_failed),
            count(more.canceled)
        ])?;
    }
    Ok(())
}

/// Ends a run, once. False when it had ended.
pub(super) fn finish(
    conn: &Connection,
    run: RunId,
    state: RunState,
    message: Option<&str>,
    now_ms: i64,
) -> Result<bool, Fault> {
    if !state.is_final() {
        return Err(Fault::NotFinal(run, state.as_str()));
    }
    let ended = conn
        .prepare_cached(
            "UPDATE runs SET state = ?2, message = ?3, finished_ms = ?4 WHERE id = ?1 AND finished_ms IS NULL",
        )?
        .execute(params![run.0, state.as_str(), message, now_ms])?;
    if ended == 0 {
        return Ok(false);
    }
    let left = conn
        .prepare_cached(
            "UPDATE steps SET state = ?2, message = 'the run ended before it', finished_ms = ?3 \
             WHERE run = ?1 AND finished_ms IS NULL",
        )?
        .execute(params![run.0, StepState::Canceled.as_str(), now_ms])?;
    add_counts(conn, run, StepCounts { canceled: left as u64, ..StepCounts::default() })?;
    conn.prepare_cached("DELETE FROM leases WHERE run = ?1")?.execute([run.0])?;
    Ok(true)
}

/// What a step and a run that nobody finished say of themselves.
pub const DIED: &str = "the process died";

/// Ends a run whose process died. False when it had ended.
pub(super) fn bury(conn: &Connection, run: RunId, now_ms: i64) -> Result<bool, Fault> {
    let row: Option<(i64, i64, i64)> = conn
        .prepare_cached(
            "SELECT lake, started_ms, heartbeat_ms FROM runs WHERE id = ?1 AND finished_ms IS NULL",
        )?
        .query_row([run.0], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .optional()?;
    let Some((lake, started_ms, heartbeat_ms)) = row else { return Ok(false) };
    let running = super::read::targets_in(conn, run, StepState::Running)?;
    conn.prepare_cached(
        "UPDATE steps SET state = ?2, message = ?3, finished_ms = ?4 WHERE run = ?1 AND state = ?5",
    )?
    .execute(params![run.0, StepState::Failed.as_str(), DIED, now_ms, StepState::Running.as_str()])?;
    note_failures(conn, lake, run, StepState::Failed, DIED, &running, now_ms)?;
    for step in &running {
        let gone = Event::StepFinished {
            step: step.clone(),
            state: StepState::Failed,
            stats: StepStats::default(),
            message: Some(DIED.into()),
            checks: Vec::new(),
            elapsed_ms: 0,
        };
        add_event(conn, run, now_ms, &gone)?;
    }
    add_counts(conn, run, StepCounts { failed: running.len() as u64, ..StepCounts::default() })?;
    let elapsed_ms = u64::try_from(heartbeat_ms.saturating_sub(started_ms)).unwrap_or(0);
    add_event(conn, run, now_ms, &Event::RunFinished { state: RunState::Failed, elapsed_ms })?;
    finish(conn, run, RunState::Failed, Some(DIED), now_ms)
}
