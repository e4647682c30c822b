//! Labelled texts: what data sets write, and how well a model does on them.
//!
//! Three shapes, told apart by the file itself: GoEmotions (`text, ids, comment`), VADER's
//! ratings (`id, mean rating, text`) and plain (`label, text`). Invariant: a line that is none
//! of what its file is made of is an error with its number, never passed over.
//! Pure: no IO, no clock. May not block.

use super::Sentiment;
use super::model::SentimentModel;
use super::model_train::{Dice, Example, class_of};

/// The examples that every training adds: what customers write when no word of it is bad or good.
const EXAMPLES: &str = include_str!("model_examples.tsv");
/// How many sentences of one line of them are taken at most.
const OF_A_LINE: usize = 12;

/// The emotions of GoEmotions by their ids, each with its published group.
const EMOTIONS: [(&str, Group); 28] = [
    ("admiration", Group::Positive),
    ("amusement", Group::Positive),
    ("anger", Group::Negative),
    ("annoyance", Group::Negative),
    ("approval", Group::Positive),
    ("caring", Group::Positive),
    ("confusion", Group::Ambiguous),
    ("curiosity", Group::Ambiguous),
    ("desire", Group::Positive),
    ("disappointment", Group::Negative),
    ("disapproval", Group::Negative),
    ("disgust", Group::Negative),
    ("embarrassment", Group::Negative),
    ("excitement", Group::Positive),
    ("fear", Group::Negative),
    ("gratitude", Group::Positive),
    ("grief", Group::Negative),
    ("joy", Group::Positive),
    ("love", Group::Positive),
    ("nervousness", Group::Negative),
    ("optimism", Group::Positive),
    ("pride", Group::Positive),
    ("realization", Group::Ambiguous),
    ("relief", Group::Positive),
    ("remorse", Group::Negative),
    ("sadness", Group::Negative),
    ("surprise", Group::Ambiguous),
    ("neutral", Group::Neutral),
];

/// The groups by their ids, where a file has groups instead of emotions: by the alphabet.
const GROUPS: [(&str, Group); 4] = [
    ("ambiguous", Group::Ambiguous),
    ("negative", Group::Negative),
    ("neutral", Group::Neutral),
    ("positive", Group::Positive),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Group {
    Ambiguous,
    Negative,
    Neutral,
    Positive,
}

/// How much an example counts whose label is in doubt: two groups, or only an ambiguous one.
const IN_DOUBT: f32 = 0.5;

/// What the ids in a file of GoEmotions mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ids {
    /// Groups when no id is above 3, else emotions.
    #[default]
    Found,
    /// The 28 published emotions.
    Emotions,
    /// The four groups: ambiguous, negative, neutral, positive.
    Groups,
}

/// How a file is read.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ReadOptions {
    /// What the ids of GoEmotions mean.
    pub ids: Ids,
    /// VADER's ratings up to this from 0 are neutral.
    pub neutral: f64,
    /// Keep only examples with one clear label, as for measuring.
    pub clear_only: bool,
}

/// What kind of file it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// GoEmotions with 28 emotions.
    Emotions,
    /// GoEmotions with four groups.
    Groups,
    /// Ratings from -4 to 4.
    Ratings,
    /// A label and a text.
    Labels,
}

impl Shape {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Shape::Emotions => "GoEmotions, 28 emotions",
            Shape::Groups => "GoEmotions, 4 groups",
            Shape::Ratings => "ratings",
            Shape::Labels => "labels",
        }
    }
}

/// The labelled texts of one file.
#[derive(Clone, PartialEq, Debug)]
pub struct Corpus {
    /// How the file is made.
    pub shape: Shape,
    /// Its texts.
    pub examples: Vec<Example>,
    /// Lines left out because people did not agree on one label.
    pub left_out: usize,
}

/// A file is no data set that can be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DataError {
    /// Nothing in it.
    #[error("{file} has no lines")]
    Empty {
        /// Which.
        file: String,
    },
    /// A line is not like the others.
    #[error("{file}:{line}: {why}")]
    Line {
        /// Which.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong and what it should be.
        why: String,
    },
}

