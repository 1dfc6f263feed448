//! New status -> the object's status, if it differs, and Events (IO).

use api::{Workspace, WorkspaceStatus, names};
use kube::{
    Api, Resource as _,
    api::{Patch, PatchParams},
    core::PartialObjectMeta,
    runtime::events::Event,
};
use serde_json::json;

use crate::{
    context::Context,
    failure::{is_everyday, message_of, reason_of},
    transitions,
    world::Identity,
};

/// The status could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the status cannot be written: {}", message_of(.0))]
pub struct Error(#[from] pub kube::Error);

/// Writes the status of the workspace if it differs from `before`, which is the newest that is known, and tells the
/// transition and the `news` that came with it. An Event that cannot be written is logged and lost: the status says the same.
pub async fn publish(
    context: &Context,
    identity: &Identity,
    before: Option<&WorkspaceStatus>,
    status: WorkspaceStatus,
    news: Vec<Event>,
) -> Result<(), Error> {
    let key = identity.key();
    context.metrics.phase(&key, status.phase);
    if before == Some(&status) {
        return Ok(());
    }
    // Of the answer only the version is of interest.
    let workspaces: Api<PartialObjectMeta<Workspace>> =
        Api::namespaced(context.client.clone(), &identity.namespace);
    let intent = json!({
        "apiVersion": Workspace::api_version(&()),
        "kind": Workspace::kind(&()),
        "metadata": {"name": identity.name, "uid": identity.uid},
        "status": status,
    });
    let params = PatchParams::apply(names::OPERATOR_STATUS).force();
    match workspaces
        .patch_status(&identity.name, &params, &Patch::Apply(&intent))
        .await
    {
        Ok(answer) => context.memory.wrote_status(&key, answer.meta(), status.clone()),
        // Gone, or another one of the same name: nobody is left to be told.
        Err(kube::Error::Api(answer)) if answer.code == 404 => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    context.metrics.write("publish");
    let mut told = transitions::events(before, &status);
    told.extend(news);
    for told in told {
        event(context, identity, &told).await;
    }
    Ok(())
}

/// Writes an Event about the workspace. One that cannot be written is logged and lost.
pub async fn event(context: &Context, identity: &Identity, event: &Event) {
    if let Err(error) = context.recorder.publish(event, &reference(identity)).await {
        context.metrics.error("event", reason_of(&error));
        if !is_everyday(&error) {
            let error = message_of(&error);
            tracing::warn!(error, event.reason = event.reason, "the event cannot be written");
        }
    }
}

fn reference(identity: &Identity) -> k8s_openapi::api::core::v1::ObjectReference {
    k8s_openapi::api::core::v1::ObjectReference {
        api_version: Some(Workspace::api_version(&()).into_owned()),
        kind: Some(Workspace::kind(&()).into_owned()),
        name: Some(identity.name.clone()),
        namespace: Some(identity.namespace.clone()),
        uid: Some(identity.uid.clone()),
        ..Default::default()
    }
}
