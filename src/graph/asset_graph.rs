//! The asset graph: assets in topological order, and which partitions feed which.
//!
//! An invalid graph cannot exist: [`AssetGraph::build`] refuses unknown dependencies,
//! cycles and mappings without meaning. This is the only user of petgraph.

use std::collections::{BTreeMap, HashMap};

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

use super::asset::{Asset, AssetIdx, AssetKey, AssetPartition};
use super::partition::{Day, DayRange, PartitionKey, PartitionMapping, Partitioning};
use super::version::CodeVersion;

/// Why a set of assets is no graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two assets have one name.
    #[error("the asset `{0}` is declared twice")]
    Duplicate(AssetKey),
    /// A dependency that is not declared.
    #[error("`{asset}` depends on `{dep}`, which is not an asset")]
    UnknownDep {
        /// The asset that names it.
        asset: AssetKey,
        /// The name.
        dep: AssetKey,
    },
    /// The same upstream asset twice.
    #[error("`{asset}` names its dependency `{dep}` twice")]
    DuplicateDep {
        /// The asset that names it.
        asset: AssetKey,
        /// The name.
        dep: AssetKey,
    },
    /// Assets that wait for each other.
    #[error("these assets depend on each other in a circle: {}", path(.0))]
    Cycle(
        /// The path; the first asset is repeated at the end.
        Vec<AssetKey>,
    ),
    /// A mapping that means nothing between these two.
    #[error("`{asset}` cannot depend on `{dep}` by `{mapping}`: {why}")]
    Mapping {
        /// The asset that depends.
        asset: AssetKey,
        /// On this one.
        dep: AssetKey,
        /// In this way.
        mapping: PartitionMapping,
        /// What to do instead.
        why: &'static str,
    },
}

fn path(keys: &[AssetKey]) -> String {
    let names: Vec<_> = keys.iter().map(AssetKey::as_str).collect();
    names.join(" → ")
}

/// The declared assets and their edges, in topological order (ties by name).
#[derive(Debug)]
pub struct AssetGraph {
    days: DayRange,
    assets: Vec<Asset>,
    upstream: Vec<Vec<(AssetIdx, PartitionMapping)>>,
    downstream: Vec<Vec<(AssetIdx, PartitionMapping)>>,
    by_key: HashMap<AssetKey, AssetIdx>,
    /// Assets whose later days are made by another code.
    code_since: BTreeMap<AssetIdx, (Day, CodeVersion)>,
}

impl AssetGraph {
    /// What the body of an asset says of a partition: days may be told apart
    /// ([`set_code_since`](Self::set_code_since)).
    pub fn code(&self, asset: AssetIdx, slot: usize) -> CodeVersion {
        if let Some((since, code)) = self.code_since.get(&asset)
            && self.partition(asset, slot).day().is_some_and(|day| day >= *since)
        {
            return *code;
        }
        self.asset(asset).code
    }

    /// From `day` on, the partitions of an asset are made by another code.
    pub fn set_code_since(&mut self, asset: AssetIdx, day: Day, code: CodeVersion) {
        self.code_since.insert(asset, (day, code));
    }

