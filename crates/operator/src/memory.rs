//! Our last writes -> whether a cached object is older than what we wrote (in memory).
//!
//! Watches lag. Without this, a pass that follows a write closely would see the state before it, and write or announce
//! the same thing twice.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::WorkspaceStatus;
use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Resource;
use tokio::time::Instant;

use crate::{
    stores::compact::{Compact as _, drop_bookkeeping},
    world::Identity,
};

/// A Deployment that we wrote is shown by the cache within this time, as a rule. Until then it counts as there.
const SOON: Duration = Duration::from_secs(5);

/// Statuses that are kept until they are looked through.
const SOME: usize = 64;

/// What we wrote last and no cache has shown yet, and what was made sure of, by workspace: `namespace/name`.
#[derive(Debug, Default)]
pub struct Memory {
    deployments: Mutex<HashMap<String, (Instant, Arc<Deployment>)>>,
    statuses: Mutex<HashMap<String, (Version, WorkspaceStatus)>>,
    quiet: Mutex<HashMap<String, Generation>>,
    released: Mutex<HashMap<String, String>>,
    removed: Mutex<HashMap<String, Removed>>,
}

/// Children of the workspace with this UID that are gone, by kind and UID.
#[derive(Debug, Default)]
struct Removed {
    workspace_uid: String,
    children: Vec<(String, String)>,
}

/// Which Deployment in which state of its spec: UID and generation; `None` for no Deployment.
type Generation = Option<(String, i64)>;

/// A cached Deployment beside our last write to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Recalled {
    /// The cache is not behind.
    Nothing,
    /// The cache shows an earlier state than this, which we wrote.
    Newer(Arc<Deployment>),
    /// The cache shows none, and we wrote this a moment ago. If it has not come after this time, it has gone again.
    Expected(Arc<Deployment>, Duration),
    /// We wrote one and the cache has shown none for a while: it has not come yet, or has gone again.
    Unseen,
}

/// The resource version as a number, if it is one: those of one kind grow with time on every API server there is.
pub(crate) fn version_of(meta: &ObjectMeta) -> Option<u64> {
    meta.resource_version.as_deref()?.parse().ok()
}

/// A state of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    uid: String,
    number: u64,
}

impl Version {
    /// Where the version is no number, nothing is concluded from it.
    fn of(meta: &ObjectMeta) -> Option<Self> {
        Some(Self {
            uid: meta.uid.clone()?,
            number: version_of(meta)?,
        })
    }

    /// Whether this is a later state of the cached object.
    fn is_newer_than(&self, cached: &ObjectMeta) -> bool {
        Self::of(cached).is_some_and(|cached| cached.uid == self.uid && cached.number < self.number)
    }
}

impl Memory {
    /// Remembers the answer to a write, or to a look, at the workspace's Deployment.
    pub fn saw_deployment(&self, workspace: &str, answer: Option<&Arc<Deployment>>) {
        let mut deployments = lock(&self.deployments);
        match answer {
            Some(answer) => {
                let mut kept = Deployment::clone(answer);
                // One from a cache has been through this.
                if kept.metadata.managed_fields.is_some() {
                    kept.compact();
                    drop_bookkeeping(&mut kept.metadata);
                }
                deployments.insert(workspace.to_owned(), (Instant::now(), Arc::new(kept.clone())));
            }
            None => {
                deployments.remove(workspace);
            }
        }
    }

    /// What is remembered of the Deployment that the cache shows so. Once the cache has caught up, nothing is.
    pub fn deployment(&self, workspace: &str, cached: Option<&Deployment>) -> Recalled {
        let mut deployments = lock(&self.deployments);
        let Some((written, ours)) = deployments.get(workspace) else {
            return Recalled::Nothing;
        };
        let Some(cached) = cached else {
            let left = SOON.checked_sub(written.elapsed()).filter(|left| !left.is_zero());
            return left.map_or(Recalled::Unseen, |left| Recalled::Expected(ours.clone(), left));
        };
        if Version::of(&ours.metadata).is_some_and(|version| version.is_newer_than(&cached.metadata)) {
            return Recalled::Newer(ours.clone());
        }
        deployments.remove(workspace);
        Recalled::Nothing
    }

    /// Remembers that it was made sure, with this Deployment, that no pod is there and none can come.
    pub fn is_quiet(&self, workspace: &str, deployment: Option<&Deployment>) {
        lock(&self.quiet).insert(workspace.to_owned(), generation(deployment));
    }

