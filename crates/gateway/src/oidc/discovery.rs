//! settings -> the identity provider once it answers, or the wrong setting (IO).

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::clock::Clock;
use crate::tokens::random::random;
use kit::process::InvalidSetting;

use crate::oidc::http::HttpClient;
use crate::oidc::{DiscoverError, Provider, Settings};

/// Minimum pause between attempts: a user may be waiting for the first success.
const PAUSE: Duration = Duration::from_secs(1);
/// Maximum jitter of each pause, so that replicas that start together do not ask together.
const JITTER: Duration = Duration::from_secs(2);
/// How long another server may answer in the provider's place. A proxy that starts at the same time has no route and no certificate
/// for it at first.
const DOUBT: Duration = Duration::from_secs(90);
/// Interval of the log message about the wait for the provider.
const REMIND: Duration = Duration::from_secs(30);

/// Discovers the identity provider. Waits for a provider that is not up. A setting that does not match a running provider ends the
/// wait.
///
/// # Errors
/// The setting that is wrong.
pub(crate) async fn discover(
    settings: Settings,
    http: HttpClient,
    clock: Clock,
) -> Result<Provider, InvalidSetting> {
    let mut doubted_since: Option<Instant> = None;
    let mut reminded: Option<Instant> = None;
    loop {
        let error = match Provider::discover(settings.clone(), http.clone(), clock.clone()).await {
            Ok(provider) => return Ok(provider),
            Err(DiscoverError::Wrong(error)) => return Err(error),
            Err(error) => error,
        };
        match &error {
            DiscoverError::Doubtful(wrong) => {
                let since = *doubted_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= DOUBT {
                    return Err(wrong.clone());
                }
            }
            _ => doubted_since = None,
        }
        if reminded.is_none_or(|at| at.elapsed() >= REMIND) {
            tracing::warn!(issuer = %settings.issuer_url, %error, "waiting for the identity provider; no user can sign in");
            reminded = Some(Instant::now());
        }
        sleep(pause()).await;
    }
}

fn pause() -> Duration {
    let share = random::<1>().map_or(1.0, |[byte]| f64::from(byte) / 255.0);
    PAUSE + JITTER.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::http::HttpError;
    use http::Response;
    use serde_json::json;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const ISSUER: &str = "https://identity.example/realms/x";

    fn settings() -> Settings {
        Settings {
            issuer_url: ISSUER.into(),
            client_id: "gateway".into(),
            client_secret: None,
            scopes: vec![],
            optional_scopes: vec![],
            signing_algs: vec!["RS256".parse().unwrap()],
        }
    }

    type Answers<'a> = &'a [(u16, &'a str)];

    /// A provider that gives these answers one after the other, then repeats the last one. Status 0: no answer.
    fn provider(answers: Answers<'_>) -> (HttpClient, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let answers: Vec<_> = answers
            .iter()
            .map(|(status, body)| (*status, (*body).to_owned()))
            .collect();
        let http = HttpClient::new(move |request| {
            let is_keys = request.uri().path().ends_with("/jwks");
            let (status, body) = if is_keys {
                (200, r#"{"keys":[]}"#.to_owned())
            } else {
                answers[count.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)].clone()
            };
            async move {
                let answer = Response::builder().status(status).body(body.into_bytes());
                answer.map_err(|_| HttpError::Unreachable {
                    host: "identity.example".into(),
                    reason: "refused".into(),
                })
            }
        });
        (http, asked)
    }

    const DOCUMENT: &str = r#"{"issuer":"https://identity.example/realms/x",
        "authorization_endpoint":"https://identity.example/auth","token_endpoint":"https://identity.example/token",
        "jwks_uri":"https://identity.example/jwks","response_types_supported":["code"],
        "subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]}"#;

    async fn outcome(answers: Answers<'_>) -> (Result<Provider, InvalidSetting>, usize) {
        let (http, asked) = provider(answers);
        let result = discover(settings(), http, Clock::System).await;
        (result, asked.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn discovery_waits_for_a_provider_that_is_not_up_yet() {
        let starting = &[
            (0, ""),
            (502, ""),
            (503, ""),
            (404, "404 page not found"),
            (200, DOCUMENT),
        ];
        let (result, asked) = outcome(starting).await;
        assert_eq!(result.unwrap().issuer(), ISSUER);
        assert_eq!(asked, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_server_at_the_issuer_is_reported_after_a_while() {
        for wrong in [&[(404, "")], &[(200, "<html>")]] as [Answers<'_>; 2] {
            let (result, asked) = outcome(wrong).await;
            assert_eq!(result.unwrap_err().setting, "oidc-issuer-url");
            assert!(asked > 30, "{asked}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_does_not_fit_the_settings_is_named_at_once() {
        for (field, value, setting) in [
            (
                "issuer",
                json!("https://identity.example/realms/X"),
                "oidc-issuer-url",
            ),
            (
                "id_token_signing_alg_values_supported",
                json!(["ES256"]),
                "oidc-signing-algs",
            ),
            (
                "token_endpoint",
                json!("http://identity.example/token"),
                "oidc-issuer-url",
            ),
        ] {
            let mut document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
            document[field] = value.clone();
            let (result, asked) = outcome(&[(200, &document.to_string())]).await;
            let part = value.as_str().unwrap_or("ES256");
            let error = result.unwrap_err();
            assert_eq!((error.setting, asked), (setting, 1));
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
