//! Parquet as records: each row a JSON object, column name to value, in the file's order.
//!
//! Memory is bounded by a few megabytes of rows and the pages they are in. What the file says
//! of itself is not believed: a file that is damaged anywhere ends there with words, after the
//! rows before. Blocks on disk.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use datafusion::arrow::array::types::*;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::adapter::Reject;
use super::encode;

/// Rows of a batch are cut so that they take about this much.
const BATCH_BYTES: u64 = 8 << 20;
/// And are never more than this.
const BATCH_ROWS: u64 = 1024;
/// Lists and structs deeper than this set their row aside.
const DEEPEST: usize = 64;

/// The rows of one file.
pub(super) struct Rows {
    reader: ParquetRecordBatchReader,
    batch: Option<RecordBatch>,
    at: usize,
    names: Vec<String>,
    /// Moments as seconds since 1970 instead of text.
    epoch: bool,
    /// How many rows the file says it has.
    pub total: u64,
}

/// What follows the rows so far.
pub(super) enum Next {
    /// A row; its JSON is written.
    Row,
    /// A row that cannot be written as JSON.
    Refused(Reject),
    End,
}

impl Rows {
    /// Opens a file. `epoch`: moments are written as seconds since 1970, as Reddit's records
    /// have them.
    pub(super) fn open(file: File, epoch: bool) -> Result<Self, String> {
        guarded(|| {
            // Types as Parquet has them, not as the writer's memory had them.
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
            let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
                .map_err(|e| e.to_string())?;
            let groups = builder.metadata().row_groups();
            let longest = groups
                .iter()
                .map(|g| g.total_byte_size().max(0) as u64 / g.num_rows().max(1) as u64)
                .max()
                .unwrap_or(0);
            let rows = (BATCH_BYTES / longest.max(1)).clamp(1, BATCH_ROWS);
            let total = groups.iter().map(|g| g.num_rows().max(0) as u64).sum();
            let names = builder.schema().fields().iter().map(|f| f.name().clone()).collect();
            let reader = builder.with_batch_size(rows as usize).build().map_err(|e| e.to_string())?;
            Ok(Self { reader, batch: None, at: 0, names, epoch, total })
        })
    }

    /// The columns' names.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Writes the next row into `out`. Fails where the file is damaged.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Result<Next, String> {
        loop {
            if let Some(batch) = &self.batch
                && self.at < batch.num_rows()
            {
                let row = self.at;
                self.at += 1;
                out.clear();
                out.push(b'{');
                for (i, (name, column)) in self.names.iter().zip(batch.columns()).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    encode::string(out, name);
                    out.push(b':');
                    if let Err(reject) = value(out, column, row, self.epoch, 0) {
                        return Ok(Next::Refused(reject));
                    }
                }
                out.push(b'}');
                return Ok(Next::Row);
            }
            self.batch = None;
            self.at = 0;
            let reader = &mut self.reader;
            match guarded(|| reader.next().transpose().map_err(|e| e.to_string()))? {
                Some(batch) => self.batch = Some(batch),
                None => return Ok(Next::End),
            }
        }
    }
}

/// The reader is not ours and the file is anyone's.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result,
        Err(_) => Err("its reader gave up".to_string()),
    }
}

