//! Everything in `pipelines.toml` that is neither a source nor an asset.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::model::*;
use super::model_gate::{GateConfig, Measure};
use super::reader::{Fields, error, hint, list, warning};
use super::spot::{Located, Spot};
use super::tree::Value;
use super::units::Length;
use crate::graph::{AssetKey, Day, DayRange};

/// More days than this are a mistake rather than a project.
const MOST_DAYS: i32 = 36_525;

/// `[project]` as far as it could be read.
#[derive(Default)]
pub(super) struct ProjectDraft {
    pub project: Option<ProjectConfig>,
    pub days: Option<DayRange>,
}

pub(super) fn project(root: &mut Fields<'_>, now_ms: i64) -> ProjectDraft {
    let Some(mut f) = root.table("project") else {
        root.need("project", "start the file with [project], name = \"…\" and start = \"2026-08-01\"");
        return ProjectDraft::default();
    };
    let name = f.string("name");
    f.need("name", "any short name, for example name = \"amazon-pharmacy-voc\"");
    let start = f.day("start");
    f.need("start", "the first day of every daily asset, for example start = \"2026-08-01\"");
    let had_end = f.has("end");
    let end = f.day("end");
    let end_wrong = had_end && end.is_none();
    let zone = match f.text("timezone") {
        Some(text) => timezone(&f, &text),
        None => (!f.has("timezone")).then(|| (TimeZone::UTC, "UTC".to_string())),
    };
    let mut days = None;
    if let (Some(start), Some((tz, _)), false) = (&start, &zone, end_wrong) {
        days = match &end {
            Some(end) => range(&f, start, end),
            None => until_today(&f, start, tz, now_ms),
        };
    }
    f.finish();
    let project = name.zip(start).zip(zone).map(|((name, start), (timezone, timezone_name))| ProjectConfig {
        name,
        start: start.value,
        end: end.map(|e| e.value),
        timezone,
        timezone_name,
    });
    ProjectDraft { project, days }
}

fn range(f: &Fields<'_>, start: &Located<Day>, end: &Located<Day>) -> Option<DayRange> {
    let Some(days) = DayRange::new(start.value, end.value) else {
        f.sink().at(
            &end.spot,
            error(format!("`project.end` {} is before `project.start` {}", end.value, start.value))
                .help("both days are part of the project; leave `end` out for a project without an end"),
        );
        return None;
    };
    if end.value.0 - start.value.0 >= MOST_DAYS {
        f.sink().at(
            &end.spot,
            error(format!("{} to {} is more than a hundred years", start.value, end.value))
                .help("every day is a partition of every daily asset; check the years"),
        );
        return None;
    }
    Some(days)
}

fn until_today(f: &Fields<'_>, start: &Located<Day>, tz: &TimeZone, now_ms: i64) -> Option<DayRange> {
    let today = day_of(now_ms, tz);
    let problem = if start.value > today {
        error(format!("`project.start` {} is after today, {today}", start.value))
            .help("choose a day that has come, or write `end` for a planned project")
    } else if today.0 - start.value.0 >= MOST_DAYS {
        error(format!("{} is more than a hundred years ago", start.value)).help("check the year")
    } else {
        return DayRange::new(start.value, today);
    };
    f.sink().at(&start.spot, problem);
    None
}

/// The day of an instant (milliseconds since 1970 UTC) in a time zone.
fn day_of(now_ms: i64, tz: &TimeZone) -> Day {
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    Day::from_date(tz.to_datetime(now).date())
}

fn timezone(f: &Fields<'_>, text: &Located<String>) -> Option<(TimeZone, String)> {
    let name = text.value.as_str();
    if name.eq_ignore_ascii_case("utc") || name == "Etc/UTC" {
        return Some((TimeZone::UTC, "UTC".to_string()));
    }
    let db = jiff::tz::db();
    if let Ok(zone) = db.get(name)
        && !zone.is_unknown()
    {
        // The database answers in any case; the name is part of the lake's identity.
        let named = zone.iana_name().unwrap_or(name).to_string();
        return Some((zone, named));
    }
    let known: Vec<String> = db.available().map(|n| n.as_str().to_string()).collect();
    f.sink().at(
        &text.spot,
        error(format!("there is no time zone \"{name}\"")).help(format!(
            "{}write an IANA name such as \"UTC\" or \"America/New_York\"",
            hint(name, known.iter().map(String::as_str))
        )),
    );
    None
}

