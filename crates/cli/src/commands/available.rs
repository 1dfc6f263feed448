//! Workspace name -> its URL, once it is available (IO).

use anyhow::anyhow;
use api::condition::{AVAILABLE, holds};
use api::workspace::{DesiredStatus, WorkspaceStatus};

use super::change;
use super::targets::Target;
use crate::args::Waiting;
use crate::cluster::Cluster;
use crate::cluster::wait::{self, Deadline, Goal};
use crate::console::Console;
use crate::failure::Failure;
use explain::consequence::Action;

/// The URL of a workspace that is available. `command`: what is tried, for the sentence that says how to start it.
pub(super) async fn url(
    cluster: &Cluster,
    name: &str,
    waiting: Waiting,
    command: &str,
    console: &mut Console<'_>,
) -> Result<String, Failure> {
    let deadline = Deadline::after(waiting.timeout);
    let target = Target::new(cluster, name);
    let workspace = if waiting.start {
        let found = target.read(cluster).await?;
        // Who opens a workspace in recovery repairs its files there.
        let action = if found.spec.recovery_mode {
            Action::Recover
        } else {
            Action::Start
        };
        let started = if found.spec.desired_status == DesiredStatus::Running {
            found
        } else {
            let target = Target {
                listed: Some(found),
                ..Target::new(cluster, name)
            };
            change::one(cluster, action, &target).await?.workspace
        };
        let (client, goal) = (cluster.client(), Goal::AVAILABLE);
        wait::until(client, &started, &goal, deadline, &mut console.err).await?
    } else {
        target.read(cluster).await?
    };
    let status = workspace.status.unwrap_or_default();
    match &status.url {
        Some(url) if holds(&status.conditions, AVAILABLE) => Ok(url.clone()),
        _ => Err(not_available(status, &target, command)),
    }
}

/// The URL of a workspace, whether or not it is available.
pub(super) async fn known_url(cluster: &Cluster, name: &str) -> Result<String, Failure> {
    let target = Target::new(cluster, name);
    let status = target.read(cluster).await?.status.unwrap_or_default();
    match &status.url {
        Some(url) => Ok(url.clone()),
        None => Err(not_available(status, &target, "ssh")),
    }
}

fn not_available(status: WorkspaceStatus, target: &Target, command: &str) -> Failure {
    if status.url.is_none() && holds(&status.conditions, AVAILABLE) {
        return Failure::Other(anyhow!(
            "workspace {:?} has no address of its own: open it from the application that routes to it, such as JupyterHub",
            target.name
        ));
    }
    let phase = status
        .phase
        .map_or_else(|| "Pending".to_owned(), |phase| format!("{phase:?}"));
    let (name, namespace) = (&target.name, &target.namespace);
    Failure::NotAsWanted {
        name: name.clone(),
        wanted: "available",
        reason: status.reason.unwrap_or(phase),
        message: format!(
            "{}\nTo start it and wait: kubectl workspace {command} {name} -n {namespace} --start",
            status.message.unwrap_or_default(),
        ),
    }
}
