//! Sending texts as a batch: packs, money, writing down, making it. See [`super::ai_batch`] for
//! the order. Blocks on the lake and the network.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use super::ai_batch::{Course, minute, texts};
use super::ai_batch_record::{
    AI_BATCHES, BatchPack, BatchRecord, BatchState, BatchText, Fate, LOSSES, Tried,
};
use super::run::now_ms;
use crate::enrich::{
    Ask, BATCH_BYTES, Budget, CallLog, CallOutcome, CallRecord, Found, Gemini, Heard, Left, Made, Need,
    REDACTION_VERSION, Reserved, Spent, Usd,
};

/// Tries to send a batch when the provider is busy.
const TRIES: u32 = 5;
/// A longer wait is left to another run.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Requests of one batch, so that its answers can be read at once.
const PACKS: usize = 2_000;
/// Tokens that an answer may have at most, as the API takes it.
const OUTPUT_MOST: u32 = 65_536;

impl Course<'_> {
    /// Sends what is left as batches, the weightiest first.
    pub(super) fn send(&mut self) -> Result<(), String> {
        let Some(gemini) = self.gemini.clone() else { return Ok(()) };
        let mut needs = Vec::new();
        let tried = self.tried(&self.question);
        for (content, need) in self.open.iter() {
            match tried.lost.get(content) {
                _ if self.said.contains(content) => {}
                Some((n, why)) if *n >= LOSSES => {
                    let why = format!("{n} batches were lost, the last one: {why}");
                    self.out.left.insert(content.clone(), Left::Unreached(why.clone()));
                    self.out.troubles.insert(format!("gemini: {why}"));
                }
                _ => needs.push(need.clone()),
            }
        }
        let packs = packs(needs, self.errand.config.ai.pack_size, &tried);
        let budget = self.errand.budget();
        let mut batch = Draft::default();
        let mut queue = packs.into_iter();
        let mut spent: Option<Spent> = None;
        for (n, (needs, round)) in (1..).zip(queue.by_ref()) {
            let mut ask = Ask::new(needs.iter().map(|n| n.text.as_str()));
            ask.max_output = ask.max_output.saturating_mul(1 << round.min(4)).min(OUTPUT_MOST);
            let key = format!("k{n}");
            let item = gemini.batch_item(self.prompt, &key, &ask);
            let at_most =
                self.rates().map_or(Usd::ZERO, |r| r.at_most(item.len() as u64, u64::from(ask.max_output)));
            if batch.bytes + item.len() > BATCH_BYTES || batch.packs.len() >= PACKS {
                let full = std::mem::take(&mut batch);
                if !self.send_one(&gemini, full, &budget)? {
                    self.leave(needs, &Left::Unreached("the batch before it was not taken".into()));
                    break;
                }
            }
            let reserved = budget.lock().unwrap_or_else(PoisonError::into_inner).reserve(at_most);
            match reserved {
                Ok(reserved) => {
                    batch.bytes += item.len() + 1;
                    batch.packs.push(DraftPack { needs, round, key, marker: ask.marker, item, at_most });
                    batch.reserved.push(reserved);
                }
                Err(why) => {
                    self.leave(needs, &Left::Budget(why));
                    spent = Some(why);
                    break;
                }
            }
        }
        let why = match spent {
            Some(spent) => Left::Budget(spent),
            None => Left::Unreached("the batch before it was not taken".into()),
        };
        for (needs, _) in queue {
            self.leave(needs, &why);
        }
        if !batch.packs.is_empty() {
            self.send_one(&gemini, batch, &budget)?;
        }
        Ok(())
    }

    fn leave(&mut self, needs: Vec<Need>, why: &Left) {
        for need in needs {
            self.out.left.insert(need.content, why.clone());
        }
    }

    /// Sends one batch. False when the provider did not take it.
    fn send_one(
        &mut self,
        gemini: &Gemini,
        draft: Draft,
        budget: &std::sync::Mutex<Budget>,
    ) -> Result<bool, String> {
        let label = format!("rxpulse-{}-{:016x}", self.key, fastrand::u64(..));
        let mut record = BatchRecord {
            at_ms: now_ms(),
            run: self.errand.run,
            asset: self.key.clone(),
            question: self.question.clone(),
            redaction_version: REDACTION_VERSION.into(),
            label,
            name: None,
            state: BatchState::Written,
            detail: None,
            looked_ms: None,
            ended_ms: None,
            at_most: draft.packs.iter().map(|p| p.at_most).sum::<Usd>().0,
            packs: Vec::new(),
        };
        let log = self.log();
        for pack in &draft.packs {
            let call = self.call(pack, record.at_ms);
            let number = log.begin(&call)?;
            self.errand.ai.take(&self.key, number, &call);
            let text =
                |n: &Need| BatchText { content: n.content.clone(), posts: n.posts.clone(), fate: Fate::Open };
            record.packs.push(BatchPack {
                key: pack.key.clone(),
                call: number,
                marker: pack.marker.clone(),
                texts: pack.needs.iter().map(text).collect(),
                answer: None,
            });
        }
        crate::crash::point("write down an AI batch");
        let bytes = serde_json::to_vec(&record).map_err(|e| e.to_string())?;
        let number =
            self.errand.lake.append_record(AI_BATCHES, &self.key, &bytes).map_err(|e| e.to_string())?;
        let items: Vec<String> = draft.packs.iter().map(|p| p.item.clone()).collect();
        crate::crash::point("send an AI batch");
        let made = self.make(gemini, &record.label, &items);
        crate::crash::point("write down an AI batch's name");
        let mut account = budget.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = !matches!(made, Made::Refused(_));
        for reserved in draft.reserved {
            match taken {
                // Until it is answered it may cost its most.
                true => account.settle(reserved, None),
                false => account.give_back(reserved),
            }
        }
        drop(account);
        let sent = texts(draft.packs.iter().map(|p| p.needs.len() as u64).sum());
        match made {
            Made::Named(name) => {
                record.name = Some(name.clone());
                record.state = BatchState::Open;
                self.write(number, &record)?;
                let line = format!(
                    "{}: {sent} went to gemini as the batch {name}, at most {}; its answers are looked for after {}",
                    self.key,
                    Usd(record.at_most),
                    minute(record.due_ms(self.poll_ms()))
                );
                self.note("info", line);
            }
            Made::Failed(why) | Made::Unknown(why) => {
                let line = format!(
                    "{}: {sent} went to gemini, and whether they arrived is not known ({why}); the next run looks",
                    self.key
                );
                self.note("warn", line);
            }
            Made::Refused(heard) => {
                let why = match heard {
                    Heard::Busy { detail, .. } => detail,
                    Heard::Failed(why) | Heard::Rejected(why) | Heard::Denied(why) => why,
                    other => format!("{other:?}"),
                };
                self.give_up(number, &mut record, why.clone(), Some(0))?;
                self.out.troubles.insert(format!("gemini: the batch was not taken: {why}"));
                for pack in draft.packs {
                    self.leave(pack.needs, &Left::Unreached(why.clone()));
                }
                return Ok(false);
            }
        }
        for text in record.texts() {
            self.open.remove(&text.content);
            self.out.left.remove(&text.content);
            self.out.pending.insert(text.content.clone());
        }
        self.records.push((number, record));
        Ok(true)
    }

    fn call(&self, pack: &DraftPack, at_ms: i64) -> CallRecord {
        let price = self.errand.config.ai.gemini.as_ref().and_then(|g| g.price.as_ref()?.as_of);
        CallRecord {
            at_ms,
            run: self.errand.run,
            asset: self.key.clone(),
            question: self.question.clone(),
            redaction_version: REDACTION_VERSION.into(),
            model_version: None,
            status: None,
            outcome: CallOutcome::Sent,
            detail: None,
            finish_reason: None,
            attempt: pack.round + 1,
            batch: true,
            pack: pack.needs.len(),
            posts: pack.needs.iter().flat_map(|n| n.posts.iter().cloned()).collect(),
            tokens: None,
            cost: None,
            at_most: pack.at_most.0,
            price_as_of: price.map(|d| d.to_string()),
            elapsed_ms: 0,
            answers: Vec::new(),
        }
    }

    /// Makes a batch, trying again as long as it is certain that there is none.
    fn make(&self, gemini: &Gemini, label: &str, items: &[String]) -> Made {
        let mut tries = 0;
        loop {
            tries += 1;
            let made = self.runtime.block_on(gemini.make_batch(label, items));
            let wait = match &made {
                Made::Named(_) => return made,
                Made::Refused(Heard::Busy { wait, exhausted: false, .. }) => *wait,
                Made::Refused(Heard::Failed(_)) => None,
                Made::Refused(_) => return made,
                Made::Failed(_) | Made::Unknown(_) => {
                    match (self.runtime.block_on(gemini.find_batch(label)), &made) {
                        (Found::Named(name), _) => return Made::Named(name),
                        (Found::Absent, Made::Failed(_)) => None,
                        (_, Made::Failed(why)) => return Made::Unknown(why.clone()),
                        _ => return made,
                    }
                }
            };
            let most = Duration::from_secs(1 << tries.min(6));
            let wait = wait.unwrap_or_else(|| most.mul_f64(fastrand::f64()));
            if tries >= TRIES || wait > LONGEST_WAIT || !self.pause(wait) {
                return match made {
                    // It said so itself, and there is none.
                    Made::Failed(why) => Made::Refused(Heard::Failed(why)),
                    made => made,
                };
            }
        }
    }

    /// Waits. False when the run was stopped.
    fn pause(&self, wait: Duration) -> bool {
        let until = std::time::Instant::now() + wait;
        while !self.cancel.is_cancelled() {
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
        false
    }
}

