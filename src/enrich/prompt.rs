//! What a language model is asked: the prompt file with its lists filled in, and the shape that
//! its answer must have.
//!
//! Both are hashed; the hashes stand in every row that came of them. Pure.

use std::fmt::Write;

use serde_json::json;

use super::embedded::{RiskCategory, RiskLevel};

/// The prompt that a new project is given.
pub const SHIPPED_PROMPT: &str = include_str!("../../assets/general_feedback_ai.prompt.md");

/// What a model says for a theme that is not in the list.
pub const NEW_THEME: &str = "new";
/// What a model says where there is no risk category.
pub const NO_CATEGORY: &str = "none";

/// A place in the prompt file where a list goes.
const PLACES: [&str; 4] = ["{{themes}}", "{{actions}}", "{{risk_categories}}", "{{risk_reasons}}"];

/// The closed lists that labels are taken from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Vocabulary {
    /// Id, title, what belongs to it.
    pub themes: Vec<(String, String, String)>,
    /// Id, title.
    pub actions: Vec<(String, String)>,
    /// Code, level, category.
    pub reasons: Vec<(String, RiskLevel, RiskCategory)>,
}

impl Vocabulary {
    /// The title of a theme.
    pub fn theme(&self, id: &str) -> Option<&str> {
        self.themes.iter().find(|(i, ..)| i == id).map(|(_, title, _)| title.as_str())
    }

    /// What an action says.
    pub fn action(&self, id: &str) -> Option<&str> {
        self.actions.iter().find(|(i, _)| i == id).map(|(_, title)| title.as_str())
    }
}

/// A prompt with its lists, its schema and the hashes of both.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The system instruction.
    pub system: String,
    /// JSON Schema of the answer, its properties in the order in which they should be written.
    pub schema: String,
    /// 32 hexadecimal digits.
    pub hash: String,
    /// 32 hexadecimal digits.
    pub schema_hash: String,
    /// What labels are taken from.
    pub words: Vocabulary,
}

/// What is wrong with a prompt file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PromptProblem {
    /// Bytes of the file that it is about.
    pub span: std::ops::Range<usize>,
    /// What.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Prompt {
    /// Fills the lists into a prompt file. Comments (`<!-- … -->`) are for people and are left
    /// out, also of the hash.
    pub fn new(file: &str, words: Vocabulary) -> Self {
        let mut system = without_comments(file).trim().to_string();
        for place in PLACES {
            if system.contains(place) {
                system = system.replace(place, &list(place, &words));
            }
        }
        let schema = schema(&words);
        let hex = |text: &str| blake3::hash(text.as_bytes()).to_hex()[..32].to_string();
        Self { hash: hex(&system), schema_hash: hex(&schema), system, schema, words }
    }

    /// What of a prompt file would not do what its author means.
    pub fn problems(file: &str) -> Vec<PromptProblem> {
        let mut problems = Vec::new();
        if without_comments(file).trim().is_empty() {
            problems.push(PromptProblem {
                span: 0..file.len(),
                message: "the prompt is empty".into(),
                help: "write what the model should do, or remove the file to use the shipped prompt".into(),
            });
        }
        let mut from = 0;
        while let Some(at) = file[from..].find("{{").map(|at| from + at) {
            let end = file[at..].find("}}").map_or(file.len(), |e| at + e + 2);
            if !PLACES.contains(&&file[at..end]) {
                problems.push(PromptProblem {
                    span: at..end,
                    message: format!("`{}` is no list that can be filled in", &file[at..end]),
                    help: format!("the lists are {}", PLACES.join(", ")),
                });
            }
            from = end;
        }
        problems
    }
}

