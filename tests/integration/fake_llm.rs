//! A fake of the Gemini API, and of an OpenAI-compatible one, for tests: strict about what it
//! is asked, honest about what it bills, able to fail in every way that the real ones do.
//!
//! Written from the public description of the APIs and from nothing of ours, so that a client
//! that misreads them fails here. In process, on 127.0.0.1, one blocking thread a connection.
//!
//! What holds: every request is recorded before it is answered; a call that spent tokens is in
//! the bill before the first byte of its answer leaves; money is in whole pico-dollars (10⁻¹²),
//! so that sums are exact. What it refuses by its own rules is a *violation*, a mistake of the
//! client; what a test scripted is none. For manual use: `serve_forever`.
//!
//! ```text
//! let fake = FakeLlm::start();
//! fake.script(When::call(2), [Behaviour::RetryInfo("0.5s")]);
//! fake.rule(Rule::new(When::text("lawyer"), [Behaviour::Finish("SAFETY")]).times(1));
//! … point the client at fake.base_url() with fake.config().key …
//! assert_eq!(fake.violations(), Vec::<String>::new());
//! assert_eq!(client's cost, fake.bill_pico_usd());
//! ```

#[path = "fake_llm_answer.rs"]
pub mod answer;
#[path = "fake_llm_batch.rs"]
mod batch;
#[path = "fake_llm_gemini.rs"]
mod gemini;
#[path = "fake_llm_http.rs"]
mod http;
#[path = "fake_llm_openai.rs"]
mod openai;
#[path = "fake_llm_route.rs"]
mod route;
#[path = "fake_llm_script.rs"]
mod script;
#[path = "fake_llm_strict.rs"]
mod strict;
#[path = "fake_llm_tests.rs"]
mod tests;
#[path = "fake_llm_tests_chat.rs"]
mod tests_chat;
#[path = "fake_llm_tests_more.rs"]
mod tests_more;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use batch::{BatchPlan, BatchView, End};
pub use script::{Behaviour, Kind, Look, Post, Rule, When};

/// What tokens cost, in pico-dollars a token; the same number is micro-dollars a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    pub input: u64,
    /// Of the prompt's tokens, those that came from a cache.
    pub cached: u64,
    /// Answer and thoughts.
    pub output: u64,
}

/// Tokens of one answer. `cached` is part of `prompt`; `thoughts` is no part of `candidates`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt: u64,
    pub cached: u64,
    pub candidates: u64,
    pub thoughts: u64,
}

impl Price {
    /// In pico-dollars.
    pub fn of(&self, usage: &Usage) -> u128 {
        u128::from(usage.prompt - usage.cached) * u128::from(self.input)
            + u128::from(usage.cached) * u128::from(self.cached)
            + u128::from(usage.candidates + usage.thoughts) * u128::from(self.output)
    }
}

/// A model on offer.
#[derive(Clone, Debug)]
pub struct Model {
    pub name: String,
    /// What `modelVersion` says; never the name itself.
    pub version: String,
    pub price: Price,
    /// The thinking levels that it takes; `None` when it takes a budget instead.
    pub levels: Option<&'static [&'static str]>,
    /// Answers 404 as if it had never been.
    pub retired: bool,
}

/// What the other API does with `response_format: json_schema`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaMode {
    Kept,
    /// 400.
    Refused,
    /// The model answers in prose.
    Ignored,
}

/// How the other API says that it has no such model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFound {
    OpenAi,
    /// `{"error":{"message":"model \"x\" not found, try pulling it first",…}}`
    OllamaV1,
    /// `{"error":"model 'x' not found"}`
    OllamaNative,
}

/// What is on offer, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// What `x-goog-api-key` must be.
    pub key: String,
    pub models: Vec<Model>,
    /// What the bearer token must be; `None` when none is asked for.
    pub openai_key: Option<String>,
    pub openai_models: Vec<(String, Price)>,
    pub schema_mode: SchemaMode,
    pub not_found: NotFound,
    /// With `strict`, all fields must be required and no others allowed, as OpenAI wants it.
    pub strict_wants_all: bool,
    /// `/v1/` knows no system instruction and no JSON, as it did until 2025.
    pub v1_is_narrow: bool,
    /// Batches spoil answers to `responseJsonSchema`, as was seen in August 2026: all null.
    pub batch_spoils_json_schema: bool,
    /// What the model says where no schema is given.
    pub free_text: String,
}

