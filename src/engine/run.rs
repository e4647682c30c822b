//! Runs an asset's SQL for some days: rows leave in (dt, key) order, one day after the other.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::arrow::array::{Array, ArrayRef, Int32Array, RecordBatch};
use datafusion::arrow::compute::{SortOptions, partition};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, execute_stream};
use futures::StreamExt;

use super::EngineError;
use super::canonical::{DT, RX_DROP, canonical_batch};
use super::session::Engine;
use super::shape::{DAY, Dropped, Shape, ShapeExec};
use super::table::{Input, InputTable};
use super::watch::{CancellationFlag, Progress, Watch, watch_plan};
use crate::diagnostic::SourceText;
use crate::graph::Day;

/// One query to run.
#[derive(Clone, Debug)]
pub struct SqlJob {
    /// The SQL and the name of its file.
    pub sql: Arc<SourceText>,
    /// Exactly the mapped input partitions of the days.
    pub inputs: Vec<Input>,
    /// The output days, ascending; `None` for an unpartitioned table.
    pub days: Option<Vec<Day>>,
    /// The columns that make a row of one day unique; rows leave in their order.
    pub row_key: Vec<String>,
    /// The schema that `infer` gave: the result is cast to it.
    pub schema: SchemaRef,
    /// Gives the rows that `rx_drop` names instead of counting them, with the column
    /// `rx_drop` at the end.
    pub keep_dropped: bool,
}

/// What a finished query was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunStats {
    /// Rows of the input partitions, by day, as their manifests say (`None`: unpartitioned).
    pub rows_in: BTreeMap<Option<Day>, u64>,
    /// Rows that `rx_drop` took out.
    pub dropped: Dropped,
    /// Rows that went to the sink.
    pub rows_out: u64,
    /// Rows whose key is also that of another row of the day (neighbours that are equal).
    pub duplicate_keys: BTreeMap<Option<Day>, u64>,
    /// The most bytes the query held of the memory limit.
    pub peak_memory: u64,
}

/// How often progress is told and the flag looked at while nothing arrives.
const TICK: Duration = Duration::from_millis(50);

impl Engine {
    /// Runs a query and gives its rows to `sink`, in (dt, key) order, in batches of one day.
    ///
    /// Blocks this thread, which must not be inside an asynchronous task. Ends within about
    /// 100 ms once `cancel` is raised.
    ///
    /// # Errors
    /// See [`EngineError`]; what the sink returns ends the query as it is.
    pub fn run(
        &self,
        job: &SqlJob,
        sink: &mut dyn FnMut(Option<Day>, RecordBatch) -> Result<(), EngineError>,
        progress: &dyn Fn(Progress),
        cancel: &CancellationFlag,
    ) -> Result<RunStats, EngineError> {
        let watch = Watch::new(cancel.clone());
        let mut stats = RunStats { rows_in: rows_in(&job.inputs), ..RunStats::default() };
        let mut tables = HashMap::with_capacity(job.inputs.len());
        for input in &job.inputs {
            let table = InputTable::new(input.clone(), watch.clone())?;
            tables.insert(input.name.to_string(), Arc::new(table));
        }
        let query = self.plan(&job.sql.text, tables).map_err(EngineError::Sql)?;
        let query = within_days(query, job.days.as_deref())?;
        let output = Output::new(query.schema().as_arrow(), job)?;
        let dropped: Arc<Mutex<Dropped>> = Arc::default();
        let (context, pool) = self.task(None);
        self.block_on(async {
            let plan = self.state.create_physical_plan(&query).await?;
            let plan = watch_plan(plan, &watch)?;
            let plan = sorted(plan, &output, dropped.clone())?;
            let mut rows = execute_stream(plan, context)?;
            progress(watch.progress());
            let mut ticker = tokio::time::interval(TICK);
            let mut last_key: Option<(Option<Day>, Vec<ArrayRef>)> = None;
            loop {
                let next = tokio::select! {
                    biased;
                    _ = ticker.tick() => {
                        progress(watch.progress());
                        if cancel.is_cancelled() {
                            return Err(EngineError::Cancelled);
                        }
                        continue;
                    }
                    next = rows.next() => next,
                };
                let Some(batch) = next.transpose()? else { break };
                if cancel.is_cancelled() {
                    return Err(EngineError::Cancelled);
                }
                for (day, batch) in by_day(&batch, output.daily)? {
                    stats.rows_out += batch.num_rows() as u64;
                    let repeated = repeated_keys(&batch, &output.key, day, &mut last_key)?;
                    if repeated > 0 {
                        *stats.duplicate_keys.entry(day).or_default() += repeated;
                    }
                    sink(day, canonical_batch(&batch, &output.schema)?)?;
                }
            }
            progress(watch.progress());
            Ok(())
        })?;
        stats.dropped = std::mem::take(&mut dropped.lock().unwrap_or_else(PoisonError::into_inner));
        stats.peak_memory = pool.peak();
        Ok(stats)
    }
}

