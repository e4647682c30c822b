//! Asking a provider about many texts: packs, tries, money, the log.
//!
//! Order around every call: reserve money → write the call down as sent → send → write down what
//! came, with its answers. Killed anywhere, at most the calls under way are made again, and the
//! log knows of them. Waits for the network; the log may block.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{self, Answer};
use super::budget::{Budget, Reserved, Spent};
use super::calls::{AnswerRecord, CallOutcome, CallRecord, Question, Verdict};
use super::prompt::Prompt;
use super::provider::{Ask, Heard, Provider, Reply, cost};
use super::usd::Usd;
use crate::http::Hooks;

/// Tries of one pack when the provider is busy or fails.
const TRIES: u32 = 5;
/// A longer wait is not waited: the posts are left for another provider or run.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The first pause without a word from the provider, at most; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Packs in a row whose tries were all spent, after which the provider counts as down.
const DOWN_AFTER: u32 = 3;
/// Single texts in a row that the provider cannot read, after which it reads none.
const REJECTED_MOST: u32 = 3;
/// How often one text is asked about when its labels are not right.
const REPEATS: u32 = 2;

/// A text that has no answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Need {
    /// [`content_hash`](super::content_hash) of the text.
    pub content: String,
    /// The text, redacted.
    pub text: String,
    /// The posts that have it.
    pub posts: Vec<String>,
    /// How much it matters: the greater, the sooner.
    pub weight: u64,
}

/// Why a text has no verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Left {
    /// Money or calls ran out.
    Budget(Spent),
    /// The provider could not be reached, or does not want to be for now. Why.
    Unreached(String),
    /// The run was stopped.
    Canceled,
}

/// Where calls are written down.
pub trait CallLog: Sync {
    /// A call is about to be made. Its number.
    ///
    /// # Errors
    /// When it cannot be written: then no call is made.
    fn begin(&self, record: &CallRecord) -> Result<u64, String>;

    /// It is over.
    ///
    /// # Errors
    /// When it cannot be written.
    fn end(&self, number: u64, record: &CallRecord) -> Result<(), String>;
}

/// Who asks whom, and within which limits.
pub struct Asker {
    /// Who is asked.
    pub provider: Arc<dyn Provider>,
    /// What.
    pub prompt: Arc<Prompt>,
    /// For which run and asset, for the log.
    pub run: i64,
    /// See `run`.
    pub asset: String,
    /// Texts of one call, at most.
    pub pack_size: usize,
    /// Calls at a time, of everybody who shares it.
    pub places: Arc<Semaphore>,
    /// What may be spent, of everybody who shares it.
    pub budget: Arc<Mutex<Budget>>,
    /// The day of the price list.
    pub price_as_of: Option<String>,
    /// Time, waiting and chance.
    pub hooks: Hooks,
}

/// What came of asking.
#[derive(Debug, Default)]
pub struct Asked {
    /// Texts without a verdict, by their content.
    pub left: BTreeMap<String, Left>,
    /// Calls made.
    pub calls: u64,
}

/// Texts that are asked about together.
#[derive(Debug)]
struct Pack {
    needs: Vec<Need>,
    /// Tries that ended busy or failed.
    tries: u32,
    /// How often these very texts got wrong labels or no answer.
    repeats: u32,
    /// How many times its answer may be longer than usual.
    roomy: u32,
}

impl Pack {
    fn new(needs: Vec<Need>) -> Self {
        Self { needs, tries: 0, repeats: 0, roomy: 0 }
    }

    /// Two halves; the first is the weightier.
    fn halves(mut self) -> [Pack; 2] {
        let second = self.needs.split_off(self.needs.len().div_ceil(2));
        [Pack::new(self.needs), Pack::new(second)]
    }
}

/// What one of the futures under way brings.
enum Step {
    /// The pause is over.
    Waited,
    /// A place is free.
    Place(Option<OwnedSemaphorePermit>),
    /// A call is over.
    Called(Box<Called>),
}

struct Called {
    pack: Pack,
    ask: Ask,
    reply: Reply,
    reserved: Reserved,
    record: CallRecord,
    number: u64,
}

/// What stands while texts are asked about.
struct Course<'a> {
    asker: &'a Asker,
    log: &'a dyn CallLog,
    stop: &'a (dyn Fn() -> bool + Sync),
    queue: VecDeque<Pack>,
    asked: Asked,
    /// Why nothing more is asked.
    closed: Option<Left>,
    /// Nobody asks before, on the steady clock, milliseconds.
    not_before_ms: i64,
    /// Whether a call of this course ended with an answer.
    answered: bool,
    /// Packs in a row that spent all their tries.
    down: u32,
    /// Single texts in a row that could not be read.
    rejected: u32,
    /// Whether a pause or a place is awaited already.
    waits: bool,
    /// A place that was awaited.
    place: Option<OwnedSemaphorePermit>,
}

