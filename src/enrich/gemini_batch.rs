//! Gemini's batches: many requests in one call, answered within a day, at half the price.
//!
//! A batch is made, looked at until it has ended, and found again by the label it was given when
//! the answer to making it was lost. Every call is one attempt. Answers come in any order, each
//! with the key of its request. Waits for the network; making bodies and reading answers is pure.

use std::time::Duration;

use serde_json::{Value, json};

use super::gemini::{Gemini, Status, answer, failure};
use super::prompt::Prompt;
use super::provider::{Ask, Heard, Reply, exchange, words};
use super::usd::Tokens;
use crate::http::Request;

/// The most that a batch may have in one call, in bytes; the API takes 20 MB.
pub const BATCH_BYTES: usize = 19_000_000;
/// The most that is read of a batch's answers.
const ANSWER_BYTES: u64 = 256 << 20;
/// Sending or reading so much takes longer than one call.
const DEADLINE: Duration = Duration::from_secs(600);
/// Batches of one page, and pages, when one is looked for by its label.
const PAGE: (u32, u32) = (100, 20);

/// What came of making a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Made {
    /// It is there. Its name, `batches/…`.
    Named(String),
    /// It was not taken, and costs nothing. Why.
    Refused(Heard),
    /// The service, or a gateway before it, said that it failed: most likely it is not there.
    Failed(String),
    /// Nobody knows whether it is there. Why.
    Unknown(String),
}

/// How a batch stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Looked {
    /// It is not done.
    Open,
    /// It is done.
    Ended {
        /// What came, in any order.
        replies: Vec<BatchReply>,
        /// How it ended when it did not succeed.
        why: Option<String>,
    },
    /// The provider does not know it (any more). Its words.
    Gone(String),
    /// It could not be looked at. Why.
    Unknown(String),
}

/// Whether a batch with a label is there.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Its name.
    Named(String),
    /// There is none.
    Absent,
    /// It could not be looked for. Why.
    Unknown(String),
}

/// What came of one request of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchReply {
    /// The key of the request; `None` where the answer says none.
    pub key: Option<String>,
    /// As of a request that was sent alone.
    pub reply: Reply,
}

impl Gemini {
    /// One request of a batch.
    pub fn batch_item(&self, prompt: &Prompt, key: &str, ask: &Ask) -> String {
        let mut request = self.body(prompt, ask);
        // Batches were seen to answer `responseJsonSchema` with nothing but nulls.
        if let Some(schema) = serde_json::from_str(&prompt.schema).ok().map(open_schema) {
            request["generationConfig"]["responseSchema"] = schema;
        }
        json!({ "request": request, "metadata": { "key": key } }).to_string()
    }

    /// Makes a batch of requests. Once.
    pub async fn make_batch(&self, label: &str, items: &[String]) -> Made {
        let request = Request::post(self.url("batchGenerateContent"))
            .secret_header("x-goog-api-key", &self.key)
            .accept("application/json")
            .total_deadline(DEADLINE)
            .body("application/json", batch_body(label, items));
        let mut name = None;
        let reply = exchange(&self.client, request, Some(&self.key), |status, wait, body| {
            if !(200..300).contains(&status) {
                return Reply::of(failure(status, wait, body));
            }
            let told: Option<Value> = serde_json::from_slice(body).ok();
            name = told.as_ref().and_then(name_of);
            Reply::of(Heard::Failed("the answer does not name the batch".into()))
        })
        .await;
        match name {
            Some(name) => Made::Named(name),
            None => made(reply),
        }
    }

    /// Looks at a batch. Once.
    pub async fn look_at_batch(&self, name: &str) -> Looked {
        let request = self.get(name).body_cap(ANSWER_BYTES);
        let mut looked = None;
        let reply = exchange(&self.client, request, Some(&self.key), |status, wait, body| {
            if !(200..300).contains(&status) {
                return Reply::of(failure(status, wait, body));
            }
            looked = read(body);
            Reply::of(Heard::Failed("the answer is not what the API writes of a batch".into()))
        })
        .await;
        match (looked, reply.status) {
            (Some(looked), _) => looked,
            (None, Some(404 | 410)) => Looked::Gone(said(reply.heard)),
            (None, _) => Looked::Unknown(said(reply.heard)),
        }
    }

