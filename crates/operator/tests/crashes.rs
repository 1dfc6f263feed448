//! The operator ends at any of its calls. Its successor completes the work: nothing is lost or duplicated.

use std::collections::BTreeSet;

use api::{
    WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate,
    names::IN_USE_FINALIZER,
    workspace::{DesiredStatus, Phase},
};
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Pod, Service, ServiceAccount},
    networking::v1::Ingress,
};
use kube::{Resource, ResourceExt};
use operator::controllers::{catalog, catalog::CatalogState};
use serde::de::DeserializeOwned;
use serde_json::json;
use testkit::{api_server::Life, objects};

use crate::{
    routing::{custom, see},
    stage::{POLICIES, Stage, run_id, unisolated},
};

/// More calls than any of the stories below takes.
const MANY: usize = 60;

fn uids<K>(stage: &Stage) -> BTreeSet<String>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    stage.all::<K>().iter().filter_map(ResourceExt::uid).collect()
}

/// Reconciles and the cluster's own work by turns, until nothing changes. Reconciles may fail.
async fn go_on(stage: &mut Stage) {
    for _ in 0..8 {
        let gone = stage.all::<api::Workspace>().is_empty();
        if gone {
            return;
        }
        see(stage);
        stage.sync();
        catalog::reconcile(&stage.context, &CatalogState::default()).await;
        stage.sync();
        let _ = stage.reconcile_unsynced("demo").await;
        stage.cluster();
        stage.get_ready();
    }
}

/// A template with a further disk.
fn template() -> WorkspaceTemplate {
    let mut template = json!(objects::template("t"));
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    template["spec"]["volumeClaims"] = json!([{"name": "db", "mountPath": "/db", "spec": spec}]);
    serde_json::from_value(template).unwrap()
}

/// `demo` with a further disk, running.
async fn running() -> Stage {
    let mut stage = Stage::with_demo();
    stage.server.put(&template());
    stage.edit_spec(|spec| spec["templateRef"] = json!("t"));
    stage.run().await;
    stage.sync();
    stage.server.take_calls();
    stage
}

/// `demo` with all that a start can take: a template with a further disk, a manager whose route is an object, a profile with an account per workspace.
fn with_all() -> Stage {
    let stage = Stage::with_demo();
    let own = json!({"serviceAccount": {"perWorkspace": {}}});
    stage.server.put(&template());
    stage.server.put(&custom("main", |_| {}));
    stage.server.put(&objects::execution_profile("p", &own));
    stage.edit_spec(|spec| {
        spec["templateRef"] = json!("t");
        spec["executionProfileRef"] = json!("p");
    });
    stage
}

/// How often the only object of this kind is held as in use.
fn holds<K>(stage: &Stage) -> usize
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let all = stage.all::<K>();
    let finalizers = all.iter().flat_map(ResourceExt::finalizers);
    finalizers.filter(|it| *it == IN_USE_FINALIZER).count()
}

/// Lets operators die at each call in turn, done or not, while they work on what `prepare` left them.
async fn with_every_death<F: Future<Output = Stage>>(prepare: impl Fn() -> F, check: impl Fn(&Stage, Life)) {
    for last_is_done in [false, true] {
        for calls in 1..MANY {
            let life = Life { calls, last_is_done };
            let mut stage = prepare().await;
            stage.server.take_calls();
            stage.replace_operator(Some(life));
            go_on(&mut stage).await;
            let died = stage.server.take_calls().len() >= calls - usize::from(!last_is_done);
            stage.replace_operator(None);
            go_on(&mut stage).await;
            check(&stage, life);
            assert_eq!(unisolated(&stage.server), [""; 0], "{life:?}");
            if !died {
                break;
            }
            assert!(calls < MANY - 1, "the story takes more calls than expected");
        }
    }
}

#[tokio::test]
async fn an_operator_that_dies_at_any_call_of_a_start_leaves_one_of_each_child() {
    with_every_death(
        || async { with_all() },
        |stage, life| {
            assert_eq!(holds::<WorkspaceTemplate>(stage), 1, "{life:?}");
            assert_eq!(holds::<WorkspaceManager>(stage), 1, "{life:?}");
            assert_eq!(holds::<WorkspaceExecutionProfile>(stage), 1, "{life:?}");
            assert_eq!(uids::<ServiceAccount>(stage).len(), 1, "{life:?}");
            assert_eq!(uids::<Ingress>(stage).len(), 1, "{life:?}");
            assert_eq!(uids::<PersistentVolumeClaim>(stage).len(), 2, "{life:?}");
            assert_eq!(uids::<Service>(stage).len(), 1, "{life:?}");
            assert_eq!(stage.policies(), POLICIES, "{life:?}");
            assert_eq!(uids::<Pod>(stage).len(), 1, "{life:?}");
            assert_eq!(stage.all::<Pod>().len(), 1, "{life:?}");
            let status = stage.status();
            assert_eq!(status.phase, Some(Phase::Running), "{life:?}");
            assert_eq!(status.run_id, Some(run_id(&stage.child().unwrap())), "{life:?}");
        },
    )
    .await;
}

#[tokio::test]
async fn an_operator_that_dies_at_any_call_of_a_stop_and_start_keeps_the_disks_and_one_pod() {
    let prepare = || async {
        let mut stage = running().await;
        stage.edit_spec(|spec| spec["desiredStatus"] = json!(DesiredStatus::Stopped));
        stage.reconcile().await.unwrap();
        stage.cluster();
        stage.end_pods();
        stage.edit_spec(|spec| spec["desiredStatus"] = json!(DesiredStatus::Running));
        stage
    };
    let disks = uids::<PersistentVolumeClaim>(&prepare().await);
    assert_eq!(disks.len(), 2);
    with_every_death(prepare, |stage, life| {
        assert_eq!(uids::<PersistentVolumeClaim>(stage), disks, "{life:?}");
        assert_eq!(stage.all::<Pod>().len(), 1, "{life:?}");
        assert_eq!(stage.status().phase, Some(Phase::Running), "{life:?}");
        assert!(!stage.is_ending(), "{life:?}");
    })
    .await;
}

#[tokio::test]
async fn an_operator_that_dies_at_any_call_of_a_deletion_leaves_nothing() {
    for last_is_done in [false, true] {
        for calls in 1..MANY {
            let life = Life { calls, last_is_done };
            let mut stage = running().await;
            stage.delete_demo();
            stage.server.take_calls();
            stage.replace_operator(Some(life));
            delete_workspace(&mut stage).await;
            let died = stage.server.take_calls().len() >= calls - usize::from(!last_is_done);
            stage.replace_operator(None);
            delete_workspace(&mut stage).await;
            assert!(stage.all::<api::Workspace>().is_empty(), "{life:?}");
            assert!(stage.all::<PersistentVolumeClaim>().is_empty(), "{life:?}");
            assert_eq!(stage.policies(), [""; 0], "{life:?}");
            assert_eq!(unisolated(&stage.server), [""; 0], "{life:?}");
            assert!(stage.all::<Pod>().is_empty(), "{life:?}");
            if !died {
                break;
            }
            assert!(calls < MANY - 1, "a deletion takes more calls than expected");
        }
    }
}

async fn delete_workspace(stage: &mut Stage) {
    for _ in 0..6 {
        if !stage.all::<api::Workspace>().is_empty() {
            let _ = stage.reconcile().await;
            stage.collect_garbage();
        }
        stage.reconcile_policies().await;
    }
}
