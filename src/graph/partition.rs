//! Partitions: days of the project's time zone, and how a day of one asset maps onto
//! the partitions of another.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

/// A calendar day, counted from 1970-01-01 so that neighbours differ by one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(pub i32);

impl Day {
    /// The day of a calendar date.
    pub fn from_date(date: Date) -> Self {
        let epoch = Date::constant(1970, 1, 1);
        Self((date - epoch).get_days())
    }

    /// The calendar date of this day.
    pub fn date(self) -> Date {
        Date::constant(1970, 1, 1).checked_add(jiff::Span::new().days(self.0)).unwrap_or(if self.0 < 0 {
            Date::MIN
        } else {
            Date::MAX
        })
    }

    /// The day `days` later (earlier when negative).
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text was not a `YYYY-MM-DD` date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a date; write it as YYYY-MM-DD, for example 2026-11-01")]
pub struct DayError(pub String);

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        let wrong = || DayError(text.chars().take(40).collect());
        // Strict on purpose: jiff also reads dates with times, zones and signs.
        let shape = text.len() == 10
            && text.bytes().enumerate().all(|(i, b)| match i {
                4 | 7 => b == b'-',
                _ => b.is_ascii_digit(),
            });
        if !shape {
            return Err(wrong());
        }
        text.parse::<Date>().map(Day::from_date).map_err(|_| wrong())
    }
}

impl serde::Serialize for Day {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Day {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A non-empty run of days, both ends inclusive. The project's days are one such range:
/// partitions outside it do not exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct DayRange {
    /// First day.
    pub start: Day,
    /// Last day, at or after `start`.
    pub end: Day,
}

impl DayRange {
    /// A range, or `None` when `end` is before `start`.
    pub fn new(start: Day, end: Day) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// How many days the range holds (at least 1).
    pub fn len(&self) -> usize {
        (self.end.0 - self.start.0) as usize + 1
    }

    /// Always false: an empty range cannot be made.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether `day` lies in the range.
    pub fn contains(&self, day: Day) -> bool {
        self.start <= day && day <= self.end
    }

    /// The position of `day` from the start, if it lies in the range.
    pub fn slot(&self, day: Day) -> Option<usize> {
        self.contains(day).then(|| (day.0 - self.start.0) as usize)
    }

    /// The day at a position from the start.
    pub fn day(&self, slot: usize) -> Day {
        Day(self.start.0 + slot as i32)
    }

    /// Every day in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Day> + ExactSizeIterator + use<> {
        (self.start.0..self.end.0 + 1).map(Day)
    }

    /// The days both ranges hold.
    pub fn intersect(&self, other: DayRange) -> Option<DayRange> {
        DayRange::new(self.start.max(other.start), self.end.min(other.end))
    }
}

impl fmt::Display for DayRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.start == self.end {
            write!(f, "{}", self.start)
        } else {
            write!(f, "{} … {}", self.start, self.end)
        }
    }
}

/// Which partition of an asset.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartitionKey {
    /// The only partition of an unpartitioned asset.
    Whole,
    /// One day of a daily asset.
    Day(Day),
}

impl PartitionKey {
    /// The day, for a daily partition.
    pub fn day(self) -> Option<Day> {
        match self {
            PartitionKey::Day(day) => Some(day),
            PartitionKey::Whole => None,
        }
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionKey::Day(day) => day.fmt(f),
            PartitionKey::Whole => f.write_str("whole"),
        }
    }
}

impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PartitionKey {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        match text {
            "whole" => Ok(PartitionKey::Whole),
            day => day.parse().map(PartitionKey::Day),
        }
    }
}

impl serde::Serialize for PartitionKey {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for PartitionKey {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How an asset is cut into partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Partitioning {
    /// One partition a day of the project.
    Daily,
    /// One partition for everything.
    None,
}

/// Which partitions of an upstream asset one partition of an asset reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum PartitionMapping {
    /// The same day.
    Same,
    /// The same day and the `days` before it, inside the project's days.
    Trailing {
        /// How many days before the output day are read as well.
        days: u32,
    },
    /// The last day of the project (for an unpartitioned asset).
    Latest,
    /// Every partition (for an unpartitioned asset, or of one).
    All,
}

impl fmt::Display for PartitionMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionMapping::Same => f.write_str("same"),
            PartitionMapping::Trailing { days } => write!(f, "days_before={days}"),
            PartitionMapping::Latest => f.write_str("latest"),
            PartitionMapping::All => f.write_str("all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_round_trip_and_order() {
        for text in ["1970-01-01", "2024-02-29", "2026-11-01", "1969-12-31", "9999-12-31"] {
            assert_eq!(text.parse::<Day>().unwrap().to_string(), text);
        }
        assert_eq!("2024-03-01".parse::<Day>().unwrap().plus(-1).to_string(), "2024-02-29");
    }

    #[test]
    fn odd_dates_are_refused() {
        for text in [
            "2026-13-01",
            "2026-02-29",
            "2026-1-1",
            "+2026-01-01",
            "../etc",
            "",
            "2026-01-01T00",
            "２026-01-0",
        ] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_have_slots() {
        let range = DayRange::new("2026-02-27".parse().unwrap(), "2026-03-02".parse().unwrap()).unwrap();
        assert_eq!(range.len(), 4);
        assert_eq!(range.slot("2026-03-01".parse().unwrap()), Some(2));
        assert_eq!(range.slot("2026-03-03".parse().unwrap()), None);
        assert_eq!(range.day(3).to_string(), "2026-03-02");
        assert_eq!(range.iter().len(), 4);
    }
}
