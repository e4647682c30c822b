//! The `rx_…` functions on golden rows.

use std::sync::atomic::Ordering;

use super::*;

#[test]
fn functions_on_golden_rows() {
    let (engine, _temp) = engine();
    let cases = [
        "rx_norm('Hello AAA')",
        "rx_norm(NULL)",
        "rx_unescape('a &amp;lt; b')",
        "rx_brand('aaa bbb', 'reddit', 'x')",
        "rx_brand('nothing', 'app', NULL)",
        "rx_brand('nothing', 'reddit', 'x')",
        "rx_also_brands('aaa bbb', 'reddit', 'x')",
        "rx_also_brands('aaa', 'reddit', 'x')",
        "rx_issue_type('late, price')",
        "rx_issue_rule('late, price')",
        "rx_issue_rule('nothing')",
        "rx_also_matched('late, price')",
        "rx_is_customer_voice('LATE')",
        "rx_is_customer_voice('NEWS')",
        "rx_hash('a')",
        "rx_hash('a', '')",
        "rx_hash('a', NULL)",
        "rx_hash('', 'a')",
        "rx_engagement(9, 4)",
        "rx_engagement(-5, NULL)",
        "rx_engagement(9223372036854775807, 9223372036854775807)",
        "rx_epoch_ms(timestamp '2026-11-01T00:00:00.123')",
        "rx_epoch_ms(NULL)",
        "rx_date('2026-11-01')",
        "rx_date('2026-13-01')",
        "rx_days_between('2026-10-30', '2026-11-02')",
        "rx_days_between(NULL, '2026-11-02')",
        "rx_add_days('2024-02-28', 2)",
        "rx_add_days('2026-11-01', -31)",
        "rx_add_days('2026-11-01', 99999999999)",
        "rx_regex_replace_all('a1b22', '[0-9]+', '#')",
    ];
    let shown: Vec<String> = cases
        .iter()
        .map(|c| format!("{c} = {}", row(&engine, &format!("SELECT {c} AS x")).join(" | ")))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn functions_work_on_columns_as_on_constants() {
    let (engine, _temp) = engine();
    let shown = row(
        &engine,
        "SELECT rx_norm(t) AS a, rx_issue_type(t) AS b, rx_issue_rule(t) AS c, rx_also_matched(t) AS d,
           rx_brand(t, p, 'x') AS e, rx_hash(t, p) AS f, rx_regex_replace_all(t, 'l(.)', '<\\1>') AS g,
           rx_add_days(d, 1) AS h, rx_engagement(n, n) AS i
         FROM (VALUES ('Late aaa', 'app', '2026-11-01', 3), ('x', NULL, '2026-11-01', NULL)) AS v(t, p, d, n)",
    );
    insta::assert_snapshot!(shown[..9].join(" | "));
}

#[test]
fn a_text_is_classified_once() {
    let (engine, _temp) = engine();
    let columns = schema(&[("id", DataType::Utf8), ("t", DataType::Utf8)]);
    let rows = 1000;
    let ids: Vec<String> = (0..rows).map(|i| format!("{i:04}")).collect();
    let values = batch(
        &columns,
        vec![texts(ids.iter().map(String::as_str)), texts((0..rows).map(|i| ["late", "x"][i % 2]))],
    );
    let job = SqlJob {
        sql: Arc::new(sql(
            "SELECT dt, id, rx_issue_type(rx_norm(t)) AS issue_type, rx_issue_rule(rx_norm(t)) AS issue_rule,
               rx_also_matched(rx_norm(t)) AS also FROM t",
        )),
        inputs: vec![Input {
            name: "t".parse().unwrap(),
            daily: true,
            data: TableData::Memory { schema: columns, batches: vec![(Some(day(0)), values)] },
        }],
        days: Some(vec![day(0)]),
        row_key: vec!["id".to_string()],
        schema: schema(&[
            ("id", DataType::Utf8),
            ("issue_type", DataType::Utf8),
            ("issue_rule", DataType::Utf8),
        ]),
        keep_dropped: false,
    };
    // Tests run as processes of their own, so the count is this query's.
    let before = CLASSIFIED.load(Ordering::Relaxed);
    let (out, _) = collect(&engine, &job).unwrap();
    assert_eq!(out[0].1.num_rows(), rows);
    assert_eq!(CLASSIFIED.load(Ordering::Relaxed) - before, rows);
}
