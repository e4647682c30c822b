//! Typed reading of a table: each wrong value is a problem with what was expected and what
//! was found, and every key nobody asked for is one with the keys that exist.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::spot::{Located, Spot};
use super::tree::{Entry, Node, Table, Value, looks_secret, user_info};
use super::units::{self, DURATION, Length, SIZE, is_env_name};
use crate::diagnostic::{Problem, Severity, SourceText, TextProblem, did_you_mean};
use crate::graph::Day;

/// Where problems gather.
pub(super) struct Sink {
    /// `pipelines.toml`: what is missing is missing there.
    main: Arc<SourceText>,
    problems: RefCell<Vec<Problem>>,
}

impl Sink {
    pub(super) fn new(main: Arc<SourceText>) -> Self {
        Self { main, problems: RefCell::default() }
    }

    pub(super) fn main(&self) -> &Arc<SourceText> {
        &self.main
    }

    /// A problem of the project as a whole.
    pub(super) fn whole(&self, text: TextProblem) {
        self.push(text.within(&self.main));
    }

    pub(super) fn has(&self, problem: &Problem) -> bool {
        self.problems.borrow().contains(problem)
    }

    pub(super) fn push(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        // One mistake seen from two sides is said once.
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    pub(super) fn at(&self, spot: &Spot, text: TextProblem) {
        self.push(spot.problem(text));
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    pub(super) fn has_errors(&self) -> bool {
        self.problems.borrow().iter().any(|p| p.text.severity == Severity::Error)
    }
}

/// An error whose place is given later.
pub(super) fn error(message: impl Into<String>) -> TextProblem {
    TextProblem::error(message, None)
}

/// A warning whose place is given later.
pub(super) fn warning(message: impl Into<String>) -> TextProblem {
    TextProblem::warning(message, None)
}

/// "did you mean `x`? " for the front of a help text, or nothing.
pub(super) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match did_you_mean(word, known) {
        Some(near) => format!("did you mean `{near}`? "),
        None => String::new(),
    }
}

/// `a, b, c`.
pub(super) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// A table being read.
pub(super) struct Fields<'t> {
    /// `assets.silver_posts`; empty for the whole file.
    pub path: String,
    /// Where the table is named; `None` for the whole file.
    pub at: Option<Spot>,
    table: &'t Table,
    known: Vec<&'static str>,
    sink: &'t Sink,
}

impl<'t> Fields<'t> {
    pub(super) fn root(table: &'t Table, sink: &'t Sink) -> Self {
        Self { path: String::new(), at: None, table, known: Vec::new(), sink }
    }

    /// A table under this one; a problem when the entry is something else.
    pub(super) fn of(path: String, entry: &'t Entry, sink: &'t Sink) -> Option<Self> {
        Self::of_node(path, &entry.node, entry.at.clone(), sink)
    }

    pub(super) fn of_node(path: String, node: &'t Node, at: Spot, sink: &'t Sink) -> Option<Self> {
        match &node.value {
            Value::Table(table) => Some(Self { path, at: Some(at), table, known: Vec::new(), sink }),
            Value::Refused => None,
            other => {
                sink.at(
                    &node.spot,
                    error(format!("`{path}` must be a table, found {}", other.kind()))
                        .label(other.kind())
                        .help(format!("write it as [{path}] with its keys below")),
                );
                None
            }
        }
    }

    pub(super) fn sink(&self) -> &'t Sink {
        self.sink
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn entry(&mut self, key: &'static str) -> Option<&'t Entry> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Every entry, in the order written, for tables whose keys are the user's own names.
    pub(super) fn all(&self) -> &'t [Entry] {
        &self.table.entries
    }

