//! Batches: made, polled, finished, cancelled, in the shape in which the service writes its
//! long-running operations. Half the price. No time passes here: a batch moves when it is
//! polled.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::gemini::{self, Refusal};
use super::route::Done;
use super::script::{self, Behaviour, Kind, Look, Post};
use super::{Config, Model, State, Usage, answer, strict};

/// How a batch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Succeeded,
    Failed,
    Cancelled,
    Expired,
    /// Not before the test says so.
    Held,
}

/// How a batch runs.
#[derive(Clone, Copy, Debug)]
pub struct BatchPlan {
    /// So many polls see it pending.
    pub pending: usize,
    /// So many polls after those see it running.
    pub running: usize,
    pub end: End,
    /// The answers are in another order than the requests.
    pub shuffled: bool,
    /// The answers come without the metadata of their requests; they are in order then.
    pub without_keys: bool,
    /// The output stands in `metadata` only, as was seen of the real service.
    pub only_in_metadata: bool,
}

impl Default for BatchPlan {
    fn default() -> BatchPlan {
        BatchPlan {
            pending: 1,
            running: 1,
            end: End::Succeeded,
            shuffled: false,
            without_keys: false,
            only_in_metadata: false,
        }
    }
}

/// One batch.
pub struct Batch {
    name: String,
    display_name: String,
    model: Model,
    version: String,
    /// A request and its metadata.
    items: Vec<(Value, Option<Value>)>,
    posts: Vec<Vec<Post>>,
    polls: usize,
    plan: BatchPlan,
    /// Answers, once it has succeeded.
    output: Option<Vec<Value>>,
    /// In pico-dollars, at half the price.
    pub cost: u128,
    usage: Usage,
    created: String,
    deleted: bool,
}

/// What tests see of a batch.
#[derive(Clone, Debug)]
pub struct BatchView {
    pub name: String,
    pub display_name: String,
    pub model: String,
    pub state: &'static str,
    pub polls: usize,
    /// The metadata of its requests, `Null` where there was none.
    pub metadata: Vec<Value>,
    pub posts: Vec<Vec<Post>>,
    pub usage: Usage,
    /// In pico-dollars, at half the price.
    pub cost: u128,
    pub deleted: bool,
}

impl Batch {
    pub fn posts(&self) -> Vec<Post> {
        self.posts.concat()
    }

    pub fn view(&self) -> BatchView {
        BatchView {
            name: self.name.clone(),
            display_name: self.display_name.clone(),
            model: self.model.name.clone(),
            state: self.state(),
            polls: self.polls,
            metadata: self.items.iter().map(|(_, m)| m.clone().unwrap_or(Value::Null)).collect(),
            posts: self.posts.clone(),
            usage: self.usage,
            cost: self.cost,
            deleted: self.deleted,
        }
    }

    /// It ends at its next poll.
    pub fn finish(&mut self, end: End) {
        if !self.is_done() {
            self.plan.pending = self.plan.pending.min(self.polls);
            self.plan.running = self.polls - self.plan.pending;
            self.plan.end = end;
        }
    }

    fn is_done(&self) -> bool {
        !matches!(self.state(), "BATCH_STATE_PENDING" | "BATCH_STATE_RUNNING")
    }

    fn state(&self) -> &'static str {
        if self.polls <= self.plan.pending {
            return "BATCH_STATE_PENDING";
        }
        if self.polls <= self.plan.pending + self.plan.running {
            return "BATCH_STATE_RUNNING";
        }
        match self.plan.end {
            End::Succeeded => "BATCH_STATE_SUCCEEDED",
            End::Failed => "BATCH_STATE_FAILED",
            End::Cancelled => "BATCH_STATE_CANCELLED",
            End::Expired => "BATCH_STATE_EXPIRED",
            End::Held => "BATCH_STATE_RUNNING",
        }
    }

    /// The operation as the service writes it. Numbers of 64 bits are strings in its JSON.
    fn operation(&self) -> Value {
        let state = self.state();
        let all = self.items.len();
        let failed =
            self.output.as_ref().map_or(0, |all| all.iter().filter(|one| one.get("error").is_some()).count());
        let mut stats = json!({"requestCount": all.to_string()});
        match state {
            "BATCH_STATE_SUCCEEDED" => {
                stats["successfulRequestCount"] = json!((all - failed).to_string());
                if failed > 0 {
                    stats["failedRequestCount"] = json!(failed.to_string());
                }
            }
            "BATCH_STATE_FAILED" => stats["failedRequestCount"] = json!(all.to_string()),
            _ => stats["pendingRequestCount"] = json!(all.to_string()),
        }
        let mut operation = json!({
            "name": self.name,
            "metadata": {
                "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
                "model": format!("models/{}", self.model.name),
                "displayName": self.display_name,
                "createTime": self.created,
                "updateTime": now(),
                "batchStats": stats,
                "state": state,
                "name": self.name,
            },
        });
        if !self.is_done() {
            return operation;
        }
        operation["done"] = json!(true);
        operation["metadata"]["endTime"] = json!(now());
        match (&self.output, state) {
            (Some(output), _) => {
                let output = json!({ "inlinedResponses": { "inlinedResponses": output } });
                operation["metadata"]["output"] = output.clone();
                if !self.plan.only_in_metadata {
                    operation["response"] = output;
                    operation["response"]["@type"] = json!(
                        "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatchOutput"
                    );
                }
            }
            (None, "BATCH_STATE_CANCELLED") => {
                operation["error"] = json!({"code": 1, "message": "The operation was cancelled."});
            }
            (None, "BATCH_STATE_EXPIRED") => {
                operation["error"] = json!({"code": 4, "message": "The batch expired before it was done."});
            }
            (None, _) => operation["error"] = json!({"code": 13, "message": "The batch failed."}),
        }
        operation
    }
}

