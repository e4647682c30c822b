//! What does not mean the same on every engine (DataFusion, Spark, Athena), and what to write
//! instead.
//!
//! Invariant: a construct passes only if it was seen to give the same rows everywhere;
//! functions pass by a list. Quoted names pass: our Spark sessions read them as names.
//! All problems are warnings. May not block.

use std::ops::Range;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, DateTimeField, Distinct, Expr, GroupByExpr, JoinOperator,
    LimitClause, OrderByExpr, OrderByKind, Query as Tree, Select, SelectFlavor, SetExpr, TableFactor,
    TableWithJoins, Value, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Whitespace};

use super::source::Source;
use super::walk::{Place, arguments};
use crate::diagnostic::TextProblem;

pub(super) fn warning(what: impl Into<String>, span: Place, instead: impl Into<String>) -> TextProblem {
    TextProblem::warning(what, span).label("not portable").help(instead)
}

/// What the tokens alone tell.
pub(super) fn of_tokens(source: &Source<'_>) -> Vec<TextProblem> {
    let mut out = Vec::new();
    let mut previous: Option<&Token> = None;
    for (token, place) in source.words() {
        if let Some((what, instead)) = of_token(token, previous) {
            out.push(warning(what, Some(place.clone()), instead));
        }
        if is_text(token) && source.text[place.clone()].contains('\\') {
            out.push(warning(
                "a backslash in a text means itself on some engines and is an escape on Spark",
                Some(place),
                "write [.] and [$] for the signs, [0-9] for digits",
            ));
        }
        previous = Some(token);
    }
    out.extend(hints(source));
    out
}

fn of_token(token: &Token, previous: Option<&Token>) -> Option<(&'static str, &'static str)> {
    Some(match token {
        Token::DoubleColon => ("`::` is no cast on Athena", "write cast(x as type)"),
        Token::Arrow
        | Token::LongArrow
        | Token::HashArrow
        | Token::HashLongArrow
        | Token::AtArrow
        | Token::ArrowAt
        | Token::AtQuestion
        | Token::AtAt
        | Token::HashMinus => {
            ("JSON operators differ", "take the field out when the post is mapped, as a column of its own")
        }
        Token::Tilde
        | Token::TildeAsterisk
        | Token::ExclamationMarkTilde
        | Token::ExclamationMarkTildeAsterisk => {
            ("`~` is no pattern match on Spark and Athena", "write regexp_like(s, p), with (?i) for any case")
        }
        Token::DoubleTilde
        | Token::DoubleTildeAsterisk
        | Token::ExclamationMarkDoubleTilde
        | Token::ExclamationMarkDoubleTildeAsterisk => ("`~~` is known to few engines", "write LIKE"),
        Token::Spaceship => ("`<=>` is known to Spark only", "write a IS NOT DISTINCT FROM b"),
        Token::DuckIntDiv => ("`//` is known to few engines", "write floor(a / b) over doubles"),
        Token::Ampersand | Token::Pipe | Token::ShiftLeft | Token::ShiftRight | Token::Caret => {
            ("operators on bits differ", "do without, or compute it where the post is mapped")
        }
        Token::VerticalBarRightAngleBracket => {
            ("`|>` is known to few engines", "write the clauses of SELECT")
        }
        Token::LBracket => match previous {
            Some(Token::Word(word)) if word.keyword != Keyword::ARRAY || word.quote_style.is_some() => (
                "lists count from 0 on Spark and from 1 elsewhere",
                "keep one row a value; split_part(s, ',', 1) for texts",
            ),
            Some(Token::RParen | Token::RBracket) => (
                "lists count from 0 on Spark and from 1 elsewhere",
                "keep one row a value; split_part(s, ',', 1) for texts",
            ),
            _ => ("list literals are written differently", "write x IN ('a', 'b'), or a VALUES table"),
        },
        Token::LBrace => {
            ("map and struct literals are written differently", "give each value a column of its own")
        }
        Token::Word(word) => match (word.quote_style, word.keyword) {
            (Some('`'), _) => {
                ("names in backticks are known to Spark only", "write the name plain, or in \"…\"")
            }
            (None, Keyword::ILIKE) => ("ILIKE is not known on Athena", "write lower(x) LIKE 'text'"),
            (None, Keyword::RLIKE | Keyword::REGEXP) => {
                ("RLIKE is known to Spark only", "write regexp_like(s, p)")
            }
            (None, Keyword::SIMILAR) => ("SIMILAR TO is known to few engines", "write regexp_like(s, p)"),
            _ => return None,
        },
        Token::EscapedStringLiteral(_)
        | Token::DollarQuotedString(_)
        | Token::UnicodeStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::TripleSingleQuotedString(_)
        | Token::TripleDoubleQuotedString(_)
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::DoubleQuotedByteStringLiteral(_)
        | Token::SingleQuotedRawStringLiteral(_)
        | Token::DoubleQuotedRawStringLiteral(_)
        | Token::QuoteDelimitedStringLiteral(_)
        | Token::NationalQuoteDelimitedStringLiteral(_) => {
            ("texts with a prefix are read differently", "write a plain text: '…'")
        }
        _ => return None,
    })
}

