//! Our last writes -> whether a cached object is older than our write (in memory).
//!
//! Watches lag behind. So the operator keeps the API server's answers to its writes until the caches show them, as the "expectations" of
//! Kubernetes' ReplicaSet controller do. They are cleared when leadership is lost, because another leader may have written meanwhile.

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

use api::{Workspace, WorkspaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::cache::{
    observe,
    observed::{Identity, Observed, version_of},
    partial::Pod,
    stores::Stores,
};

/// The cache usually shows a pod that we made within this time. Until then it counts as existing.
const CACHE_LAG: Duration = Duration::from_secs(5);

/// Our last writes that no cache has shown yet, by workspace: `namespace/name`.
#[derive(Debug, Default)]
pub struct PendingWrites {
    /// Pods as the API server answered. Without them, a reconcile would try to make the pod again.
    pods: Mutex<HashMap<String, Expected>>,
    /// Our last statuses. Without them, a reconcile would repeat the transition and its Event.
    statuses: Mutex<HashMap<String, (Version, WorkspaceStatus)>>,
    /// Statuses that are being written. A watch may show one before the API server answers.
    sent: Mutex<HashMap<String, WorkspaceStatus>>,
}

/// A pod as the API server answered.
#[derive(Debug)]
struct Expected {
    at: Instant,
    version: Option<u64>,
    pod: Arc<Pod>,
}

/// A version of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    uid: String,
    number: u64,
}

impl Version {
    /// `None` if the version is not a number: then nothing can be concluded.
    fn from_meta(meta: &ObjectMeta) -> Option<Self> {
        Some(Self {
            uid: meta.uid.clone()?,
            number: version_of(meta)?,
        })
    }

    /// Whether this version is newer than the cached object.
    fn is_newer_than(&self, cached: &ObjectMeta) -> bool {
        Self::from_meta(cached).is_some_and(|cached| cached.uid == self.uid && cached.number < self.number)
    }
}

impl PendingWrites {
    /// Expects the caches to show this answer to a write of the workspace's pod, or a later state.
    pub fn expect_pod(&self, workspace: &str, answer: &Arc<Pod>) {
        let expected = Expected {
            at: Instant::now(),
            version: version_of(&answer.metadata),
            pod: answer.clone(),
        };
        self.pods.lock().insert(workspace.to_owned(), expected);
    }

    /// Expects no pod any more: the API server reported that it is gone.
    pub fn forget_pod(&self, workspace: &str) {
        self.pods.lock().remove(workspace);
    }

    /// The children: the cached ones, with our last write of the pod if the cache does not show it yet. Then also when to look again.
    pub fn newest_children(&self, identity: &Identity, stores: &Stores) -> (Observed, Option<Duration>) {
        let mut observed = observe::from_caches(identity, stores);
        let (pod, recheck) = self.newest_pod(&identity.key(), observed.pods.pop());
        observed.pods.extend(pod);
        (observed, recheck)
    }

    /// The pod: the cached one, or our last write if the cache does not show it yet. Then also when to look again: a pod that is not shown
    /// by then was deleted.
    fn newest_pod(&self, workspace: &str, cached: Option<Arc<Pod>>) -> (Option<Arc<Pod>>, Option<Duration>) {
        let mut pods = self.pods.lock();
        let Some(ours) = pods.get(workspace) else {
            return (cached, None);
        };
        let is_newer = match &cached {
            Some(cached) => version_of(&cached.metadata) < ours.version,
            // It has ended meanwhile.
            None => ours.pod.metadata.deletion_timestamp.is_none(),
        };
        let left = CACHE_LAG.checked_sub(ours.at.elapsed());
        if let Some(left) = left.filter(|left| is_newer && !left.is_zero()) {
            return (Some(ours.pod.clone()), Some(left));
        }
        pods.remove(workspace);
        (cached, None)
    }

    /// Records the answer to a write of the workspace's status.
    pub fn wrote_status(&self, workspace: &str, answer: &ObjectMeta, status: WorkspaceStatus) {
        self.sent.lock().remove(workspace);
        if let Some(version) = Version::from_meta(answer) {
            self.statuses
                .lock()
                .insert(workspace.to_owned(), (version, status));
        }
    }

