//! Our last writes -> whether a cached object is older than our write (in memory).
//!
//! Watches lag behind. So the operator keeps the API server's answers to its writes until the caches show them, as the "expectations" of
//! Kubernetes' ReplicaSet controller do. They are cleared when leadership is lost, because another leader may have written meanwhile.
//!
//! - `statuses.rs`: our last status of each object -> the valid one while a cache lags behind

mod statuses;

use std::{collections::HashMap, sync::Arc, time::Duration};

use api::WorkspaceStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use parking_lot::Mutex;
use tokio::time::Instant;

pub(crate) use self::statuses::PendingStatuses;
use crate::cache::{observed::Identity, partial::Pod};

/// The cache usually shows a pod that we made within this time. Until then it counts as existing.
const CACHE_LAG: Duration = Duration::from_secs(5);

/// Pending statuses that are kept before they are checked against the cache.
const PRUNE_INTERVAL: usize = 64;

/// Our last writes that no cache has shown yet, by workspace: `namespace/name`.
#[derive(Debug, Default)]
pub struct PendingWrites {
    /// Pods as the API server answered. Without them, a reconcile would try to make the pod again.
    pods: Mutex<HashMap<String, Expected>>,
    /// Our last statuses. Without them, a reconcile would repeat the transition and its Event.
    statuses: Mutex<HashMap<String, (Version, WorkspaceStatus)>>,
    /// UIDs of workspaces whose finalizer was released. Without them, a reconcile would release it again and fail.
    released: Mutex<HashMap<String, String>>,
    /// Children that are gone. Without them, a reconcile would delete them again.
    deleted: Mutex<HashMap<String, Deleted>>,
}

/// A pod as the API server answered.
#[derive(Debug)]
struct Expected {
    at: Instant,
    version: Option<Version>,
    pod: Arc<Pod>,
}

/// Deleted children of the workspace with this UID, by kind and UID.
#[derive(Debug, Default)]
struct Deleted {
    workspace_uid: String,
    children: Vec<(String, String)>,
}

/// The `resourceVersion` as a number, if it is one. Within a kind it grows with time on every known API server.
pub(crate) fn version_of(meta: &ObjectMeta) -> Option<u64> {
    meta.resource_version.as_deref()?.parse().ok()
}

/// A version of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    uid: String,
    number: u64,
}

impl Version {
    /// `None` if the version is not a number: then nothing can be concluded.
    fn of(meta: &ObjectMeta) -> Option<Self> {
        Some(Self {
            uid: meta.uid.clone()?,
            number: version_of(meta)?,
        })
    }

    /// Whether this version is newer than the cached object.
    fn is_newer_than(&self, cached: &ObjectMeta) -> bool {
        Self::of(cached).is_some_and(|cached| cached.uid == self.uid && cached.number < self.number)
    }
}

impl PendingWrites {
    /// Expects the caches to show this answer to a write of the workspace's pod, or a later state.
    pub fn expect_pod(&self, workspace: &str, answer: &Arc<Pod>) {
        let expected = Expected {
            at: Instant::now(),
            version: Version::of(&answer.metadata),
            pod: answer.clone(),
        };
        self.pods.lock().insert(workspace.to_owned(), expected);
    }

    /// The pod: the cached one, or our last write if the cache does not show it yet. Then also when to look again: a pod that is not shown
    /// by then was deleted.
    pub fn newest_pod(
        &self,
        workspace: &Identity,
        cached: Option<Arc<Pod>>,
    ) -> (Option<Arc<Pod>>, Option<Duration>) {
        let gone = |pod: &Arc<Pod>| self.is_deleted(workspace, "Pod", pod.metadata.uid.as_deref());
        let cached = cached.filter(|pod| !gone(pod));
        let mut pods = self.pods.lock();
        let Some(ours) = pods.get(&workspace.key()) else {
            return (cached, None);
        };
        let number = |meta: &ObjectMeta| version_of(meta);
        let is_newer = match &cached {
            Some(cached) => number(&cached.metadata) < ours.version.as_ref().map(|version| version.number),
            // It has ended meanwhile.
            None => ours.pod.metadata.deletion_timestamp.is_none(),
        };
        let left = CACHE_LAG.checked_sub(ours.at.elapsed());
        if let Some(left) = left.filter(|left| is_newer && !left.is_zero() && !gone(&ours.pod)) {
            return (Some(ours.pod.clone()), Some(left));
        }
        pods.remove(&workspace.key());
        (cached, None)
    }

