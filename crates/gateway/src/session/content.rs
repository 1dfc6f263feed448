//! who signed in -> the sealed content of a GatewaySession, and back (pure).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::crypto::redacted::Secret;
use crate::crypto::seal::{KeyRing, Purpose, SealError, Sealed};
use crate::crypto::tokens::RandomId;
use crate::oidc::claims::Identity;

/// Absolute end of a session, in seconds after its start.
pub const SESSION_LIFE: i64 = 12 * 60 * 60;
/// Most one-time codes that can be remembered as spent at a time.
const MAX_SPENT: usize = 64;

/// What a session's object holds, sealed and bound to the object's name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// Issuer that vouched for the person.
    pub issuer: String,
    /// The person's identifier there.
    pub subject: String,
    /// Kubernetes user name.
    pub user_name: String,
    /// Kubernetes groups.
    pub groups: Vec<String>,
    /// ID token as received.
    id_token: String,
    /// Start, Unix seconds.
    pub created: i64,
    /// Absolute end, Unix seconds.
    pub end: i64,
    /// One-time codes that were used, until they would have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    spent: Vec<Spent>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Spent {
    code: RandomId,
    until: i64,
}

/// A code cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpendError {
    /// It was used before.
    #[error("the code was used before")]
    Replayed,
    /// Too many codes of this session were used within their life.
    #[error("too many codes of this session were used just now")]
    TooMany,
}

impl Content {
    /// A session that begins `now` (Unix seconds).
    pub fn new(issuer: &str, subject: &str, identity: Identity, id_token: &Secret, now: i64) -> Self {
        Self {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            user_name: identity.user_name,
            groups: identity.groups,
            id_token: id_token.expose().to_owned(),
            created: now,
            end: now + SESSION_LIFE,
            spent: Vec::new(),
        }
    }

    /// Marks a one-time code as used. `until`: when it would end, Unix seconds.
    ///
    /// # Errors
    /// It was used before, or too many were.
    pub fn spend(&mut self, code: RandomId, until: i64, now: i64) -> Result<(), SpendError> {
        if self.spent.iter().any(|spent| spent.code == code) {
            return Err(SpendError::Replayed);
        }
        self.spent.retain(|spent| now < spent.until);
        if self.spent.len() >= MAX_SPENT {
            return Err(SpendError::TooMany);
        }
        self.spent.push(Spent { code, until });
        Ok(())
    }

    /// Seals it for the object `name`.
    ///
    /// # Errors
    /// No key is active.
    pub fn seal(&self, keys: &KeyRing, name: &str, now: i64) -> Result<Sealed, SealError> {
        keys.seal(Purpose::Content, name, self, now)
    }

    /// Opens what was sealed for the object `name`.
    pub fn open(keys: &KeyRing, name: &str, text: &str) -> Option<Self> {
        keys.open(Purpose::Content, name, text)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("created", &self.created)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// Name of a session's object.
pub fn object_name(id: RandomId) -> String {
    format!("s-{id}")
}

/// The session that an object's name stands for.
pub fn id_of(object_name: &str) -> Option<RandomId> {
    RandomId::try_from(object_name.strip_prefix("s-")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::seal::{KeyId, SealingKey};

    fn content() -> Content {
        let identity = Identity {
            user_name: "alice".into(),
            groups: vec!["oidc:a,b".into()],
        };
        Content::new(
            "https://issuer",
            "1",
            identity,
            &Secret::new("header.payload.sig".into()),
            1000,
        )
    }

    #[test]
    fn content_opens_under_its_own_object_only() {
        let keys = KeyRing::new(vec![SealingKey::derive(KeyId::new([1; 8]), 0, &[1; 32]).unwrap()]);
        let sealed = content().seal(&keys, "s-1", 1000).unwrap();
        assert_eq!(Content::open(&keys, "s-1", &sealed.text), Some(content()));
        assert_eq!(Content::open(&keys, "s-2", &sealed.text), None);
    }

    #[test]
    fn a_code_is_spent_once_and_forgotten_after_its_end() {
        let mut content = content();
        let code = RandomId::new().unwrap();
        assert_eq!(content.spend(code, 1030, 1000), Ok(()));
        assert_eq!(content.spend(code, 1030, 1029), Err(SpendError::Replayed));
        assert_eq!(content.spend(RandomId::new().unwrap(), 1060, 1030), Ok(()));
        assert_eq!(content.spent.len(), 1);
    }

    #[test]
    fn spent_codes_are_bounded() {
        let mut content = content();
        for _ in 0..MAX_SPENT {
            content.spend(RandomId::new().unwrap(), 1030, 1000).unwrap();
        }
        assert_eq!(
            content.spend(RandomId::new().unwrap(), 1030, 1000),
            Err(SpendError::TooMany)
        );
    }

    #[test]
    fn debug_output_shows_neither_person_nor_token() {
        let shown = format!("{:?}", content());
        assert!(!shown.contains("alice") && !shown.contains("payload"), "{shown}");
    }

    #[test]
    fn object_names_and_ids_correspond() {
        let id = RandomId::new().unwrap();
        assert_eq!(id_of(&object_name(id)), Some(id));
        assert_eq!(id_of("keys"), None);
        assert_eq!(id_of("s-zz"), None);
    }
}
