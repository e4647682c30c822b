//! The text of a selection: its grammar, and errors that point into it.
//!
//! Invariant: reading depends on the text alone; whether names exist is found when the
//! selection is resolved. Nesting is bounded. May not block.

use std::fmt;

use super::asset::{AssetKind, Layer};
use crate::diagnostic::did_you_mean;

/// The words that `status:` knows.
pub const STATUS_WORDS: [&str; 5] = ["stale", "missing", "failed", "fresh", "incomplete"];

const KEYS: [&str; 5] = ["tag", "layer", "kind", "status", "owner"];

/// Parentheses and `not`s inside each other.
const MAX_DEPTH: usize = 64;

/// Why a text is no selection, or selects nothing in this graph.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct SelectError {
    /// Where it is wrong: the 1-based number of the character.
    pub column: usize,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The whole text.
    pub text: String,
}

impl fmt::Display for SelectError {
    /// The message, the text with a caret under the column, and the help; several lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 60;
        f.write_str(&self.message)?;
        if self.text.trim().is_empty() {
            return match &self.help {
                Some(help) => write!(f, "\n  help: {help}"),
                None => Ok(()),
            };
        }
        writeln!(f)?;
        let at = self.column.saturating_sub(1);
        let from = at.saturating_sub(SHOWN);
        let before = if from > 0 { "…" } else { "" };
        let shown: String = self
            .text
            .chars()
            .skip(from)
            .take(2 * SHOWN)
            .map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c })
            .collect();
        let after = if self.text.chars().nth(from + 2 * SHOWN).is_some() { "…" } else { "" };
        writeln!(f, "  {before}{}{after}", shown.trim_end())?;
        write!(f, "  {}^", " ".repeat(at - from + before.chars().count()))?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Node {
    /// `column` is that of the name or value.
    Term {
        what: What,
        column: usize,
    },
    /// The inside with what is up to so many steps up and down; 0 for none.
    Expand {
        up: usize,
        down: usize,
        inside: Box<Node>,
    },
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    Name(String),
    Tag(String),
    Owner(String),
    Layers(Vec<Layer>),
    Kinds(Vec<AssetKind>),
    Status(Vec<&'static str>),
}

/// Reads a whole text.
pub(super) fn read(text: &str) -> Result<Node, SelectError> {
    let mut parser = Parser { text, chars: text.chars().collect(), at: 0, depth: 0 };
    parser.space();
    if parser.peek().is_none() {
        return Err(parser.error(0, "nothing is selected").help("`*` selects everything"));
    }
    let root = parser.or()?;
    match parser.peek() {
        None => Ok(root),
        Some(_) => Err(parser.error(parser.at, "this `)` closes nothing")),
    }
}

impl SelectError {
    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

struct Parser<'a> {
    text: &'a str,
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn error(&self, at: usize, message: impl Into<String>) -> SelectError {
        SelectError { column: at + 1, message: message.into(), help: None, text: self.text.to_string() }
    }

    /// Takes a keyword that stands here as a whole word.
    fn keyword(&mut self, word: &str) -> bool {
        self.space();
        let end = self.at + word.len();
        let same = self
            .chars
            .get(self.at..end)
            .is_some_and(|chars| chars.iter().zip(word.chars()).all(|(c, w)| c.eq_ignore_ascii_case(&w)));
        let whole = self.chars.get(end).is_none_or(|&c| c.is_whitespace() || ends_word(c));
        if same && whole {
            self.at = end;
        }
        same && whole
    }

    fn deeper(&mut self) -> Result<(), SelectError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(self.at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    fn or(&mut self) -> Result<Node, SelectError> {
        let mut parts = vec![self.and()?];
        loop {
            self.space();
            match self.peek() {
                None | Some(')') => break,
                Some(_) => {
                    self.keyword("or");
                    parts.push(self.and()?);
                }
            }
        }
        Ok(one_or(parts, Node::Or))
    }

    fn and(&mut self) -> Result<Node, SelectError> {
        let mut parts = vec![self.not()?];
        while self.keyword("and") {
            parts.push(self.not()?);
        }
        Ok(one_or(parts, Node::And))
    }

    fn not(&mut self) -> Result<Node, SelectError> {
        if !self.keyword("not") {
            return self.term();
        }
        self.deeper()?;
        let inside = self.not()?;
        self.depth -= 1;
        Ok(match inside {
            Node::Not(twice) => *twice,
            inside => Node::Not(Box::new(inside)),
        })
    }

    fn term(&mut self) -> Result<Node, SelectError> {
        self.space();
        let up = self.steps_up()?;
        let start = self.at;
        let inside = match self.peek() {
            Some('(') => {
                self.deeper()?;
                self.at += 1;
                let inside = self.or()?;
                self.depth -= 1;
                if self.peek() != Some(')') {
                    return Err(self.error(start, "this `(` is never closed").help("close it with `)`"));
                }
                self.at += 1;
                inside
            }
            _ => self.word(start)?,
        };
        let down = self.steps_down()?;
        if let Some(c) = self.peek()
            && !c.is_whitespace()
            && !ends_word(c)
        {
            return Err(self.unexpected(c));
        }
        Ok(if (up, down) == (0, 0) { inside } else { Node::Expand { up, down, inside: Box::new(inside) } })
    }

    /// `+` is all the steps, `2+` are two.
    fn steps_up(&mut self) -> Result<usize, SelectError> {
        let digits = self.chars[self.at..].iter().take_while(|c| c.is_ascii_digit()).count();
        if self.chars.get(self.at + digits) != Some(&'+') {
            return Ok(0);
        }
        let steps = self.number(digits)?;
        self.at += 1;
        Ok(steps)
    }

    fn steps_down(&mut self) -> Result<usize, SelectError> {
        if self.peek() != Some('+') {
            return Ok(0);
        }
        self.at += 1;
        let digits = self.chars[self.at..].iter().take_while(|c| c.is_ascii_digit()).count();
        self.number(digits)
    }

    fn number(&mut self, digits: usize) -> Result<usize, SelectError> {
        if digits == 0 {
            return Ok(usize::MAX);
        }
        let start = self.at;
        let text: String = self.chars[start..start + digits].iter().collect();
        self.at += digits;
        match text.parse() {
            Ok(steps) if (1..=9_999).contains(&steps) => Ok(steps),
            _ => Err(self
                .error(start, format!("`{text}` is no number of steps"))
                .help("`2+name` is two steps upstream, `+name` all of them")),
        }
    }

    /// A name, or a key with a value.
    fn word(&mut self, start: usize) -> Result<Node, SelectError> {
        let rest = &self.chars[start..];
        let length = rest.iter().position(|&c| c.is_whitespace() || ends_word(c)).unwrap_or(rest.len());
        let word = &rest[..length];
        if let Some(colon) = word.iter().position(|&c| c == ':') {
            let key: String = word[..colon].iter().collect();
            // An owner may hold a `+`: only one with digits after it to the end means steps.
            let digits = word.iter().rev().take_while(|c| c.is_ascii_digit()).count();
            let plus = (length - digits).checked_sub(1).filter(|&at| at > colon && word[at] == '+');
            let end = plus.unwrap_or(length);
            let value: String = word[colon + 1..end].iter().collect();
            self.at = start + end;
            let column = start + colon + 2;
            return Ok(Node::Term { what: self.keyed(start, &key, column, value)?, column });
        }
        let length = word.iter().position(|&c| c == '+').unwrap_or(length);
        for (at, &c) in word[..length].iter().enumerate() {
            if !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '*') {
                self.at = start + at;
                return Err(self.unexpected(c));
            }
        }
        let name: String = word[..length].iter().collect();
        self.at = start + length;
        match name.as_str() {
            "" => Err(self.nothing_here(start)),
            "and" | "or" => Err(self
                .error(start, format!("expected a name, found `{name}`"))
                .help(format!("`{name}` joins two terms"))),
            "not" => Err(self.error(self.at, "expected a name after `not`")),
            _ => Ok(Node::Term { what: What::Name(name), column: start + 1 }),
        }
    }

    fn nothing_here(&self, at: usize) -> SelectError {
        let before: String = self.chars[..at].iter().collect();
        let before = before.trim_end();
        if before.ends_with('+') {
            return self
                .error(at, "expected a name after `+`")
                .help("the `+` touches its name: `+name` is all upstream, `name+` all downstream");
        }
        let error = match self.chars.get(at) {
            Some(')') => self.error(at, "expected a name, found `)`"),
            _ => match before.split(|c: char| c.is_whitespace() || ends_word(c)).next_back() {
                Some(last) if !last.is_empty() => {
                    self.error(at, format!("expected a name after `{}`", visible(last)))
                }
                _ => self.error(at, "expected a name"),
            },
        };
        error.help("name an asset, or write tag:… layer:… kind:… status:… owner:…")
    }

    fn unexpected(&self, c: char) -> SelectError {
        let error = |message: String| self.error(self.at, message);
        let found = format!("`{}` means nothing here", c.escape_debug());
        match c {
            ',' | ';' | '|' => error(found).help("put a space or `or` between terms"),
            '&' => error(found).help("write `and`"),
            '!' | '~' | '-' | '^' if self.starts_term() => error(found).help("write `not`"),
            '@' | '[' => error(found).help("days are chosen by --partition, --from and --to"),
            '?' => error(found).help("`*` stands for any letters"),
            'A'..='Z' => error(format!("`{c}` is in no name")).help("names are in lower case"),
            _ if self.chars[..self.at].ends_with(&['+']) || self.chars[..self.at].ends_with(&[')']) => {
                error("expected a space".to_string()).help("put a space, `or` or `and` between terms")
            }
            _ => error(found).help("a name holds a-z, 0-9 and _; `*` stands for any letters"),
        }
    }

    fn starts_term(&self) -> bool {
        self.at.checked_sub(1).is_none_or(|before| {
            let c = self.chars[before];
            c.is_whitespace() || ends_word(c)
        })
    }

    fn keyed(&self, start: usize, key: &str, column: usize, value: String) -> Result<What, SelectError> {
        let (shown, shown_key) = (visible(&value), visible(key));
        let wrong = |help: Option<&str>, known: &[&str]| {
            let message = if value.is_empty() {
                format!("expected a value after `{shown_key}:`")
            } else {
                format!("`{shown_key}:` knows no `{shown}`")
            };
            let error = self.error(column - 1, message);
            match help {
                Some(meant) => error.help(format!("did you mean `{meant}`?")),
                None if known.is_empty() => error,
                None => error.help(format!("it knows {}", known.join(", "))),
            }
        };
        let among = |known: &[&'static str]| {
            let found: Vec<&'static str> = known.iter().copied().filter(|k| matches(&value, k)).collect();
            if found.is_empty() {
                Err(wrong(did_you_mean(&value, known.iter().copied()), known))
            } else {
                Ok(found)
            }
        };
        match key {
            "tag" | "owner" if value.is_empty() => Err(wrong(None, &[])),
            "tag" => Ok(What::Tag(value)),
            "owner" => Ok(What::Owner(value)),
            "layer" => {
                let layers = [Layer::Bronze, Layer::Silver, Layer::Gold, Layer::System];
                let found = among(&layers.map(Layer::as_str))?;
                Ok(What::Layers(layers.into_iter().filter(|l| found.contains(&l.as_str())).collect()))
            }
            "kind" => {
                let kinds = [AssetKind::Source, AssetKind::Sql, AssetKind::Enrich, AssetKind::System];
                let found = among(&kinds.map(AssetKind::as_str))?;
                Ok(What::Kinds(kinds.into_iter().filter(|k| found.contains(&k.as_str())).collect()))
            }
            "status" => Ok(What::Status(among(&STATUS_WORDS)?)),
            _ => {
                let error = self.error(start, format!("`{shown_key}:` is no way to select"));
                Err(match did_you_mean(key, KEYS) {
                    Some(meant) => error.help(format!("did you mean `{meant}:`?")),
                    None => error.help(format!("there are {}:", KEYS.join(":, "))),
                })
            }
        }
    }
}

/// The text with control characters written out.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

fn ends_word(c: char) -> bool {
    matches!(c, '(' | ')')
}

fn one_or(mut parts: Vec<Node>, many: impl FnOnce(Vec<Node>) -> Node) -> Node {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            many(parts)
        }
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters, also none.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        // The leftmost place leaves the most room for what follows.
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}