impl Default for Config {
    fn default() -> Config {
        let model = |name: &str, input, cached, output, levels| Model {
            name: name.to_owned(),
            version: format!("{name}-10-2026"),
            price: Price { input, cached, output },
            levels,
            retired: false,
        };
        const ALL: Option<&[&str]> = Some(&["MINIMAL", "LOW", "MEDIUM", "HIGH"]);
        // 3.8-flash refuses MINIMAL; XHIGH is for larger models.
        const MORE: Option<&[&str]> = Some(&["LOW", "MEDIUM", "HIGH"]);
        Config {
            key: "fake-gemini-key".to_owned(),
            models: vec![
                model("gemini-3.5-flash-lite", 300_000, 30_000, 2_500_000, ALL),
                model("gemini-3.8-flash", 750_000, 76_000, 3_750_000, MORE),
                model("gemini-2.5-flash", 300_000, 30_000, 2_500_000, None),
            ],
            openai_key: None,
            openai_models: vec![(
                "fake-llama".to_owned(),
                Price { input: 100_000, cached: 50_000, output: 400_000 },
            )],
            schema_mode: SchemaMode::Kept,
            not_found: NotFound::OpenAi,
            strict_wants_all: true,
            v1_is_narrow: false,
            batch_spoils_json_schema: false,
            free_text: "Customers wrote about waiting times; nothing else stood out today.".to_owned(),
        }
    }
}

/// A request as it was recorded.
#[derive(Clone, Debug)]
pub struct Call {
    pub kind: Kind,
    /// From 1: among the calls to the model for those, else among the calls of the kind.
    pub number: usize,
    /// Since the server started, when the request was there in full.
    pub at: Duration,
    pub method: String,
    pub path: String,
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// In the spelling of the JSON (`generationConfig`); `Null` when it is no JSON.
    pub body: Value,
    /// As it came.
    pub raw: Vec<u8>,
    pub model: String,
    pub posts: Vec<Post>,
    /// What was done otherwise than well.
    pub plan: Vec<Behaviour>,
    /// What was answered; 0 for a reset.
    pub status: u16,
    pub usage: Usage,
    /// In pico-dollars.
    pub cost: u128,
    /// The client can have had the whole answer. A cost that was not delivered is lost: spent,
    /// and no client can know how much it was.
    pub delivered: bool,
    /// Calls to the model under way when it came, with itself.
    pub in_flight: usize,
}

impl Call {
    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    fn is_model_call(&self) -> bool {
        matches!(self.kind, Kind::Generate | Kind::Chat)
    }
}

/// All that changes.
#[derive(Default)]
struct State {
    calls: Vec<Call>,
    rules: Vec<Rule>,
    numbers: HashMap<Kind, usize>,
    violations: Vec<String>,
    batches: Vec<batch::Batch>,
    batch_plan: BatchPlan,
    /// Of requests that were told to wait: until when, and what they were told.
    not_before: HashMap<u64, (Instant, String)>,
    in_flight: usize,
}

impl State {
    /// The next number of a kind.
    fn next(&mut self, kind: Kind) -> usize {
        // Both are calls to the model, and are counted together.
        let kind = if kind == Kind::Chat { Kind::Generate } else { kind };
        let number = self.numbers.entry(kind).or_default();
        *number += 1;
        *number
    }
}

struct Shared {
    config: Config,
    state: Mutex<State>,
    stop: AtomicBool,
    started: Instant,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server. It ends when it is dropped.
pub struct FakeLlm {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl FakeLlm {
    /// With the default models, prices and key.
    pub fn start() -> FakeLlm {
        FakeLlm::with(Config::default())
    }

    pub fn with(config: Config) -> FakeLlm {
        FakeLlm::bind(config, 0).expect("a free port on 127.0.0.1")
    }

