//! parts on and off -> every referenced object exists, or a refusal (IO: runs `helm`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::render::{EXTERNAL, argument, named, of_kind, run, strings, template, with_values};

/// Names of objects, by kind.
type Names = BTreeMap<&'static str, BTreeSet<String>>;

/// Switches that can be combined in any way, as values.
const SWITCHES: [&str; 6] = [
    "proxy.enabled",
    "gateway.enabled",
    "manager.enabled",
    "identity.enabled",
    "portal.enabled",
    "rbac.create",
];
/// Objects that the components write while they run; docs/install.md lists them.
const WRITTEN: [&str; 6] = [
    "gateway-ca",
    "gateway-keys",
    "proxy-client",
    "portal-tls",
    "operator-keys",
    "webhook-cert",
];
/// Objects that administrators create before the installation.
const EXPECTED: [&str; 3] = ["tls", "jupyter-k8s-oidc", "jupyter-k8s-identity"];

/// The values with these switches off, all others on.
fn combination(off: &[&str]) -> Value {
    let mut values = json!({
        "identity": {"host": "id.example.net", "accounts": [{"username": "alice"}]},
        "oidc": {"issuerUrl": if off.contains(&"identity.enabled") { "https://id.example.com/realm" } else { "" }},
        "networkPolicy": {"apiServer": {"networks": ["10.0.0.1"]}},
        "monitoring": {
            "podMonitor": {"enabled": true}, "prometheusRule": {"enabled": true}, "grafanaDashboard": {"enabled": true},
        },
        "userNamespaces": [{"name": "team-a", "users": ["alice"], "disruptionBudget": true}],
    });
    for switch in SWITCHES {
        let (section, key) = switch.split_once('.').unwrap();
        values[section][key] = json!(!off.contains(&switch));
    }
    values
}

fn combinations() -> impl Iterator<Item = Vec<&'static str>> {
    (0..1 << SWITCHES.len()).map(|bits: usize| {
        let is_off = |(at, switch): (usize, &'static str)| (bits >> at & 1 == 1).then_some(switch);
        SWITCHES.into_iter().enumerate().filter_map(is_off).collect()
    })
}

/// Whether the remaining parts can work without those that are off.
fn works(off: &[&str]) -> bool {
    let is_on = |switch: &str| !off.contains(&switch);
    let needs = |part: &str, other: &str| !is_on(part) || is_on(other);
    needs("proxy.enabled", "gateway.enabled")
        && needs("manager.enabled", "gateway.enabled")
        && needs("identity.enabled", "gateway.enabled")
        && needs("identity.enabled", "proxy.enabled")
        && needs("portal.enabled", "gateway.enabled")
        && needs("portal.enabled", "proxy.enabled")
}

fn made(objects: &[Value]) -> Names {
    let mut made = Names::new();
    for kind in [
        "Service",
        "ConfigMap",
        "ServiceAccount",
        "PriorityClass",
        "Role",
        "ClusterRole",
    ] {
        let names = of_kind(objects, kind).into_iter();
        let names = names.map(|object| object["metadata"]["name"].as_str().unwrap().to_owned());
        made.insert(kind, names.collect());
    }
    made
}

