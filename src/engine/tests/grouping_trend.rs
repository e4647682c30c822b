//! The shipped trend: made for many days by one query, as proven, it is what each day alone
//! gives, and what a plain computation gives.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::array::{Array, AsArray, BooleanArray};
use datafusion::arrow::datatypes::{Float64Type, Int64Type};
use datafusion::parquet::arrow::ArrowWriter;

use super::*;

const TREND: &str = include_str!("../../../assets/issue_trend_daily.sql");
const DAYS: i32 = 24;
/// (issue type, customer voice).
const TYPES: [(&str, bool); 4] =
    [("DELIVERY_DELAY", true), ("GENERAL_FEEDBACK", true), ("NOT_CUSTOMER_VOICE", false), ("PRICING", true)];

fn facts_schema() -> SchemaRef {
    let text = DataType::Utf8;
    schema(&[
        ("brand", text.clone()),
        ("platform", text.clone()),
        ("issue_type", text),
        ("mentions", DataType::Int64),
    ])
}

fn coverage_schema() -> SchemaRef {
    schema(&[("source", DataType::Utf8), ("day_covered", DataType::Boolean)])
}

fn types_schema() -> SchemaRef {
    schema(&[("issue_type", DataType::Utf8), ("customer_voice", DataType::Boolean)])
}

/// What one day holds.
#[derive(Default)]
struct Seen {
    facts: BTreeMap<(&'static str, &'static str, &'static str), i64>,
    /// How many sources say of the day that it is covered or not.
    sources: usize,
    covered: bool,
}

/// Days with gaps: nothing said of some, not covered or empty others, a brand that comes and
/// goes for longer than the window, an issue type that is none any more.
fn history() -> BTreeMap<Day, Seen> {
    let mut state = 11u64;
    let mut next = move |m: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % m
    };
    (0..DAYS)
        .map(|d| {
            let mut seen = Seen { sources: next(9).min(2) as usize, covered: next(4) > 0, ..Seen::default() };
            for brand in ["amazon_pharmacy", "cvs"] {
                let away = brand == "cvs" && (8..18).contains(&d);
                if away || next(5) == 0 {
                    continue;
                }
                for platform in ["app_store", "reddit"] {
                    for issue in TYPES.iter().map(|t| t.0).chain(["GONE"]) {
                        if next(3) > 0 {
                            seen.facts.insert((brand, platform, issue), 1 + next(20) as i64);
                        }
                    }
                }
            }
            (day(d), seen)
        })
        .collect()
}

/// The tables of exactly these days.
fn inputs(history: &BTreeMap<Day, Seen>, days: &BTreeSet<Day>) -> Vec<Input> {
    let daily = |name: &str, schema: SchemaRef, columns: &dyn Fn(&Seen) -> Vec<ArrayRef>| {
        let of = |d: &Day| (Some(*d), batch(&schema, columns(&history[d])));
        let batches = days.iter().filter(|d| history.contains_key(d)).map(of).collect();
        Input { name: name.parse().unwrap(), daily: true, data: TableData::Memory { schema, batches } }
    };
    let types: Vec<ArrayRef> = vec![
        texts(TYPES.iter().map(|t| t.0)),
        Arc::new(BooleanArray::from_iter(TYPES.iter().map(|t| Some(t.1)))),
    ];
    vec![
        daily("fact_issue_daily", facts_schema(), &|seen| {
            vec![
                texts(seen.facts.keys().map(|k| k.0)),
                texts(seen.facts.keys().map(|k| k.1)),
                texts(seen.facts.keys().map(|k| k.2)),
                ints(seen.facts.values().copied()),
            ]
        }),
        daily("source_coverage", coverage_schema(), &|seen| {
            let covered = (0..seen.sources).map(|_| Some(seen.covered));
            vec![texts(["a", "b"].into_iter().take(seen.sources)), Arc::new(BooleanArray::from_iter(covered))]
        }),
        Input {
            name: "issue_types".parse().unwrap(),
            daily: false,
            data: TableData::Memory {
                schema: types_schema(),
                batches: vec![(None, batch(&types_schema(), types))],
            },
        },
    ]
}

fn infer(engine: &Engine, days_before: u32) -> Inferred {
    let dep = |name: &str, schema, daily| DepSchema {
        name: name.parse().unwrap(),
        schema,
        daily,
        days_before: if daily { days_before } else { 0 },
    };
    let deps = [
        dep("fact_issue_daily", facts_schema(), true),
        dep("source_coverage", coverage_schema(), true),
        dep("issue_types", types_schema(), false),
    ];
    engine.infer(&sql(TREND), &deps, true, &["brand".to_string(), "issue_type".to_string()]).unwrap()
}

#[test]
fn the_trend_is_proven_within_its_seven_days() {
    let (engine, _temp) = engine();
    assert_eq!(infer(&engine, 7).grouping, Grouping::Together);
    let Grouping::OneDay { why } = infer(&engine, 6).grouping else { panic!("a window of six is too short") };
    assert!(why.contains("7 days before"), "{why}");
}

#[derive(Debug, PartialEq)]
struct Row {
    brand: String,
    issue: String,
    covered: bool,
    mentions: Option<i64>,
    share: Option<f64>,
    mean: Option<f64>,
    days: i64,
    difference: Option<f64>,
    ratio: Option<f64>,
}

