//! The log `ai_calls` as a table: every call to a language model, what it served and cost.
//! Outside staleness. Blocks on the lake.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::ai::read_calls;
use crate::enrich::{CallRecord, Tokens, Usd};
use crate::lake::{Lake, LakeError};

/// The log's columns. Money is in US dollars; `cost_usd` is empty where nobody knows, and
/// `at_most_usd` counts in budgets then.
pub fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let money = |name: &str| Field::new(name, DataType::Float64, true);
    let texts = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    Arc::new(Schema::new(vec![
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
        number("run"),
        text("asset"),
        text("provider"),
        text("model_requested"),
        text("model_version"),
        text("prompt_hash"),
        text("schema_hash"),
        text("redaction_version"),
        text("outcome"),
        number("http_status"),
        text("finish_reason"),
        text("detail"),
        number("attempt"),
        Field::new("batch", DataType::Boolean, true),
        number("pack"),
        Field::new("posts", texts, true),
        number("prompt_tokens"),
        number("cached_tokens"),
        number("output_tokens"),
        number("thought_tokens"),
        money("cost_usd"),
        money("at_most_usd"),
        text("price_as_of"),
        number("elapsed_ms"),
    ]))
}

/// The whole log, oldest first within each asset.
///
/// # Errors
/// When a record cannot be read.
pub fn read(lake: &Lake) -> Result<RecordBatch, LakeError> {
    let calls: Vec<CallRecord> =
        read_calls(lake, &|_, _| false)?.into_iter().map(|(_, _, record)| record).collect();
    let text = |f: &dyn Fn(&CallRecord) -> Option<&str>| -> ArrayRef {
        Arc::new(StringArray::from_iter(calls.iter().map(f)))
    };
    let number = |f: &dyn Fn(&CallRecord) -> Option<u64>| -> ArrayRef {
        let value = |c| f(c).map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        Arc::new(Int64Array::from_iter(calls.iter().map(value)))
    };
    let tokens = |f: fn(&Tokens) -> u64| number(&|c| c.tokens.as_ref().map(f));
    let money = |f: &dyn Fn(&CallRecord) -> Option<u64>| -> ArrayRef {
        Arc::new(Float64Array::from_iter(calls.iter().map(|c| f(c).map(|pico| Usd(pico).dollars()))))
    };
    let mut posts = ListBuilder::new(StringBuilder::new());
    for call in &calls {
        call.posts.iter().for_each(|p| posts.values().append_value(p));
        posts.append(true);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMillisecondArray::from_iter_values(calls.iter().map(|c| c.at_ms))),
        Arc::new(Int64Array::from_iter_values(calls.iter().map(|c| c.run))),
        text(&|c| Some(&c.asset)),
        text(&|c| Some(&c.question.provider)),
        text(&|c| Some(&c.question.model)),
        text(&|c| c.model_version.as_deref()),
        text(&|c| Some(&c.question.prompt_hash)),
        text(&|c| Some(&c.question.schema_hash)),
        text(&|c| Some(&c.redaction_version)),
        text(&|c| Some(c.outcome.as_str())),
        number(&|c| c.status.map(u64::from)),
        text(&|c| c.finish_reason.as_deref()),
        text(&|c| c.detail.as_deref()),
        number(&|c| Some(u64::from(c.attempt))),
        Arc::new(BooleanArray::from_iter(calls.iter().map(|c| Some(c.batch)))),
        number(&|c| Some(c.pack as u64)),
        Arc::new(posts.finish()),
        tokens(|t| t.prompt),
        tokens(|t| t.cached),
        tokens(|t| t.candidates),
        tokens(|t| t.thoughts),
        money(&|c| c.cost),
        money(&|c| Some(c.at_most)),
        text(&|c| c.price_as_of.as_deref()),
        number(&|c| Some(c.elapsed_ms)),
    ];
    RecordBatch::try_new(schema(), columns).map_err(|e| LakeError::Corrupt {
        path: lake.root().to_path_buf(),
        why: format!("the log of AI calls: {e}"),
    })
}
