//! From the sample generator into a capture: records are mapped, redacted and counted exactly
//! as those of any other source.

use super::adapter::{Privacy, Redactor, Reject};
use super::capture::{Capture, CaptureContext, Place, SourceError};
use super::sample;
use super::splice;
use crate::envelope::Text;
use crate::graph::Day;

/// Generates one day into `capture`.
///
/// # Errors
/// When the capture cannot write its spool.
pub fn sample_day(
    def: &sample::SampleDef,
    day: Day,
    context: &CaptureContext,
    capture: &mut Capture,
) -> Result<(), SourceError> {
    let redactor = Redactor::new(&context.privacy);
    let mut seq = 0;
    let mut failed = None;
    sample::generate_day(def, day, &context.timezone, &mut |record| {
        if failed.is_some() {
            return;
        }
        seq += 1;
        let bytes = record.raw.as_bytes();
        let place = Place { seq, line: seq, offset: 0, length: bytes.len() as u64, bytes };
        let taken = match sample::map(&record, &def.name, seq) {
            Ok(mut envelope) => {
                let author = envelope.author.take();
                envelope.author =
                    author.and_then(|a| redactor.replace(a.as_str()).map(|r| Text::from(r.into_owned())));
                envelope.raw = Text(splice::redact(record.raw, &redactor, None));
                capture.accept(&mut envelope, &place)
            }
            Err(bad) => capture.set_aside(&Reject::new(bad.reason, bad.detail), &place, None),
        };
        if let Err(error) = taken {
            failed = Some(error);
        }
    });
    failed.map_or(Ok(()), Err)
}

/// The platforms that sample posts come from.
pub fn sample_platforms() -> &'static [&'static str] {
    sample::platforms()
}

/// The version of one day of a definition.
pub fn sample_day_version(def: &sample::SampleDef, day: Day) -> [u8; 16] {
    sample::day_version(def, day)
}

/// A word for a privacy rule: it changes when captures would look different.
pub fn privacy_version(privacy: &Privacy) -> String {
    Redactor::new(privacy).version()
}
