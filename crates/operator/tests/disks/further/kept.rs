//! When further disks are kept, and when they go.

use api::{WorkspaceTemplate, condition::reason, names, workspace::Retain};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use testkit::objects::NAMESPACE;

use super::{
    super::{Claim, claim, delete_workspace, workspace},
    DISK, disk, found, mounted, put_demo, put_template, status, with_disks,
};
use crate::stage::Stage;

/// Makes the template again under its name, with these disks. No other way gives a workspace another template: `templateRef` is immutable,
/// and a template goes before its workspaces only if its finalizer is removed by force.
fn make_template_again(stage: &mut Stage, disks: &Value) {
    stage.server.remove::<WorkspaceTemplate>(None, "t");
    put_template(stage, "t", disks);
    stage.sync();
}

#[tokio::test]
async fn what_becomes_of_a_disk_that_is_not_chosen_is_as_its_template_says_today() {
    let (not_chosen, in_recovery) = (json!({"options": {"db": "no"}}), json!({"recoveryMode": true}));
    for left_out in [not_chosen, in_recovery] {
        for (earlier, today) in [("Delete", "Retain"), ("Retain", "Delete"), ("Delete", "Delete")] {
            let of = |retain: &str| json!([disk(&json!({"when": {"db": ["yes"]}, "retain": retain}))]);
            let mut stage = with_disks(&of(earlier));
            stage.run().await;
            let made = found(&stage).unwrap();
            stage.stop().await;
            stage.edit_spec(|spec| json_patch::merge(spec, &left_out));
            stage.reconcile().await.unwrap();
            make_template_again(&mut stage, &of(today));
            stage.reconcile().await.unwrap();
            let now = found(&stage).unwrap();
            assert_eq!(now.uid(), made.uid());
            let is_retained = today == "Retain";
            // By it a deletion in the foreground deletes the claim, whatever the operator does.
            assert_eq!(
                now.owner_references().is_empty(),
                is_retained,
                "{earlier} {today}"
            );
            let told = status(&stage);
            assert_eq!(told.retain == Some(Retain::Retain), is_retained);
            assert!(told.message.unwrap().contains("is not mounted"));
            stage.server.take_calls();
            stage.reconcile().await.unwrap();
            assert_eq!(stage.server.take_calls().len(), 0, "once");
            delete_workspace(&mut stage).await;
            assert_eq!(
                found(&stage).is_some(),
                is_retained,
                "{earlier} {today} {left_out}"
            );
        }
    }
}

#[tokio::test]
async fn a_restored_claim_is_the_workspace_s_once_it_has_its_uid_and_label() {
    let (chosen, left_out) = (json!({}), json!({"when": {"db": ["no"]}}));
    for (when, made_for, is_kept) in [
        (&chosen, None, true),
        (&left_out, None, true),
        // Without a volume it is made anew for today's template: who restores it removes what it was made for.
        (&chosen, Some("fast/1Gi"), false),
        (&left_out, Some("fast/1Gi"), true),
    ] {
        let mut stage = with_disks(&json!([disk(when)]));
        let mut restored = claim(DISK, "ReadWriteOnce");
        restored.metadata.uid = Some("restored".to_owned());
        restored.status.get_or_insert_default().phase = Some("Pending".to_owned());
        let given = [(names::WORKSPACE_UID, Some("first")), (names::MADE_FOR, made_for)];
        let given = given
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
        restored.metadata.annotations = Some(given.collect());
        let labels = [(names::WORKSPACE_LABEL.to_owned(), "demo".to_owned())];
        restored.metadata.labels = Some(labels.into());
        stage.server.put(&restored);
        if !is_kept {
            for _ in 0..2 {
                stage.reconcile().await.unwrap();
            }
            let anew = found(&stage).and_then(|claim| claim.uid());
            assert_ne!(anew.as_deref(), Some("restored"));
            continue;
        }
        stage.run().await;
        let now = found(&stage).unwrap();
        assert_eq!(now.uid().as_deref(), Some("restored"), "{when} {made_for:?}");
        assert_eq!(
            now.owner_references()[0].uid,
            "first",
            "it goes with the workspace"
        );
        let is_chosen = when.get("when").is_none();
        assert_eq!(mounted(&stage).contains(&DISK.to_owned()), is_chosen);
        delete_workspace(&mut stage).await;
        assert_eq!(found(&stage), None);
    }
}

#[tokio::test]
async fn a_disk_that_is_not_chosen_is_never_taken_from_somebody_else() {
    let disks = json!([disk(&json!({"when": {"db": ["no"]}}))]);
    let mut stage = with_disks(&disks);
    let mut foreign = claim(DISK, "ReadWriteOnce");
    // The operator sees only claims with the label, which any user can write.
    let labels = [(names::WORKSPACE_LABEL.to_owned(), "demo".to_owned())];
    foreign.metadata.labels = Some(labels.into());
    stage.server.put(&foreign);
    stage.run().await;
    let now = found(&stage).unwrap().metadata;
    assert_eq!(now.labels, foreign.metadata.labels);
    assert_eq!((now.annotations, now.owner_references), (None, None));
    assert_eq!(stage.status().claims, []);
}

