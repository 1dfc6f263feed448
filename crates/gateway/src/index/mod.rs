//! watched Workspaces, shares and managers -> a snapshot by host, read without locks (pure).
//!
//! - `watch`: watches -> `facts` of each object; `sharing` of shares, `pods` of pods. `partial`: parses only what is needed.
//! - `traefik`: the proxy's routes.
//! - `following`: one watch. `heartbeat`: measures the age of the index. `freshness`: what that age allows.

mod facts;
pub mod following;
pub mod freshness;
pub(crate) mod heartbeat;
mod partial;
mod pods;
mod sharing;
pub mod traefik;
pub(crate) mod watch;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use api::manager::{Routing, RoutingMode};
use api::workspace::{AccessType, Phase};
use arc_swap::{ArcSwap, Guard};
use rules::access::{Policy, Shared};
use tokio::sync::watch::{Receiver, Sender};

pub use self::watch::feed;
use crate::site::{self, Folder, Site};

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
    /// Stopped because it was idle; the inner value is the allowed number of minutes, if known.
    pub idle: Option<Option<i32>>,
}

/// The domain that the gateway serves, from the WorkspaceManager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    base: String,
    port: u16,
    mode: RoutingMode,
}

/// What a request's authority and path lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `auth.<base>`.
    Auth,
    /// The site of a workspace, which may not exist.
    Workspace(Site),
    /// The folder of a workspace without the `/` at the end of its name.
    Folder(Site),
    /// The shared host of all workspaces, outside every workspace's folder.
    Nowhere,
    /// The shared host of all workspaces, and a path that servers may read in more than one way.
    Unclear,
    /// Any other authority. This includes the bare base domain, unless workspaces have folders there.
    Outside,
}

impl Domain {
    /// `base`: domain name; `port`: the port that browsers use (443 is omitted from URLs).
    pub fn new(base: &str, port: u16) -> Self {
        Self {
            base: base.trim_end_matches('.').to_ascii_lowercase(),
            port,
            mode: RoutingMode::Subdomain,
        }
    }

    /// The domain in a manager's routing.
    pub fn of(routing: &Routing) -> Self {
        Self::new(&routing.base_domain, routing.external_port()).in_mode(routing.mode)
    }

    /// The same domain in another mode.
    #[must_use]
    pub fn in_mode(self, mode: RoutingMode) -> Self {
        Self { mode, ..self }
    }

    /// Whether workspaces have hosts or folders.
    pub fn mode(&self) -> RoutingMode {
        self.mode
    }

    /// The site of a workspace.
    pub fn site(&self, namespace: &str, name: &str, uid: &str) -> Site {
        match self.mode {
            RoutingMode::Subdomain => rules::names::host(namespace, name, uid, &self.base).into(),
            RoutingMode::Path => (self.base.clone() + &rules::names::folder(namespace, name)).into(),
        }
    }

    /// Whether a site made by [`Domain::site`] belongs to this domain.
    pub(crate) fn covers(&self, site: &Site) -> bool {
        let (host, is_folder) = (site.host(), !site.prefix().is_empty());
        match self.mode {
            RoutingMode::Subdomain => {
                !is_folder && host.split_once('.').is_some_and(|(_, base)| base == self.base)
            }
            RoutingMode::Path => is_folder && host == self.base,
        }
    }

    /// Base domain in lower case, without port.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Port that browsers use.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `auth.<base>`, without port.
    pub fn auth_host(&self) -> String {
        format!("auth.{}", self.base)
    }

    /// `https://auth.<base>`, with the port unless it is 443.
    pub fn auth_origin(&self) -> String {
        self.origin(&self.auth_host())
    }

    /// `https://<host>` of a site, with the port unless it is 443.
    pub fn origin_of(&self, site: &Site) -> String {
        self.origin(site.host())
    }

