//! Lends brands and taxonomy to the engine's text functions.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use crate::classify::{Brands, Scratch, Taxonomy};
use crate::engine::{BrandMatcher, IssueClassifier};

thread_local! {
    // Matching needs room to work in; a query's threads keep theirs from row to row.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// Brands as the engine asks them.
pub struct BrandWords(pub Arc<Brands>);

impl BrandMatcher for BrandWords {
    fn key(&self, brand: u16) -> &str {
        self.0.key(brand)
    }

    fn matches(&self, normed: &str, platform: &str, channel: &str, also: &mut Vec<u16>) -> Option<u16> {
        SCRATCH.with_borrow_mut(|scratch| {
            let found = self.0.matches(normed, platform, channel, scratch);
            also.extend(found.also);
            found.brand
        })
    }
}

/// The taxonomy as the engine asks it.
pub struct IssueWords(pub Arc<Taxonomy>);

impl IssueClassifier for IssueWords {
    fn id(&self, issue: u16) -> &str {
        self.0.issues().get(usize::from(issue)).map_or("", |i| &i.id)
    }

    fn classify(&self, normed: &str, also: &mut Vec<u16>) -> (u16, Option<Cow<'_, str>>) {
        SCRATCH.with_borrow_mut(|scratch| {
            let found = self.0.classify(normed, scratch);
            also.extend(found.also);
            let written = || found.rule.map(|rule| Cow::Borrowed(self.0.rule_text(rule)));
            (found.issue, found.chosen.map(Cow::Owned).or_else(written))
        })
    }

    fn is_customer_voice(&self, id: &str) -> Option<bool> {
        self.0.issue(id).map(|i| i.customer_voice)
    }
}
