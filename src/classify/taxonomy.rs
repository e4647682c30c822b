//! Which issue a post is about.
//!
//! Of the issue types with an include phrase in the text and no exclude phrase anywhere in it,
//! the one with the most evidence wins: one point for each of its include phrases that the text
//! has, three at most, and one more when one of them begins within the first ten words, where
//! people say what they write about. Equal evidence goes by priority, equal priority by the
//! order of the file. The rule is the first of its include phrases, in the order of the file,
//! that matches. When nothing matches, the fallback takes the post.

use std::ops::Range;

use super::brand::Hash;
use super::evidence::{EARLY_WORDS, EVIDENCE_VERSION, Evidence};
use super::matcher::{Found, PhraseSet, Scratch};
use super::norm::norm;
use super::taxonomy_file::{self, IssueDef};
use crate::diagnostic::TextProblem;

/// One kind of thing that people write about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssueType {
    /// The word in the tables, such as `DELIVERY_DELAY`.
    pub id: String,
    /// What people read.
    pub title: String,
    /// When a post is of this type.
    pub description: String,
    /// Of types with equal evidence the one with the greater wins.
    pub priority: i32,
    /// False for news, jobs and promotion: counted, but outside shares and alerts.
    pub customer_voice: bool,
    /// Takes what nothing else matches.
    pub fallback: bool,
}

/// The part of the taxonomy that something depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaxonomySlice {
    /// What decides a post's issue type, rule and the others it matches.
    Classify,
    /// What stands in the table of issue types.
    Types,
    /// Which ids are customer voice.
    CustomerVoice,
}

/// The issue of one text, by position in [`Taxonomy::issues`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Issue {
    /// The issue type.
    pub issue: u16,
    /// The include phrase that decided, see [`Taxonomy::rule_text`]; `None` for the fallback.
    pub rule: Option<u16>,
    /// What of its choices the text has, written out: `DELIVERY_DELAY: late near package`.
    /// `None` for a phrase without choices.
    pub chosen: Option<String>,
    /// The other issue types that match, the most important first.
    pub also: Vec<u16>,
}

/// A part of a normalized text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MatchedText {
    /// Its bytes in the normalized text.
    pub span: Range<usize>,
    /// The part itself.
    pub text: String,
}

/// An issue type that a text could have, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// The issue type's id.
    pub issue: String,
    /// Its priority.
    pub priority: i32,
    /// The include phrase; `None` for the fallback.
    pub rule: Option<String>,
    /// Where the include phrase matches; `None` for the fallback.
    pub matched: Option<MatchedText>,
    /// How many of its include phrases the text has.
    pub phrases: usize,
    /// Whether one of them begins within the first words of the text.
    pub early: bool,
    /// The exclude phrase that took it away.
    pub excluded_by: Option<String>,
}

/// What a phrase number stands for.
#[derive(Clone, Copy, Debug)]
struct Role {
    issue: u16,
    /// The rule's number; `None` for an exclude phrase.
    rule: Option<u16>,
}

/// Issue types with their phrases, ready to be matched.
#[derive(Debug)]
pub struct Taxonomy {
    issues: Vec<IssueType>,
    /// Issue types from the most to the least important.
    order: Vec<u16>,
    fallback: u16,
    phrases: PhraseSet,
    roles: Vec<Role>,
    /// By phrase number.
    spellings: Vec<String>,
    rules: Vec<String>,
    /// By rule: its phrase's number.
    phrase_of: Vec<u32>,
    slices: [[u8; 16]; 3],
}

impl Taxonomy {
    /// Reads and compiles the text of `issue_taxonomy.toml`. Beside the taxonomy: warnings.
    ///
    /// # Errors
    /// Everything that is wrong, with spans; warnings follow the errors.
    pub fn parse(toml_text: &str) -> Result<(Taxonomy, Vec<TextProblem>), Vec<TextProblem>> {
        let (defs, warnings) = taxonomy_file::read(toml_text)?;
        Ok((Self::compile(defs), warnings))
    }

