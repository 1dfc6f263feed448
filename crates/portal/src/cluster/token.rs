//! Headers of a request -> how the API server learns who the user is (IO: asks it about the token).
//!
//! Only the gateway's proxy reaches the portal, so the token is of the same login as the assertion. The portal keeps no token: a request
//! to the API server gets it from the request that it answers.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Client;
use moka::future::Cache;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::{AsUser, Failure, Identity};
use crate::user::User;

/// How long an answer of the API server about a token counts.
const LIFETIME: Duration = Duration::from_secs(30);
/// Maximum number of answers, of some 200 bytes and the names of groups each.
const CACHED: u64 = 10_000;
/// How long a page waits for such an answer.
const TIMEOUT: Duration = Duration::from_secs(2);

const MISSING: &str = "The gateway sent no ID token of yours that is still valid. Sign in again. If that does not help, an administrator \
    must let the identity provider issue refresh tokens, and a new ID token with each renewal (docs/install.md, \"The portal\").";
const UNANSWERED: &str = "The API server did not say in time who you are there. Reload this page.";

/// Users' own tokens, and the client that sends them.
#[derive(Clone)]
pub(crate) struct Tokens {
    /// It has no credentials of its own.
    pub(crate) client: Client,
    /// By SHA-256 of a token: whose it is to the API server, or why that does not take it.
    reviews: Cache<[u8; 32], Result<Reviewed, Arc<str>>>,
}

/// A user as the API server knows them.
#[derive(Debug, Clone)]
struct Reviewed {
    name: String,
    groups: Arc<[String]>,
}

impl Tokens {
    /// `client` must have no credentials of its own.
    pub(crate) fn new(client: Client) -> Self {
        let reviews = Cache::builder().max_capacity(CACHED).time_to_live(LIFETIME);
        Self {
            client,
            reviews: reviews.build(),
        }
    }

    /// The token that a request of `user` brings, if the API server takes it for the same user.
    pub(crate) async fn identity(&self, headers: &HeaderMap, user: &Arc<User>) -> Identity {
        let unproven = |why: &str| Identity::Unproven(why.into());
        let Some(header) = bearer(headers) else {
            return unproven(MISSING);
        };
        let key = Sha256::digest(header.as_bytes()).into();
        let asked = self.reviews.try_get_with(key, self.ask(&header, user));
        match timeout(TIMEOUT, asked).await {
            Ok(Ok(Ok(reviewed))) if reviewed.name == user.name => Identity::Token {
                header,
                groups: reviewed.groups,
            },
            Ok(Ok(Ok(reviewed))) => unproven(&format!(
                "You are `{}` to the gateway and `{}` to the API server. An administrator must give both the same claim and prefix for \
                 user names (docs/sign-in.md, \"The API server\").",
                user.name, reviewed.name
            )),
            Ok(Ok(Err(why))) => Identity::Unproven(why),
            Ok(Err(failure)) => {
                tracing::warn!(user = user.name, %failure, "the API server does not say whose an ID token is");
                unproven(UNANSWERED)
            }
            Err(_) => unproven(UNANSWERED),
        }
    }

    /// Asks the API server whose this token is.
    ///
    /// # Errors
    /// It does not answer. This is not cached.
    async fn ask(
        &self,
        header: &HeaderValue,
        user: &Arc<User>,
    ) -> Result<Result<Reviewed, Arc<str>>, Failure> {
        let identity = Identity::Token {
            header: header.clone(),
            groups: Arc::default(),
        };
        let as_user = AsUser {
            client: self.client.clone(),
            user: user.clone(),
            identity,
            metrics: None,
        };
        let asked = SelfSubjectReview::default();
        let info = match as_user.create::<SelfSubjectReview>(None, &asked, false).await {
            Ok(review) => review
                .status
                .and_then(|status| status.user_info)
                .unwrap_or_default(),
            Err(Failure::Refused(status)) if status.code == 401 => {
                tracing::warn!(
                    user = user.name,
                    "the API server does not accept the user's ID token"
                );
                return Ok(Err(status.message.into()));
            }
            Err(failure) => return Err(failure),
        };
        let name = info.username.unwrap_or_default();
        if name != user.name {
            tracing::warn!(
                user = user.name,
                at_api_server = name,
                "the user has another name at the API server"
            );
        }
        Ok(Ok(Reviewed {
            name,
            groups: info.groups.unwrap_or_default().into(),
        }))
    }
}

/// The one bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let is_bearer = value
        .as_bytes()
        .strip_prefix(b"Bearer ")
        .is_some_and(|token| !token.is_empty());
    let mut value = value.clone();
    value.set_sensitive(true);
    is_bearer.then_some(value)
}
