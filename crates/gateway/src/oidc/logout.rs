//! logout token -> the session that ends, if the token is valid (pure but for fetching keys).

use openidconnect::core::CoreJsonWebKeySet;
use serde_json::Value;

use super::Provider;
use super::id_token::{JwtError, SKEW, numeric_date};
use super::jwks::For;
use super::other_tokens;
use super::settings::Settings;

/// Maximum length of a logout token, in bytes.
const MAX_LOGOUT_TOKEN: usize = 8 * 1024;
/// A logout token is valid for at most this long after its issue, in seconds, whatever its `exp`.
const LIFE: i64 = 10 * 60;
/// The event claim that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The provider reports that sessions ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logout {
    /// Identifier of this token.
    pub jti: String,
    /// The provider's session (`sid`); `None`: all sessions of the user.
    pub sid: Option<String>,
    /// The user (`sub`).
    pub subject: Option<String>,
    /// Time of issue, by the provider's clock. Sessions that began later are not affected.
    pub issued: i64,
}

impl Provider {
    /// Verifies a logout token (OpenID Connect Back-Channel Logout 1.0, 2.6).
    ///
    /// # Errors
    /// Any check fails.
    pub async fn logout(&self, token: &str) -> Result<Logout, JwtError> {
        if token.len() > MAX_LOGOUT_TOKEN {
            return Err(JwtError::TooLong);
        }
        let now = self.clock.now();
        let verify = |keys: &_| verify(token, &self.settings, keys, now);
        self.keys.verify(For::Logout, verify).await
    }
}

fn verify(token: &str, settings: &Settings, keys: &CoreJsonWebKeySet, now: i64) -> Result<Logout, JwtError> {
    // Providers that are older than the type send JWT, or no type. An ID token fails because it has no event.
    let kinds = ["logout+jwt", "application/logout+jwt", "JWT"];
    let claims = other_tokens::claims(token, &kinds, settings, keys)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if !other_tokens::is_for(&claims, &settings.client_id) {
        return Err(JwtError::Audience);
    }
    let time = |name: &str| claims.get(name).and_then(numeric_date).ok_or(JwtError::Time);
    let issued = time("iat")?;
    // Required since 2023; some providers still omit it.
    let expires = match claims.get("exp") {
        None => issued.saturating_add(LIFE),
        Some(_) => time("exp")?.min(issued.saturating_add(LIFE)),
    };
    if issued > now + SKEW || expires <= now - SKEW {
        return Err(JwtError::Time);
    }
    let is_logout = claims
        .get("events")
        .and_then(|events| events.get(EVENT))
        .is_some_and(Value::is_object);
    let (sid, subject) = (text("sid"), text("sub"));
    let jti = text("jti")
        .filter(|jti| !jti.is_empty())
        .ok_or(JwtError::Logout)?;
    if !is_logout || claims.contains_key("nonce") || (sid.is_none() && subject.is_none()) {
        return Err(JwtError::Logout);
    }
    Ok(Logout {
        jti: jti.to_owned(),
        sid: sid.map(str::to_owned),
        subject: subject.map(str::to_owned),
        issued,
    })
}
