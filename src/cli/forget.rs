//! `rxpulse forget`: a post, or all of an author, leaves every layer at once and for good.
//!
//! Tombstones → records and history → a run that takes it out of bronze and makes again what
//! read it → older versions → the database written anew. Killed anywhere, the same command again
//! finishes it: tombstones remember the days. Nothing here asks a source, and what a person put
//! into the project's folders stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::SystemTable;
use crate::exec::{self, Erased, FORGET, Graves, PostKey, RunOptions, Sighting, World, now_ms};
use crate::graph::{
    AssetGraph, AssetKind, Day, PartitionSet, Plan, Request, Staleness, closure_down, plan, staleness,
    with_system_inputs,
};
use crate::lake::{Lake, Purged};
use crate::output::terminal::{self, Format, dim, green, red, yellow};
use crate::output::{sanitize, text};
use crate::project::Project;
use crate::source::Traces;
use crate::state::{RunLife, State};

use super::args::{Forget, Global};
use super::common::{self, CliError, Exit};
use super::materialize::{Planned, Stage, carry_out};

/// How a platform and an id stand in one word.
type Candidates = Vec<(Option<String>, String)>;

/// Runs the command.
pub fn run(global: &Global, args: &Forget) -> Exit {
    common::is_json(global.format)?;
    let project = common::open(global)?;
    let author = args.author.as_deref().map(|name| author_word(&project, name)).transpose()?;
    let lake = if args.dry_run { project.lake_if_any()? } else { Some(project.lake()?) };
    let Some(lake) = lake else {
        return Err(CliError::Failed(
            "nothing was captured yet, so there is nothing to forget; without --dry-run the post is kept from coming"
                .into(),
        ));
    };
    let lake = Arc::new(lake);
    let state = if args.dry_run { None } else { Some(project.state()?) };
    if let Some(state) = &state {
        alone(&project, state)?;
    }
    let graves = exec::all_graves(&lake)?;
    let asked = Asked::read(&project, args, author, &lake, &graves)?;
    let mut told = Told::new(args, &asked, &project);
    if let Some(state) = &state {
        forget(global, &project, &lake, state, &graves, &asked, &mut told)?;
    }
    told.print(global)?;
    Ok(told.code)
}

/// The author as captures name them.
fn author_word(project: &Project, name: &str) -> Result<String, CliError> {
    if name.is_empty() || name == "[deleted]" {
        return Err(CliError::Usage(format!("`{name}` is nobody's name")));
    }
    exec::author_word(&project.config, name).map_err(CliError::Usage)?.ok_or_else(|| {
        CliError::Usage(
            "authors are dropped before anything is written ([privacy] author = \"drop\"), so nobody's posts can be told \
             from others; name the posts instead: rxpulse forget PLATFORM:ID"
                .into(),
        )
    })
}

/// A run at work could write again, from what it has read, what is taken out here.
fn alone(project: &Project, state: &State) -> Result<(), CliError> {
    for row in state.runs(50, None)? {
        if matches!(project.life(&row), RunLife::Running | RunLife::Canceling) {
            return Err(CliError::Failed(format!(
                "run {} is at work and may hold what is to be forgotten; wait for it, or stop it with \
                 `rxpulse runs cancel {}`, and say this again",
                row.id, row.id
            )));
        }
    }
    Ok(())
}

/// What is to be forgotten, and where it was found.
#[derive(Default)]
struct Asked {
    /// With `None`, bronze does not hold it.
    posts: BTreeMap<PostKey, Option<Sighting>>,
    /// Platform and word.
    author: Option<(String, String)>,
}

