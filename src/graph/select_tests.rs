//! Selections against small graphs, and the laws they keep.

use proptest::prelude::*;

use super::asset::{AssetIdx, AssetKind, Layer};
use super::asset_graph::AssetGraph;
use super::fixture;
use super::select::{DaySet, SelectError, StatusOf, parse};
use super::set::PartitionSet;
use super::{DayRange, closure_down, closure_up};

/// Nothing has any status.
struct Nothing;

impl StatusOf for Nothing {
    fn has(&self, _: &str, _: AssetIdx, _: usize) -> bool {
        false
    }
}

/// Partitions whose place divides by three are stale, and all others are fresh.
struct Thirds;

impl StatusOf for Thirds {
    fn has(&self, word: &str, _: AssetIdx, slot: usize) -> bool {
        word == if slot.is_multiple_of(3) { "stale" } else { "fresh" }
    }
}

/// raw → silver → fact → trend (7 days before), and what reads whole assets.
fn shop() -> AssetGraph {
    let mut assets = vec![
        fixture::asset("raw", &[]),
        fixture::asset("labels", &[]),
        fixture::asset("silver", &["raw", "labels"]),
        fixture::asset("fact", &["silver"]),
        fixture::asset("trend", &["fact-7", "whole_types"]),
        fixture::asset("top_posts", &["silver"]),
        fixture::asset("whole_types", &[]),
        fixture::asset("whole_latest", &["fact=latest"]),
        fixture::asset("whole_all", &["top_posts=all"]),
        fixture::asset("mail", &["whole_latest"]),
    ];
    assets[0].kind = AssetKind::Source;
    assets[0].layer = Layer::Bronze;
    for asset in &mut assets[3..6] {
        asset.layer = Layer::Gold;
    }
    assets[3].tags = vec!["executive".to_string(), "daily".to_string()];
    assets[4].tags = vec!["executive".to_string()];
    assets[2].owners = vec!["data+rx@example.org".to_string()];
    let start = "2026-01-01".parse().unwrap();
    AssetGraph::build(assets, DayRange::new(start, start.plus(29)).unwrap()).unwrap()
}

fn show(graph: &AssetGraph, set: &PartitionSet) -> String {
    let mut lines: Vec<_> = graph
        .iter()
        .filter(|(idx, _)| set.has_asset(*idx))
        .map(|(idx, asset)| {
            let runs: Vec<_> =
                set.runs_of(idx)
                    .map(|r| {
                        if r.len() == 1 {
                            format!("{}", r.start)
                        } else {
                            format!("{}-{}", r.start, r.end - 1)
                        }
                    })
                    .collect();
            if set.len_of(idx) == graph.slots(idx) {
                format!("{}", asset.key)
            } else {
                format!("{}[{}]", asset.key, runs.join(","))
            }
        })
        .collect();
    lines.sort();
    lines.join(" ")
}

fn select_on(graph: &AssetGraph, text: &str, days: &DaySet) -> Result<PartitionSet, SelectError> {
    parse(text)?.resolve(graph, days, &Thirds)
}

/// The 20th day only (place 19).
fn one_day() -> DaySet {
    DaySet::days(vec!["2026-01-20".parse().unwrap()])
}

