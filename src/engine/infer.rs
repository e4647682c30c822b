//! Checks an asset's SQL against the schemas of its dependencies, before anything runs:
//! the result's columns, whether days may be made together, and what is wrong, with spans.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, Result};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Volatility, WindowFunctionDefinition};

use super::canonical::{DT, RX_DROP, canonical_type, is_text};
use super::grouping::{Grouping, prove};
use super::problem::{self, first_range, word};
use super::session::{Engine, Names};
use super::table::InputTable;
use crate::diagnostic::{Severity, SourceText, TextProblem, did_you_mean};
use crate::graph::AssetKey;

/// What is known of a dependency before anything runs.
#[derive(Clone, Debug)]
pub struct DepSchema {
    /// The table's name in SQL.
    pub name: AssetKey,
    /// Its columns as stored, without `dt`.
    pub schema: SchemaRef,
    /// Whether it has days.
    pub daily: bool,
    /// How many days before the output day are read of it, besides the day itself.
    pub days_before: u32,
}

/// What an asset's SQL makes.
#[derive(Clone, Debug)]
pub struct Inferred {
    /// The columns in the order of the SELECT, in their stored types, without `dt` (of a daily
    /// table) and `rx_drop`. All may be NULL.
    pub schema: SchemaRef,
    /// Whether several days may be made by one query.
    pub grouping: Grouping,
    /// What is legal and probably not meant.
    pub warnings: Vec<TextProblem>,
}

impl Engine {
    /// Checks `sql` and says what it makes.
    ///
    /// # Errors
    /// Everything that keeps the SQL from making a table, as spans of its text.
    pub fn infer(
        &self,
        sql: &SourceText,
        deps: &[DepSchema],
        out_daily: bool,
        row_key: &[String],
    ) -> Result<Inferred, Vec<TextProblem>> {
        let text = sql.text.as_str();
        let tables: HashMap<String, Arc<InputTable>> = deps
            .iter()
            .map(|d| {
                let name = d.name.to_string();
                (name.clone(), Arc::new(InputTable::empty(&name, &d.schema, d.daily)))
            })
            .collect();
        let plan = self.plan(text, tables.clone())?;
        let mut problems = Vec::new();
        self.look(text, &plan, &mut problems);
        let optimized = self.state.optimize(&plan).map_err(|e| {
            // What was found by looking often says better what the type checker stumbled on.
            let names = Names { state: &self.state, tables };
            problems.iter().cloned().chain(problem::of_plan(text, &e, &names)).collect::<Vec<_>>()
        })?;
        let schema =
            result_schema(text, plan.schema(), optimized.schema(), out_daily, row_key, &mut problems);
        let (warnings, errors): (Vec<_>, Vec<_>) =
            problems.into_iter().partition(|p| p.severity == Severity::Warning);
        if !errors.is_empty() {
            return Err(errors);
        }
        let daily: BTreeMap<String, u32> =
            deps.iter().filter(|d| d.daily).map(|d| (d.name.to_string(), d.days_before)).collect();
        let grouping = if out_daily {
            prove(&optimized, &daily)
        } else {
            Grouping::OneDay { why: "the table has no days".to_string() }
        };
        Ok(Inferred { schema: Arc::new(Schema::new(schema)), grouping, warnings })
    }

    /// Whether a query over one table can run: a check written in SQL, before anything does.
    ///
    /// # Errors
    /// Every problem, as a span of `sql`.
    pub fn try_query(&self, sql: &str, table: &AssetKey, schema: &Schema) -> Result<(), Vec<TextProblem>> {
        let tables: HashMap<String, Arc<InputTable>> =
            HashMap::from([(table.to_string(), Arc::new(InputTable::empty(table.as_str(), schema, false)))]);
        let plan = self.plan(sql, tables.clone())?;
        let names = Names { state: &self.state, tables };
        self.state.optimize(&plan).map_err(|e| problem::of_plan(sql, &e, &names)).map(|_| ())
    }

