//! Where the sources stand: what was read last, what is due, how many days they have.
//!
//! Reads what a [`World`] knows already; asks nobody and changes nothing.

use std::collections::BTreeMap;

use crate::config::{Config, SourceConfig, SourceKind};
use crate::graph::{AssetGraph, AssetIdx, AssetKind, Day};
use crate::source::{Reach, Stream};

use super::capture::MISSING_DAYS;
use super::network;
use super::sources;
use super::system::Coverage;
use super::world::{Memory, World};

/// One reading of a source that is remembered.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Reading {
    /// The stream, day, file or month.
    pub window: String,
    /// How it ended.
    pub status: Option<Reach>,
    /// Why it was not complete.
    pub reason: Option<String>,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Not to be read again before, milliseconds since 1970 UTC; of streams only.
    pub next_ms: Option<i64>,
    /// Creation of the oldest item ever seen, milliseconds since 1970 UTC; of streams only.
    pub oldest_ms: Option<i64>,
    /// Creation of the newest item ever seen, milliseconds since 1970 UTC; of streams only.
    pub newest_ms: Option<i64>,
    /// Answers with items; of streams only.
    pub pages: Option<u32>,
    /// Requests made, repeated ones too; of streams only.
    pub requests: Option<u32>,
}

impl Reading {
    fn of(window: &str, s: &Stream) -> Self {
        Self {
            window: window.to_string(),
            status: s.reach,
            reason: s.reason.clone(),
            at_ms: s.at_ms,
            next_ms: Some(s.not_before_ms),
            oldest_ms: s.oldest_ms,
            newest_ms: s.newest_ms,
            pages: Some(s.pages),
            requests: Some(s.requests),
        }
    }
}

/// How many of the project's days a source has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct DayTally {
    /// All of it.
    pub complete: u64,
    /// Something is missing, or was not read yet.
    pub partial: u64,
    /// The place does not let us in.
    pub blocked: u64,
    /// The last reading failed.
    pub failed: u64,
}

impl DayTally {
    fn add(&mut self, reach: Reach) {
        match reach {
            Reach::Complete => self.complete += 1,
            Reach::Partial => self.partial += 1,
            Reach::Blocked => self.blocked += 1,
            Reach::Failed => self.failed += 1,
        }
    }
}

/// A day that a source does not have in full.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Gap {
    /// Which.
    pub day: Day,
    /// How much of it there is.
    pub status: Reach,
    /// Why not more.
    pub reason: Option<String>,
}

/// Where one source stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its name.
    pub source: String,
    /// The sites it captures.
    pub platforms: Vec<String>,
    /// Assets that name it.
    pub assets: Vec<String>,
    /// Sources that it steps in for.
    pub steps_in_for: Vec<String>,
    /// Windows to read now.
    pub due: u64,
    /// The project's days; none when no asset uses the source.
    pub days: DayTally,
    /// The newest day that is not complete.
    pub newest_gap: Option<Gap>,
    /// The newest reading.
    pub last: Option<Reading>,
    /// When the next reading is due, milliseconds since 1970 UTC, if that follows from the
    /// clock; in the past when it is due now.
    pub next_ms: Option<i64>,
}

impl World {
    /// Where every declared source stands, in the order of the configuration.
    pub fn standings(&self, graph: &AssetGraph) -> Vec<Standing> {
        let mut tallies: BTreeMap<String, (DayTally, Option<Gap>)> = BTreeMap::new();
        for day in graph.days().iter() {
            // A source of several platforms reaches as much of each.
            let mut rows = self.coverage(graph, day);
            rows.dedup_by(|a, b| a.source == b.source);
            for row in rows {
                let (tally, gap) = tallies.entry(row.source).or_default();
                tally.add(row.status);
                if row.status != Reach::Complete {
                    *gap = Some(Gap { day, status: row.status, reason: row.reason });
                }
            }
        }
        let config = &self.config;
        let standing = |source: &SourceConfig| {
            let (days, newest_gap) = tallies.remove(&source.name).unwrap_or_default();
            let windows = self.seen.due.values().flatten();
            Standing {
                source: source.name.clone(),
                platforms: super::observe::platforms(source),
                assets: named_by(config, &source.name),
                steps_in_for: config
                    .sources
                    .iter()
                    .filter(|s| s.fallback.contains(&source.name))
                    .map(|s| s.name.clone())
                    .collect(),
                due: windows.filter(|w| w.source == source.name).count() as u64,
                days,
                newest_gap,
                last: self.memory.get(&source.name).and_then(last),
                next_ms: self.next_ms(graph, source),
            }
        };
        config.sources.iter().map(standing).collect()
    }

