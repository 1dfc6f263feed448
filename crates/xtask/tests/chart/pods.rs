//! rendered pods -> secured, bounded and protected (IO: runs `helm`).

use serde_json::{Value, json};

use crate::render::{
    EXTERNAL, LOCAL, hook_pods, installations, named, of_kind, pods, refusal, refused, strings, template,
    with_values,
};

/// Pods of servers, Jobs and `helm test`, and whether each is a server's.
fn all_pods(objects: &[Value]) -> Vec<(&str, &Value, bool)> {
    let servers = pods(objects).into_iter().map(|(name, pod)| (name, pod, true));
    let hooks = hook_pods(objects)
        .into_iter()
        .map(|(name, pod)| (name, pod, false));
    servers.chain(hooks).collect()
}

/// All containers of a pod.
fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["initContainers", "containers"].into_iter();
    lists.flat_map(|list| pod[list].as_array().into_iter().flatten())
}

fn is_secure_and_bounded(name: &str, container: &Value) {
    let security = &container["securityContext"];
    assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
    assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
    assert_eq!(strings(&security["capabilities"]["drop"]), ["ALL"], "{name}");
    assert!(security["capabilities"]["add"].is_null(), "{name}");
    for (bound, resource) in [
        ("requests", "cpu"),
        ("requests", "memory"),
        ("limits", "cpu"),
        ("limits", "memory"),
    ] {
        assert!(
            !container["resources"][bound][resource].is_null(),
            "{name}: {bound}.{resource}"
        );
    }
    // A value that ends in a colon would become an object if it were not quoted.
    let arguments = container["args"].as_array().unwrap();
    assert!(arguments.iter().all(Value::is_string), "{name}: {arguments:?}");
}

#[test]
fn every_pod_fits_pod_security_restricted_and_is_bounded() {
    for objects in installations() {
        let all = all_pods(&objects);
        assert_eq!(
            all.iter().filter(|(.., is_server)| !is_server).count(),
            3,
            "two Jobs, one Pod"
        );
        for (name, pod, is_server) in all {
            let security = &pod["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{name}");
            assert_ne!(security["runAsUser"], 0, "{name}");
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{name}");
            for field in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(pod[field].is_null(), "{name}: {field}");
            }
            for volume in pod["volumes"].as_array().into_iter().flatten() {
                let allowed = ["configMap", "secret", "projected", "emptyDir"];
                assert!(
                    allowed.iter().any(|kind| !volume[kind].is_null()),
                    "{name}: {volume}"
                );
            }
            for container in containers(pod) {
                is_secure_and_bounded(name, container);
                for port in container["ports"].as_array().into_iter().flatten() {
                    assert!(port["hostPort"].is_null(), "{name}: {port}");
                }
            }
            if is_server {
                let spread = &pod["topologySpreadConstraints"][0];
                assert_eq!(spread["topologyKey"], "kubernetes.io/hostname", "{name}");
                for probe in ["readinessProbe", "livenessProbe"] {
                    assert!(pod["containers"][0][probe].is_object(), "{name}: {probe}");
                }
            }
        }
    }
}

#[test]
fn pods_run_as_a_numeric_user_unless_the_platform_chooses_one() {
    for values in [&EXTERNAL[..], &LOCAL[..]] {
        for (name, pod, _) in all_pods(&template(values).unwrap()) {
            assert!(pod["securityContext"]["runAsUser"].is_u64(), "{name}");
        }
    }
    for (name, pod, _) in all_pods(&template(&["-f", "examples/openshift.yaml"]).unwrap()) {
        for field in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert!(pod["securityContext"][field].is_null(), "{name}: {field}");
        }
    }
}

/// User and groups of workspaces' pods, as the operator reads them.
fn identifiers(objects: &[Value]) -> Value {
    let map = named(objects, "ConfigMap", "jupyter-k8s-settings");
    let settings: Value = serde_saphyr::from_str(map["data"]["settings.yaml"].as_str().unwrap()).unwrap();
    settings["podSecurityContext"].clone()
}