impl Asked {
    fn read(
        project: &Project,
        args: &Forget,
        author: Option<String>,
        lake: &Lake,
        graves: &Graves,
    ) -> Result<Self, CliError> {
        let platforms = exec::platforms(&project.config);
        let given = args.platform.as_deref();
        if let Some(word) = author {
            let mut found = exec::look(lake, &|e| {
                e.author.as_ref().is_some_and(|a| a.as_str() == word)
                    && given.is_none_or(|p| p == e.platform.as_str())
            })?;
            let on: BTreeSet<String> = found.keys().map(|(platform, _)| platform.clone()).collect();
            let buried = |p: &&String| exec::is_buried(graves, &graves.forgotten.author(p, &word));
            let platform = match (given, on.len()) {
                (Some(platform), _) => declared(platform, &platforms, !on.is_empty())?,
                (None, 1) => on.into_iter().next().unwrap_or_default(),
                (None, 0) => platforms
                    .iter()
                    .find(buried)
                    .cloned()
                    .or_else(|| only(&platforms))
                    .ok_or_else(|| which_platform("nobody of that name was captured", &platforms))?,
                (None, _) => {
                    return Err(which_platform("there are posts under that name on several sites", &on));
                }
            };
            // Other captures of these posts may not name the author.
            if !found.is_empty() {
                found = exec::look(lake, &|e| {
                    found.contains_key(&(e.platform.as_str().to_string(), e.native_id.as_str().to_string()))
                })?;
            }
            let mut posts = found.into_iter().map(|(key, sighting)| (key, Some(sighting))).collect();
            exec::look_for_comments(lake, &mut posts)?;
            return Ok(Self { posts, author: Some((platform, word)) });
        }
        let wanted: Vec<(&String, Candidates)> =
            args.posts.iter().map(|word| (word, candidates(word, given))).collect();
        let found = exec::look(lake, &|e| {
            wanted.iter().flat_map(|(_, c)| c).any(|(platform, id)| {
                e.native_id.as_str() == id && platform.as_ref().is_none_or(|p| p == e.platform.as_str())
            })
        })?;
        let mut posts = BTreeMap::new();
        for (word, candidates) in &wanted {
            let buried = |key: &PostKey| exec::is_buried(graves, &graves.forgotten.post(&key.0, &key.1));
            let key = identity(word, candidates, found.keys(), &platforms, &buried)?;
            let sighting = found.get(&key).cloned();
            posts.insert(key, sighting);
        }
        exec::look_for_comments(lake, &mut posts)?;
        Ok(Self { posts, author: None })
    }

    /// The words by which it is recognized elsewhere.
    fn traces(&self) -> Traces {
        let mut out = Traces::default();
        for ((platform, id), sighting) in &self.posts {
            out.post(platform, id);
            sighting.iter().flat_map(|s| &s.texts).for_each(|text| out.text(text));
        }
        self.author.iter().for_each(|(_, word)| out.author(word));
        out
    }

    fn prints(&self, graves: &Graves) -> BTreeSet<String> {
        let posts = self.posts.keys().map(|(platform, id)| graves.forgotten.post(platform, id));
        let author = self.author.iter().map(|(platform, word)| graves.forgotten.author(platform, word));
        posts.chain(author).collect()
    }

    fn locators(&self) -> BTreeSet<String> {
        self.posts.values().flatten().flat_map(|s| s.locators.iter().cloned()).collect()
    }
}

fn only(platforms: &BTreeSet<String>) -> Option<String> {
    platforms.first().filter(|_| platforms.len() == 1).cloned()
}

fn declared(platform: &str, platforms: &BTreeSet<String>, found: bool) -> Result<String, CliError> {
    if found || platforms.contains(platform) {
        return Ok(platform.to_string());
    }
    let hint = match crate::diagnostic::did_you_mean(platform, platforms.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the sources are of {}", words(platforms)),
    };
    Err(CliError::Usage(format!("no source is of the platform `{platform}`; {hint}")))
}

fn words(all: &BTreeSet<String>) -> String {
    all.iter().cloned().collect::<Vec<_>>().join(", ")
}

fn which_platform(why: &str, platforms: &BTreeSet<String>) -> CliError {
    CliError::Usage(format!("{why}; say which site with --platform: {}", words(platforms)))
}