fn is_text(token: &Token) -> bool {
    matches!(token, Token::SingleQuotedString(_))
}

/// `/*+ … */` changes nothing here and much on Spark.
fn hints(source: &Source<'_>) -> Vec<TextProblem> {
    let hint = |t: &&datafusion::sql::sqlparser::tokenizer::TokenWithSpan| matches!(&t.token, Token::Whitespace(Whitespace::MultiLineComment(text)) if text.starts_with('+'));
    source
        .tokens
        .iter()
        .filter(hint)
        .map(|t| {
            warning(
                "a comment that starts with `/*+` is an order to Spark",
                source.at(t.span.start),
                "remove the `+`",
            )
        })
        .collect()
}

/// The clauses of a query that stand outside its SELECTs.
pub(super) fn query(source: &Source<'_>, query: &Tree, out: &mut Vec<TextProblem>) {
    if let Some(with) = &query.with
        && with.recursive
    {
        out.push(warning(
            "WITH RECURSIVE is limited or unknown on some engines",
            source.bytes(with.with_token.0.span),
            "write out the steps, or join generate_series-like tables of your own",
        ));
    }
    if let Some(LimitClause::OffsetCommaLimit { limit, .. }) = &query.limit_clause {
        out.push(warning("LIMIT a, b is known to few engines", source.of(limit), "write LIMIT b OFFSET a"));
    }
    // The order of the final rows does not matter; that of a cut does.
    let cut = query.limit_clause.is_some()
        || query.fetch.is_some()
        || matches!(&*query.body, SetExpr::Select(s) if matches!(s.distinct, Some(Distinct::On(_))));
    match query.order_by.as_ref().map(|o| &o.kind) {
        Some(OrderByKind::Expressions(by)) if cut => order_by(source, by, out),
        Some(OrderByKind::All(_)) => {
            out.push(warning("ORDER BY ALL is known to few engines", None, "name the columns"));
        }
        _ => {}
    }
}

/// An ORDER BY that decides something: NULLs come first on Spark and last elsewhere.
pub(super) fn order_by(source: &Source<'_>, by: &[OrderByExpr], out: &mut Vec<TextProblem>) {
    for expr in by.iter().filter(|e| e.options.nulls_first.is_none()) {
        out.push(warning(
            "NULLs are sorted first on some engines and last on others",
            source.of(&expr.expr),
            "add NULLS LAST or NULLS FIRST",
        ));
    }
}