/// Checks the request that makes a batch; unknown fields of the requests inside count too.
pub fn check(body: &Value) -> Result<(), Refusal> {
    let mut found = strict::check(body, &strict::BATCH);
    let batch = &body["batch"];
    let input = &batch["inputConfig"];
    let list = input["requests"]["requests"].as_array();
    if !found.is_empty() {
        return Err(gemini::refused(&found));
    }
    let mut need = |fine: bool, field: &str, message: &str| {
        if !fine {
            let message = format!("* BatchGenerateContentRequest.{field}: {message}");
            found.push(strict::Violation { field: field.to_owned(), message });
        }
    };
    let named = batch["displayName"].as_str().is_some_and(|name| !name.is_empty());
    need(named, "batch.display_name", "must be specified");
    need(input["fileName"].is_null(), "batch.input_config.file_name", "there are no files here");
    need(list.is_some_and(|list| !list.is_empty()), "batch.input_config.requests", "must not be empty");
    for (n, item) in list.into_iter().flatten().enumerate() {
        let at = format!("batch.input_config.requests.requests[{n}]");
        need(item["request"].is_object(), &at, "request must be specified");
        need(item["metadata"].is_null() || item["metadata"].is_object(), &at, "metadata must be an object");
    }
    if found.is_empty() { Ok(()) } else { Err(gemini::refused(&found)) }
}

/// Makes a batch. Its first answer says nothing of being done.
pub fn create(state: &mut State, model: &Model, version: &str, body: &Value) -> Done {
    let batch = &body["batch"];
    let list = batch["inputConfig"]["requests"]["requests"].as_array();
    let items: Vec<(Value, Option<Value>)> = list
        .into_iter()
        .flatten()
        .map(|item| (item["request"].clone(), item.get("metadata").cloned()))
        .collect();
    let posts = items.iter().map(|(request, _)| answer::posts(&gemini::prompt(request))).collect();
    let new = Batch {
        name: format!("batches/fake{:04}", state.batches.len() + 1),
        display_name: batch["displayName"].as_str().unwrap_or_default().to_owned(),
        model: model.clone(),
        version: version.to_owned(),
        items,
        posts,
        polls: 0,
        plan: state.batch_plan,
        output: None,
        cost: 0,
        usage: Usage::default(),
        created: now(),
        deleted: false,
    };
    let operation = new.operation();
    state.batches.push(new);
    Done::free(200, &operation)
}

fn find<'a>(state: &'a mut State, name: &str) -> Result<&'a mut Batch, Refusal> {
    state
        .batches
        .iter_mut()
        .find(|batch| batch.name == name && !batch.deleted)
        .ok_or_else(|| gemini::error(404, "NOT_FOUND", "Requested entity was not found.", Vec::new()))
}

/// One look at a batch; it moves on by it.
pub fn poll(config: &Config, state: &mut State, name: &str) -> Done {
    let batch = match find(state, name) {
        Ok(batch) => batch,
        Err(refusal) => return refusal.into(),
    };
    if !batch.is_done() {
        batch.polls += 1;
    }
    let run = batch.state() == "BATCH_STATE_SUCCEEDED" && batch.output.is_none();
    let mut mistakes = Vec::new();
    if run {
        let index = state.batches.iter().position(|batch| batch.name == name);
        mistakes = index.map(|index| run_all(config, state, index)).unwrap_or_default();
    }
    match find(state, name) {
        Ok(batch) => Done {
            mistake: (!mistakes.is_empty()).then(|| mistakes.join("; ")),
            ..Done::free(200, &batch.operation())
        },
        Err(refusal) => refusal.into(),
    }
}

