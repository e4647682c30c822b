//! Reads `risk.toml`, `themes.toml` and `actions.toml`: every mistake in one pass, each with
//! its span.
//!
//! What is wrong is left out and told about; what is right is there, so that a problem in one
//! table hides none in another. Pure.

use std::collections::HashSet;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::classes::Classes;
use super::embedded::{RiskCategory, RiskLevel, Sentiment};
use super::rules::Guard;
use crate::classify::{Phrase, norm};
use crate::diagnostic::{TextProblem, did_you_mean};

/// The only version of the files' form that there is.
const FORM: i64 = 1;

const LEVELS: [(&str, RiskLevel); 2] = [("high", RiskLevel::High), ("medium", RiskLevel::Medium)];
const CATEGORIES: [(&str, RiskCategory); 5] = [
    ("patient_safety", RiskCategory::PatientSafety),
    ("privacy", RiskCategory::Privacy),
    ("legal", RiskCategory::Legal),
    ("financial", RiskCategory::Financial),
    ("retention", RiskCategory::Retention),
];
const GUARDS: [(&str, Guard); 3] =
    [("none", Guard::None), ("negation", Guard::Negation), ("hypothetical", Guard::Hypothetical)];
const SENTIMENTS: [(&str, Sentiment); 3] =
    [("positive", Sentiment::Positive), ("neutral", Sentiment::Neutral), ("negative", Sentiment::Negative)];

/// Something and the bytes of the file where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub value: T,
    pub span: Range<usize>,
}

/// `risk.toml`.
#[derive(Debug, Default)]
pub(super) struct RiskFile {
    pub negations: Vec<String>,
    pub imagined: Vec<String>,
    pub asked: Vec<String>,
    pub clause: Vec<String>,
    /// `[words]`: lists of words that stand for one another.
    pub words: Vec<(At<String>, Vec<At<String>>)>,
    /// The codes of all reasons, of those that were refused too.
    pub codes: Vec<String>,
    pub reasons: Vec<ReasonRow>,
}

/// One `[[reason]]`.
#[derive(Debug)]
pub(super) struct ReasonRow {
    pub code: At<String>,
    pub level: RiskLevel,
    pub category: RiskCategory,
    pub guard: Guard,
    /// Each gives the reason.
    pub include: Vec<At<Phrase>>,
    /// Any two different ones of the table do.
    pub hints: Vec<At<Phrase>>,
}

/// One `[[theme]]`.
#[derive(Debug)]
pub(super) struct ThemeRow {
    pub id: At<String>,
    pub title: String,
    pub description: String,
    pub issues: Vec<At<String>>,
    pub include: Vec<At<Phrase>>,
    /// Ids that it had, and a language model's phrases that mean it.
    pub aliases: Vec<At<String>>,
}

/// One `[[action]]`.
#[derive(Debug)]
pub(super) struct ActionRow {
    pub id: At<String>,
    pub title: String,
    pub reasons: Vec<At<String>>,
    pub themes: Vec<At<String>>,
    pub sentiments: Vec<Sentiment>,
    /// Only for posts that ask something.
    pub asks: bool,
}

/// Reads `risk.toml`.
pub(super) fn risk(text: &str, problems: &mut Vec<TextProblem>) -> RiskFile {
    let mut reader = Reader { problems };
    let Some(root) = reader.parse(text) else { return RiskFile::default() };
    let root = root.get_ref();
    reader.head(root, &["version", "negations", "imagined", "asked", "clause", "words", "reason"]);
    let words = reader.lists(root, "words");
    let classes = Classes::read(&words, reader.problems);
    let mut list = |key: &str| {
        if root.get(key).is_none() {
            let problem = TextProblem::error(format!("the list `{key}` is missing"), None)
                .help(format!("`rxpulse init DIR` writes a table with one; for none write {key} = []"));
            reader.problems.push(problem);
        }
        reader.texts(root, key).into_iter().map(|t| t.value).collect()
    };
    let (negations, imagined, asked, clause) =
        (list("negations"), list("imagined"), list("asked"), list("clause"));
    let (mut codes, mut reasons): (Vec<String>, Vec<ReasonRow>) = Default::default();
    for (table, span) in reader.rows(root, "reason", "code") {
        reader.unknown_keys(table, &["code", "level", "category", "guard", "include", "hints"]);
        let Some(code) = reader.id(table, "code", &span) else { continue };
        reader.twice(&code, reasons.iter().map(|r| &r.code));
        codes.push(code.value.clone());
        let level = reader.one_of(table, "level", &code, &LEVELS);
        let category = reader.one_of(table, "category", &code, &CATEGORIES);
        let guard = reader.one_of(table, "guard", &code, &GUARDS);
        let mut seen = HashSet::new();
        let include = reader.phrases(table, "include", &code, Some(&classes), &mut seen);
        let hints = reader.phrases(table, "hints", &code, Some(&classes), &mut seen);
        let nothing = |key: &str| table.get(key).is_none_or(|v| is_empty(v.get_ref()));
        if nothing("include") && nothing("hints") {
            reader.error(
                format!("the reason `{}` includes nothing", code.value),
                code.span.clone(),
                "add include = [\"a phrase\"], or remove the reason",
            );
        }
        let (Some(level), Some(category), Some(guard)) = (level, category, guard) else { continue };
        reasons.push(ReasonRow { code, level, category, guard, include, hints });
    }
    // What gives a reason by itself gives no hint of another.
    let lists = reasons.iter().map(|r| (r.code.value.as_str(), &r.include));
    reader.repeated(lists.chain(reasons.iter().map(|r| (r.code.value.as_str(), &r.hints))));
    RiskFile { negations, imagined, asked, clause, words, codes, reasons }
}

