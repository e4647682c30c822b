//! A trial reading: the first page of a source, into nowhere.
//!
//! The source's own reader runs, with an intake whose records are counted, looked at and let
//! go, and with a client that takes no second page. Invariant: nothing is written to the
//! project, neither lake nor state; every request is tried once, and what was asked is told.
//! Blocks on the network or on disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::classify::{Brands, Scratch};
use crate::config::{Config, SourceConfig, SourceKind};
use crate::envelope::Envelope;
use crate::graph::{Day, DayRange};
use crate::http::{BlockingClient, Call, Client, ClientOptions, Robots};
use crate::source::{
    Capture, CaptureContext, CaptureOutput, Counts, FilesDef, Intake, KnownIndex, Net, Quarantined,
    Quarantines, Reach, SourceError, SpoolObject, Stream, TokenStore,
};

use super::network::{self, NetworkDef};
use super::sources;

/// Posts that are shown.
const EXAMPLES: usize = 5;
/// Characters kept of a title.
const TITLE: usize = 300;
/// Calls of one trial: a token, robots.txt, redirects, and an overloaded place asked for less.
const MOST_CALLS: u32 = 12;

/// What is to be tried.
pub struct TrialOf<'a> {
    /// What the files say.
    pub config: &'a Config,
    /// The project's folder.
    pub root: &'a Path,
    /// Whose names are looked for.
    pub brands: &'a Brands,
    /// The source.
    pub source: &'a SourceConfig,
    /// The stream, the day or the file; by default the first that there is.
    pub window: Option<&'a str>,
    /// Now, milliseconds since 1970 UTC.
    pub now_ms: i64,
    /// How long it may take in all.
    pub limit: Duration,
}

/// A trial could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// There is no such stream, day or file.
    #[error("`{source_name}` has no `{window}`; {known}")]
    NoSuchWindow {
        /// The source.
        source_name: String,
        /// What was asked for.
        window: String,
        /// What there is, in words.
        known: String,
    },
    /// This machine refused.
    #[error("{0}")]
    Failed(String),
}

/// What a trial found.
#[derive(Debug)]
pub struct Trial {
    /// The stream, day or file.
    pub window: String,
    /// How it ended: [`Reach::Complete`] also when there is more than was taken.
    pub reach: Reach,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// Whether it was ended on purpose after the first page.
    pub more: bool,
    /// Files that match, of a source of files.
    pub files: Option<u64>,
    /// Every call, in order.
    pub calls: Vec<Call>,
    /// The account of the records.
    pub counts: Counts,
    /// Good posts by the project's day.
    pub days: BTreeMap<Day, u64>,
    /// Good posts by the key of the first brand that they name.
    pub brands: BTreeMap<String, u64>,
    /// The newest posts, a few.
    pub examples: Vec<Example>,
    /// Records set aside, a few.
    pub set_aside: Vec<Quarantined>,
    /// Posts found to be deleted.
    pub gone: u64,
}

/// One post of a trial.
#[derive(Clone, Debug)]
pub struct Example {
    /// The site's own id.
    pub native_id: String,
    /// When it was written, milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// Subreddit, app, forum.
    pub channel: Option<String>,
    /// Its title, or how its text begins.
    pub title: String,
}

impl Trial {
    fn nothing(window: &str, reach: Reach, reason: impl Into<String>) -> Self {
        Self {
            window: window.to_string(),
            reach,
            reason: Some(reason.into()),
            more: false,
            files: None,
            calls: Vec::new(),
            counts: Counts::default(),
            days: BTreeMap::new(),
            brands: BTreeMap::new(),
            examples: Vec::new(),
            set_aside: Vec::new(),
            gone: 0,
        }
    }

    /// Whether something to read was had.
    pub fn is_good(&self) -> bool {
        matches!(self.reach, Reach::Complete | Reach::Partial)
    }

