//! Training of the sentiment model: multinomial logistic regression by stochastic gradient.
//!
//! Invariant: the same examples, settings and seed yield the same bytes, on every platform: one
//! thread, a fixed order of operations, numbers that IEEE 754 fixes. What makes the model hold
//! outside its training data: every class weighs the same however often it occurs; for a part
//! of the examples only the lexicons or only the n-grams are shown, so that neither leans on
//! the other; weights of n-grams are pulled to zero; and what each class has before a word is
//! read is set last, on other data (`dev`), for recall that is even.
//! Pure: no IO, no clock. Blocks for seconds to minutes: never on a thread that has to answer.

use super::Sentiment;
use super::lexicon::shipped;
use super::model::{CLASSES, ModelError, PROVENANCE_MOST, Parts, SentimentModel, softmax};
use super::model_features::{BUCKETS, DENSE, Kind, Sight, hashed};
use super::sentences::sentences;
use crate::classify::norm;

/// A text and how it sounds.
#[derive(Clone, PartialEq, Debug)]
pub struct Example {
    /// The text.
    pub text: String,
    /// How it sounds.
    pub label: Sentiment,
    /// How much it counts: 1, or less where its label is in doubt.
    pub weight: f32,
}

/// How to train.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TrainOptions {
    /// Decides the order of the examples and what is hidden of them.
    pub seed: u64,
    /// How often every example is seen.
    pub epochs: u32,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self { seed: 1, epochs: 10 }
    }
}

