//! The fake model server is what it says: endings, damage, the network, batches, chats.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::tests::{Got, KEY, PATH, POSTS, ask, cost, generate, items, post, request, said, schema};
use super::*;

/// One call that is answered with this.
fn with(behaviours: impl IntoIterator<Item = Behaviour>) -> (FakeLlm, Got) {
    let fake = FakeLlm::start();
    fake.script(When::always(), behaviours);
    let got = generate(&fake, &request(&POSTS));
    (fake, got)
}

#[test]
fn endings_are_the_models_and_are_billed() {
    for name in ["SAFETY", "RECITATION", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "OTHER", "NEW_REASON"] {
        let (fake, got) = with([Behaviour::Finish(name)]);
        let response = got.json();
        assert_eq!((got.status, &response["candidates"][0]["finishReason"]), (200, &json!(name)));
        assert!(response["candidates"][0].get("content").is_none());
        assert!(response["usageMetadata"].get("candidatesTokenCount").is_none());
        assert!(fake.bill_pico_usd() > 0);
        assert_eq!(fake.bill_pico_usd(), cost(&response));
        let (_, got) = with([Behaviour::FinishWithAnswer(name)]);
        assert_eq!(got.json()["candidates"][0]["finishReason"], name);
        assert_eq!(items(&got).len(), 3);
    }
    for behaviour in [Behaviour::PromptBlocked("PROHIBITED_CONTENT"), Behaviour::NoCandidates] {
        let (fake, got) = with([behaviour.clone()]);
        let response = got.json();
        assert!(response.get("candidates").is_none());
        let blocked = response["promptFeedback"]["blockReason"] == "PROHIBITED_CONTENT";
        assert_eq!(blocked, behaviour != Behaviour::NoCandidates);
        assert!(fake.bill_pico_usd() > 0);
        assert_eq!(fake.bill_pico_usd(), cost(&response));
    }
}

#[test]
fn an_answer_that_is_too_long_is_cut() {
    let whole = said(&with([]).1.json());
    let (fake, got) = with([Behaviour::MaxTokensCut]);
    assert_eq!(got.json()["candidates"][0]["finishReason"], "MAX_TOKENS");
    let cut = said(&got.json());
    assert!(whole.starts_with(&cut) && cut.len() < whole.len() && !cut.is_empty());
    assert!(serde_json::from_str::<Value>(&cut).is_err());
    assert_eq!(fake.bill_pico_usd(), cost(&got.json()));
    let (fake, got) = with([Behaviour::MaxTokensEmpty]);
    let response = got.json();
    assert_eq!(response["candidates"][0]["content"], json!({"role": "model"}));
    assert_eq!(response["usageMetadata"]["thoughtsTokenCount"], 4096);
    assert_eq!(fake.bill_pico_usd(), cost(&response));
    // Nobody's script, only the client's own limit.
    let fake = FakeLlm::start();
    let mut small = request(&POSTS);
    small["generationConfig"]["maxOutputTokens"] = json!(10);
    let response = generate(&fake, &small).json();
    assert_eq!(response["candidates"][0]["finishReason"], "MAX_TOKENS");
    assert_eq!(said(&response).chars().count(), 40);
    assert_eq!(response["usageMetadata"]["candidatesTokenCount"], 10);
}

