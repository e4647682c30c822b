//! The sentences that sample posts are made of: `corpus.txt`, read once into lists of parts.
//!
//! The text is part of the program, so reading it cannot fail at run time: an unknown slot
//! would be written as it stands, and a test makes sure that there is none.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::topic::Topics;

/// The text, also part of the source's version.
pub(super) const TEXT: &str = include_str!("corpus.txt");

/// The lists and topics of the program's corpus.
pub(super) static CORPUS: LazyLock<(Corpus, Topics)> = LazyLock::new(|| {
    let (corpus, _) = Corpus::parse(TEXT);
    let topics = Topics::of(&corpus);
    (corpus, topics)
});

/// Which list. Number 0 is an empty one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct ListId(pub u16);

/// A piece of an entry.
#[derive(Debug)]
pub(super) enum Part {
    /// Written as it is: with straight apostrophes, and with curly ones.
    Text(Box<str>, Box<str>),
    /// An entry of another list, with a capital or not.
    List(ListId, bool),
    /// A whole number, both ends included.
    Range(u32, u32),
    /// The brand the post is about.
    Brand,
    /// Another one.
    Rival,
}

/// Something to say.
#[derive(Debug)]
pub(super) struct Entry {
    /// Said only by content voices (true) or only by the others (false).
    pub content: Option<bool>,
    /// Its parts.
    pub parts: Box<[Part]>,
}

/// Entries to choose from.
#[derive(Debug, Default)]
pub(super) struct List {
    /// Where the pick of a post is kept, when one pick holds for the whole post.
    pub sticky: Option<u8>,
    /// The entries.
    pub entries: Vec<Entry>,
}

/// How many lists may be sticky.
pub(super) const STICKY: usize = 8;

/// All lists.
#[derive(Debug)]
pub(super) struct Corpus {
    lists: Vec<List>,
    names: HashMap<&'static str, ListId>,
    /// The lists that prose needs by name.
    pub common: Common,
}

/// Lists that are used by name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Common {
    pub brand: [ListId; 3],
    pub rival: [ListId; 3],
    pub mention: ListId,
    pub filler: ListId,
    pub reply_open: ListId,
    pub edit_note: ListId,
    pub emoji: ListId,
    pub spike_open: ListId,
}

impl Corpus {
    /// Reads the lists of a text; also returns the slots that name no list, which are mistakes.
    pub fn parse(text: &'static str) -> (Self, Vec<String>) {
        let rows = || text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#'));
        let mut lists = vec![List::default()];
        let mut names: HashMap<&'static str, ListId> = HashMap::new();
        let mut sticky = 0;
        for header in rows().filter_map(|l| l.strip_prefix('@')) {
            let (name, rest) = header.split_once(' ').unwrap_or((header, ""));
            names.insert(name, ListId(lists.len() as u16));
            let keeps = rest == "sticky" && usize::from(sticky) < STICKY;
            lists.push(List { sticky: keeps.then_some(sticky), entries: Vec::new() });
            sticky += u8::from(keeps);
        }
        let mut unknown = Vec::new();
        let mut at = 0;
        for row in rows() {
            match row.strip_prefix('@') {
                Some(_) => at += 1,
                None => {
                    let entry = parse_entry(row, &names, &mut unknown);
                    lists[at].entries.push(entry);
                }
            }
        }
        let find = |name: &str| names.get(name).copied().unwrap_or_default();
        let common = Common {
            brand: [find("brand_amazon"), find("brand_cvs"), find("brand_other")],
            rival: [find("rival_amazon"), find("rival_cvs"), find("rival_other")],
            mention: find("mention"),
            filler: find("filler"),
            reply_open: find("reply_open"),
            edit_note: find("edit_note"),
            emoji: find("emoji"),
            spike_open: find("SPIKE.open"),
        };
        (Self { lists, names, common }, unknown)
    }

    /// The list of a name; the empty one if there is none.
    pub fn list(&self, name: &str) -> ListId {
        self.names.get(name).copied().unwrap_or_default()
    }

    /// The entries of a list.
    pub fn get(&self, id: ListId) -> &List {
        &self.lists[usize::from(id.0)]
    }
}

