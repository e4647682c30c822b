//! What a checked configuration says of each asset: its body and its checks.
//!
//! Columns are names only: whether they exist is known once schemas are inferred.

use std::sync::Arc;

use super::code::CodeParts;
use super::model::Provider;
use super::spot::{Located, Spot};
use crate::diagnostic::SourceText;
use crate::graph::{AssetKey, Day};

/// What the graph does not know of an asset.
#[derive(Clone, Debug)]
pub struct AssetConfig {
    /// Its name.
    pub key: AssetKey,
    /// Where it is named; `None` for a system asset.
    pub spot: Option<Spot>,
    /// Its place among the assets of the file, from 0; system assets come last.
    pub declared: usize,
    /// What makes its rows.
    pub body: Body,
    /// The columns that identify a row, and the order of rows.
    pub row_key: Vec<Located<String>>,
    /// What its rows must satisfy.
    pub checks: Vec<CheckConfig>,
    /// What its columns mean, in the order written.
    pub columns: Vec<(String, String)>,
    /// Columns that hold words of posts, where they are not told by their names.
    pub text_columns: Option<Vec<Located<String>>>,
    /// Its concurrency pool, besides the global one.
    pub pool: Option<String>,
    /// How often a step that failed for a passing reason is tried again.
    pub retries: u32,
    /// Longest time of one step, in milliseconds.
    pub timeout_ms: Option<i64>,
    /// What its code version is made from: name and value, in the order of hashing. Long
    /// values are hashes.
    pub code: CodeParts,
    /// From which day on it is made from other parts: `relabel = "since:…"`.
    pub code_since: Option<(Day, CodeParts)>,
}

/// What makes an asset's rows.
#[derive(Clone, Debug)]
pub enum Body {
    /// Sources capture posts.
    Source {
        /// Their names, in the order written.
        sources: Vec<String>,
    },
    /// A query.
    Sql {
        /// `assets/<asset>.sql`.
        file: Arc<SourceText>,
    },
    /// A model reads posts.
    Enrich(EnrichConfig),
    /// The product itself.
    System(SystemTable),
}

/// The body of an `enrich` asset.
#[derive(Clone, Debug)]
pub struct EnrichConfig {
    /// Who labels.
    pub provider: Provider,
    /// Only rows whose column equals the value.
    pub filter: Vec<(Located<String>, Literal)>,
    /// `assets/<asset>.prompt.md`.
    pub prompt: Option<Arc<SourceText>>,
    /// Which posts a new prompt or model labels again.
    pub relabel: Relabel,
}

/// Which posts a new prompt or model labels again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relabel {
    /// Only posts without an answer.
    New,
    /// Every post.
    All,
    /// Posts from this day on.
    Since(Day),
}

/// The tables that the product itself keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum SystemTable {
    /// What people corrected, by the post's day.
    Labels,
    /// The taxonomy.
    IssueTypes,
    /// What was reached, by day.
    SourceCoverage,
}

impl SystemTable {
    /// All of them.
    pub const ALL: [SystemTable; 3] =
        [SystemTable::Labels, SystemTable::IssueTypes, SystemTable::SourceCoverage];

    /// The asset's name.
    pub fn as_str(self) -> &'static str {
        match self {
            SystemTable::Labels => "labels",
            SystemTable::IssueTypes => "issue_types",
            SystemTable::SourceCoverage => "source_coverage",
        }
    }
}

/// A plain value in the configuration.
#[derive(Clone, PartialEq, Debug)]
pub enum Literal {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Flag(bool),
}

impl std::fmt::Display for Literal {
    /// As a SQL literal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Literal::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
            Literal::Integer(n) => write!(f, "{n}"),
            Literal::Float(n) => write!(f, "{n:?}"),
            Literal::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

/// What happens when a check fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckSeverity {
    /// The partition is not published; the last good version stays.
    Error,
    /// It is published, and the failure is told.
    Warn,
}

