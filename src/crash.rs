//! Crash points: every durable operation names itself right before it happens, so that a test
//! can kill the process at each one and look at what a crash leaves behind. And traps: places
//! where a test can ask for a panic.
//!
//! Invariant: with `RXPULSE_CRASH_AT` unset, [`point`] does nothing; with `RXPULSE_PANIC_AT`
//! unset, [`trap`] does nothing. Never blocks.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which point to die at; `None` when no test asks for one.
static CRASH_AT: OnceLock<Option<Crash>> = OnceLock::new();
/// Points passed by this process, counted only while `RXPULSE_CRASH_AT` is set.
static PASSED: AtomicU64 = AtomicU64::new(0);

/// A point to die at.
struct Crash {
    /// The how-manieth, from 1.
    at: u64,
    /// Of those with this name; of all without one.
    name: Option<String>,
}

/// Reads `12`, or `2 send an AI batch`.
fn crash(text: &str) -> Option<Crash> {
    let (at, name) = match text.trim().split_once(' ') {
        Some((at, name)) => (at, Some(name.to_string())),
        None => (text.trim(), None),
    };
    Some(Crash { at: at.parse().ok()?, name })
}

/// Marks a durable operation that is about to happen: a file written, a sync, a rename, a link,
/// an unlink, a database commit. When this is the `RXPULSE_CRASH_AT`-th of the process (from 1),
/// or of those with the name that stands there behind the number, says so on standard error and
/// aborts: no destructor runs, no buffer is flushed.
pub fn point(what: &'static str) {
    let asked = CRASH_AT.get_or_init(|| crash(&std::env::var("RXPULSE_CRASH_AT").ok()?));
    let Some(Crash { at, name }) = asked else { return };
    if name.as_ref().is_some_and(|name| name != what) {
        return;
    }
    if PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *at {
        // One write without formatting machinery: nothing may fail between here and the abort.
        let mut text = Vec::with_capacity(64);
        text.extend_from_slice(b"RXPULSE_CRASH_AT reached: ");
        text.extend_from_slice(what.as_bytes());
        text.push(b'\n');
        let _ = std::io::stderr().write_all(&text);
        std::process::abort();
    }
}

/// The place to panic at; `None` when no test asks for one.
static PANIC_AT: OnceLock<Option<String>> = OnceLock::new();

/// Panics when `RXPULSE_PANIC_AT` names this place, so that a test can see what a defect there
/// leaves behind. Does nothing otherwise.
pub fn trap(place: &'static str) {
    let asked = PANIC_AT.get_or_init(|| std::env::var("RXPULSE_PANIC_AT").ok());
    if asked.as_deref() == Some(place) {
        std::panic::panic_any(format!("RXPULSE_PANIC_AT reached: {place}"));
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    /// Run by the test below, in a process of its own.
    #[test]
    #[ignore = "the child of another test"]
    fn child_passes_three_points() {
        for what in ["first", "second", "third"] {
            super::point(what);
        }
    }

    fn child(at: &str) -> (bool, String) {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["crash::tests::child_passes_three_points", "--exact", "--ignored", "--nocapture"])
            .env("RXPULSE_CRASH_AT", at)
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    #[test]
    fn the_process_dies_at_the_point_named_and_nowhere_else() {
        let (lived, stderr) = child("2");
        assert!(!lived);
        assert!(stderr.contains("RXPULSE_CRASH_AT reached: second"), "{stderr}");
        assert!(child("4").0);
        let (lived, stderr) = child("1 third");
        assert!(!lived && stderr.contains("RXPULSE_CRASH_AT reached: third"), "{stderr}");
        assert!(child("2 third").0, "there is one of them");
        assert!(child("soon").0);
    }
}
