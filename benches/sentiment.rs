//! How many posts a second one core labels: the sentiment model alone, and with risk, theme and
//! action. On labelled texts as `rxpulse model eval` reads them.
//!
//!     cargo run --release -p rxpulse-benches --bin bench-sentiment -- FILE…
//!
//! One JSON line a file: texts, their mean length in bytes, texts a second (the best of five
//! passes over all of them, one thread), and macro-recall.

use std::time::Instant;

use rxpulse::enrich::{Embedded, Ids, ReadOptions, SentimentModel, evaluate, read_corpus};

const PASSES: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = SentimentModel::built_in()?;
    let embedded = Embedded::new();
    let options = ReadOptions { ids: Ids::Found, neutral: 0.5, clear_only: true };
    for path in std::env::args().skip(1) {
        let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
        let examples = read_corpus(&path, &text, &options)?.examples;
        let texts = examples.len();
        let bytes: usize = examples.iter().map(|e| e.text.len()).sum();
        let best = |run: &dyn Fn() -> f64| {
            let mut most = 0.0_f64;
            let mut sum = 0.0;
            for _ in 0..PASSES {
                let began = Instant::now();
                sum += run();
                most = most.max(texts as f64 / began.elapsed().as_secs_f64());
            }
            // The sum is used, so that nothing is left out.
            if sum.is_nan() { 0.0 } else { most }
        };
        let sentiment = best(&|| examples.iter().map(|e| model.classify(&e.text).1).sum());
        let labels = best(&|| {
            examples.iter().map(|e| embedded.label("", &e.text, "GENERAL_FEEDBACK").sentiment_score).sum()
        });
        println!(
            r#"{{"file": {path:?}, "texts": {texts}, "mean_bytes": {}, "sentiment_per_s": {sentiment:.0}, "labels_per_s": {labels:.0}, "macro_recall": {:.3}}}"#,
            bytes / texts.max(1),
            evaluate(&model, &examples).macro_recall().unwrap_or(0.0),
        );
    }
    Ok(())
}
