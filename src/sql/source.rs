//! The tokens of one SQL text with their byte ranges, and what is checked on tokens alone:
//! parentheses, depth, length of operator chains, comments that are code.
//!
//! Invariant: the byte ranges of neighbouring tokens touch, from the first byte to the last.
//! Depth and chains are bounded before the parser sees the text, because the trees it makes
//! are dropped by recursion. May not block.

use std::ops::Range;

use datafusion::sql::sqlparser::ast::Spanned;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{
    Location, Span, Token, TokenWithSpan, Tokenizer, TokenizerError, Whitespace,
};

use crate::diagnostic::TextProblem;

/// The dialect of the embedded engine: what parses here must parse there.
pub(super) static DIALECT: GenericDialect = GenericDialect;

/// Open parentheses, brackets and CASEs inside each other.
const MAX_DEPTH: usize = 64;
/// Operators in one expression, or set operations in one query.
const MAX_CHAIN: usize = 2_000;

/// A text and where its tokens are.
pub(super) struct Source<'a> {
    pub text: &'a str,
    /// Every token, white space too.
    pub tokens: Vec<TokenWithSpan>,
    /// The byte range of each token.
    places: Vec<Range<usize>>,
    /// The innermost opening parenthesis.
    deepest: Option<Range<usize>>,
    /// A CASE that no END follows, unless `case` is a name there.
    open_case: Option<Range<usize>>,
}

/// What the look at the nesting found.
#[derive(Default)]
struct Nesting {
    deepest: Option<Range<usize>>,
    open_case: Option<Range<usize>>,
}

impl<'a> Source<'a> {
    /// Cuts `text` into tokens.
    pub fn new(text: &'a str) -> Result<Self, TextProblem> {
        if text.starts_with('\u{feff}') {
            return Err(TextProblem::error("the text starts with a byte order mark", 0..3)
                .help("save the file as UTF-8 without a byte order mark"));
        }
        let tokens = Tokenizer::new(&DIALECT, text)
            .tokenize_with_location()
            .map_err(|error| tokenizer_problem(text, &error))?;
        let places = places(text, &tokens)?;
        let mut source = Self { text, tokens, places, deepest: None, open_case: None };
        let nesting = source.check_nesting()?;
        source.deepest = nesting.deepest;
        source.open_case = nesting.open_case;
        Ok(source)
    }

    /// The tokens that mean something, with their byte ranges.
    pub fn words(&self) -> impl DoubleEndedIterator<Item = (&Token, Range<usize>)> {
        self.tokens
            .iter()
            .zip(&self.places)
            .filter(|(t, _)| !matches!(t.token, Token::Whitespace(_)))
            .map(|(t, place)| (&t.token, place.clone()))
    }

    /// Comments, white space and the case of unquoted words gone; everything else verbatim.
    pub fn normalized(&self) -> String {
        let mut out = String::with_capacity(self.text.len());
        let mut words: Vec<_> = self.words().collect();
        while words.last().is_some_and(|(t, _)| **t == Token::SemiColon) {
            words.pop();
        }
        for (token, place) in words {
            if !out.is_empty() {
                out.push(' ');
            }
            let text = &self.text[place];
            match token {
                // The engine folds the ASCII case of unquoted words only.
                Token::Word(word) if word.quote_style.is_none() => {
                    out.extend(text.chars().map(|c| c.to_ascii_lowercase()));
                }
                _ => out.push_str(text),
            }
        }
        out
    }

    /// The bytes of a span the parser gave; `None` when it gave none.
    pub fn bytes(&self, span: Span) -> Option<Range<usize>> {
        if span == Span::empty() {
            return None;
        }
        let start = self.token_at(span.start)?;
        let end = self.tokens.partition_point(|t| before(t.span.start, span.end));
        let end = end.checked_sub(1)?.max(start);
        Some(self.places[start].start..self.places[end].end)
    }

    /// The bytes of a node of the tree.
    pub fn of(&self, node: &impl Spanned) -> Option<Range<usize>> {
        self.bytes(node.span())
    }

    /// The bytes of the nearest `wanted` token before a node.
    pub fn before(&self, node: &impl Spanned, wanted: &Token) -> Option<Range<usize>> {
        let at = self.token_at(node.span().start)?;
        let found = self.tokens[..at].iter().rposition(|t| t.token == *wanted)?;
        Some(self.places[found].clone())
    }

    /// The bytes of the token that starts at a location the parser gave.
    pub fn at(&self, location: Location) -> Option<Range<usize>> {
        self.token_at(location).map(|i| self.places[i].clone())
    }

    /// The bytes of the last token that means something.
    pub fn last(&self) -> Option<Range<usize>> {
        self.words().next_back().map(|(_, place)| place)
    }