    /// Looks at what was captured.
    fn look(
        &mut self,
        of: &TrialOf<'_>,
        counts: Counts,
        objects: &BTreeMap<Day, SpoolObject>,
        quarantine: &Quarantines,
    ) -> Result<(), TrialError> {
        let wrong = |error: std::io::Error| TrialError::Failed(error.to_string());
        let mut scratch = Scratch::new();
        let mut posts: Vec<Example> = Vec::new();
        for (day, object) in objects {
            self.days.insert(*day, object.rows);
            crate::source::read_object(object.reader(), &mut |e| {
                if let Some(brand) = network::brand_of(of.brands, e, &mut scratch) {
                    *self.brands.entry(of.brands.key(brand).to_string()).or_default() += 1;
                }
                posts.push(example(e));
                if posts.len() > 50 * EXAMPLES {
                    newest(&mut posts);
                }
            })
            .map_err(wrong)?;
        }
        newest(&mut posts);
        self.examples = posts;
        self.set_aside = quarantine.read().map_err(wrong)?;
        self.set_aside.truncate(EXAMPLES);
        self.counts = counts;
        Ok(())
    }
}

fn example(e: &Envelope<'_>) -> Example {
    let title = [&e.title, &e.body, &e.link_title].into_iter().flatten().find(|t| !t.as_str().is_empty());
    Example {
        native_id: e.native_id.as_str().to_string(),
        created_ms: e.created_at.unwrap_or_default(),
        channel: e.channel.as_ref().map(|c| c.as_str().to_string()),
        title: title.map(|t| t.as_str().chars().take(TITLE).collect()).unwrap_or_default(),
    }
}

fn newest(posts: &mut Vec<Example>) {
    posts.sort_by(|a, b| (b.created_ms, &a.native_id).cmp(&(a.created_ms, &b.native_id)));
    posts.truncate(EXAMPLES);
}

/// Tries a source.
///
/// # Errors
/// When there is no such stream, day or file, or this machine refuses. That a place cannot be
/// reached is no error but what was found.
pub fn trial(of: &TrialOf<'_>) -> Result<Trial, TrialError> {
    let failed = TrialError::Failed;
    let context = sources::context(of.config, of.now_ms, None).map_err(failed)?;
    match &of.source.kind {
        SourceKind::Sample(_) => sample(of, &context),
        SourceKind::Files(_) => files(of, &context, &sources::files_def(of.source).map_err(failed)?),
        SourceKind::Archive(archive) if archive.base_url.is_none() => {
            files(of, &context, &sources::dumps_def(of.source).map_err(failed)?)
        }
        SourceKind::Archive(archive) => {
            let window = match of.window {
                Some(_) => Some(day(of)?.to_string()),
                None => of
                    .config
                    .graph
                    .days()
                    .iter()
                    .rev()
                    .find(|d| of.now_ms >= context.day_bounds(*d).1.saturating_add(archive.min_age_ms))
                    .map(|d| d.to_string()),
            };
            match window {
                Some(window) => ask(of, &context, &window),
                None => Ok(Trial::nothing(
                    "",
                    Reach::Failed,
                    "no day of the project is old enough yet (`min_age` of the source)",
                )),
            }
        }
        _ => {
            let streams = network::def(of.source).map(|d| d.streams()).unwrap_or_default();
            let window = match (of.window, streams.first()) {
                (Some(asked), _) if streams.iter().any(|s| s == asked) => asked,
                (None, Some(first)) => first,
                (asked, _) => return Err(no_such(of, asked.unwrap_or_default(), &streams)),
            };
            ask(of, &context, window)
        }
    }
}

fn no_such(of: &TrialOf<'_>, window: &str, known: &[String]) -> TrialError {
    let known = match crate::diagnostic::did_you_mean(window, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it has: {}", known.join(", ")),
    };
    TrialError::NoSuchWindow { source_name: of.source.name.clone(), window: window.to_string(), known }
}

