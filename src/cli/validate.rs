//! `rxpulse validate`: configuration and SQL, nothing else.

use crate::config::Body;
use crate::engine::Grouping;
use crate::output::terminal::{self, dim, green};
use crate::output::{problems, text};

use super::args::{Global, Validate};
use super::common::{self, CliError, Exit};

/// Runs the command.
pub fn run(global: &Global, args: &Validate) -> Exit {
    let json = common::is_json(global.format)?;
    let project = common::open_quietly(global)?;
    let engine = project.engine()?;
    let mut found = project.warnings.clone();
    let (shapes, warnings) = project.shapes(&engine).map_err(|mut errors| {
        errors.extend(found.iter().cloned());
        CliError::Problems(errors)
    })?;
    found.extend(warnings);
    let graph = &project.config.graph;
    let mut alone = Vec::new();
    for (idx, asset) in graph.iter() {
        let Body::Sql { file } = &project.config.asset(idx).body else { continue };
        if let Grouping::OneDay { why } = &shapes[idx.i()].grouping {
            alone.push(format!("{} runs one day a query: {why}", asset.key));
        }
        if args.portable
            && let Ok(query) = crate::sql::parse(&file.text)
        {
            found.extend(query.portable().into_iter().map(|p| p.within(file)));
        }
    }
    if json {
        let value = serde_json::json!({
            "valid": true,
            "assets": graph.len(),
            "problems": found.iter().map(problems::json).collect::<Vec<_>>(),
            "notes": alone,
        });
        common::print_json(global.format, &value)?;
        return Ok(0);
    }
    if !found.is_empty() {
        terminal::err(&problems::render(&found, terminal::stderr_color(), terminal::width()));
    }
    let mut out = String::new();
    for note in alone {
        out.push_str(&format!("{}\n", dim(&note)));
    }
    out.push_str(&format!(
        "{} {}, {}, {}\n",
        green("Valid:"),
        text::plural(graph.len() as u64, "asset"),
        text::plural(project.config.sources.len() as u64, "source"),
        text::plural(graph.days().len() as u64, "day"),
    ));
    terminal::out(&out);
    Ok(0)
}
