//! Wiring: the only place that reads the project's files and the environment, opens lake and
//! state, and builds what a command needs. It is taken apart by the command that asked for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, SchemaRef};

use crate::classify::{Brands, Taxonomy};
use crate::config::{
    self, Body, Choices, Config, Hooks, PromptFacts, SqlFacts, TableFacts, Texts, WordFacts,
};
use crate::diagnostic::{Problem, Severity, SourceText, TextProblem};
use crate::engine::{self, Engine, EngineOptions, Grouping, TextTools};
use crate::enrich::{Embedded, ModelError, Prompt, SHIPPED_PROMPT, SentimentModel, Tables};
use crate::exec::{self, AssetShape, Clients, FilesCache, Resources, Sight, World, WorldError};
use crate::graph::{AssetIdx, AssetKind, PartitionMapping, Partitioning};
use crate::lake::{Lake, LakeError};
use crate::state::{State, StateError};

/// The name of the configuration file.
pub const PIPELINES: &str = "pipelines.toml";
/// The folder of bodies.
pub const ASSETS: &str = "assets";
/// The project's own sentiment model, in the folder of bodies.
pub const SENTIMENT_MODEL: &str = "sentiment.model";
/// Where the database is, relative to the project.
pub const DATABASE: &str = "state/rxpulse.db";

/// A project could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The files say something that cannot be.
    #[error("the project's files have problems")]
    Problems(Vec<Problem>),
    /// A file cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// There is no project here.
    #[error(
        "there is no {PIPELINES} in {0} or above it; `rxpulse init DIR` makes a project, `-C DIR` names one"
    )]
    NotFound(PathBuf),
    /// There is no project where one was named.
    #[error("there is no {PIPELINES} in {0}; `rxpulse init {0}` makes a project there")]
    NotThere(PathBuf),
    /// A sentiment model cannot be used.
    #[error("{path}: {error}")]
    Model {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        error: ModelError,
    },
    /// The lake refused.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The database refused.
    #[error(transparent)]
    State(#[from] StateError),
    /// What is known could not be read.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The engine could not be made.
    #[error("the query engine cannot start: {0}")]
    Engine(String),
}

/// A project's files, read and checked.
pub struct Project {
    /// Its folder.
    pub root: PathBuf,
    /// What the files say.
    pub config: Arc<Config>,
    /// Warnings about them.
    pub warnings: Vec<Problem>,
    /// Brands, ready to match.
    pub brands: Arc<Brands>,
    /// Issue types, ready to match.
    pub taxonomy: Arc<Taxonomy>,
    /// The model inside the binary, with the project's tables.
    pub embedded: Arc<Embedded>,
    /// The version of the table `issue_types`.
    pub issue_types: [u8; 16],
}

/// Where the project is: the folder given, or the nearest one upward with a configuration.
///
/// # Errors
/// When there is none.
pub fn find(given: Option<&Path>) -> Result<PathBuf, ProjectError> {
    if let Some(dir) = given {
        return match dir.join(PIPELINES).is_file() {
            true => Ok(dir.to_path_buf()),
            false => Err(ProjectError::NotThere(dir.to_path_buf())),
        };
    }
    let here = std::env::current_dir().map_err(|error| ProjectError::Read { path: ".".into(), error })?;
    here.ancestors()
        .find(|dir| dir.join(PIPELINES).is_file())
        .map(Path::to_path_buf)
        .ok_or(ProjectError::NotFound(here))
}

