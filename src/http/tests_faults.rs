//! Everything that servers and networks do wrong: the right kind, the right number of tries,
//! bounded bytes, no secret in what is said.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;

use super::fake::{Fake, Reply};
use super::hooks::FakeTime;
use super::tests::{client, options};
use super::*;

const CANARY: &str = "canary-5up3r";

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 3).unwrap()
}

/// A small cap, and a short deadline where `fault` is about one: deadlines run on the real clock,
/// and a busy machine must not meet the others.
fn strict(time: &FakeTime, server: &Fake, fault: ErrorKind) -> ClientOptions {
    let short = |kind| Duration::from_millis(if kind == fault { 400 } else { 60_000 });
    ClientOptions {
        connect_deadline: Duration::from_secs(60),
        first_byte_deadline: short(ErrorKind::FirstByte),
        idle_deadline: short(ErrorKind::Idle),
        total_deadline: short(ErrorKind::Deadline),
        body_cap: 1 << 20,
        max_attempts: 2,
        ..options(time, &[server])
    }
}

/// A fault, its name, its kind, and whether it is worth another try.
fn faults() -> Vec<(&'static str, Reply, ErrorKind, bool)> {
    let cap = 1 << 20;
    let too_large = ErrorKind::BodyTooLarge { cap };
    let long = Duration::from_secs(600);
    let zeros = vec![0; 4 << 20];
    let body = format!("{CANARY} and some more text");
    let text = || Reply::text(body.clone());
    let packed =
        |encoding: &str, bytes: Vec<u8>| Reply::new(200).header("content-encoding", encoding).body(bytes);
    let half = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    vec![
        ("reset", Reply::reset(), ErrorKind::Cut, true),
        ("closed", Reply::close(), ErrorKind::Cut, true),
        ("half a status line", Reply::raw("HTTP/1."), ErrorKind::Cut, true),
        ("no HTTP", Reply::raw(format!("{CANARY}\r\n\r\n")), ErrorKind::Cut, true),
        ("a status that is no number", Reply::raw("HTTP/1.1 abc OK\r\n\r\n"), ErrorKind::Cut, true),
        (
            "a negative length",
            Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nx"),
            ErrorKind::Cut,
            true,
        ),
        (
            "two lengths",
            Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx"),
            ErrorKind::Cut,
            true,
        ),
        (
            "an endless header",
            Reply::raw(format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(2 << 20))),
            ErrorKind::Cut,
            true,
        ),
        ("cut", text().cut_after(5), ErrorKind::Cut, true),
        ("cut in a chunk", text().chunked().cut_after(5), ErrorKind::Cut, true),
        ("less than told", text().told_length(1000), ErrorKind::Cut, true),
        (
            "a broken chunk",
            Reply::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
            ErrorKind::Cut,
            true,
        ),
        ("half a gzip", packed("gzip", half(gzip(body.as_bytes()))), ErrorKind::Cut, true),
        ("half a zstd", packed("zstd", half(zstd(body.as_bytes()))).until_close(), ErrorKind::Cut, true),
        ("no answer", text().delay(long), ErrorKind::FirstByte, true),
        ("nothing after the headers", text().trickle(long), ErrorKind::Idle, true),
        (
            "a byte now and then",
            Reply::text(vec![b'x'; 10_000]).trickle(Duration::from_millis(50)),
            ErrorKind::Deadline,
            true,
        ),
        ("no gzip", packed("gzip", body.clone().into_bytes()), ErrorKind::Decode, false),
        ("no zstd", packed("zstd", body.clone().into_bytes()), ErrorKind::Decode, false),
        ("brotli", packed("br", body.clone().into_bytes()), ErrorKind::Decode, false),
        ("packed twice", packed("gzip, gzip", gzip(&gzip(b"x"))), ErrorKind::Decode, false),
        ("1 GB with its length", Reply::giant(vec![b'x'; cap as usize], 1024), too_large, false),
        ("1 GB in chunks", Reply::giant(vec![b'x'; cap as usize], 1024).chunked(), too_large, false),
        ("1 GB until the end", Reply::giant(vec![b'x'; cap as usize], 1024).until_close(), too_large, false),
        ("a gzip bomb", Reply::giant(gzip(&zeros), 256).header("content-encoding", "gzip"), too_large, false),
        ("a zstd bomb", Reply::giant(zstd(&zeros), 256).header("content-encoding", "zstd"), too_large, false),
        ("one byte too many", Reply::text(vec![b'x'; cap as usize + 1]), too_large, false),
    ]
}

