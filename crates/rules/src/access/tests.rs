//! Users, workspaces and policies -> access decisions (tests).

use serde_json::json;

use super::*;

const NO_GROUPS: &[String] = &[];

fn requester<'a>(user: &'a str, groups: &'a [String]) -> Requester<'a> {
    Requester { user, groups }
}

fn facts<'a>(owner: &'a str, access: AccessType, shared: &'a Shared) -> Facts<'a> {
    Facts {
        owner,
        access,
        shared,
    }
}

fn ignoring() -> Policy {
    Policy {
        rbac: Rbac::Ignored,
        ..Policy::default()
    }
}

fn with_administrators(rbac: Rbac) -> Policy {
    Policy {
        rbac,
        admin_groups: HashSet::from(["admins".to_owned()]),
        ..Policy::default()
    }
}

fn shared_with(kind: &str, name: &str) -> Shared {
    let mut shared = Shared::default();
    let subject = serde_json::from_value(json!({"kind": kind, "name": name})).unwrap();
    shared.add(&subject, Some(100));
    shared
}

/// The decision where RBAC is not consulted.
fn plain(user: &str, owner: &str, access: AccessType) -> Decision {
    let shared = Shared::default();
    let never_asked = || panic!("no permission may be checked");
    connect(
        requester(user, NO_GROUPS),
        facts(owner, access, &shared),
        &ignoring(),
        never_asked,
        0,
    )
}

#[test]
fn no_more_are_admitted_than_the_operator_found_and_the_spec_names() {
    use AccessType::{OwnerOnly, Public};
    let type_of = |spec: Option<AccessType>, resolved: Option<AccessType>, generation: i64| {
        let mut workspace = Workspace::new("a", api::WorkspaceSpec::default());
        workspace.metadata.generation = Some(generation);
        workspace.spec.access_type = spec;
        let endpoint = json!({"podName": "p", "podIP": "10.0.0.1", "port": 8888});
        let status =
            json!({"observedGeneration": 1, "endpoint": endpoint, "resolved": {"accessType": resolved}});
        workspace.status = Some(serde_json::from_value(status).unwrap());
        access_type(&workspace)
    };
    for (spec, resolved, generation, expected) in [
        (Some(Public), Some(Public), 1, Public),
        (Some(Public), Some(Public), 2, Public),
        // In recovery.
        (Some(Public), Some(OwnerOnly), 1, OwnerOnly),
        (Some(Public), None, 1, OwnerOnly),
        (Some(OwnerOnly), Some(Public), 1, OwnerOnly),
        // The template's.
        (None, Some(Public), 1, Public),
        (None, Some(Public), 2, OwnerOnly),
        (None, Some(OwnerOnly), 1, OwnerOnly),
    ] {
        let found = type_of(spec, resolved, generation);
        assert_eq!(found, expected, "{spec:?} {resolved:?} {generation}");
    }
    for spec in [None, Some(OwnerOnly), Some(Public)] {
        let mut without_pod = Workspace::new("a", api::WorkspaceSpec::default());
        without_pod.spec.access_type = spec;
        assert_eq!(access_type(&without_pod), spec.unwrap_or_default());
        without_pod.status = Some(api::WorkspaceStatus::default());
        assert_eq!(access_type(&without_pod), spec.unwrap_or_default(), "invalid");
    }
}

#[test]
fn the_owner_connects() {
    assert_eq!(
        plain("alice", "alice", AccessType::OwnerOnly),
        Decision::Allow(Allowed::Owner)
    );
}

#[test]
fn another_user_connects_only_to_a_public_workspace() {
    assert_eq!(
        plain("bob", "alice", AccessType::OwnerOnly),
        Decision::Deny(Denied::NotOwner)
    );
    assert_eq!(
        plain("bob", "alice", AccessType::Public),
        Decision::Allow(Allowed::Public)
    );
}

#[test]
fn an_anonymous_request_does_not_connect_to_a_workspace_without_owner() {
    for access in [AccessType::OwnerOnly, AccessType::Public] {
        for owner in ["", "alice"] {
            assert_eq!(plain("", owner, access), Decision::Deny(Denied::Anonymous));
        }
    }
}

#[test]
fn similar_user_names_are_different_users() {
    for user in ["Alice", "alice ", "alice\0", "аlice"] {
        let decision = plain(user, "alice", AccessType::OwnerOnly);
        assert_eq!(decision, Decision::Deny(Denied::NotOwner), "{user:?}");
    }
}

#[test]
fn a_share_admits_its_subjects_until_it_ends() {
    let groups = ["ml".to_owned()];
    for (kind, name, allowed) in [
        ("User", "bob", Allowed::Share),
        ("Group", "ml", Allowed::GroupShare),
    ] {
        let shared = shared_with(kind, name);
        let decide = |user: &str, now| {
            let facts = facts("alice", AccessType::OwnerOnly, &shared);
            let member = requester(user, if user == "bob" { &groups } else { NO_GROUPS });
            connect(member, facts, &Policy::default(), || Right::Missing, now)
        };
        assert_eq!(decide("bob", 99), Decision::Allow(allowed));
        assert_eq!(decide("bob", 100), Decision::Deny(Denied::NotOwner));
        assert_eq!(decide("eve", 99), Decision::Deny(Denied::NotOwner));
        assert_eq!(decide("", 99), Decision::Deny(Denied::Anonymous));
    }
}

