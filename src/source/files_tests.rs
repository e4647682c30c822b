//! Scenarios of the `files` source on real files in a temporary project.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, UNIX_EPOCH};

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::envelope::{Envelope, PostType, parse_millis};
use crate::graph::{CaptureReason, Day, DayRange};

const NOW: &str = "2026-11-20T12:00:00.000Z";

fn ms(text: &str) -> i64 {
    parse_millis(text).unwrap()
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

struct Project {
    dir: tempfile::TempDir,
    context: CaptureContext,
    def: FilesDef,
    records: BTreeMap<String, FileRecord>,
    /// What bronze holds: objects by locator and day, in the order of capture.
    bronze: BTreeMap<String, Vec<(Day, SpoolObject)>>,
}

impl Project {
    fn new(format: FileFormat) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            context: CaptureContext {
                start: day("2026-11-01"),
                end: None,
                timezone: TimeZone::UTC,
                privacy: Privacy { author: AuthorRule::Drop },
                now_ms: ms(NOW),
                settle_ms: 36 * 3_600_000,
                temp_dir: None,
                forgotten: std::sync::Arc::default(),
                textless: std::sync::Arc::default(),
                spool_memory: 1 << 20,
            },
            def: FilesDef::new("inbox", "in/**/*.{ndjson,json,csv,zst,gz}", format),
            records: BTreeMap::new(),
            bronze: BTreeMap::new(),
        }
    }

    fn reddit() -> Self {
        Self::new(FileFormat::Reddit)
    }

    /// Writes a file as if at a moment of 2026-11-20.
    fn write(&self, locator: &str, content: impl AsRef<[u8]>, at: &str) {
        let path = self.dir.path().join(locator);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(content.as_ref()).unwrap();
        let at = ms(&format!("2026-11-20T{at}.000Z")) as u64;
        file.set_modified(UNIX_EPOCH + Duration::from_millis(at)).unwrap();
    }

    fn observe(&self) -> FilesObservation {
        observe(&self.def, self.dir.path(), &self.context, &self.records).unwrap()
    }

    fn capture(&mut self, locator: &str) -> Captured {
        let mut known = KnownIndex::default();
        for (_, object) in self.bronze.get(locator).into_iter().flatten() {
            known.add_object(object.reader()).unwrap();
        }
        let captured = capture_file(
            &self.def,
            self.dir.path(),
            locator,
            &self.context,
            known,
            &mut |_| {},
            &AtomicBool::new(false),
        )
        .unwrap();
        let counts = &captured.record.counts;
        assert!(counts.adds_up(), "{counts:?}");
        assert_eq!(captured.quarantine.count, counts.quarantined_total());
        assert_eq!(captured.quarantine.read().unwrap().len() as u64, counts.quarantined_total());
        let rows: u64 = captured.objects.values().map(|o| o.rows).sum();
        assert_eq!(rows, counts.captured + counts.moved);
        let held = self.bronze.entry(locator.to_string()).or_default();
        held.extend(captured.objects.iter().map(|(d, o)| (*d, o.clone())));
        self.records.insert(locator.to_string(), captured.record.clone());
        captured
    }

    /// Every line of bronze in a few words, by locator and day, in the order of capture.
    fn lines(&self) -> Vec<String> {
        let mut out = Vec::new();
        for objects in self.bronze.values() {
            for (day, object) in objects {
                for line in text_of(object).lines() {
                    let e: Envelope<'_> = serde_json::from_str(line).unwrap();
                    out.push(format!(
                        "{day} {} {} seq {} {} {:?} {:?}",
                        e.native_id.as_str(),
                        e.post_type.as_str(),
                        e.seq,
                        &crate::envelope::format_millis(e.fetched_at)[11..16],
                        e.title.as_ref().map(|t| t.as_str()),
                        e.score,
                    ));
                }
            }
        }
        out
    }
}

fn text_of(object: &SpoolObject) -> String {
    String::from_utf8(zstd::decode_all(object.reader()).unwrap()).unwrap()
}

