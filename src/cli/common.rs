//! What the verbs share: entry, errors and their exit codes, opening a project, resolving a
//! selection.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::diagnostic::Problem;
use crate::exec::World;
use crate::graph::select::{self, DaySet, StatusOf};
use crate::graph::{
    AssetGraph, AssetIdx, Day, DayRange, Observations, PartitionSet, Plan, Request, Staleness, plan,
};
use crate::output::terminal::{self, Format, err};
use crate::output::{problems, sanitize};
use crate::project::{self, Project, ProjectError};
use crate::state::{RunLife, RunRow, State};

use super::args::{Cli, Command, Days, Global, Runs};

/// Why a command ended without doing what it was asked.
#[derive(Debug)]
pub enum CliError {
    /// The files say something that cannot be.
    Problems(Vec<Problem>),
    /// The command cannot be meant so.
    Usage(String),
    /// Anything else, in words.
    Failed(String),
}

impl From<ProjectError> for CliError {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Problems(problems) => CliError::Problems(problems),
            ProjectError::NotFound(_) | ProjectError::NotThere(_) | ProjectError::Model { .. } => {
                CliError::Usage(error.to_string())
            }
            other => CliError::Failed(other.to_string()),
        }
    }
}

impl From<select::SelectError> for CliError {
    fn from(error: select::SelectError) -> Self {
        CliError::Usage(error.to_string())
    }
}

macro_rules! failed_from {
    ($($error:ty),*) => {$(
        impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                CliError::Failed(error.to_string())
            }
        }
    )*};
}
failed_from!(
    crate::state::StateError,
    crate::lake::LakeError,
    crate::exec::RunError,
    crate::exec::WorldError,
    crate::engine::EngineError,
    std::io::Error,
    serde_json::Error
);

/// The exit code of a command that ended in order.
pub type Exit = Result<u8, CliError>;

/// Runs the program.
pub fn main() -> ExitCode {
    super::shell::answer();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output and are no errors.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    start_tracing(&cli.global);
    let global = cli.global;
    let json = matches!(global.format, Format::Json | Format::Ndjson);
    let result = match cli.command {
        Command::Materialize(args) => super::materialize::run(&global, &args),
        Command::Backfill(args) => super::backfill::run(&global, &args),
        Command::Tui(args) => super::tui::run(&global, &args),
        Command::Plan(args) => super::plan::run(&global, &args),
        Command::Status(args) => super::status::run(&global, &args),
        Command::Explain(args) => super::explain::run(&global, &args),
        Command::Assets(args) => super::assets::run(&global, &args),
        Command::Runs(args) => super::runs::run(&global, &args),
        Command::Logs(args) => super::runs::run(&global, &Runs::Logs(args)),
        Command::Query(args) => super::query::run(&global, &args),
        Command::Files(args) => super::files::run(&global, &args),
        Command::Validate(args) => super::validate::run(&global, &args),
        Command::Check(args) => super::check::run(&global, &args),
        Command::Source(args) => super::source::run(&global, &args),
        Command::Quarantine(args) => super::quarantine::run(&global, &args),
        Command::Label(args) => super::label::run(&global, &args),
        Command::Forget(args) => super::forget::run(&global, &args),
        Command::Brand(args) => super::words::brand(&global, &args),
        Command::Taxonomy(args) => super::words::taxonomy(&global, &args),
        Command::Model(args) => super::model::run(&global, &args),
        Command::Ai(args) => super::ai::run(&global, &args),
        Command::Themes(args) => super::themes::run(&global, &args),
        Command::Init(args) => super::init::run(&global, &args),
        Command::Gc(args) => super::maintenance::gc(&global, &args),
        Command::Prune(args) => super::maintenance::prune(&global, &args),
        Command::State(args) => super::maintenance::state(&global, &args),
        Command::Doctor(args) => super::doctor::run(&global, &args),
        Command::Completions(args) => super::shell::completions(&args),
        Command::Man(args) => super::shell::man(&global, &args),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(CliError::Problems(found)) => {
            show_problems(&found, json);
            ExitCode::from(2)
        }
        Err(CliError::Usage(message)) => {
            err(&format!("{} {}\n", terminal::red("error:"), sanitize::block(&message)));
            ExitCode::from(2)
        }
        Err(CliError::Failed(message)) => {
            err(&format!("{} {}\n", terminal::red("error:"), sanitize::block(&message)));
            ExitCode::from(1)
        }
    }
}

