//! A `podTemplate` and the rest of the pod -> names, ports and places of both (pure).
//!
//! What is added under a name of the `podTemplate` would be merged with it, and get its mounts and variables.

use api::names::APPLICATION_CONTAINER;
use api::template::PodTemplate;
use api::workspace::SecondaryVolume;
use api::{WorkspaceSpec, WorkspaceTemplateSpec};
use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::containers;
use crate::effective::Effective;
use crate::violation::Violation;

/// What else the template adds to the pod.
pub(super) fn with_template(
    pod: &PodSpec,
    spec: &WorkspaceTemplateSpec,
    effective: &Effective,
) -> Vec<Violation> {
    let mut found = init_containers(pod, "spec.defaultInitContainers", &spec.default_init_containers);
    found.extend(volumes(pod, "spec.defaultVolumes", &spec.default_volumes));
    let field = spec.default_port.map(|_| "spec.defaultPort");
    found.extend(port(pod, field, effective.port));
    found
}

/// What a workspace adds to the pod.
pub(in crate::validate) fn with_workspace(given: &WorkspaceSpec, effective: &Effective) -> Vec<Violation> {
    let template = effective.pod.pod_template.as_ref();
    let Some(pod) = template.and_then(|template| template.spec.as_ref()) else {
        return Vec::new();
    };
    let mut found = init_containers(pod, "spec.initContainers", &given.init_containers);
    found.extend(volumes(pod, "spec.volumes", &given.volumes));
    found.extend(port(pod, Some("spec.port"), effective.port));
    found
}

/// Where the application's container has volumes of the `podTemplate`: each path with what is there.
pub(in crate::validate) fn places(template: Option<&PodTemplate>) -> Vec<(String, String)> {
    let pod = template.and_then(|template| template.spec.as_ref());
    let containers = pod.map_or(&[][..], |pod| &pod.containers);
    let application = containers.iter().filter(|it| it.name == APPLICATION_CONTAINER);
    let mounts = application.flat_map(|container| container.volume_mounts.iter().flatten());
    mounts
        .map(|mount| {
            let what = format!("the volume {:?} of the podTemplate", mount.name);
            (mount.mount_path.clone(), what)
        })
        .collect()
}

fn init_containers(pod: &PodSpec, path: &str, added: &[Container]) -> Vec<Violation> {
    let is_taken = |name: &str| containers(pod).any(|(_, other)| other.name == name);
    taken_names(path, added.iter().map(|it| &it.name), "container", is_taken)
}

fn volumes(pod: &PodSpec, path: &str, added: &[SecondaryVolume]) -> Vec<Violation> {
    let is_taken = |name: &str| pod.volumes.iter().flatten().any(|other| other.name == name);
    taken_names(path, added.iter().map(|it| &it.name), "volume", is_taken)
}

/// The names in a list at `path` that a part of this kind of the `podTemplate` has.
fn taken_names<'a>(
    path: &str,
    added: impl Iterator<Item = &'a String>,
    kind: &str,
    is_taken: impl Fn(&str) -> bool,
) -> Vec<Violation> {
    let taken = added.enumerate().filter(|(_, name)| is_taken(name));
    let violation = |(index, name)| {
        let rule = format!("is the name of a {kind} of the template's podTemplate: choose another");
        Violation::new(format!("{path}[{index}].name"), name, rule)
    };
    taken.map(violation).collect()
}

/// Checks that no container of the `podTemplate` has the application's port. `field` says that; `None`: nobody set it.
fn port(pod: &PodSpec, field: Option<&str>, port: i32) -> Option<Violation> {
    let (path, _) = containers(pod).find(|(_, container)| {
        let mut ports = container.ports.iter().flatten();
        ports.any(|it| it.container_port == port)
    })?;
    let value = port.to_string();
    Some(if let Some(field) = field {
        let rule = format!("is a port of a container of the template's podTemplate ({path}): choose another");
        Violation::new(field, value, rule)
    } else {
        let rule = "is the port of the application: choose another, or set spec.defaultPort";
        Violation::new(format!("{path}.ports"), value, rule)
    })
}
