//! What a post means for the business: sentiment, risk, theme, what to do.
//!
//! The embedded provider: words and rules written for pharmacy customers, no model, no key, no
//! network. Says so in every row (`provider = "embedded"`, `is_llm = false`). Invariant: labels
//! are a function of the post's text, its issue type and the tables (`assets/risk.toml`,
//! `assets/themes.toml`, `assets/actions.toml`) alone, and
//! [`Embedded::version_hash`] changes when a label could.
//! Pure: no IO, no async, no clock. May not block.

mod classes;
mod embedded;
mod eval;
mod golden;
mod lexicon;
mod rules;
mod sentences;
mod table_file;
mod tables;

pub use embedded::{Embedded, Labels, RiskCategory, RiskLevel, Sentiment};
pub use eval::{
    Answers, Cost, Detection, Disagreement, FieldReport, Labelled, NO_ANSWER, Report, Shortfall,
    embedded as embedded_answers, evaluate, issue_types as golden_issue_types, judge, judge_by,
};
pub use golden::{GOLDEN, GoldenPost, Known, Split, read as read_golden};
pub use rules::Tables;
pub use tables::{EnrichError, feedback, feedback_schema, signals, signals_schema};
