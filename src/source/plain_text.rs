//! HTML as plain text: what a person would read, entities once, a line per block.
//!
//! Invariant: hostile markup costs time and memory in proportion to its length (what nests
//! deeper than any page does is refused before it is parsed). Pure.

use scraper::{ElementRef, Html, Node};

use super::adapter::Reject;

/// Longer markup of one post is no post.
pub(super) const LONGEST: usize = 1 << 20;
/// Elements open at the same time.
const DEEPEST: usize = 512;

/// The text of a fragment of HTML.
pub(super) fn plain(html: &str) -> Result<String, Reject> {
    if html.len() > LONGEST {
        return Err(Reject::new(
            "oversized",
            format!("{} bytes of HTML; at most {LONGEST} are read", html.len()),
        ));
    }
    if nests_deep(html) {
        return Err(Reject::new("too_deep", "HTML elements nested too deep"));
    }
    let document = Html::parse_fragment(html);
    let root = document.root_element();
    Ok(text_of(root))
}

/// The text of an element: lines for blocks, spaces as shown, scripts and styles left out.
pub(super) fn text_of(root: ElementRef<'_>) -> String {
    let mut out = String::new();
    let mut block = None;
    let mut space = false;
    for node in root.descendants() {
        match node.value() {
            Node::Element(element) if element.name() == "br" => {
                line_break(&mut out, true);
                space = false;
            }
            Node::Text(text) => {
                let mut inside = None;
                let mut kept = false;
                let mut shown = true;
                for above in node.ancestors() {
                    let Some(element) = above.value().as_element() else { continue };
                    match element.name() {
                        "script" | "style" | "template" | "noscript" => shown = false,
                        "pre" => kept = true,
                        _ => {}
                    }
                    if inside.is_none() && is_block(element.name()) {
                        inside = Some(above.id());
                    }
                    if above.id() == root.id() {
                        break;
                    }
                }
                if !shown {
                    continue;
                }
                if inside != block {
                    // White space between blocks is none.
                    if text.trim().is_empty() {
                        continue;
                    }
                    line_break(&mut out, false);
                    space = false;
                    block = inside;
                }
                if kept {
                    out.push_str(text);
                    continue;
                }
                for c in text.chars() {
                    if c.is_whitespace() {
                        space = true;
                        continue;
                    }
                    if space && !out.is_empty() && !out.ends_with('\n') {
                        out.push(' ');
                    }
                    space = false;
                    out.push(c);
                }
            }
            _ => {}
        }
    }
    out.truncate(out.trim_end().len());
    let lead = out.len() - out.trim_start().len();
    out.drain(..lead);
    out
}

/// Begins a new line; `always`: also after an empty one.
fn line_break(out: &mut String, always: bool) {
    if !out.is_empty() && (always || !out.ends_with('\n')) {
        out.push('\n');
    }
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "body"
            | "dd"
            | "details"
            | "div"
            | "dl"
            | "dt"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "header"
            | "hr"
            | "html"
            | "li"
            | "main"
            | "nav"
            | "ol"
            | "p"
            | "pre"
            | "section"
            | "summary"
            | "table"
            | "td"
            | "th"
            | "tr"
            | "ul"
    )
}

/// Whether more elements are open at the same time than on any page that people read. A
/// parser of HTML looks through all open elements at each tag, so that the time would grow
/// with the square of the depth.
pub(super) fn nests_deep(html: &str) -> bool {
    let b = html.as_bytes();
    let mut open: Vec<&[u8]> = Vec::new();
    for at in memchr::memchr_iter(b'<', b) {
        let ends = b.get(at + 1) == Some(&b'/');
        let from = at + 1 + usize::from(ends);
        let length = b[from..].iter().take_while(|c| c.is_ascii_alphanumeric()).count();
        let name = &b[from..from + length];
        if !name.first().is_some_and(u8::is_ascii_alphabetic) {
            continue;
        }
        if ends {
            if let Some(last) = open.iter().rposition(|n| n.eq_ignore_ascii_case(name)) {
                open.truncate(last);
            }
        } else if !is_void(name) {
            // `<p>` and `<li>` end the one before.
            if open.last().is_some_and(|n| n.eq_ignore_ascii_case(name)) && ends_itself(name) {
                continue;
            }
            open.push(name);
            if open.len() > DEEPEST {
                return true;
            }
        }
    }
    false
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|n| name.eq_ignore_ascii_case(n.as_bytes()))
}

fn is_void(name: &[u8]) -> bool {
    const VOID: [&str; 14] = [
        "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
        "track", "wbr",
    ];
    is_one_of(name, &VOID)
}

fn ends_itself(name: &[u8]) -> bool {
    is_one_of(name, &["p", "li", "dt", "dd", "tr", "td", "th", "option"])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_reads_as_on_the_page() {
        let of = |html: &str| plain(html).unwrap();
        assert_eq!(of("plain &amp; simple"), "plain & simple");
        assert_eq!(of("&amp;lt;b&amp;gt;"), "&lt;b&gt;", "entities are decoded once");
        assert_eq!(of("<p>one\n two</p>\n<p>three<br>four</p>"), "one two\nthree\nfour");
        assert_eq!(of("a<b>b</b>c <i> d</i>"), "abc d");
        assert_eq!(of("<div>a<p>b</p>c</div>"), "a\nb\nc");
        assert_eq!(of("<ul><li>x<li>y</ul>"), "x\ny");
        assert_eq!(of("<script>alert(1)</script><style>p{}</style>seen"), "seen");
        assert_eq!(of("<pre>a\n  b</pre>"), "a\n  b");
        assert_eq!(of("1 < 2 and 3 > 2"), "1 < 2 and 3 > 2");
        assert_eq!(of("&nbsp;<img src=x onerror=alert(1)>&nbsp;"), "");
        assert_eq!(of(""), "");
    }

    #[test]
    fn deep_markup_is_refused_and_long_lists_are_not() {
        assert_eq!(plain(&"<div>".repeat(100_000)).unwrap_err().reason, "too_deep");
        assert_eq!(plain(&"<b><p></i>".repeat(10_000)).unwrap_err().reason, "too_deep");
        assert_eq!(plain(&"<div></x>".repeat(100_000)).unwrap_err().reason, "too_deep");
        assert_eq!(plain(&"x".repeat(LONGEST + 1)).unwrap_err().reason, "oversized");
        assert_eq!(plain(&"<p>x<br>".repeat(2_000)).unwrap().lines().count(), 2_000);
        assert!(!nests_deep(&"<div><IMG><b>x</B></div>".repeat(5_000)));
    }

    proptest! {
        #[test]
        fn any_markup_is_read(text in r"(</?(p|div|b|br|li|pre|script|table|td)[ />]|&amp;|&#0;|<!--|-->|[a-z <>&;\n]){0,60}") {
            let text = plain(&text).unwrap();
            prop_assert_eq!(text.trim(), &text);
        }
    }
}
