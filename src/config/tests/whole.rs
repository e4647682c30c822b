//! Configurations that are right: the repository's own, the reference shape, overlays.

use super::fakes::{good, render, run, source, texts};
use crate::config::*;
use crate::diagnostic::Severity;
use crate::graph::{Layer, PartitionMapping};

const BASE: &str = include_str!("base.toml");
const SHIPPED: &str = include_str!("../../../pipelines.toml");
/// Every key that the configuration has a name for.
const REFERENCE: &str = include_str!("reference.toml");

fn with_bodies(pipelines: &str, names: &[&str]) -> Texts {
    let mut texts = texts(pipelines);
    texts.bodies.retain(|name, _| name == "issue_taxonomy.toml" || name == "silver_posts.sql");
    for name in names {
        texts.bodies.insert(format!("{name}.sql"), source(&format!("assets/{name}.sql"), "SELECT 1"));
    }
    texts
}

#[test]
fn the_shipped_file_is_right() {
    let bodies = ["fact_issue_daily", "issue_trend_daily", "top_issue_posts", "executive_summary_daily"];
    let texts = with_bodies(SHIPPED, &bodies);
    let config = good(&texts, None);
    assert_eq!(config.project.name, "amazon-pharmacy-voc");
    assert_eq!(config.days.len(), 90);
    assert_eq!(config.run.concurrency, 2);
    assert_eq!(config.run.memory_limit, 1_000_000_000);
    assert_eq!(config.privacy.retain_text, Some(Retention::Months(24)));
    let brands: Vec<_> = config.brands.iter().map(|b| (b.key.as_str(), b.competitor)).collect();
    assert_eq!(brands, [("amazon_pharmacy", false), ("cvs", true)]);
    let order: Vec<_> = config.graph.iter().map(|(_, a)| (a.key.as_str(), a.layer)).collect();
    assert_eq!(
        order,
        [
            ("issue_types", Layer::System),
            ("labels", Layer::System),
            ("raw_posts", Layer::Bronze),
            ("silver_posts", Layer::Silver),
            ("source_coverage", Layer::System),
            ("fact_issue_daily", Layer::Gold),
            ("general_feedback_ai", Layer::Gold),
            ("post_signals", Layer::Gold),
            ("top_issue_posts", Layer::Gold),
            ("issue_trend_daily", Layer::Gold),
            ("executive_summary_daily", Layer::Gold),
        ]
    );
    for (idx, asset) in config.graph.iter() {
        assert_eq!(config.asset(idx).key, asset.key);
        assert_eq!(config.asset(idx).code.version(), asset.code);
        if asset.layer != Layer::System {
            assert!(!asset.description.is_empty(), "{} says what it holds", asset.key);
        }
    }
    let SourceKind::Sample(sample) = &config.source("sample").unwrap().kind else { panic!("sample") };
    assert_eq!((sample.posts_per_day, sample.seed), (400, 7));
    let big = good(&texts, Some("big"));
    assert_eq!(big.lake.root, "state/lake-big");
    let code = |c: &Config| c.graph.iter().map(|(_, a)| a.code).collect::<Vec<_>>();
    assert_eq!(code(&big), code(&config), "a profile and the lake's place are no part of the code");
}

