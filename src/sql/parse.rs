//! One text to one [`Query`]: everything that is known of it is found here, once.
//!
//! Invariant: a [`Query`] is one SELECT (WITH, VALUES and set operations too); no statement
//! that changes anything gets through. May not block.

use std::ops::Range;

use datafusion::sql::sqlparser::ast::{Query as Tree, Statement};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token};

use super::source::{DIALECT, Source};
use super::{portable, walk};
use crate::diagnostic::{TextProblem, did_you_mean};

/// The engine's own limit: what is refused there is refused here, with a span.
const RECURSION_LIMIT: usize = 50;

/// One use of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableUse {
    /// Its name: in lower case unless quoted, `a.b` when qualified.
    pub name: String,
    /// Where it is named.
    pub span: Range<usize>,
}

/// One call of an `rx_…` function, known or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RxCall {
    /// The name, in lower case unless quoted.
    pub name: String,
    /// Where it is named.
    pub span: Range<usize>,
    /// How many arguments it is given.
    pub args: usize,
}

/// One parsed SELECT statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    pub(super) normalized: String,
    pub(super) tables: Vec<TableUse>,
    pub(super) with_names: Vec<String>,
    pub(super) rx_calls: Vec<RxCall>,
    pub(super) lint: Vec<TextProblem>,
    pub(super) portable: Vec<TextProblem>,
}

/// Reads the SELECT statement that `text` is. A `;` at the end is allowed.
///
/// # Errors
/// What is no SQL, is no SELECT, or is more than one statement, with its span.
pub fn parse(text: &str) -> Result<Query, Vec<TextProblem>> {
    let (source, tree) = tree(text).map_err(|problem| vec![problem])?;
    let facts = walk::walk(&source, &tree);
    if !facts.refused.is_empty() {
        return Err(in_order(facts.refused));
    }
    let mut portable = facts.portable;
    portable.extend(portable::of_tokens(&source));
    Ok(Query {
        normalized: source.normalized(),
        tables: facts.tables,
        with_names: facts.with_names,
        rx_calls: facts.rx_calls,
        lint: in_order(facts.lint),
        portable: in_order(portable),
    })
}

impl Query {
    /// Every use of a table that is no name of a WITH, in order of position.
    /// Table functions are not among them.
    pub fn tables(&self) -> Vec<TableUse> {
        self.tables.clone()
    }

    /// Every call of a function whose name starts with `rx_`, in order of position.
    pub fn rx_calls(&self) -> Vec<RxCall> {
        self.rx_calls.clone()
    }

    /// The statement as versions see it: comments, white space, the case of unquoted words and
    /// a `;` at the end make no difference; a changed literal or quoted name does.
    pub fn normalized(&self) -> String {
        self.normalized.clone()
    }

    /// What makes the answer depend on more than the inputs, and wrong uses of `rx_…`
    /// functions: errors. `select *` over a table: a warning. In order of position.
    pub fn lint(&self) -> Vec<TextProblem> {
        self.lint.clone()
    }

    /// What does not mean the same on every engine, and what to write instead: warnings.
    pub fn portable(&self) -> Vec<TextProblem> {
        self.portable.clone()
    }

    /// Compares the tables that are read with the `declared` dependencies: an error for each
    /// use of another table, a warning for each dependency that is never read.
    pub fn check_tables(&self, declared: &[&str]) -> Vec<TextProblem> {
        let mut problems = Vec::new();
        for table in &self.tables {
            if declared.contains(&table.name.as_str()) {
                continue;
            }
            let known = declared.iter().copied().chain(self.with_names.iter().map(String::as_str));
            let help = match did_you_mean(&table.name, known) {
                Some(meant) if declared.contains(&meant) => format!("did you mean `{meant}`?"),
                Some(meant) => {
                    format!("did you mean `{meant}`? It is named in a WITH, but cannot be seen here")
                }
                None if table.name.contains(['.', '/']) => {
                    "a query reads only the assets in its `deps`, by their plain names".to_string()
                }
                None => format!("if it is an asset, add `{}` to `deps` of this asset", table.name),
            };
            problems.push(
                TextProblem::error(
                    format!("`{}` is not a declared dependency", table.name),
                    table.span.clone(),
                )
                .label("not in `deps`")
                .help(help),
            );
        }
        for dep in declared {
            if !self.tables.iter().any(|t| t.name == *dep) {
                problems.push(
                    TextProblem::warning(format!("`{dep}` is in `deps`, but the query never reads it"), None)
                        .help("remove it from `deps`: as it is, new data there makes this asset stale"),
                );
            }
        }
        problems
    }
}

/// By position; what has none comes last. The same problem twice is said once.
fn in_order(mut problems: Vec<TextProblem>) -> Vec<TextProblem> {
    problems.sort_by_key(|p| p.span.as_ref().map_or((usize::MAX, 0), |s| (s.start, s.end)));
    problems.dedup();
    problems
}

