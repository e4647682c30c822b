//! The bronze table: zstd NDJSON objects of envelopes, decoded as a stream.
//!
//! Only the asked columns are built. Reading and decompressing block the thread that drives
//! the query.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, project_schema};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};

use super::bronze_line::{Columns, FIELDS, Kind};
use super::error::Stop;
use super::table::InputFile;
use super::watch::Watch;

/// The columns of bronze as stored, without `dt`, in the order of the envelope.
pub fn bronze_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let fields: Vec<Field> = FIELDS
            .iter()
            .map(|(name, kind)| {
                let data_type = match kind {
                    Kind::Text | Kind::OptText | Kind::PostType => DataType::Utf8,
                    Kind::Time | Kind::OptTime => DataType::Timestamp(TimeUnit::Millisecond, None),
                    Kind::OptInt | Kind::Seq => DataType::Int64,
                    Kind::OptFloat => DataType::Float64,
                    Kind::Bool => DataType::Boolean,
                };
                Field::new(*name, data_type, true)
            })
            .collect();
        Arc::new(Schema::new(fields))
    });
    SCHEMA.clone()
}

/// Rows are cut into batches at this many bytes of envelopes, however few rows that is.
const BATCH_BYTES: usize = 8 << 20;
/// How much is decompressed at once; small enough to stay in the processor's cache.
const BUFFER: usize = 256 << 10;

/// Scans groups of objects, one partition each.
#[derive(Debug)]
pub(super) struct BronzeExec {
    schema: SchemaRef,
    /// Positions in the table: fields of the envelope, then `dt`.
    columns: Arc<[usize]>,
    groups: Vec<Arc<[InputFile]>>,
    watch: Arc<Watch>,
    properties: Arc<PlanProperties>,
}

impl BronzeExec {
    pub(super) fn new(
        table: SchemaRef,
        projection: Option<&Vec<usize>>,
        groups: Vec<Vec<InputFile>>,
        watch: Arc<Watch>,
    ) -> Result<Self> {
        let schema = project_schema(&table, projection)?;
        let columns: Arc<[usize]> = match projection {
            Some(columns) => columns.as_slice().into(),
            None => (0..table.fields().len()).collect(),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            schema,
            columns,
            groups: groups.into_iter().map(Into::into).collect(),
            watch,
            properties: Arc::new(properties),
        })
    }
}

impl DisplayAs for BronzeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BronzeExec: objects={}", self.groups.iter().map(|g| g.len()).sum::<usize>())
    }
}

impl ExecutionPlan for BronzeExec {
    fn name(&self) -> &str {
        "BronzeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let scan = Scan {
            files: self.groups[partition].iter().cloned().collect(),
            open: None,
            columns: Columns::new(&self.columns),
            schema: self.schema.clone(),
            batch_size: context.session_config().batch_size(),
            watch: self.watch.clone(),
            failed: false,
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), futures::stream::iter(scan))))
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let rows = |group: &Arc<[InputFile]>| group.iter().map(|f| f.rows).sum::<u64>();
        let rows = match args.partition() {
            Some(i) => self.groups.get(i).map_or(0, rows),
            None => self.groups.iter().map(rows).sum(),
        };
        Ok(Arc::new(Statistics {
            num_rows: Precision::Inexact(rows as usize),
            total_byte_size: Precision::Absent,
            column_statistics: Statistics::unknown_column(&self.schema),
        }))
    }
}

/// One partition's objects, read one after the other.
struct Scan {
    files: VecDeque<InputFile>,
    open: Option<Object>,
    columns: Columns,
    schema: SchemaRef,
    batch_size: usize,
    watch: Arc<Watch>,
    failed: bool,
}

impl Scan {
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut budget = BATCH_BYTES;
        while self.columns.rows() < self.batch_size && budget > 0 {
            let Some(object) = &mut self.open else {
                match self.files.pop_front() {
                    Some(file) => self.open = Some(Object::open(file, &self.watch)?),
                    None => break,
                }
                continue;
            };
            if !object.read(&mut self.columns, self.batch_size, &mut budget)? {
                self.open = None;
            }
        }
        if self.columns.rows() == 0 {
            return Ok(None);
        }
        Ok(Some(self.columns.finish(&self.schema)?))
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = self.batch();
        self.failed = batch.is_err();
        batch.transpose()
    }
}

struct Counted {
    file: File,
    watch: Arc<Watch>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.watch.read_bytes(n as u64);
        Ok(n)
    }
}

/// An object being read.
struct Object {
    path: PathBuf,
    day: String,
    decoder: zstd::stream::read::Decoder<'static, BufReader<Counted>>,
    buffer: Vec<u8>,
    /// The bytes of `buffer` that are not consumed: `start..end`.
    start: usize,
    end: usize,
    ended: bool,
    line: u64,
}

impl Object {
    fn open(file: InputFile, watch: &Arc<Watch>) -> Result<Self, Stop> {
        let opened = File::open(&file.path).map_err(|e| Stop::data(&file.path, e))?;
        let counted = Counted { file: opened, watch: watch.clone() };
        let decoder = zstd::stream::read::Decoder::new(counted).map_err(|e| Stop::data(&file.path, e))?;
        Ok(Self {
            path: file.path,
            day: file.day.map(|d| d.to_string()).unwrap_or_default(),
            decoder,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            ended: false,
            line: 0,
        })
    }

    /// Reads lines until the batch is full (true) or the object is at its end (false).
    fn read(&mut self, columns: &mut Columns, rows: usize, budget: &mut usize) -> Result<bool, Stop> {
        let mut seen = self.start;
        loop {
            while let Some(length) = memchr::memchr(b'\n', &self.buffer[seen..self.end]) {
                let line = self.start..seen + length;
                self.start = line.end + 1;
                seen = self.start;
                self.take(columns, line, budget)?;
                if columns.rows() >= rows || *budget == 0 {
                    return Ok(true);
                }
            }
            seen = self.end;
            if self.ended {
                let line = self.start..self.end;
                self.start = self.end;
                self.take(columns, line, budget)?;
                return Ok(false);
            }
            // Moves the unfinished line to the front; a line longer than the buffer grows it.
            self.buffer.copy_within(self.start..self.end, 0);
            seen -= self.start;
            self.end -= self.start;
            self.start = 0;
            if self.end == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            let n = self
                .decoder
                .read(&mut self.buffer[self.end..])
                .map_err(|e| Stop::data(&self.path, format!("damaged object: {e}")))?;
            self.end += n;
            self.ended = n == 0;
        }
    }

    fn take(
        &mut self,
        columns: &mut Columns,
        line: std::ops::Range<usize>,
        budget: &mut usize,
    ) -> Result<(), Stop> {
        self.line += 1;
        let line = &self.buffer[line];
        if line.is_empty() {
            return Ok(());
        }
        *budget = budget.saturating_sub(line.len());
        columns
            .push(line, &self.day)
            .map_err(|e| Stop::data(&self.path, format!("damaged object, line {}: {e}", self.line)))
    }
}
