//! Which columns hold texts of posts, which do not outlive `[privacy] retain_text`. Pure.

use super::model::{PrivacyConfig, Retention};
use super::model_asset::{AssetConfig, Body};
use crate::diagnostic::{Problem, TextProblem};
use crate::graph::AssetKey;

/// Columns of these names hold words of posts, where they lead, or who said them, if they are
/// texts and their table says nothing else with `text_columns`.
pub const TEXT_COLUMNS: [&str; 17] = [
    "author",
    "body",
    "comment",
    "content",
    "evidence_quote",
    "excerpt",
    "headline",
    "link_title",
    "message",
    "permalink",
    "quote",
    "raw",
    "selftext",
    "snippet",
    "text",
    "title",
    "url",
];

/// Whether a column of a table holds text of posts. `kind` is its type as manifests name it;
/// without a declaration its name alone tells.
pub fn holds_text(declared: Option<&AssetConfig>, column: &str, kind: &str) -> bool {
    match declared {
        // What the product keeps itself is no post's.
        Some(AssetConfig { body: Body::System(_), .. }) => false,
        Some(AssetConfig { text_columns: Some(columns), .. }) => columns.iter().any(|c| c.value == column),
        _ => kind.contains("varchar") && TEXT_COLUMNS.contains(&column),
    }
}

/// A table that another one reads, with days before its own.
pub struct Window<'a> {
    /// The table.
    pub asset: &'a AssetKey,
    /// How many days before.
    pub days_before: u32,
    /// Whether it holds texts.
    pub texts: bool,
}

/// What is wrong, or will be once texts are removed, with a table whose columns (name and type as
/// manifests have it) are known by now.
pub fn text_problems(
    privacy: &PrivacyConfig,
    asset: &AssetConfig,
    columns: &[(String, String)],
    reads: &[Window<'_>],
) -> Vec<Problem> {
    let mut out = Vec::new();
    for column in asset.text_columns.iter().flatten() {
        if !columns.iter().any(|(name, _)| *name == column.value) {
            let names = columns.iter().map(|(name, _)| name.as_str());
            let help = match crate::diagnostic::did_you_mean(&column.value, names.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its columns are {}", names.collect::<Vec<_>>().join(", ")),
            };
            let problem =
                TextProblem::error(format!("`{}` has no column `{}`", asset.key, column.value), None);
            out.push(column.spot.problem(problem.help(help)));
        }
    }
    let Some(retain) = privacy.retain_text else { return out };
    for key in &asset.row_key {
        let kind = columns.iter().find(|(name, _)| *name == key.value).map(|(_, kind)| kind);
        if kind.is_some_and(|kind| holds_text(Some(asset), &key.value, kind)) {
            out.push(
                key.spot.problem(
                    TextProblem::warning(
                        format!(
                            "`{}` tells rows of `{}` apart, and is emptied after {retain} (privacy.retain_text)",
                            key.value, asset.key
                        ),
                        None,
                    )
                    .help(
                        "name a key that is no text, or say which columns hold texts of posts: text_columns = []",
                    ),
                ),
            );
        }
    }
    let days = match retain {
        Retention::Ms(ms) => ms / 86_400_000,
        // The shortest months: a warning too many is better than one too few.
        Retention::Months(n) => i64::from(n) * 28,
    };
    for read in reads.iter().filter(|read| read.texts) {
        // Two days more: a day is made again until its sources have settled.
        if i64::from(read.days_before) + 2 > days
            && let Some(spot) = &asset.spot
        {
            out.push(
                spot.problem(
                    TextProblem::warning(
                        format!(
                            "`{}` reads {} days before of `{}`, whose texts are removed after {retain} (privacy.retain_text)",
                            asset.key, read.days_before, read.asset
                        ),
                        None,
                    )
                    .help("nothing is made from days without texts; read fewer days, or a table of counts"),
                ),
            );
        }
    }
    out
}
