//! Watching a running query: counts what the scans give, stops it when asked, and hands the
//! thread back often enough that the driver can look at the flag and report.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::{Stream, StreamExt};

use super::error::Stop;

/// A flag that stops a query from another thread. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub struct CancellationFlag(Arc<AtomicBool>);

impl CancellationFlag {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag over an existing atomic.
    pub fn from_atomic(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }

    /// Raises the flag; the query ends with [`super::EngineError::Cancelled`] soon after.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the flag is raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How far a query has come: what its scans have given so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// Rows read from inputs (a table read twice counts twice).
    pub rows: u64,
    /// Bytes read from files, compressed.
    pub bytes: u64,
}

/// How long a stream may keep the thread.
const SLICE: Duration = Duration::from_millis(30);

/// What one query shares with its nodes.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) cancel: CancellationFlag,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Watch {
    pub(super) fn new(cancel: CancellationFlag) -> Arc<Self> {
        Arc::new(Self { cancel, ..Self::default() })
    }

    pub(super) fn read_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn progress(&self) -> Progress {
        Progress { rows: self.rows.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

/// Puts a watching node above every scan (counted) and every join (whose output can be much
/// more than its input).
pub(super) fn watch_plan(plan: Arc<dyn ExecutionPlan>, watch: &Arc<Watch>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let leaf = node.children().is_empty();
        Ok(if leaf || node.name().contains("Join") {
            Transformed::yes(Arc::new(WatchExec { input: node, watch: watch.clone(), counts: leaf })
                as Arc<dyn ExecutionPlan>)
        } else {
            Transformed::no(node)
        })
    })
    .data()
}

#[derive(Debug)]
struct WatchExec {
    input: Arc<dyn ExecutionPlan>,
    watch: Arc<Watch>,
    counts: bool,
}

impl DisplayAs for WatchExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatchExec")
    }
}

impl ExecutionPlan for WatchExec {
    fn name(&self) -> &str {
        "WatchExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
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
        let Some(input) = children.pop() else { return Ok(self) };
        Ok(Arc::new(Self { input, watch: self.watch.clone(), counts: self.counts }))
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else { return Ok(self) };
        Ok(Arc::new(Self { input, watch: self.watch.clone(), counts: self.counts }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Ok(Box::pin(WatchStream {
            inner: self.input.execute(partition, context)?,
            watch: self.watch.clone(),
            counts: self.counts,
            since: Instant::now(),
        }))
    }
}

struct WatchStream {
    inner: SendableRecordBatchStream,
    watch: Arc<Watch>,
    counts: bool,
    since: Instant,
}

impl Stream for WatchStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.watch.cancel.is_cancelled() {
            return Poll::Ready(Some(Err(Stop::Cancelled.into())));
        }
        if self.since.elapsed() > SLICE {
            self.since = Instant::now();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.inner.poll_next_unpin(cx);
        if let (true, Poll::Ready(Some(Ok(batch)))) = (self.counts, &polled) {
            self.watch.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        }
        polled
    }
}

impl RecordBatchStream for WatchStream {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}

/// Counts what one query holds of the pool that all queries share.
#[derive(Debug)]
pub(super) struct QueryPool {
    shared: Arc<dyn MemoryPool>,
    used: AtomicUsize,
    peak: AtomicUsize,
}

impl QueryPool {
    pub(super) fn new(shared: Arc<dyn MemoryPool>) -> Arc<Self> {
        Arc::new(Self { shared, used: AtomicUsize::new(0), peak: AtomicUsize::new(0) })
    }

    pub(super) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed) as u64
    }

    fn grew(&self, by: usize) {
        let now = self.used.fetch_add(by, Ordering::Relaxed) + by;
        self.peak.fetch_max(now, Ordering::Relaxed);
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.shared)
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shared.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shared.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.shared.grow(reservation, additional);
        self.grew(additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.shared.shrink(reservation, shrink);
        self.used.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.shared.try_grow(reservation, additional)?;
        self.grew(additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.shared.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.shared.memory_limit()
    }
}
