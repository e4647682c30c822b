//! What `rxpulse forget` is asked for: which posts words mean, and where the lake holds them.
//!
//! Invariant: a word that may mean several posts, or none that can be told, is refused with what
//! to say instead. Reads all of bronze; changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::exec::{self, Graves, PostKey, Sighting};
use crate::lake::Lake;
use crate::project::Project;
use crate::source::{Traces, same_name};

use super::args::Forget;
use super::common::CliError;

/// How a platform and an id stand in one word.
type Candidates = Vec<(Option<String>, String)>;

/// The author as captures name them.
pub(super) fn author_word(project: &Project, name: &str) -> Result<String, CliError> {
    if name.is_empty() || name == "[deleted]" {
        return Err(CliError::Usage(format!("`{name}` is nobody's name")));
    }
    exec::author_word(&project.config, name).map_err(CliError::Usage)?.ok_or_else(|| {
        CliError::Usage(
            "authors are dropped before anything is written ([privacy] author = \"drop\"), so nobody's posts can be told \
             from others; name the posts instead: rxpulse forget PLATFORM:ID"
                .into(),
        )
    })
}

/// What is to be forgotten, and where it was found.
#[derive(Default)]
pub(super) struct Asked {
    /// With `None`, bronze does not hold it.
    pub posts: BTreeMap<PostKey, Option<Sighting>>,
    /// Platform and word.
    pub author: Option<(String, String)>,
}

impl Asked {
    /// Looks for what the arguments name.
    pub fn read(
        project: &Project,
        args: &Forget,
        author: Option<String>,
        lake: &Lake,
        graves: &Graves,
    ) -> Result<Self, CliError> {
        let platforms = exec::platforms(&project.config);
        let given = args.platform.as_deref();
        if let Some(word) = author {
            let mut found = exec::look(lake, &|e| {
                let platform = e.platform.as_str();
                let same = |a: &str| same_name(platform, a) == same_name(platform, &word);
                e.author.as_ref().is_some_and(|a| same(a.as_str()))
                    && given.is_none_or(|p| p == e.platform.as_str())
            })?;
            let on: BTreeSet<String> = found.keys().map(|(platform, _)| platform.clone()).collect();
            let buried = |p: &&String| exec::is_buried(graves, &graves.forgotten.author(p, &word));
            let platform = match (given, on.len()) {
                (Some(platform), _) => declared(platform, &platforms, !on.is_empty())?,
                (None, 1) => on.into_iter().next().unwrap_or_default(),
                (None, 0) => platforms
                    .iter()
                    .find(buried)
                    .cloned()
                    .or_else(|| only(&platforms))
                    .ok_or_else(|| which_platform("nobody of that name was captured", &platforms))?,
                (None, _) => {
                    return Err(which_platform("there are posts under that name on several sites", &on));
                }
            };
            // Other captures of these posts may not name the author.
            if !found.is_empty() {
                found = exec::look(lake, &|e| {
                    found.contains_key(&(e.platform.as_str().to_string(), e.native_id.as_str().to_string()))
                })?;
            }
            let mut posts = found.into_iter().map(|(key, sighting)| (key, Some(sighting))).collect();
            exec::look_for_comments(lake, &mut posts)?;
            return Ok(Self { posts, author: Some((platform, word)) });
        }
        let wanted: Vec<(&String, Candidates)> =
            args.posts.iter().map(|word| (word, candidates(word, given))).collect();
        let found = exec::look(lake, &|e| {
            wanted.iter().flat_map(|(_, c)| c).any(|(platform, id)| {
                e.native_id.as_str() == id && platform.as_ref().is_none_or(|p| p == e.platform.as_str())
            })
        })?;
        let mut posts = BTreeMap::new();
        for (word, candidates) in &wanted {
            let buried = |key: &PostKey| exec::is_buried(graves, &graves.forgotten.post(&key.0, &key.1));
            let key = identity(word, candidates, found.keys(), &platforms, &buried)?;
            let sighting = found.get(&key).cloned();
            posts.insert(key, sighting);
        }
        exec::look_for_comments(lake, &mut posts)?;
        Ok(Self { posts, author: None })
    }

    /// The words by which it is recognized elsewhere.
    pub fn traces(&self) -> Traces {
        let mut out = Traces::default();
        for ((platform, id), sighting) in &self.posts {
            out.post(platform, id);
            sighting.iter().flat_map(|s| &s.texts).for_each(|text| out.text(text));
        }
        self.author.iter().for_each(|(_, word)| out.author(word));
        out
    }

    /// The hashes by which it is known once it is buried.
    pub fn prints(&self, graves: &Graves) -> BTreeSet<String> {
        let posts = self.posts.keys().map(|(platform, id)| graves.forgotten.post(platform, id));
        let author = self.author.iter().map(|(platform, word)| graves.forgotten.author(platform, word));
        posts.chain(author).collect()
    }

    /// The posts as tables name them.
    pub fn ids(&self) -> BTreeSet<String> {
        self.posts.keys().map(|(platform, id)| format!("{platform}:{id}")).collect()
    }

    /// The files that it was read from.
    pub fn locators(&self) -> BTreeSet<String> {
        self.posts.values().flatten().flat_map(|s| s.locators.iter().cloned()).collect()
    }
}

fn only(platforms: &BTreeSet<String>) -> Option<String> {
    platforms.first().filter(|_| platforms.len() == 1).cloned()
}

