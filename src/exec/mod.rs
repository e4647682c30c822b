//! Execution of a plan.
//!
//! [`World`] is what is known when a plan is made; [`schedule`] (pure) says what may start;
//! [`run()`] is the loop that alone writes a run's state; [`step`] and [`capture`] do one piece of
//! work on a blocking thread. Nothing here prints.

mod ai;
mod ai_batch;
mod ai_batch_record;
mod ai_batch_send;
mod ai_table;
mod asset_checks;
mod capture;
mod enriching;
mod erase;
mod evals;
mod forgotten;
mod labels;
mod network;
mod observe;
mod requests;
mod resources;
mod retain;
mod run;
mod schedule;
mod sources;
mod standing;
mod step;
mod system;
mod texts;
mod tidy;
mod trial;
mod words;
mod world;

pub use ai::{
    AI_CALLS, Ai, any_answer, asks_network, budget as ai_budget, chain as ai_chain, erase as erase_answers,
    networked, prompt as ai_prompt, provider as ai_provider, read_calls, unpriced, vocabulary,
};
pub use ai_batch_record::{AI_BATCHES, OpenBatch, batch_is_due, erase_batches, open_batches, read_batches};
pub use ai_table::{read as read_ai_calls, schema as ai_calls_schema};
pub use asset_checks::{AssetCheck, asset_checks, partition_checks};
pub use capture::{MISSING_DAYS, OBSERVATIONS, Observation, QUARANTINE, newest, sum_counts};
pub use erase::{
    Erased, PostKey, Sighting, Strays, all_graves, asked_for, author_words, bronze_set, days_of,
    erase_records, is_buried, look, look_for_comments, platforms, purge, strays,
};
pub use evals::{
    EVALS, EvalKey, EvalRecord, GOLDEN_FILE, GateStanding, GoldenText, NetworkEval, embedded_report,
    gate_hash, golden_hash, golden_text, known_ids, last_eval, network_report, record_eval,
    recorded_standing, refusal,
};
pub use forgotten::{FORGET, Graves, TOMBSTONES, bury};
pub use labels::{ErasedLabels, LABELS, LabelField, LabelRecord, Labels, PostLabels, Said};
pub use labels::{add as add_label, erase as erase_labels};
pub use network::{Clients, source_problems};
pub use requests::{REQUESTS, RequestLine, read as read_requests, schema as requests_schema};
pub use resources::{AssetShape, FilesCache, Resources, is_feedback, posts_of};
pub use retain::{DueTexts, RemovedTexts, cut_rows, remove_texts};
pub use run::{Live, RunError, RunOptions, RunReport, Signals, Told, host, now_ms, run, targets};
pub use schedule::{Limits, Recheck, Schedule, Transition, Work, WorkId};
pub use sources::{SourceDay, SourceDays, files_def};
pub use standing::{DayTally, Gap, Reading, Standing};
pub use step::{InputRef, enrich_query};
pub use system::{Coverage, judge, schema as system_schema};
pub use texts::Texts;
pub use tidy::{Tidied, tidy};
pub use trial::{Example, Trial, TrialError, TrialOf, trial};
pub use words::{BrandWords, IssueWords};
pub use world::{Memory, Sight, World, WorldError};

#[cfg(test)]
mod schedule_tests;
