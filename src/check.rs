//! Checks of the rows of one partition, evaluated while they are staged and before anything is
//! published.
//!
//! Every derived asset has one check that nobody declares: its key is unique. A check that
//! could not be evaluated counts as failed, never as passed.

use std::collections::HashSet;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{OwnedRow, RowConverter, SortField};

use crate::config::{AcceptedValues, AssetConfig, CheckConfig, CheckKind, CheckSeverity};
use crate::event::{CheckResult, CheckStatus};

/// Evaluates the declared checks of one asset over one partition.
pub struct PartitionChecks {
    key: Option<KeyCheck>,
    checks: Vec<Running>,
}

struct KeyCheck {
    names: String,
    columns: Vec<usize>,
    converter: RowConverter,
    last: Option<OwnedRow>,
    violations: u64,
    example: Option<String>,
}

struct Running {
    name: String,
    severity: CheckSeverity,
    violations: u64,
    example: Option<String>,
    how: How,
}

enum How {
    NotNull(Vec<usize>),
    Unique {
        columns: Vec<usize>,
        converter: RowConverter,
        seen: HashSet<[u8; 16]>,
    },
    Accepted {
        columns: Vec<usize>,
        values: HashSet<String>,
    },
    RowCount {
        min: Option<u64>,
        max: Option<u64>,
    },
    /// A column that does not exist: failed whatever the rows are.
    Broken(String),
}

fn positions(schema: &Schema, names: &[&str]) -> Result<Vec<usize>, String> {
    names.iter().map(|n| schema.index_of(n).map_err(|_| format!("there is no column `{n}`"))).collect()
}

fn converter(schema: &Schema, columns: &[usize]) -> Result<RowConverter, ArrowError> {
    RowConverter::new(columns.iter().map(|c| SortField::new(schema.field(*c).data_type().clone())).collect())
}

fn pick(batch: &RecordBatch, columns: &[usize]) -> Vec<ArrayRef> {
    columns.iter().map(|c| batch.column(*c).clone()).collect()
}

/// One row's values of some columns, for a message. The caller's output sanitizes it.
fn example(batch: &RecordBatch, columns: &[usize], row: usize) -> String {
    let schema = batch.schema();
    let cells: Vec<String> = columns
        .iter()
        .map(|c| {
            let text = cast(&batch.column(*c).slice(row, 1), &DataType::Utf8)
                .ok()
                .and_then(|a| {
                    let strings = a.as_string::<i32>();
                    (!strings.is_null(0)).then(|| strings.value(0).chars().take(80).collect::<String>())
                })
                .unwrap_or_else(|| "NULL".into());
            format!("{} = {text}", schema.field(*c).name())
        })
        .collect();
    cells.join(", ")
}

impl PartitionChecks {
    /// The checks of `asset` that read staged rows of `schema`. `issue_ids` are the taxonomy's.
    /// Checks by SQL are not among them: they need an engine.
    ///
    /// # Errors
    /// When key columns cannot be compared.
    pub fn new(asset: &AssetConfig, schema: &Schema, issue_ids: &[String]) -> Result<Self, String> {
        let names: Vec<&str> = asset.row_key.iter().map(|k| k.value.as_str()).collect();
        let key = if names.is_empty() {
            None
        } else {
            let columns = positions(schema, &names)?;
            let converter = converter(schema, &columns).map_err(|e| e.to_string())?;
            Some(KeyCheck {
                names: names.join(", "),
                columns,
                converter,
                last: None,
                violations: 0,
                example: None,
            })
        };
        let checks = asset
            .checks
            .iter()
            .filter(|c| c.kind.before_publish())
            .filter_map(|c| {
                let how = how(c, schema, issue_ids)?;
                Some(Running {
                    name: c.name.clone(),
                    severity: c.severity,
                    violations: 0,
                    example: None,
                    how: how.unwrap_or_else(How::Broken),
                })
            })
            .collect();
        Ok(Self { key, checks })
    }

    /// Takes in rows; they must come in key order over all calls.
    ///
    /// # Errors
    /// When values cannot be compared.
    pub fn take(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if let Some(key) = &mut self.key {
            let rows = key.converter.convert_columns(&pick(batch, &key.columns))?;
            for at in 0..rows.num_rows() {
                let same = match at {
                    0 => key.last.as_ref().is_some_and(|l| l.row() == rows.row(0)),
                    at => rows.row(at - 1) == rows.row(at),
                };
                if same {
                    key.violations += 1;
                    key.example.get_or_insert_with(|| example(batch, &key.columns, at));
                }
            }
            key.last = Some(rows.row(rows.num_rows() - 1).owned());
        }
        for check in &mut self.checks {
            check.take(batch)?;
        }
        Ok(())
    }

