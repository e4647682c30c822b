//! What the sentiment model sees of a text: hashed n-grams, and what the lexicons say.
//!
//! Invariant: features are a function of the normalized text alone, the same on every platform
//! and in every build; [`FEATURES_VERSION`] changes when they do, because a trained model is
//! worth nothing with other features. N-grams end at the end of a sentence, so what a text shows
//! is the sum of what its sentences show.
//! Pure: no IO, no clock, no allocation per feature. May not block.

use super::lexicon::{Tone, Tones};

/// Version of [`hashed`] and [`Sight::dense`].
pub(super) const FEATURES_VERSION: u16 = 1;

/// How many buckets n-grams are hashed into, as a power of two.
pub(super) const BUCKET_BITS: u32 = 18;
/// How many buckets n-grams are hashed into.
pub(super) const BUCKETS: usize = 1 << BUCKET_BITS;

/// Shortest and longest run of bytes inside a word that is a feature.
const GRAMS: std::ops::RangeInclusive<usize> = 2..=5;
/// Longest word whose inside is looked at, in bytes: longer ones are addresses and the like.
const WORD_MOST: usize = 32;

/// The two kinds of hashed features; each is weighed by how many of its kind there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A word, or two side by side.
    Word = 0,
    /// Letters inside a word.
    Gram = 1,
}

/// One step of the hash: a byte more.
#[inline(always)]
fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23)
}

/// The bucket of a hash.
#[inline(always)]
fn bucket(hash: u64) -> u32 {
    ((hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> (64 - BUCKET_BITS)) as u32
}

const WORD_SEED: u64 = 0x51ED_270B_0A1F_39C1;
const PAIR_SEED: u64 = 0xA24B_AED4_963E_E407;
const GRAM_SEED: u64 = 0x9FB2_1C65_1E98_DF25;

/// Whether a byte belongs to a word: letters and digits, and outside ASCII everything but what
/// [`sign_at`] takes for a sign.
#[inline(always)]
fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || (byte >= 0x80 && !matches!(byte, 0xC2 | 0xE2 | 0xEF..))
}

/// What a character outside ASCII that begins no word is: its length, and whether it says
/// something. By its first bytes, in UTF-8: signs of Latin-1, U+2000 to U+2FFF (quotation marks,
/// dashes, dingbats), U+F000 and above (variation selectors, emoji).
#[inline(always)]
fn sign_at(bytes: &[u8]) -> (usize, bool) {
    match bytes {
        [0xC2, ..] => (2, false),
        [0xE2, 0x80, ..] | [0xEF, 0xB8, ..] => (3, false),
        [0xE2 | 0xEF, ..] => (3, true),
        _ => (4, true),
    }
}

/// Feeds every hashed feature of a normalized sentence to `sink`, in the order of the text.
/// Addresses, mentions and what a data set put in the place of a name (`[NAME]`) are no words;
/// digits are all alike; a letter three times in a row stands twice.
#[inline]
pub(super) fn hashed(normed: &str, mut sink: impl FnMut(Kind, u32)) {
    let bytes = normed.as_bytes();
    let mut at = 0;
    let mut previous = PAIR_SEED;
    while let Some(&byte) = bytes.get(at) {
        if in_word(byte) {
            at = word(bytes, at, &mut previous, &mut sink);
            continue;
        }
        match byte {
            b' ' => at += 1,
            // A mention, or a name taken out.
            b'@' => at = past(bytes, at + 1, |b| in_word(b) || b == b'_'),
            b'[' => {
                let end = past(bytes, at + 1, |b| b.is_ascii_lowercase());
                at = if bytes.get(end) == Some(&b']') && end > at + 1 { end + 1 } else { at + 1 };
            }
            0x80.. => {
                let (length, says) = sign_at(&bytes[at..]);
                let end = (at + length).min(bytes.len());
                let sign = &bytes[at..end];
                if says {
                    token(sign.iter().fold(WORD_SEED, |hash, &b| step(hash, b)), &mut previous, &mut sink);
                }
                // As often as it stands in a row, it counts once.
                while bytes[at..].starts_with(sign) {
                    at += sign.len();
                }
            }
            _ => {
                // Signs up to the next word or space: "!!!" is "!!", ":-)" is itself.
                let end = past(bytes, at, |b| b < 0x80 && !in_word(b) && !matches!(b, b' ' | b'@' | b'['));
                let mut hash = WORD_SEED;
                let mut again = 0;
                let mut last = 0;
                for &sign in &bytes[at..end] {
                    again = if sign == last { again + 1 } else { 0 };
                    last = sign;
                    if again < 2 && !matches!(sign, b'#' | b'"' | b',' | b'*' | b'_') {
                        hash = step(hash, sign);
                    }
                }
                at = end;
                if hash != WORD_SEED {
                    token(hash, &mut previous, &mut sink);
                }
            }
        }
    }
}

