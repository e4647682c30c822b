//! What people say of posts: remembered in the lake, offered as the table `labels`.
//!
//! Each label is a record of its own that is only ever added; for every field the newest record
//! that sets or clears it counts. Invariant: the rows of a day, and so the version of that day,
//! are a function of the records alone. Blocks on the lake.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMillisecondArray};
use datafusion::arrow::error::ArrowError;

use crate::config::SystemTable;
use crate::graph::{DataVersion, Day};
use crate::lake::{Lake, LakeError};
use crate::source::Traces;
use crate::state::State;

use super::system;
use super::world::WorldError;

/// The kind of the lake's records of labels.
pub const LABELS: &str = "labels";
/// The name of their one log.
const POSTS: &str = "posts";

/// What a person can say of a post.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelField {
    /// Its issue type, an id of the taxonomy.
    IssueType,
    /// How it sounds: `positive`, `neutral`, `negative`.
    Sentiment,
    /// Its risk level: `low`, `medium`, `high`.
    Risk,
    /// Whose concern the risk is: `patient_safety`, `privacy`, `legal`, `financial`, `retention`.
    RiskCategory,
    /// What it is about, an id of the themes.
    Theme,
    /// What to do about it, an id of the actions.
    Action,
    /// Anything else, in free words. No table shows it.
    Note,
}

impl LabelField {
    /// All of them, in the order in which they are shown.
    pub const ALL: [LabelField; 7] = [
        LabelField::IssueType,
        LabelField::Sentiment,
        LabelField::Risk,
        LabelField::RiskCategory,
        LabelField::Theme,
        LabelField::Action,
        LabelField::Note,
    ];

    /// The word on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            LabelField::IssueType => "issue_type",
            LabelField::Sentiment => "sentiment",
            LabelField::Risk => "risk",
            LabelField::RiskCategory => "risk_category",
            LabelField::Theme => "theme",
            LabelField::Action => "action",
            LabelField::Note => "note",
        }
    }
}

/// One thing that one person said of one post at one time.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct LabelRecord {
    /// Platform and native id, as in silver.
    pub post_id: String,
    /// The post's day.
    pub day: Day,
    /// What these fields are from now on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<LabelField, String>,
    /// What nobody says any more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub clear: BTreeSet<LabelField>,
    /// Who.
    pub by: String,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
}

/// One field of a post as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// What it is.
    pub value: String,
    /// Who said so.
    pub by: String,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
}

/// What stands of one post.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostLabels {
    /// The post's day, as the newest record has it.
    pub day: Day,
    /// Fields that somebody has set; never empty.
    pub fields: BTreeMap<LabelField, Said>,
}

impl PostLabels {
    /// The value of a field.
    pub fn value(&self, field: LabelField) -> Option<&str> {
        self.fields.get(&field).map(|said| said.value.as_str())
    }

    /// Who has set some of its fields, in order of name.
    pub fn by(&self, fields: impl Fn(LabelField) -> bool) -> String {
        let people: BTreeSet<&str> =
            self.fields.iter().filter(|(f, _)| fields(**f)).map(|(_, said)| said.by.as_str()).collect();
        people.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// When the newest of some of its fields was set, milliseconds since 1970 UTC.
    pub fn at_ms(&self, fields: impl Fn(LabelField) -> bool) -> i64 {
        self.fields.iter().filter(|(f, _)| fields(**f)).map(|(_, said)| said.at_ms).max().unwrap_or_default()
    }
}

/// What the table `labels` shows: everything but notes.
fn shown(field: LabelField) -> bool {
    field != LabelField::Note
}

/// Everything that people have said and not taken back.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// By post id.
    pub posts: BTreeMap<String, PostLabels>,
}

impl Labels {
    /// Takes a record in. Records come in the order of their numbers.
    pub fn take(&mut self, record: &LabelRecord) {
        let day = record.day;
        let post = self
            .posts
            .entry(record.post_id.clone())
            .or_insert_with(|| PostLabels { day, fields: BTreeMap::new() });
        post.day = day;
        post.fields.retain(|field, _| !record.clear.contains(field));
        for (field, value) in &record.set {
            let said = Said { value: value.clone(), by: record.by.clone(), at_ms: record.at_ms };
            post.fields.insert(*field, said);
        }
        if post.fields.is_empty() {
            self.posts.remove(&record.post_id);
        }
    }

    /// What to say of labels that name an issue type which the taxonomy has lost: the checks of
    /// their days fail, and would not say why.
    pub fn lost_issue_types(&self, is_known: impl Fn(&str) -> bool) -> Option<String> {
        let named = self.posts.iter().filter_map(|(id, p)| Some((id, p.value(LabelField::IssueType)?)));
        let mut lost = named.filter(|(_, issue)| !is_known(issue));
        let (id, issue) = lost.next()?;
        let more = match lost.count() {
            0 => String::new(),
            n => format!(" (and {n} more: rxpulse label list)"),
        };
        Some(format!(
            "somebody gave {id} the issue type `{issue}`, which assets/issue_taxonomy.toml has no more{more}; \
             rxpulse label {id} --issue-type ANOTHER, or --clear issue_type"
        ))
    }

