//! Planning and staleness told as scenarios in TOML: a graph, what was made, what changed
//! since, and exactly what is planned. See `scenarios/*.toml`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::*;

#[derive(serde::Deserialize)]
struct File {
    scenario: Vec<Scenario>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: String,
    /// First and last day, as days of November 2026.
    days: [i32; 2],
    assets: BTreeMap<String, Declared>,
    /// Assets whose partitions were all made, in fresh order. Default: all of them.
    made: Option<Vec<String>>,
    /// Days that had been made, when fewer than all.
    made_days: Option<[i32; 2]>,
    /// `asset` or `asset[day]`: its content changed after everything was made.
    #[serde(default)]
    new_content: Vec<String>,
    /// Its body changed.
    #[serde(default)]
    new_code: Vec<String>,
    /// Its manifest is gone.
    #[serde(default)]
    gone: Vec<String>,
    /// It was published incomplete.
    #[serde(default)]
    incomplete: Vec<String>,
    /// Its texts were removed; of a source asset, those of the day's posts.
    #[serde(default)]
    emptied: Vec<String>,
    /// System assets that offer something new.
    #[serde(default)]
    offers: Vec<String>,
    /// Windows due: `source asset` (unknown days) or `source asset[day]`.
    #[serde(default)]
    due: Vec<String>,
    /// What is selected; default everything.
    select: Option<Vec<String>>,
    #[serde(default)]
    force: bool,
    /// What stays as it is, as `asset[day]: reason`.
    #[serde(default)]
    kept: Vec<String>,
    /// Every planned step, as `asset[day]: reason`.
    plan: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    #[serde(default)]
    kind: Option<AssetKind>,
    #[serde(default)]
    whole: bool,
    /// Upstream asset → `same`, `all`, `latest` or a number of days before.
    #[serde(default)]
    deps: BTreeMap<String, toml::Value>,
}

fn day(n: i32) -> Day {
    "2026-11-01".parse::<Day>().unwrap().plus(n - 1)
}

fn graph_of(s: &Scenario, changed: &[String]) -> AssetGraph {
    let assets = s
        .assets
        .iter()
        .map(|(name, d)| Asset {
            key: name.parse().unwrap(),
            layer: Layer::Gold,
            kind: d.kind.unwrap_or(AssetKind::Sql),
            partitioning: if d.whole { Partitioning::None } else { Partitioning::Daily },
            deps: d
                .deps
                .iter()
                .map(|(up, how)| Dep {
                    asset: up.parse().unwrap(),
                    mapping: match how {
                        toml::Value::Integer(n) => PartitionMapping::Trailing { days: *n as u32 },
                        toml::Value::String(w) if w == "same" => PartitionMapping::Same,
                        toml::Value::String(w) if w == "all" => PartitionMapping::All,
                        toml::Value::String(w) if w == "latest" => PartitionMapping::Latest,
                        other => panic!("{other}"),
                    },
                })
                .collect(),
            tags: vec![],
            owners: vec![],
            description: String::new(),
            pool: None,
            code: CodeVersion::of(format!("{name} {}", changed.contains(name)).as_bytes()),
        })
        .collect();
    AssetGraph::build(assets, DayRange::new(day(s.days[0]), day(s.days[1])).unwrap()).unwrap()
}

/// `asset` → all its places; `asset[5]` → that day's.
fn places(graph: &AssetGraph, text: &str) -> Vec<(AssetIdx, usize)> {
    let (name, at) = match text.split_once('[') {
        Some((name, rest)) => (name, Some(rest.trim_end_matches(']').parse::<i32>().unwrap())),
        None => (text, None),
    };
    let asset = graph.find(name).unwrap_or_else(|| panic!("no asset {name}"));
    match at {
        Some(n) => {
            vec![(asset, graph.slot(AssetPartition { asset, partition: PartitionKey::Day(day(n)) }).unwrap())]
        }
        None => (0..graph.slots(asset)).map(|s| (asset, s)).collect(),
    }
}

fn name_of(graph: &AssetGraph, asset: AssetIdx, slot: usize) -> String {
    match graph.partition(asset, slot) {
        PartitionKey::Whole => graph.key(asset).to_string(),
        PartitionKey::Day(d) => format!("{}[{}]", graph.key(asset), d.0 - day(1).0 + 1),
    }
}

/// A reason as scenarios write it.
fn why_of(graph: &AssetGraph, why: &Staleness) -> String {
    let cause = |c: &Cause| match c {
        Cause::CodeChanged { .. } => "code".to_string(),
        Cause::InputsChanged => "inputs".to_string(),
        Cause::UpstreamRuns { asset } => format!("after {}", graph.key(*asset)),
        Cause::Incomplete(_) => "incomplete".to_string(),
        Cause::Forced => "forced".to_string(),
    };
    match why {
        Staleness::Stale(causes) => causes.iter().map(cause).collect::<Vec<_>>().join(" + "),
        other => other.as_str().to_string(),
    }
}