/// A word or sign, alone and behind the one before it.
#[inline(always)]
fn token(hash: u64, previous: &mut u64, sink: &mut impl FnMut(Kind, u32)) {
    sink(Kind::Word, bucket(hash));
    sink(Kind::Word, bucket(previous.rotate_left(7) ^ hash));
    *previous = hash.wrapping_mul(PAIR_SEED);
}

/// Where the bytes from `at` on are no longer `such`.
#[inline(always)]
fn past(bytes: &[u8], at: usize, such: impl Fn(u8) -> bool) -> usize {
    at + bytes[at..].iter().take_while(|&&b| such(b)).count()
}

/// The features of the word at `at`; returns where it ends.
#[inline(always)]
fn word(bytes: &[u8], at: usize, previous: &mut u64, sink: &mut impl FnMut(Kind, u32)) -> usize {
    // With a space before and after, so that a beginning is another feature than an inside.
    let mut letters = [b' '; WORD_MOST + 2];
    let mut length = 1;
    let mut end = at;
    let mut hash = WORD_SEED;
    let mut again = 0;
    let mut last = 0;
    while let Some(&byte) = bytes.get(end) {
        let inside = in_word(byte) || (byte == b'\'' && bytes.get(end + 1).is_some_and(|&b| in_word(b)));
        if !inside {
            break;
        }
        end += 1;
        let byte = if byte.is_ascii_digit() { b'0' } else { byte };
        // A byte outside ASCII may well stand three times in different letters.
        again = if byte == last && byte < 0x80 { again + 1 } else { 0 };
        last = byte;
        if again < 2 {
            hash = step(hash, byte);
            if length <= WORD_MOST {
                letters[length] = byte;
                length += 1;
            }
        }
    }
    let rest = &bytes[end..];
    let address = rest.starts_with(b"://") || bytes[at..end].eq(b"www");
    if address {
        return past(bytes, end, |b| b != b' ');
    }
    token(hash, previous, sink);
    let letters = &letters[..(length + 1).min(WORD_MOST + 2)];
    for from in 0..letters.len() {
        let mut hash = GRAM_SEED;
        for (n, &byte) in (1..=*GRAMS.end()).zip(&letters[from..]) {
            hash = step(hash, byte);
            if n >= *GRAMS.start() {
                sink(Kind::Gram, bucket(hash));
            }
        }
    }
    end
}

/// How many dense features there are.
pub(super) const DENSE: usize = 2 * PER_LEXICON + PAIRS + SHAPE;
const PER_LEXICON: usize = 24;
const PAIRS: usize = 9;
const SHAPE: usize = 12;

/// What was seen of a text besides its hashed features.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sight {
    tones: Tones,
    sentences: u32,
    questions: u32,
    loud: u32,
    dots: u32,
}

