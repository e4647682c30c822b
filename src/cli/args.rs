//! The grammar of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::shell;
use crate::exec::LabelField;
use crate::graph::Day;
use crate::output::terminal::{Format, ProgressMode};

/// Turns public customer posts into decision-ready tables.
#[derive(Parser, Debug)]
#[command(name = "rxpulse", version, about, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Args, Debug, Clone)]
pub struct Global {
    /// The project's folder (the one with pipelines.toml)
    #[arg(short = 'C', long = "project", global = true, value_name = "DIR", env = "RXPULSE_PROJECT")]
    pub project: Option<PathBuf>,
    /// Overlay [profile.NAME] of pipelines.toml
    #[arg(long, global = true, value_name = "NAME", env = "RXPULSE_PROFILE")]
    pub profile: Option<String>,
    /// How an answer is printed (csv and parquet: only rows of a query)
    #[arg(long, global = true, value_enum, default_value_t)]
    pub format: Format,
    /// Show progress as bars, as lines, or not at all
    #[arg(long, global = true, value_enum, default_value_t)]
    pub progress: ProgressMode,
    /// Only errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More of what happens (-vv: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Everything that can be done.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make what is stale: assets, and the partitions of them that need it
    Materialize(Materialize),
    /// Make a set of (asset, partition): a range, what is missing, what failed
    Backfill(Backfill),
    /// Show what materialize would do, and why
    Plan(Materialize),
    /// Where every asset stands
    Status(Status),
    /// Why a partition is stale, as a tree
    Explain(Explain),
    /// The declared assets: list, show, graph
    #[command(subcommand)]
    Assets(Assets),
    /// What was run: list, show, logs, cancel, resume, retry
    #[command(subcommand)]
    Runs(Runs),
    /// A run's events: short for `runs logs`
    Logs(Logs),
    /// Watch and steer runs on a screen of their own
    Tui(Tui),
    /// Ask a question in SQL
    Query(Query),
    /// Paths of an asset's current files, for other tools
    Files(Files),
    /// Check configuration and SQL
    Validate(Validate),
    /// Run data checks on what is published
    Check(Check),
    /// Where posts come from: list, test
    #[command(subcommand)]
    Source(Source),
    /// Records that were set aside: list, show, replay
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Say what is right about a post; it stands above rules and models
    Label(Label),
    /// Take a post, or all of an author, out of every layer for good
    Forget(Forget),
    /// Try the brands' phrases
    #[command(subcommand)]
    Brand(Brand),
    /// Try the issue taxonomy
    #[command(subcommand)]
    Taxonomy(Taxonomy),
    /// The sentiment model: train, eval, show
    #[command(subcommand)]
    Model(Model),
    /// Who labels posts: how well, on the golden file
    #[command(subcommand)]
    Ai(Ai),
    /// What general feedback is about: list, merge, rename, promote
    #[command(subcommand)]
    Themes(Themes),
    /// Write a new project into a folder
    Init(Init),
    /// Delete versions that nothing names any more
    Gc(Gc),
    /// Delete the history of old runs
    Prune(Prune),
    /// The state database: rebuild
    #[command(subcommand)]
    State(StateCommand),
    /// Check this installation and project
    Doctor(Doctor),
    /// Print what makes a shell complete commands and asset names
    Completions(Completions),
    /// Write manual pages into a folder
    Man(Man),
}

/// Which partitions.
#[derive(Args, Debug, Clone, Default)]
pub struct Days {
    /// This partition only (several times for several)
    #[arg(long = "partition", value_name = "DAY", conflicts_with_all = ["from", "to", "latest"])]
    pub partitions: Vec<Day>,
    /// From this day on, inclusive
    #[arg(long, value_name = "DAY")]
    pub from: Option<Day>,
    /// Up to this day, inclusive
    #[arg(long, value_name = "DAY")]
    pub to: Option<Day>,
    /// The latest N days of the project
    #[arg(long, value_name = "N", conflicts_with_all = ["from", "to"])]
    pub latest: Option<u32>,
}