fn value(out: &mut Vec<u8>, column: &ArrayRef, row: usize, epoch: bool, depth: usize) -> Result<(), Reject> {
    if depth > DEEPEST {
        return Err(Reject::new("too_deep", "lists and structs nested too deep"));
    }
    if column.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    macro_rules! number {
        ($kind:ty) => {
            out.extend_from_slice(column.as_primitive::<$kind>().value(row).to_string().as_bytes())
        };
    }
    macro_rules! ticks {
        ($($unit:ident => $kind:ty),*) => {
            match column.data_type() {
                $(DataType::Timestamp(TimeUnit::$unit, _) => column.as_primitive::<$kind>().value(row),)*
                _ => 0,
            }
        };
    }
    match column.data_type() {
        // A column without one value has a type of its own, which marks none of them as missing.
        DataType::Null => out.extend_from_slice(b"null"),
        DataType::Boolean => {
            out.extend_from_slice(if column.as_boolean().value(row) { b"true" } else { b"false" });
        }
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float16 => float(out, f64::from(column.as_primitive::<Float16Type>().value(row))),
        DataType::Float32 => {
            // Through its shortest text: 4.3 stays 4.3.
            let number = column.as_primitive::<Float32Type>().value(row);
            float(out, number.to_string().parse().unwrap_or(f64::from(number)));
        }
        DataType::Float64 => float(out, column.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => encode::string(out, column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => encode::string(out, column.as_string::<i64>().value(row)),
        DataType::Utf8View => encode::string(out, column.as_string_view().value(row)),
        DataType::Binary => bytes(out, column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => bytes(out, column.as_binary::<i64>().value(row)),
        DataType::BinaryView => bytes(out, column.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => bytes(out, column.as_fixed_size_binary().value(row)),
        DataType::Timestamp(unit, zone) => {
            let ticks = ticks!(
                Second => TimestampSecondType, Millisecond => TimestampMillisecondType,
                Microsecond => TimestampMicrosecondType, Nanosecond => TimestampNanosecondType
            );
            let scale: i128 = match unit {
                TimeUnit::Second => 1_000_000_000,
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1_000,
                TimeUnit::Nanosecond => 1,
            };
            moment(out, i128::from(ticks) * scale, zone.is_some(), epoch);
        }
        DataType::List(_) => items(out, &column.as_list::<i32>().value(row), epoch, depth)?,
        DataType::LargeList(_) => items(out, &column.as_list::<i64>().value(row), epoch, depth)?,
        DataType::FixedSizeList(..) => items(out, &column.as_fixed_size_list().value(row), epoch, depth)?,
        DataType::Struct(fields) => {
            let columns = column.as_struct();
            out.push(b'{');
            for (i, (field, inner)) in fields.iter().zip(columns.columns()).enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                encode::string(out, field.name());
                out.push(b':');
                value(out, inner, row, epoch, depth + 1)?;
            }
            out.push(b'}');
        }
        DataType::Map(..) => {
            // A list of `{key, value}`: keys need not be texts.
            let entries: ArrayRef = std::sync::Arc::new(column.as_map().value(row));
            items(out, &entries, epoch, depth)?;
        }
        // Dates, decimals, times of day, durations: their usual text.
        other => match ArrayFormatter::try_new(column, &FormatOptions::default()) {
            Ok(format) => encode::string(out, &format.value(row).to_string()),
            Err(_) => return Err(Reject::new("unknown_type", format!("a column of type {other}"))),
        },
    }
    Ok(())
}

fn items(out: &mut Vec<u8>, all: &ArrayRef, epoch: bool, depth: usize) -> Result<(), Reject> {
    out.push(b'[');
    for row in 0..all.len() {
        if row > 0 {
            out.push(b',');
        }
        value(out, all, row, epoch, depth + 1)?;
    }
    out.push(b']');
    Ok(())
}

/// JSON has no word for what is not a number; the text is refused where a number is wanted.
fn float(out: &mut Vec<u8>, number: f64) {
    match serde_json::Number::from_f64(number) {
        Some(number) => out.extend_from_slice(number.to_string().as_bytes()),
        None => encode::string(out, &number.to_string()),
    }
}

/// Text that was not marked as text, which many writers leave out; else hexadecimal.
fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    match std::str::from_utf8(value) {
        Ok(text) => encode::string(out, text),
        Err(_) => encode::string(out, &value.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    }
}

/// RFC 3339; without an offset where the column is of no time zone, so that it is read in the
/// project's.
fn moment(out: &mut Vec<u8>, nanoseconds: i128, is_utc: bool, epoch: bool) {
    let moment = jiff::Timestamp::from_nanosecond(nanoseconds);
    match moment {
        Ok(at) if epoch => float(out, at.as_millisecond() as f64 / 1000.0),
        Ok(at) if is_utc => encode::string(out, &at.to_string()),
        Ok(at) => encode::string(out, &at.to_zoned(jiff::tz::TimeZone::UTC).datetime().to_string()),
        Err(_) => encode::string(out, &nanoseconds.to_string()),
    }
}
