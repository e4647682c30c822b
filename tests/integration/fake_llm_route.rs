//! From a request to its answer: which call it is, what is wrong with it, what it costs, and
//! how its answer travels. Everything is written down before the answer leaves.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::gemini::{self, Refusal};
use super::http::{Reply, Request, Way};
use super::script::{self, Behaviour, Kind, Look, Post};
use super::{Call, Shared, State, Usage, answer, batch, openai, strict};

/// Which call a request is.
pub struct Route {
    pub kind: Kind,
    /// `v1` or `v1beta`.
    pub version: String,
    /// The model's name, or the batch's (`batches/…`).
    pub name: String,
    pub verb: &'static str,
}

fn route(request: &Request) -> Route {
    let path = request.path.replace("%3A", ":").replace("%3a", ":");
    let to = |kind, version: &str, name: &str, verb| Route {
        kind,
        version: version.to_owned(),
        name: name.to_owned(),
        verb,
    };
    if path.ends_with("/chat/completions") && request.method == "POST" {
        return to(Kind::Chat, "", "", "chat");
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let known = matches!(parts[0], "v1" | "v1beta");
    match (request.method.as_str(), parts.as_slice()) {
        ("POST", [version, "models", rest]) if known => match rest.split_once(':') {
            Some((name, "generateContent")) => to(Kind::Generate, version, name, "generate"),
            Some((name, "batchGenerateContent")) => to(Kind::BatchCreate, version, name, "create"),
            Some((name, "countTokens")) => to(Kind::Free, version, name, "count"),
            _ => to(Kind::Unknown, version, rest, ""),
        },
        ("GET", [version, "models"]) if known && request.header("x-goog-api-key").is_some() => {
            to(Kind::Free, version, "", "models")
        }
        ("GET", [version, "models", name]) if known => to(Kind::Free, version, name, "model"),
        ("GET", [.., "models"]) => to(Kind::Free, "", "", "openai models"),
        ("GET", [version, "batches"]) if known => to(Kind::Free, version, "", "list"),
        ("GET", [version, "batches", id]) if known => {
            to(Kind::BatchPoll, version, &format!("batches/{id}"), "poll")
        }
        ("DELETE", [version, "batches", id]) if known => {
            to(Kind::Free, version, &format!("batches/{id}"), "delete")
        }
        ("POST", [version, "batches", rest]) if known && rest.ends_with(":cancel") => {
            let name = format!("batches/{}", rest.trim_end_matches(":cancel"));
            to(Kind::BatchCancel, version, &name, "cancel")
        }
        _ => to(Kind::Unknown, "", "", ""),
    }
}

/// What an answer is before the network has it.
pub struct Done {
    pub reply: Reply,
    pub usage: Usage,
    pub cost: u128,
    pub mistake: Option<String>,
}

impl Done {
    pub fn free(status: u16, body: &Value) -> Done {
        Done { reply: Reply::json(status, body), usage: Usage::default(), cost: 0, mistake: None }
    }
}

impl From<Refusal> for Done {
    fn from(refusal: Refusal) -> Done {
        Done { mistake: refusal.mistake, ..Done::free(refusal.status, &refusal.body) }
    }
}

/// Answers a request and records it. The number is its place among all calls.
pub fn answer(shared: &Shared, request: &Request) -> (Reply, usize) {
    let route = route(request);
    let mut body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    match route.kind {
        Kind::Generate => strict::spell(&mut body, &strict::GENERATE),
        Kind::BatchCreate => strict::spell(&mut body, &strict::BATCH),
        _ => {}
    }
    let posts = match route.kind {
        Kind::Generate => answer::posts(&gemini::prompt(&body)),
        Kind::Chat => answer::posts(&openai::prompt(&body)),
        _ => Vec::new(),
    };
    let model = if route.kind == Kind::Chat {
        body["model"].as_str().unwrap_or_default().to_owned()
    } else {
        route.name.clone()
    };
    let mut state = shared.state();
    let number = state.next(route.kind);
    let mut rules = std::mem::take(&mut state.rules);
    let look = Look { kind: route.kind, number, model: &model, posts: &posts, body: &body };
    let plan = script::plan(&mut rules, &look);
    state.rules = rules;
    if matches!(route.kind, Kind::Generate | Kind::Chat) {
        state.in_flight += 1;
    }
    let mut mistakes = manners(&mut state, &route, request, &body);
    let mut done = act(shared, &mut state, &route, request, &body, &posts, &plan, number);
    mistakes.extend(done.mistake.take());
    let place = format!("{} {}", request.method, request.path);
    state.violations.extend(mistakes.into_iter().map(|mistake| format!("{place}: {mistake}")));
    remember_wait(&mut state, request, &plan);
    let (reply, delivered) = travel(done.reply, &plan);
    let in_flight = state.in_flight;
    state.calls.push(Call {
        kind: route.kind,
        number,
        at: shared.started.elapsed(),
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        headers: request.headers.clone(),
        body,
        raw: request.body.clone(),
        model,
        posts,
        plan,
        status: if reply.way == Way::ResetBeforeHead { 0 } else { reply.status },
        usage: done.usage,
        cost: done.cost,
        delivered,
        in_flight,
    });
    (reply, state.calls.len() - 1)
}

/// What is bad whatever the answer is.
fn manners(state: &mut State, route: &Route, request: &Request, body: &Value) -> Vec<String> {
    let mut mistakes = Vec::new();
    if request.query.split('&').any(|pair| pair.starts_with("key=")) {
        mistakes.push("the key is in the URL".to_owned());
    }
    if request.method == "POST" && !request.body.is_empty() {
        let json = request.header("content-type").is_some_and(|t| t.starts_with("application/json"));
        if !json {
            mistakes.push("the content type is not application/json".to_owned());
        }
        if body.is_null() {
            mistakes.push("the body is not JSON".to_owned());
        }
    }
    if route.kind == Kind::Unknown {
        mistakes.push("there is no such method".to_owned());
    }
    if let Some((until, told)) = state.not_before.remove(&fingerprint(request)) {
        let early = until.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            mistakes.push(format!("asked again {} ms too early: it was told {told}", early.as_millis()));
        }
    }
    mistakes
}

