//! Retention as commands see it: a run begins by removing the texts whose time is over, and says
//! what that leaves undone.

use crate::exec::{self, RemovedTexts, World, now_ms};
use crate::graph::{Cause, Plan, Staleness};
use crate::lake::Lake;
use crate::output::terminal::{err, red, yellow};
use crate::output::{sanitize, text};
use crate::project::Project;
use crate::state::State;

use super::args::Global;
use super::common::{self, CliError};

/// How a removal went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Removal {
    /// Nothing was due.
    None,
    /// The lake has changed.
    Done,
    /// Something is left; the reason was told.
    Failed,
}

/// Removes texts whose time is over, and says so. A run that is at work may still read them, so
/// that nothing is removed beside one: the next run does it.
pub fn remove_due(
    global: &Global,
    project: &Project,
    lake: &Lake,
    state: Option<&State>,
    world: &mut World,
) -> Result<Removal, CliError> {
    let due = world.due_texts();
    if due.is_empty() {
        return Ok(Removal::None);
    }
    if let Some(state) = state
        && let Some(run) = common::at_work(project, state)?
    {
        if !global.quiet {
            err(&format!("{} texts whose time is over stay while run {run} is at work\n", yellow("note:")));
        }
        return Ok(Removal::None);
    }
    match exec::remove_texts(lake, &project.config, &mut world.texts, &due, now_ms()) {
        Ok(removed) => {
            crate::scratch::folder(&project.root);
            if !global.quiet {
                err(&format!("{} {}\n", yellow("note:"), told(project, &removed)));
            }
            Ok(Removal::Done)
        }
        Err(error) => {
            let error = sanitize::line(&error.to_string()).into_owned();
            err(&format!(
                "{} texts whose time is over (privacy.retain_text) could not be removed: {error}; the next run tries again\n",
                red("error:")
            ));
            Ok(Removal::Failed)
        }
    }
}

/// What was removed, in a sentence.
pub fn told(project: &Project, removed: &RemovedTexts) -> String {
    let days = match (removed.days.first(), removed.days.last()) {
        (Some(first), Some(last)) if first != last => {
            format!("{} ({first} … {last})", text::plural(removed.days.len() as u64, "day"))
        }
        (Some(day), _) => day.to_string(),
        _ => "no day".to_string(),
    };
    let after = project.config.privacy.retain_text.map(|r| format!(" = \"{r}\"")).unwrap_or_default();
    let parts = [
        (removed.objects, "object", "of bronze written anew"),
        (removed.partitions, "partition", "written anew"),
        (removed.samples, "set-aside record", "emptied"),
        (removed.purged.files, "older file", "deleted"),
        (removed.left, "partition", "left for the next run"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(n, ..)| *n > 0)
        .map(|(n, what, verb)| format!("{} {verb}", text::plural(*n, what)))
        .collect();
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    format!("texts of {days} were removed (retain_text{after}){parts}")
}

/// Says what a run does not make because texts were removed.
///
/// # Errors
/// When that is all that `--force` was asked for.
pub fn tell_kept(global: &Global, project: &Project, plan: &Plan, force: bool) -> Result<(), CliError> {
    let graph = &project.config.graph;
    let lost = plan.kept.iter().filter(|k| k.why == Staleness::Missing).count() as u64;
    let forced = |why: &Staleness| matches!(why, Staleness::Stale(c) if c.contains(&Cause::Forced));
    let forced = plan.kept.iter().filter(|k| forced(&k.why)).count() as u64;
    if let (true, true, Some(first)) = (force, plan.is_empty(), plan.kept.first()) {
        let name = format!("{}[{}]", graph.key(first.asset), graph.partition(first.asset, first.slot));
        let all = match plan.kept.len() {
            1 => name,
            n => format!("{name} and {} more", n - 1),
        };
        return Err(CliError::Usage(format!(
            "{all} cannot be made again: texts of these days were removed (privacy.retain_text), and what was \
             made from them stays as it is"
        )));
    }
    if global.quiet {
        return Ok(());
    }
    for (n, what) in [
        (forced, "not made again: their texts were removed (retain_text), so they stay as they are"),
        (lost, "not made: the texts that they would be made from were removed (retain_text)"),
    ] {
        if n > 0 {
            err(&format!("{} {} {what}\n", yellow("note:"), text::plural(n, "partition")));
        }
    }
    Ok(())
}
