//! Recording what happened in a run: one batch, one transaction.
//!
//! Invariant: events, the step rows that follow from them, ledger entries and returned leases
//! become visible together, and are on disk when the call returns. Blocks like any write.

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::db::State;
use super::error::{Fault, StateError};
use super::ledger::{Published, name_to_id, part, set_entries};
use super::run::{RunId, StepCounts, add_counts, beat, count, finish, known};
use crate::event::{Event, StepState, StepStats, Target};
use crate::graph::Fingerprint;

/// What a run records at one moment.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// When, milliseconds since 1970 UTC. Also counts as a heartbeat.
    pub now_ms: i64,
    /// What happened, in order. `StepStarted`, `StepRetry` and `StepFinished` change the step's
    /// row, `RunFinished` ends the run as [`State::finish_run`] does.
    pub events: Vec<Event>,
    /// What was published. An entry older than the ledger's is ignored.
    pub entries: Vec<Published>,
    /// Leases given back.
    pub release: Vec<String>,
    /// Steps to insert as waiting, at the start of a run.
    pub plan: Vec<Target>,
    /// What failed steps of this batch were to be made from (code and inputs in one), so that
    /// the same failure is not tried again without need.
    pub fingerprints: Vec<(Target, Fingerprint)>,
}

impl State {
    /// Records a batch in one transaction. Returns the sequence numbers of its events.
    ///
    /// A final state of a step or run is never overwritten; the event is recorded all the same.
    ///
    /// # Errors
    /// [`StateError::UnknownRun`]; [`StateError::NotFinal`]; as any write. After an error nothing
    /// of the batch is recorded.
    pub fn record(&self, run: RunId, batch: &Batch) -> Result<Vec<i64>, StateError> {
        self.write("record a batch", |tx| {
            let lake = known(tx, run)?;
            let mut recorder =
                Recorder { conn: tx, run, lake, now_ms: batch.now_ms, counts: StepCounts::default() };
            for target in &batch.plan {
                recorder.plan(target)?;
            }
            let mut seqs = Vec::with_capacity(batch.events.len());
            for event in &batch.events {
                seqs.push(add_event(tx, run, batch.now_ms, event)?);
                recorder.apply(event)?;
            }
            for (target, fingerprint) in &batch.fingerprints {
                recorder.fingerprint(target, *fingerprint)?;
            }
            set_entries(tx, lake, &batch.entries)?;
            let mut release =
                tx.prepare_cached("DELETE FROM leases WHERE lake = ?1 AND key = ?2 AND run = ?3")?;
            for key in &batch.release {
                release.execute(params![lake, key, run.0])?;
            }
            add_counts(tx, run, recorder.counts)?;
            // Last, so that its counts of canceled steps see every row above.
            for event in &batch.events {
                if let Event::RunFinished { state, .. } = event {
                    finish(tx, run, *state, None, batch.now_ms)?;
                }
            }
            beat(tx, run, batch.now_ms)?;
            Ok(seqs)
        })
    }
}

/// Appends one event; returns its sequence number.
pub(super) fn add_event(conn: &Connection, run: RunId, now_ms: i64, event: &Event) -> Result<i64, Fault> {
    let text = json(event)?;
    Ok(conn
        .prepare_cached("INSERT INTO events (run, at_ms, event) VALUES (?1, ?2, ?3)")?
        .insert(params![run.0, now_ms, text])?)
}

/// Remembers that targets failed, for `status` and `--failed`.
pub(super) fn note_failures(
    conn: &Connection,
    lake: i64,
    run: RunId,
    state: StepState,
    message: &str,
    targets: &[Target],
    now_ms: i64,
) -> Result<(), Fault> {
    for target in targets {
        let key = StepKey::of(conn, target)?;
        // A run that has been overtaken does not blacken what a later run has made or tried.
        conn.prepare_cached(
            "INSERT INTO failures (lake, asset, source, part, run, state, message, fingerprint, at_ms) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, ?8) \
             ON CONFLICT DO UPDATE SET run = excluded.run, state = excluded.state, \
             message = excluded.message, fingerprint = NULL, at_ms = excluded.at_ms WHERE run <= excluded.run",
        )?
        .execute(params![
            lake,
            key.asset,
            key.source,
            key.part,
            run.0,
            state.as_str(),
            message,
            now_ms
        ])?;
    }
    Ok(())
}

/// A value as JSON; ours always can be.
fn json<T: serde::Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|e| Fault::Sql(rusqlite::Error::ToSqlConversionFailure(Box::new(e))))
}

/// How a target is stored.
struct StepKey<'a> {
    asset: i64,
    source: &'a str,
    part: Value,
}

impl<'a> StepKey<'a> {
    fn of(conn: &Connection, target: &'a Target) -> Result<Self, Fault> {
        let asset = name_to_id(conn, target.asset().as_str())?;
        Ok(match target {
            Target::Capture { source, window, .. } => {
                Self { asset, source, part: Value::Text(window.clone()) }
            }
            Target::Partition { partition, .. } => Self { asset, source: "", part: part(*partition) },
        })
    }
}

