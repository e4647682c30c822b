//! Rows of `general_feedback_ai`: the post's key, its labels, where they came from, how it went.
//!
//! Invariant: a row is a function of the post's text and what is known of it (the cached answer,
//! or why there is none); which call brought it, what it cost and how long it took stand in the
//! log. A label that nobody gave is empty, never filled in. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, RecordBatch,
    StringBuilder, TimestampMillisecondBuilder, new_null_array,
};
use datafusion::arrow::datatypes::{DataType, Int64Type};

use super::answer::Labelled;
use super::asking::{Left, Need};
use super::calls::{Answers, Cached, Question, Verdict, content_hash};
use super::embedded::{Embedded, Labels, RiskCategory, RiskLevel, Sentiment};
use super::redact::{REDACTION_VERSION, redact};
use super::tables::{EnrichError, column, feedback_schema};

/// Longest text that is sent, in characters: what is behind it seldom changes the labels.
const TEXT_MOST: usize = 4_000;

/// One post as it is labelled.
struct Post {
    post_id: String,
    title: String,
    body: String,
    issue_type: String,
    /// How many pieces of personal data were taken out.
    redacted: u32,
    /// Its engagement: `(1 + max(score, 0)) · (1 + comments)`.
    weight: u64,
}

impl Post {
    /// What is sent of it.
    fn text(&self) -> String {
        joined(&self.title, &self.body)
    }
}

/// What is sent of a post: its title and body, redacted, as far as they count.
pub fn sent_text(title: &str, body: &str) -> String {
    joined(&redact(title).text, &redact(body).text)
}

fn joined(title: &str, body: &str) -> String {
    let text = match (title.is_empty(), body.is_empty()) {
        (false, false) => format!("{title}\n\n{body}"),
        (false, true) => title.to_string(),
        _ => body.to_string(),
    };
    match text.char_indices().nth(TEXT_MOST) {
        Some((end, _)) => text[..end].to_string(),
        None => text,
    }
}

fn posts(silver: &RecordBatch) -> Result<Vec<Post>, EnrichError> {
    let text = |name| column(silver, name, &DataType::Utf8);
    let number = |name| column(silver, name, &DataType::Int64);
    let (id, title, body, issue) = (text("post_id")?, text("title")?, text("body")?, text("issue_type")?);
    let (score, comments) = (number("score")?, number("num_comments")?);
    let at = |array: &ArrayRef, i: usize| -> String {
        let array = array.as_string::<i32>();
        if array.is_null(i) { String::new() } else { array.value(i).to_string() }
    };
    let count = |array: &ArrayRef, i: usize| -> u64 {
        let array = array.as_primitive::<Int64Type>();
        if array.is_null(i) { 0 } else { u64::try_from(array.value(i)).unwrap_or(0) }
    };
    let post = |i: usize| {
        let (title, body) = (redact(&at(&title, i)), redact(&at(&body, i)));
        let redacted = title.count() + body.count();
        let weight = (1 + count(&score, i)).saturating_mul(1 + count(&comments, i));
        Post {
            post_id: at(&id, i),
            title: title.text,
            body: body.text,
            issue_type: at(&issue, i),
            redacted,
            weight,
        }
    };
    Ok((0..silver.num_rows()).map(post).collect())
}

/// What is known when rows are put together.
pub struct Known<'a> {
    /// The model that is always there: it keeps risks from being talked down, and steps in where
    /// it may.
    pub embedded: &'a Embedded,
    /// What a language model said; `None` where the embedded model is the provider.
    pub asked: Option<KnownAnswers<'a>>,
}

/// What language models said.
pub struct KnownAnswers<'a> {
    /// All answers.
    pub answers: &'a Answers,
    /// What is asked, of the provider first and then of those that step in for it.
    pub questions: &'a [Question],
    /// Why texts have no verdict.
    pub left: &'a BTreeMap<String, Left>,
    /// Texts that are part of a batch that is not answered yet.
    pub pending: &'a BTreeSet<String>,
    /// Whether the embedded model labels what no other could.
    pub fallback: bool,
}

