//! Changes of `themes.toml` and `actions.toml` as a person would make them: in the text itself,
//! so that comments, order and layout stay.
//!
//! Every function takes a file's text and gives the changed text; what they need to know of it
//! comes from the parser's spans. Invariant: everything outside the themes named is the same,
//! byte for byte. Pure. Whether the result is right as a table is for the reader of tables to say.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::table_file::alias_key;

/// A list that is longer than this goes on in another line.
const LINE: usize = 100;

/// One `[[…]]` of a file.
struct Block {
    /// Where its header begins, or the comment right above it.
    start: usize,
    /// Where its last value ends.
    end: usize,
    id: String,
    keys: BTreeMap<String, Range<usize>>,
    lists: BTreeMap<String, Vec<Item>>,
}

/// A string in a list.
struct Item {
    value: String,
    span: Range<usize>,
}

/// Bytes that become others.
struct Edit {
    at: Range<usize>,
    text: String,
}

/// Gives a theme another title.
///
/// # Errors
/// When there is no such theme, or the file cannot be changed like this.
pub fn rename(text: &str, id: &str, title: &str) -> Result<String, String> {
    let blocks = blocks(text, "theme")?;
    let theme = named(&blocks, id)?;
    let at = theme.keys.get("title").ok_or_else(|| format!("the theme `{id}` has no title"))?;
    Ok(applied(text, vec![Edit { at: at.clone(), text: quoted(title) }]))
}

/// Makes a phrase stand for a theme that there is.
///
/// # Errors
/// When there is no such theme, or the file cannot be changed like this.
pub fn add_alias(text: &str, id: &str, phrase: &str) -> Result<String, String> {
    let blocks = blocks(text, "theme")?;
    let theme = named(&blocks, id)?;
    Ok(applied(text, theme.add(text, "aliases", &[quoted(phrase)]).into_iter().collect()))
}

/// Adds a theme that a phrase stands for. It comes before the last one, which takes what no
/// other does.
///
/// # Errors
/// When the file cannot be changed like this.
pub fn add_theme(text: &str, id: &str, title: &str, phrase: &str) -> Result<String, String> {
    let blocks = blocks(text, "theme")?;
    let last = blocks.last().ok_or("there is no theme")?;
    let theme = format!(
        "[[theme]]\nid = {}\ntitle = {}\naliases = [{}]\n\n",
        quoted(id),
        quoted(title),
        quoted(phrase)
    );
    Ok(applied(text, vec![Edit { at: last.start..last.start, text: theme }]))
}

/// Joins themes to another: their phrases, issue types and other names become its, and their ids
/// other names of it.
///
/// # Errors
/// When there is no such theme, one is joined to itself, one is the last, or the file cannot be
/// changed like this.
pub fn merge(text: &str, from: &[String], into: &str) -> Result<String, String> {
    let blocks = blocks(text, "theme")?;
    let target = named(&blocks, into)?;
    let mut edits = Vec::new();
    let mut more: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    for id in from {
        let theme = named(&blocks, id)?;
        if id == into {
            return Err(format!("`{id}` cannot be joined to itself"));
        }
        if blocks.last().is_some_and(|last| last.id == *id) {
            return Err(format!(
                "`{id}` is the last theme, which takes what no other does; join the others to it, or move it up first"
            ));
        }
        edits.push(Edit { at: theme.whole(text), text: String::new() });
        more.entry("aliases").or_default().push((alias_key(id), quoted(id)));
        for key in ["aliases", "include", "issues"] {
            for item in theme.lists.get(key).into_iter().flatten() {
                let same = if key == "issues" { item.value.clone() } else { alias_key(&item.value) };
                more.entry(key).or_default().push((same, text[item.span.clone()].to_string()));
            }
        }
    }
    for (key, items) in more {
        let has = target.lists.get(key);
        let mut seen: Vec<String> = has
            .into_iter()
            .flatten()
            .map(|i| if key == "issues" { i.value.clone() } else { alias_key(&i.value) })
            .collect();
        let mut new = Vec::new();
        for (same, raw) in items {
            if !seen.contains(&same) {
                seen.push(same);
                new.push(raw);
            }
        }
        edits.extend(target.add(text, key, &new));
    }
    Ok(applied(text, edits))
}