/// Reads a file's text. `file` is its name in errors.
///
/// # Errors
/// The first line that does not fit.
pub fn read_corpus(file: &str, text: &str, options: &ReadOptions) -> Result<Corpus, DataError> {
    // A comment has no cells; a text may well begin with the same sign.
    let says = |line: &str| line.contains('\t') || !(line.trim().is_empty() || line.starts_with('#'));
    let lines = || (1..).zip(text.lines()).filter(|(_, line)| says(line));
    let Some((_, first)) = lines().next() else { return Err(DataError::Empty { file: file.to_string() }) };
    let cells: Vec<&str> = first.split('\t').collect();
    let shape = match cells.as_slice() {
        [label, _] if label_of(label).is_some() => Shape::Labels,
        [_, ids, _] if ids_of(ids).is_some() && !is_rating(&cells) => match options.ids {
            Ids::Emotions => Shape::Emotions,
            Ids::Groups => Shape::Groups,
            Ids::Found => {
                let most =
                    lines().filter_map(|(_, l)| ids_of(l.split('\t').nth(1)?)?.into_iter().max()).max();
                if most.is_some_and(|id| usize::from(id) >= GROUPS.len()) {
                    Shape::Emotions
                } else {
                    Shape::Groups
                }
            }
        },
        _ if is_rating(&cells) => Shape::Ratings,
        _ => {
            return Err(DataError::Line {
                file: file.to_string(),
                line: lines().next().map_or(1, |(n, _)| n),
                why: "expected `text, ids, comment` (GoEmotions), `id, mean rating, text` (VADER) or `label, text` with negative, neutral, positive or -1, 0, 1; with tabs between".into(),
            });
        }
    };
    let mut corpus = Corpus { shape, examples: Vec::new(), left_out: 0 };
    for (line, whole) in lines() {
        let example = match shape {
            Shape::Labels => plain(whole),
            Shape::Ratings => rated(whole, options.neutral),
            Shape::Emotions => emotional(whole, &EMOTIONS, options.clear_only),
            Shape::Groups => emotional(whole, &GROUPS, options.clear_only),
        };
        match example {
            Ok(Some(example)) => corpus.examples.push(example),
            Ok(None) => corpus.left_out += 1,
            Err(why) => return Err(DataError::Line { file: file.to_string(), line, why }),
        }
    }
    Ok(corpus)
}

fn label_of(word: &str) -> Option<Sentiment> {
    match word {
        "negative" | "-1" => Some(Sentiment::Negative),
        "neutral" | "0" => Some(Sentiment::Neutral),
        "positive" | "1" => Some(Sentiment::Positive),
        _ => None,
    }
}

fn ids_of(cell: &str) -> Option<Vec<u8>> {
    cell.split(',').map(|id| id.parse().ok()).collect()
}

/// Whether cells are an id of digits, a rating, and a text.
fn is_rating(cells: &[&str]) -> bool {
    let [id, rating, text] = cells else { return false };
    id.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        && rating.parse::<f64>().is_ok_and(|r| r.abs() <= 4.0)
        && text.contains(' ')
}

fn plain(line: &str) -> Result<Option<Example>, String> {
    let (label, text) = line.split_once('\t').ok_or("expected a label, a tab and a text")?;
    let label = label_of(label)
        .ok_or_else(|| format!("`{label}` is no label: use negative, neutral, positive or -1, 0, 1"))?;
    Ok(Some(Example { text: text.to_string(), label, weight: 1.0 }))
}

fn rated(line: &str, neutral: f64) -> Result<Option<Example>, String> {
    let mut cells = line.splitn(3, '\t');
    let (Some(_), Some(rating), Some(text)) = (cells.next(), cells.next(), cells.next()) else {
        return Err("expected an id, a mean rating and a text with tabs between".into());
    };
    let rating: f64 =
        rating.parse().map_err(|_| format!("`{rating}` is no rating: expected a number from -4 to 4"))?;
    let label = match rating {
        r if r > neutral => Sentiment::Positive,
        r if r < -neutral => Sentiment::Negative,
        _ => Sentiment::Neutral,
    };
    Ok(Some(Example { text: text.to_string(), label, weight: 1.0 }))
}

fn emotional(line: &str, table: &[(&str, Group)], clear_only: bool) -> Result<Option<Example>, String> {
    let mut cells = line.split('\t');
    let (Some(text), Some(ids)) = (cells.next(), cells.next()) else {
        return Err("expected a text, ids and a comment with tabs between".into());
    };
    let ids =
        ids_of(ids).ok_or_else(|| format!("`{ids}` are no ids: expected numbers with commas between"))?;
    let mut has = [false; 4];
    for id in ids {
        let (_, group) = table.get(usize::from(id)).ok_or_else(|| {
            format!("there is no id {id}: the last is {} ({})", table.len() - 1, table[table.len() - 1].0)
        })?;
        has[*group as usize] = true;
    }
    let [ambiguous, negative, neutral, positive] = has;
    // Two groups: people saw a feeling and something else; the feeling counts, for less.
    let label = match (negative, positive) {
        (true, true) => return Ok(None),
        (true, false) => Sentiment::Negative,
        (false, true) => Sentiment::Positive,
        (false, false) => Sentiment::Neutral,
    };
    let clear = !ambiguous && u8::from(negative) + u8::from(neutral) + u8::from(positive) == 1;
    if clear_only && !clear {
        return Ok(None);
    }
    // Quoted as CSV is, where a text begins with a quotation mark.
    let text = match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => text.to_string(),
    };
    Ok(Some(Example { text, label, weight: if clear { 1.0 } else { IN_DOUBT } }))
}

