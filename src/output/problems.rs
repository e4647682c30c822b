//! Problems of configuration and SQL, rendered with the lines they are about.

use std::fmt::Write as _;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Report, Severity as Level};

use crate::diagnostic::{Problem, Severity};

use super::sanitize;

#[derive(Debug)]
struct Shown {
    problem: Problem,
    source: Option<NamedSource<String>>,
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
        let span = self.problem.text.span.clone()?;
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
        // Control characters would reach the terminal through the quoted source line.
        let source = problem.file.as_ref().map(|f| {
            let safe: String = f
                .text
                .chars()
                .map(|c| if c.is_control() && c != '\n' && c != '\t' { '?' } else { c })
                .collect();
            // Same length in bytes only where the characters are one byte; spans need that.
            let text = if safe.len() == f.text.len() { safe } else { f.text.clone() };
            NamedSource::new(&f.name, text)
        });
        let report = Shown { problem: problem.clone(), source };
        if handler.render_report(&mut out, &report).is_err() {
            let _ = writeln!(out, "{}", Report::new(report));
        }
        if problem.text.span.is_none()
            && let Some(file) = &problem.file
        {
            let _ = writeln!(out, "   in {}", file.name);
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