/// The clauses of one SELECT.
pub(super) fn select(source: &Source<'_>, select: &Select, out: &mut Vec<TextProblem>) {
    let start = || source.bytes(select.select_token.0.span);
    if let Some(qualify) = &select.qualify {
        out.push(warning(
            "QUALIFY is not known on Athena",
            source.of(qualify),
            "give the window a name in a subquery and filter by it in WHERE",
        ));
    }
    match &select.group_by {
        GroupByExpr::All(_) => {
            out.push(warning(
                "GROUP BY ALL is not known on Athena",
                start(),
                "name the columns: GROUP BY 1, 2",
            ));
        }
        GroupByExpr::Expressions(_, modifiers) if !modifiers.is_empty() => {
            out.push(warning(
                "WITH ROLLUP and its like differ",
                start(),
                "write GROUP BY ROLLUP (…) or GROUPING SETS (…)",
            ));
        }
        GroupByExpr::Expressions(..) => {}
    }
    if let Some(Distinct::On(by)) = &select.distinct {
        out.push(warning(
            "DISTINCT ON is known to few engines",
            by.first().and_then(|e| source.of(e)),
            "number the rows: row_number() OVER (PARTITION BY … ORDER BY …), and keep number 1",
        ));
    }
    if select.flavor != SelectFlavor::Standard {
        out.push(warning(
            "a query that starts with FROM is known to few engines",
            start(),
            "write SELECT … FROM …",
        ));
    }
    let odd = [
        (select.prewhere.is_some(), "PREWHERE"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
        (!select.cluster_by.is_empty(), "CLUSTER BY"),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
        (!select.sort_by.is_empty(), "SORT BY"),
        (select.top.is_some(), "TOP"),
        (select.exclude.is_some(), "EXCLUDE"),
        (select.value_table_mode.is_some(), "SELECT AS"),
    ];
    for (_, what) in odd.iter().filter(|(found, _)| *found) {
        out.push(warning(
            format!("{what} is known to few engines"),
            start(),
            "write it with the clauses of plain SELECT",
        ));
    }
    for tables in &select.from {
        joins(source, tables, out);
    }
}

fn joins(source: &Source<'_>, tables: &TableWithJoins, out: &mut Vec<TextProblem>) {
    for join in &tables.joins {
        let (what, instead) = match &join.join_operator {
            JoinOperator::Semi(_) | JoinOperator::LeftSemi(_) | JoinOperator::RightSemi(_) => {
                ("SEMI JOIN is not known on Athena", "write WHERE EXISTS (SELECT …)")
            }
            JoinOperator::Anti(_) | JoinOperator::LeftAnti(_) | JoinOperator::RightAnti(_) => {
                ("ANTI JOIN is not known on Athena", "write WHERE NOT EXISTS (SELECT …)")
            }
            JoinOperator::AsOf { .. } => {
                ("ASOF JOIN is known to few engines", "join by a range and number the rows")
            }
            JoinOperator::CrossApply | JoinOperator::OuterApply => {
                ("APPLY is known to few engines", "join a subquery")
            }
            JoinOperator::StraightJoin(_)
            | JoinOperator::ArrayJoin
            | JoinOperator::LeftArrayJoin
            | JoinOperator::InnerArrayJoin => {
                ("this kind of join is known to few engines", "write JOIN … ON …")
            }
            _ => continue,
        };
        out.push(warning(what, source.of(&join.relation), instead));
    }
}

/// `* EXCEPT (…)` and its like.
pub(super) fn wildcard(
    options: &WildcardAdditionalOptions,
    span: Option<Range<usize>>,
    out: &mut Vec<TextProblem>,
) {
    let what = if options.opt_except.is_some() {
        "* EXCEPT"
    } else if options.opt_exclude.is_some() {
        "* EXCLUDE"
    } else if options.opt_replace.is_some() {
        "* REPLACE"
    } else if options.opt_rename.is_some() {
        "* RENAME"
    } else if options.opt_ilike.is_some() {
        "* ILIKE"
    } else {
        return;
    };
    out.push(warning(format!("{what} is not known on Athena"), span, "name the columns"));
}

/// What stands in FROM.
pub(super) fn table(source: &Source<'_>, factor: &TableFactor, out: &mut Vec<TextProblem>) {
    let (what, place) = match factor {
        TableFactor::UNNEST { array_exprs, .. } => ("UNNEST", array_exprs.first().and_then(|e| source.of(e))),
        TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
            ("a function in FROM", source.of(name))
        }
        TableFactor::TableFunction { expr, .. } => ("TABLE(…)", source.of(expr)),
        TableFactor::Derived { lateral: true, alias, .. } => {
            ("LATERAL", alias.as_ref().and_then(|a| source.of(a)))
        }
        TableFactor::Pivot { alias, .. } => ("PIVOT", alias.as_ref().and_then(|a| source.of(a))),
        TableFactor::Unpivot { alias, .. } => ("UNPIVOT", alias.as_ref().and_then(|a| source.of(a))),
        TableFactor::MatchRecognize { alias, .. } => {
            ("MATCH_RECOGNIZE", alias.as_ref().and_then(|a| source.of(a)))
        }
        TableFactor::JsonTable { json_expr, .. } | TableFactor::OpenJsonTable { json_expr, .. } => {
            ("a table of JSON", source.of(json_expr))
        }
        TableFactor::XmlTable { row_expression, .. } => ("a table of XML", source.of(row_expression)),
        TableFactor::SemanticView { name, .. } => ("SEMANTIC_VIEW", source.of(name)),
        TableFactor::Table { .. } | TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } => return,
    };
    out.push(warning(
        format!("{what} differs between engines"),
        place,
        "keep one row a value in a table of its own",
    ));
}

