//! Workspaces that refer to a manager or an execution profile which is being deleted.
//!
//! Admission refuses a workspace that names one. A template that is created later may still refer to it, and then the operator refuses the
//! workspace.

use api::{
    Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate,
    condition::{VALID, reason},
    workspace::Phase,
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use k8s_openapi::api::{
    core::v1::{Pod, Service},
    events::v1::Event,
};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// A finalizer that keeps the object although it is not in use.
const NAMES: &str = "e2e.test/theirs";

/// What is deleted, and how workspaces and templates refer to it.
struct Scenario {
    scratch: Scratch,
    api: Api<DynamicObject>,
    object: Value,
    field: &'static str,
    kind: &'static str,
    terminating: &'static str,
    missing: &'static str,
}

impl Scenario {
    async fn manager() -> anyhow::Result<Self> {
        let scratch = Scratch::new("manager-goes", &[]).await?;
        let name = scratch.namespace.clone();
        Ok(Self {
            api: Api::all_with(
                cluster::admin().await?,
                &ApiResource::erase::<WorkspaceManager>(&()),
            ),
            object: json!({
                "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceManager",
                "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
                "spec": {
                    "routing": {"baseDomain": format!("{name}.example.org"), "traefik": {}},
                    "authentication": {"gateway": {}},
                },
            }),
            scratch,
            field: "managerRef",
            kind: "WorkspaceManager",
            terminating: reason::MANAGER_TERMINATING,
            missing: reason::MANAGER_NOT_FOUND,
        })
    }

    async fn profile() -> anyhow::Result<Self> {
        let scratch = Scratch::new("profile-goes", &[]).await?;
        let name = scratch.namespace.clone();
        Ok(Self {
            api: Api::namespaced_with(
                cluster::admin().await?,
                &name,
                &ApiResource::erase::<WorkspaceExecutionProfile>(&()),
            ),
            object: json!({
                "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceExecutionProfile",
                "metadata": {"name": name}, "spec": {"env": [{"name": "A", "value": "b"}]},
            }),
            scratch,
            field: "executionProfileRef",
            kind: "WorkspaceExecutionProfile",
            terminating: reason::EXECUTION_PROFILE_TERMINATING,
            missing: reason::EXECUTION_PROFILE_NOT_FOUND,
        })
    }

    fn name(&self) -> &str {
        &self.scratch.namespace
    }

    async fn make(&self, finalizers: Value) -> anyhow::Result<()> {
        let mut object = self.object.clone();
        object["metadata"]["finalizers"] = finalizers;
        let object = serde_json::from_value(object)?;
        self.api.create(&PostParams::default(), &object).await?;
        Ok(())
    }

    /// Waits until `late` is invalid for this reason; returns the message.
    async fn late_template_is(&self, reason: &str) -> anyhow::Result<String> {
        let workspaces = self.scratch.api::<Workspace>();
        wait::until(&format!("late to be {reason}"), wait::USUAL, || async {
            let late = workspaces.get("late").await.map_err(|error| error.to_string())?;
            match workspace::condition(&late, VALID) {
                Some((status, why, message)) if status == "False" && why == reason => Ok(message),
                _ => Err(format!("{:?}", late.status)),
            }
        })
        .await
    }

    /// Creates a template that refers to it.
    async fn template(&self) -> anyhow::Result<()> {
        let mut template = json!({
            "metadata": {"name": self.name(), "labels": {"e2e.test/scratch": "true"}},
            "spec": {"displayName": "Late", "defaultImage": Environment::get()?.images.echo},
        });
        template["spec"][self.field] = json!(self.name());
        let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
        templates
            .create(&PostParams::default(), &serde_json::from_value(template)?)
            .await?;
        Ok(())
    }

    async fn check(self) -> anyhow::Result<()> {
        let workspaces = self.scratch.api::<Workspace>();
        self.make(json!([NAMES])).await?;
        let mut user = json!(workspace::echo("user")?);
        user["spec"][self.field] = json!(self.name());
        workspaces
            .create(&PostParams::default(), &serde_json::from_value(user)?)
            .await?;
        let before = workspace::reached(&workspaces, "user", Phase::Running).await?;
        let mut late = workspace::echo("late")?;
        late.spec.template_ref = Some(self.name().to_owned());
        workspaces.create(&PostParams::default(), &late).await?;
        self.late_template_is(reason::TEMPLATE_NOT_FOUND).await?;

        self.api.delete(self.name(), &DeleteParams::default()).await?;
        self.template().await?;
        let message = self.late_template_is(self.terminating).await?;
        let expected = format!(
            "{} {:?} is being deleted and takes no new workspace",
            self.kind,
            self.name()
        );
        assert!(
            message.contains(&expected) && message.contains("choose another"),
            "{message}"
        );
        let late = workspace::reached(&workspaces, "late", Phase::Invalid).await?;
        assert_eq!(
            late.status.and_then(|status| status.reason).as_deref(),
            Some(self.terminating)
        );
        let child = "workspace-late";
        assert!(self.scratch.api::<Service>().get_opt(child).await?.is_none());
        assert!(self.scratch.api::<Pod>().get_opt(child).await?.is_none());

        // Existing workspaces are not affected, and may start again.
        let after = workspace::reached(&workspaces, "user", Phase::Running).await?;
        assert_eq!(workspace::run_id(&after)?, workspace::run_id(&before)?);
        assert_eq!(workspace::pod(&after)?, workspace::pod(&before)?);
        assert_eq!(
            workspace::condition(&after, VALID).map(|it| it.0).as_deref(),
            Some("True")
        );
        if self.field == "managerRef" {
            workspace::stop(&workspaces, "user").await?;
            workspace::start(&workspaces, "user").await?;
        }
        workspace::delete(&workspaces, "user").await?;
        wait::until("the operator's finalizer to be removed", wait::USUAL, || async {
            let object = self
                .api
                .get(self.name())
                .await
                .map_err(|error| error.to_string())?;
            let finalizers = object.finalizers().to_vec();
            if finalizers == [NAMES] {
                Ok(())
            } else {
                Err(finalizers.join(", "))
            }
        })
        .await?;
        self.late_template_is(self.terminating).await?;
        let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        self.api
            .patch(self.name(), &PatchParams::default(), &release)
            .await?;
        let message = self.late_template_is(self.missing).await?;
        assert!(message.contains("starts as soon as it does"), "{message}");
        // A stopped workspace also shows that it has become valid.
        workspace::set(&workspaces, "late", json!({"desiredStatus": "Stopped"})).await?;
        self.make(json!([])).await?;
        wait::until("late to be valid", wait::USUAL, || async {
            let late = workspaces.get("late").await.map_err(|error| error.to_string())?;
            let valid = workspace::condition(&late, VALID);
            let is_valid = valid.as_ref().is_some_and(|(status, ..)| status == "True");
            is_valid.then_some(()).ok_or_else(|| format!("{valid:?}"))
        })
        .await?;
        let events = self.scratch.api::<Event>().list(&ListParams::default()).await?;
        let reports = events
            .iter()
            .filter(|event| event.reason.as_deref() == Some(self.terminating));
        assert_eq!(reports.count(), 1, "it is reported once");
        workspace::delete(&workspaces, "late").await?;
        self.end().await
    }

    async fn end(self) -> anyhow::Result<()> {
        let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
        templates.delete(self.name(), &DeleteParams::default()).await?;
        self.api.delete(self.name(), &DeleteParams::default()).await?;
        self.scratch.finish().await
    }
}

#[tokio::test]
async fn a_manager_that_is_being_deleted_accepts_no_new_workspaces_and_existing_ones_run_on()
-> anyhow::Result<()> {
    Box::pin(Scenario::manager().await?.check()).await
}

#[tokio::test]
async fn a_profile_that_is_being_deleted_accepts_no_new_workspaces_and_existing_ones_run_on()
-> anyhow::Result<()> {
    Box::pin(Scenario::profile().await?.check()).await
}
