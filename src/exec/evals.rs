//! The gate before labels, and the log `ai_evals`: what a provider reached on the golden file.
//!
//! The embedded model is evaluated here and now, which takes milliseconds: once a run, when the
//! first step that needs it begins. A provider that costs money is evaluated by a person
//! (`rxpulse ai eval`); what it reached is a record in the lake, and the gate asks for a passing
//! one of the same model, prompt and schema. Blocks on the disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::ai::{self, Ai, Errand};
use crate::classify::Taxonomy;
use crate::config::{Body, Config, GateConfig, Measure, Provider};
use crate::diagnostic::TextProblem;
use crate::engine::CancellationFlag;
use crate::enrich::{
    self, Cost, Embedded, GOLDEN, GoldCategory, GoldenAnswers, GoldenLabels, GoldenPost, KnownLabels, Need,
    Question, Report, RiskLevel, Shortfall, Usd, Verdict,
};
use crate::lake::{Lake, LakeError};

/// The kind of the lake's records.
pub const EVALS: &str = "ai_evals";
/// Where a project keeps its golden file, when it has one.
pub const GOLDEN_FILE: &str = "assets/golden.jsonl";

/// What was evaluated: another of any of these is another thing.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct EvalKey {
    /// The provider's word in the configuration.
    pub provider: String,
    /// The model that was asked for.
    pub model: String,
    /// Of the prompt, as in the tables.
    pub prompt_hash: String,
    /// Of the answer's schema, as in the tables.
    pub schema_hash: String,
}

impl From<&Question> for EvalKey {
    fn from(question: &Question) -> Self {
        Self {
            provider: question.provider.clone(),
            model: question.model.clone(),
            prompt_hash: question.prompt_hash.clone(),
            schema_hash: question.schema_hash.clone(),
        }
    }
}

/// One evaluation, as it is recorded.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct EvalRecord {
    /// When it ended, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Of what.
    #[serde(flatten)]
    pub key: EvalKey,
    /// Of the golden posts that were asked, so that a record tells what it was measured on.
    pub golden_hash: String,
    /// How many posts that were.
    pub posts: usize,
    /// By name; what could not be measured is null.
    pub measures: BTreeMap<String, Option<f64>>,
    /// What it cost.
    pub cost: Cost,
}

impl EvalRecord {
    /// The record of a report.
    pub fn new(key: EvalKey, report: &Report, posts: &[GoldenPost], at_ms: i64) -> Self {
        Self {
            at_ms,
            key,
            golden_hash: golden_hash(posts),
            posts: report.posts,
            measures: report.measures(),
            cost: report.cost,
        }
    }
}

