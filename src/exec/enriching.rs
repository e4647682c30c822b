//! General feedback in a step: which texts need an answer, who gives it, what the rows are.
//!
//! The posts are read twice: once to ask about what is not known, once to put the rows together.
//! Between the two nothing of them is held but the texts that are asked about.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;

use super::ai::{self, AI_CALLS, Answered, Errand};
use super::evals::{self, GateStanding};
use super::resources::Resources;
use super::step::{Failure, GroupJob, Watch};
use crate::config::{EnrichConfig, Provider, Relabel};
use crate::engine::EngineError;
use crate::enrich::{Answers, EnrichError, Known, KnownAnswers, Left, Need, Question, Tally};
use crate::graph::{Day, Outcome};

/// Rows of a query, by day.
pub(super) type Take<'a> = &'a mut dyn FnMut(Option<Day>, RecordBatch) -> Result<(), EngineError>;

/// What is known when the rows of a piece are put together.
pub(super) struct Feedback {
    relabel: Relabel,
    /// `None` where the embedded model is the provider.
    asked: Option<Known1>,
    tallies: RefCell<BTreeMap<Option<Day>, Tally>>,
}

/// What language models said of the texts of a piece.
struct Known1 {
    answers: Answers,
    questions: Vec<Question>,
    left: BTreeMap<String, Left>,
    pending: BTreeSet<String>,
    fallback: bool,
}

impl Known1 {
    fn lend(&self) -> KnownAnswers<'_> {
        KnownAnswers {
            answers: &self.answers,
            questions: &self.questions,
            left: &self.left,
            pending: &self.pending,
            fallback: self.fallback,
        }
    }
}

impl Feedback {
    /// Where the embedded model is the provider: nobody is asked.
    pub(super) fn embedded() -> Self {
        Self { relabel: Relabel::New, asked: None, tallies: RefCell::default() }
    }

    /// Asks about every text of a piece that no answer is known of. `query` hands the piece's
    /// posts to whoever takes them.
    pub(super) fn ask(
        res: &Resources,
        job: &GroupJob,
        enrich: &EnrichConfig,
        query: &mut dyn FnMut(Take<'_>) -> Result<(), Failure>,
        watch: &Watch<'_>,
    ) -> Result<Self, Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure::plain(e.to_string());
        res.ai.refresh(&res.lake).map_err(|e| failed(&e))?;
        let prompt = Arc::new(ai::prompt(enrich, &res.embedded));
        let mut chain = ai::chain(&res.config, enrich, &prompt, Some(watch.cancel));
        let mut known = Known1 {
            answers: Answers::default(),
            questions: chain.questions.clone(),
            left: BTreeMap::new(),
            pending: BTreeSet::new(),
            fallback: chain.fallback,
        };
        let mut needs: BTreeMap<String, Need> = BTreeMap::new();
        let mut contents = BTreeSet::new();
        query(&mut |day, batch| {
            let any = ai::any_answer(enrich.relabel, day);
            res.ai
                .with_answers(|answers| {
                    let lent = KnownAnswers { answers, ..known.lend() };
                    crate::enrich::needs(&batch, &lent, any, &mut needs, &mut contents)
                })
                .map_err(|e| EngineError::Other(e.to_string()))
        })?;
        if !needs.is_empty()
            && let Some(gate) = &res.config.ai.gate
        {
            let golden = evals::gate_hash(&res.root, gate)
                .map_err(|why| Failure::plain(format!("[ai.gate] cannot be judged: {why}")))?;
            let key = res.config.graph.key(job.asset);
            let mut refused = Vec::new();
            for provider in &chain.providers {
                let question = crate::enrich::question(provider.as_ref(), &prompt);
                let who = format!("{} ({})", question.provider, question.model);
                let standing = evals::recorded_standing(&res.lake, gate, &(&question).into(), &golden);
                match standing.map_err(|e| failed(&e))? {
                    GateStanding::Passed => {}
                    GateStanding::Short(short) => {
                        let why = evals::refusal(&who, "the golden file", &short).unwrap_or_default();
                        if question.provider == enrich.provider.as_str() {
                            return Err(Failure::plain(why));
                        }
                        watch.note("warn", format!("{key}: {why}; others stand in"));
                        refused.push(question.provider);
                    }
                    GateStanding::Never => watch.note(
                        "warn",
                        format!(
                            "{key}: {who} was not measured with this prompt yet, so [ai.gate] cannot judge it: \
                             `rxpulse ai eval --provider {}`",
                            question.provider
                        ),
                    ),
                }
            }
            chain.providers.retain(|p| !refused.iter().any(|r| r == p.name()));
        }
        let errand = Errand {
            ai: &res.ai,
            config: &res.config,
            lake: &res.lake,
            asset: job.asset,
            run: job.run,
            max_usd: job.max_usd,
            now_ms: job.now_ms,
        };
        let wanted = needs.len();
        let answered = errand
            .ask(&chain, &prompt, needs.into_values().collect(), watch.cancel)
            .map_err(|e| Failure::Failed { message: e, checks: Vec::new(), passing: true })?;
        if watch.cancel.is_cancelled() {
            return Err(Failure::Canceled);
        }
        tell(res, job, enrich, wanted, &answered, chain.fallback, watch);
        known.left = answered.left;
        known.pending = answered.pending;
        known.answers = res.ai.answers_of(&contents);
        Ok(Self { relabel: enrich.relabel, asked: Some(known), tallies: RefCell::default() })
    }

