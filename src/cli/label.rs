//! `rxpulse label`: what a person says of a post stands above what rules and models say.
//!
//! A label is a record in the lake, so that no re-run and no lost database forgets it. Nothing is
//! made here: the answer says which partitions are out of date now.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;

use crate::config::{Body, SystemTable};
use crate::diagnostic::{SourceText, did_you_mean};
use crate::engine::{CancellationFlag, DT, EngineError};
use crate::exec::{self, LabelField, LabelRecord, PostLabels, World, now_ms};
use crate::graph::{AssetIdx, AssetKind, Day};
use crate::lake::Lake;
use crate::output::terminal::{self, Format, dim, green, yellow};
use crate::output::{sanitize, text};
use crate::project::Project;

use super::args::{Global, Label, LabelCommand};
use super::common::{self, CliError, Exit};

/// The most characters of a note, and of a name.
const NOTE: usize = 2_000;
const NAME: usize = 100;
/// How many ids that look alike are named.
const NEAR: usize = 3;

/// Runs the command.
pub fn run(global: &Global, args: &Label) -> Exit {
    common::is_json(global.format)?;
    let project = common::open(global)?;
    match (&args.command, &args.post) {
        (Some(LabelCommand::List { post }), _) => list(global, &project, post.as_deref()),
        (None, Some(post)) => label(global, &project, args, post),
        (None, None) => Err(CliError::Usage("name a post: rxpulse label PLATFORM:ID --risk high".into())),
    }
}

fn label(global: &Global, project: &Project, args: &Label, word: &str) -> Exit {
    let set = wanted(project, args)?;
    let clear = cleared(args, &set)?;
    if set.is_empty() && clear.is_empty() {
        return Err(CliError::Usage(
            "say what is right: --issue-type, --sentiment, --risk, --risk-category, --theme, --action, --note; or take a label \
             back with --clear"
                .into(),
        ));
    }
    let by = person(args.by.as_deref())?;
    let readers = readers(project)?;
    let Some(lake) = project.lake_if_any()? else {
        return Err(CliError::Failed("nothing was captured yet; `rxpulse materialize --all` begins".into()));
    };
    let state = project.state_if_any()?;
    let world = project.world(Some(&lake), state.as_ref(), false, false)?;
    let post = find(project, &lake, &world, readers.looked_up, word, args.day)?;
    let before = world.labels.posts.get(&post.id).cloned();
    let record =
        LabelRecord { post_id: post.id.clone(), day: post.day, set, clear, by: by.clone(), at_ms: now_ms() };
    let written = says_something(&record, before.as_ref());
    if written {
        exec::add_label(&lake, &record)?;
    }
    let world = project.world(Some(&lake), state.as_ref(), false, false)?;
    let told = Told {
        stale: {
            let mut days = BTreeSet::from([post.day]);
            days.extend(before.as_ref().map(|before| before.day));
            days.into_iter().flat_map(|day| stale(project, &world, &readers, day)).collect()
        },
        now: world.labels.posts.get(&post.id).cloned(),
        before,
        record,
        post,
        written,
    };
    told.print(global)
}

/// What the arguments set, checked against what there is.
fn wanted(project: &Project, args: &Label) -> Result<BTreeMap<LabelField, String>, CliError> {
    let embedded = &project.embedded;
    let mut out = BTreeMap::new();
    if let Some(word) = &args.issue_type {
        let issues = project.taxonomy.issues();
        let id = one_of(word, "issue type", issues.iter().map(|i| (i.id.as_str(), i.title.as_str())))?;
        out.insert(LabelField::IssueType, id);
    }
    if let Some(word) = &args.theme {
        out.insert(LabelField::Theme, one_of(word, "theme", embedded.themes().map(|t| (t.0, t.1)))?);
    }
    if let Some(word) = &args.action {
        out.insert(LabelField::Action, one_of(word, "action", embedded.actions())?);
    }
    for (field, word) in [
        (LabelField::Sentiment, &args.sentiment),
        (LabelField::Risk, &args.risk),
        (LabelField::RiskCategory, &args.risk_category),
    ] {
        out.extend(word.clone().map(|word| (field, word)));
    }
    if args.risk.as_deref() == Some("low") && args.risk_category.is_some() {
        return Err(CliError::Usage("a low risk is nobody's concern: leave out --risk-category".into()));
    }
    if let Some(note) = &args.note {
        out.insert(LabelField::Note, words("--note", note, NOTE)?);
    }
    Ok(out)
}