    /// The days that have a row.
    pub fn days(&self) -> BTreeSet<Day> {
        self.posts.values().filter(|p| p.fields.keys().any(|f| shown(*f))).map(|p| p.day).collect()
    }

    /// The rows of a day, by post id.
    fn of(&self, day: Day) -> Vec<(&str, &PostLabels)> {
        self.posts
            .iter()
            .filter(|(_, post)| post.day == day && post.fields.keys().any(|f| shown(*f)))
            .map(|(id, post)| (id.as_str(), post))
            .collect()
    }

    /// The version of a day without a label.
    pub fn no_version() -> DataVersion {
        DataVersion::of(b"labels: none")
    }

    /// The version of a day's rows.
    pub fn version(&self, day: Day) -> DataVersion {
        let rows = self.of(day);
        if rows.is_empty() {
            return Self::no_version();
        }
        let mut hasher = blake3::Hasher::new();
        for (id, post) in rows {
            let fields: Vec<_> = post.fields.iter().filter(|(f, _)| shown(**f)).collect();
            hasher.update(format!("{id:?} {fields:?}\n").as_bytes());
        }
        DataVersion::finish(&hasher)
    }

    /// A day's rows, in key order.
    ///
    /// # Errors
    /// Never in practice: the columns are made for the schema.
    pub fn batch(&self, day: Day) -> Result<RecordBatch, ArrowError> {
        let rows = self.of(day);
        let text = |field| -> ArrayRef {
            Arc::new(StringArray::from_iter(rows.iter().map(|(_, post)| post.value(field))))
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|(id, _)| *id))),
            text(LabelField::IssueType),
            text(LabelField::Sentiment),
            text(LabelField::Risk),
            text(LabelField::RiskCategory),
            text(LabelField::Theme),
            text(LabelField::Action),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, post)| post.by(shown)))),
            Arc::new(TimestampMillisecondArray::from_iter_values(
                rows.iter().map(|(_, post)| post.at_ms(shown)),
            )),
        ];
        RecordBatch::try_new(system::schema(SystemTable::Labels), columns)
    }
}

/// Reads every label; what the database does not hold yet is put into `new`.
///
/// # Errors
/// When lake or database refuse.
pub fn read(
    lake: &Lake,
    state: Option<&State>,
    new: &mut Vec<(String, Vec<u8>)>,
) -> Result<Labels, WorldError> {
    let cached: BTreeMap<String, Vec<u8>> = match state {
        Some(state) => state.cache_all(lake.id(), LABELS)?.into_iter().collect(),
        None => BTreeMap::new(),
    };
    let mut out = Labels::default();
    for (number, path) in lake.list_records(LABELS, POSTS)? {
        let bytes = match cached.get(&number.to_string()) {
            Some(bytes) => bytes.clone(),
            None => {
                let bytes = lake.read_record(LABELS, POSTS, number)?;
                new.push((number.to_string(), bytes.clone()));
                bytes
            }
        };
        // A record whose post was forgotten is empty.
        for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let record: LabelRecord = serde_json::from_slice(line).map_err(|e| LakeError::Corrupt {
                path: path.clone(),
                why: format!("it is not a label: {e}"),
            })?;
            out.take(&record);
        }
    }
    Ok(out)
}

/// Adds what a person said.
///
/// # Errors
/// When the lake refuses.
pub fn add(lake: &Lake, record: &LabelRecord) -> Result<(), LakeError> {
    // Text and numbers: it cannot fail to serialize.
    let bytes = serde_json::to_vec(record).unwrap_or_default();
    lake.append_record(LABELS, POSTS, &bytes).map(|_| ())
}

/// What forgetting posts has taken out of the labels.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ErasedLabels {
    /// Records that were emptied or lost their note.
    pub records: u64,
    /// Days of which the table `labels` loses a row.
    pub days: BTreeSet<Day>,
}