impl KnownAnswers<'_> {
    /// What is known of a text: labels of any provider, else what the first one said instead.
    fn find(&self, content: &str, any: bool) -> Option<&Cached> {
        let mut said = None;
        for question in self.questions {
            match self.answers.find(content, question, any) {
                Some(cached) if matches!(cached.verdict, Verdict::Labels(_)) => return Some(cached),
                other => said = said.or(other),
            }
        }
        said
    }
}

/// How the rows of a table ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Labelled by the provider.
    pub ok: u64,
    /// Labelled by the embedded model, as the provider could not be asked.
    pub fallback: u64,
    /// The provider did not want to.
    pub refused: u64,
    /// It gave no right answer.
    pub invalid: u64,
    /// Money or calls ran out.
    pub skipped_budget: u64,
    /// A batch that is not answered yet, or a provider that nobody stood in for.
    pub pending: u64,
    /// Of those, in a batch.
    pub in_batch: u64,
}

/// Adds the posts of a batch of silver that no answer is known of to `needs`, by their content,
/// and every text's content to `contents`.
///
/// # Errors
/// When silver lacks a column or holds another type in it.
pub fn needs(
    silver: &RecordBatch,
    known: &KnownAnswers<'_>,
    any: bool,
    needs: &mut BTreeMap<String, Need>,
    contents: &mut BTreeSet<String>,
) -> Result<(), EnrichError> {
    for post in posts(silver)? {
        let text = post.text();
        if text.trim().is_empty() {
            continue;
        }
        let content = content_hash(&text);
        contents.insert(content.clone());
        if known.find(&content, any).is_some() || known.pending.contains(&content) {
            continue;
        }
        let need =
            needs.entry(content.clone()).or_insert(Need { content, text, posts: Vec::new(), weight: 0 });
        need.posts.push(post.post_id);
        need.weight = need.weight.max(post.weight);
    }
    Ok(())
}

/// Labels posts of general feedback. Takes the rows it is given; which posts are general
/// feedback is decided before. `any`: whether an answer to another prompt or model will do.
///
/// # Errors
/// When silver lacks a column or holds another type in it.
pub fn feedback(
    known: &Known<'_>,
    silver: &RecordBatch,
    any: bool,
    tally: &mut Tally,
) -> Result<RecordBatch, EnrichError> {
    let mut rows = Rows::default();
    for post in posts(silver)? {
        let embedded = known.embedded.label(&post.title, &post.body, &post.issue_type);
        let row = match &known.asked {
            None => Row { status: "ok", ..Row::embedded(&embedded) },
            Some(asked) => row(&post, &embedded, known.embedded, asked, any),
        };
        match row.status {
            "ok" => tally.ok += 1,
            "fallback" => tally.fallback += 1,
            "refused" => tally.refused += 1,
            "invalid" => tally.invalid += 1,
            "skipped_budget" => tally.skipped_budget += 1,
            _ => {
                tally.pending += 1;
                tally.in_batch += u64::from(row.in_batch);
            }
        }
        rows.push(&post, row);
    }
    Ok(rows.finish()?)
}

