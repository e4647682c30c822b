//! Google's Gemini API: `generateContent` with a JSON schema.
//!
//! The key goes in a header, never in the URL. What was looked up of requests, answers and
//! errors is in the tests. Waits for the network.

use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::prompt::Prompt;
use super::provider::{Ask, Heard, Provider, Reply, exchange, name, or_null, words};
use super::usd::{Rates, Tokens};
use crate::http::{Client, Request};

/// Where the API is unless the configuration says otherwise.
pub const GEMINI_URL: &str = "https://generativelanguage.googleapis.com";

/// The Gemini API with one model.
pub struct Gemini {
    /// Who asks.
    pub client: Client,
    /// Of the API, without a path.
    pub base_url: String,
    /// `v1` or `v1beta`.
    pub api_version: String,
    /// The model, without `models/`.
    pub model: String,
    /// The key.
    pub key: SecretString,
    /// What tokens cost.
    pub rates: Option<Rates>,
    /// How much it thinks before it answers: `minimal`, `low`, …; `None` leaves it to the model.
    pub thinking: Option<String>,
}

/// The categories whose filters are turned off: posts about harm are what a pharmacy must read.
const CATEGORIES: [&str; 4] = [
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
];

/// Reasons to stop that are about what a post says.
const REFUSALS: [&str; 9] = [
    "SAFETY",
    "RECITATION",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "LANGUAGE",
    "OTHER",
    "MODEL_ARMOR",
];

impl Gemini {
    /// The URL of a method of the model.
    pub(super) fn url(&self, method: &str) -> String {
        let base = self.base_url.trim_end_matches('/');
        format!("{base}/{}/models/{}:{method}", self.api_version, self.model.trim_start_matches("models/"))
    }

    /// The body of `generateContent`.
    pub(super) fn body(&self, prompt: &Prompt, ask: &Ask) -> Value {
        let mut config = json!({
            "maxOutputTokens": ask.max_output,
            "responseMimeType": "application/json",
        });
        if let Some(thinking) = self.thinking_config() {
            config["thinkingConfig"] = thinking;
        }
        let safety: Vec<Value> =
            CATEGORIES.iter().map(|c| json!({ "category": c, "threshold": "OFF" })).collect();
        json!({
            "systemInstruction": { "parts": [{ "text": prompt.system }] },
            "contents": [{ "role": "user", "parts": [{ "text": ask.message() }] }],
            "safetySettings": safety,
            "generationConfig": config,
        })
    }

    /// The body as text, with the schema as it was written: the order of its properties counts.
    pub(super) fn body_text(&self, prompt: &Prompt, ask: &Ask) -> String {
        let mut body = self.body(prompt, ask).to_string();
        // Inside of a text its quotes would be escaped: this stands in one place only.
        let place = "\"generationConfig\":{";
        if let Some(at) = body.find(place) {
            body.insert_str(at + place.len(), &format!("\"responseJsonSchema\":{},", prompt.schema));
        }
        body
    }

    /// Models of generation 2.5 take a number of tokens, later ones a level.
    fn thinking_config(&self) -> Option<Value> {
        let model = self.model.trim_start_matches("models/");
        let level = self.thinking.as_deref();
        if model.starts_with("gemini-2.5") {
            let budget = match level {
                Some("dynamic") => -1,
                Some("low") => 512,
                Some("medium") => 2_048,
                Some("high") => 8_192,
                // The large one cannot do without.
                _ if model.contains("pro") => 128,
                _ => 0,
            };
            return Some(json!({ "thinkingBudget": budget }));
        }
        if model.starts_with("gemini-1") || model.starts_with("gemini-2") || model.starts_with("gemma") {
            return None;
        }
        match level {
            Some("dynamic") => None,
            Some(level) => Some(json!({ "thinkingLevel": level.to_ascii_uppercase() })),
            // Larger models do not go below LOW.
            None if model.contains("lite") => Some(json!({ "thinkingLevel": "MINIMAL" })),
            None => Some(json!({ "thinkingLevel": "LOW" })),
        }
    }
}

