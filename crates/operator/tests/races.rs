//! Another client writes between the operator's read and its write, and late writes of a replaced leader.

use api::{Workspace, condition::reason, workspace::Phase};
use http::Method;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use kube::{Resource, ResourceExt as _};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use testkit::{
    api_server::Disruption,
    objects::{self, NAMESPACE},
};

use crate::stage::{CHILD, Stage};

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
    let mut stage = Stage::with_service();
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
    assert!(
        stage
            .all::<Pod>()
            .iter()
            .all(|pod| pod.metadata.uid.as_deref() == Some("foreign")),
        "{path}"
    );
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
    name_taken_at_the_last_moment::<Pod>("pods", &json!({"containers": []})).await;
}

#[tokio::test]
async fn a_child_replaced_between_read_and_write_is_left_alone() {
    let mut stage = Stage::with_service();
    stage.run().await;
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
    // So it is with the pod, which keeps the name until then.
    for pod in stage.all::<Pod>() {
        assert_eq!(pod.owner_references()[0].uid, "uid-of-demo");
    }
    assert_ne!(stage.status().phase, Some(Phase::Running));
}
