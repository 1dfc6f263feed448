//! Probes and hooks -> hosts in them (pure).
//!
//! They may contact only the pod itself. A `host` would make the node's kubelet call other machines.

use api::template::PodSecurity;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Lifecycle, Probe, TCPSocketAction};

use super::faults::Faults;
use crate::violation::Violation;

/// What the hooks at `path` break.
pub(crate) fn lifecycle(path: &str, hooks: &Lifecycle, level: PodSecurity) -> Vec<Violation> {
    let mut faults = Faults::new(level);
    of_hooks(path, hooks, &mut faults);
    faults.into_violations()
}

/// What the probe at `path` breaks.
pub(crate) fn probe(path: &str, probe: &Probe, level: PodSecurity) -> Vec<Violation> {
    let mut faults = Faults::new(level);
    of_probe(path, probe, &mut faults);
    faults.into_violations()
}

pub(super) fn of_container(container: &Container, faults: &mut Faults) {
    for (field, probe) in [
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
        ("startupProbe", &container.startup_probe),
    ] {
        if let Some(probe) = probe {
            of_probe(field, probe, faults);
        }
    }
    if let Some(hooks) = &container.lifecycle {
        of_hooks("lifecycle", hooks, faults);
    }
}

fn of_hooks(field: &str, hooks: &Lifecycle, faults: &mut Faults) {
    for (name, hook) in [("postStart", &hooks.post_start), ("preStop", &hooks.pre_stop)] {
        if let Some(hook) = hook {
            hosts(
                &format!("{field}.{name}"),
                hook.http_get.as_ref(),
                hook.tcp_socket.as_ref(),
                faults,
            );
        }
    }
}

fn of_probe(field: &str, probe: &Probe, faults: &mut Faults) {
    hosts(field, probe.http_get.as_ref(), probe.tcp_socket.as_ref(), faults);
}

fn hosts(field: &str, http: Option<&HTTPGetAction>, tcp: Option<&TCPSocketAction>, faults: &mut Faults) {
    let remedy = "leave it out, and the pod itself is asked; the node must not call another machine";
    for (name, host) in [
        ("httpGet", http.and_then(|it| it.host.as_ref())),
        ("tcpSocket", tcp.and_then(|it| it.host.as_ref())),
    ] {
        if let Some(host) = host.filter(|host| !host.is_empty()) {
            faults.forbid(&format!("{field}.{name}.host"), host, remedy);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hosts_of(value: Value) -> Vec<String> {
        let given: Probe = serde_json::from_value(value).unwrap();
        let found = probe("spec.readinessProbe", &given, PodSecurity::Baseline);
        found.into_iter().map(|it| it.field).collect()
    }

    #[test]
    fn a_probe_connects_only_to_its_pod() {
        for fine in [
            json!({"httpGet": {"path": "/api", "port": "http", "host": ""}, "periodSeconds": 1}),
            json!({"tcpSocket": {"port": 8888}}),
            json!({"exec": {"command": ["true"]}}),
        ] {
            assert_eq!(hosts_of(fine.clone()), [""; 0], "{fine}");
        }
        assert_eq!(
            hosts_of(json!({"httpGet": {"host": "169.254.169.254", "port": 80}})),
            ["spec.readinessProbe.httpGet.host"]
        );
        assert_eq!(
            hosts_of(json!({"tcpSocket": {"host": "10.0.0.1", "port": 22}})),
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
        let fields: Vec<_> = lifecycle("spec.lifecycle", &hooks, PodSecurity::Baseline)
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
