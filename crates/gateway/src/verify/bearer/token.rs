//! token -> its unverified content, before any check by others (pure).
//!
//! Nothing here is verified. The content selects who verifies the token, and avoids checks of tokens that can never be accepted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Map, Value};

use super::MAX_TOKEN;
use super::error::TokenRefusal;
use crate::oidc::{self, Providers, Registered};

/// Issuer of service account tokens stored in Secrets. They are for the API server, and never expire.
const LEGACY: &str = "kubernetes/serviceaccount";

/// Which tokens are accepted.
#[derive(Debug, Clone, Copy)]
pub(super) struct AcceptedTokens<'a> {
    /// Audience of service accounts' tokens: this site's own.
    pub(super) site: &'a str,
    /// Issuers of the cluster.
    pub(super) cluster: &'a [String],
    /// Audiences of users' tokens.
    pub(super) audiences: &'a [String],
    /// Issuers of users' tokens.
    pub(super) providers: &'a Providers,
}

/// The unverified content of a token.
#[derive(Debug)]
pub(super) struct Claimed<'a> {
    pub(super) by: TokenVerifier<'a>,
    /// Expiry, Unix seconds, plus the tolerance for clock skew.
    pub(super) ends: i64,
}

/// Who verifies the token.
#[derive(Debug)]
pub(super) enum TokenVerifier<'a> {
    /// The API server: it is a service account's token.
    Cluster,
    /// The keys of this provider: it is a user's token.
    Provider(&'a Registered),
}

/// Reads a token at `now` (Unix seconds).
///
/// # Errors
/// The token can never be accepted.
pub(super) fn read<'a>(
    token: &str,
    expected: AcceptedTokens<'a>,
    now: i64,
) -> Result<Claimed<'a>, TokenRefusal> {
    let claims = claims(token)?;
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    let audiences = audiences(&claims)?;
    let claimed = if issuer == LEGACY || expected.cluster.iter().any(|known| known == issuer) {
        // For this site alone. Any other recipient of such a token could act here as its owner, and the gateway could act there.
        if audiences != [expected.site] {
            return Err(TokenRefusal::ServiceAccountAudience);
        }
        Claimed {
            by: TokenVerifier::Cluster,
            ends: time(&claims, "exp")?,
        }
    } else {
        let provider = expected.providers.by_issuer(issuer).ok_or(TokenRefusal::Issuer)?;
        let fits = |known: &String| audiences.contains(&known.as_str());
        if !expected.audiences.iter().any(fits) {
            return Err(TokenRefusal::UserAudience);
        }
        Claimed {
            by: TokenVerifier::Provider(provider),
            ends: time(&claims, "exp")?.saturating_add(oidc::SKEW),
        }
    };
    if claimed.ends <= now {
        return Err(TokenRefusal::Expired);
    }
    Ok(claimed)
}

/// The claims of a signed JSON Web Token in its compact form.
fn claims(token: &str) -> Result<Map<String, Value>, TokenRefusal> {
    if token.len() > MAX_TOKEN {
        return Err(TokenRefusal::TooLong);
    }
    let mut parts = token.split('.');
    let (Some(head), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenRefusal::Shape);
    };
    let object = |part: &str| -> Option<Map<String, Value>> {
        serde_json::from_slice(&BASE64URL.decode(part).ok()?).ok()
    };
    let is_signed = !signature.is_empty() && BASE64URL.decode(signature).is_ok();
    match (object(head), object(claims)) {
        (Some(_), Some(claims)) if is_signed => Ok(claims),
        _ => Err(TokenRefusal::Shape),
    }
}

/// `aud`: one string, or a list of strings.
fn audiences(claims: &Map<String, Value>) -> Result<Vec<&str>, TokenRefusal> {
    match claims.get("aud") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(several)) => several
            .iter()
            .map(|audience| audience.as_str().ok_or(TokenRefusal::Shape))
            .collect(),
        Some(_) => Err(TokenRefusal::Shape),
    }
}

