//! Leases: which run works on what, so that two processes do not do the same work twice.
//!
//! Invariant: a lease is held by a run that has not ended and was heard of within the time to
//! live. Correctness never needs them (the lake's generations are the fence); they only save
//! work. Blocks like any write.

use rusqlite::{OptionalExtension, params};

use super::db::State;
use super::error::{Fault, StateError};
use super::run::{RunId, beat, bury};

/// Whether a lease was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LeaseOutcome {
    /// The run holds it now (or held it already).
    Granted,
    /// A live run holds it.
    HeldBy {
        /// Which.
        run: RunId,
        /// Its process.
        pid: u32,
        /// The machine of that process. If it is this one and the process is gone,
        /// [`State::mark_dead`] frees what it held at once.
        host: String,
        /// How long ago it was heard of, milliseconds.
        heartbeat_age_ms: i64,
    },
}

impl State {
    /// Takes leases for a run, each if it is free. The holder's run being over, or not heard of
    /// for longer than `ttl_ms`, makes it free; in the latter case that run is ended as failed
    /// ("the process died"), with its running steps. Outcomes come in the order of `keys`.
    /// Counts as a heartbeat of `run`.
    ///
    /// # Errors
    /// [`StateError::RunOver`] when `run` itself has ended; [`StateError::UnknownRun`]; as any
    /// write. After an error nothing is taken.
    pub fn lease(
        &self,
        lake: &str,
        run: RunId,
        keys: &[String],
        now_ms: i64,
        ttl_ms: i64,
    ) -> Result<Vec<LeaseOutcome>, StateError> {
        self.write("take leases", |tx| {
            let over: bool = tx
                .prepare_cached("SELECT finished_ms IS NOT NULL FROM runs WHERE id = ?1")?
                .query_row([run.0], |r| r.get(0))
                .optional()?
                .ok_or(Fault::UnknownRun(run))?;
            if over {
                return Err(Fault::RunOver(run));
            }
            beat(tx, run, now_ms)?;
            let lake = super::ledger::name_to_id(tx, lake)?;
            let mut holder = tx.prepare_cached(
                "SELECT l.run, r.pid, r.host, r.heartbeat_ms, r.finished_ms IS NOT NULL \
                 FROM leases l LEFT JOIN runs r ON r.id = l.run WHERE l.lake = ?1 AND l.key = ?2",
            )?;
            let mut take = tx.prepare_cached(
                "INSERT OR REPLACE INTO leases (lake, key, run, taken_ms) VALUES (?1, ?2, ?3, ?4)",
            )?;
            let mut outcomes = Vec::with_capacity(keys.len());
            for key in keys {
                let held = holder
                    .query_row(params![lake, key], |r| {
                        Ok((
                            RunId(r.get(0)?),
                            r.get::<_, Option<u32>>(1)?,
                            r.get::<_, Option<String>>(2)?,
                            r.get::<_, Option<i64>>(3)?,
                            r.get::<_, bool>(4)?,
                        ))
                    })
                    .optional()?;
                outcomes.push(match held {
                    Some((holder, ..)) if holder == run => LeaseOutcome::Granted,
                    Some((holder, Some(pid), Some(host), Some(heard_ms), false)) => {
                        // A heartbeat from the future is a clock that jumped, not a sign of death.
                        let heartbeat_age_ms = now_ms.saturating_sub(heard_ms).max(0);
                        if heartbeat_age_ms <= ttl_ms {
                            LeaseOutcome::HeldBy { run: holder, pid, host, heartbeat_age_ms }
                        } else {
                            bury(tx, holder, now_ms)?;
                            take.execute(params![lake, key, run.0, now_ms])?;
                            LeaseOutcome::Granted
                        }
                    }
                    _ => {
                        take.execute(params![lake, key, run.0, now_ms])?;
                        LeaseOutcome::Granted
                    }
                });
            }
            Ok(outcomes)
        })
    }

    /// Gives back every lease of a run.
    ///
    /// # Errors
    /// As any write.
    pub fn release_all(&self, run: RunId) -> Result<(), StateError> {
        self.write("give leases back", |tx| {
            tx.prepare_cached("DELETE FROM leases WHERE run = ?1")?.execute([run.0])?;
            Ok(())
        })
    }
}
