//! The embedded provider: one post in, its labels out.

use std::cell::RefCell;
use std::sync::Arc;

use super::lexicon::{OWN, VADER, shipped};
use super::model::{Heard, SentimentModel};
use super::rules::{Findings, Reason, Rules, Tables};
use super::sentences::{quote, sentences};
use crate::classify::{NORM_VERSION, PHRASE_VERSION, Scratch, norm};

/// How much more a headline says than a sentence of the body.
const HEADLINE: f64 = 1.3;
/// How far a risk to somebody's health, privacy or rights tilts a post to the negative.
const HIGH_RISK: f64 = 1.2;

/// How a post sounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sentiment {
    /// Praise.
    Positive,
    /// Neither.
    Neutral,
    /// Complaint.
    Negative,
}

impl Sentiment {
    /// The word in the tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Sentiment::Positive => "positive",
            Sentiment::Neutral => "neutral",
            Sentiment::Negative => "negative",
        }
    }
}

/// How much harm a post tells of or announces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskLevel {
    /// None that is known.
    Low,
    /// Money, repeated failure, a locked account, a customer leaving.
    Medium,
    /// Somebody's health, a breach of privacy, a legal threat.
    High,
}

impl RiskLevel {
    /// The word in the tables.
    pub fn as_str(self) -> &'static str {
        match self {
            RiskLevel::Low => "low",
            RiskLevel::Medium => "medium",
            RiskLevel::High => "high",
        }
    }
}

/// Whose concern a risk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskCategory {
    /// Pharmacists.
    PatientSafety,
    /// The privacy office.
    Privacy,
    /// Counsel.
    Legal,
    /// Billing.
    Financial,
    /// Those who keep customers.
    Retention,
}

impl RiskCategory {
    /// All, the gravest first.
    pub const ALL: [RiskCategory; 5] = [
        RiskCategory::PatientSafety,
        RiskCategory::Privacy,
        RiskCategory::Legal,
        RiskCategory::Financial,
        RiskCategory::Retention,
    ];

    /// What belongs to it, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            RiskCategory::PatientSafety => "somebody's health",
            RiskCategory::Privacy => "health or account data that others saw or could see",
            RiskCategory::Legal => "a lawyer, a court, a regulator",
            RiskCategory::Financial => "money taken wrongly or not given back",
            RiskCategory::Retention => "a customer who leaves or is shut out",
        }
    }

    /// The word in the tables.
    pub fn as_str(self) -> &'static str {
        match self {
            RiskCategory::PatientSafety => "patient_safety",
            RiskCategory::Privacy => "privacy",
            RiskCategory::Legal => "legal",
            RiskCategory::Financial => "financial",
            RiskCategory::Retention => "retention",
        }
    }
}

/// What a post means. Texts of the tables are borrowed from the provider.
#[derive(Clone, PartialEq, Debug)]
pub struct Labels<'a> {
    /// How it sounds.
    pub sentiment: Sentiment,
    /// From -1 (worst) to 1 (best), three decimals.
    pub sentiment_score: f64,
    /// The level of the worst reason; low without one.
    pub risk_level: RiskLevel,
    /// The category of the worst reason.
    pub risk_category: Option<RiskCategory>,
    /// Codes of all reasons, the worst first.
    pub risk_reasons: Vec<&'a str>,
    /// The theme's code.
    pub theme_id: &'a str,
    /// The theme for people.
    pub theme: &'a str,
    /// The action's code.
    pub action_id: &'a str,
    /// The action for people.
    pub recommended_action: &'a str,
    /// A part of the title or body, word for word, that shows it best; `None` when nothing does.
    pub evidence_quote: Option<String>,
}

/// The provider that is always there: a small model for sentiment, rules for the rest.
#[derive(Debug)]
pub struct Embedded {
    model: Arc<SentimentModel>,
    rules: Rules,
    tables: [u8; 16],
}

/// Memory used again from post to post.
#[derive(Default)]
struct Memory {
    scratch: Scratch,
    reasons: Vec<bool>,
    findings: Findings,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

impl Default for Embedded {
    fn default() -> Self {
        Self::new()
    }
}

impl Embedded {
    /// The version that stands in every row.
    pub const VERSION: &'static str = "linear-1";