/// Names another theme wherever actions name one of these.
///
/// # Errors
/// When the file cannot be read.
pub fn rename_in_actions(text: &str, from: &[String], into: &str) -> Result<String, String> {
    let mut edits = Vec::new();
    for action in blocks(text, "action")? {
        let Some((list, at)) = action.lists.get("themes").zip(action.keys.get("themes")) else { continue };
        if !list.iter().any(|i| from.contains(&i.value)) {
            continue;
        }
        let now =
            |item: &Item| if from.contains(&item.value) { into.to_string() } else { item.value.clone() };
        if text[at.clone()].contains('#') {
            // A comment inside stays; a theme that stands there twice does no harm.
            edits.extend(
                list.iter()
                    .filter(|i| from.contains(&i.value))
                    .map(|i| Edit { at: i.span.clone(), text: quoted(into) }),
            );
            continue;
        }
        let mut names: Vec<String> = Vec::new();
        for name in list.iter().map(now) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let names: Vec<String> = names.iter().map(|n| quoted(n)).collect();
        edits.push(Edit { at: at.clone(), text: format!("[{}]", names.join(", ")) });
    }
    Ok(applied(text, edits))
}

fn named<'a>(blocks: &'a [Block], id: &str) -> Result<&'a Block, String> {
    blocks.iter().find(|b| b.id == id).ok_or_else(|| format!("there is no theme `{id}`"))
}

/// The tables of a list, in order.
fn blocks(text: &str, list: &str) -> Result<Vec<Block>, String> {
    let root = DeTable::parse(text).map_err(|e| format!("this is not TOML: {}", e.message()))?;
    let mut starts = headers(text, list).into_iter();
    let by_hand = || format!("it is not written as [[{list}]] blocks; change it by hand");
    let Some(DeValue::Array(tables)) = root.get_ref().get(list).map(|v| v.get_ref()) else {
        return Err(by_hand());
    };
    let mut blocks = Vec::new();
    for table in tables.iter() {
        let (DeValue::Table(table), Some(start)) = (table.get_ref(), starts.next()) else {
            return Err(by_hand());
        };
        let mut block =
            Block { start, end: start, id: String::new(), keys: BTreeMap::new(), lists: BTreeMap::new() };
        for (key, value) in table {
            block.end = block.end.max(value.span().end);
            match value.get_ref() {
                DeValue::String(id) if key.get_ref().as_ref() == "id" => {
                    block.id = id.to_string();
                }
                DeValue::Array(items) => {
                    let texts = items.iter().filter_map(|item| match item.get_ref() {
                        DeValue::String(text) => Some(Item { value: text.to_string(), span: item.span() }),
                        _ => None,
                    });
                    block.lists.insert(key.get_ref().to_string(), texts.collect());
                }
                _ => {}
            }
            block.keys.insert(key.get_ref().to_string(), value.span());
        }
        blocks.push(block);
    }
    if starts.next().is_some() {
        return Err(by_hand());
    }
    Ok(blocks)
}

/// Where each `[[list]]` begins, with the comment lines right above it.
fn headers(text: &str, list: &str) -> Vec<usize> {
    let mut out = Vec::new();
    let mut comment = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let name =
            trimmed.strip_prefix("[[").and_then(|rest| rest.split_once("]]")).map(|(name, _)| name.trim());
        if trimmed.starts_with('#') {
            comment = comment.or(Some(at));
        } else {
            if name == Some(list) {
                out.push(comment.unwrap_or(at));
            }
            comment = None;
        }
        at += line.len();
    }
    out
}

impl Block {
    /// All of it, with the blank lines after it.
    fn whole(&self, text: &str) -> Range<usize> {
        let mut end = line_end(text, self.end);
        while text[end..].starts_with(['\n', '\r']) {
            end += 1;
        }
        self.start..end
    }