/// The id that a word means, in whatever case it is written.
fn one_of<'a>(
    word: &str,
    what: &str,
    known: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<String, CliError> {
    let known: Vec<(&str, &str)> = known.collect();
    if let Some((id, _)) = known.iter().find(|(id, _)| id.eq_ignore_ascii_case(word.trim())) {
        return Ok((*id).to_string());
    }
    let lower: Vec<String> = known.iter().map(|(id, _)| id.to_ascii_lowercase()).collect();
    let near = did_you_mean(&word.to_ascii_lowercase(), lower.iter().map(String::as_str))
        .and_then(|near| known.iter().find(|(id, _)| id.eq_ignore_ascii_case(near)))
        .map(|(id, _)| format!("; did you mean `{id}`?"))
        .unwrap_or_default();
    let width = known.iter().map(|(id, _)| id.len()).max().unwrap_or_default();
    let list: Vec<String> = known.iter().map(|(id, title)| format!("\n  {id:width$}  {title}")).collect();
    Err(CliError::Usage(format!("there is no {what} `{word}`{near}\nthere are:{}", list.concat())))
}

fn words(what: &str, given: &str, most: usize) -> Result<String, CliError> {
    let trimmed = given.trim();
    if trimmed.is_empty() {
        return Err(CliError::Usage(format!("{what} is empty; leave it out, or take it back with --clear")));
    }
    if trimmed.chars().count() > most {
        return Err(CliError::Usage(format!("{what} has more than {most} characters")));
    }
    Ok(trimmed.to_string())
}

fn cleared(args: &Label, set: &BTreeMap<LabelField, String>) -> Result<BTreeSet<LabelField>, CliError> {
    let clear: BTreeSet<LabelField> = match args.clear.as_deref() {
        None => BTreeSet::new(),
        Some([]) => LabelField::ALL.into_iter().filter(|f| !set.contains_key(f)).collect(),
        Some(fields) => fields.iter().copied().collect(),
    };
    match clear.iter().find(|f| set.contains_key(f)) {
        Some(both) => Err(CliError::Usage(format!("`{}` is set and cleared at once", both.as_str()))),
        None => Ok(clear),
    }
}

/// Who says so: the name given, else the one of the login.
fn person(given: Option<&str>) -> Result<String, CliError> {
    if let Some(name) = given {
        let name = words("--by", name, NAME)?;
        // The table names several people in one column.
        if name.contains(|c: char| c == ',' || c.is_control()) {
            return Err(CliError::Usage(format!("`{name}` is no name: one person, without a comma")));
        }
        return Ok(name);
    }
    let login = ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    Ok(login.into_iter().find(|name| !name.trim().is_empty()).unwrap_or_else(|| "unknown".into()))
}

/// The tables that follow labels.
struct Readers {
    labels: AssetIdx,
    /// Those that read `labels` themselves.
    all: Vec<AssetIdx>,
    /// The one in which posts are looked up: the first of them in SQL.
    looked_up: AssetIdx,
}

fn readers(project: &Project) -> Result<Readers, CliError> {
    let graph = &project.config.graph;
    let table = SystemTable::Labels.as_str();
    let none = || {
        CliError::Usage(format!(
            "no table reads `{table}`, so a label would change nothing; add it to the deps of the table that \
             makes posts: deps = [\"raw_posts\", \"{table}\"]"
        ))
    };
    let labels = graph.find(table).ok_or_else(none)?;
    let all: Vec<AssetIdx> = graph.downstream(labels).iter().map(|(down, _)| *down).collect();
    let sql = all.iter().copied().find(|a| matches!(project.config.asset(*a).body, Body::Sql { .. }));
    // An enrich asset reads posts from a table that may be no reader of labels itself.
    let read = all.iter().find_map(|a| exec::posts_of(&project.config, *a));
    let looked_up = sql.or(read).ok_or_else(none)?;
    Ok(Readers { labels, all, looked_up })
}

/// A post that is to be labelled.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Found {
    id: String,
    day: Day,
    title: Option<String>,
}

