//! What a model wrote, checked against what it was asked. Pure.
//!
//! Invariant: nothing that was not asked for gets into a table. Ids must be exactly those of the
//! pack, labels those of the lists, evidence words of the post. A label that is missing or alien
//! makes that post's answer invalid; nothing is filled in for it.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::embedded::{RiskCategory, RiskLevel, Sentiment};
use super::prompt::{NEW_THEME, NO_CATEGORY, Vocabulary};

/// Longest evidence, in characters.
const EVIDENCE_MOST: usize = 300;
/// Longest name of a new theme, in characters.
const THEME_MOST: usize = 60;
/// How often a place in the text is tried as the beginning of the JSON.
const TRIES: usize = 64;

/// The labels of one post as a model gave them.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Labelled {
    /// How it sounds.
    pub sentiment: Sentiment,
    /// From -1 (worst) to 1 (best), three decimals.
    pub sentiment_score: f64,
    /// How much harm it tells of.
    pub risk_level: RiskLevel,
    /// Whose concern that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_category: Option<RiskCategory>,
    /// Codes of `assets/risk.toml`, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub risk_reasons: Vec<String>,
    /// Of `assets/themes.toml`, or `new`.
    pub theme_id: String,
    /// The theme in words when it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_theme: Option<String>,
    /// Of `assets/actions.toml`.
    pub action_id: String,
    /// Words of the text that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Whether it gave evidence that is not in the post; such evidence is left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub evidence_alien: bool,
}

/// A model's answer to a pack.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// It is no answer to this pack: no JSON, or not exactly its ids. Why.
    Broken(String),
    /// One for each post, in the order of the pack: its labels, or what is wrong with them.
    Items(Vec<Result<Labelled, String>>),
}