fn tree(text: &str) -> Result<(Source<'_>, Box<Tree>), TextProblem> {
    let mut source = Source::new(text)?;
    first_word(&source)?;
    let parser = Parser::new(&DIALECT).with_recursion_limit(RECURSION_LIMIT);
    let mut parser = parser.with_tokens_with_locations(std::mem::take(&mut source.tokens));
    let parsed = parser.parse_statement();
    let rest = parsed.as_ref().ok().map(|_| {
        let ended = parser.consume_token(&Token::SemiColon);
        while parser.consume_token(&Token::SemiColon) {}
        (ended, parser.peek_token())
    });
    source.tokens = parser.into_tokens();
    let statement = parsed.map_err(|error| parser_problem(&source, error))?;
    if let Some((ended, next)) = rest
        && next.token != Token::EOF
    {
        if let Some(place) = source.open_case() {
            return Err(no_end(place));
        }
        let place = source.at(next.span.start);
        return Err(if ended {
            TextProblem::error("only one statement is allowed", place)
                .label("a second statement starts here")
                .help(
                    "put it into a file of its own, or make it a part of the first: WITH name AS (SELECT …)",
                )
        } else {
            TextProblem::error(format!("expected the end of the statement, found `{}`", next.token), place)
        });
    }
    match statement {
        Statement::Query(tree) => Ok((source, tree)),
        _ => Err(not_select(source.words().next(), "another statement")),
    }
}

/// Says clearly what starts like no SELECT, before the parser says it in its way.
fn first_word(source: &Source<'_>) -> Result<(), TextProblem> {
    const OTHERS: &[&str] = &[
        "alter",
        "analyze",
        "attach",
        "begin",
        "cache",
        "call",
        "close",
        "comment",
        "commit",
        "copy",
        "create",
        "declare",
        "delete",
        "desc",
        "describe",
        "detach",
        "drop",
        "execute",
        "explain",
        "export",
        "fetch",
        "grant",
        "import",
        "insert",
        "install",
        "kill",
        "load",
        "lock",
        "merge",
        "msck",
        "optimize",
        "pragma",
        "prepare",
        "refresh",
        "rename",
        "replace",
        "reset",
        "revoke",
        "rollback",
        "savepoint",
        "set",
        "show",
        "start",
        "truncate",
        "unload",
        "update",
        "use",
        "vacuum",
    ];
    match source.words().find(|(token, _)| **token != Token::LParen) {
        None => Err(TextProblem::error("there is no statement", None)
            .help("write one SELECT statement that makes the rows")),
        Some((Token::SemiColon, place)) => {
            Err(TextProblem::error("there is no statement before this `;`", place))
        }
        Some((token, place)) => {
            let word = token.to_string().to_lowercase();
            match word.as_str() {
                "select" | "with" | "values" | "from" => Ok(()),
                "table" => Err(TextProblem::error("`TABLE name` is not a SELECT statement", place)
                    .help("write SELECT … FROM name")),
                other if OTHERS.contains(&other) => Err(not_select(Some((token, place)), other)),
                other => {
                    let problem = TextProblem::error(
                        format!("expected a SELECT statement, found `{}`", short(&token.to_string())),
                        place,
                    );
                    Err(match did_you_mean(other, ["select", "with"]) {
                        Some(meant) => problem.help(format!("did you mean `{}`?", meant.to_uppercase())),
                        None => problem,
                    })
                }
            }
        }
    }
}

fn not_select(first: Option<(&Token, Range<usize>)>, otherwise: &str) -> TextProblem {
    let (word, place) = match first {
        Some((token, place)) => (token.to_string().to_uppercase(), Some(place)),
        None => (otherwise.to_string(), None),
    };
    TextProblem::error(format!("only a SELECT statement is allowed, this is `{word}`"), place)
        .help("write the query alone: it only reads, and what becomes of its rows is not its business")
}

fn no_end(case: Range<usize>) -> TextProblem {
    TextProblem::error("this CASE has no END", case).help("write CASE WHEN … THEN … ELSE … END")
}

fn parser_problem(source: &Source<'_>, error: ParserError) -> TextProblem {
    let text = match error {
        ParserError::RecursionLimitExceeded => {
            return TextProblem::error("nested too deeply", source.deepest().or_else(|| source.last()))
                .help("give the inner parts a name: WITH name AS (SELECT …)");
        }
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
    };
    if let Some(place) = source.open_case() {
        return no_end(place);
    }
    let (said, location) = match text.rsplit_once(" at Line: ") {
        Some((said, at)) => (said, location(at)),
        None => (text.as_str(), None),
    };
    let place = location.and_then(|at| source.at(at)).or_else(|| source.last());
    let message = match said.strip_prefix("Expected: ").and_then(|s| s.rsplit_once(", found: ")) {
        Some((expected, "EOF")) => format!("expected {expected}, but the text ends here"),
        Some((expected, found)) => format!("expected {expected}, found `{}`", short(found)),
        None => {
            let mut chars = said.trim_end_matches('.').chars();
            chars.next().into_iter().flat_map(char::to_lowercase).chain(chars).collect()
        }
    };
    TextProblem::error(message, place)
}

/// Reads `L, Column: C`.
fn location(text: &str) -> Option<Location> {
    let (line, column) = text.split_once(", Column: ")?;
    Some(Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?))
}

/// The start of a long token.
fn short(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}
