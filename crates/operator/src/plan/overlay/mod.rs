//! A generated pod and its `podTemplate` -> the pod, in which the generated one wins (pure).
//!
//! The rules refuse a `podTemplate` of which something would be lost, or would be merged with what others add under its names.

use std::collections::BTreeMap;

use api::{names::APPLICATION_CONTAINER, template::PodTemplateMetadata};
use k8s_openapi::{
    DeepMerge as _,
    api::core::v1::{Container, PodSpec},
};
use rules::ValidWorkspace;

use super::security;

/// The spec of the pod.
pub(super) fn spec(workspace: &ValidWorkspace, generated: PodSpec) -> PodSpec {
    let template = workspace.pod.pod_template.as_ref();
    let Some(mut pod) = template.and_then(|template| template.spec.clone()) else {
        return generated;
    };
    // Tools take the first container where none is named.
    if pod.containers.iter().all(|it| it.name != APPLICATION_CONTAINER) {
        let application = Container {
            name: APPLICATION_CONTAINER.to_owned(),
            ..Container::default()
        };
        pod.containers.insert(0, application);
    }
    let init = pod.init_containers.iter_mut().flatten();
    for container in init.chain(&mut pod.containers) {
        rules::mount_home(container, workspace.home.sub_path());
        if container.name != APPLICATION_CONTAINER {
            complete(container, workspace);
        }
    }
    pod.merge_from(generated);
    pod
}

/// Labels of the `podTemplate`.
pub(super) fn labels(workspace: &ValidWorkspace) -> BTreeMap<String, String> {
    metadata(workspace)
        .map(|it| it.labels.clone())
        .unwrap_or_default()
}

/// Annotations of the `podTemplate`.
pub(super) fn annotations(workspace: &ValidWorkspace) -> BTreeMap<String, String> {
    metadata(workspace)
        .map(|it| it.annotations.clone())
        .unwrap_or_default()
}

fn metadata(workspace: &ValidWorkspace) -> Option<&PodTemplateMetadata> {
    workspace.pod.pod_template.as_ref()?.metadata.as_ref()
}

/// What a container beside the application's leaves out.
fn complete(container: &mut Container, workspace: &ValidWorkspace) {
    container.image = container
        .image
        .as_deref()
        .map(|image| workspace.pull_reference(image));
    container
        .image_pull_policy
        .get_or_insert_with(|| workspace.image_pull_policy.to_string());
    container.security_context = Some(security::restricted(container.security_context.as_ref()));
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod standards_tests;
#[cfg(test)]
mod tests;
