//! The product from outside: the real binary on throw-away projects.
//!
//! Every test makes its own project in a temporary folder and writes its own input, so that
//! tests run at the same time and in any order. Expectations are exact: sets of
//! (asset, day), bytes of files, counts of records.

mod backfill;
mod bad_input;
mod bad_sql;
mod changes;
mod crash;
mod determinism;
mod hostile;
mod lake_and_state;
mod processes;
mod project;
mod pty;
mod purity;
mod real_data;
mod sample;
mod signals;
mod viewer;
mod watch;
