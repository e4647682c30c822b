//! What would let the same inputs give another answer, and wrong uses of `rx_…` functions.
//!
//! Invariant: whatever passes here is a function of the tables it reads, as far as text can
//! tell; whether an order is total needs keys, and is the engine's question. May not block.

use std::ops::Range;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Function, FunctionArgumentClause, FunctionArguments, LimitClause, PipeOperator,
    Query as Tree, SetExpr, TableFactor, TableSampleKind, WindowFrameUnits, WindowType,
};

use super::functions::{rx_function, rx_functions};
use super::parse::RxCall;
use super::source::Source;
use super::walk::Place;
use crate::diagnostic::{TextProblem, did_you_mean};

/// Functions that answer by the clock, by chance, or by who asks.
const VOLATILE: &[&str] = &[
    "clock_timestamp",
    "current_catalog",
    "current_database",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "curdate",
    "curtime",
    "gen_random_uuid",
    "getdate",
    "input_file_name",
    "localtime",
    "localtimestamp",
    "monotonically_increasing_id",
    "now",
    "pg_backend_pid",
    "rand",
    "randn",
    "random",
    "session_user",
    "setseed",
    "shuffle",
    "spark_partition_id",
    "statement_timestamp",
    "sysdate",
    "system_user",
    "timeofday",
    "today",
    "transaction_timestamp",
    "user",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "uuid",
    "uuidv4",
    "uuidv7",
    "version",
];

/// Window functions whose answer is the place of a row in its window.
const PLACE_OF_ROW: &[&str] = &[
    "cume_dist",
    "dense_rank",
    "first_value",
    "lag",
    "last_value",
    "lead",
    "nth_value",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
];

/// Aggregates whose answer depends on the order in which rows come.
const ORDERED_AGGREGATES: &[&str] = &[
    "array_agg",
    "collect_list",
    "first",
    "first_value",
    "group_concat",
    "last",
    "last_value",
    "listagg",
    "nth_value",
    "string_agg",
];

/// Table functions whose rows follow from their arguments.
const TABLE_FUNCTIONS: &[&str] = &["generate_series", "range", "unnest"];

/// A call, seen with its window.
pub(super) struct Call<'a> {
    pub name: &'a str,
    pub span: Place,
    pub function: &'a Function,
    /// `None` without OVER; else whether the window has an ORDER BY.
    pub ordered: Option<bool>,
}

/// Any call but those of `rx_…` functions.
pub(super) fn function(call: &Call<'_>, out: &mut Vec<TextProblem>) {
    let name = call.name.to_ascii_lowercase();
    let name = name.as_str();
    let error = |message: String| TextProblem::error(message, call.span.clone());
    // Spark's unix_timestamp() is the clock, unix_timestamp(x) is not.
    let clock = name == "unix_timestamp" && no_arguments(call.function);
    if clock || VOLATILE.contains(&name) {
        let help = if name.contains("user") || name.contains("role") || name == "version" {
            "the rows of a table may not depend on who makes them or with what"
        } else if name.contains("rand") || name.contains("uuid") || name == "shuffle" {
            "use rx_hash(…) over the columns that identify the row"
        } else {
            "use the row's own day `dt`, or a timestamp of the post"
        };
        out.push(
            error(format!("`{name}` answers differently every time")).label("not repeatable").help(help),
        );
        return;
    }
    if matches!(name, "any_value" | "arbitrary") {
        out.push(error(format!("`{name}` may answer with any of the rows")).help("use min(…) or max(…)"));
    }
    if name.starts_with("approx_") && !matches!(name, "approx_distinct" | "approx_count_distinct") {
        out.push(
            error(format!("the answer of `{name}` depends on the order in which rows come"))
                .help("use median(…) or percentile_cont(…), which are exact"),
        );
    }
    match call.ordered {
        Some(false) => {
            if PLACE_OF_ROW.contains(&name) || ORDERED_AGGREGATES.contains(&name) {
                out.push(
                    error(format!("`{name}` needs an ORDER BY in its window")).label("in which order?").help(
                        "order by columns that no two rows share, for example … ORDER BY score DESC, post_id",
                    ),
                );
            } else if counts_rows(call.function) {
                out.push(
                    error(format!("the frame of `{name}` counts rows, but its window has no ORDER BY"))
                        .help("order by columns that no two rows share"),
                );
            }
        }
        Some(true) => {}
        None => {
            if ORDERED_AGGREGATES.contains(&name) && !ordered_inside(call.function) {
                out.push(
                    error(format!("`{name}` needs an ORDER BY inside its parentheses"))
                        .label("in which order?")
                        .help(format!("write {name}(… ORDER BY …), by columns that no two rows share")),
                );
            }
        }
    }
}

fn no_arguments(function: &Function) -> bool {
    match &function.args {
        FunctionArguments::None => true,
        FunctionArguments::Subquery(_) => false,
        FunctionArguments::List(list) => list.args.is_empty(),
    }
}

fn ordered_inside(function: &Function) -> bool {
    let clause = match &function.args {
        FunctionArguments::List(list) => {
            list.clauses.iter().any(|c| matches!(c, FunctionArgumentClause::OrderBy(_)))
        }
        _ => false,
    };
    clause || !function.within_group.is_empty()
}

fn counts_rows(function: &Function) -> bool {
    let Some(WindowType::WindowSpec(spec)) = &function.over else { return false };
    spec.window_frame
        .as_ref()
        .is_some_and(|f| matches!(f.units, WindowFrameUnits::Rows | WindowFrameUnits::Groups))
}