    /// Looks for a batch by the label that it was made with.
    pub async fn find_batch(&self, label: &str) -> Found {
        let mut page = None;
        for _ in 0..PAGE.1 {
            let mut request = self.get("batches").query("pageSize", PAGE.0.to_string());
            if let Some(page) = &page {
                request = request.query("pageToken", page);
            }
            let mut list = None;
            let reply = exchange(&self.client, request, Some(&self.key), |status, wait, body| {
                if (200..300).contains(&status) {
                    list = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object);
                }
                Reply::of(failure(status, wait, body))
            })
            .await;
            let Some(list) = list else { return Found::Unknown(said(reply.heard)) };
            if let Some(name) = named(&list, label) {
                return Found::Named(name);
            }
            match list["nextPageToken"].as_str() {
                Some(next) if !next.is_empty() => page = Some(next.to_string()),
                _ => return Found::Absent,
            }
        }
        Found::Unknown("there are too many batches to look through".into())
    }

    /// A question about batches.
    fn get(&self, path: &str) -> Request {
        let base = self.base_url.trim_end_matches('/');
        Request::get(format!("{base}/{}/{path}", self.api_version))
            .secret_header("x-goog-api-key", &self.key)
            .accept("application/json")
            .total_deadline(DEADLINE)
    }
}

