//! A stop ends the pod and is reported, whatever other write of the workspace fails.

use api::{
    WorkspaceExecutionProfile,
    condition::{self, reason},
    workspace::{DesiredStatus, Phase},
};
use http::Method;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};
use testkit::{
    api_server::Disruption,
    objects::{self, NAMESPACE},
};

use crate::stage::{CHILD, Stage};

/// How a write fails.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// By this answer.
    Answer(u16),
    /// It gets no answer.
    Timeout,
}

const FAILURES: [Failure; 5] = [
    Failure::Answer(500),
    Failure::Answer(403),
    Failure::Answer(409),
    Failure::Answer(429),
    Failure::Timeout,
];

/// A child other than the pod: how it is written, and what makes the operator write it although the workspace is settled.
struct Child {
    method: Method,
    path: &'static str,
    differ: fn(&Stage),
}

fn children() -> [Child; 3] {
    [
        Child {
            method: Method::PATCH,
            path: "persistentvolumeclaims/",
            differ: |stage| stage.edit_spec(|spec| spec["storage"]["size"] = json!("2Gi")),
        },
        Child {
            method: Method::POST,
            path: "services",
            differ: |stage| stage.server.remove::<Service>(Some(NAMESPACE), CHILD),
        },
        Child {
            method: Method::PATCH,
            path: "serviceaccounts/",
            differ: |stage| profile(stage, &json!({"example.com/role": "another"})),
        },
    ]
}

/// Lets the profile of `demo` put these annotations on its own service account.
fn profile(stage: &Stage, annotations: &Value) {
    let spec = json!({"serviceAccount": {"perWorkspace": {"annotations": annotations}}});
    match stage
        .server
        .get::<WorkspaceExecutionProfile>(Some(NAMESPACE), "p")
    {
        None => stage.server.put(&objects::execution_profile("p", &spec)),
        Some(_) => stage
            .server
            .edit::<WorkspaceExecutionProfile>(Some(NAMESPACE), "p", |object| object["spec"] = spec),
    }
}

fn with_account() -> Stage {
    let stage = Stage::with_service();
    profile(&stage, &json!({"example.com/role": "reader"}));
    stage.edit_spec(|spec| spec["executionProfileRef"] = "p".into());
    stage
}

impl Child {
    /// The next such write fails.
    fn fail(&self, stage: &Stage, failure: Failure) {
        match failure {
            Failure::Answer(code) => stage.fail(self.method.clone(), self.path, code, "not now", 1),
            Failure::Timeout => stage
                .server
                .disrupt(self.method.clone(), self.path, Disruption::NoAnswer),
        }
    }

    /// Whether such a write was sent since the last time this was asked.
    fn was_tried(&self, stage: &Stage) -> bool {
        let calls = stage.server.take_calls();
        calls
            .iter()
            .any(|call| call.method == self.method && call.path.contains(self.path))
    }
}

/// Whether the cluster has to end the pod of `demo`.
fn has_to_end(stage: &Stage) -> bool {
    stage.is_ending()
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_pod_and_is_reported_whatever_other_write_fails() {
    for child in children() {
        for failure in FAILURES {
            let what = format!("{} {}: {failure:?}", child.method, child.path);
            let mut stage = with_account();
            stage.run().await;
            stage.sync();
            (child.differ)(&stage);
            stage.set(DesiredStatus::Stopped);
            stage.server.take_calls();
            child.fail(&stage, failure);
            let stopped = stage.reconcile().await;
            assert!(child.was_tried(&stage), "{what}");
            assert_eq!(stopped.is_ok(), matches!(failure, Failure::Answer(403)), "{what}");
            assert!(has_to_end(&stage), "{what}");
            let status = stage.status();
            assert_eq!(
                (status.phase, status.endpoint),
                (Some(Phase::Stopping), None),
                "{what}"
            );
            stage.cluster();
            stage.end_pods();
            child.fail(&stage, failure);
            let _ = stage.reconcile().await;
            assert!(child.was_tried(&stage), "{what}");
            assert_eq!(stage.status().phase, Some(Phase::Stopped), "{what}");
            // What failed is tried again.
            stage.reconcile().await.unwrap();
            assert!(child.was_tried(&stage), "{what}");
            assert_eq!(stage.server.unmet(), Vec::<String>::new(), "{what}");
            stage.reconcile().await.unwrap();
            assert!(!child.was_tried(&stage), "{what}");
            assert_eq!(stage.status().phase, Some(Phase::Stopped), "{what}");
        }
    }
}

#[tokio::test]
async fn a_refused_deletion_of_the_pod_is_the_reason_why_a_workspace_does_not_end() {
    let mut stage = Stage::with_demo();
    stage.run().await;
    stage.sync();
    let refusal = "admission webhook \"w\" denied the request: not on Fridays";
    stage.set(DesiredStatus::Stopped);
    stage.fail(Method::DELETE, "pods", 403, refusal, 1);
    stage.reconcile().await.unwrap();
    assert!(!stage.is_ending());
    let degraded = stage.condition(condition::DEGRADED);
    assert_eq!(
        (degraded.status.as_str(), degraded.reason.as_str()),
        ("True", reason::ADMISSION_DENIED)
    );
    assert!(
        degraded.message.contains("deletion of the Pod was refused")
            && degraded.message.contains("not on Fridays")
    );

    stage.delete_demo();
    stage.fail(Method::DELETE, "pods", 403, refusal, 1);
    stage.reconcile().await.unwrap();
    let message = stage.condition(condition::PROGRESSING).message;
    assert!(message.contains("deletion of the Pod was refused"), "{message}");

    // It is tried again.
    stage.reconcile().await.unwrap();
    assert!(stage.is_ending());
}
