//! The rest of the cluster, in small steps: controllers of Deployments and replica sets, kubelet, garbage collector.
//!
//! It records the claims that each pod mounted.

use std::collections::{BTreeMap, BTreeSet};

use api::{Workspace, names};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
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

use crate::stage::run_id;

const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// The rest of the cluster.
#[derive(Default)]
pub(crate) struct Cluster {
    pods_made: usize,
    /// Owner of each workspace there ever was, by UID.
    pub(crate) owners: BTreeMap<String, String>,
    /// Owners whose pods mounted a disk, by the disk's UID.
    pub(crate) files_of: BTreeMap<String, BTreeSet<String>>,
}

fn controller<K: Resource>(object: &K) -> Option<String> {
    let mut owners = object.owner_references().iter();
    owners
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.clone())
}

fn is_terminating<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some()
}

/// Pods that are there and have not ended.
pub(crate) fn live(server: &ApiServer) -> Vec<Pod> {
    server.all()
}

impl Cluster {
    /// The Deployment controller reconciles every Deployment once: `Recreate`, as Kubernetes does it.
    pub(crate) fn deployments(server: &ApiServer) {
        for deployment in server.all::<Deployment>() {
            let name = deployment.name_any();
            server.edit::<Deployment>(Some(NAMESPACE), &name, |object| {
                object["status"]["observedGeneration"] = object["metadata"]["generation"].clone();
            });
            if is_terminating(&deployment) {
                continue;
            }
            let wanted = deployment
                .spec
                .as_ref()
                .and_then(|spec| spec.replicas)
                .unwrap_or(1);
            let (current, old): (Vec<ReplicaSet>, Vec<ReplicaSet>) = server
                .all::<ReplicaSet>()
                .into_iter()
                .filter(|set| controller(set) == deployment.uid())
                .partition(|set| set.labels().get(names::RUN_ID_LABEL) == Some(&run_id(&deployment)));
            for set in &old {
                resize(server, set, 0);
            }
            let old: BTreeSet<_> = old.iter().filter_map(ResourceExt::uid).collect();
            let old_pods = live(server)
                .iter()
                .any(|pod| controller(pod).is_some_and(|uid| old.contains(&uid)));
            match current.first() {
                Some(set) if wanted == 0 || !old_pods => resize(server, set, wanted),
                None if wanted > 0 && !old_pods => {
                    let mut set = objects::replica_set_of(&deployment);
                    let run = run_id(&deployment);
                    set.metadata.name = Some(format!("{name}-{run}"));
                    set.metadata.uid = Some(format!("set-of-{run}"));
                    if let Some(status) = &mut set.status {
                        status.observed_generation = Some(0);
                    }
                    server.put(&set);
                }
                _ => {}
            }
        }
    }

    /// The replica set controller reconciles every set once.
    pub(crate) fn replica_sets(&mut self, server: &ApiServer) {
        for set in server.all::<ReplicaSet>() {
            let mut active: Vec<Pod> = live(server)
                .into_iter()
                .filter(|pod| controller(pod) == set.uid() && !is_terminating(pod))
                .collect();
            let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            let wanted = usize::try_from(if is_terminating(&set) { 0 } else { wanted }).unwrap_or(0);
            while active.len() > wanted {
                let pod = active.remove(0);
                server.edit::<Pod>(Some(NAMESPACE), &pod.name_any(), |object| {
                    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                });
            }
            while active.len() < wanted {
                self.pods_made += 1;
                let mut pod = objects::pod_of(&set);
                pod.metadata.name = Some(format!("pod-{}", self.pods_made));
                pod.metadata.uid = Some(format!("uid-of-pod-{}", self.pods_made));
                server.put(&pod);
                active.push(pod);
            }
            server.edit::<ReplicaSet>(Some(NAMESPACE), &set.name_any(), |object| {
                object["status"]["observedGeneration"] = object["metadata"]["generation"].clone();
                object["status"]["replicas"] = json!(active.len());
            });
        }
    }

    /// The kubelet starts what can start.
    pub(crate) fn start_pods(&mut self, server: &ApiServer) {
        for pod in live(server) {
            let pending = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Pending");
            if !pending || is_terminating(&pod) || !self.mount(server, &pod) {
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
        let uids: BTreeSet<String> = [
            uids::<Workspace>(server),
            uids::<Deployment>(server),
            uids::<ReplicaSet>(server),
        ]
        .concat()
        .into_iter()
        .collect();
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
        let makers: BTreeSet<_> = live(server).iter().filter_map(controller).collect();
        for set in server.all::<ReplicaSet>() {
            let parent_leaves = server
                .all::<Deployment>()
                .iter()
                .any(|it| is_terminating(it) && it.uid() == controller(&set));
            if parent_leaves || is_orphan(&set, &uids) {
                server.edit::<ReplicaSet>(Some(NAMESPACE), &set.name_any(), |object| {
                    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                });
            }
            let gone = parent_leaves || is_terminating(&set);
            if gone && !set.uid().is_some_and(|uid| makers.contains(&uid)) {
                server.remove::<ReplicaSet>(Some(NAMESPACE), &set.name_any());
            }
        }
        let parents: BTreeSet<_> = server.all::<ReplicaSet>().iter().filter_map(controller).collect();
        for deployment in server.all::<Deployment>() {
            let childless = !deployment.uid().is_some_and(|uid| parents.contains(&uid));
            if (is_terminating(&deployment) && childless) || is_orphan(&deployment, &uids) {
                server.remove::<Deployment>(Some(NAMESPACE), &deployment.name_any());
            }
        }
    }
}

fn resize(server: &ApiServer, set: &ReplicaSet, replicas: i32) {
    if set.spec.as_ref().and_then(|spec| spec.replicas) == Some(replicas) {
        return;
    }
    server.edit::<ReplicaSet>(Some(NAMESPACE), &set.name_any(), |object| {
        object["spec"]["replicas"] = json!(replicas);
        object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
    });
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
