//! Language models in a run: who is asked, what is known already, what may be spent.
//!
//! Calls and their answers are records of the lake (`ai_calls`), written before and after each
//! call. One run of a lake asks at a time (a lease), so that the day's budget is exact on one
//! machine. [`Ai`] is shared by all steps of a process; what blocks is the lake and the network.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::DataType;
use secrecy::SecretString;
use tokio::sync::Semaphore;

use crate::config::{Body, Config, EnrichConfig, ModelConfig, Provider as Named, Relabel};
use crate::engine::CancellationFlag;
use crate::enrich::{
    Answers, Ask, Asked, Asker, Budget, CallLog, CallOutcome, CallRecord, Embedded, GEMINI_URL, Gemini, Left,
    Need, OpenAi, Prompt, Provider, Question, Rates, SHIPPED_PROMPT, Tokens, Usd, Verdict, Vocabulary,
    question,
};
use crate::graph::{AssetIdx, AssetKey, Day, Outcome};
use crate::http::{AddressRule, Client, ClientOptions, Hooks};
use crate::lake::{Lake, LakeError};

/// The kind of the lake's records, and the name of the table.
pub const AI_CALLS: &str = "ai_calls";

/// What a run holds while it may ask: others wait, and find its answers.
pub const AI_LEASE: &str = "ai calls";

/// Calls at a time where no pool says how many.
const PLACES: usize = 4;

/// What steps of a process share about language models.
#[derive(Default)]
pub struct Ai {
    known: Mutex<Ledger>,
    /// By run.
    budgets: Mutex<HashMap<i64, Arc<Mutex<Budget>>>>,
    places: Mutex<Option<Arc<Semaphore>>>,
    /// Held while batches are collected and sent.
    pub(super) batching: Mutex<()>,
}

/// What the log of calls says.
#[derive(Default)]
struct Ledger {
    answers: Answers,
    read: HashSet<(String, u64)>,
    /// Calls that were not over when they were read: they are read again. Their day, what they
    /// count, and whether they are part of a batch.
    open: HashMap<(String, u64), (i64, Usd, bool)>,
    /// By day since 1970 UTC.
    spent: BTreeMap<i64, Usd>,
}

impl Ledger {
    fn add(&mut self, record: &CallRecord) {
        *self.spent.entry(day_of(record.at_ms)).or_default() += record.counts();
        self.answers.add(record);
    }

    /// What a record says, in place of what it said before.
    fn take(&mut self, name: &str, number: u64, record: &CallRecord) {
        let key = (name.to_string(), number);
        self.over(&key);
        self.add(record);
        match record.outcome {
            CallOutcome::Sent => {
                self.open.insert(key, (day_of(record.at_ms), record.counts(), record.batch));
            }
            _ => drop(self.read.insert(key)),
        }
    }

    /// A call that was open does not count any more as it did.
    fn over(&mut self, key: &(String, u64)) {
        if let Some((day, counted, _)) = self.open.remove(key)
            && let Some(spent) = self.spent.get_mut(&day)
        {
            *spent = spent.minus(counted);
        }
    }
}

/// Days since 1970 UTC: budgets of a day are those of the provider's bill.
fn day_of(ms: i64) -> i64 {
    ms.div_euclid(86_400_000)
}

