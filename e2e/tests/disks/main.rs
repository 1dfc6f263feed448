//! Disks on a real API server and kubelet: owners, retention, and one pod at a time per disk.

mod borrowed;
mod further;
mod modes;
mod one_pod;
mod retained;

use api::{Workspace, workspace::Storage};
use e2e::{cluster::Scratch, objects::workspace, wait};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{Api, ResourceExt as _, api::ListParams};
use serde_json::{Value, json};

/// A workspace that runs the echo server with this storage.
fn with_storage(name: &str, storage: &Value) -> anyhow::Result<Workspace> {
    let mut wanted = workspace::echo(name)?;
    wanted.spec.storage = serde_json::from_value::<Option<Storage>>(storage.clone())?;
    Ok(wanted)
}

/// A claim that no workspace made.
async fn claim(scratch: &Scratch, name: &str) -> anyhow::Result<PersistentVolumeClaim> {
    let claim = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}},
    }))?;
    Ok(scratch
        .api()
        .create(&kube::api::PostParams::default(), &claim)
        .await?)
}

/// Waits until the condition `Degraded` of a workspace has this reason; returns its message.
async fn degraded(workspaces: &Api<Workspace>, name: &str, reason: &str) -> anyhow::Result<String> {
    wait::until(&format!("{name} to be {reason}"), wait::USUAL, || async {
        let found = workspaces.get(name).await.map_err(|error| error.to_string())?;
        match workspace::condition(&found, "Degraded") {
            Some((status, why, message)) if status == "True" && why == reason => Ok(message),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// Name of the pod of a running workspace.
async fn pod_of(workspaces: &Api<Workspace>, name: &str) -> anyhow::Result<String> {
    let running = workspace::reached(workspaces, name, api::workspace::Phase::Running).await?;
    workspace::pod(&running)
}

/// Names of the pods of a workspace.
async fn pods_of(scratch: &Scratch, name: &str) -> anyhow::Result<Vec<String>> {
    let label = format!("{}={name}", api::names::WORKSPACE_LABEL);
    let pods = scratch
        .api::<Pod>()
        .list(&ListParams::default().labels(&label))
        .await?;
    Ok(pods.iter().map(kube::ResourceExt::name_any).collect())
}

/// Runs a line of shell in a pod of the namespace.
async fn shell(scratch: &Scratch, pod: &str, line: &str) -> anyhow::Result<String> {
    let output = e2e::cluster::exec(&scratch.api::<Pod>(), pod, &["sh", "-c", line]).await?;
    Ok(output.trim().to_owned())
}

/// Reasons of the Events about an object with this UID, with their messages.
async fn events_of(scratch: &Scratch, uid: &str) -> anyhow::Result<Vec<(String, String)>> {
    let events: Api<k8s_openapi::api::events::v1::Event> = scratch.api();
    let events = events.list(&ListParams::default()).await?;
    let about = events
        .items
        .into_iter()
        .filter(|event| event.regarding.as_ref().and_then(|object| object.uid.as_deref()) == Some(uid));
    Ok(about
        .map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default()))
        .collect())
}

/// UID of a claim; `None` if there is none.
async fn uid_of_claim(scratch: &Scratch, name: &str) -> anyhow::Result<Option<String>> {
    let found = scratch.api::<PersistentVolumeClaim>().get_opt(name).await?;
    Ok(found.and_then(|claim| claim.uid()))
}
