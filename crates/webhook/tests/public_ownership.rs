//! Workspaces with ownershipType Public: users with the RBAC permission may edit them.

use api::names::{CREATED_BY, RESTARTED_AT, STARTED_BY};
use json_patch::jsonptr::{Pointer, PointerBuf};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::{Webhook, workspace};

fn webhook() -> Webhook {
    Cluster::with(testkit::objects::template("prod"))
        .granting(&["hub assign-owner workspaces demo"])
        .webhook()
}

/// A workspace of alice with the template `prod`.
fn public(spec: &Value) -> Value {
    let mut whole = json!({"templateRef": "prod", "ownershipType": "Public"});
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    workspace(whole)
}

fn changed(old: &Value, place: &str, value: Value) -> Value {
    let mut new = old.clone();
    Pointer::parse(place).unwrap().assign(&mut new, value).unwrap();
    new
}

#[tokio::test]
async fn every_user_changes_stops_starts_restarts_and_deletes_it_without_the_right_to_administer() {
    let webhook = webhook();
    let running = public(&json!({}));
    let stopped = public(&json!({"desiredStatus": "Stopped"}));
    let restarted = PointerBuf::from_tokens(["metadata", "annotations", RESTARTED_AT]);
    for (old, place, value) in [
        (&running, "/spec/displayName", json!("Ours")),
        (&running, "/spec/storage", json!({"size": "2Gi"})),
        (&running, "/spec/desiredStatus", json!("Stopped")),
        (&stopped, "/spec/desiredStatus", json!("Running")),
        (&running, restarted.as_str(), json!("2026-01-01T00:00:00Z")),
        (&running, "/metadata/labels/team", json!("a")),
        (&running, "/metadata/annotations/note", json!("x")),
        // Users who may change it may also set it back to OwnerOnly.
        (&running, "/spec/ownershipType", json!("OwnerOnly")),
    ] {
        let new = changed(old, place, value);
        for user in ["alice", "bob"] {
            let answer = webhook.validate_update(user, old, &new).await;
            assert!(answer.allowed, "{user} {place}: {answer:?}");
        }
    }
    assert!(webhook.validate_delete("bob", &running).await.allowed);
    let reviews = webhook.reviews();
    assert!(
        !reviews.iter().any(|line| line.contains("administer")),
        "{reviews:?}"
    );
}

#[tokio::test]
async fn its_owner_is_restored_when_left_out() {
    let webhook = webhook();
    let old = public(&json!({}));
    // Like a full update by a client that does not know the annotation.
    let mut bare = old.clone();
    bare["metadata"]["annotations"] = json!({});
    bare["spec"]["displayName"] = json!("Ours");
    let patched = webhook.mutate_update("bob", &old, &bare).await;
    json_patch::patch(&mut bare, &patched.patch.unwrap()).unwrap();
    assert_eq!(bare["metadata"]["annotations"][CREATED_BY], "alice");
    assert!(webhook.validate_update("bob", &old, &bare).await.allowed);

    let mut forged = old.clone();
    forged["metadata"]["annotations"][STARTED_BY] = json!("bob");
    let answer = webhook.validate_update("bob", &old, &forged).await;
    assert_eq!(answer.code, 403, "{answer:?}");
}

#[tokio::test]
async fn the_stored_object_makes_it_public_and_not_the_request() {
    let webhook = webhook();
    let own = workspace(json!({"templateRef": "prod", "ownershipType": "OwnerOnly"}));
    for place in ["/spec/displayName", "/spec/desiredStatus"] {
        let value = if place.ends_with("Status") {
            "Stopped"
        } else {
            "Other"
        };
        let opened = changed(
            &changed(&own, place, json!(value)),
            "/spec/ownershipType",
            json!("Public"),
        );
        let answer = webhook.validate_update("bob", &own, &opened).await;
        assert_eq!(answer.code, 403, "{place}: {answer:?}");
        assert!(answer.message.contains("spec.ownershipType"), "{answer:?}");
        assert!(webhook.validate_update("alice", &own, &opened).await.allowed);
    }
    // Setting OwnerOnly takes effect at once, also for a stop and a deletion.
    let closed = changed(&public(&json!({})), "/spec/ownershipType", json!("OwnerOnly"));
    let stop = changed(&closed, "/spec/desiredStatus", json!("Stopped"));
    assert_eq!(webhook.validate_update("bob", &closed, &stop).await.code, 403);
    assert_eq!(webhook.validate_delete("bob", &closed).await.code, 403);
}

#[tokio::test]
async fn a_template_that_is_gone_makes_nothing_public() {
    let mut template = testkit::objects::template("prod");
    template.spec.default_ownership_type = Some(api::workspace::OwnershipType::Public);
    let known = Cluster::with(template).webhook();
    let gone = Cluster::with(testkit::objects::template("another")).webhook();
    let lab = workspace(json!({"templateRef": "prod"}));
    let stop = changed(&lab, "/spec/desiredStatus", json!("Stopped"));
    assert!(known.validate_update("bob", &lab, &stop).await.allowed);
    assert!(known.validate_delete("bob", &lab).await.allowed);
    assert_eq!(gone.validate_update("bob", &lab, &stop).await.code, 403);
    assert_eq!(gone.validate_delete("bob", &lab).await.code, 403);
    assert!(gone.validate_update("alice", &lab, &stop).await.allowed);
}

#[tokio::test]
async fn an_editor_needs_the_rights_of_a_start_and_may_stop_without() {
    let webhook = Cluster {
        grants: vec!["alice use workspacetemplates prod"],
        ..Cluster::with(testkit::objects::template("prod"))
    }
    .webhook();
    let (running, stopped) = (public(&json!({})), public(&json!({"desiredStatus": "Stopped"})));
    let start = changed(&stopped, "/spec/desiredStatus", json!("Running"));
    let answer = webhook.validate_update("bob", &stopped, &start).await;
    assert_eq!(answer.code, 403);
    assert!(answer.message.contains("you may not use it"), "{answer:?}");
    assert!(webhook.validate_update("alice", &stopped, &start).await.allowed);
    let stop = changed(&running, "/spec/desiredStatus", json!("Stopped"));
    assert!(webhook.validate_update("bob", &running, &stop).await.allowed);
    assert!(webhook.validate_delete("bob", &running).await.allowed);
}
