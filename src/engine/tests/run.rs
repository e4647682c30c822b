//! Running jobs: order, drops, days, limits, cancel, damaged files.

use std::fs::File;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{Array, AsArray, StringArray};
use datafusion::parquet::arrow::ArrowWriter;

use super::*;

const COLUMNS: [(&str, DataType); 3] =
    [("id", DataType::Utf8), ("body", DataType::Utf8), ("n", DataType::Int64)];

fn posts(day: i32, rows: std::ops::Range<i64>) -> RecordBatch {
    // Out of order on purpose.
    let n: Vec<i64> = rows.rev().collect();
    let ids: Vec<String> = n.iter().map(|i| format!("{day}-{:08}", (i * 7919) % 100_003)).collect();
    let body: Vec<String> = n.iter().map(|i| format!("text of row {i} of day {day} ").repeat(4)).collect();
    batch(
        &schema(&COLUMNS),
        vec![
            texts(ids.iter().map(String::as_str)),
            texts(body.iter().map(String::as_str)),
            ints(n.iter().copied()),
        ],
    )
}

fn memory(batches: Vec<(Option<Day>, RecordBatch)>) -> Input {
    let daily = batches.iter().all(|(d, _)| d.is_some());
    Input {
        name: "posts".parse().unwrap(),
        daily,
        data: TableData::Memory { schema: schema(&COLUMNS), batches },
    }
}

fn job(text: &str, inputs: Vec<Input>, days: Option<Vec<Day>>, columns: &[(&str, DataType)]) -> SqlJob {
    SqlJob {
        sql: Arc::new(sql(text)),
        inputs,
        days,
        row_key: vec![columns[0].0.to_string()],
        schema: schema(columns),
        keep_dropped: false,
    }
}

/// Writes Parquet files, one a day.
fn parquet(folder: &Path, batches: &[(Day, RecordBatch)]) -> Input {
    let files = batches
        .iter()
        .map(|(day, batch)| {
            // A name that a store would have to escape.
            let path = folder.join(format!("dt={day} ü%20#.parquet"));
            let mut writer =
                ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
            writer.write(batch).unwrap();
            writer.close().unwrap();
            let bytes = std::fs::metadata(&path).unwrap().len();
            InputFile { path, day: Some(*day), bytes, rows: batch.num_rows() as u64 }
        })
        .collect();
    Input {
        name: "posts".parse().unwrap(),
        daily: true,
        data: TableData::Parquet { files, schema: schema(&COLUMNS) },
    }
}

#[test]
fn parquet_rows_leave_by_day_and_key_whatever_the_threads() {
    let temp = tempfile::tempdir().unwrap();
    let days: Vec<(Day, RecordBatch)> = (0..3).map(|d| (day(d), posts(d, 0..20_000))).collect();
    let input = parquet(temp.path(), &days);
    let run = |threads, batch_size| {
        let engine = Engine::new(EngineOptions { threads, batch_size, ..options(temp.path()) }).unwrap();
        let job = job(
            "SELECT id, n, body, dt FROM posts WHERE n % 3 <> 0",
            vec![input.clone()],
            Some(vec![day(0), day(2)]),
            &[("id", DataType::Utf8), ("body", DataType::Utf8), ("n", DataType::Int64)],
        );
        collect(&engine, &job).unwrap()
    };
    let (rows, stats) = run(1, 8192);
    assert_eq!(rows.iter().map(|(d, _)| *d).collect::<Vec<_>>(), [Some(day(0)), Some(day(2))]);
    assert_eq!(rows[0].1.num_rows(), 13_333);
    assert_eq!(rows[0].1.schema(), schema(&COLUMNS));
    let ids: &StringArray = rows[1].1.column(0).as_string();
    assert!(ids.iter().zip(ids.iter().skip(1)).all(|(a, b)| a < b));
    assert_eq!(stats.rows_in, (0..3).map(|d| (Some(day(d)), 20_000)).collect());
    assert_eq!(stats.rows_out, 26_666);
    assert!(stats.duplicate_keys.is_empty());
    assert!(stats.peak_memory > 0);
    for (threads, batch_size) in [(2, 8192), (8, 100), (1, 777)] {
        assert_eq!(run(threads, batch_size).0, rows, "{threads} threads, {batch_size} rows");
    }
}