/// Says that something declared cannot be used by this version.
pub(super) fn not_yet(root: &Fields<'_>, strict: bool, spot: &Spot, what: &str, instead: &str) {
    if strict {
        root.sink().at(
            spot,
            error(format!("{what} is not available in this version")).label("used here").help(instead),
        );
    }
}

pub(super) fn lake(root: &mut Fields<'_>, strict: bool) -> LakeConfig {
    let mut lake = LakeConfig { root: "state/lake".into(), version_retention_ms: 86_400_000 };
    let Some(mut f) = root.table("lake") else { return lake };
    if let Some(text) = f.text("root") {
        match text.value.split_once("://") {
            Some(("s3", rest)) => {
                if rest.split('/').next().is_none_or(str::is_empty) {
                    f.sink().at(
                        &text.spot,
                        error("`lake.root` names no bucket").help("write s3://bucket/prefix"),
                    );
                } else {
                    not_yet(root, strict, &text.spot, "a lake on S3", "use a folder: root = \"state/lake\"");
                }
            }
            Some((scheme, _)) => f.sink().at(
                &text.spot,
                error(format!("`lake.root` cannot be on `{scheme}://`"))
                    .help("write a folder such as \"state/lake\""),
            ),
            None => {}
        }
        lake.root = text.value;
    }
    if let Some(ms) = f.duration("version_retention") {
        lake.version_retention_ms = ms;
    }
    f.finish();
    lake
}

pub(super) fn run(root: &mut Fields<'_>, cores: usize) -> RunConfig {
    let mut run = RunConfig {
        concurrency: cores.max(1),
        threads: 1,
        memory_limit: 2_000_000_000,
        spill_limit: 20_000_000_000,
        pools: BTreeMap::new(),
        lease_ms: 30_000,
        heartbeat_ms: 5_000,
        retries: 2,
        group_bytes: 16_000_000,
        batch_size: 8_192,
        timeout_ms: None,
    };
    let Some(mut f) = root.table("run") else { return run };
    if let Some(n) = f.integer("concurrency", 1..=1_024) {
        run.concurrency = n as usize;
    }
    if let Some(n) = f.integer("threads", 1..=256) {
        run.threads = n as usize;
    }
    if let Some(n) = f.size("memory_limit") {
        run.memory_limit = n;
        if let (true, Some(entry)) = (n < 16_000_000, f.entry("memory_limit")) {
            f.sink().at(
                &entry.node.spot,
                error("`run.memory_limit` is below 16MB").help("queries need room to sort; 256MB is modest"),
            );
        }
    }
    if let Some(n) = f.size("spill_limit") {
        run.spill_limit = n;
    }
    if let Some(n) = f.size("group_bytes") {
        run.group_bytes = n;
    }
    if let Some(n) = f.integer("batch_size", 1..=1_048_576) {
        run.batch_size = n as usize;
    }
    if let Some(n) = f.integer("retries", 0..=100) {
        run.retries = n as u32;
    }
    run.timeout_ms = f.positive_duration("timeout");
    if let Some(ms) = f.positive_duration("lease") {
        run.lease_ms = ms;
        run.heartbeat_ms = (ms / 6).max(1);
    }
    if let Some(ms) = f.positive_duration("heartbeat") {
        run.heartbeat_ms = ms;
    }
    if run.heartbeat_ms.saturating_mul(2) > run.lease_ms
        && let Some(entry) = f.entry("heartbeat")
    {
        f.sink().at(
            &entry.node.spot,
            error("`run.heartbeat` is longer than half of `run.lease`")
                .help("a run that misses one heartbeat would lose its leases; a sixth is usual"),
        );
    }
    if let Some(pools) = f.table("pools") {
        for entry in pools.all() {
            if let Some(n) = pools.integer_of(&entry.node, &entry.key, 1..=1_024) {
                run.pools.insert(entry.key.clone(), n as usize);
            }
        }
    }
    f.finish();
    run
}

/// What is captured when it is older than texts may be keeps them for a week.
const RETAIN_NEW_MS: i64 = 7 * 86_400_000;

