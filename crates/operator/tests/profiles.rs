//! Service accounts of pods: created before their pods, never another's, and deleted when no workspace needs them.

use api::{WorkspaceExecutionProfile, condition::reason, workspace::Phase};
use k8s_openapi::api::{core::v1::Pod, core::v1::ServiceAccount};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::objects::{self, NAMESPACE};

use crate::stage::Stage;

const ACCOUNT: &str = "workspace-demo-uid-of-d";

fn stage(profile: &Value) -> Stage {
    let stage = Stage::with_demo();
    stage.server.put(&objects::execution_profile("p", profile));
    stage.edit_spec(|spec| spec["executionProfileRef"] = "p".into());
    stage
}

fn account(stage: &Stage) -> Option<ServiceAccount> {
    stage.server.get(Some(NAMESPACE), ACCOUNT)
}

fn runs_as(stage: &Stage) -> Option<String> {
    stage.child::<Pod>()?.spec?.service_account_name
}

fn set(stage: &Stage, spec: &Value) {
    stage
        .server
        .edit::<WorkspaceExecutionProfile>(Some(NAMESPACE), "p", |object| {
            object["spec"] = spec.clone();
        });
}

#[tokio::test]
async fn the_account_of_a_workspace_is_made_before_its_pod_and_goes_only_after_the_pod_that_runs_as_it() {
    let own = json!({"serviceAccount": {"perWorkspace": {"annotations": {"example.com/role": "{workspace.namespace}"}}}});
    let mut stage = stage(&own);
    stage.reconcile().await.unwrap();
    let writes = stage.writes();
    let position = |line: &str| writes.iter().position(|write| write == line).unwrap();
    assert!(position(&format!("PATCH serviceaccounts/{ACCOUNT}")) < position("POST pods"));
    assert_eq!(runs_as(&stage).as_deref(), Some(ACCOUNT));
    let made = account(&stage).unwrap();
    assert_eq!(made.annotations()["example.com/role"], "team");
    assert_eq!(made.owner_references()[0].uid, "uid-of-demo");
    assert_eq!(
        stage.status().resolved.unwrap().execution_profile.as_deref(),
        Some("p")
    );
    stage.cluster();
    stage.get_ready();
    stage.reconcile().await.unwrap();
    stage.writes();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.writes(), [""; 0], "a settled account is not written");

    set(&stage, &json!({}));
    stage.reconcile().await.unwrap();
    let status = stage.status();
    assert_eq!(status.pending_update, ["executionProfile.spec.serviceAccount"]);
    assert!(account(&stage).is_some(), "the pod still runs as it");
    stage.stop().await;
    assert!(account(&stage).is_none());
}

#[tokio::test]
async fn a_foreign_account_of_the_name_is_never_used_and_no_pod_runs() {
    for labelled in [false, true] {
        let mut stage = stage(&json!({"serviceAccount": {"perWorkspace": {}}}));
        let labels = if labelled {
            json!({api::names::WORKSPACE_LABEL: "demo"})
        } else {
            json!({})
        };
        let forged: ServiceAccount = serde_json::from_value(json!({"metadata": {
            "name": ACCOUNT, "namespace": NAMESPACE, "uid": "another", "labels": labels,
            "annotations": {api::names::WORKSPACE_UID: "uid-of-demo"},
        }}))
        .unwrap();
        stage.server.put(&forged);
        stage.reconcile().await.unwrap();
        stage.reconcile().await.unwrap();
        let status = stage.status();
        assert_eq!(
            status.reason.as_deref(),
            Some(reason::NAME_CONFLICT),
            "{status:?}"
        );
        assert!(status.message.unwrap().contains(ACCOUNT));
        assert!(stage.child::<Pod>().is_none());
        assert!(account(&stage).unwrap().owner_references().is_empty());
        assert_eq!(account(&stage).unwrap().uid().as_deref(), Some("another"));
    }
}

#[tokio::test]
async fn a_profile_that_does_not_exist_is_waited_for() {
    let mut stage = Stage::with_demo();
    stage.edit_spec(|spec| spec["executionProfileRef"] = "p".into());
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Invalid));
    assert_eq!(
        stage.status().reason.as_deref(),
        Some(reason::EXECUTION_PROFILE_NOT_FOUND)
    );
    stage.server.put(&objects::execution_profile(
        "p",
        &json!({"priorityClassName": "high"}),
    ));
    stage.reconcile().await.unwrap();
    let pod = stage.child::<Pod>().unwrap();
    assert_eq!(pod.spec.unwrap().priority_class_name.as_deref(), Some("high"));
}
