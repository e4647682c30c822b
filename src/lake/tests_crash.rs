//! What is left behind and what is taken away: collection, kills at every crash point, full disks.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::Command;

use super::tests::{bronze, current, data_files, key, lake, now_ms, nth, publish, rows, table};
use super::*;
use crate::graph::PartitionKey;

const HOUR: i64 = 3_600_000;

fn options(now_ms: i64, retention_ms: i64) -> GcOptions {
    GcOptions { now_ms, retention_ms, live: HashSet::new() }
}

fn reasons(files: &[Doomed]) -> BTreeMap<Why, usize> {
    let mut counts = BTreeMap::new();
    files.iter().for_each(|f| *counts.entry(f.why).or_default() += 1);
    counts
}

#[test]
fn collection_takes_only_what_nobody_can_need() {
    let (_folder, lake) = lake();
    let start = now_ms();
    for n in 0..4 {
        publish(&lake, table(&lake, "silver_posts", nth(0), &[n]));
    }
    publish(&lake, bronze("files", nth(0), vec![NewObject::of_bytes(b"a".into(), 1)], vec![]));
    let first = lake.root().join("silver_posts/dt=2026-08-01/v=00000000000000000000000000000000");
    std::fs::create_dir_all(&first).unwrap();
    std::fs::write(first.join("part-0.parquet"), "left by a crash").unwrap();
    let (temp, _) = lake.temps().create().unwrap();

    let young = lake.gc_plan(&options(start, HOUR)).unwrap();
    assert!(young.files.is_empty(), "{young:?}");
    let later = start + 25 * HOUR;
    let plan = lake.gc_plan(&options(later, HOUR)).unwrap();
    let expected = [(Why::Superseded, 3), (Why::Unnamed, 1), (Why::OldManifest, 2), (Why::Temporary, 1)];
    assert_eq!(reasons(&plan.files), BTreeMap::from(expected));
    assert_eq!(data_files(&lake).len(), 6, "a plan removes nothing");

    // A partition that a step works on is left alone.
    let mut live = options(later, HOUR);
    live.live.insert((key("silver_posts"), nth(0)));
    assert_eq!(reasons(&lake.gc_plan(&live).unwrap().files), BTreeMap::from([(Why::Temporary, 1)]));

    let before = current(&lake);
    let (plan, report) = lake.gc(&options(later, HOUR)).unwrap();
    let mut removed = report.removed.clone();
    removed.sort();
    assert_eq!(removed, plan.files);
    assert_eq!(report.bytes(), plan.bytes());
    assert!(!temp.path().exists());
    assert!(!first.exists(), "empty folders go too");
    assert_eq!(data_files(&lake), before);
    assert_eq!(lake.list_manifests(&key("silver_posts"), None).unwrap()[0].manifests, 2);
    assert!(lake.gc_plan(&options(later, HOUR)).unwrap().files.is_empty());
    // What was collected is not carried along.
    let next = publish(&lake, table(&lake, "silver_posts", nth(0), &[9]));
    assert_eq!(next.superseded.len(), 1);
}

#[test]
fn collection_leaves_a_partition_whose_manifest_is_damaged() {
    let (_folder, lake) = lake();
    publish(&lake, table(&lake, "silver_posts", nth(0), &[1]));
    publish(&lake, table(&lake, "silver_posts", nth(1), &[1]));
    std::fs::write(lake.root().join("_manifests/silver_posts/2026-08-01.0000000001.json"), "half").unwrap();
    let before = data_files(&lake);
    let (plan, report) = lake.gc(&options(now_ms() + 48 * HOUR, 0)).unwrap();
    assert_eq!(plan.skipped.len(), 1);
    assert!(report.removed.is_empty());
    assert_eq!(data_files(&lake), before);
}

#[test]
fn what_a_killed_collection_moved_aside_comes_back_when_it_is_named() {
    let (_folder, lake) = lake();
    let manifest = publish(&lake, table(&lake, "silver_posts", nth(0), &[1]));
    let before = data_files(&lake);
    let aside = |path: &str| lake.root().join("_tmp/gc").join(path);
    let named = &manifest.files[0].path;
    let unnamed = "silver_posts/dt=2026-08-02/v=0/part-0.parquet";
    for path in [named.as_str(), unnamed] {
        std::fs::create_dir_all(aside(path).parent().unwrap()).unwrap();
    }
    std::fs::rename(lake.path(&manifest.files[0]), aside(named)).unwrap();
    std::fs::write(aside(unnamed), "x").unwrap();
    let (_, report) = lake.gc(&options(now_ms(), HOUR)).unwrap();
    assert_eq!((report.kept, report.removed.len()), (1, 1));
    assert_eq!(data_files(&lake), before);
    assert!(!lake.root().join("_tmp/gc/silver_posts").exists());
}

