//! What a reader sees of a text, and its shadow: one plain byte for each character.
//!
//! Patterns run over the shadow, so that `５５５`, `５-5-5`, a Cyrillic `а` or a curly quote are no way
//! around them, and every range of the shadow ends between two characters of the text.
//! Pure. May not block.

use std::borrow::Cow;
use std::ops::Range;

/// A letter of a script without capitals, or a digit that is none of the ten.
const OTHER_LETTER: u8 = 0x80;
/// Any other character: signs, emoji.
const SIGN: u8 = 0x82;
/// What has been taken out already. No pattern matches it.
pub(super) const TAKEN: u8 = 0x83;

/// Text without what a reader cannot see but a model reads: zero-width and bidirectional controls,
/// tag characters, variation selectors that select nothing, fillers, and controls other than line
/// break and tab. Line breaks of all kinds become `\n`. Borrowed when nothing changes.
pub fn visible(text: &str) -> Cow<'_, str> {
    let plain = |b: u8| (0x20..0x7f).contains(&b) || b == b'\n' || b == b'\t';
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let shown = match c {
            '\r' => (chars.peek() != Some(&'\n')).then_some('\n'),
            '\u{85}' | '\u{2028}' | '\u{2029}' => Some('\n'),
            // Whether an emoji is drawn in colour; what stands behind anything else says nothing.
            '\u{FE0E}' | '\u{FE0F}' => before.is_some_and(takes_style).then_some(c),
            c => (!is_invisible(c)).then_some(c),
        };
        if let Some(c) = shown {
            out.push(c);
            before = Some(c);
        }
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

fn takes_style(c: char) -> bool {
    matches!(c, '#' | '*' | '0'..='9' | '\u{A9}' | '\u{AE}' | '\u{203C}'..='\u{3299}' | '\u{1F000}'..='\u{1FAFF}')
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{B}'..='\u{1F}' | '\u{7F}'..='\u{9F}'           // C0, DEL, C1
        | '\u{AD}' | '\u{34F}' | '\u{61C}'                                  // soft hyphen, joiners
        | '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}'                 // Hangul fillers
        | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'                 // zero width, direction
        | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF0}'..='\u{FFFB}'
        | '\u{FE00}'..='\u{FE0D}' | '\u{E0100}'..='\u{E01EF}'               // variation selectors
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E00FF}' | '\u{E01F0}'..='\u{E0FFF}') // tags
}

/// One byte for each character of a text.
#[derive(Debug)]
pub(super) struct Shadow {
    pub bytes: Vec<u8>,
    /// Where each byte's character begins, and the text's end. None of ASCII, where it is the same.
    starts: Option<Vec<usize>>,
}

impl Shadow {
    pub(super) fn of(text: &str) -> Self {
        if text.is_ascii() {
            return Self { bytes: text.as_bytes().to_vec(), starts: None };
        }
        let mut bytes = Vec::with_capacity(text.len());
        let mut starts = Vec::with_capacity(text.len() + 1);
        for (at, c) in text.char_indices() {
            if let Some(byte) = fold(c) {
                bytes.push(byte);
                starts.push(at);
            }
        }
        starts.push(text.len());
        Self { bytes, starts: Some(starts) }
    }

    /// The range of the text that a range of the shadow stands for, with the marks after it.
    pub(super) fn in_text(&self, range: &Range<usize>) -> Range<usize> {
        match &self.starts {
            None => range.clone(),
            Some(starts) => starts[range.start]..starts[range.end],
        }
    }
}