    /// Marks a key as understood without reading it.
    pub(super) fn allow(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.entry(key);
        }
    }

    pub(super) fn wrong(&self, node: &Node, key: &str, expected: &str) {
        if !matches!(node.value, Value::Refused) {
            self.sink.at(
                &node.spot,
                error(format!("`{}` must be {expected}, found {}", self.path_of(key), node.value.kind()))
                    .label(node.value.kind()),
            );
        }
    }

    /// Says that a key is missing, unless it is there (and then perhaps wrong).
    pub(super) fn need(&self, key: &str, help: &str) {
        if self.has(key) {
            return;
        }
        let message = match self.path.as_str() {
            "" => format!("`{key}` is missing"),
            path => format!("[{path}] needs `{key}`"),
        };
        match &self.at {
            Some(at) => self.sink.at(at, error(message).help(help)),
            // What the whole file lacks is told at its first character.
            None => {
                let text = TextProblem::error(message, 0..0).help(help);
                self.sink.push(text.within(self.sink.main()));
            }
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<Located<String>> {
        let entry = self.entry(key)?;
        let text = self.text_of(&entry.node, key, "a string")?;
        if text.value.trim().is_empty() {
            self.sink.at(
                &text.spot,
                error(format!("`{}` is empty", self.path_of(key)))
                    .help("write a value, or leave the key out"),
            );
            return None;
        }
        Some(text)
    }

    fn text_of(&self, node: &Node, key: &str, expected: &str) -> Option<Located<String>> {
        match &node.value {
            Value::Text(text) => Some(Located::new(text.clone(), node.spot.clone())),
            _ => {
                self.wrong(node, key, expected);
                None
            }
        }
    }

    /// A text without its place.
    pub(super) fn string(&mut self, key: &'static str) -> Option<String> {
        self.text(key).map(|t| t.value)
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let entry = self.entry(key)?;
        match entry.node.value {
            Value::Flag(flag) => Some(flag),
            _ => {
                self.wrong(&entry.node, key, "true or false");
                None
            }
        }
    }

    pub(super) fn integer(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let entry = self.entry(key)?;
        self.integer_of(&entry.node, key, range)
    }

    pub(super) fn integer_of(&self, node: &Node, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        match node.value {
            Value::Integer(n) if range.contains(&n) => Some(n),
            Value::Integer(n) => {
                let limits = if *range.end() == i64::MAX {
                    format!("at least {}", range.start())
                } else {
                    format!("between {} and {}", range.start(), range.end())
                };
                self.sink
                    .at(&node.spot, error(format!("`{}` must be {limits}, found {n}", self.path_of(key))));
                None
            }
            _ => {
                self.wrong(node, key, "an integer");
                None
            }
        }
    }

    /// A number that is not negative.
    pub(super) fn amount(&mut self, key: &'static str) -> Option<f64> {
        let entry = self.entry(key)?;
        let n = match entry.node.value {
            Value::Integer(n) => n as f64,
            Value::Float(n) => n,
            _ => {
                self.wrong(&entry.node, key, "a number");
                return None;
            }
        };
        if n < 0.0 {
            self.sink.at(&entry.node.spot, error(format!("`{}` must not be negative", self.path_of(key))));
            return None;
        }
        Some(n)
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<Located<String>>> {
        let entry = self.entry(key)?;
        self.texts_of(&entry.node, key)
    }

    pub(super) fn texts_of(&self, node: &Node, key: &str) -> Option<Vec<Located<String>>> {
        let Value::Array(items) = &node.value else {
            self.wrong(node, key, "an array of strings");
            return None;
        };
        let mut out: Vec<Located<String>> = Vec::new();
        for item in items {
            let Some(text) = self.text_of(item, key, "an array of strings") else { continue };
            if text.value.trim().is_empty() {
                self.sink.at(&text.spot, error(format!("`{}` holds an empty string", self.path_of(key))));
            } else if out.iter().any(|t| t.value == text.value) {
                self.sink
                    .at(&text.spot, error(format!("`{}` names \"{}\" twice", self.path_of(key), text.value)));
            } else {
                out.push(text);
            }
        }
        Some(out)
    }

    /// A list of texts that must not be empty.
    pub(super) fn some_texts(&mut self, key: &'static str) -> Option<Vec<Located<String>>> {
        let texts = self.texts(key)?;
        if let (true, Some(Entry { node: Node { spot, value: Value::Array(items) }, .. })) =
            (texts.is_empty(), self.table.get(key))
        {
            if items.is_empty() {
                self.sink
                    .at(spot, error(format!("`{}` is empty", self.path_of(key))).help("name at least one"));
            }
            return None;
        }
        Some(texts)
    }

    /// One word of a closed set.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<Located<T>> {
        let entry = self.entry(key)?;
        let names = || list(words.iter().map(|w| w.0));
        let text = self.text_of(&entry.node, key, &format!("one of {}", names()))?;
        self.choose(&text, key, words).map(|value| Located::new(value, text.spot))
    }

    pub(super) fn choose<T: Copy>(
        &self,
        text: &Located<String>,
        key: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(*value);
        }
        let help = format!(
            "{}one of: {}",
            hint(&text.value, words.iter().map(|w| w.0)),
            list(words.iter().map(|w| w.0))
        );
        self.sink.at(
            &text.spot,
            error(format!("`{}` cannot be \"{}\"", self.path_of(key), text.value)).help(help),
        );
        None
    }

    /// An exact duration in milliseconds.
    pub(super) fn duration(&mut self, key: &'static str) -> Option<i64> {
        let spot = self.entry(key)?.node.spot.clone();
        match self.length(key)? {
            Length::Ms(ms) => Some(ms),
            Length::Months(_) => {
                self.sink.at(
                    &spot,
                    error(format!("`{}` cannot be in months or years", self.path_of(key)))
                        .help("their lengths differ; write days, for example \"30d\""),
                );
                None
            }
        }
    }

    /// An exact duration that is not zero, in milliseconds.
    pub(super) fn positive_duration(&mut self, key: &'static str) -> Option<i64> {
        let ms = self.duration(key)?;
        if ms == 0 {
            if let Some(entry) = self.table.get(key) {
                self.sink.at(&entry.node.spot, error(format!("`{}` must be above zero", self.path_of(key))));
            }
            return None;
        }
        Some(ms)
    }

    /// A duration, exact or in months.
    pub(super) fn length(&mut self, key: &'static str) -> Option<Length> {
        let entry = self.entry(key)?;
        let text = self.text_of(&entry.node, key, DURATION)?;
        let length = units::length(&text.value);
        if length.is_none() {
            self.sink.at(
                &text.spot,
                error(format!("`{}` is not a duration: \"{}\"", self.path_of(key), text.value))
                    .help(format!("write {DURATION} (ms, s, m, h, d, w; mo and y where months make sense)")),
            );
        }
        length
    }

    /// A size in bytes, above zero.
    pub(super) fn size(&mut self, key: &'static str) -> Option<u64> {
        let entry = self.entry(key)?;
        let text = self.text_of(&entry.node, key, SIZE)?;
        let size = units::size(&text.value).filter(|s| *s > 0);
        if size.is_none() {
            self.sink.at(
                &text.spot,
                error(format!("`{}` is not a size: \"{}\"", self.path_of(key), text.value))
                    .help(format!("write {SIZE}")),
            );
        }
        size
    }

    /// A day, as a string or a native TOML date.
    pub(super) fn day(&mut self, key: &'static str) -> Option<Located<Day>> {
        let entry = self.entry(key)?;
        let (Value::Text(text) | Value::Date(text)) = &entry.node.value else {
            self.wrong(&entry.node, key, "a date such as \"2026-08-01\"");
            return None;
        };
        match text.parse::<Day>() {
            Ok(day) => Some(Located::new(day, entry.node.spot.clone())),
            Err(_) => {
                self.sink.at(
                    &entry.node.spot,
                    error(format!("`{}` is not a date: \"{text}\"", self.path_of(key)))
                        .help("write it as YYYY-MM-DD, for example \"2026-08-01\""),
                );
                None
            }
        }
    }

    /// The name of an environment variable. The value is never repeated in a message.
    pub(super) fn env_name(&mut self, key: &'static str) -> Option<String> {
        let text = self.text(key)?;
        if is_env_name(&text.value) {
            return Some(text.value);
        }
        self.sink.at(
            &text.spot,
            error(format!("`{}` must name an environment variable", self.path_of(key)))
                .help("capital letters, digits and _ only; put the secret itself into that variable"),
        );
        None
    }

    /// An http(s) address.
    pub(super) fn url(&mut self, key: &'static str) -> Option<String> {
        let text = self.text(key)?;
        self.check_url(&text, key).then_some(text.value)
    }

    /// A list of http(s) addresses.
    pub(super) fn urls(&mut self, key: &'static str) -> Option<Vec<String>> {
        let texts = self.some_texts(key)?;
        Some(texts.into_iter().filter(|t| self.check_url(t, key)).map(|t| t.value).collect())
    }

    fn check_url(&self, text: &Located<String>, key: &str) -> bool {
        let path = self.path_of(key);
        if user_info(&text.value).is_some() {
            self.sink.at(
                &text.spot,
                error(format!("`{path}` holds a user name or password"))
                    .help("take it out of the address; secrets live in environment variables"),
            );
            return false;
        }
        let rest = text.value.strip_prefix("https://").or_else(|| text.value.strip_prefix("http://"));
        if !rest.is_some_and(|r| r.starts_with(|c: char| c.is_alphanumeric() || c == '[')) {
            self.sink.at(
                &text.spot,
                error(format!("`{path}` is not a web address: \"{}\"", text.value))
                    .help("it starts with https:// or http://"),
            );
            return false;
        }
        true
    }

    /// A table under a key.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Fields<'t>> {
        let entry = self.entry(key)?;
        Fields::of(self.path_of(key), entry, self.sink)
    }

    /// Tables under a key, each with its own name, in the order written.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<(&'t Entry, Fields<'t>)> {
        let Some(fields) = self.table(key) else { return Vec::new() };
        fields
            .all()
            .iter()
            .filter_map(|e| Fields::of(fields.path_of(&e.key), e, self.sink).map(|f| (e, f)))
            .collect()
    }

    /// Ends the reading: what was not asked for is unknown.
    pub(super) fn finish(self) {
        self.finish_with(|_| None);
    }

    /// As [`Self::finish`]; `special` may say something better about an unknown key.
    pub(super) fn finish_with(self, special: impl Fn(&str) -> Option<TextProblem>) {
        for entry in &self.table.entries {
            let key = entry.key.as_str();
            if self.known.contains(&key) {
                continue;
            }
            let place = match self.path.as_str() {
                "" => "at the top level".to_string(),
                path => format!("in [{path}]"),
            };
            if looks_secret(key) {
                let named = format!("{key}_env");
                let wanted = if self.known.contains(&named.as_str()) {
                    Some(named.as_str())
                } else {
                    did_you_mean(&named, self.known.iter().copied().filter(|k| k.ends_with("_env")))
                };
                let wanted = wanted.map_or(named.clone(), str::to_string);
                self.sink.at(
                    &entry.at,
                    error(format!("`{key}` looks like a secret, and secrets do not live in this file"))
                        .label("a secret")
                        .help(format!("name an environment variable: {wanted} = \"NAME_OF_THE_VARIABLE\"")),
                );
                continue;
            }
            if let Some(problem) = special(key) {
                self.sink.at(&entry.at, problem);
                continue;
            }
            let mut known = self.known.clone();
            known.sort_unstable();
            self.sink.at(
                &entry.at,
                error(format!("unknown key `{key}` {place}")).label("not a key").help(format!(
                    "{}the keys here are: {}",
                    hint(key, known.iter().copied()),
                    list(known.iter().copied())
                )),
            );
        }
    }
}

impl Fields<'_> {
    /// Where a key stands, without marking it as understood.
    pub(super) fn entry_at(&self, key: &str) -> Option<Spot> {
        self.table.get(key).map(|e| e.at.clone())
    }
}
