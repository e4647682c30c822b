//! What can go wrong in a query, in the classes that a caller branches on.

use std::fmt;
use std::path::{Path, PathBuf};

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;

use crate::diagnostic::TextProblem;

/// A query could not be planned or did not finish.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The memory limit or the limit of temporary files was reached; fewer days at once may fit.
    #[error("out of memory or temporary space: {0}")]
    ResourcesExhausted(String),
    /// The caller's flag was raised.
    #[error("canceled")]
    Cancelled,
    /// The SQL is wrong; the problems point into its text.
    #[error("{}", join(.0))]
    Sql(Vec<TextProblem>),
    /// An input file cannot be read or is damaged.
    #[error("{}: {message}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The query failed while running, or the sink refused a batch.
    #[error("{0}")]
    Other(String),
}

fn join(problems: &[TextProblem]) -> String {
    problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; ")
}

/// Why an own node stopped a running query; travels through DataFusion as an external error.
#[derive(Debug, Clone)]
pub(super) enum Stop {
    Cancelled,
    Data { path: PathBuf, message: String },
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Cancelled => f.write_str("canceled"),
            Stop::Data { path, message } => write!(f, "{}: {message}", path.display()),
        }
    }
}

impl std::error::Error for Stop {}

impl Stop {
    pub(super) fn data(path: &Path, message: impl fmt::Display) -> Self {
        Stop::Data { path: path.to_path_buf(), message: message.to_string() }
    }
}

impl From<Stop> for DataFusionError {
    fn from(stop: Stop) -> Self {
        DataFusionError::External(Box::new(stop))
    }
}

impl From<DataFusionError> for EngineError {
    fn from(error: DataFusionError) -> Self {
        match find_stop(&error) {
            Some(Stop::Cancelled) => return EngineError::Cancelled,
            Some(Stop::Data { path, message }) => return EngineError::Data { path, message },
            None => {}
        }
        let message = plain(&error);
        // The limit of spilled data comes as a bare input/output error.
        if is_exhausted(&error) || message.contains("max_temp_directory_size") {
            EngineError::ResourcesExhausted(message)
        } else {
            EngineError::Other(message)
        }
    }
}

impl From<ArrowError> for EngineError {
    fn from(error: ArrowError) -> Self {
        EngineError::from(DataFusionError::from(error))
    }
}

fn find_stop(error: &DataFusionError) -> Option<Stop> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(stop) = error.downcast_ref::<Stop>() {
            return Some(stop.clone());
        }
        // These hold an error that their `source` does not always give.
        next = if let Some(e) = error.downcast_ref::<DataFusionError>() {
            match e {
                DataFusionError::External(inner) => Some(inner.as_ref()),
                DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                    Some(inner.as_ref())
                }
                DataFusionError::Shared(inner) => Some(inner.as_ref()),
                DataFusionError::ArrowError(inner, _) => Some(inner.as_ref()),
                DataFusionError::ParquetError(inner) => Some(inner.as_ref()),
                other => std::error::Error::source(other),
            }
        } else if let Some(ArrowError::ExternalError(inner)) = error.downcast_ref::<ArrowError>() {
            Some(inner.as_ref())
        } else if let Some(ParquetError::External(inner)) = error.downcast_ref::<ParquetError>() {
            Some(inner.as_ref())
        } else {
            error.source()
        };
    }
    None
}

fn is_exhausted(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::ResourcesExhausted(_) => true,
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => is_exhausted(inner),
        DataFusionError::Shared(inner) => is_exhausted(inner),
        DataFusionError::Collection(all) => all.iter().any(is_exhausted),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::ExternalError(e) => e.downcast_ref::<DataFusionError>().is_some_and(is_exhausted),
            _ => false,
        },
        DataFusionError::External(inner) => inner.downcast_ref::<DataFusionError>().is_some_and(is_exhausted),
        _ => false,
    }
}

/// The message without DataFusion's own prefixes, which mean nothing to a reader.
pub(super) fn plain(error: &DataFusionError) -> String {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => plain(inner),
        DataFusionError::Shared(inner) => plain(inner),
        DataFusionError::Collection(all) if !all.is_empty() => plain(&all[0]),
        DataFusionError::ArrowError(inner, _) => inner.to_string(),
        other => other.message().into_owned(),
    }
}
