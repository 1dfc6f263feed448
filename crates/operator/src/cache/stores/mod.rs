//! Watched objects -> caches, by kind (in memory).
//!
//! | name | input -> output |
//! |---|---|
//! | `children.rs` | watch events of one kind of child -> its cache |
//! | `parsed.rs` | JSON text -> the trimmed object, or its parse error |
//! | `trim.rs` | an object -> the same without what no reconcile reads |
//! | `packed.rs` | a trimmed object <-> its text in the cache |
//! | `own_writes.rs` | our writes -> whether a watch event only repeats one |

use std::sync::Arc;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{PersistentVolumeClaim, Pod, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    storage::v1::StorageClass,
};
use kube::{
    Resource,
    runtime::reflector::{ObjectRef, Store, store::Writer},
};
use tokio::sync::{OnceCell, watch};

mod children;
mod own_writes;
mod packed;
mod parsed;
pub mod trim;

pub(crate) use self::packed::Packed;
pub use self::{
    children::{Children, ChildrenWriter, Keys, Parent},
    own_writes::OwnWrites,
    parsed::{Parsed, Unreadable},
};
use crate::cache::{routes::RouteStore, warnings::ClusterWarnings};

/// The cache of one kind.
pub type Cache<K> = Store<Parsed<K>>;

/// The writing end of a [`Cache`].
pub type CacheWriter<K> = Writer<Parsed<K>>;

/// Every cache.
#[derive(Clone)]
pub struct Stores {
    /// All workspaces.
    pub workspaces: Cache<Workspace>,
    /// All templates.
    pub templates: Cache<WorkspaceTemplate>,
    /// All managers.
    pub managers: Cache<WorkspaceManager>,
    /// All execution profiles.
    pub profiles: Cache<WorkspaceExecutionProfile>,
    /// All shares.
    pub shares: Cache<WorkspaceShare>,
    /// All storage classes.
    pub storage_classes: Cache<StorageClass>,
    /// Claims with a workspace's label.
    pub claims: Children<PersistentVolumeClaim>,
    /// Deployments with a workspace's label.
    pub deployments: Children<Deployment>,
    /// Services with a workspace's label.
    pub services: Children<Service>,
    /// Network policies with a workspace's label.
    pub policies: Children<NetworkPolicy>,
    /// Service accounts with a workspace's label.
    pub accounts: Children<ServiceAccount>,
    /// ReplicaSets with a workspace's label.
    pub replica_sets: Children<ReplicaSet>,
    /// Pods with a workspace's label.
    pub pods: Children<Pod>,
    /// Warning Events and Nodes about these pods and claims.
    pub cluster_warnings: Arc<ClusterWarnings>,
    /// Objects that route to workspaces, of every kind that the settings allow.
    pub routes: Arc<RouteStore>,
    /// Triggers the controllers that reconcile all objects, when one that users write changes. Several changes count as one.
    pub changes: watch::Sender<()>,
    /// Our own writes of children, and of statuses of workspaces.
    pub own_writes: OwnWrites,
    /// Set when every cache has been filled once; see [`Stores::until_filled`].
    filled: Arc<OnceCell<()>>,
}

/// The writing ends of [`Stores`].
#[derive(Default)]
pub struct Writers {
    /// All workspaces.
    pub workspaces: CacheWriter<Workspace>,
    /// All templates.
    pub templates: CacheWriter<WorkspaceTemplate>,
    /// All managers.
    pub managers: CacheWriter<WorkspaceManager>,
    /// All execution profiles.
    pub profiles: CacheWriter<WorkspaceExecutionProfile>,
    /// All shares.
    pub shares: CacheWriter<WorkspaceShare>,
    /// All storage classes.
    pub storage_classes: CacheWriter<StorageClass>,
    /// Claims.
    pub claims: ChildrenWriter<PersistentVolumeClaim>,
    /// Deployments.
    pub deployments: ChildrenWriter<Deployment>,
    /// Services.
    pub services: ChildrenWriter<Service>,
    /// Network policies.
    pub policies: ChildrenWriter<NetworkPolicy>,
    /// Service accounts.
    pub accounts: ChildrenWriter<ServiceAccount>,
    /// ReplicaSets.
    pub replica_sets: ChildrenWriter<ReplicaSet>,
    /// Pods.
    pub pods: ChildrenWriter<Pod>,
    /// Warning Events and Nodes.
    pub cluster_warnings: Arc<ClusterWarnings>,
    /// Route objects.
    pub routes: Arc<RouteStore>,
    /// Triggers the controllers that reconcile all objects.
    pub changes: watch::Sender<()>,
    /// Our own writes of children, and of statuses of workspaces.
    pub own_writes: OwnWrites,
    filled: Arc<OnceCell<()>>,
}

