//! `[assets.*]` as written, before bodies and graph.

use super::check::{checks, literal};
use super::model::*;
use super::model_asset::*;
use super::reader::{Fields, error, hint, list};
use super::settings::{PROVIDERS, name_like_an_asset};
use super::spot::{Located, Spot};
use super::tree::Value;
use crate::diagnostic::TextProblem;
use crate::graph::{AssetKey, AssetKind, Layer, PartitionMapping, Partitioning};

/// One `[assets.NAME]` as far as it could be read.
pub(super) struct AssetDraft {
    pub key: AssetKey,
    pub spot: Spot,
    pub layer: Layer,
    /// `None` when it could not be read.
    pub kind: Option<AssetKind>,
    pub partitioning: Partitioning,
    pub deps: Vec<DepDraft>,
    pub tags: Vec<String>,
    pub owners: Vec<String>,
    pub description: String,
    pub pool: Option<Located<String>>,
    pub row_key: Vec<Located<String>>,
    pub checks: Vec<CheckConfig>,
    pub columns: Vec<(String, String)>,
    pub text_columns: Option<Vec<Located<String>>>,
    pub retries: Option<u32>,
    pub timeout_ms: Option<i64>,
    pub sources: Vec<Located<String>>,
    pub provider: Option<Located<Provider>>,
    pub filter: Vec<(Located<String>, Literal)>,
    pub relabel: Relabel,
}

/// One dependency as written.
pub(super) struct DepDraft {
    pub name: String,
    pub mapping: PartitionMapping,
    pub spot: Spot,
}

/// All drafts, and every name under `[assets]`, usable or not.
pub(super) struct Assets {
    pub drafts: Vec<AssetDraft>,
    pub names: Vec<String>,
}

const KINDS: [(&str, AssetKind); 3] =
    [("source", AssetKind::Source), ("sql", AssetKind::Sql), ("enrich", AssetKind::Enrich)];
const LAYERS: [(&str, Layer); 3] =
    [("bronze", Layer::Bronze), ("silver", Layer::Silver), ("gold", Layer::Gold)];

/// Keys that belong to some kinds only.
const SOME_KINDS: [(&str, &[AssetKind]); 7] = [
    ("sources", &[AssetKind::Source]),
    ("deps", &[AssetKind::Sql, AssetKind::Enrich]),
    ("key", &[AssetKind::Sql, AssetKind::Enrich]),
    ("text_columns", &[AssetKind::Sql, AssetKind::Enrich]),
    ("provider", &[AssetKind::Enrich]),
    ("where", &[AssetKind::Enrich]),
    ("relabel", &[AssetKind::Enrich]),
];

pub(super) fn assets(root: &mut Fields<'_>) -> Assets {
    let mut out = Assets { drafts: Vec::new(), names: Vec::new() };
    for (entry, f) in root.tables("assets") {
        out.names.push(entry.key.clone());
        if SystemTable::ALL.iter().any(|t| t.as_str() == entry.key) {
            f.sink().at(
                &entry.at,
                error(format!("`{}` is a table of the product itself and cannot be declared", entry.key))
                    .help("name it in `deps` and it is there; give your own table another name"),
            );
            continue;
        }
        let named = name_like_an_asset(&f, &entry.key, &entry.at, "asset");
        let key = entry.key.parse::<AssetKey>().ok().filter(|_| named);
        // A table with an impossible name is still read, so that all its mistakes show at once.
        let draft = asset(f, key.clone(), entry.at.clone());
        if key.is_some() {
            out.drafts.extend(draft);
        }
    }
    if !root.has("assets") {
        root.need("assets", "declare at least one table: [assets.raw_posts] with kind = \"source\"");
    }
    out
}

