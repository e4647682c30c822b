//! The grammar of a phrase, as a person writes it in a file.
//!
//! ```text
//! phrase  = "*"                                       every text
//!         | words ("near" | "near/N") words … ["not" words …]
//! words   = one or more words or choices side by side; a run in double quotes is taken literally
//! choice  = "(" words { "|" words } ")"           one of these
//! word    = late | don't | refill* (any word that begins so) | * (any one word) | $ € £ ¥ %
//! ```
//!
//! Words match whole words of the normalized text, in order, with white space, hyphens,
//! commas and other signs between them, but never across the end of a sentence (`. ! ? ;`).
//! `A near B`: at most 5 words between them (`near/N`: N), in either order, sentence ends
//! allowed. `A not B`: a match of A (or of what it is near) does not count where it overlaps a
//! match of B. `$*` is a dollar sign and whatever word follows it. A phrase with choices matches
//! where it would match with one of each written out.

use std::borrow::Cow;
use std::fmt;

use super::norm::norm;
use super::phrase_items::{Item, items};

/// Version of how phrases are read and matched; part of every version of brands and taxonomy.
pub const PHRASE_VERSION: u32 = 1;

/// Words between the sides of a plain `near`.
pub(super) const NEAR: u32 = 5;
/// Most words that `near/N` takes.
pub(super) const NEAR_MOST: u32 = 50;
/// Most words of one side.
const WORDS_MOST: usize = 24;
/// Most ways of choosing the words of one side.
const WAYS_MOST: usize = 2_000;

/// One place of a sequence.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Token {
    /// This word, or any word that begins with it.
    Word { text: String, prefix: bool },
    /// A sign that is a word of its own.
    Symbol(char),
    /// Any one word.
    Any,
}

impl Token {
    fn word(&self) -> Option<&str> {
        match self {
            Token::Word { text, .. } => Some(text),
            Token::Symbol(_) | Token::Any => None,
        }
    }

    /// Whether one place of a text can be both.
    fn may_equal(&self, other: &Token) -> bool {
        use Token::*;
        match (self, other) {
            (Symbol(a), Symbol(b)) => a == b,
            (Symbol(_), _) | (_, Symbol(_)) => false,
            (Any, _) | (_, Any) => true,
            (Word { text: a, prefix: ap }, Word { text: b, prefix: bp }) => {
                a == b || (*ap && b.starts_with(a.as_str())) || (*bp && a.starts_with(b.as_str()))
            }
        }
    }
}

/// Words side by side.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Atom(pub Vec<Token>);

impl Atom {
    fn words(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(Token::word)
    }
}

/// What stands at one place of a side.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Part {
    One(Token),
    /// Any of these.
    OneOf(Vec<Vec<Token>>),
}

impl Part {
    fn one(&self) -> Option<&Token> {
        match self {
            Part::One(token) => Some(token),
            Part::OneOf(_) => None,
        }
    }
}

/// Words side by side, some of which may be chosen from several. It has one place in a text where
/// one of [`Side::ways`] stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Side(Vec<Part>);

impl Side {
    /// Every way of choosing, in the order in which they are written.
    pub(crate) fn ways(&self) -> Vec<Atom> {
        let mut out = vec![Vec::new()];
        for part in &self.0 {
            match part {
                Part::One(token) => out.iter_mut().for_each(|way| way.push(token.clone())),
                Part::OneOf(choices) => {
                    let longer = |way: &Vec<Token>| {
                        let way = way.clone();
                        choices.iter().map(move |choice| [way.as_slice(), choice].concat())
                    };
                    out = out.iter().flat_map(longer).collect();
                }
            }
        }
        out.into_iter().map(Atom).collect()
    }

    /// Whether there is anything to choose.
    pub(crate) fn has_choices(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::OneOf(_)))
    }

    /// How many ways there are.
    fn count(&self) -> usize {
        let ways = |part: &Part| match part {
            Part::One(_) => 1,
            Part::OneOf(choices) => choices.len(),
        };
        self.0.iter().map(ways).fold(1, usize::saturating_mul)
    }

    fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.0.iter().flat_map(|part| match part {
            Part::One(token) => vec![token],
            Part::OneOf(choices) => choices.iter().flatten().collect(),
        })
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.tokens().filter_map(Token::word)
    }
}