impl Ai {
    /// Takes in the calls that were written since the last look.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn refresh(&self, lake: &Lake) -> Result<(), LakeError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, number, record) in
            read_calls(lake, &|name, number| known.read.contains(&(name.to_string(), number)))?
        {
            known.take(&name, number, &record);
        }
        Ok(())
    }

    /// Takes in one call of an asset, in place of what was known of it.
    pub(super) fn take(&self, name: &str, number: u64, record: &CallRecord) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).take(name, number, record);
    }

    /// Calls of an asset's batches that are not over, by number.
    pub(super) fn unsent(&self, name: &str) -> Vec<u64> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = |((of, number), (_, _, batch)): (&(String, u64), &(i64, Usd, bool))| {
            (of == name && *batch).then_some(*number)
        };
        known.open.iter().filter_map(ours).collect()
    }

    /// What was spent on the day of a moment, calls of unknown cost at their most.
    pub fn spent_on(&self, now_ms: i64) -> Usd {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.spent.get(&day_of(now_ms)).copied().unwrap_or_default()
    }

    /// What is known of some texts.
    pub fn answers_of<'a>(&self, contents: impl IntoIterator<Item = &'a String>) -> Answers {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).answers.of(contents)
    }

    /// Lends all that is known.
    pub fn with_answers<T>(&self, f: impl FnOnce(&Answers) -> T) -> T {
        f(&self.known.lock().unwrap_or_else(PoisonError::into_inner).answers)
    }

    /// The budget of a run; made when it is first asked for.
    fn budget(&self, run: i64, config: &Config, max_usd: Option<Usd>, now_ms: i64) -> Arc<Mutex<Budget>> {
        let today = self.spent_on(now_ms);
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.entry(run).or_insert_with(|| Arc::new(Mutex::new(budget(config, max_usd, today)))).clone()
    }

    fn places(&self, config: &Config, asset: AssetIdx) -> Arc<Semaphore> {
        let pool = config.graph.asset(asset).pool.as_ref();
        let size = pool.and_then(|p| config.run.pools.get(p)).copied().unwrap_or(PLACES);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.get_or_insert_with(|| Arc::new(Semaphore::new(size.max(1)))).clone()
    }
}

/// The limits of a run that begins now.
pub fn budget(config: &Config, max_usd: Option<Usd>, today: Usd) -> Budget {
    let run = config.ai.max_usd_per_run.map(Usd::from_dollars);
    let run = match (run, max_usd) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    Budget::new(config.ai.max_calls, run, config.ai.max_usd_per_day.map(Usd::from_dollars), today)
}

/// Every record of the log that `skip` does not know, by log and number.
///
/// # Errors
/// When one cannot be read.
pub fn read_calls(
    lake: &Lake,
    skip: &dyn Fn(&str, u64) -> bool,
) -> Result<Vec<(String, u64, CallRecord)>, LakeError> {
    let mut out = Vec::new();
    for name in lake.list_record_names(AI_CALLS)? {
        for (number, path) in lake.list_records(AI_CALLS, &name)? {
            if skip(&name, number) {
                continue;
            }
            let bytes = match lake.read_record(AI_CALLS, &name, number) {
                // Taken away since it was listed.
                Err(LakeError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                    continue;
                }
                other => other?,
            };
            let record = serde_json::from_slice(&bytes)
                .map_err(|e| LakeError::Corrupt { path, why: format!("it is no record of a call: {e}") })?;
            out.push((name.clone(), number, record));
        }
    }
    Ok(out)
}

/// Takes posts (by post id) out of the log of calls: nothing says any more that they were asked
/// about, and answers that were theirs alone are gone with the words they quote. What was spent
/// stays. How many records were changed.
///
/// # Errors
/// When the lake refuses.
pub fn erase(lake: &Lake, posts: &BTreeSet<String>) -> Result<u64, LakeError> {
    let mut changed = 0;
    super::erase::each_record(lake, AI_CALLS, &mut |line| {
        let mut record: CallRecord = serde_json::from_slice(line).ok()?;
        if !record.posts.iter().any(|p| posts.contains(p)) {
            return None;
        }
        record.posts.retain(|p| !posts.contains(p));
        record.answers.retain_mut(|answer| {
            let before = answer.posts.len();
            answer.posts.retain(|p| !posts.contains(p));
            before == 0 || !answer.posts.is_empty()
        });
        changed += 1;
        serde_json::to_vec(&record).ok()
    })?;
    Ok(changed)
}

/// Takes the words that kept answers quote of posts of some days out of the log of calls: the
/// labels stay.
///
/// # Errors
/// When the lake refuses.
pub(super) fn leave_out_quotes(lake: &Lake, days: &BTreeSet<Day>) -> Result<(), LakeError> {
    let mut posts: BTreeSet<String> = BTreeSet::new();
    for name in lake.list_record_names(AI_CALLS)? {
        let Ok(key) = name.parse::<AssetKey>() else { continue };
        let wanted: Vec<_> = lake
            .list_manifests(&key, None)?
            .iter()
            .filter(|l| l.partition.day().is_some_and(|day| days.contains(&day)))
            .map(|l| (l.partition, l.generation))
            .collect();
        for manifest in lake.read_manifests(&key, None, &wanted)? {
            for file in &manifest?.files {
                for batch in crate::lake::read_parquet(&lake.path(file))? {
                    let Some(ids) = batch.column_by_name("post_id") else { continue };
                    let ids = datafusion::arrow::compute::cast(ids, &DataType::Utf8)
                        .map_err(|e| LakeError::Corrupt { path: lake.path(file), why: e.to_string() })?;
                    posts.extend(ids.as_string::<i32>().iter().flatten().map(str::to_string));
                }
            }
        }
    }
    if posts.is_empty() {
        return Ok(());
    }
    super::erase::each_record(lake, AI_CALLS, &mut |line| {
        let mut record: CallRecord = serde_json::from_slice(line).ok()?;
        let mut changed = false;
        for answer in &mut record.answers {
            if let Verdict::Labels(labels) = &mut answer.verdict
                && !answer.posts.is_empty()
                && answer.posts.iter().all(|p| posts.contains(p))
            {
                changed |= labels.evidence.take().is_some();
            }
        }
        if changed { serde_json::to_vec(&record).ok() } else { None }
    })
}