    fn compile(defs: Vec<IssueDef>) -> Taxonomy {
        let mut order: Vec<u16> = (0u16..).take(defs.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(defs[usize::from(i)].issue.priority));
        let slices = [classify_slice(&defs, &order), types_slice(&defs), voice_slice(&defs)];
        let mut out = Taxonomy {
            issues: Vec::with_capacity(defs.len()),
            fallback: (0u16..).zip(&defs).find(|(_, d)| d.issue.fallback).map_or(0, |(i, _)| i),
            order,
            phrases: PhraseSet::default(),
            roles: Vec::new(),
            spellings: Vec::new(),
            rules: Vec::new(),
            phrase_of: Vec::new(),
            slices,
        };
        let mut phrases = Vec::new();
        for (issue, def) in (0u16..).zip(defs) {
            for phrase in def.include {
                out.roles.push(Role { issue, rule: Some(out.rules.len() as u16) });
                out.phrase_of.push(phrases.len() as u32);
                out.rules.push(format!("{}: {}", def.issue.id, phrase.short()));
                out.spellings.push(phrase.to_string());
                phrases.push(phrase);
            }
            for phrase in def.exclude {
                out.roles.push(Role { issue, rule: None });
                out.spellings.push(phrase.to_string());
                phrases.push(phrase);
            }
            out.issues.push(def.issue);
        }
        out.phrases = PhraseSet::new(&phrases);
        out
    }

    /// A hash of the whole taxonomy.
    pub fn version(&self) -> [u8; 16] {
        let mut hash = Hash::new("taxonomy");
        for slice in &self.slices {
            hash.text(&format!("{slice:?}"));
        }
        hash.finish()
    }

    /// A hash of the part that something depends on, so that a changed title does not make a
    /// table stale that holds only ids.
    pub fn slice_version(&self, uses: TaxonomySlice) -> [u8; 16] {
        match uses {
            TaxonomySlice::Classify => self.slices[0],
            TaxonomySlice::Types => self.slices[1],
            TaxonomySlice::CustomerVoice => self.slices[2],
        }
    }

    /// The issue types, in the order of the file.
    pub fn issues(&self) -> &[IssueType] {
        &self.issues
    }

    /// The issue type with this id.
    pub fn issue(&self, id: &str) -> Option<&IssueType> {
        self.issues.iter().find(|i| i.id == id)
    }

    /// The issue of a [normalized](super::norm()) text.
    pub fn classify(&self, normed: &str, scratch: &mut Scratch) -> Issue {
        let early_end = self.find(normed, scratch, |_| {});
        let found = |&issue: &u16| {
            let evidence = &scratch.evidence[usize::from(issue)];
            (evidence.rule.is_some() && !evidence.excluded).then(|| (evidence.points(early_end), issue))
        };
        let mut found: Vec<(u32, u16)> = self.order.iter().filter_map(found).collect();
        // Stable: equal evidence stays in the order of priority.
        found.sort_by_key(|(points, _)| std::cmp::Reverse(*points));
        let mut found = found.into_iter().map(|(_, issue)| issue);
        let Some(issue) = found.next() else {
            return Issue { issue: self.fallback, ..Issue::default() };
        };
        let Evidence { rule, way, .. } = &scratch.evidence[usize::from(issue)];
        let written = rule.and_then(|rule| self.phrases.written(self.phrase_of[usize::from(rule)], way));
        let chosen = written.map(|words| format!("{}: {words}", self.issues[usize::from(issue)].id));
        Issue { issue, rule: *rule, chosen, also: found.collect() }
    }

