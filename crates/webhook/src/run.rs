//! Arguments -> watches, certificate and servers, until the process shuts down (IO).

use std::sync::Arc;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use kit::process;
use kit::readiness::{Gate, Readiness};
use kube::core::DeserializeGuard;
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Api, Client, Resource};
use prometheus_client::registry::Registry;
use rules::Settings;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::certificate::Reconciler;
use crate::lookups::{Cache, Lookups};
use crate::metrics::Metrics;
use crate::review::Accounts;
use crate::router;
use crate::validate::Rules;

/// Serves admission until the process shuts down.
///
/// # Errors
/// The settings are wrong ([`process::InvalidSetting`]), an address is in use, or the cluster is not configured.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let settings = process::file("settings-file", &args.settings_file, Settings::parse)?;
    let shutdown = kit::shutdown::on_signal()?;
    let client = api::response::readable(kit::client::new(api::names::WEBHOOK).await?);
    let listener = kit::bind(args.listen_address)
        .await
        .with_context(|| format!("--listen-address {}", args.listen_address))?;

    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let readiness = Readiness::default();
    let (serving, templates_gate) = (
        readiness.gate("the end"),
        readiness.gate("the cache of templates"),
    );
    serving.open();
    let (templates, watch_templates) = reflect(client.clone(), templates_gate);
    let (managers, watch_managers) = reflect(client.clone(), readiness.gate("the cache of managers"));
    let (profiles, watch_profiles) = reflect(client.clone(), readiness.gate("the cache of profiles"));
    let certificate = kit::tls::Certificate::default();
    let config = kit::tls::server_config(certificate.clone(), None)?;
    let in_place = readiness.gate("the certificate and its authority in the webhook configurations");
    let reconciler = Reconciler::new(
        client.clone(),
        &args.namespace,
        &args.release_name,
        certificate,
        in_place,
        metrics.clone(),
    );
    let accounts = Accounts {
        operator: args.operator_service_account,
        gateway: args.gateway_service_account,
        controllers: args.controller_users,
    };
    let rules = Rules::new(settings, accounts, args.enforcement);
    let lookups = Lookups::new(client, templates, managers, profiles);
    let router = router::router(rules, lookups, metrics);

    tracing::info!(version = env!("CARGO_PKG_VERSION"), address = %args.listen_address, "the webhook starts");
    tokio::select! {
        () = kit::https::serve(listener, Arc::new(config), router, kit::https::IDLE, shutdown.clone()) => Ok(()),
        () = end_readiness(shutdown, serving) => bail!("the signal handler ended"),
        () = reconciler.run() => bail!("the reconciler of the certificate ended"),
        () = watch_templates => bail!("the watch of templates ended"),
        () = watch_managers => bail!("the watch of managers ended"),
        () = watch_profiles => bail!("the watch of profiles ended"),
        ended = kit::admin::serve(args.admin_address, readiness, Arc::new(registry), CancellationToken::new()) => {
            ended.with_context(|| format!("--admin-address {}", args.admin_address))
        }
    }
}

/// Ends readiness on `shutdown`. Never returns.
async fn end_readiness(shutdown: CancellationToken, serving: Gate) {
    shutdown.cancelled().await;
    serving.close();
    std::future::pending::<()>().await;
}

/// A store of all objects of type `K`, and the watch that fills it. `gate` opens after the first list.
fn reflect<K>(client: Client, gate: Gate) -> (Cache<K>, impl Future<Output = ()>)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store::<DeserializeGuard<K>>();
    let events = watcher(Api::all(client), watcher::Config::default()).default_backoff();
    let events = reflector(writer, events);
    let watch = async move {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::InitDone) => gate.open(),
                Ok(_) => {}
                Err(error) => tracing::warn!(kind = %K::kind(&()), %error, "a watch is interrupted"),
            }
        }
    };
    (store, watch)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::WorkspaceTemplate;
    use testkit::api_server::ApiServer;
    use testkit::objects::{deep_template, template};

    use super::*;

    #[tokio::test]
    async fn it_gets_ready_beside_a_template_that_is_too_deep_to_be_read() {
        let (server, client) = ApiServer::start();
        server.put(&deep_template("deep", 125));
        server.put(&template("good"));
        let readiness = Readiness::default();
        let client = api::response::readable(client);
        let (store, watch) = reflect::<WorkspaceTemplate>(client, readiness.gate("templates"));
        tokio::spawn(watch);
        let ready = tokio::time::timeout(Duration::from_secs(20), store.wait_until_ready()).await;
        assert!(ready.is_ok(), "{:?}", readiness.missing());
        assert_eq!(store.state().len(), 2);
        // As an event, too.
        server.put(&deep_template("later", 300));
        while store.state().len() < 3 {
            tokio::task::yield_now().await;
        }
    }
}