/// The log of one asset's calls.
pub(super) struct LakeLog<'a> {
    lake: &'a Lake,
    name: &'a AssetKey,
    /// Numbers of its own records: they need not be read again.
    written: Mutex<Vec<u64>>,
}

impl<'a> LakeLog<'a> {
    pub(super) fn new(lake: &'a Lake, name: &'a AssetKey) -> Self {
        Self { lake, name, written: Mutex::default() }
    }
}

impl CallLog for LakeLog<'_> {
    fn begin(&self, record: &CallRecord) -> Result<u64, String> {
        crate::crash::point("write down an AI call");
        let bytes = serde_json::to_vec(record).map_err(|e| e.to_string())?;
        let number =
            self.lake.append_record(AI_CALLS, self.name.as_str(), &bytes).map_err(|e| e.to_string())?;
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        crate::crash::point("make an AI call");
        Ok(number)
    }

    fn end(&self, number: u64, record: &CallRecord) -> Result<(), String> {
        crate::crash::point("write down an AI answer");
        let bytes = serde_json::to_vec(record).map_err(|e| e.to_string())?;
        self.lake.replace_record(AI_CALLS, self.name.as_str(), number, &bytes).map_err(|e| e.to_string())
    }
}

/// Whether an asset is labelled by a model over the network.
pub fn asks_network(config: &Config, asset: AssetIdx) -> Option<&EnrichConfig> {
    match &config.asset(asset).body {
        Body::Enrich(enrich) if enrich.provider != Named::Embedded => Some(enrich),
        _ => None,
    }
}

/// Those over the network who label an asset, and those who stand in for them, each once.
pub fn networked(config: &Config) -> Vec<Named> {
    let asks = config.graph.indices().filter_map(|asset| asks_network(config, asset));
    let named =
        asks.flat_map(|enrich| std::iter::once(enrich.provider).chain(config.ai.fallback.iter().copied()));
    let mut out = Vec::new();
    named.filter(|n| *n != Named::Embedded).for_each(|n| {
        if !out.contains(&n) {
            out.push(n);
        }
    });
    out
}

/// Who may be asked although nobody said what that costs: limits in dollars mean nothing then.
pub fn unpriced(config: &Config) -> Option<Named> {
    networked(config).into_iter().find(|provider| config.ai.is_unpriced(*provider))
}

/// The words that labels are taken from.
pub fn vocabulary(embedded: &Embedded) -> Vocabulary {
    let text = str::to_string;
    Vocabulary {
        themes: embedded.themes().map(|(id, title, what)| (text(id), text(title), text(what))).collect(),
        actions: embedded.actions().map(|(id, title)| (text(id), text(title))).collect(),
        reasons: embedded.reasons().map(|(code, level, category)| (text(code), level, category)).collect(),
    }
}

/// The prompt of an asset with its lists.
pub fn prompt(enrich: &EnrichConfig, embedded: &Embedded) -> Prompt {
    let file = enrich.prompt.as_ref().map_or(SHIPPED_PROMPT, |p| p.text.as_str());
    Prompt::new(file, vocabulary(embedded))
}

/// Whether an answer to another prompt or model will do for a post of this day.
pub fn any_answer(relabel: Relabel, day: Option<Day>) -> bool {
    match relabel {
        Relabel::New => true,
        Relabel::All => false,
        Relabel::Since(since) => day.is_some_and(|d| d < since),
    }
}

