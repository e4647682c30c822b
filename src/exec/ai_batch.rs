//! Texts that are asked about in batches: sent together, answered within a day, half the price.
//!
//! Order of sending: calls written down → batch written down → sent → its name written down. Of
//! collecting: looked at → calls with their answers written down → batch written down. Killed
//! anywhere, the same is done again and comes out the same; a batch whose name was lost is looked
//! for by its label, and what cannot be found counts as spent at its most. A run that is stopped
//! leaves its batches alone: they are paid for. One group at a time; blocks on lake and network.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use super::ai::{AI_CALLS, Answered, Chain, Errand, LakeLog};
use super::ai_batch_record::{
    AI_BATCHES, BatchPack, BatchRecord, BatchState, BatchText, Fate, ROUNDS, Tried, drop_open, read_batches,
};
use super::run::now_ms;
use crate::config::Relabel;
use crate::engine::CancellationFlag;
use crate::enrich::{
    Answer, AnswerRecord, BatchReply, CallLog, CallOutcome, CallRecord, Found, Gemini, Heard, Looked, Need,
    Prompt, Question, Rates, Reply, Usd, Verdict, leave_out, read_answer,
};

/// Answers whose texts nobody brings are kept so long, milliseconds.
const KEEP_MS: i64 = 30 * 86_400_000;
/// A batch that has not ended by now never will: the service drops them after two days.
const LOST_AFTER_MS: i64 = 72 * 3_600_000;

/// What stands while a group's texts go through batches.
pub(super) struct Course<'a> {
    pub(super) errand: &'a Errand<'a>,
    pub(super) key: String,
    pub(super) gemini: Option<Arc<Gemini>>,
    pub(super) question: Question,
    pub(super) prompt: &'a Prompt,
    /// Any labels will do, to whatever question.
    any: bool,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) cancel: &'a CancellationFlag,
    pub(super) records: Vec<(u64, BatchRecord)>,
    /// Texts without an answer, by content.
    pub(super) open: &'a mut BTreeMap<String, Need>,
    /// Texts that were answered, but not with labels: batches have said what they can.
    pub(super) said: BTreeSet<String>,
    pub(super) out: &'a mut Answered,
}

impl Errand<'_> {
    /// Takes in what batches have answered, and where `[ai.gemini]` says `mode = "batch"` sends
    /// the rest as a new one. What waits is in [`Answered::pending`] and no more in `open`; what
    /// stays there is for the providers that are asked at once. Blocks.
    ///
    /// # Errors
    /// When the lake refuses.
    pub(super) fn through_batches(
        &self,
        chain: &Chain,
        prompt: &Prompt,
        open: &mut BTreeMap<String, Need>,
        out: &mut Answered,
        cancel: &CancellationFlag,
    ) -> Result<(), String> {
        let key = self.config.graph.key(self.asset).to_string();
        let _alone = self.ai.batching.lock().unwrap_or_else(PoisonError::into_inner);
        let records = read_batches(self.lake, &key).map_err(|e| e.to_string())?;
        let Some(question) = chain.batch_question.clone() else { return Ok(()) };
        if records.is_empty() && !chain.batch {
            return Ok(());
        }
        let relabel = super::ai::asks_network(self.config, self.asset).map(|e| e.relabel);
        let mut course = Course {
            errand: self,
            key,
            gemini: chain.gemini.clone(),
            question,
            prompt,
            any: relabel == Some(Relabel::New),
            runtime: tokio::runtime::Handle::try_current().map_err(|e| e.to_string())?,
            cancel,
            records,
            open,
            said: BTreeSet::new(),
            out,
        };
        course.settle_unsent()?;
        course.collect()?;
        course.wait();
        if chain.batch && !cancel.is_cancelled() {
            course.send()?;
        }
        Ok(())
    }
}