    /// URL of a site without a final `/`: the prefix of the workspace's own paths.
    pub fn address(&self, site: &Site) -> String {
        self.origin_of(site) + site.prefix()
    }

    /// `https://<host>`, with the port unless it is 443. `host` comes without port.
    pub fn origin(&self, host: &str) -> String {
        match self.port {
            443 => format!("https://{host}"),
            port => format!("https://{host}:{port}"),
        }
    }

    /// Whether a workspace may be at this site.
    pub fn has(&self, site: &Site) -> bool {
        let origin = self.origin_of(site);
        let folder = format!("{}/", site.prefix());
        self.destination(origin.trim_start_matches("https://"), &folder)
            == Destination::Workspace(site.clone())
    }

    /// Classifies a request by its authority (`host` or `host:port`, as in a Host header) and its path with or without query, not
    /// decoded. Another port than the domain's is outside.
    pub fn destination(&self, authority: &str, uri: &str) -> Destination {
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port_of(port)),
            None => (authority, Some(443)),
        };
        if port != Some(self.port) {
            return Destination::Outside;
        }
        let host = host.to_ascii_lowercase();
        if self.mode == RoutingMode::Path && host == self.base {
            return match site::folder(&host, uri) {
                Folder::In(site) => Destination::Workspace(site),
                Folder::At(site) => Destination::Folder(site),
                Folder::Outside => Destination::Nowhere,
                Folder::Unclear => Destination::Unclear,
            };
        }
        let Some(label) = host
            .strip_suffix(&self.base)
            .and_then(|rest| rest.strip_suffix('.'))
        else {
            return Destination::Outside;
        };
        match label {
            "auth" => Destination::Auth,
            "" => Destination::Outside,
            // Browsers interpret other characters specially: `#` ends a host, `%2e` is a dot.
            label if !site::is_name(label) || self.mode == RoutingMode::Path => Destination::Outside,
            _ => Destination::Workspace(host.into()),
        }
    }
}

/// A port in its usual form: without sign and leading zeros.
fn port_of(text: &str) -> Option<u16> {
    let plain = text.starts_with(|first| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| plain)
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
    fn places_exactly_one_label_under_the_base_domain() {
        let domain = Domain::new("Workspaces.Example.", 8443);
        assert_eq!(
            domain.destination("auth.workspaces.example:8443", "/"),
            Destination::Auth
        );
        assert_eq!(
            domain.destination("WS1.workspaces.example:8443", "/"),
            Destination::Workspace("ws1.workspaces.example".into())
        );
        for outside in [
            "workspaces.example:8443",
            "a.b.workspaces.example:8443",
            "ws1workspaces.example:8443",
            "ws1.workspaces.example",
            "ws1.workspaces.example:443",
            "ws1.workspaces.example:08443",
            "ws1.workspaces.example:+8443",
            "ws1.workspaces.example.:8443",
            ".workspaces.example:8443",
            "ws1.workspaces.example.evil.example:8443",
            "evil%2eexample#.workspaces.example:8443",
            "evil%2eexample?.workspaces.example:8443",
            "evil%2eexample\\.workspaces.example:8443",
            "evil%2eexample/.workspaces.example:8443",
            "user@ws1.workspaces.example:8443",
            "ws_1.workspaces.example:8443",
            "",
            ":8443",
        ] {
            assert_eq!(
                domain.destination(outside, "/"),
                Destination::Outside,
                "{outside}"
            );
        }
    }

    #[test]
    fn default_port_is_left_out_of_origins_and_authorities() {
        let domain = Domain::new("ws.example", 443);
        assert_eq!(domain.auth_origin(), "https://auth.ws.example");
        assert_eq!(domain.destination("auth.ws.example", "/"), Destination::Auth);
        assert_eq!(domain.destination("auth.ws.example:443", "/"), Destination::Auth);
        assert_eq!(
            Domain::new("ws.example", 8443).auth_origin(),
            "https://auth.ws.example:8443"
        );
    }

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
