//! Changes of one workspace -> requests to the API server, and their results (IO).

use anyhow::Context as _;
use api::{
    Workspace, WorkspaceSpec,
    workspace::{DesiredStatus, IdleShutdown, Phase, ResourceRequirements},
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

/// A workspace that runs `image` without a template.
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

/// The same workspace with a text that names its Service, so that it has one.
pub fn naming_service(mut workspace: Workspace) -> Workspace {
    let address = ("address".to_owned(), "{service.name}".to_owned());
    workspace.spec.variables.extend([address]);
    workspace
}

/// JupyterLab as it comes, stopped after a minute without use.
pub fn idle_after_a_minute(name: &str) -> Workspace {
    let spec = WorkspaceSpec {
        display_name: name.to_owned(),
        idle_shutdown: Some(IdleShutdown {
            idle_timeout_in_minutes: Some(1),
            ..IdleShutdown::default()
        }),
        ..WorkspaceSpec::default()
    };
    Workspace::new(name, spec)
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

/// Stops the workspace and waits until it has stopped.
pub async fn stop(workspaces: &Api<Workspace>, name: &str) -> anyhow::Result<Workspace> {
    set(workspaces, name, json!({"desiredStatus": DesiredStatus::Stopped})).await?;
    reached(workspaces, name, Phase::Stopped).await
}

/// Starts the workspace and waits until it runs.
pub async fn start(workspaces: &Api<Workspace>, name: &str) -> anyhow::Result<Workspace> {
    set(workspaces, name, json!({"desiredStatus": DesiredStatus::Running})).await?;
    reached(workspaces, name, Phase::Running).await
}

/// Creates a workspace of the echo server as alice, and waits until it runs.
pub async fn running(scratch: &Scratch, name: &str) -> anyhow::Result<Workspace> {
    // The future is boxed. Otherwise the whole object would be part of every caller's future.
    Box::pin(made(scratch, &echo(name)?)).await
}

/// Creates a stopped workspace of the echo server as `user`, and waits until its status says so. It has an address and no pod.
pub async fn stopped(scratch: &Scratch, user: &str, name: &str) -> anyhow::Result<Workspace> {
    let workspaces: Api<Workspace> = Api::namespaced(cluster::user(user).await?, &scratch.namespace);
    let mut wanted = echo(name)?;
    wanted.spec.desired_status = DesiredStatus::Stopped;
    workspaces.create(&PostParams::default(), &wanted).await?;
    reached(&workspaces, name, Phase::Stopped).await
}

/// Creates a workspace with only a name as alice, which runs JupyterLab. Waits until it runs.
pub async fn lab(scratch: &Scratch) -> anyhow::Result<Workspace> {
    let spec = WorkspaceSpec {
        display_name: "lab".to_owned(),
        ..WorkspaceSpec::default()
    };
    Box::pin(made(scratch, &Workspace::new("lab", spec))).await
}

/// Creates a workspace as alice, and waits until it runs.
pub async fn made(scratch: &Scratch, wanted: &Workspace) -> anyhow::Result<Workspace> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    alice.create(&PostParams::default(), wanted).await?;
    reached(&alice, &wanted.name_any(), Phase::Running).await
}

/// A process of the pod takes more memory than its container may, and is ended.
pub async fn run_out_of_memory(scratch: &Scratch, pod: &str) -> anyhow::Result<()> {
    let script = "python3 -c 'all = []\nwhile True: all.append(b\"1\" * (1 << 24))'; echo $?";
    let code = cluster::exec(&scratch.api(), pod, &["sh", "-c", script]).await?;
    anyhow::ensure!(code.trim() == "137", "it ended with {code}");
    Ok(())
}

/// The name of a running workspace's pod.
pub fn pod(workspace: &Workspace) -> anyhow::Result<String> {
    let endpoint = workspace
        .status
        .as_ref()
        .and_then(|status| status.endpoint.as_ref());
    let pod = endpoint.map(|endpoint| endpoint.pod_name.clone());
    pod.with_context(|| format!("{} has no pod", workspace.name_any()))
}

/// The ID of a workspace's current run.
pub fn run_id(workspace: &Workspace) -> anyhow::Result<String> {
    let run = workspace.status.as_ref().and_then(|status| status.run_id.clone());
    run.with_context(|| format!("{} never ran", workspace.name_any()))
}

/// The requests that the echo server of a workspace received, from its log.
pub async fn received_requests(scratch: &Scratch, workspace: &Workspace) -> anyhow::Result<String> {
    received_requests_of(scratch, &pod(workspace)?).await
}

/// The same for a pod with the echo server.
pub async fn received_requests_of(scratch: &Scratch, pod: &str) -> anyhow::Result<String> {
    let log = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8888/_log').read().decode())";
    cluster::exec(&scratch.api(), pod, &["python3", "-c", log]).await
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