    /// The provider with the shipped tables.
    pub fn new() -> Self {
        Self::with_tables(Tables::shipped())
    }

    /// The provider with a project's tables and the model inside the program.
    pub fn with_tables(tables: Tables) -> Self {
        // A test makes sure that the model inside the program can be read.
        let model = SentimentModel::built_in().unwrap_or_else(|_| Arc::new(SentimentModel::blank()));
        let version = tables.version();
        Self { model, rules: tables.rules, tables: version }
    }

    /// The same with another sentiment model.
    #[must_use]
    pub fn with_model(self, model: Arc<SentimentModel>) -> Self {
        Self { model, ..self }
    }

    /// The theme that a name means, as id and title: an id, one that a theme had before it was
    /// merged, or a language model's phrase that stands for a theme. `None`: no theme of the list.
    pub fn theme_for(&self, name: &str) -> Option<(&str, &str)> {
        self.rules.theme_for(name).map(|t| (t.id.as_str(), t.title.as_str()))
    }

    /// Other names of a theme: ids that it had, and phrases that mean it.
    pub fn theme_aliases(&self, id: &str) -> &[String] {
        self.rules.themes.iter().find(|t| t.id == id).map_or(&[], |t| t.aliases.as_slice())
    }

    /// The action for people.
    pub fn action_title(&self, id: &str) -> Option<String> {
        self.actions().find(|a| a.0 == id).map(|a| a.1.to_string())
    }

    /// A hash of everything that decides the labels.
    pub fn version_hash(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        for text in [Self::VERSION, OWN, VADER] {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        hasher.update(&self.tables).update(&self.model.version());
        hasher.update(&NORM_VERSION.to_le_bytes()).update(&PHRASE_VERSION.to_le_bytes());
        let mut out = [0; 16];
        out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        out
    }

    /// The themes of the tables, in their order: id, title, and one line for a prompt (empty
    /// where a table has none).
    pub fn themes(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.rules.themes.iter().map(|t| (t.id.as_str(), t.title.as_str(), t.description.as_str()))
    }

    /// The actions of the tables, in their order: id and title.
    pub fn actions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rules.actions.iter().map(|a| (a.id.as_str(), a.title.as_str()))
    }

    /// The risk reasons of the tables, in their order.
    pub fn reasons(&self) -> impl Iterator<Item = (&str, RiskLevel, RiskCategory)> {
        self.rules.reasons.iter().map(|r| (r.code.as_str(), r.level, r.category))
    }

    /// The labels of one post. `issue_type` is the taxonomy's word for it.
    pub fn label(&self, title: &str, body: &str, issue_type: &str) -> Labels<'_> {
        MEMORY.with_borrow_mut(|memory| self.label_with(title, body, issue_type, memory))
    }

    fn label_with(&self, title: &str, body: &str, issue_type: &str, memory: &mut Memory) -> Labels<'_> {
        memory.reasons.clear();
        memory.reasons.resize(self.rules.reasons.len(), false);
        memory.findings.begin(&self.rules);
        let lexicon = shipped();
        let mut heard = Heard::default();
        let mut loudest: Option<(f64, &str)> = None;
        let mut lowest: Option<(f64, &str)> = None;
        let mut asks = false;
        // The sentence that shows the worst.
        let mut riskiest: Option<(RiskLevel, &str)> = None;
        let parts = || sentences(title).map(|s| (s, HEADLINE)).chain(sentences(body).map(|s| (s, 1.0)));
        for (number, (sentence, weight)) in parts().enumerate() {
            let normed = norm(sentence);
            asks |= self.rules.asks(&normed);
            let here_heard = self.model.hear(lexicon, &normed);
            heard.add(&here_heard, weight);
            let (_, score) = self.model.judge(&here_heard, 0.0);
            if loudest.is_none_or(|(most, _)| score > most) {
                loudest = Some((score, sentence));
            }
            if lowest.is_none_or(|(least, _)| score < least) {
                lowest = Some((score, sentence));
            }
            if self.rules.read_sentence(&normed, number, &mut memory.scratch, &mut memory.findings) {
                for (i, reason) in self.rules.reasons.iter().enumerate() {
                    if !std::mem::take(&mut memory.findings.here[i]) {
                        continue;
                    }
                    memory.reasons[i] = true;
                    if riskiest.is_none_or(|(level, _)| reason.level > level) {
                        riskiest = Some((reason.level, sentence));
                    }
                }
            }
        }
        for (i, number) in memory.findings.hinted() {
            memory.reasons[i] = true;
            let level = self.rules.reasons[i].level;
            if riskiest.is_none_or(|(known, _)| level > known) {
                riskiest = parts().nth(number).map(|(sentence, _)| (level, sentence));
            }
        }
        let mut reasons: Vec<&Reason> = self
            .rules
            .reasons
            .iter()
            .zip(&memory.reasons)
            .filter(|(_, found)| **found)
            .map(|(r, _)| r)
            .collect();
        // Stable: equals stay in the order of the table.
        reasons.sort_by_key(|r| std::cmp::Reverse(r.level));
        let worst = reasons.first().copied();
        let risk_level = worst.map_or(RiskLevel::Low, |r| r.level);