    /// Orders `assets` topologically over the project's `days`.
    ///
    /// # Errors
    /// Every reason why they are no graph, all at once.
    pub fn build(assets: Vec<Asset>, days: DayRange) -> Result<Self, Vec<GraphError>> {
        let mut errors = Vec::new();
        let mut places: BTreeMap<AssetKey, usize> = BTreeMap::new();
        for (i, asset) in assets.iter().enumerate() {
            if places.insert(asset.key.clone(), i).is_some() {
                errors.push(GraphError::Duplicate(asset.key.clone()));
            }
        }
        let mut graph: DiGraph<usize, PartitionMapping> = DiGraph::new();
        // Nodes in order of name, so that the topological order does not depend on the file's.
        let mut nodes = vec![NodeIndex::end(); assets.len()];
        for &i in places.values() {
            nodes[i] = graph.add_node(i);
        }
        for &i in places.values() {
            let asset = &assets[i];
            let mut seen = Vec::new();
            for dep in &asset.deps {
                if seen.contains(&&dep.asset) {
                    errors
                        .push(GraphError::DuplicateDep { asset: asset.key.clone(), dep: dep.asset.clone() });
                    continue;
                }
                seen.push(&dep.asset);
                let Some(&up) = places.get(&dep.asset) else {
                    errors.push(GraphError::UnknownDep { asset: asset.key.clone(), dep: dep.asset.clone() });
                    continue;
                };
                if let Some(why) = unmeaning(asset.partitioning, assets[up].partitioning, dep.mapping) {
                    errors.push(GraphError::Mapping {
                        asset: asset.key.clone(),
                        dep: dep.asset.clone(),
                        mapping: dep.mapping,
                        why,
                    });
                }
                graph.add_edge(nodes[up], nodes[i], dep.mapping);
            }
        }
        if toposort(&graph, None).is_err() {
            for mut circle in tarjan_scc(&graph) {
                circle.sort();
                let alone = circle.len() == 1 && !graph.contains_edge(circle[0], circle[0]);
                if !alone {
                    let keys = walk_cycle(&graph, &circle).into_iter().map(|n| assets[graph[n]].key.clone());
                    errors.push(GraphError::Cycle(keys.collect()));
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let order = order_by_depth(&graph);
        let mut position = vec![AssetIdx(0); assets.len()];
        for (at, &node) in order.iter().enumerate() {
            position[graph[node]] = AssetIdx(at as u32);
        }
        let mut slots: Vec<Option<Asset>> = assets.into_iter().map(Some).collect();
        let assets: Vec<Asset> = order.iter().filter_map(|&n| slots[graph[n]].take()).collect();
        let by_key: HashMap<_, _> =
            assets.iter().enumerate().map(|(i, a)| (a.key.clone(), AssetIdx(i as u32))).collect();
        let mut upstream = vec![Vec::new(); assets.len()];
        let mut downstream = vec![Vec::new(); assets.len()];
        for (i, asset) in assets.iter().enumerate() {
            for dep in &asset.deps {
                let up = by_key[&dep.asset];
                upstream[i].push((up, dep.mapping));
                downstream[up.i()].push((AssetIdx(i as u32), dep.mapping));
            }
        }
        Ok(Self { days, assets, upstream, downstream, by_key, code_since: BTreeMap::new() })
    }

    /// The project's days.
    pub fn days(&self) -> DayRange {
        self.days
    }

    /// How many assets there are.
    pub fn len(&self) -> usize {
        self.assets.len()
    }

    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        self.assets.is_empty()
    }

    /// Every position, upstream first.
    pub fn indices(&self) -> impl DoubleEndedIterator<Item = AssetIdx> + ExactSizeIterator + use<> {
        (0..self.assets.len() as u32).map(AssetIdx)
    }

    /// Every asset with its position, upstream first.
    pub fn iter(&self) -> impl Iterator<Item = (AssetIdx, &Asset)> {
        self.indices().zip(&self.assets)
    }

    /// The asset at a position.
    pub fn asset(&self, idx: AssetIdx) -> &Asset {
        &self.assets[idx.i()]
    }

    /// The name of the asset at a position.
    pub fn key(&self, idx: AssetIdx) -> &AssetKey {
        &self.assets[idx.i()].key
    }

    /// The position of a name.
    pub fn find(&self, name: &str) -> Option<AssetIdx> {
        let key: AssetKey = name.parse().ok()?;
        self.by_key.get(&key).copied()
    }

    /// What an asset reads, in declared order.
    pub fn upstream(&self, idx: AssetIdx) -> &[(AssetIdx, PartitionMapping)] {
        &self.upstream[idx.i()]
    }

    /// What reads an asset, in topological order.
    pub fn downstream(&self, idx: AssetIdx) -> &[(AssetIdx, PartitionMapping)] {
        &self.downstream[idx.i()]
    }

    /// How many partitions an asset has.
    pub fn slots(&self, idx: AssetIdx) -> usize {
        match self.assets[idx.i()].partitioning {
            Partitioning::Daily => self.days.len(),
            Partitioning::None => 1,
        }
    }

    /// The place of a partition among its asset's; `None` when it does not exist.
    pub fn slot(&self, ap: AssetPartition) -> Option<usize> {
        match (self.assets[ap.asset.i()].partitioning, ap.partition) {
            (Partitioning::Daily, PartitionKey::Day(day)) => self.days.slot(day),
            (Partitioning::None, PartitionKey::Whole) => Some(0),
            _ => None,
        }
    }

    /// The partition at a place.
    pub fn partition(&self, idx: AssetIdx, slot: usize) -> PartitionKey {
        match self.assets[idx.i()].partitioning {
            Partitioning::Daily => PartitionKey::Day(self.days.day(slot)),
            Partitioning::None => PartitionKey::Whole,
        }
    }

    /// The places of `up` that the place `slot` of `idx` reads, as a half-open range.
    /// Days before the project's first do not exist, so a trailing window is short there.
    pub fn input_slots(
        &self,
        idx: AssetIdx,
        slot: usize,
        up: AssetIdx,
        mapping: PartitionMapping,
    ) -> std::ops::Range<usize> {
        let slots = self.slots(up);
        let daily = |i: AssetIdx| self.assets[i.i()].partitioning == Partitioning::Daily;
        match mapping {
            _ if !daily(up) => 0..1,
            PartitionMapping::Same if daily(idx) => slot..slot + 1,
            PartitionMapping::Trailing { days } if daily(idx) => slot.saturating_sub(days as usize)..slot + 1,
            PartitionMapping::Latest => slots - 1..slots,
            _ => 0..slots,
        }
    }

    /// The places of `down` that read the place `slot` of `idx`, as a half-open range.
    pub fn output_slots(
        &self,
        idx: AssetIdx,
        slot: usize,
        down: AssetIdx,
        mapping: PartitionMapping,
    ) -> std::ops::Range<usize> {
        let slots = self.slots(down);
        let daily = |i: AssetIdx| self.assets[i.i()].partitioning == Partitioning::Daily;
        match mapping {
            _ if !daily(idx) => 0..slots,
            PartitionMapping::Same if daily(down) => slot..slot + 1,
            PartitionMapping::Trailing { days } if daily(down) => slot..slots.min(slot + days as usize + 1),
            PartitionMapping::Latest if slot + 1 < self.slots(idx) => 0..0,
            _ => 0..slots,
        }
    }
}

/// A mapping without meaning between two partitionings, and what to write instead.
fn unmeaning(down: Partitioning, up: Partitioning, mapping: PartitionMapping) -> Option<&'static str> {
    match (down, up, mapping) {
        (Partitioning::Daily, Partitioning::Daily, PartitionMapping::Latest | PartitionMapping::All) => Some(
            "a daily asset reads a daily one by the same day or `{ days_before = N }`; only an unpartitioned asset reads `latest` or `all`",
        ),
        (_, Partitioning::None, PartitionMapping::Trailing { .. }) => {
            Some("an unpartitioned asset has no days; write \"all\"")
        }
        (
            Partitioning::None,
            Partitioning::Daily,
            PartitionMapping::Trailing { .. } | PartitionMapping::Same,
        ) => Some("an unpartitioned asset has no day of its own; write \"all\" or \"latest\""),
        _ => None,
    }
}

/// One circle inside a strongly connected component, first node repeated at the end.
fn walk_cycle(graph: &DiGraph<usize, PartitionMapping>, members: &[NodeIndex]) -> Vec<NodeIndex> {
    // Shortest way from the first member back to itself, by breadth-first search.
    let start = members[0];
    let mut came_from: HashMap<NodeIndex, NodeIndex> = HashMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        let mut next: Vec<_> = graph.neighbors(node).filter(|n| members.contains(n)).collect();
        next.sort();
        for n in next {
            if n == start {
                let mut way = vec![start, node];
                let mut at = node;
                while at != start {
                    at = came_from[&at];
                    way.push(at);
                }
                if node == start {
                    way.truncate(2);
                }
                way.reverse();
                return way;
            }
            if let std::collections::hash_map::Entry::Vacant(place) = came_from.entry(n) {
                place.insert(node);
                queue.push_back(n);
            }
        }
    }
    members.to_vec()
}

/// Topological order by depth, then by node (nodes are in order of name).
fn order_by_depth(graph: &DiGraph<usize, PartitionMapping>) -> Vec<NodeIndex> {
    let mut depth = vec![0usize; graph.node_count()];
    let order = toposort(graph, None).unwrap_or_default();
    for &node in &order {
        for next in graph.neighbors(node) {
            depth[next.index()] = depth[next.index()].max(depth[node.index()] + 1);
        }
    }
    let mut nodes: Vec<_> = graph.node_indices().collect();
    nodes.sort_by_key(|n| (depth[n.index()], *n));
    nodes
}
