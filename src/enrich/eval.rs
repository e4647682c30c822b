//! How well labels agree with the golden file, and whether that is enough.
//!
//! Whoever labels (rules, a language model) hands in answers; everything here is counting. A post
//! without an answer is a post with wrong labels. A measure that nothing in the file can show
//! (a recall without a high risk) is unknown, not zero, and does not pass a gate. Pure.

use std::collections::BTreeMap;

use super::embedded::{Embedded, RiskCategory, RiskLevel, Sentiment};
use super::golden::{GoldCategory, GoldenPost};
use crate::classify::{Scratch, Taxonomy, norm};
use crate::config::{Agreement, Field, GateConfig, Measure};

/// What stands in the place of a label that is missing.
pub const NO_ANSWER: &str = "(no answer)";
/// The risk category of a post without a risk.
const NO_RISK: &str = "none";

/// The labels of one post.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Labelled {
    /// How it sounds.
    pub sentiment: Sentiment,
    /// How much harm it tells of.
    pub risk_level: RiskLevel,
    /// Whose concern that is.
    pub risk_category: Option<RiskCategory>,
    /// The theme's code.
    pub theme_id: String,
    /// The action's code.
    pub action_id: String,
}

/// What asking cost.
#[derive(Clone, Copy, PartialEq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// Calls over the network, failed ones too.
    pub calls: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written, thoughts too.
    pub output_tokens: u64,
    /// In USD.
    pub usd: f64,
}

/// What a provider answered.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Answers {
    /// One for each post, in their order; `None` where there was no usable answer.
    pub labels: Vec<Option<Labelled>>,
    /// What it cost.
    pub cost: Cost,
}

/// The issue type of every post, as silver decides it.
pub fn issue_types(posts: &[GoldenPost], taxonomy: &Taxonomy) -> Vec<String> {
    let mut scratch = Scratch::new();
    let mut one = |post: &GoldenPost| {
        // As silver_posts.sql joins them.
        let text = match (post.title.is_empty(), post.body.is_empty()) {
            (false, false) => format!("{} . {}", post.title, post.body),
            _ => format!("{}{}", post.title, post.body),
        };
        let found = taxonomy.classify(&norm(&text), &mut scratch);
        taxonomy.issues().get(usize::from(found.issue)).map(|i| i.id.clone()).unwrap_or_default()
    };
    posts.iter().map(&mut one).collect()
}

/// The labels of the embedded model, which reads each post with its issue type.
pub fn embedded(embedded: &Embedded, posts: &[GoldenPost], issue_types: &[String]) -> Answers {
    let label = |(post, issue_type): (&GoldenPost, &String)| {
        let labels = embedded.label(&post.title, &post.body, issue_type);
        Some(Labelled {
            sentiment: labels.sentiment,
            risk_level: labels.risk_level,
            risk_category: labels.risk_category,
            theme_id: labels.theme_id.to_string(),
            action_id: labels.action_id.to_string(),
        })
    };
    Answers { labels: posts.iter().zip(issue_types).map(label).collect(), cost: Cost::default() }
}

/// Found, rightly found and there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Detection {
    /// In the golden file.
    pub gold: usize,
    /// In the answers.
    pub found: usize,
    /// In both.
    pub right: usize,
}

impl Detection {
    /// Of those that are there, the share that was found; unknown when there are none.
    pub fn recall(self) -> Option<f64> {
        share(self.right, self.gold)
    }

    /// Of those found, the share that is there; unknown when none was found.
    pub fn precision(self) -> Option<f64> {
        share(self.right, self.found)
    }

    /// The harmonic mean of the two; 0 when nothing is right.
    pub fn f1(self) -> f64 {
        share(2 * self.right, self.gold + self.found).unwrap_or(0.0)
    }