/// The plain byte that looks like a character; none for marks that are drawn over the one before.
fn fold(c: char) -> Option<u8> {
    let ascii = |c: char| u8::try_from(u32::from(c)).ok();
    Some(match c {
        '\0'..='\u{7F}' => ascii(c)?,
        '\u{300}'..='\u{36F}' | '\u{20D0}'..='\u{20FF}' | '\u{FE00}'..='\u{FE0F}' => return None,
        '\u{FF01}'..='\u{FF5E}' => ascii(char::from_u32(u32::from(c) - 0xFEE0)?)?,
        '\u{2018}' | '\u{2019}' | '\u{201B}' | '\u{2BC}' | '\u{2032}' | '\u{B4}' => b'\'',
        '\u{201C}' | '\u{201D}' | '\u{201E}' | '\u{AB}' | '\u{BB}' => b'"',
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' => b'-',
        '\u{2024}' | '\u{3002}' | '\u{FE52}' | '\u{FF61}' | '\u{B7}' => b'.',
        '\u{2044}' | '\u{2215}' => b'/',
        'À'..='Å' | 'Ā' | 'Ă' | 'Ą' | 'А' | 'Α' => b'A',
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'а' | 'α' => b'a',
        'В' | 'Β' => b'B',
        'Ç' | 'Ć' | 'Č' | 'С' => b'C',
        'ç' | 'ć' | 'č' | 'с' => b'c',
        'ԁ' => b'd',
        'È'..='Ë' | 'Ē' | 'Ę' | 'Ě' | 'Е' | 'Ε' => b'E',
        'è'..='ë' | 'ē' | 'ę' | 'ě' | 'е' => b'e',
        'ɡ' => b'g',
        'Н' | 'Η' => b'H',
        'һ' => b'h',
        'Ì'..='Ï' | 'Ī' | 'І' | 'Ι' => b'I',
        'ì'..='ï' | 'ī' | 'і' | 'ı' => b'i',
        'Ј' => b'J',
        'ј' => b'j',
        'К' | 'Κ' | '\u{212A}' => b'K',
        'к' | 'κ' => b'k',
        'Ł' => b'L',
        'ł' => b'l',
        'М' | 'Μ' => b'M',
        'м' => b'm',
        'Ñ' | 'Ń' | 'Ň' | 'Ν' => b'N',
        'ñ' | 'ń' | 'ň' => b'n',
        'Ò'..='Ö' | 'Ø' | 'Ō' | 'Ő' | 'О' | 'Ο' => b'O',
        'ò'..='ö' | 'ø' | 'ō' | 'ő' | 'о' | 'ο' => b'o',
        'Р' | 'Ρ' => b'P',
        'р' | 'ρ' => b'p',
        'Š' | 'Ś' | 'Ѕ' => b'S',
        'š' | 'ś' | 'ѕ' => b's',
        'Т' | 'Τ' => b'T',
        'т' | 'τ' => b't',
        'Ù'..='Ü' | 'Ū' | 'Ů' => b'U',
        'ù'..='ü' | 'ū' | 'ů' => b'u',
        'ν' => b'v',
        'Х' | 'Χ' => b'X',
        'х' | 'χ' => b'x',
        'Ý' | 'У' | 'Υ' => b'Y',
        'ý' | 'ÿ' | 'у' | 'γ' => b'y',
        'Ž' | 'Ź' | 'Ż' | 'Ζ' => b'Z',
        'ž' | 'ź' | 'ż' => b'z',
        // Mathematical letters: alphabets of 52, then digits in tens.
        '\u{1D400}'..='\u{1D6A3}' => {
            let place = u8::try_from((u32::from(c) - 0x1D400) % 52).ok()?;
            if place < 26 { b'A' + place } else { b'a' + place - 26 }
        }
        '\u{1D7CE}'..='\u{1D7FF}' => digit(c, 0x1D7CE)?,
        '\u{24B6}'..='\u{24CF}' => letter(c, 0x24B6, b'A')?,
        '\u{24D0}'..='\u{24E9}' => letter(c, 0x24D0, b'a')?,
        '\u{2460}'..='\u{2468}' => digit(c, 0x245F)?,
        '\u{24EA}' => b'0',
        '\u{660}'..='\u{669}' => digit(c, 0x660)?,
        '\u{6F0}'..='\u{6F9}' => digit(c, 0x6F0)?,
        '\u{966}'..='\u{96F}' => digit(c, 0x966)?,
        '\u{9E6}'..='\u{9EF}' => digit(c, 0x9E6)?,
        '\u{E50}'..='\u{E59}' => digit(c, 0xE50)?,
        c if c.is_whitespace() => b' ',
        c if c.is_uppercase() => b'Q',
        c if c.is_lowercase() => b'q',
        c if c.is_alphanumeric() => OTHER_LETTER,
        _ => SIGN,
    })
}

fn digit(c: char, zero: u32) -> Option<u8> {
    u8::try_from((u32::from(c) - zero) % 10).ok().map(|d| b'0' + d)
}

fn letter(c: char, first: u32, as_first: u8) -> Option<u8> {
    u8::try_from(u32::from(c) - first).ok().map(|place| as_first + place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_cannot_be_seen_goes() {
        for (text, seen) in [
            ("plain\ttext\n", "plain\ttext\n"),
            ("a\u{200B}b\u{202E}c\u{2066}d\u{FEFF}", "abcd"),
            ("one\r\ntwo\rthree\u{2028}four", "one\ntwo\nthree\nfour"),
            ("bell\u{7} esc\u{1B}[2J c1\u{9B} nul\0", "bell esc[2J c1 nul"),
            // Orders for a model, in characters that nothing draws.
            ("ok\u{E0049}\u{E0067}\u{E006E}\u{E006F}\u{E0072}\u{E0065}!", "ok!"),
            ("😀\u{E0101}\u{E0152}\u{FE01}", "😀"),
            ("❤\u{FE0F} 5\u{FE0F}\u{20E3}", "❤\u{FE0F} 5\u{FE0F}\u{20E3}"),
            ("a\u{FE0F}\u{FE0F}", "a"),
            ("❤\u{FE0F}\u{FE0F}\u{FE0E}", "❤\u{FE0F}"),
            ("naïve ☕ 中文 é", "naïve ☕ 中文 é"),
        ] {
            assert_eq!(visible(text), seen, "{text:?}");
        }
        for text in ["", "plain", "naïve ☕ 中文", "❤\u{FE0F}"] {
            assert!(matches!(visible(text), Cow::Borrowed(_)), "{text:?}");
        }
    }

    #[test]
    fn look_alikes_are_plain() {
        let folded = |text: &str| String::from_utf8_lossy(&Shadow::of(text).bytes).into_owned();
        assert_eq!(folded("５５５‐𝟏𝟐𝟑–٤٥٦٧"), "555-123-4567");
        assert_eq!(folded("jаne＠gmаil．com"), "jane@gmail.com");
        assert_eq!(folded("José Cafe\u{301} 5\u{FE0F}\u{20E3}"), "Jose Cafe 5");
        assert_eq!(folded("𝐉𝐚𝐧𝐞 ⓙⓐⓝⓔ"), "Jane jane");
    }

    proptest! {
        #[test]
        fn once_is_enough(text in r"(\PC|[\u{200B}\u{FE0F}\u{E0041}\r\n]|❤|1){0,40}") {
            let once = visible(&text).into_owned();
            prop_assert_eq!(visible(&once), once.as_str());
        }

        #[test]
        fn every_range_of_the_shadow_is_one_of_the_text(text in any::<String>()) {
            let shadow = Shadow::of(&text);
            for at in 0..shadow.bytes.len() {
                prop_assert!(text.get(shadow.in_text(&(at..at + 1))).is_some());
            }
        }
    }
}