type Running<'a> = FuturesUnordered<BoxFuture<'a, Step>>;

impl Asker {
    /// The question that is asked, for the cache.
    pub fn question(&self) -> Question {
        question(self.provider.as_ref(), &self.prompt)
    }

    /// Asks about every text. `learned` is told each call's record once it is written down;
    /// verdicts are in it. Texts that are in no verdict are in [`Asked::left`].
    ///
    /// # Errors
    /// When the log cannot be written.
    pub async fn ask_all<'a>(
        &'a self,
        mut needs: Vec<Need>,
        log: &'a dyn CallLog,
        stop: &'a (dyn Fn() -> bool + Sync),
        learned: &mut (dyn FnMut(&CallRecord) + Send),
    ) -> Result<Asked, String> {
        // Of equal weight by their content: the same packs whatever order they came in.
        needs.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.content.cmp(&b.content)));
        let mut queue = VecDeque::new();
        while !needs.is_empty() {
            let rest = needs.split_off(self.pack_size.max(1).min(needs.len()));
            queue.push_back(Pack::new(std::mem::replace(&mut needs, rest)));
        }
        let mut course = Course {
            asker: self,
            log,
            stop,
            queue,
            asked: Asked::default(),
            closed: None,
            not_before_ms: 0,
            answered: false,
            down: 0,
            rejected: 0,
            waits: false,
            place: None,
        };
        let mut running: Running<'a> = FuturesUnordered::new();
        loop {
            course.fill(&mut running)?;
            let Some(step) = running.next().await else { break };
            match step {
                Step::Waited => course.waits = false,
                Step::Place(place) => {
                    course.place = place;
                    course.waits = false;
                }
                Step::Called(called) => {
                    course.asked.calls += 1;
                    let record = course.judge(*called)?;
                    learned(&record);
                }
            }
        }
        course.close();
        Ok(course.asked)
    }
}

/// The question that a provider is asked with a prompt.
pub fn question(provider: &dyn Provider, prompt: &Prompt) -> Question {
    Question {
        provider: provider.name().into(),
        model: provider.model().into(),
        prompt_hash: prompt.hash.clone(),
        schema_hash: prompt.schema_hash.clone(),
    }
}

impl<'a> Course<'a> {
    /// Starts calls as long as there are places, texts and money.
    fn fill(&mut self, running: &mut Running<'a>) -> Result<(), String> {
        if (self.stop)() {
            self.closed = Some(Left::Canceled);
        }
        while self.closed.is_none() && !self.waits && !self.queue.is_empty() {
            let now = (self.asker.hooks.steady_ms)();
            if now < self.not_before_ms {
                self.waits = true;
                let wait = Duration::from_millis(u64::try_from(self.not_before_ms - now).unwrap_or(0));
                running.push(self.pause(wait));
                break;
            }
            let free = self.place.take().or_else(|| self.asker.places.clone().try_acquire_owned().ok());
            let Some(place) = free else {
                // Calls of one's own end and give their places back; those of others are awaited.
                if running.is_empty() {
                    self.waits = true;
                    running.push(self.await_place());
                }
                break;
            };
            let Some(pack) = self.queue.pop_front() else { break };
            if !self.start(pack, place, running)? {
                break;
            }
        }
        if self.closed.is_some() {
            self.close();
        }
        Ok(())
    }

