//! Our last writes -> whether a cached object is older than our write (in memory).
//!
//! Watches lag behind. Without this, a reconcile soon after a write would see the earlier state, and repeat the write or the Event.

mod statuses;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::WorkspaceStatus;
use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Resource;
use tokio::time::Instant;

pub(crate) use self::statuses::PendingStatuses;
use crate::cache::{
    observed::Identity,
    stores::{
        Packed,
        trim::{Trim as _, drop_bookkeeping},
    },
};

/// The cache usually shows a Deployment that we wrote within this time. Until then it counts as existing.
const SOON: Duration = Duration::from_secs(5);

/// Pending statuses that are kept before they are checked against the cache.
const SOME: usize = 64;

/// Our last writes that no cache has shown yet, and confirmed facts, by workspace: `namespace/name`.
#[derive(Debug, Default)]
pub struct PendingWrites {
    deployments: Mutex<HashMap<String, Written>>,
    statuses: Mutex<HashMap<String, (Version, WorkspaceStatus)>>,
    /// For which state of the Deployment it was confirmed that no pod exists and none can be made.
    quiet: Mutex<HashMap<String, Generation>>,
    ended: Mutex<HashMap<String, Generation>>,
    released: Mutex<HashMap<String, String>>,
    removed: Mutex<HashMap<String, Removed>>,
}

/// A Deployment as the API server answered. When many workspaces start at a time, each one is kept until its pod exists.
#[derive(Debug)]
struct Written {
    at: Instant,
    version: Option<Version>,
    deployment: Packed<Deployment>,
}

/// Deleted children of the workspace with this UID, by kind and UID.
#[derive(Debug, Default)]
struct Removed {
    workspace_uid: String,
    children: Vec<(String, String)>,
}

/// A Deployment and the state of its spec: UID and generation; `None` for no Deployment.
type Generation = Option<(String, i64)>;

