//! Sets of asset partitions: one bit a partition.
//!
//! Invariant: bits past an asset's last place are never set, so that words can be compared,
//! counted and combined as they are. May not block.

use std::ops::Range;

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
    pub fn insert_range(&mut self, asset: AssetIdx, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        debug_assert!(range.end <= self.slots[asset.i()]);
        let (first, last) = (range.start / 64, (range.end - 1) / 64);
        for (at, word) in self.bits[asset.i()][first..=last].iter_mut().enumerate() {
            let start = (first + at) * 64;
            let from = range.start.max(start) - start;
            let to = range.end.min(start + 64) - start;
            *word |= (u64::MAX << from) & (u64::MAX >> (64 - to));
        }
    }

    /// Takes every partition of an asset out.
    pub fn remove_asset(&mut self, asset: AssetIdx) {
        self.bits[asset.i()].fill(0);
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

    /// The places of one asset as runs without gaps, in order.
    pub fn runs_of(&self, asset: AssetIdx) -> impl Iterator<Item = Range<usize>> + '_ {
        runs(&self.bits[asset.i()])
    }

    /// How many partitions of one asset.
    pub fn len_of(&self, asset: AssetIdx) -> usize {
        self.bits[asset.i()].iter().map(|w| w.count_ones() as usize).sum()
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

    /// Every partition that is not in the set, and no other.
    pub fn complement(&mut self) {
        for (bits, slots) in self.bits.iter_mut().zip(&self.slots) {
            for word in bits.iter_mut() {
                *word = !*word;
            }
            if let Some(last) = bits.last_mut()
                && slots % 64 != 0
            {
                *last &= u64::MAX >> (64 - slots % 64);
            }
        }
    }

    /// Adds to `to` the places of `from`, as they are; both have equally many.
    pub(super) fn add_same(&mut self, source: &Source<'_>, to: AssetIdx) {
        debug_assert_eq!(source.bits.len(), self.bits[to.i()].len());
        for (mine, theirs) in self.bits[to.i()].iter_mut().zip(source.bits) {
            *mine |= theirs;
        }
    }

    /// Calls `f` with the places of one asset and the rest of the set, which it may change.
    pub(super) fn with_asset(&mut self, asset: AssetIdx, f: impl FnOnce(&Source<'_>, &mut Self)) {
        let bits = std::mem::take(&mut self.bits[asset.i()]);
        f(&Source { bits: &bits }, self);
        self.bits[asset.i()] = bits;
    }

    /// The places of one asset.
    pub(super) fn source(&self, asset: AssetIdx) -> Source<'_> {
        Source { bits: &self.bits[asset.i()] }
    }

    fn each_word(&mut self, other: &Self, f: impl Fn(u64, u64) -> u64) {
        for (mine, theirs) in self.bits.iter_mut().flatten().zip(other.bits.iter().flatten()) {
            *mine = f(*mine, *theirs);
        }
    }
}

/// The places of one asset, apart from their set.
pub(super) struct Source<'a> {
    bits: &'a [u64],
}

impl Source<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.bits.iter().all(|w| *w == 0)
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        runs(self.bits)
    }
}

fn runs(bits: &[u64]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = next(bits, at, 0)?;
        let end = next(bits, start, u64::MAX).unwrap_or(bits.len() * 64);
        at = end;
        Some(start..end)
    })
}

/// The first place at or after `at` whose bit is set after the words were xor-ed with `flip`.
fn next(bits: &[u64], at: usize, flip: u64) -> Option<usize> {
    let mut word = at / 64;
    let mut rest = (bits.get(word)? ^ flip) & (u64::MAX << (at % 64));
    while rest == 0 {
        word += 1;
        rest = bits.get(word)? ^ flip;
    }
    Some(word * 64 + rest.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::fixture;

    #[test]
    fn runs_cross_words() {
        let graph = fixture::graph(200, &[("a", &[])]);
        let mut set = PartitionSet::empty(&graph);
        let a = AssetIdx(0);
        set.insert_range(a, 3..3);
        assert!(set.is_empty());
        set.insert_range(a, 0..1);
        set.insert_range(a, 60..130);
        set.insert_range(a, 190..200);
        assert_eq!(set.runs_of(a).collect::<Vec<_>>(), [0..1, 60..130, 190..200]);
        assert_eq!((set.len(), set.len_of(a)), (81, 81));
        set.complement();
        assert_eq!(set.runs_of(a).collect::<Vec<_>>(), [1..60, 130..190]);
        set.remove_asset(a);
        assert!(set.is_empty());
        let mut all = PartitionSet::all(&graph);
        assert_eq!(all.runs_of(a).next(), Some(0..200));
        assert_eq!(all.len(), 200);
        all.complement();
        assert_eq!(all, PartitionSet::empty(&graph));
    }

    proptest! {
        #[test]
        fn sets_are_what_their_bits_say(
            days in 1usize..200, ranges in proptest::collection::vec((0usize..200, 0usize..200), 0..6)
        ) {
            let graph = fixture::graph(days, &[("a", &[])]);
            let a = AssetIdx(0);
            let mut set = PartitionSet::empty(&graph);
            let mut plain = vec![false; days];
            for (x, y) in ranges {
                let range = x.min(days)..y.clamp(x.min(days), days.max(x.min(days)));
                plain[range.clone()].fill(true);
                set.insert_range(a, range);
            }
            let slots: Vec<_> = (0..days).filter(|&s| plain[s]).collect();
            prop_assert_eq!(set.slots_of(a).collect::<Vec<_>>(), slots.clone());
            prop_assert_eq!(set.runs_of(a).flatten().collect::<Vec<_>>(), slots.clone());
            let runs: Vec<_> = set.runs_of(a).collect();
            prop_assert!(runs.windows(2).all(|w| w[0].end < w[1].start));
            prop_assert_eq!(set.len(), slots.len());
            let mut other = set.clone();
            other.complement();
            prop_assert_eq!(other.len(), days - slots.len());
            other.complement();
            prop_assert_eq!(&other, &set);
        }
    }
}
