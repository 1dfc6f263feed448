//! A watched object -> the same without values that no reconcile reads (pure).
//!
//! This keeps caches small: the operator holds every workspace of the cluster. It also makes irrelevant changes invisible, so that they
//! trigger no reconcile. The fields of Pods are chosen in `cache/partial.rs`.

use std::fmt::Debug;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate, names};
use k8s_openapi::{
    api::{
        core::v1::{PersistentVolumeClaim, Service, ServiceAccount, ServiceSpec},
        networking::v1::NetworkPolicy,
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Resource, ResourceExt as _};
use serde::{Serialize, de::DeserializeOwned};

use crate::cache::{field_managers, partial::Pod};

/// Prefix of the annotations that mark the default storage class.
const CLASS_PREFIX: &str = "storageclass.";

/// A kind, and what is kept of it.
pub trait Trim: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned {
    /// Whether the cache holds it as JSON text. Claim, Service and account of one workspace take as structs of `k8s_openapi`
    /// about twice as much as text with the metadata to select it by.
    const AS_TEXT: bool = false;

    /// Drops what no reconcile reads: of kinds that users write, `managedFields`, and annotations that are not ours. They may take 256
    /// KiB per object.
    fn trim(&mut self) {
        keep_own_annotations(self.meta_mut());
    }
}

fn keep_own_annotations(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.retain(|key, _| key.starts_with(names::RESERVED_PREFIX) || key.starts_with(CLASS_PREFIX));
    }
}

impl Trim for Pod {
    /// Keeps the labels and annotations that say which workspace, run and queue the pod belongs to and from what it started, and of
    /// `managedFields` only who else changed an image.
    fn trim(&mut self) {
        let meta = &mut self.metadata;
        field_managers::keep_others(meta);
        meta.generation = None;
        meta.owner_references.iter_mut().for_each(Vec::shrink_to_fit);
        if let Some(annotations) = &mut meta.annotations {
            annotations.retain(|key, _| [names::WORKSPACE_UID, names::STARTED_FROM].contains(&key.as_str()));
        }
        if let Some(labels) = &mut meta.labels {
            let kept = [
                names::WORKSPACE_LABEL,
                names::RUN_ID_LABEL,
                names::QUEUE_LABEL,
                names::ISOLATED_LABEL,
                names::MANAGER,
            ];
            labels.retain(|key, _| kept.contains(&key.as_str()) || key.starts_with("app.kubernetes.io/"));
        }
        for container in self.spec.iter_mut().flat_map(|spec| &mut spec.containers) {
            let env = container.env.take().unwrap_or_default().into_vec();
            let run = env.into_iter().find(|it| it.name == names::RUN_ID_VARIABLE);
            container.env = run.map(|run| Box::from([run]));
        }
        for container in self
            .spec
            .iter_mut()
            .flat_map(|spec| spec.init_containers.iter_mut().flatten())
        {
            container.env = None;
        }
    }
}

impl Trim for Service {
    const AS_TEXT: bool = true;

    /// Keeps what is compared with the plan. The cluster assigns addresses.
    fn trim(&mut self) {
        self.metadata.managed_fields = None;
        self.status = None;
        if let Some(spec) = self.spec.take() {
            self.spec = Some(ServiceSpec {
                type_: spec.type_,
                selector: spec.selector,
                ports: spec.ports,
                ..ServiceSpec::default()
            });
        }
    }
}

impl Trim for ServiceAccount {
    const AS_TEXT: bool = true;

    fn trim(&mut self) {
        self.metadata.managed_fields = None;
        self.secrets = None;
        self.image_pull_secrets = None;
    }
}

impl Trim for PersistentVolumeClaim {
    const AS_TEXT: bool = true;

    fn trim(&mut self) {
        self.metadata.managed_fields = None;
    }
}

impl Trim for NetworkPolicy {
    const AS_TEXT: bool = true;

    fn trim(&mut self) {
        self.metadata.managed_fields = None;
    }
}

impl Trim for Workspace {
    /// Of others' annotations, keeps keys where there are too many for records: as many as it takes to tell.
    fn trim(&mut self) {
        let too_many = !names::takes_records(&self.metadata);
        let keys = self.metadata.annotations.iter().flat_map(|all| all.keys());
        let enough = names::MAX_ANNOTATIONS + 1 + names::RECORDS.len();
        let keys: Vec<_> = keys.filter(|_| too_many).take(enough).cloned().collect();
        keep_own_annotations(&mut self.metadata);
        for key in keys {
            self.annotations_mut().entry(key).or_default();
        }
    }
}

impl Trim for WorkspaceTemplate {}
impl Trim for WorkspaceManager {}
impl Trim for WorkspaceExecutionProfile {}
impl Trim for WorkspaceShare {}
impl Trim for StorageClass {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{cache::observed::claims_of, testing};

    #[test]
    fn of_annotations_only_ours_and_the_default_class_are_kept() {
        let keys = [
            names::CREATED_BY,
            "example.com/notes",
            "storageclass.kubernetes.io/is-default-class",
        ];
        let mut meta = ObjectMeta {
            annotations: Some(keys.map(|key| (key.to_owned(), "x".repeat(99))).into()),
            ..ObjectMeta::default()
        };
        keep_own_annotations(&mut meta);
        let left: Vec<_> = meta.annotations.unwrap().into_keys().collect();
        assert_eq!(left, [keys[2], keys[0]]);
    }

    #[test]
    fn a_workspace_takes_records_as_before_and_keeps_no_value_of_others() {
        for others in [0, names::MAX_ANNOTATIONS, names::MAX_ANNOTATIONS + 1, 9_999] {
            let mut workspace = testkit::objects::workspace("demo");
            let annotations = workspace.annotations_mut();
            annotations.extend((0..others).map(|number| (format!("k{number}"), "x".repeat(9))));
            annotations.insert(names::CREATED_BY.to_owned(), "alice".to_owned());
            let before = names::takes_records(&workspace.metadata);
            workspace.trim();
            assert_eq!(names::takes_records(&workspace.metadata), before, "{others}");
            let left = workspace.annotations();
            assert!(left.len() <= names::MAX_ANNOTATIONS + 1 + names::RECORDS.len() + 1);
            assert_eq!(left[names::CREATED_BY], "alice");
            assert!(
                left.iter()
                    .all(|(key, value)| !key.starts_with('k') || value.is_empty())
            );
        }
    }

    #[test]
    fn of_a_pod_only_marks_and_fields_of_its_partial_type_are_kept() {
        let pod = |label: &str, env: &str, host: &str| {
            testing::partial::<Pod>(&json!({
                "metadata": {"name": "p", "labels": {names::WORKSPACE_LABEL: "w", names::RUN_ID_LABEL: "r", "a": label}},
                "spec": {"nodeName": "n", "containers": [{"name": "c", "env": [{"name": env}]}],
                    "volumes": [{"name": "v", "emptyDir": {}}, {"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]},
                "status": {"podIP": "10.0.0.1", "hostIP": host, "containerStatuses": [{
                    "name": "c", "ready": true, "restartCount": 2, "image": "i", "imageID": "x", "state": {"running": {}}}]},
            }))
        };
        let kept = pod("b", "A", "10.0.0.2");
        assert_eq!(kept, pod("c", "B", "10.0.0.3"));
        assert_eq!(kept.metadata.labels.as_ref().unwrap().len(), 2);
        assert_eq!(claims_of(kept.spec.as_ref()).collect::<Vec<_>>(), ["d"]);
    }
}
