//! Claims and disk sizes in a written workspace, compared with the cluster.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::workspace;

fn claim(name: &str, annotations: Value, class: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "team", "annotations": annotations},
        "spec": {"storageClassName": class, "volumeName": "pv-1", "resources": {"requests": {"storage": "10Gi"}}},
    })
}

/// A stored workspace with a disk of 10Gi, whose class allows expansion or not.
fn cluster(class: &str, expands: Value) -> Cluster {
    let disk = claim(
        "workspace-demo",
        json!({"workspaces.jupyter.org/workspace-uid": "u-1"}),
        class,
    );
    let class =
        json!({"metadata": {"name": "standard"}, "provisioner": "x.org/y", "allowVolumeExpansion": expands});
    Cluster {
        managers: vec![testkit::objects::manager("main")],
        claims: vec![serde_json::from_value(disk).unwrap()],
        classes: vec![serde_json::from_value(class).unwrap()],
        grants: vec!["* use persistentvolumeclaims *"],
        ..Cluster::default()
    }
}

fn sized(size: &str) -> Value {
    let mut workspace = workspace(json!({"storage": {"size": size}}));
    workspace["metadata"]["name"] = json!("demo");
    workspace["metadata"]["uid"] = json!("u-1");
    workspace
}

#[tokio::test]
async fn a_disk_may_grow_where_its_class_expands_it_and_go_back_to_what_it_has_anyway() {
    let webhook = cluster("standard", json!(true)).webhook();
    let grown = webhook
        .validate_update("alice", &sized("10Gi"), &sized("20Gi"))
        .await;
    assert!(grown.allowed && grown.warnings.is_empty(), "{grown:?}");
    let webhook = cluster("standard", json!(false)).webhook();
    let back = webhook
        .validate_update("alice", &sized("20Gi"), &sized("10Gi"))
        .await;
    assert!(back.allowed && back.warnings.is_empty(), "{back:?}");
    let mut renamed = sized("20Gi");
    renamed["spec"]["displayName"] = json!("Another");
    let renamed = webhook.validate_update("alice", &sized("20Gi"), &renamed).await;
    assert!(
        renamed.allowed,
        "stored values do not prevent other changes: {renamed:?}"
    );
}

