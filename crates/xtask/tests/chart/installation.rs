//! values -> the Pod of `helm test`, and its rights (IO: runs `helm`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::render::{LOCAL, argument, container, named, of_kind, refused, strings, template, with_values};

const NAME: &str = "jupyter-k8s-tests";

fn objects(values: Value) -> Vec<Value> {
    with_values(values, &[]).unwrap()
}

fn check(objects: &[Value]) -> &Value {
    &named(objects, "Pod", NAME)["spec"]["containers"][0]
}

#[test]
fn only_the_pod_stays_after_a_test_and_everything_else_is_there_before_it() {
    let objects = template(&LOCAL).unwrap();
    let ours: Vec<&Value> = objects
        .iter()
        .filter(|object| object["metadata"]["name"] == NAME)
        .collect();
    let kinds: BTreeSet<&str> = ours.iter().filter_map(|object| object["kind"].as_str()).collect();
    let expected = ["NetworkPolicy", "Pod", "Role", "RoleBinding", "ServiceAccount"];
    assert_eq!(kinds, BTreeSet::from(expected));
    assert_eq!(ours.len(), expected.len());
    for object in ours {
        let annotations = &object["metadata"]["annotations"];
        let (weight, policy) = if object["kind"] == "Pod" {
            ("0", "before-hook-creation")
        } else {
            ("-5", "before-hook-creation,hook-succeeded,hook-failed")
        };
        assert_eq!(annotations["helm.sh/hook"], "test", "{object}");
        assert_eq!(annotations["helm.sh/hook-weight"], weight, "{object}");
        assert_eq!(annotations["helm.sh/hook-delete-policy"], policy, "{object}");
    }
    let pod = &named(&objects, "Pod", NAME)["spec"];
    assert_eq!(pod["restartPolicy"], "Never");
    assert_eq!(pod["serviceAccountName"], NAME);
}