    /// Whether it was made sure that no pod is there and none can come, and the Deployment was not touched since: without
    /// a new generation it makes no pod.
    pub fn was_quiet(&self, workspace: &str, deployment: Option<&Deployment>) -> bool {
        lock(&self.quiet).get(workspace) == Some(&generation(deployment))
    }

    /// Remembers the answer to a write of the workspace's status.
    pub fn wrote_status(&self, workspace: &str, answer: &ObjectMeta, status: WorkspaceStatus) {
        if let Some(version) = Version::of(answer) {
            lock(&self.statuses).insert(workspace.to_owned(), (version, status));
        }
    }

    /// Forgets the statuses that the cache shows by now, whenever some more have come together: nobody is woken by a status
    /// that is shown, to see that it is.
    pub fn shed<K: Resource>(&self, cached: impl Fn(&str) -> Option<Arc<K>>) {
        let mut statuses = lock(&self.statuses);
        if statuses.len() >= SOME && statuses.len().is_multiple_of(SOME) {
            statuses.retain(|workspace, (version, _)| {
                cached(workspace).is_some_and(|cached| version.is_newer_than(cached.meta()))
            });
        }
    }

    /// The status that we wrote, if the cached workspace does not have it yet. Once it has, nothing is remembered.
    pub fn newer_status(&self, workspace: &str, cached: &ObjectMeta) -> Option<WorkspaceStatus> {
        let mut statuses = lock(&self.statuses);
        let (version, status) = statuses.get(workspace)?;
        if version.is_newer_than(cached) {
            return Some(status.clone());
        }
        statuses.remove(workspace);
        None
    }

    /// Remembers that the workspace with this UID was let go of: the caches may show it a little longer.
    pub fn let_go(&self, workspace: &str, uid: &str) {
        lock(&self.released).insert(workspace.to_owned(), uid.to_owned());
    }

    /// Whether the workspace with this UID was let go of.
    pub fn has_let_go(&self, workspace: &str, uid: &str) -> bool {
        lock(&self.released)
            .get(workspace)
            .is_some_and(|released| released == uid)
    }

    /// Remembers that the API server said of a child that it is gone: the caches may show it a little longer.
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

    /// Whether the API server said that the child of this kind with this UID is gone; `None`: that one of this kind is.
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

    /// Forgets everything: while another led, nothing of it stayed certain.
    pub fn clear(&self) {
        lock(&self.deployments).clear();
        lock(&self.statuses).clear();
        lock(&self.quiet).clear();
        lock(&self.released).clear();
        lock(&self.removed).clear();
    }

