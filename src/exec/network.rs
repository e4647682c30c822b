//! Network sources in a run: what is due, what one reading does, what was reached of a day.
//!
//! Order of a reading: objects → manifests → tombstones → the observation that says how far the
//! stream was read. Killed anywhere, the next reading asks again from where the last recorded
//! one ended, and what bronze holds already is not written twice. [`due`] and [`reach`] are
//! pure; the rest blocks on the network.

use std::collections::HashMap;
use std::fs::File;
use std::num::NonZeroU32;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use crate::classify::{Brands, Scratch, norm, unescape};
use secrecy::{ExposeSecret, SecretString};

use crate::config::{RedditComments as Declared, SourceConfig, SourceKind};
use crate::engine::Progress;
use crate::envelope::{Envelope, PostType};
use crate::graph::{CaptureReason, Day, DayRange, Window};
use crate::http::{AddressRule, BlockingClient, Call, Client, ClientOptions, Robots};
use crate::source::{
    AppStoreDef, ArchiveDef, CaptureContext, CrawlDef, CrawlFields, FeedDef, Held, Intake, KnownIndex, Net,
    Reach, Reached, RedditComments, RedditDef, SourceError, Stream, TokenStore, network_version,
    privacy_version,
};

use super::capture::{CaptureDone, CaptureJob, DayCommit, commit, failed, observe, published, source_failed};
use super::resources::Resources;
use super::step::Failure;
use super::world::{Memory, Sight};

/// The HTTP clients of a project, one a source: each may reach the private hosts that its own
/// configuration names, and no other's.
#[derive(Default)]
pub struct Clients {
    /// Tokens of Reddit's API, kept as long as the process.
    tokens: TokenStore,
    made: Mutex<HashMap<String, (Client, Robots)>>,
}

impl Clients {
    /// The client of a source.
    ///
    /// # Errors
    /// When the system's certificates cannot be read, or `allow_hosts` holds no host.
    pub fn get(&self, source: &SourceConfig) -> Result<(Client, Robots), String> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pair) = made.get(&source.name) {
            return Ok(pair.clone());
        }
        let client = Client::new(options(source)).map_err(|e| e.to_string())?;
        let robots = Robots::new(client.clone());
        made.insert(source.name.clone(), (client.clone(), robots.clone()));
        Ok((client, robots))
    }
}

/// How a source's client behaves: its private hosts, its user agent.
pub(super) fn options(source: &SourceConfig) -> ClientOptions {
    let mut options = ClientOptions::default();
    if !source.allow_hosts.is_empty() {
        options.allow = AddressRule::PublicAnd(source.allow_hosts.clone());
    }
    if let SourceKind::Reddit(reddit) = &source.kind {
        options.user_agent.clone_from(&reddit.user_agent);
    }
    options
}

/// A declared network source, ready to read.
pub enum NetworkDef {
    /// Reddit's API, and the variable with its app's id.
    Reddit(Box<RedditDef>, String),
    /// An archive's API.
    Archive(ArchiveDef),
    /// Feeds.
    Feed(FeedDef),
    /// Apple's reviews.
    AppStore(AppStoreDef),
    /// Pages.
    Crawl(Box<CrawlDef>),
}

