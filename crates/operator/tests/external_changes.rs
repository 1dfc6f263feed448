//! External changes of children, and changes of a run that has not started.

use api::{
    Workspace,
    condition::{self, AVAILABLE, DEGRADED, reason},
    names,
    workspace::{DesiredStatus, Phase},
};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{PersistentVolumeClaim, Pod},
    events::v1::Event,
};
use kube::ResourceExt as _;
use serde_json::json;
use testkit::objects::{NAMESPACE, OWNER};

use crate::stage::{CHILD, Stage, run_id, seconds};

type Claim = PersistentVolumeClaim;

/// Kubernetes holds a deleted claim for as long as a pod uses it.
fn delete_disk(stage: &Stage) {
    stage.server.edit::<Claim>(Some(NAMESPACE), CHILD, |claim| {
        claim["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    });
}

/// A stage whose workspace runs on a disk with a volume.
async fn with_volume() -> Stage {
    let mut stage = Stage::with_running_demo().await;
    stage.server.edit::<Claim>(Some(NAMESPACE), CHILD, |claim| {
        claim["spec"]["volumeName"] = json!("pv-1");
    });
    stage.reconcile().await.unwrap();
    stage.server.take_calls();
    stage
}

fn degraded(stage: &Stage) -> Option<String> {
    let status = stage.status();
    condition::find(&status.conditions, DEGRADED)
        .filter(|it| it.status == "True")
        .map(|it| it.reason.clone())
}

fn reported(stage: &Stage, reason: &str) -> usize {
    stage.events().iter().filter(|it| *it == reason).count()
}

#[tokio::test]
async fn a_disk_deleted_under_a_pod_is_reported_and_so_is_the_empty_one_that_follows() {
    for operators in 1..3 {
        let mut stage = with_volume().await;
        let first = stage.child::<Claim>().unwrap().uid();
        delete_disk(&stage);
        for _ in 0..3 {
            stage.reconcile().await.unwrap();
        }
        assert_eq!(degraded(&stage).as_deref(), Some(reason::VOLUME_TERMINATING));
        assert_eq!(stage.status().phase, Some(Phase::Running), "what runs goes on");
        assert_eq!(reported(&stage, reason::VOLUME_TERMINATING), 1);
        stage.set(DesiredStatus::Stopped);
        stage.reconcile().await.unwrap();
        stage.cluster();
        stage.end_pods();
        stage.server.remove::<Claim>(Some(NAMESPACE), CHILD);
        if operators == 2 {
            stage.replace_operator(None);
        }
        stage.reconcile().await.unwrap();
        assert_eq!(stage.status().phase, Some(Phase::Stopped));
        assert_ne!(stage.child::<Claim>().unwrap().uid(), first);
        assert_eq!(
            reported(&stage, reason::VOLUME_REPLACED),
            1,
            "{:?}",
            stage.events()
        );
        let events = stage.all::<Event>();
        let mut events = events.iter();
        let event = events.find(|event| event.reason.as_deref() == Some(reason::VOLUME_REPLACED));
        let note = event.unwrap().note.as_ref().unwrap();
        assert!(note.contains("pv-1") && note.contains("empty"), "{note}");
        stage.set(DesiredStatus::Running);
        stage.reconcile().await.unwrap();
        stage.cluster();
        stage.get_ready();
        stage.reconcile().await.unwrap();
        let message = stage.status().message.unwrap();
        assert!(message.contains("new, empty one"), "{message}");
        assert_eq!(
            (degraded(&stage), reported(&stage, reason::VOLUME_REPLACED)),
            (None, 1)
        );
        stage.set(DesiredStatus::Stopped);
        stage.reconcile().await.unwrap();
        stage.cluster();
        stage.end_pods();
        stage.reconcile().await.unwrap();
        let message = stage.status().message.unwrap();
        assert!(message.contains("the disk is kept"), "{message}");
    }
}

#[tokio::test]
async fn a_terminating_disk_is_released_only_by_an_explicit_restart_or_stop() {
    for started in [true, false] {
        let mut stage = with_volume().await;
        if !started {
            stage.stop().await;
            stage.set(DesiredStatus::Running);
            stage.reconcile().await.unwrap();
            stage.cluster();
        }
        delete_disk(&stage);
        stage.edit_spec(|spec| {
            spec["updatePolicy"] = json!("Always");
            spec["port"] = json!(9000);
        });
        for _ in 0..3 {
            stage.reconcile().await.unwrap();
        }
        let replicas = |stage: &Stage| stage.child::<Deployment>().unwrap().spec.unwrap().replicas;
        assert_eq!(replicas(&stage), Some(1), "started: {started}");
        assert_eq!(stage.status().pending_update, ["spec.port"]);
        stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
            object["metadata"]["annotations"][names::RESTARTED_AT] = json!("2026-01-01T00:00:00Z");
        });
        stage.reconcile().await.unwrap();
        assert_eq!(replicas(&stage), Some(0), "started: {started}");
    }
}

#[tokio::test]
async fn a_disk_restored_from_its_earlier_volume_is_not_reported_as_lost() {
    let mut stage = with_volume().await;
    stage.stop().await;
    stage.server.edit::<Claim>(Some(NAMESPACE), CHILD, |claim| {
        claim["metadata"]["uid"] = json!("made-anew");
    });
    stage.reconcile().await.unwrap();
    assert_eq!(reported(&stage, reason::VOLUME_REPLACED), 0);
    let disk = stage.status().disk.unwrap();
    assert_eq!(
        (disk.claim_uid.as_str(), disk.replaces_deleted),
        ("made-anew", false)
    );
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_vanished_before_the_cache_showed_it_is_missed_soon() {
    let mut stage = Stage::with_demo();
    stage.reconcile().await.unwrap();
    stage.server.remove::<Deployment>(Some(NAMESPACE), CHILD);
    stage.reconcile().await.unwrap();
    assert_eq!(stage.all::<Deployment>().len(), 0, "it may only be late");
    let again = seconds(&stage.reconcile().await.unwrap());
    assert!(again <= 5.0, "{again}");
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    stage.reconcile().await.unwrap();
    assert_eq!(stage.all::<Deployment>().len(), 1);
}

#[tokio::test]
async fn a_run_in_which_nothing_has_started_takes_a_change_at_once() {
    let mut stage = Stage::with_demo();
    stage.edit_spec(|spec| spec["image"] = json!("example.com/typo:1"));
    stage.reconcile().await.unwrap();
    stage.cluster();
    stage.reconcile().await.unwrap();
    let first = run_id(&stage.child().unwrap());
    stage.edit_spec(|spec| spec["image"] = json!("example.com/right:1"));
    stage.reconcile().await.unwrap();
    let deployment = stage.child::<Deployment>().unwrap();
    assert_eq!(
        deployment.spec.unwrap().replicas,
        Some(0),
        "one pod per disk, always"
    );
    stage.cluster();
    stage.reconcile().await.unwrap();
    assert_eq!(run_id(&stage.child().unwrap()), first, "the pod is not gone yet");
    stage.end_pods();
    stage.reconcile().await.unwrap();
    let template = stage.child::<Deployment>().unwrap().spec.unwrap().template;
    let image = template.spec.unwrap().containers[0].image.clone();
    assert_eq!(image.as_deref(), Some("example.com/right:1"));
    assert_ne!(run_id(&stage.child().unwrap()), first);
    stage.cluster();
    stage.get_ready();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().phase, Some(Phase::Running));
    assert!(stage.status().started_at.is_some());
}

#[tokio::test]
async fn a_started_run_keeps_its_inputs_also_in_a_replaced_pod() {
    let mut stage = Stage::with_running_demo().await;
    let first = run_id(&stage.child().unwrap());
    stage.end_pods();
    stage.cluster();
    for replaced in [false, true] {
        if replaced {
            stage.replace_operator(None);
        }
        stage.edit_spec(|spec| spec["port"] = json!(9000));
        stage.reconcile().await.unwrap();
        assert_eq!(
            run_id(&stage.child().unwrap()),
            first,
            "the new pod has not started, the run has"
        );
        assert_eq!(stage.status().pending_update, ["spec.port"]);
    }
    assert_eq!(stage.all::<Pod>().len(), 1);
}

#[tokio::test]
async fn an_externally_scaled_deployment_is_scaled_back_at_once_with_an_event() {
    let mut stage = Stage::with_running_demo().await;
    stage.server.edit::<Deployment>(Some(NAMESPACE), CHILD, |object| {
        object["spec"]["replicas"] = json!(3);
    });
    stage.reconcile().await.unwrap();
    assert_eq!(
        stage.child::<Deployment>().unwrap().spec.unwrap().replicas,
        Some(1)
    );
    assert_eq!(reported(&stage, reason::REPLICAS_CORRECTED), 1);
    let events = stage.all::<Event>();
    let note = events
        .iter()
        .find(|event| event.reason.as_deref() == Some(reason::REPLICAS_CORRECTED))
        .and_then(|event| event.note.clone())
        .unwrap();
    assert!(note.contains("scaled to 3 pods"), "{note}");
    stage.reconcile().await.unwrap();
    assert_eq!(reported(&stage, reason::REPLICAS_CORRECTED), 1);
    let counted = |stage: &Stage| -> Vec<_> {
        let series = stage.all::<Event>().into_iter().filter_map(|event| event.series);
        series.map(|series| series.count).collect()
    };
    assert_eq!(counted(&stage), [0; 0]);
    stage.server.edit::<Deployment>(Some(NAMESPACE), CHILD, |object| {
        object["spec"]["replicas"] = json!(3);
    });
    stage.reconcile().await.unwrap();
    assert_eq!(reported(&stage, reason::REPLICAS_CORRECTED), 1);
    assert_eq!(counted(&stage), [2]);
}

#[tokio::test]
async fn a_deployment_externally_scaled_to_zero_or_deleted_is_reported_once_and_a_new_run_starts() {
    let ours = json!({
        "manager": names::OPERATOR, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:template": {}}},
    });
    let edited = json!({
        "manager": "kubectl", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}},
    });
    let changes = [
        (None, "was deleted"),
        (Some(json!([ours, edited])), "was scaled to 0 by \"kubectl\""),
        // What the scale subresource leaves of a number of 0.
        (Some(json!([ours])), "was scaled to 0, as with `kubectl scale`"),
    ];
    for (scaled, text) in changes {
        let mut stage = Stage::with_running_demo().await;
        let first = run_id(&stage.child().unwrap());
        if let Some(books) = scaled {
            stage.server.edit::<Deployment>(Some(NAMESPACE), CHILD, |object| {
                object["spec"]["replicas"] = json!(0);
                object["metadata"]["managedFields"] = books;
            });
        } else {
            stage.server.remove::<Deployment>(Some(NAMESPACE), CHILD);
            for set in stage.all::<ReplicaSet>() {
                stage
                    .server
                    .remove::<ReplicaSet>(Some(NAMESPACE), &set.name_any());
            }
        }
        stage.reconcile().await.unwrap();
        stage.end_pods();
        stage.cluster();
        for _ in 0..3 {
            stage.reconcile().await.unwrap();
            stage.cluster();
        }
        assert_ne!(run_id(&stage.child().unwrap()), first, "{text}");
        assert_eq!(reported(&stage, reason::DEPLOYMENT_RESTORED), 1, "{text}");
        let events = stage.all::<Event>();
        let note = events
            .iter()
            .find(|event| event.reason.as_deref() == Some(reason::DEPLOYMENT_RESTORED))
            .and_then(|event| event.note.clone())
            .unwrap();
        assert!(
            note.contains(text) && note.contains("spec.desiredStatus"),
            "{note}"
        );
    }
}

