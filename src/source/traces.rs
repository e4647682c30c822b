//! The traces of a post where it is not an envelope: messages, glimpses of records, addresses.
//!
//! Invariant: a trace is found by its own words only, with an end on both sides, so that the post
//! `abc` is not found in `abcd`. Pure.

/// What stands in the place of what is forgotten.
pub const FORGOTTEN: &str = "[forgotten]";
/// The fewest characters by which a text is recognized, and the most that are compared: messages
/// and glimpses cut a text off.
const PIECE: (usize, usize) = (12, 40);

/// The words by which posts are recognized.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    /// Ids as the site gives them.
    ids: Vec<String>,
    /// Ids without Reddit's prefix, and authors: only where a value or a part of an address begins.
    quoted: Vec<String>,
    /// Beginnings of texts.
    pieces: Vec<String>,
}

impl Traces {
    /// Looks for a post's id; Reddit's also in the form that stands in addresses and records.
    pub fn post(&mut self, platform: &str, native_id: &str) {
        if native_id.is_empty() {
            return;
        }
        self.ids.push(native_id.to_string());
        if platform == "reddit"
            && let Some((kind, bare)) = native_id.split_once('_')
            && kind.len() == 2
            && !bare.is_empty()
        {
            self.quoted.push(bare.to_string());
        }
    }

    /// Looks for an author's name.
    pub fn author(&mut self, name: &str) {
        if !name.is_empty() {
            self.quoted.push(name.to_string());
        }
    }

    /// Looks for a title, a text or an address, by a piece that is nowhere written otherwise.
    /// One without such a piece is passed over.
    pub fn text(&mut self, text: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || " ,.:;!?()-_/".contains(c);
        let longest = text.split(|c| !plain(c)).map(str::trim).max_by_key(|piece| piece.len());
        if let Some(piece) = longest.filter(|piece| piece.len() >= PIECE.0) {
            // Plain pieces are ASCII: any place is the end of a character.
            self.pieces.push(piece[..piece.len().min(PIECE.1)].trim().to_string());
        }
    }

    /// Whether a text holds any trace.
    pub fn found_in(&self, text: &str) -> bool {
        self.without(text).is_some()
    }

    /// Whether a text is one of the ids, or holds a trace.
    pub fn is_id(&self, text: &str) -> bool {
        self.ids.iter().chain(&self.quoted).any(|id| id == text) || self.found_in(text)
    }

    /// A text without the traces in it; `None` when it holds none. Ids are replaced; a text that
    /// quotes a post goes whole, since nobody knows how much of it is a quote.
    pub fn without(&self, text: &str) -> Option<String> {
        if self.pieces.iter().any(|piece| text.contains(piece.as_str())) {
            return Some(FORGOTTEN.to_string());
        }
        let mut out: Option<String> = None;
        for (words, quoted) in [(&self.ids, false), (&self.quoted, true)] {
            for word in words {
                if let Some(other) = replaced(out.as_deref().unwrap_or(text), word, quoted) {
                    out = Some(other);
                }
            }
        }
        out
    }
}

/// The text with every occurrence of a word replaced that stands alone; `quoted`: that follows a
/// quote, a slash, or the sign that examples of checks have before a value.
fn replaced(text: &str, word: &str, quoted: bool) -> Option<String> {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut from = 0;
    for (at, _) in text.match_indices(word) {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let begins = match (quoted, before) {
            (true, before) => matches!(before, Some('"' | '\'' | '/')) || text[..at].ends_with("= "),
            (false, before) => !before.is_some_and(inside),
        };
        if at >= from && begins && !after.is_some_and(inside) {
            out.push_str(&text[from..at]);
            out.push_str(FORGOTTEN);
            from = at + word.len();
        }
    }
    (from > 0).then(|| out + &text[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reddit() -> Traces {
        let mut traces = Traces::default();
        traces.post("reddit", "t3_abc");
        traces
    }

    #[test]
    fn an_id_is_found_where_it_stands_alone() {
        let traces = reddit();
        for (text, other) in [
            ("post t3_abc is odd", "post [forgotten] is odd"),
            ("id = t3_abc, dt = x", "id = [forgotten], dt = x"),
            (r#"{"id":"abc","x":1}"#, r#"{"id":"[forgotten]","x":1}"#),
            (r#"{\"id\":\"abc\"}"#, r#"{\"id\":\"[forgotten]\"}"#),
            ("/r/x/comments/abc/late/", "/r/x/comments/[forgotten]/late/"),
            ("/comments/abc.json", "/comments/[forgotten].json"),
            ("t3_abc t3_abc", "[forgotten] [forgotten]"),
            ("id = abc", "id = [forgotten]"),
            ("t3_abc", "[forgotten]"),
        ] {
            assert_eq!(traces.without(text).as_deref(), Some(other), "{text}");
        }
        for text in ["t3_abcd", "at3_abc", "t3_abc_d", "/abcd/", "abc", "the abc of it", "\"abcd\"", ""] {
            assert_eq!(traces.without(text), None, "{text}");
        }
        assert!(traces.is_id("abc") && traces.is_id("t3_abc") && !traces.is_id("t1_abc"));
    }

    #[test]
    fn other_sites_have_no_short_form() {
        let mut traces = Traces::default();
        traces.post("trustpilot", "r_9");
        assert!(traces.found_in("review r_9"));
        assert!(!traces.found_in("\"9\""));
        traces.post("trustpilot", "");
        assert!(!traces.found_in("anything"));
    }

    #[test]
    fn a_text_is_found_by_a_piece_of_it() {
        let mut traces = Traces::default();
        traces.text("“Zanzibar” parcels never came, it’s a shame");
        assert_eq!(traces.without("title = \\xe2 parcels never came, it").as_deref(), Some(FORGOTTEN));
        traces.text("short");
        assert!(!traces.found_in("a short word"));
        traces.author("somebody");
        assert!(traces.found_in(r#""author":"somebody""#));
        assert!(!traces.found_in("somebody else"));
    }
}
