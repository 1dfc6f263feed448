//! Client of an identity provider -> whether the provider answers and accepts it (IO).

use kit::process::InvalidSetting;

use crate::clock::Clock;
use crate::oidc::clients::Client;
use crate::oidc::portal_users;
use crate::oidc::{Binding, DiscoverError, INVALID_GRANT, Provider, RedeemError};
use crate::tokens::random::random_token;

/// Checks the provider of this name: it must refuse an invented code, and not the client.
pub(super) async fn check(name: &str, redirect_uri: &str, client: Client) -> Result<String, String> {
    let at = portal_users::section(name);
    let Client { settings, http } = client;
    let (issuer, client_id) = (settings.issuer_url.clone(), settings.client_id.clone());
    let accepted = match settings.client_secret {
        Some(_) => "the client and its secret are accepted",
        None => "the client, which has no secret, is accepted",
    };
    let provider = match Provider::discover(settings, http, Clock::System).await {
        Ok(provider) => provider,
        Err(DiscoverError::NotUp(reason)) => {
            return Err(format!(
                "{issuer} does not answer ({reason}): start it, and let the gateway's pods reach it \
                 (networkPolicy.identityProviders, {at}.connectTo, gateway.httpsProxy)"
            ));
        }
        Err(DiscoverError::Doubtful(wrong) | DiscoverError::Wrong(wrong)) => {
            return Err(in_values(&wrong, &at));
        }
    };
    let random = random_token().map_err(|error| error.to_string())?;
    let binding = Binding {
        nonce: &random,
        verifier: &random,
        redirect_uri,
    };
    match provider.redeem(&random, binding).await {
        Err(RedeemError::Refused(word)) if word == INVALID_GRANT => {
            Ok(format!("{issuer} answers, {accepted}"))
        }
        Err(RedeemError::Client(word)) => Err(format!(
            "{issuer} answers, but it refuses the client {client_id} ({word}): compare {at}.clientId and the Secret of \
             {at}.clientSecretName with the client at the provider"
        )),
        Err(error) => Err(format!(
            "{issuer} answers, but it does not judge the client {client_id} ({error}; expected: {INVALID_GRANT}): look at the log of \
             the provider"
        )),
        Ok(_) => Err(format!(
            "{issuer} accepts a code that it did not issue: use another provider"
        )),
    }
}

/// The problem, with the name of the chart's value in place of the flag. `at`: the section of the values.
pub(super) fn in_values(wrong: &InvalidSetting, at: &str) -> String {
    let value = match wrong.setting {
        "oidc-issuer-url" => "issuerUrl",
        "oidc-client-id" => "clientId",
        "oidc-client-secret-file" => "clientSecretName",
        "oidc-ca-file" => "caSecretName or caConfigMapName",
        "oidc-signing-algs" => "signingAlgs",
        "oidc-connect-to" => "connectTo",
        "oidc-https-proxy" | "oidc-https-proxy-file" => {
            return format!("gateway.httpsProxy: {}", wrong.problem);
        }
        _ => return wrong.to_string(),
    };
    format!("{at}.{value}: {}", wrong.problem)
}

#[cfg(test)]
mod tests {
    use testkit::issuer::{Behaviour, Issuer};

    use super::*;
    use crate::oidc::http::{HttpClient, HttpError};
    use crate::oidc::{MAIN, Settings};
    use crate::tokens::redacted::Secret;

    const ISSUER: &str = "https://id.example/realm";

    /// The result for a client with this secret, about a provider that behaves like this.
    async fn result(secret: &str, behaviour: impl FnOnce(&mut Behaviour)) -> Result<String, String> {
        let settings = Settings {
            issuer_url: ISSUER.into(),
            client_id: "gateway".into(),
            client_secret: Some(Secret::new(secret.into())),
            scopes: Vec::new(),
            optional_scopes: Vec::new(),
            signing_algs: vec!["RS256".parse().unwrap()],
        };
        let issuer = Issuer::new(ISSUER, "gateway", "s3cret", 1_800_000_000);
        issuer.change(behaviour);
        let http = HttpClient::new(move |request| {
            let silent = HttpError::Unreachable {
                host: "id.example".into(),
                reason: "refused".into(),
            };
            let answer = if issuer.is_silent() {
                Err(silent)
            } else {
                Ok(issuer.answer(&request))
            };
            async { answer }
        });
        check(
            MAIN,
            "https://auth.ws.example/callback",
            Client { settings, http },
        )
        .await
    }

    #[tokio::test]
    async fn a_client_whose_wrong_code_alone_is_refused_is_accepted() {
        let found = result("s3cret", |_| {}).await.unwrap();
        assert_eq!(
            found,
            "https://id.example/realm answers, the client and its secret are accepted"
        );
    }

    #[tokio::test]
    async fn each_fault_of_provider_or_client_is_named_with_what_to_do() {
        let text = result("other", |_| {}).await.unwrap_err();
        let refused = "refuses the client gateway (invalid_client): compare oidc.clientId";
        assert!(text.contains(refused) && !text.contains("other"), "{text}");
        let text = result("s3cret", |issuer| issuer.token_error = Some("invalid_request")).await;
        let text = text.unwrap_err();
        assert!(
            text.contains("invalid_request; expected: invalid_grant"),
            "{text}"
        );
        let text = result("s3cret", |issuer| issuer.silent = true).await.unwrap_err();
        assert!(
            text.contains("/realm does not answer (no connection to id.example: refused): start it"),
            "{text}"
        );
        let text = result("s3cret", |issuer| issuer.failure = Some(404))
            .await
            .unwrap_err();
        assert!(
            text.starts_with("oidc.issuerUrl: ") && text.contains("answers 404"),
            "{text}"
        );
    }
}
