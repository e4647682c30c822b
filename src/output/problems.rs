//! Problems of configuration and SQL, rendered with the lines they are about.

use std::fmt::Write as _;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, Report,
    Severity as Level, SourceCode, SourceSpan, SpanContents,
};

use crate::diagnostic::{Problem, Severity};

use super::sanitize;

#[derive(Debug)]
struct Shown {
    problem: Problem,
    source: Option<Excerpt>,
}

/// A file's text for showing. Nothing in it is obeyed by a terminal, and columns count
/// characters, not bytes.
#[derive(Debug)]
struct Excerpt {
    name: String,
    /// Hostile characters replaced, byte for byte, so that spans stay true.
    safe: String,
    /// As written, for counting columns.
    text: String,
}

impl Excerpt {
    fn new(name: &str, text: &str) -> Self {
        let mut safe = String::with_capacity(text.len());
        for c in text.chars() {
            if sanitize::is_hostile(c) && c != '\n' && c != '\t' {
                safe.extend(std::iter::repeat_n('?', c.len_utf8()));
            } else {
                safe.push(c);
            }
        }
        Self { name: name.to_string(), safe, text: text.to_string() }
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.safe.read_span(span, before, after)?;
        let start = inner.span().offset();
        let line = self.text.get(..start).and_then(|t| t.rsplit('\n').next()).unwrap_or("");
        let column = line.chars().count();
        let (data, at, row, rows) = (inner.data(), *inner.span(), inner.line(), inner.line_count());
        Ok(Box::new(MietteSpanContents::new_named(self.name.clone(), data, at, row, column, rows)))
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&sanitize::block(&self.problem.text.message))
    }
}

impl std::error::Error for Shown {}

impl miette::Diagnostic for Shown {
    fn severity(&self) -> Option<Level> {
        Some(match self.problem.text.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        let help = self.problem.text.help.as_ref()?;
        Some(Box::new(sanitize::block(help).into_owned()))
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.source.as_ref().map(|s| s as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let file = self.problem.file.as_ref()?;
        // A problem of the file as a whole stands at its beginning.
        let span = self.problem.text.span.clone().unwrap_or(0..0);
        let end = span.end.min(file.text.len());
        let start = span.start.min(end);
        let label = self.problem.text.label.as_ref().map(|l| sanitize::line(l).into_owned());
        Some(Box::new(std::iter::once(LabeledSpan::new(label, start, end - start))))
    }
}

/// All problems as text, errors last so that they stay in view. `color` switches ANSI colours;
/// `width` is the terminal's.
pub fn render(problems: &[Problem], color: bool, width: usize) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(width.max(40)).with_links(false);
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by_key(|p| p.text.severity);
    let mut out = String::new();
    for problem in sorted {
        let source = problem.file.as_ref().map(|f| Excerpt::new(&f.name, &f.text));
        let report = Shown { problem: problem.clone(), source };
        if handler.render_report(&mut out, &report).is_err() {
            let _ = writeln!(out, "{}", Report::new(report));
        }
        out.push('\n');
    }
    let count = |s| problems.iter().filter(|p| p.text.severity == s).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if errors + warnings > 0 {
        let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let mut parts = Vec::new();
        if errors > 0 {
            parts.push(plural(errors, "error"));
        }
        if warnings > 0 {
            parts.push(plural(warnings, "warning"));
        }
        let _ = writeln!(out, "{}", parts.join(", "));
    }
    out
}

/// One problem as JSON: severity, file, line, column, message, help.
pub fn json(problem: &Problem) -> serde_json::Value {
    let position = problem.position();
    serde_json::json!({
        "severity": match problem.text.severity { Severity::Error => "error", Severity::Warning => "warning" },
        "file": problem.file.as_ref().map(|f| f.name.as_str()),
        "line": position.map(|p| p.0),
        "column": position.map(|p| p.1),
        "message": problem.text.message,
        "help": problem.text.help,
    })
}