/// What a provider is called in `[ai]`, with its settings.
fn settings(config: &Config, named: Named) -> Option<&ModelConfig> {
    match named {
        Named::Embedded => None,
        Named::Gemini => config.ai.gemini.as_ref(),
        Named::OpenaiCompatible => config.ai.openai_compatible.as_ref(),
    }
}

/// A provider as it is declared; the key is read from the environment.
///
/// # Errors
/// Why it cannot be asked, in words for a person.
pub fn provider(
    config: &Config,
    named: Named,
    cancel: Option<&CancellationFlag>,
) -> Result<Arc<dyn Provider>, String> {
    if named == Named::Gemini {
        return Ok(Arc::new(gemini(config, cancel)?));
    }
    let (model, client, key, rates) = reach(config, named, cancel)?;
    Ok(Arc::new(OpenAi {
        client,
        base_url: model.base_url.clone().ok_or("[ai.openai_compatible] names no base_url")?,
        model: model.model.clone(),
        key,
        rates,
    }))
}

/// Gemini as it is declared.
fn gemini(config: &Config, cancel: Option<&CancellationFlag>) -> Result<Gemini, String> {
    let (model, client, key, rates) = reach(config, Named::Gemini, cancel)?;
    Ok(Gemini {
        client,
        base_url: model.base_url.clone().unwrap_or_else(|| GEMINI_URL.into()),
        api_version: model.api_version.clone().unwrap_or_else(|| "v1beta".into()),
        model: model.model.clone(),
        key: key.ok_or("[ai.gemini] names no api_key_env")?,
        rates,
        thinking: model.thinking.clone(),
    })
}

/// How a provider is reached: its settings, a client, the key, the prices.
type Way<'a> = (&'a ModelConfig, Client, Option<SecretString>, Option<Rates>);

fn reach<'a>(config: &'a Config, named: Named, cancel: Option<&CancellationFlag>) -> Result<Way<'a>, String> {
    let Some(model) = settings(config, named) else {
        return Err(format!("[ai.{}] is not configured", named.as_str()));
    };
    let key = match &model.api_key_env {
        None => None,
        Some(name) => match std::env::var(name) {
            Ok(key) if !key.trim().is_empty() => Some(SecretString::from(key.trim().to_string())),
            _ => return Err(format!("the environment variable {name} is not set")),
        },
    };
    let options = ClientOptions {
        allow: match model.allow_hosts.is_empty() {
            true => AddressRule::PublicOnly,
            false => AddressRule::PublicAnd(model.allow_hosts.clone()),
        },
        // The first byte comes when the last word was thought of.
        first_byte_deadline: Duration::from_millis(model.call_timeout_ms),
        total_deadline: Duration::from_millis(model.call_timeout_ms),
        idle_deadline: Duration::from_millis(model.call_timeout_ms),
        body_cap: 8 << 20,
        max_concurrent_per_host: 64,
        ..ClientOptions::default()
    };
    let mut client = Client::new(options).map_err(|e| e.to_string())?;
    if let Some(cancel) = cancel.cloned() {
        client = client.with_stop(move || cancel.is_cancelled());
    }
    let rates = model.price.as_ref().map(|p| Rates::per_million(p.input, p.output, p.cached_input));
    Ok((model, client, key, rates))
}

/// Those who are asked about an asset's posts, in order, and why others cannot be.
pub struct Chain {
    /// The provider, then those of `fallback`.
    pub providers: Vec<Arc<dyn Provider>>,
    /// Why the provider itself cannot be asked.
    pub missing: Option<String>,
    /// Of the provider and those of `fallback`, whether they can be asked or not.
    pub questions: Vec<Question>,
    /// Whether the embedded model labels what no other could.
    pub fallback: bool,
    /// Whether the provider is sent batches: others of the chain are asked at once.
    pub batch: bool,
    /// Who has batches, where it can be asked.
    pub gemini: Option<Arc<Gemini>>,
    /// What batches are asked.
    pub batch_question: Option<Question>,
}

