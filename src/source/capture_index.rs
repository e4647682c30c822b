//! What is already captured: by post, small prints of the newest capture and of older ones.
//!
//! A print is a hash of the mapped fields, so that a post read again is recognized without
//! keeping its text. About 60 bytes a post. Pure, but [`KnownIndex::add_object`] reads.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::io::{self, BufRead, BufReader, Read};
use std::sync::LazyLock;

use crate::envelope::{Envelope, PostType};

/// A post's identity within one source and locator: a hash of platform and native id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PostId([u64; 2]);

impl Hash for PostId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// The key is a hash already.
#[derive(Default)]
pub(super) struct Through(u64);

impl Hasher for Through {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        let mut other = DefaultHasher::new();
        other.write(bytes);
        self.0 = other.finish();
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

pub(super) type PostMap<V> = HashMap<PostId, V, BuildHasherDefault<Through>>;

/// One capture, without its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Version {
    /// Print of everything but the numbers that move by themselves.
    pub content: u64,
    /// Print of score and comment count.
    pub metrics: u32,
    /// Milliseconds since 1970; its day is the partition.
    pub created_at: i64,
    pub fetched_at: i64,
    pub seq: u64,
}

impl Version {
    /// What decides which of two captures of a (source, locator) is the newer.
    pub(super) fn stamp(&self) -> (i64, u64) {
        (self.fetched_at, self.seq)
    }
}

/// Keys of the prints, drawn once a process: prints never leave it, and nobody can write
/// two texts that look the same to it.
static KEYS: LazyLock<[u64; 4]> = LazyLock::new(|| {
    let state = RandomState::new();
    [1, 2, 3, 4].map(|n: u64| state.hash_one(n) | 1)
});

/// A fast keyed hash (folded multiplication), several bytes a cycle.
struct Print {
    state: u64,
    key: u64,
}

impl Print {
    fn new(state: u64, key: u64) -> Self {
        Self { state, key }
    }

    fn word(&mut self, a: u64, b: u64) {
        let product = u128::from(self.state ^ a) * u128::from(self.key ^ b);
        self.state = (product as u64) ^ ((product >> 64) as u64);
    }

    fn text(&mut self, text: &str) {
        let mut pairs = text.as_bytes().chunks_exact(16);
        for pair in &mut pairs {
            self.word(word(&pair[..8]), word(&pair[8..]));
        }
        let mut last = [0; 16];
        last[..pairs.remainder().len()].copy_from_slice(pairs.remainder());
        self.word(word(&last[..8]), word(&last[8..]));
        self.word(text.len() as u64, 1);
    }

    fn number(&mut self, number: Option<u64>) {
        self.word(number.unwrap_or_default(), 2 + u64::from(number.is_some()));
    }
}

pub(super) fn post_id(e: &Envelope<'_>) -> PostId {
    let print = |state, key| {
        let mut print = Print::new(state, key);
        print.text(e.platform.as_str());
        print.text(e.native_id.as_str());
        print.state
    };
    PostId([print(KEYS[0], KEYS[1]), print(KEYS[2], KEYS[3])])
}

/// Prints of the mapped fields: content (with `edited_at` and `deleted`), then metrics.
pub(super) fn prints(e: &Envelope<'_>) -> (u64, u32) {
    let mut content = Print::new(KEYS[0], KEYS[2]);
    content.word(e.post_type as u64, u64::from(e.deleted));
    for time in [e.created_at, e.edited_at] {
        content.number(time.map(|t| t as u64));
    }
    content.number(e.rating.map(f64::to_bits));
    for text in
        [&e.channel, &e.title, &e.body, &e.url, &e.author, &e.parent_id, &e.link_title, &e.crosspost_parent]
    {
        match text {
            Some(text) => content.text(text.as_str()),
            None => content.word(0, 4),
        }
    }
    let mut metrics = Print::new(KEYS[1], KEYS[3]);
    metrics.number(e.score.map(|n| n as u64));
    metrics.number(e.num_comments.map(|n| n as u64));
    (content.state, metrics.state as u32)
}

fn word(b: &[u8]) -> u64 {
    b.try_into().map_or(0, u64::from_le_bytes)
}

pub(super) struct Known {
    pub newest: Version,
    /// Content prints of captures before the newest, where there are any.
    pub older: Vec<u64>,
}

/// What bronze already holds of one (source, locator). Empty for a first reading.
#[derive(Default)]
pub struct KnownIndex {
    pub(super) posts: PostMap<Known>,
}

