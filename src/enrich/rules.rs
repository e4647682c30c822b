//! Risk, theme and action: tables of phrases, read once.
//!
//! The tables are files of the project under `assets/`; where one is missing, the one that
//! ships with the program stands in. [`Tables::version`] is of what they say, not of how they
//! are written: comments, white space and the order of phrases change nothing.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::classes::{Classes, Map};
use super::embedded::{RiskCategory, RiskLevel, Sentiment};
use super::table_file::{self, ActionRow, At, ReasonRow, RiskFile, ThemeRow};
use crate::classify::{Found, Phrase, PhraseSet, Scratch, words_of};
use crate::diagnostic::{Problem, SourceText, TextProblem, did_you_mean};

/// What takes a risk phrase away when it stands before it in the same sentence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    pub description: String,
    pub issues: Vec<String>,
    pub aliases: Vec<String>,
}

/// What to do about a post.
#[derive(Debug)]
pub(super) struct Action {
    pub id: String,
    pub title: String,
    pub reasons: Vec<String>,
    pub themes: Vec<String>,
    pub sentiments: Vec<Sentiment>,
    pub asks: bool,
}

/// The three tables.
#[derive(Debug)]
pub(super) struct Rules {
    pub reasons: Vec<Reason>,
    pub themes: Vec<Theme>,
    pub actions: Vec<Action>,
    /// What a word does to a risk phrase after it.
    roles: Map<String, Roles>,
    classes: Classes,
    /// Risk phrases without lists, and those of themes, looked for in a sentence as it stands.
    plain: Owned,
    /// Risk phrases with lists, looked for where words of lists have been replaced.
    listed: Owned,
    /// Whether one of those may match where no word of a list stands (`a not {list}`).
    listed_anywhere: bool,
    /// Ids, and other names as they are compared, with the place of their theme.
    theme_names: HashMap<String, usize>,
}

/// What a word does to a risk phrase after it in its sentence.
#[derive(Clone, Copy, Debug, Default)]
struct Roles {
    negates: bool,
    imagines: bool,
    asks: bool,
    clause: bool,
}

/// Phrases, each with the row that it stands in.
#[derive(Debug, Default)]
struct Owned {
    set: PhraseSet,
    row: Vec<Row>,
}

/// A row of a table, by its place there.
#[derive(Clone, Copy, Debug)]
enum Row {
    Reason(usize),
    /// The reason, and the hint's number.
    Hint(usize, u32),
    Theme(usize),
}

/// What the sentences of a post give, one after the other.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// By reason: whether the sentence read last gives it; to be taken after each sentence.
    pub here: Vec<bool>,
    /// By theme: how many of its phrases the post has.
    pub themes: Vec<u32>,
    /// Hints by their numbers, each once: the reason, and the number of the sentence.
    pub hints: Vec<(u32, usize, usize)>,
}

impl Findings {
    /// Makes ready for a post.
    pub(super) fn begin(&mut self, rules: &Rules) {
        self.here.clear();
        self.here.resize(rules.reasons.len(), false);
        self.themes.clear();
        self.themes.resize(rules.themes.len(), 0);
        self.hints.clear();
    }

    /// The reasons of hints, each with the number of its sentence; empty for fewer than two.
    pub(super) fn hinted(&self) -> impl Iterator<Item = (usize, usize)> {
        let enough = self.hints.len() >= HINTS_LEAST;
        self.hints.iter().filter(move |_| enough).map(|&(_, reason, sentence)| (reason, sentence))
    }
}

/// Phrases of a theme that the post's issue type is worth.
const ISSUE_PHRASES: u32 = 2;
/// Different hints in a post that together give their reasons.
const HINTS_LEAST: usize = 2;

/// Words before a risk phrase in which a negation counts.
const NEGATION_REACH: usize = 4;
/// Words before a risk phrase in which something imagined counts.
const IMAGINED_REACH: usize = 8;

/// The files of the three tables under `assets/`, and what ships for each.
const FILES: [(&str, &str); 3] = [
    ("risk.toml", include_str!("../../assets/risk.toml")),
    ("themes.toml", include_str!("../../assets/themes.toml")),
    ("actions.toml", include_str!("../../assets/actions.toml")),
];

/// The tables of risk, themes and actions, checked and ready to match.
#[derive(Debug)]
pub struct Tables {
    pub(super) rules: Rules,
    version: [u8; 16],
}

impl Tables {
    /// The tables that ship with the program.
    pub fn shipped() -> Tables {
        // A test makes sure that there are no problems in them.
        Self::read(|_| None, &[]).0
    }