#[test]
fn dropped_rows_are_counted_by_day_and_reason() {
    let (engine, _temp) = engine();
    let input = memory(vec![(Some(day(0)), posts(0, 0..10)), (Some(day(1)), posts(1, 0..4))]);
    let text =
        "SELECT dt, id, CASE WHEN n < 3 THEN 'off_brand' WHEN n = 9 THEN 'deleted' END AS rx_drop FROM posts";
    let mut job = job(text, vec![input], Some(vec![day(0), day(1)]), &[("id", DataType::Utf8)]);
    let (rows, stats) = collect(&engine, &job).unwrap();
    assert_eq!(rows.iter().map(|(_, b)| b.num_rows()).collect::<Vec<_>>(), [6, 1]);
    assert_eq!(rows[0].1.num_columns(), 1);
    let expected: Dropped = [
        ((Some(day(0)), "deleted".to_string()), 1),
        ((Some(day(0)), "off_brand".to_string()), 3),
        ((Some(day(1)), "off_brand".to_string()), 3),
    ]
    .into();
    assert_eq!(stats.dropped, expected);

    job.keep_dropped = true;
    let (rows, stats) = collect(&engine, &job).unwrap();
    assert_eq!(rows.iter().map(|(_, b)| b.num_rows()).collect::<Vec<_>>(), [10, 4]);
    assert_eq!(rows[0].1.schema().field(1).name(), RX_DROP);
    assert_eq!(rows[0].1.column(1).null_count(), 6);
    assert!(stats.dropped.is_empty());
}

#[test]
fn days_that_were_not_asked_stay_out_and_empty_inputs_give_nothing() {
    let (engine, _temp) = engine();
    let input = memory((0..5).map(|d| (Some(day(d)), posts(d, 0..3))).collect());
    let mut job =
        job("SELECT dt, id FROM posts", vec![input], Some(vec![day(1), day(3)]), &[("id", DataType::Utf8)]);
    let (rows, _) = collect(&engine, &job).unwrap();
    assert_eq!(rows.iter().map(|(d, _)| d.unwrap()).collect::<Vec<_>>(), [day(1), day(3)]);

    for data in [
        TableData::Memory { schema: schema(&COLUMNS), batches: Vec::new() },
        TableData::Parquet { schema: schema(&COLUMNS), files: Vec::new() },
    ] {
        job.inputs = vec![Input { name: "posts".parse().unwrap(), daily: true, data }];
        assert_eq!(collect(&engine, &job).unwrap().0, []);
    }
    job.sql = Arc::new(sql("SELECT dt, platform AS id FROM posts"));
    job.inputs = vec![Input {
        name: "posts".parse().unwrap(),
        daily: true,
        data: TableData::Bronze { objects: Vec::new() },
    }];
    assert_eq!(collect(&engine, &job).unwrap().0, []);
}

#[test]
fn a_table_without_days_is_one_piece() {
    let (engine, _temp) = engine();
    let input = memory(vec![(None, posts(0, 0..100))]);
    let job =
        job("SELECT id, n FROM posts", vec![input], None, &[("id", DataType::Utf8), ("n", DataType::Int64)]);
    let (rows, stats) = collect(&engine, &job).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].0, None);
    assert_eq!(stats.rows_in, [(None, 100)].into());
}

#[test]
fn equal_keys_are_counted_across_batches() {
    let temp = tempfile::tempdir().unwrap();
    let engine = Engine::new(EngineOptions { batch_size: 2, ..options(temp.path()) }).unwrap();
    let input = memory(vec![
        (Some(day(0)), posts(0, 0..5)),
        (Some(day(0)), posts(0, 0..3)),
        (Some(day(0)), posts(0, 0..2)),
        (Some(day(1)), posts(1, 0..2)),
    ]);
    let job =
        job("SELECT dt, id FROM posts", vec![input], Some(vec![day(0), day(1)]), &[("id", DataType::Utf8)]);
    let (_, stats) = collect(&engine, &job).unwrap();
    assert_eq!(stats.duplicate_keys, [(Some(day(0)), 5)].into());
}

#[test]
fn a_small_memory_limit_spills_and_changes_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let days: Vec<(Day, RecordBatch)> = (0..4).map(|d| (day(d), posts(d, 0..16_000))).collect();
    let input = parquet(temp.path(), &days);
    let job = job(
        "SELECT dt, id, body FROM posts",
        vec![input],
        Some((0..4).map(day).collect()),
        &[("id", DataType::Utf8), ("body", DataType::Utf8)],
    );
    let run = |memory_limit, temp_limit| {
        let options = EngineOptions { memory_limit, temp_limit, ..options(temp.path()) };
        collect(&Engine::new(options).unwrap(), &job)
    };
    let (roomy, stats) = run(1 << 30, 1 << 30).unwrap();
    let (tight, tight_stats) = run(8 << 20, 1 << 30).unwrap();
    assert_eq!(roomy, tight);
    assert!(tight_stats.peak_memory <= 8 << 20);
    assert!(stats.peak_memory > 8 << 20, "the data is too small to need the limit");
    // Without room for spilled data it is the retriable kind of error.
    let refused = run(8 << 20, 1 << 10);
    assert!(matches!(refused, Err(EngineError::ResourcesExhausted(_))), "{refused:?}");
}

