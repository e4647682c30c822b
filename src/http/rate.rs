//! When the next call to a host may begin. Pure: the time is handed in, in milliseconds of a
//! clock that never jumps.
//!
//! Invariant: two calls are at least the spacing apart; no call begins before the time that a
//! server asked for; a window's last requests are spread over what is left of it.

use super::retry::Limits;

/// A window that is said to last longer is not believed.
const LONGEST_WINDOW_MS: i64 = 86_400_000;
/// Calls are spaced by at most this: a hundred years.
const WIDEST_SPACING_MS: i64 = 100 * 366 * 86_400_000;
/// Two answers that put a window's end no further apart speak of the same window.
const SAME_WINDOW_MS: i64 = 2_500;

/// One host's pace.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    spacing_ms: i64,
    last_ms: Option<i64>,
    window: Option<Window>,
    blocked_until_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    remaining: f64,
    ends_ms: i64,
}

/// Whether a call may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Now; it was booked.
    Go,
    /// Ask again after this many milliseconds: calls are being spaced.
    Space(i64),
    /// Ask again after this many milliseconds: the server wants no call before.
    Limited(i64),
}

impl Pace {
    /// A host whose calls begin at least `spacing_ms` apart.
    pub fn new(spacing_ms: i64) -> Self {
        Self { spacing_ms: spacing_ms.min(WIDEST_SPACING_MS), ..Self::default() }
    }

    /// Widens the spacing; a smaller one than before changes nothing.
    pub fn space(&mut self, spacing_ms: i64) {
        self.spacing_ms = self.spacing_ms.max(spacing_ms.min(WIDEST_SPACING_MS));
    }

    /// The server wants no call before `until_ms`.
    pub fn block(&mut self, until_ms: i64) {
        self.blocked_until_ms = self.blocked_until_ms.max(Some(until_ms));
    }

    /// Asks for a call at `now_ms` and books it when the answer is `Go`.
    pub fn ask(&mut self, now_ms: i64) -> Turn {
        if let Some(until) = self.blocked_until_ms {
            if now_ms < until {
                return Turn::Limited(until - now_ms);
            }
            self.blocked_until_ms = None;
        }
        let mut gap = self.spacing_ms;
        if let Some(window) = &mut self.window {
            let left = window.ends_ms - now_ms;
            if left <= 0 {
                self.window = None;
            } else if window.remaining < 1.0 {
                return Turn::Limited(left);
            } else {
                gap = gap.max((left as f64 / window.remaining) as i64);
            }
        }
        if let Some(wait) = self.last_ms.map(|last| last + gap - now_ms).filter(|wait| *wait > 0) {
            return Turn::Space(wait);
        }
        self.last_ms = Some(now_ms);
        if let Some(window) = &mut self.window {
            window.remaining -= 1.0;
        }
        Turn::Go
    }