    /// Puts strings, as they are written, at the end of a list; nothing when there are none.
    fn add(&self, text: &str, key: &str, items: &[String]) -> Option<Edit> {
        if items.is_empty() {
            return None;
        }
        let last = self.lists.get(key).and_then(|list| list.last());
        Some(match (self.keys.get(key), last) {
            (Some(span), Some(last)) if text[span.clone()].contains('\n') => {
                Edit { at: last.span.end..last.span.end, text: format!(",\n{}", lines(items)) }
            }
            (Some(_), Some(last)) => {
                Edit { at: last.span.end..last.span.end, text: format!(", {}", items.join(", ")) }
            }
            (Some(span), None) => Edit { at: span.clone(), text: format!("[{}]", items.join(", ")) },
            (None, _) => {
                let at = line_end(text, self.end);
                let one = format!("{key} = [{}]", items.join(", "));
                let list = if one.len() > LINE { format!("{key} = [\n{},\n]", lines(items)) } else { one };
                Edit { at: at..at, text: format!("\n{list}") }
            }
        })
    }
}

/// Where the line ends that a byte stands in, before its line break.
fn line_end(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
    if text[..end].ends_with('\r') { end - 1 } else { end }
}

/// Items in indented lines, without a comma at the end.
fn lines(items: &[String]) -> String {
    let mut out = String::from(" ");
    let mut width = 1;
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push(',');
            width += 1;
            if width + item.len() > LINE {
                out.push_str("\n ");
                width = 1;
            }
        }
        out.push(' ');
        out.push_str(item);
        width += 1 + item.len();
    }
    out
}

/// A string as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_string()).to_string()
}

