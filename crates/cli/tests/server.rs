//! An API server in memory: it stores one workspace, and sends its states to each client that watches.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

#[derive(Default)]
struct State {
    warning: Option<String>,
    tells_nobody_who_they_are: bool,
    watch_failure: Option<Value>,
    created: Option<(String, Value)>,
    events: Vec<Value>,
}

/// Clones share their state.
#[derive(Default, Clone)]
pub(crate) struct Server {
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn with_warning(self, header: &str) -> Self {
        self.state.lock().unwrap().warning = Some(header.to_owned());
        self
    }

    /// No user may create a `SelfSubjectReview`.
    pub(crate) fn refusing_self_reviews(self) -> Self {
        self.state.lock().unwrap().tells_nobody_who_they_are = true;
        self
    }

    /// Every list and every watch fails with this answer.
    pub(crate) fn failing_watch(self, code: u16, reason: &str, message: &str) -> Self {
        let status = json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message});
        self.state.lock().unwrap().watch_failure = Some(status);
        self
    }

    /// A state that the workspace takes after its creation.
    pub(crate) fn state(&self, status: Value) {
        self.state.lock().unwrap().events.push(status);
    }

    /// The workspace is deleted after its creation.
    pub(crate) fn deleted(&self) {
        self.state(Value::Null);
    }

    /// URI and body of the creation.
    pub(crate) fn created(&self) -> (String, Value) {
        self.state.lock().unwrap().created.clone().unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, request: Request<Body>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        let (head, body) = request.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let mut state = self.state.lock().unwrap();
        if head.uri.path().ends_with("/selfsubjectreviews") {
            let review = json!({"status": {"userInfo": {"username": "alice"}}});
            let forbidden = json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"});
            return if state.tells_nobody_who_they_are {
                respond(403, None, &forbidden.to_string())
            } else {
                respond(201, None, &review.to_string())
            };
        }
        if head.method == Method::POST {
            let body: Value = serde_json::from_slice(&bytes).unwrap();
            state.created = Some((head.uri.to_string(), body));
            return respond(
                201,
                state.warning.as_deref(),
                &object(&state, &Value::Null).to_string(),
            );
        }
        if let Some(status) = &state.watch_failure {
            let code = u16::try_from(status["code"].as_u64().unwrap()).unwrap();
            return respond(code, None, &status.to_string());
        }
        let query = head.uri.query().unwrap_or_default();
        assert!(query.contains("fieldSelector=metadata.name%3Ddemo"), "{query}");
        if !query.contains("watch=true") {
            let list = json!({
                "kind": "WorkspaceList", "metadata": {"resourceVersion": "1"}, "items": [object(&state, &Value::Null)]
            });
            return respond(200, None, &list.to_string());
        }
        let lines: Vec<_> = state
            .events
            .iter()
            .map(|status| {
                let type_ = if status.is_null() { "DELETED" } else { "MODIFIED" };
                json!({"type": type_, "object": object(&state, status)})
            })
            .map(|event| Ok(hyper::body::Frame::data(Bytes::from(format!("{event}\n")))))
            .collect();
        // After the last event the watch stays open and silent.
        let body = StreamBody::new(stream::iter(lines).chain(stream::pending()));
        Response::new(UnsyncBoxBody::new(body))
    }
}

/// The created workspace as the API server keeps it.
fn object(state: &State, status: &Value) -> Value {
    let mut object = state.created.as_ref().unwrap().1.clone();
    object["metadata"]["uid"] = json!("u-1");
    object["metadata"]["namespace"] = json!("team");
    object["metadata"]["generation"] = json!(1);
    object["metadata"]["resourceVersion"] = json!("2");
    object["status"] = status.clone();
    object
}

fn respond(code: u16, warning: Option<&str>, body: &str) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let mut response = Response::builder().status(code);
    if let Some(warning) = warning {
        response = response.header(http::header::WARNING, warning);
    }
    response
        .body(UnsyncBoxBody::new(Full::new(Bytes::from(body.to_owned()))))
        .unwrap()
}
