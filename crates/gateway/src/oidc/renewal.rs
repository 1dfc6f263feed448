//! refresh token -> whether the provider still vouches for somebody, and what it says of them now (IO).

use openidconnect::core::CoreErrorResponseType;
use openidconnect::{OAuth2TokenResponse as _, RefreshToken, RequestTokenError, TokenResponse as _};
use serde_json::{Map, Value};

use super::token::{Expected, Original, Received, Refused};
use super::{Provider, RedeemError, TokenError, refresh_token, refusal, renew_in};
use crate::crypto::redacted::Secret;

/// The provider still vouches.
pub struct Renewed {
    /// In place of the one that was used; `None`: that one stays good.
    pub refresh_token: Option<Secret>,
    /// After how many seconds to ask again.
    pub renew_in: i64,
    /// All claims of the new ID token; `None` when the answer holds none, which says nothing new.
    ///
    /// # Errors
    /// The ID token fails a check. The answer's refresh token counts all the same.
    pub claims: Result<Option<Map<String, Value>>, Refused>,
}

/// The provider does not vouch, or did not say. The texts hold no token.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// The session is over there: signed out, expired, or the person disabled.
    #[error("the identity provider ended the session")]
    Ended,
    /// The provider did not answer.
    #[error("the token endpoint gave no answer: {0}")]
    Unavailable(String),
    /// It answered something else, which decides nothing about the person.
    #[error("{0}")]
    Other(RedeemError),
}

impl Provider {
    /// Asks whether the provider still vouches for somebody.
    ///
    /// # Errors
    /// It does not, or does not say.
    pub async fn renew(&self, token: &Secret, original: Original<'_>) -> Result<Renewed, RenewalError> {
        let token = RefreshToken::new(token.expose().to_owned());
        let request = self
            .client
            .exchange_refresh_token(&token)
            .map_err(|error| RenewalError::Other(RedeemError::Malformed(error.to_string())))?;
        let answer = request.request_async(&self.http).await.map_err(explain)?;
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
                verified.map(|(_, claims)| Some(claims))
            }
        };
        Ok(Renewed {
            refresh_token: refresh_token(&answer),
            renew_in: renew_in(&answer),
            claims,
        })
    }
}

fn explain(error: TokenError) -> RenewalError {
    match error {
        RequestTokenError::ServerResponse(ref response)
            if *response.error() == CoreErrorResponseType::InvalidGrant =>
        {
            RenewalError::Ended
        }
        other => match refusal(other) {
            RedeemError::Unavailable(reason) => RenewalError::Unavailable(reason),
            other => RenewalError::Other(other),
        },
    }
}
