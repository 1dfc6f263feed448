//! Existing claims as homes and volumes.

use api::{
    Workspace, WorkspaceTemplate,
    condition::reason,
    names,
    workspace::{DesiredStatus, Phase},
};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::objects::{self, NAMESPACE};

use super::{Claim, claim, delete_workspace, workspace};
use crate::stage::Stage;

#[tokio::test]
async fn an_existing_claim_as_home_is_marked_while_in_use_and_never_deleted() {
    let mut stage = Stage::new();
    stage.server.put(&claim("data", "ReadWriteOnce"));
    stage
        .server
        .put(&workspace("first", "alice", &json!({"claimName": "data"})));
    stage.run().await;
    let noted = |stage: &Stage| {
        let data = stage.server.get::<Claim>(Some(NAMESPACE), "data").unwrap();
        data.annotations().get(names::IN_USE_BY).cloned()
    };
    assert_eq!(noted(&stage).as_deref(), Some("demo/first"));
    stage.server.take_calls();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.server.take_calls().len(), 0);
    stage.stop().await;
    assert_eq!(noted(&stage), None);
    stage.set(DesiredStatus::Running);
    stage.run().await;
    assert_eq!(noted(&stage).as_deref(), Some("demo/first"));
    delete_workspace(&mut stage).await;
    assert_eq!(noted(&stage), None);
    assert!(stage.child::<Claim>().is_none(), "it never had one of its own");
}

/// Two workspaces on the claim `data`; `demo` runs.
async fn two_on_one_claim(mode: &str) -> Stage {
    let mut stage = Stage::new();
    stage.server.put(&claim("data", mode));
    stage
        .server
        .put(&workspace("first", "alice", &json!({"claimName": "data"})));
    stage.run().await;
    let mut other = objects::workspace("other");
    other.spec.storage = serde_json::from_value(json!({"claimName": "data"})).unwrap();
    stage.server.put(&other);
    stage.sync();
    stage.reconcile_unsynced("other").await.unwrap();
    stage
}

fn other(stage: &Stage) -> Workspace {
    stage.server.get(Some(NAMESPACE), "other").unwrap()
}

#[tokio::test]
async fn two_workspaces_on_one_claim_run_one_after_the_other() {
    let mut stage = two_on_one_claim("ReadWriteOnce").await;
    let status = other(&stage).status.unwrap();
    assert_eq!(
        (status.phase, status.reason.as_deref()),
        (Some(Phase::Starting), Some(reason::VOLUME_IN_USE))
    );
    assert!(status.message.unwrap().contains("workspace demo"));
    assert_eq!(stage.all::<Pod>().len(), 1);
    // Only the debug text of an action shows the requested time.
    let action = format!("{:?}", stage.reconcile_unsynced("other").await.unwrap());
    assert!(
        action.contains("Some(") && !action.contains("Some(5s)"),
        "ever later: {action}"
    );

    stage.stop().await;
    stage.reconcile_unsynced("other").await.unwrap();
    let pods = stage.all::<Pod>();
    assert_eq!(pods.len(), 1);
    assert_eq!(pods[0].metadata.name.as_deref(), Some("workspace-other"));
    stage.set(DesiredStatus::Running);
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Pod>().is_none(), "the first one waits now");
    assert_eq!(stage.status().reason.as_deref(), Some(reason::VOLUME_IN_USE));
}

#[tokio::test]
async fn two_concurrent_starts_conflict_on_the_in_use_mark() {
    let mut stage = Stage::new();
    stage.server.put(&claim("data", "ReadWriteOnce"));
    stage
        .server
        .put(&workspace("first", "alice", &json!({"claimName": "data"})));
    let mut second = objects::workspace("other");
    second.spec.storage = serde_json::from_value(json!({"claimName": "data"})).unwrap();
    stage.server.put(&second);
    stage.sync();
    let (one, two) = tokio::join!(
        stage.reconcile_unsynced("demo"),
        stage.reconcile_unsynced("other")
    );
    assert!(one.is_ok() || two.is_ok());
    assert_eq!(stage.all::<Pod>().len(), 1);
    for name in ["demo", "other"] {
        stage.sync();
        let _ = stage.reconcile_unsynced(name).await;
    }
    assert_eq!(stage.all::<Pod>().len(), 1);
}

