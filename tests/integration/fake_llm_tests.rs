//! The fake model server is what it says: asked over a bare socket, by no client of ours.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;

pub const KEY: &str = "fake-gemini-key";
pub const PATH: &str = "/v1beta/models/gemini-3.5-flash-lite:generateContent";

/// What came back.
#[derive(Debug, Default)]
pub struct Got {
    /// 0 when there was no head.
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// All that the head announced is there.
    pub whole: bool,
    /// The connection was reset.
    pub reset: bool,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One request over a connection of its own.
pub fn ask(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Got {
    let mut stream = TcpStream::connect(to).unwrap();
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: fake\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("\r\n{body}"));
    stream.write_all(text.as_bytes()).unwrap();
    receive(&mut stream)
}

fn receive(stream: &mut TcpStream) -> Got {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut all = Vec::new();
    let mut got = Got::default();
    loop {
        if let Some(at) = all.windows(4).position(|four| four == b"\r\n\r\n") {
            got.head = String::from_utf8_lossy(&all[..at]).into_owned();
            got.status = got.head[9..12].parse().unwrap();
            got.body = all[at + 4..].to_vec();
            let length = got.head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).unwrap();
            got.whole = got.body.len() == length.parse::<usize>().unwrap();
        }
        let mut buffer = [0; 1 << 14];
        if got.whole {
            return got;
        }
        match stream.read(&mut buffer) {
            Ok(0) => return got,
            Ok(n) => all.extend_from_slice(&buffer[..n]),
            Err(error) => {
                got.reset = error.kind() == std::io::ErrorKind::ConnectionReset;
                return got;
            }
        }
    }
}

pub fn generate(fake: &FakeLlm, request: &Value) -> Got {
    post(fake, PATH, request)
}

pub fn post(fake: &FakeLlm, path: &str, request: &Value) -> Got {
    let headers = [("x-goog-api-key", KEY), ("content-type", "application/json")];
    ask(fake.address(), "POST", path, &headers, &request.to_string())
}

pub fn schema() -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "theme": {"type": "string"},
                "sentiment": {"type": "string", "enum": ["Positive", "Neutral", "Negative"]},
                "sentiment_score": {"type": "number", "minimum": -1, "maximum": 1},
                "risk": {"$ref": "#/$defs/risk"},
                "reasons": {"type": "array", "items": {"type": "string", "enum": ["a", "b", "c"]}, "maxItems": 2},
                "evidence_quote": {"type": "string"},
            },
            "required": ["id", "theme", "sentiment", "sentiment_score", "risk", "reasons", "evidence_quote"],
            "additionalProperties": false,
        },
        "$defs": {"risk": {"type": "string", "enum": ["Low", "Medium", "High"]}},
    })
}

pub fn request(posts: &[(&str, &str)]) -> Value {
    let posts: Vec<Value> = posts.iter().map(|(id, text)| json!({"id": id, "text": text})).collect();
    json!({
        "systemInstruction": {"parts": [{"text": "Label posts like [{\"id\":\"x\",\"text\":\"y\"}]."}]},
        "contents": [{"role": "user", "parts": [{"text": format!("--- a7f3\n{}\n--- a7f3", json!(posts))}]}],
        "safetySettings": [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "threshold": "OFF"}],
        "generationConfig": {"maxOutputTokens": 4096, "responseMimeType": "application/json",
            "responseJsonSchema": schema(), "thinkingConfig": {"thinkingLevel": "MINIMAL"}},
    })
}

pub const POSTS: [(&str, &str); 3] = [
    ("p1", "The line at the pharmacy was an hour long [again]."),
    ("p2", "They gave me somebody else's pills, \"HIT\" me hard – ünïcödé."),
    ("p3", "Great service, thank you to the whole team."),
];

