//! wishes about one workspace -> the API server, and back (IO).

use anyhow::Context as _;
use api::{
    Workspace, WorkspaceSpec,
    workspace::{Phase, ResourceRequirements},
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    Environment,
    cluster::{self, Scratch},
    wait,
};

/// A workspace that runs `image` without template.
pub fn of_image(name: &str, image: &str) -> Workspace {
    let quantity = |text: &str| Quantity(text.to_owned());
    let resources = ResourceRequirements {
        requests: [
            ("cpu".into(), quantity("50m")),
            ("memory".into(), quantity("64Mi")),
        ]
        .into(),
        limits: [
            ("cpu".into(), quantity("1")),
            ("memory".into(), quantity("512Mi")),
        ]
        .into(),
    };
    Workspace::new(
        name,
        WorkspaceSpec {
            display_name: name.to_owned(),
            image: Some(image.to_owned()),
            resources: Some(resources),
            ..WorkspaceSpec::default()
        },
    )
}

/// A workspace that runs the echo server.
pub fn echo(name: &str) -> anyhow::Result<Workspace> {
    Ok(of_image(name, &Environment::get()?.images.echo))
}

/// Waits until the workspace is in `phase`.
pub async fn reached(workspaces: &Api<Workspace>, name: &str, phase: Phase) -> anyhow::Result<Workspace> {
    wait::until(&format!("{name} to be {phase:?}"), wait::USUAL, || async {
        let workspace = workspaces.get(name).await.map_err(|error| error.to_string())?;
        let observed = workspace
            .status
            .as_ref()
            .and_then(|status| status.observed_generation);
        let now = workspace.status.as_ref().and_then(|status| status.phase);
        if now == Some(phase) && observed == workspace.metadata.generation {
            return Ok(workspace);
        }
        Err(format!("{:?}", workspace.status))
    })
    .await
}

/// Changes the spec by a merge patch.
pub async fn set(workspaces: &Api<Workspace>, name: &str, spec: Value) -> anyhow::Result<Workspace> {
    let patch = Patch::Merge(json!({"spec": spec}));
    Ok(workspaces.patch(name, &PatchParams::default(), &patch).await?)
}

/// Makes a workspace of the echo server as alice and waits until it runs.
pub async fn running(scratch: &Scratch, name: &str) -> anyhow::Result<Workspace> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    alice.create(&PostParams::default(), &echo(name)?).await?;
    reached(&alice, name, Phase::Running).await
}

/// Deletes the workspace and waits until it is gone.
pub async fn delete(workspaces: &Api<Workspace>, name: &str) -> anyhow::Result<()> {
    workspaces.delete(name, &DeleteParams::default()).await?;
    wait::until(&format!("{name} to be gone"), wait::USUAL, || async {
        match workspaces.get_opt(name).await {
            Ok(None) => Ok(()),
            Ok(Some(workspace)) => Err(format!("{:?}", workspace.status)),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

/// The workspace's host, from its URL.
pub fn host(workspace: &Workspace) -> anyhow::Result<String> {
    let url = url(workspace)?;
    let url = reqwest::Url::parse(&url)?;
    Ok(url.host_str().context("the URL has no host")?.to_owned())
}

/// The workspace's URL.
pub fn url(workspace: &Workspace) -> anyhow::Result<String> {
    let url = workspace.status.as_ref().and_then(|status| status.url.clone());
    url.with_context(|| format!("{} has no URL", workspace.name_any()))
}

/// The condition `type_` as (status, reason, message).
pub fn condition(workspace: &Workspace, type_: &str) -> Option<(String, String, String)> {
    let condition = workspace
        .status
        .as_ref()?
        .conditions
        .iter()
        .find(|one| one.type_ == type_)?;
    Some((
        condition.status.clone(),
        condition.reason.clone(),
        condition.message.clone(),
    ))
}
