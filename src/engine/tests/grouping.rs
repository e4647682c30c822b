//! Which queries may make several days at once, and that those which may give the same rows
//! as one day at a time.

use super::*;
use crate::graph::AssetKey;

/// (id, brand, issue, n) and a tag list by day; facts (brand, issue, mentions); types (issue).
fn deps() -> Vec<DepSchema> {
    let dep = |name: &str, columns: &[(&str, DataType)], daily, days_before| DepSchema {
        name: name.parse().unwrap(),
        schema: schema(columns),
        daily,
        days_before,
    };
    vec![
        dep("posts", &POSTS, true, 0),
        dep("facts", &FACTS, true, 7),
        dep("types", &[("issue", DataType::Utf8)], false, 0),
        dep("calendar", &[("d", DataType::Utf8)], false, 0),
    ]
}

const POSTS: [(&str, DataType); 4] =
    [("id", DataType::Utf8), ("brand", DataType::Utf8), ("issue", DataType::Utf8), ("n", DataType::Int64)];
const FACTS: [(&str, DataType); 3] =
    [("brand", DataType::Utf8), ("issue", DataType::Utf8), ("mentions", DataType::Int64)];

/// Days beside each of the seven before them, then a query of those.
macro_rules! pairs {
    ($query:literal) => {
        concat!(
            "WITH days AS (SELECT dt, count(*) AS n FROM facts GROUP BY dt),
             pairs AS (SELECT d.dt, b.dt AS past FROM days d JOIN days b
                 ON b.dt >= rx_add_days(d.dt, -7) AND b.dt < d.dt WHERE b.n > 1) ",
            $query
        )
    };
}