    /// Starts one call. False when it has to wait for others to give money back.
    fn start(
        &mut self,
        pack: Pack,
        place: OwnedSemaphorePermit,
        running: &mut Running<'a>,
    ) -> Result<bool, String> {
        let asker = self.asker;
        let mut ask = Ask::new(pack.needs.iter().map(|n| n.text.as_str()));
        ask.max_output = ask.max_output.saturating_mul(1 << pack.roomy.min(4));
        let bytes = asker.provider.request_bytes(&asker.prompt, &ask);
        let at_most =
            asker.provider.rates().map_or(Usd::ZERO, |rates| rates.at_most(bytes, u64::from(ask.max_output)));
        let (reserved, others) = {
            let mut budget = asker.budget.lock().unwrap_or_else(PoisonError::into_inner);
            (budget.reserve(at_most), budget.is_waiting())
        };
        let reserved = match reserved {
            Ok(reserved) => reserved,
            Err(spent) if spent != Spent::Calls && !running.is_empty() && others => {
                self.queue.push_front(pack);
                return Ok(false);
            }
            Err(spent) if spent != Spent::Calls && pack.needs.len() > 1 => {
                let [first, second] = pack.halves();
                self.queue.push_front(second);
                self.queue.push_front(first);
                return Ok(true);
            }
            Err(spent) => {
                self.queue.push_front(pack);
                self.closed = Some(Left::Budget(spent));
                return Ok(true);
            }
        };
        let record = CallRecord {
            at_ms: (asker.hooks.unix_ms)(),
            run: asker.run,
            asset: asker.asset.clone(),
            question: asker.question(),
            redaction_version: super::REDACTION_VERSION.into(),
            model_version: None,
            status: None,
            outcome: CallOutcome::Sent,
            detail: None,
            finish_reason: None,
            attempt: pack.tries + 1,
            batch: false,
            pack: pack.needs.len(),
            posts: pack.needs.iter().flat_map(|n| n.posts.iter().cloned()).collect(),
            tokens: None,
            cost: None,
            at_most: at_most.0,
            price_as_of: asker.price_as_of.clone(),
            elapsed_ms: 0,
            answers: Vec::new(),
        };
        let number = match self.log.begin(&record) {
            Ok(number) => number,
            Err(error) => {
                asker.budget.lock().unwrap_or_else(PoisonError::into_inner).give_back(reserved);
                return Err(error);
            }
        };
        running.push(Box::pin(async move {
            let reply = asker.provider.ask(&asker.prompt, &ask).await;
            drop(place);
            Step::Called(Box::new(Called { pack, ask, reply, reserved, record, number }))
        }));
        Ok(true)
    }