#[test]
fn parts_thoughts_and_cached_tokens_add_up() {
    let whole = said(&with([]).1.json());
    let shapes = [Behaviour::SplitParts(4), Behaviour::Cached(20), Behaviour::Thoughts(100)];
    let (fake, got) = with(shapes);
    let response = got.json();
    assert_eq!(said(&response), whole);
    let parts = response["candidates"][0]["content"]["parts"].as_array().unwrap();
    assert_eq!(parts.iter().filter(|part| part["thought"] == true).count(), 4);
    let usage = &response["usageMetadata"];
    assert_eq!((&usage["cachedContentTokenCount"], &usage["thoughtsTokenCount"]), (&json!(20), &json!(100)));
    let of = |name: &str| usage[name].as_u64().unwrap();
    let sum = of("promptTokenCount") + of("candidatesTokenCount") + 100;
    assert_eq!(of("totalTokenCount"), sum, "cached tokens are part of the prompt's");
    assert_eq!(fake.bill_pico_usd(), cost(&response));
    let plain = (of("promptTokenCount") - 20) * 300_000 + 20 * 30_000;
    let out = (of("candidatesTokenCount") + 100) * 2_500_000;
    assert_eq!(fake.bill_pico_usd(), u128::from(plain + out));
    let mut deep = request(&POSTS);
    deep["generationConfig"]["thinkingConfig"] = json!({"thinkingLevel": "LOW", "includeThoughts": true});
    let response = generate(&FakeLlm::start(), &deep).json();
    assert_eq!(response["usageMetadata"]["thoughtsTokenCount"], 32);
    assert_eq!(response["candidates"][0]["content"]["parts"][0]["thought"], true);
}

#[test]
fn json_may_be_wrapped_or_be_none() {
    let whole = said(&with([]).1.json());
    for behaviour in [Behaviour::Prose, Behaviour::Fences] {
        let text = said(&with([behaviour]).1.json());
        assert!(text.contains(&whole) && text.len() > whole.len());
        assert!(serde_json::from_str::<Value>(&text).is_err());
    }
    let text = said(&with([Behaviour::NotJson]).1.json());
    assert!(!text.contains('['));
    let text = said(&with([Behaviour::DeepJson]).1.json());
    assert_eq!(text.len(), 200_000, "no limit of the client's cuts it");
    assert!(with([Behaviour::DeepBody]).1.body.ends_with(&[b']'; 100_000]));
    assert_eq!(items(&with([Behaviour::EmptyList]).1), Vec::<Value>::new());
    assert!(said(&with([Behaviour::WrongShape]).1.json()).starts_with('{'));
}

#[test]
fn wrong_content_hits_one_item_and_leaves_the_others() {
    let good = items(&with([]).1);
    let ids = |items: &[Value]| items.iter().map(|item| item["id"].clone()).collect::<Vec<_>>();
    let bad = |behaviour: Behaviour| items(&with([behaviour]).1);
    for (behaviour, field, fits) in [
        (Behaviour::WrongEnum, "sentiment", false),
        (Behaviour::OutOfRange, "sentiment_score", false),
        (Behaviour::ForeignEvidence, "evidence_quote", false),
        (Behaviour::UrlInText, "theme", true),
        (Behaviour::NullField, "evidence_quote", false),
        (Behaviour::MissingField, "evidence_quote", false),
    ] {
        let items = bad(behaviour.clone());
        assert_eq!((&items[0], &items[2]), (&good[0], &good[2]), "{behaviour:?}");
        assert_ne!(items[1][field], good[1][field], "{behaviour:?}: {}", items[1]);
        let same = items[1].as_object().unwrap().len() == good[1].as_object().unwrap().len();
        assert_eq!(same, behaviour != Behaviour::MissingField);
        assert!(!fits || items[1][field].as_str().unwrap().contains("https://"));
    }
    assert_eq!(ids(&bad(Behaviour::MissingId)), ["p1", "p3"]);
    let twice = bad(Behaviour::DuplicateId);
    assert_eq!(ids(&twice), ["p1", "p2", "p2", "p3"]);
    assert_ne!(twice[1], twice[2]);
    assert_eq!(ids(&bad(Behaviour::AlienId)), ["p1", "p2", "p3", "nobody-asked"]);
    let mut shuffled = bad(Behaviour::ShuffledIds);
    assert_ne!(shuffled, good);
    shuffled.sort_by_key(|item| item["id"].to_string());
    assert_eq!(shuffled, good);
    let swapped = bad(Behaviour::SwappedIds);
    assert_eq!(ids(&swapped), ["p1", "p3", "p2"]);
    assert_eq!(swapped[1]["evidence_quote"], good[1]["evidence_quote"]);
    assert!(bad(Behaviour::AllIdsMissing).iter().all(|item| item.get("id").is_none()));
    assert!(bad(Behaviour::ExtraFields).iter().all(|item| item.get("unasked_for").is_some()));
    assert!(bad(Behaviour::NumbersAsStrings).iter().all(|item| item["sentiment_score"].is_string()));
    assert!(bad(Behaviour::AllNull).iter().all(|item| item["risk"].is_null() && item["id"].is_string()));
}

