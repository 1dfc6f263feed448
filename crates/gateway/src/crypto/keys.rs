//! the stored key set and the time -> the sealing keys in force, rotated daily (pure, and the loop that stores it: IO).
//!
//! Keys are made ahead of their use, so that every replica can open what the first of them seals. The stored text is
//! the only place where key material outlives a function.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use k8s_openapi::api::core::v1::Secret;
use kit::shared_secret::Data;
use kube::Api;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::crypto::random::{NoRandomness, random};
use crate::crypto::seal::{KeyId, KeyRing, SealError, SealingKey};

/// How long a key seals, in seconds.
const PERIOD: i64 = 24 * 60 * 60;
/// The next key is stored this long before it seals, in seconds.
const PUBLISHED_AHEAD: i64 = 60 * 60;
/// A key never seals earlier than this after it was stored, in seconds: every replica has read it by then.
const SETTLING: i64 = 2 * 60;
/// A key is kept this long after it sealed last, in seconds: the longest life of a sealed value and some reserve.
const RETIRED: i64 = 25 * 60 * 60;
/// How often a replica looks for new keys.
const POLL: Duration = Duration::from_secs(45);

/// Key in the Secret's data.
const ENTRY: &str = "keys.json";

/// One stored key. No `Debug`: it would show the key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StoredKey {
    id: KeyId,
    /// Base64 of 32 bytes.
    key: Zeroizing<String>,
    /// Unix seconds.
    active_from: i64,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// What is stored is not a key set.
    #[error(
        "its entry {ENTRY:?} is not a set of sealing keys; delete the Secret to have a new one made (everybody signs in again)"
    )]
    Unreadable,
    /// No key could be made.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// A key could not be used.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The Secret could not be read or written.
    #[error(transparent)]
    Secret(#[from] kit::shared_secret::Error),
}

/// The key set to store at `now` (Unix seconds) in place of `stored`; `None` when that will do.
///
/// # Errors
/// What is stored is no key set (it is never overwritten), or there is no randomness.
fn rotate(stored: Option<&Data>, now: i64) -> Result<Option<Data>, KeysError> {
    let mut keys = match stored.and_then(|data| data.get(ENTRY)) {
        Some(text) => parse(text)?,
        None => Vec::new(),
    };
    keys.sort_by_key(|key| key.active_from);
    let before = keys.len();
    // A key retires when its successor takes over.
    let retired = keys
        .iter()
        .skip(1)
        .take_while(|successor| successor.active_from + RETIRED <= now)
        .count();
    keys.drain(..retired);
    let active = keys.iter().rev().find(|key| key.active_from <= now);
    let has_next = keys.last().is_some_and(|key| key.active_from > now);
    let new_from = match active {
        None => Some(now),
        Some(active) if !has_next && now >= active.active_from + PERIOD - PUBLISHED_AHEAD => {
            Some((active.active_from + PERIOD).max(now + SETTLING))
        }
        Some(_) => None,
    };
    if let Some(active_from) = new_from {
        keys.push(StoredKey {
            id: KeyId::new(random()?),
            key: Zeroizing::new(BASE64.encode(Zeroizing::new(random::<32>()?))),
            active_from,
        });
    } else if keys.len() == before {
        return Ok(None);
    }
    let text = serde_json::to_vec(&keys).map_err(|_| KeysError::Unreadable)?;
    Ok(Some(BTreeMap::from([(ENTRY.to_owned(), text)])))
}

fn parse(text: &[u8]) -> Result<Vec<StoredKey>, KeysError> {
    serde_json::from_slice(text).map_err(|_| KeysError::Unreadable)
}

/// Reads a stored key set.
fn derive(data: &Data) -> Result<Vec<SealingKey>, KeysError> {
    let text = data.get(ENTRY).ok_or(KeysError::Unreadable)?;
    let derive = |key: StoredKey| {
        let master = BASE64.decode(key.key.as_bytes()).map(Zeroizing::new);
        let master = master.map_err(|_| KeysError::Unreadable)?;
        let master = master.first_chunk::<32>().filter(|_| master.len() == 32);
        let master = master.ok_or(KeysError::Unreadable)?;
        Ok(SealingKey::derive(key.id, key.active_from, master)?)
    };
    parse(text)?.into_iter().map(derive).collect()
}

/// The Secret that holds the keys, kept up to date by every replica.
pub struct KeyStore {
    secrets: Api<Secret>,
    spec: kit::shared_secret::Spec,
    clock: Clock,
    ring: Arc<KeyRing>,
}

impl KeyStore {
    /// Reads the keys, or makes the first ones.
    ///
    /// # Errors
    /// The Secret cannot be read or written, or holds something else.
    pub async fn open(
        secrets: Api<Secret>,
        spec: kit::shared_secret::Spec,
        clock: Clock,
    ) -> Result<Self, KeysError> {
        let store = Self {
            secrets,
            spec,
            clock,
            ring: Arc::new(KeyRing::new(Vec::new())),
        };
        store.refresh().await?;
        Ok(store)
    }

