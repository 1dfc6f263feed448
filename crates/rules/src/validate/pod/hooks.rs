//! Probes and hooks -> fields that Kubernetes or the operator refuses (pure).
//!
//! They may contact only the pod itself. A `host` would make the node's kubelet call other machines.

use std::ops::RangeInclusive;

use k8s_openapi::api::core::v1::{
    ExecAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::checks;
use crate::checks::syntax::is_port_name;
use crate::violation::Violation;

/// Range of a hook's sleep, in seconds. The maximum is the termination grace period of all our pods.
const SLEEP: RangeInclusive<i64> = 1..=30;

/// Checks the hooks at `path`. `ports` are the names of the container's ports.
pub(in crate::validate) fn lifecycle(path: &str, hooks: &Lifecycle, ports: &[&str]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (name, hook) in [("postStart", &hooks.post_start), ("preStop", &hooks.pre_stop)] {
        if let Some(hook) = hook {
            found.extend(handler(&format!("{path}.{name}"), hook, ports));
        }
    }
    if let Some(signal) = &hooks.stop_signal {
        let rule = "is accepted only in pods that set os.name, which workspaces do not: leave it out";
        found.push(Violation::new(format!("{path}.stopSignal"), signal, rule));
    }
    found
}

fn handler(path: &str, hook: &LifecycleHandler, ports: &[&str]) -> Vec<Violation> {
    let ways = [
        hook.exec.is_some(),
        hook.http_get.is_some(),
        hook.tcp_socket.is_some(),
        hook.sleep.is_some(),
    ];
    let mut found = exactly_one(path, ways, "exec, httpGet, tcpSocket and sleep");
    found.extend(targets(
        path,
        hook.http_get.as_ref(),
        hook.tcp_socket.as_ref(),
        ports,
    ));
    found.extend(hook.exec.as_ref().and_then(|exec| command(path, exec)));
    if let Some(sleep) = hook
        .sleep
        .as_ref()
        .filter(|sleep| !SLEEP.contains(&sleep.seconds))
    {
        let rule = format!(
            "is no time to sleep: choose {} to {} seconds, which a pod has for its end",
            SLEEP.start(),
            SLEEP.end()
        );
        let field = format!("{path}.sleep.seconds");
        found.push(Violation::new(field, sleep.seconds.to_string(), rule));
    }
    found
}

/// Checks a probe at `path` of a container that keeps running. `ports` are the names of its ports.
fn probe(path: &str, probe: &Probe, ports: &[&str]) -> Vec<Violation> {
    let ways = [
        probe.exec.is_some(),
        probe.http_get.is_some(),
        probe.tcp_socket.is_some(),
        probe.grpc.is_some(),
    ];
    let mut found = exactly_one(path, ways, "exec, httpGet, tcpSocket and grpc");
    found.extend(targets(
        path,
        probe.http_get.as_ref(),
        probe.tcp_socket.as_ref(),
        ports,
    ));
    found.extend(probe.exec.as_ref().and_then(|exec| command(path, exec)));
    if let Some(grpc) = probe.grpc.as_ref().filter(|it| !(1..=65535).contains(&it.port)) {
        let rule = "is no port: use its number, 1 to 65535";
        found.push(Violation::new(
            format!("{path}.grpc.port"),
            grpc.port.to_string(),
            rule,
        ));
    }
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

/// Checks a liveness or startup probe at `path`. One success is enough, and a failure ends the container.
pub(in crate::validate) fn liveness_or_startup(path: &str, given: &Probe, ports: &[&str]) -> Vec<Violation> {
    let mut found = probe(path, given, ports);
    if let Some(count) = given.success_threshold.filter(|count| *count > 1) {
        let rule = "is more than 1, which only a readiness probe may want: leave it out";
        let field = format!("{path}.successThreshold");
        found.push(Violation::new(field, count.to_string(), rule));
    }
    if let Some(grace) = given.termination_grace_period_seconds.filter(|grace| *grace < 1) {
        let rule = "is no time to end: choose 1 or more";
        let field = format!("{path}.terminationGracePeriodSeconds");
        found.push(Violation::new(field, grace.to_string(), rule));
    }
    found
}

/// Checks a readiness probe at `path`. It ends no container, so it has no grace period.
pub(in crate::validate) fn readiness(path: &str, given: &Probe, ports: &[&str]) -> Vec<Violation> {
    let mut found = probe(path, given, ports);
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

fn exactly_one<const N: usize>(path: &str, ways: [bool; N], names: &str) -> Vec<Violation> {
    let count = ways.iter().filter(|is_set| **is_set).count();
    if count == 1 {
        return Vec::new();
    }
    let rule = match count {
        0 => format!("names nothing to do: name exactly one of {names}"),
        _ => format!("names {count} actions: name exactly one of {names}"),
    };
    vec![Violation::new(path, "", rule)]
}

fn command(path: &str, exec: &ExecAction) -> Option<Violation> {
    let field = format!("{path}.exec.command");
    match exec.command.as_deref().unwrap_or_default() {
        [] => Some(Violation::new(field, "", "is missing: name a command")),
        command => checks::command(&field, command),
    }
}

fn targets(
    path: &str,
    http: Option<&HTTPGetAction>,
    tcp: Option<&TCPSocketAction>,
    ports: &[&str],
) -> Vec<Violation> {
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
        found.extend(port_fault(&format!("{path}.{name}.port"), port, ports));
    }
    let Some(http) = http else { return found };
    if let Some(scheme) = &http.scheme
        && !["HTTP", "HTTPS"].contains(&scheme.as_str())
    {
        let rule = "is no scheme: use HTTP or HTTPS";
        found.push(Violation::new(format!("{path}.httpGet.scheme"), scheme, rule));
    }
    for (index, header) in http.http_headers.iter().flatten().enumerate() {
        if !is_header_name(&header.name) {
            let rule = "is no header's name: use letters, digits and '-'";
            let field = format!("{path}.httpGet.httpHeaders[{index}].name");
            found.push(Violation::new(field, &header.name, rule));
        }
    }
    found
}

/// Whether Kubernetes accepts the name of the header.
fn is_header_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn port_fault(field: &str, port: &IntOrString, ports: &[&str]) -> Option<Violation> {
    let (text, rule) = match port {
        IntOrString::Int(number) if (1..=65535).contains(number) => return None,
        IntOrString::String(name) if ports.contains(&name.as_str()) => return None,
        IntOrString::Int(number) => (
            number.to_string(),
            "is no port: use a number from 1 to 65535".to_owned(),
        ),
        IntOrString::String(name) if is_port_name(name) && ports.is_empty() => {
            let rule = "is the name of no port, because the container lists none: use the port's number";
            (name.clone(), rule.to_owned())
        }
        // Kubernetes would store such a name, but the kubelet would never find the port.
        IntOrString::String(name) if is_port_name(name) => {
            let rule = format!(
                "is the name of no port here: use {}, or the port's number",
                ports.join(", ")
            );
            (name.clone(), rule)
        }
        IntOrString::String(name) => {
            let rule = "is no port: use its number, or its name such as http";
            (name.clone(), rule.to_owned())
        }
    };
    Some(Violation::new(field, text, rule))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of_probe(value: Value) -> Vec<String> {
        let probe: Probe = serde_json::from_value(value).unwrap();
        readiness("spec.readinessProbe", &probe, &["http"])
            .into_iter()
            .map(|it| it.field)
            .collect()
    }

    #[test]
    fn a_probe_connects_only_to_its_pod() {
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
    fn hooks_connect_only_to_their_pod() {
        let hooks: Lifecycle = serde_json::from_value(json!({
            "postStart": {"httpGet": {"host": "elsewhere", "port": 80}},
            "preStop": {"exec": {"command": []}}, "stopSignal": "SIGINT",
        }))
        .unwrap();
        let fields: Vec<_> = lifecycle("spec.lifecycle", &hooks, &["http"])
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

    #[test]
    fn ports_are_named_as_the_container_names_them() {
        let named = |name: &str| json!({"httpGet": {"port": name}});
        assert_eq!(of_probe(named("http")), [""; 0]);
        assert_eq!(of_probe(named("web")), ["spec.readinessProbe.httpGet.port"]);
        let probe: Probe = serde_json::from_value(named("web")).unwrap();
        assert_eq!(liveness_or_startup("p", &probe, &["api", "web"]), []);
        let message = liveness_or_startup("p", &probe, &[]).remove(0).to_string();
        assert_eq!(
            message,
            r#"p.httpGet.port: "web" is the name of no port, because the container lists none: use the port's number"#
        );
    }

    #[test]
    fn a_hook_sleeps_no_longer_than_a_pod_has_for_its_end() {
        let slept = |seconds: i64| {
            let hooks = json!({"preStop": {"sleep": {"seconds": seconds}}});
            lifecycle("l", &serde_json::from_value(hooks).unwrap(), &[]).len()
        };
        assert_eq!([1, 30].map(slept), [0, 0]);
        assert_eq!([-1, 0, 31, i64::MAX].map(slept), [1, 1, 1, 1]);
    }

    #[test]
    fn fields_of_one_kind_of_probe_are_refused_in_the_others() {
        let given = json!({
            "exec": {"command": []}, "successThreshold": 2, "terminationGracePeriodSeconds": 0,
        });
        let given: Probe = serde_json::from_value(given).unwrap();
        let fields = |found: Vec<Violation>| found.into_iter().map(|it| it.field).collect::<Vec<_>>();
        assert_eq!(
            fields(liveness_or_startup("p", &given, &[])),
            [
                "p.exec.command",
                "p.successThreshold",
                "p.terminationGracePeriodSeconds"
            ]
        );
        assert_eq!(
            fields(readiness("p", &given, &[])),
            ["p.exec.command", "p.terminationGracePeriodSeconds"]
        );
        let headers = json!({"httpGet": {"port": 1, "httpHeaders": [{"name": "a b", "value": ""}]}});
        let headers: Probe = serde_json::from_value(headers).unwrap();
        assert_eq!(
            fields(liveness_or_startup("p", &headers, &[])),
            ["p.httpGet.httpHeaders[0].name"]
        );
        let grpc: Probe = serde_json::from_value(json!({"grpc": {"port": 0}})).unwrap();
        assert_eq!(fields(liveness_or_startup("p", &grpc, &[])), ["p.grpc.port"]);
    }
}
