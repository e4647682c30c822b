//! What all queries share: one memory pool, one temporary folder, one set of functions and
//! optimizer rules. A query's own part is cheap.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result, TableReference, plan_err};
use datafusion::datasource::provider_as_source;
use datafusion::execution::TaskContext;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, TypePlanner};
use datafusion::logical_expr::{
    AggregateUDF, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF,
};
use datafusion::prelude::SessionConfig;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::EngineError;
use super::problem;
use super::table::InputTable;
use super::text::{BrandMatcher, IssueClassifier, TextTools};
use super::watch::QueryPool;
use crate::diagnostic::TextProblem;

/// How queries run.
#[derive(Clone)]
pub struct EngineOptions {
    /// Bytes that all running queries together may hold; sorts spill beyond.
    pub memory_limit: u64,
    /// Threads of one query.
    pub threads: usize,
    /// Rows a batch; 8192 is a good number.
    pub batch_size: usize,
    /// Where spilled data goes.
    pub temp_dir: PathBuf,
    /// Bytes that spilled data may take.
    pub temp_limit: u64,
    /// What `rx_brand` asks.
    pub brands: Arc<dyn BrandMatcher>,
    /// What `rx_issue_type` asks.
    pub taxonomy: Arc<dyn IssueClassifier>,
    /// What `rx_norm` and `rx_unescape` call.
    pub text: TextTools,
}

/// The embedded SQL engine. Shared by threads; a query blocks the thread that runs it.
pub struct Engine {
    pub(super) state: SessionState,
    runtime_env: Arc<RuntimeEnv>,
    /// Drives queries; `None` only while the engine is dropped.
    tokio: Option<tokio::runtime::Runtime>,
    /// Last, so that it goes after what lies in it.
    _temp: MadeFolder,
}

/// A folder that goes again if it was made here and is empty.
struct MadeFolder(Option<PathBuf>);

impl MadeFolder {
    fn new(path: &std::path::Path) -> std::io::Result<Self> {
        let there = path.is_dir();
        std::fs::create_dir_all(path)?;
        Ok(Self((!there).then(|| path.to_path_buf())))
    }
}

impl Drop for MadeFolder {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Not empty: somebody still spills; the next process looks after it.
            let _ = std::fs::remove_dir(path);
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Also in an asynchronous context, where waiting for the threads would panic.
        if let Some(tokio) = self.tokio.take() {
            tokio.shutdown_background();
        }
    }
}

impl Engine {
    /// An engine with its pool, functions and threads.
    ///
    /// # Errors
    /// The temporary folder cannot be made, or threads cannot be started.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        let temp = MadeFolder::new(&options.temp_dir).map_err(|e| EngineError::Data {
            path: options.temp_dir.clone(),
            message: format!("cannot make the folder for temporary files: {e}"),
        })?;
        let limit = usize::try_from(options.memory_limit).unwrap_or(usize::MAX);
        let top = std::num::NonZeroUsize::MIN.saturating_add(2);
        let pool = TrackConsumersPool::new(FairSpillPool::new(limit), top);
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![options.temp_dir.clone()]))
            .with_max_temp_directory_size(options.temp_limit);
        let runtime_env = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(disk)
            .build_arc()?;

        let threads = options.threads.max(1);
        let mut config = SessionConfig::new()
            .with_target_partitions(threads)
            .with_batch_size(options.batch_size.max(1))
            .with_collect_statistics(false)
            .with_information_schema(false)
            .with_create_default_catalog_and_schema(false);
        let settings = config.options_mut();
        settings.sql_parser.collect_spans = true;
        settings.execution.parquet.enable_page_index = false;
        settings.execution.parquet.bloom_filter_on_read = false;
        // A sort sets this aside for its merge; it must leave room for the rows.
        settings.execution.sort_spill_reservation_bytes =
            settings.execution.sort_spill_reservation_bytes.min(limit / 16 / threads);

        let mut state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime_env.clone())
            .with_default_features()
            .build();
        super::functions::register(&mut state, &options)?;
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("rxpulse-query")
            .enable_time()
            .build()
            .map_err(|e| EngineError::Other(format!("cannot start threads: {e}")))?;
        Ok(Self { state, runtime_env, tokio: Some(tokio), _temp: temp })
    }

    /// Runs a future of one query on this thread.
    ///
    /// Must not be called from within an asynchronous task (a `spawn_blocking` thread is fine).
    pub(super) fn block_on<T>(
        &self,
        future: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        match &self.tokio {
            Some(tokio) => tokio.block_on(future),
            None => Err(EngineError::Other("the engine is shut down".to_string())),
        }
    }

    /// The context of one query, with its own account of the shared pool.
    pub(super) fn task(&self, batch_size: Option<usize>) -> (Arc<TaskContext>, Arc<QueryPool>) {
        let pool = QueryPool::new(self.runtime_env.memory_pool.clone());
        let runtime = RuntimeEnv { memory_pool: pool.clone(), ..self.runtime_env.as_ref().clone() };
        let mut config = self.state.config().clone();
        if let Some(rows) = batch_size {
            config = config.with_batch_size(rows);
        }
        let context = TaskContext::default().with_session_config(config).with_runtime(Arc::new(runtime));
        (Arc::new(context), pool)
    }

    /// Parses and plans one SELECT over `tables`, with every problem as a span of `sql`.
    pub(super) fn plan(
        &self,
        sql: &str,
        tables: HashMap<String, Arc<InputTable>>,
    ) -> Result<LogicalPlan, Vec<TextProblem>> {
        let parsed = Parser::new(&GenericDialect {}).try_with_sql(sql).and_then(|mut p| p.parse_statements());
        let mut statements = parsed.map_err(|e| vec![problem::of_parser(sql, &e)])?;
        let statement = match (statements.pop(), statements.is_empty()) {
            (Some(query @ Statement::Query(_)), true) => query,
            (None, _) => return Err(vec![TextProblem::error("there is no SQL here", None)]),
            (_, false) => {
                return Err(vec![TextProblem::error("only one statement is allowed", None)]);
            }
            (Some(_), true) => {
                return Err(vec![
                    TextProblem::error("only a SELECT is allowed", None)
                        .help("tables are read here, never changed"),
                ]);
            }
        };
        let provider = Names { state: &self.state, tables };
        let options = ParserOptions {
            collect_spans: true,
            map_string_types_to_utf8view: true,
            ..ParserOptions::default()
        };
        SqlToRel::new_with_options(&provider, options)
            .sql_statement_to_plan(statement)
            .map_err(|e| problem::of_plan(sql, &e, &provider))
    }
}

/// What names mean in a query: its own tables, and the shared functions.
pub(super) struct Names<'a> {
    pub(super) state: &'a SessionState,
    pub(super) tables: HashMap<String, Arc<InputTable>>,
}

impl ContextProvider for Names<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        match (name.schema(), self.tables.get(name.table())) {
            (None, Some(table)) => Ok(provider_as_source(table.clone())),
            _ => plan_err!("table '{name}' not found"),
        }
    }

    fn create_cte_work_table(
        &self,
        name: &str,
        schema: datafusion::arrow::datatypes::SchemaRef,
    ) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(datafusion::datasource::cte_worktable::CteWorkTable::new(
            name, schema,
        ))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        None
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}
