//! `rxpulse backfill`: a run over a set of (asset, partition).
//!
//! The set is recorded with the run: one bad day never stops the others, and `runs resume` and
//! `runs retry` know what is left.

use crate::exec::RunOptions;
use crate::output::text;

use super::args::{Backfill, Global};
use super::argv;
use super::common::{self, Exit};
use super::materialize::{Asked, Only, Which, launch};

/// Runs the command.
pub fn run(global: &Global, args: &Backfill) -> Exit {
    let project = common::open(global)?;
    let asked = asked(args);
    if args.dry_run {
        return super::plan::show(global, &project, &asked);
    }
    launch(global, &project, &asked)
}

fn asked(args: &Backfill) -> Asked {
    let request = serde_json::json!({
        "backfill": true,
        "selection": args.selection,
        "partitions": args.days.partitions,
        "from": args.days.from,
        "to": args.days.to,
        "latest": args.days.latest,
        "missing": args.missing,
        "failed": args.failed,
        "stale": args.stale,
        "force": args.force,
        "reverse": args.reverse,
        "parallel": args.parallel,
        "max_usd": args.max_usd,
    });
    Asked {
        which: Which::Selection {
            terms: args.selection.clone(),
            days: args.days.clone(),
            only: Only { missing: args.missing, failed: args.failed, stale: args.stale },
        },
        force: args.force,
        options: RunOptions {
            command: text::command(&argv::backfill(args)),
            request_json: request.to_string(),
            newest_first: args.reverse,
            parallel: args.parallel.map(usize::from),
            max_usd: args.max_usd.map(crate::enrich::Usd::from_dollars),
        },
    }
}
