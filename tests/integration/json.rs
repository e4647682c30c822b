//! What `docs/json.md` promises is what is printed: the tables of that page are read, and every
//! command that it lists is run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::project::{Project, day, posts, shipped};

/// What may stand in a field.
#[derive(Clone, Debug)]
enum Type {
    /// A word of the page: `string`, `day`, or the name of a shape.
    Word(String),
    List(Box<Type>),
    Map(Box<Type>),
    Object(BTreeMap<String, Field>),
}

#[derive(Clone, Debug)]
struct Field {
    ty: Type,
    null: bool,
    optional: bool,
}

/// The sections of the page: heading → fields.
type Page = BTreeMap<String, BTreeMap<String, Field>>;

const SIMPLE: [&str; 9] =
    ["string", "integer", "number", "boolean", "day", "partition", "time", "ms", "hash"];

fn parse_type(text: &str) -> Type {
    let boxed = |rest: &str| Box::new(parse_type(rest));
    match (text.strip_prefix("list of "), text.strip_prefix("map of ")) {
        (Some(rest), _) => Type::List(boxed(rest)),
        (_, Some(rest)) => Type::Map(boxed(rest)),
        _ => Type::Word(text.to_string()),
    }
}

fn parse_field(text: &str) -> Field {
    let (text, optional) = text.strip_suffix(", optional").map_or((text, false), |t| (t, true));
    let (text, null) = text.strip_suffix(" or null").map_or((text, false), |t| (t, true));
    Field { ty: parse_type(text), null, optional }
}

/// Puts a field in by its path, such as `assets[].rows`.
fn put(fields: &mut BTreeMap<String, Field>, path: &str, field: Field) {
    let Some((first, rest)) = path.split_once('.') else {
        assert!(fields.insert(path.to_string(), field).is_none(), "{path} stands twice");
        return;
    };
    let (name, list) = first.strip_suffix("[]").map_or((first, false), |n| (n, true));
    let inner = Type::Object(BTreeMap::new());
    let ty = if list { Type::List(Box::new(inner)) } else { inner };
    let outer = fields.entry(name.to_string()).or_insert(Field { ty, null: false, optional: false });
    let mut ty = &mut outer.ty;
    if let Type::List(item) = ty {
        ty = item;
    }
    match ty {
        Type::Object(inside) => put(inside, rest, field),
        other => panic!("{path} stands below {other:?}"),
    }
}

fn page() -> Page {
    let mut page = Page::new();
    let mut section = String::new();
    for line in shipped("docs/json.md").lines() {
        if let Some(heading) = line.strip_prefix("## ").or_else(|| line.strip_prefix("### ")) {
            section = heading.trim_matches('`').to_string();
        } else if line.starts_with("| `") {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let name = cells[0].trim_matches('`');
            put(page.entry(section.clone()).or_default(), name, parse_field(cells[1]));
        }
    }
    // `…` stands for the fields of a shape.
    let shapes = page.clone();
    for fields in page.values_mut() {
        if let Some(Field { ty: Type::Word(shape), .. }) = fields.remove("…") {
            fields.extend(shapes[&shape].clone());
        }
    }
    page
}

struct Checker<'a> {
    page: &'a Page,
    wrong: BTreeSet<String>,
    /// Fields that were seen with a value, by section.
    seen: BTreeSet<String>,
}

