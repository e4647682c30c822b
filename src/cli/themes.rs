//! `rxpulse themes`: which themes posts are about, which new ones a language model saw, and
//! changes of the list that the tables follow without asking anybody again.
//!
//! The list is `assets/themes.toml`, a file that people edit. A change is made in its text, shown
//! before it is written, and refused when the tables would not be right afterwards.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;

use crate::config::Body;
use crate::diagnostic::{Severity, SourceText, did_you_mean};
use crate::engine::{CancellationFlag, DT, EngineError};
use crate::enrich::{Embedded, NEW_THEME, Tables, theme_edit};
use crate::graph::{AssetIdx, Day};
use crate::output::terminal::{self, Format, bold, dim, green, red};
use crate::output::{diff, sanitize, text};
use crate::project::{ASSETS, Project};

use super::args::{Global, ThemeChange, Themes};
use super::common::{self, CliError, Exit};

const THEMES: &str = "themes.toml";
const ACTIONS: &str = "actions.toml";
/// Example posts of a theme.
const EXAMPLES: usize = 3;
/// The most characters of a title, and of a phrase.
const WORDS: usize = 80;

/// Runs the command.
pub fn run(global: &Global, args: &Themes) -> Exit {
    common::is_json(global.format)?;
    let project = common::open(global)?;
    match args {
        Themes::List { days, new } => {
            let seen = seen(&project, &common::day_set(days, project.config.graph.days())?)?;
            if global.format == Format::Human {
                terminal::out(&seen.human(&project.embedded, *new));
            } else {
                common::print_json(global.format, &seen.json(&project.embedded, *new))?;
            }
            Ok(0)
        }
        Themes::Merge { themes, change } => {
            let Some((into, from)) = themes.split_last().filter(|(_, from)| !from.is_empty()) else {
                return Err(CliError::Usage("name the themes to join and the one to join them to".into()));
            };
            let into = existing(&project.embedded, into)?;
            let mut gone = Vec::new();
            for id in from {
                let id = existing(&project.embedded, id)?;
                if !gone.contains(&id) {
                    gone.push(id);
                }
            }
            let files = [
                // The actions first: between the two files they name nothing that is gone.
                edit(&project, ACTIONS, &|text| theme_edit::rename_in_actions(text, &gone, &into))?,
                edit(&project, THEMES, &|text| theme_edit::merge(text, &gone, &into))?,
            ];
            let what = format!("{} counts as `{into}`", gone.join(", "));
            write(global, &project, change, files.into_iter().flatten().collect(), &what)
        }
        Themes::Rename { id, title, change } => {
            let id = existing(&project.embedded, id)?;
            let title = words("the title", title)?;
            let file = edit(&project, THEMES, &|text| theme_edit::rename(text, &id, &title))?;
            let what = format!("`{id}` is called “{title}”");
            write(global, &project, change, file.into_iter().collect(), &what)
        }
        Themes::Promote { phrase, id, title, change } => {
            let phrase = words("the phrase", phrase)?;
            if let Some((known, _)) = project.embedded.theme_for(&phrase) {
                return Err(CliError::Usage(format!("“{phrase}” stands for the theme `{known}` already")));
            }
            let known = project.embedded.themes().any(|(known, ..)| known == id.trim());
            let file = match (known, title) {
                (true, Some(_)) => {
                    return Err(CliError::Usage(format!(
                        "`{id}` is a theme already; leave out --title to make the phrase stand for it, and change \
                         its title with: rxpulse themes rename {id} \"…\""
                    )));
                }
                (true, None) => {
                    edit(&project, THEMES, &|text| theme_edit::add_alias(text, id.trim(), &phrase))?
                }
                (false, title) => {
                    let id = new_id(id)?;
                    let title = words("the title", title.as_ref().unwrap_or(&capital(&phrase)))?;
                    edit(&project, THEMES, &|text| theme_edit::add_theme(text, &id, &title, &phrase))?
                }
            };
            let what = format!("“{phrase}” stands for `{id}`");
            write(global, &project, change, file.into_iter().collect(), &what)
        }
    }
}

/// The id of a theme that there is.
fn existing(embedded: &Embedded, word: &str) -> Result<String, CliError> {
    let word = word.trim();
    if embedded.themes().any(|(id, ..)| id == word) {
        return Ok(word.to_string());
    }
    if let Some((id, _)) = embedded.theme_for(word) {
        return Err(CliError::Usage(format!("`{word}` is part of the theme `{id}` already")));
    }
    let near = did_you_mean(word, embedded.themes().map(|t| t.0))
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default();
    let all: Vec<&str> = embedded.themes().map(|t| t.0).collect();
    Err(CliError::Usage(format!("there is no theme `{word}`{near}\nthere are: {}", all.join(", "))))
}

