//! What the fake model says: labels that are a function of the post's text and of the schema.
//!
//! It knows no field of ours. It finds the posts in the prompt and the list in the schema, and
//! fills every field by its type; a closed field by a hash of the text. Pure: the same text
//! and schema get the same labels, whatever else is in the pack.

use serde_json::{Map, Value, json};

use super::script::{Behaviour, Post};
use super::strict::resolve;

/// The posts in a prompt: the JSON array with the most objects that have an id and a text.
pub fn posts(prompt: &str) -> Vec<Post> {
    let mut best: Vec<Post> = Vec::new();
    let mut at = 0;
    while let Some(open) = prompt[at..].find('[').map(|n| n + at) {
        let mut values = serde_json::Deserializer::from_str(&prompt[open..]).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                let found: Option<Vec<Post>> =
                    value.as_array().and_then(|list| list.iter().map(post).collect());
                if let Some(found) = found.filter(|found| found.len() >= best.len()) {
                    best = found;
                }
                at = open + values.byte_offset();
            }
            _ => at = open + 1,
        }
    }
    best
}

fn post(value: &Value) -> Option<Post> {
    let map = value.as_object()?;
    let named = |name: &str| map.get(name).filter(|v| v.is_string() || v.is_number());
    let ends = || map.keys().find(|key| key.ends_with("id") && named(key).is_some()).map(String::as_str);
    let id_field = ["id", "key", "ref"].into_iter().find(|key| named(key).is_some()).or_else(ends)?;
    let fields: Vec<(String, String)> = map
        .iter()
        .filter(|(name, _)| *name != id_field)
        .filter_map(|(name, v)| v.as_str().map(|text| (name.clone(), text.to_owned())))
        .collect();
    (!fields.is_empty()).then(|| Post { id: map[id_field].clone(), id_field: id_field.to_owned(), fields })
}

/// Where the list of items is in the answer that a schema asks for.
struct Place<'a> {
    /// The property that holds the list; `None` when the answer is the list.
    wrapper: Option<&'a str>,
    item: &'a Value,
}

fn place<'a>(schema: &'a Value, root: &'a Value) -> Option<Place<'a>> {
    let schema = follow(schema, root);
    if kind(schema) == "array" {
        return Some(Place { wrapper: None, item: follow(schema.get("items")?, root) });
    }
    schema.get("properties")?.as_object()?.iter().find_map(|(name, inner)| {
        let inner = follow(inner, root);
        let item = follow(inner.get("items")?, root);
        (kind(inner) == "array" && kind(item) == "object").then_some(Place { wrapper: Some(name), item })
    })
}

fn follow<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let mut schema = schema;
    // A circle of references ends somewhere.
    for _ in 0..8 {
        match schema.get("$ref").and_then(Value::as_str).and_then(|link| resolve(root, link)) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// The type in small letters; of several the first that is not null.
fn kind(schema: &Value) -> String {
    let word = match schema.get("type") {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).find(|word| *word != "null"),
        other => other.and_then(Value::as_str),
    };
    match word {
        Some(word) => word.to_ascii_lowercase(),
        None if schema.get("properties").is_some() => "object".to_owned(),
        None => String::new(),
    }
}

/// The labels of one post: what a pack answers for it, whatever else is in the pack.
///
/// `schema` is the whole schema of the answer.
pub fn label(schema: &Value, post: &Post) -> Value {
    match place(schema, schema) {
        Some(place) => item(place.item, schema, post, 0),
        None => item(follow(schema, schema), schema, post, 0),
    }
}

fn item(schema: &Value, root: &Value, post: &Post, salt: u64) -> Value {
    let mut value = fill(schema, root, "", post, salt);
    if let (Some(map), Some(name)) = (value.as_object_mut(), id_name(schema, post)) {
        let numeric = kind(&schema["properties"][&name]) == "integer";
        let id = match (&post.id, numeric) {
            (Value::Number(n), false) => json!(n.to_string()),
            (Value::String(text), true) => text.parse::<i64>().map_or(post.id.clone(), Value::from),
            _ => post.id.clone(),
        };
        map.insert(name, id);
    }
    value
}

/// The field of an item that takes the post's id.
fn id_name(schema: &Value, post: &Post) -> Option<String> {
    let names = schema.get("properties")?.as_object()?;
    let has = |name: &&str| names.contains_key(*name);
    [post.id_field.as_str(), "id", "post_id", "key", "ref"]
        .into_iter()
        .find(has)
        .or_else(|| names.keys().map(String::as_str).find(|name| name.ends_with("id")))
        .map(str::to_owned)
}

/// Some number for a text and a place (FNV-1a).
pub fn hash(parts: &[&str], salt: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in parts.join("\0").bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^ (hash >> 29)
}