/// A post as its table has it.
struct Row<'a> {
    day: Day,
    id: &'a str,
    native_id: Option<&'a str>,
    url: Option<&'a str>,
    title: Option<&'a str>,
}

/// Finds the post that a word means: in the table of posts, among labels, or by its full id and
/// `--day`.
fn find(
    project: &Project,
    lake: &Lake,
    world: &World,
    table: AssetIdx,
    word: &str,
    day: Option<Day>,
) -> Result<Found, CliError> {
    let graph = &project.config.graph;
    let key = graph.key(table);
    let word = word.trim();
    if let Some(day) = day.filter(|day| !graph.days().contains(*day)) {
        return Err(CliError::Usage(format!("{day} is not one of the project's days, {}", graph.days())));
    }
    let meant = Meant::of(word);
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    let mut near: BTreeSet<(usize, String)> = BTreeSet::new();
    let mut elsewhere: Option<Found> = None;
    each_post(project, lake, world, table, &mut |row| {
        if day.is_some_and(|day| day != row.day) {
            if meant.is(row) {
                elsewhere = Some(Found { id: row.id.into(), day: row.day, title: None });
            }
            return;
        }
        if meant.is(row) {
            let one = Found { id: row.id.into(), day: row.day, title: row.title.map(Into::into) };
            // Rows come in any order: the newest day counts.
            if found.get(row.id).is_none_or(|known| known.day < row.day) {
                found.insert(one.id.clone(), one);
            }
        } else if found.is_empty()
            && let Some(distance) = meant.distance(row)
        {
            near.insert((distance, row.id.to_string()));
            if near.len() > NEAR {
                near.pop_last();
            }
        }
    })?;
    let several: Vec<&str> = found.keys().map(String::as_str).collect();
    match several.as_slice() {
        [] => {}
        [_] => return found.into_values().next().ok_or_else(|| CliError::Failed("no post".into())),
        several => {
            return Err(CliError::Usage(format!("`{word}` may be {}; say which", several.join(" or "))));
        }
    }
    // A label of another day would stand above nothing, and take away those that stand.
    if let (Some(post), Some(day)) = (elsewhere, day) {
        return Err(CliError::Usage(format!(
            "`{}` is of {}, not of {day}; leave out --day",
            post.id, post.day
        )));
    }
    // Not there (any more): what was labelled once can be labelled again, and taken back.
    if let Some((id, post)) = world.labels.posts.iter().find(|(id, _)| meant.ids.contains(*id)) {
        return Ok(Found { id: id.clone(), day: day.unwrap_or(post.day), title: None });
    }
    if let (Some(day), Some((platform, native_id))) = (day, word.split_once(':'))
        && exec::platforms(&project.config).contains(platform)
    {
        let graves = exec::all_graves(lake)?;
        if exec::is_buried(&graves, &graves.forgotten.post(platform, native_id)) {
            return Err(CliError::Failed(format!("`{word}` was forgotten and cannot be labelled")));
        }
        return Ok(Found { id: word.to_string(), day, title: None });
    }
    let where_ = day.map(|day| format!(" on {day}")).unwrap_or_default();
    let near = match near.is_empty() {
        true => String::new(),
        false => {
            let list: Vec<String> = near.into_iter().map(|(_, id)| format!("`{id}`")).collect();
            format!("; did you mean {}?", list.join(" or "))
        }
    };
    Err(CliError::Usage(format!(
        "{key} has no post `{word}`{where_}{near}\nits ids are found with: rxpulse query \"SELECT dt, post_id, title \
         FROM {key} WHERE title ILIKE '%word%'\"\na post that it does not hold is labelled by its full id and day: \
         rxpulse label reddit:t3_abc --day 2026-11-01 …"
    )))
}

/// What a word on the command line may mean.
struct Meant {
    word: String,
    /// Full ids.
    ids: Vec<String>,
    address: Option<String>,
}

impl Meant {
    fn of(word: &str) -> Self {
        let mut ids = vec![word.to_string()];
        if ["t1_", "t3_"].iter().any(|kind| word.starts_with(kind)) {
            ids.push(format!("reddit:{word}"));
        }
        let address = address(word);
        ids.extend(address.as_deref().and_then(reddit_post).map(|id| format!("reddit:{id}")));
        Self { word: word.to_string(), ids, address }
    }

