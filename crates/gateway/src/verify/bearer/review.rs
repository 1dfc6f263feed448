//! service account's token -> its identity, by `TokenReview` (IO; the answer is read purely).

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::api::{PostParams, Request};
use kube::{Client, Resource as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::error::{TokenError, TokenRefusal};
use crate::oidc::claims::Identity;
use crate::pages::Failure;
use crate::session::{Credential, Reviewed};

/// Maximum number of concurrent reviews.
const MAX_REVIEWS: usize = 32;
/// Timeout of one review, including the wait for a permit.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Logged in place of an unreadable answer's content.
const UNREADABLE: &str = "the API server's answer is not a TokenReview";
/// Prefix of every service account's user name.
const ACCOUNT: &str = "system:serviceaccount:";

/// Sends token reviews to the API server.
pub(super) struct Reviews {
    client: Client,
    permits: Semaphore,
}

impl Reviews {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            permits: Semaphore::new(MAX_REVIEWS),
        }
    }

    /// The sender of the token, if the token is for `audience`.
    ///
    /// # Errors
    /// The token is not valid for it, or the API server does not answer.
    pub(super) async fn ask(
        &self,
        token: &str,
        audience: &str,
    ) -> Result<(Identity, Credential), TokenError> {
        let asked = async {
            let _permit = self.permits.acquire().await.map_err(|error| error.to_string())?;
            let review = TokenReview {
                spec: TokenReviewSpec {
                    token: Some(token.to_owned()),
                    audiences: Some(vec![audience.to_owned()]),
                },
                ..TokenReview::default()
            };
            let body =
                serde_json::to_vec(&review).map_err(|_| "the question cannot be written".to_owned())?;
            let request = Request::new(TokenReview::url_path(&(), None)).create(&PostParams::default(), body);
            let request = request.map_err(|_| "the question cannot be made".to_owned())?;
            // As text: the client would log an unreadable answer, and the token is in it.
            let answer = self.client.request_text(request).await;
            let answer = answer.map_err(|error| error_text(&error))?;
            serde_json::from_str(&answer).map_err(|_| UNREADABLE.to_owned())
        };
        let review = timeout(TIMEOUT, asked)
            .await
            .unwrap_or_else(|_| Err("the API server took too long".to_owned()));
        let review = review.map_err(|error| {
            tracing::warn!(
                error,
                "a token cannot be verified: the API server does not answer"
            );
            Failure::Unavailable
        })?;
        read(review, audience)
    }
}

/// An error without the API server's text: a server in its place may repeat the request.
fn error_text(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("the API server answered {}", status.code),
        kube::Error::FromUtf8(_) => UNREADABLE.to_owned(),
        error => kit::api_error::message(error),
    }
}

/// Reads the answer. Its `error` goes nowhere: the API server asks others about the token, who may repeat it.
fn read(review: TokenReview, audience: &str) -> Result<(Identity, Credential), TokenError> {
    let status = review.status.ok_or(Failure::Unavailable)?;
    let is_for_us = status
        .audiences
        .is_some_and(|audiences| audiences.iter().any(|found| found == audience));
    // An API server that does not know audiences answers for itself. Without our audience the token is for the API server.
    if status.authenticated != Some(true) || !is_for_us {
        tracing::debug!("the API server does not know a token");
        return Err(TokenRefusal::Unknown.into());
    }
    let user = status.user.filter(is_account).ok_or(TokenRefusal::Unknown)?;
    let reviewed = Reviewed {
        uid: user.uid.unwrap_or_default(),
        extra: user.extra.unwrap_or_default(),
    };
    let identity = Identity {
        user_name: user.username.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
    };
    Ok((identity, Credential::ServiceAccount(Box::new(reviewed))))
}

