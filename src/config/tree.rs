//! A TOML text as a tree that remembers where everything stands, and how trees of a base
//! file, a profile and overlays become one.
//!
//! Entries keep the order in which they were written (brands are matched in that order).
//! The texts that problems show are masked where a value looks like a secret.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::spot::Spot;
use super::units::is_env_name;
use crate::diagnostic::{Problem, SourceText, TextProblem};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub spot: Spot,
    pub value: Value,
}

/// What TOML can say.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    /// A native date or time, as text.
    Date(String),
    Array(Vec<Node>),
    Table(Table),
    /// Refused already; readers stay silent about it.
    Refused,
}

impl Value {
    /// What it is, with its article, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Flag(_) => "a boolean",
            Value::Date(_) => "a date",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
            Value::Refused => "a value out of range",
        }
    }
}

/// Keys and values in the order they were written.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub entries: Vec<Entry>,
}

/// One key of a table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    /// Where the key stands.
    pub at: Spot,
    pub node: Node,
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == key)
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Entry> {
        let at = self.entries.iter().position(|e| e.key == key)?;
        Some(self.entries.remove(at))
    }

    /// Lays `over` on top: tables merge key by key, everything else is replaced.
    pub(super) fn merge(&mut self, over: Table) {
        for entry in over.entries {
            match self.entries.iter_mut().find(|e| e.key == entry.key) {
                None => self.entries.push(entry),
                Some(old) => match (&mut old.node.value, entry.node.value) {
                    (Value::Table(under), Value::Table(over)) => under.merge(over),
                    (_, value) => {
                        old.at = entry.at;
                        old.node = Node { spot: entry.node.spot, value };
                    }
                },
            }
        }
    }
}

/// Reads a text into a tree; the text that comes with it can be shown.
///
/// # Errors
/// The one syntax error; nothing else can be known about the text then.
pub(super) fn load(
    source: &SourceText,
    problems: &mut Vec<Problem>,
) -> Result<(Arc<SourceText>, Table), Box<Problem>> {
    let root = DeTable::parse(&source.text).map_err(|e| Box::new(syntax_error(source, &e)))?;
    let mut masks = Vec::new();
    secrets(root.get_ref(), false, &mut masks);
    let file = Arc::new(SourceText { name: source.name.clone(), text: masked(&source.text, &masks) });
    let table = table(root.get_ref(), &file, problems);
    Ok((file, table))
}

fn syntax_error(source: &SourceText, error: &toml::de::Error) -> Problem {
    let file = Arc::new(SourceText {
        name: source.name.clone(),
        text: masked(&source.text, &secret_lines(&source.text)),
    });
    let mut span = error.span().unwrap_or(0..0);
    // An error at the end of a line is shown on that line, not as an empty place after it.
    span.start = span.start.min(source.text.len());
    span.end = span.end.clamp(span.start, source.text.len());
    let help = match error.message() {
        m if m.starts_with("duplicate key") => {
            "a key or table is written once; join the two, or rename one of them"
        }
        m if m.starts_with("string values must be quoted") => "put the value in quotes: key = \"value\"",
        _ => "the other checks run once the file reads as TOML",
    };
    TextProblem::error(format!("this is not TOML: {}", error.message()), span).help(help).within(&file)
}

fn table(from: &DeTable<'_>, file: &Arc<SourceText>, problems: &mut Vec<Problem>) -> Table {
    let mut entries: Vec<Entry> = from
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            at: Spot { file: file.clone(), span: key.span() },
            node: node(value.get_ref(), value.span(), file, problems),
        })
        .collect();
    entries.sort_by_key(|e| e.at.span.start);
    Table { entries }
}

fn node(from: &DeValue<'_>, span: Range<usize>, file: &Arc<SourceText>, problems: &mut Vec<Problem>) -> Node {
    let spot = Spot { file: file.clone(), span };
    let value = match from {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
            Ok(n) => Value::Integer(n),
            Err(_) => {
                problems.push(
                    spot.problem(
                        TextProblem::error("this number is too large", None)
                            .help(format!("numbers go up to {}", i64::MAX)),
                    ),
                );
                Value::Refused
            }
        },
        DeValue::Float(n) => match n.as_str().parse::<f64>() {
            Ok(n) if n.is_finite() => Value::Float(n),
            _ => {
                problems.push(spot.problem(
                    TextProblem::error("this is not a finite number", None).help("write a plain number"),
                ));
                Value::Refused
            }
        },
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|v| node(v.get_ref(), v.span(), file, problems)).collect())
        }
        DeValue::Table(inner) => Value::Table(table(inner, file, problems)),
    };
    Node { spot, value }
}

/// Whether a key names a secret itself rather than the environment variable that holds it.
pub(super) fn looks_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    if key.ends_with("_env") {
        return false;
    }
    ["_key", "_secret", "_token", "_password", "_passwd", "_credential", "_credentials"]
        .iter()
        .any(|end| key.ends_with(end))
        || [
            "secret",
            "token",
            "password",
            "passwd",
            "apikey",
            "api-key",
            "bearer",
            "credential",
            "credentials",
        ]
        .contains(&key.as_str())
}

