//! An API server in memory, the operator's caches, and on request the rest of the cluster.

use std::{sync::Arc, time::Duration};

use api::{
    Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceStatus,
    WorkspaceTemplate, condition, names,
    workspace::{DesiredStatus, Phase},
};
use http::Method;
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Pod, Service},
    events::v1::Event as StoredEvent,
    networking::v1::NetworkPolicy,
    storage::v1::StorageClass,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::{
    Client, Resource, ResourceExt as _,
    runtime::{controller::Action, watcher::Event},
};
use operator::{
    cache::stores::{CacheWriter, Parsed, Trim, Writers},
    context::Context,
    controllers::network_policies,
    plan::Installation,
    reconcile::{Error, reconcile},
};
use rules::Settings;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::{
    api_server::{ApiServer, Call, Fault, Life},
    objects::{self, NAMESPACE},
};

use crate::cluster::Cluster;

pub(crate) const CHILD: &str = "workspace-demo";
/// The network policy that denies, and that of the manager `main`.
pub(crate) const POLICIES: [&str; 2] = ["workspace--isolated", "workspace--jbf7v6a6xuoejzs6"];

/// Whether the object has the in-use finalizer.
pub(crate) fn is_protected(object: &impl Resource) -> bool {
    let mut finalizers = object.finalizers().iter();
    finalizers.any(|it| it == names::IN_USE_FINALIZER)
}

/// One operator and its surroundings. Time in the cluster passes when a test says so.
pub(crate) struct Stage {
    pub(crate) server: ApiServer,
    pub(crate) context: Arc<Context>,
    writers: Writers,
}

impl Stage {
    /// A cluster with a default manager and a default storage class.
    pub(crate) fn new() -> Self {
        let (server, client) = ApiServer::start();
        // A workspace already uses it.
        let mut manager = objects::manager("main");
        manager.metadata.finalizers = Some(vec![names::IN_USE_FINALIZER.to_owned()]);
        server.put(&manager);
        let class: StorageClass = serde_json::from_value(json!({
            "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "example.com/p", "allowVolumeExpansion": true,
        }))
        .unwrap();
        server.put(&class);
        let writers = Writers::default();
        let context = operator(client, &writers, true);
        Self {
            server,
            context,
            writers,
        }
    }

    /// Another operator takes over, with empty caches and no state. It lives as long as `life` says; `None`: for ever.
    pub(crate) fn replace_operator(&mut self, life: Option<Life>) {
        let writers = Writers::default();
        self.context = operator(self.server.connect(life), &writers, true);
        self.writers = writers;
    }

    /// Another operator takes over, with other settings.
    pub(crate) fn set_up_anew(&mut self, settings: &str) {
        let writers = Writers::default();
        self.context = operator_of(self.server.connect(None), &writers, settings);
        self.writers = writers;
    }

    /// Another operator takes over, in an installation without webhook.
    pub(crate) fn without_admission(&mut self) {
        let writers = Writers::default();
        self.context = operator(self.server.connect(None), &writers, false);
        self.writers = writers;
    }

    /// From now on the operator's clock shows `now`.
    pub(crate) fn set_clock(&mut self, now: fn() -> jiff::Timestamp) {
        Arc::get_mut(&mut self.context).unwrap().now = now;
    }

    /// The same, with the workspace `demo` in it.
    pub(crate) fn with_demo() -> Self {
        let stage = Self::new();
        stage.server.put(&objects::workspace("demo"));
        stage
    }

    /// The same, with a text that names its Service, so that it has one.
    pub(crate) fn with_service() -> Self {
        let stage = Self::with_demo();
        stage.name_service(true);
        stage
    }

    /// From now on a text of `demo` names its Service, or none does.
    pub(crate) fn name_service(&self, is_named: bool) {
        let variables = if is_named {
            json!({"address": "{service.name}"})
        } else {
            json!({})
        };
        self.edit_spec(|spec| spec["variables"] = variables);
    }

