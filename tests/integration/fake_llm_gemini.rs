//! `generateContent` as the real service answers it: strict about the request, in the words of
//! its errors, with usage and finish reasons. Pure.
//!
//! Tokens are counted by a simple rule: a quarter of the characters, rounded up; of the prompt
//! together (instruction and contents), of the answer together, of the thoughts together.

use serde_json::{Value, json};

use super::answer;
use super::http::Reply;
use super::script::{Behaviour, Post};
use super::strict::{self, Violation};
use super::{Config, Model, Usage};

/// An error in the service's form.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: u16,
    pub body: Value,
    /// The client's own mistake, as the violations list it; `None` when the refusal was asked for.
    pub mistake: Option<String>,
}

/// What the model did.
#[derive(Clone, Debug)]
pub struct Generated {
    pub response: Value,
    pub usage: Usage,
}

/// A quarter of the characters, rounded up.
pub fn tokens(characters: usize) -> u64 {
    characters.div_ceil(4) as u64
}

/// An error as Google writes it.
pub fn error(status: u16, name: &str, message: &str, details: Vec<Value>) -> Refusal {
    let mut error = json!({"code": status, "message": message, "status": name});
    if !details.is_empty() {
        error["details"] = Value::Array(details);
    }
    Refusal { status, body: json!({ "error": error }), mistake: None }
}

/// The same as the client's own mistake.
pub fn mistake(status: u16, name: &str, message: &str, details: Vec<Value>) -> Refusal {
    Refusal { mistake: Some(message.to_owned()), ..error(status, name, message, details) }
}

fn detail(kind: &str, mut fields: Value) -> Value {
    fields["@type"] = json!(format!("type.googleapis.com/google.rpc.{kind}"));
    fields
}

/// All violations of a request in one error.
pub fn refused(violations: &[Violation]) -> Refusal {
    let lines: Vec<&str> = violations.iter().map(|v| v.message.as_str()).collect();
    let fields: Vec<Value> =
        violations.iter().map(|v| json!({"field": v.field, "description": v.message})).collect();
    let details = vec![detail("BadRequest", json!({ "fieldViolations": fields }))];
    mistake(400, "INVALID_ARGUMENT", &lines.join("\n"), details)
}

/// The answer to a wrong key. The real one is a 400.
pub fn bad_key() -> Refusal {
    let message = "API key not valid. Please pass a valid API key.";
    let info = json!({"reason": "API_KEY_INVALID", "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"}});
    let said = json!({"locale": "en-US", "message": message});
    let details = vec![detail("ErrorInfo", info), detail("LocalizedMessage", said)];
    error(400, "INVALID_ARGUMENT", message, details)
}

/// The answer to no key at all. The real one is a 403.
pub fn no_key() -> Refusal {
    let message = "Method doesn't allow unregistered callers (callers without established identity). \
                   Please use API Key or other form of API consumer identity to call this API.";
    mistake(403, "PERMISSION_DENIED", message, Vec::new())
}

/// Finds the model of a path.
pub fn model<'a>(config: &'a Config, name: &str, version: &str) -> Result<&'a Model, Refusal> {
    config.models.iter().find(|model| model.name == name && !model.retired).ok_or_else(|| {
        let message = format!(
            "models/{name} is not found for API version {version}, or is not supported for generateContent. \
             Call ListModels to see the list of available models and their supported methods."
        );
        error(404, "NOT_FOUND", &message, Vec::new())
    })
}

