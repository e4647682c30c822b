//! Posts that must not keep their text: deleted at their site, forgotten on request, or too old.
//!
//! Invariant: a tombstone beats every capture, older or newer. Ids are known by keyed hashes
//! only, so that the list of what is forgotten does not itself remember it. Reads and writes no
//! file of its own; [`rewrite`] and [`without_texts`] compute for as long as the object is.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead, BufReader, Read};

use super::adapter::Loose;
use super::capture_spool::{FRAME, Spool, SpoolObject};
use super::encode::encode_line;
use super::splice;
use crate::envelope::{Envelope, PostType, Text};
use crate::graph::Day;

/// What remains of a post.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remains {
    /// That it existed: id, time, place and numbers, without title, text, address and author.
    Stub,
    /// Nothing.
    Nothing,
}

/// One entry of the lake's list.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Tombstone {
    /// The keyed hash of platform and id (of a post) or of platform and name (of an author),
    /// hexadecimal.
    pub print: String,
    /// The site.
    pub platform: String,
    /// What remains.
    pub remains: Remains,
    /// The day of the post; `None` where it may be any (an author).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<Day>,
    /// `deleted`, `removed`, `asked`, …
    pub why: String,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// It counts from then on; `None` from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<i64>,
    /// It may be the post of a thread, whose headline comments of later days hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub thread: bool,
}

impl Tombstone {
    /// Whether it counts at that moment.
    pub fn counts(&self, now_ms: i64) -> bool {
        self.from_ms.is_none_or(|from| from <= now_ms)
    }
}

/// Everything that is forgotten in a lake.
#[derive(Clone)]
pub struct Forgotten {
    key: [u8; 32],
    known: HashMap<[u8; 16], Remains>,
}

// The hashes say nothing to anybody, and there may be many.
impl std::fmt::Debug for Forgotten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Forgotten({})", self.known.len())
    }
}

impl Default for Forgotten {
    fn default() -> Self {
        Self::new("")
    }
}

impl Forgotten {
    /// Nothing is forgotten yet in the lake with this id.
    pub fn new(lake: &str) -> Self {
        Self { key: blake3::derive_key("rxpulse forgotten posts 1", lake.as_bytes()), known: HashMap::new() }
    }

    fn hash(&self, what: u8, platform: &str, word: &str) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&[what]);
        hasher.update(platform.as_bytes());
        hasher.update(&[0]);
        hasher.update(word.as_bytes());
        let mut out = [0; 16];
        out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        out
    }

    /// The print of a post, hexadecimal.
    pub fn post(&self, platform: &str, native_id: &str) -> String {
        hex(&self.hash(b'p', platform, native_id))
    }

    /// The print of an author as captures name them, hexadecimal. Where names differ by more than
    /// their case, it is the same for every way to write one.
    pub fn author(&self, platform: &str, author: &str) -> String {
        hex(&self.hash(b'a', platform, &same_name(platform, author)))
    }

    /// Takes an entry in. The one that leaves less wins.
    pub fn add(&mut self, tombstone: &Tombstone) {
        if let Some(print) = unhex(&tombstone.print) {
            let remains = self.known.entry(print).or_insert(tombstone.remains);
            *remains = (*remains).max(tombstone.remains);
        }
    }

    /// Whether nothing is forgotten.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Takes out of a post what it says of others that are gone: out of a comment the title of its
    /// post and the address that holds it, and of everything the ids of what is forgotten for good,
    /// which answers and crossposts name. Whether there was anything.
    pub(super) fn cut_links(&self, e: &mut Envelope<'_>) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let platform = e.platform.as_str().to_string();
        let remains = |id: &str| self.known.get(&self.hash(b'p', &platform, id)).copied();
        let mut cut = false;
        if let Some(post) = thread_of(e)
            && let Some(remains) = remains(&post)
        {
            let held = e.link_title.is_some() || e.url.is_some() || !e.raw.as_str().is_empty();
            // Its id may stay where a stub does.
            if held || remains == Remains::Nothing {
                e.link_title = None;
                e.url = None;
                e.raw = "".into();
                cut = true;
            }
        }
        let gone = |id: &Option<Text<'_>>| {
            let id = id.as_ref()?.as_str();
            (remains(id) == Some(Remains::Nothing)).then(|| id.to_string())
        };
        if let Some(parent) = gone(&e.parent_id) {
            e.parent_id = None;
            cut_id(e, &parent);
            cut = true;
        }
        if let Some(original) = gone(&e.crosspost_parent) {
            e.crosspost_parent = None;
            cut_id(e, &original);
            cut = true;
        }
        cut
    }

    /// What remains of a post; `None` when it is not forgotten.
    pub fn remains(&self, e: &Envelope<'_>) -> Option<Remains> {
        if self.known.is_empty() {
            return None;
        }
        let platform = e.platform.as_str();
        let post = self.known.get(&self.hash(b'p', platform, e.native_id.as_str())).copied();
        let known = |name: &str| self.known.get(&self.hash(b'a', platform, name)).copied();
        // As it is written, too: that is how it was buried before case meant nothing.
        let author = e.author.as_ref().and_then(|a| {
            let name = a.as_str();
            known(name).max(known(&same_name(platform, name)))
        });
        post.max(author)
    }
}

