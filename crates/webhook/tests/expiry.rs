//! Stopped workspaces that the operator deletes, and the limit that says when.

use api::names::CREATED_BY;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::{OPERATOR, Webhook, workspace};

fn webhook() -> Webhook {
    let template = testkit::objects::template("prod");
    Cluster::with(template).webhook()
}

/// A stopped workspace of alice, of which the status says when it is deleted.
fn expired(minutes_ago: i64) -> Value {
    let mut object = workspace(json!({
        "templateRef": "prod", "desiredStatus": "Stopped", "limits": {"stoppedRetentionDays": 30}, "storage": {"retain": "Delete"},
    }));
    let time = |past: SignedDuration| {
        let time = Timestamp::now() - past;
        Timestamp::from_second(time.as_second()).unwrap().to_string()
    };
    object["metadata"]["generation"] = json!(3);
    object["status"] = json!({
        "observedGeneration": 3, "owner": object["metadata"]["annotations"][CREATED_BY],
        "resolved": {"stoppedRetentionDays": 30}, "deletesAt": time(SignedDuration::from_mins(minutes_ago)),
        "conditions": [{
            "type": "Stopped", "status": "True", "reason": "Stopped", "message": "",
            "lastTransitionTime": time(SignedDuration::from_hours(24 * 31)),
        }],
    });
    object
}

#[tokio::test]
async fn the_operator_deletes_a_stopped_workspace_after_its_announced_time_and_no_other() {
    let webhook = webhook();
    let allowed = webhook.validate_delete(OPERATOR, &expired(1)).await;
    assert!(allowed.allowed, "{allowed:?}");
    let refused = async |change: fn(&mut Value)| {
        let mut object = expired(1);
        change(&mut object);
        let refused = webhook.validate_delete(OPERATOR, &object).await;
        assert_eq!(refused.code, 403, "{refused:?}");
        assert!(refused.message.starts_with("status.deletesAt: "), "{refused:?}");
        assert!(
            webhook.validate_delete("alice", &object).await.allowed,
            "its owner may"
        );
    };
    refused(|object| object["status"] = expired(-1)["status"].clone()).await;
    refused(|object| object["status"]["deletesAt"] = json!(null)).await;
    refused(|object| object["status"] = json!(null)).await;
    refused(|object| object["spec"]["desiredStatus"] = json!("Running")).await;
    refused(|object| object["status"]["conditions"][0]["status"] = json!("False")).await;
    refused(|object| object["metadata"]["generation"] = json!(4)).await;
    refused(|object| object["status"]["owner"] = json!("bob")).await;
}

#[tokio::test]
async fn a_retention_needs_the_word_about_the_disk_and_warns_where_nothing_is_deleted() {
    let webhook = webhook();
    let mut lab = expired(1);
    lab["status"] = json!(null);
    let allowed = webhook.validate_create("alice", &lab).await;
    assert!(allowed.allowed, "{allowed:?}");
    let has_no_effect =
        |warning: &String| warning.starts_with("spec.limits.stoppedRetentionDays has no effect");
    assert!(allowed.warnings.iter().any(has_no_effect), "{allowed:?}");
    let mut silent = lab.clone();
    silent["spec"]["storage"] = json!({"size": "1Gi"});
    let refused = webhook.validate_create("alice", &silent).await;
    assert_eq!(refused.code, 422);
    for part in [
        "spec.limits.stoppedRetentionDays: \"30\"",
        "write spec.storage.retain",
    ] {
        assert!(refused.message.contains(part), "{refused:?}");
    }
    let mut unlimited = silent.clone();
    unlimited["spec"]["limits"] = json!({});
    let allowed = webhook.validate_create("alice", &unlimited).await;
    assert!(
        allowed.allowed && !allowed.warnings.iter().any(has_no_effect),
        "{allowed:?}"
    );
    assert_eq!(
        webhook.validate_update("alice", &unlimited, &silent).await.code,
        422
    );
}