fn declared(platform: &str, platforms: &BTreeSet<String>, found: bool) -> Result<String, CliError> {
    if found || platforms.contains(platform) {
        return Ok(platform.to_string());
    }
    let hint = match crate::diagnostic::did_you_mean(platform, platforms.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the sources are of {}", words(platforms)),
    };
    Err(CliError::Usage(format!("no source is of the platform `{platform}`; {hint}")))
}

fn words(all: &BTreeSet<String>) -> String {
    all.iter().cloned().collect::<Vec<_>>().join(", ")
}

fn which_platform(why: &str, platforms: &BTreeSet<String>) -> CliError {
    CliError::Usage(format!("{why}; say which site with --platform: {}", words(platforms)))
}

/// What a word may mean: an id, or a platform and an id.
fn candidates(word: &str, given: Option<&str>) -> Candidates {
    let mut out = vec![(given.map(str::to_string), word.to_string())];
    let is_word = |p: &str| {
        !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    if let Some((platform, id)) = word.split_once(':')
        && is_word(platform)
        && !id.is_empty()
        && given.is_none_or(|g| g == platform)
    {
        out.push((Some(platform.to_string()), id.to_string()));
    }
    out
}

/// The post that a word means: the one that was found, else the one that it names.
fn identity<'k>(
    word: &str,
    candidates: &Candidates,
    found: impl Iterator<Item = &'k PostKey>,
    platforms: &BTreeSet<String>,
    buried: &dyn Fn(&PostKey) -> bool,
) -> Result<PostKey, CliError> {
    let means = |key: &&PostKey| {
        candidates.iter().any(|(p, id)| *id == key.1 && p.as_ref().is_none_or(|p| *p == key.0))
    };
    let matches: Vec<&PostKey> = found.filter(means).collect();
    match matches.as_slice() {
        [one] => return Ok((*one).clone()),
        [] => {}
        several => {
            let list: Vec<String> = several.iter().map(|(p, id)| format!("{p}:{id}")).collect();
            return Err(CliError::Usage(format!("`{word}` may be {}; say which", list.join(" or "))));
        }
    }
    // Not in bronze (any more).
    for (platform, id) in candidates {
        let known = platforms.iter().filter(|p| platform.as_ref().is_none_or(|q| q == *p));
        if let Some(key) = known.map(|p| (p.clone(), id.clone())).find(buried) {
            return Ok(key);
        }
    }
    if let Some((Some(platform), id)) = candidates.last() {
        return Ok((declared(platform, platforms, false)?, id.clone()));
    }
    let reddit = ["t1_", "t3_"].iter().any(|kind| word.starts_with(kind)) && platforms.contains("reddit");
    match only(platforms) {
        _ if reddit => Ok(("reddit".into(), word.into())),
        Some(platform) => Ok((platform, word.into())),
        None => Err(CliError::Usage(format!(
            "`{word}` was not captured; to keep it from coming, say of which site it is: PLATFORM:{word}, one of {}",
            words(platforms)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(platform: &str, id: &str) -> PostKey {
        (platform.to_string(), id.to_string())
    }

    fn meant(
        word: &str,
        given: Option<&str>,
        found: &[PostKey],
        platforms: &[&str],
    ) -> Result<PostKey, String> {
        let platforms: BTreeSet<String> = platforms.iter().map(|p| (*p).to_string()).collect();
        let buried = |key: &PostKey| key.1 == "old";
        match identity(word, &candidates(word, given), found.iter(), &platforms, &buried) {
            Ok(key) => Ok(key),
            Err(CliError::Usage(message)) => Err(message),
            Err(_) => Err("another error".into()),
        }
    }

    #[test]
    fn a_word_names_one_post() {
        let found =
            [key("reddit", "t3_a"), key("feed", "https://e.test/1"), key("feed", "12"), key("shop", "12")];
        let all = ["reddit", "feed", "shop"];
        for (word, given, post) in [
            ("reddit:t3_a", None, key("reddit", "t3_a")),
            ("t3_a", None, key("reddit", "t3_a")),
            ("https://e.test/1", None, key("feed", "https://e.test/1")),
            ("feed:https://e.test/1", None, key("feed", "https://e.test/1")),
            ("feed:12", None, key("feed", "12")),
            ("12", Some("shop"), key("shop", "12")),
            // Not in bronze.
            ("t3_new", None, key("reddit", "t3_new")),
            ("shop:9", None, key("shop", "9")),
            ("9", Some("feed"), key("feed", "9")),
            ("old", None, key("feed", "old")),
        ] {
            assert_eq!(meant(word, given, &found, &all), Ok(post), "{word}");
        }
        assert_eq!(meant("9", None, &[], &["shop"]), Ok(key("shop", "9")));
    }

    #[test]
    fn a_word_that_may_be_several_is_refused_with_what_to_say() {
        let found = [key("feed", "12"), key("shop", "12")];
        let all = ["reddit", "feed", "shop"];
        let wrong = |word: &str, given| meant(word, given, &found, &all).unwrap_err();
        assert_eq!(wrong("12", None), "`12` may be feed:12 or shop:12; say which");
        assert!(wrong("9", None).contains("PLATFORM:9, one of feed, reddit, shop"));
        assert!(wrong("redit:t3_a", None).contains("did you mean `reddit`?"));
        assert!(wrong("https://e.test/2", None).contains("the platform `https`"));
    }
}
