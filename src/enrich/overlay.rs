//! What people said stands above what a model said.
//!
//! Rows of the system table `labels` are laid over the rows of an enrich asset, field by field.
//! Invariant: a row without a label comes out as it went in, and where a person disagrees, what
//! the model gave as its grounds goes as well. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListBuilder, RecordBatch, StringArray, StringBuilder,
    new_null_array,
};
use datafusion::arrow::compute::{cast, interleave};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;

use super::embedded::{Embedded, RiskCategory, RiskLevel};
use super::tables::EnrichError;

/// Columns of `labels` and the columns of an enrich asset that they stand above.
const FIELDS: [(&str, &str); 6] = [
    ("issue_type", "issue_type"),
    ("sentiment", "sentiment"),
    ("risk_level", "risk_level"),
    ("risk_category", "risk_category"),
    ("theme_id", "theme_id"),
    ("action_id", "action_id"),
];

/// Lays the labels of a day over an enrich asset's rows of that day. Columns that the asset does
/// not have are passed over; `labelled_by` says who labelled what stands in the row.
///
/// Beside the label itself: the sentiment's score is null where a person disagrees (nobody gave
/// one), risk category and reasons are empty where a person sees no risk, a risk that only a
/// person sees in a post about safety is of patient safety, a risk that a person
/// judged needs no review, and the titles of themes and actions are those of their ids.
///
/// # Errors
/// When `labels` is not the system table, or `rows` has other types than its schema says.
pub fn overlay(
    embedded: &Embedded,
    rows: &RecordBatch,
    labels: &RecordBatch,
) -> Result<RecordBatch, EnrichError> {
    let ids = text(labels, "post_id")?;
    let ids = ids.as_string::<i32>();
    let by_id: HashMap<&str, usize> = ids.iter().enumerate().filter_map(|(at, id)| Some((id?, at))).collect();
    let posts = text(rows, "post_id")?;
    let said: Vec<Option<usize>> =
        posts.as_string::<i32>().iter().map(|id| by_id.get(id?).copied()).collect();
    if said.iter().all(Option::is_none) {
        return Ok(rows.clone());
    }
    let mut out = Columns { rows, columns: rows.columns().to_vec() };
    let mut labelled = vec![false; said.len()];
    for (from, to) in FIELDS {
        if out.place(to).is_none() {
            continue;
        }
        let new = match from {
            "theme_id" => Arc::new(themes_now(embedded, &text(labels, from)?)),
            _ => text(labels, from)?,
        };
        let values = new.as_string::<i32>();
        // Which row of `labels` says something about this field of this row.
        let pick: Vec<Option<usize>> = said.iter().map(|at| at.filter(|at| values.is_valid(*at))).collect();
        let old = out.text(to)?;
        let old = old.as_string::<i32>();
        let differs = |row: usize, at: usize| old.is_null(row) || old.value(row) != values.value(at);
        match from {
            "sentiment" => {
                let other = only(&pick, &differs);
                out.put("sentiment_score", &|kind| new_null_array(kind, 1), &other)?;
            }
            "risk_level" => {
                let none = |_, at: usize| values.value(at) == RiskLevel::Low.as_str();
                let none = only(&pick, &none);
                out.put("risk_category", &|kind| new_null_array(kind, 1), &none)?;
                out.put("risk_reasons", &|_| no_reasons(), &none)?;
                if out.place("issue_type").is_some() && out.place("risk_category").is_some() {
                    let (issues, known) = (out.text("issue_type")?, out.text("risk_category")?);
                    let (issues, known) = (issues.as_string::<i32>(), known.as_string::<i32>());
                    let safety = |row: usize, at: usize| {
                        let about = issues.is_valid(row) && issues.value(row) == "SAFETY";
                        about && known.is_null(row) && values.value(at) != RiskLevel::Low.as_str()
                    };
                    let safety = only(&pick, &safety);
                    let category = RiskCategory::PatientSafety.as_str();
                    out.put("risk_category", &|_| Arc::new(StringArray::from(vec![category])), &safety)?;
                }
                let judged = only(&pick, &|_, _| true);
                out.put("needs_review", &|_| Arc::new(BooleanArray::from(vec![false])), &judged)?;
            }
            "theme_id" => {
                out.titles("theme", values, &pick, &|id| Some(embedded.theme_for(id)?.1.to_string()))?
            }
            "action_id" => {
                out.titles("recommended_action", values, &pick, &|id| embedded.action_title(id))?;
            }
            _ => {}
        }
        for (flag, at) in labelled.iter_mut().zip(&pick) {
            *flag |= at.is_some();
        }
        out.put(to, &|_| new.clone(), &pick)?;
    }
    let by = text(labels, "labelled_by")?;
    let pick: Vec<Option<usize>> =
        said.iter().zip(&labelled).map(|(at, labelled)| at.filter(|_| *labelled)).collect();
    out.put("labelled_by", &|_| by.clone(), &pick)?;
    Ok(RecordBatch::try_new(rows.schema(), out.columns)?)
}