#[test]
fn the_check_has_the_gateway_s_providers_and_secrets_and_none_of_its_other_settings() {
    let objects = objects(json!({"oidc": {
        "caConfigMapName": "issuer-ca",
        "usernamePrefix": "a:",
        "connectTo": "192.0.2.7:443",
        "others": [{
            "name": "partners", "issuerUrl": "https://id.example.net", "clientId": "c",
            "clientSecretName": "partners", "usernamePrefix": "b:",
        }],
    }}));
    let gateway = container(&objects, "jupyter-k8s-gateway");
    let check = check(&objects);
    assert_eq!(check["image"], gateway["image"]);
    let oidc = |container: &Value| -> Vec<String> {
        let all = strings(&container["args"]).into_iter();
        all.filter(|argument| argument.starts_with("--oidc-"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(oidc(check), oidc(gateway));
    assert_eq!(argument(check, "--oidc-connect-to"), Some("192.0.2.7:443"));
    assert_eq!(strings(&check["args"])[0], "check");
    let pods = [
        &named(&objects, "Pod", NAME)["spec"],
        &named(&objects, "Deployment", "jupyter-k8s-gateway")["spec"]["template"]["spec"],
    ];
    let [own, gateways] = pods.map(|pod| pod["volumes"].as_array().unwrap());
    let names: Vec<&str> = own.iter().filter_map(|volume| volume["name"].as_str()).collect();
    assert_eq!(names, ["oidc-client", "oidc-ca", "oidc-others"]);
    for volume in own {
        assert!(gateways.contains(volume), "{volume}");
    }
    for mount in check["volumeMounts"].as_array().unwrap() {
        let there = gateway["volumeMounts"].as_array().unwrap();
        assert!(there.contains(mount), "{mount}");
    }
    assert_eq!(check["volumeMounts"].as_array().map(Vec::len), Some(3));
}

#[test]
fn hosts_and_ports_are_those_of_the_installation() {
    let local = template(&LOCAL).unwrap();
    let local = check(&local);
    for (flag, value) in [
        ("--base-domain", "workspaces.localhost"),
        ("--routing-mode", "Subdomain"),
        ("--port", "8443"),
        ("--identity-host", "identity.localhost"),
        ("--webhook-port", "9443"),
        ("--workspace-namespace", "team-demo"),
        ("--workspace-template", "jupyterlab"),
        ("--timeout-seconds", "240"),
    ] {
        assert_eq!(argument(local, flag), Some(value), "{flag}");
    }
    let other = objects(json!({"routing": {"mode": "Path"}, "webhook": {"port": 10250}}));
    let other = check(&other);
    assert_eq!(argument(other, "--routing-mode"), Some("Path"));
    assert_eq!(argument(other, "--webhook-port"), Some("10250"));
    assert_eq!(argument(other, "--identity-host"), None);
    assert_eq!(argument(other, "--workspace-namespace"), None);
}

#[test]
fn the_workspace_has_the_given_namespace_and_the_default_template() {
    let template = json!({"displayName": "T", "defaultImage": "uv"});
    let mut values = json!({
        "tests": {"namespace": "trials", "timeoutSeconds": 600},
        "userNamespaces": [{"name": "team-a"}],
        "templates": {"b": template, "a": template, "jupyterlab": null},
        "defaultTemplate": "b",
    });
    values["templates"]["b"]["primaryStorage"] = json!({"retain": "Retain"});
    let rendered = objects(values.clone());
    assert_eq!(
        argument(check(&rendered), "--workspace-namespace"),
        Some("trials")
    );
    assert_eq!(argument(check(&rendered), "--timeout-seconds"), Some("600"));
    assert_eq!(argument(check(&rendered), "--workspace-template"), Some("b"));
    assert!(strings(&check(&rendered)["args"]).contains(&"--delete-disk"));
    values["defaultTemplate"] = json!("");
    values["tests"]["namespace"] = json!("");
    let rendered = objects(values.clone());
    assert_eq!(
        argument(check(&rendered), "--workspace-namespace"),
        Some("team-a")
    );
    assert_eq!(argument(check(&rendered), "--workspace-template"), Some("a"));
    assert!(!strings(&check(&rendered)["args"]).contains(&"--delete-disk"));
    values["userNamespaces"][0]["templates"] = json!(["b"]);
    let of_the_team = objects(values.clone());
    assert_eq!(argument(check(&of_the_team), "--workspace-template"), Some("b"));
    values["tests"]["template"] = json!("theirs");
    let given = objects(values);
    assert_eq!(argument(check(&given), "--workspace-template"), Some("theirs"));
    let rights = &named(&given, "Role", NAME)["rules"][2];
    assert_eq!(rights["resourceNames"], json!(["theirs"]));
}

#[test]
fn its_account_may_handle_one_workspace_of_one_namespace() {
    let rendered = objects(json!({"tests": {"namespace": "trials"}}));
    let role = named(&rendered, "Role", NAME);
    assert_eq!(role["metadata"]["namespace"], "trials");
    let group = json!(["workspaces.jupyter.org"]);
    assert_eq!(
        role["rules"],
        json!([
            {"apiGroups": group, "resources": ["workspaces"], "verbs": ["create"]},
            {
                "apiGroups": group, "resources": ["workspaces"], "resourceNames": [NAME],
                "verbs": ["get", "list", "watch", "delete"],
            },
            {
                "apiGroups": group, "resources": ["workspacetemplates"], "resourceNames": ["jupyterlab"],
                "verbs": ["use"],
            },
        ])
    );
    let dry = objects(json!({}));
    let role = named(&dry, "Role", NAME);
    assert_eq!(role["metadata"]["namespace"], "default");
    assert_eq!(
        role["rules"],
        json!([{"apiGroups": group, "resources": ["workspaces"], "verbs": ["create"]}])
    );
    for objects in [&rendered, &dry] {
        let bindings = of_kind(objects, "RoleBinding");
        let ours: Vec<_> = bindings
            .into_iter()
            .filter(|binding| binding["subjects"][0]["name"] == NAME)
            .collect();
        assert_eq!(ours.len(), 1);
        assert_eq!(ours[0]["subjects"][0]["namespace"], "jupyter-k8s-system");
        assert_eq!(
            ours[0]["metadata"]["namespace"],
            named(objects, "Role", NAME)["metadata"]["namespace"]
        );
        for binding in of_kind(objects, "ClusterRoleBinding") {
            assert_ne!(binding["subjects"][0]["name"], NAME);
        }
    }
}

#[test]
fn it_reaches_what_the_gateway_reaches_the_proxy_and_where_dns_leads() {
    let networks = json!({"networkPolicy": {
        "apiServer": {"networks": ["10.0.0.1"]},
        "identityProviders": {"networks": ["192.0.2.0/24"], "ports": [8444]},
    }});
    let rendered = objects(networks);
    let policy = &named(&rendered, "NetworkPolicy", NAME)["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(
        policy.get("ingress"),
        None,
        "the check accepts no connections: {policy}"
    );
    let rules = policy["egress"].as_array().unwrap();
    let gateway = &named(&rendered, "NetworkPolicy", "jupyter-k8s-gateway")["spec"]["egress"];
    let issuers = json!({
        "to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 8444, "protocol": "TCP"}],
    });
    assert!(rules.contains(&issuers), "{policy}");
    assert!(gateway.as_array().unwrap().contains(&issuers), "{gateway}");
    let to_proxy =
        |rule: &Value| rule["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "proxy";
    assert!(rules.iter().any(to_proxy), "{policy}");
    let anywhere = json!({"ports": [{"port": 443, "protocol": "TCP"}]});
    assert!(rules.contains(&anywhere), "{policy}");
    let open = objects(json!({}));
    let policy = &named(&open, "NetworkPolicy", NAME)["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let none = objects(json!({"networkPolicy": {"enabled": false}}));
    assert!(
        of_kind(&none, "NetworkPolicy").is_empty(),
        "{:?}",
        of_kind(&none, "NetworkPolicy")
    );
}

#[test]
fn a_namespace_without_workspaces_is_refused() {
    for namespace in ["jupyter-k8s-system", "kube-system"] {
        let reason = refused(&format!("tests.namespace={namespace:?}"));
        let expected = format!("tests.namespace: {namespace:?} has no workspaces");
        assert!(reason.contains(&expected), "{reason}");
    }
    let reason = refused(r#"tests.namespace="Team""#);
    assert!(
        reason.contains(r#"tests.namespace: "Team" is no name of a namespace"#),
        "{reason}"
    );
    let reason = refused(r#"tests.resources.requests={"memory":"1Gi"}"#);
    assert!(reason.contains("tests.resources"), "{reason}");
}