/// Expressions other than calls.
pub(super) fn expression(source: &Source<'_>, expr: &Expr, out: &mut Vec<TextProblem>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::Divide, right }
            if !visibly_float(left) && !visibly_float(right) =>
        {
            out.push(warning(
                "`/` between integers cuts off on some engines and not on others",
                source.before(&**right, &Token::Div),
                "cast one side: cast(a as double) / b",
            ));
        }
        Expr::BinaryOp { op: BinaryOperator::MyIntegerDivide, right, .. } => {
            out.push(warning(
                "DIV is known to few engines",
                source.of(&**right),
                "write floor(a / b) over doubles",
            ));
        }
        Expr::Cast { kind, expr: inner, data_type, .. } => {
            if *kind == CastKind::SafeCast {
                out.push(warning(
                    "SAFE_CAST is known to few engines",
                    source.of(&**inner),
                    "write try_cast(x as type)",
                ));
            }
            cast(source, inner, data_type, out);
        }
        Expr::Convert { expr, .. } => {
            out.push(warning("CONVERT is known to few engines", source.of(&**expr), "write cast(x as type)"));
        }
        Expr::Extract { field, expr, .. } => {
            let same = matches!(
                field,
                DateTimeField::Year
                    | DateTimeField::Quarter
                    | DateTimeField::Month
                    | DateTimeField::Day
                    | DateTimeField::Hour
                    | DateTimeField::Minute
            );
            if !same {
                let shown = field.to_string().to_lowercase();
                out.push(warning(
                    format!("extract({shown}) differs between engines"),
                    source.of(&**expr),
                    "count days from a Monday: rx_days_between('2024-01-01', dt) % 7; rx_epoch_ms(x) for seconds",
                ));
            }
        }
        Expr::Interval(interval) if interval.leading_field.is_none() => {
            out.push(warning(
                "an interval with its unit inside the text is not known on Athena",
                source.of(&*interval.value),
                "write interval '1' day",
            ));
        }
        Expr::AtTimeZone { timestamp, .. } => {
            out.push(warning(
                "AT TIME ZONE differs between engines",
                source.of(&**timestamp),
                "use `dt`, the project's day",
            ));
        }
        Expr::Lambda(lambda) => {
            out.push(warning(
                "functions of functions differ",
                source.of(&*lambda.body),
                "keep one row a value",
            ));
        }
        Expr::Collate { expr, .. } => {
            out.push(warning("COLLATE differs between engines", source.of(&**expr), "compare rx_norm(text)"));
        }
        Expr::Overlay { expr, .. } => {
            out.push(warning("OVERLAY is not known on Athena", source.of(&**expr), "write substr(…) || …"));
        }
        Expr::Struct { .. } | Expr::Map(_) | Expr::Dictionary(_) => {}
        Expr::InUnnest { expr, .. }
        | Expr::IsNormalized { expr, .. }
        | Expr::OuterJoin(expr)
        | Expr::Prior(expr) => {
            out.push(warning(
                "this is known to few engines",
                source.of(&**expr),
                "write it with IN, LIKE or JOIN",
            ));
        }
        Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. }
            if !matches!(&**right, Expr::Subquery(_)) =>
        {
            out.push(warning("ANY and ALL over lists differ", source.of(&**left), "write x IN ('a', 'b')"));
        }
        _ => {}
    }
}

