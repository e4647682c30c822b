//! Writes one output partition: rows in key order become one Parquet file in a spool, and their
//! data version is computed on the way.
//!
//! Invariant: the same rows give the same bytes, however they were cut into batches or encoded:
//! they are brought to canonical types, cut again into blocks of [`BLOCK_ROWS`], and every
//! choice of the writer depends on the first block alone. No clock, no id. Blocks on the disk
//! only when the spool outgrows its memory.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::BatchCoalescer;
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::ArrowWriterOptions;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::parquet::schema::types::ColumnPath;

use super::canonical::{canonical_schema, canonicalize};
use super::content::ContentHasher;
use super::error::LakeError;
use super::reader::ParquetBatches;
use super::spool::{Spool, SpoolWriter, TempFolder};
use crate::graph::DataVersion;

/// Rows of one block, the unit in which rows are hashed and written. Part of the data version
/// and of the files' bytes: never changes.
pub const BLOCK_ROWS: usize = 8192;
/// Rows of one row group.
const ROW_GROUP_ROWS: usize = 16 * BLOCK_ROWS;
/// Rows of the first block that decide whether a column is worth a dictionary.
const SAMPLE_ROWS: usize = 2048;

/// How a partition is written.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// Where a large spool goes; in the lake's file system, so that it can be moved into place.
    pub temps: TempFolder,
    /// Bytes of the finished file kept in memory before the spool goes to disk.
    pub memory_limit: usize,
    /// The zstd level. Part of the files' bytes: one value for a lake.
    pub level: i32,
}

impl WriterOptions {
    /// The options every asset is written with.
    pub fn new(temps: TempFolder) -> Self {
        Self { temps, memory_limit: 8 << 20, level: 1 }
    }
}

/// One output partition being written.
pub struct PartitionWriter {
    schema: SchemaRef,
    options: WriterOptions,
    content: ContentHasher,
    blocks: BatchCoalescer,
    writer: Option<ArrowWriter<SpoolWriter>>,
    rows: u64,
}

/// One output partition, finished but not published.
#[derive(Debug)]
pub struct Staged {
    /// What it holds.
    pub data: DataVersion,
    /// Rows.
    pub rows: u64,
    /// Bytes of the file; 0 without rows.
    pub bytes: u64,
    /// The canonical schema.
    pub schema: SchemaRef,
    /// The file and the hash of its bytes; `None` without rows.
    pub(super) file: Option<(Spool, [u8; 16])>,
}

impl PartitionWriter {
    /// A writer for rows of `schema`, which is brought to canonical types. Fails for a type
    /// that cannot be stored.
    pub fn new(schema: &Schema, options: WriterOptions) -> Result<Self, LakeError> {
        let schema = canonical_schema(schema)?;
        Ok(Self {
            content: ContentHasher::new(&schema),
            blocks: BatchCoalescer::new(schema.clone(), BLOCK_ROWS),
            writer: None,
            rows: 0,
            schema,
            options,
        })
    }

    /// The canonical schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows taken so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes the next rows, in key order, without `dt`. Columns are found by name. Fails when a
    /// value does not fit its canonical type, or the disk is full.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = canonicalize(batch, &self.schema)?;
        self.rows += batch.num_rows() as u64;
        if self.blocks.get_buffered_rows() == 0 && batch.num_rows() == BLOCK_ROWS {
            return self.block(&batch);
        }
        self.blocks.push_batch(batch)?;
        while let Some(block) = self.blocks.next_completed_batch() {
            self.block(&block)?;
        }
        Ok(())
    }

    /// Ends the file and gives what there is to check and publish. No rows make no file.
    pub fn finish(mut self) -> Result<Staged, LakeError> {
        self.blocks.finish_buffered_batch()?;
        while let Some(block) = self.blocks.next_completed_batch() {
            self.block(&block)?;
        }
        let file = match self.writer.take() {
            None => None,
            Some(mut writer) => {
                if let Err(error) = writer.finish() {
                    return Err(failure(&mut writer, error));
                }
                // A finished writer does not give its output back; its place is taken instead.
                let none = SpoolWriter::new(self.options.temps.clone(), 0);
                Some(std::mem::replace(writer.inner_mut(), none).finish()?)
            }
        };
        Ok(Staged {
            data: self.content.finish(),
            rows: self.rows,
            bytes: file.as_ref().map_or(0, |(spool, _)| spool.bytes()),
            schema: self.schema,
            file,
        })
    }

    fn block(&mut self, block: &RecordBatch) -> Result<(), LakeError> {
        self.content.block(block)?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let spool = SpoolWriter::new(self.options.temps.clone(), self.options.memory_limit);
                let options = ArrowWriterOptions::new()
                    .with_properties(properties(block, self.options.level)?)
                    // The columns' types are plain; a reader needs no second schema beside Parquet's.
                    .with_skip_arrow_metadata(true);
                none.insert(ArrowWriter::try_new_with_options(spool, self.schema.clone(), options)?)
            }
        };
        match writer.write(block) {
            Ok(()) => Ok(()),
            Err(error) => Err(failure(writer, error)),
        }
    }
}

