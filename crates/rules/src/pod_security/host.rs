//! Pod -> what it must not share with its node (pure): namespaces, ports, volumes.

use k8s_openapi::api::core::v1::{Container, Volume};

use super::Pod;
use super::faults::Faults;

/// Kinds of volumes at level `restricted`.
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
/// The older form of `appArmorProfile`: with the name of a container.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn namespaces(pod: Pod<'_>, faults: &mut Faults) {
    for (field, value) in [
        ("spec.hostNetwork", pod.spec.host_network),
        ("spec.hostPID", pod.spec.host_pid),
        ("spec.hostIPC", pod.spec.host_ipc),
    ] {
        if value == Some(true) {
            faults.forbid(field, "true", "leave it out");
        }
    }
}

pub(super) fn path_volumes(pod: Pod<'_>, faults: &mut Faults) {
    let volumes = pod.spec.volumes.iter().flatten().enumerate();
    for (index, path) in volumes.filter_map(|(index, it)| Some((index, it.host_path.as_ref()?))) {
        let field = format!("spec.volumes[{index}].hostPath");
        faults.forbid(&field, &path.path, "use a PersistentVolumeClaim");
    }
}

pub(super) fn volumes(pod: Pod<'_>, faults: &mut Faults) {
    for (index, volume) in pod.spec.volumes.iter().flatten().enumerate() {
        for kind in kinds(volume).filter(|kind| !VOLUMES.contains(&kind.as_str())) {
            let remedy = format!("use one of {}", VOLUMES.join(", "));
            faults.forbid(&format!("spec.volumes[{index}].{kind}"), &volume.name, &remedy);
        }
    }
}

/// Field names of the volume's kinds. None: it is an emptyDir.
fn kinds(volume: &Volume) -> impl Iterator<Item = String> + use<> {
    let fields = serde_json::to_value(volume).unwrap_or_default();
    let fields = match fields {
        serde_json::Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };
    fields.into_iter().map(|(key, _)| key).filter(|key| key != "name")
}

pub(super) fn app_armor_annotations(pod: Pod<'_>, faults: &mut Faults) {
    let annotations = pod.metadata.annotations.iter().flatten();
    for (key, value) in annotations.filter(|(key, _)| key.starts_with(APP_ARMOR)) {
        let is_confining =
            matches!(value.as_str(), "" | "runtime/default") || value.starts_with("localhost/");
        if !is_confining {
            faults.forbid(&format!("metadata.annotations[{key}]"), value, "leave it out");
        }
    }
}

pub(super) fn ports(container: &Container, faults: &mut Faults) {
    let ports = container.ports.iter().flatten().enumerate();
    for (index, port) in
        ports.filter_map(|(index, it)| Some((index, it.host_port.filter(|port| *port != 0)?)))
    {
        let remedy = "it would open a port of the node; leave it out";
        faults.forbid(&format!("ports[{index}].hostPort"), &port.to_string(), remedy);
    }
}