/// (SQL, key).
const TOGETHER: &[(&str, &[&str])] = &[
    ("SELECT dt, id, n FROM posts", &["id"]),
    ("SELECT dt, brand, count(*) AS c, sum(n) AS n FROM posts GROUP BY dt, brand", &["brand"]),
    ("SELECT brand, dt, count(DISTINCT id) AS c FROM posts GROUP BY 1, 2", &["brand"]),
    ("SELECT DISTINCT dt, brand FROM posts", &["brand"]),
    (
        "SELECT * FROM (SELECT dt, id, brand, row_number() OVER (PARTITION BY dt, brand ORDER BY n DESC, id) AS rank FROM posts) WHERE rank <= 2",
        &["brand", "rank"],
    ),
    (
        "WITH p AS (SELECT dt AS d, brand AS b, n FROM posts WHERE n > 2) SELECT d AS dt, b, max(n) AS top FROM p GROUP BY d, b",
        &["b"],
    ),
    ("SELECT p.dt, p.id, f.mentions FROM posts p JOIN facts f ON f.dt = p.dt AND f.brand = p.brand AND f.issue = p.issue", &["id", "mentions"]),
    ("SELECT p.dt, p.id, f.mentions FROM posts p LEFT JOIN facts f ON f.dt = p.dt AND f.brand = p.brand AND f.issue = 'x'", &["id", "mentions"]),
    ("SELECT p.dt, p.id FROM posts p, facts f WHERE f.dt = p.dt AND f.brand = p.brand AND f.issue = p.issue", &["id"]),
    (
        "SELECT a.dt, a.brand, a.issue, a.mentions, sum(b.mentions) AS before
         FROM facts a LEFT JOIN facts b ON b.brand = a.brand AND b.issue = a.issue
           AND b.dt >= rx_add_days(a.dt, -7) AND b.dt < a.dt
         GROUP BY a.dt, a.brand, a.issue, a.mentions",
        &["brand", "issue"],
    ),
    (
        "SELECT a.dt, a.brand, sum(b.mentions) AS seven FROM facts a JOIN facts b
           ON b.brand = a.brand AND b.dt BETWEEN rx_add_days(a.dt, -6) AND a.dt
         GROUP BY a.dt, a.brand",
        &["brand"],
    ),
    (
        "SELECT p.dt, p.brand, sum(f.mentions) AS m FROM (SELECT DISTINCT dt, brand FROM posts) p JOIN facts f
           ON f.brand = p.brand AND rx_days_between(f.dt, p.dt) BETWEEN 0 AND 7 GROUP BY p.dt, p.brand",
        &["brand"],
    ),
    (
        "SELECT p.dt, p.brand, sum(f.mentions) AS m FROM (SELECT DISTINCT dt, brand FROM posts) p JOIN facts f
           ON f.brand = p.brand AND rx_date(f.dt) > rx_date(p.dt) - interval '7' day AND rx_date(f.dt) <= rx_date(p.dt)
         GROUP BY p.dt, p.brand",
        &["brand"],
    ),
    // Yesterday's number beside today's.
    (
        "SELECT a.dt, a.brand, a.issue, b.mentions AS yesterday FROM facts a LEFT JOIN facts b
           ON b.brand = a.brand AND b.issue = a.issue AND b.dt = rx_add_days(a.dt, -1)",
        &["brand", "issue"],
    ),
    // Dense over a table without days.
    (
        "SELECT d.dt, t.issue, coalesce(sum(f.mentions), 0) AS m
         FROM (SELECT DISTINCT dt FROM facts) d CROSS JOIN types t
         LEFT JOIN facts f ON f.dt = d.dt AND f.issue = t.issue GROUP BY d.dt, t.issue",
        &["issue"],
    ),
    ("SELECT dt, id, 'post' AS what FROM posts UNION ALL SELECT dt, brand || issue, 'fact' FROM facts", &["what", "id"]),
    ("SELECT c.d AS dt, count(p.id) AS n FROM calendar c LEFT JOIN posts p ON p.dt = c.d GROUP BY c.d", &["n"]),
    ("SELECT dt, id FROM posts p WHERE EXISTS (SELECT 1 FROM facts f WHERE f.dt = p.dt AND f.brand = p.brand)", &["id"]),
    ("SELECT dt, id FROM posts p WHERE NOT EXISTS (SELECT 1 FROM facts f WHERE f.dt = p.dt AND f.issue = p.issue)", &["id"]),
    ("SELECT dt, id FROM posts WHERE issue IN (SELECT issue FROM types)", &["id"]),
    ("SELECT dt, id, (SELECT count(*) FROM types) AS n FROM posts", &["id"]),
    ("SELECT dt, id, sum(n) OVER (PARTITION BY dt) AS day_total FROM posts", &["id"]),
    ("SELECT dt, id, n FROM posts ORDER BY n", &["id"]),
    ("SELECT d AS dt, d AS issue FROM calendar", &["issue"]),
    ("SELECT f.dt, p.id FROM posts p RIGHT JOIN (SELECT DISTINCT dt FROM facts) f ON f.dt = p.dt", &["id"]),
    // Joined to the other side's day of a trailing join: within the same range.
    (
        pairs!(
            "SELECT p.dt, f.brand, f.issue, sum(f.mentions) AS m FROM pairs p JOIN facts f ON f.dt = p.past
             GROUP BY p.dt, f.brand, f.issue"
        ),
        &["brand", "issue"],
    ),
    (
        "SELECT a.dt, a.brand, a.issue, sum(b.mentions) AS m FROM facts a
         JOIN facts b ON b.brand = a.brand AND b.issue = a.issue
           AND b.dt >= rx_add_days(a.dt, -7) AND b.dt < a.dt
         JOIN (SELECT DISTINCT dt FROM facts WHERE brand = 'cvs') c ON c.dt = b.dt
         GROUP BY a.dt, a.brand, a.issue",
        &["brand", "issue"],
    ),
    (
        pairs!("SELECT p.dt, p.past, f.brand, f.issue FROM pairs p LEFT JOIN facts f ON f.dt = p.past AND f.brand = 'cvs'"),
        &["past", "brand", "issue"],
    ),
    (
        pairs!("SELECT p.dt, p.past FROM pairs p WHERE NOT EXISTS (SELECT 1 FROM facts f WHERE f.dt = p.past AND f.issue = 'x')"),
        &["past"],
    ),
    (
        pairs!(
            "SELECT u.dt, f.brand, sum(f.mentions) AS m
             FROM (SELECT dt, past FROM pairs UNION ALL SELECT dt, dt AS past FROM days) u JOIN facts f ON f.dt = u.past
             GROUP BY u.dt, f.brand"
        ),
        &["brand"],
    ),
    (
        pairs!("SELECT dt, past, row_number() OVER (PARTITION BY dt ORDER BY past DESC) AS back FROM pairs"),
        &["past"],
    ),
    // Two ranges in a row add up to the seven days.
    (
        "WITH days AS (SELECT DISTINCT dt FROM facts),
         near AS (SELECT d.dt, b.dt AS past FROM days d JOIN days b ON b.dt BETWEEN rx_add_days(d.dt, -3) AND d.dt)
         SELECT n.dt, f.brand, count(*) AS n FROM near n JOIN facts f
           ON f.dt >= rx_add_days(n.past, -4) AND f.dt < n.past GROUP BY n.dt, f.brand",
        &["brand"],
    ),
    // The range's start as a column of its own.
    (
        "WITH days AS (SELECT DISTINCT dt, rx_add_days(dt, -6) AS since FROM facts)
         SELECT d.dt, f.brand, count(*) AS n FROM days d JOIN facts f ON f.dt >= d.since AND f.dt <= d.dt
         GROUP BY d.dt, f.brand",
        &["brand"],
    ),
];