/// What a word may mean: an id, or a platform and an id.
fn candidates(word: &str, given: Option<&str>) -> Candidates {
    let mut out = vec![(given.map(str::to_string), word.to_string())];
    let is_word = |p: &str| {
        !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    if let Some((platform, id)) = word.split_once(':')
        && is_word(platform)
        && !id.is_empty()
        && given.is_none_or(|g| g == platform)
    {
        out.push((Some(platform.to_string()), id.to_string()));
    }
    out
}

/// The post that a word means: the one that was found, else the one that it names.
fn identity<'k>(
    word: &str,
    candidates: &Candidates,
    found: impl Iterator<Item = &'k PostKey>,
    platforms: &BTreeSet<String>,
    buried: &dyn Fn(&PostKey) -> bool,
) -> Result<PostKey, CliError> {
    let means = |key: &&PostKey| {
        candidates.iter().any(|(p, id)| *id == key.1 && p.as_ref().is_none_or(|p| *p == key.0))
    };
    let matches: Vec<&PostKey> = found.filter(means).collect();
    match matches.as_slice() {
        [one] => return Ok((*one).clone()),
        [] => {}
        several => {
            let list: Vec<String> = several.iter().map(|(p, id)| format!("{p}:{id}")).collect();
            return Err(CliError::Usage(format!("`{word}` may be {}; say which", list.join(" or "))));
        }
    }
    // Not in bronze (any more).
    for (platform, id) in candidates {
        let known = platforms.iter().filter(|p| platform.as_ref().is_none_or(|q| q == *p));
        if let Some(key) = known.map(|p| (p.clone(), id.clone())).find(buried) {
            return Ok(key);
        }
    }
    if let Some((Some(platform), id)) = candidates.last() {
        return Ok((declared(platform, platforms, false)?, id.clone()));
    }
    let reddit = ["t1_", "t3_"].iter().any(|kind| word.starts_with(kind)) && platforms.contains("reddit");
    match only(platforms) {
        _ if reddit => Ok(("reddit".into(), word.into())),
        Some(platform) => Ok((platform, word.into())),
        None => Err(CliError::Usage(format!(
            "`{word}` was not captured; to keep it from coming, say of which site it is: PLATFORM:{word}, one of {}",
            words(platforms)
        ))),
    }
}

fn forget(
    global: &Global,
    project: &Project,
    lake: &Arc<Lake>,
    state: &State,
    graves: &Graves,
    asked: &Asked,
    told: &mut Told,
) -> Result<(), CliError> {
    let config = &project.config;
    let graph = &config.graph;
    let prints = asked.prints(graves);
    // What bronze holds though it was buried has come there by a way that nobody thought of.
    let entries = exec::asked_for(
        &graves.forgotten,
        asked
            .posts
            .iter()
            .filter(|(key, sighting)| {
                sighting.is_some() || !exec::is_buried(graves, &graves.forgotten.post(&key.0, &key.1))
            })
            .map(|(key, sighting)| (key, sighting.as_ref())),
        asked
            .author
            .as_ref()
            .filter(|(platform, word)| {
                !asked.posts.is_empty() || !exec::is_buried(graves, &graves.forgotten.author(platform, word))
            })
            .map(|(platform, word)| (platform.as_str(), word.as_str())),
        now_ms(),
    );
    if !entries.is_empty() {
        exec::bury(lake, &entries)?;
    }
    let graves = exec::all_graves(lake)?;
    let days = exec::days_of(&graves, &prints);

    // Before bronze loses it: whoever is killed here finds the same ids again.
    let traces = asked.traces();
    told.erased = exec::erase_records(lake, &project.root, &traces, &asked.locators())?;
    let ids = asked.posts.keys().map(|(platform, id)| format!("{platform}:{id}")).collect();
    let labels = exec::erase_labels(lake, &ids, &traces)?;
    told.labels = labels.records;
    told.history = redacted(project, state, &traces, told)?;

    let strays = exec::strays(lake, config, &graves.forgotten, &days, now_ms())?;
    told.dropped = strays.dropped;
    told.purged.add(strays.purged);
    let mut begin = exec::bronze_set(config, &days);
    if let Some(table) = graph.find(SystemTable::Labels.as_str()) {
        // Its rows are of the post's day, whatever bronze says of that day.
        let days = days.iter().chain(&labels.days);
        days.filter_map(|day| graph.days().slot(*day)).for_each(|slot| begin.insert(table, slot));
    }
    let set = closure_down(graph, &begin);
    let mut world = project.world(Some(lake), Some(state), true, false)?;
    let work = work(graph, &mut world, &set);
    if work.is_empty() {
        world.remember(state, lake.id())?;
    } else {
        let count = asked.posts.len() as u64;
        let what = if asked.author.is_some() { "an author".to_string() } else { text::plural(count, "post") };
        let options = RunOptions {
            // The list of runs must not remember what was forgotten.
            command: format!("forget ({what})"),
            request_json: "{}".into(),
            newest_first: false,
            parallel: None,
            max_usd: None,
        };
        let mut planned = Planned { world, plan: work };
        let mut stage = Stage::new()?;
        let carried = carry_out(global, project, lake.clone(), state, &mut planned, &options, &mut stage)?;
        world = planned.world;
        told.run = Some(carried.report.run.0);
        told.made = carried.report.published;
        told.code = carried.code();
    }
    told.left = behind(graph, &world, &set);
    if !told.left.is_empty() {
        told.code = match told.code {
            0 if told.made > 0 => 3,
            0 => 1,
            code => code,
        };
    }
    told.purged.add(exec::purge(lake, config, &set, &days)?);
    told.days = days;
    crate::scratch::folder(&project.root);
    // The run may have written about it before it was gone.
    told.history += redacted(project, state, &traces, told)?;
    if !state.compact()? {
        told.notes.insert(format!(
            "{} is open in another process; bytes of what was removed go when that one ends",
            state.path().display()
        ));
    }
    Ok(())
}

