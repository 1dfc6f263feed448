//! An in-memory API server behind the webhook: its objects, permissions and received calls.

use std::sync::{Arc, Mutex};

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate};
use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::core::DeserializeGuard;
use kube::runtime::{reflector, watcher::Event};
use kube::{Client, ResourceExt as _};
use rules::Settings;
use serde::Serialize;
use serde_json::{Value, json};
use webhook::lookups::{Cache, Lookups};
use webhook::{Accounts, Enforcement, Rules};

use crate::support::{COLLECTOR, GATEWAY, OPERATOR, Webhook};

/// The calls of the webhook: method and path, and body.
pub(crate) type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// Objects and behaviour of the API server behind the webhook.
#[derive(Default, Clone)]
pub(crate) struct Cluster {
    /// Templates that the watch has seen.
    pub(crate) watched: Vec<WorkspaceTemplate>,
    /// Templates that the watch lacks. A direct read finds them.
    pub(crate) unwatched: Vec<WorkspaceTemplate>,
    pub(crate) managers: Vec<WorkspaceManager>,
    pub(crate) profiles: Vec<WorkspaceExecutionProfile>,
    /// Stored workspaces.
    pub(crate) workspaces: Vec<Workspace>,
    /// Stored claims, of any namespace.
    pub(crate) claims: Vec<PersistentVolumeClaim>,
    /// Existing storage classes.
    pub(crate) classes: Vec<StorageClass>,
    /// Whether the webhook has no permission to read claims.
    pub(crate) claims_are_hidden: bool,
    /// Permissions as `user verb resource name`; `*` stands for all users or all objects.
    pub(crate) grants: Vec<&'static str>,
    /// The namespace is being deleted.
    pub(crate) leaving: bool,
    /// Annotations of the namespace.
    pub(crate) namespace_annotations: Vec<(&'static str, &'static str)>,
    pub(crate) enforcement: Enforcement,
    /// Whether every workspace must name a template.
    pub(crate) requires_template: bool,
    pub(crate) health: Health,
}

/// How the API server handles requests.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    #[default]
    Answers,
    /// It answers all requests with 500.
    Broken,
    /// It accepts requests and never answers.
    Silent,
}

impl Cluster {
    /// With one default manager and the given template. The watches have both, and every user may use them.
    pub(crate) fn with(template: WorkspaceTemplate) -> Self {
        Self {
            watched: vec![template],
            managers: vec![testkit::objects::manager("main")],
            grants: vec!["* use workspacetemplates *"],
            ..Self::default()
        }
    }

    /// With further permissions.
    pub(crate) fn granting(mut self, grants: &[&'static str]) -> Self {
        self.grants.extend(grants);
        self
    }

    pub(crate) fn webhook(self) -> Webhook {
        let calls = Calls::default();
        let parsed = Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}");
        let settings = Settings {
            require_template: self.requires_template,
            ..parsed.unwrap()
        };
        let accounts = Accounts {
            operator: OPERATOR.to_owned(),
            gateway: Some(GATEWAY.to_owned()),
            controllers: vec![COLLECTOR.to_owned()],
        };
        let rules = Rules::new(settings, accounts, self.enforcement);
        let templates = store(self.watched.clone());
        let managers = store(self.managers.clone());
        let profiles = store(self.profiles.clone());
        let lookups = Lookups::new(self.client(calls.clone()), templates, managers, profiles);
        Webhook::new(rules, lookups, calls)
    }

    fn client(self, calls: Calls) -> Client {
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let (cluster, calls) = (self.clone(), calls.clone());
            async move {
                let (head, body) = request.into_parts();
                let bytes = body.collect().await.unwrap().to_bytes();
                let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
                let path = head.uri.path().to_owned();
                calls
                    .lock()
                    .unwrap()
                    .push((format!("{} {path}", head.method), body.clone()));
                if cluster.health == Health::Silent {
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

    fn answer(&self, path: &str, body: Value) -> (u16, Value) {
        if self.health == Health::Broken {
            return failure(500, "InternalError");
        }
        let segments: Vec<_> = path.rsplit('/').collect();
        let (last, parent) = (segments[0], segments[1]);
        match (parent, last) {
            (_, "subjectaccessreviews") => (201, self.review(body)),
            (_, "workspacemanagers") => (200, list(&self.managers)),
            (_, "workspaces") => (200, list(&self.workspaces)),
            ("namespaces", name) => (200, self.namespace(name)),
            ("workspacetemplates", name) => one(name, self.unwatched.iter().chain(&self.watched)),
            ("workspaces", name) => one(name, &self.workspaces),
            ("persistentvolumeclaims", _) if self.claims_are_hidden => failure(403, "Forbidden"),
            ("persistentvolumeclaims", name) => one(name, &self.claims),
            ("storageclasses", name) => one(name, &self.classes),
            ("workspaceexecutionprofiles", name) => one(name, &self.profiles),
            _ => failure(404, "NotFound"),
        }
    }

    fn namespace(&self, name: &str) -> Value {
        let mut object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        if self.leaving {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        for (key, value) in &self.namespace_annotations {
            object["metadata"]["annotations"][*key] = json!(value);
        }
        object
    }

    fn review(&self, mut review: Value) -> Value {
        let spec = &review["spec"];
        let attributes = &spec["resourceAttributes"];
        let reviews = [
            &spec["user"],
            &attributes["verb"],
            &attributes["resource"],
            &attributes["name"],
        ];
        let grants = |grant: &&str| {
            let parts = grant.split(' ');
            parts
                .zip(reviews)
                .all(|(part, reviews)| part == "*" || reviews == part)
        };
        let allowed = self.grants.iter().any(grants);
        review["status"] = json!({ "allowed": allowed });
        review
    }
}

fn failure(code: u16, reason: &str) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no"}),
    )
}

fn list<K: Serialize>(items: &[K]) -> Value {
    json!({"kind": "List", "metadata": {}, "items": items})
}

fn one<'a, K: kube::Resource + Serialize + 'a>(
    name: &str,
    all: impl IntoIterator<Item = &'a K>,
) -> (u16, Value) {
    let found = all.into_iter().find(|object| object.name_any() == name);
    found.map_or_else(|| failure(404, "NotFound"), |object| (200, json!(object)))
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
