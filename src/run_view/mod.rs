//! The one fold of a run's events: what plain output, progress bars, the run monitor and a
//! dashboard all show.
//!
//! [`RunView`] counts; [`RunDetail`] also keeps every step, when it ran, and the newest lines of
//! the log. Pure: events and times come in, nothing is read, and the same events give the same
//! picture to everybody. Nothing here blocks.

mod detail;
mod view;

pub use detail::{Lane, LogLevel, LogLine, RunDetail, StepView};
pub use view::{Counts, Failure, RunView, capture_lane, lane};
