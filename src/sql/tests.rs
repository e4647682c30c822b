//! Tables of queries with what is found in them.

use proptest::prelude::*;

use super::*;
use crate::diagnostic::{Severity, TextProblem};

fn show(text: &str, problems: &[TextProblem]) -> String {
    let lines: Vec<_> = problems
        .iter()
        .map(|p| {
            let mark = if p.severity == Severity::Error { "error" } else { "warning" };
            let place = p.span.clone().map_or("-".to_string(), |s| format!("{s:?} `{}`", &text[s.clone()]));
            let help = p.help.as_deref().map_or(String::new(), |h| format!(" | {h}"));
            format!("{mark} {place}: {}{help}", p.message)
        })
        .collect();
    lines.join("\n")
}

fn refused(text: &str) -> String {
    show(text, &parse(text).expect_err(text))
}

fn tables(text: &str) -> String {
    let query = parse(text).unwrap_or_else(|e| panic!("{text}: {}", show(text, &e)));
    let shown: Vec<_> = query
        .tables()
        .into_iter()
        .map(|t| {
            let said = &text[t.span.clone()];
            if said == t.name { t.name } else { format!("{} as `{said}`", t.name) }
        })
        .collect();
    shown.join(", ")
}

fn lint(text: &str) -> String {
    show(text, &parse(text).unwrap_or_else(|e| panic!("{text}: {}", show(text, &e))).lint())
}

fn portable(text: &str) -> String {
    show(text, &parse(text).unwrap_or_else(|e| panic!("{text}: {}", show(text, &e))).portable())
}

