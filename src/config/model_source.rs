//! What a checked `[sources.NAME]` says.

use super::spot::{Located, Spot};
use crate::envelope::PostType;
use crate::graph::DayRange;

/// One `[sources.NAME]`.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Its name, safe as a folder name.
    pub name: String,
    /// Where it is named.
    pub spot: Spot,
    /// What it is.
    pub kind: SourceKind,
    /// The platforms it captures; empty when it captures several or it shows on reading.
    pub platform: Option<String>,
    /// Whether a day without it is not covered.
    pub required: bool,
    /// A day is looked at again until this long after its end, in milliseconds.
    pub settle_ms: i64,
    /// Sources that step in when it cannot be reached.
    pub fallback: Vec<String>,
    /// How often a stream of it is read, in milliseconds; network sources only.
    pub every_ms: i64,
    /// Hosts (`name` or `name:port`) that may be reached although their addresses are private;
    /// those of its `base_url` and `token_url`, when they are written down, are among them.
    pub allow_hosts: Vec<String>,
}

/// The kinds of sources.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// Files that match a glob.
    Files(FilesConfig),
    /// The seeded generator.
    Sample(SampleConfig),
    /// Reddit's API.
    Reddit(RedditConfig),
    /// Arctic Shift, and the archives' dump files.
    Archive(ArchiveConfig),
    /// RSS, Atom, JSON Feed.
    Feed(FeedConfig),
    /// Apple's customer reviews.
    AppStore(AppStoreConfig),
    /// HTML pages by CSS selectors.
    Crawl(CrawlConfig),
}

impl SourceKind {
    /// The word after `type`.
    pub fn type_name(&self) -> &'static str {
        match self {
            SourceKind::Files(_) => "files",
            SourceKind::Sample(_) => "sample",
            SourceKind::Reddit(_) => "reddit",
            SourceKind::Archive(_) => "reddit_archive",
            SourceKind::Feed(_) => "feed",
            SourceKind::AppStore(_) => "app_store",
            SourceKind::Crawl(_) => "crawl",
        }
    }

    /// The environment variables that it names. Their values are secrets.
    pub fn variables(&self) -> Vec<&str> {
        match self {
            SourceKind::Reddit(reddit) => [Some(&reddit.client_id_env), reddit.client_secret_env.as_ref()]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether reading it asks somebody over the network.
    pub fn is_network(&self) -> bool {
        !matches!(self, SourceKind::Files(_) | SourceKind::Sample(_))
    }
}

/// A `files` source.
#[derive(Clone, Debug)]
pub struct FilesConfig {
    /// Patterns of paths, relative to the project or absolute.
    pub glob: Vec<Located<String>>,
    /// How a record is read.
    pub format: FileFormat,
    /// The days it is complete for; by default from the first to the last day seen.
    pub covers: Option<DayRange>,
    /// Longest record in bytes; longer ones are quarantined.
    pub max_record_bytes: u64,
}

/// How a record of a file is read.
#[derive(Clone, Debug)]
pub enum FileFormat {
    /// Reddit's objects, bare or in listings.
    Reddit,
    /// Named columns.
    Generic {
        /// The site the posts are from.
        platform: String,
        /// What the records are.
        post_type: PostType,
        /// Envelope field → column, in the order written.
        map: Vec<(String, Located<ColumnExpr>)>,
    },
}

/// Where the value of an envelope field comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ColumnExpr {
    /// A column or key of the record.
    Column(String),
    /// The same text for every record.
    Literal(String),
}

/// A `sample` source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SampleConfig {
    /// Posts of an average day.
    pub posts_per_day: u32,
    /// Another seed, other posts.
    pub seed: u64,
    /// Malformed records in a thousand.
    pub malformed_per_mille: u32,
}

/// Which comments a `reddit` source captures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RedditComments {
    /// None.
    None,
    /// Those of posts that name a brand.
    MatchedPosts,
    /// Every comment of the subreddits.
    Stream,
}

/// A `reddit` source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedditConfig {
    /// The environment variable that holds the app's id.
    pub client_id_env: String,
    /// The environment variable that holds the app's secret; none for an installed app.
    pub client_secret_env: Option<String>,
    /// Tells installations of an installed app apart.
    pub device_id: Option<String>,
    /// How the app names itself.
    pub user_agent: String,
    /// Subreddits, without `r/`.
    pub subreddits: Vec<String>,
    /// Searches.
    pub queries: Vec<String>,
    /// Whether searches look into the subreddits only, not into all of Reddit.
    pub search_in_subreddits: bool,
    /// Which comments are captured.
    pub comments: RedditComments,
    /// Where the API is.
    pub base_url: String,
    /// Where tokens are given out.
    pub token_url: String,
    /// Posts of so many days are asked for once a day, to learn which were deleted.
    pub sweep_days: u32,
}

/// A `reddit_archive` source.
#[derive(Clone, PartialEq, Debug)]
pub struct ArchiveConfig {
    /// Subreddits, without `r/`.
    pub subreddits: Vec<String>,
    /// Whether comments are captured, too.
    pub comments: bool,
    /// Where the API is; `None` when only dumps are read.
    pub base_url: Option<String>,
    /// A day is asked for so long after its end, in milliseconds.
    pub min_age_ms: i64,
    /// Patterns of dump files.
    pub dumps: Vec<Located<String>>,
}

/// A `feed` source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedConfig {
    /// The feeds.
    pub urls: Vec<String>,
    /// What stands in `channel`; by default the feed's own title.
    pub channel: Option<String>,
}

/// An `app_store` source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppStoreConfig {
    /// The number in the app's address in the store.
    pub app_id: String,
    /// Countries by their two letters.
    pub countries: Vec<String>,
    /// Where the API is.
    pub base_url: String,
}

/// A `crawl` source.
#[derive(Clone, Debug)]
pub struct CrawlConfig {
    /// The addresses to start from.
    pub urls: Vec<String>,
    /// What stands in `channel`, where no selector says it.
    pub channel: Option<String>,
    /// Which elements are posts.
    pub item: Located<String>,
    /// Envelope field → selector within the element, `@attribute` for an attribute.
    pub fields: Vec<(String, Located<String>)>,
    /// The link to the next page.
    pub next: Option<Located<String>>,
    /// Pages of one reading.
    pub max_pages: u32,
    /// The least time between two requests, in milliseconds.
    pub delay_ms: i64,
}
