//! Reads Parquet from local files with plain positioned reads, so that a damaged file's error
//! names its path. Blocks the thread that drives the query.

use std::fmt::Display;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::error::Stop;
use super::watch::Watch;

/// Opens the path that the planned file carries.
#[derive(Debug)]
pub(super) struct LocalParquet {
    watch: Arc<Watch>,
}

impl LocalParquet {
    pub(super) fn new(watch: Arc<Watch>) -> Self {
        Self { watch }
    }
}

impl ParquetFileReaderFactory for LocalParquet {
    fn create_reader(
        &self,
        _: usize,
        file: PartitionedFile,
        _: Option<usize>,
        _: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let path = file
            .extension::<PathBuf>()
            .cloned()
            .unwrap_or_else(|| PathBuf::from(format!("/{}", file.object_meta.location)));
        Ok(Box::new(Reader { path, file: None, watch: self.watch.clone() }))
    }
}

struct Reader {
    path: PathBuf,
    file: Option<File>,
    watch: Arc<Watch>,
}

impl Reader {
    fn failed(&self, error: impl Display) -> ParquetError {
        ParquetError::External(Box::new(Stop::data(&self.path, error)))
    }

    fn open(&mut self) -> Result<&File, ParquetError> {
        if self.file.is_none() {
            self.file = Some(File::open(&self.path).map_err(|e| self.failed(e))?);
        }
        self.file.as_ref().ok_or(ParquetError::EOF(String::new()))
    }

    fn read(&mut self, range: Range<u64>) -> Result<Bytes, ParquetError> {
        let mut buffer = vec![0; (range.end - range.start) as usize];
        let read = self.open()?.read_exact_at(&mut buffer, range.start);
        read.map_err(|e| self.failed(e))?;
        self.watch.read_bytes(buffer.len() as u64);
        Ok(buffer.into())
    }

    fn metadata(
        &mut self,
        options: Option<&ArrowReaderOptions>,
    ) -> Result<Arc<ParquetMetaData>, ParquetError> {
        let mut reader = ParquetMetaDataReader::new();
        if let Some(options) = options {
            reader = reader.with_page_index_policy(options.column_index_policy());
        }
        let read = reader.parse_and_finish(self.open()?);
        read.map(Arc::new).map_err(|e| self.failed(e))
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        ready(self.read(range)).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        ready(self.metadata(options)).boxed()
    }
}