/// Reads `themes.toml`.
pub(super) fn themes(text: &str, problems: &mut Vec<TextProblem>) -> Vec<ThemeRow> {
    let mut reader = Reader { problems };
    let Some(root) = reader.parse(text) else { return Vec::new() };
    reader.head(root.get_ref(), &["version", "theme"]);
    let mut themes: Vec<ThemeRow> = Vec::new();
    for (table, span) in reader.rows(root.get_ref(), "theme", "id") {
        reader.unknown_keys(table, &["id", "title", "description", "issues", "include", "aliases"]);
        let Some(id) = reader.id(table, "id", &span) else { continue };
        reader.twice(&id, themes.iter().map(|t| &t.id));
        let title = reader.title(table, &id);
        let description = reader.text(table, "description").map(|d| d.value).unwrap_or_default();
        let issues = reader.texts(table, "issues");
        let include = reader.phrases(table, "include", &id, None, &mut HashSet::new());
        let aliases = reader.texts(table, "aliases");
        themes.push(ThemeRow { id, title, description, issues, include, aliases });
    }
    reader.aliases(&themes);
    reader.repeated(themes.iter().map(|t| (t.id.value.as_str(), &t.include)));
    themes
}

/// Reads `actions.toml`.
pub(super) fn actions(text: &str, problems: &mut Vec<TextProblem>) -> Vec<ActionRow> {
    let mut reader = Reader { problems };
    let Some(root) = reader.parse(text) else { return Vec::new() };
    reader.head(root.get_ref(), &["version", "action"]);
    let mut actions: Vec<ActionRow> = Vec::new();
    for (table, span) in reader.rows(root.get_ref(), "action", "id") {
        reader.unknown_keys(table, &["id", "title", "reasons", "themes", "sentiments", "asks"]);
        let Some(id) = reader.id(table, "id", &span) else { continue };
        reader.twice(&id, actions.iter().map(|a| &a.id));
        let title = reader.title(table, &id);
        let (reasons, themes) = (reader.texts(table, "reasons"), reader.texts(table, "themes"));
        let named = reader.texts(table, "sentiments");
        let sentiments = named.iter().filter_map(|s| reader.choose("sentiments", s, &SENTIMENTS)).collect();
        let asks = reader.flag(table, "asks");
        actions.push(ActionRow { id, title, reasons, themes, sentiments, asks });
    }
    actions
}

/// What is compared of an alias and of a model's phrase: neither case nor spaces matter.
pub(super) fn alias_key(text: &str) -> String {
    norm(text).trim().to_string()
}

/// What is wrong with a name that refers to nothing.
pub(super) fn unknown<'a>(
    what: &str,
    name: &At<String>,
    known: impl Iterator<Item = &'a str> + Clone,
) -> TextProblem {
    let help = match did_you_mean(&name.value, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", known.collect::<Vec<_>>().join(", ")),
    };
    TextProblem::error(format!("there is no {what} `{}`", name.value), name.span.clone()).help(help)
}

fn is_empty(value: &DeValue<'_>) -> bool {
    value.as_array().is_some_and(|a| a.is_empty())
}

