//! Reads `issue_taxonomy.toml`: every mistake in one pass, each with its span.

use std::collections::HashMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::phrase::Phrase;
use super::taxonomy::IssueType;
use crate::diagnostic::{Severity, TextProblem, did_you_mean};

/// An issue type with its phrases, each with its canonical spelling.
pub(super) struct IssueDef {
    pub issue: IssueType,
    pub include: Vec<Phrase>,
    pub exclude: Vec<Phrase>,
}

/// The only version of the file's form that there is.
const FORM: u64 = 1;
const ROOT_KEYS: [&str; 2] = ["version", "issue"];
const ISSUE_KEYS: [&str; 8] =
    ["id", "title", "description", "priority", "customer_voice", "fallback", "include", "exclude"];

/// The issue types in the order of the file, and warnings; or everything that is wrong.
pub(super) fn read(text: &str) -> Result<(Vec<IssueDef>, Vec<TextProblem>), Vec<TextProblem>> {
    let root = match DeTable::parse(text) {
        Ok(root) => root,
        // Nothing after a syntax error can be trusted: it stands alone.
        Err(e) => return Err(vec![TextProblem::error(first_line(e.message()), e.span())]),
    };
    let mut reader = Reader { problems: Vec::new() };
    let issues = reader.root(root.get_ref());
    let (errors, warnings): (Vec<_>, Vec<_>) =
        reader.problems.into_iter().partition(|p| p.severity == Severity::Error);
    if errors.is_empty() { Ok((issues, warnings)) } else { Err(errors.into_iter().chain(warnings).collect()) }
}

fn first_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join(", ")
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

struct Reader {
    problems: Vec<TextProblem>,
}

impl Reader {
    fn error(&mut self, message: impl Into<String>, span: Range<usize>, help: impl Into<String>) {
        self.problems.push(TextProblem::error(message, span).help(help));
    }

    fn unknown_keys(&mut self, table: &DeTable<'_>, known: &[&str]) {
        for (key, _) in table {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let help = match did_you_mean(name, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the keys here are {}", known.join(", ")),
            };
            self.error(format!("unknown key `{name}`"), key.span(), help);
        }
    }

    fn root(&mut self, root: &DeTable<'_>) -> Vec<IssueDef> {
        self.unknown_keys(root, &ROOT_KEYS);
        match root.get("version") {
            None => self.problems.push(
                TextProblem::error("the version of the file's form is missing", None)
                    .help(format!("begin the file with version = {FORM}")),
            ),
            Some(value) => match integer(value.get_ref()) {
                Some(v) if v == FORM as i64 => {}
                _ => self.error(
                    "unknown version",
                    value.span(),
                    format!("this program reads version = {FORM}"),
                ),
            },
        }
        let mut issues: Vec<(IssueDef, Range<usize>)> = Vec::new();
        let Some(list) = root.get("issue") else {
            self.problems.push(
                TextProblem::error("no issue type is declared", None)
                    .help("add [[issue]] tables with id and title"),
            );
            return Vec::new();
        };
        let DeValue::Array(list) = list.get_ref() else {
            self.error(
                format!("`issue` is {}, not a list of tables", type_name(list.get_ref())),
                list.span(),
                "write [[issue]] with two brackets before each issue type",
            );
            return Vec::new();
        };
        for value in list.iter() {
            let DeValue::Table(table) = value.get_ref() else {
                self.error(
                    format!("expected a table, found {}", type_name(value.get_ref())),
                    value.span(),
                    "write [[issue]] before each issue type",
                );
                continue;
            };
            if let Some(read) = self.issue(table, value.span()) {
                if issues.iter().any(|(other, _)| other.issue.id == read.0.issue.id) {
                    self.error(
                        format!("issue type `{}` is declared twice", read.0.issue.id),
                        read.1.clone(),
                        "give it another id, or join the two",
                    );
                }
                issues.push(read);
            }
        }
        let fallbacks: Vec<_> = issues.iter().filter(|(i, _)| i.issue.fallback).collect();
        match fallbacks.as_slice() {
            [_] => {}
            [] if self.problems.is_empty() => self.problems.push(
                TextProblem::error("no issue type is the fallback", None)
                    .help("give one issue type fallback = true: it takes what nothing else matches"),
            ),
            [] => {}
            [first, second, ..] => {
                let (message, span) = (
                    format!("`{}` is a second fallback, after `{}`", second.0.issue.id, first.0.issue.id),
                    second.1.clone(),
                );
                self.error(message, span, "only one issue type can take what nothing else matches");
            }
        }
        self.repeated_phrases(&issues);
        let rules: usize = issues.iter().map(|(i, _)| i.include.len()).sum();
        if issues.len() >= usize::from(u16::MAX) || rules >= usize::from(u16::MAX) {
            self.problems.push(TextProblem::error("more than 65,000 issue types or include phrases", None));
        }
        issues.into_iter().map(|(issue, _)| issue).collect()
    }

