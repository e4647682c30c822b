//! `rxpulse assets`: what is declared.

use std::fmt::Write as _;

use crate::config::Body;
use crate::engine::Grouping;
use crate::graph::{AssetGraph, AssetIdx, PartitionMapping, Partitioning};
use crate::output::terminal::{self, bold, dim};
use crate::output::{sanitize, text};

use super::args::{Assets, Days, Global, GraphStyle};
use super::common::{self, Exit};

/// Runs the command.
pub fn run(global: &Global, args: &Assets) -> Exit {
    match args {
        Assets::List { selection } => list(global, selection),
        Assets::Show { asset } => show(global, asset),
        Assets::Graph { style, selection } => graph(global, *style, selection),
    }
}

fn selected(graph: &AssetGraph, terms: &[String]) -> Result<Vec<AssetIdx>, common::CliError> {
    let days = common::day_set(&Days::default(), graph.days())?;
    let set = common::resolve(graph, terms, &days, None)?;
    Ok(graph.indices().filter(|a| set.has_asset(*a)).collect())
}

fn deps(graph: &AssetGraph, asset: AssetIdx) -> Vec<String> {
    graph
        .upstream(asset)
        .iter()
        .map(|(up, mapping)| match mapping {
            PartitionMapping::Same => graph.key(*up).to_string(),
            other => format!("{} ({other})", graph.key(*up)),
        })
        .collect()
}

fn list(global: &Global, terms: &[String]) -> Exit {
    let json = common::is_json(global.format)?;
    let project = common::open(global)?;
    let graph = &project.config.graph;
    let chosen = selected(graph, terms)?;
    if json {
        let list: Vec<_> = chosen
            .iter()
            .map(|a| {
                let asset = graph.asset(*a);
                serde_json::json!({
                    "asset": asset.key, "layer": asset.layer, "kind": asset.kind,
                    "partitioning": asset.partitioning, "deps": deps(graph, *a),
                    "tags": asset.tags, "owners": asset.owners, "description": asset.description,
                })
            })
            .collect();
        common::print_json(global.format, &serde_json::Value::Array(list))?;
        return Ok(0);
    }
    let rows = chosen
        .iter()
        .map(|a| {
            let asset = graph.asset(*a);
            vec![
                asset.key.to_string(),
                asset.layer.as_str().into(),
                asset.kind.as_str().into(),
                deps(graph, *a).join(", "),
                sanitize::line(&asset.description).into_owned(),
            ]
        })
        .collect();
    terminal::out(&text::table(
        &["asset", "layer", "kind", "depends on", "what it holds"],
        rows,
        &[],
        Some(terminal::width().max(100)),
    ));
    Ok(0)
}

fn show(global: &Global, name: &str) -> Exit {
    let json = common::is_json(global.format)?;
    let project = common::open(global)?;
    let graph = &project.config.graph;
    let idx = common::asset_named(graph, name)?;
    let asset = graph.asset(idx);
    let config = project.config.asset(idx);
    let engine = project.engine()?;
    let (shapes, _) = project.shapes(&engine).map_err(common::CliError::Problems)?;
    let shape = &shapes[idx.i()];
    let docs: std::collections::BTreeMap<&str, &str> =
        config.columns.iter().map(|(n, d)| (n.as_str(), d.as_str())).collect();
    let columns: Vec<(String, String, String)> = (asset.partitioning == Partitioning::Daily)
        .then(|| ("dt".to_string(), "varchar".to_string(), "Day of creation (partition)".to_string()))
        .into_iter()
        .chain(shape.schema.fields().iter().map(|f| {
            let doc = docs.get(f.name().as_str()).copied().unwrap_or("");
            (f.name().clone(), crate::lake::type_text(f.data_type()), doc.to_string())
        }))
        .collect();
    let readers: Vec<String> = graph.downstream(idx).iter().map(|(d, _)| graph.key(*d).to_string()).collect();
    let body = match &config.body {
        Body::Sql { file } => Some((file.name.clone(), file.text.clone())),
        _ => None,
    };
    let grouping = match &shape.grouping {
        Grouping::Together => "several days run in one query".to_string(),
        Grouping::OneDay { why } => format!("one day a query: {why}"),
    };
    let key: Vec<&str> = config.row_key.iter().map(|k| k.value.as_str()).collect();
    if json {
        let value = serde_json::json!({
            "asset": asset.key, "layer": asset.layer, "kind": asset.kind, "partitioning": asset.partitioning,
            "description": asset.description, "owners": asset.owners, "tags": asset.tags,
            "deps": deps(graph, idx), "read_by": readers, "key": key, "code_version": asset.code,
            "code_parts": config.code.iter().map(|(n, v)| serde_json::json!({"name": n, "value": v})).collect::<Vec<_>>(),
            "columns": columns.iter().map(|(n, t, d)| serde_json::json!({"name": n, "type": t, "description": d})).collect::<Vec<_>>(),
            "checks": config.checks.iter().map(|c| c.name.clone()).collect::<Vec<_>>(),
            "grouping": grouping,
            "body": body.as_ref().map(|b| serde_json::json!({"file": b.0, "text": b.1})),
        });
        common::print_json(global.format, &value)?;
        return Ok(0);
    }
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} · {} · {} · {}",
        bold(asset.key.as_str()),
        asset.layer.as_str(),
        asset.kind.as_str(),
        match asset.partitioning {
            Partitioning::Daily => "daily",
            Partitioning::None => "unpartitioned",
        }
    );
    if !asset.description.is_empty() {
        let _ = writeln!(out, "{}", sanitize::line(&asset.description));
    }
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(out, "{} {value}", dim(&format!("{name:11}")));
        }
    };
    fact("depends on", deps(graph, idx).join(", "));
    fact("read by", readers.join(", "));
    fact("key", key.join(", "));
    fact("owners", asset.owners.join(", "));
    fact("tags", asset.tags.join(", "));
    fact("code", asset.code.short());
    fact("grouping", grouping);
    fact("checks", config.checks.iter().map(|c| c.name.clone()).collect::<Vec<_>>().join(", "));
    out.push('\n');
    let rows = columns.into_iter().map(|(n, t, d)| vec![n, t, sanitize::line(&d).into_owned()]).collect();
    out.push_str(&text::table(&["column", "type", "meaning"], rows, &[], Some(terminal::width().max(100))));
    if let Some((file, text)) = body {
        let _ = write!(out, "\n{}\n{}", dim(&file), sanitize::block(&text));
        if !text.ends_with('\n') {
            out.push('\n');
        }
    }
    terminal::out(&out);
    Ok(0)
}