impl Checker<'_> {
    fn object(&mut self, value: &Value, fields: &BTreeMap<String, Field>, at: &str) {
        let Some(object) = value.as_object() else {
            self.wrong.insert(format!("{at} should be an object, and is {value}"));
            return;
        };
        for name in object.keys().filter(|n| !fields.contains_key(*n)) {
            self.wrong.insert(format!("{at}.{name} is not documented"));
        }
        for (name, field) in fields {
            let at = format!("{at}.{name}");
            match object.get(name) {
                None if field.optional => {}
                None => _ = self.wrong.insert(format!("{at} is missing")),
                Some(Value::Null) if field.null => {}
                Some(value) => {
                    self.seen.insert(at.clone());
                    self.value(value, &field.ty, &at);
                }
            }
        }
    }

    fn value(&mut self, value: &Value, ty: &Type, at: &str) {
        match ty {
            Type::Object(fields) => self.object(value, fields, at),
            Type::List(item) => match value.as_array() {
                Some(items) => items.iter().for_each(|i| self.value(i, item, at)),
                None => _ = self.wrong.insert(format!("{at} should be a list, and is {value}")),
            },
            Type::Map(item) => match value.as_object() {
                Some(items) => items.values().for_each(|i| self.value(i, item, at)),
                None => _ = self.wrong.insert(format!("{at} should be an object, and is {value}")),
            },
            Type::Word(word) if SIMPLE.contains(&word.as_str()) => {
                let text = value.as_str();
                let shaped = |shape: &str| {
                    text.is_some_and(|t| {
                        t.len() == shape.len()
                            && t.bytes().zip(shape.bytes()).all(|(c, s)| match s {
                                b'0' => c.is_ascii_digit(),
                                b'f' => c.is_ascii_digit() || (b'a'..=b'f').contains(&c),
                                s => c == s,
                            })
                    })
                };
                let good = match word.as_str() {
                    "string" => text.is_some(),
                    "integer" | "ms" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "boolean" => value.is_boolean(),
                    "day" => shaped("0000-00-00"),
                    "partition" => shaped("0000-00-00") || text == Some("whole"),
                    "time" => shaped("0000-00-00T00:00:00.000Z"),
                    "hash" => shaped(&"f".repeat(32)),
                    other => panic!("{other} is no simple type"),
                };
                if !good {
                    self.wrong.insert(format!("{at} should be of type {word}, and is {value}"));
                }
            }
            Type::Word(shape) => match self.page.get(shape) {
                Some(fields) => {
                    // By the shape's own name: each is seen somewhere.
                    let fields = fields.clone();
                    self.object(value, &fields, shape);
                }
                None => panic!("{at}: the page has no shape {shape}"),
            },
        }
    }
}

/// How a command prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Prints {
    Object,
    List,
    Lines,
}
use Prints::{Lines, List, Object};

/// Labelled texts, made up.
const LABELLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/labelled.tsv");

/// Heading of the page, arguments, exit code, what is printed.
const COMMANDS: [(&str, &[&str], i32, Prints); 35] = [
    ("status", &["status"], 0, Object),
    ("plan", &["plan", "--all"], 0, Object),
    ("plan", &["backfill", "*", "--missing", "--dry-run"], 0, Object),
    ("explain", &["explain", "brittle"], 0, Object),
    ("explain", &["explain", "silver_posts", "--partition", "2026-08-01"], 0, Object),
    ("assets list", &["assets", "list"], 0, List),
    ("assets show", &["assets", "show", "fact_issue_daily"], 0, Object),
    ("assets show", &["assets", "show", "raw_posts"], 0, Object),
    ("assets graph", &["assets", "graph"], 0, Object),
    ("runs list", &["runs", "list"], 0, List),
    ("runs show", &["runs", "show"], 0, Object),
    ("runs logs", &["runs", "logs"], 0, Lines),
    ("check", &["check", "silver_posts"], 0, List),
    ("files", &["files", "raw_posts"], 0, List),
    ("explain", &["explain", "raw_posts", "--partition", "2026-08-03"], 0, Object),
    ("source list", &["source", "list"], 0, List),
    ("source test", &["source", "test", "sample"], 0, Object),
    ("source test", &["source", "test", "inbox"], 0, Object),
    ("quarantine list", &["quarantine", "list"], 0, List),
    ("quarantine show", &["quarantine", "show"], 0, List),
    ("label", &["label", "reddit:t3_a01x000", "--day", "2026-08-01", "--risk", "high"], 0, Object),
    ("label list", &["label", "list"], 0, List),
    ("forget", &["forget", "t3_a01x000", "--dry-run"], 0, Object),
    ("brand test", &["brand", "test", "amazon pharmacy is late"], 0, Object),
    ("brand test --excluded", &["brand", "test", "--excluded", "3"], 0, List),
    ("taxonomy test", &["taxonomy", "test", "my order is late"], 0, List),
    ("model eval", &["model", "eval", "--data", LABELLED], 0, Object),
    ("model show", &["model", "show"], 0, Object),
    ("ai eval", &["ai", "eval"], 0, Object),
    ("themes list", &["themes", "list"], 0, Object),
    ("themes merge", &["themes", "merge", "packaging", "convenience", "--dry-run"], 0, Object),
    ("themes merge", &["themes", "rename", "packaging", "Boxes", "--dry-run"], 0, Object),
    ("themes merge", &["themes", "promote", "torn bags", "bags", "--dry-run"], 0, Object),
    ("validate", &["validate"], 0, Object),
    ("doctor", &["doctor"], 0, List),
];

