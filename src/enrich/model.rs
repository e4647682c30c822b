//! The sentiment model: a linear classifier over hashed n-grams and what the lexicons say.
//!
//! Small numbers: one byte a bucket and class. Invariant: a reading is a function of the text,
//! the model's bytes and the lexicons alone, to the last bit on every platform: sums of n-grams
//! are of integers, everything after that uses only operations that IEEE 754 fixes (`exp` is
//! our own for that reason). A file that is not exactly a model of these features is refused.
//! Pure: no IO, no clock. May not block.

use std::sync::{Arc, LazyLock};

use super::Sentiment;
use super::lexicon::{Lexicon, shipped};
use super::model_features::{BUCKET_BITS, BUCKETS, DENSE, FEATURES_VERSION, Kind, Sight, hashed};
use super::sentences::sentences;
use crate::classify::norm;

/// The classes, in the order of every triple.
pub(super) const CLASSES: [Sentiment; 3] = [Sentiment::Negative, Sentiment::Neutral, Sentiment::Positive];

const MAGIC: &[u8; 8] = b"RXSENTI\0";
const FORMAT: u16 = 1;
/// Magic, format, features, bucket bits, dense features, length of the provenance.
const HEADER: usize = 8 + 2 + 2 + 2 + 2 + 4;
const CHECKSUM: usize = 16;
/// Two scales, three biases, weights of the dense features, weights of the buckets.
const BODY: usize = 8 * 2 + 8 * 3 + 8 * 3 * DENSE + 3 * BUCKETS;
/// Longest provenance, in bytes.
pub(super) const PROVENANCE_MOST: usize = 16 * 1024;

static BUILT_IN: LazyLock<Result<Arc<SentimentModel>, ModelError>> =
    LazyLock::new(|| SentimentModel::read(include_bytes!("../../assets/sentiment.model")).map(Arc::new));

/// A file is no model that can be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ModelError {
    /// Its beginning is another.
    #[error(
        "this is no sentiment model: its first bytes are not those of one; `rxpulse model train` writes one"
    )]
    Magic,
    /// Written by another release.
    #[error(
        "the sentiment model has format {0}, this release reads format {FORMAT}; train it again with `rxpulse model train`"
    )]
    Format(u16),
    /// Trained with other features.
    #[error(
        "the sentiment model was trained for features {version} ({buckets} bits, {dense} dense), this release has features {FEATURES_VERSION} ({BUCKET_BITS} bits, {DENSE} dense); train it again with `rxpulse model train`"
    )]
    Features {
        /// Version of the features.
        version: u16,
        /// Buckets as a power of two.
        buckets: u16,
        /// Dense features.
        dense: u16,
    },
    /// Cut, or with something after its end.
    #[error(
        "the sentiment model has {found} bytes instead of {expected}: it was cut or changed; copy it again"
    )]
    Length {
        /// Bytes that there are.
        found: usize,
        /// Bytes that there should be.
        expected: usize,
    },
    /// Its checksum is another.
    #[error("the sentiment model is damaged: its checksum does not fit; copy it again")]
    Damaged,
    /// Its text or a number cannot be.
    #[error(
        "the sentiment model says something that cannot be: {0}; train it again with `rxpulse model train`"
    )]
    Content(&'static str),
}

/// What a model holds, before it is packed.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// Where it is from: data sets, licences, sizes, settings.
    pub provenance: String,
    /// What one step of a bucket's weight is worth, by [`Kind`].
    pub scales: [f64; 2],
    /// What each class has before a word is read.
    pub bias: [f64; 3],
    /// Weights of the dense features.
    pub dense: Vec<[f64; 3]>,
    /// Weights of the buckets.
    pub buckets: Vec<[i8; 3]>,
}

impl Parts {
    /// The file.
    pub(super) fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.provenance.len() + BODY + CHECKSUM);
        out.extend_from_slice(MAGIC);
        for number in [FORMAT, FEATURES_VERSION, BUCKET_BITS as u16, DENSE as u16] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&(self.provenance.len() as u32).to_le_bytes());
        out.extend_from_slice(self.provenance.as_bytes());
        for number in self.scales.iter().chain(&self.bias).chain(self.dense.iter().flatten()) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend(self.buckets.iter().flatten().map(|&w| w as u8));
        let checksum = checksum(&out);
        out.extend_from_slice(&checksum);
        out
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut out = [0; CHECKSUM];
    out.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECKSUM]);
    out
}

