//! Writes that fail during a stop, a restart, a deletion or a profile's changes.
//!
//! They are retried, so that no step is missing or done twice.

use api::{
    Workspace, WorkspaceExecutionProfile,
    workspace::{DesiredStatus, Phase},
};
use http::Method;
use k8s_openapi::api::{
    core::v1::{PersistentVolumeClaim, Pod, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
};
use kube::ResourceExt as _;
use serde_json::json;
use testkit::objects::{self, NAMESPACE};

use crate::stage::{Stage, run_id};

const CODES: [u16; 3] = [409, 429, 500];
/// A conflict of a deletion says that another pod has the name, which the caches will show.
const TRANSIENT: [u16; 2] = [429, 500];

/// The next such write fails, and with it the reconcile; the reconcile after it succeeds.
async fn fails_once(stage: &mut Stage, method: Method, path: &'static str, code: u16) {
    stage.fail(method, path, code, "not now", 1);
    stage.reconcile().await.unwrap_err();
    stage.reconcile().await.unwrap();
}

fn reported(stage: &Stage, reason: &str) -> usize {
    stage.events().iter().filter(|it| *it == reason).count()
}

/// `demo`, which runs as a service account of its own.
async fn with_account() -> Stage {
    let mut stage = with_profile();
    stage.run().await;
    stage.server.take_calls();
    stage
}

fn with_profile() -> Stage {
    let stage = Stage::with_demo();
    let own = json!({"serviceAccount": {"perWorkspace": {}}});
    stage.server.put(&objects::execution_profile("p", &own));
    stage.edit_spec(|spec| spec["executionProfileRef"] = "p".into());
    stage
}

#[tokio::test]
async fn a_stop_that_cannot_be_written_ends_the_run_when_it_can() {
    for code in TRANSIENT {
        let mut stage = Stage::with_running_demo().await;
        stage.set(DesiredStatus::Stopped);
        stage.fail(Method::DELETE, "pods/", code, "not now", 1);
        stage.reconcile().await.unwrap_err();
        assert!(!stage.is_ending());
        assert_eq!(
            stage.status().phase,
            Some(Phase::Running),
            "{code}: what is not done is not reported"
        );
        stage.stop().await;
        assert!(stage.all::<Pod>().is_empty());
        assert_eq!(
            stage.events(),
            ["Starting", "Ready", "Stopping", "Stopped"],
            "{code}"
        );
    }
}

#[tokio::test]
async fn a_restart_whose_writes_fail_ends_one_run_and_starts_one_on_the_same_disk() {
    for code in TRANSIENT {
        let mut stage = Stage::with_running_demo().await;
        let disk = stage.child::<PersistentVolumeClaim>().unwrap().uid();
        let first: Pod = stage.child().unwrap();
        stage.edit_spec(|spec| {
            spec["updatePolicy"] = "Always".into();
            spec["port"] = 9000.into();
        });
        fails_once(&mut stage, Method::DELETE, "pods/", code).await;
        assert!(stage.is_ending());
        assert_eq!(run_id(&stage.child().unwrap()), run_id(&first), "{code}");
        stage.cluster();
        stage.end_pods();
        fails_once(&mut stage, Method::POST, "pods", code).await;
        let second: Pod = stage.child().unwrap();
        assert_ne!(run_id(&second), run_id(&first), "{code}");
        stage.cluster();
        stage.get_ready();
        stage.reconcile().await.unwrap();
        let status = stage.status();
        assert_eq!(
            (status.phase, status.run_id),
            (Some(Phase::Running), Some(run_id(&second)))
        );
        assert_eq!(stage.child::<PersistentVolumeClaim>().unwrap().uid(), disk);
        assert_eq!(stage.all::<Pod>().len(), 1, "{code}");
        let events = stage.events();
        assert_eq!(
            (reported(&stage, "Starting"), reported(&stage, "Ready")),
            (2, 2),
            "{events:?}"
        );
    }
}

#[tokio::test]
async fn a_child_whose_deletion_fails_goes_with_its_workspace_all_the_same() {
    let kinds = [
        "pods",
        "services",
        "persistentvolumeclaims",
        "networkpolicies",
        "serviceaccounts",
    ];
    for path in kinds {
        for code in CODES {
            let mut stage = with_account().await;
            stage.delete_demo();
            stage.fail(Method::DELETE, path, code, "not now", 1);
            for _ in 0..6 {
                if stage.all::<Workspace>().is_empty() {
                    break;
                }
                // One of them fails.
                let _ = stage.reconcile().await;
                let pod = stage.child::<Pod>();
                if pod.is_none_or(|it| it.metadata.deletion_timestamp.is_some()) {
                    stage.collect_garbage();
                }
            }
            let left = [
                stage.all::<Workspace>().len(),
                stage.all::<Pod>().len(),
                stage.all::<PersistentVolumeClaim>().len(),
                stage.all::<Service>().len(),
                stage.all::<NetworkPolicy>().len(),
                stage.all::<ServiceAccount>().len(),
            ];
            assert_eq!(left, [0; 6], "{path} {code}");
            let writes = stage.writes();
            let tries = writes
                .iter()
                .filter(|it| it.starts_with("DELETE") && it.contains(path));
            assert!(tries.count() > 1, "{path} {code}: {writes:?}");
        }
    }
}

#[tokio::test]
async fn a_workspace_that_cannot_be_let_go_of_is_let_go_of_later_and_nothing_is_deleted_again() {
    for code in CODES {
        let mut stage = Stage::with_running_demo().await;
        stage.delete_demo();
        stage.reconcile().await.unwrap();
        stage.collect_garbage();
        stage.fail(Method::PATCH, "workspaces/demo", code, "not now", 1);
        stage.reconcile().await.unwrap_err();
        assert!(!stage.workspace().finalizers().is_empty(), "{code}");
        stage.server.take_calls();
        stage.reconcile().await.unwrap();
        assert_eq!(stage.writes(), ["PATCH workspaces/demo"], "{code}");
        assert!(stage.all::<Workspace>().is_empty(), "{code}");
    }
}

#[tokio::test]
async fn a_service_account_that_cannot_be_made_is_made_once_and_before_the_pod_that_runs_as_it() {
    for code in CODES {
        let mut stage = with_profile();
        stage.fail(Method::PATCH, "serviceaccounts", code, "not now", 1);
        stage.reconcile().await.unwrap_err();
        assert!(stage.child::<Pod>().is_none(), "{code}");
        stage.reconcile().await.unwrap();
        assert_eq!(stage.status().phase, Some(Phase::Starting), "{code}");
        let accounts = stage.all::<ServiceAccount>();
        assert_eq!(accounts.len(), 1, "{code}");
        let pod = stage.child::<Pod>().unwrap().spec;
        assert_eq!(pod.unwrap().service_account_name, accounts[0].metadata.name);
        assert_eq!(stage.events(), ["Starting"], "{code}");
    }
}

#[tokio::test]
async fn an_unused_service_account_is_removed_although_its_first_deletion_failed() {
    for code in CODES {
        let mut stage = with_account().await;
        stage
            .server
            .edit::<WorkspaceExecutionProfile>(Some(NAMESPACE), "p", |object| object["spec"] = json!({}));
        stage.set(DesiredStatus::Stopped);
        stage.reconcile().await.unwrap();
        stage.cluster();
        stage.end_pods();
        stage.fail(Method::DELETE, "serviceaccounts", code, "not now", 1);
        // Fails, unless the answer says that another one is there by now.
        let _ = stage.reconcile().await;
        assert_eq!(stage.all::<ServiceAccount>().len(), 1, "{code}");
        stage.reconcile().await.unwrap();
        assert_eq!(stage.all::<ServiceAccount>().len(), 0, "{code}");
        assert_eq!(stage.status().phase, Some(Phase::Stopped), "{code}");
        assert_eq!(reported(&stage, "Stopped"), 1, "{code}");
    }
}
