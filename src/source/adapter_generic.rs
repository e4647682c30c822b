//! Any other export: a column map says which column is which field.
//!
//! The same for CSV rows and JSON objects. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use jiff::tz::TimeZone;

use super::adapter::{Loose, Reject, in_years};
use super::adapter_reddit::FileFacts;
#[cfg(doc)]
use super::splice;
use crate::diagnostic::did_you_mean;
use crate::envelope::{Envelope, PostType, Text};

/// In every envelope; another number when the same bytes are mapped differently.
pub(super) const VERSION: &str = "generic/2";

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// A field of the envelope that a column can fill.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
        pub enum Field { $($(#[$doc])* $variant,)* }

        impl Field {
            /// Every field, in the order of the envelope.
            pub const ALL: &'static [Field] = &[$(Field::$variant,)*];

            /// Its name in a map.
            pub fn as_str(self) -> &'static str {
                match self { $(Field::$variant => $name,)* }
            }
        }
    };
}

fields! {
    /// The site's own id.
    NativeId = "native_id",
    /// Forum, product, shop.
    Channel = "channel",
    /// When it was written.
    CreatedAt = "created_at",
    /// Headline.
    Title = "title",
    /// Text.
    Body = "body",
    /// Link.
    Url = "url",
    /// Who wrote it.
    Author = "author",
    /// Votes.
    Score = "score",
    /// Answers.
    NumComments = "num_comments",
    /// Stars.
    Rating = "rating",
    /// What it answers.
    ParentId = "parent_id",
    /// The headline of the thread.
    LinkTitle = "link_title",
    /// What it repeats.
    CrosspostParent = "crosspost_parent",
    /// When it was changed.
    EditedAt = "edited_at",
    /// Whether it is deleted at the site.
    Deleted = "deleted",
    /// When it was exported.
    FetchedAt = "fetched_at",
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a field's value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ColumnExpr {
    /// A column of the CSV file, or a key of the JSON object (`a.b` looks into nested ones).
    Column(String),
    /// The same text for every record, written in single quotes.
    Literal(String),
}

impl ColumnExpr {
    /// Reads `name` or `'literal'`.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
            Some(literal) => ColumnExpr::Literal(literal.to_string()),
            None => ColumnExpr::Column(text.to_string()),
        }
    }
}

/// What is wrong with a column map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapProblem {
    /// A key of the map is no field.
    #[error("`{name}` is not a field of a post{}", .meant.map_or(String::new(), |m| format!("; did you mean `{m}`?")))]
    UnknownField {
        /// As written.
        name: String,
        /// The field most likely meant.
        meant: Option<&'static str>,
    },
    /// A field that every post needs is not mapped.
    #[error("the map needs `{0}`: without it no post can be told from another or put on a day")]
    Needs(&'static str),
    /// Neither a title nor a body is mapped.
    #[error("the map needs `title` or `body`: there would be nothing to read")]
    NeedsText,
}

/// The column map of a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GenericMap {
    /// The site the posts are from.
    pub platform: String,
    /// What each record is.
    pub post_type: PostType,
    columns: BTreeMap<Field, ColumnExpr>,
}

impl GenericMap {
    /// Checks a map of field names to column expressions. Every problem is returned.
    pub fn new<'a>(
        platform: &str,
        post_type: PostType,
        map: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<MapProblem>> {
        let mut problems = Vec::new();
        let mut columns = BTreeMap::new();
        for (name, column) in map {
            match Field::ALL.iter().find(|f| f.as_str() == name) {
                Some(field) => {
                    columns.insert(*field, ColumnExpr::parse(column));
                }
                None => problems.push(MapProblem::UnknownField {
                    name: name.to_string(),
                    meant: did_you_mean(name, Field::ALL.iter().map(|f| f.as_str())),
                }),
            }
        }
        for needed in [Field::NativeId, Field::CreatedAt] {
            if !matches!(columns.get(&needed), Some(ColumnExpr::Column(_))) {
                problems.push(MapProblem::Needs(needed.as_str()));
            }
        }
        if !columns.contains_key(&Field::Title) && !columns.contains_key(&Field::Body) {
            problems.push(MapProblem::NeedsText);
        }
        if problems.is_empty() {
            Ok(Self { platform: platform.to_string(), post_type, columns })
        } else {
            Err(problems)
        }
    }

    /// The columns the map names, with the fields they fill.
    pub fn columns(&self) -> impl Iterator<Item = (Field, &str)> {
        self.columns.iter().filter_map(|(field, expr)| match expr {
            ColumnExpr::Column(name) => Some((*field, name.as_str())),
            ColumnExpr::Literal(_) => None,
        })
    }

