//! What a post means for the business: sentiment, risk, theme, what to do.
//!
//! The embedded provider reads every post: words, rules and a small model, no key, no network;
//! its labels are a function of the post's text, its issue type and its tables alone, and
//! [`Embedded::version_hash`] changes when a label could. Language models read general feedback
//! only, behind one trait ([`Provider`]); around each of them, in this order: redaction, cache,
//! budget, packing, tries, and the embedded model where none answers ([`Asker`]).
//!
//! Invariants: nothing leaves the machine that [`redact`] has not seen; no label is made up; a
//! budget is never exceeded; what was paid for is written down with its answers. The providers
//! of the network wait for it, all else is pure.

mod answer;
mod asking;
#[cfg(test)]
mod asking_tests;
mod budget;
mod calls;
mod classes;
mod embedded;
mod eval;
mod feedback;
mod gemini;
mod gemini_batch;
#[cfg(test)]
mod gemini_batch_tests;
mod golden;
mod lexicon;
mod model;
mod model_data;
mod model_features;
#[cfg(test)]
mod model_tests;
mod model_train;
mod openai;
mod overlay;
mod prompt;
mod provider;
mod redact;
mod redact_checks;
mod redact_fold;
mod redact_patterns;
#[cfg(test)]
mod redact_tests;
mod redact_words;
mod rules;
mod sentences;
mod table_file;
mod tables;
pub mod theme_edit;
mod usd;

pub use answer::{Answer, Labelled, leave_out, read as read_answer};
pub use asking::{Asked, Asker, CallLog, Left, Need, question};
pub use budget::{Budget, Reserved, Spent};
pub use calls::{AnswerRecord, Answers, Cached, CallOutcome, CallRecord, Question, Verdict, content_hash};
pub use feedback::{Known, KnownAnswers, Tally, feedback, needs, sent_text};
pub use gemini::{GEMINI_URL, Gemini};
pub use gemini_batch::{BATCH_BYTES, BatchReply, Found, Looked, Made};
pub use openai::OpenAi;
pub use prompt::{NEW_THEME, Prompt, PromptProblem, SHIPPED_PROMPT, Vocabulary};
pub(crate) use provider::cost as call_cost;
pub use provider::{Ask, Heard, Provider, Reply};
pub use redact::{Placeholder, REDACTION_VERSION, Redacted, redact, visible};
pub use usd::{Rates, Tokens, Usd};

pub use embedded::{Embedded, Labels, RiskCategory, RiskLevel, Sentiment};
pub use eval::{
    Answers as GoldenAnswers, Cost, Detection, Disagreement, FieldReport, Labelled as GoldenLabels,
    NO_ANSWER, Report, Shortfall, embedded as embedded_answers, evaluate as evaluate_labels,
    issue_types as golden_issue_types, judge, judge_by,
};
pub use golden::{GOLDEN, GoldCategory, GoldenPost, Known as KnownLabels, Split, read as read_golden};
pub use model::{ModelError, SentimentModel};
pub use model_data::{
    Confusion, Corpus, DataError, Ids, ReadOptions, Shape, evaluate, own_examples, read_corpus,
};
pub use model_train::{Example, TrainError, TrainOptions, train};
pub use overlay::overlay;
pub use rules::Tables;
pub use tables::{EnrichError, feedback_schema, signals, signals_schema};