/// The first of one value, for rows of which something holds.
fn only(pick: &[Option<usize>], holds: &dyn Fn(usize, usize) -> bool) -> Vec<Option<usize>> {
    pick.iter().enumerate().map(|(row, at)| at.filter(|at| holds(row, *at)).map(|_| 0)).collect()
}

/// What a person chose, by the name that the theme has now: it may have been merged since.
fn themes_now(embedded: &Embedded, said: &ArrayRef) -> StringArray {
    let now = |id| embedded.theme_for(id).map_or(id, |(now, _)| now);
    said.as_string::<i32>().iter().map(|id| id.map(now)).collect()
}

fn no_reasons() -> ArrayRef {
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append(true);
    Arc::new(list.finish())
}

/// A text column, whatever its width.
fn text(batch: &RecordBatch, name: &'static str) -> Result<ArrayRef, EnrichError> {
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| ArrowError::SchemaError(format!("there is no column `{name}` to lay labels over")))?;
    Ok(cast(column, &DataType::Utf8)?)
}

/// The rows on their way.
struct Columns<'a> {
    rows: &'a RecordBatch,
    columns: Vec<ArrayRef>,
}

impl Columns<'_> {
    fn place(&self, name: &str) -> Option<usize> {
        self.rows.schema_ref().index_of(name).ok()
    }

    fn text(&self, name: &'static str) -> Result<ArrayRef, EnrichError> {
        text(self.rows, name)
    }

    /// Puts other values into a column where `pick` names one of them; a column that the rows do
    /// not have is passed over.
    fn put(
        &mut self,
        name: &str,
        new: &dyn Fn(&DataType) -> ArrayRef,
        pick: &[Option<usize>],
    ) -> Result<(), EnrichError> {
        let Some(at) = self.place(name) else { return Ok(()) };
        let old = self.columns[at].clone();
        let new = cast(&new(old.data_type()), old.data_type())?;
        let from: Vec<(usize, usize)> =
            pick.iter().enumerate().map(|(row, pick)| pick.map_or((0, row), |n| (1, n))).collect();
        self.columns[at] = interleave(&[old.as_ref(), new.as_ref()], &from)?;
        Ok(())
    }

    /// The titles of ids that people gave; an id that no table knows any more is its own title.
    fn titles(
        &mut self,
        name: &str,
        ids: &StringArray,
        pick: &[Option<usize>],
        title: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), EnrichError> {
        let titles: ArrayRef = Arc::new(StringArray::from_iter(
            ids.iter().map(|id| id.map(|id| title(id).unwrap_or_else(|| id.to_string()))),
        ));
        self.put(name, &|_| titles.clone(), pick)
    }
}

#[cfg(test)]
mod tests {
    use super::super::feedback::by_embedded as feedback;
    use super::*;
    use crate::enrich::signals;
    use datafusion::arrow::array::{Int64Array, TimestampMillisecondArray};
    use datafusion::arrow::util::pretty::pretty_format_batches;

    fn silver() -> RecordBatch {
        let text = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("post_id", text(vec![Some("reddit:t3_a"), Some("reddit:t3_b"), Some("reddit:t3_c")])),
            ("brand", text(vec![Some("own"); 3])),
            ("platform", text(vec![Some("reddit"); 3])),
            ("channel", text(vec![None; 3])),
            ("created_at", Arc::new(TimestampMillisecondArray::from(vec![0, 1, 2]))),
            ("title", text(vec![Some("They sent the wrong pills"), Some("I love it"), Some("Hm")])),
            ("body", text(vec![None; 3])),
            ("url", text(vec![None; 3])),
            ("score", Arc::new(Int64Array::from(vec![1, 2, 3]))),
            ("num_comments", Arc::new(Int64Array::from(vec![0, 0, 0]))),
            ("issue_type", text(vec![Some("GENERAL_FEEDBACK"); 3])),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap()
    }

    /// Issue type, sentiment, risk level, risk category, theme and action.
    type Row<'a> = (&'a str, [Option<&'a str>; 6], &'a str);

