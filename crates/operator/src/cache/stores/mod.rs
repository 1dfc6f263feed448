//! Watched objects -> caches, by kind (in memory).
//!
//! | name | input -> output |
//! |---|---|
//! | `content.rs` | two versions of an object -> whether they differ in more than the version |
//! | `parsed.rs` | JSON text -> the trimmed object, as object or as text |
//! | `trim.rs` | an object -> the same without values that no reconcile reads |

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

mod content;
mod parsed;
mod trim;

pub use self::{
    content::Content,
    parsed::{Parsed, Unreadable},
    trim::Trim,
};
use crate::cache::{objects::ObjectStore, partial::Pod, warnings::ClusterWarnings};

/// The cache of one kind.
pub type Cache<K> = Store<Parsed<K>>;

/// The writing end of a [`Cache`].
pub type CacheWriter<K> = Writer<Parsed<K>>;

/// Defines [`Stores`] and [`Writers`] by one list of kinds.
macro_rules! stores {
    ($($(#[$doc:meta])* $name:ident: $kind:ident;)*) => {
        /// Every cache.
        #[derive(Clone)]
        pub struct Stores {
            $($(#[$doc])* pub $name: Cache<$kind>,)*
            /// Warning Events and Nodes about these pods and claims.
            pub cluster_warnings: Arc<ClusterWarnings>,
            /// Routes and objects of templates, of every kind that the settings allow.
            pub objects: Arc<ObjectStore>,
            /// Triggers the controllers that reconcile all objects, when one that users write changes. Several changes count as one.
            pub changes: watch::Sender<()>,
            /// Set when every cache has been filled once; see [`Stores::until_filled`].
            filled: Arc<OnceCell<()>>,
        }

        /// The writing ends of [`Stores`].
        #[derive(Default)]
        pub struct Writers {
            $($(#[$doc])* pub $name: CacheWriter<$kind>,)*
            /// Warning Events and Nodes.
            pub cluster_warnings: Arc<ClusterWarnings>,
            /// Routes and objects of templates.
            pub objects: Arc<ObjectStore>,
            /// Triggers the controllers that reconcile all objects.
            pub changes: watch::Sender<()>,
            filled: Arc<OnceCell<()>>,
        }

        impl Writers {
            /// The reading ends.
            pub fn stores(&self) -> Stores {
                Stores {
                    $($name: self.$name.as_reader(),)*
                    cluster_warnings: self.cluster_warnings.clone(),
                    objects: self.objects.clone(),
                    changes: self.changes.clone(),
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
    workspaces: Workspace;
    /// All templates.
    templates: WorkspaceTemplate;
    /// All managers.
    managers: WorkspaceManager;
    /// All execution profiles.
    profiles: WorkspaceExecutionProfile;
    /// All shares.
    shares: WorkspaceShare;
    /// All storage classes.
    storage_classes: StorageClass;
    /// Claims with a workspace's label.
    claims: PersistentVolumeClaim;
    /// Services with a workspace's label.
    services: Service;
    /// Network policies of the operator.
    policies: NetworkPolicy;
    /// Service accounts with a workspace's label.
    accounts: ServiceAccount;
    /// Pods with a workspace's label.
    pods: Pod;
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
pub fn get<K: Trim + 'static>(cache: &Cache<K>, namespace: Option<&str>, name: &str) -> Option<Arc<K>> {
    get_parsed(cache, namespace, name)?.object()
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
pub fn select<K: Trim + 'static>(cache: &Cache<K>, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
    let all = cache.state();
    let objects = all.iter().filter_map(|parsed| parsed.object());
    objects.filter(|object| wanted(object)).collect()
}
