//! Which brands a text speaks of.
//!
//! Invariant: the brand of a post is the first declared one that matches; the others that
//! match follow in the order they were declared.

use std::ops::Range;

use super::matcher::{Found, PhraseSet, Scratch};
use super::norm::{NORM_VERSION, norm};
use super::phrase::{PHRASE_VERSION, Phrase};
use crate::diagnostic::TextProblem;

/// Lists that one brand's `match_all` can have.
const LISTS_MOST: usize = 62;

/// A text from a file, with the bytes of that file it stands at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spanned {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Range<usize>,
}

/// A brand as it was declared.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BrandDef {
    /// Its key in the configuration; stands in the tables.
    pub key: String,
    /// Its name for people.
    pub name: String,
    /// Whether it is somebody else's.
    pub competitor: bool,
    /// Phrases, each of which is enough.
    pub match_any: Vec<Spanned>,
    /// Lists of phrases: one of each list must match.
    pub match_all: Vec<Vec<Spanned>>,
    /// Channels (subreddits, forums) from which everything counts; any case.
    pub match_channels: Vec<Spanned>,
    /// Platforms from which everything counts; any case.
    pub match_platforms: Vec<Spanned>,
}

/// The brands of one text, by position in the declaration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BrandMatch {
    /// The first declared brand that matches.
    pub brand: Option<u16>,
    /// The others that match, in declared order.
    pub also: Vec<u16>,
}

/// Why a brand matches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrandExplanation {
    /// The brand's key.
    pub brand: String,
    /// The phrase, `channel NAME` or `platform NAME`.
    pub rule: String,
    /// The bytes of the normalized text that match; `None` for a channel or platform.
    pub span: Option<Range<usize>>,
}

#[derive(Clone, Copy, Debug)]
struct Role {
    brand: u16,
    /// Which list of `match_all`; `None` for `match_any`.
    list: Option<u8>,
}

/// Any phrase of `match_any`.
const ANY: u64 = 1 << 63;

#[derive(Debug)]
struct Brand {
    key: String,
    name: String,
    competitor: bool,
    channels: Vec<String>,
    platforms: Vec<String>,
    /// One bit for each list of `match_all`; 0 without lists.
    lists: u64,
}

impl Brand {
    fn matches(&self, flags: u64, platform: &str, channel: &str) -> bool {
        flags & ANY != 0
            || (self.lists != 0 && flags & self.lists == self.lists)
            || self.channels.iter().any(|c| same_place(c, channel))
            || self.platforms.iter().any(|p| same_place(p, platform))
    }
}

/// Declared brands, ready to be matched.
#[derive(Debug)]
pub struct Brands {
    brands: Vec<Brand>,
    phrases: PhraseSet,
    /// By phrase number: whose it is, and its spelling.
    roles: Vec<(Role, String)>,
    version: [u8; 16],
}