/// What is planned, and what is kept.
fn run(s: &Scenario) -> (Vec<String>, Vec<String>) {
    let old = graph_of(s, &[]);
    let graph = graph_of(s, &s.new_code);
    let mut ledger = Ledger::new(&graph);
    let mut seen = Observations::default();
    for (a, asset) in old.iter() {
        if asset.kind == AssetKind::System {
            seen.offered.insert(a, vec![DataVersion::of(b"old"); old.slots(a)]);
        }
    }
    for (a, asset) in old.iter() {
        let made = s.made.as_ref().is_none_or(|m| m.iter().any(|n| n == asset.key.as_str()));
        for slot in 0..old.slots(a) {
            let in_days = match (s.made_days, old.partition(a, slot)) {
                (Some([from, to]), PartitionKey::Day(d)) => d >= day(from) && d <= day(to),
                _ => true,
            };
            if made && in_days {
                let code = ledger.intern(asset.code);
                let inputs = fingerprint(&old, &ledger, &seen, a, slot);
                let entry = Entry {
                    code,
                    inputs,
                    data: DataVersion::of(format!("{} {slot}", asset.key).as_bytes()),
                    rows: 1,
                    at_ms: 0,
                    generation: NonZeroU32::MIN,
                    outcome: Outcome::Complete,
                };
                ledger.set(a, slot, Some(entry));
            }
        }
    }
    let change = |texts: &[String], ledger: &mut Ledger, f: &dyn Fn(Entry) -> Option<Entry>| {
        for text in texts {
            for (a, slot) in places(&graph, text) {
                let entry = ledger.at(a, slot).copied().and_then(f);
                ledger.set(a, slot, entry);
            }
        }
    };
    change(&s.new_content, &mut ledger, &|e| Some(Entry { data: DataVersion::of(b"new"), ..e }));
    change(&s.gone, &mut ledger, &|_| None);
    change(&s.incomplete, &mut ledger, &|e| Some(Entry { outcome: Outcome::Budget, ..e }));
    for text in &s.emptied {
        for (a, slot) in places(&graph, text) {
            if graph.asset(a).kind == AssetKind::Source {
                seen.textless.resize(graph.slots(a), false);
                seen.textless[slot] = true;
            }
            // Of what was made, other content is left.
            let left = ledger.at(a, slot).map(|e| Entry {
                data: DataVersion::of(b"emptied"),
                outcome: Outcome::TextRemoved,
                ..*e
            });
            ledger.set(a, slot, left);
        }
    }
    for text in &s.offers {
        for (a, slot) in places(&graph, text) {
            seen.offered.get_mut(&a).unwrap()[slot] = DataVersion::of(b"new");
        }
    }
    for text in &s.due {
        let at = places(&graph, text);
        let days = (text.contains('[')).then(|| {
            let d = graph.partition(at[0].0, at[0].1).day().unwrap();
            DayRange::new(d, d).unwrap()
        });
        let window =
            Window { source: "s".into(), id: "w".into(), days, reason: CaptureReason::New, bytes: 0 };
        seen.due.entry(at[0].0).or_default().push(window);
    }
    let mut selected = PartitionSet::empty(&graph);
    match &s.select {
        None => selected = PartitionSet::all(&graph),
        Some(texts) => {
            for (a, slot) in texts.iter().flat_map(|t| places(&graph, t)) {
                selected.insert(a, slot);
            }
        }
    }
    let plan = plan(&graph, &ledger, &seen, &Request { selected, force: s.force });
    let mut out: Vec<String> =
        plan.captures.iter().map(|c| format!("capture {}", graph.key(c.asset))).collect();
    for step in &plan.steps {
        let why = why_of(&graph, &step.why);
        let mut line = format!("{}: {why}", name_of(&graph, step.asset, step.slot));
        if let Some(missing) = step.missing_input {
            let slot = graph.slot(missing).unwrap();
            line.push_str(&format!(", needs {}", name_of(&graph, missing.asset, slot)));
        }
        if let Some(stale) = step.stale_input {
            line.push_str(&format!(", on stale {}", graph.key(stale)));
        }
        out.push(line);
    }
    let kept = |k: &KeptStep| format!("{}: {}", name_of(&graph, k.asset, k.slot), why_of(&graph, &k.why));
    (out, plan.kept.iter().map(kept).collect())
}

#[test]
fn scenarios() {
    let file: File = toml::from_str(include_str!("scenarios.toml")).unwrap();
    let mut wrong = String::new();
    for s in &file.scenario {
        let got = run(s);
        let expected = (s.plan.clone(), s.kept.clone());
        if got != expected {
            wrong.push_str(&format!("\n== {}\nexpected {expected:#?}\ngot {got:#?}\n", s.name));
        }
    }
    assert!(file.scenario.len() >= 15, "scenarios were lost");
    assert!(wrong.is_empty(), "{wrong}");
}
