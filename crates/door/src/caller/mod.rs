//! Headers of a request -> who sends it, or why it is refused (IO: reads the mounted keys).
//!
//! The gateway attests users. The operator asks for the last activity. Each signs with its own keys, which the pod has as files that the
//! kubelet keeps up to date.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use assertion::names::{
    ASSERTION_HEADER, ASSERTION_KEYS_VARIABLE, GATEWAY, GATEWAY_KEYS, NO_ASSERTIONS, OPERATOR, OPERATOR_KEYS,
    UID_VARIABLE,
};
use assertion::{InvalidAssertion, InvalidKeySet, Verifier, claimed_issuer};
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;

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
    #[error("its keys cannot be used: {0}")]
    KeySet(#[from] InvalidKeySet),
    #[error(transparent)]
    Invalid(#[from] InvalidAssertion),
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
        match (set(ASSERTION_KEYS_VARIABLE), set(UID_VARIABLE)) {
            (Some(keys), _) if keys == NO_ASSERTIONS => Self::Open,
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
        if token.len() > LONGEST {
            return Err(Refused::Malformed);
        }
        // A key of one issuer is never used for the other.
        let (keys, issuer) = match claimed_issuer(token).as_deref() {
            Some(GATEWAY) => (&self.gateway, GATEWAY),
            Some(OPERATOR) => (&self.operator, OPERATOR),
            _ => return Err(Refused::Malformed),
        };
        let claims = keys.read()?.check(token, issuer, &self.uid, now)?;
        Ok(if issuer == OPERATOR {
            Caller::Operator
        } else {
            Caller::User {
                name: claims.subject,
                is_owner: claims.owner,
            }
        })
    }
}

/// Time of change, inode and size. The kubelet replaces a link to the folder, so a changed file is another one.
type Version = (i64, i64, u64, u64);

/// A file with keys of one issuer. It is read again when it changes.
struct KeyFile {
    path: PathBuf,
    last: Mutex<Option<(Version, Arc<Verifier>)>>,
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

    fn read(&self) -> Result<Arc<Verifier>, Refused> {
        let found = fs::metadata(&self.path)?;
        let version = (found.mtime(), found.mtime_nsec(), found.ino(), found.size());
        let mut last = self.last.lock();
        match &*last {
            Some((read, keys)) if *read == version => Ok(keys.clone()),
            _ => {
                let keys = Arc::new(Verifier::new(&fs::read_to_string(&self.path)?)?);
                *last = Some((version, Arc::clone(&keys)));
                Ok(keys)
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