fn expected(history: &BTreeMap<Day, Seen>, day: Day) -> Vec<Row> {
    let today = &history[&day];
    if today.sources == 0 {
        return Vec::new();
    }
    let count = |seen: &Seen, brand: &str, issue: &str| {
        let found: Vec<i64> =
            seen.facts.iter().filter(|(k, _)| k.0 == brand && k.2 == issue).map(|(_, n)| *n).collect();
        (!found.is_empty()).then(|| found.iter().sum::<i64>())
    };
    let window = || history.range(day.plus(-7)..=day).map(|(_, seen)| seen);
    let brands: BTreeSet<&str> = window().flat_map(|s| s.facts.keys().map(|k| k.0)).collect();
    let before: Vec<&Seen> =
        history.range(day.plus(-7)..day).map(|(_, s)| s).filter(|s| s.sources > 0 && s.covered).collect();
    let mut rows = Vec::new();
    for brand in brands {
        let voice: i64 = TYPES.iter().filter(|t| t.1).filter_map(|t| count(today, brand, t.0)).sum();
        for (issue, customer) in TYPES {
            let found = count(today, brand, issue);
            let mentions = if today.covered { Some(found.unwrap_or(0)) } else { found };
            let n = before.len();
            let mean = (n >= 4)
                .then(|| before.iter().filter_map(|s| count(s, brand, issue)).sum::<i64>() as f64 / n as f64);
            let both = mentions.zip(mean).filter(|_| today.covered);
            rows.push(Row {
                brand: brand.to_string(),
                issue: issue.to_string(),
                covered: today.covered,
                mentions,
                share: mentions.filter(|_| customer && voice > 0).map(|m| m as f64 / voice as f64),
                mean,
                days: n as i64,
                difference: both.map(|(m, mean)| m as f64 - mean),
                ratio: both.filter(|(_, mean)| *mean >= 1.0).map(|(m, mean)| m as f64 / mean),
            });
        }
    }
    rows
}

fn rows(batch: &RecordBatch) -> Vec<Row> {
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let text = |name: &str, i: usize| column(name).as_string::<i32>().value(i).to_string();
    let int = |name: &str, i: usize| {
        let values = column(name).as_primitive::<Int64Type>();
        values.is_valid(i).then(|| values.value(i))
    };
    let float = |name: &str, i: usize| {
        let values = column(name).as_primitive::<Float64Type>();
        values.is_valid(i).then(|| values.value(i))
    };
    (0..batch.num_rows())
        .map(|i| Row {
            brand: text("brand", i),
            issue: text("issue_type", i),
            covered: column("day_covered").as_boolean().value(i),
            mentions: int("mentions", i),
            share: float("share_of_day", i),
            mean: float("baseline_mean", i),
            days: int("baseline_days", i).unwrap(),
            difference: float("vs_baseline", i),
            ratio: float("vs_baseline_ratio", i),
        })
        .collect()
}

fn file(batch: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn the_trend_has_the_same_bytes_together_and_day_by_day() {
    let (engine, _temp) = engine();
    let temp = tempfile::tempdir().unwrap();
    let threads = Engine::new(EngineOptions { threads: 4, batch_size: 7, ..options(temp.path()) }).unwrap();
    let inferred = infer(&engine, 7);
    let history = history();
    let run = |engine: &Engine, days: Vec<Day>| -> BTreeMap<Day, RecordBatch> {
        let windows = days.iter().flat_map(|d| (-7..=0).map(|n| d.plus(n))).collect();
        let job = SqlJob {
            sql: Arc::new(sql(TREND)),
            inputs: inputs(&history, &windows),
            days: Some(days),
            row_key: vec!["brand".to_string(), "issue_type".to_string()],
            schema: inferred.schema.clone(),
            keep_dropped: false,
        };
        let (made, stats) = collect(engine, &job).unwrap();
        assert!(stats.duplicate_keys.is_empty(), "{:?}", stats.duplicate_keys);
        made.into_iter().map(|(day, batch)| (day.unwrap(), batch)).collect()
    };
    let bytes = |made: BTreeMap<Day, RecordBatch>| -> BTreeMap<Day, Vec<u8>> {
        made.iter().map(|(day, batch)| (*day, file(batch))).collect()
    };
    let days: Vec<Day> = history.keys().copied().collect();
    let alone: BTreeMap<Day, RecordBatch> = days.iter().flat_map(|d| run(&engine, vec![*d])).collect();
    for day in &days {
        let made = alone.get(day).map(rows).unwrap_or_default();
        assert_eq!(made, expected(&history, *day), "{day}");
    }
    let total: usize = alone.values().map(RecordBatch::num_rows).sum();
    assert!(total > 100, "the rows are too few to show anything: {total}");
    let alone = bytes(alone);
    assert_eq!(bytes(run(&engine, days.clone())), alone, "all days");
    assert_eq!(bytes(run(&threads, days.clone())), alone, "all days, four threads");
    let groups = days.chunks(5).flat_map(|group| run(&engine, group.to_vec())).collect();
    assert_eq!(bytes(groups), alone, "groups of five");
    // Days with holes between them: the windows of some are not there.
    let apart: Vec<Day> = days.iter().copied().step_by(9).collect();
    let some = alone.iter().filter(|(d, _)| apart.contains(d)).map(|(d, b)| (*d, b.clone())).collect();
    assert_eq!(bytes(run(&engine, apart)), some, "days apart");
}