    /// Functions whose value is not given by the rows.
    fn look(&self, sql: &str, plan: &LogicalPlan, problems: &mut Vec<TextProblem>) {
        let mut said = HashSet::new();
        let visited = plan.apply_with_subqueries(|node| {
            let schemas: Vec<DFSchemaRef> = node.inputs().iter().map(|i| i.schema().clone()).collect();
            for expr in node.expressions() {
                expr.apply(|e| {
                    if let Some(problem) = judge(sql, e, &schemas)
                        && said.insert((problem.message.clone(), problem.span.clone()))
                    {
                        problems.push(problem);
                    }
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
            Ok(TreeNodeRecursion::Continue)
        });
        debug_assert!(visited.is_ok());
    }
}

const FLOAT_SUMS: [&str; 12] = [
    "sum",
    "avg",
    "mean",
    "stddev",
    "stddev_samp",
    "stddev_pop",
    "var",
    "var_samp",
    "var_pop",
    "corr",
    "covar_samp",
    "covar_pop",
];
const ORDERED: [&str; 5] = ["array_agg", "string_agg", "first_value", "last_value", "nth_value"];

fn judge(sql: &str, expr: &Expr, schemas: &[DFSchemaRef]) -> Option<TextProblem> {
    match expr {
        Expr::ScalarFunction(f) if f.func.signature().volatility != Volatility::Immutable => {
            let name = f.name();
            Some(
                TextProblem::error(format!("{name}() gives another value each time"), word(sql, name)).help(
                    "a table is made from its inputs only, so that the same inputs give the same bytes",
                ),
            )
        }
        Expr::AggregateFunction(f) => {
            let name = f.func.name();
            if ORDERED.contains(&name) && f.params.order_by.is_empty() {
                return Some(order_needed(sql, name));
            }
            float_sum(sql, name, &f.params.args, schemas)
        }
        Expr::WindowFunction(w) => match &w.fun {
            WindowFunctionDefinition::AggregateUDF(f) => float_sum(sql, f.name(), &w.params.args, schemas),
            WindowFunctionDefinition::WindowUDF(_) => None,
        },
        _ => None,
    }
}

fn order_needed(sql: &str, name: &str) -> TextProblem {
    TextProblem::error(format!("{name} without ORDER BY depends on the order of rows"), word(sql, name))
        .help(format!("write {name}(… ORDER BY …) with columns that tell all rows apart"))
}

fn float_sum(sql: &str, name: &str, args: &[Expr], schemas: &[DFSchemaRef]) -> Option<TextProblem> {
    if !FLOAT_SUMS.contains(&name) {
        return None;
    }
    let arg = args.first()?;
    let float = schemas.iter().any(|schema| {
        matches!(arg.get_type(schema.as_ref()), Ok(DataType::Float64 | DataType::Float32 | DataType::Float16))
    });
    let mut span = None;
    let looked = arg.apply(|e| {
        if span.is_none() {
            span = first_range(sql, e.spans());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    (float && looked.is_ok()).then(|| {
        TextProblem::warning(
            format!("{name} over floating-point numbers depends on the order of rows"),
            span.or_else(|| word(sql, name)),
        )
        .help("sum integers and divide at the end")
    })
}

/// The stored columns of a result. `planned` has the names that people wrote; `typed` has the
/// types after coercion.
fn result_schema(
    sql: &str,
    planned: &DFSchemaRef,
    typed: &DFSchemaRef,
    out_daily: bool,
    row_key: &[String],
    problems: &mut Vec<TextProblem>,
) -> Vec<Arc<Field>> {
    let mut fields = Vec::new();
    let mut seen = HashSet::new();
    let mut has_dt = false;
    for (field, typed) in planned.fields().iter().zip(typed.fields()) {
        let name = field.name().as_str();
        if !seen.insert(name) {
            problems.push(
                TextProblem::error(format!("the result has two columns `{name}`"), word(sql, name))
                    .help("rename one with AS"),
            );
            continue;
        }
        if name == DT && out_daily {
            has_dt = true;
            if !is_text(typed.data_type()) {
                problems.push(
                    TextProblem::error(
                        format!("`dt` is the partition's day as varchar, not {}", typed.data_type()),
                        word(sql, DT),
                    )
                    .help("carry the dt of an input through"),
                );
            }
            continue;
        }
        if name == RX_DROP {
            if !is_text(typed.data_type()) && typed.data_type() != &DataType::Null {
                problems.push(
                    TextProblem::error(
                        format!("`rx_drop` is the reason as varchar, not {}", typed.data_type()),
                        word(sql, RX_DROP),
                    )
                    .help("NULL keeps the row: CASE WHEN … THEN 'reason' END AS rx_drop"),
                );
            }
            continue;
        }
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if !plain {
            problems.push(
                TextProblem::error(
                    format!("a column of the result is called `{name}`"),
                    name.split('(').next().and_then(|f| word(sql, f)),
                )
                .help("name it with AS, in letters, digits and _"),
            );
            continue;
        }
        match canonical_type(typed.data_type()) {
            Ok(stored) => fields.push(Arc::new(Field::new(name, stored, true))),
            Err(advice) => problems.push(
                TextProblem::error(
                    format!("the column `{name}` has the type {}, which is not stored", typed.data_type()),
                    word(sql, name),
                )
                .help(advice),
            ),
        }
    }
    if out_daily && !has_dt {
        problems.push(
            TextProblem::error("the result has no column `dt`", None)
                .help("SELECT the dt of an input: it says which day a row belongs to"),
        );
    }
    for key in row_key {
        if !(seen.contains(key.as_str()) && key != RX_DROP) {
            let problem = TextProblem::error(format!("the key's column `{key}` is not in the result"), None);
            problems.push(
                match did_you_mean(key, seen.iter().copied().collect::<std::collections::BTreeSet<_>>()) {
                    Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                    None => problem,
                },
            );
        }
    }
    fields
}
