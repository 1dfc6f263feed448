//! Workspaces, shares and their managers -> the few facts kept of each -> a snapshot (pure).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use api::condition::PROGRESSING;
use api::workspace::{DesiredStatus, Phase, Resolved, StopRule};
use api::{Workspace, WorkspaceManager, WorkspaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;
use rules::access::Policy;

use crate::index::sharing::{self, ShareFacts};
use crate::index::{Domain, Site, Snapshot, Story, Target};

/// `(namespace, name)`; the namespace of a manager is empty.
pub(super) type Key = (String, String);

/// Everything that the watches have told, and the manager that this gateway serves.
#[derive(Debug, Default)]
pub(super) struct World {
    wanted: Option<String>,
    serving: Option<(String, ManagerFacts)>,
    managers: HashMap<Key, ManagerFacts>,
    workspaces: HashMap<Key, WorkspaceFacts>,
    shares: HashMap<Key, Arc<ShareFacts>>,
}

/// What is kept of a WorkspaceManager.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ManagerFacts {
    domain: Domain,
    is_default: bool,
    policy: Policy,
    /// Name and spec, for what they say about shares.
    object: Arc<WorkspaceManager>,
}

/// What is kept of a Workspace.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WorkspaceFacts {
    /// Unix milliseconds.
    created: i64,
    /// The manager that routes here; `None` until that is resolved.
    manager: Option<String>,
    /// `site` is filled in as soon as the domain is known, `shared` from the shares.
    target: Arc<Target>,
    /// What `target.shared` was made from; `None` until it was.
    shared_by: Option<sharing::Source>,
}

impl World {
    /// `wanted`: the manager to serve; `None`: the one default manager.
    pub(super) fn new(wanted: Option<String>) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// All managers, known by key.
    pub(super) fn managers(&mut self) -> &mut HashMap<Key, ManagerFacts> {
        &mut self.managers
    }

    /// All workspaces, known by key.
    pub(super) fn workspaces(&mut self) -> &mut HashMap<Key, WorkspaceFacts> {
        &mut self.workspaces
    }

    /// All shares that may count, known by key.
    pub(super) fn shares(&mut self) -> &mut HashMap<Key, Arc<ShareFacts>> {
        &mut self.shares
    }

    /// The picture of this moment. Of two workspaces at one site the older is in it.
    ///
    /// A manager that is gone, or one of several that call themselves the default, leaves what was served as it is: such
    /// a slip must not move running workspaces to another domain or end every session.
    pub(super) fn snapshot(&mut self) -> Snapshot {
        // Equal facts stay the same object: by it shares know that they were judged.
        if let Some(chosen) = self
            .choose()
            .filter(|chosen| self.serving.as_ref() != Some(chosen))
        {
            self.serving = Some(chosen);
        }
        let Some((name, manager)) = &self.serving else {
            return Snapshot::default();
        };
        let shares = sharing::by_workspace(self.shares.values());
        let mut ours: Vec<&mut WorkspaceFacts> = self
            .workspaces
            .values_mut()
            .filter(|workspace| match &workspace.manager {
                Some(manager) => manager == name,
                None => manager.is_default,
            })
            .collect();
        ours.sort_by(|a, b| (a.created, &a.target.uid).cmp(&(b.created, &b.target.uid)));
        let targets = ours.into_iter().map(|workspace| {
            let target = &workspace.target;
            let of_it = shares
                .get(&(target.namespace.as_str(), target.name.as_str()))
                .cloned();
            workspace.share(of_it.unwrap_or_default(), &manager.object);
            workspace.placed_in(&manager.domain)
        });
        Snapshot::new(Some(manager.domain.clone()), targets).under(manager.policy.clone())
    }

    fn choose(&self) -> Option<(String, ManagerFacts)> {
        let named = |name: &String| {
            self.managers
                .get(&(String::new(), name.clone()))
                .map(|facts| (name.clone(), facts.clone()))
        };
        if let Some(wanted) = &self.wanted {
            return named(wanted);
        }
        let mut defaults = self.managers.iter().filter(|(_, facts)| facts.is_default);
        match (defaults.next(), defaults.next()) {
            (Some(((_, name), facts)), None) => Some((name.clone(), facts.clone())),
            _ => self.serving.as_ref().and_then(|(name, _)| named(name)),
        }
    }
}

