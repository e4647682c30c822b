//! `rxpulse model train|eval|show`: the sentiment model inside the embedded provider.
//!
//! Needs a project only for the default places. Training holds this thread for a minute or so;
//! nothing else runs meanwhile. The file is replaced whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::enrich::{
    Confusion, Corpus, Example, Ids, ReadOptions, SentimentModel, Shape, TrainOptions, evaluate,
    own_examples, read_corpus, train,
};
use crate::output::terminal::{self, bold, dim};
use crate::output::{sanitize, text};
use crate::project;

use super::args::{EmotionIds, Global, LabelledText, Model};
use super::common::{self, CliError, Exit};

/// Runs the command.
pub fn run(global: &Global, args: &Model) -> Exit {
    match args {
        Model::Train { data, dev, out, seed, epochs, reading } => {
            let options = TrainOptions { seed: *seed, epochs: *epochs };
            train_model(global, data, dev, out.as_deref(), options, reading)
        }
        Model::Eval { data, model, reading } => eval(global, data, model.as_deref(), reading),
        Model::Show { model } => show(global, model.as_deref()),
    }
}

fn options(reading: &LabelledText, clear_only: bool) -> Result<ReadOptions, CliError> {
    if !(0.0..4.0).contains(&reading.neutral) {
        return Err(CliError::Usage(format!(
            "--neutral {}: a rating goes from -4 to 4, so give a number from 0 up to 4",
            reading.neutral
        )));
    }
    let ids = match reading.ids {
        None => Ids::Found,
        Some(EmotionIds::Emotions) => Ids::Emotions,
        Some(EmotionIds::Groups) => Ids::Groups,
    };
    Ok(ReadOptions { ids, neutral: reading.neutral, clear_only })
}

fn train_model(
    global: &Global,
    data: &[PathBuf],
    dev: &[PathBuf],
    out: Option<&Path>,
    options: TrainOptions,
    reading: &LabelledText,
) -> Exit {
    let json = common::is_json(global.format)?;
    let out = match out {
        Some(path) => path.to_path_buf(),
        None => {
            project::find(global.project.as_deref())?.join(project::ASSETS).join(project::SENTIMENT_MODEL)
        }
    };
    let mut provenance = String::from("Sentiment model of RxPulse: hashed n-grams and lexicons, linear\n");
    let mut examples: Vec<Example> = Vec::new();
    for path in data {
        let path = if path.is_dir() { path.join("train.tsv") } else { path.clone() };
        let (corpus, hash) = read(&path, &self::options(reading, false)?)?;
        provenance.push_str(&described("data", &path, &corpus, &hash));
        examples.extend(corpus.examples);
    }
    let own = own_examples(options.seed).map_err(|e| CliError::Failed(e.to_string()))?;
    provenance.push_str(&format!("data: RxPulse's own examples (Apache-2.0), {} texts\n", own.len()));
    provenance.push_str("lexicons: RxPulse (Apache-2.0), VADER (MIT, Copyright (c) 2016 C.J. Hutto)\n");
    examples.extend(own);
    let mut dev_sets = Vec::new();
    for path in dev {
        let (corpus, hash) = read(path, &self::options(reading, true)?)?;
        provenance.push_str(&described("dev", path, &corpus, &hash));
        dev_sets.push(corpus.examples);
    }
    if !json && !global.quiet {
        let texts = text::plural(examples.len() as u64, "text");
        let times = text::plural(u64::from(options.epochs), "time");
        terminal::err(&dim(&format!("Training on {texts}, each seen {times}.\n")));
    }
    let bytes =
        train(&examples, &dev_sets, options, &provenance).map_err(|e| CliError::Failed(e.to_string()))?;
    write_whole(&out, &bytes)?;
    let model = SentimentModel::read(&bytes).map_err(|e| CliError::Failed(e.to_string()))?;
    let measured: Vec<(String, Confusion)> =
        dev.iter().zip(&dev_sets).map(|(path, set)| (name_of(path), evaluate(&model, set))).collect();
    if json {
        let value = serde_json::json!({
            "out": out,
            "bytes": bytes.len(),
            "texts": examples.len(),
            "provenance": model.provenance(),
            "dev": measured.iter().map(|(name, c)| measures(name, c)).collect::<Vec<_>>(),
        });
        common::print_json(global.format, &value)?;
        return Ok(0);
    }
    let size = text::plural(bytes.len() as u64, "byte");
    let mut said = format!("{} {} ({size})\n", bold("Written:"), sanitize::line(&out.display().to_string()));
    if !measured.is_empty() {
        said.push_str(&table(&measured));
    }
    terminal::out(&said);
    Ok(0)
}