/// Tables whose keys are words of the user's data (columns, fields), never settings.
const DATA_TABLES: [&str; 4] = ["map", "columns", "where", "deps"];

/// The text ranges to mask. A sink's address lets anybody post, so it is a secret too.
fn secrets(table: &DeTable<'_>, in_sinks: bool, masks: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let key = key.get_ref().as_ref();
        match value.get_ref() {
            DeValue::String(text) => {
                let named = looks_secret(key)
                    || (key.ends_with("_env") && !is_env_name(text))
                    || (in_sinks && key == "url");
                if named || user_info(text).is_some() {
                    masks.push(value.span());
                }
            }
            DeValue::Table(inner) if !DATA_TABLES.contains(&key) => {
                secrets(inner, in_sinks || key == "sinks", masks);
            }
            DeValue::Array(items) => {
                for item in items {
                    match item.get_ref() {
                        DeValue::Table(inner) => secrets(inner, in_sinks, masks),
                        DeValue::String(text) if looks_secret(key) || user_info(text).is_some() => {
                            masks.push(item.span());
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// The `user:password` part of a URL.
pub(super) fn user_info(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    host.rsplit_once('@').map(|(user, _)| user)
}

/// Whole lines of a text that does not parse, where a key looks like a secret.
fn secret_lines(text: &str) -> Vec<Range<usize>> {
    let mut masks = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        for (at, _) in line.match_indices('=') {
            let key = line[..at].trim_end().trim_end_matches(['"', '\'']);
            let key = key.rsplit(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).next();
            if key.is_some_and(looks_secret) {
                masks.push(start + at + 1..start + line.len());
                break;
            }
        }
        start += line.len();
    }
    masks
}

/// The text with the ranges replaced by `*`, of the same length and lines; quotes stay.
fn masked(text: &str, masks: &[Range<usize>]) -> String {
    if masks.is_empty() {
        return text.to_string();
    }
    let mut bytes = text.as_bytes().to_vec();
    for mask in masks {
        for byte in &mut bytes[mask.clone()] {
            if !matches!(*byte, b'\n' | b'\r' | b'"' | b'\'' | b' ') {
                *byte = b'*';
            }
        }
    }
    // Only whole characters were replaced by ASCII, so the bytes are still UTF-8.
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Table {
        let mut problems = Vec::new();
        let (_, table) = load(&SourceText { name: "t".into(), text: text.into() }, &mut problems).unwrap();
        assert!(problems.is_empty());
        table
    }

    fn show(table: &Table) -> String {
        let parts: Vec<_> = table
            .entries
            .iter()
            .map(|e| match &e.node.value {
                Value::Table(t) => format!("{}={{{}}}", e.key, show(t)),
                Value::Array(items) => format!("{}=[{}]", e.key, items.len()),
                Value::Text(t) => format!("{}={t}", e.key),
                Value::Integer(n) => format!("{}={n}", e.key),
                other => format!("{}={}", e.key, other.kind()),
            })
            .collect();
        parts.join(",")
    }

    #[test]
    fn entries_keep_the_written_order() {
        assert_eq!(show(&tree("z = 1\na = 2\n[m.b]\n[m.a]\n")), "z=1,a=2,m={b={},a={}}");
    }

    #[test]
    fn overlays_merge_tables_and_replace_the_rest() {
        let mut base = tree("[a]\nx = 1\ny = [1, 2]\n[a.t]\np = 1\nq = 2\n");
        base.merge(tree("[a]\ny = [3]\nz = 'n'\n[a.t]\nq = 9\n"));
        assert_eq!(show(&base), "a={x=1,y=[1],t={p=1,q=9},z=n}");
        base.merge(tree("[a]\nt = 'gone'\n"));
        assert_eq!(show(&base), "a={x=1,y=[1],t=gone,z=n}");
    }

    #[test]
    fn secrets_never_reach_the_shown_text() {
        let text = "[s]\napi_key = \"sk-é-123\"\nurl = 'https://me:pw@host/x'\nclient_env = \"not a name\"\nok_env = \"NAME\"\nmap = { raw_key = \"column\" }\n";
        let shown = &tree(text).get("s").unwrap().at.file.text.clone();
        assert_eq!(shown.len(), text.len());
        for secret in ["sk-", "pw@", "not a"] {
            assert!(!shown.contains(secret), "{secret}: {shown}");
        }
        assert!(shown.contains("NAME") && shown.contains("column"));
        let broken = "[s]\nclient_secret = \"abc\"\nx = \n";
        let mut problems = Vec::new();
        let problem = load(&SourceText { name: "t".into(), text: broken.into() }, &mut problems).unwrap_err();
        assert!(!problem.file.as_ref().unwrap().text.contains("abc"));
        assert_eq!(problem.position(), Some((3, 5)));
    }
}
