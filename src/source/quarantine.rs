//! Records set aside: where they stand, why, and a glimpse of them.
//!
//! One compressed NDJSON object a reading; as many lines as the account says. A glimpse
//! shows bytes without changing them (`\xNN`) and never an author that privacy removes.

use std::io::{self, BufRead, BufReader, Read};

use super::adapter::Redactor;
use super::capture_spool::SpoolObject;
use super::splice;

/// One record set aside.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Quarantined {
    /// The file, as in the envelope.
    pub locator: String,
    /// The record's number in its file or window, from 1.
    pub seq: u64,
    /// The line it begins on, from 1; 0 where there are no lines.
    pub line: u64,
    /// The byte it begins at, in the uncompressed content.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// A word: `invalid_json`, `missing_id`, `mistyped:title`, …
    pub reason: String,
    /// What was found, in words; at most 200 characters, printable.
    pub detail: String,
    /// The first bytes, other than printable ASCII as `\xNN`, a backslash as `\\`; at most
    /// 200 bytes of the record.
    pub sample: String,
}

/// What one reading set aside.
#[derive(Clone, Debug, Default)]
pub struct Quarantines {
    /// How many.
    pub count: u64,
    /// The records as zstd NDJSON of [`Quarantined`]; none when there are none.
    pub object: Option<SpoolObject>,
}

impl Quarantines {
    /// Reads the records back.
    pub fn read(&self) -> io::Result<Vec<Quarantined>> {
        match &self.object {
            Some(object) => read_quarantine(object.reader()).collect(),
            None => Ok(Vec::new()),
        }
    }
}

/// Reads the records of a stored quarantine object, one by one.
pub fn read_quarantine<'a>(object: impl Read + 'a) -> impl Iterator<Item = io::Result<Quarantined>> + 'a {
    let lines = zstd::Decoder::new(object).map(|d| BufReader::new(d).lines());
    let (lines, failed) = match lines {
        Ok(lines) => (Some(lines), None),
        Err(e) => (None, Some(e)),
    };
    failed
        .map(Err)
        .into_iter()
        .chain(lines.into_iter().flatten().map(|line| Ok(serde_json::from_str(&line?)?)))
}

/// Bytes of a record that a glimpse may show.
const GLIMPSE: usize = 200;

/// The glimpse of a record: authors gone as `redactor` says, then cut, then escaped.
pub(super) fn glimpse(record: &[u8], redactor: &Redactor, column: Option<&str>) -> String {
    // Redaction shortens or lengthens; a few kilobytes are enough to fill the glimpse.
    let head = &record[..record.len().min(4096)];
    // A character for every byte, so that broken UTF-8 is shown as it is.
    let text: String = head.iter().map(|b| char::from(*b)).collect();
    let column: Option<String> = column.map(|c| c.bytes().map(char::from).collect());
    let shown = splice::redact(&text, redactor, column.as_deref());
    let mut out = String::new();
    for c in shown.chars().take(GLIMPSE) {
        match c {
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(c),
            _ => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        }
    }
    out
}

/// Words for people: printable, at most 200 characters.
pub(super) fn tidy(detail: &str) -> String {
    detail.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{AuthorRule, Privacy};

    #[test]
    fn a_glimpse_loses_no_byte_and_shows_no_author() {
        let keep = Redactor::new(&Privacy { author: AuthorRule::Keep });
        let drop = Redactor::new(&Privacy { author: AuthorRule::Drop });
        assert_eq!(glimpse(b"a\\b\n\xff\x1b[1m", &keep, None), r"a\\b\x0a\xff\x1b[1m");
        assert_eq!(glimpse(b"a\xff", &drop, None), r"a\xff");
        assert_eq!(glimpse(b"{\"author\":\"bob\",\"x\":\"\xff", &drop, None), r#"{"author":null,"x":"\xff"#);
        assert_eq!(glimpse(br#"{"author":"bob","x":1"#, &drop, None), r#"{"author":null,"x":1"#);
        let beside = r#"{"verfaßt.von":"bob","x":1"#.as_bytes();
        assert!(!glimpse(beside, &drop, Some("verfaßt.von")).contains("bob"), "a column beyond ASCII");
        let mut long = br#"{"x":""#.to_vec();
        long.extend(std::iter::repeat_n(b'y', 10_000));
        assert_eq!(glimpse(&long, &drop, None).len(), GLIMPSE);
    }

    #[test]
    fn details_are_tidy() {
        assert_eq!(tidy("a\u{1b}[31m\nb"), "a [31m b");
        assert_eq!(tidy(&"é".repeat(300)).chars().count(), 200);
    }
}