#[tokio::test]
async fn a_requested_restart_is_not_reported_as_an_external_change() {
    let mut stage = Stage::with_running_demo().await;
    stage.edit_spec(|spec| {
        spec["updatePolicy"] = json!("Always");
        spec["port"] = json!(9000);
    });
    for _ in 0..3 {
        stage.reconcile().await.unwrap();
        stage.cluster();
        stage.end_pods();
    }
    assert_eq!(reported(&stage, reason::DEPLOYMENT_RESTORED), 0);
}

#[tokio::test]
async fn each_change_of_owner_is_an_event_with_its_own_names() {
    let mut stage = Stage::with_running_demo().await;
    for owner in ["bob", "carol"] {
        stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
            object["metadata"]["annotations"][names::CREATED_BY] = json!(owner);
        });
        stage.reconcile().await.unwrap();
    }
    let mut notes: Vec<_> = stage
        .all::<Event>()
        .into_iter()
        .filter(|event| event.reason.as_deref() == Some(reason::HANDED_OVER))
        .filter_map(|event| event.note)
        .collect();
    notes.sort();
    let note =
        |now: &str, before: &str| format!("The workspace belongs to {now:?} now; it belonged to {before:?}.");
    assert_eq!(notes, [note("bob", OWNER), note("carol", "bob")]);
}

