//! Which functions mean the same on every engine, and what to write instead of the others.
//!
//! Invariant: what is in neither list is not known to be the same, and is said so. May not block.

use datafusion::sql::sqlparser::ast::{Expr, Function, FunctionArgumentClause, FunctionArguments, Value};

use super::portable::warning;
use super::source::Source;
use super::walk::{Place, arguments};
use crate::diagnostic::TextProblem;

/// Functions that mean the same on every engine. Sorted.
const SAME: &[&str] = &[
    "abs",
    "avg",
    "bool_and",
    "bool_or",
    "ceil",
    "ceiling",
    "char_length",
    "character_length",
    "coalesce",
    "concat_ws",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "cume_dist",
    "date_trunc",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "from_unixtime",
    "grouping",
    "lag",
    "last_value",
    "lead",
    "length",
    "ln",
    "lower",
    "lpad",
    "ltrim",
    "max",
    "min",
    "mod",
    "nth_value",
    "ntile",
    "nullif",
    "percent_rank",
    "position",
    "power",
    "rank",
    "regexp_like",
    "replace",
    "reverse",
    "round",
    "row_number",
    "rpad",
    "rtrim",
    "split_part",
    "sqrt",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "substr",
    "substring",
    "sum",
    "trim",
    "upper",
    "var_pop",
    "var_samp",
];

/// Functions that do not, and what to write instead. Sorted.
const DIFFERENT: &[(&str, &str)] = &[
    ("approx_count_distinct", "write count(DISTINCT …)"),
    ("approx_distinct", "write count(DISTINCT …)"),
    ("array_agg", "keep one row a value; the order and the NULLs of lists differ"),
    ("array_element", "lists count from 0 on Spark; keep one row a value"),
    ("concat", "write a || b, or concat_ws(' ', a, b): NULLs count differently in concat"),
    ("date_add", "write d + interval '1' day, or rx_add_days(dt, n)"),
    ("date_diff", "write rx_days_between(dt1, dt2)"),
    ("date_format", "write cast(x as date), or use the text `dt`"),
    ("date_part", "write extract(year from x)"),
    ("datediff", "write rx_days_between(dt1, dt2)"),
    ("element_at", "lists count from 0 on Spark; keep one row a value"),
    ("explode", "keep one row a value in a table of its own"),
    ("flatten", "keep one row a value in a table of its own"),
    ("greatest", "write CASE WHEN a > b THEN a ELSE b END: NULLs count differently in greatest"),
    ("group_concat", "keep one row a value, or take min(…) or max(…)"),
    ("least", "write CASE WHEN a < b THEN a ELSE b END: NULLs count differently in least"),
    ("listagg", "keep one row a value, or take min(…) or max(…)"),
    ("md5", "write rx_hash(…)"),
    ("regexp_extract", "write regexp_like(s, p) with split_part or substr"),
    ("regexp_match", "write regexp_like(s, p)"),
    (
        "regexp_replace",
        "write rx_regex_replace_all(text, pattern, replacement): some engines replace only the first match",
    ),
    ("sha256", "write rx_hash(…)"),
    ("string_agg", "keep one row a value, or take min(…) or max(…)"),
    ("strpos", "write position('x' in s)"),
    ("to_char", "write cast(x as date), or use the text `dt`"),
    ("to_date", "write rx_date(dt)"),
    ("to_timestamp", "write cast(x as timestamp), or a timestamp literal"),
    ("to_unixtime", "write rx_epoch_ms(x)"),
    ("unix_timestamp", "write rx_epoch_ms(x)"),
    ("unnest", "keep one row a value in a table of its own"),
];

/// A call of any function but ours.
pub(super) fn function(
    source: &Source<'_>,
    name: &str,
    span: Place,
    function: &Function,
    out: &mut Vec<TextProblem>,
) {
    let lower = name.to_ascii_lowercase();
    let args = arguments(function);
    if let Ok(at) = DIFFERENT.binary_search_by(|(f, _)| (*f).cmp(&lower)) {
        out.push(warning(format!("`{lower}` differs between engines"), span.clone(), DIFFERENT[at].1));
    } else if lower.contains("json") || lower.starts_with("get_json") {
        out.push(warning(
            "JSON functions differ",
            span.clone(),
            "take the field out when the post is mapped, as a column of its own",
        ));
    } else if SAME.binary_search(&lower.as_str()).is_err() {
        out.push(warning(
            format!("`{lower}` is not among the functions known to mean the same everywhere"),
            span.clone(),
            "write it with CASE, coalesce, substr, split_part, position, date_trunc … or an rx_ function",
        ));
    }
    if lower == "regexp_like" && args.len() > 2 {
        out.push(warning(
            "flags of regexp_like differ between engines",
            args.get(2).and_then(|a| source.of(*a)),
            "write the flag into the pattern: '(?i)…'",
        ));
    }
    if lower.starts_with("regexp_") {
        pattern(source, args.get(1).copied(), out);
    }
    if let FunctionArguments::List(list) = &function.args
        && list.clauses.iter().any(|c| matches!(c, FunctionArgumentClause::OrderBy(_)))
        && DIFFERENT.binary_search_by(|(f, _)| (*f).cmp(&lower)).is_err()
    {
        out.push(warning(
            "ORDER BY inside the parentheses of an aggregate is not known on Spark",
            span,
            "number the rows in a subquery and keep number 1",
        ));
    }
}

/// A `$` in a pattern that is not its end: with a backslash before it, Spark takes it as one.
pub(super) fn pattern(source: &Source<'_>, pattern: Option<&Expr>, out: &mut Vec<TextProblem>) {
    let Some(Expr::Value(value)) = pattern else { return };
    let Value::SingleQuotedString(text) = &value.value else { return };
    let mut in_class = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => {
                rest.next();
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '$' if !in_class && !matches!(rest.peek(), None | Some('|' | ')')) => {
                out.push(warning(
                    "a `$` inside a pattern is the end of the text, also where a dollar sign was meant",
                    source.bytes(value.span),
                    "write [$] for the sign",
                ));
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_apart() {
        assert!(SAME.is_sorted());
        assert!(DIFFERENT.is_sorted_by_key(|(name, _)| name));
        assert!(DIFFERENT.iter().all(|(name, _)| SAME.binary_search(name).is_err()));
    }
}
