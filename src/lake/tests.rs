//! The lake as a whole: opening, commits, races, records; and what the other tests share.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use proptest::prelude::*;

use super::*;
use crate::event::StepStats;
use crate::graph::{AssetKey, CodeVersion, DataVersion, Day, Fingerprint, Outcome, PartitionKey};

pub(super) fn key(name: &str) -> AssetKey {
    name.parse().unwrap()
}

pub(super) fn day(text: &str) -> PartitionKey {
    PartitionKey::Day(text.parse().unwrap())
}

pub(super) fn nth(n: i32) -> PartitionKey {
    PartitionKey::Day("2026-08-01".parse::<Day>().unwrap().plus(n))
}

pub(super) fn generation(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

pub(super) fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_millis() as i64
}

pub(super) fn rows(values: &[i64]) -> RecordBatch {
    let texts: Vec<String> = values.iter().map(|v| format!("row {v}")).collect();
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(values.to_vec())) as ArrayRef),
        ("text", Arc::new(StringArray::from(texts)) as ArrayRef),
    ])
    .unwrap()
}

pub(super) fn staged(lake: &Lake, values: &[i64]) -> Staged {
    let batch = rows(values);
    let mut writer = PartitionWriter::new(&batch.schema(), lake.writer_options()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap()
}

pub(super) fn draft(asset: &str, partition: PartitionKey) -> ManifestDraft {
    ManifestDraft {
        asset: key(asset),
        source: None,
        partition,
        floor: 0,
        based_on: None,
        code: CodeVersion::of(b"code"),
        fingerprint: Fingerprint::of(b"inputs"),
        inputs: vec![InputVersion { asset: key("raw_posts"), partition, data: None }],
        checks: Vec::new(),
        outcome: Outcome::Complete,
        coverage: None,
        stats: StepStats::default(),
        created_ms: now_ms(),
        run: Some(1),
    }
}

pub(super) fn table(lake: &Lake, asset: &str, partition: PartitionKey, values: &[i64]) -> Commit {
    Commit { content: Content::Table(staged(lake, values)), manifest: draft(asset, partition) }
}

pub(super) fn bronze(
    source: &str,
    partition: PartitionKey,
    add: Vec<NewObject>,
    drop: Vec<String>,
) -> Commit {
    let manifest = ManifestDraft { source: Some(source.into()), ..draft("raw_posts", partition) };
    Commit { content: Content::Bronze { add, drop }, manifest }
}

pub(super) fn publish(lake: &Lake, commit: Commit) -> Manifest {
    lake.commit(vec![commit]).unwrap().pop().unwrap().unwrap().manifest
}

pub(super) fn lake() -> (tempfile::TempDir, Lake) {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(&folder.path().join("lake"), "UTC").unwrap();
    (folder, lake)
}

/// Every data file below the root, by path.
pub(super) fn data_files(lake: &Lake) -> BTreeMap<String, Vec<u8>> {
    let root = lake.root();
    walkdir::WalkDir::new(root)
        .into_iter()
        .map(Result::unwrap)
        .filter(|e| e.file_type().is_file())
        .map(|e| (e.path().strip_prefix(root).unwrap().to_str().unwrap().to_string(), e))
        .filter(|(path, _)| !path.starts_with('_'))
        .map(|(path, e)| (path, std::fs::read(e.path()).unwrap()))
        .collect()
}

/// The current files of every partition, each checked against its name.
pub(super) fn current(lake: &Lake) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for asset in ["silver_posts", "fact_issue_daily", "issue_types", "raw_posts"] {
        let asset = key(asset);
        let mut sources = vec![None];
        sources.extend(lake.list_sources(&asset).unwrap().into_iter().map(Some));
        for source in sources {
            for listed in lake.list_manifests(&asset, source.as_deref()).unwrap() {
                let manifest = lake
                    .read_manifest(&asset, source.as_deref(), listed.partition, listed.generation)
                    .unwrap();
                for file in &manifest.files {
                    let bytes = lake.read_file(file).unwrap();
                    assert!(file.path.contains(&DataVersion::of(&bytes).to_string()), "{}", file.path);
                    files.insert(file.path.clone(), bytes);
                }
            }
        }
    }
    files
}

