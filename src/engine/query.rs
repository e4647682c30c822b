//! Ad-hoc questions: one SELECT over tables of the lake, read only.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;

use super::EngineError;
use super::canonical::canonical_batch;
use super::session::Engine;
use super::table::{Input, InputTable};
use super::watch::{CancellationFlag, Watch, watch_plan};
use crate::diagnostic::SourceText;

impl Engine {
    /// Runs one SELECT and gives its batches to `sink` as they come; an order is the SQL's own.
    /// Returns the schema, which is that of every batch, also when there is none.
    ///
    /// Only `tables` can be named: no files, no settings, nothing that writes. Blocks this
    /// thread, which must not be inside an asynchronous task.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn query(
        &self,
        sql: &SourceText,
        tables: Vec<Input>,
        cancel: &CancellationFlag,
        sink: &mut dyn FnMut(RecordBatch) -> Result<(), EngineError>,
    ) -> Result<SchemaRef, EngineError> {
        let watch = Watch::new(cancel.clone());
        let mut named = HashMap::with_capacity(tables.len());
        for input in tables {
            named.insert(input.name.to_string(), Arc::new(InputTable::new(input, watch.clone())?));
        }
        let plan = self.plan(&sql.text, named.clone()).map_err(EngineError::Sql)?;
        // `now()` is allowed here, and means this question's time.
        let mut state = self.state.clone();
        state.mark_start_execution();
        let plan = state.optimize(&plan).map_err(|e| {
            let names = super::session::Names { state: &state, tables: named };
            EngineError::Sql(super::problem::of_plan(&sql.text, &e, &names))
        })?;
        let schema = plain_text(plan.schema().as_arrow());
        let (context, _) = self.task(None);
        self.block_on(async {
            let plan = state.query_planner().create_physical_plan(&plan, &state).await?;
            let mut rows = execute_stream(watch_plan(plan, &watch)?, context)?;
            let mut ticker = tokio::time::interval(std::time::Duration::from_millis(50));
            loop {
                let next = tokio::select! {
                    biased;
                    _ = ticker.tick() => {
                        if cancel.is_cancelled() {
                            return Err(EngineError::Cancelled);
                        }
                        continue;
                    }
                    next = rows.next() => next,
                };
                match next.transpose()? {
                    Some(batch) if batch.num_rows() > 0 => sink(canonical_batch(&batch, &schema)?)?,
                    Some(_) => {}
                    None => return Ok(()),
                }
            }
        })?;
        Ok(schema)
    }
}

/// The schema with text as `Utf8`, which every writer and printer knows.
fn plain_text(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(
        schema
            .fields()
            .iter()
            .map(|f| match f.data_type() {
                DataType::Utf8View | DataType::LargeUtf8 => {
                    Arc::new(Field::new(f.name(), DataType::Utf8, true))
                }
                _ => f.clone(),
            })
            .collect::<Vec<_>>(),
    ))
}
