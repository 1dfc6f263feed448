//! Labels of pods and nodes -> those that Kubernetes or the operator refuses (pure).

use std::collections::BTreeMap;

use api::names::{
    APP_COMPONENT_LABEL, APP_INSTANCE_LABEL, APP_MANAGED_BY_LABEL, APP_NAME_LABEL, APP_PART_OF_LABEL,
    RESERVED_PREFIX,
};
use api::template::Label;
use k8s_openapi::api::core::v1::Toleration;

use crate::checks::syntax::{is_label_value, is_qualified_name};
use crate::violation::Violation;

/// Labels that the operator or Kubernetes sets.
const OURS: [&str; 6] = [
    APP_NAME_LABEL,
    APP_INSTANCE_LABEL,
    APP_COMPONENT_LABEL,
    APP_PART_OF_LABEL,
    APP_MANAGED_BY_LABEL,
    "pod-template-hash",
];

/// Checks the labels of the pod at `path`.
pub(in crate::validate) fn base(path: &str, labels: &[Label]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, label) in labels.iter().enumerate() {
        let field = format!("{path}[{index}].name");
        if OURS.contains(&label.name.as_str()) || label.name.starts_with(RESERVED_PREFIX) {
            found.push(Violation::new(
                field.as_str(),
                &label.name,
                "is set by the operator: choose another key",
            ));
        }
        if labels[..index].iter().any(|other| other.name == label.name) {
            found.push(Violation::new(
                field.as_str(),
                &label.name,
                "is set twice: leave one out",
            ));
        }
        found.extend(key(&field, &label.name));
        found.extend(value(&format!("{path}[{index}].value"), &label.value));
    }
    found
}

/// Checks the node selector at `path`.
pub(in crate::validate) fn selector(path: &str, labels: &BTreeMap<String, String>) -> Vec<Violation> {
    labels
        .iter()
        .flat_map(|(name, text)| {
            let field = format!("{path}[{}]", name.escape_debug());
            key(&field, name).into_iter().chain(value(&field, text))
        })
        .collect()
}

/// Checks the tolerations of a pod.
pub(in crate::validate) fn tolerations(path: &str, tolerations: &[Toleration]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, toleration) in tolerations.iter().enumerate() {
        let at = |leaf: &str| format!("{path}[{index}].{leaf}");
        let operator = toleration.operator.as_deref().unwrap_or_default();
        let taint = toleration.key.as_deref().unwrap_or_default();
        let text = toleration.value.as_deref().unwrap_or_default();
        if !["", "Equal", "Exists"].contains(&operator) {
            found.push(Violation::new(
                at("operator"),
                operator,
                "is no operator: use Equal or Exists",
            ));
        }
        if taint.is_empty() {
            if operator != "Exists" {
                found.push(Violation::new(
                    at("key"),
                    "",
                    "is missing: only the operator Exists goes without",
                ));
            }
        } else {
            found.extend(key(&at("key"), taint));
        }
        if operator == "Exists" && !text.is_empty() {
            found.push(Violation::new(
                at("value"),
                text,
                "stands beside Exists: leave it out",
            ));
        }
        found.extend(value(&at("value"), text));
        let effect = toleration.effect.as_deref().unwrap_or_default();
        if !["", "NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect) {
            let rule = "is no effect: use NoSchedule, PreferNoSchedule or NoExecute";
            found.push(Violation::new(at("effect"), effect, rule));
        }
        if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
            let rule = "belongs to the effect NoExecute: leave it out";
            found.push(Violation::new(at("tolerationSeconds"), "", rule));
        }
    }
    found
}

pub(in crate::validate) fn key(field: &str, key: &str) -> Option<Violation> {
    let rule = "is no label's key: use at most 63 letters, digits, '-', '_' and '.', if need be behind a domain and '/'";
    (!is_qualified_name(key)).then(|| Violation::new(field, key, rule))
}

pub(in crate::validate) fn value(field: &str, value: &str) -> Option<Violation> {
    let rule = "is no label's value: use at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends";
    (!is_label_value(value)).then(|| Violation::new(field, value, rule))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn our_labels_and_illegal_ones_are_refused() {
        let labels: Vec<Label> = serde_json::from_value(json!([
            {"name": "team", "value": "ml"},
            {"name": "example.org/cost", "value": ""},
            {"name": "app.kubernetes.io/instance", "value": "x"},
            {"name": "workspaces.jupyter.org/run-id", "value": "x"},
            {"name": "team", "value": "a b"},
            {"name": "-x", "value": "alice@example.org"},
        ]))
        .unwrap();
        let fields: Vec<_> = base("l", &labels).into_iter().map(|it| it.field).collect();
        assert_eq!(
            fields,
            [
                "l[2].name",
                "l[3].name",
                "l[4].name",
                "l[4].value",
                "l[5].name",
                "l[5].value"
            ]
        );
    }

    #[test]
    fn tolerations_are_what_the_scheduler_takes() {
        let fine: Vec<Toleration> = serde_json::from_value(json!([
            {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"operator": "Exists"},
            {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 5},
        ]))
        .unwrap();
        assert_eq!(tolerations("t", &fine), []);
        let wrong: Vec<Toleration> = serde_json::from_value(json!([
            {"key": "a", "operator": "In", "effect": "Never"},
            {"value": "b"},
            {"key": "a", "operator": "Exists", "value": "b", "tolerationSeconds": 5},
        ]))
        .unwrap();
        let fields: Vec<_> = tolerations("t", &wrong).into_iter().map(|it| it.field).collect();
        assert_eq!(
            fields,
            [
                "t[0].operator",
                "t[0].effect",
                "t[1].key",
                "t[2].value",
                "t[2].tolerationSeconds"
            ]
        );
    }
}