impl Sight {
    /// One normalized sentence, with what the lexicons say of it.
    pub(super) fn of(normed: &str, tones: &Tones) -> Self {
        let bytes = normed.as_bytes();
        Self {
            tones: *tones,
            sentences: 1,
            questions: u32::from(memchr::memchr(b'?', bytes).is_some()),
            loud: u32::from(memchr::memchr(b'!', bytes).is_some()),
            dots: u32::from(normed.contains("..")),
        }
    }

    /// What was seen of another part of the same text, whose words count `weight` times.
    pub(super) fn join(&mut self, other: &Sight, weight: f64) {
        self.tones.own.add(&other.tones.own, weight);
        self.tones.vader.add(&other.tones.vader, weight);
        self.tones.words += other.tones.words;
        self.tones.negations += other.tones.negations;
        self.sentences += other.sentences;
        self.questions += other.questions;
        self.loud += other.loud;
        self.dots += other.dots;
    }

    /// The dense features: each between -1 and 1.
    pub(super) fn dense(&self, out: &mut [f64; DENSE]) {
        *out = [0.0; DENSE];
        let (own, rest) = out.split_at_mut(PER_LEXICON);
        let (vader, rest) = rest.split_at_mut(PER_LEXICON);
        let (pairs, shape) = rest.split_at_mut(PAIRS);
        let root = f64::from(self.tones.words.max(1)).sqrt();
        lexicon(&self.tones.own, root, self.questions > 0, own);
        lexicon(&self.tones.vader, root, self.questions > 0, vader);
        pairs[3 * side(&self.tones.own) + side(&self.tones.vader)] = 1.0;
        let words = self.tones.words;
        for (cell, on) in shape.iter_mut().zip([
            self.questions > 0,
            self.questions > 0 && self.questions == self.sentences,
            self.loud > 0,
            self.loud > 1,
            self.dots > 0,
            self.tones.negations == 1,
            self.tones.negations > 1,
            words <= 4,
            words > 4 && words <= 10,
            words > 20 && words <= 40,
            words > 40,
            self.tones.negations > 0 && side(&self.tones.own) == 1,
        ]) {
            *cell = f64::from(u8::from(on));
        }
    }
}

/// 0: below, 1: nothing to hear, 2: above.
fn side(tone: &Tone) -> usize {
    match tone.sum() {
        s if s < -0.1 => 0,
        s if s > 0.1 => 2,
        _ => 1,
    }
}

/// A sum as a share of what it could be at most.
fn softened(sum: f64) -> f64 {
    sum / (sum * sum + 15.0).sqrt()
}

fn lexicon(tone: &Tone, root: f64, question: bool, out: &mut [f64]) {
    let compound = softened(tone.sum());
    out[0] = compound;
    out[1] = softened(tone.good);
    out[2] = softened(tone.bad);
    out[3] = (tone.sum() / root / 2.0).clamp(-1.0, 1.0);
    out[4] = tone.best / 4.0;
    out[5] = tone.worst / 4.0;
    out[6] = f64::from(tone.goods.min(4)) / 4.0;
    out[7] = f64::from(tone.bads.min(4)) / 4.0;
    let (good, bad) = (tone.goods > 0, tone.bads > 0);
    out[8] = f64::from(u8::from(good && bad));
    out[9] = f64::from(u8::from(!good && !bad));
    out[10] = if question { compound } else { 0.0 };
    out[11] = compound.max(0.0) * compound.max(0.0);
    out[12] = compound.min(0.0) * compound.min(0.0);
    // Steps, because a little praise is not half of much praise.
    let step = match compound {
        c if c <= -0.75 => 0,
        c if c <= -0.55 => 1,
        c if c <= -0.35 => 2,
        c if c <= -0.15 => 3,
        c if c < -0.02 => 4,
        c if c <= 0.02 => 5,
        c if c < 0.15 => 6,
        c if c < 0.35 => 7,
        c if c < 0.55 => 8,
        c if c < 0.75 => 9,
        _ => 10,
    };
    out[13 + step] = 1.0;
}
