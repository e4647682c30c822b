//! Checks of what is published: partition checks on demand, and checks that need more than one
//! partition (fresh enough, unique across days, relationships).

use std::collections::BTreeMap;

use crate::check::{self, PartitionChecks};
use crate::config::{CheckKind, CheckSeverity};
use crate::engine::{Input, InputFile, TableData};
use crate::event::{CheckResult, CheckStatus};
use crate::graph::{AssetIdx, AssetKey, AssetKind, Outcome, PartitionKey, PartitionSet, Partitioning};
use crate::lake::{LakeError, ParquetBatches};

use super::resources::Resources;
use super::world::World;

/// What one check found over the partitions it looked at.
#[derive(Clone, Debug)]
pub struct AssetCheck {
    /// The asset.
    pub asset: AssetKey,
    /// The result.
    pub result: CheckResult,
    /// How many partitions were looked at.
    pub partitions: u64,
    /// The partitions where it does not hold.
    pub bad: Vec<PartitionKey>,
}

/// Evaluates the partition checks of published partitions again. A published partition has
/// passed them once; a check that was added since has not run yet.
///
/// # Errors
/// When a file cannot be read.
pub fn partition_checks(
    res: &Resources,
    world: &World,
    selected: &PartitionSet,
) -> Result<Vec<AssetCheck>, LakeError> {
    let graph = &res.config.graph;
    let issue_ids = res.issue_ids();
    let mut out = Vec::new();
    for asset in graph.indices().filter(|a| graph.asset(*a).kind != AssetKind::Source) {
        let declared = res.config.asset(asset);
        let mut sums: BTreeMap<String, AssetCheck> = BTreeMap::new();
        for slot in selected.slots_of(asset) {
            // It was checked while it had its texts; without them a check may say anything.
            let Some(entry) =
                world.ledger.at(asset, slot).filter(|entry| entry.outcome != Outcome::TextRemoved)
            else {
                continue;
            };
            let partition = graph.partition(asset, slot);
            let schema = &res.shape(asset).schema;
            let mut results = match PartitionChecks::new(declared, schema, &issue_ids) {
                Err(why) => vec![check::result("columns".into(), CheckSeverity::Error, 1, Some(why))],
                Ok(mut checks) => {
                    let files =
                        res.files.get(&res.lake, graph.key(asset), None, partition, entry.generation)?;
                    let mut rows = 0;
                    let mut broken = None;
                    for file in files.iter() {
                        for batch in ParquetBatches::open(&res.lake.path(file))? {
                            let batch = batch?;
                            rows += batch.num_rows() as u64;
                            if let Err(error) = checks.take(&batch) {
                                broken = Some(error.to_string());
                            }
                        }
                    }
                    let mut results = checks.finish(rows);
                    if let Some(why) = broken {
                        results.push(check::result("columns".into(), CheckSeverity::Error, 1, Some(why)));
                    }
                    results
                }
            };
            results.extend(sql_checks(res, world, asset, slot));
            for result in results {
                let sum = sums.entry(result.check.clone()).or_insert_with(|| AssetCheck {
                    asset: declared.key.clone(),
                    result: CheckResult {
                        violations: 0,
                        status: CheckStatus::Passed,
                        message: String::new(),
                        ..result.clone()
                    },
                    partitions: 0,
                    bad: Vec::new(),
                });
                sum.partitions += 1;
                if result.status != CheckStatus::Passed {
                    sum.bad.push(partition);
                    sum.result.violations += result.violations;
                    sum.result.status = result.status;
                    if sum.result.message.is_empty() {
                        sum.result.message = result.message;
                    }
                }
            }
        }
        out.extend(sums.into_values());
    }
    Ok(out)
}

/// Checks written in SQL, over one published partition.
fn sql_checks(res: &Resources, world: &World, asset: AssetIdx, slot: usize) -> Vec<CheckResult> {
    let key = res.config.graph.key(asset);
    let mut out = Vec::new();
    for c in &res.config.asset(asset).checks {
        let Some((sql, ..)) = c.kind.query(key) else { continue };
        out.push(counted(res, &c.name, c.severity, &sql, vec![table(res, world, asset, Some(slot))]));
    }
    out
}

fn counted(
    res: &Resources,
    name: &str,
    severity: CheckSeverity,
    sql: &str,
    tables: Vec<Result<Input, LakeError>>,
) -> CheckResult {
    let tables: Result<Vec<Input>, LakeError> = tables.into_iter().collect();
    let counted = tables
        .map_err(|e| e.to_string())
        .and_then(|t| super::step::count(&res.engine, sql, t).map_err(|e| e.to_string()));
    match counted {
        Ok(n) => check::result(name.to_string(), severity, n, None),
        Err(why) => {
            check::result(name.to_string(), severity, 1, Some(format!("it could not be evaluated: {why}")))
        }
    }
}

