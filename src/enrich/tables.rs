//! Labels as rows: `post_signals` and `general_feedback_ai`.
//!
//! Rows come out in the order of silver's. Nothing here depends on when or where it runs.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, ListBuilder, RecordBatch, StringArray, StringBuilder,
    new_null_array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;

use super::embedded::Embedded;

/// Why a batch could not be labelled.
#[derive(Debug, thiserror::Error)]
pub enum EnrichError {
    /// Silver lacks a column.
    #[error("silver_posts has no column `{0}`")]
    MissingColumn(&'static str),
    /// A column of silver holds something else.
    #[error("column `{column}` of silver_posts is {found}, not {expected}")]
    WrongType {
        /// Which.
        column: &'static str,
        /// Its type.
        found: DataType,
        /// What it should be.
        expected: DataType,
    },
    /// The result could not be put together.
    #[error("the labels could not be put into a table: {0}")]
    Arrow(#[from] ArrowError),
}

pub(super) const PROVIDER: &str = "embedded";

fn strings() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)))
}

fn millis() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, None)
}

fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(
        fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Vec<_>>(),
    ))
}

/// Columns of silver that `post_signals` carries along.
fn carried() -> [(&'static str, DataType); 10] {
    use DataType::*;
    [
        ("post_id", Utf8),
        ("brand", Utf8),
        ("platform", Utf8),
        ("channel", Utf8),
        ("issue_type", Utf8),
        ("created_at", millis()),
        ("url", Utf8),
        ("title", Utf8),
        ("score", Int64),
        ("num_comments", Int64),
    ]
}

/// The columns of `post_signals`: every post, with sentiment and risk.
pub fn signals_schema() -> SchemaRef {
    use DataType::*;
    let mut fields = carried().to_vec();
    fields.extend([
        ("sentiment", Utf8),
        ("sentiment_score", Float64),
        ("risk_level", Utf8),
        ("risk_category", Utf8),
        ("risk_reasons", strings()),
        ("provider", Utf8),
        ("is_llm", Boolean),
        ("model_version", Utf8),
        ("labelled_by", Utf8),
    ]);
    schema(&fields)
}

/// The columns of `general_feedback_ai`: the post's key, labels, provenance, outcome.
pub fn feedback_schema() -> SchemaRef {
    use DataType::*;
    schema(&[
        ("post_id", Utf8),
        ("sentiment", Utf8),
        ("sentiment_score", Float64),
        ("risk_level", Utf8),
        ("risk_category", Utf8),
        ("risk_reasons", strings()),
        ("theme_id", Utf8),
        ("theme", Utf8),
        ("action_id", Utf8),
        ("recommended_action", Utf8),
        ("evidence_quote", Utf8),
        ("provider", Utf8),
        ("is_llm", Boolean),
        ("model_requested", Utf8),
        ("model_version", Utf8),
        ("prompt_hash", Utf8),
        ("schema_hash", Utf8),
        ("redaction_version", Utf8),
        ("redacted_count", Int64),
        ("labelled_at", millis()),
        ("status", Utf8),
        ("detail", Utf8),
        ("finish_reason", Utf8),
        ("needs_review", Boolean),
        ("labelled_by", Utf8),
    ])
}

/// A column of silver in the type it should have; other widths and views of the same thing
/// are taken too.
pub(super) fn column(
    silver: &RecordBatch,
    name: &'static str,
    expected: &DataType,
) -> Result<ArrayRef, EnrichError> {
    let array = silver.column_by_name(name).ok_or(EnrichError::MissingColumn(name))?;
    let wrong = || EnrichError::WrongType {
        column: name,
        found: array.data_type().clone(),
        expected: expected.clone(),
    };
    use DataType::*;
    let alike = match (array.data_type(), expected) {
        (found, expected) if found == expected => return Ok(array.clone()),
        (Utf8 | LargeUtf8 | Utf8View | Dictionary(_, _) | Null, Utf8) => true,
        (found, Int64) => found.is_integer() || *found == Null,
        (Timestamp(_, _) | Null, Timestamp(_, _)) => true,
        _ => false,
    };
    if !alike {
        return Err(wrong());
    }
    cast(array, expected).map_err(|_| wrong())
}

/// Text columns of silver, one post at a time.
struct Posts {
    title: ArrayRef,
    body: ArrayRef,
    issue_type: ArrayRef,
}

impl Posts {
    fn of(silver: &RecordBatch) -> Result<Self, EnrichError> {
        let text = |name| column(silver, name, &DataType::Utf8);
        Ok(Self { title: text("title")?, body: text("body")?, issue_type: text("issue_type")? })
    }

    fn each(&self, mut each: impl FnMut(&str, &str, &str)) -> Result<(), EnrichError> {
        let as_text = |array: &ArrayRef| array.as_any().downcast_ref::<StringArray>().cloned();
        let (Some(title), Some(body), Some(issue)) =
            (as_text(&self.title), as_text(&self.body), as_text(&self.issue_type))
        else {
            // `column` made them so.
            return Err(ArrowError::CastError("text columns are not strings".into()).into());
        };
        for ((title, body), issue) in title.iter().zip(body.iter()).zip(issue.iter()) {
            each(title.unwrap_or(""), body.unwrap_or(""), issue.unwrap_or(""));
        }
        Ok(())
    }
}

/// The columns that both tables have.
#[derive(Default)]
struct Common {
    sentiment: StringBuilder,
    sentiment_score: Float64Builder,
    risk_level: StringBuilder,
    risk_category: StringBuilder,
    risk_reasons: Option<ListBuilder<StringBuilder>>,
}

impl Common {
    fn push(&mut self, labels: &super::Labels<'_>) {
        self.sentiment.append_value(labels.sentiment.as_str());
        self.sentiment_score.append_value(labels.sentiment_score);
        self.risk_level.append_value(labels.risk_level.as_str());
        self.risk_category.append_option(labels.risk_category.map(|c| c.as_str()));
        let reasons = self.risk_reasons.get_or_insert_with(|| ListBuilder::new(StringBuilder::new()));
        for reason in &labels.risk_reasons {
            reasons.values().append_value(reason);
        }
        reasons.append(true);
    }

    fn finish(mut self) -> [ArrayRef; 5] {
        let mut reasons = self.risk_reasons.unwrap_or_else(|| ListBuilder::new(StringBuilder::new()));
        [
            Arc::new(self.sentiment.finish()),
            Arc::new(self.sentiment_score.finish()),
            Arc::new(self.risk_level.finish()),
            Arc::new(self.risk_category.finish()),
            Arc::new(reasons.finish()),
        ]
    }
}

fn repeat(text: &str, rows: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows)))
}

