//! What a sample source is defined by, its version, and how many posts a day has.

use crate::graph::Day;

use super::corpus;
use super::rng::mix;

/// The version of the shapes and of the mapping. The texts have a hash of their own.
pub const ADAPTER_VERSION: &str = "sample/1";

/// A sample source as configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SampleDef {
    /// The source's name; two sources of other names share no post.
    pub name: String,
    /// Records of a plain day in the first week. The week's rhythm, slow growth and planted
    /// spikes move it; duplicates and late captures come on top.
    pub posts_per_day: u32,
    /// Another seed, other posts.
    pub seed: u64,
    /// Day 0: what is planted is counted from here. Days before it have no posts.
    pub start: Day,
    /// The last day with posts; `None` for a history without end.
    pub end: Option<Day>,
    /// Records in a thousand that are not well formed.
    pub malformed_per_mille: u32,
    /// Records in a thousand that are told a second time, byte for byte.
    pub duplicate_per_mille: u32,
    /// Records in a thousand that are captured again later: edited, removed or rescored.
    pub late_per_mille: u32,
    /// Records in a thousand that are about no brand of the default configuration.
    pub off_brand_per_mille: u32,
}

impl SampleDef {
    /// A source with the usual shares of odd records.
    pub fn new(name: impl Into<String>, posts_per_day: u32, seed: u64, start: Day, end: Option<Day>) -> Self {
        Self {
            name: name.into(),
            posts_per_day,
            seed,
            start,
            end,
            malformed_per_mille: 2,
            duplicate_per_mille: 8,
            late_per_mille: 12,
            off_brand_per_mille: 150,
        }
    }

    /// Days since `start`; `None` outside the history.
    pub(super) fn slot(&self, day: Day) -> Option<u32> {
        let inside = self.start <= day && self.end.is_none_or(|end| day <= end);
        inside.then(|| day.0.abs_diff(self.start.0))
    }

    /// The root of all random streams of this source.
    pub(super) fn root(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes()).update(self.name.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_le_bytes(first)
    }

    fn hash_common(&self, hasher: &mut blake3::Hasher) {
        hasher.update(ADAPTER_VERSION.as_bytes()).update(&[0]);
        hasher.update(blake3::hash(corpus::TEXT.as_bytes()).as_bytes());
        hasher.update(&self.root().to_le_bytes());
        for n in [
            self.posts_per_day,
            self.malformed_per_mille,
            self.duplicate_per_mille,
            self.late_per_mille,
            self.off_brand_per_mille,
        ] {
            hasher.update(&n.to_le_bytes());
        }
    }
}

fn first_half(hasher: &blake3::Hasher) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    out
}

/// The version of the source as a whole: with another one some day may differ.
pub fn version(def: &SampleDef) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    def.hash_common(&mut hasher);
    hasher.update(&def.start.0.to_le_bytes());
    match def.end {
        Some(end) => hasher.update(&[1]).update(&end.0.to_le_bytes()),
        None => hasher.update(&[0]),
    };
    first_half(&hasher)
}

/// The version of one day: equal for two definitions that give the day the same posts, so
/// that a moved `end` makes only the days of its spike again. The time zone is not part of it.
pub fn day_version(def: &SampleDef, day: Day) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    def.hash_common(&mut hasher);
    hasher.update(&day.0.to_le_bytes());
    match def.slot(day) {
        Some(slot) => hasher.update(&slot.to_le_bytes()).update(&spike_percent(def, slot).to_le_bytes()),
        None => hasher.update(b"none"),
    };
    first_half(&hasher)
}

/// Monday to Sunday; the sum is 7.
const WEEK: [f64; 7] = [1.18, 1.12, 1.06, 1.02, 0.97, 0.80, 0.85];

/// How many times the posts of a plain day a day has, spikes apart: rhythm of the week ×
/// growth (toward 1.25 over the years) × a little noise. 0 outside the history.
/// Only sums, products and quotients: the same number on every machine.
pub fn day_weight(def: &SampleDef, day: Day) -> f64 {
    let Some(slot) = def.slot(day) else { return 0.0 };
    // 1970-01-01 was a Thursday.
    let weekday = (i64::from(day.0) + 3).rem_euclid(7) as usize;
    let slot_f = f64::from(slot);
    let growth = 1.0 + 0.25 * slot_f / (slot_f + 180.0);
    let noise = mix(def.root() ^ mix(0x6e6f_6973_6500_0000 + u64::from(slot))) % 1000;
    WEEK[weekday] * growth * (0.94 + 0.00012 * noise as f64)
}