/// Takes the labels of posts (by post id) out of the records, and every note in which a trace of
/// them stands.
///
/// # Errors
/// When the lake refuses.
pub fn erase(lake: &Lake, posts: &BTreeSet<String>, traces: &Traces) -> Result<ErasedLabels, LakeError> {
    let mut out = ErasedLabels::default();
    super::erase::each_record(lake, LABELS, &mut |line| {
        let mut record: LabelRecord = serde_json::from_slice(line).ok()?;
        if posts.contains(&record.post_id) {
            out.records += 1;
            out.days.insert(record.day);
            return Some(Vec::new());
        }
        let told = record.set.get(&LabelField::Note).is_some_and(|note| traces.found_in(note));
        if !told {
            return None;
        }
        record.set.remove(&LabelField::Note);
        out.records += 1;
        serde_json::to_vec(&record).ok()
    })?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn record(post: &str, set: &[(LabelField, &str)], clear: &[LabelField], by: &str) -> LabelRecord {
        LabelRecord {
            post_id: post.into(),
            day: day("2026-08-02"),
            set: set.iter().map(|(f, v)| (*f, (*v).to_string())).collect(),
            clear: clear.iter().copied().collect(),
            by: by.into(),
            at_ms: 1_000,
        }
    }

    fn lake() -> (tempfile::TempDir, Lake) {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().join("lake"), "UTC").unwrap();
        (folder, lake)
    }

    use LabelField::*;

    #[test]
    fn the_newest_word_counts_field_by_field() {
        let mut labels = Labels::default();
        labels.take(&record("reddit:t3_a", &[(IssueType, "STOCK"), (Risk, "high")], &[], "ann"));
        labels.take(&record("reddit:t3_a", &[(Risk, "low"), (Note, "a slip")], &[], "bob"));
        let post = &labels.posts["reddit:t3_a"];
        assert_eq!((post.value(IssueType), post.value(Risk)), (Some("STOCK"), Some("low")));
        assert_eq!(post.by(shown), "ann, bob");
        assert_eq!(post.by(|f| f == Risk), "bob");
        let rows = labels.batch(day("2026-08-02")).unwrap();
        assert_eq!(rows.num_rows(), 1);
        assert_eq!(rows.schema(), system::schema(SystemTable::Labels));

        labels.take(&record("reddit:t3_a", &[], &[IssueType, Risk], "ann"));
        assert_eq!(labels.posts["reddit:t3_a"].fields.len(), 1, "the note stays");
        assert_eq!(labels.batch(day("2026-08-02")).unwrap().num_rows(), 0, "and is no row");
        labels.take(&record("reddit:t3_a", &[], &LabelField::ALL, "ann"));
        assert!(labels.posts.is_empty());
    }

    #[test]
    fn only_the_day_of_the_post_has_another_version() {
        let (first, second) = (day("2026-08-02"), day("2026-08-03"));
        let mut labels = Labels::default();
        assert_eq!(labels.version(first), Labels::no_version());
        labels.take(&record("reddit:t3_a", &[(Sentiment, "negative")], &[], "ann"));
        let version = labels.version(first);
        assert_ne!(version, Labels::no_version());
        assert_eq!(labels.version(second), Labels::no_version());
        assert_eq!(labels.days(), BTreeSet::from([first]));
        // A note is nothing that a table is made of.
        labels.take(&record("reddit:t3_a", &[(Note, "sounds tired")], &[], "ann"));
        labels.take(&record("reddit:t3_b", &[(Note, "ask again")], &[], "ann"));
        assert_eq!(labels.version(first), version);
        labels.take(&record("reddit:t3_a", &[], &[Sentiment], "ann"));
        assert_eq!(labels.version(first), Labels::no_version(), "taken back, it is as before");
    }

    #[test]
    fn records_come_back_in_the_order_in_which_they_were_written() {
        let (_folder, lake) = lake();
        for value in ["low", "medium", "high"] {
            add(&lake, &record("reddit:t3_a", &[(Risk, value)], &[], "ann")).unwrap();
        }
        let mut new = Vec::new();
        let labels = read(&lake, None, &mut new).unwrap();
        assert_eq!(labels.posts["reddit:t3_a"].value(Risk), Some("high"));
        assert_eq!(new.len(), 3);
    }

    #[test]
    fn labels_of_what_is_forgotten_go_and_notes_that_quote_it() {
        let (_folder, lake) = lake();
        add(&lake, &record("reddit:t3_abc", &[(Risk, "high"), (Note, "call them")], &[], "ann")).unwrap();
        add(&lake, &record("reddit:t3_b", &[(Risk, "low"), (Note, "same as t3_abc")], &[], "ann")).unwrap();
        add(&lake, &record("reddit:t3_abcd", &[(Note, "another one")], &[], "ann")).unwrap();
        let mut traces = Traces::default();
        traces.post("reddit", "t3_abc");
        let erased = erase(&lake, &BTreeSet::from(["reddit:t3_abc".to_string()]), &traces).unwrap();
        assert_eq!(erased, ErasedLabels { records: 2, days: BTreeSet::from([day("2026-08-02")]) });
        let labels = read(&lake, None, &mut Vec::new()).unwrap();
        assert_eq!(labels.posts.keys().collect::<Vec<_>>(), ["reddit:t3_abcd", "reddit:t3_b"]);
        assert_eq!(labels.posts["reddit:t3_b"].value(Note), None);
        assert_eq!(labels.posts["reddit:t3_b"].value(Risk), Some("low"));
    }
}
