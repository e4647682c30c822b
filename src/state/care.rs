//! Keeping the database small and knowing that it is sound.
//!
//! Invariant: pruning never touches the ledger, failures, caches or a run that is at work, and
//! holds the write lock only for short pieces, so that a run beside it is not held up. The check
//! reads every page and can take seconds.

use rusqlite::{OptionalExtension, params};

use super::db::State;
use super::error::StateError;
use super::run::{RunId, bury};

/// What pruning spares. A run is spared when either rule says so; with neither, none is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keep {
    /// Runs that ended within so many days.
    pub days: Option<u32>,
    /// So many of the newest runs.
    pub runs: Option<u32>,
}

/// What pruning did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct PruneReport {
    /// Runs whose steps and events were removed; the runs themselves stay listed.
    pub runs: u64,
    /// Steps removed.
    pub steps: u64,
    /// Events removed.
    pub events: u64,
    /// Runs that were found dead, not heard of for a day, and ended as failed.
    pub dead: u64,
    /// Bytes given back to the disk.
    pub bytes_freed: u64,
}

/// What an integrity check found.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct IntegrityReport {
    /// What is wrong, in SQLite's or our words; empty when all is well.
    pub problems: Vec<String>,
    /// The schema's number.
    pub schema: i64,
    /// `wal`, unless the file system cannot do that: then readers may wait for writers.
    pub journal: String,
    /// The database's size in bytes, without the WAL.
    pub bytes: u64,
    /// Ledger rows of all lakes.
    pub ledger_rows: u64,
    /// Runs recorded.
    pub runs: u64,
    /// Events recorded.
    pub events: u64,
}

impl IntegrityReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

const DAY_MS: i64 = 86_400_000;
/// Rows removed in one transaction.
const PIECE: i64 = 4_000;
/// Pages given back in one transaction.
const PAGES: u32 = 1_000;

