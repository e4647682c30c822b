//! `pipelines.toml` and the bodies under `assets/`, turned into a checked project.
//!
//! Invariant: a [`Config`] exists only when nothing in the texts is refused, and every
//! problem is found in one pass (a TOML syntax error stands alone). Pure: texts come in,
//! values and [`crate::diagnostic::Problem`]s go out; nothing here opens a file of the
//! project or reads the environment. The one look outside is the system's time zone
//! database, for `project.timezone`; nothing else may block.

mod asset;
mod build;
mod check;
mod code;
mod hooks;
mod init;
mod model;
mod model_asset;
mod model_gate;
mod model_source;
mod parse;
mod reader;
mod settings;
mod source;
mod source_net;
mod spot;
mod texts;
mod tree;
mod units;

pub use code::CodeParts;
pub use hooks::{FindText, Hooks, PromptFacts, SqlFacts, TableFacts, WordFacts};
pub use init::init_files;
pub use model::*;
pub use model_asset::*;
pub use model_gate::*;
pub use model_source::*;
pub use parse::{Choices, Parsed, Texts, parse};
pub use spot::{Located, Spot};
pub use texts::{TEXT_COLUMNS, Window as TextWindow, holds_text, text_problems};

#[cfg(test)]
mod tests;
