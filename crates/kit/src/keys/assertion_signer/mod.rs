//! User and audience -> JSON Web Token that is valid for a minute, and its public key set (pure).
//!
//! The algorithm is `EdDSA` with Ed25519. A pod needs no secret to check a token: it uses the public keys.
//! Public keys are published before they are used. The crate `assertion` checks tokens.
//!
//! - `identity`: names that an assertion of the portal may hold

mod identity;

use arc_swap::ArcSwap;
use aws_lc_rs::hkdf;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

pub use identity::{IdentityError, MAX_GROUP_BYTES, MAX_GROUPS, check_identity};

use crate::keys::rotating_keys::MasterKey;

/// Lifetime of an assertion, in seconds.
pub const LIFE: i64 = 60;
const SALT: &[u8] = b"jupyter-k8s assertion v1";

/// Claims of an assertion.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Claims<'a> {
    /// Issuer.
    #[serde(rename = "iss")]
    pub issuer: &'a str,
    /// Audience: no other recipient may accept the token.
    #[serde(rename = "aud")]
    pub audience: &'a str,
    /// Subject: the user.
    #[serde(rename = "sub")]
    pub subject: &'a str,
    /// Not valid before, in Unix seconds.
    #[serde(rename = "nbf")]
    pub begins: i64,
    /// Issued at, in Unix seconds.
    #[serde(rename = "iat")]
    pub issued: i64,
    /// Expiry, in Unix seconds.
    #[serde(rename = "exp")]
    pub ends: i64,
    /// The user's groups, sorted; `None`: the audience does not receive them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<&'a [String]>,
    /// Time at which the user's session ends in any case, in Unix seconds; `None`: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_end: Option<i64>,
    /// Whether the request itself carried a token. A browser never adds such a token to a page's requests on its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bearer: bool,
    /// Whether the user owns the workspace.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub owner: bool,
}

impl<'a> Claims<'a> {
    /// Claims of `issuer` about `subject`, for `audience`, valid from `now` (Unix seconds).
    pub fn new(issuer: &'a str, audience: &'a str, subject: &'a str, now: i64) -> Self {
        Self {
            issuer,
            audience,
            subject,
            begins: now,
            issued: now,
            ends: now + LIFE,
            groups: None,
            session_end: None,
            bearer: false,
            owner: false,
        }
    }
}

/// No assertion was signed, because no key is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no signing key is active, or the crypto library refused to use it")]
pub struct SigningError;

struct SigningKey {
    id: String,
    active_from: i64,
    /// The key as it is published.
    public: Value,
    signs: EncodingKey,
}

impl SigningKey {
    fn derive(key: &MasterKey) -> Result<Self, SigningError> {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(&*key.bytes);
        let mut seed = Zeroizing::new([0; 32]);
        secret
            .expand(&[b"ed25519"], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(seed.as_mut()))
            .map_err(|_| SigningError)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).map_err(|_| SigningError)?;
        let private = pair.to_pkcs8().map_err(|_| SigningError)?;
        let x = BASE64URL.encode(pair.public_key());
        Ok(Self {
            id: key.id.clone(),
            active_from: key.active_from,
            public: json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.id, "x": x}),
            signs: EncodingKey::from_ed_der(private.as_ref()),
        })
    }
}

/// Signs assertions with the active keys.
#[derive(Default)]
pub struct Signer(ArcSwap<Vec<SigningKey>>);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.load().iter().map(|key| &key.id))
            .finish()
    }
}

impl Signer {
    /// Replaces all keys with `keys`.
    ///
    /// # Errors
    /// One of the keys cannot be used. The signer then keeps its old keys.
    pub fn replace(&self, keys: &[MasterKey]) -> Result<(), SigningError> {
        let keys = keys.iter().map(SigningKey::derive).collect::<Result<_, _>>()?;
        self.0.store(Arc::new(keys));
        Ok(())
    }

