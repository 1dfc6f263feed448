//! Labels of pods -> those that the operator forbids (pure).

use api::names::{
    APP_COMPONENT_LABEL, APP_INSTANCE_LABEL, APP_MANAGED_BY_LABEL, APP_NAME_LABEL, APP_PART_OF_LABEL,
    RESERVED_PREFIX,
};
use api::template::Label;

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
                field,
                &label.name,
                "is set by the operator: choose another key",
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_of_ours_are_refused() {
        let labels: Vec<Label> = serde_json::from_value(json!([
            {"name": "team", "value": "ml"},
            {"name": "example.org/cost", "value": ""},
            {"name": "app.kubernetes.io/instance", "value": "x"},
            {"name": "workspaces.jupyter.org/run-id", "value": "x"},
        ]))
        .unwrap();
        let fields: Vec<_> = base("l", &labels).into_iter().map(|it| it.field).collect();
        assert_eq!(fields, ["l[2].name", "l[3].name"]);
    }
}
