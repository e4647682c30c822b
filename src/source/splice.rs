//! Cutting inside a record's own bytes: authors and nested copies go, all other bytes stay.
//!
//! A small scanner over JSON text that finds keys and where their values end, without
//! building anything. It is meant for valid JSON and tolerates everything else: on broken
//! text it finds less and never panics. Does not block.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memchr2, memchr2_iter};

use super::adapter::Redactor;

/// The first place at or after `at` that is not white space.
pub(super) fn skip_space(b: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = b.get(at) {
        at += 1;
    }
    at
}

/// One past the closing quote of the string that opens at `at`.
pub(super) fn string_end(b: &[u8], at: usize) -> Option<usize> {
    let mut from = at + 1;
    loop {
        let found = from + memchr2(b'"', b'\\', b.get(from..)?)?;
        if b[found] == b'"' {
            return Some(found + 1);
        }
        from = found + 2;
    }
}

/// One past the end of the value that begins at `at`.
pub(super) fn value_end(b: &[u8], at: usize) -> Option<usize> {
    match b.get(at)? {
        b'"' => string_end(b, at),
        b'{' | b'[' => {
            let mut depth = 0usize;
            let mut from = at;
            loop {
                match b.get(from)? {
                    b'"' => {
                        from = string_end(b, from)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return Some(from + 1);
                        }
                    }
                    _ => {}
                }
                from += 1;
            }
        }
        b',' | b':' | b'}' | b']' => None,
        _ => {
            let rest = &b[at..];
            let length = rest.iter().position(|c| b",]} \t\r\n".contains(c)).unwrap_or(rest.len());
            Some(at + length)
        }
    }
}

/// Whether objects and lists are nested deeper than any reader should follow.
pub(super) fn too_deep(b: &[u8]) -> bool {
    const DEEPEST: usize = 128;
    // Few brackets cannot be deep, and counting them is fast.
    if memchr2_iter(b'{', b'[', b).nth(DEEPEST).is_none() {
        return false;
    }
    let (mut depth, mut at) = (0usize, 0);
    while let Some(c) = b.get(at) {
        match c {
            b'"' => match string_end(b, at) {
                Some(end) => {
                    at = end;
                    continue;
                }
                None => return false,
            },
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return true;
        }
        at += 1;
    }
    false
}

/// The keys (inside their quotes) and values of the object that opens at `at`, in order.
/// Ends early where the text is broken.
pub(super) fn entries(b: &[u8], at: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + use<'_> {
    let mut from = at + 1;
    std::iter::from_fn(move || {
        let mut key = skip_space(b, from);
        if b.get(key) == Some(&b',') {
            key = skip_space(b, key + 1);
        }
        if b.get(key) != Some(&b'"') {
            return None;
        }
        let key_end = string_end(b, key)?;
        let colon = skip_space(b, key_end);
        if b.get(colon) != Some(&b':') {
            return None;
        }
        let value = skip_space(b, colon + 1);
        let end = value_end(b, value)?;
        from = end;
        Some((key + 1..key_end - 1, value..end))
    })
}

/// The elements of the array that opens at `at`: `Err` with the rest of the text, once,
/// where it is broken.
pub(super) fn elements(
    b: &[u8],
    at: usize,
) -> impl Iterator<Item = Result<Range<usize>, Range<usize>>> + use<'_> {
    let mut from = Some(at + 1);
    std::iter::from_fn(move || {
        let mut value = skip_space(b, from?);
        if b.get(value) == Some(&b',') {
            value = skip_space(b, value + 1);
        }
        if b.get(value) == Some(&b']') {
            from = None;
            return None;
        }
        match value_end(b, value) {
            Some(end) => {
                from = Some(end);
                Some(Ok(value..end))
            }
            None => {
                from = None;
                Some(Err(value.min(b.len())..b.len()))
            }
        }
    })
}

/// Whether the key between the quotes is `name`, however it is escaped.
pub(super) fn key_is(b: &[u8], key: &Range<usize>, name: &str) -> bool {
    plain_key(b, key) == name.as_bytes()
}

fn plain_key<'a>(b: &'a [u8], key: &Range<usize>) -> Cow<'a, [u8]> {
    let bytes = &b[key.clone()];
    if memchr(b'\\', bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    match serde_json::from_slice::<String>(&b[key.start - 1..key.end + 1]) {
        Ok(text) => Cow::Owned(text.into_bytes()),
        Err(_) => Cow::Borrowed(bytes),
    }
}

