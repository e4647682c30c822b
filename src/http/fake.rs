//! A web server for tests that can misbehave in every way: answers by script, slowly, cut,
//! reset, lying, endless. Blocking threads, HTTP/1.1, on 127.0.0.1.
//!
//! Free of imports from this crate, so that other test binaries can include the file by its
//! path.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// From 0, in the order of arrival.
    pub number: usize,
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Without the `?`; empty when there is none.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// When it was there in full.
    pub at: Instant,
}

impl Seen {
    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What is written to the connection after the head, in order.
#[derive(Clone, Debug)]
enum Body {
    Bytes(Vec<u8>),
    /// So many times the same block; nothing more is held.
    Repeat(Vec<u8>, u64),
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
    /// Written instead of everything else.
    raw: Option<Vec<u8>>,
    delay: Duration,
    /// One byte of the body after each such pause.
    trickle: Option<Duration>,
    /// The connection ends after so many bytes of the body.
    cut_after: Option<usize>,
    length: Length,
    reset: bool,
}

#[derive(Clone, Copy, Debug)]
enum Length {
    True,
    Told(u64),
    Chunked,
    /// Neither: the body ends with the connection.
    Absent,
}

impl Reply {
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Bytes(Vec::new()),
            raw: None,
            delay: Duration::ZERO,
            trickle: None,
            cut_after: None,
            length: Length::True,
            reset: false,
        }
    }

    pub fn text(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200).header("content-type", "text/plain").body(body)
    }

    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200).header("content-type", "application/json").body(body)
    }

    pub fn html(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200).header("content-type", "text/html; charset=utf-8").body(body)
    }

    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::new(status).header("location", location)
    }

    /// Bytes that need not be HTTP; the connection ends after them.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { raw: Some(bytes.into()), ..Self::new(0) }
    }

    /// The connection is reset instead of an answer.
    pub fn reset() -> Self {
        Self { reset: true, ..Self::new(0) }
    }

    /// The connection is closed instead of an answer.
    pub fn close() -> Self {
        Self::raw("")
    }

    /// `times` times the same block, with the true length told or not.
    pub fn giant(block: Vec<u8>, times: u64) -> Self {
        Self { body: Body::Repeat(block, times), ..Self::new(200) }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Bytes(body.into());
        self
    }

    /// Waits before the status line.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// One byte of the body after each pause.
    pub fn trickle(mut self, pause: Duration) -> Self {
        self.trickle = Some(pause);
        self
    }

    /// Ends the connection after so many bytes of the body; the length tells the whole.
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.cut_after = Some(bytes);
        self
    }

    /// Lies about the length.
    pub fn told_length(mut self, bytes: u64) -> Self {
        self.length = Length::Told(bytes);
        self
    }

    pub fn chunked(mut self) -> Self {
        self.length = Length::Chunked;
        self
    }

    /// The body ends with the connection.
    pub fn until_close(mut self) -> Self {
        self.length = Length::Absent;
        self
    }
}

