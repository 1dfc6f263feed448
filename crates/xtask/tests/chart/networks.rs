//! rendered network policies -> every pod has only the connections that it needs (IO: runs `helm`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::render::{EXTERNAL, installations, named, of_kind, strings, template, with_values};

/// Labels of all pods of the release, by component: of Deployments, Jobs and the Pod of `helm test`.
fn labels_of_pods(objects: &[Value]) -> BTreeMap<String, Value> {
    let templates = objects
        .iter()
        .filter_map(|object| match object["kind"].as_str()? {
            "Deployment" | "Job" => Some(&object["spec"]["template"]["metadata"]["labels"]),
            "Pod" => Some(&object["metadata"]["labels"]),
            _ => None,
        });
    let component = |labels: &Value| labels["app.kubernetes.io/component"].as_str().unwrap().to_owned();
    templates
        .map(|labels| (component(labels), labels.clone()))
        .collect()
}

/// The policies of the release that select these labels. Examples add policies for other namespaces.
fn policies<'a>(objects: &'a [Value], labels: &Value) -> Vec<&'a Value> {
    let selects = |policy: &&Value| {
        let wanted = &policy["spec"]["podSelector"]["matchLabels"];
        policy["metadata"]["labels"]["app.kubernetes.io/name"] == "jupyter-k8s"
            && wanted
                .as_object()
                .unwrap()
                .iter()
                .all(|(key, value)| labels[key] == *value)
    };
    of_kind(objects, "NetworkPolicy")
        .into_iter()
        .filter(selects)
        .collect()
}

/// The policy of a component.
fn policy(objects: &[Value], component: &str) -> Value {
    named(objects, "NetworkPolicy", &format!("jupyter-k8s-{component}"))["spec"].clone()
}

#[test]
fn every_pod_of_the_release_has_one_policy_for_both_directions() {
    for objects in installations() {
        let pods = labels_of_pods(&objects);
        let components: BTreeSet<&str> = pods.keys().map(String::as_str).collect();
        for expected in [
            "proxy",
            "gateway",
            "portal",
            "operator",
            "webhook",
            "crds",
            "uninstall",
            "tests",
        ] {
            assert!(components.contains(expected), "{components:?}");
        }
        for (component, labels) in &pods {
            let policies = policies(&objects, labels);
            assert_eq!(policies.len(), 1, "{component}");
            let spec = &policies[0]["spec"];
            assert_eq!(
                strings(&spec["policyTypes"]),
                ["Ingress", "Egress"],
                "{component}"
            );
            for rule in spec["egress"].as_array().unwrap() {
                let bounded = rule["to"].is_array() || rule["ports"].is_array();
                assert!(bounded, "{component}: {rule}");
            }
            // A hook's policy exists before its pod.
            let hook = &policies[0]["metadata"]["annotations"]["helm.sh/hook-weight"];
            let early = ["crds", "uninstall", "tests"].contains(&component.as_str());
            assert_eq!(hook == "-5", early, "{component}");
        }
    }
}

#[test]
fn hooks_and_the_test_accept_no_connections_and_only_monitoring_reaches_the_operator() {
    let objects = template(&EXTERNAL).unwrap();
    for component in ["crds", "uninstall", "tests", "operator"] {
        assert!(policy(&objects, component)["ingress"].is_null(), "{component}");
    }
    let values = json!({"networkPolicy": {"metricsNamespaces": ["monitoring"]}});
    let objects = with_values(values, &[]).unwrap();
    for component in ["operator", "webhook", "gateway", "portal"] {
        let ingress = policy(&objects, component)["ingress"].clone();
        let metrics = ingress.as_array().unwrap().last().unwrap().clone();
        assert_eq!(metrics["ports"], json!([{"port": 9090, "protocol": "TCP"}]));
        let namespaces = &metrics["from"][0]["namespaceSelector"]["matchExpressions"][0]["values"];
        assert_eq!(*namespaces, json!(["monitoring"]), "{component}");
    }
}

#[test]
fn until_the_api_server_s_networks_are_known_its_ports_are_open_at_any_address_and_nothing_else_is() {
    let objects = template(&EXTERNAL).unwrap();
    for component in [
        "operator",
        "webhook",
        "gateway",
        "portal",
        "crds",
        "uninstall",
        "tests",
    ] {
        let egress = policy(&objects, component)["egress"].clone();
        let rules = egress.as_array().unwrap();
        assert_eq!(rules[0]["ports"][0]["port"], 53, "{component}");
        let ports: Vec<i64> = rules[1]["ports"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|port| port["port"].as_i64())
            .collect();
        assert_eq!(ports, [443, 6443, 8443, 16443], "{component}");
        assert!(rules[1].get("to").is_none(), "{component}");
    }
}

#[test]
fn identity_providers_are_reached_on_the_ports_of_their_urls_and_in_the_namespaces_of_their_services() {
    let providers = |values: Value| {
        let objects = with_values(values, &[]).unwrap();
        let rules = policy(&objects, "gateway")["egress"].as_array().unwrap().clone();
        let ports = |rule: &Value| rule["ports"].as_array().cloned().unwrap_or_default();
        let public = rules
            .iter()
            .find(|rule| rule["to"][0]["ipBlock"].is_object())
            .cloned();
        let ports: Vec<i64> = public
            .iter()
            .flat_map(ports)
            .filter_map(|port| port["port"].as_i64())
            .collect();
        let inside = rules.iter().find_map(|rule| {
            let expression = &rule["to"][0]["namespaceSelector"]["matchExpressions"][0];
            expression["values"]
                .is_array()
                .then(|| expression["values"].clone())
        });
        (ports, inside)
    };
    assert_eq!(providers(json!({})), (vec![443], None));
    let inside_the_cluster = json!({"oidc": {
        "issuerUrl": "https://id.example.com:8444/realm", "usernamePrefix": "a:", "connectTo": "keycloak.identity.svc:8443",
        "others": [{
            "name": "p", "issuerUrl": "https://p.example:9443", "clientId": "c", "usernamePrefix": "b:",
            "connectTo": "kc.partners.svc.cluster.local:8443",
        }],
    }});
    let (ports, inside) = providers(inside_the_cluster);
    assert_eq!(ports, [443, 8443]);
    // Without ports: policies apply to ports of pods, which may differ from those of the Service.
    assert_eq!(inside, Some(json!(["identity", "partners"])));
    let (ports, inside) = providers(json!({"oidc": {"issuerUrl": "https://id.example.com:8444/realm"}}));
    assert_eq!((ports, inside), (vec![443, 8444], None));
}

#[test]
fn policies_can_be_switched_off() {
    let objects = with_values(json!({"networkPolicy": {"enabled": false}}), &[]).unwrap();
    assert!(of_kind(&objects, "NetworkPolicy").is_empty());
}
