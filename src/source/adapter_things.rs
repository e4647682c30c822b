//! Finding the posts in what Reddit's API answers: listings, comment trees, single things.
//!
//! Walks one JSON value without recursion and reports where each post or comment stands,
//! answers after what they answer. A bare object is one post itself. Pure.

use std::ops::Range;

use super::splice::{elements, entries, key_is, skip_space, value_end};

/// Comment trees deeper than this are set aside; Reddit's own answers end at about ten.
const DEEPEST: usize = 128;

/// Something found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A record: its kind where a listing says so, and its bytes.
    Record(Option<&'a str>, Range<usize>),
    /// A place that stands for answers not in this file (`more`), with what it says of them.
    /// Not a record.
    Placeholder(Range<usize>),
    /// A tree too deep to follow.
    TooDeep(Range<usize>),
    /// Text that is no JSON value.
    Broken(Range<usize>),
}

/// Reports every record of `unit` in order.
pub(super) fn things<'a>(unit: &'a str, each: &mut dyn FnMut(Found<'a>)) {
    let b = unit.as_bytes();
    let start = skip_space(b, 0);
    match value_end(b, start) {
        Some(end) if skip_space(b, end) == b.len() => {}
        _ => return each(Found::Broken(0..b.len())),
    }
    // What is still to visit, the next one last.
    let mut stack: Vec<Visit> = vec![(0, Ok(start..b.len()))];
    while let Some((depth, at)) = stack.pop() {
        let at = match at {
            Ok(at) => at,
            Err(rest) => {
                each(Found::Broken(rest));
                continue;
            }
        };
        if depth > DEEPEST {
            each(Found::TooDeep(at));
            continue;
        }
        match b[at.start] {
            b'[' => push_reversed(&mut stack, depth + 1, elements(b, at.start)),
            b'{' => match wrapped(unit, at.start) {
                Some(("more", data)) => each(Found::Placeholder(data)),
                Some(("Listing", data)) => match child(b, &data, "children") {
                    Some(children) if b[children.start] == b'[' => {
                        push_reversed(&mut stack, depth + 1, elements(b, children.start));
                    }
                    _ => each(Found::Broken(at)),
                },
                Some((kind, data)) => {
                    push_replies(&mut stack, b, depth, &data);
                    each(Found::Record(Some(kind), data));
                }
                None => {
                    push_replies(&mut stack, b, depth, &at);
                    each(Found::Record(None, at));
                }
            },
            _ => each(Found::Record(None, at)),
        }
    }
}

type Visit = (usize, Result<Range<usize>, Range<usize>>);

fn push_reversed(
    stack: &mut Vec<Visit>,
    depth: usize,
    found: impl Iterator<Item = Result<Range<usize>, Range<usize>>>,
) {
    let from = stack.len();
    stack.extend(found.map(|f| (depth, f)));
    stack[from..].reverse();
}

/// Answers nested in a comment are records of their own.
fn push_replies(stack: &mut Vec<Visit>, b: &[u8], depth: usize, record: &Range<usize>) {
    if let Some(replies) = child(b, record, "replies")
        && matches!(b[replies.start], b'{' | b'[')
    {
        stack.push((depth + 1, Ok(replies)));
    }
}

/// Kind and data of a `{"kind": …, "data": {…}}` object.
fn wrapped(unit: &str, at: usize) -> Option<(&str, Range<usize>)> {
    let b = unit.as_bytes();
    let (mut kind, mut data) = (None, None);
    for (key, value) in entries(b, at) {
        if key_is(b, &key, "kind") && b[value.start] == b'"' {
            kind = Some(&unit[value.start + 1..value.end - 1]);
        } else if key_is(b, &key, "data") && b[value.start] == b'{' {
            data = Some(value);
        }
    }
    Some((kind?, data?))
}

/// The value of a key of the object that opens where `object` begins.
pub(super) fn child(b: &[u8], object: &Range<usize>, name: &str) -> Option<Range<usize>> {
    entries(b, object.start).filter(|(key, _)| key_is(b, key, name)).last().map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(unit: &str) -> Vec<String> {
        let mut out = Vec::new();
        things(unit, &mut |f| {
            out.push(match f {
                Found::Record(kind, at) => format!("{} {}", kind.unwrap_or("-"), &unit[at]),
                Found::Placeholder(_) => "more".to_string(),
                Found::TooDeep(_) => "too deep".to_string(),
                Found::Broken(at) => format!("broken {}", &unit[at]),
            })
        });
        out
    }

    #[test]
    fn a_tree_is_read_in_order() {
        let tree = r#" [{"kind":"Listing","data":{"children":[{"kind":"t3","data":{"id":"p"}}]}},
            {"data":{"children":[
               {"kind":"t1","data":{"id":"a","replies":{"kind":"Listing","data":{"children":[
                   {"kind":"t1","data":{"id":"b","replies":""}},{"kind":"more","data":{}}]}}}},
               {"kind":"t1","data":{"id":"c"}}]},"kind":"Listing"}] "#;
        let ids: Vec<String> =
            found(tree).iter().map(|f| f.split(['}', ',']).next().unwrap().to_string()).collect();
        let all = [r#"t3 {"id":"p""#, r#"t1 {"id":"a""#, r#"t1 {"id":"b""#, "more", r#"t1 {"id":"c""#];
        assert_eq!(ids, all);
    }

    #[test]
    fn bare_objects_and_lists_of_them_are_records() {
        assert_eq!(found(r#"{"id":"a"}"#), [r#"- {"id":"a"}"#]);
        assert_eq!(
            found(r#"[{"id":"a"},{"id":"b","kind":"x"}]"#),
            [r#"- {"id":"a"}"#, r#"- {"id":"b","kind":"x"}"#]
        );
        assert_eq!(found("[]"), Vec::<String>::new());
        assert_eq!(found("3"), ["- 3"]);
    }

    #[test]
    fn broken_text_is_said_once() {
        assert_eq!(found(r#"{"kind":"Listing","data":{"children":"#).len(), 1);
        assert_eq!(found(r#"{"id":1} x"#), [r#"broken {"id":1} x"#]);
        assert_eq!(found(r#"[{"id":1},:]"#), [r#"- {"id":1}"#, "broken :]"]);
        assert_eq!(found(""), ["broken "]);
    }

    #[test]
    fn a_very_deep_tree_ends() {
        let n = 5_000;
        let open = r#"{"kind":"t1","data":{"id":"a","replies":["#;
        let text = format!("{}{}", open.repeat(n), "]}}".repeat(n));
        assert_eq!(found(&text).last().map(String::as_str), Some("too deep"));
    }

    proptest! {
        #[test]
        fn any_text_is_walked(text in r#"(["{}\[\],: a-c]|"kind"|"data"|"replies"|"Listing"|"t1"|"children"){0,40}"#) {
            let _ = found(&text);
        }
    }
}
