//! Watches -> the objects in memory, how old they are, and a signal when they change (IO).
//!
//! | file | holds |
//! |---|---|
//! | `watch.rs` | one watch and its store |
//! | `served.rs` | the manager of this installation, and its addresses |
//! | `snapshot.rs` | the objects after a change, found by owner, namespace and share |

mod served;
mod snapshot;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api::workspace::Resolved;
use api::{Workspace, WorkspaceManager, WorkspaceShare, WorkspaceTemplate};
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kit::readiness::Readiness;
use kit::scope::Scope;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch as signal;
use tokio::time::sleep;

pub(crate) use served::Served;
use snapshot::Latest;
pub(crate) use snapshot::{Snapshot, hash};
use watch::{Health, Watch};

/// Changes within this time are shown on open pages together.
const DEBOUNCE: Duration = Duration::from_millis(250);
/// When a watch is interrupted for longer than this, requests get 503 instead of a page, and streams end.
const MAX_STALENESS: Duration = Duration::from_mins(1);
/// Label of namespaces in which users create workspaces (docs/using.md).
pub(crate) const NAMESPACE_LABEL: &str = "workspaces.jupyter.org/workspaces";

/// The objects in memory.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    scope: Scope,
    wanted_manager: Option<String>,
    workspaces: Store<Workspace>,
    templates: Store<WorkspaceTemplate>,
    managers: Store<WorkspaceManager>,
    shares: Store<WorkspaceShare>,
    /// Labelled ones; in one-namespace mode none.
    namespaces: Store<PartialObjectMeta<Namespace>>,
    health: Arc<Health>,
    changes: signal::Sender<u64>,
    snapshot: Arc<Latest>,
    /// The snapshot that open pages show.
    debounced: signal::Sender<Arc<Snapshot>>,
}

impl Index {
    /// The index, and the watches that fill it. Each opens a gate of `readiness` after its first list.
    pub(crate) fn new(
        client: &Client,
        scope: &Scope,
        wanted_manager: Option<String>,
        readiness: &Readiness,
    ) -> (Self, BoxFuture<'static, ()>) {
        let health = Arc::new(Health::default());
        let changes = signal::Sender::new(0);
        let of = Watch {
            readiness,
            health: &health,
            changes: &changes,
        };
        let all = watcher::Config::default;
        let (workspaces, one) = of.objects(scope.api(client.clone()), "workspaces");
        let (templates, two) = of.objects(Api::all(client.clone()), "templates");
        let (managers, three) = of.objects(Api::all(client.clone()), "managers");
        let (shares, four) = of.objects(scope.api(client.clone()), "shares");
        let labelled = Api::<PartialObjectMeta<Namespace>>::all(client.clone());
        let (namespaces, five) = if scope.is_cluster() {
            of.metadata(labelled, all().labels(NAMESPACE_LABEL), "namespaces")
        } else {
            (
                kube::runtime::reflector::store().0,
                std::future::pending().boxed(),
            )
        };
        let index = Self {
            scope: scope.clone(),
            wanted_manager,
            workspaces,
            templates,
            managers,
            shares,
            namespaces,
            health,
            changes,
            snapshot: Arc::default(),
            debounced: signal::Sender::default(),
        };
        let six = index.clone().debounce().boxed();
        (
            index,
            join_all([one, two, three, four, five, six]).map(drop).boxed(),
        )
    }

    /// Makes one snapshot of changes that come close together, for all open pages.
    async fn debounce(self) {
        let mut changes = self.changes();
        while changes.changed().await.is_ok() {
            sleep(DEBOUNCE).await;
            changes.borrow_and_update();
            self.debounced.send_replace(self.snapshot());
        }
    }