#[tokio::test]
async fn every_fault_has_its_kind_and_its_number_of_tries() {
    for (name, reply, kind, again) in faults() {
        let server = Fake::start(move |_| reply.clone());
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let told = calls.clone();
        let time = FakeTime::default();
        let client = Client::new(strict(&time, &server, kind)).unwrap();
        let client = client.with_observer(move |call| told.lock().unwrap().push(call.clone()));
        let url = server.url(&format!("/api?key={CANARY}"));
        let request = Request::get(url)
            .header("authorization", CANARY)
            .secret_header("x-t", SecretString::from(CANARY));
        println!("{name}");
        let error = client.send(request).await.map(|response| response.status()).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
        let tries = 1 + u32::from(again);
        assert_eq!(error.attempts(), tries, "{name}");
        assert_eq!(server.requests().len(), tries as usize, "{name}");
        assert_eq!(time.waits().len(), usize::from(again), "{name}");
        assert_eq!(kind.is_transient(), again, "{name}");
        let calls = calls.lock().unwrap();
        assert_eq!(calls.len(), tries as usize, "{name}");
        for call in &*calls {
            assert_eq!((call.failure, call.attempt > 0), (Some(kind), true), "{name}");
            assert!(call.body_bytes <= 1 << 20, "{name}: {call:?}");
            assert!(call.wire_bytes <= 2 << 20, "{name}: {call:?}");
        }
        for words in
            [error.to_string(), format!("{error:?}"), error.detail().to_owned(), format!("{calls:?}")]
        {
            assert!(!words.contains(CANARY), "{name}: {words}");
        }
        let words = error.to_string();
        let place = format!("{}/api: ", server.authority());
        assert!(words.contains(&place) && words.contains(error.advice()), "{name}: {words}");
        assert!(words.contains(&format!("(attempt {tries}")), "{name}: {words}");
    }
}

#[tokio::test]
async fn a_fault_that_passes_is_never_seen() {
    for (name, reply, kind, again) in faults() {
        let server =
            Fake::script([reply, Reply::new(200).header("content-encoding", "zstd").body(zstd(b"good"))]);
        // A good answer may be late on a busy machine, once or twice.
        let options = strict(&FakeTime::default(), &server, kind);
        let client = Client::new(ClientOptions { max_attempts: 9, ..options }).unwrap();
        let result = client.send(Request::get(server.url("/"))).await;
        assert_eq!(result.as_ref().ok().map(|r| r.body().as_ref()), again.then_some(&b"good"[..]), "{name}");
    }
}

#[tokio::test]
async fn what_happens_before_a_server_is_reached() {
    let time = FakeTime::default();
    let plain = Fake::start(|_| Reply::text("plain"));
    let error = client(&time, &[&plain])
        .send(Request::get(plain.url("/").replace("http:", "https:")))
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Tls, 1), "{error}");
    let lookup = |answer: fn() -> std::io::Result<Vec<std::net::IpAddr>>| {
        let hooks = Hooks { lookup: Arc::new(move |_| Box::pin(async move { answer() })), ..time.hooks(0.5) };
        Client::new(ClientOptions { hooks, max_attempts: 3, ..ClientOptions::default() }).unwrap()
    };
    let url = format!("https://nowhere.example/x?{CANARY}");
    for client in [lookup(|| Ok(Vec::new())), lookup(|| Err(std::io::Error::other("no such name")))] {
        let error = client.send(Request::get(&url)).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Dns, 3), "{error}");
        assert!(
            error.to_string().starts_with("GET nowhere.example/x: the host's name was not found"),
            "{error}"
        );
    }
    // A name server that never answers.
    let hooks = Hooks { lookup: Arc::new(|_| Box::pin(std::future::pending())), ..time.hooks(0.5) };
    let connect_deadline = Duration::from_millis(50);
    let options = ClientOptions { hooks, connect_deadline, max_attempts: 2, ..ClientOptions::default() };
    let error = Client::new(options).unwrap().send(Request::get(&url)).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Connect, 2), "{error}");
    assert!(error.detail().contains("connect deadline"), "{error}");
    for broken in ["", "nonsense", "http://[", "/relative"] {
        let error = lookup(|| Ok(Vec::new())).send(Request::get(broken)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{broken}");
        assert!(error.to_string().starts_with("GET request: the request cannot be sent: its URL"), "{error}");
    }
    for request in [
        Request::get(&url).header("x", format!("{CANARY}\n")),
        Request::get(&url).header("x y", CANARY),
        Request::get(&url).secret_header("x", SecretString::from(format!("{CANARY}\0"))),
    ] {
        assert!(!format!("{request:?}").contains(CANARY), "{request:?}");
        let error = lookup(|| Ok(Vec::new())).send(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error}");
    }
}

