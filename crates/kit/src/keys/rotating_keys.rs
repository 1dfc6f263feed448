//! Stored key set and time -> active keys, rotated daily (pure; storing is IO).
//!
//! A key is stored some time before its first use. By then, every process that decrypts or verifies with it has read it.
//! Key material outlives a function only in the stored text.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::shared_secret::{self, Data};

/// How long a key is used, in seconds.
pub const PERIOD: i64 = 24 * 60 * 60;
/// The next key is stored this long before its first use, in seconds.
const PUBLISHED_AHEAD: i64 = 60 * 60;
/// Minimum time between storing a key and using it, in seconds. Every reader has read the key by then.
pub const SETTLING: i64 = 2 * 60;
/// How long a key is retained after its last use, in seconds.
/// It is the longest lifetime of anything made with a key, plus a reserve.
pub const RETIRED: i64 = 25 * 60 * 60;

/// Key in the data of the Secret.
pub const ENTRY: &str = "keys.json";

/// One stored key. It has no `Debug`, which would show the key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StoredKey {
    id: String,
    /// Base64 of 32 bytes.
    key: Zeroizing<String>,
    /// First use, in Unix seconds.
    active_from: i64,
}

/// 32 random bytes from which keys are derived.
pub struct MasterKey {
    /// 16 lower-case hexadecimal digits; not secret.
    pub id: String,
    /// First use, in Unix seconds.
    pub active_from: i64,
    /// The key material.
    pub bytes: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({} from {})", self.id, self.active_from)
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stored content is not a key set.
    #[error("its entry {ENTRY:?} is not a set of keys; delete the Secret to have a new one made")]
    Unreadable,
    /// No key could be created.
    #[error("the operating system gave no random bytes")]
    Random,
    /// The Secret could not be read or written.
    #[error(transparent)]
    Secret(#[from] shared_secret::Error),
}

/// Returns the keys of the Secret at `now` (Unix seconds), after any rotation that is due.
///
/// # Errors
/// The Secret cannot be read or written, or holds something else.
pub async fn agree(
    secrets: &Api<Secret>,
    spec: &shared_secret::Spec,
    now: i64,
) -> Result<Vec<MasterKey>, Error> {
    let data = shared_secret::agree(secrets, spec, |stored| rotate(stored, now)).await?;
    read(&data)
}

/// The key set to store at `now` (Unix seconds) in place of `stored`; `None` if `stored` needs no change.
///
/// # Errors
/// `stored` is no key set (it is never overwritten), or there is no randomness.
fn rotate(stored: Option<&Data>, now: i64) -> Result<Option<Data>, Error> {
    let mut keys = match stored.and_then(|data| data.get(ENTRY)) {
        Some(text) => parse(text)?,
        None => Vec::new(),
    };
    keys.sort_by_key(|key| key.active_from);
    let before = keys.len();
    // A key retires when its successor becomes active.
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
            id: format!("{:016x}", u64::from_be_bytes(random()?)),
            key: Zeroizing::new(BASE64.encode(Zeroizing::new(random::<32>()?))),
            active_from,
        });
    } else if keys.len() == before {
        return Ok(None);
    }
    let text = serde_json::to_vec(&keys).map_err(|_| Error::Unreadable)?;
    Ok(Some(BTreeMap::from([(ENTRY.to_owned(), text)])))
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}

fn parse(text: &[u8]) -> Result<Vec<StoredKey>, Error> {
    serde_json::from_slice(text).map_err(|_| Error::Unreadable)
}

/// Parses a stored key set.
fn read(data: &Data) -> Result<Vec<MasterKey>, Error> {
    let text = data.get(ENTRY).ok_or(Error::Unreadable)?;
    let read = |key: StoredKey| {
        let bytes = BASE64.decode(key.key.as_bytes()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| Error::Unreadable)?;
        let bytes = bytes.first_chunk::<32>().filter(|_| bytes.len() == 32);
        let is_id = key.id.len() == 16 && key.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        match bytes {
            Some(bytes) if is_id => Ok(MasterKey {
                id: key.id,
                active_from: key.active_from,
                bytes: Zeroizing::new(*bytes),
            }),
            _ => Err(Error::Unreadable),
        }
    };
    parse(text)?.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * 60;

    fn times(data: &Data) -> Vec<i64> {
        read(data).unwrap().iter().map(|key| key.active_from).collect()
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
    fn a_new_key_is_not_active_before_every_replica_has_it() {
        let first = rotate(None, 0).unwrap().unwrap();
        let on_delay = rotated(&first, 100 * HOUR);
        assert_eq!(times(&on_delay), [0, 100 * HOUR + SETTLING]);
    }

    #[test]
    fn a_key_is_removed_after_everything_signed_with_it_has_expired() {
        let mut data = rotate(None, 0).unwrap().unwrap();
        data = rotated(&data, 24 * HOUR);
        let second = 24 * HOUR + SETTLING;
        assert_eq!(times(&data), [0, second]);
        let oldest = |now| times(&rotated(&data, now))[0];
        assert_eq!(oldest(second + RETIRED - 1), 0);
        assert_eq!(oldest(second + RETIRED), second);
    }

    #[test]
    fn keys_with_future_times_do_not_stop_rotation() {
        let data = rotate(None, 1_000_000).unwrap().unwrap();
        assert_eq!(times(&rotated(&data, 0)), [1_000_000, 0]);
    }

    #[test]
    fn something_else_in_the_secret_is_never_overwritten() {
        for text in ["", "{}", "[{\"id\":\"x\"}]"] {
            let data = Data::from([(ENTRY.to_owned(), text.as_bytes().to_vec())]);
            assert!(matches!(rotate(Some(&data), 0), Err(Error::Unreadable)), "{text}");
        }
        let text = r#"[{"id":"0123456789abcdef","key":"c2hvcnQ=","activeFrom":0}]"#;
        let data = Data::from([(ENTRY.to_owned(), text.as_bytes().to_vec())]);
        assert!(matches!(read(&data), Err(Error::Unreadable)), "a short key");
    }

    #[test]
    fn debug_output_does_not_contain_the_key() {
        let data = rotate(None, 7).unwrap().unwrap();
        let key = &read(&data).unwrap()[0];
        assert_eq!(format!("{key:?}"), format!("MasterKey({} from 7)", key.id));
    }
}