/// An id that a theme can get. Whether its form is right is for the reader of tables to say.
fn new_id(word: &str) -> Result<String, CliError> {
    match word.trim() {
        NEW_THEME => Err(CliError::Usage(format!(
            "`{NEW_THEME}` means a theme that is not in the list; choose another id"
        ))),
        id => Ok(id.to_string()),
    }
}

fn words(what: &str, given: &str) -> Result<String, CliError> {
    let given = given.split_whitespace().collect::<Vec<_>>().join(" ");
    match () {
        () if given.is_empty() => Err(CliError::Usage(format!("{what} is empty"))),
        () if given.chars().count() > WORDS => {
            Err(CliError::Usage(format!("{what} has more than {WORDS} characters")))
        }
        () if given.chars().any(char::is_control) || sanitize::line(&given) != given => {
            Err(CliError::Usage(format!("{what} has characters that cannot be shown")))
        }
        () => Ok(given),
    }
}

fn capital(phrase: &str) -> String {
    let mut chars = phrase.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A file before and after.
struct Change {
    /// Its name under `assets/`.
    name: &'static str,
    path: PathBuf,
    /// What stood there; `None`: there was no file, and the built-in table is `old`.
    found: Option<String>,
    old: String,
    new: String,
}

/// What an edit makes of one of the tables; `None` when nothing. A table that the project does
/// not have is the built-in one.
fn edit(
    project: &Project,
    name: &'static str,
    change: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Option<Change>, CliError> {
    let path = project.root.join(ASSETS).join(name);
    let found = read(&path)?;
    let old = match &found {
        Some(text) => text.clone(),
        None => Tables::built_in(name).unwrap_or_default().to_string(),
    };
    let new = change(&old).map_err(|why| CliError::Usage(format!("{ASSETS}/{name}: {why}")))?;
    Ok((new != old).then_some(Change { name, path, found, old, new }))
}

fn read(path: &Path) -> Result<Option<String>, CliError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(CliError::Failed(format!("cannot read {}: {e}", path.display()))),
    }
}

/// Refuses what would not be right as tables.
fn check(project: &Project, files: &[Change]) -> Result<(), CliError> {
    let find = |name: &str| -> Option<Arc<SourceText>> {
        let text = match files.iter().find(|f| f.name == name) {
            Some(file) => file.new.clone(),
            None => read(&project.root.join(ASSETS).join(name)).ok().flatten()?,
        };
        Some(Arc::new(SourceText { name: format!("{ASSETS}/{name}"), text }))
    };
    let issues: Vec<String> = project.taxonomy.issues().iter().map(|i| i.id.clone()).collect();
    let (_, mut problems) = Tables::read(find, &issues);
    problems.retain(|p| p.text.severity == Severity::Error);
    if problems.is_empty() { Ok(()) } else { Err(CliError::Problems(problems)) }
}

/// Shows what changes, and writes it when that is wanted.
fn write(global: &Global, project: &Project, change: &ThemeChange, files: Vec<Change>, what: &str) -> Exit {
    check(project, &files)?;
    let human = global.format == Format::Human;
    let diffs: Vec<(String, String)> =
        files.iter().map(|f| (format!("{ASSETS}/{}", f.name), diff::diff(&f.old, &f.new))).collect();
    if human && !(global.quiet && change.yes) {
        terminal::out(&shown(&files, &diffs));
    }
    let wanted = match () {
        () if files.is_empty() || change.dry_run => false,
        () if change.yes => true,
        // A program reads this, or nobody sits there.
        () if !human || !std::io::stdin().is_terminal() => {
            return Err(CliError::Usage("nothing was written; --yes writes it".into()));
        }
        () => asked()?,
    };
    if wanted {
        for file in &files {
            replace(file)?;
        }
    }
    let tables = followers(project);
    if !human {
        let files: Vec<_> =
            diffs.iter().map(|(path, diff)| serde_json::json!({ "path": path, "diff": diff })).collect();
        let tables = if files.is_empty() { Vec::new() } else { tables };
        common::print_json(
            global.format,
            &serde_json::json!({
                "dry_run": change.dry_run, "written": wanted, "files": files, "tables": tables,
            }),
        )?;
        return Ok(0);
    }
    if global.quiet {
        return Ok(0);
    }
    terminal::out(&match (files.is_empty(), wanted) {
        (true, _) => dim("It is so already; nothing was written.\n"),
        (false, false) => dim("Nothing was written.\n"),
        (false, true) => format!(
            "{} {}\n{}\n",
            green("Written:"),
            sanitize::line(what),
            dim(&format!(
                "`rxpulse materialize {}` makes the tables again; answers of language models are kept",
                tables.join(" ")
            ))
        ),
    });
    Ok(0)
}