/// The failure of the spool behind a failure of the Parquet writer, when there is one.
fn failure(writer: &mut ArrowWriter<SpoolWriter>, error: ParquetError) -> LakeError {
    writer.inner_mut().take_failure().unwrap_or(LakeError::Parquet(error))
}

/// The writer's choices: a function of the first block alone.
fn properties(first: &RecordBatch, level: i32) -> Result<WriterProperties, LakeError> {
    let mut properties = WriterProperties::builder()
        .set_created_by("rxpulse".to_string())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        // A partition is one day: pages inside it are hardly ever skipped, and their index
        // would be half of a small file.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_write_batch_size(1024)
        .set_dictionary_enabled(true);
    let rows = first.num_rows().min(SAMPLE_ROWS);
    for (field, column) in first.schema_ref().fields().iter().zip(first.columns()) {
        let column = column.slice(0, rows);
        let distinct = match column.data_type() {
            DataType::Utf8 => column.as_string::<i32>().iter().collect::<HashSet<_>>().len(),
            DataType::Int64 => {
                use datafusion::arrow::datatypes::Int64Type;
                column.as_primitive::<Int64Type>().iter().collect::<HashSet<_>>().len()
            }
            DataType::Timestamp(_, _) => {
                use datafusion::arrow::datatypes::TimestampMillisecondType;
                column.as_primitive::<TimestampMillisecondType>().iter().collect::<HashSet<_>>().len()
            }
            _ => continue,
        };
        if distinct * 2 > rows {
            properties =
                properties.set_column_dictionary_enabled(ColumnPath::new(vec![field.name().clone()]), false);
        }
    }
    Ok(properties.build())
}

impl Staged {
    /// The first 128 bits of the hash of the file's bytes; `None` without rows.
    pub fn file_hash(&self) -> Option<[u8; 16]> {
        self.file.as_ref().map(|(_, hash)| *hash)
    }

    /// The rows, for checks before publishing. May be called again and again.
    pub fn batches(&self) -> Result<ParquetBatches, LakeError> {
        match &self.file {
            None => Ok(ParquetBatches::empty(self.schema.clone())),
            Some((Spool::Memory(bytes), _)) => ParquetBatches::memory(bytes.clone()),
            Some((Spool::File(temp), _)) => ParquetBatches::open(temp.path()),
        }
    }

