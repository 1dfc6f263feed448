//! bearer token of a request -> its verified claims (pure but for fetching keys).

use openidconnect::core::CoreJsonWebKeySet;
use serde_json::{Map, Value, json};

use super::Provider;
use super::id_token::{JwtError, SKEW, numeric_date, payload};
use super::jwks::{Fetched, For};
use super::other_tokens;
use super::settings::Settings;

/// Keys of this age are fetched again in the background, in seconds. Otherwise only an unknown key causes a fetch, and a withdrawn
/// key would go unnoticed.
const OLD: i64 = 10 * 60;
/// Keys of this age are no longer used, in seconds.
const TOO_OLD: i64 = 24 * 60 * 60;

impl Provider {
    /// Verifies a token for one of `audiences`: an access token (RFC 9068) or an ID token of another client.
    ///
    /// # Errors
    /// Any check fails. [`JwtError::KeysLater`]: it cannot be made now.
    pub async fn bearer(&self, token: &str, audiences: &[String]) -> Result<Map<String, Value>, JwtError> {
        let now = self.clock.now();
        if self.keys.age() >= TOO_OLD {
            self.keys.refetch(For::Bearer).await;
            if self.keys.age() >= TOO_OLD {
                return Err(JwtError::KeysLater);
            }
        } else if self.keys.age() >= OLD {
            self.keys.renew();
        }
        let verify = || verify(token, &self.settings, audiences, &self.keys.current(), now);
        match verify() {
            Err(JwtError::UnknownKey) => {
                let fetched = self.keys.refetch(For::Bearer).await;
                verify().map_err(|refused| match (refused, fetched) {
                    (JwtError::UnknownKey, Fetched::Failed | Fetched::TooSoon) => JwtError::KeysLater,
                    (refused, _) => refused,
                })
            }
            verified => verified,
        }
    }
}

fn verify(
    token: &str,
    settings: &Settings,
    audiences: &[String],
    keys: &CoreJsonWebKeySet,
    now: i64,
) -> Result<Map<String, Value>, JwtError> {
    other_tokens::check(token, &["JWT", "at+jwt", "application/at+jwt"], settings, keys)?;
    let claims = payload(token).ok_or(JwtError::Claims)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(&settings.issuer_url) {
        return Err(JwtError::Issuer);
    }
    let is_for = |audience: &str| match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(several)) => several.contains(&json!(audience)),
        _ => false,
    };
    // Tokens of a login to the gateway are for signing in. A client that obtains one must not use it as a bearer token. The login's
    // access token may be for other audiences, and names the client that requested it as `azp` or `client_id`.
    let is_of_login = |name: &str| {
        claims
            .get(name)
            .is_some_and(|client| *client == settings.client_id)
    };
    let of_login = is_for(&settings.client_id) || is_of_login("azp") || is_of_login("client_id");
    if of_login || !audiences.iter().any(|audience| is_for(audience)) {
        return Err(JwtError::Audience);
    }
    let time = |name: &str| {
        claims
            .get(name)
            .map(|time| numeric_date(time).ok_or(JwtError::Time))
    };
    let started = |name: &str| match time(name) {
        None => Ok(()),
        Some(time) => (time? <= now + SKEW).then_some(()).ok_or(JwtError::Time),
    };
    started("iat")?;
    started("nbf")?;
    if time("exp").ok_or(JwtError::Time)?? <= now - SKEW {
        return Err(JwtError::Time);
    }
    // Bound to a key that a bearer does not prove (RFC 7800), or a logout token.
    if claims.contains_key("cnf") || claims.contains_key("events") {
        return Err(JwtError::Kind);
    }
    text("sub")
        .filter(|sub| !sub.is_empty())
        .ok_or(JwtError::Claims)?;
    Ok(claims)
}