#[test]
fn the_list_may_be_wrapped_and_free_text_is_free() {
    let fake = FakeLlm::start();
    let mut wrapped = request(&POSTS);
    let inner = json!({"type": "array", "items": schema()["items"]});
    let defs = schema()["$defs"].clone();
    wrapped["generationConfig"]["responseJsonSchema"] = json!({"type": "object",
        "properties": {"labels": inner, "model_note": {"type": "string"}}, "required": ["labels"], "$defs": defs});
    let answer: Value = serde_json::from_str(&said(&generate(&fake, &wrapped).json())).unwrap();
    assert_eq!(answer["labels"].as_array().unwrap().len(), 3);
    assert!(answer["model_note"].is_string());
    let free = json!({"contents": [{"parts": [{"text": "Summarize the day."}]}]});
    assert_eq!(said(&generate(&fake, &free).json()), fake.config().free_text);
    fake.script(When::always(), [Behaviour::UrlInText]);
    assert!(said(&generate(&fake, &free).json()).contains("https://evil.example/"));
    let one = json!({"contents": [{"parts": [{"text": "Summarize the day."}]}],
        "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema":
            {"type": "object", "properties": {"narrative": {"type": "string"}}}}});
    let answer: Value = serde_json::from_str(&said(&generate(&fake, &one).json())).unwrap();
    assert!(answer["narrative"].as_str().unwrap().contains("https://"));
}

