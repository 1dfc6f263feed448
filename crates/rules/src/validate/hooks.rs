//! Probes and hooks -> what Kubernetes or we do not take (pure). They reach the pod itself and nothing else: a `host` would
//! make the node's kubelet call other machines.

use k8s_openapi::api::core::v1::{HTTPGetAction, Lifecycle, LifecycleHandler, Probe, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::checks::syntax::is_port_name;
use crate::violation::Violation;

/// Hooks at `path`.
pub(super) fn lifecycle(path: &str, hooks: &Lifecycle) -> Vec<Violation> {
    let mut found = Vec::new();
    for (name, hook) in [("postStart", &hooks.post_start), ("preStop", &hooks.pre_stop)] {
        if let Some(hook) = hook {
            found.extend(handler(&format!("{path}.{name}"), hook));
        }
    }
    if let Some(signal) = &hooks.stop_signal {
        let rule = "is taken only of pods that name their operating system, which ours do not: leave it out";
        found.push(Violation::new(format!("{path}.stopSignal"), signal, rule));
    }
    found
}

fn handler(path: &str, hook: &LifecycleHandler) -> Vec<Violation> {
    let ways = [
        hook.exec.is_some(),
        hook.http_get.is_some(),
        hook.tcp_socket.is_some(),
        hook.sleep.is_some(),
    ];
    let mut found = one_way(path, ways, "exec, httpGet, tcpSocket and sleep");
    found.extend(targets(path, hook.http_get.as_ref(), hook.tcp_socket.as_ref()));
    if let Some(exec) = &hook.exec
        && exec.command.as_ref().is_none_or(Vec::is_empty)
    {
        found.push(Violation::new(
            format!("{path}.exec.command"),
            "",
            "is missing: name a command",
        ));
    }
    found
}

/// A probe at `path`.
pub(super) fn probe(path: &str, probe: &Probe) -> Vec<Violation> {
    let ways = [
        probe.exec.is_some(),
        probe.http_get.is_some(),
        probe.tcp_socket.is_some(),
        probe.grpc.is_some(),
    ];
    let mut found = one_way(path, ways, "exec, httpGet, tcpSocket and grpc");
    found.extend(targets(path, probe.http_get.as_ref(), probe.tcp_socket.as_ref()));
    for (name, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        if let Some(value) = value.filter(|value| *value < 0) {
            let rule = "is negative: choose 0 or more";
            found.push(Violation::new(format!("{path}.{name}"), value.to_string(), rule));
        }
    }
    found
}

/// A readiness probe at `path`: it ends nothing, so that no grace belongs to it.
pub(super) fn readiness(path: &str, given: &Probe) -> Vec<Violation> {
    let mut found = probe(path, given);
    if let Some(grace) = given.termination_grace_period_seconds {
        let rule = "has no place in a readiness probe: leave it out";
        found.push(Violation::new(
            format!("{path}.terminationGracePeriodSeconds"),
            grace.to_string(),
            rule,
        ));
    }
    found
}

fn one_way<const N: usize>(path: &str, ways: [bool; N], names: &str) -> Vec<Violation> {
    if ways.iter().filter(|is_set| **is_set).count() == 1 {
        return Vec::new();
    }
    vec![Violation::new(path, "", format!("needs exactly one of {names}"))]
}

fn targets(path: &str, http: Option<&HTTPGetAction>, tcp: Option<&TCPSocketAction>) -> Vec<Violation> {
    let mut found = Vec::new();
    let actions = [
        http.map(|it| ("httpGet", &it.host, &it.port)),
        tcp.map(|it| ("tcpSocket", &it.host, &it.port)),
    ];
    for (name, host, port) in actions.into_iter().flatten() {
        if let Some(host) = host.as_ref().filter(|host| !host.is_empty()) {
            let rule = "would have the node call another machine: leave it out, the pod itself is asked";
            found.push(Violation::new(format!("{path}.{name}.host"), host, rule));
        }
        let (text, usable) = match port {
            IntOrString::Int(number) => (number.to_string(), (1..=65535).contains(number)),
            IntOrString::String(text) => (text.clone(), is_port_name(text)),
        };
        if !usable {
            let rule = "is no port: use its number or its name, such as http";
            found.push(Violation::new(format!("{path}.{name}.port"), text, rule));
        }
    }
    if let Some(scheme) = http.and_then(|http| http.scheme.as_ref())
        && !["HTTP", "HTTPS"].contains(&scheme.as_str())
    {
        found.push(Violation::new(
            format!("{path}.httpGet.scheme"),
            scheme,
            "is not HTTP or HTTPS",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of_probe(value: Value) -> Vec<String> {
        let probe: Probe = serde_json::from_value(value).unwrap();
        readiness("spec.readinessProbe", &probe)
            .into_iter()
            .map(|it| it.field)
            .collect()
    }

    #[test]
    fn a_probe_asks_the_pod_alone() {
        for fine in [
            json!({"httpGet": {"path": "/api", "port": "http"}, "periodSeconds": 1}),
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
    fn every_fault_of_a_probe_is_named() {
        assert_eq!(
            of_probe(json!({
                "httpGet": {"port": 0, "scheme": "GOPHER"}, "tcpSocket": {"port": "80"},
                "periodSeconds": -1, "terminationGracePeriodSeconds": 5,
            })),
            [
                "spec.readinessProbe",
                "spec.readinessProbe.httpGet.port",
                "spec.readinessProbe.tcpSocket.port",
                "spec.readinessProbe.httpGet.scheme",
                "spec.readinessProbe.periodSeconds",
                "spec.readinessProbe.terminationGracePeriodSeconds",
            ]
        );
        assert_eq!(of_probe(json!({})), ["spec.readinessProbe"]);
    }

    #[test]
    fn hooks_are_held_to_the_same() {
        let hooks: Lifecycle = serde_json::from_value(json!({
            "postStart": {"httpGet": {"host": "elsewhere", "port": 80}},
            "preStop": {"exec": {"command": []}}, "stopSignal": "SIGINT",
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
                "spec.lifecycle.preStop.exec.command",
                "spec.lifecycle.stopSignal",
            ]
        );
    }
}
