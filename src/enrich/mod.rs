//! What a post means for the business: sentiment, risk, theme, what to do.
//!
//! The embedded provider: words and rules written for pharmacy customers, no model, no key, no
//! network. Says so in every row (`provider = "embedded"`, `is_llm = false`). Invariant: labels
//! are a function of the post's text, its issue type and the shipped tables alone, and
//! [`Embedded::version_hash`] changes when a label could.
//! Pure: no IO, no async, no clock. May not block.

mod embedded;
mod lexicon;
mod redact;
mod redact_checks;
mod redact_fold;
mod redact_patterns;
#[cfg(test)]
mod redact_tests;
mod redact_words;
mod rules;
mod sentences;
mod tables;

pub use embedded::{Embedded, Labels, RiskCategory, RiskLevel, Sentiment};
pub use redact::{Placeholder, REDACTION_VERSION, Redacted, redact, visible};
pub use tables::{EnrichError, feedback, feedback_schema, signals, signals_schema};