#[test]
fn all_days_of_what_is_named() {
    let graph = shop();
    let cases = [
        ("fact", "fact"),
        ("fact trend", "fact trend"),
        ("fact or trend", "fact trend"),
        ("  fact\n\ttrend ", "fact trend"),
        ("t*", "top_posts trend"),
        ("*t", "fact whole_latest"),
        ("*e*a*", "whole_all whole_latest"),
        ("*", "fact labels mail raw silver top_posts trend whole_all whole_latest whole_types"),
        ("t* and not trend", "top_posts"),
        ("t* or fact", "fact top_posts trend"),
        ("fact AND NOT fact", ""),
        ("raw silver and fact", "raw"),
        ("(raw silver) and not (fact or raw)", "silver"),
        ("not(fact) and(fact raw)", "raw"),
        ("not not fact", "fact"),
        ("tag:executive", "fact trend"),
        ("tag:*a*", "fact"),
        ("layer:gold", "fact top_posts trend"),
        ("layer:*z*", "raw"),
        ("kind:source", "raw"),
        ("kind:s* and layer:bronze", "raw"),
        ("layer:system", ""),
        ("owner:data+rx@example.org", "silver"),
        ("owner:data*", "silver"),
        ("owner:data*+1", "fact silver top_posts"),
        ("status:stale and raw", "raw[0,3,6,9,12,15,18,21,24,27]"),
        ("status:* and raw", "raw"),
        ("status:fresh and whole*", ""),
        ("+fact", "fact labels raw silver"),
        ("1+fact", "fact silver"),
        ("2+fact", "fact labels raw silver"),
        ("fact+", "fact mail trend whole_latest"),
        ("fact+1", "fact trend whole_latest"),
        ("silver+1", "fact silver top_posts"),
        ("1+silver+1", "fact labels raw silver top_posts"),
        ("+trend", "fact labels raw silver trend whole_types"),
        ("+(trend top_posts)", "fact labels raw silver top_posts trend whole_types"),
        ("+layer:gold", "fact labels raw silver top_posts trend whole_types"),
        ("1+(trend top_posts)+1", "fact silver top_posts trend whole_all whole_types"),
        ("+whole_latest", "fact[29] labels[29] raw[29] silver[29] whole_latest"),
        ("+mail and fact", "fact[29]"),
        ("+trend and not fact", "labels raw silver trend whole_types"),
        ("whole_all+", "whole_all"),
    ];
    for (text, found) in cases {
        let got = select_on(&graph, text, &DaySet::all()).map(|s| show(&graph, &s));
        assert_eq!(got.as_deref(), Ok(found), "{text}");
    }
}

#[test]
fn one_day_of_what_is_named_and_what_it_reaches() {
    let graph = shop();
    let cases = [
        ("fact trend", "fact[19] trend[19]"),
        (
            "*",
            "fact[19] labels[19] mail[19] raw[19] silver[19] top_posts[19] trend[19] whole_all whole_latest whole_types",
        ),
        // What trend reads has the seven days before too.
        ("+trend", "fact[12-19] labels[12-19] raw[12-19] silver[12-19] trend[19] whole_types"),
        ("1+trend", "fact[12-19] trend[19] whole_types"),
        ("+fact", "fact[19] labels[19] raw[19] silver[19]"),
        ("+trend fact", "fact[12-19] labels[12-19] raw[12-19] silver[12-19] trend[19] whole_types"),
        // What reads fact has the seven days after too; whole_latest does not read that day.
        ("fact+", "fact[19] trend[19-26]"),
        ("silver+1", "fact[19] silver[19] top_posts[19]"),
        ("top_posts+", "top_posts[19] whole_all"),
        ("+whole_all", "labels raw silver top_posts whole_all"),
        ("+whole_latest", "fact[29] labels[29] raw[29] silver[29] whole_latest"),
        ("whole_latest+", "mail whole_latest"),
        ("+trend+", "fact[12-19] labels[12-19] raw[12-19] silver[12-19] trend[19] whole_types"),
        // Filters hold on any day.
        ("+trend and not fact", "labels[12-19] raw[12-19] silver[12-19] trend[19] whole_types"),
        ("+trend and layer:bronze", "raw[12-19]"),
        (
            "+trend and status:stale",
            "fact[12,15,18] labels[12,15,18] raw[12,15,18] silver[12,15,18] whole_types",
        ),
        ("fact+ and layer:gold", "fact[19] trend[19-26]"),
        ("+trend and +top_posts", "labels[19] raw[19] silver[19]"),
        ("not +trend", "mail[19] top_posts[19] whole_all whole_latest"),
        ("+(trend and fact)", ""),
        (
            "+(trend and status:fresh)",
            "fact[12-19] labels[12-19] raw[12-19] silver[12-19] trend[19] whole_types",
        ),
    ];
    for (text, found) in cases {
        let got = select_on(&graph, text, &one_day()).map(|s| show(&graph, &s));
        assert_eq!(got.as_deref(), Ok(found), "{text}");
    }
    // The project's first days have no days before.
    let first = DaySet::days(vec!["2026-01-03".parse().unwrap(), "2025-12-31".parse().unwrap()]);
    let got = select_on(&graph, "1+trend", &first).map(|s| show(&graph, &s));
    assert_eq!(got.as_deref(), Ok("fact[0-2] trend[2] whole_types"));
    let outside = DaySet::days(vec!["2027-01-01".parse().unwrap()]);
    assert_eq!(select_on(&graph, "+fact", &outside).map(|s| s.len()), Ok(0));
}