/// Problems on standard error; as JSON on standard output when that was asked for.
pub fn show_problems(found: &[Problem], json: bool) {
    if json {
        let list: Vec<_> = found.iter().map(problems::json).collect();
        terminal::out(&format!(
            "{}\n",
            serde_json::json!({ "schema_version": SCHEMA_VERSION, "problems": list })
        ));
    }
    err(&problems::render(found, terminal::stderr_color(), terminal::width()));
}

fn start_tracing(global: &Global) {
    use tracing_subscriber::EnvFilter;
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "rxpulse=info,warn",
        (_, 2) => "rxpulse=debug,info",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("RXPULSE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would tell on the stream that cannot be written to, and panic.
        .log_internal_errors(false)
        .with_ansi(terminal::stderr_color())
        .with_target(false)
        .try_init();
}

/// Opens the project that the arguments name, and shows warnings about its files.
pub fn open(global: &Global) -> Result<Project, CliError> {
    let project = open_quietly(global)?;
    if !project.warnings.is_empty() && !global.quiet {
        show_problems(&project.warnings, false);
    }
    Ok(project)
}

/// Opens the project that the arguments name.
pub fn open_quietly(global: &Global) -> Result<Project, CliError> {
    let root: PathBuf = project::find(global.project.as_deref())?;
    Ok(Project::open(root, global.profile.clone())?)
}

/// The days that the arguments name.
///
/// # Errors
/// A day outside the project, or an empty range.
pub fn day_set(days: &Days, project: DayRange) -> Result<DaySet, CliError> {
    let inside = |day: Day| {
        if project.contains(day) {
            Ok(day)
        } else {
            Err(CliError::Usage(format!(
                "{day} is not one of the project's days, {project}; partitions outside of them do not exist"
            )))
        }
    };
    if !days.partitions.is_empty() {
        let list = days.partitions.iter().map(|d| inside(*d)).collect::<Result<Vec<_>, _>>()?;
        return Ok(DaySet::days(list));
    }
    if let Some(n) = days.latest {
        if n == 0 {
            return Err(CliError::Usage("--latest wants at least 1 day".into()));
        }
        let start = project.end.plus(1 - i32::try_from(n).unwrap_or(i32::MAX)).max(project.start);
        return Ok(DaySet::range(DayRange { start, end: project.end }));
    }
    if days.from.is_none() && days.to.is_none() {
        return Ok(DaySet::all());
    }
    let start = days.from.map(inside).transpose()?.unwrap_or(project.start);
    let end = days.to.map(inside).transpose()?.unwrap_or(project.end);
    DayRange::new(start, end)
        .map(DaySet::range)
        .ok_or_else(|| CliError::Usage(format!("--from {start} is after --to {end}")))
}

/// The status of partitions, for `status:` in selections.
pub struct Statuses {
    words: Vec<Vec<&'static str>>,
    failed: PartitionSet,
}

impl Statuses {
    /// Where every partition stands.
    pub fn read(
        graph: &AssetGraph,
        world: &World,
        state: Option<&State>,
        lake: Option<&str>,
    ) -> Result<Self, CliError> {
        let all = survey(graph, world);
        let mut words: Vec<Vec<&'static str>> =
            graph.indices().map(|a| vec!["fresh"; graph.slots(a)]).collect();
        for step in &all.steps {
            words[step.asset.i()][step.slot] = word(&step.why);
        }
        for asset in graph.indices() {
            for (word, entry) in words[asset.i()].iter_mut().zip(world.ledger.of(asset)) {
                if entry.is_none() {
                    *word = "missing";
                }
            }
        }
        for kept in all.kept.iter().filter(|kept| kept.why == Staleness::Missing) {
            words[kept.asset.i()][kept.slot] = "lost";
        }
        let failed = failures(graph, state, lake)?;
        Ok(Self { words, failed })
    }

    /// The word for one partition.
    pub fn word(&self, asset: AssetIdx, slot: usize) -> &'static str {
        self.words[asset.i()][slot]
    }

    /// Whether the newest attempt at a partition failed.
    pub fn failed(&self, asset: AssetIdx, slot: usize) -> bool {
        self.failed.contains(asset, slot)
    }
}

impl StatusOf for Statuses {
    fn has(&self, word: &str, asset: AssetIdx, slot: usize) -> bool {
        match word {
            "failed" => self.failed(asset, slot),
            "stale" => matches!(self.word(asset, slot), "stale" | "incomplete"),
            other => self.word(asset, slot) == other,
        }
    }
}

fn word(why: &Staleness) -> &'static str {
    use crate::graph::Cause;
    match why {
        Staleness::Stale(causes) if causes.iter().any(|c| matches!(c, Cause::Incomplete(_))) => "incomplete",
        other => other.as_str(),
    }
}