    fn is(&self, row: &Row<'_>) -> bool {
        self.ids.iter().any(|id| id == row.id)
            || row.native_id == Some(self.word.as_str())
            || self.address.is_some() && row.url.and_then(address) == self.address
    }

    /// How far a post's id is from the word, when it is near.
    fn distance(&self, row: &Row<'_>) -> Option<usize> {
        let id = if self.word.contains(':') { Some(row.id) } else { row.native_id };
        let id = id.filter(|id| self.address.is_none() && id.len().abs_diff(self.word.len()) <= 1)?;
        // Ids of one site are all alike: a letter or two side by side are near, more is chance.
        let same = id.bytes().zip(self.word.bytes()).take_while(|(a, b)| a == b).count();
        let end = id.bytes().rev().zip(self.word.bytes().rev()).take_while(|(a, b)| a == b).count();
        let other = id.len().max(self.word.len()).saturating_sub(same + end);
        (other <= 2 && did_you_mean(&self.word, [id]).is_some()).then_some(other)
    }
}

/// An address without what differs between copies of it: scheme, `www.`, a slash at the end, what
/// follows `#`.
fn address(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let rest = rest.split('#').next().unwrap_or(rest);
    let rest = rest.strip_prefix("www.").unwrap_or(rest).trim_end_matches('/');
    (!rest.is_empty()).then(|| rest.to_string())
}

/// The id in an address of Reddit, in any of its forms.
fn reddit_post(address: &str) -> Option<String> {
    let path = address.split('?').next()?;
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let host = parts.next()?;
    if host == "redd.it" {
        return Some(format!("t3_{}", parts.next()?));
    }
    if host != "reddit.com" && !host.ends_with(".reddit.com") {
        return None;
    }
    parts.find(|part| *part == "comments")?;
    let post = parts.next()?;
    // After the words of the title, a comment.
    Some(parts.nth(1).map_or_else(|| format!("t3_{post}"), |comment| format!("t1_{comment}")))
}

/// Every row of a table of posts.
fn each_post(
    project: &Project,
    lake: &Lake,
    world: &World,
    asset: AssetIdx,
    each: &mut dyn FnMut(&Row<'_>),
) -> Result<(), CliError> {
    let engine = project.engine()?;
    let (shapes, _) = project.shapes(&engine).map_err(CliError::Problems)?;
    let schema = shapes[asset.i()].schema.clone();
    let key = project.config.graph.key(asset);
    if schema.index_of("post_id").is_err() {
        return Err(CliError::Usage(format!("`{key}` has no column `post_id` by which posts are labelled")));
    }
    let column = |name: &str| match schema.index_of(name) {
        Ok(_) => name.to_string(),
        Err(_) => format!("CAST(NULL AS VARCHAR) AS {name}"),
    };
    let columns = ["native_id", "url", "title"].map(column).join(", ");
    let sql = format!("SELECT {DT}, post_id, {columns} FROM {key}");
    let file = SourceText { name: "label".into(), text: sql };
    let table = super::query::table(project, Some(lake), world, asset, schema.clone())?;
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
            let day = cell(0, row).and_then(|day| day.parse().ok());
            if let (Some(day), Some(id)) = (day, cell(1, row)) {
                each(&Row { day, id, native_id: cell(2, row), url: cell(3, row), title: cell(4, row) });
            }
        }
        Ok(())
    };
    engine.query(&file, vec![table], &CancellationFlag::new(), &mut take)?;
    Ok(())
}

/// Whether a record changes anything that stands.
fn says_something(record: &LabelRecord, before: Option<&PostLabels>) -> bool {
    let said = |field: &LabelField| before.and_then(|b| b.fields.get(field));
    record.clear.iter().any(|field| said(field).is_some())
        || record
            .set
            .iter()
            .any(|(field, value)| said(field).is_none_or(|s| s.value != *value || s.by != record.by))
        || !record.set.is_empty() && before.is_some_and(|b| b.day != record.day)
}