impl Project {
    /// Reads and checks the project at `root`.
    ///
    /// # Errors
    /// Every problem of its files at once.
    pub fn open(root: PathBuf, profile: Option<String>) -> Result<Project, ProjectError> {
        let texts = read_texts(&root)?;
        let sentiment = sentiment_model(&root)?;
        let (parsed, brands, taxonomy, embedded) = {
            let found = std::cell::RefCell::new((None, None));
            let model = std::cell::RefCell::new(None);
            let words = |defs: &[config::BrandDef], file: &Arc<SourceText>| -> WordFacts {
                let (facts, b, t) = words(defs, file);
                *found.borrow_mut() = (b, t);
                facts
            };
            let tables = |find: &config::FindText<'_>, issue_ids: &[String]| {
                let (tables, problems) = Tables::read(find, issue_ids);
                let mut embedded = Embedded::with_tables(tables);
                if let Some(sentiment) = &sentiment {
                    embedded = embedded.with_model(sentiment.clone());
                }
                let facts = TableFacts { embedded: embedded.version_hash(), problems };
                *model.borrow_mut() = Some(embedded);
                facts
            };
            let prompt = |file: Option<&SourceText>| {
                let text = file.map_or(SHIPPED_PROMPT, |f| f.text.as_str());
                let words = model.borrow().as_ref().map(exec::vocabulary).unwrap_or_default();
                let prompt = Prompt::new(text, words);
                let mut version = [0; 16];
                let both = format!("{} {}", prompt.hash, prompt.schema_hash);
                version.copy_from_slice(&blake3::hash(both.as_bytes()).as_bytes()[..16]);
                let problems = Prompt::problems(text)
                    .into_iter()
                    .map(|p| TextProblem::error(p.message, Some(p.span)).help(p.help))
                    .collect();
                PromptFacts { version, problems }
            };
            let hooks = Hooks {
                sql: &sql_facts,
                words: &words,
                tables: &tables,
                adapter: &adapter_version,
                source: &exec::source_problems,
                prompt: &prompt,
            };
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let choices = Choices { profile, now_ms: exec::now_ms(), cores };
            let parsed = config::parse(&texts, &choices, &hooks);
            let (brands, taxonomy) = found.into_inner();
            (parsed, brands, taxonomy, model.into_inner())
        };
        let errors = parsed.problems.iter().any(|p| p.text.severity == Severity::Error);
        match (parsed.config, brands, taxonomy, embedded) {
            (Some(config), Some(brands), Some(taxonomy), Some(embedded)) if !errors => Ok(Project {
                root,
                config: Arc::new(config),
                warnings: parsed.problems,
                issue_types: taxonomy.slice_version(crate::classify::TaxonomySlice::Types),
                brands: Arc::new(brands),
                taxonomy: Arc::new(taxonomy),
                embedded: Arc::new(embedded),
            }),
            _ => Err(ProjectError::Problems(parsed.problems)),
        }
    }

    /// Where the lake is.
    pub fn lake_root(&self) -> PathBuf {
        self.root.join(&self.config.lake.root)
    }

    /// Where the database is.
    pub fn database(&self) -> PathBuf {
        self.root.join(DATABASE)
    }

    /// The lake, if there is one yet. Makes nothing.
    ///
    /// # Errors
    /// When it belongs to another time zone or a newer version.
    pub fn lake_if_any(&self) -> Result<Option<Lake>, ProjectError> {
        Ok(Lake::open_existing(&self.lake_root(), &self.config.project.timezone_name)?)
    }

    /// The lake, made when there is none.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to another time zone or a newer version.
    pub fn lake(&self) -> Result<Lake, ProjectError> {
        Ok(Lake::open(&self.lake_root(), &self.config.project.timezone_name)?)
    }

    /// The database for reading, if there is one.
    ///
    /// # Errors
    /// When it is damaged or of a newer version.
    pub fn state_if_any(&self) -> Result<Option<State>, ProjectError> {
        Ok(State::open_read_only(&self.database())?)
    }

    /// The database, made when there is none.
    ///
    /// # Errors
    /// When it is damaged, of a newer version, or cannot be written.
    pub fn state(&self) -> Result<State, ProjectError> {
        Ok(State::open(&self.database())?)
    }

    /// What is known now.
    ///
    /// # Errors
    /// When lake, database or a source cannot be read.
    pub fn world(
        &self,
        lake: Option<&Lake>,
        state: Option<&State>,
        write: bool,
        force_captures: bool,
    ) -> Result<World, ProjectError> {
        let mut world = World::read(&Sight {
            config: &self.config,
            root: &self.root,
            lake,
            state,
            write,
            force_captures,
            issue_types: self.issue_types,
            now_ms: exec::now_ms(),
        })?;
        world.notes.extend(world.labels.lost_issue_types(|issue| self.taxonomy.issue(issue).is_some()));
        Ok(world)
    }

    /// Where a run stands now.
    pub fn life(&self, row: &crate::state::RunRow) -> crate::state::RunLife {
        self.life_at(row, exec::now_ms())
    }

    /// Where a run stands at `now_ms` (milliseconds since 1970 UTC): a process of this machine
    /// that is gone is dead at once, whatever its last heartbeat says.
    pub fn life_at(&self, row: &crate::state::RunRow, now_ms: i64) -> crate::state::RunLife {
        use crate::state::RunLife;
        let life = row.effective(now_ms, self.config.run.lease_ms);
        let at_work = matches!(life, RunLife::Running | RunLife::Canceling);
        let gone = at_work && row.host == exec::host() && !crate::scratch::is_running(row.pid);
        if gone { RunLife::Dead } else { life }
    }

    /// An engine with this project's limits and words.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn engine(&self) -> Result<Engine, ProjectError> {
        self.engine_in(crate::scratch::folder(&self.root))
    }

    fn engine_in(&self, temp_dir: PathBuf) -> Result<Engine, ProjectError> {
        let run = &self.config.run;
        Engine::new(EngineOptions {
            memory_limit: run.memory_limit,
            threads: run.threads,
            batch_size: run.batch_size,
            temp_dir,
            temp_limit: run.spill_limit,
            brands: Arc::new(exec::BrandWords(self.brands.clone())),
            taxonomy: Arc::new(exec::IssueWords(self.taxonomy.clone())),
            text: TextTools { norm: crate::classify::norm, unescape: crate::classify::unescape },
        })
        .map_err(|e| ProjectError::Engine(e.to_string()))
    }

    /// The shape of every asset: each query is planned against the schemas of what it reads, so
    /// that a wrong column is a problem with a place in its file, before anything runs.
    ///
    /// # Errors
    /// Every problem of every query; what depends on a broken one is passed over.
    pub fn shapes(&self, engine: &Engine) -> Result<(Vec<AssetShape>, Vec<Problem>), Vec<Problem>> {
        let graph = &self.config.graph;
        let mut shapes: Vec<Option<AssetShape>> = vec![None; graph.len()];
        let mut problems = Vec::new();
        for (asset, declared) in graph.iter() {
            let config = self.config.asset(asset);
            let schema = match &config.body {
                Body::Source { .. } => Some((engine::bronze_schema(), Grouping::Together)),
                Body::System(table) => Some((exec::system_schema(*table), Grouping::Together)),
                Body::Enrich(_) if self.is_feedback(asset) => {
                    Some((crate::enrich::feedback_schema(), Grouping::Together))
                }
                Body::Enrich(_) => Some((crate::enrich::signals_schema(), Grouping::Together)),
                Body::Sql { file } => {
                    let ups = graph.upstream(asset);
                    if ups.iter().any(|(up, _)| shapes[up.i()].is_none()) {
                        continue; // Its input is broken: that is told already.
                    }
                    let deps: Vec<engine::DepSchema> = ups
                        .iter()
                        .filter_map(|(up, mapping)| {
                            Some(engine::DepSchema {
                                name: graph.key(*up).clone(),
                                schema: shapes[up.i()].as_ref()?.schema.clone(),
                                daily: graph.asset(*up).partitioning == Partitioning::Daily,
                                days_before: match mapping {
                                    crate::graph::PartitionMapping::Trailing { days } => *days,
                                    _ => 0,
                                },
                            })
                        })
                        .collect();
                    let key: Vec<String> = config.row_key.iter().map(|k| k.value.clone()).collect();
                    let daily = declared.partitioning == Partitioning::Daily;
                    match engine.infer(file, &deps, daily, &key) {
                        Ok(inferred) => {
                            problems.extend(inferred.warnings.into_iter().map(|w| w.within(file)));
                            Some((inferred.schema, inferred.grouping))
                        }
                        Err(found) => {
                            problems.extend(found.into_iter().map(|p| p.within(file)));
                            None
                        }
                    }
                }
            };
            if let Some((schema, grouping)) = schema {
                // Checks name columns; now it is known which there are.
                for check in &config.checks {
                    for column in check.kind.columns() {
                        if schema.index_of(&column.value).is_err() {
                            let names: Vec<&str> =
                                schema.fields().iter().map(|f| f.name().as_str()).collect();
                            let mut problem = TextProblem::error(
                                format!("`{}` has no column `{}` to check", config.key, column.value),
                                None,
                            );
                            problem.help = Some(
                                match crate::diagnostic::did_you_mean(&column.value, names.iter().copied()) {
                                    Some(near) => format!("did you mean `{near}`?"),
                                    None => format!("its columns are {}", names.join(", ")),
                                },
                            );
                            problems.push(column.spot.problem(problem));
                        }
                    }
                    let Some((sql, at, text)) = check.kind.query(&config.key) else { continue };
                    if let Err(found) = engine.try_query(&sql, &config.key, &schema) {
                        problems
                            .extend(found.into_iter().map(|p| text.spot.problem_inside(p, at, &text.value)));
                    }
                }
                problems.extend(self.text_problems(asset, &schema, &shapes));
                shapes[asset.i()] = Some(AssetShape { schema, grouping });
            }
        }
        if problems.iter().any(|p| p.text.severity == Severity::Error) {
            return Err(problems);
        }
        let shapes: Vec<AssetShape> = shapes.into_iter().flatten().collect();
        if shapes.len() == graph.len() { Ok((shapes, problems)) } else { Err(problems) }
    }

    /// What `retain_text` would do to a table whose columns are known by now.
    fn text_problems(
        &self,
        asset: AssetIdx,
        schema: &SchemaRef,
        shapes: &[Option<AssetShape>],
    ) -> Vec<Problem> {
        let graph = &self.config.graph;
        if graph.asset(asset).kind == AssetKind::Source {
            return Vec::new();
        }
        let columns = |schema: &SchemaRef| -> Vec<(String, String)> {
            let canonical = crate::lake::canonical_schema(schema).unwrap_or_else(|_| schema.clone());
            let named = |f: &Arc<Field>| (f.name().clone(), crate::lake::type_text(f.data_type()));
            canonical.fields().iter().map(named).collect()
        };
        let texts = |up: AssetIdx| {
            let declared = self.config.asset(up);
            shapes[up.i()].as_ref().is_some_and(|shape| {
                columns(&shape.schema).iter().any(|(c, kind)| config::holds_text(Some(declared), c, kind))
            })
        };
        let reads: Vec<config::TextWindow<'_>> = graph
            .upstream(asset)
            .iter()
            .filter_map(|(up, mapping)| match mapping {
                PartitionMapping::Trailing { days } => Some(config::TextWindow {
                    asset: graph.key(*up),
                    days_before: *days,
                    texts: graph.asset(*up).kind == AssetKind::Source || texts(*up),
                }),
                _ => None,
            })
            .collect();
        config::text_problems(&self.config.privacy, self.config.asset(asset), &columns(schema), &reads)
    }

    /// Whether an enrich asset makes the table of general feedback (the other makes signals).
    pub fn is_feedback(&self, asset: AssetIdx) -> bool {
        exec::is_feedback(&self.config, asset)
    }

    /// Everything a run works with.
    ///
    /// # Errors
    /// Problems of SQL, or an engine that cannot start.
    pub fn resources(&self, lake: Arc<Lake>) -> Result<Resources, ProjectError> {
        let temp_dir = crate::scratch::folder(&self.root);
        let engine = self.engine_in(temp_dir.clone())?;
        let (shapes, _) = self.shapes(&engine).map_err(ProjectError::Problems)?;
        Ok(Resources {
            root: self.root.clone(),
            temp_dir,
            config: self.config.clone(),
            lake,
            engine: Arc::new(engine),
            brands: self.brands.clone(),
            taxonomy: self.taxonomy.clone(),
            embedded: self.embedded.clone(),
            shapes,
            files: FilesCache::default(),
            clients: Clients::default(),
            ai: crate::exec::Ai::default(),
            gate: std::sync::OnceLock::new(),
        })
    }
}

