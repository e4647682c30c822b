//! What is wrong with an asset's SQL, and where.

use datafusion::arrow::datatypes::TimeUnit;

use super::*;
use crate::diagnostic::{Problem, Severity, TextProblem};

fn deps() -> Vec<DepSchema> {
    vec![
        DepSchema {
            name: "silver_posts".parse().unwrap(),
            schema: schema(&[
                ("post_id", DataType::Utf8),
                ("brand", DataType::Utf8),
                ("score", DataType::Int64),
                ("rating", DataType::Float64),
                ("created_at", DataType::Timestamp(TimeUnit::Millisecond, None)),
            ]),
            daily: true,
            days_before: 0,
        },
        DepSchema {
            name: "issue_types".parse().unwrap(),
            schema: schema(&[("issue_type", DataType::Utf8), ("title", DataType::Utf8)]),
            daily: false,
            days_before: 0,
        },
    ]
}

fn show(text: &str, problems: Vec<TextProblem>) -> String {
    let file = Arc::new(sql(text));
    problems
        .into_iter()
        .map(|p| {
            let Problem { text: p, .. } = p.clone().within(&file);
            let at = Problem { file: Some(file.clone()), text: p.clone() }
                .position()
                .map_or("-".to_string(), |(l, c)| format!("{l}:{c}"));
            let what = p.span.clone().and_then(|s| text.get(s)).unwrap_or("");
            let help = p.help.map(|h| format!(" ({h})")).unwrap_or_default();
            let kind = if p.severity == Severity::Error { "error" } else { "warning" };
            format!("{at} [{what}] {kind}: {}{help}", p.message)
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn errors(text: &str) -> String {
    let (engine, _temp) = engine();
    match engine.infer(&sql(text), &deps(), true, &["post_id".to_string()]) {
        Ok(inferred) => format!("fine; {}", show(text, inferred.warnings)),
        Err(problems) => show(text, problems),
    }
}

#[test]
fn wrong_names_have_places_and_advice() {
    let cases = [
        "SELECT dt, post_id,\n  braand FROM silver_posts",
        "SELECT dt, post_id, p.scoer FROM silver_posts p",
        "SELECT dt, post_id, cuont(*) AS n FROM silver_posts GROUP BY 1, 2",
        "SELECT dt, post_id, rx_nrom(brand) AS b FROM silver_posts",
        "SELECT dt, post_id FROM silver_post",
        "SELECT dt, a.post_id, score FROM silver_posts a JOIN silver_posts b USING (dt)",
        "SELECT dt, post_id, score + FROM silver_posts",
        "SELECT dt, post_id, (score FROM silver_posts",
        "DELETE FROM silver_posts",
        "SELECT 1; SELECT 2",
        "   ",
        "SELECT dt, post_id, 'ü' AS ü, braand FROM silver_posts",
    ];
    let shown: Vec<String> = cases.iter().map(|c| errors(c)).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn results_that_cannot_be_stored_say_what_to_do() {
    let cases = [
        "SELECT post_id, brand FROM silver_posts",
        "SELECT dt, brand FROM silver_posts",
        "SELECT dt, post_id, NULL AS nothing FROM silver_posts",
        "SELECT dt, post_id, created_at - created_at AS gap FROM silver_posts",
        "SELECT dt, post_id, count(*) FROM silver_posts GROUP BY 1, 2",
        "SELECT rx_date(dt) AS dt, post_id FROM silver_posts",
        "SELECT a.dt, b.dt, a.post_id FROM silver_posts a JOIN silver_posts b ON a.dt = b.dt",
        "SELECT dt, post_id, score AS rx_drop FROM silver_posts",
        "SELECT dt, post_id, now() AS seen_at FROM silver_posts",
        "SELECT dt, post_id, rx_norm(score) AS s FROM silver_posts",
        "SELECT dt, post_id, rx_issue_type(brand, brand) AS s FROM silver_posts",
        "SELECT dt, max(post_id) AS post_id, array_agg(brand) AS brands FROM silver_posts GROUP BY dt",
        "SELECT dt, post_id, brand + created_at AS s FROM silver_posts",
        "SELECT dt, post_id, abs(brand, 1) AS s FROM silver_posts",
    ];
    let shown: Vec<String> = cases.iter().map(|c| errors(c)).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn float_sums_are_warned_of() {
    insta::assert_snapshot!(errors(
        "SELECT dt, max(post_id) AS post_id, sum(score) AS s,\n  avg(rating) AS r FROM silver_posts GROUP BY dt"
    ), @"fine; 2:7 [rating] warning: avg over floating-point numbers depends on the order of rows (sum integers and divide at the end)");
}

#[test]
fn the_schema_is_the_stored_one() {
    let (engine, _temp) = engine();
    let text = "SELECT dt, post_id, row_number() OVER (PARTITION BY dt ORDER BY post_id) AS rank,
        to_timestamp(score) AS at, rx_also_brands(brand, '', '') AS also, brand = 'x' AS is_x,
        CASE WHEN brand IS NULL THEN 'off_brand' END AS rx_drop, rating
        FROM silver_posts";
    let inferred = engine.infer(&sql(text), &deps(), true, &["post_id".to_string()]).unwrap();
    let shown: Vec<String> =
        inferred.schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
    insta::assert_snapshot!(shown.join(", "), @"post_id Utf8, rank Int64, at Timestamp(ms), also List(Utf8), is_x Boolean, rating Float64");
    assert_eq!(inferred.grouping, Grouping::Together);

    // A table without days keeps its own columns and needs no dt.
    let whole = engine
        .infer(&sql("SELECT issue_type, title FROM issue_types"), &deps(), false, &["issue_type".to_string()])
        .unwrap();
    assert_eq!(whole.schema.fields().len(), 2);
}

#[test]
fn a_key_that_is_not_there_is_an_error() {
    let (engine, _temp) = engine();
    let text = "SELECT dt, post_id FROM silver_posts";
    let problems = engine.infer(&sql(text), &deps(), true, &["postid".to_string()]).unwrap_err();
    insta::assert_snapshot!(show(text, problems), @"1:1 [] error: the key's column `postid` is not in the result (did you mean `post_id`?)");
}

#[test]
fn deep_nesting_is_an_error_not_a_crash() {
    let text =
        format!("SELECT dt, post_id, {}1{} AS n FROM silver_posts", "(".repeat(10_000), ")".repeat(10_000));
    let shown = errors(&text);
    assert!(shown.contains("nested too deeply"), "{}", &shown[..200.min(shown.len())]);
}