#[test]
fn a_lake_is_made_once_and_keeps_its_identity() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a/b");
    assert!(Lake::open_existing(&root, "UTC").unwrap().is_none());
    assert!(!root.exists());
    let ids: HashSet<String> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..16).map(|_| scope.spawn(|| Lake::open(&root, "UTC").unwrap().id().to_string())).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(ids.iter().next().unwrap().len(), 36);
    let again = Lake::open_existing(&root, "UTC").unwrap().unwrap();
    assert!(ids.contains(again.id()));

    let other = Lake::open(&folder.path().join("c"), "UTC").unwrap();
    assert!(!ids.contains(other.id()));
}

#[test]
fn another_time_zone_or_a_newer_format_is_refused_with_advice() {
    let (_folder, lake) = lake();
    let error = Lake::open(lake.root(), "Asia/Kathmandu").unwrap_err().to_string();
    assert!(error.contains("timezone = \"UTC\""), "{error}");
    std::fs::write(lake.root().join("_lake.json"), r#"{"format": 9, "new": "fields"}"#).unwrap();
    let error = Lake::open(lake.root(), "UTC").unwrap_err().to_string();
    assert!(error.contains("newer rxpulse"), "{error}");
    std::fs::write(lake.root().join("_lake.json"), "half").unwrap();
    let error = Lake::open(lake.root(), "UTC").unwrap_err().to_string();
    assert!(error.contains("_lake.json` is damaged"), "{error}");
}

#[test]
fn a_partition_is_published_and_read_back() {
    let (_folder, lake) = lake();
    let partition = day("2026-11-01");
    let manifest = publish(&lake, table(&lake, "silver_posts", partition, &[1, 2, 3]));
    assert_eq!(manifest.generation, generation(1));
    assert_eq!((manifest.rows, manifest.files.len()), (3, 1));
    assert_eq!(manifest.stats.unchanged, None);
    assert_eq!(
        manifest.schema,
        [("id".to_string(), "bigint".to_string()), ("text".into(), "varchar".into())]
    );
    let read = lake.read_manifest(&key("silver_posts"), None, partition, generation(1)).unwrap();
    assert_eq!(read, manifest);
    let path = lake.path(&manifest.files[0]);
    assert!(path.to_str().unwrap().contains("silver_posts/dt=2026-11-01/v="), "{path:?}");
    let batches = read_parquet(&path).unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].columns(), rows(&[1, 2, 3]).columns());
    assert_eq!(batches[0].schema(), manifest.arrow_schema().unwrap());
    assert_eq!(std::fs::read_dir(lake.temps().path()).unwrap().count(), 0);
}

#[test]
fn an_empty_day_is_a_manifest_without_files_that_keeps_the_schema() {
    let (_folder, lake) = lake();
    let manifest = publish(&lake, table(&lake, "silver_posts", day("2026-11-01"), &[]));
    assert_eq!((manifest.rows, manifest.bytes, manifest.files.len()), (0, 0, 0));
    assert_eq!(manifest.arrow_schema().unwrap().field(1).name(), "text");
    assert!(data_files(&lake).is_empty());
    // The same emptiness has the same version, another schema has not.
    assert_eq!(staged(&lake, &[]).data, manifest.data);
    let other = PartitionWriter::new(&datafusion::arrow::datatypes::Schema::empty(), lake.writer_options());
    assert_ne!(other.unwrap().finish().unwrap().data, manifest.data);
}

#[test]
fn the_same_content_again_is_the_same_object() {
    let (_folder, lake) = lake();
    let partition = PartitionKey::Whole;
    let first = publish(&lake, table(&lake, "issue_types", partition, &[1, 2]));
    let second = publish(&lake, table(&lake, "issue_types", partition, &[1, 2]));
    assert_eq!(second.generation, generation(2));
    assert_eq!(first.files, second.files);
    assert_eq!(second.stats.unchanged, Some(true));
    assert!(second.superseded.is_empty());
    assert_eq!(data_files(&lake).len(), 1);
    let third = publish(&lake, table(&lake, "issue_types", partition, &[1, 2, 3]));
    assert_eq!(third.stats.unchanged, Some(false));
    assert_eq!(third.superseded.len(), 1);
    assert_eq!(third.superseded[0].path, first.files[0].path);
    // Back to the first content: its file is current again and the other one superseded.
    let fourth = publish(&lake, table(&lake, "issue_types", partition, &[1, 2]));
    assert_eq!(fourth.files, first.files);
    let superseded: Vec<&str> = fourth.superseded.iter().map(|s| s.path.as_str()).collect();
    assert_eq!(superseded, [third.files[0].path.as_str()]);
    // A file of the right name but the wrong size is not relied upon.
    std::fs::write(lake.path(&first.files[0]), "cut").unwrap();
    publish(&lake, table(&lake, "issue_types", partition, &[1, 2]));
    current(&lake);
}