/// (SQL, a part of the reason).
const ALONE: &[(&str, &str)] = &[
    ("SELECT max(dt) AS dt, count(*) AS id FROM posts", "GROUP BY"),
    ("SELECT '2026-11-01' AS dt, id FROM posts", "dt is not used"),
    ("SELECT max(dt) AS dt, brand AS id FROM posts GROUP BY brand", "GROUP BY"),
    ("SELECT dt, id, row_number() OVER (PARTITION BY brand ORDER BY id) AS n FROM posts", "PARTITION BY"),
    (
        "SELECT dt, brand AS id, avg(mentions) OVER (PARTITION BY brand ORDER BY dt ROWS 7 PRECEDING) AS m FROM facts",
        "PARTITION BY",
    ),
    ("SELECT dt, id FROM posts ORDER BY n DESC, id LIMIT 10", "LIMIT"),
    ("SELECT dt, id FROM (SELECT dt, id FROM posts LIMIT 10)", "LIMIT"),
    ("SELECT p.dt, p.id FROM posts p JOIN facts f ON f.brand = p.brand", "dt is not used"),
    ("SELECT p.dt, p.id FROM posts p JOIN facts f ON f.brand = p.brand AND f.dt <> p.dt", "tie"),
    ("SELECT p.dt, p.id FROM posts p CROSS JOIN facts f", "dt is not used"),
    ("SELECT a.dt, a.brand AS id FROM facts a JOIN facts b ON b.dt < a.dt", "tie"),
    (
        "SELECT a.dt, a.brand AS id FROM facts a JOIN facts b ON b.dt >= rx_add_days(a.dt, -8) AND b.dt < a.dt",
        "8 days before",
    ),
    (
        "SELECT a.dt, a.brand AS id FROM facts a JOIN facts b ON b.dt BETWEEN a.dt AND rx_add_days(a.dt, 1)",
        "after",
    ),
    ("SELECT a.dt, a.id FROM posts a JOIN posts b ON b.dt = rx_add_days(a.dt, -1)", "1 days before"),
    ("SELECT a.dt, a.id FROM posts a FULL JOIN facts b ON b.dt = a.dt", "FULL"),
    ("SELECT dt, id FROM posts WHERE n > (SELECT avg(n) FROM posts)", ""),
    ("SELECT dt, id FROM posts WHERE brand NOT IN (SELECT brand FROM facts)", "dt is not used"),
    ("SELECT dt, id FROM posts WHERE brand IN (SELECT brand FROM facts)", "dt is not used"),
    ("SELECT dt, id FROM posts UNION SELECT max(dt), brand FROM facts GROUP BY brand", "GROUP BY"),
    ("SELECT f.dt, p.id FROM (SELECT DISTINCT id FROM posts) p JOIN facts f ON true", ""),
    ("SELECT rx_add_days(dt, 1) AS dt, id FROM posts", "1 days before"),
    ("SELECT dt, brand AS id FROM posts GROUP BY GROUPING SETS ((dt, brand), (dt))", "grouping sets"),
    ("SELECT substr(dt, 1, 10) AS dt, id FROM posts", "drops the dt"),
    (
        "SELECT c.d AS dt, count(p.id) AS id FROM calendar c LEFT JOIN posts p ON p.dt <= c.d GROUP BY c.d",
        "tie",
    ),
    ("SELECT t.issue AS id, p.dt FROM types t LEFT JOIN posts p ON p.issue = t.issue", "tie"),
    // No first day.
    (
        "WITH days AS (SELECT DISTINCT dt FROM facts),
         pairs AS (SELECT d.dt, b.dt AS past FROM days d JOIN days b ON b.dt < d.dt)
         SELECT p.dt, f.brand AS id FROM pairs p JOIN facts f ON f.dt = p.past",
        "tie",
    ),
    (pairs!("SELECT p.dt, f.brand AS id FROM pairs p JOIN facts f ON f.dt <= p.past"), "tie"),
    // Wider than what the dependency has.
    (
        pairs!("SELECT p.dt, f.brand AS id FROM pairs p JOIN facts f ON f.dt BETWEEN rx_add_days(p.past, -1) AND p.past"),
        "8 days before are read of `facts`",
    ),
    (pairs!("SELECT p.dt, x.id FROM pairs p JOIN posts x ON x.dt = p.past"), "7 days before are read of `posts`"),
    // The wrong direction.
    (
        "WITH days AS (SELECT DISTINCT dt FROM facts),
         pairs AS (SELECT d.dt, b.dt AS next FROM days d JOIN days b ON b.dt > d.dt AND b.dt <= rx_add_days(d.dt, 7))
         SELECT p.dt, f.brand AS id FROM pairs p JOIN facts f ON f.dt = p.next",
        "after",
    ),
    (pairs!("SELECT past AS dt, count(*) AS id FROM pairs GROUP BY past"), "after"),
    // Days that share a day are up to six days apart, either way.
    (pairs!("SELECT a.dt, b.dt AS id FROM pairs a JOIN pairs b ON b.past = a.past"), "after"),
    // The side of an outer join that may be NULL has no day.
    ("SELECT b.dt, a.id FROM posts a LEFT JOIN facts b ON b.dt = a.dt AND b.brand = a.brand", "drops the dt"),
    ("SELECT a.dt, a.id FROM posts a RIGHT JOIN facts b ON b.dt = a.dt AND b.brand = a.brand", "drops the dt"),
    (
        "SELECT a.dt, p.id FROM facts a LEFT JOIN facts b ON b.dt = rx_add_days(a.dt, -1) AND b.brand = a.brand
         LEFT JOIN posts p ON p.dt = b.dt",
        "tie",
    ),
    // A day that is not the one the rows are read by.
    (pairs!("SELECT c.d AS dt, p.past AS id FROM pairs p CROSS JOIN calendar c"), "not the day"),
    (pairs!("SELECT CASE WHEN f.mentions > 3 THEN p.dt ELSE p.past END AS dt, f.brand AS id FROM pairs p JOIN facts f ON f.dt = p.past"), "drops the dt"),
    // Over several days' rows.
    (
        pairs!("SELECT max(p.dt) AS dt, f.brand AS id FROM pairs p JOIN facts f ON f.dt = p.past GROUP BY f.brand"),
        "GROUP BY",
    ),
    (
        pairs!("SELECT max(p.dt) AS dt, f.dt AS id, count(*) AS n FROM pairs p JOIN facts f ON f.dt = p.past GROUP BY f.dt"),
        "",
    ),
    (
        pairs!("SELECT dt, past, row_number() OVER (PARTITION BY past ORDER BY dt) AS id FROM pairs"),
        "not the day",
    ),
    // Rows of a table without days say nothing of how far apart two columns are.
    (
        pairs!(
            "SELECT u.dt, f.brand AS id FROM (SELECT dt, past FROM pairs UNION ALL SELECT d, '2026-11-03' FROM calendar) u
             JOIN facts f ON f.dt = u.past"
        ),
        "drops the dt",
    ),
    (
        "SELECT b AS dt, count(*) OVER (PARTITION BY a) AS id
         FROM (SELECT dt AS a, dt AS b FROM posts UNION ALL SELECT d, '2026-11-03' FROM calendar)",
        "drops the dt",
    ),
];

