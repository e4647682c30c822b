//! Bronze objects: the hand-written scanner and the envelope's deserializer agree.

use std::io::Write;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::Int64Type;
use proptest::prelude::*;

use super::super::bronze_line::Columns;
use super::super::canonical::query_schema;
use super::*;
use crate::envelope::{Envelope, PostType, Text};

fn envelope(seq: u64) -> Envelope<'static> {
    Envelope {
        platform: "reddit".into(),
        source: "inbox".into(),
        native_id: format!("t3_{seq:06}").into(),
        post_type: PostType::Post,
        channel: Some("AmazonPharmacy".into()),
        created_at: Some(1_793_491_200_000 + seq as i64),
        title: Some(format!("Title \"{seq}\" of a post that is longer than a view").into()),
        body: Some("line\none \u{1f600} \\ /".to_string().into()),
        url: None,
        author: None,
        score: Some(-3),
        num_comments: None,
        rating: Some(4.5),
        parent_id: None,
        link_title: None,
        crosspost_parent: None,
        edited_at: None,
        deleted: false,
        fetched_at: 1_793_491_200_000,
        locator: "in/a.ndjson".into(),
        seq,
        adapter_version: "reddit/1".into(),
        raw: format!("{{\"id\":\"{seq}\"}}").into(),
    }
}

fn write(path: &Path, lines: &[String], frames: usize) -> InputFile {
    let mut file = std::fs::File::create(path).unwrap();
    for chunk in lines.chunks(lines.len().div_ceil(frames).max(1)) {
        let text: String = chunk.iter().map(|l| format!("{l}\n")).collect();
        file.write_all(&zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
    }
    let bytes = std::fs::metadata(path).unwrap().len();
    InputFile { path: path.to_path_buf(), day: Some(day(0)), bytes, rows: lines.len() as u64 }
}

fn lines(n: u64) -> Vec<String> {
    (0..n).map(|i| serde_json::to_string(&envelope(i)).unwrap()).collect()
}

fn bronze(objects: Vec<InputFile>) -> Input {
    Input { name: "raw_posts".parse().unwrap(), daily: true, data: TableData::Bronze { objects } }
}

fn ask(engine: &Engine, objects: Vec<InputFile>, text: &str) -> Result<Vec<RecordBatch>, EngineError> {
    let mut out = Vec::new();
    engine.query(&sql(text), vec![bronze(objects)], &CancellationFlag::new(), &mut |b| {
        out.push(b);
        Ok(())
    })?;
    Ok(out)
}

#[test]
fn objects_are_read_whole_in_any_framing() {
    let temp = tempfile::tempdir().unwrap();
    let engine = Engine::new(EngineOptions { batch_size: 1000, ..options(temp.path()) }).unwrap();
    let lines = lines(5000);
    for frames in [1, 7] {
        let object = write(&temp.path().join(format!("{frames}.zst")), &lines, frames);
        let out = ask(&engine, vec![object], "SELECT count(*) AS n, sum(seq) AS s, count(DISTINCT native_id) AS d, min(dt) AS dt, max(created_at) AS m, count(url) AS u, min(body) AS b FROM raw_posts").unwrap();
        let shown = datafusion::arrow::util::pretty::pretty_format_batches(&out).unwrap().to_string();
        assert!(
            shown.contains("| 5000 | 12497500 | 5000 | 2026-11-01 | 2026-11-01T00:00:04.999 | 0 |"),
            "{shown}"
        );
    }
    // A line longer than any buffer.
    let mut long = envelope(1);
    long.body = Some("x".repeat(3 << 20).into());
    let long = vec![serde_json::to_string(&long).unwrap(), lines[2].clone()];
    let object = write(&temp.path().join("long.zst"), &long, 1);
    let out = ask(&engine, vec![object], "SELECT sum(length(body)) AS n FROM raw_posts").unwrap();
    assert_eq!(out[0].column(0).as_primitive::<Int64Type>().value(0), (3 << 20) + 14);
}

#[test]
fn several_objects_keep_their_days() {
    let temp = tempfile::tempdir().unwrap();
    let engine = Engine::new(options(temp.path())).unwrap();
    let mut objects = Vec::new();
    for d in 0..3 {
        let mut object = write(&temp.path().join(format!("{d}.zst")), &lines(10 + d), 1);
        object.day = Some(day(d as i32));
        objects.push(object);
    }
    let out = ask(
        &engine,
        objects,
        "SELECT dt, count(*) AS n FROM raw_posts WHERE dt > '2026-11-01' GROUP BY dt ORDER BY dt",
    )
    .unwrap();
    let shown = datafusion::arrow::util::pretty::pretty_format_batches(&out).unwrap().to_string();
    assert!(shown.contains("| 2026-11-02 | 11 |\n| 2026-11-03 | 12 |"), "{shown}");
}

#[test]
fn damaged_objects_are_named() {
    let temp = tempfile::tempdir().unwrap();
    let engine = Engine::new(options(temp.path())).unwrap();
    let path = temp.path().join("x.zst");
    let good = write(&path, &lines(2000), 1);
    let bytes = std::fs::read(&path).unwrap();
    let query = "SELECT count(seq) AS n FROM raw_posts";
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 0x55;
    let half_line = zstd::encode_all(&b"{\"platform\":\"reddit\",\"sou"[..], 1).unwrap();
    let no_json = zstd::encode_all(&b"{\"platform\":\"reddit\"}\n"[..], 1).unwrap();
    for (what, bytes) in [
        ("cut", &bytes[..bytes.len() - 10]),
        ("not zstd", b"hello, this is no zstd at all" as &[u8]),
        ("half a line", &half_line),
        ("missing fields", &no_json),
    ] {
        std::fs::write(&path, bytes).unwrap();
        match ask(&engine, vec![good.clone()], query) {
            Err(EngineError::Data { path: named, .. }) => assert_eq!(named, path),
            other => panic!("{what}: {other:?}"),
        }
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(ask(&engine, vec![good], query), Err(EngineError::Data { .. })));
}

fn text() -> impl Strategy<Value = Text<'static>> {
    prop_oneof![
        "[a-z]{0,20}",
        "\\PC{0,30}",
        proptest::collection::vec(any::<char>(), 0..12).prop_map(|c| c.into_iter().collect::<String>()),
        Just("a \"quoted\" \\ back\nslash\t\u{1}\u{1f48a}".to_string()),
    ]
    .prop_map(Text::from)
}

