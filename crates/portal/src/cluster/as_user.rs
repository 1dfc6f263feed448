//! User and request -> the API server's answer to that user (IO).
//!
//! The API server decides as if the user had sent the request with kubectl: roles, admission and quotas apply, and its audit log names
//! both the user and the portal. The portal's account bounds which kinds and verbs such requests may have (docs/rights.md).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::AsyncBufRead;
use http::{HeaderName, HeaderValue};
use kube::api::{
    DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, Preconditions, ValidationDirective,
};
use kube::core::{ObjectList, Request};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Failure;
use crate::user::User;

/// Timeout of a request. Following a log has none.
const TIMEOUT: Duration = Duration::from_secs(10);

const USER: HeaderName = HeaderName::from_static("impersonate-user");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");

/// Sends requests as one user.
#[derive(Clone)]
pub struct AsUser {
    client: Client,
    user: Arc<User>,
}

impl fmt::Debug for AsUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsUser").field(&self.user.name).finish()
    }
}

impl AsUser {
    /// Sends by `client` as `user`.
    pub fn new(client: Client, user: Arc<User>) -> Self {
        Self { client, user }
    }

    /// The object of that name.
    pub async fn get<K>(&self, namespace: Option<&str>, name: &str) -> Result<K, Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.send(of::<K>(namespace).get(name, &kube::api::GetParams::default()))
            .await
    }

    /// The objects that the selectors choose, at most `limit`.
    pub async fn list<K>(&self, namespace: &str, params: &ListParams) -> Result<Vec<K>, Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Clone,
    {
        let list: ObjectList<K> = self.send(of::<K>(Some(namespace)).list(params)).await?;
        Ok(list.items)
    }

    /// Creates the object. Unknown fields are refused. `dry_run`: it is judged and not stored.
    pub async fn create<K>(
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
        self.send(of::<K>(namespace).create(&params, body).map(strict))
            .await
    }

    /// Merges the patch, which should name the resourceVersion that it was made for.
    pub async fn merge<K>(
        &self,
        namespace: &str,
        name: &str,
        patch: &serde_json::Value,
        dry_run: bool,
    ) -> Result<K, Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let patch = Patch::Merge(patch);
        self.send(of::<K>(Some(namespace)).patch(name, &patching(dry_run), &patch))
            .await
    }

    /// Applies the JSON patch, which should test the resourceVersion that it was made for.
    pub async fn patch<K>(
        &self,
        namespace: &str,
        name: &str,
        patch: json_patch::Patch,
        dry_run: bool,
    ) -> Result<K, Failure>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let patch: Patch<()> = Patch::Json(patch);
        self.send(of::<K>(Some(namespace)).patch(name, &patching(dry_run), &patch))
            .await
    }

    /// Deletes the object if it is still this one, in this version.
    pub async fn delete<K>(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        version: Option<&str>,
    ) -> Result<(), Failure>
    where
        K: Resource<DynamicType = ()>,
    {
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: version.map(str::to_owned),
        });
        let _: serde_json::Value = self.send(of::<K>(Some(namespace)).delete(name, &params)).await?;
        Ok(())
    }

    /// Usage of pods, by the metrics API, which a cluster may lack.
    pub async fn pod_metrics(
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
    pub async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        params: &LogParams,
    ) -> Result<impl AsyncBufRead + Send + use<>, Failure> {
        let request = Request::new(k8s_openapi::api::core::v1::Pod::url_path(&(), Some(namespace)));
        let request = self.signed(request.logs(pod, params))?;
        Ok(self.client.request_stream(request).await?)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<T, Failure> {
        let answer = self.client.request(self.signed(request)?);
        match tokio::time::timeout(TIMEOUT, answer).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Failure::Unanswered(format!(
                "the API server did not answer within {} seconds",
                TIMEOUT.as_secs()
            ))),
        }
    }

    /// The same request, in the name of the user.
    fn signed(
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
        headers.insert(USER, value(&self.user.name)?);
        for group in &self.user.groups {
            headers.append(GROUP, value(group)?);
        }
        Ok(request)
    }
}

fn of<K: Resource<DynamicType = ()>>(namespace: Option<&str>) -> Request {
    Request::new(K::url_path(&(), namespace))
}

fn patching(dry_run: bool) -> PatchParams {
    PatchParams {
        dry_run,
        field_manager: Some(api::names::PORTAL.to_owned()),
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::default()
    }
}

/// The same request, which the API server refuses if the body has unknown or repeated fields.
fn strict(request: http::Request<Vec<u8>>) -> http::Request<Vec<u8>> {
    let (mut parts, body) = request.into_parts();
    let separator = if parts.uri.query().is_some_and(|query| !query.is_empty()) {
        "&"
    } else {
        ""
    };
    let uri = format!("{}{separator}fieldValidation=Strict", parts.uri);
    if let Ok(uri) = uri.parse() {
        parts.uri = uri;
    }
    http::Request::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use api::Workspace;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_without_answer_fails_after_ten_seconds() {
        let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<Result<http::Response<kube::client::Body>, std::convert::Infallible>>()
        });
        let user = User {
            name: "alice".to_owned(),
            groups: Vec::new(),
            session_end: None,
            assertion_end: i64::MAX,
        };
        let as_alice = AsUser::new(Client::new(silent, "default"), Arc::new(user));
        let start = tokio::time::Instant::now();
        let failure = as_alice.get::<Workspace>(Some("team"), "lab").await.unwrap_err();
        assert_eq!(failure.code(), 503);
        assert!(failure.to_string().contains("within 10 seconds"), "{failure}");
        assert_eq!(start.elapsed(), TIMEOUT);
    }
}
