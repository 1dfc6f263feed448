//! reason why a token is not accepted -> an answer that says how to get a valid one (pure).

use std::fmt::Write as _;

use axum::response::Response;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};

use crate::index::Domain;
use crate::oidc;
use crate::oidc::admission::Outside;
use crate::oidc::claims::IdentityError;
use crate::pages::{self, Failure};

/// Why a request with a token is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// The token is not accepted.
    Refused(TokenRefusal),
    /// The token cannot be checked now, or too many new tokens came from that address.
    Failed(Failure),
}

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenRefusal {
    /// It is not a signed JSON Web Token.
    Shape,
    /// It exceeds the maximum length.
    TooLong,
    /// Its issuer is not in the settings.
    Issuer,
    /// It is a service account's token, and its audience is not this site alone.
    ServiceAccountAudience,
    /// It is a user's token, and its audience is none of the accepted ones.
    UserAudience,
    /// It has expired, or has no expiry.
    Expired,
    /// The API server does not accept it.
    Unknown,
    /// It fails a check of the provider's tokens.
    Token(oidc::JwtError),
    /// Its claims lead to no identity.
    Identity(IdentityError),
    /// The settings do not admit its user.
    NotAdmitted {
        /// Kubernetes user name that the user would have.
        user: String,
        /// The provider.
        issuer: String,
        /// The rule that excludes the user.
        outside: Outside,
    },
}

impl From<TokenRefusal> for TokenError {
    fn from(refused: TokenRefusal) -> Self {
        Self::Refused(refused)
    }
}

impl From<Failure> for TokenError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl TokenRefusal {
    /// A stable label for the audit log.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Shape => "malformed",
            Self::TooLong => "too_long",
            Self::Issuer => "unknown_issuer",
            Self::ServiceAccountAudience | Self::UserAudience => "other_audience",
            Self::Expired => "expired",
            Self::Unknown => "not_authenticated",
            Self::Token(_) => "check_failed",
            Self::Identity(_) => "no_identity",
            Self::NotAdmitted { outside, .. } => outside.reason(),
        }
    }

    /// The message for the sender. `site`: the audience of this site; `audiences`: those of users' tokens.
    fn message(&self, site: &str, audiences: &[String]) -> String {
        let make_one = format!("kubectl create token NAME --audience={site}");
        match self {
            Self::Shape => "The token is not a signed JSON Web Token.".to_owned(),
            Self::TooLong => format!("The token is longer than {} bytes.", super::MAX_TOKEN),
            Self::Issuer => "This site does not accept tokens of the token's issuer (iss).".to_owned(),
            Self::ServiceAccountAudience => format!(
                "The service account's token is for the API server or for another service, and not for this site alone. Create a \
                 token for this site: {make_one}"
            ),
            Self::UserAudience if audiences.is_empty() => {
                format!("Users' tokens are not accepted here. Use one of a service account: {make_one}")
            }
            Self::UserAudience => format!(
                "The token is for another client. Get one whose audience (aud) is {}.",
                audiences.join(" or ")
            ),
            Self::Expired => "The token has expired, or has no expiry (exp). Get a new one.".to_owned(),
            Self::Unknown => {
                "The API server does not know this token: it has expired, it is not genuine, or its service account or pod is gone."
                    .to_owned()
            }
            Self::Token(why) => format!("The token is refused: {why}."),
            Self::Identity(why) => format!("The token's claims cannot be used: {why}."),
            Self::NotAdmitted { .. } => "This site does not admit the user of this token.".to_owned(),
        }
    }
}

impl TokenError {
    /// The answer to give. `audiences`: those of users' tokens.
    pub(crate) fn answer(&self, domain: &Domain, audiences: &[String]) -> Response {
        match self {
            Self::Refused(refused) => {
                let site = domain.auth_origin();
                let message = refused.message(&site, audiences);
                let is_known = matches!(refused, TokenRefusal::NotAdmitted { .. });
                if is_known {
                    return pages::problem(StatusCode::FORBIDDEN, "NotAdmitted", &message);
                }
                let mut response = pages::problem(StatusCode::UNAUTHORIZED, "InvalidToken", &message);
                challenge(&mut response, &site, Some(&message));
                response
            }
            Self::Failed(failure) => failure.answer(),
        }
    }
}

/// Adds the challenge for bearer tokens (RFC 6750, 3). `wrong`: the error of the token that came, if one came.
pub(crate) fn challenge(response: &mut Response, site: &str, wrong: Option<&str>) {
    let mut text = format!("Bearer realm=\"{}\"", quotable(site));
    if let Some(wrong) = wrong {
        let wrong = quotable(wrong);
        let _ = write!(text, ", error=\"invalid_token\", error_description=\"{wrong}\"");
    }
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
}

/// The text, reduced to characters that are allowed in a quoted string there.
fn quotable(text: &str) -> String {
    let fits = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
    text.chars().filter(fits).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SITE: &str = "https://auth.ws.example:8443";

    fn answer_to(refused: TokenRefusal, audiences: &[&str]) -> (StatusCode, String) {
        let audiences: Vec<String> = audiences.iter().map(|&text| text.to_owned()).collect();
        let response = TokenError::from(refused).answer(&Domain::new("ws.example", 8443), &audiences);
        let message = response.headers().get(WWW_AUTHENTICATE);
        let message = message.map_or("", |value| value.to_str().unwrap());
        (response.status(), message.to_owned())
    }

    #[test]
    fn a_token_for_the_api_server_is_answered_with_the_way_to_the_right_one() {
        let (status, message) = answer_to(TokenRefusal::ServiceAccountAudience, &[]);
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        let expected = format!("kubectl create token NAME --audience={SITE}\"");
        assert!(message.ends_with(&expected), "{message}");
        assert!(
            message.starts_with(&format!("Bearer realm=\"{SITE}\", error=\"invalid_token\", ")),
            "{message}"
        );
    }

    #[test]
    fn the_answer_names_the_accepted_audiences_or_that_there_are_none() {
        let (_, named) = answer_to(TokenRefusal::UserAudience, &["scripts", "a\"b\\c"]);
        assert!(named.ends_with("is scripts or abc.\""), "{named}");
        let (_, none) = answer_to(TokenRefusal::UserAudience, &[]);
        assert!(none.contains("service account"), "{none}");
    }

    #[test]
    fn a_user_whom_the_settings_keep_out_is_forbidden_and_not_asked_for_another_token() {
        let refused = TokenRefusal::NotAdmitted {
            user: "mallory".into(),
            issuer: "https://i.example".into(),
            outside: Outside::EmailDomain,
        };
        assert_eq!(answer_to(refused, &[]), (StatusCode::FORBIDDEN, String::new()));
    }

    #[test]
    fn an_unanswered_review_is_not_a_refusal() {
        let domain = Domain::new("ws.example", 8443);
        let unavailable = TokenError::from(Failure::Unavailable).answer(&domain, &[]);
        assert_eq!(unavailable.status(), StatusCode::SERVICE_UNAVAILABLE);
        let often = TokenError::from(Failure::RateLimited(Duration::from_secs(3))).answer(&domain, &[]);
        assert_eq!(often.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(often.headers()["retry-after"], "4");
    }
}
