//! One event of a run as a line for people.

use crate::event::{Event, StepState};

use super::terminal::{dim, green, red, yellow};
use super::{sanitize, text};

/// The same without colours.
pub fn plain(event: &Event) -> String {
    console::strip_ansi_codes(&line(event)).into_owned()
}

/// One event as a line.
pub fn line(event: &Event) -> String {
    match event {
        Event::RunStarted { command, steps } => {
            format!("run started: {} ({})", sanitize::line(command), text::plural(*steps, "step"))
        }
        Event::StepStarted { step, attempt: 1 } => format!("started {}", sanitize::line(&step.to_string())),
        Event::StepStarted { step, attempt } => {
            format!("started {} (attempt {attempt})", sanitize::line(&step.to_string()))
        }
        Event::StepRetry { step, attempt, error, wait_ms } => format!(
            "{} {} attempt {attempt}: {}; again in {}",
            yellow("retry"),
            sanitize::line(&step.to_string()),
            sanitize::line(error),
            text::duration(*wait_ms)
        ),
        Event::StepFinished { step, state, stats, message, elapsed_ms, .. } => {
            let word = match state {
                StepState::Succeeded => green("succeeded"),
                StepState::Skipped => dim("fresh"),
                StepState::Failed => red("failed"),
                other => yellow(other.as_str()),
            };
            let rows = stats.rows_out.map(|n| format!(", {}", text::plural(n, "row"))).unwrap_or_default();
            let took =
                if *elapsed_ms > 0 { format!(" in {}", text::duration(*elapsed_ms)) } else { String::new() };
            let message = message.as_deref().map(|m| format!(": {}", sanitize::line(m))).unwrap_or_default();
            format!("{word} {}{took}{rows}{message}", sanitize::line(&step.to_string()))
        }
        Event::Log { level, message, .. } => format!("{level}: {}", sanitize::line(message)),
        Event::RunFinished { state, elapsed_ms } => {
            format!("run {} in {}", state.as_str(), text::duration(*elapsed_ms))
        }
    }
}