/// Partitions of that day that follow labels and are out of date.
fn stale(project: &Project, world: &World, readers: &Readers, day: Day) -> Vec<String> {
    let graph = &project.config.graph;
    let plan = common::survey(graph, world);
    let of_day = |asset: AssetIdx, slot: usize| graph.partition(asset, slot).day() == Some(day);
    if !plan.steps.iter().any(|s| s.asset == readers.labels && of_day(s.asset, s.slot)) {
        return Vec::new();
    }
    plan.steps
        .iter()
        .filter(|s| readers.all.contains(&s.asset) && of_day(s.asset, s.slot))
        .filter(|s| graph.asset(s.asset).kind != AssetKind::System)
        .map(|s| format!("{}[{day}]", graph.key(s.asset)))
        .collect()
}

/// What was said, to be printed.
struct Told {
    post: Found,
    record: LabelRecord,
    written: bool,
    before: Option<PostLabels>,
    now: Option<PostLabels>,
    stale: Vec<String>,
}

impl Told {
    fn print(&self, global: &Global) -> Exit {
        if global.format != Format::Human {
            common::print_json(global.format, &self.json())?;
            return Ok(0);
        }
        let title = self.post.title.as_deref().map(|t| format!(": {}", sanitize::short(t, 70)));
        let mut out = format!(
            "{} of {}{}\n",
            sanitize::line(&self.post.id),
            self.post.day,
            dim(&title.unwrap_or_default())
        );
        for field in LabelField::ALL {
            let was = self.before.as_ref().and_then(|b| b.fields.get(&field));
            let is = self.now.as_ref().and_then(|n| n.fields.get(&field));
            let shown = match (is, was) {
                (None, None) => continue,
                (None, Some(was)) => {
                    format!("{} {}", yellow("cleared"), dim(&format!("was {}, by {}", was.value, was.by)))
                }
                (Some(is), was) => {
                    let was = match was {
                        Some(was) if was != is => format!("was {}, by {}", was.value, was.by),
                        Some(was) => format!("by {}", was.by),
                        None => format!("by {}", is.by),
                    };
                    format!("{} {}", green(&sanitize::line(&is.value)), dim(&sanitize::line(&was)))
                }
            };
            out.push_str(&format!("  {:<11} {shown}\n", field.as_str()));
        }
        if !self.written {
            out.push_str(&dim("This stands already; nothing was written.\n"));
        }
        if !self.stale.is_empty() {
            out.push_str(&format!(
                "out of date now: {}\n{}\n",
                self.stale.join(", "),
                dim("`rxpulse materialize labels+` makes them again, and what reads them where it differs")
            ));
        }
        if !global.quiet {
            terminal::out(&out);
        }
        Ok(0)
    }

    fn json(&self) -> serde_json::Value {
        let named = |fields: &BTreeMap<LabelField, String>| {
            let named = fields.iter().map(|(f, v)| (f.as_str().to_string(), serde_json::json!(v)));
            serde_json::Value::Object(named.collect())
        };
        let now: BTreeMap<LabelField, String> =
            self.now.iter().flat_map(|n| &n.fields).map(|(f, said)| (*f, said.value.clone())).collect();
        serde_json::json!({
            "post_id": self.post.id,
            "day": self.post.day,
            "title": self.post.title,
            "set": named(&self.record.set),
            "cleared": self.record.clear.iter().map(|f| f.as_str()).collect::<Vec<_>>(),
            "by": self.record.by,
            "at": crate::envelope::format_millis(self.record.at_ms),
            "written": self.written,
            "labels": named(&now),
            "stale": self.stale,
        })
    }
}