fn post(id: &str, day: u32, title: &str) -> String {
    let at = ms(&format!("2026-11-{day:02}T10:00:00.000Z")) / 1000;
    format!(r#"{{"id":"{id}","author":"bob","title":"{title}","created_utc":{at}.0,"score":1}}"#) + "\n"
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn nothing_new_is_no_window_and_touching_captures_nothing() {
    let mut p = Project::reddit();
    p.write("in/a.ndjson", post("a", 1, "one") + &post("b", 2, "two"), "08:00:00");
    p.write("in/.hidden.ndjson", "x", "08:00:00");
    p.write("in/notes.txt", "x", "08:00:00");
    let seen = p.observe();
    assert_eq!(seen.windows.len(), 1);
    assert_eq!((seen.windows[0].id.as_str(), &seen.windows[0].reason), ("in/a.ndjson", &CaptureReason::New));
    let captured = p.capture("in/a.ndjson");
    assert_eq!((captured.record.counts.good, captured.record.counts.captured), (2, 2));
    assert_eq!(p.observe(), FilesObservation { present: seen.present.clone(), ..Default::default() });

    p.write("in/a.ndjson", post("a", 1, "one") + &post("b", 2, "two"), "09:00:00");
    let touched = p.observe();
    assert_eq!((touched.windows.len(), touched.touched.len()), (0, 1));
    p.records.insert("in/a.ndjson".into(), touched.touched[0].clone());
    assert_eq!(p.observe().touched, []);

    std::fs::remove_file(p.dir.path().join("in/a.ndjson")).unwrap();
    let gone = p.observe();
    assert_eq!((gone.windows.len(), gone.gone), (0, vec!["in/a.ndjson".to_string()]));
}

#[test]
fn a_changed_file_of_equal_size_is_noticed() {
    let mut p = Project::reddit();
    p.write("in/a.ndjson", post("a", 1, "one"), "08:00:00");
    p.capture("in/a.ndjson");
    p.write("in/a.ndjson", post("a", 1, "two"), "08:00:01");
    assert_eq!(p.observe().windows[0].reason, CaptureReason::Changed);
    // Within the resolution of the file's time: read again once the moment is over.
    p.write("in/a.ndjson", post("a", 1, "one"), "12:00:00");
    p.capture("in/a.ndjson");
    p.write("in/a.ndjson", post("a", 1, "two"), "12:00:00");
    p.context.now_ms += 60_000;
    assert_eq!(p.observe().windows[0].reason, CaptureReason::Changed);
}

#[test]
fn only_what_is_new_is_written_when_a_file_grows() {
    let mut p = Project::reddit();
    p.write("in/a.ndjson", post("a", 1, "one") + &post("b", 2, "two") + &post("a", 1, "one"), "08:00:00");
    let first = p.capture("in/a.ndjson").record.counts;
    assert_eq!((first.records_in, first.good, first.duplicate, first.captured), (3, 2, 1, 2));
    let grown =
        post("a", 1, "one") + &post("b", 2, "two, edited") + &post("a", 1, "one") + &post("c", 1, "new");
    p.write("in/a.ndjson", grown, "09:00:00");
    let second = p.capture("in/a.ndjson").record.counts;
    assert_eq!((second.records_in, second.good, second.duplicate, second.captured), (4, 3, 1, 2));
    insta::assert_snapshot!(p.lines().join("\n"), @r#"
    2026-11-01 t3_a post seq 1 08:00 Some("one") Some(1)
    2026-11-02 t3_b post seq 2 08:00 Some("two") Some(1)
    2026-11-01 t3_c post seq 4 09:00 Some("new") Some(1)
    2026-11-02 t3_b post seq 2 09:00 Some("two, edited") Some(1)
    "#);
    // Once more, with nothing new in it.
    p.write("in/a.ndjson", post("c", 1, "new") + &post("b", 2, "two, edited"), "10:00:00");
    assert_eq!(p.capture("in/a.ndjson").record.counts.captured, 0);
}

#[test]
fn a_text_that_comes_back_is_written_again_and_a_history_is_not() {
    let mut p = Project::reddit();
    let history = post("a", 1, "one") + &post("a", 1, "two") + &post("b", 1, "x");
    p.write("in/a.ndjson", &history, "08:00:00");
    assert_eq!(p.capture("in/a.ndjson").record.counts.captured, 3);
    // The history read again says nothing new.
    p.write("in/a.ndjson", history + &post("c", 1, "y"), "09:00:00");
    let counts = p.capture("in/a.ndjson").record.counts;
    assert_eq!((counts.good, counts.captured), (4, 1));
    // Now the file says "one" again: bronze's newest says "two".
    p.write("in/a.ndjson", post("a", 1, "one"), "10:00:00");
    assert_eq!(p.capture("in/a.ndjson").record.counts.captured, 1);
    assert!(p.lines().last().unwrap().contains(r#"t3_a post seq 1 10:00 Some("one")"#), "{:?}", p.lines());
}

#[test]
fn a_creation_day_that_moves_leaves_a_marker() {
    let mut p = Project::reddit();
    p.write("in/a.ndjson", post("a", 1, "one"), "08:00:00");
    p.capture("in/a.ndjson");
    p.write("in/a.ndjson", post("a", 3, "one"), "09:00:00");
    let captured = p.capture("in/a.ndjson");
    assert_eq!((captured.record.counts.captured, captured.record.counts.moved), (1, 1));
    insta::assert_snapshot!(p.lines().join("\n"), @r#"
    2026-11-01 t3_a post seq 1 08:00 Some("one") Some(1)
    2026-11-01 t3_a moved seq 1 09:00 None None
    2026-11-03 t3_a post seq 1 09:00 Some("one") Some(1)
    "#);
    p.write("in/a.ndjson", post("a", 3, "one") + "\n", "10:00:00");
    assert_eq!(p.capture("in/a.ndjson").record.counts.captured, 0);
}

#[test]
fn scores_alone_are_captured_hourly_and_when_the_day_settles() {
    let mut p = Project::reddit();
    let at = |score: i64, retrieved: &str| {
        let created = ms("2026-11-01T10:00:00.000Z") / 1000;
        let retrieved = ms(&format!("2026-11-{retrieved}:00.000Z")) / 1000;
        format!(
            r#"{{"id":"a","title":"t","created_utc":{created},"score":{score},"retrieved_on":{retrieved}}}"#
        ) + "\n"
    };
    let text = [
        at(1, "01T11:00"),
        at(2, "01T11:59"), // too soon
        at(2, "01T12:00"),
        at(2, "02T12:00"), // nothing moved
        at(3, "03T11:30"),
        at(4, "03T12:10"), // soon after, but the day has settled meanwhile
        at(5, "03T12:20"), // too soon again
    ]
    .concat();
    p.write("in/a.ndjson", text, "08:00:00");
    let counts = p.capture("in/a.ndjson").record.counts;
    assert_eq!((counts.good, counts.duplicate, counts.captured), (4, 3, 4));
}

#[test]
fn days_outside_the_project_are_set_aside_and_come_back() {
    let mut p = Project::reddit();
    p.context.start = day("2026-11-05");
    p.context.end = Some(day("2026-11-25"));
    p.write(
        "in/a.ndjson",
        [4, 5, 20, 21, 25, 26].map(|d| post(&format!("p{d}"), d, "t")).concat(),
        "08:00:00",
    );
    let captured = p.capture("in/a.ndjson");
    let counts = captured.record.counts;
    assert_eq!(counts.quarantined, BTreeMap::from([("future".into(), 2), ("out_of_range".into(), 2)]));
    assert_eq!(captured.record.future_from, Some(day("2026-11-21")));
    assert_eq!(
        (captured.record.first_day, captured.record.last_day),
        (Some(day("2026-11-05")), Some(day("2026-11-20")))
    );
    let covered = p.def.covered(p.records.values());
    for (text, reach) in [
        ("2026-11-04", FileReach::Beyond),
        ("2026-11-05", FileReach::Whole),
        ("2026-11-12", FileReach::Whole),
        ("2026-11-20", FileReach::Whole),
        ("2026-11-21", FileReach::Beyond),
    ] {
        assert_eq!(covered.reach(day(text)), reach, "{text}");
    }
    assert!(p.observe().windows.is_empty());
    p.context.now_ms += 86_400_000;
    let due = p.observe().windows;
    assert_eq!(due[0].reason, CaptureReason::FutureArrived);
    assert_eq!(due[0].days, DayRange::new(day("2026-11-21"), day("2026-11-21")));
    p.context.now_ms -= 86_400_000;

    // Days move where the file has records, or where it has none.
    p.context.start = day("2026-11-03");
    assert_eq!(p.observe().windows[0].reason, CaptureReason::DaysChanged);
    p.context.start = day("2026-11-01");
    p.context.end = None;
    let counts = p.capture("in/a.ndjson").record.counts;
    assert_eq!((counts.good, counts.captured), (3, 1));
    p.write("in/b.ndjson", post("b", 10, "t"), "08:00:00");
    p.capture("in/b.ndjson");
    p.context.start = day("2026-10-01");
    let seen = p.observe();
    assert_eq!((seen.touched.len(), seen.windows.len()), (2, 0));
}

#[test]
fn posts_on_a_profile_do_not_name_whose_it_is() {
    let line = post("a", 3, "mine").replacen(
        '{',
        r#"{"subreddit":"u_bob","subreddit_name_prefixed":"u/bob","permalink":"/r/u_bob/comments/a/mine/","url":"https://www.reddit.com/r/u_bob/comments/a/mine/","#,
        1,
    );
    let read = |author: AuthorRule| {
        let mut p = Project::reddit();
        p.def.only_channels = ["u_bob".to_string()].into();
        p.context.privacy = Privacy { author };
        p.write("in/a.ndjson", &line, "08:00:00");
        p.capture("in/a.ndjson").objects.values().map(text_of).collect::<String>()
    };
    for rule in [AuthorRule::Drop, AuthorRule::Hash { key: b"k".to_vec() }] {
        let text = read(rule);
        assert!(text.contains("https://www.reddit.com/comments/a/mine/") && !text.contains("bob"), "{text}");
    }
    assert!(read(AuthorRule::Keep).contains("u_bob"));
}

#[test]
fn each_dump_speaks_for_its_own_days() {
    let mut p = Project::reddit();
    p.def.only_channels = ["pharmacy".to_string()].into();
    let of = |id: &str, d: u32, channel: &str| {
        post(id, d, "t").replacen('{', &format!("{{\"subreddit\":\"{channel}\","), 1)
    };
    let january = [of("a", 2, "other"), of("b", 3, "Pharmacy"), of("c", 5, "other")].concat();
    p.write("in/RS_1.zst", zstd::encode_all(january.as_bytes(), 1).unwrap(), "08:00:00");
    p.write("in/RS_3.ndjson", of("d", 10, "pharmacy") + &of("e", 11, "pharmacy"), "08:00:00");
    let many: String = (0..400).map(|n| of(&format!("m{n}"), 13 + n / 200, "pharmacy")).collect();
    let whole = gzip(many.as_bytes());
    p.write("in/RS_4.gz", &whole[..whole.len() - 4], "08:00:00");
    for locator in ["in/RS_1.zst", "in/RS_3.ndjson", "in/RS_4.gz"] {
        p.capture(locator);
    }
    let cut = p.records["in/RS_4.gz"].last_day.unwrap();
    assert!(p.records["in/RS_4.gz"].broken.is_some());
    let reaches =
        |p: &Project, d: u32| p.def.covered(p.records.values()).reach(day(&format!("2026-11-{d:02}")));
    // Days of a file on which only others wrote are reached; those that no file has are not.
    p.def.by_file = true;
    let dumps: Vec<FileReach> = [1, 2, 4, 5, 6, 9, 10, 12].map(|d| reaches(&p, d)).into();
    use FileReach::{Beyond, Cut, Whole};
    assert_eq!(dumps, [Beyond, Whole, Whole, Whole, Beyond, Beyond, Whole, Beyond]);
    assert_eq!(p.def.covered(p.records.values()).reach(cut), Cut);
    // Other files speak for everything from the first to the last day, but for the cut one.
    p.def.by_file = false;
    assert_eq!([1, 3, 6, 12].map(|d| reaches(&p, d)), [Beyond, Whole, Whole, Whole]);
    assert_eq!(p.def.covered(p.records.values()).reach(cut), Cut);
    // Once it is there in full, the day is.
    p.write("in/RS_4.gz", &whole, "08:01:00");
    p.capture("in/RS_4.gz");
    assert_eq!(p.def.covered(p.records.values()).reach(cut), Whole);
    // As it was declared.
    p.def.covers = DayRange::new(day("2026-11-01"), day("2026-11-30"));
    assert_eq!([1, 30].map(|d| reaches(&p, d)), [Whole, Whole]);
    assert_eq!(p.def.covered([]).reach(day("2026-12-01")), Beyond);
    p.def.covers = None;
    assert_eq!(p.def.covered([]).reach(day("2026-11-10")), FileReach::Nothing);
}

#[test]
fn the_day_is_that_of_the_projects_zone() {
    let mut p = Project::reddit();
    p.context.timezone = TimeZone::get("America/Los_Angeles").unwrap();
    let at = ms("2026-11-05T07:30:00.000Z") / 1000;
    p.write("in/a.ndjson", format!("{{\"id\":\"a\",\"title\":\"t\",\"created_utc\":{at}}}\n"), "08:00:00");
    assert_eq!(p.capture("in/a.ndjson").objects.keys().copied().collect::<Vec<_>>(), [day("2026-11-04")]);
}

#[test]
fn a_changed_rule_or_map_is_noticed() {
    let mut p = Project::reddit();
    p.write("in/a.ndjson", post("a", 1, "one"), "08:00:00");
    p.capture("in/a.ndjson");
    assert!(!text_of(&p.bronze["in/a.ndjson"][0].1).contains("bob"));
    p.context.privacy.author = AuthorRule::Hash { key: b"k".to_vec() };
    assert_eq!(p.observe().windows[0].reason, CaptureReason::AdapterChanged);
    let hashed = p.capture("in/a.ndjson");
    let text = text_of(&hashed.objects[&day("2026-11-01")]);
    assert!(!text.contains("bob"));
    let name = Redactor::new(&p.context.privacy).replace("bob").unwrap().into_owned();
    assert_eq!(text.matches(&name).count(), 2, "mapped and in raw");
    p.def.max_record_bytes = 1000;
    assert_eq!(p.observe().windows[0].reason, CaptureReason::AdapterChanged);
}

#[test]
fn every_container_holds_the_same_posts() {
    let lines = post("a", 1, "one") + &post("b", 2, "two");
    let records: Vec<&str> = lines.lines().collect();
    let crlf = lines.replace('\n', "\r\n");
    let list = format!("[{}]", records.join(",\n "));
    let pretty = serde_json::to_string_pretty(
        &records.iter().map(|r| serde_json::from_str::<serde_json::Value>(r).unwrap()).collect::<Vec<_>>(),
    )
    .unwrap();
    let listing = format!(
        r#"{{"kind":"Listing","data":{{"children":[{}]}}}}"#,
        records.iter().map(|r| format!(r#"{{"kind":"t3","data":{r}}}"#)).collect::<Vec<_>>().join(",")
    );
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("in/a.ndjson", lines.clone().into_bytes(), "ndjson"),
        ("in/b.json", crlf.into_bytes(), "ndjson"),
        ("in/c.json", list.clone().into_bytes(), "json"),
        ("in/d.json", pretty.into_bytes(), "json"),
        ("in/e.json", listing.clone().into_bytes(), "ndjson"),
        ("in/f.json", format!("[{listing},{listing}]").into_bytes(), "json"),
        ("in/g.json", format!("\u{feff}{listing}\n{listing}\n").into_bytes(), "ndjson"),
        ("in/h.gz", [gzip(&lines.as_bytes()[..50]), gzip(&lines.as_bytes()[50..])].concat(), "ndjson+gzip"),
        ("in/i.zst", zstd::encode_all(lines.as_bytes(), 1).unwrap(), "ndjson+zstd"),
        ("in/j.zst", zstd::encode_all(list.as_bytes(), 1).unwrap(), "json+zstd"),
    ];
    let mut p = Project::reddit();
    for (locator, content, format) in cases {
        p.write(locator, content, "08:00:00");
        let captured = p.capture(locator);
        let counts = &captured.record.counts;
        assert_eq!(captured.record.format, format, "{locator}");
        assert_eq!((counts.good, counts.quarantined_total(), captured.objects.len()), (2, 0, 2), "{locator}");
        assert!(captured.record.broken.is_none());
    }
}

#[test]
fn raw_is_the_records_own_bytes() {
    let mut p = Project::reddit();
    let record = r#"{ "id" : "a","title":"caf\u00e9 \/ é","created_utc": 1.7935272e9 ,"n":1.0,"n":2}"#;
    p.write("in/a.ndjson", format!("{record}\n"), "08:00:00");
    let captured = p.capture("in/a.ndjson");
    let text = text_of(captured.objects.values().next().unwrap());
    let envelope: Envelope<'_> = serde_json::from_str(&text).unwrap();
    assert_eq!(envelope.raw.as_str(), record);
}

#[test]
fn comment_trees_become_comments_without_their_answers() {
    let mut p = Project::reddit();
    let at = ms("2026-11-01T10:00:00.000Z") / 1000;
    let tree = format!(
        r#"[{{"kind":"Listing","data":{{"children":[{{"kind":"t3","data":{{"id":"p","title":"t","created_utc":{at}}}}}]}}}},
           {{"kind":"Listing","data":{{"children":[{{"kind":"t1","data":{{"id":"c1","body":"x","created_utc":{at},"parent_id":"t3_p","replies":
             {{"kind":"Listing","data":{{"children":[{{"kind":"t1","data":{{"id":"c2","body":"secret","created_utc":{at},"replies":""}}}},{{"kind":"more","data":{{"count":3}}}}]}}}}}}}}]}}}}]"#
    );
    p.write("in/a.json", tree, "08:00:00");
    let captured = p.capture("in/a.json");
    assert_eq!((captured.record.counts.good, captured.record.counts.placeholders), (3, 1));
    insta::assert_snapshot!(p.lines().join("\n"), @r#"
    2026-11-01 t3_p post seq 1 08:00 Some("t") None
    2026-11-01 t1_c1 comment seq 2 08:00 None None
    2026-11-01 t1_c2 comment seq 3 08:00 None None
    "#);
    let text = text_of(captured.objects.values().next().unwrap());
    assert_eq!(text.matches("secret").count(), 2, "the answer's own body and raw");
}

#[test]
fn what_is_wrong_is_set_aside_with_its_place() {
    let mut p = Project::reddit();
    p.def.max_record_bytes = 1000;
    let long = format!(r#"{{"id":"l","title":"{}","created_utc":1}}"#, "x".repeat(2000));
    let deep = format!(r#"{{"id":"d","x":{}{}}}"#, "[".repeat(300), "]".repeat(300));
    let mut content = post("a", 1, "one").into_bytes();
    for line in [
        b"{\"id\":\"half".as_slice(),
        b"{\"id\":\"u\",\"title\":\"\xff\",\"author\":\"eve\"}",
        b"[1,2]",
        b"12",
        b"{\"title\":\"no id\",\"author\":\"eve\",\"created_utc\":1}",
        b"{\"id\":\"x\",\"title\":\"t\",\"created_utc\":\"later\"}",
        long.as_bytes(),
        deep.as_bytes(),
        b"{\"kind\":\"t5\",\"data\":{\"id\":\"s\",\"created_utc\":1}}",
    ] {
        content.extend_from_slice(line);
        content.push(b'\n');
    }
    content.extend_from_slice(post("z", 1, "last").as_bytes());
    p.write("in/a.ndjson", &content, "08:00:00");
    let captured = p.capture("in/a.ndjson");
    assert_eq!(captured.record.counts.good, 2);
    let shown: Vec<String> = captured
        .quarantine
        .read()
        .unwrap()
        .iter()
        .map(|q| {
            let own = read_at(&p.dir.path().join(&q.locator), q.offset, q.length).unwrap();
            assert_eq!(own.len() as u64, q.length);
            assert_ne!(own.last(), Some(&b'\n'));
            format!(
                "{} line {} @{}+{} {}: {} | {:.60}",
                q.seq, q.line, q.offset, q.length, q.reason, q.detail, q.sample
            )
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn an_unfinished_end_waits_in_a_plain_file_and_not_in_others() {
    let text = post("a", 1, "one") + r#"{"id":"b","tit"#;
    let mut p = Project::reddit();
    p.write("in/a.ndjson", &text, "08:00:00");
    let counts = p.capture("in/a.ndjson").record.counts;
    assert_eq!((counts.records_in, counts.pending_bytes), (1, 14));
    p.write("in/a.ndjson", text.clone() + "le\":\"two\",\"created_utc\":1793527200}", "08:01:00");
    let counts = p.capture("in/a.ndjson").record.counts;
    assert_eq!((counts.good, counts.pending_bytes), (2, 0), "a whole record needs no line end");

    p.write("in/b.ndjson", &text, "08:00:00");
    p.context.now_ms += 2 * 86_400_000;
    let old = p.capture("in/b.ndjson").record.counts;
    assert_eq!(old.quarantined, BTreeMap::from([("truncated".into(), 1)]));
    p.context.now_ms -= 2 * 86_400_000;

    p.write("in/c.gz", gzip(text.as_bytes()), "08:00:00");
    p.write("in/d.json", format!("[{}, {{\"id\":\"b", post("a", 1, "one")), "08:00:00");
    let whole = zstd::encode_all(
        (0..500).map(|i| post(&format!("n{i}"), 1, &format!("t{}", i * 7919))).collect::<String>().as_bytes(),
        1,
    )
    .unwrap();
    p.write("in/e.zst", &whole[..whole.len() / 2], "08:00:00");
    let gz = gzip((post("a", 1, "one") + &post("b", 1, "two")).as_bytes());
    p.write("in/f.gz", &gz[..gz.len() - 4], "08:00:00");
    for (locator, pending) in [("in/c.gz", 0), ("in/d.json", 8), ("in/e.zst", 0), ("in/f.gz", 0)] {
        let record = p.capture(locator).record;
        assert_eq!(record.counts.pending_bytes, pending, "{locator}");
        let truncated = record.counts.quarantined.get("truncated").copied().unwrap_or(0);
        assert_eq!(truncated, u64::from(pending == 0), "{locator} {:?}", record.counts);
        assert_eq!(
            record.broken.is_some(),
            locator.ends_with("e.zst") || locator.ends_with("f.gz"),
            "{locator}"
        );
    }
}

fn trustpilot() -> FileFormat {
    FileFormat::Generic(
        GenericMap::new(
            "trustpilot",
            PostType::Review,
            [
                ("native_id", "review_id"),
                ("title", "headline"),
                ("body", "text"),
                ("created_at", "published_at"),
                ("rating", "stars"),
                ("url", "link"),
                ("author", "reviewer"),
                ("channel", "'trustpilot.com'"),
            ],
        )
        .unwrap(),
    )
}

#[test]
fn reviews_come_from_csv_and_json_alike() {
    let mut p = Project::new(trustpilot());
    let csv = "\u{feff}review_id;headline;text;published_at;stars;link;reviewer;extra\r\n\
        r1;Late;\"Two\r\nlines; \"\"quoted\"\"\";2026-11-01 10:00:00;1;https://t/r1;Bob;x\r\n\
        r2;Great;;2026-11-02;4.5;;Eve;\r\n\
        r3;too;few;cells\r\n\
        r4;NaN;x;2026-11-02;NaN;;Bob;\r\n\
        ;no id;x;2026-11-02;1;;Bob;\r\n\
        r1;Late;\"Two\r\nlines; \"\"quoted\"\"\";2026-11-01 10:00:00;1;https://t/r1;Bob;x\r\n\
        r5;half;x;2026-11-02;1;l;b;\"open";
    p.write("in/t.csv", csv, "08:00:00");
    let captured = p.capture("in/t.csv");
    let counts = &captured.record.counts;
    assert_eq!((counts.records_in, counts.good, counts.duplicate, counts.pending_bytes), (6, 2, 1, 32));
    let shown: Vec<String> = captured
        .quarantine
        .read()
        .unwrap()
        .iter()
        .map(|q| format!("{} line {} {}: {} | {}", q.seq, q.line, q.reason, q.detail, q.sample))
        .collect();
    let lines: String = captured.objects.values().map(text_of).collect();
    assert!(!lines.contains("Bob") && !shown.join("").contains("Bob"));
    insta::assert_snapshot!(lines.clone() + &shown.join("\n"));

    let json = r#"[{"review_id":"r1","headline":"Late","text":"Two\r\nlines; \"quoted\"","published_at":"2026-11-01T10:00:00Z","stars":1,"link":"https://t/r1","reviewer":{"name":"Bob"}}]"#;
    p.write("in/t.json", json.replace(r#"{"name":"Bob"}"#, r#""Bob""#), "08:00:00");
    let from_json = p.capture("in/t.json");
    let line: String = from_json.objects.values().map(text_of).collect();
    let first = lines.lines().next().unwrap().to_string();
    let a: Envelope<'_> = serde_json::from_str(&first).unwrap();
    let b: Envelope<'_> = serde_json::from_str(&line).unwrap();
    assert_eq!((a.body, a.rating, a.created_at, a.url), (b.body, b.rating, b.created_at, b.url));
    assert!(!line.contains("Bob"));
}

#[test]
fn authors_go_whatever_their_column_is_called() {
    let map = |author: Option<&'static str>| {
        let fields = [("native_id", "id"), ("created_at", "at"), ("body", "text"), ("rating", "stars")];
        let fields = fields.into_iter().chain(author.map(|column| ("author", column)));
        FileFormat::Generic(GenericMap::new("desk", PostType::Ticket, fields).unwrap())
    };
    let csv = "id,at,text,stars,requester.name,requester.email,author,author_url\n\
        1,2026-11-02,fine,1,Eve,eve@e.test,Eve,e.test/Eve\n\
        2,2026-11-02,odd,many,Eve,eve@e.test,Eve,e.test/Eve\n\
        3,2026-11-02,short,Eve\n";
    let json = r#"[{"id":"1","at":"2026-11-02","text":"fine","requester.name":"Eve","requester.email":"eve@e.test","author":"Eve"},
        {"id":"2","at":"2026-11-02","text":"fine","stars":"many","requester":{"name":"Eve"}},
        {"id":"3","at":"2026-11-02","text":"fine","requester":{"name":"Eve"}}]"#;
    let shown = |p: &mut Project, name: &str, content: &str| {
        p.write(name, content, "08:00:00");
        let captured = p.capture(name);
        let mut out: String = captured.objects.values().map(text_of).collect();
        captured.quarantine.read().unwrap().iter().for_each(|q| out.push_str(&q.sample));
        assert_eq!(captured.record.counts.quarantined_total(), if name.ends_with("csv") { 2 } else { 1 });
        out
    };
    let mut p = Project::new(map(Some("requester.name")));
    for (name, content) in [("in/a.csv", csv), ("in/a.json", json)] {
        let out = shown(&mut p, name, content).to_lowercase();
        assert!(out.contains("fine") && !out.contains("eve"), "{name}: {out}");
    }
    // The usual names, though no map says so.
    let mut p = Project::new(map(None));
    let plain = csv.replace("requester.name", "link_author").replace("requester.email", "author_id");
    let out = shown(&mut p, "in/a.csv", &plain).to_lowercase();
    assert!(out.contains("fine") && !out.contains("eve"), "{out}");
    p.context.privacy = Privacy { author: AuthorRule::Keep };
    let out = shown(&mut p, "in/b.csv", &plain);
    assert!(out.contains("e.test/Eve"), "{out}");
}

#[test]
fn a_column_that_is_not_there_is_an_error_with_a_guess() {
    let mut p = Project::new(trustpilot());
    p.write("in/t.csv", "review_id,headlin,text,published_at,stars,link,reviewer\n", "08:00:00");
    let error = capture_file(
        &p.def,
        p.dir.path(),
        "in/t.csv",
        &p.context,
        KnownIndex::default(),
        &mut |_| {},
        &AtomicBool::new(false),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "in/t.csv: no column `headline` for title; the header has review_id, headlin, text, published_at, stars, link, reviewer; did you mean `headlin`?"
    );
    p.def.glob = vec!["in/{a".into()];
    assert!(observe(&p.def, p.dir.path(), &p.context, &p.records).is_err());
}

#[test]
fn a_cancel_ends_the_reading() {
    let p = Project::reddit();
    p.write("in/a.ndjson", post("a", 1, "one"), "08:00:00");
    let result = capture_file(
        &p.def,
        p.dir.path(),
        "in/a.ndjson",
        &p.context,
        KnownIndex::default(),
        &mut |_| {},
        &AtomicBool::new(true),
    );
    assert!(matches!(result, Err(SourceError::Canceled)));
}

#[test]
fn a_file_gives_the_same_objects_every_time() {
    let mut p = Project::reddit();
    let text: String = (0..6000)
        .map(|i| post(&format!("n{i}"), 1 + i % 5, &format!("t {}", "y".repeat(i as usize % 90))))
        .collect();
    p.write("in/a.ndjson", &text, "08:00:00");
    let a = p.capture("in/a.ndjson");
    assert!(a.objects.values().all(|o| o.rows == 1200 && o.bytes > 5000));
    p.bronze.clear();
    let b = p.capture("in/a.ndjson");
    let hashes =
        |c: &Captured| c.objects.iter().map(|(d, o)| (*d, o.hash, o.to_vec().unwrap())).collect::<Vec<_>>();
    assert_eq!(hashes(&a), hashes(&b));
    for (_, hash, bytes) in hashes(&a) {
        assert_eq!(hash, crate::graph::DataVersion::of(&bytes));
    }
}

/// The folder with other people's data, where there is one.
fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("RXPULSE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join("data").join(path);
    if path.exists() {
        return Some(path);
    }
    // Not through the output room: only a person who runs this test sees it.
    let _ = writeln!(std::io::stderr(), "skipped: {} is not there", path.display());
    None
}

fn real(path: &Path) -> Captured {
    let mut p = Project::reddit();
    p.context.start = day("2005-01-01");
    let captured = p.capture(path.to_str().unwrap());
    assert!(captured.record.broken.is_none());
    captured
}

#[test]
#[cfg_attr(debug_assertions, ignore = "half a minute without optimization: run with --release or --ignored")]
fn real_posts_are_accounted_for_exactly() {
    let Some(path) = shared("reddit_posts/posts-2008-2013.ndjson.zst") else { return };
    let Captured { record, objects, .. } = real(&path);
    assert_eq!(
        (record.counts.records_in, record.counts.good, record.counts.captured),
        (210_623, 210_623, 210_623)
    );
    assert_eq!(objects.len(), 1797);
    assert_eq!(objects.values().map(|o| o.rows).max(), Some(657));
    assert_eq!((record.first_day, record.last_day), (Some(day("2008-02-02")), Some(day("2013-08-20"))));
}

/// Measures a capture of the real posts; see the process's CPU time. Run it alone.
#[test]
#[ignore = "measures; run with --release"]
fn measure_capture_of_real_posts() {
    let Some(path) = shared("reddit_posts/posts-2008-2013.ndjson.zst") else { return };
    let started = std::time::Instant::now();
    let Captured { objects, .. } = real(&path);
    let seconds = started.elapsed().as_secs_f64();
    let bytes: u64 = objects.values().map(|o| o.bytes).sum();
    let _ = writeln!(
        std::io::stderr(),
        "{seconds:.2} s, {:.0} MB of raw JSON a second; objects hold {:.1} MB",
        183.24 / seconds,
        bytes as f64 / 1e6
    );
}

#[test]
fn a_real_dump_with_a_wide_window_is_read() {
    let Some(path) = shared("reddit_dumps/RS_sample.zst") else { return };
    let counts = real(&path).record.counts;
    assert_eq!((counts.records_in, counts.good), (5429, 5429));
}

#[test]
fn recorded_answers_of_the_api_are_read() {
    let Some(path) = shared("reddit_api") else { return };
    let (mut good, mut kinds) = (0, 0);
    for entry in walkdir::WalkDir::new(path).into_iter().filter_map(Result::ok) {
        if entry.file_type().is_file() {
            let counts = real(entry.path()).record.counts;
            good += counts.good + counts.duplicate;
            kinds += counts.quarantined.get("unknown_kind").copied().unwrap_or(0);
            assert_eq!(
                counts.quarantined_total(),
                counts.quarantined.get("unknown_kind").copied().unwrap_or(0)
            );
        }
    }
    // 627 posts, 810 comments, and 34 subreddits that are no posts.
    assert_eq!((good, kinds), (627 + 810, 34));
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let record = (0..6usize, 0..9u32, prop_oneof![Just("one"), Just("two")])
        .prop_map(|(id, day, title)| post(&format!("p{id}"), 1 + day * 3, title).into_bytes());
    let line = prop_oneof![
        4 => record.clone(),
        2 => (record.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut r, at, b)| {
            let at = at.index(r.len());
            r[at] = b;
            r
        }),
        1 => (record, any::<prop::sample::Index>()).prop_map(|(mut r, at)| {
            r.truncate(at.index(r.len()));
            r.push(b'\n');
            r
        }),
        1 => proptest::collection::vec(any::<u8>(), 0..30),
        1 => r#"(["{}\[\],: \n]|"kind"|"data"|"replies"|"Listing"|"t1"|"children"|"author"){0,20}"#.prop_map(String::into_bytes),
    ];
    proptest::collection::vec(line, 0..12).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn whatever_comes_in_is_accounted_for(
        content in mutated(),
        again in mutated(),
        generic in any::<bool>(),
        how in 0..3,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut p = if generic { Project::new(trustpilot()) } else { Project::reddit() };
        let pack = |content: &[u8]| match how {
            0 => content.to_vec(),
            1 => gzip(content),
            _ => {
                let packed = zstd::encode_all(content, 1).unwrap();
                let end = cut.index(packed.len() + 1);
                packed[..end.max(5)].to_vec()
            }
        };
        for content in [&content, &again, &again] {
            // A header, so that rows are read at all.
            let content = if generic {
                [b"review_id,headline,text,published_at,stars,link,reviewer\n".as_slice(), content].concat()
            } else {
                content.clone()
            };
            p.write("in/a.csv", pack(&content), "08:00:00");
            // Checks the account.
            let captured = p.capture("in/a.csv");
            for object in captured.objects.values() {
                for line in text_of(object).lines() {
                    prop_assert!(serde_json::from_str::<Envelope<'_>>(line).is_ok());
                }
            }
        }
        // Read again with bronze as it is: nothing is written.
        prop_assert_eq!(p.capture("in/a.csv").record.counts.captured, 0);
    }
}

proptest! {
    #[test]
    fn cells_are_those_of_the_csv_crate(
        rows in proptest::collection::vec(proptest::collection::vec(r#"[a",\n; é]{0,6}"#, 3), 1..5)
    ) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["review_id", "text", "published_at"]).unwrap();
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let text = writer.into_inner().unwrap();
        let map = GenericMap::new("x", PostType::Review, [("native_id", "review_id"), ("body", "text"), ("created_at", "published_at")]).unwrap();
        let mut p = Project::new(FileFormat::Generic(map));
        p.write("in/a.csv", &text, "08:00:00");
        let captured = p.capture("in/a.csv");
        // Every row is one record: none has a time that is understood.
        prop_assert_eq!(captured.record.counts.records_in, rows.len() as u64);
        for (row, q) in rows.iter().zip(captured.quarantine.read().unwrap()) {
            let own = read_at(&p.dir.path().join("in/a.csv"), q.offset, q.length).unwrap();
            let again = super::files_capture::cells(std::str::from_utf8(&own).unwrap(), b',');
            prop_assert_eq!(again.iter().map(|c| c.to_string()).collect::<Vec<_>>(), row.clone());
        }
    }
}

/// Parquet of one batch with a few rows a group.
fn parquet(columns: Vec<(&str, datafusion::arrow::array::ArrayRef)>) -> Vec<u8> {
    use datafusion::arrow::record_batch::RecordBatch;
    use datafusion::parquet::arrow::ArrowWriter;
    use datafusion::parquet::file::properties::WriterProperties;
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let few = WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(few)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn reviews_map() -> GenericMap {
    GenericMap::new(
        "shop",
        PostType::Review,
        [
            ("native_id", "id"),
            ("created_at", "at"),
            ("body", "text"),
            ("rating", "stars"),
            ("author", "who"),
            ("channel", "place.city"),
        ],
    )
    .unwrap()
}

fn reviews() -> Vec<u8> {
    use std::sync::Arc;

    use datafusion::arrow::array::*;
    use datafusion::arrow::datatypes::{DataType, Field, Int32Type};
    let cities: ArrayRef = Arc::new(StringArray::from(vec!["Boston", "Provo", "Reno"]));
    let nested = StructArray::from(vec![(Arc::new(Field::new("city", DataType::Utf8, true)), cities)]);
    let tags =
        ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
    let price =
        Decimal128Array::from(vec![Some(1_250), None, Some(-1)]).with_precision_and_scale(10, 2).unwrap();
    parquet(vec![
        ("id", Arc::new(Int64Array::from(vec![11, 12, 13])) as ArrayRef),
        (
            "at",
            Arc::new(
                TimestampMicrosecondArray::from(vec![
                    1_793_527_200_000_000,
                    1_793_527_200_123_456,
                    1_793_620_000_000_000,
                ])
                .with_timezone("UTC"),
            ),
        ),
        ("day", Arc::new(Date32Array::from(vec![Some(20_000), None, Some(0)]))),
        ("local", Arc::new(TimestampMillisecondArray::from(vec![Some(0), None, Some(1_500)]))),
        ("text", Arc::new(StringArray::from(vec![Some("one \"quoted\""), Some(""), None]))),
        ("stars", Arc::new(Float32Array::from(vec![Some(4.3), Some(f32::NAN), None]))),
        ("who", Arc::new(StringArray::from(vec!["Ann", "Bob", "Cy"]))),
        ("place", Arc::new(nested)),
        ("tags", Arc::new(tags)),
        ("price", Arc::new(price)),
        ("yes", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("big", Arc::new(UInt64Array::from(vec![u64::MAX, 1, 2]))),
        ("bytes", Arc::new(BinaryArray::from(vec![&b"text"[..], b"\xff\x00", b""]))),
    ])
}

#[test]
fn parquet_rows_are_records() {
    let mut project = Project::new(FileFormat::Generic(reviews_map()));
    project.def.glob = vec!["in/*.parquet".to_string()];
    let bytes = reviews();
    project.write("in/a.parquet", &bytes, "10:00:00");
    assert_eq!(project.observe().windows.len(), 1);
    let captured = project.capture("in/a.parquet");
    let record = &captured.record;
    assert_eq!((record.format.as_str(), record.broken.as_deref()), ("parquet", None));
    assert_eq!(
        (record.counts.good, record.counts.quarantined_total(), record.bytes),
        (2, 1, bytes.len() as u64)
    );
    assert_eq!(record.content, content_hash(project.dir.path(), "in/a.parquet").unwrap());
    let set_aside = captured.quarantine.read().unwrap();
    assert_eq!(
        (set_aside[0].reason.as_str(), set_aside[0].seq, set_aside[0].line),
        ("mistyped:rating", 2, 0)
    );
    assert!(!set_aside[0].sample.contains("Bob"), "{}", set_aside[0].sample);
    let lines: Vec<String> = captured.objects.values().map(text_of).collect();
    insta::assert_snapshot!(lines.concat());
    // Nothing new: nothing is due, and a second reading writes nothing.
    assert!(project.observe().windows.is_empty());
    assert_eq!(project.capture("in/a.parquet").record.counts.captured, 0);
}

#[test]
fn a_damaged_parquet_file_is_said_and_its_good_rows_stay() {
    let whole = reviews();
    for cut in [0, 3, 4, whole.len() / 2, whole.len() - 1] {
        let mut project = Project::new(FileFormat::Generic(reviews_map()));
        project.write("in/a.parquet", &whole[..cut], "10:00:00");
        let record = project.capture("in/a.parquet").record;
        assert!(record.broken.is_some(), "cut at {cut}");
        assert_eq!(record.counts.quarantined.get("truncated"), Some(&1), "cut at {cut}");
    }
    // Bytes of the second group are changed: the first one is read.
    let at = (whole.len() * 45 / 100..whole.len() * 60 / 100).collect::<Vec<_>>();
    let mut project = Project::new(FileFormat::Generic(reviews_map()));
    let mut bytes = whole.clone();
    for i in at {
        bytes[i] = 0xff;
    }
    project.write("in/a.parquet", &bytes, "10:00:00");
    let record = project.capture("in/a.parquet").record;
    let counts = &record.counts;
    assert!(record.broken.is_some() && counts.quarantined["truncated"] == 1, "{record:?}");
    // A wrong column map is a mistake of the configuration, not of the file.
    let map = GenericMap::new(
        "shop",
        PostType::Review,
        [("native_id", "id"), ("created_at", "at"), ("body", "texts")],
    );
    let project = Project::new(FileFormat::Generic(map.unwrap()));
    project.write("in/a.parquet", &whole, "10:00:00");
    let failed = capture_file(
        &project.def,
        project.dir.path(),
        "in/a.parquet",
        &project.context,
        KnownIndex::default(),
        &mut |_| {},
        &AtomicBool::new(false),
    );
    assert!(
        matches!(failed.unwrap_err(), SourceError::Column { column, meant: Some(meant), .. } if column == "texts" && meant == "text")
    );
}

#[test]
fn reddits_records_come_as_parquet_too() {
    use std::sync::Arc;

    use datafusion::arrow::array::*;
    let mut project = Project::reddit();
    project.write(
        "in/r.parquet",
        parquet(vec![
            ("id", Arc::new(StringArray::from(vec!["abc", "abd", "abe"])) as ArrayRef),
            ("title", Arc::new(StringArray::from(vec![Some("a post"), None, Some("no time")]))),
            ("body", Arc::new(StringArray::from(vec![None, Some("a comment"), None]))),
            ("author", Arc::new(StringArray::from(vec!["ann", "bob", "cy"]))),
            ("edited", Arc::new(NullArray::new(3))),
            ("score", Arc::new(Float64Array::from(vec![Some(3.0), Some(f64::NAN), None]))),
            (
                "created_utc",
                Arc::new(TimestampSecondArray::from(vec![Some(1_793_527_200), Some(1_793_527_300), None])),
            ),
        ]),
        "10:00:00",
    );
    let captured = project.capture("in/r.parquet");
    assert_eq!(captured.record.counts.good, 2);
    assert_eq!(captured.record.counts.quarantined.get("missing_created_at"), Some(&1));
    let lines = project.lines().join("\n");
    assert!(lines.contains("t3_abc post seq 1") && lines.contains("t1_abd comment seq 2"), "{lines}");
    assert!(!captured.objects.values().map(text_of).collect::<String>().contains("bob"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn no_parquet_file_loses_count(at in 0usize..4_000, flip in 1u8..=255) {
        let mut bytes = reviews();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        let project = Project::new(FileFormat::Generic(reviews_map()));
        project.write("in/a.parquet", &bytes, "10:00:00");
        let read = capture_file(
            &project.def, project.dir.path(), "in/a.parquet", &project.context,
            KnownIndex::default(), &mut |_| {}, &AtomicBool::new(false),
        );
        // A changed name of a column is a missing column.
        if let Ok(captured) = read {
            let counts = &captured.record.counts;
            prop_assert!(counts.adds_up());
            prop_assert!(counts.records_in >= 3 || captured.record.broken.is_some(), "{:?}", captured.record);
        }
    }
}