/// `materialize` and `plan`.
#[derive(Args, Debug, Clone)]
pub struct Materialize {
    /// Assets: names with *, +upstream, downstream+, tag:, layer:, kind:, status:, and, or, not
    #[arg(value_name = "SELECTION", conflicts_with = "all", add = shell::selections())]
    pub selection: Vec<String>,
    /// Every asset
    #[arg(long)]
    pub all: bool,
    /// Which days
    #[command(flatten)]
    pub days: Days,
    /// Make the selected partitions again even if they are fresh
    #[arg(long)]
    pub force: bool,
    /// Only show what would be done
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Newest days first
    #[arg(long)]
    pub reverse: bool,
    /// Spend at most so many US dollars on language models in this run
    #[arg(long, value_name = "USD", value_parser = dollars)]
    pub max_usd: Option<f64>,
    /// Watch the run on a screen of its own
    #[arg(long)]
    pub tui: bool,
}

/// `backfill`.
#[derive(Args, Debug, Clone)]
pub struct Backfill {
    /// Assets: names with *, +upstream, downstream+, tag:, layer:, kind:, status:, and, or, not
    #[arg(value_name = "SELECTION", required = true, add = shell::selections())]
    pub selection: Vec<String>,
    /// Which days
    #[command(flatten)]
    pub days: Days,
    /// Only partitions that were never made
    #[arg(long)]
    pub missing: bool,
    /// Only partitions whose newest attempt failed, and what depends on them
    #[arg(long)]
    pub failed: bool,
    /// Only partitions that are out of date
    #[arg(long)]
    pub stale: bool,
    /// Fresh partitions too
    #[arg(long, conflicts_with_all = ["missing", "failed", "stale"])]
    pub force: bool,
    /// Spend at most so many US dollars on language models in this run
    #[arg(long, value_name = "USD", value_parser = dollars)]
    pub max_usd: Option<f64>,
    /// Only show what would be done
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Newest days first
    #[arg(long)]
    pub reverse: bool,
    /// At most so many steps at a time (default: [run] concurrency)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: Option<u16>,
}

/// `tui`.
#[derive(Args, Debug, Clone, Default)]
pub struct Tui {
    /// Open on this run (default: the newest one at work, else the assets)
    #[arg(long, value_name = "RUN")]
    pub run: Option<i64>,
    /// Only watch: nothing can be started or stopped
    #[arg(long)]
    pub readonly: bool,
    /// Colours
    #[arg(long, value_enum, default_value_t)]
    pub theme: ThemeName,
    /// Draw with ASCII characters only
    #[arg(long)]
    pub ascii: bool,
    /// Do not take the mouse from the terminal
    #[arg(long)]
    pub no_mouse: bool,
}

/// Which colours a screen has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ThemeName {
    /// What suits the terminal: 16 colours, or none with NO_COLOR.
    #[default]
    Auto,
    /// For dark backgrounds.
    Dark,
    /// For light backgrounds.
    Light,
    /// No colours.
    None,
}

/// `status`.
#[derive(Args, Debug)]
pub struct Status {
    /// Only these assets
    #[arg(value_name = "SELECTION", add = shell::selections())]
    pub selection: Vec<String>,
}

/// `explain`.
#[derive(Args, Debug)]
pub struct Explain {
    /// The asset
    #[arg(add = shell::assets())]
    pub asset: String,
    /// The day (not for an unpartitioned asset); default: the newest stale one
    #[arg(long, value_name = "DAY")]
    pub partition: Option<Day>,
}

/// `assets …`.
#[derive(Subcommand, Debug)]
pub enum Assets {
    /// All of them, with what they depend on
    List {
        /// Only these
        #[arg(value_name = "SELECTION", add = shell::selections())]
        selection: Vec<String>,
    },
    /// One of them: columns, body, checks, versions
    Show {
        /// The asset
        #[arg(add = shell::assets())]
        asset: String,
    },
    /// The graph
    Graph {
        /// In which language
        #[arg(long = "as", value_enum, default_value_t)]
        style: GraphStyle,
        /// Only these
        #[arg(value_name = "SELECTION", add = shell::selections())]
        selection: Vec<String>,
    },
}

/// How a graph is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum GraphStyle {
    /// Indented text.
    #[default]
    Text,
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
}