impl State {
    /// Removes steps and events of runs that ended and are not spared, and gives the space back.
    /// Runs not heard of for a day are ended first.
    ///
    /// # Errors
    /// As any write. What was done before an error stays done; pruning again goes on.
    pub fn prune(&self, keep: Keep, now_ms: i64) -> Result<PruneReport, StateError> {
        let dead = self.write("end dead runs", |tx| {
            let mut stmt =
                tx.prepare_cached("SELECT id FROM runs WHERE finished_ms IS NULL AND heartbeat_ms < ?1")?;
            let silent = stmt
                .query_map([now_ms.saturating_sub(DAY_MS)], |r| Ok(RunId(r.get(0)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            for run in &silent {
                bury(tx, *run, now_ms)?;
            }
            Ok(silent.len() as u64)
        })?;
        let old = self.read("find old runs", |conn| {
            // Without a rule of days, every moment is too old to be spared by it.
            let since = keep.days.map_or(i64::MAX, |days| now_ms.saturating_sub(i64::from(days) * DAY_MS));
            let newest: Option<i64> = conn
                .prepare_cached("SELECT id FROM runs ORDER BY id DESC LIMIT 1 OFFSET ?1")?
                .query_row([keep.runs.unwrap_or(0)], |r| r.get(0))
                .optional()?;
            let Some(newest) = newest else { return Ok(Vec::new()) };
            let mut stmt = conn.prepare_cached(
                "SELECT id FROM runs WHERE finished_ms IS NOT NULL AND pruned = 0 AND finished_ms < ?1 \
                 AND id <= ?2 ORDER BY id",
            )?;
            let runs = stmt
                .query_map(params![since, newest], |r| Ok(RunId(r.get(0)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(runs)
        })?;
        let mut report = PruneReport { dead, ..PruneReport::default() };
        for run in old {
            report.events += self.remove_pieces(
                "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE run = ?1 LIMIT ?2)",
                run,
            )?;
            report.steps += self.remove_pieces(
                "DELETE FROM steps WHERE run = ?1 AND (asset, source, part) IN \
                 (SELECT asset, source, part FROM steps WHERE run = ?1 LIMIT ?2)",
                run,
            )?;
            self.write("mark a pruned run", |tx| {
                tx.prepare_cached("UPDATE runs SET pruned = 1 WHERE id = ?1")?.execute([run.0])?;
                Ok(())
            })?;
            report.runs += 1;
        }
        report.bytes_freed = self.give_space_back()?;
        Ok(report)
    }

    /// Reads the whole database and says what is wrong with it.
    ///
    /// # Errors
    /// Only when not even that is possible.
    pub fn check(&self) -> Result<IntegrityReport, StateError> {
        self.read("check the database", |conn| {
            let number = |sql: &str| -> rusqlite::Result<u64> {
                conn.query_row(sql, [], |r| r.get::<_, i64>(0)).map(|n| u64::try_from(n).unwrap_or(0))
            };
            let mut problems = Vec::new();
            // Damage can also stop the check itself: that is a finding, too.
            let found = (|| -> rusqlite::Result<Vec<String>> {
                let mut stmt = conn.prepare("PRAGMA integrity_check(50)")?;
                stmt.query_map([], |r| r.get(0))?.collect()
            })();
            match found {
                Ok(lines) => problems.extend(lines.into_iter().filter(|line| line != "ok")),
                Err(e) => problems.push(e.to_string()),
            }
            let rules = [
                (
                    "ledger rows whose code version or name is unknown",
                    "SELECT count(*) FROM ledger WHERE lake NOT IN (SELECT id FROM names) \
                     OR asset NOT IN (SELECT id FROM names) \
                     OR (code IS NOT NULL AND code NOT IN (SELECT id FROM codes))",
                ),
                (
                    "ledger rows that are half empty",
                    "SELECT count(*) FROM ledger WHERE code IS NOT NULL \
                     AND (inputs IS NULL OR data IS NULL OR rows IS NULL OR at_ms IS NULL OR outcome IS NULL)",
                ),
                (
                    "runs that have ended and hold leases",
                    "SELECT count(*) FROM leases l JOIN runs r ON r.id = l.run WHERE r.finished_ms IS NOT NULL",
                ),
            ];
            for (what, sql) in rules {
                match number(sql) {
                    Ok(0) => {}
                    Ok(n) => problems.push(format!("{n} {what}")),
                    Err(e) => problems.push(e.to_string()),
                }
            }
            Ok(IntegrityReport {
                problems,
                schema: conn.query_row("PRAGMA user_version", [], |r| r.get(0))?,
                journal: conn.query_row("PRAGMA journal_mode", [], |r| r.get(0))?,
                bytes: number("PRAGMA page_count")? * number("PRAGMA page_size")?,
                ledger_rows: number("SELECT count(*) FROM ledger").unwrap_or(0),
                runs: number("SELECT count(*) FROM runs").unwrap_or(0),
                events: number("SELECT count(*) FROM events").unwrap_or(0),
            })
        })
    }

    /// Runs a DELETE of at most `?2` rows of the run `?1` until nothing is left.
    fn remove_pieces(&self, sql: &'static str, run: RunId) -> Result<u64, StateError> {
        let mut removed = 0;
        loop {
            let n = self.write("remove an old run", |tx| {
                Ok(tx.prepare_cached(sql)?.execute(params![run.0, PIECE])?)
            })?;
            removed += n as u64;
            if n < PIECE as usize {
                return Ok(removed);
            }
        }
    }

    fn give_space_back(&self) -> Result<u64, StateError> {
        let mut freed = 0;
        loop {
            let n = self.write("give space back", |tx| {
                let page: i64 = tx.query_row("PRAGMA page_size", [], |r| r.get(0))?;
                let before: i64 = tx.query_row("PRAGMA freelist_count", [], |r| r.get(0))?;
                // Each step of the statement frees one page.
                let mut stmt = tx.prepare_cached(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
                let mut rows = stmt.query([])?;
                while rows.next()?.is_some() {}
                let after: i64 = tx.query_row("PRAGMA freelist_count", [], |r| r.get(0))?;
                Ok(u64::try_from((before - after) * page).unwrap_or(0))
            })?;
            freed += n;
            if n == 0 {
                break;
            }
        }
        if freed > 0 {
            // The file itself shrinks at a checkpoint. Best effort: a reader may be in the way.
            let conn = self.writer()?;
            let _busy: Option<i64> =
                conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |r| r.get(0)).optional().unwrap_or(None);
        }
        Ok(freed)
    }
}
