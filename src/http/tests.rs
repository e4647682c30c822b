//! What callers rely on, against a real server on this machine. Time is fake: waits are counted,
//! not waited for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;

use super::fake::{Fake, Reply};
use super::hooks::FakeTime;
use super::*;

/// Reaches `servers`, on fake time, where chance says one half.
pub(super) fn options(time: &FakeTime, servers: &[&Fake]) -> ClientOptions {
    ClientOptions {
        allow: AddressRule::PublicAnd(servers.iter().map(|server| server.authority()).collect()),
        hooks: time.hooks(0.5),
        ..ClientOptions::default()
    }
}

pub(super) fn client(time: &FakeTime, servers: &[&Fake]) -> Client {
    Client::new(options(time, servers)).unwrap()
}

fn seconds(all: &[f64]) -> Vec<Duration> {
    all.iter().map(|s| Duration::from_secs_f64(*s)).collect()
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

#[tokio::test]
async fn a_request_arrives_as_written_and_the_answer_comes_back_whole() {
    let server = Fake::start(|_| {
        let reply = Reply::json(r#"{"a":[1,2]}"#).header("ETag", "\"v1\"").header("X-Thing", "one");
        reply.header("Last-Modified", "Sun, 01 Nov 2026 00:00:00 GMT")
    });
    let client = client(&FakeTime::default(), &[&server]);
    let request = Request::get(server.url("/r/pharmacy/new?raw_json=1#part"))
        .query("q", "a b&c")
        .accept("application/json")
        .header("X-Other", "2")
        .secret_header("X-Token", secret("t0ken"));
    let response = client.send(request).await.unwrap();
    assert_eq!((response.status(), response.attempts(), response.calls()), (200, 1, 1));
    assert_eq!(response.json::<serde_json::Value>().unwrap()["a"][1], 2);
    assert_eq!(response.header("x-THING"), Some("one"));
    assert_eq!(response.header("x-nothing"), None);
    assert_eq!(response.etag(), Some("\"v1\""));
    assert_eq!(response.last_modified(), Some("Sun, 01 Nov 2026 00:00:00 GMT"));
    assert_eq!(response.media_type().as_deref(), Some("application/json"));
    assert_eq!(response.url().as_str(), server.url("/r/pharmacy/new?raw_json=1&q=a+b%26c"));
    assert_eq!(response.wire_bytes(), 11);
    let seen = &server.requests()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/r/pharmacy/new"));
    assert_eq!(seen.query, "raw_json=1&q=a+b%26c");
    for (name, value) in [
        ("accept", "application/json"),
        ("x-other", "2"),
        ("x-token", "t0ken"),
        ("accept-encoding", "gzip, zstd"),
        ("user-agent", concat!("rxpulse/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(seen.header(name), Some(value));
    }
    assert_eq!(seen.header("referer"), None);
    assert_eq!(seen.header("cookie"), None);
}

#[tokio::test]
async fn bodies_and_credentials_are_sent() {
    let server = Fake::start(|_| Reply::json("{}"));
    let client = client(&FakeTime::default(), &[&server]);
    let fields = [("grant_type", "client_credentials"), ("x", "a&b=ü")];
    let request = Request::post(server.url("/form")).form(fields).basic_auth("id", secret("pass"));
    client.send(request).await.unwrap();
    let request =
        Request::post(server.url("/json")).json(&serde_json::json!({"a": 1})).bearer(&secret("abc"));
    client.send(request).await.unwrap();
    client.send(Request::post(server.url("/bytes")).body("text/plain", "x")).await.unwrap();
    let seen = server.requests();
    assert_eq!(seen[0].body, b"grant_type=client_credentials&x=a%26b%3D%C3%BC");
    assert_eq!(seen[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen[0].header("authorization"), Some("Basic aWQ6cGFzcw=="));
    assert_eq!(seen[1].body, br#"{"a":1}"#);
    assert_eq!(seen[1].header("accept"), Some("application/json"));
    assert_eq!(seen[1].header("authorization"), Some("Bearer abc"));
    assert_eq!((seen[2].method.as_str(), seen[2].body.as_slice()), ("POST", &b"x"[..]));
}

#[tokio::test]
async fn what_did_not_change_is_not_sent_again() {
    let server = Fake::start(|seen| match seen.header("if-none-match") {
        Some("\"v1\"") if seen.header("if-modified-since").is_some() => Reply::new(304),
        _ => Reply::text("new"),
    });
    let client = client(&FakeTime::default(), &[&server]);
    let request = Request::get(server.url("/"))
        .if_none_match("\"v1\"")
        .if_modified_since("Sun, 01 Nov 2026 00:00:00 GMT");
    let response = client.send(request).await.unwrap();
    assert!(response.is_not_modified() && response.body().is_empty());
}

#[tokio::test]
async fn answers_to_act_on_come_back_at_once() {
    for status in [204, 300, 302, 304, 400, 401, 403, 404, 410, 422, 451, 501] {
        let server = Fake::start(move |_| Reply::new(status));
        let time = FakeTime::default();
        let response = client(&time, &[&server]).send(Request::get(server.url("/"))).await.unwrap();
        assert_eq!((response.status(), response.attempts()), (status, 1));
        assert!(time.waits().is_empty());
    }
}

#[tokio::test]
async fn what_may_be_gone_the_next_time_is_tried_again() {
    for status in [408, 425, 429, 500, 502, 503, 504, 520, 522, 524] {
        let bad = Reply::new(status).body("busy");
        let server = Fake::script([bad.clone(), bad, Reply::text("good")]);
        let time = FakeTime::default();
        let response = client(&time, &[&server]).send(Request::get(server.url("/"))).await.unwrap();
        assert_eq!((response.text().unwrap().as_str(), response.attempts()), ("good", 3), "{status}");
        assert_eq!(time.waits(), seconds(&[0.5, 1.0]), "{status}");
        assert_eq!(response.waited(), Duration::from_millis(1500));
        assert_eq!(response.elapsed(), Duration::from_millis(1500));
        assert_eq!(response.wire_bytes(), 12);
    }
    let server = Fake::start(|_| Reply::new(503).body("the reason"));
    let time = FakeTime::default();
    let error = client(&time, &[&server]).send(Request::get(server.url("/a?key=1"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Status { code: 503 });
    assert_eq!(time.waits(), seconds(&[0.5, 1.0, 2.0, 4.0]));
    assert_eq!(server.requests().len(), 5);
    assert_eq!(error.response().unwrap().text().unwrap(), "the reason");
    let words = error.to_string();
    let place = format!(
        "GET {}/a: answered 503 (service unavailable) (attempt 5, after waiting 7.5 s). The server has",
        server.authority()
    );
    assert!(words.starts_with(&place), "{words}");
}

#[tokio::test]
async fn a_server_is_never_asked_sooner_than_it_wants() {
    for (headers, asked) in [
        (vec![("Retry-After", "7")], Some(7.0)),
        (vec![("Retry-After", "2.5")], Some(2.5)),
        (vec![("Retry-After", "Sun, 01 Nov 2026 00:00:40 GMT")], Some(40.0)),
        (vec![("Retry-After", "Sunday, 01-Nov-26 00:00:40 GMT")], Some(40.0)),
        (vec![("Retry-After", "Sun Nov  1 00:00:40 2026")], Some(40.0)),
        (vec![("Retry-After", "1"), ("retry-after", "9")], Some(9.0)),
        (vec![("X-Ratelimit-Remaining", "0.0"), ("X-Ratelimit-Reset", "33")], Some(33.0)),
        (vec![("Retry-After", "900")], Some(900.0)),
        // Nothing usable: our own backoff.
        (vec![("Retry-After", "soon")], None),
        (vec![("Retry-After", "-1")], None),
        (vec![("Retry-After", "0")], None),
        (vec![("Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT")], None),
        (vec![], None),
    ] {
        for status in [429, 503] {
            if status == 503 && headers.iter().any(|(name, _)| name.starts_with('X')) {
                continue;
            }
            let bad =
                headers.iter().fold(Reply::new(status), |reply, (name, value)| reply.header(name, *value));
            let server = Fake::script([bad, Reply::text("good")]);
            let time = FakeTime::default();
            let response = client(&time, &[&server]).send(Request::get(server.url("/"))).await.unwrap();
            assert_eq!(response.attempts(), 2);
            assert_eq!(time.waits(), seconds(&[asked.unwrap_or(0.5)]), "{status} {headers:?}");
        }
    }
}

#[tokio::test]
async fn too_long_a_wait_fails_at_once_and_holds_for_every_clone() {
    for absurd in ["901", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let server = Fake::start(move |_| Reply::new(429).header("retry-after", absurd).body("quota"));
        let time = FakeTime::default();
        let client = client(&time, &[&server]);
        let error = client.send(Request::get(server.url("/"))).await.unwrap_err();
        let ErrorKind::RetryAfterTooLong { until } = error.kind() else { panic!("{error}") };
        if absurd == "901" {
            assert_eq!(until.as_millisecond(), FakeTime::START_MS + 901_000);
            assert!(error.to_string().contains("not be asked again before 2026-11-01T00:15:01Z"), "{error}");
        }
        assert_eq!(error.response().unwrap().text().unwrap(), "quota");
        let error = client.clone().send(Request::post(server.url("/other"))).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::RetryAfterTooLong { .. }), "{error}");
        assert_eq!(server.requests().len(), 1);
        assert!(time.waits().is_empty());
    }
    // A small allowance of one request.
    let server = Fake::start(|_| Reply::new(503).header("retry-after", "61"));
    let client = client(&FakeTime::default(), &[&server]);
    let error =
        client.send(Request::get(server.url("/")).max_wait(Duration::from_secs(60))).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::RetryAfterTooLong { .. }), "{error}");
}

#[tokio::test]
async fn while_one_waits_for_a_server_nobody_else_asks_it() {
    let time = FakeTime::default();
    let arrived: Arc<Mutex<Vec<i64>>> = Arc::default();
    let (now, at) = (time.hooks(0.5).steady_ms, arrived.clone());
    let server = Fake::start(move |seen| {
        at.lock().unwrap().push(now());
        if seen.number == 0 { Reply::new(429).header("retry-after", "30") } else { Reply::text("") }
    });
    // Time passes a little after somebody began to wait: the others have their chance before.
    let hooks = time.hooks(0.5);
    let pass = hooks.sleep.clone();
    let sleep: super::hooks::Sleep = Arc::new(move |wait| {
        let pass = pass.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            pass(wait).await;
        })
    });
    let hooks = Hooks { sleep, ..hooks };
    let options = ClientOptions { max_concurrent_per_host: 1, hooks, ..options(&time, &[&server]) };
    let client = Client::new(options).unwrap();
    let all = (0..4).map(|_| client.send(Request::get(server.url("/"))));
    for result in futures::future::join_all(all).await {
        result.unwrap();
    }
    let arrived = arrived.lock().unwrap();
    assert_eq!((arrived.len(), arrived[0]), (5, 0));
    assert!(arrived[1..].iter().all(|at| *at >= 30_000), "{arrived:?}");
}

#[tokio::test]
async fn callers_choose_what_they_see_and_what_is_tried_again() {
    let server = Fake::start(|_| Reply::new(429).header("retry-after", "1.5").body("details"));
    let time = FakeTime::default();
    let client = client(&time, &[&server]);
    let request = || Request::post(server.url("/model")).hand_back(&[429]);
    for _ in 0..2 {
        let response = client.send(request()).await.unwrap();
        assert_eq!((response.status(), response.attempts()), (429, 1));
        assert_eq!(response.text().unwrap(), "details");
        assert_eq!(response.retry_after(), Some(Duration::from_millis(1500)));
    }
    assert!(time.waits().is_empty());
    let server = Fake::script([Reply::new(422), Reply::text("good")]);
    let client = super::tests::client(&time, &[&server]);
    let response = client.send(Request::post(server.url("/")).retry_on(&[422])).await.unwrap();
    assert_eq!((response.status(), response.attempts()), (200, 2));
    let server = Fake::start(|_| Reply::new(500));
    let client = super::tests::client(&time, &[&server]);
    assert_eq!(client.send(Request::get(server.url("/")).max_attempts(2)).await.unwrap_err().attempts(), 2);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_post_is_repeated_only_when_nothing_can_have_happened() {
    let good = || Reply::text("good");
    for (bad, again) in [
        (Reply::new(429), true),
        (Reply::new(503), true),
        (Reply::new(500), false),
        (Reply::new(504), false),
        (Reply::reset(), false),
        (good().cut_after(1), false),
    ] {
        let server = Fake::script([bad.clone(), good()]);
        let client = client(&FakeTime::default(), &[&server]);
        let result = client.send(Request::post(server.url("/")).body("text/plain", "x")).await;
        assert_eq!(result.is_ok(), again, "{bad:?}: {result:?}");
        assert_eq!(server.requests().len(), 1 + usize::from(again));
        let server = Fake::script([bad.clone(), good()]);
        let client = super::tests::client(&FakeTime::default(), &[&server]);
        let response = client.send(Request::post(server.url("/")).body("text/plain", "x").idempotent()).await;
        assert_eq!(response.unwrap().text().unwrap(), "good", "{bad:?}");
        assert_eq!(server.requests()[1].body, b"x");
    }
    // What comes after a redirect may fail in every way: the POST was done.
    let nobody = Fake::nobody();
    for (location, reply) in
        [("/next".to_owned(), Reply::new(503)), (format!("http://{nobody}/"), Reply::text(""))]
    {
        let server = Fake::start(move |seen| match seen.method.as_str() {
            "POST" => Reply::redirect(303, location.as_str()),
            _ => reply.clone(),
        });
        let allow = AddressRule::PublicAnd(vec!["127.0.0.1".to_owned()]);
        let client = Client::new(ClientOptions { allow, ..options(&FakeTime::default(), &[]) }).unwrap();
        let error = client.send(Request::post(server.url("/"))).await.unwrap_err();
        assert_eq!(error.attempts(), 1, "{error}");
        assert_eq!(server.requests().iter().filter(|seen| seen.method == "POST").count(), 1);
    }
    let time = FakeTime::default();
    let allow = AddressRule::PublicAnd(vec![nobody.clone()]);
    let client =
        Client::new(ClientOptions { allow, hooks: time.hooks(0.5), ..ClientOptions::default() }).unwrap();
    let error = client.send(Request::post(format!("http://{nobody}/"))).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connect, 5));
    assert_eq!(time.waits().len(), 4);
}

#[tokio::test]
async fn redirects_are_followed_within_reason() {
    let server = Fake::start(|seen| match seen.path.split_at(1).1 {
        "see" => Reply::redirect(303, "/end"),
        "same" => Reply::redirect(307, "/end"),
        "round" => Reply::redirect(302, "/round2"),
        "round2" => Reply::redirect(302, "/round"),
        "self" => Reply::redirect(301, "/self#x"),
        "end" => Reply::text(format!("{} {}", seen.method, String::from_utf8_lossy(&seen.body))),
        number => match number.parse::<u32>() {
            Ok(0) => Reply::text("arrived"),
            Ok(n) => Reply::redirect(302, format!("{}", n - 1)).body("moved"),
            Err(_) => Reply::new(404),
        },
    });
    let client = client(&FakeTime::default(), &[&server]);
    let get = |path: &str| client.send(Request::get(server.url(path)));
    let response = get("/5").await.unwrap();
    assert_eq!((response.text().unwrap().as_str(), response.calls()), ("arrived", 6));
    assert_eq!(response.url().path(), "/0");
    let before = server.requests().len();
    assert_eq!(get("/6").await.unwrap_err().kind(), ErrorKind::TooManyRedirects);
    assert_eq!(server.requests().len() - before, 6);
    for (path, calls) in [("/round", 2), ("/self", 1)] {
        let before = server.requests().len();
        let error = get(path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Redirect);
        assert!(error.to_string().contains("circle"), "{error}");
        assert_eq!(server.requests().len() - before, calls);
    }
    let post = |path: &str| client.send(Request::post(server.url(path)).body("text/plain", "x"));
    assert_eq!(post("/see").await.unwrap().text().unwrap(), "GET ");
    assert_eq!(post("/same").await.unwrap().text().unwrap(), "POST x");
    let response = client.send(Request::get(server.url("/1")).no_redirects()).await.unwrap();
    assert_eq!((response.status(), response.location(), response.calls()), (302, Some("0"), 1));
    assert_eq!(response.body().as_ref(), b"moved");
}

#[tokio::test]
async fn secrets_stay_behind_when_a_redirect_leaves_the_host() {
    let other = Arc::new(Mutex::new(String::new()));
    let home = {
        let other = other.clone();
        Fake::start(move |seen| match seen.path.as_str() {
            "/near" => Reply::redirect(302, "/end"),
            "/far" => Reply::redirect(302, other.lock().unwrap().clone() + "/back"),
            "/body" => Reply::redirect(307, other.lock().unwrap().clone() + "/end"),
            _ => Reply::text("end"),
        })
    };
    let back = home.url("/near");
    let away = Fake::start(move |_| Reply::redirect(302, back.as_str()));
    *other.lock().unwrap() = away.url("");
    let client = client(&FakeTime::default(), &[&home, &away]);
    let request = |path: &str| {
        Request::get(home.url(path))
            .basic_auth("id", secret("canary"))
            .secret_header("X-Own", secret("canary"))
            .header("Cookie", "canary")
            .header("x-goog-api-key", "canary")
            .header("X-Plain", "plain")
    };
    client.send(request("/near")).await.unwrap();
    let near = &home.requests()[1];
    let canaries = |seen: &fake::Seen| seen.headers.iter().filter(|(_, value)| value == "canary").count();
    assert_eq!((canaries(near), near.header("authorization").is_some()), (3, true));
    client.send(request("/far")).await.unwrap();
    // Nor do they come back with the redirect that leads home again.
    let home_again = &home.requests()[3..];
    assert_eq!(home_again.iter().map(|seen| seen.path.as_str()).collect::<Vec<_>>(), ["/near", "/end"]);
    for seen in away.requests().iter().chain(home_again) {
        assert_eq!(canaries(seen), 0, "{seen:?}");
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(seen.header("x-plain"), Some("plain"));
    }
    let error = client.send(Request::post(home.url("/body")).body("text/plain", "canary")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Redirect);
    assert_eq!(away.requests().len(), 1);
}

#[tokio::test]
async fn the_pace_of_a_host_is_shared() {
    let server = Fake::start(|_| Reply::text(""));
    let time = FakeTime::default();
    let client = client(&time, &[&server]);
    client.space(&server.url("/").parse().unwrap(), Duration::from_secs(2));
    for _ in 0..3 {
        client.clone().send(Request::get(server.url("/"))).await.unwrap();
    }
    assert_eq!(time.waits(), seconds(&[2.0, 2.0]));
    let request = Request::get(server.url("/")).max_wait(Duration::from_millis(1999));
    let error = client.send(request).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::RetryAfterTooLong { .. }), "{error}");
    // Remaining requests are spread over the window; at zero it is waited for.
    let left = AtomicUsize::new(4);
    let server = Fake::start(move |_| {
        let left = left.fetch_sub(1, Ordering::SeqCst) - 1;
        let reset = if left == 3 { 60 } else { 20 * left };
        Reply::text("")
            .header("X-Ratelimit-Remaining", format!("{left}.0"))
            .header("x-ratelimit-reset", reset.to_string())
    });
    let time = FakeTime::default();
    let client = super::tests::client(&time, &[&server]);
    for _ in 0..3 {
        client.send(Request::get(server.url("/"))).await.unwrap();
    }
    assert_eq!(time.waits(), seconds(&[20.0, 20.0]));
    // A window that ends after more than the request may wait.
    let server = Fake::start(|_| {
        Reply::text("").header("x-ratelimit-remaining", "0").header("x-ratelimit-reset", "1793491800")
    });
    let client = super::tests::client(&FakeTime::default(), &[&server]);
    client.send(Request::get(server.url("/"))).await.unwrap();
    let request = Request::get(server.url("/")).max_wait(Duration::from_secs(599));
    let error = client.send(request).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::RetryAfterTooLong { .. }), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_host_is_not_asked_more_often_at_once_than_allowed() {
    let server = Fake::start(|_| Reply::text("").delay(Duration::from_millis(20)));
    let options = ClientOptions { max_concurrent_per_host: 2, ..options(&FakeTime::default(), &[&server]) };
    let client = Client::new(options).unwrap();
    let all = (0..12).map(|_| client.send(Request::get(server.url("/"))));
    for result in futures::future::join_all(all).await {
        result.unwrap();
    }
    assert!(server.busiest() <= 2, "{}", server.busiest());
    let arrived: Vec<_> = server.requests().iter().map(|seen| seen.at).collect();
    assert!(arrived.len() == 12 && arrived.is_sorted(), "{arrived:?}");
}

