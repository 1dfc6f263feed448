//! Probes and hooks -> hosts in them (pure).
//!
//! They may contact only the pod itself. A `host` would make the node's kubelet call other machines.

use k8s_openapi::api::core::v1::{HTTPGetAction, Lifecycle, Probe, TCPSocketAction};

use crate::violation::Violation;

/// Checks the hooks at `path`.
pub(in crate::validate) fn lifecycle(path: &str, hooks: &Lifecycle) -> Vec<Violation> {
    let hooks = [("postStart", &hooks.post_start), ("preStop", &hooks.pre_stop)];
    let given = hooks
        .into_iter()
        .filter_map(|(name, hook)| Some((name, hook.as_ref()?)));
    given
        .flat_map(|(name, hook)| {
            let path = format!("{path}.{name}");
            hosts(&path, hook.http_get.as_ref(), hook.tcp_socket.as_ref())
        })
        .collect()
}

/// Checks the probe at `path`.
pub(in crate::validate) fn probe(path: &str, probe: &Probe) -> Vec<Violation> {
    hosts(path, probe.http_get.as_ref(), probe.tcp_socket.as_ref())
}

fn hosts(path: &str, http: Option<&HTTPGetAction>, tcp: Option<&TCPSocketAction>) -> Vec<Violation> {
    let hosts = [
        ("httpGet", http.and_then(|it| it.host.as_ref())),
        ("tcpSocket", tcp.and_then(|it| it.host.as_ref())),
    ];
    let rule = "would have the node call another machine: leave it out, the pod itself is asked";
    hosts
        .into_iter()
        .filter_map(|(name, host)| {
            let host = host.filter(|host| !host.is_empty())?;
            Some(Violation::new(format!("{path}.{name}.host"), host, rule))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of_probe(value: Value) -> Vec<String> {
        let given: Probe = serde_json::from_value(value).unwrap();
        let found = probe("spec.readinessProbe", &given);
        found.into_iter().map(|it| it.field).collect()
    }

    #[test]
    fn a_probe_connects_only_to_its_pod() {
        for fine in [
            json!({"httpGet": {"path": "/api", "port": "http", "host": ""}, "periodSeconds": 1}),
            json!({"tcpSocket": {"port": 8888}}),
            json!({"exec": {"command": ["true"]}}),
        ] {
            assert_eq!(of_probe(fine.clone()), [""; 0], "{fine}");
        }
        assert_eq!(
            of_probe(json!({"httpGet": {"host": "169.254.169.254", "port": 80}})),
            ["spec.readinessProbe.httpGet.host"]
        );
        assert_eq!(
            of_probe(json!({"tcpSocket": {"host": "10.0.0.1", "port": 22}})),
            ["spec.readinessProbe.tcpSocket.host"]
        );
    }

    #[test]
    fn hooks_connect_only_to_their_pod() {
        let hooks: Lifecycle = serde_json::from_value(json!({
            "postStart": {"httpGet": {"host": "elsewhere", "port": 80}},
            "preStop": {"tcpSocket": {"host": "10.0.0.1", "port": 22}},
        }))
        .unwrap();
        let fields: Vec<_> = lifecycle("spec.lifecycle", &hooks)
            .into_iter()
            .map(|it| it.field)
            .collect();
        assert_eq!(
            fields,
            [
                "spec.lifecycle.postStart.httpGet.host",
                "spec.lifecycle.preStop.tcpSocket.host"
            ]
        );
    }
}