/// A declared network source, ready to read; `None` for others, and for an archive of dumps
/// only. Secrets are read from the environment.
pub fn def(source: &SourceConfig) -> Option<NetworkDef> {
    let secret = |name: &str| SecretString::from(std::env::var(name).unwrap_or_default());
    let platform = source.platform.clone().unwrap_or_default();
    Some(match &source.kind {
        SourceKind::Files(_) | SourceKind::Sample(_) => return None,
        SourceKind::Reddit(c) => {
            let client_secret = c.client_secret_env.as_deref().map(secret).unwrap_or_default();
            let comments = match c.comments {
                Declared::None => RedditComments::None,
                Declared::MatchedPosts => RedditComments::MatchedPosts,
                Declared::Stream => RedditComments::Stream,
            };
            let def = RedditDef {
                device_id: c.device_id.clone(),
                subreddits: c.subreddits.clone(),
                queries: c.queries.clone(),
                search_site: !c.search_in_subreddits,
                search_in_subreddits: c.search_in_subreddits,
                comments,
                base_url: c.base_url.clone(),
                token_url: c.token_url.clone(),
                settle_ms: source.settle_ms,
                sweep_days: u16::try_from(c.sweep_days).unwrap_or(u16::MAX),
                ..RedditDef::new(&source.name, secret(&c.client_id_env), client_secret, &c.user_agent)
            };
            NetworkDef::Reddit(Box::new(def), c.client_id_env.clone())
        }
        SourceKind::Archive(archive) => NetworkDef::Archive(ArchiveDef {
            name: source.name.clone(),
            subreddits: archive.subreddits.clone(),
            comments: archive.comments,
            base_url: archive.base_url.clone()?,
        }),
        SourceKind::Feed(feed) => NetworkDef::Feed(FeedDef {
            channel: feed.channel.clone(),
            ..FeedDef::new(&source.name, &platform, &feed.urls)
        }),
        SourceKind::AppStore(app) => NetworkDef::AppStore(AppStoreDef {
            base_url: app.base_url.clone(),
            ..AppStoreDef::new(&source.name, &app.app_id, &app.countries)
        }),
        SourceKind::Crawl(c) => {
            let field = |name: &str| {
                c.fields.iter().find(|(field, _)| field == name).map(|(_, place)| place.value.clone())
            };
            let fields = CrawlFields {
                title: field("title"),
                body: field("body"),
                url: field("url"),
                id: field("native_id"),
                created_at: field("created_at").unwrap_or_default(),
                author: field("author"),
                score: field("score"),
                num_comments: field("num_comments"),
                channel: field("channel"),
            };
            NetworkDef::Crawl(Box::new(CrawlDef {
                channel: c.channel.clone(),
                next: c.next.as_ref().map(|n| n.value.clone()),
                max_pages: c.max_pages,
                delay_ms: u64::try_from(c.delay_ms).unwrap_or_default(),
                ..CrawlDef::new(&source.name, &platform, &c.urls, &c.item.value, fields)
            }))
        }
    })
}

/// What is wrong with a declared source that only its reader can tell, each in a sentence.
pub fn source_problems(source: &SourceConfig) -> Vec<String> {
    def(source).map(|def| def.problems()).unwrap_or_default()
}

impl NetworkDef {
    /// The streams that are read again and again, in the order in which they are best read. The
    /// archive has none: it is asked for days.
    pub fn streams(&self) -> Vec<String> {
        match self {
            NetworkDef::Reddit(def, _) => def.streams(),
            NetworkDef::Archive(_) => Vec::new(),
            NetworkDef::Feed(def) => def.streams().into_keys().collect(),
            NetworkDef::AppStore(def) => def.streams(),
            NetworkDef::Crawl(def) => def.streams().into_keys().collect(),
        }
    }

    /// Whether a stream says something about which days were reached; those that only look
    /// again at what is known do not.
    pub(super) fn covers_days(&self, stream: &str) -> bool {
        !matches!(self, NetworkDef::Reddit(..)) || RedditDef::covers_days(stream)
    }

    /// How far back a stream looks again at what is held, milliseconds.
    fn looks_back_ms(&self, stream: &str) -> Option<i64> {
        match self {
            NetworkDef::Reddit(def, _) if stream == "sweep" => {
                Some((i64::from(def.sweep_days) + 1) * 86_400_000)
            }
            _ => None,
        }
    }

    /// How often a stream is read, milliseconds.
    fn every_ms(&self, stream: &str, every_ms: i64) -> i64 {
        match self {
            NetworkDef::Reddit(..) => RedditDef::every_ms(stream, every_ms),
            _ => every_ms,
        }
    }

    /// What is wrong with it, each in a sentence.
    fn problems(&self) -> Vec<String> {
        match self {
            NetworkDef::Reddit(..) | NetworkDef::Archive(_) => Vec::new(),
            NetworkDef::Feed(def) => def.problems(),
            NetworkDef::AppStore(def) => def.problems(),
            NetworkDef::Crawl(def) => def.problems(),
        }
    }