/// The plan of everything: where each partition stands.
pub fn survey(graph: &AssetGraph, world: &World) -> Plan {
    let request = Request { selected: PartitionSet::all(graph), force: false };
    plan(graph, &world.ledger, &world.seen, &request)
}

/// Partitions whose newest attempt failed.
pub fn failures(
    graph: &AssetGraph,
    state: Option<&State>,
    lake: Option<&str>,
) -> Result<PartitionSet, CliError> {
    let mut failed = PartitionSet::empty(graph);
    if let (Some(state), Some(lake)) = (state, lake) {
        for failure in state.last_failures(lake)? {
            if let crate::event::Target::Partition { asset, partition } = &failure.target
                && let Some(idx) = graph.find(asset.as_str())
                && let Some(slot) =
                    graph.slot(crate::graph::AssetPartition { asset: idx, partition: *partition })
            {
                failed.insert(idx, slot);
            }
        }
    }
    Ok(failed)
}

/// The number of a run that is at work now, if one is.
pub fn at_work(project: &Project, state: &State) -> Result<Option<i64>, CliError> {
    let live = |row: &RunRow| matches!(project.life(row), RunLife::Running | RunLife::Canceling);
    Ok(state.runs(50, None)?.iter().find(|row| live(row)).map(|row| row.id.0))
}

struct NoStatus;

impl StatusOf for NoStatus {
    fn has(&self, _: &str, _: AssetIdx, _: usize) -> bool {
        false
    }
}

/// The partitions that a selection names; everything when it is empty.
pub fn resolve(
    graph: &AssetGraph,
    terms: &[String],
    days: &DaySet,
    status: Option<&Statuses>,
) -> Result<PartitionSet, CliError> {
    let text = if terms.is_empty() { "*".to_string() } else { terms.join(" ") };
    let selection = select::parse(&text)?;
    let set = match status {
        Some(status) => selection.resolve(graph, days, status)?,
        None => selection.resolve(graph, days, &NoStatus)?,
    };
    Ok(set)
}

/// Whether a selection asks where partitions stand.
pub fn uses_status(terms: &[String]) -> Result<bool, CliError> {
    if terms.is_empty() {
        return Ok(false);
    }
    Ok(select::parse(&terms.join(" "))?.uses_status())
}

/// The asset of a name, or a usage error that knows what was meant.
pub fn asset_named(graph: &AssetGraph, name: &str) -> Result<AssetIdx, CliError> {
    graph.find(name).ok_or_else(|| {
        let names: Vec<&str> = graph.iter().map(|(_, a)| a.key.as_str()).collect();
        let hint = match crate::diagnostic::did_you_mean(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the assets are {}", names.join(", ")),
        };
        CliError::Usage(format!("there is no asset `{name}`; {hint}"))
    })
}

/// The version of everything that is printed as JSON; `docs/json.md` says what it promises.
/// A field that is added does not change it, one that goes or means something else does.
pub const SCHEMA_VERSION: u32 = 1;

/// Prints a value as JSON: indented for one document, compact lines with `ndjson`. An object says
/// which version of the schema it follows; a list has no place for that, nor have its lines.
pub fn print_json(format: Format, value: &serde_json::Value) -> Result<(), CliError> {
    #[derive(serde::Serialize)]
    struct Versioned<'a> {
        schema_version: u32,
        #[serde(flatten)]
        fields: &'a serde_json::Map<String, serde_json::Value>,
    }
    use serde_json::Value;
    let text = match (format, value) {
        (Format::Ndjson, Value::Array(items)) => items.iter().map(|item| format!("{item}\n")).collect(),
        (_, Value::Object(fields)) => {
            let value = Versioned { schema_version: SCHEMA_VERSION, fields };
            match format {
                Format::Ndjson => format!("{}\n", serde_json::to_string(&value)?),
                _ => format!("{}\n", serde_json::to_string_pretty(&value)?),
            }
        }
        _ => format!("{}\n", serde_json::to_string_pretty(value)?),
    };
    terminal::out(&text);
    Ok(())
}

/// Refuses the formats that only rows of a query have.
pub fn is_json(format: Format) -> Result<bool, CliError> {
    match format {
        Format::Human => Ok(false),
        Format::Json | Format::Ndjson => Ok(true),
        Format::Csv | Format::Parquet => Err(CliError::Usage(
            "csv and parquet are formats of `query`; this command prints human, json or ndjson".into(),
        )),
    }
}

/// What observations say about work that is due, for messages.
pub fn due(seen: &Observations) -> usize {
    seen.due.values().map(Vec::len).sum()
}