/// Reads an answer to posts of these ids and texts.
pub fn read(answer: &str, posts: &[(String, &str)], words: &Vocabulary) -> Answer {
    let wanted = |item: &Map<String, Value>| {
        let id = item.get("id").and_then(Value::as_str).map(str::trim);
        posts.iter().any(|(wanted, _)| id == Some(wanted))
    };
    // Thoughts may hold a draft: the first that has as many posts as were asked for.
    let all =
        |items: &Vec<Map<String, Value>>| items.iter().filter(|item| wanted(item)).count() >= posts.len();
    let Some(items) = candidates(answer).find(all).or_else(|| items(answer)) else {
        return Answer::Broken(match answer.trim().is_empty() {
            true => "the answer is empty".into(),
            false => "the answer holds no JSON with posts".into(),
        });
    };
    let mut by_id: HashMap<String, Vec<Map<String, Value>>> = HashMap::new();
    for item in items {
        let id = match item.get("id") {
            Some(Value::String(id)) => id.trim().to_string(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Answer::Broken("an item of the answer has no id".into()),
        };
        by_id.entry(id).or_default().push(item);
    }
    if let Some((id, _)) = by_id.iter().find(|(_, items)| items.windows(2).any(|w| w[0] != w[1])) {
        return Answer::Broken(format!("the answer has `{}` twice, and differently", short(id)));
    }
    if let Some(id) = by_id.keys().find(|id| !posts.iter().any(|(wanted, _)| wanted == *id)) {
        return Answer::Broken(format!("the answer has `{}`, which was not asked for", short(id)));
    }
    let missing = posts.iter().filter(|(id, _)| !by_id.contains_key(id)).count();
    if missing > 0 {
        return Answer::Broken(format!("the answer lacks {missing} of {} posts", posts.len()));
    }
    let one = |(id, text): &(String, &str)| match by_id.get(id).and_then(|items| items.first()) {
        Some(item) => labels(item, text, words),
        None => Err("no answer".into()),
    };
    Answer::Items(posts.iter().map(one).collect())
}

/// An answer without what it says of some ids, as plain JSON; `None` when it holds no posts.
pub fn leave_out(answer: &str, ids: &BTreeSet<String>) -> Option<String> {
    let mut items = items(answer)?;
    items.retain(|item| match item.get("id") {
        Some(Value::String(id)) => !ids.contains(id.trim()),
        Some(Value::Number(id)) => !ids.contains(&id.to_string()),
        _ => true,
    });
    Some(serde_json::json!({ "posts": items }).to_string())
}

/// A piece of the answer for a message: it is foreign text, and no address may get into a table.
fn short(text: &str) -> String {
    let word: String = super::visible(text).chars().filter(|c| !c.is_control()).take(20).collect();
    match word.contains(|c: char| !(c.is_alphanumeric() || matches!(c, ' ' | '_' | '-'))) {
        true => "another word".into(),
        false => word,
    }
}

/// The items of an answer: JSON alone, or with prose or a fence around it.
fn items(answer: &str) -> Option<Vec<Map<String, Value>>> {
    candidates(answer).next()
}

/// Everything in an answer that may be its items, in order; an object a line is one list.
fn candidates(answer: &str) -> impl Iterator<Item = Vec<Map<String, Value>>> {
    let starts = answer.char_indices().filter(|(_, c)| matches!(c, '{' | '[')).map(|(at, _)| at);
    starts.take(TRIES).filter_map(|at| {
        let mut values = serde_json::Deserializer::from_str(&answer[at..]).into_iter::<Value>();
        let first = values.next()?.ok()?;
        let one = first.get("id").is_some();
        let mut items = in_value(first)?;
        let rest = values.map_while(Result::ok).map_while(|value| match value {
            Value::Object(object) if one && object.contains_key("id") => Some(object),
            _ => None,
        });
        items.extend(rest);
        Some(items)
    })
}

fn in_value(value: Value) -> Option<Vec<Map<String, Value>>> {
    let objects = |list: Vec<Value>| -> Option<Vec<Map<String, Value>>> {
        list.into_iter()
            .map(|v| match v {
                Value::Object(o) => Some(o),
                _ => None,
            })
            .collect()
    };
    match value {
        Value::Array(list) if !list.is_empty() => objects(list),
        Value::Object(mut object) => match object.remove("posts") {
            Some(Value::Array(list)) => objects(list),
            _ if object.contains_key("id") => Some(vec![object]),
            _ => None,
        },
        _ => None,
    }
}

fn labels(item: &Map<String, Value>, text: &str, words: &Vocabulary) -> Result<Labelled, String> {
    let word = |name: &str| -> Result<String, String> {
        match item.get(name) {
            Some(Value::String(word)) => Ok(word.trim().to_ascii_lowercase()),
            Some(_) => Err(format!("{name} is not text")),
            None => Err(format!("{name} is missing")),
        }
    };
    let alien = |name: &str, word: &str| format!("{name} has `{}`, which is none of the list", short(word));
    let sentiment = match word("sentiment")?.as_str() {
        "positive" => Sentiment::Positive,
        "neutral" => Sentiment::Neutral,
        "negative" => Sentiment::Negative,
        other => return Err(alien("sentiment", other)),
    };
    let score = match item.get("sentiment_score") {
        Some(Value::Number(n)) => n.as_f64(),
        Some(Value::String(n)) => n.trim().parse().ok(),
        None => return Err("sentiment_score is missing".into()),
        Some(_) => None,
    };
    let score =
        score.filter(|s| (-1.0..=1.0).contains(s)).ok_or("sentiment_score is no number between -1 and 1")?;
    let risk_level = match word("risk_level")?.as_str() {
        "low" => RiskLevel::Low,
        "medium" => RiskLevel::Medium,
        "high" => RiskLevel::High,
        other => return Err(alien("risk_level", other)),
    };
    let category = word("risk_category")?;
    let risk_category = match category.as_str() {
        NO_CATEGORY => None,
        other => Some(
            RiskCategory::ALL
                .into_iter()
                .find(|c| c.as_str() == other)
                .ok_or_else(|| alien("risk_category", other))?,
        ),
    };
    let mut risk_reasons = Vec::new();
    match item.get("risk_reasons") {
        Some(Value::Array(list)) => {
            for code in list {
                let code = code.as_str().map(|c| c.trim().to_ascii_lowercase()).unwrap_or_default();
                if !words.reasons.iter().any(|(known, ..)| *known == code) {
                    return Err(alien("risk_reasons", &code));
                }
                if !risk_reasons.contains(&code) {
                    risk_reasons.push(code);
                }
            }
        }
        Some(_) => return Err("risk_reasons is no list".into()),
        None => return Err("risk_reasons is missing".into()),
    }
    let theme_id = word("theme_id")?;
    let new_theme = match theme_id.as_str() {
        NEW_THEME => Some(new_theme(item)?),
        known if words.theme(known).is_some() => None,
        other => return Err(alien("theme_id", other)),
    };
    let action_id = word("action_id")?;
    if words.action(&action_id).is_none() {
        return Err(alien("action_id", &action_id));
    }
    let (evidence, evidence_alien) = match item.get("evidence_quote") {
        Some(Value::String(quote)) if quote.trim().is_empty() => (None, false),
        Some(Value::String(quote)) => match evidence(text, quote) {
            Some(found) => (Some(found.to_string()), false),
            None => (None, true),
        },
        Some(Value::Null) => (None, false),
        Some(_) => return Err("evidence_quote is not text".into()),
        None => return Err("evidence_quote is missing".into()),
    };
    Ok(Labelled {
        sentiment,
        // Not "-0".
        sentiment_score: (score * 1000.0).round() / 1000.0 + 0.0,
        risk_level,
        risk_category,
        risk_reasons,
        theme_id,
        new_theme,
        action_id,
        evidence,
        evidence_alien,
    })
}

/// A theme in the model's own words: few, plain, one line. The only free text that is kept.
fn new_theme(item: &Map<String, Value>) -> Result<String, String> {
    let Some(Value::String(theme)) = item.get("new_theme") else {
        return Err("theme_id is new and new_theme is missing".into());
    };
    let theme = super::visible(theme);
    let theme = theme.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '\'' | '&' | '/' | ',');
    match () {
        () if theme.is_empty() => Err("theme_id is new and new_theme is empty".into()),
        () if theme.chars().count() > THEME_MOST || theme.split(' ').count() > 8 => {
            Err("new_theme is longer than a few words".into())
        }
        () if theme.contains("//") || theme.contains("www") || !theme.chars().all(plain) => {
            Err("new_theme is more than plain words".into())
        }
        () => Ok(theme),
    }
}

