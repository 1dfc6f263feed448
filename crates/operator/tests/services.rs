//! A workspace has a Service only while its routes are objects or a text names it.

use api::{WorkspaceManager, condition::reason, workspace::Phase};
use http::Method;
use k8s_openapi::api::{
    core::v1::{Pod, Service},
    networking::v1::Ingress,
};
use kube::ResourceExt as _;
use serde_json::json;
use testkit::objects::{self, NAMESPACE};

use crate::{
    routing::{routed, see},
    stage::{CHILD, Stage},
};

#[tokio::test]
async fn a_service_comes_and_goes_with_the_text_that_names_it_and_the_pod_stays() {
    let mut stage = Stage::with_running_demo().await;
    let pod = stage.child::<Pod>().unwrap().uid();
    for is_named in [false, true, false, true] {
        stage.name_service(is_named);
        stage.reconcile().await.unwrap();
        assert_eq!(stage.child::<Service>().is_some(), is_named);
        let name = is_named.then_some(CHILD);
        assert_eq!(stage.status().service_name.as_deref(), name);
        stage.writes();
        stage.reconcile().await.unwrap();
        assert_eq!(stage.writes(), [""; 0], "{is_named}");
    }
    // An operator that was upgraded finds the Services of its predecessor.
    stage.name_service(false);
    stage.replace_operator(None);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.child::<Service>(), None);
    assert_eq!(stage.child::<Pod>().unwrap().uid(), pod);
    assert_eq!(stage.status().phase, Some(Phase::Running));
}

#[tokio::test]
async fn a_service_outlasts_the_pod_that_was_made_before_a_pending_change() {
    let mut stage = Stage::with_service();
    stage.run().await;
    stage.edit_spec(|spec| spec["image"] = json!("example.com/i:2"));
    stage.name_service(false);
    for _ in 0..2 {
        stage.reconcile().await.unwrap();
        assert_eq!(stage.status().pending_update, ["spec.image"]);
        assert!(stage.child::<Service>().is_some());
    }
    stage.stop().await;
    stage.reconcile().await.unwrap();
    assert_eq!(stage.child::<Service>(), None);
}

#[tokio::test]
async fn a_service_outlasts_the_routes_that_name_it() {
    let mut stage = routed().await;
    assert!(stage.child::<Ingress>().is_some() && stage.child::<Service>().is_some());
    let other = objects::manager("main");
    stage.server.edit::<WorkspaceManager>(None, "main", |manager| {
        manager["spec"] = json!(other.spec);
    });
    stage.reconcile().await.unwrap();
    assert_eq!(stage.child::<Ingress>(), None);
    assert!(stage.child::<Service>().is_some());
    see(&stage);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.child::<Service>(), None);
}

#[tokio::test]
async fn a_foreign_service_is_in_the_way_of_those_alone_who_have_one() {
    let foreign: Service = serde_json::from_value(json!({
        "metadata": {"name": CHILD, "namespace": NAMESPACE, "uid": "foreign"},
        "spec": {"ports": [{"port": 1}]},
    }))
    .unwrap();
    for is_named in [false, true] {
        let mut stage = Stage::with_demo();
        stage.name_service(is_named);
        stage.server.put(&foreign);
        stage.reconcile().await.unwrap();
        assert_eq!(stage.child::<Pod>().is_none(), is_named);
        let kept = stage.child::<Service>().unwrap();
        assert_eq!(kept.uid().as_deref(), Some("foreign"));
        assert_eq!(stage.status().service_name, None);
    }
}

#[tokio::test]
async fn a_quota_without_room_for_services_keeps_those_alone_from_starting_who_have_one() {
    let quota = "services \"workspace-demo\" is forbidden: exceeded quota: none";
    for is_named in [false, true] {
        let mut stage = Stage::with_demo();
        stage.name_service(is_named);
        stage.fail(Method::POST, "services", 403, quota, 1);
        stage.reconcile().await.unwrap();
        assert_eq!(stage.child::<Pod>().is_none(), is_named);
        if is_named {
            let status = stage.status();
            assert_eq!(status.reason.as_deref(), Some(reason::QUOTA_EXCEEDED));
            let message = status.message.unwrap();
            for part in [
                "The Service was refused",
                "exceeded quota: none",
                "Have the namespace's quota raised",
            ] {
                assert!(message.contains(part), "{part}: {message}");
            }
        }
        stage.run().await;
        assert_eq!(stage.child::<Service>().is_some(), is_named);
    }
}