    /// Columns and their types as a manifest holds them.
    pub fn columns(&self) -> Vec<(String, String)> {
        let text = |f: &Arc<datafusion::arrow::datatypes::Field>| {
            (f.name().clone(), super::canonical::type_text(f.data_type()))
        };
        self.schema.fields().iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{
        ArrayRef, BooleanArray, Float64Array, Int64Array, LargeStringArray, ListArray, StringArray,
        StringViewArray, StructArray, TimestampMillisecondArray,
    };
    use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
    use datafusion::arrow::compute::cast;
    use datafusion::arrow::datatypes::{Field, Fields};
    use proptest::prelude::*;

    type Row = (Option<i64>, Option<String>, Option<u8>, Option<bool>, Option<Vec<Option<String>>>);

    /// How the same rows may come from an engine.
    #[derive(Clone, Copy, Debug)]
    enum Encoding {
        Plain,
        View,
        Large,
        Dictionary,
        /// Values under NULLs, and NULL buffers where nothing is NULL.
        Hidden,
    }

    fn floats(v: u8, hidden: bool) -> f64 {
        match v {
            0 => 0.0,
            1 if hidden => -0.0,
            1 => 0.0,
            2 if hidden => f64::from_bits(0xfff8_0000_0000_0001),
            2 => f64::NAN,
            v => f64::from(v) / 8.0,
        }
    }

    fn texts(values: &[Option<String>], encoding: Encoding) -> ArrayRef {
        match encoding {
            Encoding::Plain => Arc::new(StringArray::from(values.to_vec())),
            Encoding::View => Arc::new(StringViewArray::from_iter(values.iter().cloned())),
            Encoding::Large => Arc::new(LargeStringArray::from(values.to_vec())),
            Encoding::Dictionary => {
                let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                cast(&StringArray::from(values.to_vec()), &kind).unwrap()
            }
            Encoding::Hidden => {
                let nulls = NullBuffer::from_iter(values.iter().map(Option::is_some));
                let all: Vec<String> =
                    values.iter().map(|v| v.clone().unwrap_or_else(|| "hidden".into())).collect();
                let (offsets, data, _) = StringArray::from(all).into_parts();
                Arc::new(StringArray::new(offsets, data, Some(nulls)))
            }
        }
    }

    fn batch(rows: &[Row], encoding: Encoding) -> RecordBatch {
        let hidden = matches!(encoding, Encoding::Hidden);
        let column = |i: usize| -> Vec<Option<String>> {
            rows.iter().map(|r| if i == 0 { r.1.clone() } else { r.2.map(|v| format!("w{v}")) }).collect()
        };
        let nulls = |valid: Vec<bool>| (hidden || valid.contains(&false)).then(|| NullBuffer::from(valid));
        let numbers: ArrayRef = Arc::new(Int64Array::new(
            rows.iter().map(|r| r.0.unwrap_or(if hidden { 99 } else { 0 })).collect(),
            nulls(rows.iter().map(|r| r.0.is_some()).collect()),
        ));
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter(rows.iter().map(|r| r.0)));
        let reals: ArrayRef = Arc::new(Float64Array::new(
            rows.iter().map(|r| r.2.map_or(if hidden { 5.0 } else { 0.0 }, |v| floats(v, hidden))).collect(),
            nulls(rows.iter().map(|r| r.2.is_some()).collect()),
        ));
        let flags: ArrayRef = Arc::new(BooleanArray::from_iter(rows.iter().map(|r| r.3)));
        let pair: ArrayRef = Arc::new(StructArray::new(
            Fields::from(vec![
                Field::new("n", DataType::Int64, true),
                Field::new("f", DataType::Boolean, true),
            ]),
            vec![numbers.clone(), flags.clone()],
            nulls(rows.iter().map(|r| r.3.is_some()).collect()),
        ));
        // Lists, where a NULL list may hide items and items may stand before the first offset.
        let mut items: Vec<Option<String>> = Vec::new();
        let mut offsets = vec![];
        if hidden {
            items.push(Some("before".into()));
        }
        offsets.push(items.len() as i32);
        for row in rows {
            match &row.4 {
                Some(list) => items.extend(list.iter().cloned()),
                None if hidden => items.push(Some("under".into())),
                None => {}
            }
            offsets.push(items.len() as i32);
        }
        let items = texts(&items, encoding);
        let name = if hidden { "element" } else { "item" };
        let lists: ArrayRef = Arc::new(ListArray::new(
            Arc::new(Field::new(name, items.data_type().clone(), true)),
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            items,
            nulls(rows.iter().map(|r| r.4.is_some()).collect()),
        ));
        RecordBatch::try_from_iter_with_nullable([
            ("number", numbers, true),
            ("time", times, true),
            ("text", texts(&column(0), encoding), true),
            ("word", texts(&column(1), encoding), true),
            ("real", reals, true),
            ("flag", flags, true),
            ("pair", pair, true),
            ("list", lists, true),
        ])
        .unwrap()
    }

    fn write(batch: &RecordBatch, cuts: &[usize]) -> (DataVersion, Vec<u8>) {
        let temps = TempFolder::new(std::env::temp_dir());
        let options = WriterOptions { memory_limit: usize::MAX, ..WriterOptions::new(temps) };
        let mut writer = PartitionWriter::new(&batch.schema(), options).unwrap();
        let mut at = 0;
        for cut in cuts.iter().cycle() {
            let n = (*cut).min(batch.num_rows() - at);
            writer.write(&batch.slice(at, n)).unwrap();
            at += n;
            if at == batch.num_rows() {
                break;
            }
        }
        let staged = writer.finish().unwrap();
        assert_eq!(staged.rows, batch.num_rows() as u64);
        match staged.file {
            Some((Spool::Memory(bytes), hash)) => {
                assert_eq!(hash, DataVersion::of(&bytes).0);
                (staged.data, bytes.to_vec())
            }
            _ => (staged.data, Vec::new()),
        }
    }

