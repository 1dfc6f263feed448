//! `proxy.ingressRouteTCP|tlsRoute|ingress|httpRoute` -> one object, ports, refusals (IO: `helm`).

use serde_json::{Value, json};

use crate::render::{argument, container, named, of_kind, refused, strings, with_values};

const NAME: &str = "jupyter-k8s-proxy";
const FRONT: &str = r#"{"podSelector":{"matchLabels":{"app":"front"}}}"#;

/// An installation behind this front, with the settings that a front which ends TLS needs.
fn behind(front: &str, settings: Value) -> Vec<Value> {
    with_values(json!({ "proxy": proxy(front, settings) }), &[]).unwrap()
}

fn proxy(front: &str, mut settings: Value) -> Value {
    settings["enabled"] = json!(true);
    let mut proxy = json!({ front: settings });
    if ["ingress", "httpRoute"].contains(&front) {
        proxy["trustedProxies"] = json!(["10.42.3.0/28"]);
        proxy["front"] = json!({"from": [serde_json::from_str::<Value>(FRONT).unwrap()]});
    }
    proxy
}

const GATEWAY: &str = r#"[{"name": "edge", "namespace": "infra"}]"#;

fn parents() -> Value {
    json!({"parentRefs": serde_json::from_str::<Value>(GATEWAY).unwrap(), "annotations": {"a/b": "c"}})
}

#[test]
fn a_traefik_in_front_passes_tls_through_for_all_hosts_by_one_object() {
    let objects = behind("ingressRouteTCP", json!({}));
    let route = named(&objects, "IngressRouteTCP", NAME);
    assert_eq!(route["apiVersion"], "traefik.io/v1alpha1");
    let expected = json!({
        "entryPoints": ["websecure"],
        "routes": [{
            "match": r"HostSNI(`workspaces.example.org`) || HostSNIRegexp(`^[a-z0-9-]{1,63}\.workspaces\.example\.org$`)",
            "services": [{"name": NAME, "port": 443}],
        }],
        "tls": {"passthrough": true},
    });
    assert_eq!(route["spec"], expected);
    let mut values = proxy("ingressRouteTCP", json!({"entryPoints": ["tls"]}));
    values["proxyProtocol"] = json!({"trustedIPs": ["10.42.3.0/28"]});
    let path = json!({"proxy": values, "routing": {"mode": "Path", "port": 8443}});
    let objects = with_values(path, &[]).unwrap();
    let route = &named(&objects, "IngressRouteTCP", NAME)["spec"];
    assert_eq!(strings(&route["entryPoints"]), ["tls"]);
    let hosts = "HostSNI(`workspaces.example.org`) || HostSNI(`auth.workspaces.example.org`) || HostSNI(`portal.workspaces.example.org`)";
    assert_eq!(route["routes"][0]["match"], hosts);
    let service = json!({"name": NAME, "port": 8443, "proxyProtocol": {"version": 2}});
    assert_eq!(route["routes"][0]["services"][0], service);
}

#[test]
fn a_gateway_in_front_passes_tls_through_by_the_version_of_the_kind_that_the_cluster_has() {
    for (more, version) in [
        (&[][..], "v1"),
        (&["v1alpha2"], "v1alpha2"),
        (&["v1alpha2", "v1alpha3"], "v1alpha3"),
        (&["v1alpha3", "v1"], "v1"),
    ] {
        let kinds = more
            .iter()
            .map(|version| format!("--api-versions=gateway.networking.k8s.io/{version}/TLSRoute"));
        let kinds: Vec<String> = kinds.collect();
        let arguments: Vec<&str> = kinds.iter().map(String::as_str).collect();
        let objects = with_values(json!({"proxy": proxy("tlsRoute", parents())}), &arguments).unwrap();
        let route = named(&objects, "TLSRoute", NAME);
        assert_eq!(
            route["apiVersion"],
            format!("gateway.networking.k8s.io/{version}")
        );
        assert_eq!(route["metadata"]["annotations"], json!({"a/b": "c"}));
        let expected = json!({
            "parentRefs": [{"name": "edge", "namespace": "infra"}],
            "hostnames": ["workspaces.example.org", "*.workspaces.example.org"],
            "rules": [{"backendRefs": [{"name": NAME, "port": 443}]}],
        });
        assert_eq!(route["spec"], expected);
    }
}

#[test]
fn a_front_that_passes_tls_through_opens_no_port_without_tls() {
    for (front, settings) in [("ingressRouteTCP", json!({})), ("tlsRoute", parents())] {
        let objects = behind(front, settings);
        assert!(!json!(objects).to_string().contains("8001"), "{front}");
        let routes = named(&objects, "ConfigMap", NAME)["data"]["routes.yaml"].to_string();
        assert!(routes.contains("trustForwardHeader: false"), "{front}");
    }
}

