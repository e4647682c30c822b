//! The ledger on disk: one row a partition, plain columns.
//!
//! Invariant: a row's generation never falls, also when its manifest has vanished (the row then
//! stays without content, as the floor of the next generation). Rows of unknown assets and of
//! days outside the graph are kept and not read. Reading a million rows blocks for 0.5 to 0.6 s
//! of processor time; one packed BLOB a row takes 0.25 s before it is unpacked, which was not
//! worth a table that people cannot read (`measure_a_million_rows` in `tests_many`).

use std::collections::HashMap;
use std::num::NonZeroU32;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::db::State;
use super::error::{Fault, StateError};
use crate::graph::{
    AssetGraph, AssetIdx, AssetKey, CodeId, CodeVersion, DataVersion, Day, Entry, Fingerprint, Ledger,
    Outcome, PartitionKey, Partitioning,
};

/// A partition that was published: what the ledger is to say of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published {
    /// Its asset.
    pub asset: AssetKey,
    /// The partition.
    pub partition: PartitionKey,
    /// What the body said.
    pub code: CodeVersion,
    /// What it was made from.
    pub inputs: Fingerprint,
    /// What it holds.
    pub data: DataVersion,
    /// Rows.
    pub rows: u64,
    /// When it was published, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The number of its manifest.
    pub generation: NonZeroU32,
    /// Whether it holds all it was meant to.
    pub outcome: Outcome,
}

/// The ledger as read.
#[derive(Debug)]
pub struct LedgerRead {
    /// The newest materialization of each partition.
    pub ledger: Ledger,
    /// By asset and place: the last generation of partitions whose manifest has vanished. The
    /// next one must be above it. (For partitions with an entry, the entry's generation says so.)
    pub floors: HashMap<(AssetIdx, usize), u32>,
}

impl State {
    /// Reads the newest materialization of every partition of `graph` in the lake `lake`.
    ///
    /// # Errors
    /// [`StateError::Damaged`] when a row makes no sense; never a shorter ledger instead.
    pub fn ledger(&self, lake: &str, graph: &AssetGraph) -> Result<LedgerRead, StateError> {
        self.read("read the ledger", |conn| {
            let mut out = LedgerRead { ledger: Ledger::new(graph), floors: HashMap::new() };
            let Some(lake) = name_id(conn, lake)? else { return Ok(out) };
            let mut codes = codes(conn, &mut out.ledger)?;
            let days = graph.days();
            let columns = "SELECT day, generation, code, inputs, data, rows, at_ms, outcome FROM ledger \
                           WHERE lake = ?1 AND asset = ?2 AND";
            let mut daily = conn.prepare_cached(&format!("{columns} day BETWEEN ?3 AND ?4"))?;
            let mut whole = conn.prepare_cached(&format!("{columns} day = 'whole'"))?;
            for (idx, asset) in graph.iter() {
                let Some(id) = name_id(conn, asset.key.as_str())? else { continue };
                let mut rows = match asset.partitioning {
                    Partitioning::Daily => daily.query(params![lake, id, days.start.0, days.end.0])?,
                    Partitioning::None => whole.query(params![lake, id])?,
                };
                while let Some(row) = rows.next()? {
                    let slot = match row.get_ref(0)? {
                        ValueRef::Integer(day) => (day - i64::from(days.start.0)) as usize,
                        _ => 0,
                    };
                    match entry(row, &mut codes)? {
                        (_, Some(entry)) => out.ledger.set(idx, slot, Some(entry)),
                        (generation, None) => {
                            out.floors.insert((idx, slot), generation.get());
                        }
                    }
                }
            }
            Ok(out)
        })
    }