impl Writers {
    /// The reading ends.
    pub fn stores(&self) -> Stores {
        Stores {
            workspaces: self.workspaces.as_reader(),
            templates: self.templates.as_reader(),
            managers: self.managers.as_reader(),
            profiles: self.profiles.as_reader(),
            shares: self.shares.as_reader(),
            storage_classes: self.storage_classes.as_reader(),
            claims: self.claims.as_reader(),
            deployments: self.deployments.as_reader(),
            services: self.services.as_reader(),
            policies: self.policies.as_reader(),
            accounts: self.accounts.as_reader(),
            replica_sets: self.replica_sets.as_reader(),
            pods: self.pods.as_reader(),
            cluster_warnings: self.cluster_warnings.clone(),
            routes: self.routes.clone(),
            changes: self.changes.clone(),
            own_writes: self.own_writes.clone(),
            filled: self.filled.clone(),
        }
    }
}

impl Stores {
    /// Resolves when every cache has been filled once.
    ///
    /// A kube store wakes only the last of its waiting tasks. So one task waits for the stores, and the others wait for that task. If it is
    /// dropped, another takes its place.
    ///
    /// # Errors
    /// A writing end was dropped before that.
    pub async fn until_filled(&self) -> anyhow::Result<()> {
        let filled = self.filled.get_or_try_init(|| self.until_each_is_filled());
        filled.await.copied()
    }

    async fn until_each_is_filled(&self) -> anyhow::Result<()> {
        self.workspaces.wait_until_ready().await?;
        self.templates.wait_until_ready().await?;
        self.managers.wait_until_ready().await?;
        self.profiles.wait_until_ready().await?;
        self.shares.wait_until_ready().await?;
        self.storage_classes.wait_until_ready().await?;
        futures::try_join!(
            self.claims.wait_until_ready(),
            self.deployments.wait_until_ready(),
            self.services.wait_until_ready(),
            self.policies.wait_until_ready(),
            self.accounts.wait_until_ready(),
            self.replica_sets.wait_until_ready(),
            self.pods.wait_until_ready(),
        )?;
        Ok(())
    }
}

/// The parsed object of this name; `None` if it is absent or cannot be parsed.
pub fn get<K>(cache: &Cache<K>, namespace: Option<&str>, name: &str) -> Option<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    get_parsed(cache, namespace, name)?.0.as_ref().ok().cloned()
}

/// The object of this name, parsed or not.
pub fn get_parsed<K>(cache: &Cache<K>, namespace: Option<&str>, name: &str) -> Option<Arc<Parsed<K>>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let mut key = ObjectRef::<Parsed<K>>::new(name);
    key.namespace = namespace.map(str::to_owned);
    cache.get(&key)
}

/// Every parsed object for which `wanted` holds.
pub fn select<K>(cache: &Cache<K>, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let guarded = cache.state_filter(|guarded| guarded.0.as_ref().is_ok_and(|object| wanted(object)));
    guarded
        .iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::runtime::watcher::Event;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    fn fill(writers: &mut Writers) {
        writers.workspaces.apply_watcher_event(&Event::InitDone);
        writers.templates.apply_watcher_event(&Event::InitDone);
        writers.managers.apply_watcher_event(&Event::InitDone);
        writers.profiles.apply_watcher_event(&Event::InitDone);
        writers.shares.apply_watcher_event(&Event::InitDone);
        writers.storage_classes.apply_watcher_event(&Event::InitDone);
        writers.claims.apply(Event::InitDone);
        writers.deployments.apply(Event::InitDone);
        writers.services.apply(Event::InitDone);
        writers.policies.apply(Event::InitDone);
        writers.accounts.apply(Event::InitDone);
        writers.replica_sets.apply(Event::InitDone);
        writers.pods.apply(Event::InitDone);
    }

    #[tokio::test(start_paused = true)]
    async fn every_task_that_waits_for_the_caches_resumes_when_the_first_one_was_dropped() {
        let mut writers = Writers::default();
        let stores = writers.stores();
        let waiting = || {
            let stores = stores.clone();
            AbortOnDropHandle::new(tokio::spawn(async move { stores.until_filled().await }))
        };
        let first = waiting();
        tokio::task::yield_now().await;
        let others = [waiting(), waiting(), waiting()];
        tokio::task::yield_now().await;
        drop(first);
        tokio::task::yield_now().await;
        fill(&mut writers);
        for other in others {
            let filled = tokio::time::timeout(Duration::from_secs(1), other).await;
            filled.expect("a task was not woken").unwrap().unwrap();
        }
    }
}
