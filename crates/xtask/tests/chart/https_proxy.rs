//! `gateway.httpsProxy` -> flags and a Secret of gateway and check, or a refusal (IO: runs `helm`).

use serde_json::{Value, json};

use crate::notes::notes;
use crate::render::{EXTERNAL, accepted, named, refused, strings, with_values};

/// Pods that call identity providers.
fn provider_clients(values: Value) -> [Value; 2] {
    let objects = with_values(values, &[]).unwrap();
    let gateway = &named(&objects, "Deployment", "jupyter-k8s-gateway")["spec"]["template"];
    [
        gateway["spec"].clone(),
        named(&objects, "Pod", "jupyter-k8s-tests")["spec"].clone(),
    ]
}

#[test]
fn the_gateway_and_the_check_reach_providers_through_the_proxy() {
    let address = "http://proxy.example.com:3128";
    for spec in provider_clients(json!({"gateway": {"httpsProxy": {"url": address}}})) {
        let flags = strings(&spec["containers"][0]["args"]);
        assert!(
            flags.contains(&"--oidc-https-proxy=http://proxy.example.com:3128"),
            "{flags:?}"
        );
    }
    for spec in provider_clients(json!({"gateway": {"httpsProxy": {"secretName": "our-proxy"}}})) {
        let flags = strings(&spec["containers"][0]["args"]);
        assert!(
            flags.contains(&"--oidc-https-proxy-file=/etc/oidc-proxy/url"),
            "{flags:?}"
        );
        let volumes = spec["volumes"].as_array().unwrap();
        let volume = volumes
            .iter()
            .find(|volume| volume["name"] == "oidc-proxy")
            .unwrap();
        assert_eq!(volume["secret"]["secretName"], "our-proxy");
        assert_eq!(volume["secret"]["items"], json!([{"key": "url", "path": "url"}]));
        let mounts = spec["containers"][0]["volumeMounts"].as_array().unwrap();
        let mount = json!({"name": "oidc-proxy", "mountPath": "/etc/oidc-proxy", "readOnly": true});
        assert!(mounts.contains(&mount), "{mounts:?}");
    }
    for spec in provider_clients(json!({})) {
        assert!(!spec.to_string().contains("proxy-file"), "{spec}");
    }
}

#[test]
fn a_proxy_with_a_password_in_the_values_is_refused() {
    for wrong in [
        "http://me:s3cret@proxy.example.com:3128",
        "https://proxy.example.com:3128",
        "http://proxy.example.com",
        "http://proxy.example.com:3128/",
        "proxy.example.com:3128",
    ] {
        let reason = refused(&format!(r#"gateway.httpsProxy.url="{wrong}""#));
        assert!(!reason.contains("s3cret"), "{reason}");
        assert!(
            reason.contains("gateway.httpsProxy.url: the value is no address of a proxy such as http://proxy.example.com:3128"),
            "{reason}"
        );
        assert!(
            reason.contains("one with user and password goes into a Secret (secretName)"),
            "{reason}"
        );
    }
    let reason = refused(r#"gateway.httpsProxy={"url":"http://p.example:3128","secretName":"our-proxy"}"#);
    assert!(
        reason.contains(r#"gateway.httpsProxy: url ("http://p.example:3128") and secretName ("our-proxy") exclude each other"#),
        "{reason}"
    );
    accepted(r#"gateway.httpsProxy.url="http://10.0.0.7:8080""#);
}

#[test]
fn the_port_of_the_proxy_is_open_by_its_address() {
    let values = json!({
        "gateway": {"httpsProxy": {"url": "http://[2001:db8::1]:3128"}},
        "networkPolicy": {"apiServer": {"networks": ["10.0.0.1"]}},
    });
    let objects = with_values(values, &[]).unwrap();
    for name in ["jupyter-k8s-gateway", "jupyter-k8s-tests"] {
        let egress = named(&objects, "NetworkPolicy", name)["spec"]["egress"].clone();
        let open = json!({"port": 3128, "protocol": "TCP"});
        let ports = egress.as_array().unwrap().iter();
        let mut ports = ports.filter_map(|rule| rule["ports"].as_array());
        assert!(ports.any(|ports| ports.contains(&open)), "{name}: {egress}");
    }
}

#[test]
fn the_notes_warn_of_a_proxy_in_a_secret_whose_port_is_closed() {
    let warning =
        "WARNING: gateway.httpsProxy.secretName is set, and the chart cannot know the port of that proxy.";
    let with = |setting: &str| notes(&[&EXTERNAL[..], &["--set", setting]].concat());
    let secret = "gateway.httpsProxy.secretName=our-proxy";
    let text = with(secret);
    assert!(text.contains(warning), "{text}");
    for quiet in [
        "gateway.httpsProxy.url=http://proxy.example.com:3128".to_owned(),
        format!("{secret},networkPolicy.identityProviders.ports={{443,3128}}"),
        format!("{secret},networkPolicy.enabled=false"),
    ] {
        let text = with(&quiet);
        assert!(!text.contains(warning), "{quiet}: {text}");
    }
}