/// The providers of an asset.
pub fn chain(
    config: &Config,
    enrich: &EnrichConfig,
    prompt: &Prompt,
    cancel: Option<&CancellationFlag>,
) -> Chain {
    let mut chain = Chain {
        providers: Vec::new(),
        missing: None,
        questions: Vec::new(),
        fallback: config.ai.fallback.contains(&Named::Embedded),
        batch: enrich.provider == Named::Gemini && config.ai.gemini.as_ref().is_some_and(|g| g.batch),
        // Batches are collected whoever is asked now: they are paid for.
        gemini: gemini(config, cancel).ok().map(Arc::new),
        batch_question: settings(config, Named::Gemini).map(|model| Question {
            provider: Named::Gemini.as_str().into(),
            model: model.model.clone(),
            prompt_hash: prompt.hash.clone(),
            schema_hash: prompt.schema_hash.clone(),
        }),
    };
    let mut names = vec![enrich.provider];
    names.extend(config.ai.fallback.iter().filter(|p| **p != Named::Embedded && **p != enrich.provider));
    for (at, named) in names.into_iter().enumerate() {
        if let Some(model) = settings(config, named) {
            chain.questions.push(Question {
                provider: named.as_str().into(),
                model: model.model.clone(),
                prompt_hash: prompt.hash.clone(),
                schema_hash: prompt.schema_hash.clone(),
            });
        }
        match provider(config, named, cancel) {
            Ok(provider) => {
                debug_assert_eq!(chain.questions.last(), Some(&question(provider.as_ref(), prompt)));
                chain.providers.push(provider);
            }
            Err(why) if at == 0 => chain.missing = Some(format!("{} cannot be asked: {why}", named.as_str())),
            Err(_) => {}
        }
    }
    chain
}

/// Which incomplete partitions could get no further now, by asset: nobody can be asked, or
/// nothing may be spent. The log is read only where that decides.
///
/// # Errors
/// When the log cannot be read.
pub fn held(
    config: &Config,
    ledger: &crate::graph::Ledger,
    lake: Option<&Lake>,
    now_ms: i64,
) -> Result<BTreeMap<AssetIdx, Vec<Outcome>>, LakeError> {
    let mut out = BTreeMap::new();
    let Some(lake) = lake else { return Ok(out) };
    for asset in config.graph.indices() {
        let Some(enrich) = asks_network(config, asset) else { continue };
        let has = |outcome| ledger.of(asset).iter().flatten().any(|e| e.outcome == outcome);
        let mut held = Vec::new();
        let mut names = vec![enrich.provider];
        names.extend(config.ai.fallback.iter().filter(|p| **p != Named::Embedded));
        if names.iter().all(|named| provider(config, *named, None).is_err()) {
            held.extend([Outcome::Unreached, Outcome::Budget]);
        } else if has(Outcome::Budget) {
            let ai = Ai::default();
            if config.ai.max_usd_per_day.is_some() {
                ai.refresh(lake)?;
            }
            // The smallest call may cost its prompt, without its lists, and one post's labels.
            let file = enrich.prompt.as_ref().map_or(SHIPPED_PROMPT, |p| p.text.as_str());
            let output = u64::from(Ask::new([""]).max_output);
            let least = settings(config, enrich.provider).and_then(|m| Some((m, m.price.as_ref()?))).map_or(
                Usd::ZERO,
                |(model, p)| {
                    let rates = Rates::per_million(p.input, p.output, p.cached_input);
                    let rates = if model.batch { rates.halved() } else { rates };
                    rates.at_most(file.len() as u64, output)
                },
            );
            if budget(config, None, ai.spent_on(now_ms)).reserve(least).is_err() {
                held.push(Outcome::Budget);
            }
        }
        let key = config.graph.key(asset).as_str();
        if has(Outcome::Pending) && !super::ai_batch_record::batch_is_due(lake, config, key, now_ms)? {
            held.push(Outcome::Pending);
        }
        out.insert(asset, held);
    }
    Ok(out)
}

/// What came of asking about the texts of a step.
#[derive(Debug, Default)]
pub struct Answered {
    /// Texts without a verdict.
    pub left: BTreeMap<String, Left>,
    /// Calls made.
    pub calls: u64,
    /// What they cost, what is not known at its most.
    pub cost: Usd,
    /// What was read and written.
    pub tokens: Tokens,
    /// Why providers could not be asked, in their words.
    pub troubles: BTreeSet<String>,
    /// Texts that wait for a batch.
    pub pending: BTreeSet<String>,
    /// What people should know of batches, with its level.
    pub notes: Vec<(&'static str, String)>,
}

/// Who asks, for which run, within which limits.
pub struct Errand<'a> {
    /// What is shared.
    pub ai: &'a Ai,
    /// What the files say.
    pub config: &'a Config,
    /// Where calls are written down.
    pub lake: &'a Lake,
    /// For which asset.
    pub asset: AssetIdx,
    /// In which run.
    pub run: i64,
    /// `--max-usd`.
    pub max_usd: Option<Usd>,
    /// Now, milliseconds since 1970 UTC.
    pub now_ms: i64,
}