/// `runs …`.
#[derive(Subcommand, Debug)]
pub enum Runs {
    /// The newest runs
    List {
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// One run: its steps and what they did (default: the newest)
    Show {
        /// Its number
        run: Option<i64>,
        /// Only steps in this state
        #[arg(long)]
        state: Vec<String>,
    },
    /// A run's events (default: the newest run)
    Logs(Logs),
    /// Ask a run to stop; what it has published stays
    Cancel {
        /// Its number (default: the newest run at work)
        run: Option<i64>,
    },
    /// Go on with what a canceled or dead run did not finish
    Resume {
        /// Its number (default: the newest run that was canceled or died)
        run: Option<i64>,
    },
    /// Make again what failed in a run, and what it blocked
    Retry {
        /// Its number (default: the newest run that failed)
        run: Option<i64>,
        /// Only what failed and what it blocked (the default)
        #[arg(long)]
        failed: bool,
        /// Everything that the run did not finish, also what was canceled
        #[arg(long, conflicts_with = "failed")]
        from_failure: bool,
    },
}

/// `runs logs`, and `logs` for short.
#[derive(Args, Debug, Clone)]
pub struct Logs {
    /// Its number
    pub run: Option<i64>,
    /// Go on as events arrive
    #[arg(short, long)]
    pub follow: bool,
}

/// `query`.
#[derive(Args, Debug)]
pub struct Query {
    /// One SELECT over the project's assets; `-` reads it from standard input
    pub sql: String,
    /// Into this file
    #[arg(long, short)]
    pub out: Option<PathBuf>,
    /// At most so many rows in a table
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
}

/// `files`.
#[derive(Args, Debug)]
pub struct Files {
    /// The asset
    #[arg(add = shell::assets())]
    pub asset: String,
    /// Which days
    #[command(flatten)]
    pub days: Days,
}

/// `validate`.
#[derive(Args, Debug)]
pub struct Validate {
    /// Also list SQL that other engines would not run
    #[arg(long)]
    pub portable: bool,
}

/// `check`.
#[derive(Args, Debug)]
pub struct Check {
    /// Only these assets
    #[arg(value_name = "SELECTION", add = shell::selections())]
    pub selection: Vec<String>,
    /// Which days
    #[command(flatten)]
    pub days: Days,
}

/// `source …`.
#[derive(Subcommand, Debug)]
pub enum Source {
    /// What is declared, what was reached, what is due; asks nobody
    List,
    /// Read one page, and show what would be captured; writes nothing
    Test {
        /// Its name in pipelines.toml
        #[arg(add = shell::sources())]
        name: String,
        /// A stream, day or file of it (default: the first that there is)
        #[arg(value_name = "STREAM")]
        stream: Option<String>,
    },
}

/// `quarantine …`.
#[derive(Subcommand, Debug)]
pub enum Quarantine {
    /// Counts by source, window and reason
    List {
        /// Only this source
        #[arg(long)]
        source: Option<String>,
    },
    /// The records: where they are and what they say
    Show {
        /// Only this source
        #[arg(long)]
        source: Option<String>,
        /// Only this reason
        #[arg(long)]
        reason: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Read the windows again that hold set-aside records
    Replay {
        /// Only this source
        #[arg(long)]
        source: Option<String>,
    },
}

/// `label`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Label {
    /// Something else than to label a post
    #[command(subcommand)]
    pub command: Option<LabelCommand>,
    /// A post: platform and id (reddit:t3_abc), the site's id where that is clear, or its address
    #[arg(value_name = "POST", required = true)]
    pub post: Option<String>,
    /// Its issue type, an id of the taxonomy
    #[arg(long, value_name = "ID")]
    pub issue_type: Option<String>,
    /// How it sounds
    #[arg(long, value_parser = ["positive", "neutral", "negative"])]
    pub sentiment: Option<String>,
    /// Its risk level
    #[arg(long, value_parser = ["low", "medium", "high"])]
    pub risk: Option<String>,
    /// Whose concern the risk is
    #[arg(long, value_parser = ["patient_safety", "privacy", "legal", "financial", "retention"])]
    pub risk_category: Option<String>,
    /// What it is about
    #[arg(long, value_name = "ID")]
    pub theme: Option<String>,
    /// What to do about it
    #[arg(long, value_name = "ID")]
    pub action: Option<String>,
    /// Why, in free words; stands in no table
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Take labels back: these fields, or all that are not set here
    #[arg(long, value_name = "FIELD", num_args = 0.., value_delimiter = ',', value_parser = label_field())]
    pub clear: Option<Vec<LabelField>>,
    /// Who says so (default: the name of the login)
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// The post's day, for one that is in no table yet
    #[arg(long, value_name = "DAY")]
    pub day: Option<Day>,
}

/// `label …`.
#[derive(Subcommand, Debug)]
pub enum LabelCommand {
    /// Every label that stands
    List {
        /// Only of this post
        #[arg(value_name = "POST")]
        post: Option<String>,
    },
}

fn label_field() -> impl clap::builder::TypedValueParser<Value = LabelField> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(LabelField::ALL.map(LabelField::as_str)).try_map(|word| {
        let field = LabelField::ALL.into_iter().find(|f| f.as_str() == word);
        field.ok_or_else(|| format!("there is no field `{word}`"))
    })
}

