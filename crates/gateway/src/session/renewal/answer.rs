//! the provider's answer about a user -> its meaning for their session (pure).

use serde_json::{Map, Value};

use crate::oidc::admission::Outside;
use crate::oidc::{JwtError, Registered, Renewed};
use crate::session::content::Content;

/// Reason of the end when the refresh token suddenly belongs to another user.
const ANOTHER_USER: &str = "another_user";

/// What the provider attests about a user now.
pub(super) enum Attestation {
    /// These groups.
    Groups(Vec<String>),
    /// Nothing new.
    AsBefore,
    /// Unusable. Unknown groups are not empty, and the user is not confirmed either.
    Unknown,
}

/// What the answer means for the session.
///
/// # Errors
/// The session ends for this reason: it belongs to another user now, or the user is no longer admitted.
pub(super) fn attestation(
    content: &Content,
    renewed: &Renewed,
    provider: &Registered,
) -> Result<Attestation, &'static str> {
    let admits = |email: &Map<String, Value>, groups: &[String]| {
        let admitted = provider.admission.check(email, groups);
        admitted.map_err(Outside::reason)
    };
    let claims = match &renewed.claims {
        Ok(Some(claims)) => claims,
        Ok(None) => {
            admits(&content.claims(), &content.groups)?;
            return Ok(Attestation::AsBefore);
        }
        Err(JwtError::Subject) => return Err(ANOTHER_USER),
        Err(error) => {
            tracing::warn!(%error, "the ID token of a renewal is refused; the session stays valid for at most gateway.session.maxUnrefreshedMinutes after its last renewal");
            return Ok(Attestation::Unknown);
        }
    };
    let claims = &still_verified(claims, &content.claims());
    match provider.mapping.identify(claims) {
        Ok(identity) if identity.user_name != content.user_name => Err(ANOTHER_USER),
        Ok(identity) => {
            // Some providers omit from later ID tokens claims that were in the first one.
            if claims.contains_key("email") {
                admits(claims, &identity.groups)?;
            } else {
                admits(&content.claims(), &identity.groups)?;
            }
            Ok(Attestation::Groups(identity.groups))
        }
        Err(error) => {
            tracing::warn!(%error, "the claims of a renewal cannot be used; the session stays valid for at most gateway.session.maxUnrefreshedMinutes after its last renewal");
            Ok(Attestation::Unknown)
        }
    }
}

/// The claims of a later ID token. If it has the login's address without `email_verified`, the login's value is added: some
/// providers omit it from later ID tokens.
fn still_verified(claims: &Map<String, Value>, login: &Map<String, Value>) -> Map<String, Value> {
    let mut claims = claims.clone();
    let is_same = claims.contains_key("email") && claims.get("email") == login.get("email");
    if let Some(verified) = login.get("email_verified").filter(|_| is_same) {
        claims.entry("email_verified").or_insert_with(|| verified.clone());
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn the_verified_email_of_the_login_stays_valid_for_the_same_address() {
        let login = claims(&json!({"email": "a@example.org", "email_verified": true}));
        for (later, expected) in [
            (json!({"email": "a@example.org"}), Some(json!(true))),
            (json!({"email": "A@example.org"}), None),
            (json!({"email": "a@evil.example"}), None),
            (json!({}), None),
            (
                json!({"email": "a@example.org", "email_verified": false}),
                Some(json!(false)),
            ),
            (
                json!({"email": "a@example.org", "email_verified": null}),
                Some(json!(null)),
            ),
        ] {
            let merged = still_verified(&claims(&later), &login);
            assert_eq!(merged.get("email_verified"), expected.as_ref(), "{later}");
        }
        let silent = claims(&json!({"email": "a@example.org"}));
        assert_eq!(still_verified(&silent, &silent), silent);
    }
}
