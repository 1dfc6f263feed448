//! A workspace that starts in recovery and normally again: another pod on the same disk.

use api::WorkspaceTemplate;
use api::condition::{VALID, find};
use api::names::RESTARTED_AT;
use api::workspace::{AccessType, Phase, UpdatePolicy};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::objects::{self, NAMESPACE};

use crate::restarts::settle;
use crate::stage::{Stage, run_id};

const REPAIR: &str = "localhost/recovery:1";

fn image(stage: &Stage) -> Value {
    json!(stage.child::<Pod>().unwrap())["spec"]["containers"][0]["image"].clone()
}

fn admits(stage: &Stage) -> Option<AccessType> {
    stage.status().resolved.unwrap().access_type
}

#[tokio::test]
async fn recovery_waits_for_a_restart_keeps_the_disk_admits_the_owner_alone_and_is_ended_the_same_way() {
    let mut stage = Stage::with_running_demo().await;
    stage.edit_spec(|spec| spec["accessType"] = json!(AccessType::Public));
    settle(&mut stage).await;
    let disk = stage.child::<PersistentVolumeClaim>().unwrap().uid();
    let ordinary = stage.child::<Pod>().unwrap();
    assert_eq!(admits(&stage), Some(AccessType::Public));
    stage.edit_spec(|spec| spec["recoveryMode"] = true.into());
    settle(&mut stage).await;
    assert_eq!(stage.status().pending_update, ["spec.recoveryMode"]);
    assert_eq!(stage.child::<Pod>().unwrap().spec, ordinary.spec);
    assert!(
        !stage.status().message.unwrap().contains("recovery"),
        "this run is none"
    );
    assert_eq!(admits(&stage), Some(AccessType::Public), "as this run did");

    let restart = |stage: &Stage, time: &str| {
        stage
            .server
            .edit::<api::Workspace>(Some(NAMESPACE), "demo", |object| {
                object["metadata"]["annotations"][RESTARTED_AT] = json!(time);
            });
    };
    restart(&stage, "1");
    settle(&mut stage).await;
    let status = stage.status();
    assert_eq!(
        (status.phase, image(&stage)),
        (Some(Phase::Running), json!(REPAIR))
    );
    assert_eq!(status.pending_update, [""; 0]);
    assert!(
        status.message.as_ref().unwrap().contains("It is in recovery"),
        "{:?}",
        status.message
    );
    assert_eq!(status.resolved.unwrap().image.as_deref(), Some(REPAIR));
    assert_eq!(stage.child::<PersistentVolumeClaim>().unwrap().uid(), disk);
    assert_eq!(admits(&stage), Some(AccessType::OwnerOnly));

    stage.edit_spec(|spec| drop(spec.as_object_mut().unwrap().remove("recoveryMode")));
    settle(&mut stage).await;
    assert_eq!(image(&stage), json!(REPAIR), "it waits for a restart");
    assert_eq!(admits(&stage), Some(AccessType::OwnerOnly));
    restart(&stage, "2");
    settle(&mut stage).await;
    let again = stage.child::<Pod>().unwrap();
    assert_ne!(run_id(&again), run_id(&ordinary));
    assert_eq!(image(&stage), json!(ordinary)["spec"]["containers"][0]["image"]);
    assert_eq!(stage.status().message.as_deref(), Some("The pod is ready."));
    assert_eq!(stage.child::<PersistentVolumeClaim>().unwrap().uid(), disk);
    assert_eq!(admits(&stage), Some(AccessType::Public));
}

#[tokio::test]
async fn a_profile_that_is_gone_holds_up_a_normal_start_and_no_recovery() {
    let mut stage = Stage::with_demo();
    stage.edit_spec(|spec| spec["executionProfileRef"] = "gone".into());
    settle(&mut stage).await;
    assert_eq!(stage.status().phase, Some(Phase::Invalid));
    stage.edit_spec(|spec| spec["recoveryMode"] = true.into());
    settle(&mut stage).await;
    assert_eq!(
        (stage.status().phase, image(&stage)),
        (Some(Phase::Running), json!(REPAIR))
    );
}

#[tokio::test]
async fn what_the_webhook_would_refuse_gets_no_pod_and_what_runs_stays() {
    let mut template = objects::template("t");
    template.spec.allow_recovery = false;
    let mut stage = Stage::with_demo();
    stage.server.put::<WorkspaceTemplate>(&template);
    stage.edit_spec(|spec| {
        spec["templateRef"] = "t".into();
        spec["updatePolicy"] = json!(UpdatePolicy::Always);
    });
    settle(&mut stage).await;
    let ordinary = stage.child::<Pod>().unwrap();
    stage.edit_spec(|spec| spec["recoveryMode"] = true.into());
    settle(&mut stage).await;
    let status = stage.status();
    let valid = find(&status.conditions, VALID).unwrap();
    assert!(
        valid.status == "False" && valid.message.contains("allowRecovery is false"),
        "{valid:?}"
    );
    assert_eq!(stage.child::<Pod>().unwrap().uid(), ordinary.uid());
    stage.edit_spec(|spec| spec["desiredStatus"] = "Stopped".into());
    settle(&mut stage).await;
    stage.edit_spec(|spec| spec["desiredStatus"] = "Running".into());
    settle(&mut stage).await;
    assert!(stage.child::<Pod>().is_none());
}
