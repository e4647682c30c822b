//! What a plan would spend on language models, before it is spent.
//!
//! Texts that have an answer already cost nothing and are not counted. Tokens are estimated at
//! four characters each; days whose posts are yet to be made cannot be priced, and are told.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Relabel;
use crate::diagnostic::SourceText;
use crate::engine::{CancellationFlag, EngineError};
use crate::enrich::{Answers, KnownAnswers, Need, Rates, Tokens, Usd};
use crate::exec::{self, Ai, World};
use crate::graph::{AssetIdx, AssetKey, Plan};
use crate::lake::Lake;
use crate::output::text;
use crate::project::Project;

use super::common::CliError;
use super::query;

/// Characters of a token, on average.
const CHARS: u64 = 4;
/// Tokens of the answer for one post.
const OUTPUT_EACH: u64 = 110;

/// What one asset would ask.
pub struct Priced {
    /// For which asset.
    pub asset: AssetKey,
    /// Who is asked.
    pub provider: &'static str,
    /// Which model.
    pub model: String,
    /// Texts without an answer.
    pub texts: u64,
    /// Calls in the fault-free case.
    pub calls: u64,
    /// About so many tokens.
    pub tokens: Tokens,
    /// What they cost; `None` when nobody said what a token costs.
    pub cost: Option<Usd>,
    /// Days whose posts are yet to be made.
    pub unknown_days: u64,
    /// The table of posts.
    pub posts: AssetKey,
    /// Why nobody can be asked.
    pub missing: Option<String>,
}

/// Prices the steps of a plan that ask a language model.
pub fn price(
    project: &Project,
    lake: Option<&Lake>,
    world: &World,
    plan: &Plan,
) -> Result<Vec<Priced>, CliError> {
    let config = &project.config;
    let graph = &config.graph;
    let mut out = Vec::new();
    for asset in graph.indices() {
        let Some(enrich) = exec::asks_network(config, asset) else { continue };
        let slots: BTreeSet<usize> = plan.steps.iter().filter(|s| s.asset == asset).map(|s| s.slot).collect();
        let Some(posts) = exec::posts_of(config, asset).filter(|_| !slots.is_empty()) else { continue };
        let made: BTreeSet<usize> = plan.steps.iter().filter(|s| s.asset == posts).map(|s| s.slot).collect();
        let known: BTreeSet<usize> = slots
            .iter()
            .copied()
            .filter(|s| !made.contains(s) && world.ledger.at(posts, *s).is_some())
            .collect();
        let prompt = exec::ai_prompt(enrich, &project.embedded);
        let chain = exec::ai_chain(config, enrich, &prompt, None);
        let ai = Ai::default();
        if let Some(lake) = lake {
            ai.refresh(lake)?;
        }
        let mut needs: BTreeMap<String, Need> = BTreeMap::new();
        let left = BTreeMap::new();
        let mut pending = BTreeSet::new();
        if let Some(lake) = lake {
            let batches = exec::read_batches(lake, graph.key(asset).as_str())?;
            for (_, batch) in batches.iter().filter(|(_, batch)| batch.is_open()) {
                pending.extend(batch.open_contents().map(str::to_string));
            }
        }
        // Days on which an answer to another prompt will do, and days on which it will not.
        for any in [true, false] {
            let class: BTreeSet<usize> = known
                .iter()
                .copied()
                .filter(|s| exec::any_answer(enrich.relabel, graph.partition(asset, *s).day()) == any)
                .collect();
            if class.is_empty() {
                continue;
            }
            each_post(project, lake, world, posts, asset, &class, &mut |batch| {
                ai.with_answers(|answers: &Answers| {
                    let lent = KnownAnswers {
                        answers,
                        questions: &chain.questions,
                        left: &left,
                        pending: &pending,
                        fallback: chain.fallback,
                    };
                    crate::enrich::needs(batch, &lent, any, &mut needs, &mut BTreeSet::new())
                })
                .map_err(|e| EngineError::Other(e.to_string()))
            })?;
        }
        let texts = needs.len() as u64;
        let calls = texts.div_ceil(config.ai.pack_size.max(1) as u64);
        let chars: u64 = needs.values().map(|n| n.text.chars().count() as u64 + 24).sum();
        let around = (prompt.system.chars().count() + prompt.schema.chars().count() / 4) as u64 + 60;
        let tokens = Tokens {
            prompt: (chars + calls * around) / CHARS,
            candidates: texts * OUTPUT_EACH,
            ..Tokens::default()
        };
        let settings = match chain.questions.first().map(|q| q.provider.as_str()) {
            Some("gemini") => config.ai.gemini.as_ref(),
            _ => config.ai.openai_compatible.as_ref(),
        };
        let rates = settings
            .and_then(|m| m.price.as_ref())
            .map(|p| Rates::per_million(p.input, p.output, p.cached_input));
        let rates = match settings.is_some_and(|m| m.batch) {
            true => rates.map(Rates::halved),
            false => rates,
        };
        out.push(Priced {
            asset: graph.key(asset).clone(),
            provider: enrich.provider.as_str(),
            model: settings.map(|m| m.model.clone()).unwrap_or_default(),
            texts,
            calls,
            tokens,
            cost: rates.map(|r| r.cost(tokens)),
            unknown_days: (slots.len() - known.len()) as u64,
            posts: graph.key(posts).clone(),
            missing: chain.missing,
        });
    }
    Ok(out)
}