/// Whether this is a service account. Other kinds of tokens that the API server accepts are refused.
fn is_account(user: &UserInfo) -> bool {
    let name = user
        .username
        .as_deref()
        .and_then(|name| name.strip_prefix(ACCOUNT));
    name.and_then(|name| name.split_once(':'))
        .is_some_and(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains(':'))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Response, StatusCode};
    use http_body_util::{BodyExt as _, Full};
    use kube::client::Body;
    use serde_json::json;
    use testkit::log::Log;
    use tower::service_fn;
    use tracing_subscriber::fmt;

    use super::*;

    const SITE: &str = "https://auth.ws.example";

    fn read_status(status: &serde_json::Value) -> Result<(Identity, Credential), TokenError> {
        let review = json!({"spec": {"token": "t"}, "status": status});
        read(serde_json::from_value(review).unwrap(), SITE)
    }

    fn with(changes: &serde_json::Value) -> serde_json::Value {
        let mut status = json!({
            "authenticated": true,
            "audiences": [SITE],
            "user": {
                "username": "system:serviceaccount:ci:robot",
                "uid": "u-1",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:ci", "system:authenticated"],
                "extra": {"authentication.kubernetes.io/pod-name": ["job-1"]},
            },
        });
        for (name, value) in changes.as_object().unwrap() {
            status[name] = value.clone();
        }
        status
    }

    #[test]
    fn name_groups_uid_and_extra_are_as_the_api_server_says() {
        let (identity, credential) = read_status(&with(&json!({}))).unwrap();
        assert_eq!(identity.user_name, "system:serviceaccount:ci:robot");
        assert_eq!(identity.groups.len(), 3);
        let Credential::ServiceAccount(reviewed) = credential else {
            panic!("{credential:?}");
        };
        assert_eq!(reviewed.uid, "u-1");
        assert_eq!(reviewed.extra["authentication.kubernetes.io/pod-name"], ["job-1"]);
    }

    #[test]
    fn only_an_authenticated_service_account_for_this_site_is_accepted() {
        for changes in [
            json!({"authenticated": false}),
            json!({"authenticated": null}),
            json!({"audiences": []}),
            json!({"audiences": null}),
            json!({"audiences": ["https://kubernetes.default.svc"]}),
            json!({"audiences": ["https://auth.ws.example.evil"]}),
            json!({"user": null}),
            json!({"user": {"username": "alice"}}),
            json!({"user": {"username": "system:admin"}}),
            json!({"user": {"username": "system:serviceaccount:"}}),
            json!({"user": {"username": "system:serviceaccount:ci"}}),
            json!({"user": {"username": "system:serviceaccount::robot"}}),
            json!({"user": {"username": "system:serviceaccount:ci:a:b"}}),
            json!({"user": {"uid": "u-1"}}),
        ] {
            let refused = read_status(&with(&changes)).err();
            assert_eq!(refused, Some(TokenRefusal::Unknown.into()), "{changes}");
        }
        assert_eq!(read_status(&json!(null)).err(), Some(Failure::Unavailable.into()));
    }

    /// A client of an API server that repeats requests, truncated by this many bytes.
    fn repeating(status: StatusCode, cut: usize) -> Client {
        let answer = move |request: http::Request<Body>| async move {
            let asked = request.into_body().collect().await.unwrap().to_bytes();
            let mut answer = Response::new(Full::from(asked.slice(..asked.len() - cut)));
            *answer.status_mut() = status;
            Ok::<_, Infallible>(answer)
        };
        Client::new(service_fn(answer), "default")
    }

    #[tokio::test]
    async fn no_answer_of_the_api_server_brings_a_token_into_the_log() {
        let log = Log::default();
        let lines = fmt().with_writer(log.clone()).finish();
        let _logging = tracing::subscriber::set_default(lines);
        for (status, cut, message) in [
            (StatusCode::OK, 1, UNREADABLE),
            (StatusCode::OK, 0, ""),
            (StatusCode::INTERNAL_SERVER_ERROR, 1, "answered 500"),
            (StatusCode::BAD_GATEWAY, 0, "the API server answered"),
        ] {
            let reviews = Reviews::new(repeating(status, cut));
            let asked = reviews.ask("not.for.logs", SITE).await;
            assert_eq!(asked.err(), Some(Failure::Unavailable.into()), "{status}");
            let text = log.take();
            assert!(text.contains(message), "{text}");
            assert!(!text.contains("not.for.logs"), "{text}");
        }
    }
}
