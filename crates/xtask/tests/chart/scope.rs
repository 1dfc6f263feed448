//! halves of an installation in one namespace -> what two administrators can apply, with their rights (IO: runs `helm`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::render::{SYSTEM, list, name, named, of_kind, rendering, strings};

/// Rules of Kubernetes' role `admin`, with those of `edit` and `view` in it, that are about kinds of this chart: groups, resources.
const ADMIN: [(&str, &str, &[&str]); 5] = [
    (
        "get list watch create update patch delete",
        "",
        &[
            "configmaps",
            "persistentvolumeclaims",
            "pods",
            "secrets",
            "serviceaccounts",
            "services",
        ],
    ),
    ("get list watch", "", &["events"]),
    (
        "get list watch create update patch delete",
        "apps",
        &["deployments", "deployments/scale", "replicasets"],
    ),
    (
        "get list watch create update patch delete",
        "networking.k8s.io",
        &["ingresses", "networkpolicies"],
    ),
    (
        "get list watch create update patch delete",
        "coordination.k8s.io",
        &["leases"],
    ),
];
/// The same of groups about rights.
const ADMIN_RIGHTS: [(&str, &str, &[&str]); 2] = [
    (
        "get list watch create update patch delete",
        "rbac.authorization.k8s.io",
        &["roles", "rolebindings"],
    ),
    ("create", "authorization.k8s.io", &["localsubjectaccessreviews"]),
];
/// Kinds that `admin` may create in its namespace.
const INSTALLED: [&str; 12] = [
    "ConfigMap",
    "Deployment",
    "Job",
    "Lease",
    "NetworkPolicy",
    "Pod",
    "PodDisruptionBudget",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
];

/// A right: verb, group, resource, name (empty: all).
type Right = (String, String, String, String);

fn rights(role: &Value) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let names = strings(&rule["resourceNames"]);
        let names = if names.is_empty() { vec![""] } else { names };
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                for verb in strings(&rule["verbs"]) {
                    for name in &names {
                        let right = [verb, group, resource, name].map(str::to_owned);
                        rights.insert(right.into());
                    }
                }
            }
        }
    }
    rights
}

/// Name of an object of the cluster half.
fn of_cluster(name: &str) -> String {
    format!("jupyter-k8s-{name}.jupyter-k8s-system")
}

/// Rights of a user with `admin` in a namespace, and the role that the cluster half has for installers.
fn of_installer(cluster: &[Value]) -> BTreeSet<Right> {
    let built_in = ADMIN.iter().chain(&ADMIN_RIGHTS);
    let rules = built_in.map(|(verbs, group, resources)| {
        let verbs: Vec<_> = verbs.split(' ').collect();
        json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
    });
    let mut all = rights(&json!({"rules": rules.collect::<Vec<_>>()}));
    for role in of_kind(cluster, "ClusterRole") {
        if role["metadata"]["name"] == of_cluster("installer") {
            all.extend(rights(role));
        }
    }
    all
}

/// Rights among these that the installer lacks, and so cannot grant.
fn beyond<'a>(installer: &BTreeSet<Right>, wanted: &'a BTreeSet<Right>) -> Vec<&'a Right> {
    let lacks = |right: &&Right| {
        let everywhere = (right.0.clone(), right.1.clone(), right.2.clone(), String::new());
        !installer.contains(*right) && !installer.contains(&everywhere)
    };
    wanted.iter().filter(lacks).collect()
}

#[test]
fn the_half_of_a_namespace_has_no_kind_of_the_cluster_and_stays_in_its_namespace() {
    let objects = &rendering("one-namespace").objects;
    assert!(objects.len() > 20, "{}", objects.len());
    for object in objects {
        let kind = object["kind"].as_str().unwrap();
        assert!(INSTALLED.contains(&kind), "{kind} {}", name(object));
        assert_eq!(object["metadata"]["namespace"], SYSTEM, "{kind}");
        assert!(list(&object["subjects"]).all(|subject| subject["namespace"] == SYSTEM));
        assert_ne!(object["roleRef"]["kind"], "ClusterRole", "{object}");
    }
}

#[test]
fn its_roles_hold_no_right_that_admin_and_the_installer_s_role_lack() {
    let installer = of_installer(&rendering("cluster-half").objects);
    let roles = of_kind(&rendering("one-namespace").objects, "Role");
    assert!(roles.len() > 3, "{}", roles.len());
    for role in roles {
        let wanted = rights(role);
        let lacking = beyond(&installer, &wanted);
        assert!(lacking.is_empty(), "{}: {lacking:?}", role["metadata"]["name"]);
    }
    // What of the product is not in `admin` by itself is in a role of the cluster half, and a missing one is found.
    let of_kubernetes = of_installer(&[]);
    let needed = "workspaces/status";
    assert!(
        installer.iter().any(|right| right.2 == needed)
            && !of_kubernetes.iter().any(|right| right.2 == needed)
    );
}

#[test]
fn roles_of_the_cluster_half_give_no_right_until_they_are_bound_and_the_installer_may_bind_them() {
    let objects = &rendering("cluster-half").objects;
    let installer = of_installer(objects);
    for role in of_kind(objects, "ClusterRole") {
        let labels = role["metadata"]["labels"].to_string();
        assert!(!labels.contains("aggregate-to-"), "{labels}");
        // The two that the cluster's half binds itself.
        let bound = ["catalog-viewer", "portal"].map(of_cluster);
        if !bound.iter().any(|name| role["metadata"]["name"] == *name) {
            let wanted = rights(role);
            let lacking = beyond(&installer, &wanted);
            assert!(lacking.is_empty(), "{}: {lacking:?}", role["metadata"]["name"]);
        }
    }
}

#[test]
fn without_a_webhook_only_installers_write_execution_profiles() {
    let writes = |objects: &[Value], role: &str| {
        let role = rights(named(objects, "ClusterRole", role));
        ["create", "update", "patch", "delete"].map(|verb| {
            role.iter()
                .any(|right| right.0 == verb && right.2 == "workspaceexecutionprofiles")
        })
    };
    let objects = &rendering("cluster-half").objects;
    for role in ["workspace-user", "workspace-admin"] {
        assert_eq!(writes(objects, &of_cluster(role)), [false; 4], "{role}");
    }
    assert_eq!(writes(objects, &of_cluster("installer")), [true; 4]);
    let whole = &rendering("default").objects;
    assert_eq!(writes(whole, "jupyter-k8s-workspace-admin"), [true; 4]);
}