/// A cached Deployment compared with our last write to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Recalled {
    /// The cache is up to date.
    Nothing,
    /// The cache shows an earlier state than this, which we wrote.
    Newer(Arc<Deployment>),
    /// The cache shows none, but we wrote this a moment ago. If it is not shown after this time, it was deleted.
    Expected(Arc<Deployment>, Duration),
    /// We wrote one, and the cache has shown none for a while: it is late, or the Deployment was deleted.
    Unseen,
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
    /// Records the answer to a write or read of the workspace's Deployment.
    pub fn saw_deployment(&self, workspace: &str, answer: Option<&Arc<Deployment>>) {
        let written = answer.and_then(|answer| {
            let mut kept = Deployment::clone(answer);
            // A Deployment from a cache is trimmed already.
            if kept.metadata.managed_fields.is_some() {
                kept.trim();
                drop_bookkeeping(&mut kept.metadata);
            }
            let (at, version) = (Instant::now(), Version::of(&kept.metadata));
            let kept = Packed::of(kept);
            let kept = kept.inspect_err(|error| tracing::error!(%error, "a Deployment cannot be remembered"));
            kept.ok().map(|deployment| Written {
                at,
                version,
                deployment,
            })
        });
        let mut deployments = lock(&self.deployments);
        match written {
            Some(written) => deployments.insert(workspace.to_owned(), written),
            None => deployments.remove(workspace),
        };
    }

    /// The recorded state of the Deployment, compared with the cached one. Once the cache has caught up, the record is dropped.
    pub fn deployment(&self, workspace: &str, cached: Option<&Deployment>) -> Recalled {
        let mut deployments = lock(&self.deployments);
        let Some(ours) = deployments.get(workspace) else {
            return Recalled::Nothing;
        };
        let Some(cached) = cached else {
            let left = SOON.checked_sub(ours.at.elapsed()).filter(|left| !left.is_zero());
            let ours = left.and_then(|left| Some((ours.deployment.open()?, left)));
            return ours.map_or(Recalled::Unseen, |(ours, left)| Recalled::Expected(ours, left));
        };
        if ours
            .version
            .as_ref()
            .is_some_and(|version| version.is_newer_than(&cached.metadata))
        {
            return ours.deployment.open().map_or(Recalled::Unseen, Recalled::Newer);
        }
        deployments.remove(workspace);
        Recalled::Nothing
    }

    /// Records that, with this Deployment, no pod exists and none can be made.
    pub fn is_quiet(&self, workspace: &str, deployment: Option<&Deployment>) {
        lock(&self.quiet).insert(workspace.to_owned(), generation(deployment));
    }

    /// Whether it was confirmed that no pod exists and none can be made, and the Deployment has not changed since. Without a new generation
    /// it makes no pod. After any change the confirmation is dropped for good: a Deployment that was made and deleted may have left a pod.
    pub fn was_quiet(&self, workspace: &str, deployment: Option<&Deployment>) -> bool {
        let mut quiet = lock(&self.quiet);
        let was_quiet = quiet.get(workspace) == Some(&generation(deployment));
        if !was_quiet {
            quiet.remove(workspace);
        }
        was_quiet
    }

    /// Drops that confirmation: a Deployment is about to be written, and may make a pod before a cache shows it.
    pub fn begins(&self, workspace: &str) {
        lock(&self.quiet).remove(workspace);
    }

    /// Records that we scaled this Deployment to 0, with the generation after that write.
    pub fn ended(&self, workspace: &str, answer: &Deployment) {
        lock(&self.ended).insert(workspace.to_owned(), generation(Some(answer)));
    }

    /// Whether the Deployment still has the generation of our scale to 0.
    pub fn has_ended(&self, workspace: &str, deployment: Option<&Deployment>) -> bool {
        let now = generation(deployment);
        now.is_some() && lock(&self.ended).get(workspace) == Some(&now)
    }

    /// Records the answer to a write of the workspace's status.
    pub fn wrote_status(&self, workspace: &str, answer: &ObjectMeta, status: WorkspaceStatus) {
        if let Some(version) = Version::of(answer) {
            lock(&self.statuses).insert(workspace.to_owned(), (version, status));
        }
    }

    /// Drops the statuses that the cache shows by now, each time some more were added. The event of our own status write triggers no
    /// reconcile in which they could be dropped.
    pub fn shed<K: Resource>(&self, cached: impl Fn(&str) -> Option<Arc<K>>) {
        let mut statuses = lock(&self.statuses);
        if statuses.len() >= SOME && statuses.len().is_multiple_of(SOME) {
            statuses.retain(|workspace, (version, _)| {
                cached(workspace).is_some_and(|cached| version.is_newer_than(cached.meta()))
            });
        }
    }

    /// The status that we wrote, if the cached workspace does not have it yet. Once it has, the record is dropped.
    pub fn newer_status(&self, workspace: &str, cached: &ObjectMeta) -> Option<WorkspaceStatus> {
        let mut statuses = lock(&self.statuses);
        let (version, status) = statuses.get(workspace)?;
        if version.is_newer_than(cached) {
            return Some(status.clone());
        }
        statuses.remove(workspace);
        None
    }

    /// The newest known version of the workspace.
    pub fn newest_version(&self, workspace: &str, cached: &ObjectMeta) -> Option<String> {
        let statuses = lock(&self.statuses);
        let written = statuses.get(workspace).map(|(version, _)| version);
        match written.filter(|version| version.is_newer_than(cached)) {
            Some(version) => Some(version.number.to_string()),
            None => cached.resource_version.clone(),
        }
    }

    /// Records that the finalizer of the workspace with this UID was released. The caches may show it a little longer.
    pub fn let_go(&self, workspace: &str, uid: &str) {
        lock(&self.released).insert(workspace.to_owned(), uid.to_owned());
    }

    /// Whether the finalizer of the workspace with this UID was released.
    pub fn has_let_go(&self, workspace: &str, uid: &str) -> bool {
        lock(&self.released)
            .get(workspace)
            .is_some_and(|released| released == uid)
    }

    /// Records that the API server reported a child as gone. The caches may show it a little longer.
    pub fn removed(&self, workspace: &Identity, kind: &str, uid: &str) {
        let mut all = lock(&self.removed);
        let removed = all.entry(workspace.key()).or_default();
        if removed.workspace_uid != workspace.uid {
            *removed = Removed {
                workspace_uid: workspace.uid.clone(),
                children: Vec::new(),
            };
        }
        let child = (kind.to_owned(), uid.to_owned());
        if !removed.children.contains(&child) {
            removed.children.push(child);
        }
    }

    /// Whether the API server reported that the child of this kind with this UID is gone; `None`: any child of this kind.
    pub fn has_removed(&self, workspace: &Identity, kind: &str, uid: Option<&str>) -> bool {
        let all = lock(&self.removed);
        let removed = all.get(&workspace.key());
        removed
            .filter(|removed| removed.workspace_uid == workspace.uid)
            .is_some_and(|removed| {
                let mut children = removed.children.iter();
                children.any(|(of, gone)| of == kind && uid.is_none_or(|uid| uid == gone))
            })
    }

    /// Drops everything: while another replica led, nothing of it stayed certain.
    pub fn clear(&self) {
        lock(&self.deployments).clear();
        lock(&self.statuses).clear();
        lock(&self.quiet).clear();
        lock(&self.ended).clear();
        lock(&self.released).clear();
        lock(&self.removed).clear();
    }

    /// Drops the state of a workspace that is gone.
    pub fn forget(&self, workspace: &str) {
        lock(&self.deployments).remove(workspace);
        lock(&self.statuses).remove(workspace);
        lock(&self.quiet).remove(workspace);
        lock(&self.ended).remove(workspace);
        lock(&self.released).remove(workspace);
        lock(&self.removed).remove(workspace);
    }
}

fn generation(deployment: Option<&Deployment>) -> Generation {
    let meta = &deployment?.metadata;
    Some((meta.uid.clone()?, meta.generation?))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
