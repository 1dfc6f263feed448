//! Valid workspace -> its pod (pure): Pod Security `restricted`, unless its template lowers that.

use k8s_openapi::api::core::v1::{LocalObjectReference, PodSpec};
use rules::ValidWorkspace;

use super::{Installation, container, security, volumes};

pub(super) fn plan(workspace: &ValidWorkspace, installation: &Installation, run_id: &str) -> PodSpec {
    let scheduling = &workspace.pod;
    let planned = volumes::plan(workspace, installation);
    let application = container::application(workspace, installation, &planned, run_id);
    let init = container::init(workspace, installation, &planned, run_id);
    let mounts = init.iter().chain([&application]);
    let mounts = mounts.flat_map(|container| container.volume_mounts.iter().flatten());
    let volumes = planned.all(mounts);
    let profile = workspace.profile.as_ref();
    let spec = profile.map(|profile| &profile.spec);
    let account = profile.and_then(|profile| profile.service_account.clone());
    PodSpec {
        // Without one the pod runs as the namespace's `default` service account, but gets no token of it.
        automount_service_account_token: Some(
            account.is_some() && spec.is_some_and(|spec| spec.automount_token),
        ),
        service_account_name: account,
        image_pull_secrets: some(
            workspace
                .pull_secrets()
                .into_iter()
                .map(|name| LocalObjectReference {
                    name: name.to_owned(),
                })
                .collect(),
        ),
        priority_class_name: spec.and_then(|spec| spec.priority_class_name.clone()),
        runtime_class_name: spec.and_then(|spec| spec.runtime_class_name.clone()),
        // Only where it is asked for: an older API server would warn about it.
        host_users: scheduling.user_namespace.then_some(false),
        enable_service_links: Some(false),
        security_context: Some(security::pod(
            scheduling.pod_security_context.as_ref(),
            installation.identifiers,
        )),
        init_containers: some(init),
        containers: vec![application],
        restart_policy: Some("Always".to_owned()),
        volumes: Some(volumes),
        node_selector: (!scheduling.node_selector.is_empty()).then(|| scheduling.node_selector.clone()),
        affinity: scheduling.affinity.clone(),
        tolerations: some(scheduling.tolerations.clone()),
        ..PodSpec::default()
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
mod tests;
