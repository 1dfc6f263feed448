//! Workspaces, shares and managers -> their facts -> a snapshot (pure).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use api::condition::PROGRESSING;
use api::workspace::{DesiredStatus, Phase};
use api::{Workspace, WorkspaceManager};
use kube::api::ObjectMeta;
use rules::access::Policy;
use rules::files::{Disks, Moment};
use rules::{expiry, stops};

use crate::index::partial::{Key, Projection};
use crate::index::pods::PodFacts;
use crate::index::sharing::{self, ShareFacts};
use crate::index::store::Store;
use crate::index::{Domain, Served, Snapshot, StatusDetail, Target};
use crate::site::Site;

/// The state from all watches, and the manager that this gateway serves.
#[derive(Debug, Default)]
pub(super) struct Observed {
    served: Served,
    serving: Option<(String, ManagerFacts)>,
    pub(super) managers: Store<ManagerFacts>,
    pub(super) workspaces: Store<WorkspaceFacts>,
    /// Shares that may be valid.
    pub(super) shares: Store<Arc<ShareFacts>>,
    pub(super) pods: Store<PodFacts>,
}

/// The used parts of a WorkspaceManager.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ManagerFacts {
    domain: Domain,
    is_default: bool,
    /// Whether the gateway authorizes requests to its workspaces. Otherwise it serves none of them.
    has_gateway: bool,
    policy: Policy,
    /// Name and spec, for the rules about shares.
    object: Arc<WorkspaceManager>,
}

/// The used parts of a Workspace.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WorkspaceFacts {
    /// Unix milliseconds.
    created: i64,
    /// The manager that routes to this workspace; `None` until the operator resolved it.
    manager: Option<String>,
    /// The pod that the operator reports as ready, and its address.
    endpoint: Option<(Key, SocketAddr)>,
    /// `site` is set once the domain is known, `shared` from the shares, `endpoint` from the pods.
    target: Arc<Target>,
    /// The inputs of `target.shared`; `None` until it was computed.
    shared_by: Option<sharing::ShareInputs>,
}

impl Observed {
    pub(super) fn new(served: Served) -> Self {
        Self {
            served,
            ..Self::default()
        }
    }

    /// Whether each kind was listed.
    pub(super) fn is_complete(&self) -> bool {
        self.workspaces.is_complete
            && self.managers.is_complete
            && self.shares.is_complete
            && self.pods.is_complete
    }

    /// Whether a list of workspaces, managers, shares and pods ended since the last call.
    pub(super) fn take_ended(&mut self) -> [bool; 4] {
        [
            &mut self.workspaces.has_ended,
            &mut self.managers.has_ended,
            &mut self.shares.has_ended,
            &mut self.pods.has_ended,
        ]
        .map(std::mem::take)
    }

    /// The snapshot of the present state. Of two workspaces at one site it contains the older.
    ///
    /// If the manager is deleted, or several managers call themselves the default, the served manager stays unchanged. Such a
    /// mistake must not move running workspaces to another domain or end every session.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        // Equal facts keep the same object. Shares use this to detect that they were already evaluated.
        if let Some(chosen) = self
            .choose()
            .filter(|chosen| self.serving.as_ref() != Some(chosen))
        {
            self.serving = Some(chosen);
        }
        let serves_unresolved = self.served.is_alone && self.served.manager.is_some();
        let serving = self.serving.as_ref().filter(|(_, manager)| manager.has_gateway);
        let Some((name, manager)) = serving else {
            return Snapshot::default();
        };
        let shares = sharing::by_workspace(self.shares.objects.values());
        let mut ours: Vec<&mut WorkspaceFacts> = self
            .workspaces
            .objects
            .values_mut()
            .filter(|workspace| match &workspace.manager {
                Some(manager) => manager == name,
                None => serves_unresolved || manager.is_default,
            })
            .collect();
        ours.sort_by(|a, b| (a.created, &a.target.uid).cmp(&(b.created, &b.target.uid)));
        let targets = ours.into_iter().map(|workspace| {
            let target = &workspace.target;
            let of_it = shares
                .get(&(target.namespace.as_str(), target.name.as_str()))
                .cloned();
            workspace.share(of_it.unwrap_or_default(), &manager.object);
            workspace.resolve_endpoint(&self.pods.objects);
            workspace.resolve(&manager.domain)
        });
        let domain = manager
            .domain
            .clone()
            .with_portal(self.served.has_portal)
            .with_portal_acting_in(Arc::clone(&self.served.portal_acts_in));
        Snapshot::new(Some(domain), targets).under(manager.policy.clone())
    }

    fn choose(&self) -> Option<(String, ManagerFacts)> {
        let named = |name: &String| {
            self.managers
                .objects
                .get(&(String::new(), name.clone()))
                .map(|facts| (name.clone(), facts.clone()))
        };
        if let Some(wanted) = &self.served.manager {
            return named(wanted);
        }
        let is_default = |facts: &ManagerFacts| facts.is_default && facts.has_gateway;
        let mut defaults = self
            .managers
            .objects
            .iter()
            .filter(|(_, facts)| is_default(facts));
        match (defaults.next(), defaults.next()) {
            (Some(((_, name), facts)), None) => Some((name.clone(), facts.clone())),
            _ => self.serving.as_ref().and_then(|(name, _)| named(name)),
        }
    }
}