        // What the text does not say by itself: what the post is about, and what is at stake.
        let mut tilt = expectation(issue_type);
        if risk_level == RiskLevel::High {
            tilt -= HIGH_RISK;
        }
        let (sentiment, score) = self.model.judge(&heard, tilt);
        let evidence = match (riskiest, sentiment) {
            (Some((_, sentence)), _) => Some(sentence),
            (None, Sentiment::Positive) => loudest.filter(|(score, _)| *score > 0.0).map(|(_, s)| s),
            (None, Sentiment::Negative) => lowest.filter(|(score, _)| *score < 0.0).map(|(_, s)| s),
            (None, Sentiment::Neutral) => None,
        };
        let theme = self.rules.theme(&memory.findings.themes, issue_type);
        let (theme_id, theme) = theme.map_or(("", ""), |t| (t.id.as_str(), t.title.as_str()));
        let action = self.rules.action(worst, theme_id, sentiment, asks);
        let (action_id, recommended_action) = action.map_or(("", ""), |a| (a.id.as_str(), a.title.as_str()));
        Labels {
            sentiment,
            sentiment_score: score,
            risk_level,
            risk_category: worst.map(|r| r.category),
            risk_reasons: reasons.iter().map(|r| r.code.as_str()).collect(),
            theme_id,
            theme,
            action_id,
            recommended_action,
            evidence_quote: evidence.map(|s| quote(s).to_string()),
        }
    }
}