/// A trained model, ready to read.
pub struct SentimentModel {
    provenance: String,
    version: [u8; 16],
    scales: [f64; 2],
    bias: [f64; 3],
    dense: Vec<[f64; 3]>,
    /// The fourth is nothing: a bucket is one aligned word.
    buckets: Vec<[i8; 4]>,
}

impl std::fmt::Debug for SentimentModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SentimentModel").field("provenance", &self.provenance).finish_non_exhaustive()
    }
}

/// Takes numbers off the front of bytes whose length is checked before.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        head
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let from = self.take(N);
        out[..from.len()].copy_from_slice(from);
        out
    }

    fn triple(&mut self) -> [f64; 3] {
        std::array::from_fn(|_| f64::from_le_bytes(self.array()))
    }
}

impl SentimentModel {
    /// The model in a file's bytes.
    ///
    /// # Errors
    /// When they are not exactly one, or one for the features of another release.
    pub fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        let mut cursor = Cursor(bytes);
        if cursor.take(MAGIC.len()) != MAGIC {
            return Err(ModelError::Magic);
        }
        let wrong_length = |expected| ModelError::Length { found: bytes.len(), expected };
        if bytes.len() < HEADER {
            return Err(wrong_length(HEADER + BODY + CHECKSUM));
        }
        let [format, version, buckets, dense] = std::array::from_fn(|_| u16::from_le_bytes(cursor.array()));
        if format != FORMAT {
            return Err(ModelError::Format(format));
        }
        if (version, u32::from(buckets), usize::from(dense)) != (FEATURES_VERSION, BUCKET_BITS, DENSE) {
            return Err(ModelError::Features { version, buckets, dense });
        }
        let said = u32::from_le_bytes(cursor.array()) as usize;
        if said > PROVENANCE_MOST {
            return Err(ModelError::Content("its provenance is too long"));
        }
        let expected = HEADER + said + BODY + CHECKSUM;
        if bytes.len() != expected {
            return Err(wrong_length(expected));
        }
        let (content, sum) = bytes.split_at(bytes.len() - CHECKSUM);
        let version = checksum(content);
        if version != sum {
            return Err(ModelError::Damaged);
        }
        let provenance = std::str::from_utf8(cursor.take(said))
            .map_err(|_| ModelError::Content("its provenance is not UTF-8"))?
            .to_string();
        let scales = [f64::from_le_bytes(cursor.array()), f64::from_le_bytes(cursor.array())];
        let bias = cursor.triple();
        let dense: Vec<[f64; 3]> = (0..DENSE).map(|_| cursor.triple()).collect();
        // So large that sums and `exp` stay finite, far beyond what training yields.
        let fine = |n: &f64| n.abs() <= 1e6;
        if !scales.iter().chain(&bias).chain(dense.iter().flatten()).all(fine) {
            return Err(ModelError::Content("a weight is not a number or out of all bounds"));
        }
        let buckets = cursor.take(3 * BUCKETS).chunks_exact(3);
        let buckets = buckets.map(|w| [w[0] as i8, w[1] as i8, w[2] as i8, 0]).collect();
        Ok(Self { provenance, version, scales, bias, dense, buckets })
    }

    /// The model inside the program.
    ///
    /// # Errors
    /// When this build has one for other features; a test makes sure that none is released.
    pub fn built_in() -> Result<Arc<Self>, ModelError> {
        BUILT_IN.clone()
    }

    /// A model that knows nothing and calls everything neutral.
    pub(super) fn blank() -> Self {
        Self {
            provenance: String::new(),
            version: [0; 16],
            scales: [0.0; 2],
            bias: [0.0, 1.0, 0.0],
            dense: vec![[0.0; 3]; DENSE],
            buckets: vec![[0; 4]; BUCKETS],
        }
    }

    /// Where it is from: data sets, licences, sizes, settings of the training.
    pub fn provenance(&self) -> &str {
        &self.provenance
    }

    /// A hash of its content.
    pub fn version(&self) -> [u8; 16] {
        self.version
    }

    /// How a text sounds, and how much: from -1 (worst) to 1 (best), three decimals.
    pub fn classify(&self, text: &str) -> (Sentiment, f64) {
        self.judge(&self.hear_all(text), 0.0)
    }

    /// What each class has for it in a text.
    pub(super) fn logits_of(&self, text: &str) -> [f64; 3] {
        self.logits(&self.hear_all(text), 0.0)
    }

    fn hear_all(&self, text: &str) -> Heard {
        let lexicon = shipped();
        let mut heard = Heard::default();
        for sentence in sentences(text) {
            heard.add(&self.hear(lexicon, &norm(sentence)), 1.0);
        }
        heard
    }

    /// What one normalized sentence shows.
    pub(super) fn hear(&self, lexicon: &Lexicon, normed: &str) -> Heard {
        let mut words = Sums::default();
        let mut grams = Sums::default();
        hashed(normed, |kind, bucket| {
            let weights = &self.buckets[bucket as usize & (BUCKETS - 1)];
            let sums = if kind == Kind::Word { &mut words } else { &mut grams };
            for (sum, &weight) in sums.of.iter_mut().zip(weights) {
                *sum += i32::from(weight);
            }
            sums.features += 1;
        });
        Heard { sums: [words, grams], sight: Sight::of(normed, &lexicon.tones(normed)) }
    }

    /// What was heard, as a class and a score. `tilt` is added for the positive and taken from
    /// the negative side: what is known besides the text.
    pub(super) fn judge(&self, heard: &Heard, tilt: f64) -> (Sentiment, f64) {
        let [negative, neutral, positive] = softmax(self.logits(heard, tilt));
        // The first of equals would be the worst; a text that says nothing is neutral.
        let sentiment = if negative > neutral && negative > positive {
            Sentiment::Negative
        } else if positive > neutral && positive > negative {
            Sentiment::Positive
        } else {
            Sentiment::Neutral
        };
        // Not "-0".
        (sentiment, ((positive - negative) * 1000.0).round() / 1000.0 + 0.0)
    }

    fn logits(&self, heard: &Heard, tilt: f64) -> [f64; 3] {
        let mut logits = self.bias;
        for (sums, scale) in heard.sums.iter().zip(self.scales) {
            let scale = scale / f64::from(sums.features.max(1)).sqrt();
            for (logit, &sum) in logits.iter_mut().zip(&sums.of) {
                *logit += scale * f64::from(sum);
            }
        }
        let mut dense = [0.0; DENSE];
        heard.sight.dense(&mut dense);
        for (value, weights) in dense.iter().zip(&self.dense) {
            if *value != 0.0 {
                for (logit, weight) in logits.iter_mut().zip(weights) {
                    *logit += value * weight;
                }
            }
        }
        logits[0] -= tilt;
        logits[2] += tilt;
        logits
    }
}

