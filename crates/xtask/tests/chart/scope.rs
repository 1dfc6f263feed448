//! scope and objects -> halves that two administrators can apply, with their rights (IO: `helm`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::render::{EXTERNAL, argument, container, named, of_kind, strings, template};

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

fn half(objects: &str, more: &[&str]) -> Vec<Value> {
    let scope = format!("scope=Namespace,objects={objects}");
    template(&[&EXTERNAL[..], &["--set", &scope], more].concat()).unwrap()
}

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
    let objects = half("Namespace", &["--set", "operator.priorityLevel=workload-high"]);
    assert!(objects.len() > 20, "{}", objects.len());
    for object in &objects {
        let kind = object["kind"].as_str().unwrap();
        assert!(INSTALLED.contains(&kind), "{kind} {}", object["metadata"]["name"]);
        assert_eq!(object["metadata"]["namespace"], "jupyter-k8s-system", "{kind}");
        for subject in object["subjects"].as_array().into_iter().flatten() {
            assert_eq!(subject["namespace"], "jupyter-k8s-system");
        }
        assert_ne!(object["roleRef"]["kind"], "ClusterRole", "{object}");
    }
    let pods: Vec<_> = of_kind(&objects, "Deployment")
        .into_iter()
        .filter_map(|it| it["metadata"]["name"].as_str())
        .collect();
    assert_eq!(
        pods,
        [
            "jupyter-k8s-gateway",
            "jupyter-k8s-operator",
            "jupyter-k8s-portal",
            "jupyter-k8s-proxy"
        ]
    );
    for component in ["operator", "gateway", "portal"] {
        let container = container(&objects, &format!("jupyter-k8s-{component}"));
        assert_eq!(
            argument(container, "--watch-namespace"),
            Some("jupyter-k8s-system"),
            "{component}"
        );
    }
    for deployment in of_kind(&objects, "Deployment") {
        assert!(
            deployment["spec"]["template"]["spec"]
                .get("priorityClassName")
                .is_none()
        );
    }
    let uninstall =
        &named(&objects, "Job", "jupyter-k8s-uninstall")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        strings(&uninstall["args"]),
        ["prepare-uninstall", "--watch-namespace=jupyter-k8s-system"]
    );
    let check = &named(&objects, "Pod", "jupyter-k8s-tests")["spec"]["containers"][0];
    assert!(strings(&check["args"]).contains(&"--without=webhook"));
    let owner = "system:serviceaccount:jupyter-k8s-system:jupyter-k8s-tests";
    assert_eq!(argument(check, "--workspace-owner"), Some(owner));
}