/// Makes every data file look as if it had last changed an hour ago.
fn age(lake: &Lake) {
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    for entry in walkdir::WalkDir::new(lake.root().join("silver_posts")).into_iter().flatten() {
        // A collection may be taking it away just now.
        if entry.file_type().is_file()
            && let Ok(file) = std::fs::File::options().append(true).open(entry.path())
        {
            file.set_modified(then).unwrap();
        }
    }
}

#[test]
fn collection_and_commits_at_once_never_lose_a_current_file() {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
    let (_folder, lake) = lake();
    let (stop, removed) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let own = Lake::open(lake.root(), "UTC").unwrap();
            while !stop.load(Relaxed) {
                // Without any retention: what is not current and not recent is taken at once.
                let (_, report) = own.gc(&options(now_ms(), 0)).unwrap();
                removed.fetch_add(report.removed.len(), Relaxed);
            }
        });
        // Two contents in turn, so that each commit brings back what the one before let go.
        for n in 0..60 {
            let batch = (0..4).map(|d| table(&lake, "silver_posts", nth(d), &[n % 2])).collect();
            for result in lake.commit(batch).unwrap() {
                result.unwrap();
            }
            age(&lake);
        }
        // The test is worth something only when collection had something to take.
        while removed.load(Relaxed) == 0 && !collector.is_finished() {
            age(&lake);
            std::thread::yield_now();
        }
        stop.store(true, Relaxed);
    });
    assert!(removed.into_inner() > 0);
    assert_eq!(current(&lake).len(), 4);
}

#[test]
fn what_a_commit_has_just_written_or_touched_is_not_collected() {
    let (_folder, lake) = lake();
    let path = "silver_posts/dt=2026-08-01/v=0/part-0.parquet";
    lake.store().put(vec![(path.to_string(), b"not named yet".to_vec().into())]).unwrap();
    let first = publish(&lake, table(&lake, "silver_posts", nth(1), &[1]));
    publish(&lake, table(&lake, "silver_posts", nth(1), &[2]));
    let (_, report) = lake.gc(&options(now_ms(), 0)).unwrap();
    assert_eq!(report.removed, []);
    age(&lake);
    lake.store.touch(&first.files[0].path).unwrap();
    let (_, report) = lake.gc(&options(now_ms(), 0)).unwrap();
    assert_eq!(report.removed.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), [path]);
    age(&lake);
    let (_, report) = lake.gc(&options(now_ms(), 0)).unwrap();
    assert_eq!(report.removed[0].path, first.files[0].path);
}

/// What the crash tests do: replaces, adds, empties, gains bronze, records, collects.
fn scenario(lake: &Lake) {
    let object = |text: &str| NewObject::of_bytes(text.as_bytes().to_vec(), 1);
    let commits = vec![
        table(lake, "silver_posts", nth(0), &[1, 2, 3]),
        table(lake, "silver_posts", nth(1), &[4]),
        table(lake, "silver_posts", nth(2), &[]),
        table(lake, "issue_types", PartitionKey::Whole, &[5]),
        bronze("files", nth(0), vec![object("a"), object("b")], vec![]),
    ];
    for result in lake.commit(commits).unwrap() {
        result.unwrap();
    }
    lake.append_record("observations", "files", b"[]").unwrap();
    lake.gc(&options(now_ms() + 48 * HOUR, 0)).unwrap();
}

fn before_the_scenario(root: &Path) -> Lake {
    let lake = Lake::open(root, "UTC").unwrap();
    publish(&lake, table(&lake, "silver_posts", nth(0), &[1]));
    publish(&lake, bronze("files", nth(0), vec![NewObject::of_bytes(b"a".into(), 1)], vec![]));
    lake
}

/// Run by the test below, in a process of its own.
#[test]
#[ignore = "the child of another test"]
fn crash_child() {
    let root = std::env::var("RXPULSE_TEST_LAKE").unwrap();
    let mut lake = Lake::open(Path::new(&root), "UTC").unwrap();
    if std::env::var_os("RXPULSE_TEST_SYNCFS").is_some() {
        lake.store.sync_singly_up_to(0);
    }
    scenario(&lake);
}

