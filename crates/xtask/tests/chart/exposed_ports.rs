//! listening ports and routes -> no remote shell, and one entry for browsers (IO: runs `helm`).

use serde_json::{Value, json};

use crate::render::{installations, named, of_kind};

/// Port of SSH.
const SHELLS: i64 = 22;

/// Every field with a port, with its path.
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

/// SSH ports among all listening and routed ports, with their paths.
fn shells(objects: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    for object in objects {
        let name = format!("{}/{}", object["kind"], object["metadata"]["name"]);
        ports(object, &name, &mut found);
    }
    assert!(found.len() > 2, "there are ports: {found:?}");
    let is_shells = |port: &Value| port.as_i64() == Some(SHELLS) || port == "22" || port == "ssh";
    let shells = found.into_iter().filter(|(_, port)| is_shells(port));
    shells.map(|(path, port)| format!("{path}: {port}")).collect()
}

/// Services that can be reached from outside, and by which ports.
fn outside(objects: &[Value]) -> Vec<(String, Vec<String>)> {
    let services = of_kind(objects, "Service").into_iter().filter(|service| {
        let kind = service["spec"]["type"].as_str().unwrap_or("ClusterIP");
        kind != "ClusterIP" || !service["spec"]["externalIPs"].is_null()
    });
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    services
        .map(|service| {
            let ports = service["spec"]["ports"].as_array().into_iter().flatten();
            let ports = ports.map(|port| text(&port["name"])).collect();
            (text(&service["metadata"]["name"]), ports)
        })
        .collect()
}

#[test]
fn no_service_exposes_the_ssh_port_and_only_the_proxy_is_exposed() {
    for objects in installations() {
        assert_eq!(shells(&objects), Vec::<String>::new());
        for (service, _) in outside(&objects) {
            assert_eq!(service, "jupyter-k8s-proxy");
        }
        // If the proxy is not reachable from outside, a front leads to it. Port 80 redirects, and is open only on request.
        let proxy = named(&objects, "Service", "jupyter-k8s-proxy");
        let ports = proxy["spec"]["ports"].as_array().unwrap().iter();
        let ports: Vec<&str> = ports.filter_map(|port| port["name"].as_str()).collect();
        assert!(
            [&["https"][..], &["https", "http"]].contains(&&ports[..]),
            "{ports:?}"
        );
    }
}

#[test]
fn an_exposed_ssh_port_or_another_exposed_service_is_found() {
    for objects in installations() {
        let with = |path: &str, value: Value| {
            let mut objects = objects.clone();
            let gateway = objects.iter_mut().find(|object| {
                object["kind"] == "Service" && object["metadata"]["name"] == "jupyter-k8s-gateway"
            });
            *gateway.unwrap().pointer_mut(path).unwrap() = value;
            objects
        };
        for port in [json!(22), json!("ssh")] {
            assert_eq!(shells(&with("/spec/ports/0/targetPort", port)).len(), 1);
        }
        let mut spec = named(&objects, "Service", "jupyter-k8s-gateway")["spec"].clone();
        spec["type"] = json!("NodePort");
        let opened = outside(&with("/spec", spec));
        assert!(
            opened.iter().any(|(service, _)| service == "jupyter-k8s-gateway"),
            "{opened:?}"
        );
    }
}