/// A server that answers until it is dropped.
pub struct Fake {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    busiest: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Fake {
    /// Answers each request with what `answer` says.
    pub fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
            busiest: Arc::default(),
            stop: Arc::default(),
        };
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            seen: fake.seen.clone(),
            busy: AtomicUsize::new(0),
            busiest: fake.busiest.clone(),
            stop: fake.stop.clone(),
        });
        let connections = fake.connections.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                connections.fetch_add(1, Ordering::SeqCst);
                let shared = shared.clone();
                // Clients that go away in the middle are part of the game.
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        fake
    }

    /// The replies one after the other; the last one from then on.
    pub fn script(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Vec<Reply> = replies.into_iter().collect();
        Self::start(move |seen| replies[seen.number.min(replies.len() - 1)].clone())
    }

    /// `127.0.0.1:PORT`.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `http://127.0.0.1:PORT` and the path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The most requests that were being answered at the same time.
    pub fn busiest(&self) -> usize {
        self.busiest.load(Ordering::SeqCst)
    }

    /// `127.0.0.1:PORT` where nobody listens.
    pub fn nobody() -> String {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

struct Shared {
    answer: Box<dyn Fn(&Seen) -> Reply + Send + Sync>,
    seen: Arc<Mutex<Vec<Seen>>>,
    busy: AtomicUsize,
    busiest: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Shared {
    /// Answers the requests of one connection until one end closes it.
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        loop {
            let mut seen = read_request(&mut stream)?;
            {
                let mut all = self.seen.lock().unwrap();
                (seen.number, seen.at) = (all.len(), Instant::now());
                all.push(seen.clone());
            }
            let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
            self.busiest.fetch_max(busy, Ordering::SeqCst);
            let reply = (self.answer)(&seen);
            let keep = self.write(&mut stream, &reply);
            self.busy.fetch_sub(1, Ordering::SeqCst);
            keep?;
        }
    }

    /// `None` when the connection is over.
    fn write(&self, stream: &mut TcpStream, reply: &Reply) -> Option<()> {
        self.pause(reply.delay)?;
        if reply.reset {
            // The request's last byte is still unread: closing now resets the connection.
            return None;
        }
        stream.read_exact(&mut [0]).ok()?;
        if let Some(raw) = &reply.raw {
            stream.write_all(raw).ok()?;
            return None;
        }
        let true_length = match &reply.body {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Repeat(block, times) => block.len() as u64 * times,
        };
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", reply.status);
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match reply.length {
            // These have no body, and say so.
            Length::True if matches!(reply.status, 204 | 304) => {}
            Length::True => head.push_str(&format!("content-length: {true_length}\r\n")),
            Length::Told(length) => head.push_str(&format!("content-length: {length}\r\n")),
            Length::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
            Length::Absent => head.push_str("connection: close\r\n"),
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let chunked = matches!(reply.length, Length::Chunked);
        let mut left = reply.cut_after.unwrap_or(usize::MAX);
        let (block, times) = match &reply.body {
            Body::Bytes(bytes) => (bytes, 1),
            Body::Repeat(block, times) => (block, *times),
        };
        for _ in 0..times {
            let block = &block[..block.len().min(left)];
            left -= block.len();
            let size = if reply.trickle.is_some() { 1 } else { 64 << 10 };
            for piece in block.chunks(size) {
                self.pause(reply.trickle.unwrap_or_default())?;
                if chunked {
                    stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).ok()?;
                }
                stream.write_all(piece).ok()?;
                if chunked {
                    stream.write_all(b"\r\n").ok()?;
                }
            }
            if left == 0 {
                return None;
            }
        }
        if reply.cut_after.is_some() || matches!(reply.length, Length::Absent | Length::Told(_)) {
            return None;
        }
        if chunked {
            stream.write_all(b"0\r\n\r\n").ok()?;
        }
        Some(())
    }

    /// Waits, but not longer than the server lives.
    fn pause(&self, time: Duration) -> Option<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if self.stop.load(Ordering::SeqCst) {
                return None;
            }
            std::thread::sleep(end.saturating_duration_since(Instant::now()).min(Duration::from_millis(20)));
        }
        Some(())
    }
}

/// Reads a request except for its last byte, which stays in the connection.
fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    // The end of the head is peeked at, so that its last byte can stay unread.
    loop {
        if stream.peek(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
        if head == [0x16] {
            // Somebody speaks TLS: answered as servers without it do, until they go away.
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok()?;
            std::io::copy(stream, &mut std::io::sink()).ok()?;
            return None;
        }
        if head.ends_with(b"\r\n\r\n") {
            break;
        }
        stream.read_exact(&mut byte).ok()?;
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    if length > 0 {
        stream.read_exact(&mut byte).ok()?;
        stream.read_exact(&mut body[..length - 1]).ok()?;
        stream.peek(&mut byte).ok()?;
        body[length - 1] = byte[0];
    }
    let (path, query) = (path.to_owned(), query.to_owned());
    Some(Seen { number: 0, method, path, query, headers, body, at: Instant::now() })
}