#[test]
fn queries_that_keep_to_their_day_are_proven() {
    let (engine, _temp) = engine();
    let mut wrong = Vec::new();
    for (text, key) in TOGETHER {
        let key: Vec<String> = key.iter().map(|k| k.to_string()).collect();
        match engine.infer(&sql(text), &deps(), true, &key) {
            Ok(inferred) if inferred.grouping == Grouping::Together => {}
            other => wrong.push(format!("{text}\n  {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn any_doubt_means_one_day_at_a_time() {
    let (engine, _temp) = engine();
    let mut wrong = Vec::new();
    for (text, reason) in ALONE {
        match engine.infer(&sql(text), &deps(), true, &["id".to_string()]) {
            Ok(Inferred { grouping: Grouping::OneDay { why }, .. }) if why.contains(reason) => {}
            other => wrong.push(format!("{text}\n  {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

type Row = (String, &'static str, &'static str, i64);

/// Rows that differ from day to day, with days without any.
fn rows(n: i32) -> Vec<(Day, Vec<Row>)> {
    const BRANDS: [&str; 3] = ["cvs", "pillpack", "amazon_pharmacy"];
    const ISSUES: [&str; 4] = ["x", "LATE", "PRICE", "OTHER"];
    let mut state = 7u64;
    let mut next = move |m: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % m
    };
    (0..n)
        .map(|d| {
            let count = if d % 5 == 3 { 0 } else { 3 + next(6) };
            let rows = (0..count)
                .map(|i| {
                    let brand = BRANDS[next(3) as usize];
                    let issue = ISSUES[next(4) as usize];
                    (format!("id-{d}-{i}"), brand, issue, next(9) as i64)
                })
                .collect();
            (day(d), rows)
        })
        .collect()
}

fn inputs(days: impl Fn(Day) -> bool, window: impl Fn(Day) -> bool) -> Vec<Input> {
    let (posts, facts) = (schema(&POSTS), schema(&FACTS));
    let (mut post_batches, mut fact_batches) = (Vec::new(), Vec::new());
    for (day, rows) in rows(14) {
        let text = |f: for<'a> fn(&'a Row) -> &'a str| texts(rows.iter().map(f));
        let n = || ints(rows.iter().map(|r| r.3));
        if days(day) {
            let columns = vec![text(|r| &r.0), text(|r| r.1), text(|r| r.2), n()];
            post_batches.push((Some(day), batch(&posts, columns)));
        }
        // One row a brand and issue.
        let mut seen = std::collections::BTreeMap::new();
        rows.iter().for_each(|r| *seen.entry((r.1, r.2)).or_insert(0) += r.3);
        if window(day) {
            let columns = vec![
                texts(seen.keys().map(|k| k.0)),
                texts(seen.keys().map(|k| k.1)),
                ints(seen.values().copied()),
            ];
            fact_batches.push((Some(day), batch(&facts, columns)));
        }
    }
    let whole = |name: &str, column: &str, values: Vec<String>| {
        let schema = schema(&[(column, DataType::Utf8)]);
        let rows = batch(&schema, vec![texts(values.iter().map(String::as_str))]);
        Input {
            name: name.parse().unwrap(),
            daily: false,
            data: TableData::Memory { schema, batches: vec![(None, rows)] },
        }
    };
    let daily = |name: &str, schema: SchemaRef, batches| Input {
        name: name.parse::<AssetKey>().unwrap(),
        daily: true,
        data: TableData::Memory { schema, batches },
    };
    vec![
        daily("posts", posts, post_batches),
        daily("facts", facts, fact_batches),
        whole("types", "issue", vec!["x".into(), "LATE".into(), "none".into()]),
        whole("calendar", "d", (0..14).map(|d| day(d).to_string()).collect()),
    ]
}

#[test]
fn proven_queries_give_the_same_rows_together_and_alone() {
    let (engine, _temp) = engine();
    let temp = tempfile::tempdir().unwrap();
    let threads = Engine::new(EngineOptions { threads: 4, batch_size: 3, ..options(temp.path()) }).unwrap();
    // The first days have no window before them, as at a project's start.
    let (first, last) = (day(2), day(9));
    let mut total = 0;
    for (text, key) in TOGETHER {
        let key: Vec<String> = key.iter().map(|k| k.to_string()).collect();
        let inferred = engine.infer(&sql(text), &deps(), true, &key).unwrap();
        let job = |days: Vec<Day>| {
            let (a, z) = (days[0], days[days.len() - 1]);
            SqlJob {
                sql: Arc::new(sql(text)),
                inputs: inputs(
                    move |d| (a..=z).contains(&d),
                    move |d| (a.plus(-7).max(first)..=z).contains(&d),
                ),
                days: Some(days),
                row_key: key.clone(),
                schema: inferred.schema.clone(),
                keep_dropped: false,
            }
        };
        let days: Vec<Day> = (first.0..=last.0).map(Day).collect();
        let (together, _) = collect(&engine, &job(days.clone())).unwrap();
        let (parallel, _) = collect(&threads, &job(days.clone())).unwrap();
        let mut alone = Vec::new();
        for d in days {
            alone.extend(collect(&engine, &job(vec![d])).unwrap().0);
        }
        assert_eq!(together, alone, "{text}");
        assert_eq!(together, parallel, "{text}");
        total += together.iter().map(|(_, b)| b.num_rows()).sum::<usize>();
    }
    assert!(total > 500, "the rows are too few to show anything: {total}");
}
