//! Money and tokens, exactly: integers from the price list to the sum. Pure.
//!
//! A price is USD per million tokens; a millionth of a millionth of a dollar (a pico-dollar) is
//! the unit of every sum, so that a thousand calls add up to what the provider bills.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// Pico-dollars in a dollar.
const PICO: u64 = 1_000_000_000_000;

/// An amount of US dollars, in pico-dollars. Sums stop at 18 million dollars instead of turning
/// over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Usd(pub u64);

impl Usd {
    /// Nothing.
    pub const ZERO: Usd = Usd(0);

    /// From dollars as a person writes them; negative and unreal amounts are nothing.
    pub fn from_dollars(dollars: f64) -> Self {
        // `as` stops at the ends of the range and makes NaN nothing.
        Usd((dollars * PICO as f64).round() as u64)
    }

    /// In dollars, for tables and people; sums are made before.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / PICO as f64
    }

    /// What is left after `other`; nothing when that is more.
    pub fn minus(self, other: Usd) -> Usd {
        Usd(self.0.saturating_sub(other.0))
    }
}

impl Add for Usd {
    type Output = Usd;
    fn add(self, other: Usd) -> Usd {
        Usd(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Usd) {
        *self = *self + other;
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Usd>>(amounts: I) -> Usd {
        amounts.fold(Usd::ZERO, Usd::add)
    }
}

impl fmt::Display for Usd {
    /// Cents where there are some, else as many digits as it takes: `$1.20`, `$0.0034`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("$0");
        }
        let digits = match self.0 {
            n if n >= PICO / 10 => 2,
            n if n >= PICO / 10_000 => 4,
            _ => 6,
        };
        write!(f, "${:.digits$}", self.dollars())
    }
}

/// What a call read and wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Tokens {
    /// Read, those from the provider's cache included.
    pub prompt: u64,
    /// Of these, read from the provider's cache.
    pub cached: u64,
    /// Written as the answer.
    pub candidates: u64,
    /// Written while thinking, billed like the answer.
    pub thoughts: u64,
}

impl Add for Tokens {
    type Output = Tokens;
    fn add(self, other: Tokens) -> Tokens {
        Tokens {
            prompt: self.prompt.saturating_add(other.prompt),
            cached: self.cached.saturating_add(other.cached),
            candidates: self.candidates.saturating_add(other.candidates),
            thoughts: self.thoughts.saturating_add(other.thoughts),
        }
    }
}

/// What a token costs, in pico-dollars.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rates {
    /// Read.
    pub input: Usd,
    /// Written.
    pub output: Usd,
    /// Read from the provider's cache.
    pub cached_input: Usd,
}

impl Rates {
    /// From prices in USD per million tokens. Without a price of its own, what comes from the
    /// cache costs as much as other input.
    pub fn per_million(input: f64, output: f64, cached_input: Option<f64>) -> Self {
        let each = |price: f64| Usd::from_dollars(price / 1e6);
        Self { input: each(input), output: each(output), cached_input: each(cached_input.unwrap_or(input)) }
    }

    /// Half of it, as batches cost; rounded up.
    pub fn halved(self) -> Self {
        let half = |u: Usd| Usd(u.0.div_ceil(2));
        Self { input: half(self.input), output: half(self.output), cached_input: half(self.cached_input) }
    }

    /// What a call costs: `(prompt − cached)·in + cached·cached_in + (candidates + thoughts)·out`.
    pub fn cost(self, tokens: Tokens) -> Usd {
        let of = |rate: Usd, n: u64| Usd(rate.0.saturating_mul(n));
        let cached = tokens.cached.min(tokens.prompt);
        of(self.input, tokens.prompt - cached)
            + of(self.cached_input, cached)
            + of(self.output, tokens.candidates.saturating_add(tokens.thoughts))
    }

    /// What a call can cost at most: a token is at least a byte of the request, and the answer
    /// has at most `output` tokens, thoughts included.
    pub fn at_most(self, request_bytes: u64, output: u64) -> Usd {
        let input = self.input.max(self.cached_input);
        Usd(input.0.saturating_mul(request_bytes)) + Usd(self.output.0.saturating_mul(output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_costs_what_its_tokens_cost() {
        let rates = Rates::per_million(0.30, 2.50, Some(0.03));
        let tokens = Tokens { prompt: 1_000, cached: 400, candidates: 200, thoughts: 50 };
        // 600 × 0.30 + 400 × 0.03 + 250 × 2.50, each by a million.
        assert_eq!(rates.cost(tokens), Usd(180_000_000 + 12_000_000 + 625_000_000));
        assert_eq!(rates.cost(tokens).dollars(), 0.000_817);
        assert_eq!(rates.halved().cost(tokens), Usd(817_000_000 / 2));
    }

    #[test]
    fn more_from_the_cache_than_was_read_is_all_of_it() {
        let rates = Rates::per_million(1.0, 1.0, Some(0.5));
        assert_eq!(rates.cost(Tokens { prompt: 2, cached: 5, ..Tokens::default() }), Usd(1_000_000));
    }

    #[test]
    fn prices_with_many_digits_are_exact() {
        assert_eq!(Rates::per_million(0.0375, 0.0, None).input, Usd(37_500));
        assert_eq!((0..1_000_000).map(|_| Usd(37_500)).sum::<Usd>().dollars(), 0.0375);
    }

    #[test]
    fn amounts_are_read_and_shown() {
        assert_eq!(Usd::from_dollars(1.0), Usd(PICO));
        assert_eq!(Usd::from_dollars(-3.0), Usd::ZERO);
        assert_eq!(Usd::from_dollars(f64::NAN), Usd::ZERO);
        assert_eq!(Usd::from_dollars(1e300), Usd(u64::MAX));
        let shown = [0.0, 1.2, 0.5, 0.0034, 0.000_817].map(|d| Usd::from_dollars(d).to_string());
        assert_eq!(shown, ["$0", "$1.20", "$0.50", "$0.0034", "$0.0008"]);
    }
}
