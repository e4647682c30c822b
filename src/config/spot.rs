//! Places in the texts a person wrote.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::{Problem, SourceText, TextProblem};

/// A place in one of the project's texts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spot {
    /// The text. Values that look like secrets are masked in it, byte for byte, so that it
    /// can be shown.
    pub file: Arc<SourceText>,
    /// Bytes of the text.
    pub span: Range<usize>,
}

impl Spot {
    /// Puts a problem here; its own span, if any, is replaced.
    pub fn problem(&self, mut text: TextProblem) -> Problem {
        text.span = Some(self.span.clone());
        text.within(&self.file)
    }
}

/// A value and where it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub spot: Spot,
}

impl<T> Located<T> {
    /// A value at a place.
    pub fn new(value: T, spot: Spot) -> Self {
        Self { value, spot }
    }
}
