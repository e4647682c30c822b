//! The product from outside: the real binary on throw-away projects.
//!
//! Every test makes its own project in a temporary folder and writes its own input, so that
//! tests run at the same time and in any order. Expectations are exact: sets of
//! (asset, day), bytes of files, counts of records.

mod ai;
mod ai_batch;
mod ai_eval;
mod archive;
mod backfill;
mod bad_input;
mod bad_sql;
mod changes;
mod crash;
mod determinism;
#[expect(dead_code, reason = "the tests here use a part of it")]
#[path = "../../src/http/fake.rs"]
mod fake;
mod fake_llm;
mod forget;
mod hostile;
mod json;
mod labels;
mod lake_and_state;
mod model;
mod pipes;
mod processes;
mod project;
mod pty;
mod purity;
mod real_data;
mod reddit;
mod retain;
mod sample;
mod signals;
mod source_pages;
mod sources;
mod summary;
mod themes;
mod viewer;
mod watch;
