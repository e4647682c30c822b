//! `rxpulse forget`: a post, or all of an author, leaves every layer at once and for good.
//!
//! Tombstones → records and history → a run that takes it out of bronze and makes again what
//! read it → older versions → the database written anew. Killed anywhere, the same command again
//! finishes it: tombstones remember the days. Nothing here asks a source, and what a person put
//! into the project's folders stays.

use std::sync::Arc;

use crate::config::SystemTable;
use crate::exec::{self, FORGET, Graves, RunOptions, World, now_ms};
use crate::graph::{
    AssetGraph, AssetKind, PartitionSet, Plan, Request, Staleness, closure_down, is_kept, plan, staleness,
    with_system_inputs,
};
use crate::lake::Lake;
use crate::output::text;
use crate::project::Project;
use crate::source::Traces;
use crate::state::State;

use super::args::{Forget, Global};
use super::common::{self, CliError, Exit};
use super::forget_asked::{Asked, author_words};
use super::forget_told::Told;
use super::materialize::{Planned, Stage, carry_out};

/// Runs the command.
pub fn run(global: &Global, args: &Forget) -> Exit {
    common::is_json(global.format)?;
    let project = common::open(global)?;
    let author = args.author.as_deref().map(|name| author_words(&project, name)).transpose()?;
    let lake = if args.dry_run { project.lake_if_any()? } else { Some(project.lake()?) };
    let Some(lake) = lake else {
        return Err(CliError::Failed(
            "nothing was captured yet, so there is nothing to forget; without --dry-run the post is kept from coming"
                .into(),
        ));
    };
    let lake = Arc::new(lake);
    let state = if args.dry_run { None } else { Some(project.state()?) };
    if let Some(state) = &state
        && let Some(run) = common::at_work(&project, state)?
    {
        // It could write again, from what it has read, what is taken out here.
        return Err(CliError::Failed(format!(
            "run {run} is at work and may hold what is to be forgotten; wait for it, or stop it with \
             `rxpulse runs cancel {run}`, and say this again"
        )));
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
            .authors
            .iter()
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
    told.answers = exec::erase_answers(lake, &ids)? + exec::erase_batches(lake, &traces)?;
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
        let what =
            if !asked.authors.is_empty() { "an author".to_string() } else { text::plural(count, "post") };
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
    // What has lost its texts cannot be made again: what is left of the post is cut out.
    told.made += exec::cut_rows(lake, config, &kept(graph, &world, &set), &asked.ids(), now_ms())?;
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

/// The partitions of a set that exist and stay as they are.
fn kept(graph: &AssetGraph, world: &World, set: &PartitionSet) -> PartitionSet {
    let mut out = PartitionSet::empty(graph);
    for asset in graph.indices() {
        for slot in set.slots_of(asset).filter(|slot| world.ledger.at(asset, *slot).is_some()) {
            if is_kept(graph, &world.ledger, &world.seen, asset, slot) {
                out.insert(asset, slot);
            }
        }
    }
    out
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
