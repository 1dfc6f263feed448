//! Managers and execution profiles that are being deleted: workspaces that use one may start again, others may not.

use api::{
    Workspace, WorkspaceExecutionProfile, WorkspaceManager,
    condition::{VALID, reason},
    names::IN_USE_FINALIZER,
    workspace::DesiredStatus,
};
use k8s_openapi::api::core::v1::Pod;
use operator::controllers::{catalog, catalog::CatalogState};
use serde_json::{Value, json};
use testkit::objects::{self, NAMESPACE};

use crate::stage::Stage;

/// What is deleted: `x`, of this kind.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Subject {
    Manager,
    Profile,
}

use Subject::{Manager, Profile};

impl Subject {
    fn put(self, stage: &Stage) {
        match self {
            Manager => {
                let mut manager = objects::manager("x");
                manager.metadata.annotations = None;
                stage.server.put(&manager);
            }
            Profile => stage.server.put(&objects::execution_profile("x", &json!({}))),
        }
    }

    fn field(self) -> &'static str {
        match self {
            Manager => "managerRef",
            Profile => "executionProfileRef",
        }
    }

    fn terminating(self) -> &'static str {
        match self {
            Manager => reason::MANAGER_TERMINATING,
            Profile => reason::EXECUTION_PROFILE_TERMINATING,
        }
    }

    fn edit(self, stage: &Stage, change: impl FnOnce(&mut Value)) {
        match self {
            Manager => stage.server.edit::<WorkspaceManager>(None, "x", change),
            Profile => stage
                .server
                .edit::<WorkspaceExecutionProfile>(Some(NAMESPACE), "x", change),
        }
    }

    /// A user deletes it, and its finalizers keep it.
    fn delete(self, stage: &Stage) {
        self.edit(stage, |object| {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:01:00Z");
        });
    }

    fn finalizers(self, stage: &Stage) -> Option<Vec<String>> {
        match self {
            Manager => stage.server.get::<WorkspaceManager>(None, "x")?.metadata,
            Profile => {
                stage
                    .server
                    .get::<WorkspaceExecutionProfile>(Some(NAMESPACE), "x")?
                    .metadata
            }
        }
        .finalizers
    }

    /// A workspace that refers to it.
    fn user(self, name: &str, desired: DesiredStatus) -> Workspace {
        let mut workspace = objects::workspace(name);
        workspace.spec.desired_status = desired;
        match self {
            Manager => workspace.spec.manager_ref = Some("x".to_owned()),
            Profile => workspace.spec.execution_profile_ref = Some("x".to_owned()),
        }
        workspace
    }
}

async fn settle(stage: &mut Stage) {
    let catalog_state = CatalogState::default();
    for _ in 0..4 {
        stage.sync();
        catalog::reconcile(&stage.context, &catalog_state).await;
    }
    stage.sync();
}

#[tokio::test]
async fn what_runs_with_a_manager_or_profile_that_is_being_deleted_runs_on_and_starts_again() {
    for subject in [Manager, Profile] {
        let mut stage = Stage::new();
        subject.put(&stage);
        stage.server.put(&subject.user("demo", DesiredStatus::Running));
        stage.run().await;
        settle(&mut stage).await;
        assert_eq!(
            subject.finalizers(&stage).as_deref(),
            Some(&[IN_USE_FINALIZER.to_owned()][..])
        );
        let (before, pod) = (stage.status(), stage.child_pod());
        subject.delete(&stage);
        stage.server.take_calls();
        stage.reconcile().await.unwrap();
        assert_eq!(stage.server.take_calls().len(), 0, "{subject:?}: nothing changes");
        assert_eq!((stage.status(), stage.child_pod()), (before, pod));

        stage.stop().await;
        // Neither a stop nor another operator makes it a new user.
        stage.replace_operator(None);
        stage.reconcile().await.unwrap();
        assert_eq!(stage.condition(VALID).status, "True", "{subject:?}");
        stage.set(DesiredStatus::Running);
        stage.run().await;
        assert_eq!(stage.condition(VALID).status, "True", "{subject:?}");
        stage.server.remove::<Workspace>(Some(NAMESPACE), "demo");
        settle(&mut stage).await;
        assert_eq!(subject.finalizers(&stage), None, "{subject:?}: it is gone");
    }
}

#[tokio::test]
async fn a_stopped_workspace_with_a_disk_is_rejected_by_a_manager_that_is_being_deleted() {
    for subject in [Manager, Profile] {
        let mut stage = Stage::with_running_demo().await;
        stage.stop().await;
        subject.put(&stage);
        subject.edit(&stage, |object| {
            object["metadata"]["finalizers"] = json!(["example.com/theirs"]);
        });
        subject.delete(&stage);
        stage.edit_spec(|spec| spec[subject.field()] = json!("x"));
        for _ in 0..3 {
            stage.reconcile().await.unwrap();
            assert_eq!(
                stage.condition(VALID).reason,
                subject.terminating(),
                "{subject:?}"
            );
        }
        stage.set(DesiredStatus::Running);
        for _ in 0..3 {
            stage.reconcile().await.unwrap();
            assert_eq!(
                stage.condition(VALID).reason,
                subject.terminating(),
                "{subject:?}"
            );
        }
        stage.replace_operator(None);
        stage.reconcile().await.unwrap();
        assert_eq!(
            stage.condition(VALID).reason,
            subject.terminating(),
            "{subject:?}"
        );
        assert!(stage.all::<Pod>().is_empty(), "{subject:?}");
        // A rejected workspace is not counted.
        settle(&mut stage).await;
        subject.edit(&stage, |object| {
            object["metadata"]["finalizers"] = json!([IN_USE_FINALIZER]);
        });
        settle(&mut stage).await;
        assert_eq!(
            subject.finalizers(&stage),
            None,
            "{subject:?}: no finalizer keeps it"
        );
        stage.edit_spec(|spec| spec[subject.field()] = Value::Null);
        stage.run().await;
    }
}