impl Course<'_> {
    pub(super) fn poll_ms(&self) -> i64 {
        self.errand.config.ai.gemini.as_ref().map_or(0, |g| g.batch_poll_ms)
    }

    pub(super) fn note(&mut self, level: &'static str, message: String) {
        self.out.notes.push((level, message));
    }

    /// What a batch's tokens cost.
    pub(super) fn rates(&self) -> Option<Rates> {
        let price = self.errand.config.ai.gemini.as_ref()?.price.as_ref()?;
        Some(Rates::per_million(price.input, price.output, price.cached_input).halved())
    }

    pub(super) fn write(&self, number: u64, record: &BatchRecord) -> Result<(), String> {
        crate::crash::point("write down how an AI batch stands");
        let bytes = serde_json::to_vec(record).map_err(|e| e.to_string())?;
        self.errand.lake.replace_record(AI_BATCHES, &self.key, number, &bytes).map_err(|e| e.to_string())
    }

    /// Changes the record of a call, and what is known with it.
    fn change_call(&self, number: u64, change: impl FnOnce(&mut CallRecord)) -> Result<(), String> {
        let bytes = self.errand.lake.read_record(AI_CALLS, &self.key, number).map_err(|e| e.to_string())?;
        let mut record: CallRecord = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
        let before = record.clone();
        change(&mut record);
        if record != before {
            self.log().end(number, &record)?;
        }
        self.errand.ai.take(&self.key, number, &record);
        Ok(())
    }

    pub(super) fn log(&self) -> LakeLog<'_> {
        LakeLog::new(self.errand.lake, self.errand.config.graph.key(self.errand.asset))
    }

    /// Calls of a batch that was never written down were never sent: whoever began it died, or
    /// another process would hold the lease.
    fn settle_unsent(&mut self) -> Result<(), String> {
        let known: BTreeSet<u64> =
            self.records.iter().flat_map(|(_, r)| r.packs.iter().map(|p| p.call)).collect();
        for number in self.errand.ai.unsent(&self.key) {
            if !known.contains(&number) {
                self.change_call(number, |call| {
                    call.outcome = CallOutcome::Canceled;
                    call.detail = Some("it was never sent".into());
                    call.cost = Some(0);
                })?;
            }
        }
        Ok(())
    }

    /// Looks at every batch that may have something to say.
    fn collect(&mut self) -> Result<(), String> {
        for at in 0..self.records.len() {
            if self.cancel.is_cancelled() {
                break;
            }
            let (number, mut record) = self.records[at].clone();
            match record.state {
                BatchState::Settled => continue,
                BatchState::Written => self.find(number, &mut record)?,
                BatchState::Open if record.due_ms(self.poll_ms()) <= now_ms() => {
                    self.look(number, &mut record)?;
                }
                BatchState::Open => {}
                BatchState::Answered => self.read_on(number, &mut record)?,
            }
            self.records[at].1 = record;
        }
        Ok(())
    }

    /// A batch whose sender died before it knew the name.
    fn find(&mut self, number: u64, record: &mut BatchRecord) -> Result<(), String> {
        let Some(gemini) = self.gemini.clone() else { return Ok(()) };
        match self.runtime.block_on(gemini.find_batch(&record.label)) {
            Found::Named(name) => {
                record.name = Some(name);
                record.state = BatchState::Open;
                self.write(number, record)
            }
            Found::Absent => {
                let why = "it was written down and never found at the provider".to_string();
                self.note(
                    "warn",
                    format!(
                        "{}: a batch of run {} with {} did not reach {}, or got lost there; {} is counted as \
                         spent, and its texts are asked about again",
                        self.key,
                        record.run,
                        texts(record.waiting()),
                        record.question.provider,
                        Usd(record.at_most)
                    ),
                );
                self.give_up(number, record, why, None)
            }
            Found::Unknown(why) if is_lost(record) => self.give_up_lost(number, record, &why),
            Found::Unknown(why) => {
                self.out.troubles.insert(format!("the batch {}: {why}", record.words()));
                Ok(())
            }
        }
    }

    /// Its texts are free again. `cost` of its calls; what is not known counts at its most.
    pub(super) fn give_up(
        &mut self,
        number: u64,
        record: &mut BatchRecord,
        why: String,
        cost: Option<u64>,
    ) -> Result<(), String> {
        for pack in &mut record.packs {
            self.change_call(pack.call, |call| {
                if call.outcome == CallOutcome::Sent {
                    call.outcome = CallOutcome::Failed;
                    call.detail = Some(why.clone());
                    call.cost = cost;
                }
            })?;
            drop_open(pack);
        }
        record.state = BatchState::Settled;
        record.detail = Some(why);
        record.ended_ms = Some(now_ms());
        self.write(number, record)
    }

    /// As [`Self::give_up`], for a batch of which nothing was heard for too long.
    fn give_up_lost(&mut self, number: u64, record: &mut BatchRecord, why: &str) -> Result<(), String> {
        let hours = LOST_AFTER_MS / 3_600_000;
        self.note(
            "warn",
            format!(
                "{}: the batch {} has no answer after {hours} h ({why}); {} is counted as spent, and its texts \
                 are asked about again",
                self.key,
                record.words(),
                Usd(record.at_most)
            ),
        );
        self.give_up(number, record, format!("no answer after {hours} h: {why}"), None)
    }

    fn look(&mut self, number: u64, record: &mut BatchRecord) -> Result<(), String> {
        let (Some(gemini), Some(name)) = (self.gemini.clone(), record.name.clone()) else { return Ok(()) };
        let looked = self.runtime.block_on(gemini.look_at_batch(&name));
        record.looked_ms = Some(now_ms());
        match looked {
            Looked::Unknown(_) if self.cancel.is_cancelled() => Ok(()),
            Looked::Open if is_lost(record) => self.give_up_lost(number, record, "it does not end"),
            Looked::Unknown(why) if is_lost(record) => self.give_up_lost(number, record, &why),
            Looked::Open => self.write(number, record),
            Looked::Unknown(why) => {
                self.out.troubles.insert(format!("the batch {name}: {why}"));
                self.write(number, record)
            }
            Looked::Gone(why) => {
                self.note(
                    "warn",
                    format!(
                        "{}: the batch {name} is not there any more ({why}); {} is counted as spent, and its \
                         texts are asked about again",
                        self.key,
                        Usd(record.at_most)
                    ),
                );
                self.give_up(number, record, why, None)
            }
            Looked::Ended { replies, why } => self.take(number, record, replies, why),
        }
    }

    /// A batch has ended: what came goes into the log of calls, then into the batch.
    fn take(
        &mut self,
        number: u64,
        record: &mut BatchRecord,
        replies: Vec<BatchReply>,
        why: Option<String>,
    ) -> Result<(), String> {
        let tried = self.tried(&record.question);
        let mut replies = by_pack(&record.packs, replies);
        // The request itself is wrong, not what it asks about.
        let all_rejected = replies.iter().flatten().all(|r| matches!(r.reply.heard, Heard::Rejected(_)));
        let (mut cost, mut lost) = (Usd::ZERO, 0);
        let at_ms = record.at_ms;
        record.detail.clone_from(&why);
        for (pack, reply) in record.packs.iter_mut().zip(replies.drain(..)) {
            let mut reply = match reply {
                Some(reply) => reply.reply,
                None => {
                    let why = why.clone().unwrap_or_else(|| "the batch has no answer to this pack".into());
                    let mut reply = Reply::of(Heard::Failed(why));
                    // A batch that did not succeed bills what it answered.
                    reply.tokens = record.detail.is_some().then(Default::default);
                    reply
                }
            };
            if all_rejected && let Heard::Rejected(why) = reply.heard {
                reply.heard = Heard::Failed(why);
            }
            if matches!(reply.heard, Heard::Failed(_) | Heard::Busy { .. } | Heard::Denied(_)) {
                lost += pack.texts.len();
            }
            cost += self.settle(pack, reply, at_ms, &tried)?;
        }
        let read = record.texts().filter(|t| t.fate == Fate::Read).count() as u64;
        let again = record.texts().filter(|t| t.fate == Fate::Again).count() as u64;
        let words = record.words().to_string();
        self.out.cost += cost;
        self.note("info", format!("{}: the batch {words} is answered, {cost}: {}", self.key, texts(read)));
        if again > 0 {
            self.note("warn", format!("{}: {} got no right answer in {words}", self.key, texts(again)));
        }
        if lost > 0 {
            let detail = why.as_deref().unwrap_or("errors in place of answers");
            let line = format!("{}: {words} left {} unanswered ({detail})", self.key, texts(lost as u64));
            self.note("warn", line);
        }
        record.ended_ms = Some(now_ms());
        self.done(number, record)
    }

    fn done(&self, number: u64, record: &mut BatchRecord) -> Result<(), String> {
        let waits = record.packs.iter().any(|p| p.answer.is_some());
        record.state = if waits { BatchState::Answered } else { BatchState::Settled };
        self.write(number, record)
    }

    /// Answers that are here already, and texts that they may be about.
    fn read_on(&mut self, number: u64, record: &mut BatchRecord) -> Result<(), String> {
        let tried = self.tried(&record.question);
        let before = record.clone();
        let old = record.ended_ms.is_some_and(|at| at.saturating_add(KEEP_MS) < now_ms());
        for pack in &mut record.packs {
            if pack.answer.is_none() {
                continue;
            }
            let wanted = |t: &BatchText| t.fate == Fate::Open && self.open.contains_key(&t.content);
            if pack.texts.iter().any(wanted) {
                let (answers, _, _) = self.read(pack, &tried);
                self.learn(&answers);
                self.change_call(pack.call, |call| add(call, answers))?;
            }
            if old {
                drop_open(pack);
            }
        }
        match *record == before {
            true => Ok(()),
            false => self.done(number, record),
        }
    }

    pub(super) fn tried(&self, question: &Question) -> Tried {
        Tried::of(self.records.iter().map(|(_, r)| r), question, now_ms())
    }

    /// Writes down what one request of a batch brought. What it cost, or could have.
    fn settle(
        &mut self,
        pack: &mut BatchPack,
        reply: Reply,
        at_ms: i64,
        tried: &Tried,
    ) -> Result<Usd, String> {
        let cost = crate::enrich::call_cost(false, self.rates(), reply.tokens);
        let alone = pack.texts.len() == 1;
        let (answers, outcome, detail) = match reply.heard {
            Heard::Text(text) => {
                pack.answer = Some(text);
                self.read(pack, tried)
            }
            Heard::Cut => {
                let why = "the answer was cut at its most tokens";
                (again(&mut pack.texts, tried, why), CallOutcome::Cut, Some(why.into()))
            }
            Heard::Refused(why) if alone => {
                let verdict = Verdict::Refused { why: why.clone() };
                (verdicts(&mut pack.texts, &verdict), CallOutcome::Refused, Some(why))
            }
            Heard::Refused(why) => (again(&mut pack.texts, tried, &why), CallOutcome::Refused, Some(why)),
            Heard::Rejected(why) => (again(&mut pack.texts, tried, &why), CallOutcome::Rejected, Some(why)),
            Heard::Busy { detail, .. } => lost(pack, CallOutcome::Busy, detail),
            Heard::Failed(why) => lost(pack, CallOutcome::Failed, why),
            Heard::Denied(why) => lost(pack, CallOutcome::Denied, why),
            Heard::Canceled => lost(pack, CallOutcome::Canceled, "it was canceled".into()),
        };
        self.learn(&answers);
        let elapsed = u64::try_from(now_ms().saturating_sub(at_ms)).unwrap_or(0);
        let mut counts = Usd::ZERO;
        self.change_call(pack.call, |call| {
            // Killed after this was written, it is the first look that counts.
            if call.outcome == CallOutcome::Sent {
                call.outcome = outcome;
                call.detail = detail;
                call.tokens = reply.tokens;
                call.cost = cost.map(|c| c.0);
                call.model_version = reply.model_version;
                call.finish_reason = reply.finish_reason;
                call.elapsed_ms = elapsed;
            }
            add(call, answers);
            counts = call.counts();
        })?;
        Ok(counts)
    }

    /// Reads the answer of a pack as far as its texts are at hand.
    fn read(&self, pack: &mut BatchPack, tried: &Tried) -> (Vec<AnswerRecord>, CallOutcome, Option<String>) {
        let Some(answer) = pack.answer.take() else { return (Vec::new(), CallOutcome::Ok, None) };
        let answer = match leave_out(&answer, &ids_but_open(&pack.texts)) {
            Some(answer) => answer,
            None => answer,
        };
        let pairs: Vec<(String, &str)> = ids(&pack.texts)
            .filter(|(_, t)| is_open(t))
            .map(|(id, t)| (id, self.open.get(&t.content).map_or("", |n| n.text.as_str())))
            .collect();
        let items = match read_answer(&answer, &pairs, &self.prompt.words) {
            Answer::Broken(why) => {
                return (again(&mut pack.texts, tried, &why), CallOutcome::Broken, Some(why));
            }
            Answer::Items(items) => items,
        };
        let (mut answers, mut wrong) = (Vec::new(), None);
        for (text, item) in pack.texts.iter_mut().filter(|t| is_open(t)).zip(items) {
            match item {
                Err(why) => {
                    answers.extend(again(std::slice::from_mut(text), tried, &why));
                    wrong.get_or_insert(why);
                }
                Ok(labels) if self.open.contains_key(&text.content) => {
                    text.fate = Fate::Read;
                    let verdict = Verdict::Labels(Box::new(labels));
                    answers.push(AnswerRecord {
                        content: text.content.clone(),
                        posts: text.posts.clone(),
                        verdict,
                    });
                }
                // Its day is not part of this step; evidence is checked where the text is.
                Ok(_) => {}
            }
        }
        if pack.texts.iter().any(is_open) {
            pack.answer = leave_out(&answer, &ids_but_open(&pack.texts));
        }
        let outcome = if wrong.is_some() { CallOutcome::Partly } else { CallOutcome::Ok };
        (answers, outcome, wrong)
    }

    /// What was learned of texts of this group.
    fn learn(&mut self, answers: &[AnswerRecord]) {
        for answer in answers {
            self.out.left.remove(&answer.content);
            match answer.verdict {
                Verdict::Labels(_) => drop(self.open.remove(&answer.content)),
                _ => drop(self.said.insert(answer.content.clone())),
            }
        }
    }

    /// Texts of batches that are not answered wait for them.
    fn wait(&mut self) {
        let (mut since, mut next, mut batches) = (i64::MAX, i64::MAX, 0u64);
        let mut waiting = BTreeSet::new();
        let poll_ms = self.poll_ms();
        for (_, record) in &self.records {
            if !record.is_open() || !(self.any || record.question == self.question) {
                continue;
            }
            let before = waiting.len();
            waiting.extend(record.texts().map(|t| t.content.clone()).filter(|c| self.open.contains_key(c)));
            if waiting.len() > before {
                batches += 1;
                since = since.min(record.at_ms);
                next = next.min(record.due_ms(poll_ms));
            }
        }
        for content in &waiting {
            self.open.remove(content);
            self.out.left.remove(content);
        }
        if !waiting.is_empty() {
            let batches = if batches == 1 { "a batch".to_string() } else { format!("{batches} batches") };
            self.note(
                "info",
                format!(
                    "{}: {} for {batches}, sent at {}; looked at again after {}",
                    self.key,
                    match waiting.len() {
                        1 => "1 text waits".to_string(),
                        n => format!("{n} texts wait"),
                    },
                    minute(since),
                    minute(next.max(now_ms()))
                ),
            );
        }
        self.out.pending.append(&mut waiting);
    }
}

