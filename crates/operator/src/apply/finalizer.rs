//! Workspace -> its finalizer, set and released (IO).
//!
//! It is hand-written: the finalizer helper of `kube::runtime` does not test the UID and the owner with the write that releases it.

use api::{
    Workspace,
    names::{CLEANUP_FINALIZER, CREATED_BY, OPERATOR},
};
use json_patch::{Patch as JsonPatch, jsonptr::PointerBuf};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Resource, ResourceExt as _, api::Patch, core::DeserializeGuard};
use serde_json::{Value, json};

use crate::{
    context::Context,
    support::send::{patch_as, without_validation},
};

/// Go's JSON encoder escapes these characters. The API server's JSON patch compares a string as it is encoded, so its test of an unescaped
/// value with one of them always fails.
const ESCAPED: [char; 5] = ['&', '<', '>', '\u{2028}', '\u{2029}'];

/// Whether the finalizer is set, so that deletion waits for the workspace's children.
pub(crate) fn is_held<K: Resource>(object: &K) -> bool {
    object.finalizers().iter().any(|it| it == CLEANUP_FINALIZER)
}

/// Sets the finalizer if no webhook has set it. Call it before the first child is made.
pub(crate) async fn hold(context: &Context, workspace: &Workspace) -> Result<(), kube::Error> {
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
/// been written on a retained disk. Other changes do not block it. Returns false if the workspace is gone.
pub(crate) async fn release<K>(context: &Context, object: &K) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = ()>,
{
    let steps = release_steps(object.meta());
    let patch: JsonPatch = serde_json::from_value(steps.into()).map_err(kube::Error::SerdeError)?;
    match write(context, object, &Patch::Json::<()>(patch)).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        written => written.map(|()| true),
    }
}

/// The JSON patch that removes the finalizer, with its tests.
fn release_steps(meta: &ObjectMeta) -> Vec<Value> {
    let finalizers = meta.finalizers.as_deref().unwrap_or_default();
    let others: Vec<_> = finalizers.iter().filter(|it| *it != CLEANUP_FINALIZER).collect();
    let at = "/metadata/finalizers";
    let mut steps = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": meta.uid}),
        json!({"op": "test", "path": at, "value": finalizers}),
    ];
    let annotations = meta.annotations.as_ref();
    if let Some(owner) = annotations.and_then(|annotations| annotations.get(CREATED_BY)) {
        steps.push(if owner.contains(ESCAPED) {
            json!({"op": "test", "path": "/metadata/resourceVersion", "value": meta.resource_version})
        } else {
            let path = PointerBuf::from_tokens(["metadata", "annotations", CREATED_BY]);
            json!({"op": "test", "path": path, "value": owner})
        });
    }
    steps.push(json!({"op": "replace", "path": at, "value": others}));
    steps
}

async fn write<K, P>(context: &Context, object: &K, patch: &Patch<P>) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()>,
    P: serde::Serialize + std::fmt::Debug,
{
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    let workspaces: Api<DeserializeGuard<Workspace>> = Api::namespaced(context.client.clone(), namespace);
    let params = without_validation(patch_as(OPERATOR));
    workspaces.patch(&object.name_any(), &params, patch).await?;
    context.metrics.write("finalizer");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(owner: &str) -> Vec<Value> {
        let meta: ObjectMeta = serde_json::from_value(json!({
            "uid": "u", "resourceVersion": "7", "finalizers": [CLEANUP_FINALIZER, "example.com/other"],
            "annotations": {CREATED_BY: owner},
        }))
        .unwrap();
        let steps = release_steps(&meta);
        let replaced =
            json!({"op": "replace", "path": "/metadata/finalizers", "value": ["example.com/other"]});
        assert_eq!(steps.last(), Some(&replaced));
        steps.iter().map(|step| step["path"].clone()).collect()
    }

    #[test]
    fn an_owner_whom_a_json_patch_cannot_compare_is_compared_by_the_version() {
        let path = "/metadata/annotations/workspaces.jupyter.org~1created-by";
        for owner in ["alice", r"a/b:c%2Fd?e#f=h;i\j", "Zoë"] {
            assert_eq!(tested(owner)[2], path, "{owner}");
        }
        for owner in ["R&D", "<alice>", "line\u{2028}separator"] {
            assert_eq!(tested(owner)[2], "/metadata/resourceVersion", "{owner}");
        }
    }
}
