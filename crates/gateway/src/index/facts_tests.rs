//! Facts of workspaces, shares and managers, and the snapshot made of them.

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
    (
        ("team".into(), name.into()),
        WorkspaceFacts::from_object(object).unwrap(),
    )
}

fn manager(name: &str, base: &str, is_default: bool) -> (Key, ManagerFacts) {
    let routing = json!({"baseDomain": base, "port": 8443, "traefik": {}});
    manager_with(name, &routing, is_default)
}

fn manager_with(name: &str, routing: &serde_json::Value, is_default: bool) -> (Key, ManagerFacts) {
    let object: WorkspaceManager = serde_json::from_value(json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "WorkspaceManager",
        "metadata": {"name": name, "annotations": {IS_DEFAULT: is_default.to_string()}},
        "spec": {"routing": routing, "authentication": {"gateway": {}}},
    }))
    .unwrap();
    (
        (String::new(), name.into()),
        ManagerFacts::from_object(object).unwrap(),
    )
}

fn observed_with(managers: impl IntoIterator<Item = (Key, ManagerFacts)>) -> Observed {
    let mut observed = Observed::default();
    observed.managers.objects.extend(managers);
    observed
}

/// The pod of the workspace `of`, at this address.
fn pod(name: &str, of: &str, ip: &str, phase: &str) -> (Key, PodFacts) {
    let pod = json!({
        "metadata": {"name": name, "namespace": "team", "labels": {api::names::WORKSPACE_LABEL: of}},
        "status": {"phase": phase, "podIPs": [{"ip": ip}]},
    });
    let facts = PodFacts::from_pod(&serde_json::from_value(pod).unwrap()).unwrap();
    (("team".into(), name.into()), facts)
}

fn only(snapshot: &Snapshot) -> Arc<Target> {
    let mut targets = snapshot.targets();
    let target = targets.next().unwrap();
    assert!(targets.next().is_none(), "more than one target");
    Arc::clone(target)
}

#[test]
fn a_running_workspace_is_found_by_its_host_with_owner_access_and_address() {
    let mut observed = observed_with([manager("main", "ws.example", true)]);
    observed.workspaces.objects.extend([workspace("lab", |_| ())]);
    observed
        .pods
        .objects
        .extend([pod("p", "lab", "10.244.0.7", "Running")]);
    let snapshot = observed.snapshot();
    let target = only(&snapshot);
    assert_eq!(target.owner, "alice");
    assert_eq!(target.access_type, api::workspace::AccessType::Public);
    assert_eq!(target.endpoint, Some("10.244.0.7:8888".parse().unwrap()));
    assert_eq!(target.phase, Phase::Running);
    assert!(target.site.host().ends_with(".ws.example"));
    assert_eq!(snapshot.target(&target.site), Some(&target));
}

#[test]
fn an_endpoint_is_used_only_while_its_pod_has_that_address() {
    let mut observed = observed_with([manager("main", "ws.example", true)]);
    observed.workspaces.objects.extend([workspace("lab", |_| ())]);
    let mut endpoint = |pods: Vec<(Key, PodFacts)>| {
        observed.pods.objects = pods.into_iter().collect();
        only(&observed.snapshot()).endpoint
    };
    let own = || pod("p", "lab", "10.244.0.7", "Running");
    assert_eq!(endpoint(vec![]), None);
    assert!(endpoint(vec![own()]).is_some());
    assert_eq!(endpoint(vec![]), None, "it is gone");
    // Another pod received the address meanwhile.
    let bobs = pod("q", "bobs", "10.244.0.7", "Running");
    assert_eq!(endpoint(vec![bobs.clone()]), None);
    for other in [
        pod("p", "bobs", "10.244.0.7", "Running"),
        pod("p", "lab", "10.244.0.8", "Running"),
    ] {
        assert_eq!(endpoint(vec![other, bobs.clone()]), None);
    }
    assert!(endpoint(vec![own(), bobs]).is_some());
}

