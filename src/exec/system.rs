//! The tables that the product keeps itself: issue types, labels, coverage.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;

use crate::classify::Taxonomy;
use crate::config::SystemTable;
use crate::graph::DataVersion;
use crate::source::Reach;

/// What one source reached of one platform on one day.
#[derive(Clone, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Coverage {
    /// The source.
    pub source: String,
    /// The platform.
    pub platform: String,
    /// Whether a day without this source is not covered.
    pub required: bool,
    /// How much of the day it has.
    pub status: Reach,
    /// Why not.
    pub reason: Option<String>,
    /// Whether the day as a whole is covered.
    pub day_covered: bool,
}

/// Decides whether a day is covered: every platform with a required source has one complete
/// source. Where no source is required, one complete source of any platform is enough: with
/// none at all nothing is known of the day, and unknown is not zero.
pub fn judge(rows: &mut [Coverage]) {
    let mut platforms: BTreeMap<&str, bool> = BTreeMap::new();
    for row in rows.iter().filter(|r| r.required) {
        platforms.entry(&row.platform).or_default();
    }
    let covered = if platforms.is_empty() {
        rows.iter().any(|r| r.status == Reach::Complete)
    } else {
        for row in rows.iter().filter(|r| r.status == Reach::Complete) {
            if let Some(reached) = platforms.get_mut(row.platform.as_str()) {
                *reached = true;
            }
        }
        platforms.values().all(|reached| *reached)
    };
    for row in rows {
        row.day_covered = covered;
    }
}

/// The version of one day's rows.
pub fn coverage_version(rows: &[Coverage]) -> DataVersion {
    let mut hasher = blake3::Hasher::new();
    for row in rows {
        hasher.update(format!("{row:?}\n").as_bytes());
    }
    DataVersion::finish(&hasher)
}

/// The columns of a system table, without `dt`.
pub fn schema(table: SystemTable) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let flag = |name: &str| Field::new(name, DataType::Boolean, true);
    Arc::new(Schema::new(match table {
        SystemTable::IssueTypes => vec![
            text("issue_type"),
            text("title"),
            text("description"),
            Field::new("priority", DataType::Int64, true),
            flag("customer_voice"),
        ],
        SystemTable::Labels => vec![
            text("post_id"),
            text("issue_type"),
            text("sentiment"),
            text("risk_level"),
            text("risk_category"),
            text("theme_id"),
            text("action_id"),
            text("labelled_by"),
            Field::new("labelled_at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
        ],
        SystemTable::SourceCoverage => vec![
            text("source"),
            text("platform"),
            flag("required"),
            text("status"),
            text("reason"),
            flag("day_covered"),
        ],
    }))
}

/// The taxonomy as rows, in key order.
///
/// # Errors
/// Never in practice: the columns are made for the schema.
pub fn issue_types(taxonomy: &Taxonomy) -> Result<RecordBatch, ArrowError> {
    let mut issues: Vec<_> = taxonomy.issues().iter().collect();
    issues.sort_by(|a, b| a.id.cmp(&b.id));
    let text = |f: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..issues.len()).map(f)))
    };
    let columns: Vec<ArrayRef> = vec![
        text(&|i| issues[i].id.clone()),
        text(&|i| issues[i].title.clone()),
        text(&|i| issues[i].description.clone()),
        Arc::new(Int64Array::from_iter_values(issues.iter().map(|i| i64::from(i.priority)))),
        Arc::new(BooleanArray::from_iter(issues.iter().map(|i| Some(i.customer_voice)))),
    ];
    RecordBatch::try_new(schema(SystemTable::IssueTypes), columns)
}

/// One day's coverage as rows, in key order.
///
/// # Errors
/// Never in practice: the columns are made for the schema.
pub fn coverage_batch(rows: &[Coverage]) -> Result<RecordBatch, ArrowError> {
    let mut rows: Vec<&Coverage> = rows.iter().collect();
    rows.sort();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.source.as_str()))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.platform.as_str()))),
        Arc::new(BooleanArray::from_iter(rows.iter().map(|r| Some(r.required)))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.status.as_str()))),
        Arc::new(StringArray::from_iter(rows.iter().map(|r| r.reason.as_deref()))),
        Arc::new(BooleanArray::from_iter(rows.iter().map(|r| Some(r.day_covered)))),
    ];
    RecordBatch::try_new(schema(SystemTable::SourceCoverage), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(platform: &str, required: bool, complete: bool) -> Coverage {
        Coverage {
            source: format!("{platform}{required}{complete}"),
            platform: platform.into(),
            required,
            status: if complete { Reach::Complete } else { Reach::Partial },
            reason: None,
            day_covered: false,
        }
    }

    fn covered(mut rows: Vec<Coverage>) -> bool {
        judge(&mut rows);
        rows.iter().all(|r| r.day_covered)
    }

    #[test]
    fn required_platforms_decide() {
        assert!(covered(vec![row("reddit", true, true), row("app_store", false, false)]));
        assert!(!covered(vec![row("reddit", true, false), row("app_store", false, true)]));
        assert!(
            covered(vec![row("reddit", true, false), row("reddit", false, true)]),
            "a fallback completes it"
        );
        assert!(covered(vec![row("a", false, false), row("b", false, true)]), "none required: one is enough");
        assert!(!covered(vec![row("a", false, false)]));
    }
}
