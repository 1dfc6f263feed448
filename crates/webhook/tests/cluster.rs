//! The API server behind the webhook: its objects, permissions and failures.

use std::collections::BTreeMap;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate};
use http::Method;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::core::DeserializeGuard;
use kube::runtime::{reflector, watcher::Event};
use rules::Settings;
use rules::objects::ObjectKind;
use serde_json::{Value, json};
use testkit::api_server::{ApiServer, Disruption, Fault};
use testkit::objects::NAMESPACE;
use webhook::lookups::{Cache, Lookups};
use webhook::router::MAX_ACCEPTED;
use webhook::{Accounts, Enforcement, Rules};

use crate::support::{COLLECTOR, GATEWAY, OPERATOR, Webhook};

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
    /// Kinds that templates may use for objects: apiVersion and kind.
    pub(crate) object_kinds: Vec<(&'static str, &'static str)>,
    /// Kinds that are installed: apiVersion, kind, plural, and whether they are namespaced.
    pub(crate) installed: Vec<(&'static str, &'static str, &'static str, bool)>,
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
        let (server, client) = ApiServer::start();
        self.fill(&server);
        let parsed = Settings::parse(
            "{defaultImage: uv, recoveryImage: r/recovery:1, imageAliases: {uv: r/jupyter:1}}",
        );
        let object_kinds = self.object_kinds.iter().map(|(api_version, kind)| ObjectKind {
            api_version: (*api_version).to_owned(),
            kind: (*kind).to_owned(),
        });
        let settings = Settings {
            require_template: self.requires_template,
            object_kinds: object_kinds.collect(),
            ..parsed.unwrap()
        };
        let accounts = Accounts {
            operator: OPERATOR.to_owned(),
            gateway: Some(GATEWAY.to_owned()),
            controllers: vec![COLLECTOR.to_owned()],
        };
        let rules = Rules::new(settings, accounts, self.enforcement);
        let (templates, managers) = (store(self.watched), store(self.managers));
        let lookups = Lookups::new(client, templates, managers, store(self.profiles));
        Webhook::new(rules, lookups, server)
    }

    /// Puts it all into an API server.
    fn fill(&self, server: &ApiServer) {
        for template in self.watched.iter().chain(&self.unwatched) {
            server.put(template);
        }
        self.managers.iter().for_each(|object| server.put(object));
        self.profiles.iter().for_each(|object| server.put(object));
        self.workspaces.iter().for_each(|object| server.put(object));
        self.claims.iter().for_each(|object| server.put(object));
        self.classes.iter().for_each(|object| server.put(object));
        let annotations: BTreeMap<_, _> = self.namespace_annotations.iter().copied().collect();
        let leaving = self.leaving.then_some("2026-01-01T00:00:00Z");
        let metadata = json!({"name": NAMESPACE, "annotations": annotations, "deletionTimestamp": leaving});
        server.put(&serde_json::from_value::<Namespace>(json!({ "metadata": metadata })).unwrap());
        let grants = self.grants.clone();
        server.review(move |spec| grants.iter().any(|grant| is_of(grant, spec)));
        for (version, kind, plural, namespaced) in &self.installed {
            server.install(version, kind, plural, *namespaced);
        }
        if self.claims_are_hidden {
            let hidden = Fault::forbidden(Method::GET, "persistentvolumeclaims", "no", usize::MAX);
            server.fail(hidden);
        }
        for method in [Method::GET, Method::POST] {
            match self.health {
                Health::Answers => {}
                Health::Broken => server.fail(Fault::internal(method, "", usize::MAX)),
                Health::Silent => {
                    for _ in 0..2 * MAX_ACCEPTED {
                        server.disrupt(method.clone(), "", Disruption::NoAnswer);
                    }
                }
            }
        }
    }
}

/// Whether a permission is what an access review asks about.
fn is_of(grant: &str, spec: &Value) -> bool {
    let asked = about(spec);
    let mut parts = grant.split(' ').zip(asked.split(' '));
    parts.all(|(part, asked)| part == "*" || part == asked)
}

/// What an access review asks about, as `user verb resource name`. A subresource follows its resource and a slash.
pub(crate) fn about(spec: &Value) -> String {
    let attributes = &spec["resourceAttributes"];
    let text = |part: &Value| part.as_str().unwrap_or_default().to_owned();
    let resource = match text(&attributes["subresource"]).as_str() {
        "" => text(&attributes["resource"]),
        part => format!("{}/{part}", text(&attributes["resource"])),
    };
    let [user, verb, name] = [&spec["user"], &attributes["verb"], &attributes["name"]].map(text);
    [user, verb, resource, name].join(" ")
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
