//! The tables a query reads: exactly the input partitions it was given, each with its day.
//!
//! Nothing is listed or guessed: paths, days and schemas come from manifests.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringViewArray};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, Statistics, project_schema};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{ColumnarValue, Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::EngineError;
use super::bronze::{BronzeExec, bronze_schema};
use super::canonical::{DT, canonical_batch, dt_field, query_schema};
use super::parquet_file::LocalParquet;
use super::watch::Watch;
use crate::graph::{AssetKey, Day};

/// One file of an input partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// The day of its partition; `None` for an unpartitioned table.
    pub day: Option<Day>,
    /// Its size.
    pub bytes: u64,
    /// How many rows its manifest says it has.
    pub rows: u64,
}

/// What one dependency holds.
#[derive(Clone, Debug)]
pub enum TableData {
    /// Bronze objects: zstd NDJSON of envelopes.
    Bronze {
        /// The objects, in an order that does not matter to the result.
        objects: Vec<InputFile>,
    },
    /// Parquet files of the lake.
    Parquet {
        /// The files; none for empty partitions.
        files: Vec<InputFile>,
        /// Their columns, without `dt`.
        schema: SchemaRef,
    },
    /// Rows in memory, for system tables and tests.
    Memory {
        /// Their columns, without `dt`.
        schema: SchemaRef,
        /// Batches, each of one day (`None` for an unpartitioned table).
        batches: Vec<(Option<Day>, RecordBatch)>,
    },
}

/// One dependency of a query: exactly the mapped input partitions.
#[derive(Clone, Debug)]
pub struct Input {
    /// The table's name in SQL.
    pub name: AssetKey,
    /// Whether it has days, and so a `dt` column (varchar).
    pub daily: bool,
    /// Its rows.
    pub data: TableData,
}

impl Input {
    /// The columns of the table without `dt`, as stored.
    pub fn schema(&self) -> SchemaRef {
        match &self.data {
            TableData::Bronze { .. } => bronze_schema(),
            TableData::Parquet { schema, .. } | TableData::Memory { schema, .. } => schema.clone(),
        }
    }
}

enum Rows {
    Bronze(Vec<InputFile>),
    Parquet(Vec<InputFile>),
    Memory(Vec<(Option<Day>, RecordBatch)>),
}

/// A table of a query, for DataFusion.
pub(super) struct InputTable {
    name: String,
    /// Columns of the files, as the query sees them.
    stored: SchemaRef,
    schema: SchemaRef,
    daily: bool,
    rows: Rows,
    watch: Arc<Watch>,
}

impl fmt::Debug for InputTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputTable").field("name", &self.name).finish_non_exhaustive()
    }
}

impl InputTable {
    pub(super) fn new(input: Input, watch: Arc<Watch>) -> Result<Self, EngineError> {
        let stored = query_schema(&input.schema(), false);
        let schema = query_schema(&input.schema(), input.daily);
        let name = input.name.to_string();
        let day_of = |day: Option<Day>| match (input.daily, day) {
            (true, None) => Err(EngineError::Other(format!("{name}: a partition without a day"))),
            _ => Ok(()),
        };
        let rows = match input.data {
            TableData::Bronze { objects } => {
                objects.iter().try_for_each(|f| day_of(f.day))?;
                Rows::Bronze(objects)
            }
            TableData::Parquet { files, .. } => {
                files.iter().try_for_each(|f| day_of(f.day))?;
                Rows::Parquet(files)
            }
            TableData::Memory { batches, .. } => {
                batches.iter().try_for_each(|(day, _)| day_of(*day))?;
                Rows::Memory(batches)
            }
        };
        Ok(Self { name, stored, schema, daily: input.daily, rows, watch })
    }

    /// A table without rows, for planning.
    pub(super) fn empty(name: &str, stored: &Schema, daily: bool) -> Self {
        Self {
            name: name.to_string(),
            stored: query_schema(stored, false),
            schema: query_schema(stored, daily),
            daily,
            rows: Rows::Memory(Vec::new()),
            watch: Arc::default(),
        }
    }