#[tokio::test]
async fn a_pod_template_changed_while_the_workspace_is_stopped_is_pending_and_reported() {
    let mut stage = Stage::with_running_demo().await;
    stage.set(DesiredStatus::Stopped);
    stage.reconcile().await.unwrap();
    stage.cluster();
    stage.end_pods();
    stage.reconcile().await.unwrap();
    stage.server.edit::<Deployment>(Some(NAMESPACE), CHILD, |object| {
        object["metadata"]["managedFields"] = json!([{
            "manager": "kubectl-edit", "operation": "Update", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:hostNetwork": {}}}}},
        }]);
    });
    stage.reconcile().await.unwrap();
    assert_eq!(stage.status().pending_update, ["deployment.spec.template"]);
    assert_eq!(reported(&stage, reason::POD_TEMPLATE_CHANGED), 1);
    assert!(condition::find(&stage.status().conditions, AVAILABLE).is_some());
}

#[tokio::test]
async fn an_orphaned_run_is_reported_with_a_remedy_and_no_other_starts_beside_it() {
    for (desired, phase) in [
        (DesiredStatus::Running, Phase::Failed),
        (DesiredStatus::Stopped, Phase::Stopping),
    ] {
        let mut stage = Stage::with_running_demo().await;
        stage.orphan();
        stage.set(desired);
        for _ in 0..3 {
            stage.reconcile().await.unwrap();
        }
        let status = stage.status();
        assert_eq!(degraded(&stage).as_deref(), Some(reason::REPLICA_SET_ORPHANED));
        assert_eq!((status.phase, status.endpoint), (Some(phase), None));
        let message = status.message.unwrap();
        let way_out = "kubectl delete -n team replicaset/workspace-demo-5d8f";
        assert!(message.contains(way_out), "{message}");
        assert_eq!(reported(&stage, reason::REPLICA_SET_ORPHANED), 1);
        assert_eq!(reported(&stage, reason::DEPLOYMENT_RESTORED), 0);
        assert_eq!(
            (stage.all::<Deployment>().len(), stage.all::<Pod>().len()),
            (0, 1)
        );

        stage.collect_garbage();
        if desired == DesiredStatus::Running {
            stage.run().await;
        } else {
            stage.reconcile().await.unwrap();
            assert_eq!(stage.status().phase, Some(Phase::Stopped));
        }
        assert_eq!(degraded(&stage), None);
    }
}