    fn count(&mut self, gold: bool, found: bool) {
        self.gold += usize::from(gold);
        self.found += usize::from(found);
        self.right += usize::from(gold && found);
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// One field over all posts.
#[derive(Clone, PartialEq, Debug)]
pub struct FieldReport {
    /// Which.
    pub field: Field,
    /// Posts with the right label.
    pub right: usize,
    /// By label, in alphabetical order; those of the golden file and those of the answers.
    pub labels: BTreeMap<String, Detection>,
    /// By the golden label and the answer: how many posts.
    pub confusion: BTreeMap<(String, String), usize>,
}

impl FieldReport {
    /// Posts that have the label in the golden file.
    pub fn posts(&self) -> usize {
        self.confusion.values().sum()
    }

    /// How well the labels agree; unknown where it means nothing.
    pub fn agreement(&self, agreement: Agreement) -> Option<f64> {
        let posts = self.posts();
        match agreement {
            Agreement::Accuracy => share(self.right, posts),
            Agreement::MacroF1 => {
                let sum: f64 = self.labels.values().map(|d| d.f1()).sum();
                (!self.labels.is_empty()).then(|| sum / self.labels.len() as f64)
            }
            Agreement::Kappa => {
                let observed = share(self.right, posts)?;
                let both = |d: &Detection| d.gold as f64 * d.found as f64;
                let chance = self.labels.values().map(both).sum::<f64>() / (posts as f64).powi(2);
                // With one label on both sides there is nothing beyond chance.
                (chance < 1.0).then(|| (observed - chance) / (1.0 - chance))
            }
        }
    }
}

/// A post whose label is another than the golden one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Disagreement {
    /// The post's id.
    pub id: String,
    /// Which label.
    pub field: Field,
    /// The golden label.
    pub gold: String,
    /// The answer.
    pub found: String,
    /// Title and body.
    pub text: String,
}

/// What was measured.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// Posts looked at.
    pub posts: usize,
    /// Posts with an answer.
    pub answered: usize,
    /// High risks of any category.
    pub high_risk: Detection,
    /// High risks for patients.
    pub patient_safety: Detection,
    /// By field, in the order of [`Field::ALL`].
    pub fields: Vec<FieldReport>,
    /// By post, then field.
    pub disagreements: Vec<Disagreement>,
    /// What the answers cost.
    pub cost: Cost,
}

/// Compares answers with the golden labels. `issue_types` are the taxonomy's, which no provider
/// decides. An answer that is missing counts as wrong; a golden label that is missing counts
/// nowhere.
pub fn evaluate(posts: &[GoldenPost], issue_types: &[String], answers: &Answers) -> Report {
    let mut report = Report {
        posts: posts.len(),
        answered: 0,
        high_risk: Detection::default(),
        patient_safety: Detection::default(),
        fields: Field::ALL
            .into_iter()
            .map(|field| FieldReport { field, right: 0, labels: BTreeMap::new(), confusion: BTreeMap::new() })
            .collect(),
        disagreements: Vec::new(),
        cost: answers.cost,
    };
    for (at, post) in posts.iter().enumerate() {
        let found = answers.labels.get(at).and_then(Option::as_ref);
        report.answered += usize::from(found.is_some());
        let high = |level, category| {
            let high = level == RiskLevel::High;
            (high, high && category == Some(RiskCategory::PatientSafety))
        };
        let found_high = found.map_or((false, false), |f| high(f.risk_level, f.risk_category));
        if let Some(level) = post.risk_level {
            report.high_risk.count(level == RiskLevel::High, found_high.0);
            // Whose concern a risk is that nobody named is unknown.
            if let Some(category) = post.risk_category {
                let category = match category {
                    GoldCategory::None => None,
                    GoldCategory::Of(category) => Some(category),
                };
                report.patient_safety.count(high(level, category).1, found_high.1);
            }
        }
        for field in &mut report.fields {
            let Some(gold) = gold_label(post, field.field).map(str::to_string) else { continue };
            let answer = match (field.field, found) {
                (Field::IssueType, _) => issue_types.get(at).map(String::as_str),
                (of, Some(found)) => Some(found_label(found, of)),
                (_, None) => None,
            };
            field.labels.entry(gold.clone()).or_default().gold += 1;
            if let Some(answer) = answer {
                field.labels.entry(answer.to_string()).or_default().found += 1;
            }
            let answer = answer.unwrap_or(NO_ANSWER).to_string();
            *field.confusion.entry((gold.clone(), answer.clone())).or_default() += 1;
            if answer == gold {
                field.right += 1;
                field.labels.entry(gold).or_default().right += 1;
                continue;
            }
            let text = [post.title.as_str(), post.body.as_str()];
            report.disagreements.push(Disagreement {
                id: post.id.clone(),
                field: field.field,
                gold,
                found: answer,
                text: text.into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" — "),
            });
        }
    }
    report
}

fn category(category: Option<RiskCategory>) -> &'static str {
    category.map_or(NO_RISK, RiskCategory::as_str)
}

fn gold_label(post: &GoldenPost, field: Field) -> Option<&str> {
    match field {
        Field::Sentiment => post.sentiment.map(Sentiment::as_str),
        Field::RiskLevel => post.risk_level.map(RiskLevel::as_str),
        Field::RiskCategory => post.risk_category.map(|said| match said {
            GoldCategory::None => NO_RISK,
            GoldCategory::Of(of) => of.as_str(),
        }),
        Field::Theme => post.theme_id.as_deref(),
        Field::Action => post.action_id.as_deref(),
        Field::IssueType => post.issue_type.as_deref(),
    }
}

