//! The wire of the fake model server: one HTTP/1.1 request in, one answer out, or what a
//! broken network makes of it. Blocks on the socket.
//!
//! The last byte of a request stays unread until its answer is chosen: a socket that is
//! closed with unread bytes is reset by the kernel, and there is no other way to that in std.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Larger requests are refused, as the real service does (20 MiB).
pub const MAX_BODY: usize = 20 * 1024 * 1024;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Without the `?`; empty when there is none.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Longer than `MAX_BODY`; the body was not kept.
    pub too_large: bool,
    /// One byte of it still lies in the socket.
    unread: bool,
}

impl Request {
    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// How an answer travels.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Way {
    #[default]
    Whole,
    /// So many bytes of the body after each pause.
    Trickle { bytes: usize, every: Duration },
    /// Reset without one byte of an answer.
    ResetBeforeHead,
    /// Reset after the head and a few bytes.
    ResetAfterHead,
    /// The length is announced, half of it comes, the connection ends in good order.
    CutBody,
    /// Compressed, and whole.
    Gzip,
    /// Compressed; the length is right, the compressed stream ends early.
    TruncatedGzip,
    /// So many blanks after the body.
    Padded(usize),
    /// Compressed, with so many million blanks after the body, and a wrong sum at the end.
    GzipBomb(usize),
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub way: Way,
    /// Waited for before the first byte.
    pub latency: Duration,
}

impl Reply {
    pub fn json(status: u16, body: &serde_json::Value) -> Reply {
        let headers = vec![("Content-Type".to_owned(), "application/json; charset=UTF-8".to_owned())];
        Reply { status, headers, body: body.to_string().into_bytes(), ..Reply::default() }
    }

    pub fn html(status: u16, body: &str) -> Reply {
        let headers = vec![("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned())];
        Reply { status, headers, body: body.as_bytes().to_vec(), ..Reply::default() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Reads one request. `None` when the client is done or the server stops.
pub fn read(stream: &mut TcpStream, stop: &AtomicBool) -> Option<Request> {
    let head = read_head(stream, stop)?;
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let method = first.next()?.to_owned();
    let target = first.next()?.to_owned();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), query.to_owned()),
        None => (target, String::new()),
    };
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method, path, query, headers, unread: true, ..Request::default() };
    let length = request.header("content-length").and_then(|v| v.parse::<usize>().ok()).unwrap_or(0);
    let chunked = request.header("transfer-encoding").is_some_and(|v| v.contains("chunked"));
    if length == 0 && !chunked {
        return Some(request);
    }
    take_last(stream, &mut request);
    if request.header("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    if chunked {
        request.body = read_chunks(stream, stop)?;
    } else if length > MAX_BODY {
        let mut left = length;
        let mut sink = vec![0; 1 << 16];
        while left > 0 {
            let part = left.min(sink.len());
            exact(stream, &mut sink[..part], stop)?;
            left -= part;
        }
        request.too_large = true;
    } else {
        request.body = vec![0; length];
        let (all, last) = request.body.split_at_mut(length - 1);
        exact(stream, all, stop)?;
        peek(stream, last, stop)?;
        request.unread = true;
    }
    Some(request)
}

/// The head without its blank line, whose last byte is left in the socket.
fn read_head(stream: &mut TcpStream, stop: &AtomicBool) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let mut window = vec![0; 1 << 16];
    loop {
        let seen = peek(stream, &mut window, stop)?;
        // The end may lie across two windows.
        let before = head.len();
        head.extend_from_slice(&window[..seen]);
        let from = before.saturating_sub(3);
        if let Some(at) = head[from..].windows(4).position(|four| four == b"\r\n\r\n") {
            let end = from + at + 4;
            exact(stream, &mut window[..end - before - 1], stop)?;
            head.truncate(end - 4);
            return Some(head);
        }
        exact(stream, &mut window[..seen], stop)?;
        if head.len() > 1 << 20 {
            return None;
        }
    }
}

fn read_chunks(stream: &mut TcpStream, stop: &AtomicBool) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            exact(stream, &mut byte, stop)?;
            line.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        let size = usize::from_str_radix(text.trim().split(';').next()?, 16).ok()?;
        let mut chunk = vec![0; size + 2];
        exact(stream, &mut chunk, stop)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

/// Takes the byte that was left, so that closing is no reset.
fn take_last(stream: &mut TcpStream, request: &mut Request) {
    if std::mem::take(&mut request.unread) {
        let _ = stream.read(&mut [0]);
    }
}