    /// The one place that knows which source reads what.
    pub(super) fn read(
        &self,
        window: &str,
        before: &Stream,
        net: &Net<'_>,
        tokens: &TokenStore,
        intake: &mut Intake<'_>,
    ) -> Result<Reached, SourceError> {
        match self {
            NetworkDef::Reddit(def, variable) => {
                if def.client_id.expose_secret().is_empty() {
                    return Ok(Reached::blocked(format!("${variable} is not set")));
                }
                crate::source::read_reddit(def, window, before, net, tokens, intake)
            }
            NetworkDef::Archive(def) => match window.parse::<Day>() {
                Ok(day) => crate::source::read_day(def, day, net, intake),
                Err(_) => Ok(Reached::blocked(format!("`{window}` is not a day"))),
            },
            NetworkDef::Feed(def) => crate::source::read_feed(def, window, before, net, intake),
            NetworkDef::AppStore(def) => crate::source::read_app_store(def, window, before, net, intake),
            NetworkDef::Crawl(def) => crate::source::read_crawl(def, window, before, net, intake),
        }
    }
}

/// The windows whose time has come.
pub fn due(
    source: &SourceConfig,
    memory: Option<&Memory>,
    context: &CaptureContext,
    days: DayRange,
    sight: &Sight<'_>,
) -> Vec<Window> {
    let now = sight.now_ms;
    let newest = memory.map(Memory::streams).unwrap_or_default();
    let Some(def) = def(source) else { return Vec::new() };
    // After this nothing new can belong to the project's days.
    let closes = context.end.map(|end| context.day_bounds(end).1.saturating_add(source.settle_ms));
    let mut out = Vec::new();
    for stream in def.streams() {
        let before = newest.get(stream.as_str());
        let reason = match before {
            None => CaptureReason::New,
            Some(_) if sight.force_captures => CaptureReason::Forced,
            Some(s) if closes.is_some_and(|at| s.at_ms >= at) => continue,
            Some(s) if now < s.not_before_ms => continue,
            Some(s) if matches!(s.reach, Some(Reach::Failed | Reach::Blocked)) => CaptureReason::Retry,
            Some(_) => CaptureReason::Due,
        };
        // What is new since the last reading, and what may still have changed then.
        let range = before.and_then(|s| {
            let since = s.seen_until().unwrap_or(s.at_ms).min(s.at_ms).saturating_sub(source.settle_ms);
            let back = def.looks_back_ms(&stream).map_or(since, |back| since.min(now.saturating_sub(back)));
            DayRange::new(context.day_of_ms(back).max(days.start), days.end)
        });
        out.push(Window { source: source.name.clone(), id: stream, days: range, reason, bytes: 0 });
    }
    out
}

/// What the streams of a source that speak for days left behind.
pub fn covering<'a>(source: &SourceConfig, memory: Option<&'a Memory>) -> Vec<Option<&'a Stream>> {
    let Some(def) = def(source) else { return Vec::new() };
    let names = def.streams();
    names.iter().filter(|s| def.covers_days(s)).map(|s| memory?.stream(s)).collect()
}

/// How much of a day (from its first millisecond to the next day's) streams have seen.
pub fn reach(streams: &[Option<&Stream>], start: i64, end: i64) -> (Reach, Option<String>) {
    let mut worst = (Reach::Complete, None);
    if streams.is_empty() {
        worst = (Reach::Partial, Some("nothing is asked for".to_string()));
    }
    for stream in streams {
        let one = match stream {
            None => (Reach::Partial, Some("not captured yet".to_string())),
            Some(s) if s.covers(start, end) => continue,
            Some(s) => match (s.reach, &s.reason) {
                (Some(reach @ (Reach::Blocked | Reach::Failed)), why) => (reach, why.clone()),
                _ if s.at_ms < end => {
                    (Reach::Partial, Some("the day was not over when it was read".to_string()))
                }
                (_, Some(why)) => (Reach::Partial, Some(why.clone())),
                _ => (Reach::Partial, Some("not reached".to_string())),
            },
        };
        if one.0 > worst.0 {
            worst = one;
        }
    }
    worst
}

