//! What the real services accept, field by field: everything else is refused, with the words
//! that they use. Pure.
//!
//! Both spellings of a name are taken, as the real service does: `generationConfig`, as its JSON
//! writes it, and `generation_config`, which its own Python client sends in places.

use serde_json::{Map, Value};

/// What a field may hold.
pub enum Shape {
    Text,
    Int,
    Number,
    Bool,
    /// Whatever stands there.
    Any,
    /// Names to strings.
    Labels,
    List(&'static Shape),
    Object(&'static [(&'static str, Shape)]),
    /// One of these; the first text is the type's name.
    Choice(&'static str, &'static [&'static str]),
    /// A schema, checked by its own rules.
    Schema(Dialect),
}

/// The two kinds of schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `responseJsonSchema`
    Json,
    /// `responseSchema`: a subset of OpenAPI's.
    OpenApi,
}

use Shape::{Any, Bool, Choice, Int, Labels, List, Number, Object, Schema, Text};

const CATEGORIES: &[&str] = &[
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
];
const THRESHOLDS: &[&str] = &[
    "HARM_BLOCK_THRESHOLD_UNSPECIFIED",
    "BLOCK_LOW_AND_ABOVE",
    "BLOCK_MEDIUM_AND_ABOVE",
    "BLOCK_ONLY_HIGH",
    "BLOCK_NONE",
    "OFF",
];
const LEVELS: &[&str] = &["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"];

const PART: Shape = Object(&[
    ("text", Text),
    ("thought", Bool),
    ("thoughtSignature", Text),
    ("inlineData", Any),
    ("fileData", Any),
    ("functionCall", Any),
    ("functionResponse", Any),
    ("executableCode", Any),
    ("codeExecutionResult", Any),
    ("videoMetadata", Any),
    ("partMetadata", Any),
    ("mediaResolution", Any),
]);
const CONTENT: Shape = Object(&[("role", Text), ("parts", List(&PART))]);
const SAFETY: Shape = Object(&[
    ("category", Choice("HarmCategory", CATEGORIES)),
    ("threshold", Choice("SafetySetting.HarmBlockThreshold", THRESHOLDS)),
]);
const TOOL: Shape = Object(&[
    ("functionDeclarations", Any),
    ("googleSearch", Any),
    ("googleSearchRetrieval", Any),
    ("codeExecution", Any),
    ("urlContext", Any),
    ("computerUse", Any),
    ("fileSearch", Any),
    ("googleMaps", Any),
    ("mcpServers", Any),
]);
const GENERATION: Shape = Object(&[
    ("temperature", Number),
    ("topP", Number),
    ("topK", Int),
    ("candidateCount", Int),
    ("maxOutputTokens", Int),
    ("stopSequences", List(&Text)),
    ("responseMimeType", Text),
    ("responseSchema", Schema(Dialect::OpenApi)),
    ("responseJsonSchema", Schema(Dialect::Json)),
    (
        "responseFormat",
        Object(&[(
            "text",
            Object(&[
                ("mimeType", Choice("TextResponseFormat.MimeType", &["APPLICATION_JSON", "TEXT_PLAIN"])),
                ("schema", Schema(Dialect::Json)),
            ]),
        )]),
    ),
    (
        "thinkingConfig",
        Object(&[
            ("thinkingLevel", Choice("ThinkingConfig.ThinkingLevel", LEVELS)),
            ("thinkingBudget", Int),
            ("includeThoughts", Bool),
        ]),
    ),
    ("seed", Int),
    ("presencePenalty", Number),
    ("frequencyPenalty", Number),
    ("responseLogprobs", Bool),
    ("logprobs", Int),
    ("responseModalities", List(&Text)),
    ("speechConfig", Any),
    ("imageConfig", Any),
    ("mediaResolution", Text),
    ("enableEnhancedCivicAnswers", Bool),
    ("audioTranscriptionConfig", Any),
    ("translationConfig", Any),
    ("continuationToken", Text),
]);
/// A `GenerateContentRequest`.
pub const GENERATE: Shape = Object(&[
    ("model", Text),
    ("contents", List(&CONTENT)),
    ("systemInstruction", CONTENT),
    ("safetySettings", List(&SAFETY)),
    ("generationConfig", GENERATION),
    ("tools", List(&TOOL)),
    ("toolConfig", Object(&[("functionCallingConfig", Any), ("retrievalConfig", Any)])),
    ("cachedContent", Text),
    ("labels", Labels),
    ("serviceTier", Text),
    ("store", Bool),
]);
/// A `BatchGenerateContentRequest`; the requests inside are checked one by one.
pub const BATCH: Shape = Object(&[(
    "batch",
    Object(&[
        ("model", Text),
        ("displayName", Text),
        ("priority", Any),
        ("webhookConfig", Any),
        (
            "inputConfig",
            Object(&[
                ("fileName", Text),
                (
                    "requests",
                    Object(&[("requests", List(&Object(&[("request", GENERATE), ("metadata", Any)])))]),
                ),
            ]),
        ),
    ]),
)]);
/// A chat completion.
pub const CHAT: Shape = Object(&[
    ("model", Text),
    ("messages", List(&Object(&[("role", Text), ("content", Any), ("name", Text)]))),
    ("temperature", Number),
    ("top_p", Number),
    ("n", Int),
    ("max_tokens", Int),
    ("max_completion_tokens", Int),
    (
        "response_format",
        Object(&[
            ("type", Text),
            (
                "json_schema",
                Object(&[("name", Text), ("description", Text), ("strict", Bool), ("schema", Any)]),
            ),
        ]),
    ),
    ("seed", Int),
    ("stream", Bool),
    ("stop", Any),
    ("user", Text),
    ("presence_penalty", Number),
    ("frequency_penalty", Number),
    ("logprobs", Bool),
    ("top_logprobs", Int),
    ("reasoning_effort", Text),
    ("metadata", Labels),
    ("store", Bool),
    ("service_tier", Text),
]);

