//! What a checked configuration says; of its assets, see [`super::AssetConfig`].
//!
//! Plain values: every number is in range, every name that refers to something refers to
//! something that exists.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model_asset::AssetConfig;
use super::model_gate::GateConfig;
use super::model_source::SourceConfig;
use super::spot::{Located, Spot};
use crate::diagnostic::SourceText;
use crate::graph::{AssetGraph, AssetIdx, Day, DayRange};

/// A checked project.
#[derive(Debug)]
pub struct Config {
    /// `[project]`.
    pub project: ProjectConfig,
    /// The project's days: start to end, or to today.
    pub days: DayRange,
    /// `[lake]`.
    pub lake: LakeConfig,
    /// `[run]`.
    pub run: RunConfig,
    /// `[privacy]`.
    pub privacy: PrivacyConfig,
    /// `[brands.*]`, in the order written: the first that matches is a post's brand.
    pub brands: Vec<BrandDef>,
    /// `assets/issue_taxonomy.toml`.
    pub taxonomy: Arc<SourceText>,
    /// `[sources.*]`, in the order written.
    pub sources: Vec<SourceConfig>,
    /// `[ai]`.
    pub ai: AiConfig,
    /// The declared assets, and the system assets they name.
    pub graph: AssetGraph,
    /// What the graph does not know of each asset, by position in the graph.
    pub assets: Vec<AssetConfig>,
    /// `[query]`.
    pub query: QueryConfig,
    /// `[catalog.glue]`, when declared.
    pub glue: Option<GlueConfig>,
    /// `[schedules.*]`: declared, not run by this version.
    pub schedules: Vec<ScheduleConfig>,
    /// `[alerts.*]`: declared, not run by this version.
    pub alerts: Vec<AlertConfig>,
    /// `[sinks.*]`.
    pub sinks: Vec<SinkConfig>,
    /// The profile that was chosen.
    pub profile: Option<String>,
    /// `pipelines.toml` as it can be shown (values that look like secrets masked).
    pub pipelines: Arc<SourceText>,
}

impl Config {
    /// What the configuration says of an asset.
    pub fn asset(&self, idx: AssetIdx) -> &AssetConfig {
        &self.assets[idx.i()]
    }

    /// A source by name.
    pub fn source(&self, name: &str) -> Option<&SourceConfig> {
        self.sources.iter().find(|s| s.name == name)
    }
}

/// `[project]`.
#[derive(Clone, Debug)]
pub struct ProjectConfig {
    /// The project's name.
    pub name: String,
    /// First day of every daily asset.
    pub start: Day,
    /// Last day; without it, today.
    pub end: Option<Day>,
    /// Whose days the partitions are.
    pub timezone: jiff::tz::TimeZone,
    /// Its IANA name, as in the time zone database.
    pub timezone_name: String,
}

/// `[lake]`.
#[derive(Clone, Debug)]
pub struct LakeConfig {
    /// A folder (relative to the project, or absolute), or an `s3://` address.
    pub root: String,
    /// How long replaced files stay for running readers, in milliseconds.
    pub version_retention_ms: i64,
}

/// `[run]`.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// Steps at a time.
    pub concurrency: usize,
    /// Threads of one query.
    pub threads: usize,
    /// Bytes that queries may hold together before they spill.
    pub memory_limit: u64,
    /// Bytes that queries may spill to disk together.
    pub spill_limit: u64,
    /// Steps at a time of each pool.
    pub pools: BTreeMap<String, usize>,
    /// A lease is lost when its holder was silent this long, in milliseconds.
    pub lease_ms: i64,
    /// How often a run says that it is alive, in milliseconds.
    pub heartbeat_ms: i64,
    /// How often a step that failed for a passing reason is tried again.
    pub retries: u32,
    /// Input bytes that one query over several days may read.
    pub group_bytes: u64,
    /// Rows of one batch inside a query.
    pub batch_size: usize,
    /// Longest time of one step, in milliseconds; none by default.
    pub timeout_ms: Option<i64>,
}

/// What happens to authors when posts are captured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuthorPolicy {
    /// Removed.
    Drop,
    /// Replaced by a keyed hash.
    Hash {
        /// The environment variable that holds the key.
        key_env: String,
    },
    /// Kept.
    Keep,
}

impl std::fmt::Display for Retention {
    /// As in the configuration.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Retention::Months(n) => write!(f, "{n}mo"),
            Retention::Ms(ms) => match *ms {
                ms if ms % 86_400_000 == 0 => write!(f, "{}d", ms / 86_400_000),
                ms if ms % 3_600_000 == 0 => write!(f, "{}h", ms / 3_600_000),
                ms if ms % 1_000 == 0 => write!(f, "{}s", ms / 1_000),
                ms => write!(f, "{ms}ms"),
            },
        }
    }
}

/// A length of time after which texts go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retention {
    /// So many milliseconds.
    Ms(i64),
    /// So many calendar months.
    Months(u32),
}

/// `[privacy]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PrivacyConfig {
    /// What happens to authors.
    pub author: AuthorPolicy,
    /// How long texts stay; `None` = for ever.
    pub retain_text: Option<Retention>,
    /// How long texts that are older when they are captured stay, in milliseconds, so that tables
    /// can be made of them.
    pub retain_new_ms: i64,
}

