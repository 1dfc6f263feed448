//! Which users may share a workspace, and to which workspace a share is bound.

use api::names::{CREATED_BY, SHARED_FOR};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Health};
use crate::support::{OPERATOR, Webhook};

/// With alice's workspace `lab`.
fn cluster() -> Cluster {
    Cluster {
        workspaces: vec![testkit::objects::workspace("lab")],
        managers: vec![testkit::objects::manager("main")],
        ..Cluster::default()
    }
}

fn share(workspace: &str) -> Value {
    json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "WorkspaceShare",
        "metadata": {"name": "with-bob", "namespace": "team"},
        "spec": {"workspaceRef": workspace, "subjects": [{"kind": "User", "name": "bob"}]},
    })
}

/// The share after mutation.
async fn made(webhook: &Webhook, user: &str, mut share: Value) -> Value {
    let answer = webhook.mutate_create(user, &share).await;
    if let Some(patch) = answer.patch {
        json_patch::patch(&mut share, &patch).unwrap();
    }
    share
}

#[tokio::test]
async fn an_owner_s_share_is_bound_to_the_workspace_of_now() {
    let webhook = cluster().webhook();
    let made = made(&webhook, "alice", share("lab")).await;
    assert_eq!(made["spec"]["workspaceUID"], "uid-of-lab");
    assert_eq!(made["metadata"]["annotations"][CREATED_BY], "alice");
    let answer = webhook.validate_create("alice", &made).await;
    assert!(answer.allowed && answer.warnings.is_empty(), "{answer:?}");
    let mut stale = made.clone();
    stale["spec"]["workspaceUID"] = json!("another");
    let refused = webhook.validate_create("alice", &stale).await;
    assert!(
        refused
            .message
            .starts_with(r#"spec.workspaceUID: "another" is not the UID of that workspace"#),
        "{refused:?}"
    );
}

#[tokio::test]
async fn others_share_only_with_the_verb() {
    let webhook = cluster().granting(&["carol share workspaces lab"]).webhook();
    for (user, allowed) in [("bob", false), ("carol", true)] {
        let new = made(&webhook, user, share("lab")).await;
        let answer = webhook.validate_create(user, &new).await;
        assert_eq!(answer.allowed, allowed, "{user}: {answer:?}");
    }
    let new = made(&webhook, "bob", share("lab")).await;
    let refused = webhook.validate_create("bob", &new).await;
    assert_eq!(refused.code, 403);
    assert!(
        refused
            .message
            .starts_with(r#"spec.workspaceRef: "lab" is shared only by"#)
    );
}

#[tokio::test]
async fn for_whom_it_is_shared_is_recorded_and_not_made_up() {
    let webhook = cluster().granting(&["carol share workspaces *"]).webhook();
    let by_carol = made(&webhook, "carol", share("lab")).await;
    assert_eq!(by_carol["metadata"]["annotations"][SHARED_FOR], "alice");
    let by_alice = made(&webhook, "alice", share("lab")).await;
    assert!(by_alice["metadata"]["annotations"][SHARED_FOR].is_null());
    for (user, workspace) in [("carol", "lab"), ("alice", "lab"), ("carol", "early")] {
        let mut forged = share(workspace);
        forged["metadata"]["annotations"] = json!({CREATED_BY: user, SHARED_FOR: "dave"});
        let refused = webhook.validate_create(user, &forged).await;
        assert_eq!(refused.code, 403, "{user} {workspace}");
        assert!(refused.message.contains(SHARED_FOR), "{refused:?}");
    }
    let mut for_carol = by_carol.clone();
    for_carol["metadata"]["annotations"][SHARED_FOR] = json!("carol");
    assert_eq!(
        webhook.validate_update("alice", &by_carol, &for_carol).await.code,
        403
    );
}

#[tokio::test]
async fn the_manager_s_limits_hold_for_new_and_changed_shares() {
    let mut cluster = cluster();
    cluster.managers[0].spec.authorization = serde_json::from_value(json!({
        "sharing": {"maxDurationMinutes": 60, "allowGroups": false}
    }))
    .unwrap();
    let webhook = cluster.webhook();
    let ending = |minutes: i64| {
        let end = Timestamp::now() + SignedDuration::from_mins(minutes);
        let mut share = share("lab");
        share["spec"]["expiresAt"] = json!(end.to_string());
        share
    };
    let judged = async |share: Value| {
        let share = made(&webhook, "alice", share).await;
        webhook.validate_create("alice", &share).await
    };
    assert!(judged(ending(59)).await.allowed);
    assert!(judged(ending(61)).await.message.contains("more than 60 minutes"));
    assert!(judged(ending(-1)).await.message.contains("is in the past"));
    assert!(
        judged(share("lab"))
            .await
            .message
            .contains("spec.expiresAt must be set")
    );
    let mut group = ending(30);
    group["spec"]["subjects"] = json!([{"kind": "Group", "name": "team"}]);
    assert!(judged(group).await.message.contains("allowGroups"));
    // Setting an end in the past ends a share. Limits do not prevent it.
    let stored = made(&webhook, "alice", ending(30)).await;
    let ended = made(&webhook, "alice", ending(-1)).await;
    assert!(webhook.validate_update("alice", &stored, &ended).await.allowed);
}

#[tokio::test]
async fn no_user_creates_a_share_in_another_user_s_name() {
    let webhook = cluster().granting(&["hub share workspaces early"]).webhook();
    let mut forged = share("early");
    forged["metadata"]["annotations"] = json!({ CREATED_BY: "alice" });
    let refused = webhook.validate_create("bob", &forged).await;
    assert_eq!(refused.code, 403);
    assert!(refused.message.contains("names another creator"), "{refused:?}");
    assert!(webhook.validate_create("hub", &forged).await.allowed);
    let mut honest = share("early");
    honest["metadata"]["annotations"] = json!({ CREATED_BY: "bob" });
    let answer = webhook.validate_create("bob", &honest).await;
    assert!(answer.allowed, "{answer:?}");
    assert!(
        answer.warnings[0].contains(r#"Workspace "early" does not exist"#),
        "{answer:?}"
    );
    let refused = webhook.validate_update("bob", &honest, &forged).await;
    assert_eq!(refused.code, 403);
}

#[tokio::test]
async fn a_share_is_changed_by_the_owner_and_deleted_by_its_creator() {
    let webhook = cluster().webhook();
    let mut stored = share("lab");
    stored["spec"]["workspaceUID"] = json!("uid-of-lab");
    stored["metadata"]["annotations"] = json!({ CREATED_BY: "carol" });
    let mut longer = stored.clone();
    longer["spec"]["reason"] = json!("more time");
    assert!(webhook.validate_update("alice", &stored, &longer).await.allowed);
    assert!(webhook.validate_delete("alice", &stored).await.allowed);
    assert_eq!(webhook.validate_update("carol", &stored, &longer).await.code, 403);
    assert!(webhook.validate_delete("carol", &stored).await.allowed);
    assert_eq!(webhook.validate_delete("bob", &stored).await.code, 403);
    let leaving = Cluster {
        leaving: true,
        ..cluster()
    };
    assert!(leaving.webhook().validate_delete("bob", &stored).await.allowed);
}

#[tokio::test]
async fn a_share_of_an_earlier_workspace_is_not_the_new_owner_s() {
    let webhook = cluster().webhook();
    let mut stored = share("lab");
    stored["spec"]["workspaceUID"] = json!("uid-of-an-earlier-lab");
    stored["metadata"]["annotations"] = json!({ CREATED_BY: "carol" });
    assert_eq!(webhook.validate_delete("alice", &stored).await.code, 403);
    assert!(webhook.validate_delete("carol", &stored).await.allowed);
}

#[tokio::test]
async fn the_operator_binds_shares_and_deletes_expired_ones() {
    let webhook = cluster().webhook();
    let mut owned = share("lab");
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Workspace", "name": "lab", "uid": "uid-of-lab"}]);
    assert!(
        webhook
            .validate_update(OPERATOR, &share("lab"), &owned)
            .await
            .allowed
    );
    assert!(webhook.validate_delete(OPERATOR, &owned).await.allowed);
}

#[tokio::test]
async fn a_share_is_not_created_while_its_workspace_cannot_be_read() {
    let webhook = Cluster {
        health: Health::Broken,
        ..cluster()
    }
    .webhook();
    assert_eq!(webhook.mutate_create("alice", &share("lab")).await.code, 503);
    assert_eq!(webhook.validate_create("alice", &share("lab")).await.code, 503);
}

#[tokio::test]
async fn a_share_stored_before_a_rule_can_be_ended_but_not_made_anew() {
    let webhook = cluster().webhook();
    let mut stored = made(&webhook, "alice", share("lab")).await;
    stored["spec"]["subjects"] = json!([{"kind": "User", "name": "bob "}]);
    assert_eq!(webhook.validate_create("alice", &stored).await.code, 422);
    let mut ended = stored.clone();
    ended["spec"]["expiresAt"] = json!("2026-01-01T00:00:00Z");
    let answer = webhook.validate_update("alice", &stored, &ended).await;
    assert!(answer.allowed, "{answer:?}");
    ended["spec"]["subjects"] = json!([{"kind": "User", "name": "bob\t"}]);
    assert_eq!(webhook.validate_update("alice", &stored, &ended).await.code, 422);
}
