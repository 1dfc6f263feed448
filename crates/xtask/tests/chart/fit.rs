//! values about pods -> they arrive on every pod, or are refused (IO: runs `helm`).

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::render::{argument, chart, container, named, of_kind, refused, strings, with_values};

pub(crate) const COMPONENTS: [&str; 6] = ["proxy", "gateway", "portal", "operator", "webhook", "identity"];
/// Jobs that Helm runs, and the Pod of `helm test`.
const HOOKS: [&str; 3] = ["crds", "uninstall", "tests"];

/// An installation with the bundled provider, so with every pod that the chart has, and these values.
pub(crate) fn with(mut more: Value) -> Vec<Value> {
    more["oidc"] = json!({"issuerUrl": ""});
    more["identity"]["enabled"] = json!(true);
    more["identity"]["host"] = json!("id.example.net");
    with_values(more, &[]).unwrap()
}

/// The Deployment of a component, the Job or the Pod.
pub(crate) fn deployment<'a>(objects: &'a [Value], component: &str) -> &'a Value {
    let kind = match component {
        "tests" => "Pod",
        hook if HOOKS.contains(&hook) => "Job",
        _ => "Deployment",
    };
    named(objects, kind, &format!("jupyter-k8s-{component}"))
}

pub(crate) fn contains(list: &Value, wanted: &Value) -> bool {
    list.as_array().is_some_and(|list| list.contains(wanted))
}

/// Every key that `pods` has, with a value that no component has by default. An API server judges the same values
/// (`e2e/tests/rendered`).
fn everything() -> Value {
    let file = chart().join("../../e2e/tests/rendered/pods.json");
    let values: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    values["pods"].clone()
}

/// Whether each key of `everything` arrived on a component.
fn arrived(objects: &[Value], component: &str) {
    let (wanted, of) = (everything(), deployment(objects, component));
    let template = if of["kind"] == "Pod" {
        of
    } else {
        &of["spec"]["template"]
    };
    let (spec, pod) = (&of["spec"], &template["spec"]);
    let container = &pod["containers"][0];
    for key in wanted.as_object().unwrap().keys() {
        let value = &wanted[key];
        let found = match key.as_str() {
            "nodeSelector" | "tolerations" | "affinity" | "hostAliases" | "priorityClassName" => {
                &pod[key] == value
            }
            "topologySpreadConstraints" => {
                let spread = &pod[key][0];
                let labels = &template["metadata"]["labels"];
                let selected = spread["labelSelector"]["matchLabels"].as_object().unwrap();
                spread["maxSkew"] == 2
                    && selected.iter().all(|(key, value)| &labels[key] == value)
                    && pod[key].as_array().map(Vec::len) == Some(1)
            }
            "labels" => template["metadata"]["labels"]["example.com/team"] == "platform",
            "annotations" => template["metadata"]["annotations"]["example.com/scrape"] == "yes",
            "extraEnv" => contains(&container["env"], &value[0]),
            // A hook has no rollout, and its command takes no arguments of servers.
            "extraArgs" | "revisionHistoryLimit" | "strategy" if HOOKS.contains(&component) => true,
            "extraArgs" => strings(&container["args"]).last() == Some(&"--further"),
            "extraVolumes" => contains(&pod["volumes"], &value[0]),
            "extraVolumeMounts" => contains(&container["volumeMounts"], &value[0]),
            // The bundled provider's data is in its pod.
            "strategy" if component == "identity" => spec[key] == json!({"type": "Recreate"}),
            "revisionHistoryLimit" | "strategy" => &spec[key] == value,
            "podSecurityContext" => {
                let security = &pod["securityContext"];
                security["runAsUser"] == 1_000_650_000 && security["runAsNonRoot"] == true
            }
            "containerSecurityContext" => {
                let security = &container["securityContext"];
                security["privileged"] == false && security["readOnlyRootFilesystem"] == true
            }
            "serviceAccount" => {
                let account = named(
                    objects,
                    "ServiceAccount",
                    pod["serviceAccountName"].as_str().unwrap(),
                );
                account["metadata"]["annotations"]["example.com/role"] == "r"
            }
            _ => panic!("{key} is not looked at"),
        };
        assert!(found, "{component}: {key}: {of}");
    }
}

#[test]
fn every_key_of_pods_arrives_on_every_pod() {
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(chart().join("values.schema.json")).unwrap()).unwrap();
    let keys = |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(
        keys(&schema["definitions"]["pods"]["properties"]),
        keys(&everything())
    );
    let objects = with(json!({"pods": everything()}));
    assert_eq!(of_kind(&objects, "Deployment").len(), COMPONENTS.len());
    for component in COMPONENTS.into_iter().chain(HOOKS) {
        arrived(&objects, component);
    }
}