/// There is nothing to train on, or nothing came of it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TrainError {
    /// A class without an example cannot be learned.
    #[error("no example is {0}: the model needs examples of all three; add a file that has some with --data")]
    Class(&'static str),
    /// The text that says where a model is from is bounded.
    #[error("the description of the data has {0} bytes, at most {PROVENANCE_MOST} fit: name fewer files")]
    Provenance(usize),
    /// What was trained is refused by the reader.
    #[error("the trained model cannot be used: {0}")]
    Model(#[from] ModelError),
}

/// How much words and letters weigh against the lexicons.
const SHARE: f32 = 0.5;
/// Length of the first steps.
const RATE: f32 = 0.1;
/// How much a weight is pulled to zero: of n-grams, of the lexicons.
const PULL: [f32; 2] = [3e-3, 1e-2];
/// Share of examples that show only the lexicons, and share that show only n-grams.
const ONLY: [f32; 2] = [0.3, 0.3];
/// What a label leaves to the other two classes, because people disagree.
const DOUBT: f32 = 0.1;
/// A bucket that fewer examples touch stays empty.
const RARE: u32 = 2;
/// Share of the weights that keep their full size when they become bytes.
const UNCLIPPED: f64 = 0.9999;

/// SplitMix64: small, known, the same everywhere.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % (bound as u64).max(1)) as usize
    }

    /// A number from 0 up to 1.
    fn share(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// An example as the model sees it.
struct Seen {
    /// Buckets by [`Kind`].
    buckets: [Vec<u32>; 2],
    dense: Vec<(u16, f32)>,
    class: usize,
    weight: f32,
}

impl Seen {
    fn new(example: &Example) -> Self {
        let lexicon = shipped();
        let mut buckets = [Vec::new(), Vec::new()];
        let mut sight = Sight::default();
        for sentence in sentences(&example.text) {
            let normed = norm(sentence);
            sight.join(&Sight::of(&normed, &lexicon.tones(&normed)), 1.0);
            hashed(&normed, |kind, bucket| buckets[usize::from(kind == Kind::Gram)].push(bucket));
        }
        let mut dense = [0.0; DENSE];
        sight.dense(&mut dense);
        let dense = (0..).zip(dense).filter(|(_, v)| *v != 0.0).map(|(i, v)| (i, v as f32)).collect();
        Self { buckets, dense, class: class_of(example.label), weight: example.weight }
    }

    /// What every feature of a kind counts.
    fn share(&self, kind: usize) -> f32 {
        SHARE / (self.buckets[kind].len().max(1) as f32).sqrt()
    }
}

/// The place of a class in every triple.
pub(super) fn class_of(label: Sentiment) -> usize {
    CLASSES.iter().position(|&c| c == label).unwrap_or(1)
}

/// A weight with the sum of its squared gradients, by which its steps grow shorter.
#[derive(Clone, Copy)]
struct Weight {
    value: [f32; 3],
    squares: [f32; 3],
}

impl Weight {
    fn new(squares: f32) -> Self {
        Self { value: [0.0; 3], squares: [squares; 3] }
    }

    #[inline]
    fn step(&mut self, gradient: &[f32; 3], by: f32, pull: f32, rate: f32) {
        for ((value, squares), gradient) in self.value.iter_mut().zip(&mut self.squares).zip(gradient) {
            let slope = gradient * by + pull * *value;
            *squares += slope * slope;
            *value -= rate * slope / squares.sqrt();
        }
    }
}

struct Trainer {
    buckets: Vec<Weight>,
    dense: Vec<Weight>,
    bias: Weight,
}

impl Trainer {
    fn logits(&self, seen: &Seen, grams: bool, lexicons: bool) -> [f64; 3] {
        let mut logits = self.bias.value;
        if grams {
            for (kind, buckets) in seen.buckets.iter().enumerate() {
                let mut sums = [0.0; 3];
                for &bucket in buckets {
                    for (sum, value) in sums.iter_mut().zip(&self.buckets[bucket as usize].value) {
                        *sum += value;
                    }
                }
                let share = seen.share(kind);
                for (logit, sum) in logits.iter_mut().zip(sums) {
                    *logit += share * sum;
                }
            }
        }
        if lexicons {
            for &(i, value) in &seen.dense {
                for (logit, weight) in logits.iter_mut().zip(&self.dense[usize::from(i)].value) {
                    *logit += value * weight;
                }
            }
        }
        logits.map(f64::from)
    }

    fn learn(&mut self, seen: &Seen, weight: f32, rate: f32, grams: bool, lexicons: bool, touched: &[u32]) {
        let shares = softmax(self.logits(seen, grams, lexicons));
        let mut gradient = [0.0; 3];
        for (class, (slope, share)) in gradient.iter_mut().zip(shares).enumerate() {
            let wanted = if class == seen.class { 1.0 - DOUBT } else { DOUBT / 2.0 };
            *slope = weight * (share as f32 - wanted);
        }
        self.bias.step(&gradient, 1.0, 0.0, rate);
        if lexicons {
            for &(i, value) in &seen.dense {
                self.dense[usize::from(i)].step(&gradient, value, PULL[1], rate);
            }
        }
        if grams {
            for (kind, buckets) in seen.buckets.iter().enumerate() {
                let share = seen.share(kind);
                for &bucket in buckets.iter().filter(|&&b| touched[b as usize] >= RARE) {
                    self.buckets[bucket as usize].step(&gradient, share, PULL[0], rate);
                }
            }
        }
    }
}

/// Trains a model and returns its file. `dev` is other data than `examples`, each a set of its
/// own; without one the classes stay as they were learned. `provenance` says where the data is
/// from; the settings are added to it.
///
/// # Errors
/// When a class has no example, or the provenance is too long.
pub fn train(
    examples: &[Example],
    dev: &[Vec<Example>],
    options: TrainOptions,
    provenance: &str,
) -> Result<Vec<u8>, TrainError> {
    let mut by_class = [0.0_f32; 3];
    for example in examples {
        by_class[class_of(example.label)] += example.weight;
    }
    if let Some(class) = by_class.iter().position(|w| *w <= 0.0) {
        return Err(TrainError::Class(CLASSES[class].as_str()));
    }
    let total: f32 = by_class.iter().sum();
    let balance = by_class.map(|weight| total / (3.0 * weight));
    let seen: Vec<Seen> = examples.iter().map(Seen::new).collect();
    let mut touched = vec![0_u32; BUCKETS];
    for &bucket in seen.iter().flat_map(|s| s.buckets.iter().flatten()) {
        touched[bucket as usize] += 1;
    }
    let mut trainer = Trainer {
        buckets: vec![Weight::new(1e-4); BUCKETS],
        dense: vec![Weight::new(1e-2); DENSE],
        bias: Weight::new(1e-2),
    };
    let mut dice = Dice::new(options.seed);
    let mut order: Vec<usize> = (0..seen.len()).collect();
    for epoch in 0..options.epochs {
        for i in (1..order.len()).rev() {
            order.swap(i, dice.below(i + 1));
        }
        let rate = RATE * (1.0 - epoch as f32 / options.epochs as f32);
        for &i in &order {
            let example = &seen[i];
            let shown = dice.share();
            let grams = shown >= ONLY[0];
            let lexicons = !grams || shown >= ONLY[0] + ONLY[1];
            let weight = example.weight * balance[example.class];
            trainer.learn(example, weight, rate, grams, lexicons, &touched);
        }
    }
    let mut parts = pack(&trainer);
    let [mut no_neutral, mut negative] = [0.0; 2];
    if dev.iter().any(|set| !set.is_empty()) {
        let model = SentimentModel::read(&parts.pack())?;
        [no_neutral, negative] = evened(&model, dev);
    }
    parts.bias[0] += negative;
    parts.bias[1] -= no_neutral;
    parts.provenance = format!(
        "{}\ntraining: {} texts, seed {}, epochs {}; bias moved by {negative:+.1} negative, {:+.1} neutral\n",
        provenance.trim_end(),
        examples.len(),
        options.seed,
        options.epochs,
        0.0 - no_neutral,
    );
    if parts.provenance.len() > PROVENANCE_MOST {
        return Err(TrainError::Provenance(parts.provenance.len()));
    }
    let bytes = parts.pack();
    SentimentModel::read(&bytes)?;
    Ok(bytes)
}

/// The weights as bytes, with the scale that loses least.
fn pack(trainer: &Trainer) -> Parts {
    let mut sizes: Vec<f32> =
        trainer.buckets.iter().flat_map(|w| w.value).map(f32::abs).filter(|v| *v > 0.0).collect();
    sizes.sort_by(f32::total_cmp);
    let at = (sizes.len() as f64 * UNCLIPPED) as usize;
    let most = sizes.get(at).or(sizes.last()).copied().unwrap_or(0.0).max(f32::MIN_POSITIVE);
    let step = most / 127.0;
    let byte = |value: f32| (value / step).round().clamp(-127.0, 127.0) as i8;
    let scale = f64::from(SHARE) * f64::from(step);
    Parts {
        provenance: String::new(),
        scales: [scale; 2],
        bias: trainer.bias.value.map(f64::from),
        dense: trainer.dense.iter().map(|w| w.value.map(f64::from)).collect(),
        buckets: trainer.buckets.iter().map(|w| w.value.map(byte)).collect(),
    }
}

/// What to take from neutral and give to negative, so that the mean of the sets' macro-recalls
/// is highest; the smallest of equals.
fn evened(model: &SentimentModel, dev: &[Vec<Example>]) -> [f64; 2] {
    let sets: Vec<Vec<([f64; 3], usize)>> = dev
        .iter()
        .filter(|set| !set.is_empty())
        .map(|set| set.iter().map(|e| (model.logits_of(&e.text), class_of(e.label))).collect())
        .collect();
    let mut best = (0.0, [0.0; 2]);
    let mut moves: Vec<[i32; 2]> = (-10..=15).flat_map(|a| (-10..=10).map(move |b| [a, b])).collect();
    moves.sort_by_key(|[a, b]| (a.abs() + b.abs(), *a, *b));
    for tenths in moves {
        let [no_neutral, negative] = tenths.map(|t| f64::from(t) / 10.0);
        let mean = sets
            .iter()
            .map(|set| {
                let mut hits = [[0.0_f64; 2]; 3];
                for (logits, class) in set {
                    let [a, b, c] = [logits[0] + negative, logits[1] - no_neutral, logits[2]];
                    let found = if a > b && a > c {
                        0
                    } else if c > b && c > a {
                        2
                    } else {
                        1
                    };
                    hits[*class][0] += f64::from(u8::from(found == *class));
                    hits[*class][1] += 1.0;
                }
                let there: Vec<f64> = hits.iter().filter(|h| h[1] > 0.0).map(|h| h[0] / h[1]).collect();
                there.iter().sum::<f64>() / there.len() as f64
            })
            .sum::<f64>()
            / sets.len() as f64;
        if mean > best.0 + 1e-9 {
            best = (mean, [no_neutral, negative]);
        }
    }
    best.1
}
