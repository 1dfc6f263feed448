//! values of the proxy's Service -> its fields, a redirect on port 80, refusals (IO: runs `helm`).

use serde_json::{Value, json};

use crate::render::{accepted, argument, container, named, refused, strings, with_values};

/// The proxy's Service, container and policy of an installation with these values of `proxy`.
fn proxy(values: &Value) -> [Value; 3] {
    let objects = with_values(json!({ "proxy": values }), &[]).unwrap();
    [
        named(&objects, "Service", "jupyter-k8s-proxy").clone(),
        container(&objects, "jupyter-k8s-proxy").clone(),
        named(&objects, "NetworkPolicy", "jupyter-k8s-proxy").clone(),
    ]
}

/// Arguments of the proxy about its entry point for plain HTTP.
fn of_port_80(container: &Value) -> Vec<&str> {
    let mut arguments = strings(&container["args"]);
    arguments.retain(|argument| argument.starts_with("--entrypoints.http."));
    arguments
}

#[test]
fn every_key_of_the_service_arrives() {
    let [service, ..] = proxy(&json!({"service": {
        "labels": {"team": "edge"},
        "annotations": {"example.com/scheme": "internal"},
        "nodePort": 30443,
        "loadBalancerClass": "service.k8s.aws/nlb",
        "loadBalancerSourceRanges": ["203.0.113.0/24", "198.51.100.7", "2001:db8::1"],
        "ipFamilyPolicy": "RequireDualStack",
        "ipFamilies": ["IPv6", "IPv4"],
        "externalIPs": ["192.0.2.1"],
    }}));
    assert_eq!(service["metadata"]["labels"]["team"], "edge");
    assert_eq!(
        service["metadata"]["annotations"]["example.com/scheme"],
        "internal"
    );
    let spec = &service["spec"];
    assert_eq!(
        spec["ports"],
        json!([{"name": "https", "port": 443, "targetPort": "https", "nodePort": 30443}])
    );
    assert_eq!(spec["loadBalancerClass"], "service.k8s.aws/nlb");
    let ranges = json!(["203.0.113.0/24", "198.51.100.7/32", "2001:db8::1/128"]);
    assert_eq!(spec["loadBalancerSourceRanges"], ranges);
    assert_eq!(spec["ipFamilyPolicy"], "RequireDualStack");
    assert_eq!(spec["ipFamilies"], json!(["IPv6", "IPv4"]));
    assert_eq!(spec["externalIPs"], json!(["192.0.2.1"]));
}

#[test]
fn port_80_is_closed_or_redirects_to_https_and_does_nothing_else() {
    let [service, container, policy] = proxy(&json!({}));
    assert_eq!(service["spec"]["ports"].as_array().map(Vec::len), Some(1));
    assert!(of_port_80(&container).is_empty());
    let open = &policy["spec"]["ingress"][0]["ports"];
    assert_eq!(open, &json!([{"port": 8443, "protocol": "TCP"}]));

    let networks = json!(["10.0.0.0/8", "192.0.2.1"]);
    let [service, container, policy] =
        proxy(&json!({"service": {"http": true}, "proxyProtocol": {"trustedIPs": networks}}));
    assert_eq!(
        service["spec"]["ports"][1],
        json!({"name": "http", "port": 80, "targetPort": "http"})
    );
    let redirection = "--entrypoints.http.http.redirections.entrypoint";
    assert_eq!(argument(&container, &format!("{redirection}.to")), Some(":443"));
    assert_eq!(
        argument(&container, &format!("{redirection}.scheme")),
        Some("https")
    );
    assert_eq!(argument(&container, "--entrypoints.http.address"), Some(":8000"));
    // Routers name no entry point, so they get the default one.
    assert_eq!(
        argument(&container, "--entrypoints.https.asdefault"),
        Some("true")
    );
    assert_eq!(argument(&container, "--entrypoints.http.asdefault"), None);
    for point in ["http", "https"] {
        let trusted = format!("--entrypoints.{point}.proxyprotocol.trustedips");
        assert_eq!(argument(&container, &trusted), Some("10.0.0.0/8,192.0.2.1"));
    }
    let listens = container["ports"].as_array().unwrap();
    assert!(listens.contains(&json!({"name": "http", "containerPort": 8000})));
    let open = policy["spec"]["ingress"][0]["ports"].as_array().unwrap();
    assert!(open.contains(&json!({"port": 8000, "protocol": "TCP"})));
}

#[test]
fn an_invalid_service_is_refused_with_what_to_do() {
    for (setting, expected) in [
        (
            r#"proxy.service={"type":"NodePort","loadBalancerClass":"x"}"#,
            r#"proxy.service.loadBalancerClass: "x" is for proxy.service.type LoadBalancer, which is NodePort: choose that type, or leave loadBalancerClass empty"#,
        ),
        (
            r#"proxy.service={"type":"ClusterIP","loadBalancerSourceRanges":["10.0.0.0/8"]}"#,
            r#"proxy.service.loadBalancerSourceRanges: "10.0.0.0/8" is for proxy.service.type LoadBalancer"#,
        ),
        (
            r#"proxy.service.loadBalancerSourceRanges=["everybody"]"#,
            r#"proxy.service.loadBalancerSourceRanges[0]: "everybody" is no network or address"#,
        ),
        (
            r#"proxy.service={"type":"ClusterIP","nodePort":30443}"#,
            "proxy.service.nodePort: 30443 is for proxy.service.type NodePort or LoadBalancer",
        ),
        (
            r#"proxy.service.ipFamilies=["IPv4","IPv6"]"#,
            r#"proxy.service.ipFamilies: "IPv4, IPv6" are two, for which proxy.service.ipFamilyPolicy has to be"#,
        ),
        (
            r#"proxy.service.loadBalancerClass="a b""#,
            r#"proxy.service.loadBalancerClass: "a b" is no class of load balancers"#,
        ),
        (
            r#"proxy.service.labels={"app.kubernetes.io/name":"x"}"#,
            r#"proxy.service.labels: "app.kubernetes.io/name" is a label that the chart sets itself"#,
        ),
        (
            r#"proxy.proxyProtocol.trustedIPs=["0.0.0.0/0"]"#,
            r#"proxy.proxyProtocol.trustedIPs[0]: "0.0.0.0/0" is too wide, so clients could claim to be others"#,
        ),
        (
            r#"proxy.proxyProtocol.trustedIPs=["lb.example.org"]"#,
            r#"proxy.proxyProtocol.trustedIPs[0]: "lb.example.org" is no network or address"#,
        ),
    ] {
        let reason = refused(setting);
        assert!(reason.contains(expected), "{setting}: {reason}");
    }
    let both = json!({"routing": {"port": 80}, "proxy": {"service": {"http": true}}});
    let reason = with_values(both, &[]).unwrap_err();
    assert!(
        reason.contains("proxy.service.http: routing.port is 80 as well"),
        "{reason}"
    );
    accepted(r#"proxy.service={"ipFamilies":["IPv6"]}"#);
}
