//! what listens and what leads there -> nothing for remote shells, and one door for browsers (IO: runs `helm`).

use serde_json::Value;

use crate::render::{installations, named, of_kind};

/// Port of SSH.
const SHELLS: i64 = 22;

/// Every value of a field that holds a port, wherever it stands, with its path.
fn ports(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let at = format!("{path}.{name}");
                let is_port = name.to_ascii_lowercase().ends_with("port") || name == "number";
                if is_port && !inner.is_object() {
                    found.push((at.clone(), inner.clone()));
                }
                ports(inner, &at, found);
            }
        }
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate() {
                ports(inner, &format!("{path}[{at}]"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn nothing_listens_on_the_port_of_remote_shells_and_only_the_proxy_is_reached_from_outside() {
    for objects in installations() {
        let mut found = Vec::new();
        for object in &objects {
            let name = format!("{}/{}", object["kind"], object["metadata"]["name"]);
            ports(object, &name, &mut found);
        }
        assert!(found.len() > 20, "the chart has ports: {found:?}");
        for (path, port) in &found {
            let is_shells = port.as_i64() == Some(SHELLS) || port == "22" || port == "ssh";
            assert!(!is_shells, "{path}: {port}");
        }
        for service in of_kind(&objects, "Service") {
            let name = &service["metadata"]["name"];
            if name != "jupyter-k8s-proxy" {
                let kind = service["spec"]["type"].as_str().unwrap_or("ClusterIP");
                assert_eq!(kind, "ClusterIP", "{name}");
                assert!(service["spec"]["externalIPs"].is_null(), "{name}");
            }
        }
        // The proxy takes nothing but HTTPS from outside.
        let proxy = named(&objects, "Service", "jupyter-k8s-proxy");
        let ports = proxy["spec"]["ports"].as_array().unwrap();
        let outside: Vec<&Value> = ports.iter().map(|port| &port["name"]).collect();
        assert_eq!(outside, ["https"], "{ports:?}");
    }
}