/// Reads one stream, and publishes what it holds.
///
/// # Errors
/// A [`Failure`]; days that were published before it stay.
pub fn read(
    res: &Resources,
    job: &CaptureJob,
    source: &SourceConfig,
    context: &CaptureContext,
    progress: &(dyn Fn(Progress) + Sync),
    cancel: &Arc<AtomicBool>,
) -> Result<CaptureDone, Failure> {
    let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
    let mut learn = |day: Day, known: &mut KnownIndex| learn(res, job, source, day, known);
    let told = |records| progress(Progress { rows: records, bytes: 0 });
    let mut intake = Intake::new(&source.name, context, &mut learn).map_err(source_failed)?;
    intake.told(&told);
    let mut stream = job.stream.clone().unwrap_or_default();
    stream.mapped_by(&maps(source, context));
    let reached = ask(res, job, source, &stream, &mut intake, &calls, cancel)?;
    let requested = std::mem::take(&mut *calls.lock().unwrap_or_else(PoisonError::into_inner));
    let output = intake.finish().map_err(source_failed)?;

    let graph = &res.config.graph;
    let code = graph.asset(job.asset).code;
    let mut days: Vec<DayCommit> = output
        .objects
        .into_iter()
        .filter_map(|(day, object)| {
            let slot = graph.days().slot(day)?;
            Some(DayCommit { slot, code, add: vec![(object, None, None)], drop: Vec::new() })
        })
        .collect();
    // A day that was asked for exists from now on, posts or not.
    if let (SourceKind::Archive(_), Some(asked)) = (&source.kind, job.window.days) {
        for slot in asked.iter().filter_map(|day| graph.days().slot(day)) {
            if job.days.get(slot).generation == 0 && !days.iter().any(|d| d.slot == slot) {
                days.push(DayCommit { slot, code, add: Vec::new(), drop: Vec::new() });
            }
        }
    }
    let manifests = commit(res, job, source, days, cancel)?;
    let every_ms = def(source).map_or(0, |d| d.every_ms(&job.window.id, source.every_ms));
    stream.apply(&reached, job.now_ms, every_ms);
    let bytes = requested.iter().map(|c| c.body_bytes).sum();
    super::requests::log(&res.lake, job.run, &source.name, &job.window.id, &requested).map_err(failed)?;
    let set_aside = output.quarantine.read().map_err(failed)?;
    let mut stats = super::capture::stats(&output.counts, bytes);
    stats.requests = Some(u64::from(reached.requests));
    let mut published = published(job, &manifests);
    let (lost, tombstones) = super::capture::lose(res, job, source, &output.gone, &manifests, cancel)?;
    published.extend(lost.published);
    let mut observations = Vec::from_iter(lost.observation);
    observations.push(observe(res, job, output.counts, None, Some(stream), set_aside)?);
    let said = reached.reason.map(|why| format!("{}: {why}", reached.reach.as_str()));
    let (message, failed) = match reached.reach {
        Reach::Failed => (None, said),
        _ => (said, None),
    };
    Ok(CaptureDone { published, observations, tombstones, stats, message, failed })
}

/// What maps a source's records: where it is another, the same answer gives other envelopes.
fn maps(source: &SourceConfig, context: &CaptureContext) -> String {
    let platform = source.platform.as_deref().unwrap_or_default();
    let channel = match &source.kind {
        SourceKind::Feed(feed) => feed.channel.as_deref(),
        _ => None,
    };
    let version = network_version(source.kind.type_name());
    format!("{version} {} {platform} {channel:?}", privacy_version(&context.privacy))
}

/// Lets the source read the window's stream into the intake, from where it was `before`.
fn ask(
    res: &Resources,
    job: &CaptureJob,
    source: &SourceConfig,
    before: &Stream,
    intake: &mut Intake<'_>,
    calls: &Arc<Mutex<Vec<Call>>>,
    cancel: &Arc<AtomicBool>,
) -> Result<Reached, Failure> {
    let (client, robots) = res.clients.get(source).map_err(failed)?;
    let runtime = tokio::runtime::Handle::try_current().map_err(failed)?;
    let log = calls.clone();
    let stop = cancel.clone();
    let client = client
        .with_observer(move |call| {
            log.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
        })
        .with_stop(move || stop.load(std::sync::atomic::Ordering::Relaxed));
    let client = BlockingClient::new(client, runtime);
    let scratch = std::cell::RefCell::new(Scratch::new());
    let matches = |e: &Envelope<'_>| brand_of(&res.brands, e, &mut scratch.borrow_mut()).is_some();
    let held = |days: DayRange| held(res, job, source, days);
    let net = Net { client: &client, robots: &robots, stop: cancel, matches: &matches, held: &held };
    let def = def(source).ok_or_else(|| failed(format!("nothing reads `{}`", job.window.id)))?;
    def.read(&job.window.id, before, &net, &res.clients.tokens, intake).map_err(source_failed)
}

