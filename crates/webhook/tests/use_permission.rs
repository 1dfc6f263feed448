//! The `use` permission for objects that a workspace refers to.

use api::WorkspaceTemplate;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::{GATEWAY, OPERATOR, workspace};

fn cluster() -> Cluster {
    Cluster {
        grants: Vec::new(),
        managers: vec![
            testkit::objects::manager("main"),
            testkit::objects::manager("other"),
        ],
        ..Cluster::with(testkit::objects::template("prod"))
    }
}

fn of_template(mut spec: Value) -> Value {
    spec["templateRef"] = json!("prod");
    workspace(spec)
}

#[tokio::test]
async fn a_template_is_used_only_with_the_right_and_its_content_is_hidden() {
    let webhook = cluster()
        .granting(&["alice use workspacetemplates prod"])
        .webhook();
    assert!(
        webhook
            .validate_create("alice", &of_template(json!({})))
            .await
            .allowed
    );
    let mut other = of_template(json!({"image": "evil:1", "resources": {"limits": {"cpu": "64"}}}));
    other["metadata"]["annotations"][api::names::CREATED_BY] = json!("bob");
    let answer = webhook.validate_create("bob", &other).await;
    assert_eq!(answer.code, 403);
    assert_eq!(
        answer.message,
        "spec.templateRef: \"prod\" does not exist, or you may not use it: choose another WorkspaceTemplate (kubectl get \
         workspacetemplates), or ask an administrator for the verb use on it"
    );
    // An absent object gets the same answer.
    other["spec"]["templateRef"] = json!("secret");
    let missing = webhook.validate_create("bob", &other).await;
    assert_eq!(missing.message, answer.message.replace("prod", "secret"));
    assert!(missing.warnings.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn a_profile_or_manager_without_the_right_is_hidden() {
    let mut manager = testkit::objects::manager("hidden");
    manager.metadata.annotations = None;
    manager.spec.authentication = serde_json::from_value(json!({"none": {}})).unwrap();
    manager.spec.routing = serde_json::from_value(json!({
        "baseDomain": "example.org",
        "custom": {"resources": [{"apiVersion": "internal.example/v1", "kind": "Confidential", "spec": {}}]},
    }))
    .unwrap();
    let mut cluster = cluster();
    cluster.managers.push(manager);
    cluster.profiles = vec![testkit::objects::execution_profile(
        "confidential",
        &json!({"env": [{"name": "bad name=", "value": "Confidential"}], "serviceAccount": {"perWorkspace": {"annotations": {"a/b": "{no.such}-Confidential"}}}}),
    )];
    cluster.profiles[0].metadata.namespace = Some("team".to_owned());
    let new = of_template(json!({"managerRef": "hidden", "executionProfileRef": "confidential"}));
    // Users with the permission get the warning.
    let message = cluster
        .clone()
        .granting(&["* use * *"])
        .webhook()
        .validate_create("alice", &new)
        .await;
    assert!(message.message.contains("Confidential"), "{message:?}");
    let refused = cluster
        .granting(&["* use workspacetemplates *"])
        .webhook()
        .validate_create("alice", &new)
        .await;
    assert_eq!(refused.code, 403);
    assert!(!refused.message.contains("Confidential"), "{refused:?}");
    assert_eq!(
        refused.message.matches("you may not use it").count(),
        2,
        "{refused:?}"
    );
    assert_eq!(refused.message.matches("; ").count(), 1, "{refused:?}");
}

#[tokio::test]
async fn a_profile_of_a_hidden_template_is_hidden() {
    let mut template: WorkspaceTemplate = testkit::objects::template("prod");
    template.spec.execution_profile_ref = Some("standard".to_owned());
    let profile = testkit::objects::execution_profile(
        "standard",
        &json!({"serviceAccount": {"perWorkspace": {"annotations": {"a/b": "{no.such}"}}}}),
    );
    let mut cluster = Cluster {
        grants: Vec::new(),
        profiles: vec![profile],
        ..Cluster::with(template)
    };
    cluster.profiles[0].metadata.namespace = Some("team".to_owned());
    let refused = cluster
        .webhook()
        .validate_create("alice", &of_template(json!({})))
        .await;
    assert!(refused.message.starts_with("spec.templateRef"), "{refused:?}");
    assert!(!refused.message.contains("no.such"), "{refused:?}");
}

#[tokio::test]
async fn our_own_processes_start_without_rights_of_a_user() {
    let webhook = cluster().webhook();
    let (stopped, started) = (
        of_template(json!({"desiredStatus": "Stopped"})),
        of_template(json!({"desiredStatus": "Running"})),
    );
    for account in [GATEWAY, OPERATOR] {
        assert!(webhook.validate_update(account, &stopped, &started).await.allowed);
    }
    assert!(webhook.reviews().is_empty());
}
