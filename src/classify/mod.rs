//! What a post is about: normalized text, the brands it names, its issue type.
//!
//! Words and phrases, not regular expressions: whole words of the text as [`norm`] leaves it,
//! looked up in one pass per question, with the rule that decided always at hand.
//! Invariant: every answer is a function of the text and the declared phrases alone; the
//! versions of [`Brands`] and [`Taxonomy`] change when an answer could change.
//! Pure: no IO, no async, no clock. May not block.

mod anchors;
mod brand;
mod evidence;
mod matcher;
mod norm;
mod phrase;
mod phrase_items;
mod taxonomy;
mod taxonomy_file;
mod unescape;
mod words;

#[cfg(test)]
mod traps;

pub use brand::{BrandDef, BrandExplanation, BrandMatch, Brands, Spanned};
pub use matcher::Scratch;
pub(crate) use matcher::{Found, PhraseSet};
pub use norm::{NORM_VERSION, norm};
pub use phrase::PHRASE_VERSION;
pub(crate) use phrase::Phrase;
pub use taxonomy::{Candidate, Issue, IssueType, MatchedText, Taxonomy, TaxonomySlice};
pub use unescape::unescape;
pub(crate) use words::words_of;