#[test]
fn every_key_of_a_component_arrives_on_its_pods_alone() {
    let plain = with(json!({}));
    for component in COMPONENTS.into_iter().chain(HOOKS) {
        let mut own = everything();
        if component == "identity" || HOOKS.contains(&component) {
            own.as_object_mut().unwrap().remove("strategy");
        }
        if HOOKS.contains(&component) {
            own.as_object_mut().unwrap().remove("revisionHistoryLimit");
        }
        let objects = with(json!({ component: own }));
        arrived(&objects, component);
        for other in COMPONENTS.into_iter().filter(|other| *other != component) {
            // A class of the chart's own is still there for the others.
            assert_eq!(
                deployment(&objects, other),
                deployment(&plain, other),
                "{component}: {other}"
            );
        }
    }
}

#[test]
fn a_component_s_own_value_replaces_that_of_all_and_maps_are_merged() {
    let objects = with(json!({
        "pods": {
            "nodeSelector": {"pool": "system", "disk": "ssd"},
            "tolerations": [{"key": "a", "operator": "Exists"}],
            "priorityClassName": "theirs",
            "revisionHistoryLimit": 3,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0}},
            "serviceAccount": {"annotations": {"example.com/role": "r"}},
        },
        "gateway": {
            "nodeSelector": {"pool": "edge"},
            "tolerations": [],
            "topologySpreadConstraints": [],
            "priorityClassName": "none",
            "revisionHistoryLimit": 0,
            "strategy": {"type": "Recreate"},
            "serviceAccount": {"name": "edge"},
        },
    }));
    let spec = &deployment(&objects, "gateway")["spec"];
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["nodeSelector"], json!({"pool": "edge", "disk": "ssd"}));
    for gone in ["tolerations", "topologySpreadConstraints", "priorityClassName"] {
        assert!(pod.get(gone).is_none(), "{gone}: {pod}");
    }
    assert_eq!(spec["revisionHistoryLimit"], 0);
    assert_eq!(spec["strategy"], json!({"type": "Recreate"}));
    let account = named(&objects, "ServiceAccount", "edge");
    assert_eq!(account["metadata"]["annotations"]["example.com/role"], "r");
    assert!(
        of_kind(&objects, "PriorityClass").is_empty(),
        "no pod uses the chart's own"
    );
    let other = &deployment(&objects, "operator")["spec"]["template"]["spec"];
    assert_eq!(other["priorityClassName"], "theirs");
}

#[test]
fn a_null_takes_a_key_of_the_chart_s_security_contexts_out() {
    let keys = ["runAsUser", "runAsGroup", "fsGroup"];
    let nulls = json!({"runAsUser": null, "runAsGroup": null, "fsGroup": null});
    let objects = with(json!({
        "pods": {"podSecurityContext": nulls, "containerSecurityContext": {"readOnlyRootFilesystem": null}},
        "gateway": {"podSecurityContext": {"runAsUser": 7}},
    }));
    for component in COMPONENTS {
        let pod = &deployment(&objects, component)["spec"]["template"]["spec"];
        let security = &pod["securityContext"];
        let kept: Vec<_> = keys
            .into_iter()
            .filter(|key| security.get(key).is_some())
            .collect();
        let expected: &[&str] = if component == "gateway" {
            &["runAsUser"]
        } else {
            &[]
        };
        assert_eq!(kept, expected, "{component}: {security}");
        assert_eq!(security["runAsNonRoot"], true, "{component}");
        let security = &pod["containers"][0]["securityContext"];
        assert!(security.get("readOnlyRootFilesystem").is_none(), "{component}");
        assert_eq!(security["allowPrivilegeEscalation"], false, "{component}");
    }
}