pub(super) fn privacy(root: &mut Fields<'_>) -> PrivacyConfig {
    let mut privacy =
        PrivacyConfig { author: AuthorPolicy::Drop, retain_text: None, retain_new_ms: RETAIN_NEW_MS };
    let Some(mut f) = root.table("privacy") else { return privacy };
    let words = [("drop", 0), ("hash", 1), ("keep", 2)];
    let author = f.choice("author", &words);
    let key_env = f.env_name("hash_key_env");
    match author.as_ref().map(|a| a.value) {
        Some(1) => match key_env {
            Some(key_env) => privacy.author = AuthorPolicy::Hash { key_env },
            None => f.need(
                "hash_key_env",
                "authors are hashed with a key, so that nobody can guess them: hash_key_env = \"RXPULSE_AUTHOR_KEY\"",
            ),
        },
        Some(2) => privacy.author = AuthorPolicy::Keep,
        _ => {}
    }
    privacy.retain_text = f.length("retain_text").map(|length| match length {
        Length::Ms(ms) => Retention::Ms(ms),
        Length::Months(n) => Retention::Months(n),
    });
    if let Some(ms) = f.duration("retain_new") {
        privacy.retain_new_ms = ms;
    }
    f.finish();
    privacy
}

pub(super) fn brands(root: &mut Fields<'_>) -> Vec<BrandDef> {
    let mut brands = Vec::new();
    for (entry, mut f) in root.tables("brands") {
        name_like_an_asset(&f, &entry.key, &entry.at, "brand");
        let name = f.string("name").unwrap_or_else(|| entry.key.clone());
        let competitor = f.flag("competitor").unwrap_or(false);
        let match_any = f.some_texts("match_any").unwrap_or_default();
        let match_all = match_all(&mut f);
        let match_channels = f.some_texts("match_channels").unwrap_or_default();
        let match_platforms = f.some_texts("match_platforms").unwrap_or_default();
        if !["match_any", "match_all", "match_channels", "match_platforms"].iter().any(|k| f.has(k)) {
            f.sink().at(
                &entry.at,
                error(format!("the brand `{}` matches nothing", entry.key))
                    .help("write match_any = [\"a phrase\"]; match_any = [\"*\"] keeps every post"),
            );
        }
        f.finish();
        brands.push(BrandDef {
            key: entry.key.clone(),
            name,
            competitor,
            match_any,
            match_all,
            match_channels,
            match_platforms,
            spot: entry.at.clone(),
        });
    }
    if brands.is_empty() {
        root.need(
            "brands",
            "posts are kept when they speak of a brand: [brands.NAME] with match_any = [\"a phrase\"]",
        );
    }
    brands
}

fn match_all(f: &mut Fields<'_>) -> Vec<Vec<Located<String>>> {
    let Some(entry) = f.entry("match_all") else { return Vec::new() };
    let expected = "an array of lists: one phrase of each list must match";
    let Value::Array(lists) = &entry.node.value else {
        f.wrong(&entry.node, "match_all", expected);
        return Vec::new();
    };
    let mut out = Vec::new();
    for inner in lists {
        match &inner.value {
            Value::Array(items) if items.is_empty() => f.sink().at(
                &inner.spot,
                error(format!("`{}` holds an empty list, which nothing can match", f.path_of("match_all"))),
            ),
            Value::Array(_) => out.extend(f.texts_of(inner, "match_all")),
            _ => f.wrong(inner, "match_all", expected),
        }
    }
    out
}

/// Names that become folder names and words in tables.
pub(super) fn name_like_an_asset(f: &Fields<'_>, name: &str, at: &Spot, what: &str) -> bool {
    let fits = name.parse::<AssetKey>().is_ok();
    if !fits {
        let shown: String = name.chars().take(80).collect();
        f.sink().at(
            at,
            error(format!("`{shown}` cannot name {} {what}", if what == "asset" { "an" } else { "a" }))
                .help("a name starts with a letter a-z and goes on with at most 63 of a-z, 0-9 and _"),
        );
    }
    fits
}

pub(super) const PROVIDERS: [(&str, Provider); 3] = [
    ("embedded", Provider::Embedded),
    ("gemini", Provider::Gemini),
    ("openai_compatible", Provider::OpenaiCompatible),
];

