//! Object of the catalog -> its in-use finalizer, set and removed (IO).
//!
//! Only the catalog controller calls this. `usage.rs` counts the users, `decide.rs` decides.
//!
//! The finalizer is set as soon as a workspace refers to the object. A workspace makes its first child only when the cache shows the
//! finalizer on all that it refers to, and none of them is being deleted (`admission.rs`). The finalizer is removed in two cases, and
//! only from the `resourceVersion` that was judged:
//!
//! - The object is being deleted, nothing uses it, and the status of every workspace that refers to it says that it was rejected.
//! - No workspace refers to the object. So it can be deleted even while no operator runs.
//!
//! Why that is enough, although starts take no lock and remember nothing:
//!
//! - The object is deleted after the check of a start, and before the caches show a child. The workspace is not rejected, so the
//!   finalizer stays until its status says what became of it. One case remains: the status still says
//!   "rejected", but the rule was relaxed a moment ago and the workspace did not change.
//! - The finalizer of an unused object is removed while the first workspace that refers to it arrives. The next reconcile sets it
//!   again. Only a deletion between these two writes succeeds.
//! - Another replica leads. It keeps nothing in memory, and a write of the former leader fails if the object has changed. Its cache of
//!   workspaces may be later than that of the object, and lack a workspace that has just started.
//!
//! In the rare cases left, the outcome is that of a deletion a moment earlier: the object is gone, its workspace gets `Valid=False`, and
//! a pod that exists stays.

use api::names::{IN_USE_FINALIZER, OPERATOR};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::subject::CatalogObject;
use crate::{context::Context, support::send::patch_as};

/// Adds our finalizer to the existing ones. The object's UID is a precondition.
pub(super) async fn add_finalizer(context: &Context, subject: &CatalogObject) -> Result<(), kube::Error> {
    let key = &subject.key;
    let resource = key.kind.resource();
    let intent = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": key.name, "uid": key.uid, "finalizers": [IN_USE_FINALIZER]},
    });
    let params = PatchParams::apply(OPERATOR).force();
    let api = key.api(&context.client);
    api.patch(&key.name, &params, &Patch::Apply(&intent)).await?;
    context.metrics.write("catalog");
    Ok(())
}

/// Removes our finalizer, if the object has not changed since the decision. After a conflict, the newer state triggers a reconcile.
pub(super) async fn remove_finalizer(context: &Context, subject: &CatalogObject) -> Result<(), kube::Error> {
    let others: Vec<_> = subject
        .finalizers
        .iter()
        .filter(|it| *it != IN_USE_FINALIZER)
        .collect();
    let patch = json!({"metadata": {
        "uid": subject.key.uid,
        "resourceVersion": subject.resource_version,
        "finalizers": others,
    }});
    let api = subject.key.api(&context.client);
    let (params, patch) = (patch_as(OPERATOR), Patch::Merge(&patch));
    match api.patch(&subject.key.name, &params, &patch).await {
        Ok(_) => context.metrics.write("catalog"),
        // It is gone, or it has changed.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
