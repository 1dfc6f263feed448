//! Texts of a `podTemplate` -> variables in them, which are not replaced (pure).
//!
//! Only `{pvcs.<name>}` as the claim of a volume is replaced: a disk of the same template.
//! All other texts are fixed, so nobody but the template's author chooses what a pod reaches. The downward API gives containers what differs.

use api::template::{PodTemplate, VolumeClaim};
use serde_json::Value;

use super::PATH;
use crate::effective::variables::{is_built_in, names_in};
use crate::effective::volume_claims::disk_of_variable;
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

/// The field that may have a disk, with the field around it.
const CLAIM: (&str, &str) = ("persistentVolumeClaim", "claimName");

pub(super) fn violations(template: &PodTemplate, disks: &[VolumeClaim]) -> Vec<Violation> {
    let json = serde_json::to_value(template).unwrap_or_default();
    let mut found = Vec::new();
    walk(PATH, ("", ""), &json, disks, &mut found);
    found
}

/// `at`: the field of the value, and the field around it.
fn walk(path: &str, at: (&str, &str), value: &Value, disks: &[VolumeClaim], found: &mut Vec<Violation>) {
    match value {
        Value::String(text) => found.extend(match disk_of_variable(text).filter(|_| at == CLAIM) {
            Some(name) => disk(path, text, name, disks),
            None => of_text(path, at, text),
        }),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(&format!("{path}[{index}]"), at, item, disks, found);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = format!("{path}.{key}");
                found.extend(of_text(&path, ("", ""), key));
                walk(&path, (at.1, key), value, disks, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Checks that a volume of every pod has a disk of every workspace.
fn disk(path: &str, text: &str, name: &str, disks: &[VolumeClaim]) -> Option<Violation> {
    let rule = match disks.iter().find(|disk| disk.name == name) {
        Some(disk) if disk.when.is_empty() => return None,
        Some(_) => format!(
            "must be a disk of every workspace, and spec.volumeClaims has a `when` for {name:?}: leave that out, or use mountPath"
        ),
        None if disks.is_empty() => {
            "must be a disk of spec.volumeClaims, which has none: add the disk there".to_owned()
        }
        None => {
            let known: Vec<_> = disks.iter().map(|disk| disk.name.as_str()).collect();
            format!(
                "must be a disk of spec.volumeClaims: choose from {}",
                known.join(", ")
            )
        }
    };
    Some(Violation::new(path, text, rule))
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