/// `[ai]`, and where its provider is named.
pub(super) fn ai(root: &mut Fields<'_>) -> (AiConfig, Option<Spot>) {
    let mut ai = AiConfig {
        provider: Provider::Embedded,
        // Whoever wants no labels but a language model's says so: fallback = [].
        fallback: vec![Provider::Embedded],
        pack_size: 20,
        max_usd_per_run: None,
        max_usd_per_day: None,
        max_calls: None,
        gate: None,
        gemini: Some(usual_gemini()),
        openai_compatible: None,
    };
    let Some(mut f) = root.table("ai") else { return (ai, None) };
    let provider = f.choice("provider", &PROVIDERS);
    if let Some(provider) = &provider {
        ai.provider = provider.value;
    }
    for text in f.texts("fallback").unwrap_or_default() {
        ai.fallback.extend(f.choose(&text, "fallback", &PROVIDERS));
    }
    if let Some(n) = f.integer("pack_size", 1..=1_000) {
        ai.pack_size = n as usize;
    }
    ai.max_usd_per_run = f.amount("max_usd_per_run");
    ai.max_usd_per_day = f.amount("max_usd_per_day");
    ai.max_calls = f.integer("max_calls", 0..=i64::MAX).map(|n| n as u64);
    ai.gate = f.table("gate").map(gate);
    ai.gemini = match f.table("gemini") {
        Some(table) => model(table, Provider::Gemini),
        None => Some(usual_gemini()),
    };
    ai.openai_compatible = f.table("openai_compatible").and_then(|t| model(t, Provider::OpenaiCompatible));
    limits(&mut f, &ai);
    f.finish();
    (ai, provider.map(|p| p.spot))
}

/// Gemini where nothing is said of it.
pub(super) fn usual_gemini() -> ModelConfig {
    ModelConfig {
        model: "gemini-3.5-flash-lite".into(),
        api_key_env: Some(GEMINI_KEY.into()),
        base_url: None,
        api_version: None,
        batch: false,
        batch_poll_ms: BATCH_POLL_MS,
        price: Some(Price {
            input: 0.30,
            output: 2.50,
            cached_input: Some(0.03),
            as_of: "2026-10-07".parse().ok(),
        }),
        thinking: None,
        paid: false,
        call_timeout_ms: CALL_TIMEOUT_MS,
        allow_hosts: Vec::new(),
    }
}

/// The variable that Google's own tools read.
const GEMINI_KEY: &str = "GEMINI_API_KEY";
/// How long one call to a model may take.
const CALL_TIMEOUT_MS: u64 = 120_000;
/// How often a batch is looked at: most take hours.
const BATCH_POLL_MS: i64 = 600_000;

/// A limit in dollars can only be kept where it is known what a call costs.
fn limits(f: &mut Fields<'_>, ai: &AiConfig) {
    let used = |p: &Provider| ai.provider == *p || ai.fallback.contains(p);
    let all = [Provider::Gemini, Provider::OpenaiCompatible];
    let Some(named) = all.into_iter().filter(used).find(|p| ai.is_unpriced(*p)) else { return };
    let named = named.as_str();
    for limit in ["max_usd_per_run", "max_usd_per_day"] {
        if let Some(entry) = f.entry(limit) {
            let spot = entry.node.spot.clone();
            f.sink().at(
                &spot,
                error(format!("`{}` cannot be kept: what {named} costs is not known", f.path_of(limit)))
                    .label("a limit in dollars")
                    .help(format!(
                        "add to [ai.{named}]: price = {{ input = 0.30, output = 2.50, as_of = \"2026-10-07\" }}, in USD per million tokens"
                    )),
            );
        }
    }
}

/// `[ai.gate]`: lowest values that labels must reach on the golden file.
fn gate(mut f: Fields<'_>) -> GateConfig {
    let golden = f.text("golden");
    let mut min: Vec<(Measure, f64)> = Vec::new();
    let help = "what labels must reach: min = { high_risk_recall = 0.95, high_risk_precision = 0.5 }";
    f.need("min", help);
    if let Some(bars) = f.table("min") {
        if let (true, Some(at)) = (bars.all().is_empty(), &bars.at) {
            f.sink().at(at, error("the gate lets everything pass: `min` is empty").help(help));
        }
        for entry in bars.all() {
            let names: Vec<String> = Measure::all().map(Measure::name).collect();
            let Some(measure) = Measure::of_name(&entry.key) else {
                let known = || names.iter().map(String::as_str);
                f.sink().at(
                    &entry.at,
                    error(format!("`{}` is not measured", entry.key)).label("not a measure").help(format!(
                        "{}what can be asked for: {}",
                        hint(&entry.key, known()),
                        list(known())
                    )),
                );
                continue;
            };
            match entry.node.value {
                Value::Float(n) if (0.0..=1.0).contains(&n) => min.push((measure, n)),
                Value::Integer(n @ 0..=1) => min.push((measure, n as f64)),
                Value::Float(_) | Value::Integer(_) => f.sink().at(
                    &entry.node.spot,
                    error(format!("`{}` must be from 0 to 1", bars.path_of(&entry.key)))
                        .help("a share: 0.95 for 95 of 100"),
                ),
                _ => bars.wrong(&entry.node, &entry.key, "a number from 0 to 1"),
            }
        }
    }
    f.finish();
    GateConfig { golden, min }
}

