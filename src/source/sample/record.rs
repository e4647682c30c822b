//! The records' JSON, in the shape of each platform.

use crate::envelope::PostType;

use super::prose::push_number;
use super::rng::mix;

/// Where a record comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Platform {
    Reddit,
    AppStore,
    Trustpilot,
    HackerNews,
}

const NAMES: [&str; 4] = ["reddit", "app_store", "trustpilot", "hacker_news"];

impl Platform {
    /// The name in the tables.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// The platform of a name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Reddit, Self::AppStore, Self::Trustpilot, Self::HackerNews]
            .into_iter()
            .find(|p| p.name() == name)
    }
}

/// The platforms that sample posts come from.
pub fn platforms() -> &'static [&'static str] {
    &NAMES
}

/// What is broken in a record on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Damage {
    /// Cut in the middle.
    Cut,
    /// Not JSON.
    Syntax,
    /// JSON, but no object.
    Array,
    /// Without an id.
    NoId,
    /// Without a time.
    NoTime,
    /// With a time that is none.
    BadTime,
    /// With a number where text belongs.
    Mistyped,
}

impl Damage {
    pub const ALL: [Damage; 7] =
        [Self::Cut, Self::Syntax, Self::Array, Self::NoId, Self::NoTime, Self::BadTime, Self::Mistyped];

    /// The reason that the mapping gives.
    #[cfg(test)]
    pub fn reason(self) -> &'static str {
        match self {
            Damage::Cut => "truncated",
            Damage::Syntax => "invalid_json",
            Damage::Array => "not_an_object",
            Damage::NoId => "missing_id",
            Damage::NoTime => "missing_created_at",
            Damage::BadTime => "bad_created_at",
            Damage::Mistyped => "mistyped",
        }
    }
}

/// The thread that a comment or crosspost belongs to.
#[derive(Clone, Debug, Default)]
pub(super) struct Thread {
    pub num: u64,
    pub title: String,
}

/// Everything of a record but its texts.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub platform: Platform,
    pub post_type: PostType,
    pub num: u64,
    pub channel: &'static str,
    pub created_s: i64,
    pub fetched_s: i64,
    pub author: u32,
    pub score: i64,
    pub num_comments: i64,
    pub rating: u8,
    pub edited_s: Option<i64>,
    pub removed: Option<&'static str>,
    pub crosspost: Option<u64>,
    pub damage: Option<Damage>,
}

const REDDIT_BASE: u64 = 36u64.pow(6);
const HACKER_NEWS_BASE: u64 = 43_000_000;
const APP_STORE_BASE: u64 = 10_000_000_000;

/// Writes a record's JSON: one line, without a line break. `out` must be empty.
pub(super) fn write(facts: &Facts, thread: Option<&Thread>, title: &str, body: &str, out: &mut String) {
    let mut json = Object { out, open: false };
    json.out.push('{');
    match facts.platform {
        Platform::Reddit => reddit(facts, thread, title, body, &mut json),
        Platform::AppStore => app_store(facts, title, body, &mut json),
        Platform::Trustpilot => trustpilot(facts, title, body, &mut json),
        Platform::HackerNews => hacker_news(facts, thread, title, body, &mut json),
    }
    out.push('}');
    match facts.damage {
        Some(Damage::Cut) => {
            let mut at = out.len() * (40 + (facts.num % 50) as usize) / 100;
            while !out.is_char_boundary(at) {
                at -= 1;
            }
            out.truncate(at);
        }
        Some(Damage::Syntax) => {
            if let Some(colon) = out.find(':') {
                out.replace_range(colon..colon + 1, "=");
            }
        }
        Some(Damage::Array) => {
            out.insert(0, '[');
            out.push(']');
        }
        _ => {}
    }
}

