//! WorkspaceShare -> its violations, independent of author and workspace (pure).

use api::WorkspaceShareSpec;
use api::share::{Subject, SubjectKind};

use super::size::spec_size;
use crate::checks;
use crate::checks::syntax::{is_dns_1123_label, object_name};
use crate::violation::Violation;

/// Maximum number of subjects of a share.
const MAX_SUBJECTS: usize = 50;
/// User name of anonymous requests.
const ANONYMOUS: &str = "system:anonymous";
/// Prefix of the groups that contain the service accounts of one namespace.
const ACCOUNTS_OF_NAMESPACE: &str = "system:serviceaccounts:";

/// All violations of a share's spec.
pub fn share(spec: &WorkspaceShareSpec) -> Vec<Violation> {
    let mut found: Vec<_> = spec_size(spec).into_iter().collect();
    if !checks::name(&spec.workspace_ref).is_empty() {
        let rule = "cannot be the name of a Workspace";
        found.push(Violation::new("spec.workspaceRef", &spec.workspace_ref, rule));
    }
    let count = spec.subjects.len();
    if !(1..=MAX_SUBJECTS).contains(&count) {
        let rule = format!("has {count} entries: name 1 to {MAX_SUBJECTS}");
        found.push(Violation::new("spec.subjects", "", rule));
    }
    for (index, it) in spec.subjects.iter().enumerate() {
        found.extend(subject(&format!("spec.subjects[{index}]"), it));
    }
    found
}

fn subject(at: &str, subject: &Subject) -> Vec<Violation> {
    let mut found = Vec::new();
    let (name, namespace) = (subject.name.as_str(), subject.namespace.as_deref());
    if name.is_empty() {
        let rule = "is no name: write it as Kubernetes knows it";
        found.push(Violation::new(format!("{at}.name"), name, rule));
    } else {
        found.extend(checks::user_name(&format!("{at}.name"), name));
    }
    if subject.kind == SubjectKind::User && name == ANONYMOUS {
        let rule = "means users who are not signed in: name users, or set spec.accessType of the workspace to Public for everybody who may \
                    connect";
        found.push(Violation::new(format!("{at}.name"), name, rule));
    }
    match (subject.kind, namespace) {
        (SubjectKind::ServiceAccount, None) => {
            let rule = "is missing: a ServiceAccount has one";
            found.push(Violation::new(format!("{at}.namespace"), "", rule));
        }
        (SubjectKind::ServiceAccount, Some(namespace)) => {
            if !is_dns_1123_label(namespace) {
                let rule = "cannot be the name of a namespace";
                found.push(Violation::new(format!("{at}.namespace"), namespace, rule));
            }
            found.extend(object_name(format!("{at}.name"), name, "ServiceAccount"));
        }
        (SubjectKind::User | SubjectKind::Group, Some(namespace)) => {
            let rule = "stands beside a User or Group, which has none: leave it out";
            found.push(Violation::new(format!("{at}.namespace"), namespace, rule));
        }
        (SubjectKind::User | SubjectKind::Group, None) => {}
    }
    if subject.kind == SubjectKind::Group && api::names::is_of_kubernetes(name) {
        let of_namespace = name.strip_prefix(ACCOUNTS_OF_NAMESPACE);
        if !of_namespace.is_some_and(is_dns_1123_label) {
            let rule = "is a group of the system, which may be everybody: of those, only system:serviceaccounts:<namespace> may be \
                        named";
            found.push(Violation::new(format!("{at}.name"), name, rule));
        }
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
    fn a_share_with_all_users_is_refused() {
        for name in [
            "system:authenticated",
            "system:unauthenticated",
            "kubeadm:cluster-admins",
            "system:masters",
            "system:serviceaccounts",
            "system:serviceaccounts:",
            "system:serviceaccounts:a:b",
        ] {
            assert_eq!(
                fields(json!([{"kind": "Group", "name": name}])),
                ["[0].name"],
                "{name}"
            );
        }
    }

    #[test]
    fn malformed_subjects_and_numbers_of_them_are_named() {
        assert_eq!(fields(json!([])), [""]);
        let many: Vec<_> = (0..51)
            .map(|n| json!({"kind": "User", "name": n.to_string()}))
            .collect();
        assert_eq!(fields(json!(many)), [""]);
        assert_eq!(
            fields(json!([
                {"kind": "User", "name": ""},
                {"kind": "User", "name": " bob"},
                {"kind": "Group", "name": "ml\t"},
                {"kind": "User", "name": "b\u{200b}ob"},
                {"kind": "User", "name": "system:anonymous"},
                {"kind": "Group", "name": "g", "namespace": "x"},
                {"kind": "ServiceAccount", "name": "a"},
                {"kind": "ServiceAccount", "name": "No", "namespace": "a.b"},
            ])),
            [
                "[0].name",
                "[1].name",
                "[2].name",
                "[3].name",
                "[4].name",
                "[5].namespace",
                "[6].namespace",
                "[7].namespace",
                "[7].name"
            ]
        );
    }
}
