//! Small caches, each a (kind, key) → bytes per lake. All of it can be made again from the lake.
//!
//! Invariant: nothing is here alone. Blocks like any read or write.

use rusqlite::{OptionalExtension, params};

use super::db::State;
use super::error::StateError;
use super::ledger::{name_id, name_to_id};

impl State {
    /// One cached value.
    ///
    /// # Errors
    /// As any read.
    pub fn cache_get(&self, lake: &str, kind: &str, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.read("read a cache", |conn| {
            let Some(lake) = name_id(conn, lake)? else { return Ok(None) };
            Ok(conn
                .prepare_cached("SELECT value FROM cache WHERE lake = ?1 AND kind = ?2 AND key = ?3")?
                .query_row(params![lake, kind, key], |r| r.get(0))
                .optional()?)
        })
    }

    /// Every cached value of a kind, in order of key (by bytes).
    ///
    /// # Errors
    /// As any read.
    pub fn cache_all(&self, lake: &str, kind: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        self.read("read a cache", |conn| {
            let Some(lake) = name_id(conn, lake)? else { return Ok(Vec::new()) };
            let mut stmt = conn
                .prepare_cached("SELECT key, value FROM cache WHERE lake = ?1 AND kind = ?2 ORDER BY key")?;
            let rows = stmt.query_map(params![lake, kind], |r| Ok((r.get(0)?, r.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Stores values in one transaction, replacing those of equal key.
    ///
    /// # Errors
    /// As any write.
    pub fn cache_put_many(
        &self,
        lake: &str,
        kind: &str,
        values: &[(String, Vec<u8>)],
    ) -> Result<(), StateError> {
        if values.is_empty() {
            return Ok(());
        }
        self.write("fill a cache", |tx| {
            let lake = name_to_id(tx, lake)?;
            let mut put = tx.prepare_cached(
                "INSERT INTO cache (lake, kind, key, value) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT DO UPDATE SET value = excluded.value",
            )?;
            for (key, value) in values {
                put.execute(params![lake, kind, key, value])?;
            }
            Ok(())
        })
    }

    /// Removes values in one transaction; unknown keys are no error.
    ///
    /// # Errors
    /// As any write.
    pub fn cache_remove(&self, lake: &str, kind: &str, keys: &[String]) -> Result<(), StateError> {
        if keys.is_empty() {
            return Ok(());
        }
        self.write("empty a cache", |tx| {
            let Some(lake) = name_id(tx, lake)? else { return Ok(()) };
            let mut remove =
                tx.prepare_cached("DELETE FROM cache WHERE lake = ?1 AND kind = ?2 AND key = ?3")?;
            for key in keys {
                remove.execute(params![lake, kind, key])?;
            }
            Ok(())
        })
    }
}
