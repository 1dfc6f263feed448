//! Configuration of a cluster -> a client, with the credentials of a plugin if it has one (IO).

use std::sync::Arc;

use anyhow::{Context as _, bail};
use http::{HeaderValue, Request, Uri};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::jiff::Timestamp;
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use secrecy::ExposeSecret as _;
use tokio::sync::Mutex;
use tower::{BoxError, ServiceBuilder};

use super::plugin::Plugin;
use crate::proxy::Proxy;

/// The way to a cluster.
pub(super) struct Way {
    pub(super) config: Config,
    pub(super) proxy: Option<Proxy>,
}

impl Way {
    /// A client by the configuration's own credentials.
    pub(super) fn client(self) -> anyhow::Result<Client> {
        let token = self.config.auth_info.token.as_ref();
        // The library ends at such a one.
        if token.is_some_and(|token| HeaderValue::from_str(token.expose_secret()).is_err()) {
            bail!("the token of the kubeconfig's user must be one line of ASCII characters");
        }
        let made = match self.proxy {
            Some(proxy) => client_through(proxy, &self.config),
            None => Client::try_from(self.config),
        };
        made.context("the cluster's configuration cannot be used")
    }

    /// A client by the credentials of a plugin. It is run now, and again when they have expired.
    pub(super) async fn client_by(self, plugin: Plugin) -> anyhow::Result<Client> {
        let namespace = self.config.default_namespace.clone();
        let source = Source {
            way: self,
            plugin: Arc::new(plugin),
        };
        let made = Mutex::new(source.make().await?);
        let shared = Arc::new((source, made));
        let service = tower::service_fn(move |request: Request<Body>| {
            let shared = shared.clone();
            async move {
                let (source, made) = &*shared;
                let client = source.current(made).await?;
                client.send(request).await.map_err(BoxError::from)
            }
        });
        Ok(Client::new(service, namespace))
    }
}

/// A client, and until when its credentials are valid.
type Made = (Client, Option<Timestamp>);

/// What clients are made of.
struct Source {
    way: Way,
    plugin: Arc<Plugin>,
}

impl Source {
    async fn make(&self) -> anyhow::Result<Made> {
        let plugin = self.plugin.clone();
        let credentials = tokio::task::spawn_blocking(move || plugin.run()).await??;
        let mut config = self.way.config.clone();
        let end = credentials.put_into(&mut config.auth_info);
        let proxy = self.way.proxy.clone();
        Ok((Way { config, proxy }.client()?, end))
    }

    async fn current(&self, made: &Mutex<Made>) -> anyhow::Result<Client> {
        let mut made = made.lock().await;
        if made.1.is_some_and(|end| Timestamp::now() > end) {
            *made = self.make().await?;
        }
        Ok(made.0.clone())
    }
}

/// Does what `Client::try_from` does, by a proxy.
fn client_through(proxy: Proxy, config: &Config) -> kube::Result<Client> {
    let connect = tower::service_fn(move |to: Uri| {
        let proxy = proxy.clone();
        async move { proxy.connect(to).await }
    });
    let secured = config.rustls_https_connector_with_connector(connect)?;
    let sender = legacy::Client::builder(TokioExecutor::new()).build(secured);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(sender);
    Ok(Client::new(service, config.default_namespace.clone()))
}