/// One check of an asset.
#[derive(Clone, Debug)]
pub struct CheckConfig {
    /// Its name, unique in the asset.
    pub name: String,
    /// What is checked.
    pub kind: CheckKind,
    /// What a failure does.
    pub severity: CheckSeverity,
    /// Where it stands.
    pub spot: Spot,
}

/// The kinds of checks.
#[derive(Clone, Debug)]
pub enum CheckKind {
    /// No NULL in these columns.
    NotNull {
        /// Each of them.
        columns: Vec<Located<String>>,
    },
    /// No two rows of a partition share these columns.
    Unique {
        /// Together.
        columns: Vec<Located<String>>,
    },
    /// Only these values (NULL passes).
    AcceptedValues {
        /// Each of them.
        columns: Vec<Located<String>>,
        /// The values.
        values: AcceptedValues,
    },
    /// So many rows in a partition.
    RowCount {
        /// At least.
        min: Option<u64>,
        /// At most.
        max: Option<u64>,
    },
    /// No row for which this SQL condition is true.
    Violates {
        /// The condition.
        condition: Located<String>,
    },
    /// No row comes back from this query over the asset's own table.
    Sql {
        /// The query.
        query: Located<String>,
    },
    /// The newest partition with rows is at most this old (after publish).
    FreshWithin {
        /// In milliseconds.
        max_age_ms: i64,
    },
    /// Every value exists in another asset's column (after publish).
    Relationship {
        /// The column.
        column: Located<String>,
        /// The other asset.
        to_asset: AssetKey,
        /// Its column.
        to_column: String,
    },
    /// No two rows of all partitions share these columns (after publish).
    UniqueAcrossDays {
        /// Together.
        columns: Vec<Located<String>>,
    },
}

impl CheckKind {
    /// The word in the configuration.
    pub fn as_str(&self) -> &'static str {
        match self {
            CheckKind::NotNull { .. } => "not_null",
            CheckKind::Unique { .. } => "unique",
            CheckKind::AcceptedValues { .. } => "accepted_values",
            CheckKind::RowCount { .. } => "row_count",
            CheckKind::Violates { .. } | CheckKind::Sql { .. } => "custom",
            CheckKind::FreshWithin { .. } => "fresh_within",
            CheckKind::Relationship { .. } => "relationship",
            CheckKind::UniqueAcrossDays { .. } => "unique_across_days",
        }
    }

    /// The query that finds violations, for a check written in SQL: `count` says how many, and
    /// the text as a person wrote it begins at the byte given.
    pub fn query(&self, table: &AssetKey) -> Option<(String, usize, &Located<String>)> {
        let (before, text, after) = match self {
            CheckKind::Violates { condition } => {
                (format!("SELECT count(*) FROM {table} WHERE ("), condition, ")")
            }
            CheckKind::Sql { query } => ("SELECT count(*) FROM (".to_string(), query, ") AS violations"),
            _ => return None,
        };
        // A comment at the end of the text must not swallow what follows it.
        Some((format!("{before}{}\n{after}", text.value), before.len(), text))
    }

    /// Whether it runs on staged data before publish; otherwise on the asset after it.
    pub fn before_publish(&self) -> bool {
        !matches!(
            self,
            CheckKind::FreshWithin { .. }
                | CheckKind::Relationship { .. }
                | CheckKind::UniqueAcrossDays { .. }
        )
    }

    /// The asset's columns it reads by name.
    pub fn columns(&self) -> &[Located<String>] {
        match self {
            CheckKind::NotNull { columns }
            | CheckKind::Unique { columns }
            | CheckKind::AcceptedValues { columns, .. }
            | CheckKind::UniqueAcrossDays { columns } => columns,
            CheckKind::Relationship { column, .. } => std::slice::from_ref(column),
            _ => &[],
        }
    }
}

/// Where accepted values come from.
#[derive(Clone, PartialEq, Debug)]
pub enum AcceptedValues {
    /// Written down.
    List(Vec<Literal>),
    /// The ids of the issue taxonomy.
    IssueTaxonomy,
}
