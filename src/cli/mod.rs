//! The command line: one file a verb, each arguments → request → output.
//!
//! Exit codes: 0 all well; 1 nothing was published (or the answer is "no"); 2 usage or
//! configuration; 3 some published, some failed; 129/130/143 interrupted.

mod args;
mod argv;
mod assets;
mod backfill;
mod batches;
mod check;
mod common;
mod doctor;
mod explain;
mod files;
mod forget;
mod init;
mod label;
mod maintenance;
mod materialize;
mod plan;
mod quarantine;
mod query;
mod runs;
mod shell;
mod source;
mod status;
mod steer;
mod tui;
mod validate;
mod words;

pub use args::Cli;
pub use common::{CliError, main};