    /// The column or key that holds an author, as the map names it; see [`splice::is_author`].
    pub(super) fn author_column(&self) -> Option<&str> {
        match self.columns.get(&Field::Author)? {
            ColumnExpr::Column(name) => Some(name),
            ColumnExpr::Literal(_) => None,
        }
    }

    /// Text that changes when the map does.
    pub(super) fn version_text(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(|(f, e)| format!("{f}={e:?}")).collect();
        format!("{:?} {} {}", self.platform, self.post_type.as_str(), columns.join(" "))
    }
}

/// Maps one record. `value` gives the value of a column. The envelope's `raw` and `seq` are
/// left to the caller.
pub(super) fn map<'a>(
    map: &'a GenericMap,
    value: &mut dyn FnMut(&str) -> Loose<'a>,
    zone: &TimeZone,
    file: &FileFacts<'a>,
) -> Result<Envelope<'a>, Reject> {
    let mut field = |field: Field| match map.columns.get(&field) {
        None => Loose::Null,
        Some(ColumnExpr::Literal(text)) => Loose::Text(Cow::Borrowed(text.as_str())),
        Some(ColumnExpr::Column(name)) => value(name),
    };
    let native_id = match field(Field::NativeId) {
        Loose::Null => return Err(Reject::new("missing_id", "native_id is missing")),
        Loose::Text(id) if id.trim().is_empty() => {
            return Err(Reject::new("missing_id", "native_id is empty"));
        }
        Loose::Text(id) if id.len() <= 512 => id,
        Loose::Int(id) => Cow::Owned(id.to_string()),
        other => return Err(Reject::mistyped("native_id", &other)),
    };
    let created_at = match field(Field::CreatedAt) {
        Loose::Null => return Err(Reject::new("missing_created_at", "created_at is missing")),
        Loose::Text(text) if text.trim().is_empty() => {
            return Err(Reject::new("missing_created_at", "created_at is empty"));
        }
        value => moment(&value, zone)
            .ok_or_else(|| Reject::new("bad_created_at", "created_at is not a time that is understood"))?,
    };
    let mut time = |f: Field| match field(f) {
        Loose::Null => Ok(None),
        Loose::Text(text) if text.trim().is_empty() => Ok(None),
        value if value.is_nan() => Ok(None),
        value => match moment(&value, zone) {
            Some(ms) => Ok(Some(ms)),
            None => Err(Reject::mistyped(f.as_str(), &value)),
        },
    };
    let edited_at = time(Field::EditedAt)?;
    let fetched_at = file.fetched_at(time(Field::FetchedAt)?);
    let deleted = match field(Field::Deleted) {
        Loose::Null => false,
        Loose::Bool(deleted) => deleted,
        Loose::Int(n @ (0 | 1)) => n == 1,
        Loose::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "" | "false" | "no" | "n" | "0" => false,
            "true" | "yes" | "y" | "1" => true,
            _ => return Err(Reject::mistyped("deleted", &Loose::Text(text))),
        },
        other => return Err(Reject::mistyped("deleted", &other)),
    };
    let mut text = |f: Field| field(f).text(f.as_str()).map(|text| text.map(Text));
    let author = text(Field::Author)?.filter(|name| !name.as_str().is_empty());
    Ok(Envelope {
        platform: map.platform.as_str().into(),
        source: file.source.into(),
        native_id: Text(native_id),
        post_type: map.post_type,
        channel: text(Field::Channel)?,
        created_at: Some(created_at),
        title: text(Field::Title)?,
        body: text(Field::Body)?,
        url: text(Field::Url)?.filter(|url| !url.as_str().is_empty()),
        author: author
            .and_then(|name| file.redactor.replace(name.as_str()).map(|n| Text(Cow::Owned(n.into_owned())))),
        parent_id: text(Field::ParentId)?.filter(|id| !id.as_str().is_empty()),
        link_title: text(Field::LinkTitle)?.filter(|title| !title.as_str().is_empty()),
        crosspost_parent: text(Field::CrosspostParent)?.filter(|id| !id.as_str().is_empty()),
        score: field(Field::Score).integer("score")?,
        num_comments: field(Field::NumComments).integer("num_comments")?,
        rating: field(Field::Rating).number("rating")?,
        edited_at,
        deleted,
        fetched_at,
        locator: file.locator.into(),
        seq: 0,
        adapter_version: VERSION.into(),
        raw: "".into(),
    })
}