#[test]
fn every_reference_key_is_known() {
    let texts = with_bodies(REFERENCE, &["fact_issue_daily", "issue_trend_daily", "top_issue_posts"]);
    let parsed = run(&texts, None);
    insta::assert_snapshot!(render(&parsed.problems), @r"
    warning: [schedules] and [alerts] are declared and checked, but not run by this version
      --> pipelines.toml:162:2
       | [schedules.hourly]
       |  ^^^^^^^^^
      help: run `rxpulse materialize` from cron or by hand
    ");
    let config = parsed.config.unwrap();
    assert_eq!(config.run.pools["reddit"], 1);
    assert_eq!(config.ai.gemini.as_ref().unwrap().model, "gemini-3.5-flash-lite");
    let gate = config.ai.gate.as_ref().unwrap();
    assert_eq!(gate.golden.as_ref().unwrap().value, "assets/golden.jsonl");
    let min: Vec<_> = gate.min.iter().map(|(m, n)| (m.name(), *n)).collect();
    let expected = [("high_risk_recall", 0.95), ("sentiment_macro_f1", 0.6), ("issue_type_kappa", 0.0)];
    assert_eq!(min, expected.map(|(m, n)| (m.to_string(), n)));
    let reddit = config.source("reddit").unwrap();
    assert!(reddit.required && reddit.platform.as_deref() == Some("reddit"));
    assert_eq!(reddit.fallback, ["archive"]);
    let trend = config.graph.find("issue_trend_daily").unwrap();
    let mappings: Vec<_> = config.graph.asset(trend).deps.iter().map(|d| d.mapping).collect();
    assert_eq!(
        mappings,
        [
            PartitionMapping::Trailing { days: 7 },
            PartitionMapping::Trailing { days: 7 },
            PartitionMapping::All
        ]
    );
    let ai = config.asset(config.graph.find("general_feedback_ai").unwrap());
    assert_eq!((ai.retries, ai.timeout_ms, ai.pool.as_deref()), (3, Some(600_000), Some("ai")));

    let prod = run(&texts, Some("prod"));
    assert!(prod.config.is_none());
    let errors = prod.problems.iter().filter(|p| p.text.severity == Severity::Error).count();
    assert_eq!(errors, 3, "{}", render(&prod.problems));
}

#[test]
fn overlays_beat_profiles_and_profiles_beat_the_file() {
    let mut texts =
        texts(&format!("{BASE}\n[profile.p.run]\nretries = 5\nbatch_size = 100\npools = {{ extra = 2 }}\n"));
    let plain = good(&texts, None);
    assert_eq!((plain.run.retries, plain.run.batch_size), (2, 8_192));
    texts.overlays.push(source("pipelines.local.toml", "[run]\nbatch_size = 7\n[profile.q]\n"));
    let chosen = good(&texts, Some("p"));
    assert_eq!((chosen.run.retries, chosen.run.batch_size), (5, 7));
    assert_eq!(chosen.run.pools.len(), 2, "tables merge key by key");
    assert_eq!(chosen.profile.as_deref(), Some("p"));
    assert!(run(&texts, Some("q")).config.is_some());
}

#[test]
fn a_broken_overlay_stands_alone() {
    let mut texts = texts("[project]\nname = 5\n");
    texts.overlays.push(source("pipelines.local.toml", "[run\n"));
    let shown = render(&run(&texts, None).problems);
    insta::assert_snapshot!(shown, @r"
    error: this is not TOML: unclosed table, expected `]`
      --> pipelines.local.toml:1:5
       | [run
       |     ^
      help: the other checks run once the file reads as TOML
    ");
}

#[test]
fn without_an_end_the_days_go_to_today_in_the_projects_zone() {
    let days = |zone: &str| {
        let text = BASE.replace("end = \"2026-10-29\"", &format!("timezone = \"{zone}\""));
        let config = good(&texts(&text), None);
        (config.days.end.to_string(), config.project.timezone_name)
    };
    // Noon UTC is the next day on Kiritimati (UTC+14).
    assert_eq!(days("UTC"), ("2026-11-22".into(), "UTC".into()));
    assert_eq!(days("Pacific/Kiritimati"), ("2026-11-23".into(), "Pacific/Kiritimati".into()));
    assert_eq!(days("america/new_york"), ("2026-11-22".into(), "America/New_York".into()));
}

#[test]
fn system_tables_join_only_when_named() {
    let text = BASE.replace(", \"labels\"", "");
    let mut input = texts(&text);
    input
        .bodies
        .insert("silver_posts.sql".into(), source("assets/silver_posts.sql", "SELECT 1 FROM raw_posts"));
    assert!(good(&input, None).graph.find("labels").is_none());
    let text = BASE.replace(
        "[\"silver_posts\"]\nkey = [\"brand\"]",
        "[\"silver_posts\", \"source_coverage\", \"issue_types\"]\nkey = [\"brand\"]",
    );
    let config = good(&texts(&text), None);
    let coverage = config.graph.find("source_coverage").unwrap();
    let reads: Vec<_> =
        config.graph.upstream(coverage).iter().map(|(i, _)| config.graph.key(*i).as_str()).collect();
    assert_eq!(reads, ["raw_posts"]);
    let fact = config.graph.find("fact").unwrap();
    let types = config.graph.asset(fact).deps.iter().find(|d| d.asset.as_str() == "issue_types").unwrap();
    assert_eq!(types.mapping, PartitionMapping::All, "an unpartitioned table is read whole");
}

#[test]
fn files_sources_are_read_in_full() {
    let text = format!(
        "{BASE}\n[sources.reviews]\ntype = \"files\"\nglob = [\"in/*.csv\", \"/abs/**/*.gz\"]\nformat = \"generic\"\nplatform = \"trustpilot\"\npost_type = \"ticket\"\nrequired = true\ncovers = \"2026-08-01/2026-08-31\"\nmax_record_bytes = \"1MiB\"\nmap = {{ native_id = \"id\", created_at = \"at\", channel = \"'trustpilot.com'\" }}\n"
    );
    let config = good(&texts(&text), None);
    let reviews = config.source("reviews").unwrap();
    assert_eq!((reviews.required, reviews.settle_ms), (true, 36 * 3_600_000));
    let SourceKind::Files(files) = &reviews.kind else { panic!("files") };
    assert_eq!(files.glob.len(), 2);
    assert_eq!(files.max_record_bytes, 1 << 20);
    assert_eq!(files.covers.unwrap().len(), 31);
    let FileFormat::Generic { platform, map, .. } = &files.format else { panic!("generic") };
    assert_eq!(platform, "trustpilot");
    let map: Vec<_> = map.iter().map(|(f, e)| (f.as_str(), e.value.clone())).collect();
    assert_eq!(map[0], ("native_id", ColumnExpr::Column("id".into())));
    assert_eq!(map[2], ("channel", ColumnExpr::Literal("trustpilot.com".into())));
}

#[test]
fn checks_have_names_and_times() {
    let text = BASE.replace(
        "key = [\"brand\"]",
        "key = [\"brand\"]\nchecks = [{ type = \"unique\", columns = [\"a\", \"b\"] }, { type = \"row_count\", min = 1 }, { type = \"fresh_within\", max_age = \"36h\", severity = \"warn\" }, { type = \"relationship\", column = \"c\", to = \"silver_posts.c\", name = \"known\" }, { type = \"accepted_values\", columns = [\"n\"], values = [1, true, 2.5, \"it's\"] }]",
    );
    let config = good(&texts(&text), None);
    let fact = config.asset(config.graph.find("fact").unwrap());
    let shown: Vec<_> = fact
        .checks
        .iter()
        .map(|c| (c.name.as_str(), c.kind.before_publish(), c.severity == CheckSeverity::Error))
        .collect();
    assert_eq!(
        shown,
        [
            ("unique(a, b)", true, true),
            ("row_count", true, true),
            ("fresh_within", false, false),
            ("known", false, true),
            ("accepted_values(n)", true, true)
        ]
    );
    let CheckKind::AcceptedValues { values: AcceptedValues::List(values), .. } = &fact.checks[4].kind else {
        panic!("accepted values")
    };
    let literals: Vec<_> = values.iter().map(Literal::to_string).collect();
    assert_eq!(literals, ["1", "true", "2.5", "'it''s'"]);
}

#[test]
fn garbage_never_panics() {
    use proptest::prelude::*;
    let lines: Vec<&str> = REFERENCE.lines().chain(SHIPPED.lines()).collect();
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 300, ..Default::default() });
    runner
        .run(
            &prop::collection::vec((0..lines.len(), 0usize..40, "[\\[\\]{}=\"'0-9a-z. #é-]{0,3}"), 1..30),
            |picks| {
                // Real lines in any order, some with a few characters put in.
                let mut text = String::new();
                for (line, at, extra) in picks {
                    let line = lines[line];
                    let at = line.char_indices().nth(at).map_or(line.len(), |(i, _)| i);
                    text.push_str(&line[..at]);
                    if extra.len() < 3 {
                        text.push_str(&extra);
                    }
                    text.push_str(&line[at..]);
                    text.push('\n');
                }
                let parsed = run(&texts(&text), None);
                for problem in &parsed.problems {
                    let (Some(file), Some(span)) = (&problem.file, &problem.text.span) else { continue };
                    prop_assert!(file.text.get(span.clone()).is_some(), "{problem:?}");
                }
                let refused = parsed.problems.iter().any(|p| p.text.severity == Severity::Error);
                prop_assert_eq!(parsed.config.is_none(), refused);
                Ok(())
            },
        )
        .unwrap();
}