    /// Where the nesting is deepest.
    pub fn deepest(&self) -> Option<Range<usize>> {
        self.deepest.clone()
    }

    /// A CASE without END.
    pub fn open_case(&self) -> Option<Range<usize>> {
        self.open_case.clone()
    }

    /// The bytes of the first unquoted word that is one of these.
    pub fn keyword(&self, any: &[Keyword]) -> Option<Range<usize>> {
        let is = |token: &Token| matches!(token, Token::Word(w) if w.quote_style.is_none() && any.contains(&w.keyword));
        self.words().find(|(token, _)| is(token)).map(|(_, place)| place)
    }

    /// The bytes of the first text literal with this content.
    pub fn literal(&self, content: &str) -> Option<Range<usize>> {
        let is = |token: &Token| matches!(token, Token::SingleQuotedString(text) if text == content);
        self.words().find(|(token, _)| is(token)).map(|(_, place)| place)
    }

    fn token_at(&self, location: Location) -> Option<usize> {
        let at = self.tokens.partition_point(|t| !before(location, t.span.start));
        at.checked_sub(1)
    }

    /// Every parenthesis has its partner, and nothing is so deep or long that handling the
    /// tree by recursion would be a danger.
    fn check_nesting(&self) -> Result<Nesting, TextProblem> {
        #[derive(Default)]
        struct Level {
            close: Option<Token>,
            open: Range<usize>,
            operators: usize,
            set_operations: usize,
            /// Types inside types: array<array<…
            types: usize,
        }
        let mut levels = vec![Level::default()];
        let mut found = Nesting::default();
        let mut depth = 1;
        let mut previous = None;
        let mut intervals = 0;
        for (token, place) in self.words() {
            let open = |close| Level { close: Some(close), open: place.clone(), ..Level::default() };
            // The parser bounds its own recursion, but not in types and in INTERVAL INTERVAL ….
            let keyword = keyword_of(token);
            intervals = if keyword == Some(Keyword::INTERVAL) { intervals + 1 } else { 0 };
            // `levels` is never empty: only levels with a `close` are taken off.
            let Some(top) = levels.last_mut() else { break };
            match (token, previous) {
                (Token::Lt, Some(Keyword::ARRAY | Keyword::STRUCT | Keyword::MAP)) => top.types += 1,
                (Token::Gt, _) => top.types = top.types.saturating_sub(1),
                (Token::ShiftRight, _) => top.types = top.types.saturating_sub(2),
                _ => {}
            }
            let too_deep = top.types.max(intervals) > MAX_DEPTH;
            previous = keyword;
            match token {
                Token::LParen => levels.push(open(Token::RParen)),
                Token::LBracket => levels.push(open(Token::RBracket)),
                Token::LBrace => levels.push(open(Token::RBrace)),
                Token::RParen | Token::RBracket | Token::RBrace => {
                    if top.close.as_ref() == Some(token) {
                        levels.pop();
                        if let (Token::RBracket, Some(around)) = (token, levels.last_mut()) {
                            // int[][] is a type inside a type.
                            around.operators += 1;
                        }
                    } else if let Some(wanted) = top.close.as_ref().filter(|c| !matches!(c, Token::Word(_))) {
                        return Err(TextProblem::error(
                            format!("`{token}` closes nothing: `{wanted}` is expected first"),
                            place,
                        ));
                    } else if top.close.is_none() {
                        return Err(TextProblem::error(format!("`{token}` closes nothing"), place)
                            .help("remove it, or open it before"));
                    } else {
                        // A CASE without END: the parser says it better.
                        found.open_case = levels.pop().map(|l| l.open);
                        if levels.last().is_some_and(|l| l.close.as_ref() == Some(token)) {
                            levels.pop();
                        }
                    }
                }
                Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                    Keyword::CASE => levels.push(open(Token::make_word("END", None))),
                    Keyword::END if matches!(top.close, Some(Token::Word(_))) => {
                        levels.pop();
                    }
                    Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS => {
                        top.set_operations += 1;
                        top.operators = 0;
                    }
                    Keyword::SELECT
                    | Keyword::FROM
                    | Keyword::WHERE
                    | Keyword::GROUP
                    | Keyword::HAVING
                    | Keyword::ORDER
                    | Keyword::ON
                    | Keyword::JOIN
                    | Keyword::WHEN
                    | Keyword::THEN
                    | Keyword::ELSE => top.operators = 0,
                    Keyword::AND
                    | Keyword::OR
                    | Keyword::XOR
                    | Keyword::NOT
                    | Keyword::IS
                    | Keyword::IN
                    | Keyword::LIKE
                    | Keyword::ILIKE
                    | Keyword::RLIKE
                    | Keyword::REGEXP
                    | Keyword::SIMILAR
                    | Keyword::BETWEEN
                    | Keyword::COLLATE
                    | Keyword::DIV
                    | Keyword::OVERLAPS
                    | Keyword::AT => top.operators += 1,
                    _ => {}
                },
                Token::Comma => top.operators = 0,
                Token::Word(_)
                | Token::Number(..)
                | Token::SingleQuotedString(_)
                | Token::Period
                | Token::SemiColon => {}
                // Any other sign is an operator, or is counted as one.
                _ => top.operators += 1,
            }
            if too_deep || levels.len() > MAX_DEPTH {
                return Err(TextProblem::error(format!("nested deeper than {MAX_DEPTH} levels"), place)
                    .help("give the inner parts a name: WITH name AS (SELECT …)"));
            }
            if levels.len() > depth {
                depth = levels.len();
                found.deepest = Some(place.clone());
            }
            let Some(top) = levels.last() else { break };
            if top.operators.max(top.set_operations) > MAX_CHAIN {
                return Err(TextProblem::error(
                    format!("more than {MAX_CHAIN} operators in one expression"),
                    place,
                )
                .help("use a list, x IN (…), or join a table that holds the values"));
            }
        }
        match levels.pop() {
            Some(Level { close: Some(close), open, .. }) if !matches!(close, Token::Word(_)) => {
                let opened = self.text[open.clone()].to_string();
                Err(TextProblem::error(format!("this `{opened}` is never closed"), open)
                    .help(format!("close it with `{close}`")))
            }
            Some(Level { close: Some(_), open, .. }) => Ok(Nesting { open_case: Some(open), ..found }),
            _ => Ok(found),
        }
    }
}

