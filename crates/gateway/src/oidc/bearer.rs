//! bearer token of a request -> its verified claims (pure but for fetching keys).

use openidconnect::core::CoreJsonWebKeySet;
use serde_json::{Map, Value};

use super::Provider;
use super::id_token::{JwtError, SKEW, numeric_date};
use super::jwks::For;
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
        let verify = |keys: &_| verify(token, &self.settings, audiences, keys, now);
        self.keys.verify(For::Bearer, verify).await
    }
}

fn verify(
    token: &str,
    settings: &Settings,
    audiences: &[String],
    keys: &CoreJsonWebKeySet,
    now: i64,
) -> Result<Map<String, Value>, JwtError> {
    let kinds = ["JWT", "at+jwt", "application/at+jwt"];
    let claims = other_tokens::claims(token, &kinds, settings, keys)?;
    let is_for = |audience: &str| other_tokens::is_for(&claims, audience);
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
    claims
        .get("sub")
        .and_then(Value::as_str)
        .filter(|sub| !sub.is_empty())
        .ok_or(JwtError::Claims)?;
    Ok(claims)
}