/// The place in the text that a quote was copied from. White space and quotation marks may
/// differ, as models write them anew; the words may not. What comes back is the text's own.
fn evidence<'a>(text: &'a str, quote: &str) -> Option<&'a str> {
    let quote = quote.trim();
    let found = match text.find(quote) {
        Some(at) => &text[at..at + quote.len()],
        None => {
            let (plain, places) = plain(text);
            let (wanted, _) = self::plain(quote.trim_matches(['"', '“', '”', '…', '.', ' ']));
            let wanted = wanted.trim();
            if wanted.is_empty() {
                return None;
            }
            let at = plain.find(wanted)?;
            &text[places[at]..places[at + wanted.len()]]
        }
    };
    let found = found.trim();
    match found.char_indices().nth(EVIDENCE_MOST) {
        Some((end, _)) => Some(found[..end].trim_end()),
        None => Some(found).filter(|f| !f.is_empty()),
    }
}

/// A text with single spaces and straight quotes, and for each of its bytes (and its end) the
/// place in the text where that came from.
fn plain(text: &str) -> (String, Vec<usize>) {
    let mut out = String::with_capacity(text.len());
    let mut places = Vec::with_capacity(text.len() + 1);
    for (at, c) in text.char_indices() {
        let c = match c {
            '‘' | '’' | '`' => '\'',
            '“' | '”' => '"',
            c if c.is_whitespace() => ' ',
            c => c,
        };
        if c == ' ' && out.ends_with(' ') {
            continue;
        }
        out.push(c);
        places.resize(out.len(), at);
    }
    places.push(text.len());
    (out, places)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::prompt::test_words;
    use super::*;

    fn item(id: &str) -> Value {
        json!({"id": id, "theme_id": "delivery", "new_theme": "", "sentiment": "negative",
            "sentiment_score": -0.75, "risk_level": "medium", "risk_category": "financial",
            "risk_reasons": ["billing_error"], "action_id": "call", "evidence_quote": "never came"})
    }

    fn posts() -> Vec<(String, &'static str)> {
        vec![("p1".into(), "It never came."), ("p2".into(), "Fine,  “really”\nfine.")]
    }

    fn answer(items: &[Value]) -> String {
        json!({ "posts": items }).to_string()
    }

    fn two(change: impl Fn(&mut Value)) -> Answer {
        let mut second = item("p2");
        second["evidence_quote"] = json!("");
        change(&mut second);
        read(&answer(&[item("p1"), second]), &posts(), &test_words())
    }

    fn problem(change: impl Fn(&mut Value)) -> String {
        match two(change) {
            Answer::Items(items) => {
                assert!(items[0].is_ok(), "the other post's answer stands");
                items[1].clone().unwrap_err()
            }
            Answer::Broken(why) => panic!("{why}"),
        }
    }

    fn broken(text: &str) -> String {
        match read(text, &posts(), &test_words()) {
            Answer::Broken(why) => why,
            Answer::Items(items) => panic!("{items:?}"),
        }
    }

    #[test]
    fn a_right_answer_is_taken_in_any_order_and_wrapping() {
        let right = read(&answer(&[item("p1"), item("p2")]), &posts(), &test_words());
        let Answer::Items(items) = &right else { panic!("{right:?}") };
        let first = items[0].as_ref().unwrap();
        assert_eq!((first.evidence.as_deref(), first.sentiment_score), (Some("never came"), -0.75));
        assert_eq!(items[1].as_ref().unwrap().evidence, None);
        assert!(items[1].as_ref().unwrap().evidence_alien, "not of this post");
        let shuffled = answer(&[item("p2"), item("p1")]);
        for text in [
            shuffled.clone(),
            format!("Here you are [all two]:\n```json\n{shuffled}\n```\nAnything else?"),
            json!([item("p2"), item("p1")]).to_string(),
        ] {
            assert_eq!(read(&text, &posts(), &test_words()), right, "{text}");
        }
        let single = read(&item("p1").to_string(), &posts()[..1], &test_words());
        assert!(matches!(single, Answer::Items(items) if items[0].is_ok()));
    }

    #[test]
    fn a_draft_is_no_answer_and_lines_are_a_list() {
        let right = read(&answer(&[item("p1"), item("p2")]), &posts(), &test_words());
        let mut draft = item("p1");
        draft["sentiment"] = json!("neutral");
        let whole = answer(&[item("p1"), item("p2")]);
        for text in [
            format!("<think>p1 may be {draft}, or not.</think>\n{whole}"),
            format!("{{\"id\": \"p1\", \"note\": \"a draft\"}}\n\n```json\n{whole}\n```"),
            format!("{}\n{}\n", item("p1"), item("p2")),
        ] {
            assert_eq!(read(&text, &posts(), &test_words()), right, "{text}");
        }
        // Without a whole answer, what is there tells what is wrong.
        assert_eq!(broken(&draft.to_string()), "the answer lacks 1 of 2 posts");
    }

    #[test]
    fn ids_must_be_exactly_those_asked_for() {
        assert_eq!(broken(&answer(&[item("p1")])), "the answer lacks 1 of 2 posts");
        assert_eq!(
            broken(&answer(&[item("p1"), item("p2"), item("p3")])),
            "the answer has `p3`, which was not asked for"
        );
        let mut other = item("p1");
        other["sentiment"] = json!("positive");
        assert_eq!(
            broken(&answer(&[item("p1"), other, item("p2")])),
            "the answer has `p1` twice, and differently"
        );
        let twice = read(&answer(&[item("p1"), item("p1"), item("p2")]), &posts(), &test_words());
        assert!(matches!(twice, Answer::Items(_)), "the same twice is the same");
        let mut without = item("p1");
        without.as_object_mut().unwrap().remove("id");
        assert_eq!(broken(&answer(&[without])), "an item of the answer has no id");
        assert_eq!(broken("I cannot help with that."), "the answer holds no JSON with posts");
        assert_eq!(broken("  "), "the answer is empty");
        assert_eq!(broken(r#"{"posts":[{"id":"p1""#), "the answer holds no JSON with posts");
        assert_eq!(broken(r#"{"posts":["p1","p2"]}"#), "the answer holds no JSON with posts");
    }

    #[test]
    fn a_wrong_label_is_that_posts_problem_alone() {
        assert_eq!(
            problem(|p| p["sentiment"] = json!("mixed")),
            "sentiment has `mixed`, which is none of the list"
        );
        assert_eq!(problem(|p| p["risk_level"] = json!(3)), "risk_level is not text");
        assert_eq!(
            problem(|p| p["sentiment_score"] = json!(7)),
            "sentiment_score is no number between -1 and 1"
        );
        assert_eq!(
            problem(|p| p["risk_reasons"] = json!(["doom"])),
            "risk_reasons has `doom`, which is none of the list"
        );
        assert_eq!(
            problem(|p| p["theme_id"] = json!("weather")),
            "theme_id has `weather`, which is none of the list"
        );
        assert_eq!(
            problem(|p| p["action_id"] = json!("visit http://x")),
            "action_id has `another word`, which is none of the list"
        );
        assert_eq!(
            problem(|p| p["risk_category"] = json!("")),
            "risk_category has ``, which is none of the list"
        );
        for name in [
            "sentiment",
            "sentiment_score",
            "risk_level",
            "risk_category",
            "risk_reasons",
            "theme_id",
            "action_id",
        ] {
            let gone = problem(|p| drop(p.as_object_mut().unwrap().remove(name)));
            assert_eq!(gone, format!("{name} is missing"), "nothing is filled in");
        }
    }

    #[test]
    fn a_new_theme_is_a_few_plain_words() {
        let theme = |text: &str| {
            let text = text.to_string();
            two(move |p| {
                p["theme_id"] = json!("new");
                p["new_theme"] = json!(text);
            })
        };
        let Answer::Items(items) = theme("  Pet\u{200b}  Medications ") else { panic!() };
        assert_eq!(items[1].as_ref().unwrap().new_theme.as_deref(), Some("pet medications"));
        let long = "very ".repeat(20);
        for bad in ["", "see https://evil.example", "www.evil.example", "a\u{7}b <b>", "[NAME] {x}", &long] {
            let Answer::Items(items) = theme(bad) else { panic!() };
            assert!(items[1].is_err(), "{bad}");
        }
    }

    #[test]
    fn evidence_is_the_texts_own_words() {
        let text = "They  said “it’s fine”\n\nand it was not.";
        assert_eq!(evidence(text, "it was not"), Some("it was not"));
        assert_eq!(evidence(text, "said \"it's fine\" and it"), Some("said “it’s fine”\n\nand it"));
        assert_eq!(evidence(text, "\"They said"), Some("They  said"));
        assert_eq!(evidence(text, "it is not"), None);
        assert_eq!(evidence(text, "\"\""), None);
        let long = "ä".repeat(1000);
        assert_eq!(evidence(&long, &long).unwrap().chars().count(), EVIDENCE_MOST);
    }

    proptest! {
        #[test]
        fn rubbish_is_broken_and_never_panics(text in "\\PC{0,200}", json in "[\\[\\]{}\":,a-z0-9 p]{0,80}") {
            for text in [&text, &json] {
                if let Answer::Items(items) = read(text, &posts(), &test_words()) {
                    prop_assert!(items.iter().all(Result::is_err));
                }
            }
        }

        #[test]
        fn evidence_is_always_a_part_of_the_text(text in "[ab ’“\n]{0,30}", quote in "[ab '\"\n]{0,8}") {
            if let Some(found) = evidence(&text, &quote) {
                prop_assert!(text.contains(found) && !found.is_empty());
            }
        }
    }
}
