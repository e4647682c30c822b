//! An asset as the graph knows it: a key, a layer, what it depends on, and its code version.
//! Bodies (SQL text, prompts, source settings) live in the configuration.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::partition::{PartitionKey, PartitionMapping, Partitioning};
use super::version::CodeVersion;

/// The name of an asset: `[a-z][a-z0-9_]{0,63}`, safe as a table, file and folder name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssetKey(Arc<str>);

/// The text cannot name an asset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name an asset: a name starts with a letter a-z and goes on with at most 63 of a-z, 0-9 and _"
)]
pub struct AssetKeyError(pub String);

impl AssetKey {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AssetKey {
    type Err = AssetKeyError;

    fn from_str(text: &str) -> Result<Self, AssetKeyError> {
        let mut bytes = text.bytes();
        let fits = text.len() <= 64
            && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if fits { Ok(Self(text.into())) } else { Err(AssetKeyError(text.chars().take(80).collect())) }
    }
}

impl fmt::Display for AssetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for AssetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for AssetKey {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for AssetKey {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where in the house a table stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// As captured.
    Bronze,
    /// Cleaned and typed.
    Silver,
    /// Ready for decisions.
    Gold,
    /// Kept by the product itself: coverage, labels, issue types.
    System,
}

impl Layer {
    /// The word used in configuration and selections.
    pub fn as_str(self) -> &'static str {
        match self {
            Layer::Bronze => "bronze",
            Layer::Silver => "silver",
            Layer::Gold => "gold",
            Layer::System => "system",
        }
    }
}

/// What makes an asset's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AssetKind {
    /// Sources capture posts into it (bronze).
    Source,
    /// A SQL query over its dependencies.
    Sql,
    /// A model reads posts.
    Enrich,
    /// The product itself writes it from what it knows.
    System,
}

impl AssetKind {
    /// The word used in configuration and selections.
    pub fn as_str(self) -> &'static str {
        match self {
            AssetKind::Source => "source",
            AssetKind::Sql => "sql",
            AssetKind::Enrich => "enrich",
            AssetKind::System => "system",
        }
    }
}

/// One dependency of an asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dep {
    /// The upstream asset.
    pub asset: AssetKey,
    /// Which of its partitions are read.
    pub mapping: PartitionMapping,
}

/// One declared table.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Its name.
    pub key: AssetKey,
    /// Its layer.
    pub layer: Layer,
    /// What makes its rows.
    pub kind: AssetKind,
    /// How it is cut.
    pub partitioning: Partitioning,
    /// What it reads, in declared order.
    pub deps: Vec<Dep>,
    /// Free words to select by.
    pub tags: Vec<String>,
    /// Whom to ask.
    pub owners: Vec<String>,
    /// What it holds, for people.
    pub description: String,
    /// The concurrency pool its steps take a place in, besides the global one.
    pub pool: Option<String>,
    /// What its body says now.
    pub code: CodeVersion,
}

/// An asset's place in an [`super::AssetGraph`]: positions are in topological order,
/// so upstream assets have smaller positions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct AssetIdx(pub u32);

impl AssetIdx {
    /// For indexing vectors that hold one element an asset.
    pub fn i(self) -> usize {
        self.0 as usize
    }
}

/// The unit of everything: one partition of one asset.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct AssetPartition {
    /// Which asset.
    pub asset: AssetIdx,
    /// Which partition of it.
    pub partition: PartitionKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_safe_names() {
        for good in ["a", "raw_posts", "x9_", &"a".repeat(64)] {
            assert!(good.parse::<AssetKey>().is_ok(), "{good}");
        }
        for bad in ["", "A", "9a", "_a", "a-b", "a/b", "../a", "a\0", "é", "a b", &"a".repeat(65)] {
            assert!(bad.parse::<AssetKey>().is_err(), "{bad}");
        }
    }
}
