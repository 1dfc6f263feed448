//! Containers and volumes of a `podTemplate` -> those that no pod can have (pure).

use std::collections::BTreeSet;

use api::names::{APPLICATION_CONTAINER, HOME_VOLUME, is_own_volume};
use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::super::pod::mounts;
use super::{PATH, containers};
use crate::checks::image_syntax;
use crate::checks::syntax::label_name;
use crate::violation::Violation;

pub(super) fn violations(pod: &PodSpec) -> Vec<Violation> {
    let mut found = volumes(pod);
    let mut names = BTreeSet::new();
    let volumes: Vec<_> = pod.volumes.iter().flatten().map(|it| it.name.as_str()).collect();
    for (path, container) in containers(pod) {
        let name = container.name.as_str();
        let field = format!("{path}.name");
        found.extend(if names.insert(name) {
            label_name(field, name)
        } else {
            let rule = "is the name of another container: choose another";
            Some(Violation::new(field, name, rule))
        });
        if name != APPLICATION_CONTAINER {
            let image = container.image.as_deref().unwrap_or_default();
            found.extend(image_syntax(&format!("{path}.image"), image));
        }
        found.extend(mounts_of(&path, container, &volumes));
    }
    found
}

fn volumes(pod: &PodSpec) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for (index, volume) in pod.volumes.iter().flatten().enumerate() {
        let name = volume.name.as_str();
        let field = format!("{PATH}.spec.volumes[{index}].name");
        let rule = if is_own_volume(name) {
            Some("is the name of a volume of the operator: choose another")
        } else if !names.insert(name) {
            Some("is the name of another volume: choose another")
        } else {
            None
        };
        found.extend(match rule {
            Some(rule) => Some(Violation::new(field, name, rule)),
            None => label_name(field, name),
        });
    }
    found
}

/// Checks what a container mounts: volumes of the `podTemplate`, and the home.
fn mounts_of(path: &str, container: &Container, volumes: &[&str]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut places = Vec::new();
    let is_volume = |name: &str| volumes.contains(&name);
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let at = format!("{path}.volumeMounts[{index}]");
        if !is_volume(&mount.name) && mount.name != HOME_VOLUME {
            let rule = format!("must be a volume of spec.podTemplate, or {HOME_VOLUME}, which is the home");
            found.push(Violation::new(format!("{at}.name"), &mount.name, rule));
        }
        let what = format!("the volume {:?}", mount.name);
        places.push((format!("{at}.mountPath"), mount.mount_path.clone(), what));
    }
    for (index, device) in container.volume_devices.iter().flatten().enumerate() {
        if !is_volume(&device.name) {
            let field = format!("{path}.volumeDevices[{index}].name");
            let rule = "must be a volume of spec.podTemplate";
            found.push(Violation::new(field, &device.name, rule));
        }
    }
    if container.name == APPLICATION_CONTAINER {
        found.extend(mounts::same_places(mounts::ours(), places));
    }
    found
}