#[test]
fn path_mode_denies_other_users_without_an_access_review() {
    let shared = shared_with("User", "bob");
    let none = Shared::default();
    let policy = Policy {
        disables_sharing: true,
        ..with_administrators(Rbac::Required)
    };
    let never_asked = || panic!("no permission may be checked");
    for (access, shared, denied) in [
        (AccessType::Public, &none, Denied::OneOrigin),
        (AccessType::OwnerOnly, &shared, Denied::OneOrigin),
        (AccessType::Public, &shared, Denied::OneOrigin),
        (AccessType::OwnerOnly, &none, Denied::NotOwner),
    ] {
        let facts = facts("alice", access, shared);
        let guest = connect(requester("bob", NO_GROUPS), facts, &policy, never_asked, 0);
        assert_eq!(guest, Decision::Deny(denied));
        let owner = connect(
            requester("alice", NO_GROUPS),
            facts,
            &policy,
            || Right::Granted,
            0,
        );
        assert_eq!(owner, Decision::Allow(Allowed::Owner));
        let admins = ["admins".to_owned()];
        let administrator = connect(requester("grace", &admins), facts, &policy, never_asked, 0);
        assert_eq!(administrator, Decision::Allow(Allowed::Administrator));
    }
}

#[test]
fn with_rbac_owners_and_other_users_need_the_permission_to_connect() {
    let none = Shared::default();
    for (user, access, allowed) in [
        ("alice", AccessType::OwnerOnly, Allowed::Owner),
        ("bob", AccessType::Public, Allowed::Public),
    ] {
        for (right, expected) in [
            (Right::Granted, Decision::Allow(allowed)),
            (Right::Missing, Decision::Deny(Denied::NoRight)),
            (Right::Unknown, Decision::Ask),
            (Right::Unanswered, Decision::Deny(Denied::Unanswered)),
        ] {
            let facts = facts("alice", access, &none);
            let decision = connect(requester(user, NO_GROUPS), facts, &Policy::default(), || right, 0);
            assert_eq!(decision, expected, "{user} {right:?}");
        }
    }
}

#[test]
fn a_share_of_a_public_workspace_needs_no_right_and_no_question() {
    let shared = shared_with("User", "bob");
    for right in [Right::Missing, Right::Unknown, Right::Unanswered] {
        let facts = facts("alice", AccessType::Public, &shared);
        let decision = connect(
            requester("bob", NO_GROUPS),
            facts,
            &Policy::default(),
            || right,
            0,
        );
        assert_eq!(decision, Decision::Allow(Allowed::Share), "{right:?}");
    }
}

#[test]
fn administrator_access_is_recorded_only_if_no_other_rule_admits_the_user() {
    let groups = ["users".to_owned(), "admins".to_owned()];
    let none = Shared::default();
    let decide = |user, access, rbac, right| {
        let policy = with_administrators(rbac);
        connect(
            requester(user, &groups),
            facts("alice", access, &none),
            &policy,
            || right,
            0,
        )
    };
    let administrator = Decision::Allow(Allowed::Administrator);
    let by_name = Policy {
        admin_users: HashSet::from(["carol".to_owned()]),
        ..Policy::default()
    };
    for (user, expected) in [
        ("carol", administrator),
        ("Carol", Decision::Deny(Denied::NotOwner)),
    ] {
        let facts = facts("alice", AccessType::OwnerOnly, &none);
        let decided = connect(requester(user, NO_GROUPS), facts, &by_name, || Right::Missing, 0);
        assert_eq!(decided, expected, "{user}");
    }
    assert_eq!(
        decide("root", AccessType::OwnerOnly, Rbac::Required, Right::Unknown),
        administrator
    );
    assert_eq!(
        decide("root", AccessType::Public, Rbac::Ignored, Right::Unknown),
        Decision::Allow(Allowed::Public)
    );
    assert_eq!(
        decide("alice", AccessType::OwnerOnly, Rbac::Required, Right::Granted),
        Decision::Allow(Allowed::Owner)
    );
    // The owner lacks the permission, or the API server does not answer.
    for right in [Right::Missing, Right::Unanswered] {
        assert_eq!(
            decide("alice", AccessType::OwnerOnly, Rbac::Required, right),
            administrator
        );
    }
    assert_eq!(
        connect(
            requester("", &groups),
            facts("alice", AccessType::OwnerOnly, &none),
            &with_administrators(Rbac::Required),
            || Right::Unknown,
            0
        ),
        Decision::Deny(Denied::Anonymous)
    );
}

#[test]
fn a_manager_without_authorization_uses_rbac_and_has_no_administrators() {
    let manager = |authorization: serde_json::Value| {
        let manager = json!({
            "metadata": {"name": "main"},
            "spec": {
                "routing": {"baseDomain": "b.org", "traefik": {}}, "authentication": {"gateway": {}},
                "authorization": authorization,
            },
        });
        Policy::from_manager(&serde_json::from_value(manager).unwrap())
    };
    assert_eq!(manager(json!(null)), Policy::default());
    assert_eq!(Policy::default().rbac, Rbac::Required);
    let given = manager(json!({"rbac": "Ignored", "adminGroups": ["admins"]}));
    assert_eq!(given, with_administrators(Rbac::Ignored));
    let given = manager(json!({"adminUsers": ["root"]}));
    assert_eq!(given.admin_users, HashSet::from(["root".to_owned()]));
}

#[test]
fn ssh_is_allowed_unless_the_manager_says_otherwise() {
    let policy = |remote: serde_json::Value| {
        let spec = json!({
            "routing": {"baseDomain": "ws.example", "traefik": {}},
            "authentication": {"gateway": {}},
            "remoteAccess": remote,
        });
        let manager = WorkspaceManager::new("default", serde_json::from_value(spec).unwrap());
        Policy::from_manager(&manager).ssh
    };
    for allowed in [json!(null), json!({}), json!({"ssh": "Enabled"})] {
        assert_eq!(policy(allowed), Ssh::Enabled);
    }
    assert_eq!(policy(json!({"ssh": "Disabled"})), Ssh::Disabled);
}
