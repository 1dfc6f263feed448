//! Our last writes -> whether a cached object is older than our write (in memory).
//!
//! Watches lag behind. So the operator keeps the API server's answers to its writes until the caches show them, as the "expectations" of
//! Kubernetes' ReplicaSet controller do. They are cleared when leadership is lost, because another leader may have written meanwhile.
//!
//! A watch changes its cache first, and then reports here what the cache shows. So each method reads what was reported before it reads the
//! cache: the other order would find neither our write nor the newer object.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use api::{Workspace, WorkspaceStatus};
use k8s_openapi::{api::networking::v1::NetworkPolicy, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Resource;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::cache::{
    observe,
    observed::{Identity, Observed, version_of},
    partial::Pod,
    stores::{self, Parsed, Stores},
};

/// An object that no cache has shown by then was deleted while the watch was broken: no later list has it, and no event reports it. Watches
/// have begun anew before, with their longest backoff.
const MAX_LAG: Duration = Duration::from_mins(1);

/// Our last writes that no cache has shown yet.
#[derive(Debug, Default)]
pub struct PendingWrites {
    /// Pods by workspace. Without them, a reconcile would try to make the pod again.
    pub pods: Expectations<Pod>,
    /// Network policies. Without them, each start would write them again, and one after a deletion would find them.
    pub policies: Expectations<NetworkPolicy>,
    /// Our last statuses, by workspace: `namespace/name`. Without them, a reconcile would repeat the transition and its Event.
    statuses: Mutex<HashMap<String, (Version, WorkspaceStatus)>>,
    /// Statuses that are being written. A watch may show one before the API server answers.
    sent: Mutex<HashMap<String, WorkspaceStatus>>,
}

/// Objects of one kind as the API server answered, by the key of their identity.
#[derive(Debug)]
pub struct Expectations<K> {
    expected: Mutex<HashMap<String, Expected<K>>>,
    /// The newest version of any object that the cache has shown. Versions of a kind are in the order of its watch: older writes are shown.
    shown: AtomicU64,
}

/// An object as the API server answered; `None`: it was deleted, or is being deleted.
#[derive(Debug)]
struct Expected<K> {
    at: Instant,
    version: Option<u64>,
    object: Option<Arc<K>>,
}

impl<K> Default for Expectations<K> {
    fn default() -> Self {
        Self {
            expected: Mutex::default(),
            shown: AtomicU64::default(),
        }
    }
}

impl<K: Resource> Expectations<K> {
    /// Expects the cache to show this answer to a write, or a later state.
    pub fn expect(&self, key: &str, answer: &Arc<K>) {
        self.insert(key, answer.meta(), Some(answer.clone()));
    }

    /// Expects the cache to show no more of an object that it showed like this.
    pub fn expect_none(&self, key: &str, deleted: &ObjectMeta) {
        self.insert(key, deleted, None);
    }

    fn insert(&self, key: &str, meta: &ObjectMeta, object: Option<Arc<K>>) {
        let expected = Expected {
            at: Instant::now(),
            version: version_of(meta),
            object,
        };
        self.expected.lock().insert(key.to_owned(), expected);
    }

    /// Records what the cache shows of an object, or showed of one that is gone.
    pub fn show(&self, shown: &ObjectMeta) {
        self.shown
            .fetch_max(version_of(shown).unwrap_or_default(), Ordering::AcqRel);
    }

    /// Expects nothing any more.
    pub fn forget(&self, key: &str) {
        self.expected.lock().remove(key);
    }

    /// The newest version that the cache has shown. It is read before the cache.
    fn shown(&self) -> u64 {
        self.shown.load(Ordering::Acquire)
    }

    /// The object: the cached one, or our last write if the cache does not show it yet. Then also when to look again: an object that is not
    /// shown by then was deleted. `shown`: the newest version of any object in the cache, or an older one.
    fn newest(&self, key: &str, cached: Option<Arc<K>>, shown: u64) -> (Option<Arc<K>>, Option<Duration>) {
        let mut all = self.expected.lock();
        let Some(ours) = all.get(key) else {
            return (cached, None);
        };
        let cached_version = cached.as_ref().map(|cached| version_of(cached.meta()));
        let Some(object) = &ours.object else {
            if cached_version.is_some_and(|version| version <= ours.version) {
                return (None, None);
            }
            all.remove(key);
            return (cached, None);
        };
        let is_newer = match cached_version {
            Some(version) => version < ours.version,
            // It has ended meanwhile, or it was shown and deleted.
            None => object.meta().deletion_timestamp.is_none() && Some(shown) < ours.version,
        };
        let left = MAX_LAG.checked_sub(ours.at.elapsed());
        if let Some(left) = left.filter(|left| is_newer && !left.is_zero()) {
            return (Some(object.clone()), Some(left));
        }
        all.remove(key);
        (cached, None)
    }
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
    /// The children: the cached ones, with our last write of the pod if the cache does not show it yet. Then also when to look again.
    pub fn newest_children(&self, identity: &Identity, stores: &Stores) -> (Observed, Option<Duration>) {
        let shown = self.pods.shown();
        let mut observed = observe::from_caches(identity, stores);
        let (pod, recheck) = self.pods.newest(&identity.key(), observed.pods.pop(), shown);
        observed.pods.extend(pod);
        (observed, recheck)
    }

    /// The network policy of this identity.
    pub fn newest_policy(&self, identity: &Identity, stores: &Stores) -> Option<Arc<NetworkPolicy>> {
        let shown = self.policies.shown();
        let cached = stores::get(
            &stores.policies,
            Some(&identity.namespace),
            &identity.child_name(),
        );
        self.policies.newest(&identity.key(), cached, shown).0
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
    pub fn newest_workspace(&self, identity: &Identity, stores: &Stores) -> Option<Arc<Parsed<Workspace>>> {
        let mut statuses = self.statuses.lock();
        let cached = stores::get_parsed(&stores.workspaces, Some(&identity.namespace), &identity.name)?;
        let key = identity.key();
        if let (Ok(workspace), Some((version, status))) = (&cached.0, statuses.get(&key)) {
            if version.is_newer_than(&workspace.metadata) {
                return Some(Arc::new(Parsed::new(Workspace {
                    metadata: ObjectMeta {
                        resource_version: Some(version.number.to_string()),
                        ..workspace.metadata.clone()
                    },
                    spec: workspace.spec.clone(),
                    status: Some(status.clone()),
                })));
            }
            statuses.remove(&key);
        }
        Some(cached)
    }

    /// Records that this status of the workspace is being written.
    pub fn send_status(&self, workspace: &str, status: WorkspaceStatus) {
        self.sent.lock().insert(workspace.to_owned(), status);
    }

    /// Records that the status was not written.
    pub fn forget_sent(&self, workspace: &str) {
        self.sent.lock().remove(workspace);
    }

    /// Whether the workspace in the cache has the status that we wrote last, or are writing. A written one needs no record any more.
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
        self.pods.expected.lock().clear();
        self.policies.expected.lock().clear();
        self.statuses.lock().clear();
        self.sent.lock().clear();
    }

    /// Drops the state of a workspace that is gone.
    pub fn forget(&self, workspace: &str) {
        self.pods.forget(workspace);
        self.statuses.lock().remove(workspace);
        self.sent.lock().remove(workspace);
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use testkit::objects;

    use super::*;
    use crate::cache::stores::Writers;

    /// The workspace `demo` with this version.
    fn demo(version: &str) -> Workspace {
        let mut workspace = objects::workspace("demo");
        workspace.metadata.resource_version = Some(version.to_owned());
        workspace
    }

    /// Version and owner in the status of the newest `demo`, while the cache shows this version.
    fn newest(pending: &PendingWrites, writers: &mut Writers, cached: &str) -> (String, Option<String>) {
        let cached = demo(cached);
        let identity = Identity::from_meta(&cached.metadata);
        writers
            .workspaces
            .apply_watcher_event(&Event::Apply(Parsed::new(cached)));
        let newest = pending.newest_workspace(&identity, &writers.stores()).unwrap();
        let newest = newest.object().unwrap();
        let version = newest.metadata.resource_version.clone().unwrap();
        (version, newest.status.clone().and_then(|status| status.owner))
    }

    #[test]
    fn a_cache_is_behind_until_it_has_seen_our_write() {
        let (pending, mut writers) = (PendingWrites::default(), Writers::default());
        let status = WorkspaceStatus {
            owner: Some("alice".to_owned()),
            ..WorkspaceStatus::default()
        };
        let key = format!("{}/demo", objects::NAMESPACE);
        pending.wrote_status(&key, &demo("12").metadata, status);
        let mut newest = |cached| newest(&pending, &mut writers, cached);
        assert_eq!(newest("9"), ("12".to_owned(), Some("alice".to_owned())));
        assert_eq!(newest("13"), ("13".to_owned(), None));
        assert_eq!(newest("9"), ("9".to_owned(), None), "no record is left");
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
        pending.pods.expect("team/a", &ours);
        for cached in [None, Some(old.clone())] {
            assert_eq!(
                pending.pods.newest("team/a", cached, 11),
                (Some(ours.clone()), Some(MAX_LAG))
            );
        }
        assert_eq!(
            pending.pods.newest("team/a", Some(next.clone()), 11),
            (Some(next), None)
        );
        // The cache has shown it, so if it is missing now, it was deleted.
        assert_eq!(pending.pods.newest("team/a", None, 11), (None, None));
        pending.pods.expect("team/a", &ours);
        tokio::time::advance(MAX_LAG).await;
        assert_eq!(
            pending.pods.newest("team/a", None, 11),
            (None, None),
            "it was deleted"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_is_gone_before_the_next_reconcile_is_not_recalled() {
        let (pending, stores) = (PendingWrites::default(), Writers::default().stores());
        let identity = Identity::from_meta(&demo("1").metadata);
        let found = || pending.newest_children(&identity, &stores).0.pods.len();
        pending.pods.expect(&identity.key(), &pod("u", "12"));
        pending.pods.show(&pod("other", "11").metadata);
        assert_eq!(found(), 1, "the control: the cache is older");
        // Its events came before the answer to our write.
        pending.pods.show(&pod("u", "12").metadata);
        pending.pods.show(&pod("other", "11").metadata);
        assert_eq!(found(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_we_ended_is_not_recalled_when_the_cache_shows_none() {
        let pending = PendingWrites::default();
        let mut ending = pod("u", "12").as_ref().clone();
        ending.metadata.deletion_timestamp = serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap();
        let ending = Arc::new(ending);
        pending.pods.expect("team/a", &ending);
        let newest = |cached| pending.pods.newest("team/a", cached, 11).0;
        assert_eq!(newest(Some(pod("u", "11"))), Some(ending));
        assert_eq!(newest(None), None);
        pending.pods.expect("team/a", &pod("u", "12"));
        pending.pods.forget("team/a");
        assert_eq!(newest(None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_we_deleted_is_not_found_in_a_cache_that_still_shows_it() {
        let pending = PendingWrites::default();
        let (deleted, next) = (pod("u", "12"), pod("v", "13"));
        pending.pods.expect_none("team/a", &deleted.metadata);
        tokio::time::advance(MAX_LAG * 2).await;
        let newest = |cached| pending.pods.newest("team/a", cached, 12).0;
        assert_eq!(newest(Some(deleted.clone())), None);
        assert_eq!(newest(Some(next.clone())), Some(next), "somebody made another");
        assert_eq!(newest(Some(deleted.clone())), Some(deleted), "no record is left");
    }

    #[test]
    fn nothing_is_certain_any_more_after_another_has_led() {
        let (pending, mut writers) = (PendingWrites::default(), Writers::default());
        let written = demo("12").metadata;
        let key = Identity::from_meta(&written).key();
        pending.pods.expect(&key, &pod("u", "12"));
        pending.wrote_status(&key, &written, WorkspaceStatus::default());
        pending.clear();
        assert_eq!(pending.pods.newest(&key, None, 0), (None, None));
        assert_eq!(newest(&pending, &mut writers, "9").0, "9");
    }
}
