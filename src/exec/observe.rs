//! What the sources offer now, and what was reached of each day.
//!
//! Sources of the network are not asked anything here: what is due follows from the clock and
//! from what their last readings left behind. Reads folders of `files` sources; pure otherwise.

use std::collections::BTreeMap;

use crate::config::{Config, SourceConfig, SourceKind};
use crate::graph::{AssetGraph, AssetIdx, CaptureReason, Day, DayRange, Window};
use crate::source::{CaptureContext, FileReach, FilesDef, Reach, Stream};

use super::capture::MISSING_DAYS;
use super::network;
use super::sources;
use super::system;
use super::world::{Memory, Part, Sight, World, WorldError};

impl World {
    /// Asks every source what it offers.
    pub(super) fn observe(&mut self, sight: &Sight<'_>) -> Result<(), WorldError> {
        let config = sight.config.clone();
        let graph = &config.graph;
        let mut due: BTreeMap<AssetIdx, Vec<Window>> = BTreeMap::new();
        for at in 0..self.parts.len() {
            let part = self.parts[at].clone();
            let Some(source) = config.source(&part.source) else { continue };
            let failed = |message: String| WorldError::Source { source_name: part.source.clone(), message };
            let context = sources::context(&config, sight.now_ms, None).map_err(failed)?;
            let mut windows = Vec::new();
            match &source.kind {
                SourceKind::Sample(_) => {
                    self.observe_sample(sight, graph, &part, source, &context, &mut windows)
                        .map_err(failed)?;
                }
                SourceKind::Files(_) => {
                    let def = sources::files_def(source).map_err(failed)?;
                    self.observe_files(sight, graph, &part, &def, &context, &mut windows).map_err(failed)?;
                    self.missing_days(graph, &part, &mut windows);
                }
                SourceKind::Archive(archive) => {
                    if !archive.dumps.is_empty() {
                        let def = sources::dumps_def(source).map_err(failed)?;
                        self.observe_files(sight, graph, &part, &def, &context, &mut windows)
                            .map_err(failed)?;
                    }
                    self.observe_archive(sight, graph, &part, source, &context, &mut windows);
                    self.missing_days(graph, &part, &mut windows);
                }
                SourceKind::Reddit(_)
                | SourceKind::Feed(_)
                | SourceKind::AppStore(_)
                | SourceKind::Crawl(_) => {
                    let memory = self.memory.get(&part.source);
                    windows.extend(network::due(source, memory, &context, graph.days(), sight));
                    self.missing_days(graph, &part, &mut windows);
                }
            }
            windows.extend(self.forget_window(graph, &part, source));
            due.entry(part.asset).or_default().extend(windows);
        }
        self.seen.due = due;
        Ok(())
    }

    fn observe_sample(
        &self,
        sight: &Sight<'_>,
        graph: &AssetGraph,
        part: &Part,
        source: &SourceConfig,
        context: &CaptureContext,
        windows: &mut Vec<Window>,
    ) -> Result<(), String> {
        let def = sources::sample_def(sight.config, source)?;
        let mut months: BTreeMap<(i16, i8), (DayRange, u32, u32)> = BTreeMap::new();
        for (slot, day) in graph.days().iter().enumerate() {
            let date = day.date();
            let month = months.entry((date.year(), date.month())).or_insert((
                DayRange { start: day, end: day },
                0,
                0,
            ));
            month.0.end = day;
            match self.bronze.at(part.idx, slot) {
                None => month.1 += 1,
                Some(entry) => {
                    let made = self.bronze.code(entry.code);
                    // Made anew, its posts would have texts again.
                    if !self.texts.days.contains(&day)
                        && (made != sources::sample_code(&def, day, context) || sight.force_captures)
                    {
                        month.2 += 1;
                    }
                }
            }
        }
        for ((year, month), (days, missing, changed)) in months {
            let reason = match (missing, changed) {
                (0, 0) => continue,
                (0, _) if sight.force_captures => CaptureReason::Forced,
                (0, _) => CaptureReason::Changed,
                (n, _) if n as usize == days.len() => CaptureReason::New,
                (n, _) => CaptureReason::MissingDays { days: n },
            };
            let id = format!("{year:04}-{month:02}");
            windows.push(Window { source: part.source.clone(), id, days: Some(days), reason, bytes: 0 });
        }
        Ok(())
    }