    /// The same, started and ready, and everything settled.
    pub(crate) async fn with_running_demo() -> Self {
        let mut stage = Self::with_demo();
        stage.run().await;
        stage.sync();
        stage.server.take_calls();
        stage
    }

    /// A start without problems, from the first reconcile to the pod that is ready.
    pub(crate) async fn run(&mut self) {
        self.reconcile().await.unwrap();
        self.cluster();
        self.get_ready();
        self.reconcile().await.unwrap();
        assert_eq!(self.status().phase, Some(Phase::Running));
    }

    /// Whether the pod of `demo` was asked to end, or is gone.
    pub(crate) fn is_ending(&self) -> bool {
        self.child::<Pod>()
            .is_none_or(|pod| pod.metadata.deletion_timestamp.is_some())
    }

    /// Lets all watches catch up.
    pub(crate) fn sync(&mut self) {
        for watch in 0..Self::WATCHES {
            self.sync_one(watch);
        }
    }

    /// How many watches there are for [`Stage::sync_one`].
    pub(crate) const WATCHES: usize = 11;

    /// Lets one watch catch up.
    pub(crate) fn sync_one(&mut self, watch: usize) {
        let (server, writers) = (&self.server, &mut self.writers);
        let shown = ObjectMeta {
            resource_version: Some(server.version().to_string()),
            ..ObjectMeta::default()
        };
        match watch {
            0 => fill::<Workspace>(server, &mut writers.workspaces),
            1 => fill::<WorkspaceTemplate>(server, &mut writers.templates),
            2 => fill::<WorkspaceManager>(server, &mut writers.managers),
            3 => fill::<StorageClass>(server, &mut writers.storage_classes),
            4 => fill(server, &mut writers.claims),
            5 => fill(server, &mut writers.services),
            6 => {
                fill(server, &mut writers.policies);
                self.context.pending_writes.policies.show(&shown);
            }
            7 => fill(server, &mut writers.accounts),
            8 => fill::<WorkspaceExecutionProfile>(server, &mut writers.profiles),
            9 => fill::<WorkspaceShare>(server, &mut writers.shares),
            _ => {
                fill(server, &mut writers.pods);
                self.context.pending_writes.pods.show(&shown);
            }
        }
    }

    /// Sets the in-use finalizer everywhere, as the catalog controller does for what workspaces refer to.
    pub(crate) fn add_finalizers(&self) {
        self.add_finalizer_to_all::<WorkspaceTemplate>();
        self.add_finalizer_to_all::<WorkspaceManager>();
        self.add_finalizer_to_all::<WorkspaceExecutionProfile>();
    }

