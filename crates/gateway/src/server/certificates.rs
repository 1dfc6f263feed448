//! the gateway's namespace -> private authority, client and server certificates (IO).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kit::pki::{Pair, Purpose};
use kube::Api;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use super::pairs::{Error, secret_spec, shared_authority, shared_leaf};
use super::self_signed::{self, SelfSigned};
use crate::metrics::Metrics;

/// Interval of expiry checks, and the shorter one after a failure.
const CHECK_INTERVAL: Duration = Duration::from_hours(1);
/// Time until the first one, and until the next one after the certificate for browsers was left to a replica with other hosts. A rollout
/// is over or given up by then (`progressDeadlineSeconds`), and a replica with earlier settings that restarted meanwhile has ended.
const ROLLOUT: Duration = Duration::from_mins(10);
const RETRY: Duration = Duration::from_mins(1);

/// TLS settings for new connections, replaced when certificates are renewed.
pub(crate) type TlsConfigs = watch::Receiver<Arc<ServerConfig>>;

/// The Secrets of the certificates, and the names in them.
#[derive(Debug, Clone)]
pub(crate) struct Pki {
    secrets: Api<Secret>,
    release: String,
    namespace: String,
    /// Hosts of the certificate that the proxy serves. None: it comes from elsewhere.
    hosts: Vec<String>,
    has_portal: bool,
    metrics: Metrics,
}

/// TLS settings of the listeners, and their inputs.
struct Made {
    config: Arc<ServerConfig>,
    authority: Pair,
    server: Pair,
    self_signed: Option<SelfSigned>,
}

impl Pki {
    /// `secrets`: those of `namespace`; `release`: first part of the Secrets' and the Service's names.
    pub(crate) fn new(secrets: Api<Secret>, release: &str, namespace: &str, metrics: Metrics) -> Self {
        Self {
            secrets,
            release: release.to_owned(),
            namespace: namespace.to_owned(),
            hosts: Vec::new(),
            has_portal: false,
            metrics,
        }
    }

    /// Also makes the certificate that the proxy serves to browsers, for these hosts, unless there are none.
    #[must_use]
    pub(crate) fn self_signing(mut self, hosts: &[String]) -> Self {
        self.hosts = hosts.to_vec();
        self
    }

    /// Also makes the portal's certificate, if there is a portal.
    #[must_use]
    pub(crate) fn with_portal(self, has_portal: bool) -> Self {
        Self { has_portal, ..self }
    }

    /// Shares the authority and the proxy's certificate with the other replicas, and issues a server certificate. The receiver
    /// holds the TLS settings for new connections. The text is the authority (PEM) that browsers must trust, if it is the gateway's own.
    /// The future renews all certificates for as long as it runs.
    ///
    /// # Errors
    /// A Secret cannot be read or written, or has unusable content.
    pub(crate) async fn open(
        self,
    ) -> Result<
        (
            watch::Receiver<Arc<ServerConfig>>,
            Option<String>,
            impl Future<Output = ()> + Send + 'static,
        ),
        Error,
    > {
        let made = self.make(None, Timestamp::now()).await?;
        let (configs, receiver) = watch::channel(Arc::clone(&made.config));
        let own = made.self_signed.as_ref();
        let trusted = own.map(|own| own.authority.certificate.clone());
        Ok((receiver, trusted, self.maintain(made, configs)))
    }

    async fn maintain(self, mut made: Made, configs: watch::Sender<Arc<ServerConfig>>) {
        let mut pause = ROLLOUT;
        loop {
            sleep(pause).await;
            match self.make(Some(&made), Timestamp::now()).await {
                Ok(next) => {
                    if !Arc::ptr_eq(&next.config, &made.config) {
                        info!("server certificate renewed");
                        configs.send_replace(Arc::clone(&next.config));
                    }
                    made = next;
                    let gave_way = made.self_signed.as_ref().is_some_and(|own| own.gave_way);
                    pause = if gave_way { ROLLOUT } else { CHECK_INTERVAL };
                }
                Err(error) => {
                    warn!(%error, "certificates could not be renewed; this is retried");
                    pause = RETRY;
                }
            }
        }
    }

    async fn make(&self, before: Option<&Made>, now: Timestamp) -> Result<Made, Error> {
        let made = self.made(before, now).await?;
        self.record_expiry("authority", &made.authority);
        self.record_expiry("server", &made.server);
        if let Some(own) = &made.self_signed {
            self.record_expiry("self_signed_authority", &own.authority);
            self.record_expiry("self_signed", &own.leaf);
        }
        Ok(made)
    }

    fn record_expiry(&self, certificate: &'static str, pair: &Pair) {
        let end = kit::pki::ends(&pair.certificate);
        self.metrics.certificate_ends(certificate, end);
    }

