//! Batches of requests to a language model, as the lake remembers them (`ai_batches`).
//!
//! A batch is written down before it is sent, with what it asks about: hashes of texts and ids of
//! posts, never a text. Each of its packs is a call of the log `ai_calls` besides, written before
//! the batch, so that budgets count it at its most until it is known what it cost. Blocks on the
//! lake.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::enrich::{Question, leave_out};
use crate::lake::{Lake, LakeError};
use crate::source::Traces;

use super::ai::asks_network;

/// The kind of the lake's records.
pub const AI_BATCHES: &str = "ai_batches";

/// Losses of one text within [`LOSS_MS`] after which it is not sent again for now.
pub(super) const LOSSES: u32 = 3;
/// How long a batch that was lost counts.
pub(super) const LOSS_MS: i64 = 86_400_000;
/// Answers that are not right, after which a text's answer is invalid.
pub(super) const ROUNDS: u32 = 3;

/// How far a batch is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// It is about to be sent; found so later, nobody knows whether it was.
    Written,
    /// The provider has it.
    Open,
    /// Its answers are here; some wait for the texts that they are about.
    Answered,
    /// Nothing is left to do.
    Settled,
}

/// What became of one text of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Not known yet.
    Open,
    /// There is a verdict, in the log of calls.
    Read,
    /// The answer was not right: it is asked about again.
    Again,
    /// Nothing was answered: it is asked about again, some times.
    Lost,
    /// The batch was never taken, or is not known any more.
    Dropped,
}

/// One text of a pack.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct BatchText {
    /// The hash of the text; empty when its post was forgotten.
    pub content: String,
    /// The posts that have it.
    pub posts: Vec<String>,
    /// What became of it.
    pub fate: Fate,
}

/// One request of a batch.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct BatchPack {
    /// Its key in the batch.
    pub key: String,
    /// The number of its record in the asset's log of calls.
    pub call: u64,
    /// What stood around the posts.
    pub marker: String,
    /// `p1`, `p2`, … in this order.
    pub texts: Vec<BatchText>,
    /// The model's words, until all of them are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// One batch.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct BatchRecord {
    /// When it was sent, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// By which run.
    pub run: i64,
    /// For which asset.
    pub asset: String,
    /// What was asked.
    pub question: Question,
    /// The rules of redaction.
    pub redaction_version: String,
    /// What we call it: nothing else has this name.
    pub label: String,
    /// What the provider calls it, once that is known.
    pub name: Option<String>,
    /// How far it is.
    pub state: BatchState,
    /// How it ended, where that is not plain.
    pub detail: Option<String>,
    /// When it was last looked at.
    pub looked_ms: Option<i64>,
    /// When it had ended.
    pub ended_ms: Option<i64>,
    /// What it could cost at most, in pico-dollars.
    pub at_most: u64,
    /// Its requests.
    pub packs: Vec<BatchPack>,
}

impl BatchRecord {
    /// When it is due to be looked at, milliseconds since 1970 UTC.
    pub fn due_ms(&self, poll_ms: i64) -> i64 {
        self.looked_ms.unwrap_or(self.at_ms).max(self.at_ms).saturating_add(poll_ms)
    }

    /// Whether the provider still has to say something.
    pub fn is_open(&self) -> bool {
        matches!(self.state, BatchState::Written | BatchState::Open)
    }

    /// Content hashes of the texts that it is still to tell about.
    pub fn open_contents(&self) -> impl Iterator<Item = &str> {
        self.texts().filter(|t| t.fate == Fate::Open && !t.content.is_empty()).map(|t| t.content.as_str())
    }

    /// What it is called in messages.
    pub fn words(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.label)
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &BatchText> {
        self.packs.iter().flat_map(|p| &p.texts)
    }

    /// Texts of which nothing is known yet.
    pub fn waiting(&self) -> u64 {
        self.texts().filter(|t| t.fate == Fate::Open && !t.content.is_empty()).count() as u64
    }
}

/// A batch that is not answered, for those who wait for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenBatch {
    /// Of which asset.
    pub asset: String,
    /// What the provider calls it; what we do, as long as that is not known.
    pub name: String,
    /// When it was sent, milliseconds since 1970 UTC.
    pub since_ms: i64,
    /// When it is looked at next; a run before that does not ask.
    pub next_ms: i64,
    /// Texts that wait for it.
    pub texts: u64,
    /// What it can cost at most, in pico-dollars.
    pub at_most: u64,
}

/// The batches of a lake that are not answered, by asset and age. A batch that nobody knows the
/// name of is due at once.
///
/// # Errors
/// When a record cannot be read.
pub fn open_batches(lake: &Lake, config: &Config) -> Result<Vec<OpenBatch>, LakeError> {
    let poll_ms = config.ai.gemini.as_ref().map_or(0, |g| g.batch_poll_ms);
    let mut out = Vec::new();
    for name in lake.list_record_names(AI_BATCHES)? {
        for (_, record) in read_batches(lake, &name)? {
            if record.is_open() {
                out.push(OpenBatch {
                    next_ms: match record.state {
                        BatchState::Written => record.at_ms,
                        _ => record.due_ms(poll_ms),
                    },
                    name: record.words().to_string(),
                    since_ms: record.at_ms,
                    texts: record.waiting(),
                    at_most: record.at_most,
                    asset: record.asset,
                });
            }
        }
    }
    Ok(out)
}

