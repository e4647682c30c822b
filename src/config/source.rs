//! `[sources.*]`: where posts come from.

use globset::GlobBuilder;

use super::model_source::*;
use super::reader::{Fields, error, hint, list};
use super::settings::name_like_an_asset;
use super::source_net;
use super::spot::Located;
use super::tree::Value;
use crate::envelope::PostType;
use crate::graph::{Day, DayRange};

/// The kinds of sources.
const TYPES: [(&str, &str); 7] = [
    ("files", "files"),
    ("sample", "sample"),
    ("reddit", "reddit"),
    ("reddit_archive", "reddit_archive"),
    ("app_store", "app_store"),
    ("feed", "feed"),
    ("crawl", "crawl"),
];

/// The envelope fields that a column map may fill.
const FIELDS: [&str; 16] = [
    "native_id",
    "channel",
    "created_at",
    "title",
    "body",
    "url",
    "author",
    "score",
    "num_comments",
    "rating",
    "parent_id",
    "link_title",
    "crosspost_parent",
    "edited_at",
    "deleted",
    "fetched_at",
];

const DAY_AND_A_HALF_MS: i64 = 36 * 3_600_000;

pub(super) fn sources(root: &mut Fields<'_>) -> Vec<SourceConfig> {
    let mut out = Vec::new();
    let tables = root.tables("sources");
    let names: Vec<&str> = tables.iter().map(|(e, _)| e.key.as_str()).collect();
    for (entry, mut f) in tables {
        name_like_an_asset(&f, &entry.key, &entry.at, "source");
        let required = f.flag("required").unwrap_or(false);
        let settle_ms = f.duration("settle").unwrap_or(DAY_AND_A_HALF_MS);
        let fallback = f.some_texts("fallback").unwrap_or_default();
        for other in &fallback {
            if other.value == entry.key {
                f.sink().at(&other.spot, error(format!("`{}` cannot step in for itself", entry.key)));
            } else if !names.contains(&other.value.as_str()) {
                f.sink().at(
                    &other.spot,
                    error(format!("there is no source `{}`", other.value)).help(format!(
                        "{}declare it: [sources.{}]",
                        hint(&other.value, names.iter().copied()),
                        other.value
                    )),
                );
            }
        }
        let type_name = f.choice("type", &TYPES);
        f.need("type", "one of: files, sample, reddit, reddit_archive, app_store, feed, crawl");
        let Some(type_name) = type_name else { continue };
        let platform = f.text("platform").filter(|p| name_like_an_asset(&f, &p.value, &p.spot, "platform"));
        let platform = platform.map(|p| p.value);
        let (mut every_ms, mut allow_hosts) = (0, Vec::new());
        if !matches!(type_name.value, "files" | "sample") {
            (every_ms, allow_hosts) = source_net::common(&mut f, type_name.value);
        }
        let (kind, default_platform) = match type_name.value {
            "files" => files(&mut f, platform.as_deref()),
            "sample" => (sample(&mut f), None),
            "reddit" => (source_net::reddit(&mut f, &mut allow_hosts), Some("reddit")),
            "reddit_archive" => (source_net::archive(&mut f, &mut allow_hosts), Some("reddit")),
            "app_store" => (source_net::app_store(&mut f, &mut allow_hosts), Some("app_store")),
            "feed" => (source_net::feed(&mut f), Some("web")),
            _ => (source_net::crawl(&mut f, &entry.at), Some("web")),
        };
        f.finish();
        out.push(SourceConfig {
            name: entry.key.clone(),
            spot: entry.at.clone(),
            kind,
            platform: platform.or(default_platform.map(str::to_string)),
            required,
            settle_ms,
            fallback: fallback.into_iter().map(|t| t.value).collect(),
            every_ms,
            allow_hosts,
        });
    }
    out
}

fn sample(f: &mut Fields<'_>) -> SourceKind {
    SourceKind::Sample(SampleConfig {
        posts_per_day: f.integer("posts_per_day", 1..=10_000_000).unwrap_or(400) as u32,
        seed: f.integer("seed", 0..=i64::MAX).unwrap_or(7) as u64,
        malformed_per_mille: f.integer("malformed_per_mille", 0..=1_000).unwrap_or(2) as u32,
    })
}