    fn pause(&self, wait: Duration) -> BoxFuture<'a, Step> {
        let (sleep, stop) = ((self.asker.hooks.sleep)(wait), self.stop);
        Box::pin(async move {
            tokio::select! {
                () = sleep => {}
                () = stopped(stop) => {}
            }
            Step::Waited
        })
    }

    fn await_place(&self) -> BoxFuture<'a, Step> {
        let (places, stop) = (self.asker.places.clone(), self.stop);
        Box::pin(async move {
            tokio::select! {
                place = places.acquire_owned() => Step::Place(place.ok()),
                () = stopped(stop) => Step::Place(None),
            }
        })
    }

    /// Takes in what one call brought: settles, decides what is asked next, writes it down.
    fn judge(&mut self, called: Called) -> Result<CallRecord, String> {
        let Called { pack, ask, reply, reserved, mut record, number } = called;
        let asker = self.asker;
        let cost = cost(asker.provider.is_free(), asker.provider.rates(), reply.tokens);
        asker.budget.lock().unwrap_or_else(PoisonError::into_inner).settle(reserved, cost);
        record.tokens = reply.tokens;
        record.cost = cost.map(|c| c.0);
        record.model_version = reply.model_version;
        record.finish_reason = reply.finish_reason;
        record.status = reply.status;
        record.elapsed_ms = reply.elapsed_ms;
        let heard = reply.heard;
        if matches!(heard, Heard::Text(_) | Heard::Cut | Heard::Refused(_)) {
            self.rejected = 0;
        }
        if !matches!(heard, Heard::Busy { .. } | Heard::Failed(_) | Heard::Canceled) {
            self.down = 0;
        }
        match heard {
            Heard::Text(text) => self.read(pack, &ask, &text, &mut record),
            Heard::Cut => {
                record.outcome = CallOutcome::Cut;
                self.answered = true;
                self.again_smaller(pack, &mut record, "the answer was cut at its most tokens");
            }
            Heard::Refused(why) => {
                record.outcome = CallOutcome::Refused;
                record.detail = Some(why.clone());
                self.answered = true;
                match pack.needs.len() {
                    1 => record.answers.extend(verdicts(pack, &Verdict::Refused { why })),
                    _ => self.split(pack),
                }
            }
            Heard::Busy { wait, exhausted, detail } => {
                record.outcome = CallOutcome::Busy;
                record.detail = Some(detail.clone());
                self.later(pack, wait, exhausted, detail);
            }
            Heard::Failed(detail) => {
                record.outcome = CallOutcome::Failed;
                record.detail = Some(detail.clone());
                self.later(pack, None, false, detail);
            }
            Heard::Rejected(detail) => {
                record.outcome = CallOutcome::Rejected;
                record.detail = Some(detail.clone());
                if pack.needs.len() == 1 {
                    self.rejected += 1;
                }
                match pack.needs.len() {
                    // Nothing was ever answered, or nothing is any more: it is the request that is
                    // wrong, not the post.
                    1 if !self.answered || self.rejected > REJECTED_MOST => self.give_up(pack, detail),
                    1 => record.answers.extend(verdicts(pack, &Verdict::Invalid { why: detail })),
                    _ => self.split(pack),
                }
            }
            Heard::Denied(detail) => {
                record.outcome = CallOutcome::Denied;
                record.detail = Some(detail.clone());
                self.give_up(pack, detail);
            }
            Heard::Canceled => {
                record.outcome = CallOutcome::Canceled;
                self.queue.push_front(pack);
                self.closed = Some(Left::Canceled);
            }
        }
        self.log.end(number, &record)?;
        Ok(record)
    }

    fn read(&mut self, pack: Pack, ask: &Ask, text: &str, record: &mut CallRecord) {
        self.answered = true;
        match answer::read(text, &ask.pairs(), &self.asker.prompt.words) {
            Answer::Broken(why) => {
                record.outcome = CallOutcome::Broken;
                self.again_smaller(pack, record, &why);
            }
            Answer::Items(items) => {
                let mut wrong = Vec::new();
                let last = pack.repeats + 1 >= REPEATS;
                for (need, item) in pack.needs.into_iter().zip(items) {
                    match item {
                        // Words of another post: the labels may be that one's, too.
                        Ok(labels) if labels.evidence_alien && !last => {
                            record.detail.get_or_insert_with(|| "evidence that is not in the post".into());
                            wrong.push(need);
                        }
                        Ok(labels) => record.answers.push(AnswerRecord {
                            content: need.content,
                            posts: need.posts,
                            verdict: Verdict::Labels(Box::new(labels)),
                        }),
                        Err(why) => {
                            record.detail.get_or_insert_with(|| why.clone());
                            match last {
                                true => record.answers.push(AnswerRecord {
                                    content: need.content,
                                    posts: need.posts,
                                    verdict: Verdict::Invalid { why },
                                }),
                                false => wrong.push(need),
                            }
                        }
                    }
                }
                record.outcome = match record.detail {
                    None => CallOutcome::Ok,
                    Some(_) => CallOutcome::Partly,
                };
                if !wrong.is_empty() {
                    let repeats = pack.repeats + 1;
                    self.queue.push_front(Pack { repeats, ..Pack::new(wrong) });
                }
            }
        }
    }

    /// No use of the answer to this pack: two halves are asked, one text once more with room for
    /// a longer answer.
    fn again_smaller(&mut self, pack: Pack, record: &mut CallRecord, why: &str) {
        record.detail.get_or_insert_with(|| why.to_string());
        if pack.needs.len() > 1 {
            return self.split(pack);
        }
        if pack.repeats + 1 >= REPEATS {
            record.answers.extend(verdicts(pack, &Verdict::Invalid { why: why.into() }));
        } else {
            let (repeats, roomy) = (pack.repeats + 1, pack.roomy + 1);
            self.queue.push_front(Pack { repeats, roomy, tries: 0, ..pack });
        }
    }

    fn split(&mut self, pack: Pack) {
        let [first, second] = pack.halves();
        self.queue.push_front(second);
        self.queue.push_front(first);
    }

    /// The same pack after a pause, unless its tries are spent or the pause is too long.
    fn later(&mut self, mut pack: Pack, wait: Option<Duration>, exhausted: bool, detail: String) {
        pack.tries += 1;
        if exhausted || wait.is_some_and(|w| w > LONGEST_WAIT) {
            return self.give_up(pack, detail);
        }
        if pack.tries >= TRIES {
            self.down += 1;
            if self.down >= DOWN_AFTER {
                return self.give_up(pack, detail);
            }
            return self.leave(pack, &Left::Unreached(detail));
        }
        let most = FIRST_PAUSE * (1 << pack.tries.min(6));
        let jitter = most.mul_f64((self.asker.hooks.random)());
        let wait = match wait {
            // Not all at the same moment.
            Some(told) => told + jitter.min(Duration::from_millis(250)),
            None => jitter,
        };
        let until = (self.asker.hooks.steady_ms)() + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        self.not_before_ms = self.not_before_ms.max(until);
        self.queue.push_front(pack);
    }

    fn give_up(&mut self, pack: Pack, why: String) {
        self.queue.push_front(pack);
        self.closed = Some(Left::Unreached(why));
    }

    fn leave(&mut self, pack: Pack, why: &Left) {
        for need in pack.needs {
            self.asked.left.insert(need.content, why.clone());
        }
    }

    /// What is in the queue is left, for the reason that it was closed.
    fn close(&mut self) {
        let why = self.closed.clone().unwrap_or(Left::Canceled);
        for pack in std::mem::take(&mut self.queue) {
            self.leave(pack, &why);
        }
    }
}

/// The same verdict for every text of a pack.
fn verdicts(pack: Pack, verdict: &Verdict) -> impl Iterator<Item = AnswerRecord> {
    pack.needs.into_iter().map(move |n| AnswerRecord {
        content: n.content,
        posts: n.posts,
        verdict: verdict.clone(),
    })
}

async fn stopped(stop: &(dyn Fn() -> bool + Sync)) {
    while !stop() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
