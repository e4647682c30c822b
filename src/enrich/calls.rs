//! What was asked of models, what it cost, and what they answered: one record a call.
//!
//! A call and its answers are one record, so that what was paid for is never lost: whoever has
//! the lake has the answers and pays nothing again. Pure; where records lie is the caller's.

use std::collections::HashMap;
use std::sync::Arc;

use super::answer::Labelled;
use super::usd::{Tokens, Usd};

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// It was sent, and nothing else is known: the process died, or it is under way.
    Sent,
    /// An answer that holds labels of every post.
    Ok,
    /// An answer of which labels of some posts are not right.
    Partly,
    /// No answer to this pack.
    Broken,
    /// The answer ended at its most tokens.
    Cut,
    /// The model did not want to.
    Refused,
    /// Asked too often.
    Busy,
    /// Overload, a lost connection, a cut body.
    Failed,
    /// The provider cannot read the request.
    Rejected,
    /// A wrong key, an unknown model.
    Denied,
    /// The run was stopped.
    Canceled,
}

impl CallOutcome {
    /// The word in the tables.
    pub fn as_str(self) -> &'static str {
        match self {
            CallOutcome::Sent => "sent",
            CallOutcome::Ok => "ok",
            CallOutcome::Partly => "partly",
            CallOutcome::Broken => "broken",
            CallOutcome::Cut => "cut",
            CallOutcome::Refused => "refused",
            CallOutcome::Busy => "busy",
            CallOutcome::Failed => "failed",
            CallOutcome::Rejected => "rejected",
            CallOutcome::Denied => "denied",
            CallOutcome::Canceled => "canceled",
        }
    }
}

/// Which question was asked: answers to equal questions are interchangeable.
#[derive(Clone, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct Question {
    /// The provider's word.
    pub provider: String,
    /// The model that was asked for.
    pub model: String,
    /// Of the prompt with its lists.
    pub prompt_hash: String,
    /// Of the answer's schema.
    pub schema_hash: String,
}

/// One HTTP call.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct CallRecord {
    /// When it was sent, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// In which run.
    pub run: i64,
    /// For which asset.
    pub asset: String,
    /// What was asked.
    pub question: Question,
    /// The rules of redaction.
    pub redaction_version: String,
    /// The model that answered, in the provider's words.
    pub model_version: Option<String>,
    /// The answer's HTTP status.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: CallOutcome,
    /// Why, where that is not plain.
    pub detail: Option<String>,
    /// Why the model stopped, in the provider's words.
    pub finish_reason: Option<String>,
    /// Which try of this pack it was, from 1.
    pub attempt: u32,
    /// Whether it was part of a batch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub batch: bool,
    /// How many texts it asked about.
    pub pack: usize,
    /// The posts that have these texts.
    pub posts: Vec<String>,
    /// As the provider counts them.
    pub tokens: Option<Tokens>,
    /// What it cost; `None` when nobody knows.
    pub cost: Option<u64>,
    /// What it could have cost at most; both in pico-dollars.
    pub at_most: u64,
    /// The day of the price list.
    pub price_as_of: Option<String>,
    /// How long it took, milliseconds.
    pub elapsed_ms: u64,
    /// What was learned of each text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<AnswerRecord>,
}

impl CallRecord {
    /// What it counts in a budget: what it cost, or could have.
    pub fn counts(&self) -> Usd {
        Usd(self.cost.unwrap_or(self.at_most))
    }
}

/// What was learned of one text.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct AnswerRecord {
    /// [`content_hash`] of the text.
    pub content: String,
    /// The posts that had it; an answer of which all are forgotten is forgotten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub posts: Vec<String>,
    /// What.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What a model said of one text.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Labels.
    Labels(Box<Labelled>),
    /// It does not want to speak of it.
    Refused {
        /// Why, in its words.
        why: String,
    },
    /// It gave no right answer.
    Invalid {
        /// What was wrong.
        why: String,
    },
}

/// The name of a text: 32 hexadecimal digits.
pub fn content_hash(text: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"rxpulse text 1\0").update(text.as_bytes());
    hasher.finalize().to_hex()[..32].to_string()
}

/// An answer with where it came from.
#[derive(Clone, Debug)]
pub struct Cached {
    /// The call, without its posts and answers.
    pub call: Arc<CallRecord>,
    /// What it said.
    pub verdict: Verdict,
}

impl Cached {
    /// When it was answered, milliseconds since 1970 UTC.
    pub fn at_ms(&self) -> i64 {
        self.call.at_ms.saturating_add(i64::try_from(self.call.elapsed_ms).unwrap_or(0))
    }
}

/// Every answer that is known, by text.
#[derive(Debug, Default)]
pub struct Answers {
    by_content: HashMap<String, Vec<Cached>>,
}