/// Sample posts, a file with a line that is no JSON, and a table that cannot be made on one day.
pub fn project() -> Project {
    let mut project = Project::sample("2026-08-01", "2026-08-03", 60);
    project.set("sources.inbox.type", "files");
    project.set("sources.inbox.glob", "in/*");
    project.set("sources.inbox.format", "reddit");
    // The third day is a gap of this source.
    project.set("sources.inbox.covers", "2026-08-01/2026-08-02");
    project.set("assets.raw_posts.sources", vec!["sample", "inbox"]);
    project.set("assets.brittle.layer", "gold");
    project.set("assets.brittle.kind", "sql");
    project.set("assets.brittle.deps", vec!["fact_issue_daily"]);
    project.set("assets.brittle.key", vec!["n"]);
    project.save();
    project.write(
        "assets/brittle.sql",
        format!(
            "SELECT dt, CAST(CASE WHEN dt = '{}' THEN 'no number' ELSE '1' END AS BIGINT) AS n\nFROM fact_issue_daily GROUP BY dt\n",
            day(2)
        ),
    );
    project.write("in/a.ndjson", posts("a", 1..=3, 2) + "this is no JSON\n");
    project
}

/// The documents that a command printed.
fn printed(text: &str, prints: Prints, ndjson: bool) -> Vec<Value> {
    match (prints, ndjson) {
        (Object, false) => vec![serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))],
        (List, false) => serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}")),
        _ => text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect(),
    }
}

#[test]
fn every_answer_has_the_fields_that_the_page_says() {
    let page = page();
    let project = project();
    let mut checker = Checker { page: &page, wrong: BTreeSet::new(), seen: BTreeSet::new() };
    let made = project.run(&["materialize", "--all", "--format", "json"]).expect(3);
    checker.object(&made.json(), &page["materialize"], "materialize");
    // Something to do, and to read.
    project.write("in/b.ndjson", posts("b", 2..=3, 2));
    let mut told = BTreeSet::from(["materialize", "query"]);
    for (heading, args, code, prints) in COMMANDS {
        told.insert(heading);
        for format in ["json", "ndjson"] {
            let done = project.run(&[args, &["--format", format]].concat()).expect(code);
            let found = printed(&done.stdout, prints, format == "ndjson");
            assert!(!found.is_empty(), "{args:?} prints nothing that could be looked at");
            if prints == Object {
                assert_eq!(found.len(), 1, "{args:?}");
                assert_eq!(found[0]["schema_version"], 1, "{args:?}");
            }
            for value in &found {
                checker.object(value, &page[heading], heading);
            }
        }
    }
    let rows = project.json(&["query", "SELECT dt, count(*) AS n FROM silver_posts GROUP BY dt ORDER BY dt"]);
    assert_eq!(rows.as_array().map(Vec::len), Some(3));
    assert!(rows[0]["n"].is_i64() && rows[0]["dt"] == day(1), "{rows}");

    // A wrong file.
    project.replace("assets/brittle.sql", "FROM fact_issue_daily", "FROM fact_issues_daily");
    let done = project.run(&["validate", "--format", "json"]).expect(2);
    checker.object(&done.json(), &page["Problems"], "Problems");
    told.insert("Problems");
    assert!(checker.wrong.is_empty(), "{:#?}", checker.wrong);

    // Every section was looked at: those of commands here, those of shapes on the way.
    let headings: BTreeSet<&str> = page.keys().map(String::as_str).collect();
    let shapes = checker.seen.iter().filter_map(|at| at.split('.').next()).filter(|s| headings.contains(s));
    let looked: BTreeSet<&str> = told.iter().copied().filter(|t| *t != "query").chain(shapes).collect();
    assert_eq!(looked.symmetric_difference(&headings).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn the_page_knows_every_command_that_reads() {
    // What changes something, opens a screen, or prints for a shell.
    const OTHERS: [&str; 10] =
        ["backfill", "logs", "tui", "init", "gc", "prune", "state", "completions", "man", "help"];
    let project = Project::sample("2026-08-01", "2026-08-01", 1);
    let help = project.ok(&["--help"]).stdout;
    let list = help.split("Commands:").nth(1).and_then(|t| t.split("\n\n").next()).unwrap_or_default();
    let commands: BTreeSet<&str> = list
        .lines()
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "))
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    assert!(commands.len() > 15, "{help}");
    let page = shipped("docs/json.md");
    let told: BTreeSet<&str> = page
        .lines()
        .filter_map(|l| l.strip_prefix("## `"))
        .filter_map(|l| l.split([' ', '`']).next())
        .chain(OTHERS)
        .collect();
    assert_eq!(commands.symmetric_difference(&told).collect::<Vec<_>>(), Vec::<&&str>::new());
}