/// `forget`.
#[derive(Args, Debug)]
pub struct Forget {
    /// Posts by platform and the site's id (reddit:t3_abc), or by the id alone where that is clear;
    /// of Reddit also by permalink
    #[arg(value_name = "POST", required_unless_present = "author", conflicts_with = "author")]
    pub posts: Vec<String>,
    /// Everything by this author
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// The site that the posts or the author are of
    #[arg(long)]
    pub platform: Option<String>,
    /// Only show what would go
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}

/// `brand …`.
#[derive(Subcommand, Debug)]
pub enum Brand {
    /// What a text matches, or a sample of what was excluded
    Test {
        /// The text
        #[arg(required_unless_present = "excluded")]
        text: Option<String>,
        /// As if from this platform
        #[arg(long, default_value = "reddit")]
        platform: String,
        /// As if from this channel
        #[arg(long, default_value = "")]
        channel: String,
        /// Show so many captured posts that match no brand
        #[arg(long, value_name = "N", conflicts_with = "text")]
        excluded: Option<usize>,
    },
}

/// `taxonomy …`.
#[derive(Subcommand, Debug)]
pub enum Taxonomy {
    /// The winning rule of a text, and the runners-up
    Test {
        /// The text
        text: String,
    },
}

/// `model …`.
#[derive(Subcommand, Debug)]
pub enum Model {
    /// Train a sentiment model on labelled texts; same data and seed, same bytes
    Train {
        /// Labelled texts: files, or folders with a train.tsv
        #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
        data: Vec<PathBuf>,
        /// Other labelled texts, on which recall of the three classes is evened out
        #[arg(long, value_name = "FILE", num_args = 1..)]
        dev: Vec<PathBuf>,
        /// Where to write it (default: assets/sentiment.model of the project)
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Decides the order of the examples
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How often every example is seen
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
        epochs: u32,
        /// How the files are read
        #[command(flatten)]
        reading: LabelledText,
    },
    /// How well it does on labelled texts: recall and precision of each class
    Eval {
        /// Labelled texts
        #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
        data: Vec<PathBuf>,
        /// Another model than the project's, or the one inside the program
        #[arg(long, value_name = "FILE")]
        model: Option<PathBuf>,
        /// How the files are read
        #[command(flatten)]
        reading: LabelledText,
    },
    /// What it was trained on
    Show {
        /// Another model than the project's, or the one inside the program
        #[arg(long, value_name = "FILE")]
        model: Option<PathBuf>,
    },
}

/// How files of labelled texts are read.
#[derive(Args, Debug, Clone)]
pub struct LabelledText {
    /// What the ids of GoEmotions are (default: groups when none is above 3)
    #[arg(long, value_enum)]
    pub ids: Option<EmotionIds>,
    /// Mean ratings up to this far from 0 are neutral
    #[arg(long, value_name = "RATING", default_value_t = 0.5)]
    pub neutral: f64,
}

/// What the ids in a file of GoEmotions mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum EmotionIds {
    /// The 28 published emotions.
    Emotions,
    /// ambiguous, negative, neutral, positive.
    Groups,
}

/// `ai …`.
#[derive(Subcommand, Debug)]
pub enum Ai {
    /// Compare labels with the golden file
    Eval(Eval),
}

