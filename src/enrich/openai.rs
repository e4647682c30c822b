//! APIs that speak OpenAI's `/chat/completions`: Ollama, vLLM, llama.cpp and others.
//!
//! A server that does not know JSON schemas may ignore ours; what it answers is checked all the
//! same. Waits for the network.

use std::time::Duration;

use futures::future::BoxFuture;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::prompt::Prompt;
use super::provider::{Ask, Heard, Provider, Reply, exchange, name, or_null, words};
use super::usd::{Rates, Tokens};
use crate::http::{Client, Request};

/// A server with one model.
pub struct OpenAi {
    /// Who asks.
    pub client: Client,
    /// Up to and with the version, for example `http://127.0.0.1:11434/v1`.
    pub base_url: String,
    /// The model.
    pub model: String,
    /// The key, where the server wants one.
    pub key: Option<SecretString>,
    /// What tokens cost; nothing on a machine of one's own.
    pub rates: Option<Rates>,
}

impl OpenAi {
    fn body_text(&self, prompt: &Prompt, ask: &Ask) -> String {
        let body = json!({
            "model": self.model,
            "messages": [
                { "role": "system", "content": prompt.system },
                { "role": "user", "content": ask.message() },
            ],
            "temperature": 0,
            "max_tokens": ask.max_output,
        });
        let mut body = body.to_string();
        // The schema as it was written: the order of its properties counts.
        body.insert_str(
            1,
            &format!(
                r#""response_format":{{"type":"json_schema","json_schema":{{"name":"labels","strict":true,"schema":{}}}}},"#,
                prompt.schema
            ),
        );
        body
    }
}

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        "openai_compatible"
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
        // A stranger's key is a bill.
        self.rates.is_none() && self.key.is_none()
    }

    fn request_bytes(&self, prompt: &Prompt, ask: &Ask) -> u64 {
        self.body_text(prompt, ask).len() as u64
    }

    fn ask<'a>(&'a self, prompt: &'a Prompt, ask: &'a Ask) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            let mut request =
                Request::post(format!("{}/chat/completions", self.base_url.trim_end_matches('/')))
                    .accept("application/json")
                    .body("application/json", self.body_text(prompt, ask));
            if let Some(key) = &self.key {
                request = request.bearer(key);
            }
            exchange(&self.client, request, self.key.as_ref(), read).await
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async move {
            let url = format!("{}/models", self.base_url.trim_end_matches('/'));
            let mut request = Request::get(url).accept("application/json");
            if let Some(key) = &self.key {
                request = request.bearer(key);
            }
            let read = |status, retry_after, body: &[u8]| {
                Reply::of(match status {
                    200..300 => Heard::Text(String::from_utf8_lossy(body).into_owned()),
                    // It is there, and does not tell.
                    404 | 405 | 501 => Heard::Text(String::new()),
                    _ => failure(status, retry_after, body),
                })
            };
            let said = exchange(&self.client, request, self.key.as_ref(), read).await.heard.or_why()?;
            let models: Vec<String> = serde_json::from_str::<Models>(&said)
                .map(|list| list.data.into_iter().map(|m| name(&m.id)).collect())
                .unwrap_or_default();
            // Ollama's names may leave off what stands behind the colon.
            let is_it = |id: &String| *id == self.model || id.strip_suffix(":latest") == Some(&self.model);
            match models.as_slice() {
                [] => Ok("it answers, and does not say which models it has".into()),
                models if models.iter().any(is_it) => Ok(format!("there is a model {}", self.model)),
                models => {
                    let some = models.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
                    let more = if models.len() > 5 { ", …" } else { "" };
                    Err(format!("it has no model {}; it has {some}{more}", self.model))
                }
            }
        })
    }
}

/// What a server says of its models.
#[derive(Deserialize)]
struct Models {
    #[serde(default, deserialize_with = "or_null")]
    data: Vec<ModelId>,
}

#[derive(Deserialize)]
struct ModelId {
    id: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, deserialize_with = "or_null")]
    choices: Vec<Choice>,
    /// In the place of choices, with a status that says that all is well.
    error: Option<Value>,
    usage: Option<Usage>,
    model: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Message>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    /// Text, or a list of parts with text.
    content: Option<Value>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default, deserialize_with = "or_null")]
    prompt_tokens: u64,
    /// Those of thinking included.
    #[serde(default, deserialize_with = "or_null")]
    completion_tokens: u64,
    prompt_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Details {
    cached_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
}

