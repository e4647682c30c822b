//! The sentiment model: its features, its file, its training, and what it is worth.

use proptest::prelude::*;

use super::Sentiment::{Negative, Neutral, Positive};
use super::lexicon::{Lexicon, OWN, VADER, shipped};
use super::model::{ModelError, SentimentModel, exp, softmax};
use super::model_data::{Confusion, Corpus, Ids, ReadOptions, Shape, evaluate, own_examples, read_corpus};
use super::model_features::{BUCKETS, DENSE, Kind, Sight, hashed};
use super::model_train::{Example, TrainError, TrainOptions, train};
use crate::classify::norm;

const FILE: &[u8] = include_bytes!("../../assets/sentiment.model");

const READING: ReadOptions = ReadOptions { ids: Ids::Found, neutral: 0.5, clear_only: false };

fn features(text: &str) -> (Vec<u32>, Vec<u32>) {
    let (mut words, mut grams) = (Vec::new(), Vec::new());
    hashed(
        &norm(text),
        |kind, bucket| {
            if kind == Kind::Word { words.push(bucket) } else { grams.push(bucket) }
        },
    );
    (words, grams)
}

fn dense(text: &str) -> [f64; DENSE] {
    let normed = norm(text);
    let mut out = [0.0; DENSE];
    Sight::of(&normed, &shipped().tones(&normed)).dense(&mut out);
    out
}