    /// What the checks found over `rows` rows.
    pub fn finish(self, rows: u64) -> Vec<CheckResult> {
        let mut out = Vec::with_capacity(self.checks.len() + 1);
        if let Some(key) = self.key {
            out.push(result(
                format!("key({})", key.names),
                CheckSeverity::Error,
                key.violations,
                key.example.map(|e| format!("two rows share {e}")),
            ));
        }
        for check in self.checks {
            let (violations, found) = match check.how {
                How::RowCount { min, max } => {
                    let low = min.filter(|m| rows < *m).map(|m| format!("{rows} rows, fewer than {m}"));
                    let high = max.filter(|m| rows > *m).map(|m| format!("{rows} rows, more than {m}"));
                    let found = low.or(high);
                    (u64::from(found.is_some()), found)
                }
                How::Broken(why) => (1, Some(why)),
                _ => (check.violations, check.example),
            };
            out.push(result(check.name, check.severity, violations, found));
        }
        out
    }
}

/// A check's result; a message is given where it does not hold.
pub fn result(name: String, severity: CheckSeverity, violations: u64, found: Option<String>) -> CheckResult {
    let status = match (violations, severity) {
        (0, _) => CheckStatus::Passed,
        (_, CheckSeverity::Warn) => CheckStatus::Warned,
        (_, CheckSeverity::Error) => CheckStatus::Failed,
    };
    let message = match found {
        Some(found) if violations > 0 => found,
        _ if violations > 0 => format!("{violations} row{}", if violations == 1 { "" } else { "s" }),
        _ => String::new(),
    };
    CheckResult { check: name, status, violations, message }
}

/// How a check is evaluated on rows; `None` for one that needs an engine.
fn how(check: &CheckConfig, schema: &Schema, issue_ids: &[String]) -> Option<Result<How, String>> {
    let names: Vec<&str> = check.kind.columns().iter().map(|c| c.value.as_str()).collect();
    let columns = positions(schema, &names);
    Some(match &check.kind {
        CheckKind::NotNull { .. } => columns.map(How::NotNull),
        CheckKind::Unique { .. } => columns.and_then(|columns| {
            let converter = converter(schema, &columns).map_err(|e| e.to_string())?;
            Ok(How::Unique { columns, converter, seen: HashSet::new() })
        }),
        CheckKind::AcceptedValues { values, .. } => columns.map(|columns| {
            let values = match values {
                AcceptedValues::IssueTaxonomy => issue_ids.iter().cloned().collect(),
                AcceptedValues::List(list) => list
                    .iter()
                    .map(|v| match v {
                        crate::config::Literal::Text(text) => text.clone(),
                        other => other.to_string(),
                    })
                    .collect(),
            };
            How::Accepted { columns, values }
        }),
        CheckKind::RowCount { min, max } => Ok(How::RowCount { min: *min, max: *max }),
        _ => return None,
    })
}

impl Running {
    fn take(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        match &mut self.how {
            How::NotNull(columns) => {
                for &c in columns.iter() {
                    let column = batch.column(c);
                    let nulls = column.logical_null_count();
                    if nulls > 0 {
                        self.violations += nulls as u64;
                        let name = batch.schema().field(c).name().clone();
                        self.example.get_or_insert_with(|| format!("`{name}` is NULL"));
                    }
                }
            }
            How::Unique { columns, converter, seen } => {
                let rows = converter.convert_columns(&pick(batch, columns))?;
                for (at, row) in rows.iter().enumerate() {
                    let mut hash = [0; 16];
                    hash.copy_from_slice(&blake3::hash(row.as_ref()).as_bytes()[..16]);
                    if !seen.insert(hash) {
                        self.violations += 1;
                        self.example
                            .get_or_insert_with(|| format!("two rows share {}", example(batch, columns, at)));
                    }
                }
            }
            How::Accepted { columns, values } => {
                for &c in columns.iter() {
                    let text = cast(batch.column(c), &DataType::Utf8)?;
                    for (at, value) in text.as_string::<i32>().iter().enumerate() {
                        if value.is_some_and(|v| !values.contains(v)) {
                            self.violations += 1;
                            self.example.get_or_insert_with(|| example(batch, &[c], at));
                        }
                    }
                }
            }
            How::RowCount { .. } | How::Broken(_) => {}
        }
        Ok(())
    }
}