/// The project's own sentiment model; `None` when it uses the one inside the program.
///
/// # Errors
/// When there is one that cannot be read or used.
pub fn sentiment_model(root: &Path) -> Result<Option<Arc<SentimentModel>>, ProjectError> {
    let path = root.join(ASSETS).join(SENTIMENT_MODEL);
    if !path.try_exists().map_err(|error| ProjectError::Read { path: path.clone(), error })? {
        return Ok(None);
    }
    read_model(&path).map(Some)
}

/// The sentiment model in a file.
///
/// # Errors
/// When it cannot be read or used.
pub fn read_model(path: &Path) -> Result<Arc<SentimentModel>, ProjectError> {
    let bytes =
        std::fs::read(path).map_err(|error| ProjectError::Read { path: path.to_path_buf(), error })?;
    let model = SentimentModel::read(&bytes)
        .map_err(|error| ProjectError::Model { path: path.to_path_buf(), error })?;
    Ok(Arc::new(model))
}

fn read_text(root: &Path, name: &str) -> Result<SourceText, ProjectError> {
    let path = root.join(name);
    let bytes = std::fs::read(&path).map_err(|error| ProjectError::Read { path: path.clone(), error })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let problem =
            TextProblem::error(format!("the file is not UTF-8 (byte {at})"), None).help("save it as UTF-8");
        let file = Arc::new(SourceText { name: name.to_string(), text: String::new() });
        ProjectError::Problems(vec![problem.within(&file)])
    })?;
    // A byte order mark is how some editors say UTF-8.
    let text = text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text);
    Ok(SourceText { name: name.to_string(), text })
}

