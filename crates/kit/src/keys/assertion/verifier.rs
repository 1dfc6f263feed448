//! Published key set and token -> the user that the token names, or why it is not valid (pure).

use std::collections::BTreeMap;
use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

/// Clocks of two machines may differ by this many seconds.
const LEEWAY: i64 = 10;

/// Checks assertions with public keys alone.
#[derive(Clone)]
pub struct Verifier(BTreeMap<String, DecodingKey>);

/// The published keys are no key set, or none of them can be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKeySet {
    /// It is no JSON Web Key Set.
    #[error("not a JSON Web Key Set: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It has no Ed25519 key with an identifier.
    #[error("no key of type OKP, curve Ed25519, with a \"kid\"")]
    NoKey,
}

/// Why an assertion is not valid. The text names no claim's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAssertion {
    /// No key of the set has its identifier. The gateway may have renewed its keys since the set was read.
    #[error("no published key has this assertion's key identifier")]
    UnknownKey,
    /// The time is outside of its validity.
    #[error("the assertion has expired or is not valid yet")]
    Time,
    /// Another audience, another issuer, another signature, or no assertion at all.
    #[error("the assertion is malformed, or its signature, issuer or audience is another")]
    Other,
}

/// The content of a valid assertion.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct VerifiedClaims {
    /// Subject: the user.
    #[serde(rename = "sub")]
    pub subject: String,
    /// The user's groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Time at which the user's session ends in any case, in Unix seconds.
    pub session_end: Option<i64>,
    /// Whether the request itself carried a token: a script sent it, and not a browser.
    #[serde(default)]
    pub bearer: bool,
    /// Expiry of the assertion, in Unix seconds.
    #[serde(rename = "exp")]
    pub ends: i64,
    #[serde(rename = "nbf")]
    begins: i64,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Verifier {
    /// Reads a JSON Web Key Set, as [`Signer::key_set`](super::Signer::key_set) gives it. It ignores keys for other algorithms.
    ///
    /// # Errors
    /// The text is no key set, or no key can be used.
    pub fn new(key_set: &str) -> Result<Self, InvalidKeySet> {
        let set: JwkSet = serde_json::from_str(key_set)?;
        let keys: BTreeMap<_, _> = set.keys.iter().filter_map(ed25519).collect();
        if keys.is_empty() {
            return Err(InvalidKeySet::NoKey);
        }
        Ok(Self(keys))
    }

    /// Returns what the token says, if one of the keys signed it and it is valid at `now` (Unix seconds) for this `audience`.
    ///
    /// # Errors
    /// The token is not valid.
    pub fn check(
        &self,
        token: &str,
        issuer: &str,
        audience: &str,
        now: i64,
    ) -> Result<VerifiedClaims, InvalidAssertion> {
        let header = decode_header(token).map_err(|_| InvalidAssertion::Other)?;
        let id = header.kid.ok_or(InvalidAssertion::UnknownKey)?;
        let key = self.0.get(&id).ok_or(InvalidAssertion::UnknownKey)?;
        let mut expected = Validation::new(Algorithm::EdDSA);
        expected.set_issuer(&[issuer]);
        expected.set_audience(&[audience]);
        expected.set_required_spec_claims(&["iss", "aud", "exp", "nbf", "sub"]);
        // The caller's clock decides below.
        expected.validate_exp = false;
        let decoded = decode::<VerifiedClaims>(token, key, &expected);
        let claims = decoded.map_err(|_| InvalidAssertion::Other)?.claims;
        let valid = claims.begins.saturating_sub(LEEWAY)..claims.ends.saturating_add(LEEWAY);
        if valid.contains(&now) {
            Ok(claims)
        } else {
            Err(InvalidAssertion::Time)
        }
    }
}

