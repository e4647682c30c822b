//! What the configuration asks of other rooms, as functions, so that it knows no engine and
//! tests need none.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{BrandDef, PrivacyConfig};
use super::model_source::SourceConfig;
use crate::diagnostic::{Problem, SourceText, TextProblem};

/// Finds the text of a file under `assets/` by its name.
pub type FindText<'a> = dyn Fn(&str) -> Option<Arc<SourceText>> + 'a;

/// The functions that [`super::parse`] calls.
pub struct Hooks<'a> {
    /// Reads an asset's SQL, given the names of its declared dependencies.
    pub sql: &'a dyn Fn(&SourceText, &[&str]) -> SqlFacts,
    /// Reads the brands and the taxonomy; called once.
    pub words: &'a dyn Fn(&[BrandDef], &Arc<SourceText>) -> WordFacts,
    /// The version of a source's adapter: another one maps every capture again.
    pub adapter: &'a dyn Fn(&SourceConfig, &PrivacyConfig) -> String,
    /// What is wrong with a source that only its reader can tell (selectors), each in a sentence.
    pub source: &'a dyn Fn(&SourceConfig) -> Vec<String>,
    /// Reads the tables of risk, themes and actions, given how to find a file under `assets/`
    /// and the ids of all issue types; called once.
    pub tables: &'a dyn Fn(&FindText<'_>, &[String]) -> TableFacts,
    /// Reads a prompt file, or the shipped one: the version of what a language model is asked with
    /// it, lists and schema included, and what is wrong with it. Called after `tables`.
    pub prompt: &'a dyn Fn(Option<&SourceText>) -> PromptFacts,
}

/// What is known of a query without an engine.
#[derive(Clone, Debug, Default)]
pub struct SqlFacts {
    /// Its token stream: comments, white space and the case of unquoted words gone.
    pub tokens: String,
    /// The `rx_…` functions it calls.
    pub rx_names: Vec<String>,
    /// What is wrong with it; spans are bytes of its text.
    pub problems: Vec<TextProblem>,
}

/// What is known of the brands and the taxonomy.
#[derive(Clone, Debug, Default)]
pub struct WordFacts {
    /// Of each `rx_…` function: its version and the slice of brands or taxonomy it uses.
    pub rx: BTreeMap<String, [u8; 16]>,
    /// The version of the table `issue_types`.
    pub issue_types: [u8; 16],
    /// The ids of all issue types.
    pub issue_ids: Vec<String>,
    /// What is wrong with them.
    pub problems: Vec<Problem>,
}

/// What is known of the tables that the embedded model reads.
#[derive(Clone, Debug, Default)]
pub struct TableFacts {
    /// The version of the embedded model with these tables.
    pub embedded: [u8; 16],
    /// What is wrong with them.
    pub problems: Vec<Problem>,
}

/// What is known of a prompt.
#[derive(Clone, Debug, Default)]
pub struct PromptFacts {
    /// The version of prompt and schema with their lists.
    pub version: [u8; 16],
    /// What is wrong with the file.
    pub problems: Vec<TextProblem>,
}
