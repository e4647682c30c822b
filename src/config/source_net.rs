//! The keys of sources that ask somebody over the network.

use super::model_source::*;
use super::reader::{Fields, error, hint, list};
use super::spot::{Located, Spot};
use super::tree::Value;

/// Where Reddit's API is.
const REDDIT: &str = "https://oauth.reddit.com";
const REDDIT_TOKEN: &str = "https://www.reddit.com/api/v1/access_token";
const ARCTIC_SHIFT: &str = "https://arctic-shift.photon-reddit.com";
const APPLE: &str = "https://itunes.apple.com";

const DAY_AND_A_HALF_MS: i64 = 36 * 3_600_000;

/// What a crawl may find in an element.
const CRAWL_FIELDS: [&str; 9] =
    ["native_id", "title", "body", "url", "author", "created_at", "score", "num_comments", "channel"];

/// Keys that every network source has: `every` and `allow_hosts`.
pub(super) fn common(f: &mut Fields<'_>, type_name: &str) -> (i64, Vec<String>) {
    let minutes = |n: i64| n * 60_000;
    let usual = match type_name {
        "reddit" => minutes(15),
        "feed" => minutes(60),
        _ => minutes(360),
    };
    let every = f.positive_duration("every").unwrap_or(usual);
    (every, hosts(f))
}

/// `allow_hosts`: hosts that may be reached although their addresses are not public.
pub(super) fn hosts(f: &mut Fields<'_>) -> Vec<String> {
    let hosts = f.some_texts("allow_hosts").unwrap_or_default();
    let mut allowed = Vec::new();
    for host in hosts {
        let plain = !host.value.is_empty()
            && host.value.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c));
        if plain {
            allowed.push(host.value);
        } else {
            f.sink().at(
                &host.spot,
                error(format!("`{}` holds no host: \"{}\"", f.path_of("allow_hosts"), host.value))
                    .help("a name or address, with a port if it is not the usual one: \"127.0.0.1:8080\""),
            );
        }
    }
    allowed
}

/// The host and port of an address that a person wrote, where it is an address of their own
/// machine or network by its spelling: reaching it is what they asked for. A name is not: what
/// it leads to can change, and `allow_hosts` permits it where that is meant.
pub(super) fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => authority.split(':').next()?,
    };
    let own = host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok();
    own.then(|| authority.to_string())
}

fn subreddits(f: &mut Fields<'_>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for name in f.some_texts("subreddits").unwrap_or_default() {
        let bare = name.value.trim_start_matches('/');
        let bare = bare.strip_prefix("r/").unwrap_or(bare).trim_end_matches('/');
        let good =
            (2..=30).contains(&bare.len()) && bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !good {
            f.sink().at(
                &name.spot,
                error(format!("`{}` holds no subreddit: \"{}\"", f.path_of("subreddits"), name.value))
                    .help("its name as in its address, without r/: \"AmazonPharmacy\""),
            );
        } else if !out.iter().any(|o| o.eq_ignore_ascii_case(bare)) {
            out.push(bare.to_string());
        }
    }
    out
}

fn trimmed(url: Option<String>, usual: &str) -> String {
    url.unwrap_or_else(|| usual.to_string()).trim_end_matches('/').to_string()
}

pub(super) fn reddit(f: &mut Fields<'_>, hosts: &mut Vec<String>) -> SourceKind {
    let client_id_env = f.env_name("client_id_env").unwrap_or_default();
    f.need("client_id_env", "the environment variable that holds the app's id");
    let client_secret_env = f.env_name("client_secret_env");
    let device_id = f.text("device_id");
    if let Some(id) = device_id.as_ref().filter(|id| !(20..=30).contains(&id.value.len())) {
        f.sink().at(
            &id.spot,
            error(format!("`{}` has 20 to 30 characters", f.path_of("device_id")))
                .help("any text that is yours alone; it tells installations of an installed app apart"),
        );
    }
    let device_id = device_id.map(|id| id.value);
    let user_agent = f.string("user_agent").unwrap_or_default();
    f.need("user_agent", "Reddit asks for one: \"linux:rxpulse:0.1 (by /u/your_name)\"");
    let subreddits = subreddits(f);
    let queries: Vec<String> =
        f.some_texts("queries").unwrap_or_default().into_iter().map(|q| q.value).collect();
    if !f.has("subreddits") && !f.has("queries") {
        f.need("subreddits", "whose posts are captured, for example [\"AmazonPharmacy\"]; or `queries`");
    }
    let search_in_subreddits =
        f.choice("search_in", &[("all", false), ("subreddits", true)]).is_some_and(|c| c.value);
    let words = [
        ("none", RedditComments::None),
        ("matched_posts", RedditComments::MatchedPosts),
        ("stream", RedditComments::Stream),
    ];
    let comments = f.choice("comments", &words).map_or(RedditComments::None, |c| c.value);
    let base_url = f.url("base_url");
    let token_url = f.url("token_url");
    hosts.extend([&base_url, &token_url].into_iter().flatten().filter_map(|u| host_of(u)));
    SourceKind::Reddit(RedditConfig {
        client_id_env,
        client_secret_env,
        device_id,
        user_agent,
        subreddits,
        queries,
        search_in_subreddits,
        comments,
        base_url: trimmed(base_url, REDDIT),
        token_url: token_url.unwrap_or_else(|| REDDIT_TOKEN.to_string()),
        sweep_days: f.integer("sweep_days", 0..=3_650).unwrap_or(30) as u32,
    })
}

