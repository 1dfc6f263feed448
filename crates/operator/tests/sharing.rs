//! Shares: bound, owned, ended and removed.

use api::{
    Workspace, WorkspaceManager, WorkspaceShare,
    condition::{self, ACTIVE, reason},
    names::CREATED_BY,
};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use operator::controllers::shares;
use serde_json::{Value, json};
use testkit::{
    api_server::Disruption,
    objects::{self, NAMESPACE, OWNER},
};

use crate::stage::Stage;

pub(crate) fn put_share(stage: &Stage, spec: &Value) {
    let mut share = json!({
        "metadata": {"name": "s", "namespace": NAMESPACE, "annotations": {CREATED_BY: OWNER}},
        "spec": {"workspaceRef": "demo", "subjects": [{"kind": "User", "name": "bob"}]},
    });
    for (key, value) in spec.as_object().unwrap() {
        share["spec"][key] = value.clone();
    }
    let share: WorkspaceShare = serde_json::from_value(share).unwrap();
    stage.server.put(&share);
}

fn stored(stage: &Stage) -> Option<WorkspaceShare> {
    stage.server.get(Some(NAMESPACE), "s")
}

/// Reason of the condition `Active`.
pub(crate) fn reported(stage: &Stage) -> String {
    let status = stored(stage).unwrap().status.unwrap();
    condition::find(&status.conditions, ACTIVE)
        .unwrap()
        .reason
        .clone()
}

fn from_now(seconds: i64) -> String {
    (Timestamp::now() + SignedDuration::from_secs(seconds)).to_string()
}

async fn reconcile(stage: &mut Stage) -> Option<std::time::Duration> {
    stage.sync();
    shares::reconcile(&stage.context).await
}

#[tokio::test]
async fn a_share_becomes_active_with_one_event_and_is_deleted_with_its_workspace() {
    let mut stage = Stage::new();
    stage.server.put(&objects::workspace("demo"));
    put_share(&stage, &json!({"workspaceUID": "uid-of-demo"}));
    stage.server.take_calls();
    reconcile(&mut stage).await;
    assert_eq!(
        stage.writes(),
        [
            "PATCH workspaceshares/s/status",
            "POST events",
            "PATCH workspaceshares/s"
        ]
    );
    assert_eq!(reported(&stage), reason::SHARED);
    let owners = stored(&stage).unwrap().owner_references().to_vec();
    assert_eq!(owners[0].uid, "uid-of-demo");
    assert_eq!(reconcile(&mut stage).await, None);
    assert_eq!(
        stage.server.take_calls().len(),
        0,
        "a settled share costs nothing"
    );
}

#[tokio::test]
async fn an_early_share_waits_for_the_workspace_of_its_creator_alone() {
    let mut stage = Stage::new();
    put_share(&stage, &json!({}));
    reconcile(&mut stage).await;
    assert_eq!(reported(&stage), reason::WORKSPACE_NOT_FOUND);
    let mut foreign = objects::workspace("demo");
    let annotations = foreign.metadata.annotations.as_mut().unwrap();
    annotations.insert(CREATED_BY.to_owned(), "mallory".to_owned());
    stage.server.put(&foreign);
    reconcile(&mut stage).await;
    assert_eq!(reported(&stage), reason::OWNER_CHANGED);
    assert_eq!(stored(&stage).unwrap().status.unwrap().workspace_uid, None);
    stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
    stage.server.put(&objects::workspace("demo"));
    reconcile(&mut stage).await;
    assert_eq!(reported(&stage), reason::SHARED);
    let bound = stored(&stage).unwrap().status.unwrap().workspace_uid;
    assert_eq!(bound.as_deref(), Some("uid-of-demo"));
}

#[tokio::test]
async fn the_end_is_waited_for_and_the_object_removed_an_hour_later() {
    let mut stage = Stage::new();
    stage.server.put(&objects::workspace("demo"));
    put_share(&stage, &json!({"expiresAt": from_now(30)}));
    let again = reconcile(&mut stage).await.unwrap();
    assert!((28..=30).contains(&again.as_secs()), "{again:?}");
    put_share(&stage, &json!({"expiresAt": from_now(-5)}));
    let again = reconcile(&mut stage).await.unwrap();
    assert_eq!(reported(&stage), reason::EXPIRED);
    assert!((3590..=3595).contains(&again.as_secs()), "{again:?}");
    put_share(&stage, &json!({"expiresAt": from_now(-3601)}));
    reconcile(&mut stage).await;
    assert!(stored(&stage).is_none());
}

#[tokio::test]
async fn one_that_is_prolonged_at_the_last_moment_is_not_removed() {
    let mut stage = Stage::new();
    stage.server.put(&objects::workspace("demo"));
    put_share(&stage, &json!({"expiresAt": from_now(-3601)}));
    stage.server.disrupt(
        Method::DELETE,
        "workspaceshares",
        Disruption::Meanwhile(Box::new(|server| {
            server.edit::<WorkspaceShare>(Some(NAMESPACE), "s", |share| {
                share["spec"]["expiresAt"] = json!(from_now(60));
            });
        })),
    );
    assert!(reconcile(&mut stage).await.is_some());
    reconcile(&mut stage).await;
    assert_eq!(reported(&stage), reason::SHARED);
}

#[tokio::test]
async fn a_share_of_a_workspace_that_is_gone_is_removed_and_not_while_a_cache_is_behind() {
    let mut stage = Stage::new();
    put_share(&stage, &json!({"workspaceUID": "uid-of-demo"}));
    stage.sync();
    stage.server.put(&objects::workspace("demo"));
    shares::reconcile(&stage.context).await;
    assert!(
        stored(&stage).is_some(),
        "the workspace is there, only not seen yet"
    );
    stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
    reconcile(&mut stage).await;
    assert!(stored(&stage).is_none());
}

#[tokio::test]
async fn a_change_of_owner_and_the_manager_end_shares_with_an_event() {
    let mut stage = Stage::new();
    stage.server.put(&objects::workspace("demo"));
    put_share(&stage, &json!({"workspaceUID": "uid-of-demo"}));
    reconcile(&mut stage).await;
    stage.server.edit::<WorkspaceManager>(None, "main", |manager| {
        manager["spec"]["authorization"] = json!({"sharing": {"enabled": false}});
    });
    reconcile(&mut stage).await;
    assert_eq!(reported(&stage), reason::SHARING_DISABLED);
    stage
        .server
        .edit::<Workspace>(Some(NAMESPACE), "demo", |workspace| {
            workspace["metadata"]["annotations"][CREATED_BY] = json!("carol");
        });
    reconcile(&mut stage).await;
    assert_eq!(reported(&stage), reason::OWNER_CHANGED);
    assert_eq!(
        stage.events(),
        [reason::SHARED, reason::SHARING_DISABLED, reason::OWNER_CHANGED]
    );
    let warnings = stage.all::<Event>().into_iter();
    let warnings = warnings.filter(|event| event.type_.as_deref() == Some("Warning"));
    assert_eq!(warnings.count(), 2, "all but the first");
}

#[tokio::test]
async fn without_a_webhook_nothing_is_shared() {
    let mut stage = Stage::with_demo();
    stage.without_admission();
    put_share(&stage, &json!({}));
    reconcile(&mut stage).await;
    assert_eq!(reported(&stage), reason::UNVOUCHED);
    let share = stored(&stage).unwrap();
    assert_eq!(share.owner_references(), []);
    assert_eq!(share.status.unwrap().workspace_uid, None);
}
