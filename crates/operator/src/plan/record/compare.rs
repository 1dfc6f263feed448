//! Two records -> the fields that differ (pure).

use api::fields;
use serde_json::{Map, Value};

use super::{DIGEST, digest};

/// Objects of a record that are compared field by field, with the fields that this build knows. Other fields that another build
/// recorded are ignored. Every other object, and every list, counts as one field. `*` is any field.
const FIELDS: [(&str, &[&str]); 13] = [
    (
        "",
        &["metadata", "spec", "template", "executionProfile", "manager"],
    ),
    ("metadata", &["labels"]),
    ("spec", fields::workspace::IN_POD),
    ("spec.containerConfig", &["args", "command"]),
    ("spec.options", &["*"]),
    ("spec.resources", &["limits", "requests"]),
    ("spec.resources.limits", &["*"]),
    ("spec.resources.requests", &["*"]),
    ("spec.storage", &["claimName", "mountPath", "subPath"]),
    (
        "template",
        &["baseLabels", "podTemplate", "userNamespace", "volumeClaims"],
    ),
    ("manager", &["basePath"]),
    ("executionProfile", &["spec"]),
    ("executionProfile.spec", fields::execution_profile::IN_POD),
];

/// Paths of the fields in which two records differ, sorted.
pub(super) fn differences(recorded: &Value, today: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    compare("", recorded, today, &mut paths);
    // Builds before put no labels on pods and recorded none: an upgrade is no change of a user.
    if recorded.get("metadata").is_none() {
        paths.retain(|path| path != "metadata.labels");
    }
    paths.sort();
    paths
}

fn compare(path: &str, left: &Value, right: &Value, paths: &mut Vec<String>) {
    let known = FIELDS.iter().find(|(object, _)| *object == path);
    match (known, fields(left), fields(right)) {
        (Some((_, known)), Some(left), Some(right)) => {
            let mut keys: Vec<_> = left.keys().chain(right.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                if known.contains(&"*") || known.contains(&key.as_str()) {
                    let path = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    let at = |side: &Map<String, Value>| side.get(key).cloned().unwrap_or(Value::Null);
                    compare(&path, &at(&left), &at(&right), paths);
                }
            }
        }
        _ if left == right || (is_unset(left) && is_unset(right)) => {}
        _ if is_digest_of(left, right) || is_digest_of(right, left) => {}
        _ => paths.push(path.to_owned()),
    }
}

/// The fields of an object; none if it is unset.
fn fields(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields.clone()),
        Value::Null => Some(Map::new()),
        _ => None,
    }
}

/// Whether a field has its default.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn is_digest_of(digested: &Value, plain: &Value) -> bool {
    digested.as_str().is_some_and(|text| text.starts_with(DIGEST)) && *digested == digest(plain)
}
