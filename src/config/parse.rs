//! From texts to a [`Config`]: load, lay profile and overlays on top, read, build.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::asset::{Assets, assets};
use super::build;
use super::hooks::Hooks;
use super::model::*;
use super::model_source::*;
use super::reader::{Fields, Sink, error, hint, list};
use super::settings::{self, ProjectDraft};
use super::source::sources;
use super::spot::Spot;
use super::tree::{self, Table, Value};
use crate::diagnostic::{Problem, Severity, SourceText, TextProblem};

/// The texts of a project.
#[derive(Clone, Debug)]
pub struct Texts {
    /// `pipelines.toml`.
    pub pipelines: SourceText,
    /// Files of the same shape laid on top, after the profile, in this order.
    pub overlays: Vec<SourceText>,
    /// Every text file under `assets/`, by file name (`silver_posts.sql`).
    pub bodies: BTreeMap<String, SourceText>,
}

/// What is decided outside the texts.
#[derive(Clone, Debug)]
pub struct Choices {
    /// The profile by name.
    pub profile: Option<String>,
    /// The present, in milliseconds since 1970 UTC; the last day of a project without an end.
    pub now_ms: i64,
    /// Cores of this machine: the default of `run.concurrency`.
    pub cores: usize,
}

/// What came out.
#[derive(Debug)]
pub struct Parsed {
    /// The project; `None` when anything is refused.
    pub config: Option<Config>,
    /// Everything that is wrong or worth knowing, by file and position.
    pub problems: Vec<Problem>,
}

/// Everything that `pipelines.toml` says, as far as it could be read.
pub(super) struct Draft {
    pub project: ProjectDraft,
    pub lake: LakeConfig,
    pub run: RunConfig,
    pub privacy: PrivacyConfig,
    pub brands: Vec<BrandDef>,
    pub sources: Vec<SourceConfig>,
    /// Every name under `[sources]`, usable or not.
    pub source_names: Vec<String>,
    pub ai: AiConfig,
    pub ai_spot: Option<Spot>,
    pub assets: Assets,
    pub query: QueryConfig,
    pub glue: Option<GlueConfig>,
    pub schedules: Vec<ScheduleConfig>,
    pub alerts: Vec<AlertConfig>,
    pub sinks: Vec<SinkConfig>,
}

/// Checks the texts of a project. Every problem is found in one pass, except that a text
/// that is not TOML is reported alone.
pub fn parse(texts: &Texts, choices: &Choices, hooks: &Hooks<'_>) -> Parsed {
    let mut early = Vec::new();
    let Loaded { pipelines, layers, profiles } = match load(texts, &mut early) {
        Ok(loaded) => loaded,
        Err(problems) => return Parsed { config: None, problems },
    };
    let sink = Sink::new(pipelines.clone());
    early.into_iter().for_each(|p| sink.push(p));

    let known: Vec<&str> = profiles.entries.iter().map(|e| e.key.as_str()).collect();
    if let Some(name) = choices.profile.as_deref()
        && !known.contains(&name)
    {
        let help = match known.is_empty() {
            true => format!("declare it, for example [profile.{name}.lake]"),
            false => {
                format!("{}the profiles are: {}", hint(name, known.iter().copied()), list(known.clone()))
            }
        };
        sink.whole(error(format!("there is no profile `{name}`")).help(help));
    }

    let chosen = choices.profile.as_deref();
    let tree = merged(&layers, &profiles, chosen);
    let draft = read(&tree, choices, true, &sink);
    for source in &draft.sources {
        for why in (hooks.source)(source) {
            sink.at(&source.spot, error(format!("[sources.{}]: {why}", source.name)));
        }
    }
    let config = build::build(draft, texts, choices, hooks, pipelines.clone(), &sink);
    for name in known.into_iter().filter(|n| Some(*n) != chosen) {
        let own = Sink::new(pipelines.clone());
        other_profile(&merged(&layers, &profiles, Some(name)), name, choices, own, &sink);
    }

    let refused = sink.has_errors();
    let mut problems = sink.into_problems();
    sort(&mut problems, &pipelines, texts);
    Parsed { config: config.filter(|_| !refused), problems }
}

/// The texts as trees.
struct Loaded {
    /// `pipelines.toml` as it can be shown.
    pipelines: Arc<SourceText>,
    /// `pipelines.toml`, then the overlays, without their profiles.
    layers: Vec<Table>,
    /// All profiles.
    profiles: Table,
}

