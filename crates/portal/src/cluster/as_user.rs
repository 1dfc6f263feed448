//! User and request -> the API server's answer to that user (IO).
//!
//! A request names the user by impersonation headers, or has the user's own token ([`Identity`]).
//!
//! The API server decides as if the user had sent the request with kubectl: roles, admission and quotas apply, and its audit log names
//! both the user and the portal. The portal's account bounds which kinds and verbs such requests may have (docs/rights.md).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::AsyncBufRead;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use kube::api::{
    DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, Preconditions, ValidationDirective,
};
use kube::client::Body;
use kube::core::{ObjectList, Request, Status};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{Failure, Identity};
use crate::metrics::Metrics;
use crate::user::User;

/// Timeout of a request. Following a log has none.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer that is read, in bytes. Others may write large objects, such as Events, which users then see.
const LARGEST: usize = 16 << 20;
/// How often a change is tried on an object that others change meanwhile.
const ATTEMPTS: usize = 5;

const USER: HeaderName = HeaderName::from_static("impersonate-user");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");

/// Sends requests as one user.
#[derive(Clone)]
pub(crate) struct AsUser {
    /// With tokens it has no credentials of its own.
    pub(crate) client: Client,
    pub(crate) user: Arc<User>,
    pub(crate) identity: Identity,
    /// Where requests of users are counted. The portal's own questions are not.
    pub(crate) metrics: Option<Metrics>,
}

impl fmt::Debug for AsUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsUser").field(&self.user.name).finish()
    }
}