/// A batch that is put together.
#[derive(Default)]
struct Draft {
    packs: Vec<DraftPack>,
    bytes: usize,
    reserved: Vec<Reserved>,
}

struct DraftPack {
    needs: Vec<Need>,
    round: u32,
    key: String,
    marker: String,
    item: String,
    at_most: Usd,
}

/// Texts in packs, the weightiest first. What got no right answer goes in half a pack, then alone.
fn packs(mut needs: Vec<Need>, size: usize, tried: &Tried) -> Vec<(Vec<Need>, u32)> {
    // Of equal weight by their content: the same packs whatever order they came in.
    needs.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.content.cmp(&b.content)));
    let mut by_round: BTreeMap<u32, Vec<Need>> = BTreeMap::new();
    for need in needs {
        by_round.entry(tried.rounds(&need.content)).or_default().push(need);
    }
    let mut out = Vec::new();
    for (round, mut needs) in by_round {
        let size = match round {
            0 => size,
            1 => size.div_ceil(2),
            _ => 1,
        };
        while !needs.is_empty() {
            let rest = needs.split_off(size.max(1).min(needs.len()));
            out.push((std::mem::replace(&mut needs, rest), round));
        }
    }
    out.sort_by_key(|(needs, _)| std::cmp::Reverse(needs.first().map(|n| n.weight)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(content: &str, weight: u64) -> Need {
        Need { content: content.into(), text: content.into(), posts: vec![content.into()], weight }
    }

    fn names(packs: &[(Vec<Need>, u32)]) -> Vec<(String, u32)> {
        let name = |p: &[Need]| p.iter().map(|n| n.content.as_str()).collect::<Vec<_>>().join("");
        packs.iter().map(|(p, round)| (name(p), *round)).collect()
    }

    #[test]
    fn packs_get_smaller_with_every_wrong_answer() {
        let mut tried = Tried::default();
        tried.again.extend([("c".to_string(), 1), ("d".to_string(), 1), ("e".to_string(), 2)]);
        let needs = || ["a", "b", "c", "d", "e"].into_iter().zip([1, 5, 9, 2, 3]).map(|(c, w)| need(c, w));
        let expected = [("c", 1), ("ba", 0), ("e", 2), ("d", 1)].map(|(n, r)| (n.to_string(), r));
        assert_eq!(names(&packs(needs().collect(), 2, &tried)), expected);
        assert_eq!(names(&packs(needs().rev().collect(), 2, &tried)), expected, "in whatever order");
        assert_eq!(packs(Vec::new(), 2, &tried), Vec::new());
    }
}
