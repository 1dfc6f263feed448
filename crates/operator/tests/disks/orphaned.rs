//! Deletions with `--cascade=orphan`: all disks are retained, and nothing else is left.

use api::{Workspace, condition::reason, names};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service, ServiceAccount};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;
use testkit::objects::NAMESPACE;

use super::{
    Claim, Phase, delete_workspace,
    further::{DISK, disk, put_demo, with_disks},
};
use crate::stage::{CHILD, Stage, unisolated};

/// What happens after the deletion was requested.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The garbage collector removes the owner references of all that the workspace owns.
    References,
    /// Then it removes its finalizer.
    Finalizer,
    /// The operator reconciles; this may fail.
    Reconcile,
    /// The operator reconciles, but of all caches only the workspace's has caught up.
    ReconcileLate,
    /// Pods end.
    End,
    /// Another operator takes over.
    Replace,
}

use Step::{End, Finalizer, Reconcile, ReconcileLate, References, Replace};

/// alice's `demo`, which runs and retains neither of its disks.
async fn running() -> Stage {
    let mut stage = with_disks(&json!([disk(&json!({}))]));
    stage.name_service(true);
    stage.run().await;
    stage.sync();
    stage
}

/// A user deletes `demo` with `--cascade=orphan`: the API server adds a finalizer.
fn delete_orphaning(stage: &Stage) {
    stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
        let mut finalizers = object["metadata"]["finalizers"].as_array().unwrap().clone();
        finalizers.push(json!("orphan"));
        object["metadata"]["finalizers"] = json!(finalizers);
    });
    stage.delete_demo();
}

fn disown<K>(stage: &Stage)
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    for object in stage.all::<K>() {
        stage
            .server
            .edit::<K>(Some(NAMESPACE), &object.name_any(), |object| {
                if let Some(owners) = object["metadata"]["ownerReferences"].as_array_mut() {
                    owners.retain(|owner| owner["uid"] != "first");
                }
            });
    }
}

/// Its home and its further disk.
fn claims(stage: &Stage) -> [Claim; 2] {
    [CHILD, DISK].map(|name| stage.server.get(Some(NAMESPACE), name).unwrap())
}

fn exists(stage: &Stage) -> bool {
    !stage.all::<Workspace>().is_empty()
}

async fn take(stage: &mut Stage, step: Step) {
    match step {
        References => {
            disown::<Claim>(stage);
            disown::<Service>(stage);
            disown::<Pod>(stage);
            disown::<ServiceAccount>(stage);
        }
        Finalizer if exists(stage) => {
            let mut left = stage.workspace().finalizers().to_vec();
            left.retain(|it| it != "orphan");
            if left.is_empty() {
                stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
            } else {
                stage.server.edit::<Workspace>(Some(NAMESPACE), "demo", |object| {
                    object["metadata"]["finalizers"] = json!(left);
                });
            }
        }
        Reconcile if exists(stage) => drop(stage.reconcile().await),
        ReconcileLate if exists(stage) => {
            stage.sync_one(0);
            let _ = stage.reconcile_unsynced("demo").await;
        }
        End => stage.collect_garbage(),
        Replace => stage.replace_operator(None),
        Finalizer | Reconcile | ReconcileLate => {}
    }
    assert_eq!(unisolated(&stage.server), [""; 0], "after {step:?}");
}

#[tokio::test]
async fn a_deletion_that_orphans_retains_each_disk_in_whatever_order_it_is_seen() {
    let orders: [&[Step]; 9] = [
        // The garbage collector is late, or early, or in the middle.
        &[Reconcile, End, Reconcile, References, Finalizer],
        &[References, Finalizer, Reconcile, End, Reconcile],
        &[Reconcile, References, Finalizer, End, Reconcile],
        &[References, Reconcile, Finalizer, End, Reconcile],
        &[References, Reconcile, End, Reconcile, Finalizer],
        // The operator sees that the workspace is deleted, and not yet that the disk has lost its owner.
        &[References, Finalizer, ReconcileLate, ReconcileLate],
        // Its finalizer cannot be released, because the finalizers have changed, and it ends then.
        &[Reconcile, End, References, Finalizer, ReconcileLate, Replace],
        &[Reconcile, Replace, References, Finalizer, Replace, Reconcile],
        &[Replace, References, Replace, Reconcile, Finalizer, Replace],
    ];
    for order in orders {
        let mut stage = running().await;
        let disks = claims(&stage);
        let owners = disks.each_ref().map(|disk| disk.owner_references().len());
        assert_eq!(owners, [1, 1], "the control: each has an owner");
        delete_orphaning(&stage);
        for step in order.iter().chain(&[Reconcile, End, Reconcile, End, Reconcile]) {
            take(&mut stage, *step).await;
        }
        take(&mut stage, References).await;
        take(&mut stage, Finalizer).await;
        assert!(!exists(&stage), "{order:?}: {:?}", stage.all::<Workspace>());
        for (kept, disk) in claims(&stage).iter().zip(&disks) {
            let name = disk.name_any();
            assert_eq!(kept.uid(), disk.uid(), "{name}: {order:?}");
            assert_eq!(kept.metadata.deletion_timestamp, None, "{name}: {order:?}");
            assert_eq!(kept.owner_references(), [], "{name}: {order:?}");
            assert_eq!(names::owner(&kept.metadata), Some("alice"), "{name}: {order:?}");
            for (key, value) in names::NOT_PRUNED {
                assert_eq!(kept.annotations()[key], value, "{name}: {order:?}");
            }
        }
        assert!(
            stage.events().contains(&reason::DISK_KEPT.to_owned()),
            "{order:?}"
        );
        stage.reconcile_policies().await;
        let left = (
            stage.all::<Pod>().len(),
            stage.all::<Service>().len(),
            stage.policies().len(),
        );
        assert_eq!(left, (0, 0, 0), "{order:?}");
    }
}

#[tokio::test]
async fn orphaned_disks_are_used_again_by_their_owner_only_and_go_with_a_plain_deletion() {
    let mut stage = running().await;
    let uids = |stage: &Stage| claims(stage).map(|claim| claim.uid());
    let made = uids(&stage);
    delete_orphaning(&stage);
    for step in [References, Finalizer, Reconcile, End, Reconcile] {
        take(&mut stage, step).await;
    }
    put_demo(&stage, "second", "bob");
    stage.reconcile().await.unwrap();
    assert_eq!(
        stage.status().reason.as_deref(),
        Some(reason::RETAINED_VOLUME_OF_ANOTHER_OWNER)
    );
    delete_workspace(&mut stage).await;

    put_demo(&stage, "third", "alice");
    stage.run().await;
    assert_eq!(stage.status().phase, Some(Phase::Running));
    assert_eq!(uids(&stage), made);
    delete_workspace(&mut stage).await;
    assert!(stage.all::<PersistentVolumeClaim>().is_empty());
}

#[tokio::test]
async fn a_disk_that_changed_since_it_was_read_is_deleted_at_the_next_try() {
    let mut stage = running().await;
    stage.delete_demo();
    stage.sync();
    stage.server.edit::<Claim>(Some(NAMESPACE), CHILD, |claim| {
        claim["metadata"]["annotations"]["example.com/note"] = json!("backed up");
    });
    stage.reconcile_unsynced("demo").await.unwrap();
    assert!(stage.child::<Claim>().is_some());
    stage.reconcile().await.unwrap();
    assert!(stage.child::<Claim>().is_none());
}