#[test]
fn tables_are_found_wherever_they_are_named() {
    let cases = [
        ("select 1", ""),
        ("select a from t;", "t"),
        ("SELECT a FROM Silver_Posts", "silver_posts as `Silver_Posts`"),
        (r#"select a from "Silver_Posts""#, r#"Silver_Posts as `"Silver_Posts"`"#),
        ("select a from db.t x join `u` on true", "db.t, u as ``u``"),
        ("select a from t, t, u", "t, t, u"),
        ("select a from t left join u using (a) cross join v", "t, u, v"),
        ("select a from (t join u on t.a = u.a)", "t, u"),
        ("select a from (select * from (select b from t) x) y", "t"),
        ("select (select max(a) from u) from t where a in (select a from v)", "u, t, v"),
        ("select 1 from t where exists (select 1 from u where u.a = t.a)", "t, u"),
        ("select a from t union all select a from u except select a from v", "t, u, v"),
        ("(select a from t) union (select a from u) order by 1", "t, u"),
        ("select a from t order by (select max(a) from u) limit (select 1 from v)", "t, u, v"),
        ("values (1), ((select max(a) from t))", "t"),
        ("select a from generate_series(1, 3) g(a), unnest([1]) u(b)", ""),
        ("select a from t, lateral (select b from u where u.a = t.a) l", "t, u"),
        ("select case when exists (select 1 from u) then 1 end from t group by (select 1 from v)", "u, t, v"),
        (
            "select sum(a) filter (where a in (select a from u)) over (partition by (select 1 from v)) from t",
            "u, v, t",
        ),
        ("select 'from x' /* from y */ from t -- from z", "t"),
        ("select 'ünïcödé 😀', \"spalte ü\" from t join u on 'é' = x", "t, u"),
        ("select\r\n  'é\n😀'\r\nfrom\tt", "t"),
        ("from t select a", "t"),
        ("select a from 'x.parquet'", "x.parquet as `'x.parquet'`"),
    ];
    for (text, found) in cases {
        assert_eq!(tables(text), found, "{text}");
    }
}

#[test]
fn names_of_with_are_seen_where_sql_says() {
    let cases = [
        ("with a as (select 1 from t) select * from a", "t"),
        ("WITH A AS (select 1 from t) select * from a, \"a\", \"A\"", "t, A as `\"A\"`"),
        // A name is not seen in its own body, nor before it.
        ("with t as (select * from t) select * from t", "t"),
        ("with a as (select * from b), b as (select * from a) select * from b", "b"),
        // Unless the WITH is recursive.
        ("with recursive t as (select 1 as n union all select n + 1 from t where n < 9) select * from t", ""),
        ("with recursive a as (select * from b), b as (select 1) select * from a", "b"),
        // Inner ones hide outer ones, and end with their query.
        ("with a as (with b as (select 1 from t) select * from b) select * from a, b", "t, b"),
        ("with a as (select 1) select * from (with a as (select * from a) select * from a) x, a", ""),
        ("select * from (with a as (select 1 from t) select * from a) x join a on true", "t, a"),
        (
            "with a as (select 1) select 1 from t where exists (select 1 from a where x in (select 1 from a))",
            "t",
        ),
        ("with a as (select 1) select * from s.a", "s.a"),
        ("with a as (select 1) (select * from a union select * from b)", "b"),
        (
            "with a as (select 1) select * from a union all (with b as (select * from a) select * from b) order by 1",
            "",
        ),
    ];
    for (text, found) in cases {
        assert_eq!(tables(text), found, "{text}");
    }
}

#[test]
fn deep_withs_are_walked_once() {
    // Walking bodies twice would take 2^16 steps a level of tables here, and more.
    let mut text = "select * from t".to_string();
    for level in 0..16 {
        text = format!("with c{level} as ({text}) select * from c{level}");
    }
    match parse(&text) {
        Ok(query) => assert_eq!(query.tables().len(), 1),
        Err(problems) => assert!(problems[0].message.contains("deep"), "{problems:?}"),
    }
}

#[test]
fn what_is_no_select_is_refused_with_its_place() {
    let cases = [
        "",
        "  -- nothing\n /* at all */",
        ";",
        "select 1; select 2",
        "select 1; ; ",
        "select a from t u v",
        "create table x as select 1",
        "INSERT INTO t VALUES (1)",
        "with a as (select 1) insert into t select * from a",
        "with a as (delete from t) select 1",
        "copy t to 'x'",
        "set a = 1",
        "explain select 1",
        "drop table t",
        "table t",
        "select * from (table t) x",
        "select 1 into u from t",
        "slect a from t",
        "42",
        "select from where",
        "select a, from t where",
        "select a from t where a = ",
        "select (a from t",
        "select a) from t",
        "select (a] from t",
        "select [a) from t",
        "select 'a from t\nwhere b = c",
        "select a from t /* open",
        "select case when a then b from t",
        "select (case when a then b) from t",
        "select a /*! , b */ from t",
        "select a /*!*/ from t",
        "select a from t /*!50000 */",
        "\u{feff}select 1",
        "select count(distinct) from t",
        "select 'é' , 😀 é from t where where",
        "select a from t group by",
        "select interval from",
    ];
    let shown: Vec<_> = cases
        .iter()
        .map(|text| match parse(text) {
            Ok(_) => format!("{text:?}\n  fine"),
            Err(problems) => format!("{text:?}\n  {}", show(text, &problems)),
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
""
  error -: there is no statement | write one SELECT statement that makes the rows
"  -- nothing\n /* at all */"
  error -: there is no statement | write one SELECT statement that makes the rows
";"
  error 0..1 `;`: there is no statement before this `;`
"select 1; select 2"
  error 10..16 `select`: only one statement is allowed | put it into a file of its own, or make it a part of the first: WITH name AS (SELECT …)
"select 1; ; "
  fine
"select a from t u v"
  error 18..19 `v`: expected the end of the statement, found `v`
"create table x as select 1"
  error 0..6 `create`: only a SELECT statement is allowed, this is `CREATE` | write the query alone: it only reads, and what becomes of its rows is not its business
"INSERT INTO t VALUES (1)"
  error 0..6 `INSERT`: only a SELECT statement is allowed, this is `INSERT` | write the query alone: it only reads, and what becomes of its rows is not its business
"with a as (select 1) insert into t select * from a"
  error 21..27 `insert`: only a SELECT statement is allowed, a part of this writes | write the query alone: it only reads
"with a as (delete from t) select 1"
  error 11..17 `delete`: only a SELECT statement is allowed, a part of this writes | write the query alone: it only reads
"copy t to 'x'"
  error 0..4 `copy`: only a SELECT statement is allowed, this is `COPY` | write the query alone: it only reads, and what becomes of its rows is not its business
"set a = 1"
  error 0..3 `set`: only a SELECT statement is allowed, this is `SET` | write the query alone: it only reads, and what becomes of its rows is not its business
"explain select 1"
  error 0..7 `explain`: only a SELECT statement is allowed, this is `EXPLAIN` | write the query alone: it only reads, and what becomes of its rows is not its business
"drop table t"
  error 0..4 `drop`: only a SELECT statement is allowed, this is `DROP` | write the query alone: it only reads, and what becomes of its rows is not its business
"table t"
  error 0..5 `table`: `TABLE name` is not a SELECT statement | write SELECT … FROM name
"select * from (table t) x"
  error 21..22 `t`: expected (, found `t`
"select 1 into u from t"
  error 14..15 `u`: SELECT INTO makes a table | remove INTO: what becomes of the rows is not the query's business
"slect a from t"
  error 0..5 `slect`: expected a SELECT statement, found `slect` | did you mean `SELECT`?
"42"
  error 0..2 `42`: expected a SELECT statement, found `42`
"select from where"
  fine
"select a, from t where"
  error 17..22 `where`: expected an expression, but the text ends here
"select a from t where a = "
  error 24..25 `=`: expected an expression, but the text ends here
"select (a from t"
  error 7..8 `(`: this `(` is never closed | close it with `)`
"select a) from t"
  error 8..9 `)`: `)` closes nothing | remove it, or open it before
"select (a] from t"
  error 9..10 `]`: `]` closes nothing: `)` is expected first
"select [a) from t"
  error 9..10 `)`: `)` closes nothing: `]` is expected first
"select 'a from t\nwhere b = c"
  error 7..16 `'a from t`: unterminated string literal | close it with `'`; a quote inside a text is written twice: 'don''t'
"select a from t /* open"
  error 16..18 `/*`: this comment is never closed | close it with `*/`
"select case when a then b from t"
  error 7..11 `case`: this CASE has no END | write CASE WHEN … THEN … ELSE … END
"select (case when a then b) from t"
  error 8..12 `case`: this CASE has no END | write CASE WHEN … THEN … ELSE … END
"select a /*! , b */ from t"
  error 9..19 `/*! , b */`: a comment that starts with `/*!` is run as code by some engines | remove the `!`
"select a /*!*/ from t"
  error 9..14 `/*!*/`: a comment that starts with `/*!` is run as code by some engines | remove the `!`
"select a from t /*!50000 */"
  error 16..27 `/*!50000 */`: a comment that starts with `/*!` is run as code by some engines | remove the `!`
"\u{feff}select 1"
  error 0..3 `﻿`: the text starts with a byte order mark | save the file as UTF-8 without a byte order mark
"select count(distinct) from t"
  error 21..22 `)`: expected an expression, found `)`
"select 'é' , 😀 é from t where where"
  error 14..18 `😀`: expected an expression, found `😀`
"select a from t group by"
  error 22..24 `by`: expected an expression, but the text ends here
"select interval from"
  fine
"#);
}

#[test]
fn the_normal_form_sees_only_what_matters() {
    let base = "select a, 'It''s  -- x' as \"B  b\" from t where a >= 1.50 /* why */ and b";
    let form = parse(base).unwrap().normalized();
    insta::assert_snapshot!(form, @r#"select a , 'It''s  -- x' as "B  b" from t where a >= 1.50 and b"#);
    for same in [
        "SELECT a , 'It''s  -- x' AS \"B  b\"\n\n\tFROM T -- comment\n WHERE A>=1.50 AND /*x*/ B ;",
        "select\ra,'It''s  -- x'as\"B  b\"from t where a>=1.50 and b;;",
    ] {
        assert_eq!(parse(same).unwrap().normalized(), form, "{same}");
    }
    for other in [
        "select a, 'It''s -- x' as \"B  b\" from t where a >= 1.50 and b",
        "select a, 'it''s  -- x' as \"B  b\" from t where a >= 1.50 and b",
        "select a, 'It''s  -- x' as \"b  b\" from t where a >= 1.50 and b",
        "select a, 'It''s  -- x' as \"B  b\" from t where a >= 1.5 and b",
        "select a, 'It''s  -- x' as \"B  b\" from t where a > 1.50 and b",
        "select a, 'It''s  -- x' as \"B  b\" from u where a >= 1.50 and b",
    ] {
        assert_ne!(parse(other).unwrap().normalized(), form, "{other}");
    }
    // The engine folds ASCII only, so É and é are two names.
    assert_ne!(
        parse("select É from t").unwrap().normalized(),
        parse("select é from t").unwrap().normalized()
    );
}

#[test]
fn rx_calls_are_found_and_checked() {
    let text = "select RX_Norm(title), rx_hash(a, b, c) from t where rx_is_customer_voice(rx_issue_type(x)) \
                order by max(rx_epoch_ms(y)) -- rx_brand(z)";
    let calls: Vec<_> = parse(text)
        .unwrap()
        .rx_calls()
        .into_iter()
        .map(|c| (c.name, c.args, text[c.span].to_string()))
        .collect();
    insta::assert_debug_snapshot!(calls, @r#"
[
    (
        "rx_norm",
        1,
        "RX_Norm",
    ),
    (
        "rx_hash",
        3,
        "rx_hash",
    ),
    (
        "rx_is_customer_voice",
        1,
        "rx_is_customer_voice",
    ),
    (
        "rx_issue_type",
        1,
        "rx_issue_type",
    ),
    (
        "rx_epoch_ms",
        1,
        "rx_epoch_ms",
    ),
]
"#);
    insta::assert_snapshot!(lint(
        "select rx_nrom(a), rx_norm(), rx_brand(a), rx_hash(a,b,c,d,e,f,g,h,i), rx_xyzzy(a), \"RX_NORM\"(a), \
         rx_norm(a) over (order by b), rx_days_between(a, b) from t"
    ), @r#"
error 7..14 `rx_nrom`: there is no function `rx_nrom` | did you mean `rx_norm`?
error 19..26 `rx_norm`: `rx_norm` takes 1 argument, none given | rx_norm(text): lower case, plain apostrophes, single spaces; what phrases are matched on
error 30..38 `rx_brand`: `rx_brand` takes 3 arguments, 1 given | rx_brand(text, platform, channel): the first declared brand that matches, or NULL; `text` is rx_norm-ed
error 43..50 `rx_hash`: `rx_hash` takes 1 to 8 arguments, 9 given | rx_hash(text, ...): 32 hexadecimal digits over one to eight texts; NULL differs from ''
error 71..79 `rx_xyzzy`: there is no function `rx_xyzzy` | there are rx_add_days, rx_also_brands, rx_also_matched, rx_brand, rx_date, rx_days_between, rx_engagement, rx_epoch_ms, rx_hash, rx_is_customer_voice, rx_issue_rule, rx_issue_type, rx_ln, rx_norm, rx_regex_replace_all, rx_unescape
error 84..93 `"RX_NORM"`: there is no function `RX_NORM` | there are rx_add_days, rx_also_brands, rx_also_matched, rx_brand, rx_date, rx_days_between, rx_engagement, rx_epoch_ms, rx_hash, rx_is_customer_voice, rx_issue_rule, rx_issue_type, rx_ln, rx_norm, rx_regex_replace_all, rx_unescape
error 98..105 `rx_norm`: `rx_norm` answers for one row; it takes no OVER and no FILTER | rx_norm(text): lower case, plain apostrophes, single spaces; what phrases are matched on
"#);
}

#[test]
fn what_is_not_repeatable_is_an_error() {
    let cases = [
        "select now(), current_date, \"current_date\", CURRENT_TIMESTAMP, random(), uuid() from t",
        "select current_user, unix_timestamp(), unix_timestamp(a), version() from t",
        "select row_number() over (partition by a) from t",
        "select row_number() over (partition by a order by b), rank() over w, lag(a) over v, ntile(2) over (v), \
         lead(a) over (w order by a) from t window w as (partition by a), v as (order by b)",
        "select sum(a) over (partition by b), first_value(a) over (), last_value(a) over (order by b) from t",
        "select sum(a) over (rows between 3 preceding and current row), sum(a) over (order by b rows 3 preceding) from t",
        "select array_agg(a), array_agg(a order by b), first_value(a), first_value(a order by b), string_agg(a, ',') from t",
        "select string_agg(a, ',') within group (order by a), any_value(a), approx_median(a), approx_distinct(a) from t",
        "select array_agg(a) over (partition by b), array_agg(a) over (partition by b order by c) from t",
        "select a from t limit 10",
        "select a from t order by a limit 10",
        "select a from t where b in (select b from u limit 3) and exists (select 1 from u limit 1)",
        "select a from t offset 3",
        "select a from t fetch first 3 rows only",
        "select a from t limit 3, 4",
        "(select a from t limit 1) union all (select a from t order by a limit 1)",
        "select distinct on (a) a, b from t",
        "select distinct on (a) a, b from t order by a, b",
        "select a from t tablesample (10 percent)",
        "select a from read_csv('x.csv') r, range(1, 2) s",
        "select a from t where b = $1 and c = ?",
        "select a from t |> limit 3",
        "select a from t |> order by a |> limit 3",
    ];
    let shown: Vec<_> = cases.iter().map(|text| format!("{text}\n{}", lint(text))).collect();
    insta::assert_snapshot!(shown.join("\n\n"), @r#"
select now(), current_date, "current_date", CURRENT_TIMESTAMP, random(), uuid() from t
error 7..10 `now`: `now` answers differently every time | use the row's own day `dt`, or a timestamp of the post
error 14..26 `current_date`: `current_date` answers differently every time | use the row's own day `dt`, or a timestamp of the post
error 44..61 `CURRENT_TIMESTAMP`: `current_timestamp` answers differently every time | use the row's own day `dt`, or a timestamp of the post
error 63..69 `random`: `random` answers differently every time | use rx_hash(…) over the columns that identify the row
error 73..77 `uuid`: `uuid` answers differently every time | use rx_hash(…) over the columns that identify the row

select current_user, unix_timestamp(), unix_timestamp(a), version() from t
error 7..19 `current_user`: `current_user` answers differently every time | the rows of a table may not depend on who makes them or with what
error 21..35 `unix_timestamp`: `unix_timestamp` answers differently every time | use the row's own day `dt`, or a timestamp of the post
error 58..65 `version`: `version` answers differently every time | the rows of a table may not depend on who makes them or with what

select row_number() over (partition by a) from t
error 7..17 `row_number`: `row_number` needs an ORDER BY in its window | order by columns that no two rows share, for example … ORDER BY score DESC, post_id

select row_number() over (partition by a order by b), rank() over w, lag(a) over v, ntile(2) over (v), lead(a) over (w order by a) from t window w as (partition by a), v as (order by b)
error 54..58 `rank`: `rank` needs an ORDER BY in its window | order by columns that no two rows share, for example … ORDER BY score DESC, post_id

select sum(a) over (partition by b), first_value(a) over (), last_value(a) over (order by b) from t
error 37..48 `first_value`: `first_value` needs an ORDER BY in its window | order by columns that no two rows share, for example … ORDER BY score DESC, post_id

select sum(a) over (rows between 3 preceding and current row), sum(a) over (order by b rows 3 preceding) from t
error 7..10 `sum`: the frame of `sum` counts rows, but its window has no ORDER BY | order by columns that no two rows share

select array_agg(a), array_agg(a order by b), first_value(a), first_value(a order by b), string_agg(a, ',') from t
error 7..16 `array_agg`: `array_agg` needs an ORDER BY inside its parentheses | write array_agg(… ORDER BY …), by columns that no two rows share
error 46..57 `first_value`: `first_value` needs an ORDER BY inside its parentheses | write first_value(… ORDER BY …), by columns that no two rows share
error 89..99 `string_agg`: `string_agg` needs an ORDER BY inside its parentheses | write string_agg(… ORDER BY …), by columns that no two rows share

select string_agg(a, ',') within group (order by a), any_value(a), approx_median(a), approx_distinct(a) from t
error 53..62 `any_value`: `any_value` may answer with any of the rows | use min(…) or max(…)
error 67..80 `approx_median`: the answer of `approx_median` depends on the order in which rows come | use median(…) or percentile_cont(…), which are exact

select array_agg(a) over (partition by b), array_agg(a) over (partition by b order by c) from t
error 7..16 `array_agg`: `array_agg` needs an ORDER BY in its window | order by columns that no two rows share, for example … ORDER BY score DESC, post_id

select a from t limit 10
error 22..24 `10`: LIMIT without ORDER BY takes any rows | order by columns that no two rows share, for example … ORDER BY score DESC, post_id

select a from t order by a limit 10


select a from t where b in (select b from u limit 3) and exists (select 1 from u limit 1)
error 50..51 `3`: LIMIT without ORDER BY takes any rows | order by columns that no two rows share, for example … ORDER BY score DESC, post_id

select a from t offset 3
error 23..24 `3`: OFFSET without ORDER BY takes any rows | order by columns that no two rows share, for example … ORDER BY score DESC, post_id

select a from t fetch first 3 rows only
error 28..29 `3`: FETCH without ORDER BY takes any rows | order by columns that no two rows share, for example … ORDER BY score DESC, post_id

select a from t limit 3, 4
error 25..26 `4`: LIMIT without ORDER BY takes any rows | order by columns that no two rows share, for example … ORDER BY score DESC, post_id

(select a from t limit 1) union all (select a from t order by a limit 1)
error 23..24 `1`: LIMIT without ORDER BY takes any rows | order by columns that no two rows share, for example … ORDER BY score DESC, post_id

select distinct on (a) a, b from t
error 20..21 `a`: DISTINCT ON without ORDER BY takes any rows | order by columns that no two rows share, for example … ORDER BY score DESC, post_id

select distinct on (a) a, b from t order by a, b


select a from t tablesample (10 percent)
error 14..15 `t`: a sample takes other rows every time | choose rows by their content, for example WHERE rx_hash(post_id) < '1'

select a from read_csv('x.csv') r, range(1, 2) s
error 14..22 `read_csv`: `read_csv` is not allowed in FROM | a query reads the assets in its `deps`; generate_series(…) and range(…) make rows

select a from t where b = $1 and c = ?
error 26..28 `$1`: nothing gives `$1` a value | write the value itself
error 37..38 `?`: nothing gives `?` a value | write the value itself

select a from t |> limit 3
error 25..26 `3`: LIMIT without ORDER BY takes any rows | order by columns that no two rows share, for example … ORDER BY score DESC, post_id

select a from t |> order by a |> limit 3
"#);
}

#[test]
fn a_star_over_a_table_is_a_warning() {
    const NONE: [std::ops::Range<usize>; 0] = [];
    let warned =
        |text: &str| parse(text).unwrap().lint().iter().map(|p| p.span.clone().unwrap()).collect::<Vec<_>>();
    assert_eq!(warned("select * from t"), vec![7..8; 1]);
    assert_eq!(warned("select t.*, u.a from t join u on true"), vec![9..10; 1]);
    assert_eq!(warned("select * from (select * from t) x"), vec![22..23; 1]);
    assert_eq!(warned("with c as (select a from t) select c.* from c join t on true"), NONE);
    for fine in [
        "select count(*) from t",
        "select a from t where exists (select * from u)",
        "with c as (select a from t) select * from c",
        "select * from (select a from t) x",
        "select x.* from (select a from t) x join t on true",
    ] {
        assert_eq!(warned(fine), NONE, "{fine}");
    }
}

#[test]
fn what_means_other_things_elsewhere_is_listed() {
    let cases = [
        "select a from t qualify row_number() over (order by b nulls last) = 1",
        "select a, count(*) from t group by all",
        "select * except (a) from t",
        "select string_agg(a, ','), approx_distinct(a), concat(a, b), greatest(a, b), md5(a), soundex(a) from t",
        "select regexp_replace(a, 'x|\\$', '') from t where regexp_like(a, '^[$]5$|x$') and regexp_like(a, '$5', 'i')",
        "select rx_regex_replace_all(a, '$5', '') from t where a like '10\\%'",
        "select a[1], (b)[2], [1, 2], array[1], c['k'] from t",
        "select 1/2, a / b, a / 2.0, cast(a as double) / b, avg(a) / b, (a * 1.0) / b, a / (b) from t",
        "select sum(a) over (order by b) from t order by a",
        "select a from t order by a desc limit 3",
        "select extract(dow from a), extract(year from a), extract(epoch from a) from t",
        "select cast(a as varchar), cast(a as text), cast(a as varchar(9)), a::bigint, try_cast(a as int) from t",
        "select cast(date_trunc('hour', a) as varchar(30)), cast(timestamp '2024-01-01 00:00:00' as varchar(30)) from t",
        "select a -> 'b', a ->> 'c', json_extract(a, '$.b'), a.b.c from t",
        "select `a`, \"b\" from t where a ilike 'x' or a similar to 'x' or a ~ 'x' or a is not distinct from b or a <=> b",
        "select a, unnest(b) from t, unnest(t.c) u(d)",
        "select E'x', $$x$$, X'ff', 'plain', N'x' from t",
        "select a + interval '1 day', a - interval '1' day from t",
        "select distinct on (a) a from t order by a nulls first",
        "select a from t left semi join u on t.a = u.a left anti join v on true",
        "from t select a",
        "with recursive r as (select 1 as n) select n from r",
        "select a & b, a | b, a ^ b, a // b from t limit 3, 4",
        "select a at time zone 'UTC', x /*+ broadcast(t) */ from t |> where a > 1",
        "select min(a order by b), count(distinct a) filter (where b), lag(a) over (order by b nulls first) from t",
    ];
    let shown: Vec<_> = cases.iter().map(|text| format!("{text}\n{}", portable(text))).collect();
    insta::assert_snapshot!(shown.join("\n\n"), @r#"
select a from t qualify row_number() over (order by b nulls last) = 1
warning 24..69 `row_number() over (order by b nulls last) = 1`: QUALIFY is not known on Athena | give the window a name in a subquery and filter by it in WHERE

select a, count(*) from t group by all
warning 0..6 `select`: GROUP BY ALL is not known on Athena | name the columns: GROUP BY 1, 2

select * except (a) from t
warning 7..8 `*`: * EXCEPT is not known on Athena | name the columns

select string_agg(a, ','), approx_distinct(a), concat(a, b), greatest(a, b), md5(a), soundex(a) from t
warning 7..17 `string_agg`: `string_agg` differs between engines | keep one row a value, or take min(…) or max(…)
warning 27..42 `approx_distinct`: `approx_distinct` differs between engines | write count(DISTINCT …)
warning 47..53 `concat`: `concat` differs between engines | write a || b, or concat_ws(' ', a, b): NULLs count differently in concat
warning 61..69 `greatest`: `greatest` differs between engines | write CASE WHEN a > b THEN a ELSE b END: NULLs count differently in greatest
warning 77..80 `md5`: `md5` differs between engines | write rx_hash(…)
warning 85..92 `soundex`: `soundex` is not among the functions known to mean the same everywhere | write it with CASE, coalesce, substr, split_part, position, date_trunc … or an rx_ function

select regexp_replace(a, 'x|\$', '') from t where regexp_like(a, '^[$]5$|x$') and regexp_like(a, '$5', 'i')
warning 7..21 `regexp_replace`: `regexp_replace` differs between engines | write rx_regex_replace_all(text, pattern, replacement): some engines replace only the first match
warning 25..31 `'x|\$'`: a backslash in a text means itself on some engines and is an escape on Spark | write [.] and [$] for the signs, [0-9] for digits
warning 97..101 `'$5'`: a `$` inside a pattern is the end of the text, also where a dollar sign was meant | write [$] for the sign
warning 103..106 `'i'`: flags of regexp_like differ between engines | write the flag into the pattern: '(?i)…'

select rx_regex_replace_all(a, '$5', '') from t where a like '10\%'
warning 31..35 `'$5'`: a `$` inside a pattern is the end of the text, also where a dollar sign was meant | write [$] for the sign
warning 61..67 `'10\%'`: a backslash in a text means itself on some engines and is an escape on Spark | write [.] and [$] for the signs, [0-9] for digits

select a[1], (b)[2], [1, 2], array[1], c['k'] from t
warning 8..9 `[`: lists count from 0 on Spark and from 1 elsewhere | keep one row a value; split_part(s, ',', 1) for texts
warning 16..17 `[`: lists count from 0 on Spark and from 1 elsewhere | keep one row a value; split_part(s, ',', 1) for texts
warning 21..22 `[`: list literals are written differently | write x IN ('a', 'b'), or a VALUES table
warning 34..35 `[`: list literals are written differently | write x IN ('a', 'b'), or a VALUES table
warning 40..41 `[`: lists count from 0 on Spark and from 1 elsewhere | keep one row a value; split_part(s, ',', 1) for texts

select 1/2, a / b, a / 2.0, cast(a as double) / b, avg(a) / b, (a * 1.0) / b, a / (b) from t
warning 8..9 `/`: `/` between integers cuts off on some engines and not on others | cast one side: cast(a as double) / b
warning 14..15 `/`: `/` between integers cuts off on some engines and not on others | cast one side: cast(a as double) / b
warning 80..81 `/`: `/` between integers cuts off on some engines and not on others | cast one side: cast(a as double) / b

select sum(a) over (order by b) from t order by a
warning 29..30 `b`: NULLs are sorted first on some engines and last on others | add NULLS LAST or NULLS FIRST

select a from t order by a desc limit 3
warning 25..26 `a`: NULLs are sorted first on some engines and last on others | add NULLS LAST or NULLS FIRST

select extract(dow from a), extract(year from a), extract(epoch from a) from t
warning 24..25 `a`: extract(dow) differs between engines | count days from a Monday: rx_days_between('2024-01-01', dt) % 7; rx_epoch_ms(x) for seconds
warning 69..70 `a`: extract(epoch) differs between engines | count days from a Monday: rx_days_between('2024-01-01', dt) % 7; rx_epoch_ms(x) for seconds

select cast(a as varchar), cast(a as text), cast(a as varchar(9)), a::bigint, try_cast(a as int) from t
warning 12..13 `a`: the type VARCHAR is not known everywhere | write varchar(n) with a length, for example varchar(4000)
warning 32..33 `a`: the type TEXT is not known everywhere | write varchar(n) with a length, for example varchar(4000)
warning 68..70 `::`: `::` is no cast on Athena | write cast(x as type)

select cast(date_trunc('hour', a) as varchar(30)), cast(timestamp '2024-01-01 00:00:00' as varchar(30)) from t
warning 12..32 `date_trunc('hour', a`: timestamps are written differently as text | use the text `dt`, or rx_epoch_ms(x)
warning 66..87 `'2024-01-01 00:00:00'`: timestamps are written differently as text | use the text `dt`, or rx_epoch_ms(x)

select a -> 'b', a ->> 'c', json_extract(a, '$.b'), a.b.c from t
warning 9..11 `->`: JSON operators differ | take the field out when the post is mapped, as a column of its own
warning 19..22 `->>`: JSON operators differ | take the field out when the post is mapped, as a column of its own
warning 28..40 `json_extract`: JSON functions differ | take the field out when the post is mapped, as a column of its own

select `a`, "b" from t where a ilike 'x' or a similar to 'x' or a ~ 'x' or a is not distinct from b or a <=> b
warning 7..10 ``a``: names in backticks are known to Spark only | write the name plain, or in "…"
warning 31..36 `ilike`: ILIKE is not known on Athena | write lower(x) LIKE 'text'
warning 46..53 `similar`: SIMILAR TO is known to few engines | write regexp_like(s, p)
warning 66..67 `~`: `~` is no pattern match on Spark and Athena | write regexp_like(s, p), with (?i) for any case
warning 105..108 `<=>`: `<=>` is known to Spark only | write a IS NOT DISTINCT FROM b

select a, unnest(b) from t, unnest(t.c) u(d)
warning 10..16 `unnest`: `unnest` differs between engines | keep one row a value in a table of its own
warning 35..38 `t.c`: UNNEST differs between engines | keep one row a value in a table of its own

select E'x', $$x$$, X'ff', 'plain', N'x' from t
warning 7..11 `E'x'`: texts with a prefix are read differently | write a plain text: '…'
warning 13..18 `$$x$$`: texts with a prefix are read differently | write a plain text: '…'
warning 20..25 `X'ff'`: texts with a prefix are read differently | write a plain text: '…'
warning 36..40 `N'x'`: texts with a prefix are read differently | write a plain text: '…'

select a + interval '1 day', a - interval '1' day from t
warning 20..27 `'1 day'`: an interval with its unit inside the text is not known on Athena | write interval '1' day

select distinct on (a) a from t order by a nulls first
warning 20..21 `a`: DISTINCT ON is known to few engines | number the rows: row_number() OVER (PARTITION BY … ORDER BY …), and keep number 1

select a from t left semi join u on t.a = u.a left anti join v on true
warning 31..32 `u`: SEMI JOIN is not known on Athena | write WHERE EXISTS (SELECT …)
warning 61..62 `v`: ANTI JOIN is not known on Athena | write WHERE NOT EXISTS (SELECT …)

from t select a
warning 7..13 `select`: a query that starts with FROM is known to few engines | write SELECT … FROM …

with recursive r as (select 1 as n) select n from r
warning 0..4 `with`: WITH RECURSIVE is limited or unknown on some engines | write out the steps, or join generate_series-like tables of your own

select a & b, a | b, a ^ b, a // b from t limit 3, 4
warning 9..10 `&`: operators on bits differ | do without, or compute it where the post is mapped
warning 16..17 `|`: operators on bits differ | do without, or compute it where the post is mapped
warning 23..24 `^`: operators on bits differ | do without, or compute it where the post is mapped
warning 30..32 `//`: `//` is known to few engines | write floor(a / b) over doubles
warning 51..52 `4`: LIMIT a, b is known to few engines | write LIMIT b OFFSET a

select a at time zone 'UTC', x /*+ broadcast(t) */ from t |> where a > 1
warning 7..8 `a`: AT TIME ZONE differs between engines | use `dt`, the project's day
warning 31..50 `/*+ broadcast(t) */`: a comment that starts with `/*+` is an order to Spark | remove the `+`
warning 58..60 `|>`: `|>` is known to few engines | write the clauses of SELECT

select min(a order by b), count(distinct a) filter (where b), lag(a) over (order by b nulls first) from t
warning 7..10 `min`: ORDER BY inside the parentheses of an aggregate is not known on Spark | number the rows in a subquery and keep number 1
"#);
}

#[test]
fn the_safe_constructs_pass() {
    for text in [
        "select lower(trim(a)), substr(b, 1, 3), concat_ws(' ', a, b), split_part(a, ',', 1), coalesce(a, 'x'), \
         case when a like 'x%' then 1 else 2 end, a || b, position('x' in a) from t",
        "select regexp_like(a, '(?i)^[0-9]+[$]'), cast(a as varchar(20)), date '2024-01-01', \
         timestamp '2024-01-01 00:00:00', date_trunc('day', b), extract(year from b), b - interval '1' day, \
         cast(from_unixtime(c) as timestamp) from t",
        "select a, count(*), count(distinct b), sum(c) filter (where d > 1), cast(sum(c) as double) / count(*) \
         from t group by 1 having count(*) > 1",
        "select a, b, sum(c) from t group by grouping sets ((a), (a, b), ())",
        "select row_number() over (partition by a order by b desc nulls last, c nulls last) as n from t",
        "select rx_brand(rx_norm(a), b, c), rx_regex_replace_all(a, '[0-9]+', '') from t",
        "with a as (select x from t) select x from a where exists (select 1 from u where u.x = a.x) \
         union all select x from u order by x",
    ] {
        assert_eq!(portable(text), "", "{text}");
        assert_eq!(lint(text), "", "{text}");
    }
}

#[test]
fn tables_are_compared_with_the_dependencies() {
    let check = |text: &str, declared: &[&str]| show(text, &parse(text).unwrap().check_tables(declared));
    insta::assert_snapshot!(
        check("select a from silver_post join raw on true join db.silver_posts on true", &["silver_posts", "labels"]),
        @r#"
error 14..25 `silver_post`: `silver_post` is not a declared dependency | did you mean `silver_posts`?
error 31..34 `raw`: `raw` is not a declared dependency | if it is an asset, add `raw` to `deps` of this asset
error 48..63 `db.silver_posts`: `db.silver_posts` is not a declared dependency | did you mean `silver_posts`?
warning -: `silver_posts` is in `deps`, but the query never reads it | remove it from `deps`: as it is, new data there makes this asset stale
warning -: `labels` is in `deps`, but the query never reads it | remove it from `deps`: as it is, new data there makes this asset stale
"#
    );
    insta::assert_snapshot!(
        check("select a from (with inner_part as (select a from t) select a from inner_part) x, iner_part", &["t"]),
        @r#"error 81..90 `iner_part`: `iner_part` is not a declared dependency | did you mean `inner_part`? It is named in a WITH, but cannot be seen here"#
    );
    assert_eq!(check("select a from T join t x on true", &["t"]), "");
}

#[test]
fn deep_and_long_texts_are_refused_not_fallen_over() {
    let nested = |n: usize| format!("select {}1{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&nested(20)).is_ok());
    insta::assert_snapshot!(refused(&nested(10_000)).split(" |").next().unwrap_or_default(), @r#"error 70..71 `(`: nested deeper than 64 levels"#);
    assert!(refused(&nested(10_000)).len() < 300);
    // Between the parser's limit and ours.
    for n in 30..64 {
        let text = nested(n);
        if let Err(problems) = parse(&text) {
            assert!(problems[0].message.contains("nested"), "{problems:?}");
        }
    }
    let from = |n: usize| format!("select 1 from {}t{}", "(".repeat(n), ")".repeat(n));
    for text in [
        from(10_000),
        "(".repeat(10_000),
        ")".repeat(10_000),
        format!("select {}", "case when ".repeat(10_000)),
        format!("select {}a", "not ".repeat(10_000)),
        format!("select {}a", "- ".repeat(10_000)),
        format!("select 1{}", " + 1".repeat(100_000)),
        format!("select 1{}", " union all select 1".repeat(10_000)),
        format!("select a{}", "::int".repeat(100_000)),
        format!("select a{}", " is null".repeat(100_000)),
        format!("select {}1{}", "abs(".repeat(10_000), ")".repeat(10_000)),
        format!("select * from {}t", "(select * from ".repeat(10_000)),
        format!("select {}", "a[".repeat(10_000)),
        format!("select {}int", "cast(a as array<".repeat(40)),
        format!("select cast(a as {}int", "array<".repeat(10_000)),
        format!("select cast(a as {}int{})", "struct<x ".repeat(10_000), ">".repeat(10_000)),
        format!("select {} 1", "interval ".repeat(10_000)),
        format!("select {} 1", "exists ".repeat(10_000)),
        format!("select {} 1", "prior ".repeat(10_000)),
        format!("select 1 where {} 1", "a between 1 and ".repeat(10_000)),
        format!("with {} select 1", "a as (with ".repeat(10_000)),
        format!("select cast(a as {}int", "array<".repeat(100)),
        format!("select cast(a as int{})", "[]".repeat(10_000)),
        format!("select {} '1' day", "interval ".repeat(100)),
        format!("select a{} from t", ".b".repeat(10_000)),
    ] {
        let problems = parse(&text).expect_err(&text[..60.min(text.len())]);
        assert!(problems.len() == 1 && problems[0].message.len() < 300, "{problems:?}");
    }
}

#[test]
fn nesting_below_the_limit_does_not_take_forever() {
    // A parser that tries two ways at every level would need 2^30 steps.
    for text in [
        format!("select 1 from {}t{}", "(".repeat(30), ")".repeat(30)),
        format!("select 1 from {}t", "(".repeat(30)),
        format!("select {}a{} from t", "f(".repeat(30), ")".repeat(30)),
        format!("select {}a from t", "case when ".repeat(30)),
        format!("select {}1{}", "array(".repeat(30), ")".repeat(30)),
        format!("select {}1{}", "struct(".repeat(30), ")".repeat(30)),
        format!("select cast(a as {}int{})", "struct<x array<".repeat(12), ">>".repeat(12)),
        format!("select {}1{}", "{a: ".repeat(30), "}".repeat(30)),
        format!("select {}1{}", "[".repeat(30), "]".repeat(30)),
    ] {
        let _ = parse(&text);
    }
}

#[test]
fn long_chains_below_the_limit_fit_the_stack() {
    for text in [
        format!("select 1{} as a", " + 1".repeat(1_990)),
        format!("select a from t where a = 1{}", " or a = 1".repeat(990)),
        format!("select 1 as a{}", " union all select 1".repeat(1_990)),
        format!("select a / 1{} as a", " / 1".repeat(1_900)),
        format!("select a{} as a", "::int".repeat(1_900)),
        format!("select a{} as a", " is null".repeat(1_900)),
        format!("select cast(a as int{}) as a", "[]".repeat(1_900)),
        format!("select a{} as a", "[1]".repeat(1_900)),
        format!("select a{} as a from t", " and b between 1 and 2".repeat(600)),
        format!("select 1 from t {}", "cross join t ".repeat(5_000)),
        format!("select 1 from t {}", "join t ".repeat(5_000)),
        format!("select a from t where a in (1{})", ", 1".repeat(100_000)),
        format!("select 1 as a where {} 1", "a between 1 and ".repeat(600)),
        format!("select case {} end as a", "when a then 1 ".repeat(20_000)),
    ] {
        parse(&text).unwrap_or_else(|e| panic!("{}: {e:?}", &text[..50.min(text.len())]));
    }
}

#[test]
fn a_megabyte_of_sql_is_read() {
    let columns: Vec<_> = (0..40_000).map(|i| format!("coalesce(c{i}, 'é') as x{i}")).collect();
    let text = format!("select {} from t", columns.join(",\n"));
    assert!(text.len() > 1_000_000);
    let query = parse(&text).unwrap();
    assert_eq!(query.tables()[0].span, text.len() - 1..text.len());
    let withs: Vec<_> = (0..20_000).map(|i| format!("w{i} as (select a from t)")).collect();
    let text = format!("with {} select a from w19999", withs.join(", "));
    assert_eq!(parse(&text).unwrap().tables().len(), 20_000);
}

/// Words that make more of the interesting texts than plain random ones would.
fn soup() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => proptest::sample::select(vec![
            "select", "SELECT", "from", "where", "with", "as", "a", "t", "(", ")", ",", "'x'", "'é'", "\"q q\"",
            "1", "1.5", "1e5", "+", "-", "*", "/", "=", "<", ">", "::", "int", "union", "all", "case", "when", "then",
            "end", "order", "by", "limit", "over", "rx_norm", "now", ";", "--c\n", "/*c*/", "/*!c*/", "\n", "\r\n",
            "\t", "[", "]", "{", "}", "$1", "?", "$$", "E'\\n'", "'", "\"", "`", "é", "😀", "U&'a'", "q'[x]'", "0x1f",
            "@a", "#b", "|>", "->", "not", "in", "exists", "interval", "between", "and", "X'aa'", "b'1'", "r'x'",
        ]).prop_map(str::to_string),
        1 => ".{0,4}",
    ];
    proptest::collection::vec(word, 0..24).prop_map(|words| words.join(" "))
}

proptest! {
    /// Whatever the text, there is an answer, and every span lies on characters of the text.
    #[test]
    fn no_text_is_too_odd(text in soup()) {
        let problems = match parse(&text) {
            Ok(query) => {
                for table in query.tables() {
                    prop_assert!(text.get(table.span.clone()).is_some());
                }
                [query.lint(), query.portable(), query.check_tables(&["t"])].concat()
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                problems
            }
        };
        for p in problems {
            if p.message.contains("/*!") {
                prop_assert!(text.contains("/*!"), "{p:?}");
            }
            if let Some(span) = p.span {
                prop_assert!(text.get(span.clone()).is_some(), "{span:?} in {text:?}");
            }
        }
    }

    /// The normal form is a statement with the same normal form and the same tables.
    #[test]
    fn the_normal_form_is_stable(text in soup()) {
        if let Ok(query) = parse(&text) {
            let again = parse(&query.normalized()).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
            prop_assert_eq!(again.normalized(), query.normalized());
            let names = |q: &Query| q.tables().into_iter().map(|t| t.name).collect::<Vec<_>>();
            prop_assert_eq!(names(&again), names(&query));
        }
    }

    /// White space and comments between the words of a query change nothing.
    #[test]
    fn layout_changes_nothing(gaps in proptest::collection::vec(
        proptest::sample::select(vec![" ", "\n", "\t  ", " -- note\n", " /* a 'b' */ ", "\r\n"]), 40), upper in any::<bool>()
    ) {
        let words = ["with", "c", "as", "(", "select", "a", ",", "sum", "(", "b", ")", "as", "n", "from", "t", "where",
            "a", "<>", "'X -- y'", "group", "by", "1", ")", "select", "n", "from", "c"];
        let plain = words.join(" ");
        let odd: String = words.iter().zip(&gaps)
            .map(|(w, gap)| if upper && !w.starts_with('\'') { format!("{}{gap}", w.to_uppercase()) } else { format!("{w}{gap}") })
            .collect();
        let (a, b) = (parse(&plain).unwrap(), parse(&odd).map_err(|e| TestCaseError::fail(format!("{e:?}")))?);
        prop_assert_eq!(a.normalized(), b.normalized());
    }
}