fn keyword_of(token: &Token) -> Option<Keyword> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    }
}

fn before(a: Location, b: Location) -> bool {
    (a.line, a.column) < (b.line, b.column)
}

/// The byte range of every token: their lines and columns count characters.
fn places(text: &str, tokens: &[TokenWithSpan]) -> Result<Vec<Range<usize>>, TextProblem> {
    let mut chars = text.char_indices();
    let mut at = Location::new(1, 1);
    let mut byte = 0;
    let mut out = Vec::with_capacity(tokens.len());
    for token in tokens {
        let comment = matches!(token.token, Token::Whitespace(Whitespace::MultiLineComment(_)));
        // The tokenizer takes the inside of `/*! … */` as code and loses its place.
        if token.span.start != at || (!comment && text[byte..].starts_with("/*!")) {
            return Err(comment_is_code(text, byte));
        }
        let start = byte;
        while before(at, token.span.end) {
            match chars.next() {
                Some((_, '\n')) => at = Location::new(at.line + 1, 1),
                Some(_) => at.column += 1,
                None => break,
            }
            byte = chars.offset();
        }
        out.push(start..byte);
    }
    if byte < text.len() {
        return Err(comment_is_code(text, byte));
    }
    Ok(out)
}

fn comment_is_code(text: &str, start: usize) -> TextProblem {
    let end = text[start..].find("*/").map_or(text.len(), |n| start + n + 2);
    TextProblem::error("a comment that starts with `/*!` is run as code by some engines", start..end)
        .help("remove the `!`")
}

fn tokenizer_problem(text: &str, error: &TokenizerError) -> TextProblem {
    if error.message.contains("comment") {
        let place = text.rfind("/*").map(|at| at..at + 2);
        return TextProblem::error("this comment is never closed", place).help("close it with `*/`");
    }
    let start = byte_of(text, error.location);
    let rest = &text[start..];
    let end = start + rest.find('\n').unwrap_or(rest.len());
    let message = error.message.trim_end_matches('.');
    let mut chars = message.chars();
    let message: String =
        chars.next().into_iter().flat_map(char::to_lowercase).chain(chars).collect::<String>();
    let problem = TextProblem::error(message, start..end.max(start));
    if error.message.contains("Unterminated string") {
        problem.help("close it with `'`; a quote inside a text is written twice: 'don''t'")
    } else {
        problem
    }
}

/// The byte at a location, at most the end of the text.
pub(super) fn byte_of(text: &str, location: Location) -> usize {
    let mut line_start = 0;
    for _ in 1..location.line {
        match text[line_start..].find('\n') {
            Some(n) => line_start += n + 1,
            None => return text.len(),
        }
    }
    let column = usize::try_from(location.column.saturating_sub(1)).unwrap_or(usize::MAX);
    text[line_start..].char_indices().nth(column).map_or(text.len(), |(n, _)| line_start + n)
}
