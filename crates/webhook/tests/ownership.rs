//! Owners of workspaces: who may change them, and keys that users cannot write.

use api::names::{CREATED_BY, STARTED_BY};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::{COLLECTOR, GATEWAY, OPERATOR, Webhook, workspace};

fn webhook() -> Webhook {
    Cluster::with(testkit::objects::template("prod"))
        .granting(&["root administer workspaces demo"])
        .webhook()
}

fn owned_by(owner: &str) -> Value {
    let mut object = workspace(json!({"templateRef": "prod"}));
    object["metadata"]["annotations"][CREATED_BY] = json!(owner);
    object
}

fn with_annotation(key: &str, value: &str) -> Value {
    let mut object = owned_by("alice");
    object["metadata"]["annotations"][key] = json!(value);
    object
}

#[tokio::test]
async fn reserved_keys_are_refused_when_set_but_not_for_being_stored() {
    let webhook = webhook();
    let key = "workspaces.jupyter.org/unknown";
    let (plain, stored, changed) = (
        owned_by("alice"),
        with_annotation(key, "1"),
        with_annotation(key, "2"),
    );
    assert_eq!(webhook.validate_create("alice", &stored).await.code, 403);
    assert_eq!(webhook.validate_update("alice", &plain, &stored).await.code, 403);
    assert_eq!(
        webhook.validate_update("alice", &stored, &changed).await.code,
        403
    );
    let mut resized = stored.clone();
    resized["spec"]["storage"] = json!({"size": "2Gi"});
    assert!(webhook.validate_update("alice", &stored, &resized).await.allowed);
    assert!(webhook.validate_update("alice", &stored, &plain).await.allowed);
    let mut labelled = plain.clone();
    labelled["metadata"]["labels"] = json!({ api::names::WORKSPACE_LABEL: "x" });
    assert_eq!(
        webhook.validate_update("alice", &plain, &labelled).await.code,
        403
    );
}

#[tokio::test]
async fn only_the_gateway_records_who_pressed_start() {
    let webhook = webhook();
    let mut stopped = owned_by("alice");
    stopped["spec"]["desiredStatus"] = json!("Stopped");
    let mut started = with_annotation(STARTED_BY, "alice");
    started["spec"]["desiredStatus"] = json!("Running");
    assert!(webhook.validate_update(GATEWAY, &stopped, &started).await.allowed);
    assert_eq!(
        webhook.validate_update("alice", &stopped, &started).await.code,
        403
    );
}

#[tokio::test]
async fn controllers_and_pure_finalizer_removals_are_admitted_for_any_object() {
    let webhook = webhook();
    let mut deleting = owned_by("alice");
    deleting["spec"]["image"] = json!("evil:1");
    deleting["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut released = deleting.clone();
    released["metadata"]["finalizers"] = json!([]);
    assert!(webhook.validate_update("bob", &deleting, &released).await.allowed);
    let mut more = released.clone();
    more["metadata"]["annotations"][CREATED_BY] = json!("bob");
    assert_eq!(webhook.validate_update("bob", &deleting, &more).await.code, 403);
    let cleaned = {
        let mut object = owned_by("alice");
        object["spec"]["image"] = json!("evil:1");
        object["metadata"]["ownerReferences"] = json!([]);
        object
    };
    assert!(
        webhook
            .validate_update(COLLECTOR, &cleaned, &released)
            .await
            .allowed
    );
    assert!(webhook.validate_delete(COLLECTOR, &cleaned).await.allowed);
}

/// A stolen token of the portal may act under the name of a controller.
#[tokio::test]
async fn under_the_name_of_a_controller_nobody_writes_what_users_write() {
    let webhook = webhook();
    let stored = owned_by("alice");
    let mut labelled = stored.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let mut other_port = stored.clone();
    other_port["spec"]["port"] = json!(9999);
    for new in [&labelled, &other_port] {
        let refused = webhook.validate_update(COLLECTOR, &stored, new).await;
        assert_eq!(refused.code, 403, "{new}: {refused:?}");
    }
    assert!(
        webhook
            .validate_update("alice", &stored, &other_port)
            .await
            .allowed
    );
}

#[tokio::test]
async fn a_workspace_is_changed_and_deleted_by_its_owner_and_by_administrators() {
    let webhook = webhook();
    let (old, mut new) = (owned_by("alice"), owned_by("alice"));
    new["spec"]["storage"] = json!({"size": "2Gi"});
    for (user, allowed) in [("alice", true), ("root", true), ("bob", false), ("hub", false)] {
        let update = webhook.validate_update(user, &old, &new).await;
        assert_eq!(update.allowed, allowed, "{user}: {update:?}");
        let delete = webhook.validate_delete(user, &old).await;
        assert_eq!(delete.allowed, allowed, "{user}: {delete:?}");
    }
    let refused = webhook.validate_delete("bob", &old).await;
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.message,
        r#"metadata.name: "demo" is deleted only by its owner and by holders of the verb administer on it: ask one of them"#
    );
    let refused = webhook.validate_update("bob", &old, &new).await;
    assert_eq!(
        refused.message,
        "spec.storage: must stay as it is: the workspace \"demo\" is changed only by its owner and by holders of the verb administer on \
         it: ask one of them"
    );
    let reviews = webhook.reviews();
    assert!(
        !reviews.iter().any(|line| line.starts_with("alice administer")),
        "{reviews:?}"
    );
}