    /// Reads the tables. `find` gives the text of a file under `assets/` by its name; for a
    /// file that is not there the shipped one is taken. `issue_ids`: the taxonomy's issue
    /// types; a theme that names another is a warning (empty: not looked at). What is wrong is
    /// left out of the tables and told of; with an error among the problems they must not be
    /// used.
    pub fn read(
        find: impl Fn(&str) -> Option<Arc<SourceText>>,
        issue_ids: &[String],
    ) -> (Tables, Vec<Problem>) {
        let texts = FILES.map(|(name, shipped)| {
            let own = find(name);
            let is_own = own.is_some();
            let file = own.unwrap_or_else(|| {
                Arc::new(SourceText { name: format!("assets/{name} (built in)"), text: shipped.to_string() })
            });
            (file, is_own)
        });
        let mut found: [Vec<TextProblem>; 3] = Default::default();
        let risk = table_file::risk(&texts[0].0.text, &mut found[0]);
        let themes = table_file::themes(&texts[1].0.text, &mut found[1]);
        let actions = table_file::actions(&texts[2].0.text, &mut found[2]);
        // What a built-in table says of a row that a team removed is not the team's mistake.
        if texts[1].1 && !issue_ids.is_empty() {
            found[1].extend(unknown_issues(&themes, issue_ids));
        }
        if texts[2].1 {
            found[2].extend(unknown_rows(&risk, &themes, &actions));
        }
        if texts[0].1 && found[2].is_empty() {
            found[0].extend(unanswered(&risk, &actions));
        }
        let version = version(&risk, &themes, &actions);
        let rules = Rules::compile(risk, themes, actions);
        let problems = found
            .into_iter()
            .zip(&texts)
            .flat_map(|(list, (file, _))| list.into_iter().map(|p| p.within(file)))
            .collect();
        (Tables { rules, version }, problems)
    }

    /// The table that ships with the program, by its name under `assets/`.
    pub fn built_in(name: &str) -> Option<&'static str> {
        FILES.iter().find(|(file, _)| *file == name).map(|(_, text)| *text)
    }

    /// A hash of what the tables say.
    pub fn version(&self) -> [u8; 16] {
        self.version
    }
}

fn unknown_issues(themes: &[ThemeRow], issue_ids: &[String]) -> Vec<TextProblem> {
    let ids = || issue_ids.iter().map(String::as_str);
    let mut out = Vec::new();
    for issue in themes.iter().flat_map(|t| &t.issues).filter(|i| !issue_ids.contains(&i.value)) {
        let help = match did_you_mean(&issue.value, ids()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "the taxonomy may have been changed; remove it here".to_string(),
        };
        let message = format!("the taxonomy has no issue type `{}`", issue.value);
        out.push(TextProblem::warning(message, issue.span.clone()).help(help));
    }
    out
}

fn unknown_rows(risk: &RiskFile, themes: &[ThemeRow], actions: &[ActionRow]) -> Vec<TextProblem> {
    let codes = risk.codes.iter().map(String::as_str);
    let ids = themes.iter().map(|t| t.id.value.as_str());
    let mut out = Vec::new();
    for action in actions {
        for code in &action.reasons {
            // A file that could not be read at all names nothing; that is told already.
            if !risk.codes.is_empty() && !codes.clone().any(|c| c == code.value) {
                out.push(table_file::unknown("risk reason", code, codes.clone()));
            }
        }
        for id in &action.themes {
            if !themes.is_empty() && !ids.clone().any(|i| i == id.value) {
                out.push(table_file::unknown("theme", id, ids.clone()));
            }
        }
    }
    out
}

fn unanswered(risk: &RiskFile, actions: &[ActionRow]) -> Vec<TextProblem> {
    let answered = |r: &&ReasonRow| !actions.iter().flat_map(|a| &a.reasons).any(|c| c.value == r.code.value);
    let warn = |r: &ReasonRow| {
        let message = format!("no action answers the risk reason `{}`", r.code.value);
        TextProblem::warning(message, r.code.span.clone())
            .help("name it in `reasons` of an action in assets/actions.toml")
    };
    risk.reasons.iter().filter(answered).map(warn).collect()
}

