//! Content of the list.

use std::collections::HashSet;
use std::sync::Arc;

use api::workspace::AccessType;
use rules::access::{Policy, Shared};
use serde_json::json;

use super::*;
use crate::index::Domain;

fn target(name: &str, owner: &str, access_type: AccessType, shared: Shared) -> Target {
    Target {
        uid: format!("uid-of-{name}"),
        name: name.into(),
        site: format!("{name}.ws.example").into(),
        owner: owner.into(),
        access_type,
        shared: Arc::new(shared),
        ..Target::lab()
    }
}

fn shared_with(kind: &str, name: &str, end: i64) -> Shared {
    let mut shared = Shared::default();
    let subject = serde_json::from_value(json!({"kind": kind, "name": name})).unwrap();
    shared.add(&subject, Some(end));
    shared
}

fn index(policy: Policy) -> Snapshot {
    let private = AccessType::OwnerOnly;
    let targets = [
        target("zeta", "alice", private, Shared::default()),
        target("alpha", "alice", AccessType::Public, Shared::default()),
        target("bobs", "bob", private, Shared::default()),
        target("open", "bob", AccessType::Public, Shared::default()),
        target("to-alice", "bob", private, shared_with("User", "alice", 100)),
        target("to-group", "bob", private, shared_with("Group", "ml", 100)),
        target("nobodys", "", private, Shared::default()),
    ];
    Snapshot::new(Some(Domain::new("ws.example", 443)), targets).under(policy)
}

fn identity(user: &str, groups: &[&str]) -> Identity {
    Identity {
        user_name: user.into(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

fn listed(policy: Policy, identity: &Identity, now: i64) -> Vec<(&'static str, Vec<String>)> {
    let index = index(policy);
    let shelf = shelf(&index, identity, now, MAX);
    let name = |target: &&Target| target.name.clone();
    let groups = shelf.groups.iter();
    groups
        .map(|(heading, targets)| (*heading, targets.iter().map(name).collect()))
        .collect()
}

fn names(of: &[&str]) -> Vec<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

fn ignoring() -> Policy {
    Policy {
        rbac: Rbac::Ignored,
        ..Policy::default()
    }
}

#[test]
fn a_user_sees_own_and_shared_workspaces_in_the_list() {
    assert_eq!(
        listed(Policy::default(), &identity("alice", &["ml"]), 0),
        [
            ("Your workspaces", names(&["alpha", "zeta"])),
            ("Shared with you", names(&["to-alice", "to-group"])),
        ]
    );
    let index = index(Policy::default());
    assert!(shelf(&index, &identity("alice", &[]), 0, MAX).without_public);
}

#[test]
fn public_workspaces_are_listed_without_rbac() {
    assert_eq!(
        listed(ignoring(), &identity("alice", &[]), 0),
        [
            ("Your workspaces", names(&["alpha", "zeta"])),
            ("Shared with you", names(&["to-alice"])),
            ("Open to everybody", names(&["open"])),
        ]
    );
    assert!(!shelf(&index(ignoring()), &identity("alice", &[]), 0, MAX).without_public);
}

#[test]
fn a_share_that_has_ended_is_not_listed() {
    assert_eq!(
        listed(Policy::default(), &identity("alice", &["ml"]), 100),
        [("Your workspaces", names(&["alpha", "zeta"]))]
    );
}

#[test]
fn other_and_anonymous_users_see_an_empty_list() {
    for user in ["eve", ""] {
        assert_eq!(listed(Policy::default(), &identity(user, &[]), 0), [], "{user:?}");
    }
    assert_eq!(listed(ignoring(), &identity("", &["ml"]), 0), []);
}

#[test]
fn administrators_see_other_workspaces_after_their_own() {
    let policy = Policy {
        admin_groups: HashSet::from(["admins".to_owned()]),
        ..Policy::default()
    };
    assert_eq!(
        listed(policy, &identity("alice", &["admins"]), 0),
        [
            ("Your workspaces", names(&["alpha", "zeta"])),
            ("Shared with you", names(&["to-alice"])),
            (
                "Others that you may open as an administrator",
                names(&["bobs", "nobodys", "open", "to-group"])
            ),
        ]
    );
}

#[test]
fn shared_and_public_workspaces_are_not_listed_in_path_mode() {
    let policy = Policy {
        disables_sharing: true,
        ..ignoring()
    };
    assert_eq!(
        listed(policy.clone(), &identity("alice", &["ml"]), 0),
        [("Your workspaces", names(&["alpha", "zeta"]))]
    );
    assert!(!shelf(&index(policy), &identity("alice", &[]), 0, MAX).without_public);
}

#[test]
fn a_long_list_is_cut_after_the_user_s_own_and_says_by_how_many() {
    let index = index(ignoring());
    let shelf = shelf(&index, &identity("alice", &["ml"]), 0, 3);
    let count: usize = shelf.groups.iter().map(|(_, targets)| targets.len()).sum();
    assert_eq!((count, shelf.left_out), (3, 2));
    assert_eq!(shelf.groups[0].1.len(), 2, "their own stay");
}
