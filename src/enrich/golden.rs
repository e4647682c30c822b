//! The golden file: posts with the labels that a careful person gave them.
//!
//! One JSON object a line; `docs/labelling-guide.md` says how labels are decided. Every mistake
//! is told of with its line. Pure.

use std::collections::HashSet;

use super::embedded::{RiskCategory, RiskLevel, Sentiment};
use crate::diagnostic::TextProblem;

/// The golden file that ships with the program.
pub const GOLDEN: &str = include_str!("../../assets/golden.jsonl");

/// Which half a post is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Rules and prompts are tuned by looking at these.
    Dev,
    /// Nobody looks at these while tuning.
    Test,
}

impl Split {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Split::Dev => "dev",
            Split::Test => "test",
        }
    }
}

/// A post and the labels that it was given. One that is missing is not measured.
#[derive(Clone, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenPost {
    /// Unique in the file.
    pub id: String,
    /// Its half; a file that says nothing was not tuned on.
    #[serde(default = "untuned")]
    pub split: Split,
    /// The site.
    #[serde(default)]
    pub platform: String,
    /// `post`, `comment`, `review` or `ticket`.
    #[serde(default)]
    pub post_type: String,
    /// May be empty.
    #[serde(default)]
    pub title: String,
    /// May be empty.
    #[serde(default)]
    pub body: String,
    /// How it sounds.
    pub sentiment: Option<Sentiment>,
    /// How much harm it tells of.
    pub risk_level: Option<RiskLevel>,
    /// Whose concern that is; [`GoldCategory::None`] exactly when the level is low.
    #[serde(default, deserialize_with = "said_category")]
    pub risk_category: Option<GoldCategory>,
    /// An id of the themes.
    pub theme_id: Option<String>,
    /// An id of the actions.
    pub action_id: Option<String>,
    /// An id of the taxonomy.
    pub issue_type: Option<String>,
    /// Why, for people.
    #[serde(default)]
    pub notes: String,
}

/// A risk category that somebody gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GoldCategory {
    /// There is no risk: `null` or `"none"` in the file.
    None,
    /// Whose concern the risk is.
    Of(RiskCategory),
}

fn untuned() -> Split {
    Split::Test
}

/// Tells `null`, which is a label, from nothing at all, which is none.
fn said_category<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<GoldCategory>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Nothing {
        None,
    }
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Said {
        Nothing(Nothing),
        Category(RiskCategory),
    }
    use serde::Deserialize;
    Ok(Some(match Option::<Said>::deserialize(from)? {
        None | Some(Said::Nothing(Nothing::None)) => GoldCategory::None,
        Some(Said::Category(category)) => GoldCategory::Of(category),
    }))
}

/// The ids that labels may name; an empty list lets everything pass.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Of the themes.
    pub themes: Vec<String>,
    /// Of the actions.
    pub actions: Vec<String>,
    /// Of the taxonomy.
    pub issue_types: Vec<String>,
}

