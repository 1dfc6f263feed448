//! Mutation of each new pod of a namespace -> admission policy and its binding (pure).

use serde_json::{Value, json};

/// Manifests of a policy that applies `mutation`, a CEL expression of type `Object`, to pods of this namespace that meet `condition`. Its
/// objects have the name of the namespace. API servers before Kubernetes 1.36 need not serve them.
pub fn manifests(namespace: &str, condition: &str, mutation: &str) -> [Value; 2] {
    let kinds =
        json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]);
    let label = json!({"e2e.test/scratch": "true"});
    let version = "admissionregistration.k8s.io/v1";
    let policy = json!({
        "apiVersion": version, "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": namespace, "labels": label},
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": kinds},
            "matchConditions": [{"name": "condition", "expression": condition}],
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": mutation}}],
        },
    });
    let binding = json!({
        "apiVersion": version, "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": namespace, "labels": label},
        "spec": {
            "policyName": namespace,
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
        },
    });
    [policy, binding]
}