impl AsUser {
    /// The object of that name.
    pub(crate) async fn get<K>(&self, namespace: Option<&str>, name: &str) -> Result<K, Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.send(of::<K>(namespace).get(name, &kube::api::GetParams::default()))
            .await
    }

    /// The objects that the selectors choose, as the API server has them in its cache. The cache may lack changes, and one of several
    /// API servers may be behind another. A `limit` has no effect.
    ///
    /// Any other list of a cached kind waits until the cache is as new as etcd: up to 100 ms after a change of any other kind.
    pub(crate) async fn list_cached<K>(&self, namespace: &str, params: ListParams) -> Result<Vec<K>, Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone,
    {
        self.list(namespace, &params.match_any()).await
    }

    /// The objects that the selectors choose, at most `limit`.
    pub(crate) async fn list<K>(&self, namespace: &str, params: &ListParams) -> Result<Vec<K>, Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone,
    {
        let list: ObjectList<K> = self.send(of::<K>(Some(namespace)).list(params)).await?;
        Ok(list.items)
    }

    /// Creates the object. Unknown fields are refused. `dry_run`: it is judged and not stored.
    pub(crate) async fn create<K>(
        &self,
        namespace: Option<&str>,
        object: &impl Serialize,
        dry_run: bool,
    ) -> Result<K, Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let params = PostParams {
            dry_run,
            field_manager: Some(api::names::PORTAL.to_owned()),
        };
        let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
        let request = of::<K>(namespace).create(&params, body);
        self.send(request.and_then(api::request::strict)).await
    }

    /// Reads the object and merges what `patch` makes of it, for the version that was read. It starts again if others wrote in between,
    /// such as the operator its status. `None`: there is nothing to change. The object as it is then.
    pub(crate) async fn change<K>(
        &self,
        namespace: &str,
        name: &str,
        patch: impl Fn(&K) -> Result<Option<serde_json::Value>, Failure>,
    ) -> Result<K, Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        for attempt in 1.. {
            let current: K = self.get(Some(namespace), name).await?;
            let Some(mut patch) = patch(&current)? else {
                return Ok(current);
            };
            patch["metadata"]["resourceVersion"] = current.meta().resource_version.clone().into();
            match self.patch(namespace, name, Patch::Merge(patch), false).await {
                Err(failure) if failure.is_conflict() && attempt < ATTEMPTS => {}
                changed => return changed,
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Applies the patch, which should name the version that it was made for.
    pub(crate) async fn patch<K>(
        &self,
        namespace: &str,
        name: &str,
        patch: Patch<serde_json::Value>,
        dry_run: bool,
    ) -> Result<K, Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let params = PatchParams {
            dry_run,
            field_manager: Some(api::names::PORTAL.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        self.send(of::<K>(Some(namespace)).patch(name, &params, &patch))
            .await
    }

    /// Deletes the object if it is still this one.
    pub(crate) async fn delete<K>(&self, namespace: &str, name: &str, uid: &str) -> Result<(), Failure>
    where
        K: Resource<DynamicType = ()>,
    {
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        });
        let _: serde_json::Value = self.send(of::<K>(Some(namespace)).delete(name, &params)).await?;
        Ok(())
    }

    /// Usage of pods, by the metrics API, which a cluster may lack.
    pub(crate) async fn pod_metrics(
        &self,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<serde_json::Value>, Failure> {
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
        let params = ListParams::default().labels(labels);
        let list: serde_json::Value = self.send(Request::new(path).list(&params)).await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Lines of a container, as they come.
    pub(crate) async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        params: &LogParams,
    ) -> Result<impl AsyncBufRead + Send + use<>, Failure> {
        let request = Request::new(k8s_openapi::api::core::v1::Pod::url_path(&(), Some(namespace)));
        let request = self.sign(request.logs(pod, params))?;
        let opened = self.client.request_stream(request).await;
        let opened = opened.map_err(|error| self.explain(error.into()));
        self.count(false, opened.as_ref().err());
        opened
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, Failure> {
        let request = self.sign(request)?.map(Body::from);
        let is_dry_run = is_dry_run(&request);
        let answer = async {
            let (parts, body) = self.client.send(request).await?.into_parts();
            let body = Limited::new(body, LARGEST).collect().await;
            let body =
                body.map_err(|error| Failure::Unanswered(format!("its answer cannot be read: {error}")))?;
            read(parts.status, &body.to_bytes()).map_err(|failure| self.explain(failure))
        };
        let answer = timeout(TIMEOUT, answer).await.unwrap_or_else(|_| {
            Err(Failure::Unanswered(format!(
                "the API server did not answer within {} seconds",
                TIMEOUT.as_secs()
            )))
        });
        self.count(is_dry_run, answer.as_ref().err());
        answer
    }

    /// Counts a dry run, and a refusal that is about the portal's account.
    fn count(&self, is_dry_run: bool, failure: Option<&Failure>) {
        let Some(metrics) = &self.metrics else { return };
        if is_dry_run {
            metrics.dry_run(match failure {
                None => "accepted",
                Some(Failure::Refused(_)) => "refused",
                Some(Failure::Unanswered(_)) => "unanswered",
            });
        }
        if failure.is_some_and(Failure::is_of_impersonation) {
            metrics.impersonation_refused();
        }
    }

    /// The same request, in the name of the user.
    fn sign(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<http::Request<Vec<u8>>, Failure> {
        let mut request = request.map_err(kube::Error::BuildRequest)?;
        let value = |text: &str| {
            let value = HeaderValue::from_bytes(text.as_bytes());
            // `user` refuses such names before.
            value.map_err(|_| Failure::Unanswered("the user's name cannot be sent".to_owned()))
        };
        let headers = request.headers_mut();
        match &self.identity {
            Identity::Impersonated => {
                headers.insert(USER, value(&self.user.name)?);
                for group in &self.user.groups {
                    headers.append(GROUP, value(group)?);
                }
            }
            Identity::Token { header, .. } => {
                headers.insert(AUTHORIZATION, header.clone());
            }
            Identity::Unproven(why) => return Err(Failure::Unanswered(why.to_string())),
        }
        Ok(request)
    }

    /// The same failure. If the API server does not take the user's token, it says what that means.
    fn explain(&self, failure: Failure) -> Failure {
        match (failure, &self.identity) {
            (Failure::Refused(status), Identity::Token { .. }) if status.code == 401 => {
                let message = super::identity::UNTRUSTED.to_owned();
                Failure::Refused(Box::new(Status { message, ..*status }))
            }
            (failure, _) => failure,
        }
    }
}

fn read<T: DeserializeOwned>(code: StatusCode, body: &[u8]) -> Result<T, Failure> {
    if code.is_success() {
        return Ok(serde_json::from_slice(body).map_err(kube::Error::SerdeError)?);
    }
    let failure = match serde_json::from_slice::<Status>(body) {
        Ok(status) => kube::Error::Api(Box::new(status)).into(),
        // A group or version that is not served: the API server answers 404 with a line of text.
        Err(_) if code == StatusCode::NOT_FOUND => Failure::Refused(Box::new(Status {
            code: code.as_u16(),
            reason: "NotFound".to_owned(),
            message: "the API server does not serve this kind".to_owned(),
            ..Status::default()
        })),
        Err(_) => Failure::Unanswered(format!("the API server answered {code}")),
    };
    Err(failure)
}

fn of<K: Resource<DynamicType = ()>>(namespace: Option<&str>) -> Request {
    Request::new(K::url_path(&(), namespace))
}

fn is_dry_run<B>(request: &http::Request<B>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|pair| pair == "dryRun=All")
}

#[cfg(test)]
mod tests {
    use api::Workspace;

    use super::*;

    fn as_alice(client: Client) -> AsUser {
        let user = User {
            name: "alice".to_owned(),
            groups: Vec::new(),
            session_end: None,
            assertion_end: i64::MAX,
        };
        AsUser {
            client,
            user: Arc::new(user),
            identity: Identity::Impersonated,
            metrics: None,
        }
    }

    #[tokio::test]
    async fn an_answer_larger_than_any_page_needs_is_not_read() {
        let large = tower::service_fn(|_: http::Request<Body>| async {
            let body = http_body_util::Full::from(vec![b' '; LARGEST + 1]);
            Ok::<_, std::convert::Infallible>(http::Response::new(body))
        });
        let as_alice = as_alice(Client::new(large, "default"));
        let failure = as_alice.get::<Workspace>(Some("team"), "lab").await.unwrap_err();
        assert_eq!(failure.code(), 503);
        assert!(failure.to_string().contains("cannot be read"), "{failure}");
    }

    #[tokio::test]
    async fn a_kind_that_is_not_served_is_not_found_and_other_answers_without_status_are_no_answer() {
        for (answered, code) in [(404, 404), (502, 503)] {
            let plain = tower::service_fn(move |_: http::Request<Body>| async move {
                let body = http_body_util::Full::from("404 page not found\n");
                let answer = http::Response::builder().status(answered).body(body).unwrap();
                Ok::<_, std::convert::Infallible>(answer)
            });
            let as_alice = as_alice(Client::new(plain, "default"));
            let failure = as_alice.get::<Workspace>(Some("team"), "lab").await.unwrap_err();
            assert_eq!(failure.code(), code);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_answer_fails_after_ten_seconds() {
        let silent = tower::service_fn(|_: http::Request<Body>| {
            std::future::pending::<Result<http::Response<Body>, std::convert::Infallible>>()
        });
        let as_alice = as_alice(Client::new(silent, "default"));
        let start = tokio::time::Instant::now();
        let failure = as_alice.get::<Workspace>(Some("team"), "lab").await.unwrap_err();
        assert_eq!(failure.code(), 503);
        assert!(failure.to_string().contains("within 10 seconds"), "{failure}");
        assert_eq!(start.elapsed(), TIMEOUT);
    }
}
