//! Valid workspace -> the Deployment of one run (pure).

use std::collections::BTreeMap;

use api::names;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use kube::Resource as _;
use rules::ValidWorkspace;
use serde::Serialize;

use super::{Site, pod};
use crate::{cache::observed::Identity, plan::record};

/// The strategy of every Deployment: the last pod ends before the next one is made.
pub const RECREATE: &str = "Recreate";
/// Component label of Deployment and pod.
pub(super) const COMPONENT: &str = "server";

pub(super) fn plan(workspace: &ValidWorkspace, site: &Site, run_id: &str) -> Deployment {
    let base = workspace.base_labels.iter();
    let mut labels: BTreeMap<_, _> = base
        .map(|label| (label.name.clone(), label.value.clone()))
        .collect();
    // Ours come last, so that a template cannot replace the labels that select the pod.
    labels.extend(workspace.labels(COMPONENT));
    labels.insert(names::RUN_ID_LABEL.to_owned(), run_id.to_owned());
    let mut metadata = super::meta(&super::identity(workspace), COMPONENT);
    if let Some(annotations) = &mut metadata.annotations {
        annotations.insert(names::STARTED_FROM.to_owned(), record::of(workspace));
    }
    Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            // Two pods must never mount one disk.
            strategy: Some(DeploymentStrategy {
                type_: Some(RECREATE.to_owned()),
                rolling_update: None,
            }),
            // Set explicitly, so that the next run replaces other values.
            paused: Some(false),
            min_ready_seconds: Some(0),
            revision_history_limit: Some(0),
            selector: LabelSelector {
                match_labels: Some(workspace.selector()),
                match_expressions: None,
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations: Some(annotations(workspace)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod::plan(workspace, site, run_id)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// Annotations of the pod. Ours come last, as with labels.
fn annotations(workspace: &ValidWorkspace) -> BTreeMap<String, String> {
    let mut annotations = workspace.annotations.clone();
    annotations.extend(super::marks(&super::identity(workspace)));
    let users = [
        (names::CREATED_BY, &workspace.owner),
        (names::LAST_UPDATED_BY, &workspace.last_updated_by),
    ];
    annotations.extend(
        users
            .into_iter()
            .filter_map(|(key, user)| Some((key.to_owned(), user.clone()?))),
    );
    annotations
}

/// What is written to a Deployment between starts. It is not a [`Deployment`], because that type always has a pod template.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    api_version: String,
    kind: String,
    /// Name, labels, annotations and owner.
    pub metadata: ObjectMeta,
    spec: ScaleSpec,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct ScaleSpec {
    replicas: i32,
}

pub(super) fn scale(identity: &Identity, replicas: i32) -> Scale {
    Scale {
        api_version: Deployment::api_version(&()).into_owned(),
        kind: Deployment::kind(&()).into_owned(),
        metadata: super::meta(identity, COMPONENT),
        spec: ScaleSpec { replicas },
    }
}

#[cfg(test)]
mod tests {
    use api::template::Label;

    use super::*;
    use crate::testing;

    #[test]
    fn the_run_is_named_on_the_pod_and_labels_of_a_template_replace_none_of_ours() {
        let mut workspace = testing::valid();
        let label = |name: &str| Label {
            name: name.to_owned(),
            value: "forged".to_owned(),
        };
        workspace.base_labels = vec![
            label(names::RUN_ID_LABEL),
            label(names::WORKSPACE_LABEL),
            label("team"),
        ];
        let template = plan(&workspace, &testing::site(), "run1").spec.unwrap().template;
        let labels = template.metadata.unwrap().labels.unwrap();
        assert_eq!(labels[names::RUN_ID_LABEL], "run1");
        assert_eq!(labels[names::WORKSPACE_LABEL], "demo");
        assert_eq!(labels["team"], "forged");
    }

    #[test]
    fn the_pod_has_the_annotations_of_template_and_workspace_and_the_names_of_its_users() {
        let mut workspace = testing::valid();
        let forged = |key: &str| (key.to_owned(), "forged".to_owned());
        workspace.annotations = [
            forged(names::WORKSPACE_UID),
            forged(names::CREATED_BY),
            forged("a.org/b"),
        ]
        .into();
        workspace.owner = Some("alice".to_owned());
        workspace.last_updated_by = Some("bob".to_owned());
        let template = plan(&workspace, &testing::site(), "run1").spec.unwrap().template;
        let annotations = template.metadata.unwrap().annotations.unwrap();
        assert_eq!(annotations[names::WORKSPACE_UID], workspace.uid);
        assert_eq!(annotations[names::CREATED_BY], "alice");
        assert_eq!(annotations[names::LAST_UPDATED_BY], "bob");
        assert_eq!(annotations["a.org/b"], "forged");
    }

    #[test]
    fn two_runs_differ_in_nothing_but_their_identifier() {
        let text = |run_id: &str| {
            let deployment = plan(&testing::valid(), &testing::site(), run_id);
            serde_json::to_string(&deployment).unwrap().replace(run_id, "?")
        };
        assert_eq!(text("aaaa"), text("bbbb"));
    }
}