    /// What an answer said about the rate limit. Calls that were booked since that answer was
    /// made are known only here, so within one window the smaller number is believed.
    pub fn told(&mut self, now_ms: i64, limits: Limits) {
        let (Some(remaining), Some(reset)) = (limits.remaining, limits.reset) else { return };
        let Ok(left) = i64::try_from(reset.as_millis()) else { return };
        if left <= 0 || left > LONGEST_WINDOW_MS {
            return;
        }
        let ends_ms = now_ms + left;
        self.window = Some(match self.window {
            Some(known) if (known.ends_ms - ends_ms).abs() <= SAME_WINDOW_MS => {
                Window { remaining: remaining.min(known.remaining), ends_ms: ends_ms.max(known.ends_ms) }
            }
            _ => Window { remaining, ends_ms },
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(remaining: f64, reset_s: f64) -> Limits {
        Limits { remaining: Some(remaining), reset: Some(Duration::from_secs_f64(reset_s)) }
    }

    /// The times at which `count` calls begin when somebody always wants to call.
    fn starts(pace: &mut Pace, mut now: i64, count: usize) -> Vec<i64> {
        let mut starts = Vec::new();
        while starts.len() < count {
            match pace.ask(now) {
                Turn::Go => starts.push(now),
                Turn::Space(wait) | Turn::Limited(wait) => {
                    assert!(wait > 0);
                    now += wait;
                }
            }
        }
        starts
    }

    #[test]
    fn without_rules_nothing_waits() {
        assert_eq!(starts(&mut Pace::default(), 7, 3), [7, 7, 7]);
    }

    #[test]
    fn calls_are_spaced_and_the_widest_spacing_holds() {
        let mut pace = Pace::new(500);
        pace.space(2_000);
        pace.space(1_000);
        assert_eq!(starts(&mut pace, 0, 3), [0, 2_000, 4_000]);
        assert_eq!(pace.ask(4_500), Turn::Space(1_500));
        assert_eq!(pace.ask(60_000), Turn::Go);
    }

    #[test]
    fn absurd_times_are_times() {
        let mut pace = Pace::new(i64::MAX);
        pace.space(i64::MAX);
        assert_eq!(pace.ask(5), Turn::Go);
        assert_eq!(pace.ask(6), Turn::Space(WIDEST_SPACING_MS - 1));
        pace.block(i64::MAX);
        assert_eq!(pace.ask(6), Turn::Limited(i64::MAX - 6));
    }

    #[test]
    fn what_is_left_is_spread_over_the_window() {
        let mut pace = Pace::default();
        assert_eq!(pace.ask(0), Turn::Go);
        pace.told(0, limits(10.0, 100.0));
        let times = starts(&mut pace, 0, 11);
        for pair in times[..10].windows(2) {
            assert!((9_990..=10_010).contains(&(pair[1] - pair[0])), "{times:?}");
        }
        // The eleventh is for the next window, of which nothing is known.
        assert!(times[9] < 100_000 + 10 && times[10] >= 100_000, "{times:?}");
    }

    #[test]
    fn at_zero_the_window_is_waited_for() {
        let mut pace = Pace::default();
        pace.told(1_000, limits(0.0, 599.0));
        assert_eq!(pace.ask(1_000), Turn::Limited(599_000));
        assert_eq!(pace.ask(599_999), Turn::Limited(1));
        assert_eq!(pace.ask(600_000), Turn::Go);
    }

    #[test]
    fn late_answers_do_not_give_requests_back() {
        let mut pace = Pace::default();
        pace.told(0, limits(3.0, 60.0));
        assert_eq!(starts(&mut pace, 0, 2), [0, 30_000]);
        // An answer from before those two.
        pace.told(30_000, limits(3.0, 30.0));
        assert_eq!(starts(&mut pace, 30_000, 1), [60_000]);
        // Somebody else used the last one.
        pace.told(61_000, limits(5.0, 59.0));
        pace.told(62_000, limits(0.9, 58.0));
        assert_eq!(pace.ask(62_001), Turn::Limited(57_999));
        // A new window.
        assert_eq!(pace.ask(120_000), Turn::Go);
        pace.told(120_000, limits(99.0, 600.0));
        assert_eq!(pace.ask(120_001), Turn::Space(6_059));
    }

    #[test]
    fn what_a_server_asked_for_holds_for_everyone() {
        let mut pace = Pace::default();
        pace.block(5_000);
        pace.block(3_000);
        assert_eq!(pace.ask(4_999), Turn::Limited(1));
        assert_eq!(pace.ask(5_000), Turn::Go);
        // Times before the clock's zero are times too.
        let mut pace = Pace::default();
        pace.block(-5);
        assert_eq!(pace.ask(-6), Turn::Limited(1));
        assert_eq!(pace.ask(-5), Turn::Go);
    }

    #[test]
    fn nonsense_changes_nothing() {
        let mut pace = Pace::default();
        pace.told(0, limits(0.0, 0.0));
        pace.told(0, limits(0.0, 1e12));
        pace.told(0, Limits { remaining: Some(0.0), reset: None });
        pace.told(0, Limits { remaining: None, reset: Some(Duration::from_secs(60)) });
        assert_eq!(pace.ask(0), Turn::Go);
    }
}
