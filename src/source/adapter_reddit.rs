//! Reddit's records: API answers and archive dumps share one shape.
//!
//! Maps one post or comment object to an envelope. Unknown fields are ignored; a type that
//! cannot be meant, a missing id or time refuses the record with a reason. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::adapter::{Loose, Redactor, Reject, in_years};
use super::splice;
use crate::envelope::{Envelope, PostType, Text};

/// In every envelope; another number when the same bytes are mapped differently.
pub(super) const VERSION: &str = "reddit/2";

/// What is the same for every record of a file.
pub(super) struct FileFacts<'a> {
    pub source: &'a str,
    pub locator: &'a str,
    /// When the file was last written: the retrieval time of records that carry none.
    pub modified_ms: i64,
    /// Later retrieval times are not believed.
    pub now_ms: i64,
    pub redactor: &'a Redactor,
}

impl FileFacts<'_> {
    /// The record's own retrieval time, unless it lies more than a day ahead: such a capture
    /// would stay the newest for ever.
    pub(super) fn fetched_at(&self, own: Option<i64>) -> i64 {
        own.filter(|ms| *ms <= self.now_ms.saturating_add(86_400_000)).unwrap_or(self.modified_ms)
    }
}

/// Maps a record whose nested copies are already cut. `kind` is `t1` or `t3` where a listing
/// says so. The envelope's `raw` and `seq` are left to the caller.
pub(super) fn map<'a>(
    record: &'a str,
    kind: Option<&str>,
    file: &FileFacts<'a>,
) -> Result<Envelope<'a>, Reject> {
    if splice::too_deep(record.as_bytes()) {
        return Err(Reject::new("too_deep", "objects or lists nested too deep"));
    }
    let f: Fields<'a> = serde_json::from_str(record).map_err(|e| Reject::from_json(&e))?;
    let (native_id, post_type) = identity(f.name, f.id, kind, || {
        let link = matches!(f.link_id, Loose::Text(_)) || matches!(f.parent_id, Loose::Text(_));
        if !matches!(f.title, Loose::Null) && !link {
            Some("t3")
        } else if link || !matches!(f.body, Loose::Null) {
            Some("t1")
        } else {
            None
        }
    })?;
    let created_at = match &f.created_utc {
        Loose::Null => return Err(Reject::new("missing_created_at", "created_utc is missing")),
        value => value
            .epoch_seconds()
            .ok_or_else(|| Reject::new("bad_created_at", "created_utc is not a time in seconds"))?,
    };
    let title = f.title.text("title")?;
    let body = match post_type {
        PostType::Comment => f.body.text("body")?,
        _ => f.selftext.text("selftext")?,
    };
    let author = f.author.text("author")?;
    let removed = match f.removed_by_category {
        Loose::Null => false,
        Loose::Text(why) => !why.is_empty(),
        other => return Err(Reject::mistyped("removed_by_category", &other)),
    };
    let edited_at = match &f.edited {
        Loose::Null | Loose::Bool(_) => None,
        // As tables have it in which every column is of one type.
        Loose::Text(text) if matches!(text.trim().to_ascii_lowercase().as_str(), "" | "false" | "true") => {
            None
        }
        value if value.is_nan() => None,
        value => Some(value.epoch_seconds().ok_or_else(|| Reject::mistyped("edited", value))?),
    };
    let retrieved = [&f.retrieved_on, &f.retrieved_utc, &f.meta.retrieved_again]
        .into_iter()
        .filter_map(Loose::epoch_seconds)
        .max();
    let gone = |text: &Option<Cow<'_, str>>| matches!(text.as_deref(), Some("[deleted]" | "[removed]"));
    let permalink = f.permalink.text("permalink")?;
    let link_id = f.link_id.text("link_id")?;
    Ok(Envelope {
        platform: "reddit".into(),
        source: file.source.into(),
        url: Some(url(permalink, link_id.as_deref(), &native_id, post_type).into()),
        // An author `[deleted]` stands for a deleted post as well as for a deleted account:
        // in both cases the text must go.
        deleted: removed
            || f.meta.deleted_later
            || gone(&body)
            || gone(&title)
            || author.as_deref() == Some("[deleted]"),
        native_id: Text(native_id),
        post_type,
        channel: f.subreddit.text("subreddit")?.map(Text),
        created_at: Some(created_at),
        title: title.map(Text),
        body: body.map(Text),
        author: author
            .filter(|name| name != "[deleted]")
            .and_then(|name| match name {
                Cow::Borrowed(name) => file.redactor.replace(name),
                Cow::Owned(name) => file.redactor.replace(&name).map(|n| Cow::Owned(n.into_owned())),
            })
            .map(Text),
        score: f.score.integer("score")?,
        num_comments: f.num_comments.integer("num_comments")?,
        rating: None,
        parent_id: f.parent_id.text("parent_id")?.map(Text),
        link_title: f.link_title.text("link_title")?.map(Text),
        crosspost_parent: f.crosspost_parent.text("crosspost_parent")?.map(Text),
        edited_at,
        fetched_at: file.fetched_at(retrieved.and_then(in_years)),
        locator: file.locator.into(),
        seq: 0,
        adapter_version: VERSION.into(),
        raw: "".into(),
    })
}

