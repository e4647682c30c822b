//! The client: tries, redirects and turns around single calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use tokio::sync::Semaphore;
use url::Url;

use super::address::{Guard, OpenResolver, PublicResolver};
use super::body;
use super::call::{Call, CallGuard, Observer};
use super::error::{ErrorKind, HttpError, Parts};
use super::exchange::{self, Answer, Deadlines, Failure, Reading, place};
use super::rate::{Pace, Turn};
use super::redirect::{self, MAX_HOPS};
use super::retry::{self, Decision, Moment, Outcome, Policy};
use super::{AddressRule, ClientOptions, Request, Response};

/// How often a caller's stop is looked at.
const STOP_EVERY: Duration = Duration::from_millis(50);

/// Whether to stop.
type Stop = Arc<dyn Fn() -> bool + Send + Sync>;

/// Sends [`Request`]s. A clone is cheap and shares connections and the hosts' pace.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    observers: Vec<Observer>,
    stop: Option<Stop>,
}

struct Shared {
    options: ClientOptions,
    guard: Guard,
    /// Reaches public addresses.
    public: reqwest::Client,
    /// Reaches every address: for hosts that were permitted by name, where there are any.
    open: Option<reqwest::Client>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

/// One name with one port.
struct Host {
    pace: Mutex<Pace>,
    places: Arc<Semaphore>,
}

/// How far a request has come; read when it is stopped in between.
#[derive(Clone, Default)]
struct Progress {
    place: (String, String),
    attempts: u32,
    /// Redirects followed in this try.
    hops: u32,
    calls: u32,
    waited: Duration,
    wire_bytes: u64,
}

impl Client {
    /// A client with these options. Neither follows the environment's proxies, with which no
    /// address could be checked, nor keeps cookies.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`] when a permitted host is no host or the user agent cannot
    /// stand in a header; [`ErrorKind::Tls`] when this machine has no root certificates.
    pub fn new(options: ClientOptions) -> Result<Self, HttpError> {
        let setup = |kind, detail: String| -> HttpError {
            let (method, host, path) = ("HTTP".to_owned(), "client".to_owned(), String::new());
            Parts { kind, method, host, path, detail, attempts: 0, waited: Duration::ZERO, response: None }
                .into()
        };
        let guard = Guard::new(&options.allow, options.https_only).map_err(|entry| {
            setup(ErrorKind::InvalidRequest, format!("`{entry}` is no host that could be permitted"))
        })?;
        let agent = HeaderValue::from_str(&options.user_agent).map_err(|_| {
            setup(ErrorKind::InvalidRequest, "the user agent cannot stand in a header".to_owned())
        })?;
        let mut always = HeaderMap::new();
        always.insert(ACCEPT_ENCODING, HeaderValue::from_static(body::ACCEPT_ENCODING));
        let builder = || {
            reqwest::Client::builder()
                .user_agent(agent.clone())
                .default_headers(always.clone())
                .no_proxy()
                .no_gzip()
                .no_zstd()
                .referer(false)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(options.connect_deadline)
        };
        let failed = |e: reqwest::Error| setup(ErrorKind::Tls, e.without_url().to_string());
        let lookup = &options.hooks.lookup;
        let public =
            builder().dns_resolver(Arc::new(PublicResolver(lookup.clone()))).build().map_err(failed)?;
        let open = match &options.allow {
            AddressRule::PublicOnly => None,
            AddressRule::PublicAnd(_) => {
                Some(builder().dns_resolver(Arc::new(OpenResolver(lookup.clone()))).build().map_err(failed)?)
            }
        };
        let shared = Shared { options, guard, public, open, hosts: Mutex::default() };
        Ok(Self { shared: Arc::new(shared), observers: Vec::new(), stop: None })
    }