#[test]
fn a_front_that_ends_tls_leads_to_a_service_of_its_own() {
    let port = json!({"name": "jupyter-k8s-proxy-plain", "port": 80});
    let ingress = behind(
        "ingress",
        json!({"className": "nginx", "tls": {"secretName": "edge"}}),
    );
    let spec = &named(&ingress, "Ingress", NAME)["spec"];
    assert_eq!(spec["ingressClassName"], "nginx");
    let hosts = json!(["workspaces.example.org", "*.workspaces.example.org"]);
    assert_eq!(spec["tls"], json!([{"hosts": hosts, "secretName": "edge"}]));
    for (index, rule) in spec["rules"].as_array().unwrap().iter().enumerate() {
        assert_eq!(rule["host"], hosts[index]);
        let backend = &rule["http"]["paths"][0]["backend"]["service"];
        assert_eq!(*backend, json!({"name": port["name"], "port": {"number": 80}}));
    }
    assert_eq!(spec["rules"].as_array().map(Vec::len), Some(2));
    let route = behind("httpRoute", parents());
    let spec = &named(&route, "HTTPRoute", NAME)["spec"];
    assert_eq!(spec["hostnames"], hosts);
    assert_eq!(spec["rules"], json!([{"backendRefs": [port]}]));
    for objects in [ingress, route] {
        let service = &named(&objects, "Service", "jupyter-k8s-proxy-plain")["spec"];
        assert_eq!(service["type"], "ClusterIP");
        assert_eq!(service["ports"][0]["targetPort"], "plain");
        let open = json!({
            "from": [serde_json::from_str::<Value>(FRONT).unwrap()],
            "ports": [{"port": 8001, "protocol": "TCP"}, {"port": 8080, "protocol": "TCP"}],
        });
        let policy = &named(&objects, "NetworkPolicy", NAME)["spec"]["ingress"];
        assert!(policy.as_array().unwrap().contains(&open), "{policy}");
    }
}

#[test]
fn the_port_without_tls_has_the_limits_of_the_other_and_trusts_listed_networks_alone() {
    let objects = behind("ingress", json!({}));
    let proxy = container(&objects, NAME);
    let of = |point: &str| {
        let prefix = format!("--entrypoints.{point}.");
        let found = strings(&proxy["args"])
            .into_iter()
            .filter_map(|argument| argument.strip_prefix(&prefix));
        let kept = found.filter(|argument| {
            !["address=", "http.tls=", "http.middlewares="]
                .iter()
                .any(|own| argument.starts_with(own))
        });
        kept.collect::<Vec<_>>()
    };
    // The port with TLS is open to every pod, including pods in these networks, so their headers do not count there.
    let trusted = "forwardedheaders.trustedips=10.42.3.0/28";
    let (forwarding, plain): (Vec<_>, Vec<_>) =
        of("plain").into_iter().partition(|argument| *argument == trusted);
    assert_eq!(forwarding, [trusted]);
    assert_eq!(plain, of("https"));
    assert_eq!(
        argument(proxy, "--entrypoints.plain.http.middlewares"),
        Some("from-front@file,ended-tls@file,forwarded@file")
    );
    assert_eq!(
        argument(proxy, "--entrypoints.https.http.middlewares"),
        Some("forwarded@file")
    );
    let text = named(&objects, "ConfigMap", NAME)["data"]["routes.yaml"].clone();
    let routes: Value = serde_saphyr::from_str(text.as_str().unwrap()).unwrap();
    let middlewares = &routes["http"]["middlewares"];
    assert_eq!(
        middlewares["from-front"]["ipAllowList"]["sourceRange"],
        json!(["10.42.3.0/28"])
    );
    assert_eq!(middlewares["ended-tls"]["redirectScheme"]["scheme"], "https");
    // A front may pass on a client's headers about the request itself. They are removed, because the gateway would trust them.
    let removed = &middlewares["forwarded"]["headers"]["customRequestHeaders"];
    for name in ["X-Forwarded-Host", "X-Forwarded-Method", "X-Forwarded-Uri"] {
        assert_eq!(removed[name], "", "{name}");
    }
    assert_eq!(middlewares["gate"]["forwardAuth"]["trustForwardHeader"], true);
}