fn row(post: &Post, embedded: &Labels<'_>, tables: &Embedded, asked: &KnownAnswers<'_>, any: bool) -> Row {
    let text = post.text();
    if text.trim().is_empty() {
        // Nothing to ask about: what is known is said by the model that is always there.
        return Row { status: "ok", detail: Some("no text".into()), ..Row::embedded(embedded) };
    }
    let content = content_hash(&text);
    // Nobody has labels: the embedded model's where it may step in, else none.
    let otherwise = |status: &'static str, detail: Option<String>| {
        let row = if asked.fallback { Row::embedded(embedded) } else { Row::default() };
        Row { status, detail, needs_review: true, ..row.for_question(asked) }
    };
    match asked.find(&content, any) {
        Some(cached) => match &cached.verdict {
            Verdict::Labels(labels) => Row::llm(labels, cached, embedded, tables),
            Verdict::Refused { why } => Row {
                finish_reason: cached.call.finish_reason.clone(),
                ..otherwise("refused", Some(why.clone())).asked_by(cached)
            },
            Verdict::Invalid { why } => Row {
                finish_reason: cached.call.finish_reason.clone(),
                ..otherwise("invalid", Some(why.clone())).asked_by(cached)
            },
        },
        None if asked.pending.contains(&content) => Row {
            status: "pending",
            in_batch: true,
            detail: Some("the batch is not answered yet".into()),
            ..Row::default().for_question(asked)
        },
        None => match asked.left.get(&content) {
            Some(Left::Budget(spent)) => Row {
                status: "skipped_budget",
                detail: Some(spent.key().into()),
                ..Row::default().for_question(asked)
            },
            _ => {
                let who = asked.questions.first().map_or("the provider", |q| q.provider.as_str());
                let status = if asked.fallback { "fallback" } else { "pending" };
                let row = otherwise(status, Some(format!("{who} could not be asked")));
                // Asked again as soon as it can be; until then a high risk is for people.
                Row { needs_review: asked.fallback && embedded.risk_level == RiskLevel::High, ..row }
            }
        },
    }
}

/// The labels, who gave them, and how it went.
#[derive(Default)]
struct Row {
    labels: Option<RowLabels>,
    /// Provider, whether it is a language model, its version.
    by: Option<(String, bool, Option<String>)>,
    requested: Option<String>,
    hashes: Option<(String, String)>,
    labelled_at: Option<i64>,
    status: &'static str,
    detail: Option<String>,
    finish_reason: Option<String>,
    needs_review: bool,
    in_batch: bool,
}

struct RowLabels {
    sentiment: Sentiment,
    score: f64,
    level: RiskLevel,
    category: Option<RiskCategory>,
    reasons: Vec<String>,
    theme: (String, String),
    action: (String, String),
    evidence: Option<String>,
}

impl Row {
    /// What was, or will be, asked: the model, the prompt and the schema.
    fn for_question(self, asked: &KnownAnswers<'_>) -> Self {
        let question = asked.questions.first();
        Self {
            requested: question.map(|q| q.model.clone()),
            hashes: question.map(|q| (q.prompt_hash.clone(), q.schema_hash.clone())),
            ..self
        }
    }

    fn embedded(labels: &Labels<'_>) -> Self {
        Self {
            labels: Some(RowLabels {
                sentiment: labels.sentiment,
                score: labels.sentiment_score,
                level: labels.risk_level,
                category: labels.risk_category,
                reasons: labels.risk_reasons.iter().map(|r| r.to_string()).collect(),
                theme: (labels.theme_id.into(), labels.theme.into()),
                action: (labels.action_id.into(), labels.recommended_action.into()),
                evidence: labels.evidence_quote.clone(),
            }),
            by: Some((super::tables::PROVIDER.into(), false, Some(Embedded::VERSION.into()))),
            requested: Some(super::tables::PROVIDER.into()),
            needs_review: labels.risk_level == RiskLevel::High,
            ..Self::default()
        }
    }