#[tokio::test]
async fn the_mark_of_a_deleted_workspace_blocks_no_start_but_its_pod_does() {
    let mut stage = Stage::new();
    let mut data = claim("data", "ReadWriteOnce");
    let left_over = [(names::IN_USE_BY.to_owned(), "gone/gone".to_owned())];
    data.metadata.annotations = Some(left_over.into());
    stage.server.put(&data);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "left-over", "namespace": NAMESPACE},
        "spec": {"containers": [], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]},
        "status": {"phase": "Running"},
    }))
    .unwrap();
    stage.server.put(&pod);
    stage
        .server
        .put(&workspace("first", "alice", &json!({"claimName": "data"})));
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().reason.as_deref(), Some(reason::VOLUME_IN_USE));
    assert!(stage.status().message.unwrap().contains("pod left-over"));
    stage.server.edit::<Pod>(Some(NAMESPACE), "left-over", |pod| {
        pod["status"]["phase"] = json!("Succeeded");
    });
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Pod>().is_some());
}

#[tokio::test]
async fn the_disk_of_another_workspace_is_mounted_neither_as_home_nor_as_volume() {
    let marked = |name: &str, key: &str| {
        let mut claim = claim(name, "ReadWriteMany");
        claim.metadata.annotations = Some([(key.to_owned(), "victim".to_owned())].into());
        claim
    };
    for (name, object) in [
        ("restored", marked("restored", names::WORKSPACE_UID)),
        (
            "workspace-victim",
            marked("workspace-victim", names::WORKSPACE_UID),
        ),
    ] {
        for as_home in [true, false] {
            let mut stage = Stage::new();
            stage.server.put(&object);
            let storage = if as_home {
                json!({"claimName": name})
            } else {
                Value::Null
            };
            let mut mounting = workspace("first", "mallory", &storage);
            if !as_home {
                let volume = json!([{"name": "v", "persistentVolumeClaimName": name, "mountPath": "/v"}]);
                mounting.spec.volumes = serde_json::from_value(volume).unwrap();
            }
            stage.server.put(&mounting);
            stage.reconcile().await.unwrap();
            assert!(stage.child::<Pod>().is_none(), "{name} as home {as_home}");
            assert_ne!(stage.status().phase, Some(Phase::Running));
            let reported = stage.status().message.unwrap();
            assert!(reported.contains(name), "{reported}");
        }
    }
}

#[tokio::test]
async fn a_claim_that_only_the_pod_template_names_is_checked_as_one_of_the_workspace() {
    let of_victim = json!({names::WORKSPACE_UID: "victim"});
    let in_use = json!({names::IN_USE_BY: "victim/uid-of-victim"});
    for (marks, expected) in [
        (Some(of_victim), Some(reason::VOLUME_OF_ANOTHER_WORKSPACE)),
        (Some(in_use), Some(reason::VOLUME_IN_USE)),
        (None, Some(reason::VOLUME_UNBOUND)),
        (Some(json!({})), None),
    ] {
        let mut stage = Stage::new();
        let amounts = json!({"cpu": "10m", "memory": "16Mi"});
        let mut template = json!(objects::template("t"));
        template["spec"]["podTemplate"] = json!({"spec": {
            "containers": [{
                "name": "reader", "image": "r/reader:1", "resources": {"requests": amounts, "limits": amounts},
                "volumeMounts": [{"name": "files", "mountPath": "/files"}],
            }],
            "volumes": [{"name": "files", "persistentVolumeClaim": {"claimName": "data"}}],
        }});
        let template: WorkspaceTemplate = serde_json::from_value(template).unwrap();
        stage.server.put(&template);
        let mut victim = objects::workspace("victim");
        victim.metadata.uid = Some("uid-of-victim".to_owned());
        victim.spec.desired_status = DesiredStatus::Stopped;
        stage.server.put(&victim);
        if let Some(marks) = marks {
            let mut data = claim("data", "ReadWriteOnce");
            data.metadata.annotations = serde_json::from_value(marks).unwrap();
            stage.server.put(&data);
        }
        let mut demo = workspace("first", "alice", &Value::Null);
        demo.spec.template_ref = Some("t".to_owned());
        stage.server.put(&demo);
        stage.reconcile().await.unwrap();
        assert_eq!(stage.child::<Pod>().is_some(), expected.is_none(), "{expected:?}");
        if expected.is_some() {
            assert_eq!(stage.status().reason.as_deref(), expected);
        }
    }
}

