//! The rest of the cluster, in small steps: scheduler, kubelet, garbage collector.
//!
//! It records the claims that each pod mounted.

use std::collections::{BTreeMap, BTreeSet};

use api::{Workspace, names};
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Pod, Service},
    networking::v1::NetworkPolicy,
};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use testkit::{
    api_server::ApiServer,
    objects::{self, NAMESPACE},
};

const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// The rest of the cluster.
#[derive(Default)]
pub(crate) struct Cluster {
    /// Owner of each workspace there ever was, by UID.
    pub(crate) owners: BTreeMap<String, String>,
    /// Owners whose pods mounted a disk, by the disk's UID.
    pub(crate) files_of: BTreeMap<String, BTreeSet<String>>,
}

fn is_terminating<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some()
}

/// Pods that are there and have not ended.
pub(crate) fn live(server: &ApiServer) -> Vec<Pod> {
    server.all()
}

impl Cluster {
    /// The scheduler gives new pods a node.
    pub(crate) fn schedule(server: &ApiServer) {
        for pod in live(server) {
            if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_none()) {
                let mut pod = objects::stored(pod);
                pod.spec.as_mut().unwrap().node_name = Some("n".to_owned());
                server.put(&pod);
            }
        }
    }

    /// Somebody deletes each pod.
    pub(crate) fn evict(server: &ApiServer) {
        for pod in live(server) {
            server.edit::<Pod>(Some(NAMESPACE), &pod.name_any(), |object| {
                object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            });
        }
    }

    /// The kubelet starts what can start.
    pub(crate) fn start_pods(&mut self, server: &ApiServer) {
        for pod in live(server) {
            let pending = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Pending");
            let is_bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
            if !pending || !is_bound || is_terminating(&pod) || !self.mount(server, &pod) {
                continue;
            }
            server.put(&objects::ready(pod, "10.0.0.9"));
        }
    }

    /// Pods that were reported to end have ended.
    pub(crate) fn end_pods(server: &ApiServer) {
        for pod in live(server).into_iter().filter(is_terminating) {
            server.remove::<Pod>(Some(NAMESPACE), &pod.name_any());
        }
    }

    /// Whether every claim of a pod is there; whose files it sees is noted.
    fn mount(&mut self, server: &ApiServer, pod: &Pod) -> bool {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let names: Vec<_> = volumes
            .filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.clone()))
            .collect();
        for name in names {
            let Some(claim) = server.get::<PersistentVolumeClaim>(Some(NAMESPACE), &name) else {
                return false;
            };
            if is_terminating(&claim) {
                return false;
            }
            let workspace = pod
                .annotations()
                .get(names::WORKSPACE_UID)
                .cloned()
                .unwrap_or_default();
            let owner = self.owners.get(&workspace).cloned().unwrap_or(workspace);
            let seen = self.files_of.entry(claim.uid().unwrap_or_default()).or_default();
            seen.insert(owner);
            server.edit::<PersistentVolumeClaim>(Some(NAMESPACE), &name, |object| {
                object["status"]["phase"] = json!("Bound");
                object["spec"]["storageClassName"] = json!("standard");
            });
        }
        true
    }

    /// The garbage collector and the protection of claims check everything once.
    pub(crate) fn garbage(server: &ApiServer) {
        let uids: BTreeSet<String> = uids::<Workspace>(server).into_iter().collect();
        let used: BTreeSet<String> = live(server)
            .iter()
            .flat_map(|pod| {
                pod.spec
                    .iter()
                    .flat_map(|spec| spec.volumes.clone().unwrap_or_default())
            })
            .filter_map(|volume| Some(volume.persistent_volume_claim?.claim_name))
            .collect();
        for claim in server.all::<PersistentVolumeClaim>() {
            let name = claim.name_any();
            let unused = !used.contains(&name);
            server.edit::<PersistentVolumeClaim>(Some(NAMESPACE), &name, |object| {
                object["metadata"]["finalizers"] = json!([PROTECTION]);
                if is_orphan(&claim, &uids) && object["metadata"]["deletionTimestamp"].is_null() {
                    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                }
            });
            let terminating = server
                .get::<PersistentVolumeClaim>(Some(NAMESPACE), &name)
                .is_some_and(|claim| is_terminating(&claim));
            if terminating && unused {
                server.remove::<PersistentVolumeClaim>(Some(NAMESPACE), &name);
            }
        }
        drop_orphans::<Service>(server, &uids);
        drop_orphans::<NetworkPolicy>(server, &uids);
        for pod in live(server).iter().filter(|pod| is_orphan(*pod, &uids)) {
            server.edit::<Pod>(Some(NAMESPACE), &pod.name_any(), |object| {
                object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            });
        }
    }
}

fn uids<K>(server: &ApiServer) -> Vec<String>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    server.all::<K>().iter().filter_map(ResourceExt::uid).collect()
}

fn is_orphan<K: Resource>(object: &K, uids: &BTreeSet<String>) -> bool {
    let owners = object.owner_references();
    !owners.is_empty() && owners.iter().all(|owner| !uids.contains(&owner.uid))
}

fn drop_orphans<K>(server: &ApiServer, uids: &BTreeSet<String>)
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    for object in server.all::<K>() {
        if is_orphan(&object, uids) || is_terminating(&object) {
            server.remove::<K>(Some(NAMESPACE), &object.name_any());
        }
    }
}
