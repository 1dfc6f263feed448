//! Headers of a request -> who sends it, or why it is refused (IO: reads the mounted keys).
//!
//! The gateway attests users. The operator asks for the last activity. Each signs with its own keys, which the pod has as files that the
//! kubelet keeps up to date.
//!
//! `kit::assertion` checks those of the portal. It cannot be used here: kit is of servers, and brings their allocator and Kubernetes' client.
//! The tests here sign with it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use http::{HeaderMap, HeaderValue};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::names::{
    ASSERTION_HEADER, GATEWAY, GATEWAY_KEYS, KEYS_VARIABLE, OPEN, OPERATOR, OPERATOR_KEYS, UID_VARIABLE,
};

/// Seconds by which this node's clock and the signer's may differ.
const LEEWAY: i64 = 10;
/// Largest assertion, in bytes. One has some hundred.
const LONGEST: usize = 8192;

/// Who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A user, as the gateway attests.
    User { name: String, is_owner: bool },
    /// The operator.
    Operator,
    /// Unknown: the pod's settings require no assertion.
    Anyone,
}

/// Why a request is refused. The text is for tests and logs, never for the caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0} assertions instead of one")]
    Number(usize),
    #[error("it is not a JSON Web Token of this issuer")]
    Malformed,
    #[error("its keys cannot be read: {0}")]
    Keys(#[from] io::Error),
    #[error("there is no key with its identifier")]
    UnknownKey,
    #[error("its signature is another")]
    Signature,
    #[error("it is for another audience, or names no user")]
    Claims,
    #[error("it has expired or is not valid yet")]
    Time,
    #[error("{0}")]
    NoKeys(&'static str),
}

/// Which requests are answered.
#[derive(Debug)]
pub(crate) enum Assertions {
    /// All. Another service than the gateway decides who may connect.
    Open,
    /// Those with an assertion for this workspace.
    Checked(Checker),
    /// None, because the pod lacks a setting.
    Closed(&'static str),
}

impl Assertions {
    /// The setting of the pod's environment.
    pub(crate) fn new(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        match (set(KEYS_VARIABLE), set(UID_VARIABLE)) {
            (Some(keys), _) if keys == OPEN => Self::Open,
            (None, _) => Self::Closed("WORKSPACE_ASSERTION_KEYS is not set"),
            (Some(_), None) => Self::Closed("WORKSPACE_UID is not set"),
            (Some(folder), Some(uid)) => Self::Checked(Checker::new(uid, Path::new(&folder))),
        }
    }

    /// The sender of a request with these headers, at `now` (Unix seconds).
    pub(crate) fn caller(&self, headers: &HeaderMap, now: i64) -> Result<Caller, Refused> {
        match self {
            Self::Open => Ok(Caller::Anyone),
            Self::Closed(why) => Err(Refused::NoKeys(why)),
            Self::Checked(checker) => {
                let values: Vec<_> = headers.get_all(ASSERTION_HEADER).iter().collect();
                match values[..] {
                    [value] => checker.check(value, now),
                    _ => Err(Refused::Number(values.len())),
                }
            }
        }
    }
}

/// Checks assertions for one workspace.
#[derive(Debug)]
pub(crate) struct Checker {
    uid: String,
    gateway: KeyFile,
    operator: KeyFile,
}

/// Claims before their signature is checked.
#[derive(Deserialize)]
struct Unverified {
    iss: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    crit: Option<serde_json::Value>,
}

/// All are required but the last one, and of these types.
#[derive(Deserialize)]
struct Claims {
    aud: String,
    sub: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    /// Whether the user owns the workspace.
    #[serde(default)]
    owner: bool,
}

impl Checker {
    fn new(uid: String, folder: &Path) -> Self {
        Self {
            uid,
            gateway: KeyFile::new(folder.join(GATEWAY_KEYS)),
            operator: KeyFile::new(folder.join(OPERATOR_KEYS)),
        }
    }

    fn check(&self, value: &HeaderValue, now: i64) -> Result<Caller, Refused> {
        let token = value.to_str().map_err(|_| Refused::Malformed)?;
        let parts: Vec<_> = token.splitn(4, '.').collect();
        let [head, body, _] = parts[..] else {
            return Err(Refused::Malformed);
        };
        if token.len() > LONGEST {
            return Err(Refused::Malformed);
        }
        let header: Header = part(head)?;
        if header.alg != "EdDSA" || header.crit.is_some() {
            return Err(Refused::Malformed);
        }
        // A key of one issuer is never used for the other.
        let (keys, is_user) = match part::<Unverified>(body)?.iss.as_str() {
            GATEWAY => (&self.gateway, true),
            OPERATOR => (&self.operator, false),
            _ => return Err(Refused::Malformed),
        };
        let keys = keys.read()?;
        let key = keys.get(&header.kid).ok_or(Refused::UnknownKey)?;
        let mut signature_alone = Validation::new(Algorithm::EdDSA);
        signature_alone.set_required_spec_claims::<&str>(&[]);
        signature_alone.validate_exp = false;
        signature_alone.validate_aud = false;
        let claims = decode::<Claims>(token, key, &signature_alone)
            .map_err(|_| Refused::Signature)?
            .claims;
        if claims.aud != self.uid || claims.sub.is_empty() {
            return Err(Refused::Claims);
        }
        let begins = claims.nbf.max(claims.iat).saturating_sub(LEEWAY);
        if !(begins..claims.exp.saturating_add(LEEWAY)).contains(&now) {
            return Err(Refused::Time);
        }
        Ok(if is_user {
            Caller::User {
                name: claims.sub,
                is_owner: claims.owner,
            }
        } else {
            Caller::Operator
        })
    }
}

/// A part of a token: JSON in base64url.
fn part<T: DeserializeOwned>(text: &str) -> Result<T, Refused> {
    let bytes = BASE64URL.decode(text).map_err(|_| Refused::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Refused::Malformed)
}

type Keys = Arc<BTreeMap<String, DecodingKey>>;
/// Time of change, inode and size. The kubelet replaces a link to the folder, so a changed file is another one.
type Version = (i64, i64, u64, u64);

/// A file with keys of one issuer. It is read again when it changes.
struct KeyFile {
    path: PathBuf,
    last: Mutex<Option<(Version, Keys)>>,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KeyFile").field(&self.path).finish()
    }
}

impl KeyFile {
    fn new(path: PathBuf) -> Self {
        let last = Mutex::new(None);
        Self { path, last }
    }

    fn read(&self) -> io::Result<Keys> {
        let found = fs::metadata(&self.path)?;
        let version = (found.mtime(), found.mtime_nsec(), found.ino(), found.size());
        let mut last = self.last.lock();
        match &*last {
            Some((read, keys)) if *read == version => Ok(keys.clone()),
            _ => {
                let set: JwkSet = serde_json::from_slice(&fs::read(&self.path)?)?;
                let keys = Arc::new(set.keys.iter().filter_map(ed25519).collect());
                *last = Some((version, Arc::clone(&keys)));
                Ok(keys)
            }
        }
    }
}

/// Identifier and key, if the key is for `EdDSA` with Ed25519.
fn ed25519(key: &Jwk) -> Option<(String, DecodingKey)> {
    let AlgorithmParameters::OctetKeyPair(parameters) = &key.algorithm else {
        return None;
    };
    let usable =
        parameters.curve == EllipticCurve::Ed25519 && key.common.key_algorithm == Some(KeyAlgorithm::EdDSA);
    let id = key.common.key_id.clone().filter(|_| usable)?;
    Some((id, DecodingKey::from_jwk(key).ok()?))
}

#[cfg(test)]
pub(crate) mod tests;
