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
use super::forget_reddit;

/// How a platform and an id stand in one word.
type Candidates = Vec<(Option<String>, String)>;

/// A post as somebody named it.
struct Word {
    /// As it stands there.
    exact: Candidates,
    /// What it means at Reddit, where it may be of that site.
    reddit: Option<forget_reddit::Meant>,
    /// It says that it is of Reddit.
    says_reddit: bool,
}

impl Word {
    fn read(word: &str, given: Option<&str>) -> Self {
        let rest = word.strip_prefix("reddit:");
        let reddit = match given {
            None | Some("reddit") => forget_reddit::post(rest.unwrap_or(word)),
            Some(_) => None,
        };
        Self {
            exact: candidates(word, given),
            reddit,
            says_reddit: given == Some("reddit") || (given.is_none() && rest.is_some()),
        }
    }

    fn means(&self, platform: &str, id: &str) -> bool {
        let as_it_is =
            |(p, i): &(Option<String>, String)| i == id && p.as_deref().is_none_or(|p| p == platform);
        self.exact.iter().any(as_it_is)
            || platform == "reddit"
                && self.reddit.as_ref().is_some_and(|meant| meant.names().iter().any(|name| name == id))
    }
}

/// The forms in which captures may name an author, the likeliest first.
pub(super) fn author_words(project: &Project, name: &str) -> Result<Vec<String>, CliError> {
    let plain = forget_reddit::name(name);
    if plain.is_empty() || plain == "[deleted]" {
        return Err(CliError::Usage(format!("`{name}` is nobody's name")));
    }
    let mut names = vec![plain.to_string()];
    for other in [name.to_string(), plain.to_ascii_lowercase()] {
        if !names.contains(&other) {
            names.push(other);
        }
    }
    exec::author_words(&project.config, &names).map_err(CliError::Usage)?.ok_or_else(|| {
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
    /// Platform and word, in every form of the name that may come; the site is the same in all.
    pub authors: Vec<(String, String)>,
}

impl Asked {
    /// Looks for what the arguments name.
    pub fn read(
        project: &Project,
        args: &Forget,
        author: Option<Vec<String>>,
        lake: &Lake,
        graves: &Graves,
    ) -> Result<Self, CliError> {
        let platforms = exec::platforms(&project.config);
        let given = args.platform.as_deref();
        if let Some(words) = author {
            let of = std::cell::RefCell::new(BTreeSet::<(String, String)>::new());
            let mut found = exec::look(lake, &|e| {
                let platform = e.platform.as_str();
                if given.is_some_and(|p| p != platform) {
                    return false;
                }
                let same =
                    |a: &str| words.iter().find(|word| same_name(platform, a) == same_name(platform, word));
                let word = e.author.as_ref().and_then(|a| same(a.as_str()));
                word.is_some_and(|word| {
                    of.borrow_mut().insert((platform.to_string(), word.clone()));
                    true
                })
            })?;
            let mut authors = of.into_inner();
            let on: BTreeSet<String> = found.keys().map(|(platform, _)| platform.clone()).collect();
            let buried = |p: &&String| {
                words.iter().any(|word| exec::is_buried(graves, &graves.forgotten.author(p, word)))
            };
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
            if authors.is_empty() {
                // Whichever form comes later.
                let forms =
                    words.iter().map(|word| (platform.clone(), same_name(&platform, word).into_owned()));
                authors.extend(forms);
            }
            // Other captures of these posts may not name the author.
            if !found.is_empty() {
                found = exec::look(lake, &|e| {
                    found.contains_key(&(e.platform.as_str().to_string(), e.native_id.as_str().to_string()))
                })?;
            }
            let mut posts = found.into_iter().map(|(key, sighting)| (key, Some(sighting))).collect();
            exec::look_for_comments(lake, &mut posts)?;
            return Ok(Self { posts, authors: authors.into_iter().collect() });
        }
        let wanted: Vec<(&String, Word)> =
            args.posts.iter().map(|word| (word, Word::read(word, given))).collect();
        let found = exec::look(lake, &|e| {
            wanted.iter().any(|(_, word)| word.means(e.platform.as_str(), e.native_id.as_str()))
        })?;
        let mut posts = BTreeMap::new();
        for (word, meant) in &wanted {
            let buried = |key: &PostKey| exec::is_buried(graves, &graves.forgotten.post(&key.0, &key.1));
            let key = identity(word, meant, found.keys(), &platforms, &buried)?;
            let sighting = found.get(&key).cloned();
            posts.insert(key, sighting);
        }
        exec::look_for_comments(lake, &mut posts)?;
        Ok(Self { posts, authors: Vec::new() })
    }

    /// The words by which it is recognized elsewhere.
    pub fn traces(&self) -> Traces {
        let mut out = Traces::default();
        for ((platform, id), sighting) in &self.posts {
            out.post(platform, id);
            sighting.iter().flat_map(|s| &s.texts).for_each(|text| out.text(text));
        }
        self.authors.iter().for_each(|(_, word)| out.author(word));
        out
    }

    /// The hashes by which it is known once it is buried.
    pub fn prints(&self, graves: &Graves) -> BTreeSet<String> {
        let posts = self.posts.keys().map(|(platform, id)| graves.forgotten.post(platform, id));
        let author = self.authors.iter().map(|(platform, word)| graves.forgotten.author(platform, word));
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
    meant: &Word,
    found: impl Iterator<Item = &'k PostKey>,
    platforms: &BTreeSet<String>,
    buried: &dyn Fn(&PostKey) -> bool,
) -> Result<PostKey, CliError> {
    let matches: Vec<&PostKey> = found.filter(|key| meant.means(&key.0, &key.1)).collect();
    match matches.as_slice() {
        [one] => return Ok((*one).clone()),
        [] => {}
        several => {
            let list: Vec<String> = several.iter().map(|(p, id)| format!("{p}:{id}")).collect();
            return Err(CliError::Usage(format!("`{word}` may be {}; say which", list.join(" or "))));
        }
    }
    // Not in bronze (any more).
    let reddit = || platforms.get("reddit").filter(|_| meant.says_reddit || meant.exact[0].0.is_none());
    let at_reddit = meant.reddit.iter().flat_map(forget_reddit::Meant::names);
    let named = at_reddit.map(|id| (Some("reddit".to_string()), id)).collect::<Candidates>();
    for (platform, id) in meant.exact.iter().chain(&named) {
        let known = platforms.iter().filter(|p| platform.as_ref().is_none_or(|q| q == *p));
        if let Some(key) = known.map(|p| (p.clone(), id.clone())).find(buried) {
            return Ok(key);
        }
    }
    if let (Some(forget_reddit::Meant::Named(id)), Some(platform)) = (&meant.reddit, reddit()) {
        return Ok((platform.clone(), id.clone()));
    }
    let of_another = |(p, _): &(Option<String>, String)| p.as_deref().is_some_and(|p| p != "reddit");
    let of_another = !word.contains("://") && meant.exact.last().is_some_and(of_another);
    if let Some(platform) = reddit()
        && (meant.says_reddit || platforms.len() == 1)
        && !of_another
    {
        // Buried as it stands here, it would keep nothing from coming.
        let why = match meant.reddit {
            Some(_) => "was not captured, and may be a post's id or a comment's",
            None => "is no post of Reddit's",
        };
        let word = word.strip_prefix(&format!("{platform}:")).unwrap_or(word);
        return Err(CliError::Usage(format!("`{word}` {why}; say {}", forget_reddit::FORMS)));
    }
    if let Some((Some(platform), id)) = meant.exact.last() {
        return Ok((declared(platform, platforms, false)?, id.clone()));
    }
    match only(platforms) {
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
        match identity(word, &Word::read(word, given), found.iter(), &platforms, &buried) {
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
    fn posts_of_reddit_are_known_however_they_are_written() {
        let found = [key("reddit", "t3_abc1"), key("reddit", "t1_def2"), key("feed", "zzz")];
        for platforms in [&["reddit"][..], &["reddit", "feed"]] {
            for (word, given, id) in [
                ("T3_ABC1", None, "t3_abc1"),
                ("abc1", None, "t3_abc1"),
                ("reddit:ABC1", None, "t3_abc1"),
                ("def2", Some("reddit"), "t1_def2"),
                ("https://www.reddit.com/r/x/comments/abc1/late/", None, "t3_abc1"),
                ("https://www.reddit.com/r/x/comments/abc1/late/def2/", None, "t1_def2"),
                ("reddit:https://redd.it/abc1", None, "t3_abc1"),
                // Not in bronze, and told apart all the same.
                ("T1_NEW1", None, "t1_new1"),
                ("https://redd.it/new1", None, "t3_new1"),
                ("reddit:/r/x/comments/abc1/late/new1/", None, "t1_new1"),
                ("https://redd.it/old", None, "t3_old"),
            ] {
                assert_eq!(meant(word, given, &found, platforms), Ok(key("reddit", id)), "{word}");
            }
            for (word, given) in [
                ("reddit:new1", None),
                ("new1", Some("reddit")),
                ("reddit:https://www.reddit.com/r/x/s/AbCd", None),
                ("reddit:no id", None),
            ] {
                let refused = meant(word, given, &found, platforms).unwrap_err();
                assert!(refused.ends_with(forget_reddit::FORMS), "{word}: {refused}");
            }
        }
        assert!(meant("new1", None, &found, &["reddit"]).unwrap_err().contains("a post's id or a comment's"));
        assert!(meant("new1", None, &found, &["reddit", "feed"]).unwrap_err().contains("PLATFORM:new1"));
        let both = [key("reddit", "t3_abc1"), key("reddit", "t1_abc1")];
        let refused = meant("ABC1", None, &both, &["reddit"]).unwrap_err();
        assert_eq!(refused, "`ABC1` may be reddit:t3_abc1 or reddit:t1_abc1; say which");
        // Of other sites, words mean what they say.
        assert_eq!(meant("T3_X", Some("shop"), &[], &["reddit", "shop"]), Ok(key("shop", "T3_X")));
        assert_eq!(meant("zzz", None, &found, &["reddit", "feed"]), Ok(key("feed", "zzz")));
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