#[tokio::test]
async fn every_call_is_told_exactly_once() {
    let server = Fake::start(|seen| match seen.path.as_str() {
        "/moved" => Reply::redirect(302, "/hook/canary?canary=1"),
        "/slow" => Reply::text("").delay(Duration::from_secs(60)),
        _ if seen.number == 1 => Reply::new(500).body("oops"),
        _ => Reply::text("done"),
    });
    let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
    let told = calls.clone();
    let client = client(&FakeTime::default(), &[&server])
        .with_observer(move |call| told.lock().unwrap().push(call.clone()));
    client.send(Request::get(server.url("/moved?canary=2")).secret_path()).await.unwrap();
    let seen: Vec<_> = std::mem::take(&mut *calls.lock().unwrap());
    let short: Vec<_> =
        seen.iter().map(|c| (c.attempt, c.hop, c.status, c.wire_bytes, c.path.as_str())).collect();
    assert_eq!(
        short,
        [
            (1, 0, Some(302), 0, "/…"),
            (1, 1, Some(500), 4, "/…"),
            (2, 0, Some(302), 0, "/…"),
            (2, 1, Some(200), 4, "/…")
        ]
    );
    assert_eq!(seen[0].at_ms, FakeTime::START_MS);
    assert_eq!(seen[2].at_ms, FakeTime::START_MS + 500);
    assert!(!format!("{seen:?}").contains("canary"));
    // Dropped in the middle: told as well.
    let arrived = async {
        while server.requests().len() < 5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        result = client.send(Request::get(server.url("/slow"))) => panic!("{result:?}"),
        () = arrived => {}
    }
    let seen = calls.lock().unwrap().clone();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].failure, seen[0].status), (Some(ErrorKind::Canceled), None));
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_stop_ends_waits_and_calls() {
    let waiting = Fake::start(|_| Reply::new(503).header("retry-after", "600"));
    let silent = Fake::start(|_| Reply::text("").delay(Duration::from_secs(600)));
    let calls = Arc::new(AtomicUsize::new(0));
    for server in [&waiting, &silent] {
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, count) = (stop.clone(), calls.clone());
        // The real time: this wait would last ten minutes.
        let options = ClientOptions { hooks: Hooks::default(), ..options(&FakeTime::default(), &[server]) };
        let client = Client::new(options).unwrap().with_stop(move || seen.load(Ordering::Relaxed));
        let client = client.with_observer(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let sent = client.send(Request::get(server.url("/")));
        let stopper = async {
            while server.requests().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            stop.store(true, Ordering::Relaxed);
        };
        let (result, ()) =
            tokio::time::timeout(Duration::from_secs(60), futures::future::join(sent, stopper))
                .await
                .expect("it ended");
        let error = result.unwrap_err();
        assert!(error.is_canceled(), "{error}");
        assert_eq!(error.attempts(), 1);
        // Nothing is sent afterwards.
        let error = client.send(Request::get(server.url("/x?y"))).await.unwrap_err();
        assert!(error.is_canceled() && error.to_string().starts_with("GET 127.0.0.1:"), "{error}");
        assert_eq!((error.path(), error.attempts()), ("/x", 0));
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn blocking_code_uses_it_from_a_thread_of_its_own() {
    let server = Fake::script([Reply::new(500), Reply::text("one"), Reply::text("two")]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let client = client(&FakeTime::default(), &[&server]);
    let client = BlockingClient::new(client, runtime.handle().clone());
    let url = server.url("/");
    let texts = std::thread::spawn(move || {
        [client.get(&url), client.send(Request::post(&url))].map(|result| result.unwrap().text().unwrap())
    });
    assert_eq!(texts.join().unwrap(), ["one", "two"]);
}

#[tokio::test]
async fn robots_are_asked_once_a_day_and_heard() {
    let server = Fake::start(|seen| match seen.path.as_str() {
        "/robots.txt" => Reply::redirect(301, "/moved.txt"),
        "/moved.txt" => Reply::text(
            "User-agent: *\nDisallow: /\n\nUser-agent: rxpulse\nDisallow: /private\nAllow: /private/open\nCrawl-delay: 2.5\n",
        ),
        _ => Reply::text("page"),
    });
    let time = FakeTime::default();
    let robots = Robots::new(client(&time, &[&server]));
    let check = async |path: &str| robots.check(&server.url(path).parse().unwrap()).await;
    let allowed = RobotsVerdict::Allowed { delay: Some(Duration::from_millis(2500)) };
    assert_eq!(check("/page?x=1").await, allowed);
    assert_eq!(check("/private/open").await, allowed);
    let RobotsVerdict::Disallowed { why } = check("/private/x").await else { panic!() };
    assert_eq!(why, "robots.txt of 127.0.0.1 disallows /private/x for rxpulse");
    assert_eq!(server.requests().len(), 2);
    time.pass(Duration::from_secs(24 * 3600 - 1));
    check("/page").await;
    assert_eq!(server.requests().len(), 2);
    time.pass(Duration::from_secs(1));
    check("/page").await;
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn robots_that_cannot_be_read_close_the_door_and_missing_ones_open_it() {
    let long =
        [b"User-agent: *\nDisallow: /a\n".as_slice(), &b"#".repeat(600 << 10), b"\nDisallow: /\n"].concat();
    for (reply, open, words) in [
        (Reply::new(404), true, ""),
        (Reply::new(401), true, ""),
        (Reply::new(410), true, ""),
        (Reply::text(""), true, ""),
        (Reply::html("<html>User-agent: nobody</html>"), true, ""),
        (Reply::text(long), true, ""),
        (Reply::text(b"\xFF\xFE\0\0Disallow\0:".to_vec()), true, ""),
        (Reply::text("user-agent: *\ndisallow: /"), false, "disallows /page"),
        (Reply::new(503), false, "answered 503"),
        (Reply::new(501), false, "answered 501"),
        (Reply::new(302), false, "answered 302"),
        (Reply::redirect(302, "/robots.txt"), false, "circle"),
        (Reply::reset(), false, "cannot be had"),
        (Reply::text(format!("User-agent: *\n{}", "Disallow: /*a\n".repeat(1001))), false, "1000 patterns"),
        (Reply::new(429).header("retry-after", "9999"), false, "429"),
    ] {
        let server = Fake::start(move |_| reply.clone());
        let time = FakeTime::default();
        let robots = Robots::new(client(&time, &[&server]));
        let url = server.url("/page").parse().unwrap();
        match robots.check(&url).await {
            RobotsVerdict::Allowed { delay } => assert!(open && delay.is_none(), "{words}"),
            RobotsVerdict::Disallowed { why } => {
                assert!(!open && why.contains(words), "{why}");
                assert!(words.starts_with("disallows") || words == "1000 patterns", "{why}");
            }
            RobotsVerdict::Unknown { why } => {
                assert!(!open && why.contains(words), "{why}");
                assert!(!words.starts_with("disallows") && words != "1000 patterns", "{why}");
            }
        }
        // A failure is not asked for again and again, but sooner than a day later.
        let before = server.requests().len();
        robots.check(&url).await;
        assert_eq!(server.requests().len(), before);
        time.pass(Duration::from_secs(3600));
        robots.check(&url).await;
        let hidden = words == "429" || words.starts_with("disallows");
        assert_eq!(server.requests().len() > before, !open && !hidden, "{words}");
    }
}

#[tokio::test]
async fn texts_are_read_in_their_charset() {
    let replies: BTreeMap<&str, (&str, &[u8])> = BTreeMap::from([
        ("/utf8", ("text/plain", "naïve – ’".as_bytes())),
        ("/latin", ("text/html; x=y; Charset=\"ISO-8859-1\"", b"na\xEFve \x96 \x92")),
        ("/utf16", ("text/plain; charset=utf-16le", b"n\0a\0\xEF\0v\0e\0 \0\x13\x20 \0\x19\x20")),
    ]);
    let server = Fake::start(move |seen| match replies.get(seen.path.as_str()) {
        Some((media, body)) => Reply::new(200).header("content-type", *media).body(*body),
        None => Reply::new(200).header("content-type", "text/plain; charset=big5").body("x"),
    });
    let client = client(&FakeTime::default(), &[&server]);
    for path in ["/utf8", "/latin", "/utf16"] {
        assert_eq!(
            client.send(Request::get(server.url(path))).await.unwrap().text().unwrap(),
            "naïve – ’",
            "{path}"
        );
    }
    let error = client.send(Request::get(server.url("/big5"))).await.unwrap().text().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("`big5`"), "{error}");
}

#[tokio::test]
async fn json_is_json_or_a_helpful_error() {
    let deep = "[".repeat(100_000);
    let deep_closed = format!("{deep}{}", "]".repeat(100_000));
    for (reply, kind, words) in [
        (
            Reply::html("<!doctype html><p>log in</p>"),
            ErrorKind::NotJson,
            "answered with HTML, not JSON (status 200)",
        ),
        (Reply::json("  <html></html>"), ErrorKind::NotJson, "answered with HTML"),
        (Reply::html("nice page"), ErrorKind::NotJson, "answered with HTML"),
        (Reply::json(""), ErrorKind::NotJson, "empty body"),
        (Reply::text("Service busy"), ErrorKind::NotJson, "text that is not JSON"),
        (Reply::json(r#"{"a":"canary"#), ErrorKind::Decode, "ends in the middle"),
        (Reply::json(r#"{"a":canary}"#), ErrorKind::Decode, "broken"),
        (Reply::json(r#""canary""#), ErrorKind::Decode, "another shape"),
        (Reply::json(deep), ErrorKind::Decode, "nested too deeply"),
        (Reply::json(deep_closed), ErrorKind::Decode, "nested too deeply"),
    ] {
        let server = Fake::start(move |_| reply.clone());
        let client = client(&FakeTime::default(), &[&server]);
        let response = client.send(Request::get(server.url("/api?canary"))).await.unwrap();
        let error = if words == "another shape" {
            response.json::<BTreeMap<String, u32>>().unwrap_err()
        } else {
            response.json::<serde_json::Value>().unwrap_err()
        };
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        assert!(text.contains(words) && text.contains("/api") && !text.contains("canary"), "{text}");
    }
    let server = Fake::start(|_| Reply::html("\u{feff} [1] "));
    let client = client(&FakeTime::default(), &[&server]);
    let response = client.send(Request::get(server.url("/"))).await.unwrap();
    assert_eq!(response.json::<Vec<u8>>().unwrap(), [1]);
}