    /// Fills `scratch.evidence` and tells of every phrase found. Where the first words of the
    /// text end.
    fn find(&self, normed: &str, scratch: &mut Scratch, mut found: impl FnMut(Found<'_>)) -> usize {
        scratch.evidence.iter_mut().for_each(Evidence::clear);
        scratch.evidence.resize(self.issues.len(), Evidence::NONE);
        self.phrases.scan(normed, scratch, |scratch, place| {
            let role = self.roles[place.phrase as usize];
            let evidence = &mut scratch.evidence[usize::from(role.issue)];
            match role.rule {
                None => evidence.excluded = true,
                Some(rule) => {
                    evidence.phrases += 1;
                    evidence.start = evidence.start.min(place.span.start);
                    if evidence.rule.is_none_or(|first| rule < first) {
                        evidence.rule = Some(rule);
                        evidence.way.clear();
                        evidence.way.extend_from_slice(place.way);
                    }
                }
            }
            found(place);
        });
        scratch.word_start(EARLY_WORDS)
    }

    /// The spelling of a rule, without its `not` parts: `DELIVERY_DELAY: still waiting near order`.
    /// Empty when there is no such rule.
    pub fn rule_text(&self, rule: u16) -> &str {
        self.rules.get(usize::from(rule)).map_or("", String::as_str)
    }

    /// Every issue type that the text could have: the winner first, then the others by
    /// evidence, then what an exclude phrase took away. The text may be raw.
    pub fn explain(&self, text: &str) -> Vec<Candidate> {
        let normed = norm(text);
        let mut scratch = Scratch::new();
        let mut places = Vec::new();
        let written = |f: &Found<'_>| self.phrases.written(f.phrase, f.way);
        let early_end =
            self.find(&normed, &mut scratch, |f| places.push((f.phrase, f.span.clone(), written(&f))));
        places.sort_unstable_by_key(|p| p.0);
        let (mut standing, mut excluded) = (Vec::new(), Vec::new());
        let mut order = self.order.clone();
        let points = |issue: u16| scratch.evidence[usize::from(issue)].points(early_end);
        order.sort_by_key(|&issue| std::cmp::Reverse(points(issue)));
        for issue in order {
            let evidence = &scratch.evidence[usize::from(issue)];
            let mine = || places.iter().filter(|(p, ..)| self.roles[*p as usize].issue == issue);
            let is_rule = |p: u32| self.roles[p as usize].rule.is_some();
            let spelling = |(phrase, _, written): &(u32, Range<usize>, Option<String>)| {
                written.clone().unwrap_or_else(|| self.spellings[*phrase as usize].clone())
            };
            let Some(place) = mine().find(|(p, ..)| is_rule(*p)) else { continue };
            let span = &place.1;
            let by = mine().find(|(p, ..)| !is_rule(*p)).map(spelling);
            let list = if by.is_some() { &mut excluded } else { &mut standing };
            let issue = &self.issues[usize::from(issue)];
            list.push(Candidate {
                issue: issue.id.clone(),
                priority: issue.priority,
                rule: Some(spelling(place)),
                phrases: evidence.phrases as usize,
                early: evidence.start < early_end,
                matched: Some(MatchedText { span: span.clone(), text: normed[span.clone()].to_string() }),
                excluded_by: by,
            });
        }
        if standing.is_empty()
            && let Some(fallback) = self.issues.get(usize::from(self.fallback))
        {
            standing.push(Candidate {
                issue: fallback.id.clone(),
                priority: fallback.priority,
                rule: None,
                matched: None,
                phrases: 0,
                early: false,
                excluded_by: None,
            });
        }
        standing.extend(excluded);
        standing
    }
}

fn classify_slice(defs: &[IssueDef], order: &[u16]) -> [u8; 16] {
    let mut hash = Hash::new("taxonomy.classify");
    hash.number(EVIDENCE_VERSION);
    for def in order.iter().map(|&i| &defs[usize::from(i)]) {
        hash.text(&def.issue.id);
        hash.number(u64::from(def.issue.fallback));
        hash.number(def.include.len() as u64);
        for phrase in &def.include {
            hash.text(&phrase.to_string());
        }
        // The order of exclude phrases decides nothing.
        let mut exclude: Vec<String> = def.exclude.iter().map(ToString::to_string).collect();
        exclude.sort_unstable();
        hash.number(exclude.len() as u64);
        exclude.iter().for_each(|p| hash.text(p));
    }
    hash.finish()
}

fn types_slice(defs: &[IssueDef]) -> [u8; 16] {
    let mut hash = Hash::new("taxonomy.types");
    for IssueDef { issue, .. } in defs {
        hash.text(&issue.id);
        hash.text(&issue.title);
        hash.text(&issue.description);
        hash.number(issue.priority as u64);
        hash.number(u64::from(issue.customer_voice));
        hash.number(u64::from(issue.fallback));
    }
    hash.finish()
}

fn voice_slice(defs: &[IssueDef]) -> [u8; 16] {
    let mut ids: Vec<_> = defs.iter().map(|d| (&d.issue.id, d.issue.customer_voice)).collect();
    ids.sort_unstable();
    let mut hash = Hash::new("taxonomy.voice");
    for (id, voice) in ids {
        hash.text(id);
        hash.number(u64::from(voice));
    }
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
version = 1

[[issue]]
id = "DELAY"
title = "Late"
priority = 50
include = ['late not "the late"', "still waiting near order"]
exclude = ["never late"]

[[issue]]
id = "PRICE"
title = "Price"
priority = 50
include = ["cheap", "$*"]

[[issue]]
id = "NEWS"
title = "News"
priority = 90
customer_voice = false
include = ["quarterly results"]

[[issue]]
id = "OTHER"
title = "The rest"
fallback = true
"#;

    fn small() -> Taxonomy {
        let (taxonomy, warnings) = Taxonomy::parse(SMALL).unwrap();
        assert!(warnings.is_empty());
        taxonomy
    }

    fn shown(taxonomy: &Taxonomy, text: &str) -> String {
        let issue = taxonomy.classify(&norm(text), &mut Scratch::new());
        let id = |i: u16| taxonomy.issues()[usize::from(i)].id.as_str();
        let also: Vec<&str> = issue.also.iter().map(|&i| id(i)).collect();
        format!("{} [{}] {also:?}", id(issue.issue), issue.rule.map_or("", |r| taxonomy.rule_text(r)))
    }

    #[test]
    fn winners() {
        let taxonomy = small();
        let all: Vec<String> = [
            "hello",
            "it is late",
            "the late Mr. Graham",
            "the order is late, I am still waiting",
            "still waiting for my order",
            "cheap but late",
            "cheap, $5, and quarterly results, late",
            "never late, always cheap",
            "never late",
            "",
        ]
        .iter()
        .map(|text| format!("{text:?}: {}", shown(&taxonomy, text)))
        .collect();
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn explanations_agree_with_the_answer() {
        let taxonomy = small();
        insta::assert_debug_snapshot!(taxonomy.explain("Cheap, and NEVER late. Quarterly  results"));
        for text in ["hello", "late and cheap", "never late", "$5 order, still waiting"] {
            let issue = taxonomy.classify(&norm(text), &mut Scratch::new());
            let first = &taxonomy.explain(text)[0];
            assert_eq!(first.issue, taxonomy.issues()[usize::from(issue.issue)].id, "{text}");
            assert_eq!(first.excluded_by, None, "{text}");
        }
    }

    #[test]
    fn slices_change_with_what_they_hold() {
        let base = small();
        let changed = |from: &str, to: &str| {
            assert!(SMALL.contains(from));
            let other = Taxonomy::parse(&SMALL.replacen(from, to, 1)).unwrap().0;
            use TaxonomySlice::*;
            [Classify, Types, CustomerVoice].map(|s| other.slice_version(s) != base.slice_version(s))
        };
        assert_eq!(changed("\"Late\"", "\"Delay\""), [false, true, false]);
        assert_eq!(changed("priority = 90", "priority = 91"), [false, true, false]);
        assert_eq!(changed("priority = 90", "priority = 10"), [true, true, false]);
        assert_eq!(changed("customer_voice = false", "customer_voice = true"), [false, true, true]);
        assert_eq!(changed("\"cheap\"", "\"  CHEAP \""), [false, false, false]);
        assert_eq!(changed("\"cheap\"", "\"cheaper\""), [true, false, false]);
        assert_eq!(changed("[\"cheap\", \"$*\"]", "[\"$*\", \"cheap\"]"), [true, false, false]);
        assert_eq!(changed("never late", "never ever late"), [true, false, false]);
        assert_eq!(changed("\"NEWS\"", "\"PRESS\""), [true, true, true]);
        assert_eq!(changed("version = 1", "# a comment\nversion = 1"), [false; 3]);
        let other = Taxonomy::parse(&SMALL.replacen("\"Late\"", "\"Delay\"", 1)).unwrap().0;
        assert_ne!(other.version(), base.version());
    }

    #[test]
    fn mistakes_in_the_file() {
        let cases = [
            ("syntax", "version = 1\n[[issue]\nid = 3"),
            ("empty", ""),
            ("wrong version", "version = 2\n[[issue]]\nid = \"A\"\ntitle = \"a\"\nfallback = true"),
            ("single table", "version = 1\n[issue]\nid = \"A\""),
            (
                "many",
                r#"version = 1
extra = 1
[[issue]]
id = "delay"
title = 5
priorty = 1
include = ["do not use", 7, "late", "LATE", "a.b"]
[[issue]]
title = "no id"
[[issue]]
id = "B"
title = ""
priority = "high"
customer_voice = "yes"
include = "late"
[[issue]]
id = "C"
title = "c"
priority = 1
include = []
[[issue]]
id = "D"
title = "d"
fallback = true
include = ["x"]
[[issue]]
id = "D"
title = "d"
fallback = true
"#,
            ),
            (
                "no fallback",
                "version = 1\n[[issue]]\nid = \"A\"\ntitle = \"a\"\npriority = 1\ninclude = [\"x\"]",
            ),
        ];
        let mut out = String::new();
        for (name, text) in cases {
            out += &format!("== {name}\n");
            for p in Taxonomy::parse(text).unwrap_err() {
                let at = p.span.clone().and_then(|s| text.get(s)).unwrap_or("(file)");
                out += &format!(
                    "{:?} at `{at}`: {} ({})\n",
                    p.severity,
                    p.message,
                    p.help.as_deref().unwrap_or("")
                );
            }
        }
        insta::assert_snapshot!(out);
    }

    #[test]
    fn a_phrase_that_never_decides_is_a_warning() {
        let text = SMALL.replace("\"cheap\",", "\"cheap\", \"still waiting near order\",");
        let (_, warnings) = Taxonomy::parse(&text).unwrap();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].message.contains("alone never decides"), "{}", warnings[0].message);
    }
}
