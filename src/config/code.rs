//! Code versions: which parts of an asset's declaration shape its rows.
//!
//! One list of named parts feeds the hash and its explanation. Checks, pools, retries,
//! descriptions, tags, owners, the profile and the lake's place are never parts.

use crate::graph::CodeVersion;

/// Named parts, in the order of hashing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CodeParts(Vec<(String, String)>);

impl CodeParts {
    /// Adds a part as it is.
    pub(super) fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Adds a long part by its hash.
    pub(super) fn add_hash(&mut self, name: impl Into<String>, value: &[u8]) {
        self.add(name, CodeVersion::of(value).to_string());
    }

    /// Adds a version another room made.
    pub(super) fn add_version(&mut self, name: impl Into<String>, version: [u8; 16]) {
        self.add(name, CodeVersion(version).to_string());
    }

    /// Name and value of every part.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The hash of all parts.
    pub fn version(&self) -> CodeVersion {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"rxpulse code 1");
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            // Lengths keep two neighbours from trading letters.
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        CodeVersion::finish(&hasher)
    }

    /// The names of the parts that differ from `old`, or are in only one of the two.
    pub fn differing<'a>(&'a self, old: &'a CodeParts) -> Vec<&'a str> {
        let value =
            |parts: &'a CodeParts, name: &str| parts.iter().find(|(n, _)| *n == name).map(|(_, value)| value);
        let mut names: Vec<&str> =
            self.iter().filter(|(name, v)| value(old, name) != Some(*v)).map(|(name, _)| name).collect();
        names.extend(old.iter().filter(|(name, _)| value(self, name).is_none()).map(|(name, _)| name));
        names
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(of: &[(String, String)]) -> CodeParts {
        CodeParts(of.to_vec())
    }

    proptest! {
        #[test]
        fn equal_versions_mean_equal_parts(
            a in prop::collection::vec(("[ab]{0,2}", "[ab]{0,2}"), 0..4),
            b in prop::collection::vec(("[ab]{0,2}", "[ab]{0,2}"), 0..4),
        ) {
            prop_assert_eq!(parts(&a).version() == parts(&b).version(), a == b);
        }
    }

    #[test]
    fn differences_are_named() {
        let mut old = CodeParts::default();
        old.add("sql", "1");
        old.add("key", "a");
        old.add("rx_brand", "x");
        let mut new = CodeParts::default();
        new.add("sql", "2");
        new.add("key", "a");
        new.add("rx_norm", "y");
        assert_eq!(new.differing(&old), ["sql", "rx_norm", "rx_brand"]);
    }
}
