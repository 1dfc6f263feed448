//! Client of an identity provider -> whether the provider answers and accepts it (IO).

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, StatusCode, header};
use jiff::fmt::rfc2822;
use kit::process::WrongSetting;
use openidconnect::AsyncHttpClient as _;

use super::report::Outcome;
use crate::clock::Clock;
use crate::oidc::clients::Client;
use crate::oidc::http::HttpClient;
use crate::oidc::{Binding, DiscoverError, INVALID_GRANT, MAIN, Provider, RedeemError, SKEW};
use crate::tokens::random::random_token;

/// Checks the provider of this name.
pub(super) async fn check(name: &str, redirect_uri: &str, client: Client, clock: &Clock) -> Outcome {
    let at = match name {
        MAIN => "oidc".to_owned(),
        name => format!("oidc.others (name {name})"),
    };
    let Client { settings, http } = client;
    let (issuer, client_id) = (settings.issuer_url.clone(), settings.client_id.clone());
    let has_secret = settings.client_secret.is_some();
    let last = Arc::new(Mutex::new(Answer::default()));
    let http = observed(http, last.clone(), clock.clone());
    let provider = match Provider::discover(settings, http, clock.clone()).await {
        Ok(provider) => provider,
        Err(DiscoverError::NotUp(reason)) => {
            return Outcome::Fail(format!(
                "{issuer} does not answer ({reason}): start it, and let the gateway's pods reach it \
                 (networkPolicy.identityProviders, {at}.connectTo, gateway.httpsProxy)"
            ));
        }
        Err(DiscoverError::Doubtful(wrong) | DiscoverError::Wrong(wrong)) => {
            return Outcome::Fail(in_values(&wrong, &at));
        }
    };
    let redeemed = match random_token() {
        Ok(random) => {
            let binding = Binding {
                nonce: &random,
                verifier: &random,
                redirect_uri,
            };
            provider.redeem(&random, binding).await
        }
        Err(error) => return Outcome::Fail(error.to_string()),
    };
    let last = *last.lock().unwrap_or_else(PoisonError::into_inner);
    let mut problems = Vec::new();
    match last.ahead {
        Some(seconds) if seconds.abs() > SKEW => problems.push(format!(
            "its clock is {} s {} the clock of this pod's node: set both by a time server",
            seconds.abs(),
            if seconds > 0 { "ahead of" } else { "behind" }
        )),
        _ => {}
    }
    let refused = |word: &str| {
        format!(
            "it refuses the client {client_id} ({word}): compare {at}.clientId and the Secret of {at}.clientSecretName with the client \
             at the provider"
        )
    };
    match redeemed {
        Err(RedeemError::Client(word)) => problems.push(refused(&word)),
        _ if last.status == StatusCode::UNAUTHORIZED => problems.push(refused("401")),
        Err(RedeemError::Refused(word)) if word == INVALID_GRANT => {}
        Err(error) => problems.push(format!(
            "it does not judge the client {client_id} ({error}; expected: {INVALID_GRANT}): look at the log of the provider"
        )),
        Ok(_) => problems.push("it accepts a code that it did not issue: use another provider".to_owned()),
    }
    if !problems.is_empty() {
        return Outcome::Fail(format!("{issuer} answers, but {}", problems.join("; ")));
    }
    let clocks = if last.ahead.is_some() {
        "clocks agree"
    } else {
        "its answers have no Date"
    };
    let client = if has_secret {
        "the client and its secret are accepted"
    } else {
        "the client, which has no secret, is accepted"
    };
    Outcome::Ok(format!("{issuer} answers, {clocks}, {client}"))
}

/// The problem, with the name of the chart's value in place of the flag. `at`: the section of the values.
pub(super) fn in_values(wrong: &WrongSetting, at: &str) -> String {
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

/// What is needed of the last answer.
#[derive(Debug, Clone, Copy, Default)]
struct Answer {
    status: StatusCode,
    /// Seconds by which the provider's clock is ahead, if the answer has its time.
    ahead: Option<i64>,
}

/// The same client, which notes the last answer.
fn observed(http: HttpClient, last: Arc<Mutex<Answer>>, clock: Clock) -> HttpClient {
    HttpClient::new(move |request| {
        let answer = http.call(request);
        let (last, clock) = (last.clone(), clock.clone());
        async move {
            let answer = answer.await?;
            let seen = Answer {
                status: answer.status(),
                ahead: time_of(answer.headers()).map(|time| time - clock.now()),
            };
            *last.lock().unwrap_or_else(PoisonError::into_inner) = seen;
            Ok(answer)
        }
    })
}

fn time_of(headers: &HeaderMap) -> Option<i64> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let time = rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(time.as_second())
}

#[cfg(test)]
mod tests {
    use http::Response;
    use jiff::Timestamp;
    use testkit::issuer::{Behaviour, Issuer};

    use super::*;
    use crate::oidc::Settings;
    use crate::oidc::http::HttpError;
    use crate::tokens::redacted::Secret;

    const ISSUER: &str = "https://id.example/realm";
    const NOW: i64 = 1_800_000_000;