/// Hands the posts of some days to `take`.
fn each_post(
    project: &Project,
    lake: Option<&Lake>,
    world: &World,
    posts: AssetIdx,
    asset: AssetIdx,
    slots: &BTreeSet<usize>,
    take: &mut dyn FnMut(&datafusion::arrow::array::RecordBatch) -> Result<(), EngineError>,
) -> Result<(), CliError> {
    let engine = project.engine()?;
    let (shapes, _) = project.shapes(&engine).map_err(CliError::Problems)?;
    let table = query::table_of(project, lake, world, posts, shapes[posts.i()].schema.clone(), &|s| {
        slots.contains(&s)
    })?;
    let Some(enrich) = exec::asks_network(&project.config, asset) else { return Ok(()) };
    let text = exec::enrich_query(project.config.graph.key(posts), enrich);
    let sql = SourceText { name: "plan".into(), text };
    match engine.query(&sql, vec![table], &CancellationFlag::new(), &mut |batch| take(&batch)) {
        Ok(_) => Ok(()),
        Err(EngineError::Sql(found)) => {
            Err(CliError::Usage(found.iter().map(|p| p.message.clone()).collect::<Vec<_>>().join("; ")))
        }
        Err(error) => Err(CliError::Usage(error.to_string())),
    }
}

impl Priced {
    /// One line for people.
    pub fn line(&self, relabel: Relabel) -> String {
        let mut out = format!("{}: ", self.asset);
        if self.texts == 0 && self.unknown_days == 0 {
            out.push_str("no call: every text has an answer already, $0");
        } else if self.texts > 0 {
            let cost = self.cost.map_or_else(|| "price unknown".into(), |c| format!("about {c}"));
            out.push_str(&format!(
                "{} to {} ({}) for {}, about {} tokens, {cost}",
                text::plural(self.calls, "call"),
                self.provider,
                self.model,
                text::plural(self.texts, "text"),
                text::count(self.tokens.prompt + self.tokens.candidates),
            ));
        }
        if self.unknown_days > 0 {
            let more = if self.texts > 0 { "; " } else { "" };
            out.push_str(&format!(
                "{more}{} can be priced once {} is made",
                text::plural(self.unknown_days, "day"),
                self.posts
            ));
        }
        if relabel == Relabel::All {
            out.push_str("; relabel = \"all\" asks about every post again");
        }
        if let Some(missing) = &self.missing {
            out.push_str(&format!("; {missing}"));
        }
        out
    }

    /// The same for programs.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "asset": self.asset,
            "provider": self.provider,
            "model": self.model,
            "texts": self.texts,
            "calls": self.calls,
            "input_tokens": self.tokens.prompt,
            "output_tokens": self.tokens.candidates,
            "cost_usd": self.cost.map(Usd::dollars),
            "unknown_days": self.unknown_days,
            "missing": self.missing,
        })
    }
}