impl Provider for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn is_llm(&self) -> bool {
        true
    }

    fn rates(&self) -> Option<Rates> {
        self.rates
    }

    fn is_free(&self) -> bool {
        false
    }

    fn request_bytes(&self, prompt: &Prompt, ask: &Ask) -> u64 {
        self.body_text(prompt, ask).len() as u64
    }

    fn ask<'a>(&'a self, prompt: &'a Prompt, ask: &'a Ask) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let request = Request::post(self.url("generateContent"))
                .secret_header("x-goog-api-key", &self.key)
                .accept("application/json")
                .body("application/json", self.body_text(prompt, ask));
            exchange(&self.client, request, Some(&self.key), read).await
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async move {
            // "models/x:": what the API says of a model, without a method.
            let url = self.url("");
            let request = Request::get(url.trim_end_matches(':'))
                .secret_header("x-goog-api-key", &self.key)
                .accept("application/json");
            let read = |status, retry_after, body: &[u8]| match status {
                200..300 => Reply::of(match serde_json::from_slice::<Model>(body) {
                    Ok(model) => Heard::Text(name(model.name.trim_start_matches("models/"))),
                    Err(_) => Heard::Failed("the answer is not what the API writes".into()),
                }),
                _ => Reply::of(failure(status, retry_after, body)),
            };
            let found = exchange(&self.client, request, Some(&self.key), read).await.heard.or_why()?;
            Ok(format!("the key is accepted, and there is a model {found}"))
        })
    }
}

/// What the API says of a model.
#[derive(Deserialize)]
struct Model {
    name: String,
}

/// An answer of the API, as far as it is read. Fields that say nothing are absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default, deserialize_with = "or_null")]
    candidates: Vec<Candidate>,
    /// In the place of candidates, with a status that says that all is well.
    error: Option<Status>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Usage>,
    model_version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default, deserialize_with = "or_null")]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
    #[serde(default, deserialize_with = "or_null")]
    thought: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    #[serde(default, deserialize_with = "or_null")]
    prompt_token_count: u64,
    #[serde(default, deserialize_with = "or_null")]
    cached_content_token_count: u64,
    #[serde(default, deserialize_with = "or_null")]
    candidates_token_count: u64,
    #[serde(default, deserialize_with = "or_null")]
    thoughts_token_count: u64,
    #[serde(default, deserialize_with = "or_null")]
    tool_use_prompt_token_count: u64,
}

impl Usage {
    fn tokens(&self) -> Tokens {
        Tokens {
            prompt: self.prompt_token_count.saturating_add(self.tool_use_prompt_token_count),
            cached: self.cached_content_token_count,
            candidates: self.candidates_token_count,
            thoughts: self.thoughts_token_count,
        }
    }
}

/// Reads what came of one request.
pub(super) fn read(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Reply {
    if (200..300).contains(&status) {
        return answer(body);
    }
    Reply::of(failure(status, retry_after, body))
}

/// Reads a `GenerateContentResponse`.
pub(super) fn answer(body: &[u8]) -> Reply {
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        return Reply::of(Heard::Failed("the answer is not what the API writes".into()));
    };
    let blocked = answer.prompt_feedback.and_then(|f| f.block_reason);
    if let (Some(error), true, None) = (&answer.error, answer.candidates.is_empty(), &blocked) {
        let mut reply = Reply::of(match error.code {
            400..600 => error.heard(error.code, None),
            _ => Heard::Failed(format!("an error without a number: {}", words(&error.message))),
        });
        // Errors are not billed, unless it says so.
        reply.tokens = Some(answer.usage_metadata.map(|u| u.tokens()).unwrap_or_default());
        return reply;
    }
    let candidate = answer.candidates.into_iter().next();
    let finish = candidate.as_ref().and_then(|c| c.finish_reason.clone());
    let text: String = candidate
        .as_ref()
        .and_then(|c| c.content.as_ref())
        .map(|c| c.parts.iter().filter(|p| !p.thought).filter_map(|p| p.text.as_deref()).collect())
        .unwrap_or_default();
    let heard = match (blocked.as_deref(), finish.as_deref()) {
        (Some(reason), _) => Heard::Refused(format!("the prompt was blocked: {}", words(reason))),
        (None, Some("MAX_TOKENS")) => Heard::Cut,
        (None, None | Some("STOP" | "FINISH_REASON_UNSPECIFIED")) => Heard::Text(text),
        (None, Some(reason)) => {
            let said = candidate.as_ref().and_then(|c| c.finish_message.as_deref());
            let said = said.map(|m| format!(": {}", words(m))).unwrap_or_default();
            match REFUSALS.contains(&reason) {
                true => Heard::Refused(format!("{}{said}", words(reason))),
                // New reasons come up; an answer that is whole all the same is checked as any.
                false => Heard::Text(text),
            }
        }
    };
    Reply {
        heard,
        tokens: answer.usage_metadata.map(|u| u.tokens()),
        model_version: answer.model_version.as_deref().map(name),
        finish_reason: blocked.map(|b| format!("blocked: {}", words(&b))).or(finish.map(|f| words(&f))),
        status: None,
        elapsed_ms: 0,
    }
}

/// An error of Google's APIs.
#[derive(Deserialize)]
struct Failure {
    error: Status,
}