    fn settings() -> Settings {
        Settings {
            issuer_url: ISSUER.into(),
            client_id: "gateway".into(),
            client_secret: Some(Secret::new("s3cret".into())),
            scopes: Vec::new(),
            optional_scopes: Vec::new(),
            signing_algs: vec!["RS256".parse().unwrap()],
        }
    }

    /// The outcome about a provider that behaves like this, whose answers pass through `change`.
    async fn outcome(
        settings: Settings,
        behaviour: impl FnOnce(&mut Behaviour),
        change: impl Fn(&str, &mut Response<Vec<u8>>) + Clone + Send + Sync + 'static,
    ) -> Outcome {
        let issuer = Issuer::new(ISSUER, "gateway", "s3cret", NOW);
        issuer.change(behaviour);
        let http = HttpClient::new(move |request| {
            let (issuer, change) = (issuer.clone(), change.clone());
            async move {
                if issuer.is_silent() {
                    return Err(HttpError::Unreachable {
                        host: "id.example".into(),
                        reason: "refused".into(),
                    });
                }
                let mut answer = issuer.answer(&request);
                change(request.uri().path(), &mut answer);
                Ok(answer)
            }
        });
        let redirect = "https://auth.ws.example/callback";
        check(MAIN, redirect, Client { settings, http }, &Clock::manual(NOW)).await
    }

    /// Adds the time to every answer.
    fn dated(seconds: i64) -> impl Fn(&str, &mut Response<Vec<u8>>) + Clone + Send + Sync {
        let time = Timestamp::from_second(seconds).unwrap();
        let date = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        move |_, answer| {
            answer.headers_mut().insert(header::DATE, date.parse().unwrap());
        }
    }

    fn failure(outcome: Outcome) -> String {
        match outcome {
            Outcome::Fail(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_client_whose_wrong_code_alone_is_refused_is_accepted() {
        let good = "https://id.example/realm answers, clocks agree, the client and its secret are accepted";
        for ahead in [0, 60, -60] {
            let outcome = outcome(settings(), |_| {}, dated(NOW + ahead)).await;
            assert_eq!(outcome, Outcome::Ok(good.into()));
        }
        let undated = outcome(settings(), |issuer| issuer.credentials_in_body = true, |_, _| {}).await;
        let text = "https://id.example/realm answers, its answers have no Date, the client and its secret are accepted";
        assert_eq!(undated, Outcome::Ok(text.into()));
    }

    #[tokio::test]
    async fn clocks_may_differ_by_a_minute() {
        for (ahead, part) in [(61, "61 s ahead of"), (-61, "61 s behind")] {
            let text = failure(outcome(settings(), |_| {}, dated(NOW + ahead)).await);
            assert!(text.contains(part) && !text.contains("client"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_client_that_the_provider_refuses_is_named_without_its_secret() {
        let mut wrong = settings();
        wrong.client_secret = Some(Secret::new("other".into()));
        let text = failure(outcome(wrong, |_| {}, dated(NOW)).await);
        assert!(
            text.contains("refuses the client gateway (invalid_client): compare oidc.clientId"),
            "{text}"
        );
        assert!(!text.contains("other"), "{text}");
        let unauthorized = |issuer: &mut Behaviour| issuer.token_error = Some("unauthorized_client");
        let text = failure(outcome(settings(), unauthorized, dated(NOW)).await);
        assert!(
            text.contains("refuses the client gateway (unauthorized_client)"),
            "{text}"
        );
        let text = failure(
            outcome(
                settings(),
                |_| {},
                |path, answer| {
                    if path.ends_with("/token") {
                        *answer.status_mut() = StatusCode::UNAUTHORIZED;
                    }
                },
            )
            .await,
        );
        assert!(text.contains("refuses the client gateway (401)"), "{text}");
    }

    #[tokio::test]
    async fn another_answer_to_the_code_is_no_acceptance() {
        for (error, part) in [
            (
                "invalid_request",
                "(the token endpoint refused the code: invalid_request; ",
            ),
            (
                "server_error",
                "(the token endpoint gave no answer: server_error; ",
            ),
        ] {
            let text =
                failure(outcome(settings(), |issuer| issuer.token_error = Some(error), dated(NOW)).await);
            assert!(text.contains(part), "{text}");
        }
    }

    #[tokio::test]
    async fn a_provider_that_does_not_answer_or_does_not_fit_fails_by_value() {
        let text = failure(outcome(settings(), |issuer| issuer.silent = true, dated(NOW)).await);
        assert!(
            text.starts_with(
                "https://id.example/realm does not answer (no connection to id.example: refused): "
            ),
            "{text}"
        );
        let text = failure(outcome(settings(), |issuer| issuer.failure = Some(404), dated(NOW)).await);
        assert!(
            text.starts_with("oidc.issuerUrl: ") && text.contains("answers 404"),
            "{text}"
        );
        let mut other = settings();
        other.signing_algs = vec!["ES256".parse().unwrap()];
        let text = failure(outcome(other, |_| {}, dated(NOW)).await);
        assert!(
            text.starts_with("oidc.signingAlgs: ") && text.contains("RS256"),
            "{text}"
        );
    }
}
