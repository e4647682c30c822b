//! Completions with live asset names, and manual pages.

use std::ffi::OsStr;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::output::terminal;
use crate::project::{self, Project};

use super::args::{Cli, Completions, Global, Man};
use super::common::{CliError, Exit};

/// The variable by which a shell asks for completions.
const ASKS: &str = "RXPULSE_COMPLETE";

/// Answers a shell that asks for completions, and ends; returns at once otherwise.
pub fn answer() {
    clap_complete::CompleteEnv::with_factory(Cli::command).var(ASKS).complete();
}

/// Names of assets.
pub fn assets() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| names(current, &[]))
}

/// Names of assets and what else a selection knows.
pub fn selections() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        names(
            current,
            &[
                "layer:bronze",
                "layer:silver",
                "layer:gold",
                "status:stale",
                "status:missing",
                "status:failed",
            ],
        )
    })
}

/// Names of sources.
pub fn sources() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let project = project::find(None).and_then(|root| Project::open(root, None));
        let (Some(start), Ok(project)) = (current.to_str(), project) else { return Vec::new() };
        let sources = project.config.sources.iter().filter(|s| s.name.starts_with(start));
        sources.map(|s| CompletionCandidate::new(&s.name).help(Some(s.kind.type_name().into()))).collect()
    })
}

fn names(current: &OsStr, more: &[&str]) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    // `+name` is everything that name reads, and the name.
    let (sign, start) = match current.strip_prefix('+') {
        Some(rest) if !more.is_empty() => ("+", rest),
        _ => ("", current),
    };
    // Nothing may be printed here: a project that cannot be read completes nothing.
    let project = project::find(None).and_then(|root| Project::open(root, None));
    let assets: Vec<(String, String)> = match &project {
        Ok(project) => {
            project.config.graph.iter().map(|(_, a)| (a.key.to_string(), a.description.clone())).collect()
        }
        Err(_) => Vec::new(),
    };
    let mut out: Vec<CompletionCandidate> = assets
        .into_iter()
        .filter(|(name, _)| name.starts_with(start))
        .map(|(name, text)| {
            CompletionCandidate::new(format!("{sign}{name}")).help((!text.is_empty()).then(|| text.into()))
        })
        .collect();
    out.extend(more.iter().filter(|m| sign.is_empty() && m.starts_with(start)).map(CompletionCandidate::new));
    out
}

/// `rxpulse completions`.
pub fn completions(args: &Completions) -> Exit {
    let shells = clap_complete::env::Shells::builtins();
    let shell = shells
        .completer(&args.shell)
        .ok_or_else(|| CliError::Usage(format!("`{}` is not a shell known here", args.shell)))?;
    let mut script = Vec::new();
    shell.write_registration(ASKS, "rxpulse", "rxpulse", "rxpulse", &mut script)?;
    terminal::out_bytes(&script);
    Ok(0)
}

/// `rxpulse man`.
pub fn man(global: &Global, args: &Man) -> Exit {
    let dir: &Path = &args.dir;
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command(), dir)?;
    if !global.quiet {
        let pages = std::fs::read_dir(dir)?.count();
        terminal::err(&format!(
            "{pages} pages in {}: man -l {}\n",
            dir.display(),
            dir.join("rxpulse.1").display()
        ));
    }
    Ok(0)
}
