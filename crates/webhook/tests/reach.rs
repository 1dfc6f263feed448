//! Secrets, configuration and claims that a workspace names.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::{Webhook, workspace};

fn webhook(grants: &[&'static str]) -> Webhook {
    Cluster::with(testkit::objects::template("other"))
        .granting(grants)
        .webhook()
}

fn reading(secret: &str) -> Value {
    workspace(json!({
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": secret, "key": "token"}}}],
        "storage": {"size": "1Gi"},
    }))
}

#[tokio::test]
async fn a_secret_is_named_only_by_those_who_may_read_it() {
    let webhook = webhook(&["alice get secrets mine"]);
    assert!(webhook.validate_create("alice", &reading("mine")).await.allowed);
    let refused = webhook.validate_create("alice", &reading("theirs")).await;
    assert_eq!(refused.code, 403);
    assert!(
        refused
            .message
            .starts_with(r#"spec.env[0].valueFrom.secretKeyRef.name: "theirs" is out of your reach"#),
        "{refused:?}"
    );
    assert!(
        refused.message.contains("the verb get on it (secrets)"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_claim_needs_the_right_to_use_it() {
    let webhook = webhook(&["alice use persistentvolumeclaims data"]);
    let mounting = |claim: &str| {
        workspace(json!({
            "storage": {"size": "1Gi"},
            "volumes": [{"name": "data", "persistentVolumeClaimName": claim, "mountPath": "/data"}],
        }))
    };
    assert!(webhook.validate_create("alice", &mounting("data")).await.allowed);
    let refused = webhook.validate_create("alice", &mounting("theirs")).await;
    assert_eq!(refused.code, 403);
    let home = workspace(json!({"storage": {"claimName": "theirs"}}));
    let refused = webhook.validate_create("alice", &home).await;
    assert!(
        refused.message.starts_with(r#"spec.storage.claimName: "theirs""#),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_was_named_before_is_not_asked_for_again() {
    let webhook = webhook(&[]);
    let old = reading("theirs");
    let mut new = old.clone();
    new["spec"]["port"] = json!(9999);
    let answer = webhook.validate_update("alice", &old, &new).await;
    assert!(answer.allowed, "{answer:?}");
    assert!(webhook.asked().is_empty());
    new["spec"]["env"][0]["valueFrom"]["secretKeyRef"]["name"] = json!("another");
    assert_eq!(webhook.validate_update("alice", &old, &new).await.code, 403);
    assert_eq!(webhook.asked(), ["alice get secrets another"]);
}

#[tokio::test]
async fn a_name_that_a_template_leaves_to_the_workspace_is_asked_for() {
    let mut template = testkit::objects::template("prod");
    template.spec.environment_variables = serde_json::from_value(json!([
        {"name": "OURS", "valueFrom": {"secretKeyRef": {"name": "ours", "key": "k"}}},
        {"name": "COURSE", "valueFrom": {"secretKeyRef": {"name": "course-{course}", "key": "k"}}},
    ]))
    .unwrap();
    let webhook = Cluster::with(template)
        .granting(&["alice get secrets course-ml"])
        .webhook();
    let of = |course: &str| workspace(json!({"templateRef": "prod", "variables": {"course": course}}));
    let answer = webhook.validate_create("alice", &of("ml")).await;
    assert!(answer.allowed, "{answer:?}");
    let refused = webhook.validate_create("alice", &of("db")).await;
    assert_eq!(refused.code, 403);
    assert!(
        refused
            .message
            .starts_with(r#"spec.variables: "course-db" is out of your reach"#),
        "{refused:?}"
    );
    assert_eq!(
        webhook.validate_update("alice", &of("ml"), &of("db")).await.code,
        403
    );
}
