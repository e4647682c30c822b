//! The other API of the fake model server is what it says.

use serde_json::{Value, json};

use super::tests::{Got, POSTS, ask, schema};
use super::*;

fn closed() -> Value {
    let list = json!({"type": "array", "items": schema()["items"]});
    json!({"type": "object", "properties": {"items": list}, "required": ["items"],
        "additionalProperties": false, "$defs": schema()["$defs"]})
}

fn body() -> Value {
    let posts: Vec<Value> = POSTS.iter().map(|(id, text)| json!({"id": id, "text": text})).collect();
    json!({
        "model": "fake-llama",
        "messages": [
            {"role": "system", "content": "Label the posts."},
            {"role": "user", "content": json!({"posts": posts}).to_string()},
        ],
        "temperature": 0,
        "max_tokens": 2000,
        "seed": 7,
        "stream": false,
        "response_format": {"type": "json_schema",
            "json_schema": {"name": "labels", "strict": true, "schema": closed()}},
    })
}

fn chat(fake: &FakeLlm, body: &Value) -> Got {
    let headers = [("content-type", "application/json"), ("authorization", "Bearer sk-1")];
    ask(fake.address(), "POST", "/v1/chat/completions", &headers, &body.to_string())
}

fn with(behaviour: Behaviour) -> (FakeLlm, Got) {
    let fake = FakeLlm::start();
    fake.script(When::always(), [behaviour]);
    let got = chat(&fake, &body());
    (fake, got)
}

