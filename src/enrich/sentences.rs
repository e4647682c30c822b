//! Sentences of a raw text, so that what is quoted stands in the post word for word.

/// Longest quotation, in characters.
const QUOTE_MOST: usize = 240;

/// The sentences of a text, trimmed, without empty ones. A sentence ends at `.`, `!` or `?`
/// before white space, and at every line break.
pub(super) fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return None;
            }
            let end = end_of_first(rest);
            let (sentence, after) = rest.split_at(end);
            rest = after;
            let sentence = sentence.trim();
            if sentence.bytes().any(|b| b.is_ascii_alphanumeric() || b >= 0x80) {
                return Some(sentence);
            }
        }
    })
}

fn end_of_first(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\n' | b'\r' => return at + 1,
            b'.' | b'!' | b'?' => {
                // "?!" and "..." end one sentence, with a closing quotation mark or bracket.
                let mut end = at + 1;
                while matches!(bytes.get(end), Some(b'.' | b'!' | b'?' | b'"' | b'\'' | b')' | b'*')) {
                    end += 1;
                }
                if bytes.get(end).is_none_or(|b| b.is_ascii_whitespace()) {
                    return end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A sentence as evidence: the whole of it, or its beginning up to a word's end.
pub(super) fn quote(sentence: &str) -> &str {
    let Some((cut, _)) = sentence.char_indices().nth(QUOTE_MOST) else { return sentence };
    let whole = &sentence[..cut];
    whole.rfind(char::is_whitespace).map_or(whole, |at| &whole[..at]).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cases() {
        let all = |text| sentences(text).collect::<Vec<_>>();
        assert_eq!(all("One. Two!! \"Three?\" four"), ["One.", "Two!!", "\"Three?\"", "four"]);
        assert_eq!(
            all("Paid $12.50 for it.\nAgain\r\n\r\n- - -\nok"),
            ["Paid $12.50 for it.", "Again", "ok"]
        );
        assert_eq!(all(" ... "), Vec::<&str>::new());
        assert_eq!(all("так. да"), ["так.", "да"]);
    }

    #[test]
    fn quotes_end_at_a_word() {
        let long = "wörd ".repeat(100);
        let short = quote(&long);
        assert!(short.chars().count() <= QUOTE_MOST && short.ends_with("wörd"), "{short}");
        assert_eq!(quote("short"), "short");
    }

    proptest! {
        #[test]
        fn every_sentence_is_a_part_of_the_text(text in r"(\PC|[.!?\n ]){0,60}") {
            for sentence in sentences(&text) {
                prop_assert!(text.contains(quote(sentence)));
            }
        }
    }
}
