//! What this machine remembers: runs, their steps and events, leases, and a copy of the ledger,
//! in one SQLite database.
//!
//! Invariant: the lake is the truth and this is its memory. Everything but the history of runs
//! can be made again from the lake, so a damaged database is refused with that advice and never
//! read as an empty one. Each verb is one transaction (pruning is several short ones); what a
//! reader sees is committed, a final state of a step or run never changes, and a ledger entry
//! never goes back to an older generation.
//!
//! Every call may block: a write waits for other writers (up to [`BUSY_LIMIT_SECONDS`]) and for
//! the disk to have it, a read only for the disk. Times come in from the caller; there is no
//! clock in here. It knows the graph's values and events, nothing of engines or screens.

mod cache;
mod care;
mod db;
mod error;
mod lease;
mod ledger;
mod migrate;
mod read;
mod record;
mod redact;
mod run;

pub use care::{IntegrityReport, Keep, PruneReport};
pub use db::{BUSY_LIMIT_SECONDS, State};
pub use error::StateError;
pub use lease::LeaseOutcome;
pub use ledger::{LedgerRead, Published};
pub use read::{EventRow, Failure, StepFilter, StepRow};
pub use record::Batch;
pub use run::{DIED, NewRun, Orders, RunId, RunLife, RunRow, StepCounts};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_damage;
#[cfg(test)]
mod tests_many;
#[cfg(test)]
mod tests_runs;