    /// Which partitions can hold rows that pass the filters on `dt`.
    fn pruned<T: Clone>(
        &self,
        all: &[T],
        day: impl Fn(&T) -> Option<Day>,
        state: &dyn Session,
        filters: &[Expr],
    ) -> Result<Vec<T>> {
        if filters.is_empty() || all.is_empty() || !self.daily {
            return Ok(all.to_vec());
        }
        let dt_schema = Arc::new(Schema::new(vec![dt_field()]));
        let days: ArrayRef = Arc::new(StringViewArray::from_iter_values(
            all.iter().map(|t| day(t).map(|d| d.to_string()).unwrap_or_default()),
        ));
        let batch = RecordBatch::try_new(dt_schema.clone(), vec![days])?;
        let df_schema = DFSchema::try_from(dt_schema)?;
        let mut keep = vec![true; all.len()];
        for filter in filters {
            // The filter names the table; the little batch of days does not.
            let filter = unqualified(filter)?;
            let expr = state.create_physical_expr(filter, &df_schema)?;
            let value = match expr.evaluate(&batch)? {
                ColumnarValue::Array(array) => array,
                ColumnarValue::Scalar(scalar) => scalar.to_array_of_size(all.len())?,
            };
            let Some(passes) = value.as_any().downcast_ref::<BooleanArray>() else {
                return Err(DataFusionError::Internal("a filter on dt is not boolean".to_string()));
            };
            for (keep, pass) in keep.iter_mut().zip(passes.iter()) {
                *keep &= pass == Some(true);
            }
        }
        Ok(all.iter().zip(keep).filter(|(_, keep)| *keep).map(|(t, _)| t.clone()).collect())
    }

    fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partitions = state.config().target_partitions().max(1);
        match &self.rows {
            Rows::Memory(batches) => {
                let batches = self
                    .pruned(batches, |(day, _)| *day, state, filters)?
                    .into_iter()
                    .map(|(day, batch)| self.with_dt(day, &batch))
                    .collect::<Result<Vec<_>>>()?;
                Ok(MemorySourceConfig::try_new_exec(&[batches], self.schema.clone(), projection.cloned())?)
            }
            Rows::Bronze(objects) => {
                let objects = self.pruned(objects, |f| f.day, state, filters)?;
                if objects.is_empty() {
                    return self.nothing(projection);
                }
                Ok(Arc::new(BronzeExec::new(
                    self.schema.clone(),
                    projection,
                    balanced(objects, partitions),
                    self.watch.clone(),
                )?))
            }
            Rows::Parquet(files) => {
                let files = self.pruned(files, |f| f.day, state, filters)?;
                if files.is_empty() {
                    return self.nothing(projection);
                }
                let rows: u64 = files.iter().map(|f| f.rows).sum();
                let bytes: u64 = files.iter().map(|f| f.bytes).sum();
                let groups = balanced(files, partitions)
                    .into_iter()
                    .map(|group| Ok(FileGroup::new(group.into_iter().map(|f| self.file(f)).collect())))
                    .collect::<Result<Vec<_>>>()?;
                let dt = if self.daily { vec![dt_field()] } else { Vec::new() };
                let source = ParquetSource::new(
                    TableSchema::builder(self.stored.clone()).with_table_partition_cols(dt).build(),
                )
                .with_table_parquet_options(state.default_table_options().parquet)
                .with_parquet_file_reader_factory(Arc::new(LocalParquet::new(self.watch.clone())));
                let statistics = Statistics {
                    num_rows: Precision::Exact(rows as usize),
                    total_byte_size: Precision::Inexact(bytes as usize),
                    column_statistics: Statistics::unknown_column(&self.schema),
                };
                let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
                    .with_file_groups(groups)
                    .with_projection_indices(projection.cloned())?
                    .with_statistics(statistics)
                    .with_limit(limit)
                    .build();
                Ok(DataSourceExec::from_data_source(config))
            }
        }
    }

    fn nothing(&self, projection: Option<&Vec<usize>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(EmptyExec::new(project_schema(&self.schema, projection)?)))
    }

    fn file(&self, file: InputFile) -> PartitionedFile {
        let mut planned = PartitionedFile::new(file.path.to_string_lossy().into_owned(), file.bytes);
        if let (true, Some(day)) = (self.daily, file.day) {
            planned.partition_values = vec![ScalarValue::Utf8View(Some(day.to_string()))];
        }
        // The reader opens this path, whatever the store's own spelling of it is.
        planned.with_extension(file.path)
    }

    fn with_dt(&self, day: Option<Day>, batch: &RecordBatch) -> Result<RecordBatch> {
        let stored = canonical_batch(batch, &self.stored)?;
        let mut columns = stored.columns().to_vec();
        if let (true, Some(day)) = (self.daily, day) {
            let day = day.to_string();
            columns.push(Arc::new(StringViewArray::from_iter_values(std::iter::repeat_n(
                day.as_str(),
                batch.num_rows(),
            ))));
        }
        Ok(RecordBatch::try_new_with_options(
            self.schema.clone(),
            columns,
            &datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows())),
        )?)
    }
}