fn cast(source: &Source<'_>, inner: &Expr, data_type: &DataType, out: &mut Vec<TextProblem>) {
    let endless = matches!(
        data_type,
        DataType::Varchar(None)
            | DataType::CharacterVarying(None)
            | DataType::CharVarying(None)
            | DataType::Text
            | DataType::String(_)
    );
    if endless {
        out.push(warning(
            format!("the type {data_type} is not known everywhere"),
            source.of(inner),
            "write varchar(n) with a length, for example varchar(4000)",
        ));
    }
    let to_text = endless
        || matches!(
            data_type,
            DataType::Varchar(_) | DataType::CharacterVarying(_) | DataType::CharVarying(_)
        );
    if to_text && visibly_timestamp(inner) {
        out.push(warning(
            "timestamps are written differently as text",
            source.of(inner),
            "use the text `dt`, or rx_epoch_ms(x)",
        ));
    }
}

fn visibly_timestamp(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => visibly_timestamp(inner),
        Expr::Cast { data_type, .. } => is_timestamp(data_type),
        Expr::TypedString(typed) => is_timestamp(&typed.data_type),
        Expr::Function(f) => matches!(
            f.name.to_string().to_ascii_lowercase().as_str(),
            "date_trunc" | "from_unixtime" | "to_timestamp"
        ),
        _ => false,
    }
}

fn is_timestamp(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::TimestampNtz(_) | DataType::Datetime(_))
}

/// Whether a reader sees that the value is no integer. Looks a few levels deep only: the
/// answer decides about a warning.
fn visibly_float(expr: &Expr) -> bool {
    fn look(expr: &Expr, levels: usize) -> bool {
        if levels == 0 {
            return false;
        }
        match expr {
            Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => look(inner, levels - 1),
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => digits.contains(['.', 'e', 'E']),
                Value::Null => true,
                _ => false,
            },
            Expr::Cast { data_type, .. } => matches!(
                data_type,
                DataType::Double(_)
                    | DataType::DoublePrecision
                    | DataType::Float(_)
                    | DataType::Float4
                    | DataType::Float8
                    | DataType::Float32
                    | DataType::Float64
                    | DataType::Real
            ),
            Expr::BinaryOp { left, op, right } => {
                let arithmetic = matches!(
                    op,
                    BinaryOperator::Plus
                        | BinaryOperator::Minus
                        | BinaryOperator::Multiply
                        | BinaryOperator::Divide
                );
                arithmetic && (look(left, levels - 1) || look(right, levels - 1))
            }
            Expr::Function(f) => match f.name.to_string().to_ascii_lowercase().as_str() {
                "avg" | "sqrt" | "ln" | "exp" | "power" | "stddev" | "stddev_samp" | "stddev_pop"
                | "var_samp" | "var_pop" | "corr" => true,
                "nullif" | "coalesce" | "sum" | "min" | "max" | "round" | "abs" => {
                    arguments(f).iter().any(|a| look(a, levels - 1))
                }
                _ => false,
            },
            _ => false,
        }
    }
    look(expr, 12)
}
