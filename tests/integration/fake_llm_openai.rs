//! `chat/completions` as OpenAI, Ollama and others answer it. Pure.
//!
//! In this API `completion_tokens` includes the thoughts and `prompt_tokens` the cached ones.

use serde_json::{Value, json};

use super::answer;
use super::gemini::tokens;
use super::http::{Reply, Request};
use super::route::{Done, stopped_on_the_way};
use super::script::{Behaviour, Post};
use super::strict;
use super::{Config, NotFound, SchemaMode, Usage};

fn error(status: u16, kind: &str, code: Option<&str>, message: &str) -> Done {
    Done::free(status, &json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
}

/// The same as the client's own mistake.
fn mistake(status: u16, code: Option<&str>, message: &str) -> Done {
    Done { mistake: Some(message.to_owned()), ..error(status, "invalid_request_error", code, message) }
}

/// The text of a message: a string, or parts of the type `text`.
fn content(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// What the user says.
pub fn prompt(body: &Value) -> String {
    let messages = body["messages"].as_array().into_iter().flatten();
    messages.filter(|message| message["role"] == "user").map(content).collect::<Vec<_>>().join("\n")
}

fn scripted(plan: &[Behaviour]) -> Option<Done> {
    let limit = |after: Option<&str>| {
        let mut done =
            error(429, "requests", Some("rate_limit_exceeded"), "Rate limit reached for requests.");
        if let Some(after) = after {
            // The header counts whole seconds.
            let seconds = after.trim_end_matches('s').parse::<f64>();
            let value = seconds.map_or_else(|_| after.to_owned(), |s| (s.ceil() as u64).to_string());
            done.reply = done.reply.header("Retry-After", &value);
        }
        done
    };
    plan.iter().find_map(|behaviour| {
        Some(match behaviour {
            Behaviour::RetryInfo(delay) | Behaviour::RetryAfter(delay) => limit(Some(delay)),
            Behaviour::QuotaPerMinute(delay) => limit(*delay),
            Behaviour::BareRateLimit => limit(None),
            Behaviour::QuotaPerDay(_) => {
                let message = "You exceeded your current quota, please check your plan and billing details.";
                error(429, "insufficient_quota", Some("insufficient_quota"), message)
            }
            Behaviour::HtmlRateLimit => {
                Done { reply: Reply::html(429, "<html>Too many requests</html>"), ..limit(None) }
            }
            Behaviour::Status(status @ (502 | 504 | 408)) => {
                Done { reply: Reply::html(*status, "<html>The gateway gave up</html>"), ..limit(None) }
            }
            Behaviour::Status(status) => {
                error(*status, "server_error", None, "The server had an error while processing your request.")
            }
            Behaviour::Forbidden => {
                error(403, "invalid_request_error", Some("unsupported_country_region_territory"), "Not here.")
            }
            Behaviour::KeyInvalid => wrong_key(),
            Behaviour::UnknownField => {
                error(400, "invalid_request_error", Some("unknown_parameter"), "Unknown parameter: 'foo'.")
            }
            Behaviour::PlaceNotSupported => {
                error(400, "invalid_request_error", None, "This is not supported at your place.")
            }
            Behaviour::PromptBlocked(_) => {
                let message = "The prompt was filtered by the content policy.";
                error(400, "invalid_request_error", Some("content_filter"), message)
            }
            _ => return None,
        })
    })
}

fn wrong_key() -> Done {
    error(401, "invalid_request_error", Some("invalid_api_key"), "Incorrect API key provided.")
}

fn no_model(config: &Config, name: &str) -> Done {
    match config.not_found {
        NotFound::OpenAi => {
            let message = format!("The model `{name}` does not exist or you do not have access to it.");
            error(404, "invalid_request_error", Some("model_not_found"), &message)
        }
        NotFound::OllamaV1 => {
            error(404, "api_error", None, &format!("model \"{name}\" not found, try pulling it first"))
        }
        NotFound::OllamaNative => Done::free(404, &json!({"error": format!("model '{name}' not found")})),
    }
}

/// What is wrong with a request; `None` when nothing is.
fn check(config: &Config, body: &Value) -> Option<Done> {
    if let Some(first) = strict::check(body, &strict::CHAT).first() {
        return Some(mistake(400, Some("unknown_parameter"), &first.message));
    }
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    if messages.is_empty() {
        return Some(mistake(400, None, "[] is too short - 'messages'"));
    }
    for message in messages {
        let role = message["role"].as_str().unwrap_or_default();
        if !["system", "developer", "user", "assistant"].contains(&role) {
            return Some(mistake(400, None, &format!("'{role}' is not one of the roles - 'messages.role'")));
        }
        let filled = match &message["content"] {
            Value::String(_) => true,
            Value::Array(parts) => {
                !parts.is_empty()
                    && parts.iter().all(|part| part["type"] == "text" && part["text"].is_string())
            }
            _ => false,
        };
        if !filled {
            return Some(mistake(400, None, "Invalid value for 'content': expected a string."));
        }
    }
    if body["stream"] == true {
        return Some(mistake(400, None, "Streaming is not offered here."));
    }
    if !body["max_tokens"].is_null() && !body["max_completion_tokens"].is_null() {
        return Some(mistake(400, None, "Set one of 'max_tokens' and 'max_completion_tokens'."));
    }
    for name in ["max_tokens", "max_completion_tokens"] {
        if body[name].as_i64().is_some_and(|count| count < 1) {
            return Some(mistake(400, None, &format!("'{name}' must be at least 1.")));
        }
    }
    if body["temperature"].as_f64().is_some_and(|t| !(0.0..=2.0).contains(&t)) {
        return Some(mistake(400, None, "'temperature' must be between 0 and 2."));
    }
    format(config, &body["response_format"])
}

fn format(config: &Config, format: &Value) -> Option<Done> {
    if format.is_null() {
        return None;
    }
    match format["type"].as_str() {
        Some("text" | "json_object") => None,
        Some("json_schema") => {
            if config.schema_mode == SchemaMode::Refused {
                let message =
                    "'response_format.type' : value is not one of the allowed values ['text','json_object']";
                return Some(error(400, "invalid_request_error", None, message));
            }
            let inner = &format["json_schema"];
            let name = inner["name"].as_str().unwrap_or_default();
            let fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || name.len() > 64 || !name.chars().all(fine) {
                return Some(mistake(400, None, "Invalid 'response_format.json_schema.name'."));
            }
            if !inner["schema"].is_object() {
                return Some(mistake(
                    400,
                    None,
                    "Missing required parameter: 'response_format.json_schema.schema'.",
                ));
            }
            let mut found = Vec::new();
            let schema = &inner["schema"];
            strict::schema(schema, strict::Dialect::Json, "schema", schema, &mut found);
            if let Some(first) = found.first() {
                return Some(mistake(400, Some("invalid_json_schema"), &first.message));
            }
            if inner["strict"] == true && config.strict_wants_all {
                let wrong = if schema["type"] == "object" {
                    not_closed(schema, "")
                } else {
                    Some("schema must be a JSON Schema of 'type: \"object\"'".to_owned())
                };
                return wrong.map(|wrong| {
                    let message = format!("Invalid schema for response_format '{name}': {wrong}");
                    mistake(400, Some("invalid_json_schema"), &message)
                });
            }
            None
        }
        _ => Some(mistake(400, None, "Invalid value for 'response_format.type'.")),
    }
}

/// What strict mode asks of every object: all fields required, no others allowed.
fn not_closed(schema: &Value, at: &str) -> Option<String> {
    let empty = serde_json::Map::new();
    let names = schema["properties"].as_object().unwrap_or(&empty);
    if schema["type"] == "object" {
        if schema["additionalProperties"] != false {
            return Some(format!(
                "In context=({at}), 'additionalProperties' is required to be supplied and to be false."
            ));
        }
        let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
        if let Some(name) = names.keys().find(|name| !required.contains(&json!(name))) {
            return Some(format!(
                "In context=({at}), 'required' must include every key in properties. Missing '{name}'."
            ));
        }
    }
    let inner = names.iter().map(|(name, inner)| (format!("{at}/{name}"), inner));
    let defined = schema["$defs"].as_object().into_iter().flatten();
    let defined = defined.map(|(name, inner)| (format!("$defs/{name}"), inner));
    let either = schema["anyOf"].as_array().into_iter().flatten().map(|inner| (at.to_owned(), inner));
    let items = schema.get("items").map(|inner| (format!("{at}/items"), inner));
    inner.chain(defined).chain(either).chain(items).find_map(|(at, inner)| not_closed(inner, &at))
}

/// One chat.
pub fn chat(
    config: &Config,
    request: &Request,
    body: &Value,
    posts: &[Post],
    plan: &[Behaviour],
    number: usize,
) -> Done {
    if let Some(key) = &config.openai_key
        && request.header("authorization") != Some(format!("Bearer {key}").as_str())
    {
        return Done { mistake: Some("the key is wrong".to_owned()), ..wrong_key() };
    }
    if !body.is_object() {
        return mistake(400, None, "We could not parse the JSON body of your request.");
    }
    let name = body["model"].as_str().unwrap_or_default();
    let Some((_, price)) = config.openai_models.iter().find(|(known, _)| known == name) else {
        return no_model(config, name);
    };
    if let Some(done) = check(config, body).or_else(|| scripted(plan)) {
        return done;
    }
    if stopped_on_the_way(plan) {
        return Done::free(200, &Value::Null);
    }
    let prompt = prompt(body);
    let said: usize =
        body["messages"].as_array().into_iter().flatten().map(|m| content(m).chars().count()).sum();
    let mut usage = Usage { prompt: tokens(said), ..Usage::default() };
    let format = &body["response_format"];
    let schema = &format["json_schema"]["schema"];
    let mut text = match format["type"].as_str() {
        Some("json_schema") if config.schema_mode == SchemaMode::Ignored => {
            format!("Here is what I think of the {} posts: they are mostly about waiting.", posts.len())
        }
        Some("json_schema") => answer::answer(schema, posts, &prompt, plan),
        Some("json_object") => json!({"answer": config.free_text}).to_string(),
        _ if plan.contains(&Behaviour::UrlInText) => {
            format!("{} See https://evil.example/collect?d=1.", config.free_text)
        }
        _ => config.free_text.clone(),
    };
    let limit = body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64()).unwrap_or(65_536);
    let mut message = json!({"role": "assistant", "refusal": null});
    let mut reason = "stop";
    let mut choices = true;
    for behaviour in plan {
        match behaviour {
            Behaviour::Thoughts(count) => usage.thoughts = *count,
            Behaviour::Cached(count) => usage.cached = (*count).min(usage.prompt),
            Behaviour::MaxTokensCut => {
                text = text.chars().take(text.chars().count() / 2).collect();
                reason = "length";
            }
            Behaviour::MaxTokensEmpty => {
                text.clear();
                usage.thoughts = limit;
                reason = "length";
            }
            Behaviour::Finish(name) => {
                text.clear();
                reason = theirs(name);
            }
            Behaviour::FinishWithAnswer(name) => reason = theirs(name),
            Behaviour::Refusal(words) => {
                message["refusal"] = json!(words);
                text = (*words).to_owned();
            }
            Behaviour::NoCandidates => {
                choices = false;
                text.clear();
            }
            _ => {}
        }
    }
    let room = limit.saturating_sub(usage.thoughts) as usize * 4;
    if text.chars().count() > room && !plan.contains(&Behaviour::DeepJson) {
        text = text.chars().take(room).collect();
        reason = "length";
    }
    usage.candidates = tokens(text.chars().count());
    let refused = !message["refusal"].is_null();
    message["content"] = if refused { Value::Null } else { json!(text) };
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": reason});
    let completion = usage.candidates + usage.thoughts;
    let mut response = json!({
        "id": format!("chatcmpl-fake{number}"),
        "object": "chat.completion",
        "created": 1_795_420_800,
        "model": format!("{name}-2026-10"),
        "system_fingerprint": "fp_fake",
        "choices": if choices { vec![choice] } else { Vec::new() },
        "usage": {
            "prompt_tokens": usage.prompt,
            "completion_tokens": completion,
            "total_tokens": usage.prompt + completion,
        },
    });
    if usage.cached > 0 {
        response["usage"]["prompt_tokens_details"] = json!({"cached_tokens": usage.cached});
    }
    if usage.thoughts > 0 {
        response["usage"]["completion_tokens_details"] = json!({"reasoning_tokens": usage.thoughts});
    }
    Done { usage, cost: price.of(&usage), ..Done::free(200, &response) }
}

/// The finish reason of this API for one of Gemini's; unknown ones in small letters.
fn theirs(name: &str) -> &'static str {
    match name {
        "MAX_TOKENS" => "length",
        "STOP" => "stop",
        "SAFETY" | "RECITATION" | "PROHIBITED_CONTENT" | "SPII" | "BLOCKLIST" | "LANGUAGE" => {
            "content_filter"
        }
        _ => "new_reason",
    }
}