/// Fills `out`; the read time-out of the socket is only there to look at `stop`.
fn exact(stream: &mut TcpStream, mut out: &mut [u8], stop: &AtomicBool) -> Option<()> {
    while !out.is_empty() {
        let got = retry(stop, || stream.read(out))?;
        out = &mut out[got..];
    }
    Some(())
}

fn peek(stream: &TcpStream, out: &mut [u8], stop: &AtomicBool) -> Option<usize> {
    retry(stop, || stream.peek(out))
}

fn retry(stop: &AtomicBool, mut read: impl FnMut() -> std::io::Result<usize>) -> Option<usize> {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    loop {
        match read() {
            Ok(0) => return None,
            Ok(got) => return Some(got),
            Err(error) if matches!(error.kind(), Interrupted | TimedOut | WouldBlock) => {
                if stop.load(Ordering::SeqCst) {
                    return None;
                }
            }
            Err(_) => return None,
        }
    }
}

/// Writes the answer. Whether the client can have had all of it, and whether the connection
/// lives on.
pub fn write(
    stream: &mut TcpStream,
    request: &mut Request,
    reply: &Reply,
    stop: &AtomicBool,
) -> (bool, bool) {
    if !pause(reply.latency, stop) {
        return (false, false);
    }
    if reply.way == Way::ResetBeforeHead {
        return (false, false);
    }
    let mut body = reply.body.clone();
    let mut headers = reply.headers.clone();
    let mut announced = body.len();
    match &reply.way {
        Way::Gzip | Way::TruncatedGzip => {
            headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
            body = gzip(&body);
            if reply.way == Way::TruncatedGzip {
                body.truncate(18 + reply.body.len() / 2);
            }
            announced = body.len();
        }
        Way::GzipBomb(millions) => {
            headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
            body = gzip_bomb(&body, *millions);
            announced = body.len();
        }
        Way::Padded(blanks) => announced += blanks,
        _ => {}
    }
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
    for (name, value) in &headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {announced}\r\n\r\n"));
    if reply.way == Way::ResetAfterHead {
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&body[..body.len().min(16)]);
        // A reset may overtake what was sent before it; the client shall see the head.
        pause(Duration::from_millis(50), stop);
        return (false, false);
    }
    take_last(stream, request);
    if stream.write_all(head.as_bytes()).is_err() {
        return (false, false);
    }
    let done = match &reply.way {
        Way::Trickle { bytes, every } => {
            body.chunks((*bytes).max(1)).all(|part| pause(*every, stop) && stream.write_all(part).is_ok())
        }
        Way::CutBody => {
            let _ = stream.write_all(&body[..body.len() / 2]);
            false
        }
        Way::Padded(blanks) => {
            let block = vec![b' '; 1 << 16];
            let mut left = *blanks;
            let mut fine = stream.write_all(&body).is_ok();
            while fine && left > 0 && !stop.load(Ordering::SeqCst) {
                let part = left.min(block.len());
                fine = stream.write_all(&block[..part]).is_ok();
                left -= part;
            }
            fine && left == 0
        }
        _ => stream.write_all(&body).is_ok(),
    };
    let close = request.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
    (done, done && !close)
}

/// Waits in small steps; false when the server stops meanwhile.
pub fn pause(how_long: Duration, stop: &AtomicBool) -> bool {
    let end = Instant::now() + how_long;
    loop {
        if stop.load(Ordering::SeqCst) {
            return false;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
}

/// Stored, not squeezed: valid gzip without a library.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(0xffff).peekable();
    if blocks.peek().is_none() {
        out.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    out.extend_from_slice(&(!crc).to_le_bytes());
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out
}

/// Fixed codes: the bytes one by one, a blank, and repeats of that blank, 258 in 13 bits.
fn gzip_bomb(bytes: &[u8], millions: usize) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let (mut held, mut bits) = (0_u32, 0);
    // Codes go in with their highest bit first, all else with the lowest.
    let mut push = |code: u32, length: u32, turned: bool| {
        let code = if turned { code.reverse_bits() >> (32 - length) } else { code };
        held |= code << bits;
        bits += length;
        while bits >= 8 {
            out.push(held as u8);
            held >>= 8;
            bits -= 8;
        }
    };
    push(0b011, 3, false);
    for byte in bytes.iter().chain(b" ") {
        match byte {
            0..=143 => push(0x30 + u32::from(*byte), 8, true),
            _ => push(0x190 + u32::from(*byte) - 144, 9, true),
        }
    }
    for _ in 0..(millions * 1_000_000).div_ceil(258) {
        push(0b1100_0101, 8, true);
        push(0, 5, true);
    }
    push(0, 7, true);
    push(0, 7, false);
    out.extend_from_slice(&[0; 8]);
    out
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Answer",
    }
}
