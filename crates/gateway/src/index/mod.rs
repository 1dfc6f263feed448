//! watched Workspaces, shares and managers -> a snapshot by host, read without locks (pure).
//!
//! - `watch`: watches -> `facts` of each object; `sharing` of shares, `pods` of pods. `partial`: parses only what is needed.
//!   `store`: the facts of one kind.
//! - `domain`: host and path of a request -> where it leads. `traefik`: the proxy's routes.
//! - `following`: one watch. `heartbeat`: measures the age of the index. `freshness`: what that age allows.

mod domain;
mod facts;
pub(crate) mod following;
pub(crate) mod freshness;
pub(crate) mod heartbeat;
mod partial;
mod pods;
mod sharing;
mod store;
pub(crate) mod traefik;
pub(crate) mod watch;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use api::workspace::{AccessType, Phase};
use arc_swap::{ArcSwap, Guard};
use rules::access::{Policy, Shared};
use tokio::sync::watch::{Receiver, Sender};

pub use self::domain::{Destination, Domain};
pub use self::following::Follower;
pub use self::freshness::Freshness;
pub use self::traefik::Routes;
pub use self::watch::feed;
use crate::site::Site;

/// The known facts of one workspace: enough to decide, to route and to explain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `metadata.uid`; a re-created workspace has another one.
    pub uid: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `spec.displayName`, if it differs from the name.
    pub display_name: Option<Box<str>>,
    /// Its host or folder for browsers.
    pub site: Site,
    /// Kubernetes user name of the owner, raw; empty without owner.
    pub owner: String,
    /// Who may connect: the effective value.
    pub access_type: AccessType,
    /// The subjects of its valid shares.
    pub shared: Arc<Shared>,
    /// The present run; empty before the first one.
    pub run_id: String,
    /// The phase that the operator reports.
    pub phase: Phase,
    /// Sentence for users about `phase`; may be empty.
    pub message: String,
    /// Further content of its page; `None` when there is none, for example while it runs.
    pub status_detail: Option<Arc<StatusDetail>>,
    /// Address of the ready pod, present only while the operator reports it and the pod has it.
    pub endpoint: Option<SocketAddr>,
}

impl Target {
    /// Its names for users: the display name that its owner set, and the name in its address.
    pub(crate) fn called(&self) -> String {
        match &self.display_name {
            Some(display_name) => format!("{display_name} ({})", self.name),
            None => self.name.clone(),
        }
    }

    /// Whether this user owns it.
    pub(crate) fn is_owned_by(&self, user: &str) -> bool {
        !self.owner.is_empty() && self.owner == user
    }

    /// Further content of its page.
    pub(crate) fn detail(&self) -> &StatusDetail {
        const NONE: &StatusDetail = &StatusDetail {
            reason: String::new(),
            since: None,
            started: false,
            stopped_when: None,
            files: String::new(),
            deletion: String::new(),
            in_recovery: false,
        };
        self.status_detail.as_deref().unwrap_or(NONE)
    }

    /// Whether the proxy may have a pod for a request.
    pub(crate) fn may_run(&self) -> bool {
        self.phase == Phase::Running || self.endpoint.is_some()
    }
}

#[cfg(test)]
impl Target {
    /// Alice's workspace `lab`, private, which runs but has no pod yet.
    pub(crate) fn lab() -> Self {
        Self {
            uid: "u".into(),
            namespace: "team".into(),
            name: "lab".into(),
            display_name: None,
            site: "lab.ws.example".into(),
            owner: "alice".into(),
            access_type: AccessType::OwnerOnly,
            shared: Arc::default(),
            run_id: String::new(),
            phase: Phase::Running,
            message: String::new(),
            status_detail: None,
            endpoint: None,
        }
    }
}

/// Content of the page of a workspace that does not run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusDetail {
    /// Reason of the condition that decided the phase.
    pub reason: String,
    /// Since when the workspace has been starting, Unix seconds; `None` in other phases.
    pub since: Option<i64>,
    /// Whether a container of this run has started.
    pub started: bool,
    /// When a rule stopped it, such as `after 30 min without use`, if one did.
    pub stopped_when: Option<String>,
    /// What becomes of its files, for users who may read the status; empty unless it stops or has stopped.
    pub files: String,
    /// When it is deleted, what becomes of its files and what prevents that, for users who may read the status; empty: it is not.
    pub deletion: String,
    /// Whether it starts in recovery, or cannot.
    pub in_recovery: bool,
}

/// What a gateway serves.
#[derive(Debug, Clone, Default)]
pub struct Served {
    /// The WorkspaceManager; `None`: the one default manager.
    pub manager: Option<String>,
    /// Whether it also serves the workspaces that the operator has not given a manager yet: in one namespace, where no manager is the
    /// cluster's default.
    pub is_alone: bool,
    /// Whether its domain has the portal's host.
    pub has_portal: bool,
    /// Namespaces in which the portal changes workspaces for users; `*` stands for all.
    pub portal_acts_in: Arc<[String]>,
}

/// The state of the index at one moment. Immutable: a change makes a new snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    domain: Option<Arc<Domain>>,
    policy: Policy,
    targets: HashMap<Site, Arc<Target>>,
}

impl Snapshot {
    /// `targets` are stored by site; of two at one site the first stays.
    pub fn new(domain: Option<Domain>, targets: impl IntoIterator<Item = impl Into<Arc<Target>>>) -> Self {
        let mut by_site = HashMap::new();
        for target in targets {
            let target = target.into();
            by_site.entry(target.site.clone()).or_insert(target);
        }
        Self {
            domain: domain.map(Arc::new),
            policy: Policy::default(),
            targets: by_site,
        }
    }

    /// The same with this policy instead of the default one.
    #[must_use]
    pub fn under(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// The manager's policy about access.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The domain served; `None` while no manager is known.
    pub fn domain(&self) -> Option<&Arc<Domain>> {
        self.domain.as_ref()
    }

    /// The workspace at a site.
    pub fn target(&self, site: &Site) -> Option<&Arc<Target>> {
        self.targets.get(site)
    }

    /// All workspaces, in no order.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.targets.values()
    }
}

/// The current snapshot, shared by all readers.
#[derive(Debug)]
pub struct Index {
    current: ArcSwap<Snapshot>,
    changes: Sender<u64>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            current: ArcSwap::default(),
            changes: Sender::new(0),
        }
    }
}

impl Index {
    /// An index that contains `snapshot` already.
    pub fn with(snapshot: Snapshot) -> Self {
        let index = Self::default();
        index.publish(snapshot);
        index
    }

    /// The current snapshot. Lock-free; hold it for one decision, not across waits.
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Counts published changes; 0 until the first snapshot was published.
    pub fn subscribe(&self) -> Receiver<u64> {
        self.changes.subscribe()
    }

    /// Replaces the snapshot and notifies subscribers. An equal snapshot notifies no subscriber (the first always does).
    pub fn publish(&self, snapshot: Snapshot) {
        let first = *self.changes.borrow() == 0;
        if !first && **self.current.load() == snapshot {
            return;
        }
        self.current.store(Arc::new(snapshot));
        self.changes.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_snapshots_are_not_published_except_the_first() {
        let index = Index::default();
        let mut changes = index.subscribe();
        assert_eq!(*changes.borrow_and_update(), 0);
        index.publish(Snapshot::default());
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        index.publish(Snapshot::default());
        assert!(!changes.has_changed().unwrap());
    }
}