fn asset(mut f: Fields<'_>, key: Option<AssetKey>, spot: Spot) -> Option<AssetDraft> {
    let kind = f.choice("kind", &KINDS).map(|k| k.value);
    f.need("kind", "what makes its rows: kind = \"source\", \"sql\" or \"enrich\"");
    let layer = f.choice("layer", &LAYERS).map(|l| l.value);
    f.need("layer", "where it stands: layer = \"bronze\", \"silver\" or \"gold\"");
    let partitions = f.choice("partitions", &[("daily", Partitioning::Daily), ("none", Partitioning::None)]);
    let tags = plain(f.texts("tags"));
    let owners = plain(f.texts("owners"));
    let description = f.string("description").unwrap_or_default();
    let pool = f.text("pool");
    let retries = f.integer("retries", 0..=100).map(|n| n as u32);
    let timeout_ms = f.positive_duration("timeout");
    let checks = checks(&mut f);
    let columns = columns(&mut f);

    let has = |kind: Option<AssetKind>, of: &[AssetKind]| kind.is_none_or(|k| of.contains(&k));
    let (mut sources, mut deps, mut row_key) = (Vec::new(), Vec::new(), Vec::new());
    let mut text_columns = None;
    let (mut provider, mut filter, mut relabel) = (None, Vec::new(), Relabel::New);
    if has(kind, &[AssetKind::Source]) {
        sources = f.some_texts("sources").unwrap_or_default();
    }
    if has(kind, &[AssetKind::Sql, AssetKind::Enrich]) {
        deps = self::deps(&mut f);
        row_key = self::row_key(&mut f);
        text_columns = f.texts("text_columns");
    }
    if has(kind, &[AssetKind::Enrich]) {
        provider = f.choice("provider", &PROVIDERS);
        filter = self::filter(&mut f);
        relabel = self::relabel(&mut f);
    }
    match kind {
        Some(AssetKind::Source) => {
            f.need("sources", "the sources that are captured into it: sources = [\"sample\"]");
            if let Some(p) = partitions.as_ref().filter(|p| p.value == Partitioning::None) {
                f.sink().at(
                    &p.spot,
                    error("a source asset is always daily").help("posts lie under their day of creation"),
                );
            }
        }
        Some(AssetKind::Sql) => {
            f.need("deps", "the tables its SQL reads: deps = [\"silver_posts\"]");
            need_key(&f);
        }
        Some(AssetKind::Enrich) => {
            f.need("deps", "the table whose posts are read: deps = [\"silver_posts\"]");
            need_key(&f);
            one_dep(&f, &deps, partitions.as_ref());
        }
        _ => {}
    }
    f.finish_with(|key| foreign(key, kind));
    Some(AssetDraft {
        key: key?,
        spot,
        layer: layer.unwrap_or(Layer::Gold),
        kind,
        partitioning: partitions.map_or(Partitioning::Daily, |p| p.value),
        deps,
        tags,
        owners,
        description,
        pool,
        row_key,
        checks,
        columns,
        text_columns,
        retries,
        timeout_ms,
        sources,
        provider,
        filter,
        relabel,
    })
}

fn plain(texts: Option<Vec<Located<String>>>) -> Vec<String> {
    texts.unwrap_or_default().into_iter().map(|t| t.value).collect()
}

fn need_key(f: &Fields<'_>) {
    f.need(
        "key",
        "the columns that identify a row, for example key = [\"post_id\"]: rows are sorted by them, so that equal content gives equal files",
    );
}

/// A key that another kind of asset has.
fn foreign(key: &str, kind: Option<AssetKind>) -> Option<TextProblem> {
    let (_, kinds) = SOME_KINDS.iter().find(|(k, _)| *k == key)?;
    let kind = kind?;
    let words: Vec<String> = kinds.iter().map(|k| format!("kind = \"{}\"", k.as_str())).collect();
    let why = match (key, kind) {
        ("deps", _) => "a source asset reads its `sources`, no tables",
        ("key", _) => "a post is identified by its platform and id; leave it out",
        ("text_columns", _) => "captured posts always lose all their texts; leave it out",
        ("sources", _) => "name the source asset in `deps` instead",
        _ => "leave it out, or change the kind",
    };
    Some(error(format!("`{key}` belongs to {}", words.join(" and "))).help(why))
}

fn row_key(f: &mut Fields<'_>) -> Vec<Located<String>> {
    let columns = f.some_texts("key").unwrap_or_default();
    for column in &columns {
        if column.value == "dt" {
            f.sink().at(
                &column.spot,
                error("`dt` does not belong into `key`")
                    .help("a key is unique within a day; the day is the partition"),
            );
        }
    }
    columns
}

fn columns(f: &mut Fields<'_>) -> Vec<(String, String)> {
    let Some(table) = f.table("columns") else { return Vec::new() };
    let mut out = Vec::new();
    for entry in table.all() {
        match &entry.node.value {
            Value::Text(text) => out.push((entry.key.clone(), text.clone())),
            _ => table.wrong(&entry.node, &entry.key, "a string that says what the column means"),
        }
    }
    out
}

fn deps(f: &mut Fields<'_>) -> Vec<DepDraft> {
    let Some(entry) = f.entry("deps") else { return Vec::new() };
    match &entry.node.value {
        Value::Array(_) => f
            .some_texts("deps")
            .unwrap_or_default()
            .into_iter()
            .map(|t| DepDraft { name: t.value, mapping: PartitionMapping::Same, spot: t.spot })
            .collect(),
        Value::Table(table) => {
            if table.entries.is_empty() {
                f.sink().at(
                    &entry.node.spot,
                    error(format!("`{}` is empty", f.path_of("deps"))).help("name at least one"),
                );
            }
            let Some(table) = f.table("deps") else { return Vec::new() };
            let mut out = Vec::new();
            for dep in table.all() {
                let mapping = mapping(&table, dep);
                out.push(DepDraft {
                    name: dep.key.clone(),
                    mapping: mapping.unwrap_or(PartitionMapping::Same),
                    spot: dep.at.clone(),
                });
            }
            out
        }
        _ => {
            f.wrong(&entry.node, "deps", "an array of asset names, or a table of names and mappings");
            Vec::new()
        }
    }
}