    /// A language model's labels. Its risk never lowers a high one of the rules, which are
    /// written to miss nothing.
    fn llm(labels: &Labelled, cached: &Cached, embedded: &Labels<'_>, tables: &Embedded) -> Self {
        let raised = embedded.risk_level == RiskLevel::High && labels.risk_level < RiskLevel::High;
        // A theme that was merged since, or a phrase that became one, is what it is now.
        let theme = match tables.theme_for(labels.new_theme.as_ref().unwrap_or(&labels.theme_id)) {
            Some((id, title)) => (id.to_string(), title.to_string()),
            None => (labels.theme_id.clone(), labels.new_theme.clone().unwrap_or_default()),
        };
        let mut reasons: Vec<String> = Vec::new();
        if raised {
            reasons.extend(embedded.risk_reasons.iter().map(|r| r.to_string()));
        }
        for reason in &labels.risk_reasons {
            if !reasons.contains(reason) {
                reasons.push(reason.clone());
            }
        }
        let action = match raised {
            true => (embedded.action_id.to_string(), embedded.recommended_action.to_string()),
            false => (labels.action_id.clone(), tables.action_title(&labels.action_id).unwrap_or_default()),
        };
        let detail = match (raised, labels.evidence_alien) {
            (true, _) => Some("risk raised by the rules".to_string()),
            (false, true) => Some("the evidence is not in the post".to_string()),
            (false, false) => None,
        };
        let level = if raised { RiskLevel::High } else { labels.risk_level };
        let row = Self {
            labels: Some(RowLabels {
                sentiment: labels.sentiment,
                score: labels.sentiment_score,
                level,
                category: if raised { embedded.risk_category } else { labels.risk_category },
                reasons,
                theme,
                action,
                evidence: match raised {
                    true => embedded.evidence_quote.clone().or(labels.evidence.clone()),
                    false => labels.evidence.clone(),
                },
            }),
            by: Some((cached.call.question.provider.clone(), true, cached.call.model_version.clone())),
            labelled_at: Some(cached.at_ms()),
            status: "ok",
            needs_review: level == RiskLevel::High || labels.evidence_alien,
            detail,
            finish_reason: cached.call.finish_reason.clone(),
            ..Self::default()
        };
        row.asked_by(cached)
    }

    fn asked_by(mut self, cached: &Cached) -> Self {
        let question = &cached.call.question;
        self.requested = Some(question.model.clone());
        self.hashes = Some((question.prompt_hash.clone(), question.schema_hash.clone()));
        self
    }
}

/// The columns, filled row by row, in the order of the schema.
#[derive(Default)]
struct Rows {
    post_id: StringBuilder,
    sentiment: StringBuilder,
    score: Float64Builder,
    level: StringBuilder,
    category: StringBuilder,
    reasons: Option<ListBuilder<StringBuilder>>,
    theme_id: StringBuilder,
    theme: StringBuilder,
    action_id: StringBuilder,
    action: StringBuilder,
    evidence: StringBuilder,
    provider: StringBuilder,
    is_llm: BooleanBuilder,
    requested: StringBuilder,
    version: StringBuilder,
    prompt: StringBuilder,
    schema: StringBuilder,
    redaction: StringBuilder,
    redacted: Int64Builder,
    labelled_at: TimestampMillisecondBuilder,
    status: StringBuilder,
    detail: StringBuilder,
    finish: StringBuilder,
    review: BooleanBuilder,
}

impl Rows {
    fn push(&mut self, post: &Post, row: Row) {
        self.post_id.append_value(&post.post_id);
        let reasons = self.reasons.get_or_insert_with(|| ListBuilder::new(StringBuilder::new()));
        let labels = row.labels.as_ref();
        self.sentiment.append_option(labels.map(|l| l.sentiment.as_str()));
        self.score.append_option(labels.map(|l| l.score));
        self.level.append_option(labels.map(|l| l.level.as_str()));
        self.category.append_option(labels.and_then(|l| l.category).map(RiskCategory::as_str));
        for reason in labels.iter().flat_map(|l| &l.reasons) {
            reasons.values().append_value(reason);
        }
        reasons.append(labels.is_some());
        self.theme_id.append_option(labels.map(|l| &l.theme.0));
        self.theme.append_option(labels.map(|l| &l.theme.1));
        self.action_id.append_option(labels.map(|l| &l.action.0));
        // A label whose action is gone from the table has no words.
        self.action.append_option(labels.map(|l| &l.action.1).filter(|words| !words.is_empty()));
        self.evidence.append_option(labels.and_then(|l| l.evidence.as_deref()));
        self.provider.append_option(row.by.as_ref().map(|b| &b.0));
        self.is_llm.append_option(row.by.as_ref().map(|b| b.1));
        self.requested.append_option(row.requested);
        self.version.append_option(row.by.and_then(|b| b.2));
        self.prompt.append_option(row.hashes.as_ref().map(|h| &h.0));
        self.schema.append_option(row.hashes.as_ref().map(|h| &h.1));
        self.redaction.append_value(REDACTION_VERSION);
        self.redacted.append_value(i64::from(post.redacted));
        self.labelled_at.append_option(row.labelled_at);
        self.status.append_value(row.status);
        self.detail.append_option(row.detail);
        self.finish.append_option(row.finish_reason);
        self.review.append_value(row.needs_review);
    }

