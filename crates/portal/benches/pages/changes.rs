//! A plan -> statuses of workspaces that change at a steady rate (IO).
//!
//! A change is a new `status.startedAt`, by which it is known again on a list.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use api::Workspace;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::json;
use tokio::time::interval;

use crate::user::client;

/// What a mark looks like.
pub(crate) const MARK: &str = "2131-01-01T00:00:00Z";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// Kubeconfig of a client of the API server that may write statuses.
    api_server: PathBuf,
    /// Namespace and name of what is changed, in turns.
    workspaces: Vec<(String, String)>,
    /// Of the marks: no other time on a list has it.
    year: u16,
    /// Changes per second.
    rate: u32,
    /// How many changes.
    count: usize,
}

/// Makes the changes, and prints the mark of the last one.
pub(crate) async fn run(plan: Plan) -> anyhow::Result<()> {
    ensure!(!plan.workspaces.is_empty(), "there is no workspace to change");
    let writer = client(&plan.api_server).await?;
    let mut ticks = interval(Duration::from_secs(1) / plan.rate);
    for (number, workspace) in plan.workspaces.iter().cycle().take(plan.count).enumerate() {
        ticks.tick().await;
        change(&writer, workspace, number, &mark(plan.year, number)).await?;
    }
    let last = plan.count.checked_sub(1).context("no changes")?;
    println!("{}", mark(plan.year, last));
    Ok(())
}

/// Changes the status of a workspace for the `number`th time.
pub(crate) async fn change(
    writer: &Client,
    (namespace, name): &(String, String),
    number: usize,
    mark: &str,
) -> anyhow::Result<()> {
    let phase = ["Starting", "Running"][number / 7 % 2];
    let patch = json!({"status": {"phase": phase, "startedAt": mark}});
    Api::<Workspace>::namespaced(writer.clone(), namespace)
        .patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    Ok(())
}

/// The time by which a change is known again.
pub(crate) fn mark(year: u16, number: usize) -> String {
    let (minute, second) = (number / 60, number % 60);
    format!("{year}-01-01T{:02}:{:02}:{second:02}Z", minute / 60, minute % 60)
}