/// A name as its platform tells people apart: Reddit's names are the same in any case.
pub fn same_name<'a>(platform: &str, name: &'a str) -> Cow<'a, str> {
    match platform {
        "reddit" if name.bytes().any(|b| b.is_ascii_uppercase()) => Cow::Owned(name.to_ascii_lowercase()),
        _ => Cow::Borrowed(name),
    }
}

/// Takes an id out of the record and the address of a post that names it.
fn cut_id(e: &mut Envelope<'_>, id: &str) {
    let bare = match (e.platform.as_str(), id.split_once('_')) {
        ("reddit", Some((kind, bare))) if kind.len() == 2 && !bare.is_empty() => bare.to_string(),
        _ => id.to_string(),
    };
    let raw = splice::without_value(e.raw.as_str(), &[id, &bare]).into_owned();
    if stands_in(&raw, &bare) {
        // Somewhere else, too. Without its record, nobody knows of which post a comment is: what
        // it says of that one would stay when that one goes.
        e.raw = "".into();
        if e.post_type == PostType::Comment {
            e.link_title = None;
            e.url = None;
        }
    } else {
        e.raw = raw.into();
    }
    if e.url.as_ref().is_some_and(|url| stands_in(url.as_str(), &bare)) {
        e.url = None;
    }
}

/// Whether an id stands in a text, with an end on both sides.
fn stands_in(text: &str, id: &str) -> bool {
    text.match_indices(id).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + id.len()..].chars().next();
        !before.into_iter().chain(after).any(char::is_alphanumeric)
    })
}

/// The ids of other posts that a post names.
pub fn names_of(e: &Envelope<'_>) -> BTreeSet<String> {
    let own = |id: &Option<Text<'_>>| id.as_ref().map(|id| id.as_str().to_string());
    [thread_of(e), own(&e.parent_id), own(&e.crosspost_parent)].into_iter().flatten().collect()
}

/// The post that a comment belongs to, as its record says.
fn thread_of(e: &Envelope<'_>) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Link<'a> {
        #[serde(borrow, default)]
        link_id: Loose<'a>,
    }
    if e.post_type != PostType::Comment {
        return None;
    }
    if let Ok(Link { link_id: Loose::Text(id) }) = serde_json::from_str(e.raw.as_str()) {
        return Some(id.into_owned());
    }
    e.parent_id.as_ref().map(|p| p.as_str()).filter(|p| p.starts_with("t3_")).map(str::to_string)
}

/// Takes away what a deleted post must not keep.
pub(super) fn strip(e: &mut Envelope<'_>) {
    e.title = None;
    e.body = None;
    e.url = None;
    e.author = None;
    e.raw = "".into();
    e.deleted = true;
}

/// Takes away what a post must not keep when its time is over: every word, and who said it. That
/// it was there, when, where, and its numbers stay.
pub(super) fn strip_texts(e: &mut Envelope<'_>) {
    e.title = None;
    e.body = None;
    e.url = None;
    e.author = None;
    e.link_title = None;
    e.raw = "".into();
}

