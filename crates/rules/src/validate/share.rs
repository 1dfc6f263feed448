//! WorkspaceShare -> its violations, independent of author and workspace (pure).

use api::WorkspaceShareSpec;

use super::size::spec_size;
use crate::checks;
use crate::violation::Violation;

/// Violations of a share's spec that its definition does not know.
pub fn share(spec: &WorkspaceShareSpec) -> Vec<Violation> {
    let mut found: Vec<_> = spec_size(spec).into_iter().collect();
    for (index, subject) in spec.subjects.iter().enumerate() {
        let field = format!("spec.subjects[{index}].name");
        found.extend(checks::user_name(&field, &subject.name));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(subjects: Value) -> Vec<String> {
        let spec = json!({"workspaceRef": "lab", "subjects": subjects});
        let spec: WorkspaceShareSpec = serde_json::from_value(spec).unwrap();
        share(&spec)
            .into_iter()
            .map(|it| it.field.replace("spec.subjects", ""))
            .collect()
    }

    #[test]
    fn users_groups_and_service_accounts_are_accepted() {
        assert_eq!(
            fields(json!([
                {"kind": "User", "name": "bob@example.org", "apiGroup": "rbac.authorization.k8s.io"},
                {"kind": "User", "name": "system:admin"},
                {"kind": "Group", "name": "ml"},
                {"kind": "Group", "name": "Data Science"},
                {"kind": "Group", "name": "system:serviceaccounts:ci"},
                {"kind": "ServiceAccount", "name": "bot", "namespace": "ci"},
            ])),
            [""; 0]
        );
    }

    #[test]
    fn malformed_subjects_are_named() {
        assert_eq!(
            fields(json!([
                {"kind": "User", "name": " bob"},
                {"kind": "Group", "name": "ml\t"},
                {"kind": "User", "name": "b\u{200b}ob"},
            ])),
            ["[0].name", "[1].name", "[2].name"]
        );
    }
}
