//! Our last writes -> whether a cached object is older than what we wrote (in memory).
//!
//! Watches lag. Without this, a pass that follows a write closely would see the state before it, and write or announce
//! the same thing twice.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use api::WorkspaceStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// What we wrote last, by workspace: `namespace/name`.
#[derive(Debug, Default)]
pub struct Memory {
    deployments: Mutex<HashMap<String, Version>>,
    statuses: Mutex<HashMap<String, (Version, WorkspaceStatus)>>,
}

/// A state of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    uid: String,
    number: u64,
}

impl Version {
    /// Resource versions of one kind grow with time on every API server there is; where one does not parse, nothing is
    /// concluded from it.
    fn of(meta: &ObjectMeta) -> Option<Self> {
        Some(Self {
            uid: meta.uid.clone()?,
            number: meta.resource_version.as_deref()?.parse().ok()?,
        })
    }

    /// Whether this is a later state of the cached object.
    fn is_newer_than(&self, cached: &ObjectMeta) -> bool {
        Self::of(cached).is_some_and(|cached| cached.uid == self.uid && cached.number < self.number)
    }
}

impl Memory {
    /// Remembers the answer to a write of the workspace's Deployment.
    pub fn wrote_deployment(&self, workspace: &str, answer: &ObjectMeta) {
        if let Some(version) = Version::of(answer) {
            lock(&self.deployments).insert(workspace.to_owned(), version);
        }
    }

    /// Whether the cached Deployment is older than our last write to it.
    pub fn has_newer_deployment(&self, workspace: &str, cached: &ObjectMeta) -> bool {
        lock(&self.deployments)
            .get(workspace)
            .is_some_and(|version| version.is_newer_than(cached))
    }

    /// Remembers the answer to a write of the workspace's status.
    pub fn wrote_status(&self, workspace: &str, answer: &ObjectMeta, status: WorkspaceStatus) {
        if let Some(version) = Version::of(answer) {
            lock(&self.statuses).insert(workspace.to_owned(), (version, status));
        }
    }

    /// The status that we wrote, if the cached workspace does not have it yet.
    pub fn newer_status(&self, workspace: &str, cached: &ObjectMeta) -> Option<WorkspaceStatus> {
        let statuses = lock(&self.statuses);
        let (_, status) = statuses
            .get(workspace)
            .filter(|(version, _)| version.is_newer_than(cached))?;
        Some(status.clone())
    }

    /// Forgets a workspace that is gone.
    pub fn forget(&self, workspace: &str) {
        lock(&self.deployments).remove(workspace);
        lock(&self.statuses).remove(workspace);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(uid: &str, version: &str) -> ObjectMeta {
        ObjectMeta {
            uid: Some(uid.to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn a_cache_is_behind_until_it_has_seen_our_write() {
        let memory = Memory::default();
        let status = WorkspaceStatus {
            owner: Some("alice".to_owned()),
            ..WorkspaceStatus::default()
        };
        memory.wrote_status("team/a", &meta("u", "12"), status.clone());
        assert_eq!(memory.newer_status("team/a", &meta("u", "9")), Some(status));
        assert_eq!(memory.newer_status("team/a", &meta("u", "12")), None);
        assert_eq!(memory.newer_status("team/b", &meta("u", "9")), None);
        memory.forget("team/a");
        assert_eq!(memory.newer_status("team/a", &meta("u", "9")), None);
    }

    #[test]
    fn a_successor_of_the_same_name_is_never_behind_its_predecessor() {
        let memory = Memory::default();
        memory.wrote_deployment("team/a", &meta("old", "12"));
        assert!(!memory.has_newer_deployment("team/a", &meta("new", "9")));
    }

    #[test]
    fn a_version_that_is_no_number_is_never_behind() {
        let memory = Memory::default();
        memory.wrote_deployment("team/a", &meta("u", "12"));
        assert!(memory.has_newer_deployment("team/a", &meta("u", "11")));
        assert!(!memory.has_newer_deployment("team/a", &meta("u", "abc")));
    }
}