fn crash_everywhere(syncfs: bool) -> u32 {
    let folder = tempfile::tempdir().unwrap();
    let whole = before_the_scenario(&folder.path().join("whole"));
    scenario(&whole);
    let expected = current(&whole);
    assert_eq!(data_files(&whole), expected);

    for at in 1.. {
        let root = folder.path().join(at.to_string());
        let old = current(&before_the_scenario(&root));
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["lake::tests_crash::crash_child", "--exact", "--ignored", "--nocapture"])
            .env("RXPULSE_TEST_LAKE", &root)
            .env("RXPULSE_CRASH_AT", at.to_string());
        if syncfs {
            child.env("RXPULSE_TEST_SYNCFS", "1");
        }
        let output = child.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return at - 1;
        }
        assert!(stderr.contains("RXPULSE_CRASH_AT reached: "), "the child failed by itself: {stderr}");

        // Each partition is as before or whole; nothing current is missing or damaged.
        let lake = Lake::open(&root, "UTC").unwrap();
        for path in current(&lake).keys() {
            assert!(old.contains_key(path) || expected.contains_key(path), "point {at}: {path}");
        }
        scenario(&lake);
        assert_eq!(current(&lake), expected, "point {at}: {stderr}");
        // The first collection runs while temporary files of the killed process are young.
        assert_eq!(data_files(&lake), expected, "point {at}: {stderr}");
        std::fs::remove_dir_all(root).unwrap();
    }
    0
}

#[test]
fn killed_at_every_point_the_lake_is_whole_and_recovers() {
    let points = crash_everywhere(false);
    assert!(points > 40, "{points}");
}

#[test]
fn killed_at_every_point_with_shared_syncs() {
    let points = crash_everywhere(true);
    assert!(points > 30, "{points}");
}

/// Needs root: mounts a file system of 1 MB.
#[test]
fn a_full_disk_publishes_nothing_and_says_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path().join("small");
    std::fs::create_dir(&mount).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&mount)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        eprintln!("SKIPPED a_full_disk_publishes_nothing_and_says_what_it_needs: mounting needs root");
        return;
    }
    struct Unmount<'a>(&'a Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.0).status();
        }
    }
    let _unmount = Unmount(&mount);
    let lake = Lake::open(&mount.join("lake"), "UTC").unwrap();
    let good = publish(&lake, table(&lake, "silver_posts", nth(0), &[1]));
    let noise = |n: u64| -> Vec<u8> {
        let mut bytes = vec![0; 600_000];
        blake3::Hasher::new().update(&n.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    };
    let commits = vec![
        table(&lake, "silver_posts", nth(0), &[2]),
        bronze("files", nth(0), vec![NewObject::of_bytes(noise(1), 1)], vec![]),
        bronze("files", nth(1), vec![NewObject::of_bytes(noise(2), 1)], vec![]),
    ];
    let error = lake.commit(commits).unwrap_err();
    assert!(error.is_no_space(), "{error}");
    let text = error.to_string();
    assert!(text.contains("no space left") && text.contains("600.0 kB") && text.contains("free)"), "{text}");
    // Nothing became visible, nothing was left over, and the last version can be read.
    let listed = lake.list_manifests(&key("silver_posts"), None).unwrap();
    assert_eq!((listed.len(), listed[0].generation), (1, good.generation));
    assert!(lake.list_sources(&key("raw_posts")).unwrap().is_empty());
    assert_eq!(std::fs::read_dir(lake.temps().path()).unwrap().count(), 0);
    assert_eq!(current(&lake).len(), 1);
    // A spool that fills the disk says so too.
    let values: Vec<i64> = (0..400_000).map(|i| (i * 2_654_435_761) % 4_294_967_291).collect();
    let batch = rows(&values);
    let options = WriterOptions { memory_limit: 0, ..lake.writer_options() };
    let fill = || -> Result<Staged, LakeError> {
        let mut writer = PartitionWriter::new(&batch.schema(), options)?;
        writer.write(&batch)?;
        writer.finish()
    };
    let error = fill().unwrap_err();
    assert!(error.is_no_space(), "{error}");
    // With room again, the same works.
    let result = lake.commit(vec![bronze("files", nth(0), vec![NewObject::of_bytes(noise(1), 1)], vec![])]);
    result.unwrap().pop().unwrap().unwrap();
}