#[test]
fn sixteen_racing_writers_have_one_winner_a_generation() {
    let (_folder, lake) = lake();
    let partition = day("2026-11-01");
    for round in 0..6u32 {
        let barrier = std::sync::Barrier::new(16);
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|i| {
                    let (lake, barrier) = (&lake, &barrier);
                    scope.spawn(move || {
                        // Each as a process of its own: nothing shared but the disk.
                        let own = Lake::open(lake.root(), "UTC").unwrap();
                        let mut commit = table(&own, "silver_posts", partition, &[i64::from(round), i]);
                        commit.manifest.based_on = Some(round);
                        commit.manifest.floor = round;
                        barrier.wait();
                        own.commit(vec![commit]).unwrap().pop().unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let won: Vec<_> = results.iter().flatten().collect();
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!(won[0].generation, generation(round + 1));
        for result in &results {
            if let Err(error) = result {
                assert!(matches!(error, CommitError::Lost { .. }), "{error}");
            }
        }
        let listed = lake.list_manifests(&key("silver_posts"), None).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].generation, generation(round + 1));
        let now = lake.read_manifest(&key("silver_posts"), None, partition, generation(round + 1)).unwrap();
        assert_eq!(now, won[0].manifest);
    }
    current(&lake);
}

#[test]
fn racing_writers_that_build_on_anything_never_share_a_number() {
    let (_folder, lake) = lake();
    let partition = day("2026-11-01");
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|i| {
                let lake = &lake;
                scope.spawn(move || {
                    let own = Lake::open(lake.root(), "UTC").unwrap();
                    let commit = table(&own, "silver_posts", partition, &[i]);
                    (i, own.commit(vec![commit]).unwrap().pop().unwrap())
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let won: Vec<u32> = results.iter().filter_map(|(_, r)| Some(r.as_ref().ok()?.generation.get())).collect();
    assert_eq!(won.iter().collect::<HashSet<_>>().len(), won.len(), "{won:?}");
    let listed = lake.list_manifests(&key("silver_posts"), None).unwrap()[0];
    assert_eq!(listed.manifests, listed.generation.get(), "numbers without gaps");
    assert!(won.contains(&listed.generation.get()));
}

#[test]
fn a_late_holder_changes_nothing() {
    let (_folder, lake) = lake();
    let partition = day("2026-11-01");
    publish(&lake, table(&lake, "silver_posts", partition, &[1]));
    let late = Lake::open(lake.root(), "UTC").unwrap();
    let mut slow = table(&late, "silver_posts", partition, &[2]);
    slow.manifest.based_on = Some(1);
    publish(&lake, table(&lake, "silver_posts", partition, &[3]));
    let before = data_files(&lake);
    let error = late.commit(vec![slow]).unwrap().pop().unwrap().unwrap_err();
    assert!(matches!(&error, CommitError::Lost { generation, .. } if generation.get() == 2), "{error}");
    assert_eq!(
        error.to_string(),
        "silver_posts[2026-11-01] was published by another process as generation 2: nothing was changed"
    );
    assert_eq!(data_files(&lake), before);
    assert_eq!(lake.list_manifests(&key("silver_posts"), None).unwrap()[0].manifests, 2);
}

#[test]
fn a_deleted_manifest_does_not_give_its_number_back() {
    let (_folder, lake) = lake();
    let partition = day("2026-11-01");
    publish(&lake, table(&lake, "silver_posts", partition, &[1]));
    let second = publish(&lake, table(&lake, "silver_posts", partition, &[2]));
    let path = |n: u32| lake.root().join(format!("_manifests/silver_posts/2026-11-01.{n:010}.json"));
    std::fs::remove_file(path(2)).unwrap();
    let mut commit = table(&lake, "silver_posts", partition, &[2]);
    commit.manifest.floor = second.generation.get();
    assert_eq!(publish(&lake, commit).generation, generation(3));
    std::fs::remove_file(path(1)).unwrap();
    std::fs::remove_file(path(3)).unwrap();
    assert!(lake.list_manifests(&key("silver_posts"), None).unwrap().is_empty());
    let mut commit = table(&lake, "silver_posts", partition, &[2]);
    commit.manifest.floor = 3;
    assert_eq!(publish(&lake, commit).generation, generation(4));
}

#[test]
fn listings_pass_over_what_is_no_manifest() {
    let (_folder, lake) = lake();
    let asset = key("silver_posts");
    assert!(lake.list_manifests(&asset, None).unwrap().is_empty());
    publish(&lake, table(&lake, "silver_posts", day("2026-11-01"), &[1]));
    let folder = lake.root().join("_manifests/silver_posts");
    for alien in [
        ".DS_Store",
        "2026-11-02.json",
        "2026-11-02.1.json",
        "2026-11-02.0000000000.json",
        "2026-11-02.9999999999.json",
        "2026-13-02.0000000001.json",
        "2026-11-02.0000000001.json.tmp",
        "2026-11-02.+000000001.json",
        "..0000000001.json",
    ] {
        std::fs::write(folder.join(alien), "x").unwrap();
    }
    std::fs::create_dir(folder.join("2026-11-03.0000000001.json")).unwrap();
    std::fs::write(folder.join("whole.0000000007.json"), "x").unwrap();
    let listed = lake.list_manifests(&asset, None).unwrap();
    let seen: Vec<String> = listed.iter().map(|l| format!("{} {}", l.partition, l.generation)).collect();
    assert_eq!(seen, ["whole 7", "2026-11-01 1"]);
}

#[test]
fn a_damaged_manifest_is_named_and_a_table_goes_on_over_it() {
    let (_folder, lake) = lake();
    let (asset, partition) = (key("silver_posts"), day("2026-11-01"));
    let good = publish(&lake, table(&lake, "silver_posts", partition, &[1]));
    let path = lake.root().join("_manifests/silver_posts/2026-11-01.0000000001.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let newer = text.replace("\"format\":1", "\"format\":2");
    let moved = text.replace("2026-11-01", "2026-11-02");
    let outside = text.replace(&good.files[0].path, "silver_posts/../../secret");
    for (bad, why) in [
        ("", "is damaged"),
        (&text[..text.len() / 2], "is damaged"),
        ("\0\0\0\0", "is damaged"),
        (moved.as_str(), "it says it is silver_posts[2026-11-02]"),
        (outside.as_str(), "not inside its asset's folder"),
        (newer.as_str(), "newer rxpulse"),
    ] {
        std::fs::write(&path, bad).unwrap();
        let error = lake.read_manifest(&asset, None, partition, generation(1)).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("2026-11-01.0000000001.json"), "{error}");
    }
    // A newer format is not written over; damage is.
    let error = lake.commit(vec![table(&lake, "silver_posts", partition, &[2])]).unwrap().pop().unwrap();
    assert!(error.unwrap_err().to_string().contains("newer rxpulse"));
    std::fs::write(&path, "half").unwrap();
    let next = publish(&lake, table(&lake, "silver_posts", partition, &[2]));
    assert_eq!(next.generation, generation(2));
}

#[test]
fn bronze_only_gains_objects() {
    let (_folder, lake) = lake();
    let partition = day("2026-11-01");
    let object = |text: &str| NewObject {
        locator: Some("../in/é\n.zst".into()),
        ..NewObject::of_bytes(text.as_bytes().to_vec(), 2)
    };
    let first = publish(&lake, bronze("files", partition, vec![object("a"), object("b")], vec![]));
    assert_eq!((first.rows, first.files.len()), (4, 2));
    assert!(first.files[0].path.starts_with("raw_posts/src=files/dt=2026-11-01/c="));
    assert_eq!(first.files[0].locator.as_deref(), Some("../in/é\n.zst"));
    let second = publish(&lake, bronze("files", partition, vec![object("c"), object("a")], vec![]));
    assert_eq!(second.files.len(), 3);
    let sorted: Vec<String> = second.files.iter().map(|f| f.path.clone()).collect();
    assert!(sorted.is_sorted());
    assert_eq!(second.data, bronze_version(sorted.iter().rev().map(String::as_str)));
    assert_ne!(first.data, second.data);
    // Another source of the same day is apart.
    publish(&lake, bronze("sample", partition, vec![object("a")], vec![]));
    assert_eq!(lake.list_sources(&key("raw_posts")).unwrap(), ["files", "sample"]);
    // What is there is not read again; what is read must be what was promised.
    struct Never;
    impl std::io::Read for Never {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            panic!("read")
        }
    }
    let hash = DataVersion::of(b"a").0;
    let known = NewObject::of_reader(hash, 1, 2, Box::new(Never));
    assert_eq!(publish(&lake, bronze("files", partition, vec![known], vec![])).files.len(), 3);
    let wrong = NewObject::of_reader(DataVersion::of(b"x").0, 1, 2, Box::new(&b"y"[..]));
    let error = lake.commit(vec![bronze("files", partition, vec![wrong], vec![])]).unwrap_err();
    assert!(error.to_string().contains("the spool was changed"), "{error}");
    let right = NewObject::of_reader(DataVersion::of(b"x").0, 1, 2, Box::new(&b"x"[..]));
    assert_eq!(publish(&lake, bronze("files", partition, vec![right], vec![])).files.len(), 4);
    // Letting go.
    let gone = publish(&lake, bronze("files", partition, vec![], vec![sorted[0].clone()]));
    assert_eq!(gone.files.len(), 3);
    assert_eq!(gone.superseded[0].path, sorted[0]);
    current(&lake);

    // Bronze never builds on a manifest that it cannot read.
    let highest = gone.generation.get();
    let path = format!("_manifests/raw_posts/src=files/2026-11-01.{highest:010}.json");
    std::fs::write(lake.root().join(path), "half").unwrap();
    let error = lake.commit(vec![bronze("files", partition, vec![object("d")], vec![])]).unwrap().pop();
    assert!(error.unwrap().unwrap_err().to_string().contains("is damaged"));
}

#[test]
fn names_from_outside_never_become_paths() {
    let (_folder, lake) = lake();
    let commit = bronze("../../etc", day("2026-11-01"), vec![], vec![]);
    assert!(matches!(lake.commit(vec![commit]), Err(LakeError::BadName(_))));
    assert!(lake.list_manifests(&key("raw_posts"), Some("a/b")).is_err());
    for bad in ["..", "a/b", "", "A", "a\0"] {
        assert!(lake.append_record("observations", bad, b"{}").is_err(), "{bad:?}");
        assert!(lake.append_record(bad, "files", b"{}").is_err(), "{bad:?}");
    }
}

#[test]
fn records_are_numbered_and_kept() {
    let (_folder, lake) = lake();
    assert!(lake.list_records("observations", "files").unwrap().is_empty());
    let numbers: HashSet<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|i| {
                let lake = &lake;
                scope.spawn(move || {
                    lake.append_record("observations", "files", format!("[{i}]").as_bytes()).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(numbers, (1..=8).collect());
    let listed = lake.list_records("observations", "files").unwrap();
    assert_eq!(listed.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    let mut texts: Vec<String> = (1..=8)
        .map(|n| String::from_utf8(lake.read_record("observations", "files", n).unwrap()).unwrap())
        .collect();
    texts.sort();
    assert_eq!(texts, (0..8).map(|i| format!("[{i}]")).collect::<Vec<_>>());
    assert_eq!(lake.list_record_names("observations").unwrap(), ["files"]);
    std::fs::write(&listed[0].1, "not zstd").unwrap();
    let error = lake.read_record("observations", "files", 1).unwrap_err().to_string();
    assert!(error.contains("is damaged"), "{error}");
}

#[test]
fn two_thousand_partitions_in_a_batch() {
    let (_folder, lake) = lake();
    let batch = |texts: &dyn Fn(i32) -> String| -> Vec<Commit> {
        let object = |n| NewObject::of_bytes(texts(n).into_bytes(), 1);
        (0..2000).map(|n| bronze("files", nth(n), vec![object(n)], vec![])).collect()
    };
    let results = lake.commit(batch(&|n| n.to_string())).unwrap();
    assert_eq!(results.len(), 2000);
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result.as_ref().unwrap().manifest.partition, nth(n as i32));
    }
    let asset = key("raw_posts");
    let listed = lake.list_manifests(&asset, Some("files")).unwrap();
    assert_eq!(listed.len(), 2000);
    let wanted: Vec<_> = listed.iter().map(|l| (l.partition, l.generation)).collect();
    let read = lake.read_manifests(&asset, Some("files"), &wanted).unwrap();
    for (manifest, (partition, _)) in read.iter().zip(&wanted) {
        assert_eq!(manifest.as_ref().unwrap().partition, *partition);
    }
    // Again, with news for a half of it.
    let again = lake.commit(batch(&|n| if n < 1000 { n.to_string() } else { format!("{n} more") })).unwrap();
    for (n, result) in again.into_iter().enumerate() {
        let manifest = result.unwrap().manifest;
        assert_eq!(manifest.generation, generation(2));
        assert_eq!(manifest.stats.unchanged, Some(n < 1000));
        assert_eq!(manifest.files.len(), if n < 1000 { 1 } else { 2 });
    }
    assert_eq!(current(&lake), data_files(&lake));
    assert_eq!(data_files(&lake).len(), 3000);
    assert_eq!(std::fs::read_dir(lake.temps().path()).unwrap().count(), 0);
}

#[test]
fn a_hundred_tables_in_a_batch_share_their_syncs() {
    let (_folder, lake) = lake();
    for (round, salt) in [(1, 0), (2, 1)] {
        let batch = (0..100).map(|n| table(&lake, "silver_posts", nth(n), &[i64::from(n), salt])).collect();
        for result in lake.commit(batch).unwrap() {
            assert_eq!(result.unwrap().generation, generation(round));
        }
    }
    assert_eq!(data_files(&lake).len(), 200);
    assert_eq!(current(&lake).len(), 100);
}

#[test]
fn partitions_of_a_batch_fail_one_by_one() {
    let (_folder, lake) = lake();
    publish(&lake, table(&lake, "silver_posts", nth(1), &[1]));
    let mut late = table(&lake, "silver_posts", nth(1), &[2]);
    late.manifest.based_on = Some(0);
    let twice = || table(&lake, "fact_issue_daily", nth(0), &[7]);
    let results =
        lake.commit(vec![table(&lake, "silver_posts", nth(0), &[1]), late, twice(), twice()]).unwrap();
    let won: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(won, [true, false, true, false]);
}

#[test]
fn a_spool_past_its_memory_goes_to_disk_and_into_place() {
    let (_folder, lake) = lake();
    let values: Vec<i64> = (0..30_000).map(|i| i * 7919 % 104_729).collect();
    let batch = rows(&values);
    let options = WriterOptions { memory_limit: 1000, ..lake.writer_options() };
    let mut writer = PartitionWriter::new(&batch.schema(), options.clone()).unwrap();
    writer.write(&batch).unwrap();
    let large = writer.finish().unwrap();
    assert_eq!(std::fs::read_dir(lake.temps().path()).unwrap().count(), 1);
    let read: usize = large.batches().unwrap().map(|b| b.unwrap().num_rows()).sum();
    assert_eq!(read, 30_000);
    let small = staged(&lake, &values);
    assert_eq!((large.data, large.file_hash()), (small.data, small.file_hash()));
    let manifest =
        publish(&lake, Commit { content: Content::Table(large), manifest: draft("silver_posts", nth(0)) });
    assert_eq!(manifest.rows, 30_000);
    current(&lake);
    // Dropped without being published, it leaves nothing.
    let mut writer = PartitionWriter::new(&batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    drop(writer.finish().unwrap());
    assert_eq!(std::fs::read_dir(lake.temps().path()).unwrap().count(), 0);
}

#[test]
fn a_read_only_lake_is_named() {
    let (_folder, lake) = lake();
    let temps = lake.temps().path().to_path_buf();
    // A file where the folder must be: refused whoever runs the test, root too.
    let _ = std::fs::remove_dir_all(&temps);
    std::fs::write(&temps, "").unwrap();
    let error = lake.commit(vec![table(&lake, "silver_posts", nth(0), &[1])]).unwrap_err().to_string();
    assert!(error.contains("_tmp"), "{error}");
}

proptest! {
    #[test]
    fn names_of_manifests_round_trip(n in -20_000i32..60_000, g in 1u32..) {
        let partition = PartitionKey::Day(Day(n));
        let name = super::manifest::manifest_file(partition, g);
        prop_assert_eq!(super::manifest::parse_manifest_file(&name), Some((partition, generation(g))));
    }

    #[test]
    fn no_text_is_a_manifest_by_accident(name in "[whole0-9.+-]{0,30}(json)?") {
        if let Some((partition, g)) = super::manifest::parse_manifest_file(&name) {
            prop_assert_eq!(super::manifest::manifest_file(partition, g.get()), name);
        }
    }
}

/// Prints what commits, hashing and writing cost. Run it in release, alone.
#[test]
#[ignore = "a measurement"]
fn measure() {
    let time = |what: &str, n: u32, act: &mut dyn FnMut()| {
        let start = std::time::Instant::now();
        act();
        eprintln!("{what}: {:.1} µs each", start.elapsed().as_secs_f64() * 1e6 / f64::from(n));
    };
    for base in [std::env::temp_dir(), "/dev/shm".into()] {
        let folder = tempfile::tempdir_in(&base).unwrap();
        eprintln!("in {}", base.display());
        let lake = Lake::open(&folder.path().join("lake"), "UTC").unwrap();
        for salt in 0..2 {
            let mut batch = Some((0..1000).map(|n| table(&lake, "a", nth(n), &[salt, n.into()])).collect());
            time("1,000 commits in a batch", 1000, &mut || {
                assert!(lake.commit(batch.take().unwrap()).unwrap().iter().all(Result::is_ok));
            });
        }
        for (name, singly) in [("fsync", 16), ("syncfs", 0)] {
            let mut lake = Lake::open(&folder.path().join(name), "UTC").unwrap();
            lake.store.sync_singly_up_to(singly);
            time(&format!("1,000 commits one by one, {name}"), 1000, &mut || {
                for n in 0..1000 {
                    publish(&lake, table(&lake, "a", nth(n), &[n.into()]));
                }
            });
        }
        let asset = key("a");
        time("listing 2,000 manifests", 1, &mut || {
            lake.list_manifests(&asset, None).unwrap();
        });
        let wanted: Vec<_> = (0..1000).map(|n| (nth(n), generation(2))).collect();
        time("reading 1,000 manifests", 1000, &mut || {
            assert!(lake.read_manifests(&asset, None, &wanted).unwrap().iter().all(Result::is_ok));
        });
    }
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path(), "UTC").unwrap();
    time("staging a tiny partition", 1000, &mut || {
        for n in 0..1000 {
            staged(&lake, &[n]);
        }
    });
    // Posts: ids, times, a body of some 300 bytes, a few words that repeat.
    let words =
        ["my", "refill", "was", "late", "again", "and", "support", "did", "not", "answer", "CVS", "app"];
    let n = 200_000usize;
    let word = |i: usize, j: usize| words[(i * 7919 + j * 104_729 + (i >> 3) * (j + 1)) % words.len()];
    let bodies: Vec<String> = (0..n)
        .map(|i| (0..50).map(|j| format!("{} ", word(i, j))).collect::<String>() + &i.to_string())
        .collect();
    let ids: Vec<String> = (0..n).map(|i| format!("reddit:t3_{i:x}")).collect();
    let issues: Vec<&str> = (0..n).map(|i| word(i, 1)).collect();
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(StringArray::from(ids)) as ArrayRef),
        ("at", Arc::new(Int64Array::from((0..n as i64).map(|i| i * 431).collect::<Vec<_>>())) as ArrayRef),
        ("score", Arc::new(Int64Array::from((0..n as i64).map(|i| i % 97).collect::<Vec<_>>())) as ArrayRef),
        ("issue", Arc::new(StringArray::from(issues)) as ArrayRef),
        ("body", Arc::new(StringArray::from(bodies)) as ArrayRef),
    ])
    .unwrap();
    let size = batch.get_array_memory_size() as f64 / 1e6;
    let start = std::time::Instant::now();
    let mut content = super::content::ContentHasher::new(&batch.schema());
    for at in (0..n).step_by(BLOCK_ROWS) {
        content.block(&batch.slice(at, BLOCK_ROWS.min(n - at))).unwrap();
    }
    content.finish();
    eprintln!("data version: {:.0} MB/s", size / start.elapsed().as_secs_f64());
    for level in [1, 2, 3] {
        let start = std::time::Instant::now();
        let options = WriterOptions { level, ..lake.writer_options() };
        let mut writer = PartitionWriter::new(&batch.schema(), options).unwrap();
        writer.write(&batch).unwrap();
        let staged = writer.finish().unwrap();
        let seconds = start.elapsed().as_secs_f64();
        let bytes = staged.bytes as f64 / 1e6;
        eprintln!("writing, zstd {level}: {:.0} MB/s, {size:.1} MB → {bytes:.2} MB", size / seconds);
    }
}
