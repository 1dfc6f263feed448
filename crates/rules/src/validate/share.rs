//! WorkspaceShare -> its violations, independent of author and workspace (pure).

use api::WorkspaceShareSpec;
use api::share::{Subject, SubjectKind};

use super::size::spec_size;
use crate::checks;
use crate::checks::syntax::{is_dns_1123_label, object_name};
use crate::violation::Violation;

/// Violations of a share's spec that its definition does not know.
pub fn share(spec: &WorkspaceShareSpec) -> Vec<Violation> {
    let mut found: Vec<_> = spec_size(spec).into_iter().collect();
    for (index, it) in spec.subjects.iter().enumerate() {
        found.extend(subject(&format!("spec.subjects[{index}]"), it));
    }
    found
}

fn subject(at: &str, subject: &Subject) -> Vec<Violation> {
    let mut found = Vec::from_iter(checks::user_name(&format!("{at}.name"), &subject.name));
    if let (SubjectKind::ServiceAccount, Some(namespace)) = (subject.kind, &subject.namespace) {
        if !is_dns_1123_label(namespace) {
            let rule = "cannot be the name of a namespace";
            found.push(Violation::new(format!("{at}.namespace"), namespace, rule));
        }
        found.extend(object_name(format!("{at}.name"), &subject.name, "ServiceAccount"));
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
                {"kind": "ServiceAccount", "name": "No", "namespace": "a.b"},
            ])),
            ["[0].name", "[1].name", "[2].name", "[3].namespace", "[3].name"]
        );
    }
}