#[test]
fn behind_a_front_the_service_is_inside_the_cluster_unless_its_type_is_set() {
    let kind = |proxy: Value| {
        let objects = with_values(json!({ "proxy": proxy }), &[]).unwrap();
        named(&objects, "Service", NAME)["spec"]["type"].clone()
    };
    assert_eq!(kind(json!({})), "LoadBalancer");
    for (front, settings) in [
        ("ingressRouteTCP", json!({})),
        ("tlsRoute", parents()),
        ("ingress", json!({})),
        ("httpRoute", parents()),
    ] {
        let mut values = proxy(front, settings);
        assert_eq!(kind(values.clone()), "ClusterIP", "{front}");
        values["service"] = json!({"type": "NodePort"});
        assert_eq!(kind(values), "NodePort", "{front}");
    }
    let reason = refused(r#"proxy={"ingressRouteTCP":{"enabled":true},"service":{"nodePort":30443}}"#);
    assert!(
        reason.contains("proxy.service.nodePort: 30443 is for"),
        "{reason}"
    );
}

#[test]
fn the_host_of_the_bundled_provider_is_led_here_as_well() {
    let bundled = json!({
        "identity": {"enabled": true, "host": "id.example.net"},
        "oidc": {"issuerUrl": ""},
        "proxy": proxy("tlsRoute", parents()),
    });
    let objects = with_values(bundled, &[]).unwrap();
    let hosts = &named(&objects, "TLSRoute", NAME)["spec"]["hostnames"];
    assert!(strings(hosts).contains(&"id.example.net"), "{hosts}");
}

#[test]
fn a_front_that_would_be_trusted_too_much_or_cannot_work_is_refused_with_what_to_do() {
    let ends_tls = |more: &str| {
        format!(
            r#"proxy={{"ingress":{{"enabled":true}},"trustedProxies":["10.42.3.0/28"],"front":{{"from":[{FRONT}]}}{more}}}"#
        )
    };
    for (setting, expected) in [
        (
            "proxy.ingress.enabled=true".to_owned(),
            "proxy.trustedProxies: empty, and proxy.ingress ends TLS",
        ),
        (
            r#"proxy={"ingress":{"enabled":true},"trustedProxies":["10.42.3.0/28"]}"#.to_owned(),
            "proxy.front.from: empty, so no pod could reach the port without TLS",
        ),
        (
            ends_tls(r#","httpRoute":{"enabled":true,"parentRefs":[{"name":"edge"}]}"#),
            "proxy: ingress, httpRoute are enabled at once",
        ),
        (
            "proxy.tlsRoute.enabled=true".to_owned(),
            "proxy.tlsRoute.parentRefs: empty, and a route belongs to a Gateway",
        ),
        (
            format!("proxy.front.from=[{FRONT}]"),
            "proxy.front.from: has no effect without a front that ends TLS",
        ),
        (
            r#"proxy={"ingress":{"enabled":true},"front":{"from":[{"namespaceSelector":{}}]}}"#.to_owned(),
            r#"proxy.front.from[0]: {"namespaceSelector":{}} selects all pods of the cluster"#,
        ),
        (
            r#"proxy={"enabled":false,"ingressRouteTCP":{"enabled":true}}"#.to_owned(),
            "proxy.ingressRouteTCP.enabled: a front leads to the proxy, and proxy.enabled is false",
        ),
        (
            r#"proxy={"ingress":{"enabled":true},"front":{"from":[{"ipBlock":{"cidr":"10.1.2.3"}}]}}"#
                .to_owned(),
            r#"proxy.front.from[0].ipBlock.cidr: "10.1.2.3" is no network"#,
        ),
        (
            r#"proxy={"ingress":{"enabled":true},"trustedProxies":["0.0.0.0/0"]}"#.to_owned(),
            r#"proxy.trustedProxies[0]: "0.0.0.0/0" is too wide"#,
        ),
    ] {
        let reason = refused(&setting);
        assert!(reason.contains(expected), "{setting}: {reason}");
    }
    let mut open = json!({"proxy": proxy("ingress", json!({}))});
    open["networkPolicy"] = json!({"enabled": false});
    let reason = with_values(open, &[]).unwrap_err();
    assert!(
        reason.contains("networkPolicy.enabled: false, and the port without TLS"),
        "{reason}"
    );
}

/// An installation behind an Ingress, whose front is these peers.
fn behind_peers(peers: &Value) -> Result<Vec<Value>, String> {
    let mut values = proxy("ingress", json!({}));
    values["front"] = json!({ "from": peers });
    with_values(json!({ "proxy": values }), &[])
}

#[test]
fn peers_that_select_every_pod_or_have_an_unknown_key_are_refused() {
    for (peer, expected) in [
        (
            json!({"namespaceSelector": {"matchLabels": {}}}),
            r#"proxy.front.from[0]: {"namespaceSelector":{"matchLabels":{}}} selects all pods of the cluster: name labels"#,
        ),
        (
            json!({"namespaceSelector": {"matchExpressions": []}}),
            r#"{"namespaceSelector":{"matchExpressions":[]}} selects all pods of the cluster"#,
        ),
        (
            json!({"namespaceSelector": {}, "podSelector": {}}),
            "selects all pods of the cluster",
        ),
        (
            json!({"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "front"}}}),
            "selects these pods of every namespace, and any user can set these labels on a pod",
        ),
        (
            json!({"podSelector": {"matchLabels": {}, "matchExpressions": []}}),
            "selects all pods of this release's namespace",
        ),
        (
            json!({"ipBlock": {"cidr": "0.0.0.0/0"}}),
            r#"proxy.front.from[0].ipBlock.cidr: "0.0.0.0/0" is too wide"#,
        ),
        (
            json!({"ipBlock": {"cidr": "0.0.0.0/1"}}),
            r#""0.0.0.0/1" is too wide"#,
        ),
        (
            json!({"ipBlock": {"cidr": "2000::/3"}}),
            r#""2000::/3" is too wide"#,
        ),
        (
            json!({"ipBlock": {"cidr": "::ffff:0:0/96"}}),
            r#""::ffff:0:0/96" is too wide"#,
        ),
        // A misspelt key of a selector would select every pod.
        (
            json!({"namespaceSelector": {"matchLabel": {"app": "front"}}}),
            "Additional property matchLabel is not allowed",
        ),
        (
            json!({"podSelector": {"app": "front"}}),
            "Additional property app is not allowed",
        ),
        (
            json!({"ipBlock": {"cidr": "10.1.2.0/28", "excepted": []}}),
            "Additional property excepted is not allowed",
        ),
        (json!({"ipBlock": {}}), "cidr is required"),
    ] {
        let reason = behind_peers(&json!([peer])).unwrap_err();
        assert!(reason.contains(expected), "{peer}: {reason}");
    }
    let expressions = json!([{"key": "app", "operator": "In", "values": ["front"]}]);
    for peer in [
        json!({"podSelector": {"matchExpressions": expressions}}),
        json!({"namespaceSelector": {"matchLabels": {"team": "edge"}}, "podSelector": {}}),
        json!({"ipBlock": {"cidr": "130.211.0.0/22", "except": ["130.211.1.0/24"]}}),
        json!({"ipBlock": {"cidr": "2600:2d00:1:b029::/64"}}),
    ] {
        let objects = behind_peers(&json!([peer])).unwrap();
        let policy = named(&objects, "NetworkPolicy", NAME).to_string();
        assert!(policy.contains(&peer.to_string()), "{policy}");
    }
}

#[test]
fn a_gateway_is_named_by_known_keys() {
    let with_parent = |parent: Value| {
        let values = proxy("httpRoute", json!({"parentRefs": [parent]}));
        with_values(json!({ "proxy": values }), &[])
    };
    let full = json!({"name": "edge", "namespace": "infra", "sectionName": "https", "port": 443});
    let objects = with_parent(full.clone()).unwrap();
    assert_eq!(
        named(&objects, "HTTPRoute", NAME)["spec"]["parentRefs"],
        json!([full])
    );
    for (parent, expected) in [
        (
            json!({"name": "edge", "namspace": "infra"}),
            "Additional property namspace is not allowed",
        ),
        (
            json!({"name": "edge", "namespace": "Infra"}),
            r#"proxy.httpRoute.parentRefs[0].namespace: "Infra" is no name of a namespace"#,
        ),
        (
            json!({"name": "edge", "sectionName": "a b"}),
            r#"proxy.httpRoute.parentRefs[0].sectionName: "a b" is no name"#,
        ),
    ] {
        let reason = with_parent(parent).unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn a_front_whose_kind_the_cluster_lacks_is_refused() {
    let cluster = "--api-versions=apps/v1/Deployment";
    for (front, settings, kind, version) in [
        (
            "ingressRouteTCP",
            json!({}),
            "IngressRouteTCP",
            "traefik.io/v1alpha1",
        ),
        ("tlsRoute", parents(), "TLSRoute", "gateway.networking.k8s.io/v1"),
        (
            "httpRoute",
            parents(),
            "HTTPRoute",
            "gateway.networking.k8s.io/v1",
        ),
    ] {
        let values = || json!({"proxy": proxy(front, settings.clone())});
        let reason = with_values(values(), &[cluster]).unwrap_err();
        let expected =
            format!("proxy.{front}.enabled: this cluster has no kind {kind} of {version}: install");
        assert!(reason.contains(&expected), "{reason}");
        let has = format!("--api-versions={version}/{kind}");
        let objects = with_values(values(), &[cluster, &has]).unwrap();
        assert_eq!(of_kind(&objects, kind).len(), 1);
    }
}
