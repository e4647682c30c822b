//! Append-only records: what the product learned and must not forget (observations, quarantine
//! lists, labels). Each is a file of its own, numbered, created and never changed, but where
//! something that stands in it must be forgotten. Blocks on the disk.

use std::path::PathBuf;

use super::error::LakeError;
use super::root::Lake;
use crate::graph::AssetKey;

const EXTENSION: &str = ".json.zst";

impl Lake {
    /// Appends a record to the log `name` of a `kind`, and returns its number (from 1) when it
    /// is durable. Of two processes that append at once, both records are kept.
    pub fn append_record(&self, kind: &str, name: &str, bytes: &[u8]) -> Result<u64, LakeError> {
        let folder = folder(kind, name)?;
        let packed =
            zstd::bulk::compress(bytes, 3).map_err(|e| LakeError::io("compress", self.root(), 0, e))?;
        loop {
            let last = self.numbers(&folder)?.last().copied().unwrap_or(0);
            let path = format!("{folder}/{:010}{EXTENSION}", last + 1);
            if self.store.create(vec![(path, packed.clone())])?.first() == Some(&true) {
                return Ok(last + 1);
            }
        }
    }

    /// The records of a log, oldest first, by number and absolute path. A log that is not there
    /// is empty.
    pub fn list_records(&self, kind: &str, name: &str) -> Result<Vec<(u64, PathBuf)>, LakeError> {
        let folder = folder(kind, name)?;
        let path = |n: u64| (n, self.store.full(&format!("{folder}/{n:010}{EXTENSION}")));
        Ok(self.numbers(&folder)?.into_iter().map(path).collect())
    }

    /// The names of the logs of a kind, sorted.
    pub fn list_record_names(&self, kind: &str) -> Result<Vec<String>, LakeError> {
        let kind: AssetKey = kind.parse().map_err(|_| LakeError::BadName(kind.to_string()))?;
        let mut names = self.store.list_folders(&format!("_records/{kind}"))?;
        names.retain(|name| name.parse::<AssetKey>().is_ok());
        names.sort_unstable();
        Ok(names)
    }

    /// Reads one record. Fails with its path when it is missing or damaged.
    pub fn read_record(&self, kind: &str, name: &str, number: u64) -> Result<Vec<u8>, LakeError> {
        let path = format!("{}/{number:010}{EXTENSION}", folder(kind, name)?);
        let full = self.store.full(&path);
        let packed = self.store.get(&path)?.ok_or_else(|| LakeError::Io {
            action: "read",
            path: full.clone(),
            source: std::io::ErrorKind::NotFound.into(),
        })?;
        zstd::stream::decode_all(packed.as_slice())
            .map_err(|e| LakeError::Corrupt { path: full, why: e.to_string() })
    }

    /// Removes a record that newer ones of its log say everything of. The newest one stays:
    /// numbers are never given twice. False when it was not there.
    pub fn remove_record(&self, kind: &str, name: &str, number: u64) -> Result<bool, LakeError> {
        let folder = folder(kind, name)?;
        if self.numbers(&folder)?.last() == Some(&number) {
            return Ok(false);
        }
        self.store.delete(&format!("{folder}/{number:010}{EXTENSION}"))
    }

    /// Puts other bytes in the place of a record, for what must not stand in it any more. Killed
    /// at any point, the old or the new record is there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn replace_record(&self, kind: &str, name: &str, number: u64, bytes: &[u8]) -> Result<(), LakeError> {
        let path = format!("{}/{number:010}{EXTENSION}", folder(kind, name)?);
        let packed =
            zstd::bulk::compress(bytes, 3).map_err(|e| LakeError::io("compress", self.root(), 0, e))?;
        self.store.put(vec![(path, packed.into())])
    }

    fn numbers(&self, folder: &str) -> Result<Vec<u64>, LakeError> {
        let number = |name: &String| {
            let digits = name.strip_suffix(EXTENSION)?;
            (digits.len() >= 10 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
        };
        let mut numbers: Vec<u64> = self.store.list(folder)?.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

fn folder(kind: &str, name: &str) -> Result<String, LakeError> {
    let safe = |text: &str| text.parse::<AssetKey>().map_err(|_| LakeError::BadName(text.to_string()));
    Ok(format!("_records/{}/{}", safe(kind)?, safe(name)?))
}