fn found_label(found: &Labelled, field: Field) -> &str {
    match field {
        Field::Sentiment => found.sentiment.as_str(),
        Field::RiskLevel => found.risk_level.as_str(),
        Field::RiskCategory => category(found.risk_category),
        Field::Theme => &found.theme_id,
        Field::Action => &found.action_id,
        // The taxonomy's, not a provider's.
        Field::IssueType => "",
    }
}

impl Report {
    /// One measure; unknown where the file has nothing to show it.
    pub fn measure(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Answered => share(self.answered, self.posts),
            Measure::HighRiskRecall => self.high_risk.recall(),
            Measure::HighRiskPrecision => self.high_risk.precision(),
            Measure::PatientSafetyRecall => self.patient_safety.recall(),
            Measure::PatientSafetyPrecision => self.patient_safety.precision(),
            Measure::Of(of, agreement) => {
                self.fields.iter().find(|f| f.field == of).and_then(|f| f.agreement(agreement))
            }
        }
    }

    /// All measures by name; unknown ones are `None`.
    pub fn measures(&self) -> BTreeMap<String, Option<f64>> {
        Measure::all().map(|m| (m.name(), self.measure(m))).collect()
    }
}

/// A bar that was not reached.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Shortfall {
    /// What was measured.
    pub measure: Measure,
    /// The lowest value that the gate lets pass.
    pub min: f64,
    /// What it is; `None` when the golden file cannot show it.
    pub found: Option<f64>,
}

impl std::fmt::Display for Shortfall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, min) = (self.measure.name(), self.min);
        match self.found {
            // Cut, not rounded: 0.9496 is not shown as the 0.95 that it fails to reach.
            Some(found) => write!(f, "{name} is {:.3}, below {min}", (found * 1000.0).floor() / 1000.0),
            None => write!(f, "{name} cannot be measured with this golden file, and {min} is asked for"),
        }
    }
}

/// What of a report falls short of a gate, in the order written; empty when it passes.
pub fn judge(gate: &GateConfig, report: &Report) -> Vec<Shortfall> {
    judge_by(gate, |measure| report.measure(measure))
}