/// Replaces values by key, at any depth. `replace` says what stands for a value (`None`: as
/// it is); a value that does not end is replaced to the end of the text.
fn replace<'a>(
    text: &'a str,
    mut replacement: impl FnMut(&[u8], &str) -> Option<Cow<'static, str>>,
) -> Cow<'a, str> {
    let b = text.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(quote) = b.get(at..).and_then(|rest| memchr(b'"', rest)) {
        let open = at + quote;
        let Some(end) = string_end(b, open) else { break };
        let colon = skip_space(b, end);
        if b.get(colon) != Some(&b':') {
            at = end;
            continue;
        }
        let value = skip_space(b, colon + 1);
        at = value;
        let value_end = value_end(b, value).unwrap_or(b.len());
        if value >= value_end {
            continue;
        }
        if let Some(new) = replacement(&plain_key(b, &(open + 1..end - 1)), &text[value..value_end]) {
            out.push_str(&text[copied..value]);
            out.push_str(&new);
            copied = value_end;
            at = value_end;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Cuts copies of other posts out of a Reddit record: a comment's `replies` becomes `""`,
/// a crosspost's `crosspost_parent_list` becomes `[]`.
pub(super) fn cut_nested(text: &str) -> Cow<'_, str> {
    replace(text, |key, value| match key {
        b"replies" if value.starts_with(['{', '[']) => Some(Cow::Borrowed("\"\"")),
        b"crosspost_parent_list" if value.starts_with(['{', '[']) && value != "[]" => {
            Some(Cow::Borrowed("[]"))
        }
        _ => None,
    })
}

/// Puts `null` in the place of every value that is one of these words, at any depth.
pub(super) fn without_value<'a>(text: &'a str, words: &[&str]) -> Cow<'a, str> {
    replace(text, |_, value| {
        let word = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        words.contains(&word).then_some(Cow::Borrowed("null"))
    })
}

/// Removes or replaces authors at any depth, as the privacy rule says. `column` is one more
/// key that names an author, as a column map writes it.
pub(super) fn redact<'a>(text: &'a str, redactor: &Redactor, column: Option<&str>) -> Cow<'a, str> {
    // Without these bytes no key names an author, not even an escaped one.
    static AUTHOR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("uthor"));
    static ESCAPED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\\u00"));
    let b = text.as_bytes();
    if redactor.keeps() || (column.is_none() && AUTHOR.find(b).is_none() && ESCAPED.find(b).is_none()) {
        return Cow::Borrowed(text);
    }
    replace(text, |key, value| match is_author(key, column) {
        None => profile_value(key, value, redactor),
        Some(AuthorKey::Name) => Some(match serde_json::from_str::<String>(value) {
            Ok(name) => match redactor.replace(&name) {
                Some(new) => Cow::Owned(serde_json::Value::String(new.into_owned()).to_string()),
                None => Cow::Borrowed("null"),
            },
            Err(_) => Cow::Borrowed("null"),
        }),
        Some(AuthorKey::About) => Some(Cow::Borrowed("null")),
    })
}

/// The channel of a person's profile (`u_name`), with what stands for the name.
pub(super) fn without_profile(channel: &str, redactor: &Redactor) -> Option<String> {
    let name = channel.get(..2).filter(|start| start.eq_ignore_ascii_case("u_")).map(|_| &channel[2..])?;
    Some(format!("u_{}", redactor.replace(name).unwrap_or_default()))
}

/// An address at Reddit without the profile that it leads through, which it does not need; empty
/// where it leads to the profile itself. `None` for other addresses.
pub(super) fn without_profile_path(address: &str) -> Option<String> {
    let at = match address.split_once("://") {
        None if address.starts_with('/') => 0,
        None => return None,
        Some((scheme, rest)) => {
            let host = rest.split('/').next().unwrap_or_default();
            if host != "reddit.com" && !host.ends_with(".reddit.com") {
                return None;
            }
            scheme.len() + 3 + host.len()
        }
    };
    let (host, path) = address.split_at(at);
    let starts = |prefix: &&&str| path.get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(prefix));
    let prefix = ["/r/u_", "/user/", "/u/"].iter().find(starts)?;
    Some(match path[prefix.len()..].split_once('/') {
        Some((_, rest)) if rest.starts_with("comments/") => format!("{host}/{rest}"),
        _ => String::new(),
    })
}