#[test]
fn a_requested_stop_or_deletion_removes_the_address_at_once() {
    for (change, phase) in [
        (json!({"spec": {"desiredStatus": "Stopped"}}), Phase::Stopping),
        (
            json!({"metadata": {"deletionTimestamp": "2026-01-02T03:04:06Z"}}),
            Phase::Deleting,
        ),
    ] {
        let mut observed = observed_with([manager("main", "ws.example", true)]);
        observed
            .workspaces
            .objects
            .extend([workspace("lab", |object| json_patch_merge(object, &change))]);
        observed
            .pods
            .objects
            .extend([pod("p", "lab", "10.244.0.7", "Running")]);
        let target = only(&observed.snapshot());
        assert_eq!((target.endpoint, target.phase), (None, phase));
    }
}

#[test]
fn what_becomes_of_files_is_known_while_a_workspace_stops_and_afterwards() {
    let files = |desired: &str, phase: &str, is_ephemeral: bool| {
        let (_, facts) = workspace("lab", |object| {
            object["spec"]["desiredStatus"] = json!(desired);
            object["status"]["phase"] = json!(phase);
            object["status"]["disk"] = json!({"claimUID": "c", "size": "1Gi"});
            object["status"]["resolved"]["storage"] = json!({"mountPath": "/h", "ephemeral": is_ephemeral});
        });
        facts.target.detail().files.clone()
    };
    let lost = "The files in its home are deleted, because the home has no disk.";
    assert_eq!(files("Stopped", "Stopping", true), lost);
    assert_eq!(files("Stopped", "Running", true), lost, "as the spec wants it");
    assert_eq!(
        files("Stopped", "Stopped", true),
        "The files in its home are gone: the home has no disk."
    );
    assert_eq!(files("Stopped", "Stopping", false), "The disk is kept.");
    assert_eq!(files("Running", "Running", true), "");
}

#[test]
fn recovery_is_known_unless_it_waits_for_a_restart() {
    for (pending, in_recovery) in [(json!([]), true), (json!(["spec.recoveryMode"]), false)] {
        let (_, facts) = workspace("lab", |object| {
            object["spec"]["recoveryMode"] = json!(true);
            object["status"]["phase"] = json!("Failed");
            object["status"]["pendingUpdate"] = pending;
        });
        assert_eq!(facts.target.detail().in_recovery, in_recovery);
    }
}

#[test]
fn a_stopped_workspace_has_the_notice_of_its_deletion() {
    let deletion = |desired: &str, phase: &str| {
        let (_, facts) = workspace("lab", |object| {
            object["spec"]["desiredStatus"] = json!(desired);
            object["status"]["phase"] = json!(phase);
            object["status"]["deletesAt"] = json!("2026-01-31T00:00:00Z");
            object["status"]["resolved"]["stoppedRetentionDays"] = json!(30);
        });
        facts.target.detail().deletion.clone()
    };
    let notice = deletion("Stopped", "Stopped");
    assert!(
        notice.starts_with("It is deleted at 2026-01-31T00:00:00Z, after 30 days without a start"),
        "{notice}"
    );
    assert_eq!(deletion("Running", "Running"), "");
}

#[test]
fn access_granted_by_a_template_ends_with_a_change_until_it_is_reconciled() {
    let mut observed = observed_with([manager("main", "ws.example", true)]);
    let change = json!({"metadata": {"generation": 8}, "status": {"observedGeneration": 7}});
    observed
        .workspaces
        .objects
        .extend([workspace("lab", |object| json_patch_merge(object, &change))]);
    assert_eq!(
        only(&observed.snapshot()).access_type,
        api::workspace::AccessType::OwnerOnly
    );
}

