//! who asks whom -> a JSON Web Token that says so for a minute, and the key set that it is checked by (pure).
//!
//! `EdDSA` with Ed25519. A pod that checks these needs no secret: it has the public keys, which are published before they are
//! used.

use arc_swap::ArcSwap;
use aws_lc_rs::hkdf;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

use crate::rotating_keys::MasterKey;

/// Life of an assertion, in seconds.
pub const LIFE: i64 = 60;
const SALT: &[u8] = b"jupyter-k8s assertion v1";

/// What an assertion says.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Claims<'a> {
    /// Who vouches.
    #[serde(rename = "iss")]
    pub issuer: &'a str,
    /// For whom this is: nobody else may take it.
    #[serde(rename = "aud")]
    pub audience: &'a str,
    /// Who asks.
    #[serde(rename = "sub")]
    pub subject: &'a str,
    /// Unix seconds from which it counts.
    #[serde(rename = "nbf")]
    pub begins: i64,
    /// Unix seconds at which it was made.
    #[serde(rename = "iat")]
    pub issued: i64,
    /// Unix seconds from which it no longer counts.
    #[serde(rename = "exp")]
    pub ends: i64,
    /// Unix seconds at which who asks is signed out, whatever happens; none: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_end: Option<i64>,
    /// Whether who asks showed a token with the request itself, which no browser adds of its own accord to what a page sends.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bearer: bool,
}

impl<'a> Claims<'a> {
    /// Of `issuer` about `subject`, for `audience`, from `now` (Unix seconds) on.
    pub fn new(issuer: &'a str, audience: &'a str, subject: &'a str, now: i64) -> Self {
        Self {
            issuer,
            audience,
            subject,
            begins: now,
            issued: now,
            ends: now + LIFE,
            session_end: None,
            bearer: false,
        }
    }
}

/// No assertion could be made: no key is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no signing key is active, or the crypto library refused to use it")]
pub struct NotSigned;

struct SigningKey {
    id: String,
    active_from: i64,
    /// As it is published.
    public: Value,
    signs: EncodingKey,
    checks: DecodingKey,
}

impl SigningKey {
    fn derive(key: &MasterKey) -> Result<Self, NotSigned> {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(&*key.bytes);
        let mut seed = Zeroizing::new([0; 32]);
        secret
            .expand(&[b"ed25519"], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(seed.as_mut()))
            .map_err(|_| NotSigned)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).map_err(|_| NotSigned)?;
        let private = pair.to_pkcs8().map_err(|_| NotSigned)?;
        let x = BASE64URL.encode(pair.public_key());
        Ok(Self {
            id: key.id.clone(),
            active_from: key.active_from,
            public: json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.id, "x": x}),
            signs: EncodingKey::from_ed_der(private.as_ref()),
            checks: DecodingKey::from_ed_der(pair.public_key().as_ref()),
        })
    }
}

/// Makes assertions with the keys in force.
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
    /// Takes over these keys in place of all.
    ///
    /// # Errors
    /// One of them cannot be used; nothing changes.
    pub fn replace(&self, keys: &[MasterKey]) -> Result<(), NotSigned> {
        let keys = keys.iter().map(SigningKey::derive).collect::<Result<_, _>>()?;
        self.0.store(Arc::new(keys));
        Ok(())
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// The signed claims.
    ///
    /// # Errors
    /// No key is active at the time that they begin.
    pub fn sign(&self, claims: &Claims<'_>) -> Result<String, NotSigned> {
        let keys = self.0.load();
        let usable = keys.iter().filter(|key| key.active_from <= claims.begins);
        let key = usable.max_by_key(|key| key.active_from).ok_or(NotSigned)?;
        let header = Header {
            kid: Some(key.id.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        encode(&header, claims, &key.signs).map_err(|_| NotSigned)
    }

    /// Who asks, if one of the keys signed this of `issuer` for `audience`, and it still counts at `now` (Unix seconds).
    pub fn subject(&self, token: &str, issuer: &str, audience: &str, now: i64) -> Option<String> {
        let mut expected = Validation::new(Algorithm::EdDSA);
        expected.set_issuer(&[issuer]);
        expected.set_audience(&[audience]);
        expected.set_required_spec_claims(&["iss", "aud", "exp"]);
        // Judged by the caller's clock below, without leeway.
        expected.validate_exp = false;
        let counts = |claims: &Value| claims["exp"].as_i64().is_some_and(|ends| now < ends);
        self.0
            .load()
            .iter()
            .filter_map(|key| decode::<Value>(token, &key.checks, &expected).ok())
            .find(|token| counts(&token.claims))
            .and_then(|token| token.claims["sub"].as_str().map(str::to_owned))
    }

    /// The public keys as a JSON Web Key Set: those that sign, will sign or have signed of late.
    pub fn key_set(&self) -> String {
        let keys: Vec<Value> = self.0.load().iter().map(|key| key.public.clone()).collect();
        json!({ "keys": keys }).to_string()
    }
}

#[cfg(test)]
mod tests {
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
    fn an_assertion_names_issuer_audience_person_and_a_minute_and_is_signed_by_the_active_key() {
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
    fn whatever_somebody_is_called_the_assertion_is_plain_and_names_them_and_nobody_else() {
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
    fn what_was_signed_is_known_again_for_its_issuer_and_audience_until_it_ends_and_nothing_else_is() {
        let signer = signer();
        let claims = Claims::new("gateway", "uid-1", "alice", 250);
        let token = signer.sign(&claims).unwrap();
        let known = |token: &str, issuer, audience, now| {
            let subject = signer.subject(token, issuer, audience, now);
            subject.as_deref() == Some("alice")
        };
        assert!(known(&token, "gateway", "uid-1", 250) && known(&token, "gateway", "uid-1", 309));
        assert!(!known(&token, "gateway", "uid-1", 310), "ended");
        assert!(!known(&token, "operator", "uid-1", 250), "of another issuer");
        assert!(!known(&token, "gateway", "uid-2", 250), "for another audience");
        let [header, claims, signature] = [0, 1, 2].map(|part| token.split('.').nth(part).unwrap());
        let none = BASE64URL.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let hmac = BASE64URL.encode(r#"{"alg":"HS256","typ":"JWT","kid":"active"}"#);
        for forged in [
            format!("{none}.{claims}."),
            format!("{none}.{claims}.{signature}"),
            format!("{hmac}.{claims}.{signature}"),
            format!("{header}.{claims}."),
            format!("{header}.{claims}.{}", &signature[..80]),
            format!("{header}.{claims}.{signature}.{signature}"),
            format!(
                "{header}.{}.{signature}",
                BASE64URL.encode(r#"{"iss":"gateway","aud":"uid-1","exp":9999}"#)
            ),
            String::new(),
        ] {
            assert!(!known(&forged, "gateway", "uid-1", 250), "{forged}");
        }
        let stranger = Signer::default();
        stranger.replace(&[master("active", 200, 9)]).unwrap();
        assert_eq!(stranger.subject(&token, "gateway", "uid-1", 250), None);
    }

    #[test]
    fn without_an_active_key_nothing_is_signed() {
        let claims = Claims::new("gateway", "uid-1", "alice", 99);
        assert_eq!(signer().sign(&claims), Err(NotSigned));
        assert_eq!(Signer::default().sign(&claims), Err(NotSigned));
    }
}
