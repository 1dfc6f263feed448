//! Providers, whose users the portal acts as -> what Kubernetes makes of them (IO).
//!
//! `helm test` prints it, and the gateway warns of it at its start.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;

use crate::oidc::{MAIN, Providers, Registered};

/// Seconds of 1 January 2100: no invented token has expired.
const NEVER: i64 = 4_102_444_800;
/// What begins the API server's errors about a token whose issuer it knows.
const KNOWN: &str = "oidc: ";

/// Section of the chart's values about a provider.
pub(crate) fn section(name: &str) -> String {
    match name {
        MAIN => "oidc".to_owned(),
        name => format!("oidc.others (name {name})"),
    }
}

/// Checks that no group of a provider can have the name of a group of the cluster, whose permissions the portal would use.
///
/// # Errors
/// Groups of a provider have no prefix.
pub(crate) fn check_groups<'a>(providers: impl Iterator<Item = &'a Registered>) -> Result<String, String> {
    let bare = providers.filter(|provider| provider.mapping.groups_prefix() == Some(""));
    let bare: Vec<_> = bare.map(|provider| section(&provider.name)).collect();
    if bare.is_empty() {
        return Ok("the groups of each provider have a prefix, or are not used".to_owned());
    }
    Err(format!(
        "groups of {} have no prefix, and the portal acts as them: a provider's group with the name of a group of the cluster has its \
         permissions: set groupsPrefix there, such as \"oidc:\" (docs/sign-in.md)",
        bare.join(", ")
    ))
}

/// Checks that the API server knows the issuer of this provider and takes tokens for this client: by an invented token, which it refuses in
/// other words than one of an unknown issuer.
///
/// # Errors
/// It does not, or does not say so.
pub(crate) async fn check_tokens(
    client: &Client,
    provider: &Registered,
    client_id: &str,
) -> Result<String, String> {
    let review = TokenReview {
        spec: TokenReviewSpec {
            token: Some(invented(&provider.issuer, client_id)),
            audiences: None,
        },
        ..TokenReview::default()
    };
    let (issuer, at) = (&provider.issuer, section(&provider.name));
    let answer = Api::all(client.clone())
        .create(&PostParams::default(), &review)
        .await;
    let status = answer
        .map_err(|error| {
            let message = kit::api_error::message(&error);
            format!("the API server does not say whether it takes tokens of {issuer} ({message})")
        })?
        .status
        .unwrap_or_default();
    if status.authenticated == Some(true) {
        return Err(format!(
            "the API server accepts an invented token of {issuer}: correct its authentication"
        ));
    }
    let remedy = format!(
        "let it trust {at}.issuerUrl with the audience {at}.clientId (docs/sign-in.md, \"The API server\")"
    );
    let said = status.error.unwrap_or_default();
    if !said.contains(KNOWN) {
        Err(format!(
            "the API server takes no tokens of {issuer}, and portal.impersonation is Token: {remedy}"
        ))
    } else if said.contains("not initialized") {
        Err(format!(
            "the API server has not reached {issuer} yet: let it connect there, and trust its certificate"
        ))
    } else if said.contains("expected audience") {
        Err(format!(
            "the API server takes no tokens of {issuer} for the client {client_id}: {remedy}"
        ))
    } else {
        Ok(format!(
            "the API server takes tokens of {issuer} for the client {client_id}"
        ))
    }
}

/// A token of this issuer for this client, with a signature of nobody.
fn invented(issuer: &str, client_id: &str) -> String {
    let part = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"iss": issuer, "aud": client_id, "sub": "nobody", "iat": 0, "exp": NEVER});
    format!(
        "{}.{}.{}",
        part(json!({"alg": "RS256", "typ": "JWT"})),
        part(claims),
        BASE64_URL_SAFE_NO_PAD.encode([0; 256])
    )
}

