//! Labels of pods -> those that the operator forbids (pure).

use api::template::Label;

use crate::pod_security::labels;
use crate::violation::Violation;

/// Checks the labels of the pod at `path`.
pub(in crate::validate) fn base(path: &str, given: &[Label]) -> Vec<Violation> {
    let given = given.iter().enumerate();
    given
        .filter_map(|(index, label)| labels::key(format!("{path}[{index}].name"), &label.name))
        .collect()
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
