//! Secret and webhook configurations -> a serving certificate that the API server trusts (IO).
//!
//! All replicas run this. The Secret decides: the replicas follow the first writer, and derive the
//! webhook configurations from it. An authority is in the configurations before a certificate of it
//! is served. The previous authority stays there while other replicas still serve its certificate.
//!
//! - `renewal`: stored certificates -> new ones

mod renewal;

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use kit::readiness::Gate;
use kit::shared_secret;
use kit::tls::Certificate;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::metrics::Metrics;

/// Interval of reconciles when nothing changes.
const CHECK_EVERY: Duration = Duration::from_hours(1);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(1);
/// Number of attempts to write the authority when another writer changes the configuration at the same time.
const ATTEMPTS: usize = 5;

/// Why the certificate is not in place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The Secret cannot be read or agreed on.
    #[error(transparent)]
    Secret(#[from] shared_secret::Error),
    /// The Secret holds no usable certificate.
    #[error("the serving certificate cannot be used: {0}")]
    Certificate(#[from] kit::tls::Error),
    /// The authority cannot be written into a webhook configuration.
    #[error("{kind} {name:?}: the certificate authority cannot be put in: {source}")]
    Inject {
        /// Kind of the configuration.
        kind: String,
        /// Its name.
        name: String,
        /// Error of the API server.
        source: Box<kube::Error>,
    },
    /// Another writer keeps changing the configuration.
    #[error("{kind} {name:?}: other writers keep changing it")]
    Contended {
        /// Kind of the configuration.
        kind: String,
        /// Its name.
        name: String,
    },
}

/// Maintains the serving certificate.
pub(crate) struct Reconciler {
    client: Client,
    namespace: String,
    /// Name of the Service and of both webhook configurations.
    name: String,
    certificate: Certificate,
    in_place: Gate,
    metrics: Metrics,
}

impl Reconciler {
    /// `release` is the Helm release. Service and both webhook configurations are named `<release>-webhook`.
    /// `in_place` opens when the certificate is served and trusted.
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        release: &str,
        certificate: Certificate,
        in_place: Gate,
        metrics: Metrics,
    ) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            name: format!("{release}-webhook"),
            certificate,
            in_place,
            metrics,
        }
    }

    /// Reconciles now, when one of the three objects changes, and every hour. Never ends.
    pub(crate) async fn run(&self) {
        let mut changes = pin!(self.changes());
        let mut retry = FIRST_RETRY;
        loop {
            let pause = match self.reconcile(Timestamp::now()).await {
                Ok(()) => {
                    retry = FIRST_RETRY;
                    CHECK_EVERY
                }
                Err(error) => {
                    tracing::warn!(%error, "the serving certificate is not in place");
                    let pause = retry;
                    retry = (retry * 2).min(LAST_RETRY);
                    pause
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Some(()) = changes.next() => {}
            }
        }
    }

    /// One reconcile: agrees on the Secret's content, writes the authority for the API server, then serves.
    pub(crate) async fn reconcile(&self, now: Timestamp) -> Result<(), Error> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let names = [format!("{}.{}.svc", self.name, self.namespace)];
        let data = shared_secret::agree(&secrets, &self.secret(), |stored| {
            renewal::renew(stored, &names, now)
        })
        .await?;
        let bundle = renewal::bundle(&data);
        self.inject(&ApiResource::erase::<MutatingWebhookConfiguration>(&()), &bundle)
            .await?;
        self.inject(
            &ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
            &bundle,
        )
        .await?;
        let serving = renewal::serving(&data);
        self.certificate.set(&serving)?;
        for (name, certificate) in [
            ("server", &serving.certificate),
            ("authority", &renewal::authority(&data)),
        ] {
            self.metrics.certificate_ends(name, kit::pki::ends(certificate));
        }
        self.in_place.open();
        Ok(())
    }

    fn secret(&self) -> shared_secret::Spec {
        let labels = [
            (api::names::APP_NAME_LABEL, api::names::PRODUCT),
            (api::names::APP_COMPONENT_LABEL, "webhook"),
            (api::names::APP_PART_OF_LABEL, api::names::PRODUCT),
            (api::names::APP_MANAGED_BY_LABEL, api::names::WEBHOOK),
        ];
        shared_secret::Spec {
            name: self.secret_name(),
            type_: "kubernetes.io/tls",
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            manager: api::names::WEBHOOK,
        }
    }

    fn secret_name(&self) -> String {
        format!("{}-cert", self.name)
    }

    /// Writes `bundle` into every webhook of a configuration that has another bundle.
    async fn inject(&self, resource: &ApiResource, bundle: &str) -> Result<(), Error> {
        let failed = |source| Error::Inject {
            kind: resource.kind.clone(),
            name: self.name.clone(),
            source: Box::new(source),
        };
        let configurations: Api<DynamicObject> = Api::all_with(self.client.clone(), resource);
        let params = PatchParams {
            field_manager: Some(api::names::WEBHOOK.to_owned()),
            ..PatchParams::default()
        };
        for _ in 0..ATTEMPTS {
            let stored = configurations.get(&self.name).await.map_err(failed)?;
            let Some(patch) = injection(&stored, bundle) else {
                return Ok(());
            };
            match configurations
                .patch(&self.name, &params, &Patch::<DynamicObject>::Json(patch))
                .await
            {
                Ok(_) => {
                    tracing::info!(
                        kind = resource.kind,
                        name = self.name,
                        "the certificate authority is put in"
                    );
                    return Ok(());
                }
                // Another writer changed the configuration meanwhile: read it again.
                Err(kube::Error::Api(status)) if matches!(status.code, 409 | 422) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(Error::Contended {
            kind: resource.kind.clone(),
            name: self.name.clone(),
        })
    }

    /// One item whenever the Secret or one of the configurations changes.
    fn changes(&self) -> impl Stream<Item = ()> + use<> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = watch(secrets, &self.secret_name());
        let mutating = watch(
            Api::<MutatingWebhookConfiguration>::all(self.client.clone()),
            &self.name,
        );
        let validating = watch(
            Api::<ValidatingWebhookConfiguration>::all(self.client.clone()),
            &self.name,
        );
        futures::stream::select_all([secret, mutating, validating])
    }
}