/// A call of an `rx_…` function.
pub(super) fn rx_call(call: &RxCall, function: &Function, out: &mut Vec<TextProblem>) {
    let place = || Some(call.span.clone());
    let Some(known) = rx_function(&call.name) else {
        let names = rx_functions().iter().map(|f| f.name);
        let help = match did_you_mean(&call.name, names) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => {
                let names: Vec<_> = rx_functions().iter().map(|f| f.name).collect();
                format!("there are {}", names.join(", "))
            }
        };
        out.push(TextProblem::error(format!("there is no function `{}`", call.name), place()).help(help));
        return;
    };
    if !known.args.contains(&call.args) {
        let (least, most) = (*known.args.start(), *known.args.end());
        let wanted = match (least, most) {
            (1, 1) => "1 argument".to_string(),
            (a, b) if a == b => format!("{a} arguments"),
            (a, b) => format!("{a} to {b} arguments"),
        };
        let given = if call.args == 0 { "none".to_string() } else { call.args.to_string() };
        out.push(
            TextProblem::error(format!("`{}` takes {wanted}, {given} given", known.name), place())
                .help(known.doc),
        );
    }
    if function.over.is_some() || function.filter.is_some() {
        out.push(
            TextProblem::error(
                format!("`{}` answers for one row; it takes no OVER and no FILTER", known.name),
                place(),
            )
            .help(known.doc),
        );
    }
}

/// Rows that are cut off without an order.
pub(super) fn query(source: &Source<'_>, query: &Tree, out: &mut Vec<TextProblem>) {
    const HELP: &str = "order by columns that no two rows share, for example … ORDER BY score DESC, post_id";
    let no_order = |what: &str, place: Place| {
        TextProblem::error(format!("{what} without ORDER BY takes any rows"), place)
            .label("which rows?")
            .help(HELP)
    };
    let cut: Option<(&str, Place)> = match (&query.limit_clause, &query.fetch) {
        (Some(LimitClause::LimitOffset { limit: Some(limit), .. }), _) => Some(("LIMIT", source.of(limit))),
        (Some(LimitClause::LimitOffset { offset: Some(offset), .. }), _) => {
            Some(("OFFSET", source.of(&offset.value)))
        }
        (Some(LimitClause::OffsetCommaLimit { limit, .. }), _) => Some(("LIMIT", source.of(limit))),
        (_, Some(fetch)) => Some(("FETCH", fetch.quantity.as_ref().and_then(|q| source.of(q)))),
        _ => None,
    };
    if query.order_by.is_none() {
        if let Some((what, place)) = cut {
            out.push(no_order(what, place));
        }
        if let SetExpr::Select(select) = &*query.body {
            if let Some(Distinct::On(by)) = &select.distinct {
                out.push(no_order("DISTINCT ON", by.first().and_then(|e| source.of(e))));
            }
            if select.top.is_some() {
                out.push(no_order("TOP", source.bytes(select.select_token.0.span)));
            }
        }
    }
    let mut ordered = query.order_by.is_some();
    for operator in &query.pipe_operators {
        match operator {
            PipeOperator::OrderBy { .. } => ordered = true,
            PipeOperator::Limit { expr, .. } if !ordered => out.push(no_order("LIMIT", source.of(expr))),
            PipeOperator::TableSample { .. } => out.push(sampled(None)),
            PipeOperator::Where { .. } | PipeOperator::Limit { .. } => {}
            _ => ordered = false,
        }
    }
}

fn sampled(place: Place) -> TextProblem {
    TextProblem::error("a sample takes other rows every time", place)
        .help("choose rows by their content, for example WHERE rx_hash(post_id) < '1'")
}

/// Samples, and tables as they were at another time.
pub(super) fn table(source: &Source<'_>, factor: &TableFactor, out: &mut Vec<TextProblem>) {
    match factor {
        TableFactor::Table { name, sample, version, .. } => {
            if let Some(TableSampleKind::BeforeTableAlias(_) | TableSampleKind::AfterTableAlias(_)) = sample {
                out.push(sampled(source.of(name)));
            }
            if version.is_some() {
                out.push(
                    TextProblem::error("a table cannot be read as of another time", source.of(name))
                        .help("declare the days that are read: deps = { name = { days_before = 7 } }"),
                );
            }
        }
        TableFactor::Derived { sample: Some(_), subquery, .. } => {
            out.push(sampled(source.of(&*subquery.body)));
        }
        TableFactor::TableFunction { expr, .. } if !calls_table_function(expr) => {
            table_function("TABLE(…)", source.of(expr), out);
        }
        _ => {}
    }
}

fn calls_table_function(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(f) if is_table_function(&f.name.to_string().to_lowercase()))
}

fn is_table_function(name: &str) -> bool {
    TABLE_FUNCTIONS.contains(&name)
}

/// A function in FROM: it may not be a way around the declared dependencies.
pub(super) fn table_function(name: &str, span: Option<Range<usize>>, out: &mut Vec<TextProblem>) {
    if !is_table_function(name) {
        out.push(
            TextProblem::error(format!("`{name}` is not allowed in FROM"), span)
                .help("a query reads the assets in its `deps`; generate_series(…) and range(…) make rows"),
        );
    }
}

/// A value that nobody gives.
pub(super) fn placeholder(text: &str, span: Range<usize>) -> TextProblem {
    TextProblem::error(format!("nothing gives `{text}` a value"), span).help("write the value itself")
}