impl KnownIndex {
    /// An index of these envelopes. They must be of one (source, locator).
    pub fn from_envelopes<'a>(envelopes: impl IntoIterator<Item = Envelope<'a>>) -> Self {
        let mut index = Self::default();
        for envelope in envelopes {
            index.add(&envelope);
        }
        index
    }

    /// Adds every line of one bronze object (zstd NDJSON). Fails when it cannot be read as
    /// envelopes; the caller names the object.
    pub fn add_object(&mut self, object: impl Read) -> io::Result<()> {
        read_object(object, &mut |envelope| self.add(envelope))
    }

    /// How many posts are known.
    pub fn len(&self) -> usize {
        self.posts.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.posts.is_empty()
    }

    fn add(&mut self, e: &Envelope<'_>) {
        if e.post_type == PostType::Moved {
            // Its capture in the new day is known by itself.
            return;
        }
        let id = post_id(e);
        let (content, metrics) = prints(e);
        let version = Version {
            content,
            metrics,
            created_at: e.created_at.unwrap_or_default(),
            fetched_at: e.fetched_at,
            seq: e.seq,
        };
        match self.posts.entry(id) {
            Entry::Vacant(place) => {
                place.insert(Known { newest: version, older: Vec::new() });
            }
            Entry::Occupied(mut place) => {
                let known = place.get_mut();
                let older = if version.stamp() > known.newest.stamp() {
                    std::mem::replace(&mut known.newest, version)
                } else {
                    version
                };
                if older.content != known.newest.content && !known.older.contains(&older.content) {
                    known.older.push(older.content);
                }
            }
        }
    }
}

/// Reads every line of one bronze object (zstd NDJSON). Fails when it cannot be read as
/// envelopes; the caller names the object.
pub fn read_object(object: impl Read, each: &mut dyn FnMut(&Envelope<'_>)) -> io::Result<()> {
    let mut lines = BufReader::with_capacity(128 << 10, zstd::Decoder::new(object)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        each(&serde_json::from_slice(&line)?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope<'static> {
        serde_json::from_str(
            r#"{"platform":"reddit","source":"s","native_id":"t3_a","post_type":"post","created_at":"2026-11-01T00:00:00.000Z","title":"a title of more than sixteen bytes","fetched_at":"2026-11-01T00:00:00.000Z","seq":1,"adapter_version":"reddit/1","raw":"{}"}"#,
        )
        .unwrap()
    }

    #[test]
    fn every_mapped_field_is_in_the_prints() {
        let first = prints(&envelope());
        type Change = fn(&mut Envelope<'static>);
        let changes: [Change; 13] = [
            |e| e.post_type = PostType::Comment,
            |e| e.channel = Some("x".into()),
            |e| e.created_at = Some(0),
            |e| e.title = Some("a title of more than sixteen bytez".into()),
            |e| e.title = None,
            |e| e.body = Some("".into()),
            |e| e.url = Some("x".into()),
            |e| e.author = Some("x".into()),
            |e| e.rating = Some(0.0),
            |e| e.parent_id = Some("x".into()),
            |e| e.link_title = Some("x".into()),
            |e| e.edited_at = Some(0),
            |e| e.deleted = true,
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut e = envelope();
            change(&mut e);
            assert_ne!(prints(&e).0, first.0, "change {i}");
            assert_eq!(prints(&e).1, first.1, "change {i}");
        }
        let mut e = envelope();
        e.score = Some(0);
        assert_eq!(prints(&e).0, first.0);
        assert_ne!(prints(&e).1, first.1);
        // Where and when it was seen is not what it says.
        let mut e = envelope();
        (e.seq, e.fetched_at, e.raw, e.locator) = (9, 9, "{ }".into(), "x".into());
        assert_eq!(prints(&e), first);
        assert_eq!(post_id(&e), post_id(&envelope()));
        e.native_id = "t3_b".into();
        assert_ne!(post_id(&e), post_id(&envelope()));
    }

    #[test]
    fn the_newest_and_what_was_before_it_are_known() {
        let version = |title: &'static str, fetched_at, seq| {
            let mut e = envelope();
            (e.title, e.fetched_at, e.seq) = (Some(title.into()), fetched_at, seq);
            e
        };
        let mut moved = version("x", 99, 9);
        moved.post_type = PostType::Moved;
        let index = KnownIndex::from_envelopes([
            version("two", 5, 2),
            version("one", 5, 1),
            moved,
            version("zero", 4, 7),
        ]);
        assert_eq!((index.len(), index.is_empty()), (1, false));
        let known = index.posts.values().next().unwrap();
        assert_eq!((known.newest.stamp(), known.older.len()), ((5, 2), 2));
    }
}