    async fn made(&self, before: Option<&Made>, now: Timestamp) -> Result<Made, Error> {
        let authority = self.authority(now).await?;
        self.proxy_client(&authority, now).await?;
        if self.has_portal {
            self.portal(&authority, now).await?;
        }
        let (secrets, release) = (&self.secrets, &self.release);
        let own = before.and_then(|before| before.self_signed.as_ref());
        let self_signed = match (self.hosts.as_slice(), own) {
            ([], _) => None,
            (hosts, None) => Some(self_signed::agree(secrets, release, hosts, now).await?),
            (hosts, Some(own)) => Some(self_signed::look_after(secrets, release, hosts, own, now).await?),
        };
        let names = self.names();
        if let Some(before) = before
            && before.authority == authority
            && !kit::pki::needs_renewal(&before.server.certificate, now)
        {
            let (config, server) = (Arc::clone(&before.config), before.server.clone());
            return Ok(Made {
                config,
                authority,
                server,
                self_signed,
            });
        }
        let server = kit::pki::leaf(&authority, &names[0], &names, Purpose::Server, now)?;
        let certificate = kit::tls::Certificate::default();
        certificate.set(&server)?;
        let config = Arc::new(kit::tls::server_config(
            certificate,
            Some(&authority.certificate),
        )?);
        Ok(Made {
            config,
            authority,
            server,
            self_signed,
        })
    }

    /// The authority of this release's gateway; no other component holds its key.
    async fn authority(&self, now: Timestamp) -> Result<Pair, Error> {
        let spec = secret_spec(&self.release, "gateway-ca", "Opaque");
        let make = || kit::pki::authority(&format!("{} gateway", self.release), now);
        shared_authority(&self.secrets, spec, |_| true, make, now).await
    }

    /// The client certificate of the proxy, mounted into the proxy's pod.
    async fn proxy_client(&self, authority: &Pair, now: Timestamp) -> Result<(), Error> {
        let spec = secret_spec(&self.release, "proxy-client", "kubernetes.io/tls");
        let stored = shared_leaf(&self.secrets, spec, authority, (&[], Purpose::Client), now).await?;
        self.record_expiry("proxy_client", &stored);
        Ok(())
    }

    /// The certificate by which the portal serves the proxy, mounted into the portal's pods. Its authority is also that of the proxy's
    /// client certificate.
    async fn portal(&self, authority: &Pair, now: Timestamp) -> Result<(), Error> {
        let spec = secret_spec(&self.release, "portal-tls", "kubernetes.io/tls");
        let names = service_names(&self.release, "portal", &self.namespace);
        let stored = shared_leaf(&self.secrets, spec, authority, (&names, Purpose::Server), now).await?;
        self.record_expiry("portal", &stored);
        Ok(())
    }

    /// Names under which the proxy reaches this process.
    fn names(&self) -> Vec<String> {
        own_names(&self.release, &self.namespace)
    }
}

/// The gateway's names inside the cluster: those of its Service.
pub(crate) fn own_names(release: &str, namespace: &str) -> Vec<String> {
    service_names(release, "gateway", namespace)
}

