//! Setting and API server -> whether requests can be sent as the user (IO).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Client;

use super::{AsUser, Failure, Identity};
use crate::args::Impersonation;
use crate::user::User;

/// Interval between requests to the API server: an upgrade may bring the feature.
const INTERVAL: Duration = Duration::from_mins(10);
/// Delay of the next request after one without an answer.
const RETRY: Duration = Duration::from_secs(10);
/// A name that no user has. It has no rights, and asks only who it is.
const PROBE: &str = "jupyter-k8s-portal-check";

/// Whether requests can be sent as the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// They can.
    AsUser,
    /// They cannot, and why. Pages then show commands in place of buttons.
    ReadOnly(String),
}

impl Mode {
    /// Why nothing can be changed in the namespace, or anywhere if there is none; `None` if it can. `acts_in`: namespaces in which the
    /// portal acts for users; empty: all.
    pub fn read_only(&self, namespace: Option<&str>, acts_in: &BTreeSet<String>) -> Option<String> {
        match (self, namespace) {
            (Self::ReadOnly(why), _) => Some(why.clone()),
            (Self::AsUser, Some(namespace)) if !acts_in.is_empty() && !acts_in.contains(namespace) => {
                Some(format!(
                    "In namespace {namespace} the portal only reads: an administrator limited where it acts (portal.scope: UserNamespaces)."
                ))
            }
            (Self::AsUser, _) => None,
        }
    }
}

/// Keeps `mode` up to date, forever.
pub async fn follow(client: Client, impersonation: Impersonation, mode: Arc<ArcSwap<Mode>>) {
    loop {
        let pause = match detect(&client, impersonation).await {
            Some(found) => {
                if **mode.load() != found {
                    tracing::info!(mode = ?found, "how requests are sent");
                    mode.store(Arc::new(found));
                }
                INTERVAL
            }
            None => RETRY,
        };
        tokio::time::sleep(pause).await;
    }
}

/// The mode; `None` if the API server did not answer.
async fn detect(client: &Client, impersonation: Impersonation) -> Option<Mode> {
    match impersonation {
        Impersonation::Off => {
            return Some(Mode::ReadOnly(
                "An administrator switched changes off here (portal.impersonation: Off).".to_owned(),
            ));
        }
        // Each user's token shows it.
        Impersonation::Token => return Some(Mode::AsUser),
        Impersonation::Constrained | Impersonation::Any => {}
    }
    let probe = User {
        name: PROBE.to_owned(),
        groups: Vec::new(),
        session_end: None,
        assertion_end: i64::MAX,
    };
    let as_probe = AsUser {
        client: client.clone(),
        user: Arc::new(probe),
        identity: Identity::Impersonated,
        metrics: None,
    };
    let asked = SelfSubjectReview::default();
    match as_probe.create::<SelfSubjectReview>(None, &asked, false).await {
        Ok(answer) => {
            let user = answer.status.and_then(|status| status.user_info);
            let is_probe = user.and_then(|user| user.username).as_deref() == Some(PROBE);
            Some(if is_probe {
                Mode::AsUser
            } else {
                Mode::ReadOnly("The API server ignores impersonation headers.".to_owned())
            })
        }
        Err(Failure::Refused(status)) if status.code == 403 => Some(Mode::ReadOnly(refusal(impersonation))),
        Err(failure) => {
            tracing::warn!(%failure, "the API server does not say whether requests can be sent as the user");
            None
        }
    }
}

fn refusal(impersonation: Impersonation) -> String {
    match impersonation {
        Impersonation::Any => "The portal's account lacks the right to impersonate users (rbac.create, portal.impersonation).".to_owned(),
        _ => "This cluster has no constrained impersonation (Kubernetes 1.36), so the portal changes nothing here.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http::{Response, StatusCode};
    use serde_json::json;

    use super::*;

    fn client(status: StatusCode, body: serde_json::Value) -> Client {
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let body = body.clone();
            async move {
                assert_eq!(request.headers()["impersonate-user"], PROBE);
                assert!(request.uri().path().ends_with("/selfsubjectreviews"));
                let body = kube::client::Body::from(body.to_string().into_bytes());
                let mut response = Response::new(body);
                *response.status_mut() = status;
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        Client::new(service, "default")
    }

    fn forbidden() -> serde_json::Value {
        json!({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"})
    }

    #[tokio::test]
    async fn requests_are_sent_as_users_where_the_api_server_takes_them_for_that_user() {
        let answer = |name: &str| json!({"metadata": {}, "status": {"userInfo": {"username": name}}});
        let asked = |name: &str| client(StatusCode::CREATED, answer(name));
        assert_eq!(
            detect(&asked(PROBE), Impersonation::Constrained).await,
            Some(Mode::AsUser)
        );
        let ignored = detect(&asked("system:serviceaccount:a:portal"), Impersonation::Any).await;
        assert!(matches!(ignored, Some(Mode::ReadOnly(_))));
    }

    #[tokio::test]
    async fn without_constrained_impersonation_or_switched_off_the_portal_only_reads() {
        let client_ = client(StatusCode::FORBIDDEN, forbidden());
        for (setting, part) in [
            (Impersonation::Constrained, "1.36"),
            (Impersonation::Any, "lacks the right"),
            (Impersonation::Off, "switched"),
        ] {
            match detect(&client_, setting).await {
                Some(Mode::ReadOnly(why)) => assert!(why.contains(part), "{why}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn outside_the_namespaces_in_which_it_acts_the_portal_only_reads() {
        let (all, team) = (BTreeSet::new(), BTreeSet::from(["team".to_owned()]));
        for (namespace, acts_in) in [
            (Some("team"), &team),
            (None, &team),
            (Some("team"), &all),
            (None, &all),
        ] {
            assert_eq!(Mode::AsUser.read_only(namespace, acts_in), None, "{namespace:?}");
        }
        let outside = Mode::AsUser.read_only(Some("other"), &team).unwrap();
        assert!(outside.contains("In namespace other"), "{outside}");
        let off = Mode::ReadOnly("off".to_owned());
        assert_eq!(off.read_only(Some("team"), &team).unwrap(), "off");
    }

    #[tokio::test]
    async fn with_tokens_of_users_nothing_is_impersonated() {
        let refusing = client(StatusCode::FORBIDDEN, forbidden());
        assert_eq!(detect(&refusing, Impersonation::Token).await, Some(Mode::AsUser));
    }

    #[tokio::test]
    async fn an_api_server_that_fails_is_asked_again() {
        let broken = client(StatusCode::INTERNAL_SERVER_ERROR, json!("down"));
        assert_eq!(detect(&broken, Impersonation::Constrained).await, None);
    }
}