fn without_comments(file: &str) -> String {
    let mut out = String::with_capacity(file.len());
    let mut rest = file;
    while let Some((before, after)) = rest.split_once("<!--") {
        out.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

fn list(place: &str, words: &Vocabulary) -> String {
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _ = match place {
        "{{themes}}" => words.themes.iter().try_for_each(|(id, title, what)| match what.is_empty() {
            true => writeln!(out, "- `{id}`: {title}"),
            false => writeln!(out, "- `{id}`: {title}. {what}"),
        }),
        "{{actions}}" => words.actions.iter().try_for_each(|(id, title)| writeln!(out, "- `{id}`: {title}")),
        "{{risk_categories}}" => {
            RiskCategory::ALL.iter().try_for_each(|c| writeln!(out, "- `{}`: {}", c.as_str(), c.meaning()))
        }
        _ => words.reasons.iter().try_for_each(|(code, level, category)| {
            writeln!(out, "- `{code}` ({}, {})", level.as_str(), category.as_str())
        }),
    };
    out.truncate(out.trim_end().len());
    out
}

/// The schema, written by hand: the order of its properties steers a model, and a map would
/// lose it.
fn schema(words: &Vocabulary) -> String {
    let ids = |mut ids: Vec<&str>, more: &[&'static str]| {
        ids.extend(more);
        json!(ids).to_string()
    };
    let themes = ids(words.themes.iter().map(|t| t.0.as_str()).collect(), &[NEW_THEME]);
    let actions = ids(words.actions.iter().map(|a| a.0.as_str()).collect(), &[]);
    let reasons = ids(words.reasons.iter().map(|r| r.0.as_str()).collect(), &[]);
    let categories = ids(RiskCategory::ALL.iter().map(|c| c.as_str()).collect(), &[NO_CATEGORY]);
    let properties = [
        ("id", r#"{"type":"string","description":"The id of the post, as it was given"}"#.to_string()),
        ("theme_id", format!(r#"{{"type":"string","enum":{themes}}}"#)),
        (
            "new_theme",
            r#"{"type":"string","description":"Two to five words when theme_id is new, else empty"}"#
                .to_string(),
        ),
        ("sentiment", r#"{"type":"string","enum":["positive","neutral","negative"]}"#.to_string()),
        ("sentiment_score", r#"{"type":"number","description":"From -1 (worst) to 1 (best)"}"#.to_string()),
        ("risk_level", r#"{"type":"string","enum":["low","medium","high"]}"#.to_string()),
        ("risk_category", format!(r#"{{"type":"string","enum":{categories}}}"#)),
        ("risk_reasons", format!(r#"{{"type":"array","items":{{"type":"string","enum":{reasons}}}}}"#)),
        ("action_id", format!(r#"{{"type":"string","enum":{actions}}}"#)),
        (
            "evidence_quote",
            r#"{"type":"string","description":"Words of the post that show it, copied exactly"}"#.to_string(),
        ),
    ];
    let all: Vec<String> = properties.iter().map(|(name, body)| format!(r#""{name}":{body}"#)).collect();
    let required: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
    format!(
        r#"{{"type":"object","properties":{{"posts":{{"type":"array","items":{{"type":"object","properties":{{{}}},"required":{},"additionalProperties":false}}}}}},"required":["posts"],"additionalProperties":false}}"#,
        all.join(","),
        json!(required)
    )
}

#[cfg(test)]
pub(super) fn test_words() -> Vocabulary {
    let text = str::to_string;
    Vocabulary {
        themes: vec![
            (text("delivery"), text("Delivery"), text("Late, lost or wrong parcels")),
            (text("price"), text("Price"), String::new()),
        ],
        actions: vec![(text("call"), text("Call the customer today")), (text("none"), text("Nothing to do"))],
        reasons: vec![
            (text("wrong_medication"), RiskLevel::High, RiskCategory::PatientSafety),
            (text("billing_error"), RiskLevel::Medium, RiskCategory::Financial),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_filled_in_and_comments_left_out() {
        let prompt =
            Prompt::new("<!-- for people -->\nThemes:\n{{themes}}\nDo:\n{{actions}}\n", test_words());
        assert_eq!(
            prompt.system,
            "Themes:\n- `delivery`: Delivery. Late, lost or wrong parcels\n- `price`: Price\nDo:\n\
             - `call`: Call the customer today\n- `none`: Nothing to do"
        );
        let other = Prompt::new("<!-- else -->\nThemes:\n{{themes}}\nDo:\n{{actions}}", test_words());
        assert_eq!((prompt.hash.len(), &prompt.hash), (32, &other.hash), "a comment is not a change");
        let mut words = test_words();
        words.themes[0].2.clear();
        assert_ne!(Prompt::new("{{themes}}", test_words()).hash, Prompt::new("{{themes}}", words).hash);
    }

    #[test]
    fn the_schema_is_json_with_its_properties_in_order() {
        let prompt = Prompt::new("x", test_words());
        let value: serde_json::Value = serde_json::from_str(&prompt.schema).unwrap();
        let item = &value["properties"]["posts"]["items"];
        assert_eq!(item["properties"]["theme_id"]["enum"], json!(["delivery", "price", "new"]));
        let required: Vec<&str> =
            item["required"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
        let places: Vec<usize> =
            required.iter().map(|name| prompt.schema.find(&format!("\"{name}\":{{")).unwrap()).collect();
        assert!(places.is_sorted(), "{required:?}");
        assert_eq!(required.len(), item["properties"].as_object().unwrap().len());
    }

    #[test]
    fn a_list_that_is_none_is_named() {
        let problems = Prompt::problems("a {{theme}} b {{themes}} {{open");
        let named: Vec<&str> = problems.iter().map(|p| p.message.as_str()).collect();
        assert_eq!(
            named,
            ["`{{theme}}` is no list that can be filled in", "`{{open` is no list that can be filled in"]
        );
        assert_eq!(problems[0].span, 2..11);
        assert_eq!(Prompt::problems("<!-- x -->").len(), 1);
        assert_eq!(Prompt::problems(SHIPPED_PROMPT), []);
    }
}