#[test]
fn days_are_merged() {
    let day = |n: i32| crate::graph::Day(n);
    let set = DaySet::days(vec![day(5), day(1), day(2), day(5)]);
    let range = |a, b| DayRange::new(day(a), day(b)).unwrap();
    assert_eq!(set, DaySet::ranges(vec![range(1, 2), range(5, 5)]));
    assert_eq!(DaySet::ranges(vec![range(1, 9), range(2, 3), range(10, 11)]), DaySet::range(range(1, 11)));
    for n in 0..8 {
        assert_eq!(set.contains(day(n)), [1, 2, 5].contains(&n), "{n}");
    }
    assert!(DaySet::all().contains(day(-1)) && DaySet::all().is_all() && !set.is_all());
    assert!(!DaySet::days(vec![]).contains(day(0)));
}

#[test]
fn errors_point_at_their_column() {
    let graph = shop();
    let cases = [
        "",
        "   ",
        "fct",
        "fact and trnd",
        "raw tag:exeutive",
        "tag:",
        "tag:zzz*",
        "owner:x",
        "layer:golf",
        "layer:x*",
        "kind:",
        "status:old",
        "stauts:stale",
        ":stale",
        "fact and",
        "and fact",
        "fact or or trend",
        "fact not",
        "not",
        "(fact",
        "fact)",
        "raw (fact or (trend)",
        "()",
        "+",
        "2+",
        "fact + trend",
        "fact++",
        "fact+trend",
        "0+fact",
        "99999999999999999999+fact",
        "fact, trend",
        "fact & trend",
        "fact | trend",
        "!fact",
        "fact - trend",
        "Fact",
        "fact[2026-01-01]",
        "fact@latest",
        "f?ct",
        "zz*",
        "+(fact trend)x",
        "fäct",
        "tag:é\tfact 😀 x",
        "é",
        "raw\u{1b}[31m",
    ];
    let shown: Vec<_> = cases
        .iter()
        .map(|text| match select_on(&graph, text, &DaySet::all()) {
            Ok(set) => format!("{text:?} selects {}", show(&graph, &set)),
            Err(error) => {
                assert!(error.column >= 1 && error.column <= text.chars().count() + 1, "{error:?}");
                format!("{error}")
            }
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
nothing is selected
  help: `*` selects everything
nothing is selected
  help: `*` selects everything
there is no asset `fct`
  fct
  ^
  help: did you mean `fact`?
there is no asset `trnd`
  fact and trnd
           ^
  help: did you mean `trend`?
there is no tag `exeutive`
  raw tag:exeutive
          ^
  help: did you mean `executive`?
expected a value after `tag:`
  tag:
      ^
`zzz*` matches no tag
  tag:zzz*
      ^
  help: there are daily, executive
there is no owner `x`
  owner:x
        ^
  help: there are data+rx@example.org
`layer:` knows no `golf`
  layer:golf
        ^
  help: did you mean `gold`?
`layer:` knows no `x*`
  layer:x*
        ^
  help: it knows bronze, silver, gold, system
expected a value after `kind:`
  kind:
       ^
  help: it knows source, sql, enrich, system
`status:` knows no `old`
  status:old
         ^
  help: it knows stale, missing, failed, fresh, incomplete
`stauts:` is no way to select
  stauts:stale
  ^
  help: did you mean `status:`?
`:` is no way to select
  :stale
  ^
  help: there are tag:, layer:, kind:, status:, owner:
expected a name after `and`
  fact and
          ^
  help: name an asset, or write tag:… layer:… kind:… status:… owner:…
expected a name, found `and`
  and fact
  ^
  help: `and` joins two terms
expected a name, found `or`
  fact or or trend
          ^
  help: `or` joins two terms
expected a name after `not`
  fact not
          ^
  help: name an asset, or write tag:… layer:… kind:… status:… owner:…
expected a name after `not`
  not
     ^
  help: name an asset, or write tag:… layer:… kind:… status:… owner:…
this `(` is never closed
  (fact
  ^
  help: close it with `)`
this `)` closes nothing
  fact)
      ^
this `(` is never closed
  raw (fact or (trend)
      ^
  help: close it with `)`
expected a name, found `)`
  ()
   ^
  help: name an asset, or write tag:… layer:… kind:… status:… owner:…
expected a name after `+`
  +
   ^
  help: the `+` touches its name: `+name` is all upstream, `name+` all downstream
expected a name after `+`
  2+
    ^
  help: the `+` touches its name: `+name` is all upstream, `name+` all downstream
expected a name after `+`
  fact + trend
        ^
  help: the `+` touches its name: `+name` is all upstream, `name+` all downstream
expected a space
  fact++
       ^
  help: put a space, `or` or `and` between terms
expected a space
  fact+trend
       ^
  help: put a space, `or` or `and` between terms
`0` is no number of steps
  0+fact
  ^
  help: `2+name` is two steps upstream, `+name` all of them
`99999999999999999999` is no number of steps
  99999999999999999999+fact
  ^
  help: `2+name` is two steps upstream, `+name` all of them
`,` means nothing here
  fact, trend
      ^
  help: put a space or `or` between terms
`&` means nothing here
  fact & trend
       ^
  help: write `and`
`|` means nothing here
  fact | trend
       ^
  help: put a space or `or` between terms
`!` means nothing here
  !fact
  ^
  help: write `not`
`-` means nothing here
  fact - trend
       ^
  help: write `not`
`F` is in no name
  Fact
  ^
  help: names are in lower case
`[` means nothing here
  fact[2026-01-01]
      ^
  help: days are chosen by --partition, --from and --to
`@` means nothing here
  fact@latest
      ^
  help: days are chosen by --partition, --from and --to
`?` means nothing here
  f?ct
   ^
  help: `*` stands for any letters
`zz*` matches no asset
  zz*
  ^
  help: there are fact, labels, mail, raw, silver, top_posts, trend, whole_all and 2 more
expected a space
  +(fact trend)x
               ^
  help: put a space, `or` or `and` between terms
`ä` means nothing here
  fäct
   ^
  help: a name holds a-z, 0-9 and _; `*` stands for any letters
`😀` means nothing here
  tag:é fact 😀 x
             ^
  help: a name holds a-z, 0-9 and _; `*` stands for any letters
`é` means nothing here
  é
  ^
  help: a name holds a-z, 0-9 and _; `*` stands for any letters
`\u{1b}` means nothing here
  raw [31m
     ^
  help: a name holds a-z, 0-9 and _; `*` stands for any letters
"#);
}

#[test]
fn long_texts_are_shown_around_the_column() {
    let graph = shop();
    let text = format!("{} fct {}", "fact ".repeat(100), "raw ".repeat(100));
    let error = select_on(&graph, text.trim(), &DaySet::all()).unwrap_err();
    insta::assert_snapshot!(error, @r#"
there is no asset `fct`
  …act fact fact fact fact fact fact fact fact fact fact fact  fct raw raw raw raw raw raw raw raw raw raw raw raw raw raw…
                                                               ^
  help: did you mean `fact`?
"#);
}

#[test]
fn deep_selections_are_refused_and_long_ones_are_fine() {
    for text in ["(".repeat(100_000), "not ".repeat(100_000), "+(".repeat(100_000), "not(".repeat(50_000)] {
        let error = parse(&text).unwrap_err();
        assert!(error.message.contains("deeper"), "{}", error.message);
    }
    let nots = format!("{}fact", "not ".repeat(60));
    assert_eq!(parse(&nots).unwrap().to_string(), nots);
    let graph = shop();
    let long = "fact ".repeat(5_000);
    assert_eq!(select_on(&graph, &long, &DaySet::all()).map(|s| show(&graph, &s)).as_deref(), Ok("fact"));
    let long = format!("raw{}", " and raw".repeat(5_000));
    assert_eq!(select_on(&graph, &long, &DaySet::all()).map(|s| show(&graph, &s)).as_deref(), Ok("raw"));
}

#[test]
fn only_status_terms_need_a_status() {
    for (text, uses) in
        [("a", false), ("tag:status", false), ("+(a not status:stale)", true), ("x and status:*", true)]
    {
        assert_eq!(parse(text).unwrap().uses_status(), uses, "{text}");
    }
}

#[test]
fn a_million_partitions_are_selected() {
    // 27,400 days of 37 assets in a chain of trailing windows.
    let names: Vec<String> = (0..37).map(|i| format!("a{i:02}")).collect();
    let deps: Vec<String> = names.iter().map(|n| format!("{n}-7")).collect();
    let assets = names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let up: Vec<&str> = if i == 0 { vec![] } else { vec![&deps[i - 1]] };
            fixture::asset(name, &up)
        })
        .collect();
    let start = "1950-01-01".parse().unwrap();
    let graph = AssetGraph::build(assets, DayRange::new(start, start.plus(27_399)).unwrap()).unwrap();
    let all = select_on(&graph, "+a36", &DaySet::all()).unwrap();
    assert_eq!(all.len(), 37 * 27_400);
    let last = DaySet::days(vec![start.plus(27_399)]);
    let set = select_on(&graph, "+a36", &last).unwrap();
    assert_eq!(set.len(), (0..37).map(|i| i * 7 + 1).sum::<usize>());
    let thirds = select_on(&graph, "+(a36 and status:stale) and status:fresh", &DaySet::all()).unwrap();
    assert!(thirds.len() > 600_000);
}

/// Any graph of up to seven assets.
fn any_graph() -> impl Strategy<Value = AssetGraph> {
    let edge = (0usize..7, 0usize..7, 0u32..4);
    (1usize..150, 1usize..8, any::<u8>(), proptest::collection::vec(edge, 0..14)).prop_map(
        |(days, count, whole, edges)| {
            let is_whole = |i: usize| whole & (1 << i) != 0;
            let name = |i: usize| if is_whole(i) { format!("whole{i}") } else { format!("a{i}") };
            let mut deps: Vec<Vec<String>> = vec![Vec::new(); count];
            for (x, y, kind) in edges {
                let (up, down) = (x.min(y), x.max(y));
                if up == down || down >= count || deps[down].iter().any(|d| d.starts_with(&name(up))) {
                    continue;
                }
                deps[down].push(match (is_whole(down), is_whole(up), kind) {
                    (true, false, 0 | 1) => format!("{}=latest", name(up)),
                    (true, false, _) => format!("{}=all", name(up)),
                    (false, false, 1..) => format!("{}-{}", name(up), kind * 3),
                    _ => name(up),
                });
            }
            let assets = (0..count)
                .map(|i| fixture::asset(&name(i), &deps[i].iter().map(String::as_str).collect::<Vec<_>>()))
                .collect();
            let start: super::Day = "2026-01-01".parse().unwrap();
            AssetGraph::build(assets, DayRange::new(start, start.plus(days as i32 - 1)).unwrap()).unwrap()
        },
    )
}

fn any_set(graph: &AssetGraph, seeds: &[(usize, usize)]) -> PartitionSet {
    let mut set = PartitionSet::empty(graph);
    for &(asset, slot) in seeds {
        let idx = AssetIdx((asset % graph.len()) as u32);
        set.insert(idx, slot % graph.slots(idx));
    }
    set
}

/// The closure as its definition says: one partition after the other.
fn slow_closure(graph: &AssetGraph, set: &PartitionSet, up: bool) -> PartitionSet {
    let mut out = set.clone();
    let mut todo: Vec<(AssetIdx, usize)> =
        graph.indices().flat_map(|a| set.slots_of(a).map(move |s| (a, s)).collect::<Vec<_>>()).collect();
    while let Some((idx, slot)) = todo.pop() {
        let edges = if up { graph.upstream(idx) } else { graph.downstream(idx) };
        for &(other, mapping) in edges {
            let range = if up {
                graph.input_slots(idx, slot, other, mapping)
            } else {
                graph.output_slots(idx, slot, other, mapping)
            };
            for s in range {
                if !out.contains(other, s) {
                    out.insert(other, s);
                    todo.push((other, s));
                }
            }
        }
    }
    out
}

/// An expression over the names of a graph.
fn any_expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (0usize..7).prop_map(|i| format!("@{i}")),
        Just("*".to_string()),
        Just("status:stale".to_string()),
        Just("layer:silver".to_string()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} {b})")),
            inner.clone().prop_map(|a| format!("(not {a})")),
            inner.clone().prop_map(|a| format!("+({a})")),
            inner.clone().prop_map(|a| format!("({a})+")),
            inner.prop_map(|a| format!("1+({a})+2")),
        ]
    })
}