fn all(value: bool, rows: usize) -> ArrayRef {
    let mut builder = BooleanBuilder::with_capacity(rows);
    builder.append_n(rows, value);
    Arc::new(builder.finish())
}

/// Labels every post of silver: `post_signals`.
///
/// # Errors
/// When silver lacks a column or holds another type in it.
pub fn signals(embedded: &Embedded, silver: &RecordBatch) -> Result<RecordBatch, EnrichError> {
    let rows = silver.num_rows();
    let mut columns = Vec::new();
    for (name, kind) in carried() {
        columns.push(column(silver, name, &kind)?);
    }
    let mut common = Common::default();
    Posts::of(silver)?.each(|title, body, issue| common.push(&embedded.label(title, body, issue)))?;
    columns.extend(common.finish());
    columns.extend([repeat(PROVIDER, rows), all(false, rows), repeat(Embedded::VERSION, rows)]);
    // Nobody, until labels are laid over it.
    columns.push(new_null_array(&DataType::Utf8, rows));
    Ok(RecordBatch::try_new(signals_schema(), columns)?)
}

#[cfg(test)]
mod tests {
    use super::super::feedback::by_embedded;
    use super::*;
    use datafusion::arrow::array::{Int64Array, StringViewArray, TimestampMillisecondArray};
    use datafusion::arrow::util::pretty::pretty_format_batches;

    fn silver(with_body: bool) -> RecordBatch {
        let text = |values: [Option<&str>; 3]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            ("post_id", text([Some("reddit:t3_a"), Some("reddit:t3_b"), Some("app_store:7")])),
            ("brand", text([Some("amazon_pharmacy"); 3])),
            ("platform", text([Some("reddit"), Some("reddit"), Some("app_store")])),
            ("channel", text([Some("pharmacy"), None, Some("us")])),
            ("created_at", Arc::new(TimestampMillisecondArray::from(vec![0, 1, 2]))),
            ("also_brands", text([None; 3])),
            (
                "title",
                Arc::new(StringViewArray::from(vec![
                    Some("Love it"),
                    None,
                    Some("They sent the wrong pills"),
                ])),
            ),
            ("url", text([None, Some("https://example.org/b"), None])),
            ("score", Arc::new(Int64Array::from(vec![Some(3), None, Some(-1)]))),
            ("num_comments", Arc::new(Int64Array::from(vec![Some(0), None, Some(2)]))),
            ("issue_type", text([Some("GENERAL_FEEDBACK"), Some("PRICING"), Some("SAFETY")])),
        ];
        if with_body {
            columns.push(("body", text([None, Some("Charged twice."), Some("")])));
        }
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap()
    }

    #[test]
    fn signals_of_three_posts() {
        let batch = signals(&Embedded::new(), &silver(true)).unwrap();
        assert_eq!(batch.schema(), signals_schema());
        insta::assert_snapshot!(pretty_format_batches(&[batch]).unwrap());
    }

    #[test]
    fn feedback_of_three_posts() {
        let batch = by_embedded(&Embedded::new(), &silver(true)).unwrap();
        assert_eq!(batch.schema(), feedback_schema());
        insta::assert_snapshot!(pretty_format_batches(&[batch]).unwrap());
    }

    #[test]
    fn no_posts_are_a_table_too() {
        let none = silver(true).slice(0, 0);
        assert_eq!(signals(&Embedded::new(), &none).unwrap().num_rows(), 0);
        assert_eq!(by_embedded(&Embedded::new(), &none).unwrap().num_rows(), 0);
    }

    #[test]
    fn a_missing_or_wrong_column_is_named() {
        let error = signals(&Embedded::new(), &silver(false)).unwrap_err();
        assert_eq!(error.to_string(), "silver_posts has no column `body`");
        let wrong = silver(true);
        let mut columns = wrong.columns().to_vec();
        let mut fields: Vec<Field> = wrong.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
        columns[8] = columns[0].clone();
        fields[8] = Field::new("score", DataType::Utf8, true);
        let wrong = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let error = signals(&Embedded::new(), &wrong).unwrap_err();
        assert_eq!(error.to_string(), "column `score` of silver_posts is Utf8, not Int64");
    }
}