    /// This client, telling `observer` about each call besides whoever is told already.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Fn(&Call) + Send + Sync + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// This client, ending every request with [`ErrorKind::Canceled`] soon (100 ms) after `stop`
    /// says so: `with_stop(move || cancel.load(Relaxed))`. Replaces an earlier one.
    #[must_use]
    pub fn with_stop(mut self, stop: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.stop = Some(Arc::new(stop));
        self
    }

    /// The options it was made with.
    pub fn options(&self) -> &ClientOptions {
        &self.shared.options
    }

    /// From now on, at least `spacing` between the beginnings of two calls to the host of `url`,
    /// for all clones. A smaller spacing than before changes nothing.
    pub fn space(&self, url: &Url, spacing: Duration) {
        let spacing = i64::try_from(spacing.as_millis()).unwrap_or(i64::MAX);
        locked(&self.host(url).pace).space(spacing);
    }

    /// Sends a request and reads its answer, with as many tries as its options allow. Dropping
    /// the future ends it at once.
    ///
    /// # Errors
    ///
    /// No answer, an answer that is not usable (too long, broken, a redirect that is not
    /// followed), or a status that is worth another try, after the last one. Other statuses are
    /// responses.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let place = request.url.as_ref().map(|url| place(url, request.secret_path)).unwrap_or_default();
        let progress = Mutex::new(Progress { place, ..Progress::default() });
        // On the heap: what holds a request stays small.
        let run = Box::pin(self.run(&request, &progress));
        let ended = tokio::select! {
            biased;
            () = self.stopped() => Err((Failure::new(ErrorKind::Canceled, ""), None)),
            ended = run => ended,
        };
        ended.map_err(|(Failure { kind, detail, .. }, response)| {
            let Progress { place: (host, path), attempts, waited, .. } = locked(&progress).clone();
            let method = request.method.to_string();
            Parts { kind, method, host, path, detail, attempts, waited, response }.into()
        })
    }

    /// Tries until it is done.
    async fn run(
        &self,
        request: &Request,
        progress: &Mutex<Progress>,
    ) -> Result<Response, (Failure, Option<Response>)> {
        let (hooks, options) = (&self.shared.options.hooks, &self.shared.options);
        let invalid = |words: &String| (Failure::unsent(ErrorKind::InvalidRequest, words.clone()), None);
        let url = request.url.as_ref().map_err(invalid)?;
        if let Some(problem) = &request.problem {
            return Err(invalid(problem));
        }
        let policy = Policy {
            max_attempts: request.max_attempts.unwrap_or(options.max_attempts),
            max_wait: request.max_wait.unwrap_or(options.max_wait),
            replay: request.method == Method::GET || request.idempotent,
            retry_on: &request.retry_on,
            hand_back: &request.hand_back,
        };
        let began = (hooks.steady_ms)();
        loop {
            let attempt = {
                let mut progress = locked(progress);
                progress.attempts += 1;
                progress.attempts
            };
            let tried = self.attempt(request, url, attempt, &policy, progress).await;
            let outcome = match &tried {
                Ok((answer, _)) => Outcome::Answer { status: answer.status, headers: &answer.headers },
                Err(failure) => Outcome::Failed { kind: failure.kind, sent: failure.sent },
            };
            let Progress { waited, hops, .. } = *locked(progress);
            // A redirect says that what must not be repeated was done.
            let tries = if policy.replay || hops == 0 { policy.max_attempts } else { attempt };
            let policy = Policy { max_attempts: tries, ..policy.clone() };
            let unix_ms = (hooks.unix_ms)();
            let moment = Moment { attempt, waited, unix_ms, random: (hooks.random)() };
            let decision = retry::decide(&policy, outcome, moment);
            if let Decision::Again(wait) = decision {
                self.wait(wait).await;
                locked(progress).waited += wait;
                continue;
            }
            let (answer, url) = tried.map_err(|failure| (failure, None))?;
            let Progress { attempts, calls, waited, wire_bytes, .. } = locked(progress).clone();
            let code = answer.status;
            let response = Response {
                method: request.method.to_string(),
                status: code,
                headers: answer.headers,
                body: answer.body,
                cut: answer.cut,
                url,
                secret_path: request.secret_path,
                attempts,
                calls,
                waited,
                wire_bytes,
                elapsed: milliseconds((hooks.steady_ms)() - began),
                unix_ms,
            };
            let failure = match decision {
                Decision::Done | Decision::Again(_) => return Ok(response),
                Decision::Spent => Failure::new(ErrorKind::Status { code }, ""),
                Decision::TooLong(wait) => {
                    let detail = format!("answered {code} and wants no request for {} s", wait.as_secs());
                    Failure::new(too_long(unix_ms, wait), detail)
                }
            };
            return Err((failure, Some(response)));
        }
    }

