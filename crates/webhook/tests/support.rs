//! A webhook with templates, managers and rights of its own, and requests to it (in memory).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{WorkspaceManager, WorkspaceTemplate};
use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::{reflector, watcher::Event};
use prometheus_client::registry::Registry;
use rules::Settings;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use webhook::lookups::{Cache, Lookups};
use webhook::{Accounts, Metrics, Rules};

pub(crate) const OPERATOR: &str = "system:serviceaccount:sys:r-operator";
pub(crate) const GATEWAY: &str = "system:serviceaccount:sys:r-gateway";
pub(crate) const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

/// What the API server behind the webhook holds and does.
#[derive(Default, Clone)]
pub(crate) struct Cluster {
    /// Templates that the watch has seen.
    pub(crate) watched: Vec<WorkspaceTemplate>,
    /// Templates that only a direct read finds.
    pub(crate) unwatched: Vec<WorkspaceTemplate>,
    pub(crate) managers: Vec<WorkspaceManager>,
    /// Who may name other owners.
    pub(crate) assigners: Vec<&'static str>,
    /// The API server answers with 500.
    pub(crate) broken: bool,
    /// The API server does not answer.
    pub(crate) silent: bool,
}

pub(crate) struct Webhook {
    router: Router,
    registry: Arc<Registry>,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

/// What the webhook answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) allowed: bool,
    pub(crate) code: u64,
    pub(crate) message: String,
    pub(crate) warnings: Vec<String>,
    pub(crate) patch: Option<json_patch::Patch>,
}

impl Cluster {
    /// With one default manager and the given template, both watched.
    pub(crate) fn with(template: WorkspaceTemplate) -> Self {
        Self {
            watched: vec![template],
            managers: vec![testkit::objects::manager("main")],
            ..Self::default()
        }
    }

    pub(crate) fn webhook(self) -> Webhook {
        let calls = Arc::<Mutex<Vec<(String, Value)>>>::default();
        let templates = store(self.watched.clone());
        let managers = store(self.managers.clone());
        let client = client(self, calls.clone());
        let rules = Rules {
            settings: Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}").unwrap(),
            accounts: Accounts {
                operator: OPERATOR.to_owned(),
                gateway: GATEWAY.to_owned(),
                controllers: vec![COLLECTOR.to_owned()],
            },
        };
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let router = webhook::router::router(rules, Lookups::new(client, templates, managers), metrics);
        Webhook {
            router,
            registry: Arc::new(registry),
            calls,
        }
    }
}

fn store<K>(objects: Vec<K>) -> Cache<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    let (store, mut writer) = reflector::store::<DeserializeGuard<K>>();
    writer.apply_watcher_event(&Event::Init);
    for object in objects {
        writer.apply_watcher_event(&Event::InitApply(DeserializeGuard(Ok(object))));
    }
    writer.apply_watcher_event(&Event::InitDone);
    store
}

fn client(cluster: Cluster, calls: Arc<Mutex<Vec<(String, Value)>>>) -> Client {
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let (cluster, calls) = (cluster.clone(), calls.clone());
        async move {
            let (head, body) = request.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let path = head.uri.path().to_owned();
            calls
                .lock()
                .unwrap()
                .push((format!("{} {path}", head.method), body.clone()));
            if cluster.silent {
                std::future::pending::<()>().await;
            }
            let (code, answer) = cluster.answer(&path, body);
            let response = Response::builder()
                .status(code)
                .body(Body::from(answer.to_string()))
                .unwrap();
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    Client::new(service, "default")
}

impl Cluster {
    fn answer(&self, path: &str, body: Value) -> (u16, Value) {
        let failure = |code: u16, reason: &str| {
            (
                code,
                json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no"}),
            )
        };
        if self.broken {
            return failure(500, "InternalError");
        }
        if path.ends_with("/subjectaccessreviews") {
            let allowed = self.assigners.iter().any(|user| body["spec"]["user"] == *user);
            let mut review = body;
            review["status"] = json!({ "allowed": allowed });
            return (201, review);
        }
        if path.ends_with("/workspacemanagers") {
            return (
                200,
                json!({"kind": "List", "metadata": {}, "items": self.managers}),
            );
        }
        let found = self.unwatched.iter().chain(&self.watched).find(|template| {
            path.ends_with(&format!(
                "/workspacetemplates/{}",
                template.metadata.name.as_ref().unwrap()
            ))
        });
        found.map_or_else(|| failure(404, "NotFound"), |template| (200, json!(template)))
    }
}

impl Webhook {
    /// Sends a body as it is.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, Vec<u8>) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(body.into())
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (
            status,
            response.into_body().collect().await.unwrap().to_bytes().to_vec(),
        )
    }

    async fn review(&self, path: &str, user: &str, old: &Value, new: &Value) -> Answer {
        let (status, bytes) = self.send("POST", path, review(user, old, new).to_string()).await;
        assert_eq!(status, StatusCode::OK);
        let review: Value = serde_json::from_slice(&bytes).unwrap();
        let response = &review["response"];
        assert_eq!(response["uid"], "r-1");
        let operations: Option<Vec<u8>> = serde_json::from_value(response["patch"].clone()).unwrap();
        Answer {
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

    pub(crate) async fn validate_create(&self, user: &str, new: &Value) -> Answer {
        self.review("/validate", user, &Value::Null, new).await
    }

    pub(crate) async fn validate_update(&self, user: &str, old: &Value, new: &Value) -> Answer {
        self.review("/validate", user, old, new).await
    }

    pub(crate) async fn mutate_create(&self, user: &str, new: &Value) -> Answer {
        self.review("/mutate", user, &Value::Null, new).await
    }

    /// The calls that the webhook has made to the API server: method and path, and body.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// The review that the API server sends; a creation when `old` is null.
pub(crate) fn review(user: &str, old: &Value, new: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "r-1",
            "kind": {"group": "workspaces.jupyter.org", "version": "v1alpha1", "kind": "Workspace"},
            "resource": {"group": "workspaces.jupyter.org", "version": "v1alpha1", "resource": "workspaces"},
            "name": "demo",
            "namespace": "team",
            "operation": if old.is_null() { "CREATE" } else { "UPDATE" },
            "userInfo": {"username": user, "groups": ["staff", "system:authenticated"], "uid": "u-1", "extra": {"k": ["v"]}},
            "object": new,
            "oldObject": old,
            "dryRun": false,
        },
    })
}

/// A workspace of alice with that spec (displayName is added).
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

/// Time enough for any answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
