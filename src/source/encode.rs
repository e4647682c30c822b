//! Envelopes as bytes: one line of bronze, written by hand.
//!
//! Invariant: a line is exactly what `serde_json` writes for the same [`Envelope`]; only
//! faster, because every captured byte passes here. Does not block.

use crate::envelope::{Envelope, Text, format_millis};

/// What follows the backslash for a byte that a JSON string must escape; 0 for the others,
/// `u` for control bytes without a short form.
const ESCAPES: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut i = 0;
    while i < 0x20 {
        table[i] = b'u';
        i += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends the envelope as one line, newline included.
pub fn encode_line(out: &mut Vec<u8>, e: &Envelope<'_>) {
    out.extend_from_slice(b"{\"platform\":");
    string(out, e.platform.as_str());
    out.extend_from_slice(b",\"source\":");
    string(out, e.source.as_str());
    out.extend_from_slice(b",\"native_id\":");
    string(out, e.native_id.as_str());
    out.extend_from_slice(b",\"post_type\":\"");
    out.extend_from_slice(e.post_type.as_str().as_bytes());
    out.extend_from_slice(b"\",\"channel\":");
    optional(out, e.channel.as_ref());
    out.extend_from_slice(b",\"created_at\":");
    moment(out, e.created_at);
    out.extend_from_slice(b",\"title\":");
    optional(out, e.title.as_ref());
    out.extend_from_slice(b",\"body\":");
    optional(out, e.body.as_ref());
    out.extend_from_slice(b",\"url\":");
    optional(out, e.url.as_ref());
    out.extend_from_slice(b",\"author\":");
    optional(out, e.author.as_ref());
    out.extend_from_slice(b",\"score\":");
    integer(out, e.score);
    out.extend_from_slice(b",\"num_comments\":");
    integer(out, e.num_comments);
    out.extend_from_slice(b",\"rating\":");
    match e.rating.filter(|r| r.is_finite()).and_then(serde_json::Number::from_f64) {
        Some(rating) => out.extend_from_slice(rating.to_string().as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"parent_id\":");
    optional(out, e.parent_id.as_ref());
    out.extend_from_slice(b",\"link_title\":");
    optional(out, e.link_title.as_ref());
    out.extend_from_slice(b",\"crosspost_parent\":");
    optional(out, e.crosspost_parent.as_ref());
    out.extend_from_slice(b",\"edited_at\":");
    moment(out, e.edited_at);
    out.extend_from_slice(if e.deleted { b",\"deleted\":true" } else { b",\"deleted\":false" });
    out.extend_from_slice(b",\"fetched_at\":");
    moment(out, Some(e.fetched_at));
    out.extend_from_slice(b",\"locator\":");
    string(out, e.locator.as_str());
    out.extend_from_slice(b",\"seq\":");
    unsigned(out, e.seq);
    out.extend_from_slice(b",\"adapter_version\":");
    string(out, e.adapter_version.as_str());
    out.extend_from_slice(b",\"raw\":");
    string(out, e.raw.as_str());
    out.extend_from_slice(b"}\n");
}

fn optional(out: &mut Vec<u8>, text: Option<&Text<'_>>) {
    match text {
        Some(text) => string(out, text.as_str()),
        None => out.extend_from_slice(b"null"),
    }
}

/// A JSON string. Eight bytes are looked at and copied at once; only those that must be
/// escaped are touched one by one.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let from = out.len();
    // Most escapes double a byte; room for eight more, because whole words are written.
    out.resize(from + 2 * bytes.len() + 10, 0);
    let to = &mut out[from..];
    to[0] = b'"';
    let (mut read, mut at) = (0, 1);
    while let Some(word) = bytes.get(read..read + 8) {
        let Ok(word) = <[u8; 8]>::try_from(word) else { break };
        to[at..at + 8].copy_from_slice(&word);
        let plain = plain_bytes(word);
        read += plain;
        at += plain;
        if plain < 8 {
            let byte = bytes[read];
            let escape = ESCAPES[usize::from(byte)];
            if escape == b'u' {
                out.truncate(from);
                return long_string(out, bytes);
            }
            to[at..at + 2].copy_from_slice(&[b'\\', escape]);
            read += 1;
            at += 2;
        }
    }
    for &byte in &bytes[read..] {
        match ESCAPES[usize::from(byte)] {
            0 => {
                to[at] = byte;
                at += 1;
            }
            b'u' => {
                out.truncate(from);
                return long_string(out, bytes);
            }
            escape => {
                to[at..at + 2].copy_from_slice(&[b'\\', escape]);
                at += 2;
            }
        }
    }
    to[at] = b'"';
    out.truncate(from + at + 1);
}

/// How many bytes from the first on need no escape.
fn plain_bytes(word: [u8; 8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(word);
    let zero_in = |w: u64| w.wrapping_sub(ONES) & !w;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero_in(word ^ (ONES * u64::from(b'"')));
    let backslash = zero_in(word ^ (ONES * u64::from(b'\\')));
    // A borrow can mark bytes behind the first one that is really marked, never before it.
    ((control | quote | backslash) & HIGH).trailing_zeros() as usize / 8
}

/// A JSON string of text with control bytes, which take six bytes each.
#[cold]
fn long_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for &byte in bytes {
        match ESCAPES[usize::from(byte)] {
            0 => out.push(byte),
            b'u' => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            escape => out.extend_from_slice(&[b'\\', escape]),
        }
    }
    out.push(b'"');
}

fn integer(out: &mut Vec<u8>, number: Option<i64>) {
    match number {
        None => out.extend_from_slice(b"null"),
        Some(n) => {
            if n < 0 {
                out.push(b'-');
            }
            unsigned(out, n.unsigned_abs());
        }
    }
}

fn unsigned(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn moment(out: &mut Vec<u8>, ms: Option<i64>) {
    let Some(ms) = ms else { return out.extend_from_slice(b"null") };
    let days = ms.div_euclid(86_400_000);
    let of_day = ms.rem_euclid(86_400_000) as u32;
    // Civil date from days (proleptic Gregorian), Howard Hinnant's algorithm.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = (if mp < 10 { mp + 3 } else { mp - 9 }) as u32;
    let year = yoe + era * 400 + i64::from(month <= 2);
    if !(0..=9999).contains(&year) {
        // Never of a post: days are checked against the project's. Still the same text.
        return string(out, &format_millis(ms));
    }
    let mut text = *b"\"0000-00-00T00:00:00.000Z\"";
    let mut put = |at: usize, width: usize, mut n: u32| {
        for place in text[at..at + width].iter_mut().rev() {
            *place = b'0' + (n % 10) as u8;
            n /= 10;
        }
    };
    put(1, 4, year as u32);
    put(6, 2, month);
    put(9, 2, day);
    put(12, 2, of_day / 3_600_000);
    put(15, 2, of_day / 60_000 % 60);
    put(18, 2, of_day / 1000 % 60);
    put(21, 3, of_day % 1000);
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::envelope::PostType;

    fn text() -> impl Strategy<Value = Text<'static>> {
        prop_oneof![
            ".{0,40}".prop_map(|s: String| Text(Cow::Owned(s))),
            proptest::collection::vec(any::<char>(), 0..40)
                .prop_map(|c| Text(Cow::Owned(c.into_iter().collect()))),
        ]
    }

    proptest! {
        #[test]
        fn lines_are_what_serde_writes(
            texts in proptest::collection::vec(text(), 8),
            some in any::<bool>(),
            numbers in any::<(i64, i64, u64)>(),
            rating in proptest::option::of(-10.0f64..10.0),
            times in (-70_000_000_000_000i64..250_000_000_000_000, -62_167_219_200_000i64..0),
        ) {
            let opt = |i: usize| some.then(|| texts[i].clone());
            let envelope = Envelope {
                platform: texts[0].clone(), source: texts[1].clone(), native_id: texts[2].clone(),
                post_type: PostType::Comment, channel: opt(3), created_at: Some(times.0),
                title: opt(4), body: opt(5), url: None, author: opt(6),
                score: Some(numbers.0), num_comments: some.then_some(numbers.1), rating,
                parent_id: opt(1), link_title: opt(2), crosspost_parent: None,
                edited_at: some.then_some(times.1), deleted: some, fetched_at: times.1,
                locator: texts[3].clone(), seq: numbers.2, adapter_version: "reddit/1".into(),
                raw: texts[7].clone(),
            };
            let mut line = Vec::new();
            encode_line(&mut line, &envelope);
            prop_assert_eq!(
                String::from_utf8(line).unwrap(),
                serde_json::to_string(&envelope).unwrap() + "\n"
            );
        }
    }
}