    /// One try: the call and the redirects that it leads to.
    async fn attempt(
        &self,
        request: &Request,
        url: &Url,
        attempt: u32,
        policy: &Policy<'_>,
        progress: &Mutex<Progress>,
    ) -> Result<(Answer, Url), Failure> {
        let (mut url, mut method, mut secrets) = (url.clone(), request.method.clone(), true);
        let mut seen = vec![(url.clone(), method.clone())];
        let mut hop = 0;
        loop {
            {
                let mut progress = locked(progress);
                (progress.place, progress.hops) = (place(&url, request.secret_path), hop);
            }
            self.shared.guard.check(&url).map_err(|why| Failure::unsent(ErrorKind::Address, why))?;
            let answer =
                self.call(request, (&url, &method), secrets, (attempt, hop), policy, progress).await?;
            let location =
                answer.headers.get(LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()));
            let (true, true, Some(location)) =
                (request.follow, redirect::is_redirect(answer.status), location)
            else {
                return Ok((answer, url));
            };
            let next = redirect::next(&url, &method, answer.status, &location)
                .map_err(|why| Failure::new(ErrorKind::Redirect, why))?;
            secrets &= !next.elsewhere;
            (url, method) = (next.url, next.method);
            if seen.contains(&(url.clone(), method.clone())) {
                return Err(Failure::new(ErrorKind::Redirect, "it leads in a circle"));
            }
            if hop >= MAX_HOPS {
                return Err(Failure::new(ErrorKind::TooManyRedirects, format!("more than {MAX_HOPS}")));
            }
            seen.push((url.clone(), method.clone()));
            hop += 1;
        }
    }

    /// One call, in its host's turn.
    async fn call(
        &self,
        request: &Request,
        (url, method): (&Url, &Method),
        secrets: bool,
        (attempt, hop): (u32, u32),
        policy: &Policy<'_>,
        progress: &Mutex<Progress>,
    ) -> Result<Answer, Failure> {
        let Shared { options, guard, public, open, .. } = &*self.shared;
        let hooks = &options.hooks;
        let client = open.as_ref().filter(|_| guard.permits(url)).unwrap_or(public);
        let built = exchange::build(client, request, (url, method), secrets)?;
        let host = self.host(url);
        // Never closed; without a place the call would still be right.
        let _place = host.places.clone().acquire_owned().await.ok();
        self.turn(&host, policy.max_wait).await?;

        let deadlines = Deadlines {
            first_byte: request.first_byte_deadline.unwrap_or(options.first_byte_deadline),
            idle: options.idle_deadline,
            total: request.total_deadline.unwrap_or(options.total_deadline),
        };
        let cap = request.body_cap.unwrap_or(options.body_cap);
        let (shown_host, path) = place(url, request.secret_path);
        let call = Call {
            at_ms: (hooks.unix_ms)(),
            method: method.to_string(),
            host: shown_host,
            path,
            status: None,
            failure: None,
            attempt,
            hop,
            wire_bytes: 0,
            body_bytes: 0,
            elapsed_ms: 0,
        };
        locked(progress).calls += 1;
        let mut guard = CallGuard::begin(call, &self.observers, &hooks.steady_ms);
        let reading = |status, headers: &HeaderMap| {
            if request.follow && redirect::is_redirect(status) && headers.contains_key(LOCATION) {
                Reading::Not
            } else if retry::is_retryable(status) && !policy.hand_back.contains(&status) {
                Reading::Any
            } else if request.truncate {
                Reading::Cut { cap }
            } else {
                Reading::Whole { cap }
            }
        };
        let ended = exchange::exchange(client, built, deadlines, &mut guard, reading).await;
        locked(progress).wire_bytes += guard.call.wire_bytes;
        if let Ok(answer) = &ended {
            self.learn(&host, answer, policy);
        }
        guard.end(ended.as_ref().err().map(|failure| failure.kind));
        ended
    }

    /// What an answer says about when its host may be asked again.
    fn learn(&self, host: &Host, answer: &Answer, policy: &Policy<'_>) {
        let hooks = &self.shared.options.hooks;
        let (unix_ms, steady_ms) = ((hooks.unix_ms)(), (hooks.steady_ms)());
        let mut pace = locked(&host.pace);
        // Who wants "asked too often" handed back decides alone when to ask again.
        if !policy.hand_back.contains(&429) {
            pace.told(steady_ms, retry::limits(&answer.headers, unix_ms));
        }
        // The same holds for the status.
        let blocks = matches!(answer.status, 429 | 503) && !policy.hand_back.contains(&answer.status);
        if blocks
            && answer.headers.contains_key(RETRY_AFTER)
            && let Some(wait) = retry::asked_wait(answer.status, &answer.headers, unix_ms)
        {
            let wait = i64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
            pace.block(steady_ms.saturating_add(wait));
        }
    }

    /// Waits until the host may be called.
    async fn turn(&self, host: &Host, max_wait: Duration) -> Result<(), Failure> {
        let hooks = &self.shared.options.hooks;
        loop {
            let turn = locked(&host.pace).ask((hooks.steady_ms)());
            match turn {
                Turn::Go => return Ok(()),
                Turn::Space(wait) | Turn::Limited(wait) if milliseconds(wait) > max_wait => {
                    let wait = milliseconds(wait);
                    let detail = format!("its pace allows no request for {} s", wait.as_secs());
                    return Err(Failure::unsent(too_long((hooks.unix_ms)(), wait), detail));
                }
                Turn::Space(wait) | Turn::Limited(wait) => self.wait(milliseconds(wait)).await,
            }
        }
    }

    async fn wait(&self, wait: Duration) {
        (self.shared.options.hooks.sleep)(wait).await;
    }

    /// Returns when the caller wants to stop; never when nobody can say so.
    async fn stopped(&self) {
        match &self.stop {
            None => std::future::pending().await,
            Some(stop) => {
                while !stop() {
                    tokio::time::sleep(STOP_EVERY).await;
                }
            }
        }
    }

    fn host(&self, url: &Url) -> Arc<Host> {
        let key = format!(
            "{}:{}",
            url.host_str().unwrap_or_default().trim_end_matches('.'),
            url.port_or_known_default().unwrap_or(0)
        );
        let Shared { hosts, options, .. } = &*self.shared;
        locked(hosts)
            .entry(key)
            .or_insert_with(|| {
                let spacing = i64::try_from(options.spacing.as_millis()).unwrap_or(i64::MAX);
                let places = options.max_concurrent_per_host.clamp(1, Semaphore::MAX_PERMITS);
                Arc::new(Host {
                    pace: Mutex::new(Pace::new(spacing)),
                    places: Arc::new(Semaphore::new(places)),
                })
            })
            .clone()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

/// Nothing panics while it holds one of these locks; if it did, the data would still be whole.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn too_long(unix_ms: i64, wait: Duration) -> ErrorKind {
    let wait = i64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
    let until = Timestamp::from_millisecond(unix_ms.saturating_add(wait)).unwrap_or(Timestamp::MAX);
    ErrorKind::RetryAfterTooLong { until }
}