/// Something refused: where it is, and the service's words.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    pub field: String,
    pub message: String,
}

/// Brings the names of fields into the spelling of the JSON; names inside free values stay.
pub fn spell(value: &mut Value, shape: &Shape) {
    match shape {
        List(inner) => {
            for item in value.as_array_mut().into_iter().flatten() {
                spell(item, inner);
            }
        }
        Object(fields) => {
            let Some(map) = value.as_object_mut() else { return };
            for (name, mut inner) in std::mem::take(map) {
                let known = fields.iter().find(|(known, _)| *known == name || join("", known) == name);
                if let Some((_, shape)) = known {
                    spell(&mut inner, shape);
                }
                map.insert(known.map_or(name, |(known, _)| (*known).to_owned()), inner);
            }
        }
        // Of the other dialect the service takes over what stands there.
        Schema(Dialect::OpenApi) => spell_schema(value),
        _ => {}
    }
}

fn spell_schema(value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    for (name, mut inner) in std::mem::take(map) {
        let known = BOTH.iter().chain(OPEN_API_ONLY).find(|known| **known == name || join("", known) == name);
        let name = known.map_or(name, |known| (*known).to_owned());
        match name.as_str() {
            "items" => spell_schema(&mut inner),
            "anyOf" => inner.as_array_mut().into_iter().flatten().for_each(spell_schema),
            "properties" => {
                inner.as_object_mut().into_iter().flatten().for_each(|(_, one)| spell_schema(one))
            }
            _ => {}
        }
        map.insert(name, inner);
    }
}

/// Everything in `value` that does not fit.
pub fn check(value: &Value, shape: &Shape) -> Vec<Violation> {
    let mut found = Vec::new();
    walk(value, shape, "", &mut found);
    found
}