/// Of what the rows say. What only a language model reads (descriptions) is not part of it.
fn version(risk: &RiskFile, themes: &[ThemeRow], actions: &[ActionRow]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    let mut text = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    };
    // A list whose order means nothing.
    let mut list = |items: Vec<String>| {
        let mut items = items;
        items.sort_unstable();
        text(&items.len().to_string());
        items.iter().for_each(|item| text(item));
    };
    let phrases = |list: &[At<Phrase>]| list.iter().map(|p| p.value.to_string()).collect::<Vec<_>>();
    let names = |list: &[At<String>]| list.iter().map(|n| n.value.clone()).collect::<Vec<_>>();
    let one = |text: &str| vec![text.to_string()];
    list(one("tables 3"));
    list(Classes::texts(&risk.words));
    for words in [&risk.negations, &risk.imagined, &risk.asked, &risk.clause] {
        list(words.clone());
    }
    for r in &risk.reasons {
        list(one(&format!(
            "reason {} {} {} {:?}",
            r.code.value,
            r.level.as_str(),
            r.category.as_str(),
            r.guard
        )));
        list(phrases(&r.include));
        list(phrases(&r.hints));
    }
    for t in themes {
        list(one(&format!("theme {} {}", t.id.value, t.title)));
        list(names(&t.issues));
        list(phrases(&t.include));
        // A table without them has the version that it had before there were any.
        if !t.aliases.is_empty() {
            list(one("aliases"));
            list(names(&t.aliases));
        }
    }
    for a in actions {
        list(one(&format!("action {} {}", a.id.value, a.title)));
        list(names(&a.reasons));
        list(names(&a.themes));
        list(a.sentiments.iter().map(|s| s.as_str().to_string()).collect());
        // A table without it has the version that it had before there was any.
        if a.asks {
            list(one("asks"));
        }
    }
    let mut out = [0; 16];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    out
}

impl Rules {
    /// Makes the rows ready to match.
    fn compile(risk: RiskFile, themes: Vec<ThemeRow>, actions: Vec<ActionRow>) -> Self {
        // What is wrong with the lists was told when the file was read.
        let classes = Classes::read(&risk.words, &mut Vec::new());
        let mut seen = HashSet::new();
        let mut of_reasons = Vec::new();
        for (at, reason) in risk.reasons.iter().enumerate() {
            of_reasons.extend(rows(&reason.include, &mut seen, |_| Row::Reason(at)));
        }
        let mut hint = 0;
        for (at, reason) in risk.reasons.iter().enumerate() {
            let mut written = None;
            // A hint with a list in it is one hint, whatever the list holds.
            let number = |phrase: &At<Phrase>| {
                if written.replace(phrase.span.start) != Some(phrase.span.start) {
                    hint += 1;
                }
                Row::Hint(at, hint)
            };
            of_reasons.extend(rows(&reason.hints, &mut seen, number));
        }
        let mut of_themes = Vec::new();
        let mut seen = HashSet::new();
        for (at, theme) in themes.iter().enumerate() {
            of_themes.extend(rows(&theme.include, &mut seen, |_| Row::Theme(at)));
        }
        let (listed, mut plain): (Vec<_>, Vec<_>) = of_reasons
            .into_iter()
            .partition(|(p, _)| p.words().chain(p.not_words()).any(|w| classes.is_token(w)));
        let listed_anywhere = !listed.iter().all(|(p, _)| p.needs(|w| classes.is_token(w)));
        plain.extend(of_themes);
        let mut roles: Map<String, Roles> = Map::default();
        let mut all = |words: Vec<String>, set: fn(&mut Roles)| {
            words.into_iter().for_each(|word| set(roles.entry(word).or_default()));
        };
        all(risk.negations, |r| r.negates = true);
        all(risk.imagined, |r| r.imagines = true);
        all(risk.asked, |r| r.asks = true);
        all(risk.clause, |r| r.clause = true);
        let mut theme_names = HashMap::new();
        for (at, theme) in themes.iter().enumerate() {
            theme_names.insert(theme.id.value.clone(), at);
            theme_names.extend(theme.aliases.iter().map(|a| (table_file::alias_key(&a.value), at)));
        }
        let values = |list: Vec<At<String>>| list.into_iter().map(|v| v.value).collect();
        let reason = |r: ReasonRow| Reason {
            code: r.code.value,
            level: r.level,
            category: r.category,
            guard: r.guard,
        };
        let theme = |t: ThemeRow| Theme {
            id: t.id.value,
            title: t.title,
            description: t.description,
            issues: values(t.issues),
            aliases: values(t.aliases),
        };
        let action = |a: ActionRow| Action {
            id: a.id.value,
            title: a.title,
            reasons: values(a.reasons),
            themes: values(a.themes),
            sentiments: a.sentiments,
            asks: a.asks,
        };
        Self {
            reasons: risk.reasons.into_iter().map(reason).collect(),
            themes: themes.into_iter().map(theme).collect(),
            actions: actions.into_iter().map(action).collect(),
            roles,
            classes,
            plain: Owned::new(plain),
            listed: Owned::new(listed),
            listed_anywhere,
            theme_names,
        }
    }