    fn finish(mut self) -> Result<RecordBatch, datafusion::arrow::error::ArrowError> {
        let mut reasons = self.reasons.unwrap_or_else(|| ListBuilder::new(StringBuilder::new()));
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.post_id.finish()),
            Arc::new(self.sentiment.finish()),
            Arc::new(self.score.finish()),
            Arc::new(self.level.finish()),
            Arc::new(self.category.finish()),
            Arc::new(reasons.finish()),
            Arc::new(self.theme_id.finish()),
            Arc::new(self.theme.finish()),
            Arc::new(self.action_id.finish()),
            Arc::new(self.action.finish()),
            Arc::new(self.evidence.finish()),
            Arc::new(self.provider.finish()),
            Arc::new(self.is_llm.finish()),
            Arc::new(self.requested.finish()),
            Arc::new(self.version.finish()),
            Arc::new(self.prompt.finish()),
            Arc::new(self.schema.finish()),
            Arc::new(self.redaction.finish()),
            Arc::new(self.redacted.finish()),
            Arc::new(self.labelled_at.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.detail.finish()),
            Arc::new(self.finish.finish()),
            Arc::new(self.review.finish()),
        ];
        let rows = columns[0].len();
        // Nobody, until labels are laid over it.
        columns.push(new_null_array(&DataType::Utf8, rows));
        RecordBatch::try_new(feedback_schema(), columns)
    }
}