/// The error without the server's answer, because one of the objects is a Secret.
fn message(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => kit::api_error::message(error),
        error => error.to_string(),
    }
}

fn watch<K>(api: Api<K>, name: &str) -> futures::stream::BoxStream<'static, ()>
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    watcher(api, config)
        .default_backoff()
        .filter_map(async |event| {
            event
                .inspect_err(|error| tracing::debug!(error = message(error), "a watch is interrupted"))
                .ok()
                .map(drop)
        })
        .boxed()
}

/// The JSON patch that makes every webhook of `configuration` trust `bundle`; `None` when all do.
fn injection(configuration: &DynamicObject, bundle: &str) -> Option<json_patch::Patch> {
    let wanted = json!(ByteString(bundle.as_bytes().to_vec()));
    let webhooks = configuration.data["webhooks"].as_array()?;
    let steps: Vec<Value> = (0..)
        .zip(webhooks)
        .filter(|(_, webhook)| webhook["clientConfig"]["caBundle"] != wanted)
        .map(|(index, _): (usize, _)| {
            json!({"op": "add", "path": format!("/webhooks/{index}/clientConfig/caBundle"), "value": wanted})
        })
        .collect();
    if steps.is_empty() {
        return None;
    }
    // Indices of a list are only right for the version that was read.
    let version = configuration
        .metadata
        .resource_version
        .as_deref()
        .unwrap_or_default();
    let mut patch = vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": version})];
    patch.extend(steps);
    serde_json::from_value(Value::Array(patch)).ok()
}

#[cfg(test)]
mod tests;