fn fill(schema: &Value, root: &Value, name: &str, post: &Post, salt: u64) -> Value {
    let schema = follow(schema, root);
    let chance = hash(&[post.text(), name], salt);
    let pick = |list: &[Value]| {
        let real: Vec<&Value> = list.iter().filter(|v| !v.is_null()).collect();
        real.get(chance as usize % real.len().max(1)).map_or(Value::Null, |v| (*v).clone())
    };
    if let Some(list) = schema.get("enum").and_then(Value::as_array) {
        return pick(list);
    }
    for either in ["anyOf", "oneOf"] {
        if let Some(list) = schema.get(either).and_then(Value::as_array) {
            let real: Vec<Value> = list.iter().filter(|s| kind(s) != "null").cloned().collect();
            return fill(&pick(&real), root, name, post, salt);
        }
    }
    let limit = |key: &str| schema.get(key).and_then(|v| v.as_f64().or_else(|| v.as_str()?.parse().ok()));
    match kind(schema).as_str() {
        "object" => {
            let mut map = Map::new();
            for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                map.insert(name.clone(), fill(inner, root, name, post, salt));
            }
            Value::Object(map)
        }
        "array" => {
            let least = limit("minItems").unwrap_or(0.0) as usize;
            let most = limit("maxItems").map_or(least.max(2), |most| most as usize);
            let count = (chance as usize % 3).clamp(least, most.max(least));
            let Some(inner) = schema.get("items") else { return json!([]) };
            let mut list: Vec<Value> = Vec::new();
            for n in 0..count as u64 * 4 {
                let value = fill(inner, root, name, post, salt + n + 1);
                if list.len() < count && !list.contains(&value) {
                    list.push(value);
                }
            }
            Value::Array(list)
        }
        "integer" | "number" => {
            let low = limit("minimum").unwrap_or(0.0);
            let high = limit("maximum").unwrap_or(low.max(0.0) + 1.0);
            if kind(schema) == "integer" {
                let span = (high.floor() - low.ceil()).max(0.0) as u64 + 1;
                json!(low.ceil() as i64 + (chance % span) as i64)
            } else {
                let value = low + (high - low) * ((chance % 101) as f64 / 100.0);
                json!((value * 100.0).round() / 100.0)
            }
        }
        "boolean" => json!(chance & 1 == 1),
        "null" => Value::Null,
        _ => json!(text(schema, name, post, chance)),
    }
}

fn is_evidence(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("evidence") || name.contains("quote")
}

fn text(schema: &Value, name: &str, post: &Post, chance: u64) -> String {
    match schema.get("format").and_then(Value::as_str) {
        Some("date") => return "2026-11-23".to_owned(),
        Some("date-time") => return "2026-11-23T00:00:00Z".to_owned(),
        _ => {}
    }
    let longest = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(60) as usize;
    let letters: Vec<char> = post.text().chars().collect();
    if is_evidence(name) {
        // Any stretch of it will do, as long as it is the post's own.
        let length = (10 + chance as usize % 40).min(longest).min(letters.len());
        let from = (chance >> 8) as usize % (letters.len() - length + 1);
        let quote: String = letters[from..from + length].iter().collect();
        let trimmed = quote.trim();
        return if trimmed.is_empty() { quote } else { trimmed.to_owned() };
    }
    let mut words: Vec<&str> = post
        .text()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 3 && !word.starts_with("http"))
        .collect();
    words.truncate(3);
    let phrase = if words.is_empty() { format!("{name} {}", chance % 100) } else { words.join(" ") };
    phrase.chars().take(longest).collect()
}

/// The model's whole answer, damaged as the plan says.
///
/// Without posts it is one value of the schema, made from the prompt.
pub fn answer(schema: &Value, posts: &[Post], prompt: &str, plan: &[Behaviour]) -> String {
    let place = place(schema, schema);
    let (Some(place), false) = (place, posts.is_empty()) else {
        let fields = vec![("text".to_owned(), prompt.to_owned())];
        let whole = Post { id: json!("p1"), id_field: "id".to_owned(), fields };
        let mut value = match posts.first() {
            Some(post) => label(schema, post),
            None => fill(schema, schema, "", &whole, 0),
        };
        for behaviour in plan {
            damage_one(&mut value, schema, behaviour);
        }
        return wrap(value.to_string(), plan);
    };
    let mut items: Vec<Value> = posts.iter().map(|post| item(place.item, schema, post, 0)).collect();
    let hit = posts.iter().position(|post| post.text().contains("HIT")).unwrap_or(posts.len() / 2);
    for behaviour in plan {
        damage(&mut items, hit, posts, place.item, schema, behaviour);
    }
    let list = Value::Array(items);
    let value = match place.wrapper {
        None => list,
        Some(name) => {
            let mut whole = fill(schema, schema, "", &posts[0], 0);
            whole[name] = list;
            whole
        }
    };
    let value = if plan.contains(&Behaviour::WrongShape) { json!({"result": "done"}) } else { value };
    wrap(value.to_string(), plan)
}