/// The day asked for, by default the project's last.
fn day(of: &TrialOf<'_>) -> Result<Day, TrialError> {
    let days: DayRange = of.config.graph.days();
    let Some(asked) = of.window else { return Ok(days.end) };
    asked.parse().ok().filter(|day| days.contains(*day)).ok_or_else(|| TrialError::NoSuchWindow {
        source_name: of.source.name.clone(),
        window: asked.to_string(),
        known: format!("its windows are the project's days, {days}"),
    })
}

fn sample(of: &TrialOf<'_>, context: &CaptureContext) -> Result<Trial, TrialError> {
    let day = day(of)?;
    let failed = |error: SourceError| TrialError::Failed(error.to_string());
    let def = sources::sample_def(of.config, of.source).map_err(TrialError::Failed)?;
    let mut capture = Capture::new(context, "", KnownIndex::default()).map_err(failed)?;
    crate::source::sample_day(&def, day, context, &mut capture).map_err(failed)?;
    let CaptureOutput { counts, objects, quarantine, gone, .. } = capture.finish().map_err(failed)?;
    let mut trial = Trial { reason: None, ..Trial::nothing(&day.to_string(), Reach::Complete, "") };
    trial.gone = gone.len() as u64;
    trial.look(of, counts, &objects, &quarantine)?;
    Ok(trial)
}

/// Reads one file: the one asked for, or the smallest, which says as much as any.
fn files(of: &TrialOf<'_>, context: &CaptureContext, def: &FilesDef) -> Result<Trial, TrialError> {
    let failed = |error: SourceError| TrialError::Failed(error.to_string());
    let seen = crate::source::observe(def, of.root, context, &BTreeMap::new()).map_err(failed)?;
    let names: Vec<String> = seen.present.keys().cloned().collect();
    let smallest = seen.present.iter().min_by_key(|(name, file)| (file.bytes == 0, file.bytes, *name));
    let locator = match (of.window, smallest) {
        (Some(asked), _) if seen.present.contains_key(asked) => asked,
        (Some(asked), _) => return Err(no_such(of, asked, &names)),
        (None, Some((name, _))) => name,
        (None, None) => {
            let reason = match seen.problems.first() {
                Some(problem) => problem.clone(),
                None => format!("no file matches {}", def.glob.join(", ")),
            };
            return Ok(Trial { files: Some(0), ..Trial::nothing("", Reach::Failed, reason) });
        }
    };
    let (known, began, cancel) = (KnownIndex::default(), Instant::now(), AtomicBool::new(false));
    let mut tell = |_| cancel.store(began.elapsed() > of.limit, Ordering::Relaxed);
    let read = crate::source::capture_file(def, of.root, locator, context, known, &mut tell, &cancel);
    let mut trial = Trial { files: Some(names.len() as u64), ..Trial::nothing(locator, Reach::Failed, "") };
    match read {
        Err(SourceError::Canceled) => {
            let seconds = of.limit.as_secs();
            trial.reason = Some(format!("the file was not read to its end within {seconds} s"));
        }
        Err(error) => trial.reason = Some(error.to_string()),
        Ok(read) => {
            trial.reason = read.record.broken.map(|why| format!("the file ends early: {why}"));
            trial.reach = if trial.reason.is_some() { Reach::Partial } else { Reach::Complete };
            trial.gone = read.gone.len() as u64;
            trial.look(of, read.record.counts, &read.objects, &read.quarantine)?;
        }
    }
    Ok(trial)
}

/// What a trial's client has seen, shared with those who watch its calls.
#[derive(Clone)]
struct Watch {
    calls: Arc<Mutex<Vec<Call>>>,
    /// A page was had: no further one is asked for.
    page: Arc<AtomicBool>,
    count: Arc<AtomicU32>,
    began: Instant,
    limit: Duration,
}

