//! Risk, theme and action: tables of phrases, read once.

use std::ops::Range;

use crate::classify::{Phrase, PhraseSet, Scratch, words_of};

use super::embedded::{RiskCategory, RiskLevel, Sentiment};

/// What takes a risk phrase away when it stands before it in the same sentence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Guard {
    /// Nothing.
    None,
    /// A negation: "no side effects".
    Negation,
    /// A negation, or something only imagined: "what if they send the wrong pills".
    Hypothetical,
}

/// A reason for a risk.
#[derive(Debug)]
pub(super) struct Reason {
    pub code: String,
    pub level: RiskLevel,
    pub category: RiskCategory,
    pub guard: Guard,
}

/// What a post is about, in the words of a product team.
#[derive(Debug)]
pub(super) struct Theme {
    pub id: String,
    pub title: String,
    pub issues: Vec<String>,
}

/// What to do about a post.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    pub id: String,
    pub title: String,
    #[serde(default)]
    pub reasons: Vec<String>,
    #[serde(default)]
    pub themes: Vec<String>,
    #[serde(default)]
    pub sentiments: Vec<Sentiment>,
}

/// The three tables.
#[derive(Debug)]
pub(super) struct Rules {
    pub reasons: Vec<Reason>,
    pub themes: Vec<Theme>,
    pub actions: Vec<Action>,
    negations: Vec<String>,
    imagined: Vec<String>,
    asked: Vec<String>,
    clause: Vec<String>,
    risk: PhraseSet,
    risk_of: Vec<u16>,
    theme: PhraseSet,
    theme_of: Vec<u16>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RiskFile {
    negations: Vec<String>,
    imagined: Vec<String>,
    asked: Vec<String>,
    clause: Vec<String>,
    reason: Vec<ReasonRow>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ReasonRow {
    code: String,
    level: RiskLevel,
    category: RiskCategory,
    guard: Guard,
    include: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ThemeFile {
    theme: Vec<ThemeRow>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ThemeRow {
    id: String,
    title: String,
    #[serde(default)]
    issues: Vec<String>,
    #[serde(default)]
    include: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionFile {
    action: Vec<Action>,
}

/// Words before a risk phrase in which a negation counts.
const NEGATION_REACH: usize = 4;
/// Words before a risk phrase in which something imagined counts.
const IMAGINED_REACH: usize = 8;

impl Rules {
    /// Reads the tables; what cannot be read is named in `problems` and left out.
    pub(super) fn read(risk: &str, themes: &str, actions: &str, problems: &mut Vec<String>) -> Self {
        let risk = toml::from_str::<RiskFile>(risk).unwrap_or_else(|e| {
            problems.push(format!("risk: {e}"));
            RiskFile::default()
        });
        let themes = toml::from_str::<ThemeFile>(themes).unwrap_or_else(|e| {
            problems.push(format!("themes: {e}"));
            ThemeFile { theme: Vec::new() }
        });
        let actions = toml::from_str::<ActionFile>(actions).unwrap_or_else(|e| {
            problems.push(format!("actions: {e}"));
            ActionFile { action: Vec::new() }
        });
        let (risk_set, risk_of) = compile(risk.reason.iter().map(|r| &r.include), problems);
        let (theme_set, theme_of) = compile(themes.theme.iter().map(|t| &t.include), problems);
        let reason =
            |r: ReasonRow| Reason { code: r.code, level: r.level, category: r.category, guard: r.guard };
        Self {
            reasons: risk.reason.into_iter().map(reason).collect(),
            themes: themes
                .theme
                .into_iter()
                .map(|t| Theme { id: t.id, title: t.title, issues: t.issues })
                .collect(),
            actions: actions.action,
            negations: risk.negations,
            imagined: risk.imagined,
            asked: risk.asked,
            clause: risk.clause,
            risk: risk_set,
            risk_of,
            theme: theme_set,
            theme_of,
        }
    }

    /// Sets the bit of every reason that one normalized sentence gives.
    pub(super) fn risks(&self, normed: &str, scratch: &mut Scratch, reasons: &mut [bool]) -> bool {
        let mut any = false;
        self.risk.scan(normed, scratch, |_, phrase, span| {
            let reason = usize::from(self.risk_of[phrase as usize]);
            let free = match self.reasons[reason].guard {
                Guard::None => true,
                Guard::Negation => !self.guarded(normed, span, false),
                Guard::Hypothetical => !self.guarded(normed, span, true),
            };
            if free {
                reasons[reason] = true;
                any = true;
            }
        });
        any
    }

    /// Whether what stands before a match in its clause negates it (or only imagines it).
    fn guarded(&self, normed: &str, span: Range<usize>, imagined: bool) -> bool {
        let has = |list: &[String], word: &str| list.iter().any(|w| w == word);
        // "Could not believe …" asks nothing.
        let mut first = words_of(normed).map(|(_, w)| w);
        let asks = first.next().is_some_and(|w| has(&self.asked, w))
            && !first.next().is_some_and(|w| has(&self.negations, w));
        let question = asks || normed.ends_with('?');
        // "If it is not fixed I will sue": the match is a clause of its own.
        let own_clause = words_of(&normed[span.clone()]).next().is_some_and(|(_, w)| has(&self.clause, w));
        let clause = normed[..span.start].rfind([',', ':', '(', ';']).map_or(0, |at| at + 1);
        let (mut negated, mut only_imagined) = (0, 0);
        let mut previous = "";
        for (_, word) in words_of(&normed[clause..span.start]) {
            negated =
                if has(&self.negations, word) { NEGATION_REACH } else { usize::saturating_sub(negated, 1) };
            if has(&self.imagined, word) || (question && has(&self.asked, word)) {
                only_imagined = IMAGINED_REACH;
            } else {
                only_imagined = usize::saturating_sub(only_imagined, 1);
            }
            if has(&self.clause, word) {
                // "I do not think they …": the negation goes on.
                negated = match previous == "think" && negated > 0 {
                    true => NEGATION_REACH + 2,
                    false => 0,
                };
                // "What if they send": what is imagined goes on over a subject.
                if matches!(word, "but" | "then" | "until" | "because" | "since" | "after" | "when") {
                    only_imagined = 0;
                }
            }
            previous = word;
        }
        (negated > 0 && !own_clause) || (imagined && only_imagined > 0)
    }

    /// Adds the theme phrases of one normalized sentence to the counts.
    pub(super) fn count_themes(&self, normed: &str, scratch: &mut Scratch, counts: &mut [u32]) {
        self.theme
            .scan(normed, scratch, |_, phrase, _| counts[usize::from(self.theme_of[phrase as usize])] += 1);
    }

    /// The theme: the one with most phrases, the first of equals; else that of the issue type;
    /// else the last of the table.
    pub(super) fn theme(&self, counts: &[u32], issue_type: &str) -> Option<&Theme> {
        let most = counts.iter().copied().max().unwrap_or(0);
        if most > 0 {
            return counts.iter().position(|&c| c == most).and_then(|i| self.themes.get(i));
        }
        self.themes.iter().find(|t| t.issues.iter().any(|i| i == issue_type)).or(self.themes.last())
    }

    /// The action: by the worst reason, else by theme and sentiment; the last of the table
    /// takes what nothing else does.
    pub(super) fn action(
        &self,
        reason: Option<&Reason>,
        theme: &str,
        sentiment: Sentiment,
    ) -> Option<&Action> {
        let by_reason = reason.and_then(|r| self.actions.iter().find(|a| a.reasons.contains(&r.code)));
        by_reason
            .or_else(|| {
                self.actions.iter().find(|a| {
                    a.reasons.is_empty()
                        && (a.themes.is_empty() || a.themes.iter().any(|t| t == theme))
                        && (a.sentiments.is_empty() || a.sentiments.contains(&sentiment))
                })
            })
            .or(self.actions.last())
    }
}

fn compile<'a>(
    lists: impl Iterator<Item = &'a Vec<String>>,
    problems: &mut Vec<String>,
) -> (PhraseSet, Vec<u16>) {
    let (mut phrases, mut owners) = (Vec::new(), Vec::new());
    for (owner, list) in (0u16..).zip(lists) {
        for text in list {
            match Phrase::parse(text) {
                Ok(phrase) if phrases.contains(&phrase) => problems.push(format!("`{text}` stands twice")),
                Ok(phrase) => {
                    phrases.push(phrase);
                    owners.push(owner);
                }
                Err(e) => problems.push(format!("`{text}`: {}", e.message)),
            }
        }
    }
    match PhraseSet::every_place(&phrases) {
        Ok(set) => (set, owners),
        Err(e) => {
            problems.push(e.to_string());
            (PhraseSet::default(), Vec::new())
        }
    }
}
