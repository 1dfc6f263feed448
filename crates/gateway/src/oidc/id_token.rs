//! ID token -> its claims, if every check passes (pure).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use chrono::{DateTime, Utc};
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet};
use openidconnect::{
    AccessToken, AccessTokenHash, ClaimsVerificationError, ClientId, IssuerUrl, Nonce,
    SignatureVerificationError,
};
use serde_json::{Map, Value};

use super::settings::Settings;
use crate::tokens::random::equal;

/// Tolerance for the provider's clock, in seconds.
pub(crate) const SKEW: i64 = 60;

/// Why an ID token is refused. The texts contain no value of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// No published key has the id that the token names.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// The key is unknown or too old, and the provider was asked just now or does not answer. The token may be accepted later.
    #[error("signed with a key that cannot be fetched now")]
    KeysLater,
    /// The algorithm is not among the configured ones.
    #[error("signed with an algorithm that the Helm value oidc.signingAlgs does not list")]
    Algorithm,
    /// There is no signature.
    #[error("not signed")]
    Unsigned,
    /// The signature does not match.
    #[error("its signature is wrong")]
    Signature,
    /// An unsupported kind of token: encrypted, nested, with critical extensions.
    #[error("not a plain signed ID token")]
    Kind,
    /// Wrong `iss`.
    #[error("from another issuer (iss)")]
    Issuer,
    /// Wrong `aud` or `azp`.
    #[error("for another client or for several (aud, azp)")]
    Audience,
    /// Wrong `exp`, `iat` or `nbf`.
    #[error("expired or not valid yet (compare the clocks)")]
    Time,
    /// Wrong `nonce`.
    #[error("for another login (nonce)")]
    Nonce,
    /// The `sub` differs from the session's.
    #[error("for another user (sub)")]
    Subject,
    /// A logout token without session and user, or without logout event.
    #[error("not a logout token (events, sid, sub, jti, nonce)")]
    Logout,
    /// Wrong `at_hash`.
    #[error("for another access token (at_hash)")]
    AccessToken,
    /// Too long for a session.
    #[error("too long")]
    TooLong,
    /// Anything else.
    #[error("a claim is missing or malformed")]
    Claims,
}

impl From<ClaimsVerificationError> for JwtError {
    fn from(error: ClaimsVerificationError) -> Self {
        use ClaimsVerificationError as E;
        match error {
            E::Expired(_) => Self::Time,
            E::InvalidAudience(_) => Self::Audience,
            E::InvalidIssuer(_) => Self::Issuer,
            E::InvalidNonce(_) => Self::Nonce,
            E::SignatureVerification(error) => error.into(),
            E::Unsupported(_) => Self::Kind,
            _ => Self::Claims,
        }
    }
}

impl From<SignatureVerificationError> for JwtError {
    fn from(error: SignatureVerificationError) -> Self {
        use SignatureVerificationError as E;
        match error {
            E::NoMatchingKey => Self::UnknownKey,
            E::DisallowedAlg(_) => Self::Algorithm,
            E::NoSignature => Self::Unsigned,
            _ => Self::Signature,
        }
    }
}

/// The context that an ID token must match.
#[derive(Clone, Copy)]
pub(super) enum Expected<'a> {
    /// A login, whose request carried this nonce.
    Login {
        /// The nonce of the request.
        nonce: &'a str,
    },
    /// The renewal of a session. Its ID tokens need no nonce, but if there is one, it must be the login's.
    Renewal(Original<'a>),
}

/// The values from the session's login.
#[derive(Debug, Clone, Copy)]
pub struct Original<'a> {
    /// `sub`.
    pub subject: &'a str,
    /// The ID token of the login.
    pub id_token: &'a str,
}

impl Expected<'_> {
    fn fits(self, nonce: Option<&Nonce>) -> bool {
        match (self, nonce) {
            (Self::Login { nonce }, Some(found)) => equal(found.secret(), nonce),
            (Self::Login { .. }, None) => false,
            (Self::Renewal(original), Some(found)) => payload(original.id_token)
                .is_some_and(|claims| claims.get("nonce").and_then(Value::as_str) == Some(found.secret())),
            (Self::Renewal(_), None) => true,
        }
    }
}