#[test]
fn everybody_is_admitted_by_spec_and_operator_together_which_in_recovery_admits_the_owner_alone() {
    use api::workspace::AccessType::{OwnerOnly, Public};
    for (spec, resolved, expected) in [
        (Public, Public, Public),
        (OwnerOnly, Public, OwnerOnly),
        (Public, OwnerOnly, OwnerOnly),
    ] {
        let mut observed = observed_with([manager("main", "ws.example", true)]);
        let change = json!({"spec": {"accessType": spec}, "status": {"resolved": {"accessType": resolved}}});
        observed
            .workspaces
            .objects
            .extend([workspace("lab", |object| json_patch_merge(object, &change))]);
        let found = only(&observed.snapshot()).access_type;
        assert_eq!(found, expected, "{spec:?} {resolved:?}");
    }
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
fn other_proxies_are_served_except_for_managers_with_another_authenticator() {
    let mut observed = observed_with([]);
    observed.workspaces.objects.extend([workspace("lab", |_| ())]);
    let mut served = |routing: serde_json::Value, authentication: serde_json::Value| {
        let mut spec = json!({"routing": routing, "authentication": authentication});
        spec["routing"]["baseDomain"] = json!("ws.example");
        let (key, _) = manager("main", "ws.example", true);
        let object = json!({"metadata": {"name": "main", "annotations": {IS_DEFAULT: "true"}}, "spec": spec});
        let facts = ManagerFacts::from_object(serde_json::from_value(object).unwrap()).unwrap();
        observed.managers.objects.insert(key, facts);
        let snapshot = observed.snapshot();
        assert_eq!(snapshot.domain().is_some(), snapshot.targets().count() == 1);
        snapshot.domain().is_some()
    };
    let custom = || json!({"custom": {"resources": []}});
    // Each comes after one that is served.
    for (routing, authentication) in [
        (custom(), json!({"forwardAuth": {"address": "http://auth"}})),
        (custom(), json!({"none": {}})),
        (custom(), json!({"application": {}})),
        (json!({"external": {}}), json!({"application": {}})),
    ] {
        assert!(served(custom(), json!({"gateway": {}})));
        assert!(!served(routing, authentication));
    }
    assert!(served(json!({"traefik": {}}), json!({"gateway": {}})));
}

#[test]
fn workspaces_of_another_manager_are_not_served() {
    let mut observed = observed_with([
        manager("main", "ws.example", true),
        manager("other", "other.example", false),
    ]);
    let change = json!({"status": {"resolved": {"manager": "other"}}});
    observed
        .workspaces
        .objects
        .extend([workspace("lab", |object| json_patch_merge(object, &change))]);
    assert_eq!(observed.snapshot().targets().count(), 0);
    observed.served.manager = Some("other".into());
    assert!(only(&observed.snapshot()).site.host().ends_with(".other.example"));
}

#[test]
fn in_one_namespace_workspaces_without_a_manager_are_served_whatever_the_defaults_of_the_cluster() {
    let managers = || {
        [
            manager("main", "ws.example", false),
            manager("theirs", "theirs.example", true),
        ]
    };
    let of = |observed: Observed| {
        let mut observed = observed;
        observed.managers.objects.extend(managers());
        let unresolved = json!({"status": {"resolved": null}});
        let workspaces = [
            workspace("lab", |object| json_patch_merge(object, &unresolved)),
            workspace("other", |object| {
                json_patch_merge(object, &json!({"status": {"resolved": {"manager": "theirs"}}}));
            }),
        ];
        observed.workspaces.objects.extend(workspaces);
        observed
    };
    let wanted = |is_alone| {
        Observed::new(Served {
            manager: Some("main".into()),
            is_alone,
            ..Served::default()
        })
    };
    let snapshot = of(wanted(true)).snapshot();
    assert_eq!(only(&snapshot).name, "lab");
    assert!(only(&snapshot).site.host().ends_with(".ws.example"));
    assert_eq!(of(wanted(false)).snapshot().targets().count(), 0);
}

#[test]
fn a_second_default_or_a_missing_manager_moves_nothing_that_is_served() {
    let mut ambiguous = observed_with([
        manager("main", "ws.example", true),
        manager("other", "other.example", true),
    ]);
    assert_eq!(ambiguous.snapshot().domain(), None);
    ambiguous
        .managers
        .objects
        .remove(&(String::new(), "other".into()));
    assert_eq!(ambiguous.snapshot().domain().unwrap().base(), "ws.example");
    ambiguous
        .managers
        .objects
        .extend([manager("other", "other.example", true)]);
    assert_eq!(ambiguous.snapshot().domain().unwrap().base(), "ws.example");
    ambiguous.managers.objects.clear();
    assert_eq!(ambiguous.snapshot().domain().unwrap().base(), "ws.example");
}

#[test]
fn a_changed_base_domain_moves_every_host() {
    let mut observed = observed_with([manager("main", "a.ws.example", true)]);
    observed.workspaces.objects.extend([workspace("lab", |_| ())]);
    observed.snapshot();
    observed
        .managers
        .objects
        .extend([manager("main", "ws.example", true)]);
    let target = only(&observed.snapshot());
    assert_eq!(target.site.host().split_once('.').unwrap().1, "ws.example");
}

/// The facts of bob's share of the workspace, after this change.
fn share_facts(name: &str, change: &serde_json::Value) -> Option<Arc<ShareFacts>> {
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
    Projection::from_object(serde_json::from_value(object).unwrap())
}

fn share(name: &str, change: &serde_json::Value) -> (Key, Arc<ShareFacts>) {
    (("team".into(), name.into()), share_facts(name, change).unwrap())
}

/// Whether shares of the one workspace admit bob, and the group ml, at `now`.
fn guests(observed: &mut Observed, now: i64) -> (bool, bool) {
    let target = only(&observed.snapshot());
    let policy = Policy::default();
    let lets_in = |user: &str, groups: &[String]| {
        let requester = rules::access::Requester { user, groups };
        let facts = rules::access::Facts {
            owner: &target.owner,
            access: api::workspace::AccessType::OwnerOnly,
            shared: &target.shared,
        };
        let right = || rules::access::Right::Missing;
        let decision = rules::access::connect(requester, facts, &policy, right, now);
        matches!(decision, rules::access::Decision::Allow(_))
    };
    (lets_in("bob", &[]), lets_in("eve", &["ml".to_owned()]))
}

fn observed_with_shares(shares: impl IntoIterator<Item = (Key, Arc<ShareFacts>)>) -> Observed {
    let mut observed = observed_with([manager("main", "ws.example", true)]);
    observed.workspaces.objects.extend([workspace("lab", |_| ())]);
    observed.shares.objects.extend(shares);
    observed
}

#[test]
fn in_mode_path_no_guest_is_admitted_unless_the_manager_accepts_the_risk() {
    use rules::access::{Allowed, Decision, Denied, Facts, Requester, Right, connect};
    let decide = |sharing: &str, access: &str, user: &str| {
        let routing = json!({
            "mode": "Path", "pathModeSharing": sharing, "baseDomain": "ws.example", "traefik": {},
        });
        let mut observed = observed_with([manager_with("main", &routing, true)]);
        let change = json!({"status": {"resolved": {"accessType": access}}});
        observed
            .workspaces
            .objects
            .extend([workspace("lab", |object| json_patch_merge(object, &change))]);
        observed.shares.objects.extend([share("s", &json!({}))]);
        let snapshot = observed.snapshot();
        let target = only(&snapshot);
        let requester = Requester { user, groups: &[] };
        let facts = Facts {
            owner: &target.owner,
            access: target.access_type,
            shared: &target.shared,
        };
        connect(requester, facts, snapshot.policy(), || Right::Granted, 0)
    };
    // Eve is a guest of the Public workspace, and bob of the share.
    for (access, user, admitted, refused) in [
        ("Public", "eve", Allowed::Public, Denied::OneOrigin),
        ("OwnerOnly", "bob", Allowed::Share, Denied::NotOwner),
    ] {
        assert_eq!(decide("Refuse", access, user), Decision::Deny(refused), "{user}");
        assert_eq!(
            decide("AcceptRisk", access, user),
            Decision::Allow(admitted),
            "{user}"
        );
        let owner = decide("Refuse", access, "alice");
        assert_eq!(owner, Decision::Allow(Allowed::Owner), "{access}");
    }
}

#[test]
fn a_share_lets_its_subjects_in_until_its_end_and_as_long_as_it_is_there() {
    let ends = json!({"spec": {"expiresAt": "2026-01-03T00:00:00Z"}});
    let to_group = json!({"spec": {"subjects": [{"kind": "Group", "name": "ml"}]}});
    let end = 1_767_398_400;
    let mut observed = observed_with_shares([share("s", &ends), share("g", &to_group)]);
    assert_eq!(guests(&mut observed, end - 1), (true, true));
    assert_eq!(guests(&mut observed, end), (false, true));
    observed.shares.objects.remove(&("team".into(), "g".into()));
    assert_eq!(guests(&mut observed, end - 1), (true, false));
    observed.shares.objects.clear();
    assert_eq!(guests(&mut observed, end - 1), (false, false));
}

#[test]
fn a_share_of_another_or_deleted_workspace_or_earlier_owner_gives_no_access() {
    for change in [
        json!({"metadata": {"uid": "uid-of-a-later-one"}}),
        json!({"metadata": {"annotations": {api::names::CREATED_BY: "carol"}}}),
        json!({"metadata": {"annotations": {api::names::CREATED_BY: ""}}}),
        json!({"metadata": {"deletionTimestamp": "2026-01-02T03:04:06Z"}}),
    ] {
        let mut observed = observed_with_shares([share("s", &json!({}))]);
        assert_eq!(guests(&mut observed, 0), (true, false));
        let changed = workspace("lab", |object| json_patch_merge(object, &change));
        observed.workspaces.objects.extend([changed]);
        assert_eq!(guests(&mut observed, 0), (false, false), "{change}");
    }
}

#[test]
fn an_inactive_share_gives_no_access() {
    for change in [
        json!({"status": {"conditions": []}}),
        json!({"status": null}),
        json!({"spec": {"workspaceUID": null}}),
        json!({"metadata": {"deletionTimestamp": "2026-01-02T03:04:06Z"}}),
    ] {
        assert!(share_facts("s", &change).is_none(), "{change}");
    }
}

#[test]
fn the_manager_s_bounds_count_for_shares_that_are_there() {
    let mut observed = observed_with_shares([share("s", &json!({}))]);
    assert_eq!(guests(&mut observed, 0), (true, false));
    let mut object: WorkspaceManager =
        WorkspaceManager::clone(&observed.managers.objects.values().next().unwrap().object);
    let sharing = api::manager::Sharing {
        enabled: false,
        ..api::manager::Sharing::default()
    };
    object.spec.authorization = Some(api::manager::Authorization {
        sharing: Some(sharing),
        ..api::manager::Authorization::default()
    });
    let key = (String::new(), "main".into());
    observed
        .managers
        .objects
        .insert(key, ManagerFacts::from_object(object).unwrap());
    assert_eq!(guests(&mut observed, 0), (false, false));
}

#[test]
fn an_unchanged_manager_spec_does_not_reevaluate_shares() {
    let mut observed = observed_with_shares([share("s", &json!({}))]);
    let mut written = |version: &str| {
        let mut object = testkit::objects::manager("main");
        object.metadata.resource_version = Some(version.into());
        object.metadata.generation = version.parse().ok();
        object.status = Some(api::manager::WorkspaceManagerStatus {
            workspaces: version.parse().ok(),
            ..Default::default()
        });
        let key = (String::new(), "main".into());
        observed
            .managers
            .objects
            .insert(key, ManagerFacts::from_object(object).unwrap());
        only(&observed.snapshot())
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