fn walk(value: &Value, shape: &Shape, at: &str, found: &mut Vec<Violation>) {
    // Null is absent in the JSON of protocol buffers.
    if value.is_null() {
        return;
    }
    let mut wrong = |kind: &str| {
        let message = format!("Invalid value at '{at}' ({kind}), {value}");
        found.push(Violation { field: at.to_owned(), message });
    };
    match shape {
        Any => {}
        Text if !value.is_string() => wrong("TYPE_STRING"),
        Int if !value.is_i64() && !value.is_u64() => wrong("TYPE_INT32"),
        Number if !value.is_number() => wrong("TYPE_FLOAT"),
        Bool if !value.is_boolean() => wrong("TYPE_BOOL"),
        Text | Int | Number | Bool => {}
        Labels => match value.as_object() {
            Some(map) if map.values().all(Value::is_string) => {}
            _ => wrong("Map"),
        },
        Choice(name, words) => {
            // The level is taken in small letters too.
            let word = value.as_str().map(str::to_ascii_uppercase);
            if !word.is_some_and(|word| words.contains(&word.as_str())) {
                wrong(&format!("type.googleapis.com/google.ai.generativelanguage.v1beta.{name}"));
            }
        }
        List(inner) => match value.as_array() {
            None => wrong("Proto field is repeating, cannot start a single value"),
            Some(list) => {
                for (n, item) in list.iter().enumerate() {
                    walk(item, inner, &format!("{at}[{n}]"), found);
                }
            }
        },
        Object(fields) => match value.as_object() {
            None => wrong("message"),
            Some(map) => {
                for (name, inner) in map {
                    match fields.iter().find(|(known, _)| known == name) {
                        None => found.push(unknown(name, at)),
                        Some((_, shape)) => walk(inner, shape, &join(at, name), found),
                    }
                }
            }
        },
        Schema(dialect) => {
            schema(value, *dialect, at, value, found);
        }
    }
}

/// The words for a field that the service does not know.
pub fn unknown(name: &str, at: &str) -> Violation {
    let place = if at.is_empty() { String::new() } else { format!(" at '{at}'") };
    let message =
        format!("Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field.");
    Violation { field: at.to_owned(), message }
}

/// Paths are in the spelling of the protocol buffers: `generation_config.top_p`.
fn join(at: &str, name: &str) -> String {
    let mut path = at.to_owned();
    if !path.is_empty() {
        path.push('.');
    }
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            path.push('_');
        }
        path.push(letter.to_ascii_lowercase());
    }
    path
}

const BOTH: &[&str] = &[
    "type",
    "format",
    "title",
    "description",
    "enum",
    "items",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "anyOf",
    "properties",
    "required",
    "propertyOrdering",
];
const JSON_ONLY: &[&str] =
    &["$id", "$defs", "$ref", "$anchor", "prefixItems", "oneOf", "additionalProperties"];
const OPEN_API_ONLY: &[&str] = &[
    "nullable",
    "example",
    "default",
    "minLength",
    "maxLength",
    "pattern",
    "minProperties",
    "maxProperties",
];
const TYPES: &[&str] = &["string", "number", "integer", "boolean", "array", "object", "null"];

