//! A kind's definition -> statuses with values that no version of ours writes (pure).

use kube::CustomResourceExt;
use serde_json::{Value, json};

/// A status in which one value is one that nobody knows.
pub struct Unknown {
    /// Where, as a JSON pointer.
    pub path: String,
    /// The field of the status that holds it.
    pub field: String,
    /// The object.
    pub object: Value,
}

/// `object` with a status that has every field of its definition; and the same with each value of it replaced, one at a time: words of an
/// enumeration by one that is not in it, everything by values of other types.
pub fn statuses<K: CustomResourceExt>(object: &Value) -> (Value, Vec<Unknown>) {
    let definition = json!(K::crd());
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    let mut full = object.clone();
    full["status"] = sample("", schema);
    let mut places = Vec::new();
    walk("/status", &full["status"], schema, &mut places);
    let unknown = places.into_iter().filter_map(|(path, value)| {
        let mut object = full.clone();
        *object.pointer_mut(&path)? = value;
        let field = path.split('/').nth(2)?.to_owned();
        Some(Unknown { path, field, object })
    });
    let unknown = unknown.collect();
    (full, unknown)
}

/// A value that the schema takes.
fn sample(name: &str, schema: &Value) -> Value {
    if let Some(word) = schema["enum"].get(0) {
        return word.clone();
    }
    match schema["type"].as_str() {
        Some("object") => match schema["properties"].as_object() {
            Some(fields) => fields
                .iter()
                .map(|(name, field)| (name.clone(), sample(name, field)))
                .collect(),
            None => json!({"a": sample("a", &schema["additionalProperties"])}),
        },
        Some("array") => json!([sample(name, &schema["items"])]),
        Some("integer") => json!(8888),
        Some("boolean") => json!(true),
        Some("string") if schema["format"] == "date-time" => json!("2026-01-01T00:00:00Z"),
        // Of conditions and of pods.
        _ if name == "status" => json!("True"),
        _ if name == "podIP" => json!("10.0.0.1"),
        _ => json!("1"),
    }
}

/// Every value below `path`, and what to put in its place.
fn walk(path: &str, value: &Value, schema: &Value, places: &mut Vec<(String, Value)>) {
    let of_other_types = [
        json!("Whim"),
        json!(7),
        json!(true),
        json!([]),
        json!([7]),
        json!({}),
        json!({"a": 7}),
    ];
    let below_status = path != "/status";
    let others = of_other_types.into_iter().filter(|other| {
        let same_type = std::mem::discriminant(other) == std::mem::discriminant(value);
        !same_type || (other.is_string() && (schema["enum"].is_array() || schema["format"].is_string()))
    });
    places.extend(
        others
            .filter(|_| below_status)
            .map(|other| (path.to_owned(), other)),
    );
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let declared = schema["properties"]
                    .get(name)
                    .unwrap_or_else(|| &schema["additionalProperties"]);
                walk(&format!("{path}/{name}"), field, declared, places);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(&format!("{path}/{index}"), item, &schema["items"], places);
            }
        }
        _ => {}
    }
}
