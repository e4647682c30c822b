//! A phrase's text, cut into words, choices and operators.
//!
//! What belongs together is [`super::phrase`]'s question; here a sign that stands where it means
//! nothing is an error. Pure.

use super::phrase::{NEAR, NEAR_MOST, Part, PhraseError, Token, error};
use super::words::{ends_sentence, is_symbol};

/// One after the other, as they are written.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Item {
    Part(Part),
    Near(u32),
    Not,
}

/// Cuts a normalized text.
pub(super) fn items(text: &str) -> Result<Vec<Item>, PhraseError> {
    let mut out = Items::default();
    let mut quoted = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '"' || c == '\u{201C}' || c == '\u{201D}' {
            quoted = !quoted;
        } else if !quoted && matches!(c, '(' | '|' | ')') {
            out.sign(c)?;
        } else if is_symbol(c) {
            out.token(Token::Symbol(c));
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
            out.token(Token::Any);
        } else if c.is_alphanumeric() {
            let mut end = super::words::word_end(text, at);
            let word = &text[at..end];
            let alone = text[..at].chars().next_back().is_none_or(|b| matches!(b, ' ' | '(' | '|' | ')'));
            let next = text[end..].chars().next();
            let operator = !quoted && alone;
            let ends = |n: char| matches!(n, ' ' | '(' | '|' | ')');
            if operator && word == "not" && next.is_none_or(ends) {
                out.operator(Item::Not, word)?;
            } else if operator && word == "near" && next.is_none_or(|n| ends(n) || n == '/') {
                let mut words = NEAR;
                if next == Some('/') {
                    let digits: &str = text[end + 1..].split([' ', '(']).next().unwrap_or("");
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
                out.operator(Item::Near(words), "near")?;
            } else {
                let prefix = next == Some('*');
                out.token(Token::Word { text: word.to_string(), prefix });
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
    out.finish()
}

/// What to write when a choice is not written right.
const CHOICE_HELP: &str = "a choice is written (late|delayed|on the way)";

/// The items of a phrase as they are read, and the choice that is open.
#[derive(Default)]
struct Items {
    items: Vec<Item>,
    open: Option<Vec<Vec<Token>>>,
}

impl Items {
    fn token(&mut self, token: Token) {
        match self.open.as_mut().and_then(|choices| choices.last_mut()) {
            Some(choice) => choice.push(token),
            None => self.items.push(Item::Part(Part::One(token))),
        }
    }

    fn operator(&mut self, item: Item, word: &str) -> Result<(), PhraseError> {
        if self.open.is_some() {
            return error(
                format!("`{word}` stands inside of ( )"),
                format!("put it outside: (late|lost) near order; or quote the word: (\"{word}\" here|late)"),
            );
        }
        self.items.push(item);
        Ok(())
    }

    fn sign(&mut self, sign: char) -> Result<(), PhraseError> {
        match (sign, self.open.take()) {
            ('(', None) => self.open = Some(vec![Vec::new()]),
            ('(', Some(_)) => {
                return error("( ) stands inside of ( )", "write the inner choices out: (a b|a c|d)");
            }
            (_, None) => return error(format!("`{sign}` stands outside of ( )"), CHOICE_HELP),
            (_, Some(choices)) if choices.last().is_none_or(Vec::is_empty) => {
                return error("there is nothing to choose beside a `|` or inside of ( )", CHOICE_HELP);
            }
            ('|', Some(mut choices)) => {
                choices.push(Vec::new());
                self.open = Some(choices);
            }
            (_, Some(mut choices)) => {
                let mut seen = std::collections::HashSet::new();
                choices.retain(|choice| seen.insert(choice.clone()));
                match choices.len() {
                    // A choice of one is none.
                    1 => choices.into_iter().flatten().for_each(|token| self.token(token)),
                    _ => self.items.push(Item::Part(Part::OneOf(choices))),
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<Item>, PhraseError> {
        match self.open {
            Some(_) => error("a ( is not closed", CHOICE_HELP),
            None => Ok(self.items),
        }
    }
}
