//! Sets of asset partitions: one bit a partition.

use super::asset::{AssetIdx, AssetPartition};
use super::asset_graph::AssetGraph;

/// A set of partitions of one graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSet {
    slots: Vec<usize>,
    bits: Vec<Vec<u64>>,
}

impl PartitionSet {
    /// The empty set.
    pub fn empty(graph: &AssetGraph) -> Self {
        let slots: Vec<usize> = graph.indices().map(|a| graph.slots(a)).collect();
        let bits = slots.iter().map(|n| vec![0; n.div_ceil(64)]).collect();
        Self { slots, bits }
    }

    /// Every partition.
    pub fn all(graph: &AssetGraph) -> Self {
        let mut set = Self::empty(graph);
        for asset in graph.indices() {
            set.insert_range(asset, 0..graph.slots(asset));
        }
        set
    }

    /// Adds one partition.
    pub fn insert(&mut self, asset: AssetIdx, slot: usize) {
        debug_assert!(slot < self.slots[asset.i()]);
        self.bits[asset.i()][slot / 64] |= 1 << (slot % 64);
    }

    /// Adds a run of partitions.
    pub fn insert_range(&mut self, asset: AssetIdx, range: std::ops::Range<usize>) {
        for slot in range {
            self.insert(asset, slot);
        }
    }

    /// Takes one partition out.
    pub fn remove(&mut self, asset: AssetIdx, slot: usize) {
        self.bits[asset.i()][slot / 64] &= !(1 << (slot % 64));
    }

    /// Whether a partition is in the set.
    pub fn contains(&self, asset: AssetIdx, slot: usize) -> bool {
        self.bits[asset.i()][slot / 64] & (1 << (slot % 64)) != 0
    }

    /// Whether any partition of an asset is in the set.
    pub fn has_asset(&self, asset: AssetIdx) -> bool {
        self.bits[asset.i()].iter().any(|w| *w != 0)
    }

    /// The places of one asset, in order.
    pub fn slots_of(&self, asset: AssetIdx) -> impl Iterator<Item = usize> + '_ {
        self.bits[asset.i()].iter().enumerate().flat_map(|(at, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros() as usize;
                    rest &= rest - 1;
                    at * 64 + bit
                })
            })
        })
    }

    /// Every partition, upstream assets first.
    pub fn iter<'a>(&'a self, graph: &'a AssetGraph) -> impl Iterator<Item = AssetPartition> + 'a {
        graph.indices().flat_map(move |asset| {
            self.slots_of(asset)
                .map(move |slot| AssetPartition { asset, partition: graph.partition(asset, slot) })
        })
    }

    /// How many partitions.
    pub fn len(&self) -> usize {
        self.bits.iter().flatten().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bits.iter().flatten().all(|w| *w == 0)
    }

    /// Adds every partition of `other`.
    pub fn union(&mut self, other: &Self) {
        self.each_word(other, |a, b| a | b);
    }

    /// Keeps only partitions that are in `other` too.
    pub fn intersect(&mut self, other: &Self) {
        self.each_word(other, |a, b| a & b);
    }

    /// Takes every partition of `other` out.
    pub fn subtract(&mut self, other: &Self) {
        self.each_word(other, |a, b| a & !b);
    }

    fn each_word(&mut self, other: &Self, f: impl Fn(u64, u64) -> u64) {
        for (mine, theirs) in self.bits.iter_mut().flatten().zip(other.bits.iter().flatten()) {
            *mine = f(*mine, *theirs);
        }
    }
}
