//! A watched object -> the same without what no reconcile reads (pure).
//!
//! This keeps caches small: the operator holds every workspace of the cluster. It also makes irrelevant changes invisible, so that they
//! trigger no reconcile. Code that needs another field must make the function of that kind keep it.

use std::fmt::Debug;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate, names};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, ReplicaSet, ReplicaSetStatus},
        core::v1::{
            Container, ContainerStatus, PersistentVolumeClaim, Pod, PodSpec, PodStatus, Probe,
            ResourceRequirements, Service, ServiceAccount, ServiceSpec, Volume,
        },
        networking::v1::NetworkPolicy,
        storage::v1::StorageClass,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use kube::Resource;
use serde::{Serialize, de::DeserializeOwned};

use crate::cache::{field_managers, observed::replica_set_is_empty};

/// Prefix of the annotations that mark the default storage class.
const CLASS_PREFIX: &str = "storageclass.";

/// A kind, and what is kept of it.
pub trait Trim: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned {
    /// Drops what no reconcile reads: of kinds that users write, `managedFields`, and annotations that are not ours. They may take 256
    /// KiB per object.
    fn trim(&mut self) {
        keep_own_annotations(self.meta_mut());
    }

    /// Drops values that reconciles read, but whose change alone must not trigger one.
    fn drop_steps(&mut self) {}

    /// The spec of the pod that this is or makes.
    fn pod_spec(&self) -> Option<&PodSpec> {
        None
    }
}

fn keep_own_annotations(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.retain(|key, _| key.starts_with(names::RESERVED_PREFIX) || key.starts_with(CLASS_PREFIX));
    }
}

/// Drops labels, annotations and owners, except those that say which workspace and run the object belongs to. The Deployment copies
/// labels and annotations to its ReplicaSets and pods.
fn keep_mark(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    meta.generate_name = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.retain(|key, _| key == names::WORKSPACE_UID);
    }
    if let Some(labels) = &mut meta.labels {
        labels.retain(|key, _| [names::WORKSPACE_LABEL, names::RUN_ID_LABEL].contains(&key.as_str()));
    }
    if let Some(owners) = &mut meta.owner_references {
        owners.retain(|owner| owner.controller == Some(true));
        for owner in owners {
            owner.api_version = String::new();
            owner.kind = String::new();
            owner.name = String::new();
        }
    }
}

fn names_of(containers: Vec<Container>) -> Vec<Container> {
    let name = |container: Container| Container {
        name: container.name,
        ..Container::default()
    };
    containers.into_iter().map(name).collect()
}

/// Keeps what messages name of a container, and its ports.
fn partial_containers(containers: Vec<Container>) -> Vec<Container> {
    let partial = |container: Container| Container {
        name: container.name,
        image: container.image,
        ports: container.ports,
        // Messages distinguish the probe of the application's port from other readiness probes.
        readiness_probe: container.readiness_probe.map(|probe| Probe {
            tcp_socket: probe.tcp_socket,
            ..Probe::default()
        }),
        resources: container.resources.map(|resources| ResourceRequirements {
            limits: resources.limits,
            ..ResourceRequirements::default()
        }),
        restart_policy: container.restart_policy,
        ..Container::default()
    };
    containers.into_iter().map(partial).collect()
}

/// Keeps the volumes that are claims: they show which pod uses a disk.
fn claims_of(volumes: Vec<Volume>) -> Vec<Volume> {
    let of_claims = volumes
        .into_iter()
        .filter(|volume| volume.persistent_volume_claim.is_some());
    let claim = |volume: Volume| Volume {
        name: volume.name,
        persistent_volume_claim: volume.persistent_volume_claim,
        ..Volume::default()
    };
    of_claims.map(claim).collect()
}

/// Keeps the container states that the kubelet reports, without values that repeat the spec.
fn states_of(containers: Vec<ContainerStatus>) -> Vec<ContainerStatus> {
    let state = |container: ContainerStatus| ContainerStatus {
        name: container.name,
        ready: container.ready,
        started: container.started,
        restart_count: container.restart_count,
        state: container.state,
        last_state: container.last_state,
        ..ContainerStatus::default()
    };
    containers.into_iter().map(state).collect()
}

impl Trim for Deployment {
    /// Of the pod template, keeps only labels, the service account, claims and the names of containers: its inputs are recorded in an
    /// annotation. Of `managedFields`, keeps only entries of other managers of the template or of the number of replicas.
    fn trim(&mut self) {
        field_managers::keep_others(&mut self.metadata);
        if let Some(annotations) = &mut self.metadata.annotations {
            annotations.retain(|key, _| key.starts_with(names::RESERVED_PREFIX));
        }
        if let Some(spec) = &mut self.spec {
            spec.selector = LabelSelector::default();
            if let Some(meta) = &mut spec.template.metadata {
                meta.annotations = None;
                keep_mark(meta);
            }
        }
        if let Some(template) = self.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()) {
            *template = PodSpec {
                containers: names_of(std::mem::take(&mut template.containers)),
                init_containers: template.init_containers.take().map(names_of),
                service_account_name: template.service_account_name.take(),
                volumes: template.volumes.take().map(claims_of),
                ..PodSpec::default()
            };
        }
        if let Some(status) = &mut self.status {
            status.available_replicas = None;
            status.ready_replicas = None;
            status.replicas = None;
            status.unavailable_replicas = None;
            status.updated_replicas = None;
            // Other conditions change at every step of a rollout, and tell no more than the pod.
            if let Some(conditions) = &mut status.conditions {
                conditions.retain(|condition| condition.type_ == "ReplicaFailure");
            }
            status.conditions = status
                .conditions
                .take()
                .filter(|conditions| !conditions.is_empty());
        }
    }

    /// Drops `observedGeneration` of a Deployment that should have a pod. It is read when the workspace is deleted. Before that, only
    /// ReplicaSets and pods matter.
    fn drop_steps(&mut self) {
        let to_end = self.spec.as_ref().is_some_and(|spec| spec.replicas == Some(0));
        if let Some(status) = self.status.as_mut().filter(|_| !to_end) {
            status.observed_generation = None;
        }
    }

    fn pod_spec(&self) -> Option<&PodSpec> {
        self.spec.as_ref()?.template.spec.as_ref()
    }
}

