//! Where this process spills: `state/tmp/PID`, beside the database rather than in the system's
//! temporary folder, which is often small or memory.

use std::path::{Path, PathBuf};

/// The folder below the project's that holds one folder a process.
const FOLDER: &str = "state/tmp";

/// The folder for this process's temporary files. What processes left that are gone is removed
/// on the way. A project that cannot be written to (one that is only read) gets the system's
/// temporary folder.
pub fn folder(root: &Path) -> PathBuf {
    let all = root.join(FOLDER);
    if let Ok(entries) = std::fs::read_dir(&all) {
        for entry in entries.flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            if pid.is_some_and(|pid| pid != std::process::id() && !is_running(pid)) {
                // Somebody else may be removing it too.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
    // Nothing was ever made here: whoever asks now only looks.
    if !root.join("state").is_dir() {
        return std::env::temp_dir();
    }
    let mine = all.join(std::process::id().to_string());
    // Asked by doing: rights, a full disk and a file in the way all look the same here.
    match std::fs::create_dir_all(&mine) {
        Ok(()) => {
            // Made again by who spills: a command that only reads leaves nothing behind.
            let _ = std::fs::remove_dir(&mine);
            mine
        }
        Err(_) => std::env::temp_dir(),
    }
}

/// Whether a process of this machine is there and lives: one that has ended and whose parent has
/// not asked how (in a container nobody may ever) does not.
pub fn is_running(pid: u32) -> bool {
    let there = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH));
    there && !has_ended(pid)
}

/// Whether Linux says of a process that it is there only to be asked how it ended.
fn has_ended(pid: u32) -> bool {
    let Ok(stat) = std::fs::read(format!("/proc/{pid}/stat")) else { return false };
    // The name before the state is in parentheses and may hold anything.
    let state = stat.iter().rposition(|b| *b == b')').and_then(|at| stat.get(at + 2));
    matches!(state, Some(b'Z' | b'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_dead_processes_go_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let all = dir.path().join(FOLDER);
        // A process that has ended: its number is not in use right after.
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = child.id();
        child.wait().unwrap();
        for name in [dead.to_string(), std::os::unix::process::parent_id().to_string(), "notes".into()] {
            std::fs::create_dir_all(all.join(name)).unwrap();
        }
        let mine = folder(dir.path());
        assert_eq!(mine, all.join(std::process::id().to_string()));
        assert!(!mine.exists(), "made by who spills");
        assert!(!all.join(dead.to_string()).exists());
        assert!(all.join(std::os::unix::process::parent_id().to_string()).exists());
        assert!(all.join("notes").exists());
    }

    #[test]
    fn a_project_that_cannot_be_written_spills_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        // A file stands where the folder should be.
        std::fs::write(dir.path().join("state"), "").unwrap();
        assert_eq!(folder(dir.path()), std::env::temp_dir());
    }

    #[test]
    fn a_project_where_nothing_was_made_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(folder(dir.path()), std::env::temp_dir());
        assert!(!dir.path().join("state").exists());
    }

    #[test]
    fn a_process_that_nobody_has_buried_is_dead() {
        assert!(is_running(std::process::id()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while is_running(child.id()) {
            assert!(std::time::Instant::now() < until);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        // Still there to be asked.
        assert!(child.wait().unwrap().success());
    }
}
