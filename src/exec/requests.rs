//! The log `source_requests`: every request that a source made, kept in the lake, outside
//! staleness. Blocks on the lake.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::http::{Call, ErrorKind};
use crate::lake::{Lake, LakeError};

/// The kind of the lake's records, and the name of the table.
pub const REQUESTS: &str = "source_requests";

/// One request. No query string, header or body is ever part of it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct RequestLine {
    /// When it began, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// In which run.
    pub run: i64,
    /// For which source.
    pub source: String,
    /// For which stream, or day.
    pub window: String,
    /// `GET` or `POST`.
    pub method: String,
    /// Of which host.
    pub host: String,
    /// The path without the query.
    pub path: String,
    /// The answer's status; `None` when none came.
    pub status: Option<u16>,
    /// Why there was no whole answer.
    pub failure: Option<String>,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// Bytes of the answer after decompression.
    pub bytes: u64,
    /// How long it took, milliseconds.
    pub elapsed_ms: u64,
}

/// Appends what one reading asked for.
///
/// # Errors
/// When the lake refuses.
pub fn log(lake: &Lake, run: i64, source: &str, window: &str, calls: &[Call]) -> Result<(), LakeError> {
    if calls.is_empty() {
        return Ok(());
    }
    let mut lines = Vec::new();
    for call in calls {
        let line = RequestLine {
            at_ms: call.at_ms,
            run,
            source: source.to_string(),
            window: window.to_string(),
            method: call.method.clone(),
            host: call.host.clone(),
            path: call.path.clone(),
            status: call.status,
            failure: call.failure.map(ErrorKind::words),
            attempt: call.attempt,
            bytes: call.body_bytes,
            elapsed_ms: call.elapsed_ms,
        };
        // Text and numbers: it cannot fail to serialize.
        let _ = serde_json::to_writer(&mut lines, &line);
        lines.push(b'\n');
    }
    lake.append_record(REQUESTS, source, &lines).map(|_| ())
}

/// The log's columns.
pub fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
        number("run"),
        text("source"),
        text("window"),
        text("method"),
        text("host"),
        text("path"),
        number("status"),
        text("failure"),
        number("attempt"),
        number("bytes"),
        number("elapsed_ms"),
    ]))
}

/// The whole log, oldest first within each source.
///
/// # Errors
/// When a record cannot be read.
pub fn read(lake: &Lake) -> Result<RecordBatch, LakeError> {
    let mut lines: Vec<RequestLine> = Vec::new();
    for source in lake.list_record_names(REQUESTS)? {
        for (number, path) in lake.list_records(REQUESTS, &source)? {
            let bytes = lake.read_record(REQUESTS, &source, number)?;
            for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                lines.push(serde_json::from_slice(line).map_err(|e| LakeError::Corrupt {
                    path: path.clone(),
                    why: format!("it is not a log of requests: {e}"),
                })?);
            }
        }
    }
    let text = |f: &dyn Fn(&RequestLine) -> Option<&str>| -> ArrayRef {
        Arc::new(StringArray::from_iter(lines.iter().map(f)))
    };
    let number = |f: &dyn Fn(&RequestLine) -> Option<u64>| -> ArrayRef {
        let value = |line| f(line).map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        Arc::new(Int64Array::from_iter(lines.iter().map(value)))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMillisecondArray::from_iter_values(lines.iter().map(|l| l.at_ms))),
        Arc::new(Int64Array::from_iter_values(lines.iter().map(|l| l.run))),
        text(&|l| Some(&l.source)),
        text(&|l| Some(&l.window)),
        text(&|l| Some(&l.method)),
        text(&|l| Some(&l.host)),
        text(&|l| Some(&l.path)),
        number(&|l| l.status.map(u64::from)),
        text(&|l| l.failure.as_deref()),
        number(&|l| Some(u64::from(l.attempt))),
        number(&|l| Some(l.bytes)),
        number(&|l| Some(l.elapsed_ms)),
    ];
    RecordBatch::try_new(schema(), columns).map_err(|e| LakeError::Corrupt {
        path: lake.root().to_path_buf(),
        why: format!("the log of requests: {e}"),
    })
}