/// What stands for a value of Reddit's that names a person by their profile.
fn profile_value(key: &[u8], value: &str, redactor: &Redactor) -> Option<Cow<'static, str>> {
    let path = match key {
        b"subreddit" | b"subreddit_name_prefixed" => false,
        b"permalink" | b"url" | b"url_overridden_by_dest" | b"link_permalink" | b"link_url" => true,
        _ => return None,
    };
    // Few do.
    if !value.contains("u_") && !value.contains("U_") && !value.contains("u/") && !value.contains("/user/") {
        return None;
    }
    let text = serde_json::from_str::<String>(value).ok()?;
    let new = if path {
        without_profile_path(&text)?
    } else if key == b"subreddit" {
        without_profile(&text, redactor)?
    } else {
        format!("u/{}", redactor.replace(text.strip_prefix("u/")?).unwrap_or_default())
    };
    Some(Cow::Owned(serde_json::Value::String(new).to_string()))
}

/// What a key or a column's name says of an author: the usual ones, and the one that a column map
/// names. Where that one has a dot, a record may hold it whole (`requester.name`), inside of another
/// (`requester`), and with more about the same person beside it (`requester.email`).
pub(super) fn is_author(key: &[u8], column: Option<&str>) -> Option<AuthorKey> {
    let column = column.unwrap_or_default();
    if !column.is_empty() {
        let outer = column.split_once('.').map_or("", |(outer, _)| outer);
        if key == column.as_bytes() || (!outer.is_empty() && key == outer.as_bytes()) {
            return Some(AuthorKey::Name);
        }
        if !outer.is_empty() && key.strip_prefix(outer.as_bytes()).is_some_and(|rest| rest.starts_with(b"."))
        {
            return Some(AuthorKey::About);
        }
    }
    author_key(key)
}

/// How a key is about an author.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AuthorKey {
    /// Names a person.
    Name,
    /// Says something about one (flair, settings).
    About,
}