#[test]
fn workspaces_run_as_user_1000_unless_the_settings_take_that_out() {
    let chosen = json!({"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000});
    assert_eq!(identifiers(&template(&EXTERNAL).unwrap()), chosen);
    let openshift = template(&["-f", "examples/openshift.yaml"]).unwrap();
    assert_eq!(identifiers(&openshift), json!({}));
    let given = json!({"settings": {"podSecurityContext": {"runAsUser": null, "runAsGroup": 0, "fsGroup": 1_000_650_000}}});
    let expected = json!({"runAsGroup": 0, "fsGroup": 1_000_650_000});
    assert_eq!(identifiers(&with_values(given, &[]).unwrap()), expected);
    // Values of an earlier version, as by --reuse-values.
    let reason = with_values(json!({"settings": {"podSecurityContext": null}}), &[]).unwrap_err();
    assert!(
        reason.contains("settings.podSecurityContext: has no value (null): leave the key out"),
        "{reason}"
    );
    let reason = refusal(&EXTERNAL, "settings.podSecurityContext.runAsUser=0");
    assert!(
        reason.contains("settings.podSecurityContext.runAsUser"),
        "{reason}"
    );
}

#[test]
fn every_image_has_a_registry_and_a_fixed_tag() {
    for objects in installations() {
        for (name, pod, _) in all_pods(&objects) {
            for container in containers(pod) {
                let image = container["image"].as_str().unwrap();
                let (repository, tag) = image.rsplit_once(':').unwrap();
                assert!(
                    repository.contains('/') && !tag.is_empty() && tag != "latest",
                    "{name}: {image}"
                );
            }
        }
    }
}

#[test]
fn components_with_several_replicas_have_a_disruption_budget() {
    for objects in installations() {
        for deployment in of_kind(&objects, "Deployment") {
            let name = deployment["metadata"]["name"].as_str().unwrap();
            let budget = of_kind(&objects, "PodDisruptionBudget")
                .into_iter()
                .any(|budget| budget["metadata"]["name"] == name);
            assert_eq!(
                budget,
                deployment["spec"]["replicas"].as_u64().unwrap() > 1,
                "{name}"
            );
        }
    }
}

#[test]
fn every_component_accepts_connections_only_where_it_listens() {
    for objects in installations() {
        for (name, _) in pods(&objects) {
            let policy = named(&objects, "NetworkPolicy", name);
            assert!(
                strings(&policy["spec"]["policyTypes"]).contains(&"Ingress"),
                "{name}"
            );
            for rule in policy["spec"]["ingress"].as_array().into_iter().flatten() {
                assert!(rule["ports"].is_array(), "{name}: {rule}");
            }
        }
        let gateway = named(&objects, "NetworkPolicy", "jupyter-k8s-gateway");
        let peer = &gateway["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"];
        assert_eq!(peer["app.kubernetes.io/component"], "proxy");
    }
}

#[test]
fn the_webhook_accepts_only_the_networks_of_the_api_server() {
    let asked = |values: &[&str]| {
        let objects = template(values).unwrap();
        named(&objects, "NetworkPolicy", "jupyter-k8s-webhook")["spec"]["ingress"][0].clone()
    };
    let open = asked(&EXTERNAL);
    assert_eq!(open["ports"][0]["port"], 9443);
    assert!(open.get("from").is_none(), "{open}");
    let set = "webhook.apiServerNetworks={10.1.2.0/28,10.9.8.7,2001:db8::1}";
    let closed = asked(&[&EXTERNAL[..], &["--set", set]].concat());
    let block = |cidr: &str| json!({"ipBlock": {"cidr": cidr}});
    let peers = ["10.1.2.0/28", "10.9.8.7/32", "2001:db8::1/128"].map(block);
    assert_eq!(closed["from"], json!(peers));
    assert_eq!(closed["ports"], open["ports"]);
    assert!(asked(&LOCAL)["from"].is_array(), "the local cluster's is known");
    let reason = refused(r#"webhook.apiServerNetworks=["10.0.0.0/8","api.example.org"]"#);
    let expected = r#"webhook.apiServerNetworks[1]: "api.example.org" is no network or address"#;
    assert!(reason.contains(expected), "{reason}");
}

#[test]
fn our_own_pods_have_priority_over_workspaces() {
    let own = template(&LOCAL).unwrap();
    let class = named(&own, "PriorityClass", "jupyter-k8s-system");
    assert!(class["value"].as_i64().unwrap() > 0);
    let other = template(&[&LOCAL[..], &["--set", "pods.priorityClassName=theirs"]].concat()).unwrap();
    assert!(other.iter().all(|object| object["kind"] != "PriorityClass"));
    for (objects, expected) in [(&own, "jupyter-k8s-system"), (&other, "theirs")] {
        for (name, pod) in pods(objects) {
            assert_eq!(pod["priorityClassName"], expected, "{name}");
        }
    }
}