/// The published partitions of an asset (or one of them) as a table.
fn table(res: &Resources, world: &World, asset: AssetIdx, only: Option<usize>) -> Result<Input, LakeError> {
    let graph = &res.config.graph;
    let mut files = Vec::new();
    let slots = match only {
        Some(slot) => slot..slot + 1,
        None => 0..graph.slots(asset),
    };
    for slot in slots {
        let Some(entry) = world.ledger.at(asset, slot).filter(|e| e.rows > 0) else { continue };
        let partition = graph.partition(asset, slot);
        let entries = res.files.get(&res.lake, graph.key(asset), None, partition, entry.generation)?;
        files.extend(entries.iter().map(|f| InputFile {
            path: res.lake.path(f),
            day: partition.day(),
            bytes: f.bytes,
            rows: f.rows,
        }));
    }
    Ok(Input {
        name: graph.key(asset).clone(),
        daily: graph.asset(asset).partitioning == Partitioning::Daily,
        data: TableData::Parquet { files, schema: res.shape(asset).schema.clone() },
    })
}

/// Evaluates checks that need more than one partition, on assets with a selected partition
/// (all assets without a selection).
pub fn asset_checks(res: &Resources, world: &World, selected: Option<&PartitionSet>) -> Vec<AssetCheck> {
    let graph = &res.config.graph;
    let mut out = Vec::new();
    for asset in graph.indices() {
        if selected.is_some_and(|s| !s.has_asset(asset)) {
            continue;
        }
        let declared = res.config.asset(asset);
        let partitions = world.ledger.of(asset).iter().flatten().count() as u64;
        for c in declared.checks.iter().filter(|c| !c.kind.before_publish()) {
            let result = match &c.kind {
                CheckKind::FreshWithin { max_age_ms } => {
                    fresh_within(res, world, asset, &c.name, c.severity, *max_age_ms)
                }
                CheckKind::UniqueAcrossDays { columns } => {
                    let names: Vec<String> = columns.iter().map(|n| format!("\"{}\"", n.value)).collect();
                    let names = names.join(", ");
                    let sql = format!(
                        "SELECT coalesce(cast(sum(n - 1) AS bigint), 0) FROM (SELECT count(*) AS n FROM {} GROUP BY {names} HAVING count(*) > 1)",
                        declared.key
                    );
                    counted(res, &c.name, c.severity, &sql, vec![table(res, world, asset, None)])
                }
                CheckKind::Relationship { column, to_asset, to_column } => {
                    let sql = format!(
                        "SELECT count(*) FROM {0} a WHERE a.\"{1}\" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {2} b WHERE b.\"{3}\" = a.\"{1}\")",
                        declared.key, column.value, to_asset, to_column
                    );
                    let mut tables = vec![table(res, world, asset, None)];
                    if let Some(other) = graph.find(to_asset.as_str()).filter(|o| *o != asset) {
                        tables.push(table(res, world, other, None));
                    }
                    counted(res, &c.name, c.severity, &sql, tables)
                }
                _ => continue,
            };
            out.push(AssetCheck { asset: declared.key.clone(), result, partitions, bad: Vec::new() });
        }
    }
    out
}

fn fresh_within(
    res: &Resources,
    world: &World,
    asset: AssetIdx,
    name: &str,
    severity: CheckSeverity,
    max_age_ms: i64,
) -> CheckResult {
    let graph = &res.config.graph;
    let newest = (0..graph.slots(asset))
        .rev()
        .filter(|slot| world.ledger.at(asset, *slot).is_some_and(|e| e.rows > 0))
        .find_map(|slot| graph.partition(asset, slot).day());
    let Some(day) = newest else {
        return check::result(name.to_string(), severity, 1, Some("no partition has rows".into()));
    };
    // A day is as old as the time since its end.
    let zone = &res.config.project.timezone;
    let end = day.plus(1).date().to_zoned(zone.clone()).map_or(0, |z| z.timestamp().as_millisecond());
    let age = super::run::now_ms().saturating_sub(end);
    let late = age > max_age_ms;
    let message = format!("the newest rows are of {day}, {} hours old", age / 3_600_000);
    check::result(name.to_string(), severity, u64::from(late), late.then_some(message))
}
