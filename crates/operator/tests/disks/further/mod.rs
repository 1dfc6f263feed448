//! Further disks, by a template's `volumeClaims`.

mod kept;

use api::{
    WorkspaceTemplate,
    condition::reason,
    names,
    workspace::{ClaimStatus, Retain},
};
use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::{
    api_server::Fault,
    objects::{self, NAMESPACE},
};

use super::{Claim, Phase, delete_workspace, workspace};
use crate::stage::Stage;

pub(super) const DISK: &str = "wsc-db-demo";

pub(super) fn disk(fields: &Value) -> Value {
    let mut disk = json!({
        "name": "db", "mountPath": "/db",
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    json_patch::merge(&mut disk, fields);
    disk
}

/// Puts the template `t` with these disks, and an option that decides about some of them.
fn put_template(stage: &Stage, name: &str, disks: &Value) {
    let mut template = json!(objects::template(name));
    template["spec"]["volumeClaims"] = disks.clone();
    template["spec"]["options"] =
        json!([{"name": "db", "choices": [{"name": "yes", "default": true}, {"name": "no"}]}]);
    let template: WorkspaceTemplate = serde_json::from_value(template).unwrap();
    stage.server.put(&template);
}

/// alice's `demo` of a template with these disks, not yet reconciled.
pub(super) fn with_disks(disks: &Value) -> Stage {
    let stage = Stage::new();
    put_template(&stage, "t", disks);
    put_demo(&stage, "first", "alice");
    stage
}

pub(super) fn put_demo(stage: &Stage, uid: &str, owner: &str) {
    let mut demo = workspace(uid, owner, &Value::Null);
    demo.spec.template_ref = Some("t".to_owned());
    stage.server.put(&demo);
}

fn found(stage: &Stage) -> Option<Claim> {
    stage.server.get(Some(NAMESPACE), DISK)
}

/// What the pod mounts: names of claims.
fn mounted(stage: &Stage) -> Vec<String> {
    let pod: Pod = stage.child().unwrap();
    let volumes = pod.spec.unwrap().volumes.unwrap_or_default().into_iter();
    volumes
        .filter_map(|volume| Some(volume.persistent_volume_claim?.claim_name))
        .collect()
}

fn status(stage: &Stage) -> ClaimStatus {
    let mut claims = stage.status().claims;
    assert_eq!(claims.len(), 1, "{claims:?}");
    claims.remove(0)
}

#[tokio::test]
async fn a_start_makes_each_disk_once_and_a_stop_keeps_it() {
    let mut stage = with_disks(&json!([disk(&json!({"readOnly": true}))]));
    stage.run().await;
    let made = found(&stage).unwrap();
    assert_eq!(made.owner_references()[0].uid, "first");
    assert_eq!(mounted(&stage), ["workspace-demo", DISK]);
    let pod: Pod = stage.child().unwrap();
    let mounts = json!(pod.spec.unwrap().containers[0].volume_mounts);
    let mount = json!({"name": "db", "mountPath": "/db", "readOnly": true});
    assert!(mounts.as_array().unwrap().contains(&mount), "{mounts}");
    let expected = ClaimStatus {
        name: "db".to_owned(),
        claim: DISK.to_owned(),
        phase: Some("Bound".to_owned()),
        retain: Some(Retain::Delete),
        ..ClaimStatus::default()
    };
    assert_eq!(status(&stage), expected);
    stage.sync();
    stage.server.take_calls();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.server.take_calls().len(), 0);
    stage.stop().await;
    let stopped = stage.status().message;
    assert_eq!(stopped.as_deref(), Some("No pod is left; its disks are kept."));
    assert_eq!(found(&stage).unwrap().uid(), made.uid());
    stage.set(api::workspace::DesiredStatus::Running);
    stage.run().await;
    assert_eq!(found(&stage).unwrap().uid(), made.uid());
    delete_workspace(&mut stage).await;
    assert!(stage.all::<Claim>().is_empty());
}

#[tokio::test]
async fn no_pod_starts_before_each_disk_is_made_and_the_refused_one_is_named() {
    let mut stage = with_disks(&json!([
        disk(&json!({})),
        disk(&json!({"name": "data", "mountPath": "/data"}))
    ]));
    let quota = "persistentvolumeclaims \"wsc-db-demo\" is forbidden: exceeded quota: q, requested: requests.storage=1Gi";
    let refusal = Fault::forbidden(Method::PATCH, "persistentvolumeclaims/wsc-db-demo", quota, 2);
    stage.server.fail(refusal);
    for _ in 0..2 {
        stage.reconcile().await.unwrap();
        assert!(stage.child::<Pod>().is_none());
    }
    let told = stage.status();
    assert_eq!(told.reason.as_deref(), Some(reason::QUOTA_EXCEEDED));
    let message = told.message.unwrap();
    assert!(
        message.starts_with("The PersistentVolumeClaim wsc-db-demo was refused: exceeded quota"),
        "{message}"
    );
    let [db, data] = <[ClaimStatus; 2]>::try_from(told.claims).unwrap();
    assert_eq!(
        (db.phase, db.reason.as_deref()),
        (None, Some(reason::QUOTA_EXCEEDED))
    );
    assert_eq!((data.phase.as_deref(), data.reason), (Some("Pending"), None));
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Pod>().is_some(), "once the quota has room");
    assert_eq!(stage.all::<Claim>().len(), 3);
}