    /// The rows of a batch of posts.
    pub(super) fn rows(
        &self,
        res: &Resources,
        day: Option<Day>,
        batch: &RecordBatch,
    ) -> Result<RecordBatch, EnrichError> {
        let known = Known { embedded: &res.embedded, asked: self.asked.as_ref().map(Known1::lend) };
        let mut tallies = self.tallies.borrow_mut();
        let tally = tallies.entry(day).or_default();
        crate::enrich::feedback(&known, batch, ai::any_answer(self.relabel, day), tally)
    }

    /// Whether a day has all the answers it was meant to have.
    pub(super) fn outcome(&self, day: Option<Day>) -> Outcome {
        let Some(tally) = self.tallies.borrow().get(&day).copied() else { return Outcome::Complete };
        match tally {
            Tally { in_batch: 1.., .. } => Outcome::Pending,
            Tally { skipped_budget: 1.., .. } => Outcome::Budget,
            Tally { fallback: 1.., .. } | Tally { pending: 1.., .. } => Outcome::Unreached,
            _ => Outcome::Complete,
        }
    }
}

/// Says what was asked and what it cost, and why somebody could not be asked.
fn tell(
    res: &Resources,
    job: &GroupJob,
    enrich: &EnrichConfig,
    wanted: usize,
    answered: &Answered,
    fallback: bool,
    watch: &Watch<'_>,
) {
    let key = res.config.graph.key(job.asset);
    let unreached = answered.left.values().filter(|l| matches!(l, Left::Unreached(_))).count();
    let skipped = answered.left.values().filter(|l| matches!(l, Left::Budget(_))).count();
    for trouble in &answered.troubles {
        watch.note("warn", format!("{key}: {trouble}"));
    }
    for (level, note) in &answered.notes {
        watch.note(level, note.clone());
    }
    if answered.calls > 0 && enrich.provider == Provider::Gemini {
        let paid = res.config.ai.gemini.as_ref().is_some_and(|m| m.paid);
        if !paid {
            watch.note(
                "warn",
                format!(
                    "{key}: with an unpaid key Google may use what is sent for training; with a paid one write \
                     paid = true under [ai.gemini]"
                ),
            );
        }
    }
    if answered.calls > 0 {
        let calls = answered.calls;
        let texts = wanted - unreached - skipped - answered.pending.len();
        watch.note(
            "info",
            format!(
                "{key}: {calls} {} to {}, {}; answers to {texts} of {wanted} texts (table {AI_CALLS})",
                if calls == 1 { "call" } else { "calls" },
                enrich.provider.as_str(),
                answered.cost,
            ),
        );
    }
    if skipped > 0 {
        let limit = answered.left.values().find_map(|l| match l {
            Left::Budget(spent) => Some(spent.key()),
            _ => None,
        });
        watch.note(
            "warn",
            format!(
                "{key}: {skipped} of {wanted} texts were skipped, as {} is reached; the next run takes them up",
                limit.unwrap_or("the budget")
            ),
        );
    }
    if unreached > 0 {
        let stands = match fallback {
            true => "were labelled by the embedded model for now (status fallback)",
            false => "have no labels yet (status pending)",
        };
        watch.note("warn", format!("{key}: {unreached} of {wanted} texts {stands}"));
    }
}
