//! Init containers -> fields that the operator or the template forbids (pure).
//!
//! They see exactly what the application sees: they have no disks of their own and no ports of the node.

use api::template::PodSecurity;
use k8s_openapi::api::core::v1::Container;

use super::{Author, env};
use crate::checks::{image_syntax, resources};
use crate::pod_security::{bounds, mounts, standards};
use crate::violation::Violation;

/// What the checks of init containers need.
pub(in crate::validate) struct PodFacts<'a> {
    pub(in crate::validate) author: Author,
    pub(in crate::validate) level: PodSecurity,
    /// Names of the pod's volumes.
    pub(in crate::validate) volumes: &'a [&'a str],
    /// Whether the template has patterns for environment variables.
    pub(in crate::validate) has_patterns: bool,
}

/// Checks the init containers at `path`.
pub(in crate::validate) fn init(path: &str, containers: &[Container], pod: &PodFacts<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, container) in containers.iter().enumerate() {
        let at = format!("{path}[{index}]");
        found.extend(one(&at, container, pod));
    }
    found
}

fn one(at: &str, container: &Container, pod: &PodFacts<'_>) -> Vec<Violation> {
    let image = container.image.as_deref().unwrap_or_default();
    let mut found: Vec<_> = image_syntax(&format!("{at}.image"), image).into_iter().collect();
    found.extend(env::shape(
        &format!("{at}.env"),
        container.env.as_deref().unwrap_or_default(),
        pod.author,
    ));
    if pod.has_patterns {
        let sources = container.env_from.iter().flatten().enumerate();
        found.extend(sources.map(|(index, _)| {
            let rule =
                "adds variables whose values cannot be compared with the template's envRequirements: use env";
            Violation::new(format!("{at}.envFrom[{index}]"), "", rule)
        }));
    }
    found.extend(resources_shape(at, container));
    found.extend(standards::container(at, container, pod.level));
    found.extend(volume_mounts(&format!("{at}.volumeMounts"), container, pod));
    found.extend(forbidden_fields(at, container));
    found
}

fn resources_shape(at: &str, container: &Container) -> Vec<Violation> {
    let Some(given) = &container.resources else {
        return Vec::new();
    };
    let mut found = resources::shape(&format!("{at}.resources"), &resources::of_container(given));
    if given.claims.iter().flatten().next().is_some() {
        let rule = "claims devices that no rule bounds: leave it out";
        found.push(Violation::new(format!("{at}.resources.claims"), "", rule));
    }
    found
}

fn volume_mounts(at: &str, container: &Container, pod: &PodFacts<'_>) -> Vec<Violation> {
    let given = container.volume_mounts.as_deref().unwrap_or_default();
    let unknown = given.iter().enumerate();
    let unknown = unknown.filter(|(_, mount)| !pod.volumes.contains(&mount.name.as_str()));
    let unknown = unknown.map(|(index, mount)| {
        let rule = format!("must be a volume of the pod: {}", pod.volumes.join(", "));
        Violation::new(format!("{at}[{index}].name"), &mount.name, rule)
    });
    unknown.chain(mounts::of_container(at, given)).collect()
}

/// Reports fields that no container may have.
fn forbidden_fields(at: &str, container: &Container) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, port) in container.ports.iter().flatten().enumerate() {
        let at = format!("{at}.ports[{index}]");
        found.extend(bounds::host_ip(&at, port));
        found.extend(bounds::port_name(&at, port));
    }
    if container.volume_devices.iter().flatten().next().is_some() {
        let rule = "are raw devices, which no pod of ours has: leave it out";
        found.push(Violation::new(format!("{at}.volumeDevices"), "", rule));
    }
    if let Some(policy) = &container.image_pull_policy {
        let rule = "is decided by the installation: leave it out";
        found.push(Violation::new(format!("{at}.imagePullPolicy"), policy, rule));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(containers: Value) -> Vec<String> {
        let containers: Vec<Container> = serde_json::from_value(containers).unwrap();
        let pod = PodFacts {
            author: Author::Workspace,
            level: PodSecurity::Restricted,
            volumes: &["workspace-storage", "data"],
            has_patterns: true,
        };
        init("spec.initContainers", &containers, &pod)
            .into_iter()
            .map(|it| it.field.replace("spec.initContainers", ""))
            .collect()
    }

    #[test]
    fn an_ordinary_init_container_and_a_sidecar_pass() {
        assert_eq!(
            fields(json!([
                {
                    "name": "clone", "image": "git:1", "command": ["git"], "env": [{"name": "A", "value": "b"}],
                    "volumeMounts": [{"name": "workspace-storage", "mountPath": "/work", "subPath": "src"}],
                    "resources": {"limits": {"cpu": "1"}}, "securityContext": {"runAsUser": 5},
                },
                {
                    "name": "proxy", "image": "proxy:1", "restartPolicy": "Always",
                    "startupProbe": {"tcpSocket": {"port": 3000}}, "ports": [{"containerPort": 3000}],
                },
            ])),
            [""; 0]
        );
    }

    #[test]
    fn every_container_field_that_escapes_the_pod_is_reported() {
        assert_eq!(
            fields(json!([
                {
                    "name": "a", "image": "",
                    "envFrom": [{"secretRef": {"name": "s"}}],
                    "resources": {"requests": {"cpu": "-1"}, "claims": [{"name": "x"}]},
                    "securityContext": {"privileged": true},
                    "volumeMounts": [
                        {"name": "host", "mountPath": "/x", "mountPropagation": "Bidirectional", "subPathExpr": "$(X)"},
                        {"name": "data", "mountPath": "/proc/1"},
                        {"name": "data", "mountPath": "/x/"},
                    ],
                    "ports": [{"containerPort": 1, "hostPort": 80, "hostIP": "0.0.0.0", "name": "http"}],
                    "volumeDevices": [{"name": "data", "devicePath": "/dev/x"}],
                    "livenessProbe": {"tcpSocket": {"port": 80, "host": "db"}},
                    "imagePullPolicy": "Always",
                },
                {
                    "name": "b", "image": "i", "restartPolicy": "Always",
                    "lifecycle": {"preStop": {"httpGet": {"port": 80, "host": "db"}}},
                },
            ])),
            [
                "[0].image",
                "[0].envFrom[0]",
                "[0].resources.requests.cpu",
                "[0].resources.claims",
                "[0].ports[0].hostPort",
                "[0].livenessProbe.tcpSocket.host",
                "[0].securityContext.privileged",
                "[0].volumeMounts[0].name",
                "[0].volumeMounts[0].subPathExpr",
                "[0].volumeMounts[0].mountPropagation",
                "[0].volumeMounts[1].mountPath",
                "[0].volumeMounts[2].mountPath",
                "[0].ports[0].hostIP",
                "[0].ports[0].name",
                "[0].volumeDevices",
                "[0].imagePullPolicy",
                "[1].lifecycle.preStop.httpGet.host",
            ]
        );
    }
}