impl Projection for ManagerFacts {
    type Object = WorkspaceManager;

    /// The kind of proxy does not matter.
    fn from_object(mut manager: WorkspaceManager) -> Option<Self> {
        let domain = Domain::from_routing(&manager.spec.routing);
        let has_gateway = manager.spec.authentication.gateway.is_some();
        let is_default = rules::managers::is_default(&manager);
        // The operator writes the status often, and it has no effect here.
        manager.status = None;
        manager.metadata = ObjectMeta {
            name: manager.metadata.name,
            ..ObjectMeta::default()
        };
        Some(Self {
            domain,
            is_default,
            has_gateway,
            policy: Policy::from_manager(&manager),
            object: Arc::new(manager),
        })
    }
}

impl Projection for WorkspaceFacts {
    type Object = Workspace;

    /// Owner and desired status come from the object itself, because they take effect at once. Resolved values and the pod's address come
    /// from the status, which only the operator writes.
    fn from_object(workspace: Workspace) -> Option<Self> {
        let owner = api::names::owner(&workspace.metadata)
            .unwrap_or_default()
            .to_owned();
        let phase = explain::progress::phase(&workspace);
        let status_detail = (phase != Phase::Running)
            .then(|| status_detail(&workspace, phase))
            .filter(|status_detail| *status_detail != StatusDetail::default());
        let access_type = rules::access::access_type(&workspace);
        let mut status = workspace.status.unwrap_or_default();
        let resolved = status.resolved.take().unwrap_or_default();
        let deleting = workspace.metadata.deletion_timestamp.is_some();
        let created = workspace.metadata.creation_timestamp.as_ref();
        let stopping = workspace.spec.desired_status == DesiredStatus::Stopped;
        let endpoint = status
            .endpoint
            .take()
            .and_then(|endpoint| Some((endpoint.pod_name, address(&endpoint.pod_ip, endpoint.port)?)));
        let name = workspace.metadata.name.unwrap_or_default();
        let namespace = workspace.metadata.namespace.unwrap_or_default();
        let endpoint = endpoint.filter(|_| !deleting && !stopping);
        Some(Self {
            created: created.map_or(i64::MAX, |time| time.0.as_millisecond()),
            manager: resolved.manager.or(workspace.spec.manager_ref),
            shared_by: None,
            endpoint: endpoint.map(|(pod, address)| ((namespace.clone(), pod), address)),
            target: Arc::new(Target {
                uid: workspace.metadata.uid.unwrap_or_default(),
                namespace,
                display_name: Some(workspace.spec.display_name)
                    .filter(|display_name| *display_name != name)
                    .map(String::into_boxed_str),
                name,
                site: Site::from(""),
                owner,
                access_type,
                shared: Arc::default(),
                run_id: status.run_id.unwrap_or_default(),
                phase,
                message: status.message.unwrap_or_default(),
                status_detail: status_detail.map(Arc::new),
                endpoint: None,
            }),
        })
    }
}

impl WorkspaceFacts {
    /// Whether the same owner reaches the same pod.
    #[cfg(test)]
    pub(super) fn leads_as(&self, other: &Self) -> bool {
        let of = |facts: &Self| {
            (
                facts.target.owner.clone(),
                facts.target.endpoint,
                facts.manager.clone(),
                facts.target.phase,
            )
        };
        of(self) == of(other)
    }