fn time(claims: &Map<String, Value>, name: &str) -> Result<i64, TokenRefusal> {
    claims
        .get(name)
        .and_then(oidc::numeric_date)
        .ok_or(TokenRefusal::Expired)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::oidc::claims::Mapping;

    const SITE: &str = "https://auth.ws.example";
    const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";
    const ISSUER: &str = "https://identity.example/realms/x";
    const NOW: i64 = 1_800_000_000;

    fn encode(value: &Value) -> String {
        BASE64URL.encode(value.to_string())
    }

    fn token(claims: &Value) -> String {
        format!("{}.{}.c2ln", encode(&json!({"alg": "RS256"})), encode(claims))
    }

    /// Who would verify the token, and its expiry.
    fn read_text(token: &str) -> Result<(&'static str, i64), TokenRefusal> {
        let mapping = Mapping::new(ISSUER, "sub", None, None, "");
        let providers = Providers::new(vec![Registered::only(ISSUER, mapping)]);
        let expected = AcceptedTokens {
            site: SITE,
            cluster: &[CLUSTER.to_owned()],
            audiences: &["scripts".to_owned()],
            providers: &providers,
        };
        read(token, expected, NOW).map(|claimed| match claimed.by {
            TokenVerifier::Cluster => ("cluster", claimed.ends),
            TokenVerifier::Provider(_) => ("provider", claimed.ends),
        })
    }

    fn read_claims(claims: &Value) -> Result<(&'static str, i64), TokenRefusal> {
        read_text(&token(claims))
    }

    #[test]
    fn the_issuer_determines_who_verifies_a_token() {
        let account = json!({"iss": CLUSTER, "aud": [SITE], "exp": NOW + 600});
        assert_eq!(read_claims(&account), Ok(("cluster", NOW + 600)));
        for audience in [json!("scripts"), json!(["account", "scripts"])] {
            let user = json!({"iss": ISSUER, "aud": audience, "exp": NOW + 600});
            assert_eq!(read_claims(&user), Ok(("provider", NOW + 660)));
        }
        for issuer in [json!("https://evil.example"), json!(""), json!(null), json!(7)] {
            let other = json!({"iss": issuer, "aud": [SITE], "exp": NOW + 600});
            assert_eq!(read_claims(&other), Err(TokenRefusal::Issuer));
        }
    }

    #[test]
    fn a_service_account_s_token_for_the_api_server_or_for_anybody_else_as_well_is_asked_about_nowhere() {
        for audience in [
            json!([CLUSTER]),
            json!("https://kubernetes.default.svc"),
            json!([SITE, CLUSTER]),
            json!(["https://auth.ws.example.evil.example"]),
            json!(["https://auth.ws.example/"]),
            json!([]),
            json!(null),
        ] {
            let mut claims = json!({"iss": CLUSTER, "aud": audience, "exp": NOW + 600});
            if audience.is_null() {
                claims.as_object_mut().unwrap().remove("aud");
            }
            assert_eq!(
                read_claims(&claims),
                Err(TokenRefusal::ServiceAccountAudience),
                "{claims}"
            );
        }
        // The old form that is stored in Secrets.
        let legacy = json!({"iss": LEGACY, "sub": "system:serviceaccount:a:b"});
        assert_eq!(read_claims(&legacy), Err(TokenRefusal::ServiceAccountAudience));
        // Another audience never makes a user's token a service account's, or the reverse.
        let user = json!({"iss": ISSUER, "aud": [SITE], "exp": NOW + 600});
        assert_eq!(read_claims(&user), Err(TokenRefusal::UserAudience));
        let account = json!({"iss": CLUSTER, "aud": ["scripts"], "exp": NOW + 600});
        assert_eq!(read_claims(&account), Err(TokenRefusal::ServiceAccountAudience));
    }

    #[test]
    fn a_token_without_end_or_past_it_is_over() {
        for (exp, user_passes) in [(NOW, true), (NOW - 59, true), (NOW - 60, false)] {
            let account = json!({"iss": CLUSTER, "aud": [SITE], "exp": exp});
            assert_eq!(read_claims(&account), Err(TokenRefusal::Expired), "{exp}");
            let user = json!({"iss": ISSUER, "aud": "scripts", "exp": exp});
            assert_eq!(read_claims(&user).is_ok(), user_passes, "{exp}");
        }
        for exp in [
            json!(null),
            json!("1900000000"),
            json!(1e300),
            json!(u64::MAX),
            json!(-1),
        ] {
            let claims = json!({"iss": ISSUER, "aud": "scripts", "exp": exp});
            assert_eq!(read_claims(&claims), Err(TokenRefusal::Expired), "{exp}");
        }
        let for_ever = json!({"iss": ISSUER, "aud": "scripts", "exp": i64::MAX});
        assert_eq!(read_claims(&for_ever), Ok(("provider", i64::MAX)));
    }

    #[test]
    fn what_is_no_signed_token_in_compact_form_has_no_shape() {
        let good = token(&json!({"iss": CLUSTER, "aud": [SITE], "exp": NOW + 600}));
        assert!(read_text(&good).is_ok());
        let (unsigned, _) = good.rsplit_once('.').unwrap();
        for text in [
            "",
            "alice",
            "..",
            "lab-a",
            unsigned,
            &format!("{unsigned}."),
            &format!("{good}.x"),
            &format!("{good}=="),
            &format!(" {good}"),
            &format!("{good}, Bearer {good}"),
            &good.replace('.', ".."),
            &format!("{unsigned}.a b"),
            "e30.W10.c2ln",
            "W10.e30.c2ln",
        ] {
            assert_eq!(read_text(text), Err(TokenRefusal::Shape), "{text}");
        }
        assert_eq!(read_text(&"a".repeat(MAX_TOKEN + 1)), Err(TokenRefusal::TooLong));
        let numbers = json!({"iss": CLUSTER, "aud": [1], "exp": NOW + 600});
        assert_eq!(read_claims(&numbers), Err(TokenRefusal::Shape));
    }

    proptest! {
        #[test]
        fn no_bytes_are_read_as_a_token_but_tokens(text in "\\PC{0,200}|[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,40}") {
            prop_assert!(read_text(&text).is_err());
        }
    }
}