fn applied(text: &str, mut edits: Vec<Edit>) -> String {
    let mut out = text.to_string();
    // Stable: of several at one place the last comes first, so that they end up in order.
    edits.reverse();
    edits.sort_by_key(|e| std::cmp::Reverse(e.at.start));
    for edit in edits {
        out.replace_range(edit.at, &edit.text);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"# What posts are about.
version = 1

# Boxes and what is in them.
[[theme]]
id = "packaging" # stands in tables
title = "Packaging"
issues = ["PACKAGING_DAMAGE"]
include = [
  "box", "bottle*", # of all sizes
  "cap",
]

[[theme]]
title = "Delivery" # for people
id = "delivery"
include = ["late", "Box"]
aliases = ["slow vans"]

# On its own.

[[theme]]
id = "price"
title = "Price"
issues = []

# Takes the rest.
[[theme]]
id = "other"
title = "Other"
"#;

    /// Lines that went (`-`) and came (`+`).
    fn changed(after: &str) -> String {
        let list = |a: &str, b: &str, sign: char| -> String {
            let b: Vec<&str> = b.lines().collect();
            a.lines().filter(|l| !b.contains(l)).map(|l| format!("{sign}{l}\n")).collect()
        };
        list(FILE, after, '-') + &list(after, FILE, '+')
    }

    fn ids(text: &str) -> Vec<String> {
        blocks(text, "theme").unwrap().into_iter().map(|b| b.id).collect()
    }

    #[test]
    fn a_title_alone_changes() {
        let after = rename(FILE, "delivery", "Vans, \"and\" tracking").unwrap();
        assert_eq!(
            changed(&after),
            "-title = \"Delivery\" # for people\n+title = 'Vans, \"and\" tracking' # for people\n"
        );
        assert_eq!(rename(&after, "delivery", "Delivery").unwrap(), FILE);
        assert!(rename(FILE, "deliveries", "x").is_err());
    }

    #[test]
    fn a_phrase_goes_where_a_person_would_put_it() {
        for (id, expected) in [
            ("delivery", "-aliases = [\"slow vans\"]\n+aliases = [\"slow vans\", \"lost vans\"]\n"),
            ("other", "+aliases = [\"lost vans\"]\n"),
            ("packaging", "+aliases = [\"lost vans\"]\n"),
        ] {
            let after = add_alias(FILE, id, "lost vans").unwrap();
            assert_eq!(changed(&after), expected, "{id}");
            let block = blocks(&after, "theme").unwrap().into_iter().find(|b| b.id == id).unwrap();
            assert_eq!(block.lists["aliases"].last().unwrap().value, "lost vans");
        }
    }

    #[test]
    fn a_new_theme_comes_before_the_one_that_takes_the_rest() {
        let after = add_theme(FILE, "vans", "Vans", "lost vans").unwrap();
        assert_eq!(ids(&after), ["packaging", "delivery", "price", "vans", "other"]);
        let (before, rest) = FILE.split_once("# Takes the rest.").unwrap();
        let new = "[[theme]]\nid = \"vans\"\ntitle = \"Vans\"\naliases = [\"lost vans\"]\n\n";
        assert_eq!(after, format!("{before}{new}# Takes the rest.{rest}"));
    }

    #[test]
    fn merged_themes_leave_what_they_had() {
        let from = ["delivery".to_string(), "price".to_string()];
        let after = merge(FILE, &from, "packaging").unwrap();
        insta::assert_snapshot!(after);
        let after = merge(FILE, &["packaging".to_string()], "price").unwrap();
        assert_eq!(ids(&after), ["delivery", "price", "other"]);
        let price = &blocks(&after, "theme").unwrap()[1];
        let values = |key: &str| price.lists[key].iter().map(|i| i.value.as_str()).collect::<Vec<_>>();
        assert_eq!(values("issues"), ["PACKAGING_DAMAGE"]);
        assert_eq!(values("include"), ["box", "bottle*", "cap"]);
        assert_eq!(values("aliases"), ["packaging"]);
        for (from, into) in [("price", "price"), ("other", "price"), ("prices", "other"), ("price", "no")] {
            assert!(merge(FILE, &[from.to_string()], into).is_err(), "{from} {into}");
        }
    }

    #[test]
    fn actions_follow_a_merge() {
        let text = "version = 1\n\n[[action]]\nid = \"a\"\nthemes = [\"price\", \"delivery\", \"x\"] # why\n\n\
                    [[action]]\nid = \"b\"\nthemes = [\n  \"price\", # one\n]\n\n[[action]]\nid = \"c\"\nthemes = [\"x\"]\n";
        let from = ["price".to_string(), "delivery".to_string()];
        let after = rename_in_actions(text, &from, "x").unwrap();
        let expected = text
            .replace("[\"price\", \"delivery\", \"x\"]", "[\"x\"]")
            .replace("\"price\", # one", "\"x\", # one");
        assert_eq!(after, expected);
        assert_eq!(rename_in_actions(text, &["none".to_string()], "x").unwrap(), text);
    }

    #[test]
    fn what_is_written_otherwise_is_left_to_people() {
        for text in [
            "theme = [{ id = \"a\", title = \"A\" }]\n",
            "version = 1\n",
            "[[theme]]\nid = \"a\"\ntitle = \"\"\"\n[[theme]]\n\"\"\"\n",
            "[[theme]\n",
        ] {
            assert!(add_theme(text, "b", "B", "b").is_err(), "{text}");
        }
        let crlf = FILE.replace('\n', "\r\n");
        let after = merge(&crlf, &["price".to_string()], "packaging").unwrap();
        assert_eq!(ids(&after), ["packaging", "delivery", "other"]);
    }

    #[test]
    fn the_shipped_tables_can_be_changed() {
        let themes = super::super::Tables::built_in("themes.toml").unwrap();
        let actions = super::super::Tables::built_in("actions.toml").unwrap();
        let all = ids(themes);
        let from = ["packaging".to_string()];
        for into in all.iter().filter(|id| **id != "packaging") {
            let after = merge(themes, &from, into).unwrap();
            assert_eq!(ids(&after).len(), all.len() - 1);
            let after = rename_in_actions(actions, &from, into).unwrap();
            assert!(!after.contains("\"packaging\""), "{into}");
        }
    }
}