/// The body that makes a batch. The requests are text already.
pub(super) fn batch_body(label: &str, items: &[String]) -> String {
    let label = Value::from(label);
    let items = items.join(",");
    format!(r#"{{"batch":{{"displayName":{label},"inputConfig":{{"requests":{{"requests":[{items}]}}}}}}}}"#)
}

/// What a failed try to make a batch means.
pub(super) fn made(reply: Reply) -> Made {
    match (reply.heard, reply.status) {
        (heard @ (Heard::Failed(_) | Heard::Busy { .. }), Some(500..)) => Made::Failed(said(heard)),
        // Nobody took it: an error of the service, or nothing was reached.
        (heard, _) if reply.tokens == Some(Tokens::default()) => Made::Refused(heard),
        (heard, _) => Made::Unknown(said(heard)),
    }
}

fn said(heard: Heard) -> String {
    match heard {
        Heard::Text(text) => words(&text),
        Heard::Cut => "it was cut".into(),
        Heard::Refused(why) | Heard::Failed(why) | Heard::Rejected(why) | Heard::Denied(why) => why,
        Heard::Busy { detail, .. } => detail,
        Heard::Canceled => "the run was stopped".into(),
    }
}

/// A name as it may stand in a URL: `batches/` and an id.
fn name_of(operation: &Value) -> Option<String> {
    let name = operation["name"].as_str().or_else(|| operation["metadata"]["name"].as_str())?;
    let id = name.strip_prefix("batches/")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (!id.is_empty() && id.len() <= 200 && id.chars().all(plain)).then(|| name.to_string())
}

/// The batch of a list that has a label.
pub(super) fn named(list: &Value, label: &str) -> Option<String> {
    let has = |o: &&Value| o["metadata"]["displayName"] == label || o["displayName"] == label;
    ["operations", "batches"]
        .iter()
        .flat_map(|key| list[*key].as_array().into_iter().flatten())
        .find(has)
        .and_then(name_of)
}

/// Reads how a batch stands; `None` when the body says nothing of it.
pub(super) fn read(body: &[u8]) -> Option<Looked> {
    let operation: Value = serde_json::from_slice(body).ok().filter(Value::is_object)?;
    let state = ["/metadata/state", "/state", "/response/state"]
        .iter()
        .find_map(|at| operation.pointer(at)?.as_str())
        .unwrap_or_default();
    let state = state.trim_start_matches("BATCH_STATE_").trim_start_matches("JOB_STATE_");
    let answers = answers(&operation);
    let error = operation["error"].as_object();
    let why = || {
        let message = error.and_then(|e| e.get("message")).and_then(Value::as_str);
        match (state, message) {
            ("", None) => "it ended without answers".to_string(),
            ("", Some(message)) => words(message),
            (state, None) => words(state),
            (state, Some(message)) => format!("{}: {}", words(state), words(message)),
        }
    };
    let done = operation["done"] == true;
    let replies = || answers.map(|list| list.iter().map(one).collect()).unwrap_or_default();
    Some(match state {
        "SUCCEEDED" if answers.is_some() => Looked::Ended { replies: replies(), why: None },
        "FAILED" | "CANCELLED" | "CANCELED" | "EXPIRED" | "SUCCEEDED" => {
            // What was answered until then is there, and paid for.
            Looked::Ended { replies: replies(), why: Some(why()) }
        }
        "" if !done && operation.get("name").is_none() => return None,
        // States that are not known are of batches that are not done, unless they say so.
        _ if !done => Looked::Open,
        _ if answers.is_some() && error.is_none() => Looked::Ended { replies: replies(), why: None },
        _ => Looked::Ended { replies: replies(), why: Some(why()) },
    })
}

/// The answers, wherever they stand.
fn answers(operation: &Value) -> Option<&Vec<Value>> {
    let places = ["/response", "/response/output", "/metadata/output", "/output"];
    let places = places.iter().filter_map(|at| operation.pointer(at));
    places.filter_map(|p| p.get("inlinedResponses")).find_map(|p| match p {
        Value::Array(list) => Some(list),
        other => other["inlinedResponses"].as_array(),
    })
}

/// What came of one request.
fn one(item: &Value) -> BatchReply {
    let key = item["metadata"]["key"].as_str().map(str::to_string);
    let said = |field: &str| item.get(field).filter(|value| !value.is_null());
    let reply = match (said("response"), said("error")) {
        (Some(response), _) => answer(response.to_string().as_bytes()),
        (None, Some(error)) => {
            let status = serde_json::from_str::<Status>(&error.to_string());
            let heard = match status {
                Ok(status) => status.heard(http_code(error["code"].as_u64()), None),
                Err(_) => Heard::Failed("an error that says nothing".into()),
            };
            // Errors are not billed.
            Reply { tokens: Some(Tokens::default()), ..Reply::of(heard) }
        }
        (None, None) => Reply::of(Heard::Failed("an answer with nothing in it".into())),
    };
    BatchReply { key, reply }
}

/// The HTTP status of a code of gRPC, which stands in a batch; other numbers stay.
fn http_code(code: Option<u64>) -> u16 {
    match code {
        Some(3 | 9 | 11) => 400,
        Some(4) => 504,
        Some(5) => 404,
        Some(7) => 403,
        Some(8) => 429,
        Some(14) => 503,
        Some(16) => 401,
        Some(code @ 400..=599) => u16::try_from(code).unwrap_or(500),
        _ => 500,
    }
}

/// The schema in the words of `responseSchema`, a subset of OpenAPI's: types in capitals, the
/// order of properties said, nothing that it does not know.
pub(super) fn open_schema(schema: Value) -> Value {
    let Value::Object(mut schema) = schema else { return schema };
    schema.remove("additionalProperties");
    if let Some(Value::String(kind)) = schema.get_mut("type") {
        kind.make_ascii_uppercase();
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        let all = std::mem::take(properties);
        *properties = all.into_iter().map(|(name, one)| (name, open_schema(one))).collect();
        // A map loses it; the list of what is required is in the order that steers the model.
        if let Some(order) = schema.get("required").cloned() {
            schema.insert("propertyOrdering".into(), order);
        }
    }
    if let Some(items) = schema.remove("items") {
        schema.insert("items".into(), open_schema(items));
    }
    Value::Object(schema)
}
