//! What `rxpulse init` writes: the repository's own files, so that they cannot drift apart.

/// Path (relative to the new project) and content of every file.
pub fn init_files() -> Vec<(&'static str, &'static str)> {
    vec![("pipelines.toml", include_str!("../../pipelines.toml"))]
}