pub(super) fn archive(f: &mut Fields<'_>, hosts: &mut Vec<String>) -> SourceKind {
    let dumps = super::source::globs(f, "dumps");
    let subreddits = subreddits(f);
    let base_url = f.url("base_url");
    hosts.extend(base_url.iter().filter_map(|u| host_of(u)));
    let comments = f.choice("comments", &[("none", false), ("all", true)]).is_some_and(|c| c.value);
    // Dumps alone need nobody; with an address, or without dumps, days are asked for.
    let asks = base_url.is_some() || !f.has("dumps");
    if asks {
        f.need("subreddits", "the archive is asked by subreddit and day: subreddits = [\"pharmacy\"]");
    }
    SourceKind::Archive(ArchiveConfig {
        subreddits,
        comments,
        base_url: asks.then(|| trimmed(base_url, ARCTIC_SHIFT)),
        min_age_ms: f.duration("min_age").unwrap_or(DAY_AND_A_HALF_MS),
        dumps,
    })
}

pub(super) fn app_store(f: &mut Fields<'_>, hosts: &mut Vec<String>) -> SourceKind {
    let app_id = f.text("app_id");
    f.need("app_id", "the number in the app's address in the store");
    if let Some(id) = app_id.as_ref().filter(|id| {
        let digits = id.value.strip_prefix("id").unwrap_or(&id.value);
        digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit())
    }) {
        f.sink().at(
            &id.spot,
            error(format!("`{}` is not a number: \"{}\"", f.path_of("app_id"), id.value))
                .help("the digits after `id` in the app's address: apps.apple.com/us/app/name/id123456789"),
        );
    }
    let mut countries = Vec::new();
    for country in f.some_texts("countries").unwrap_or_default() {
        let code = country.value.to_ascii_lowercase();
        if code.len() == 2 && code.bytes().all(|b| b.is_ascii_lowercase()) {
            countries.push(code);
        } else {
            f.sink().at(
                &country.spot,
                error(format!("`{}` holds no country: \"{}\"", f.path_of("countries"), country.value))
                    .help("two letters as in the store's address: \"us\", \"gb\""),
            );
        }
    }
    if countries.is_empty() {
        countries.push("us".to_string());
    }
    let base_url = f.url("base_url");
    hosts.extend(base_url.iter().filter_map(|u| host_of(u)));
    let app_id = app_id.map(|id| id.value.trim_start_matches("id").to_string()).unwrap_or_default();
    SourceKind::AppStore(AppStoreConfig { app_id, countries, base_url: trimmed(base_url, APPLE) })
}

pub(super) fn feed(f: &mut Fields<'_>) -> SourceKind {
    let urls = f.urls("urls").unwrap_or_default();
    f.need("urls", "the addresses of the feeds");
    SourceKind::Feed(FeedConfig { urls, channel: f.string("channel") })
}

pub(super) fn crawl(f: &mut Fields<'_>, at: &Spot) -> SourceKind {
    let urls = f.urls("urls").unwrap_or_default();
    f.need("urls", "the addresses to start from");
    let item = f.text("item");
    f.need("item", "a CSS selector for the elements that are posts: item = \"div.review\"");
    f.need(
        "fields",
        "where the parts of a post stand: fields = { title = \"h2\", created_at = \"time@datetime\" }",
    );
    let mut fields = Vec::new();
    if let Some(table) = f.table("fields") {
        for entry in table.all() {
            if !CRAWL_FIELDS.contains(&entry.key.as_str()) {
                table.sink().at(
                    &entry.at,
                    error(format!("`{}` is not a part of a post", entry.key)).help(format!(
                        "{}the parts are: {}",
                        hint(&entry.key, CRAWL_FIELDS),
                        list(CRAWL_FIELDS)
                    )),
                );
                continue;
            }
            match &entry.node.value {
                Value::Text(text) if !text.is_empty() => {
                    fields.push((entry.key.clone(), Located::new(text.clone(), entry.node.spot.clone())));
                }
                _ => table.wrong(&entry.node, &entry.key, "a CSS selector, with @attribute for an attribute"),
            }
        }
        if !table.all().iter().any(|e| e.key == "created_at")
            && let Some(at) = f.entry_at("fields")
        {
            f.sink().at(
                &at,
                error(format!("`{}` lacks `created_at`", f.path_of("fields")))
                    .help("a post needs the time it was written: created_at = \"time@datetime\""),
            );
        }
    }
    let next = f.text("next");
    let max_pages = f.integer("max_pages", 1..=1_000).unwrap_or(10) as u32;
    let delay_ms = f.duration("delay").unwrap_or(2_000).max(2_000);
    let item = item.unwrap_or_else(|| Located::new(String::new(), at.clone()));
    SourceKind::Crawl(CrawlConfig {
        urls,
        channel: f.string("channel"),
        item,
        fields,
        next,
        max_pages,
        delay_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_by_their_spelling_permit_themselves() {
        let own = |url| host_of(url);
        assert_eq!(own("http://127.0.0.1:8080/x").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(own("http://[::1]:8080").as_deref(), Some("[::1]:8080"));
        assert_eq!(own("http://LocalHost/x").as_deref(), Some("LocalHost"));
        for other in ["https://oauth.reddit.com", "http://127.0.0.1.example.org/", "http://0x7f000001/", "x"]
        {
            assert_eq!(own(other), None, "{other}");
        }
    }
}