/// Completes an envelope with its record, authors as privacy says: in the record, and where a
/// profile is the channel, in its name and in the address as well.
pub(super) fn finish<'a>(e: &mut Envelope<'a>, record: &'a str, redactor: &Redactor) {
    e.raw = Text(splice::redact(record, redactor, None));
    if redactor.keeps() {
        return;
    }
    if let Some(channel) = e.channel.as_ref().and_then(|c| splice::without_profile(c.as_str(), redactor)) {
        e.channel = Some(channel.into());
    }
    if let Some(url) = e.url.as_ref().and_then(|url| splice::without_profile_path(url.as_str())) {
        e.url = Some(url.into()).filter(|url: &Text<'_>| !url.as_str().is_empty());
    }
}

/// The full name (`t3_abc`) and what it names.
fn identity<'a>(
    name: Loose<'a>,
    id: Loose<'a>,
    kind: Option<&str>,
    shape: impl FnOnce() -> Option<&'static str>,
) -> Result<(Cow<'a, str>, PostType), Reject> {
    let of_kind = |kind: &str| match kind {
        "t1" => Ok(PostType::Comment),
        "t3" => Ok(PostType::Post),
        _ => Err(Reject::new("unknown_kind", "neither a post (t3) nor a comment (t1)")),
    };
    let full = |text: &str| {
        let b = text.as_bytes();
        b.len() > 3 && b[0] == b't' && b[1].is_ascii_digit() && b[2] == b'_'
    };
    let sane = |text: &str| text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let refuse = |field: &str, detail: &str| Reject {
        reason: Cow::Owned(format!("mistyped:{field}")),
        detail: format!("{field} {detail}"),
    };
    if let Loose::Text(name) = name
        && full(&name)
    {
        if !sane(&name) {
            return Err(refuse("name", "is not an id of Reddit"));
        }
        let post_type = of_kind(&name[..2])?;
        return Ok((name, post_type));
    }
    let id = match id {
        Loose::Null => return Err(Reject::new("missing_id", "neither name nor id")),
        Loose::Text(id) if id.is_empty() => return Err(Reject::new("missing_id", "the id is empty")),
        Loose::Text(id) if sane(&id) => id,
        Loose::Text(_) => return Err(refuse("id", "is not an id of Reddit")),
        other => return Err(Reject::mistyped("id", &other)),
    };
    if full(&id) {
        let post_type = of_kind(&id[..2])?;
        return Ok((id, post_type));
    }
    let kind = kind.unwrap_or_else(|| shape().unwrap_or_default());
    if kind.is_empty() {
        return Err(Reject::new("unknown_kind", "neither a title nor a body"));
    }
    let post_type = of_kind(kind)?;
    Ok((Cow::Owned(format!("{kind}_{id}")), post_type))
}