/// One `[brands.KEY]`: phrases that make a post this brand's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrandDef {
    /// The word in tables.
    pub key: String,
    /// The name for people.
    pub name: String,
    /// Counted, but on no tile of the project's own brands.
    pub competitor: bool,
    /// Any of these phrases.
    pub match_any: Vec<Located<String>>,
    /// One phrase of each list.
    pub match_all: Vec<Vec<Located<String>>>,
    /// Everything said in these channels.
    pub match_channels: Vec<Located<String>>,
    /// Everything said on these platforms.
    pub match_platforms: Vec<Located<String>>,
    /// Where the brand is named.
    pub spot: Spot,
}

/// Who labels posts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Provider {
    /// The model inside the binary.
    Embedded,
    /// Google's API.
    Gemini,
    /// Any server with the same interface as OpenAI's.
    OpenaiCompatible,
}

impl Provider {
    /// The word in configuration and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Provider::Embedded => "embedded",
            Provider::Gemini => "gemini",
            Provider::OpenaiCompatible => "openai_compatible",
        }
    }
}

/// `[ai]`.
#[derive(Clone, PartialEq, Debug)]
pub struct AiConfig {
    /// The provider of assets that name none.
    pub provider: Provider,
    /// Who steps in when the provider fails.
    pub fallback: Vec<Provider>,
    /// Posts of one call.
    pub pack_size: usize,
    /// Most that one run may cost, in USD.
    pub max_usd_per_run: Option<f64>,
    /// Most that one day may cost, in USD.
    pub max_usd_per_day: Option<f64>,
    /// Most calls of one run.
    pub max_calls: Option<u64>,
    /// `[ai.gate]`, when declared.
    pub gate: Option<GateConfig>,
    /// `[ai.gemini]`.
    pub gemini: Option<ModelConfig>,
    /// `[ai.openai_compatible]`.
    pub openai_compatible: Option<ModelConfig>,
}

impl AiConfig {
    /// Whether calls of a provider cost something that nobody said. A machine of one's own costs
    /// nothing a call; a stranger's key is a bill.
    pub fn is_unpriced(&self, provider: Provider) -> bool {
        let unpriced = |model: &Option<ModelConfig>| model.as_ref().is_some_and(|m| m.price.is_none());
        match provider {
            Provider::Embedded => false,
            Provider::Gemini => unpriced(&self.gemini),
            Provider::OpenaiCompatible => {
                unpriced(&self.openai_compatible)
                    && self.openai_compatible.as_ref().is_some_and(|m| m.api_key_env.is_some())
            }
        }
    }
}

/// One provider reached over the network.
#[derive(Clone, PartialEq, Debug)]
pub struct ModelConfig {
    /// The model's name.
    pub model: String,
    /// The environment variable that holds the key.
    pub api_key_env: Option<String>,
    /// Where the API is.
    pub base_url: Option<String>,
    /// `v1`, `v1beta`.
    pub api_version: Option<String>,
    /// Whether calls are collected into batches.
    pub batch: bool,
    /// How long after it was sent, and after each look, a batch is looked at again, milliseconds.
    pub batch_poll_ms: i64,
    /// What it costs.
    pub price: Option<Price>,
    /// How much it thinks before it answers, in the provider's word; `None` as little as it can.
    pub thinking: Option<String>,
    /// Whether its owner says that what is sent is not used for training, as on paid tiers.
    pub paid: bool,
    /// How long one call may take, milliseconds.
    pub call_timeout_ms: u64,
    /// Hosts that it may be reached at although their addresses are not public.
    pub allow_hosts: Vec<String>,
}

/// USD per million tokens.
#[derive(Clone, PartialEq, Debug)]
pub struct Price {
    /// Read.
    pub input: f64,
    /// Written.
    pub output: f64,
    /// Read from the provider's cache.
    pub cached_input: Option<f64>,
    /// When these prices were looked up.
    pub as_of: Option<Day>,
}

/// Which engine answers ad-hoc queries.
#[derive(Clone, PartialEq, Debug)]
pub struct QueryConfig {
    /// Whether Athena does; otherwise the embedded engine.
    pub athena: bool,
    /// Athena's work group.
    pub workgroup: Option<String>,
    /// Where Athena writes results.
    pub output: Option<String>,
    /// Most bytes that one query may read.
    pub max_bytes_scanned: Option<u64>,
}

/// `[catalog.glue]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GlueConfig {
    /// Whether tables are registered.
    pub enabled: bool,
    /// In this database.
    pub database: Option<String>,
}

/// One `[schedules.NAME]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScheduleConfig {
    /// Its name.
    pub name: String,
    /// Five cron fields.
    pub cron: Located<String>,
    /// The selection grammar's text.
    pub select: Located<String>,
    /// `stale` (`None`), or the latest so many days.
    pub latest: Option<u32>,
}

/// One `[alerts.NAME]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlertConfig {
    /// Its name.
    pub name: String,
    /// `spike` or `new_rows`.
    pub when: String,
    /// The table that is watched.
    pub asset: String,
    /// The column that is watched.
    pub metric: Option<String>,
    /// A SQL condition.
    pub filter: Option<Located<String>>,
    /// Silent below this.
    pub min_count: Option<u64>,
    /// `low`, `medium` or `high`.
    pub severity: Option<String>,
    /// Names of sinks.
    pub to: Vec<String>,
}

/// One `[sinks.NAME]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SinkConfig {
    /// Its name.
    pub name: String,
    /// `slack` or `webhook`.
    pub kind: String,
    /// The environment variable that holds the address.
    pub url_env: String,
}
