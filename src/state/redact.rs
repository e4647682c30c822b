//! Taking words out of what is remembered, so that no byte of them stays in the file.
//!
//! Invariant: only what was written in words for people changes (messages, errors, commands);
//! states, numbers and targets stay as they are. Blocks like any write, and for as long as it
//! takes to write the database anew.

use rusqlite::params;
use serde_json::Value;

use super::db::State;
use super::error::StateError;

impl State {
    /// Rewrites every text written for people of which `without` gives another version, and
    /// empties the caches, all of which can be made again from the lake. Gives the number of
    /// changed rows. [`State::compact`] then makes sure that the old bytes are gone.
    ///
    /// # Errors
    /// As any write.
    pub fn redact(&self, without: &dyn Fn(&str) -> Option<String>) -> Result<u64, StateError> {
        self.write("take words out", |tx| {
            // What is overwritten or removed is overwritten with zeros.
            tx.pragma_update(None, "secure_delete", true)?;
            let mut changed = 0;
            let mut rows = tx.prepare("SELECT seq, event FROM events")?;
            let mut set = tx.prepare("UPDATE events SET event = ?2 WHERE seq = ?1")?;
            let mut found = rows.query([])?;
            let mut new: Vec<(i64, String)> = Vec::new();
            while let Some(row) = found.next()? {
                let text: String = row.get(1)?;
                if let Some(other) = in_json(&text, without) {
                    new.push((row.get(0)?, other));
                }
            }
            for (seq, text) in new {
                changed += set.execute(params![seq, text])?;
            }

            type Step = (i64, i64, String, rusqlite::types::Value, Option<String>, Option<String>);
            let mut rows = tx.prepare(
                "SELECT run, asset, source, part, message, checks FROM steps \
                 WHERE message IS NOT NULL OR checks IS NOT NULL",
            )?;
            let mut set = tx.prepare(
                "UPDATE steps SET message = ?5, checks = ?6 \
                 WHERE run = ?1 AND asset = ?2 AND source = ?3 AND part = ?4",
            )?;
            let steps = rows
                .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?)))?
                .collect::<rusqlite::Result<Vec<Step>>>()?;
            for (run, asset, source, part, message, checks) in steps {
                let said = message.as_deref().and_then(without);
                let checked = checks.as_deref().and_then(|text| in_json(text, without));
                if said.is_some() || checked.is_some() {
                    changed +=
                        set.execute(params![run, asset, source, part, said.or(message), checked.or(checks)])?;
                }
            }

            type Failed = (i64, i64, String, rusqlite::types::Value, String);
            let mut rows = tx.prepare("SELECT lake, asset, source, part, message FROM failures")?;
            let mut set = tx.prepare(
                "UPDATE failures SET message = ?5 \
                 WHERE lake = ?1 AND asset = ?2 AND source = ?3 AND part = ?4",
            )?;
            let failures = rows
                .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))?
                .collect::<rusqlite::Result<Vec<Failed>>>()?;
            for (lake, asset, source, part, message) in failures {
                if let Some(message) = without(&message) {
                    changed += set.execute(params![lake, asset, source, part, message])?;
                }
            }

            let mut rows = tx.prepare("SELECT id, command, message FROM runs")?;
            let mut set = tx.prepare("UPDATE runs SET command = ?2, message = ?3 WHERE id = ?1")?;
            let runs = rows
                .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
                .collect::<rusqlite::Result<Vec<(i64, String, Option<String>)>>>()?;
            for (id, command, message) in runs {
                let (asked, said) = (without(&command), message.as_deref().and_then(without));
                if asked.is_some() || said.is_some() {
                    changed += set.execute(params![id, asked.unwrap_or(command), said.or(message)])?;
                }
            }
            tx.execute("DELETE FROM cache", [])?;
            Ok(changed as u64)
        })
    }

    /// Writes the database anew, so that nothing of what was changed or removed is left in its
    /// file or its WAL. `false` when another process has it open in the middle of something: then
    /// the WAL goes when that one ends.
    ///
    /// # Errors
    /// As any write.
    pub fn compact(&self) -> Result<bool, StateError> {
        let conn = self.writer()?;
        let run = || {
            crate::crash::point("sqlite vacuum");
            conn.execute_batch("VACUUM")?;
            crate::crash::point("sqlite checkpoint");
            let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0))?;
            Ok::<_, rusqlite::Error>(busy == 0)
        };
        run().map_err(|e| super::error::Fault::from(e).at(self.path(), "write itself anew"))
    }
}

/// The JSON text with other messages and errors in it; `None` when there is nothing to change.
fn in_json(text: &str, without: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    let mut changed = false;
    words(&mut value, without, &mut changed);
    changed.then(|| value.to_string())
}

fn words(value: &mut Value, without: &dyn Fn(&str) -> Option<String>, changed: &mut bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| words(item, without, changed)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if matches!(name.as_str(), "message" | "error" | "command") => {
                        if let Some(other) = without(text) {
                            *text = other;
                            *changed = true;
                        }
                    }
                    other => words(other, without, changed),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(text: &str) -> Option<String> {
        text.contains("t3_abc").then(|| text.replace("t3_abc", "[forgotten]"))
    }

    #[test]
    fn only_words_for_people_change() {
        let text = r#"{"event":"step_finished","step":{"kind":"capture","asset":"raw_posts","source":"t3_abc","window":"t3_abc"},"message":"about t3_abc","checks":[{"check":"t3_abc","message":"id = t3_abc"}]}"#;
        let other = in_json(text, &without).unwrap();
        assert_eq!(other.matches("[forgotten]").count(), 2, "{other}");
        let value: Value = serde_json::from_str(&other).unwrap();
        assert_eq!(value["message"], "about [forgotten]");
        assert_eq!(value["checks"][0]["message"], "id = [forgotten]");
        assert_eq!(value["step"]["window"], "t3_abc");
        assert_eq!(in_json(r#"{"message":"about t3_abd"}"#, &without), None);
    }

    #[test]
    fn no_byte_stays_in_the_file() {
        use crate::event::{Event, RunState};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rxpulse.db");
        let state = State::open(&path).unwrap();
        let run = state
            .begin_run(&crate::state::NewRun {
                lake: "lake".into(),
                command: "materialize".into(),
                request_json: "{}".into(),
                pid: 1,
                host: "here".into(),
                steps: 0,
                now_ms: 1,
            })
            .unwrap();
        let log = |message: &str| Event::Log { level: "info".into(), step: None, message: message.into() };
        let events = vec![
            log("what t3_abc says"),
            log("another"),
            Event::RunFinished { state: RunState::Succeeded, elapsed_ms: 1 },
        ];
        state.record(run, &crate::state::Batch { now_ms: 2, events, ..Default::default() }).unwrap();
        state.cache_put_many("lake", "observations s", &[("1".into(), b"[\"t3_abc\"]".to_vec())]).unwrap();
        let holds = || {
            ["", "-wal"].iter().any(|suffix| {
                let bytes = std::fs::read(format!("{}{suffix}", path.display())).unwrap_or_default();
                memchr::memmem::find(&bytes, b"t3_abc").is_some()
            })
        };
        assert!(holds());
        assert_eq!(state.redact(&without).unwrap(), 1);
        assert!(state.compact().unwrap());
        assert!(!holds());
        assert!(state.check().unwrap().is_sound());
        assert_eq!(state.cache_all("lake", "observations s").unwrap(), Vec::new());
        assert_eq!(state.redact(&without).unwrap(), 0);
    }
}
