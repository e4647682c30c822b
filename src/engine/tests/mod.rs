//! Scenarios of the engine, and what they share.

mod bronze;
mod functions;
mod grouping;
mod grouping_trend;
mod infer;
mod measure;
mod run;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::*;
use crate::diagnostic::SourceText;
use crate::graph::Day;

/// Brands `a` and `b`: words of the text; everything on the platform `app` is `a`.
struct Brands;

impl BrandMatcher for Brands {
    fn key(&self, brand: u16) -> &str {
        ["a_brand", "b_brand_with_a_long_key"][brand as usize]
    }

    fn matches(&self, normed: &str, platform: &str, _: &str, also: &mut Vec<u16>) -> Option<u16> {
        let a = normed.contains("aaa") || platform == "app";
        let b = normed.contains("bbb");
        match (a, b) {
            (true, true) => {
                also.push(1);
                Some(0)
            }
            (true, false) => Some(0),
            (false, true) => Some(1),
            (false, false) => None,
        }
    }
}

/// LATE for "late", PRICE for "price", else OTHER; counts its calls.
pub(super) struct Issues;

pub(super) static CLASSIFIED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

impl IssueClassifier for Issues {
    fn id(&self, issue: u16) -> &str {
        ["LATE", "PRICE", "OTHER"][issue as usize]
    }

    fn classify(&self, normed: &str, also: &mut Vec<u16>) -> (u16, Option<Cow<'_, str>>) {
        let (late, price) = (Some("late: late".into()), Some("price: price".into()));
        CLASSIFIED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match (normed.contains("late"), normed.contains("price")) {
            (true, true) => {
                also.push(1);
                (0, late)
            }
            (true, false) => (0, late),
            (false, true) => (1, price),
            (false, false) => (2, None),
        }
    }

    fn is_customer_voice(&self, id: &str) -> Option<bool> {
        match id {
            "LATE" | "PRICE" => Some(true),
            "OTHER" => Some(false),
            _ => None,
        }
    }
}

fn norm(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(text.to_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

fn unescape(text: &str) -> Cow<'_, str> {
    if text.contains('&') { Cow::Owned(text.replace("&amp;", "&")) } else { Cow::Borrowed(text) }
}

pub(super) fn options(temp: &Path) -> EngineOptions {
    EngineOptions {
        memory_limit: 256 << 20,
        threads: 1,
        batch_size: 8192,
        temp_dir: temp.to_path_buf(),
        temp_limit: 1 << 30,
        brands: Arc::new(Brands),
        taxonomy: Arc::new(Issues),
        text: TextTools { norm, unescape },
    }
}

pub(super) fn engine() -> (Engine, tempfile::TempDir) {
    let temp = tempfile::tempdir().unwrap();
    (Engine::new(options(temp.path())).unwrap(), temp)
}

pub(super) fn sql(text: &str) -> SourceText {
    SourceText { name: "assets/x.sql".to_string(), text: text.to_string() }
}

pub(super) fn day(n: i32) -> Day {
    "2026-11-01".parse::<Day>().unwrap().plus(n)
}

pub(super) fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect::<Vec<_>>()))
}

pub(super) fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

pub(super) fn ints(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

pub(super) fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(schema.clone(), columns).unwrap()
}

/// A query of constants: its only row.
pub(super) fn row(engine: &Engine, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let result = engine.query(&sql(text), Vec::new(), &CancellationFlag::new(), &mut |b| {
        for column in b.columns() {
            let format = datafusion::arrow::util::display::FormatOptions::new().with_null("NULL");
            let shown = datafusion::arrow::util::display::ArrayFormatter::try_new(column, &format).unwrap();
            out.push(shown.value(0).to_string());
        }
        Ok(())
    });
    match result {
        Ok(_) => out,
        Err(e) => vec![format!("error: {e}")],
    }
}

pub(super) type ByDay = Vec<(Option<Day>, RecordBatch)>;

/// Everything a job gives, by day.
pub(super) fn collect(engine: &Engine, job: &SqlJob) -> Result<(ByDay, RunStats), EngineError> {
    let mut out: Vec<(Option<Day>, Vec<RecordBatch>)> = Vec::new();
    let stats = engine.run(
        job,
        &mut |day, batch| {
            match out.last_mut() {
                Some((last, batches)) if *last == day => batches.push(batch),
                _ => out.push((day, vec![batch])),
            }
            Ok(())
        },
        &|_| {},
        &CancellationFlag::new(),
    )?;
    let merged = out
        .into_iter()
        .map(|(day, batches)| {
            let schema = batches[0].schema();
            (day, datafusion::arrow::compute::concat_batches(&schema, &batches).unwrap())
        })
        .collect();
    Ok((merged, stats))
}