impl Errand<'_> {
    /// What the run may spend.
    pub(super) fn budget(&self) -> Arc<Mutex<Budget>> {
        self.ai.budget(self.run, self.config, self.max_usd, self.now_ms)
    }

    /// Asks the providers of a chain about texts, each about what those before it left. Blocks.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn ask(
        &self,
        chain: &Chain,
        prompt: &Arc<Prompt>,
        needs: Vec<Need>,
        cancel: &CancellationFlag,
    ) -> Result<Answered, String> {
        let mut out = Answered::default();
        if needs.is_empty() {
            return Ok(out);
        }
        if let Some(missing) = &chain.missing {
            out.troubles.insert(missing.clone());
        }
        let key = self.config.graph.key(self.asset);
        let log = LakeLog::new(self.lake, key);
        let runtime = tokio::runtime::Handle::try_current().map_err(|e| e.to_string())?;
        let stop = || cancel.is_cancelled();
        let mut open: BTreeMap<String, Need> = needs.into_iter().map(|n| (n.content.clone(), n)).collect();
        out.left = open.keys().map(|c| (c.clone(), Left::Unreached("no provider".into()))).collect();
        self.through_batches(chain, prompt, &mut open, &mut out, cancel)?;
        for provider in &chain.providers {
            if open.is_empty() || cancel.is_cancelled() {
                break;
            }
            if chain.batch && provider.name() == Named::Gemini.as_str() {
                continue;
            }
            let asker = Asker {
                provider: provider.clone(),
                prompt: prompt.clone(),
                run: self.run,
                asset: key.to_string(),
                pack_size: self.config.ai.pack_size,
                places: self.ai.places(self.config, self.asset),
                budget: self.budget(),
                price_as_of: settings_of(self.config, provider.name())
                    .and_then(|m| m.price.as_ref()?.as_of)
                    .map(|d| d.to_string()),
                hooks: Hooks::default(),
            };
            let mut done: BTreeSet<String> = BTreeSet::new();
            let mut learned = |record: &CallRecord| {
                out.cost += record.counts();
                out.tokens = out.tokens + record.tokens.unwrap_or_default();
                for answer in &record.answers {
                    // What one refused or could not answer, the next may.
                    if matches!(answer.verdict, Verdict::Labels(_)) {
                        done.insert(answer.content.clone());
                    }
                    out.left.remove(&answer.content);
                }
                self.ai.known.lock().unwrap_or_else(PoisonError::into_inner).add(record);
            };
            let needs = open.values().cloned().collect();
            let Asked { left, calls } = runtime.block_on(asker.ask_all(needs, &log, &stop, &mut learned))?;
            out.calls += calls;
            open.retain(|content, _| !done.contains(content));
            for (content, why) in left {
                if let Left::Unreached(detail) = &why {
                    let key =
                        settings_of(self.config, provider.name()).and_then(|m| m.api_key_env.as_deref());
                    let key = key.filter(|_| detail.contains("API key"));
                    let from = key.map(|k| format!("; it is read from {k}")).unwrap_or_default();
                    out.troubles.insert(format!("{}: {detail}{from}", provider.name()));
                }
                out.left.insert(content, why);
            }
            if open.is_empty() || cancel.is_cancelled() {
                break;
            }
        }
        let written = std::mem::take(&mut *log.written.lock().unwrap_or_else(PoisonError::into_inner));
        let mut known = self.ai.known.lock().unwrap_or_else(PoisonError::into_inner);
        for number in written {
            let call = (key.to_string(), number);
            // Another group may have read it while it was under way.
            known.over(&call);
            known.read.insert(call);
        }
        Ok(out)
    }
}

fn settings_of<'a>(config: &'a Config, name: &str) -> Option<&'a ModelConfig> {
    [Named::Gemini, Named::OpenaiCompatible]
        .into_iter()
        .find(|n| n.as_str() == name)
        .and_then(|n| settings(config, n))
}