fn service_names(release: &str, component: &str, namespace: &str) -> Vec<String> {
    let service = format!("{release}-{component}");
    vec![format!("{service}.{namespace}.svc"), service]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::SignedDuration;
    use testkit::api_server::ApiServer;

    use kit::shared_secret::Data;

    use super::*;
    use crate::server::pairs::{AUTHORITY, CERTIFICATE, KEY, pair};

    fn pki(client: kube::Client) -> Pki {
        let secrets = Api::namespaced(client, "system");
        Pki::new(secrets, "demo", "system", Metrics::default())
    }

    /// The lines of /metrics about the expiry of certificates, sorted.
    fn metric_lines(pki: &Pki) -> Vec<String> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &pki.metrics.registry()).unwrap();
        let name = "jupyter_k8s_gateway_certificate_end_timestamp_seconds{";
        let mut metric_lines: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .map(str::to_owned)
            .collect();
        metric_lines.sort();
        metric_lines
    }

    fn ends(authority: Timestamp, leaf: Timestamp) -> Vec<String> {
        [("authority", authority), ("proxy_client", leaf), ("server", leaf)]
            .map(|(name, end)| format!("certificate=\"{name}\"}} {}", end.as_second()))
            .into()
    }

    fn stored(server: &ApiServer, name: &str) -> Data {
        let secret: Secret = server.get(Some("system"), name).unwrap();
        secret
            .data
            .unwrap()
            .into_iter()
            .map(|(key, value)| (key, value.0))
            .collect::<BTreeMap<_, _>>()
    }

    #[tokio::test]
    async fn replicas_that_start_together_agree_on_one_authority_and_one_proxy_certificate() {
        let (server, client) = ApiServer::start();
        let now = Timestamp::now();
        let replicas: Vec<Pki> = (0..3).map(|_| pki(client.clone())).collect();
        let made = futures::future::try_join_all(replicas.iter().map(|replica| replica.make(None, now)))
            .await
            .unwrap();
        let authority = stored(&server, "demo-gateway-ca");
        assert!(
            made.iter()
                .all(|made| Some(&made.authority) == pair(&authority).as_ref())
        );
        let proxy = stored(&server, "demo-proxy-client");
        assert_eq!(proxy[AUTHORITY], authority[CERTIFICATE]);
        assert!(
            !proxy.values().any(|value| *value == authority[KEY]),
            "only this process has the authority's key"
        );
        let names = pki(client).names();
        assert_eq!(names, ["demo-gateway.system.svc", "demo-gateway"]);
        for made in &made {
            assert!(kit::pki::is_for(
                &made.server.certificate,
                &made.authority.certificate,
                &names
            ));
        }
    }

    #[tokio::test]
    async fn the_portal_has_a_certificate_for_its_service_which_is_renewed_and_only_while_it_is_on() {
        let (server, client) = ApiServer::start();
        let now = Timestamp::now();
        pki(client.clone()).make(None, now).await.unwrap();
        assert!(server.get::<Secret>(Some("system"), "demo-portal-tls").is_none());
        let pki = pki(client).with_portal(true);
        let made = pki.make(None, now).await.unwrap();
        let first = stored(&server, "demo-portal-tls");
        let names = ["demo-portal.system.svc".to_owned(), "demo-portal".to_owned()];
        let authority = &made.authority.certificate;
        assert_eq!(first[AUTHORITY], authority.as_bytes());
        assert!(kit::pki::is_for(
            &pair(&first).unwrap().certificate,
            authority,
            &names
        ));
        assert!(
            !first
                .values()
                .any(|value| *value == made.authority.key.as_bytes())
        );
        let soon = now + SignedDuration::from_hours(24);
        let made = pki.make(Some(&made), soon).await.unwrap();
        assert_eq!(stored(&server, "demo-portal-tls"), first);
        let late = now + kit::pki::LEAF_VALIDITY / 3 * 2 + SignedDuration::from_hours(1);
        pki.make(Some(&made), late).await.unwrap();
        let renewed = stored(&server, "demo-portal-tls");
        assert_ne!(renewed[CERTIFICATE], first[CERTIFICATE]);
        let end = (late + kit::pki::LEAF_VALIDITY).as_second();
        assert!(metric_lines(&pki).contains(&format!("certificate=\"portal\"}} {end}")));
    }

    #[tokio::test]
    async fn nothing_is_written_and_nothing_replaced_while_all_is_valid() {
        let (server, client) = ApiServer::start();
        let now = Timestamp::now();
        let pki = pki(client);
        let made = pki.make(None, now).await.unwrap();
        server.take_calls();
        let later = pki
            .make(Some(&made), now + SignedDuration::from_hours(24))
            .await
            .unwrap();
        assert!(Arc::ptr_eq(&later.config, &made.config));
        assert!(server.take_calls().iter().all(|call| !call.is_write()));
    }

    #[tokio::test]
    async fn leaves_are_renewed_when_a_third_of_their_life_is_left() {
        let (server, client) = ApiServer::start();
        let now = Timestamp::now();
        let pki = pki(client);
        let made = pki.make(None, now).await.unwrap();
        let proxy = stored(&server, "demo-proxy-client");
        let late = now + kit::pki::LEAF_VALIDITY / 3 * 2 + SignedDuration::from_hours(1);
        let (first, authority) = (now + kit::pki::LEAF_VALIDITY, now + kit::pki::AUTHORITY_VALIDITY);
        assert_eq!(metric_lines(&pki), ends(authority, first));
        let renewed = pki.make(Some(&made), late).await.unwrap();
        assert_eq!(
            metric_lines(&pki),
            ends(authority, late + kit::pki::LEAF_VALIDITY)
        );
        assert_eq!(renewed.authority, made.authority);
        assert_ne!(renewed.server, made.server);
        assert!(!Arc::ptr_eq(&renewed.config, &made.config));
        assert_ne!(stored(&server, "demo-proxy-client"), proxy);
    }

    #[tokio::test]
    async fn an_unreadable_authority_is_replaced_with_everything_that_it_signed() {
        let (server, client) = ApiServer::start();
        let now = Timestamp::now();
        let pki = pki(client);
        let made = pki.make(None, now).await.unwrap();
        server.edit::<Secret>(Some("system"), "demo-gateway-ca", |secret| {
            secret["data"][KEY] = "bm90IGEga2V5".into();
        });
        let renewed = pki.make(Some(&made), now).await.unwrap();
        assert_ne!(renewed.authority, made.authority);
        assert_ne!(renewed.server, made.server);
        assert_eq!(
            stored(&server, "demo-proxy-client")[AUTHORITY],
            renewed.authority.certificate.into_bytes()
        );
    }
}
