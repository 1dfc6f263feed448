//! Another client writes between the operator's read and its write, and late writes of a replaced leader.

use std::time::Duration;

use api::{
    Workspace,
    condition::reason,
    workspace::{DesiredStatus, Phase},
};
use http::Method;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Pod, Service},
    networking::v1::NetworkPolicy,
};
use kube::{Resource, ResourceExt as _};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use testkit::{
    api_server::Disruption,
    objects::{self, NAMESPACE},
};

use crate::stage::{CHILD, Stage, run_id};

/// Another client's object with the name of our child.
fn foreign<K: DeserializeOwned>(spec: &Value) -> K {
    let object = json!({"metadata": {"name": CHILD, "namespace": NAMESPACE, "uid": "foreign"}, "spec": spec});
    serde_json::from_value(object).unwrap()
}

/// A disk may be adopted, so that an apply makes it.
fn how_it_is_made(path: &str) -> Method {
    if path == "persistentvolumeclaims" {
        Method::PATCH
    } else {
        Method::POST
    }
}

/// Another client creates an object with the child's name just before the operator. The object stays as it is, and no
/// pod is created.
async fn name_taken_at_the_last_moment<K>(path: &'static str, spec: &Value)
where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Send + 'static,
{
    let mut stage = Stage::with_demo();
    let object: K = foreign(spec);
    let how_it_is_made = how_it_is_made(path);
    stage.server.disrupt(
        how_it_is_made,
        path,
        Disruption::Meanwhile(Box::new(move |server| server.put(&object))),
    );
    stage.reconcile().await.unwrap();
    let status = stage.status();
    assert_eq!(status.reason.as_deref(), Some(reason::NAME_CONFLICT), "{path}");
    let kept: K = stage.child().unwrap();
    assert_eq!(kept.meta().uid.as_deref(), Some("foreign"), "{path}");
    assert_eq!(kept.meta().owner_references, None, "{path}");
    assert_eq!(kept.meta().labels, None, "{path}");
    assert_eq!(stage.all::<Pod>().len(), 0, "{path}");
    stage.server.remove::<K>(Some(NAMESPACE), CHILD);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Starting), "{path}");
}

#[tokio::test]
async fn a_name_taken_between_read_and_write_is_a_conflict_and_never_merged() {
    name_taken_at_the_last_moment::<PersistentVolumeClaim>(
        "persistentvolumeclaims",
        &json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}),
    )
    .await;
    name_taken_at_the_last_moment::<Service>("services", &json!({"ports": [{"port": 80}]})).await;
    name_taken_at_the_last_moment::<NetworkPolicy>("networkpolicies", &json!({"podSelector": {}})).await;
    let idle = json!({
        "replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}},
    });
    name_taken_at_the_last_moment::<Deployment>("deployments", &idle).await;
}

#[tokio::test]
async fn a_child_replaced_between_read_and_write_is_left_alone() {
    let mut stage = Stage::with_running_demo().await;
    stage.server.edit::<Service>(Some(NAMESPACE), CHILD, |service| {
        service["spec"]["selector"] = json!({"app": "changed"});
    });
    let object: Service = foreign(&json!({"ports": [{"port": 80}]}));
    stage.server.disrupt(
        Method::PATCH,
        "services",
        Disruption::Meanwhile(Box::new(move |server| {
            server.remove::<Service>(Some(NAMESPACE), CHILD);
            server.put(&object);
        })),
    );
    stage.reconcile().await.unwrap_err();
    assert_eq!(stage.child::<Service>().unwrap().metadata.owner_references, None);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().reason.as_deref(), Some(reason::NAME_CONFLICT));
}

