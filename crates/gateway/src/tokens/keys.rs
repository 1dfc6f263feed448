//! stored master keys -> current sealing keys and signer; publishes the public keys (IO).

use std::sync::Arc;
use std::time::Duration;

use api::names;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kit::assertion_signer::{Signer, SigningError};
use kit::rotating_keys::{self, MasterKey};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::tokens::random::CryptoError;
use crate::tokens::seal::{KeyId, KeyRing, SealingKey};

/// How often a replica reads the stored keys.
const POLL: Duration = Duration::from_secs(45);

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The master keys are missing or unreadable.
    #[error("{0} (all users must then sign in again)")]
    Master(#[from] rotating_keys::Error),
    /// A key could not be used.
    #[error(transparent)]
    Seal(#[from] CryptoError),
    /// A key could not be used.
    #[error(transparent)]
    Sign(#[from] SigningError),
    /// The public keys could not be published.
    #[error("ConfigMap {name:?}: {0}", name = names::ASSERTION_KEYS)]
    Publish(Box<kube::Error>),
}

/// The Secret with the keys. Every replica keeps it up to date.
pub struct KeyStore {
    secrets: Api<Secret>,
    spec: kit::shared_secret::Spec,
    public: Api<ConfigMap>,
    clock: Clock,
    metrics: Metrics,
    ring: Arc<KeyRing>,
    signer: Arc<Signer>,
}

impl KeyStore {
    /// Reads the keys, or makes the first ones. `public`: the ConfigMap from which workspaces' pods get the public keys for
    /// assertions. If it cannot be written, this is logged, and the start continues.
    ///
    /// # Errors
    /// The Secret cannot be read or written, or has other content.
    pub async fn open(
        secrets: Api<Secret>,
        spec: kit::shared_secret::Spec,
        public: Api<ConfigMap>,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, KeysError> {
        let store = Self {
            secrets,
            spec,
            public,
            clock,
            metrics,
            ring: Arc::new(KeyRing::new(Vec::new())),
            signer: Arc::default(),
        };
        match store.refresh().await {
            Err(error @ KeysError::Publish(_)) => {
                tracing::warn!(%error, "public keys cannot be published: workspaces may refuse everybody");
            }
            refreshed => refreshed?,
        }
        Ok(store)
    }

    /// The present sealing keys, replaced as they rotate.
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.clone()
    }

    /// Signs assertions, with keys that are replaced as they rotate.
    pub fn signer(&self) -> Arc<Signer> {
        self.signer.clone()
    }

    /// Rotates due keys, reads those that other replicas stored, and publishes the public keys. Only then do they sign, except at the
    /// start: before, pods could not verify the signature.
    ///
    /// # Errors
    /// As for [`KeyStore::open`], or the public keys cannot be published. Then the signer does not change.
    pub async fn refresh(&self) -> Result<(), KeysError> {
        let keys = rotating_keys::agree(&self.secrets, &self.spec, self.clock.now()).await?;
        let sealing = keys.iter().map(sealing_key).collect::<Result<_, _>>()?;
        let next = Signer::default();
        next.replace(&keys)?;
        self.ring.replace(sealing);
        let published = self.publish(next.key_set()).await;
        // A replica that has just started has no other keys. Its active key was published an hour before it signs.
        if published.is_ok() || self.signer.is_empty() {
            self.signer.replace(&keys)?;
        }
        published.map_err(|error| {
            self.metrics.count_failed_publication();
            KeysError::Publish(Box::new(error))
        })
    }

    /// Writes the public keys if they differ from the stored ones. The chart owns the object; it is created again if it was deleted.
    /// Only this entry of it is the gateway's.
    async fn publish(&self, wanted: String) -> Result<(), kube::Error> {
        let stored = self.public.get_opt(names::ASSERTION_KEYS).await?;
        let data = stored.and_then(|object| object.data);
        if data.is_some_and(|data| data.get(names::GATEWAY_KEYS) == Some(&wanted)) {
            return Ok(());
        }
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": names::ASSERTION_KEYS},
            "data": {names::GATEWAY_KEYS: wanted},
        });
        let params = PatchParams::apply(names::GATEWAY).force();
        let patch = Patch::Apply(object);
        self.public
            .patch(names::ASSERTION_KEYS, &params, &patch)
            .await
            .map(drop)
    }

    /// Refreshes forever. A failure leaves the keys unchanged: they stay valid for hours.
    pub async fn maintain(self) {
        loop {
            tokio::time::sleep(POLL).await;
            if let Err(error) = self.refresh().await {
                tracing::warn!(secret = %self.spec.name, %error, "keys could not be refreshed");
            }
        }
    }
}