/// A model is worth nothing with other features than it was trained for: when this changes,
/// `FEATURES_VERSION` has to, and the shipped model has to be trained again.
#[test]
fn features_are_pinned() {
    let mut all = String::new();
    for text in [
        "",
        "Good!",
        "@AirNorth 3 hours & no update... WHY?? https://t.co/x1 #fail :-(",
        "soooo happy don\u{2019}t you think, [NAME]",
        "любовь 😀😀 naïve 12.50",
    ] {
        let (words, grams) = features(text);
        assert!(words.iter().chain(&grams).all(|&b| (b as usize) < BUCKETS));
        let hash = blake3::hash(format!("{words:?}{grams:?}").as_bytes()).to_hex();
        all.push_str(&format!("{text:?}: {} words, {} grams, {}\n", words.len(), grams.len(), &hash[..16]));
    }
    for text in ["", "Good!", "They never answer, I am so disappointed. :("] {
        let hash = blake3::hash(format!("{:?}", dense(text)).as_bytes()).to_hex();
        all.push_str(&format!("dense {text:?}: {}\n", &hash[..16]));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn what_says_the_same_is_the_same_feature() {
    assert_eq!(features("@one_two good"), features("@Three  GOOD"));
    assert_eq!(
        features("good https://a.b/c"),
        features("good www.example.org/x y".split(" y").next().unwrap())
    );
    assert_eq!(features("[NAME] good"), features("good"));
    assert_eq!(features("goood"), features("gooooooood").clone());
    assert_eq!(features("good!!"), features("good!!!!!"));
    assert_eq!(features("room 12"), features("room 97"));
    assert_eq!(features("#good"), features("good"));
    // Typographic signs, and emoji beside a word.
    assert_eq!(features("\u{201C}good\u{201D} \u{2014} thing"), features("good thing"));
    assert_eq!(features("good😀"), features("good 😀😀😀"));
    assert_eq!(features("❤\u{FE0F}"), features("❤"));
    assert_eq!(features("£5 naïve"), features("5 naïve"));
    assert_ne!(features("❤"), features("💔"));
    assert_ne!(features("good"), features("goods"));
    assert_ne!(features("not good").0, features("good not").0);
}

#[test]
fn dense_features_are_bounded() {
    for text in ["", "love love love love best best perfect!!! amazing", "worst horrible hate scam fraud?"] {
        assert!(dense(text).iter().all(|v| (-1.0..=1.0).contains(v)), "{text}");
    }
}

#[test]
fn the_lexicons_are_right() {
    let mut problems = Vec::new();
    let mut lexicon = Lexicon::read(OWN, &mut problems);
    lexicon.read_vader(VADER, &mut problems);
    assert_eq!(problems, Vec::<String>::new());
    let tones = lexicon.tones("a wonderfully abhorrent thing");
    assert!(tones.vader.good > 0.0 && tones.vader.bad < 0.0, "{tones:?}");
    assert!(lexicon.tones("hm :-/").vader.bad < 0.0);
}

#[test]
fn the_shipped_model_is_small_and_says_where_it_is_from() {
    assert!(FILE.len() <= 1_000_000, "{} bytes", FILE.len());
    let model = SentimentModel::built_in().unwrap();
    for word in ["GoEmotions (Apache-2.0), train.tsv", "VADER (MIT", "seed"] {
        assert!(model.provenance().contains(word), "{}", model.provenance());
    }
    assert!(!model.provenance().contains('/'), "a path: {}", model.provenance());
}

#[test]
fn texts_that_leave_no_doubt() {
    let model = SentimentModel::built_in().unwrap();
    for (text, expected) in [
        ("I love it, thank you so much!", Positive),
        ("Can't wait, so excited!", Positive),
        ("Worst experience of my life, never again", Negative),
        ("3 hours on hold and nobody answers", Negative),
        ("They do not work at all, waste of money", Negative),
        ("What time does the store open?", Neutral),
        ("", Neutral),
        ("The form is on page two", Neutral),
    ] {
        let (found, score) = model.classify(text);
        assert_eq!(found, expected, "{text}: {score}");
    }
}

#[test]
fn rubbish_is_refused_in_words() {
    let refused = |bytes: &[u8]| SentimentModel::read(bytes).unwrap_err();
    assert_eq!(refused(b""), ModelError::Magic);
    assert_eq!(refused(b"RXSENTI"), ModelError::Magic);
    assert_eq!(refused(b"<html>not found</html>"), ModelError::Magic);
    for cut in [8, 9, 19, 20, 100, FILE.len() - 1] {
        let error = refused(&FILE[..cut]);
        assert!(matches!(error, ModelError::Length { found, .. } if found == cut), "{cut}: {error}");
    }
    let mut longer = FILE.to_vec();
    longer.push(0);
    assert!(matches!(refused(&longer), ModelError::Length { .. }));
    let changed = |at: usize, to: u8| {
        let mut bytes = FILE.to_vec();
        bytes[at] = to;
        bytes
    };
    assert_eq!(refused(&changed(8, 9)), ModelError::Format(9));
    for at in [10, 12, 14] {
        let error = refused(&changed(at, 200));
        assert!(matches!(error, ModelError::Features { .. }), "{at}: {error}");
        assert!(error.to_string().contains("model train"), "{error}");
    }
    assert!(matches!(refused(&changed(19, 255)), ModelError::Content(_)));
    let middle = FILE.len() / 2;
    assert_eq!(refused(&changed(middle, FILE[middle] ^ 1)), ModelError::Damaged);
    // With a checksum that fits: the content itself is looked at.
    let signed = |at: usize, with: &[u8]| {
        let mut bytes = FILE[..FILE.len() - 16].to_vec();
        bytes[at..at + with.len()].copy_from_slice(with);
        let sum = blake3::hash(&bytes);
        bytes.extend_from_slice(&sum.as_bytes()[..16]);
        bytes
    };
    assert!(matches!(refused(&signed(20, &[0xFF])), ModelError::Content(_)));
    let weights = 20 + u32::from_le_bytes(FILE[16..20].try_into().unwrap()) as usize;
    for bad in [f64::NAN, f64::INFINITY, -1e300] {
        assert!(matches!(refused(&signed(weights, &bad.to_le_bytes())), ModelError::Content(_)), "{bad}");
    }
}

#[test]
fn our_exp_is_exp() {
    for i in -7000..=7000 {
        let x = f64::from(i) / 10.0;
        let off = (exp(x) / x.exp() - 1.0).abs();
        assert!(off < 1e-13, "{x}: {off}");
    }
    assert!(exp(f64::MAX).is_finite() && exp(f64::MIN) > 0.0);
    let sum: f64 = softmax([3.0, -800.0, 1e6]).iter().sum();
    assert!((sum - 1.0).abs() < 1e-12);
}

fn example(text: &str, label: super::Sentiment) -> Example {
    Example { text: text.into(), label, weight: 1.0 }
}

/// A made-up world with words that no lexicon has.
fn small() -> Vec<Example> {
    (0..12)
        .flat_map(|i| {
            [
                example(&format!("the zorb was mirfel {i}"), Positive),
                example(&format!("the zorb was quantly in room {i}"), Neutral),
                example(&format!("the zorb was dreblish {i}"), Negative),
            ]
        })
        .collect()
}

#[test]
fn the_same_data_and_seed_make_the_same_bytes() {
    let options = TrainOptions { seed: 7, epochs: 6 };
    let dev = || vec![small()];
    let bytes = train(&small(), &dev(), options, "made up").unwrap();
    let others: Vec<_> = (0..2)
        .map(|_| std::thread::spawn(move || train(&small(), &dev(), options, "made up").unwrap()))
        .collect();
    for other in others {
        assert!(other.join().unwrap() == bytes);
    }
    let seed = train(&small(), &dev(), TrainOptions { seed: 8, ..options }, "made up").unwrap();
    assert!(seed != bytes);
    let model = SentimentModel::read(&bytes).unwrap();
    assert!(model.provenance().starts_with("made up\n") && model.provenance().contains("seed 7, epochs 6"));
    // It learned, and on texts that it has not seen.
    for (text, expected) in
        [("this is mirfel", Positive), ("so dreblish", Negative), ("quantly in a room", Neutral)]
    {
        assert_eq!(model.classify(text).0, expected, "{text}");
    }
}

#[test]
fn what_cannot_be_trained_says_why() {
    let only: Vec<Example> = small().into_iter().filter(|e| e.label != Neutral).collect();
    let error = train(&only, &[], TrainOptions::default(), "").unwrap_err();
    assert_eq!(error, TrainError::Class("neutral"));
    let error = train(&small(), &[], TrainOptions { seed: 1, epochs: 1 }, &"x".repeat(20_000)).unwrap_err();
    assert!(matches!(error, TrainError::Provenance(n) if n > 20_000), "{error}");
}

fn labels(corpus: &Corpus) -> Vec<(&str, super::Sentiment, f32)> {
    corpus.examples.iter().map(|e| (e.text.as_str(), e.label, e.weight)).collect()
}

#[test]
fn data_sets_are_told_apart() {
    let groups = "great\t3\te1\nbad\t1\te2\nit is\t2\te3\nreally?\t0\te4\nboth\t1,3\te5\n\"so \"\"good\"\"\"\t2,3\te6\n";
    let found = read_corpus("g", groups, &READING).unwrap();
    assert_eq!((found.shape, found.left_out), (Shape::Groups, 1));
    assert_eq!(
        labels(&found),
        [
            ("great", Positive, 1.0),
            ("bad", Negative, 1.0),
            ("it is", Neutral, 1.0),
            ("really?", Neutral, 0.5),
            ("so \"good\"", Positive, 0.5)
        ]
    );
    let clear = read_corpus("g", groups, &ReadOptions { clear_only: true, ..READING }).unwrap();
    assert_eq!((clear.examples.len(), clear.left_out), (3, 3));
    // The same ids with one that only emotions have: 1 is amusement, 2 anger, 3 annoyance.
    let found = read_corpus("e", "a b\t1\te1\nc\t2,3\te2\nd\t27\te3\ne\t6\te4\n", &READING).unwrap();
    assert_eq!(found.shape, Shape::Emotions);
    assert_eq!(
        labels(&found),
        [("a b", Positive, 1.0), ("c", Negative, 1.0), ("d", Neutral, 1.0), ("e", Neutral, 0.5)]
    );
    let forced = ReadOptions { ids: Ids::Emotions, ..READING };
    assert_eq!(read_corpus("e", "a b\t1\te1\n", &forced).unwrap().shape, Shape::Emotions);
    let found = read_corpus("v", "1_1\t0.5\tso so\n2\t-0.6\tno good\n3\t4\tthe best\n", &READING).unwrap();
    assert_eq!(found.shape, Shape::Ratings);
    assert_eq!(
        labels(&found),
        [("so so", Neutral, 1.0), ("no good", Negative, 1.0), ("the best", Positive, 1.0)]
    );
    let found = read_corpus("l", "# a comment\nnegative\tx\n\n0\ty\n1\tz\n", &READING).unwrap();
    assert_eq!(found.shape, Shape::Labels);
    assert_eq!(labels(&found), [("x", Negative, 1.0), ("y", Neutral, 1.0), ("z", Positive, 1.0)]);
}

#[test]
fn lines_that_do_not_fit_are_named() {
    let said = |text: &str| read_corpus("data.tsv", text, &READING).unwrap_err().to_string();
    insta::assert_snapshot!(
        [
            "",
            "just a text\n",
            "negative\tx\nbad\ty\n",
            "negative\tx\nnothing\n",
            "1\t0.5\ta text\n2\tmany\ta text\n",
            "1\t0.5\ta text\n2\n",
            "a\t3\te1\nb\tx\te2\n",
            "a\t3\te1\nb\t28\te2\n",
            "a\t3\te1\nb\n",
        ]
        .map(said)
        .join("\n")
    );
}

#[test]
fn the_own_examples_are_written_out() {
    let examples = own_examples(1).unwrap();
    assert_eq!(examples, own_examples(1).unwrap());
    assert_ne!(examples, own_examples(2).unwrap());
    for label in [Negative, Neutral, Positive] {
        assert!(examples.iter().filter(|e| e.label == label).count() > 300);
    }
    for example in &examples {
        assert!(!example.text.contains(['(', ')', '|', '\t']), "{}", example.text);
        assert!(example.text.len() > 2 && example.text.trim() == example.text, "{}", example.text);
    }
}

#[test]
fn measures() {
    let mut confusion = Confusion::default();
    assert_eq!((confusion.macro_recall(), confusion.macro_f1(), confusion.accuracy()), (None, None, None));
    for (label, found) in
        [(Negative, Negative), (Negative, Neutral), (Positive, Positive), (Positive, Positive)]
    {
        confusion.add(label, found);
    }
    // No neutral text: its recall is unknown, not zero.
    assert_eq!(confusion.recalls(), [Some(0.5), None, Some(1.0)]);
    assert_eq!(confusion.precisions(), [Some(1.0), Some(0.0), Some(1.0)]);
    assert_eq!(confusion.macro_recall(), Some(0.75));
    assert_eq!(confusion.accuracy(), Some(0.75));
    assert!((confusion.macro_f1().unwrap() - (2.0 / 3.0 + 1.0) / 2.0).abs() < 1e-12);
}

proptest! {
    #[test]
    fn any_text_is_read(text in r"(\PC|[@#\[\]:/.!?\n ']|http|good|not|[a-z]{1,40}|[\u{80}-\u{2FFFF}]){0,60}") {
        let model = SentimentModel::built_in().unwrap();
        let (found, score) = model.classify(&text);
        prop_assert!((-1.0..=1.0).contains(&score));
        prop_assert!(found == Neutral || (found == Positive) == (score > 0.0), "{:?} {}", found, score);
        prop_assert_eq!(model.classify(&text), (found, score));
    }

    #[test]
    fn any_bytes_are_a_model_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64), at in 0..FILE.len()) {
        prop_assert!(SentimentModel::read(&bytes).is_err());
        let mut changed = FILE.to_vec();
        changed[at] ^= 0x10;
        prop_assert!(SentimentModel::read(&changed).is_err());
    }
}

