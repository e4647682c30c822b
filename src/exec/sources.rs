//! Between configuration and sources: definitions, what bronze holds of a source, and what a
//! source offers now.

use std::collections::BTreeSet;
use std::path::Path;

use crate::config::{AuthorPolicy, Config, FileFormat as DeclaredFormat, SourceConfig, SourceKind};
use crate::graph::{AssetKey, CodeVersion, DataVersion, Day, Outcome};
use crate::source::{AuthorRule, CaptureContext, FileFormat, FilesDef, GenericMap, Privacy, SampleDef};

/// What bronze holds of one source on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SourceDay {
    /// The current generation; 0 for none.
    pub generation: u32,
    /// The last generation ever recorded; 0 for none.
    pub floor: u32,
    /// What the day was made with.
    pub code: Option<CodeVersion>,
    /// Its objects.
    pub data: Option<DataVersion>,
    /// Its lines.
    pub rows: u64,
    /// When it was published, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Whether no text is left in it.
    pub textless: bool,
}

/// What bronze holds of one source, by place of the day.
#[derive(Clone, Debug)]
pub struct SourceDays {
    /// How the ledger names this part of the asset.
    pub key: AssetKey,
    /// By place; shorter than the project's days when nothing is known of the rest.
    pub days: Vec<SourceDay>,
}

impl SourceDays {
    /// Takes in what was just published.
    pub fn published(&mut self, slot: usize, manifest: &crate::lake::Manifest) {
        if self.days.len() <= slot {
            self.days.resize(slot + 1, SourceDay::default());
        }
        let day = &mut self.days[slot];
        day.generation = manifest.generation.get();
        day.floor = day.floor.max(day.generation);
        day.code = Some(manifest.code);
        day.rows = manifest.rows;
        day.textless = manifest.outcome == Outcome::TextRemoved;
    }

    /// The day at a place.
    pub fn get(&self, slot: usize) -> SourceDay {
        self.days.get(slot).copied().unwrap_or_default()
    }
}

/// What every capture needs to know.
///
/// # Errors
/// When the key that authors are hashed with is not in the environment.
pub fn context(config: &Config, now_ms: i64, temp_dir: Option<&Path>) -> Result<CaptureContext, String> {
    let author = match &config.privacy.author {
        AuthorPolicy::Drop => AuthorRule::Drop,
        AuthorPolicy::Keep => AuthorRule::Keep,
        AuthorPolicy::Hash { key_env } => {
            let key = std::env::var(key_env).unwrap_or_default();
            if key.is_empty() {
                return Err(format!(
                    "authors are to be hashed with the key in ${key_env}, which is not set; export it, or set privacy.author = \"drop\""
                ));
            }
            AuthorRule::Hash { key: key.into_bytes() }
        }
    };
    let settle_ms = config.sources.iter().map(|s| s.settle_ms).max().unwrap_or(36 * 3_600_000);
    Ok(CaptureContext {
        start: config.project.start,
        end: config.project.end,
        timezone: config.project.timezone.clone(),
        privacy: Privacy { author },
        now_ms,
        settle_ms,
        temp_dir: temp_dir.map(Path::to_path_buf),
        // An eighth: two readings at once leave most of the limit to queries.
        forgotten: std::sync::Arc::default(),
        textless: std::sync::Arc::default(),
        spool_memory: usize::try_from(config.run.memory_limit / 8).unwrap_or(usize::MAX).min(128 << 20),
    })
}

/// The day of a moment in a time zone.
pub fn day_in(zone: &jiff::tz::TimeZone, ms: i64) -> Option<Day> {
    Some(Day::from_date(jiff::Timestamp::from_millisecond(ms).ok()?.to_zoned(zone.clone()).date()))
}

/// A declared `files` source, ready to read.
///
/// # Errors
/// When the column map makes no sense.
pub fn files_def(source: &SourceConfig) -> Result<FilesDef, String> {
    let SourceKind::Files(files) = &source.kind else {
        return Err(format!("`{}` does not read files", source.name));
    };
    let format = match &files.format {
        DeclaredFormat::Reddit => FileFormat::Reddit,
        DeclaredFormat::Generic { platform, post_type, map } => {
            let texts: Vec<(&str, String)> = map
                .iter()
                .map(|(field, column)| {
                    let text = match &column.value {
                        crate::config::ColumnExpr::Column(name) => name.clone(),
                        crate::config::ColumnExpr::Literal(text) => format!("'{text}'"),
                    };
                    (field.as_str(), text)
                })
                .collect();
            let map = texts.iter().map(|(field, text)| (*field, text.as_str()));
            FileFormat::Generic(GenericMap::new(platform, *post_type, map).map_err(|problems| {
                problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            })?)
        }
    };
    Ok(FilesDef {
        name: source.name.clone(),
        glob: files.glob.iter().map(|g| g.value.clone()).collect(),
        format,
        covers: files.covers,
        required: source.required,
        max_record_bytes: usize::try_from(files.max_record_bytes).unwrap_or(usize::MAX),
        only_channels: BTreeSet::new(),
        by_file: false,
    })
}

/// The dump files of a `reddit_archive` source, ready to read.
///
/// # Errors
/// When the source is of another kind.
pub fn dumps_def(source: &SourceConfig) -> Result<FilesDef, String> {
    let SourceKind::Archive(archive) = &source.kind else {
        return Err(format!("`{}` is no archive", source.name));
    };
    Ok(FilesDef {
        glob: archive.dumps.iter().map(|g| g.value.clone()).collect(),
        required: source.required,
        only_channels: archive.subreddits.iter().map(|s| s.to_ascii_lowercase()).collect(),
        by_file: true,
        ..FilesDef::new(&source.name, "", FileFormat::Reddit)
    })
}

/// A declared `sample` source, ready to make posts.
///
/// # Errors
/// When the source is of another kind.
pub fn sample_def(config: &Config, source: &SourceConfig) -> Result<SampleDef, String> {
    let SourceKind::Sample(sample) = &source.kind else {
        return Err(format!("`{}` makes no sample posts", source.name));
    };
    let mut def = SampleDef::new(
        source.name.clone(),
        sample.posts_per_day,
        sample.seed,
        config.project.start,
        config.project.end,
    );
    def.malformed_per_mille = sample.malformed_per_mille;
    Ok(def)
}

/// What a sample day is made with: another definition or privacy rule makes it again.
pub fn sample_code(def: &SampleDef, day: Day, context: &CaptureContext) -> CodeVersion {
    let mut text = crate::source::sample_day_version(def, day).to_vec();
    text.extend_from_slice(crate::source::privacy_version(&context.privacy).as_bytes());
    CodeVersion::of(&text)
}
