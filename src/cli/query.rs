//! `rxpulse query`: a question in SQL over the published tables.

use std::io::Read;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::config::Body;
use crate::diagnostic::{Problem, SourceText, TextProblem};
use crate::engine::{CancellationFlag, EngineError, Input, InputFile, SqlJob, TableData};
use crate::exec::{self, AI_CALLS, REQUESTS, World};
use crate::graph::{AssetIdx, AssetKind, Partitioning};
use crate::lake::Lake;
use crate::output::terminal::{self, Format, dim, err};
use crate::output::{sanitize, text};
use crate::project::Project;

use super::args::{Global, Query};
use super::common::{self, CliError, Exit};

/// Every published partition of an asset as a table; manifests are resolved once, here.
pub fn table(
    project: &Project,
    lake: Option<&Lake>,
    world: &World,
    asset: AssetIdx,
    schema: SchemaRef,
) -> Result<Input, CliError> {
    table_of(project, lake, world, asset, schema, &|_| true)
}

/// The published partitions of an asset that `wanted` says, by place.
pub fn table_of(
    project: &Project,
    lake: Option<&Lake>,
    world: &World,
    asset: AssetIdx,
    schema: SchemaRef,
    is_wanted: &dyn Fn(usize) -> bool,
) -> Result<Input, CliError> {
    let graph = &project.config.graph;
    let key = graph.key(asset);
    let daily = graph.asset(asset).partitioning == Partitioning::Daily;
    let bronze = graph.asset(asset).kind == AssetKind::Source;
    let mut files = Vec::new();
    if let Some(lake) = lake {
        let mut wanted: std::collections::BTreeMap<Option<String>, Vec<_>> = Default::default();
        for slot in (0..graph.slots(asset)).filter(|s| is_wanted(*s)) {
            if bronze {
                for part in world.bronze_parts(asset, slot) {
                    wanted.entry(part.source).or_default().push((part.partition, part.generation));
                }
            } else if let Some(entry) = world.ledger.at(asset, slot).filter(|e| e.rows > 0) {
                wanted.entry(None).or_default().push((graph.partition(asset, slot), entry.generation));
            }
        }
        for (source, wanted) in wanted {
            for manifest in lake.read_manifests(key, source.as_deref(), &wanted)? {
                let manifest = manifest?;
                for file in &manifest.files {
                    files.push(InputFile {
                        path: lake.path(file),
                        day: manifest.partition.day(),
                        bytes: file.bytes,
                        rows: file.rows,
                    });
                }
            }
        }
    }
    let data =
        if bronze { TableData::Bronze { objects: files } } else { TableData::Parquet { files, schema } };
    Ok(Input { name: key.clone(), daily, data })
}

/// Logs of the product, which are tables to ask though no assets: every request that a source
/// made, every call to a language model.
const LOGS: [&str; 2] = [REQUESTS, AI_CALLS];

/// One of the logs.
fn log(name: &str, lake: Option<&Lake>) -> Result<Input, CliError> {
    let schema = if name == REQUESTS { exec::requests_schema() } else { exec::ai_calls_schema() };
    let batches = match lake {
        Some(lake) if name == REQUESTS => vec![(None, exec::read_requests(lake)?)],
        Some(lake) => vec![(None, exec::read_ai_calls(lake)?)],
        None => Vec::new(),
    };
    let name = name.parse().map_err(|_| CliError::Usage(format!("`{name}` is no name")))?;
    Ok(Input { name, daily: false, data: TableData::Memory { schema, batches } })
}