/// A phrase that was read.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Phrase {
    /// Matches every text, the empty one too.
    Everything,
    /// Matches where `head` matches, with each of `near` close by, outside every match of `not`.
    Words { head: Side, near: Vec<(u32, Side)>, not: Vec<Atom> },
}

/// What is wrong with a phrase, and what to write instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PhraseError {
    pub message: String,
    pub help: String,
}

pub(super) fn error<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, PhraseError> {
    Err(PhraseError { message: message.into(), help: help.into() })
}

impl Phrase {
    fn sides(&self) -> impl Iterator<Item = &Side> {
        let (head, near) = match self {
            Phrase::Everything => (None, &[][..]),
            Phrase::Words { head, near, .. } => (Some(head), near.as_slice()),
        };
        head.into_iter().chain(near.iter().map(|(_, side)| side))
    }

    /// The words that it looks for: of the head and of what is near it, beginnings and
    /// choices too.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.sides().flat_map(Side::words)
    }

    /// Whether no text without such a word matches.
    pub(crate) fn needs(&self, such: impl Fn(&str) -> bool) -> bool {
        self.sides().any(|side| {
            side.0.iter().any(|part| match part {
                Part::One(token) => token.word().is_some_and(&such),
                Part::OneOf(choices) => {
                    choices.iter().all(|choice| choice.iter().filter_map(Token::word).any(&such))
                }
            })
        })
    }

    /// The words of what takes a match away.
    pub(crate) fn not_words(&self) -> impl Iterator<Item = &str> {
        let not = match self {
            Phrase::Everything => &[][..],
            Phrase::Words { not, .. } => not.as_slice(),
        };
        not.iter().flat_map(Atom::words)
    }

    /// The spelling without what it does not count, for people and tables.
    pub(crate) fn short(&self) -> String {
        match self {
            Phrase::Words { head, near, .. } => {
                Phrase::Words { head: head.clone(), near: near.clone(), not: Vec::new() }.to_string()
            }
            Phrase::Everything => self.to_string(),
        }
    }

    /// Reads a phrase.
    pub(crate) fn parse(text: &str) -> Result<Phrase, PhraseError> {
        let text = norm(text);
        if text.is_empty() {
            return error("the phrase is empty", "write one or more words, or remove it");
        }
        if text == "*" {
            return Ok(Phrase::Everything);
        }
        let items = items(&text)?;
        let mut head = Vec::new();
        let mut near: Vec<(u32, Vec<Part>)> = Vec::new();
        let mut not: Vec<Vec<Part>> = Vec::new();
        for item in items {
            match item {
                Item::Part(part) => {
                    let side = match (not.last_mut(), near.last_mut()) {
                        (Some(side), _) => side,
                        (None, Some((_, side))) => side,
                        (None, None) => &mut head,
                    };
                    side.push(part);
                }
                Item::Near(_) if !not.is_empty() => {
                    return error("`near` stands after `not`", "put `near` first: A near B not C");
                }
                Item::Near(words) => near.push((words, Vec::new())),
                Item::Not => not.push(Vec::new()),
            }
        }
        let whole = || match text.contains(['"', '(']) {
            true => "to look for the words themselves, put them in double quotes".to_string(),
            false => format!("to look for the words themselves, quote them: \"{text}\""),
        };
        if head.is_empty() && near.is_empty() && not.is_empty() {
            return error("there is no word in the phrase", "write one or more words, or remove it");
        }
        if head.is_empty() {
            return error("there is nothing before `near` or `not`", whole());
        }
        let head = side(head)?;
        let near = near
            .into_iter()
            .map(|(words, parts)| match parts.is_empty() {
                true => error("there is nothing after `near`", whole()),
                false => Ok((words, side(parts)?)),
            })
            .collect::<Result<Vec<_>, _>>()?;
        // A choice after `not` is as many `not`s.
        let mut excluded = Vec::new();
        for parts in not {
            match parts.is_empty() {
                true => return error("there is nothing after `not`", whole()),
                false => excluded.extend(side(parts)?.ways()),
            }
        }
        let not = excluded;
        for excluded in &not {
            // Without a common word the two can never overlap: someone meant the word "not".
            let mut sides = std::iter::once(&head).chain(near.iter().map(|(_, side)| side));
            if !sides.any(|side| side.tokens().any(|token| excluded.0.iter().any(|t| t.may_equal(token)))) {
                return error(
                    format!("`not {excluded}` never takes a match of `{head}` away: they share no word"),
                    whole(),
                );
            }
        }
        Ok(Phrase::Words { head, near, not })
    }
}

