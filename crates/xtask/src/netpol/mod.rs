//! Policies, pods and namespaces of a one-node cluster -> iptables rules on the node (IO).
//!
//! A NetworkPolicy enforcer for the local cluster: a test fixture, not a CNI. The bridge plugin carries the traffic but enforces nothing.
//! This process enforces policies on one node, for IPv4, TCP and UDP only. A new pod is covered once its address is in its status. When the
//! process ends it leaves the rules in place: they end with the node's network namespace.
//!
//! | file | function |
//! |---|---|
//! | `snapshot` | objects of the API server -> the facts for decisions about policies (pure) |
//! | `select`, `cidr` | label selectors; differences of address ranges (pure) |
//! | `allow` | facts -> isolated pods, and their allowed peers and ports (pure) |
//! | `render`, `apply` | that -> the input of `iptables-restore`, and the call of it |
//! | `cases`, `naive` | tests: a table of packets; random policies against a second implementation |

mod allow;
mod apply;
#[cfg(test)]
mod cases;
mod cidr;
#[cfg(test)]
mod naive;
mod render;
mod select;
mod snapshot;

use std::{fmt, future, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use futures::StreamExt;
use k8s_openapi::api::{
    core::v1::{Namespace, Pod},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client, Config, Resource,
    config::{KubeConfigOptions, Kubeconfig},
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        reflector::{self, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::{signal::unix, sync::Notify, time};

/// Changes within this time are written together.
const DEBOUNCE: Duration = Duration::from_millis(30);
/// Interval at which the rules are compared with the desired ones, in case other programs changed them.
const RESYNC: Duration = Duration::from_secs(5);

/// Enforces until SIGTERM or SIGINT. `kubeconfig` must allow watches of network policies, pods and namespaces.
///
/// # Errors
/// When the kubeconfig cannot be read. Failing watches and writes are reported and retried.
pub(crate) async fn run(kubeconfig: &Path) -> anyhow::Result<()> {
    let file = Kubeconfig::read_from(kubeconfig)
        .with_context(|| format!("reading the kubeconfig {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupt = unix::signal(unix::SignalKind::interrupt())?;

    let changed = Arc::new(Notify::new());
    let (namespaces, watch_namespaces) = store::<PartialObjectMeta<Namespace>>(&client, &changed);
    let (pods, watch_pods) = store::<DeserializeGuard<Pod>>(&client, &changed);
    let (policies, watch_policies) = store::<DeserializeGuard<NetworkPolicy>>(&client, &changed);
    let watch = async { tokio::join!(watch_namespaces, watch_pods, watch_policies) };

    let enforce = async {
        // Before the first complete list, an empty store would mean "no policies", so the rules stay unchanged.
        tokio::try_join!(
            namespaces.wait_until_ready(),
            pods.wait_until_ready(),
            policies.wait_until_ready()
        )?;
        let mut last = None;
        loop {
            let (namespaces, pods, policies) = (namespaces.state(), pods.state(), policies.state());
            let snapshot = snapshot::Snapshot::new(
                namespaces.iter().map(AsRef::as_ref),
                pods.iter().map(AsRef::as_ref),
                policies.iter().map(AsRef::as_ref),
            );
            let chains = render::chains(&allow::isolated(&snapshot));
            match apply::apply(&chains, last.as_ref()).await {
                Ok(()) => last = Some(chains),
                Err(error) => eprintln!("the rules were not written: {error:#}; trying again"),
            }
            let _ = time::timeout(RESYNC, changed.notified()).await;
            time::sleep(DEBOUNCE).await;
        }
        #[expect(unreachable_code, reason = "gives the block its error type")]
        anyhow::Ok(())
    };

    tokio::select! {
        _ = watch => Ok(()),
        result = enforce => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// A store of all objects of a kind, and the future that fills it and reports every change.
fn store<K>(client: &Client, changed: &Arc<Notify>) -> (Store<K>, impl Future<Output = ()> + use<K>)
where
    K: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let stream = watcher(Api::<K>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .reflect(writer);
    let changed = changed.clone();
    let feed = stream.for_each(move |event| {
        match event {
            Ok(_) => changed.notify_one(),
            Err(error) => eprintln!("watching {}: {error}; trying again", K::plural(&())),
        }
        future::ready(())
    });
    (store, feed)
}