fn has_texts(e: &Envelope<'_>) -> bool {
    [&e.title, &e.body, &e.url, &e.author, &e.link_title].into_iter().any(Option::is_some)
        || !e.raw.as_str().is_empty()
}

fn is_stripped(e: &Envelope<'_>) -> bool {
    e.deleted
        && e.title.is_none()
        && e.body.is_none()
        && e.url.is_none()
        && e.author.is_none()
        && e.raw.as_str().is_empty()
}

/// What became of a bronze object.
#[derive(Debug)]
pub enum Rewritten {
    /// It holds nothing that is forgotten.
    Same,
    /// This takes its place.
    By(SpoolObject),
    /// Nothing of it remains.
    Gone,
}

/// Reads a bronze object and makes the one that takes its place.
///
/// # Errors
/// When the object cannot be read as envelopes.
pub fn rewrite(object: impl Read, forgotten: &Forgotten) -> io::Result<Rewritten> {
    change_lines(object, &mut |e| {
        let remains = forgotten.remains(e);
        if remains == Some(Remains::Nothing) {
            return Change::Remove;
        }
        // First, because the record says of which post a comment is.
        let mut changed = forgotten.cut_links(e);
        if remains == Some(Remains::Stub) && e.post_type != PostType::Moved && !is_stripped(e) {
            strip(e);
            changed = true;
        }
        if changed { Change::Write } else { Change::Keep }
    })
}

/// Reads a bronze object and makes the one that takes its place, without any text.
///
/// # Errors
/// When the object cannot be read as envelopes.
pub fn without_texts(object: impl Read) -> io::Result<Rewritten> {
    change_lines(object, &mut |e| {
        if !has_texts(e) {
            return Change::Keep;
        }
        strip_texts(e);
        Change::Write
    })
}

/// What becomes of a line.
enum Change {
    /// It stays, byte by byte.
    Keep,
    /// It is written as the envelope says now.
    Write,
    /// It goes.
    Remove,
}

fn change_lines(
    object: impl Read,
    change: &mut dyn FnMut(&mut Envelope<'_>) -> Change,
) -> io::Result<Rewritten> {
    let mut lines = BufReader::with_capacity(128 << 10, zstd::Decoder::new(object)?);
    let mut spool = Spool::new(usize::MAX)?;
    let (mut frames, mut open, mut line) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rows, mut changed) = (0, false);
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let mut e: Envelope<'_> = serde_json::from_slice(&line)?;
        match change(&mut e) {
            Change::Remove => {
                changed = true;
                continue;
            }
            Change::Write => {
                changed = true;
                encode_line(&mut open, &e);
            }
            Change::Keep => open.extend_from_slice(&line),
        }
        rows += 1;
        if open.len() >= FRAME {
            frames.push(spool.push(&open, None)?);
            open.clear();
        }
    }
    if !changed {
        return Ok(Rewritten::Same);
    }
    if rows == 0 {
        return Ok(Rewritten::Gone);
    }
    if !open.is_empty() {
        frames.push(spool.push(&open, None)?);
    }
    Ok(Rewritten::By(spool.finish().object(frames, rows)?))
}