/// The plan: sources lose what is forgotten, and what read these days is made again. Nothing else
/// that is due, so that no source is asked.
fn work(graph: &AssetGraph, world: &mut World, set: &PartitionSet) -> Plan {
    for due in world.seen.due.values_mut() {
        due.retain(|window| window.id == FORGET);
    }
    let mut selected = set.clone();
    for (&asset, due) in &world.seen.due {
        for days in due.iter().filter_map(|window| window.days) {
            for slot in days.iter().filter_map(|day| graph.days().slot(day)) {
                selected.insert(asset, slot);
            }
        }
    }
    // What was never made holds nothing, and making it is not what was asked for.
    for asset in graph.indices().filter(|a| graph.asset(*a).kind != AssetKind::Source) {
        let missing: Vec<usize> =
            selected.slots_of(asset).filter(|slot| world.ledger.at(asset, *slot).is_none()).collect();
        missing.into_iter().for_each(|slot| selected.remove(asset, slot));
    }
    let selected = with_system_inputs(graph, &world.ledger, &world.seen, &selected);
    plan(graph, &world.ledger, &world.seen, &Request { selected, force: false })
}

/// Partitions whose current version was made before, and may still hold what is forgotten.
fn behind(graph: &AssetGraph, world: &World, set: &PartitionSet) -> Vec<String> {
    let mut out = Vec::new();
    for asset in graph.indices().filter(|a| graph.asset(*a).kind != AssetKind::Source) {
        for slot in set.slots_of(asset).filter(|slot| world.ledger.at(asset, *slot).is_some()) {
            if staleness(graph, &world.ledger, &world.seen, asset, slot) != Staleness::Fresh {
                out.push(format!("{}[{}]", graph.key(asset), graph.partition(asset, slot)));
            }
        }
    }
    out
}

/// Takes the traces out of the history of runs, and of databases that `state rebuild` has set
/// aside.
fn redacted(project: &Project, state: &State, traces: &Traces, told: &mut Told) -> Result<u64, CliError> {
    let without = |text: &str| traces.without(text);
    let rows = state.redact(&without)?;
    let Some(folder) = state.path().parent() else { return Ok(rows) };
    for entry in std::fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|e| e != "old") {
            continue;
        }
        let old = State::open(&path).and_then(|old| old.redact(&without).and_then(|_| old.compact()));
        if let Err(error) = old {
            told.notes.insert(format!(
                "{} was set aside and may hold what is forgotten, and cannot be cleaned ({error}); delete it",
                path.strip_prefix(&project.root).unwrap_or(&path).display()
            ));
        }
    }
    Ok(rows)
}

