//! A webhook without sockets, and requests to it (in memory).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Call};
use tower::ServiceExt as _;
use webhook::lookups::Lookups;
use webhook::{Metrics, Rules};

use crate::cluster::about;

pub(crate) const OPERATOR: &str = "system:serviceaccount:sys:r-operator";
pub(crate) const GATEWAY: &str = "system:serviceaccount:sys:r-gateway";
pub(crate) const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

pub(crate) struct Webhook {
    router: Router,
    registry: Arc<Registry>,
    server: ApiServer,
    calls: Mutex<Vec<Call>>,
}

/// The webhook's answer.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) allowed: bool,
    pub(crate) code: u64,
    pub(crate) message: String,
    pub(crate) warnings: Vec<String>,
    pub(crate) patch: Option<json_patch::Patch>,
}

impl Webhook {
    pub(crate) fn new(rules: Rules, lookups: Lookups, server: ApiServer) -> Self {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        Self {
            router: webhook::router::router(rules, lookups, metrics),
            registry: Arc::new(registry),
            server,
            calls: Mutex::default(),
        }
    }

    /// Sends an unchanged body.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, Vec<u8>) {
        let response = self.response(method, path, body).await;
        let status = response.status();
        (
            status,
            response.into_body().collect().await.unwrap().to_bytes().to_vec(),
        )
    }

    pub(crate) async fn response(&self, method: &str, path: &str, body: impl Into<Body>) -> Response<Body> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(body.into())
            .unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn review(&self, path: &str, review: Value) -> Outcome {
        let (status, bytes) = self.send("POST", path, review.to_string()).await;
        assert_eq!(status, StatusCode::OK);
        let review: Value = serde_json::from_slice(&bytes).unwrap();
        let response = &review["response"];
        assert_eq!(response["uid"], "r-1");
        let operations: Option<Vec<u8>> = serde_json::from_value(response["patch"].clone()).unwrap();
        Outcome {
            allowed: response["allowed"].as_bool().unwrap(),
            code: response["status"]["code"].as_u64().unwrap_or_default(),
            message: response["status"]["message"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            warnings: serde_json::from_value(response["warnings"].clone()).unwrap_or_default(),
            patch: operations.map(|bytes| serde_json::from_slice(&bytes).unwrap()),
        }
    }

    pub(crate) async fn validate_create(&self, user: &str, new: &Value) -> Outcome {
        self.review("/validate", review(user, &Value::Null, new)).await
    }

    pub(crate) async fn validate_update(&self, user: &str, old: &Value, new: &Value) -> Outcome {
        self.review("/validate", review(user, old, new)).await
    }

    pub(crate) async fn validate_delete(&self, user: &str, stored: &Value) -> Outcome {
        self.review("/validate", review(user, stored, &Value::Null)).await
    }

    /// The result for a new object: from `/mutate`, then from `/validate`.
    pub(crate) async fn create(&self, user: &str, new: &Value) -> (Value, Outcome) {
        let mut object = new.clone();
        let mutated = self.mutate_create(user, new).await;
        if !mutated.allowed {
            return (object, mutated);
        }
        if let Some(patch) = &mutated.patch {
            json_patch::patch(&mut object, patch).unwrap();
        }
        let answer = self.validate_create(user, &object).await;
        (object, answer)
    }

    pub(crate) async fn mutate_create(&self, user: &str, new: &Value) -> Outcome {
        self.review("/mutate", review(user, &Value::Null, new)).await
    }

    pub(crate) async fn mutate_update(&self, user: &str, old: &Value, new: &Value) -> Outcome {
        self.review("/mutate", review(user, old, new)).await
    }

    /// Access reviews that the webhook requested, as `user verb resource name`.
    pub(crate) fn reviews(&self) -> Vec<String> {
        let calls = self.calls().into_iter();
        let reviews = calls.filter(|call| call.path.ends_with("/subjectaccessreviews"));
        let mut reviews: Vec<_> = reviews.map(|call| about(&call.body["spec"])).collect();
        reviews.sort();
        reviews
    }

    /// All calls of the webhook to the API server.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let mut calls = self.calls.lock().unwrap();
        calls.extend(self.server.take_calls());
        calls.clone()
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// The review that the API server sends: a creation if `old` is null, a deletion if `new` is null. The kind is the object's, else
/// Workspace.
pub(crate) fn review(user: &str, old: &Value, new: &Value) -> Value {
    let operation = match (old, new) {
        (Value::Null, _) => "CREATE",
        (_, Value::Null) => "DELETE",
        _ => "UPDATE",
    };
    let object = if new.is_null() { old } else { new };
    let kind = object["kind"].as_str().unwrap_or("Workspace");
    let version = json!({"group": "workspaces.jupyter.org", "version": "v1alpha1"});
    let (mut gvk, mut gvr) = (version.clone(), version);
    gvk["kind"] = json!(kind);
    gvr["resource"] = json!(format!("{}s", kind.to_lowercase()));
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "r-1",
            "kind": gvk,
            "resource": gvr,
            "name": object["metadata"]["name"].as_str().unwrap_or("demo"),
            "namespace": "team",
            "operation": operation,
            "userInfo": {"username": user, "groups": ["staff", "system:authenticated"], "uid": "u-1", "extra": {"k": ["v"]}},
            "object": new,
            "oldObject": old,
            "dryRun": false,
        },
    })
}

/// A workspace of alice with this spec and a displayName.
pub(crate) fn workspace(spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "Workspace",
        "metadata": {
            "name": "demo",
            "namespace": "team",
            "annotations": {api::names::CREATED_BY: "alice"},
            "finalizers": [api::names::CLEANUP_FINALIZER],
        },
    });
    object["spec"] = spec;
    object["spec"]["displayName"] = json!("Demo");
    object
}

/// Maximum time for any answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
