//! New status -> the object's status, if it differs, then Events (IO).

use api::{Workspace, WorkspaceStatus, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Resource as _,
    api::{Patch, PatchParams},
    core::PartialObjectMeta,
    runtime::events::Event,
};
use serde_json::json;

use crate::{
    audit::Users,
    cache::observed::Identity,
    context::Context,
    status::{events, transitions},
    support::{failure::message_of, send::without_validation},
};

/// The status could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the status cannot be written: {}", message_of(.0))]
pub struct PublishError(#[from] pub kube::Error);

/// What to report about a workspace.
#[derive(Default)]
pub(crate) struct StatusUpdate {
    /// Its status.
    pub status: WorkspaceStatus,
    /// Events besides those of the transition.
    pub events: Vec<Event>,
    /// Its last run.
    pub run: Option<String>,
}

/// What became of a status.
pub(crate) enum Published {
    /// The API server has it, or the workspace is gone.
    Written,
    /// Another client wrote the workspace meanwhile. When the watch shows that write, it triggers the next reconcile.
    Outdated,
}

/// Writes the status of the workspace if it differs from `before`, the newest known status. Then queues the Events of the transition
/// and of `update.events`. If the status write fails, no Event is queued.
///
/// `seen`: metadata of the workspace from which the status was computed. A leader that lost its lease without noticing has an old version,
/// and nothing is written.
pub(crate) async fn publish(
    context: &Context,
    seen: &ObjectMeta,
    before: Option<&WorkspaceStatus>,
    update: StatusUpdate,
) -> Result<Published, PublishError> {
    let StatusUpdate { status, events, run } = update;
    let (identity, users) = (&Identity::from_meta(seen), Users::from_meta(seen));
    let stored = (&users, run.as_deref());
    let key = identity.key();
    let kind = Workspace::kind(&());
    // A field that the cluster does not store would differ forever.
    let status = context.definitions.fit(&kind, status);
    if before == Some(&status) {
        context.audit.record_change(identity, stored, before, &status);
        return Ok(Published::Written);
    }
    // Only the version of the answer is used.
    let workspaces: Api<PartialObjectMeta<Workspace>> =
        Api::namespaced(context.client.clone(), &identity.namespace);
    let intent = json!({
        "apiVersion": Workspace::api_version(&()),
        "kind": kind,
        "metadata": {"name": identity.name, "uid": identity.uid, "resourceVersion": seen.resource_version},
        "status": context.definitions.fit(&kind, json!(status)),
    });
    let params = without_validation(PatchParams::apply(names::OPERATOR_STATUS).force());
    context.pending_writes.send_status(&key, status.clone());
    let answer = match workspaces
        .patch_status(&identity.name, &params, &Patch::Apply(&intent))
        .await
        .inspect_err(|_| context.pending_writes.forget_sent(&key))
    {
        Ok(answer) => answer,
        // The object is gone, or a new one has its name.
        Err(kube::Error::Api(answer)) if answer.code == 404 => return Ok(Published::Written),
        Err(kube::Error::Api(answer)) if answer.code == 409 => {
            tracing::debug!(workspace = key, "written meanwhile: it is reconciled again");
            return Ok(Published::Outdated);
        }
        Err(error) => {
            context.definitions.suspect(&error);
            return Err(error.into());
        }
    };
    context
        .pending_writes
        .wrote_status(&key, answer.meta(), status.clone());
    context.metrics.write("publish");
    context.audit.record_change(identity, stored, before, &status);
    let mut all = transitions::events(&identity.name, before, &status);
    all.extend(events);
    let regarding = events::regarding(identity, answer.meta().resource_version.clone());
    events::publish(context, regarding, all).await;
    Ok(Published::Written)
}

/// Queues an Event about the workspace that belongs to no transition.
pub(crate) async fn event(context: &Context, identity: &Identity, event: Event) {
    events::publish(context, events::regarding(identity, None), vec![event]).await;
}
