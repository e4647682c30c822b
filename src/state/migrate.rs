//! The database's schema and its changes.
//!
//! Invariant: migrations are append-only; each runs in one transaction together with the number
//! that says it ran. Blocks like any write.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::Fault;

/// Marks a SQLite file as ours: "RxPs".
pub(super) const APPLICATION_ID: i64 = 0x5278_5073;

/// Every change of the schema, oldest first. The schema's number is how many have run.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("migration_1.sql")];

/// The tables of the newest schema; one that is absent means a damaged file.
pub(super) const TABLES: [&str; 9] =
    ["names", "codes", "ledger", "runs", "steps", "events", "leases", "failures", "cache"];

/// What a file says of itself before anything in it is trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    pub application: i64,
    pub schema: i64,
    /// Tables, indexes and views.
    pub objects: i64,
}

impl Identity {
    pub(super) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            application: conn.query_row("PRAGMA application_id", [], |r| r.get(0))?,
            schema: conn.query_row("PRAGMA user_version", [], |r| r.get(0))?,
            objects: conn.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?,
        })
    }

    /// Nothing was ever written: a new file, or one whose first transaction never committed.
    pub(super) fn is_blank(self) -> bool {
        self == Self { application: 0, schema: 0, objects: 0 }
    }
}

/// Runs the migrations that have not run yet. Two processes may call it at once.
pub(super) fn migrate(conn: &Connection, migrations: &[&str]) -> Result<(), Fault> {
    for (before, script) in migrations.iter().enumerate() {
        let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        // Asked inside the transaction: another process may have been first.
        let schema: i64 = tx.query_row("PRAGMA user_version", [], |r| r.get(0))?;
        if schema == before as i64 {
            tx.execute_batch(script)?;
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", before as i64 + 1)?;
            crate::crash::point("sqlite commit");
            tx.commit()?;
        }
    }
    Ok(())
}

/// Touches the root of every table, so that a damaged schema is found at the door.
pub(super) fn probe(conn: &Connection) -> Result<(), Fault> {
    for table in TABLES {
        let known: i64 = conn.query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1",
            [table],
            |r| r.get(0),
        )?;
        if known != 1 {
            return Err(Fault::Damaged(format!("its table `{table}` is missing")));
        }
        conn.prepare(&format!("SELECT 1 FROM {table} LIMIT 1"))?.exists([])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema_of(conn: &Connection) -> Vec<(String, String)> {
        let mut stmt =
            conn.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name").unwrap();
        stmt.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn released_migrations_never_change() {
        // A new migration adds a line here; a changed line means old databases differ from new ones.
        let hashes: Vec<_> =
            MIGRATIONS.iter().map(|m| blake3::hash(m.as_bytes()).to_hex()[..16].to_string()).collect();
        assert_eq!(hashes, ["dac0cb90c3a2c3e7"]);
    }

    #[test]
    fn every_older_schema_becomes_the_newest() {
        let next = "ALTER TABLE runs ADD COLUMN note TEXT; CREATE TABLE extra (x INTEGER) STRICT;";
        let all: Vec<&str> = MIGRATIONS.iter().copied().chain([next]).collect();
        let fresh = Connection::open_in_memory().unwrap();
        migrate(&fresh, &all).unwrap();
        for old in 1..all.len() {
            let conn = Connection::open_in_memory().unwrap();
            migrate(&conn, &all[..old]).unwrap();
            conn.execute("INSERT INTO names (name) VALUES ('kept')", []).unwrap();
            migrate(&conn, &all).unwrap();
            assert_eq!(schema_of(&conn), schema_of(&fresh));
            assert_eq!(Identity::read(&conn).unwrap().schema, all.len() as i64);
            let kept: String = conn.query_row("SELECT name FROM names", [], |r| r.get(0)).unwrap();
            assert_eq!(kept, "kept");
        }
    }

    #[test]
    fn a_migration_happens_whole_or_not_at_all() {
        let conn = Connection::open_in_memory().unwrap();
        migrate(&conn, MIGRATIONS).unwrap();
        let before = schema_of(&conn);
        let broken = "CREATE TABLE extra (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1);";
        let all: Vec<&str> = MIGRATIONS.iter().copied().chain([broken]).collect();
        assert!(migrate(&conn, &all).is_err());
        assert_eq!(schema_of(&conn), before);
        assert_eq!(Identity::read(&conn).unwrap().schema, MIGRATIONS.len() as i64);
    }

    #[test]
    fn the_named_tables_are_those_of_the_schema() {
        let conn = Connection::open_in_memory().unwrap();
        migrate(&conn, MIGRATIONS).unwrap();
        let mut stmt = conn
            .prepare(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1",
            )
            .unwrap();
        let made: Vec<String> = stmt.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
        let mut named = TABLES;
        named.sort_unstable();
        assert_eq!(made, named);
    }
}