#[test]
fn its_roles_hold_no_right_that_admin_and_the_installer_s_role_lack() {
    let installer = of_installer(&half("Cluster", &[]));
    let roles = half("Namespace", &[]);
    let roles = of_kind(&roles, "Role");
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
    let objects = half("Cluster", &[]);
    let installer = of_installer(&objects);
    for role in of_kind(&objects, "ClusterRole") {
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
    let objects = half("Cluster", &[]);
    for role in ["workspace-user", "workspace-admin"] {
        assert_eq!(writes(&objects, &of_cluster(role)), [false; 4], "{role}");
    }
    assert_eq!(writes(&objects, &of_cluster("installer")), [true; 4]);
    let whole = template(&EXTERNAL).unwrap();
    assert_eq!(writes(&whole, "jupyter-k8s-workspace-admin"), [true; 4]);
}

#[test]
fn objects_of_the_cluster_have_the_namespace_in_their_names() {
    let names = |namespace: &str| {
        let (more, end) = (["--namespace", namespace], format!(".{namespace}"));
        let mut names = BTreeSet::new();
        for object in half("Cluster", &more) {
            let kind = object["kind"].as_str().unwrap().to_owned();
            // These two have names of their own in the values.
            if !["WorkspaceManager", "WorkspaceTemplate"].contains(&kind.as_str()) {
                names.insert((kind, object["metadata"]["name"].as_str().unwrap().to_owned()));
            }
            for reference in [&object["roleRef"]["name"], &object["spec"]["policyName"]] {
                let outside = reference.as_str().is_some_and(|name| !name.ends_with(&end));
                assert!(!outside, "{object}");
            }
        }
        names
    };
    let (ours, theirs) = (names("team-a"), names("team-b"));
    assert!(ours.len() > 20, "{ours:?}");
    assert!(ours.is_disjoint(&theirs));
    for (kind, name) in &ours {
        assert!(name.ends_with(".team-a"), "{kind} {name}");
    }
    for object in template(&EXTERNAL).unwrap() {
        let name = object["metadata"]["name"].as_str().unwrap();
        assert!(!name.contains('.'), "{name}");
    }
}

#[test]
fn policies_of_one_namespace_leave_templates_and_managers_alone() {
    for (objects, scope) in [
        (half("Cluster", &[]), "Namespaced"),
        (template(&EXTERNAL).unwrap(), "*"),
    ] {
        let policies = of_kind(&objects, "ValidatingAdmissionPolicy");
        let rules = policies.iter().flat_map(|policy| {
            let rules = &policy["spec"]["matchConstraints"]["resourceRules"];
            rules.as_array().into_iter().flatten()
        });
        let of_any_kind: Vec<_> = rules
            .filter(|rule| strings(&rule["resources"]).iter().any(|it| it.starts_with('*')))
            .collect();
        assert_eq!(of_any_kind.len(), 4);
        for rule in of_any_kind {
            assert_eq!(rule["scope"], scope, "{rule}");
        }
    }
}

#[test]
fn without_a_webhook_no_user_writes_that_one_attested_a_template() {
    let rule = |objects: &[Value], policy: &str| {
        let policy = named(objects, "ValidatingAdmissionPolicy", policy);
        let rules = policy["spec"]["validations"].as_array().unwrap();
        let about = rules.iter().find(|rule| {
            let message = rule["message"].as_str().unwrap_or_default();
            message.starts_with("metadata.annotations[workspaces.jupyter.org/vouched-template]")
        });
        about.unwrap()["expression"].as_str().unwrap().to_owned()
    };
    let alone = rule(&half("Cluster", &[]), &of_cluster("owners"));
    assert!(
        alone.starts_with("variables.annotations[?'workspaces.jupyter.org/vouched-template']"),
        "also at creation: {alone}"
    );
    let whole = rule(&template(&EXTERNAL).unwrap(), "jupyter-k8s-owners");
    assert_eq!(whole, format!("request.operation != 'UPDATE' || {alone}"));
}

#[test]
fn the_half_of_the_cluster_grants_three_accounts_to_read_the_catalog_and_bounds_one_namespace() {
    let objects = half("Cluster", &[]);
    assert!(
        objects
            .iter()
            .all(|object| object["metadata"]["namespace"].is_null())
    );
    let kinds: BTreeSet<_> = objects
        .iter()
        .filter_map(|object| object["kind"].as_str())
        .collect();
    let expected = [
        "ClusterRole",
        "ClusterRoleBinding",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "WorkspaceManager",
        "WorkspaceTemplate",
    ];
    assert_eq!(kinds, BTreeSet::from(expected));
    let bindings = of_kind(&objects, "ClusterRoleBinding");
    // The other is the portal's: `portal.rs`.
    assert_eq!(bindings.len(), 2);
    let bindings: Vec<_> = bindings
        .into_iter()
        .filter(|binding| binding["metadata"]["name"] == of_cluster("catalog-viewer"))
        .collect();
    let subjects = bindings[0]["subjects"].as_array().unwrap();
    let names: Vec<_> = subjects
        .iter()
        .filter_map(|subject| subject["name"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "jupyter-k8s-operator",
            "jupyter-k8s-gateway",
            "jupyter-k8s-portal"
        ]
    );
    let role = named(
        &objects,
        "ClusterRole",
        bindings[0]["roleRef"]["name"].as_str().unwrap(),
    );
    assert_eq!(
        role["rules"],
        json!([{
            "apiGroups": ["workspaces.jupyter.org"], "resources": ["workspacetemplates", "workspacemanagers"],
            "verbs": ["get", "list", "watch"],
        }])
    );
    let labels = json!({"kubernetes.io/metadata.name": "jupyter-k8s-system"});
    for binding in of_kind(&objects, "ValidatingAdmissionPolicyBinding") {
        let selector = &binding["spec"]["matchResources"]["namespaceSelector"];
        assert_eq!(selector["matchLabels"], labels, "{binding}");
    }
    let owners = named(&objects, "ValidatingAdmissionPolicy", &of_cluster("owners"));
    let text = owners["spec"]["validations"].to_string();
    assert!(
        text.contains("request.operation != 'CREATE' || variables.owner != ''"),
        "{text}"
    );
    let operator = named(&objects, "ValidatingAdmissionPolicy", &of_cluster("operator"));
    let text = operator["spec"]["validations"].to_string();
    assert!(
        !text.contains("'jupyter-k8s-system'"),
        "it writes in its own namespace: {text}"
    );
}

#[test]
fn both_halves_are_the_whole() {
    let (all, mut halves) = (half("All", &[]), half("Cluster", &[]));
    halves.extend(half("Namespace", &[]));
    assert_eq!(all.len(), halves.len());
    for object in &all {
        assert!(halves.contains(object), "{object}");
    }
    for absent in [
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
        "PriorityClass",
        "FlowSchema",
    ] {
        assert!(of_kind(&all, absent).is_empty(), "{absent}");
    }
}

#[test]
fn settings_of_the_whole_cluster_are_refused_in_one_namespace() {
    for (setting, refusal) in [
        (
            r#"gateway.bearer={"enabled":true}"#,
            "gateway.bearer.enabled: whose a token is",
        ),
        (
            r#"webhook.enforcement="Warn""#,
            r#"webhook.enforcement: "Warn" is for the webhook, which does not run"#,
        ),
        ("webhook.port=10250", "webhook.port: 10250 is for the webhook"),
        (
            r#"webhook.apiServerNetworks=["10.0.0.1"]"#,
            r#"webhook.apiServerNetworks: ["10.0.0.1"] is for the webhook"#,
        ),
        (
            r#"tests.namespace="team-a""#,
            r#"tests.namespace: "team-a" is another namespace"#,
        ),
    ] {
        let arguments = [
            &EXTERNAL[..],
            &["--set", "scope=Namespace", "--set-json", setting],
        ]
        .concat();
        let reason = template(&arguments).expect_err(setting);
        assert!(reason.contains(refusal), "{setting}: {reason}");
        assert!(reason.contains("set scope to Cluster, or"), "{reason}");
    }
    // Also the namespace of the release: one sentence, which says what to do.
    for name in ["team-a", "jupyter-k8s-system"] {
        let setting = format!(r#"userNamespaces=[{{"name":"{name}"}}]"#);
        let arguments = ["--set", "scope=Namespace", "--set-json", &setting];
        let reason = template(&[&EXTERNAL[..], &arguments].concat()).unwrap_err();
        let refusal = format!(
            "userNamespaces: \"{name}\" is for scope: Cluster, and scope is Namespace: leave userNamespaces empty, and bind the role \
             (docs/one-namespace.md, step 2)"
        );
        assert!(reason.contains(&refusal), "{reason}");
        assert_eq!(reason.matches("\n  - ").count(), 1, "{reason}");
    }
    let reason = template(&[&EXTERNAL[..], &["--set", "objects=Namespace"]].concat()).unwrap_err();
    let refusal = "objects: Namespace is a half of an installation in one namespace, and scope is Cluster";
    assert!(reason.contains(refusal), "{reason}");
}
