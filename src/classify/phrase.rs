//! The grammar of a phrase, as a person writes it in a file.
//!
//! ```text
//! phrase  = "*"                                       every text
//!         | words ("near" | "near/N") words … ["not" words …]
//! words   = one or more words side by side; a run in double quotes is taken literally
//! word    = late | don't | refill* (any word that begins so) | * (any one word) | $ € £ ¥ %
//! ```
//!
//! Words match whole words of the normalized text, in order, with white space, hyphens,
//! commas and other signs between them, but never across the end of a sentence (`. ! ? ;`).
//! `A near B`: at most 5 words between them (`near/N`: N), in either order, sentence ends
//! allowed. `A not B`: a match of A (or of what it is near) does not count where it overlaps a
//! match of B. `$*` is a dollar sign and whatever word follows it.

use std::fmt;

use super::norm::norm;
use super::words::{ends_sentence, is_symbol};

/// Version of how phrases are read and matched; part of every version of brands and taxonomy.
pub const PHRASE_VERSION: u32 = 1;

/// Words between the sides of a plain `near`.
const NEAR: u32 = 5;
/// Most words that `near/N` takes.
const NEAR_MOST: u32 = 50;
/// Most words of one side.
const WORDS_MOST: usize = 24;

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
        self.0.iter().filter_map(|token| match token {
            Token::Word { text, .. } => Some(text.as_str()),
            Token::Symbol(_) | Token::Any => None,
        })
    }

    fn shares_a_word(&self, other: &Atom) -> bool {
        self.0.iter().any(|a| other.0.iter().any(|b| a.may_equal(b)))
    }
}

/// A phrase that was read.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Phrase {
    /// Matches every text, the empty one too.
    Everything,
    /// Matches where `head` matches, with each of `near` close by, outside every match of `not`.
    Words { head: Atom, near: Vec<(u32, Atom)>, not: Vec<Atom> },
}

/// What is wrong with a phrase, and what to write instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PhraseError {
    pub message: String,
    pub help: String,
}

fn error<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, PhraseError> {
    Err(PhraseError { message: message.into(), help: help.into() })
}

#[derive(Clone, PartialEq, Debug)]
enum Item {
    Token(Token),
    Near(u32),
    Not,
}

impl Phrase {
    /// The words that a text must have: of the head and of what is near it, beginnings too.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        let (head, near) = match self {
            Phrase::Everything => (None, &[][..]),
            Phrase::Words { head, near, .. } => (Some(head), near.as_slice()),
        };
        head.into_iter().chain(near.iter().map(|(_, atom)| atom)).flat_map(Atom::words)
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
        let mut near: Vec<(u32, Vec<Token>)> = Vec::new();
        let mut not: Vec<Vec<Token>> = Vec::new();
        for item in items {
            match item {
                Item::Token(token) => {
                    let side = match (not.last_mut(), near.last_mut()) {
                        (Some(side), _) => side,
                        (None, Some((_, side))) => side,
                        (None, None) => &mut head,
                    };
                    side.push(token);
                }
                Item::Near(_) if !not.is_empty() => {
                    return error("`near` stands after `not`", "put `near` first: A near B not C");
                }
                Item::Near(words) => near.push((words, Vec::new())),
                Item::Not => not.push(Vec::new()),
            }
        }
        let whole = || match text.contains('"') {
            true => "to look for the words themselves, put them in double quotes".to_string(),
            false => format!("to look for the words themselves, quote them: \"{text}\""),
        };
        if head.is_empty() && near.is_empty() && not.is_empty() {
            return error("there is no word in the phrase", "write one or more words, or remove it");
        }
        if head.is_empty() {
            return error("there is nothing before `near` or `not`", whole());
        }
        let head = atom(head)?;
        let near = near
            .into_iter()
            .map(|(words, side)| match side.is_empty() {
                true => error("there is nothing after `near`", whole()),
                false => Ok((words, atom(side)?)),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let not = not
            .into_iter()
            .map(|side| match side.is_empty() {
                true => error("there is nothing after `not`", whole()),
                false => atom(side),
            })
            .collect::<Result<Vec<_>, _>>()?;
        for excluded in &not {
            // Without a common word the two can never overlap: someone meant the word "not".
            if !head.shares_a_word(excluded) && !near.iter().any(|(_, a)| a.shares_a_word(excluded)) {
                return error(
                    format!("`not {excluded}` never takes a match of `{head}` away: they share no word"),
                    whole(),
                );
            }
        }
        Ok(Phrase::Words { head, near, not })
    }
}

