//! What `rxpulse init` writes: the repository's own files, so that they cannot drift apart.

macro_rules! own_files {
    ($($path:literal),* $(,)?) => {
        vec![$(($path, include_str!(concat!("../../", $path)))),*]
    };
}

/// Path (relative to the new project) and content of every file.
pub fn init_files() -> Vec<(&'static str, &'static str)> {
    own_files![
        "pipelines.toml",
        "assets/silver_posts.sql",
        "assets/fact_issue_daily.sql",
        "assets/issue_trend_daily.sql",
        "assets/top_issue_posts.sql",
        "assets/executive_summary_daily.sql",
        "assets/general_feedback_ai.prompt.md",
        "assets/issue_taxonomy.toml",
        "assets/risk.toml",
        "assets/themes.toml",
        "assets/actions.toml",
        "assets/golden.jsonl",
        "state/README.md",
        "state/.gitignore",
    ]
}
