//! Status values of another version, statuses of other writers, and CRDs of another release.

use std::time::Duration;

use api::{
    Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceShare, WorkspaceTemplate,
    workspace::DesiredStatus,
};
use futures::StreamExt as _;
use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kit::scope::Scope;
use kube::{CustomResourceExt, ResourceExt as _};
use operator::cache::{
    stores::{Parsed, Trim, Writers},
    watch,
};
use serde_json::{Value, json};
use testkit::{
    objects::{self, NAMESPACE},
    unknown,
};

use crate::stage::{CHILD, Stage, seconds};

/// Reads every status of the kind with an unknown value as the watches do, and says how many there were.
fn all_read<K>(object: &Value) -> usize
where
    K: CustomResourceExt + Trim,
{
    let read = |object: &Value| -> Value {
        let read: Parsed<K> = serde_json::from_str(&object.to_string()).unwrap();
        json!(*read.0.map_err(|error| format!("{error}: {object}")).unwrap())
    };
    let (full, unknown) = unknown::statuses::<K>(object);
    let full = read(&full);
    for one in &unknown {
        let now = read(&one.object);
        assert_eq!(now["spec"], full["spec"]);
        for (field, value) in full["status"].as_object().unwrap() {
            let is_it = *field == one.field;
            assert!(
                is_it || now["status"][field] == *value,
                "{}: {field} is {}",
                one.path,
                now["status"][field]
            );
        }
    }
    unknown.len()
}

#[test]
fn each_unknown_value_of_each_status_reads_as_absent_and_everything_else_counts() {
    let share = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceShare", "metadata": {"name": "s", "namespace": NAMESPACE},
        "spec": {"workspaceRef": "demo", "subjects": [{"kind": "User", "name": "bob"}]},
    });
    assert!(all_read::<Workspace>(&json!(objects::workspace("demo"))) > 300);
    assert!(all_read::<WorkspaceTemplate>(&json!(objects::template("t"))) > 30);
    assert!(all_read::<WorkspaceManager>(&json!(objects::manager("m"))) > 30);
    let profile = objects::execution_profile("p", &json!({}));
    assert!(all_read::<WorkspaceExecutionProfile>(&json!(profile)) > 30);
    assert!(all_read::<WorkspaceShare>(&share) > 30);
}

#[tokio::test(start_paused = true)]
async fn a_status_of_another_client_triggers_and_our_own_does_not() {
    let stage = Stage::with_running_demo().await;
    let writers = Writers::default();
    let client = stage.server.connect(None);
    let pending = stage.context.pending_writes.clone();
    let mut triggers = watch::start(&client, &Scope::Cluster, writers, pending.clone(), 500).boxed();
    let calm = Duration::from_secs(2);
    while tokio::time::timeout(calm, triggers.next()).await.is_ok() {}
    let write = |phase: &str| {
        stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
            object["status"]["phase"] = json!(phase);
        });
        stage.workspace()
    };
    let ours = write("Starting");
    let status = ours.status.clone().unwrap();
    pending.wrote_status(&format!("{NAMESPACE}/demo"), &ours.metadata, status);
    assert!(
        tokio::time::timeout(calm, triggers.next()).await.is_err(),
        "it is our own"
    );
    write("Running");
    let triggered = tokio::time::timeout(calm, triggers.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(triggered.name, "demo");
}

#[tokio::test]
async fn a_status_of_another_client_is_corrected() {
    let mut stage = Stage::with_running_demo().await;
    let before = stage.status();
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["status"]["endpoint"]["podIP"] = json!("10.9.9.9");
        object["status"]["url"] = json!("https://evil.example.org/");
    });
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status(), before);
}

#[tokio::test]
async fn a_former_leader_overwrites_no_status_of_its_successor() {
    let mut stage = Stage::with_running_demo().await;
    // Its caches show that the pod is not ready any more, and not what the successor made of it.
    let pod = stage.all::<Pod>().remove(0).name_any();
    stage.server.edit::<Pod>(Some(NAMESPACE), &pod, |pod| {
        pod["status"]["conditions"] = json!([]);
    });
    stage.sync();
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        object["status"]["message"] = json!("the successor's");
    });
    let again = stage.reconcile_unsynced("demo").await.unwrap();
    assert_eq!(stage.status().message.as_deref(), Some("the successor's"));
    assert!(
        seconds(&again) <= 1.0,
        "it is looked at again, also if no watch shows it"
    );
    stage.reconcile().await.unwrap();
    assert_ne!(stage.status().message.as_deref(), Some("the successor's"));
}

#[tokio::test]
async fn a_former_leader_ends_no_run_of_its_successor() {
    let mut stage = Stage::with_running_demo().await;
    stage.set(DesiredStatus::Stopped);
    stage.sync();
    // The successor has stopped that run, and started the next one.
    stage.server.edit::<Pod>(Some(NAMESPACE), CHILD, |pod| {
        pod["metadata"]["uid"] = json!("next");
    });
    stage.reconcile_unsynced("demo").await.unwrap();
    assert!(!stage.is_ending());
}

#[tokio::test]
async fn an_operator_that_is_newer_than_its_definitions_writes_what_they_declare() {
    let mut stage = Stage::with_service();
    let mut definition = json!(Workspace::crd());
    let status = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
    status["properties"]
        .as_object_mut()
        .unwrap()
        .remove("serviceName");
    let definition: k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition =
        serde_json::from_value(definition).unwrap();
    stage.server.put(&definition);
    let undeclared = "failed to create typed patch object: .status.serviceName: field not declared in schema";
    stage.fail(Method::PATCH, "workspaces/demo/status", 500, undeclared, 1);
    stage.reconcile().await.unwrap_err();

    let missing = stage.context.definitions.read(&stage.context.client).await;
    assert_eq!(missing, ["Workspace.status.serviceName"]);
    stage.run().await;
    assert_eq!(stage.status().service_name, None);
    stage.server.take_calls();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.writes(), [""; 0], "what is left out is no difference");

    stage.server.put(&Workspace::crd());
    stage.context.definitions.read(&stage.context.client).await;
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().service_name.as_deref(), Some(CHILD));
}