    fn observe_files(
        &mut self,
        sight: &Sight<'_>,
        graph: &AssetGraph,
        part: &Part,
        def: &FilesDef,
        context: &CaptureContext,
        windows: &mut Vec<Window>,
    ) -> Result<(), String> {
        let name = &part.source;
        let known = self.memory.get(name).map(Memory::files).unwrap_or_default();
        let seen =
            crate::source::observe(def, sight.root, context, &known).map_err(|error| error.to_string())?;
        for problem in &seen.problems {
            self.notes.push(format!("source `{name}`: {problem}"));
        }
        if seen.present.is_empty() {
            let globs: Vec<&str> = def.glob.iter().map(String::as_str).collect();
            self.notes.push(format!("source `{name}`: no file matches {}", globs.join(", ")));
        }
        self.touched.extend(seen.touched.into_iter().map(|r| (name.clone(), r)));
        let window = |locator: &String, reason, bytes| Window {
            source: name.clone(),
            id: locator.clone(),
            days: None,
            reason,
            bytes,
        };
        windows.extend(seen.windows);
        if sight.force_captures {
            for (locator, file) in &seen.present {
                if !windows.iter().any(|w| w.id == *locator) {
                    windows.push(window(locator, CaptureReason::Forced, file.bytes));
                }
            }
        }
        let missing: Vec<usize> =
            (0..graph.slots(part.asset)).filter(|s| self.bronze.at(part.idx, *s).is_none()).collect();
        // A day whose manifest vanished is made again from the files that reach it.
        for (locator, record) in &known {
            let (Some(first), Some(last)) = (record.first_day, record.last_day) else { continue };
            let project = graph.days();
            let lost = missing.iter().filter(|s| (first..=last).contains(&project.day(**s))).count();
            let named = windows.iter().any(|w| w.id == *locator);
            if let (false, true, Some(file)) = (named, lost > 0, seen.present.get(locator)) {
                let reason = CaptureReason::MissingDays { days: lost as u32 };
                windows.push(window(locator, reason, file.bytes));
            }
        }
        Ok(())
    }

    /// The days that the archive is to be asked for: old enough, not complete, and not complete
    /// by a source that it only steps in for.
    fn observe_archive(
        &self,
        sight: &Sight<'_>,
        graph: &AssetGraph,
        part: &Part,
        source: &SourceConfig,
        context: &CaptureContext,
        windows: &mut Vec<Window>,
    ) {
        let SourceKind::Archive(archive) = &source.kind else { return };
        if archive.base_url.is_none() {
            return;
        }
        let memory = self.memory.get(&part.source);
        let newest = memory.map(Memory::streams).unwrap_or_default();
        let steps_in_for: Vec<&SourceConfig> =
            sight.config.sources.iter().filter(|s| s.fallback.contains(&part.source)).collect();
        let dumped = self.reached.get(&part.source);
        let look = self.look();
        for (slot, day) in graph.days().iter().enumerate() {
            let (_, end) = context.day_bounds(day);
            if sight.now_ms < end.saturating_add(archive.min_age_ms) {
                break;
            }
            let id = day.to_string();
            let stream = newest.get(id.as_str());
            let missing = self.bronze.at(part.idx, slot).is_none();
            let settled_ms = end.saturating_add(source.settle_ms);
            let reason = match stream {
                _ if sight.force_captures => CaptureReason::Forced,
                None if dumped.is_some_and(|d| d.reach(day) == FileReach::Whole) => continue,
                None => CaptureReason::New,
                Some(_) if missing => CaptureReason::MissingDays { days: 1 },
                Some(s) if s.reach == Some(Reach::Complete) => {
                    if s.at_ms < settled_ms && sight.now_ms >= settled_ms {
                        CaptureReason::Settled
                    } else {
                        continue;
                    }
                }
                Some(s) if sight.now_ms >= s.not_before_ms => CaptureReason::Retry,
                Some(_) => continue,
            };
            if reason != CaptureReason::Forced && !steps_in_for.is_empty() {
                let rows = self.coverage_by(&look, graph, day);
                let done = |s: &&SourceConfig| {
                    rows.iter().any(|r| r.source == s.name && r.status == Reach::Complete)
                };
                if steps_in_for.iter().all(done) {
                    continue;
                }
            }
            let days = Some(DayRange { start: day, end: day });
            windows.push(Window { source: part.source.clone(), id, days, reason, bytes: 0 });
        }
    }

    /// One window for the days that nothing else will give a manifest: they are complete with
    /// 0 rows, and what is known of them stands in the coverage.
    fn missing_days(&self, graph: &AssetGraph, part: &Part, windows: &mut Vec<Window>) {
        let project = graph.days();
        let missing: Vec<usize> = (0..graph.slots(part.asset))
            .filter(|slot| self.bronze.at(part.idx, *slot).is_none())
            .filter(|slot| {
                let day = project.day(*slot);
                let own = |w: &Window| w.days == Some(DayRange { start: day, end: day });
                !windows.iter().any(own)
            })
            .collect();
        if let (Some(&first), Some(&last)) = (missing.first(), missing.last()) {
            windows.push(Window {
                source: part.source.clone(),
                id: MISSING_DAYS.to_string(),
                days: DayRange::new(project.day(first), project.day(last)),
                reason: CaptureReason::MissingDays { days: missing.len() as u32 },
                bytes: 0,
            });
        }
    }