    /// Records the answer to a write of the workspace's status.
    pub fn wrote_status(&self, workspace: &str, answer: &ObjectMeta, status: WorkspaceStatus) {
        if let Some(version) = Version::of(answer) {
            self.statuses
                .lock()
                .insert(workspace.to_owned(), (version, status));
        }
    }

    /// Drops the statuses that the cache shows by now, each time some more were added. The event of our own status write triggers no
    /// reconcile in which they could be dropped.
    pub fn prune_statuses<K: Resource>(&self, cached: impl Fn(&str) -> Option<Arc<K>>) {
        let mut statuses = self.statuses.lock();
        if statuses.len() >= PRUNE_INTERVAL && statuses.len().is_multiple_of(PRUNE_INTERVAL) {
            statuses.retain(|workspace, (version, _)| {
                cached(workspace).is_some_and(|cached| version.is_newer_than(cached.meta()))
            });
        }
    }

    /// The status that we wrote, if the cached workspace does not have it yet. Once it has, the record is dropped.
    pub fn newer_status(&self, workspace: &str, cached: &ObjectMeta) -> Option<WorkspaceStatus> {
        let mut statuses = self.statuses.lock();
        let (version, status) = statuses.get(workspace)?;
        if version.is_newer_than(cached) {
            return Some(status.clone());
        }
        statuses.remove(workspace);
        None
    }

    /// The newest known version of the workspace.
    pub fn newest_version(&self, workspace: &str, cached: &ObjectMeta) -> Option<String> {
        let statuses = self.statuses.lock();
        let written = statuses.get(workspace).map(|(version, _)| version);
        match written.filter(|version| version.is_newer_than(cached)) {
            Some(version) => Some(version.number.to_string()),
            None => cached.resource_version.clone(),
        }
    }

    /// Records that the finalizer of the workspace was released.
    pub fn released(&self, workspace: &Identity) {
        self.released
            .lock()
            .insert(workspace.key(), workspace.uid.clone());
    }

    /// Whether the finalizer of the workspace was released.
    pub fn is_released(&self, workspace: &Identity) -> bool {
        self.released
            .lock()
            .get(&workspace.key())
            .is_some_and(|uid| *uid == workspace.uid)
    }

    /// Records that the API server reported a child as gone.
    pub fn deleted(&self, workspace: &Identity, kind: &str, uid: &str) {
        let mut all = self.deleted.lock();
        let deleted = all.entry(workspace.key()).or_default();
        if deleted.workspace_uid != workspace.uid {
            *deleted = Deleted {
                workspace_uid: workspace.uid.clone(),
                children: Vec::new(),
            };
        }
        let child = (kind.to_owned(), uid.to_owned());
        deleted.children.retain(|(of, _)| of != kind);
        deleted.children.push(child);
    }

    /// Whether the API server reported that the child of this kind with this UID is gone; `None`: any child of this kind.
    pub fn is_deleted(&self, workspace: &Identity, kind: &str, uid: Option<&str>) -> bool {
        let all = self.deleted.lock();
        let deleted = all.get(&workspace.key());
        deleted
            .filter(|deleted| deleted.workspace_uid == workspace.uid)
            .is_some_and(|deleted| {
                let mut children = deleted.children.iter();
                children.any(|(of, gone)| of == kind && uid.is_none_or(|uid| uid == gone))
            })
    }

    /// Drops everything: while another replica led, nothing of it stayed certain.
    pub fn clear(&self) {
        self.pods.lock().clear();
        self.statuses.lock().clear();
        self.released.lock().clear();
        self.deleted.lock().clear();
    }

    /// Drops the state of a workspace that is gone.
    pub fn forget(&self, workspace: &str) {
        self.pods.lock().remove(workspace);
        self.statuses.lock().remove(workspace);
        self.released.lock().remove(workspace);
        self.deleted.lock().remove(workspace);
    }
}

#[cfg(test)]
mod tests;