fn model(mut f: Fields<'_>, provider: Provider) -> Option<ModelConfig> {
    let name = f.string("model");
    f.need("model", "the model's name as its provider writes it");
    let api_key_env = f.env_name("api_key_env");
    let base_url = f.url("base_url");
    let api_version = f.string("api_version");
    // Others have no batches.
    let (mode, batch_poll) = match provider {
        Provider::Gemini => {
            (f.choice("mode", &[("sync", false), ("batch", true)]), f.positive_duration("batch_poll"))
        }
        _ => (None, None),
    };
    let levels = ["minimal", "low", "medium", "high", "dynamic"].map(|l| (l, l));
    let thinking = f.choice("thinking", &levels).map(|t| t.value.to_string());
    let paid = f.flag("paid").unwrap_or(false);
    let timeout = f.positive_duration("timeout").and_then(|ms| u64::try_from(ms).ok());
    let mut allow_hosts = super::source_net::hosts(&mut f);
    allow_hosts.extend(base_url.as_deref().and_then(super::source_net::host_of));
    let price = f.table("price").and_then(|mut p| {
        let input = p.amount("input");
        p.need("input", "USD per million tokens read");
        let output = p.amount("output");
        p.need("output", "USD per million tokens written");
        let cached_input = p.amount("cached_input");
        let as_of = p.day("as_of").map(|d| d.value);
        p.finish();
        Some(Price { input: input?, output: output?, cached_input, as_of })
    });
    if provider == Provider::OpenaiCompatible {
        f.need("base_url", "where the server is, for example \"http://127.0.0.1:11434/v1\"");
    }
    f.finish();
    let batch = mode.is_some_and(|m| m.value);
    let api_key_env = match provider {
        Provider::Gemini => api_key_env.or(Some(GEMINI_KEY.into())),
        _ => api_key_env,
    };
    name.map(|model| ModelConfig {
        model,
        api_key_env,
        base_url,
        api_version,
        batch,
        batch_poll_ms: batch_poll.unwrap_or(BATCH_POLL_MS),
        price,
        thinking,
        paid,
        call_timeout_ms: timeout.unwrap_or(CALL_TIMEOUT_MS),
        allow_hosts,
    })
}

pub(super) fn query(root: &mut Fields<'_>, strict: bool) -> QueryConfig {
    let mut query = QueryConfig { athena: false, workgroup: None, output: None, max_bytes_scanned: None };
    let Some(mut f) = root.table("query") else { return query };
    if let Some(engine) = f.choice("engine", &[("datafusion", false), ("athena", true)]) {
        query.athena = engine.value;
        if engine.value {
            not_yet(root, strict, &engine.spot, "the engine `athena`", "write engine = \"datafusion\"");
        }
    }
    if let Some(mut athena) = f.table("athena") {
        query.workgroup = athena.string("workgroup");
        query.output = athena.string("output");
        query.max_bytes_scanned = athena.size("max_bytes_scanned");
        athena.finish();
    }
    f.finish();
    query
}

pub(super) fn glue(root: &mut Fields<'_>, strict: bool) -> Option<GlueConfig> {
    let mut catalog = root.table("catalog")?;
    let glue = catalog.table("glue").map(|mut f| {
        let enabled = f.flag("enabled").unwrap_or(false);
        if let (true, Some(entry)) = (enabled, f.entry("enabled")) {
            not_yet(root, strict, &entry.node.spot, "the Glue catalog", "write enabled = false");
        }
        let database = f.string("database");
        if enabled {
            f.need("database", "the Glue database that the tables are registered in");
        }
        f.finish();
        GlueConfig { enabled, database }
    });
    catalog.finish();
    glue
}

