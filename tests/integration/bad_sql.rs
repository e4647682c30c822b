//! SQL that cannot be meant: refused before anything runs, with the place in the file.

use crate::project::Project;

/// What `validate` says about a body of `fact_issue_daily`, and that a run says the same.
#[track_caller]
fn refused(sql: &str) -> String {
    let mut project = Project::sample("2026-08-01", "2026-08-01", 1).without(&["issue_trend_daily"]);
    project.set("assets.fact_issue_daily.key", vec!["brand"]);
    project.set("assets.fact_issue_daily.checks", toml::Value::Array(Vec::new()));
    project.set("assets.fact_issue_daily.columns", toml::Table::new());
    project.save();
    std::fs::write(project.path("assets/fact_issue_daily.sql"), sql).unwrap();
    let said = project.run(&["validate"]).expect(2).stderr;
    assert!(said.contains("assets/fact_issue_daily.sql:"), "{said}");
    assert!(!project.path("state").exists(), "validate makes nothing");
    let problems = project.run(&["validate", "--format", "json"]).expect(2).json();
    let first = problems["problems"].as_array().unwrap().iter().find(|p| p["severity"] == "error");
    let first = first.unwrap_or_else(|| panic!("{problems}"));
    assert_eq!(first["file"], "assets/fact_issue_daily.sql", "{problems}");
    let place = format!("assets/fact_issue_daily.sql:{}:{}", first["line"], first["column"]);
    assert!(said.contains(&place), "{place} in {said}");
    said
}

#[test]
fn a_run_with_broken_sql_starts_nothing() {
    let project = Project::sample("2026-08-01", "2026-08-01", 1);
    project.replace("assets/fact_issue_daily.sql", "count(*) AS mentions", "count(*) AS mentionz");
    let said = project.run(&["materialize", "--all"]).expect(2).stderr;
    assert!(said.contains("assets/issue_trend_daily.sql:") && said.contains("mentions"), "{said}");
    assert!(!project.path("state/lake/_manifests").exists(), "nothing was made");
}

#[test]
fn nothing() {
    // Nothing at all.
    let said = refused(
        r"-- only a comment
",
    );
    assert!(said.contains("there is no statement"), "{said}");
}