#[tokio::test]
async fn a_template_made_again_with_another_disk_changes_none_that_has_a_volume() {
    for bound in [true, false] {
        let mut stage = with_disks(&json!([disk(&json!({"spec": {"storageClassName": "standard"}}))]));
        stage.reconcile().await.unwrap();
        let made = found(&stage).unwrap();
        stage.server.edit::<Claim>(Some(NAMESPACE), DISK, |claim| {
            claim["status"]["phase"] = json!(if bound { "Bound" } else { "Pending" });
            claim["metadata"]["finalizers"] = Value::Null;
        });
        let other = json!({"spec": {
            "accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "2Gi"}}, "volumeMode": "Filesystem",
        }, "retain": "Retain"});
        make_template_again(&mut stage, &json!([disk(&other)]));
        for _ in 0..2 {
            stage.reconcile().await.unwrap();
        }
        let now = found(&stage).unwrap();
        assert_eq!(now.uid() == made.uid(), bound, "{now:?}");
        let modes = now.spec.as_ref().unwrap().access_modes.clone().unwrap();
        let expected = if bound { "ReadWriteOnce" } else { "ReadWriteMany" };
        assert_eq!(modes, [expected]);
        assert_eq!(now.owner_references(), [], "retained, as the template says now");
    }
}

#[tokio::test]
async fn a_disk_that_only_an_earlier_template_had_goes_with_the_workspace() {
    let mut stage = with_disks(&json!([disk(&json!({}))]));
    stage.run().await;
    stage.stop().await;
    make_template_again(&mut stage, &json!([]));
    stage.set(api::workspace::DesiredStatus::Running);
    stage.run().await;
    assert_eq!(mounted(&stage), ["workspace-demo"]);
    assert!(found(&stage).is_some());
    assert_eq!(
        status(&stage).retain,
        Some(Retain::Delete),
        "users are told of it"
    );
    delete_workspace(&mut stage).await;
    assert!(stage.all::<Claim>().is_empty());
}

#[tokio::test]
async fn a_disk_of_an_earlier_workspace_goes_on_as_the_template_of_the_new_one_says() {
    let mut stage = with_disks(&json!([disk(&json!({"retain": "Retain"}))]));
    stage.run().await;
    delete_workspace(&mut stage).await;
    let kept = found(&stage).unwrap();
    put_template(
        &stage,
        "other",
        &json!([disk(&json!({"spec": {"storageClassName": "other"}}))]),
    );
    let mut demo = workspace("second", "alice", &Value::Null);
    demo.spec.template_ref = Some("other".to_owned());
    stage.server.put(&demo);
    stage.run().await;
    let taken = found(&stage).unwrap();
    assert_eq!(taken.uid(), kept.uid());
    assert_eq!(taken.spec, kept.spec);
    assert_eq!(taken.owner_references()[0].uid, "second");
    delete_workspace(&mut stage).await;
    assert!(stage.all::<Claim>().is_empty());
}

#[tokio::test]
async fn a_retained_disk_outlives_its_workspace_and_only_its_owner_gets_it_back() {
    let mut stage = with_disks(&json!([disk(&json!({"retain": "Retain"}))]));
    stage.run().await;
    assert_eq!(
        found(&stage).unwrap().owner_references(),
        [],
        "from the beginning"
    );
    delete_workspace(&mut stage).await;
    let kept = found(&stage).unwrap();
    assert_eq!(names::owner(&kept.metadata), Some("alice"));
    assert_eq!(stage.all::<Claim>().len(), 1, "the home goes");
    assert!(stage.events().contains(&reason::DISK_KEPT.to_owned()));

    put_demo(&stage, "second", "bob");
    stage.reconcile().await.unwrap();
    assert_eq!(
        status(&stage).reason.as_deref(),
        Some(reason::RETAINED_VOLUME_OF_ANOTHER_OWNER)
    );
    assert!(stage.child::<Pod>().is_none());
    delete_workspace(&mut stage).await;
    assert_eq!(found(&stage).unwrap(), kept);

    put_demo(&stage, "third", "alice");
    stage.run().await;
    assert_eq!(found(&stage).unwrap().uid(), kept.uid());
    assert!(stage.events().contains(&reason::DISK_TAKEN_OVER.to_owned()));
}

#[tokio::test]
async fn a_disk_that_is_not_chosen_any_more_stays_unmounted_until_the_workspace_is_deleted() {
    let mut stage = with_disks(&json!([disk(&json!({"when": {"db": ["yes"]}}))]));
    stage.run().await;
    let made = found(&stage).unwrap();
    stage.stop().await;
    stage.edit_spec(|spec| spec["options"] = json!({"db": "no"}));
    stage.set(api::workspace::DesiredStatus::Running);
    stage.run().await;
    assert_eq!(mounted(&stage), ["workspace-demo"]);
    assert_eq!(found(&stage).unwrap().uid(), made.uid());
    assert!(status(&stage).message.unwrap().contains("is not mounted"));
    delete_workspace(&mut stage).await;
    assert!(stage.all::<Claim>().is_empty());
}
