//! The API server -> the operator's own keys, and the known key ConfigMaps (IO).

use std::time::Duration;

use api::names;
use futures::StreamExt as _;
use k8s_openapi::api::{core::v1::ConfigMap, core::v1::Secret};
use kit::rotating_keys;
use kube::{
    Api,
    runtime::watcher::{self, Event},
};

use super::NAME;
use crate::{cache::watch::events, context::Context};

/// How often the operator's keys are checked. New keys are stored an hour before they sign.
const CHECK_INTERVAL: Duration = Duration::from_mins(5);
/// Wait after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(15);

/// Keeps the own keys and the list of ConfigMaps up to date until it is dropped.
pub async fn maintain(context: &Context) {
    tokio::join!(rotate(context), follow(context));
}

async fn rotate(context: &Context) {
    loop {
        let wait = match renew(context).await {
            Ok(()) => CHECK_INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "the operator's keys could not be renewed");
                RETRY_INTERVAL
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Makes the operator's keys, or loads the stored ones, and rotates them when due.
///
/// # Errors
/// The Secret cannot be read or written, or holds other data.
pub async fn renew(context: &Context) -> anyhow::Result<()> {
    let installation = &context.installation;
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &installation.system_namespace);
    let labels = [
        (names::APP_NAME_LABEL, names::PRODUCT),
        (names::APP_COMPONENT_LABEL, "operator"),
        (names::APP_PART_OF_LABEL, names::PRODUCT),
        (names::APP_MANAGED_BY_LABEL, names::OPERATOR),
    ];
    let spec = kit::shared_secret::Spec {
        name: format!("{}-operator-keys", installation.release),
        type_: "Opaque",
        labels: labels
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        manager: names::OPERATOR,
    };
    let keys = rotating_keys::agree(&secrets, &spec, (context.now)().as_second()).await?;
    context.keys.signer().replace(&keys)?;
    context.stores.changes.send_replace(());
    Ok(())
}

/// Watches the ConfigMaps of that name in all watched namespaces. A watch by name needs no rights on other ConfigMaps.
async fn follow(context: &Context) {
    let objects: Api<ConfigMap> = context.installation.scope.api(context.client.clone());
    let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let mut events = events(objects, config).boxed();
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        let is_changed = match event {
            Event::Init => {
                listed.clear();
                false
            }
            Event::InitApply(object) => {
                listed.push(object);
                false
            }
            Event::InitDone => {
                context.keys.record_list(&std::mem::take(&mut listed));
                true
            }
            Event::Apply(object) => context.keys.record(&object),
            Event::Delete(object) => context.keys.record_loss(&object.metadata).is_some(),
        };
        // Triggers every controller that reconciles all objects.
        if is_changed {
            context.stores.changes.send_replace(());
        }
    }
}
