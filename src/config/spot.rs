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

    /// Puts a problem of a text that was read from here, and stands at byte `at` of what the
    /// problem speaks of: on the same words where they stand as they are (no escapes), else on
    /// the whole value.
    pub fn problem_inside(&self, mut problem: TextProblem, at: usize, text: &str) -> Problem {
        let written = self.file.text.get(self.span.clone()).and_then(|value| value.find(text));
        let inside = problem.span.as_ref().and_then(|s| {
            let from = self.span.start + written?;
            let (start, end) = (s.start.checked_sub(at)?, s.end.checked_sub(at)?);
            (end <= text.len()).then(|| from + start..from + end)
        });
        problem.span = Some(inside.unwrap_or_else(|| self.span.clone()));
        problem.within(&self.file)
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