fn side(parts: Vec<Part>) -> Result<Side, PhraseError> {
    let side = Side(parts);
    if side.count() > WAYS_MOST {
        return error(
            format!("the choices side by side can be made in more than {WAYS_MOST} ways"),
            "join two of them by `near`, or write two phrases",
        );
    }
    for way in side.ways() {
        if way.0.len() > WORDS_MOST {
            return error(
                format!("more than {WORDS_MOST} words side by side"),
                "join two shorter phrases by `near`",
            );
        }
        if way.0.iter().all(|t| *t == Token::Any) {
            return error("`*` alone stands for any word here", "add a word: $ *, * weeks, refill*");
        }
    }
    Ok(side)
}

impl Token {
    /// Whether it would be read as an operator.
    fn is_reserved(&self) -> bool {
        matches!(self, Token::Word { text, prefix: false } if text == "near" || text == "not")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word { text, prefix } => write!(f, "{text}{}", if *prefix { "*" } else { "" }),
            Token::Symbol(c) => write!(f, "{c}"),
            Token::Any => f.write_str("*"),
        }
    }
}

/// Tokens with spaces between, in quotes when one of them would be an operator.
fn sequence<'a>(f: &mut fmt::Formatter<'_>, tokens: impl Iterator<Item = &'a Token> + Clone) -> fmt::Result {
    let quote = if tokens.clone().any(Token::is_reserved) { "\"" } else { "" };
    f.write_str(quote)?;
    for (i, token) in tokens.enumerate() {
        write!(f, "{}{token}", if i > 0 { " " } else { "" })?;
    }
    f.write_str(quote)
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        sequence(f, self.0.iter())
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Runs of words between choices.
        for (i, run) in self.0.chunk_by(|a, b| matches!((a, b), (Part::One(_), Part::One(_)))).enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            match &run[0] {
                Part::One(_) => {
                    sequence(f, run.iter().filter_map(Part::one))?;
                }
                Part::OneOf(choices) => {
                    for (i, choice) in choices.iter().enumerate() {
                        f.write_str(if i > 0 { "|" } else { "(" })?;
                        sequence(f, choice.iter())?;
                    }
                    f.write_str(")")?;
                }
            }
        }
        Ok(())
    }
}

/// The operator between two sides, with its spaces.
pub(crate) fn near_text(words: u32) -> Cow<'static, str> {
    match words {
        NEAR => " near ".into(),
        words => format!(" near/{words} ").into(),
    }
}

