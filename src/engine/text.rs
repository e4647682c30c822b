//! What the text functions of SQL ask of brands and taxonomy. The rooms that read those files
//! implement it; queries only see these traits.

use std::borrow::Cow;
use std::fmt;

/// Finds brands in text.
pub trait BrandMatcher: Send + Sync {
    /// The key of a brand.
    fn key(&self, brand: u16) -> &str;
    /// The first declared brand that a post belongs to; `also` gets the others (it comes
    /// empty). `normed` went through `rx_norm`.
    fn matches(&self, normed: &str, platform: &str, channel: &str, also: &mut Vec<u16>) -> Option<u16>;
}

/// Says what a post is about.
pub trait IssueClassifier: Send + Sync {
    /// The id of an issue type.
    fn id(&self, issue: u16) -> &str;
    /// The winning issue type and the rule that decided, as people read it; `also` gets the
    /// other types (it comes empty). `normed` went through `rx_norm`.
    fn classify(&self, normed: &str, also: &mut Vec<u16>) -> (u16, Option<Cow<'_, str>>);
    /// Whether posts of the type are customers speaking; `None` for an unknown id.
    fn is_customer_voice(&self, id: &str) -> Option<bool>;
}

/// The plain text functions.
#[derive(Clone, Copy)]
pub struct TextTools {
    /// `rx_norm`: case, apostrophes, white space.
    pub norm: for<'a> fn(&'a str) -> Cow<'a, str>,
    /// `rx_unescape`: HTML entities, once.
    pub unescape: for<'a> fn(&'a str) -> Cow<'a, str>,
}

impl fmt::Debug for TextTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TextTools")
    }
}