#[test]
fn the_network_can_break_at_every_place() {
    let (fake, got) = with([Behaviour::ResetBeforeHead]);
    assert!(got.reset && got.status == 0);
    assert_eq!((fake.bill_pico_usd(), fake.lost_pico_usd(), fake.calls()[0].status), (0, 0, 0));
    for behaviour in [Behaviour::ResetAfterHead, Behaviour::CutBody] {
        let (fake, got) = with([behaviour.clone()]);
        assert_eq!((got.status, got.whole), (200, false));
        assert_eq!(got.reset, behaviour == Behaviour::ResetAfterHead);
        assert_eq!(fake.bill_pico_usd(), 0);
        assert!(fake.lost_pico_usd() > 0, "spent, and nobody can know how much");
    }
    for (behaviour, words) in [(Behaviour::EmptyBody, ""), (Behaviour::BodyNotJson, "<upstream")] {
        let (fake, got) = with([behaviour]);
        assert!(got.whole && got.status == 200 && got.text().contains(words) && got.json().is_null());
        assert!(fake.lost_pico_usd() > 0 && fake.bill_pico_usd() == 0);
    }
    let (fake, got) = with([Behaviour::HtmlOk]);
    assert!(got.status == 200 && got.text().starts_with("<html>"));
    assert_eq!(fake.bill_pico_usd() + fake.lost_pico_usd(), 0);
    let (fake, got) = with([Behaviour::Redirect("http://127.0.0.2:1/".to_owned())]);
    assert!(got.status == 302 && got.head.contains("Location: http://127.0.0.2:1/"));
    assert_eq!(fake.bill_pico_usd() + fake.lost_pico_usd(), 0);
    let (fake, got) = with([Behaviour::Padded(3_000_000)]);
    assert_eq!(items(&got).len(), 3);
    assert!(got.body.len() > 3_000_000 && fake.bill_pico_usd() > 0);
    let start = Instant::now();
    let (fake, got) = with([Behaviour::Trickle(400, Duration::from_millis(20))]);
    assert!(start.elapsed() >= Duration::from_millis(20 * (got.body.len() as u64 / 400)));
    assert!(items(&got).len() == 3 && fake.bill_pico_usd() > 0);
    let start = Instant::now();
    with([Behaviour::Latency(Duration::from_millis(150)), Behaviour::Status(503)]);
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[test]
fn compressed_answers_are_gzip_whole_or_not() {
    let (fake, whole) = with([Behaviour::Gzip]);
    assert!(whole.head.contains("Content-Encoding: gzip") && whole.whole);
    let plain = said(&with([]).1.json());
    // One stored block: ten bytes of head, five of the block's own, eight at the end.
    let inner = &whole.body[15..whole.body.len() - 8];
    assert_eq!(said(&serde_json::from_slice(inner).unwrap()), plain);
    assert!(fake.bill_pico_usd() > 0);
    let (fake, cut) = with([Behaviour::TruncatedGzip]);
    assert!(cut.whole && cut.body.len() < whole.body.len() && cut.body[..15] == whole.body[..15]);
    assert!(fake.lost_pico_usd() > 0 && fake.bill_pico_usd() == 0);
    let (fake, bomb) = with([Behaviour::GzipBomb(100)]);
    assert!(bomb.whole && bomb.body.len() < 1_000_000 && fake.lost_pico_usd() > 0);
    // Checked against what other programs compute: the sum of "123456789".
    let sum = http::gzip(b"123456789");
    assert_eq!(sum[sum.len() - 8..sum.len() - 4], 0xcbf4_3926_u32.to_le_bytes());
}

#[test]
fn what_goes_away_is_noticed() {
    let fake = FakeLlm::start();
    fake.script(When::always(), [Behaviour::Trickle(1, Duration::from_millis(5))]);
    let address = fake.address();
    {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let body = request(&POSTS).to_string();
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nx-goog-api-key: {KEY}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(60));
    }
    let end = Instant::now() + Duration::from_secs(20);
    while fake.lost_pico_usd() == 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(fake.lost_pico_usd() > 0 && fake.bill_pico_usd() == 0, "billed, and the client hung up");
}

#[test]
fn other_methods_answer_or_are_violations() {
    let fake = FakeLlm::start();
    let key = [("x-goog-api-key", KEY)];
    let models = ask(fake.address(), "GET", "/v1beta/models", &key, "").json();
    assert_eq!(models["models"][0]["name"], "models/gemini-3.5-flash-lite");
    let one = ask(fake.address(), "GET", "/v1beta/models/gemini-3.8-flash", &key, "");
    assert_eq!(one.json()["name"], "models/gemini-3.8-flash");
    let count = post(
        &fake,
        &PATH.replace("generateContent", "countTokens"),
        &json!({"contents": request(&POSTS)["contents"]}),
    );
    assert!(count.json()["totalTokens"].as_u64().unwrap() > 20);
    assert_eq!(ask(fake.address(), "GET", "/v1/models", &[], "").json()["data"][0]["id"], "fake-llama");
    assert_eq!(fake.violations(), Vec::<String>::new());
    assert_eq!(post(&fake, &PATH.replace("generate", "streamGenerate"), &request(&POSTS)).status, 404);
    assert_eq!(
        ask(fake.address(), "POST", PATH, &[key[0], ("content-type", "application/json")], "{\"a\":").status,
        400
    );
    assert_eq!(fake.violations().len(), 2, "{:?}", fake.violations());
    let mut large = request(&POSTS);
    large["contents"][0]["parts"][0]["text"] = json!("x".repeat(http::MAX_BODY));
    let got = generate(&fake, &large);
    assert!(got.status == 400 && got.text().contains("Request payload size exceeds the limit"));
}