fn refer(found: &mut BTreeSet<(&'static str, String)>, kind: &'static str, name: &Value) {
    if let Some(name) = name.as_str() {
        found.insert((kind, name.to_owned()));
    }
}

/// Objects that this value refers to by fields of pods, webhook configurations, roles' bindings and routes.
fn references(value: &Value, found: &mut BTreeSet<(&'static str, String)>) {
    match value {
        Value::Object(fields) => {
            for (field, inner) in fields {
                match field.as_str() {
                    "configMap" | "configMapKeyRef" | "configMapRef" => {
                        refer(found, "ConfigMap", &inner["name"]);
                    }
                    "secretKeyRef" | "secretRef" => refer(found, "Secret", &inner["name"]),
                    "secret" => {
                        refer(found, "Secret", &inner["secretName"]);
                        refer(found, "Secret", &inner["name"]);
                    }
                    "serviceAccountName" => refer(found, "ServiceAccount", inner),
                    "priorityClassName" => refer(found, "PriorityClass", inner),
                    "clientConfig" => refer(found, "Service", &inner["service"]["name"]),
                    "serviceAccount" => refer(found, "ServiceAccount", &inner["name"]),
                    "subjects" => {
                        for subject in inner.as_array().into_iter().flatten() {
                            if subject["kind"] == "ServiceAccount" {
                                refer(found, "ServiceAccount", &subject["name"]);
                            }
                        }
                    }
                    "roleRef" if inner["kind"] == "Role" => refer(found, "Role", &inner["name"]),
                    "roleRef" => refer(found, "ClusterRole", &inner["name"]),
                    _ => {}
                }
                references(inner, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        // Hosts of Services and user names of accounts, in arguments, settings, routes and expressions.
        Value::String(text) => {
            for (start, _) in text.match_indices(".jupyter-k8s-system.svc") {
                let host = text[..start].rsplit(|one: char| !one.is_ascii_alphanumeric() && one != '-');
                refer(found, "Service", &json!(host.clone().next()));
            }
            for (start, account) in text.match_indices("system:serviceaccount:jupyter-k8s-system:") {
                let name = text[start + account.len()..]
                    .split(|one: char| !one.is_ascii_alphanumeric() && one != '-');
                refer(found, "ServiceAccount", &json!(name.clone().next()));
            }
        }
        _ => {}
    }
}

#[test]
fn every_combination_of_parts_refers_to_existing_objects_or_is_refused() {
    let mut rendered = 0;
    for off in combinations() {
        let result = with_values(combination(&off), &[]);
        if !works(&off) {
            let reason = result.expect_err(&format!("{off:?}"));
            let named = off
                .iter()
                .any(|switch| reason.contains(&format!("{switch} is false: set ")));
            assert!(named, "{off:?}: {reason}");
            continue;
        }
        let objects = result.unwrap_or_else(|reason| panic!("{off:?}: {reason}"));
        rendered += 1;
        let made = made(&objects);
        let mut found = BTreeSet::new();
        for object in &objects {
            references(object, &mut found);
        }
        assert!(found.len() > 5, "{found:?}");
        for (kind, name) in found {
            let is_written = WRITTEN.iter().any(|one| name == format!("jupyter-k8s-{one}"));
            let exists = match kind {
                "Secret" => is_written || EXPECTED.contains(&name.as_str()),
                kind => made[kind].contains(&name),
            };
            assert!(exists, "{off:?}: {kind} {name} does not exist");
        }
        if off.contains(&"gateway.enabled") {
            let text = serde_json::to_string(&objects).unwrap();
            for secret in ["jupyter-k8s-oidc", "gateway-ca", "proxy-client"] {
                assert!(!text.contains(secret), "{off:?}: {secret}");
            }
        }
        bounded(&objects);
    }
    assert_eq!(
        rendered,
        2 * (1 + 8 + 2),
        "combinations that work, with roles and without"
    );
}

/// Every container has requests and limits.
fn bounded(objects: &[Value]) {
    for object in objects {
        let pod = match object["kind"].as_str() {
            Some("Deployment" | "Job") => &object["spec"]["template"]["spec"],
            Some("Pod") => &object["spec"],
            _ => continue,
        };
        for container in pod["containers"].as_array().unwrap() {
            for (bound, resource) in [
                ("requests", "cpu"),
                ("requests", "memory"),
                ("limits", "cpu"),
                ("limits", "memory"),
            ] {
                let amount = &container["resources"][bound][resource];
                assert!(
                    !amount.is_null(),
                    "{}: {bound}.{resource}",
                    object["metadata"]["name"]
                );
            }
        }
    }
}

#[test]
fn without_proxy_gateway_and_manager_only_the_registry_is_required() {
    let values = [
        "--set",
        "image.registry=registry.example.com",
        "--set",
        "proxy.enabled=false,gateway.enabled=false,portal.enabled=false,manager.enabled=false",
    ];
    let objects = template(&values).unwrap();
    let deployments = of_kind(&objects, "Deployment").into_iter();
    let deployments: Vec<_> = deployments
        .map(|it| it["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(deployments, ["jupyter-k8s-operator", "jupyter-k8s-webhook"]);
    let settings = named(&objects, "ConfigMap", "jupyter-k8s-settings")["data"]["settings.yaml"].as_str();
    assert!(
        settings.unwrap().contains("gatewayManager: \"\"\n"),
        "no gateway serves a manager"
    );
    let check = &named(&objects, "Pod", "jupyter-k8s-tests")["spec"]["containers"][0];
    for part in ["--without=proxy", "--without=gateway"] {
        assert!(strings(&check["args"]).contains(&part), "{check}");
    }
    assert_eq!(argument(check, "--base-domain"), None);
    let reason = template(&values[2..]).unwrap_err();
    assert!(reason.contains("image.registry"), "{reason}");
    assert!(!reason.contains("baseDomain"), "{reason}");
}

#[test]
fn a_chart_that_is_switched_off_renders_nothing_and_requires_nothing() {
    let objects = template(&["--set", "enabled=false"]).unwrap();
    assert_eq!(objects, Vec::<Value>::new());
}

#[test]
fn alerts_about_missing_metrics_of_gateway_and_portal_need_these_parts() {
    let alerts = |off: &[&str]| {
        let objects = with_values(combination(off), &[]).unwrap();
        named(&objects, "PrometheusRule", "jupyter-k8s")["spec"].to_string()
    };
    let (gateway, portal) = ("JupyterK8sGatewayAway", "JupyterK8sPortalAway");
    let all = alerts(&[]);
    assert!(all.contains(gateway) && all.contains(portal));
    let without_portal = alerts(&["portal.enabled"]);
    assert!(without_portal.contains(gateway) && !without_portal.contains(portal));
    let off = [
        "proxy.enabled",
        "gateway.enabled",
        "portal.enabled",
        "manager.enabled",
        "identity.enabled",
    ];
    let without_both = alerts(&off);
    assert!(!without_both.contains(gateway) && !without_both.contains(portal));
}

fn is_role(object: &Value) -> bool {
    object["apiVersion"] == "rbac.authorization.k8s.io/v1"
}

#[test]
fn roles_can_be_rendered_apart_and_the_rest_has_none() {
    let all = template(&EXTERNAL).unwrap();
    let rest = template(&[&EXTERNAL[..], &["--set", "rbac.create=false"]].concat()).unwrap();
    let apart = template(&[&EXTERNAL[..], &["--show-only", "templates/rbac/*"]].concat()).unwrap();
    assert!(!rest.iter().any(is_role));
    assert!(apart.iter().all(is_role) && apart.len() > 10, "{}", apart.len());
    assert_eq!(rest.len() + apart.len(), all.len());
    for object in &all {
        assert!(rest.contains(object) || apart.contains(object), "{object}");
    }
}

/// The content of one file for kubectl, CRDs included.
fn one_file() -> Vec<Value> {
    let arguments = [
        "template",
        "jupyter-k8s",
        ".",
        "--namespace=jupyter-k8s-system",
        "--include-crds",
        "--no-hooks",
        "-f=ci/install-values.yaml",
        "--set=image.registry=registry.example.com",
    ];
    let output = run(&arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap();
    objects.into_iter().filter(|object| !object.is_null()).collect()
}

#[test]
fn kubectl_can_apply_the_one_file_installation_at_once() {
    let objects = one_file();
    assert_eq!(
        of_kind(&objects, "CustomResourceDefinition").len(),
        api::crds().len()
    );
    let at = |is_it: &dyn Fn(&Value) -> bool| objects.iter().position(is_it).unwrap();
    assert!(
        at(&|object| object["kind"] == "Namespace")
            < at(&|object| !object["metadata"]["namespace"].is_null()),
        "the namespace is made before anything is put into it"
    );
    let cluster_kinds = [
        "CustomResourceDefinition",
        "Namespace",
        "ClusterRole",
        "ClusterRoleBinding",
        "PriorityClass",
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    for object in &objects {
        let (kind, name) = (object["kind"].as_str().unwrap(), &object["metadata"]["name"]);
        let group = object["apiVersion"].as_str().unwrap();
        assert!(
            !group.contains("jupyter.org"),
            "{kind} {name}: its CRD is in the same file"
        );
        assert!(
            object["metadata"]["annotations"]["helm.sh/hook"].is_null(),
            "{kind} {name}"
        );
        let expected = (!cluster_kinds.contains(&kind)).then_some("jupyter-k8s-system");
        assert_eq!(
            object["metadata"]["namespace"].as_str(),
            expected,
            "{kind} {name}"
        );
        // A client-side apply stores the object in an annotation, with at most 256 KiB.
        assert!(object.to_string().len() < 200 * 1024, "{kind} {name}");
    }
}

#[test]
fn every_namespaced_object_names_its_namespace() {
    let cluster_kinds =
        |kind: &str| kind.starts_with("Cluster") || kind.starts_with("ValidatingAdmissionPolicy");
    for objects in crate::render::installations() {
        for object in objects {
            let kind = object["kind"].as_str().unwrap();
            let is_wide = cluster_kinds(kind)
                || [
                    "Namespace",
                    "PriorityClass",
                    "StorageClass",
                    "WorkspaceManager",
                    "WorkspaceTemplate",
                    "MutatingWebhookConfiguration",
                    "ValidatingWebhookConfiguration",
                ]
                .contains(&kind);
            assert_eq!(
                object["metadata"]["namespace"].is_null(),
                is_wide,
                "{kind} {}",
                object["metadata"]["name"]
            );
        }
    }
}