    fn add_finalizer_to_all<K>(&self)
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        for object in self.all::<K>() {
            let finalizers = object.finalizers();
            if is_protected(&object) || object.meta().deletion_timestamp.is_some() {
                continue;
            }
            let finalizers: Vec<_> = finalizers
                .iter()
                .map(String::as_str)
                .chain([names::IN_USE_FINALIZER])
                .collect();
            let namespace = object.namespace();
            self.server
                .edit::<K>(namespace.as_deref(), &object.name_any(), |object| {
                    object["metadata"]["finalizers"] = json!(finalizers);
                });
        }
    }

    /// Lets the catalog controller and the watches catch up, and makes one reconcile of `demo`.
    pub(crate) async fn reconcile(&mut self) -> Result<Action, Error> {
        self.add_finalizers();
        self.sync();
        self.reconcile_unsynced("demo").await
    }

    /// Makes one reconcile of a workspace with the caches as they are.
    pub(crate) async fn reconcile_unsynced(&self, name: &str) -> Result<Action, Error> {
        let object =
            operator::cache::stores::get_parsed(&self.context.stores.workspaces, Some(NAMESPACE), name)
                .unwrap();
        reconcile(object, self.context.clone()).await
    }

    /// What the scheduler does: claims are bound, and a new pod gets a node. Pods end only when [`Stage::end_pods`] is called.
    pub(crate) fn cluster(&self) {
        self.bind_claims();
        Cluster::schedule(&self.server);
    }

    fn bind_claims(&self) {
        for claim in self.all::<PersistentVolumeClaim>() {
            self.server
                .edit::<PersistentVolumeClaim>(Some(NAMESPACE), &claim.name_any(), |object| {
                    if object["spec"]["storageClassName"].is_null() {
                        object["spec"]["storageClassName"] = json!("standard");
                    }
                    object["status"]["phase"] = json!("Bound");
                });
        }
    }

    /// Every pod that is not ending gets ready.
    pub(crate) fn get_ready(&self) {
        let pods = self.all::<Pod>().into_iter();
        for pod in pods.filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
            self.server.put(&objects::ready(pod, "10.0.0.9"));
        }
    }

    /// Every pod ends.
    pub(crate) fn end_pods(&self) {
        for pod in self.all::<Pod>() {
            self.server.remove::<Pod>(Some(NAMESPACE), &pod.name_any());
        }
    }

    /// Every pod ends, and everything that was deleted goes.
    pub(crate) fn collect_garbage(&self) {
        self.end_pods();
        self.drop_deleted::<Service>();
        self.drop_deleted::<NetworkPolicy>();
        self.drop_deleted::<PersistentVolumeClaim>();
    }

    fn drop_deleted<K>(&self)
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        for object in self.all::<K>() {
            if object.meta().deletion_timestamp.is_some() {
                self.server.remove::<K>(Some(NAMESPACE), &object.name_any());
            }
        }
    }

    pub(crate) fn all<K>(&self) -> Vec<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.server.all()
    }

    /// The names of all network policies.
    pub(crate) fn policies(&self) -> Vec<String> {
        self.all::<NetworkPolicy>()
            .iter()
            .map(kube::ResourceExt::name_any)
            .collect()
    }

    /// Lets the watches catch up, and what a new leader does once about network policies.
    pub(crate) async fn reconcile_policies(&mut self) -> Option<Duration> {
        self.sync();
        network_policies::reconcile(&self.context).await
    }

    pub(crate) fn child<K>(&self) -> Option<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        self.server.get(Some(NAMESPACE), CHILD)
    }

    pub(crate) fn workspace(&self) -> Workspace {
        self.server.get(Some(NAMESPACE), "demo").unwrap()
    }

    pub(crate) fn status(&self) -> WorkspaceStatus {
        self.workspace().status.unwrap()
    }

    /// A condition of `demo`.
    pub(crate) fn condition(&self, type_: &str) -> Condition {
        let conditions = self.status().conditions;
        condition::find(&conditions, type_).unwrap().clone()
    }

    /// Changes the spec of `demo`, as its owner would.
    pub(crate) fn edit_spec(&self, change: impl FnOnce(&mut Value)) {
        self.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
            change(&mut object["spec"]);
            object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap() + 1);
        });
    }

    /// The owner of `demo` wants it to run, or to be stopped.
    pub(crate) fn set(&self, desired: DesiredStatus) {
        self.edit_spec(|spec| spec["desiredStatus"] = json!(desired));
    }

    /// Stops `demo`, and lets everybody do what that takes.
    pub(crate) async fn stop(&mut self) {
        self.set(DesiredStatus::Stopped);
        self.reconcile().await.unwrap();
        self.cluster();
        self.end_pods();
        self.reconcile().await.unwrap();
        assert_eq!(self.status().phase, Some(Phase::Stopped));
    }

    /// `demo` is deleted by its owner.
    pub(crate) fn delete_demo(&self) {
        self.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:01:00Z");
            object["metadata"]["generation"] = json!(object["metadata"]["generation"].as_i64().unwrap() + 1);
        });
    }

    /// Reasons of all Events, in the order in which they were written.
    pub(crate) fn events(&self) -> Vec<String> {
        let mut events = self.all::<StoredEvent>();
        events.sort_by_key(|event| event.event_time.clone());
        events.into_iter().filter_map(|event| event.reason).collect()
    }

    /// The writes since the last time this was asked, as `METHOD last/two/segments`.
    pub(crate) fn writes(&self) -> Vec<String> {
        let calls = self.server.take_calls();
        calls.iter().filter(|call| call.is_write()).map(short).collect()
    }

    pub(crate) fn fail(
        &self,
        method: Method,
        path_part: &'static str,
        code: u16,
        message: &str,
        times: usize,
    ) {
        let reason = match code {
            403 => "Forbidden",
            409 => "Conflict",
            429 => "TooManyRequests",
            _ => "InternalError",
        };
        self.server.fail(Fault {
            method,
            path_part,
            code,
            reason,
            message: message.to_owned(),
            times,
        });
    }
}

