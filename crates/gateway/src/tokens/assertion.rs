//! user and workspace -> the signed header for the application in the pod (pure).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use assertion::Verifier;
use http::HeaderValue;
use kit::assertion_signer::{Claims, LIFE, Signer, SigningError};
use moka::sync::Cache;

use crate::clock::Clock;

/// An assertion that is valid for less than this many seconds is not used again.
const MIN_REMAINING: i64 = LIFE / 2;
/// Maximum size of cached assertions and the groups in them, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Makes assertions, and caches them for a while.
pub struct Assertions {
    signer: Arc<Signer>,
    clock: Clock,
    cache: Cache<Key, Signed>,
}

/// Audience, user name, and whether a token authenticated: a user may alternate between cookie and token.
type Key = (String, String, bool);

#[derive(Clone)]
struct Signed {
    value: HeaderValue,
    ends: i64,
    groups: Option<Arc<[String]>>,
    session_end: Option<i64>,
    owner: bool,
}

impl Signed {
    fn bytes(&self) -> usize {
        let groups = self.groups.iter().flat_map(|groups| groups.iter());
        let groups: usize = groups.map(|group| size_of::<String>() + group.len()).sum();
        size_of::<Self>() + self.value.len() + groups
    }
}

impl fmt::Debug for Assertions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Assertions").field(&self.signer).finish()
    }
}

impl Assertions {
    /// New assertions signed by `signer`.
    pub fn new(signer: Arc<Signer>, clock: Clock) -> Self {
        let cache = Cache::builder()
            .max_capacity(MAX_BYTES)
            .weigher(|key: &Key, signed: &Signed| {
                let bytes = size_of::<Key>() + key.0.len() + key.1.len() + signed.bytes();
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .time_to_live(Duration::from_secs(LIFE.unsigned_abs()))
            .build();
        Self { signer, clock, cache }
    }

    /// The user in a header's value, if a replica made it for this workspace and it is still valid.
    pub fn subject(&self, value: &str, uid: &str) -> Option<String> {
        let verifier = Verifier::new(&self.signer.key_set()).ok()?;
        let claims = verifier.check(value, api::names::GATEWAY, uid, self.clock.now());
        claims.ok().map(|claims| claims.subject)
    }

    /// The header's value with these claims, which attest that this user now accesses this workspace.
    ///
    /// # Errors
    /// No key is active.
    pub fn sign(&self, claims: &Claims<'_>) -> Result<HeaderValue, SigningError> {
        let now = claims.issued;
        // The upper bound: the clock may have been set back.
        let is_fresh = |signed: &Signed| (now + MIN_REMAINING..=now + LIFE).contains(&signed.ends);
        let key = (
            claims.audience.to_owned(),
            claims.subject.to_owned(),
            claims.bearer,
        );
        let found = self.cache.get(&key).filter(is_fresh);
        let is_same = |signed: &Signed| {
            signed.session_end == claims.session_end
                && signed.groups.as_deref() == claims.groups
                && signed.owner == claims.owner
        };
        if let Some(found) = found.filter(is_same) {
            return Ok(found.value);
        }
        let mut value = HeaderValue::try_from(self.signer.sign(claims)?).map_err(|_| SigningError)?;
        value.set_sensitive(true);
        let made = Signed {
            value: value.clone(),
            ends: claims.ends,
            groups: claims.groups.map(Arc::from),
            session_end: claims.session_end,
            owner: claims.owner,
        };
        self.cache.insert(key, made);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
    use kit::rotating_keys::MasterKey;

    use super::*;

    fn assertions(clock: &Clock) -> Assertions {
        let signer = Signer::default();
        let key = MasterKey {
            id: "0123456789abcdef".into(),
            active_from: 1000,
            bytes: [1; 32].into(),
        };
        signer.replace(&[key]).unwrap();
        Assertions::new(Arc::new(signer), clock.clone())
    }

    fn alice<'a>(uid: &'a str, clock: &Clock) -> Claims<'a> {
        Claims {
            session_end: Some(9000),
            ..Claims::new(api::names::GATEWAY, uid, "alice", clock.now())
        }
    }

    fn claims(value: &HeaderValue) -> serde_json::Value {
        let claims = value.to_str().unwrap().split('.').nth(1).unwrap();
        serde_json::from_slice(&BASE64URL.decode(claims).unwrap()).unwrap()
    }

    #[test]
    fn an_assertion_is_reused_for_the_same_user_while_half_of_its_life_is_left() {
        let clock = Clock::manual(1000);
        let assertions = assertions(&clock);
        let first = assertions.sign(&alice("u", &clock)).unwrap();
        assert!(first.is_sensitive());
        clock.advance(30);
        assert_eq!(assertions.sign(&alice("u", &clock)).unwrap(), first);
        assert_ne!(assertions.sign(&alice("v", &clock)).unwrap(), first);
        let bob = Claims {
            subject: "bob",
            ..alice("u", &clock)
        };
        assert_ne!(assertions.sign(&bob).unwrap(), first);
        clock.advance(1);
        assert_ne!(assertions.sign(&alice("u", &clock)).unwrap(), first);
    }

    #[test]
    fn the_bearer_flag_is_set_only_for_requests_with_a_token() {
        let clock = Clock::manual(1000);
        let assertions = assertions(&clock);
        let script = Claims {
            bearer: true,
            ..alice("u", &clock)
        };
        let first = [script, alice("u", &clock)].map(|input| assertions.sign(&input).unwrap());
        assert_eq!(claims(&first[0])["bearer"], true);
        let page = claims(&first[1]);
        assert!(page.get("bearer").is_none(), "{page}");
        // A new assertion would state it.
        clock.advance(1);
        for _ in 0..2 {
            let again = [script, alice("u", &clock)].map(|input| assertions.sign(&input).unwrap());
            assert_eq!(again, first);
        }
    }

    #[test]
    fn groups_are_stated_to_the_audience_that_receives_them_and_stated_anew_when_they_change() {
        let clock = Clock::manual(1000);
        let assertions = assertions(&clock);
        let with = |groups: &[String]| {
            let input = Claims {
                groups: Some(groups),
                ..alice("portal", &clock)
            };
            claims(&assertions.sign(&input).unwrap())["groups"].clone()
        };
        for groups in [
            vec![],
            vec!["users".to_owned()],
            vec!["admins".to_owned(), "users".to_owned()],
        ] {
            assert_eq!(with(&groups), serde_json::json!(groups));
        }
        assert!(
            claims(&assertions.sign(&alice("portal", &clock)).unwrap())
                .get("groups")
                .is_none()
        );
    }

    #[test]
    fn the_size_of_cached_assertions_is_bounded() {
        let clock = Clock::manual(1000);
        let assertions = assertions(&clock);
        let groups = vec!["g".repeat(1024); 64];
        for number in 0..400 {
            let user = number.to_string();
            let input = Claims {
                subject: &user,
                groups: Some(&groups),
                ..alice("portal", &clock)
            };
            assertions.sign(&input).unwrap();
        }
        assertions.cache.run_pending_tasks();
        let size = assertions.cache.weighted_size();
        assert!((MAX_BYTES / 2..=MAX_BYTES).contains(&size), "{size}");
    }

    #[test]
    fn no_assertion_is_created_without_a_key() {
        let clock = Clock::manual(0);
        let none = Assertions::new(Arc::default(), clock.clone());
        assert_eq!(none.sign(&alice("u", &clock)), Err(SigningError));
    }
}