    /// Takes over what manifests say, outside of a run: adoption before planning, and rebuilding.
    /// An entry older than the one there is ignored. Returns how many were taken.
    ///
    /// # Errors
    /// As any write.
    pub fn ledger_adopt(&self, lake: &str, entries: &[Published]) -> Result<usize, StateError> {
        if entries.is_empty() {
            return Ok(0);
        }
        self.write("adopt manifests", |tx| {
            let lake = name_to_id(tx, lake)?;
            set_entries(tx, lake, entries)
        })
    }

    /// Forgets what these partitions hold, because their manifest has vanished; their last
    /// generation stays known. Partitions without an entry are left alone.
    ///
    /// # Errors
    /// As any write.
    pub fn ledger_forget(
        &self,
        lake: &str,
        partitions: &[(AssetKey, PartitionKey)],
    ) -> Result<(), StateError> {
        if partitions.is_empty() {
            return Ok(());
        }
        self.write("forget vanished manifests", |tx| {
            let Some(lake) = name_id(tx, lake)? else { return Ok(()) };
            let mut forget = tx.prepare_cached(
                "UPDATE ledger SET code = NULL, inputs = NULL, data = NULL, rows = NULL, at_ms = NULL, \
                 outcome = NULL WHERE lake = ?1 AND asset = ?2 AND day = ?3",
            )?;
            for (asset, partition) in partitions {
                if let Some(asset) = name_id(tx, asset.as_str())? {
                    forget.execute(params![lake, asset, part(*partition)])?;
                }
            }
            Ok(())
        })
    }
}

/// How a partition is stored.
pub(super) fn part(partition: PartitionKey) -> Value {
    match partition {
        PartitionKey::Day(day) => Value::Integer(day.0.into()),
        PartitionKey::Whole => Value::Text("whole".into()),
    }
}

/// Reads a stored partition back.
pub(super) fn part_back(value: ValueRef<'_>) -> Result<PartitionKey, Fault> {
    match value {
        ValueRef::Integer(day) if i32::try_from(day).is_ok() => Ok(PartitionKey::Day(Day(day as i32))),
        ValueRef::Text(b"whole") => Ok(PartitionKey::Whole),
        _ => Err(Fault::Damaged(format!("{value:?} is no partition"))),
    }
}

/// The id of a name, if it was ever stored.
pub(super) fn name_id(conn: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM names WHERE name = ?1")?.query_row([name], |r| r.get(0)).optional()
}

/// The id of a name, stored if it is new.
pub(super) fn name_to_id(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    if let Some(id) = name_id(conn, name)? {
        return Ok(id);
    }
    conn.prepare_cached("INSERT INTO names (name) VALUES (?1)")?.insert([name])
}

fn code_to_id(conn: &Connection, code: CodeVersion) -> rusqlite::Result<i64> {
    let known: Option<i64> = conn
        .prepare_cached("SELECT id FROM codes WHERE code = ?1")?
        .query_row([&code.0[..]], |r| r.get(0))
        .optional()?;
    match known {
        Some(id) => Ok(id),
        None => conn.prepare_cached("INSERT INTO codes (code) VALUES (?1)")?.insert([&code.0[..]]),
    }
}

