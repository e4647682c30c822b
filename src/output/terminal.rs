//! What the two streams are, and printing that survives a closed pipe.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};

/// How a command's result is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    #[value(alias = "table")]
    Human,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated rows, safe for spreadsheets.
    Csv,
    /// A Parquet file.
    Parquet,
}

/// Whether and how progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum ProgressMode {
    /// Bars on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// Bars.
    Bar,
    /// Lines.
    Plain,
    /// Nothing.
    None,
}

/// Whether standard error wants colour and cursor movement.
pub fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether colours are wanted on standard error (`NO_COLOR`, `CLICOLOR_FORCE`, a terminal).
pub fn stderr_color() -> bool {
    !matches!(anstream::AutoStream::choice(&std::io::stderr()), anstream::ColorChoice::Never)
}

/// Whether colours are wanted on standard output.
pub fn stdout_color() -> bool {
    !matches!(anstream::AutoStream::choice(&std::io::stdout()), anstream::ColorChoice::Never)
}

/// The terminal's width, 100 when it has none.
pub fn width() -> usize {
    terminal_size().unwrap_or(100)
}

fn terminal_size() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok()?.parse().ok()?;
    (20..=1000).contains(&columns).then_some(columns)
}

/// Writes to standard output. A reader that went away (`| head`) ends the program quietly,
/// as other tools do; an answer for which there is no room ends it with exit code 1.
pub fn out(text: &str) {
    let mut stdout = anstream::stdout().lock();
    settle(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// Writes bytes to standard output as they are.
pub fn out_bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    settle(stdout.write_all(bytes).and_then(|()| stdout.flush()));
}

fn settle(written: std::io::Result<()>) {
    match written.map_err(|error| (error.kind(), error)) {
        Err((std::io::ErrorKind::BrokenPipe, _)) => std::process::exit(0),
        Err((std::io::ErrorKind::StorageFull, error)) => {
            err(&format!("{} the answer could not be written: {error}\n", red("error:")));
            std::process::exit(1);
        }
        // A terminal that is gone: whoever still works goes on.
        Err(_) | Ok(()) => {}
    }
}

/// Writes to standard error; what cannot be written there has nowhere to go.
pub fn err(text: &str) {
    let mut stderr = anstream::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

/// Text in a style; the stream drops the style where colours are not wanted.
pub fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Good news.
pub fn green(text: &str) -> String {
    styled(AnsiColor::Green.on_default(), text)
}

/// Bad news.
pub fn red(text: &str) -> String {
    styled(AnsiColor::Red.on_default().bold(), text)
}

/// Worth a look.
pub fn yellow(text: &str) -> String {
    styled(AnsiColor::Yellow.on_default(), text)
}

/// Beside the point.
pub fn dim(text: &str) -> String {
    styled(Style::new().dimmed(), text)
}

/// What matters.
pub fn bold(text: &str) -> String {
    styled(Style::new().bold(), text)
}
