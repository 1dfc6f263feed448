//! Workspace and template -> other fields of the pod (pure).
//!
//! These are all fields beyond image, resources and disks.

use std::collections::BTreeMap;

use api::template::PodTemplate;
use api::workspace::ResourceRequirements;
use api::{WorkspaceSpec, WorkspaceTemplateSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Container, Lifecycle, PodSecurityContext, Probe, SecurityContext, Toleration,
};

use super::home::{Home, mount_home};
use super::resources::fill;
use crate::checks::resources::of_container;
use crate::settings::Settings;

/// Fields of the pod that have Kubernetes types.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodFields {
    /// Containers that run before the application, with images resolved.
    pub init_containers: Vec<Container>,
    /// Hooks of the container.
    pub lifecycle: Option<Lifecycle>,
    /// Readiness probe; `None`: the application is ready when it accepts connections.
    pub readiness_probe: Option<Probe>,
    /// Labels of the nodes that may run the pod.
    pub node_selector: BTreeMap<String, String>,
    /// Affinity to nodes and pods, and anti-affinity.
    pub affinity: Option<Affinity>,
    /// Taints that the pod tolerates.
    pub tolerations: Vec<Toleration>,
    /// Whether the pod has a user namespace of its own.
    pub user_namespace: bool,
    /// Security settings of the pod.
    pub pod_security_context: Option<PodSecurityContext>,
    /// Security settings of the container.
    pub container_security_context: Option<SecurityContext>,
    /// The pod over which this one is laid, with images resolved.
    pub pod_template: Option<PodTemplate>,
}

pub(super) fn shape(
    spec: &WorkspaceSpec,
    template: Option<&WorkspaceTemplateSpec>,
    application: &ResourceRequirements,
    home: &Home,
    settings: &Settings,
) -> PodFields {
    let mut init_containers = listed(
        &spec.init_containers,
        template.map(|template| &template.default_init_containers),
    );
    // A user's own mounts name folders of the disk, for which the user needs permission.
    if spec.init_containers.is_empty() {
        for container in &mut init_containers {
            mount_home(container, home.sub_path());
        }
    }
    PodFields {
        init_containers: init_containers
            .into_iter()
            .map(|container| complete(container, application, settings))
            .collect(),
        lifecycle: spec
            .lifecycle
            .clone()
            .or_else(|| template?.default_lifecycle.clone()),
        readiness_probe: spec
            .readiness_probe
            .clone()
            .or_else(|| template?.default_readiness_probe.clone()),
        node_selector: if spec.node_selector.is_empty() {
            template
                .map(|template| template.default_node_selector.clone())
                .unwrap_or_default()
        } else {
            spec.node_selector.clone()
        },
        affinity: spec
            .affinity
            .clone()
            .or_else(|| template?.default_affinity.clone()),
        tolerations: listed(
            &spec.tolerations,
            template.map(|template| &template.default_tolerations),
        ),
        user_namespace: template.is_some_and(|template| template.host_users == Some(false)),
        pod_security_context: spec
            .pod_security_context
            .clone()
            .or_else(|| template?.default_pod_security_context.clone()),
        container_security_context: spec
            .container_security_context
            .clone()
            .or_else(|| template?.default_container_security_context.clone()),
        pod_template: template
            .and_then(|template| template.pod_template.clone())
            .map(|given| resolve_images(given, settings)),
    }
}

/// The `podTemplate` with images instead of their aliases.
fn resolve_images(mut template: PodTemplate, settings: &Settings) -> PodTemplate {
    if let Some(pod) = &mut template.spec {
        let init = pod.init_containers.iter_mut().flatten();
        for image in init.chain(&mut pod.containers).filter_map(|it| it.image.as_mut()) {
            *image = settings.resolve_image(image).to_owned();
        }
    }
    template
}

/// The given list if it is not empty, else the default one.
pub(super) fn listed<T: Clone>(given: &[T], default: Option<&Vec<T>>) -> Vec<T> {
    if given.is_empty() {
        default.cloned().unwrap_or_default()
    } else {
        given.to_vec()
    }
}

/// Completes a container: resolves its image alias and fills in requests and limits of cpu and memory, as every container has them.
/// A container that ends before the application starts may use as much as the application, including temporary files.
/// That costs the pod nothing. A container that keeps running gets the installation's defaults.
/// Bounds apply to the pod as a whole, and other rules check them.
fn complete(mut container: Container, application: &ResourceRequirements, settings: &Settings) -> Container {
    if let Some(image) = &mut container.image {
        *image = settings.resolve_image(image).to_owned();
    }
    let stays = container.restart_policy.as_deref() == Some("Always");
    let mut default = if stays {
        &settings.default_resources
    } else {
        application
    }
    .clone();
    for map in [&mut default.requests, &mut default.limits] {
        map.retain(|name, _| ["cpu", "memory", "ephemeral-storage"].contains(&name.as_str()));
    }
    let given = container.resources.as_ref().map(of_container).unwrap_or_default();
    let claims = container.resources.take().and_then(|resources| resources.claims);
    let mut filled: k8s_openapi::api::core::v1::ResourceRequirements =
        fill(Some(&given), None, &default, None).into();
    filled.claims = claims;
    container.resources = Some(filled);
    container
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The folders of the disk that init containers of a workspace with the home `alice` mount.
    fn folders(given: Value, default: Value) -> Vec<Option<String>> {
        let spec = WorkspaceSpec {
            storage: serde_json::from_value(json!({"claimName": "common", "subPath": "alice"})).unwrap(),
            init_containers: serde_json::from_value(given).unwrap(),
            ..WorkspaceSpec::default()
        };
        let template = WorkspaceTemplateSpec {
            default_init_containers: serde_json::from_value(default).unwrap(),
            ..WorkspaceTemplateSpec::default()
        };
        let settings = Settings::parse("defaultImage: d:1").unwrap();
        let pod = crate::effective(&spec, Some(&template), &settings).pod;
        let mounts = pod
            .init_containers
            .into_iter()
            .flat_map(|it| it.volume_mounts.unwrap_or_default());
        mounts.map(|mount| mount.sub_path).collect()
    }

    #[test]
    fn init_containers_of_a_template_have_the_home_and_those_of_users_the_folders_that_they_name() {
        let own = || {
            json!([{"name": "seed", "volumeMounts": [
                {"name": "workspace-storage", "mountPath": "/a"},
                {"name": "workspace-storage", "mountPath": "/b", "subPath": "notes"},
                {"name": "shm", "mountPath": "/c"},
            ]}])
        };
        let some = |folder: &str| Some(folder.to_owned());
        assert_eq!(
            folders(json!([]), own()),
            [some("alice"), some("alice/notes"), None]
        );
        assert_eq!(folders(own(), json!([])), [None, some("notes"), None]);
    }
}