/// The table as the embedded model alone makes it.
#[cfg(test)]
pub(super) fn by_embedded(embedded: &Embedded, silver: &RecordBatch) -> Result<RecordBatch, EnrichError> {
    feedback(&Known { embedded, asked: None }, silver, true, &mut Tally::default())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::StringArray;

    use super::super::calls::{AnswerRecord, CallRecord, test_call};
    use super::super::rules::Tables;
    use super::*;
    use crate::diagnostic::SourceText;

    /// The theme of the only row, as id and words.
    fn theme(embedded: &Embedded, theme_id: &str, new_theme: Option<&str>) -> (String, String) {
        let content = content_hash("The van again");
        let said = serde_json::json!({
            "sentiment": "neutral", "sentiment_score": 0.0, "risk_level": "low", "theme_id": theme_id,
            "new_theme": new_theme, "action_id": "observe",
        });
        let verdict = Verdict::Labels(serde_json::from_value(said).unwrap());
        let call = test_call(0, "p");
        let mut answers = Answers::default();
        answers.add(&CallRecord {
            answers: vec![AnswerRecord { content, posts: Vec::new(), verdict }],
            ..call.clone()
        });
        let asked = KnownAnswers {
            answers: &answers,
            questions: &[call.question],
            left: &BTreeMap::new(),
            pending: &BTreeSet::new(),
            fallback: false,
        };
        let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
        let none = || Arc::new(datafusion::arrow::array::Int64Array::from(vec![0])) as ArrayRef;
        let silver = RecordBatch::try_from_iter([
            ("post_id", text("reddit:t3_a")),
            ("title", text("The van again")),
            ("body", text("")),
            ("issue_type", text("GENERAL_FEEDBACK")),
            ("score", none()),
            ("num_comments", none()),
        ])
        .unwrap();
        let known = Known { embedded, asked: Some(asked) };
        let rows = feedback(&known, &silver, true, &mut Tally::default()).unwrap();
        let cell = |name: &str| rows.column_by_name(name).unwrap().as_string::<i32>().value(0).to_string();
        (cell("theme_id"), cell("theme"))
    }

    #[test]
    fn who_could_not_be_asked_is_named_with_the_question_and_a_high_risk_is_for_people() {
        let text = |values: &[&str]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let none = || Arc::new(datafusion::arrow::array::Int64Array::from(vec![0, 0])) as ArrayRef;
        let silver = RecordBatch::try_from_iter([
            ("post_id", text(&["reddit:t3_a", "reddit:t3_b"])),
            ("title", text(&["They sent me the wrong medication", "Nice box"])),
            ("body", text(&["", ""])),
            ("issue_type", text(&["GENERAL_FEEDBACK", "GENERAL_FEEDBACK"])),
            ("score", none()),
            ("num_comments", none()),
        ])
        .unwrap();
        let call = test_call(0, "p");
        let rows = |fallback| {
            let asked = KnownAnswers {
                answers: &Answers::default(),
                questions: std::slice::from_ref(&call.question),
                left: &BTreeMap::new(),
                pending: &BTreeSet::new(),
                fallback,
            };
            let embedded = Embedded::new();
            let known = Known { embedded: &embedded, asked: Some(asked) };
            feedback(&known, &silver, true, &mut Tally::default()).unwrap()
        };
        for (fallback, status, review) in
            [(true, "fallback", [true, false]), (false, "pending", [false, false])]
        {
            let rows = rows(fallback);
            let said =
                |name: &str| rows.column_by_name(name).unwrap().as_string::<i32>().value(0).to_string();
            assert_eq!(said("status"), status);
            assert_eq!(said("model_requested"), call.question.model);
            assert_eq!(said("prompt_hash"), call.question.prompt_hash);
            assert_eq!(said("schema_hash"), call.question.schema_hash);
            let needs = rows.column_by_name("needs_review").unwrap().as_boolean();
            assert_eq!([needs.value(0), needs.value(1)], review, "{status}");
        }
    }

    #[test]
    fn a_kept_answer_follows_the_list_of_themes() {
        let shipped = Embedded::new();
        let both = |id: &str, title: &str| (id.to_string(), title.to_string());
        assert_eq!(theme(&shipped, "packaging", None), both("packaging", "Packaging"));
        assert_eq!(theme(&shipped, "new", Some("loud vans")), both("new", "loud vans"));
        assert_eq!(theme(&shipped, "loud_vans", None), both("loud_vans", ""), "a theme that is gone");
        let changed = Tables::built_in("themes.toml").unwrap();
        let changed = changed.replace(
            "id = \"delivery_experience\"\ntitle = \"Delivery and tracking\"",
            "id = \"delivery_experience\"\ntitle = \"Vans\"\naliases = [\"Loud  vans\", \"loud_vans\"]",
        );
        let find = |name: &str| {
            let text = SourceText { name: name.into(), text: changed.clone() };
            (name == "themes.toml").then(|| Arc::new(text))
        };
        let (tables, problems) = Tables::read(find, &[]);
        assert!(problems.is_empty(), "{problems:#?}");
        let embedded = Embedded::with_tables(tables);
        let vans = both("delivery_experience", "Vans");
        assert_eq!(theme(&embedded, "new", Some("loud vans")), vans, "a phrase that became part of one");
        assert_eq!(theme(&embedded, "loud_vans", None), vans, "one that was merged");
        assert_eq!(theme(&embedded, "delivery_experience", None), vans, "one that has another title");
        assert_eq!(theme(&embedded, "new", Some("loud cars")), both("new", "loud cars"));
    }
}