fn parse_entry(row: &'static str, names: &HashMap<&'static str, ListId>, unknown: &mut Vec<String>) -> Entry {
    let (content, row) = match row.as_bytes() {
        [b'+', b' ', ..] => (Some(true), &row[2..]),
        [b'-', b' ', ..] => (Some(false), &row[2..]),
        _ => (None, row),
    };
    let mut parts = Vec::new();
    let text = |parts: &mut Vec<Part>, t: &str| {
        if !t.is_empty() {
            let plain = t.replace("\\n", "\n");
            let curly = plain.replace('\'', "\u{2019}");
            parts.push(Part::Text(plain.into(), curly.into()));
        }
    };
    let mut rest = row;
    while let Some((before, after)) = rest.split_once('{') {
        text(&mut parts, before);
        let Some((slot, after)) = after.split_once('}') else {
            unknown.push(row.to_string());
            rest = after;
            continue;
        };
        let (name, capital) = match slot.strip_prefix('^') {
            Some(name) => (name, true),
            None => (slot, false),
        };
        let range = name.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        parts.push(match (name, range, names.get(name)) {
            ("brand", ..) => Part::Brand,
            ("rival", ..) => Part::Rival,
            (_, Some((low, high)), _) if low <= high => Part::Range(low, high),
            (_, _, Some(&list)) => Part::List(list, capital),
            _ => {
                unknown.push(slot.to_string());
                Part::Text(slot.into(), slot.into())
            }
        });
        rest = after;
    }
    text(&mut parts, rest);
    Entry { content, parts: parts.into() }
}

#[cfg(test)]
mod tests {
    use super::super::topic::Topic;
    use super::*;

    #[test]
    fn every_slot_and_every_topic_has_its_list() {
        let (corpus, unknown) = Corpus::parse(TEXT);
        assert_eq!(unknown, Vec::<String>::new());
        for topic in Topic::ALL {
            for part in ["title", "open", "detail", "close"] {
                let id = corpus.list(&format!("{}.{part}", topic.key()));
                assert!(!corpus.get(id).entries.is_empty(), "{}.{part}", topic.key());
                for (mood, share) in [(true, topic.content_percent()), (false, 100 - topic.content_percent())]
                {
                    let can = corpus.get(id).entries.iter().any(|e| e.content.is_none_or(|c| c == mood));
                    assert!(can || share == 0, "{}.{part} has nothing for mood {mood}", topic.key());
                }
            }
        }
        let c = corpus.common;
        let used = [c.mention, c.filler, c.reply_open, c.edit_note, c.emoji, c.spike_open];
        for id in c.brand.into_iter().chain(c.rival).chain(used) {
            assert!(!corpus.get(id).entries.is_empty());
        }
        for list in &corpus.lists[1..] {
            assert!(!list.entries.is_empty());
        }
    }

    #[test]
    fn no_list_leads_back_to_itself() {
        let (corpus, _) = Corpus::parse(TEXT);
        fn depth(corpus: &Corpus, id: ListId, level: usize) -> usize {
            assert!(level < 8, "too deep or a cycle");
            let inner =
                corpus.get(id).entries.iter().flat_map(|e| e.parts.iter()).filter_map(|part| match part {
                    Part::List(inner, _) => Some(depth(corpus, *inner, level + 1)),
                    _ => None,
                });
            inner.max().unwrap_or(level)
        }
        for id in 1..corpus.lists.len() {
            depth(&corpus, ListId(id as u16), 0);
        }
    }

    #[test]
    fn slots_ranges_and_line_breaks_are_read() {
        let (corpus, unknown) =
            Corpus::parse("# c\n@a sticky\nx\n@b\n- it's {a} {^a} {2-9} {brand}{rival}\\n{nope} {a\n");
        let entry = &corpus.get(corpus.list("b")).entries[0];
        let parts = &entry.parts;
        assert_eq!(entry.content, Some(false));
        assert!(matches!(&parts[0], Part::Text(p, c) if &**p == "it's " && &**c == "it’s "));
        assert!(matches!(parts[1], Part::List(ListId(1), false)));
        assert!(matches!(parts[3], Part::List(ListId(1), true)));
        assert!(matches!(parts[5], Part::Range(2, 9)));
        assert!(matches!((&parts[7], &parts[8]), (Part::Brand, Part::Rival)));
        assert!(matches!(&parts[9], Part::Text(p, _) if &**p == "\n"));
        assert_eq!(unknown.len(), 2);
        assert_eq!(corpus.get(corpus.list("a")).sticky, Some(0));
    }
}