fn rows_in(inputs: &[Input]) -> BTreeMap<Option<Day>, u64> {
    use super::table::TableData;
    let mut rows = BTreeMap::new();
    let mut add = |day: Option<Day>, n: u64| *rows.entry(day).or_default() += n;
    for input in inputs {
        match &input.data {
            TableData::Bronze { objects: files } | TableData::Parquet { files, .. } => {
                files.iter().for_each(|f| add(f.day, f.rows));
            }
            TableData::Memory { batches, .. } => {
                batches.iter().for_each(|(day, b)| add(*day, b.num_rows() as u64));
            }
        }
    }
    rows
}

/// Keeps the rows of the output days. An order of the whole result is dropped: rows are
/// sorted by key anyway.
fn within_days(query: LogicalPlan, days: Option<&[Day]>) -> Result<LogicalPlan, EngineError> {
    let query = match query {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => Arc::unwrap_or_clone(sort.input),
        other => other,
    };
    let Some(days) = days else { return Ok(query) };
    let Some(at) = query.schema().fields().iter().position(|f| f.name() == DT) else {
        return Err(EngineError::Other("the result has no column `dt`".to_string()));
    };
    let dt = Expr::Column(Column::from(query.schema().qualified_field(at)));
    let contiguous = days.windows(2).all(|w| w[0].0 + 1 == w[1].0);
    let filter = match days {
        [] => lit(false),
        [day] => dt.eq(lit(day.to_string())),
        [first, .., last] if contiguous => dt.between(lit(first.to_string()), lit(last.to_string())),
        _ => dt.in_list(days.iter().map(|d| lit(d.to_string())).collect(), false),
    };
    Ok(LogicalPlanBuilder::from(query).filter(filter)?.build()?)
}

/// How the query's columns become the table's.
struct Output {
    daily: bool,
    shape: Arc<Shape>,
    /// The table's schema, with `rx_drop` when asked.
    schema: SchemaRef,
    /// Positions of the key in the table's schema.
    key: Vec<usize>,
}

impl Output {
    fn new(query: &Schema, job: &SqlJob) -> Result<Self, EngineError> {
        let missing = |name: &str| EngineError::Other(format!("the result has no column `{name}`"));
        let at = |name: &str| query.fields().iter().position(|f| f.name() == name);
        let daily = job.days.is_some();
        let columns = job
            .schema
            .fields()
            .iter()
            .map(|f| at(f.name()).ok_or_else(|| missing(f.name())))
            .collect::<Result<Vec<_>, _>>()?;
        let key = job
            .row_key
            .iter()
            .filter(|k| !(daily && k.as_str() == DT))
            .map(|k| job.schema.fields().iter().position(|f| f.name() == k).ok_or_else(|| missing(k)))
            .collect::<Result<Vec<_>, _>>()?;
        let shape = Shape {
            dt: if daily { Some(at(DT).ok_or_else(|| missing(DT))?) } else { None },
            drop: at(RX_DROP),
            columns,
            keep_dropped: job.keep_dropped,
        };
        let mut fields = job.schema.fields().to_vec();
        if shape.keep_dropped && shape.drop.is_some() {
            fields.push(Arc::new(Field::new(RX_DROP, DataType::Utf8, true)));
        }
        Ok(Self { daily, shape: Arc::new(shape), schema: Arc::new(Schema::new(fields)), key })
    }
}