fn graph(global: &Global, style: GraphStyle, terms: &[String]) -> Exit {
    let project = common::open(global)?;
    let graph = &project.config.graph;
    let chosen = selected(graph, terms)?;
    let edges = || {
        chosen
            .iter()
            .flat_map(|a| graph.upstream(*a).iter().map(move |(up, m)| (*up, *a, *m)))
            .filter(|(up, ..)| chosen.contains(up))
    };
    if common::is_json(global.format)? {
        let assets: Vec<_> = chosen
            .iter()
            .map(|a| serde_json::json!({ "asset": graph.key(*a), "layer": graph.asset(*a).layer }))
            .collect();
        let edges: Vec<_> = edges()
            .map(|(up, down, m)| {
                serde_json::json!({ "from": graph.key(up), "to": graph.key(down), "mapping": m.to_string() })
            })
            .collect();
        common::print_json(global.format, &serde_json::json!({ "assets": assets, "edges": edges }))?;
        return Ok(0);
    }
    let label = |m: PartitionMapping| (m != PartitionMapping::Same).then(|| m.to_string());
    let mut out = String::new();
    match style {
        GraphStyle::Dot => {
            out.push_str("digraph assets {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n");
            for a in &chosen {
                let _ = writeln!(
                    out,
                    "  {} [label=\"{}\\n{}\"];",
                    graph.key(*a),
                    graph.key(*a),
                    graph.asset(*a).layer.as_str()
                );
            }
            for (up, down, m) in edges() {
                let label = label(m).map(|l| format!(" [label=\"{l}\"]")).unwrap_or_default();
                let _ = writeln!(out, "  {} -> {}{label};", graph.key(up), graph.key(down));
            }
            out.push_str("}\n");
        }
        GraphStyle::Mermaid => {
            out.push_str("flowchart LR\n");
            for a in &chosen {
                let _ =
                    writeln!(out, "  {0}[\"{0}<br/>{1}\"]", graph.key(*a), graph.asset(*a).layer.as_str());
            }
            for (up, down, m) in edges() {
                let arrow = label(m).map(|l| format!("-- \"{l}\" -->")).unwrap_or_else(|| "-->".into());
                let _ = writeln!(out, "  {} {arrow} {}", graph.key(up), graph.key(down));
            }
        }
        GraphStyle::Text => {
            for a in &chosen {
                let up = deps(graph, *a);
                let from = if up.is_empty() { String::new() } else { format!(" ← {}", up.join(", ")) };
                let _ = writeln!(
                    out,
                    "{:7} {}{}",
                    graph.asset(*a).layer.as_str(),
                    bold(graph.key(*a).as_str()),
                    dim(&from)
                );
            }
        }
    }
    terminal::out(&out);
    Ok(0)
}
