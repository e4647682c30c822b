//! SQL as text: one parsed SELECT, what it reads and calls, what is wrong with it, and the
//! normal form that versions are made of.
//!
//! Invariant: spans are byte ranges of the text that was parsed. Knows no engine and no file;
//! sqlparser is the only library. Pure: may not block.

mod functions;
mod lint;
mod parse;
mod portable;
mod portable_functions;
mod source;
#[cfg(test)]
mod tests;
mod walk;

pub use functions::{RxFunction, Uses, rx_function, rx_functions};
pub use parse::{Query, RxCall, TableUse, parse};