fn reddit(f: &Facts, thread: Option<&Thread>, title: &str, body: &str, json: &mut Object<'_>) {
    let comment = f.post_type == PostType::Comment;
    let has_id = f.damage != Some(Damage::NoId);
    if has_id {
        json.key("id").quoted(|out| push_base36(out, REDDIT_BASE + f.num));
        json.key("name").quoted(|out| {
            out.push_str(if comment { "t1_" } else { "t3_" });
            push_base36(out, REDDIT_BASE + f.num);
        });
    }
    if f.removed == Some("deleted") {
        json.key("author").raw("\"[deleted]\"");
    } else {
        json.key("author").quoted(|out| push_author(out, f.author));
        json.key("author_fullname").quoted(|out| {
            out.push_str("t2_");
            push_base36(out, u64::from(f.author) + 60_466_176);
        });
    }
    json.key("subreddit").quoted(|out| out.push_str(f.channel));
    let body = match f.removed {
        Some("deleted") => "[deleted]",
        Some(_) => "[removed]",
        None => body,
    };
    let texts = if comment { [("body", body), ("", "")] } else { [("title", title), ("selftext", body)] };
    for (i, (key, text)) in texts.into_iter().filter(|(key, _)| !key.is_empty()).enumerate() {
        if i == 0 && f.damage == Some(Damage::Mistyped) {
            json.key(key).number(f.score);
        } else {
            json.key(key).text(text, Escape::Html);
        }
    }
    json.time("created_utc", f);
    json.key("score").number(f.score);
    let thread_num = thread.map_or(f.num, |t| t.num);
    if comment {
        json.key("link_id").quoted(|out| push_fullname(out, thread_num));
        json.key("parent_id").quoted(|out| push_fullname(out, thread_num));
        if let Some(thread) = thread {
            json.key("link_title").text(&thread.title, Escape::Html);
        }
    } else {
        json.key("num_comments").number(f.num_comments);
    }
    if let Some(parent) = f.crosspost {
        json.key("crosspost_parent").quoted(|out| push_fullname(out, parent));
    }
    json.key("permalink").quoted(|out| {
        out.push_str("/r/");
        out.push_str(f.channel);
        out.push_str("/comments/");
        push_base36(out, REDDIT_BASE + thread_num);
        if comment {
            out.push_str("/_/");
            push_base36(out, REDDIT_BASE + f.num);
        } else {
            out.push('/');
            push_slug(out, title);
        }
        out.push('/');
    });
    match f.edited_s {
        Some(at) => json.key("edited").float_seconds(at),
        None => json.key("edited").raw("false"),
    }
    if let Some(by) = f.removed {
        json.key("removed_by_category").quoted(|out| out.push_str(by));
    }
    json.key("retrieved_on").number(f.fetched_s);
}

fn app_store(f: &Facts, title: &str, body: &str, json: &mut Object<'_>) {
    if f.damage != Some(Damage::NoId) {
        json.key("id").quoted(|out| push_number(out, (APP_STORE_BASE + f.num) as i64));
    }
    json.key("author").quoted(|out| push_author(out, f.author));
    json.time("updated", f);
    json.key("rating").number(i64::from(f.rating));
    json.key("version").quoted(|out| {
        push_number(out, 20 + (f.created_s / 2_592_000) % 20);
        out.push('.');
        push_number(out, i64::from(f.author % 7));
    });
    json.title("title", title, f, Escape::Plain);
    json.key("content").text(body, Escape::Plain);
    json.key("vote_count").number(f.score.max(0) / 4);
    json.key("app").quoted(|out| out.push_str(f.channel));
    json.key("country").raw("\"us\"");
}

fn trustpilot(f: &Facts, title: &str, body: &str, json: &mut Object<'_>) {
    if f.damage != Some(Damage::NoId) {
        json.key("review_id").quoted(|out| push_review_id(out, f.num));
    }
    json.key("author").quoted(|out| push_author(out, f.author));
    json.title("headline", title, f, Escape::Plain);
    json.key("text").text(body, Escape::Plain);
    json.key("stars").number(i64::from(f.rating));
    json.time("published_at", f);
    match f.edited_s {
        Some(at) => json.key("updated_at").quoted(|out| push_iso(out, at)),
        None => json.key("updated_at").raw("null"),
    }
    json.key("site").quoted(|out| out.push_str(f.channel));
    json.key("link").quoted(|out| {
        out.push_str("https://www.trustpilot.com/reviews/");
        push_review_id(out, f.num);
    });
    json.key("verified").raw(if f.author.is_multiple_of(3) { "true" } else { "false" });
}

