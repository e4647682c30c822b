//! Bodies of batches, and what is read of the answers.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::gemini::Gemini;
use super::gemini_batch::{Looked, Made, batch_body, made, named, open_schema, read};
use super::prompt::{Prompt, test_words};
use super::provider::{Ask, Heard, Reply};
use super::usd::Tokens;
use crate::http::fake::{Fake, Reply as Http};
use crate::http::{AddressRule, Client, ClientOptions};

fn gemini(base_url: &str) -> Gemini {
    let host = base_url.split("//").nth(1).unwrap_or_default().to_string();
    let options = ClientOptions { allow: AddressRule::PublicAnd(vec![host]), ..ClientOptions::default() };
    Gemini {
        client: Client::new(options).unwrap(),
        base_url: base_url.into(),
        api_version: "v1beta".into(),
        model: "gemini-3.5-flash-lite".into(),
        key: SecretString::from("k".to_string()),
        rates: None,
        thinking: None,
    }
}

/// The answer to one request, with so many tokens read.
fn response(text: &str, prompt: u64) -> Value {
    json!({
        "candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": prompt, "candidatesTokenCount": 1}, "modelVersion": "m-1",
    })
}

fn ended(operation: &Value) -> (Vec<(Option<String>, Heard)>, Option<String>) {
    match read(operation.to_string().as_bytes()) {
        Some(Looked::Ended { replies, why }) => {
            (replies.into_iter().map(|r| (r.key, r.reply.heard)).collect(), why)
        }
        other => panic!("{other:?}"),
    }
}

fn text(key: &str, text: &str) -> (Option<String>, Heard) {
    (Some(key.into()), Heard::Text(text.into()))
}

#[test]
fn a_batch_is_a_list_of_requests_with_keys() {
    let prompt = Prompt::new("Label.", test_words());
    let gemini = gemini("https://example.com");
    let items: Vec<String> = ["k1", "k2"]
        .iter()
        .map(|key| gemini.batch_item(&prompt, key, &Ask::new(["a \"text\"", "another"])))
        .collect();
    let body: Value = serde_json::from_str(&batch_body("our \"label\"", &items)).unwrap();
    assert_eq!(body["batch"]["displayName"], "our \"label\"");
    let requests = body["batch"]["inputConfig"]["requests"]["requests"].as_array().unwrap();
    let keys: Vec<&Value> = requests.iter().map(|r| &r["metadata"]["key"]).collect();
    assert_eq!(keys, [&json!("k1"), &json!("k2")]);
    let config = requests[1]["request"]["generationConfig"].as_object().unwrap();
    let names: Vec<&str> = config.keys().map(String::as_str).collect();
    assert_eq!(names, ["maxOutputTokens", "responseMimeType", "responseSchema", "thinkingConfig"]);
}

#[test]
fn the_schema_is_told_in_openapis_words() {
    let schema: Value = serde_json::from_str(&Prompt::new("x", test_words()).schema).unwrap();
    let open = open_schema(schema.clone());
    assert!(!open.to_string().contains("additionalProperties"));
    let (old, new) = (&schema["properties"]["posts"]["items"], &open["properties"]["posts"]["items"]);
    assert_eq!((&open["type"], &new["type"]), (&json!("OBJECT"), &json!("OBJECT")));
    assert_eq!(new["properties"]["risk_reasons"]["items"]["type"], "STRING");
    assert_eq!(new["propertyOrdering"], old["required"], "a map has no order of its own");
    assert_eq!(new["properties"]["action_id"]["enum"], old["properties"]["action_id"]["enum"]);
}

#[test]
fn answers_are_found_in_both_places_and_in_any_order() {
    let list = json!([
        {"metadata": {"key": "k2"}, "response": response("two", 7)},
        {"metadata": {"key": "k1"}, "response": response("one", 5)},
    ]);
    let output = json!({ "inlinedResponses": { "inlinedResponses": list } });
    let state = |s: &str| json!({ "state": s });
    let mut in_metadata = state("BATCH_STATE_SUCCEEDED");
    in_metadata["output"] = output.clone();
    for operation in [
        json!({"name": "batches/a", "done": true, "metadata": in_metadata}),
        json!({"name": "batches/a", "done": true, "metadata": state("BATCH_STATE_SUCCEEDED"), "response": output}),
        json!({"name": "batches/a", "done": true, "response": {"inlinedResponses": list}}),
        json!({"name": "batches/a", "done": true, "metadata": state("JOB_STATE_SUCCEEDED"), "response": output}),
    ] {
        assert_eq!(ended(&operation), (vec![text("k2", "two"), text("k1", "one")], None), "{operation}");
    }
}

