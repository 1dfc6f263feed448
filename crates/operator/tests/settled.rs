//! A start causes only the necessary calls, and a workspace without changes causes none.

use api::workspace::Phase;
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Pod, Service},
    networking::v1::NetworkPolicy,
};
use kube::{ResourceExt as _, runtime::controller::Action};

use crate::stage::{CHILD, POLICIES, Stage, run_id, seconds, short, unisolated};

#[tokio::test]
async fn the_first_reconcile_makes_each_child_once_and_the_pod_last() {
    let mut stage = Stage::with_demo();
    stage.reconcile().await.unwrap();
    let mut writes = stage.writes();
    let position = |line: &str, writes: &[String]| writes.iter().position(|write| write == line).unwrap();
    let pod = position("POST pods", &writes);
    let disk = format!("PATCH persistentvolumeclaims/{CHILD}");
    for earlier in [&*disk, "POST networkpolicies"] {
        assert!(position(earlier, &writes) < pod, "{writes:?}");
    }
    writes.sort();
    assert_eq!(
        writes,
        [
            "PATCH persistentvolumeclaims/workspace-demo",
            "PATCH workspaces/demo/status",
            "POST events",
            "POST networkpolicies",
            "POST networkpolicies",
            "POST pods",
        ]
    );
    let status = stage.status();
    assert_eq!(status.phase, Some(Phase::Starting));
    assert_eq!(status.run_id, Some(run_id(&stage.child().unwrap())));
    assert!(stage.child::<PersistentVolumeClaim>().is_some());
    assert!(stage.child::<Service>().is_none(), "no text names it");
    assert_eq!(stage.policies(), POLICIES);
    assert_eq!(unisolated(&stage.server), [""; 0]);
}

#[tokio::test]
async fn a_start_without_problems_costs_two_status_writes_and_two_events() {
    let mut stage = Stage::with_demo();
    let mut writes = Vec::new();
    stage.reconcile().await.unwrap();
    stage.reconcile().await.unwrap();
    stage.cluster();
    stage.reconcile().await.unwrap();
    stage.reconcile().await.unwrap();
    stage.get_ready();
    stage.reconcile().await.unwrap();
    stage.reconcile().await.unwrap();
    writes.extend(stage.writes());
    let count = |line: &str| writes.iter().filter(|write| *write == line).count();
    assert_eq!(count("PATCH workspaces/demo/status"), 2, "{writes:?}");
    assert_eq!(count("POST events"), 2, "{writes:?}");
    assert_eq!(writes.len(), 8, "the first in its namespace: {writes:?}");
    assert_eq!(stage.events(), ["Starting", "Ready"]);
    let endpoint = stage.status().endpoint.unwrap();
    assert_eq!((endpoint.pod_ip.as_str(), endpoint.port), ("10.0.0.9", 8888));
}

#[tokio::test]
async fn nothing_is_read_at_a_start_and_the_pod_once_at_a_stop() {
    let mut stage = Stage::with_demo();
    let reads = |stage: &Stage| -> Vec<String> {
        let calls = stage.server.take_calls();
        let reads = calls.iter().filter(|call| call.method == http::Method::GET);
        reads.map(short).collect()
    };
    stage.reconcile().await.unwrap();
    stage.cluster();
    stage.get_ready();
    stage.reconcile().await.unwrap();
    assert_eq!(reads(&stage), Vec::<String>::new(), "first start");
    stage.stop().await;
    assert_eq!(reads(&stage), ["GET pods/workspace-demo"]);
    stage.edit_spec(|spec| spec["desiredStatus"] = "Running".into());
    stage.run().await;
    assert_eq!(reads(&stage), Vec::<String>::new(), "next start");
}

#[tokio::test]
async fn a_settled_workspace_causes_no_call_at_all_whether_it_runs_or_is_stopped() {
    let mut stage = Stage::with_running_demo().await;
    let action = stage.reconcile().await.unwrap();
    assert_eq!(stage.server.take_calls().len(), 0);
    assert_ne!(action, Action::await_change());

    stage.stop().await;
    stage.server.take_calls();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.server.take_calls().len(), 0);
}

#[tokio::test]
async fn a_workspace_in_an_ignored_namespace_is_left_alone() {
    let mut stage = Stage::new();
    let mut workspace = testkit::objects::workspace("demo");
    workspace.metadata.namespace = Some("kube-system".to_owned());
    stage.server.put(&workspace);
    stage.sync();
    let object =
        operator::cache::stores::get_parsed(&stage.context.stores.workspaces, Some("kube-system"), "demo")
            .unwrap();
    operator::reconcile::reconcile(object, stage.context.clone())
        .await
        .unwrap();
    assert_eq!(stage.server.take_calls().len(), 0);
}

#[tokio::test]
async fn externally_deleted_or_changed_children_come_back() {
    let mut stage = Stage::with_service();
    stage.run().await;
    stage.writes();
    stage.server.remove::<Service>(Some("team"), CHILD);
    stage
        .server
        .edit::<NetworkPolicy>(Some("team"), POLICIES[1], |policy| {
            policy["spec"]["ingress"] = serde_json::json!([{}]);
        });
    stage.reconcile().await.unwrap();
    let mut writes = stage.writes();
    writes.sort();
    let patch = format!("PATCH networkpolicies/{}", POLICIES[1]);
    assert_eq!(writes, [patch.as_str(), "POST services"]);
    let policy: NetworkPolicy = stage.server.get(Some("team"), POLICIES[1]).unwrap();
    let ingress = policy.spec.unwrap().ingress.unwrap();
    assert!(ingress[0].from.as_ref().is_some_and(|from| !from.is_empty()));
}

#[tokio::test]
async fn a_pod_that_lost_owner_and_labels_gets_them_back_without_a_restart() {
    let mut stage = Stage::with_running_demo().await;
    let before = stage.child::<Pod>().unwrap();
    stage.server.edit::<Pod>(Some("team"), CHILD, |object| {
        object["metadata"]["ownerReferences"] = serde_json::Value::Null;
        object["metadata"]["labels"]
            .as_object_mut()
            .unwrap()
            .remove("app.kubernetes.io/component");
    });
    stage.reconcile().await.unwrap();
    assert_eq!(stage.writes(), ["PATCH pods/workspace-demo"]);
    let after = stage.child::<Pod>().unwrap();
    assert_eq!(after.owner_references(), before.owner_references());
    assert_eq!(after.labels(), before.labels());
    assert_eq!((after.uid(), after.spec), (before.uid(), before.spec));
}

#[tokio::test]
async fn a_settled_workspace_is_reconciled_again_within_half_an_hour() {
    let mut stage = Stage::with_running_demo().await;
    let seconds = seconds(&stage.reconcile().await.unwrap());
    assert!((600.0..1800.0).contains(&seconds), "{seconds}");
}