fn read_texts(root: &Path) -> Result<Texts, ProjectError> {
    let pipelines = read_text(root, PIPELINES)?;
    let mut overlays = Vec::new();
    if root.join("pipelines.local.toml").is_file() {
        overlays.push(read_text(root, "pipelines.local.toml")?);
    }
    let mut bodies = BTreeMap::new();
    let folder = root.join(ASSETS);
    match std::fs::read_dir(&folder) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(|error| ProjectError::Read { path: folder.clone(), error })?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let is_body = [".sql", ".md", ".toml"].iter().any(|e| name.ends_with(e));
                if is_body && !name.starts_with('.') && entry.path().is_file() {
                    let text = read_text(root, &format!("{ASSETS}/{name}"))?;
                    bodies.insert(name, text);
                }
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(ProjectError::Read { path: folder, error }),
    }
    Ok(Texts { pipelines, overlays, bodies })
}

fn sql_facts(file: &SourceText, declared: &[&str]) -> SqlFacts {
    match crate::sql::parse(&file.text) {
        Err(problems) => SqlFacts { problems, ..SqlFacts::default() },
        Ok(query) => {
            let mut problems = query.lint();
            problems.extend(query.check_tables(declared));
            SqlFacts {
                tokens: query.normalized(),
                rx_names: query.rx_calls().into_iter().map(|c| c.name).collect(),
                problems,
            }
        }
    }
}