pub(super) fn schedules(root: &mut Fields<'_>) -> Vec<ScheduleConfig> {
    let mut out = Vec::new();
    for (entry, mut f) in root.tables("schedules") {
        let cron = f.text("cron");
        f.need("cron", "minute, hour, day, month and weekday, for example cron = \"5 * * * *\"");
        if let Some(cron) = &cron
            && (cron.value.split_whitespace().count() != 5
                || cron.value.chars().any(|c| !(c.is_ascii_alphanumeric() || " */,-".contains(c))))
        {
            f.sink().at(
                &cron.spot,
                error(format!("\"{}\" is not a cron line", cron.value))
                    .help("five fields: minute, hour, day, month, weekday; for example \"5 * * * *\""),
            );
        }
        let select = f.text("select");
        f.need("select", "what to materialize, for example select = \"+layer:gold\"");
        let mut latest = None;
        if let Some(text) = f.text("partitions")
            && text.value != "stale"
        {
            latest = text.value.strip_prefix("latest:").and_then(|n| n.parse().ok()).filter(|n| *n > 0);
            if latest.is_none() {
                f.sink().at(
                    &text.spot,
                    error(format!("`{}` cannot be \"{}\"", f.path_of("partitions"), text.value))
                        .help("\"stale\", or \"latest:7\" for the last seven days"),
                );
            }
        }
        f.finish();
        if let (Some(cron), Some(select)) = (cron, select) {
            out.push(ScheduleConfig { name: entry.key.clone(), cron, select, latest });
        }
    }
    out
}

pub(super) fn sinks(root: &mut Fields<'_>) -> Vec<SinkConfig> {
    let mut out = Vec::new();
    for (entry, mut f) in root.tables("sinks") {
        let kind = f.choice("type", &[("slack", "slack"), ("webhook", "webhook")]);
        f.need("type", "slack or webhook");
        let url_env = f.env_name("url_env");
        if f.has("url") {
            // A webhook's address lets anybody post: it is a secret.
            if let Some(at) = f.entry("url").map(|e| e.at.clone()) {
                f.sink().at(
                    &at,
                    error("the address of a sink is a secret, and secrets do not live in this file")
                        .help("name an environment variable: url_env = \"SLACK_WEBHOOK_URL\""),
                );
            }
        } else {
            f.need("url_env", "the environment variable that holds the address");
        }
        f.finish();
        if let (Some(kind), Some(url_env)) = (kind, url_env) {
            out.push(SinkConfig { name: entry.key.clone(), kind: kind.value.to_string(), url_env });
        }
    }
    out
}

pub(super) fn alerts(root: &mut Fields<'_>, sinks: &[String]) -> Vec<AlertConfig> {
    let mut out = Vec::new();
    for (entry, mut f) in root.tables("alerts") {
        let when = f.choice("when", &[("spike", "spike"), ("new_rows", "new_rows")]);
        f.need("when", "spike or new_rows");
        let asset = f.text("asset");
        f.need("asset", "the table that is watched");
        let metric = f.string("metric");
        let filter = f.text("where");
        let min_count = f.integer("min_count", 0..=i64::MAX).map(|n| n as u64);
        let levels = [("low", "low"), ("medium", "medium"), ("high", "high")];
        let severity = f.choice("severity", &levels).map(|s| s.value.to_string());
        let to = f.some_texts("to").unwrap_or_default();
        f.need("to", "the sinks that are told, for example to = [\"slack\"]");
        for sink in &to {
            if !sinks.contains(&sink.value) {
                f.sink().at(
                    &sink.spot,
                    error(format!("there is no sink `{}`", sink.value)).help(format!(
                        "{}declare it: [sinks.{}]",
                        hint(&sink.value, sinks.iter().map(String::as_str)),
                        sink.value
                    )),
                );
            }
        }
        f.finish();
        if let (Some(when), Some(asset)) = (when, asset) {
            out.push(AlertConfig {
                name: entry.key.clone(),
                when: when.value.to_string(),
                asset: asset.value,
                metric,
                filter,
                min_count,
                severity,
                to: to.into_iter().map(|t| t.value).collect(),
            });
        }
    }
    out
}

/// One warning for what is declared and not run.
pub(super) fn warn_not_run(root: &mut Fields<'_>, strict: bool) {
    let declared: Vec<_> = ["schedules", "alerts"]
        .into_iter()
        .filter_map(|k| root.entry(k).map(|e| (k, e.at.clone())))
        .collect();
    if let (true, Some((_, at))) = (strict, declared.first()) {
        let names: Vec<String> = declared.iter().map(|(k, _)| format!("[{k}]")).collect();
        root.sink().at(
            at,
            warning(format!(
                "{} declared and checked, but not run by this version",
                names.join(" and ") + if names.len() == 1 { " is" } else { " are" }
            ))
            .help("run `rxpulse materialize` from cron or by hand"),
        );
    }
}