struct Recorder<'a> {
    conn: &'a Connection,
    run: RunId,
    lake: i64,
    now_ms: i64,
    counts: StepCounts,
}

impl Recorder<'_> {
    fn plan(&self, target: &Target) -> Result<(), Fault> {
        let key = StepKey::of(self.conn, target)?;
        self.conn
            .prepare_cached(
                "INSERT OR IGNORE INTO steps (run, asset, source, part, state) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![self.run.0, key.asset, key.source, key.part, StepState::Waiting.as_str()])?;
        Ok(())
    }

    fn apply(&mut self, event: &Event) -> Result<(), Fault> {
        match event {
            Event::StepStarted { step, attempt } => self.moved(step, StepState::Running, *attempt, None),
            Event::StepRetry { step, attempt, error, .. } => {
                self.moved(step, StepState::Ready, *attempt, Some(error))
            }
            Event::StepFinished { step, state, stats, message, checks, elapsed_ms } => {
                if !state.is_final() {
                    return Err(Fault::NotFinal(self.run, state.as_str()));
                }
                let checks = if checks.is_empty() { None } else { Some(json(checks)?) };
                self.ended(step, *state, stats, message.as_deref(), checks, *elapsed_ms)
            }
            Event::RunStarted { steps, .. } => {
                self.conn
                    .prepare_cached("UPDATE runs SET steps = ?2 WHERE id = ?1 AND finished_ms IS NULL")?
                    .execute(params![self.run.0, count(*steps)])?;
                Ok(())
            }
            Event::Log { .. } | Event::RunFinished { .. } => Ok(()),
        }
    }

    fn moved(&self, step: &Target, to: StepState, attempt: u32, message: Option<&str>) -> Result<(), Fault> {
        let key = StepKey::of(self.conn, step)?;
        // A run that has ended does not get open steps again.
        self.conn
            .prepare_cached(
                "INSERT INTO steps (run, asset, source, part, state, attempt, started_ms, message) \
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 \
                 WHERE EXISTS (SELECT 1 FROM runs WHERE id = ?1 AND finished_ms IS NULL) \
                 ON CONFLICT DO UPDATE SET state = excluded.state, attempt = excluded.attempt, \
                 started_ms = coalesce(started_ms, excluded.started_ms), message = excluded.message \
                 WHERE finished_ms IS NULL",
            )?
            .execute(params![
                self.run.0,
                key.asset,
                key.source,
                key.part,
                to.as_str(),
                attempt,
                self.now_ms,
                message
            ])?;
        Ok(())
    }

    fn ended(
        &mut self,
        step: &Target,
        state: StepState,
        stats: &StepStats,
        message: Option<&str>,
        checks: Option<String>,
        elapsed_ms: u64,
    ) -> Result<(), Fault> {
        let key = StepKey::of(self.conn, step)?;
        let stats = if *stats == StepStats::default() { None } else { Some(json(stats)?) };
        // A step that never ran has no start.
        let started_ms = (elapsed_ms > 0).then(|| self.now_ms.saturating_sub(count(elapsed_ms)));
        let changed = self
            .conn
            .prepare_cached(
                "INSERT INTO steps \
                 (run, asset, source, part, state, started_ms, finished_ms, stats, message, checks) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
                 ON CONFLICT DO UPDATE SET state = excluded.state, \
                 started_ms = coalesce(started_ms, excluded.started_ms), finished_ms = excluded.finished_ms, \
                 stats = excluded.stats, message = excluded.message, checks = excluded.checks \
                 WHERE finished_ms IS NULL",
            )?
            .execute(params![
                self.run.0,
                key.asset,
                key.source,
                key.part,
                state.as_str(),
                started_ms,
                self.now_ms,
                stats,
                message,
                checks
            ])?;
        if changed == 0 {
            return Ok(());
        }
        self.counts.add(state, 1);
        match state {
            StepState::Failed | StepState::UpstreamFailed => {
                let message = message.unwrap_or("");
                let step = std::slice::from_ref(step);
                note_failures(self.conn, self.lake, self.run, state, message, step, self.now_ms)
            }
            StepState::Succeeded | StepState::Skipped => {
                self.conn
                    .prepare_cached(
                        "DELETE FROM failures WHERE lake = ?1 AND asset = ?2 AND source = ?3 AND part = ?4",
                    )?
                    .execute(params![self.lake, key.asset, key.source, key.part])?;
                Ok(())
            }
            // A cancel says nothing of the target: it is as broken as it was.
            _ => Ok(()),
        }
    }

    fn fingerprint(&self, target: &Target, fingerprint: Fingerprint) -> Result<(), Fault> {
        let key = StepKey::of(self.conn, target)?;
        self.conn
            .prepare_cached(
                "UPDATE failures SET fingerprint = ?6 \
                 WHERE lake = ?1 AND asset = ?2 AND source = ?3 AND part = ?4 AND run = ?5",
            )?
            .execute(params![self.lake, key.asset, key.source, key.part, self.run.0, &fingerprint.0[..]])?;
        Ok(())
    }
}