fn with_names(graph: &AssetGraph, text: &str) -> String {
    (0..7).fold(text.to_string(), |text, i| {
        text.replace(&format!("@{i}"), graph.key(AssetIdx((i % graph.len()) as u32)).as_str())
    })
}

proptest! {
    #[test]
    fn closures_do_as_their_definition_says(
        graph in any_graph(), seeds in proptest::collection::vec((0usize..7, 0usize..150), 0..20)
    ) {
        let set = any_set(&graph, &seeds);
        prop_assert_eq!(closure_up(&graph, &set), slow_closure(&graph, &set, true));
        prop_assert_eq!(closure_down(&graph, &set), slow_closure(&graph, &set, false));
    }

    #[test]
    fn closures_grow_and_are_closed(
        graph in any_graph(),
        a in proptest::collection::vec((0usize..7, 0usize..150), 0..20),
        b in proptest::collection::vec((0usize..7, 0usize..150), 0..20),
    ) {
        for closure in [closure_up, closure_down] {
            let small = any_set(&graph, &a);
            let mut large = small.clone();
            large.union(&any_set(&graph, &b));
            let (of_small, of_large) = (closure(&graph, &small), closure(&graph, &large));
            let mut rest = of_small.clone();
            rest.subtract(&of_large);
            prop_assert!(rest.is_empty(), "monotone");
            let mut rest = small.clone();
            rest.subtract(&of_small);
            prop_assert!(rest.is_empty(), "holds the set");
            prop_assert_eq!(closure(&graph, &of_small), of_small, "closed");
        }
    }

    #[test]
    fn names_mean_their_own_partitions(graph in any_graph(), from in 0i32..150, len in 0i32..40) {
        let days = DaySet::range(DayRange { start: graph.days().start.plus(from), end: graph.days().start.plus(from + len) });
        for (idx, asset) in graph.iter() {
            let set = parse(asset.key.as_str()).unwrap().resolve(&graph, &days, &Nothing).unwrap();
            for other in graph.indices() {
                for slot in 0..graph.slots(other) {
                    let inside = graph.partition(other, slot).day().is_none_or(|d| days.contains(d));
                    prop_assert_eq!(set.contains(other, slot), other == idx && inside);
                }
            }
        }
    }

    #[test]
    fn sets_keep_the_laws(graph in any_graph(), x in any_expression(), y in any_expression(), from in 0i32..150, len in 0i32..40) {
        let (x, y) = (with_names(&graph, &x), with_names(&graph, &y));
        let range = DayRange { start: graph.days().start.plus(from), end: graph.days().start.plus(from + len) };
        for days in [DaySet::all(), DaySet::range(range)] {
            let get = |text: String| parse(&text).unwrap().resolve(&graph, &days, &Thirds).unwrap();
            let (of_x, of_y) = (get(x.clone()), get(y.clone()));
            prop_assert_eq!(&get(format!("not not {x}")), &of_x);
            prop_assert_eq!(&get(format!("({x})")), &of_x);
            prop_assert_eq!(&get(format!("{x} or {x}")), &of_x);
            prop_assert_eq!(&get(format!("{x} and {x}")), &of_x);
            let mut union = of_x.clone();
            union.union(&of_y);
            prop_assert_eq!(&get(format!("{x} or {y}")), &union);
            prop_assert_eq!(&get(format!("{y} {x}")), &union);
            prop_assert_eq!(get(format!("{x} and {y}")), get(format!("{y} and {x}")));
            let none = get(format!("{x} and not {x}"));
            prop_assert!(none.is_empty());
            prop_assert_eq!(get(format!("+({x})")), closure_up(&graph, &of_x));
            prop_assert_eq!(get(format!("({x})+")), closure_down(&graph, &of_x));
            if days.is_all() {
                let mut both = of_x.clone();
                both.intersect(&of_y);
                prop_assert_eq!(&get(format!("{x} and {y}")), &both);
                prop_assert_eq!(get(format!("not ({x} or {y})")), get(format!("not {x} and not {y}")));
            }
            // Without a `+`, nothing outside the days is ever selected.
            if !x.contains('+') {
                let mut out = of_x.clone();
                out.subtract(&get("*".to_string()));
                prop_assert!(out.is_empty());
            }
        }
    }

    /// Whatever the text, there is an answer, and an error points into the text.
    #[test]
    fn no_text_is_too_odd(text in "[a-c+*():0-9 ,é\\n]{0,20}|.{0,20}|((and|or|not|raw|\\+|\\(|\\)|2|tag:|:| ){0,12})") {
        let graph = shop();
        if let Err(error) = select_on(&graph, &text, &DaySet::all()) {
            prop_assert!(error.column >= 1 && error.column <= text.chars().count() + 1);
            let shown = error.to_string();
            prop_assert!((shown.contains('^') || text.trim().is_empty()) && !shown.contains('\u{1b}'), "{}", shown);
        }
    }
}