    /// Sets the bit of every reason that one normalized sentence gives, and adds the hints and
    /// the phrases of themes in it. Phrases without lists are looked for in the sentence as it
    /// stands, those with lists where the words of lists are replaced. Tells whether there is a
    /// reason.
    pub(super) fn read_sentence(
        &self,
        normed: &str,
        sentence: usize,
        scratch: &mut Scratch,
        findings: &mut Findings,
    ) -> bool {
        let mut any = self.look(&self.plain, normed, sentence, scratch, findings);
        if let Some(replaced) = self.classes.replace(normed) {
            any |= self.look(&self.listed, &replaced, sentence, scratch, findings);
        } else if self.listed_anywhere {
            any |= self.look(&self.listed, normed, sentence, scratch, findings);
        }
        any
    }

    fn look(
        &self,
        of: &Owned,
        normed: &str,
        sentence: usize,
        scratch: &mut Scratch,
        findings: &mut Findings,
    ) -> bool {
        let mut any = false;
        of.set.scan(normed, scratch, |_, Found { phrase, span, .. }| {
            let (reason, hint) = match of.row[phrase as usize] {
                Row::Theme(theme) => {
                    findings.themes[theme] += 1;
                    return;
                }
                Row::Reason(reason) if findings.here[reason] => return,
                Row::Hint(_, hint) if findings.hints.iter().any(|(other, ..)| *other == hint) => return,
                Row::Reason(reason) => (reason, None),
                Row::Hint(reason, hint) => (reason, Some(hint)),
            };
            let free = match self.reasons[reason].guard {
                Guard::None => true,
                Guard::Negation => !self.guarded(normed, span, false),
                Guard::Hypothetical => !self.guarded(normed, span, true),
            };
            match hint {
                _ if !free => {}
                Some(hint) => findings.hints.push((hint, reason, sentence)),
                None => {
                    findings.here[reason] = true;
                    any = true;
                }
            }
        });
        any
    }

