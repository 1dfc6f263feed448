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
use crate::cache::{observed::Identity, partial::Deployment};

/// The cache usually shows a Deployment that we wrote within this time. Until then it counts as existing.
const CACHE_LAG: Duration = Duration::from_secs(5);

/// Pending statuses that are kept before they are checked against the cache.
const PRUNE_INTERVAL: usize = 64;

/// Our last writes that no cache has shown yet, and confirmed facts, by workspace: `namespace/name`.
#[derive(Debug, Default)]
pub struct PendingWrites {
    /// Deployments as the API server answered. Without them, a reconcile would see the run of before, and write it again.
    deployments: Mutex<HashMap<String, Expected>>,
    /// Deployments that want no pod. Without them, each start and each stop would read what the last one has read.
    scaled_down: Mutex<HashMap<String, ScaledDown>>,
    /// Our last statuses. Without them, a reconcile would repeat the transition and its Event.
    statuses: Mutex<HashMap<String, (Version, WorkspaceStatus)>>,
    /// UIDs of workspaces whose finalizer was released. Without them, a reconcile would release it again and fail.
    released: Mutex<HashMap<String, String>>,
    /// Children that are gone. Without them, a reconcile would delete them again.
    deleted: Mutex<HashMap<String, Deleted>>,
}

/// A Deployment as the API server answered. When many workspaces start at a time, each one is kept until its pod exists.
#[derive(Debug)]
struct Expected {
    at: Instant,
    version: Option<Version>,
    deployment: Arc<Deployment>,
}

/// A Deployment that wants no pod.
#[derive(Debug)]
struct ScaledDown {
    generation: Generation,
    /// Whether it was confirmed that no pod exists and none can be made. Else only our scale to 0 was answered.
    is_confirmed: bool,
}

/// Deleted children of the workspace with this UID, by kind and UID.
#[derive(Debug, Default)]
struct Deleted {
    workspace_uid: String,
    children: Vec<(String, String)>,
}

/// A Deployment and the state of its spec: UID and generation; `None` for no Deployment.
type Generation = Option<(String, i64)>;

/// A cached Deployment compared with our last write to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// The cache is up to date.
    Fulfilled,
    /// The cache shows an earlier state than this, which we wrote.
    Newer(Arc<Deployment>),
    /// The cache shows none, but we wrote this a moment ago. If it is not shown after this time, it was deleted.
    Pending(Arc<Deployment>, Duration),
    /// We wrote one, and the cache has shown none for a while: it is late, or the Deployment was deleted.
    Expired,
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
    /// Expects the caches to show this answer to a write or read of the workspace's Deployment, or a later state.
    pub fn expect_deployment(&self, workspace: &str, answer: Option<&Arc<Deployment>>) {
        let expected = answer.map(|answer| Expected {
            at: Instant::now(),
            version: Version::of(&answer.metadata),
            deployment: answer.clone(),
        });
        let mut deployments = self.deployments.lock();
        match expected {
            Some(expected) => deployments.insert(workspace.to_owned(), expected),
            None => deployments.remove(workspace),
        };
    }

    /// The expected state of the Deployment, compared with the cached one. Once the cache has caught up, the expectation is dropped.
    pub fn deployment(&self, workspace: &str, cached: Option<&Deployment>) -> Expectation {
        let mut deployments = self.deployments.lock();
        let Some(ours) = deployments.get(workspace) else {
            return Expectation::Fulfilled;
        };
        let Some(cached) = cached else {
            let left = CACHE_LAG
                .checked_sub(ours.at.elapsed())
                .filter(|left| !left.is_zero());
            return left.map_or(Expectation::Expired, |left| {
                Expectation::Pending(ours.deployment.clone(), left)
            });
        };
        if ours
            .version
            .as_ref()
            .is_some_and(|version| version.is_newer_than(&cached.metadata))
        {
            return Expectation::Newer(ours.deployment.clone());
        }
        deployments.remove(workspace);
        Expectation::Fulfilled
    }

    /// Expects a first Deployment, which may make a pod before a cache shows it. That no pod exists is no longer confirmed.
    pub fn expect_creation(&self, workspace: &str) {
        self.scaled_down.lock().remove(workspace);
    }

    /// Records that we scaled this Deployment to 0, with the generation after that write.
    pub fn wrote_scale_down(&self, workspace: &str, answer: &Deployment) {
        let mut all = self.scaled_down.lock();
        let generation = generation(Some(answer));
        if all
            .get(workspace)
            .is_none_or(|known| known.generation != generation)
        {
            let scaled_down = ScaledDown {
                generation,
                is_confirmed: false,
            };
            all.insert(workspace.to_owned(), scaled_down);
        }
    }

    /// Whether the Deployment exists and still has the generation in which it wanted no pod. Then it needs no read.
    pub fn is_unchanged(&self, workspace: &str, deployment: Option<&Deployment>) -> bool {
        let now = generation(deployment);
        let all = self.scaled_down.lock();
        now.is_some() && all.get(workspace).is_some_and(|known| known.generation == now)
    }

    /// Records that, with this Deployment, no pod exists and none can be made.
    pub fn confirm_scaled_down(&self, workspace: &str, deployment: Option<&Deployment>) {
        let scaled_down = ScaledDown {
            generation: generation(deployment),
            is_confirmed: true,
        };
        self.scaled_down.lock().insert(workspace.to_owned(), scaled_down);
    }

    /// Whether it was confirmed that no pod exists and none can be made, and the Deployment has not changed since. Without a new generation
    /// it makes no pod. After any change the confirmation is dropped for good: a Deployment that was made and deleted may have left a pod.
    pub fn is_confirmed(&self, workspace: &str, deployment: Option<&Deployment>) -> bool {
        let mut all = self.scaled_down.lock();
        let Some(known) = all.get(workspace) else {
            return false;
        };
        if known.generation != generation(deployment) {
            all.remove(workspace);
            return false;
        }
        known.is_confirmed
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
        if !deleted.children.contains(&child) {
            deleted.children.push(child);
        }
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
        self.deployments.lock().clear();
        self.scaled_down.lock().clear();
        self.statuses.lock().clear();
        self.released.lock().clear();
        self.deleted.lock().clear();
    }

    /// Drops the state of a workspace that is gone.
    pub fn forget(&self, workspace: &str) {
        self.deployments.lock().remove(workspace);
        self.scaled_down.lock().remove(workspace);
        self.statuses.lock().remove(workspace);
        self.released.lock().remove(workspace);
        self.deleted.lock().remove(workspace);
    }
}

fn generation(deployment: Option<&Deployment>) -> Generation {
    let meta = &deployment?.metadata;
    Some((meta.uid.clone()?, meta.generation?))
}

#[cfg(test)]
mod tests;