/// What the README says the model is worth, on data that lies beside the checkout. VADER's
/// numbers are those of its Python reference on the same files.
#[test]
fn better_than_vader_where_the_data_is() {
    let shared = std::env::var_os("RXPULSE_SHARED").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        std::path::PathBuf::from,
    );
    if !shared.join("data/goemotions").is_dir() {
        eprintln!("skipped: no labelled texts in ../shared/data (RXPULSE_SHARED names another place)");
        return;
    }
    let model = SentimentModel::built_in().unwrap();
    for (file, neutral, vader, bar) in [
        ("goemotions/test.tsv", 0.5, 0.641, 0.70),
        ("vader_ground_truth/amazonReviewSnippets_GroundTruth.txt", 0.25, 0.569, 0.59),
        ("vader_ground_truth/amazonReviewSnippets_GroundTruth.txt", 0.5, 0.568, 0.59),
        ("vader_ground_truth/amazonReviewSnippets_GroundTruth.txt", 1.0, 0.576, 0.62),
        ("vader_ground_truth/tweets_GroundTruth.txt", 0.5, 0.703, 0.72),
    ] {
        let path = shared.join("data").join(file);
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let options = ReadOptions { neutral, clear_only: true, ..READING };
        let corpus = read_corpus(file, &text, &options).unwrap();
        let recall = evaluate(&model, &corpus.examples).macro_recall().unwrap();
        eprintln!("{file} at {neutral}: {recall:.3} (VADER {vader})");
        assert!(recall >= bar && recall > vader, "{file} at {neutral}: {recall:.3}");
    }
}