fn files(f: &mut Fields<'_>, platform: Option<&str>) -> (SourceKind, Option<&'static str>) {
    f.need("glob", "which files, for example glob = \"in/**/*.{ndjson,csv,zst,gz}\"");
    let glob = globs(f, "glob");
    let generic = f.choice("format", &[("reddit", false), ("generic", true)]);
    f.need("format", "\"reddit\" for Reddit's own objects, \"generic\" with a `map` for anything else");
    let covers = covers(f);
    let max_record_bytes = match f.size("max_record_bytes") {
        None => 4 << 20,
        Some(n) if n <= 64 << 20 => n,
        Some(n) => {
            if let Some(entry) = f.entry("max_record_bytes") {
                f.sink().at(
                    &entry.node.spot,
                    error(format!("`{}` is above 64MiB", f.path_of("max_record_bytes")))
                        .help("a record is held in memory while it is read"),
                );
            }
            n
        }
    };
    let map = map(f);
    let post_type = f.choice(
        "post_type",
        &[
            ("post", PostType::Post),
            ("comment", PostType::Comment),
            ("review", PostType::Review),
            ("ticket", PostType::Ticket),
        ],
    );
    let is_generic = generic.as_ref().is_some_and(|g| g.value);
    if is_generic {
        f.need("platform", "the site these posts are from, for example platform = \"trustpilot\"");
        f.need(
            "map",
            "which column fills which field: map = { native_id = \"id\", created_at = \"date\", body = \"text\" }",
        );
        if let (true, Some(entry)) = (f.has("map"), f.entry("map")) {
            for field in ["native_id", "created_at"] {
                let missing = matches!(&entry.node.value, Value::Table(t) if t.get(field).is_none());
                if missing {
                    f.sink().at(
                        &entry.at,
                        error(format!("`{}` lacks `{field}`", f.path_of("map")))
                            .help("a post needs an id of its own and the time it was written"),
                    );
                }
            }
        }
    } else if generic.is_some() {
        for key in ["map", "post_type"] {
            if let (true, Some(at)) = (f.has(key), f.entry_at(key)) {
                f.sink().at(
                    &at,
                    error(format!("`{}` belongs to format = \"generic\"", f.path_of(key)))
                        .help("Reddit's objects have fixed fields; leave it out"),
                );
            }
        }
    }
    let format = if is_generic {
        FileFormat::Generic {
            platform: platform.unwrap_or_default().to_string(),
            post_type: post_type.map_or(PostType::Review, |p| p.value),
            map,
        }
    } else {
        FileFormat::Reddit
    };
    let default_platform = (!is_generic).then_some("reddit");
    (SourceKind::Files(FilesConfig { glob, format, covers, max_record_bytes }), default_platform)
}

/// One pattern of files, or several.
pub(super) fn globs(f: &mut Fields<'_>, key: &'static str) -> Vec<Located<String>> {
    let Some(entry) = f.entry(key) else { return Vec::new() };
    let globs = match &entry.node.value {
        Value::Array(_) => f.some_texts(key).unwrap_or_default(),
        _ => f.text(key).into_iter().collect(),
    };
    for glob in &globs {
        if let Err(why) = GlobBuilder::new(&glob.value).literal_separator(true).build() {
            f.sink().at(
                &glob.spot,
                error(format!("`{}` is not a pattern of files: {}", f.path_of(key), why.kind()))
                    .help("`*` is any part of a name, `**` any folders, `{a,b}` either"),
            );
        }
    }
    globs
}

/// `2026-08-01/2026-10-29`.
fn covers(f: &mut Fields<'_>) -> Option<DayRange> {
    let text = f.text("covers")?;
    let range = text.value.split_once('/').and_then(|(from, to)| {
        let (from, to) = (from.trim().parse::<Day>().ok()?, to.trim().parse::<Day>().ok()?);
        Some((from, to))
    });
    let problem = match range {
        Some((from, to)) => match DayRange::new(from, to) {
            Some(range) => return Some(range),
            None => error(format!("`{}` ends before it starts", f.path_of("covers")))
                .help("first day, then last day"),
        },
        None => error(format!("`{}` is not a range of days: \"{}\"", f.path_of("covers"), text.value))
            .help("write the first and the last day: \"2026-08-01/2026-10-29\""),
    };
    f.sink().at(&text.spot, problem);
    None
}

fn map(f: &mut Fields<'_>) -> Vec<(String, Located<ColumnExpr>)> {
    let Some(map) = f.table("map") else { return Vec::new() };
    let mut out = Vec::new();
    for entry in map.all() {
        let field = entry.key.as_str();
        if !FIELDS.contains(&field) {
            map.sink().at(
                &entry.at,
                error(format!("`{field}` is not a field of a post")).help(format!(
                    "{}the fields are: {}",
                    hint(field, FIELDS),
                    list(FIELDS)
                )),
            );
            continue;
        }
        let Value::Text(text) = &entry.node.value else {
            map.wrong(&entry.node, field, "a column's name, or a text in single quotes");
            continue;
        };
        let expr = match text.strip_prefix('\'') {
            Some(rest) => match rest.strip_suffix('\'') {
                Some(literal) => ColumnExpr::Literal(literal.to_string()),
                None => {
                    map.sink().at(
                        &entry.node.spot,
                        error(format!("`{}` has no closing quote", map.path_of(field)))
                            .help("a text for every record stands in single quotes: \"'trustpilot.com'\""),
                    );
                    continue;
                }
            },
            None if text.is_empty() => {
                map.sink().at(&entry.node.spot, error(format!("`{}` is empty", map.path_of(field))));
                continue;
            }
            None => ColumnExpr::Column(text.clone()),
        };
        if matches!((field, &expr), ("native_id", ColumnExpr::Literal(_))) {
            map.sink().at(
                &entry.node.spot,
                error("every post would have the same id")
                    .help("name the column that holds each record's own id"),
            );
            continue;
        }
        out.push((field.to_string(), Located::new(expr, entry.node.spot.clone())));
    }
    out
}