fn ed25519(key: &Jwk) -> Option<(String, DecodingKey)> {
    let AlgorithmParameters::OctetKeyPair(parameters) = &key.algorithm else {
        return None;
    };
    let for_signatures = matches!(key.common.key_algorithm, None | Some(KeyAlgorithm::EdDSA))
        && matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    if parameters.curve != EllipticCurve::Ed25519 || !for_signatures {
        return None;
    }
    Some((key.common.key_id.clone()?, DecodingKey::from_jwk(key).ok()?))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
    use serde_json::{Value, json};

    use super::super::{Claims, Signer};
    use super::*;
    use crate::keys::rotating_keys::MasterKey;

    fn signer(keys: &[(&str, i64, u8)]) -> Signer {
        let signer = Signer::default();
        let keys: Vec<_> = keys
            .iter()
            .map(|&(id, active_from, byte)| MasterKey {
                id: id.to_owned(),
                active_from,
                bytes: [byte; 32].into(),
            })
            .collect();
        signer.replace(&keys).unwrap();
        signer
    }

    fn alice(groups: &[String]) -> Claims<'_> {
        Claims {
            groups: Some(groups),
            session_end: Some(9000),
            ..Claims::new("gateway", "portal", "alice", 250)
        }
    }

    fn check(verifier: &Verifier, token: &str) -> Result<VerifiedClaims, InvalidAssertion> {
        verifier.check(token, "gateway", "portal", 250)
    }

    #[test]
    fn a_signed_assertion_names_the_user_and_its_expiry() {
        let signer = signer(&[("next", 300, 3), ("active", 200, 1), ("retired", 0, 2)]);
        let verifier = Verifier::new(&signer.key_set()).unwrap();
        let groups = ["a, \"b\"".to_owned(), "Zo\u{eb}".to_owned()];
        let token = signer.sign(&alice(&groups)).unwrap();
        let expected = VerifiedClaims {
            subject: "alice".to_owned(),
            groups: groups.to_vec(),
            session_end: Some(9000),
            bearer: false,
            ends: 310,
            begins: 250,
        };
        assert_eq!(check(&verifier, &token), Ok(expected));
        let script = Claims {
            bearer: true,
            ..Claims::new("gateway", "portal", "alice", 250)
        };
        let claims = check(&verifier, &signer.sign(&script).unwrap()).unwrap();
        assert_eq!((claims.bearer, claims.session_end), (true, None));
        assert_eq!(claims.groups, [""; 0]);
        for (begins, by) in [(150, "retired"), (250, "active"), (350, "next")] {
            let claims = Claims::new("gateway", "portal", "alice", begins);
            let token = signer.sign(&claims).unwrap();
            assert_eq!(decode_header(&token).unwrap().kid.as_deref(), Some(by));
            assert!(
                verifier.check(&token, "gateway", "portal", begins).is_ok(),
                "{by}"
            );
        }
    }

    #[test]
    fn an_assertion_counts_for_its_issuer_and_audience_within_its_minute() {
        let signer = signer(&[("active", 200, 1)]);
        let verifier = Verifier::new(&signer.key_set()).unwrap();
        let token = signer.sign(&alice(&[])).unwrap();
        let check = |issuer, audience, now| verifier.check(&token, issuer, audience, now).err();
        for now in [240, 250, 309, 319] {
            assert_eq!(check("gateway", "portal", now), None, "{now}");
        }
        for now in [0, 239, 320, 9999] {
            assert_eq!(
                check("gateway", "portal", now),
                Some(InvalidAssertion::Time),
                "{now}"
            );
        }
        for (issuer, audience) in [("operator", "portal"), ("gateway", "uid-1"), ("gateway", "")] {
            assert_eq!(
                check(issuer, audience, 250),
                Some(InvalidAssertion::Other),
                "{issuer} {audience}"
            );
        }
    }

    #[test]
    fn an_assertion_for_a_workspace_does_not_count_for_the_portal() {
        let signer = signer(&[("active", 200, 1)]);
        let verifier = Verifier::new(&signer.key_set()).unwrap();
        let token = signer
            .sign(&Claims::new("gateway", "uid-1", "alice", 250))
            .unwrap();
        assert_eq!(check(&verifier, &token), Err(InvalidAssertion::Other));
    }

    #[test]
    fn forged_assertions_are_refused() {
        let signer = signer(&[("active", 200, 1)]);
        let verifier = Verifier::new(&signer.key_set()).unwrap();
        let token = signer.sign(&alice(&[])).unwrap();
        let [header, claims, signature] = [0, 1, 2].map(|part| token.split('.').nth(part).unwrap());
        let encoded = |value: Value| BASE64URL.encode(value.to_string());
        let header_of = |algorithm: &str| encoded(json!({"alg": algorithm, "typ": "JWT", "kid": "active"}));
        let root = encoded(
            json!({"iss": "gateway", "aud": "portal", "sub": "root", "nbf": 250, "iat": 250, "exp": 310}),
        );
        for forged in [
            String::new(),
            "a.b.c".to_owned(),
            format!("{header}.{claims}."),
            format!("{header}.{root}.{signature}"),
            format!("{header}.{claims}.{}", &signature[..80]),
            format!("{header}.{claims}.{signature}.{signature}"),
            format!("{}.{claims}.", header_of("none")),
            format!("{}.{claims}.{signature}", header_of("HS256")),
            format!("{}.{claims}.{signature}", header_of("RS256")),
        ] {
            assert_eq!(
                check(&verifier, &forged),
                Err(InvalidAssertion::Other),
                "{forged}"
            );
        }
        let same_name = self::signer(&[("active", 200, 9)]);
        let token = same_name.sign(&alice(&[])).unwrap();
        assert_eq!(check(&verifier, &token), Err(InvalidAssertion::Other));
    }

    #[test]
    fn an_assertion_by_an_unpublished_key_has_its_own_error() {
        let verifier = Verifier::new(&signer(&[("old", 0, 1)]).key_set()).unwrap();
        let token = signer(&[("new", 0, 2)]).sign(&alice(&[])).unwrap();
        assert_eq!(check(&verifier, &token), Err(InvalidAssertion::UnknownKey));
        let [claims, signature] = [1, 2].map(|part| token.split('.').nth(part).unwrap());
        let anonymous = BASE64URL.encode(r#"{"alg":"EdDSA","typ":"JWT"}"#);
        let token = format!("{anonymous}.{claims}.{signature}");
        assert_eq!(check(&verifier, &token), Err(InvalidAssertion::UnknownKey));
    }

    #[test]
    fn claims_that_are_missing_or_of_another_type_are_refused() {
        let signing = MasterKey {
            id: "active".to_owned(),
            active_from: 0,
            bytes: [1; 32].into(),
        };
        let key = super::super::SigningKey::derive(&signing).unwrap();
        let verifier = Verifier::new(&signer(&[("active", 0, 1)]).key_set()).unwrap();
        let whole = json!({"iss": "gateway", "aud": "portal", "sub": "alice", "nbf": 250, "exp": 310});
        let sign = |claims: &Value| {
            let header = jsonwebtoken::Header {
                kid: Some("active".to_owned()),
                ..jsonwebtoken::Header::new(Algorithm::EdDSA)
            };
            jsonwebtoken::encode(&header, claims, &key.signs).unwrap()
        };
        assert!(check(&verifier, &sign(&whole)).is_ok());
        for (name, value) in [
            ("iss", Value::Null),
            ("aud", Value::Null),
            ("sub", Value::Null),
            ("sub", json!(["alice"])),
            ("nbf", Value::Null),
            ("exp", Value::Null),
            ("exp", json!("310")),
            ("groups", json!("admins")),
            ("groups", json!([1])),
            ("bearer", json!("true")),
        ] {
            let mut claims = whole.clone();
            claims[name] = value.clone();
            assert!(check(&verifier, &sign(&claims)).is_err(), "{name} {value}");
        }
    }

    #[test]
    fn a_key_set_without_a_usable_key_is_an_error() {
        for text in ["", "{}", "[]", "{\"keys\": 1}"] {
            assert!(
                matches!(Verifier::new(text), Err(InvalidKeySet::Malformed(_))),
                "{text}"
            );
        }
        let set: Value = serde_json::from_str(&signer(&[("active", 0, 1)]).key_set()).unwrap();
        let usable = &set["keys"][0];
        let with = |name: &str, value: Value| {
            let mut key = usable.clone();
            key[name] = value;
            json!({"keys": [key]}).to_string()
        };
        for text in [
            r#"{"keys": []}"#.to_owned(),
            r#"{"keys": [{"kty": "OKP"}]}"#.to_owned(),
            with("kid", Value::Null),
            with("use", json!("enc")),
            with("alg", json!("RS256")),
            with("x", json!("not base64")),
        ] {
            assert!(
                matches!(Verifier::new(&text), Err(InvalidKeySet::NoKey)),
                "{text}"
            );
        }
        let mixed =
            json!({"keys": [{"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"}, usable]}).to_string();
        assert_eq!(format!("{:?}", Verifier::new(&mixed).unwrap()), r#"["active"]"#);
    }
}