/// Whether a run could learn something of an asset's batches now: one is due, or answers are here
/// that no run has read. Where none is open at all there is nothing to wait for: true as well.
///
/// # Errors
/// When a record cannot be read.
pub fn batch_is_due(lake: &Lake, config: &Config, asset: &str, now_ms: i64) -> Result<bool, LakeError> {
    let poll_ms = config.ai.gemini.as_ref().map_or(0, |g| g.batch_poll_ms);
    let declared = config.graph.find(asset).is_some_and(|idx| asks_network(config, idx).is_some());
    let records = read_batches(lake, asset)?;
    let open = records.iter().any(|(_, r)| r.state == BatchState::Open);
    let due = records.iter().any(|(_, r)| match r.state {
        BatchState::Written | BatchState::Answered => true,
        BatchState::Open => r.due_ms(poll_ms) <= now_ms,
        BatchState::Settled => false,
    });
    Ok(!declared || due || !open)
}

/// The batches of an asset, by number, oldest first.
///
/// # Errors
/// When a record cannot be read.
pub fn read_batches(lake: &Lake, asset: &str) -> Result<Vec<(u64, BatchRecord)>, LakeError> {
    let mut out = Vec::new();
    for (number, path) in lake.list_records(AI_BATCHES, asset)? {
        let bytes = lake.read_record(AI_BATCHES, asset, number)?;
        let record = serde_json::from_slice(&bytes)
            .map_err(|e| LakeError::Corrupt { path, why: format!("it is no record of a batch: {e}") })?;
        out.push((number, record));
    }
    Ok(out)
}

/// How often texts were asked about in batches for nothing.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// Answers that were not right.
    pub(super) again: BTreeMap<String, u32>,
    /// Batches that were lost lately, and how the last one was.
    pub(super) lost: BTreeMap<String, (u32, String)>,
}

impl Tried {
    /// Counts what the batches of a question say.
    pub(super) fn of<'a>(
        records: impl IntoIterator<Item = &'a BatchRecord>,
        question: &Question,
        now_ms: i64,
    ) -> Self {
        let mut out = Self::default();
        for record in records.into_iter().filter(|r| r.question == *question) {
            let lately = record.ended_ms.is_some_and(|at| at > now_ms.saturating_sub(LOSS_MS));
            for text in record.texts() {
                match text.fate {
                    Fate::Again => *out.again.entry(text.content.clone()).or_default() += 1,
                    Fate::Lost if lately => {
                        let (n, why) = out.lost.entry(text.content.clone()).or_default();
                        *n += 1;
                        *why = record.detail.clone().unwrap_or_else(|| "nothing was answered".into());
                    }
                    _ => {}
                }
            }
        }
        out
    }

    /// How often a text got an answer that was not right.
    pub(super) fn rounds(&self, content: &str) -> u32 {
        self.again.get(content).copied().unwrap_or(0)
    }
}

/// Takes posts out of the batches: their ids, the hashes of their texts, and what a model said of
/// them that nobody has read yet. How many texts lost something.
///
/// # Errors
/// When the lake refuses.
pub fn erase_batches(lake: &Lake, traces: &Traces) -> Result<u64, LakeError> {
    let mut out = 0;
    super::erase::each_record(lake, AI_BATCHES, &mut |line| {
        let mut record: BatchRecord = serde_json::from_slice(line).ok()?;
        let mut changed = 0;
        for pack in &mut record.packs {
            changed += forget_in(pack, traces);
        }
        if changed == 0 {
            return None;
        }
        out += changed;
        serde_json::to_vec(&record).ok()
    })?;
    Ok(out)
}

fn forget_in(pack: &mut BatchPack, traces: &Traces) -> u64 {
    let mut gone = BTreeSet::new();
    for (text, id) in pack.texts.iter_mut().zip(1..) {
        let before = text.posts.len();
        text.posts.retain(|post| !traces.found_in(post));
        if text.posts.len() < before {
            // Of posts with equal texts the others' answer goes as well: it quotes this one too.
            text.content.clear();
            text.fate = if text.fate == Fate::Open { Fate::Dropped } else { text.fate };
            gone.insert(format!("p{id}"));
        }
    }
    let mut changed = gone.len() as u64;
    if let Some(answer) = &pack.answer {
        let other = if gone.is_empty() { Some(answer.clone()) } else { leave_out(answer, &gone) };
        // A text that quotes it in another's place goes whole.
        let other = other.filter(|text| !traces.found_in(text));
        if other.as_ref() != Some(answer) {
            changed = changed.max(1);
            if other.is_none() {
                drop_open(pack);
            }
            pack.answer = other;
        }
    }
    changed
}