fn hex(bytes: &[u8; 16]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    let mut out = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, author: Option<&str>) -> Vec<u8> {
        let mut e: Envelope<'_> = serde_json::from_str(
            r#"{"platform":"reddit","source":"s","native_id":"x","post_type":"post","created_at":"2026-11-01T00:00:00.000Z","title":"a title","body":"a text","url":"https://e.test/","fetched_at":"2026-11-01T00:00:00.000Z","seq":1,"adapter_version":"reddit/1","raw":"{}"}"#,
        )
        .unwrap();
        e.native_id = id.to_string().into();
        e.author = author.map(|a| a.to_string().into());
        let mut out = Vec::new();
        encode_line(&mut out, &e);
        out
    }

    fn tombstone(print: String, remains: Remains) -> Tombstone {
        Tombstone {
            print,
            platform: "reddit".into(),
            remains,
            day: None,
            why: "deleted".into(),
            at_ms: 0,
            from_ms: None,
            thread: false,
        }
    }

    fn lines(object: &SpoolObject) -> String {
        String::from_utf8(zstd::decode_all(object.reader()).unwrap()).unwrap()
    }

    #[test]
    fn only_what_is_forgotten_changes() {
        let (a, b, c) = (line("t3_a", None), line("t3_b", Some("someone")), line("t3_c", None));
        let packed = zstd::encode_all([a.clone(), b, c].concat().as_slice(), 1).unwrap();
        let mut forgotten = Forgotten::new("lake");
        assert!(matches!(rewrite(packed.as_slice(), &forgotten).unwrap(), Rewritten::Same));
        forgotten.add(&tombstone(forgotten.post("reddit", "t3_c"), Remains::Stub));
        forgotten.add(&tombstone(forgotten.author("reddit", "someone"), Remains::Nothing));
        forgotten.add(&tombstone(forgotten.post("other", "t3_a"), Remains::Nothing));
        let Rewritten::By(object) = rewrite(packed.as_slice(), &forgotten).unwrap() else {
            panic!("two of three are forgotten")
        };
        let text = lines(&object);
        assert_eq!(object.rows, 2);
        assert!(text.as_bytes().starts_with(&a), "what is not forgotten stays as it was");
        assert!(text.contains("t3_c") && !text.contains("t3_b") && !text.contains("someone"));
        let stub = text.lines().nth(1).unwrap();
        assert!(!stub.contains("a title") && !stub.contains("e.test") && stub.contains(r#""raw":"""#));
        // Once is enough.
        let again = rewrite(object.reader(), &forgotten).unwrap();
        assert!(matches!(again, Rewritten::Same));
        forgotten.add(&tombstone(forgotten.post("reddit", "t3_c"), Remains::Nothing));
        forgotten.add(&tombstone(forgotten.post("reddit", "t3_a"), Remains::Nothing));
        assert!(matches!(rewrite(object.reader(), &forgotten).unwrap(), Rewritten::Gone));
    }

    #[test]
    fn comments_on_a_forgotten_post_forget_it() {
        let comment: Envelope<'_> = serde_json::from_str(
            r#"{"platform":"reddit","source":"s","native_id":"t1_c","post_type":"comment","created_at":"2026-11-02T00:00:00.000Z","body":"my own words","url":"https://e.test/comments/a/a_title/c/","parent_id":"t1_b","link_title":"a title","fetched_at":"2026-11-02T00:00:00.000Z","seq":1,"adapter_version":"reddit/1","raw":"{\"link_id\":\"t3_a\",\"link_title\":\"a title\"}"}"#,
        )
        .unwrap();
        let mut line = Vec::new();
        encode_line(&mut line, &comment);
        let packed = zstd::encode_all(line.as_slice(), 1).unwrap();
        let mut forgotten = Forgotten::new("lake");
        forgotten.add(&tombstone(forgotten.post("reddit", "t3_a"), Remains::Nothing));
        let Rewritten::By(object) = rewrite(packed.as_slice(), &forgotten).unwrap() else {
            panic!("the thread is forgotten")
        };
        let text = lines(&object);
        assert!(text.contains("my own words") && text.contains("t1_b"), "{text}");
        assert!(
            !text.contains("t3_a") && !text.contains("title\":\"a") && !text.contains("e.test"),
            "{text}"
        );
        assert!(matches!(rewrite(object.reader(), &forgotten).unwrap(), Rewritten::Same));
    }

    #[test]
    fn answers_and_crossposts_of_what_is_forgotten_forget_its_id() {
        let reply = r#"{"platform":"reddit","source":"s","native_id":"t1_c","post_type":"comment","created_at":"2026-11-02T00:00:00.000Z","body":"my own words","url":"https://e.test/r/x/comments/a/a_title/c/","parent_id":"t1_gone7","link_title":"a title","fetched_at":"2026-11-02T00:00:00.000Z","seq":1,"adapter_version":"reddit/1","raw":"{\"link_id\":\"t3_a\",\"parent_id\":\"t1_gone7\",\"gone70\":1}"}"#;
        let noisy = reply.replace(r#"\"gone70\":1"#, r#"\"context\":\"/r/x/comments/a/_/gone7/?x\""#);
        let cross = r#"{"platform":"reddit","source":"s","native_id":"t3_d","post_type":"post","created_at":"2026-11-02T00:00:00.000Z","title":"a title of its own","url":"https://e.test/r/y/comments/d/","crosspost_parent":"t3_gone7","fetched_at":"2026-11-02T00:00:00.000Z","seq":1,"adapter_version":"reddit/1","raw":"{\"crosspost_parent\":\"t3_gone7\",\"url\":\"/r/x/comments/gone7/late/\"}"}"#;
        let ticket = r#"{"platform":"desk","source":"s","native_id":"12","post_type":"ticket","created_at":"2026-11-02T00:00:00.000Z","body":"again","parent_id":"11","fetched_at":"2026-11-02T00:00:00.000Z","seq":1,"adapter_version":"generic/2","raw":"{\"id\":12,\"answers\":\"11\"}"}"#;
        let forget = |line: &str, ids: &[(&str, &str)], remains: Remains| {
            let packed = zstd::encode_all(format!("{line}\n").as_bytes(), 1).unwrap();
            let mut forgotten = Forgotten::new("lake");
            for (platform, id) in ids {
                forgotten.add(&tombstone(forgotten.post(platform, id), remains));
            }
            match rewrite(packed.as_slice(), &forgotten).unwrap() {
                Rewritten::By(object) => {
                    assert!(matches!(rewrite(object.reader(), &forgotten).unwrap(), Rewritten::Same));
                    Some(lines(&object))
                }
                Rewritten::Same => None,
                Rewritten::Gone => panic!("the answer is nobody's but its own"),
            }
        };
        let gone = [("reddit", "t1_gone7"), ("reddit", "t3_gone7"), ("desk", "11")];
        let text = forget(reply, &gone, Remains::Nothing).unwrap();
        assert!(!text.replace("gone70", "").contains("gone7"), "{text}");
        assert!(text.contains("my own words") && text.contains("a title") && text.contains("t3_a"), "{text}");
        // Its own thread goes later: it is still known as one of its comments.
        let text = forget(text.trim_end(), &[("reddit", "t3_a")], Remains::Nothing).unwrap();
        assert!(!text.contains("a title") && !text.contains("t3_a") && !text.contains("e.test"), "{text}");

        let text = forget(&noisy, &gone, Remains::Nothing).unwrap();
        assert!(
            !text.contains("gone7") && !text.contains("a title") && text.contains("my own words"),
            "{text}"
        );
        let text = forget(cross, &gone, Remains::Nothing).unwrap();
        assert!(!text.contains("gone7"), "{text}");
        assert!(text.contains("a title of its own") && text.contains("/comments/d/"), "{text}");
        let text = forget(ticket, &gone, Remains::Nothing).unwrap();
        assert!(!text.contains("11\"") && text.contains("again"), "{text}");
        // What was only deleted at its site may be named.
        for line in [reply, cross, ticket] {
            assert_eq!(forget(line, &gone, Remains::Stub), None, "{line}");
            let e: Envelope<'_> = serde_json::from_str(line).unwrap();
            assert!(gone.iter().any(|(_, id)| names_of(&e).contains(*id)), "{line}");
        }
        // A deleted answer forgets the id as well.
        let mut both = Forgotten::new("lake");
        both.add(&tombstone(both.post("reddit", "t1_c"), Remains::Stub));
        both.add(&tombstone(both.post("reddit", "t1_gone7"), Remains::Nothing));
        let packed = zstd::encode_all(format!("{reply}\n").as_bytes(), 1).unwrap();
        let Rewritten::By(object) = rewrite(packed.as_slice(), &both).unwrap() else { panic!("both count") };
        assert!(!lines(&object).contains("gone7") && !lines(&object).contains("my own words"));
    }

    #[test]
    fn comments_on_a_deleted_post_lose_its_title_and_keep_their_place() {
        let comment: Envelope<'_> = serde_json::from_str(
            r#"{"platform":"reddit","source":"s","native_id":"t1_c","post_type":"comment","created_at":"2026-11-02T00:00:00.000Z","body":"my own words","url":"https://e.test/comments/a/a_title/c/","parent_id":"t3_a","link_title":"a title","fetched_at":"2026-11-02T00:00:00.000Z","seq":1,"adapter_version":"reddit/1","raw":"{\"link_id\":\"t3_a\",\"link_title\":\"a title\"}"}"#,
        )
        .unwrap();
        let mut line = Vec::new();
        encode_line(&mut line, &comment);
        let packed = zstd::encode_all(line.as_slice(), 1).unwrap();
        let mut forgotten = Forgotten::new("lake");
        forgotten.add(&tombstone(forgotten.post("reddit", "t3_a"), Remains::Stub));
        let Rewritten::By(object) = rewrite(packed.as_slice(), &forgotten).unwrap() else {
            panic!("the post is deleted")
        };
        let text = lines(&object);
        assert!(text.contains("my own words") && text.contains(r#""parent_id":"t3_a""#), "{text}");
        assert!(!text.contains("a title") && !text.contains("a_title"), "{text}");
        assert!(matches!(rewrite(object.reader(), &forgotten).unwrap(), Rewritten::Same), "once is enough");
        // Forgotten for good later, its id goes as well.
        forgotten.add(&tombstone(forgotten.post("reddit", "t3_a"), Remains::Nothing));
        let Rewritten::By(object) = rewrite(object.reader(), &forgotten).unwrap() else {
            panic!("the post is forgotten")
        };
        assert!(!lines(&object).contains("t3_a"));
    }

    #[test]
    fn texts_go_and_what_a_post_was_stays() {
        let whole: Envelope<'_> = serde_json::from_str(
            r#"{"platform":"reddit","source":"s","native_id":"t3_x","post_type":"post","channel":"pharmacy","created_at":"2026-11-01T00:00:00.000Z","title":"a title","body":"a text","url":"https://e.test/","author":"someone","score":7,"num_comments":3,"link_title":"another","fetched_at":"2026-11-01T00:00:00.000Z","seq":1,"adapter_version":"reddit/1","raw":"{\"a\":1}"}"#,
        )
        .unwrap();
        let mut bytes = Vec::new();
        encode_line(&mut bytes, &whole);
        let packed = zstd::encode_all([bytes, line("t3_y", Some("other"))].concat().as_slice(), 1).unwrap();
        let Rewritten::By(object) = without_texts(packed.as_slice()).unwrap() else {
            panic!("both had texts")
        };
        assert_eq!(object.rows, 2);
        let text = lines(&object);
        for word in ["title\":\"", "a text", "e.test", "someone", "other", "\\\"a"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
        let left: Envelope<'_> = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((left.score, left.num_comments, left.deleted), (Some(7), Some(3), false));
        assert_eq!(left.channel.as_ref().map(|c| c.as_str()), Some("pharmacy"));
        assert!(matches!(without_texts(object.reader()).unwrap(), Rewritten::Same), "once is enough");
    }

    #[test]
    fn reddit_knows_a_name_in_any_case() {
        let mut forgotten = Forgotten::new("lake");
        forgotten.add(&tombstone(forgotten.author("reddit", "SomeOne"), Remains::Nothing));
        let packed = |author| zstd::encode_all(line("t3_a", Some(author)).as_slice(), 1).unwrap();
        for author in ["SomeOne", "someone", "SOMEONE"] {
            let left = rewrite(packed(author).as_slice(), &forgotten).unwrap();
            assert!(matches!(left, Rewritten::Gone), "{author}");
        }
        assert!(matches!(rewrite(packed("someone_else").as_slice(), &forgotten).unwrap(), Rewritten::Same));
        // Elsewhere two cases may be two people.
        assert_ne!(forgotten.author("forum", "SomeOne"), forgotten.author("forum", "someone"));
        // What was buried as it was written stays buried.
        let mut before = Forgotten::new("lake");
        before.add(&tombstone(hex(&before.hash(b'a', "reddit", "SomeOne")), Remains::Nothing));
        assert!(matches!(rewrite(packed("SomeOne").as_slice(), &before).unwrap(), Rewritten::Gone));
    }

    #[test]
    fn another_lake_has_other_prints() {
        assert_ne!(Forgotten::new("a").post("reddit", "t3_a"), Forgotten::new("b").post("reddit", "t3_a"));
        assert_ne!(Forgotten::new("a").post("reddit", "t3_a"), Forgotten::new("a").author("reddit", "t3_a"));
    }
}