    fn labels(rows: &[Row<'_>]) -> RecordBatch {
        let field = |i: usize| -> ArrayRef {
            Arc::new(StringArray::from(rows.iter().map(|r| r.1[i]).collect::<Vec<_>>()))
        };
        let names = ["issue_type", "sentiment", "risk_level", "risk_category", "theme_id", "action_id"];
        let mut columns: Vec<(&str, ArrayRef)> =
            vec![("post_id", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0))))];
        columns.extend(names.into_iter().enumerate().map(|(i, name)| (name, field(i))));
        columns.push(("labelled_by", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.2)))));
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap()
    }

    fn cell(batch: &RecordBatch, name: &str, row: usize) -> Option<String> {
        let column = cast(batch.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
        let column = column.as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_string())
    }

    #[test]
    fn a_row_without_a_label_comes_out_as_it_went_in() {
        let embedded = Embedded::new();
        let rows = feedback(&embedded, &silver()).unwrap();
        let other = labels(&[("reddit:t3_z", [None, Some("negative"), None, None, None, None], "ann")]);
        assert_eq!(overlay(&embedded, &rows, &other).unwrap(), rows);
        assert_eq!(overlay(&embedded, &rows, &labels(&[])).unwrap(), rows);
        let one = labels(&[("reddit:t3_b", [None, Some("negative"), None, None, None, None], "ann")]);
        let laid = overlay(&embedded, &rows, &one).unwrap();
        assert_eq!((laid.slice(0, 1), laid.slice(2, 1)), (rows.slice(0, 1), rows.slice(2, 1)));
    }

    #[test]
    fn labels_stand_above_the_model() {
        let embedded = Embedded::new();
        let rows = feedback(&embedded, &silver()).unwrap();
        assert_eq!(cell(&rows, "risk_level", 0).as_deref(), Some("high"));
        assert_eq!(cell(&rows, "needs_review", 0).as_deref(), Some("true"));
        let said = labels(&[
            ("reddit:t3_a", [None, None, Some("low"), None, None, None], "ann"),
            ("reddit:t3_c", [None, Some("negative"), Some("high"), None, Some("gone"), None], "ann, bob"),
        ]);
        let laid = overlay(&embedded, &rows, &said).unwrap();
        insta::assert_snapshot!(
            pretty_format_batches(&[laid.project(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 23, 24]).unwrap()])
                .unwrap()
        );
    }

    #[test]
    fn titles_are_those_of_the_ids() {
        let embedded = Embedded::new();
        let rows = feedback(&embedded, &silver()).unwrap();
        let (theme, title, _) = embedded.themes().last().unwrap();
        let (action, todo) = embedded.actions().last().unwrap();
        let said = labels(&[("reddit:t3_c", [None, None, None, None, Some(theme), Some(action)], "ann")]);
        let laid = overlay(&embedded, &rows, &said).unwrap();
        assert_eq!(cell(&laid, "theme", 2).as_deref(), Some(title));
        assert_eq!(cell(&laid, "recommended_action", 2).as_deref(), Some(todo));
        assert_eq!(cell(&laid, "labelled_by", 2).as_deref(), Some("ann"));
    }

    #[test]
    fn where_a_person_agrees_the_grounds_stay() {
        let embedded = Embedded::new();
        let rows = signals(&embedded, &silver()).unwrap();
        let said = labels(&[
            ("reddit:t3_a", [None, None, Some("high"), None, Some("no such column here"), None], "ann"),
            ("reddit:t3_b", [None, Some("positive"), None, None, None, None], "bob"),
            ("reddit:t3_c", [None, None, None, None, Some("no such column here"), None], "eve"),
        ]);
        let laid = overlay(&embedded, &rows, &said).unwrap();
        let except = |batch: &RecordBatch| {
            let last = batch.num_columns() - 1;
            assert_eq!(batch.schema().field(last).name(), "labelled_by");
            batch.project(&(0..last).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(except(&laid), except(&rows), "nothing but who said so");
        let by: Vec<_> = (0..3).map(|row| cell(&laid, "labelled_by", row)).collect();
        assert_eq!(by, [Some("ann".into()), Some("bob".into()), None]);
    }

    #[test]
    fn the_issue_type_of_a_person_counts_before_silver_is_made_again() {
        let embedded = Embedded::new();
        let rows = signals(&embedded, &silver()).unwrap();
        let said = labels(&[("reddit:t3_b", [Some("PRICING"), None, None, None, None, None], "bob")]);
        let laid = overlay(&embedded, &rows, &said).unwrap();
        assert_eq!(cell(&laid, "issue_type", 1).as_deref(), Some("PRICING"));
        assert_eq!(cell(&laid, "labelled_by", 1).as_deref(), Some("bob"));
    }
}
