//! refresh token -> whether the user is still valid at the provider, and new claims (IO).

use openidconnect::core::{CoreErrorResponseType, CoreTokenResponse};
use openidconnect::{OAuth2TokenResponse as _, RefreshToken, RequestTokenError, TokenResponse as _};
use serde_json::{Map, Value};

use super::id_token::{Expected, JwtError, Original, Received};
use super::{Provider, RedeemError, TokenError, refresh_token, refusal, renew_in};
use crate::tokens::redacted::Secret;

/// The provider still confirms the user.
pub struct Renewed {
    /// Replaces the used refresh token; `None`: the old one stays valid.
    pub refresh_token: Option<Secret>,
    /// Seconds until the next renewal.
    pub renew_in: i64,
    /// All claims of the new ID token. `None` when the answer contains none, which means no change.
    ///
    /// # Errors
    /// The ID token fails a check. The answer's refresh token is valid all the same.
    pub claims: Result<Option<Map<String, Value>>, JwtError>,
}

/// The provider does not confirm the user, or gave no usable answer. The texts contain no token.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// The session ended at the provider: signed out, expired, or the user is disabled.
    #[error("the identity provider ended the session")]
    Ended,
    /// The provider did not answer.
    #[error("the token endpoint gave no answer: {0}")]
    Unavailable(String),
    /// Another answer, which decides nothing about the user.
    #[error("{0}")]
    Other(RedeemError),
}

impl RenewalError {
    /// Whether requests for other sessions would fail as well at the moment.
    pub(crate) fn concerns_all(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Other(RedeemError::Client(_)))
    }

    /// Whether a repetition gives the same result: the provider itself refused, and not a server in its place.
    pub(crate) fn is_definite(&self) -> bool {
        matches!(
            self,
            Self::Other(RedeemError::Client(_) | RedeemError::Refused(_))
        )
    }
}

impl Provider {
    /// Asks whether the provider still confirms a user.
    ///
    /// # Errors
    /// It does not, or gives no usable answer.
    pub async fn renew(&self, token: &Secret, original: Original<'_>) -> Result<Renewed, RenewalError> {
        let token = RefreshToken::new(token.expose().to_owned());
        let request = self
            .client
            .exchange_refresh_token(&token)
            .map_err(|error| RenewalError::Other(RedeemError::Malformed(error.to_string())))?;
        let answer = match request.request_async(&self.http).await {
            Err(RequestTokenError::Parse(_, body)) if let Some(renewed) = without_id_token(&body) => {
                return Ok(renewed);
            }
            answer => answer.map_err(explain)?,
        };
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

/// The usable part of an answer whose ID token is unreadable: a refresh token may be valid for one use only.
fn without_id_token(body: &[u8]) -> Option<Renewed> {
    let mut body: Map<String, Value> = serde_json::from_slice(body).ok()?;
    body.remove("id_token")?;
    let answer: CoreTokenResponse = serde_json::from_value(Value::Object(body)).ok()?;
    Some(Renewed {
        refresh_token: refresh_token(&answer),
        renew_in: renew_in(&answer),
        claims: Err(JwtError::Claims),
    })
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
