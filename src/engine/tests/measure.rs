//! Measurements, run by hand: `cargo test --release --lib engine::tests::measure -- --ignored --nocapture`.

use std::io::Write;
use std::time::Instant;

use super::*;

#[test]
#[ignore = "a measurement"]
fn bronze_decode_and_small_queries() {
    let temp = tempfile::tempdir().unwrap();
    let engine = Engine::new(options(temp.path())).unwrap();
    let mut text = Vec::new();
    let body = "I ordered my refill two weeks ago and it still has not shipped. Support says \\\"soon\\\".\\nAnyone else? ".repeat(2);
    let raw = "\\\"key\\\":\\\"some value of the record itself\\\",".repeat(12);
    for i in 0..200_000u64 {
        writeln!(text, r#"{{"platform":"reddit","source":"sample","native_id":"t3_{i:x}","post_type":"post","channel":"AmazonPharmacy","created_at":"2026-11-01T00:00:00.000Z","title":"Where is my order number {i}?","body":"{body}","url":"https://www.reddit.com/r/AmazonPharmacy/comments/{i:x}/where/","author":null,"score":{},"num_comments":3,"rating":null,"parent_id":null,"link_title":null,"crosspost_parent":null,"edited_at":null,"deleted":false,"fetched_at":"2026-11-02T00:00:00.000Z","locator":"","seq":{i},"adapter_version":"sample/1","raw":"{{{raw}}}"}}"#, i % 50).unwrap();
    }
    let path = temp.path().join("x.zst");
    std::fs::write(&path, zstd::encode_all(text.as_slice(), 1).unwrap()).unwrap();
    let object = InputFile { path, day: Some(day(0)), bytes: 1, rows: 200_000 };
    let mb = text.len() as f64 / 1e6;
    let started = Instant::now();
    let plain = zstd::decode_all(std::fs::File::open(&object.path).unwrap()).unwrap();
    report("zstd alone", mb, started);
    drop(plain);
    for (what, columns) in [
        ("count", "1 AS x"),
        ("ids", "platform, native_id, fetched_at"),
        (
            "silver's columns",
            "platform, native_id, source, post_type, channel, created_at, title, body, url, score, num_comments, rating, parent_id, link_title, crosspost_parent, edited_at, deleted, fetched_at, locator, seq",
        ),
        ("all with raw", "*"),
    ] {
        let input = Input {
            name: "raw_posts".parse().unwrap(),
            daily: true,
            data: TableData::Bronze { objects: vec![object.clone()] },
        };
        let started = Instant::now();
        let mut rows = 0;
        engine
            .query(
                &sql(&format!("SELECT {columns} FROM raw_posts")),
                vec![input],
                &CancellationFlag::new(),
                &mut |b| {
                    rows += b.num_rows();
                    Ok(())
                },
            )
            .unwrap();
        assert_eq!(rows, 200_000);
        report(what, mb, started);
    }
    let columns = schema(&[("id", DataType::Utf8), ("n", DataType::Int64)]);
    let rows = batch(&columns, vec![texts(["a", "b"]), ints([1, 2])]);
    for (what, text) in [
        ("trivial query", "SELECT dt, id, n FROM t"),
        ("small aggregate", "SELECT dt, id, sum(n) AS n FROM t WHERE n > 0 GROUP BY dt, id"),
    ] {
        let input = Input {
            name: "t".parse().unwrap(),
            daily: true,
            data: TableData::Memory { schema: columns.clone(), batches: vec![(Some(day(0)), rows.clone())] },
        };
        let job = SqlJob {
            sql: Arc::new(sql(text)),
            inputs: vec![input],
            days: Some(vec![day(0)]),
            row_key: vec!["id".to_string()],
            schema: columns.clone(),
            keep_dropped: false,
        };
        let started = Instant::now();
        for _ in 0..1000 {
            collect(&engine, &job).unwrap();
        }
        writeln!(std::io::stderr(), "{what}: {:.0} µs", started.elapsed().as_secs_f64() * 1e3).unwrap();
    }
}

fn report(what: &str, mb: f64, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    writeln!(std::io::stderr(), "{what}: {:.0} MB/s ({mb:.0} MB in {seconds:.3} s)", mb / seconds).unwrap();
}