/// How an issue type tilts a post before a word of it is read: "arrived on day nine" has no bad
/// word in it. In the model's own measure: 0.7 makes two equal classes 4 to 1.
fn expectation(issue_type: &str) -> f64 {
    match issue_type {
        "SAFETY" => -0.5,
        "DELIVERY_DELAY" | "PACKAGING_DAMAGE" => -0.4,
        "TRUST_ISSUE" => -0.25,
        "STOCK" | "SUPPORT" | "APP_ACCOUNT" => -0.15,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_model_inside_the_program_decides_and_another_one_changes_the_version() {
        let embedded = Embedded::new();
        let text = "I love them, thank you so much!";
        assert_eq!(embedded.label(text, "", "").sentiment, Sentiment::Positive);
        let before = embedded.version_hash();
        let other = embedded.with_model(Arc::new(SentimentModel::blank()));
        assert_eq!(other.label(text, "", "").sentiment, Sentiment::Neutral);
        assert_ne!(other.version_hash(), before);
    }

    #[test]
    fn what_the_tables_hold_can_be_read() {
        let embedded = Embedded::new();
        assert_eq!(
            embedded.themes().next(),
            Some((
                "medication_safety",
                "Medication safety",
                "Wrong, spoiled or recalled medicine, doses, side effects, interactions, changes of manufacturer."
            ))
        );
        assert_eq!(embedded.actions().last(), Some(("observe", "Keep watching; nothing to do")));
        assert_eq!(
            embedded.reasons().next(),
            Some(("wrong_medication", RiskLevel::High, RiskCategory::PatientSafety))
        );
    }

    #[derive(serde::Deserialize)]
    struct Posts {
        post: Vec<Post>,
    }

    #[derive(serde::Deserialize)]
    struct Post {
        text: String,
        sentiment: Option<Sentiment>,
        risk: Option<RiskLevel>,
        reason: Option<String>,
        theme: Option<String>,
        action: Option<String>,
        #[serde(default)]
        issue: String,
    }

    #[test]
    fn written_posts() {
        let embedded = Embedded::new();
        let posts: Posts = toml::from_str(include_str!("posts.toml")).unwrap();
        let mut wrong = Vec::new();
        for post in &posts.post {
            let labels = embedded.label(&post.text, "", &post.issue);
            let right = post.sentiment.is_none_or(|s| s == labels.sentiment)
                && post.risk.is_none_or(|r| r == labels.risk_level)
                && post.reason.as_deref().is_none_or(|r| labels.risk_reasons.contains(&r))
                && post.theme.as_deref().is_none_or(|t| t == labels.theme_id)
                && post.action.as_deref().is_none_or(|a| a == labels.action_id);
            if !right {
                wrong.push(format!("{:?}\n    {labels:?}", post.text));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), posts.post.len(), wrong.join("\n"));
    }

    #[test]
    fn two_hints_together_give_a_reason() {
        let risk = r#"
version = 1
negations = ["no"]
imagined = []
asked = []
clause = ["but"]
words = { drug = ["insulin", "warfarin"] }

[[reason]]
code = "wrong"
level = "high"
category = "patient_safety"
guard = "negation"
include = ["wrong {drug}"]
hints = ["label says", "{drug} near/3 {drug}", "pink"]

[[reason]]
code = "spied"
level = "high"
category = "privacy"
guard = "none"
hints = ["neighbor*", "wrong {drug}"]
"#;
        let find = |name: &str| {
            let text = || crate::diagnostic::SourceText { name: name.into(), text: risk.into() };
            (name == "risk.toml").then(|| Arc::new(text()))
        };
        let (tables, problems) = Tables::read(find, &[]);
        // A phrase that gives a reason gives no hint of another; the shipped actions name other reasons.
        let told: Vec<&str> = problems.iter().map(|p| p.text.message.as_str()).collect();
        assert!(told.contains(&"`wrong {drug}` of `spied` never decides: `wrong` has it too"), "{told:?}");
        let embedded = Embedded::with_tables(tables);
        let reasons = |text: &str| {
            let labels = embedded.label(text, "", "");
            (labels.risk_reasons.join(" "), labels.evidence_quote)
        };
        let of = |text: &str| reasons(text).0;
        assert_eq!(of("the label says so"), "");
        assert_eq!(of("the label says so, the label says so"), "", "twice the same");
        assert_eq!(of("insulin and warfarin and insulin"), "", "one hint, whatever its list holds");
        assert_eq!(of("The label says so. They are pink."), "wrong");
        assert_eq!(of("The label says so. They are no longer pink."), "", "not where it is denied");
        assert_eq!(of("My neighbor called. They are pink."), "wrong spied");
        assert_eq!(of("I got the wrong insulin. My neighbor called."), "wrong");
        // The sentence of the first hint of the worst shows it.
        assert_eq!(
            reasons("Nothing to see. They are pink. The label says so.").1.as_deref(),
            Some("They are pink.")
        );
    }

    #[test]
    fn one_post_in_full() {
        let labels = Embedded::new();
        let labels = labels.label(
            "Be careful with this pharmacy",
            "I have used them for a year. Last week they sent me the WRONG medication, and nobody called back! I am switching to Costco.",
            "SAFETY",
        );
        insta::assert_debug_snapshot!(labels);
    }

    proptest! {
        #[test]
        fn any_text_has_labels(title in ".{0,60}", body in r"(\PC|[.!?\n ]|wrong pills|not|great){0,60}") {
            static EMBEDDED: std::sync::LazyLock<Embedded> = std::sync::LazyLock::new(Embedded::new);
            let embedded = &*EMBEDDED;
            let labels = embedded.label(&title, &body, "GENERAL_FEEDBACK");
            prop_assert!((-1.0..=1.0).contains(&labels.sentiment_score));
            prop_assert_eq!(labels.risk_level == RiskLevel::Low, labels.risk_reasons.is_empty());
            prop_assert_eq!(labels.risk_category.is_none(), labels.risk_reasons.is_empty());
            if let Some(quote) = &labels.evidence_quote {
                prop_assert!(!quote.is_empty() && (title.contains(quote) || body.contains(quote)));
            }
            prop_assert_eq!(&embedded.label(&title, &body, "GENERAL_FEEDBACK"), &labels);
        }
    }
}