impl ManagerFacts {
    /// `None` for a manager whose authentication is not this gateway's business. Which proxy asks is no matter.
    pub(super) fn of(mut manager: WorkspaceManager) -> Option<Self> {
        let routing = &manager.spec.routing;
        manager.spec.authentication.gateway.as_ref()?;
        let domain = Domain::of(routing);
        let is_default = rules::managers::is_default(&manager);
        // The operator writes the status often, and that changes nothing here.
        manager.status = None;
        manager.metadata = ObjectMeta {
            name: manager.metadata.name,
            ..ObjectMeta::default()
        };
        Some(Self {
            domain,
            is_default,
            policy: Policy::of(&manager),
            object: Arc::new(manager),
        })
    }
}

impl WorkspaceFacts {
    /// Owner and wish come from the object itself, because they count at once; what was resolved and the pod's address
    /// come from the status, which only the operator writes.
    pub(super) fn of(workspace: Workspace) -> Self {
        let owner = api::names::owner(&workspace.metadata)
            .unwrap_or_default()
            .to_owned();
        let mut status = workspace.status.unwrap_or_default();
        let judged = status.observed_generation == workspace.metadata.generation;
        let resolved = status.resolved.take().unwrap_or_default();
        let deleting = workspace.metadata.deletion_timestamp.is_some();
        let created = workspace.metadata.creation_timestamp.as_ref();
        let stopping = workspace.spec.desired_status == DesiredStatus::Stopped;
        let endpoint = status
            .endpoint
            .take()
            .and_then(|endpoint| address(&endpoint.pod_ip, endpoint.port));
        let phase = match status.phase {
            _ if deleting => Phase::Deleting,
            Some(Phase::Running) | None if stopping => Phase::Stopping,
            // Somebody has just started it.
            Some(Phase::Stopped) if !stopping && !judged => Phase::Starting,
            Some(phase) => phase,
            None => Phase::Starting,
        };
        let story = (phase != Phase::Running)
            .then(|| story(&mut status, &resolved, phase, created))
            .filter(|story| *story != Story::default());
        Self {
            created: created.map_or(i64::MAX, |time| time.0.as_millisecond()),
            manager: resolved.manager.or(workspace.spec.manager_ref),
            shared_by: None,
            target: Arc::new(Target {
                uid: workspace.metadata.uid.unwrap_or_default(),
                namespace: workspace.metadata.namespace.unwrap_or_default(),
                name: workspace.metadata.name.unwrap_or_default(),
                site: Site::from(""),
                owner,
                // What a template grants counts only if the operator has judged this very spec.
                access_type: workspace
                    .spec
                    .access_type
                    .or_else(|| resolved.access_type.filter(|_| judged))
                    .unwrap_or_default(),
                shared: Arc::default(),
                run_id: status.run_id.unwrap_or_default(),
                phase,
                message: status.message.unwrap_or_default(),
                story: story.map(Arc::new),
                endpoint: endpoint.filter(|_| !deleting && !stopping),
            }),
        }
    }

    /// Takes in who is meant by these shares, unless that was done before: a snapshot is made at every change.
    fn share(&mut self, shares: Vec<&Arc<ShareFacts>>, manager: &Arc<WorkspaceManager>) {
        if shares.is_empty() && self.shared_by.is_none()
            || self
                .shared_by
                .as_ref()
                .is_some_and(|source| source.is(&shares, manager))
        {
            return;
        }
        let guests = sharing::shared(&shares, &self.target, manager);
        self.target = Arc::new(Target {
            shared: Arc::new(guests),
            ..Target::clone(&self.target)
        });
        self.shared_by = Some(sharing::Source::new(shares, manager));
    }

    /// The target with its site in `domain`; computed once, because a snapshot is made at every change.
    fn placed_in(&mut self, domain: &Domain) -> Arc<Target> {
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

/// What a page tells beside the phase. Takes what it tells out of the status.
fn story(status: &mut WorkspaceStatus, resolved: &Resolved, phase: Phase, created: Option<&Time>) -> Story {
    let is_of_phase = status.phase == Some(phase);
    let progressing = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == PROGRESSING && condition.status == "True");
    let since = match progressing {
        Some(condition) => Some(condition.last_transition_time.0.as_second()),
        None => created
            .filter(|_| status.phase.is_none())
            .map(|time| time.0.as_second()),
    };
    let idle = status.stopped_because.as_ref().map(|because| match because.rule {
        StopRule::Idle => resolved.idle_timeout_in_minutes,
    });
    Story {
        reason: status.reason.take().filter(|_| is_of_phase).unwrap_or_default(),
        since: since.filter(|_| phase == Phase::Starting),
        started: is_of_phase && status.started_at.is_some(),
        idle: idle.filter(|_| phase == Phase::Stopped),
    }
}

/// The pod's address. Addresses that can never be a pod's are refused, so that a bent status cannot turn the proxy
/// against itself or a node's metadata service.
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
mod tests {
    use serde_json::json;