    /// What was reached of a day, by the sources that an asset is made of in the end.
    pub fn coverage_of(&self, graph: &AssetGraph, asset: AssetIdx, day: Day) -> Vec<Coverage> {
        let mut names = Vec::new();
        let mut open = vec![asset];
        let mut seen = vec![false; graph.len()];
        while let Some(one) = open.pop() {
            if std::mem::replace(&mut seen[one.i()], true) {
                continue;
            }
            if graph.asset(one).kind == AssetKind::Source {
                names.extend(self.parts.iter().filter(|p| p.asset == one).map(|p| p.source.as_str()));
            }
            open.extend(graph.upstream(one).iter().map(|(up, _)| *up));
        }
        let mut rows = self.coverage(graph, day);
        rows.retain(|r| names.contains(&r.source.as_str()));
        rows
    }

    /// The newest readings that say something about a day of a source, by stream.
    pub fn readings(&self, source: &str, day: Day) -> Vec<Reading> {
        let (Some(declared), Some(memory)) = (self.config.source(source), self.memory.get(source)) else {
            return Vec::new();
        };
        let Some(def) = network::def(declared) else { return Vec::new() };
        let windows = match &declared.kind {
            SourceKind::Archive(_) => vec![day.to_string()],
            _ => def.streams().into_iter().filter(|s| def.covers_days(s)).collect(),
        };
        let known = memory.streams();
        windows.iter().filter_map(|w| Some(Reading::of(w, known.get(w.as_str())?))).collect()
    }

    fn next_ms(&self, graph: &AssetGraph, source: &SourceConfig) -> Option<i64> {
        if !self.parts.iter().any(|p| p.source == source.name) {
            return None;
        }
        let def = network::def(source)?;
        let known = self.memory.get(&source.name).map(Memory::streams).unwrap_or_default();
        let SourceKind::Archive(archive) = &source.kind else {
            let next = |name: &String| known.get(name.as_str()).map_or(self.now_ms, |s| s.not_before_ms);
            return def.streams().iter().map(next).min();
        };
        let context = sources::context(&self.config, self.now_ms, None).ok()?;
        let due = |day: Day| match known.get(day.to_string().as_str()) {
            None => Some(context.day_bounds(day).1.saturating_add(archive.min_age_ms)),
            Some(s) if s.reach == Some(Reach::Complete) => None,
            Some(s) => Some(s.not_before_ms),
        };
        graph.days().iter().filter_map(due).min()
    }
}

/// The assets that name a source.
fn named_by(config: &Config, source: &str) -> Vec<String> {
    let names = |asset: &AssetIdx| match &config.asset(*asset).body {
        crate::config::Body::Source { sources } => sources.iter().any(|s| s == source),
        _ => false,
    };
    config.graph.indices().filter(names).map(|a| config.graph.key(a).to_string()).collect()
}

/// The newest reading, of whatever kind.
fn last(memory: &Memory) -> Option<Reading> {
    let read = memory.observations.values().filter(|o| o.window != MISSING_DAYS);
    let newest = read.filter(|o| o.stream.is_some() || o.forgotten.is_none()).max_by_key(|o| o.at_ms)?;
    if let Some(stream) = &newest.stream {
        return Some(Reading::of(&newest.window, stream));
    }
    let broken = newest.file.as_ref().and_then(|f| f.broken.clone());
    Some(Reading {
        window: newest.window.clone(),
        status: Some(if broken.is_some() { Reach::Partial } else { Reach::Complete }),
        reason: broken,
        at_ms: newest.at_ms,
        next_ms: None,
        oldest_ms: None,
        newest_ms: None,
        pages: None,
        requests: None,
    })
}
