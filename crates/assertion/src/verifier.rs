//! Published key set and token -> the user that the token names, or why it is not valid (pure).

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

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
    /// No key of the set has its identifier. The issuer may have renewed its keys since the set was read.
    #[error("no published key has this assertion's key identifier")]
    UnknownKey,
    /// The time is outside of its validity.
    #[error("the assertion has expired or is not valid yet")]
    Time,
    /// Another audience, another issuer, another signature, or no assertion at all.
    #[error("the assertion is malformed, or its signature, issuer or audience is another")]
    Other,
}

/// The content of a valid assertion. Claims without a default are required. All must be of these types.
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
    /// Whether the user owns the workspace.
    #[serde(default)]
    pub owner: bool,
    /// Expiry of the assertion, in Unix seconds.
    #[serde(rename = "exp")]
    pub ends: i64,
    #[serde(rename = "iss")]
    issuer: String,
    #[serde(rename = "aud")]
    audience: String,
    #[serde(rename = "nbf")]
    begins: i64,
    #[serde(rename = "iat")]
    issued: i64,
}

/// The header of a token.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that a reader must know (RFC 7515, section 4.1.11). This one knows none.
    crit: Option<IgnoredAny>,
}

/// Claims whose signature is not checked.
#[derive(Deserialize)]
struct Unverified {
    iss: String,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Verifier {
    /// Reads a JSON Web Key Set (RFC 7517). It ignores keys for other algorithms.
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
        let header: Header = part(token, 0).ok_or(InvalidAssertion::Other)?;
        if header.alg != "EdDSA" || header.crit.is_some() {
            return Err(InvalidAssertion::Other);
        }
        let key = header.kid.and_then(|id| self.0.get(&id));
        let key = key.ok_or(InvalidAssertion::UnknownKey)?;
        // The claims are compared below: lists are no issuer and no audience, and the caller's clock decides.
        let mut signature_alone = Validation::new(Algorithm::EdDSA);
        signature_alone.set_required_spec_claims::<&str>(&[]);
        signature_alone.validate_exp = false;
        signature_alone.validate_aud = false;
        let decoded = decode::<VerifiedClaims>(token, key, &signature_alone);
        let claims = decoded.map_err(|_| InvalidAssertion::Other)?.claims;
        if claims.issuer != issuer || claims.audience != audience || claims.subject.is_empty() {
            return Err(InvalidAssertion::Other);
        }
        let begins = claims.begins.max(claims.issued).saturating_sub(LEEWAY);
        if (begins..claims.ends.saturating_add(LEEWAY)).contains(&now) {
            Ok(claims)
        } else {
            Err(InvalidAssertion::Time)
        }
    }
}

/// Whom a token names as its issuer, before it is checked by that issuer's keys.
#[must_use]
pub fn claimed_issuer(token: &str) -> Option<String> {
    part::<Unverified>(token, 1).map(|claims| claims.iss)
}

/// A part of a token: JSON in base64url.
fn part<T: DeserializeOwned>(token: &str, index: usize) -> Option<T> {
    let bytes = BASE64URL.decode(token.split('.').nth(index)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Identifier and key, if the key is for signatures by `EdDSA` with Ed25519.
fn ed25519(key: &Jwk) -> Option<(String, DecodingKey)> {
    let AlgorithmParameters::OctetKeyPair(parameters) = &key.algorithm else {
        return None;
    };
    let for_signatures = key.common.key_algorithm == Some(KeyAlgorithm::EdDSA)
        && matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    if parameters.curve != EllipticCurve::Ed25519 || !for_signatures {
        return None;
    }
    Some((key.common.key_id.clone()?, DecodingKey::from_jwk(key).ok()?))
}
