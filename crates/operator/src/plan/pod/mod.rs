//! Valid workspace -> its pod (pure): Pod Security `restricted`, unless its template lowers that.
//!
//! Anti-affinity keeps two pods of a workspace off one node.

use api::names;
use k8s_openapi::{
    api::core::v1::{Affinity, LocalObjectReference, PodAffinityTerm, PodSpec},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use rules::ValidWorkspace;

use super::{Site, container, security, volumes};

pub(super) fn plan(workspace: &ValidWorkspace, site: &Site, run_id: &str) -> PodSpec {
    let scheduling = &workspace.pod;
    let planned = volumes::plan(workspace, site);
    let application = container::application(workspace, site, &planned, run_id);
    let init = container::init(workspace, site, &planned, run_id);
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
        enable_service_links: Some(false),
        security_context: Some(security::pod(
            scheduling.pod_security_context.as_ref(),
            site.identifiers,
        )),
        init_containers: some(init),
        containers: vec![application],
        volumes: Some(volumes),
        node_selector: (!scheduling.node_selector.is_empty()).then(|| scheduling.node_selector.clone()),
        affinity: Some(anti_affinity(scheduling.affinity.clone(), &workspace.name)),
        tolerations: some(scheduling.tolerations.clone()),
        ..PodSpec::default()
    }
}

/// Keeps the pod off the node of any other pod of the workspace until that pod is gone. A ReplicaSet makes the next pod as soon as one
/// is deleted or evicted, and both would write to one disk.
///
/// A pod that lost its label still has its own anti-affinity, which the scheduler applies to the next pod. There is only one term: the
/// scheduler retries a pending pod only after a pod is gone that matches every term.
fn anti_affinity(given: Option<Affinity>, workspace: &str) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(LabelSelector {
            match_labels: Some([(names::WORKSPACE_LABEL.to_owned(), workspace.to_owned())].into()),
            match_expressions: None,
        }),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    let mut affinity = given.unwrap_or_default();
    affinity
        .pod_anti_affinity
        .get_or_insert_default()
        .required_during_scheduling_ignored_during_execution
        .get_or_insert_default()
        .push(term);
    affinity
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests;