impl Watch {
    fn saw(&self, call: &Call) {
        // Neither what is asked about the way in nor the way in itself is a page.
        let about = call.path == "/robots.txt" || call.method != "GET";
        let answered = call.status.is_some_and(|s| (200..300).contains(&s)) && call.failure.is_none();
        if answered && !about {
            self.page.store(true, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
    }

    fn late(&self) -> bool {
        self.began.elapsed() > self.limit
    }

    fn over(&self) -> bool {
        self.page.load(Ordering::Relaxed) || self.late() || self.count.load(Ordering::Relaxed) >= MOST_CALLS
    }
}

/// The client of a trial, and what reads robots.txt: each request is tried once.
fn client(of: &TrialOf<'_>, watch: &Watch) -> Result<(Client, Robots), TrialError> {
    let usual = network::options(of.source);
    let options = ClientOptions {
        connect_deadline: usual.connect_deadline.min(of.limit),
        first_byte_deadline: usual.first_byte_deadline.min(of.limit),
        idle_deadline: usual.idle_deadline.min(of.limit),
        total_deadline: usual.total_deadline.min(of.limit),
        max_attempts: 1,
        max_wait: of.limit,
        ..usual
    };
    let client = Client::new(options).map_err(|e| TrialError::Failed(e.to_string()))?;
    let seen = watch.clone();
    let client = client.with_observer(move |call| seen.saw(call));
    let (over, late) = (watch.clone(), watch.clone());
    let robots = Robots::new(client.clone().with_stop(move || late.late()));
    Ok((client.with_stop(move || over.over()), robots))
}

/// Asks a source of the network for the first page of a stream or day.
fn ask(of: &TrialOf<'_>, context: &CaptureContext, window: &str) -> Result<Trial, TrialError> {
    let failed = |error: SourceError| TrialError::Failed(error.to_string());
    let def: NetworkDef = network::def(of.source)
        .ok_or_else(|| TrialError::Failed(format!("nothing reads `{}`", of.source.name)))?;
    let watch = Watch {
        calls: Arc::default(),
        page: Arc::default(),
        count: Arc::default(),
        began: Instant::now(),
        limit: of.limit,
    };
    let (client, robots) = client(of, &watch)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("rxpulse-trial")
        .enable_all()
        .build()
        .map_err(|e| TrialError::Failed(format!("cannot start a thread: {e}")))?;
    let client = BlockingClient::new(client, runtime.handle().clone());
    let scratch = std::cell::RefCell::new(Scratch::new());
    let matches = |e: &Envelope<'_>| network::brand_of(of.brands, e, &mut scratch.borrow_mut()).is_some();
    let held = |_: DayRange| Ok(Vec::new());
    // Never set: what the first page holds is to be taken in to its end.
    let stop = AtomicBool::new(false);
    let net = Net { client: &client, robots: &robots, stop: &stop, matches: &matches, held: &held };
    let mut learn = |_: Day, _: &mut KnownIndex| Ok(());
    let mut intake = Intake::new(&of.source.name, context, &mut learn).map_err(failed)?;
    let ended = def.read(window, &Stream::default(), &net, &TokenStore::default(), &mut intake);
    let mut trial = Trial { reason: None, ..Trial::nothing(window, Reach::Complete, "") };
    let had = watch.page.load(Ordering::Relaxed);
    match ended {
        // What robots.txt could not say in time is no refusal.
        _ if !had && watch.late() => {
            trial.reach = Reach::Failed;
            trial.reason = Some(format!("there was no answer within {} s", of.limit.as_secs()));
        }
        Ok(reached) => (trial.reach, trial.reason) = (reached.reach, reached.reason),
        Err(SourceError::Canceled) if had => trial.more = true,
        Err(SourceError::Canceled) => {
            trial.reach = Reach::Failed;
            trial.reason = Some("there was no page among many answers".to_string());
        }
        Err(error) => return Err(failed(error)),
    }
    let output = intake.finish().map_err(failed)?;
    trial.gone = output.gone.len() as u64;
    trial.look(of, output.counts, &output.objects, &output.quarantine)?;
    trial.calls = std::mem::take(&mut *watch.calls.lock().unwrap_or_else(PoisonError::into_inner));
    // Threads that still look a name up are not waited for.
    drop(client);
    runtime.shutdown_background();
    Ok(trial)
}