fn get(fake: &FakeLlm, name: &str) -> Value {
    ask(fake.address(), "GET", &format!("/v1beta/{name}"), &[("x-goog-api-key", KEY)], "").json()
}

fn batch(requests: &[Value]) -> Value {
    let items: Vec<Value> = requests
        .iter()
        .enumerate()
        .map(|(n, request)| json!({"request": request, "metadata": {"key": format!("pack-{n}")}}))
        .collect();
    json!({"batch": {"displayName": "day 2026-11-01", "inputConfig": {"requests": {"requests": items}}}})
}

const CREATE: &str = "/v1beta/models/gemini-3.5-flash-lite:batchGenerateContent";

#[test]
fn a_batch_runs_from_pending_to_half_price() {
    let fake = FakeLlm::start();
    let requests = [request(&POSTS[..1]), request(&POSTS[1..2]), request(&POSTS[2..])];
    fake.script(When::text("Great service"), [Behaviour::Status(503)]);
    let made = post(&fake, CREATE, &batch(&requests)).json();
    let name = made["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("batches/"));
    assert_eq!(made["metadata"]["state"], "BATCH_STATE_PENDING");
    assert_eq!(made["metadata"]["batchStats"], json!({"requestCount": "3", "pendingRequestCount": "3"}));
    assert!(made.get("done").is_none());
    assert_eq!(get(&fake, &name)["metadata"]["state"], "BATCH_STATE_PENDING");
    assert_eq!(get(&fake, &name)["metadata"]["state"], "BATCH_STATE_RUNNING");
    assert_eq!(fake.bill_pico_usd(), 0);
    let done = get(&fake, &name);
    assert_eq!((&done["metadata"]["state"], &done["done"]), (&json!("BATCH_STATE_SUCCEEDED"), &json!(true)));
    let answers = done["metadata"]["output"]["inlinedResponses"]["inlinedResponses"].as_array().unwrap();
    assert_eq!(done["response"]["inlinedResponses"]["inlinedResponses"].as_array().unwrap(), answers);
    assert_eq!(answers[1]["metadata"]["key"], "pack-1");
    let labels: Value = serde_json::from_str(&said(&answers[0]["response"])).unwrap();
    let alone = FakeLlm::start();
    assert_eq!(labels.as_array().unwrap(), &items(&generate(&alone, &requests[0])));
    assert_eq!(answers[2]["error"]["code"], 14);
    assert!(answers[2].get("response").is_none());
    assert_eq!(done["metadata"]["batchStats"]["failedRequestCount"], "1");
    let whole = cost(&answers[0]["response"]) + cost(&answers[1]["response"]);
    assert_eq!(fake.bill_pico_usd() * 2, whole);
    // Looking again costs nothing and says the same.
    assert_eq!(get(&fake, &name)["response"], done["response"]);
    assert_eq!(fake.bill_pico_usd() * 2, whole);
    assert_eq!(fake.posts_seen().len(), 3);
    let view = fake.batches().remove(0);
    assert_eq!((view.polls, view.state), (3, "BATCH_STATE_SUCCEEDED"));
    assert_eq!(get(&fake, "batches")["operations"][0]["name"], json!(name));
    assert_eq!(fake.violations(), Vec::<String>::new());
}

#[test]
fn batches_end_in_every_way_and_come_in_every_order() {
    for (end, state, code) in [
        (End::Failed, "BATCH_STATE_FAILED", 13),
        (End::Expired, "BATCH_STATE_EXPIRED", 4),
        (End::Cancelled, "BATCH_STATE_CANCELLED", 1),
    ] {
        let fake = FakeLlm::start();
        fake.plan_batches(BatchPlan { pending: 0, running: 0, end, ..BatchPlan::default() });
        let made = post(&fake, CREATE, &batch(&[request(&POSTS)])).json();
        let done = get(&fake, made["name"].as_str().unwrap());
        assert_eq!((&done["metadata"]["state"], &done["error"]["code"]), (&json!(state), &json!(code)));
        assert!(done.get("response").is_none() && fake.bill_pico_usd() == 0);
    }
    let fake = FakeLlm::start();
    fake.plan_batches(BatchPlan {
        end: End::Held,
        shuffled: true,
        only_in_metadata: true,
        ..BatchPlan::default()
    });
    let made =
        post(&fake, CREATE, &batch(&[request(&POSTS[..1]), request(&POSTS[1..]), request(&POSTS)])).json();
    let name = made["name"].as_str().unwrap();
    assert!((0..5).all(|_| get(&fake, name).get("done").is_none()));
    fake.finish_batches(End::Succeeded);
    let done = get(&fake, name);
    assert!(done.get("response").is_none());
    let answers = done["metadata"]["output"]["inlinedResponses"]["inlinedResponses"].as_array().unwrap();
    let keys: Vec<&str> = answers.iter().map(|one| one["metadata"]["key"].as_str().unwrap()).collect();
    assert_ne!(keys, ["pack-0", "pack-1", "pack-2"]);
    for answer in answers {
        // Each has the posts of the request with its key.
        let labels: Vec<Value> = serde_json::from_str(&said(&answer["response"])).unwrap();
        let expected = match answer["metadata"]["key"].as_str().unwrap() {
            "pack-0" => 1,
            "pack-1" => 2,
            _ => 3,
        };
        assert_eq!(labels.len(), expected);
    }
    let spoiled = FakeLlm::with(Config { batch_spoils_json_schema: true, ..Config::default() });
    spoiled.plan_batches(BatchPlan { pending: 0, running: 0, without_keys: true, ..BatchPlan::default() });
    let made = post(&spoiled, CREATE, &batch(&[request(&POSTS)])).json();
    let done = get(&spoiled, made["name"].as_str().unwrap());
    let one = &done["response"]["inlinedResponses"]["inlinedResponses"][0];
    assert!(one.get("metadata").is_none());
    let labels: Value = serde_json::from_str(&said(&one["response"])).unwrap();
    assert!(labels[0]["risk"].is_null());
}

#[test]
fn batches_are_strict_and_can_be_stopped() {
    let fake = FakeLlm::start();
    let good = batch(&[request(&POSTS)]);
    let spoil = |pointer: &str, name: &str, value: Value| {
        let mut body = good.clone();
        body.pointer_mut(pointer).unwrap()[name] = value;
        let got = post(&fake, CREATE, &body);
        assert_eq!(got.status, 400, "{name}");
        got.text()
    };
    const ITEM: &str = "/batch/inputConfig/requests/requests/0";
    assert!(spoil("/batch", "name", json!("x")).contains("Unknown name \\\"name\\\" at 'batch'"));
    assert!(spoil(ITEM, "key", json!("x")).contains("'batch.input_config.requests.requests[0]'"));
    assert!(spoil(&format!("{ITEM}/request"), "foo", json!(1)).contains("requests[0].request'"));
    assert!(spoil("/batch", "displayName", Value::Null).contains("display_name"));
    assert!(spoil("/batch/inputConfig/requests", "requests", json!([])).contains("must not be empty"));
    assert_eq!(fake.violations().len(), 5);
    assert!(fake.batches().is_empty());
    // What has the right shape and makes no sense is the item's own error.
    let mut senseless = request(&POSTS);
    senseless["generationConfig"]["responseMimeType"] = Value::Null;
    let made = post(&fake, CREATE, &batch(&[senseless, request(&POSTS)])).json();
    let name = made["name"].as_str().unwrap();
    fake.finish_batches(End::Succeeded);
    let done = get(&fake, name);
    let answers = &done["response"]["inlinedResponses"]["inlinedResponses"];
    assert_eq!(answers[0]["error"]["code"], 3);
    assert!(answers[1]["response"].is_object());
    let made = post(&fake, CREATE, &good).json();
    let name = made["name"].as_str().unwrap();
    assert_eq!(post(&fake, &format!("/v1beta/{name}:cancel"), &json!({})).json(), json!({}));
    assert_eq!(get(&fake, name)["metadata"]["state"], "BATCH_STATE_CANCELLED");
    let headers = [("x-goog-api-key", KEY)];
    assert_eq!(ask(fake.address(), "DELETE", &format!("/v1beta/{name}"), &headers, "").status, 200);
    assert_eq!(get(&fake, name)["error"]["status"], "NOT_FOUND");
    fake.script(When::nth(Kind::BatchCreate, 8), [Behaviour::BareRateLimit]);
    fake.script(When::nth(Kind::BatchPoll, 4), [Behaviour::Status(503)]);
    assert_eq!(post(&fake, CREATE, &good).status, 429);
    assert_eq!(get(&fake, "batches/fake0001")["error"]["code"], 503);
    assert_eq!(get(&fake, "batches/fake0001")["done"], true);
    // One that was never heard of, and one whose name was lost.
    fake.script(When::nth(Kind::BatchCreate, 9), [Behaviour::ResetBeforeHead]);
    fake.script(When::nth(Kind::BatchCreate, 10), [Behaviour::ResetAfterHead]);
    let before = fake.batches().len();
    post(&fake, CREATE, &good);
    assert_eq!(fake.batches().len(), before);
    post(&fake, CREATE, &good);
    assert_eq!(fake.batches().len(), before + 1);
    let newest = &get(&fake, "batches")["operations"][0]["metadata"];
    assert_eq!(newest["displayName"], "day 2026-11-01", "a list finds it");
}

#[test]
fn everything_is_recorded() {
    let fake = FakeLlm::start();
    fake.script(
        When::is(|look| look.model.ends_with("lite") && look.body["labels"]["a"] == "b"),
        [Behaviour::Cached(1)],
    );
    let mut labelled = request(&POSTS);
    labelled["labels"] = json!({"a": "b"});
    let got = post(&fake, &format!("{PATH}?alt=json"), &labelled);
    generate(&fake, &request(&POSTS));
    post(&fake, CREATE, &batch(&[request(&POSTS)]));
    let calls = fake.calls();
    let call = &calls[0];
    assert_eq!((call.method.as_str(), call.path.as_str(), call.query.as_str()), ("POST", PATH, "alt=json"));
    assert_eq!((call.kind, call.number, call.status, call.delivered), (Kind::Generate, 1, 200, true));
    assert_eq!((&call.body, call.header("x-goog-api-key")), (&labelled, Some(KEY)));
    assert_eq!(call.raw, labelled.to_string().into_bytes());
    assert!(call.headers.iter().any(|(name, _)| name == "host"));
    assert_eq!((call.plan.as_slice(), call.usage.cached), (&[Behaviour::Cached(1)][..], 1));
    assert_eq!(call.cost, cost(&got.json()));
    assert!(calls[1].plan.is_empty() && calls[1].at >= call.at);
    assert_eq!((calls[2].kind, calls[2].cost), (Kind::BatchCreate, 0));
    assert_eq!(fake.model_calls().len(), 2);
    fake.finish_batches(End::Succeeded);
    let name = fake.batches()[0].name.clone();
    get(&fake, &name);
    let view = fake.batches().remove(0);
    assert_eq!(
        (view.display_name.as_str(), view.model.as_str()),
        ("day 2026-11-01", "gemini-3.5-flash-lite")
    );
    assert_eq!((view.metadata, view.deleted), (vec![json!({"key": "pack-0"})], false));
    assert_eq!(view.posts[0].len(), 3);
    // In a JSON text inside a JSON text, in a header, nowhere.
    assert!(fake.heard("pills, \"HIT\" me hard – ünïcödé") && fake.heard(KEY) && !fake.heard("lost words"));
    assert_eq!(view.cost * 2, fake.config().models[0].price.of(&view.usage));
    assert_eq!(fake.posts_seen().len(), 9);
}