    /// Whether a normalized sentence asks something: by its mark, or by how it begins ("has anyone").
    pub(super) fn asks(&self, normed: &str) -> bool {
        let begins =
            || words_of(normed).take(2).any(|(_, word)| self.roles.get(word).is_some_and(|r| r.asks));
        normed.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '?').ends_with('?') || begins()
    }

    /// Whether what stands before a match in its clause negates it (or only imagines it).
    fn guarded(&self, normed: &str, span: Range<usize>, imagined: bool) -> bool {
        let role = |word: &str| self.roles.get(word).copied().unwrap_or_default();
        // "Could not believe …" asks nothing.
        let mut first = words_of(normed).map(|(_, w)| role(w));
        let asks = first.next().is_some_and(|r| r.asks) && !first.next().is_some_and(|r| r.negates);
        let question = asks || normed.ends_with('?');
        // "If it is not fixed I will sue": the match is a clause of its own.
        let own_clause = words_of(&normed[span.clone()]).next().is_some_and(|(_, w)| role(w).clause);
        let clause = normed[..span.start].rfind([',', ':', '(', ';']).map_or(0, |at| at + 1);
        let (mut negated, mut only_imagined) = (0, 0);
        let mut previous = "";
        for (_, word) in words_of(&normed[clause..span.start]) {
            let role = role(word);
            negated = if role.negates { NEGATION_REACH } else { usize::saturating_sub(negated, 1) };
            if role.imagines || (question && role.asks) {
                only_imagined = IMAGINED_REACH;
            } else {
                only_imagined = usize::saturating_sub(only_imagined, 1);
            }
            if role.clause {
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

    /// The theme: the one with most phrases, the first of equals. That of the post's issue type
    /// counts as if it had [`ISSUE_PHRASES`] more, but for the last of the table, which takes
    /// what nothing else does.
    pub(super) fn theme(&self, counts: &[u32], issue_type: &str) -> Option<&Theme> {
        let (last, others) = self.themes.split_last()?;
        let points = |(theme, count): (&Theme, &u32)| {
            count + if theme.issues.iter().any(|i| i == issue_type) { ISSUE_PHRASES } else { 0 }
        };
        let points: Vec<u32> = others.iter().zip(counts).map(points).collect();
        let own = counts.get(others.len()).copied().unwrap_or(0);
        let most = points.iter().copied().max().unwrap_or(0);
        if most == 0 || own > most {
            return Some(last);
        }
        points.iter().position(|&p| p == most).and_then(|at| others.get(at))
    }

    /// The theme that a name means: its id, one that it had, or a phrase that stands for it.
    pub(super) fn theme_for(&self, name: &str) -> Option<&Theme> {
        let at = self.theme_names.get(name).or_else(|| self.theme_names.get(&table_file::alias_key(name)));
        at.and_then(|at| self.themes.get(*at))
    }

    /// The action: by the worst reason, else by theme, sentiment and whether the post asks
    /// something; the last of the table takes what nothing else does.
    pub(super) fn action(
        &self,
        reason: Option<&Reason>,
        theme: &str,
        sentiment: Sentiment,
        asks: bool,
    ) -> Option<&Action> {
        let by_reason = reason.and_then(|r| self.actions.iter().find(|a| a.reasons.contains(&r.code)));
        by_reason
            .or_else(|| {
                self.actions.iter().find(|a| {
                    a.reasons.is_empty()
                        && (a.themes.is_empty() || a.themes.iter().any(|t| t == theme))
                        && (a.sentiments.is_empty() || a.sentiments.contains(&sentiment))
                        && (asks || !a.asks)
                })
            })
            .or(self.actions.last())
    }
}

/// The phrases of a list with the row of each; one that was seen before counts there.
fn rows<'a>(
    list: &'a [At<Phrase>],
    seen: &mut HashSet<&'a Phrase>,
    mut row: impl FnMut(&'a At<Phrase>) -> Row,
) -> Vec<(Phrase, Row)> {
    let new = list.iter().filter(|phrase| seen.insert(&phrase.value));
    new.map(|phrase| (phrase.value.clone(), row(phrase))).collect()
}

impl Owned {
    fn new(phrases: Vec<(Phrase, Row)>) -> Self {
        let (phrases, row): (Vec<_>, Vec<_>) = phrases.into_iter().unzip();
        Self { set: PhraseSet::every_place(&phrases), row }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shipped tables with one of them changed.
    fn with(file: &str, edit: impl Fn(&str) -> String) -> (Tables, Vec<Problem>) {
        let find = |name: &str| {
            let (name, text) = FILES.iter().find(|(n, _)| *n == name && name == file)?;
            Some(Arc::new(SourceText { name: format!("assets/{name}"), text: edit(text) }))
        };
        let ids = ["SAFETY", "PRICING", "GENERAL_FEEDBACK"].map(String::from);
        Tables::read(find, if file == "themes.toml" { &[] } else { &ids })
    }

    #[test]
    fn the_shipped_tables_have_no_problem() {
        let (taxonomy, _) =
            crate::classify::Taxonomy::parse(include_str!("../../assets/issue_taxonomy.toml")).unwrap();
        let ids: Vec<String> = taxonomy.issues().iter().map(|i| i.id.clone()).collect();
        let own = |name: &str| {
            let (name, text) = FILES.iter().find(|(n, _)| *n == name)?;
            Some(Arc::new(SourceText { name: name.to_string(), text: text.to_string() }))
        };
        let (tables, problems) = Tables::read(own, &ids);
        assert!(problems.is_empty(), "{problems:#?}");
        let rules = &tables.rules;
        assert!(rules.reasons.len() >= 12 && rules.themes.len() >= 12 && rules.actions.len() >= 10);
        assert!(rules.themes.iter().all(|t| !t.description.is_empty()));
        assert_eq!(tables.version(), Tables::shipped().version());
    }

    #[test]
    fn the_version_is_of_what_the_tables_say() {
        let shipped = Tables::shipped().version();
        let version = |file, from: &'static str, to: &str| {
            let (tables, problems) = with(file, |text| {
                assert!(text.contains(from), "{from}");
                text.replacen(from, to, 1)
            });
            assert!(problems.is_empty(), "{problems:#?}");
            tables.version()
        };
        for (file, from, to) in [
            ("risk.toml", "version = 1", "# a comment\nversion   =   1\n"),
            (
                "risk.toml",
                "\"wrong {medicine}\", \"wrong near/2 {drug}\"",
                "\"wrong near/2 {drug}\", \"wrong  {medicine}\"",
            ),
            ("themes.toml", "description = \"Wrong,", "description = \"Other,"),
        ] {
            assert_eq!(version(file, from, to), shipped, "{file}: {to}");
        }
        for (file, from, to) in [
            ("risk.toml", "\"mislabel*\",", ""),
            ("risk.toml", "\"novolog\", ", ""),
            ("risk.toml", "guard = \"hypothetical\"", "guard = \"none\""),
            ("risk.toml", "level = \"medium\"", "level = \"high\""),
            ("risk.toml", "\"without\", ", ""),
            ("themes.toml", "title = \"Packaging\"", "title = \"Boxes\""),
            ("themes.toml", "issues = [\"STOCK\"]", "issues = []"),
            ("themes.toml", "issues = [\"STOCK\"]", "issues = [\"STOCK\"]\naliases = [\"empty shelves\"]"),
            ("actions.toml", "title = \"Help to", "title = \"Try to"),
            ("actions.toml", "sentiments = [\"positive\"]", "sentiments = [\"neutral\"]"),
            ("actions.toml", "\nasks = true", ""),
            ("risk.toml", "hints = [", "hints = [\"a hint that is new\", "),
        ] {
            assert_ne!(version(file, from, to), shipped, "{file}: {to}");
        }
    }

    #[test]
    fn mistakes_have_a_place_and_advice() {
        let cases: [(&str, &str, &str); 18] = [
            ("risk.toml", "version = 1", "version = 2"),
            ("risk.toml", "version = 1", "version = "),
            ("risk.toml", "\nlevel = \"high\"", "\nlevel = \"hgih\""),
            ("risk.toml", "category = \"legal\"", "category = \"lawyers\""),
            ("risk.toml", "\nguard = \"negation\"", ""),
            ("risk.toml", "code = \"wrong_dose\"", "code = \"Wrong dose\""),
            ("risk.toml", "code = \"wrong_dose\"", "code = \"wrong_medication\""),
            ("risk.toml", "\"mislabel*\"", "\"pre*tion\""),
            ("risk.toml", "\"wrong dos*\"", "\"mislabel*\""),
            ("risk.toml", "asked = [", "askd = ["),
            ("risk.toml", "\"wrong {medicine}\"", "\"wrong {medcine}\""),
            ("risk.toml", "\"novolog\"", "\"humalog\""),
            ("themes.toml", "title = \"Packaging\"", "titel = \"Packaging\""),
            ("themes.toml", "issues = [\"STOCK\"]", "issues = \"STOCK\""),
            (
                "themes.toml",
                "issues = [\"STOCK\"]",
                "aliases = [\"packaging\", \"Bare shelf\", \"bare  shelf\", \" \"]",
            ),
            ("actions.toml", "\"missed_dose\"", "\"mised_dose\""),
            ("actions.toml", "themes = [\"packaging\"]", "themes = [\"pakaging\"]\nreasons = [7]"),
            ("actions.toml", "\nasks = true", "\nasks = \"yes\""),
        ];
        let mut shown = String::new();
        for (file, from, to) in cases {
            let (_, problems) = with(file, |text| {
                assert!(text.contains(from), "{from}");
                text.replacen(from, to, 1)
            });
            shown.push_str(&format!("{file}: {} -> {}\n", from.trim(), to.trim()));
            for p in &problems {
                let line = p.position().map_or(0, |(line, _)| line);
                let at = p.text.span.clone().map_or("the file", |s| &p.file.as_ref().unwrap().text[s]);
                let at = at.lines().next().unwrap_or("");
                let help = p.text.help.as_deref().unwrap_or("-");
                let severity = p.text.severity;
                shown.push_str(&format!("  {severity:?} {line}: {}; at {at}; {help}\n", p.text.message));
            }
            assert!(!problems.is_empty(), "{file}: {to}");
        }
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn an_issue_type_that_is_gone_is_a_warning() {
        let own = |name: &str| {
            let (name, text) = FILES.iter().find(|(n, _)| *n == name)?;
            Some(Arc::new(SourceText { name: name.to_string(), text: text.to_string() }))
        };
        let (_, problems) = Tables::read(own, &["SAFTY".to_string()]);
        let first = &problems.first().unwrap().text;
        assert_eq!(first.severity, crate::diagnostic::Severity::Warning);
        assert_eq!(first.message, "the taxonomy has no issue type `SAFETY`");
        assert_eq!(first.help.as_deref(), Some("did you mean `SAFTY`?"));
        // Of the built-in tables nothing is said: they are not the team's.
        assert!(Tables::read(|_| None, &["SAFTY".to_string()]).1.is_empty());
    }
}