    /// Whether the signer has no keys.
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// Signs the claims.
    ///
    /// # Errors
    /// No key is active at the start of the claims' validity.
    pub fn sign(&self, claims: &Claims<'_>) -> Result<String, SigningError> {
        let keys = self.0.load();
        let usable = keys.iter().filter(|key| key.active_from <= claims.begins);
        let key = usable.max_by_key(|key| key.active_from).ok_or(SigningError)?;
        let header = Header {
            kid: Some(key.id.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        encode(&header, claims, &key.signs).map_err(|_| SigningError)
    }

    /// The public keys as a JSON Web Key Set: keys that sign now, will sign, or signed recently.
    pub fn key_set(&self) -> String {
        let keys: Vec<Value> = self.0.load().iter().map(|key| key.public.clone()).collect();
        json!({ "keys": keys }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use assertion::Verifier;
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    fn master(id: &str, active_from: i64, byte: u8) -> MasterKey {
        MasterKey {
            id: id.to_owned(),
            active_from,
            bytes: Zeroizing::new([byte; 32]),
        }
    }

    fn signer() -> Signer {
        let signer = Signer::default();
        let keys = [
            master("old", 100, 1),
            master("active", 200, 2),
            master("next", 300, 3),
        ];
        signer.replace(&keys).unwrap();
        signer
    }

    fn parts(token: &str) -> (Value, Value, Vec<u8>) {
        let parts: Vec<_> = token
            .split('.')
            .map(|part| BASE64URL.decode(part).unwrap())
            .collect();
        let read = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap();
        (read(&parts[0]), read(&parts[1]), parts[2].clone())
    }

    #[test]
    fn an_assertion_has_issuer_audience_user_and_expiry_and_is_signed_by_the_active_key() {
        let signer = signer();
        let token = signer
            .sign(&Claims::new("gateway", "uid-1", "alice", 250))
            .unwrap();
        let (header, claims, signature) = parts(&token);
        assert_eq!(header, json!({"alg": "EdDSA", "typ": "JWT", "kid": "active"}));
        let expected =
            json!({"iss": "gateway", "aud": "uid-1", "sub": "alice", "nbf": 250, "iat": 250, "exp": 310});
        assert_eq!(claims, expected);
        let set: Value = serde_json::from_str(&signer.key_set()).unwrap();
        let key = set["keys"]
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["kid"] == "active");
        let key = BASE64URL.decode(key.unwrap()["x"].as_str().unwrap()).unwrap();
        let content = token.rsplit_once('.').unwrap().0;
        UnparsedPublicKey::new(&ED25519, key)
            .verify(content.as_bytes(), &signature)
            .unwrap();
    }

    #[test]
    fn an_assertion_is_plain_ascii_and_names_exactly_one_user() {
        let long = "a".repeat(500);
        let names = [
            "alice",
            "Alice",
            "a-b",
            "a.b",
            "DOMAIN\\alice",
            "alice@example.org",
            "Zo\u{eb}",
            "Zoe\u{308}",
            "\u{430}lice",
            "alice\r\nX-Forwarded-User: root",
            "a\0b",
            "a\", \"aud\": \"other",
            "alice\u{202e}",
            &long,
            "",
        ];
        for name in names {
            let token = signer()
                .sign(&Claims::new("gateway", "uid-1", name, 250))
                .unwrap();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            assert!(token.bytes().all(plain), "{name:?}: {token}");
            let (_, claims, _) = parts(&token);
            assert_eq!((&claims["sub"], &claims["aud"]), (&json!(name), &json!("uid-1")));
        }
    }

    #[test]
    fn each_claim_arrives_and_the_youngest_active_key_signs() {
        let signer = signer();
        let verifier = Verifier::new(&signer.key_set()).unwrap();
        let groups = ["a, \"b\"".to_owned(), "Zo\u{eb}".to_owned()];
        let claims = Claims {
            groups: Some(&groups),
            session_end: Some(9000),
            bearer: true,
            owner: true,
            ..Claims::new("gateway", "portal", "alice", 250)
        };
        let token = signer.sign(&claims).unwrap();
        let read = verifier.check(&token, "gateway", "portal", 250).unwrap();
        assert_eq!((read.subject.as_str(), &read.groups[..]), ("alice", &groups[..]));
        assert_eq!(
            (read.session_end, read.bearer, read.owner),
            (Some(9000), true, true)
        );
        assert_eq!(read.ends, 310);
        for (begins, by) in [(150, "old"), (250, "active"), (350, "next")] {
            let token = signer
                .sign(&Claims::new("gateway", "portal", "alice", begins))
                .unwrap();
            assert_eq!(parts(&token).0["kid"], by);
            let read = verifier.check(&token, "gateway", "portal", begins);
            assert!(read.is_ok_and(|read| !read.bearer && !read.owner), "{by}");
        }
    }

    #[test]
    fn keys_are_published_before_they_sign_and_hold_nothing_private() {
        let set: Value = serde_json::from_str(&signer().key_set()).unwrap();
        let keys = set["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 3);
        for key in keys {
            let names: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x"]);
        }
    }

    #[test]
    fn without_an_active_key_nothing_is_signed() {
        let claims = Claims::new("gateway", "uid-1", "alice", 99);
        assert_eq!(signer().sign(&claims), Err(SigningError));
        assert_eq!(Signer::default().sign(&claims), Err(SigningError));
    }
}