/// Sums of the weights of one kind of features.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    of: [i32; 4],
    features: u32,
}

/// What was heard of one or more sentences.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    sums: [Sums; 2],
    sight: Sight,
}

impl Heard {
    /// One more part of the same text, whose words count `weight` times.
    pub(super) fn add(&mut self, other: &Heard, weight: f64) {
        for (sums, more) in self.sums.iter_mut().zip(&other.sums) {
            for (sum, more) in sums.of.iter_mut().zip(&more.of) {
                *sum = sum.saturating_add(*more);
            }
            sums.features = sums.features.saturating_add(more.features);
        }
        self.sight.join(&other.sight, weight);
    }
}

/// `e` to the power of `x`, by operations that are the same everywhere; within 1e-15 of it.
pub(super) fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let halves = (x * std::f64::consts::LOG2_E).round();
    let rest = x - halves * std::f64::consts::LN_2;
    let mut term = 1.0;
    let mut sum = 1.0;
    for n in 1..=16 {
        term *= rest / f64::from(n);
        sum += term;
    }
    // 2 to a whole power has an empty fraction.
    sum * f64::from_bits(((1023 + halves as i64) as u64) << 52)
}

/// Logits as shares of one.
pub(super) fn softmax(logits: [f64; 3]) -> [f64; 3] {
    let most = logits[0].max(logits[1]).max(logits[2]);
    let shares = logits.map(|logit| exp(logit - most));
    let sum = shares[0] + shares[1] + shares[2];
    shares.map(|share| share / sum)
}