impl Answers {
    /// Takes in a call.
    pub fn add(&mut self, record: &CallRecord) {
        if record.answers.is_empty() {
            return;
        }
        let call = Arc::new(CallRecord { posts: Vec::new(), answers: Vec::new(), ..record.clone() });
        for answer in &record.answers {
            let cached = Cached { call: call.clone(), verdict: answer.verdict.clone() };
            self.by_content.entry(answer.content.clone()).or_default().push(cached);
        }
    }

    /// What is known of a text. To exactly this question, the newest; where `any` labels do, the
    /// newest labels to whatever question stand above a refusal.
    pub fn find(&self, content: &str, question: &Question, any: bool) -> Option<&Cached> {
        let known = self.by_content.get(content)?;
        // Of equally new ones the greater provider and model, so that two machines choose alike.
        let newest =
            |c: &&Cached| (c.at_ms(), c.call.question.provider.clone(), c.call.question.model.clone());
        let labels = |c: &&Cached| matches!(c.verdict, Verdict::Labels(_));
        let same = known.iter().filter(|c| c.call.question == *question);
        if any && let Some(best) = known.iter().filter(labels).max_by_key(newest) {
            return Some(best);
        }
        same.clone().filter(labels).max_by_key(newest).or_else(|| same.max_by_key(newest))
    }

    /// What is known of some texts, as a copy.
    pub fn of<'a>(&self, contents: impl IntoIterator<Item = &'a String>) -> Answers {
        let known = |c: &String| Some((c.clone(), self.by_content.get(c)?.clone()));
        Answers { by_content: contents.into_iter().filter_map(known).collect() }
    }

    /// Texts of which something is known.
    pub fn len(&self) -> usize {
        self.by_content.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.by_content.is_empty()
    }
}

#[cfg(test)]
pub(super) fn test_call(at_ms: i64, prompt: &str) -> CallRecord {
    CallRecord {
        at_ms,
        run: 1,
        asset: "general_feedback_ai".into(),
        question: Question {
            provider: "gemini".into(),
            model: "m".into(),
            prompt_hash: prompt.into(),
            schema_hash: "s".into(),
        },
        redaction_version: "r".into(),
        model_version: None,
        status: Some(200),
        outcome: CallOutcome::Ok,
        detail: None,
        finish_reason: None,
        attempt: 1,
        batch: false,
        pack: 1,
        posts: vec!["reddit:t3_a".into()],
        tokens: None,
        cost: Some(1),
        at_most: 10,
        price_as_of: None,
        elapsed_ms: 0,
        answers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(action: &str) -> Verdict {
        let text = format!(
            r#"{{"sentiment":"neutral","sentiment_score":0.0,"risk_level":"low","theme_id":"price","action_id":"{action}"}}"#
        );
        Verdict::Labels(serde_json::from_str(&text).unwrap())
    }

    fn call(at_ms: i64, prompt: &str, verdict: Verdict) -> CallRecord {
        let answers = vec![AnswerRecord { content: "c".into(), posts: Vec::new(), verdict }];
        CallRecord { answers, ..test_call(at_ms, prompt) }
    }

    #[test]
    fn records_come_back_as_they_were_written() {
        for verdict in
            [labels("call"), Verdict::Refused { why: "SAFETY".into() }, Verdict::Invalid { why: "x".into() }]
        {
            let record = call(5, "p", verdict);
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<CallRecord>(&text).unwrap(), record, "{text}");
        }
    }

    #[test]
    fn labels_of_any_question_do_unless_the_very_question_is_wanted() {
        let mut answers = Answers::default();
        answers.add(&call(1, "old", labels("first")));
        answers.add(&call(2, "old", labels("second")));
        answers.add(&call(3, "new", Verdict::Refused { why: "SAFETY".into() }));
        let question = |prompt: &str| test_call(0, prompt).question;
        let verdict = |prompt, any| answers.find("c", &question(prompt), any).map(|c| c.verdict.clone());
        assert_eq!(verdict("new", true), Some(labels("second")), "an answer is kept whatever is asked now");
        assert_eq!(verdict("new", false), Some(Verdict::Refused { why: "SAFETY".into() }));
        assert_eq!(verdict("old", false), Some(labels("second")));
        assert_eq!(verdict("other", false), None);
        assert!(answers.find("d", &question("old"), true).is_none());
        assert_eq!(answers.len(), 1);
    }

    #[test]
    fn a_refusal_is_asked_again_by_another_prompt_only() {
        let mut answers = Answers::default();
        answers.add(&call(1, "old", Verdict::Refused { why: "SAFETY".into() }));
        let question = |prompt: &str| test_call(0, prompt).question;
        assert!(answers.find("c", &question("old"), true).is_some());
        assert!(answers.find("c", &question("new"), true).is_none());
    }
}