/// The project's own examples, written out: the same for the same seed.
///
/// # Errors
/// A line of them that has no label; a test makes sure that there is none.
pub fn own_examples(seed: u64) -> Result<Vec<Example>, DataError> {
    let mut dice = Dice::new(seed);
    let mut out = Vec::new();
    for (line, whole) in (1..).zip(EXAMPLES.lines()) {
        if whole.is_empty() || whole.starts_with('#') {
            continue;
        }
        let example =
            plain(whole).map_err(|why| DataError::Line { file: "model_examples.tsv".into(), line, why })?;
        let Some(Example { text, label, .. }) = example else { continue };
        let mut written: Vec<String> = Vec::new();
        for _ in 0..2 * OF_A_LINE {
            let sentence = one_of(&text, &mut dice);
            if written.len() < OF_A_LINE && !written.contains(&sentence) {
                written.push(sentence);
            }
        }
        out.extend(written.into_iter().map(|text| Example { text, label, weight: 1.0 }));
    }
    // Posts have several sentences: as many again of two or three that sound alike.
    let singles = out.len();
    for i in 0..singles {
        let label = out[i].label;
        let mut text = out[i].text.clone();
        let mut more = 1 + dice.below(2);
        while more > 0 {
            let other = &out[dice.below(singles)];
            if other.label == label {
                text.push_str(". ");
                text.push_str(&other.text);
                more -= 1;
            }
        }
        out.push(Example { text, label, weight: 1.0 });
    }
    Ok(out)
}

/// A sentence with one choice of each `(this|that)`.
fn one_of(text: &str, dice: &mut Dice) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('(') {
        let (choices, after) = after.split_once(')').unwrap_or((after, ""));
        let choices: Vec<&str> = choices.split('|').collect();
        out.push_str(before);
        out.push_str(choices[dice.below(choices.len())]);
        rest = after;
    }
    out.push_str(rest);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How often what was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Confusion {
    /// By the true class, then by the found one: negative, neutral, positive.
    pub counts: [[u32; 3]; 3],
}

impl Confusion {
    /// One more text.
    pub fn add(&mut self, label: Sentiment, found: Sentiment) {
        self.counts[class_of(label)][class_of(found)] += 1;
    }

    /// How many texts there are.
    pub fn texts(&self) -> u32 {
        self.counts.iter().flatten().sum()
    }

    /// Of each class's texts, the share that was found; `None` of a class without texts.
    pub fn recalls(&self) -> [Option<f64>; 3] {
        std::array::from_fn(|c| share(self.counts[c][c], self.counts[c].iter().sum()))
    }

    /// Of the texts found to be of a class, the share that is; `None` when none was.
    pub fn precisions(&self) -> [Option<f64>; 3] {
        std::array::from_fn(|c| share(self.counts[c][c], self.counts.iter().map(|row| row[c]).sum()))
    }

    /// The mean recall of the classes that there are; `None` without texts.
    pub fn macro_recall(&self) -> Option<f64> {
        mean(self.recalls().into_iter().flatten())
    }

    /// The mean of precision and recall taken together, of the classes that there are.
    pub fn macro_f1(&self) -> Option<f64> {
        let both = self.recalls().into_iter().zip(self.precisions());
        mean(both.filter_map(|(recall, precision)| {
            let (recall, precision) = (recall?, precision.unwrap_or(0.0));
            Some(if recall + precision > 0.0 { 2.0 * recall * precision / (recall + precision) } else { 0.0 })
        }))
    }

    /// The share of all texts whose class was found.
    pub fn accuracy(&self) -> Option<f64> {
        share((0..3).map(|c| self.counts[c][c]).sum(), self.texts())
    }
}

fn share(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| f64::from(part) / f64::from(whole))
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0);
    for value in values {
        sum += value;
        n += 1;
    }
    (n > 0).then(|| sum / f64::from(n))
}

/// What a model finds in labelled texts.
pub fn evaluate(model: &SentimentModel, examples: &[Example]) -> Confusion {
    let mut confusion = Confusion::default();
    for example in examples {
        confusion.add(example.label, model.classify(&example.text).0);
    }
    confusion
}
