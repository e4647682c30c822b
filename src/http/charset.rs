//! Bytes to text, as far as the web's text usually is: UTF-8, UTF-16, Windows-1252 (which is
//! what `iso-8859-1` and `ascii` mean on the web). Pure.

/// A name of a character encoding that is not read here.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownCharset(pub String);

/// What stands in the bytes 0x80 to 0x9F of Windows-1252; five of them stay control characters.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text of `body`. A byte order mark says more than `charset`, which is the label of the
/// content type; without both it is UTF-8. Broken sequences become U+FFFD.
///
/// # Errors
///
/// A label of another encoding.
pub fn decode(body: &[u8], charset: Option<&str>) -> Result<String, UnknownCharset> {
    if let Some(rest) = body.strip_prefix(b"\xEF\xBB\xBF") {
        return Ok(String::from_utf8_lossy(rest).into_owned());
    }
    if let Some(rest) = body.strip_prefix(b"\xFF\xFE") {
        return Ok(utf16(rest, u16::from_le_bytes));
    }
    if let Some(rest) = body.strip_prefix(b"\xFE\xFF") {
        return Ok(utf16(rest, u16::from_be_bytes));
    }
    let label = charset.unwrap_or("utf-8").trim().to_ascii_lowercase();
    match label.as_str() {
        "" | "utf-8" | "utf8" | "unicode-1-1-utf-8" => Ok(String::from_utf8_lossy(body).into_owned()),
        "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "latin-1" | "l1" | "windows-1252"
        | "cp1252" | "x-cp1252" | "ascii" | "us-ascii" => Ok(body
            .iter()
            .map(|&byte| match byte {
                0x80..=0x9F => HIGH[usize::from(byte - 0x80)],
                _ => char::from(byte),
            })
            .collect()),
        "utf-16" | "utf-16le" => Ok(utf16(body, u16::from_le_bytes)),
        "utf-16be" => Ok(utf16(body, u16::from_be_bytes)),
        _ => Err(UnknownCharset(label.chars().filter(|c| c.is_ascii_graphic()).take(40).collect())),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let mut text: String = char::decode_utf16(pairs.iter().map(|&pair| unit(pair)))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    if !odd.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_marks_and_broken_bytes() {
        let text = |body: &[u8], label| decode(body, label).unwrap();
        assert_eq!(text("é €".as_bytes(), None), "é €");
        assert_eq!(text(b"\xE9 \x80 \x92", Some("ISO-8859-1")), "é € ’");
        assert_eq!(text(b"\xE9", Some("utf-8")), "\u{FFFD}");
        assert_eq!(text(b"\xFF\xFEa\0\x3D\xD8", Some("iso-8859-1")), "a\u{FFFD}");
        assert_eq!(text(b"\xFE\xFF\0a\0", None), "a\u{FFFD}");
        assert_eq!(text(b"\0a", Some("UTF-16BE")), "a");
        assert_eq!(text(b"\xEF\xBB\xBFa", Some("windows-1252")), "a");
        assert_eq!(decode(b"a", Some("Shift_JIS\x1b")), Err(UnknownCharset("shift_jis".to_owned())));
        assert_eq!(HIGH.len(), 32);
    }
}
