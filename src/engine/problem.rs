//! Errors of the SQL planner as problems with byte spans and advice.

use datafusion::common::{DataFusionError, SchemaError, Span};
use datafusion::logical_expr::planner::ContextProvider;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

use super::error::plain;
use super::session::Names;
use crate::diagnostic::{TextProblem, did_you_mean};

/// The byte position of a 1-based line and column, which count characters.
fn byte_of(sql: &str, line: u64, column: u64) -> Option<usize> {
    if line == 0 || column == 0 {
        return None;
    }
    let mut start = 0;
    for _ in 1..line {
        start += sql[start..].find('\n')? + 1;
    }
    let text = &sql[start..];
    Some(start + text.char_indices().nth(column as usize - 1).map_or(text.len(), |(i, _)| i))
}

fn range(sql: &str, span: Span) -> Option<std::ops::Range<usize>> {
    let start = byte_of(sql, span.start.line, span.start.column)?;
    let end = byte_of(sql, span.end.line, span.end.column)?.max(start);
    Some(start..end)
}

/// The bytes of the first of `spans`.
pub(super) fn first_range(
    sql: &str,
    spans: Option<&datafusion::common::Spans>,
) -> Option<std::ops::Range<usize>> {
    range(sql, spans?.first()?)
}

/// A syntax error; the parser gives its place only in words.
pub(super) fn of_parser(sql: &str, error: &ParserError) -> TextProblem {
    let message = match error {
        ParserError::TokenizerError(m) | ParserError::ParserError(m) => m.clone(),
        ParserError::RecursionLimitExceeded => {
            return TextProblem::error("the SQL is nested too deeply", None)
                .help("split it into common table expressions (WITH name AS (…))");
        }
    };
    let (text, place) = match message.rfind(" at Line: ") {
        Some(i) => (&message[..i], Some(&message[i + " at Line: ".len()..])),
        None => (message.as_str(), None),
    };
    let at = place.and_then(|p| {
        let (line, column) = p.split_once(", Column: ")?;
        let digits = column.bytes().take_while(u8::is_ascii_digit).count();
        byte_of(sql, line.parse().ok()?, column[..digits].parse().ok()?)
    });
    let span = at.map(|start| start..token_end(sql, start)).or_else(|| last_token(sql));
    let text = text.strip_prefix("sql parser error: ").unwrap_or(text);
    TextProblem::error(format!("syntax error: {}", lower_first(text)), span)
}

fn token_end(sql: &str, start: usize) -> usize {
    let rest = &sql[start..];
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    start + if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) }
}

fn last_token(sql: &str) -> Option<std::ops::Range<usize>> {
    let end = sql.trim_end().len();
    let start = sql[..end].rfind(|c: char| c.is_whitespace()).map_or(0, |i| i + 1);
    (start < end).then_some(start..end)
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(c) => c.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// What the planner or the type checker says.
pub(super) fn of_plan(sql: &str, error: &DataFusionError, names: &Names<'_>) -> Vec<TextProblem> {
    error.iter().map(|e| one(sql, e, names)).collect()
}

fn one(sql: &str, error: &DataFusionError, names: &Names<'_>) -> TextProblem {
    let diagnostic = error.diagnostic();
    let span = diagnostic.and_then(|d| range(sql, d.span?));
    if let Some(schema_error) = schema_error(error) {
        match schema_error {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let known: Vec<&str> = valid_fields
                    .iter()
                    .filter(|f| field.relation.is_none() || f.relation == field.relation)
                    .map(|f| f.name.as_str())
                    .collect();
                let of = field.relation.as_ref().map(|r| format!(" in `{r}`")).unwrap_or_default();
                let span =
                    span.or_else(|| first_range(sql, Some(&field.spans))).or_else(|| word(sql, &field.name));
                let problem = TextProblem::error(format!("there is no column `{}`{of}", field.name), span);
                return match did_you_mean(&field.name, known.iter().copied()) {
                    Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                    None if valid_fields.is_empty() => problem.help("this SELECT has no FROM"),
                    None if known.is_empty() => problem,
                    None => problem.help(format!("there are: {}", listed(&known))),
                };
            }
            SchemaError::AmbiguousReference { field } => {
                let span =
                    span.or_else(|| first_range(sql, Some(&field.spans))).or_else(|| word(sql, &field.name));
                return TextProblem::error(
                    format!("the column `{}` is in more than one table", field.name),
                    span,
                )
                .help(format!("say which: table.{}", field.name));
            }
            SchemaError::DuplicateQualifiedField { name, .. }
            | SchemaError::DuplicateUnqualifiedField { name } => {
                return TextProblem::error(
                    format!("the column `{name}` is given twice"),
                    span.or_else(|| word(sql, name)),
                )
                .help("rename one with AS");
            }
        }
    }
    let message = diagnostic.map_or_else(|| plain(error), |d| d.message.clone());
    let first_line = without_wrapping(message.lines().next().unwrap_or_default()).to_string();
    if let Some(name) = quoted_after(&first_line, "Invalid function ") {
        let span = span.or_else(|| word(sql, &name));
        let known: Vec<String> = [names.udf_names(), names.udaf_names(), names.udwf_names()].concat();
        let problem = TextProblem::error(format!("there is no function `{name}`"), span);
        // The nearest by name first; ties by the alphabet.
        let mut sorted: Vec<&str> = known.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        return match did_you_mean(&name, sorted) {
            Some(meant) => problem.help(format!("did you mean `{meant}`?")),
            None => problem,
        };
    }
    if let Some(name) = quoted_after(&first_line, "table ").filter(|_| first_line.ends_with("not found")) {
        let span = span.or_else(|| word(sql, &name));
        let problem = TextProblem::error(format!("there is no table `{name}`"), span);
        return match did_you_mean(&name, names.tables.keys().map(String::as_str)) {
            Some(meant) => problem.help(format!("did you mean `{meant}`?")),
            None => problem.help("a table that a query reads is named in its deps"),
        };
    }
    if let Some(problem) = no_signature(sql, &first_line, span.clone()) {
        return problem;
    }
    let span = span.or_else(|| named_in(sql, &first_line));
    let mut problem = TextProblem::error(lower_first(first_line.trim_end_matches('.')), span);
    if let Some(diagnostic) = diagnostic {
        let notes: Vec<&str> = diagnostic
            .helps
            .iter()
            .map(|h| h.message.as_str())
            .chain(diagnostic.notes.iter().map(|n| n.message.as_str()))
            .collect();
        if !notes.is_empty() {
            problem.help = Some(notes.join("; "));
        }
    }
    problem
}

