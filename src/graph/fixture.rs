//! Small graphs for tests.

use super::asset::{Asset, AssetKind, Dep, Layer};
use super::asset_graph::AssetGraph;
use super::partition::{Day, DayRange, PartitionMapping, Partitioning};
use super::version::CodeVersion;

/// The graph of these assets over days from 2026-01-01, each with what it reads. An asset is
/// daily unless its name starts with `whole`; a dependency is written `name`, `name-7` (seven
/// days before too), `name=all` or `name=latest`.
pub fn graph(days: usize, assets: &[(&str, &[&str])]) -> AssetGraph {
    let assets = assets.iter().map(|(name, deps)| asset(name, deps)).collect();
    let start: Day = "2026-01-01".parse().unwrap();
    let range = DayRange::new(start, start.plus(days as i32 - 1)).unwrap();
    AssetGraph::build(assets, range).unwrap()
}

/// One asset of [`graph`], to be changed further.
pub fn asset(name: &str, deps: &[&str]) -> Asset {
    let whole = |name: &str| name.starts_with("whole");
    let deps = deps
        .iter()
        .map(|dep| {
            let (up, mapping) = if let Some((up, days)) = dep.split_once('-') {
                (up, PartitionMapping::Trailing { days: days.parse().unwrap() })
            } else if let Some(up) = dep.strip_suffix("=all") {
                (up, PartitionMapping::All)
            } else if let Some(up) = dep.strip_suffix("=latest") {
                (up, PartitionMapping::Latest)
            } else {
                (*dep, if whole(dep) { PartitionMapping::All } else { PartitionMapping::Same })
            };
            Dep { asset: up.parse().unwrap(), mapping }
        })
        .collect();
    Asset {
        key: name.parse().unwrap(),
        layer: Layer::Silver,
        kind: AssetKind::Sql,
        partitioning: if whole(name) { Partitioning::None } else { Partitioning::Daily },
        deps,
        tags: Vec::new(),
        owners: Vec::new(),
        description: String::new(),
        pool: None,
        code: CodeVersion([0; 16]),
    }
}
