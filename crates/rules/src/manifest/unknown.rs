//! Object and schema of its kind -> fields that the schema does not have (pure).

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use crate::violation::Violation;

/// Fields beside `apiVersion`, `kind` and `metadata` that the kind does not have.
pub fn unknown_fields(object: &Value, crd: &CustomResourceDefinition) -> Vec<Violation> {
    let schema = crd
        .spec
        .versions
        .last()
        .and_then(|version| serde_json::to_value(&version.schema).ok());
    let schema = schema
        .as_ref()
        .map_or(&Value::Null, |schema| &schema["openAPIV3Schema"]);
    let mut found = Vec::new();
    if let Some(fields) = object.as_object() {
        for (name, value) in fields {
            match name.as_str() {
                "apiVersion" | "kind" | "metadata" => {}
                name => walk(value, &schema["properties"][name], name.to_owned(), &mut found),
            }
        }
    }
    found
}

pub(super) fn unknown(path: impl Into<String>) -> Violation {
    Violation::new(
        path,
        "",
        "is an unknown field: see docs/api.md, or kubectl explain",
    )
}

fn walk(value: &Value, schema: &Value, path: String, found: &mut Vec<Violation>) {
    if schema.is_null() {
        found.push(unknown(path));
        return;
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    match value {
        Value::Object(fields) => {
            let additional = &schema["additionalProperties"];
            for (name, value) in fields {
                let of_name = &schema["properties"][name];
                let inner = if of_name.is_null() && additional.is_object() {
                    additional
                } else {
                    of_name
                };
                walk(value, inner, format!("{path}.{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &schema["items"], format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}