/// A moment in any of the forms that exports use: seconds or milliseconds since 1970,
/// RFC 3339, RFC 2822, a date with or without a time of day. Without an offset it is in
/// the project's time zone. Day-first and month-first dates are not guessed.
pub(super) fn moment(value: &Loose<'_>, zone: &TimeZone) -> Option<i64> {
    let number = |n: f64| {
        if n.abs() >= 1e11 {
            (n.is_finite() && n.abs() < 1e15).then(|| n.round() as i64).and_then(in_years)
        } else {
            Loose::Float(n).epoch_seconds()
        }
    };
    let text = match value {
        Loose::Int(n) => return number(*n as f64),
        Loose::Float(n) => return number(*n),
        Loose::Text(text) => text.trim(),
        _ => return None,
    };
    // A number as text must be longer than a year, so that "2024" is no moment in 1970.
    if text.len() >= 9 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return number(text.parse().ok()?);
    }
    if !text.as_bytes().first()?.is_ascii_digit()
        || text.as_bytes().get(1) == Some(&b' ')
        || text.contains(',')
    {
        return jiff::fmt::rfc2822::parse(text)
            .ok()
            .map(|z| z.timestamp().as_millisecond())
            .and_then(in_years);
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return in_years(at.as_millisecond());
    }
    // `2026-11-01 10:00:00 UTC`, as many tools print it.
    let (plain, zone) = match text.strip_suffix(" UTC") {
        Some(plain) => (plain, &TimeZone::UTC),
        None => (text, zone),
    };
    let shape = plain.len() >= 10 && plain.as_bytes()[4] == b'-' && plain.as_bytes()[7] == b'-';
    let at = shape.then(|| plain.parse::<jiff::civil::DateTime>().ok()).flatten()?;
    zone.to_ambiguous_zoned(at).compatible().ok().map(|z| z.timestamp().as_millisecond()).and_then(in_years)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{AuthorRule, Privacy, Redactor};

    #[test]
    fn times_of_exports() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let of =
            |text: &str| moment(&Loose::Text(Cow::Borrowed(text)), &zone).map(crate::envelope::format_millis);
        let shown: Vec<String> = [
            "2026-11-01T10:00:00Z",
            "2026-11-01T10:00:00+02:00",
            "2026-11-01 10:00:00",
            "2026-11-01T10:00",
            "2026-11-01 10:00:00 UTC",
            "2026-11-01",
            "2026-11-01 10:00:00+00",
            "1793527200",
            "1793527200123",
            "Sun, 01 Nov 2026 10:00:00 GMT",
            "1 Nov 2026 10:00:00 +0000",
            "2024",
            "11/01/2026",
            "1/2/2026 10:00",
            "2026-13-01",
            "yesterday",
            "",
        ]
        .iter()
        .map(|t| format!("{t:32} {}", of(t).unwrap_or_else(|| "-".to_string())))
        .collect();
        insta::assert_snapshot!(shown.join("\n"));
        assert_eq!(moment(&Loose::Float(f64::MAX), &zone), None);
        assert_eq!(moment(&Loose::Int(i64::MIN), &zone), None);
    }

    #[test]
    fn a_map_is_checked_whole() {
        let problems = GenericMap::new(
            "x",
            PostType::Review,
            [("natve_id", "id"), ("raiting", "r"), ("created_at", "'now'")],
        )
        .unwrap_err();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn a_record_is_mapped_by_columns() {
        let columns = GenericMap::new(
            "trustpilot",
            PostType::Review,
            [
                ("native_id", "review_id"),
                ("title", "headline"),
                ("body", "text"),
                ("created_at", "published_at"),
                ("rating", "stars"),
                ("url", "link"),
                ("channel", "'trustpilot.com'"),
                ("author", "who"),
            ],
        )
        .unwrap();
        let redactor = Redactor::new(&Privacy { author: AuthorRule::Drop });
        let file =
            FileFacts { source: "tp", locator: "in/tp.csv", modified_ms: 5, now_ms: 9, redactor: &redactor };
        let mut value = |name: &str| match name {
            "review_id" => Loose::Int(77),
            "headline" => Loose::Text("Great".into()),
            "text" => Loose::Text("".into()),
            "published_at" => Loose::Text("2026-11-01".into()),
            "stars" => Loose::Text("4.5".into()),
            "who" => Loose::Text("bob".into()),
            _ => Loose::Null,
        };
        let envelope = map(&columns, &mut value, &TimeZone::UTC, &file).unwrap();
        insta::assert_snapshot!(serde_json::to_string(&envelope).unwrap());
        let mut value = |name: &str| match name {
            "review_id" => Loose::Text("a".into()),
            "published_at" => Loose::Text("2026-11-01".into()),
            "stars" => Loose::Text("NaN".into()),
            _ => Loose::Null,
        };
        assert_eq!(map(&columns, &mut value, &TimeZone::UTC, &file).unwrap_err().reason, "mistyped:rating");
    }
}