#[test]
fn a_raised_flag_ends_a_long_query() {
    let (engine, _temp) = engine();
    let input = memory((0..4).map(|d| (Some(day(d)), posts(d, 0..20_000))).collect());
    // 80,000 squared, by nested loops.
    let text =
        "SELECT a.dt, max(a.id || b.id) AS id FROM posts a JOIN posts b ON a.n + b.n > a.n - 1 GROUP BY a.dt";
    let job = job(text, vec![input], Some(vec![day(0)]), &[("id", DataType::Utf8)]);
    let cancel = CancellationFlag::new();
    let raise = cancel.clone();
    let helper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        raise.cancel();
        Instant::now()
    });
    let told = std::cell::Cell::new(0);
    let result = engine.run(&job, &mut |_, _| Ok(()), &|_| told.set(told.get() + 1), &cancel);
    assert!(matches!(result, Err(EngineError::Cancelled)), "{result:?}");
    helper.join().unwrap();
    assert!(told.get() > 0);
}

#[test]
fn what_the_sink_says_ends_the_query() {
    let (engine, _temp) = engine();
    let job = job(
        "SELECT dt, id FROM posts",
        vec![memory(vec![(Some(day(0)), posts(0, 0..3))])],
        Some(vec![day(0)]),
        &[("id", DataType::Utf8)],
    );
    let full = |_: Option<Day>, _: RecordBatch| Err(EngineError::Other("the disk is full".to_string()));
    let result = engine.run(&job, &mut { full }, &|_| {}, &CancellationFlag::new());
    assert_eq!(result.unwrap_err().to_string(), "the disk is full");
}

#[test]
fn a_damaged_file_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let engine = Engine::new(options(temp.path())).unwrap();
    let input = parquet(temp.path(), &[(day(0), posts(0, 0..1000))]);
    let TableData::Parquet { files, .. } = &input.data else { unreachable!() };
    let path = files[0].path.clone();
    let good = std::fs::read(&path).unwrap();
    let job = job("SELECT dt, id FROM posts", vec![input], Some(vec![day(0)]), &[("id", DataType::Utf8)]);
    let mut cut = good.clone();
    cut.truncate(good.len() / 2);
    let cases: [Option<&[u8]>; 3] = [Some(&cut), Some(b"not parquet"), None];
    for bytes in cases {
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        match collect(&engine, &job) {
            Err(EngineError::Data { path: named, .. }) => assert_eq!(named, path),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn values_that_do_not_fit_fail_while_running() {
    let (engine, _temp) = engine();
    let input = || memory(vec![(Some(day(0)), posts(0, 0..3))]);
    let run = |text: &str| {
        let job =
            job(text, vec![input()], Some(vec![day(0)]), &[("id", DataType::Utf8), ("x", DataType::Int64)]);
        collect(&engine, &job).unwrap_err().to_string()
    };
    let shown = run("SELECT dt, id, 1 / (n - n) AS x FROM posts");
    assert!(shown.to_lowercase().contains("divide by zero"), "{shown}");
    let shown = run("SELECT dt, id, cast(id AS bigint) AS x FROM posts");
    assert!(shown.contains("0-0"), "{shown}");
}

#[test]
fn questions_read_only_their_tables() {
    let temp = tempfile::tempdir().unwrap();
    let engine = Engine::new(options(temp.path())).unwrap();
    let input = parquet(temp.path(), &(0..3).map(|d| (day(d), posts(d, 0..10))).collect::<Vec<_>>());
    let ask = |text: &str| {
        let mut rows = 0;
        let asked = engine.query(&sql(text), vec![input.clone()], &CancellationFlag::new(), &mut |b| {
            rows += b.num_rows();
            Ok(())
        });
        asked.map(|schema| (rows, schema.fields().len()))
    };
    assert_eq!(ask("SELECT * FROM posts WHERE dt >= '2026-11-02'").unwrap(), (20, 4));
    assert_eq!(
        ask("SELECT dt, count(*) FROM posts WHERE dt <> '2026-11-02' AND n > 4 GROUP BY dt").unwrap(),
        (2, 2)
    );
    assert_eq!(ask("SELECT 1 AS one WHERE false").unwrap(), (0, 1));
    assert_eq!(ask("SELECT 1 AS one WHERE now() > timestamp '2020-01-01'").unwrap(), (1, 1));
    for refused in [
        "CREATE TABLE x AS SELECT 1",
        "COPY posts TO '/tmp/x.parquet'",
        "SET datafusion.execution.batch_size = 1",
        "INSERT INTO posts SELECT * FROM posts",
        "DROP TABLE posts",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM information_schema.tables",
        "EXPLAIN SELECT 1",
        "SELECT * FROM generate_series(1, 3)",
    ] {
        assert!(matches!(ask(refused), Err(EngineError::Sql(_))), "{refused}: {:?}", ask(refused));
    }
}