#[tokio::test]
async fn class_and_size_of_a_disk_change_until_it_has_a_volume() {
    let with = |class: &str, size: &str| {
        let mut object = sized(size);
        object["spec"]["storage"]["storageClassName"] = json!(class);
        object
    };
    let before = with("nope", "10Gi");
    for after in [
        with("standard", "10Gi"),
        with("nope", "20Gi"),
        with("nope", "1Gi"),
    ] {
        let bound = cluster("nope", json!(false));
        let refused = bound.webhook().validate_update("alice", &before, &after).await;
        assert_eq!(refused.code, 422, "{after}: {refused:?}");
        let mut pending = cluster("nope", json!(false));
        pending.claims[0].spec.as_mut().unwrap().volume_name = None;
        let answer = pending.webhook().validate_update("alice", &before, &after).await;
        assert!(
            answer.allowed && answer.warnings.is_empty(),
            "{after}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_disk_of_another_owner_or_an_unreadable_one_does_not_prevent_growth() {
    let mut other = cluster("standard", json!(false));
    other.claims[0].metadata.annotations = None;
    let grown = other
        .webhook()
        .validate_update("alice", &sized("10Gi"), &sized("20Gi"))
        .await;
    assert!(grown.allowed && grown.warnings.is_empty(), "{grown:?}");
    let mut hidden = cluster("standard", json!(false));
    hidden.claims_are_hidden = true;
    let grown = hidden
        .webhook()
        .validate_update("alice", &sized("10Gi"), &sized("20Gi"))
        .await;
    assert!(grown.allowed, "{grown:?}");
    assert_eq!(
        grown.warnings,
        ["spec.storage.size: whether the disk can grow is unknown now; the workspace's status will show it"]
    );
}

#[tokio::test]
async fn a_claim_that_is_or_was_the_disk_of_another_workspace_is_refused_at_once() {
    let mut there = cluster("standard", json!(false));
    for (name, annotations) in [
        ("kept", json!({"workspaces.jupyter.org/workspace-uid": "u-9"})),
        ("data", json!({})),
    ] {
        there
            .claims
            .push(serde_json::from_value(claim(name, annotations, "standard")).unwrap());
    }
    let volume = |claim: &str| json!({"name": "v", "persistentVolumeClaimName": claim, "mountPath": "/v"});
    let webhook = there.clone().webhook();
    for (spec, field) in [
        (
            json!({"storage": {"claimName": "kept"}}),
            "spec.storage.claimName",
        ),
        (
            json!({"volumes": [volume("kept")]}),
            "spec.volumes[0].persistentVolumeClaimName",
        ),
    ] {
        let refused = webhook.validate_create("alice", &workspace(spec)).await;
        assert_eq!(refused.code, 422, "{refused:?}");
        let line = format!(r#"{field}: "kept" is or was the disk of another workspace: name another claim"#);
        assert!(refused.message.contains(&line), "{refused:?}");
    }
    for fine in ["data", "not-yet"] {
        let answer = webhook
            .validate_create("alice", &workspace(json!({"volumes": [volume(fine)]})))
            .await;
        assert!(answer.allowed, "{fine}: {answer:?}");
    }
    there.claims_are_hidden = true;
    let hidden = there.webhook();
    let answer = hidden
        .validate_create("alice", &workspace(json!({"storage": {"claimName": "kept"}})))
        .await;
    assert!(answer.allowed, "the operator reports it: {answer:?}");
    let unknown = r#"spec.storage.claimName: whether the claim "kept" is the disk of another workspace is unknown now; the workspace's status will show it"#;
    assert_eq!(answer.warnings, [unknown]);
}

#[tokio::test]
async fn a_claim_that_is_named_only_later_is_checked_too() {
    let mut there = cluster("standard", json!(false));
    let kept = claim(
        "kept",
        json!({"workspaces.jupyter.org/workspace-uid": "u-9"}),
        "standard",
    );
    there.claims.push(serde_json::from_value(kept).unwrap());
    let webhook = there.webhook();
    let named = workspace(json!({"storage": {"claimName": "kept"}}));
    let refused = webhook
        .validate_update("alice", &workspace(json!({})), &named)
        .await;
    assert_eq!(refused.code, 422, "{refused:?}");
    assert!(refused.message.contains("another workspace"), "{refused:?}");
    let mut renamed = named.clone();
    renamed["spec"]["displayName"] = json!("Another");
    let renamed = webhook.validate_update("alice", &named, &renamed).await;
    assert!(
        renamed.allowed,
        "stored values do not prevent other changes: {renamed:?}"
    );
}

#[tokio::test]
async fn a_stop_that_deletes_files_gives_a_warning() {
    let webhook = cluster("standard", json!(false)).webhook();
    let of = |status: &str, state: Value| {
        let mut object = workspace(json!({"desiredStatus": status}));
        object["status"] = state;
        object
    };
    let no_disk = json!({"resolved": {"storage": {"mountPath": "/home", "ephemeral": true}}});
    let disk = json!({
        "resolved": {"storage": {"mountPath": "/home"}}, "disk": {"claimUID": "c", "size": "1Gi"},
    });
    let mut terminating = disk.clone();
    terminating["terminatingClaims"] = json!(["data"]);
    for (state, warning) in [
        (
            &no_disk,
            "the workspace stops: the files in its home are deleted, because the home has no disk",
        ),
        (
            &terminating,
            "the workspace stops: its home is kept; files are deleted with the PersistentVolumeClaim data, which a user deleted, \
             unless its volume is kept",
        ),
    ] {
        let stop = webhook
            .validate_update(
                "alice",
                &of("Running", state.clone()),
                &of("Stopped", state.clone()),
            )
            .await;
        assert!(stop.allowed, "{stop:?}");
        assert_eq!(stop.warnings, [warning]);
    }
    for (before, after) in [
        (of("Running", disk.clone()), of("Stopped", disk)),
        (of("Stopped", no_disk.clone()), of("Running", no_disk.clone())),
        (of("Stopped", no_disk.clone()), of("Stopped", no_disk)),
    ] {
        let answer = webhook.validate_update("alice", &before, &after).await;
        assert!(answer.allowed, "{answer:?}");
        let about_files = |it: &&String| it.contains("files are deleted");
        assert_eq!(answer.warnings.iter().find(about_files), None);
    }
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_claims() {
    let mut there = cluster("standard", json!(false));
    there.grants.clear();
    there.claims.push(
        serde_json::from_value(claim(
            "kept",
            json!({"workspaces.jupyter.org/workspace-uid": "u-9"}),
            "standard",
        ))
        .unwrap(),
    );
    let webhook = there.webhook();
    let refused = webhook
        .validate_create("mallory", &workspace(json!({"storage": {"claimName": "kept"}})))
        .await;
    assert_eq!(refused.code, 403, "{refused:?}");
    assert!(!refused.message.contains("another workspace"), "{refused:?}");
}