/// The parts of a token response that concern the ID token.
#[derive(Clone, Copy)]
pub(super) struct Received<'a> {
    /// The ID token.
    pub(super) token: &'a CoreIdToken,
    /// The ID token as text.
    pub(super) text: &'a str,
    /// The access token that came with it.
    pub(super) access_token: &'a AccessToken,
}

/// Returns the subject and all claims if all checks pass: signature, issuer, audience, authorized party, times, nonce and
/// access-token hash.
pub(super) fn verify(
    received: Received<'_>,
    settings: &Settings,
    keys: &CoreJsonWebKeySet,
    expected: Expected<'_>,
    now: i64,
) -> Result<(String, Map<String, Value>), JwtError> {
    let Received {
        token,
        text,
        access_token,
    } = received;
    let issuer = IssuerUrl::new(settings.issuer_url.clone()).map_err(|_| JwtError::Issuer)?;
    // A verifier without the client secret never accepts a symmetric signature.
    let verifier = CoreIdTokenVerifier::new_public_client(
        ClientId::new(settings.client_id.clone()),
        issuer,
        keys.clone(),
    )
    .set_allowed_algs(settings.signing_algs.iter().map(|alg| alg.0.clone()))
    .set_time_fn(move || date(now - SKEW))
    .set_issue_time_verifier_fn(move |issued| {
        (issued.timestamp() <= now + SKEW)
            .then_some(())
            .ok_or_else(String::new)
    });
    let nonce = |found: Option<&Nonce>| expected.fits(found).then_some(()).ok_or_else(String::new);
    let claims = token.claims(&verifier, nonce)?;
    if let Expected::Renewal(original) = expected
        && claims.subject().as_str() != original.subject
    {
        return Err(JwtError::Subject);
    }
    if claims
        .authorized_party()
        .is_some_and(|party| party.as_str() != settings.client_id)
    {
        return Err(JwtError::Audience);
    }
    if let Some(expected) = claims.access_token_hash() {
        let actual =
            AccessTokenHash::from_token(access_token, token.signing_alg()?, token.signing_key(&verifier)?);
        let fits = actual.is_ok_and(|actual| equal(&actual, expected));
        fits.then_some(()).ok_or(JwtError::AccessToken)?;
    }
    let all = payload(text).ok_or(JwtError::Claims)?;
    // OpenID Connect does not define `nbf`, but providers send it.
    let started = |time: &Value| numeric_date(time).is_some_and(|time| time <= now + SKEW);
    if !all.get("nbf").is_none_or(started) {
        return Err(JwtError::Time);
    }
    Ok((claims.subject().to_string(), all))
}

/// The claims in a token, verified or not.
pub(crate) fn payload(token: &str) -> Option<Map<String, Value>> {
    part(token, 1)
}

/// The whole seconds of a time in a token, which may have a fraction (RFC 7519). A larger number than any time is none.
#[expect(clippy::cast_possible_truncation, reason = "larger numbers are none")]
pub(crate) fn numeric_date(time: &Value) -> Option<i64> {
    let fraction = |time: f64| (time.abs() < 1e15).then(|| time.floor() as i64);
    time.as_i64().or_else(|| fraction(time.as_f64()?))
}

/// Header (0) or claims (1).
pub(super) fn part(token: &str, number: usize) -> Option<Map<String, Value>> {
    let part = BASE64URL.decode(token.split('.').nth(number)?).ok()?;
    serde_json::from_slice(&part).ok()
}

fn date(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_a_number_with_or_without_a_fraction() {
        for (time, expected) in [
            ("1300", 1300),
            ("1300.0", 1300),
            ("1300.999", 1300),
            ("1.3e3", 1300),
        ] {
            assert_eq!(
                numeric_date(&serde_json::from_str(time).unwrap()),
                Some(expected),
                "{time}"
            );
        }
        for time in [json!("1300"), json!(null), json!([1300]), json!(1e300)] {
            assert_eq!(numeric_date(&time), None, "{time}");
        }
    }
}
