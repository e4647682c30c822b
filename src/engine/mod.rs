//! DataFusion, embedded: SQL and inputs become rows.
//!
//! Knows files, schemas and days; knows nothing of plans, runs or state. A query reads exactly
//! the input partitions it was given and gives its rows in (dt, key) order, the same bytes for
//! any number of threads and any batch size. All queries share one memory limit and one
//! temporary folder; sorts spill.
//!
//! May block: every call that plans or runs blocks its thread (files are read in place) and
//! must not be made inside an asynchronous task.

mod bronze;
mod bronze_line;
mod canonical;
mod day_expr;
mod error;
mod functions;
mod grouping;
mod infer;
mod parquet_file;
mod problem;
mod query;
mod run;
mod session;
mod shape;
mod table;
mod text;
mod watch;

#[cfg(test)]
mod tests;

pub use bronze::bronze_schema;
pub use canonical::{DT, RX_DROP, canonical_batch, canonical_type};
pub use error::EngineError;
pub use grouping::Grouping;
pub use infer::{DepSchema, Inferred};
pub use run::{RunStats, SqlJob};
pub use session::{Engine, EngineOptions};
pub use shape::Dropped;
pub use table::{Input, InputFile, TableData};
pub use text::{BrandMatcher, IssueClassifier, TextTools};
pub use watch::{CancellationFlag, Progress};