#[tokio::test]
async fn labels_annotations_and_a_stop_are_the_owner_s_too_but_writing_it_back_is_no_change() {
    let webhook = webhook();
    let old = owned_by("alice");
    for (place, value) in [
        ("/metadata/labels", json!({"a": "b"})),
        ("/spec/desiredStatus", json!("Stopped")),
        ("/metadata/finalizers", json!([])),
        ("/metadata/annotations/note", json!("x")),
    ] {
        let mut new = old.clone();
        let (parent, key) = place.rsplit_once('/').unwrap();
        new.pointer_mut(parent).unwrap()[key] = value;
        assert_eq!(
            webhook.validate_update("bob", &old, &new).await.code,
            403,
            "{place}"
        );
        assert!(
            webhook.validate_update("alice", &old, &new).await.allowed,
            "{place}"
        );
    }
    assert!(webhook.validate_update("bob", &old, &old).await.allowed);
}

#[tokio::test]
async fn no_user_becomes_a_field_manager_of_another_owner_s_workspace() {
    let webhook = webhook();
    let entry = |manager: &str| json!({"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}});
    let managed_by = |entries: Value| {
        let mut object = owned_by("alice");
        object["metadata"]["managedFields"] = entries;
        object
    };
    let old = managed_by(json!([entry("hers")]));
    // An apply without a change, and an update that removes all managed fields.
    for new in [
        managed_by(json!([entry("hers"), entry("his")])),
        managed_by(json!([{}])),
    ] {
        let refused = webhook.validate_update("bob", &old, &new).await;
        assert_eq!(refused.code, 403, "{refused:?}");
        assert!(
            refused
                .message
                .starts_with("metadata.managedFields: must stay as it is"),
            "{refused:?}"
        );
        for user in ["alice", "root", GATEWAY, OPERATOR] {
            let answer = webhook.validate_update(user, &old, &new).await;
            assert!(answer.allowed, "{user}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_template_may_make_its_workspaces_public_and_a_workspace_may_disagree() {
    let mut template = testkit::objects::template("prod");
    template.spec.default_ownership_type = Some(api::workspace::OwnershipType::Public);
    let webhook = Cluster::with(template).webhook();
    let (old, mut new) = (owned_by("alice"), owned_by("alice"));
    new["spec"]["storage"] = json!({"size": "2Gi"});
    assert!(webhook.validate_update("bob", &old, &new).await.allowed);
    let mut own = old.clone();
    own["spec"]["ownershipType"] = json!("OwnerOnly");
    assert_eq!(webhook.validate_delete("bob", &own).await.code, 403);
}

#[tokio::test]
async fn in_a_namespace_that_is_being_deleted_all_deletions_pass() {
    let webhook = Cluster {
        leaving: true,
        ..Cluster::with(testkit::objects::template("prod"))
    }
    .webhook();
    let (old, mut new) = (owned_by("alice"), owned_by("alice"));
    assert!(webhook.validate_delete("bob", &old).await.allowed);
    new["spec"]["storage"] = json!({"size": "2Gi"});
    assert_eq!(webhook.validate_update("bob", &old, &new).await.code, 403);
}

#[tokio::test]
async fn a_workspace_without_owner_is_its_administrators_alone() {
    let webhook = webhook();
    for user in ["", "bob"] {
        assert_eq!(
            webhook.validate_delete(user, &owned_by("")).await.code,
            403,
            "{user}"
        );
    }
    assert!(webhook.validate_delete("root", &owned_by("")).await.allowed);
}
