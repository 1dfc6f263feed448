//! Claims and disk sizes in a written workspace, compared with the cluster.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::workspace;

fn claim(name: &str, annotations: Value, class: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "team", "annotations": annotations},
        "spec": {"storageClassName": class, "resources": {"requests": {"storage": "10Gi"}}},
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
async fn a_disk_of_a_class_that_cannot_expand_does_not_grow() {
    for (class, expands, why) in [
        (
            "standard",
            json!(false),
            r#"its StorageClass "standard" cannot expand disks"#,
        ),
        (
            "standard",
            Value::Null,
            r#"its StorageClass "standard" cannot expand disks (allowVolumeExpansion is not true)"#,
        ),
        (
            "gone",
            json!(true),
            r#"its StorageClass "gone" does not exist any more"#,
        ),
        ("", json!(true), "it has no StorageClass"),
    ] {
        let webhook = cluster(class, expands).webhook();
        let refused = webhook
            .validate_update("alice", &sized("10Gi"), &sized("20Gi"))
            .await;
        assert_eq!(refused.code, 422, "{refused:?}");
        let start = r#"spec.storage.size: "20Gi" is more than the disk has, 10Gi, and "#;
        assert!(refused.message.contains(&format!("{start}{why}")), "{refused:?}");
        assert!(refused.message.contains("keep 10Gi"), "{refused:?}");
    }
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
async fn a_size_below_what_the_disk_has_is_refused_also_where_there_was_none_before() {
    let mut unsized_one = sized("1Gi");
    unsized_one["spec"]["storage"] = json!({});
    for before in [&unsized_one, &sized("20Gi")] {
        let webhook = cluster("standard", json!(true)).webhook();
        let refused = webhook.validate_update("alice", before, &sized("5Gi")).await;
        assert_eq!(refused.code, 422, "{refused:?}");
        let expected = r#"spec.storage.size: "5Gi" is less than the disk has, 10Gi, and a disk does not shrink: keep 10Gi, or ask for more"#;
        assert!(refused.message.contains(expected), "{refused:?}");
    }
    let webhook = cluster("standard", json!(true)).webhook();
    let named = webhook
        .validate_update("alice", &unsized_one, &sized("10Gi"))
        .await;
    assert!(named.allowed && named.warnings.is_empty(), "{named:?}");
    let mut other = cluster("standard", json!(true));
    other.claims[0].metadata.annotations = None;
    let smaller = other
        .webhook()
        .validate_update("alice", &unsized_one, &sized("5Gi"))
        .await;
    assert!(smaller.allowed, "another owner's disk: {smaller:?}");
}

#[tokio::test]
async fn another_class_or_claim_is_refused_also_where_none_was_set_before() {
    let with = |storage: Value| {
        let mut workspace = sized("1Gi");
        workspace["spec"]["storage"] = storage;
        workspace
    };
    for (storage, expected) in [
        (
            json!({"storageClassName": "fast"}),
            r#"spec.storage.storageClassName: "fast" is not the class of the workspace's disk, "standard", and a disk cannot move to another class"#,
        ),
        (
            json!({"claimName": "data"}),
            r#"spec.storage.claimName: "data" is not the disk that the workspace has, and a workspace keeps its disk"#,
        ),
    ] {
        for before in [with(Value::Null), with(json!({}))] {
            let webhook = cluster("standard", json!(true)).webhook();
            let refused = webhook
                .validate_update("alice", &before, &with(storage.clone()))
                .await;
            assert_eq!(refused.code, 422, "{refused:?}");
            assert!(refused.message.contains(expected), "{refused:?}");
        }
        let mut without = cluster("standard", json!(true));
        without.claims[0].metadata.annotations = None;
        let moved = without
            .webhook()
            .validate_update("alice", &with(Value::Null), &with(storage))
            .await;
        assert!(moved.allowed, "it has no disk of its own: {moved:?}");
    }
    let webhook = cluster("standard", json!(true)).webhook();
    let message = with(json!({"storageClassName": "standard"}));
    let same = webhook
        .validate_update("alice", &with(Value::Null), &message)
        .await;
    assert!(same.allowed && same.warnings.is_empty(), "{same:?}");
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
async fn an_idle_stop_without_a_disk_gives_a_warning_about_lost_files() {
    let webhook = cluster("standard", json!(false)).webhook();
    let message = |answer: crate::support::Answer| -> bool {
        assert!(answer.allowed, "{answer:?}");
        answer.warnings.iter().any(|it| {
            it.contains("after 30 min without use, and the files in its home directory are lost then")
        })
    };
    let idle = json!({"idleTimeoutInMinutes": 30});
    let bare = workspace(json!({ "idleShutdown": idle }));
    assert!(message(webhook.validate_create("alice", &bare).await));
    assert!(message(
        webhook
            .validate_update("alice", &workspace(json!({})), &bare)
            .await
    ));
    let disk = workspace(json!({"idleShutdown": idle, "storage": {"size": "1Gi"}}));
    assert!(!message(webhook.validate_create("alice", &disk).await));
    let off = workspace(json!({"idleShutdown": {"enabled": false, "idleTimeoutInMinutes": 30}}));
    assert!(!message(webhook.validate_create("alice", &off).await));
    let mut renamed = bare.clone();
    renamed["spec"]["displayName"] = json!("Another");
    assert!(!message(webhook.validate_update("alice", &bare, &renamed).await));
}

#[tokio::test]
async fn a_stop_without_a_disk_gives_a_warning() {
    let webhook = cluster("standard", json!(false)).webhook();
    let of = |status: &str, storage: Value| workspace(json!({"desiredStatus": status, "storage": storage}));
    let no_disk = Value::Null;
    let stop = webhook
        .validate_update(
            "alice",
            &of("Running", no_disk.clone()),
            &of("Stopped", no_disk.clone()),
        )
        .await;
    assert!(stop.allowed, "{stop:?}");
    assert_eq!(
        stop.warnings,
        ["the workspace has no disk: its files are deleted when it stops"]
    );
    let disk = json!({"size": "1Gi"});
    for (before, after) in [
        (of("Running", disk.clone()), of("Stopped", disk)),
        (of("Stopped", no_disk.clone()), of("Running", no_disk.clone())),
        (of("Stopped", no_disk.clone()), of("Stopped", no_disk)),
    ] {
        let answer = webhook.validate_update("alice", &before, &after).await;
        assert!(answer.allowed, "{answer:?}");
        let about_files = |it: &&String| it.contains("its files are deleted");
        assert_eq!(answer.warnings.iter().find(about_files), None);
    }
}

#[tokio::test]
async fn a_warning_about_lost_files_names_what_the_template_allows() {
    for (bounds, may_be_off) in [
        (json!({}), true),
        (json!({"maxIdleTimeoutInMinutes": 120}), false),
        (json!({"allow": false}), false),
    ] {
        let mut template = testkit::objects::template("prod");
        template.spec.primary_storage = None;
        template.spec.default_idle_shutdown =
            serde_json::from_value(json!({"idleTimeoutInMinutes": 30})).unwrap();
        template.spec.idle_shutdown_overrides = serde_json::from_value(bounds).unwrap();
        let webhook = Cluster::with(template).webhook();
        let new = workspace(json!({"templateRef": "prod"}));
        let answer = webhook.validate_create("alice", &new).await;
        let warning = answer.warnings.iter().find(|it| it.contains("set spec.storage"));
        let warning = warning.unwrap_or_else(|| panic!("{answer:?}"));
        assert_eq!(
            warning.contains("idleShutdown.enabled: false"),
            may_be_off,
            "{warning}"
        );
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