/// Writes entries that are not older than what is there; returns how many. A newer generation
/// also ends the partition's failure: somebody made it.
pub(super) fn set_entries(conn: &Connection, lake: i64, entries: &[Published]) -> Result<usize, Fault> {
    let mut there =
        conn.prepare_cached("SELECT generation FROM ledger WHERE lake = ?1 AND asset = ?2 AND day = ?3")?;
    let mut set = conn.prepare_cached(
        "INSERT OR REPLACE INTO ledger \
         (lake, asset, day, generation, code, inputs, data, rows, at_ms, outcome) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let mut made = conn.prepare_cached(
        "DELETE FROM failures WHERE lake = ?1 AND asset = ?2 AND source = '' AND part = ?3",
    )?;
    // Names and codes repeat: neighbours of a batch are of one asset.
    let mut assets: HashMap<&AssetKey, i64> = HashMap::new();
    let mut codes: HashMap<CodeVersion, i64> = HashMap::new();
    let mut taken = 0;
    for e in entries {
        let asset = match assets.get(&e.asset) {
            Some(&id) => id,
            None => *assets.entry(&e.asset).or_insert(name_to_id(conn, e.asset.as_str())?),
        };
        let day = part(e.partition);
        let generation = i64::from(e.generation.get());
        let before: Option<i64> = there.query_row(params![lake, asset, day], |r| r.get(0)).optional()?;
        if before.is_some_and(|b| b > generation) {
            continue;
        }
        let code = match codes.get(&e.code) {
            Some(&id) => id,
            None => *codes.entry(e.code).or_insert(code_to_id(conn, e.code)?),
        };
        let rows = i64::try_from(e.rows).unwrap_or(i64::MAX);
        set.execute(params![
            lake,
            asset,
            day,
            generation,
            code,
            &e.inputs.0[..],
            &e.data.0[..],
            rows,
            e.at_ms,
            outcome_number(e.outcome)
        ])?;
        if before != Some(generation) {
            made.execute(params![lake, asset, day])?;
        }
        taken += 1;
    }
    Ok(taken)
}

fn outcome_number(outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Complete => 0,
        Outcome::Budget => 1,
        Outcome::Pending => 2,
        Outcome::TextRemoved => 3,
        Outcome::Unreached => 4,
    }
}

fn outcome_back(number: i64) -> Option<Outcome> {
    use Outcome::*;
    [Complete, Budget, Pending, TextRemoved, Unreached].into_iter().find(|o| outcome_number(*o) == number)
}

/// Stored code ids → ids of this ledger.
fn codes(conn: &Connection, ledger: &mut Ledger) -> Result<HashMap<i64, CodeId>, Fault> {
    let mut stmt = conn.prepare_cached("SELECT id, code FROM codes")?;
    let mut rows = stmt.query([])?;
    let mut codes = HashMap::new();
    while let Some(row) = rows.next()? {
        codes.insert(row.get(0)?, ledger.intern(CodeVersion(hash(row, 1)?)));
    }
    Ok(codes)
}

/// The row's generation, and its entry unless the manifest has vanished.
fn entry(row: &Row<'_>, codes: &mut HashMap<i64, CodeId>) -> Result<(NonZeroU32, Option<Entry>), Fault> {
    let senseless = |what: &str| Fault::Damaged(format!("a ledger row has {what}"));
    let generation = u32::try_from(row.get_ref(1)?.as_i64().unwrap_or(0))
        .ok()
        .and_then(NonZeroU32::new)
        .ok_or_else(|| senseless("no generation"))?;
    let code = match row.get_ref(2)? {
        ValueRef::Null => return Ok((generation, None)),
        ValueRef::Integer(id) => *codes.get(&id).ok_or_else(|| senseless("an unknown code version"))?,
        _ => return Err(senseless("no code version")),
    };
    let number = |at: usize| -> Result<i64, Fault> {
        row.get_ref(at)?.as_i64().map_err(|_| senseless("a number missing"))
    };
    Ok((
        generation,
        Some(Entry {
            code,
            inputs: Fingerprint(hash(row, 3)?),
            data: DataVersion(hash(row, 4)?),
            rows: u64::try_from(number(5)?).map_err(|_| senseless("a negative count of rows"))?,
            at_ms: number(6)?,
            generation,
            outcome: outcome_back(number(7)?).ok_or_else(|| senseless("an unknown outcome"))?,
        }),
    ))
}

/// The 16 bytes of a hash column.
pub(super) fn hash(row: &Row<'_>, at: usize) -> Result<[u8; 16], Fault> {
    match row.get_ref(at)? {
        ValueRef::Blob(bytes) => bytes.try_into().ok(),
        _ => None,
    }
    .ok_or_else(|| Fault::Damaged("a hash is not 16 bytes long".into()))
}