#[tokio::test]
async fn a_child_that_we_made_although_no_cache_shows_it_is_taken_as_it_is() {
    let mut stage = Stage::with_demo();
    stage.sync();
    stage.reconcile_unsynced("demo").await.unwrap();
    let made = stage.child::<Service>().unwrap();
    // The answers to two calls are lost, and with them all records of what was made.
    stage.replace_operator(None);
    stage
        .server
        .disrupt(Method::GET, "services/workspace-demo", Disruption::Lost);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.child::<Service>().unwrap(), made);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_lands_after_its_leader_was_replaced_brings_no_stopped_workspace_back() {
    let mut stage = Stage::with_running_demo().await;
    stage.stop().await;
    stage.set(DesiredStatus::Running);
    stage.server.disrupt(
        Method::PATCH,
        "deployments",
        Disruption::Unanswered(Duration::from_secs(20)),
    );
    // The old leader loses its lease in the middle of the write: the reconcile is dropped.
    tokio::time::timeout(Duration::from_secs(5), stage.reconcile())
        .await
        .unwrap_err();
    stage.replace_operator(None);
    stage.reconcile().await.unwrap();
    let second = run_id(&stage.child().unwrap());
    stage.cluster();
    stage.get_ready();
    stage.stop().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let deployment = stage.child::<Deployment>().unwrap();
    assert_eq!(run_id(&deployment), second, "the late start changed nothing");
    assert_eq!(deployment.spec.unwrap().replicas, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_first_start_that_lands_twice_makes_one_of_each() {
    let mut stage = Stage::with_demo();
    for path in [
        "persistentvolumeclaims",
        "services",
        "networkpolicies",
        "deployments",
    ] {
        stage.server.disrupt(
            how_it_is_made(path),
            path,
            Disruption::Unanswered(Duration::from_secs(20)),
        );
    }
    tokio::time::timeout(Duration::from_secs(5), stage.reconcile())
        .await
        .unwrap_err();
    stage.replace_operator(None);
    stage.server.disrupt(
        Method::POST,
        "deployments",
        Disruption::Late(Duration::from_secs(1)),
    );
    for _ in 0..3 {
        // The late writes of the old leader land between these.
        let _ = stage.reconcile().await;
        tokio::time::sleep(Duration::from_secs(15)).await;
    }
    stage.reconcile().await.unwrap();
    assert_eq!(stage.all::<PersistentVolumeClaim>().len(), 1);
    assert_eq!(stage.all::<Deployment>().len(), 1);
    let deployment = stage.child::<Deployment>().unwrap();
    assert_eq!(stage.status().run_id, Some(run_id(&deployment)));
}

/// Lets all watches catch up but those of replica sets and pods.
fn sync_without_pods(stage: &mut Stage) {
    const REPLICA_SETS: usize = 8;
    const PODS: usize = 12;
    for watch in (0..Stage::WATCHES).filter(|watch| ![REPLICA_SETS, PODS].contains(watch)) {
        stage.sync_one(watch);
    }
}

/// A pod of a deleted Deployment is left, which no cache shows.
async fn no_second_pod_comes_beside_that_of_a_deployment_that_is_gone(stage: &mut Stage) {
    stage.server.remove::<Deployment>(Some(NAMESPACE), CHILD);
    sync_without_pods(stage);
    stage.reconcile_unsynced("demo").await.unwrap();
    assert_eq!(
        stage.all::<Deployment>().len(),
        0,
        "its pod may still be at the disk"
    );
    stage.collect_garbage();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.all::<Deployment>().len(), 1);
}

#[tokio::test]
async fn a_deployment_deleted_before_its_pod_is_shown_is_not_followed_by_one_with_a_second_pod() {
    let mut stage = Stage::with_demo();
    stage.reconcile().await.unwrap();
    stage.cluster();
    sync_without_pods(&mut stage);
    stage.reconcile_unsynced("demo").await.unwrap();
    no_second_pod_comes_beside_that_of_a_deployment_that_is_gone(&mut stage).await;
}

#[tokio::test(start_paused = true)]
async fn a_deployment_of_which_nothing_was_heard_and_that_is_gone_is_not_followed_by_one_with_a_second_pod() {
    for was_stopped in [true, false] {
        let mut stage = Stage::with_demo();
        if was_stopped {
            stage.set(DesiredStatus::Stopped);
            stage.reconcile().await.unwrap();
            stage.set(DesiredStatus::Running);
        }
        let unanswered = Disruption::Unanswered(Duration::ZERO);
        stage.server.disrupt(Method::POST, "deployments", unanswered);
        stage.reconcile().await.unwrap_err();
        stage.cluster();
        no_second_pod_comes_beside_that_of_a_deployment_that_is_gone(&mut stage).await;
    }
}

#[tokio::test]
async fn a_workspace_recreated_under_a_stale_cache_gets_children_of_its_own() {
    let mut stage = Stage::with_demo();
    stage.sync();
    // Force-removed and made again; the cache still shows the first.
    stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
    let mut second = objects::workspace("demo");
    second.metadata.uid = Some("second".to_owned());
    stage.server.put(&second);
    let _ = stage.reconcile_unsynced("demo").await;
    // The garbage collector deletes objects whose owner is gone.
    for claim in stage.all::<PersistentVolumeClaim>() {
        assert_eq!(claim.owner_references()[0].uid, "uid-of-demo");
    }
    stage.reconcile().await.unwrap();
    assert!(stage.all::<Pod>().is_empty());
    assert_ne!(stage.status().phase, Some(Phase::Running));
}
