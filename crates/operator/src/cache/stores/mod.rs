//! Watched objects -> caches, by kind (in memory).
//!
//! | name | input -> output |
//! |---|---|
//! | `children.rs` | watch events of one kind of child -> its cache |
//! | `parsed.rs` | JSON text -> the trimmed object, or its parse error |
//! | `trim.rs` | an object -> the same without values that no reconcile reads |
//! | `own_writes.rs` | our writes -> whether a watch event only repeats one |

use std::sync::Arc;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate};
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Service, ServiceAccount},
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
mod parsed;
mod trim;

pub use self::{
    children::{Children, ChildrenWriter, Keys, Parent},
    own_writes::OwnWrites,
    parsed::{Parsed, Unreadable},
    trim::Trim,
};
use crate::cache::{partial::Pod, routes::RouteStore, warnings::ClusterWarnings};

/// The cache of one kind.
pub type Cache<K> = Store<Parsed<K>>;

/// The writing end of a [`Cache`].
pub type CacheWriter<K> = Writer<Parsed<K>>;

/// Defines [`Stores`] and [`Writers`] by one list of kinds.
macro_rules! stores {
    ($($(#[$doc:meta])* $name:ident: $reader:ident<$kind:ident>, $writer:ident;)*) => {
        /// Every cache.
        #[derive(Clone)]
        pub struct Stores {
            $($(#[$doc])* pub $name: $reader<$kind>,)*
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
            $($(#[$doc])* pub $name: $writer<$kind>,)*
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
                    $($name: self.$name.as_reader(),)*
                    cluster_warnings: self.cluster_warnings.clone(),
                    routes: self.routes.clone(),
                    changes: self.changes.clone(),
                    own_writes: self.own_writes.clone(),
                    filled: self.filled.clone(),
                }
            }
        }

        impl Stores {
            async fn until_each_is_filled(&self) -> anyhow::Result<()> {
                $(self.$name.wait_until_ready().await?;)*
                Ok(())
            }
        }
    };
}

stores! {
    /// All workspaces.
    workspaces: Cache<Workspace>, CacheWriter;
    /// All templates.
    templates: Cache<WorkspaceTemplate>, CacheWriter;
    /// All managers.
    managers: Cache<WorkspaceManager>, CacheWriter;
    /// All execution profiles.
    profiles: Cache<WorkspaceExecutionProfile>, CacheWriter;
    /// All shares.
    shares: Cache<WorkspaceShare>, CacheWriter;
    /// All storage classes.
    storage_classes: Cache<StorageClass>, CacheWriter;
    /// Claims with a workspace's label.
    claims: Children<PersistentVolumeClaim>, ChildrenWriter;
    /// Services with a workspace's label.
    services: Children<Service>, ChildrenWriter;
    /// Network policies with a workspace's label.
    policies: Children<NetworkPolicy>, ChildrenWriter;
    /// Service accounts with a workspace's label.
    accounts: Children<ServiceAccount>, ChildrenWriter;
    /// Pods with a workspace's label.
    pods: Children<Pod>, ChildrenWriter;
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
    let found = cache.state_filter(|parsed| parsed.0.as_ref().is_ok_and(|object| wanted(object)));
    found
        .iter()
        .filter_map(|parsed| parsed.0.as_ref().ok())
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
        writers.services.apply(Event::InitDone);
        writers.policies.apply(Event::InitDone);
        writers.accounts.apply(Event::InitDone);
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