/// As [`judge`], of values that come from elsewhere, such as a recorded evaluation.
pub fn judge_by(gate: &GateConfig, found: impl Fn(Measure) -> Option<f64>) -> Vec<Shortfall> {
    let short = |&(measure, min): &(Measure, f64)| {
        let found = found(measure);
        (!found.is_some_and(|f| f >= min)).then_some(Shortfall { measure, min, found })
    };
    gate.min.iter().filter_map(short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::Split;

    fn post(id: usize, sentiment: Sentiment, risk: Option<RiskCategory>, level: RiskLevel) -> GoldenPost {
        GoldenPost {
            id: format!("p{id}"),
            split: Split::Dev,
            platform: "reddit".into(),
            post_type: "post".into(),
            title: format!("title {id}"),
            body: String::new(),
            sentiment: Some(sentiment),
            risk_level: Some(level),
            risk_category: Some(risk.map_or(GoldCategory::None, GoldCategory::Of)),
            theme_id: Some("a".into()),
            action_id: Some("b".into()),
            issue_type: Some("X".into()),
            notes: String::new(),
        }
    }

    fn answer(sentiment: Sentiment, risk: Option<RiskCategory>, level: RiskLevel) -> Option<Labelled> {
        Some(Labelled {
            sentiment,
            risk_level: level,
            risk_category: risk,
            theme_id: "a".into(),
            action_id: "c".into(),
        })
    }

    /// Ten posts, eight answers; the numbers below are counted by hand.
    fn ten() -> Report {
        use RiskCategory::{Legal, PatientSafety};
        use RiskLevel::{High, Low, Medium};
        use Sentiment::{Negative, Neutral, Positive};
        let posts = [
            post(0, Negative, Some(PatientSafety), High),
            post(1, Negative, Some(PatientSafety), High),
            post(2, Negative, Some(Legal), High),
            post(3, Negative, Some(PatientSafety), High),
            post(4, Negative, None, Low),
            post(5, Positive, None, Low),
            post(6, Positive, None, Low),
            post(7, Positive, None, Low),
            post(8, Neutral, None, Low),
            post(9, Neutral, None, Low),
        ];
        let labels = vec![
            answer(Negative, Some(PatientSafety), High),
            answer(Negative, Some(Legal), High),
            answer(Neutral, Some(Legal), High),
            None,
            answer(Negative, Some(PatientSafety), High),
            answer(Positive, None, Low),
            answer(Positive, None, Low),
            answer(Negative, Some(RiskCategory::Retention), Medium),
            answer(Neutral, None, Low),
            None,
        ];
        let issue_types: Vec<String> = "XXXXXXXXXY".chars().map(String::from).collect();
        let cost = Cost { calls: 1, input_tokens: 10, output_tokens: 5, usd: 0.25 };
        evaluate(&posts, &issue_types, &Answers { labels, cost })
    }

    fn near(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|f| (f - expected).abs() < 1e-12)
    }

    #[test]
    fn counted_by_hand() {
        let report = ten();
        assert_eq!((report.posts, report.answered), (10, 8));
        assert_eq!(report.high_risk, Detection { gold: 4, found: 4, right: 3 });
        assert_eq!(report.patient_safety, Detection { gold: 3, found: 2, right: 1 });
        assert_eq!(report.cost.usd, 0.25);
        let of = |field, agreement| report.measure(Measure::Of(field, agreement));
        // Right: posts 0, 1, 4, 5, 6, 8.
        assert!(near(of(Field::Sentiment, Agreement::Accuracy), 0.6));
        // Negative 5 there, 4 found, 3 right; positive 3, 2, 2; neutral 2, 2, 1.
        let f1 = (6.0 / 9.0 + 4.0 / 5.0 + 2.0 / 4.0) / 3.0;
        assert!(near(of(Field::Sentiment, Agreement::MacroF1), f1));
        let chance = (5.0 * 4.0 + 3.0 * 2.0 + 2.0 * 2.0) / 100.0;
        assert!(near(of(Field::Sentiment, Agreement::Kappa), (0.6 - chance) / (1.0 - chance)));
        // All answers say "c", where "b" is right: nothing of either is right.
        assert!(near(of(Field::Action, Agreement::MacroF1), 0.0));
        // One theme on both sides: κ says nothing, and two answers are missing.
        assert!(near(of(Field::Theme, Agreement::Accuracy), 0.8));
        assert!(near(of(Field::IssueType, Agreement::Accuracy), 0.9));
    }

    #[test]
    fn what_cannot_be_shown_is_unknown_and_passes_no_gate() {
        let report = evaluate(&[], &[], &Answers::default());
        assert!(report.measures().values().all(Option::is_none), "{:?}", report.measures());
        let gate = |min| GateConfig { golden: None, min };
        let recall = Measure::HighRiskRecall;
        let short = judge(&gate(vec![(recall, 0.0)]), &report);
        assert_eq!(short, [Shortfall { measure: recall, min: 0.0, found: None }]);
        assert!(judge(&gate(Vec::new()), &report).is_empty());
        // One label only on both sides.
        let one = [post(0, Sentiment::Neutral, None, RiskLevel::Low)];
        let answers =
            Answers { labels: vec![answer(Sentiment::Neutral, None, RiskLevel::Low)], cost: Cost::default() };
        let report = evaluate(&one, &["X".to_string()], &answers);
        assert_eq!(report.measure(Measure::Of(Field::Sentiment, Agreement::Kappa)), None);
    }

    #[test]
    fn a_gate_refuses_what_is_below_and_nothing_else() {
        let report = ten();
        let gate = GateConfig {
            golden: None,
            min: vec![
                (Measure::HighRiskRecall, 0.75),
                (Measure::HighRiskPrecision, 0.76),
                (Measure::Of(Field::Sentiment, Agreement::Accuracy), 0.6),
                (Measure::Answered, 0.95),
            ],
        };
        let said: Vec<String> = judge(&gate, &report).iter().map(ToString::to_string).collect();
        assert_eq!(said, ["high_risk_precision is 0.750, below 0.76", "answered is 0.800, below 0.95"]);
        let measures = report.measures();
        let recorded = judge_by(&gate, |m| measures.get(&m.name()).copied().flatten());
        assert_eq!(recorded, judge(&gate, &report));
    }

    #[test]
    fn disagreements_name_post_field_and_both_labels() {
        let report = ten();
        let of = |id: &str| -> Vec<(Field, String, String)> {
            let of = report.disagreements.iter().filter(|d| d.id == id);
            of.map(|d| (d.field, d.gold.clone(), d.found.clone())).collect()
        };
        assert_eq!(
            of("p1"),
            [
                (Field::RiskCategory, "patient_safety".into(), "legal".into()),
                (Field::Action, "b".into(), "c".into()),
            ]
        );
        assert!(
            of("p3").iter().all(|(field, _, found)| {
                found == if *field == Field::IssueType { "X" } else { NO_ANSWER }
            })
        );
        assert_eq!(of("p3").len(), 5);
        let wrong: usize = report.fields.iter().map(|f| report.posts - f.right).sum();
        assert_eq!(report.disagreements.len(), wrong);
        for field in &report.fields {
            assert_eq!(field.confusion.values().sum::<usize>(), report.posts);
        }
    }
}