impl Usage {
    fn tokens(&self) -> Tokens {
        let details =
            |d: &Option<Details>, f: fn(&Details) -> Option<u64>| d.as_ref().and_then(f).unwrap_or(0);
        let thoughts =
            details(&self.completion_tokens_details, |d| d.reasoning_tokens).min(self.completion_tokens);
        Tokens {
            prompt: self.prompt_tokens,
            cached: details(&self.prompt_tokens_details, |d| d.cached_tokens),
            candidates: self.completion_tokens - thoughts,
            thoughts,
        }
    }
}

/// Reads what came of one request.
fn read(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Reply {
    if !(200..300).contains(&status) {
        return Reply::of(failure(status, retry_after, body));
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        return Reply::of(Heard::Failed("the answer is not what such an API writes".into()));
    };
    let broke = answer.choices.first().and_then(|c| c.finish_reason.as_deref()) == Some("error");
    if broke || (answer.choices.is_empty() && answer.error.is_some()) {
        let code = answer.error.as_ref().and_then(|e| e.get("code"));
        let code = code.and_then(|c| c.as_u64().or_else(|| c.as_str()?.parse().ok()));
        let code = code.and_then(|c| u16::try_from(c).ok()).filter(|c| (400..600).contains(c));
        let mut reply = Reply::of(match code {
            Some(code) => failure(code, None, body),
            None => Heard::Failed("the server broke off with an error".into()),
        });
        reply.tokens = Some(answer.usage.map(|u| u.tokens()).unwrap_or_default());
        return reply;
    }
    let choice = answer.choices.into_iter().next();
    let finish = choice.as_ref().and_then(|c| c.finish_reason.clone());
    let message = choice.and_then(|c| c.message);
    let refusal = message.as_ref().and_then(|m| m.refusal.clone()).filter(|r| !r.is_empty());
    let text = match message.and_then(|m| m.content) {
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|p| p.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    };
    let heard = match (refusal, finish.as_deref()) {
        (Some(refusal), _) => Heard::Refused(words(&refusal)),
        (None, Some("length")) => Heard::Cut,
        (None, Some("content_filter")) => Heard::Refused("content_filter".into()),
        (None, _) => Heard::Text(text),
    };
    Reply {
        heard,
        tokens: answer.usage.map(|u| u.tokens()),
        model_version: answer.model.as_deref().map(name),
        finish_reason: finish.map(|f| words(&f)),
        status: None,
        elapsed_ms: 0,
    }
}

fn failure(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Heard {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    let error = body.as_ref().and_then(|b| b.get("error"));
    let message = match error {
        Some(Value::String(text)) => Some(text.as_str()),
        Some(object) => object.get("message").and_then(Value::as_str),
        // vLLM and FastAPI.
        None => body.as_ref().and_then(|b| b.get("message").or(b.get("detail"))).and_then(Value::as_str),
    };
    let word = |field: &str| error.and_then(|e| e.get(field)).and_then(Value::as_str);
    let unpaid = [word("code"), word("type")].contains(&Some("insufficient_quota"));
    let said = match message {
        Some(message) => format!("HTTP {status}: {}", words(message)),
        None => format!("HTTP {status}"),
    };
    match status {
        429 => Heard::Busy { wait: retry_after, exhausted: unpaid, detail: said },
        503 if retry_after.is_some() => Heard::Busy { wait: retry_after, exhausted: false, detail: said },
        408 | 425 | 500 | 502 | 503 | 504 | 520 | 522 | 524 | 529 => Heard::Failed(said),
        401 | 403 => Heard::Denied(format!("the API key is not accepted ({said})")),
        404 | 405 => Heard::Denied(format!("the model or the path is unknown ({said})")),
        402 => Heard::Denied(format!("it wants to be paid first ({said})")),
        300..=399 => Heard::Denied(format!("the API is elsewhere ({said})")),
        _ => Heard::Rejected(said),
    }
}

#[cfg(test)]
mod tests {
    use super::super::prompt::test_words;
    use super::*;

    #[test]
    fn a_request_has_what_such_an_api_knows() {
        let server = OpenAi {
            client: Client::new(crate::http::ClientOptions::default()).unwrap(),
            base_url: "http://127.0.0.1:11434/v1/".into(),
            model: "qwen3:8b".into(),
            key: None,
            rates: None,
        };
        let prompt = Prompt::new("Label.", test_words());
        let text = server.body_text(&prompt, &Ask::new(["a", "b"]));
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(body["response_format"]["json_schema"]["strict"], true);
        assert!(text.contains(&prompt.schema));
        assert_eq!(body["messages"].as_array().unwrap().len(), 2);
        assert!(body["max_tokens"].as_u64().unwrap() > 400);
    }

    #[test]
    fn answers_refusals_and_cuts() {
        let body = |message: &str, finish: &str| {
            format!(
                r#"{{"id":"c","object":"chat.completion","model":"m-1","choices":[{{"index":0,"message":{message},"finish_reason":"{finish}"}}],
              "usage":{{"prompt_tokens":50,"completion_tokens":20,"prompt_tokens_details":{{"cached_tokens":8}},"completion_tokens_details":{{"reasoning_tokens":5}}}}}}"#
            )
        };
        let reply =
            read(200, None, body(r#"{"role":"assistant","content":"{}","refusal":null}"#, "stop").as_bytes());
        assert_eq!(reply.heard, Heard::Text("{}".into()));
        assert_eq!(reply.tokens, Some(Tokens { prompt: 50, cached: 8, candidates: 15, thoughts: 5 }));
        let heard = |message: &str, finish: &str| read(200, None, body(message, finish).as_bytes()).heard;
        assert_eq!(heard(r#"{"content":"{\"po"}"#, "length"), Heard::Cut);
        assert_eq!(heard(r#"{"content":null,"refusal":"No."}"#, "stop"), Heard::Refused("No.".into()));
        assert_eq!(heard(r#"{"content":""}"#, "content_filter"), Heard::Refused("content_filter".into()));
        assert_eq!(
            heard(r#"{"content":[{"type":"text","text":"a"},{"text":"b"}]}"#, "stop"),
            Heard::Text("ab".into())
        );
        assert!(matches!(read(200, None, b"data: {}").heard, Heard::Failed(_)));
    }

    #[test]
    fn what_is_null_says_nothing_and_an_error_is_none_the_less_one() {
        let reply = read(
            200,
            None,
            br#"{"choices":[{"message":{"content":"{}","refusal":null,"tool_calls":null},"finish_reason":"stop"}],
                "usage":{"prompt_tokens":50,"completion_tokens":null,"prompt_tokens_details":null},"error":null,"model":null}"#,
        );
        assert_eq!(reply.heard, Heard::Text("{}".into()));
        assert_eq!(reply.tokens.map(|t| (t.prompt, t.candidates)), Some((50, 0)));
        let said = |body: &str| read(200, None, body.as_bytes());
        let busy = said(r#"{"error":{"code":429,"message":"slow down"}}"#);
        assert!(matches!(busy.heard, Heard::Busy { exhausted: false, .. }), "{:?}", busy.heard);
        assert_eq!(busy.tokens, Some(Tokens::default()), "errors are not billed");
        let broke = r#"{"choices":[{"message":{"content":"{\"po"},"finish_reason":"error"}]}"#;
        assert!(matches!(said(broke).heard, Heard::Failed(_)));
        assert!(matches!(said(r#"{"error":"out of memory","choices":null}"#).heard, Heard::Failed(_)));
        let unpaid = br#"{"error":{"message":"pay","code":null,"type":"insufficient_quota"}}"#;
        assert!(matches!(read(429, None, unpaid).heard, Heard::Busy { exhausted: true, .. }));
        assert!(matches!(read(402, None, b"").heard, Heard::Denied(_)));
    }

    #[test]
    fn errors_of_several_servers() {
        assert_eq!(
            read(404, None, br#"{"error":"model 'x' not found"}"#).heard,
            Heard::Denied("the model or the path is unknown (HTTP 404: model 'x' not found)".into())
        );
        assert!(matches!(
            read(401, None, br#"{"error":{"message":"bad key","code":"invalid_api_key"}}"#).heard,
            Heard::Denied(_)
        ));
        let quota = read(429, None, br#"{"error":{"message":"pay","code":"insufficient_quota"}}"#).heard;
        assert!(matches!(quota, Heard::Busy { exhausted: true, .. }));
        assert!(
            matches!(read(400, None, br#"{"detail":"no json_schema"}"#).heard, Heard::Rejected(w) if w.contains("json_schema"))
        );
        assert!(matches!(read(500, None, b"").heard, Heard::Failed(_)));
    }
}