/// What was found and done, to be printed.
struct Told {
    dry_run: bool,
    posts: BTreeMap<PostKey, Option<Sighting>>,
    author: Option<String>,
    platform: Option<String>,
    files: BTreeSet<String>,
    days: BTreeSet<Day>,
    run: Option<i64>,
    made: u64,
    erased: Erased,
    labels: u64,
    history: u64,
    purged: Purged,
    dropped: BTreeSet<String>,
    left: Vec<String>,
    notes: BTreeSet<String>,
    code: u8,
}

impl Told {
    fn new(args: &Forget, asked: &Asked, project: &Project) -> Self {
        let days =
            asked.posts.values().flatten().flat_map(|s| s.places.keys().map(|(_, day)| *day)).collect();
        let mut files = asked.locators();
        files.retain(|locator| project.root.join(locator).is_file());
        Self {
            dry_run: args.dry_run,
            posts: asked.posts.clone(),
            author: args.author.clone(),
            platform: asked.author.as_ref().map(|(platform, _)| platform.clone()),
            files,
            days,
            run: None,
            made: 0,
            erased: Erased::default(),
            labels: 0,
            history: 0,
            purged: Purged::default(),
            dropped: BTreeSet::new(),
            left: Vec::new(),
            notes: BTreeSet::new(),
            code: 0,
        }
    }

    fn json(&self) -> serde_json::Value {
        let posts: Vec<_> = self
            .posts
            .iter()
            .map(|((platform, native_id), sighting)| {
                let places: Vec<_> = sighting
                    .iter()
                    .flat_map(|s| &s.places)
                    .map(|((source, day), captures)| {
                        serde_json::json!({ "source": source, "day": day, "captures": captures })
                    })
                    .collect();
                serde_json::json!({ "platform": platform, "native_id": native_id, "places": places })
            })
            .collect();
        serde_json::json!({
            "dry_run": self.dry_run,
            "author": self.author,
            "posts": posts,
            "days": self.days,
            "files": self.files,
            "run": self.run,
            "published": self.made,
            "quarantine": self.erased.quarantine,
            "cursors": self.erased.cursors,
            "requests": self.erased.requests,
            "labels": self.labels,
            "history": self.history,
            "dropped": self.dropped,
            "purged": { "files": self.purged.files, "bytes": self.purged.bytes },
            "left": self.left,
            "notes": self.notes,
        })
    }