#[test]
fn accounts_that_exist_get_the_rights_and_are_known_to_policies_and_webhook() {
    let plain = with(json!({"operator": {"priorityLevel": "workload-high"}}));
    let objects = with(json!({
        "pods": {"serviceAccount": {"create": false}},
        "operator": {"serviceAccount": {"name": "their-operator"}, "priorityLevel": "workload-high"},
        "gateway": {"serviceAccount": {"name": "their-gateway"}},
    }));
    assert!(of_kind(&objects, "ServiceAccount").is_empty());
    let text = serde_json::to_string(&objects).unwrap();
    let before = serde_json::to_string(&plain).unwrap();
    for component in ["operator", "gateway"] {
        let pod = &deployment(&objects, component)["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], format!("their-{component}"));
        let user = |name: &str| format!("system:serviceaccount:jupyter-k8s-system:{name}");
        let (ours, theirs) = (
            user(&format!("jupyter-k8s-{component}")),
            user(&format!("their-{component}")),
        );
        assert!(!text.contains(&ours), "{ours}");
        assert_eq!(
            text.matches(&theirs).count(),
            before.matches(&ours).count(),
            "{theirs}"
        );
        let subjects = |objects: &[Value], account: &str| {
            let named = |value: &Value| value["kind"] == "ServiceAccount" && value["name"] == account;
            let subjects = objects
                .iter()
                .flat_map(|object| object["subjects"].as_array().into_iter().flatten());
            subjects.filter(|subject| named(subject)).count()
        };
        let own = format!("jupyter-k8s-{component}");
        assert_eq!(
            subjects(&objects, &format!("their-{component}")),
            subjects(&plain, &own)
        );
        assert_eq!(subjects(&objects, &own), 0);
    }
    let flows = serde_json::to_string(&of_kind(&objects, "FlowSchema")).unwrap();
    assert_eq!(flows.matches("\"name\":\"their-operator\"").count(), 2, "{flows}");
    let webhook = container(&objects, "jupyter-k8s-webhook");
    let account = "system:serviceaccount:jupyter-k8s-system:their-operator";
    assert_eq!(argument(webhook, "--operator-service-account"), Some(account));
    let same = r#"gateway.serviceAccount={"name":"jupyter-k8s-proxy"}"#;
    let reason = refused(same);
    let message =
        r#"gateway.serviceAccount.name: "jupyter-k8s-proxy" is also the account of proxy: name another"#;
    assert!(reason.contains(message), "{reason}");
    let reason = refused(r#"operator.serviceAccount={"name":"default"}"#);
    assert!(
        reason.contains(r#"operator.serviceAccount.name: "default" is the account of every pod"#),
        "{reason}"
    );
}

#[test]
fn what_the_chart_itself_sets_cannot_be_set_once_more() {
    for (setting, message) in [
        (
            r#"gateway.extraArgs=["--manager=other"]"#,
            "gateway.extraArgs[0]: the chart itself sets --manager for gateway: use the value that stands for it",
        ),
        (
            r#"proxy.extraArgs=["--entryPoints.https.forwardedHeaders.insecure"]"#,
            "the chart itself sets --entryPoints.https.forwardedHeaders.insecure for proxy",
        ),
        (
            r#"pods.extraEnv=[{"name":"POD_NAME","value":"x"}]"#,
            r#"pods.extraEnv[0].name: "POD_NAME" is set twice for proxy: remove one of them; the chart itself sets POD_NAME, GOMEMLIMIT"#,
        ),
        (
            r#"webhook.extraEnv=[{"name":"A"},{"name":"A"}]"#,
            r#"webhook.extraEnv[1].name: "A" is set twice for webhook"#,
        ),
        (
            r#"operator.extraVolumes=[{"name":"settings","emptyDir":{}}]"#,
            r#"operator.extraVolumes[0].name: "settings" is the name of another volume of operator: choose another name; those of the chart are settings"#,
        ),
        (
            r#"operator.extraVolumeMounts=[{"name":"data","mountPath":"/data"}]"#,
            r#"operator.extraVolumeMounts[0].name: operator has no volume "data": add it to extraVolumes of operator or pods"#,
        ),
        (
            r#"operator.extraVolumeMounts=[{"name":"settings","mountPath":"/etc/jupyter-k8s/"}]"#,
            r#"another volume of operator is at "/etc/jupyter-k8s/": choose another path"#,
        ),
        (
            r#"pods.labels={"app.kubernetes.io/component":"x"}"#,
            r#"pods.labels: "app.kubernetes.io/component" is a label that the chart sets itself"#,
        ),
        (
            r#"commonLabels={"workspaces.jupyter.org/workspace":"x"}"#,
            r#"commonLabels: "workspaces.jupyter.org/workspace" is a label that the chart sets itself"#,
        ),
        (
            r#"gateway.labels={"team":"a b"}"#,
            r#"gateway.labels.team: "a b" is no value of a label: at most 63 letters"#,
        ),
        (
            r#"pods.annotations={"a b":"x"}"#,
            r#"pods.annotations: "a b" is no key of a label or annotation"#,
        ),
        (
            r#"pods.priorityClassName="High""#,
            r#"pods.priorityClassName: "High" is no name of a Kubernetes object"#,
        ),
        (
            r#"images.proxy={"digest":"sha256:12"}"#,
            r#"images.proxy.digest: "sha256:12" is no digest of an image: sha256: and 64 hexadecimal digits"#,
        ),
        (
            r#"images.proxy={"registry":"https://r.example"}"#,
            r#"images.proxy.registry: "https://r.example" is no registry"#,
        ),
        (
            "webhook.port=9090",
            "webhook.port: 9090 is the port of its metrics: choose another",
        ),
    ] {
        let reason = refused(setting);
        assert!(reason.contains(message), "{setting}: {reason}");
    }
    for (setting, key) in [
        ("webhook.port=443", "port"),
        (r#"logLevel="verbose""#, "logLevel"),
        (r#"identity.strategy={"type":"RollingUpdate"}"#, "strategy"),
        (r#"pods.serviceAccount={"name":"one-for-all"}"#, "name"),
        ("extraObjects=[{}]", "kind"),
    ] {
        let reason = refused(setting);
        assert!(reason.contains(key), "{setting}: {reason}");
    }
}