fn kind(value: &DeValue<'_>) -> &'static str {
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

struct Reader<'p> {
    problems: &'p mut Vec<TextProblem>,
}

impl Reader<'_> {
    fn error(&mut self, message: impl Into<String>, span: Range<usize>, help: impl Into<String>) {
        self.problems.push(TextProblem::error(message, span).help(help));
    }

    fn parse<'a>(&mut self, text: &'a str) -> Option<toml::Spanned<DeTable<'a>>> {
        match DeTable::parse(text) {
            Ok(root) => Some(root),
            Err(e) => {
                let message = e.message().lines().collect::<Vec<_>>().join(", ");
                self.problems.push(
                    TextProblem::error(format!("this is not TOML: {message}"), e.span())
                        .help("the other checks run once the file reads as TOML"),
                );
                None
            }
        }
    }

    fn unknown_keys(&mut self, table: &DeTable<'_>, known: &[&str]) {
        for (key, _) in table {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let help = match did_you_mean(name, known.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("the keys here are {}", known.join(", ")),
                };
                self.error(format!("unknown key `{name}`"), key.span(), help);
            }
        }
    }

    fn head(&mut self, root: &DeTable<'_>, known: &[&str]) {
        self.unknown_keys(root, known);
        match root.get("version") {
            None => self.problems.push(
                TextProblem::error("the version of the file's form is missing", None)
                    .help(format!("begin the file with version = {FORM}")),
            ),
            Some(value) => match value.get_ref() {
                DeValue::Integer(n) if i64::from_str_radix(n.as_str(), n.radix()) == Ok(FORM) => {}
                _ => self.error(
                    "unknown version",
                    value.span(),
                    format!("this program reads version = {FORM}"),
                ),
            },
        }
    }

    /// The tables of a list, each with where it begins.
    fn rows<'a>(
        &mut self,
        root: &'a DeTable<'a>,
        key: &str,
        id: &str,
    ) -> Vec<(&'a DeTable<'a>, Range<usize>)> {
        let help = format!("write [[{key}]] with two brackets before each, then its {id}");
        let list = match root.get(key).map(|v| (v.get_ref(), v.span())) {
            Some((DeValue::Array(list), _)) if !list.is_empty() => list,
            Some((other, span)) => {
                self.error(
                    format!("`{key}` is {}, not a list of tables with something in it", kind(other)),
                    span,
                    help,
                );
                return Vec::new();
            }
            None => {
                self.problems.push(TextProblem::error(format!("no {key} is declared"), None).help(help));
                return Vec::new();
            }
        };
        let mut rows = Vec::new();
        for value in list.iter() {
            match value.get_ref() {
                DeValue::Table(table) => rows.push((table, value.span())),
                other => {
                    self.error(format!("expected a table, found {}", kind(other)), value.span(), help.clone())
                }
            }
        }
        rows
    }

    fn text(&mut self, table: &DeTable<'_>, key: &str) -> Option<At<String>> {
        let value = table.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(At { value: text.to_string(), span: value.span() }),
            other => {
                self.error(
                    format!("{key} is a string, not {}", kind(other)),
                    value.span(),
                    "put it in quotes",
                );
                None
            }
        }
    }

    fn flag(&mut self, table: &DeTable<'_>, key: &str) -> bool {
        let Some(value) = table.get(key) else { return false };
        match value.get_ref() {
            DeValue::Boolean(flag) => *flag,
            other => {
                self.error(
                    format!("{key} is true or false, not {}", kind(other)),
                    value.span(),
                    format!("write {key} = true"),
                );
                false
            }
        }
    }

    /// A word that stands in tables.
    fn id(&mut self, table: &DeTable<'_>, key: &str, span: &Range<usize>) -> Option<At<String>> {
        let Some(id) = self.text(table, key) else {
            if table.get(key).is_none() {
                self.error(
                    format!("{key} is missing"),
                    span.clone(),
                    format!("add {key} = \"a_short_name\": it stands in the tables"),
                );
            }
            return None;
        };
        let fits = id.value.starts_with(|c: char| c.is_ascii_lowercase())
            && id.value.len() <= 64
            && id.value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !fits {
            self.error(
                format!("`{}` is not a {key}", id.value),
                id.span.clone(),
                "it starts with a letter a-z and goes on with at most 63 of a-z, 0-9 and _",
            );
        }
        Some(id)
    }

    fn twice<'a>(&mut self, id: &At<String>, mut others: impl Iterator<Item = &'a At<String>>) {
        if others.any(|o| o.value == id.value) {
            self.error(
                format!("`{}` is declared twice", id.value),
                id.span.clone(),
                "give it another name, or join the two",
            );
        }
    }

    fn title(&mut self, table: &DeTable<'_>, id: &At<String>) -> String {
        let title = self.text(table, "title");
        if title.as_ref().is_some_and(|t| t.value.trim().is_empty()) || table.get("title").is_none() {
            self.error(
                format!("`{}` has no title", id.value),
                id.span.clone(),
                "add title = \"…\": what people read",
            );
        }
        title.map(|t| t.value).unwrap_or_default()
    }

    fn texts(&mut self, table: &DeTable<'_>, key: &str) -> Vec<At<String>> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let DeValue::Array(list) = value.get_ref() else {
            self.error(
                format!("{key} is a list of strings, not {}", kind(value.get_ref())),
                value.span(),
                format!("write {key} = [\"…\", \"…\"]"),
            );
            return Vec::new();
        };
        let mut out = Vec::new();
        for item in list.iter() {
            match item.get_ref() {
                DeValue::String(text) => out.push(At { value: text.to_string(), span: item.span() }),
                other => self.error(
                    format!("{key} holds strings, not {}", kind(other)),
                    item.span(),
                    "put it in quotes",
                ),
            }
        }
        out
    }

    /// A table of lists of strings.
    fn lists(&mut self, root: &DeTable<'_>, key: &str) -> Vec<(At<String>, Vec<At<String>>)> {
        let Some(value) = root.get(key) else { return Vec::new() };
        let DeValue::Table(table) = value.get_ref() else {
            self.error(
                format!("`{key}` is {}, not a table of lists", kind(value.get_ref())),
                value.span(),
                format!("write [{key}] and below it lines such as drug = [\"insulin\"]"),
            );
            return Vec::new();
        };
        let mut out = Vec::new();
        for (name, _) in table.iter() {
            let text = name.get_ref().to_string();
            if !text.bytes().all(|b| b.is_ascii_lowercase()) {
                let help = "a list is named by letters a-z: {medicine} in a phrase stands for it";
                self.error(format!("`{text}` cannot name a list"), name.span(), help);
                continue;
            }
            let entries = self.texts(table, &text);
            out.push((At { value: text, span: name.span() }, entries));
        }
        out
    }

    fn choose<T: Copy>(&mut self, key: &str, text: &At<String>, words: &[(&str, T)]) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == text.value).map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let near = did_you_mean(&text.value, known.iter().copied());
            self.error(
                format!("{key} cannot be \"{}\"", text.value),
                text.span.clone(),
                near.map_or(format!("one of {}", known.join(", ")), |n| format!("did you mean \"{n}\"?")),
            );
        }
        found
    }

    fn one_of<T: Copy>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        of: &At<String>,
        words: &[(&str, T)],
    ) -> Option<T> {
        if table.get(key).is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.error(
                format!("`{}` has no {key}", of.value),
                of.span.clone(),
                format!("add {key} = one of {}", known.join(", ")),
            );
        }
        let text = self.text(table, key)?;
        self.choose(key, &text, words)
    }

    fn phrases(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        of: &At<String>,
        classes: Option<&Classes>,
        seen: &mut HashSet<Phrase>,
    ) -> Vec<At<Phrase>> {
        let mut out: Vec<At<Phrase>> = Vec::new();
        for text in self.texts(table, key) {
            let spellings = match classes {
                Some(classes) => classes.spell(&text, self.problems),
                None => vec![text.value.clone()],
            };
            for spelling in spellings {
                match Phrase::parse(&spelling) {
                    Ok(phrase) if !seen.insert(phrase.clone()) => self.problems.push(
                        TextProblem::warning(
                            format!("`{}` stands twice in {key} of `{}`", text.value, of.value),
                            text.span.clone(),
                        )
                        .help("remove one"),
                    ),
                    Ok(phrase) => out.push(At { value: phrase, span: text.span.clone() }),
                    Err(e) => self.error(e.message, text.span.clone(), e.help),
                }
            }
        }
        out
    }

    /// Another name means one theme.
    fn aliases(&mut self, themes: &[ThemeRow]) {
        let mut first = std::collections::HashMap::new();
        for theme in themes {
            for alias in &theme.aliases {
                let key = alias_key(&alias.value);
                if key.is_empty() {
                    self.error("an alias is empty", alias.span.clone(), "remove it");
                } else if let Some(other) = themes.iter().find(|t| t.id.value == key) {
                    self.error(
                        format!("`{}` is a theme of its own", other.id.value),
                        alias.span.clone(),
                        "remove the alias, or the theme",
                    );
                } else if let Some(other) = first.insert(key, &theme.id.value) {
                    self.error(
                        format!("`{}` stands for `{other}` already", alias.value),
                        alias.span.clone(),
                        "remove one of the two",
                    );
                }
            }
        }
    }

    /// A phrase counts for the first that includes it.
    fn repeated<'a>(&mut self, lists: impl Iterator<Item = (&'a str, &'a Vec<At<Phrase>>)>) {
        let mut first = std::collections::HashMap::new();
        for (id, list) in lists {
            for phrase in list {
                match first.get(&phrase.value) {
                    Some(other) => self.problems.push(
                        TextProblem::warning(
                            format!(
                                "`{}` of `{id}` never decides: `{other}` has it too",
                                Classes::braces(&phrase.value.to_string())
                            ),
                            phrase.span.clone(),
                        )
                        .help("remove one of the two"),
                    ),
                    None => {
                        first.insert(&phrase.value, id);
                    }
                }
            }
        }
    }
}
