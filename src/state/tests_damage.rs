//! Files that are not as they should be: detected, named, never silently empty.

use std::fs;
use std::path::{Path, PathBuf};

use super::tests::{LAKE, day, graph_of, new_run, published};
use super::*;
use crate::graph::{AssetIdx, Partitioning};

/// A closed database with a ledger of 300 days, in one file.
fn sound() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state").join("rxpulse.db");
    let state = State::open(&path).unwrap();
    let entries: Vec<_> = (0..300).map(|n| published("facts", nth_day(n), 3)).collect();
    state.ledger_adopt(LAKE, &entries).unwrap();
    state.begin_run(&new_run(1, 0)).unwrap();
    drop(state);
    assert!(!path.with_file_name("rxpulse.db-wal").exists(), "closing tidies the WAL away");
    (dir, path)
}

fn nth_day(n: i32) -> crate::graph::PartitionKey {
    crate::graph::PartitionKey::Day(day("2026-01-01").day().unwrap().plus(n))
}

/// How many of the 300 entries come back, unless something is refused.
fn entries(state: &State) -> Result<usize, StateError> {
    let graph = graph_of(&[("facts", Partitioning::Daily)], "2026-01-01", "2026-12-31");
    let read = state.ledger(LAKE, &graph)?;
    Ok(read.ledger.of(AssetIdx(0)).iter().flatten().count())
}

fn no_companions(path: &Path) {
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", path.display()));
    }
}

/// Opens the file and reads: gives all, or an error that names the file (then true).
fn refused(path: &Path, bytes: &[u8], read_only: bool, what: &str) -> bool {
    no_companions(path);
    fs::write(path, bytes).unwrap();
    let opened = if read_only {
        State::open_read_only(path)
            .map(|s| s.unwrap_or_else(|| panic!("{what}: taken for an empty database")))
    } else {
        State::open(path)
    };
    match opened.and_then(|state| entries(&state)) {
        Ok(300) => false,
        Ok(n) => panic!("{what}: {n} entries read"),
        Err(e) => {
            assert!(e.to_string().contains("rxpulse.db"), "{what}: {e}");
            true
        }
    }
}

#[test]
fn a_missing_file_is_made_and_its_folder_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/rxpulse.db");
    assert!(State::open_read_only(&path).unwrap().is_none());
    assert!(!dir.path().join("a").exists(), "looking makes nothing");
    drop(State::open(&path).unwrap());
    assert!(State::open_read_only(&path).unwrap().is_some());
}

#[test]
fn an_empty_file_is_a_new_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rxpulse.db");
    fs::write(&path, b"").unwrap();
    assert!(State::open_read_only(&path).unwrap().is_none());
    let state = State::open(&path).unwrap();
    assert!(state.check().unwrap().is_sound());
    assert_eq!(state.check().unwrap().journal, "wal");
}

#[test]
fn a_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for error in [State::open(dir.path()).unwrap_err(), State::open_read_only(dir.path()).unwrap_err()] {
        assert!(
            matches!(&error, StateError::Io { source, .. } if source.kind() == std::io::ErrorKind::IsADirectory)
        );
    }
    let file = dir.path().join("file");
    fs::write(&file, b"x").unwrap();
    let error = State::open(&file.join("rxpulse.db")).unwrap_err();
    assert!(matches!(error, StateError::Io { .. }), "{error}");
}