/// The refusal that a plan asks for, with `Retry-After` where it is part of it.
pub fn scripted(plan: &[Behaviour]) -> Option<Reply> {
    // The service lists all limits that are near; the day's does not come first.
    let quota = |periods: &[&str], delay: Option<&str>| {
        let violations: Vec<Value> = periods
            .iter()
            .map(|period| {
                json!({
                    "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
                    "quotaId": format!("GenerateRequestsPer{period}PerProjectPerModel-FreeTier"),
                    "quotaDimensions": {"location": "global", "model": "gemini-3.5-flash-lite"},
                    "quotaValue": "20",
                })
            })
            .collect();
        let link = json!({"links": [{"description": "Learn more about Gemini API quotas",
            "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}]});
        let mut details =
            vec![detail("Help", link), detail("QuotaFailure", json!({ "violations": violations }))];
        details.extend(delay.map(|delay| detail("RetryInfo", json!({ "retryDelay": delay }))));
        let message = "You exceeded your current quota, please check your plan and billing details.";
        error(429, "RESOURCE_EXHAUSTED", message, details)
    };
    let busy = |details| {
        error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).", details)
    };
    plan.iter().find_map(|behaviour| {
        let refusal = match behaviour {
            Behaviour::RetryInfo(delay) => busy(vec![detail("RetryInfo", json!({ "retryDelay": delay }))]),
            Behaviour::QuotaPerMinute(delay) => quota(&["Minute"], *delay),
            Behaviour::QuotaPerDay(delay) => quota(&["Minute", "Day"], *delay),
            Behaviour::BareRateLimit => busy(Vec::new()),
            Behaviour::HtmlRateLimit => {
                return Some(Reply::html(429, "<html><title>429</title>Too many requests</html>"));
            }
            Behaviour::RetryAfter(when) => {
                return Some(Reply::json(429, &busy(Vec::new()).body).header("Retry-After", when));
            }
            Behaviour::Status(503) => {
                error(503, "UNAVAILABLE", "The model is overloaded. Please try again later.", Vec::new())
            }
            Behaviour::Status(504) => {
                let message = "The request timed out. Please try again.";
                error(504, "DEADLINE_EXCEEDED", message, Vec::new())
            }
            Behaviour::Status(502) => return Some(Reply::html(502, "<html><h1>502 Bad Gateway</h1></html>")),
            Behaviour::Status(408) => {
                return Some(Reply::html(408, "<html>Your client took too long.</html>"));
            }
            Behaviour::Status(other) => {
                error(*other, "INTERNAL", "An internal error has occurred.", Vec::new())
            }
            Behaviour::Forbidden => {
                let info = json!({"reason": "SERVICE_DISABLED", "domain": "googleapis.com"});
                let message =
                    "Generative Language API has not been used in this project before or it is disabled.";
                error(403, "PERMISSION_DENIED", message, vec![detail("ErrorInfo", info)])
            }
            Behaviour::UnknownField => Refusal {
                mistake: None,
                ..refused(&[strict::unknown("thinkingLevels", "generation_config")])
            },
            Behaviour::KeyInvalid => bad_key(),
            Behaviour::PlaceNotSupported => {
                let message = "User location is not supported for the API use.";
                error(400, "FAILED_PRECONDITION", message, Vec::new())
            }
            _ => return None,
        };
        Some(Reply::json(refusal.status, &refusal.body))
    })
}

/// All text of a content, in order.
fn texts(content: &Value) -> impl Iterator<Item = &str> {
    content["parts"].as_array().into_iter().flatten().filter_map(|part| part["text"].as_str())
}

/// What the user says in a request: the text of all contents with the role of the user.
pub fn prompt(request: &Value) -> String {
    let contents = request["contents"].as_array().into_iter().flatten();
    let user = contents.filter(|content| content["role"].as_str().is_none_or(|role| role == "user"));
    user.flat_map(texts).collect::<Vec<_>>().join("\n")
}

/// The tokens of instruction and contents.
pub fn prompt_tokens(request: &Value) -> u64 {
    let contents = request["contents"].as_array().into_iter().flatten();
    let all = contents.chain(std::iter::once(&request["systemInstruction"])).flat_map(texts);
    tokens(all.map(|text| text.chars().count()).sum())
}

/// Checks a request as the service does; the shape first, then the sense.
pub fn check(config: &Config, model: &Model, version: &str, request: &Value) -> Result<(), Refusal> {
    let mut found = strict::check(request, &strict::GENERATE);
    if config.v1_is_narrow && version == "v1" {
        for (at, name) in [
            ("", "systemInstruction"),
            ("generationConfig", "responseMimeType"),
            ("generationConfig", "responseSchema"),
            ("generationConfig", "responseJsonSchema"),
        ] {
            let place = if at.is_empty() { request } else { &request[at] };
            if place.get(name).is_some() {
                found.push(strict::unknown(name, if at.is_empty() { "" } else { "generation_config" }));
            }
        }
    }
    if !found.is_empty() {
        return Err(refused(&found));
    }
    match sense(model, request) {
        None => Ok(()),
        Some(message) => Err(mistake(400, "INVALID_ARGUMENT", &message, Vec::new())),
    }
}

/// What is wrong with a request of the right shape.
fn sense(model: &Model, request: &Value) -> Option<String> {
    if let Some(named) = request["model"].as_str()
        && named != format!("models/{}", model.name)
    {
        return Some(format!("* GenerateContentRequest.model: {named} is not the model of the path"));
    }
    let contents = request["contents"].as_array().map_or(&[][..], Vec::as_slice);
    if contents.is_empty() {
        return Some("* GenerateContentRequest.contents: contents is not specified\n".to_owned());
    }
    for (n, content) in contents.iter().enumerate() {
        if content["role"].as_str().is_some_and(|role| role != "user" && role != "model") {
            return Some("Please use a valid role: user, model.".to_owned());
        }
        let parts = content["parts"].as_array().map_or(&[][..], Vec::as_slice);
        let at = format!("GenerateContentRequest.contents[{n}].parts");
        if parts.is_empty() {
            return Some(format!("* {at}: contents.parts must not be empty.\n"));
        }
        let empty = |part: &Value| part.as_object().is_none_or(|map| map.values().all(Value::is_null));
        if let Some(bad) = parts.iter().position(empty) {
            return Some(format!(
                "* {at}[{bad}].data: required oneof field 'data' must have one initialized field\n"
            ));
        }
    }
    let mut seen = Vec::new();
    for setting in request["safetySettings"].as_array().into_iter().flatten() {
        if setting["category"].is_null()
            || setting["threshold"].is_null()
            || seen.contains(&setting["category"])
        {
            return Some(format!(
                "* GenerateContentRequest.safety_settings: incomplete or named twice: {setting}"
            ));
        }
        seen.push(setting["category"].clone());
    }
    generation(model, &request["generationConfig"])
}

fn generation(model: &Model, config: &Value) -> Option<String> {
    let out_of = |name: &str, low: f64, high: f64| {
        config[name].as_f64().is_some_and(|v| !(low..=high).contains(&v)).then(|| {
            format!(
                "* GenerateContentRequest.generation_config.{name}: must be in the range [{low}, {high}]."
            )
        })
    };
    let bounds = out_of("temperature", 0.0, 2.0)
        .or_else(|| out_of("topP", 0.0, 1.0))
        .or_else(|| out_of("candidateCount", 1.0, 8.0))
        .or_else(|| out_of("maxOutputTokens", 1.0, 65_536.0));
    if bounds.is_some() {
        return bounds;
    }
    if config["stopSequences"].as_array().is_some_and(|list| list.len() > 5) {
        return Some("* GenerateContentRequest.generation_config.stop_sequences: at most 5.".to_owned());
    }
    let mime = config["responseMimeType"].as_str();
    let (open, json) = (!config["responseSchema"].is_null(), !config["responseJsonSchema"].is_null());
    let format = !config["responseFormat"].is_null();
    if open as u8 + json as u8 + format as u8 > 1 {
        return Some("Only one of response_schema and response_json_schema can be set.".to_owned());
    }
    if (open || json) && mime != Some("application/json") && !(open && mime == Some("text/x.enum")) {
        return Some("response_mime_type must be application/json when a response schema is set.".to_owned());
    }
    if mime.is_some_and(|mime| !["text/plain", "application/json", "text/x.enum"].contains(&mime)) {
        return Some(format!(
            "* GenerateContentRequest.generation_config.response_mime_type: {mime:?} is not allowed."
        ));
    }
    let thinking = &config["thinkingConfig"];
    let (level, budget) = (thinking["thinkingLevel"].as_str(), thinking["thinkingBudget"].as_i64());
    match (model.levels, level, budget) {
        (_, Some(_), Some(_)) => {
            Some("You can only set only one of thinking budget and thinking level.".to_owned())
        }
        (None, Some(_), _) => Some("Thinking level is not supported for this model.".to_owned()),
        (Some(levels), Some(level), _) if !levels.contains(&level.to_ascii_uppercase().as_str()) => {
            Some(format!("Thinking level is unsupported: THINKING_LEVEL_{}", level.to_ascii_uppercase()))
        }
        (Some(_), _, Some(_)) => Some("Thinking budget is not supported for this model.".to_owned()),
        (None, _, Some(budget)) if !(-1..=24_576).contains(&budget) => {
            Some("The thinking budget is invalid. Please choose a value between 0 and 24576.".to_owned())
        }
        _ => None,
    }
}

/// The schema that a request asks for.
pub fn schema(request: &Value) -> Option<&Value> {
    let config = &request["generationConfig"];
    [&config["responseJsonSchema"], &config["responseSchema"], &config["responseFormat"]["text"]["schema"]]
        .into_iter()
        .find(|schema| !schema.is_null())
}

fn thinks(config: &Value) -> u64 {
    let thinking = &config["thinkingConfig"];
    match thinking["thinkingLevel"].as_str().map(str::to_ascii_uppercase).as_deref() {
        Some("LOW") => 32,
        Some("MEDIUM") => 128,
        Some("HIGH") => 512,
        Some("XHIGH") => 2048,
        _ => match thinking["thinkingBudget"].as_i64() {
            Some(-1) => 64,
            Some(budget) => (budget.max(0) as u64).min(64),
            None => 0,
        },
    }
}

/// The text that the model would give without any limit.
fn words(config: &Config, request: &Value, posts: &[Post], plan: &[Behaviour]) -> String {
    let prompt = prompt(request);
    match schema(request) {
        Some(schema) => answer::answer(schema, posts, &prompt, plan),
        None if request["generationConfig"]["responseMimeType"] == "application/json" => {
            // Nobody said which JSON.
            json!({"answer": config.free_text}).to_string()
        }
        None if plan.contains(&Behaviour::UrlInText) => {
            format!("{} See https://evil.example/collect?d=1.", config.free_text)
        }
        None => config.free_text.clone(),
    }
}

/// Runs the model over a request that was checked; `id` is for the answer's own id.
pub fn generate(
    config: &Config,
    model: &Model,
    request: &Value,
    posts: &[Post],
    plan: &[Behaviour],
    id: &str,
) -> Generated {
    let settings = &request["generationConfig"];
    let limit = settings["maxOutputTokens"].as_u64().unwrap_or(65_536);
    let mut usage = Usage { prompt: prompt_tokens(request), thoughts: thinks(settings), ..Usage::default() };
    let mut text = words(config, request, posts, plan);
    let mut pieces = 1;
    let mut reason = "STOP";
    let mut content = true;
    let mut response = json!({
        "modelVersion": model.version,
        "responseId": format!("fake-{id}-{:08x}", answer::hash(&[&text], 0) as u32),
    });
    for behaviour in plan {
        match behaviour {
            Behaviour::Thoughts(count) => usage.thoughts = *count,
            Behaviour::Cached(count) => usage.cached = (*count).min(usage.prompt),
            Behaviour::SplitParts(count) => pieces = (*count).max(1),
            Behaviour::MaxTokensCut => {
                text = text.chars().take(text.chars().count() / 2).collect();
                reason = "MAX_TOKENS";
            }
            Behaviour::MaxTokensEmpty => {
                usage.thoughts = limit;
                text.clear();
                reason = "MAX_TOKENS";
            }
            Behaviour::Finish(name) => {
                reason = name;
                content = false;
            }
            Behaviour::FinishWithAnswer(name) => reason = name,
            _ => {}
        }
    }
    let blocked = plan.iter().find_map(|behaviour| match behaviour {
        Behaviour::PromptBlocked(reason) => Some(*reason),
        Behaviour::Refusal(_) => Some("OTHER"),
        _ => None,
    });
    if blocked.is_some() || plan.contains(&Behaviour::NoCandidates) {
        if let Some(reason) = blocked {
            response["promptFeedback"] = json!({ "blockReason": reason });
        }
        usage.thoughts = 0;
        response["usageMetadata"] = metadata(&usage);
        return Generated { response, usage };
    }
    // A limit that is too low cuts without anybody's script.
    let room = limit.saturating_sub(usage.thoughts) as usize * 4;
    if content && text.chars().count() > room && !plan.contains(&Behaviour::DeepJson) {
        text = text.chars().take(room).collect();
        usage.thoughts = usage.thoughts.min(limit);
        reason = "MAX_TOKENS";
    }
    let mut candidate = json!({"finishReason": reason, "index": 0});
    if content {
        usage.candidates = tokens(text.chars().count());
        let (parts, thought) = parts(&text, pieces, settings["thinkingConfig"]["includeThoughts"] == true);
        usage.thoughts = usage.thoughts.max(thought);
        candidate["content"] = json!({"role": "model"});
        if !parts.is_empty() {
            candidate["content"]["parts"] = Value::Array(parts);
        }
    } else {
        candidate["finishMessage"] = json!(format!("The candidate was ended: {reason}."));
        if reason == "SAFETY" {
            candidate["safetyRatings"] = json!([{"category": "HARM_CATEGORY_DANGEROUS_CONTENT",
                "probability": "HIGH", "blocked": true}]);
        }
    }
    response["candidates"] = json!([candidate]);
    response["usageMetadata"] = metadata(&usage);
    Generated { response, usage }
}

/// The text in pieces with thoughts between them, and the thoughts' tokens.
fn parts(text: &str, pieces: usize, show_thoughts: bool) -> (Vec<Value>, u64) {
    const THOUGHT: &str = "**Thinking** [{\"id\":\"thought\"}] about the posts.";
    let letters: Vec<char> = text.chars().collect();
    if letters.is_empty() {
        return (Vec::new(), 0);
    }
    let mut parts = Vec::new();
    let mut thoughts = 0;
    for chunk in letters.chunks(letters.len().div_ceil(pieces)) {
        if pieces > 1 || show_thoughts {
            parts.push(json!({"text": THOUGHT, "thought": true}));
            thoughts += THOUGHT.chars().count();
        }
        parts.push(json!({"text": chunk.iter().collect::<String>()}));
    }
    if pieces > 1 {
        parts.push(json!({"text": "", "thoughtSignature": "c2lnbmF0dXJl"}));
    }
    (parts, tokens(thoughts))
}

/// Fields that say nothing are absent.
fn metadata(usage: &Usage) -> Value {
    let mut data = json!({
        "promptTokenCount": usage.prompt,
        "totalTokenCount": usage.prompt + usage.candidates + usage.thoughts,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.prompt}],
    });
    for (name, count) in [
        ("candidatesTokenCount", usage.candidates),
        ("thoughtsTokenCount", usage.thoughts),
        ("cachedContentTokenCount", usage.cached),
    ] {
        if count > 0 {
            data[name] = json!(count);
        }
    }
    data
}
