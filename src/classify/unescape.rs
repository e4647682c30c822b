//! HTML entities, decoded exactly once.
//!
//! Reddit stores text escaped; a second decoding would turn what a person typed into markup.

use std::borrow::Cow;

/// Longest entity looked for, without `&` and `;`.
const LONGEST: usize = 10;

/// Decodes HTML entities exactly once (`&amp;lt;` becomes `&lt;`): decimal, hexadecimal, and
/// the named ones that occur in posts. What is not an entity stays as it is. Borrows when
/// there is nothing to decode.
pub fn unescape(text: &str) -> Cow<'_, str> {
    let mut out: Option<String> = None;
    // Everything before `done` is in `out` (or is unchanged).
    let mut done = 0;
    let mut from = 0;
    while let Some(offset) = memchr::memchr(b'&', &text.as_bytes()[from..]) {
        let amp = from + offset;
        from = amp + 1;
        let window = &text.as_bytes()[from..text.len().min(from + LONGEST + 1)];
        let Some(len) = memchr::memchr(b';', window) else { continue };
        let Some(c) = text.get(from..from + len).and_then(entity) else { continue };
        let out = out.get_or_insert_with(|| String::with_capacity(text.len()));
        out.push_str(&text[done..amp]);
        out.push(c);
        from += len + 1;
        done = from;
    }
    match out {
        Some(mut out) => {
            out.push_str(&text[done..]);
            Cow::Owned(out)
        }
        None => Cow::Borrowed(text),
    }
}

/// The character that an entity (without `&` and `;`) stands for.
fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            // A sign is a number to Rust but not to HTML.
            Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16).ok()?,
            None if number.bytes().all(|b| b.is_ascii_digit()) => number.parse().ok()?,
            _ => return None,
        };
        return match code {
            0 => None,
            // Browsers read these as Windows-1252, and people's software writes them so.
            0x82 => Some('\u{201A}'),
            0x84 => Some('\u{201E}'),
            0x85 => Some('\u{2026}'),
            0x91 => Some('\u{2018}'),
            0x92 => Some('\u{2019}'),
            0x93 => Some('\u{201C}'),
            0x94 => Some('\u{201D}'),
            0x95 => Some('\u{2022}'),
            0x96 => Some('\u{2013}'),
            0x97 => Some('\u{2014}'),
            0x99 => Some('\u{2122}'),
            code => char::from_u32(code),
        };
    }
    Some(match name {
        "amp" | "AMP" => '&',
        "lt" | "LT" => '<',
        "gt" | "GT" => '>',
        "quot" | "QUOT" => '"',
        "apos" => '\'',
        "nbsp" => '\u{A0}',
        "ndash" => '\u{2013}',
        "mdash" => '\u{2014}',
        "lsquo" => '\u{2018}',
        "rsquo" => '\u{2019}',
        "ldquo" => '\u{201C}',
        "rdquo" => '\u{201D}',
        "hellip" => '\u{2026}',
        "bull" => '\u{2022}',
        "middot" => '\u{B7}',
        "copy" => '\u{A9}',
        "reg" => '\u{AE}',
        "trade" => '\u{2122}',
        "deg" => '\u{B0}',
        "plusmn" => '\u{B1}',
        "times" => '\u{D7}',
        "frac12" => '\u{BD}',
        "micro" => '\u{B5}',
        "cent" => '\u{A2}',
        "pound" => '\u{A3}',
        "yen" => '\u{A5}',
        "euro" => '\u{20AC}',
        "sect" => '\u{A7}',
        "para" => '\u{B6}',
        "laquo" => '\u{AB}',
        "raquo" => '\u{BB}',
        "zwnj" => '\u{200C}',
        "zwj" => '\u{200D}',
        "shy" => '\u{AD}',
        "aacute" => 'á',
        "agrave" => 'à',
        "auml" => 'ä',
        "ccedil" => 'ç',
        "eacute" => 'é',
        "egrave" => 'è',
        "iacute" => 'í',
        "ntilde" => 'ñ',
        "oacute" => 'ó',
        "ouml" => 'ö',
        "szlig" => 'ß',
        "uacute" => 'ú',
        "uuml" => 'ü',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cases() {
        for (text, expected) in [
            ("a &amp; b", "a & b"),
            ("&amp;lt;", "&lt;"),
            ("&amp;amp;amp;", "&amp;amp;"),
            ("don&#39;t &#x27;", "don't '"),
            ("don&#146;t &rsquo;", "don\u{2019}t \u{2019}"),
            ("&lt;5mg &gt;", "<5mg >"),
            ("&nbsp;&quot;&#128138;", "\u{A0}\"💊"),
            (
                "AT&T; R&D &; &#; &#x; &#xZZ; &#+39; &bogus; &amp",
                "AT&T; R&D &; &#; &#x; &#xZZ; &#+39; &bogus; &amp",
            ),
            ("&#0; &#xD800; &#99999999;", "&#0; &#xD800; &#99999999;"),
            ("&&amp;", "&&"),
            ("&é;&amp;", "&é;&"),
        ] {
            assert_eq!(unescape(text), expected, "{text:?}");
        }
        assert!(matches!(unescape("nothing & here"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn undoes_one_escaping(text in any::<String>()) {
            let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            prop_assert_eq!(unescape(&escaped), text.as_str());
        }

        #[test]
        fn never_panics(text in r"[&#xX;a-z0-9é]*") {
            let _ = unescape(&text);
        }
    }
}