    /// A phrase that two issue types of equal priority include never counts for the second.
    fn repeated_phrases(&mut self, issues: &[(IssueDef, Range<usize>)]) {
        let mut first: HashMap<(i32, &Phrase), &str> = HashMap::new();
        let mut warnings = Vec::new();
        for (def, span) in issues {
            for phrase in &def.include {
                match first.get(&(def.issue.priority, phrase)) {
                    Some(&id) if id != def.issue.id => warnings.push(
                        TextProblem::warning(
                            format!(
                                "`{phrase}` of `{}` alone never decides: `{id}` has it too, with the same priority",
                                def.issue.id
                            ),
                            span.clone(),
                        )
                        .help("give one of the two a higher priority, or remove the phrase"),
                    ),
                    Some(_) => {}
                    None => {
                        first.insert((def.issue.priority, phrase), &def.issue.id);
                    }
                }
            }
        }
        self.problems.extend(warnings);
    }

    fn issue(&mut self, table: &DeTable<'_>, span: Range<usize>) -> Option<(IssueDef, Range<usize>)> {
        self.unknown_keys(table, &ISSUE_KEYS);
        let id = self.string(table, "id");
        // What the whole table is blamed for is shown at its id.
        let span = id.as_ref().map_or(span, |(_, at)| at.clone());
        let Some((id, _)) = id else {
            if table.get("id").is_none() {
                self.error("an issue type has no id", span, "add id = \"DELIVERY_DELAY\"");
            }
            return None;
        };
        let well_formed = id.starts_with(|c: char| c.is_ascii_uppercase())
            && id.len() <= 64
            && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if !well_formed {
            self.error(
                format!("`{id}` is not an id"),
                span.clone(),
                "an id is written in capitals, digits and underscores, such as DELIVERY_DELAY",
            );
        }
        let title = match self.string(table, "title") {
            Some((title, at)) => {
                if title.trim().is_empty() {
                    self.error(
                        format!("the title of `{id}` is empty"),
                        at,
                        "say in two or three words what it is",
                    );
                }
                title
            }
            None => {
                if table.get("title").is_none() {
                    self.error(
                        format!("issue type `{id}` has no title"),
                        span.clone(),
                        "add title = \"…\": what people read",
                    );
                }
                String::new()
            }
        };
        let description = self.string(table, "description").map(|d| d.0).unwrap_or_default();
        let customer_voice = self.flag(table, "customer_voice", true);
        let fallback = self.flag(table, "fallback", false);
        let priority = match table.get("priority") {
            Some(value) => match integer(value.get_ref()).and_then(|n| i32::try_from(n).ok()) {
                Some(n) => n,
                None => {
                    self.error(
                        format!("priority is a whole number, not {}", type_name(value.get_ref())),
                        value.span(),
                        "the greater number wins when several issue types match",
                    );
                    0
                }
            },
            None if fallback => i32::MIN,
            None => {
                self.error(
                    format!("issue type `{id}` has no priority"),
                    span.clone(),
                    "add priority = 50: the greater number wins when several issue types match",
                );
                0
            }
        };
        let include = self.phrases(table, "include", &id);
        let exclude = self.phrases(table, "exclude", &id);
        if fallback {
            for key in ["include", "exclude"] {
                if let Some(value) = table.get(key) {
                    self.error(
                        format!("the fallback `{id}` has {key} phrases"),
                        value.span(),
                        "it takes what nothing else matches; remove them",
                    );
                }
            }
        } else if table.get("include").is_none_or(|v| v.get_ref().as_array().is_some_and(|a| a.is_empty())) {
            self.error(
                format!("issue type `{id}` includes nothing"),
                span.clone(),
                "add include = [\"…\"], or fallback = true if it takes what nothing else matches",
            );
        }
        let issue = IssueType { id, title, description, priority, customer_voice, fallback };
        Some((IssueDef { issue, include, exclude }, span))
    }

    fn string(&mut self, table: &DeTable<'_>, key: &str) -> Option<(String, Range<usize>)> {
        let value = table.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some((text.to_string(), value.span())),
            other => {
                self.error(
                    format!("{key} is a string, not {}", type_name(other)),
                    value.span(),
                    "put it in quotes",
                );
                None
            }
        }
    }

    fn flag(&mut self, table: &DeTable<'_>, key: &str, default: bool) -> bool {
        match table.get(key) {
            None => default,
            Some(value) => match value.get_ref() {
                DeValue::Boolean(b) => *b,
                other => {
                    let message = format!("{key} is true or false, not {}", type_name(other));
                    self.error(message, value.span(), "write true or false without quotes");
                    default
                }
            },
        }
    }

    fn phrases(&mut self, table: &DeTable<'_>, key: &str, id: &str) -> Vec<Phrase> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let DeValue::Array(list) = value.get_ref() else {
            self.error(
                format!("{key} is a list of phrases, not {}", type_name(value.get_ref())),
                value.span(),
                format!("write {key} = [\"…\", \"…\"]"),
            );
            return Vec::new();
        };
        let mut out: Vec<Phrase> = Vec::new();
        for item in list.iter() {
            let DeValue::String(text) = item.get_ref() else {
                let message = format!("a phrase is a string, not {}", type_name(item.get_ref()));
                self.error(message, item.span(), "put it in quotes");
                continue;
            };
            match Phrase::parse(text) {
                Ok(phrase) if out.contains(&phrase) => self.problems.push(
                    TextProblem::warning(format!("`{phrase}` stands twice in {key} of `{id}`"), item.span())
                        .help("remove one"),
                ),
                Ok(phrase) => out.push(phrase),
                Err(e) => self.error(e.message, item.span(), e.help),
            }
        }
        out
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).ok(),
        _ => None,
    }
}
