//! The command line: one file a verb, each arguments → request → output.
//!
//! Exit codes: 0 all well; 1 nothing was published (or the answer is "no"); 2 usage or
//! configuration; 3 some published, some failed; 129/130/143 interrupted.

mod ai;
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
mod forget_asked;
mod forget_reddit;
mod forget_told;
mod init;
mod label;
mod maintenance;
mod materialize;
mod model;
mod plan;
mod plan_ai;
mod quarantine;
mod query;
mod retain;
mod runs;
mod shell;
mod source;
mod status;
mod steer;
mod themes;
mod tui;
mod validate;
mod words;

pub use args::Cli;
pub use common::{CliError, main};