/// A function given what it does not take: `Function 'sum' requires Decimal, but received String
/// (DataType: Utf8View)`, once for each kind that it does take.
fn no_signature(sql: &str, message: &str, span: Option<std::ops::Range<usize>>) -> Option<TextProblem> {
    let name = quoted_after(message, "Function ")?;
    let mut takes: Vec<&str> = Vec::new();
    let mut given = None;
    for part in message.split(" requires ").skip(1) {
        let (wanted, rest) = part.split_once(", but received ")?;
        let wanted = kind(wanted);
        if !takes.contains(&wanted) {
            takes.push(wanted);
        }
        given = rest.split([' ', '(', ',']).next().map(kind);
    }
    let given = given?;
    let span = span.or_else(|| word(sql, &name));
    Some(
        TextProblem::error(format!("`{name}` does not take {given}"), span)
            .help(format!("it takes {}; convert with CAST(… AS …) where that makes sense", takes.join(", "))),
    )
}

/// A type as people call it.
fn kind(planner: &str) -> &str {
    match planner {
        "Decimal" | "UInt64" | "Int64" | "Float64" | "Numeric" | "Integer" | "Float" => "a number",
        "String" => "a text",
        "Duration" | "Interval" => "a duration",
        "Timestamp" => "a time",
        "Boolean" => "a truth value",
        other => other,
    }
}

/// What a function says about its arguments, without what DataFusion says around it.
fn without_wrapping(message: &str) -> &str {
    let mut text = message.trim();
    if let Some(i) = text.find("coercion failed with: ") {
        text = &text[i + "coercion failed with: ".len()..];
    }
    for prefix in ["Execution error: ", "Error during planning: "] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    match text.find("No function matches the given name") {
        Some(i) if i > 0 => text[..i].trim_end().trim_end_matches('.'),
        _ => text,
    }
}

fn schema_error(error: &DataFusionError) -> Option<&SchemaError> {
    match error {
        DataFusionError::SchemaError(e, _) => Some(e),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => schema_error(inner),
        DataFusionError::Shared(inner) => schema_error(inner),
        _ => None,
    }
}

fn listed(names: &[&str]) -> String {
    const MOST: usize = 12;
    let mut text = names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        text.push_str(", …");
    }
    text
}

fn quoted_after(message: &str, before: &str) -> Option<String> {
    let rest = &message[message.find(before)? + before.len()..];
    let rest = rest.strip_prefix('\'')?;
    Some(rest[..rest.find('\'')?].to_string())
}

/// The first place where `name` stands as a word outside comments and strings.
pub(super) fn word(sql: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    let at = |l: Location| byte_of(sql, l.line, l.column);
    tokens.iter().find_map(|t| match &t.token {
        Token::Word(w) if w.value.eq_ignore_ascii_case(name) => Some(at(t.span.start)?..at(t.span.end)?),
        _ => None,
    })
}

/// The word of the SQL that a message without a place talks about: a function in it that the
/// message names, else a column.
fn named_in(sql: &str, message: &str) -> Option<std::ops::Range<usize>> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    let said: Vec<String> = message
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|w| w.len() > 2)
        .map(str::to_lowercase)
        .collect();
    let at = |l: Location| byte_of(sql, l.line, l.column);
    let found = |needs_call: bool| {
        tokens.iter().enumerate().find_map(|(i, t)| match &t.token {
            Token::Word(w)
                if said.contains(&w.value.to_lowercase())
                    && (needs_call == matches!(tokens.get(i + 1).map(|t| &t.token), Some(Token::LParen)))
                    && (needs_call
                        || w.keyword == datafusion::sql::sqlparser::keywords::Keyword::NoKeyword) =>
            {
                Some(at(t.span.start)?..at(t.span.end)?)
            }
            _ => None,
        })
    };
    found(true).or_else(|| found(false))
}
