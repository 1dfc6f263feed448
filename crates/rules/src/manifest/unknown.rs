//! Object and schema of its kind -> fields that the schema does not have (pure).

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use crate::spelling::nearest;
use crate::violation::Violation;

/// Fields beside `apiVersion`, `kind` and `metadata` that the kind does not have.
pub fn unknown_fields(object: &Value, crd: &CustomResourceDefinition) -> Vec<Violation> {
    let schema = newest(crd);
    let kind = crd.spec.names.kind.to_lowercase();
    let mut found = Vec::new();
    if let Some(fields) = object.as_object() {
        for (name, value) in fields {
            match name.as_str() {
                "apiVersion" | "kind" | "metadata" => {}
                name => match &schema["properties"][name] {
                    Value::Null => {
                        let known = names(&schema).chain(["apiVersion", "kind", "metadata"]);
                        found.push(unknown(name, nearest(name, known), &kind));
                    }
                    inner => walk(value, inner, name, &format!("{kind}.{name}"), &mut found),
                },
            }
        }
    }
    found
}

/// The whole schema of the kind's newest version; null if there is none.
fn newest(definition: &CustomResourceDefinition) -> Value {
    let version = definition.spec.versions.last();
    let schema = version.and_then(|version| serde_json::to_value(&version.schema).ok());
    schema.map_or(Value::Null, |mut schema| schema["openAPIV3Schema"].take())
}

/// The violation at `path`. `explained`: what `kubectl explain` knows of it. Readers may copy that command, so it holds no name of the
/// object's own.
pub(super) fn unknown(path: &str, nearest: Option<&str>, explained: &str) -> Violation {
    let rule = match nearest {
        Some(nearest) => format!("is an unknown field: did you mean {nearest:?}?"),
        None => format!("is an unknown field: see `kubectl explain {explained}`"),
    };
    Violation::new(path, "", rule)
}

fn names(schema: &Value) -> impl Iterator<Item = &str> {
    let properties = schema["properties"].as_object();
    properties
        .into_iter()
        .flat_map(|properties| properties.keys().map(String::as_str))
}

fn walk(value: &Value, schema: &Value, path: &str, explained: &str, found: &mut Vec<Violation>) {
    if schema.is_null() {
        found.push(unknown(path, None, explained));
        return;
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    match value {
        // Where the schema has a text, fields and entries are of the wrong type, and not unknown.
        Value::Object(fields) if schema["type"] == "object" => {
            let additional = &schema["additionalProperties"];
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                match &schema["properties"][name] {
                    Value::Null if additional.is_object() => walk(value, additional, &path, explained, found),
                    Value::Null => found.push(unknown(&path, nearest(name, names(schema)), explained)),
                    inner => walk(value, inner, &path, explained, found),
                }
            }
        }
        Value::Array(items) if schema["type"] == "array" => {
            for (index, item) in items.iter().enumerate() {
                walk(
                    item,
                    &schema["items"],
                    &format!("{path}[{index}]"),
                    explained,
                    found,
                );
            }
        }
        _ => {}
    }
}