#[tokio::test]
async fn a_claim_that_does_not_exist_yet_is_waited_for_without_a_pod_that_could_take_a_later_one() {
    let mut stage = Stage::new();
    stage
        .server
        .put(&workspace("first", "alice", &json!({"claimName": "data"})));
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().reason.as_deref(), Some(reason::VOLUME_UNBOUND));
    assert!(stage.child::<Pod>().is_none());
    stage.server.put(&claim("data", "ReadWriteOnce"));
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Pod>().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_claim_deleted_under_a_running_pod_is_reported_and_prevents_restarts() {
    let mut stage = Stage::new();
    stage.server.put(&claim("data", "ReadWriteOnce"));
    stage
        .server
        .put(&workspace("first", "alice", &json!({"claimName": "data"})));
    stage.run().await;
    let run_of = |stage: &Stage| crate::stage::run_id(&stage.child::<Pod>().unwrap());
    let before = run_of(&stage);
    let process = crate::outages::begin(&stage);
    let reason = |stage: &Stage| stage.status().reason;
    let reported = || reason(&stage).as_deref() == Some(reason::VOLUME_TERMINATING);
    let events = stage.events().len();
    stage.server.edit::<Claim>(Some(NAMESPACE), "data", |claim| {
        claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    });
    crate::outages::within(
        "what became of the claim",
        std::time::Duration::from_secs(5),
        reported,
    )
    .await;
    let status = stage.status();
    assert_eq!(status.phase, Some(Phase::Running));
    assert_eq!(status.terminating_claims, ["data"]);
    let message = status.message.unwrap();
    assert!(
        message.contains("the claim data, which the workspace mounts"),
        "{message}"
    );
    assert_eq!(stage.events()[events..], [reason::VOLUME_TERMINATING]);
    stage.edit_spec(|spec| spec["updatePolicy"] = json!("Always"));
    stage.edit_spec(|spec| spec["port"] = json!(9000));
    crate::outages::within("the change to be seen", std::time::Duration::from_secs(5), || {
        !stage.status().pending_update.is_empty()
    })
    .await;
    assert_eq!(
        run_of(&stage),
        before,
        "its files are there for as long as this pod is"
    );
    stage.server.put(&claim("other", "ReadWriteOnce"));
    stage.edit_spec(|spec| spec["storage"] = json!({"claimName": "other"}));
    crate::outages::within(
        "the run to end once another claim is named",
        std::time::Duration::from_secs(5),
        || stage.is_ending(),
    )
    .await;
    drop(process);
}

#[tokio::test]
async fn no_disk_is_made_under_a_name_for_which_the_pod_of_another_waits() {
    let mut stage = Stage::new();
    let waiting: Pod = serde_json::from_value(json!({
        "metadata": {
            "name": "waiting", "namespace": NAMESPACE, "labels": {names::WORKSPACE_LABEL: "mallory"},
            "annotations": {names::WORKSPACE_UID: "mallory"},
        },
        "spec": {"containers": [], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "workspace-demo"}}]},
        "status": {"phase": "Pending"},
    }))
    .unwrap();
    stage.server.put(&waiting);
    stage.server.put(&workspace("first", "alice", &json!({})));
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Claim>().is_none());
    assert_eq!(stage.status().reason.as_deref(), Some(reason::VOLUME_IN_USE));
    assert!(stage.status().message.unwrap().contains("pod waiting"));
    stage.server.remove::<Pod>(Some(NAMESPACE), "waiting");
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Claim>().is_some());
}
