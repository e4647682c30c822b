//! The `rx_…` functions: their names, arguments and versions. Engines implement exactly these.
//!
//! Invariant: a change of what a function answers raises its `version`, so that everything
//! made with it becomes stale. May not block.

use std::ops::RangeInclusive;

/// What a function reads besides its arguments: an asset that calls it depends on that too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Uses {
    /// Nothing: the answer is a function of the arguments.
    None,
    /// The project's `[brands]`.
    Brand,
    /// The project's issue taxonomy.
    Taxonomy,
}

/// One `rx_…` function that SQL may call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RxFunction {
    /// Its name, in lower case.
    pub name: &'static str,
    /// How many arguments it takes.
    pub args: RangeInclusive<usize>,
    /// The SQL type of its answer.
    pub returns: &'static str,
    /// Raised whenever the same arguments get another answer.
    pub version: u32,
    /// What it reads besides its arguments.
    pub uses: Uses,
    /// The signature and meaning, in one line.
    pub doc: &'static str,
}

const fn function(
    name: &'static str,
    args: RangeInclusive<usize>,
    returns: &'static str,
    uses: Uses,
    doc: &'static str,
) -> RxFunction {
    RxFunction { name, args, returns, version: 1, uses, doc }
}

// Sorted by name: `rx_function` searches it.
static FUNCTIONS: [RxFunction; 16] = [
    function(
        "rx_add_days",
        2..=2,
        "varchar",
        Uses::None,
        "rx_add_days(dt, n): the day `n` days after the day `dt`, as text YYYY-MM-DD",
    ),
    function(
        "rx_also_brands",
        3..=3,
        "list<varchar>",
        Uses::Brand,
        "rx_also_brands(text, platform, channel): the other brands that match, in declared order; `text` is rx_norm-ed",
    ),
    function(
        "rx_also_matched",
        1..=1,
        "list<varchar>",
        Uses::Taxonomy,
        "rx_also_matched(text): the other issue types that match, the strongest first; `text` is rx_norm-ed",
    ),
    function(
        "rx_brand",
        3..=3,
        "varchar",
        Uses::Brand,
        "rx_brand(text, platform, channel): the first declared brand that matches, or NULL; `text` is rx_norm-ed",
    ),
    function(
        "rx_date",
        1..=1,
        "date",
        Uses::None,
        "rx_date(dt): the day written YYYY-MM-DD in `dt`, as a date",
    ),
    function(
        "rx_days_between",
        2..=2,
        "int",
        Uses::None,
        "rx_days_between(dt1, dt2): how many days `dt2` lies after `dt1`, both written YYYY-MM-DD",
    ),
    function(
        "rx_engagement",
        2..=2,
        "bigint",
        Uses::None,
        "rx_engagement(score, num_comments): (1 + max(score, 0)) * (1 + num_comments), NULL counting as 0, saturating",
    ),
    function(
        "rx_epoch_ms",
        1..=1,
        "bigint",
        Uses::None,
        "rx_epoch_ms(timestamp): milliseconds since 1970-01-01 in UTC",
    ),
    function(
        "rx_hash",
        1..=8,
        "varchar",
        Uses::None,
        "rx_hash(text, ...): 32 hexadecimal digits over one to eight texts; NULL differs from ''",
    ),
    function(
        "rx_is_customer_voice",
        1..=1,
        "boolean",
        Uses::Taxonomy,
        "rx_is_customer_voice(issue_type): whether posts of this issue type count as customer voice",
    ),
    function(
        "rx_issue_rule",
        1..=1,
        "varchar",
        Uses::Taxonomy,
        "rx_issue_rule(text): the phrase that decided the issue type, or NULL; `text` is rx_norm-ed",
    ),
    function(
        "rx_issue_type",
        1..=1,
        "varchar",
        Uses::Taxonomy,
        "rx_issue_type(text): the issue type of a post, by the taxonomy; `text` is rx_norm-ed",
    ),
    function(
        "rx_ln",
        1..=1,
        "double",
        Uses::None,
        "rx_ln(n): natural logarithm of max(n, 1), rounded to two decimals",
    ),
    function(
        "rx_norm",
        1..=1,
        "varchar",
        Uses::None,
        "rx_norm(text): lower case, plain apostrophes, single spaces; what phrases are matched on",
    ),
    function(
        "rx_regex_replace_all",
        3..=3,
        "varchar",
        Uses::None,
        "rx_regex_replace_all(text, pattern, replacement): every match of the pattern replaced",
    ),
    function(
        "rx_unescape",
        1..=1,
        "varchar",
        Uses::None,
        "rx_unescape(text): HTML entities turned into their characters, once",
    ),
];

/// Every `rx_…` function, sorted by name.
pub fn rx_functions() -> &'static [RxFunction] {
    &FUNCTIONS
}

/// The function of this name (in lower case).
pub fn rx_function(name: &str) -> Option<&'static RxFunction> {
    FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok().map(|at| &FUNCTIONS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_speaks_of_itself() {
        assert!(FUNCTIONS.windows(2).all(|w| w[0].name < w[1].name));
        for f in rx_functions() {
            assert_eq!(rx_function(f.name), Some(f));
            assert!(f.doc.starts_with(&format!("{}(", f.name)), "{}", f.doc);
            assert!(f.version >= 1 && !f.args.is_empty());
        }
        assert_eq!(rx_function("rx_nrom"), None);
    }
}