fn url(
    permalink: Option<Cow<'_, str>>,
    link_id: Option<&str>,
    native_id: &str,
    post_type: PostType,
) -> String {
    let id = &native_id[3..];
    let path = match permalink.as_deref() {
        Some(path) if path.starts_with('/') => Some(&path[1..]),
        Some(url) => url
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'))
            .and_then(|(host, path)| (host == "reddit.com" || host.ends_with(".reddit.com")).then_some(path)),
        None => None,
    };
    match (path, link_id.and_then(|l| l.strip_prefix("t3_"))) {
        (Some(path), _) => ["https://www.reddit.com/", path].concat(),
        (None, Some(post)) if post_type == PostType::Comment => {
            format!("https://www.reddit.com/comments/{post}/_/{id}/")
        }
        (None, _) if post_type == PostType::Comment => {
            format!("https://www.reddit.com/api/info?id={native_id}")
        }
        (None, _) => format!("https://www.reddit.com/comments/{id}/"),
    }
}

#[derive(Default)]
struct Fields<'a> {
    id: Loose<'a>,
    name: Loose<'a>,
    subreddit: Loose<'a>,
    title: Loose<'a>,
    selftext: Loose<'a>,
    body: Loose<'a>,
    permalink: Loose<'a>,
    created_utc: Loose<'a>,
    edited: Loose<'a>,
    author: Loose<'a>,
    removed_by_category: Loose<'a>,
    score: Loose<'a>,
    num_comments: Loose<'a>,
    parent_id: Loose<'a>,
    link_id: Loose<'a>,
    link_title: Loose<'a>,
    crosspost_parent: Loose<'a>,
    retrieved_on: Loose<'a>,
    retrieved_utc: Loose<'a>,
    meta: Meta<'a>,
}

macro_rules! keys {
    ($($variant:ident = $text:literal),* $(,)?) => {
        enum Key { $($variant,)* Other }

        impl<'de> serde::Deserialize<'de> for Key {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct V;
                impl Visitor<'_> for V {
                    type Value = Key;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a key")
                    }
                    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                        Ok(match key { $($text => Key::$variant,)* _ => Key::Other })
                    }
                }
                d.deserialize_identifier(V)
            }
        }
    };
}

keys! {
    Id = "id", Name = "name", Subreddit = "subreddit", Title = "title", Selftext = "selftext",
    Body = "body", Permalink = "permalink", CreatedUtc = "created_utc", Edited = "edited",
    Author = "author", RemovedByCategory = "removed_by_category", Score = "score",
    NumComments = "num_comments", ParentId = "parent_id", LinkId = "link_id",
    LinkTitle = "link_title", CrosspostParent = "crosspost_parent", RetrievedOn = "retrieved_on",
    RetrievedUtc = "retrieved_utc", Meta = "_meta",
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            // A key that stands twice: the last one counts, as for every JSON reader.
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut f = Fields::default();
                while let Some(key) = map.next_key::<Key>()? {
                    let field = match key {
                        Key::Id => &mut f.id,
                        Key::Name => &mut f.name,
                        Key::Subreddit => &mut f.subreddit,
                        Key::Title => &mut f.title,
                        Key::Selftext => &mut f.selftext,
                        Key::Body => &mut f.body,
                        Key::Permalink => &mut f.permalink,
                        Key::CreatedUtc => &mut f.created_utc,
                        Key::Edited => &mut f.edited,
                        Key::Author => &mut f.author,
                        Key::RemovedByCategory => &mut f.removed_by_category,
                        Key::Score => &mut f.score,
                        Key::NumComments => &mut f.num_comments,
                        Key::ParentId => &mut f.parent_id,
                        Key::LinkId => &mut f.link_id,
                        Key::LinkTitle => &mut f.link_title,
                        Key::CrosspostParent => &mut f.crosspost_parent,
                        Key::RetrievedOn => &mut f.retrieved_on,
                        Key::RetrievedUtc => &mut f.retrieved_utc,
                        Key::Meta => {
                            f.meta = map.next_value()?;
                            continue;
                        }
                        Key::Other => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *field = map.next_value()?;
                }
                Ok(f)
            }
        }
        d.deserialize_map(V)
    }
}

