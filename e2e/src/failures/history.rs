//! Namespace -> all versions of a workspace's objects, as the API server stored them (IO).

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use api::Workspace;
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{PersistentVolumeClaim, Pod},
};
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

/// All versions of the objects of one kind, in the order of their arrival.
#[derive(Debug)]
pub struct History<K>(Arc<Mutex<Vec<K>>>);

impl<K> Clone for History<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Clone> History<K> {
    fn lock(&self) -> MutexGuard<'_, Vec<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All versions so far.
    pub fn all(&self) -> Vec<K> {
        self.lock().clone()
    }

    /// The first version that `holds` accepts.
    pub fn first(&self, holds: impl Fn(&K) -> bool) -> Option<K> {
        self.lock().iter().find(|version| holds(version)).cloned()
    }

    /// The newest version.
    pub fn last(&self) -> Option<K> {
        self.lock().last().cloned()
    }
}

/// The watched kinds.
#[derive(Debug)]
pub struct Histories {
    /// Workspaces.
    pub workspaces: History<Workspace>,
    /// Pods.
    pub pods: History<Pod>,
    /// Claims.
    pub claims: History<PersistentVolumeClaim>,
    watching: JoinHandle<()>,
}

impl Drop for Histories {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Histories {
    /// Starts the watches.
    pub(super) fn of(client: &Client, namespace: &str) -> Self {
        let (workspaces, pods, claims) = (History::new(), History::new(), History::new());
        let watches: FuturesUnordered<BoxFuture<'static, ()>> = [
            workspaces.watch(client, namespace),
            pods.watch(client, namespace),
            claims.watch(client, namespace),
        ]
        .into_iter()
        .collect();
        Self {
            workspaces,
            pods,
            claims,
            watching: tokio::spawn(watches.for_each(|()| std::future::ready(()))),
        }
    }
}

impl<K> History<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned + Send + 'static,
{
    fn new() -> Self {
        Self(Arc::default())
    }

    fn watch(&self, client: &Client, namespace: &str) -> BoxFuture<'static, ()> {
        let (api, versions) = (Api::<K>::namespaced(client.clone(), namespace), self.clone());
        let changes = watcher(api, watcher::Config::default()).default_backoff();
        Box::pin(changes.for_each(move |change| {
            if let Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) = change {
                versions.lock().push(object);
            }
            std::future::ready(())
        }))
    }
}