impl Brands {
    /// Reads and compiles the phrases. Every problem carries the span of the phrase it is about.
    ///
    /// # Errors
    /// All phrases that cannot be read, brands that could never match, repeated keys.
    pub fn compile(defs: Vec<BrandDef>) -> Result<Brands, Vec<TextProblem>> {
        let mut problems = Vec::new();
        let mut phrases = Vec::new();
        let mut roles = Vec::new();
        let mut brands: Vec<Brand> = Vec::new();
        if defs.len() > usize::from(u16::MAX) {
            return Err(vec![TextProblem::error("too many brands", None)]);
        }
        for (number, def) in (0u16..).zip(defs) {
            let first = def.match_any.iter().chain(def.match_all.iter().flatten());
            let first = first.chain(&def.match_channels).chain(&def.match_platforms).next();
            let Some(first) = first else {
                problems.push(
                    TextProblem::error(format!("brand `{}` matches nothing", def.key), None)
                        .help("give it match_any, match_all, match_channels or match_platforms"),
                );
                continue;
            };
            if brands.iter().any(|b| b.key == def.key) {
                problems.push(TextProblem::error(
                    format!("brand `{}` is declared twice", def.key),
                    first.span.clone(),
                ));
            }
            if def.match_all.len() > LISTS_MOST {
                problems.push(TextProblem::error(
                    format!("match_all of brand `{}` has more than {LISTS_MOST} lists", def.key),
                    first.span.clone(),
                ));
            }
            let lists = (0u8..).zip(&def.match_all).take(LISTS_MOST);
            let lists = lists.flat_map(|(i, list)| list.iter().map(move |p| (Some(i), p)));
            for (list, text) in def.match_any.iter().map(|p| (None, p)).chain(lists) {
                match Phrase::parse(&text.text) {
                    Ok(phrase) => {
                        roles.push((Role { brand: number, list }, phrase.to_string()));
                        phrases.push(phrase);
                    }
                    Err(e) => problems.push(TextProblem::error(e.message, text.span.clone()).help(e.help)),
                }
            }
            for (i, list) in def.match_all.iter().enumerate() {
                if list.is_empty() {
                    problems.push(
                        TextProblem::error(
                            format!(
                                "list {} of match_all of brand `{}` is empty: it never matches",
                                i + 1,
                                def.key
                            ),
                            first.span.clone(),
                        )
                        .help("add phrases to the list or remove it"),
                    );
                }
            }
            for place in def.match_channels.iter().chain(&def.match_platforms) {
                if place_name(&place.text).is_empty() {
                    problems.push(TextProblem::error("the name is empty", place.span.clone()));
                }
            }
            let places =
                |names: &[Spanned]| names.iter().map(|n| place_name(&n.text).to_lowercase()).collect();
            brands.push(Brand {
                channels: places(&def.match_channels),
                platforms: places(&def.match_platforms),
                lists: (1u64 << def.match_all.len().min(LISTS_MOST)) - 1,
                key: def.key,
                name: def.name,
                competitor: def.competitor,
            });
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let version = version(&brands, &roles);
        Ok(Brands { brands, phrases: PhraseSet::new(&phrases), roles, version })
    }

    /// A hash of everything that decides which brand a text gets: the order, the keys, the
    /// phrases as they are read, the places. Not the names.
    pub fn version(&self) -> [u8; 16] {
        self.version
    }

    /// How many brands there are.
    pub fn len(&self) -> usize {
        self.brands.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.brands.is_empty()
    }

    /// The key of a brand; empty when there is no such brand.
    pub fn key(&self, brand: u16) -> &str {
        self.brands.get(usize::from(brand)).map_or("", |b| &b.key)
    }

    /// The name of a brand for people; empty when there is no such brand.
    pub fn name(&self, brand: u16) -> &str {
        self.brands.get(usize::from(brand)).map_or("", |b| &b.name)
    }

    /// Whether a brand is somebody else's.
    pub fn competitor(&self, brand: u16) -> bool {
        self.brands.get(usize::from(brand)).is_some_and(|b| b.competitor)
    }

    /// The brands that a text speaks of. `normed` is the [normalized](super::norm()) title,
    /// body and thread title.
    pub fn matches(&self, normed: &str, platform: &str, channel: &str, scratch: &mut Scratch) -> BrandMatch {
        scratch.flags.clear();
        scratch.flags.resize(self.brands.len(), 0);
        self.phrases.scan(normed, scratch, |scratch, Found { phrase, .. }| {
            let role = self.roles[phrase as usize].0;
            scratch.flags[usize::from(role.brand)] |= role.list.map_or(ANY, |list| 1 << list);
        });
        let mut out = BrandMatch::default();
        for ((number, brand), &flags) in (0u16..).zip(&self.brands).zip(&scratch.flags) {
            if brand.matches(flags, platform, channel) {
                match out.brand {
                    None => out.brand = Some(number),
                    Some(_) => out.also.push(number),
                }
            }
        }
        out
    }

    /// Why a text has the brands it has: every phrase and place of the brands that match, in
    /// declared order. The text may be raw; spans are in its normalized form.
    pub fn explain(&self, text: &str, platform: &str, channel: &str) -> Vec<BrandExplanation> {
        let normed = norm(text);
        let mut scratch = Scratch::new();
        let matched = self.matches(&normed, platform, channel, &mut scratch);
        let mut found = Vec::new();
        self.phrases.scan(&normed, &mut scratch, |_, f| found.push((f.phrase, f.span)));
        found.sort_unstable_by_key(|f| f.0);
        let mut out = Vec::new();
        for number in matched.brand.into_iter().chain(matched.also) {
            let brand = &self.brands[usize::from(number)];
            let because = |rule: String, span| BrandExplanation { brand: brand.key.clone(), rule, span };
            for (phrase, span) in &found {
                let (role, text) = &self.roles[*phrase as usize];
                if role.brand == number {
                    out.push(because(text.clone(), Some(span.clone())));
                }
            }
            if let Some(c) = brand.channels.iter().find(|c| same_place(c, channel)) {
                out.push(because(format!("channel {c}"), None));
            }
            if let Some(p) = brand.platforms.iter().find(|p| same_place(p, platform)) {
                out.push(because(format!("platform {p}"), None));
            }
        }
        out
    }
}

/// A channel's name without white space and the `r/` that people write before it.
fn place_name(name: &str) -> &str {
    let name = name.trim();
    let name = name.strip_prefix('/').unwrap_or(name);
    name.strip_prefix("r/").or_else(|| name.strip_prefix("R/")).unwrap_or(name)
}

/// Whether a declared place (lower case) is the given one.
fn same_place(declared: &str, given: &str) -> bool {
    let given = place_name(given);
    declared.eq_ignore_ascii_case(given) || (!given.is_ascii() && given.to_lowercase() == declared)
}

fn version(brands: &[Brand], roles: &[(Role, String)]) -> [u8; 16] {
    let mut hash = Hash::new("brands");
    for (number, brand) in (0u16..).zip(brands) {
        hash.text(&brand.key);
        // Within one list the order of phrases decides nothing.
        let mut mine: Vec<(u8, &str)> = roles
            .iter()
            .filter(|(role, _)| role.brand == number)
            .map(|(role, text)| (role.list.map_or(0, |l| l + 1), text.as_str()))
            .collect();
        mine.sort_unstable();
        mine.dedup();
        hash.number(mine.len() as u64);
        for (list, text) in mine {
            hash.number(u64::from(list));
            hash.text(text);
        }
        for places in [&brand.channels, &brand.platforms] {
            let mut places: Vec<&String> = places.iter().collect();
            places.sort_unstable();
            places.dedup();
            hash.number(places.len() as u64);
            places.into_iter().for_each(|p| hash.text(p));
        }
    }
    hash.finish()
}

/// Hashing in which no two sequences of parts run together.
pub(super) struct Hash(blake3::Hasher);

impl Hash {
    pub(super) fn new(what: &str) -> Self {
        let mut hash = Self(blake3::Hasher::new());
        hash.text(what);
        hash.number(u64::from(NORM_VERSION));
        hash.number(u64::from(PHRASE_VERSION));
        hash
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    pub(super) fn finish(&self) -> [u8; 16] {
        let mut out = [0; 16];
        out.copy_from_slice(&self.0.finalize().as_bytes()[..16]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spanned(texts: &[&str]) -> Vec<Spanned> {
        texts.iter().map(|t| Spanned { text: (*t).to_string(), span: 10..20 }).collect()
    }

    fn amazon() -> BrandDef {
        BrandDef {
            key: "amazon_pharmacy".into(),
            name: "Amazon Pharmacy".into(),
            match_any: spanned(&["amazon pharmacy", "amazon rx", "pillpack"]),
            match_all: vec![
                spanned(&["amazon"]),
                spanned(&["pharmacy", "prescription*", "rx", "scripts", "refill*"]),
            ],
            match_channels: spanned(&["AmazonPharmacy"]),
            match_platforms: spanned(&["app_store"]),
            ..BrandDef::default()
        }
    }

    fn cvs() -> BrandDef {
        BrandDef {
            key: "cvs".into(),
            name: "CVS".into(),
            competitor: true,
            match_any: spanned(&["cvs", "cvs caremark"]),
            ..BrandDef::default()
        }
    }

    fn keys(brands: &Brands, text: &str, platform: &str, channel: &str) -> Vec<String> {
        let found = brands.matches(&norm(text), platform, channel, &mut Scratch::new());
        found.brand.into_iter().chain(found.also).map(|b| brands.key(b).to_string()).collect()
    }

    #[test]
    fn first_declared_wins_and_the_others_are_named() {
        let brands = Brands::compile(vec![amazon(), cvs()]).unwrap();
        for (text, platform, channel, expected) in [
            ("Amazon Pharmacy is late", "reddit", "", &["amazon_pharmacy"][..]),
            ("CVS's app beats PillPack", "reddit", "", &["amazon_pharmacy", "cvs"]),
            ("my scripts from Amazon", "reddit", "", &["amazon_pharmacy"]),
            ("Amazon sent my doses", "reddit", "", &[]),
            ("the rainforest, and a prescription", "reddit", "", &[]),
            ("cvs", "reddit", "x", &["cvs"]),
            ("anything", "reddit", "amazonpharmacy", &["amazon_pharmacy"]),
            ("anything", "reddit", "r/AMAZONPHARMACY", &["amazon_pharmacy"]),
            ("anything", "reddit", "amazonpharmacy2", &[]),
            ("anything", "App_Store", "", &["amazon_pharmacy"]),
            ("", "reddit", "", &[]),
        ] {
            assert_eq!(keys(&brands, text, platform, channel), expected, "{text:?} on {platform} {channel}");
        }
        assert_eq!((brands.len(), brands.name(1), brands.competitor(1)), (2, "CVS", true));
    }

    #[test]
    fn a_star_keeps_every_post() {
        let all = BrandDef { key: "all".into(), match_any: spanned(&["*"]), ..BrandDef::default() };
        let brands = Brands::compile(vec![cvs(), all]).unwrap();
        assert_eq!(keys(&brands, "", "", ""), ["all"]);
        assert_eq!(keys(&brands, "CVS", "", ""), ["cvs", "all"]);
    }

    #[test]
    fn the_version_is_what_decides() {
        let version = |defs: &[BrandDef]| Brands::compile(defs.to_vec()).unwrap().version();
        let base = version(&[amazon(), cvs()]);
        let changed = |change: &dyn Fn(&mut BrandDef)| {
            let mut def = amazon();
            change(&mut def);
            version(&[def, cvs()])
        };
        assert_eq!(base, changed(&|d| d.name = "Other".into()));
        assert_eq!(base, changed(&|d| d.match_any[0].text = " Amazon\u{A0} PHARMACY".into()));
        assert_eq!(base, changed(&|d| d.match_any[0].span = 0..1));
        assert_eq!(base, changed(&|d| d.match_any.reverse()));
        assert_eq!(base, changed(&|d| d.match_channels[0].text = "amazonpharmacy".into()));
        assert_ne!(base, version(&[cvs(), amazon()]));
        assert_ne!(base, changed(&|d| d.key = "other".into()));
        assert_ne!(base, changed(&|d| d.match_any[2].text = "pill pack".into()));
        assert_ne!(base, changed(&|d| d.match_all.reverse()));
        assert_ne!(base, changed(&|d| d.match_platforms.clear()));
        assert_ne!(base, changed(&|d| std::mem::swap(&mut d.match_platforms, &mut d.match_channels)));
    }

    #[test]
    fn problems_come_all_at_once_with_their_spans() {
        let mut bad = amazon();
        bad.match_any[1] = Spanned { text: "*rx".into(), span: 3..8 };
        bad.match_all.push(Vec::new());
        let mut worse = cvs();
        worse.match_any[0] = Spanned { text: "do not use".into(), span: 30..42 };
        let empty = BrandDef { key: "empty".into(), ..BrandDef::default() };
        let problems = Brands::compile(vec![bad, worse, cvs(), empty]).unwrap_err();
        let shown: Vec<String> = problems
            .iter()
            .map(|p| format!("{:?} {} ({})", p.span, p.message, p.help.as_deref().unwrap_or("")))
            .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn explanations_name_phrase_and_place() {
        let brands = Brands::compile(vec![amazon(), cvs()]).unwrap();
        let why: Vec<String> = brands
            .explain("Amazon  PHARMACY or CVS?", "reddit", "AmazonPharmacy")
            .iter()
            .map(|e| format!("{}: {} {:?}", e.brand, e.rule, e.span))
            .collect();
        insta::assert_snapshot!(why.join("\n"));
        assert!(brands.explain("nothing of the kind", "", "").is_empty());
    }
}