fn fingerprint(request: &Request) -> u64 {
    answer::hash(&[&request.method, &request.path, &String::from_utf8_lossy(&request.body)], 0)
}

/// Writes down when the same request may come again.
fn remember_wait(state: &mut State, request: &Request, plan: &[Behaviour]) {
    let told = plan.iter().find_map(|behaviour| match behaviour {
        Behaviour::RetryInfo(delay) => Some(*delay),
        Behaviour::QuotaPerMinute(delay) | Behaviour::QuotaPerDay(delay) => *delay,
        Behaviour::RetryAfter(seconds) => Some(*seconds),
        _ => None,
    });
    // A date is left to the test.
    let Some(told) = told else { return };
    let Ok(seconds) = told.trim_end_matches('s').parse::<f64>() else { return };
    let until = Instant::now() + Duration::from_secs_f64(seconds.clamp(0.0, 1e6));
    state.not_before.insert(fingerprint(request), (until, told.to_owned()));
}

#[expect(clippy::too_many_arguments, reason = "all of it is looked at once, under one lock")]
fn act(
    shared: &Shared,
    state: &mut State,
    route: &Route,
    request: &Request,
    body: &Value,
    posts: &[Post],
    plan: &[Behaviour],
    number: usize,
) -> Done {
    let config = &shared.config;
    if request.too_large {
        let message = "Request payload size exceeds the limit: 20971520 bytes.";
        return gemini::mistake(400, "INVALID_ARGUMENT", message, Vec::new()).into();
    }
    match route.verb {
        "chat" => return openai::chat(config, request, body, posts, plan, number),
        "openai models" => {
            let models: Vec<Value> =
                config.openai_models.iter().map(|(name, _)| json!({"id": name, "object": "model"})).collect();
            return Done::free(200, &json!({"object": "list", "data": models}));
        }
        "" => return gemini::error(404, "NOT_FOUND", "Method not found.", Vec::new()).into(),
        _ => {}
    }
    match request.header("x-goog-api-key") {
        None => return gemini::no_key().into(),
        Some(key) if key != config.key => {
            return Refusal { mistake: Some("the key is wrong".to_owned()), ..gemini::bad_key() }.into();
        }
        Some(_) => {}
    }
    if request.method == "POST" && body.is_null() && !request.body.is_empty() {
        let message = "Invalid JSON payload received. Unexpected token.";
        return gemini::error(400, "INVALID_ARGUMENT", message, Vec::new()).into();
    }
    let model = match route.verb {
        "generate" | "create" | "count" | "model" => {
            match gemini::model(config, &route.name, &route.version) {
                Ok(model) => Some(model),
                Err(refusal) => return refusal.into(),
            }
        }
        _ => None,
    };
    let checked = match (route.verb, model) {
        ("generate", Some(model)) => gemini::check(config, model, &route.version, body),
        ("create", _) => batch::check(body),
        _ => Ok(()),
    };
    if let Err(refusal) = checked {
        return refusal.into();
    }
    if let Some(reply) = gemini::scripted(plan) {
        return Done { reply, ..Done::free(200, &Value::Null) };
    }
    if stopped_on_the_way(plan) {
        return Done::free(200, &Value::Null);
    }
    match (route.verb, model) {
        ("generate", Some(model)) => {
            let made = gemini::generate(config, model, body, posts, plan, &number.to_string());
            let cost = model.price.of(&made.usage);
            Done { usage: made.usage, cost, ..Done::free(200, &made.response) }
        }
        ("create", Some(model)) => batch::create(state, model, &route.version, body),
        ("count", _) => {
            let inner = body.get("generateContentRequest").unwrap_or(body);
            Done::free(200, &json!({"totalTokens": gemini::prompt_tokens(inner)}))
        }
        ("model", Some(model)) => Done::free(200, &json!({"name": format!("models/{}", model.name)})),
        ("models", _) => {
            let offered = config.models.iter().filter(|model| !model.retired);
            let models: Vec<Value> = offered
                .map(|model| {
                    json!({"name": format!("models/{}", model.name), "version": model.version,
                        "supportedGenerationMethods":
                            ["generateContent", "countTokens", "batchGenerateContent"]})
                })
                .collect();
            Done::free(200, &json!({ "models": models }))
        }
        ("list", _) => batch::list(state),
        ("poll", _) => batch::poll(config, state, &route.name),
        ("cancel", _) => batch::cancel(state, &route.name),
        ("delete", _) => batch::delete(state, &route.name),
        _ => gemini::error(404, "NOT_FOUND", "Method not found.", Vec::new()).into(),
    }
}