fn items(text: &str) -> Result<Vec<Item>, PhraseError> {
    let mut items = Vec::new();
    let mut quoted = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '"' || c == '\u{201C}' || c == '\u{201D}' {
            quoted = !quoted;
        } else if is_symbol(c) {
            items.push(Item::Token(Token::Symbol(c)));
        } else if c == '*' {
            let before = text[..at].chars().next_back();
            let after = text[at + 1..].chars().next();
            if after.is_some_and(char::is_alphanumeric) {
                return error(
                    "`*` stands at the beginning or inside of a word",
                    "`*` goes at the end of a word (refill*) or stands alone for any one word",
                );
            }
            if before == Some('*') {
                return error("`**` means nothing", "write one `*`");
            }
            items.push(Item::Token(Token::Any));
        } else if c.is_alphanumeric() {
            let mut end = super::words::word_end(text, at);
            let word = &text[at..end];
            let alone = text[..at].chars().next_back().is_none_or(|b| b == ' ');
            let next = text[end..].chars().next();
            let operator = !quoted && alone;
            if operator && word == "not" && next.is_none_or(|n| n == ' ') {
                items.push(Item::Not);
            } else if operator && word == "near" && next.is_none_or(|n| n == ' ' || n == '/') {
                let mut words = NEAR;
                if next == Some('/') {
                    let digits: &str = text[end + 1..].split(' ').next().unwrap_or("");
                    words = match digits.parse::<u32>() {
                        Ok(n) if n <= NEAR_MOST => n,
                        _ => {
                            return error(
                                format!("`near/{digits}` is not a distance"),
                                format!("write a number of words from 0 to {NEAR_MOST}, such as near/5"),
                            );
                        }
                    };
                    end += 1 + digits.len();
                }
                items.push(Item::Near(words));
            } else {
                let prefix = next == Some('*');
                items.push(Item::Token(Token::Word { text: word.to_string(), prefix }));
                if prefix {
                    end += 1;
                    let after = text[end..].chars().next();
                    if after.is_some_and(|c| c.is_alphanumeric() || c == '*') {
                        return error(
                            format!("`*` stands inside of `{word}*{}`", after.unwrap_or_default()),
                            "`*` goes at the end of a word: refill*",
                        );
                    }
                }
            }
            while chars.next_if(|(i, _)| *i < end).is_some() {}
        } else if ends_sentence(c) {
            return error(
                format!("`{c}` is never part of a match: a phrase does not cross the end of a sentence"),
                "write only the words",
            );
        }
        // Everything else separates words, in the phrase as in the text.
    }
    if quoted {
        return error("a quotation mark is not closed", "close it, or remove it");
    }
    Ok(items)
}

fn atom(tokens: Vec<Token>) -> Result<Atom, PhraseError> {
    if tokens.len() > WORDS_MOST {
        return error(
            format!("more than {WORDS_MOST} words side by side"),
            "join two shorter phrases by `near`",
        );
    }
    if tokens.iter().all(|t| *t == Token::Any) {
        return error("`*` alone stands for any word here", "add a word: $ *, * weeks, refill*");
    }
    Ok(Atom(tokens))
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reserved =
            |t: &Token| matches!(t, Token::Word { text, prefix: false } if text == "near" || text == "not");
        let quote = if self.0.iter().any(reserved) { "\"" } else { "" };
        f.write_str(quote)?;
        for (i, token) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            match token {
                Token::Word { text, prefix } => write!(f, "{text}{}", if *prefix { "*" } else { "" })?,
                Token::Symbol(c) => write!(f, "{c}")?,
                Token::Any => f.write_str("*")?,
            }
        }
        f.write_str(quote)
    }
}

/// The canonical spelling: reading it again gives the same phrase.
impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Phrase::Words { head, near, not } = self else { return f.write_str("*") };
        head.fmt(f)?;
        for (words, atom) in near {
            match *words {
                NEAR => write!(f, " near {atom}")?,
                words => write!(f, " near/{words} {atom}")?,
            }
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
        ]
        .iter()
        .map(|text| match Phrase::parse(text) {
            Ok(phrase) => format!("{text:?}: read as {phrase}"),
            Err(e) => format!("{text:?}: {}; {}", e.message, e.help),
        })
        .collect();
        insta::assert_snapshot!(all.join("\n"));
    }

    proptest! {
        #[test]
        fn never_panics_and_reads_itself_back(text in r#"([a-c]{1,2}\*?|near(/[0-9]{1,2})?|not|"|[$*%é'-]| ){0,12}"#) {
            if let Ok(phrase) = Phrase::parse(&text) {
                let canonical = phrase.to_string();
                prop_assert_eq!(Phrase::parse(&canonical).ok(), Some(phrase), "{}", canonical);
            }
        }
    }
}