fn hacker_news(f: &Facts, thread: Option<&Thread>, title: &str, body: &str, json: &mut Object<'_>) {
    let comment = f.post_type == PostType::Comment;
    if f.damage != Some(Damage::NoId) {
        json.key("objectID").quoted(|out| push_number(out, (HACKER_NEWS_BASE + f.num) as i64));
    }
    json.key("author").quoted(|out| push_author(out, f.author));
    json.time("created_at_i", f);
    match thread {
        Some(thread) if comment => {
            json.title("comment_text", body, f, Escape::HtmlAscii);
            json.key("story_id").number((HACKER_NEWS_BASE + thread.num) as i64);
            json.key("parent_id").number((HACKER_NEWS_BASE + thread.num) as i64);
            json.key("story_title").text(&thread.title, Escape::Ascii);
            json.key("points").raw("null");
            json.key("_tags").raw("[\"comment\"]");
        }
        _ => {
            json.title("title", title, f, Escape::Ascii);
            if body.is_empty() {
                json.key("story_text").raw("null");
            } else {
                json.key("story_text").text(body, Escape::HtmlAscii);
            }
            json.key("points").number(f.score.max(1));
            json.key("num_comments").number(f.num_comments);
            json.key("_tags").raw("[\"story\"]");
        }
    }
}

/// An object being written.
struct Object<'a> {
    out: &'a mut String,
    open: bool,
}

/// Which characters are written how.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// As JSON needs it.
    Plain,
    /// `&amp;`, `&lt;` and `&gt;` too, as Reddit stores text.
    Html,
    /// `\u2019` instead of what is not ASCII.
    Ascii,
    /// Both, and `&#x27;`, `&quot;`: as Hacker News' search answers.
    HtmlAscii,
}

impl Object<'_> {
    fn key(&mut self, name: &str) -> Value<'_> {
        if self.open {
            self.out.push(',');
        }
        self.open = true;
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        Value(self.out)
    }

    /// The first text, the one that a mistyped record breaks.
    fn title(&mut self, key: &str, text: &str, f: &Facts, escape: Escape) {
        if f.damage == Some(Damage::Mistyped) {
            self.key(key).number(f.score);
        } else {
            self.key(key).text(text, escape);
        }
    }

    /// The time of creation as the platform writes it.
    fn time(&mut self, key: &str, f: &Facts) {
        match f.damage {
            Some(Damage::NoTime) => {}
            Some(Damage::BadTime) => self.key(key).raw("\"yesterday\""),
            _ => match f.platform {
                Platform::Reddit => self.key(key).float_seconds(f.created_s),
                Platform::HackerNews => self.key(key).number(f.created_s),
                _ => self.key(key).quoted(|out| push_iso(out, f.created_s)),
            },
        }
    }
}

/// A value being written.
struct Value<'a>(&'a mut String);

impl Value<'_> {
    fn raw(self, json: &str) {
        self.0.push_str(json);
    }

    fn number(self, value: i64) {
        push_number(self.0, value);
    }

    fn float_seconds(self, seconds: i64) {
        push_number(self.0, seconds);
        self.0.push_str(".0");
    }

    /// Text that needs no escapes.
    fn quoted(self, write: impl FnOnce(&mut String)) {
        self.0.push('"');
        write(self.0);
        self.0.push('"');
    }

    fn text(self, text: &str, escape: Escape) {
        self.0.push('"');
        let html = matches!(escape, Escape::Html | Escape::HtmlAscii);
        let ascii = matches!(escape, Escape::Ascii | Escape::HtmlAscii);
        let mut start = 0;
        for (at, c) in text.char_indices() {
            let with = match c {
                '"' if escape == Escape::HtmlAscii => "&quot;",
                '\'' if escape == Escape::HtmlAscii => "&#x27;",
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '&' if html => "&amp;",
                '<' if html => "&lt;",
                '>' if html => "&gt;",
                _ if !c.is_ascii() && ascii => "",
                _ => continue,
            };
            self.0.push_str(&text[start..at]);
            self.0.push_str(with);
            start = at + c.len_utf8();
            if with.is_empty() {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    self.0.push_str("\\u");
                    for shift in [12, 8, 4, 0] {
                        self.0.push(hex(u64::from(*unit >> shift)));
                    }
                }
            }
        }
        self.0.push_str(&text[start..]);
        self.0.push('"');
    }
}