    fn print(&self, global: &Global) -> Result<(), CliError> {
        if global.format != Format::Human {
            return common::print_json(global.format, &self.json());
        }
        let mut out = String::new();
        if let (Some(name), Some(platform)) = (&self.author, &self.platform) {
            let posts = text::plural(self.posts.len() as u64, "post");
            out.push_str(&format!("{} on {platform}: {posts}\n", sanitize::line(name)));
        }
        for ((platform, id), sighting) in &self.posts {
            let name = sanitize::line(&format!("{platform}:{id}")).into_owned();
            match sighting {
                None => out.push_str(&format!("{name}: not in bronze; it is kept from coming\n")),
                Some(sighting) => {
                    for ((source, day), captures) in &sighting.places {
                        let captures = text::plural(*captures, "capture");
                        out.push_str(&format!("{name}: {captures} by {source} on {day}\n"));
                    }
                }
            }
        }
        if self.dry_run {
            out.push_str(&dim(
                "Nothing was changed. Without --dry-run this goes, and what read these days is made again.\n",
            ));
        } else {
            let erased = &self.erased;
            let parts = [
                (self.made, "partition", "made again"),
                (self.purged.files, "older file", "deleted"),
                (erased.quarantine, "set-aside record", "emptied"),
                (erased.cursors, "remembered id", "removed"),
                (erased.requests, "logged request", "removed"),
                (self.labels, "label", "removed"),
                (self.history, "log line", "cleaned"),
            ];
            let done: Vec<String> = parts
                .iter()
                .filter(|(n, ..)| *n > 0)
                .map(|(n, what, verb)| format!("{} {verb}", text::plural(*n, what)))
                .collect();
            if !done.is_empty() {
                out.push_str(&format!("{}\n", done.join(", ")));
            }
            for table in &self.dropped {
                out.push_str(&format!("{table} is not declared any more and was deleted\n"));
            }
            for left in self.left.iter().take(10) {
                out.push_str(&format!(
                    "{} {left} could not be made again and may still hold it\n",
                    red("left:")
                ));
            }
            if !self.left.is_empty() {
                out.push_str(&format!(
                    "{} in all; see `rxpulse runs show --state failed`, mend what is wrong, and say `forget` again\n",
                    text::plural(self.left.len() as u64, "partition")
                ));
            } else if self.code == 0 {
                out.push_str(&format!("{}\n", green("Forgotten.")));
            }
        }
        for file in &self.files {
            let file = sanitize::line(file).into_owned();
            let what = if self.dry_run { "would not be read again" } else { "is not read again" };
            out.push_str(&format!(
                "{} the record still stands in {file}, which is yours; it {what}\n",
                yellow("note:")
            ));
        }
        for note in &self.notes {
            out.push_str(&format!("{} {}\n", yellow("note:"), sanitize::line(note)));
        }
        if !global.quiet || self.code != 0 {
            terminal::out(&out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(platform: &str, id: &str) -> PostKey {
        (platform.to_string(), id.to_string())
    }

    fn meant(
        word: &str,
        given: Option<&str>,
        found: &[PostKey],
        platforms: &[&str],
    ) -> Result<PostKey, String> {
        let platforms: BTreeSet<String> = platforms.iter().map(|p| (*p).to_string()).collect();
        let buried = |key: &PostKey| key.1 == "old";
        match identity(word, &candidates(word, given), found.iter(), &platforms, &buried) {
            Ok(key) => Ok(key),
            Err(CliError::Usage(message)) => Err(message),
            Err(_) => Err("another error".into()),
        }
    }

    #[test]
    fn a_word_names_one_post() {
        let found =
            [key("reddit", "t3_a"), key("feed", "https://e.test/1"), key("feed", "12"), key("shop", "12")];
        let all = ["reddit", "feed", "shop"];
        for (word, given, post) in [
            ("reddit:t3_a", None, key("reddit", "t3_a")),
            ("t3_a", None, key("reddit", "t3_a")),
            ("https://e.test/1", None, key("feed", "https://e.test/1")),
            ("feed:https://e.test/1", None, key("feed", "https://e.test/1")),
            ("feed:12", None, key("feed", "12")),
            ("12", Some("shop"), key("shop", "12")),
            // Not in bronze.
            ("t3_new", None, key("reddit", "t3_new")),
            ("shop:9", None, key("shop", "9")),
            ("9", Some("feed"), key("feed", "9")),
            ("old", None, key("feed", "old")),
        ] {
            assert_eq!(meant(word, given, &found, &all), Ok(post), "{word}");
        }
        assert_eq!(meant("9", None, &[], &["shop"]), Ok(key("shop", "9")));
    }

    #[test]
    fn a_word_that_may_be_several_is_refused_with_what_to_say() {
        let found = [key("feed", "12"), key("shop", "12")];
        let all = ["reddit", "feed", "shop"];
        let wrong = |word: &str, given| meant(word, given, &found, &all).unwrap_err();
        assert_eq!(wrong("12", None), "`12` may be feed:12 or shop:12; say which");
        assert!(wrong("9", None).contains("PLATFORM:9, one of feed, reddit, shop"));
        assert!(wrong("redit:t3_a", None).contains("did you mean `reddit`?"));
        assert!(wrong("https://e.test/2", None).contains("the platform `https`"));
    }
}