#[tokio::test]
async fn a_claim_of_somebody_else_under_its_name_is_told_and_never_mounted() {
    let mut stage = with_disks(&json!([disk(&json!({}))]));
    stage.server.put(&super::claim(DISK, "ReadWriteMany"));
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Pod>().is_none());
    let told = stage.status();
    assert_eq!(told.reason.as_deref(), Some(reason::NAME_CONFLICT));
    assert!(told.message.unwrap().contains(DISK));
    assert_eq!(status(&stage).phase, None, "it is not the workspace's");
    stage.server.remove::<Claim>(Some(NAMESPACE), DISK);
    stage.reconcile().await.unwrap();
    assert_eq!(mounted(&stage), ["workspace-demo", DISK]);
}

#[tokio::test]
async fn a_disk_that_was_never_chosen_is_not_made() {
    let mut stage = with_disks(&json!([disk(&json!({"when": {"db": ["no"]}}))]));
    stage.run().await;
    assert_eq!((found(&stage), stage.status().claims.len()), (None, 0));
    stage.edit_spec(|spec| spec["options"] = json!({"db": "no"}));
    stage.reconcile().await.unwrap();
    assert!(
        found(&stage).is_some(),
        "made beside the pod, mounted at the next start"
    );
    assert_eq!(stage.status().pending_update, ["spec.options.db"]);
}

#[tokio::test]
async fn a_disk_that_is_deleted_under_its_pod_is_told_and_comes_back_empty() {
    let mut stage = with_disks(&json!([disk(&json!({}))]));
    stage.run().await;
    let made = found(&stage).unwrap();
    stage.server.edit::<Claim>(Some(NAMESPACE), DISK, |claim| {
        claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    });
    stage.reconcile().await.unwrap();
    let told = status(&stage);
    assert_eq!(told.reason.as_deref(), Some(reason::VOLUME_TERMINATING));
    assert!(
        told.message
            .unwrap()
            .contains("copy the files elsewhere before it stops")
    );
    assert_eq!(stage.status().terminating_claims, [DISK]);
    assert_eq!(stage.status().phase, Some(Phase::Running));
    stage.server.remove::<Claim>(Some(NAMESPACE), DISK);
    stage.reconcile().await.unwrap();
    let anew = found(&stage).unwrap();
    assert_ne!(anew.uid(), made.uid());
}

