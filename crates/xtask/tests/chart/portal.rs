//! `portal` -> its pods, network, hosts and notes, or a refusal (IO: runs `helm`).

use serde_json::{Value, json};

use crate::notes::notes;
use crate::portal_rights::ACCOUNT;
use crate::render::{EXTERNAL, argument, container, named, pods, strings, template, with_values};

#[test]
fn only_the_proxy_and_monitoring_reach_it_and_it_reaches_dns_and_the_api_server_alone() {
    let network = json!({"metricsNamespaces": ["monitoring"], "apiServer": {"networks": ["10.0.0.1"]}});
    let objects = with_values(json!({"networkPolicy": network}), &[]).unwrap();
    let policy = |name: &str| named(&objects, "NetworkPolicy", name)["spec"].clone();
    let spec = policy(ACCOUNT);
    let peer = |component: &str| {
        json!({"podSelector": {"matchLabels": {
            "app.kubernetes.io/name": "jupyter-k8s",
            "app.kubernetes.io/instance": "jupyter-k8s",
            "app.kubernetes.io/component": component,
        }}})
    };
    let ingress = spec["ingress"].as_array().unwrap();
    assert_eq!(ingress.len(), 2, "{spec}");
    assert_eq!(
        ingress[0],
        json!({"from": [peer("proxy")], "ports": [{"port": 8443, "protocol": "TCP"}]})
    );
    assert_eq!(ingress[1]["ports"], json!([{"port": 9090, "protocol": "TCP"}]));
    let egress = spec["egress"].as_array().unwrap();
    assert_eq!(egress.len(), 2, "{spec}");
    assert_eq!(egress[0]["ports"][0], json!({"port": 53, "protocol": "UDP"}));
    assert_eq!(egress[1]["to"], json!([{"ipBlock": {"cidr": "10.0.0.1/32"}}]));
    let to_portal = json!({"to": [peer("portal")], "ports": [{"port": 8443, "protocol": "TCP"}]});
    let of_proxy = policy("jupyter-k8s-proxy")["egress"].clone();
    assert!(of_proxy.as_array().unwrap().contains(&to_portal), "{of_proxy}");
}

#[test]
fn it_proposes_the_prefixes_of_each_provider_s_users_and_groups() {
    let prefixes = |oidc: Value| {
        let objects = with_values(json!({"oidc": oidc}), &[]).unwrap();
        let args = container(&objects, ACCOUNT)["args"].clone();
        let args = args.as_array().unwrap().iter().filter_map(Value::as_str);
        let prefixes = args.filter(|arg| arg.contains("-prefix="));
        prefixes.map(str::to_owned).collect::<Vec<_>>()
    };
    let both = json!({"usernamePrefix": "oidc:", "groupsClaim": "groups", "groupsPrefix": "groups:"});
    assert_eq!(prefixes(both), ["--user-prefix=oidc:", "--group-prefix=groups:"]);
    assert!(prefixes(json!({"usernamePrefix": "-", "groupsClaim": ""})).is_empty());
    let none = prefixes(json!({"usernamePrefix": "", "usernameClaim": "sub", "groupsClaim": ""}));
    assert_eq!(none.len(), 1, "{none:?}");
    assert!(
        none[0].starts_with("--user-prefix=https://") && none[0].ends_with('#'),
        "{none:?}"
    );
}

