//! Definition of a kind -> statuses with values that no version of the product writes (pure).

use kube::CustomResourceExt;
use serde_json::{Value, json};

/// A status with one unknown value.
pub struct Unknown {
    /// Place of the value, as a JSON pointer.
    pub path: String,
    /// The status field that contains the value.
    pub field: String,
    /// The object.
    pub object: Value,
}

/// `object` with a status that has all fields of its definition, and variants with one value replaced each.
/// Values of enumerations become text that is not in the enumeration. All values become values of other types.
pub fn statuses<K: CustomResourceExt>(object: &Value) -> (Value, Vec<Unknown>) {
    let definition = json!(K::crd());
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    let mut full = object.clone();
    full["status"] = sample("", schema);
    let mut candidates = Vec::new();
    collect("/status", &full["status"], schema, &mut candidates);
    let unknown = candidates.into_iter().filter_map(|(path, value)| {
        let mut object = full.clone();
        *object.pointer_mut(&path)? = value;
        let field = path.split('/').nth(2)?.to_owned();
        Some(Unknown { path, field, object })
    });
    let unknown = unknown.collect();
    (full, unknown)
}

/// A value that is valid in the schema.
fn sample(name: &str, schema: &Value) -> Value {
    if let Some(value) = schema["enum"].get(0) {
        return value.clone();
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
        // This is the status of conditions and of pods.
        _ if name == "status" => json!("True"),
        _ if name == "podIP" => json!("10.0.0.1"),
        _ => json!("1"),
    }
}

/// All values below `path`, each with its replacements.
fn collect(path: &str, value: &Value, schema: &Value, candidates: &mut Vec<(String, Value)>) {
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
    candidates.extend(
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
                collect(&format!("{path}/{name}"), field, declared, candidates);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(&format!("{path}/{index}"), item, &schema["items"], candidates);
            }
        }
        _ => {}
    }
}
