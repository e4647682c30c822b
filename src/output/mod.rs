//! Plain and JSON output. The only room that prints: stdout is data, stderr is progress.
//!
//! Everything that came from outside passes [`sanitize`] before it reaches a terminal.

pub mod diff;
pub mod event_line;
pub mod problems;
pub mod progress;
pub mod sanitize;
pub mod terminal;
pub mod text;
pub mod why;