/// `author`, `link_author`, `author_fullname`, `author_flair_text`, `authorName`, `Author`;
/// not `authority`.
fn author_key(key: &[u8]) -> Option<AuthorKey> {
    let starts = key.starts_with(b"author") || key.starts_with(b"Author");
    if starts {
        return match key.get(6) {
            None => Some(AuthorKey::Name),
            Some(b'_') if matches!(&key[7..], b"fullname" | b"name" | b"id") => Some(AuthorKey::Name),
            Some(c) if *c == b'_' || c.is_ascii_uppercase() => Some(AuthorKey::About),
            Some(_) => None,
        };
    }
    let ends = key.ends_with(b"_author") || key.ends_with(b"Author");
    ends.then_some(AuthorKey::Name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::{AuthorRule, Privacy};

    fn redactor(author: AuthorRule) -> Redactor {
        Redactor::new(&Privacy { author })
    }

    #[test]
    fn authors_go_at_any_depth_and_nothing_else_changes() {
        let raw = r#"{"author" : "bob", "title":"author: \"x\"","authority":1,"media":{"oembed":{"author_name":"eve","author_url":"u","w":1e3}},"author_flair_richtext":[{"t":"]"}],"link_author":"al\u0069ce","a\u0075thor":"mallory","score":  12}"#;
        insta::assert_snapshot!(redact(raw, &redactor(AuthorRule::Drop), None), @r#"{"author" : null, "title":"author: \"x\"","authority":1,"media":{"oembed":{"author_name":null,"author_url":null,"w":1e3}},"author_flair_richtext":null,"link_author":null,"a\u0075thor":null,"score":  12}"#);
        assert!(matches!(redact(raw, &redactor(AuthorRule::Keep), None), Cow::Borrowed(_)));
    }

    #[test]
    fn a_hashed_author_is_the_same_person_everywhere() {
        let rule = redactor(AuthorRule::Hash { key: b"k".to_vec() });
        let out = redact(
            r#"{"author":"bob","x":{"author":"bob"},"author_flair_text":"f","author":"[deleted]"}"#,
            &rule,
            None,
        );
        let name = rule.replace("bob").unwrap().into_owned();
        assert_eq!(name.len(), 16);
        assert_eq!(
            out,
            format!(
                r#"{{"author":"{name}","x":{{"author":"{name}"}},"author_flair_text":null,"author":"[deleted]"}}"#
            )
        );
        let other = redactor(AuthorRule::Hash { key: b"l".to_vec() });
        assert_ne!(other.replace("bob").unwrap(), name);
    }

    #[test]
    fn a_mapped_author_column_goes_too() {
        let raw = r#"{"reviewer":{"name":"x"},"text":"reviewer"}"#;
        assert_eq!(
            redact(raw, &redactor(AuthorRule::Drop), Some("reviewer")),
            r#"{"reviewer":null,"text":"reviewer"}"#
        );
    }

    #[test]
    fn a_column_with_a_dot_goes_whole_and_in_parts() {
        let raw = r#"{"requester.name":"Eve","requester.email":"e@e.test","requester":{"name":"Eve"},"requesters":2,"text":"requester"}"#;
        assert_eq!(
            redact(raw, &redactor(AuthorRule::Drop), Some("requester.name")),
            r#"{"requester.name":null,"requester.email":null,"requester":null,"requesters":2,"text":"requester"}"#
        );
        let rule = redactor(AuthorRule::Hash { key: b"k".to_vec() });
        let name = rule.replace("Eve").unwrap().into_owned();
        assert_eq!(
            redact(r#"{"requester.name":"Eve"}"#, &rule, Some("requester.name")),
            format!(r#"{{"requester.name":"{name}"}}"#)
        );
    }

    #[test]
    fn the_channel_of_a_profile_names_nobody() {
        let raw = r#"{"author":"Bob_1","subreddit":"u_Bob_1","subreddit_name_prefixed":"u/Bob_1","permalink":"/r/u_Bob_1/comments/a/late/","url":"https://www.reddit.com/user/Bob_1/comments/a/late/","link_url":"https://www.reddit.com/user/Bob_1/","title":"u_Bob_1"}"#;
        assert_eq!(
            redact(raw, &redactor(AuthorRule::Drop), None),
            r#"{"author":null,"subreddit":"u_","subreddit_name_prefixed":"u/","permalink":"/comments/a/late/","url":"https://www.reddit.com/comments/a/late/","link_url":"","title":"u_Bob_1"}"#
        );
        let rule = redactor(AuthorRule::Hash { key: b"k".to_vec() });
        let name = rule.replace("Bob_1").unwrap().into_owned();
        assert_eq!(without_profile("U_Bob_1", &rule), Some(format!("u_{name}")));
        assert!(
            redact(raw, &rule, None)
                .contains(&format!(r#""subreddit":"u_{name}","subreddit_name_prefixed":"u/{name}""#))
        );
        let other = r#"{"author":null,"subreddit":"pharmacy","permalink":"/r/pharmacy/comments/u_a/","url":"https://e.test/user/bob/"}"#;
        assert!(
            redact(other, &rule, None)
                .contains(r#""permalink":"/r/pharmacy/comments/u_a/","url":"https://e.test/user/bob/""#)
        );
        assert!(matches!(redact(raw, &redactor(AuthorRule::Keep), None), Cow::Borrowed(_)));
    }

    #[test]
    fn nested_copies_are_cut() {
        let raw = r#"{"replies":{"kind":"Listing","data":{"children":[{"data":{"replies":""}}]}},"crosspost_parent_list":[{"a":1}],"body":"replies"}"#;
        assert_eq!(cut_nested(raw), r#"{"replies":"","crosspost_parent_list":[],"body":"replies"}"#);
        assert!(matches!(cut_nested(r#"{"replies":"","crosspost_parent_list":[]}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn a_broken_record_gives_no_author_away() {
        let out = redact(r#"{"id":"a","author":"bob the bro"#, &redactor(AuthorRule::Drop), None);
        assert_eq!(out, r#"{"id":"a","author":null"#);
        let out = redact(r#"{"id":"a","author":["bob"#, &redactor(AuthorRule::Drop), None);
        assert_eq!(out, r#"{"id":"a","author":null"#);
    }

    proptest! {
        #[test]
        fn broken_text_never_panics(text in r#"["a\\{}\[\],: uthor_]{0,60}|.{0,40}"#) {
            let _ = redact(&text, &redactor(AuthorRule::Drop), Some("t"));
            let _ = cut_nested(&text);
            let b = text.as_bytes();
            for at in 0..b.len() {
                let _ = value_end(b, at);
                let _ = entries(b, at).count();
                let _ = elements(b, at).count();
            }
        }

        #[test]
        fn without_authors_the_bytes_stay(
            map in proptest::collection::btree_map("[b-z]{1,6}", ".{0,10}", 0..6)
        ) {
            let text = serde_json::to_string_pretty(&map).unwrap();
            prop_assert!(matches!(redact(&text, &redactor(AuthorRule::Drop), None), Cow::Borrowed(_)));
        }
    }
}