    /// The workspace: the cached one, with the status that we wrote and its version if the cache does not show it yet. Once it does, the
    /// record is dropped.
    pub fn newest_workspace<'a>(&self, cached: &'a Workspace) -> Cow<'a, Workspace> {
        let meta = &cached.metadata;
        let key = Identity::from_meta(meta).key();
        let mut statuses = self.statuses.lock();
        match statuses.get(&key) {
            Some((version, status)) if version.is_newer_than(meta) => Cow::Owned(Workspace {
                metadata: ObjectMeta {
                    resource_version: Some(version.number.to_string()),
                    ..meta.clone()
                },
                spec: cached.spec.clone(),
                status: Some(status.clone()),
            }),
            Some(_) => {
                statuses.remove(&key);
                Cow::Borrowed(cached)
            }
            None => Cow::Borrowed(cached),
        }
    }

    /// Records that this status of the workspace is being written.
    pub fn send_status(&self, workspace: &str, status: WorkspaceStatus) {
        self.sent.lock().insert(workspace.to_owned(), status);
    }

    /// Records that the status was not written.
    pub fn forget_sent(&self, workspace: &str) {
        self.sent.lock().remove(workspace);
    }

    /// Whether the cached workspace has the status that we wrote last, or are writing. A written one needs no record any more.
    pub fn is_own_status(&self, cached: &Workspace) -> bool {
        let key = Identity::from_meta(&cached.metadata).key();
        let mut statuses = self.statuses.lock();
        let version = Version::from_meta(&cached.metadata);
        if version.is_some() && statuses.get(&key).map(|(ours, _)| ours) == version.as_ref() {
            statuses.remove(&key);
            return true;
        }
        let sent = self.sent.lock();
        sent.get(&key)
            .is_some_and(|status| cached.status.as_ref() == Some(status))
    }

    /// Drops everything: while another replica led, nothing of it stayed certain.
    pub fn clear(&self) {
        self.pods.lock().clear();
        self.statuses.lock().clear();
        self.sent.lock().clear();
    }

    /// Drops the state of a workspace that is gone.
    pub fn forget(&self, workspace: &str) {
        self.pods.lock().remove(workspace);
        self.statuses.lock().remove(workspace);
        self.sent.lock().remove(workspace);
    }
}

#[cfg(test)]
mod tests {
    use testkit::objects;

    use super::*;

    #[test]
    fn a_cache_is_behind_until_it_has_seen_our_write() {
        let pending = PendingWrites::default();
        let status = WorkspaceStatus {
            owner: Some("alice".to_owned()),
            ..WorkspaceStatus::default()
        };
        let cached = |version: &str| {
            let mut workspace = objects::workspace("demo");
            workspace.metadata.resource_version = Some(version.to_owned());
            workspace
        };
        let (key, written) = (format!("{}/demo", objects::NAMESPACE), cached("12"));
        pending.wrote_status(&key, &written.metadata, status.clone());
        let (late, newer) = (cached("9"), cached("13"));
        let newest = pending.newest_workspace(&late);
        assert_eq!(newest.status, Some(status));
        assert_eq!(newest.metadata.resource_version.as_deref(), Some("12"));
        assert!(matches!(pending.newest_workspace(&newer), Cow::Borrowed(_)));
        assert!(matches!(pending.newest_workspace(&late), Cow::Borrowed(_)));
    }

    fn pod(uid: &str, version: &str) -> Arc<Pod> {
        Arc::new(Pod {
            metadata: ObjectMeta {
                uid: Some(uid.to_owned()),
                resource_version: Some(version.to_owned()),
                ..ObjectMeta::default()
            },
            ..Pod::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn our_pod_is_recalled_until_the_cache_shows_it_or_a_later_one() {
        let pending = PendingWrites::default();
        let (old, ours, next) = (pod("t", "11"), pod("u", "12"), pod("v", "13"));
        pending.expect_pod("team/a", &ours);
        for cached in [None, Some(old.clone())] {
            assert_eq!(
                pending.newest_pod("team/a", cached),
                (Some(ours.clone()), Some(CACHE_LAG))
            );
        }
        assert_eq!(
            pending.newest_pod("team/a", Some(next.clone())),
            (Some(next), None)
        );
        // The cache has shown it, so if it is missing now, it was deleted.
        assert_eq!(pending.newest_pod("team/a", None), (None, None));
        pending.expect_pod("team/a", &ours);
        tokio::time::advance(CACHE_LAG).await;
        assert_eq!(pending.newest_pod("team/a", None), (None, None), "it was deleted");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_we_ended_is_not_recalled_when_the_cache_shows_none() {
        let pending = PendingWrites::default();
        let mut ending = pod("u", "12").as_ref().clone();
        ending.metadata.deletion_timestamp = serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap();
        let ending = Arc::new(ending);
        pending.expect_pod("team/a", &ending);
        assert_eq!(pending.newest_pod("team/a", Some(pod("u", "11"))).0, Some(ending));
        assert_eq!(pending.newest_pod("team/a", None).0, None);
        pending.expect_pod("team/a", &pod("u", "12"));
        pending.forget_pod("team/a");
        assert_eq!(pending.newest_pod("team/a", None).0, None);
    }

    #[test]
    fn nothing_is_certain_any_more_after_another_has_led() {
        let pending = PendingWrites::default();
        let late = objects::workspace("demo");
        let mut written = late.metadata.clone();
        written.resource_version = Some("99999".to_owned());
        let key = Identity::from_meta(&late.metadata).key();
        pending.expect_pod(&key, &pod("u", "12"));
        pending.wrote_status(&key, &written, WorkspaceStatus::default());
        pending.clear();
        assert_eq!(pending.newest_pod(&key, None), (None, None));
        assert!(matches!(pending.newest_workspace(&late), Cow::Borrowed(_)));
    }
}
