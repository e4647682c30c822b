//! `checks = [ … ]`: what an asset's rows must satisfy.

use super::model_asset::*;
use super::reader::{Fields, error, list};
use super::spot::Located;
use super::tree::{Node, Value};
use crate::graph::AssetKey;

#[derive(Clone, Copy)]
enum Kind {
    NotNull,
    Unique,
    AcceptedValues,
    RowCount,
    Custom,
    FreshWithin,
    Relationship,
    UniqueAcrossDays,
}

const KINDS: [(&str, Kind); 8] = [
    ("not_null", Kind::NotNull),
    ("unique", Kind::Unique),
    ("accepted_values", Kind::AcceptedValues),
    ("row_count", Kind::RowCount),
    ("custom", Kind::Custom),
    ("fresh_within", Kind::FreshWithin),
    ("relationship", Kind::Relationship),
    ("unique_across_days", Kind::UniqueAcrossDays),
];

pub(super) fn checks(f: &mut Fields<'_>) -> Vec<CheckConfig> {
    let Some(entry) = f.entry("checks") else { return Vec::new() };
    let Value::Array(items) = &entry.node.value else {
        f.wrong(
            &entry.node,
            "checks",
            "an array of tables such as { type = \"not_null\", columns = [\"id\"] }",
        );
        return Vec::new();
    };
    let mut out: Vec<CheckConfig> = Vec::new();
    for item in items {
        let path = f.path_of("checks");
        if !matches!(item.value, Value::Table(_)) {
            f.wrong(item, "checks", "an array of tables such as { type = \"not_null\", columns = [\"id\"] }");
            continue;
        }
        let Some(fields) = Fields::of_node(path, item, item.spot.clone(), f.sink()) else { continue };
        let Some(check) = check(fields, item) else { continue };
        if out.iter().any(|c| c.name == check.name) {
            f.sink().at(
                &check.spot,
                error(format!("two checks of [{}] are called `{}`", f.path, check.name))
                    .help("give one of them another `name`"),
            );
        }
        out.push(check);
    }
    out
}

fn check(mut f: Fields<'_>, item: &Node) -> Option<CheckConfig> {
    let kind = f.choice("type", &KINDS);
    f.need("type", &format!("one of: {}", list(KINDS.iter().map(|k| k.0))));
    let severity = f
        .choice("severity", &[("error", CheckSeverity::Error), ("warn", CheckSeverity::Warn)])
        .map_or(CheckSeverity::Error, |s| s.value);
    let name = f.string("name");
    let kind = read(&mut f, kind?.value);
    f.finish();
    let kind = kind?;
    let name = name.unwrap_or_else(|| {
        let columns = list(kind.columns().iter().map(|c| c.value.as_str()));
        if columns.is_empty() { kind.as_str().to_string() } else { format!("{}({columns})", kind.as_str()) }
    });
    Some(CheckConfig { name, kind, severity, spot: item.spot.clone() })
}

fn columns(f: &mut Fields<'_>) -> Option<Vec<Located<String>>> {
    let columns = f.some_texts("columns");
    f.need("columns", "the columns that are checked, for example columns = [\"post_id\"]");
    columns
}

fn read(f: &mut Fields<'_>, kind: Kind) -> Option<CheckKind> {
    match kind {
        Kind::NotNull => columns(f).map(|columns| CheckKind::NotNull { columns }),
        Kind::Unique => columns(f).map(|columns| CheckKind::Unique { columns }),
        Kind::UniqueAcrossDays => columns(f).map(|columns| CheckKind::UniqueAcrossDays { columns }),
        Kind::AcceptedValues => {
            let columns = columns(f);
            let values = accepted(f);
            Some(CheckKind::AcceptedValues { columns: columns?, values: values? })
        }
        Kind::RowCount => {
            let min = f.integer("min", 0..=i64::MAX).map(|n| n as u64);
            let max = f.integer("max", 0..=i64::MAX).map(|n| n as u64);
            if !f.has("min") {
                f.need("max", "write min, max or both: { type = \"row_count\", min = 1 }");
            }
            if let (Some(low), Some(high), Some(entry)) = (min, max, f.entry("max"))
                && low > high
            {
                f.sink().at(&entry.node.spot, error(format!("`max` {high} is below `min` {low}")));
            }
            Some(CheckKind::RowCount { min, max })
        }
        Kind::Custom => custom(f),
        Kind::FreshWithin => {
            let max_age_ms = f.positive_duration("max_age");
            f.need("max_age", "how old the newest rows may be, for example max_age = \"36h\"");
            Some(CheckKind::FreshWithin { max_age_ms: max_age_ms? })
        }
        Kind::Relationship => relationship(f),
    }
}

