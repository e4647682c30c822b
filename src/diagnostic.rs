//! Problems in the files a person wrote: what is wrong, where, and what to do.
//!
//! Pure data. `config` collects them, `output` renders them rustc-style.

use std::ops::Range;
use std::sync::Arc;

/// How bad a problem is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing is refused.
    Warning,
    /// Refused.
    Error,
}

/// A text file a person wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceText {
    /// Its path relative to the project, as a person would type it.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// A problem inside one text, before it is known which file the text is from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextProblem {
    /// How bad.
    pub severity: Severity,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Bytes of the text it is about; `None` for the text as a whole.
    pub span: Option<Range<usize>>,
    /// What stands at the span, in a few words.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

impl TextProblem {
    /// An error at a span.
    pub fn error(message: impl Into<String>, span: impl Into<Option<Range<usize>>>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            span: span.into(),
            label: None,
            help: None,
        }
    }

    /// A warning at a span.
    pub fn warning(message: impl Into<String>, span: impl Into<Option<Range<usize>>>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message, span) }
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what stands at the span.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Says which file the text is from.
    pub fn within(self, file: &Arc<SourceText>) -> Problem {
        Problem { file: Some(file.clone()), text: self }
    }
}

/// A problem, with the file it is in (none for a problem of the project as a whole).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The file.
    pub file: Option<Arc<SourceText>>,
    /// The problem inside it.
    pub text: TextProblem,
}

impl Problem {
    /// 1-based line and column (in characters) of the start of the span.
    pub fn position(&self) -> Option<(usize, usize)> {
        let file = self.file.as_ref()?;
        // A problem of the file as a whole stands at its beginning.
        let start = self.text.span.as_ref().map_or(0, |s| s.start).min(file.text.len());
        let before = file.text.get(..start)?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Some((line, column))
    }
}

/// The word of `known` that `word` most likely meant: an edit distance of at most
/// a third of its length (at least 1).
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(word, k), k))
        .filter(|(d, _)| *d <= most)
        .min()
        .map(|(_, k)| k)
}