#[tokio::test]
async fn secrets_are_in_no_debug_and_no_refusal() {
    let time = FakeTime::default();
    let server = Fake::start(|seen| match seen.path.as_str() {
        "/far" => Reply::redirect(302, format!("http://10.0.0.1/{}?{CANARY}", "x")),
        "/user" => Reply::redirect(302, format!("http://{CANARY}:{CANARY}@example.com/")),
        _ => Reply::new(500).body(CANARY).header("set-cookie", CANARY),
    });
    let client = client(&time, &[&server]);
    for path in ["/far", "/user", "/other"] {
        let request = Request::post(server.url(&format!("{path}?{CANARY}")))
            .bearer(&SecretString::from(CANARY))
            .basic_auth(CANARY, SecretString::from(CANARY))
            .form([(CANARY, CANARY)]);
        assert!(!format!("{request:?}").contains(CANARY), "{request:?}");
        let error = client.send(request).await.unwrap_err();
        let response = error.response().cloned();
        let words = format!("{error} {error:?} {response:?} {client:?}");
        assert!(!words.contains(CANARY), "{words}");
    }
    let error =
        client.send(Request::get(format!("http://{CANARY}:{CANARY}@127.0.0.1/{CANARY}")).secret_path());
    let error = error.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Address);
    assert!(!format!("{error} {error:?}").contains(CANARY), "{error}");
}

#[tokio::test]
async fn a_third_of_faults_changes_nothing_and_nothing_but_faults_is_an_error() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    for percent in [30, 100] {
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        let quick: Vec<Reply> = faults().into_iter().filter(|f| f.3).map(|f| f.1).collect();
        let statuses = [408, 429, 500, 502, 503, 504, 520, 522, 524].map(Reply::new);
        let asked = Reply::new(429).header("retry-after", "3");
        let bad: Vec<Reply> = quick.into_iter().chain(statuses).chain([asked]).collect();
        let server = Fake::start(move |seen| {
            let mut random = random.lock().unwrap();
            if random.u32(..100) < percent {
                return bad[random.usize(..bad.len())].clone();
            }
            let body = format!("body of {} ", seen.path).repeat(100).into_bytes();
            match random.u32(..4) {
                0 => Reply::text(body),
                1 => Reply::text(body).chunked(),
                2 => Reply::new(200).header("content-encoding", "gzip").body(gzip(&body)),
                _ => Reply::new(200).header("content-encoding", "zstd").body(zstd(&body)).until_close(),
            }
        });
        let time = FakeTime::default();
        // Twenty tries: with three faults in ten, all twenty fail once in 10¹⁰ requests.
        let max_attempts = if percent == 100 { 3 } else { 20 };
        let options = ClientOptions {
            first_byte_deadline: Duration::from_millis(400),
            idle_deadline: Duration::from_millis(300),
            total_deadline: Duration::from_millis(600),
            max_wait: Duration::from_secs(24 * 3600),
            max_attempts,
            ..strict(&time, &server, ErrorKind::Cut)
        };
        let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = count.clone();
        let client = Client::new(options).unwrap().with_observer(move |_| {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        });
        let requests = if percent == 100 { 5 } else { 60 };
        let all = (0..requests).map(|n| {
            let (client, url) = (client.clone(), server.url(&format!("/{n}?{CANARY}")));
            async move { (n, client.send(Request::get(url)).await) }
        });
        for (n, result) in futures::future::join_all(all).await {
            match result {
                Ok(response) => {
                    assert!(percent < 100);
                    assert_eq!(response.text().unwrap(), format!("body of /{n} ").repeat(100));
                }
                Err(error) => {
                    assert_eq!(percent, 100, "{error}");
                    assert_eq!(error.attempts(), 3);
                    let words = error.to_string();
                    assert!(words.contains(&format!("{}/{n}: ", server.authority())), "{words}");
                    assert!(words.contains("(attempt 3") && words.contains(error.advice()), "{words}");
                    assert!(!words.contains(CANARY));
                }
            }
        }
        assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), server.requests().len());
    }
}