fn wrap(json: String, plan: &[Behaviour]) -> String {
    let mut text = json;
    for behaviour in plan {
        match behaviour {
            Behaviour::Prose => {
                text =
                    format!("Sure! Here are the [requested] labels:\n{text}\nLet me know {{if}} it helps.");
            }
            Behaviour::Fences => text = format!("```json\n{text}\n```"),
            Behaviour::NotJson => text = "I'm sorry, but I can't help with that.".to_owned(),
            Behaviour::DeepJson => text = "[".repeat(100_000) + &"]".repeat(100_000),
            _ => {}
        }
    }
    text
}

fn damage(items: &mut Vec<Value>, hit: usize, posts: &[Post], schema: &Value, root: &Value, how: &Behaviour) {
    let post = &posts[hit];
    let id = id_name(schema, post).unwrap_or_else(|| "id".to_owned());
    let Some(at) = items.iter().position(|one| same_id(&one[&id], &post.id)) else { return };
    match how {
        Behaviour::MissingId => {
            items.remove(at);
        }
        Behaviour::DuplicateId => {
            let twin = item(schema, root, post, 1);
            items.insert(at + 1, twin);
        }
        Behaviour::AlienId => {
            let mut alien = items[at].clone();
            alien[&id] = json!("nobody-asked");
            items.push(alien);
        }
        Behaviour::ShuffledIds => {
            items.reverse();
            let by = 1.min(items.len() / 3);
            items.rotate_left(by);
        }
        Behaviour::SwappedIds if items.len() > 1 => {
            let other = (at + 1) % items.len();
            let (mine, theirs) = (items[at][&id].clone(), items[other][&id].clone());
            items[at][&id] = theirs;
            items[other][&id] = mine;
        }
        Behaviour::AllIdsMissing => {
            for one in items.iter_mut().filter_map(Value::as_object_mut) {
                one.remove(&id);
            }
        }
        Behaviour::ExtraFields => {
            for one in items.iter_mut().filter(|one| one.is_object()) {
                one["unasked_for"] = json!("a field more");
            }
        }
        Behaviour::AllNull => {
            for one in items.iter_mut().filter_map(Value::as_object_mut) {
                one.iter_mut().filter(|(name, _)| **name != id).for_each(|(_, v)| *v = Value::Null);
            }
        }
        Behaviour::NumbersAsStrings => {
            for one in items.iter_mut() {
                numbers_as_strings(one);
            }
        }
        Behaviour::EmptyList => items.clear(),
        _ => damage_one(&mut items[at], schema, how),
    }
}

fn same_id(a: &Value, b: &Value) -> bool {
    let plain = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    plain(a) == plain(b)
}

fn numbers_as_strings(value: &mut Value) {
    match value {
        Value::Number(n) => *value = json!(n.to_string()),
        Value::Array(list) => list.iter_mut().for_each(numbers_as_strings),
        Value::Object(map) => map.values_mut().for_each(numbers_as_strings),
        _ => {}
    }
}

/// Damages the fields of one item.
fn damage_one(value: &mut Value, schema: &Value, how: &Behaviour) {
    let Some(names) = schema.get("properties").and_then(Value::as_object) else { return };
    let Some(map) = value.as_object_mut() else { return };
    // The same field is hit whether or not objects keep their order.
    let mut sorted: Vec<&String> = names.keys().collect();
    sorted.sort();
    let mut keys = sorted.into_iter();
    let is_id = |name: &str| name == "id" || name.ends_with("_id") || name == "key" || name == "ref";
    let closed = |name: &&String| names[*name].get("enum").is_some();
    let free = |name: &&String| kind(&names[*name]) == "string" && !closed(name) && !is_id(name);
    match how {
        Behaviour::WrongEnum => {
            if let Some(name) = keys.find(closed) {
                map.insert(name.clone(), json!("Bananas"));
            }
        }
        Behaviour::OutOfRange => {
            if let Some(name) = keys.find(|name| names[*name].get("maximum").is_some()) {
                let most = names[name]["maximum"].as_f64().unwrap_or(0.0);
                map.insert(name.clone(), json!(most + 1000.0));
            }
        }
        Behaviour::MissingField | Behaviour::NullField => {
            let required = |name: &&String| {
                !is_id(name)
                    && schema
                        .get("required")
                        .and_then(Value::as_array)
                        .is_some_and(|r| r.contains(&json!(name)))
            };
            if let Some(name) = keys.find(required) {
                match how {
                    Behaviour::MissingField => map.remove(name),
                    _ => map.insert(name.clone(), Value::Null),
                };
            }
        }
        Behaviour::ForeignEvidence => {
            if let Some(name) = keys.find(|name| is_evidence(name)) {
                map.insert(name.clone(), json!("words that nobody wrote in any post"));
            }
        }
        Behaviour::UrlInText => {
            let text = keys.filter(free).find(|name| !is_evidence(name));
            if let Some(name) = text {
                map.insert(name.clone(), json!("see https://evil.example/collect?d=1 now"));
            }
        }
        _ => {}
    }
}