#[derive(Deserialize)]
pub(super) struct Status {
    #[serde(default, deserialize_with = "or_null")]
    code: u16,
    #[serde(default, deserialize_with = "or_null")]
    message: String,
    #[serde(default, deserialize_with = "or_null")]
    status: String,
    #[serde(default, deserialize_with = "or_null")]
    details: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    #[serde(default, deserialize_with = "or_null")]
    reason: String,
    retry_delay: Option<String>,
    #[serde(default, deserialize_with = "or_null")]
    violations: Vec<Violation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Violation {
    #[serde(default, deserialize_with = "or_null")]
    quota_id: String,
}

/// Reads an answer that is an error.
pub(super) fn failure(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Heard {
    let error = serde_json::from_slice::<Failure>(body).ok().map(|f| f.error).or_else(|| {
        // Some gateways wrap it into a list.
        serde_json::from_slice::<Vec<Failure>>(body).ok()?.into_iter().next().map(|f| f.error)
    });
    match error {
        Some(error) => error.heard(status, retry_after),
        None => {
            let plain =
                Status { code: status, message: String::new(), status: String::new(), details: Vec::new() };
            plain.heard(status, retry_after)
        }
    }
}

impl Status {
    /// What an error means for the calls to come.
    pub(super) fn heard(&self, status: u16, retry_after: Option<Duration>) -> Heard {
        let details: Vec<Detail> =
            self.details.iter().filter_map(|raw| serde_json::from_str(raw.get()).ok()).collect();
        let code = if status >= 400 { status } else { self.code };
        let said = match self.message.is_empty() {
            true => format!("HTTP {code}"),
            false => format!("HTTP {code} {}: {}", self.status, words(&self.message)),
        };
        let reason = |wanted: &str| details.iter().any(|d| d.reason == wanted);
        match code {
            429 => {
                let wait = details.iter().find_map(|d| seconds(d.retry_delay.as_deref()?));
                let day = details.iter().flat_map(|d| &d.violations).any(|v| v.quota_id.contains("PerDay"));
                Heard::Busy { wait: wait.or(retry_after), exhausted: day, detail: said }
            }
            503 => {
                let wait = details.iter().find_map(|d| seconds(d.retry_delay.as_deref()?)).or(retry_after);
                match wait {
                    Some(_) => Heard::Busy { wait, exhausted: false, detail: said },
                    None => Heard::Failed(said),
                }
            }
            408 | 425 | 500 | 502 | 504 | 520 | 522 | 524 | 529 => Heard::Failed(said),
            400 if reason("API_KEY_INVALID") || reason("API_KEY_EXPIRED") => {
                Heard::Denied(format!("the API key is not accepted ({said})"))
            }
            401 | 403 => Heard::Denied(format!("the API key may not do this ({said})")),
            404 | 405 => Heard::Denied(format!("the model or the API version is unknown ({said})")),
            402 => Heard::Denied(format!("it wants to be paid first ({said})")),
            // Billing, or a country: true of every call.
            400 if self.status == "FAILED_PRECONDITION" => Heard::Denied(said),
            300..=399 => Heard::Denied(format!("the API is elsewhere ({said})")),
            _ => Heard::Rejected(said),
        }
    }
}

/// A duration as protobuf writes it in JSON: `38s`, `0.5s`.
fn seconds(text: &str) -> Option<Duration> {
    let number: f64 = text.trim().strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(number).ok()
}

#[cfg(test)]
mod tests {
    use super::super::prompt::test_words;
    use super::*;

    fn gemini(model: &str) -> Gemini {
        Gemini {
            client: Client::new(crate::http::ClientOptions::default()).unwrap(),
            base_url: "https://example.com/".into(),
            api_version: "v1".into(),
            model: model.into(),
            key: SecretString::from("k".to_string()),
            rates: None,
            thinking: None,
        }
    }

    #[test]
    fn a_request_has_what_the_api_knows() {
        let gemini = gemini("gemini-3.5-flash-lite");
        assert_eq!(
            gemini.url("generateContent"),
            "https://example.com/v1/models/gemini-3.5-flash-lite:generateContent"
        );
        let prompt = Prompt::new("Label.", test_words());
        let mut ask = Ask::new(["one \"generationConfig\":{ two"]);
        ask.marker = "m".into();
        let text = gemini.body_text(&prompt, &ask);
        let body: Value = serde_json::from_str(&text).unwrap();
        let config = body["generationConfig"].as_object().unwrap();
        let mut keys: Vec<&str> = config.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["maxOutputTokens", "responseJsonSchema", "responseMimeType", "thinkingConfig"]);
        assert_eq!(config["thinkingConfig"], json!({ "thinkingLevel": "MINIMAL" }));
        assert_eq!(config["responseJsonSchema"], serde_json::from_str::<Value>(&prompt.schema).unwrap());
        assert!(text.contains(&prompt.schema), "in its own order");
        assert_eq!(
            body["contents"][0]["parts"][0]["text"],
            "POSTS m\n[{\"id\":\"p1\",\"text\":\"one \\\"generationConfig\\\":{ two\"}]\nEND m"
        );
    }

    #[test]
    fn older_models_are_told_otherwise_how_much_to_think() {
        let budget = |model| gemini(model).thinking_config();
        assert_eq!(budget("gemini-2.5-flash"), Some(json!({ "thinkingBudget": 0 })));
        assert_eq!(budget("models/gemini-2.5-pro"), Some(json!({ "thinkingBudget": 128 })));
        assert_eq!(budget("gemini-2.0-flash"), None);
        assert_eq!(budget("gemini-3.8-flash"), Some(json!({ "thinkingLevel": "LOW" })));
    }

    #[test]
    fn answers_are_put_together_from_what_is_no_thought() {
        let reply = read(
            200,
            None,
            br#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hm","thought":true},{"text":"{\"po"},{"text":"sts\":[]}"}]},"finishReason":"STOP"}],
               "usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":40,"candidatesTokenCount":7,"thoughtsTokenCount":3,"totalTokenCount":110},
               "modelVersion":"gemini-3.5-flash-lite-001","responseId":"x","somethingNew":{}}"#,
        );
        assert_eq!(reply.heard, Heard::Text("{\"posts\":[]}".into()));
        assert_eq!(reply.tokens, Some(Tokens { prompt: 100, cached: 40, candidates: 7, thoughts: 3 }));
        assert_eq!(reply.model_version.as_deref(), Some("gemini-3.5-flash-lite-001"));
    }

    #[test]
    fn every_end_is_told_apart() {
        let end = |reason: &str| {
            let body = format!(r#"{{"candidates":[{{"finishReason":"{reason}","finishMessage":"so"}}]}}"#);
            read(200, None, body.as_bytes()).heard
        };
        assert_eq!(end("MAX_TOKENS"), Heard::Cut);
        assert_eq!(end("SAFETY"), Heard::Refused("SAFETY: so".into()));
        assert_eq!(end("RECITATION"), Heard::Refused("RECITATION: so".into()));
        assert_eq!(end("A_NEW_ONE"), Heard::Text(String::new()), "checked, and found empty");
        let blocked = read(
            200,
            None,
            br#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":9}}"#,
        );
        assert_eq!(blocked.heard, Heard::Refused("the prompt was blocked: PROHIBITED_CONTENT".into()));
        assert_eq!(blocked.tokens.unwrap().prompt, 9, "billed all the same");
        assert_eq!(read(200, None, b"{}").heard, Heard::Text(String::new()));
        assert!(matches!(read(200, None, b"<html>").heard, Heard::Failed(_)));
    }

    #[test]
    fn errors_say_whether_and_when_to_come_back() {
        let body = |details: &str| {
            format!(
                r#"{{"error":{{"code":429,"message":"Slow\ndown","status":"RESOURCE_EXHAUSTED","details":[{details}]}}}}"#
            )
        };
        let busy = |details: &str| match read(429, None, body(details).as_bytes()).heard {
            Heard::Busy { wait, exhausted, detail } => {
                assert_eq!(detail, "HTTP 429 RESOURCE_EXHAUSTED: Slow down");
                (wait, exhausted)
            }
            other => panic!("{other:?}"),
        };
        let retry = r#"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"38s"}"#;
        let quota = |id: &str| format!(r#"{{"@type":"x","violations":[{{"quotaId":"{id}"}}]}}"#);
        assert_eq!(busy(retry), (Some(Duration::from_secs(38)), false));
        assert_eq!(busy(""), (None, false));
        assert_eq!(busy(&quota("GenerateRequestsPerDayPerProject")), (None, true));
        assert_eq!(busy(&format!("{},{retry}", quota("PerMinute"))), (Some(Duration::from_secs(38)), false));
        assert!(matches!(
            read(429, Some(Duration::from_secs(3)), b"<html>").heard,
            Heard::Busy { wait: Some(w), exhausted: false, .. } if w.as_secs() == 3
        ));
        let key = br#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"t","reason":"API_KEY_INVALID","domain":"d","metadata":{}}]}}"#;
        assert!(matches!(read(400, None, key).heard, Heard::Denied(_)));
        assert!(matches!(read(400, None, b"{\"error\":{\"code\":400}}").heard, Heard::Rejected(_)));
        assert!(matches!(read(503, None, b"").heard, Heard::Failed(_)));
        assert!(matches!(read(404, None, b"").heard, Heard::Denied(_)));
        assert_eq!(seconds("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!((seconds("-1s"), seconds("5"), seconds("1e400s")), (None, None, None));
    }
}