    use super::*;
    use api::names::IS_DEFAULT;

    fn workspace(name: &str, change: impl FnOnce(&mut serde_json::Value)) -> (Key, WorkspaceFacts) {
        let mut object = json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1",
            "kind": "Workspace",
            "metadata": {
                "name": name,
                "namespace": "team",
                "uid": format!("uid-of-{name}"),
                "creationTimestamp": "2026-01-02T03:04:05Z",
                "annotations": {api::names::CREATED_BY: "alice"},
            },
            "spec": {"displayName": name},
            "status": {
                "phase": "Running",
                "endpoint": {"podName": "p", "podIP": "10.244.0.7", "port": 8888},
                "resolved": {"manager": "main", "accessType": "Public"},
            },
        });
        change(&mut object);
        let object: Workspace = serde_json::from_value(object).unwrap();
        (("team".into(), name.into()), WorkspaceFacts::of(object))
    }

    fn manager(name: &str, base: &str, is_default: bool) -> (Key, ManagerFacts) {
        let object: WorkspaceManager = serde_json::from_value(json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1",
            "kind": "WorkspaceManager",
            "metadata": {"name": name, "annotations": {IS_DEFAULT: is_default.to_string()}},
            "spec": {"routing": {"baseDomain": base, "port": 8443, "traefik": {}}, "authentication": {"gateway": {}}},
        }))
        .unwrap();
        ((String::new(), name.into()), ManagerFacts::of(object).unwrap())
    }

    fn world(managers: impl IntoIterator<Item = (Key, ManagerFacts)>) -> World {
        let mut world = World::new(None);
        world.managers().extend(managers);
        world
    }

    fn only(snapshot: &Snapshot) -> Arc<Target> {
        let mut targets = snapshot.targets();
        let target = targets.next().unwrap();
        assert!(targets.next().is_none(), "more than one target");
        Arc::clone(target)
    }

    #[test]
    fn a_running_workspace_is_found_by_its_host_with_owner_access_and_address() {
        let mut world = world([manager("main", "ws.example", true)]);
        world.workspaces().extend([workspace("lab", |_| ())]);
        let snapshot = world.snapshot();
        let target = only(&snapshot);
        assert_eq!(target.owner, "alice");
        assert_eq!(target.access_type, api::workspace::AccessType::Public);
        assert_eq!(target.endpoint, Some("10.244.0.7:8888".parse().unwrap()));
        assert_eq!(target.phase, Phase::Running);
        assert!(target.site.host().ends_with(".ws.example"));
        assert_eq!(snapshot.target(&target.site), Some(&target));
    }

    #[test]
    fn a_wish_to_stop_or_a_deletion_takes_the_address_away_before_the_operator_acts() {
        for (change, phase) in [
            (json!({"spec": {"desiredStatus": "Stopped"}}), Phase::Stopping),
            (
                json!({"metadata": {"deletionTimestamp": "2026-01-02T03:04:06Z"}}),
                Phase::Deleting,
            ),
        ] {
            let mut world = world([manager("main", "ws.example", true)]);
            world
                .workspaces()
                .extend([workspace("lab", |object| json_patch_merge(object, &change))]);
            let target = only(&world.snapshot());
            assert_eq!((target.endpoint, target.phase), (None, phase));
        }
    }

    #[test]
    fn access_that_a_template_granted_ends_with_the_next_change_until_the_operator_has_judged_it() {
        let mut world = world([manager("main", "ws.example", true)]);
        let change = json!({"metadata": {"generation": 8}, "status": {"observedGeneration": 7}});
        world
            .workspaces()
            .extend([workspace("lab", |object| json_patch_merge(object, &change))]);
        assert_eq!(
            only(&world.snapshot()).access_type,
            api::workspace::AccessType::OwnerOnly
        );
    }

    #[test]
    fn the_access_type_written_in_the_spec_counts_before_the_resolved_one() {
        let mut world = world([manager("main", "ws.example", true)]);
        let change = json!({"spec": {"accessType": "OwnerOnly"}});
        world
            .workspaces()
            .extend([workspace("lab", |object| json_patch_merge(object, &change))]);
        assert_eq!(
            only(&world.snapshot()).access_type,
            api::workspace::AccessType::OwnerOnly
        );
    }

    #[test]
    fn addresses_that_are_never_a_pods_are_not_routed_to() {
        for (ip, port) in [
            ("127.0.0.1", 8888),
            ("::1", 8888),
            ("::ffff:127.0.0.1", 8888),
            ("0.0.0.0", 8888),
            ("169.254.169.254", 8888),
            ("fe80::1", 8888),
            ("224.0.0.1", 8888),
            ("localhost", 8888),
            ("10.0.0.1", 80),
            ("10.0.0.1", 70_000),
            ("10.0.0.1", -1),
        ] {
            assert_eq!(address(ip, port), None, "{ip} {port}");
        }
        assert_eq!(address("fd00::7", 8888), Some("[fd00::7]:8888".parse().unwrap()));
    }

    #[test]
    fn a_proxy_with_routes_of_its_own_may_ask_too_but_not_for_managers_that_ask_somebody_else() {
        let of = |authentication: serde_json::Value| {
            let manager = json!({
                "metadata": {"name": "own"},
                "spec": {
                    "routing": {"baseDomain": "own.example", "custom": {"resources": []}},
                    "authentication": authentication,
                },
            });
            ManagerFacts::of(serde_json::from_value(manager).unwrap())
        };
        assert_eq!(of(json!({"gateway": {}})).unwrap().domain.base(), "own.example");
        assert_eq!(of(json!({"forwardAuth": {"address": "http://auth"}})), None);
        assert_eq!(of(json!({"none": {}})), None);
    }

    #[test]
    fn workspaces_of_another_manager_are_not_served() {
        let mut world = world([
            manager("main", "ws.example", true),
            manager("other", "other.example", false),
        ]);
        let change = json!({"status": {"resolved": {"manager": "other"}}});
        world
            .workspaces()
            .extend([workspace("lab", |object| json_patch_merge(object, &change))]);
        assert_eq!(world.snapshot().targets().count(), 0);
        world.wanted = Some("other".into());
        assert!(only(&world.snapshot()).site.host().ends_with(".other.example"));
    }

    #[test]
    fn a_second_default_or_a_missing_manager_moves_nothing_that_is_served() {
        let mut ambiguous = world([
            manager("main", "ws.example", true),
            manager("other", "other.example", true),
        ]);
        assert_eq!(ambiguous.snapshot().domain(), None);
        ambiguous.managers().remove(&(String::new(), "other".into()));
        assert_eq!(ambiguous.snapshot().domain().unwrap().base(), "ws.example");
        ambiguous
            .managers()
            .extend([manager("other", "other.example", true)]);
        assert_eq!(ambiguous.snapshot().domain().unwrap().base(), "ws.example");
        ambiguous.managers().clear();
        assert_eq!(ambiguous.snapshot().domain().unwrap().base(), "ws.example");
    }

    #[test]
    fn a_changed_base_domain_moves_every_host() {
        let mut world = world([manager("main", "a.ws.example", true)]);
        world.workspaces().extend([workspace("lab", |_| ())]);
        world.snapshot();
        world.managers().extend([manager("main", "ws.example", true)]);
        let target = only(&world.snapshot());
        assert_eq!(target.site.host().split_once('.').unwrap().1, "ws.example");
    }

    fn share(name: &str, change: &serde_json::Value) -> (Key, Arc<ShareFacts>) {
        let mut object = json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1",
            "kind": "WorkspaceShare",
            "metadata": {
                "name": name, "namespace": "team", "creationTimestamp": "2026-01-02T03:04:05Z",
                "annotations": {api::names::CREATED_BY: "alice"},
            },
            "spec": {
                "workspaceRef": "lab", "workspaceUID": "uid-of-lab",
                "subjects": [{"kind": "User", "name": "bob"}],
            },
            "status": {"conditions": [{
                "type": "Active", "status": "True", "reason": "Shared", "message": "",
                "lastTransitionTime": "2026-01-02T03:04:05Z",
            }]},
        });
        json_patch_merge(&mut object, change);
        let object = serde_json::from_value(object).unwrap();
        (
            ("team".into(), name.into()),
            Arc::new(ShareFacts::of(object).unwrap()),
        )
    }

    /// Who of bob and the group ml is let in by shares of the one workspace at `now`.
    fn guests(world: &mut World, now: i64) -> (bool, bool) {
        let target = only(&world.snapshot());
        let policy = Policy::default();
        let lets_in = |user: &str, groups: &[String]| {
            let person = rules::access::Person { user, groups };
            let facts = rules::access::Facts {
                owner: &target.owner,
                access: api::workspace::AccessType::OwnerOnly,
                shared: &target.shared,
            };
            let right = || rules::access::Right::Missing;
            let decision = rules::access::connect(person, facts, &policy, right, now);
            matches!(decision, rules::access::Decision::Allow(_))
        };
        (lets_in("bob", &[]), lets_in("eve", &["ml".to_owned()]))
    }

    fn shared_world(shares: impl IntoIterator<Item = (Key, Arc<ShareFacts>)>) -> World {
        let mut world = world([manager("main", "ws.example", true)]);
        world.workspaces().extend([workspace("lab", |_| ())]);
        world.shares().extend(shares);
        world
    }

    #[test]
    fn a_share_lets_its_subjects_in_until_its_end_and_as_long_as_it_is_there() {
        let ends = json!({"spec": {"expiresAt": "2026-01-03T00:00:00Z"}});
        let to_group = json!({"spec": {"subjects": [{"kind": "Group", "name": "ml"}]}});
        let end = 1_767_398_400;
        let mut world = shared_world([share("s", &ends), share("g", &to_group)]);
        assert_eq!(guests(&mut world, end - 1), (true, true));
        assert_eq!(guests(&mut world, end), (false, true));
        world.shares().remove(&("team".into(), "g".into()));
        assert_eq!(guests(&mut world, end - 1), (true, false));
        world.shares().clear();
        assert_eq!(guests(&mut world, end - 1), (false, false));
    }

    #[test]
    fn a_share_of_another_workspace_of_the_name_of_an_earlier_owner_or_of_a_deleted_one_lets_nobody_in() {
        for change in [
            json!({"metadata": {"uid": "uid-of-a-later-one"}}),
            json!({"metadata": {"annotations": {api::names::CREATED_BY: "carol"}}}),
            json!({"metadata": {"annotations": {api::names::CREATED_BY: ""}}}),
            json!({"metadata": {"deletionTimestamp": "2026-01-02T03:04:06Z"}}),
        ] {
            let mut world = shared_world([share("s", &json!({}))]);
            assert_eq!(guests(&mut world, 0), (true, false));
            let changed = workspace("lab", |object| json_patch_merge(object, &change));
            world.workspaces().extend([changed]);
            assert_eq!(guests(&mut world, 0), (false, false), "{change}");
        }
    }

    #[test]
    fn a_share_that_the_operator_does_not_call_active_lets_nobody_in() {
        for change in [
            json!({"status": {"conditions": []}}),
            json!({"status": null}),
            json!({"spec": {"workspaceUID": null}}),
            json!({"metadata": {"deletionTimestamp": "2026-01-02T03:04:06Z"}}),
        ] {
            let mut object = serde_json::to_value(&share("s", &json!({})).1.object).unwrap();
            object["status"] = json!({"conditions": [{
                "type": "Active", "status": "True", "reason": "Shared", "message": "",
                "lastTransitionTime": "2026-01-02T03:04:05Z",
            }]});
            json_patch_merge(&mut object, &change);
            let facts = ShareFacts::of(serde_json::from_value(object).unwrap());
            assert!(facts.is_none(), "{change}");
        }
    }

    #[test]
    fn the_manager_s_bounds_count_for_shares_that_are_there() {
        let mut world = shared_world([share("s", &json!({}))]);
        assert_eq!(guests(&mut world, 0), (true, false));
        let mut object: WorkspaceManager =
            WorkspaceManager::clone(&world.managers().values().next().unwrap().object);
        let sharing = api::manager::Sharing {
            enabled: false,
            ..api::manager::Sharing::default()
        };
        object.spec.authorization = Some(api::manager::Authorization {
            sharing: Some(sharing),
            ..api::manager::Authorization::default()
        });
        let key = (String::new(), "main".into());
        world.managers().insert(key, ManagerFacts::of(object).unwrap());
        assert_eq!(guests(&mut world, 0), (false, false));
    }

    #[test]
    fn a_manager_whose_spec_stays_the_same_makes_no_share_be_judged_again() {
        let mut world = shared_world([share("s", &json!({}))]);
        let mut written = |version: &str| {
            let mut object = testkit::objects::manager("main");
            object.metadata.resource_version = Some(version.into());
            object.metadata.generation = version.parse().ok();
            object.status = Some(api::manager::WorkspaceManagerStatus {
                workspaces: version.parse().ok(),
                ..Default::default()
            });
            let key = (String::new(), "main".into());
            world.managers().insert(key, ManagerFacts::of(object).unwrap());
            only(&world.snapshot())
        };
        let before = written("1");
        assert!(Arc::ptr_eq(&before, &written("2")));
    }

    fn json_patch_merge(object: &mut serde_json::Value, change: &serde_json::Value) {
        match (object, change) {
            (serde_json::Value::Object(object), serde_json::Value::Object(change)) => {
                for (key, value) in change {
                    json_patch_merge(object.entry(key).or_insert(serde_json::Value::Null), value);
                }
            }
            (object, change) => *object = change.clone(),
        }
    }
}
