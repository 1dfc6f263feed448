//! Valid workspace -> the pod of one run (pure): metadata around the spec of `pod`.

use std::collections::BTreeMap;

use api::names;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use rules::ValidWorkspace;

use super::{Installation, overlay, pod};
use crate::{cache::observed::Identity, plan::record};

/// Component label of the pod.
pub(super) const COMPONENT: &str = "server";

pub(super) fn plan(workspace: &ValidWorkspace, installation: &Installation, run_id: &str) -> Pod {
    // A pod that is not isolated lacks labels of ours. A template must not set them.
    let base = workspace.base_labels.iter();
    let base = base.filter(|label| !label.name.starts_with(names::RESERVED_PREFIX));
    let mut labels = overlay::labels(workspace);
    labels.extend(base.map(|label| (label.name.clone(), label.value.clone())));
    labels.extend(workspace.required_labels.clone());
    // Ours come last, so that nobody replaces the labels that select the pod.
    let marks = marks(&super::identity(workspace), Some(run_id));
    labels.extend(marks.labels.clone().unwrap_or_default());
    let isolation = super::isolation(workspace).labels().into_iter();
    labels.extend(isolation.filter_map(|(key, value)| Some((key.to_owned(), value?))));
    Pod {
        metadata: ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations(workspace)),
            ..marks
        },
        spec: Some(overlay::spec(
            workspace,
            pod::plan(workspace, installation, run_id),
        )),
        status: None,
    }
}

/// The metadata that every pod of this run keeps, whatever build or setting made it.
pub(super) fn marks(identity: &Identity, run_id: Option<&str>) -> ObjectMeta {
    let mut marks = super::meta(identity, COMPONENT);
    if let Some(run_id) = run_id {
        let labels = marks.labels.get_or_insert_default();
        labels.insert(names::RUN_ID_LABEL.to_owned(), run_id.to_owned());
    }
    marks
}

/// Annotations of the pod. Ours come last, as with labels.
fn annotations(workspace: &ValidWorkspace) -> BTreeMap<String, String> {
    let mut annotations = overlay::annotations(workspace);
    annotations.extend(workspace.annotations.clone());
    annotations.extend(super::marks(&super::identity(workspace)));
    annotations.insert(names::STARTED_FROM.to_owned(), record::record(workspace));
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
            label(names::ISOLATED_LABEL),
            label(names::MANAGER),
            label("team"),
            label("course"),
        ];
        workspace.required_labels = [("course", "ml"), (names::WORKSPACE_LABEL, "forged")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let pod = plan(&workspace, &testing::installation(), "run1");
        assert_eq!(pod.metadata.name.as_deref(), Some("workspace-demo"));
        let labels = pod.metadata.labels.unwrap();
        assert_eq!(labels[names::RUN_ID_LABEL], "run1");
        assert_eq!(labels[names::WORKSPACE_LABEL], "demo");
        assert_eq!(labels["team"], "forged");
        assert_eq!(labels["course"], "ml", "the workspace's own");
        assert_eq!(labels[names::ISOLATED_LABEL], names::IS_ISOLATED);
        assert_eq!(labels[names::MANAGER], rules::names::manager_hash("main"));
        workspace.network_policy.enabled = false;
        let pod = plan(&workspace, &testing::installation(), "run1");
        let labels = pod.metadata.labels.unwrap();
        assert!(!labels.contains_key(names::ISOLATED_LABEL) && !labels.contains_key(names::MANAGER));
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
        let pod = plan(&workspace, &testing::installation(), "run1");
        let annotations = pod.metadata.annotations.unwrap();
        assert_eq!(annotations[names::WORKSPACE_UID], workspace.uid);
        assert_eq!(annotations[names::STARTED_FROM], record::record(&workspace));
        assert_eq!(annotations[names::CREATED_BY], "alice");
        assert_eq!(annotations[names::LAST_UPDATED_BY], "bob");
        assert_eq!(annotations["a.org/b"], "forged");
    }

    #[test]
    fn two_runs_differ_in_nothing_but_their_identifier() {
        let text = |run_id: &str| {
            let pod = plan(&testing::valid(), &testing::installation(), run_id);
            serde_json::to_string(&pod).unwrap().replace(run_id, "?")
        };
        assert_eq!(text("aaaa"), text("bbbb"));
    }
}