#[test]
fn unfinished() {
    // An unfinished expression.
    insta::assert_snapshot!(refused(r"SELECT dt, brand, count( AS mentions
FROM silver_posts
GROUP BY dt, brand
"), @r"
      × this `(` is never closed
       ╭─[assets/fact_issue_daily.sql:1:24]
     1 │ SELECT dt, brand, count( AS mentions
       ·                        ─
     2 │ FROM silver_posts
       ╰────
      help: close it with `)`

    1 error
    ");
}

#[test]
fn misspelled_column() {
    // A column that does not exist.
    insta::assert_snapshot!(refused(r"SELECT
    dt,
    brand,
    isue_type,
    count(*) AS mentions
FROM silver_posts
GROUP BY dt, brand, isue_type
"), @r"
      × there is no column `isue_type`
       ╭─[assets/fact_issue_daily.sql:4:5]
     3 │     brand,
     4 │     isue_type,
       ·     ─────────
     5 │     count(*) AS mentions
       ╰────
      help: did you mean `issue_type`?

    1 error
    ");
}

#[test]
fn undeclared_table() {
    // A table that is not declared.
    insta::assert_snapshot!(refused(r"SELECT s.dt, s.brand, count(*) AS mentions
FROM silver_posts s
JOIN raw_posts r ON r.native_id = s.native_id
GROUP BY s.dt, s.brand
"), @r"
      × `raw_posts` is not a declared dependency
       ╭─[assets/fact_issue_daily.sql:3:6]
     2 │ FROM silver_posts s
     3 │ JOIN raw_posts r ON r.native_id = s.native_id
       ·      ────┬────
       ·          ╰── not in `deps`
     4 │ GROUP BY s.dt, s.brand
       ╰────
      help: if it is an asset, add `raw_posts` to `deps` of this asset

    1 error
    ");
}

#[test]
fn misspelled_table() {
    // A misspelled table.
    insta::assert_snapshot!(refused(r"SELECT dt, brand, count(*) AS mentions FROM silver_post GROUP BY dt, brand
"), @r"
      ⚠ `silver_posts` is in `deps`, but the query never reads it
       ╭─[assets/fact_issue_daily.sql:1:1]
     1 │ SELECT dt, brand, count(*) AS mentions FROM silver_post GROUP BY dt, brand
       · ▲
       ╰────
      help: remove it from `deps`: as it is, new data there makes this asset stale

      × `silver_post` is not a declared dependency
       ╭─[assets/fact_issue_daily.sql:1:45]
     1 │ SELECT dt, brand, count(*) AS mentions FROM silver_post GROUP BY dt, brand
       ·                                             ─────┬─────
       ·                                                  ╰── not in `deps`
       ╰────
      help: did you mean `silver_posts`?

    1 error, 1 warning
    ");
}

#[test]
fn two_statements() {
    // Two statements.
    insta::assert_snapshot!(refused(r"SELECT dt, brand FROM silver_posts;
SELECT 1
"), @r"
      × only one statement is allowed
       ╭─[assets/fact_issue_daily.sql:2:1]
     1 │ SELECT dt, brand FROM silver_posts;
     2 │ SELECT 1
       · ───┬──
       ·    ╰── a second statement starts here
       ╰────
      help: put it into a file of its own, or make it a part of the first: WITH name AS (SELECT …)

    1 error
    ");
}

#[test]
fn no_select() {
    // Something else than a SELECT.
    insta::assert_snapshot!(refused(r"DELETE FROM silver_posts
"), @r"
      × only a SELECT statement is allowed, this is `DELETE`
       ╭─[assets/fact_issue_daily.sql:1:1]
     1 │ DELETE FROM silver_posts
       · ──────
       ╰────
      help: write the query alone: it only reads, and what becomes of its rows is not its business

    1 error
    ");
}

#[test]
fn no_dt() {
    // A result without dt.
    let said = refused(
        r"SELECT brand, count(*) AS mentions
FROM silver_posts
GROUP BY brand
",
    );
    assert!(said.contains("the result has no column `dt`"), "{said}");
}

#[test]
fn no_key() {
    // A result without a column of its key.
    let said = refused(
        r"SELECT dt, count(*) AS mentions
FROM silver_posts
GROUP BY dt
",
    );
    assert!(said.contains("the key's column `brand` is not in the result"), "{said}");
}

#[test]
fn volatile() {
    // A clock in a table.
    insta::assert_snapshot!(refused(r"SELECT dt, brand, count(*) AS mentions, max(now()) AS made_at
FROM silver_posts
GROUP BY dt, brand
"), @r"
      × `now` answers differently every time
       ╭─[assets/fact_issue_daily.sql:1:45]
     1 │ SELECT dt, brand, count(*) AS mentions, max(now()) AS made_at
       ·                                             ─┬─
       ·                                              ╰── not repeatable
     2 │ FROM silver_posts
       ╰────
      help: use the row's own day `dt`, or a timestamp of the post

    1 error
    ");
}

#[test]
fn unordered_window() {
    // A window without a total order.
    insta::assert_snapshot!(refused(r"SELECT dt, brand, row_number() OVER (PARTITION BY dt) AS mentions
FROM silver_posts
"), @r"
      × `row_number` needs an ORDER BY in its window
       ╭─[assets/fact_issue_daily.sql:1:19]
     1 │ SELECT dt, brand, row_number() OVER (PARTITION BY dt) AS mentions
       ·                   ─────┬────
       ·                        ╰── in which order?
     2 │ FROM silver_posts
       ╰────
      help: order by columns that no two rows share, for example … ORDER BY score DESC, post_id

    1 error
    ");
}

#[test]
fn unknown_function() {
    // A function that does not exist.
    insta::assert_snapshot!(refused(r"SELECT dt, brand, rx_isue_type(text) AS kind, 1 AS mentions
FROM silver_posts
"), @r"
      × there is no function `rx_isue_type`
       ╭─[assets/fact_issue_daily.sql:1:19]
     1 │ SELECT dt, brand, rx_isue_type(text) AS kind, 1 AS mentions
       ·                   ────────────
     2 │ FROM silver_posts
       ╰────
      help: did you mean `rx_issue_type`?

    1 error
    ");
}

#[test]
fn wrong_arguments() {
    // A function with too many arguments.
    insta::assert_snapshot!(refused(r"SELECT dt, brand, rx_norm(text, 1) AS t, 1 AS mentions
FROM silver_posts
"), @r"
      × `rx_norm` takes 1 argument, 2 given
       ╭─[assets/fact_issue_daily.sql:1:19]
     1 │ SELECT dt, brand, rx_norm(text, 1) AS t, 1 AS mentions
       ·                   ───────
     2 │ FROM silver_posts
       ╰────
      help: rx_norm(text): lower case, plain apostrophes, single spaces; what phrases are matched on

    1 error
    ");
}

#[test]
fn wrong_types() {
    // Types that do not go together.
    insta::assert_snapshot!(refused(r"SELECT dt, brand, sum(title) AS mentions
FROM silver_posts
GROUP BY dt, brand
"), @r"
      × `sum` does not take a text
       ╭─[assets/fact_issue_daily.sql:1:19]
     1 │ SELECT dt, brand, sum(title) AS mentions
       ·                   ───
     2 │ FROM silver_posts
       ╰────
      help: it takes a number, a duration; convert with CAST(… AS …) where that makes sense

    1 error
    ");
}

#[test]
fn not_grouped() {
    // A column that is not grouped.
    insta::assert_snapshot!(refused(r"SELECT dt, brand, issue_type, count(*) AS mentions
FROM silver_posts
GROUP BY dt, brand
"), @r"
      × 'silver_posts.issue_type' must appear in GROUP BY clause because it's not an aggregate
      │ expression
       ╭─[assets/fact_issue_daily.sql:1:19]
     1 │ SELECT dt, brand, issue_type, count(*) AS mentions
       ·                   ──────────
     2 │ FROM silver_posts
       ╰────
      help: Either add 'silver_posts.issue_type' to GROUP BY clause, or use an aggregate function like
            ANY_VALUE(silver_posts.issue_type)

    1 error
    ");
}

#[test]
fn same_name_twice() {
    // One name for two columns.
    insta::assert_snapshot!(refused(r"SELECT dt, brand, score AS mentions, num_comments AS mentions
FROM silver_posts
"), @r#"
      × projections require unique expression names but the expression "silver_posts.score AS
      │ mentions" at position 2 and "silver_posts.num_comments AS mentions" at position 3 have the
      │ same name. Consider aliasing ("AS") one of them
       ╭─[assets/fact_issue_daily.sql:1:19]
     1 │ SELECT dt, brand, score AS mentions, num_comments AS mentions
       ·                   ─────
     2 │ FROM silver_posts
       ╰────

    1 error
    "#);
}

#[test]
fn open_string() {
    // A string that does not end.
    insta::assert_snapshot!(refused(r"SELECT dt, brand, 'open AS mentions
FROM silver_posts
"), @r"
      × unterminated string literal
       ╭─[assets/fact_issue_daily.sql:1:19]
     1 │ SELECT dt, brand, 'open AS mentions
       ·                   ─────────────────
     2 │ FROM silver_posts
       ╰────
      help: close it with `'`; a quote inside a text is written twice: 'don''t'

    1 error
    ");
}

#[test]
fn unicode() {
    // A wrong column after other letters.
    insta::assert_snapshot!(refused(r"SELECT dt, brand, 'déjà vu 😀' AS größe, mentionz
FROM silver_posts
"), @r"
      × there is no column `mentionz`
       ╭─[assets/fact_issue_daily.sql:1:41]
     1 │ SELECT dt, brand, 'déjà vu 😀' AS größe, mentionz
       ·                                          ────────
     2 │ FROM silver_posts
       ╰────
      help: there are: post_id, platform, native_id, source, post_type, channel, brand, also_brands,
            created_at, title, body, text, …

    1 error
    ");
}

/// What `validate` says about a check of `fact_issue_daily` written in SQL.
#[track_caller]
fn check_refused(key: &str, sql: &str) -> String {
    let mut project = Project::sample("2026-08-01", "2026-08-01", 1);
    let check = toml::toml! { type = "custom" name = "mine" };
    let mut check = toml::Table::try_from(check).unwrap();
    check.insert(key.into(), sql.into());
    project.set("assets.fact_issue_daily.checks", toml::Value::Array(vec![check.into()]));
    project.save();
    let said = project.run(&["validate"]).expect(2).stderr;
    assert!(said.contains("pipelines.toml:"), "{said}");
    assert!(!project.path("state").exists(), "validate makes nothing");
    said
}

#[test]
fn checks_are_planned_before_anything_runs() {
    let said = check_refused("violates", "mentionz < 1");
    assert!(said.contains("there is no column `mentionz`") && said.contains("mentions"), "{said}");
    // The words themselves are shown, not the whole line.
    let marked = said.lines().find(|l| l.contains('─') && l.contains('·')).unwrap_or_default();
    assert_eq!(marked.matches('─').count(), "mentionz".len(), "{said}");
    let said = check_refused("sql", "SELECT * FROM silver_posts");
    assert!(said.contains("silver_posts"), "{said}");
    let said = check_refused("violates", "mentions <");
    assert!(said.contains("1 error"), "{said}");
}