/// A hash of golden posts with their labels; notes for people are no part of it.
pub fn golden_hash(posts: &[GoldenPost]) -> String {
    let mut hasher = blake3::Hasher::new();
    for p in posts {
        let category = match p.risk_category {
            None => "?",
            Some(GoldCategory::None) => "",
            Some(GoldCategory::Of(category)) => category.as_str(),
        };
        for text in [
            p.id.as_str(),
            &p.platform,
            &p.post_type,
            &p.title,
            &p.body,
            p.sentiment.map_or("", |s| s.as_str()),
            p.risk_level.map_or("", |l| l.as_str()),
            category,
            p.theme_id.as_deref().unwrap_or(""),
            p.action_id.as_deref().unwrap_or(""),
            p.issue_type.as_deref().unwrap_or(""),
        ] {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
    }
    hasher.finalize().to_hex()[..32].to_string()
}

/// Appends an evaluation to the log of its provider.
///
/// # Errors
/// When the lake refuses.
pub fn record_eval(lake: &Lake, record: &EvalRecord) -> Result<u64, LakeError> {
    // Text and numbers: it cannot fail to serialize.
    let line = serde_json::to_vec(record).unwrap_or_default();
    lake.append_record(EVALS, &record.key.provider, &line)
}

/// The newest evaluation of this very thing on this very golden file; `None` when there was none.
///
/// # Errors
/// When a record cannot be read.
pub fn last_eval(lake: &Lake, key: &EvalKey, golden_hash: &str) -> Result<Option<EvalRecord>, LakeError> {
    for (number, path) in lake.list_records(EVALS, &key.provider)?.into_iter().rev() {
        let bytes = lake.read_record(EVALS, &key.provider, number)?;
        let record: EvalRecord =
            serde_json::from_slice(&bytes).map_err(|e| LakeError::Corrupt { path, why: e.to_string() })?;
        if record.key == *key && record.golden_hash == golden_hash {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// Where something stands with the gate.
#[derive(Clone, PartialEq, Debug)]
pub enum GateStanding {
    /// It reaches every bar.
    Passed,
    /// It does not.
    Short(Vec<Shortfall>),
    /// Nobody evaluated it.
    Never,
}

/// The [`golden_hash`] of the file that a gate looks at.
///
/// # Errors
/// Why it cannot be read, in words.
pub fn gate_hash(root: &Path, gate: &GateConfig) -> Result<String, String> {
    let golden = golden_text(root, gate.golden.as_ref().map(|g| g.value.as_str()))?;
    let posts = enrich::read_golden(&golden.text, &KnownLabels::default())
        .map_err(|problems| format!("{} has {} problems", golden.name, problems.len()))?;
    Ok(golden_hash(&posts))
}

/// Where a provider that costs money stands: by its newest recorded evaluation on the gate's
/// golden file. One on half of it, or on another, decides nothing.
///
/// # Errors
/// When a record cannot be read.
pub fn recorded_standing(
    lake: &Lake,
    gate: &GateConfig,
    key: &EvalKey,
    golden_hash: &str,
) -> Result<GateStanding, LakeError> {
    let Some(record) = last_eval(lake, key, golden_hash)? else { return Ok(GateStanding::Never) };
    let found = |m: Measure| record.measures.get(&m.name()).copied().flatten();
    Ok(match enrich::judge_by(gate, found) {
        short if short.is_empty() => GateStanding::Passed,
        short => GateStanding::Short(short),
    })
}

/// A golden file as text, and what to call it.
pub struct GoldenText {
    /// The path as it was given, or that of the file inside the program.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// The golden file: the one that is named, relative to the project; else the project's own;
/// else the one inside the program.
///
/// # Errors
/// When a file that is there (or named) cannot be read.
pub fn golden_text(root: &Path, named: Option<&str>) -> Result<GoldenText, String> {
    let path = root.join(named.unwrap_or(GOLDEN_FILE));
    if named.is_none() && !path.exists() {
        return Ok(GoldenText { name: format!("{GOLDEN_FILE} (built in)"), text: GOLDEN.to_string() });
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|e| format!("cannot read the golden file {}: {e}", path.display()))?;
    Ok(GoldenText { name: named.unwrap_or(GOLDEN_FILE).to_string(), text })
}

/// The ids that golden labels may name, for whoever edits them.
pub fn known_ids(embedded: &Embedded, taxonomy: &Taxonomy) -> KnownLabels {
    KnownLabels {
        themes: embedded.themes().map(|t| t.0.to_string()).collect(),
        actions: embedded.actions().map(|a| a.0.to_string()).collect(),
        issue_types: taxonomy.issues().iter().map(|i| i.id.clone()).collect(),
    }
}

/// Evaluates the embedded model on golden posts.
pub fn embedded_report(embedded: &Embedded, taxonomy: &Taxonomy, posts: &[GoldenPost]) -> Report {
    let issue_types = enrich::golden_issue_types(posts, taxonomy);
    let answers = enrich::embedded_answers(embedded, posts, &issue_types);
    enrich::evaluate_labels(posts, &issue_types, &answers)
}

/// Evaluates a provider over the network on golden posts, with the prompt of the table of general
/// feedback, and records what it reached. Golden posts that were asked about before with the same
/// prompt and model cost nothing again. Must be called where a runtime is entered; blocks.
///
/// # Errors
/// Why it cannot be asked, in words; when the lake refuses.
pub fn network_report(
    res: &NetworkEval<'_>,
    named: Provider,
    posts: &[GoldenPost],
    now_ms: i64,
) -> Result<(Report, EvalKey), String> {
    let (config, lake) = (res.config, res.lake);
    let (asset, enrich) = config
        .graph
        .indices()
        .filter(|a| super::is_feedback(config, *a))
        .find_map(|a| match &config.asset(a).body {
            Body::Enrich(enrich) => Some((a, enrich)),
            _ => None,
        })
        .ok_or("there is no table of general feedback, whose prompt could be measured")?;
    let prompt = Arc::new(ai::prompt(enrich, res.embedded));
    let mut alone = enrich.clone();
    alone.provider = named;
    let mut chain = ai::chain(config, &alone, &prompt, None);
    if let Some(missing) = chain.missing {
        return Err(missing);
    }
    // Nobody stands in: it is this provider that is measured.
    chain.providers.truncate(1);
    chain.questions.truncate(1);
    // A measurement is waited for, not for a day.
    chain.batch = false;
    let question = chain.questions.first().cloned().ok_or("the provider is not configured")?;
    let shared = Ai::default();
    shared.refresh(lake).map_err(|e| e.to_string())?;
    let texts: Vec<String> = posts.iter().map(|p| enrich::sent_text(&p.title, &p.body)).collect();
    let contents: Vec<String> = texts.iter().map(|t| enrich::content_hash(t)).collect();
    let known = shared.answers_of(&contents);
    let mut needs: BTreeMap<String, Need> = BTreeMap::new();
    for (content, text) in contents.iter().zip(&texts) {
        if known.find(content, &question, false).is_none() {
            let need = Need { content: content.clone(), text: text.clone(), posts: Vec::new(), weight: 0 };
            needs.insert(content.clone(), need);
        }
    }
    let errand = Errand { ai: &shared, config, lake, asset, run: 0, max_usd: res.max_usd, now_ms };
    let cancel = CancellationFlag::new();
    let answered = errand.ask(&chain, &prompt, needs.into_values().collect(), &cancel)?;
    if !answered.left.is_empty() || !answered.pending.is_empty() {
        let why = answered.troubles.iter().next().cloned().unwrap_or_else(|| "the budget is spent".into());
        return Err(format!(
            "{} of {} golden posts have no answer ({why}); what was answered is kept, and the next try goes on",
            answered.left.len().max(answered.pending.len()),
            posts.len()
        ));
    }
    let known = shared.answers_of(&contents);
    let issue_types = enrich::golden_issue_types(posts, res.taxonomy);
    let label = |((post, content), issue): ((&GoldenPost, &String), &String)| {
        let Verdict::Labels(labels) = &known.find(content, &question, false)?.verdict else { return None };
        // As rows are put together: a high risk of the rules stands.
        let rules = res.embedded.label(&post.title, &post.body, issue);
        let raised = rules.risk_level == RiskLevel::High && labels.risk_level < RiskLevel::High;
        Some(GoldenLabels {
            sentiment: labels.sentiment,
            risk_level: if raised { RiskLevel::High } else { labels.risk_level },
            risk_category: if raised { rules.risk_category } else { labels.risk_category },
            theme_id: labels.theme_id.clone(),
            action_id: if raised { rules.action_id.to_string() } else { labels.action_id.clone() },
        })
    };
    let answers = GoldenAnswers {
        labels: posts.iter().zip(&contents).zip(&issue_types).map(label).collect(),
        cost: Cost {
            calls: answered.calls,
            input_tokens: answered.tokens.prompt,
            output_tokens: answered.tokens.candidates + answered.tokens.thoughts,
            usd: answered.cost.dollars(),
        },
    };
    let report = enrich::evaluate_labels(posts, &issue_types, &answers);
    let key = EvalKey::from(&question);
    record_eval(lake, &EvalRecord::new(key.clone(), &report, posts, now_ms)).map_err(|e| e.to_string())?;
    Ok((report, key))
}

/// What an evaluation over the network works with.
pub struct NetworkEval<'a> {
    /// What the files say.
    pub config: &'a Config,
    /// Where answers are kept.
    pub lake: &'a Lake,
    /// The model inside the program.
    pub embedded: &'a Embedded,
    /// Issue types.
    pub taxonomy: &'a Taxonomy,
    /// `--max-usd`.
    pub max_usd: Option<Usd>,
}

/// Why the gate does not let the embedded model label, in words; `None` when it does.
pub(super) fn embedded_refusal(
    root: &Path,
    gate: &GateConfig,
    embedded: &Embedded,
    taxonomy: &Taxonomy,
) -> Option<String> {
    let golden = match golden_text(root, gate.golden.as_ref().map(|g| g.value.as_str())) {
        Ok(golden) => golden,
        Err(why) => return Some(format!("[ai.gate] cannot be judged: {why}")),
    };
    // Ids that a team took out of its tables are counted as wrong, and refuse nothing by themselves.
    let posts = match enrich::read_golden(&golden.text, &KnownLabels::default()) {
        Ok(posts) => posts,
        Err(problems) => {
            let first = problems.first().map_or("", |p: &TextProblem| p.message.as_str());
            return Some(format!(
                "[ai.gate] cannot be judged: {} has {} problems ({first}); `rxpulse ai eval` shows them",
                golden.name,
                problems.len(),
            ));
        }
    };
    let short = enrich::judge(gate, &embedded_report(embedded, taxonomy, &posts));
    refusal("the embedded model", &golden.name, &short)
}

/// The words of a refusal; `None` without a shortfall.
pub fn refusal(who: &str, golden: &str, short: &[Shortfall]) -> Option<String> {
    if short.is_empty() {
        return None;
    }
    let list: Vec<String> = short.iter().map(ToString::to_string).collect();
    Some(format!(
        "[ai.gate] refuses {who} with these tables: on {golden}, {}; `rxpulse ai eval` shows which posts",
        list.join(", and ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Agreement, Field};
    use crate::enrich::{Split, Tables};

    fn parts() -> (Embedded, Taxonomy) {
        let (taxonomy, _) = Taxonomy::parse(include_str!("../../assets/issue_taxonomy.toml")).unwrap();
        (Embedded::new(), taxonomy)
    }

    fn posts(split: Option<Split>) -> Vec<GoldenPost> {
        let mut posts = enrich::read_golden(GOLDEN, &KnownLabels::default()).unwrap();
        posts.retain(|p| split.is_none_or(|s| s == p.split));
        posts
    }

    fn gate(min: &[(Measure, f64)]) -> GateConfig {
        GateConfig { golden: None, min: min.to_vec() }
    }

    fn key(prompt: &str) -> EvalKey {
        EvalKey {
            provider: "gemini".into(),
            model: "gemini-3.5-flash-lite".into(),
            prompt_hash: prompt.into(),
            schema_hash: "s1".into(),
        }
    }

    #[test]
    fn the_newest_evaluation_of_the_same_thing_decides() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(dir.path(), "UTC").unwrap();
        let measure = Measure::Of(Field::Sentiment, Agreement::MacroF1);
        let gate = gate(&[(measure, 0.7)]);
        let record = |prompt: &str, found: Option<f64>, at_ms| EvalRecord {
            at_ms,
            key: key(prompt),
            golden_hash: "g".into(),
            posts: 3,
            measures: BTreeMap::from([(measure.name(), found)]),
            cost: Cost { calls: 2, input_tokens: 100, output_tokens: 20, usd: 0.01 },
        };
        let standing = |prompt: &str| recorded_standing(&lake, &gate, &key(prompt), "g").unwrap();
        assert_eq!(standing("p1"), GateStanding::Never);
        record_eval(&lake, &record("p1", Some(0.8), 1)).unwrap();
        record_eval(&lake, &record("p2", Some(0.6), 2)).unwrap();
        record_eval(&lake, &record("p3", None, 3)).unwrap();
        assert_eq!(last_eval(&lake, &key("p1"), "g").unwrap(), Some(record("p1", Some(0.8), 1)));
        assert_eq!(standing("p1"), GateStanding::Passed);
        let short = |found| GateStanding::Short(vec![Shortfall { measure, min: 0.7, found }]);
        assert_eq!(standing("p2"), short(Some(0.6)));
        assert_eq!(standing("p3"), short(None));
        assert_eq!(standing("p4"), GateStanding::Never);
        // Evaluated again: the newer one counts.
        record_eval(&lake, &record("p1", Some(0.5), 4)).unwrap();
        assert_eq!(standing("p1"), short(Some(0.5)));
        let other = EvalKey { schema_hash: "s2".into(), ..key("p1") };
        assert_eq!(recorded_standing(&lake, &gate, &other, "g").unwrap(), GateStanding::Never);
        // Half of the file, or another: nobody knows.
        assert_eq!(recorded_standing(&lake, &gate, &key("p1"), "h").unwrap(), GateStanding::Never);
    }

    /// The bars of the shipped tables on the shipped file.
    #[test]
    fn the_shipped_tables_reach_their_bars() {
        let (embedded, taxonomy) = parts();
        let macro_f1 = |field| Measure::Of(field, Agreement::MacroF1);
        let bars = gate(&[
            (Measure::HighRiskRecall, 0.95),
            (Measure::HighRiskPrecision, 0.5),
            (Measure::PatientSafetyRecall, 0.9),
            (macro_f1(Field::IssueType), 0.85),
        ]);
        for split in [None, Some(Split::Dev), Some(Split::Test)] {
            let report = embedded_report(&embedded, &taxonomy, &posts(split));
            let short = enrich::judge(&bars, &report);
            let wrong: Vec<_> = report.disagreements.iter().filter(|d| d.field == Field::RiskLevel).collect();
            assert!(short.is_empty(), "{split:?}: {short:?}\n{wrong:#?}");
        }
    }

    #[test]
    fn tables_that_miss_risks_are_refused() {
        let (embedded, taxonomy) = parts();
        let bars = gate(&[(Measure::HighRiskRecall, 0.9)]);
        let root = tempfile::tempdir().unwrap();
        assert_eq!(embedded_refusal(root.path(), &bars, &embedded, &taxonomy), None);
        let blind = |name: &str| {
            let text =
                include_str!("../../assets/risk.toml").replace("level = \"high\"", "level = \"medium\"");
            let file = crate::diagnostic::SourceText { name: name.into(), text };
            (name == "risk.toml").then(|| std::sync::Arc::new(file))
        };
        let blind = Embedded::with_tables(Tables::read(blind, &[]).0);
        let said = embedded_refusal(root.path(), &bars, &blind, &taxonomy).unwrap();
        assert!(said.contains("high_risk_recall is 0.000, below 0.9"), "{said}");
        // A golden file that is damaged, and one that is not there.
        std::fs::create_dir(root.path().join("assets")).unwrap();
        std::fs::write(root.path().join(GOLDEN_FILE), "{}\n").unwrap();
        let said = embedded_refusal(root.path(), &bars, &embedded, &taxonomy).unwrap();
        assert!(said.contains("1 problems") && said.contains("missing field"), "{said}");
        let spot = crate::config::Spot {
            file: std::sync::Arc::new(crate::diagnostic::SourceText {
                name: "pipelines.toml".into(),
                text: String::new(),
            }),
            span: 0..0,
        };
        let named = GateConfig {
            golden: Some(crate::config::Located::new("nowhere.jsonl".to_string(), spot)),
            min: bars.min.clone(),
        };
        let said = embedded_refusal(root.path(), &named, &embedded, &taxonomy).unwrap();
        assert!(said.contains("cannot read the golden file"), "{said}");
    }

    #[test]
    fn a_changed_label_is_another_golden_file() {
        let before = posts(None);
        let mut after = before.clone();
        after[0].notes = "other words".into();
        assert_eq!(golden_hash(&before), golden_hash(&after));
        after[0].theme_id = Some("packaging".into());
        assert_ne!(golden_hash(&before), golden_hash(&after));
        assert_eq!(golden_hash(&before).len(), 32);
    }
}