/// Runs the command.
pub fn run(global: &Global, args: &Query) -> Exit {
    let project = common::open(global)?;
    let sql = match args.sql.as_str() {
        "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        }
        sql => sql.to_string(),
    };
    let file = std::sync::Arc::new(SourceText { name: "query".into(), text: sql.clone() });
    let problems = |found: Vec<TextProblem>| -> CliError {
        CliError::Problems(found.into_iter().map(|p| p.within(&file)).collect::<Vec<Problem>>())
    };
    let parsed = crate::sql::parse(&sql).map_err(problems)?;
    let graph = &project.config.graph;
    let lake = project.lake_if_any()?;
    let state = project.state_if_any()?;
    let world = project.world(lake.as_ref(), state.as_ref(), false, false)?;
    let engine = project.engine()?;
    let (shapes, _) = project.shapes(&engine).map_err(CliError::Problems)?;
    let mut names: Vec<&str> = graph.iter().map(|(_, a)| a.key.as_str()).collect();
    // A declared asset of a log's name comes first.
    let logs: Vec<&str> = LOGS.into_iter().filter(|name| graph.find(name).is_none()).collect();
    names.extend(&logs);
    let unknown: Vec<TextProblem> = parsed
        .tables()
        .iter()
        .filter(|t| !names.contains(&t.name.as_str()))
        .map(|t| {
            let help = match crate::diagnostic::did_you_mean(&t.name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the tables are {}", names.join(", ")),
            };
            TextProblem::error(format!("there is no table `{}`", t.name), t.span.clone()).help(help)
        })
        .collect();
    if !unknown.is_empty() {
        return Err(problems(unknown));
    }
    let mut used: Vec<AssetIdx> = parsed.tables().iter().filter_map(|t| graph.find(&t.name)).collect();
    used.sort();
    used.dedup();
    let mut tables = Vec::new();
    for asset in used {
        if world.ledger.of(asset).iter().all(Option::is_none) && !global.quiet {
            err(&format!("{}\n", dim(&format!("{} has no published partition yet", graph.key(asset)))));
        }
        tables.push(table(&project, lake.as_ref(), &world, asset, shapes[asset.i()].schema.clone())?);
    }
    for name in logs {
        if parsed.tables().iter().any(|t| t.name == name) {
            tables.push(log(name, lake.as_ref())?);
        }
    }
    let mut batches = Vec::new();
    let asked = engine.query(&file, tables, &CancellationFlag::new(), &mut |batch| {
        batches.push(batch);
        Ok(())
    });
    let schema = match asked {
        Ok(schema) => schema,
        Err(EngineError::Sql(found)) => return Err(problems(found)),
        Err(other) => return Err(other.into()),
    };
    let bytes = match global.format {
        Format::Human => human(&schema, &batches, args.limit)?.into_bytes(),
        Format::Csv => csv(&schema, &batches)?,
        Format::Json => json(&schema, &batches, true)?,
        Format::Ndjson => json(&schema, &batches, false)?,
        Format::Parquet => parquet(&schema, &batches)?,
    };
    match &args.out {
        Some(path) => std::fs::write(path, bytes)?,
        None if global.format == Format::Human => terminal::out(&String::from_utf8_lossy(&bytes)),
        None => terminal::out_bytes(&bytes),
    }
    Ok(0)
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Failed(error.to_string())
}

fn human(schema: &SchemaRef, batches: &[RecordBatch], limit: usize) -> Result<String, CliError> {
    let options = FormatOptions::default().with_null("NULL");
    let total: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch
            .columns()
            .iter()
            .map(|c| ArrayFormatter::try_new(c.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        for row in 0..batch.num_rows() {
            if rows.len() < limit {
                rows.push(columns.iter().map(|c| sanitize::short(&c.value(row).to_string(), 60)).collect());
            }
        }
    }
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let right: Vec<usize> = (0..names.len()).filter(|i| schema.field(*i).data_type().is_numeric()).collect();
    let mut out = text::table(&names, rows, &right, None);
    let plural = text::plural(total as u64, "row");
    match total > limit {
        true => out.push_str(&dim(&format!("{plural}, {limit} shown (--limit)\n"))),
        false => out.push_str(&dim(&format!("{plural}\n"))),
    }
    Ok(out)
}

fn csv(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, CliError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(schema.fields().iter().map(|f| f.name().as_str())).map_err(failed)?;
    let options = FormatOptions::default();
    for batch in batches {
        let columns = batch
            .columns()
            .iter()
            .map(|c| ArrayFormatter::try_new(c.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().enumerate().map(|(i, c)| {
                let value = c.value(row).to_string();
                // Numbers stay numbers; any text could be a formula.
                let number = schema.field(i).data_type().is_numeric();
                if number { value } else { sanitize::csv_text(&value).into_owned() }
            });
            writer.write_record(cells).map_err(failed)?;
        }
    }
    writer.into_inner().map_err(failed)
}

fn json(schema: &SchemaRef, batches: &[RecordBatch], array: bool) -> Result<Vec<u8>, CliError> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let mut object = serde_json::Map::new();
            for (i, field) in schema.fields().iter().enumerate() {
                object.insert(field.name().clone(), value(batch.column(i), row)?);
            }
            rows.push(serde_json::Value::Object(object));
        }
    }
    let mut out = Vec::new();
    if array {
        serde_json::to_writer_pretty(&mut out, &rows)?;
        out.push(b'\n');
    } else {
        for row in rows {
            serde_json::to_writer(&mut out, &row)?;
            out.push(b'\n');
        }
    }
    Ok(out)
}

