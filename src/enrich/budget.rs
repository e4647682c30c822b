//! What a run may still spend, never exceeded: every call reserves the most that it can cost
//! before it is made, and settles afterwards. Pure.

use super::usd::Usd;

/// Why no further call may be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spent {
    /// `max_calls` are made.
    Calls,
    /// The next call could cost more than the run may still spend.
    Run,
    /// It could cost more than the day may still cost.
    Day,
}

impl Spent {
    /// The key of the configuration that says so.
    pub fn key(self) -> &'static str {
        match self {
            Spent::Calls => "max_calls",
            Spent::Run => "max_usd_per_run",
            Spent::Day => "max_usd_per_day",
        }
    }
}

/// The limits of a run and what is left of them.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    max_calls: Option<u64>,
    per_run: Option<Usd>,
    /// Left of the day when the run began.
    left_today: Option<Usd>,
    calls: u64,
    spent: Usd,
    reserved: Usd,
}

/// Money set aside for one call.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a call that is not settled keeps its money"]
pub struct Reserved(Usd);

impl Budget {
    /// The limits: calls, dollars of the run, dollars of the day of which `today` are spent.
    pub fn new(max_calls: Option<u64>, per_run: Option<Usd>, per_day: Option<Usd>, today: Usd) -> Self {
        Self { max_calls, per_run, left_today: per_day.map(|d| d.minus(today)), ..Self::default() }
    }

    /// Sets aside what one call can cost at most, and counts the call.
    ///
    /// # Errors
    /// Which limit forbids it. What calls under way give back may allow it later; see
    /// [`is_waiting`](Self::is_waiting).
    pub fn reserve(&mut self, at_most: Usd) -> Result<Reserved, Spent> {
        if self.max_calls.is_some_and(|max| self.calls >= max) {
            return Err(Spent::Calls);
        }
        let then = self.spent + self.reserved + at_most;
        if self.per_run.is_some_and(|limit| then > limit) {
            return Err(Spent::Run);
        }
        if self.left_today.is_some_and(|left| then > left) {
            return Err(Spent::Day);
        }
        self.calls += 1;
        self.reserved += at_most;
        Ok(Reserved(at_most))
    }

    /// The call is over; `cost` is what it cost, all that was set aside when nobody knows.
    pub fn settle(&mut self, reserved: Reserved, cost: Option<Usd>) {
        self.reserved = self.reserved.minus(reserved.0);
        self.spent += cost.unwrap_or(reserved.0);
    }

    /// The call was never sent: as if it had not been asked for.
    pub fn give_back(&mut self, reserved: Reserved) {
        self.reserved = self.reserved.minus(reserved.0);
        self.calls = self.calls.saturating_sub(1);
    }

    /// Whether calls under way hold money that may come back.
    pub fn is_waiting(&self) -> bool {
        self.reserved > Usd::ZERO
    }

    /// Calls made or under way.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// What they cost, with what is not known at its most.
    pub fn spent(&self) -> Usd {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_limit_holds_by_itself() {
        let mut budget = Budget::new(Some(2), None, None, Usd::ZERO);
        let _one = budget.reserve(Usd(5)).unwrap();
        let _two = budget.reserve(Usd(5)).unwrap();
        assert_eq!(budget.reserve(Usd(0)).unwrap_err(), Spent::Calls);
        let mut budget = Budget::new(None, Some(Usd(10)), Some(Usd(100)), Usd(95));
        assert_eq!(budget.reserve(Usd(11)).unwrap_err(), Spent::Run);
        assert_eq!(budget.reserve(Usd(6)).unwrap_err(), Spent::Day);
        let held = budget.reserve(Usd(5)).unwrap();
        assert_eq!(budget.reserve(Usd(1)).unwrap_err(), Spent::Day);
        assert!(budget.is_waiting());
        budget.settle(held, Some(Usd(2)));
        assert!(!budget.is_waiting());
        let held = budget.reserve(Usd(3)).unwrap();
        budget.give_back(held);
        assert_eq!((budget.calls(), budget.spent()), (1, Usd(2)));
    }

    proptest! {
        /// Whatever is asked for and however it ends, no more is spent than was allowed.
        #[test]
        fn never_exceeded(limit in 0u64..500, today in 0u64..100, asks in prop::collection::vec((0u64..80, 0u64..=100, any::<bool>()), 0..40)) {
            let mut budget = Budget::new(Some(30), Some(Usd(limit)), Some(Usd(300)), Usd(today));
            let (mut held, mut truly) = (Vec::new(), 0);
            for (most, percent, at_once) in asks {
                if let Ok(r) = budget.reserve(Usd(most)) {
                    let cost = most * percent / 100;
                    truly += cost;
                    held.push((r, cost));
                }
                if at_once {
                    for (r, cost) in held.drain(..) {
                        budget.settle(r, Some(Usd(cost)));
                    }
                }
            }
            prop_assert!(truly <= limit && truly + today <= 300.max(today));
            prop_assert!(budget.calls() <= 30);
        }
    }
}