/// `ai eval`.
#[derive(Args, Debug)]
pub struct Eval {
    /// The golden file [default: that of [ai.gate], else assets/golden.jsonl, else the one inside]
    #[arg(long, value_name = "FILE")]
    pub golden: Option<PathBuf>,
    /// Who labels [default: the provider of [ai]]
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Only one half of the posts
    #[arg(long, value_enum)]
    pub split: Option<crate::enrich::Split>,
    /// Spend at most so many US dollars
    #[arg(long, value_name = "USD", value_parser = dollars)]
    pub max_usd: Option<f64>,
    /// Show disagreements of this field only: sentiment, risk_level, risk_category, theme, action,
    /// issue_type
    #[arg(long, value_name = "FIELD", value_parser = field)]
    pub field: Option<crate::config::Field>,
}

fn field(text: &str) -> Result<crate::config::Field, String> {
    let all = crate::config::Field::ALL;
    all.into_iter()
        .find(|f| f.as_str() == text)
        .ok_or_else(|| format!("the fields are {}", all.map(crate::config::Field::as_str).join(", ")))
}

/// `themes …`.
#[derive(Subcommand, Debug)]
pub enum Themes {
    /// Every theme with its posts, and what language models saw that is none yet
    List {
        /// Which days
        #[command(flatten)]
        days: Days,
        /// Only what is no theme yet
        #[arg(long)]
        new: bool,
    },
    /// Join themes to another: its rows are theirs, too
    Merge {
        /// The themes that go, then the one that stays
        #[arg(value_name = "FROM… INTO", required = true, num_args = 2..)]
        themes: Vec<String>,
        /// Whether it is written
        #[command(flatten)]
        change: ThemeChange,
    },
    /// Give a theme another title
    Rename {
        /// The theme
        id: String,
        /// What people read
        title: String,
        /// Whether it is written
        #[command(flatten)]
        change: ThemeChange,
    },
    /// Make a phrase of a language model a theme, or part of one
    Promote {
        /// As `themes list --new` shows it
        phrase: String,
        /// A new theme's id, or that of one that there is
        id: String,
        /// What people read of a new theme (default: the phrase)
        #[arg(long)]
        title: Option<String>,
        /// Whether it is written
        #[command(flatten)]
        change: ThemeChange,
    },
}

/// How a change of the list of themes is made.
#[derive(Args, Debug, Clone, Default)]
pub struct ThemeChange {
    /// Write without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Only show what would change
    #[arg(long, short = 'n', conflicts_with = "yes")]
    pub dry_run: bool,
}

/// `init`.
#[derive(Args, Debug)]
pub struct Init {
    /// The folder; made when it does not exist
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}

/// `gc`.
#[derive(Args, Debug)]
pub struct Gc {
    /// Only say what would be deleted
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}

/// `prune`.
#[derive(Args, Debug)]
pub struct Prune {
    /// Keep runs that ended within so many days
    #[arg(long, default_value_t = 90)]
    pub keep_days: u32,
    /// Keep at least so many of the newest runs
    #[arg(long, default_value_t = 20)]
    pub keep_runs: u32,
}

/// `state …`.
#[derive(Subcommand, Debug)]
pub enum StateCommand {
    /// Make the database again from the lake's manifests
    Rebuild,
}

/// `doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// Also ask each source of the network for one page
    #[arg(long)]
    pub online: bool,
}

/// `completions`.
#[derive(Args, Debug)]
pub struct Completions {
    /// Which shell; for bash: source <(rxpulse completions bash)
    #[arg(value_parser = ["bash", "zsh", "fish", "elvish", "powershell"])]
    pub shell: String,
}

/// `man`.
#[derive(Args, Debug)]
pub struct Man {
    /// The folder; made when it does not exist
    pub dir: PathBuf,
}

/// An amount of money, as `--max-usd` takes it.
fn dollars(text: &str) -> Result<f64, String> {
    let plain = text.trim().trim_start_matches('$');
    match plain.parse::<f64>() {
        Ok(dollars) if dollars.is_finite() && dollars >= 0.0 => Ok(dollars),
        _ => Err("an amount in US dollars, for example 0.50".into()),
    }
}