fn words(defs: &[config::BrandDef], file: &Arc<SourceText>) -> (WordFacts, Option<Brands>, Option<Taxonomy>) {
    use crate::classify::{BrandDef, Spanned, TaxonomySlice};
    let mut facts = WordFacts::default();
    let spanned = |l: &config::Located<String>| Spanned { text: l.value.clone(), span: l.spot.span.clone() };
    let own: Vec<BrandDef> = defs
        .iter()
        .map(|d| BrandDef {
            key: d.key.clone(),
            name: d.name.clone(),
            competitor: d.competitor,
            match_any: d.match_any.iter().map(spanned).collect(),
            match_all: d.match_all.iter().map(|list| list.iter().map(spanned).collect()).collect(),
            match_channels: d.match_channels.iter().map(spanned).collect(),
            match_platforms: d.match_platforms.iter().map(spanned).collect(),
        })
        .collect();
    let brands = match Brands::compile(own) {
        Ok(brands) => Some(brands),
        Err(problems) => {
            // Every phrase stands in one of the configuration's files.
            if let Some(first) = defs.first() {
                facts.problems.extend(problems.into_iter().map(|p| p.within(&first.spot.file)));
            }
            None
        }
    };
    let taxonomy = match Taxonomy::parse(&file.text) {
        Ok((taxonomy, warnings)) => {
            facts.problems.extend(warnings.into_iter().map(|p| p.within(file)));
            Some(taxonomy)
        }
        Err(problems) => {
            facts.problems.extend(problems.into_iter().map(|p| p.within(file)));
            None
        }
    };
    if let Some(taxonomy) = &taxonomy {
        facts.issue_types = taxonomy.slice_version(TaxonomySlice::Types);
        facts.issue_ids = taxonomy.issues().iter().map(|i| i.id.clone()).collect();
    }
    for function in crate::sql::rx_functions() {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{} {}", function.name, function.version).as_bytes());
        match function.uses {
            crate::sql::Uses::None => {}
            crate::sql::Uses::Brand => {
                if let Some(brands) = &brands {
                    hasher.update(&brands.version());
                }
            }
            crate::sql::Uses::Taxonomy => {
                if let Some(taxonomy) = &taxonomy {
                    hasher.update(&taxonomy.slice_version(TaxonomySlice::Classify));
                }
            }
        }
        let mut version = [0; 16];
        version.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        facts.rx.insert(function.name.to_string(), version);
    }
    (facts, brands, taxonomy)
}

/// The version of a source's adapter: with another one its captures would look different.
fn adapter_version(source: &config::SourceConfig, privacy: &config::PrivacyConfig) -> String {
    let privacy = format!("{:?}", privacy.author);
    match &source.kind {
        config::SourceKind::Files(_) => match exec::files_def(source) {
            Ok(def) => format!("{} {privacy}", def.adapter_version()),
            Err(why) => why,
        },
        config::SourceKind::Sample(_) => format!("{} {privacy}", crate::source::SAMPLE_VERSION),
        kind => format!("{} {privacy}", crate::source::network_version(kind.type_name())),
    }
}