    fn bind(config: Config, port: u16) -> std::io::Result<FakeLlm> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            config,
            state: Mutex::default(),
            stop: AtomicBool::new(false),
            started: Instant::now(),
        });
        let inner = Arc::clone(&shared);
        let thread = std::thread::spawn(move || accept(&listener, &inner));
        Ok(FakeLlm { shared, address, thread: Some(thread) })
    }

    /// `http://127.0.0.1:PORT`, to which `/v1beta/models/…` is appended.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `http://127.0.0.1:PORT/v1`, to which `/chat/completions` is appended.
    pub fn openai_base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// One rule more: from now on, when `when` holds, behave like this.
    pub fn script(&self, when: When, then: impl IntoIterator<Item = Behaviour>) {
        self.rule(Rule::new(when, then));
    }

    pub fn rule(&self, rule: Rule) {
        self.shared.state().rules.push(rule);
    }

    /// From now on all is well.
    pub fn forget_script(&self) {
        self.shared.state().rules.clear();
    }

    /// Everything that was asked, in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.state().calls.clone()
    }

    /// The calls to the model: single ones and chats, answered or not.
    pub fn model_calls(&self) -> Vec<Call> {
        self.shared.state().calls.iter().filter(|call| call.is_model_call()).cloned().collect()
    }

    /// The posts of all calls to the model and of all batches, as often as they came.
    pub fn posts_seen(&self) -> Vec<Post> {
        let state = self.shared.state();
        let calls = state.calls.iter().filter(|call| call.is_model_call());
        let mut posts: Vec<Post> = calls.flat_map(|call| call.posts.iter().cloned()).collect();
        posts.extend(state.batches.iter().flat_map(batch::Batch::posts));
        posts
    }

    /// Whether these words ever came here, in whatever place: an address, a header, a text.
    pub fn heard(&self, words: &str) -> bool {
        fn says(value: &Value, words: &str) -> bool {
            match value {
                Value::String(text) => text.contains(words),
                Value::Array(list) => list.iter().any(|one| says(one, words)),
                Value::Object(map) => map.iter().any(|(name, one)| name.contains(words) || says(one, words)),
                _ => false,
            }
        }
        self.calls().iter().any(|call| {
            call.path.contains(words)
                || call.query.contains(words)
                || call.headers.iter().any(|(_, value)| value.contains(words))
                || String::from_utf8_lossy(&call.raw).contains(words)
                || says(&call.body, words)
        }) || self.posts_seen().iter().any(|post| post.fields.iter().any(|(_, text)| text.contains(words)))
    }

    /// What the client did wrong, in words.
    pub fn violations(&self) -> Vec<String> {
        self.shared.state().violations.clone()
    }

    /// What was billed for answers that the client can have had, batches included.
    pub fn bill_pico_usd(&self) -> u128 {
        let state = self.shared.state();
        let calls: u128 = state.calls.iter().filter(|call| call.delivered).map(|call| call.cost).sum();
        calls + state.batches.iter().map(|batch| batch.cost).sum::<u128>()
    }

    /// What was billed for answers that were lost on their way.
    pub fn lost_pico_usd(&self) -> u128 {
        self.shared.state().calls.iter().filter(|call| !call.delivered).map(|call| call.cost).sum()
    }

    /// The most calls to the model that were under way at once.
    pub fn max_in_flight(&self) -> usize {
        let state = self.shared.state();
        state.calls.iter().filter(|call| call.is_model_call()).map(|call| call.in_flight).max().unwrap_or(0)
    }

    /// How batches that are made from now on run.
    pub fn plan_batches(&self, plan: BatchPlan) {
        self.shared.state().batch_plan = plan;
    }

    /// The batches so far.
    pub fn batches(&self) -> Vec<BatchView> {
        self.shared.state().batches.iter().map(batch::Batch::view).collect()
    }

    /// Every batch that is not done is done at its next poll, in this way.
    pub fn finish_batches(&self, end: End) {
        self.shared.state().batches.iter_mut().for_each(|batch| batch.finish(end));
    }
}

impl Drop for FakeLlm {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // The accepting thread sleeps in `accept`.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves on a port of one's own choice until the process ends, saying what is asked of it.
pub fn serve_forever(port: u16, config: Config) -> std::io::Result<()> {
    let fake = FakeLlm::bind(config, port)?;
    eprintln!("{} (also {}), key {}", fake.base_url(), fake.openai_base_url(), fake.config().key);
    let (mut told, mut complained) = (0, 0);
    loop {
        std::thread::sleep(Duration::from_millis(200));
        for call in fake.calls().iter().skip(told) {
            let (posts, cost) = (call.posts.len(), call.cost);
            eprintln!("{} {} {}: {posts} posts, {cost} pico-dollars", call.method, call.path, call.status);
            told += 1;
        }
        for violation in fake.violations().iter().skip(complained) {
            eprintln!("violation: {violation}");
            complained += 1;
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        threads.push(std::thread::spawn(move || serve(stream, &shared)));
        threads.retain(|thread| !thread.is_finished());
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    // Only so that `stop` is looked at; nobody is cut off by it.
    let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
    let _ = stream.set_write_timeout(Some(Duration::from_secs(30)));
    let _ = stream.set_nodelay(true);
    while let Some(mut request) = http::read(&mut stream, &shared.stop) {
        let (reply, index) = route::answer(shared, &request);
        let (delivered, goes_on) = http::write(&mut stream, &mut request, &reply, &shared.stop);
        {
            let mut state = shared.state();
            state.calls[index].delivered &= delivered;
            if state.calls[index].is_model_call() {
                state.in_flight -= 1;
            }
        }
        if !goes_on {
            return;
        }
    }
}