    /// Computes the subjects of these shares, unless they are unchanged: a snapshot is made at every change.
    fn share(&mut self, shares: Vec<&Arc<ShareFacts>>, manager: &Arc<WorkspaceManager>) {
        if shares.is_empty() && self.shared_by.is_none()
            || self
                .shared_by
                .as_ref()
                .is_some_and(|source| source.is(&shares, manager))
        {
            return;
        }
        let subjects = sharing::valid_subjects(&shares, &self.target, manager);
        self.target = Arc::new(Target {
            shared: Arc::new(subjects),
            ..Target::clone(&self.target)
        });
        self.shared_by = Some(sharing::ShareInputs::new(shares, manager));
    }

    /// Sets the pod's address, if the pod exists and has the address that the operator reports.
    fn resolve_endpoint(&mut self, pods: &HashMap<Key, PodFacts>) {
        let endpoint = self.endpoint.as_ref().and_then(|(pod, address)| {
            let is_there = pods.get(pod)?.has(&self.target.name, address.ip());
            is_there.then_some(*address)
        });
        if self.target.endpoint != endpoint {
            self.target = Arc::new(Target {
                endpoint,
                ..Target::clone(&self.target)
            });
        }
    }

    /// The target with its site in `domain`. Computed once, because a snapshot is made at every change.
    fn resolve(&mut self, domain: &Domain) -> Arc<Target> {
        if !domain.covers(&self.target.site) {
            let target = &self.target;
            self.target = Arc::new(Target {
                site: domain.site(&target.namespace, &target.name, &target.uid),
                ..Target::clone(target)
            });
        }
        Arc::clone(&self.target)
    }
}

/// What becomes of the files of a workspace that stops or has stopped.
fn files(workspace: &Workspace, phase: Phase) -> String {
    let moment = match phase {
        Phase::Stopping => Moment::Stop,
        Phase::Stopped => Moment::Stopped,
        _ => return String::new(),
    };
    Disks::from_workspace(workspace).fate(moment).sentence()
}

/// When a stopped workspace is deleted.
fn deletion(workspace: &Workspace, phase: Phase) -> String {
    let status = workspace.status.as_ref().filter(|_| phase == Phase::Stopped);
    let name = workspace.metadata.name.as_deref().unwrap_or_default();
    status
        .and_then(|status| expiry::notice(name, status))
        .unwrap_or_default()
}

/// What a page shows beside the phase.
fn status_detail(workspace: &Workspace, phase: Phase) -> StatusDetail {
    let status = workspace.status.as_ref();
    let of_phase = status.filter(|status| status.phase == Some(phase));
    let mut conditions = status.into_iter().flat_map(|status| &status.conditions);
    let progressing = conditions.find(|it| it.type_ == PROGRESSING && it.status == "True");
    let is_new = status.is_none_or(|status| status.phase.is_none());
    let created = workspace.metadata.creation_timestamp.as_ref();
    let since = progressing
        .map(|condition| &condition.last_transition_time)
        .or_else(|| created.filter(|_| is_new));
    let because = status
        .and_then(|status| status.stopped_because.as_ref())
        .filter(|_| phase == Phase::Stopped);
    let resolved = status.and_then(|status| status.resolved.as_ref());
    StatusDetail {
        reason: of_phase.and_then(|it| it.reason.clone()).unwrap_or_default(),
        since: since
            .filter(|_| phase == Phase::Starting)
            .map(|time| time.0.as_second()),
        started: of_phase.is_some_and(|status| status.started_at.is_some()),
        stopped_when: because.map(|because| stops::when(because.rule, resolved)),
        files: files(workspace, phase),
        deletion: deletion(workspace, phase),
        in_recovery: matches!(phase, Phase::Starting | Phase::Failed) && workspace.is_in_recovery(),
    }
}

/// The pod's address. Addresses that can never be a pod's are refused. Otherwise a forged status could direct the proxy to itself
/// or to a node's metadata service.
fn address(ip: &str, port: i32) -> Option<SocketAddr> {
    let ip: IpAddr = ip.parse().ok()?;
    let forbidden = ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || match ip {
            IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
            IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.to_ipv4_mapped().is_some(),
        };
    let port = u16::try_from(port).ok().filter(|port| *port >= 1024)?;
    (!forbidden).then_some(SocketAddr::new(ip, port))
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
