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
/// Time until the first one, and after the certificate for browsers was found to be of a replica with other settings. A rollout is over
/// or given up by then (`progressDeadlineSeconds`), and the replicas that it replaces have ended.
const ROLLOUT: Duration = Duration::from_mins(10);
const RETRY: Duration = Duration::from_mins(1);

/// TLS settings for new connections, replaced when certificates are renewed.
pub(crate) type TlsConfigs = watch::Receiver<Arc<ServerConfig>>;

/// The Secrets of the certificates, and the names in them.
#[derive(Debug, Clone)]
pub(crate) struct Pki {
    /// Those of `namespace`.
    pub(crate) secrets: Api<Secret>,
    /// First part of the Secrets' and the Service's names.
    pub(crate) release: String,
    pub(crate) namespace: String,
    /// Hosts of the certificate that the proxy serves. None: it comes from elsewhere.
    pub(crate) hosts: Vec<String>,
    /// Whether there is a portal, which needs a certificate.
    pub(crate) has_portal: bool,
    pub(crate) metrics: Metrics,
}

/// TLS settings of the listeners, and their inputs.
struct Made {
    config: Arc<ServerConfig>,
    authority: Pair,
    server: Pair,
    self_signed: Option<SelfSigned>,
}

impl Pki {
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
                    sleep(CHECK_INTERVAL).await;
                    pause = self.rollout().await;
                }
                Err(error) => {
                    warn!(%error, "certificates could not be renewed; this is retried");
                    pause = RETRY;
                }
            }
        }
    }

    /// How long to leave the certificate for browsers to a replica with other settings, if one has stored its own: a rollout may be in
    /// progress. Without that, the replicas that it replaces would put theirs back while users already work with the new hosts.
    async fn rollout(&self) -> Duration {
        let Self {
            secrets,
            release,
            hosts,
            ..
        } = self;
        // An error comes again when the certificates are made.
        if !hosts.is_empty()
            && self_signed::is_for_others(secrets, release, hosts)
                .await
                .unwrap_or(false)
        {
            info!(
                "the certificate for browsers is for other hosts; it is left to the replica that made it for some minutes"
            );
            return ROLLOUT;
        }
        Duration::ZERO
    }

    async fn make(&self, before: Option<&Made>, now: Timestamp) -> Result<Made, Error> {
        let (secrets, release, namespace) = (&self.secrets, &self.release, &self.namespace);
        // No other component holds the key of this authority.
        let spec = secret_spec(release, "gateway-ca", "Opaque");
        let new = |_| kit::pki::authority(&format!("{release} gateway"), now);
        let authority = shared_authority(secrets, spec, |_| true, new, now).await?;
        self.record_expiry("authority", &authority);
        // Mounted into the proxy's pod.
        let purpose = (&[][..], Purpose::Client);
        let spec = secret_spec(release, "proxy-client", "kubernetes.io/tls");
        let proxy_client = shared_leaf(secrets, spec, &authority, purpose, now).await?;
        self.record_expiry("proxy_client", &proxy_client);
        if self.has_portal {
            // The portal serves the proxy with it, and accepts the proxy's client certificate by its authority.
            let names = service_names(release, "portal", namespace);
            let spec = secret_spec(release, "portal-tls", "kubernetes.io/tls");
            let portal = shared_leaf(secrets, spec, &authority, (&names, Purpose::Server), now).await?;
            self.record_expiry("portal", &portal);
        }
        let own = before.and_then(|before| before.self_signed.as_ref());
        let own = own.map(|own| &own.authority);
        let self_signed = match self.hosts.as_slice() {
            [] => None,
            hosts => Some(self_signed::agree(secrets, release, hosts, own, now).await?),
        };
        if let Some(own) = &self_signed {
            self.record_expiry("self_signed_authority", &own.authority);
            self.record_expiry("self_signed", &own.leaf);
        }
        let is_valid = |before: &&Made| {
            before.authority == authority && !kit::pki::needs_renewal(&before.server.certificate, now)
        };
        let (config, server) = if let Some(before) = before.filter(is_valid) {
            (Arc::clone(&before.config), before.server.clone())
        } else {
            let names = own_names(release, namespace);
            let server = kit::pki::leaf(&authority, &names[0], &names, Purpose::Server, now)?;
            let certificate = kit::tls::Certificate::default();
            certificate.set(&server)?;
            let config = kit::tls::server_config(certificate, Some(&authority.certificate))?;
            (Arc::new(config), server)
        };
        self.record_expiry("server", &server);
        Ok(Made {
            config,
            authority,
            server,
            self_signed,
        })
    }

    fn record_expiry(&self, certificate: &'static str, pair: &Pair) {
        let end = kit::pki::ends(&pair.certificate);
        self.metrics.certificate_ends(certificate, end);
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
        Pki {
            secrets,
            release: "demo".to_owned(),
            namespace: "system".to_owned(),
            hosts: Vec::new(),
            has_portal: false,
            metrics: Metrics::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_replica_leaves_the_certificate_of_another_rollout_for_ten_minutes() {
        let (server, client) = ApiServer::start();
        let for_host = |host: &str| Pki {
            hosts: vec![host.to_owned()],
            ..pki(client.clone())
        };
        let certificate = || {
            stored(&server, "demo-proxy-self-signed")
                .remove(CERTIFICATE)
                .unwrap()
        };
        let (_, _, maintained) = for_host("earlier.example").open().await.unwrap();
        let earlier = tokio::spawn(maintained);
        let first = stored(&server, "demo-proxy-ca");
        sleep(ROLLOUT + CHECK_INTERVAL / 2).await;
        drop(for_host("later.example").open().await.unwrap());
        let later = certificate();
        sleep(CHECK_INTERVAL / 2 + ROLLOUT / 2).await;
        assert_eq!(certificate(), later);
        sleep(ROLLOUT).await;
        assert_ne!(certificate(), later);
        assert_eq!(stored(&server, "demo-proxy-ca"), first);
        earlier.abort();
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
        let names = own_names("demo", "system");
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
        let pki = Pki {
            has_portal: true,
            ..pki(client)
        };
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