/// Every label that stands.
fn list(global: &Global, project: &Project, word: Option<&str>) -> Exit {
    let lake = project.lake_if_any()?;
    let state = project.state_if_any()?;
    let world = project.world(lake.as_ref(), state.as_ref(), false, false)?;
    let meant = word.map(Meant::of);
    let is_meant = |id: &str| {
        let native = id.split_once(':').map(|(_, native)| native);
        meant.as_ref().is_none_or(|m| m.ids.iter().any(|m| m == id) || native == Some(m.word.as_str()))
    };
    let mut posts: Vec<(&String, &PostLabels)> =
        world.labels.posts.iter().filter(|(id, _)| is_meant(id)).collect();
    posts.sort_by_key(|(id, post)| (post.day, *id));
    if global.format != Format::Human {
        let list = posts.iter().map(|(id, post)| {
            let mut value = serde_json::json!({
                "post_id": id,
                "day": post.day,
                "by": post.by(|_| true),
                "at": crate::envelope::format_millis(post.at_ms(|_| true)),
            });
            for field in LabelField::ALL {
                value[field.as_str()] = serde_json::json!(post.value(field));
            }
            value
        });
        common::print_json(global.format, &serde_json::Value::Array(list.collect()))?;
        return Ok(0);
    }
    if posts.is_empty() {
        match world.labels.posts.len() {
            0 => terminal::out("Nobody has labelled a post; `rxpulse label --help` says how.\n"),
            others => terminal::out(&format!(
                "Nobody has labelled that post ({} labelled).\n",
                text::plural(others as u64, "other post is").replace("posts is", "posts are")
            )),
        }
        return Ok(0);
    }
    let rows: Vec<Vec<String>> = posts
        .iter()
        .map(|(id, post)| {
            let mut row = vec![post.day.to_string(), sanitize::short(id, 40)];
            row.extend(LabelField::ALL.map(|f| sanitize::short(post.value(f).unwrap_or(""), 40)));
            row.insert(8, sanitize::short(&post.by(|_| true), 24));
            row
        })
        .collect();
    let header =
        ["day", "post", "issue type", "sentiment", "risk", "category", "theme", "action", "by", "note"];
    let mut out = text::table(&header, rows, &[], Some(terminal::width()));
    out.push_str(&dim(&format!("{}\n", text::plural(posts.len() as u64, "post"))));
    terminal::out(&out);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(id: &'a str, url: Option<&'a str>) -> Row<'a> {
        let native_id = id.split_once(':').map(|(_, native)| native);
        Row { day: "2026-08-01".parse().unwrap(), id, native_id, url, title: None }
    }

    #[test]
    fn a_post_is_named_by_id_or_address() {
        let url = Some("https://www.reddit.com/r/pharmacy/comments/1abc/late_again/");
        let post = row("reddit:t3_1abc", url);
        for word in [
            "reddit:t3_1abc",
            "t3_1abc",
            "https://www.reddit.com/r/pharmacy/comments/1abc/late_again/",
            "http://old.reddit.com/r/pharmacy/comments/1abc",
            "https://reddit.com/comments/1abc?share=1",
            "https://redd.it/1abc",
        ] {
            assert!(Meant::of(word).is(&post), "{word}");
        }
        for word in ["t3_1ab", "1abc", "reddit:t3_1abcd", "https://redd.it/1abcd", "https://e.test/1abc"] {
            assert!(!Meant::of(word).is(&post), "{word}");
        }
        let comment = row("reddit:t1_c9", Some("https://www.reddit.com/comments/1abc/_/c9/"));
        let address = "https://www.reddit.com/r/pharmacy/comments/1abc/late_again/c9/";
        assert!(Meant::of(address).is(&comment) && !Meant::of(address).is(&post));
        let review = row("feed:https://e.test/a?id=7", Some("https://e.test/a?id=7"));
        assert!(Meant::of("https://e.test/a?id=7").is(&review));
        assert!(!Meant::of("https://e.test/a?id=8").is(&review));
    }

    #[test]
    fn only_what_is_a_slip_away_is_near() {
        let post = row("reddit:t3_1abc", None);
        for (word, distance) in [
            ("reddit:t3_1abd", Some(1)),
            ("t3_1bac", Some(2)),
            ("t3_1ab", Some(1)),
            ("reddit:t3_9zzz", None),
            ("https://redd.it/1abd", None),
        ] {
            assert_eq!(Meant::of(word).distance(&post), distance, "{word}");
        }
    }

    #[test]
    fn an_unknown_word_is_answered_with_those_there_are() {
        let known = || [("DELIVERY_DELAY", "Late"), ("STOCK", "Out of stock")].into_iter();
        assert_eq!(one_of("delivery_delay", "issue type", known()).unwrap(), "DELIVERY_DELAY");
        let Err(CliError::Usage(message)) = one_of("delivery-delay", "issue type", known()) else {
            panic!("it is unknown");
        };
        insta::assert_snapshot!(message);
    }

    #[test]
    fn people_have_names() {
        assert_eq!(person(Some(" ann ")).unwrap(), "ann");
        for name in ["", "ann, bob", "a\nb", &"x".repeat(101)] {
            assert!(person(Some(name)).is_err(), "{name}");
        }
    }
}
