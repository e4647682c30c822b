//! What a post means for the business: sentiment, risk, theme, what to do.
//!
//! The embedded provider: a small trained model for sentiment, words and rules written for
//! pharmacy customers for the rest; no key, no network. Says so in every row
//! (`provider = "embedded"`, `is_llm = false`). Invariant: labels are a function of the post's
//! text, its issue type, the model (`assets/sentiment.model`) and the tables
//! (`assets/risk.toml`, `assets/themes.toml`, `assets/actions.toml`) alone, and
//! [`Embedded::version_hash`] changes when a label could.
//! Pure: no IO, no async, no clock. May not block.

mod embedded;
mod lexicon;
mod model;
mod model_data;
mod model_features;
#[cfg(test)]
mod model_tests;
mod model_train;
mod rules;
mod sentences;
mod table_file;
mod tables;

pub use embedded::{Embedded, Labels, RiskCategory, RiskLevel, Sentiment};
pub use model::{ModelError, SentimentModel};
pub use model_data::{
    Confusion, Corpus, DataError, Ids, ReadOptions, Shape, evaluate, own_examples, read_corpus,
};
pub use model_train::{Example, TrainError, TrainOptions, train};
pub use rules::Tables;
pub use tables::{EnrichError, feedback, feedback_schema, signals, signals_schema};