/// The reply of each pack: by its key, or by place where no reply has a key.
fn by_pack(packs: &[BatchPack], replies: Vec<BatchReply>) -> Vec<Option<BatchReply>> {
    if replies.len() == packs.len() && replies.iter().all(|r| r.key.is_none()) {
        return replies.into_iter().map(Some).collect();
    }
    let mut by_key: BTreeMap<String, BatchReply> = BTreeMap::new();
    for reply in replies {
        if let Some(key) = reply.key.clone() {
            by_key.entry(key).or_insert(reply);
        }
    }
    packs.iter().map(|p| by_key.remove(&p.key)).collect()
}

fn is_lost(record: &BatchRecord) -> bool {
    record.at_ms.saturating_add(LOST_AFTER_MS) < now_ms()
}

fn is_open(text: &BatchText) -> bool {
    text.fate == Fate::Open && !text.content.is_empty()
}

fn ids(texts: &[BatchText]) -> impl Iterator<Item = (String, &BatchText)> {
    (1..).zip(texts).map(|(n, text)| (format!("p{n}"), text))
}

fn ids_but_open(texts: &[BatchText]) -> BTreeSet<String> {
    ids(texts).filter(|(_, t)| !is_open(t)).map(|(id, _)| id).collect()
}

/// The same verdict for every text of which nothing is known.
fn verdicts(texts: &mut [BatchText], verdict: &Verdict) -> Vec<AnswerRecord> {
    let mut out = Vec::new();
    for text in texts.iter_mut().filter(|t| is_open(t)) {
        text.fate = Fate::Read;
        out.push(AnswerRecord {
            content: text.content.clone(),
            posts: text.posts.clone(),
            verdict: verdict.clone(),
        });
    }
    out
}

