//! The chart's applications beside JupyterLab: what each image promises.

mod code;
mod kernels;
mod together;

use api::{Workspace, names::CREATED_BY};
use e2e::cluster::{self, Scratch};
use kube::api::PostParams;
use serde_json::{Value, json};

/// Creates a workspace of alice of this template, with these fields of the spec.
async fn create(scratch: &Scratch, name: &str, template: &str, rest: &Value) -> anyhow::Result<()> {
    let mut spec = json!({"displayName": name, "templateRef": template});
    for (key, value) in rest.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    let metadata = json!({"name": name, "annotations": {CREATED_BY: "alice"}});
    let workspace: Value = json!({"metadata": metadata, "spec": spec});
    let workspaces = scratch.api::<Workspace>();
    workspaces
        .create(&PostParams::default(), &serde_json::from_value(workspace)?)
        .await?;
    Ok(())
}

/// Deletes all temporary files in the pod, as its user does.
async fn delete_temporary_files(scratch: &Scratch, pod: &str) -> anyhow::Result<()> {
    let delete = "touch /tmp/made && rm -rf /tmp/* /tmp/.[!.]* && ! ls /tmp/made";
    let left = cluster::exec(&scratch.api(), pod, &["sh", "-c", delete]).await?;
    anyhow::ensure!(left.is_empty(), "{left}");
    Ok(())
}