fn opt() -> impl Strategy<Value = Option<Text<'static>>> {
    proptest::option::of(text())
}

prop_compose! {
    fn envelopes()(
        (platform, source, native_id, locator, adapter_version, raw) in (text(), text(), text(), text(), text(), text()),
        (channel, title, body, url, author, parent_id, link_title, crosspost_parent) in (opt(), opt(), opt(), opt(), opt(), opt(), opt(), opt()),
        (score, num_comments, rating, seq) in (any::<Option<i64>>(), proptest::option::of(-100i64..100), proptest::option::of(prop_oneof![any::<f64>().prop_filter("finite", |x| x.is_finite()), (0u32..50).prop_map(|x| f64::from(x) / 10.0)]), 0u64..i64::MAX as u64),
        (created_at, edited_at, fetched_at) in (proptest::option::of(0i64..4_000_000_000_000), proptest::option::of(0i64..4_000_000_000_000), 0i64..4_000_000_000_000),
        (deleted, kind) in (any::<bool>(), 0..5usize),
    ) -> Envelope<'static> {
        use PostType::*;
        Envelope {
            platform, source, native_id, post_type: [Post, Comment, Review, Ticket, Moved][kind], channel,
            created_at, title, body, url, author, score, num_comments, rating, parent_id, link_title,
            crosspost_parent, edited_at, deleted, fetched_at, locator, seq, adapter_version, raw,
        }
    }
}

/// One line through the scanner (as it is) or through the deserializer (with a space that
/// takes it off the fast path).
fn decode(line: &str, positions: &[usize], slow: bool) -> Result<RecordBatch, String> {
    let schema = query_schema(&bronze_schema(), true);
    let mut columns = Columns::new(positions);
    let line = if slow { line.replacen('{', "{ ", 1) } else { line.to_string() };
    columns.push(line.as_bytes(), "2026-11-01")?;
    Ok(columns.finish(&Arc::new(schema.project(positions).unwrap())).unwrap())
}

proptest! {
    #[test]
    fn scanner_and_deserializer_agree(
        envelope in envelopes(),
        positions in proptest::sample::subsequence((0..24usize).collect::<Vec<_>>(), 1..24),
    ) {
        let line = serde_json::to_string(&envelope).unwrap();
        prop_assert_eq!(decode(&line, &positions, false), decode(&line, &positions, true));
    }

    #[test]
    fn changed_lines_never_give_other_values(
        envelope in envelopes(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![Just(b'"'), Just(b'\\'), Just(b','), Just(b'0'), Just(b'-'), Just(b'.'), Just(b'e'), Just(b'}'), Just(b' '), Just(b'\t'), any::<u8>()],
        cut in any::<bool>(),
    ) {
        // All columns are asked, so that nothing of the line is skipped.
        let mut line = serde_json::to_string(&envelope).unwrap().into_bytes();
        let at = at.index(line.len());
        if cut { line.truncate(at) } else { line[at] = byte }
        let Ok(line) = String::from_utf8(line) else { return Ok(()) };
        prop_assume!(!line.contains('\n') && !line.is_empty());
        let all: Vec<usize> = (0..24).collect();
        let (fast, slow) = (decode(&line, &all, false), decode(&line, &all, true));
        match (&fast, &slow) {
            (Err(_), Err(_)) => {}
            _ => prop_assert_eq!(&fast, &slow),
        }
    }
}

#[test]
fn the_written_shape_takes_the_fast_path() {
    // A line that only the scanner accepts shows which way was taken: an unasked field that
    // is no valid JSON is skipped.
    let line = serde_json::to_string(&envelope(1)).unwrap().replace("AmazonPharmacy", "\\q");
    assert!(decode(&line, &[0, 20], false).is_ok());
    assert!(decode(&line, &[0, 20], true).is_err());
    let batch = decode(&line, &[20, 0], false).unwrap();
    assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(0), 1);
    assert_eq!(batch.column(1).as_string_view().value(0), "reddit");
    assert_eq!(batch.column(1).len(), 1);
}