/// Texts without a right answer are asked about again, but not for ever.
fn again(texts: &mut [BatchText], tried: &Tried, why: &str) -> Vec<AnswerRecord> {
    let mut out = Vec::new();
    for text in texts.iter_mut().filter(|t| is_open(t)) {
        if tried.rounds(&text.content) + 1 < ROUNDS {
            text.fate = Fate::Again;
            continue;
        }
        text.fate = Fate::Read;
        let verdict = Verdict::Invalid { why: why.to_string() };
        out.push(AnswerRecord { content: text.content.clone(), posts: text.posts.clone(), verdict });
    }
    out
}

/// Nothing was answered to a pack.
fn lost(
    pack: &mut BatchPack,
    outcome: CallOutcome,
    why: String,
) -> (Vec<AnswerRecord>, CallOutcome, Option<String>) {
    for text in pack.texts.iter_mut().filter(|t| is_open(t)) {
        text.fate = Fate::Lost;
    }
    (Vec::new(), outcome, Some(why))
}

/// Adds answers that a call's record does not have.
fn add(call: &mut CallRecord, answers: Vec<AnswerRecord>) {
    for answer in answers {
        if !call.answers.iter().any(|a| a.content == answer.content) {
            call.answers.push(answer);
        }
    }
}

pub(super) fn texts(n: u64) -> String {
    match n {
        1 => "1 text".into(),
        n => format!("{n} texts"),
    }
}