/// What the archives add about a record's later life.
#[derive(Default)]
struct Meta<'a> {
    retrieved_again: Loose<'a>,
    deleted_later: bool,
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Meta<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        // Each on its own: a type that nobody expected must not hide a deletion.
        let text = <&'de RawValue>::deserialize(d)?.get();
        let mut known: BTreeMap<Cow<'de, str>, Loose<'de>> = serde_json::from_str(text).unwrap_or_default();
        let deleted_later = match known.get("was_deleted_later") {
            None | Some(Loose::Null | Loose::Nested) => false,
            Some(Loose::Bool(deleted)) => *deleted,
            Some(Loose::Int(number)) => *number != 0,
            Some(Loose::Float(number)) => *number != 0.0,
            Some(Loose::Text(text)) => {
                matches!(text.trim().to_ascii_lowercase().as_str(), "true" | "yes" | "1")
            }
        };
        Ok(Meta { retrieved_again: known.remove("retrieved_2nd_on").unwrap_or_default(), deleted_later })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{AuthorRule, Privacy};

    fn mapped(record: &str, kind: Option<&str>) -> Result<String, String> {
        let redactor = Redactor::new(&Privacy { author: AuthorRule::Keep });
        let file = FileFacts {
            source: "inbox",
            locator: "in/a",
            modified_ms: 1_700_000_000_000,
            now_ms: 1_800_000_000_000,
            redactor: &redactor,
        };
        map(record, kind, &file)
            .map(|e| serde_json::to_string(&e).unwrap())
            .map_err(|r| format!("{}: {}", r.reason, r.detail))
    }

    #[test]
    fn a_post_is_mapped() {
        insta::assert_snapshot!(mapped(r#"{"id":"a1","name":"t3_a1","subreddit":"pharmacy","title":"Late &amp; lost","selftext":"x","created_utc":1201956807.0,"score":5,"num_comments":2,"permalink":"/r/pharmacy/comments/a1/late/","author":"bob","edited":1201956900.0,"retrieved_on":1201960000,"crosspost_parent":"t3_z"}"#, None).unwrap(), @r#"{"platform":"reddit","source":"inbox","native_id":"t3_a1","post_type":"post","channel":"pharmacy","created_at":"2008-02-02T12:53:27.000Z","title":"Late &amp; lost","body":"x","url":"https://www.reddit.com/r/pharmacy/comments/a1/late/","author":"bob","score":5,"num_comments":2,"rating":null,"parent_id":null,"link_title":null,"crosspost_parent":"t3_z","edited_at":"2008-02-02T12:55:00.000Z","deleted":false,"fetched_at":"2008-02-02T13:46:40.000Z","locator":"in/a","seq":0,"adapter_version":"reddit/2","raw":""}"#);
    }

    #[test]
    fn a_comment_of_a_dump_is_mapped() {
        insta::assert_snapshot!(mapped(r#"{"id":"c9","link_id":"t3_a1","parent_id":"t1_c8","body":"yes","created_utc":"1201956807","edited":true,"author":"[deleted]","score":null}"#, None).unwrap(), @r#"{"platform":"reddit","source":"inbox","native_id":"t1_c9","post_type":"comment","channel":null,"created_at":"2008-02-02T12:53:27.000Z","title":null,"body":"yes","url":"https://www.reddit.com/comments/a1/_/c9/","author":null,"score":null,"num_comments":null,"rating":null,"parent_id":"t1_c8","link_title":null,"crosspost_parent":null,"edited_at":null,"deleted":true,"fetched_at":"2023-11-14T22:13:20.000Z","locator":"in/a","seq":0,"adapter_version":"reddit/2","raw":""}"#);
    }

    #[test]
    fn permalinks_come_in_several_forms() {
        let of = |permalink: &str| url(Some(Cow::Borrowed(permalink)), None, "t3_a", PostType::Post);
        assert_eq!(of("/r/a/comments/b/"), "https://www.reddit.com/r/a/comments/b/");
        assert_eq!(of("http://www.reddit.com/r/a/"), "https://www.reddit.com/r/a/");
        assert_eq!(of("https://old.reddit.com/r/a/"), "https://www.reddit.com/r/a/");
        assert_eq!(of(""), "https://www.reddit.com/comments/a/");
    }

    #[test]
    fn deletions_are_seen_in_every_form() {
        for extra in [
            r#""selftext":"[removed]""#,
            r#""selftext":"[deleted]""#,
            r#""author":"[deleted]""#,
            r#""removed_by_category":"moderator""#,
            r#""_meta":{"was_deleted_later":true,"retrieved_2nd_on":1201960001}"#,
            r#""_meta":{"retrieved_2nd_on":"1201960001","was_deleted_later":true}"#,
            r#""_meta":{"retrieved_2nd_on":[],"was_deleted_later":true}"#,
            r#""_meta":{"was_deleted_later":1,"retrieved_2nd_on":1201960001}"#,
            r#""_meta":{"was_deleted_later":"true","x":{"y":[1]}}"#,
        ] {
            let record = format!(r#"{{"id":"a","title":"t","created_utc":1,{extra}}}"#);
            assert!(mapped(&record, None).unwrap().contains(r#""deleted":true"#), "{extra}");
        }
        let kept =
            r#"{"id":"a","title":"t","created_utc":1,"author":null,"removed_by_category":null,"_meta":[1]}"#;
        assert!(mapped(kept, None).unwrap().contains(r#""deleted":false"#));
        for meta in [r#"{"was_deleted_later":"false"}"#, r#"{"was_deleted_later":0}"#, "[1,true]", "\"true\""]
        {
            let record = format!(r#"{{"id":"a","title":"t","created_utc":1,"_meta":{meta}}}"#);
            assert!(mapped(&record, None).unwrap().contains(r#""deleted":false"#), "{meta}");
        }
        let again = r#"{"id":"a","title":"t","created_utc":1,"_meta":{"retrieved_2nd_on":"1201960001","was_deleted_later":"odd"}}"#;
        assert!(mapped(again, None).unwrap().contains(r#""fetched_at":"2008-02-02T13:46:41.000Z""#));
    }

    #[test]
    fn tables_of_one_type_a_column_say_nothing_in_odd_words() {
        for extra in
            [r#""edited":"""#, r#""edited":"False""#, r#""edited":"true""#, r#""edited":"NaN","score":"NaN""#]
        {
            let record = format!(r#"{{"id":"a","title":"t","created_utc":1,{extra}}}"#);
            let out = mapped(&record, None).unwrap();
            assert!(out.contains(r#""edited_at":null"#) && out.contains(r#""score":null"#), "{extra}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_a_reason() {
        let cases = [
            r#"{"title":"t","created_utc":1}"#,
            r#"{"id":"","title":"t","created_utc":1}"#,
            r#"{"id":7,"title":"t","created_utc":1}"#,
            r#"{"id":"a b","title":"t","created_utc":1}"#,
            r#"{"id":"a","title":"t"}"#,
            r#"{"id":"a","title":"t","created_utc":null}"#,
            r#"{"id":"a","title":"t","created_utc":"soon"}"#,
            r#"{"id":"a","title":"t","created_utc":1e300}"#,
            r#"{"id":"a","title":"t","created_utc":true}"#,
            r#"{"id":"a","title":12,"created_utc":1}"#,
            r#"{"id":"a","title":"t","selftext":{},"created_utc":1}"#,
            r#"{"id":"a","title":"t","score":9223372036854775808,"created_utc":1}"#,
            r#"{"id":"a","title":"t","edited":"yes","created_utc":1}"#,
            r#"{"id":"a","created_utc":1}"#,
            r#"{"id":"a","name":"t5_a","title":"t","created_utc":1}"#,
            r#"[1]"#,
            r#""text""#,
            r#"{"id":"a""#,
            r#"{"id":"\ud800","created_utc":1}"#,
            r#"{"id":"a","n":NaN}"#,
        ];
        let shown: Vec<String> =
            cases.iter().map(|c| format!("{c}  →  {}", mapped(c, None).unwrap_err())).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        let out = mapped(r#"{"id":"a","title":"one","title":"two","created_utc":1}"#, None).unwrap();
        assert!(out.contains(r#""title":"two""#));
    }

    #[test]
    fn depth_is_limited() {
        let deep = format!(r#"{{"id":"a","x":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(mapped(&deep, None).unwrap_err().starts_with("too_deep"));
    }

    #[test]
    fn a_retrieval_time_far_ahead_is_not_believed() {
        let out =
            mapped(r#"{"id":"a","title":"t","created_utc":1,"retrieved_on":99999999999}"#, None).unwrap();
        assert!(out.contains(r#""fetched_at":"2023-11-14T22:13:20.000Z""#));
    }
}
