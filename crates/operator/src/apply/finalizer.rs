//! Workspace -> its finalizer, set and released (IO).
//!
//! It is hand-written: the finalizer helper of `kube::runtime` does not test the UID and the owner with the write that releases it.

use api::{
    Workspace,
    names::{CLEANUP_FINALIZER, CREATED_BY, OPERATOR},
};
use json_patch::Patch as JsonPatch;
use kube::{Api, Resource, ResourceExt as _, api::Patch, core::DeserializeGuard};
use serde_json::json;

use crate::{
    context::Context,
    support::send::{patch_as, pointer_token, unchecked},
};

/// Whether the finalizer is set, so that deletion waits for the workspace's children.
pub fn is_held<K: Resource>(object: &K) -> bool {
    object.finalizers().iter().any(|it| it == CLEANUP_FINALIZER)
}

/// Sets the finalizer if no webhook has set it. Call it before the first child is made.
pub async fn hold(context: &Context, workspace: &Workspace) -> Result<(), kube::Error> {
    if is_held(workspace) {
        return Ok(());
    }
    let mut finalizers = workspace.finalizers().to_vec();
    finalizers.push(CLEANUP_FINALIZER.to_owned());
    let version = &workspace.metadata.resource_version;
    let patch = json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}});
    write(context, workspace, &Patch::Merge(patch)).await
}

/// Removes the finalizer. It fails if the finalizers changed since they were read. It also fails if the owner changed, which may have
/// been written on a retained disk. Other changes do not block it. It succeeds if the workspace is gone.
pub async fn release<K>(context: &Context, object: &K) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()>,
{
    let others: Vec<_> = object
        .finalizers()
        .iter()
        .filter(|it| *it != CLEANUP_FINALIZER)
        .collect();
    let at = "/metadata/finalizers";
    let mut steps = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": object.meta().uid}),
        json!({"op": "test", "path": at, "value": object.finalizers()}),
    ];
    if let Some(owner) = object.annotations().get(CREATED_BY) {
        let path = format!("/metadata/annotations/{}", pointer_token(CREATED_BY));
        steps.push(json!({"op": "test", "path": path, "value": owner}));
    }
    steps.push(json!({"op": "replace", "path": at, "value": others}));
    let patch: JsonPatch = serde_json::from_value(steps.into()).map_err(kube::Error::SerdeError)?;
    match write(context, object, &Patch::Json::<()>(patch)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        written => written,
    }
}

async fn write<K, P>(context: &Context, object: &K, patch: &Patch<P>) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()>,
    P: serde::Serialize + std::fmt::Debug,
{
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    let workspaces: Api<DeserializeGuard<Workspace>> = Api::namespaced(context.client.clone(), namespace);
    let params = unchecked(patch_as(OPERATOR));
    workspaces.patch(&object.name_any(), &params, patch).await?;
    context.metrics.write("finalizer");
    Ok(())
}