/// The plan with its rows shaped and in order.
fn sorted(
    plan: Arc<dyn ExecutionPlan>,
    output: &Output,
    dropped: Arc<Mutex<Dropped>>,
) -> Result<Arc<dyn ExecutionPlan>, EngineError> {
    let plan: Arc<dyn ExecutionPlan> = Arc::new(ShapeExec::new(plan, output.shape.clone(), dropped));
    let schema = plan.schema();
    let first = usize::from(output.daily);
    let options = SortOptions { descending: false, nulls_first: true };
    let by = output
        .daily
        .then_some((DAY, 0))
        .into_iter()
        .chain(output.key.iter().map(|k| (schema.field(first + k).name().as_str(), first + k)))
        .map(|(name, i)| PhysicalSortExpr::new(Arc::new(PhysicalColumn::new(name, i)), options));
    let Some(order) = LexOrdering::new(by) else {
        return Err(EngineError::Other("the table has no key".to_string()));
    };
    let many = plan.output_partitioning().partition_count() > 1;
    let plan: Arc<dyn ExecutionPlan> =
        Arc::new(SortExec::new(order.clone(), plan).with_preserve_partitioning(many));
    Ok(if many { Arc::new(SortPreservingMergeExec::new(order, plan)) } else { plan })
}

/// A sorted batch cut where the day changes, without the day's column.
fn by_day(batch: &RecordBatch, daily: bool) -> Result<Vec<(Option<Day>, RecordBatch)>, EngineError> {
    if !daily {
        return Ok(vec![(None, batch.clone())]);
    }
    let days = batch
        .column(0)
        .as_any()
        .downcast_ref::<Int32Array>()
        .ok_or_else(|| EngineError::Other("the day is not a number".to_string()))?
        .clone();
    let mut rows = batch.clone();
    rows.remove_column(0);
    let mut cut = Vec::new();
    let mut from = 0;
    while from < days.len() {
        let day = days.value(from);
        let length = days.values()[from..].partition_point(|d| *d == day);
        cut.push((Some(Day(day)), rows.slice(from, length)));
        from += length;
    }
    Ok(cut)
}

/// How many rows of a sorted batch repeat the key of the row before them.
fn repeated_keys(
    batch: &RecordBatch,
    key: &[usize],
    day: Option<Day>,
    last: &mut Option<(Option<Day>, Vec<ArrayRef>)>,
) -> Result<u64, EngineError> {
    let rows = batch.num_rows();
    if key.is_empty() || rows == 0 {
        // Without a key every row of a day but the first repeats nothing; two rows do.
        let again = matches!(last, Some((d, _)) if *d == day) && rows > 0;
        *last = Some((day, Vec::new()));
        return Ok((rows as u64).saturating_sub(u64::from(!again)));
    }
    let columns: Vec<ArrayRef> = key.iter().map(|k| batch.column(*k).clone()).collect();
    let different = partition(&columns)?.len();
    let mut repeated = (rows - different) as u64;
    if let Some((d, before)) = last.as_ref().filter(|(d, _)| *d == day) {
        debug_assert_eq!(*d, day);
        let joined = before
            .iter()
            .zip(&columns)
            .map(|(a, b)| datafusion::arrow::compute::concat(&[a.as_ref(), b.slice(0, 1).as_ref()]))
            .collect::<Result<Vec<_>, _>>()?;
        repeated += u64::from(partition(&joined)?.len() == 1);
    }
    *last = Some((day, columns.iter().map(|c| c.slice(rows - 1, 1)).collect()));
    Ok(repeated)
}