fn sealing_key(key: &MasterKey) -> Result<SealingKey, CryptoError> {
    let id = KeyId::from_hex(&key.id).ok_or(CryptoError)?;
    SealingKey::derive(id, key.active_from, &key.bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kit::assertion_signer::Claims;

    use super::*;
    use crate::tokens::seal::Purpose;

    const HOUR: i64 = 60 * 60;

    async fn opened(client: &kube::Client, name: &str, clock: &Clock) -> Result<KeyStore, KeysError> {
        let spec = kit::shared_secret::Spec {
            name: name.to_owned(),
            type_: "Opaque",
            labels: BTreeMap::new(),
            manager: names::GATEWAY,
        };
        let secrets = Api::namespaced(client.clone(), "system");
        let public = Api::namespaced(client.clone(), "system");
        KeyStore::open(secrets, spec, public, clock.clone(), Metrics::default()).await
    }

    #[tokio::test]
    async fn replicas_agree_on_one_key_set_open_what_others_seal_and_publish_what_they_sign_by() {
        let (server, client) = testkit::api_server::ApiServer::start();
        let clock = Clock::manual(1000);
        let open = || opened(&client, "jupyter-k8s-gateway-keys", &clock);
        let (one, two) = tokio::join!(open(), open());
        let (one, two) = (one.unwrap(), two.unwrap());
        let sealed = one.ring().seal(Purpose::Ticket, "", &1, 1000).unwrap();
        assert_eq!(two.ring().open::<i32>(Purpose::Ticket, "", &sealed.text), Some(1));
        let published = || {
            let object: ConfigMap = server.get(Some("system"), names::ASSERTION_KEYS).unwrap();
            object.data.unwrap()[names::GATEWAY_KEYS].clone()
        };
        assert_eq!(published(), one.signer().key_set());
        assert_eq!(published(), two.signer().key_set());

        clock.advance(23 * HOUR);
        one.refresh().await.unwrap();
        two.refresh().await.unwrap();
        server.take_calls();
        two.refresh().await.unwrap();
        assert!(
            !server
                .take_calls()
                .iter()
                .any(testkit::api_server::Call::is_write)
        );
        let now = clock.now();
        let early = one.signer().sign(&Claims::new("i", "a", "s", now)).unwrap();
        let ahead = published();
        clock.advance(HOUR);
        let next = one.ring().seal(Purpose::Ticket, "", &2, clock.now()).unwrap();
        assert_ne!(next.key_id, sealed.key_id);
        assert_eq!(two.ring().open::<i32>(Purpose::Ticket, "", &next.text), Some(2));
        assert_eq!(two.ring().open::<i32>(Purpose::Ticket, "", &sealed.text), Some(1));
        let late = one
            .signer()
            .sign(&Claims::new("i", "a", "s", clock.now()))
            .unwrap();
        let header = |token: &str| token.split('.').next().unwrap().to_owned();
        assert_ne!(header(&early), header(&late), "another key signs");
        assert_eq!(published(), ahead, "which was published an hour before");
    }

    #[tokio::test]
    async fn keys_are_made_of_256_random_bits_and_lie_in_a_secret_and_in_nothing_else_that_is_written() {
        let (server, client) = testkit::api_server::ApiServer::start();
        let clock = Clock::manual(1000);
        let open = async |name: &str| opened(&client, name, &clock).await.unwrap();
        // Two installations: neither name nor time determines a key.
        let stores = [open("one").await, open("two").await];
        let mut secrets = Vec::new();
        for name in ["one", "two"] {
            let secret: Secret = server.get(Some("system"), name).unwrap();
            let text = secret.data.unwrap().remove(rotating_keys::ENTRY).unwrap().0;
            let keys: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
            assert!(!keys.is_empty());
            secrets.extend(keys.iter().map(|key| key["key"].as_str().unwrap().to_owned()));
        }
        for (number, secret) in secrets.iter().enumerate() {
            assert_eq!(secret.len(), 44, "32 bytes as base64");
            assert!(!secrets[..number].contains(secret), "made twice");
        }
        let elsewhere = server.take_calls().into_iter();
        let elsewhere = elsewhere.filter(|call| call.is_write() && !call.path.contains("/secrets"));
        let mut texts: Vec<String> = elsewhere.map(|call| call.body.to_string()).collect();
        assert!(!texts.is_empty(), "public keys are published");
        texts.extend(stores.iter().map(|store| format!("{:?}", store.ring())));
        for secret in secrets {
            assert!(texts.iter().all(|text| !text.contains(secret.as_str())));
        }
    }

    #[tokio::test]
    async fn keys_that_cannot_be_published_stop_no_start_and_are_not_taken_over_by_a_running_replica() {
        let (server, client) = testkit::api_server::ApiServer::start();
        let clock = Clock::manual(1000);
        let open = async || opened(&client, "jupyter-k8s-gateway-keys", &clock).await.unwrap();
        let refuse = |times| {
            server.fail(testkit::api_server::Fault::forbidden(
                http::Method::PATCH,
                "configmaps",
                "no",
                times,
            ));
        };
        let one = open().await;
        let first = one.signer().key_set();
        clock.advance(23 * HOUR);
        refuse(2);
        assert!(matches!(one.refresh().await, Err(KeysError::Publish(_))));
        assert_eq!(one.signer().key_set(), first, "the next key is not published");
        clock.advance(2 * HOUR);
        let two = open().await;
        let now = clock.now();
        two.signer().sign(&Claims::new("i", "a", "s", now)).unwrap();

        server.remove::<ConfigMap>(Some("system"), names::ASSERTION_KEYS);
        one.refresh().await.unwrap();
        assert_ne!(one.signer().key_set(), first);
        let object: ConfigMap = server.get(Some("system"), names::ASSERTION_KEYS).unwrap();
        assert_eq!(object.data.unwrap()[names::GATEWAY_KEYS], one.signer().key_set());
    }

    #[tokio::test]
    async fn a_secret_that_holds_something_else_stops_the_start_and_is_kept() {
        let (server, client) = testkit::api_server::ApiServer::start();
        let mut secret: Secret =
            serde_json::from_value(json!({"metadata": {"name": "keys", "namespace": "system"}})).unwrap();
        let data = BTreeMap::from([(
            rotating_keys::ENTRY.to_owned(),
            k8s_openapi::ByteString(b"{}".to_vec()),
        )]);
        secret.data = Some(data.clone());
        server.put(&secret);
        let opened = opened(&client, "keys", &Clock::manual(0)).await;
        assert!(matches!(opened, Err(KeysError::Master(_))));
        assert_eq!(
            server.get::<Secret>(Some("system"), "keys").unwrap().data,
            Some(data)
        );
    }
}
