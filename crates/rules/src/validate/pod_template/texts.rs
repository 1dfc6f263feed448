//! Texts of a `podTemplate` -> variables in them, which are not replaced (pure).
//!
//! All texts are fixed, so nobody but the template's author chooses what a pod reaches. The downward API gives containers what differs.

use api::template::PodTemplate;
use serde_json::Value;

use super::PATH;
use crate::effective::variables::{is_built_in, names_in};
use crate::violation::Violation;

/// Fields with the name of an object, each with the field around it; empty: any.
const NAMES: [(&str, &str); 11] = [
    ("", "claimName"),
    ("", "resourceClaimName"),
    ("", "resourceClaimTemplateName"),
    ("", "secretName"),
    ("configMap", "name"),
    ("configMapKeyRef", "name"),
    ("configMapRef", "name"),
    ("imagePullSecrets", "name"),
    ("secret", "name"),
    ("secretKeyRef", "name"),
    ("secretRef", "name"),
];

pub(super) fn violations(template: &PodTemplate) -> Vec<Violation> {
    let json = serde_json::to_value(template).unwrap_or_default();
    let mut found = Vec::new();
    walk(PATH, ("", ""), &json, &mut found);
    found
}

/// `at`: the field of the value, and the field around it.
fn walk(path: &str, at: (&str, &str), value: &Value, found: &mut Vec<Violation>) {
    match value {
        Value::String(text) => found.extend(of_text(path, at, text)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(&format!("{path}[{index}]"), at, item, found);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = format!("{path}.{key}");
                found.extend(of_text(&path, ("", ""), key));
                walk(&path, (at.1, key), value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn of_text(path: &str, (around, field): (&str, &str), text: &str) -> Option<Violation> {
    let is_name = NAMES
        .iter()
        .any(|(of, name)| *name == field && (of.is_empty() || *of == around));
    if is_name && text.contains(['{', '}']) {
        let rule = "must be fixed text, so that nobody else chooses what the pod reaches: name one object";
        return Some(Violation::new(path, text, rule));
    }
    let variable = names_in(text, &|_| false)
        .into_iter()
        .find(|name| is_built_in(name))?;
    let rule = format!(
        "has the variable {{{variable}}}, and podTemplate knows none: set an environment variable by fieldRef (metadata.namespace, \
         metadata.labels['{}'])",
        api::names::WORKSPACE_LABEL
    );
    Some(Violation::new(path, text, rule))
}