pub(crate) fn operator(client: Client, writers: &Writers, admission: bool) -> Arc<Context> {
    let image = "localhost/jk8s-application-jupyter-uv:1";
    let settings = format!(
        "{{defaultImage: uv, imageAliases: {{uv: '{image}'}}, recoveryImage: 'localhost/recovery:1', admission: {admission}}}"
    );
    operator_of(client, writers, &settings)
}

fn operator_of(client: Client, writers: &Writers, settings: &str) -> Arc<Context> {
    let settings = Settings::parse(settings).unwrap();
    let installation = Installation::new(
        "jupyter-k8s-system".to_owned(),
        "jupyter-k8s".to_owned(),
        &settings,
    );
    Arc::new(Context::new(
        client,
        writers.stores(),
        settings,
        installation,
        "pod-1".to_owned(),
    ))
}

/// Seconds until the requested next reconcile. Only the debug text of an action shows them.
pub(crate) fn seconds(action: &Action) -> f64 {
    let text = format!("{action:?}");
    let span = text
        .trim_start_matches("Action { requeue_after: Some(")
        .trim_end_matches(") }");
    let (number, unit) = span.split_at(span.trim_end_matches(char::is_alphabetic).len());
    let units = [("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)];
    let (_, unit) = units.into_iter().find(|(name, _)| *name == unit).unwrap();
    number.parse::<f64>().unwrap() * unit
}

/// `PATCH pods/workspace-demo`, `POST events`.
pub(crate) fn short(call: &Call) -> String {
    let mut segments: Vec<_> = call
        .path
        .split('/')
        .skip_while(|segment| *segment != NAMESPACE)
        .skip(1)
        .collect();
    if segments.is_empty() {
        segments.push(call.path.as_str());
    }
    format!("{} {}", call.method, segments.join("/"))
}

/// Pods at any version that no network policy isolated, or that were not allowed what their manager allows.
pub(crate) fn unisolated(server: &ApiServer) -> Vec<String> {
    let mut found = Vec::new();
    server.replay(|objects| {
        let folder = format!("/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies");
        let has = |name: &str| objects.contains_key(&format!("{folder}/{name}"));
        for (path, pod) in objects.iter().filter(|(path, _)| path.contains("/pods/")) {
            let labels = &pod["metadata"]["labels"];
            let manager = labels[names::MANAGER].as_str();
            let is_isolated = labels[names::ISOLATED_LABEL] == names::IS_ISOLATED && has(POLICIES[0]);
            let is_allowed = manager.is_some_and(|hash| has(&format!("workspace--{hash}")));
            let is_covered = (is_isolated && is_allowed) || has(CHILD);
            if !is_covered {
                found.push(format!("{path}: {labels}"));
            }
        }
    });
    found
}

pub(crate) fn run_id(pod: &Pod) -> String {
    pod.labels()[names::RUN_ID_LABEL].clone()
}

fn fill<K>(server: &ApiServer, writer: &mut CacheWriter<K>)
where
    K: Trim + 'static,
{
    writer.apply_watcher_event(&Event::Init);
    for object in server.all::<Parsed<K>>() {
        writer.apply_watcher_event(&Event::InitApply(object));
    }
    writer.apply_watcher_event(&Event::InitDone);
}