/// The number of the first brand that a post names.
pub(super) fn brand_of(brands: &Brands, e: &Envelope<'_>, scratch: &mut Scratch) -> Option<u16> {
    let text: Vec<_> = [&e.title, &e.body, &e.link_title]
        .into_iter()
        .flatten()
        .map(|text| unescape(text.as_str()))
        .collect();
    let channel = e.channel.as_ref().map_or("", |c| c.as_str());
    brands.matches(&norm(&text.join(" . ")), e.platform.as_str(), channel, scratch).brand
}

/// The bronze objects of one day of a source.
fn objects(
    res: &Resources,
    job: &CaptureJob,
    source: &SourceConfig,
    day: Day,
) -> Result<Vec<File>, SourceError> {
    let graph = &res.config.graph;
    let wrong = |path: String, error: std::io::Error| SourceError::Io { path, error };
    let Some(slot) = graph.days().slot(day) else { return Ok(Vec::new()) };
    let Some(generation) = NonZeroU32::new(job.days.get(slot).generation) else { return Ok(Vec::new()) };
    let key = graph.key(job.asset);
    let partition = graph.partition(job.asset, slot);
    let manifest = res
        .lake
        .read_manifest(key, Some(&source.name), partition, generation)
        .map_err(|e| wrong(format!("the manifest of {day}"), std::io::Error::other(e.to_string())))?;
    let mut out = Vec::new();
    for entry in &manifest.files {
        let path = res.lake.path(entry);
        out.push(File::open(&path).map_err(|e| wrong(path.display().to_string(), e))?);
    }
    Ok(out)
}

/// Adds what bronze holds of a day to the index.
fn learn(
    res: &Resources,
    job: &CaptureJob,
    source: &SourceConfig,
    day: Day,
    known: &mut KnownIndex,
) -> Result<(), SourceError> {
    for object in objects(res, job, source, day)? {
        known
            .add_object(object)
            .map_err(|error| SourceError::Io { path: format!("bronze of {day}"), error })?;
    }
    Ok(())
}

/// The newest capture of every post that bronze holds of some days.
fn held(
    res: &Resources,
    job: &CaptureJob,
    source: &SourceConfig,
    days: DayRange,
) -> Result<Vec<Held>, SourceError> {
    let mut posts: HashMap<String, ((i64, u64), Held)> = HashMap::new();
    for day in days.iter() {
        for object in objects(res, job, source, day)? {
            crate::source::read_object(object, &mut |e| {
                let Some(created_at_ms) = e.created_at else { return };
                let stamp = (e.fetched_at, e.seq);
                let id = e.native_id.as_str();
                if posts.get(id).is_some_and(|(known, _)| *known >= stamp) {
                    return;
                }
                let own = |t: &Option<crate::envelope::Text<'_>>| t.as_ref().map(|t| t.as_str().to_string());
                let held = Held {
                    native_id: id.to_string(),
                    post_type: e.post_type,
                    created_at_ms,
                    channel: own(&e.channel),
                    // What a comment is about stands in its post's title.
                    title: own(if e.post_type == PostType::Comment { &e.link_title } else { &e.title }),
                    num_comments: e.num_comments,
                    deleted: e.deleted,
                };
                posts.insert(id.to_string(), (stamp, held));
            })
            .map_err(|error| SourceError::Io { path: format!("bronze of {day}"), error })?;
        }
    }
    let mut out: Vec<Held> = posts.into_values().map(|(_, held)| held).collect();
    out.sort_by(|a, b| (a.created_at_ms, &a.native_id).cmp(&(b.created_at_ms, &b.native_id)));
    Ok(out)
}