fn value(column: &dyn Array, row: usize) -> Result<serde_json::Value, CliError> {
    use datafusion::arrow::datatypes::{Float64Type, Int64Type};
    if column.is_null(row) {
        return Ok(serde_json::Value::Null);
    }
    let one = column.slice(row, 1);
    Ok(match column.data_type() {
        DataType::Boolean => one.as_boolean().value(0).into(),
        t if t.is_integer() => {
            let cast = cast(&one, &DataType::Int64).map_err(failed)?;
            cast.as_primitive::<Int64Type>().value(0).into()
        }
        t if t.is_floating() => {
            let cast = cast(&one, &DataType::Float64).map_err(failed)?;
            serde_json::Number::from_f64(cast.as_primitive::<Float64Type>().value(0))
                .map_or(serde_json::Value::Null, serde_json::Value::Number)
        }
        DataType::List(_) => {
            let items = one.as_list::<i32>().value(0);
            let items = (0..items.len()).map(|i| value(&items, i)).collect::<Result<Vec<_>, _>>()?;
            serde_json::Value::Array(items)
        }
        _ => {
            let options = FormatOptions::default();
            let shown = ArrayFormatter::try_new(&one, &options).map_err(failed)?;
            shown.value(0).to_string().into()
        }
    })
}

fn parquet(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, CliError> {
    use datafusion::parquet::arrow::ArrowWriter;
    let mut out = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut out, schema.clone(), None).map_err(failed)?;
    for batch in batches {
        writer.write(batch).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    Ok(out)
}

/// A captured post that silver leaves out because it matches no brand.
pub struct Excluded {
    /// Its day.
    pub day: String,
    /// Platform and id.
    pub post_id: String,
    /// Subreddit, app, forum.
    pub channel: String,
    /// Title and body.
    pub text: String,
    /// `off_brand`, or `parent_unknown` for a comment on a post whose headline nobody knows.
    pub reason: String,
}

/// The reasons of silver that have to do with brands.
const EXCLUDED: [&str; 2] = ["off_brand", "parent_unknown"];

/// Up to `n` captured posts that match no brand. Spread evenly over what is captured, the same
/// each time.
pub fn excluded_posts(project: &Project, n: usize) -> Result<Vec<Excluded>, CliError> {
    let graph = &project.config.graph;
    let Some(lake) = project.lake_if_any()? else { return Ok(Vec::new()) };
    let state = project.state_if_any()?;
    let world = project.world(Some(&lake), state.as_ref(), false, false)?;
    let engine = project.engine()?;
    let (shapes, _) = project.shapes(&engine).map_err(CliError::Problems)?;
    // The asset that drops posts by brand is the one whose query says so.
    let silver = graph.iter().find_map(|(idx, _)| match &project.config.asset(idx).body {
        Body::Sql { file } if file.text.contains("rx_drop") => Some((idx, file.clone())),
        _ => None,
    });
    let Some((asset, file)) = silver else { return Ok(Vec::new()) };
    let mut inputs = Vec::new();
    for &(up, _) in graph.upstream(asset) {
        inputs.push(table(project, Some(&lake), &world, up, shapes[up.i()].schema.clone())?);
    }
    let mut found: Vec<(u64, Excluded)> = Vec::new();
    let job = SqlJob {
        sql: file.clone(),
        inputs,
        days: Some(graph.days().iter().collect()),
        row_key: project.config.asset(asset).row_key.iter().map(|k| k.value.clone()).collect(),
        schema: shapes[asset.i()].schema.clone(),
        keep_dropped: true,
    };
    let mut sink = |day: Option<crate::graph::Day>, batch: RecordBatch| {
        let column = |name: &str| -> Option<datafusion::arrow::array::ArrayRef> {
            cast(batch.column_by_name(name)?, &DataType::Utf8).ok()
        };
        let (Some(reason), Some(post), Some(channel), Some(body)) =
            (column("rx_drop"), column("post_id"), column("channel"), column("text"))
        else {
            return Ok(());
        };
        let cell = |a: &datafusion::arrow::array::ArrayRef, row: usize| {
            let strings = a.as_string::<i32>();
            if strings.is_null(row) { String::new() } else { strings.value(row).to_string() }
        };
        for row in 0..batch.num_rows() {
            let reason = cell(&reason, row);
            if !EXCLUDED.contains(&reason.as_str()) {
                continue;
            }
            let post_id = cell(&post, row);
            // The smallest hashes: a sample that does not depend on order or size.
            let mut first = [0; 8];
            first.copy_from_slice(&blake3::hash(post_id.as_bytes()).as_bytes()[..8]);
            let rank = u64::from_le_bytes(first);
            if found.len() >= n && found.last().is_some_and(|l| l.0 <= rank) {
                continue;
            }
            let day = day.map(|d| d.to_string()).unwrap_or_default();
            let (channel, text) = (cell(&channel, row), cell(&body, row));
            let at = found.partition_point(|f| f.0 < rank);
            found.insert(at, (rank, Excluded { day, post_id, channel, text, reason }));
            found.truncate(n);
        }
        Ok(())
    };
    engine.run(&job, &mut sink, &|_| {}, &CancellationFlag::new())?;
    Ok(found.into_iter().map(|f| f.1).collect())
}
