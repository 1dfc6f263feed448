//! Statuses with values of another version do not affect what users may write.

use api::{Workspace, WorkspaceManager, WorkspaceShare, WorkspaceTemplate};
use kube::CustomResourceExt;
use serde_json::{Value, json};
use testkit::{objects, unknown};

use crate::cluster::Cluster;
use crate::support::{Webhook, workspace};

/// `alice` labels and changes each object of a kind with an unknown value in its status.
async fn all_may_be_written<K: CustomResourceExt>(
    webhook: &Webhook,
    object: &Value,
    change: &dyn Fn(&mut Value),
) {
    let (_, unknown) = unknown::statuses::<K>(object);
    assert!(unknown.len() > 30);
    for one in unknown {
        let mut new = one.object.clone();
        change(&mut new);
        let answer = webhook.validate_update("alice", &one.object, &new).await;
        assert!(answer.allowed, "{}: {answer:?}", one.path);
    }
}

fn label(object: &mut Value) {
    object["metadata"]["labels"] = json!({"a": "b"});
}

#[tokio::test]
async fn an_object_with_any_status_can_be_labelled_stopped_and_deleted() {
    let webhook = Cluster::with(objects::template("prod")).webhook();
    let demo = workspace(json!({"templateRef": "prod"}));
    all_may_be_written::<Workspace>(&webhook, &demo, &label).await;
    let stop = |object: &mut Value| object["spec"]["desiredStatus"] = json!("Stopped");
    all_may_be_written::<Workspace>(&webhook, &demo, &stop).await;
    let (_, unknown) = unknown::statuses::<Workspace>(&demo);
    for one in unknown {
        let answer = webhook.validate_delete("alice", &one.object).await;
        assert!(answer.allowed, "{}: {answer:?}", one.path);
    }
    all_may_be_written::<WorkspaceTemplate>(&webhook, &json!(objects::template("prod")), &label).await;
    all_may_be_written::<WorkspaceManager>(&webhook, &json!(objects::manager("main")), &label).await;
    let share = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceShare",
        "metadata": {"name": "s", "namespace": "team", "annotations": {api::names::CREATED_BY: "alice", api::names::SHARED_FOR: "alice"}},
        "spec": {"workspaceRef": "demo", "workspaceUID": "u", "subjects": [{"kind": "User", "name": "bob"}], "role": "Connect"},
    });
    all_may_be_written::<WorkspaceShare>(&webhook, &share, &label).await;
}