    /// Forgets a workspace that is gone.
    pub fn forget(&self, workspace: &str) {
        lock(&self.deployments).remove(workspace);
        lock(&self.statuses).remove(workspace);
        lock(&self.quiet).remove(workspace);
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
    fn statuses_that_the_cache_shows_are_forgotten_although_nobody_asks() {
        let memory = Memory::default();
        let workspace = |version: &str| {
            Arc::new(Deployment {
                metadata: meta("u", version),
                ..Deployment::default()
            })
        };
        for number in 0..SOME {
            let status = WorkspaceStatus::default();
            memory.wrote_status(&format!("team/{number}"), &meta("u", "12"), status);
            memory.shed(|key| Some(workspace(if key == "team/7" { "9" } else { "12" })));
        }
        assert_eq!(lock(&memory.statuses).len(), 1);
        assert!(memory.newer_status("team/7", &meta("u", "9")).is_some());
    }

    fn deployment(uid: &str, version: &str, generation: i64) -> Arc<Deployment> {
        let mut deployment = Deployment {
            metadata: meta(uid, version),
            ..Deployment::default()
        };
        deployment.metadata.generation = Some(generation);
        Arc::new(deployment)
    }

    #[tokio::test(start_paused = true)]
    async fn our_deployment_is_recalled_until_the_cache_shows_it_or_a_later_one() {
        let memory = Memory::default();
        let ours = deployment("u", "12", 2);
        memory.saw_deployment("team/a", Some(&ours));
        let expected = Recalled::Expected(ours.clone(), SOON);
        assert_eq!(memory.deployment("team/a", None), expected);
        tokio::time::advance(SOON).await;
        assert_eq!(memory.deployment("team/a", None), Recalled::Unseen);
        let older = deployment("u", "11", 1);
        assert_eq!(
            memory.deployment("team/a", Some(&older)),
            Recalled::Newer(ours.clone())
        );
        assert_eq!(memory.deployment("team/a", Some(&ours)), Recalled::Nothing);
        // It was seen, so if it is gone now, somebody deleted it.
        assert_eq!(memory.deployment("team/a", None), Recalled::Nothing);
    }

    #[test]
    fn a_successor_of_the_same_name_and_a_version_that_is_no_number_are_never_behind() {
        let memory = Memory::default();
        for (uid, version) in [("new", "9"), ("u", "abc")] {
            memory.saw_deployment("team/a", Some(&deployment("u", "12", 1)));
            let cached = deployment(uid, version, 1);
            assert_eq!(memory.deployment("team/a", Some(&cached)), Recalled::Nothing);
        }
    }

    #[test]
    fn a_workspace_that_was_let_go_of_is_told_from_its_successor() {
        let memory = Memory::default();
        memory.let_go("team/a", "u");
        assert!(memory.has_let_go("team/a", "u"));
        assert!(!memory.has_let_go("team/a", "v"));
        memory.forget("team/a");
        assert!(!memory.has_let_go("team/a", "u"));
    }

    #[test]
    fn a_child_that_is_gone_is_told_from_its_successor_and_from_other_kinds() {
        let memory = Memory::default();
        let workspace = |uid: &str| Identity {
            namespace: "team".to_owned(),
            name: "a".to_owned(),
            uid: uid.to_owned(),
        };
        let (old, new) = (workspace("1"), workspace("2"));
        memory.removed(&old, "Service", "u");
        assert!(memory.has_removed(&old, "Service", Some("u")));
        assert!(memory.has_removed(&old, "Service", None));
        assert!(!memory.has_removed(&old, "Service", Some("v")));
        assert!(!memory.has_removed(&old, "Deployment", None));
        assert!(!memory.has_removed(&new, "Service", None));
        memory.removed(&new, "Deployment", "v");
        assert!(memory.has_removed(&new, "Deployment", None));
        assert!(!memory.has_removed(&new, "Service", None));
        memory.forget("team/a");
        assert!(!memory.has_removed(&new, "Deployment", None));
    }

    #[test]
    fn a_child_that_is_gone_is_remembered_once() {
        let memory = Memory::default();
        let workspace = Identity::of(&meta("1", "1"));
        for _ in 0..3 {
            memory.removed(&workspace, "Service", "u");
        }
        assert_eq!(lock(&memory.removed)[&workspace.key()].children.len(), 1);
    }

    #[test]
    fn nothing_is_certain_any_more_after_another_has_led() {
        let memory = Memory::default();
        let workspace = Identity::of(&meta("1", "1"));
        memory.removed(&workspace, "Service", "u");
        memory.is_quiet("team/a", None);
        memory.let_go("team/a", "u");
        memory.saw_deployment("team/a", Some(&deployment("u", "12", 2)));
        memory.wrote_status("team/a", &meta("u", "12"), WorkspaceStatus::default());
        memory.clear();
        assert!(!memory.was_quiet("team/a", None) && !memory.has_let_go("team/a", "u"));
        assert!(!memory.has_removed(&workspace, "Service", None));
        assert_eq!(memory.deployment("team/a", None), Recalled::Nothing);
        assert_eq!(memory.newer_status("team/a", &meta("u", "9")), None);
    }

    #[test]
    fn quiet_lasts_until_the_deployment_is_another_or_has_another_spec() {
        let memory = Memory::default();
        assert!(!memory.was_quiet("team/a", None));
        memory.is_quiet("team/a", None);
        assert!(memory.was_quiet("team/a", None));
        assert!(!memory.was_quiet("team/a", Some(&deployment("u", "1", 1))));
        memory.is_quiet("team/a", Some(&deployment("u", "1", 1)));
        assert!(memory.was_quiet("team/a", Some(&deployment("u", "2", 1))));
        assert!(!memory.was_quiet("team/a", Some(&deployment("u", "2", 2))));
        assert!(!memory.was_quiet("team/a", Some(&deployment("v", "2", 1))));
        assert!(!memory.was_quiet("team/a", None));
    }
}