/// The call never comes to the service: nothing is made, nothing is billed.
pub fn stopped_on_the_way(plan: &[Behaviour]) -> bool {
    plan.iter().any(|b| matches!(b, Behaviour::ResetBeforeHead | Behaviour::HtmlOk | Behaviour::Redirect(_)))
}

/// What the network makes of an answer, and whether the client can have it.
fn travel(mut reply: Reply, plan: &[Behaviour]) -> (Reply, bool) {
    let mut delivered = true;
    for behaviour in plan {
        match behaviour {
            Behaviour::Latency(time) => reply.latency = *time,
            Behaviour::Trickle(bytes, every) => {
                reply.way = Way::Trickle { bytes: *bytes, every: *every };
            }
            Behaviour::ResetBeforeHead => reply.way = Way::ResetBeforeHead,
            Behaviour::ResetAfterHead => reply.way = Way::ResetAfterHead,
            Behaviour::CutBody => reply.way = Way::CutBody,
            Behaviour::Gzip => reply.way = Way::Gzip,
            Behaviour::TruncatedGzip => reply.way = Way::TruncatedGzip,
            Behaviour::Padded(blanks) => reply.way = Way::Padded(*blanks),
            Behaviour::GzipBomb(millions) => {
                reply.way = Way::GzipBomb(*millions);
                delivered = false;
            }
            Behaviour::EmptyBody => {
                reply.body.clear();
                delivered = false;
            }
            Behaviour::BodyNotJson => {
                reply.body = b"{\"candidates\": [{\"content\": <upstream connect error>".to_vec();
                delivered = false;
            }
            Behaviour::DeepBody => {
                reply.body = ("[".repeat(100_000) + &"]".repeat(100_000)).into_bytes();
                delivered = false;
            }
            Behaviour::HtmlOk => {
                reply = Reply {
                    latency: reply.latency,
                    ..Reply::html(200, "<html>Sign in to the network</html>")
                };
            }
            Behaviour::Redirect(to) => {
                reply = Reply { latency: reply.latency, ..Reply::html(302, "moved") }.header("Location", to);
            }
            _ => {}
        }
    }
    if matches!(reply.way, Way::ResetBeforeHead | Way::ResetAfterHead | Way::CutBody | Way::TruncatedGzip) {
        delivered = false;
    }
    (reply, delivered)
}
