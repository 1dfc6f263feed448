//! Workspaces in every state, in namespaces of a test (IO).

use api::workspace::{DesiredStatus, Phase};
use api::{Workspace, WorkspaceShare, WorkspaceTemplate};
use e2e::cluster::{self, Scratch};
use e2e::{
    Environment,
    objects::{template, workspace},
    wait,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// Keeps an object while it is being deleted.
const HOLD: &str = "e2e.test/hold";

/// Workspaces of a list with two pages.
const MANY: usize = 52;

/// Namespaces and what is in them.
pub(crate) struct Site {
    pub(crate) scratch: Scratch,
    pub(crate) many: Scratch,
    pub(crate) empty: Scratch,
}

/// Creates a workspace as alice.
async fn make(scratch: &Scratch, name: &str, spec: Value) -> anyhow::Result<()> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut workspace = serde_json::to_value(workspace::echo(name)?)?;
    for (key, value) in spec.as_object().into_iter().flatten() {
        workspace["spec"][key] = value.clone();
    }
    alice
        .create(&PostParams::default(), &serde_json::from_value(workspace)?)
        .await?;
    Ok(())
}

impl Site {
    /// Creates it, with the right to read logs for alice and a share for bob.
    pub(crate) async fn make(prefix: &str) -> anyhow::Result<Self> {
        let others = [format!("{prefix}-many"), format!("{prefix}-none")];
        let (scratch, many, empty) = futures::try_join!(
            Scratch::new(prefix, &["alice"]),
            Scratch::new(&others[0], &["alice"]),
            Scratch::bare(&others[1], &[]),
        )?;
        // She may create there, but use no template.
        let create = json!([{"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces"], "verbs": ["create", "get", "list", "watch"]}]);
        empty.grant("creator", "alice", &create).await?;
        let logs = json!([{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]);
        scratch.grant("logs", "alice", &logs).await?;
        template(&scratch).await?;
        deprecated(&scratch).await?;
        let hard = json!({"requests.cpu": "8", "requests.memory": "8Gi", "count/workspaces.workspaces.jupyter.org": "40"});
        quota(&scratch, &hard).await?;
        let stopped = json!({"desiredStatus": DesiredStatus::Stopped});
        let kept =
            json!({"displayName": "With a disk", "desiredStatus": "Stopped", "storage": {"size": "1Gi"}});
        let blocked = json!({"storage": {"size": "1Gi", "storageClassName": scratch.namespace}});
        futures::try_join!(
            make(&scratch, "failing", json!({"image": "localhost/no-such-image:1"})),
            make(&scratch, "blocked", blocked),
            make(&scratch, "kept", kept),
            make(&scratch, "leaving", stopped.clone()),
            make(
                &scratch,
                "running",
                json!({"templateRef": scratch.namespace, "displayName": "Seminar"})
            ),
        )?;
        stream::iter(0..MANY)
            .map(|number| {
                let (many, stopped) = (&many, stopped.clone());
                async move { make(many, &format!("many-{number:02}"), stopped).await }
            })
            .buffer_unordered(8)
            .try_collect::<Vec<_>>()
            .await?;
        // Its forms show a quota.
        quota(&many, &json!({"requests.cpu": "1m"})).await?;
        let alice = cluster::user("alice").await?;
        let share = json!({
            "metadata": {"name": "with-bob"},
            "spec": {"workspaceRef": "running", "subjects": [{"kind": "User", "name": "bob"}], "reason": "Review of the seminar"},
        });
        Api::<WorkspaceShare>::namespaced(alice.clone(), &scratch.namespace)
            .create(&PostParams::default(), &serde_json::from_value(share)?)
            .await?;
        let add = json!([{"op": "add", "path": "/metadata/finalizers/-", "value": HOLD}]);
        patch_leaving(&scratch, &add).await?;
        let workspaces: Api<Workspace> = Api::namespaced(alice, &scratch.namespace);
        workspaces.delete("leaving", &DeleteParams::default()).await?;
        workspace::reached(&workspaces, "running", Phase::Running).await?;
        let change = json!({"env": [{"name": "COURSE", "value": "algebra"}]});
        workspace::set(&workspaces, "running", change).await?;
        Ok(Self { scratch, many, empty })
    }

    /// Deletes it.
    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        let old = format!("{}-old", self.scratch.namespace);
        template::forget(&old).await?;
        let released = json!([{"op": "replace", "path": "/metadata/finalizers", "value": []}]);
        patch_leaving(&self.scratch, &released).await?;
        futures::try_join!(
            template::finish(self.scratch),
            self.many.finish(),
            self.empty.finish()
        )?;
        Ok(())
    }
}

/// Changes the finalizers of the workspace that is being deleted.
async fn patch_leaving(scratch: &Scratch, patch: &Value) -> anyhow::Result<()> {
    let patch = Patch::Json::<()>(serde_json::from_value(patch.clone())?);
    let workspaces = scratch.api::<Workspace>();
    workspaces
        .patch("leaving", &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

/// A further template, from which nothing new should be made.
async fn deprecated(scratch: &Scratch) -> anyhow::Result<()> {
    let name = format!("{}-old", scratch.namespace);
    let image = &Environment::get()?.images.echo;
    template::make_named(&name, &json!({"defaultImage": image})).await?;
    let annotations = json!({
        api::names::DEPRECATED: "The image gets no updates.",
        api::names::REPLACED_BY: scratch.namespace,
    });
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    Api::<WorkspaceTemplate>::all(cluster::admin().await?)
        .patch(&name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

/// A quota, which counts from now on.
async fn quota(scratch: &Scratch, hard: &Value) -> anyhow::Result<()> {
    let quota = serde_json::from_value(json!({"metadata": {"name": "team"}, "spec": {"hard": hard}}))?;
    let quotas = scratch.api::<ResourceQuota>();
    quotas.create(&PostParams::default(), &quota).await?;
    // Until then the API server refuses what it limits.
    wait::until("the quota to be counted", wait::USUAL, || async {
        let status = quotas
            .get("team")
            .await
            .map_err(|error| error.to_string())?
            .status;
        let is_counted = status.as_ref().is_some_and(|status| status.used.is_some());
        is_counted.then_some(()).ok_or_else(|| format!("{status:?}"))
    })
    .await
}

/// A template with all that pages show of one.
async fn template(scratch: &Scratch) -> anyhow::Result<()> {
    let image = &Environment::get()?.images.echo;
    let spec = json!({
        "description": "For the seminar. It answers every request with what it received.",
        "defaultImage": image,
        "allowedImages": [image, "localhost/no-such-image:1"],
        "allowCustomImages": true,
        "allowSecondaryStorages": true,
        "defaultResources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
        "resourceBounds": {"cpu": {"min": "10m", "max": "1"}, "memory": {"min": "32Mi", "max": "1Gi"}},
        "envRequirements": [{"name": "COURSE", "regex": "[a-z]+"}],
        "presentation": {"icon": "terminal", "images": [
            {"image": image, "displayName": "The echo server", "description": "Python only", "icon": "python"},
        ]},
    });
    template::make(scratch, &spec).await
}