#[tokio::test]
async fn a_volume_of_the_pod_template_has_the_claim_of_this_workspace() {
    let mut stage = with_disks(&json!([]));
    let amounts = json!({"cpu": "10m", "memory": "16Mi"});
    let mut template = json!(objects::template("t"));
    template["spec"]["volumeClaims"] = json!([disk(&json!({"mountPath": null}))]);
    template["spec"]["podTemplate"] = json!({"spec": {
        "containers": [{
            "name": "database", "image": "r/db:1", "resources": {"requests": amounts, "limits": amounts},
            "volumeMounts": [{"name": "files", "mountPath": "/files"}],
        }],
        "volumes": [{"name": "files", "persistentVolumeClaim": {"claimName": "{pvcs.db}"}}],
    }});
    let template: WorkspaceTemplate = serde_json::from_value(template).unwrap();
    stage.server.put(&template);
    stage.reconcile().await.unwrap();
    let mut claims = mounted(&stage);
    claims.sort();
    assert_eq!(claims, ["workspace-demo", DISK]);
    let pod: Pod = stage.child().unwrap();
    let spec = pod.spec.unwrap();
    let application = spec.containers.iter().find(|it| it.name == "workspace").unwrap();
    let mounts = application.volume_mounts.iter().flatten();
    assert!(
        mounts
            .into_iter()
            .all(|mount| mount.name != "files" && mount.name != "db")
    );
}

/// A disk that begins as a copy of the claim `golden`.
fn copy_of_golden() -> Value {
    let source = json!({"kind": "PersistentVolumeClaim", "name": "golden"});
    json!([disk(&json!({"spec": {"dataSourceRef": source}}))])
}

#[tokio::test]
async fn the_disk_or_home_of_another_workspace_is_copied_to_no_disk() {
    let home = |name: &str, claim: &str| {
        let mut other = objects::workspace(name);
        other.spec.desired_status = api::workspace::DesiredStatus::Stopped;
        other.spec.storage = serde_json::from_value(json!({"claimName": claim})).unwrap();
        other
    };
    for (marks, home_of, is_made) in [
        (json!({names::WORKSPACE_UID: "victim"}), "mine", false),
        (json!({names::IN_USE_BY: "victim/v"}), "mine", false),
        (json!({}), "golden", false),
        (json!({}), "mine", true),
    ] {
        let mut stage = with_disks(&copy_of_golden());
        let mut golden = super::claim("golden", "ReadWriteOnce");
        golden.metadata.annotations = serde_json::from_value(marks).unwrap();
        stage.server.put(&golden);
        stage.server.put(&home("victim", home_of));
        stage.reconcile().await.unwrap();
        let source = found(&stage).and_then(|made| made.spec?.data_source_ref);
        assert_eq!(
            source.map(|source| source.name).as_deref(),
            is_made.then_some("golden")
        );
        assert_eq!(stage.child::<Pod>().is_some(), is_made);
        if !is_made {
            let told = status(&stage);
            assert_eq!(told.reason.as_deref(), Some(reason::VOLUME_OF_ANOTHER_WORKSPACE));
            assert!(told.message.unwrap().contains("golden"));
        }
    }
}

#[tokio::test]
async fn a_source_that_does_not_exist_is_waited_for_because_it_might_become_a_disk() {
    let mut stage = with_disks(&copy_of_golden());
    stage.reconcile().await.unwrap();
    assert_eq!((found(&stage), stage.child::<Pod>()), (None, None));
    let told = status(&stage);
    assert_eq!(told.reason.as_deref(), Some(reason::VOLUME_UNBOUND));
    let message = told.message.unwrap();
    assert!(message.contains("golden, which does not exist"), "{message}");
    let mut golden = super::claim("golden", "ReadWriteOnce");
    golden.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    golden.metadata.finalizers = Some(vec!["kubernetes.io/pvc-protection".to_owned()]);
    stage.server.put(&golden);
    stage.reconcile().await.unwrap();
    assert_eq!(found(&stage), None, "it may be made again as another's disk");
    stage.server.put(&super::claim("golden", "ReadWriteOnce"));
    stage.reconcile().await.unwrap();
    assert!(found(&stage).is_some() && stage.child::<Pod>().is_some());
}
