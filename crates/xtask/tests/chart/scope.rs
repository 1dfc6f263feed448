//! halves of an installation in one namespace -> what two administrators can apply, with their rights (IO: runs `helm`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::render::{Right, SYSTEM, list, name, named, of_kind, rendering, renderings, rights};

const WRITE: &str = "get list watch create update patch delete";
/// Rules of Kubernetes' role `admin`, with those of `edit` and `view` in it, that are about kinds of this chart: verbs, group, resources.
const ADMIN: [(&str, &str, &str); 7] = [
    (
        WRITE,
        "",
        "configmaps persistentvolumeclaims pods secrets serviceaccounts services",
    ),
    ("get list watch", "", "events"),
    (WRITE, "apps", "deployments deployments/scale replicasets"),
    (WRITE, "networking.k8s.io", "ingresses networkpolicies"),
    (WRITE, "coordination.k8s.io", "leases"),
    (WRITE, "rbac.authorization.k8s.io", "roles rolebindings"),
    ("create", "authorization.k8s.io", "localsubjectaccessreviews"),
];
/// Kinds that `admin` may create in its namespace.
const INSTALLED: &str = "ConfigMap Deployment Job Lease NetworkPolicy Pod PodDisruptionBudget Role RoleBinding Secret Service \
     ServiceAccount";

/// Name of an object of the cluster half.
fn of_cluster(name: &str) -> String {
    format!("jupyter-k8s-{name}.jupyter-k8s-system")
}

/// Rights of a user with `admin` in a namespace, and the role that the cluster half has for installers.
fn of_installer(cluster: &[Value]) -> BTreeSet<Right<'_>> {
    let mut all = BTreeSet::new();
    for (verbs, group, resources) in ADMIN {
        for verb in verbs.split(' ') {
            all.extend(resources.split(' ').map(|resource| [verb, group, resource, ""]));
        }
    }
    let roles = of_kind(cluster, "ClusterRole").into_iter();
    all.extend(
        roles
            .filter(|role| name(role) == of_cluster("installer"))
            .flat_map(rights),
    );
    all
}

/// Rights of the role that the installer lacks, and so cannot grant.
fn beyond<'a>(installer: &BTreeSet<Right<'_>>, role: &'a Value) -> Vec<Right<'a>> {
    let mut wanted = rights(role);
    wanted.retain(|right| {
        let [verb, group, resource, _] = *right;
        !installer.contains(right) && !installer.contains(&[verb, group, resource, ""])
    });
    wanted
}

#[test]
fn the_half_of_a_namespace_has_no_kind_of_the_cluster_and_stays_in_its_namespace() {
    let objects = &rendering("one-namespace").objects;
    assert!(objects.len() > 20, "{}", objects.len());
    for object in objects {
        let kind = object["kind"].as_str().unwrap();
        assert!(
            INSTALLED.split(' ').any(|it| it == kind),
            "{kind} {}",
            name(object)
        );
        assert_eq!(object["metadata"]["namespace"], SYSTEM, "{kind}");
        assert!(list(&object["subjects"]).all(|subject| subject["namespace"] == SYSTEM));
        assert_ne!(object["roleRef"]["kind"], "ClusterRole", "{object}");
    }
}

#[test]
fn the_half_of_the_cluster_has_no_object_of_a_namespace_and_the_namespace_in_its_names() {
    for object in &rendering("cluster-half").objects {
        assert!(object["metadata"]["namespace"].is_null(), "{object}");
        // These two have names of their own in the values.
        let is_free = ["WorkspaceManager", "WorkspaceTemplate"].contains(&object["kind"].as_str().unwrap());
        assert!(
            is_free || name(object).ends_with(".jupyter-k8s-system"),
            "{object}"
        );
    }
}

#[test]
fn its_roles_hold_no_right_that_admin_and_the_installer_s_role_lack() {
    let installer = of_installer(&rendering("cluster-half").objects);
    let roles = of_kind(&rendering("one-namespace").objects, "Role");
    assert!(roles.len() > 3, "{}", roles.len());
    for role in roles {
        let lacking = beyond(&installer, role);
        assert!(lacking.is_empty(), "{}: {lacking:?}", role["metadata"]["name"]);
    }
    // What of the product is not in `admin` by itself is in a role of the cluster half, and a missing one is found.
    let of_kubernetes = of_installer(&[]);
    let needed = "workspaces/status";
    assert!(
        installer.iter().any(|right| right[2] == needed)
            && !of_kubernetes.iter().any(|right| right[2] == needed)
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
            let lacking = beyond(&installer, role);
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
                .any(|right| right[0] == verb && right[2] == "workspaceexecutionprofiles")
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

#[test]
fn images_in_advance_add_one_namespace_of_which_the_operator_writes_two_kinds() {
    const IMAGES: &str = "jupyter-k8s-images";
    let objects = &rendering("pre-pull").objects;
    let inside: Vec<_> = objects
        .iter()
        .filter(|object| object["metadata"]["namespace"] == IMAGES)
        .collect();
    let kinds: BTreeSet<_> = inside
        .iter()
        .filter_map(|object| object["kind"].as_str())
        .collect();
    assert_eq!(
        kinds,
        BTreeSet::from(["NetworkPolicy", "ResourceQuota", "Role", "RoleBinding"])
    );
    let find = |kind: &str| *inside.iter().find(|object| object["kind"] == kind).unwrap();
    let policy = &find("NetworkPolicy")["spec"];
    assert_eq!(
        *policy,
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
    );
    let hard = &find("ResourceQuota")["spec"]["hard"];
    assert_eq!(hard["pods"], "200");
    assert_eq!(hard["count/workspaces.workspaces.jupyter.org"], "0");
    for [verb, group, resource, _] in rights(find("Role")) {
        assert!(
            ["list", "watch", "create", "patch", "delete"].contains(&verb),
            "{verb}"
        );
        assert!(
            group == "apps" && ["daemonsets", "deployments"].contains(&resource),
            "{resource}"
        );
    }
    let namespace = named(objects, "Namespace", IMAGES);
    let enforced = &namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
    assert_eq!(enforced, "restricted");
    let policy = named(objects, "ValidatingAdmissionPolicy", "jupyter-k8s-operator").to_string();
    assert!(policy.contains(&format!("'{IMAGES}'")), "no workspace is there");
    for class in of_kind(objects, "PriorityClass") {
        let is_low = ["jupyter-k8s-pre-pull", "jupyter-k8s-placeholders"].contains(&name(class));
        assert_eq!(is_low, class["value"].as_i64().unwrap() < 0, "{}", name(class));
    }
    // Elsewhere there is nothing of it.
    for other in renderings() {
        let text = other.objects.iter().map(Value::to_string).collect::<String>();
        let is_on = ["pre-pull", "values-local"].contains(&other.name.as_str());
        assert_eq!(text.contains("-images"), is_on, "{}", other.name);
        assert_eq!(text.contains("daemonsets"), is_on, "{}", other.name);
    }
}