fn hex(nibble: u64) -> char {
    char::from(b"0123456789abcdef"[(nibble & 15) as usize])
}

fn push_fullname(out: &mut String, num: u64) {
    out.push_str("t3_");
    push_base36(out, REDDIT_BASE + num);
}

fn push_base36(out: &mut String, mut value: u64) {
    let mut digits = [0u8; 13];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(value % 36) as usize];
        value /= 36;
        if value == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|&d| char::from(d)));
}

fn push_author(out: &mut String, author: u32) {
    out.push_str("user_");
    push_base36(out, mix(u64::from(author)) & 0xff_ffff_ffff);
}

/// 24 hexadecimal digits; `mix` is a bijection, so two numbers never share an id.
fn push_review_id(out: &mut String, num: u64) {
    let id = mix(num ^ 0x7265_7669_6577);
    for shift in (0..64).step_by(4).rev() {
        out.push(hex(id >> shift));
    }
    for shift in (0..32).step_by(4).rev() {
        out.push(hex(mix(id) >> shift));
    }
}

/// The words of a headline as they stand in a link.
fn push_slug(out: &mut String, title: &str) {
    let start = out.len();
    for byte in title.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte.to_ascii_lowercase()));
        } else if out.len() > start && !out.ends_with('_') {
            out.push('_');
        }
        if out.len() - start >= 40 {
            break;
        }
    }
    while out.len() > start && out.ends_with('_') {
        out.pop();
    }
}

/// `2026-11-01T12:30:00Z`.
pub(super) fn push_iso(out: &mut String, seconds: i64) {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let date = crate::graph::Day(days as i32).date();
    push_number(out, i64::from(date.year()));
    for (sign, n) in [
        ('-', i64::from(date.month())),
        ('-', i64::from(date.day())),
        ('T', rest / 3600),
        (':', rest / 60 % 60),
        (':', rest % 60),
    ] {
        out.push(sign);
        if n < 10 {
            out.push('0');
        }
        push_number(out, n);
    }
    out.push('Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_read_back() {
        let text = "a \"b\" \\ \n & <c> d\u{2019}e \u{1f48a} \u{a0}'";
        for (escape, html) in
            [(Escape::Plain, false), (Escape::Html, true), (Escape::Ascii, false), (Escape::HtmlAscii, true)]
        {
            let mut out = String::new();
            Value(&mut out).text(text, escape);
            let read: String = serde_json::from_str(&out).unwrap();
            let read = if html {
                read.replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&quot;", "\"")
                    .replace("&#x27;", "'")
                    .replace("&amp;", "&")
            } else {
                read
            };
            assert_eq!(read, text);
        }
        let mut out = String::new();
        Value(&mut out).text("\u{1f48a}’", Escape::Ascii);
        assert_eq!(out, r#""\ud83d\udc8a\u2019""#);
    }

    #[test]
    fn small_writers() {
        let show = |write: &dyn Fn(&mut String)| {
            let mut out = String::new();
            write(&mut out);
            out
        };
        assert_eq!(show(&|o| push_base36(o, REDDIT_BASE)), "1000000");
        assert_eq!(show(&|o| push_slug(o, "My  order, $5 — “late”!!")), "my_order_5_late");
        assert_eq!(show(&|o| push_iso(o, 1_793_535_000)), "2026-11-01T12:10:00Z");
        assert_eq!(show(&|o| push_iso(o, -1)), "1969-12-31T23:59:59Z");
        assert_eq!(show(&|o| push_review_id(o, 1)).len(), 24);
    }
}