    /// What was reached of one day, by source and platform.
    pub fn coverage(&self, graph: &AssetGraph, day: Day) -> Vec<system::Coverage> {
        self.coverage_by(&self.look(), graph, day)
    }

    /// What has to be known of every source to say what it reached, looked up once for many days.
    pub(super) fn look(&self) -> Vec<Look<'_>> {
        let look = |part: &Part| {
            let source = self.config.source(&part.source)?;
            let memory = self.memory.get(&part.source);
            let streams = match &source.kind {
                SourceKind::Reddit(_)
                | SourceKind::Feed(_)
                | SourceKind::AppStore(_)
                | SourceKind::Crawl(_) => network::covering(source, memory),
                SourceKind::Files(_) | SourceKind::Sample(_) | SourceKind::Archive(_) => Vec::new(),
            };
            Some(Look { idx: part.idx, source, platforms: platforms(source), memory, streams })
        };
        self.parts.iter().filter_map(look).collect()
    }

    /// What was reached of one day, by source and platform.
    pub(super) fn coverage_by(
        &self,
        look: &[Look<'_>],
        graph: &AssetGraph,
        day: Day,
    ) -> Vec<system::Coverage> {
        let mut rows = Vec::new();
        let slot = graph.days().slot(day).unwrap_or(0);
        for look in look {
            let exists = self.bronze.at(look.idx, slot).is_some();
            let (status, reason) = self.reach(look, day, exists);
            for platform in &look.platforms {
                rows.push(system::Coverage {
                    source: look.source.name.clone(),
                    platform: platform.clone(),
                    required: look.source.required,
                    status,
                    reason: reason.clone(),
                    day_covered: false,
                });
            }
        }
        system::judge(&mut rows);
        rows
    }

    /// How much of a day one source has.
    fn reach(&self, look: &Look<'_>, day: Day, exists: bool) -> (Reach, Option<String>) {
        let partial = |why: &str| (Reach::Partial, Some(why.to_string()));
        let reached = self.reached.get(&look.source.name);
        let files = || match reached.map_or(FileReach::Nothing, |covered| covered.reach(day)) {
            FileReach::Whole => (Reach::Complete, None),
            FileReach::Cut => partial("a file ends early on this day"),
            FileReach::Beyond => partial("no file reaches this day"),
            FileReach::Nothing => partial("no file was read"),
        };
        match &look.source.kind {
            SourceKind::Sample(_) if exists => (Reach::Complete, None),
            SourceKind::Sample(_) => partial("not captured yet"),
            SourceKind::Files(_) => files(),
            SourceKind::Archive(archive) => {
                let asked = look.memory.and_then(|m| m.stream(&day.to_string()));
                let asked = asked.and_then(|s| Some((s.reach?, s.reason.clone())));
                let dumped = if archive.dumps.is_empty() { None } else { Some(files()) };
                match (asked, dumped) {
                    (Some((Reach::Complete, _)), _) | (_, Some((Reach::Complete, _))) => {
                        (Reach::Complete, None)
                    }
                    (Some(asked), _) => asked,
                    (None, Some(dumped)) if archive.base_url.is_none() => dumped,
                    (None, _) => partial("not captured yet"),
                }
            }
            _ => {
                let (start, end) = crate::source::day_bounds(&self.config.project.timezone, day);
                network::reach(&look.streams, start, end)
            }
        }
    }
}

/// One source, as far as its coverage goes.
pub(super) struct Look<'a> {
    idx: AssetIdx,
    source: &'a SourceConfig,
    platforms: Vec<String>,
    memory: Option<&'a Memory>,
    /// What the streams that speak for days left behind; `None` for one that was never read.
    streams: Vec<Option<&'a Stream>>,
}

/// The platforms of a source.
pub(super) fn platforms(source: &SourceConfig) -> Vec<String> {
    match (&source.kind, &source.platform) {
        (SourceKind::Sample(_), _) => {
            crate::source::sample_platforms().iter().map(|p| (*p).to_string()).collect()
        }
        (_, Some(platform)) => vec![platform.clone()],
        (_, None) => vec!["reddit".to_string()],
    }
}

/// The sources of an asset and those that step in for them, by name.
pub(super) fn with_fallbacks(config: &Config, sources: &[String]) -> Vec<String> {
    let mut all: Vec<String> = sources.to_vec();
    let mut at = 0;
    while at < all.len() {
        if let Some(source) = config.source(&all[at]) {
            for other in &source.fallback {
                if !all.contains(other) {
                    all.push(other.clone());
                }
            }
        }
        at += 1;
    }
    // In order of name: the order in the configuration says nothing about content.
    all.sort();
    all
}