/// Runs every request of a batch; what is wrong with one is its own error.
fn run_all(config: &Config, state: &mut State, index: usize) -> Vec<String> {
    let mut rules = std::mem::take(&mut state.rules);
    let (model, version, plan) = {
        let batch = &state.batches[index];
        (batch.model.clone(), batch.version.clone(), batch.plan)
    };
    let mut mistakes = Vec::new();
    let mut output = Vec::new();
    for item in 0..state.batches[index].items.len() {
        let number = state.next(Kind::BatchItem);
        let batch = &mut state.batches[index];
        let (request, metadata) = &batch.items[item];
        let posts = &batch.posts[item];
        let look = Look { kind: Kind::BatchItem, number, model: &model.name, posts, body: request };
        let mut behaviours = script::plan(&mut rules, &look);
        if config.batch_spoils_json_schema && request["generationConfig"].get("responseJsonSchema").is_some()
        {
            behaviours.push(Behaviour::AllNull);
        }
        let mut one = json!({});
        if let (Some(metadata), false) = (metadata, plan.without_keys) {
            one["metadata"] = metadata.clone();
        }
        if let Err(refusal) = gemini::check(config, &model, &version, request) {
            mistakes.extend(refusal.mistake.clone());
            one["error"] = status(&refusal.body);
        } else if let Some(reply) = gemini::scripted(&behaviours) {
            let body = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
            one["error"] = status(&body);
        } else {
            let made =
                gemini::generate(config, &model, request, posts, &behaviours, &format!("item-{number}"));
            // Prices are even, so that half of each is exact.
            batch.cost += model.price.of(&made.usage) / 2;
            batch.usage.prompt += made.usage.prompt;
            batch.usage.cached += made.usage.cached;
            batch.usage.candidates += made.usage.candidates;
            batch.usage.thoughts += made.usage.thoughts;
            one["response"] = made.response;
        }
        output.push(one);
    }
    if plan.shuffled && !plan.without_keys {
        output.reverse();
        let by = 1.min(output.len() / 3);
        output.rotate_left(by);
    }
    state.rules = rules;
    state.batches[index].output = Some(output);
    mistakes
}

/// An error in the form that stands inside a batch: the code is gRPC's.
fn status(body: &Value) -> Value {
    let error = &body["error"];
    let code = match error["status"].as_str() {
        Some("INVALID_ARGUMENT") => 3,
        Some("DEADLINE_EXCEEDED") => 4,
        Some("PERMISSION_DENIED") => 7,
        Some("RESOURCE_EXHAUSTED") => 8,
        Some("FAILED_PRECONDITION") => 9,
        Some("UNAVAILABLE") => 14,
        _ => 13,
    };
    let mut status = json!({"code": code, "message": error["message"]});
    if error["details"].is_array() {
        status["details"] = error["details"].clone();
    }
    status
}

/// Cancels what is not done; the answer is an empty object.
pub fn cancel(state: &mut State, name: &str) -> Done {
    match find(state, name) {
        Ok(batch) => {
            if !batch.is_done() {
                // Nobody has to look first.
                batch.finish(End::Cancelled);
                batch.polls += 1;
            }
            Done::free(200, &json!({}))
        }
        Err(refusal) => refusal.into(),
    }
}

pub fn delete(state: &mut State, name: &str) -> Done {
    match find(state, name) {
        Ok(batch) => {
            batch.deleted = true;
            Done::free(200, &json!({}))
        }
        Err(refusal) => refusal.into(),
    }
}

/// All batches, the newest first, without their output.
pub fn list(state: &State) -> Done {
    let kept = state.batches.iter().rev().filter(|batch| !batch.deleted);
    let operations: Vec<Value> = kept
        .map(|batch| {
            let mut operation = batch.operation();
            if let Some(map) = operation.as_object_mut() {
                map.remove("response");
            }
            if let Some(map) = operation["metadata"].as_object_mut() {
                map.remove("output");
            }
            operation
        })
        .collect();
    Done::free(200, &if operations.is_empty() { json!({}) } else { json!({ "operations": operations }) })
}

/// The time in the form of the service, by the calendar that began on 1 March 0000.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400 + 719_468, since.as_secs() % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", since.subsec_nanos())
}
