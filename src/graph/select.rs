//! The selection grammar: one for the command line, the terminal and the configuration.
//!
//! ```text
//! selection = and { ["or"] and }               terms side by side mean "or"
//! and       = not { "and" not }
//! not       = "not" not | term
//! term      = [[N] "+"] ( name | key ":" value | "(" selection ")" ) ["+" [N]]
//! ```
//! Names and values may hold `*`. `+a` is all upstream, `a+` all downstream, `2+a` two steps.
//!
//! Invariant: a literal name means exactly its own partitions; only `+` reaches other assets,
//! and takes of them the days that the mappings ask for. Pure: may not block.

use std::fmt;

use super::asset::{Asset, AssetIdx};
use super::asset_graph::AssetGraph;
use super::closure;
use super::partition::{Day, DayRange, Partitioning};
use super::select_text::{Node, What, matches, read, visible};
pub use super::select_text::{STATUS_WORDS, SelectError};
use super::set::PartitionSet;
use crate::diagnostic::did_you_mean;

/// A parsed selection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection {
    text: String,
    root: Node,
}

/// Which days are meant. An unpartitioned asset is always inside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DaySet {
    /// `None` for all; else in order, apart from each other.
    ranges: Option<Vec<DayRange>>,
}

impl DaySet {
    /// Every day of the project.
    pub fn all() -> Self {
        Self { ranges: None }
    }

    /// The days of one range.
    pub fn range(range: DayRange) -> Self {
        Self::ranges(vec![range])
    }

    /// These days.
    pub fn days(days: Vec<Day>) -> Self {
        Self::ranges(days.into_iter().map(|day| DayRange { start: day, end: day }).collect())
    }

    /// The days of any of these ranges.
    pub fn ranges(mut ranges: Vec<DayRange>) -> Self {
        ranges.sort_by_key(|r| (r.start, r.end));
        let mut apart: Vec<DayRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match apart.last_mut() {
                Some(last) if range.start <= last.end.plus(1) => last.end = last.end.max(range.end),
                _ => apart.push(range),
            }
        }
        Self { ranges: Some(apart) }
    }

    /// Whether a day is meant.
    pub fn contains(&self, day: Day) -> bool {
        let Some(ranges) = &self.ranges else { return true };
        let after = ranges.partition_point(|r| r.start <= day);
        after.checked_sub(1).is_some_and(|at| ranges[at].contains(day))
    }

    /// Whether every day is meant.
    pub fn is_all(&self) -> bool {
        self.ranges.is_none()
    }

    /// Every partition of these days, and those of unpartitioned assets.
    fn partitions(&self, graph: &AssetGraph) -> PartitionSet {
        let Some(ranges) = &self.ranges else { return PartitionSet::all(graph) };
        let mut set = PartitionSet::empty(graph);
        let project = graph.days();
        for (idx, asset) in graph.iter() {
            match asset.partitioning {
                Partitioning::None => set.insert(idx, 0),
                Partitioning::Daily => {
                    for range in ranges.iter().filter_map(|r| r.intersect(project)) {
                        let start = (range.start.0 - project.start.0) as usize;
                        set.insert_range(idx, start..start + range.len());
                    }
                }
            }
        }
        set
    }
}

/// Knows the status of partitions, by the words of [`STATUS_WORDS`].
pub trait StatusOf {
    /// Whether the partition at a place has the status that `word` names.
    fn has(&self, word: &str, asset: AssetIdx, slot: usize) -> bool;
}

/// Reads a selection.
///
/// # Errors
/// The first place where it is no selection.
pub fn parse(text: &str) -> Result<Selection, SelectError> {
    Ok(Selection { text: text.to_string(), root: read(text)? })
}

impl std::str::FromStr for Selection {
    type Err = SelectError;

    fn from_str(text: &str) -> Result<Self, SelectError> {
        parse(text)
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Selection {
    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a `status:` term must be answered.
    pub fn uses_status(&self) -> bool {
        fn look(node: &Node) -> bool {
            match node {
                Node::Term { what, .. } => matches!(what, What::Status(_)),
                Node::Expand { inside, .. } | Node::Not(inside) => look(inside),
                Node::And(parts) | Node::Or(parts) => parts.iter().any(look),
            }
        }
        look(&self.root)
    }

    /// The partitions that are selected.
    ///
    /// `days` limits what is named. What `+` reaches upstream has the days that the mappings
    /// ask for, also outside `days`; downstream, the days that read what is named. `and` keeps
    /// of these what the other terms match on any day. The days of what a `not` leaves are
    /// limited like those of a name.
    ///
    /// # Errors
    /// A name, tag, owner or pattern that matches no asset, with its column.
    pub fn resolve(
        &self,
        graph: &AssetGraph,
        days: &DaySet,
        status: &dyn StatusOf,
    ) -> Result<PartitionSet, SelectError> {
        let within = (!days.is_all()).then(|| days.partitions(graph));
        let resolver = Resolver { text: &self.text, graph, within, status };
        let found = resolver.find(&self.root)?;
        Ok(resolver.near(found))
    }
}

/// What an expression selects.
struct Found {
    /// Over all days.
    all: PartitionSet,
    /// With named days only; `None` where a `+` had no part in it: then `all` within the days.
    reached: Option<PartitionSet>,
}

struct Resolver<'a> {
    text: &'a str,
    graph: &'a AssetGraph,
    /// `None` when all days are meant: then `reached` is never needed.
    within: Option<PartitionSet>,
    status: &'a dyn StatusOf,
}

impl Resolver<'_> {
    fn near(&self, found: Found) -> PartitionSet {
        match (found.reached, &self.within) {
            (Some(reached), _) => reached,
            (None, None) => found.all,
            (None, Some(within)) => {
                let mut near = found.all;
                near.intersect(within);
                near
            }
        }
    }