fn accepted(f: &mut Fields<'_>) -> Option<AcceptedValues> {
    let from = f.choice("from", &[("issue_taxonomy", ())]);
    let entry = f.entry("values");
    match (entry, f.has("from")) {
        (Some(entry), true) => {
            f.sink().at(
                &entry.at,
                error("`values` and `from` together: which ones are accepted?").help("keep one of the two"),
            );
            None
        }
        (None, true) => from.map(|_| AcceptedValues::IssueTaxonomy),
        (None, false) => {
            f.need("values", "the accepted values: values = [\"a\", \"b\"], or from = \"issue_taxonomy\"");
            None
        }
        (Some(entry), false) => {
            let Value::Array(items) = &entry.node.value else {
                f.wrong(&entry.node, "values", "an array of texts, numbers or booleans");
                return None;
            };
            if items.is_empty() {
                f.sink().at(
                    &entry.node.spot,
                    error(format!("`{}` is empty", f.path_of("values"))).help("name at least one"),
                );
            }
            let values = items.iter().filter_map(|item| {
                let value = literal(item);
                if value.is_none() {
                    f.wrong(item, "values", "an array of texts, numbers or booleans");
                }
                value
            });
            Some(AcceptedValues::List(values.collect()))
        }
    }
}

fn custom(f: &mut Fields<'_>) -> Option<CheckKind> {
    f.need("name", "a custom check is told by its name, for example name = \"score_is_positive\"");
    let violates = f.text("violates");
    let sql = f.text("sql");
    if f.has("violates") && f.has("sql") {
        if let Some(at) = f.entry_at("sql") {
            f.sink().at(
                &at,
                error("`violates` and `sql` together: which one is the check?").help("keep one of the two"),
            );
        }
        return None;
    }
    if !f.has("sql") {
        f.need(
            "violates",
            "a condition that no row may meet: violates = \"score < 0\"; or sql = \"SELECT …\" that must come back empty",
        );
    }
    violates.map(|condition| CheckKind::Violates { condition }).or(sql.map(|query| CheckKind::Sql { query }))
}

fn relationship(f: &mut Fields<'_>) -> Option<CheckKind> {
    let column = f.text("column");
    f.need("column", "the column whose values must exist elsewhere");
    let to = f.text("to");
    f.need("to", "an asset and its column: to = \"silver_posts.post_id\"");
    let to = to?;
    let parsed = to
        .value
        .split_once('.')
        .and_then(|(asset, column)| Some((asset.parse::<AssetKey>().ok()?, column.to_string())))
        .filter(|(_, column)| !column.is_empty() && !column.contains('.'));
    let Some((to_asset, to_column)) = parsed else {
        f.sink().at(
            &to.spot,
            error(format!("\"{}\" is not an asset and its column", to.value))
                .help("write them with a dot between: to = \"silver_posts.post_id\""),
        );
        return None;
    };
    Some(CheckKind::Relationship { column: column?, to_asset, to_column })
}

/// A plain value; `None` for arrays, tables and dates.
pub(super) fn literal(node: &Node) -> Option<Literal> {
    match &node.value {
        Value::Text(text) => Some(Literal::Text(text.clone())),
        Value::Integer(n) => Some(Literal::Integer(*n)),
        Value::Float(n) => Some(Literal::Float(*n)),
        Value::Flag(flag) => Some(Literal::Flag(*flag)),
        _ => None,
    }
}