/// One line of the provenance: no path, which tells of somebody's machine.
fn described(role: &str, path: &Path, corpus: &Corpus, hash: &str) -> String {
    let name = match corpus.shape {
        Shape::Emotions | Shape::Groups => "GoEmotions (Apache-2.0)",
        Shape::Ratings => "VADER's ground truth (MIT)",
        Shape::Labels => "labelled texts (licence not stated)",
    };
    format!("{role}: {name}, {}, {} texts, blake3 {hash}\n", name_of(path), corpus.examples.len())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn read(path: &Path, options: &ReadOptions) -> Result<(Corpus, String), CliError> {
    let shown = path.display().to_string();
    let bytes =
        std::fs::read(path).map_err(|error| CliError::Failed(format!("cannot read {shown}: {error}")))?;
    // Old data sets have a byte here and there that is not UTF-8.
    let corpus = read_corpus(&shown, &String::from_utf8_lossy(&bytes), options)
        .map_err(|e| CliError::Failed(e.to_string()))?;
    let hash = blake3::hash(&bytes).to_hex().as_str().chars().take(16).collect();
    Ok((corpus, hash))
}

/// Beside its place first, so that a model is there whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let failed =
        |error: std::io::Error| CliError::Failed(format!("cannot write {}: {error}", path.display()));
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new();
    // Others may read it, as any file of the project; a temporary file alone is private.
    #[cfg(unix)]
    new.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = new.tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// The model asked for: a file, the project's own, or the one inside the program.
fn model_asked(global: &Global, file: Option<&Path>) -> Result<(Arc<SentimentModel>, String), CliError> {
    if let Some(path) = file {
        return Ok((project::read_model(path)?, path.display().to_string()));
    }
    let root = match project::find(global.project.as_deref()) {
        Ok(root) => Some(root),
        // A project that was named has to be there.
        Err(error) if global.project.is_some() => return Err(error.into()),
        Err(_) => None,
    };
    let own = root.as_deref().map(project::sentiment_model).transpose()?.flatten();
    match own {
        Some(model) => Ok((model, format!("{}/{}", project::ASSETS, project::SENTIMENT_MODEL))),
        None => {
            let model = SentimentModel::built_in().map_err(|e| CliError::Failed(e.to_string()))?;
            Ok((model, "inside the program".into()))
        }
    }
}

fn eval(global: &Global, data: &[PathBuf], file: Option<&Path>, reading: &LabelledText) -> Exit {
    let json = common::is_json(global.format)?;
    let (model, place) = model_asked(global, file)?;
    let options = options(reading, true)?;
    let mut measured = Vec::new();
    for path in data {
        let (corpus, _) = read(path, &options)?;
        measured.push((name_of(path), evaluate(&model, &corpus.examples)));
    }
    if json {
        let sets: Vec<_> = measured.iter().map(|(name, c)| measures(name, c)).collect();
        common::print_json(global.format, &serde_json::json!({ "model": place, "sets": sets }))?;
        return Ok(0);
    }
    terminal::out(&format!("{} {}\n{}", dim("model:"), sanitize::line(&place), table(&measured)));
    Ok(0)
}

fn show(global: &Global, file: Option<&Path>) -> Exit {
    let json = common::is_json(global.format)?;
    let (model, place) = model_asked(global, file)?;
    let version: String = model.version().iter().map(|b| format!("{b:02x}")).collect();
    if json {
        let value =
            serde_json::json!({ "model": place, "version": version, "provenance": model.provenance() });
        common::print_json(global.format, &value)?;
        return Ok(0);
    }
    terminal::out(&format!(
        "{} {}\n{} {version}\n{}\n",
        dim("model:"),
        sanitize::line(&place),
        dim("version:"),
        sanitize::block(model.provenance().trim_end())
    ));
    Ok(0)
}

const CLASSES: [&str; 3] = ["negative", "neutral", "positive"];

fn measures(name: &str, confusion: &Confusion) -> serde_json::Value {
    let recalls = confusion.recalls();
    let precisions = confusion.precisions();
    let classes: serde_json::Map<String, serde_json::Value> = CLASSES
        .iter()
        .enumerate()
        .map(|(c, class)| {
            let texts: u32 = confusion.counts[c].iter().sum();
            let value =
                serde_json::json!({ "texts": texts, "recall": recalls[c], "precision": precisions[c] });
            ((*class).to_string(), value)
        })
        .collect();
    serde_json::json!({
        "file": name,
        "texts": confusion.texts(),
        "macro_recall": confusion.macro_recall(),
        "macro_f1": confusion.macro_f1(),
        "accuracy": confusion.accuracy(),
        "classes": classes,
        "confusion": confusion.counts,
    })
}

fn table(measured: &[(String, Confusion)]) -> String {
    let share = |value: Option<f64>| value.map_or_else(|| "-".to_string(), |v| format!("{v:.3}"));
    let rows = measured
        .iter()
        .map(|(name, c)| {
            let [negative, neutral, positive] = c.recalls();
            vec![
                sanitize::short(name, 40),
                c.texts().to_string(),
                share(c.macro_recall()),
                share(c.macro_f1()),
                share(c.accuracy()),
                share(negative),
                share(neutral),
                share(positive),
            ]
        })
        .collect();
    text::table(
        &["file", "texts", "macro recall", "macro F1", "accuracy", "recall neg", "neutral", "positive"],
        rows,
        &[1, 2, 3, 4, 5, 6, 7],
        None,
    )
}
