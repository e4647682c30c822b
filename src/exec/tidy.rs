//! Collection of the lake's logs: a stream that is read every quarter of an hour leaves a record
//! each time, and the newest says everything that the older ones said.
//!
//! Removes only what is superseded and older than the retention; records that name a list of
//! what was set aside stay. Blocks on the lake.

use std::collections::HashMap;

use crate::lake::{Lake, LakeError};

use super::capture::{OBSERVATIONS, Observation};
use super::requests::{REQUESTS, RequestLine};

/// Requests are remembered for so long.
const REQUESTS_MS: i64 = 90 * 86_400_000;

/// What was (or would be) removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tidied {
    /// Records of readings.
    pub observations: u64,
    /// Records of requests.
    pub requests: u64,
}

/// Removes records that say nothing any more; with `dry` only counts them.
///
/// # Errors
/// When the lake refuses.
pub fn tidy(lake: &Lake, now_ms: i64, retention_ms: i64, dry: bool) -> Result<Tidied, LakeError> {
    let mut out = Tidied::default();
    for source in lake.list_record_names(OBSERVATIONS)? {
        // By window: the newest record so far, and whether it may go once something replaces it.
        let mut newest: HashMap<String, (u64, bool)> = HashMap::new();
        let mut superseded = Vec::new();
        for (number, path) in lake.list_records(OBSERVATIONS, &source)? {
            let bytes = lake.read_record(OBSERVATIONS, &source, number)?;
            let observation: Observation = serde_json::from_slice(&bytes)
                .map_err(|e| LakeError::Corrupt { path, why: format!("it is not an observation: {e}") })?;
            if observation.stream.is_none() && observation.forgotten.is_none() {
                continue;
            }
            let old = now_ms.saturating_sub(observation.at_ms) > retention_ms;
            let may_go = old && observation.quarantine.is_none();
            superseded.extend(newest.insert(observation.window, (number, may_go)));
        }
        for (number, _) in superseded.into_iter().filter(|(_, may_go)| *may_go) {
            if dry || lake.remove_record(OBSERVATIONS, &source, number)? {
                out.observations += 1;
            }
        }
    }
    for source in lake.list_record_names(REQUESTS)? {
        let records = lake.list_records(REQUESTS, &source)?;
        let last = records.last().map(|(number, _)| *number);
        for (number, _) in records.into_iter().filter(|(number, _)| Some(*number) != last) {
            let bytes = lake.read_record(REQUESTS, &source, number)?;
            let line = bytes.split(|b| *b == b'\n').rfind(|line| !line.is_empty());
            let line = line.and_then(|line| serde_json::from_slice::<RequestLine>(line).ok());
            let old = line.is_some_and(|l| now_ms.saturating_sub(l.at_ms) > REQUESTS_MS);
            if old && (dry || lake.remove_record(REQUESTS, &source, number)?) {
                out.requests += 1;
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Stream;

    fn note(lake: &Lake, window: &str, at_ms: i64, stream: bool, quarantine: Option<u64>) -> u64 {
        let observation = Observation {
            window: window.into(),
            counts: crate::source::Counts::default(),
            stream: stream.then(Stream::default),
            file: None,
            forgotten: None,
            quarantine,
            at_ms,
        };
        lake.append_record(OBSERVATIONS, "api", &serde_json::to_vec(&observation).unwrap()).unwrap()
    }

    #[test]
    fn only_what_a_newer_record_says_goes() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(dir.path(), "UTC").unwrap();
        let hour = 3_600_000;
        note(&lake, "new r/a", 0, true, None);
        note(&lake, "new r/b", 0, true, None);
        note(&lake, "in/file.ndjson", 0, false, None);
        note(&lake, "in/file.ndjson", hour, false, None);
        note(&lake, "new r/a", hour, true, Some(1));
        note(&lake, "new r/a", 30 * hour, true, None);
        note(&lake, "new r/a", 31 * hour, true, None);
        let wanted = Tidied { observations: 1, requests: 0 };
        assert_eq!(tidy(&lake, 40 * hour, 24 * hour, true).unwrap(), wanted);
        assert_eq!(tidy(&lake, 40 * hour, 24 * hour, false).unwrap(), wanted);
        let left: Vec<u64> =
            lake.list_records(OBSERVATIONS, "api").unwrap().into_iter().map(|(n, _)| n).collect();
        assert_eq!(left, [2, 3, 4, 5, 6, 7], "the first of r/a goes; what lists quarantine stays");
        assert_eq!(tidy(&lake, 40 * hour, 24 * hour, false).unwrap(), Tidied::default());
        assert_eq!(tidy(&lake, 90 * hour, 24 * hour, false).unwrap().observations, 1);
        assert_eq!(note(&lake, "new r/b", 91 * hour, true, None), 8, "numbers are never given twice");
    }
}
