//! token that is no ID token -> its claims, if one of the provider's keys signed it (pure).
//!
//! Keys and signatures use `openidconnect`, as for ID tokens. `jsonwebtoken` would need a second form of the same keys, and ignores
//! critical header fields (`crit`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use openidconnect::JsonWebKey as _;
use openidconnect::core::{CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use serde_json::{Map, Value};

use super::id_token::{JwtError, part, payload};
use super::settings::Settings;

/// The claims, after checks of header, signature and issuer. `kinds`: the accepted types (`typ`), if the token has one.
///
/// # Errors
/// The token has another type or issuer, or none of the accepted keys signed it.
pub(super) fn claims(
    token: &str,
    kinds: &[&str],
    settings: &Settings,
    keys: &CoreJsonWebKeySet,
) -> Result<Map<String, Value>, JwtError> {
    let header = part(token, 0).ok_or(JwtError::Kind)?;
    let is_kind = match header.get("typ") {
        None => true,
        Some(Value::String(kind)) => kinds.iter().any(|known| known.eq_ignore_ascii_case(kind)),
        Some(_) => false,
    };
    if !is_kind || header.contains_key("crit") {
        return Err(JwtError::Kind);
    }
    let alg = header.get("alg").cloned().ok_or(JwtError::Algorithm)?;
    let alg: CoreJwsSigningAlgorithm = serde_json::from_value(alg).map_err(|_| JwtError::Algorithm)?;
    if !settings.signing_algs.iter().any(|allowed| allowed.0 == alg) {
        return Err(JwtError::Algorithm);
    }
    let (message, signature) = token
        .rsplit_once('.')
        .filter(|(message, _)| message.matches('.').count() == 1)
        .ok_or(JwtError::Kind)?;
    let signature = BASE64URL.decode(signature).map_err(|_| JwtError::Signature)?;
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.as_str()),
        Some(_) => return Err(JwtError::Kind),
    };
    let mut candidates = keys
        .keys()
        .iter()
        .filter(|key| kid.is_none() || key.key_id().map(|id| id.as_str()) == kid)
        .peekable();
    if candidates.peek().is_none() {
        return Err(JwtError::UnknownKey);
    }
    candidates
        .any(|key| key.verify_signature(&alg, message.as_bytes(), &signature).is_ok())
        .then_some(())
        .ok_or(JwtError::Signature)?;
    let claims = payload(token).ok_or(JwtError::Claims)?;
    if claims.get("iss").and_then(Value::as_str) != Some(&settings.issuer_url) {
        return Err(JwtError::Issuer);
    }
    Ok(claims)
}

/// Whether a token with these claims is for this audience (`aud`), and maybe for others.
pub(super) fn is_for(claims: &Map<String, Value>, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(several)) => several.iter().any(|one| one == audience),
        _ => false,
    }
}