/// The canonical spelling: reading it again gives the same phrase.
impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Phrase::Words { head, near, not } = self else { return f.write_str("*") };
        head.fmt(f)?;
        for (words, side) in near {
            write!(f, "{}{side}", near_text(*words))?;
        }
        for atom in not {
            match atom.0.len() {
                1 => write!(f, " not {atom}")?,
                _ => write!(f, " not \"{}\"", atom.to_string().trim_matches('"'))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn canonical_spellings() {
        for (text, canonical) in [
            ("*", "*"),
            ("  Amazon \u{2003}Pharmacy ", "amazon pharmacy"),
            ("Don\u{2019}t trust", "don't trust"),
            ("refill*", "refill*"),
            ("e-mail", "e mail"),
            ("$*", "$ *"),
            ("$5", "$ 5"),
            ("over $ * market", "over $ * market"),
            ("still waiting near order", "still waiting near order"),
            ("late near/3 order*", "late near/3 order*"),
            ("late near/5 order", "late near order"),
            ("late not \"the late\"", "late not \"the late\""),
            ("late not 'the late'", "late not \"the late\""),
            ("late not of late not \"the late\"", "late not \"of late\" not \"the late\""),
            ("\"not working\"", "\"not working\""),
            ("\"not working\" near app", "\"not working\" near app"),
            ("nothing near/0 not*", "nothing near/0 not*"),
            ("do-not-call", "do not call"),
            ("supply not \"not about supply\"", "supply not \"not about supply\""),
            ("( late | lost )near (box|boxes*)", "(late|lost) near (box|boxes*)"),
            ("my (order|new package) is (late|on the way)", "my (order|new package) is (late|on the way)"),
            ("(late|late)", "late"),
            ("(late) box", "late box"),
            ("(\"not\" here|$*) near/9(x|y z)", "(\"not here\"|$ *) near/9 (x|y z)"),
            ("a b not (a c|b)", "a b not \"a c\" not b"),
            ("\"(a|b)\"", "a b"),
        ] {
            let phrase = Phrase::parse(text).map_err(|e| e.message);
            // "do-not-call": inside a hyphenated word `not` is no operator, so it needs quotes.
            let expected = if text == "do-not-call" { "\"do not call\"" } else { canonical };
            assert_eq!(phrase.as_ref().map(ToString::to_string), Ok(expected.to_string()), "{text:?}");
            assert_eq!(Phrase::parse(expected).map_err(|e| e.message), phrase, "{text:?} again");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        let all: Vec<String> = [
            "",
            " \u{200B} ",
            "pre*tion",
            "*ship",
            "a**",
            "* *",
            "near pharmacy",
            "not working",
            "late not",
            "late near",
            "late near/x order",
            "late near/99 order",
            "do not use",
            "late not \"the late\" near order",
            "amazon.com",
            "\"open",
            "- , -",
            "(late|lost",
            "late|lost",
            "late)",
            "((a|b)|c)",
            "(a|)",
            "() late",
            "(late near order|lost)",
            "(* not here|late)",
            "(*|**)",
            "(a|b) not c",
            "(*|a) *",
        ]
        .iter()
        .map(|text| match Phrase::parse(text) {
            Ok(phrase) => format!("{text:?}: read as {phrase}"),
            Err(e) => format!("{text:?}: {}; {}", e.message, e.help),
        })
        .collect();
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn choices_have_a_limit() {
        let ten = format!("({})", (0..10).map(|n| format!("w{n}")).collect::<Vec<_>>().join("|"));
        let phrase = Phrase::parse(&[ten.as_str(); 3].join(" near ")).unwrap();
        assert!(phrase.sides().all(|side| side.ways().len() == 10));
        assert_eq!(Phrase::parse(&[ten.as_str(); 3].join(" ")).map(|p| p.sides().count()), Ok(1));
        let error = Phrase::parse(&[ten.as_str(); 4].join(" ")).unwrap_err();
        assert_eq!(error.message, "the choices side by side can be made in more than 2000 ways");
    }

    #[test]
    fn what_a_phrase_needs() {
        let needs = |text: &str| Phrase::parse(text).unwrap().needs(|word| word == "x");
        for (text, expected) in [
            ("x", true),
            ("a near x", true),
            ("(x|a)", false),
            ("(x|a x) b", true),
            ("(x|a) near (b|x c)", false),
            ("a not \"x a\"", false),
            ("*", false),
        ] {
            assert_eq!(needs(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_reads_itself_back(text in r#"([a-c]{1,2}\*?|near(/[0-9]{1,2})?|not|"|[$*%é'()|-]| ){0,12}"#) {
            if let Ok(phrase) = Phrase::parse(&text) {
                let canonical = phrase.to_string();
                prop_assert_eq!(Phrase::parse(&canonical).ok(), Some(phrase), "{}", canonical);
            }
        }
    }
}