/// The text of the first candidate, without the thoughts.
pub fn said(response: &Value) -> String {
    let parts = response["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default();
    parts.iter().filter(|part| part["thought"] != true).filter_map(|part| part["text"].as_str()).collect()
}

pub fn items(got: &Got) -> Vec<Value> {
    serde_json::from_str::<Value>(&said(&got.json())).unwrap().as_array().cloned().unwrap()
}

fn number(value: &Value) -> u128 {
    value.as_u64().unwrap_or(0).into()
}

/// The cost by the documented formula, from the usage on the wire.
pub fn cost(response: &Value) -> u128 {
    let usage = &response["usageMetadata"];
    let (prompt, cached) = (number(&usage["promptTokenCount"]), number(&usage["cachedContentTokenCount"]));
    let out = number(&usage["candidatesTokenCount"]) + number(&usage["thoughtsTokenCount"]);
    (prompt - cached) * 300_000 + cached * 30_000 + out * 2_500_000
}

#[test]
fn a_good_call_labels_every_post_by_the_schema_and_is_billed() {
    let fake = FakeLlm::start();
    let asked = request(&POSTS);
    let got = generate(&fake, &asked);
    assert_eq!(got.status, 200, "{}", got.text());
    let response = got.json();
    let labels = items(&got);
    assert_eq!(labels.len(), 3);
    for ((id, text), label) in POSTS.iter().zip(&labels) {
        assert_eq!(label["id"], *id);
        assert_eq!(label.as_object().unwrap().len(), 7);
        assert!(text.contains(label["evidence_quote"].as_str().unwrap()), "{label}");
        assert!(["Positive", "Neutral", "Negative"].contains(&label["sentiment"].as_str().unwrap()));
        assert!(["Low", "Medium", "High"].contains(&label["risk"].as_str().unwrap()));
        assert!((-1.0..=1.0).contains(&label["sentiment_score"].as_f64().unwrap()));
        assert!(
            !label["theme"].as_str().unwrap().is_empty() && label["reasons"].as_array().unwrap().len() <= 2
        );
    }
    assert_eq!(response["candidates"][0]["finishReason"], "STOP");
    assert_ne!(response["modelVersion"], "gemini-3.5-flash-lite");
    // The documented rule: a quarter of the characters, rounded up.
    let of = |pointer: &str| asked.pointer(pointer).unwrap().as_str().unwrap().chars().count();
    let characters = of("/systemInstruction/parts/0/text") + of("/contents/0/parts/0/text");
    assert_eq!(number(&response["usageMetadata"]["promptTokenCount"]), characters.div_ceil(4) as u128);
    let answered = said(&response).chars().count().div_ceil(4);
    assert_eq!(number(&response["usageMetadata"]["candidatesTokenCount"]), answered as u128);
    assert_eq!(fake.bill_pico_usd(), cost(&response));
    assert!(fake.bill_pico_usd() > 0);
    assert_eq!(fake.violations(), Vec::<String>::new());
    let seen: Vec<String> = fake.posts_seen().iter().map(|post| post.text().to_owned()).collect();
    assert_eq!(seen, POSTS.map(|(_, text)| text.to_owned()));
}

#[test]
fn labels_depend_on_the_text_and_on_no_neighbour() {
    let fake = FakeLlm::start();
    let together = items(&generate(&fake, &request(&POSTS)));
    for (n, (_, text)) in POSTS.iter().enumerate() {
        let mut alone = items(&generate(&fake, &request(&[("other", text)]))).remove(0);
        alone["id"] = json!(POSTS[n].0);
        assert_eq!(alone, together[n]);
        let post = &fake.calls()[0].posts[n];
        assert_eq!(answer::label(&schema(), post), together[n]);
    }
    let different = together.iter().any(|label| label["sentiment"] != together[0]["sentiment"]);
    assert!(different, "a hash that always says the same is none");
}

#[test]
fn posts_are_found_wherever_they_stand() {
    for (prompt, ids) in [
        (r#"[{"id":"a","text":"x"}]"#, vec![json!("a")]),
        (
            r#"like [this] or [1, 2]: {"posts": [{"post_id": 7, "title": "t", "body": "b"}]} end"#,
            vec![json!(7)],
        ),
        (
            r#"[{"id":"e","text":"example"}] then [{"id":"a","text":"x"},{"id":"b","text":"y [z"}]"#,
            vec![json!("a"), json!("b")],
        ),
        (r#"no [{"id":"a"}] and [] and [{"text":"no id"}]"#, vec![]),
    ] {
        let found: Vec<Value> = answer::posts(prompt).into_iter().map(|post| post.id).collect();
        assert_eq!(found, ids, "{prompt}");
    }
}

/// A request that was changed at one place.
fn changed(pointer: &str, name: &str, value: Value) -> Value {
    let mut request = request(&POSTS[..1]);
    request.pointer_mut(pointer).unwrap()[name] = value;
    request
}

#[test]
fn what_the_real_service_refuses_is_refused() {
    const CONFIG: &str = "/generationConfig";
    const SCHEMA: &str = "/generationConfig/responseJsonSchema";
    let unknown = |name: &str, at: &str| {
        format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field.")
    };
    let cases = [
        (changed("", "foo", json!(1)), unknown("foo", "")),
        (changed("", "generationconfig", json!({})), unknown("generationconfig", "")),
        (changed("/contents/0/parts/0", "foo", json!(1)), unknown("foo", " at 'contents[0].parts[0]'")),
        (changed(CONFIG, "maxTokens", json!(1)), unknown("maxTokens", " at 'generation_config'")),
        (
            changed("/generationConfig/thinkingConfig", "level", json!("LOW")),
            unknown("level", " at 'generation_config.thinking_config'"),
        ),
        (changed(CONFIG, "maxOutputTokens", json!("many")), "TYPE_INT32".to_owned()),
        (changed(CONFIG, "temperature", json!(3)), "temperature".to_owned()),
        (changed(CONFIG, "maxOutputTokens", json!(0)), "maxOutputTokens".to_owned()),
        (changed("/safetySettings/0", "threshold", json!("NEVER")), "HarmBlockThreshold".to_owned()),
        (changed("/safetySettings/0", "category", json!("HARM_CATEGORY_X")), "HarmCategory".to_owned()),
        (changed("", "contents", json!([])), "contents is not specified".to_owned()),
        (changed("/contents/0", "role", json!("system")), "valid role".to_owned()),
        (changed("/contents/0", "parts", json!([])), "must not be empty".to_owned()),
        (changed(CONFIG, "responseSchema", json!({"type": "STRING"})), "Only one of".to_owned()),
        (changed(CONFIG, "responseMimeType", Value::Null), "response_mime_type must be".to_owned()),
        (changed(CONFIG, "responseMimeType", json!("text/plain")), "response_mime_type must be".to_owned()),
        (
            changed("/generationConfig/thinkingConfig", "thinkingLevel", json!("TINY")),
            "ThinkingLevel".to_owned(),
        ),
        (
            changed(SCHEMA, "minLength", json!(1)),
            unknown("minLength", " at 'generation_config.response_json_schema'"),
        ),
        (changed(SCHEMA, "type", json!("list")), "not valid".to_owned()),
        (changed(SCHEMA, "items", json!({"$ref": "#/$defs/none"})), "not valid".to_owned()),
        (
            changed("/generationConfig/responseJsonSchema/items", "required", json!(["nothing"])),
            "property 'nothing' is not defined".to_owned(),
        ),
        (
            changed(
                "/generationConfig/responseJsonSchema/items/properties",
                "theme",
                json!({"pattern": "x"}),
            ),
            "\"pattern\"".to_owned(),
        ),
        (
            changed("/generationConfig/responseJsonSchema/$defs/risk", "enum", json!([])),
            "enum: not valid".to_owned(),
        ),
    ];
    for (request, words) in cases {
        let fake = FakeLlm::start();
        let got = generate(&fake, &request);
        let error = &got.json()["error"];
        assert_eq!((got.status, &error["status"]), (400, &json!("INVALID_ARGUMENT")), "{words}");
        assert!(error["message"].as_str().unwrap().contains(&words), "{words}: {error}");
        assert_eq!(fake.violations().len(), 1, "{words}");
        assert_eq!(fake.bill_pico_usd() + fake.lost_pico_usd(), 0);
    }
}

#[test]
fn what_the_real_service_takes_is_taken() {
    let mut open = changed("/generationConfig", "responseJsonSchema", Value::Null);
    open["generationConfig"]["responseSchema"] = json!({"type": "ARRAY", "items": {"type": "OBJECT",
        "properties": {"id": {"type": "STRING"}, "mood": {"type": "STRING", "format": "enum", "enum": ["x", "y"]}},
        "propertyOrdering": ["id", "mood"], "required": ["id"]}});
    let mut newest = changed("/generationConfig", "responseJsonSchema", Value::Null);
    newest["generationConfig"]["responseMimeType"] = Value::Null;
    newest["generationConfig"]["responseFormat"] =
        json!({"text": {"mimeType": "APPLICATION_JSON", "schema": schema()}});
    let nullable = changed(
        "/generationConfig/responseJsonSchema/items/properties",
        "theme",
        json!({"anyOf": [{"type": "null"}, {"type": ["string", "null"]}], "description": "d", "title": "t"}),
    );
    let mut other = request(&POSTS[..1]);
    let config = other.as_object_mut().unwrap().remove("generationConfig").unwrap();
    other["generation_config"] = json!({"response_mime_type": "application/json",
        "thinking_config": {"thinking_level": "LOW"}, "max_output_tokens": 900,
        "response_json_schema": config["responseJsonSchema"]});
    let mut spelled = open.clone();
    let schema = &mut spelled["generationConfig"]["responseSchema"]["items"];
    schema["property_ordering"] = schema["propertyOrdering"].take();
    schema.as_object_mut().unwrap().remove("propertyOrdering");
    for request in [
        other,
        spelled,
        open,
        newest,
        nullable,
        changed("", "labels", json!({"team": "pharmacy"})),
        changed("", "model", json!("models/gemini-3.5-flash-lite")),
        changed("/generationConfig/thinkingConfig", "thinkingLevel", json!("low")),
        changed("/generationConfig", "topK", Value::Null),
        changed("/contents/0", "role", Value::Null),
    ] {
        let fake = FakeLlm::start();
        let got = generate(&fake, &request);
        assert_eq!(got.status, 200, "{request}: {}", got.text());
        assert_eq!(items(&got).len(), 1);
        assert_eq!(fake.violations(), Vec::<String>::new());
    }
}

#[test]
fn a_key_belongs_into_its_header() {
    let fake = FakeLlm::start();
    let body = request(&POSTS).to_string();
    let json = ("content-type", "application/json");
    let wrong = ask(fake.address(), "POST", PATH, &[("x-goog-api-key", "other"), json], &body);
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.json()["error"]["status"], "INVALID_ARGUMENT");
    assert_eq!(wrong.json()["error"]["details"][0]["reason"], "API_KEY_INVALID");
    assert_eq!(ask(fake.address(), "POST", PATH, &[json], &body).status, 403);
    let path = format!("{PATH}?key={KEY}");
    assert_eq!(ask(fake.address(), "POST", &path, &[("x-goog-api-key", KEY), json], &body).status, 200);
    assert_eq!(ask(fake.address(), "POST", PATH, &[("x-goog-api-key", KEY)], &body).status, 200);
    let violations = fake.violations();
    assert_eq!(violations.len(), 4, "{violations:?}");
    assert!(violations[2].ends_with("the key is in the URL"));
    assert!(violations[3].contains("content type"));
}

#[test]
fn models_are_known_by_name_and_by_how_they_think() {
    let mut config = Config::default();
    config.models[1].retired = true;
    let fake = FakeLlm::with(config);
    let to = |model: &str, thinking: Value| {
        let request = changed("/generationConfig", "thinkingConfig", thinking);
        let got = post(&fake, &format!("/v1/models/{model}:generateContent"), &request);
        (got.status, got.json()["error"]["message"].as_str().unwrap_or_default().to_owned())
    };
    let (status, message) = to("gemini-pro", json!({}));
    assert_eq!(status, 404);
    assert!(message.starts_with("models/gemini-pro is not found for API version v1,"), "{message}");
    assert_eq!(to("gemini-3.8-flash", json!({})).0, 404, "retired");
    assert_eq!(to("gemini-3.5-flash-lite", json!({"thinkingLevel": "HIGH"})).0, 200);
    let (status, message) = to("gemini-2.5-flash", json!({"thinkingLevel": "LOW"}));
    assert_eq!((status, message.as_str()), (400, "Thinking level is not supported for this model."));
    assert_eq!(to("gemini-2.5-flash", json!({"thinkingBudget": 0})).0, 200);
    let (status, message) = to("gemini-3.5-flash-lite", json!({"thinkingBudget": 0}));
    assert_eq!((status, message.as_str()), (400, "Thinking budget is not supported for this model."));
    let whole = FakeLlm::start();
    let minimal = post(&whole, "/v1beta/models/gemini-3.8-flash:generateContent", &request(&POSTS));
    assert_eq!(minimal.status, 400);
    assert!(minimal.text().contains("Thinking level is unsupported: THINKING_LEVEL_MINIMAL"));
    let narrow = FakeLlm::with(Config { v1_is_narrow: true, ..Config::default() });
    let got = post(&narrow, &PATH.replace("v1beta", "v1"), &request(&POSTS));
    assert_eq!(got.status, 400);
    assert!(got.text().contains("Unknown name \\\"systemInstruction\\\": Cannot find field."));
    assert_eq!(generate(&narrow, &request(&POSTS)).status, 200);
}

#[test]
fn scripted_refusals_are_in_the_services_words_and_cost_nothing() {
    use Behaviour::*;
    for (behaviour, status, words) in [
        (RetryInfo("38s"), 429, r#""retryDelay":"38s""#),
        (QuotaPerMinute(Some("2s")), 429, "GenerateRequestsPerMinutePerProjectPerModel"),
        (QuotaPerDay(None), 429, "GenerateRequestsPerDayPerProjectPerModel"),
        (BareRateLimit, 429, r#""status":"RESOURCE_EXHAUSTED""#),
        (HtmlRateLimit, 429, "<html>"),
        (RetryAfter("7"), 429, "RESOURCE_EXHAUSTED"),
        (Status(503), 503, "UNAVAILABLE"),
        (Status(500), 500, "INTERNAL"),
        (Status(504), 504, "DEADLINE_EXCEEDED"),
        (Status(502), 502, "<html>"),
        (Status(408), 408, "<html>"),
        (Forbidden, 403, "PERMISSION_DENIED"),
        (UnknownField, 400, "Cannot find field."),
        (KeyInvalid, 400, "API_KEY_INVALID"),
        (PlaceNotSupported, 400, "FAILED_PRECONDITION"),
    ] {
        let fake = FakeLlm::start();
        fake.script(When::call(1), [behaviour.clone()]);
        let got = generate(&fake, &request(&POSTS));
        assert_eq!(got.status, status, "{behaviour:?}");
        assert!(got.text().contains(words), "{behaviour:?}: {}", got.text());
        assert_eq!(got.head.contains("Retry-After: 7"), behaviour == RetryAfter("7"));
        let bare = !got.text().contains("retryDelay");
        assert_eq!(bare, !matches!(behaviour, RetryInfo(_) | QuotaPerMinute(_)), "{behaviour:?}");
        assert_eq!(fake.bill_pico_usd() + fake.lost_pico_usd(), 0);
        assert_eq!(fake.violations(), Vec::<String>::new(), "asked for, so no mistake of the client");
        assert_eq!(fake.calls()[0].status, status);
        assert_eq!(generate(&fake, &request(&POSTS[1..])).status, 200);
    }
}

#[test]
fn asking_again_too_early_is_a_violation() {
    let fake = FakeLlm::start();
    fake.script(When::call(1), [Behaviour::RetryInfo("0.3s")]);
    fake.script(When::call(3), [Behaviour::RetryInfo("0.3s")]);
    let start = Instant::now();
    generate(&fake, &request(&POSTS));
    generate(&fake, &request(&POSTS));
    // Nothing is known of how long that took on a busy machine.
    if start.elapsed() < Duration::from_millis(300) {
        assert_eq!(fake.violations().len(), 1, "{:?}", fake.violations());
        assert!(fake.violations()[0].contains("too early: it was told 0.3s"));
    }
    let before = fake.violations().len();
    generate(&fake, &request(&POSTS));
    generate(&fake, &request(&POSTS[..1]));
    std::thread::sleep(Duration::from_millis(310));
    generate(&fake, &request(&POSTS));
    assert_eq!(fake.violations().len(), before, "another request may come, and this one in time");
}

#[test]
fn rules_apply_by_number_by_text_and_so_often() {
    let fake = FakeLlm::start();
    let status = |posts: &[(&str, &str)]| generate(&fake, &request(posts)).status;
    fake.script(When::calls(2..=3), [Behaviour::Status(503)]);
    fake.rule(Rule::new(When::text("somebody else's"), [Behaviour::Status(500)]).times(1));
    let late = |look: &Look| look.number > 5;
    fake.script(When::pack_over(2).and(When::is(late)), [Behaviour::Forbidden]);
    assert_eq!(status(&POSTS[..1]), 200);
    assert_eq!(status(&POSTS[..1]), 503);
    assert_eq!(status(&POSTS), 503, "the first rule comes first, and both have applied");
    assert_eq!(status(&POSTS), 200, "the second is used up");
    assert_eq!(status(&POSTS), 200);
    assert_eq!(status(&POSTS[..2]), 200);
    assert_eq!(status(&POSTS), 403);
    fake.forget_script();
    assert_eq!(status(&POSTS), 200);
    let numbers: Vec<usize> = fake.model_calls().iter().map(|call| call.number).collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    fake.script(When::sometimes(7, 30), [Behaviour::Status(503)]);
    let failed = (0..100).filter(|_| status(&POSTS[..1]) == 503).count();
    assert!((15..=45).contains(&failed), "{failed} of 100 at 30 %");
}

#[test]
fn a_connection_serves_several_calls_and_calls_at_once_are_counted() {
    let fake = FakeLlm::start();
    let mut stream = TcpStream::connect(fake.address()).unwrap();
    for _ in 0..3 {
        let body = request(&POSTS).to_string();
        let head =
            format!("POST {PATH} HTTP/1.1\r\nx-goog-api-key: {KEY}\r\ncontent-type: application/json\r\n");
        // In chunks, and in pieces that end in the middle of things.
        let (one, two) = body.split_at(body.len() / 2 - body.len() / 2 % 2);
        let chunks = format!("{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len());
        let all = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}");
        for piece in all.as_bytes().chunks(700) {
            stream.write_all(piece).unwrap();
        }
        assert_eq!(receive(&mut stream).status, 200);
    }
    assert_eq!(fake.max_in_flight(), 1);
    assert_eq!(fake.calls().len(), 3);
    fake.script(When::always(), [Behaviour::Latency(Duration::from_millis(300))]);
    let address = fake.address();
    // On a machine that is busy enough, four at once may come one after the other.
    for _ in 0..20 {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let body = request(&POSTS[..n % 3 + 1]).to_string();
                std::thread::spawn(move || {
                    ask(address, "POST", PATH, &[("x-goog-api-key", KEY)], &body).status
                })
            })
            .collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 200));
        if fake.max_in_flight() > 1 {
            break;
        }
    }
    assert!((2..=4).contains(&fake.max_in_flight()), "{}", fake.max_in_flight());
}

/// For a person: point the command line at it.
#[test]
#[ignore = "serves until it is killed: FAKE_LLM_PORT=8099 cargo nextest run --run-ignored only serves_until_killed"]
fn serves_until_killed() {
    let port = std::env::var("FAKE_LLM_PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8099);
    serve_forever(port, Config::default()).unwrap();
}