    fn find(&self, node: &Node) -> Result<Found, SelectError> {
        Ok(match node {
            Node::Term { what, column } => Found { all: self.term(what, *column)?, reached: None },
            Node::Not(inside) => {
                let mut all = self.find(inside)?.all;
                all.complement();
                Found { all, reached: None }
            }
            Node::Expand { up, down, inside } => {
                let inside = self.find(inside)?;
                let all = self.expand(&inside.all, *up, *down);
                let reached = self.within.is_some().then(|| self.expand(&self.near(inside), *up, *down));
                Found { all, reached }
            }
            Node::And(parts) => {
                let parts = parts.iter().map(|p| self.find(p)).collect::<Result<Vec<_>, _>>()?;
                let reaches = parts.iter().any(|p| p.reached.is_some());
                let mut all = PartitionSet::all(self.graph);
                let mut reached = all.clone();
                for part in parts {
                    all.intersect(&part.all);
                    // A term without `+` only filters here; the days are those of the others.
                    reached.intersect(part.reached.as_ref().unwrap_or(&part.all));
                }
                Found { all, reached: reaches.then_some(reached) }
            }
            Node::Or(parts) => {
                let parts = parts.iter().map(|p| self.find(p)).collect::<Result<Vec<_>, _>>()?;
                let reaches = parts.iter().any(|p| p.reached.is_some());
                let mut all = PartitionSet::empty(self.graph);
                let mut reached = all.clone();
                for part in parts {
                    all.union(&part.all);
                    if reaches {
                        reached.union(&self.near(part));
                    }
                }
                Found { all, reached: reaches.then_some(reached) }
            }
        })
    }

    fn expand(&self, inside: &PartitionSet, up: usize, down: usize) -> PartitionSet {
        let mut set = closure::up(self.graph, inside, up);
        set.union(&closure::down(self.graph, inside, down));
        set
    }

    fn term(&self, what: &What, column: usize) -> Result<PartitionSet, SelectError> {
        let assets = |fits: &dyn Fn(&Asset) -> bool| {
            let mut set = PartitionSet::empty(self.graph);
            for (idx, _) in self.graph.iter().filter(|(_, a)| fits(a)) {
                set.insert_range(idx, 0..self.graph.slots(idx));
            }
            set
        };
        let named = |set: PartitionSet, what: &str, wanted: &str, known: Vec<&str>| {
            // `*` selects everything, also in a project without assets.
            if set.is_empty() && wanted != "*" {
                Err(self.unknown(column, what, wanted, known))
            } else {
                Ok(set)
            }
        };
        match what {
            What::Name(name) => {
                let known = self.graph.iter().map(|(_, a)| a.key.as_str()).collect();
                named(assets(&|a| matches(name, a.key.as_str())), "asset", name, known)
            }
            What::Tag(tag) => {
                let known = self.graph.iter().flat_map(|(_, a)| a.tags.iter().map(String::as_str)).collect();
                named(assets(&|a| a.tags.iter().any(|t| matches(tag, t))), "tag", tag, known)
            }
            What::Owner(owner) => {
                let known =
                    self.graph.iter().flat_map(|(_, a)| a.owners.iter().map(String::as_str)).collect();
                named(assets(&|a| a.owners.iter().any(|o| matches(owner, o))), "owner", owner, known)
            }
            What::Layers(layers) => Ok(assets(&|a| layers.contains(&a.layer))),
            What::Kinds(kinds) => Ok(assets(&|a| kinds.contains(&a.kind))),
            What::Status(words) => {
                let mut set = PartitionSet::empty(self.graph);
                for idx in self.graph.indices() {
                    for slot in 0..self.graph.slots(idx) {
                        if words.iter().any(|word| self.status.has(word, idx, slot)) {
                            set.insert(idx, slot);
                        }
                    }
                }
                Ok(set)
            }
        }
    }

    fn unknown(&self, column: usize, what: &str, wanted: &str, mut known: Vec<&str>) -> SelectError {
        const SHOWN: usize = 8;
        known.sort_unstable();
        known.dedup();
        let shown = visible(wanted);
        let message = if wanted.contains('*') {
            format!("`{shown}` matches no {what}")
        } else {
            format!("there is no {what} `{shown}`")
        };
        let help = match did_you_mean(wanted, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if known.is_empty() => format!("no {what} is declared"),
            None if known.len() > SHOWN => {
                format!("there are {} and {} more", known[..SHOWN].join(", "), known.len() - SHOWN)
            }
            None => format!("there are {}", known.join(", ")),
        };
        SelectError { column, message, help: Some(help), text: self.text.to_string() }
    }
}