fn shown(files: &[Change], diffs: &[(String, String)]) -> String {
    let mut out = String::new();
    for (file, (path, diff)) in files.iter().zip(diffs) {
        let from = if file.found.is_none() { " (new, from the built-in table)" } else { "" };
        out.push_str(&format!("{}{}\n", bold(path), dim(from)));
        for line in diff.lines() {
            let clean = sanitize::line(line);
            out.push_str(&match line.chars().next() {
                Some('+') => green(&clean),
                Some('-') => red(&clean),
                _ => dim(&clean),
            });
            out.push('\n');
        }
    }
    out
}

/// Asks a person at the terminal.
fn asked() -> Result<bool, CliError> {
    terminal::err("Write this? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Puts the new text in place of the old, whole or not at all.
fn replace(file: &Change) -> Result<(), CliError> {
    if read(&file.path)? != file.found {
        return Err(CliError::Failed(format!(
            "{} was changed by somebody else meanwhile; nothing was written to it. Try again",
            file.path.display()
        )));
    }
    // Where a link leads, so that the link stays one.
    let path = std::fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let temp = folder.join(format!(".{}.{}", file.name, std::process::id()));
    let written = (|| {
        let mut new = std::fs::File::options().write(true).create(true).truncate(true).open(&temp)?;
        new.write_all(file.new.as_bytes())?;
        if file.found.is_some() {
            new.set_permissions(std::fs::metadata(&path)?.permissions())?;
        }
        new.sync_all()?;
        std::fs::rename(&temp, &path)?;
        std::fs::File::open(folder)?.sync_all()
    })();
    written.map_err(|e| {
        // It may not be there.
        let _ = std::fs::remove_file(&temp);
        CliError::Failed(format!("cannot write {}: {e}", path.display()))
    })
}

/// Tables that are made by these lists.
fn followers(project: &Project) -> Vec<String> {
    let graph = &project.config.graph;
    let enriched = |asset: AssetIdx| matches!(project.config.asset(asset).body, Body::Enrich(_));
    graph.indices().filter(|a| enriched(*a)).map(|a| format!("{}+", graph.key(a))).collect()
}

/// Posts of one theme.
#[derive(Default)]
struct Posts {
    mentions: u64,
    first: Option<Day>,
    last: Option<Day>,
    /// The newest.
    examples: BTreeSet<(Reverse<Day>, String)>,
}

impl Posts {
    fn add(&mut self, day: Day, post: &str) {
        self.mentions += 1;
        self.first = Some(self.first.map_or(day, |first| first.min(day)));
        self.last = Some(self.last.map_or(day, |last| last.max(day)));
        self.examples.insert((Reverse(day), post.to_string()));
        if self.examples.len() > EXAMPLES {
            self.examples.pop_last();
        }
    }

    fn posts(&self) -> Vec<&str> {
        self.examples.iter().map(|(_, post)| post.as_str()).collect()
    }

    fn cells(&self) -> [String; 4] {
        let day = |day: Option<Day>| day.map(|d| d.to_string()).unwrap_or_default();
        let posts = self.posts().join(" ");
        [text::count(self.mentions), day(self.first), day(self.last), sanitize::line(&posts).into_owned()]
    }

    fn json(&self) -> serde_json::Map<String, serde_json::Value> {
        let value = serde_json::json!({
            "mentions": self.mentions, "first": self.first, "last": self.last, "examples": self.posts(),
        });
        value.as_object().cloned().unwrap_or_default()
    }
}

/// What a table of general feedback says of themes, by the list as it is now.
struct Seen {
    table: String,
    themes: BTreeMap<String, Posts>,
    new: BTreeMap<String, Posts>,
    /// Ids that the list does not have.
    gone: BTreeMap<String, Posts>,
    posts: u64,
    unlabelled: u64,
    /// Rows that show another theme than the list gives them now.
    behind: u64,
}

/// Reads the table of general feedback.
fn seen(project: &Project, days: &crate::graph::select::DaySet) -> Result<Seen, CliError> {
    let graph = &project.config.graph;
    let asset = graph.indices().find(|a| project.is_feedback(*a)).ok_or_else(|| {
        CliError::Usage("no table has themes: an asset of kind \"enrich\" with a `where` makes one".into())
    })?;
    let key = graph.key(asset);
    let lake = project.lake_if_any()?;
    let state = project.state_if_any()?;
    let world = project.world(lake.as_ref(), state.as_ref(), false, false)?;
    let schema = crate::enrich::feedback_schema();
    let table = super::query::table(project, lake.as_ref(), &world, asset, schema)?;
    let sql = format!("SELECT {DT}, post_id, theme_id, theme FROM {key}");
    let file = SourceText { name: "themes".into(), text: sql };
    let mut seen = Seen {
        table: key.to_string(),
        themes: project.embedded.themes().map(|(id, ..)| (id.to_string(), Posts::default())).collect(),
        new: BTreeMap::new(),
        gone: BTreeMap::new(),
        posts: 0,
        unlabelled: 0,
        behind: 0,
    };
    let mut take = |batch: RecordBatch| {
        let texts = batch
            .columns()
            .iter()
            .map(|c| cast(c, &DataType::Utf8))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| EngineError::Other(e.to_string()))?;
        let cell = |column: usize, row: usize| {
            let column = texts[column].as_string::<i32>();
            column.is_valid(row).then(|| column.value(row))
        };
        for row in 0..batch.num_rows() {
            let day = cell(0, row).and_then(|day| day.parse().ok()).filter(|day| days.contains(*day));
            if let (Some(day), Some(post)) = (day, cell(1, row)) {
                seen.add(&project.embedded, day, post, cell(2, row), cell(3, row).unwrap_or(""));
            }
        }
        Ok(())
    };
    project.engine()?.query(&file, vec![table], &CancellationFlag::new(), &mut take)?;
    Ok(seen)
}

impl Seen {
    fn add(&mut self, embedded: &Embedded, day: Day, post: &str, id: Option<&str>, theme: &str) {
        self.posts += 1;
        let Some(id) = id else {
            self.unlabelled += 1;
            return;
        };
        let name = if id == NEW_THEME { theme } else { id };
        let posts = match embedded.theme_for(name) {
            Some((now, title)) => {
                self.behind += u64::from(now != id || title != theme);
                self.themes.entry(now.to_string())
            }
            None if id == NEW_THEME => self.new.entry(theme.to_string()),
            None => self.gone.entry(id.to_string()),
        };
        posts.or_default().add(day, post);
    }

    /// New phrases, those of most posts first.
    fn phrases(&self) -> Vec<(&String, &Posts)> {
        let mut list: Vec<_> = self.new.iter().collect();
        list.sort_by_key(|(_, posts)| Reverse(posts.mentions));
        list
    }

    fn human(&self, embedded: &Embedded, only_new: bool) -> String {
        const HEAD: [&str; 4] = ["mentions", "first", "last", "newest posts"];
        let mut out = String::new();
        let table = |first: &[&str], rows: Vec<Vec<String>>| {
            let head = [first, &HEAD].concat();
            text::table(&head, rows, &[first.len()], Some(terminal::width()))
        };
        if !only_new {
            let rows = embedded.themes().map(|(id, title, _)| {
                let cells = self.themes.get(id).map(Posts::cells).unwrap_or_default();
                [vec![sanitize::short(id, 40), sanitize::short(title, 40)], cells.to_vec()].concat()
            });
            out.push_str(&table(&["theme", "title"], rows.collect()));
            let gone = self
                .gone
                .iter()
                .map(|(id, posts)| [vec![sanitize::short(id, 40)], posts.cells().to_vec()].concat());
            let gone: Vec<Vec<String>> = gone.collect();
            if !gone.is_empty() {
                out.push_str(&format!("\n{}", table(&["not in the list"], gone)));
            }
            out.push('\n');
        }
        let rows: Vec<Vec<String>> = self
            .phrases()
            .into_iter()
            .map(|(phrase, posts)| [vec![sanitize::short(phrase, 60)], posts.cells().to_vec()].concat())
            .collect();
        if rows.is_empty() {
            out.push_str(&dim(
                "No new phrase: only language models give them, to posts that no theme fits.\n",
            ));
        } else {
            out.push_str(&table(&["new phrase"], rows));
            out.push_str(&dim("`rxpulse themes promote \"PHRASE\" ID` makes one a theme, or part of one\n"));
        }
        let mut posts = format!("{} in {}", text::plural(self.posts, "post"), self.table);
        if self.unlabelled > 0 {
            posts.push_str(&format!(", {} without a theme", text::count(self.unlabelled)));
        }
        out.push_str(&dim(&format!("{posts}\n")));
        if self.behind > 0 {
            out.push_str(&dim(&format!(
                "counted by the list as it is now; {} shown otherwise until `rxpulse materialize {}`\n",
                if self.behind == 1 {
                    "1 row is".into()
                } else {
                    format!("{} rows are", text::count(self.behind))
                },
                self.table
            )));
        }
        out
    }

    fn json(&self, embedded: &Embedded, only_new: bool) -> serde_json::Value {
        let with = |mut map: serde_json::Map<String, serde_json::Value>, fields: serde_json::Value| {
            map.extend(fields.as_object().cloned().unwrap_or_default());
            serde_json::Value::Object(map)
        };
        let none = Posts::default();
        let themes = embedded.themes().filter(|_| !only_new).map(|(id, title, _)| {
            let posts = self.themes.get(id).unwrap_or(&none);
            let aliases = embedded.theme_aliases(id);
            with(posts.json(), serde_json::json!({ "id": id, "title": title, "aliases": aliases }))
        });
        let gone = self.gone.iter().filter(|_| !only_new);
        let gone = gone.map(|(id, posts)| with(posts.json(), serde_json::json!({ "id": id })));
        let new = self.phrases().into_iter();
        let new = new.map(|(phrase, posts)| with(posts.json(), serde_json::json!({ "phrase": phrase })));
        serde_json::json!({
            "table": self.table,
            "posts": self.posts,
            "unlabelled": self.unlabelled,
            "behind": self.behind,
            "themes": themes.collect::<Vec<_>>(),
            "new": new.collect::<Vec<_>>(),
            "gone": gone.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posts_are_counted_by_the_list_as_it_is_now() {
        let themes = "version = 1\n[[theme]]\nid = \"boxes\"\ntitle = \"Boxes\"\naliases = [\"packaging\", \"Torn bags\"]\n\
                      [[theme]]\nid = \"other\"\ntitle = \"Other\"\n";
        let find = |name: &str| {
            let text = SourceText { name: name.into(), text: themes.into() };
            (name == THEMES).then(|| Arc::new(text))
        };
        let embedded = Embedded::with_tables(Tables::read(find, &[]).0);
        let mut seen = Seen {
            table: "general_feedback_ai".into(),
            themes: BTreeMap::new(),
            new: BTreeMap::new(),
            gone: BTreeMap::new(),
            posts: 0,
            unlabelled: 0,
            behind: 0,
        };
        for (day, post, id, theme) in [
            (1, "a", Some("boxes"), "Boxes"),
            (3, "b", Some("packaging"), "Packaging"),
            (2, "c", Some("new"), "torn bags"),
            (2, "d", Some("new"), "loud\u{1b}[31m vans"),
            (4, "e", Some("boxes"), "Boxes"),
            (4, "f", Some("vans"), "Vans"),
            (4, "g", None, ""),
        ] {
            let day = format!("2026-08-0{day}").parse().unwrap();
            seen.add(&embedded, day, post, id, theme);
        }
        let boxes = &seen.themes["boxes"];
        assert_eq!((boxes.mentions, boxes.posts()), (4, vec!["e", "b", "c"]));
        assert_eq!((seen.posts, seen.unlabelled, seen.behind), (7, 1, 2));
        let shown = console::strip_ansi_codes(&seen.human(&embedded, false)).into_owned();
        insta::assert_snapshot!(shown);
        assert!(!seen.human(&embedded, true).contains("Boxes"));
    }

    #[test]
    fn words_that_people_give() {
        assert_eq!(words("the title", "  Loud   vans ").unwrap(), "Loud vans");
        assert_eq!(capital("été tardif"), "Été tardif");
        for bad in ["", " ", &"x".repeat(81), "a\u{1b}[31mb", "a\u{202e}b"] {
            assert!(words("the title", bad).is_err(), "{bad:?}");
        }
        assert!(new_id("new").is_err());
    }
}