/// Reads a golden file.
///
/// # Errors
/// Everything that is wrong with it, each with its line.
pub fn read(text: &str, known: &Known) -> Result<Vec<GoldenPost>, Vec<TextProblem>> {
    let (mut posts, mut problems, mut ids) = (Vec::new(), Vec::new(), HashSet::new());
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let span = at..at + line.trim_end().len();
        at += line.len();
        if line.trim().is_empty() {
            continue;
        }
        let mut post: GoldenPost = match serde_json::from_str(line) {
            Ok(post) => post,
            Err(e) => {
                let start = (span.start + e.column().saturating_sub(1)).min(span.end);
                // Columns are bytes; one inside of a character is put at the line.
                let span = if text.is_char_boundary(start) { start..span.end } else { span };
                let message = e.to_string();
                let message = message.split(" at line").next().unwrap_or(&message);
                problems.push(
                    TextProblem::error(format!("this is no golden post: {message}"), span)
                        .help("one JSON object a line, as docs/labelling-guide.md says"),
                );
                continue;
            }
        };
        let mut wrong = |message: String, help: &str| {
            problems.push(TextProblem::error(message, span.clone()).help(help));
        };
        if !ids.insert(post.id.clone()) {
            wrong(format!("the id `{}` stands twice", post.id), "give one of the two another id");
        }
        if post.title.trim().is_empty() && post.body.trim().is_empty() {
            wrong(format!("`{}` has no text", post.id), "write a title or a body");
        }
        // A low risk is nobody's concern, whether that is written or not.
        if post.risk_level == Some(RiskLevel::Low) {
            post.risk_category.get_or_insert(GoldCategory::None);
        }
        if let (Some(level), Some(category)) = (post.risk_level, post.risk_category)
            && (level == RiskLevel::Low) != (category == GoldCategory::None)
        {
            wrong(
                format!("`{}` has a risk level and a category that do not go together", post.id),
                "low has the category null; medium and high have one",
            );
        }
        for (what, id, ids) in [
            ("theme", &post.theme_id, &known.themes),
            ("action", &post.action_id, &known.actions),
            ("issue type", &post.issue_type, &known.issue_types),
        ] {
            let Some(id) = id else { continue };
            if !ids.is_empty() && !ids.contains(id) {
                let near = crate::diagnostic::did_you_mean(id, ids.iter().map(String::as_str));
                let help = near.map_or("the tables under assets/ have the ids".to_string(), |n| {
                    format!("did you mean `{n}`?")
                });
                wrong(format!("`{}` names the {what} `{id}`, which there is not", post.id), &help);
            }
        }
        let labels = [
            post.sentiment.is_some(),
            post.risk_level.is_some(),
            post.risk_category.is_some(),
            post.theme_id.is_some(),
            post.action_id.is_some(),
            post.issue_type.is_some(),
        ];
        if !labels.contains(&true) {
            problems.push(
                TextProblem::error(format!("`{}` has no label", post.id), span.clone())
                    .help("give sentiment, risk_level, risk_category, theme_id, action_id or issue_type"),
            );
        }
        posts.push(post);
    }
    if posts.is_empty() && problems.is_empty() {
        problems.push(
            TextProblem::error("there is no post in the golden file", None)
                .help("one JSON object a line, as docs/labelling-guide.md says"),
        );
    }
    if problems.is_empty() { Ok(posts) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::Embedded;

    fn known() -> Known {
        let embedded = Embedded::new();
        let (taxonomy, _) =
            crate::classify::Taxonomy::parse(include_str!("../../assets/issue_taxonomy.toml")).unwrap();
        Known {
            themes: embedded.themes().map(|t| t.0.to_string()).collect(),
            actions: embedded.actions().map(|a| a.0.to_string()).collect(),
            issue_types: taxonomy.issues().iter().map(|i| i.id.clone()).collect(),
        }
    }

    #[test]
    fn the_shipped_file_is_what_the_guide_says() {
        let known = known();
        let posts = read(GOLDEN, &known).unwrap();
        assert!(posts.len() >= 240, "{}", posts.len());
        let count = |wanted: &dyn Fn(&GoldenPost) -> bool| posts.iter().filter(|p| wanted(p)).count();
        for issue in &known.issue_types {
            assert!(count(&|p| p.issue_type.as_ref() == Some(issue)) >= 8, "{issue}");
        }
        let high = |p: &GoldenPost| p.risk_level == Some(RiskLevel::High);
        assert!(count(&high) >= 40);
        assert!(
            count(&|p| high(p) && p.risk_category == Some(GoldCategory::Of(RiskCategory::PatientSafety)))
                >= 25
        );
        for split in [Split::Dev, Split::Test] {
            let n = count(&|p| p.split == split);
            assert!(n * 5 >= posts.len() * 2, "{}: {n}", split.as_str());
            assert!(count(&|p| p.split == split && high(p)) >= 20, "{}", split.as_str());
        }
        for sentiment in [Sentiment::Positive, Sentiment::Neutral, Sentiment::Negative] {
            assert!(count(&|p| p.sentiment == Some(sentiment)) >= 30, "{}", sentiment.as_str());
        }
        let mut texts: Vec<_> = posts.iter().map(|p| (&p.title, &p.body)).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), posts.len(), "a post stands twice");
    }

    #[test]
    fn labels_that_are_missing_are_missing() {
        let text = r#"{"id": "1", "body": "x", "risk_level": "low"}
{"id": "2", "title": "x", "risk_level": "high"}
{"id": "3", "body": "x", "risk_level": "low", "risk_category": "none", "issue_type": "SAFETY"}
{"id": "4", "body": "x", "risk_category": "legal", "sentiment": null}"#;
        let posts = read(text, &known()).unwrap();
        let said: Vec<_> =
            posts.iter().map(|p| (p.split, p.sentiment, p.risk_category, p.issue_type.is_some())).collect();
        let none = Some(GoldCategory::None);
        assert_eq!(
            said,
            [
                (Split::Test, None, none, false),
                (Split::Test, None, None, false),
                (Split::Test, None, none, true),
                (Split::Test, None, Some(GoldCategory::Of(RiskCategory::Legal)), false),
            ]
        );
        let refused = |text: &str| read(text, &known()).unwrap_err()[0].message.clone();
        assert_eq!(refused(r#"{"id": "1", "body": "x"}"#), "`1` has no label");
        assert_eq!(
            refused(r#"{"id": "1", "body": "x", "risk_level": "high", "risk_category": null}"#),
            "`1` has a risk level and a category that do not go together"
        );
    }

    #[test]
    fn mistakes_have_their_line() {
        let good = GOLDEN.lines().next().unwrap();
        let bad = [
            good.to_string(),
            good.to_string(),
            good.replace("\"g001\"", "\"g900\"").replace("\"patient_safety\"", "null"),
            good.replace("\"g001\"", "\"g901\"").replace("\"SAFETY\"", "\"SAFTY\""),
            good.replace("\"g001\"", "\"g902\"").replace("\"high\"", "\"hgih\""),
            "{\"id\": 7".to_string(),
            String::new(),
            good.replace("\"g001\"", "\"g903\"").replace("\"notes\"", "\"note\""),
        ]
        .join("\n");
        let file = std::sync::Arc::new(crate::diagnostic::SourceText {
            name: "golden.jsonl".into(),
            text: bad.clone(),
        });
        let shown: Vec<String> = read(&bad, &known())
            .unwrap_err()
            .into_iter()
            .map(|p| p.within(&file))
            .map(|p| format!("{}: {}", p.position().unwrap().0, p.text.message))
            .collect();
        insta::assert_snapshot!(shown.join("\n"));
        assert_eq!(read(" \n", &Known::default()).unwrap_err().len(), 1);
    }
}