    /// The keys in force, replaced as they rotate.
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.clone()
    }

    /// Rotates what is due and takes over what other replicas stored.
    ///
    /// # Errors
    /// As for [`KeyStore::open`]; the ring stays as it was.
    pub async fn refresh(&self) -> Result<(), KeysError> {
        let now = self.clock.now();
        let data = kit::shared_secret::agree(&self.secrets, &self.spec, |stored| rotate(stored, now)).await?;
        self.ring.replace(derive(&data)?);
        Ok(())
    }

    /// Refreshes for ever. A failure leaves the keys as they are: they stay good for hours.
    pub async fn maintain(self) {
        loop {
            tokio::time::sleep(POLL).await;
            if let Err(error) = self.refresh().await {
                tracing::warn!(secret = %self.spec.name, %error, "sealing keys could not be refreshed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::seal::Purpose;

    const HOUR: i64 = 60 * 60;

    fn times(data: &Data) -> Vec<i64> {
        parse(&data[ENTRY])
            .unwrap()
            .iter()
            .map(|key| key.active_from)
            .collect()
    }

    fn rotated(data: &Data, now: i64) -> Data {
        rotate(Some(data), now).unwrap().unwrap_or_else(|| data.clone())
    }

    #[test]
    fn the_first_key_is_active_at_once_and_the_next_one_is_stored_an_hour_ahead() {
        let first = rotate(None, 1000).unwrap().unwrap();
        assert_eq!(times(&first), [1000]);
        assert!(rotate(Some(&first), 1000 + 22 * HOUR).unwrap().is_none());
        let second = rotate(Some(&first), 1000 + 23 * HOUR).unwrap().unwrap();
        assert_eq!(times(&second), [1000, 1000 + 24 * HOUR]);
        assert!(rotate(Some(&second), 1000 + 23 * HOUR + 60).unwrap().is_none());
    }

    #[test]
    fn after_a_long_pause_the_new_key_waits_until_every_replica_has_it() {
        let first = rotate(None, 0).unwrap().unwrap();
        let late = rotated(&first, 100 * HOUR);
        assert_eq!(times(&late), [0, 100 * HOUR + SETTLING]);
    }

    #[test]
    fn a_key_is_dropped_when_nothing_sealed_with_it_can_be_alive() {
        let mut data = rotate(None, 0).unwrap().unwrap();
        data = rotated(&data, 24 * HOUR);
        let second = 24 * HOUR + SETTLING;
        assert_eq!(times(&data), [0, second]);
        let oldest = |now| times(&rotated(&data, now))[0];
        assert_eq!(oldest(second + RETIRED - 1), 0);
        assert_eq!(oldest(second + RETIRED), second);
    }

    #[test]
    fn keys_from_the_future_do_not_stop_the_gateway() {
        let data = rotate(None, 1_000_000).unwrap().unwrap();
        assert_eq!(times(&rotated(&data, 0)), [1_000_000, 0]);
    }

    #[test]
    fn something_else_in_the_secret_is_never_overwritten() {
        for text in ["", "{}", "[{\"id\":\"x\"}]"] {
            let data = Data::from([(ENTRY.to_owned(), text.as_bytes().to_vec())]);
            assert!(
                matches!(rotate(Some(&data), 0), Err(KeysError::Unreadable)),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn replicas_agree_on_one_key_set_and_open_what_others_seal() {
        let (_server, client) = testkit::api_server::ApiServer::start();
        let clock = Clock::manual(1000);
        let open = || {
            let spec = kit::shared_secret::Spec {
                name: "jupyter-k8s-gateway-keys".into(),
                type_: "Opaque",
                labels: BTreeMap::new(),
                manager: api::names::GATEWAY,
            };
            KeyStore::open(Api::namespaced(client.clone(), "system"), spec, clock.clone())
        };
        let (one, two) = tokio::join!(open(), open());
        let (one, two) = (one.unwrap(), two.unwrap());
        let sealed = one.ring().seal(Purpose::Ticket, "", &1, 1000).unwrap();
        assert_eq!(two.ring().open::<i32>(Purpose::Ticket, "", &sealed.text), Some(1));

        clock.advance(23 * HOUR);
        one.refresh().await.unwrap();
        two.refresh().await.unwrap();
        clock.advance(HOUR);
        let next = one.ring().seal(Purpose::Ticket, "", &2, clock.now()).unwrap();
        assert_ne!(next.key_id, sealed.key_id);
        assert_eq!(two.ring().open::<i32>(Purpose::Ticket, "", &next.text), Some(2));
        assert_eq!(two.ring().open::<i32>(Purpose::Ticket, "", &sealed.text), Some(1));
    }
}