    fn row() -> impl Strategy<Value = Row> {
        let text = "[a-z é🦀]{0,12}";
        (
            proptest::option::of(any::<i64>()),
            proptest::option::of(text),
            proptest::option::of(0u8..20),
            proptest::option::of(any::<bool>()),
            proptest::option::of(proptest::collection::vec(proptest::option::of("[a-z]{0,4}"), 0..4)),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_same_rows_have_the_same_version_and_bytes(
            pool in proptest::collection::vec(row(), 1..40),
            n in prop_oneof![1usize..200, 8_000usize..20_000],
            cuts in proptest::collection::vec(1usize..9_000, 1..5),
        ) {
            let rows: Vec<Row> = (0..n).map(|i| pool[(i * 31 + i / 7) % pool.len()].clone()).collect();
            let plain = batch(&rows, Encoding::Plain);
            let expected = write(&plain, &[usize::MAX]);
            prop_assert_eq!(&write(&plain, &cuts), &expected);
            prop_assert_eq!(&write(&plain, &[BLOCK_ROWS]), &expected);
            for encoding in [Encoding::View, Encoding::Large, Encoding::Dictionary] {
                prop_assert_eq!(&write(&batch(&rows, encoding), &cuts), &expected, "{:?}", encoding);
            }
            // Other bits of the same floats are the same version, though not the same file.
            let hidden = write(&batch(&rows, Encoding::Hidden), &cuts);
            prop_assert_eq!(hidden.0, expected.0);
            if !rows.iter().any(|r| matches!(r.2, Some(1 | 2))) {
                prop_assert_eq!(&hidden.1, &expected.1);
            }
        }

        #[test]
        fn other_rows_have_another_version(
            rows in proptest::collection::vec(row(), 1..60),
            other in row(),
            at in any::<prop::sample::Index>(),
        ) {
            let mut changed = rows.clone();
            let at = at.index(rows.len());
            changed[at] = other;
            // -0 and 0, and all NaN, count as the same value.
            let same = |a: &Row, b: &Row| {
                let real = |r: &Row| r.2.map(|v| if v == 1 { 0 } else { v });
                (a.0, &a.1, real(a), a.3, &a.4) == (b.0, &b.1, real(b), b.3, &b.4)
                    && a.2.map(|v| format!("w{v}")) == b.2.map(|v| format!("w{v}"))
            };
            let equal = same(&rows[at], &changed[at]);
            let versions = (write(&batch(&rows, Encoding::Plain), &[7]).0, write(&batch(&changed, Encoding::Plain), &[7]).0);
            prop_assert_eq!(versions.0 == versions.1, equal);
            if rows.len() > 1 {
                let mut turned = rows.clone();
                turned.rotate_left(1);
                let equal = rows.iter().zip(&turned).all(|(a, b)| same(a, b));
                let turned = write(&batch(&turned, Encoding::Plain), &[7]).0;
                prop_assert_eq!(turned == versions.0, equal);
            }
        }
    }

    #[test]
    fn a_version_and_the_bytes_of_a_file_are_pinned() {
        // A change here makes every table of every lake stale: it must be meant.
        let rows: Vec<Row> = vec![
            (Some(1), Some("a".into()), Some(3), Some(true), Some(vec![Some("x".into()), None])),
            (None, None, None, None, None),
            (Some(-1), Some("".into()), Some(2), Some(false), Some(vec![])),
        ];
        let (version, bytes) = write(&batch(&rows, Encoding::Plain), &[2]);
        insta::assert_snapshot!(version, @"53f16a41bae0e6e27f672be4b54291d8");
        insta::assert_snapshot!(DataVersion::of(&bytes), @"c30c6b3e0379a0e959c945295089a5fe");
    }

    #[test]
    fn every_type_survives_a_file() {
        let rows: Vec<Row> = vec![
            (Some(1), Some("a".into()), Some(3), Some(true), Some(vec![Some("x".into()), None])),
            (None, None, None, None, None),
        ];
        let base = batch(&rows, Encoding::View);
        let number = base.column(0);
        let more: Vec<(&str, DataType)> = vec![
            ("tiny", DataType::Int8),
            ("small", DataType::Int16),
            ("integer", DataType::Int32),
            ("single", DataType::Float32),
            ("cents", DataType::Decimal128(18, 2)),
        ];
        let mut columns: Vec<(String, ArrayRef)> = base
            .schema()
            .fields()
            .iter()
            .zip(base.columns())
            .map(|(f, c)| (f.name().clone(), c.clone()))
            .collect();
        columns.extend(more.iter().map(|(name, kind)| (name.to_string(), cast(number, kind).unwrap())));
        let small = cast(number, &DataType::Int32).unwrap();
        columns.push(("date".into(), cast(&small, &DataType::Date32).unwrap()));
        columns.push(("bytes".into(), cast(base.column(2), &DataType::Binary).unwrap()));
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.iter().map(|(n, c)| (n.as_str(), c.clone(), true)),
        )
        .unwrap();
        let temps = TempFolder::new(std::env::temp_dir());
        let mut writer = PartitionWriter::new(&batch.schema(), WriterOptions::new(temps)).unwrap();
        writer.write(&batch).unwrap();
        let staged = writer.finish().unwrap();
        let read = staged.batches().unwrap();
        assert_eq!(read.schema(), &staged.schema);
        let read: Vec<RecordBatch> = read.map(Result::unwrap).collect();
        assert_eq!(read, [canonicalize(&batch, &staged.schema).unwrap()]);
        let columns = staged.columns();
        assert_eq!(columns.last(), Some(&("bytes".to_string(), "varbinary".to_string())));
    }
}
