//! How people write Reddit's posts and names: ids in any case, permalinks, short links.
//!
//! Invariant: only what surely is an id of Reddit's is taken for one. Pure.

/// The forms in which a post of Reddit's can be named.
pub(super) const FORMS: &str = "reddit:t3_ID (a post), reddit:t1_ID (a comment), or its permalink";

/// What a word means at Reddit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Meant {
    /// A post or a comment, by its full name.
    Named(String),
    /// An id that may be a post's or a comment's.
    Bare(String),
}

impl Meant {
    /// The full names it may stand for.
    pub fn names(&self) -> Vec<String> {
        match self {
            Meant::Named(name) => vec![name.clone()],
            Meant::Bare(id) => vec![format!("t3_{id}"), format!("t1_{id}")],
        }
    }
}

/// Reads a full name, an id, a permalink or a short link; `None` where it is none of them.
pub(super) fn post(word: &str) -> Option<Meant> {
    let word = word.trim();
    let lower = word.to_ascii_lowercase();
    if let Some(name) = full_name(&lower) {
        return Some(Meant::Named(name));
    }
    if let Some(id) = id(&lower) {
        return Some(Meant::Bare(id));
    }
    let address = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    let (address, query) = address.split_once('?').unwrap_or((address, ""));
    let address = address.split_once('#').map_or(address, |(address, _)| address);
    let (host, path) = match address.split_once('/') {
        Some((host, path)) => (host, path),
        None => return None,
    };
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match host {
        "redd.it" | "www.redd.it" => return Some(Meant::Named(format!("t3_{}", id(parts.next()?)?))),
        // A path alone, as records have it.
        "" | "r" | "u" | "user" | "comments" => {}
        _ if host == "reddit.com" || host.ends_with(".reddit.com") => {}
        _ => return None,
    }
    if path.starts_with("api/info") {
        return query.split('&').find_map(|pair| full_name(pair.strip_prefix("id=")?)).map(Meant::Named);
    }
    let mut parts = address.split('/').filter(|part| !part.is_empty());
    parts.find(|part| matches!(*part, "comments" | "gallery" | "tb"))?;
    let post = id(parts.next()?)?;
    // Behind the post stands its title, or the word `comment`, and then the comment's id.
    Some(Meant::Named(match parts.nth(1).and_then(id) {
        Some(comment) => format!("t1_{comment}"),
        None => format!("t3_{post}"),
    }))
}

fn full_name(word: &str) -> Option<String> {
    let (kind, rest) = word.split_once('_')?;
    (matches!(kind, "t1" | "t3") && id(rest).is_some()).then(|| word.to_string())
}

/// Ids count in base 36.
fn id(word: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    ((1..=13).contains(&word.len()) && word.bytes().all(plain)).then(|| word.to_string())
}

/// A name without what people put before it: `/u/`, `u/`, `@`, the address of a profile.
pub(super) fn name(word: &str) -> &str {
    let word = word.trim();
    let bare = word.split_once("://").map_or(word, |(_, rest)| rest);
    let bare = match bare.split_once("reddit.com/") {
        Some((host, path)) if host.is_empty() || host.ends_with('.') => path,
        _ => word.trim_start_matches('/'),
    };
    let starts = |prefix: &str| bare.get(..prefix.len()).is_some_and(|b| b.eq_ignore_ascii_case(prefix));
    match ["u/", "user/", "@"].iter().find(|prefix| starts(prefix)) {
        Some(prefix) => bare[prefix.len()..].split('/').next().unwrap_or_default(),
        None => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posts_are_named_in_many_ways() {
        for word in [
            "t3_AbC1",
            "T3_abc1",
            "https://www.reddit.com/r/pharmacy/comments/abc1/late_again/",
            "https://old.reddit.com/r/pharmacy/comments/ABC1/late/?utm_source=share#x",
            "reddit.com/comments/abc1",
            "/r/pharmacy/comments/abc1/late_again/",
            "r/pharmacy/comments/abc1",
            "https://www.reddit.com/user/bob/comments/abc1/mine/",
            "https://www.reddit.com/gallery/abc1",
            "https://redd.it/abc1",
            "redd.it/abc1/",
        ] {
            assert_eq!(post(word), Some(Meant::Named("t3_abc1".into())), "{word}");
        }
        for word in [
            "T1_DEF2",
            "https://www.reddit.com/r/pharmacy/comments/abc1/late_again/def2/",
            "https://www.reddit.com/r/pharmacy/comments/abc1/comment/def2/?context=3",
            "/comments/abc1/_/def2",
            "https://www.reddit.com/api/info?id=t1_def2",
        ] {
            assert_eq!(post(word), Some(Meant::Named("t1_def2".into())), "{word}");
        }
        assert_eq!(post("ABC1").unwrap().names(), ["t3_abc1", "t1_abc1"]);
        for word in [
            "",
            "t2_abc1",
            "t3_",
            "t3_a b",
            "no id",
            "https://www.reddit.com/r/pharmacy/s/Xy12Zz",
            "https://www.reddit.com/r/pharmacy/",
            "https://i.redd.it/abc1.jpg",
            "https://e.test/comments/abc1/",
            "https://notreddit.com/comments/abc1/",
            "https://e.test/1",
        ] {
            assert_eq!(post(word), None, "{word}");
        }
    }

    #[test]
    fn names_lose_what_stands_before_them() {
        for word in [
            "Bob_1",
            "u/Bob_1",
            "/u/Bob_1",
            "/U/Bob_1/",
            "@Bob_1",
            "https://www.reddit.com/user/Bob_1/",
            "reddit.com/u/Bob_1",
        ] {
            assert_eq!(name(word), "Bob_1", "{word}");
        }
        assert_eq!(name("user"), "user");
        assert_eq!(name("u/"), "");
        assert_eq!(name("a/b"), "a/b");
    }
}