/// Whether a delivery-delay spike is planted on the day.
pub fn is_spike(def: &SampleDef, day: Day) -> bool {
    def.slot(day).is_some_and(|slot| spike_percent(def, slot) > 100)
}

/// Delivery-delay posts of the default brand in percent of a plain day's. What is said in
/// the threads of a spike adds about a fifth to it.
pub(super) fn spike_percent(def: &SampleDef, slot: u32) -> u32 {
    const SHAPE: [u32; 3] = [340, 500, 420];
    let near_end = def.end.and_then(|end| {
        let last = u32::try_from(end.0.checked_sub(def.start.0)?).ok()?;
        // Days 6, 5 and 4 before the last.
        (last >= 29).then(|| (slot + 6).checked_sub(last)).flatten()
    });
    let periodic = (slot % 45).checked_sub(18);
    [near_end, periodic]
        .into_iter()
        .flatten()
        .filter_map(|i| SHAPE.get(i as usize))
        .copied()
        .max()
        .unwrap_or(100)
}

/// App posts of the competitor in percent of a plain day's.
pub(super) fn outage_percent(slot: u32) -> u32 {
    if matches!(slot % 45, 30 | 31) { 500 } else { 100 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn def() -> SampleDef {
        SampleDef::new("sample", 400, 7, day("2026-08-01"), Some(day("2026-10-29")))
    }

    #[test]
    fn a_history_of_30_days_has_a_spike_and_one_near_its_end() {
        for days in 30..120 {
            let end = day("2026-08-01").plus(days - 1);
            let def = SampleDef { end: Some(end), ..def() };
            assert!(is_spike(&def, day("2026-08-19")));
            for back in 4..=6 {
                assert!(is_spike(&def, end.plus(-back)), "{days} days, {back} before the end");
            }
            assert!(!is_spike(&def, end.plus(1)));
        }
        let open = SampleDef { end: None, ..def() };
        let spikes: Vec<u32> = (0..90).filter(|&s| spike_percent(&open, s) > 100).collect();
        assert_eq!(spikes, [18, 19, 20, 63, 64, 65]);
    }

    #[test]
    fn the_week_has_a_rhythm_and_the_years_a_slow_growth() {
        let open = SampleDef { end: None, ..def() };
        let mean = |from: i32, weekday: i32| -> f64 {
            (0..20).map(|w| day_weight(&open, day("2026-08-03").plus(from + 7 * w + weekday))).sum::<f64>()
                / 20.0
        };
        assert!(mean(0, 0) > mean(0, 5) * 1.3, "Monday above Saturday");
        let growth = mean(1400, 2) / mean(0, 2);
        assert!((1.1..1.3).contains(&growth), "{growth}");
        assert_eq!(day_weight(&open, day("2026-07-31")), 0.0);
        assert_eq!(day_weight(&def(), day("2026-10-30")), 0.0);
    }

    #[test]
    fn versions_tell_what_changes() {
        let a = def();
        assert_eq!(version(&a), version(&def()));
        for b in [
            SampleDef { seed: 8, ..def() },
            SampleDef { posts_per_day: 401, ..def() },
            SampleDef { name: "other".into(), ..def() },
            SampleDef { malformed_per_mille: 3, ..def() },
            SampleDef { start: day("2026-08-02"), ..def() },
        ] {
            assert_ne!(version(&a), version(&b), "{b:?}");
            assert_ne!(day_version(&a, day("2026-09-01")), day_version(&b, day("2026-09-01")), "{b:?}");
        }
        let longer = SampleDef { end: Some(day("2026-11-29")), ..def() };
        assert_ne!(version(&a), version(&longer));
        assert_eq!(day_version(&a, day("2026-09-01")), day_version(&longer, day("2026-09-01")));
        assert_ne!(day_version(&a, day("2026-10-24")), day_version(&longer, day("2026-10-24")));
    }
}