const MAPPINGS: [(&str, PartitionMapping); 3] =
    [("same", PartitionMapping::Same), ("latest", PartitionMapping::Latest), ("all", PartitionMapping::All)];

fn mapping(table: &Fields<'_>, dep: &super::tree::Entry) -> Option<PartitionMapping> {
    match &dep.node.value {
        Value::Text(text) => {
            let text = Located::new(text.clone(), dep.node.spot.clone());
            table.choose(&text, &dep.key, &MAPPINGS)
        }
        Value::Table(_) => {
            let mut f = Fields::of(table.path_of(&dep.key), dep, table.sink())?;
            let days = f.integer("days_before", 0..=3_660);
            f.need("days_before", "how many days before are read as well: { days_before = 7 }");
            f.finish();
            match days? {
                0 => Some(PartitionMapping::Same),
                days => Some(PartitionMapping::Trailing { days: days as u32 }),
            }
        }
        _ => {
            table.wrong(&dep.node, &dep.key, "\"same\", \"latest\", \"all\" or { days_before = N }");
            None
        }
    }
}

/// An enrichment reads one daily table, the same day, and what people said of its posts.
fn one_dep(f: &Fields<'_>, deps: &[DepDraft], partitions: Option<&Located<Partitioning>>) {
    if let Some(p) = partitions.filter(|p| p.value == Partitioning::None) {
        f.sink().at(
            &p.spot,
            error("an enrich asset is always daily").help("it reads the posts of a day and writes that day"),
        );
    }
    let labels = SystemTable::Labels.as_str();
    let posts: Vec<&DepDraft> = deps.iter().filter(|d| d.name != labels).collect();
    if let Some(second) = posts.get(1) {
        f.sink().at(
            &second.spot,
            error("an enrich asset reads exactly one table of posts")
                .help("join what it needs in a SQL asset and name that one; `labels` may stand beside it"),
        );
    }
    if let (Some(only), true) = (deps.first(), posts.is_empty()) {
        f.sink().at(
            &only.spot,
            error("an enrich asset reads a table of posts, and `labels` only beside it")
                .help("name that table as well: deps = [\"silver_posts\", \"labels\"]"),
        );
    }
    for dep in deps.iter().filter(|d| d.mapping != PartitionMapping::Same) {
        f.sink().at(
            &dep.spot,
            error(format!("an enrich asset cannot read `{}` by `{}`", dep.name, dep.mapping))
                .help("it reads the posts of its own day"),
        );
    }
}

fn filter(f: &mut Fields<'_>) -> Vec<(Located<String>, Literal)> {
    let Some(table) = f.table("where") else { return Vec::new() };
    let mut out = Vec::new();
    for entry in table.all() {
        match literal(&entry.node) {
            // The place is the value's: that is what a taxonomy can refuse.
            Some(value) => out.push((Located::new(entry.key.clone(), entry.node.spot.clone()), value)),
            None => table.wrong(&entry.node, &entry.key, "a text, a number or a boolean"),
        }
    }
    out
}

fn relabel(f: &mut Fields<'_>) -> Relabel {
    let Some(text) = f.text("relabel") else { return Relabel::New };
    match text.value.as_str() {
        "new" => return Relabel::New,
        "all" => return Relabel::All,
        other => {
            if let Some(day) = other.strip_prefix("since:").and_then(|d| d.parse().ok()) {
                return Relabel::Since(day);
            }
        }
    }
    f.sink().at(
        &text.spot,
        error(format!("`{}` cannot be \"{}\"", f.path_of("relabel"), text.value))
            .help(format!("{}\"new\", \"all\", or \"since:2026-11-01\"", hint(&text.value, ["new", "all"]))),
    );
    Relabel::New
}

/// The names of assets as a person may write them in `deps`.
pub(super) fn known_names(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).chain(SystemTable::ALL.iter().map(|t| t.as_str())).collect()
}

/// Help for a name that is no asset.
pub(super) fn no_such_asset(name: &str, names: &[String]) -> TextProblem {
    error(format!("there is no asset `{name}`")).help(format!(
        "{}the assets are: {}",
        hint(name, known_names(names)),
        list(known_names(names))
    ))
}