/// Checks a schema against what the service can hold a model to. More than the service checks:
/// it ignores what it does not know, and a client would believe in a rule that nobody keeps.
pub fn schema(value: &Value, dialect: Dialect, at: &str, root: &Value, found: &mut Vec<Violation>) {
    let Some(map) = value.as_object() else {
        if !(dialect == Dialect::Json && value.is_boolean()) {
            found.push(plain(at, format!("Invalid value at '{at}' (Schema), {value}")));
        }
        return;
    };
    for (name, inner) in map {
        let own = if dialect == Dialect::Json { JSON_ONLY } else { OPEN_API_ONLY };
        if !BOTH.contains(&name.as_str()) && !own.contains(&name.as_str()) {
            found.push(unknown(name, at));
            continue;
        }
        let here = format!("{at}.{name}");
        match name.as_str() {
            "items" => schema(inner, dialect, &here, root, found),
            "additionalProperties" if inner.is_object() => schema(inner, dialect, &here, root, found),
            "anyOf" | "oneOf" | "prefixItems" => match inner.as_array() {
                Some(list) if !list.is_empty() => {
                    for (n, one) in list.iter().enumerate() {
                        schema(one, dialect, &format!("{here}[{n}]"), root, found);
                    }
                }
                _ => found.push(plain(&here, format!("{here}: must be a list of schemas"))),
            },
            "properties" | "$defs" => match inner.as_object() {
                Some(all) => {
                    for (name, one) in all {
                        schema(one, dialect, &format!("{here}.{name}"), root, found);
                    }
                }
                None => found.push(plain(&here, format!("{here}: must be an object"))),
            },
            _ => {
                if let Some(problem) = keyword(name, inner, map, dialect, root) {
                    found.push(plain(&here, format!("{here}: {problem}")));
                }
            }
        }
    }
    if let Some(kind) = map.get("type").and_then(Value::as_str).map(str::to_ascii_lowercase) {
        if kind == "array" && !map.contains_key("items") && !map.contains_key("prefixItems") {
            found.push(plain(at, format!("{at}.items: missing field.")));
        }
    } else if dialect == Dialect::OpenApi && !map.contains_key("anyOf") {
        found.push(plain(at, format!("{at}.type: must be specified")));
    }
}

fn keyword(
    name: &str,
    value: &Value,
    map: &Map<String, Value>,
    dialect: Dialect,
    root: &Value,
) -> Option<String> {
    let properties = map.get("properties").and_then(Value::as_object);
    let fine = match name {
        "type" => {
            let known = |v: &Value| {
                v.as_str().is_some_and(|word| {
                    TYPES.contains(&word)
                        || dialect == Dialect::OpenApi && TYPES.contains(&word.to_ascii_lowercase().as_str())
                })
            };
            match value {
                Value::Array(list) => dialect == Dialect::Json && !list.is_empty() && list.iter().all(known),
                one => known(one),
            }
        }
        "enum" => value.as_array().is_some_and(|list| {
            let closed = |v: &Value| {
                v.as_str().is_some_and(|text| !text.is_empty())
                    || dialect == Dialect::Json && (v.is_number() || v.is_null())
            };
            !list.is_empty() && list.iter().all(closed)
        }),
        "required" | "propertyOrdering" => {
            let Some(list) = value.as_array() else { return Some("must be a list of names".to_owned()) };
            for one in list {
                let name = one.as_str().unwrap_or_default();
                if !properties.is_some_and(|p| p.contains_key(name)) {
                    return Some(format!("property '{name}' is not defined in 'properties'"));
                }
            }
            true
        }
        "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties" => {
            value.is_u64() || value.as_str().is_some_and(|text| text.parse::<u64>().is_ok())
        }
        "minimum" | "maximum" => value.is_number(),
        "title" | "description" | "format" | "pattern" | "$id" | "$anchor" => value.is_string(),
        "nullable" | "additionalProperties" => value.is_boolean(),
        "$ref" => {
            if map.keys().any(|other| !other.starts_with('$')) {
                return Some("no other field may stand beside $ref".to_owned());
            }
            value.as_str().is_some_and(|link| resolve(root, link).is_some())
        }
        _ => true,
    };
    (!fine).then(|| format!("not valid: {value}"))
}

/// What a `$ref` of the form `#/$defs/name` points to.
pub fn resolve<'a>(root: &'a Value, link: &str) -> Option<&'a Value> {
    root.pointer(link.strip_prefix('#')?)
}

fn plain(field: &str, message: String) -> Violation {
    Violation { field: field.to_owned(), message }
}