fn load(texts: &Texts, early: &mut Vec<Problem>) -> Result<Loaded, Vec<Problem>> {
    let mut pipelines = None;
    let mut layers = Vec::new();
    let mut profiles = Table::default();
    let mut broken = Vec::new();
    for text in std::iter::once(&texts.pipelines).chain(&texts.overlays) {
        match tree::load(text, early) {
            Err(problem) => broken.push(*problem),
            Ok((file, mut table)) => {
                pipelines.get_or_insert(file);
                if let Some(entry) = table.take("profile") {
                    match entry.node.value {
                        Value::Table(found) => profiles.merge(only_tables(found, early)),
                        other => early.push(not_a_table(&entry.node.spot, "profile", &other)),
                    }
                }
                layers.push(table);
            }
        }
    }
    match pipelines {
        Some(pipelines) if broken.is_empty() => Ok(Loaded { pipelines, layers, profiles }),
        _ => Err(broken),
    }
}

fn only_tables(mut profiles: Table, early: &mut Vec<Problem>) -> Table {
    profiles.entries.retain(|entry| {
        let fits = matches!(entry.node.value, Value::Table(_));
        if !fits {
            early.push(not_a_table(&entry.node.spot, &format!("profile.{}", entry.key), &entry.node.value));
        }
        fits
    });
    profiles
}

fn not_a_table(spot: &Spot, path: &str, value: &Value) -> Problem {
    spot.problem(
        error(format!("`{path}` must be a table, found {}", value.kind()))
            .label(value.kind())
            .help("a profile lays tables on top: [profile.prod.lake]"),
    )
}

fn merged(layers: &[Table], profiles: &Table, profile: Option<&str>) -> Table {
    let mut layers = layers.iter().cloned();
    let mut tree = layers.next().unwrap_or_default();
    if let Some(Value::Table(over)) = profile.and_then(|p| profiles.get(p)).map(|e| &e.node.value) {
        tree.merge(over.clone());
    }
    layers.for_each(|layer| tree.merge(layer));
    tree
}

/// Reads a merged tree. `strict` refuses what is declared but not built into this version;
/// it is off for profiles that were not chosen.
fn read(tree: &Table, choices: &Choices, strict: bool, sink: &Sink) -> Draft {
    let mut root = Fields::root(tree, sink);
    let project = settings::project(&mut root, choices.now_ms);
    let sinks = settings::sinks(&mut root);
    let names = |key: &str| -> Vec<String> {
        match tree.get(key).map(|e| &e.node.value) {
            Some(Value::Table(t)) => t.entries.iter().map(|e| e.key.clone()).collect(),
            _ => Vec::new(),
        }
    };
    let (ai, ai_spot) = settings::ai(&mut root);
    let draft = Draft {
        project,
        lake: settings::lake(&mut root, strict),
        run: settings::run(&mut root, choices.cores),
        privacy: settings::privacy(&mut root),
        brands: settings::brands(&mut root),
        sources: sources(&mut root),
        source_names: names("sources"),
        ai,
        ai_spot,
        assets: assets(&mut root),
        query: settings::query(&mut root, strict),
        glue: settings::glue(&mut root, strict),
        schedules: settings::schedules(&mut root),
        alerts: settings::alerts(&mut root, &names("sinks")),
        sinks,
    };
    settings::warn_not_run(&mut root, strict);
    root.allow(&["profile"]);
    root.finish();
    build::names(&draft, sink);
    draft
}

/// A profile that was not chosen must still be right: its own mistakes are told.
fn other_profile(tree: &Table, name: &str, choices: &Choices, own: Sink, sink: &Sink) {
    let draft = read(tree, choices, false, &own);
    build::shape(&draft, &own);
    for mut problem in own.into_problems() {
        if problem.text.severity == Severity::Error && !sink.has(&problem) {
            let TextProblem { message, .. } = &mut problem.text;
            *message = format!("in profile `{name}`: {message}");
            sink.push(problem);
        }
    }
}

/// By file (pipelines, overlays, bodies), then by position; what concerns the project as a
/// whole comes first.
fn sort(problems: &mut [Problem], pipelines: &Arc<SourceText>, texts: &Texts) {
    let rank = |problem: &Problem| match &problem.file {
        None => 0,
        Some(file) if file.name == pipelines.name => 1,
        Some(file) => match texts.overlays.iter().position(|o| o.name == file.name) {
            Some(at) => 2 + at,
            None => usize::MAX,
        },
    };
    problems.sort_by_cached_key(|p| {
        let name = p.file.as_ref().map(|f| f.name.clone());
        (rank(p), name, p.text.span.as_ref().map(|s| s.start), p.text.message.clone())
    });
}