/// A moment for a message.
pub(super) fn minute(ms: i64) -> String {
    let text = crate::envelope::format_millis(ms);
    format!("{} UTC", text.get(..16).unwrap_or(&text).replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(key: &str, texts: usize) -> BatchPack {
        let text = |n: usize| BatchText { content: format!("{key}{n}"), posts: Vec::new(), fate: Fate::Open };
        BatchPack {
            key: key.into(),
            call: 1,
            marker: "m".into(),
            texts: (0..texts).map(text).collect(),
            answer: None,
        }
    }

    #[test]
    fn replies_belong_to_packs_by_key_or_else_by_place() {
        let packs = [pack("k1", 1), pack("k2", 1)];
        let reply = |key: Option<&str>, text: &str| BatchReply {
            key: key.map(str::to_string),
            reply: Reply::of(Heard::Text(text.into())),
        };
        let said = |replies| -> Vec<Option<Heard>> {
            by_pack(&packs, replies).into_iter().map(|r| r.map(|r| r.reply.heard)).collect()
        };
        let text = |t: &str| Some(Heard::Text(t.into()));
        assert_eq!(said(vec![reply(Some("k2"), "b"), reply(Some("k1"), "a")]), [text("a"), text("b")]);
        assert_eq!(said(vec![reply(None, "a"), reply(None, "b")]), [text("a"), text("b")]);
        assert_eq!(said(vec![reply(None, "a")]), [None, None], "nobody knows whose it is");
        assert_eq!(said(vec![reply(Some("k9"), "x"), reply(Some("k2"), "b")]), [None, text("b")]);
    }

    #[test]
    fn a_text_is_asked_about_three_times_and_then_is_invalid() {
        let mut tried = Tried::default();
        for round in 0..ROUNDS {
            let mut texts = pack("k", 1).texts;
            let answers = again(&mut texts, &tried, "no JSON");
            let last = round + 1 == ROUNDS;
            assert_eq!(texts[0].fate, if last { Fate::Read } else { Fate::Again });
            assert_eq!(answers.len(), usize::from(last));
            tried.again.insert("k0".into(), round + 1);
        }
    }
}
