//! Which days have lost their texts, as the lake remembers it.
//!
//! A log of records in the lake, each of which says everything that was known when it was
//! written, and up to which record that was. What counts is the union of the records that no
//! other one has seen, so that two processes that write at once lose nothing of each other; those
//! that were seen go. A day is in the log before the first of its texts is taken away. Blocks on
//! the lake.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::graph::{Day, DayRange};
use crate::lake::{Lake, LakeError};

/// The kind of the lake's records of days without texts.
const TEXTS: &str = "texts";
/// The name of their one log.
const DAYS: &str = "days";

/// What is known of days and their texts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Texts {
    /// Days whose posts keep no text: whatever comes of them is captured without.
    pub days: Arc<BTreeSet<Day>>,
    /// Of these, days whose older versions may still lie in the lake.
    pub open: BTreeSet<Day>,
    /// The last record that was read.
    last: u64,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Record {
    /// The last record that this one has seen.
    seen: u64,
    days: Vec<Stretch>,
    open: Vec<Stretch>,
}

/// First and last day.
type Stretch = (Day, Day);

impl Texts {
    /// Reads what the lake remembers.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn read(lake: &Lake) -> Result<Self, LakeError> {
        let mut records = Vec::new();
        for (number, path) in lake.list_records(TEXTS, DAYS)? {
            let bytes = match lake.read_record(TEXTS, DAYS, number) {
                // A newer one that has seen it took its place since it was listed.
                Err(LakeError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                    return Self::read(lake);
                }
                other => other?,
            };
            let record: Record = serde_json::from_slice(&bytes)
                .map_err(|e| LakeError::Corrupt { path, why: format!("it is no list of days: {e}") })?;
            records.push((number, record));
        }
        Ok(Self::folded(&records))
    }

    fn folded(records: &[(u64, Record)]) -> Self {
        let seen = records.iter().map(|(_, r)| r.seen).max().unwrap_or(0);
        let (mut days, mut open) = (BTreeSet::new(), BTreeSet::new());
        for (_, record) in records.iter().filter(|(number, _)| *number > seen) {
            days.extend(record.days.iter().flat_map(spread));
            open.extend(record.open.iter().flat_map(spread));
        }
        let last = records.iter().map(|(number, _)| *number).max().unwrap_or(0);
        Self { days: Arc::new(days), open, last }
    }

    /// Remembers that these days keep no text from now on.
    ///
    /// # Errors
    /// When the lake refuses.
    pub fn begin(&mut self, lake: &Lake, days: &BTreeSet<Day>) -> Result<(), LakeError> {
        Arc::make_mut(&mut self.days).extend(days);
        self.open.extend(days);
        self.write(lake)
    }

    /// Remembers that nothing of these days is left anywhere.
    ///
    /// # Errors
    /// When the lake refuses.
    pub fn end(&mut self, lake: &Lake, days: &BTreeSet<Day>) -> Result<(), LakeError> {
        self.open.retain(|day| !days.contains(day));
        self.write(lake)
    }

    fn write(&mut self, lake: &Lake) -> Result<(), LakeError> {
        let record = Record { seen: self.last, days: stretches(&self.days), open: stretches(&self.open) };
        // Numbers and days: it cannot fail to serialize.
        let bytes = serde_json::to_vec(&record).unwrap_or_default();
        let number = lake.append_record(TEXTS, DAYS, &bytes)?;
        for (old, _) in lake.list_records(TEXTS, DAYS)?.into_iter().filter(|(old, _)| *old <= self.last) {
            lake.remove_record(TEXTS, DAYS, old)?;
        }
        // What another process wrote in between is not seen yet, and counts beside this one.
        if number == self.last + 1 {
            self.last = number;
            return Ok(());
        }
        *self = Self::read(lake)?;
        Ok(())
    }
}

fn spread(stretch: &Stretch) -> impl Iterator<Item = Day> + use<> {
    DayRange::new(stretch.0, stretch.1).into_iter().flat_map(|days| days.iter())
}

fn stretches(days: &BTreeSet<Day>) -> Vec<Stretch> {
    let mut out: Vec<Stretch> = Vec::new();
    for &day in days {
        match out.last_mut() {
            Some((_, last)) if last.plus(1) == day => *last = day,
            _ => out.push((day, day)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lake() -> (tempfile::TempDir, Lake) {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&folder.path().join("lake"), "UTC").unwrap();
        (folder, lake)
    }

    fn days(list: &[&str]) -> BTreeSet<Day> {
        list.iter().map(|d| d.parse().unwrap()).collect()
    }

    #[test]
    fn what_was_begun_and_ended_is_read_again_from_one_record() {
        let (_folder, lake) = lake();
        let mut texts = Texts::read(&lake).unwrap();
        assert_eq!(texts, Texts::default());
        let all = days(&["2024-02-28", "2024-02-29", "2024-03-01", "2024-05-01"]);
        texts.begin(&lake, &all).unwrap();
        let read = Texts::read(&lake).unwrap();
        assert_eq!((&*read.days, &read.open), (&all, &all));
        texts.end(&lake, &days(&["2024-05-01"])).unwrap();
        let read = Texts::read(&lake).unwrap();
        assert_eq!(read, texts);
        assert_eq!(*read.days, all);
        assert_eq!(read.open, days(&["2024-02-28", "2024-02-29", "2024-03-01"]));
        assert_eq!(lake.list_records(TEXTS, DAYS).unwrap().len(), 1, "the newest says everything");
    }

    #[test]
    fn two_that_write_at_once_lose_nothing_of_each_other() {
        let (_folder, lake) = lake();
        let mut one = Texts::read(&lake).unwrap();
        one.begin(&lake, &days(&["2024-01-01"])).unwrap();
        let mut other = Texts::read(&lake).unwrap();
        one.begin(&lake, &days(&["2024-01-02"])).unwrap();
        other.begin(&lake, &days(&["2024-01-03"])).unwrap();
        let all = days(&["2024-01-01", "2024-01-02", "2024-01-03"]);
        assert_eq!(*Texts::read(&lake).unwrap().days, all);
        // Who wrote last has read what the other wrote; the next record sees both.
        other.end(&lake, &all).unwrap();
        let read = Texts::read(&lake).unwrap();
        assert_eq!((&*read.days, read.open.len()), (&all, 0));
        assert_eq!(lake.list_records(TEXTS, DAYS).unwrap().len(), 1);
    }
}
