//! Reads Parquet files of the lake batch by batch. Blocks on the disk.

use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use datafusion::parquet::errors::ParquetError;

use super::canonical::{canonical_schema, canonicalize};
use super::error::LakeError;
use super::writer::BLOCK_ROWS;

/// The rows of one file, in canonical types.
pub struct ParquetBatches {
    path: PathBuf,
    schema: SchemaRef,
    reader: Option<ParquetRecordBatchReader>,
}

impl ParquetBatches {
    /// Opens a file. Fails with its path when it is missing or damaged.
    pub fn open(path: &Path) -> Result<Self, LakeError> {
        let file = File::open(path).map_err(|e| LakeError::io("read", path, 0, e))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(path, &e))?;
        Self::new(path, &builder.schema().clone(), builder.with_batch_size(BLOCK_ROWS).build())
    }

    pub(super) fn memory(bytes: Bytes) -> Result<Self, LakeError> {
        let path = Path::new("the spool");
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| damaged(path, &e))?;
        Self::new(path, &builder.schema().clone(), builder.with_batch_size(BLOCK_ROWS).build())
    }

    pub(super) fn empty(schema: SchemaRef) -> Self {
        Self { path: PathBuf::new(), schema, reader: None }
    }

    fn new(
        path: &Path,
        schema: &Schema,
        reader: Result<ParquetRecordBatchReader, ParquetError>,
    ) -> Result<Self, LakeError> {
        let reader = reader.map_err(|e| damaged(path, &e))?;
        Ok(Self { path: path.to_path_buf(), schema: canonical_schema(schema)?, reader: Some(reader) })
    }

    /// The canonical schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

fn damaged(path: &Path, why: &dyn std::fmt::Display) -> LakeError {
    LakeError::Corrupt { path: path.to_path_buf(), why: why.to_string() }
}

impl Iterator for ParquetBatches {
    type Item = Result<RecordBatch, LakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.reader.as_mut()?.next()? {
            Ok(batch) => Some(canonicalize(&batch, &self.schema)),
            Err(e) => {
                self.reader = None;
                Some(Err(damaged(&self.path, &e)))
            }
        }
    }
}

/// All rows of a Parquet file. Fails with its path when it is missing or damaged.
pub fn read_parquet(path: &Path) -> Result<Vec<RecordBatch>, LakeError> {
    ParquetBatches::open(path)?.collect()
}