#[test]
fn text_and_foreign_databases_are_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rxpulse.db");
    let text = "this is no database, ".repeat(500);
    fs::write(&path, &text).unwrap();
    assert!(matches!(State::open(&path), Err(StateError::Damaged { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    fs::remove_file(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();
    for error in [State::open(&path).unwrap_err(), State::open_read_only(&path).unwrap_err()] {
        assert!(matches!(error, StateError::NotOurs { .. }), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_newer_schema_is_refused_with_advice() {
    let (_dir, path) = sound();
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 1_000).unwrap();
    drop(conn);
    for error in [State::open(&path).unwrap_err(), State::open_read_only(&path).unwrap_err()] {
        assert!(matches!(error, StateError::Newer { found: 1_000, .. }), "{error}");
        assert!(error.to_string().contains("use the newer rxpulse"), "{error}");
    }
}

#[test]
fn a_missing_table_is_damage() {
    let (_dir, path) = sound();
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("DROP TABLE ledger").unwrap();
    drop(conn);
    for error in [State::open(&path).unwrap_err(), State::open_read_only(&path).unwrap_err()] {
        assert!(matches!(error, StateError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("state rebuild"), "{error}");
    }
}

#[test]
fn truncated_files_are_refused() {
    let (_dir, path) = sound();
    let bytes = fs::read(&path).unwrap();
    for len in (1..bytes.len()).step_by(613).chain([15, 16, 99, 100, 4_095, 4_096, bytes.len() - 1]) {
        for read_only in [true, false] {
            let what = format!("cut to {len} of {}, read only {read_only}", bytes.len());
            assert!(refused(&path, &bytes[..len], read_only, &what), "{what}");
        }
    }
}

#[test]
fn flipped_bits_in_the_header_never_show_an_empty_ledger() {
    let (_dir, path) = sound();
    let bytes = fs::read(&path).unwrap();
    let mut found = 0;
    for bit in 0..100 * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let what = format!("bit {} of byte {}", bit % 8, bit / 8);
        found += u32::from(refused(&path, &flipped, true, &what));
        // Opening to write takes longer, and looks at the same things.
        if bit % 8 == 7 {
            refused(&path, &flipped, false, &what);
        }
    }
    // The magic, the page size, the schema and our marks are all looked at.
    assert!(found > 250, "{found}");
}

#[test]
fn a_smashed_page_is_found_by_reading_or_by_the_check() {
    let (_dir, path) = sound();
    let bytes = fs::read(&path).unwrap();
    let pages = bytes.len() / 4_096;
    let mut found = 0;
    for page in 0..pages {
        let mut smashed = bytes.clone();
        smashed[page * 4_096..(page + 1) * 4_096].fill(0xa5);
        no_companions(&path);
        fs::write(&path, &smashed).unwrap();
        match State::open(&path) {
            Err(e) => {
                assert!(e.to_string().contains("rxpulse.db"), "{e}");
                found += 1;
            }
            Ok(state) => {
                assert!(matches!(entries(&state), Ok(300) | Err(StateError::Damaged { .. })));
                found += usize::from(!state.check().unwrap().is_sound());
            }
        }
    }
    assert_eq!(found, pages, "a page that nobody looks at");
}

#[test]
fn a_senseless_row_is_damage() {
    let (_dir, path) = sound();
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute("UPDATE ledger SET code = 77 WHERE day = (SELECT min(day) FROM ledger)", []).unwrap();
    drop(conn);
    let state = State::open(&path).unwrap();
    assert!(matches!(entries(&state), Err(StateError::Damaged { .. })));
    assert!(!state.check().unwrap().is_sound());
}

#[test]
fn without_its_wal_a_database_is_older_not_broken() {
    let (_dir, path) = sound();
    let state = State::open(&path).unwrap();
    state.ledger_adopt(LAKE, &[published("facts", nth_day(301), 1)]).unwrap();
    assert_eq!(entries(&state).unwrap(), 301);
    let copy = path.with_file_name("copy-rxpulse.db");
    fs::copy(&path, &copy).unwrap();
    let old = State::open(&copy).unwrap();
    assert_eq!(entries(&old).unwrap(), 300);
    assert!(old.check().unwrap().is_sound());
}

#[test]
fn a_torn_wal_loses_only_what_was_not_committed() {
    let (_dir, path) = sound();
    let state = State::open(&path).unwrap();
    for n in 301..305 {
        state.ledger_adopt(LAKE, &[published("facts", nth_day(n), 1)]).unwrap();
    }
    let (base, wal) = (fs::read(&path).unwrap(), fs::read(format!("{}-wal", path.display())).unwrap());
    assert!(wal.len() > 4 * 4_096);
    let copy = path.with_file_name("copy-rxpulse.db");
    let mut last = 0;
    for len in (0..wal.len()).step_by(1_021).chain([wal.len()]) {
        no_companions(&copy);
        fs::write(&copy, &base).unwrap();
        fs::write(format!("{}-wal", copy.display()), &wal[..len]).unwrap();
        let n = entries(&State::open(&copy).unwrap()).unwrap();
        assert!(n >= last.max(300), "{len}: {n} after {last}");
        last = n;
    }
    assert_eq!(last, 304);
}

#[test]
fn a_database_opened_to_be_read_cannot_be_written() {
    let (_dir, path) = sound();
    let before = fs::read(&path).unwrap();
    let look = State::open_read_only(&path).unwrap().unwrap();
    assert_eq!(entries(&look).unwrap(), 300);
    assert!(look.check().unwrap().is_sound());
    assert!(matches!(look.begin_run(&new_run(1, 0)), Err(StateError::ReadOnly { .. })));
    assert!(matches!(
        look.ledger_adopt(LAKE, &[published("facts", nth_day(1), 9)]),
        Err(StateError::ReadOnly { .. })
    ));
    drop(look);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_reader_sees_commits_and_holds_up_nobody() {
    let (_dir, path) = sound();
    let look = State::open_read_only(&path).unwrap().unwrap();
    let state = State::open(&path).unwrap();
    for n in 301..310 {
        state.ledger_adopt(LAKE, &[published("facts", nth_day(n), 1)]).unwrap();
        assert_eq!(entries(&look).unwrap(), n as usize);
    }
    // In the middle of a read transaction, writing and a second opening go on.
    let snapshot = look.reader().unchecked_transaction().unwrap();
    let count = || snapshot.query_row("SELECT count(*) FROM ledger", [], |r| r.get::<_, i64>(0)).unwrap();
    let seen = count();
    state.ledger_adopt(LAKE, &[published("facts", nth_day(310), 1)]).unwrap();
    drop(State::open(&path).unwrap());
    assert_eq!(count(), seen);
}

#[test]
fn a_full_disk_says_so_and_leaves_nothing_half_done() {
    let (_dir, path) = sound();
    let state = State::open(&path).unwrap();
    let conn = state.writer().unwrap();
    let pages: i64 = conn.query_row("PRAGMA page_count", [], |r| r.get(0)).unwrap();
    let set = |most: i64| {
        conn.query_row(&format!("PRAGMA max_page_count = {most}"), [], |r| r.get::<_, i64>(0)).unwrap()
    };
    set(pages + 1);
    let more: Vec<_> = (0..3_000).map(|n| published("more", nth_day(n), 1)).collect();
    let error = state.ledger_adopt(LAKE, &more).unwrap_err();
    assert!(matches!(error, StateError::Full { .. }), "{error}");
    assert!(error.to_string().contains("rxpulse.db"), "{error}");
    assert_eq!(entries(&state).unwrap(), 300);
    assert_eq!(state.check().unwrap().ledger_rows, 300);
    set(1_000_000);
    assert_eq!(state.ledger_adopt(LAKE, &more).unwrap(), 3_000);
}

#[test]
#[cfg(unix)]
fn what_may_not_be_written_says_so() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: permissions do not bind root");
        return;
    }
    let (dir, path) = sound();
    let folder = path.parent().unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    assert!(matches!(State::open(&path), Err(StateError::ReadOnly { .. })));
    fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
    assert!(State::open(&path).is_err());
    let look = State::open_read_only(&path).unwrap().unwrap();
    assert_eq!(entries(&look).unwrap(), 300);
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    drop(dir);
}