#[test]
fn its_pod_has_its_certificate_the_gateways_keys_settings_and_pages_and_nothing_else() {
    let logo = json!({"gateway": {"pages": {"logoConfigMap": {"name": "our-logo"}}}});
    let objects = with_values(logo, &[]).unwrap();
    let pods = pods(&objects);
    let pod = pods.iter().find(|(name, _)| *name == ACCOUNT).unwrap().1;
    let volumes = pod["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), 3, "{volumes:?}");
    let item = |key: &str, path: &str| json!({"key": key, "path": path});
    assert_eq!(
        volumes[0]["projected"],
        json!({"defaultMode": 0o440, "sources": [
            {"configMap": {"name": "jupyter-k8s-settings"}},
            {"configMap": {
                "name": "jupyter-k8s-assertion-keys", "items": [item("gateway.json", "assertion-keys/jwks.json")],
            }},
            {"secret": {"name": "jupyter-k8s-portal-tls", "items": [
                item("tls.crt", "tls/tls.crt"), item("tls.key", "tls/tls.key"), item("ca.crt", "tls/ca.crt"),
            ]}},
        ]}),
        "a pod without one of them waits: none is optional"
    );
    assert_eq!(volumes[1]["configMap"]["name"], "jupyter-k8s-gateway-pages");
    assert_eq!(volumes[2]["configMap"]["name"], "our-logo");
    let portal = container(&objects, ACCOUNT);
    for (flag, expected) in [
        ("--manager", "default"),
        ("--impersonation", "Constrained"),
        ("--settings-file", "/etc/jupyter-k8s/settings.yaml"),
        (
            "--assertion-keys-file",
            "/etc/jupyter-k8s/assertion-keys/jwks.json",
        ),
        ("--tls-dir", "/etc/jupyter-k8s/tls"),
        ("--pages-file", "/etc/pages/pages.json"),
        ("--pages-logo-file", "/etc/pages-logo/logo"),
    ] {
        assert_eq!(argument(portal, flag), Some(expected), "{flag}");
    }
    assert_eq!(
        named(&objects, "Service", ACCOUNT)["spec"]["ports"],
        json!([
            {"name": "https", "port": 8443, "targetPort": "https"},
            {"name": "admin", "port": 9090, "targetPort": "admin"},
        ])
    );
    // The gateway creates the Secret, as its arguments say.
    let gateway = container(&objects, "jupyter-k8s-gateway");
    assert!(strings(&gateway["args"]).contains(&"--portal-enabled"));
    let rules = named(&objects, "Role", "jupyter-k8s-gateway")["rules"].clone();
    let about = rules.as_array().unwrap().iter();
    let mut about = about.filter(|rule| strings(&rule["resourceNames"]).contains(&"jupyter-k8s-portal-tls"));
    let rule = about.next().unwrap();
    assert_eq!(
        (strings(&rule["resources"]), strings(&rule["verbs"])),
        (vec!["secrets"], vec!["get", "create", "patch"])
    );
}

fn routes(more: &Value) -> Value {
    let objects = with_values(more.clone(), &[]).unwrap();
    let text = named(&objects, "ConfigMap", "jupyter-k8s-proxy")["data"]["routes.yaml"].clone();
    serde_saphyr::from_str(text.as_str().unwrap()).unwrap()
}

#[test]
fn requests_for_its_host_pass_the_gate_in_both_routing_modes() {
    let host = "Host(`portal.workspaces.example.org`)";
    for (mode, cookies) in [
        ("Subdomain", &["__Host-ws"][..]),
        ("Path", &["__Secure-ws", "__Host-ws"]),
    ] {
        let http = routes(&json!({"routing": {"mode": mode}}))["http"].clone();
        let routers = &http["routers"];
        let portal = &routers["portal"];
        assert_eq!(portal["rule"], host, "{mode}");
        assert_eq!(
            portal["parentRefs"],
            json!(["gate"]),
            "{mode}: the gate decides on every request"
        );
        assert_eq!(portal["service"], "portal");
        let (url, transport) = (
            &http["services"]["portal"]["loadBalancer"]["servers"][0]["url"],
            &http["services"]["portal"]["loadBalancer"]["serversTransport"],
        );
        assert_eq!(url, "https://jupyter-k8s-portal.jupyter-k8s-system.svc:8443");
        assert!(http["serversTransports"][transport.as_str().unwrap()]["rootCAs"].is_array());
        let gate = &http["middlewares"]["gate"]["forwardAuth"];
        assert_eq!(strings(&gate["addAuthCookiesToResponse"]), cookies, "{mode}");
        let front = &http["middlewares"]["front"]["redirectRegex"]["replacement"];
        assert_eq!(front, "https://portal.workspaces.example.org/");
    }
    let rule = |http: &Value, router: &str| http["routers"][router]["rule"].as_str().unwrap().to_owned();
    let http = routes(&json!({"routing": {"mode": "Path"}}))["http"].clone();
    let gate = format!("(Host(`workspaces.example.org`) || {host})");
    assert_eq!(rule(&http, "gate"), gate);
    assert_eq!(
        rule(&http, "upgrade"),
        format!("{gate} && HeaderRegexp(`Upgrade`, `.`)")
    );
    assert_eq!(
        rule(&http, "workspace-callback"),
        format!(
            "(Host(`workspaces.example.org`) && PathRegexp(`^/workspaces/[a-z0-9-]+/[a-z0-9-]+/_workspace/`)) || ({host} && PathPrefix(`/_workspace/`))"
        )
    );
}

#[test]
fn its_host_is_in_the_certificate_and_at_the_fronts_in_both_routing_modes() {
    let hosts = |mode: &str, portal: bool| -> (Value, Vec<String>, String) {
        let own = json!({"mode": mode});
        let issuer = json!({"tls": {"secretName": "", "certManager": {"issuerRef": {"name": "our-ca"}}}, "ingressRouteTCP": {"enabled": true}});
        let ordered = json!({"routing": own, "proxy": issuer, "portal": {"enabled": portal}});
        let ordered = with_values(ordered, &[]).unwrap();
        let signed = json!({"tls": {"secretName": "", "selfSigned": true}});
        let signed = with_values(
            json!({"routing": own, "proxy": signed, "portal": {"enabled": portal}}),
            &[],
        )
        .unwrap();
        let flags = strings(&container(&signed, "jupyter-k8s-gateway")["args"]);
        let flags = flags
            .iter()
            .filter_map(|flag| flag.strip_prefix("--self-signed-hosts="));
        (
            named(&ordered, "Certificate", "jupyter-k8s-proxy")["spec"]["dnsNames"].clone(),
            flags.map(str::to_owned).collect(),
            named(&ordered, "IngressRouteTCP", "jupyter-k8s-proxy")["spec"]["routes"][0]["match"].to_string(),
        )
    };
    let (domain, auth, portal) = (
        "workspaces.example.org",
        "auth.workspaces.example.org",
        "portal.workspaces.example.org",
    );
    for (mode, is_on, expected) in [
        ("Subdomain", true, vec![domain, "*.workspaces.example.org"]),
        ("Path", true, vec![domain, auth, portal]),
        ("Path", false, vec![domain, auth]),
    ] {
        let (ordered, signed, front) = hosts(mode, is_on);
        assert_eq!(ordered, json!(expected), "{mode}");
        assert_eq!(signed, expected, "{mode}");
        let is_named = front.contains(&format!("HostSNI(`{portal}`)"));
        assert_eq!(is_named, mode == "Path" && is_on, "{front}");
    }
}

#[test]
fn switched_off_nothing_of_it_is_left() {
    for mode in ["Subdomain", "Path"] {
        let values = json!({"portal": {"enabled": false}, "routing": {"mode": mode}});
        let objects = with_values(values, &[]).unwrap();
        for object in &objects {
            let name = &object["metadata"]["name"];
            assert!(!name.as_str().unwrap().contains("portal"), "{name}");
        }
        let text = serde_json::to_string(&objects).unwrap();
        for trace in [
            "portal.workspaces",
            "jupyter-k8s-portal",
            "--portal-enabled",
            "impersonate",
        ] {
            assert!(!text.contains(trace), "{mode}: {trace}");
        }
        let front = routes(&json!({"portal": {"enabled": false}}));
        assert_eq!(
            front["http"]["middlewares"]["front"]["redirectRegex"]["replacement"],
            "https://auth.workspaces.example.org/"
        );
    }
}

#[test]
fn without_gateway_or_proxy_it_is_refused_with_what_to_do() {
    let off = |parts: &str| template(&[&EXTERNAL[..], &["--set", parts]].concat()).unwrap_err();
    let reason = off("proxy.enabled=false");
    let expected = "portal.enabled: the portal is reached through the proxy, and the gateway signs its users in, and proxy.enabled is false: set proxy.enabled to true, or portal.enabled to false";
    assert!(reason.contains(expected), "{reason}");
    let reason = off("proxy.enabled=false,gateway.enabled=false,manager.enabled=false");
    assert!(
        reason.contains("gateway.enabled is false: set gateway.enabled to true, or portal.enabled to false"),
        "{reason}"
    );
}

/// The notes in a cluster of this version.
fn notes_of(version: &str, more: &[&str]) -> String {
    let known = ["--api-versions", "apps/v1/Deployment", "--kube-version", version];
    notes(&[&EXTERNAL[..], &known, more].concat())
}

#[test]
fn the_notes_begin_with_its_address_and_say_where_it_only_reads() {
    let text = notes_of("1.36.3", &[]);
    let first = "Open https://portal.workspaces.example.org/ to create workspaces, once all pods run.\n";
    assert!(text.trim_start().starts_with(first), "{text}");
    for silent in ["WARNING: portal", "only reads"] {
        assert!(!text.contains(silent), "{text}");
    }
    for old in ["1.35.7", "v1.34.4-eks-1a2b"] {
        let text = notes_of(old, &[]);
        assert!(
            text.contains("The portal only reads here: Kubernetes v1.3"),
            "{text}"
        );
        let to_see = "Open https://portal.workspaces.example.org/ to see workspaces, and create them with kubectl, once all pods run.\n";
        assert!(text.trim_start().starts_with(to_see), "{text}");
        let any = notes_of(old, &["--set", "portal.impersonation=Any"]);
        assert!(!any.contains("only reads"), "{any}");
        assert!(any.trim_start().starts_with(first), "{any}");
        let warning = "WARNING: portal.impersonation is Any: an attacker who controls the portal is an administrator of the cluster.";
        assert!(any.contains(warning), "{any}");
        let token = notes_of(old, &["--set", "portal.impersonation=Token"]);
        assert!(
            !token.contains("only reads") && token.trim_start().starts_with(first),
            "{token}"
        );
        for part in [
            "\n  - the issuer https://id.example.com/realm, with the audience jupyter-k8s\n",
            "\nhttps://portal.workspaces.example.org/account: it says",
        ] {
            assert!(token.contains(part), "{token}");
        }
        let off = notes_of(old, &["--set", "portal.impersonation=Off"]);
        assert!(
            !off.contains("only reads") && !off.contains("WARNING: portal"),
            "{off}"
        );
        assert!(off.trim_start().starts_with(to_see), "{off}");
    }
    let text = notes_of("1.36.3", &["--set", "portal.enabled=false"]);
    assert!(!text.contains("portal"), "{text}");
}
