//! Files of samples -> the objects of the cluster that the webhook reads (IO).

use std::fs;

use anyhow::Context as _;
use api::names;
use serde_json::{Value, json};

use crate::bench::operator::objects::manager;
use crate::paths::Paths;

/// Namespace of the workspaces.
pub(super) const NAMESPACE: &str = "bench";
/// Namespace of the installation.
pub(super) const SYSTEM: &str = "jupyter-k8s-system";
/// Name of the installation.
pub(super) const RELEASE: &str = "bench";
/// Name of the webhook, its Service and its configurations.
pub(super) const NAME: &str = "bench-webhook";
/// A group whose members may use template and profile.
pub(super) const GROUP: &str = "oidc:data-science";
/// Template of the samples, for everyday work.
pub(super) const PRODUCTION: &str = "production-notebook-template";
/// Template of the samples that sets every field.
pub(super) const FULL: &str = "full-v1";
/// Execution profile of the samples.
pub(super) const PROFILE: &str = "data-reader";
/// Roles and bindings of other users, besides those that matter.
const OTHERS: usize = 50;

/// The webhook's arguments about its installation.
pub(super) const SETTINGS: &str =
    "{defaultImage: uv, imageAliases: {uv: 'registry.example.org/jupyter:1'}}\n";

/// All objects, in the order of their creation; definitions and namespaces first.
pub(super) fn all(paths: &Paths, webhook: &str) -> anyhow::Result<Vec<Value>> {
    let mut all = vec![namespace(NAMESPACE), namespace(SYSTEM)];
    all.extend(rights(webhook));
    all.extend((0..OTHERS).flat_map(others));
    all.extend(["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"].map(configuration));
    for name in [
        "workspacetemplate_production",
        "workspacetemplate_full",
        "workspaceexecutionprofile",
    ] {
        let file = paths.clone_root().join(format!("deploy/samples/{name}.yaml"));
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let mut object: Value = serde_saphyr::from_str(&text)?;
        if object["kind"] == "WorkspaceExecutionProfile" {
            object["metadata"]["namespace"] = json!(NAMESPACE);
        }
        all.push(object);
    }
    all.push(manager());
    Ok(all)
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// The chart's permissions for the webhook, and the permissions of users.
fn rights(webhook: &str) -> Vec<Value> {
    let ours = [
        json!({"apiGroups": [names::GROUP], "resources": ["*"], "verbs": ["get", "list", "watch"]}),
        json!({"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]}),
        json!({"apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["get", "list", "watch", "patch"]}),
        json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch", "create", "patch"]}),
    ];
    let users = [json!({
        "apiGroups": [names::GROUP],
        "resources": ["workspacetemplates", "workspaceexecutionprofiles"],
        "verbs": [names::USE_VERB],
    })];
    vec![
        role("bench-webhook", &ours),
        binding(
            "ClusterRoleBinding",
            "bench-webhook",
            &json!({"kind": "User", "name": webhook}),
        ),
        role("bench-users", &users),
        binding(
            "RoleBinding",
            "bench-users",
            &json!({"kind": "Group", "name": GROUP}),
        ),
    ]
}

/// An API server also has to search the permissions of other users.
fn others(number: usize) -> [Value; 2] {
    let name = format!("other-{number}");
    let pods = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
    [
        role(&name, &[pods]),
        binding("RoleBinding", &name, &json!({"kind": "Group", "name": name})),
    ]
}

fn role(name: &str, rules: &[Value]) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    })
}

fn binding(kind: &str, name: &str, subject: &Value) -> Value {
    let mut subject = subject.clone();
    subject["apiGroup"] = json!("rbac.authorization.k8s.io");
    let mut binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [subject],
    });
    if kind == "RoleBinding" {
        binding["metadata"]["namespace"] = json!(NAMESPACE);
    }
    binding
}

/// The webhook writes its authority into these before it is ready. The API server calls no webhook by them: the load generator does.
fn configuration(kind: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": NAME},
        "webhooks": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cases_use_the_samples() {
        let all = all(&Paths::from_env().unwrap(), "webhook").unwrap();
        let named = |kind: &str| -> Vec<&str> {
            let found = all.iter().filter(|object| object["kind"] == kind);
            found
                .filter_map(|object| object["metadata"]["name"].as_str())
                .collect()
        };
        assert_eq!(named("WorkspaceTemplate"), [PRODUCTION, FULL]);
        assert_eq!(named("WorkspaceExecutionProfile"), [PROFILE]);
    }
}