    /// The objects as they are now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.get(self)
    }

    /// Workspaces, in no order.
    pub(crate) fn workspaces(&self) -> Vec<Arc<Workspace>> {
        self.workspaces.state()
    }

    /// The workspace of that name.
    pub(crate) fn workspace(&self, namespace: &str, name: &str) -> Option<Arc<Workspace>> {
        self.workspaces.get(&ObjectRef::new(name).within(namespace))
    }

    /// Templates by the name that users see, without those that are being deleted.
    pub(crate) fn templates(&self) -> Vec<Arc<WorkspaceTemplate>> {
        let mut all = self.templates.state();
        all.retain(|template| template.metadata.deletion_timestamp.is_none());
        all.sort_by_cached_key(|template| (template.spec.display_name.to_lowercase(), template.name_any()));
        all
    }

    /// UID and generation of all templates, those that are being deleted too, by name.
    fn generations_of_templates(&self) -> Vec<(Option<String>, Option<i64>)> {
        let mut all = self.templates.state();
        all.sort_by_key(|template| template.name_any());
        let metadata = all.iter().map(|template| &template.metadata);
        metadata.map(|it| (it.uid.clone(), it.generation)).collect()
    }

    /// The template of the workspace.
    pub(crate) fn template_of(&self, workspace: &Workspace) -> Option<Arc<WorkspaceTemplate>> {
        self.template(workspace.spec.template_ref.as_deref()?)
    }

    /// The template of that name.
    pub(crate) fn template(&self, name: &str) -> Option<Arc<WorkspaceTemplate>> {
        self.templates.get(&ObjectRef::new(name))
    }

    /// The manager of that name.
    pub(crate) fn manager(&self, name: &str) -> Option<Arc<WorkspaceManager>> {
        self.managers.get(&ObjectRef::new(name))
    }

    /// All managers.
    pub(crate) fn managers(&self) -> Vec<Arc<WorkspaceManager>> {
        self.managers.state()
    }

    /// The manager that routes to the workspace.
    pub(crate) fn manager_of(&self, workspace: &Workspace) -> Option<Arc<WorkspaceManager>> {
        match manager_name(workspace) {
            Some(name) => self.manager(name),
            None => self.default_manager(),
        }
    }

    /// Shares that name the workspace, counting or not.
    pub(crate) fn shares_of(&self, workspace: &Workspace) -> Vec<Arc<WorkspaceShare>> {
        let (namespace, name) = (&workspace.metadata.namespace, workspace.metadata.name.as_deref());
        let mut shares = self.shares.state();
        shares.retain(|share| {
            share.metadata.namespace == *namespace && Some(&*share.spec.workspace_ref) == name
        });
        shares
    }

    /// The share with this UID.
    pub(crate) fn share(&self, uid: Option<&str>) -> Option<Arc<WorkspaceShare>> {
        let mut shares = self.shares.state().into_iter();
        shares.find(|share| share.metadata.uid.as_deref() == uid)
    }

    /// All shares.
    pub(crate) fn shares(&self) -> Vec<Arc<WorkspaceShare>> {
        self.shares.state()
    }

    /// Namespaces that hold workspaces or carry [`NAMESPACE_LABEL`].
    pub(crate) fn namespaces(&self) -> BTreeSet<String> {
        self.namespaces_with(&self.workspaces())
    }

    /// The same, if these are all workspaces.
    pub(crate) fn namespaces_with(&self, workspaces: &[Arc<Workspace>]) -> BTreeSet<String> {
        if let Some(namespace) = self.scope.namespace() {
            return [namespace.to_owned()].into();
        }
        let labelled = self
            .namespaces
            .state()
            .into_iter()
            .map(|namespace| namespace.name_any());
        let used = workspaces
            .iter()
            .filter_map(|workspace| workspace.metadata.namespace.as_deref());
        let used: BTreeSet<_> = used.collect();
        labelled.chain(used.into_iter().map(str::to_owned)).collect()
    }

    /// Whether a namespace without workspaces is found by [`NAMESPACE_LABEL`]. In one-namespace mode there is only one.
    pub(crate) fn offers_by_label(&self) -> bool {
        self.scope.is_cluster()
    }

    /// Whether the webhook judges what is written. In one-namespace mode there is none (docs/install.md).
    pub(crate) fn has_webhook(&self) -> bool {
        self.scope.is_cluster()
    }

    /// The addresses of this installation, once its manager is known.
    pub(crate) fn addresses(&self) -> Option<Served> {
        let manager = match &self.wanted_manager {
            Some(name) => self.manager(name),
            None => self.default_manager(),
        };
        manager.map(|manager| Served::from_manager(&manager))
    }

    /// The manager of workspaces that name none: in one-namespace mode the release's own, else the one default manager.
    pub(crate) fn default_manager(&self) -> Option<Arc<WorkspaceManager>> {
        if let (false, Some(own)) = (self.scope.is_cluster(), &self.wanted_manager) {
            return self.manager(own);
        }
        let mut defaults = self.managers.state();
        defaults.retain(|manager| rules::managers::is_default(manager));
        let mut defaults = defaults.into_iter();
        match (defaults.next(), defaults.next()) {
            (Some(manager), None) => Some(manager),
            _ => None,
        }
    }

    /// Since when a watch is interrupted, so that pages may be out of date.
    pub(crate) fn interrupted_since(&self) -> Option<Timestamp> {
        self.health.interrupted_since()
    }

    /// Whether a watch is interrupted for so long that its objects must not be shown any more.
    pub(crate) fn is_too_old(&self) -> bool {
        self.lag() > MAX_STALENESS
    }

    /// How old the objects in memory may be: how long the oldest interrupted watch has been so.
    pub(crate) fn lag(&self) -> Duration {
        self.health.lag()
    }

    /// The snapshot that open pages show: it is replaced soon after a change.
    pub(crate) fn debounced_snapshots(&self) -> signal::Receiver<Arc<Snapshot>> {
        self.debounced.subscribe()
    }

    /// Signals each change, and each interruption of a watch.
    pub(crate) fn changes(&self) -> signal::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// The values in force, once the operator has written them.
pub(crate) fn resolved_values(workspace: &Workspace) -> Option<&Resolved> {
    workspace.status.as_ref()?.resolved.as_ref()
}

/// The name of the manager that routes to the workspace; `None`: the default one.
pub(crate) fn manager_name(workspace: &Workspace) -> Option<&str> {
    resolved_values(workspace)
        .and_then(|resolved| resolved.manager.as_deref())
        .or(workspace.spec.manager_ref.as_deref())
}
