//! What workspace and template say about the pod beyond image, resources and disks (pure).

use std::collections::BTreeMap;

use api::workspace::ResourceRequirements;
use api::{WorkspaceSpec, WorkspaceTemplateSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Container, Lifecycle, PodSecurityContext, Probe, SecurityContext, Toleration,
};

use super::listed;
use crate::checks::resources::of_container;
use crate::resources::fill;
use crate::settings::Settings;

/// Parts of the pod that are taken over as Kubernetes' own types.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodShape {
    /// Containers that run before the application, images resolved.
    pub init_containers: Vec<Container>,
    /// Hooks of the container.
    pub lifecycle: Option<Lifecycle>,
    /// When the application is ready; `None`: when it accepts connections.
    pub readiness_probe: Option<Probe>,
    /// Labels of the nodes that may run the pod.
    pub node_selector: BTreeMap<String, String>,
    /// Nodes and pods to be near to or far from.
    pub affinity: Option<Affinity>,
    /// Taints that the pod tolerates.
    pub tolerations: Vec<Toleration>,
    /// Security settings of the pod.
    pub pod_security_context: Option<PodSecurityContext>,
    /// Security settings of the container.
    pub container_security_context: Option<SecurityContext>,
}

pub(super) fn shape(
    spec: &WorkspaceSpec,
    template: Option<&WorkspaceTemplateSpec>,
    application: &ResourceRequirements,
    settings: &Settings,
) -> PodShape {
    let init_containers = listed(
        &spec.init_containers,
        template.map(|template| &template.default_init_containers),
    );
    PodShape {
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
        pod_security_context: spec
            .pod_security_context
            .clone()
            .or_else(|| template?.default_pod_security_context.clone()),
        container_security_context: spec
            .container_security_context
            .clone()
            .or_else(|| template?.default_container_security_context.clone()),
    }
}

/// With its image's alias resolved, and with requests and limits of cpu and memory, since no container is without. One that runs to
/// its end before the application starts may take what the application takes, which costs the pod nothing, of temporary files too;
/// one that stays gets the installation's defaults. Bounds are for the pod as a whole, and judged there.
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
