//! refresh token -> whether the user is still valid at the provider, and new claims (IO).

use openidconnect::{OAuth2TokenResponse as _, RefreshToken, TokenResponse as _};
use serde_json::{Map, Value};

use super::id_token::{Expected, JwtError, Original, Received};
use super::{Provider, RedeemError, refresh_token, refusal, renew_in};
use crate::tokens::redacted::Secret;

/// The provider still confirms the user.
pub struct Renewed {
    /// Replaces the used refresh token; `None`: the old one stays valid.
    pub refresh_token: Option<Secret>,
    /// Seconds until the next renewal.
    pub renew_in: i64,
    /// The new ID token, if there is one and it passes all checks.
    pub id_token: Option<Secret>,
    /// All claims of the new ID token. `None` when the answer contains none, which means no change.
    ///
    /// # Errors
    /// The ID token fails a check. The answer's refresh token is valid all the same.
    pub claims: Result<Option<Map<String, Value>>, JwtError>,
}

impl Provider {
    /// Asks whether the provider still confirms a user.
    ///
    /// # Errors
    /// It does not, or gives no usable answer.
    pub async fn renew(&self, token: &Secret, original: Original<'_>) -> Result<Renewed, RedeemError> {
        let token = RefreshToken::new(token.expose().to_owned());
        let request = self
            .client
            .exchange_refresh_token(&token)
            .map_err(|error| RedeemError::Malformed(error.to_string()))?;
        let answer = request.request_async(&self.http).await.map_err(refusal)?;
        let mut id_token = None;
        let claims = match answer.id_token() {
            None => Ok(None),
            Some(token) => {
                let text = Secret::new(token.to_string());
                let received = Received {
                    token,
                    text: text.expose(),
                    access_token: answer.access_token(),
                };
                let verified = self.verify(received, Expected::Renewal(original)).await;
                id_token = verified.is_ok().then_some(text);
                verified.map(|(_, claims)| Some(claims))
            }
        };
        Ok(Renewed {
            refresh_token: refresh_token(&answer),
            renew_in: renew_in(&answer),
            id_token,
            claims,
        })
    }
}