/// Warns of each fault. `clients`: the client at each provider, in this order. `by_tokens`: the portal acts by tokens of users.
pub(crate) async fn warn(client: &Client, providers: &Providers, clients: &[String], by_tokens: bool) {
    if let Err(problem) = check_groups(providers.iter()) {
        tracing::warn!("{problem}");
    }
    for (provider, client_id) in providers.iter().zip(clients).filter(|_| by_tokens) {
        if let Err(problem) = check_tokens(client, provider, client_id).await {
            tracing::warn!("{problem}");
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response, StatusCode};
    use kube::client::Body;
    use serde_json::Value;
    use testkit::log::Log;

    use super::*;
    use crate::oidc::claims::Mapping;
    use crate::oidc::{CALLBACK, payload};

    const ISSUER: &str = "https://id.example/realm";

    fn provider(name: &str, groups: Option<&str>, prefix: &str) -> Registered {
        let mapping = Mapping::new(ISSUER, "sub", None, groups, prefix);
        Registered::new(name, "Title", ISSUER, mapping, CALLBACK)
    }

    /// An API server that answers reviews of an invented token of ours like this.
    fn api_server(code: StatusCode, status: Value) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| {
            let status = status.clone();
            async move {
                assert!(request.uri().path().ends_with("/tokenreviews"));
                let body = request.into_body().collect_bytes().await.unwrap();
                let asked: Value = serde_json::from_slice(&body).unwrap();
                let claims = payload(asked["spec"]["token"].as_str().unwrap()).unwrap();
                assert_eq!(
                    (claims["iss"].as_str(), claims["aud"].as_str()),
                    (Some(ISSUER), Some("gateway"))
                );
                let answer = json!({
                    "metadata": {}, "spec": {}, "status": status, "message": "no", "code": code.as_u16(), "reason": "Forbidden",
                });
                let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
                *response.status_mut() = code;
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        Client::new(service, "default")
    }

    #[test]
    fn groups_without_a_prefix_are_named_with_their_provider_and_unused_ones_are_not() {
        let of = |list: &[Registered]| check_groups(list.iter());
        of(&[
            provider(MAIN, Some("groups"), "oidc:"),
            provider("partners", None, ""),
        ])
        .unwrap();
        let wrong = of(&[
            provider(MAIN, Some("groups"), "oidc:"),
            provider("partners", Some("roles"), ""),
        ]);
        let wrong = wrong.unwrap_err();
        assert!(
            wrong.contains("groups of oidc.others (name partners) have no prefix"),
            "{wrong}"
        );
        let wrong = of(&[provider(MAIN, Some("groups"), "")]).unwrap_err();
        assert!(
            wrong.contains("groups of oidc have no prefix") && wrong.contains("set groupsPrefix"),
            "{wrong}"
        );
    }

    #[tokio::test]
    async fn an_api_server_that_takes_no_tokens_of_users_is_told_from_one_that_does() {
        let main = provider(MAIN, None, "");
        let asked = async |code: StatusCode, status: Value| {
            check_tokens(&api_server(code, status), &main, "gateway").await
        };
        let refused = |error: &str| json!({"authenticated": false, "error": error});
        let taken = "[invalid bearer token, oidc: verify token: failed to verify signature: no key]";
        let found = asked(StatusCode::CREATED, refused(taken)).await.unwrap();
        assert_eq!(
            found,
            "the API server takes tokens of https://id.example/realm for the client gateway"
        );
        for (code, status, part) in [
            (
                StatusCode::CREATED,
                refused("invalid bearer token"),
                "let it trust oidc.issuerUrl",
            ),
            (
                StatusCode::CREATED,
                json!({}),
                "takes no tokens of https://id.example/realm, and",
            ),
            (
                StatusCode::CREATED,
                refused(
                    r#"[invalid bearer token, oidc: verify token: oidc: expected audience "kubectl" got ["gateway"]]"#,
                ),
                "for the client gateway: let it trust",
            ),
            (
                StatusCode::CREATED,
                refused("[invalid bearer token, oidc: authenticator not initialized]"),
                "has not reached",
            ),
            (
                StatusCode::CREATED,
                json!({"authenticated": true}),
                "accepts an invented token",
            ),
            (StatusCode::FORBIDDEN, json!("Failure"), "does not say whether"),
        ] {
            let wrong = asked(code, status).await.unwrap_err();
            assert!(wrong.contains(part), "{part}: {wrong}");
        }
    }

    #[tokio::test]
    async fn a_start_warns_of_groups_and_only_where_they_are_used_of_tokens() {
        let unknown = || api_server(StatusCode::CREATED, json!({"error": "invalid bearer token"}));
        for (prefix, by_tokens, warnings) in [
            ("oidc:", false, 0),
            ("", false, 1),
            ("oidc:", true, 1),
            ("", true, 2),
        ] {
            let providers = Providers::new(vec![provider(MAIN, Some("groups"), prefix)]);
            let log = Log::default();
            let lines = tracing_subscriber::fmt()
                .with_writer(log.clone())
                .with_ansi(false)
                .finish();
            let guard = tracing::subscriber::set_default(lines);
            warn(&unknown(), &providers, &["gateway".to_owned()], by_tokens).await;
            drop(guard);
            let text = log.take();
            assert_eq!(text.matches("WARN").count(), warnings, "{text}");
        }
    }
}
