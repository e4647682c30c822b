//! Where posts come from: one room a source, and what all of them share.
//!
//! A source reads one window of what it offers (a file, a run of days) and hands back
//! captured posts as finished bronze objects, with an exact account of every record:
//! in = good + duplicate + quarantined. Shared are the adapters (record → envelope), the
//! splicing that keeps authors out, the capture (what is new, what repeats, which day) and
//! the quarantine.
//!
//! Knows nothing of the graph's plans, of state, or of where objects are kept. Everything
//! here blocks on disk or computes for long: call it on a thread of its own.

mod adapter;
mod adapter_app_store;
mod adapter_crawl;
mod adapter_feed;
mod adapter_generic;
mod adapter_reddit;
mod adapter_things;
mod app_store;
mod archive;
mod capture;
mod capture_index;
mod capture_spool;
mod crawl;
mod encode;
mod feed;
mod fetch;
mod files;
mod files_capture;
mod files_observe;
mod files_parquet;
mod files_read;
mod files_units;
mod forgotten;
mod net;
#[cfg(test)]
mod net_bench;
mod plain_text;
mod quarantine;
mod reddit;
mod reddit_api;
mod reddit_info;
mod reddit_pages;
mod reddit_token;
mod reddit_tree;
pub mod sample;
mod sample_capture;
mod splice;
mod traces;
mod utf16;

#[cfg(test)]
mod files_tests;
#[cfg(test)]
mod reddit_pages_tests;
#[cfg(test)]
mod reddit_tests;

pub use adapter::{AuthorRule, Privacy, Redactor, Reject};
pub use adapter_generic::{ColumnExpr, Field, GenericMap, MapProblem};
pub use app_store::{AppStoreDef, read_app_store};
pub use archive::{ArchiveDef, read_day};
pub use capture::{Capture, CaptureContext, CaptureOutput, Counts, Place, SourceError, Verdict, day_bounds};
pub use capture_index::{KnownIndex, read_object};
pub use capture_spool::SpoolObject;
pub use crawl::{CrawlDef, CrawlFields, read_crawl};
pub use encode::encode_line;
pub use feed::{FeedDef, read_feed};
pub use files::{Covered, FileFormat, FileReach, FileRecord, FilesDef, FilesObservation};
pub use files_capture::{Captured, capture_file};
pub use files_observe::observe;
pub use files_read::{content_hash, read_at};
pub use forgotten::{Forgotten, Remains, Rewritten, Tombstone, names_of, rewrite, same_name, without_texts};
pub use net::{Cursor, Gone, Held, Intake, Learn, Net, Owed, Reach, Reached, Stream, network_version};
pub use quarantine::{Quarantined, Quarantines, read_quarantine};
pub use reddit::{RedditComments, RedditDef, is_subreddit_name, read_reddit};
pub use reddit_token::TokenStore;
pub use sample::{ADAPTER_VERSION as SAMPLE_VERSION, SampleDef};
pub use sample_capture::{privacy_version, sample_day, sample_day_version, sample_platforms};
pub use traces::{FORGOTTEN, Traces};
