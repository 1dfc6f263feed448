//! Test namespace and values -> its own template, and workspaces that use it (IO).
//!
//! Templates are cluster-scoped, so each test has its own one.

use api::{Workspace, WorkspaceTemplate};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    cluster::{self, Scratch},
    wait,
};

/// Creates a template with the name of the namespace of `scratch`, a display name, and the fields of `rest`.
pub async fn make(scratch: &Scratch, rest: &Value) -> anyhow::Result<()> {
    make_named(&scratch.namespace, rest).await
}

/// Creates a further template. Its name must contain the namespace's name.
pub async fn make_named(name: &str, rest: &Value) -> anyhow::Result<()> {
    let mut spec = json!({"displayName": "Template of a test"});
    merge(&mut spec, rest);
    let template: WorkspaceTemplate =
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))?;
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    templates.create(&PostParams::default(), &template).await?;
    Ok(())
}

/// A workspace that uses this template, with the fields of `rest`.
pub fn workspace(scratch: &Scratch, name: &str, rest: &Value) -> anyhow::Result<Workspace> {
    let mut spec = json!({"displayName": name, "templateRef": scratch.namespace});
    merge(&mut spec, rest);
    Ok(Workspace::new(name, serde_json::from_value(spec)?))
}

/// The refusal of such a workspace's creation by the API server and the webhook; `None` if they would accept it.
pub async fn refusal(workspaces: &Api<Workspace>, workspace: &Workspace) -> Option<String> {
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let result = workspaces.create(&dry, workspace).await;
    result.err().map(|error| error.to_string())
}

/// Deletes namespace and template, and waits until nothing refers to the template.
pub async fn finish(scratch: Scratch) -> anyhow::Result<()> {
    let name = scratch.namespace.clone();
    scratch.finish().await?;
    forget(&name).await
}

/// Deletes a template, and waits until nothing refers to it.
pub async fn forget(name: &str) -> anyhow::Result<()> {
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    templates.delete(name, &DeleteParams::default()).await?;
    wait::until("the template to be gone", wait::USUAL, || async {
        match templates.get_opt(name).await {
            Ok(None) => Ok(()),
            Ok(Some(template)) => Err(format!("{:?}", template.metadata.finalizers)),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

fn merge(into: &mut Value, rest: &Value) {
    for (key, value) in rest.as_object().into_iter().flatten() {
        into[key] = value.clone();
    }
}