/// Texts whose answer is not here any more are asked about again.
pub(super) fn drop_open(pack: &mut BatchPack) {
    for text in pack.texts.iter_mut().filter(|t| t.fate == Fate::Open) {
        text.fate = Fate::Dropped;
    }
    pack.answer = None;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(content: &str, posts: &[&str], fate: Fate) -> BatchText {
        BatchText { content: content.into(), posts: posts.iter().map(|p| p.to_string()).collect(), fate }
    }

    fn question(prompt: &str) -> Question {
        Question {
            provider: "gemini".into(),
            model: "m".into(),
            prompt_hash: prompt.into(),
            schema_hash: "s".into(),
        }
    }

    fn record(ended_ms: Option<i64>, texts: Vec<BatchText>) -> BatchRecord {
        let answer =
            r#"{"posts":[{"id":"p1","evidence_quote":"mine"},{"id":"p2","evidence_quote":"other"}]}"#;
        BatchRecord {
            at_ms: 1_000,
            run: 1,
            asset: "general_feedback_ai".into(),
            question: question("p"),
            redaction_version: "r".into(),
            label: "ours".into(),
            name: Some("batches/a".into()),
            state: BatchState::Answered,
            detail: None,
            looked_ms: None,
            ended_ms,
            at_most: 5,
            packs: vec![BatchPack {
                key: "k1".into(),
                call: 1,
                marker: "m".into(),
                texts,
                answer: Some(answer.into()),
            }],
        }
    }

    #[test]
    fn a_batch_is_due_some_time_after_the_last_look() {
        let mut one = record(None, Vec::new());
        assert_eq!(one.due_ms(600), 1_600);
        one.looked_ms = Some(1_700);
        assert_eq!(one.due_ms(600), 2_300);
        one.looked_ms = Some(10);
        assert_eq!(one.due_ms(600), 1_600, "a clock that was set back");
    }

    #[test]
    fn records_come_back_as_they_were_written() {
        let one = record(Some(7), vec![text("c", &["reddit:t3_a"], Fate::Again)]);
        let bytes = serde_json::to_vec(&one).unwrap();
        assert_eq!(serde_json::from_slice::<BatchRecord>(&bytes).unwrap(), one);
    }

    #[test]
    fn only_what_was_lost_lately_and_asked_the_same_counts() {
        let lost = |ended| record(Some(ended), vec![text("c", &[], Fate::Lost), text("d", &[], Fate::Again)]);
        let records = [lost(LOSS_MS), lost(2 * LOSS_MS), lost(2 * LOSS_MS + 1)];
        let tried = Tried::of(&records, &question("p"), 2 * LOSS_MS + 5);
        assert_eq!(tried.lost["c"].0, 2);
        assert_eq!((tried.rounds("d"), tried.rounds("c")), (3, 0));
        assert_eq!(Tried::of(&records, &question("q"), 5).rounds("d"), 0);
    }

    #[test]
    fn a_forgotten_post_leaves_its_place_empty_and_takes_its_answer_along() {
        let temp = tempfile::tempdir().unwrap();
        let lake = Lake::open(&temp.path().join("lake"), "UTC").unwrap();
        let texts = || {
            vec![
                text("c1", &["reddit:t3_abc", "reddit:t3_def"], Fate::Open),
                text("c2", &["reddit:t3_abcd"], Fate::Open),
            ]
        };
        let bytes = serde_json::to_vec(&record(None, texts())).unwrap();
        lake.append_record(AI_BATCHES, "general_feedback_ai", &bytes).unwrap();
        let mut traces = Traces::default();
        traces.post("reddit", "t3_abc");
        assert_eq!(erase_batches(&lake, &traces).unwrap(), 1);
        let left = read_batches(&lake, "general_feedback_ai").unwrap().remove(0).1;
        let expected =
            [text("", &["reddit:t3_def"], Fate::Dropped), text("c2", &["reddit:t3_abcd"], Fate::Open)];
        assert_eq!(left.packs[0].texts, expected);
        let answer = left.packs[0].answer.clone().unwrap();
        assert!(answer.contains("other") && !answer.contains("mine"), "{answer}");
        assert_eq!(erase_batches(&lake, &traces).unwrap(), 0, "once is enough");
        // An answer that quotes a forgotten text in another's place goes whole.
        let mut quoting = Traces::default();
        quoting.text("the other one, in full");
        assert_eq!(erase_batches(&lake, &quoting).unwrap(), 0, "no such text");
        let long = r#"{"posts":[{"id":"p2","evidence_quote":"the other one, in full"}]}"#;
        let mut one = record(None, texts());
        one.packs[0].answer = Some(long.into());
        lake.append_record(AI_BATCHES, "general_feedback_ai", &serde_json::to_vec(&one).unwrap()).unwrap();
        assert_eq!(erase_batches(&lake, &quoting).unwrap(), 1);
        let left = read_batches(&lake, "general_feedback_ai").unwrap().remove(1).1;
        assert_eq!(left.packs[0].answer, None);
        assert!(left.texts().all(|t| t.fate == Fate::Dropped), "they are asked about again");
    }
}