/// Files in `n` or fewer groups of about equal size, in the given order.
fn balanced(files: Vec<InputFile>, n: usize) -> Vec<Vec<InputFile>> {
    let total: u64 = files.iter().map(|f| f.bytes.max(1)).sum();
    let each = total.div_ceil(n.max(1) as u64).max(1);
    let mut groups: Vec<Vec<InputFile>> = Vec::with_capacity(n);
    let mut filled = 0u64;
    for file in files {
        let group = ((filled / each) as usize).min(n.saturating_sub(1));
        filled += file.bytes.max(1);
        while groups.len() <= group {
            groups.push(Vec::new());
        }
        groups[group].push(file);
    }
    groups.retain(|g| !g.is_empty());
    groups
}

/// The expression with bare column names.
fn unqualified(expr: &Expr) -> Result<Expr> {
    use datafusion::common::Column;
    use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
    expr.clone()
        .transform(|e| {
            Ok(match e {
                Expr::Column(c) if c.relation.is_some() => {
                    Transformed::yes(Expr::Column(Column::new_unqualified(c.name)))
                }
                other => Transformed::no(other),
            })
        })
        .data()
}

/// Whether the partitions alone decide the filter.
fn only_dt(expr: &Expr) -> bool {
    let columns = expr.column_refs();
    !columns.is_empty() && columns.iter().all(|c| c.name == DT) && !expr.is_volatile() && !has_subquery(expr)
}

fn has_subquery(expr: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    expr.exists(|e| {
        Ok(matches!(
            e,
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::OuterReferenceColumn(..)
        ))
    })
    .unwrap_or(true)
}

impl TableProvider for InputTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|f| {
                if self.daily && only_dt(f) {
                    TableProviderFilterPushDown::Exact
                } else {
                    TableProviderFilterPushDown::Unsupported
                }
            })
            .collect())
    }

    // What `async_trait` would write: the crate is not among the dependencies.
    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        state: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        filters: &'life3 [Expr],
        limit: Option<usize>,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<dyn ExecutionPlan>>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(std::future::ready(self.plan(state, projection, filters, limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_cut_into_even_groups_in_order() {
        let file =
            |n: u64| InputFile { path: format!("/{n}").into(), day: Some(Day(n as i32)), bytes: 10, rows: 1 };
        let groups = balanced((0..10).map(file).collect(), 3);
        assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [4, 3, 3]);
        assert_eq!(groups[1][0], file(4));
        assert_eq!(balanced((0..2).map(file).collect(), 8).len(), 2);
        assert_eq!(balanced(Vec::new(), 8).len(), 0);
    }
}