impl Trim for ReplicaSet {
    /// Keeps only whether it has no pod and makes none. It reaches that state in several steps, which tell nothing more.
    fn trim(&mut self) {
        let is_empty = replica_set_is_empty(self);
        keep_mark(&mut self.metadata);
        self.metadata.generation = None;
        if let Some(spec) = &mut self.spec {
            spec.template = None;
            spec.selector = LabelSelector::default();
            // Absent means that it should have a pod.
            spec.replicas = is_empty.then_some(0);
        }
        let conditions = self.status.take().and_then(|status| status.conditions);
        self.status = conditions.map(|conditions| ReplicaSetStatus {
            conditions: Some(conditions),
            ..ReplicaSetStatus::default()
        });
    }
}

impl Trim for Pod {
    /// Of the spec, keeps what messages name. Of the status, keeps everything that shows problems.
    fn trim(&mut self) {
        keep_mark(&mut self.metadata);
        self.spec = self.spec.take().map(|spec| PodSpec {
            node_name: spec.node_name,
            volumes: spec.volumes.map(claims_of),
            init_containers: spec.init_containers.map(partial_containers),
            containers: partial_containers(spec.containers),
            ..PodSpec::default()
        });
        self.status = self.status.take().map(|status| PodStatus {
            phase: status.phase,
            reason: status.reason,
            message: status.message,
            conditions: status.conditions,
            pod_ip: status.pod_ip,
            nominated_node_name: status.nominated_node_name,
            start_time: status.start_time,
            init_container_statuses: status.init_container_statuses.map(states_of),
            container_statuses: status.container_statuses.map(states_of),
            ..PodStatus::default()
        });
    }

    fn pod_spec(&self) -> Option<&PodSpec> {
        self.spec.as_ref()
    }
}

impl Trim for Service {
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
    fn trim(&mut self) {
        self.metadata.managed_fields = None;
        self.secrets = None;
        self.image_pull_secrets = None;
    }
}

impl Trim for PersistentVolumeClaim {
    fn trim(&mut self) {
        self.metadata.managed_fields = None;
    }
}

impl Trim for NetworkPolicy {
    fn trim(&mut self) {
        self.metadata.managed_fields = None;
    }
}

impl Trim for Workspace {}
impl Trim for WorkspaceTemplate {}
impl Trim for WorkspaceManager {}
impl Trim for WorkspaceExecutionProfile {}
impl Trim for WorkspaceShare {}
impl Trim for StorageClass {}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn of_a_replica_set_only_whether_it_is_empty_is_kept() {
        let set = |wanted: i32, generation: i64, observed: i64, replicas: i32| -> ReplicaSet {
            let mut set = serde_json::from_value(serde_json::json!({
                "metadata": {"name": "s", "generation": generation},
                "spec": {"replicas": wanted, "selector": {}},
                "status": {"replicas": replicas, "observedGeneration": observed, "readyReplicas": replicas},
            }))
            .unwrap();
            ReplicaSet::trim(&mut set);
            set
        };
        let (running, empty) = (set(1, 1, 1, 1), set(0, 2, 2, 0));
        for scaling in [set(1, 1, 0, 0), set(0, 2, 1, 1), set(0, 2, 2, 1), set(0, 2, 1, 0)] {
            assert_eq!(scaling, running);
        }
        assert!(replica_set_is_empty(&empty) && !replica_set_is_empty(&running));
        let mut again = empty.clone();
        again.trim();
        assert_eq!(again, empty);
    }

    #[test]
    fn of_a_pod_what_messages_name_and_the_states_of_its_containers_are_kept() {
        let mut pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p", "labels": {names::WORKSPACE_LABEL: "w", names::RUN_ID_LABEL: "r", "a": "b"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "s", "uid": "u", "controller": true}]},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i", "env": [{"name": "A"}],
                "resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}},
                "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1}}],
                "volumes": [{"name": "v", "emptyDir": {}}, {"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "hostIP": "10.0.0.2", "containerStatuses": [{
                "name": "c", "ready": true, "restartCount": 2, "image": "i", "imageID": "x", "containerID": "y",
                "resources": {"limits": {"memory": "1Gi"}}, "state": {"running": {}}}]},
        }))
        .unwrap();
        pod.trim();
        assert_eq!(
            serde_json::to_value(&pod).unwrap(),
            serde_json::json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "p", "labels": {names::WORKSPACE_LABEL: "w", names::RUN_ID_LABEL: "r"},
                    "ownerReferences": [{"apiVersion": "", "kind": "", "name": "", "uid": "u", "controller": true}]},
                "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i",
                    "resources": {"limits": {"memory": "1Gi"}}, "readinessProbe": {"tcpSocket": {"port": "http"}}}],
                    "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]},
                "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{
                    "name": "c", "ready": true, "restartCount": 2, "image": "", "imageID": "", "state": {"running": {}}}]},
            })
        );
    }
}
