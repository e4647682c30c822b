//! What the `files` source offers now: a walk and a `stat` a file.
//!
//! Content is hashed only where size or time differ from what is known, so that nothing new
//! costs nothing and a touched file captures nothing. Blocks on disk.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use globset::{GlobBuilder, GlobMatcher};
use walkdir::WalkDir;

use super::capture::{CaptureContext, SourceError};
use super::files::{FileRecord, FilesDef, FilesObservation, PresentFile};
use super::files_read::hash_file;
use crate::graph::{CaptureReason, DayRange, Window};

/// A file written this shortly before it was read may have been written again within the
/// resolution of its time: its content is hashed once more.
const RACY_MS: i64 = 2_000;

/// Looks at every file the source's patterns match. Files and folders whose names begin with
/// a dot are left alone unless a pattern names them. Fails only for a pattern that cannot be
/// understood; paths that cannot be read are among the observation's problems.
pub fn observe(
    def: &FilesDef,
    root: &Path,
    context: &CaptureContext,
    known: &BTreeMap<String, FileRecord>,
) -> Result<FilesObservation, SourceError> {
    let mut observation = FilesObservation::default();
    for pattern in &def.glob {
        walk(pattern, root, &mut observation)?;
    }
    let version = def.version(&context.privacy);
    let present = std::mem::take(&mut observation.present);
    for (locator, file) in &present {
        match verdict(known.get(locator), locator, file, root, context, &version) {
            Ok(Verdict::Nothing) => {}
            Ok(Verdict::Touched(record)) => observation.touched.push(*record),
            Ok(Verdict::Due(reason, days)) => observation.windows.push(Window {
                source: def.name.clone(),
                id: locator.clone(),
                days,
                reason,
                bytes: file.bytes,
            }),
            Err(error) => observation.problems.push(format!("{locator}: {error}")),
        }
    }
    observation.gone = known.keys().filter(|l| !present.contains_key(*l)).cloned().collect();
    observation.present = present;
    Ok(observation)
}

enum Verdict {
    Nothing,
    Touched(Box<FileRecord>),
    Due(CaptureReason, Option<DayRange>),
}

fn verdict(
    known: Option<&FileRecord>,
    locator: &str,
    file: &PresentFile,
    root: &Path,
    context: &CaptureContext,
    version: &str,
) -> std::io::Result<Verdict> {
    let Some(known) = known else { return Ok(Verdict::Due(CaptureReason::New, None)) };
    let mut record = known.clone();
    if known.bytes != file.bytes {
        return Ok(Verdict::Due(CaptureReason::Changed, None));
    }
    let racy = known.at_ms.saturating_sub(known.mtime_ns / 1_000_000).abs() < RACY_MS
        && context.now_ms.saturating_sub(known.at_ms) >= RACY_MS;
    if known.mtime_ns != file.mtime_ns || racy {
        if hash_file(&root.join(locator))? != known.content {
            return Ok(Verdict::Due(CaptureReason::Changed, None));
        }
        record.mtime_ns = file.mtime_ns;
        record.at_ms = context.now_ms;
    }
    if known.adapter != version {
        return Ok(Verdict::Due(CaptureReason::AdapterChanged, None));
    }
    if let Some(from) = known.future_from
        && from <= context.today()
    {
        return Ok(Verdict::Due(CaptureReason::FutureArrived, DayRange::new(from, context.today())));
    }
    if (known.start, known.end) != (context.start, context.end) {
        // Days that move where the file has no record change nothing that was captured.
        let inside = |start, end: Option<_>| match known.seen_days {
            Some((first, last)) => start <= first && end.is_none_or(|end| last <= end),
            None => true,
        };
        if !(inside(known.start, known.end) && inside(context.start, context.end)) {
            return Ok(Verdict::Due(CaptureReason::DaysChanged, None));
        }
        record.start = context.start;
        record.end = context.end;
    }
    Ok(if record == *known { Verdict::Nothing } else { Verdict::Touched(Box::new(record)) })
}

/// Adds every file that the pattern matches.
fn walk(pattern: &str, root: &Path, observation: &mut FilesObservation) -> Result<(), SourceError> {
    let wrong = |message: String| SourceError::Glob { pattern: pattern.to_string(), message };
    let plain = pattern.replace('\\', "/");
    let plain = plain.strip_prefix("./").unwrap_or(&plain);
    if plain.is_empty() {
        return Err(wrong("it is empty".to_string()));
    }
    let matcher = GlobBuilder::new(plain)
        .literal_separator(true)
        .build()
        .map_err(|e| wrong(e.kind().to_string()))?
        .compile_matcher();
    let base = base_of(plain);
    let names_hidden = plain.split('/').any(|part| part.starts_with('.') && part != "." && part != "..");
    let start = root.join(&base);
    if !start.exists() {
        return Ok(());
    }
    let walk = WalkDir::new(&start).follow_links(true).into_iter().filter_entry(|entry| {
        names_hidden || entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    });
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                observation.problems.push(error.to_string());
                continue;
            }
        };
        if entry.file_type().is_dir() {
            continue;
        }
        let Some(locator) = locator_of(entry.path(), root) else {
            observation.problems.push(format!("{}: the name is not valid UTF-8", entry.path().display()));
            continue;
        };
        if !matches(&matcher, &locator, plain, entry.path()) {
            continue;
        }
        match entry.metadata() {
            Ok(meta) if meta.is_file() => {
                let file = PresentFile { bytes: meta.len(), mtime_ns: mtime_ns(&meta) };
                observation.present.insert(locator, file);
            }
            Ok(_) => {}
            Err(error) => observation.problems.push(format!("{locator}: {error}")),
        }
    }
    Ok(())
}

fn matches(matcher: &GlobMatcher, locator: &str, pattern: &str, path: &Path) -> bool {
    // A pattern with `..` names paths that a locator writes as absolute ones.
    matcher.is_match(locator) || (pattern.starts_with('/') && matcher.is_match(path))
}

/// The folder that no wildcard is in: where the walk begins.
fn base_of(pattern: &str) -> PathBuf {
    let mut base = PathBuf::new();
    if pattern.starts_with('/') {
        base.push("/");
    }
    for part in pattern.split('/').filter(|p| !p.is_empty()) {
        if part.contains(['*', '?', '[', '{']) {
            break;
        }
        base.push(part);
    }
    base
}

/// Milliseconds would lose edits within one; before 1970 counts as 0.
pub(super) fn mtime_ns(meta: &std::fs::Metadata) -> i64 {
    meta.modified()
        .ok()
        .and_then(|t| t.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

/// The path as it is written in envelopes: relative to the project with forward slashes,
/// absolute outside it; `None` when it is not UTF-8.
pub(super) fn locator_of(path: &Path, root: &Path) -> Option<String> {
    match path.strip_prefix(root) {
        Ok(inside) => {
            let mut parts = Vec::new();
            for part in inside.components() {
                match part {
                    Component::Normal(name) => parts.push(name.to_str()?),
                    Component::CurDir => {}
                    Component::ParentDir => parts.push(".."),
                    Component::RootDir | Component::Prefix(_) => {}
                }
            }
            Some(parts.join("/"))
        }
        Err(_) => path.to_str().map(str::to_string),
    }
}
