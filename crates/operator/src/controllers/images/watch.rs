//! Watches of the namespace of images, changes of templates -> reconciles (IO).

use std::{fmt::Debug, pin::pin};

use api::names;
use futures::StreamExt as _;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Event, Pod},
};
use kube::{
    Api, Resource,
    core::NamespaceResourceScope,
    runtime::{
        reflector::store::Writer,
        watcher::{self, Config},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch::Sender;
use tokio_util::sync::CancellationToken;

use super::{
    live::Live,
    reconcile::{ImagesState, reconcile},
};
use crate::{cache::watch, context::Context, controllers::resync};

/// Reconciles until shutdown. An operator of one namespace writes no status of templates, and so says nothing.
pub async fn run(context: &Context, shutdown: &CancellationToken) {
    if !context.installation.scope.is_cluster() {
        return;
    }
    let changes = Sender::new(());
    let (sets, deployments, pods, refused_pods) = (
        Writer::<DaemonSet>::default(),
        Writer::<Deployment>::default(),
        Writer::<Pod>::default(),
        Writer::<Event>::default(),
    );
    let caches = (
        sets.as_reader(),
        deployments.as_reader(),
        pods.as_reader(),
        refused_pods.as_reader(),
    );
    let images = context.installation.images.as_ref();
    let watches = async {
        let Some(images) = images else {
            return std::future::pending().await;
        };
        let ours = Config::default().labels(&format!("{}={}", names::APP_MANAGED_BY_LABEL, names::OPERATOR));
        // Of pods that run, nothing more is to be known.
        let pending = ours.clone().fields("status.phase=Pending");
        // A Deployment has a condition for that.
        let refused = Config::default().fields("reason=FailedCreate,involvedObject.kind=DaemonSet");
        let of = &images.name;
        tokio::join!(
            follow(context, of, ours.clone(), sets, &changes),
            follow(context, of, ours, deployments, &changes),
            follow(context, of, pending, pods, &changes),
            follow(context, of, refused, refused_pods, &changes)
        );
    };
    let templates = async {
        let mut all = context.stores.changes.subscribe();
        while all.changed().await.is_ok() {
            changes.send_replace(());
        }
    };
    let reconciles = async {
        let filled = async {
            // An error means that a watch has ended, which none does.
            let _ = caches.0.wait_until_ready().await;
            let _ = caches.1.wait_until_ready().await;
            let _ = caches.2.wait_until_ready().await;
            let _ = caches.3.wait_until_ready().await;
        };
        if images.is_some() && shutdown.run_until_cancelled(filled).await.is_none() {
            return;
        }
        let mut state = ImagesState::default();
        resync::run(&changes, shutdown, async || {
            let live = Live {
                daemon_sets: caches.0.state(),
                deployments: caches.1.state(),
                pods: caches.2.state(),
                refused_pods: caches.3.state(),
            };
            Box::pin(reconcile(context, &live, &mut state)).await
        })
        .await;
    };
    tokio::select! {
        () = watches => {}
        () = templates => {}
        () = reconciles => {}
    }
}

/// Fills a cache, and tells its changes.
async fn follow<K>(
    context: &Context,
    namespace: &str,
    config: Config,
    mut cache: Writer<K>,
    changes: &Sender<()>,
) where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let api = Api::<K>::namespaced(context.client.clone(), namespace);
    let mut events = pin!(watch::events(api, config));
    while let Some(event) = events.next().await {
        cache.apply_watcher_event(&event);
        // A list counts at its end.
        if !matches!(event, watcher::Event::Init | watcher::Event::InitApply(_)) {
            changes.send_replace(());
        }
    }
}