#[test]
fn every_state_is_told_apart() {
    let stands = |state: &str| {
        let operation = json!({"name": "batches/a", "metadata": {"state": state}});
        read(operation.to_string().as_bytes())
    };
    for state in ["BATCH_STATE_PENDING", "BATCH_STATE_RUNNING", "BATCH_STATE_UNSPECIFIED", "A_NEW_ONE"] {
        assert_eq!(stands(state), Some(Looked::Open), "{state}");
    }
    for state in ["FAILED", "CANCELLED", "EXPIRED"] {
        let whole = format!("BATCH_STATE_{state}");
        let told = Looked::Ended { replies: Vec::new(), why: Some(state.into()) };
        assert_eq!(stands(&whole), Some(told), "{state}");
    }
    let failed = json!({"name": "batches/a", "done": true, "metadata": {"state": "BATCH_STATE_FAILED"},
        "error": {"code": 13, "message": "It\nbroke."}});
    assert_eq!(ended(&failed), (Vec::new(), Some("FAILED: It broke.".into())));
    let empty = json!({"name": "batches/a", "done": true, "metadata": {"state": "BATCH_STATE_SUCCEEDED"}});
    assert_eq!(ended(&empty), (Vec::new(), Some("SUCCEEDED".into())), "nothing came: that is no success");
    // What was answered before it expired is paid for.
    let mut expired =
        json!({"name": "batches/a", "done": true, "metadata": {"state": "BATCH_STATE_EXPIRED"}});
    expired["metadata"]["output"]["inlinedResponses"]["inlinedResponses"] =
        json!([{"metadata": {"key": "k1"}, "response": response("one", 5)}]);
    assert_eq!(ended(&expired), (vec![text("k1", "one")], Some("EXPIRED".into())));
    for body in ["", "[]", "{}", "<html>", "{\"error\":{}}"] {
        assert_eq!(read(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn an_error_in_place_of_an_answer_is_read_by_its_code() {
    let heard = |error: Value| {
        let mut operation = json!({"name": "batches/a", "metadata": {"state": "BATCH_STATE_SUCCEEDED"}});
        operation["response"]["inlinedResponses"]["inlinedResponses"] =
            json!([{"metadata": {"key": "k1"}, "error": error}]);
        match read(operation.to_string().as_bytes()) {
            Some(Looked::Ended { mut replies, .. }) => {
                assert_eq!(replies[0].reply.tokens, Some(Tokens::default()), "errors cost nothing");
                replies.remove(0).reply.heard
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(heard(json!({"code": 3, "message": "no"})), Heard::Rejected(_)));
    assert!(matches!(heard(json!({"code": 8, "message": "slow"})), Heard::Busy { exhausted: false, .. }));
    assert!(matches!(heard(json!({"code": 7, "message": "no"})), Heard::Denied(_)));
    for code in [4, 13, 14, 2, 500] {
        assert!(matches!(heard(json!({"code": code, "message": "later"})), Heard::Failed(_)), "{code}");
    }
    let details = json!([{"@type": "t", "violations": [{"quotaId": "RequestsPerDay"}]}]);
    let day = heard(json!({"code": 8, "message": "m", "details": details}));
    assert!(matches!(day, Heard::Busy { exhausted: true, .. }), "{day:?}");
    assert!(matches!(heard(json!("what")), Heard::Failed(_)));
}

#[test]
fn a_batch_is_found_by_its_label_and_only_by_a_name_that_fits_a_url() {
    let list = json!({"operations": [
        {"name": "batches/a", "metadata": {"displayName": "other"}},
        {"name": "batches/b-1", "metadata": {"displayName": "ours"}},
        {"name": "batches/../models", "metadata": {"displayName": "odd"}},
    ]});
    assert_eq!(named(&list, "ours").as_deref(), Some("batches/b-1"));
    assert_eq!(named(&list, "nobody's"), None);
    assert_eq!(named(&list, "odd"), None);
    assert_eq!(named(&json!({}), "ours"), None);
}

#[test]
fn whether_a_batch_was_made_is_never_guessed() {
    let reply = |heard: Heard, status: Option<u16>, sure: bool| {
        let tokens = sure.then(Tokens::default);
        made(Reply { status, tokens, ..Reply::of(heard) })
    };
    let failed = || Heard::Failed("x".into());
    assert!(matches!(reply(failed(), Some(503), true), Made::Failed(_)), "a gateway may have said so");
    assert!(matches!(reply(failed(), None, false), Made::Unknown(_)), "the connection broke");
    assert!(matches!(reply(failed(), Some(200), false), Made::Unknown(_)), "an answer without a name");
    assert!(matches!(reply(failed(), None, true), Made::Refused(_)), "nobody was reached");
    let busy = Heard::Busy { wait: None, exhausted: false, detail: "x".into() };
    assert!(matches!(reply(busy, Some(429), true), Made::Refused(_)));
    assert!(matches!(reply(Heard::Denied("x".into()), Some(403), true), Made::Refused(_)));
}

#[tokio::test]
async fn requests_go_where_the_api_has_batches() {
    let fake = Fake::start(|seen| match (seen.method.as_str(), seen.path.as_str()) {
        ("POST", "/v1beta/models/gemini-3.5-flash-lite:batchGenerateContent") => Http::json(
            json!({"name": "batches/a1", "metadata": {"state": "BATCH_STATE_PENDING"}}).to_string(),
        ),
        ("GET", "/v1beta/batches/a1") => Http::json(
            json!({"name": "batches/a1", "metadata": {"state": "BATCH_STATE_RUNNING"}}).to_string(),
        ),
        ("GET", "/v1beta/batches") if seen.query.contains("pageToken=next") => Http::json(
            json!({"operations": [{"name": "batches/a1", "metadata": {"displayName": "ours"}}]}).to_string(),
        ),
        ("GET", "/v1beta/batches") => {
            Http::json(json!({"operations": [], "nextPageToken": "next"}).to_string())
        }
        _ => Http::new(404).body(r#"{"error":{"code":404,"message":"no","status":"NOT_FOUND"}}"#),
    });
    let gemini = gemini(&format!("http://{}", fake.authority()));
    assert_eq!(gemini.make_batch("ours", &["{}".into()]).await, Made::Named("batches/a1".into()));
    assert_eq!(gemini.look_at_batch("batches/a1").await, Looked::Open);
    assert!(matches!(gemini.look_at_batch("batches/b2").await, Looked::Gone(_)));
    assert_eq!(
        gemini.find_batch("ours").await,
        super::gemini_batch::Found::Named("batches/a1".into()),
        "on the second page"
    );
    assert_eq!(gemini.find_batch("other").await, super::gemini_batch::Found::Absent);
}