fn said(got: &Got) -> String {
    got.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_good_chat_labels_every_post_and_is_billed() {
    let fake = FakeLlm::with(Config { openai_key: Some("sk-1".to_owned()), ..Config::default() });
    let got = chat(&fake, &body());
    assert_eq!(got.status, 200, "{}", got.text());
    let labels: Value = serde_json::from_str(&said(&got)).unwrap();
    assert_eq!(labels["items"].as_array().unwrap().len(), 3);
    let response = got.json();
    assert_eq!(response["choices"][0]["finish_reason"], "stop");
    assert_ne!(response["model"], "fake-llama");
    let usage = &response["usage"];
    let of = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(of("total_tokens"), of("prompt_tokens") + of("completion_tokens"));
    let cost = of("prompt_tokens") * 100_000 + of("completion_tokens") * 400_000;
    assert_eq!(fake.bill_pico_usd(), u128::from(cost));
    assert_eq!((fake.posts_seen().len(), fake.model_calls()[0].model.as_str()), (3, "fake-llama"));
    assert_eq!(fake.violations(), Vec::<String>::new());
    let prefixed = ask(fake.address(), "POST", "/openai/v9/chat/completions", &[], &body().to_string());
    assert_eq!((prefixed.status, &prefixed.json()["error"]["code"]), (401, &json!("invalid_api_key")));
}

#[test]
fn chats_are_strict() {
    let spoil = |pointer: &str, name: &str, value: Value| {
        let fake = FakeLlm::start();
        let mut body = body();
        body.pointer_mut(pointer).unwrap()[name] = value;
        let got = chat(&fake, &body);
        assert_eq!((got.status, fake.violations().len()), (400, 1), "{pointer} {name}: {}", got.text());
        got.json()["error"]["message"].as_str().unwrap().to_owned()
    };
    const FORMAT: &str = "/response_format/json_schema";
    assert!(spoil("", "top_k", json!(1)).contains("\"top_k\""));
    assert!(spoil("", "stream", json!(true)).contains("Streaming"));
    assert!(spoil("", "messages", json!([])).contains("too short"));
    assert!(spoil("/messages/0", "role", json!("model")).contains("model"));
    assert!(spoil("/messages/1", "content", Value::Null).contains("content"));
    assert!(spoil("", "max_completion_tokens", json!(5)).contains("max_tokens"));
    assert!(spoil("", "temperature", json!(9)).contains("temperature"));
    assert!(spoil(FORMAT, "name", json!("with blanks")).contains("name"));
    assert!(spoil(FORMAT, "schema", Value::Null).contains("schema"));
    assert!(spoil(FORMAT, "schema", schema()).contains("type: \"object\""));
    assert!(spoil("/response_format", "type", json!("yaml")).contains("type"));
    let open = spoil(&format!("{FORMAT}/schema"), "additionalProperties", json!(true));
    assert!(open.contains("'additionalProperties' is required"), "{open}");
    let inner = format!("{FORMAT}/schema/properties/items/items");
    assert!(spoil(&inner, "required", json!(["id"])).contains("Missing '"));
    let lax = FakeLlm::with(Config { strict_wants_all: false, ..Config::default() });
    let mut top = body();
    top["response_format"]["json_schema"]["schema"] = schema();
    assert_eq!(chat(&lax, &top).status, 200);
}

#[test]
fn chats_fail_in_the_words_of_their_api() {
    for (behaviour, status, words) in [
        (Behaviour::RetryInfo("0.5s"), 429, "rate_limit_exceeded"),
        (Behaviour::BareRateLimit, 429, "rate_limit_exceeded"),
        (Behaviour::QuotaPerDay(None), 429, "insufficient_quota"),
        (Behaviour::HtmlRateLimit, 429, "<html>"),
        (Behaviour::KeyInvalid, 401, "invalid_api_key"),
        (Behaviour::Status(500), 500, "server_error"),
        (Behaviour::Status(502), 502, "<html>"),
        (Behaviour::Forbidden, 403, "unsupported_country"),
        (Behaviour::PromptBlocked("SAFETY"), 400, "content_filter"),
    ] {
        let (fake, got) = with(behaviour.clone());
        assert_eq!(got.status, status, "{behaviour:?}");
        assert!(got.text().contains(words), "{behaviour:?}: {}", got.text());
        // Half a second is one in a header that counts whole ones.
        assert_eq!(got.head.contains("Retry-After: 1"), behaviour == Behaviour::RetryInfo("0.5s"));
        assert_eq!((fake.bill_pico_usd(), fake.violations().len()), (0, 0));
    }
    for (not_found, words) in [
        (NotFound::OpenAi, "model_not_found"),
        (NotFound::OllamaV1, "try pulling it first"),
        (NotFound::OllamaNative, r#"{"error":"model 'none' not found"}"#),
    ] {
        let fake = FakeLlm::with(Config { not_found, ..Config::default() });
        let mut unknown = body();
        unknown["model"] = json!("none");
        let got = chat(&fake, &unknown);
        assert!(got.status == 404 && got.text().contains(words), "{}", got.text());
    }
}

#[test]
fn chats_end_as_their_model_pleases() {
    for (behaviour, reason) in [
        (Behaviour::MaxTokensCut, "length"),
        (Behaviour::MaxTokensEmpty, "length"),
        (Behaviour::Finish("SAFETY"), "content_filter"),
        (Behaviour::Finish("NEW_REASON"), "new_reason"),
        (Behaviour::Refusal("I cannot help with that."), "stop"),
        (Behaviour::Fences, "stop"),
    ] {
        let (fake, got) = with(behaviour.clone());
        let message = &got.json()["choices"][0]["message"];
        assert_eq!(got.json()["choices"][0]["finish_reason"], reason, "{behaviour:?}");
        assert!(serde_json::from_str::<Value>(&said(&got)).is_err());
        assert_eq!(message["refusal"].is_string(), matches!(behaviour, Behaviour::Refusal(_)));
        assert_eq!(message["content"].is_null(), matches!(behaviour, Behaviour::Refusal(_)));
        assert!(fake.bill_pico_usd() > 0);
    }
    assert_eq!(with(Behaviour::NoCandidates).1.json()["choices"], json!([]));
    let fake = FakeLlm::start();
    fake.script(When::always(), [Behaviour::Cached(10), Behaviour::Thoughts(50)]);
    let usage = chat(&fake, &body()).json()["usage"].clone();
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 10);
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 50);
    let of = |name: &str| usage[name].as_u64().unwrap();
    let cost = (of("prompt_tokens") - 10) * 100_000 + 10 * 50_000 + of("completion_tokens") * 400_000;
    assert_eq!(fake.bill_pico_usd(), u128::from(cost), "thoughts are part of the completion");
    assert!(of("completion_tokens") > 50);
}

#[test]
fn a_server_may_not_keep_to_schemas() {
    let refusing = FakeLlm::with(Config { schema_mode: SchemaMode::Refused, ..Config::default() });
    let got = chat(&refusing, &body());
    assert!(got.status == 400 && got.text().contains("response_format"), "{}", got.text());
    assert_eq!((refusing.violations().len(), refusing.bill_pico_usd()), (0, 0));
    let mut plain = body();
    plain["response_format"] = json!({"type": "json_object"});
    let got = chat(&refusing, &plain);
    assert!(serde_json::from_str::<Value>(&said(&got)).unwrap().is_object());
    let ignoring = FakeLlm::with(Config { schema_mode: SchemaMode::Ignored, ..Config::default() });
    let got = chat(&ignoring, &body());
    assert!(got.status == 200 && serde_json::from_str::<Value>(&said(&got)).is_err());
    assert!(ignoring.bill_pico_usd() > 0);
}
