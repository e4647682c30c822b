//! The node between a query and its sort: reads `dt` into a number, takes out what `rx_drop`
//! names, and counts it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, Int32Array, RecordBatch, StringViewArray};
use datafusion::arrow::compute::{cast, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::StreamExt;

use crate::graph::Day;

/// Rows that `rx_drop` took out, by day and reason.
pub type Dropped = BTreeMap<(Option<Day>, String), u64>;

/// The name of the number that `dt` becomes; first column of what the node gives.
pub(super) const DAY: &str = "rx day";

/// What the node does with the query's columns, by position.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// The position of `dt`, for a daily table.
    pub(super) dt: Option<usize>,
    /// The position of `rx_drop`, if the query has it.
    pub(super) drop: Option<usize>,
    /// The positions that go on, in order.
    pub(super) columns: Vec<usize>,
    /// Keeps the rows that `rx_drop` names, with the reason as the last column.
    pub(super) keep_dropped: bool,
}

#[derive(Debug)]
pub(super) struct ShapeExec {
    input: Arc<dyn ExecutionPlan>,
    shape: Arc<Shape>,
    dropped: Arc<Mutex<Dropped>>,
    properties: Arc<PlanProperties>,
}

impl ShapeExec {
    pub(super) fn new(
        input: Arc<dyn ExecutionPlan>,
        shape: Arc<Shape>,
        dropped: Arc<Mutex<Dropped>>,
    ) -> Self {
        let from = input.schema();
        let mut fields: Vec<Arc<Field>> = Vec::new();
        if shape.dt.is_some() {
            fields.push(Arc::new(Field::new(DAY, DataType::Int32, false)));
        }
        fields.extend(shape.columns.iter().map(|i| from.fields()[*i].clone()));
        if let (Some(i), true) = (shape.drop, shape.keep_dropped) {
            fields.push(Arc::new(from.field(i).clone().with_nullable(true)));
        }
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            datafusion::physical_expr::Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { input, shape, dropped, properties: Arc::new(properties) }
    }

    fn with_input(&self, input: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self::new(input, self.shape.clone(), self.dropped.clone()))
    }
}

impl DisplayAs for ShapeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShapeExec")
    }
}

impl ExecutionPlan for ShapeExec {
    fn name(&self) -> &str {
        "ShapeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(match children.pop() {
            Some(input) => self.with_input(input),
            None => self,
        })
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(match children.pop() {
            Some(input) => self.with_input(input),
            None => self,
        })
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let to = schema.clone();
        let shape = self.shape.clone();
        let dropped = self.dropped.clone();
        let stream = self
            .input
            .execute(partition, context)?
            .map(move |batch| apply(&shape, &to, &batch?, &dropped))
            .filter(|batch| std::future::ready(!matches!(batch, Ok(batch) if batch.num_rows() == 0)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

fn text(array: &ArrayRef) -> Result<StringViewArray> {
    let views = cast(array, &DataType::Utf8View)?;
    views
        .as_any()
        .downcast_ref::<StringViewArray>()
        .cloned()
        .ok_or_else(|| DataFusionError::Internal("a cast to text gave no text".to_string()))
}

fn days(array: &ArrayRef) -> Result<Int32Array> {
    let mut last: (String, i32) = (String::new(), 0);
    text(array)?
        .iter()
        .map(|dt| match dt {
            Some(dt) if dt == last.0 => Ok(last.1),
            Some(dt) => {
                let day: Day =
                    dt.parse().map_err(|e| DataFusionError::Execution(format!("the result's dt: {e}")))?;
                last = (dt.to_string(), day.0);
                Ok(day.0)
            }
            None => Err(DataFusionError::Execution("the result's dt is NULL".to_string())),
        })
        .collect::<Result<Vec<_>>>()
        .map(Int32Array::from)
}

fn apply(
    shape: &Shape,
    to: &SchemaRef,
    batch: &RecordBatch,
    dropped: &Mutex<Dropped>,
) -> Result<RecordBatch> {
    let day = shape.dt.map(|i| days(batch.column(i))).transpose()?;
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(to.fields().len());
    if let Some(day) = &day {
        columns.push(Arc::new(day.clone()));
    }
    columns.extend(shape.columns.iter().map(|i| batch.column(*i).clone()));
    let mut keep = None;
    if let Some(i) = shape.drop {
        let reasons = batch.column(i);
        if shape.keep_dropped {
            columns.push(reasons.clone());
        } else if reasons.logical_null_count() < reasons.len() {
            let reasons = text(reasons)?;
            let mut counts: BTreeMap<(Option<Day>, &str), u64> = BTreeMap::new();
            for (row, reason) in reasons.iter().enumerate() {
                if let Some(reason) = reason {
                    *counts.entry((day.as_ref().map(|d| Day(d.value(row))), reason)).or_default() += 1;
                }
            }
            let mut dropped = dropped.lock().unwrap_or_else(PoisonError::into_inner);
            for ((day, reason), n) in counts {
                *dropped.entry((day, reason.to_string())).or_default() += n;
            }
            keep = Some(BooleanArray::from_iter(reasons.iter().map(|r| Some(r.is_none()))));
        }
    }
    let options = datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let shaped = RecordBatch::try_new_with_options(to.clone(), columns, &options)?;
    let Some(keep) = keep else { return Ok(shaped) };
    let kept = filter_record_batch(&shaped, &keep)?;
    // What stays must not hold the text of what went.
    Ok(if kept.num_rows() * 2 < shaped.num_rows() { compact(kept)? } else { kept })
}

/// Copies text that views refer to, so that a batch holds only its own.
fn compact(batch: RecordBatch) -> Result<RecordBatch> {
    let columns = batch
        .columns()
        .iter()
        .map(|c| match c.as_any().downcast_ref::<StringViewArray>() {
            Some(views) => Arc::new(views.gc()) as ArrayRef,
            None => c.clone(),
        })
        .collect();
    let options = datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns, &options)?)
}
