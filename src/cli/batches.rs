//! Batches of a language model that are not answered yet, as `status`, `explain` and the end of a
//! run show them.
//! Blocks on the lake.

use serde_json::{Value, json};

use crate::enrich::Usd;
use crate::envelope::format_millis;
use crate::exec::{OpenBatch, now_ms, open_batches};
use crate::lake::Lake;
use crate::output::terminal::yellow;
use crate::output::{sanitize, text};
use crate::project::Project;

use super::common::CliError;

/// The open batches of a lake, of one asset or of all.
pub(super) fn read(
    project: &Project,
    lake: Option<&Lake>,
    asset: Option<&str>,
) -> Result<Vec<OpenBatch>, CliError> {
    let Some(lake) = lake else { return Ok(Vec::new()) };
    let mut batches = open_batches(lake, &project.config)?;
    batches.retain(|b| asset.is_none_or(|a| a == b.asset));
    Ok(batches)
}

/// What is waited for after a run, or instead of one.
pub(super) fn told(project: &Project) -> Result<String, CliError> {
    Ok(lines(&read(project, project.lake_if_any()?.as_ref(), None)?))
}

/// A line for each.
pub(super) fn lines(batches: &[OpenBatch]) -> String {
    let line = |b: &OpenBatch| {
        let next = match b.next_ms > now_ms() {
            true => format!("looked at next after {}", text::moment(b.next_ms)),
            false => "looked at by the next run".to_string(),
        };
        format!(
            "{} {} of {} sent at {} (UTC) as {}, at most {}: {next}\n",
            yellow("batch:"),
            text::plural(b.texts, "text"),
            b.asset,
            text::moment(b.since_ms),
            sanitize::line(&b.name),
            Usd(b.at_most),
        )
    };
    batches.iter().map(line).collect()
}

/// The same for programs.
pub(super) fn list(batches: &[OpenBatch]) -> Vec<Value> {
    let one = |b: &OpenBatch| {
        json!({
            "asset": b.asset,
            "batch": b.name,
            "texts": b.texts,
            "sent_at": format_millis(b.since_ms),
            "next_look_at": format_millis(b.next_ms),
            "at_most_usd": Usd(b.at_most).dollars(),
        })
    };
    batches.iter().map(one).collect()
}
